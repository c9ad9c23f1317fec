/* Who gets events without watching (kernel_traced()): whole traces, or nothing of them. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

enum { CALLS = 40, TAKEN_MAX = 2000 };

typedef struct {
    id128_t trace;
    unsigned topic;
    char type[16];
    uint64_t d;
} taken_t;

static taken_t taken[TAKEN_MAX];
static size_t taken_count;

static void take(void *context, unsigned topic, const msg_event_t *event)
{
    cr_assert_eq(context, taken);
    cr_assert_lt(taken_count, TAKEN_MAX);
    cr_assert_gt(event->time_us, 0);
    taken_t *one = &taken[taken_count++];
    *one = (taken_t){event->trace, topic, "", event->d};
    memcpy(one->type, event->type.at, event->type.len < 15 ? event->type.len : 15);
}

/* Two vats; a client calls the first one, which asks the second, which answers. */
static void story(uint64_t below)
{
    rig_t *rig = rig_new();
    taken_count = 0;
    rig_host(rig, 1);
    kernel_traced(rig_kernel(rig), below, take, taken);
    rig_launch(rig, "alice bob", NULL);
    rig_run_dry(rig);
    for (unsigned i = 0; i < CALLS; i++) {
        msg_call_t call = {rig_id(rig), root(1), {{(const uint8_t *)"#[\"ask\",[]]", 11}, {0}}, 0};
        cr_assert(rig_ask(rig, TAG_call, &call));
        buf_t calls = buf_of(CRANK_BYTES_MAX);
        msg_send_t send = {root(2), {{(const uint8_t *)"#[\"think\",[]]", 13}, {0}}, kp(1, i + 1)};
        cr_assert_eq(msg_encode(TAG_send, &send, &calls), ERR_OK);
        cr_assert(rig_delivery(rig, 1));
        rig_result(rig, 1, &calls);
        buf_clear(&calls);
        rig_run_dry(rig);
    }
    rig_destroy(&rig);
}

static uint32_t first_of(id128_t trace)
{
    uint32_t ret;
    memcpy(&ret, trace.b, sizeof ret);
    return ret;
}

static bool none(id128_t trace) { return memcmp(&trace, &(id128_t){{0}}, sizeof trace) == 0; }

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

Test(traced, all_of_it_and_each_thing_once)
{
    story(TRACES_ALL);
    size_t sends = 0, delivered = 0, done = 0;
    for (size_t i = 0; i < taken_count; i++) {
        bool traffic = taken[i].topic == TOPIC_TRAFFIC;
        sends += strcmp(taken[i].type, "send") == 0;
        delivered += strcmp(taken[i].type, "deliver") == 0;
        done += strcmp(taken[i].type, "done") == 0;
        cr_expect_eq(traffic,
                     strcmp(taken[i].type, "launch") && strncmp(taken[i].type, "vat", 3) &&
                         strncmp(taken[i].type, "host", 4),
                     "%s", taken[i].type);
    }
    cr_expect_eq(sends, 2 * CALLS + 1, "of clients, of alice, and bootstrap");
    cr_expect_eq(delivered, done);
    cr_expect_eq(delivered, 2 * CALLS + 3, "and two starts");
}

Test(traced, a_share_of_traces_each_of_them_whole)
{
    static taken_t all[TAKEN_MAX];
    static uint32_t firsts[TAKEN_MAX];
    story(TRACES_ALL);
    size_t count = taken_count, traces = 0;
    memcpy(all, taken, sizeof all);
    for (size_t i = 0; i < count; i++) {
        if (!none(all[i].trace)) firsts[traces++] = first_of(all[i].trace);
    }
    qsort(firsts, traces, sizeof *firsts, by_size);
    uint64_t below = firsts[traces / 2];
    cr_assert_neq(firsts[0], firsts[traces - 1], "traces are drawn at random");

    story(below); /* the same inputs, and so the same traces */
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        bool kept =
            none(all[i].trace) ? all[i].topic == TOPIC_CONSOLE : first_of(all[i].trace) < below;
        if (!kept) continue;
        cr_assert_lt(at, taken_count);
        cr_expect_eq(memcmp(&all[i], &taken[at], sizeof *all), 0, "event %zu: %s", i, all[i].type);
        at++;
    }
    cr_expect_eq(at, taken_count, "and nothing else");
    cr_expect(at > 0 && at < count);
}

Test(traced, nothing_when_nobody_asked)
{
    story(0);
    cr_expect_eq(taken_count, 0);
}
