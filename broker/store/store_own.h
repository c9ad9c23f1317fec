/* What the files of this folder share. */
#pragma once
#include "broker/store/store.h"
#include "wire/pages/pages.h"

typedef struct {
    sqlite3_stmt *put, *drop, *all; /* all: every row that is loaded at start */
    sqlite3_stmt *drop_run;         /* NULL where rows have no neighbours: tables_run() says 1 */
} table_sql_t;

struct store {
    sqlite3 *db;
    char why[256];
    table_sql_t tables[ROW_TABLES];
    sqlite3_stmt *begin, *commit, *rollback, *gate_put;
    sqlite3_stmt *log_range, *log_last;
    sqlite3_stmt *bundle_size, *bundle_rowid, *bundle_put;
    const record_t *pending; /* taken in, not on disk yet */
    uint64_t seq;            /* last on disk */
    hash_t chain;
};

/* Remembers what SQLite says and turns its result code into ours. */
err_t store_failed(store_t *self, int rc);

/* Prepares SQL for the life of the store. */
err_t store_prepare(store_t *self, const char *sql, sqlite3_stmt **ret);

/* Runs a statement that gives no rows, and makes it ready for the next time. */
err_t store_run(store_t *self, sqlite3_stmt *stmt);

/* Runs SQL that gives no rows. */
err_t store_exec(store_t *self, const char *sql);

/* migrate.c: makes of the database PATH, which is open and of an older SCHEMA, one of today's. On
 * success, and perhaps after a failure, it is closed. A copy that a process which died had begun is
 * forgotten by the other. */
err_t migrate(store_t *self, const char *path, unsigned schema);
void migrate_forget(const char *path);

/* tables.c: makes the tables of row.def, and the statements over them. */
err_t tables_create(store_t *self);
err_t tables_prepare(store_t *self);

/* What a database of today's tables carries in user_version: the schema's number and, so that no changed
 * column is ever forgotten, 20 bits of a hash of the tables. */
enum { SCHEMA = 2, SCHEMA_SHIFT = 20 };
int tables_version(void);

/* Puts or deletes one row; inside a transaction. */
err_t tables_write(store_t *self, const row_t *row);

/* How many of these rows, at least 1, are deletes of rows that stand side by side: a vat's log that is
 * trimmed, entries that were assigned. One statement deletes them, FIRST to LAST. */
size_t tables_run(const row_t *rows, size_t count);
err_t tables_drop_run(store_t *self, const row_t *first, const row_t *last);

/* Visits every row that STMT gives, as rows of TABLE. */
err_t tables_visit(store_t *self, sqlite3_stmt *stmt, row_table_t table, store_visit_t *visit,
                   void *context);
