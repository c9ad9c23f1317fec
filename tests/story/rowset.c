#include "tests/story/rowset.h"

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

static void set_bytes(row_t *row, const column_t *column, bin_t bin)
{
    memcpy((char *)&row->body + column->offset, &bin, sizeof bin);
}

static int order(const row_t *a, const row_t *b)
{
    if (a->table != b->table) return a->table < b->table ? -1 : 1;
    const table_t *table = &row_tables[a->table];
    for (size_t i = 0; i < table->key_count; i++) {
        const column_t *column = &table->columns[i];
        if (column->kind == KIND_u64) {
            uint64_t left = number_at(a, column), right = number_at(b, column);
            if (left != right) return left < right ? -1 : 1;
        } else {
            bin_t left = bytes_at(a, column), right = bytes_at(b, column);
            size_t shorter = left.len < right.len ? left.len : right.len;
            int diff = shorter ? memcmp(left.at, right.at, shorter) : 0;
            if (diff) return diff;
            if (left.len != right.len) return left.len < right.len ? -1 : 1;
        }
    }
    return 0;
}

static row_t row_copy(const row_t *from)
{
    row_t row = *from;
    const table_t *table = &row_tables[row.table];
    for (size_t i = 0; i < table->column_count; i++) {
        const column_t *column = &table->columns[i];
        if (column->kind == KIND_u64) continue;
        bin_t bin = bytes_at(from, column);
        uint8_t *at = malloc(bin.len + 1);
        must(at);
        if (bin.len) memcpy(at, bin.at, bin.len);
        set_bytes(&row, column, (bin_t){at, bin.len});
    }
    return row;
}

static void row_free(row_t *row)
{
    const table_t *table = &row_tables[row->table];
    for (size_t i = 0; i < table->column_count; i++) {
        const column_t *column = &table->columns[i];
        if (column->kind == KIND_u64) continue;
        void *at;
        memcpy(&at, (char *)&row->body + column->offset, sizeof at);
        free(at);
    }
}

static size_t place(const rowset_t *self, const row_t *row)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (order(&self->rows[middle], row) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void rowset_apply(rowset_t *self, const row_t *row)
{
    size_t i = place(self, row);
    bool there = i < self->count && order(&self->rows[i], row) == 0;

    if (there) {
        row_free(&self->rows[i]);
    } else if (row->gone) {
        must(row->table == ROW_log); /* the trim of an ended vat may name a row twice */
        return;
    } else {
        if (self->count == self->room) {
            self->room = self->room ? self->room * 2 : 64;
            self->rows = realloc(self->rows, self->room * sizeof *self->rows);
            must(self->rows);
        }
        memmove(&self->rows[i + 1], &self->rows[i], (self->count - i) * sizeof *self->rows);
        self->count++;
    }
    if (row->gone) {
        memmove(&self->rows[i], &self->rows[i + 1], (--self->count - i) * sizeof *self->rows);
    } else {
        self->rows[i] = row_copy(row);
    }
}

void rowset_clear(rowset_t *self)
{
    for (size_t i = 0; i < self->count; i++) row_free(&self->rows[i]);
    free(self->rows);
    *self = (rowset_t){0};
}

const row_t *rowset_find(const rowset_t *self, row_table_t table, uint64_t a, uint64_t b)
{
    for (size_t i = 0; i < self->count; i++) {
        const row_t *row = &self->rows[i];
        if (row->table != table || number_at(row, &row_tables[table].columns[0]) != a) continue;
        if (row_tables[table].key_count == 1) return row;
        if (number_at(row, &row_tables[table].columns[1]) == b) return row;
    }
    return NULL;
}
