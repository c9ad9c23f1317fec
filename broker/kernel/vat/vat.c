/* Vats: their life and their end. */
#include <stdlib.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/own.h"
#include "wire/base/planted.h"

/* One more (or less) that is alive, where it stands and in its cluster. */
void vat_counted(kernel_t *k, const kvat_t *vat, bool more)
{
    khost_t *host = host_find(k, vat->row.host);
    if (host) host->vats = more ? host->vats + 1 : host->vats - 1;
    if (host && host->row.state != HOST_USUAL) k->hosts_check = true;
    if (vat->cluster)
        vat->cluster->alive = more ? vat->cluster->alive + 1 : vat->cluster->alive - 1;
}

void vat_free(kvat_t *vat)
{
    for (size_t i = 0; i < vat->held.room; i++) free(map_cell(&vat->held, i));
    map_clear(&vat->held);
    for (entry_t *entry; (entry = queue_pop(&vat->queue));) entry_destroy(&entry);
    while (vat->log) {
        log_t *log = vat->log;
        vat->log = log->next;
        log_free(log);
    }
    gc_end(vat);
    if (vat->divergence) blob_destroy(&vat->divergence->calls);
    free(vat->divergence);
    free(vat->mirror);
    blob_destroy(&vat->move_request);
    makes_free(vat);
    free(vat->clean);
    blob_destroy(&vat->name);
    blob_destroy(&vat->reason);
    blob_destroy(&vat->bundle);
    blob_destroy(&vat->first_bundle);
    blob_destroy(&vat->globals);
    blob_destroy(&vat->hosts);
    free(vat);
}

/* The vat may have something to assign: looked at when the step's routing is done. */
void vat_ready(kernel_t *k, kvat_t *vat)
{
    if (vat->ready) return;
    vat->ready = true;
    vat->ready_next = NULL;
    if (k->ready_tail)
        k->ready_tail->ready_next = vat;
    else
        k->ready = vat;
    k->ready_tail = vat;
}

static void busy_change(kernel_t *k, kvat_t *vat, size_t n, bool more)
{
    size_t *counts[] = {&k->busy, vat->cluster ? &vat->cluster->busy : NULL};
    for (size_t i = 0; i < 2; i++) {
        if (!counts[i]) continue;
        must(more || *counts[i] >= n);
        *counts[i] = more ? *counts[i] + n : *counts[i] - n;
        if (*counts[i] == 0) k->idle_check = true;
    }
}

/* One more (or less) queue entry or row in flight. Those of a vat in quarantine do not keep its
 * cluster from being idle: they do not move. */
void vat_busy(kernel_t *k, kvat_t *vat, bool more)
{
    must(more || vat->busy > 0);
    if (PLANTED(busy_never_less) && !more) return;
    vat->busy = more ? vat->busy + 1 : vat->busy - 1;
    if (vat->row.state != VAT_QUARANTINED) busy_change(k, vat, 1, more);
}

static uint64_t or_default(uint64_t value, uint64_t otherwise) { return value ? value : otherwise; }

/* The host starts a worker, unless one runs. */
void vat_push(kernel_t *k, kvat_t *vat)
{
    bool waits = vat->log || vat->queue.head || vat->ship || vat->makes || vat->row.moving;
    khost_t *host = host_find(k, vat->row.host);
    if (!waits || vat->attached || vat->asked || !host || !host->connected) return;
    if (vat->row.state != VAT_STARTING && vat->row.state != VAT_RUNNING) return;

    vat->asked = true;
    msg_vat_new_t msg = {.vat = vat->id,
                         .inc = vat->row.inc,
                         .pgen = vat->row.pgen,
                         .name = vat->row.name,
                         .bundle = vat->row.first_bundle,
                         .dialect = vat->row.dialect,
                         .computrons = vat->row.computrons_max,
                         .wall_ms = vat->row.wall_ms,
                         .heap_bytes = vat->row.heap_bytes,
                         .globals = vat->row.globals,
                         .every_rows = or_default(vat->row.every_rows, CHECKPOINT_ROWS_DEFAULT),
                         .every_bytes = or_default(vat->row.every_bytes, CHECKPOINT_BYTES_DEFAULT),
                         .idle_ms = or_default(vat->row.idle_ms, CHECKPOINT_IDLE_MS_DEFAULT),
                         .sleep_ms = vat->row.sleep_ms,
                         .mirror = vat->row.mirror};
    if (vat->mirror) {
        msg.checkpoint = vat->mirror->row.d;
        msg.checkpoint_hash = vat->mirror->hash;
        msg.checkpoint_bytes = vat->mirror->row.bytes;
    }
    send_host(k, vat->row.host, TAG_vat_new, &msg);
}

/* No copy of it will come: a backup that waited for one goes on without. */
static void ship_none(kernel_t *k, kvat_t *vat)
{
    if (vat->ship) k->hosts_check = true;
    vat->ship = false;
}

/* Out of quarantine: what it was there for is mended. */
void vat_resume(kernel_t *k, kvat_t *vat)
{
    must(vat->row.state == VAT_QUARANTINED);
    busy_change(k, vat, vat->busy, true);
    vat->row.state = VAT_RUNNING;
    vat->row.error = 0;
    blob_destroy(&vat->reason);
    vat->row.reason = (text_t){0};
    touch(k, &vat->head);
    if (vat->cluster && vat->cluster->row.state == CLUSTER_STARTING)
        cluster_started(k, vat->cluster);
    vat_ready(k, vat);
}

/* ERROR and WHY say what does not fit. */
void vat_quarantine(kernel_t *k, kvat_t *vat, err_t error, const char *why)
{
    must(vat->row.state == VAT_STARTING || vat->row.state == VAT_RUNNING);
    bool launching = vat->cluster && vat->cluster->row.state == CLUSTER_STARTING;
    if (vat->row.state == VAT_STARTING || launching) {
        /* It has no history that would be worth keeping, and its LAUNCH waits for an answer. */
        vat_end(k, vat, error, text_blob(text_of(why)), cause_input(k));
        return;
    }
    busy_change(k, vat, vat->busy, false);
    vat->row.state = VAT_QUARANTINED;
    vat->row.error = error;
    blob_destroy(&vat->reason);
    vat->reason = text_blob(text_of(why));
    vat->row.reason = blob_text(vat->reason);
    vat->attached = false;
    touch(k, &vat->head);
    ship_none(k, vat);
    move_fail(k, vat, ERR_MOVE_FAILED, why);
    makes_fail(k, vat, false, error, why);
    serial_next(k, vat->cluster);
    event_life(k, "vat-quarantine", vat, NULL, vat->row.reason);
}

/* ---- the end of a vat ---- */

static value_t *terminated(kernel_t *k)
{
    return value_error(k, "VAT_TERMINATED", "vat terminated", (text_t){0});
}

/* Every unresolved promise that it decides is rejected once, in the order of krefs, results of
 * messages in flight included. */
static void end_promises(kernel_t *k, kvat_t *vat, cause_t cause)
{
    size_t count = 0, n = 0;
    for (promise_t *promise = vat->decides; promise; promise = promise->decided_next) count++;
    if (!count) return;

    uint64_t *krefs = take(count * sizeof *krefs);
    for (promise_t *promise = vat->decides; promise; promise = promise->decided_next)
        krefs[n++] = promise->row.kref;
    if (PLANTED(end_forgets_one)) count--;
    sort_numbers(krefs, count);
    AUTO(value) why = terminated(k);
    for (size_t i = 0; i < count; i++) {
        promise_t *promise = promise_find(k, kref_of(krefs[i]));
        promise_settle(k, promise, true, why, cause);
        if (PLANTED(end_rejects_twice)) event_resolve(k, promise, vat->id, cause);
    }
    free(krefs);
}

/* Rows that are applied but not flushed yet are not written any more: the trim deletes them with
 * the others, when it comes to them. */
static void end_spent(kernel_t *k, const kvat_t *vat)
{
    for (log_t **at = &k->spent; *at;) {
        log_t *log = *at;
        if (log->row.vat != vat->row.vat) {
            at = &log->next;
            continue;
        }
        *at = log->next;
        untouch(k, &log->head);
        log_free(log);
    }
}

static void end_work(kernel_t *k, kvat_t *vat)
{
    end_spent(k, vat);
    while (vat->log) {
        log_t *log = vat->log;
        vat->log = log->next;
        vat_busy(k, vat, false);
        log_release(k, log);
        bury(k, &log->head);
        log_free(log);
    }
    vat->log_tail = NULL;
    for (entry_t *entry; (entry = queue_pop(&vat->queue));) {
        vat_busy(k, vat, false);
        bury(k, &entry->head);
        if (PLANTED(queue_lost_at_end)) {
            entry_release(k, entry);
            continue;
        }
        queue_push(&k->work, entry); /* routing finds it dead: splat */
    }
}

/* The kernel's own pin goes; those of clients stay. */
static void unpin(kernel_t *k, const kvat_t *vat)
{
    object_t *root = object_find(k, kref_root(vat->id));
    if (vat->row.dynamic || !root) return;
    if (PLANTED(pin_kept))
        root->row.pins--;
    else
        object_unpin(k, root);
    if (PLANTED(client_pins_lost)) root->row.pins = 0;
}

/* What those hear who wait for the end of a vat that did not end itself. */
static value_t *completion(kernel_t *k, err_t error, const blob_t *reason)
{
    switch (error) {
    case ERR_VAT_ILLEGAL:
        return value_error(k, "VAT_FATAL:ILLEGAL_SYSCALL",
                           "syscall translation error: prepare to die", (text_t){0});
    case ERR_VAT_LIMIT_COMPUTE:
    case ERR_VAT_LIMIT_HEAP:
    case ERR_VAT_LIMIT_STACK:
    case ERR_VAT_LIMIT_WALL:
        return value_error(k, "VAT_FATAL:INTERNAL_ERROR", err_text(error), (text_t){0});
    case ERR_VAT_KILLED: return value_failed(k, blob_text(reason));
    default: return value_error(k, "VAT_FATAL:INTERNAL_ERROR", "", blob_text(reason));
    }
}

void vat_end(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, cause_t cause)
{
    AUTO(value) value = completion(k, error, reason);
    vat_end_with(k, vat, error, reason, true, value, cause);
}

/* Terminates VAT: ERROR and REASON (whose count it takes) say why; VALUE is what adminNode.done() tells.
 * Deliveries in flight count as never run. The caller routes afterwards. */
void vat_end_with(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, bool rejected,
                  value_t *value, cause_t cause)
{
    if (vat->row.state == VAT_TERMINATED) {
        blob_destroy(&reason);
        return;
    }
    bool quarantined = vat->row.state == VAT_QUARANTINED;
    bool unmade = vat->row.dynamic && vat->row.state == VAT_STARTING; /* its creation fails */
    if (quarantined) busy_change(k, vat, vat->busy, true);
    vat_counted(k, vat, false);
    vat->row.state = VAT_TERMINATED;
    vat->row.error = error;
    blob_destroy(&vat->reason);
    vat->reason = reason;
    vat->row.reason = blob_text(reason);
    vat->attached = false;
    touch(k, &vat->head);
    ship_none(k, vat);
    move_fail(k, vat, ERR_VAT_TERMINATED, "");
    makes_fail(k, vat, false, ERR_VAT_TERMINATED, "");
    mirror_drop(k, vat);

    end_promises(k, vat, cause);
    end_work(k, vat);
    if (vat->admin) service_ended(k, vat->admin, rejected, value);
    pendings_vat_ended(k, vat, rejected, value, cause);
    timers_without_vat(k, vat);
    errands_without_vat(k, vat);
    serial_next(k, vat->cluster);
    unpin(k, vat);
    vat->row.assigned = vat->row.applied;
    gc_end(vat);
    trim_end(k, vat);
    divergence_end(k, vat);
    clean_begin(k, vat);

    msg_vat_end_t msg = {vat->id, vat->row.inc, vat->row.pgen};
    send_host(k, vat->row.host, TAG_vat_end, &msg);
    event_life(k, "vat-exit", vat, NULL, vat->row.reason);
    vat->forget = unmade && vat_forgettable(vat);
    if (vat->forget) k->forget = true;
    if (vat->cluster) cluster_vat_ended(k, vat->cluster, vat);
}

/* Is there anything that the vat made, or that is about it? */
static bool named_left(const kernel_t *k, const kvat_t *vat)
{
    if (vat->outside || vat->admin) return true;
    for (uint64_t n = 0; n <= vat->row.objects; n++)
        if (object_find(k, kref_object(vat->id, n))) return true;
    for (uint64_t n = 1; n <= vat->row.promises; n++)
        if (promise_find(k, kref_promise(vat->id, n))) return true;
    return false;
}

/* Nothing of it stays, not even a row that says it was: for a cluster that never started. Unless a
 * client has shown something of it to others: what is held has an issuer. Runs at the end of the
 * step, when no list names the vat any more. */
void vat_forget(kernel_t *k, kvat_t *vat)
{
    must(vat->row.state == VAT_TERMINATED && !vat->ready && !vat->cleaning);
    vat->forget = false;
    if (named_left(k, vat)) return;
    if (vat->cluster) cluster_without(vat->cluster, vat);
    map_remove(&k->vats, vat->row.vat);
    bury(k, &vat->head);
    vat_free(vat);
}
