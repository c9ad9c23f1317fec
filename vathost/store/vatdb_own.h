/* Inside vathost/store. */
#pragma once
#include "vathost/store/vatdb.h"
#include "wire/pages/pages.h"

/* Every statement of this folder but those of the table of checkpoints' making. */
#define STATEMENTS(S)                                                                          \
    S(GET, "SELECT v FROM vatstore WHERE k = ?1")                                              \
    S(NEXT, "SELECT k FROM vatstore WHERE k > ?1 ORDER BY k LIMIT 1")                          \
    S(SET, "INSERT INTO vatstore (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = ?2") \
    S(REMOVE, "DELETE FROM vatstore WHERE k = ?1")                                             \
    S(KEEP_STORE, "INSERT OR IGNORE INTO vatstore_was (k, v)"                                  \
                  " VALUES (?1, (SELECT v FROM vatstore WHERE k = ?1))")                       \
    S(PAIR_PUT, "INSERT INTO clist (kref, vref, flags) VALUES (?1, ?2, ?3)"                    \
                " ON CONFLICT (kref) DO UPDATE SET vref = ?2, flags = ?3")                     \
    S(PAIR_REMOVE, "DELETE FROM clist WHERE kref = ?1")                                        \
    S(PAIRS, "SELECT kref, vref, flags FROM clist")                                            \
    S(KEEP_PAIR, "INSERT OR IGNORE INTO clist_was (kref, vref, flags)"                         \
                 " VALUES (?1, (SELECT vref FROM clist WHERE kref = ?1),"                      \
                 " (SELECT flags FROM clist WHERE kref = ?1))")                                \
    S(COUNTER_PUT, "INSERT INTO counter (name, value) VALUES (?1, ?2)"                         \
                   " ON CONFLICT (name) DO UPDATE SET value = ?2")                             \
    S(COUNTER_GET, "SELECT value FROM counter WHERE name = ?1")                                \
    S(KEEP_COUNTER, "INSERT OR IGNORE INTO counter_was (name, value)"                          \
                    " VALUES (?1, (SELECT value FROM counter WHERE name = ?1))")               \
    S(BEGIN, "SAVEPOINT crank")                                                                \
    S(KEEP, "RELEASE crank")                                                                   \
    S(UNDO, "ROLLBACK TO crank")                                                               \
    S(CHECKPOINT, "INSERT INTO checkpoint (d, acked, chain, oldest, results, heap)"            \
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                          \
    S(CHECKPOINT_DROP, "DELETE FROM checkpoint WHERE d <> ?1")                                 \
    S(CHECKPOINT_READ, "SELECT d, acked, chain, results, heap FROM checkpoint WHERE d = ?1")   \
    S(CHECKPOINTS, "SELECT d, oldest FROM checkpoint ORDER BY d DESC LIMIT 2")                 \
    S(META_PUT, "INSERT INTO meta (name, value) VALUES (?1, ?2)"                               \
                " ON CONFLICT (name) DO UPDATE SET value = ?2")                                \
    S(META_GET, "SELECT value FROM meta WHERE name = ?1")                                      \
    S(BYTES, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")

typedef enum {
#define S(name, sql) SQL_##name,
    STATEMENTS(S)
#undef S
        SQL_COUNT,
} sql_t;

enum { WHY_BYTES = 256 };

typedef struct {
    vatstore_t port;
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    sqlite3_stmt *lent; /* whose row the caller still borrows */
    vatdb_options_t options;
    uint64_t newest, older; /* checkpoints; older: 0 when there is none that may be used */
    uint64_t oldest;
    bool
        adopted; /* the file was another placement's, and no checkpoint has been made in this one */
    bool open;   /* the write transaction is */
    char why[WHY_BYTES];
} vatdb_t;

/* The error for SQLite's result CODE; remembers what it was about. */
CHECKED err_t vatdb_err(vatdb_t *self, int code);

/* The statement, ready to be bound; what was lent is taken back. */
sqlite3_stmt *vatdb_statement(vatdb_t *self, sql_t sql);
int vatdb_bind(sqlite3_stmt *stmt, int at, text_t text);

/* Runs a statement that gives no rows; BOUND is what binding it gave. An error leaves the open
 * transaction in a state that is only good for closing, which is what the worker does next. */
CHECKED err_t vatdb_finish(vatdb_t *self, sqlite3_stmt *stmt, int bound);
CHECKED err_t vatdb_exec(vatdb_t *self, const char *sql);

/* Opens the write transaction unless it is. */
CHECKED err_t vatdb_transaction(vatdb_t *self);

/* Members of the port, in vatdb_checkpoint.c. */
err_t vatdb_checkpoint(vatstore_t *port, const checkpoint_t *made, bool alone);
err_t vatdb_read(vatstore_t *port, generation_t which, checkpoint_t *ret);
err_t vatdb_back(vatstore_t *port);
err_t vatdb_empty(vatstore_t *port);
err_t vatdb_copy(vatstore_t *port, const char *path);

/* Reads which checkpoints there are. */
CHECKED err_t vatdb_look(vatdb_t *self);

/* Whether the bytes of each checkpoint can be read from the disk; what an engine makes of them is not
 * asked. */
bool vatdb_readable(vatdb_t *self);

/* Makes another file of it, with empty heaps where they cannot be read, and puts that in place of PATH;
 * SELF is closed then. Fails with STORE_DAMAGED when more is damaged than that, or STORE*. */
CHECKED err_t vatdb_rescue(vatdb_t *self, const char *path);

/* Settings, tables and version in a new file, in a transaction that is left open. */
int vatdb_make_tables(sqlite3 *db);

void vatdb_close(vatdb_t *self);
