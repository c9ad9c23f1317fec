#include "tests/sim/rows.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

static uint64_t number_at(const row_t *row, const column_t *column)
{
    uint64_t n;
    memcpy(&n, (const char *)&row->body + column->offset, sizeof n);
    return n;
}

/* Texts and bins lie alike: a pointer and a length. */
static bin_t bytes_at(const row_t *row, const column_t *column)
{
    bin_t bin;
    memcpy(&bin, (const char *)&row->body + column->offset, sizeof bin);
    return bin;
}

static int order_bytes(bin_t a, bin_t b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int diff = shorter ? memcmp(a.at, b.at, shorter) : 0;
    return diff ? diff : (a.len > b.len) - (a.len < b.len);
}

static int order(const row_t *a, const row_t *b)
{
    const table_t *table = &row_tables[a->table];
    for (size_t i = 0; i < table->key_count; i++) {
        const column_t *column = &table->columns[i];
        if (column->kind == KIND_u64) {
            uint64_t left = number_at(a, column), right = number_at(b, column);
            if (left != right) return left < right ? -1 : 1;
        } else {
            int diff = order_bytes(bytes_at(a, column), bytes_at(b, column));
            if (diff) return diff;
        }
    }
    return 0;
}

/* One piece of memory: the row, and the bytes it points at behind it. */
static row_t *row_copy(const row_t *from)
{
    const table_t *table = &row_tables[from->table];
    size_t bytes = sizeof *from;
    for (size_t i = 0; i < table->column_count; i++)
        if (table->columns[i].kind != KIND_u64) bytes += bytes_at(from, &table->columns[i]).len;
    row_t *row = malloc(bytes);
    must(row);
    *row = *from;
    uint8_t *at = (uint8_t *)(row + 1);
    for (size_t i = 0; i < table->column_count; i++) {
        const column_t *column = &table->columns[i];
        if (column->kind == KIND_u64) continue;
        bin_t bin = bytes_at(from, column);
        if (bin.len) memcpy(at, bin.at, bin.len);
        bin.at = at;
        memcpy((char *)&row->body + column->offset, &bin, sizeof bin);
        at += bin.len;
    }
    return row;
}

static size_t place(const rows_table_t *self, const row_t *row)
{
    size_t low = 0, high = self->count;
    if (high && order(self->at[high - 1], row) < 0) return high; /* most are new and last */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (order(self->at[middle], row) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void rows_apply(rows_t *self, const row_t *row)
{
    rows_table_t *table = &self->tables[row->table];
    size_t i = place(table, row);
    bool there = i < table->count && order(table->at[i], row) == 0;

    if (row->gone) {
        if (!there) return; /* deleting twice is no fault of a store */
        free(table->at[i]);
        table->count--;
        memmove(&table->at[i], &table->at[i + 1], (table->count - i) * sizeof(row_t *));
        return;
    }
    if (there) {
        free(table->at[i]);
    } else {
        if (table->count == table->room) {
            table->room = table->room ? table->room * 2 : 64;
            table->at = realloc(table->at, table->room * sizeof(row_t *));
            must(table->at);
        }
        memmove(&table->at[i + 1], &table->at[i], (table->count - i) * sizeof(row_t *));
        table->count++;
    }
    table->at[i] = row_copy(row);
}

void rows_clear(rows_t *self)
{
    for (size_t t = 0; t < ROW_TABLES; t++) {
        for (size_t i = 0; i < self->tables[t].count; i++) free(self->tables[t].at[i]);
        free(self->tables[t].at);
    }
    *self = (rows_t){0};
}

/* The key columns of every table that is looked up are u64 and stand first. */
size_t rows_from(const rows_t *self, row_table_t table, uint64_t a, uint64_t b)
{
    row_t key = {.table = table};
    uint64_t keys[2] = {a, b};
    for (size_t i = 0; i < row_tables[table].key_count && i < 2; i++)
        memcpy((char *)&key.body + row_tables[table].columns[i].offset, &keys[i], sizeof keys[i]);
    return place(&self->tables[table], &key);
}

const row_t *rows_find(const rows_t *self, row_table_t table, uint64_t a, uint64_t b)
{
    size_t i = rows_from(self, table, a, b);
    if (i == self->tables[table].count) return NULL;
    const row_t *row = self->tables[table].at[i];
    const table_t *t = &row_tables[table];
    if (number_at(row, &t->columns[0]) != a) return NULL;
    return t->key_count == 1 || number_at(row, &t->columns[1]) == b ? row : NULL;
}
