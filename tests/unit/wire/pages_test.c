/* SQLite's files with sums: what was written is read, and nothing else is ever taken for data.
 *
 * Method: a database is made with pages of all kinds, and copied as a process that dies would leave it,
 * with its log. Then a byte of a file is flipped, and everything is read: it must be exactly what was
 * written, or damage. Of a log whose end was never synced it may be what the commit before left. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/pages/pages.h"

enum { DATABASE_FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, BYTES_MAX = 1 << 20 };

static char dir[64], path[96], path_wal[112];
static uint64_t seed = 11;

static uint64_t dice(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed ^ (seed >> 29)) * 0xbf58476d1ce4e5b9u;
}

static void set_up(void)
{
    strcpy(dir, "/tmp/vatyard-pages-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.db", dir);
    snprintf(path_wal, sizeof path_wal, "%s-wal", path);
}

static void tear_down(void)
{
    const char *const names[] = {"a.db", "a.db-wal", "a.db-journal", "copy.db", "copy.db-wal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", dir, names[i]);
        unlink(name);
    }
    rmdir(dir);
}

TestSuite(pages, .init = set_up, .fini = tear_down);

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static sqlite3 *open_as(const char *name)
{
    sqlite3 *db = NULL;
    cr_assert_eq(pages_open(name, DATABASE_FLAGS, &db), SQLITE_OK);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    return db;
}

/* A sum over all rows, in order; or what SQLite said instead. */
static int read_all(sqlite3 *db, uint64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    uint64_t sum = 14695981039346656037u;
    int rc = sqlite3_prepare_v2(db, "SELECT k, v FROM t ORDER BY k", -1, &stmt, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        sum = (sum ^ (uint64_t)sqlite3_column_int64(stmt, 0)) * 1099511628211u;
        const uint8_t *at = sqlite3_column_blob(stmt, 1);
        int len = sqlite3_column_bytes(stmt, 1);
        for (int i = 0; i < len; i++) sum = (sum ^ at[i]) * 1099511628211u;
    }
    sqlite3_finalize(stmt);
    *ret = sum;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static uint64_t sum_of(sqlite3 *db)
{
    uint64_t sum = 0;
    cr_assert_eq(read_all(db, &sum), SQLITE_OK, "%s", sqlite3_errmsg(db));
    return sum;
}

/* Opens what is there, and reads it. */
static err_t look(uint64_t *ret, char *why, size_t room)
{
    sqlite3 *db = NULL;
    int rc = pages_open(path, SQLITE_OPEN_READWRITE, &db);
    if (rc == SQLITE_OK) rc = read_all(db, ret);
    err_t err = pages_err(db, rc);
    if (err) pages_why(db, rc, why, room);
    sqlite3_close(db);
    return err;
}

/* ---- files as bytes ---- */

typedef struct {
    uint8_t *at;
    size_t len;
} bytes_t;

static bytes_t slurp(const char *name)
{
    bytes_t bytes = {malloc(BYTES_MAX), 0};
    FILE *file = fopen(name, "rb");
    if (file) {
        bytes.len = fread(bytes.at, 1, BYTES_MAX, file);
        fclose(file);
    }
    cr_assert_lt(bytes.len, BYTES_MAX);
    return bytes;
}

static void spit(const char *name, bytes_t bytes)
{
    FILE *file = fopen(name, "wb");
    cr_assert(file);
    cr_assert_eq(fwrite(bytes.at, 1, bytes.len, file), bytes.len);
    fclose(file);
}

/* ---- what the tests begin with ---- */

/* Leaves, inner pages, long values over many pages, pages that became free. */
static void fill(sqlite3 *db)
{
    run(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB NOT NULL)");
    run(db, "BEGIN");
    for (int i = 0; i < 120; i++) {
        char sql[128];
        int len = i % 20 == 0 ? 9000 : 40 + i;
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, randomblob(%d))", i, len);
        run(db, sql);
    }
    run(db, "COMMIT; DELETE FROM t WHERE k BETWEEN 30 AND 60");
}

/* Two files as a process that died left them: BASE is all in the database, each further commit is in
 * the log. */
typedef struct {
    bytes_t database, log;
    uint64_t first, before,
        last; /* sums of the rows: of the database alone, of all but the last commit */
} dead_t;

static dead_t die(void)
{
    sqlite3 *db = open_as(path);
    fill(db);
    run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    dead_t dead = {.first = sum_of(db)};
    run(db, "UPDATE t SET v = randomblob(300) WHERE k < 20");
    run(db, "INSERT INTO t VALUES (500, randomblob(20000))");
    dead.before = sum_of(db);
    run(db, "UPDATE t SET v = randomblob(5000) WHERE k = 100");
    dead.last = sum_of(db);
    dead.database = slurp(path);
    dead.log = slurp(path_wal);
    sqlite3_close(db);
    cr_assert_gt(dead.log.len, 40000);
    return dead;
}

static void lay_out(const dead_t *dead)
{
    spit(path, dead->database);
    spit(path_wal, dead->log);
}

static void bury(dead_t *dead)
{
    free(dead->database.at);
    free(dead->log.at);
}

/* ---- tests ---- */

Test(pages, what_is_written_is_read_and_every_page_has_a_sum)
{
    sqlite3 *db = open_as(path);
    fill(db);
    cr_expect(pages_summed(db));
    uint64_t sum = sum_of(db), again = 0;
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);

    char why[256];
    cr_assert_eq(look(&again, why, sizeof why), ERR_OK);
    cr_expect_eq(again, sum);
    bytes_t bytes = slurp(path);
    cr_assert_gt(bytes.len, 10 * 4096);
    for (size_t page = 0; page < bytes.len; page += 4096) {
        const uint8_t none[8] = {0};
        cr_expect(memcmp(bytes.at + page + 4088, none, 8), "page %zu", page / 4096 + 1);
    }
    free(bytes.at);
}

Test(pages, any_sqlite_reads_the_file_when_nobody_has_it_open)
{
    sqlite3 *db = open_as(path), *other = NULL;
    fill(db);
    uint64_t sum = sum_of(db);

    /* A lock holds against other processes. */
    pid_t child = fork();
    if (child == 0) {
        uint64_t none;
        sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL);
        _exit(read_all(other, &none) == SQLITE_BUSY ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0, "while we have it, others wait");
    sqlite3_close(db);

    cr_assert_eq(sqlite3_open_v2(path, &other, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    cr_expect_eq(sum_of(other), sum);
    run(other, "UPDATE t SET v = x'01' WHERE k = 100"); /* which makes no sums */
    sqlite3_close(other);
    char why[256] = "";
    cr_expect_eq(look(&sum, why, sizeof why), ERR_STORE_DAMAGED);
    cr_expect(strstr(why, "page "), "%s", why);
}

Test(pages, a_database_made_without_sums_is_read)
{
    sqlite3 *other = NULL;
    cr_assert_eq(sqlite3_open_v2(path, &other, DATABASE_FLAGS, NULL), SQLITE_OK);
    fill(other);
    uint64_t sum = sum_of(other), again = 0;
    sqlite3_close(other);
    char why[256] = "";
    cr_expect_eq(look(&again, why, sizeof why), ERR_OK, "%s", why);
    cr_expect_eq(again, sum);
    sqlite3 *db = NULL;
    cr_assert_eq(pages_open(path, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    sum_of(db);
    cr_expect_not(pages_summed(db));
    sqlite3_close(db);
}

Test(pages, a_flipped_bit_in_the_database_is_found, .timeout = 100)
{
    sqlite3 *db = open_as(path);
    fill(db);
    uint64_t sum = sum_of(db);
    sqlite3_close(db);
    bytes_t bytes = slurp(path);
    int found = 0, free_page = 0;
    for (size_t i = 0; i < 2500; i++) {
        size_t at = i < 100 ? i : i < 120 ? 4080 + i - 104 : dice() % bytes.len;
        uint8_t was = bytes.at[at];
        bytes.at[at] ^= (uint8_t)(1 << dice() % 8);
        spit(path, bytes);
        uint64_t now = 0;
        char why[256] = "", page[32];
        snprintf(page, sizeof page, "page %zu of", at / 4096 + 1);
        if (look(&now, why, sizeof why) == ERR_STORE_DAMAGED) {
            found++;
            cr_expect(strstr(why, page) && strstr(why, "a.db"), "byte %zu: %s", at, why);
        } else {
            free_page++;
            cr_assert_eq(now, sum, "byte %zu: wrong data", at);
            cr_expect_geq(at, 4096, "byte %zu", at);
        }
        bytes.at[at] = was;
    }
    cr_expect_gt(found, 20 * free_page / 19, "%d found, %d in free pages", found, free_page);
    free(bytes.at);
}

Test(pages, a_flipped_bit_in_the_log_is_found_or_cuts_off_what_was_not_synced, .timeout = 100)
{
    dead_t dead = die();
    int found = 0, cut = 0, unseen = 0;
    for (size_t i = 0; i < 2000; i++) {
        size_t at = i < 32 + 24 + 8 ? i : dice() % dead.log.len;
        uint8_t was = dead.log.at[at];
        dead.log.at[at] ^= (uint8_t)(1 << dice() % 8);
        lay_out(&dead);
        uint64_t now = 0;
        char why[256] = "";
        if (look(&now, why, sizeof why) == ERR_STORE_DAMAGED) {
            found++;
            cr_expect(strstr(why, "a.db-wal") || strstr(why, "a.db"), "byte %zu: %s", at, why);
        } else if (now == dead.before) {
            cut++; /* in the last commit: behind it nothing says that it was synced */
        } else {
            unseen++; /* a field that nobody reads */
            cr_assert_eq(now, dead.last, "byte %zu: wrong data", at);
        }
        dead.log.at[at] = was;
    }
    cr_expect_gt(found, 1000, "%d found, %d cut off, %d unseen", found, cut, unseen);
    cr_expect_gt(cut, 100);
    cr_expect_lt(unseen, 100);
    bury(&dead);
}

/* Bytes of a log that were not synced may be there or not, in pieces of a sector. */
Test(pages, a_log_with_a_torn_end_gives_the_commit_before)
{
    dead_t dead = die();
    size_t whole = dead.log.len, frame = 24 + 4096, tail = 2 * frame;
    uint8_t *kept = malloc(whole);
    memcpy(kept, dead.log.at, whole);
    for (int i = 0; i < 300; i++) {
        memcpy(dead.log.at, kept, whole);
        dead.log.len = i % 2 ? whole : whole - dice() % tail;
        for (size_t at = whole - tail; at < dead.log.len; at += 512) {
            size_t len = dead.log.len - at < 512 ? dead.log.len - at : 512;
            if (dice() % 2) memset(dead.log.at + at, i % 3 ? 0 : (int)dice(), len);
        }
        lay_out(&dead);
        uint64_t now = 0;
        char why[256] = "";
        cr_assert_eq(look(&now, why, sizeof why), ERR_OK, "%d: %s", i, why);
        cr_expect(now == dead.before || now == dead.last);
    }
    free(kept);
    bury(&dead);
}

/* While a log is in use it is compared at every read, not only in recovery. */
Test(pages, a_log_that_changes_under_way_is_found)
{
    sqlite3 *db = open_as(path);
    fill(db);
    run(db, "PRAGMA cache_size = 4");
    sum_of(db);
    int fd = open(path_wal, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    struct stat st;
    cr_assert_eq(fstat(fd, &st), 0);
    for (off_t at = 32 + 24 + 2000; at < st.st_size; at += 24 + 4096) {
        cr_assert_eq(pread(fd, &byte, 1, at), 1);
        byte ^= 4;
        cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
    uint64_t now;
    char why[256] = "";
    int rc = read_all(db, &now);
    pages_why(db, rc, why, sizeof why);
    cr_expect_eq(pages_err(db, rc), ERR_STORE_DAMAGED);
    cr_expect(strstr(why, "frame ") && strstr(why, "a.db-wal"), "%s", why);
    sqlite3_close(db);
}

/* So little memory that a transaction's pages are in the log before it ends. */
static sqlite3 *open_small(void)
{
    sqlite3 *db = open_as(path);
    run(db, "PRAGMA cache_size = 6; PRAGMA wal_autocheckpoint = 60");
    return db;
}

static void write_some(sqlite3 *db)
{
    for (int n = (int)(dice() % 30); n >= 0; n--) {
        char sql[128];
        int k = (int)(dice() % 60), len = dice() % 4 ? (int)(dice() % 200) : (int)(dice() % 40000);
        if (dice() % 3)
            snprintf(sql, sizeof sql, "REPLACE INTO t VALUES (%d, randomblob(%d))", k, len);
        else
            snprintf(sql, sizeof sql, "DELETE FROM t WHERE k BETWEEN %d AND %d", k, k + 9);
        run(db, sql);
    }
}

/* A process that makes N commits, and dies with one half written; what it committed last is told. */
static uint64_t live_and_die(int n)
{
    int ends[2];
    uint64_t sum = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db = open_small();
        for (int i = 0; i < n; i++) {
            run(db, "BEGIN");
            write_some(db);
            run(db, "COMMIT");
        }
        sum = sum_of(db);
        run(db, "BEGIN");
        write_some(db);
        _exit(write(ends[1], &sum, sizeof sum) != sizeof sum);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(read(ends[0], &sum, sizeof sum), sizeof sum);
    close(ends[0]);
    close(ends[1]);
    return sum;
}

/* SQLite goes on in the log of the process that died, over frames that are whole, and behind no commit. */
Test(pages, a_log_that_the_dead_left_is_gone_on_with, .timeout = 100)
{
    sqlite3 *db = open_small();
    run(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB NOT NULL)");
    sqlite3_close(db);
    for (int i = 0; i < 150; i++) {
        uint64_t again = 0, sum = live_and_die((int)(dice() % 4));
        char why[256] = "";
        db = open_small();
        int rc = read_all(db, &again);
        pages_why(db, rc, why, sizeof why);
        cr_assert_eq(rc, SQLITE_OK, "%d: %s", i, why);
        cr_assert_eq(again, sum, "%d", i);
        run(db, "BEGIN");
        write_some(db);
        run(db, "COMMIT");
        sum_of(db);
        sqlite3_close(db);
    }
}

/* Pages that are written again and again within a transaction, pages that are free before they were
 * ever written, a file that grows and shrinks. */
Test(pages, a_random_history_is_read_back, .timeout = 100)
{
    sqlite3 *db = open_small();
    run(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB NOT NULL)");
    for (int i = 0; i < 250; i++) {
        run(db, "BEGIN");
        write_some(db);
        if (dice() % 4 == 0) run(db, "DELETE FROM t");
        run(db, dice() % 5 ? "COMMIT" : "ROLLBACK");
        uint64_t sum = sum_of(db), again = 0;
        if (i % 10) continue;
        if (i % 3 == 0) run(db, "VACUUM");
        sqlite3_close(db);
        char why[256] = "";
        cr_assert_eq(look(&again, why, sizeof why), ERR_OK, "%d: %s", i, why);
        cr_assert_eq(again, sum);
        db = open_small();
        sqlite3_stmt *stmt;
        cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
        cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
        cr_assert_str_eq((const char *)sqlite3_column_text(stmt, 0), "ok");
        sqlite3_finalize(stmt);
    }
    sqlite3_close(db);
}

/* SQLite leaves out a page: the one with the byte at 1 GiB that its locks are on. Here that is at 64 KiB. */
Test(pages, a_page_that_is_left_out_has_a_sum_as_well)
{
    sqlite3_test_control(SQLITE_TESTCTRL_PENDING_BYTE, 0x10000);
    sqlite3 *db = open_as(path);
    char why[256] = "";
    uint64_t sum, again;
    fill(db);
    sum = sum_of(db);
    sqlite3_close(db);
    cr_assert_eq(look(&again, why, sizeof why), ERR_OK, "%s", why);
    cr_expect_eq(again, sum);
    bytes_t bytes = slurp(path);
    for (size_t page = 0; page < bytes.len; page += 4096) {
        const uint8_t none[8] = {0};
        cr_expect(memcmp(bytes.at + page + 4088, none, 8), "page %zu", page / 4096 + 1);
    }
    free(bytes.at);
}

Test(pages, a_copy_of_a_live_database_is_whole_and_on_its_own)
{
    sqlite3 *db = open_as(path), *copy = NULL;
    fill(db);
    uint64_t sum = sum_of(db);
    char name[128];
    snprintf(name, sizeof name, "%s/copy.db", dir);
    cr_assert_eq(pages_copy(db, name), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_expect_neq(pages_copy(db, name), SQLITE_OK, "what is there is not written over");
    run(db, "DELETE FROM t");
    sqlite3_close(db);

    struct stat st;
    cr_assert_eq(stat(name, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    copy = open_as(name);
    cr_expect_eq(sum_of(copy), sum);
    cr_expect(pages_summed(copy));
    run(copy, "BEGIN; UPDATE t SET v = x'00'");
    snprintf(name, sizeof name, "%s/other.db", dir);
    cr_expect_neq(pages_copy(copy, name), SQLITE_OK, "not in a transaction");
    cr_expect_neq(access(name, F_OK), 0);
    sqlite3_close(copy);
}
