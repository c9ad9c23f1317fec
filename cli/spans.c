#include "cli/spans.h"

#include <stdlib.h>
#include <string.h>

#include "cli/events_own.h"
#include "wire/base/map.h"
#include "wire/base/must.h"

/* Spans by what they are of, while the tree is made. */
typedef struct {
    spans_t *spans;
    map_t messages, deliveries, settled; /* values are indices + 1, as pointers */
    map_t promised;                      /* messages by the promise of their answer */
} making_t;

const char *part_name(part_t part)
{
    static const char *const names[] = {"waited", "commit", "wire", "ran"};

    return names[part];
}

/* A vat has less than 2^23, a crank at most 10,000 syscalls. What collides all the same is looked at by who asks. */
static uint64_t key_of(uint32_t vat, uint64_t d, uint32_t n)
{
    return (uint64_t)vat << 41 ^ d << 14 ^ n;
}

static uint64_t msg_key(msgid_t msg) { return key_of(msg.vat.n, msg.d, msg.n); }

static void remember(map_t *map, uint64_t key, long at)
{
    if (!map_get(map, key)) map_put(map, key, (void *)(intptr_t)(at + 1));
}

static long find(const map_t *map, uint64_t key) { return (long)(intptr_t)map_get(map, key) - 1; }

static bool same_msg(msgid_t a, msgid_t b)
{
    return a.vat.n == b.vat.n && a.d == b.d && a.n == b.n;
}

static long find_message(const making_t *self, msgid_t msg)
{
    long at = find(&self->messages, msg_key(msg));

    return at >= 0 && same_msg(span_event(&self->spans->at[at])->msg, msg) ? at : SPAN_NONE;
}

static long find_delivery(const making_t *self, uint32_t vat, uint64_t d)
{
    long at = d ? find(&self->deliveries, key_of(vat, d, 0)) : SPAN_NONE;
    if (at < 0) return SPAN_NONE;
    const msg_event_t *event = span_event(&self->spans->at[at]);

    return event->vat.n == vat && event->d == d ? at : SPAN_NONE;
}

/* One syscall may settle several promises: the spans are side by side. */
static long find_settled(const making_t *self, msgid_t msg, kref_t promise)
{
    const spans_t *spans = self->spans;
    long first = find(&self->settled, msg_key(msg));

    for (long at = first; at >= 0 && at < (long)spans->count; at++) {
        const msg_event_t *event = span_event(&spans->at[at]);
        if (spans->at[at].kind != SPAN_SETTLED || !same_msg(event->msg, msg)) break;
        if (event->promise.n == promise.n) return at;
    }
    return first;
}

/* ---- the tree ---- */

/* What is a crank's effect hangs under it; what the kernel did at once for a message, under the message. */
static long cause_of(const making_t *self, span_kind_t kind, const msg_event_t *event)
{
    long at = SPAN_NONE;

    if (kind == SPAN_MESSAGE)
        return find_delivery(self, (uint32_t)event->parent_vat, event->parent_d);
    if (kind == SPAN_LINE) return find_delivery(self, event->vat.n, event->d);
    if (kind == SPAN_DELIVERY && text_is(event->kind, "notify"))
        at = find_settled(self, event->msg, event->promise);
    if (at < 0) at = find_message(self, event->msg);
    if (at < 0) at = find_delivery(self, event->msg.vat.n, event->msg.d);
    return at;
}

static void hang(spans_t *self, long at, long parent)
{
    span_t *span = &self->at[at];

    if (parent == SPAN_NONE || parent == at) return;
    span_t *above = &self->at[parent];
    span->parent = parent;
    if (above->last == SPAN_NONE)
        above->child = at;
    else
        self->at[above->last].next = at;
    above->last = at;
}

static void add_span(making_t *self, span_kind_t kind, const recalled_t *recalled)
{
    const msg_event_t *event = &recalled->event.body.event;
    spans_t *spans = self->spans;
    long at = (long)spans->count, cause = cause_of(self, kind, event);

    spans->at[spans->count++] = (span_t){.kind = kind,
                                         .event = recalled,
                                         .parent = SPAN_NONE,
                                         .child = SPAN_NONE,
                                         .last = SPAN_NONE,
                                         .next = SPAN_NONE,
                                         .start_us = event->time_us};
    hang(spans, at, cause);
    switch (kind) {
    case SPAN_MESSAGE:
        remember(&self->messages, msg_key(event->msg), at);
        if (event->promise.n) remember(&self->promised, event->promise.n, at);
        break;
    case SPAN_DELIVERY: remember(&self->deliveries, key_of(event->vat.n, event->d, 0), at); break;
    case SPAN_SETTLED: remember(&self->settled, msg_key(event->msg), at); break;
    case SPAN_LINE: break;
    }
}

static void add_event(making_t *self, const recalled_t *recalled)
{
    const msg_event_t *event = &recalled->event.body.event;

    if (text_is(event->type, "send")) {
        add_span(self, SPAN_MESSAGE, recalled);
    } else if (text_is(event->type, "deliver")) {
        add_span(self, SPAN_DELIVERY, recalled);
    } else if (text_is(event->type, "resolve")) {
        add_span(self, SPAN_SETTLED, recalled);
    } else if (text_is(event->type, "done")) {
        long at = find_delivery(self, event->vat.n, event->d);
        if (at >= 0) self->spans->at[at].done = recalled;
    } else {
        add_span(self, SPAN_LINE, recalled);
    }
}

/* ---- where the time went ---- */

static uint64_t minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* Clocks are the broker's, but for how long the vat says that it ran: no part is below zero, and what the
 * parts are short of their sum is taken from the way. */
static void measure(spans_t *self, span_t *span)
{
    const msg_event_t *event = span_event(span);
    uint64_t assigned = event->time_us, left = span->event->durable_us;

    if (span->kind != SPAN_DELIVERY) return;
    span->start_us = assigned;
    if (span->parent != SPAN_NONE && self->at[span->parent].kind != SPAN_DELIVERY)
        span->start_us = span_event(&self->at[span->parent])->time_us;
    else if (event->wait_us <= assigned)
        span->start_us = assigned - event->wait_us;
    if (left < assigned) left = assigned;
    span->part_us[PART_WAITED] = minus(assigned, span->start_us);
    if (!span->done) return;
    uint64_t done = span_done_us(span), ran = span->done->event.body.event.run_us;
    if (left > done) left = done;
    span->part_us[PART_COMMIT] = minus(left, assigned);
    span->part_us[PART_RAN] = ran < minus(done, left) ? ran : minus(done, left);
    span->part_us[PART_WIRE] = minus(minus(done, left), span->part_us[PART_RAN]);
}

/* Where the path ends: with the answer to what was asked for, else with what happened last. */
static long path_end(const making_t *making)
{
    const spans_t *self = making->spans;
    long first = self->shown ? self->order[0] : SPAN_NONE, end = first;
    kref_t answer = {0};
    uint64_t latest = 0;

    if (self->shown && self->at[first].kind <= SPAN_DELIVERY)
        answer = span_event(&self->at[first])->promise;
    for (size_t i = 0; i < self->shown; i++) {
        const span_t *span = &self->at[self->order[i]];
        uint64_t at = span->kind == SPAN_DELIVERY ? span_done_us(span) : span_event(span)->time_us;
        if (span->kind == SPAN_SETTLED && answer.n && span_event(span)->promise.n == answer.n)
            return self->order[i];
        if (at >= latest && span->kind != SPAN_LINE) {
            latest = at;
            end = self->order[i];
        }
    }
    return end;
}

static void walk_path(const making_t *making)
{
    spans_t *self = making->spans;
    long end = path_end(making), at = end, first = end;
    uint64_t most = 0;

    if (end < 0) return;
    /* Who waits for an answer hears of it when it is durable. */
    span_t *last = &self->at[end];
    self->end_us = last->done ? span_done_us(last) : span_event(last)->time_us;
    if (last->kind == SPAN_SETTLED) {
        last->part_us[PART_COMMIT] = minus(last->event->durable_us, self->end_us);
        self->end_us += last->part_us[PART_COMMIT];
    }
    for (; at != SPAN_NONE; first = at, at = at == self->root ? SPAN_NONE : self->at[at].parent) {
        span_t *span = &self->at[at];
        span->on_path = true;
        for (part_t part = 0; part < PARTS; part++) {
            self->part_us[part] += span->part_us[part];
            if (span->part_us[part] <= most) continue;
            most = span->part_us[part];
            self->largest = at;
            self->largest_part = part;
        }
    }
    self->start_us = self->at[first].start_us;
}

/* ---- what is shown ---- */

static long find_root(const making_t *self, const msg_trace_t *ask)
{
    const spans_t *spans = self->spans;

    if (ask->msg.d) {
        long at = find_message(self, ask->msg);
        for (size_t i = 0; at < 0 && i < spans->count; i++) {
            if (same_msg(span_event(&spans->at[i])->msg, ask->msg)) at = (long)i;
        }
        return at;
    }
    if (ask->d) return find_delivery(self, ask->vat.n, ask->d);
    long at = find(&self->promised, ask->promise.n);
    for (size_t i = 0; at < 0 && i < spans->count; i++) {
        if (span_event(&spans->at[i])->promise.n == ask->promise.n) at = (long)i;
    }
    return at;
}

/* FROM and all below it, parents first; without recursion, a chain may be long. */
static void show_below(spans_t *self, long from)
{
    long at = from;

    self->at[from].depth = 0;
    while (at != SPAN_NONE) {
        self->order[self->shown++] = at;
        long down = self->at[at].child;
        if (down == SPAN_NONE) {
            while (at != from && self->at[at].next == SPAN_NONE) at = self->at[at].parent;
            down = at == from ? SPAN_NONE : self->at[at].next;
        }
        if (down != SPAN_NONE) self->at[down].depth = self->at[self->at[down].parent].depth + 1;
        at = down;
    }
}

static void count(spans_t *self)
{
    for (size_t i = 0; i < self->shown; i++) {
        const span_t *span = &self->at[self->order[i]];
        self->messages += span->kind == SPAN_MESSAGE;
        self->deliveries += span->kind == SPAN_DELIVERY;
        self->rejected += span->kind == SPAN_SETTLED && span_event(span)->rejected;
        self->open += span->kind == SPAN_DELIVERY && !span->done;
    }
}

bool spans_make(const recall_t *recall, const msg_trace_t *ask, spans_t *ret)
{
    bool whole = !ask->msg.d && !ask->d && !ask->promise.n;
    making_t making = {.spans = ret};

    *ret = (spans_t){.root = SPAN_NONE, .largest = SPAN_NONE};
    ret->at = calloc(recall->count + 1, sizeof *ret->at);
    ret->order = calloc(recall->count + 1, sizeof *ret->order);
    must(ret->at && ret->order);
    for (size_t i = 0; i < recall->count; i++) add_event(&making, &recall->at[i]);
    for (size_t i = 0; i < ret->count; i++) measure(ret, &ret->at[i]);
    if (ret->count) ret->trace = span_event(&ret->at[0])->trace;
    if (!whole) {
        ret->root = find_root(&making, ask);
        if (ret->root != SPAN_NONE) show_below(ret, ret->root);
    }
    for (size_t i = 0; whole && i < ret->count; i++) {
        if (ret->at[i].parent == SPAN_NONE) show_below(ret, (long)i);
    }
    count(ret);
    walk_path(&making);
    map_clear(&making.messages);
    map_clear(&making.deliveries);
    map_clear(&making.settled);
    map_clear(&making.promised);
    return ret->shown > 0;
}

void spans_clear(spans_t *self)
{
    free(self->at);
    free(self->order);
    *self = (spans_t){0};
}
