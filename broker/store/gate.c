#include "broker/store/gate.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

/* One hash over all rows of a record: short values are gathered, so that it is fed in long pieces. */
enum { GATHERED_BYTES_MAX = 1024 };

typedef struct {
    hasher_t *hasher;
    uint8_t at[GATHERED_BYTES_MAX];
    size_t len, added; /* added: in all */
} digest_t;

static void digest_flush(digest_t *digest)
{
    hasher_add(digest->hasher, (bin_t){digest->at, digest->len});
    digest->len = 0;
}

static void digest_add(digest_t *digest, const void *at, size_t len)
{
    digest->added += len;
    if (len > sizeof digest->at - digest->len) digest_flush(digest);
    if (len > sizeof digest->at) {
        hasher_add(digest->hasher, (bin_t){at, len});
        return;
    }
    if (len) memcpy(digest->at + digest->len, at, len);
    digest->len += len;
}

static void digest_u64(digest_t *digest, uint64_t n)
{
    uint64_t bytes = htobe64(n);
    digest_add(digest, &bytes, sizeof bytes);
}

/* With its length before it, no two rows give the same bytes. */
static void digest_bytes(digest_t *digest, bin_t bin)
{
    digest_u64(digest, bin.len);
    digest_add(digest, bin.at, bin.len);
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
    must(!record->hasher);
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

    if (!record->hasher) {
        record->hasher = hasher_new();
        hasher_add(record->hasher, (bin_t){record->chain.b, sizeof record->chain.b});
    }
    const table_t *table = &row_tables[row->table];
    digest_t digest;
    digest.hasher = record->hasher;
    digest.len = digest.added = 0;
    digest_u64(&digest, row->table);
    digest_u64(&digest, row->gone);
    for (size_t i = 0; i < (row->gone ? table->key_count : table->column_count); i++) {
        digest_column(&digest, &table->columns[i], row);
    }
    digest_flush(&digest);
    record->bytes += digest.added;
}

void record_end(record_t *record)
{
    if (record->hasher) record->chain = hasher_end(&record->hasher);
}

void record_clear(record_t *record)
{
    hasher_destroy(&record->hasher);
    free(record->rows);
    *record = (record_t){0};
}
