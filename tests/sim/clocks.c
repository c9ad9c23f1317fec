/* What the timer service promises, checked as it is told: a list of what was asked for and has not
 * happened, written from the promises and not from the kernel's code.
 *
 *   T2   nothing happens before its time; of two times that were given as such, the earlier comes first
 *   T3   what was cancelled, disabled or has happened does not happen (again)
 *   T4   at rest nobody waits for a time that is past
 *
 * What a sender does not wait for may have been refused without a word: it may happen, or not. Model vats
 * wait for the answer when they set a wake, so that each wake is known. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

typedef struct {
    enum { AN_ANSWER, A_WAKE, A_REPEAT, A_TIMEOUT } kind;
    enum { ASKED, OPEN, CANCELLED, OVER } state;
    kref_t result, handler, token, repeater;
    kref_t waiting;                         /* for its handler's answer */
    uint64_t cluster, due_ms, step, number; /* the vat's, of a timeout */
    bool exact, unsure;
} clock_row_t;

struct clocks {
    sim_t *sim;
    clock_row_t *at;
    size_t count, room;
    uint64_t step, latest_ms; /* somebody sets the clock back now and then */
};

clocks_t *clocks_new(sim_t *sim)
{
    clocks_t *self = calloc(1, sizeof *self);
    must(self);
    self->sim = sim;
    return self;
}

void clocks_destroy(clocks_t **self_p)
{
    if (!*self_p) return;
    free((*self_p)->at);
    free(*self_p);
    *self_p = NULL;
}

/* Another step of the kernel; what is over is forgotten. */
void clocks_step(clocks_t *self)
{
    size_t kept = 0;
    self->step++;
    for (size_t i = 0; i < self->count; i++)
        if (self->at[i].state != OVER) self->at[kept++] = self->at[i];
    self->count = kept;
}

/* ---- what is asked for ---- */

/* The cluster of a service; 0: it is gone with this commit. */
static uint64_t cluster_of(const clocks_t *self, kref_t service)
{
    const row_t *row = rows_find(&self->sim->rows, ROW_service, service.n, 0);
    return row ? row->body.service.cluster : 0;
}

static bool time_of(node_t node, const char *member, uint64_t *ret)
{
    return node_whole(node_kind(node) == NODE_RECORD ? node_member(node, member) : node, ret);
}

static void add(clocks_t *self, const msg_event_t *event, clock_row_t row)
{
    row.result = event->promise;
    row.cluster = cluster_of(self, event->target);
    row.step = self->step;
    row.unsure = kref_none(row.result) || !row.cluster;
    bool answers = row.kind == AN_ANSWER || row.kind == A_TIMEOUT;
    if (answers && kref_none(row.result)) return;
    if (answers) row.state = OPEN;
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 32;
        self->at = realloc(self->at, self->room * sizeof *self->at);
        must(self->at);
    }
    self->at[self->count++] = row;
}

/* Without a cluster that is known, what has the token may have been cancelled. */
static void cancel(clocks_t *self, kref_t service, kref_t token)
{
    uint64_t cluster = cluster_of(self, service);
    for (size_t i = 0; i < self->count && !kref_none(token); i++) {
        clock_row_t *row = &self->at[i];
        if (!kref_same(row->token, token)) continue;
        if (!cluster || !row->cluster)
            row->unsure = true;
        else if (row->cluster == cluster)
            row->state = CANCELLED;
    }
}

static void disable(clocks_t *self, kref_t repeater)
{
    for (size_t i = 0; i < self->count; i++)
        if (kref_same(self->at[i].repeater, repeater)) self->at[i].state = CANCELLED;
}

static void asked_service(clocks_t *self, const msg_event_t *event, node_t args)
{
    uint64_t now = event->time_us / 1000, n;
    node_t first = node_item(args, 0), second = node_item(args, 1);
    text_t method = event->method;
    if (text_is(method, "delay") || text_is(method, "addDelay")) {
        if (time_of(first, "relValue", &n))
            add(self, event, (clock_row_t){.due_ms = now + n, .token = node_slot(second)});
    } else if (text_is(method, "wakeAt")) {
        if (time_of(first, "absValue", &n))
            add(self, event, (clock_row_t){.due_ms = n, .exact = true, .token = node_slot(second)});
    } else if (text_is(method, "setWakeup")) {
        if (time_of(first, "absValue", &n) && node_kind(second) == NODE_OBJECT)
            add(self, event,
                (clock_row_t){.kind = A_WAKE,
                              .due_ms = n,
                              .exact = true,
                              .handler = node_slot(second),
                              .token = node_slot(node_item(args, 2))});
    } else if (text_is(method, "repeatAfter")) {
        if (time_of(first, "relValue", &n) && node_kind(node_item(args, 2)) == NODE_OBJECT)
            add(self, event,
                (clock_row_t){.kind = A_REPEAT,
                              .due_ms = now + n,
                              .handler = node_slot(node_item(args, 2)),
                              .token = node_slot(node_item(args, 3))});
    } else if (text_is(method, "cancel")) {
        cancel(self, event->target, node_slot(first));
    }
}

static void asked_outside(clocks_t *self, const msg_event_t *event, node_t args)
{
    uint64_t number, ms;
    if (!node_whole(node_item(args, 0), &number)) return;
    if (text_is(event->method, "after") && node_whole(node_item(args, 1), &ms)) {
        add(self, event,
            (clock_row_t){.kind = A_TIMEOUT,
                          .due_ms = event->time_us / 1000 + ms,
                          .repeater = event->target,
                          .number = number});
        return;
    }
    for (size_t i = 0; text_is(event->method, "clear") && i < self->count; i++) {
        clock_row_t *row = &self->at[i];
        if (row->kind == A_TIMEOUT && row->number == number &&
            kref_same(row->repeater, event->target) && row->state == OPEN)
            row->state = CANCELLED;
    }
}

/* The kernel executes a message to one of its objects. */
void clocks_asked(clocks_t *self, const msg_event_t *event)
{
    if (event->time_us / 1000 > self->latest_ms) self->latest_ms = event->time_us / 1000;
    node_t args = node_item(node_root(&event->data), 1);
    if (text_is(event->kind, "outside")) {
        asked_outside(self, event, args);
    } else if (text_is(event->kind, "timerService")) {
        asked_service(self, event, args);
    } else if (text_is(event->kind, "timerRepeater") && text_is(event->method, "disable")) {
        disable(self, event->target);
    } else if (text_is(event->kind, "timerRepeater") && text_is(event->method, "schedule") &&
               node_kind(node_item(args, 0)) == NODE_OBJECT) {
        add(self, event,
            (clock_row_t){.kind = A_REPEAT,
                          .handler = node_slot(node_item(args, 0)),
                          .repeater = event->target});
    }
}

/* ---- what happens ---- */

/* Is it to happen? With its cluster all of its times go. */
static bool expected(const clocks_t *self, const clock_row_t *row)
{
    return row->state == OPEN && !row->unsure &&
           rows_find(&self->sim->rows, ROW_cluster, row->cluster, 0);
}

/* Everything that was set before, and has its own time, comes first; what is due at once does not wait. */
static void check_order(const clocks_t *self, const clock_row_t *row)
{
    if (!row->exact || row->unsure || row->step == self->step) return;
    for (const clock_row_t *other = self->at; other < self->at + self->count; other++) {
        if (!other->exact || other == row || !expected(self, other)) continue;
        bool before = other->due_ms < row->due_ms || (other->due_ms == row->due_ms && other < row);
        if (before && other->step < self->step)
            sim_fail(self->sim, "T2",
                     "what was due at %" PRIu64 " waits behind what was due at %" PRIu64,
                     other->due_ms, row->due_ms);
    }
}

static void answered(clocks_t *self, clock_row_t *row, const msg_event_t *event)
{
    uint64_t told = 0;
    if (!event->rejected) {
        if (row->state == CANCELLED) sim_fail(self->sim, "T3", "a time comes that was cancelled");
        if (!node_whole(node_member(node_root(&event->data), "absValue"), &told) ||
            told < row->due_ms)
            sim_fail(self->sim, "T2", "%" PRIu64 " is said when %" PRIu64 " was asked for", told,
                     row->due_ms);
        check_order(self, row);
    }
    row->state = OVER;
}

/* True: the time has come; false: it was cleared, or its vat goes. */
static void timed_out(clocks_t *self, clock_row_t *row, const msg_event_t *event)
{
    bool fired = false;
    if (!event->rejected && node_bool(node_root(&event->data), &fired) && fired) {
        if (row->state == CANCELLED) sim_fail(self->sim, "T3", "a timeout comes that was cleared");
        if (self->latest_ms < row->due_ms)
            sim_fail(self->sim, "T2", "a timeout comes at %" PRIu64 ", due at %" PRIu64,
                     self->latest_ms, row->due_ms);
    }
    row->state = OVER;
}

/* A promise is settled. */
void clocks_settled(clocks_t *self, const msg_event_t *event)
{
    if (event->time_us / 1000 > self->latest_ms) self->latest_ms = event->time_us / 1000;
    for (size_t i = 0; i < self->count; i++) {
        clock_row_t *row = &self->at[i];
        if (kref_same(row->result, event->promise)) {
            if (row->kind == AN_ANSWER)
                answered(self, row, event);
            else if (row->kind == A_TIMEOUT)
                timed_out(self, row, event);
            else if (row->state == ASKED)
                row->state = event->rejected ? OVER : OPEN;
        } else if (!kref_none(row->waiting) && kref_same(row->waiting, event->promise)) {
            row->waiting = (kref_t){0};
            if (event->rejected) row->state = OVER;
        }
    }
}

/* What is woken by this: what was set in this very step, else what is due first. */
static clock_row_t *woken(clocks_t *self, kref_t handler, bool repeats, uint64_t now)
{
    clock_row_t *best = NULL;
    for (size_t i = 0; i < self->count; i++) {
        clock_row_t *row = &self->at[i];
        bool can = row->kind == (repeats ? A_REPEAT : A_WAKE) && row->state < CANCELLED &&
                   kref_none(row->waiting) && kref_same(row->handler, handler) &&
                   row->due_ms <= now;
        if (!can) continue;
        if (row->state == ASKED && row->step == self->step) return row;
        if (!best || row->due_ms < best->due_ms) best = row;
    }
    return best;
}

/* The kernel, or a client, sends a message. Only the kernel wakes anybody. */
void clocks_sent(clocks_t *self, const msg_event_t *event)
{
    uint64_t now;
    char text[KREF_TEXT_MAX];
    node_t args = node_item(node_root(&event->data), 1);
    if (!text_is(event->method, "wake")) return;
    if (!node_whole(node_member(node_item(args, 0), "absValue"), &now))
        sim_fail(self->sim, "T2", "a wake without a time");
    bool repeats = !kref_none(event->promise);
    clock_row_t *row = woken(self, event->target, repeats, now);
    if (!row)
        sim_fail(self->sim, "T3", "%s is woken at %" PRIu64 ", and nobody asked for that",
                 kref_text(event->target, text), now);
    check_order(self, row);
    if (repeats) {
        row->waiting = event->promise;
        row->due_ms = now + 1;
    } else {
        row->state = OVER;
    }
}

/* Everything rests, and nothing is due any more. */
void clocks_quiet(clocks_t *self)
{
    char text[KREF_TEXT_MAX];
    for (const clock_row_t *row = self->at; row < self->at + self->count; row++) {
        if (expected(self, row) && kref_none(row->waiting))
            sim_fail(self->sim, "T4", "%s was to happen at %" PRIu64 " and never did",
                     kref_text(kref_none(row->handler) ? row->result : row->handler, text),
                     row->due_ms);
    }
}
