/* What sums cost: the same rows through wire/pages and through the system's VFS alone.
 *
 *   pages_bench FOLDER [ROWS]     200,000 rows of 100 to 400 bytes, 100 a commit, then all of them read in
 *                                 another order with a page cache of 512 KiB */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/must.h"
#include "wire/pages/pages.h"

enum { ROWS_A_COMMIT = 100, ROUNDS = 3 };

static double now(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

typedef struct {
    double wall, cpu;
} spent_t;

static spent_t begun(void)
{
    return (spent_t){now(CLOCK_MONOTONIC), now(CLOCK_PROCESS_CPUTIME_ID)};
}

static spent_t since(spent_t from)
{
    spent_t to = begun();
    return (spent_t){to.wall - from.wall, to.cpu - from.cpu};
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    exit(1);
}

static sqlite3 *open_as(const char *path, bool sums)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sums ? pages_open(path, flags, &db) : sqlite3_open_v2(path, &db, flags, "unix");
    must(rc == SQLITE_OK);
    run(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "PRAGMA cache_size = -512; PRAGMA wal_autocheckpoint = 4000");
    return db;
}

static spent_t write_rows(sqlite3 *db, int rows)
{
    static char bytes[400];
    sqlite3_stmt *put;
    run(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB NOT NULL)");
    must(sqlite3_prepare_v2(db, "INSERT INTO t VALUES (?, ?)", -1, &put, NULL) == SQLITE_OK);
    spent_t from = begun();
    for (int i = 0; i < rows; i++) {
        if (i % ROWS_A_COMMIT == 0) run(db, "BEGIN");
        memset(bytes, i, sizeof bytes);
        sqlite3_bind_int64(put, 1, (int64_t)i * 7919 % 1000003);
        sqlite3_bind_blob(put, 2, bytes, 100 + i * 31 % 300, SQLITE_STATIC);
        must(sqlite3_step(put) == SQLITE_DONE);
        sqlite3_reset(put);
        if (i % ROWS_A_COMMIT == ROWS_A_COMMIT - 1) run(db, "COMMIT");
    }
    spent_t spent = since(from);
    sqlite3_finalize(put);
    return spent;
}

static spent_t read_rows(sqlite3 *db, int rows)
{
    sqlite3_stmt *get;
    must(sqlite3_prepare_v2(db, "SELECT v FROM t WHERE k = ?", -1, &get, NULL) == SQLITE_OK);
    spent_t from = begun();
    for (int i = 0; i < rows; i++) {
        sqlite3_bind_int64(get, 1, (int64_t)((int64_t)i * 48271 % rows) * 7919 % 1000003);
        must(sqlite3_step(get) == SQLITE_ROW);
        sqlite3_reset(get);
    }
    spent_t spent = since(from);
    sqlite3_finalize(get);
    return spent;
}

static void say(const char *what, int rows, spent_t spent)
{
    printf("  %-32s %9.0f rows/s, %6.2f us of CPU a row\n", what, rows / spent.wall,
           spent.cpu * 1e6 / rows);
}

int main(int argc, char **argv)
{
    int rows = argc > 2 ? atoi(argv[2]) : 200000;
    if (argc < 2 || rows < ROWS_A_COMMIT || rows > 1000000) return 2;
    for (int i = 0; i < 2 * ROUNDS; i++) {
        char path[512], log[520];
        snprintf(path, sizeof path, "%s/pages_bench.db", argv[1]);
        snprintf(log, sizeof log, "%s-wal", path);
        unlink(path);
        unlink(log);
        printf("%s\n", i % 2 ? "with sums" : "without");
        sqlite3 *db = open_as(path, i % 2);
        say("written", rows, write_rows(db, rows));
        say("read, from log and database", rows, read_rows(db, rows));
        run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
        say("read, from the database", rows, read_rows(db, rows));
        must(sqlite3_close(db) == SQLITE_OK);
        unlink(path);
    }
    return 0;
}
