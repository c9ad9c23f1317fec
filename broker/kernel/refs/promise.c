/* Promises: what happens when one is settled. */
#include <stdlib.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* A vat that ended waits for nothing, though its rows may still be there. */
static bool subscribes(const held_t *held)
{
    return held->row.flags & HELD_SUBSCRIBED && vat_alive(held->vat);
}

/* Each subscriber gets one notify, in the order of vat numbers. */
static void notify_all(kernel_t *k, promise_t *promise, cause_t cause)
{
    size_t count = 0;
    for (held_t *held = promise->named.holders; held; held = held->next)
        if (subscribes(held)) count++;
    if (!count) return;

    uint64_t few[16], *vats = count <= 16 ? few : take(count * sizeof *vats);
    size_t n = 0;
    for (held_t *held = promise->named.holders; held; held = held->next) {
        if (!subscribes(held)) continue;
        held->row.flags &= ~(uint64_t)HELD_SUBSCRIBED;
        touch(k, &held->head);
        vats[n++] = held->row.vat;
    }
    sort_numbers(vats, n);
    for (size_t i = 0; i < n; i++) notify_push(k, (vat_t){(uint32_t)vats[i]}, promise, cause);
    if (vats != few) free(vats);
}

/* PROMISE, which no list has, joins those that VAT decides. */
void promise_list(kvat_t *vat, promise_t *promise)
{
    promise->decided_next = vat->decides;
    if (vat->decides) vat->decides->decided_prev = promise;
    vat->decides = promise;
}

/* From delivery (or crank) D on VAT decides PROMISE; NULL: a queue entry, the kernel or a client. */
void promise_decide(kernel_t *k, promise_t *promise, kvat_t *vat, uint64_t d)
{
    kvat_t *before = vat_find(k, promise->row.decider);
    if (before) {
        if (promise->decided_next) promise->decided_next->decided_prev = promise->decided_prev;
        *(promise->decided_prev ? &promise->decided_prev->decided_next : &before->decides) =
            promise->decided_next;
    }
    promise->decided_next = promise->decided_prev = NULL;
    promise->row.decider = vat ? vat->row.vat : 0;
    promise->row.decider_d = d;
    touch(k, &promise->named.head);
    if (vat) promise_list(vat, promise);
}

/* Settles PROMISE with VALUE, of which it takes a count. E-order: the notifies of all subscribers
 * come before the messages that waited. */
void promise_settle(kernel_t *k, promise_t *promise, bool rejected, value_t *value, cause_t cause)
{
    must(promise->row.state == PROMISE_UNRESOLVED);
    tally_settled(k, rejected);
    vat_t decider = {(uint32_t)promise->row.decider};
    promise_decide(k, promise, NULL, 0);
    promise->row.state = rejected ? PROMISE_REJECTED : PROMISE_FULFILLED;
    promise->value = value_ref(value);
    value_up(k, value);
    touch(k, &promise->named.head);

    event_resolve(k, promise, decider, cause);
    if (!PLANTED(notify_behind_queue)) notify_all(k, promise, cause);
    for (entry_t *entry; (entry = queue_pop(&promise->queue));) {
        bury(k, &entry->head);
        queue_push(&k->work, entry);
    }
    if (PLANTED(notify_behind_queue)) notify_all(k, promise, cause);
    client_settled(k, promise);
    pendings_settled(k, promise, cause);
}

void promise_free(promise_t *promise)
{
    for (entry_t *entry; (entry = queue_pop(&promise->queue));) entry_destroy(&entry);
    while (promise->waiters) {
        waiter_t *waiter = promise->waiters;
        promise->waiters = waiter->next;
        free(waiter);
    }
    value_destroy(&promise->value);
    free(promise);
}
