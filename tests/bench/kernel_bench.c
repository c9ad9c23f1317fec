/* What one message costs in the kernel alone: PAIRS pairs of raw vats play ping, each ping with a
 * result promise that is subscribed, resolved and told (two cranks). Times cover kernel_step() and
 * kernel_flush() to a store that does nothing; decoding frames is counted apart. With DATABASE each
 * round is a commit of a broker: record, rows, sync.
 *
 *   kernel_bench [PAIRS [ROUNDS [VATS [TRACED [DATABASE]]]]]
 *                                                    VATS: so many more that only stand there
 *                                                    TRACED: 1: the last events are remembered
 *                                                    DATABASE: a new file */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/kernel/kernel.h"
#include "broker/store/store.h"
#include "broker/trace.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

typedef struct {
    uint64_t run, d, promises;
    hash_t chain;
    blob_t *deliver; /* the DELIVER to be answered */
} worker_t;

static kernel_t *kernel;
static worker_t *workers; /* by vat */
static uint64_t now_us = 1, step_ns, decode_ns, store_ns, rows, steps;
static store_t *store;
static record_t record;

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void take_effects(const effects_t *effects);

static void step(input_kind_t kind, uint32_t from, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    must(!msg_encode(tag, body, &frame));
    input_t input = {.kind = kind, .from = from, .now_us = ++now_us, .key = {{1}}};
    memcpy(input.entropy, &now_us, sizeof now_us);
    uint64_t start = clock_ns();
    msg_t msg;
    must(!msg_decode((bin_t){frame.at, frame.len}, &msg));
    input.msg = &msg;
    uint64_t decoded = clock_ns();
    effects_t effects = {0};
    kernel_step(kernel, &input, &effects);
    uint64_t end = clock_ns();
    decode_ns += decoded - start;
    step_ns += end - decoded;
    steps++;
    take_effects(&effects);
    effects_clear(&effects);
    msg_clear(&msg);
    buf_clear(&frame);
}

static void take_effects(const effects_t *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        if (effects->items[i].kind != EFFECT_HOST) continue;
        blob_t *frame = effects->items[i].frame;
        msg_t msg;
        must(!msg_decode(blob_bin(frame), &msg));
        if (msg.tag == TAG_vat_new) {
            msg_attach_t attach = {.vat = msg.body.vat_new.vat, .inc = 1, .pgen = 1};
            step(INPUT_HOST, 1, TAG_attach, &attach);
        } else if (msg.tag == TAG_attached) {
            workers[msg.body.attached.vat.n].run = msg.body.attached.run;
        } else if (msg.tag == TAG_deliver) {
            workers[msg.body.deliver.vat.n].deliver = blob_ref(frame);
        }
        msg_clear(&msg);
    }
}

static void count_row(void *context, const row_t *row)
{
    (void)context;
    (void)row;
    rows++;
}

static void record_row(void *context, const row_t *row)
{
    rows++;
    record_add(context, row);
}

static void commit(void)
{
    gate_t gate = store_gate(store);
    uint64_t start = clock_ns(), seq = 0;
    must(!gate.append(gate.self, &record) && !gate.durable(gate.self, &seq) && seq == record.seq);
    store_ns += clock_ns() - start;
}

static void flush(void)
{
    uint64_t start = clock_ns();
    if (store) {
        record_begin(&record, kernel_epoch(kernel));
        kernel_flush(kernel, record_row, &record);
        record_end(&record);
    } else {
        kernel_flush(kernel, count_row, NULL);
    }
    step_ns += clock_ns() - start;
    if (store) commit();
}

static void ping(uint32_t vat, buf_t *calls)
{
    kref_t result = kref_promise((vat_t){vat}, ++workers[vat].promises);
    msg_send_t send = {
        kref_root((vat_t){vat + 1}), {{(const uint8_t *)"#[\"ping\",[]]", 12}, {0}}, result};
    msg_subscribe_t subscribe = {result};
    must(!msg_encode(TAG_send, &send, calls) && !msg_encode(TAG_subscribe, &subscribe, calls));
}

static void pong(kref_t result, buf_t *calls)
{
    resolution_t one = {result, false, {{(const uint8_t *)"#\"pong\"", 7}, {0}}};
    msg_resolve_t resolve = {{&one, 1}};
    must(!msg_encode(TAG_resolve, &resolve, calls));
}

/* Odd vats ping when they are told (or called), even ones answer. */
static void answer(uint32_t vat, bool play)
{
    worker_t *worker = &workers[vat];
    blob_t *frame = worker->deliver;
    worker->deliver = NULL;
    msg_t deliver, inner;
    must(!msg_decode(blob_bin(frame), &deliver));
    must(!msg_decode(deliver.body.deliver.delivery, &inner));

    buf_t calls = buf_of(CRANK_BYTES_MAX);
    bool asked = inner.tag == TAG_deliver_message && inner.body.deliver_message.result.n;
    if (play && vat % 2)
        ping(vat, &calls);
    else if (play && asked)
        pong(inner.body.deliver_message.result, &calls);
    msg_result_t msg = {.vat = {vat},
                        .inc = 1,
                        .pgen = 1,
                        .run = worker->run,
                        .d = ++worker->d,
                        .delivery_hash = hash_of(deliver.body.deliver.delivery),
                        .chain = worker->chain,
                        .calls = {calls.at, calls.len}};
    hash_t result = hash_result(0, msg.calls, msg.store_digest);
    worker->chain = hash_chain(msg.chain, msg.delivery_hash, result);
    step(INPUT_HOST, 1, TAG_result, &msg);
    buf_clear(&calls);
    msg_clear(&inner);
    msg_clear(&deliver);
    blob_destroy(&frame);
}

static void launch(uint32_t vats)
{
    buf_t list = buf_of(LAUNCH_BYTES_MAX);
    for (uint32_t i = 0; i < vats; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%u", i);
        msg_launch_vat_t row = {.name = text_of(name),
                                .bundle = text_of("b1-00"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .host = text_of(""),
                                .reap_deliveries = REAP_NEVER, /* the raw vats know no reap */
                                .reap_krefs = REAP_NEVER};
        must(!msg_encode(TAG_launch_vat, &row, &list));
    }
    msg_launch_t msg = {.request = {{1}},
                        .name = text_of("bench"),
                        .vats = {list.at, list.len},
                        .services = text_of("")};
    step(INPUT_CLIENT, 1, TAG_launch, &msg);
    buf_clear(&list);
    for (uint32_t vat = 1; vat <= vats; vat++) answer(vat, false);
    answer(1, false); /* bootstrap */
    flush();
}

int main(int argc, char **argv)
{
    uint32_t pairs = argc > 1 ? (uint32_t)atoi(argv[1]) : 64;
    uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 2000;
    uint32_t idle = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
    uint32_t vats = pairs * 2 + idle;
    trace_t *trace = argc > 4 && atoi(argv[4]) ? trace_new() : NULL;
    store_options_t options = {.path = argc > 5 ? argv[5] : NULL};
    must(!options.path || !store_open(&options, &store));
    kernel = kernel_new();
    if (trace) kernel_traced(kernel, TRACES_ALL, trace_take, trace);
    workers = calloc(vats + 1, sizeof *workers);
    must(workers && !kernel_loaded(kernel, (const uint8_t[32]){1}));
    msg_hello_t hello = {1, 1, {{1}}, 0, text_of("h"), text_of("e"), {{0}}};
    step(INPUT_HOST, 0, TAG_hello, &hello);
    launch(vats);
    for (uint32_t i = 0; i < pairs; i++) {
        static const char body[] = "#[\"ping\",[\"$0.Alleged: peer\"]]";
        kref_t peer = kref_root((vat_t){2 * i + 2});
        msg_call_t call = {.request = {{2, (uint8_t)i, (uint8_t)(i >> 8)}},
                           .target = kref_root((vat_t){2 * i + 1}),
                           .methargs = {{(const uint8_t *)body, sizeof body - 1}, {&peer, 1}},
                           .no_result = 1};
        step(INPUT_CLIENT, 1, TAG_call, &call);
    }
    flush();

    step_ns = decode_ns = store_ns = rows = steps = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t vat = 1; vat <= pairs * 2; vat++)
            if (workers[vat].deliver) answer(vat, true);
        flush();
    }
    double messages = (double)steps / 2; /* one ping: a message and a notify */
    printf("%u pairs, %u idle vats: %.0f pings, per ping: %.0f ns kernel, %.0f ns decode, "
           "%.0f ns store, %.1f rows\n",
           pairs, idle, messages, (double)step_ns / messages, (double)decode_ns / messages,
           (double)store_ns / messages, (double)rows / messages);
    for (uint32_t vat = 1; vat <= vats; vat++) blob_destroy(&workers[vat].deliver);
    free(workers);
    kernel_destroy(&kernel);
    trace_destroy(&trace);
    record_clear(&record);
    store_destroy(&store);
    return 0;
}
