/* A database of which a heap is damaged on the disk. Its row can neither be read nor deleted, since to delete
 * it SQLite follows the pages it is on; so all the rest is written into a new file, where the heap is
 * empty: no engine takes that for one. */
#include <stdio.h>
#include <unistd.h>

#include "vathost/store/vatdb_own.h"
#include "wire/base/durable.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

/* What is copied row by row, in this order; each has as many columns as its INSERT has values. */
static const char *const copies[][2] = {
    {"SELECT k, v FROM vatstore", "INSERT INTO vatstore VALUES (?1, ?2)"},
    {"SELECT k, v FROM vatstore_was", "INSERT INTO vatstore_was VALUES (?1, ?2)"},
    {"SELECT kref, vref, flags FROM clist", "INSERT INTO clist VALUES (?1, ?2, ?3)"},
    {"SELECT kref, vref, flags FROM clist_was", "INSERT INTO clist_was VALUES (?1, ?2, ?3)"},
    {"SELECT name, value FROM counter", "INSERT INTO counter VALUES (?1, ?2)"},
    {"SELECT name, value FROM counter_was", "INSERT INTO counter_was VALUES (?1, ?2)"},
    {"SELECT name, value FROM meta", "INSERT INTO meta VALUES (?1, ?2)"},
    {"SELECT d, acked, chain, oldest, x'', x'' FROM checkpoint",
     "INSERT INTO checkpoint (d, acked, chain, oldest, results, heap)"
     " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
};

/* A checkpoint that can be read gets its bytes back. */
static const char whole_row[] = "SELECT d, results, heap FROM checkpoint WHERE d = ?1";
static const char fill_row[] = "UPDATE checkpoint SET results = ?2, heap = ?3 WHERE d = ?1";

typedef struct {
    sqlite3 *from, *to;
} pair_of_files_t;

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v2(db, sql, -1, ret, NULL);
}

static int put_row(sqlite3_stmt *read, sqlite3_stmt *write)
{
    int rc = SQLITE_OK;
    for (int i = 0; i < sqlite3_column_count(read) && rc == SQLITE_OK; i++)
        rc = sqlite3_bind_value(write, i + 1, sqlite3_column_value(read, i));
    if (rc == SQLITE_OK) rc = sqlite3_step(write);
    sqlite3_reset(write);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int copy_rows(const pair_of_files_t *files, const char *select, const char *insert)
{
    sqlite3_stmt *read = NULL, *write = NULL;
    int rc = prepare(files->from, select, &read);
    if (rc == SQLITE_OK) rc = prepare(files->to, insert, &write);
    while (rc == SQLITE_OK && (rc = sqlite3_step(read)) == SQLITE_ROW) rc = put_row(read, write);
    sqlite3_finalize(read);
    sqlite3_finalize(write);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* What cannot be read stays empty. */
static int fill_checkpoint(const pair_of_files_t *files, uint64_t d)
{
    sqlite3_stmt *read = NULL, *write = NULL;
    if (!d) return SQLITE_OK;
    int rc = prepare(files->from, whole_row, &read);
    if (rc == SQLITE_OK) rc = prepare(files->to, fill_row, &write);
    if (rc == SQLITE_OK) rc = sqlite3_bind_int64(read, 1, (sqlite3_int64)d);
    if (rc == SQLITE_OK && sqlite3_step(read) == SQLITE_ROW) rc = put_row(read, write);
    sqlite3_finalize(read);
    sqlite3_finalize(write);
    return rc;
}

static int copy_all(const vatdb_t *self, const pair_of_files_t *files)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < sizeof copies / sizeof *copies && rc == SQLITE_OK; i++)
        rc = copy_rows(files, copies[i][0], copies[i][1]);
    if (rc == SQLITE_OK) rc = fill_checkpoint(files, self->newest);
    if (rc == SQLITE_OK) rc = fill_checkpoint(files, self->older);
    return rc;
}

/* The new file is whole and closed when this returns SQLITE_OK: nothing of it is in a log. */
static int write_file(const vatdb_t *self, const char *path)
{
    pair_of_files_t files = {.from = self->db};
    vatdb_delete(path);
    int rc = pages_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        &files.to);
    if (rc == SQLITE_OK) rc = vatdb_make_tables(files.to);
    if (rc == SQLITE_OK) rc = copy_all(self, &files);
    if (rc == SQLITE_OK) rc = sqlite3_exec(files.to, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(files.to, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    must(sqlite3_close(files.to) == SQLITE_OK);
    return rc;
}

err_t vatdb_rescue(vatdb_t *self, const char *path)
{
    char made[PATH_BYTES_MAX + 8];
    snprintf(made, sizeof made, "%s.new", path);
    int rc = write_file(self, made);
    if (rc != SQLITE_OK) {
        vatdb_delete(made);
        return (rc & 0xff) == SQLITE_FULL ? ERR_STORE_FULL
                                          : ERR_STORE_DAMAGED; /* why() says where */
    }
    vatdb_close(self); /* and its log is in it, and gone */
    return durable_rename(made, path) ? ERR_OK : ERR_STORE;
}
