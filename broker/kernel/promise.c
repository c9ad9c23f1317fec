/* Promises: what happens when one is settled. */
#include <stdlib.h>

#include "broker/kernel/private.h"

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Each subscriber gets one notify, in the order of vat numbers. */
static void notify_all(kernel_t *k, promise_t *promise, cause_t cause)
{
    size_t count = 0;
    for (held_t *held = promise->named.holders; held; held = held->next)
        if (held->row.flags & HELD_SUBSCRIBED) count++;
    if (!count) return;

    uint64_t few[16], *vats = count <= 16 ? few : take(count * sizeof *vats);
    size_t n = 0;
    for (held_t *held = promise->named.holders; held; held = held->next) {
        if (!(held->row.flags & HELD_SUBSCRIBED)) continue;
        held->row.flags &= ~(uint64_t)HELD_SUBSCRIBED;
        touch(k, &held->head);
        vats[n++] = held->row.vat;
    }
    qsort(vats, n, sizeof *vats, by_number);
    for (size_t i = 0; i < n; i++) notify_push(k, (vat_t){(uint32_t)vats[i]}, promise, cause);
    if (vats != few) free(vats);
}

/* Settles PROMISE with VALUE, of which it takes a count. E-order: the notifies of all subscribers
 * come before the messages that waited. */
void promise_settle(kernel_t *k, promise_t *promise, bool rejected, value_t *value, cause_t cause)
{
    must(promise->row.state == PROMISE_UNRESOLVED);
    vat_t decider = {(uint32_t)promise->row.decider};
    promise->row.state = rejected ? PROMISE_REJECTED : PROMISE_FULFILLED;
    promise->row.decider = 0;
    promise->value = value_ref(value);
    value_up(k, value);
    touch(k, &promise->named.head);

    event_resolve(k, promise, decider, cause);
    notify_all(k, promise, cause);
    for (entry_t *entry; (entry = queue_pop(&promise->queue));) {
        bury(k, &entry->head);
        queue_push(&k->work, entry);
    }
    client_settled(k, promise);
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
