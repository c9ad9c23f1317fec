/* From queue to log: here an entry gets its number, its bytes, its stamp, and the vat the right to
 * name what is in it. */
#include <stdlib.h>

#include "broker/kernel/crank/own.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/planted.h"

static log_t *assign_start(kernel_t *k, kvat_t *vat, const entry_t *entry)
{
    log_t *log = log_parameters(k, vat, entry);
    if (!PLANTED(start_gives_nothing)) parameters_introduce(k, vat, log);
    msg_deliver_start_t msg = {stamp(k, vat), draw_id(k), value_data(entry->value)};
    log_bytes(k, log, TAG_deliver_start, &msg);
    return log;
}

static log_t *assign_message(kernel_t *k, kvat_t *vat, const entry_t *entry)
{
    capdata_t data = value_data(entry->value);
    kref_t target = {entry->row.target}, result = {entry->row.result};
    log_t *log = log_new(k, vat, entry, data.slots.count + 2);
    uint64_t d = log->row.d;

    /* The row takes over the references of the entry. */
    log->krefs[log->kref_count++] = target;
    held_introduce(k, vat, target, d);
    for (size_t i = 0; i < data.slots.count; i++) {
        log->krefs[log->kref_count++] = data.slots.at[i];
        held_introduce(k, vat, data.slots.at[i], d);
    }
    if (!kref_none(result)) {
        log->krefs[log->kref_count++] = result;
        held_introduce(k, vat, result, d);
        if (!PLANTED(result_without_decider)) promise_decide(k, promise_find(k, result), vat, d);
    }
    for (size_t i = 0; i < log->kref_count; i++) ref_up(k, log->krefs[i]);

    msg_deliver_message_t msg = {stamp(k, vat), draw_id(k), target, data, result};
    log_bytes(k, log, TAG_deliver_message, &msg);
    return log;
}

/* ---- notify ---- */

typedef struct {
    kernel_t *k;
    kvat_t *vat;
    map_t seen;
    promise_t **at;
    size_t count, room, bytes;
    promise_t **stack;
    size_t depth, stack_room;
} closure_t;

static size_t told_bytes(const promise_t *promise)
{
    capdata_t data = value_data(promise->value);
    return data.body.len + data.slots.count * 9 + 64;
}

/* May this promise be told in the batch? One that does not fit stays out: the vat imports it from a
 * slot, subscribes, and is told later. One that a notify in flight tells already is told once more: a
 * slot of this batch mentions it again. Without that, a ring of promises, of which one batch tells
 * some and the next the others, would be asked for and told for ever. */
static bool may_tell(const closure_t *c, const promise_t *promise)
{
    if (promise->row.state == PROMISE_UNRESOLVED) return false;
    if (map_get(&c->seen, promise->row.kref)) return false;
    if (!c->count) return true;
    return c->count < RESOLUTIONS_MAX && c->bytes + told_bytes(promise) < DELIVERY_BYTES_MAX - 4096;
}

static void stack_push(closure_t *c, promise_t *promise)
{
    c->stack = grown(c->stack, &c->stack_room, c->depth + 1, sizeof *c->stack);
    c->stack[c->depth++] = promise;
}

/* Depth first, pre-order: each settled promise, then what its value leads to, left to right
 * (SwingSet 5.3). */
static void closure_walk(closure_t *c, promise_t *first)
{
    stack_push(c, first);
    while (c->depth) {
        promise_t *promise = c->stack[--c->depth];
        if (!may_tell(c, promise)) continue;

        map_put(&c->seen, promise->row.kref, promise);
        c->at = grown(c->at, &c->room, c->count + 1, sizeof *c->at);
        c->at[c->count++] = promise;
        c->bytes += told_bytes(promise);
        capdata_t data = value_data(promise->value);
        for (size_t i = data.slots.count; i-- > 0;) {
            if (!kref_is_promise(data.slots.at[i])) continue;
            stack_push(c, promise_find(c->k, data.slots.at[i]));
        }
    }
}

static log_t *log_notify(kernel_t *k, kvat_t *vat, const entry_t *entry, const closure_t *c)
{
    log_t *log = log_new(k, vat, entry, c->count);
    uint64_t d = log->row.d;
    resolution_t *batch = take(c->count * sizeof *batch);

    for (size_t i = 0; i < c->count; i++) {
        promise_t *promise = c->at[i];
        kref_t kref = {promise->row.kref};
        batch[i] = (resolution_t){kref, promise->row.state == PROMISE_REJECTED,
                                  value_data(promise->value)};
        log->krefs[log->kref_count++] = kref;
        ref_up(k, kref);
        held_t *held = held_introduce(k, vat, kref, d);
        held->row.told_d = d;
        for (size_t j = 0; j < promise->value->slot_count; j++)
            held_introduce(k, vat, promise->value->slots[j], d);
    }
    msg_deliver_notify_t msg = {stamp(k, vat), draw_id(k), {batch, c->count}};
    log_bytes(k, log, TAG_deliver_notify, &msg);
    free(batch);
    return log;
}

/* NULL: nothing to tell, the vat forgot the promise or has been told already. */
static log_t *assign_notify(kernel_t *k, kvat_t *vat, const entry_t *entry)
{
    promise_t *promise = promise_find(k, kref_of(entry->row.target));
    must(promise && promise->row.state != PROMISE_UNRESOLVED);
    const held_t *held = held_find(vat, kref_of(entry->row.target));
    if (!held || (held_told(held) && !PLANTED(told_twice))) return NULL;

    closure_t c = {.k = k, .vat = vat};
    closure_walk(&c, promise);
    log_t *log = log_notify(k, vat, entry, &c);
    map_clear(&c.seen);
    free(c.at);
    free(c.stack);
    return log;
}

/* ---- */

/* Sends one live row to the vat's worker: not behind one that cost a worker already, so that it is known
 * which one the next death is about. */
void deliver(kernel_t *k, const kvat_t *vat, const log_t *log)
{
    if (!vat->attached || (vat->log != log && vat->log->row.attempts)) return;
    if (vat->baggage && log->row.d > vat->baggage && log->kind != ENTRY_UPGRADE)
        return; /* it goes back */

    /* What is sent has been committed first, so every row up to `assigned` is durable by then. */
    msg_deliver_t msg = {
        .vat = vat->id,
        .inc = vat->row.inc,
        .pgen = vat->row.pgen,
        .run = vat->row.run,
        .d = log->row.d,
        .applied = vat->row.applied,
        .durable = vat->row.assigned,
        .trace = log->trace,
        .cause = {{(uint32_t)log->row.msg_vat}, log->row.msg_d, (uint32_t)log->row.msg_n},
        .delivery = blob_bin(log->delivery)};
    effect_t *effect = send_host(k, vat->row.host, TAG_deliver, &msg);
    if (!effect) return;
    effect->vat = vat->id;
    effect->first = log->row.d;
}

void log_append(kernel_t *k, kvat_t *vat, log_t *log, const entry_t *entry)
{
    vat->row.assigned = log->row.d;
    vat->row.stamp_ms = stamp(k, vat);
    touch(k, &vat->head);
    if (vat->log_tail)
        vat->log_tail->next = log;
    else
        vat->log = log;
    vat->log_tail = log;
    vat->since_barrier = log->kind >= ENTRY_REAP ? 0 : vat->since_barrier + 1;
    if (log->kind != ENTRY_REAP) vat->row.dirt_deliveries++;
    vat_busy(k, vat, true);

    tally_assigned(k, log, entry);
    event_deliver(k, vat, log, entry);
    deliver(k, vat, log);
}

/* A start row is alone in flight: the vat is running once it is applied. So are GC and reap: what
 * they take away, nothing in flight may mention. */
static bool window_open(const kvat_t *vat)
{
    if (vat->row.state == VAT_STARTING) return vat->row.assigned == 0;
    if (vat->row.state != VAT_RUNNING) return false;
    if (vat->log && vat->log->kind >= ENTRY_REAP && !PLANTED(gc_is_followed)) return false;
    if (vat->log && (vat->log->row.attempts || vat->baggage)) return false;
    return vat->row.assigned - vat->row.applied < vat->row.window + PLANTED(window_too_wide);
}

/* Runs a crank of this cluster? What a vat in quarantine has in flight stands still. */
static bool crank_runs(const kcluster_t *cluster)
{
    for (size_t i = 0; i < cluster->vat_count; i++) {
        const kvat_t *vat = cluster->vats[i];
        if (vat->log && vat->row.state != VAT_QUARANTINED) return true;
    }
    return false;
}

/* Would VAT, which has a crank in flight and is in quarantine, run it beside another's of its serial cluster? */
bool serial_elsewhere(const kvat_t *vat)
{
    return vat->cluster && vat->cluster->row.serial && vat->log && crank_runs(vat->cluster);
}

/* What a vat would take next: GC and reap come before the queue, unless they may wait. */
typedef enum { NEXT_GC, NEXT_REAP, NEXT_HEAD, NEXT_NOTHING } next_t;

static next_t next_of(kernel_t *k, kvat_t *vat)
{
    if (!window_open(vat)) return NEXT_NOTHING;
    const entry_t *head = vat->queue.head;
    if (vat->baggage) /* it has no heap before that */
        return head && head->row.kind == ENTRY_UPGRADE ? NEXT_HEAD : NEXT_NOTHING;
    if (vat->row.state == VAT_RUNNING) {
        bool reap = reap_due(vat), gc = (reap || !gc_waits(vat)) && gc_due(k, vat);
        bool alone = !vat->log || (PLANTED(gc_without_barrier) && vat->log->kind < ENTRY_REAP);
        if ((gc || reap) && !alone) return NEXT_NOTHING; /* first what is in flight */
        if (gc) return NEXT_GC;
        if (reap) return NEXT_REAP;
    }
    if (head && head->row.kind == ENTRY_UPGRADE && vat->log && !PLANTED(upgrade_not_alone))
        return NEXT_NOTHING;
    return head ? NEXT_HEAD : NEXT_NOTHING;
}

/* A cluster with --serial runs one crank at a time: GC, then reaps, of the lowest vat first, then
 * entries in the order in which they were queued. It is for conformance, so a walk over its vats is
 * good enough. */
static bool serial_turn(kernel_t *k, const kvat_t *vat, next_t next)
{
    const kcluster_t *cluster = vat->cluster;
    if (!cluster || !cluster->row.serial) return true;
    if (crank_runs(cluster)) return false;
    for (size_t i = 0; i < cluster->vat_count; i++) {
        kvat_t *other = cluster->vats[i];
        if (other == vat) continue;
        next_t its = next_of(k, other);
        if (its < next) return false;
        if (its != next || its == NEXT_NOTHING) continue;
        if (its != NEXT_HEAD && other->row.vat < vat->row.vat) return false;
        if (its == NEXT_HEAD && other->queue.head->row.seq < vat->queue.head->row.seq) return false;
    }
    return true;
}

static void assign_head(kernel_t *k, kvat_t *vat)
{
    entry_t *entry = queue_pop(&vat->queue);
    vat_busy(k, vat, false);
    bury(k, &entry->head);

    log_t *log;
    if (entry->row.kind == ENTRY_MESSAGE) {
        if (!route_here(k, vat, entry)) return;
        log = assign_message(k, vat, entry);
    } else if (entry->row.kind == ENTRY_NOTIFY) {
        log = assign_notify(k, vat, entry);
    } else if (entry->row.kind == ENTRY_UPGRADE) {
        log = upgrade_assign(k, vat, entry);
    } else {
        log = assign_start(k, vat, entry);
    }
    if (log) log_append(k, vat, log, entry);
    entry_release(k, entry);
}

/* A serial cluster: its crank ended, or an entry left a queue without one. Whose turn is it now? */
void serial_next(kernel_t *k, kcluster_t *cluster)
{
    if (!cluster || !cluster->row.serial || crank_runs(cluster)) return;
    for (size_t i = 0; i < cluster->vat_count; i++)
        if (next_of(k, cluster->vats[i]) != NEXT_NOTHING) vat_ready(k, cluster->vats[i]);
}

/* One step from the vat's queue, or from what is due, to its log. False: it is not its turn. */
static bool assign_one(kernel_t *k, kvat_t *vat)
{
    next_t next = next_of(k, vat);
    if (next == NEXT_NOTHING || !serial_turn(k, vat, next)) return false;
    if (next == NEXT_HEAD)
        assign_head(k, vat);
    else
        gc_assign(k, vat);
    route_all(k);
    return true;
}

/* All vats that were touched take what their windows allow. Splats on the way make new work, which
 * is routed before the next vat is looked at. */
void assign_all(kernel_t *k)
{
    while (k->ready) {
        kvat_t *vat = k->ready;
        k->ready = vat->ready_next;
        if (!k->ready) k->ready_tail = NULL;
        vat->ready = false;

        bool moved = false;
        while (assign_one(k, vat)) moved = true;
        if (moved) serial_next(k, vat->cluster);
        vat_push(k, vat);
    }
}
