/* The one hash map: u64 -> pointer, open addressing, no seed: the same calls give the same table,
 * so nothing that is computed from it differs from run to run.
 *
 * A map_t lives in its owner; all zeros is an empty map. Values are borrowed and never NULL: NULL
 * from map_get() means "not there". Every key is allowed. Not thread-safe. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    struct map_cell *cells;
    size_t count, room; /* room: a power of two, or 0 */
} map_t;

/* The value at KEY, NULL when there is none. */
void *map_get(const map_t *self, uint64_t key);

/* Sets the value at KEY, which may be new. VALUE is not NULL. */
void map_put(map_t *self, uint64_t key, void *value);

/* Takes KEY out and returns its value, NULL when there was none. */
void *map_remove(map_t *self, uint64_t key);

/* Frees the table, not the values; the map is empty and usable again. */
void map_clear(map_t *self);

/* The value in cell I, NULL when the cell is free or I is behind the last one: a walk in an order
 * that is fixed, but means nothing. Do not change the map between two calls of one walk. */
void *map_cell(const map_t *self, size_t i);

/* The key in cell I, if map_cell() is not NULL there. */
uint64_t map_key(const map_t *self, size_t i);

/* All keys, ascending. The caller frees the array; NULL when the map is empty. */
uint64_t *map_sorted(const map_t *self, size_t *ret_count);
