/* Garbage collection of objects: what a vat must be told of, and when. There is no table of what is
 * due, because it follows from counts and flags:
 *
 *   nobody reaches it, its owner still thinks so       dropExports        (assigning clears the flag)
 *   nobody recognizes it either                        retireExports      (assigning deletes it)
 *   nobody reaches it, and nobody answers for it       retireImports      (assigning deletes the row)
 *
 * Each vat has three lists of krefs that were in such a state when something changed last. They are
 * looked at again when a delivery is made: what is reached again by then is left out (SwingSet 5.6
 * calls it negated). Order: drops, retired exports, retired imports, then a reap, then the queue. */
#include <stdlib.h>

#include "broker/kernel/crank/own.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* ---- the lists ---- */

static void due_add(kernel_t *k, held_t *held, due_kind_t kind)
{
    kvat_t *vat = held->vat;
    if (held->due[kind] || !vat_alive(vat)) return;

    due_t *due = &vat->due[kind];
    if (due->next == due->count) *due = (due_t){.at = due->at, .room = due->room};
    due->at = grown(due->at, &due->room, due->count + 1, sizeof *due->at);
    if (due->count > due->next && due->at[due->count - 1] > held->row.kref) due->unsorted = true;
    due->at[due->count++] = held->row.kref;
    held->due[kind] = true;
    vat_ready(k, vat);
}

/* Nobody can reach OBJECT: who must be told? Of an orphan all who know it, and they are listed once:
 * until somebody reaches it again there are no others. */
void gc_look(kernel_t *k, object_t *object)
{
    kref_t kref = {object->row.kref};
    if (object_orphan(k, object)) {
        if (object->listed) return;
        object->listed = true;
        for (held_t *held = object->named.holders; held; held = held->next)
            if (!(held->row.flags & HELD_EXPORTED)) due_add(k, held, DUE_RETIRE_IMPORT);
        return;
    }
    held_t *held = held_find(vat_find(k, object->row.owner), kref);
    if (held->row.flags & HELD_REACHABLE) due_add(k, held, DUE_DROP);
    if (!object->row.recognizable) due_add(k, held, DUE_RETIRE_EXPORT);
}

/* Start: the lists are made again. */
void gc_look_all(kernel_t *k)
{
    for (size_t i = 0; i < k->objects.room; i++) {
        object_t *object = map_cell(&k->objects, i);
        if (!object || object->row.reachable) continue;
        const kvat_t *owner = vat_find(k, object->row.owner);
        bool damaged = owner && !held_find(owner, kref_of(object->row.kref));
        if (!damaged) gc_look(k, object); /* the audit finds it */
    }
}

/* The row that the list's entry is about, if it is still true of it. */
static held_t *due_true(const kernel_t *k, const kvat_t *vat, due_kind_t kind, uint64_t kref)
{
    held_t *held = held_find(vat, kref_of(kref));
    if (!held || !held->due[kind]) return NULL;
    const object_t *object = object_find(k, kref_of(kref));
    bool exported = held->row.flags & HELD_EXPORTED, flag = held->row.flags & HELD_REACHABLE;
    if (object->row.reachable && !PLANTED(gc_not_negated)) return NULL;
    switch (kind) {
    case DUE_DROP: return exported && flag ? held : NULL;
    case DUE_RETIRE_EXPORT:
        return exported && !object->row.recognizable && (!flag || PLANTED(retire_before_drop))
                   ? held
                   : NULL;
    case DUE_RETIRE_IMPORT: return !exported && object_orphan(k, object) ? held : NULL;
    case DUE_KINDS: break;
    }
    return NULL;
}

static void due_pop(const kvat_t *vat, due_t *due, due_kind_t kind)
{
    held_t *held = held_find(vat, kref_of(due->at[due->next++]));
    if (held) held->due[kind] = false;
}

static void due_sort(due_t *due)
{
    if (due->unsorted) sort_numbers(due->at + due->next, due->count - due->next);
    due->unsorted = false;
}

/* The first entry that is still true; the others before it go. */
static held_t *due_first(const kernel_t *k, kvat_t *vat, due_kind_t kind)
{
    due_t *due = &vat->due[kind];
    while (due->next < due->count) {
        held_t *held = due_true(k, vat, kind, due->at[due->next]);
        if (held) return held;
        due_pop(vat, due, kind);
    }
    return NULL;
}

/* The vat ended: it is told nothing any more. */
void gc_end(kvat_t *vat)
{
    for (due_kind_t kind = 0; kind < DUE_KINDS; kind++) {
        free(vat->due[kind].at);
        vat->due[kind] = (due_t){0};
    }
}

/* ---- whose turn ---- */

/* Is there anything to tell the vat, as of now? */
bool gc_due(kernel_t *k, kvat_t *vat)
{
    for (due_kind_t kind = 0; kind < DUE_KINDS; kind++)
        if (due_first(k, vat, kind)) return true;
    return false;
}

/* How many krefs wait in its lists; some may not be true any more. */
size_t gc_listed(const kvat_t *vat)
{
    size_t krefs = 0;
    for (due_kind_t kind = 0; kind < DUE_KINDS; kind++)
        krefs += vat->due[kind].count - vat->due[kind].next;
    return krefs;
}

/* A GC delivery is alone in flight. A busy vat with a window lets it wait for a while, so that the
 * window is not emptied for each kref, but never for ever. */
bool gc_waits(const kvat_t *vat)
{
    bool serial = vat->cluster && vat->cluster->row.serial;
    if (vat->row.window == 1 || serial || !vat->queue.head) return false;
    return vat->since_barrier < BARRIER_DELIVERIES && gc_listed(vat) < BARRIER_KREFS;
}

static bool reached(uint64_t dirt, uint64_t threshold)
{
    return threshold < REAP_NEVER && dirt >= threshold;
}

bool reap_due(const kvat_t *vat)
{
    return vat->row.reap_asked || reached(vat->row.dirt_deliveries, vat->row.reap_deliveries) ||
           reached(vat->row.dirt_krefs, vat->row.reap_krefs);
}

/* ---- the deliveries ---- */

static entry_t own_entry(kernel_t *k, unsigned kind)
{
    cause_t cause = cause_input(k);
    return (entry_t){.row = {.kind = kind,
                             .msg_vat = cause.msg.vat.n,
                             .msg_d = cause.msg.d,
                             .msg_n = cause.msg.n,
                             .queued_ms = k->now_us / 1000},
                     .queued_us = k->now_us,
                     .trace = cause.trace};
}

/* The vat learns that it is so, and from now on it is. */
static void take_effect(kernel_t *k, held_t *held, due_kind_t kind)
{
    object_t *object = object_find(k, kref_of(held->row.kref));
    if (kind == DUE_DROP) {
        if (!PLANTED(drop_keeps_flag)) held_reach(k, held, false);
        return;
    }
    if (kind == DUE_RETIRE_EXPORT) {
        object->row.owner = 0;
        touch(k, &object->named.head);
    }
    held_drop(k, held);
}

static void assign_refs(kernel_t *k, kvat_t *vat, due_kind_t kind)
{
    static const unsigned kinds[] = {ENTRY_DROP_EXPORTS, ENTRY_RETIRE_EXPORTS,
                                     ENTRY_RETIRE_IMPORTS};
    static const msg_tag_t tags[] = {TAG_deliver_drop_exports, TAG_deliver_retire_exports,
                                     TAG_deliver_retire_imports};
    entry_t entry = own_entry(k, kinds[kind]);
    log_t *log = log_new(k, vat, &entry, 0);
    due_t *due = &vat->due[kind];
    kref_t *krefs = take(GC_KREFS_MAX * sizeof *krefs);
    size_t count = 0;

    due_sort(due);
    for (held_t *held; count < GC_KREFS_MAX && (held = due_first(k, vat, kind));) {
        krefs[count++] = kref_of(held->row.kref);
        due_pop(vat, due, kind);
        take_effect(k, held, kind);
    }
    /* The three messages have the same fields. */
    msg_deliver_drop_exports_t msg = {stamp(k, vat), draw_id(k), {krefs, count}};
    log_bytes(k, log, tags[kind], &msg);
    free(krefs);
    k->tally.gc[kind] += count;
    vat->row.dirt_krefs += count;
    log_append(k, vat, log, &entry);
}

static void assign_reap(kernel_t *k, kvat_t *vat)
{
    entry_t entry = own_entry(k, ENTRY_REAP);
    log_t *log = log_new(k, vat, &entry, 0);
    msg_deliver_reap_t msg = {stamp(k, vat), draw_id(k)};
    log_bytes(k, log, TAG_deliver_reap, &msg);
    if (!PLANTED(reap_for_ever)) vat->row.dirt_deliveries = 0;
    vat->row.dirt_krefs = vat->row.reap_asked = 0;
    log_append(k, vat, log, &entry);
}

/* Assigns what is due next: one list, or else a reap. Nothing of the vat is in flight. */
void gc_assign(kernel_t *k, kvat_t *vat)
{
    must(!vat->log || PLANTED(gc_without_barrier));
    for (due_kind_t kind = 0; kind < DUE_KINDS; kind++) {
        if (!due_first(k, vat, kind)) continue;
        if (PLANTED(retire_before_drop) && !kind && due_first(k, vat, DUE_RETIRE_EXPORT)) continue;
        assign_refs(k, vat, kind);
        return;
    }
    must(reap_due(vat));
    assign_reap(k, vat);
}

/* ---- REAP ---- */

static void ask_reap(kernel_t *k, kvat_t *vat)
{
    if (!vat_alive(vat)) return;
    if (!PLANTED(reap_forgotten)) vat->row.reap_asked = 1;
    touch(k, &vat->head);
    vat_ready(k, vat);
}

void on_reap(kernel_t *k, uint32_t client, const msg_reap_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    if (msg->cluster.n) {
        const kcluster_t *cluster = cluster_asked(k, client, msg->request, msg->cluster);
        if (!cluster) return;
        for (size_t i = 0; i < cluster->vat_count; i++) ask_reap(k, cluster->vats[i]);
    } else if (msg->vat.n) {
        kvat_t *vat = vat_asked(k, client, msg->request, msg->vat);
        if (!vat) return;
        ask_reap(k, vat);
    } else {
        size_t count;
        uint64_t *vats = map_sorted(&k->vats, &count);
        for (size_t i = 0; i < count; i++) ask_reap(k, vat_find(k, vats[i]));
        free(vats);
    }
    reply_done(k, client, msg->request);
}
