/* Settled promises that only hold each other, through the slots of their values: counts never reach
 * zero there. An adminNode that says how its vat ended holds what it says, so it is like one of them. Found by trial deletion: from a settled promise that lost a reference, take away what
 * the promises reachable from it hold among themselves; what has nothing left, and is not held by
 * one that has, is garbage.
 *
 * The walk is bounded. A larger tangle stays until one of its promises loses a reference again. */
#include <stdlib.h>

#include "broker/kernel/refs/own.h"
#include "broker/kernel/state/state.h"

enum { TANGLE_MAX = 4096, TANGLE_SLOTS_MAX = 64 * 1024 };

typedef struct {
    promise_t *promise; /* or */
    service_t *service;
    uint64_t outside; /* references that do not come from the tangle */
    bool alive;
} knot_t;

typedef struct {
    kernel_t *k;
    knot_t *nodes;
    size_t count, room;
    size_t slots; /* of their values */
    map_t at;     /* kref -> place, counted from 1 */
} tangle_t;

static knot_t *node_of(const tangle_t *t, kref_t kref)
{
    uintptr_t at = (uintptr_t)map_get(&t->at, kref.n);
    return at ? &t->nodes[at - 1] : NULL;
}

static value_t **value_at(const knot_t *node)
{
    return node->promise ? &node->promise->value : &node->service->value;
}

static void node_add(tangle_t *t, kref_t kref)
{
    bool is_promise = kref_is_promise(kref);
    promise_t *promise = is_promise ? promise_find(t->k, kref) : NULL;
    service_t *service = is_promise ? NULL : service_find(t->k, kref);
    bool settled = promise && promise->row.state != PROMISE_UNRESOLVED;
    if ((!settled && !(service && service->value)) || node_of(t, kref)) return;

    uint64_t count = promise ? promise->row.count : object_find(t->k, kref)->row.reachable;
    t->nodes = grown(t->nodes, &t->room, t->count + 1, sizeof *t->nodes);
    t->nodes[t->count++] = (knot_t){promise, service, count, false};
    map_put(&t->at, kref.n, (void *)(uintptr_t)t->count);
}

/* All settled promises that FIRST leads to. False: too many. */
static bool tangle_walk(tangle_t *t, kref_t first)
{
    node_add(t, first);
    for (size_t i = 0; i < t->count; i++) {
        if (t->count > TANGLE_MAX) return false;
        const value_t *value = *value_at(&t->nodes[i]);
        t->slots += value->slot_count;
        if (t->slots > TANGLE_SLOTS_MAX) return false;
        for (size_t j = 0; j < value->slot_count; j++) node_add(t, value->slots[j]);
    }
    return true;
}

static void tangle_subtract(tangle_t *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const value_t *value = *value_at(&t->nodes[i]);
        for (size_t j = 0; j < value->slot_count; j++) {
            knot_t *node = node_of(t, value->slots[j]);
            if (node) node->outside--;
        }
    }
}

static void keep(tangle_t *t, size_t first, size_t *stack)
{
    size_t depth = 0;
    if (t->nodes[first].alive) return;
    t->nodes[first].alive = true;
    stack[depth++] = first;
    while (depth) {
        const value_t *value = *value_at(&t->nodes[stack[--depth]]);
        for (size_t j = 0; j < value->slot_count; j++) {
            knot_t *node = node_of(t, value->slots[j]);
            if (!node || node->alive) continue;
            node->alive = true;
            stack[depth++] = (size_t)(node - t->nodes);
        }
    }
}

/* What is dead lets go of its value. */
static void tangle_release(tangle_t *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->nodes[i].alive) continue;
        value_t *value = TAKE(*value_at(&t->nodes[i]));
        service_t *service = t->nodes[i].service;
        if (service) { /* its row stays as long as a vat recognizes it */
            service->value = value_print(t->k, NULL, 0, "#\"#undefined\"");
            touch(t->k, &service->head);
        }
        value_down(t->k, value);
        value_destroy(&value);
    }
}

/* If SUSPECT and what it leads to are held from nowhere else, their values let go, and the counts
 * fall to zero by themselves. What is found alive, or too many to tell, is not walked again in this
 * round unless it loses a reference. */
void cycle_collect(kernel_t *k, kref_t suspect)
{
    tangle_t t = {.k = k};
    bool whole = tangle_walk(&t, suspect);
    if (whole) {
        size_t *stack = take(t.count * sizeof *stack);
        tangle_subtract(&t);
        for (size_t i = 0; i < t.count; i++)
            if (t.nodes[i].outside) keep(&t, i, stack);
        free(stack);
    }
    for (size_t i = 0; i < t.count; i++) {
        if (!whole) t.nodes[i].alive = true;
        if (!t.nodes[i].alive) continue;
        *(t.nodes[i].promise ? &t.nodes[i].promise->alive_at : &t.nodes[i].service->alive_at) =
            k->rounds;
    }
    tangle_release(&t);
    map_clear(&t.at);
    free(t.nodes);
}
