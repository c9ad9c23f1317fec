/* The store: the rows in memory, as bytes. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig_own.h"
#include "wire/base/must.h"

static blob_t *row_bytes(const row_t *row, bool keys)
{
    const table_t *table = &row_tables[row->table];
    size_t count = keys ? table->key_count : table->column_count;
    buf_t out = buf_of(FRAME_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        const column_t *column = &table->columns[i];
        const uint8_t *at = (const uint8_t *)&row->body + column->offset;
        if (column->kind == KIND_u64) {
            must(!buf_add(&out, at, 8));
            continue;
        }
        bin_t bin;
        memcpy(&bin, at, sizeof bin); /* text_t and bin_t have the same shape */
        must(!buf_add(&out, &bin.len, sizeof bin.len));
        must(!buf_add(&out, bin.at, bin.len));
    }
    blob_t *blob = blob_new(out.at, out.len);
    buf_clear(&out);
    return blob;
}

static bool blob_same(const blob_t *a, const blob_t *b)
{
    bin_t x = blob_bin(a), y = blob_bin(b);
    return x.len == y.len && (!x.len || memcmp(x.at, y.at, x.len) == 0);
}

void rig_row_store(void *context, const row_t *row)
{
    rig_t *self = context;
    blob_t *key = row_bytes(row, true);
    size_t i = 0;
    while (i < self->row_count &&
           (self->rows[i].table != row->table || !blob_same(self->rows[i].key, key)))
        i++;
    bool known = i < self->row_count;
    if (known) {
        blob_destroy(&self->rows[i].key);
        blob_destroy(&self->rows[i].row);
        self->rows[i] = self->rows[--self->row_count];
    }
    if (row->gone) {
        must(known); /* what is deleted was there: no row goes twice */
        blob_destroy(&key);
        return;
    }
    self->rows = rig_resized(self->rows, (self->row_count + 1) * sizeof *self->rows);
    self->rows[self->row_count++] = (stored_t){row->table, key, row_bytes(row, false)};
}

row_t rig_row_read(const stored_t *stored)
{
    row_t row = {.table = stored->table};
    const table_t *table = &row_tables[stored->table];
    const uint8_t *at = blob_bin(stored->row).at;
    for (size_t i = 0; i < table->column_count; i++) {
        uint8_t *to = (uint8_t *)&row.body + table->columns[i].offset;
        if (table->columns[i].kind == KIND_u64) {
            memcpy(to, at, 8);
            at += 8;
            continue;
        }
        bin_t bin;
        memcpy(&bin.len, at, sizeof bin.len);
        bin.at = at + sizeof bin.len;
        memcpy(to, &bin, sizeof bin);
        at = bin.at + bin.len;
    }
    return row;
}

size_t rig_rows(const rig_t *self, row_table_t table)
{
    size_t count = 0;
    for (size_t i = 0; i < self->row_count; i++) count += self->rows[i].table == table;
    return count;
}

hash_t rig_row_chain(const rig_t *self, const msg_attach_t *msg)
{
    hash_t chain = {{0}};
    for (size_t i = 0; i < self->row_count; i++) {
        if (self->rows[i].table != ROW_log) continue;
        row_t row = rig_row_read(&self->rows[i]);
        const row_log_t *log = &row.body.log;
        if (log->vat == msg->vat.n && log->d == msg->last && log->outcome)
            memcpy(chain.b, log->chain.at, sizeof chain.b);
    }
    return chain;
}

static int by_row(const void *a, const void *b)
{
    const stored_t *x = a, *y = b;
    if (x->table != y->table) return x->table < y->table ? -1 : 1;
    bin_t p = blob_bin(x->key), q = blob_bin(y->key);
    size_t len = p.len < q.len ? p.len : q.len;
    return memcmp(p.at, q.at, len);
}

void rig_rows_load(rig_t *self)
{
    qsort(self->rows, self->row_count, sizeof *self->rows, by_row);
    for (size_t i = 0; i < self->row_count; i++) {
        row_t row = rig_row_read(&self->rows[i]);
        must(!kernel_load(self->kernel, &row));
    }
}

void rig_rows_clear(rig_t *self)
{
    for (size_t i = 0; i < self->row_count; i++) {
        blob_destroy(&self->rows[i].key);
        blob_destroy(&self->rows[i].row);
    }
    free(self->rows);
}
