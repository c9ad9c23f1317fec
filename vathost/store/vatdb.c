#include "vathost/store/vatdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vathost/store/vatdb_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/hash.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

enum { APPLICATION_ID = 0x56617476 /* "Vatv" */, FORMAT = 1 };

static const char *const sqls[] = {
#define S(name, sql) [SQL_##name] = (sql),
    STATEMENTS(S)
#undef S
};

/* A small page cache, because there are many vats on a host: what does not fit goes to the log, where
 * it is nothing until a commit follows it. */
static const char setup[] = "PRAGMA journal_mode = WAL;"
                            "PRAGMA synchronous = FULL;"
                            "PRAGMA journal_size_limit = 4194304;"
                            "PRAGMA cache_size = -512;";

/* Keys are blobs: SQLite compares those as bytes and looks at no encoding. A NULL in an undo table:
 * there was no such row. */
static const char tables[] =
    "CREATE TABLE vatstore (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE vatstore_was (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;"
    "CREATE TABLE clist (kref INTEGER PRIMARY KEY, vref BLOB NOT NULL, flags INTEGER NOT NULL);"
    "CREATE TABLE clist_was (kref INTEGER PRIMARY KEY, vref BLOB, flags INTEGER);"
    "CREATE TABLE counter (name BLOB PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE counter_was (name BLOB PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
    "CREATE TABLE checkpoint (d INTEGER PRIMARY KEY, acked INTEGER NOT NULL, chain BLOB NOT NULL,"
    " oldest INTEGER NOT NULL, results BLOB NOT NULL, heap BLOB NOT NULL);"
    "CREATE TABLE meta (name BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

/* ---- SQLite ---- */

err_t vatdb_err(vatdb_t *self, int code)
{
    err_t err = pages_err(self->db, code);
    if (err) pages_why(self->db, code, self->why, sizeof self->why);
    return err;
}

sqlite3_stmt *vatdb_statement(vatdb_t *self, sql_t sql)
{
    if (self->lent) sqlite3_reset(self->lent);
    self->lent = NULL;
    return self->statements[sql];
}

int vatdb_bind(sqlite3_stmt *stmt, int at, text_t text)
{
    return sqlite3_bind_blob64(stmt, at, text.len ? text.at : "", text.len, SQLITE_STATIC);
}

err_t vatdb_finish(vatdb_t *self, sqlite3_stmt *stmt, int bound)
{
    int code = bound == SQLITE_OK ? sqlite3_step(stmt) : bound;
    err_t err = vatdb_err(self, code);
    sqlite3_reset(stmt);
    return err;
}

err_t vatdb_exec(vatdb_t *self, const char *sql)
{
    (void)vatdb_statement(self, SQL_GET);
    return vatdb_err(self, sqlite3_exec(self->db, sql, NULL, NULL, NULL));
}

err_t vatdb_transaction(vatdb_t *self)
{
    if (self->open) return ERR_OK;
    /* Undo rows lead from the newest checkpoint to the older one; those that are made from here on will
     * lead from the next one to the newest. */
    err_t err = vatdb_exec(self, "BEGIN IMMEDIATE; DELETE FROM vatstore_was;"
                                 "DELETE FROM clist_was; DELETE FROM counter_was");
    self->open = !err;
    return err;
}

/* ---- rows ---- */

static err_t look_up(vatdb_t *self, sql_t sql, text_t key, text_t *ret, bool *ret_found)
{
    sqlite3_stmt *stmt = vatdb_statement(self, sql);
    int code = vatdb_bind(stmt, 1, key);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);

    *ret_found = code == SQLITE_ROW;
    if (code != SQLITE_ROW) {
        err_t err = vatdb_err(self, code);
        sqlite3_reset(stmt);
        return err;
    }
    const char *at = sqlite3_column_blob(stmt, 0);
    *ret = (text_t){at ? at : "", (size_t)sqlite3_column_bytes(stmt, 0)};
    self->lent = stmt;
    return ERR_OK;
}

static err_t db_get(vatstore_t *port, text_t key, text_t *ret, bool *ret_found)
{
    return look_up((vatdb_t *)port, SQL_GET, key, ret, ret_found);
}

static err_t db_next(vatstore_t *port, text_t prior, text_t *ret, bool *ret_found)
{
    return look_up((vatdb_t *)port, SQL_NEXT, prior, ret, ret_found);
}

/* D2. What comes before the first checkpoint is never undone: there the log is run again. */
static err_t keep_text(vatdb_t *self, sql_t sql, text_t key)
{
    if (!self->newest) return ERR_OK;
    sqlite3_stmt *stmt = vatdb_statement(self, sql);
    return vatdb_finish(self, stmt, vatdb_bind(stmt, 1, key));
}

static err_t keep_pair(vatdb_t *self, kref_t kref)
{
    if (!self->newest) return ERR_OK;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_KEEP_PAIR);
    return vatdb_finish(self, stmt, sqlite3_bind_int64(stmt, 1, (sqlite3_int64)kref.n));
}

static err_t db_set(vatstore_t *port, text_t key, text_t value)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = keep_text(self, SQL_KEEP_STORE, key);
    if (err) return err;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_SET);
    int code = vatdb_bind(stmt, 1, key);
    if (code == SQLITE_OK) code = vatdb_bind(stmt, 2, value);
    err = vatdb_finish(self, stmt, code);
    FAILPOINT(worker_crank_wrote);
    return err;
}

static err_t db_remove(vatstore_t *port, text_t key)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = keep_text(self, SQL_KEEP_STORE, key);
    if (err) return err;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_REMOVE);
    return vatdb_finish(self, stmt, vatdb_bind(stmt, 1, key));
}

static err_t db_pair_put(vatstore_t *port, kref_t kref, vref_t vref, uint64_t flags)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = keep_pair(self, kref);
    if (err) return err;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_PAIR_PUT);
    int code = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)kref.n);
    if (code == SQLITE_OK) code = vatdb_bind(stmt, 2, vref.s);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(stmt, 3, (sqlite3_int64)flags);
    return vatdb_finish(self, stmt, code);
}

static err_t db_pair_remove(vatstore_t *port, kref_t kref)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = keep_pair(self, kref);
    if (err) return err;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_PAIR_REMOVE);
    return vatdb_finish(self, stmt, sqlite3_bind_int64(stmt, 1, (sqlite3_int64)kref.n));
}

static err_t db_pairs(vatstore_t *port, pair_visit_t *visit, void *context)
{
    vatdb_t *self = (vatdb_t *)port;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_PAIRS);
    int code;
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        vref_t vref = {{sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)}};
        visit(context, (kref_t){(uint64_t)sqlite3_column_int64(stmt, 0)}, vref,
              (uint64_t)sqlite3_column_int64(stmt, 2));
    }
    err_t err = vatdb_err(self, code);
    sqlite3_reset(stmt);
    return err;
}

static err_t db_counter_put(vatstore_t *port, text_t name, uint64_t value)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = keep_text(self, SQL_KEEP_COUNTER, name);
    if (err) return err;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_COUNTER_PUT);
    int code = vatdb_bind(stmt, 1, name);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(stmt, 2, (sqlite3_int64)value);
    return vatdb_finish(self, stmt, code);
}

static err_t db_counter_get(vatstore_t *port, text_t name, uint64_t *ret)
{
    vatdb_t *self = (vatdb_t *)port;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_COUNTER_GET);
    int code = vatdb_bind(stmt, 1, name);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);
    *ret = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    err_t err = vatdb_err(self, code);
    sqlite3_reset(stmt);
    return err;
}

/* ---- cranks ---- */

static err_t db_begin(vatstore_t *port)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = vatdb_transaction(self);
    if (!err) err = vatdb_finish(self, vatdb_statement(self, SQL_BEGIN), SQLITE_OK);
    FAILPOINT(worker_crank_open);
    return err;
}

static err_t db_keep(vatstore_t *port)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = vatdb_finish(self, vatdb_statement(self, SQL_KEEP), SQLITE_OK);
    FAILPOINT(worker_crank_kept);
    return err;
}

static err_t db_undo(vatstore_t *port)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = vatdb_finish(self, vatdb_statement(self, SQL_UNDO), SQLITE_OK);
    if (!err) err = vatdb_finish(self, vatdb_statement(self, SQL_KEEP), SQLITE_OK);
    FAILPOINT(worker_crank_undone);
    return err;
}

/* ---- the file ---- */

static uint64_t db_newest(const vatstore_t *port) { return ((const vatdb_t *)port)->newest; }
static uint64_t db_oldest(const vatstore_t *port) { return ((const vatdb_t *)port)->oldest; }
static const char *db_why(const vatstore_t *port) { return ((const vatdb_t *)port)->why; }

static uint64_t db_bytes(vatstore_t *port)
{
    vatdb_t *self = (vatdb_t *)port;
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_BYTES);
    uint64_t bytes = sqlite3_step(stmt) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return bytes;
}

static void db_destroy(vatstore_t **self_p)
{
    vatdb_t *self = (vatdb_t *)*self_p;
    vatdb_close(self);
    free(self);
    *self_p = NULL;
}

void vatdb_delete(const char *path)
{
    static const char *const tails[] = {"", "-journal", "-wal", "-shm"};
    char name[PATH_BYTES_MAX + 16];

    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        unlink(name);
    }
}

/* Reads every page. */
static bool is_damaged(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    bool damaged = false;
    int rc = pages_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, &db);
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) damaged = strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0;
    damaged = damaged || pages_err(db, rc) == ERR_STORE_DAMAGED;
    sqlite3_finalize(stmt);
    must(sqlite3_close(db) == SQLITE_OK);
    return damaged;
}

bool vatdb_set_aside(const char *path)
{
    /* A log without its file would be taken for a part of the next one; a file without its log is an
     * older state, which the broker knows for one. */
    static const char *const tails[] = {"-wal", ""};
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    char from[PATH_BYTES_MAX + 16], to[PATH_BYTES_MAX + 32];

    if (!is_damaged(path)) return false;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(from, sizeof from, "%s%s", path, tails[i]);
        snprintf(to, sizeof to, "%.*sdamaged-%s%s", folder, path, path + folder, tails[i]);
        unlink(to);
        (void)!rename(from, to);
    }
    return true;
}

/* ---- opening ---- */

static err_t ask(vatdb_t *self, const char *sql, int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(self->db, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) *ret = sqlite3_column_int64(stmt, 0);
    err_t err = vatdb_err(self, code);
    sqlite3_finalize(stmt);
    return err;
}

static err_t prepare(vatdb_t *self)
{
    int code = SQLITE_OK;
    for (int i = 0; i < SQL_COUNT && code == SQLITE_OK; i++) {
        code = sqlite3_prepare_v3(self->db, sqls[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &self->statements[i], NULL);
    }
    return vatdb_err(self, code);
}

static err_t meta_put(vatdb_t *self, const char *name, const void *at, size_t len)
{
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_META_PUT);
    int code = vatdb_bind(stmt, 1, text_of(name));
    if (code == SQLITE_OK) code = vatdb_bind(stmt, 2, (text_t){at, len});
    return vatdb_finish(self, stmt, code);
}

/* Whether the file says so; *RET is only ever set to false. */
static err_t meta_is(vatdb_t *self, const char *name, const void *at, size_t len, bool *ret)
{
    text_t value;
    bool found;
    err_t err = look_up(self, SQL_META_GET, text_of(name), &value, &found);
    if (!err && (!found || value.len != len || memcmp(value.at, at, len) != 0)) *ret = false;
    return err;
}

int vatdb_make_tables(sqlite3 *db)
{
    char version[128];
    snprintf(version, sizeof version, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, FORMAT);
    int rc = sqlite3_exec(db, setup, NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db, tables, NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_exec(db, version, NULL, NULL, NULL) : rc;
}

static err_t create(vatdb_t *self)
{
    const vatdb_options_t *own = &self->options;
    err_t err = vatdb_err(self, vatdb_make_tables(self->db));
    if (!err) err = prepare(self);
    if (!err) err = meta_put(self, "kernel", &own->kernel, sizeof own->kernel);
    if (!err) err = meta_put(self, "vat", &own->vat.n, sizeof own->vat.n);
    if (!err) err = meta_put(self, "pgen", &own->pgen, sizeof own->pgen);
    if (!err) err = vatdb_exec(self, "COMMIT");
    return err;
}

static err_t recognize(vatdb_t *self)
{
    const vatdb_options_t *own = &self->options;
    bool ours = true, placed = true;

    err_t err = prepare(self);
    if (!err) err = meta_is(self, "kernel", &own->kernel, sizeof own->kernel, &ours);
    if (!err) err = meta_is(self, "vat", &own->vat.n, sizeof own->vat.n, &ours);
    if (!err) err = meta_is(self, "pgen", &own->pgen, sizeof own->pgen, &placed);
    if (err) return err;
    if (!ours) {
        snprintf(self->why, sizeof self->why, "it belongs to another vat or another kernel");
        return ERR_STORE_VERSION;
    }
    self->adopted = !placed;
    return vatdb_look(self);
}

static err_t look(vatdb_t *self)
{
    int64_t application = 0, format = 0, count = 0;
    err_t err = ask(self, "PRAGMA application_id", &application);
    if (!err) err = ask(self, "PRAGMA user_version", &format);
    if (!err) err = ask(self, "SELECT count(*) FROM sqlite_schema", &count);
    if (err) return err;
    bool fresh = application == 0 && format == 0 && count == 0;
    if (!fresh && (application != APPLICATION_ID || format != FORMAT)) {
        snprintf(self->why, sizeof self->why,
                 "application id %lld, format %lld; this program: %d, %d", (long long)application,
                 (long long)format, APPLICATION_ID, FORMAT);
        return ERR_STORE_VERSION;
    }
    if (fresh) return create(self);
    err = vatdb_exec(self, setup);
    return err ? err : recognize(self);
}

static err_t open_file(vatdb_t *self, const char *path)
{
    int code = pages_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                          &self->db);
    return code == SQLITE_OK ? look(self) : vatdb_err(self, code);
}

void vatdb_close(vatdb_t *self)
{
    for (int i = 0; i < SQL_COUNT; i++) sqlite3_finalize(self->statements[i]);
    memset(self->statements, 0, sizeof self->statements);
    self->lent = NULL;
    must(sqlite3_close(self->db) == SQLITE_OK);
    self->db = NULL;
}

static const vatstore_t members = {
    .get = db_get,
    .next = db_next,
    .set = db_set,
    .remove = db_remove,
    .pair_put = db_pair_put,
    .pair_remove = db_pair_remove,
    .pairs = db_pairs,
    .counter_put = db_counter_put,
    .counter_get = db_counter_get,
    .crank_begin = db_begin,
    .crank_keep = db_keep,
    .crank_undo = db_undo,
    .checkpoint = vatdb_checkpoint,
    .read = vatdb_read,
    .back = vatdb_back,
    .empty = vatdb_empty,
    .newest = db_newest,
    .oldest = db_oldest,
    .copy = vatdb_copy,
    .bytes = db_bytes,
    .why = db_why,
    .destroy = db_destroy,
};

err_t vatdb_open(const vatdb_options_t *options, vatstore_t **ret)
{
    vatdb_t *self = calloc(1, sizeof *self);
    must(self);
    self->port = members;
    self->options = *options;
    self->options.path = NULL; /* borrowed for the call */
    *ret = &self->port;

    mode_t mask = umask(0077);
    err_t err = open_file(self, options->path);
    /* Twice: what is not the same the next time is no damage of the disk. */
    if (!err && !vatdb_readable(self) && !vatdb_readable(self)) {
        err = vatdb_rescue(self, options->path);
        if (!err) err = open_file(self, options->path);
    }
    umask(mask);
    return err;
}
