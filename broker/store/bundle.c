/* Bundles: code by its hash. Staged in memory, stored whole, read in pieces. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store_own.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

bool bundle_name_ok(text_t name)
{
    if (name.len != BUNDLE_NAME_BYTES || memcmp(name.at, "b1-", 3) != 0) return false;
    for (size_t i = 3; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return true;
}

/* The first column of the row that has NAME; 0 when there is none. */
static err_t find(store_t *self, sqlite3_stmt *stmt, text_t name, int64_t *ret)
{
    sqlite3_bind_text64(stmt, 1, name.len ? name.at : "", name.len, SQLITE_STATIC, SQLITE_UTF8);
    int rc = sqlite3_step(stmt);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    err_t err = rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_failed(self, rc);
    sqlite3_reset(stmt);
    return err;
}

err_t store_bundle_size(store_t *self, text_t name, uint64_t *ret)
{
    int64_t size = 0;
    err_t err = find(self, self->bundle_size, name, &size);
    *ret = (uint64_t)size;
    return err;
}

err_t store_bundle_read(store_t *self, text_t name, uint64_t offset, uint8_t *buf, size_t room,
                        size_t *ret_len)
{
    *ret_len = 0;
    int64_t rowid = 0;
    err_t err = find(self, self->bundle_rowid, name, &rowid);
    if (err) return err;
    if (!rowid) return ERR_BUNDLE_UNKNOWN;

    sqlite3_blob *blob = NULL;
    int rc = sqlite3_blob_open(self->db, "main", "store_bundle", "data", rowid, 0, &blob);
    if (rc == SQLITE_OK) {
        uint64_t size = (uint64_t)sqlite3_blob_bytes(blob);
        uint64_t left = offset < size ? size - offset : 0;
        size_t len = left < room ? (size_t)left : room;
        if (len) rc = sqlite3_blob_read(blob, buf, (int)len, (int)offset);
        if (rc == SQLITE_OK) *ret_len = len;
    }
    if (rc != SQLITE_OK) err = store_failed(self, rc);
    sqlite3_blob_close(blob);
    return err;
}

static bool hash_matches(const stage_t *stage)
{
    uint8_t hash[crypto_hash_sha512_BYTES];
    char hex[2 * sizeof hash + 1];
    crypto_hash_sha512(hash, stage->at, stage->len);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    return strcmp(hex, stage->name + 3) == 0;
}

static err_t keep(store_t *self, const stage_t *stage)
{
    sqlite3_bind_text(self->bundle_put, 1, stage->name, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(self->bundle_put, 2, stage->at, stage->len, SQLITE_STATIC);
    return store_run(self, self->bundle_put);
}

static bool in_order(const stage_t *stage, text_t name, uint64_t offset, uint64_t total)
{
    return offset == stage->len && total == stage->total && stage->at &&
           memcmp(stage->name, name.at, BUNDLE_NAME_BYTES) == 0;
}

err_t store_bundle_put(store_t *self, stage_t *stage, text_t name, uint64_t offset, uint64_t total,
                       bin_t data)
{
    if (!bundle_name_ok(name) || total == 0 || total > BUNDLE_BYTES_MAX) return ERR_BAD_VALUE;
    if (offset > total || data.len > total - offset || data.len == 0) return ERR_BAD_VALUE;
    if (offset == 0) {
        stage_clear(stage);
        memcpy(stage->name, name.at, BUNDLE_NAME_BYTES);
        stage->total = (size_t)total;
        stage->at = malloc(stage->total);
        must(stage->at);
    }
    if (!in_order(stage, name, offset, total)) return ERR_BAD_VALUE;
    memcpy(stage->at + stage->len, data.at, data.len);
    stage->len += data.len;
    if (stage->len < stage->total) return ERR_OK;

    err_t err = hash_matches(stage) ? keep(self, stage) : ERR_BUNDLE_BROKEN;
    stage_clear(stage);
    return err;
}

void stage_clear(stage_t *stage)
{
    free(stage->at);
    *stage = (stage_t){0};
}
