/* The audit: counts everything again from nothing and compares. The rules and their numbers are in
 * README.md. It only reads, so it may run on a live kernel. Here: who refers to what. */
#include "broker/kernel/audit/recount.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/base/hash.h"

/* ---- findings ---- */

static void row_text(which_t row, char *out, size_t room)
{
    char first[KREF_TEXT_MAX], second[KREF_TEXT_MAX] = "";
    if (row.sign == 'k')
        kref_text(kref_of(row.key), first);
    else
        snprintf(first, sizeof first, "%.1s%" PRIu64, &row.sign, row.key);
    if (row.then == 'k')
        kref_text(kref_of(row.second), second);
    else if (row.then)
        snprintf(second, sizeof second, "%" PRIu64, row.second);
    char between = row.then == 'k' ? ' ' : row.then;
    snprintf(out, room, "%s %s%.1s%s", row.table, first, &between, second);
}

void found(recount_t *a, const char *rule, which_t row, const char *format, ...)
{
    a->findings++;
    if (!a->visit) return;
    char name[160], should[256];
    va_list args;
    va_start(args, format);
    vsnprintf(should, sizeof should, format, args);
    va_end(args);
    row_text(row, name, sizeof name);
    a->visit(a->context, rule, name, should);
}

void found_count(recount_t *a, const char *rule, which_t row, const char *what, uint64_t is,
                 uint64_t should)
{
    if (is != should)
        found(a, rule, row, "%s is %" PRIu64 ", should be %" PRIu64, what, is, should);
}

static which_t row_of_log(const log_t *log)
{
    return (which_t){"log", 'v', '/', log->row.vat, log->row.d};
}

/* ---- tallies: one array, so that a million of them cost one allocation ---- */

static size_t tally_at(const recount_t *a, uint64_t kref)
{
    uint64_t x = kref; /* splitmix64's finisher, as in wire/base/map.c */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    size_t i = (size_t)(x ^ x >> 31) & (a->room - 1);
    while (a->tallies[i].kref && a->tallies[i].kref != kref) i = (i + 1) & (a->room - 1);
    return i;
}

static void tallies_room(recount_t *a, size_t room)
{
    tally_t *old = a->tallies;
    size_t old_room = a->room;
    a->tallies = take(room * sizeof *a->tallies);
    a->room = room;
    for (size_t i = 0; i < old_room; i++)
        if (old[i].kref) a->tallies[tally_at(a, old[i].kref)] = old[i];
    free(old);
}

static void tallies_begin(recount_t *a)
{
    size_t room = 64, need = a->k->objects.count + a->k->promises.count;
    while (room < need + need / 2) room *= 2;
    tallies_room(a, room);
}

/* Borrowed until the next call. */
tally_t *tally(recount_t *a, uint64_t kref)
{
    tally_t *at = &a->tallies[tally_at(a, kref)];
    if (at->kref) return at;
    if ((a->tally_count + 1) * 4 > a->room * 3) {
        tallies_room(a, a->room * 2);
        at = &a->tallies[tally_at(a, kref)];
    }
    a->tally_count++;
    at->kref = kref;
    return at;
}

/* ---- references ---- */

static void refer(recount_t *a, kref_t kref, which_t row)
{
    char text[KREF_TEXT_MAX];
    if (kref_none(kref)) return;
    tally_t *at = tally(a, kref.n);
    at->reach++;
    at->recognize++;
    at->count++;
    if (!kref_known(a->k, kref))
        found(a, "K33", row, "names %s, which should exist and does not", kref_text(kref, text));
}

static void refer_value(recount_t *a, const value_t *value, shape_t shape, which_t row)
{
    if (!value) return;
    for (size_t i = 0; i < value->slot_count; i++) refer(a, value->slots[i], row);
    capdata_t data = value_data(value);
    if (smallcaps_check(&data, shape))
        found(a, "K33", row, "its body is broken, or names a slot of another kind or none");
}

/* ---- queues ---- */

/* A message is named after the crank that sent it: that one was applied, and made no more than it
 * could. */
static void place(recount_t *a, which_t row, uint64_t vat, uint64_t d, uint64_t n)
{
    const kvat_t *sender = vat_find(a->k, vat);
    a->places = grown(a->places, &a->place_room, a->place_count + 1, sizeof *a->places);
    a->places[a->place_count++] = (place_t){vat, d, n};
    if (sender && d > sender->row.applied)
        found(a, "K29", row, "sent by v%" PRIu64 "/%" PRIu64 ", should be at most /%" PRIu64, vat,
              d, sender->row.applied);
    if (!vat && d > a->k->counters[COUNTER_next_input].value)
        found(a, "K29", row, "sent by input %" PRIu64 ", should be at most %" PRIu64, d,
              a->k->counters[COUNTER_next_input].value);
}

static void refer_entry(recount_t *a, const entry_t *entry)
{
    which_t row = row_of_entry(entry);
    refer(a, kref_of(entry->row.target), row);
    refer(a, kref_of(entry->row.result), row);
    refer_value(a, entry->value, entry->row.kind == ENTRY_MESSAGE ? SHAPE_METHARGS : SHAPE_ANY,
                row);
    if (entry->row.result) tally(a, entry->row.result)->results++;
    if (entry->row.kind == ENTRY_MESSAGE)
        place(a, row, entry->row.msg_vat, entry->row.msg_d, entry->row.msg_n);
    if (entry->row.kind != ENTRY_NOTIFY) return;

    char text[KREF_TEXT_MAX];
    const promise_t *promise = promise_find(a->k, kref_of(entry->row.target));
    if (!promise || promise->row.state == PROMISE_UNRESOLVED)
        found(a, "K35", row, "a notify of %s, which should be settled",
              kref_text(kref_of(entry->row.target), text));
}

/* QUEUE of HOLDER, whose row is called NAME. */
static void refer_queue(recount_t *a, const queue_t *queue, uint64_t holder)
{
    uint64_t seq = 0;
    size_t count = 0;
    bool waits = kref_is_promise(kref_of(holder));
    for (const entry_t *entry = queue->head; entry; entry = entry->next, count++) {
        refer_entry(a, entry);
        which_t row = row_of_entry(entry);
        if (entry->row.holder != holder)
            found(a, "K30", row, "stands in another queue than its own");
        if (entry->row.seq <= seq)
            found(a, "K30", row, "stands behind %" PRIu64 ", should stand before it", seq);
        if (waits && entry->row.kind != ENTRY_MESSAGE)
            found(a, "K30", row, "waits for a promise, should be a message then");
        if (entry->row.seq > a->k->next_entry)
            found(a, "K45", row, "its place should be at most %" PRIu64, a->k->next_entry);
        seq = entry->row.seq;
    }
    which_t row = waits ? row_of_kref(holder) : (which_t){"vat", 'v', 0, holder, 0};
    found_count(a, "K30", row, "the length of its queue", queue->count, count);
}

/* ---- authority rows ---- */

static void check_days(recount_t *a, const kvat_t *vat, const held_t *held)
{
    uint64_t last = vat->row.assigned, given = held->row.since_d, intro = held->row.intro_d;
    if (!vat_alive(vat)) return; /* what a vat that ended had in flight was never run */
    if (given > last || intro > last || held->row.told_d > last)
        found(a, "K25", row_of_held(held),
              "since_d, intro_d, told_d are %" PRIu64 ", %" PRIu64 ", %" PRIu64
              ", should be at most the vat's last delivery, %" PRIu64,
              given, intro, held->row.told_d, last);
    if (held->row.raised_d > intro)
        found(a, "K25", row_of_held(held),
              "raised_d is %" PRIu64 ", should be at most intro_d, %" PRIu64, held->row.raised_d,
              intro);
    if (held->row.told_d > intro || (!(held->row.flags & HELD_EXPORTED) && given > intro))
        found(a, "K25", row_of_held(held),
              "since_d, told_d are %" PRIu64 ", %" PRIu64 ", should be at most intro_d, %" PRIu64,
              given, held->row.told_d, intro);
}

static void check_held(recount_t *a, const kvat_t *vat, const held_t *held)
{
    enum { ALL = HELD_REACHABLE | HELD_EXPORTED | HELD_SUBSCRIBED };
    uint64_t flags = held->row.flags;
    kref_t kref = {held->row.kref};
    const held_t *linked = held->prev ? held->prev->next : held->named->holders;
    if (linked != held || held->vat != vat)
        found(a, "K22", row_of_held(held), "should be in the list of the holders of what it names");
    if (!kref_known(a->k, kref))
        found(a, "K22", row_of_held(held), "names something that should exist and does not");
    if (flags & ~(uint64_t)ALL)
        found(a, "K22", row_of_held(held), "flags are %" PRIu64 ", should be at most 7", flags);
    if (kref_is_promise(kref) && !(flags & HELD_REACHABLE))
        found(a, "K27", row_of_held(held), "a promise, should be reachable");
    if (kref_is_object(kref) && flags & HELD_SUBSCRIBED)
        found(a, "K16", row_of_held(held), "an object, should not be subscribed to");
    if (flags & HELD_EXPORTED && kref_issuer(kref).n != vat->row.vat)
        found(a, "K23", row_of_held(held), "exported by v%" PRIu64 ", should be by v%u",
              vat->row.vat, kref_issuer(kref).n);
    check_days(a, vat, held);
}

static void refer_held(recount_t *a, const kvat_t *vat, const held_t *held)
{
    tally_t *at = tally(a, held->row.kref);
    at->count++;
    if (held->row.flags & HELD_EXPORTED) {
        at->exports++;
        at->exporter = (uint32_t)vat->row.vat;
    } else {
        at->recognize++;
        if (held->row.flags & HELD_REACHABLE) at->reach++;
    }
    check_held(a, vat, held);
}

/* What is marked as due is in its list. */
static void check_list(recount_t *a, const kvat_t *vat, due_kind_t kind, size_t marked)
{
    const due_t *due = &vat->due[kind];
    size_t listed = 0;
    for (size_t i = due->next; i < due->count; i++) {
        const held_t *held = held_find(vat, kref_of(due->at[i]));
        listed += held && held->due[kind];
    }
    if (vat_alive(vat) && listed < marked)
        found(a, "K38", row_of_vat(vat),
              "%zu krefs are marked as due for GC, should be in its list, where %zu are", marked,
              listed);
}

static void refer_vat(recount_t *a, const kvat_t *vat)
{
    size_t due[DUE_KINDS] = {0};
    refer_queue(a, &vat->queue, vat->row.vat);
    for (size_t i = 0; i < vat->held.room; i++) {
        const held_t *held = map_cell(&vat->held, i);
        if (!held) continue;
        refer_held(a, vat, held);
        for (due_kind_t kind = 0; kind < DUE_KINDS; kind++) due[kind] += held->due[kind];
    }
    for (due_kind_t kind = 0; kind < DUE_KINDS; kind++) check_list(a, vat, kind, due[kind]);
    for (const log_t *log = vat->log; log; log = log->next) {
        which_t row = row_of_log(log);
        for (size_t i = 0; i < log->kref_count; i++) refer(a, log->krefs[i], row);
        if (log->kind == ENTRY_MESSAGE)
            place(a, row, log->row.msg_vat, log->row.msg_d, log->row.msg_n);
        if (log->row.outcome != LOG_OPEN) found(a, "K31", row, "in flight, should have no outcome");
        if (!hash_same(log->hash, hash_of(blob_bin(log->delivery))))
            found(a, "K31", row, "its hash should be that of its delivery");
    }
}

/* What the kernel itself waits for: answers it owes, timers. */
static void refer_services(recount_t *a)
{
    for (size_t i = 0; i < a->k->services.room; i++) {
        const service_t *service = map_cell(&a->k->services, i);
        which_t row = {"service", 'k', 0, service ? service->row.kref : 0, 0};
        if (service) refer_value(a, service->value, SHAPE_ANY, row);
    }
    for (size_t i = 0; i < a->k->pendings.room; i++) {
        const pending_t *pending = map_cell(&a->k->pendings, i);
        if (!pending) continue;
        which_t row = {"pending", 'k', 0, pending->row.promise, 0};
        refer(a, kref_of(pending->row.promise), row);
        if (pending->row.kind != PENDING_WAKE) tally(a, pending->row.promise)->results++;
        refer(a, kref_of(pending->row.watched), row);
    }
    for (size_t i = 0; i < a->k->timers.room; i++) {
        const ktimer_t *timer = map_cell(&a->k->timers, i);
        if (!timer) continue;
        which_t row = {"timer", 0, 0, timer->row.timer, 0};
        refer(a, kref_of(timer->row.target), row);
        refer(a, kref_of(timer->row.token), row);
        refer(a, kref_of(timer->row.service), row);
        if (kref_is_promise(kref_of(timer->row.target))) tally(a, timer->row.target)->results++;
    }
}

static void refer_all(recount_t *a)
{
    for (size_t i = 0; i < a->k->vats.room; i++) {
        const kvat_t *vat = map_cell(&a->k->vats, i);
        if (vat) refer_vat(a, vat);
    }
    for (size_t i = 0; i < a->k->promises.room; i++) {
        const promise_t *promise = map_cell(&a->k->promises, i);
        if (!promise) continue;
        refer_queue(a, &promise->queue, promise->row.kref);
        if (promise->value)
            refer_value(a, promise->value, SHAPE_ANY, row_of_kref(promise->row.kref));
    }
    refer_services(a);
    for (size_t i = 0; i < a->k->holds.room; i++) {
        const hold_t *hold = map_cell(&a->k->holds, i);
        if (!hold) continue;
        refer(a, kref_of(hold->row.kref), (which_t){"hold", 'k', 0, hold->row.kref, 0});
    }
}

size_t kernel_audit(const kernel_t *k, finding_visit_t *visit, void *context)
{
    recount_t a = {.k = k, .visit = visit, .context = context};
    tallies_begin(&a);
    refer_all(&a);
    check_all(&a);
    free(a.tallies);
    free(a.places);
    return a.findings;
}
