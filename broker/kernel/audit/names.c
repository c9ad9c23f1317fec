/* AUDIT: the kernel's own audit, and then names against authority. Which kref a vat has a name for is
 * known by its worker alone, who may name what by the broker alone, and when the vat is at rest both
 * must be the same (X4, X5, X6).
 *
 * Each vat is asked (NAMES_GET) when its turn comes, some at a time, and answers in pages, each of
 * which is compared as it comes. The rows of a vat only change with its own cranks and deliveries, so
 * an answer counts as long as nothing of it was in flight since it was asked. Otherwise the vat is
 * counted as busy, or as away when its worker or host went. Nothing waits for an audit, and nothing
 * of it is stored. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/audit/audit.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/state/state.h"

enum {
    PAIR_BYTES = 9,
    PAIR_REACHABLE = 1,
    PAIR_EXPORTED = 2,
    FINDINGS_MAX = 1000,   /* of one vat: a worker that lies is not worth more */
    COUNTERS_BYTES = 4096, /* kept free of findings, for the counters */
};

_Static_assert((int)PAIR_REACHABLE == HELD_REACHABLE && (int)PAIR_EXPORTED == HELD_EXPORTED,
               "the flags of NAMES are those of the authority rows");

typedef struct {
    uint64_t vat, run, applied;
    uint64_t since_us; /* when the page was asked for */
    uint64_t first;    /* of the page that is asked for */
    uint64_t *held;    /* krefs of its rows, ascending */
    size_t at, count;  /* in `held`: what is compared, and of how many */
    size_t findings;
} asked_t;

/* One AUDIT that is not answered yet. */
struct comparison {
    comparison_t *next;
    uint32_t client;
    id128_t request;
    buf_t rows;
    size_t left_out; /* findings that did not fit */
    uint64_t *vats;  /* all that lived when it began */
    size_t vat_at, vat_count;
    asked_t asked[NAMES_ASKED_MAX];
    size_t asked_count;
    uint64_t compared, busy, away, names;
};

/* ---- rows ---- */

static void add_finding(void *context, const char *rule, const char *row, const char *should)
{
    comparison_t *self = context;
    msg_finding_row_t finding = {text_of(rule), text_of(row), text_of(should)};
    if (msg_encode(TAG_finding_row, &finding, &self->rows)) self->left_out++;
}

static void add_counter(comparison_t *self, const char *name, uint64_t value)
{
    msg_counter_row_t row = {text_of(name), value};
    must(msg_encode(TAG_counter_row, &row, &self->rows) == ERR_OK);
}

/* What is wrong with the name, or the row, that VAT has of KREF. */
static void differ(comparison_t *self, asked_t *asked, const char *rule, const char *what,
                   uint64_t kref, const char *should)
{
    char row[KREF_TEXT_MAX + 64], text[KREF_TEXT_MAX];
    if (++asked->findings > FINDINGS_MAX) return;
    snprintf(row, sizeof row, "%s v%" PRIu64 " %s", what, asked->vat,
             kref ? kref_text(kref_of(kref), text) : "of all");
    if (asked->findings == FINDINGS_MAX) should = "and so on: the rest is not listed";
    add_finding(self, rule, row, should);
}

/* ---- the answer ---- */

static void count_all(const kernel_t *k, uint64_t *rows, uint64_t *entries)
{
    for (size_t i = 0; i < k->vats.room; i++) {
        const kvat_t *vat = map_cell(&k->vats, i);
        if (!vat) continue;
        *rows += vat->held.count;
        *entries += vat->queue.count;
    }
    for (size_t i = 0; i < k->promises.room; i++) {
        const promise_t *promise = map_cell(&k->promises, i);
        if (promise) *entries += promise->queue.count;
    }
}

static void comparison_free(comparison_t *self)
{
    for (size_t i = 0; i < self->asked_count; i++) free(self->asked[i].held);
    buf_clear(&self->rows);
    free(self->vats);
    free(self);
}

static void comparison_answer(kernel_t *k, comparison_t *self, bool names)
{
    uint64_t rows = 0, entries = 0;
    self->rows.max += COUNTERS_BYTES;
    if (self->left_out) {
        char text[64];
        snprintf(text, sizeof text, "%zu findings", self->left_out);
        add_finding(self, "more", text, "not listed, they are too many");
    }
    count_all(k, &rows, &entries);
    add_counter(self, "objects", k->objects.count);
    add_counter(self, "promises", k->promises.count);
    add_counter(self, "rows", rows);
    add_counter(self, "entries", entries);
    if (names) {
        add_counter(self, "vats_compared", self->compared);
        add_counter(self, "vats_busy", self->busy);
        add_counter(self, "vats_away", self->away);
        add_counter(self, "names", self->names);
    }
    msg_rows_t answer = {self->request, {self->rows.at, self->rows.len}, 0};
    reply(k, self->client, TAG_rows, &answer);
}

/* ---- asking ---- */

static bool at_rest(const kvat_t *vat) { return !vat->log && !vat->queue.head; }

static void ask(kernel_t *k, asked_t *asked, const kvat_t *vat)
{
    msg_names_get_t msg = {vat->id, vat->row.inc, vat->row.pgen, vat->row.run, asked->first};
    asked->since_us = k->now_us;
    send_host(k, vat->row.host, TAG_names_get, &msg);
}

/* The vat whose turn it is: asks its worker, or counts it as one that cannot be asked. */
static void ask_vat(kernel_t *k, comparison_t *self, const kvat_t *vat)
{
    bool runs = vat && (vat->row.state == VAT_RUNNING || vat->row.state == VAT_STARTING);
    if (!runs || (!vat->attached && at_rest(vat))) {
        self->away++;
    } else if (vat->row.state == VAT_STARTING || !vat->attached || !at_rest(vat)) {
        self->busy++;
    } else {
        asked_t *asked = &self->asked[self->asked_count++];
        *asked = (asked_t){.vat = vat->row.vat, .run = vat->row.run, .applied = vat->row.applied};
        asked->held = map_sorted(&vat->held, &asked->count);
        ask(k, asked, vat);
    }
}

static void asked_remove(comparison_t *self, size_t i)
{
    free(self->asked[i].held);
    self->asked[i] = self->asked[--self->asked_count];
}

static bool silent(const kernel_t *k, const asked_t *asked)
{
    uint64_t wait_us = (uint64_t)NAMES_WAIT_MS * 1000;
    return k->now_us > asked->since_us && k->now_us - asked->since_us > wait_us;
}

/* Of those that were asked: who moved on, and who cannot answer any more? */
static void look_again(const kernel_t *k, comparison_t *self)
{
    for (size_t i = self->asked_count; i-- > 0;) {
        const asked_t *asked = &self->asked[i];
        const kvat_t *vat = vat_find(k, asked->vat);
        bool here = vat && vat->attached && vat->row.run == asked->run;
        if (here && at_rest(vat) && vat->row.applied == asked->applied && !silent(k, asked))
            continue;
        bool busy = here && !silent(k, asked);
        ++*(busy ? &self->busy : &self->away);
        asked_remove(self, i);
    }
}

/* Runs at the end of every step. */
void audits_go_on(kernel_t *k)
{
    for (comparison_t **at = &k->audits; *at;) {
        comparison_t *self = *at;
        look_again(k, self);
        while (self->vat_at < self->vat_count && self->asked_count < NAMES_ASKED_MAX)
            ask_vat(k, self, vat_find(k, self->vats[self->vat_at++]));
        if (self->asked_count) {
            at = &self->next;
            continue;
        }
        *at = self->next;
        comparison_answer(k, self, true);
        comparison_free(self);
    }
}

/* ---- comparing ---- */

static const char *reach_text(uint64_t flags)
{
    return flags & PAIR_REACHABLE ? "recognizable for its worker only, should be reachable"
                                  : "reachable for its worker, should be recognizable only";
}

/* A row without a name. */
static void missing(comparison_t *self, asked_t *asked, const kvat_t *vat, uint64_t kref)
{
    const held_t *held = held_find(vat, kref_of(kref));
    if (held->row.flags & HELD_EXPORTED)
        differ(self, asked, "X6", "name", kref, "its worker has none, should have it as an export");
    else
        differ(self, asked, "X4", "name", kref, "its worker has none, should have it as an import");
}

static void compare_pair(comparison_t *self, asked_t *asked, const kvat_t *vat, uint64_t kref,
                         uint64_t flags)
{
    while (asked->at < asked->count && asked->held[asked->at] < kref)
        missing(self, asked, vat, asked->held[asked->at++]);
    if (asked->at == asked->count || asked->held[asked->at] != kref) {
        differ(self, asked, "X4", "name", kref,
               "its worker has it, should not: the vat has no authority row for it");
        return;
    }
    asked->at++;
    uint64_t its = held_find(vat, kref_of(kref))->row.flags;
    if ((its ^ flags) & PAIR_EXPORTED)
        differ(self, asked, "X6", "name", kref,
               its & PAIR_EXPORTED ? "an import for its worker, should be an export"
                                   : "an export for its worker, should be an import");
    if ((its ^ flags) & PAIR_REACHABLE) differ(self, asked, "X5", "name", kref, reach_text(its));
}

/* False: this is no list of names. */
static bool compare_page(comparison_t *self, asked_t *asked, const kvat_t *vat,
                         const msg_names_t *msg)
{
    uint64_t before = asked->first ? asked->first - 1 : 0;
    if (msg->pairs.len % PAIR_BYTES) return false;
    for (size_t i = 0; i < msg->pairs.len; i += PAIR_BYTES) {
        uint64_t kref = slot_read(msg->pairs.at + i).n, flags = msg->pairs.at[i + 8];
        if (kref <= before || flags > (PAIR_REACHABLE | PAIR_EXPORTED)) return false;
        compare_pair(self, asked, vat, kref, flags);
        self->names++;
        before = kref;
    }
    return !msg->next || (msg->next > before && msg->pairs.len);
}

static void compare(kernel_t *k, comparison_t *self, size_t i, const kvat_t *vat,
                    const msg_names_t *msg)
{
    asked_t *asked = &self->asked[i];
    bool good = compare_page(self, asked, vat, msg);
    if (!good)
        differ(self, asked, "X4", "names", 0, "not ascending or of another form: a broken list");
    if (good && msg->next && asked->findings < FINDINGS_MAX) {
        asked->first = msg->next;
        ask(k, asked, vat);
        return;
    }
    while (good && !msg->next && asked->at < asked->count)
        missing(self, asked, vat, asked->held[asked->at++]);
    self->compared++;
    asked_remove(self, i);
}

/* What the vat's worker says now it says of now; whether that still means anything is looked at
 * first. */
void on_names(kernel_t *k, uint32_t from, const msg_names_t *msg)
{
    const kvat_t *vat = vat_speaker(k, from, msg->vat, msg->pgen, msg->run);
    if (!vat || msg->last != vat->row.applied || !at_rest(vat)) return;
    for (comparison_t *self = k->audits; self; self = self->next) {
        for (size_t i = self->asked_count; i-- > 0;) {
            const asked_t *asked = &self->asked[i];
            if (asked->vat != vat->row.vat || asked->first != msg->first) continue;
            if (asked->run == vat->row.run && asked->applied == vat->row.applied)
                compare(k, self, i, vat, msg);
        }
    }
}

/* ---- life ---- */

void on_audit(kernel_t *k, uint32_t client, const msg_audit_t *msg)
{
    comparison_t *self = take(sizeof *self);
    self->client = client;
    self->request = msg->request;
    self->rows = buf_of(FRAME_BYTES_MAX - 4096 - COUNTERS_BYTES);
    kernel_audit(k, add_finding, self);
    if (!msg->names) {
        comparison_answer(k, self, false);
        comparison_free(self);
        return;
    }
    size_t count, live = 0;
    self->vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++)
        if (vat_alive(vat_find(k, self->vats[i]))) self->vats[live++] = self->vats[i];
    self->vat_count = live;
    comparison_t **at = &k->audits;
    while (*at) at = &(*at)->next;
    *at = self;
}

void audits_without(kernel_t *k, uint32_t client)
{
    for (comparison_t **at = &k->audits; *at;) {
        comparison_t *self = *at;
        if (client && self->client != client) {
            at = &self->next;
            continue;
        }
        *at = self->next;
        comparison_free(self);
    }
}

bool audits_late(const kernel_t *k, uint64_t now_us)
{
    uint64_t wait_us = (uint64_t)NAMES_WAIT_MS * 1000;
    for (const comparison_t *self = k->audits; self; self = self->next)
        for (size_t i = 0; i < self->asked_count; i++)
            if (now_us > self->asked[i].since_us && now_us - self->asked[i].since_us > wait_us)
                return true;
    return false;
}
