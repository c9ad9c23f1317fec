#include "vathost/store/vatdb.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire/base/failpoint.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

/* Every statement of this file. */
#define STATEMENTS(S)                                                                          \
    S(GET, "SELECT v FROM vatstore WHERE k = ?1")                                              \
    S(NEXT, "SELECT k FROM vatstore WHERE k > ?1 ORDER BY k LIMIT 1")                          \
    S(SET, "INSERT INTO vatstore (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = ?2") \
    S(REMOVE, "DELETE FROM vatstore WHERE k = ?1")                                             \
    S(PAIR_PUT, "INSERT INTO clist (kref, vref, flags) VALUES (?1, ?2, ?3)"                    \
                " ON CONFLICT (kref) DO UPDATE SET vref = ?2, flags = ?3")                     \
    S(PAIR_REMOVE, "DELETE FROM clist WHERE kref = ?1")                                        \
    S(COUNTER_PUT, "INSERT INTO counter (name, value) VALUES (?1, ?2)"                         \
                   " ON CONFLICT (name) DO UPDATE SET value = ?2")                             \
    S(BEGIN, "SAVEPOINT crank")                                                                \
    S(KEEP, "RELEASE crank")                                                                   \
    S(UNDO, "ROLLBACK TO crank")

typedef enum {
#define S(name, sql) SQL_##name,
    STATEMENTS(S)
#undef S
        SQL_COUNT,
} sql_t;

static const char *const sqls[] = {
#define S(name, sql) [SQL_##name] = (sql),
    STATEMENTS(S)
#undef S
};

/* The file holds nothing that outlives the process, so the rollback journal may be memory; a small
 * page cache, because there are many vats on a host. Keys are blobs: SQLite compares those as bytes
 * and looks at no encoding. */
static const char setup[] =
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA journal_mode = MEMORY;"
    "PRAGMA synchronous = OFF;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA cache_size = -512;"
    "BEGIN IMMEDIATE;"
    "CREATE TABLE vatstore (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE clist (kref INTEGER PRIMARY KEY, vref BLOB NOT NULL,"
    " flags INTEGER NOT NULL);"
    "CREATE TABLE counter (name BLOB PRIMARY KEY, value INTEGER NOT NULL)"
    " WITHOUT ROWID;";

typedef struct {
    vatstore_t port;
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    sqlite3_stmt *lent; /* whose row the caller still borrows */
} vatdb_t;

static err_t err_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return ERR_OK;
    case SQLITE_FULL: return ERR_STORE_FULL;
    default: return ERR_STORE;
    }
}

static sqlite3_stmt *statement(vatdb_t *self, sql_t sql)
{
    if (self->lent) sqlite3_reset(self->lent);
    self->lent = NULL;
    return self->statements[sql];
}

static int bind(sqlite3_stmt *stmt, int at, text_t text)
{
    return sqlite3_bind_blob64(stmt, at, text.len ? text.at : "", text.len, SQLITE_STATIC);
}

/* Runs a statement that gives no rows. An error leaves the open transaction in a state that is only
 * good for closing, which is what the worker does next. */
static err_t finish(sqlite3_stmt *stmt, int bound)
{
    int code = bound == SQLITE_OK ? sqlite3_step(stmt) : bound;
    sqlite3_reset(stmt);
    return err_of(code);
}

static err_t look_up(vatdb_t *self, sql_t sql, text_t key, text_t *ret, bool *ret_found)
{
    sqlite3_stmt *stmt = statement(self, sql);
    int code = bind(stmt, 1, key);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);

    *ret_found = code == SQLITE_ROW;
    if (code != SQLITE_ROW) {
        sqlite3_reset(stmt);
        return err_of(code);
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

static err_t db_set(vatstore_t *port, text_t key, text_t value)
{
    sqlite3_stmt *stmt = statement((vatdb_t *)port, SQL_SET);
    int code = bind(stmt, 1, key);
    if (code == SQLITE_OK) code = bind(stmt, 2, value);
    err_t err = finish(stmt, code);
    FAILPOINT(worker_crank_wrote);
    return err;
}

static err_t db_remove(vatstore_t *port, text_t key)
{
    sqlite3_stmt *stmt = statement((vatdb_t *)port, SQL_REMOVE);
    return finish(stmt, bind(stmt, 1, key));
}

static err_t db_pair_put(vatstore_t *port, kref_t kref, vref_t vref, uint64_t flags)
{
    sqlite3_stmt *stmt = statement((vatdb_t *)port, SQL_PAIR_PUT);
    int code = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)kref.n);
    if (code == SQLITE_OK) code = bind(stmt, 2, vref.s);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(stmt, 3, (sqlite3_int64)flags);
    return finish(stmt, code);
}

static err_t db_pair_remove(vatstore_t *port, kref_t kref)
{
    sqlite3_stmt *stmt = statement((vatdb_t *)port, SQL_PAIR_REMOVE);
    return finish(stmt, sqlite3_bind_int64(stmt, 1, (sqlite3_int64)kref.n));
}

static err_t db_counter_put(vatstore_t *port, text_t name, uint64_t value)
{
    sqlite3_stmt *stmt = statement((vatdb_t *)port, SQL_COUNTER_PUT);
    int code = bind(stmt, 1, name);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(stmt, 2, (sqlite3_int64)value);
    return finish(stmt, code);
}

static err_t db_begin(vatstore_t *port)
{
    err_t err = finish(statement((vatdb_t *)port, SQL_BEGIN), SQLITE_OK);
    FAILPOINT(worker_crank_open);
    return err;
}

static err_t db_keep(vatstore_t *port)
{
    err_t err = finish(statement((vatdb_t *)port, SQL_KEEP), SQLITE_OK);
    FAILPOINT(worker_crank_kept);
    return err;
}

static err_t db_undo(vatstore_t *port)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = finish(statement(self, SQL_UNDO), SQLITE_OK);
    if (!err) err = finish(statement(self, SQL_KEEP), SQLITE_OK);
    FAILPOINT(worker_crank_undone);
    return err;
}

static void db_destroy(vatstore_t **self_p)
{
    vatdb_t *self = (vatdb_t *)*self_p;
    for (int i = 0; i < SQL_COUNT; i++) sqlite3_finalize(self->statements[i]);
    must(sqlite3_close(self->db) == SQLITE_OK);
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

static err_t prepare(vatdb_t *self)
{
    int code = sqlite3_exec(self->db, setup, NULL, NULL, NULL);
    for (int i = 0; i < SQL_COUNT && code == SQLITE_OK; i++) {
        code = sqlite3_prepare_v3(self->db, sqls[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &self->statements[i], NULL);
    }
    return err_of(code);
}

err_t vatdb_open(const char *path, vatstore_t **ret)
{
    vatdb_t *self = calloc(1, sizeof *self);
    must(self);
    self->port =
        (vatstore_t){db_get,         db_next,  db_set,  db_remove, db_pair_put, db_pair_remove,
                     db_counter_put, db_begin, db_keep, db_undo,   db_destroy};

    vatdb_delete(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &self->db, flags, NULL);
    err_t err = code == SQLITE_OK ? prepare(self) : err_of(code);
    vatstore_t *port = &self->port;
    if (err) {
        vatstore_destroy(&port);
        return err;
    }
    *ret = port;
    return ERR_OK;
}
