/* Memory that lives as long as one crank: arrays of references on their way through translation. */
#pragma once
#include <stddef.h>

typedef struct scratch_block scratch_block_t;
typedef struct {
    scratch_block_t *blocks;
} scratch_t;

/* SIZE bytes, aligned for anything, all zero, valid until scratch_clear(). */
void *scratch_take(scratch_t *self, size_t size);

/* Gives everything back but one block of ordinary size, which the next crank will want again. */
void scratch_clear(scratch_t *self);

/* Gives everything back. */
void scratch_free(scratch_t *self);
