/* What the end of a large vat costs the others: one vat has OBJECTS objects, which another one holds; two more play
 * ping, each crank a commit to a kernel.db as the broker makes it. Then the large one is killed. Between two
 * cranks the broker does a piece of what is left to clean, so a crank waits for one piece at worst: that
 * wait and the crank are counted together.
 *
 *   dying_bench [OBJECTS [PINGS [owner|holder]]]    who dies */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/kernel/kernel.h"
#include "broker/store/store.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

enum { PINGER = 1, PONGER, OWNER, HOLDER, VATS };
enum { SENDS = 5 }; /* messages per crank of the owner, SLOTS_MAX objects each */

typedef struct {
    uint64_t run, d, promises, objects;
    hash_t chain;
    blob_t *deliver; /* the oldest DELIVER to be answered: windows are 1 */
} worker_t;

static kernel_t *kernel;
static store_t *store;
static gate_t gate;
static record_t record;
static worker_t workers[VATS];
static uint64_t now_us = 1;

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the broker's shell ---- */

static void step(input_kind_t kind, uint32_t from, msg_tag_t tag, const void *body);

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
            must(!workers[msg.body.deliver.vat.n].deliver);
            workers[msg.body.deliver.vat.n].deliver = blob_ref(frame);
        }
        msg_clear(&msg);
    }
}

static void take(const input_t *input)
{
    effects_t effects = {0};
    kernel_step(kernel, input, &effects);
    take_effects(&effects);
    effects_clear(&effects);
}

static void step(input_kind_t kind, uint32_t from, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    msg_t msg;
    must(!msg_encode(tag, body, &frame));
    must(!msg_decode((bin_t){frame.at, frame.len}, &msg));
    input_t input = {.kind = kind, .from = from, .now_us = ++now_us, .key = {{1}}, .msg = &msg};
    memcpy(input.entropy, &now_us, sizeof now_us);
    take(&input);
    msg_clear(&msg);
    buf_clear(&frame);
}

static void add_row(void *context, const row_t *row) { record_add(context, row); }

static void commit(void)
{
    uint64_t seq = 0;
    record_begin(&record, kernel_epoch(kernel));
    kernel_flush(kernel, add_row, &record);
    record_end(&record);
    must(!gate.append(gate.self, &record));
    while (seq < record.seq) must(!gate.durable(gate.self, &seq));
}

/* ---- the vats ---- */

static void ping(buf_t *calls)
{
    kref_t result = kref_promise((vat_t){PINGER}, ++workers[PINGER].promises);
    msg_send_t send = {
        kref_root((vat_t){PONGER}), {{(const uint8_t *)"#[\"ping\",[]]", 12}, {0}}, result};
    msg_subscribe_t subscribe = {result};
    must(!msg_encode(TAG_send, &send, calls) && !msg_encode(TAG_subscribe, &subscribe, calls));
}

static void pong(kref_t result, buf_t *calls)
{
    resolution_t one = {result, false, {{(const uint8_t *)"#\"pong\"", 7}, {0}}};
    msg_resolve_t resolve = {{&one, 1}};
    must(!msg_encode(TAG_resolve, &resolve, calls));
}

static void give(buf_t *calls)
{
    static kref_t slots[SLOTS_MAX];
    for (int n = 0; n < SENDS; n++) {
        for (size_t i = 0; i < SLOTS_MAX; i++)
            slots[i] = kref_object((vat_t){OWNER}, ++workers[OWNER].objects);
        msg_send_t send = {kref_root((vat_t){HOLDER}),
                           {{(const uint8_t *)"#[\"take\",[]]", 12}, {slots, SLOTS_MAX}},
                           {0}};
        must(!msg_encode(TAG_send, &send, calls));
    }
}

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
    if (play && vat == PINGER) ping(&calls);
    if (play && vat == PONGER && asked) pong(inner.body.deliver_message.result, &calls);
    if (play && vat == OWNER && inner.tag == TAG_deliver_message) give(&calls);
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

/* ---- the story ---- */

static void launch(void)
{
    static const char *const names[] = {"", "pinger", "ponger", "owner", "holder"};
    buf_t list = buf_of(LAUNCH_BYTES_MAX);
    for (uint32_t vat = PINGER; vat < VATS; vat++) {
        msg_launch_vat_t row = {.name = text_of(names[vat]),
                                .bundle = text_of("b1-00"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .window = 1,
                                .reap_deliveries = REAP_NEVER,
                                .reap_krefs = REAP_NEVER,
                                .host = text_of("")};
        must(!msg_encode(TAG_launch_vat, &row, &list));
    }
    msg_launch_t msg = {.request = {{1}},
                        .name = text_of("bench"),
                        .vats = {list.at, list.len},
                        .services = text_of("")};
    step(INPUT_CLIENT, 1, TAG_launch, &msg);
    buf_clear(&list);
    for (uint32_t vat = PINGER; vat < VATS; vat++) answer(vat, false);
    answer(PINGER, false); /* bootstrap */
    commit();
}

static void call(uint32_t vat, const char *body, uint32_t peer, uint32_t n)
{
    kref_t root = kref_root((vat_t){peer});
    msg_call_t msg = {.request = {{2, (uint8_t)n, (uint8_t)(n >> 8)}},
                      .target = kref_root((vat_t){vat}),
                      .methargs = {{(const uint8_t *)body, strlen(body)}, {&root, 1}},
                      .no_result = 1};
    step(INPUT_CLIENT, 1, TAG_call, &msg);
}

static void make_objects(uint64_t objects)
{
    for (uint32_t n = 0; workers[OWNER].objects < objects; n++) {
        call(OWNER, "#[\"give\",[\"$0\"]]", HOLDER, n);
        answer(OWNER, true);
        commit();
        while (workers[HOLDER].deliver) answer(HOLDER, true);
        commit();
    }
}

static int by_time(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double ms(uint64_t ns) { return (double)ns / 1e6; }

/* Turns of the broker, each with one crank; PIECES: with a piece of cleaning before it. Returns p99. */
static uint64_t play(const char *what, size_t turns, bool pieces)
{
    uint64_t *times = calloc(turns, sizeof *times), most = 0, begin = clock_ns();
    size_t n = 0;
    must(times);
    for (; n < turns && (!pieces || kernel_chores(kernel)); n++) {
        uint64_t start = clock_ns();
        if (pieces) {
            input_t chore = {.kind = INPUT_CHORE, .now_us = ++now_us};
            memcpy(chore.entropy, &now_us, sizeof now_us);
            take(&chore);
            commit();
            if (clock_ns() - start > most) most = clock_ns() - start;
        }
        answer(workers[PINGER].deliver ? PINGER : PONGER, true);
        commit();
        times[n] = clock_ns() - start;
    }
    qsort(times, n, sizeof *times, by_time);
    uint64_t p99 = n ? times[n * 99 / 100] : 0;
    printf("%-8s %6zu cranks in %6.0f ms: p50 %.2f, p99 %.2f, most %.2f ms", what, n,
           ms(clock_ns() - begin), ms(n ? times[n / 2] : 0), ms(p99), ms(n ? times[n - 1] : 0));
    printf(pieces ? "; a piece at most %.2f ms\n" : "\n", ms(most));
    free(times);
    return p99;
}

int main(int argc, char **argv)
{
    uint64_t objects = argc > 1 ? (uint64_t)atoll(argv[1]) : 1000000;
    size_t pings = argc > 2 ? (size_t)atoll(argv[2]) : 3000;
    bool owner = argc < 4 || strcmp(argv[3], "holder") != 0;
    char folder[] = "/tmp/vatyard-dying-XXXXXX", path[64];
    must(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/kernel.db", folder);
    store_options_t options = {.path = path};
    must(!store_open(&options, &store));
    gate = store_gate(store);
    gate.last(gate.self, &record.seq, &record.chain);
    kernel = kernel_new();
    must(!kernel_loaded(kernel, (const uint8_t[32]){1}));
    msg_hello_t hello = {1, 1, {{1}}, 0, text_of("h"), text_of("e"), {{0}}};
    step(INPUT_HOST, 0, TAG_hello, &hello);
    launch();

    call(PINGER, "#[\"ping\",[\"$0.Alleged: peer\"]]", PONGER, 60000);
    commit();
    play("few", 2 * pings, false);
    make_objects(objects);
    uint64_t before = play("many", 2 * pings, false), start = clock_ns();
    msg_kill_t kill = {
        .request = {{3}}, .vat = {owner ? OWNER : HOLDER}, .reason = text_of("bench")};
    step(INPUT_CLIENT, 1, TAG_kill, &kill);
    commit();
    printf("the kill itself: %.2f ms\n", ms(clock_ns() - start));
    uint64_t after = play("cleaning", 200000, true);
    play("after", 2 * pings, false);
    printf("%llu objects: p99 of the others %.2f times what it was\n", (unsigned long long)objects,
           (double)after / (double)before);

    for (uint32_t vat = PINGER; vat < VATS; vat++) blob_destroy(&workers[vat].deliver);
    kernel_destroy(&kernel);
    store_destroy(&store);
    record_clear(&record);
    static const char *const tails[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char file[80];
        snprintf(file, sizeof file, "%s%s", path, tails[i]);
        unlink(file);
    }
    rmdir(folder);
    return 0;
}
