/* Holds: results that a client may still await. */
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

hold_t *hold_new(kernel_t *k, kref_t kref, uint64_t cluster)
{
    hold_t *self = take(sizeof *self);
    self->head.table = ROW_hold;
    self->row = (row_hold_t){.kref = kref.n, .cluster = cluster};
    map_put(&k->holds, kref.n, self);
    ref_up(k, kref);
    touch(k, &self->head);
    return self;
}

static void settled_remove(kernel_t *k, hold_t *hold)
{
    if (!hold->row.seq) return;
    *(hold->prev ? &hold->prev->next : &k->settled_head) = hold->next;
    *(hold->next ? &hold->next->prev : &k->settled_tail) = hold->prev;
    hold->row.seq = 0;
    k->settled_count--;
}

void hold_drop(kernel_t *k, hold_t *hold)
{
    promise_t *promise = promise_find(k, kref_of(hold->row.kref));
    must(promise && promise->hold == hold);
    promise->hold = NULL;
    settled_remove(k, hold);
    map_remove(&k->holds, hold->row.kref);
    ref_down(k, kref_of(hold->row.kref));
    bury(k, &hold->head);
    free(hold);
}

/* Bootstrap's promise is held as long as its cluster lives. */
static bool for_ever(const kernel_t *k, const hold_t *hold)
{
    const kcluster_t *cluster = cluster_find(k, hold->row.cluster);
    return cluster && cluster->row.result == hold->row.kref;
}

/* The promise of a hold is settled: it may be let go, the oldest first, when there are too many. */
void hold_settled(kernel_t *k, promise_t *promise)
{
    hold_t *hold = promise->hold;
    if (!hold || hold->row.seq || for_ever(k, hold)) return;

    hold->row.seq = ++k->next_hold;
    hold->next = NULL;
    hold->prev = k->settled_tail;
    *(k->settled_tail ? &k->settled_tail->next : &k->settled_head) = hold;
    k->settled_tail = hold;
    k->settled_count++;
    touch(k, &hold->head);
    if (k->settled_count > CLIENT_HOLDS_MAX) hold_drop(k, k->settled_head);
}

/* The hold outlives the commit that the answer waits for: a broker that is killed between the two is asked
 * again, and must still know. */
static void end_later(kernel_t *k, hold_t *hold)
{
    if (hold->answered) return;
    hold->answered = true;
    k->answered = grown(k->answered, &k->answered_room, k->answered_count + 1, sizeof *k->answered);
    k->answered[k->answered_count].kref = hold->row.kref;
    k->answered[k->answered_count++].flushes = k->flushes;
}

bool holds_due(const kernel_t *k)
{
    return k->answered_count && k->answered[0].flushes < k->flushes;
}

void holds_end(kernel_t *k)
{
    size_t done = 0;
    for (; done < k->answered_count && k->answered[done].flushes < k->flushes; done++) {
        hold_t *hold = map_get(&k->holds, k->answered[done].kref);
        if (hold && hold->answered) hold_drop(k, hold);
    }
    k->answered_count -= done;
    if (done) memmove(k->answered, k->answered + done, k->answered_count * sizeof *k->answered);
}

/* A client has the value. When it names anything, the client is about to use it: the hold stays, the
 * oldest goes first when there are too many. */
void hold_answered(kernel_t *k, promise_t *promise)
{
    hold_t *hold = promise->hold;
    if (!hold || for_ever(k, hold)) return;
    if (!promise->value->slot_count) {
        if (PLANTED(hold_kept)) return;
        end_later(k, hold);
        return;
    }
    hold->row.shown = 1;
    touch(k, &hold->head);
}
