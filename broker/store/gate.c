#include "broker/store/gate.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

/* What is hashed of one row. Long values are in it by their own hash: one pass, no copy. */
typedef struct {
    uint8_t at[1024];
    size_t len;
    size_t left_out; /* bytes of long values */
} digest_t;

static void digest_add(digest_t *digest, const void *at, size_t len)
{
    must(len <= sizeof digest->at - digest->len);
    if (len) memcpy(digest->at + digest->len, at, len);
    digest->len += len;
}

static void digest_u64(digest_t *digest, uint64_t n)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(n >> (56 - 8 * i));
    digest_add(digest, bytes, sizeof bytes);
}

static void digest_bytes(digest_t *digest, bin_t bin)
{
    digest_u64(digest, bin.len);
    if (bin.len <= sizeof(hash_t)) {
        digest_add(digest, bin.at, bin.len);
    } else {
        hash_t hash = hash_of(bin);
        digest_add(digest, hash.b, sizeof hash.b);
        digest->left_out += bin.len - sizeof hash.b;
    }
}

static void digest_column(digest_t *digest, const column_t *column, const row_t *row)
{
    const void *at = (const uint8_t *)&row->body + column->offset;
    if (column->kind == KIND_u64) {
        digest_u64(digest, *(const uint64_t *)at);
    } else if (column->kind == KIND_text) {
        const text_t *text = at;
        digest_bytes(digest, (bin_t){(const uint8_t *)text->at, text->len});
    } else {
        must(column->kind == KIND_bin);
        digest_bytes(digest, *(const bin_t *)at);
    }
}

void record_begin(record_t *record, uint64_t epoch)
{
    record->epoch = epoch;
    record->seq++;
    record->count = record->bytes = 0;
}

void record_add(record_t *record, const row_t *row)
{
    must(row->table < ROW_TABLES);
    if (record->count == record->room) {
        record->room = record->room ? 2 * record->room : 64;
        record->rows = reallocarray(record->rows, record->room, sizeof *record->rows);
        must(record->rows);
    }
    record->rows[record->count++] = *row;

    const table_t *table = &row_tables[row->table];
    digest_t digest = {.len = 0, .left_out = 0};
    digest_add(&digest, record->chain.b, sizeof record->chain.b);
    digest_u64(&digest, row->table);
    digest_u64(&digest, row->gone);
    for (size_t i = 0; i < (row->gone ? table->key_count : table->column_count); i++) {
        digest_column(&digest, &table->columns[i], row);
    }
    record->bytes += digest.len - sizeof record->chain.b + digest.left_out;
    record->chain = hash_of((bin_t){digest.at, digest.len});
}

void record_clear(record_t *record)
{
    free(record->rows);
    *record = (record_t){0};
}
