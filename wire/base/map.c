#include "wire/base/map.h"

#include <stdlib.h>

#include "wire/base/must.h"

enum { ROOM_MIN = 8 };

typedef struct map_cell {
    uint64_t key;
    void *value; /* NULL: free */
} cell_t;

/* splitmix64's finisher: krefs differ in few bits, and all of them must move the result. */
static uint64_t mix(uint64_t key)
{
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    return key ^ (key >> 31);
}

/* The cell of KEY, or the free cell where it would go. */
static size_t locate(const map_t *self, uint64_t key)
{
    size_t mask = self->room - 1;
    size_t i = (size_t)mix(key) & mask;
    while (self->cells[i].value && self->cells[i].key != key) i = (i + 1) & mask;
    return i;
}

static void grow(map_t *self)
{
    map_t wide = {NULL, self->count, self->room ? self->room * 2 : ROOM_MIN};
    wide.cells = calloc(wide.room, sizeof *wide.cells);
    must(wide.cells);

    for (size_t i = 0; i < self->room; i++) {
        if (!self->cells[i].value) continue;
        wide.cells[locate(&wide, self->cells[i].key)] = self->cells[i];
    }
    free(self->cells);
    *self = wide;
}

void *map_get(const map_t *self, uint64_t key)
{
    return self->room ? self->cells[locate(self, key)].value : NULL;
}

void map_put(map_t *self, uint64_t key, void *value)
{
    must(value);
    if ((self->count + 1) * 4 > self->room * 3) grow(self);

    cell_t *cell = &self->cells[locate(self, key)];
    if (!cell->value) self->count++;
    *cell = (cell_t){key, value};
}

void *map_remove(map_t *self, uint64_t key)
{
    if (!self->room) return NULL;

    size_t mask = self->room - 1;
    size_t hole = locate(self, key);
    void *value = self->cells[hole].value;
    if (!value) return NULL;

    /* No tombstones: what stands behind the hole and may stand in it moves forward. */
    for (size_t i = (hole + 1) & mask; self->cells[i].value; i = (i + 1) & mask) {
        size_t home = (size_t)mix(self->cells[i].key) & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        self->cells[hole] = self->cells[i];
        hole = i;
    }
    self->cells[hole].value = NULL;
    self->count--;
    return value;
}

void map_clear(map_t *self)
{
    free(self->cells);
    *self = (map_t){0};
}

void *map_cell(const map_t *self, size_t i) { return i < self->room ? self->cells[i].value : NULL; }
uint64_t map_key(const map_t *self, size_t i) { return i < self->room ? self->cells[i].key : 0; }

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t *map_sorted(const map_t *self, size_t *ret_count)
{
    *ret_count = self->count;
    if (!self->count) return NULL;

    uint64_t *keys = malloc(self->count * sizeof *keys);
    must(keys);
    size_t n = 0;
    for (size_t i = 0; i < self->room; i++)
        if (self->cells[i].value) keys[n++] = self->cells[i].key;
    must(n == self->count);
    qsort(keys, n, sizeof *keys, compare);
    return keys;
}
