/* What a vat that ended leaves behind: its authority rows and the rows of its log. They go in pieces,
 * some with every step, so that the end of a vat with a million objects does not stop the others.
 * Until then the rows are there and mean nothing: its objects are orphans, its subscriptions are not
 * served, and it decides nothing. A restart goes on from what is left. */
#include <stdlib.h>

#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"

void clean_begin(kernel_t *k, kvat_t *vat)
{
    must(!vat->cleaning);
    vat->cleaning = true;
    vat->clean_next = NULL;
    if (k->clean_tail)
        k->clean_tail->clean_next = vat;
    else
        k->clean = vat;
    k->clean_tail = vat;
}

static void clean_row(kernel_t *k, kvat_t *vat, kref_t kref)
{
    held_t *held = held_find(vat, kref);
    object_t *object = object_find(k, kref);
    if (object && object->row.owner == vat->row.vat) {
        object->row.owner = 0;
        touch(k, &object->named.head);
    }
    held_drop(k, held);
}

/* ---- rows in the order of krefs ----
 *
 * A heap, not a sorted list: sorting a million at once would stop everybody for half a second. */

static void sift(uint64_t *at, size_t count, size_t i)
{
    uint64_t kref = at[i];
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && at[child + 1] < at[child]) child++;
        if (kref <= at[child]) break;
        at[i] = at[child];
    }
    at[i] = kref;
}

static void heap_make(kvat_t *vat)
{
    vat->clean = take((vat->held.count + 1) * sizeof *vat->clean);
    for (size_t i = 0; i < vat->held.room; i++) {
        const held_t *held = map_cell(&vat->held, i);
        if (held) vat->clean[vat->clean_count++] = held->row.kref;
    }
    for (size_t i = vat->clean_count / 2; i-- > 0;) sift(vat->clean, vat->clean_count, i);
}

static kref_t heap_take(kvat_t *vat)
{
    uint64_t least = vat->clean[0];
    vat->clean[0] = vat->clean[--vat->clean_count];
    if (vat->clean_count) sift(vat->clean, vat->clean_count, 0);
    return kref_of(least);
}

/* One row less. False: nothing is left. */
static bool clean_one(kernel_t *k, kvat_t *vat)
{
    if (!vat->clean) heap_make(vat);
    if (vat->clean_count) {
        clean_row(k, vat, heap_take(vat));
        return true;
    }
    if (vat->row.safe >= vat->row.applied) return false;
    bury_log(k, vat, ++vat->row.safe);
    touch(k, &vat->head);
    return true;
}

static void clean_end(kernel_t *k, kvat_t *vat)
{
    kvat_t *before = NULL, **at = &k->clean;
    while (*at != vat) {
        before = *at;
        at = &before->clean_next;
    }
    *at = vat->clean_next;
    if (k->clean_tail == vat) k->clean_tail = before;
    free(vat->clean);
    vat->clean = NULL;
    vat->clean_count = 0;
    vat->cleaning = false;
    map_clear(&vat->held);
}

/* As many rows as this step may. */
void clean_some(kernel_t *k)
{
    size_t rows = 0;
    while (k->clean && rows < k->clean_rows) {
        if (clean_one(k, k->clean))
            rows++;
        else
            clean_end(k, k->clean);
    }
}

/* All of VAT, which made little. */
void clean_all(kernel_t *k, kvat_t *vat)
{
    if (!vat->cleaning) return;
    while (clean_one(k, vat)) {
    }
    clean_end(k, vat);
}
