/* The broker's turn on a disk that fails, and with memory that runs out: frames are encoded and decoded, the
 * real kernel takes them, and what changed goes through the gate. cases.h, with a script of clients' requests to
 * a cluster that runs (the database of an older schema, so that each start also makes one of today's).
 *
 * The state is all rows but those that a start changes by itself: epoch, gate, and hosts. */
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

static char path[96];
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
    record_end(&record);
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
    uint64_t sum = IO_SUM;
    must(pages_open(path, SQLITE_OPEN_READWRITE, &db) == SQLITE_OK);
    for (size_t i = 0; i < ROW_TABLES; i++) {
        char sql[128];
        const char *where = i == ROW_counter ? "WHERE name <> 'epoch'" : "";
        snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" %s ORDER BY 1, 2", row_tables[i].name,
                 where);
        if (i != ROW_host) io_add_rows(&sum, db, sql);
    }
    must(sqlite3_close(db) == SQLITE_OK);
    return sum;
}

static void make_old(void) { io_make_db(path, KERNEL_1_SQL, false); }

const script_t io_scripts[] = {
    {"turns", STEPS, 1, script_open, script_step, script_close, script_sum, make_old},
};
const size_t io_script_count = 1;

static void set_up(void)
{
    io_set_up();
    snprintf(path, sizeof path, "%s/kernel.db", io_dir);
}

TestSuite(io, .init = set_up, .fini = io_tear_down, .timeout = 300);

IO_TEST(KILL)
IO_TEST(POWER)
IO_TEST(WRITE)
IO_TEST(FULL)
IO_TEST(MEMORY)
