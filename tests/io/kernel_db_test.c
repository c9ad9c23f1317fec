/* kernel.db on a disk that fails: cases.h, with a script of records through the gate and of bundles. The log
 * is folded into the database every 20 pages, so that all of that is met often.
 *
 * The script is told three times: from an empty folder; from what a process that was killed left; and with a
 * database of an older schema, which is made into one of today's before the first step. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store/store.h"
#include "tests/io/cases.h"
#include "wire/base/must.h"
#include "wire/pages/pages.h"

enum { STEPS = 14, BUNDLE_STEP = 5, BUNDLE_BYTES = 30000, LOG_PAGES = 20, POOL_BYTES = 8192 };

static char dir[64], path[96];
static store_t *store;
static record_t record;

/* ---- chance that is the same each time ---- */

static uint64_t seed;

static uint64_t dice(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed ^ (seed >> 29)) * 0xbf58476d1ce4e5b9u;
}

static uint8_t pool[POOL_BYTES + 64];

static void fill_pool(void)
{
    seed = 5;
    for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)('a' + dice() % 26);
}

/* Few keys, so that rows are replaced and deleted. */
static row_t some_row(void)
{
    row_t row = {.table = (row_table_t)(dice() % ROW_TABLES)};
    const table_t *table = &row_tables[row.table];
    for (size_t i = 0; i < table->column_count; i++) {
        const column_t *column = &table->columns[i];
        void *at = (uint8_t *)&row.body + column->offset;
        size_t len = column->key ? 16 : dice() % 8 ? dice() % 60 : dice() % POOL_BYTES;
        size_t from = column->key ? dice() % 3 : dice() % 32;
        if (column->kind == KIND_u64)
            *(uint64_t *)at = column->key ? dice() % 4 : dice();
        else if (column->kind == KIND_text)
            *(text_t *)at = (text_t){(char *)pool + from, len};
        else
            *(bin_t *)at = (bin_t){pool + from, len};
    }
    row.gone = dice() % 4 == 0;
    return row;
}

/* ---- the script ---- */

static err_t script_open(void)
{
    fill_pool();
    err_t err = store_open(&(store_options_t){.path = path, .log_pages = LOG_PAGES}, &store);
    record = (record_t){0};
    if (err) fprintf(stderr, "open: %s: %s\n", err_name(err), store_why(store));
    if (err) return err;
    gate_t gate = store_gate(store);
    gate.last(gate.self, &record.seq, &record.chain);
    return ERR_OK;
}

static void script_close(void)
{
    store_destroy(&store);
    record_clear(&record);
}

static err_t put_bundle(void)
{
    static uint8_t bytes[BUNDLE_BYTES];
    char name[BUNDLE_NAME_BYTES + 1] = "b1-";
    uint8_t hash[crypto_hash_sha512_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = pool[i % POOL_BYTES];
    crypto_hash_sha512(hash, bytes, sizeof bytes);
    sodium_bin2hex(name + 3, sizeof name - 3, hash, sizeof hash);
    stage_t stage = {0};
    err_t err = store_bundle_put(store, &stage, text_of(name), 0, sizeof bytes,
                                 (bin_t){bytes, sizeof bytes});
    stage_clear(&stage);
    return err;
}

static bool waits; /* a record is with the gate, and its step is tried again */

static err_t put_record(int step)
{
    gate_t gate = store_gate(store);
    uint64_t seq = 0;
    seed = (uint64_t)step * 77 + 3;
    if (!waits) {
        record_begin(&record, 1);
        for (size_t i = 3 + dice() % 8; i > 0; i--) {
            row_t row = some_row();
            record_add(&record, &row);
        }
        must(gate.append(gate.self, &record) == ERR_OK);
    }
    err_t err = gate.durable(gate.self, &seq);
    waits = err == ERR_STORE_FULL;
    must(err || seq == record.seq);
    return err;
}

static err_t script_step(int step) { return step == BUNDLE_STEP ? put_bundle() : put_record(step); }

/* ---- what is stored ---- */

static void add(uint64_t *sum, const void *at, size_t len)
{
    for (size_t i = 0; i < len; i++) *sum = (*sum ^ ((const uint8_t *)at)[i]) * 1099511628211u;
}

static void add_rows(sqlite3 *db, const char *table, uint64_t *sum)
{
    char sql[128];
    sqlite3_stmt *stmt = NULL;
    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY 1, 2", table);
    must(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
    add(sum, table, strlen(table));
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const void *at = sqlite3_column_blob(stmt, i);
            uint32_t len = (uint32_t)sqlite3_column_bytes(stmt, i);
            add(sum, &len, sizeof len);
            if (len) add(sum, at, len);
        }
    }
    must(rc == SQLITE_DONE);
    sqlite3_finalize(stmt);
}

static uint64_t script_sum(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    uint64_t sum = 14695981039346656037u;
    must(pages_open(path, SQLITE_OPEN_READWRITE, &db) == SQLITE_OK);
    for (size_t i = 0; i < ROW_TABLES; i++) add_rows(db, row_tables[i].name, &sum);
    add_rows(db, "store_gate", &sum);
    add_rows(db, "store_bundle", &sum);
    must(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK);
    must(sqlite3_step(stmt) == SQLITE_ROW);
    must(strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0);
    sqlite3_finalize(stmt);
    must(sqlite3_close(db) == SQLITE_OK);
    return sum;
}

/* A database of the schema before, in the log of a process that died. */
static void make_old(void)
{
    static char sql[1 << 16];
    FILE *file = fopen(KERNEL_1_SQL, "r");
    cr_assert(file);
    size_t len = fread(sql, 1, sizeof sql - 1, file);
    fclose(file);
    sql[len] = 0;
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static const script_t scripts[] = {
    {"new", STEPS, 0, script_open, script_step, script_close, script_sum, NULL},
    {"recovered", STEPS, 7, script_open, script_step, script_close, script_sum, NULL},
    {"migrated", 2, 0, script_open, script_step, script_close, script_sum, make_old},
};

static void set_up(void)
{
    bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(dir, sizeof dir, "%s/vatyard-io-XXXXXX", memory ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kernel.db", dir);
    shim_start(dir);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(io, .init = set_up, .fini = tear_down, .timeout = 300);

static void run(fault_t fault)
{
    const char *only = getenv("VATYARD_IO_SCRIPT");
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        if (only && strcmp(only, scripts[i].name) != 0) continue;
        cases_run(&scripts[i], dir, fault);
    }
}

Test(io, killed_anywhere) { run(FAULT_KILL); }
Test(io, the_power_goes_anywhere) { run(FAULT_POWER); }
Test(io, a_read_fails) { run(FAULT_READ); }
Test(io, a_write_fails) { run(FAULT_WRITE); }
Test(io, the_disk_is_full_for_a_while) { run(FAULT_FULL); }
Test(io, a_write_is_short) { run(FAULT_SHORT); }
Test(io, a_sync_fails) { run(FAULT_SYNC); }
Test(io, a_file_cannot_be_opened_or_deleted) { run(FAULT_OPEN); }
Test(io, a_bit_that_is_read_is_another) { run(FAULT_FLIP); }
Test(io, memory_runs_out) { run(FAULT_MEMORY); }
