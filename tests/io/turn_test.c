/* The broker's turn on a disk that fails, and with memory that runs out: frames are encoded and decoded, the
 * real kernel takes them, and what changed goes through the gate. cases.h, with a script of clients' requests to
 * a cluster that runs (the database of an older schema, so that each start also makes one of today's).
 *
 * The state is all rows but those that a start changes by itself: epoch, gate, and hosts. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/kernel/kernel.h"
#include "broker/store/store.h"
#include "tests/io/cases.h"
#include "wire/base/must.h"
#include "wire/pages/pages.h"

enum { CLIENT = 3, LOG_PAGES = 20 };

static char dir[64], path[96];
static store_t *store;
static kernel_t *kernel;
static effects_t effects;
static record_t record;
static bool waits;

/* ---- the shell ---- */

static void add_row(void *context, const row_t *row) { record_add(context, row); }

static err_t settle(void)
{
    gate_t gate = store_gate(store);
    uint64_t seq = 0;
    err_t err = gate.durable(gate.self, &seq);
    waits = err == ERR_STORE_FULL;
    must(err || seq == record.seq);
    return err;
}

static err_t commit(void)
{
    record_begin(&record, kernel_epoch(kernel));
    kernel_flush(kernel, add_row, &record);
    must(record.count > 0);
    gate_t gate = store_gate(store);
    must(gate.append(gate.self, &record) == ERR_OK);
    return settle();
}

static void script_close(void)
{
    store_destroy(&store);
    record_clear(&record);
    effects_clear(&effects);
    kernel_destroy(&kernel);
    waits = false;
}

static err_t load(void *context, const row_t *row) { return kernel_load(context, row); }

static err_t script_open(void)
{
    const uint8_t entropy[32] = {1};
    err_t err = store_open(&(store_options_t){.path = path, .log_pages = LOG_PAGES}, &store);
    if (err) fprintf(stderr, "open: %s: %s\n", err_name(err), store_why(store));
    if (err) return err;
    kernel = kernel_new();
    gate_t gate = store_gate(store);
    gate.last(gate.self, &record.seq, &record.chain);
    err = store_load(store, load, kernel);
    if (!err) err = kernel_loaded(kernel, entropy);
    if (!err) err = commit();
    for (int i = 0; i < 20 && waits; i++) err = settle();
    return err;
}

/* ---- the script ---- */

#define COUNTER ((kref_t){1099511627776})
#define OTHER   ((kref_t){2199023255552})

#define INC                                                 \
    {                                                       \
        {(const uint8_t *)"#[\"inc\",[]]", 11}, { NULL, 0 } \
    }

static const struct {
    msg_tag_t tag;
    msg_body_t body;
} requests[] = {
    {TAG_call, {.call = {.request = {{1}}, .target = COUNTER, .methargs = INC}}},
    {TAG_pin, {.pin = {.request = {{2}}, .kref = OTHER}}},
    {TAG_call, {.call = {.request = {{3}}, .target = OTHER, .methargs = INC}}},
    {TAG_call, {.call = {.request = {{4}}, .target = COUNTER, .methargs = INC, .no_result = 1}}},
    {TAG_revoke, {.revoke = {.request = {{5}}, .kref = OTHER}}},
    {TAG_call, {.call = {.request = {{6}}, .target = OTHER, .methargs = INC}}},
    {TAG_kill, {.kill = {.request = {{7}}, .vat = {2}, .reason = {"it is enough", 12}}}},
    {TAG_call, {.call = {.request = {{8}}, .target = COUNTER, .methargs = INC}}},
    {TAG_cluster_rm, {.cluster_rm = {.request = {{9}}, .cluster = {1}}}},
};
enum { STEPS = sizeof requests / sizeof *requests };

static err_t script_step(int step)
{
    if (waits) return settle();
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    msg_t msg;
    must(msg_encode(requests[step].tag, &requests[step].body, &frame) == ERR_OK);
    must(msg_decode((bin_t){frame.at, frame.len}, &msg) == ERR_OK);
    input_t input = {.kind = INPUT_CLIENT, .from = CLIENT, .msg = &msg};
    input.now_us = 1795430000000000u + (uint64_t)step * 1000000;
    memset(input.entropy, step + 1, sizeof input.entropy);
    effects_clear(&effects);
    kernel_step(kernel, &input, &effects);
    msg_clear(&msg);
    buf_clear(&frame);
    return commit();
}

/* ---- what is stored ---- */

static void add(uint64_t *sum, const void *at, size_t len)
{
    for (size_t i = 0; i < len; i++) *sum = (*sum ^ ((const uint8_t *)at)[i]) * 1099511628211u;
}

static void add_rows(sqlite3 *db, const char *sql, uint64_t *sum)
{
    sqlite3_stmt *stmt = NULL;
    must(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
    add(sum, sql, strlen(sql));
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

/* The kernel that a start would make of it. */
static void check_kernel(void)
{
    store_t *fresh = NULL;
    const uint8_t entropy[32] = {1};
    must(store_open(&(store_options_t){.path = path}, &fresh) == ERR_OK);
    kernel_t *loaded = kernel_new();
    must(store_load(fresh, load, loaded) == ERR_OK);
    must(kernel_loaded(loaded, entropy) == ERR_OK);
    must(kernel_audit(loaded, NULL, NULL) == 0);
    kernel_destroy(&loaded);
    store_destroy(&fresh);
}

static uint64_t script_sum(void)
{
    check_kernel();
    sqlite3 *db = NULL;
    uint64_t sum = 14695981039346656037u;
    must(pages_open(path, SQLITE_OPEN_READWRITE, &db) == SQLITE_OK);
    for (size_t i = 0; i < ROW_TABLES; i++) {
        char sql[128];
        const char *where = i == ROW_counter ? "WHERE name <> 'epoch'" : "";
        snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" %s ORDER BY 1, 2", row_tables[i].name,
                 where);
        if (i != ROW_host) add_rows(db, sql, &sum);
    }
    must(sqlite3_close(db) == SQLITE_OK);
    return sum;
}

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
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static const script_t script = {
    "turns", STEPS, 1, script_open, script_step, script_close, script_sum, make_old,
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

Test(io, killed_anywhere) { cases_run(&script, dir, FAULT_KILL); }
Test(io, the_power_goes_anywhere) { cases_run(&script, dir, FAULT_POWER); }
Test(io, a_write_fails) { cases_run(&script, dir, FAULT_WRITE); }
Test(io, the_disk_is_full_for_a_while) { cases_run(&script, dir, FAULT_FULL); }
Test(io, memory_runs_out) { cases_run(&script, dir, FAULT_MEMORY); }
