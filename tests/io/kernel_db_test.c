/* kernel.db on a disk that fails: cases.h, with a script of records through the gate and of bundles. The log
 * is folded into the database every 20 pages, so that all of that is met often.
 *
 * The script is told three times: from an empty folder; from what a process that was killed left; and with a
 * database of an older schema, which is made into one of today's before the first step. */
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

static char path[96];
static store_t *store;
static record_t record;

static uint8_t pool[POOL_BYTES + 64];

static void fill_pool(void)
{
    io_seed = 5;
    for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)('a' + io_dice() % 26);
}

/* Few keys, so that rows are replaced and deleted. */
static row_t some_row(void)
{
    row_t row = {.table = (row_table_t)(io_dice() % ROW_TABLES)};
    const table_t *table = &row_tables[row.table];
    for (size_t i = 0; i < table->column_count; i++) {
        const column_t *column = &table->columns[i];
        void *at = (uint8_t *)&row.body + column->offset;
        size_t len = column->key ? 16 : io_dice() % 8 ? io_dice() % 60 : io_dice() % POOL_BYTES;
        size_t from = column->key ? io_dice() % 3 : io_dice() % 32;
        if (column->kind == KIND_u64)
            *(uint64_t *)at = column->key ? io_dice() % 4 : io_dice();
        else if (column->kind == KIND_text)
            *(text_t *)at = (text_t){(char *)pool + from, len};
        else
            *(bin_t *)at = (bin_t){pool + from, len};
    }
    row.gone = io_dice() % 4 == 0;
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
    io_seed = (uint64_t)step * 77 + 3;
    if (!waits) {
        record_begin(&record, 1);
        for (size_t i = 3 + io_dice() % 8; i > 0; i--) {
            row_t row = some_row();
            record_add(&record, &row);
        }
        record_end(&record);
        must(gate.append(gate.self, &record) == ERR_OK);
    }
    err_t err = gate.durable(gate.self, &seq);
    waits = err == ERR_STORE_FULL;
    must(err || seq == record.seq);
    return err;
}

static err_t script_step(int step) { return step == BUNDLE_STEP ? put_bundle() : put_record(step); }

/* ---- what is stored ---- */

static void add_table(uint64_t *sum, sqlite3 *db, const char *table)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY 1, 2", table);
    io_add_rows(sum, db, sql);
}

static uint64_t script_sum(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    uint64_t sum = IO_SUM;
    must(pages_open(path, SQLITE_OPEN_READWRITE, &db) == SQLITE_OK);
    for (size_t i = 0; i < ROW_TABLES; i++) add_table(&sum, db, row_tables[i].name);
    add_table(&sum, db, "store_gate");
    add_table(&sum, db, "store_bundle");
    must(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK);
    must(sqlite3_step(stmt) == SQLITE_ROW);
    must(strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0);
    sqlite3_finalize(stmt);
    must(sqlite3_close(db) == SQLITE_OK);
    return sum;
}

/* A database of the schema before, in the log of a process that died. */
static void make_old(void) { io_make_db(path, KERNEL_1_SQL, true); }

const script_t io_scripts[] = {
    {"new", STEPS, 0, script_open, script_step, script_close, script_sum, NULL},
    {"recovered", STEPS, 7, script_open, script_step, script_close, script_sum, NULL},
    {"migrated", 2, 0, script_open, script_step, script_close, script_sum, make_old},
};
const size_t io_script_count = sizeof io_scripts / sizeof *io_scripts;

static void set_up(void)
{
    io_set_up();
    snprintf(path, sizeof path, "%s/kernel.db", io_dir);
}

TestSuite(io, .init = set_up, .fini = io_tear_down, .timeout = 300);

IO_TESTS_OF_ALL_FAULTS
