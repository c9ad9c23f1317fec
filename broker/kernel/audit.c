/* The audit: counts everything again from nothing and compares. The rules and their numbers are in
 * README.md. It only reads, so it may run on a live kernel. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/private.h"

/* What the rest of the state says about one kref. */
typedef struct {
    uint64_t reach, recognize, count; /* count: promises */
    uint64_t exports, results; /* export rows; queued messages that have it as their result */
    uint64_t exporter;
} tally_t;

typedef struct {
    uint64_t vat, d, n;
} place_t;

typedef struct {
    const kernel_t *k;
    finding_visit_t *visit;
    void *context;
    size_t findings;
    map_t tallies;
    place_t *places;
    size_t place_count, place_room;
    size_t decided, deciders; /* promises that vats list as theirs; that name a vat */
} audit_t;

__attribute__((format(printf, 4, 5))) static void found(audit_t *a, const char *rule,
                                                        const char *row, const char *format, ...)
{
    a->findings++;
    if (!a->visit) return;
    char should[256];
    va_list args;
    va_start(args, format);
    vsnprintf(should, sizeof should, format, args);
    va_end(args);
    a->visit(a->context, rule, row, should);
}

static void found_kref(audit_t *a, const char *rule, uint64_t kref, const char *should)
{
    char text[KREF_TEXT_MAX];
    found(a, rule, kref_text(kref_of(kref), text), "%s", should);
}

static void found_count(audit_t *a, const char *rule, uint64_t kref, const char *what, uint64_t is,
                        uint64_t should)
{
    char text[KREF_TEXT_MAX];
    if (is != should)
        found(a, rule, kref_text(kref_of(kref), text), "%s is %" PRIu64 ", should be %" PRIu64,
              what, is, should);
}

static void found_vat(audit_t *a, const char *rule, const kvat_t *vat, const char *should)
{
    char text[32];
    snprintf(text, sizeof text, "v%u", vat->id.n);
    found(a, rule, text, "%s", should);
}

static tally_t *tally(audit_t *a, uint64_t kref)
{
    tally_t *at = map_get(&a->tallies, kref);
    if (at) return at;
    at = take(sizeof *at);
    map_put(&a->tallies, kref, at);
    return at;
}

/* ---- first pass: who refers to what ---- */

static void refer(audit_t *a, kref_t kref)
{
    if (kref_none(kref)) return;
    tally_t *at = tally(a, kref.n);
    at->reach++;
    at->recognize++;
    at->count++;
    if (!kref_known(a->k, kref)) found_kref(a, "K33", kref.n, "a reference to something gone");
}

static void refer_value(audit_t *a, const value_t *value)
{
    for (size_t i = 0; value && i < value->slot_count; i++) refer(a, value->slots[i]);
}

static void place(audit_t *a, uint64_t vat, uint64_t d, uint64_t n)
{
    a->places = grown(a->places, &a->place_room, a->place_count + 1, sizeof *a->places);
    a->places[a->place_count++] = (place_t){vat, d, n};
}

static void refer_queue(audit_t *a, const queue_t *queue, uint64_t holder)
{
    uint64_t seq = 0;
    size_t count = 0;
    for (const entry_t *entry = queue->head; entry; entry = entry->next, count++) {
        refer(a, kref_of(entry->row.target));
        refer(a, kref_of(entry->row.result));
        refer_value(a, entry->value);
        if (entry->row.result) tally(a, entry->row.result)->results++;
        if (entry->row.kind == ENTRY_MESSAGE)
            place(a, entry->row.msg_vat, entry->row.msg_d, entry->row.msg_n);
        if (entry->row.kind == ENTRY_NOTIFY) {
            const promise_t *promise = promise_find(a->k, kref_of(entry->row.target));
            if (!promise || promise->row.state == PROMISE_UNRESOLVED)
                found_kref(a, "K35", entry->row.target, "settled: a notify of it is queued");
        }
        if (entry->row.holder != holder || entry->row.seq <= seq)
            found_kref(a, "K30", entry->row.target, "its entry stands in another queue or order");
        seq = entry->row.seq;
    }
    if (count != queue->count) found_kref(a, "K30", holder, "its queue has another length");
}

static void refer_held(audit_t *a, const kvat_t *vat, const held_t *held, size_t *at_due)
{
    kref_t kref = {held->row.kref};
    tally_t *at = tally(a, kref.n);
    bool exported = held->row.flags & HELD_EXPORTED, reachable = held->row.flags & HELD_REACHABLE;
    at->count++;
    if (exported) {
        at->exports++;
        at->exporter = vat->row.vat;
    } else {
        at->recognize++;
        if (reachable) at->reach++;
    }
    const held_t *linked = held->prev ? held->prev->next : held->named->holders;
    if (linked != held || held->vat != vat)
        found_kref(a, "K22", kref.n, "its holders do not name this row");
    if (!kref_known(a->k, kref)) found_kref(a, "K22", kref.n, "a row names something gone");
    if (kref_is_promise(kref) && !reachable) found_kref(a, "K27", kref.n, "rows of promises reach");
    if (exported && kref_is_promise(kref) && kref_issuer(kref).n != vat->row.vat)
        found_kref(a, "K23", kref.n, "exported by a vat that did not make it");
    uint64_t last = vat->row.assigned;
    bool late = held->row.since_d > last || held->row.intro_d > last || held->row.told_d > last;
    if (late && vat_alive(vat)) /* what a vat that ended had in flight was never run */
        found_kref(a, "K25", kref.n, "since_d, intro_d and told_d are at most `assigned`");
    for (due_kind_t kind = 0; kind < DUE_KINDS; kind++) at_due[kind] += held->due[kind];
}

static void refer_vat(audit_t *a, const kvat_t *vat)
{
    size_t due[DUE_KINDS] = {0};
    refer_queue(a, &vat->queue, vat->row.vat);
    for (size_t i = 0; i < vat->held.room; i++) {
        const held_t *held = map_cell(&vat->held, i);
        if (held) refer_held(a, vat, held, due);
    }
    for (due_kind_t kind = 0; kind < DUE_KINDS; kind++)
        if (vat_alive(vat) && due[kind] > vat->due[kind].count - vat->due[kind].next)
            found_vat(a, "K38", vat, "what is marked as due is in the list of what is due");
    for (const promise_t *promise = vat->decides; promise; promise = promise->decided_next) {
        a->decided++;
        if (promise->row.decider != vat->row.vat || promise->row.state)
            found_kref(a, "K12", promise->row.kref, "listed by a vat that does not decide it");
    }
    for (const log_t *log = vat->log; log; log = log->next) {
        for (size_t i = 0; i < log->kref_count; i++) refer(a, log->krefs[i]);
        if (log->kind == ENTRY_MESSAGE) place(a, log->row.msg_vat, log->row.msg_d, log->row.msg_n);
    }
}

static void refer_all(audit_t *a)
{
    for (size_t i = 0; i < a->k->vats.room; i++) {
        const kvat_t *vat = map_cell(&a->k->vats, i);
        if (vat) refer_vat(a, vat);
    }
    for (size_t i = 0; i < a->k->promises.room; i++) {
        const promise_t *promise = map_cell(&a->k->promises, i);
        if (!promise) continue;
        refer_queue(a, &promise->queue, promise->row.kref);
        refer_value(a, promise->value);
    }
    for (size_t i = 0; i < a->k->objects.room; i++) {
        const object_t *object = map_cell(&a->k->objects, i);
        for (uint64_t n = 0; object && n < object->row.pins; n++)
            refer(a, kref_of(object->row.kref));
    }
    for (size_t i = 0; i < a->k->holds.room; i++) {
        const hold_t *hold = map_cell(&a->k->holds, i);
        if (hold) refer(a, kref_of(hold->row.kref));
    }
}

/* ---- second pass: each record against that ---- */

static void check_name(audit_t *a, kref_t kref)
{
    uint64_t issuer = kref_issuer(kref).n, last = 0;
    const kvat_t *vat = vat_find(a->k, issuer);
    if (vat) last = kref_is_promise(kref) ? vat->row.promises : vat->row.objects;
    if (!issuer) last = a->k->counters[COUNTER_next_promise].value;
    if (issuer && !vat) found_kref(a, "K1", kref.n, "its issuer is not known");
    if (kref_serial(kref) > last) found_kref(a, "K1", kref.n, "its issuer never made that many");
}

/* What nobody reaches, somebody is to be told of. */
static void check_due(audit_t *a, const object_t *object)
{
    uint64_t kref = object->row.kref;
    if (object->row.reachable) return;
    if (object_orphan(a->k, object)) {
        for (const held_t *held = object->named.holders; held; held = held->next)
            if (!(held->row.flags & HELD_EXPORTED) && vat_alive(held->vat) &&
                !held->due[DUE_RETIRE_IMPORT])
                found_kref(a, "K9", kref, "an orphan out of reach: retireImports is due");
        return;
    }
    const held_t *held = held_find(vat_find(a->k, object->row.owner), kref_of(kref));
    if (!held) return; /* K3 */
    if (held->row.flags & HELD_REACHABLE && !held->due[DUE_DROP])
        found_kref(a, "K8", kref, "out of reach, and its owner was not told: dropExports is due");
    if (!object->row.recognizable && !held->due[DUE_RETIRE_EXPORT])
        found_kref(a, "K9", kref, "recognized by nobody: retireExports is due");
}

static void check_object(audit_t *a, const object_t *object)
{
    uint64_t kref = object->row.kref;
    const tally_t *at = tally(a, kref);
    const kvat_t *owner = vat_find(a->k, object->row.owner);
    check_name(a, kref_of(kref));
    if (object->row.owner && (!owner || (!vat_alive(owner) && !owner->cleaning)))
        found_kref(a, "K2", kref, "its owner is not alive");
    if (at->exports != (object->row.owner ? 1 : 0) || at->exporter != object->row.owner)
        found_kref(a, "K3", kref, "its owner, and nobody else, has an export row");
    if (object->row.reachable > object->row.recognizable)
        found_kref(a, "K4", kref, "reachable is at most recognizable");
    found_count(a, "K5", kref, "reachable", object->row.reachable, at->reach);
    found_count(a, "K6", kref, "recognizable", object->row.recognizable, at->recognize);
    if (!object->row.owner && !object->row.recognizable)
        found_kref(a, "K7", kref, "gone: nobody owns it and nobody recognizes it");
    check_due(a, object);
}

static size_t subscribers(audit_t *a, const promise_t *promise)
{
    size_t count = 0;
    for (const held_t *held = promise->named.holders; held; held = held->next) {
        if (!(held->row.flags & HELD_SUBSCRIBED)) continue;
        if (vat_alive(held->vat))
            count++;
        else if (!held->vat->cleaning)
            found_kref(a, "K16", promise->row.kref, "a subscriber is dead");
    }
    return count;
}

static void check_promise(audit_t *a, const promise_t *promise)
{
    uint64_t kref = promise->row.kref;
    const tally_t *at = tally(a, kref);
    const kvat_t *decider = vat_find(a->k, promise->row.decider);
    size_t subscribed = subscribers(a, promise);
    check_name(a, kref_of(kref));
    if (promise->row.state > PROMISE_REJECTED) found_kref(a, "K11", kref, "in no known state");
    found_count(a, "K15", kref, "its count", promise->row.count, at->count);

    if (promise->row.state == PROMISE_UNRESOLVED) {
        if (at->results + (promise->row.decider ? 1 : 0) != 1)
            found_kref(a, "K12", kref, "exactly one vat or one queued message decides it");
        a->deciders += promise->row.decider != 0;
        if (promise->row.decider && (!decider || !vat_alive(decider)))
            found_kref(a, "K12", kref, "its decider is not alive");
        if (decider && !held_find(decider, kref_of(kref)))
            found_kref(a, "K13", kref, "its decider has no row for it");
        if (promise->value) found_kref(a, "K14", kref, "unresolved and has a value");
        if (!promise->row.count) found_kref(a, "K19", kref, "gone: its count is 0");
        return;
    }
    if (promise->row.decider || subscribed || at->results || !promise->value)
        found_kref(a, "K14", kref, "settled: a value, no decider, subscriber or message for it");
    if (promise->queue.head) found_kref(a, "K17", kref, "settled, and messages wait for it");
    if (!promise->row.count) found_kref(a, "K19", kref, "gone: settled, and its count is 0");
}

/* GC and reap wait for what is in flight, and then they run. */
static bool may_gc(const kvat_t *vat)
{
    if (vat->cluster && vat->cluster->row.serial) return false;
    if (vat->row.state != VAT_RUNNING || vat->log || vat->ready) return false;
    return gc_listed(vat) || reap_due(vat);
}

/* In a serial cluster only the one whose turn it is, and that is looked at elsewhere. */
static bool may_run(const kvat_t *vat)
{
    if (vat->ready || (vat->cluster && vat->cluster->row.serial)) return false;
    if (vat->row.state == VAT_STARTING) return vat->row.assigned == 0;
    bool stands = reap_due(vat) || (gc_listed(vat) && !gc_waits(vat));
    if (vat->log && (vat->log->kind >= ENTRY_REAP || stands)) return false;
    return vat->row.state == VAT_RUNNING && vat->row.assigned - vat->row.applied < vat->row.window;
}

static void check_vat(audit_t *a, const kvat_t *vat)
{
    uint64_t d = vat->row.applied;
    for (const log_t *log = vat->log; log; log = log->next)
        if (log->row.d != ++d) found_vat(a, "K31", vat, "rows in flight are dense");
    if (d != vat->row.assigned || d - vat->row.applied > vat->row.window)
        found_vat(a, "K31", vat, "rows in flight are those up to `assigned`, at most the window");
    if (!vat_alive(vat) && ((vat->held.count && !vat->cleaning) || vat->queue.head || vat->log))
        found_vat(a, "K26", vat, "ended: no rows, no queue, nothing in flight");
    for (const log_t *log = vat->log; log; log = log->next)
        if ((log->kind >= ENTRY_REAP || log->kind == ENTRY_START) && (log != vat->log || log->next))
            found_vat(a, "K32", vat, "start, reap and GC are alone in flight");
    if (vat->queue.head && may_run(vat))
        found_vat(a, "K37", vat, "its queue and its window are open: it should run");
    if (may_gc(vat)) found_vat(a, "K37", vat, "GC or a reap is due and nothing in flight");
    if (vat->busy != vat->queue.count + (vat->row.assigned - vat->row.applied))
        found_vat(a, "K36", vat, "busy is what is queued and in flight");
}

static void check_cluster(audit_t *a, const kcluster_t *cluster)
{
    uint64_t busy = 0, in_flight = 0;
    for (size_t i = 0; i < cluster->vat_count; i++) {
        const kvat_t *vat = cluster->vats[i];
        if (vat->row.state == VAT_QUARANTINED) continue;
        busy += vat->busy;
        in_flight += vat->row.assigned - vat->row.applied;
    }
    char text[32];
    snprintf(text, sizeof text, "s%" PRIu64, cluster->row.cluster);
    if (cluster->row.serial && in_flight != (busy ? 1 : 0))
        found(a, "K37", text, "one crank of a serial cluster with work should be in flight");
    if (busy == cluster->busy) return;
    found(a, "K36", text, "busy is %zu, should be %" PRIu64, cluster->busy, busy);
}

static int by_place(const void *left, const void *right)
{
    const place_t *x = left, *y = right;
    if (x->vat != y->vat) return x->vat < y->vat ? -1 : 1;
    if (x->d != y->d) return x->d < y->d ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

static void check_places(audit_t *a)
{
    if (a->place_count) qsort(a->places, a->place_count, sizeof *a->places, by_place);
    for (size_t i = 1; i < a->place_count; i++) {
        if (by_place(&a->places[i - 1], &a->places[i]) != 0) continue;
        char text[80];
        snprintf(text, sizeof text, "v%" PRIu64 "/%" PRIu64 "#%" PRIu64, a->places[i].vat,
                 a->places[i].d, a->places[i].n);
        found(a, "K29", text, "a message is in one place only");
    }
}

/* A tally of something that is not there was reported as K22 or K33 where it is named. */
size_t kernel_audit(const kernel_t *k, finding_visit_t *visit, void *context)
{
    audit_t a = {.k = k, .visit = visit, .context = context};
    refer_all(&a);

    for (size_t i = 0; i < k->objects.room; i++)
        if (map_cell(&k->objects, i)) check_object(&a, map_cell(&k->objects, i));
    for (size_t i = 0; i < k->promises.room; i++)
        if (map_cell(&k->promises, i)) check_promise(&a, map_cell(&k->promises, i));
    for (size_t i = 0; i < k->vats.room; i++)
        if (map_cell(&k->vats, i)) check_vat(&a, map_cell(&k->vats, i));
    for (size_t i = 0; i < k->clusters.room; i++)
        if (map_cell(&k->clusters, i)) check_cluster(&a, map_cell(&k->clusters, i));
    check_places(&a);
    if (a.decided != a.deciders)
        found(&a, "K12", "promises", "%zu have a vat as decider, should be %zu", a.deciders,
              a.decided);

    for (size_t i = 0; i < a.tallies.room; i++) free(map_cell(&a.tallies, i));
    map_clear(&a.tallies);
    free(a.places);
    return a.findings;
}
