/* The agent and the shell: when it is started, what it is sent, and what its end means.
 *
 * Method: the port has no process behind it; the test says what the agent says and when it ends. The
 * kernel is tests/unit/broker/fake_kernel.h: a KILL of vat 50 makes it want an agent, one of vat 51
 * makes it send one a frame. A frame is known by its channel. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "tests/unit/broker/fake_kernel.h"

/* ---- the port ---- */

static blob_t *coming, *said;
static uint64_t now = 1000000, told[16];
static unsigned starts, told_count, said_again;
static bool runs, dying, cannot_start, must_hold;

static int waited_ms;

static void port_wait(void *self, int ms)
{
    (void)self;
    waited_ms = ms;
}
static void port_pause(void *self, int ms) { (void)self, (void)ms; }

static bool port_take(void *self, arrival_t *ret)
{
    (void)self;
    if (!coming) return false;
    *ret = (arrival_t){.door = DOOR_CLIENTS, .route = {1, {20}}, .admitted = true, .frame = coming};
    coming = NULL;
    return true;
}

static bool port_send(void *self, door_t door, const route_t *route, bin_t frame)
{
    (void)self, (void)door, (void)route, (void)frame;
    return true;
}

static bool port_admits(void *self, hash_t key, char name[NAME_BYTES_MAX + 1])
{
    (void)self, (void)key, (void)name;
    return true;
}

static bool agent_start(void *self)
{
    (void)self;
    cr_assert_not(runs, "one at most");
    starts++;
    runs = !cannot_start;
    return runs;
}

static void agent_end(void *self)
{
    (void)self;
    dying = true;
}

static void agent_send(void *self, bin_t frame)
{
    msg_t msg;
    (void)self;
    cr_assert(runs);
    cr_expect_not(must_hold, "nothing leaves before it is durable");
    cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    told[told_count++] = msg.body.agent_close.channel;
    msg_clear(&msg);
}

static agent_event_t agent_take(void *self, bin_t *ret, int *ret_status)
{
    static blob_t *lent;
    (void)self;
    cr_assert(runs);
    if (said) {
        blob_destroy(&lent);
        lent = blob_ref(said);
        if (said_again)
            said_again--;
        else
            blob_destroy(&said);
        *ret = blob_bin(lent);
        return AGENT_FRAME;
    }
    if (!dying) return AGENT_NOTHING;
    *ret_status = SIGSEGV;
    dying = runs = false;
    return AGENT_ENDED;
}

/* ---- the gate ---- */

static uint64_t appended;

static err_t gate_append(void *self, const record_t *record)
{
    (void)self;
    appended = record->seq;
    return ERR_OK;
}

static err_t gate_durable(void *self, uint64_t *ret_seq)
{
    (void)self;
    *ret_seq = must_hold ? appended - 1 : appended;
    return ERR_OK;
}

static void gate_last(void *self, uint64_t *ret_seq, hash_t *ret_chain)
{
    (void)self;
    *ret_seq = 0;
    *ret_chain = (hash_t){{0}};
}

/* ---- the broker ---- */

static char dir[64];
static store_t *store;
static broker_t *broker;

static uint64_t clock_ms(void) { return now; }

static void turn(void) { cr_assert_eq(broker_turn(broker, 1000), ERR_OK); }

static void arrive(msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    coming = blob_new(frame.at, frame.len);
    buf_clear(&frame);
}

static void ask(uint32_t vat)
{
    arrive(TAG_kill, &(msg_kill_t){.request = {{3}}, .vat = {vat}});
    turn();
}

static void agent_says(msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    said = blob_new(frame.at, frame.len);
    buf_clear(&frame);
    turn();
}

static void set_up(void)
{
    char path[96];
    setenv("VATYARD_LOG_LEVEL", "error", 1);
    strcpy(dir, "/tmp/vatyard-outside-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kernel.db", dir);
    cr_assert_eq(store_open(&(store_options_t){.path = path}, &store), ERR_OK);
    broker = broker_new(&(broker_options_t){
        .port = {NULL, port_wait, port_pause, port_take, port_send, port_admits, agent_start,
                 agent_end, agent_send, agent_take},
        .gate = {NULL, gate_append, gate_durable, gate_last},
        .store = store,
        .hosts_endpoint = "tcp://127.0.0.1:1",
        .key = "key",
        .globals = "Date Math",
        .clock_ms = clock_ms,
    });
    cr_assert_eq(broker_load(broker), ERR_OK);
    arrive(TAG_client_hello, &(msg_client_hello_t){1, 1});
    turn();
}

static void tear_down(void)
{
    char command[128];
    broker_destroy(&broker);
    store_destroy(&store);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(outside, .init = set_up, .fini = tear_down, .timeout = 60);

/* An agent runs, and has been told of channel 50. */
static void have_agent(void)
{
    ask(50);
    turn();
    cr_assert_eq(fake_inputs[INPUT_AGENT], 1);
    cr_assert_eq(told_count, 1);
}

Test(outside, the_kernel_is_told_which_globals_there_are)
{
    cr_expect_str_eq(fake_globals, "Date Math");
}

Test(outside, none_runs_until_it_is_wanted)
{
    for (int i = 0; i < 10; i++) turn();
    cr_expect_eq(starts, 0);
    ask(50);
    turn();
    cr_expect_eq(starts, 1);
    cr_expect_eq(fake_inputs[INPUT_AGENT], 1, "the kernel hears that it is there");
    cr_expect_eq(told[0], 50, "and what it says then goes there");
    for (int i = 0; i < 10; i++) turn();
    cr_expect_eq(starts, 1);
}

Test(outside, nothing_goes_there_before_it_is_durable)
{
    have_agent();
    must_hold = true;
    ask(51);
    for (int i = 0; i < 10; i++) turn();
    cr_expect_eq(told_count, 1);
    must_hold = false;
    turn();
    cr_expect_eq(told_count, 2);
    cr_expect_eq(told[1], 51);
}

Test(outside, none_is_started_before_the_wish_is_durable)
{
    must_hold = true;
    ask(50);
    for (int i = 0; i < 10; i++) turn();
    cr_expect_eq(starts, 0);
}

Test(outside, what_it_says_goes_to_the_kernel)
{
    have_agent();
    agent_says(TAG_agent_told, &(msg_agent_told_t){7, false, {(const uint8_t *)"#1", 2}});
    cr_expect_eq(fake_inputs[INPUT_AGENT], 2);
}

/* What it has said beyond the first turn does not wait until somebody else says something. */
Test(outside, much_is_taken_in_over_several_turns)
{
    have_agent();
    turn();
    cr_expect_gt(waited_ms, 0);
    said_again = 1999;
    agent_says(TAG_agent_told, &(msg_agent_told_t){7, false, {(const uint8_t *)"#1", 2}});
    unsigned first = fake_inputs[INPUT_AGENT] - 1;
    cr_expect_geq(first, 100);
    cr_expect_leq(first, 1000, "others have a turn as well");
    for (int i = 0; i < 50 && fake_inputs[INPUT_AGENT] < 2001; i++) {
        turn();
        cr_expect_eq(waited_ms, 0);
    }
    cr_expect_eq(fake_inputs[INPUT_AGENT], 2001);
    turn();
    turn();
    cr_expect_gt(waited_ms, 0);
}

Test(outside, one_that_says_what_it_may_not_is_ended)
{
    have_agent();
    agent_says(TAG_agent_close, &(msg_agent_close_t){1});
    turn();
    cr_expect_eq(fake_inputs[INPUT_AGENT_GONE], 1);
    cr_expect_eq(fake_inputs[INPUT_AGENT], 1);
}

Test(outside, its_end_is_told_once_and_another_is_started_with_back_off)
{
    have_agent();
    uint64_t gaps[10];
    for (unsigned i = 0; i < 10; i++) {
        dying = true;
        turn();
        cr_expect_eq(fake_inputs[INPUT_AGENT_GONE], i + 1, "once");
        uint64_t from = now;
        for (int ms = 0; starts < i + 2 && ms < 60000; ms++, now++) turn();
        cr_assert_eq(starts, i + 2, "another one comes");
        cr_expect_eq(fake_inputs[INPUT_AGENT], i + 2);
        gaps[i] = now - from;
    }
    for (int i = 1; i < 10; i++) cr_expect_geq(gaps[i], gaps[i - 1]);
    cr_expect_leq(gaps[0], 110);
    cr_expect_geq(gaps[9], 9900);
    cr_expect_leq(gaps[9], 10100);

    now += 60 * 1000; /* it lives: whatever ended the others is over */
    dying = true;
    turn();
    turn();
    cr_expect_eq(starts, 12, "at once");
}

/* The kernel said it to one that had ended already: another one must not hear it. */
Test(outside, what_was_meant_for_one_that_ended_is_dropped)
{
    have_agent();
    now += 60 * 1000;
    arrive(TAG_kill, &(msg_kill_t){.request = {{4}}, .vat = {51}});
    dying = must_hold = true;
    turn(); /* one batch: the frame, then the end */
    must_hold = false;
    for (int i = 0; i < 5; i++) turn();
    cr_expect_eq(starts, 2);
    cr_expect_eq(told_count, 2);
    cr_expect_eq(told[1], 50, "the next agent has not heard of 51");
}

Test(outside, one_that_cannot_be_started_is_tried_again)
{
    cannot_start = true;
    ask(50);
    for (int ms = 0; ms < 30000; ms++, now++) turn();
    cr_expect_geq(starts, 7);
    cr_expect_leq(starts, 12, "with back-off");
    cr_expect_eq(fake_inputs[INPUT_AGENT], 0);
    cannot_start = false;
    for (int ms = 0; ms < 11000; ms++, now++) turn();
    cr_expect_eq(fake_inputs[INPUT_AGENT], 1);
}
