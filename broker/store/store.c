#include "broker/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "broker/store/store_own.h"
#include "wire/base/must.h"

enum { APPLICATION_ID = 0x56617479 /* "Vaty" */, LOG_PAGES = 4000 };

err_t store_failed(store_t *self, int rc)
{
    pages_why(self->db, rc, self->why, sizeof self->why);
    return pages_err(self->db, rc);
}

const char *store_why(const store_t *self) { return self ? self->why : ""; }

err_t store_prepare(store_t *self, const char *sql, sqlite3_stmt **ret)
{
    int rc = sqlite3_prepare_v3(self->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    return rc == SQLITE_OK ? ERR_OK : store_failed(self, rc);
}

err_t store_run(store_t *self, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    err_t err = rc == SQLITE_DONE ? ERR_OK : store_failed(self, rc);
    sqlite3_reset(stmt);
    return err;
}

err_t store_exec(store_t *self, const char *sql)
{
    int rc = sqlite3_exec(self->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : store_failed(self, rc);
}

/* One number that the database says about itself. */
static err_t ask(store_t *self, const char *sql, int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    err_t err = store_prepare(self, sql, &stmt);
    if (!err) {
        int rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
            *ret = sqlite3_column_int64(stmt, 0);
        else
            err = store_failed(self, rc);
    }
    sqlite3_finalize(stmt);
    return err;
}

err_t store_verify(store_t *self)
{
    sqlite3_stmt *stmt = NULL;
    err_t err = store_prepare(self, "PRAGMA quick_check(1)", &stmt);
    if (err) return err;
    int rc = sqlite3_step(stmt);
    const unsigned char *said = rc == SQLITE_ROW ? sqlite3_column_text(stmt, 0) : NULL;
    if (!said) {
        err = store_failed(self, rc);
    } else if (strcmp((const char *)said, "ok") != 0) {
        /* It goes on behind a page that cannot be read: what was wrong with that one is remembered below. */
        bool unread = strstr((const char *)said, " get ") != NULL;
        err = unread ? store_failed(self, SQLITE_IOERR_DATA) : ERR_STORE_DAMAGED;
        if (!unread) snprintf(self->why, sizeof self->why, "%s", said);
    }
    sqlite3_finalize(stmt);
    return err;
}

static err_t configure(store_t *self, const store_options_t *options)
{
    err_t err = store_exec(self, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                 "PRAGMA cache_size = -4096;"
                                 "PRAGMA journal_size_limit = 67108864");
    char sql[64];
    int log_pages = options->log_pages ? (int)options->log_pages : LOG_PAGES;
    if (!err) sqlite3_wal_autocheckpoint(self->db, log_pages);
    if (!err && options->pages_max) {
        snprintf(sql, sizeof sql, "PRAGMA max_page_count = %u", (unsigned)options->pages_max);
        err = store_exec(self, sql);
    }
    return err;
}

static err_t create(store_t *self)
{
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, tables_version());
    err_t err = store_exec(self, "BEGIN IMMEDIATE");
    if (!err) err = tables_create(self);
    if (!err) {
        err =
            store_exec(self, "CREATE TABLE store_gate (one INTEGER PRIMARY KEY CHECK (one = 1),"
                             " epoch INTEGER NOT NULL, seq INTEGER NOT NULL, chain BLOB NOT NULL);"
                             "CREATE TABLE store_bundle (id INTEGER PRIMARY KEY,"
                             " name TEXT NOT NULL UNIQUE, data BLOB NOT NULL)");
    }
    if (!err) err = store_exec(self, sql);
    return err ? err : store_exec(self, "COMMIT");
}

typedef enum { FILE_NEW, FILE_TODAYS, FILE_OLDER } file_kind_t;

/* The versions that were, beside those without sums of today's schema. */
static const struct {
    int version;
    unsigned schema;
} older[] = {
    {990449823, 1}, /* a hash alone; made without sums */
};

/* What it is, or a refusal: a file that is not ours, or has other columns, is left exactly as it is. */
static err_t recognize(store_t *self, file_kind_t *ret, unsigned *ret_schema)
{
    int64_t application = 0, version = 0, tables = 0;
    err_t err = ask(self, "PRAGMA application_id", &application);
    if (!err) err = ask(self, "PRAGMA user_version", &version);
    if (!err) err = ask(self, "SELECT count(*) FROM sqlite_schema", &tables);
    if (err) return err;
    *ret = FILE_NEW;
    if (application == 0 && version == 0 && tables == 0) return ERR_OK;
    bool ours = application == APPLICATION_ID;
    *ret = pages_summed(self->db) ? FILE_TODAYS : FILE_OLDER;
    *ret_schema = SCHEMA;
    if (ours && version == tables_version()) return ERR_OK;
    *ret = FILE_OLDER;
    for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
        *ret_schema = older[i].schema;
        if (ours && version == older[i].version) return ERR_OK;
    }
    int64_t schema = version >> SCHEMA_SHIFT;
    snprintf(self->why, sizeof self->why,
             "%s; it has application id %lld, version %lld, and this program %d, %d",
             !ours             ? "it is no kernel.db"
             : schema > SCHEMA ? "a newer program made it"
                               : "no released program made it",
             (long long)application, (long long)version, APPLICATION_ID, tables_version());
    return ERR_STORE_VERSION;
}

static err_t prepare(store_t *self)
{
    const struct {
        sqlite3_stmt **stmt;
        const char *sql;
    } all[] = {
        {&self->begin, "BEGIN IMMEDIATE"},
        {&self->commit, "COMMIT"},
        {&self->rollback, "ROLLBACK"},
        {&self->gate_put, "REPLACE INTO store_gate VALUES (1, ?, ?, ?)"},
        {&self->log_last, "SELECT coalesce(max(d), 0) FROM log WHERE vat = ?"},
        {&self->bundle_size, "SELECT length(data) FROM store_bundle WHERE name = ?"},
        {&self->bundle_rowid, "SELECT id FROM store_bundle WHERE name = ?"},
        {&self->bundle_put, "INSERT OR IGNORE INTO store_bundle (name, data) VALUES (?, ?)"},
    };
    err_t err = tables_prepare(self);
    for (size_t i = 0; i < sizeof all / sizeof *all && !err; i++) {
        err = store_prepare(self, all[i].sql, all[i].stmt);
    }
    return err;
}

/* No row: nothing was ever recorded. */
static err_t read_gate(store_t *self)
{
    sqlite3_stmt *stmt = NULL;
    err_t err = store_prepare(self, "SELECT seq, chain FROM store_gate", &stmt);
    if (err) return err;
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        self->seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        const void *chain = sqlite3_column_blob(stmt, 1);
        if (sqlite3_column_bytes(stmt, 1) == sizeof self->chain.b)
            memcpy(self->chain.b, chain, sizeof self->chain.b);
        else
            err = ERR_STORE_DAMAGED;
    } else if (rc != SQLITE_DONE) {
        err = store_failed(self, rc);
    }
    sqlite3_finalize(stmt);
    return err;
}

static err_t open_file(store_t *self, const char *path, file_kind_t *ret, unsigned *ret_schema)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = pages_open(path, flags, &self->db);
    return rc == SQLITE_OK ? recognize(self, ret, ret_schema) : store_failed(self, rc);
}

static err_t open_database(store_t *self, const store_options_t *options)
{
    file_kind_t kind;
    unsigned schema;
    migrate_forget(options->path);
    err_t err = open_file(self, options->path, &kind, &schema);
    if (!err && kind == FILE_OLDER) {
        err = migrate(self, options->path, schema);
        if (!err) err = open_file(self, options->path, &kind, &schema);
    }
    if (!err) err = configure(self, options);
    return !err && kind == FILE_NEW ? create(self) : err;
}

err_t store_open(const store_options_t *options, store_t **ret)
{
    store_t *self = *ret = calloc(1, sizeof *self);
    must(self);
    mode_t mask = umask(0077);
    err_t err = open_database(self, options);
    umask(mask);
    if (!err) err = prepare(self);
    if (!err) err = read_gate(self);
    return err;
}

void store_destroy(store_t **self_p)
{
    store_t *self = *self_p;
    if (!self) return;
    sqlite3_stmt *stmt;
    while (self->db && (stmt = sqlite3_next_stmt(self->db, NULL))) sqlite3_finalize(stmt);
    sqlite3_close(self->db);
    free(self);
    *self_p = NULL;
}

err_t store_load(store_t *self, store_visit_t *visit, void *context)
{
    err_t err = ERR_OK;
    for (row_table_t i = 0; i < ROW_TABLES && !err; i++) {
        err = tables_visit(self, self->tables[i].all, i, visit, context);
    }
    return err;
}

err_t store_log(store_t *self, vat_t vat, uint64_t first, uint64_t last, store_visit_t *visit,
                void *context)
{
    sqlite3_bind_int64(self->log_range, 1, vat.n);
    sqlite3_bind_int64(self->log_range, 2, (sqlite3_int64)first);
    sqlite3_bind_int64(self->log_range, 3, (sqlite3_int64)last);
    return tables_visit(self, self->log_range, ROW_log, visit, context);
}

err_t store_log_last(store_t *self, vat_t vat, uint64_t *ret)
{
    sqlite3_bind_int64(self->log_last, 1, vat.n);
    int rc = sqlite3_step(self->log_last);
    if (rc == SQLITE_ROW) *ret = (uint64_t)sqlite3_column_int64(self->log_last, 0);
    err_t err = rc == SQLITE_ROW ? ERR_OK : store_failed(self, rc);
    sqlite3_reset(self->log_last);
    return err;
}

void store_room(const store_t *self, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs disk;
    *ret_free = *ret_total = UINT64_MAX;
    if (statvfs(sqlite3_db_filename(self->db, "main"), &disk) != 0) return;
    *ret_free = (uint64_t)disk.f_bavail * disk.f_frsize;
    *ret_total = (uint64_t)disk.f_blocks * disk.f_frsize;
}
