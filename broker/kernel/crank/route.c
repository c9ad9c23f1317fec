/* Where a message goes. Routing runs when a crank is applied, as one worklist, first in, first out:
 * what a splat or a settled promise adds comes behind what is there already (SwingSet 10.1). */
#include "broker/kernel/crank/own.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/planted.h"

static void splat(kernel_t *k, entry_t *entry, value_t *why)
{
    count_up(k, COUNTER_splats);
    promise_t *result = promise_find(k, kref_of(entry->row.result));
    if (result) promise_settle(k, result, true, why, entry_cause(entry));
    entry_release(k, entry);
}

static void splat_error(kernel_t *k, entry_t *entry, const char *code, const char *text,
                        text_t rest)
{
    value_t *why = value_error(k, code, text, rest);
    splat(k, entry, why);
    value_destroy(&why);
}

static void splat_uncallable(kernel_t *k, entry_t *entry)
{
    text_t method = smallcaps_method(value_data(entry->value).body);
    if (!method.len) method = text_of("undefined");
    splat_error(k, entry, "BAD_PROMISE_RESOLUTION", "data is not callable, has no method ", method);
}

static void promise_enqueue(kernel_t *k, promise_t *promise, entry_t *entry)
{
    entry->row.holder = promise->row.kref;
    entry->row.seq = ++k->next_entry;
    queue_push(&promise->queue, entry);
    if (PLANTED(promise_queue_turned) && promise->queue.count == 2) {
        entry_t *first = queue_pop(&promise->queue);
        queue_push(&promise->queue, first);
    }
    touch(k, &entry->head);
}

/* Follows the target to where it lives now. Returns the vat that gets the entry, or NULL when it
 * found another place: a promise's queue, or its end in a splat or as a call of the kernel. */
static kvat_t *resolve_target(kernel_t *k, entry_t *entry)
{
    for (;;) {
        kref_t target = {entry->row.target};
        if (kref_is_object(target)) {
            object_t *object = object_find(k, target);
            must(object);
            if (object->row.revoked && !PLANTED(revoked_answers)) {
                splat_error(k, entry, "OBJECT_REVOKED", "Target object has been revoked",
                            (text_t){0});
                return NULL;
            }
            service_t *service = object->row.owner ? NULL : service_find(k, target);
            if (service) {
                service_run(k, service, entry);
                return NULL;
            }
            kvat_t *vat = vat_find(k, object->row.owner);
            if (vat && (vat_alive(vat) || PLANTED(dead_vat_gets_mail))) return vat;
            splat_error(k, entry, "VAT_TERMINATED", "vat terminated", (text_t){0});
            return NULL;
        }
        promise_t *promise = promise_find(k, target);
        must(promise);
        if (promise->row.state == PROMISE_UNRESOLVED) {
            promise_enqueue(k, promise, entry);
            return NULL;
        }
        if (promise->row.state == PROMISE_REJECTED) {
            AUTO(value) why = value_ref(promise->value);
            splat(k, entry, why);
            return NULL;
        }
        capdata_t data = value_data(promise->value);
        kref_t object;
        if (!smallcaps_single_slot(&data, &object) || !kref_is_object(object)) {
            splat_uncallable(k, entry);
            return NULL;
        }
        ref_up(k, object);
        if (!PLANTED(target_kept_on_reroute)) ref_down(k, target);
        entry->row.target = object.n;
    }
}

static void vat_enqueue(kernel_t *k, kvat_t *vat, entry_t *entry)
{
    entry->row.holder = vat->row.vat;
    entry->row.seq = ++k->next_entry;
    entry->queued_us = k->now_us;
    queue_push(&vat->queue, entry);
    touch(k, &entry->head);
    vat_busy(k, vat, true);
    vat_ready(k, vat);
}

void route_all(kernel_t *k)
{
    for (entry_t *entry; (entry = queue_pop(&k->work));) {
        kvat_t *vat;
        if (entry->row.kind == ENTRY_MESSAGE) {
            vat = resolve_target(k, entry);
            if (!vat) continue;
        } else {
            vat = vat_find(k, entry->row.holder);
            must(vat);
            if (!vat_alive(vat)) {
                entry_release(k, entry);
                continue;
            }
        }
        vat_enqueue(k, vat, entry);
    }
}

/* The same routing once more, when the entry is about to be delivered: what it names may have lost
 * its owner since. False: it went elsewhere. */
bool route_here(kernel_t *k, kvat_t *vat, entry_t *entry)
{
    const kvat_t *now = resolve_target(k, entry);
    must(!now || now == vat); /* an object never gets another owner */
    return now;
}
