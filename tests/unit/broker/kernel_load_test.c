/* Start: rows that contradict themselves are refused one by one, rows of one table may come in any order.
 * What is wrong between rows, the audit finds: kernel_audit_test.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "broker/kernel/kernel.h"
#include "wire/base/hash.h"

#define O(vat, serial) (kref_object((vat_t){vat}, serial).n)
#define P(vat, serial) (kref_promise((vat_t){vat}, serial).n)
#define BIN(text)                                 \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }
#define ROW(name, ...) ((row_t){.table = ROW_##name, .body.name = (row_##name##_t){__VA_ARGS__}})

static const uint8_t entropy[32] = {1};
static uint8_t zeros[80008]; /* of slots, one more than a value may have */

static kernel_t *kernel;

static void load(row_t row)
{
    cr_assert_eq(kernel_load(kernel, &row), ERR_OK, "%s", row_tables[row.table].name);
}

static row_t text_counter(const char *name, uint64_t value)
{
    return ROW(counter, .name = text_of(name), .value = value);
}

static void load_config(void)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(TAG_launch, &(msg_launch_t){.name = text_of("c")}, &frame), ERR_OK);
    load(ROW(config, .cluster = 1, .launch = {frame.at, frame.len}));
    buf_clear(&frame);
}

/* One vat, alice, that has started and is idle. */
static void make(void)
{
    kernel = kernel_new();
    load(text_counter("epoch", 4));
    load(text_counter("kernel_lo", 7));
    load(text_counter("next_vat", 1));
    load(text_counter("next_cluster", 1));
    load(text_counter("next_host", 1));
    load(text_counter("next_input", 9));
    load(text_counter("next_promise", 1));
    load(ROW(host, .host = 1, .name = text_of("h"), .key = {zeros, 32}, .epoch = 4));
    load(ROW(cluster, .cluster = 1, .name = text_of("c"), .state = 1, .bootstrap = 1,
             .result = P(0, 1)));
    load_config();
}

static row_vat_t alice(uint64_t assigned)
{
    return (row_vat_t){.vat = 1,
                       .cluster = 1,
                       .name = text_of("alice"),
                       .host = 1,
                       .state = 1,
                       .inc = 1,
                       .pgen = 1,
                       .assigned = assigned,
                       .applied = 1,
                       .chain = {zeros, 32},
                       .bundle = text_of("b1-00"),
                       .window = 16,
                       .reap_deliveries = REAP_NEVER,
                       .reap_krefs = REAP_NEVER};
}

/* REFERENCES to her root, from queues and deliveries in flight. */
static void make_alice(uint64_t assigned, uint64_t references)
{
    make();
    load((row_t){.table = ROW_vat, .body.vat = alice(assigned)});
    load(ROW(object, .kref = O(1, 0), .owner = 1, .reachable = 1 + references,
             .recognizable = 1 + references, .pins = 1));
    load(ROW(promise, .kref = P(0, 1), .state = 1, .count = 1, .body = BIN("#1")));
    load(ROW(held, .vat = 1, .kref = O(1, 0), .flags = 3, .intro_d = assigned));
    load(ROW(hold, .kref = P(0, 1), .cluster = 1));
}

static buf_t bytes[2]; /* of deliveries in flight */
static hash_t hashes[2];

static void tear_down(void)
{
    kernel_destroy(&kernel);
    for (size_t i = 0; i < 2; i++) buf_clear(&bytes[i]);
}

TestSuite(load, .fini = tear_down);

/* ---- rows that cannot be ---- */

static void expect_damage(row_t row, const char *what)
{
    make_alice(3, 0);
    cr_expect_eq(kernel_load(kernel, &row), ERR_STORE_DAMAGED, "%s", what);
    kernel_destroy(&kernel);
}

#define EXPECT_DAMAGE(name, ...) expect_damage(ROW(name, __VA_ARGS__), #__VA_ARGS__)

Test(load, counters_hosts_and_clusters_that_cannot_be)
{
    expect_damage(text_counter("next_vats", 1), "an unknown counter");
    EXPECT_DAMAGE(host, .host = 0, .key = {zeros, 32});
    EXPECT_DAMAGE(host, .host = 1, .key = {zeros, 32});
    EXPECT_DAMAGE(host, .host = 2, .key = {zeros, 31});
    EXPECT_DAMAGE(cluster, .cluster = 0);
    EXPECT_DAMAGE(cluster, .cluster = 1);
    EXPECT_DAMAGE(cluster, .cluster = 2, .state = 2);
    EXPECT_DAMAGE(cluster, .cluster = 2, .request = {zeros, 15});
    EXPECT_DAMAGE(config, .cluster = 1, .launch = BIN("x"));
    EXPECT_DAMAGE(config, .cluster = 2, .launch = BIN("x"));
    expect_damage((row_t){.table = ROW_TABLES}, "no table");
}

static void expect_vat_damage(row_vat_t vat, const char *what)
{
    expect_damage((row_t){.table = ROW_vat, .body.vat = vat}, what);
}

Test(load, vats_that_cannot_be)
{
    row_vat_t vat = alice(1);
    expect_vat_damage(vat, "twice");
    vat.vat = 0;
    expect_vat_damage(vat, "number 0");
    vat.vat = (uint64_t)KREF_ISSUER_MAX + 1;
    expect_vat_damage(vat, "a number that no kref has room for");
    vat.vat = 2;
    vat.state = 4;
    expect_vat_damage(vat, "an unknown state");
    vat.state = 1;
    vat.applied = 2;
    expect_vat_damage(vat, "applied more than was assigned");
    vat.applied = 1;
    vat.safe = 2;
    expect_vat_damage(vat, "deleted more than was applied");
    vat.safe = 0;
    vat.chain.len = 31;
    expect_vat_damage(vat, "half a hash");
}

Test(load, objects_and_promises_that_cannot_be)
{
    EXPECT_DAMAGE(object, .kref = P(1, 1));
    EXPECT_DAMAGE(object, .kref = O(1, 0));
    EXPECT_DAMAGE(promise, .kref = O(1, 1));
    EXPECT_DAMAGE(promise, .kref = P(0, 1));
    EXPECT_DAMAGE(promise, .kref = P(1, 1), .state = 3);
    EXPECT_DAMAGE(promise, .kref = P(1, 1), .state = 1, .slots = {zeros, 7});
    EXPECT_DAMAGE(promise, .kref = P(1, 1), .state = 1, .slots = {zeros, sizeof zeros});
}

Test(load, entries_and_authority_that_cannot_be)
{
    EXPECT_DAMAGE(entry, .holder = 7, .seq = 1, .kind = 0);
    EXPECT_DAMAGE(entry, .holder = P(7, 7), .seq = 1, .kind = 1);
    EXPECT_DAMAGE(entry, .holder = 1, .seq = 1, .kind = 3);
    EXPECT_DAMAGE(entry, .holder = 1, .seq = 1, .kind = 1, .slots = {zeros, 7});
    EXPECT_DAMAGE(entry, .holder = 1, .seq = 1, .kind = 0, .trace = {zeros, 15});
    EXPECT_DAMAGE(held, .vat = 7, .kref = O(1, 0));
    EXPECT_DAMAGE(held, .vat = 1, .kref = O(1, 9));
    EXPECT_DAMAGE(held, .vat = 1, .kref = O(1, 0));
    EXPECT_DAMAGE(hold, .kref = P(7, 7));
    EXPECT_DAMAGE(hold, .kref = P(0, 1));
    EXPECT_DAMAGE(request, .id = {zeros, 15});
    make_alice(1, 0);
    load(ROW(request, .id = {zeros, 16}, .seq = 1, .reply = BIN("x")));
    row_t row = ROW(request, .id = {zeros, 16}, .seq = 2, .reply = BIN("x"));
    cr_expect_eq(kernel_load(kernel, &row), ERR_STORE_DAMAGED, "twice");
}

/* ---- deliveries in flight ---- */

static row_t in_flight(size_t i, uint64_t d, msg_tag_t tag, const void *body)
{
    buf_clear(&bytes[i]);
    bytes[i] = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &bytes[i]), ERR_OK);
    hashes[i] = hash_of((bin_t){bytes[i].at, bytes[i].len});
    return ROW(log, .vat = 1, .d = d, .delivery = {bytes[i].at, bytes[i].len},
               .hash = {hashes[i].b, 32}, .msg_d = d);
}

static row_t message_in_flight(size_t i, uint64_t d)
{
    msg_deliver_message_t message = {.target = {O(1, 0)}, .methargs.body = BIN("#[\"go\",[]]")};
    return in_flight(i, d, TAG_deliver_message, &message);
}

Test(load, deliveries_that_cannot_be)
{
    row_t good = message_in_flight(0, 2), row = good;
    row.body.log.vat = 7;
    expect_damage(row, "of no vat");
    row = good;
    row.body.log.d = 4;
    expect_damage(row, "never assigned");
    row = good;
    row.body.log.delivery.len--;
    expect_damage(row, "no frame");
    row = good;
    row.body.log.hash.len = 31;
    expect_damage(row, "half a hash");
    row = good;
    row.body.log.trace = (bin_t){zeros, 15};
    expect_damage(row, "half a trace");
    msg_done_t done = {{{1}}};
    expect_damage(in_flight(1, 2, TAG_done, &done), "no delivery");

    make_alice(3, 1);
    load(good);
    cr_expect_eq(kernel_loaded(kernel, entropy), ERR_STORE_DAMAGED, "the second one is missing");
}

/* ---- the order of rows ---- */

static char told[400];

/* Takes one input, and writes down the deliveries that it made, number and method, and those that are
 * done. */
static void step(const input_t *input)
{
    effects_t out = {0};
    kernel_step(kernel, input, &out);
    for (size_t i = 0; i < out.count; i++) {
        msg_t msg;
        cr_assert_eq(msg_decode(blob_bin(out.items[i].frame), &msg), ERR_OK);
        const msg_event_t *event = &msg.body.event;
        if (msg.tag == TAG_event && event->type.len == 7 &&
            memcmp(event->type.at, "deliver", 7) == 0)
            sprintf(told + strlen(told), "%d %.*s, ", (int)event->d, (int)event->method.len,
                    event->method.at);
        if (msg.tag == TAG_event && event->type.len == 4 && memcmp(event->type.at, "done", 4) == 0)
            sprintf(told + strlen(told), "%d done, ", (int)event->d);
        msg_clear(&msg);
    }
    effects_clear(&out);
}

Test(load, queues_and_deliveries_in_any_order)
{
    make_alice(3, 5);
    load(ROW(entry, .holder = 1, .seq = 5, .kind = 1, .target = O(1, 0), .msg_d = 7,
             .body = BIN("#[\"third\",[]]")));
    load(ROW(entry, .holder = 1, .seq = 3, .kind = 1, .target = O(1, 0), .msg_d = 5,
             .body = BIN("#[\"first\",[]]")));
    load(ROW(entry, .holder = 1, .seq = 4, .kind = 1, .target = O(1, 0), .msg_d = 6,
             .body = BIN("#[\"second\",[]]")));
    load(message_in_flight(0, 3));
    load(message_in_flight(1, 2));
    row_t old = message_in_flight(0, 1);
    load(old); /* applied: it stays in the store */
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);

    kernel_watched(kernel, TOPIC_TRAFFIC);
    cr_assert(kernel_chores(kernel), "what is due is assigned by the first step");
    input_t chore = {.kind = INPUT_CHORE, .now_us = 1};
    told[0] = 0;
    step(&chore);
    cr_expect_str_eq(told, "4 first, 5 second, 6 third, ");
    cr_expect(!kernel_chores(kernel));
    cr_expect_eq(kernel_audit(kernel, NULL, NULL), 0);
}

/* Half of an id is an id: it is kept. */
static uint64_t hi, lo;
static void see_id(void *context, const row_t *row)
{
    (void)context;
    if (row->table != ROW_counter) return;
    text_t name = row->body.counter.name;
    if (name.len != 9 || memcmp(name.at, "kernel_", 7) != 0) return;
    *(name.at[7] == 'h' ? &hi : &lo) = row->body.counter.value;
}

Test(load, an_id_is_given_once)
{
    make_alice(1, 0);
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);
    id128_t id = kernel_id(kernel);
    cr_expect_eq(id.b[15], 7);
    kernel_flush(kernel, see_id, NULL);
    cr_expect_eq(hi | lo, 0, "nothing of it changed");
    kernel_destroy(&kernel);

    kernel = kernel_new();
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);
    kernel_flush(kernel, see_id, NULL);
    cr_expect(hi && lo);
}

/* A settled hold's place says which is let go first; 0: not to be let go. */
Test(load, holds_keep_their_order)
{
    make();
    load((row_t){.table = ROW_vat, .body.vat = alice(1)});
    load(text_counter("next_promise", 4));
    load(ROW(object, .kref = O(1, 0), .owner = 1, .reachable = 1, .recognizable = 1, .pins = 1));
    for (uint64_t i = 1; i <= 4; i++)
        load(ROW(promise, .kref = P(0, i), .state = 1, .count = 1, .body = BIN("#1")));
    load(ROW(held, .vat = 1, .kref = O(1, 0), .flags = 3));
    load(ROW(hold, .kref = P(0, 1), .cluster = 1));
    load(ROW(hold, .kref = P(0, 2), .cluster = 1, .seq = 9));
    load(ROW(hold, .kref = P(0, 3), .cluster = 1, .seq = 4, .shown = 1));
    load(ROW(hold, .kref = P(0, 4), .cluster = 1, .seq = 5));
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);

    /* Released is what was shown, and it stands first. */
    msg_t msg = {.tag = TAG_release, .body.release = {{{5}}, {0}}};
    input_t input = {.kind = INPUT_CLIENT, .from = 1, .msg = &msg, .now_us = 1};
    step(&input);
    cr_expect_eq(kernel_audit(kernel, NULL, NULL), 0);
    msg = (msg_t){.tag = TAG_cluster_rm, .body.cluster_rm = {{{6}}, {1}}};
    step(&input);
    cr_expect_eq(kernel_audit(kernel, NULL, NULL), 0);
}

/* A kernel may be ended while results are applied and not flushed. */
Test(load, a_kernel_that_is_destroyed_before_its_flush)
{
    make_alice(2, 1);
    load(message_in_flight(0, 2));
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);
    msg_t hello = {.tag = TAG_hello,
                   .body.hello = {1, 1, {{1}}, 0, text_of("h"), text_of("e"), {{0}}}};
    msg_t attach = {.tag = TAG_attach, .body.attach = {.vat = {1}, .inc = 1, .pgen = 1, .last = 1}};
    msg_t result = {.tag = TAG_result,
                    .body.result = {.vat = {1}, .inc = 1, .pgen = 1, .run = 1, .d = 2}};
    result.body.result.delivery_hash = hashes[0];
    msg_t *const frames[] = {&hello, &attach, &result};
    kernel_watched(kernel, TOPIC_TRAFFIC);
    told[0] = 0;
    for (size_t i = 0; i < 3; i++) {
        input_t input = {.kind = INPUT_HOST, .from = 1, .now_us = 1, .msg = frames[i]};
        step(&input);
    }
    cr_expect_str_eq(told, "2 done, ");
    kernel_destroy(&kernel);
    cr_expect_null(kernel);
}
