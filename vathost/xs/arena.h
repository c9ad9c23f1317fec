/* Memory that lives as long as one call from JavaScript: all of it is given back at once, so that a
 * longjmp out of XS loses nothing. */
#pragma once
#include <stddef.h>

typedef struct arena_chunk arena_chunk_t;
typedef struct {
    arena_chunk_t *chunks;
    size_t used; /* bytes of the newest chunk */
} arena_t;

/* BYTES of memory, aligned for anything, not cleared. Never NULL. */
void *arena_take(arena_t *self, size_t bytes);

/* Gives back everything taken, keeps one small chunk for the next call. */
void arena_reset(arena_t *self);

void arena_clear(arena_t *self);
