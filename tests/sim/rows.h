/* kernel.db in memory: what kernel_flush() said last about every row, by table and key. */
#pragma once
#include "broker/kernel/row.h"

typedef struct {
    row_t **at; /* ascending by key; owned copies */
    size_t count, room;
} rows_table_t;

typedef struct {
    rows_table_t tables[ROW_TABLES];
} rows_t;

/* Puts or deletes one row. */
void rows_apply(rows_t *self, const row_t *row);
void rows_clear(rows_t *self);

/* The row of TABLE whose key columns are A and, unless it has only one, B; both u64. NULL: none. */
const row_t *rows_find(const rows_t *self, row_table_t table, uint64_t a, uint64_t b);

/* Index of the first row of TABLE whose key is not below (A, B). */
size_t rows_from(const rows_t *self, row_table_t table, uint64_t a, uint64_t b);

static inline size_t rows_count(const rows_t *self, row_table_t table)
{
    return self->tables[table].count;
}
