#include "tests/unit/broker/audit_stage.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/hash.h"

row_t rows[ROWS];
size_t row_count;
uint8_t key[32] = {1}, chain[32], hash[2][32], id[16] = {1}, slots_one[8];
buf_t delivery[2], launch[3];
void (*made)(void);
static uint8_t slots_two[16];
static size_t log_count;

uint8_t *slot(uint8_t *at, uint64_t kref)
{
    for (size_t i = 0; i < 8; i++) at[i] = (uint8_t)(kref >> (56 - 8 * i));
    return at;
}

static void counter(const char *name, uint64_t value)
{
    ROW(counter, .name = text_of(name), .value = value);
}

static void vat(uint64_t n, const char *name, uint64_t state, uint64_t assigned, uint64_t applied,
                uint64_t objects, uint64_t promises)
{
    ROW(vat, .vat = n, .cluster = state == 2 ? 0 : 1, .name = text_of(name), .host = 1,
        .state = state, .inc = 1, .pgen = 1, .assigned = assigned, .applied = applied,
        .safe = state == 2 ? applied : 0, .objects = objects, .promises = promises,
        .chain = {chain, 32}, .window = 1, .reap_deliveries = NEVER, .reap_krefs = NEVER);
}

void object(uint64_t kref, uint64_t owner, uint64_t reach, uint64_t recognize, uint64_t pins)
{
    ROW(object, .kref = kref, .owner = owner, .reachable = reach, .recognizable = recognize,
        .pins = pins);
}

void held(uint64_t of, uint64_t kref, uint64_t flags, uint64_t since, uint64_t intro)
{
    ROW(held, .vat = of, .kref = kref, .flags = flags, .since_d = since, .intro_d = intro);
}

void log_row(uint64_t d, msg_tag_t tag, const void *body)
{
    size_t i = log_count++;
    buf_reset(&delivery[i]);
    cr_assert_eq(msg_encode(tag, body, &delivery[i]), ERR_OK);
    hash_t h = hash_of((bin_t){delivery[i].at, delivery[i].len});
    memcpy(hash[i], h.b, sizeof hash[i]);
    ROW(log, .vat = 1, .d = d, .delivery = {delivery[i].at, delivery[i].len}, .hash = {hash[i], 32},
        .msg_d = 8);
}

void make(void)
{
    row_count = log_count = 0;
    counter("epoch", 4);
    counter("kernel_hi", 1);
    counter("kernel_lo", 1);
    counter("next_vat", 3);
    counter("next_cluster", 1);
    counter("next_host", 1);
    counter("next_input", 9);
    counter("next_promise", 2);
    ROW(host, .host = 1, .name = text_of("h"), .key = {key, 32}, .epoch = 4);
    ROW(cluster, .cluster = 1, .name = text_of("c"), .state = 1, .bootstrap = 1, .result = P(0, 1));
    ROW(config, .cluster = 1, .launch = {launch[0].at, launch[0].len});
    vat(1, "alice", 1, 4, 3, 1, 1);
    vat(2, "bob", 1, 2, 2, 0, 1);
    vat(3, "carol", 2, 2, 2, 0, 0);
    object(O(1, 0), 1, 4, 4, 1); /* pin, in flight, queued, bob */
    object(O(1, 1), 1, 1, 2, 0); /* queued; bob recognizes it */
    object(O(2, 0), 2, 3, 3, 1); /* pin, alice, the value of kp2.1 */
    ROW(promise, .kref = P(1, 1), .decider = 1, .decider_d = 3,
        .count = 3); /* queued, alice, bob */
    ROW(promise, .kref = P(0, 1), .state = 1, .count = 1, .body = BIN("#\"done\""));
    ROW(promise, .kref = P(0, 2), .decider = 1, .decider_d = 4,
        .count = 3); /* hold, flight, alice */
    ROW(promise, .kref = P(2, 1), .state = 1, .count = 2, .body = BIN("#\"$0.Alleged: x\""),
        .slots = {slot(slots_one, O(2, 0)), 8}); /* the notify, alice */
    slot(slots_two, O(1, 1));
    slot(slots_two + 8, P(1, 1));
    ROW(entry, .holder = 1, .seq = 5, .kind = 1, .target = O(1, 0), .msg_vat = 2, .msg_d = 2,
        .msg_n = 1, .body = BIN("#[\"take\",[\"$0\",\"&1\"]]"), .slots = {slots_two, 16});
    ROW(entry, .holder = 1, .seq = 6, .kind = 2, .target = P(2, 1), .msg_vat = 2, .msg_d = 2,
        .msg_n = 2);
    held(1, O(1, 0), R | E, 0, 4);
    held(1, O(1, 1), R | E, 3, 0);
    held(1, O(2, 0), R, 2, 2);
    held(1, P(1, 1), R | E, 3, 0);
    held(1, P(0, 2), R, 4, 4);
    held(1, P(2, 1), R, 2, 2);
    held(2, O(2, 0), R | E, 0, 2);
    held(2, O(1, 0), R, 2, 2);
    held(2, O(1, 1), 0, 2, 2);
    held(2, P(1, 1), R | S, 2, 2);
    msg_deliver_message_t message = {
        .target = {O(1, 0)}, .methargs.body = BIN("#[\"go\",[]]"), .result = {P(0, 2)}};
    log_row(4, TAG_deliver_message, &message);
    ROW(hold, .kref = P(0, 1), .cluster = 1);
    ROW(hold, .kref = P(0, 2), .cluster = 1);
    ROW(request, .id = {id, 16}, .seq = 1, .reply = BIN("x"));
}

void make_outside(void)
{
    make();
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].table == ROW_config)
            rows[i].body.config.launch = (bin_t){launch[2].at, launch[2].len};
        if (rows[i].table == ROW_vat && rows[i].body.vat.vat == 2) rows[i].body.vat.promises = 2;
        if (rows[i].table == ROW_counter &&
            strcmp(rows[i].body.counter.name.at, "next_promise") == 0)
            rows[i].body.counter.value = 3;
    }
    counter("next_object", 2);
    counter("next_errand", 1);
    object(O(0, 1), 0, 1, 1, 1);
    object(O(0, 2), 0, 1, 1, 0);
    held(1, O(0, 2), R, 1, 1);
    ROW(service, .kref = O(0, 1), .kind = SERVICE_channel, .cluster = 1, .number = 3,
        .text = text_of("io"));
    ROW(service, .kref = O(0, 2), .kind = SERVICE_outside, .cluster = 1, .vat = 1);
    ROW(promise, .kref = P(0, 3), .count = 2);
    ROW(promise, .kref = P(2, 2), .count = 2);
    held(1, P(0, 3), R | S, 3, 3);
    held(2, P(2, 2), R | S, 2, 2);
    ROW(pending, .promise = P(0, 3), .kind = ERRAND, .number = 1);
    ROW(pending, .promise = P(2, 2), .kind = DONE, .vat = 2);
    ROW(errand, .errand = 1, .cluster = 1, .channel = O(0, 1), .what = text_of("read"), .again = 1,
        .body = BIN("#[]"));
}

/* ---- one row is changed ---- */

static uint64_t *column_at(row_t *row, const char *name)
{
    const table_t *table = &row_tables[row->table];
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, name) != 0) continue;
        return (uint64_t *)(void *)((char *)&row->body + table->columns[i].offset);
    }
    cr_assert_fail("%s has no column %s", table->name, name);
    abort();
}

row_t *row_at(row_table_t table, uint64_t first, uint64_t second)
{
    for (size_t i = 0; i < row_count; i++) {
        row_t *row = &rows[i];
        const column_t *columns = row_tables[table].columns;
        if (row->table != table) continue;
        if (*column_at(row, columns[0].name) != first) continue;
        if (row_tables[table].key_count > 1 && *column_at(row, columns[1].name) != second) continue;
        return row;
    }
    cr_assert_fail("no such row of %s", row_tables[table].name);
    return NULL;
}

void set(row_table_t table, uint64_t first, uint64_t second, const char *column, uint64_t value)
{
    *column_at(row_at(table, first, second), column) = value;
}

void drop(row_table_t table, uint64_t first, uint64_t second)
{
    row_t *row = row_at(table, first, second);
    size_t i = (size_t)(row - rows);
    memmove(row, row + 1, (--row_count - i) * sizeof *row);
}

void set_counter(const char *name, uint64_t value)
{
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].table == ROW_counter && strcmp(rows[i].body.counter.name.at, name) == 0)
            rows[i].body.counter.value = value;
}

/* ---- what is found ---- */

char lines[LINES][LINE_BYTES];
size_t line_count;

static void note(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    cr_assert_lt(line_count, LINES);
    snprintf(lines[line_count++], sizeof *lines, "%s  %s: %s", rule, row, should);
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

bool load(void)
{
    static const uint8_t entropy[32] = {1};
    kernel_t *kernel = kernel_new();
    err_t err = ERR_OK;
    line_count = 0;
    for (row_table_t table = 0; table < ROW_TABLES; table++)
        for (size_t i = 0; i < row_count && !err; i++)
            if (rows[i].table == table) err = kernel_load(kernel, &rows[i]);
    if (err) {
        kernel_destroy(&kernel);
        snprintf(lines[line_count++], sizeof *lines, "not loaded");
        return false;
    }
    err = kernel_loaded(kernel, entropy);
    size_t count = kernel_audit(kernel, note, NULL);
    cr_expect_eq(count, line_count);
    qsort(lines, line_count, sizeof *lines, by_text);
    cr_expect_eq(err, count ? ERR_STORE_DAMAGED : ERR_OK);
    kernel_destroy(&kernel);
    return !err;
}

void expect(const char *const *wanted)
{
    cr_expect(!load(), "%s", wanted[0]);
    size_t count = 0;
    for (; wanted[count]; count++)
        cr_expect_str_eq(count < line_count ? lines[count] : "nothing more", wanted[count]);
    for (; count < line_count; count++) cr_expect_fail("and also: %s", lines[count]);
    made();
}

void audit_set_up(void)
{
    static const char *const names[] = {"c", "d", "c"};
    for (size_t i = 0; i < 2; i++) delivery[i] = buf_of(FRAME_BYTES_MAX);
    buf_t channels = buf_of(LAUNCH_NAMES_BYTES_MAX);
    msg_launch_channel_t io = {text_of("io"), text_of("console"), text_of(""), 3, 0};
    cr_assert_eq(msg_encode(TAG_launch_channel, &io, &channels), ERR_OK);
    for (size_t i = 0; i < 3; i++) {
        launch[i] = buf_of(FRAME_BYTES_MAX);
        msg_launch_t msg = {.name = text_of(names[i])};
        if (i == 2) msg.channels = (bin_t){channels.at, channels.len};
        cr_assert_eq(msg_encode(TAG_launch, &msg, &launch[i]), ERR_OK);
    }
    buf_clear(&channels);
    made = make;
    make();
}

void audit_tear_down(void)
{
    for (size_t i = 0; i < 2; i++) buf_clear(&delivery[i]);
    for (size_t i = 0; i < 3; i++) buf_clear(&launch[i]);
}
