/* kernel.db in memory: what kernel_flush() said last about every row. */
#pragma once
#include "broker/kernel/row.h"

typedef struct {
    row_t *rows; /* owned copies, in the order of row.def */
    size_t count, room;
} rowset_t;

/* Puts or deletes one row. */
void rowset_apply(rowset_t *self, const row_t *row);
void rowset_clear(rowset_t *self);

/* The row of TABLE whose first key columns are A and, unless the table has only one, B; both u64.
 * NULL when there is none. */
const row_t *rowset_find(const rowset_t *self, row_table_t table, uint64_t a, uint64_t b);
