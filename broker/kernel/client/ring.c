/* Rings: vats that hold each other's objects, and nobody else does. Counts cannot tell whether such
 * objects are garbage, because no vat knows what the others reach, and nothing collects them. LIST
 * shows them to an operator.
 *
 * Vat A leads to vat B when A reaches an object of B that nothing outside vats holds: no queue, no
 * row in flight, no settled promise, no pin, no client. A ring is a strongly connected component of
 * two vats or more; its objects are those that only vats of it reach. Time is linear in vats, objects
 * and rows (Tarjan, without recursion), and a sort of what is shown. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/client/own.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"

typedef struct {
    const object_t *object;
    uint64_t ring;
} shown_t;

typedef struct {
    const kernel_t *k;
    uint64_t *vats; /* numbers, ascending */
    size_t count;
    map_t at; /* vat number -> place in `vats`, counted from 1 */

    size_t *first; /* edges of vat i: to[first[i]] .. to[first[i + 1] - 1] */
    size_t *to;

    size_t *component; /* of vat i, counted from 1; 0: none yet */
    size_t components;

    shown_t *shown;
    size_t shown_count, shown_room;
} rings_t;

static size_t place_of(const rings_t *r, uint64_t vat)
{
    return (size_t)(uintptr_t)map_get(&r->at, vat) - 1;
}

static bool imports(const held_t *held)
{
    return (held->row.flags & (HELD_REACHABLE | HELD_EXPORTED)) == HELD_REACHABLE;
}

/* Do only live vats reach it? What a vat that ended still has is about to go. */
static bool between_vats(const rings_t *r, const object_t *object)
{
    if (!object->row.reachable || object_orphan(r->k, object)) return false;
    uint64_t count = 0;
    for (const held_t *held = object->named.holders; held; held = held->next) {
        if (!imports(held)) continue;
        if (!vat_alive(held->vat)) return false;
        count++;
    }
    return count == object->row.reachable;
}

/* ---- the graph ---- */

typedef void edge_visit_t(rings_t *r, size_t from, size_t to);

static void edges(rings_t *r, edge_visit_t *visit)
{
    for (size_t i = 0; i < r->k->objects.room; i++) {
        const object_t *object = map_cell(&r->k->objects, i);
        if (!object || !between_vats(r, object)) continue;
        size_t owner = place_of(r, object->row.owner);
        for (const held_t *held = object->named.holders; held; held = held->next)
            if (imports(held)) visit(r, place_of(r, held->row.vat), owner);
    }
}

static void edge_count(rings_t *r, size_t from, size_t to)
{
    (void)to;
    r->first[from + 1]++;
}

/* `first` moves to the end of its vat's edges, and back afterwards. */
static void edge_put(rings_t *r, size_t from, size_t to) { r->to[r->first[from]++] = to; }

static void graph_make(rings_t *r)
{
    r->first = take((r->count + 2) * sizeof *r->first);
    edges(r, edge_count);
    for (size_t i = 0; i < r->count; i++) r->first[i + 1] += r->first[i];
    r->to = take((r->first[r->count] + 1) * sizeof *r->to);
    edges(r, edge_put);
    for (size_t i = r->count; i > 0; i--) r->first[i] = r->first[i - 1];
    r->first[0] = 0;
}

/* ---- strongly connected components ---- */

typedef struct {
    size_t *number, *low; /* number: order of discovery, from 1 */
    size_t *edge;         /* the next one to follow */
    size_t *path, depth;  /* vats on the way here */
    size_t *open, opened; /* found, and in no component yet */
    size_t found;
} walk_t;

static void walk_enter(walk_t *w, const rings_t *r, size_t vat)
{
    w->number[vat] = w->low[vat] = ++w->found;
    w->edge[vat] = r->first[vat];
    w->path[w->depth++] = vat;
    w->open[w->opened++] = vat;
}

static void walk_leave(walk_t *w, rings_t *r, size_t vat)
{
    w->depth--;
    if (w->depth) {
        size_t before = w->path[w->depth - 1];
        if (w->low[vat] < w->low[before]) w->low[before] = w->low[vat];
    }
    if (w->low[vat] != w->number[vat]) return;
    r->components++;
    size_t one;
    do {
        one = w->open[--w->opened];
        r->component[one] = r->components;
    } while (one != vat);
}

static void walk_from(walk_t *w, rings_t *r, size_t first)
{
    walk_enter(w, r, first);
    while (w->depth) {
        size_t vat = w->path[w->depth - 1];
        if (w->edge[vat] == r->first[vat + 1]) {
            walk_leave(w, r, vat);
            continue;
        }
        size_t next = r->to[w->edge[vat]++];
        if (!w->number[next])
            walk_enter(w, r, next);
        else if (!r->component[next] && w->number[next] < w->low[vat])
            w->low[vat] = w->number[next];
    }
}

static void components_find(rings_t *r)
{
    size_t room = r->count + 1;
    size_t *memory = take(5 * room * sizeof *memory);
    walk_t w = {.number = memory,
                .low = memory + room,
                .edge = memory + 2 * room,
                .path = memory + 3 * room,
                .open = memory + 4 * room};
    r->component = take(room * sizeof *r->component);
    for (size_t i = 0; i < r->count; i++)
        if (!w.number[i]) walk_from(&w, r, i);
    free(memory);
}

/* ---- what is shown ---- */

/* An owner never imports what is its own, so a component with such an object has another vat. */
static bool within(const rings_t *r, const object_t *object)
{
    size_t component = r->component[place_of(r, object->row.owner)];
    for (const held_t *held = object->named.holders; held; held = held->next)
        if (imports(held) && r->component[place_of(r, held->row.vat)] != component) return false;
    return true;
}

static void shown_find(rings_t *r)
{
    for (size_t i = 0; i < r->k->objects.room; i++) {
        const object_t *object = map_cell(&r->k->objects, i);
        if (!object || !between_vats(r, object) || !within(r, object)) continue;
        r->shown = grown(r->shown, &r->shown_room, r->shown_count + 1, sizeof *r->shown);
        r->shown[r->shown_count++] = (shown_t){object, 0};
    }
}

/* Rings count from 1 in the order of their lowest vats. */
static void rings_number(rings_t *r)
{
    size_t *lowest = take((r->components + 1) * sizeof *lowest);
    uint64_t *number = take((r->count + 1) * sizeof *number), rings = 0;
    bool *shows = take((r->components + 1) * sizeof *shows);
    for (size_t i = r->count; i-- > 0;) lowest[r->component[i]] = i;
    for (size_t i = 0; i < r->shown_count; i++)
        shows[r->component[place_of(r, r->shown[i].object->row.owner)]] = true;
    for (size_t i = 0; i < r->count; i++) {
        size_t component = r->component[i];
        if (shows[component] && lowest[component] == i) number[i] = ++rings;
    }
    for (size_t i = 0; i < r->shown_count; i++) {
        size_t component = r->component[place_of(r, r->shown[i].object->row.owner)];
        r->shown[i].ring = number[lowest[component]];
    }
    free(lowest);
    free(number);
    free(shows);
}

static int by_ring(const void *a, const void *b)
{
    const shown_t *x = a, *y = b;
    if (x->ring != y->ring) return x->ring < y->ring ? -1 : 1;
    uint64_t p = x->object->row.kref, q = y->object->row.kref;
    return (p > q) - (p < q);
}

/* "v3 v7"; more than fit end in "...". */
static void holders_text(const object_t *object, char text[TEXT_BYTES_MAX])
{
    size_t count = 0, len = 0;
    uint64_t *vats = take((object->row.reachable + 1) * sizeof *vats);
    for (const held_t *held = object->named.holders; held; held = held->next)
        if (imports(held)) vats[count++] = held->row.vat;
    sort_numbers(vats, count);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (len > TEXT_BYTES_MAX - 32) {
            snprintf(text + len, TEXT_BYTES_MAX - len, " ...");
            break;
        }
        len += (size_t)snprintf(text + len, TEXT_BYTES_MAX - len, "%sv%llu", i ? " " : "",
                                (unsigned long long)vats[i]);
    }
    free(vats);
}

static void show(const rings_t *r, ring_visit_t *visit, void *context)
{
    char holders[TEXT_BYTES_MAX];
    for (size_t i = 0; i < r->shown_count; i++) {
        const shown_t *shown = &r->shown[i];
        const kvat_t *owner = vat_find(r->k, shown->object->row.owner);
        holders_text(shown->object, holders);
        msg_cycle_row_t row = {shown->ring, kref_of(shown->object->row.kref), owner->id,
                               owner->row.name, text_of(holders)};
        visit(context, &row);
    }
}

void rings_each(const kernel_t *k, ring_visit_t *visit, void *context)
{
    rings_t r = {.k = k};
    r.vats = map_sorted(&k->vats, &r.count);
    for (size_t i = 0; i < r.count; i++) map_put(&r.at, r.vats[i], (void *)(uintptr_t)(i + 1));
    graph_make(&r);
    components_find(&r);
    shown_find(&r);
    rings_number(&r);
    if (r.shown_count) qsort(r.shown, r.shown_count, sizeof *r.shown, by_ring);
    show(&r, visit, context);

    map_clear(&r.at);
    free(r.vats);
    free(r.first);
    free(r.to);
    free(r.component);
    free(r.shown);
}
