/* The rules of broker.h, with a fake gate, a fake port and a fake kernel.
 *
 * Method: the port is two lists in memory; the gate says "not yet", "full", "broken" or "done" as
 * the test tells it. What left is read from the port, so "zero frames" is counted, not assumed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "tests/unit/broker/fake_kernel.h"

/* ---- port ---- */

typedef struct {
    door_t door;
    uint8_t route;
    blob_t *frame;
} sent_t;

static arrival_t coming[64];
static size_t coming_first, coming_last;
static sent_t sent[256];
static size_t sent_count;
static uint8_t gone_route, revoked_key;
static unsigned takes;

static int waited_ms;
static bool hosts_held;

static void port_hold(void *self, bool hosts)
{
    (void)self;
    hosts_held = hosts;
}

static void port_wait(void *self, int ms)
{
    (void)self;
    waited_ms = ms;
}

static bool port_take(void *self, arrival_t *ret)
{
    (void)self;
    takes++;
    if (coming_first == coming_last) return false;
    if (hosts_held && coming[coming_first].door == DOOR_HOSTS) return false;
    *ret = coming[coming_first++];
    return true;
}

static bool port_send(void *self, door_t door, const route_t *route, bin_t frame)
{
    (void)self;
    if (route->at[0] == gone_route) return false;
    sent[sent_count++] = (sent_t){door, route->at[0], blob_new(frame.at, frame.len)};
    return true;
}

static const char *operators_name = "";

static bool port_admits(void *self, hash_t key, char name[NAME_BYTES_MAX + 1])
{
    (void)self;
    if (name) strcpy(name, operators_name);
    return key.b[0] != revoked_key;
}

static hash_t admitted_key;
static err_t admit_says;

static err_t port_admit(void *self, hash_t key, text_t name)
{
    (void)self, (void)name;
    if (!admit_says) admitted_key = key;
    return admit_says;
}

static void forget_sent(void)
{
    while (sent_count) blob_destroy(&sent[--sent_count].frame);
}

static arrival_t *arrive(door_t door, uint8_t route, uint8_t key, msg_tag_t tag, const void *body)
{
    arrival_t *arrival = &coming[coming_last++];
    *arrival = (arrival_t){.door = door, .admitted = true};
    arrival->route = (route_t){1, {route}};
    arrival->key.b[0] = key;
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    arrival->frame = blob_new(frame.at, frame.len);
    buf_clear(&frame);
    return arrival;
}

/* How many frames with TAG went to ROUTE. */
static size_t count_sent(uint8_t route, msg_tag_t tag)
{
    size_t count = 0;
    for (size_t i = 0; i < sent_count; i++) {
        count += sent[i].route == route && msg_peek(blob_bin(sent[i].frame)) == tag;
    }
    return count;
}

static uint64_t refused(uint8_t route)
{
    for (size_t i = 0; i < sent_count; i++) {
        msg_t msg;
        if (sent[i].route != route || msg_decode(blob_bin(sent[i].frame), &msg)) continue;
        uint64_t error = msg.tag == TAG_refuse ? msg.body.refuse.error : 0;
        msg_clear(&msg);
        if (error) return error;
    }
    return 0;
}

/* ---- gate ---- */

static enum { GATE_DONE, GATE_NOT_YET, GATE_FULL, GATE_BROKEN } gate_says;
static uint64_t appended, durable;

static err_t gate_append(void *self, const record_t *record)
{
    (void)self;
    cr_assert_eq(record->seq, appended + 1);
    cr_assert_eq(durable, appended, "one record at a time");
    appended = record->seq;
    return ERR_OK;
}

static err_t gate_durable(void *self, uint64_t *ret_seq)
{
    (void)self;
    if (gate_says == GATE_DONE) durable = appended;
    *ret_seq = durable;
    return gate_says == GATE_FULL ? ERR_STORE_FULL : gate_says == GATE_BROKEN ? ERR_STORE : ERR_OK;
}

static void gate_last(void *self, uint64_t *ret_seq, hash_t *ret_chain)
{
    (void)self;
    *ret_seq = 0;
    *ret_chain = (hash_t){{0}};
}

/* ---- the broker under test ---- */

static char dir[64], path[96];
static store_t *store;
static broker_t *broker;
static uint64_t now = 1000000;
static uint64_t disk_free = 1000, disk_total = 1000; /* MiB */

static void disk_room(uint64_t *ret_free, uint64_t *ret_total)
{
    *ret_free = disk_free << 20;
    *ret_total = disk_total << 20;
}

static uint64_t clock_ms(void) { return now; }

static void port_pause(void *self, int ms)
{
    (void)self;
    now += (uint64_t)ms;
}

static void set_up(void)
{
    setenv("VATYARD_LOG_LEVEL", "error", 1);
    strcpy(dir, "/tmp/vatyard-turn-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kernel.db", dir);
    cr_assert_eq(store_open(&(store_options_t){.path = path}, &store), ERR_OK);
    broker = broker_new(&(broker_options_t){
        .port = {NULL, port_wait, port_pause, port_take, port_send, port_admits,
                 .admit = port_admit, .hold = port_hold},
        .gate = {NULL, gate_append, gate_durable, gate_last},
        .store = store,
        .hosts_endpoint = "tcp://127.0.0.1:1",
        .key = "key",
        .traced_below = TRACES_ALL,
        .clock_ms = clock_ms,
        .room = disk_room,
    });
    cr_assert_eq(broker_load(broker), ERR_OK);
}

static void tear_down(void)
{
    broker_destroy(&broker);
    store_destroy(&store);
    forget_sent();
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(turn, .init = set_up, .fini = tear_down, .timeout = 60);

/* The log names every finding, and the program says the first. */
Test(turn, rows_that_contradict_each_other_are_named)
{
    fake_damaged = true;
    broker_t *other = broker_new(&(broker_options_t){
        .port = {NULL, port_wait, port_pause, port_take, port_send, port_admits},
        .gate = {NULL, gate_append, gate_durable, gate_last},
        .store = store,
        .hosts_endpoint = "tcp://127.0.0.1:1",
        .key = "key",
        .clock_ms = clock_ms,
    });
    cr_expect_eq(broker_load(other), ERR_STORE_DAMAGED);
    cr_expect_not_null(strstr(broker_why(other), "K5: ko1.1"), "%s", broker_why(other));
    broker_destroy(&other);
}

static void turn(void) { cr_assert_eq(broker_turn(broker, 1000), ERR_OK); }

static const msg_hello_t hello = {.proto_min = 1, .proto_max = 1, .nonce = {{9}}};
static const msg_client_hello_t client_hello = {1, 1};
static const msg_ping_t ping = {5};
static const msg_kill_t kill_it = {.request = {{3}}, .vat = {1}};

/* Host 1 on route 10 with key 1, a client on route 20. */
static void connect_both(void)
{
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &hello);
    arrive(DOOR_CLIENTS, 20, 0, TAG_client_hello, &client_hello);
    turn();
    cr_assert_eq(count_sent(10, TAG_welcome), 1);
    cr_assert_eq(count_sent(20, TAG_client_welcome), 1);
    forget_sent();
}

/* ---- the kernel's alarm ---- */

Test(turn, no_longer_than_to_the_next_timer)
{
    struct timespec at;
    connect_both();
    turn();
    int usual = waited_ms;
    clock_gettime(CLOCK_REALTIME, &at);
    uint64_t now_us = (uint64_t)at.tv_sec * 1000000 + (uint64_t)at.tv_nsec / 1000;
    fake_wake_us = now_us + 60 * 1000000;
    turn();
    cr_expect_eq(waited_ms, usual);
    fake_wake_us = now_us + 400000;
    turn();
    cr_expect(waited_ms > 0 && waited_ms <= 400);
    cr_expect_eq(fake_inputs[INPUT_CHORE], 0);
    fake_wake_us = now_us;
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    turn();
    cr_expect_eq(waited_ms, 0);
    cr_expect_eq(fake_inputs[INPUT_CHORE], 1, "also when there is something to take in");
    turn();
    cr_expect_eq(waited_ms, usual);
    cr_expect_eq(fake_inputs[INPUT_CHORE], 1);
}

/* ---- B6: before the disk is full ---- */

/* The error of the FAILED that went to ROUTE; 0: none did. */
static uint64_t failed_with(uint8_t route)
{
    for (size_t i = 0; i < sent_count; i++) {
        msg_t msg;
        if (sent[i].route != route || msg_decode(blob_bin(sent[i].frame), &msg)) continue;
        uint64_t error = msg.tag == TAG_failed ? msg.body.failed.error : 0;
        bool mine = error && msg.body.failed.request.b[0] == 7;
        msg_clear(&msg);
        if (mine) return error;
    }
    return 0;
}

static const msg_bundle_put_t bundle_put = {
    .request = {{7}}, .total = 3, .data = {(void *)"abc", 3}};

Test(turn, with_little_room_clients_may_not_make_the_state_larger)
{
    connect_both();
    disk_free = 99; /* of 1000, under a tenth */
    arrive(DOOR_CLIENTS, 20, 0, TAG_bundle_put, &bundle_put);
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    turn();
    cr_expect_eq(failed_with(20), ERR_STORE_LOW);
    cr_expect_eq(count_sent(20, TAG_done), 1, "what makes it smaller is done");
    cr_expect_eq(count_sent(10, TAG_pong), 1, "hosts are heard");
    forget_sent();

    disk_free = 110; /* not a quarter more than a tenth */
    arrive(DOOR_CLIENTS, 20, 0, TAG_bundle_put, &bundle_put);
    turn();
    cr_expect_eq(failed_with(20), ERR_STORE_LOW);
    forget_sent();
    disk_free = 126;
    arrive(DOOR_CLIENTS, 20, 0, TAG_bundle_put, &bundle_put);
    turn();
    cr_expect_eq(failed_with(20), ERR_BAD_VALUE, "it is looked at again, and has no name");
}

Test(turn, with_less_room_hosts_and_timers_wait_and_nobody_is_lost)
{
    connect_both();
    disk_free = 49;
    fake_wake_us = 1; /* long due */
    turn();
    unsigned chores = fake_inputs[INPUT_CHORE];
    arrive(DOOR_CLIENTS, 20, 0, TAG_ping, &ping);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    for (int i = 0; i < 100; i++) {
        turn();
        cr_expect_gt(waited_ms, 0, "not a loop that never waits");
        now += 1000;
    }
    cr_expect_eq(count_sent(20, TAG_pong), 1, "clients are answered");
    cr_expect_eq(count_sent(10, TAG_pong), 0);
    cr_expect_gt(count_sent(10, TAG_ping), 20, "the host hears that we live");
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 0, "what we do not listen to is no silence");
    cr_expect_eq(fake_inputs[INPUT_CHORE], chores);

    disk_free = 500;
    turn();
    turn();
    cr_expect_eq(count_sent(10, TAG_pong), 1);
    cr_expect_gt(fake_inputs[INPUT_CHORE], chores);
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 0);
}

/* ---- B1, B3: the gate ---- */

Test(turn, while_the_commit_blocks_nothing_leaves_and_nothing_is_taken_in)
{
    connect_both();
    gate_says = GATE_NOT_YET;
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    turn();
    unsigned taken = takes;
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    for (int i = 0; i < 100; i++) turn();
    cr_expect_eq(sent_count, 0, "zero frames and zero replies");
    cr_expect_eq(takes, taken);

    gate_says = GATE_DONE;
    turn();
    cr_expect_eq(count_sent(20, TAG_done), 1);
    cr_expect_eq(count_sent(10, TAG_vat_end), 1);
    cr_expect_eq(count_sent(10, TAG_pong), 1, "the second PING comes with the next batch");
    turn();
    cr_expect_eq(count_sent(10, TAG_pong), 2);
}

Test(turn, a_full_disk_is_waited_for)
{
    connect_both();
    gate_says = GATE_FULL;
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    uint64_t before = now;
    for (int i = 0; i < 50; i++) turn();
    cr_expect_eq(sent_count, 0);
    cr_expect_gt(now - before, 40000, "with back-off: 50 tries in %d ms", (int)(now - before));
    gate_says = GATE_DONE;
    turn();
    cr_expect_eq(count_sent(20, TAG_done), 1);
}

Test(turn, a_commit_that_fails_ends_the_turn_with_an_error_and_nothing_has_left)
{
    connect_both();
    gate_says = GATE_BROKEN;
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    err_t err = broker_turn(broker, 1000);
    cr_expect_eq(err, ERR_STORE);
    cr_expect_neq(err_row(err)->exit, 0);
    cr_expect_eq(sent_count, 0);
}

Test(turn, what_changes_nothing_needs_no_commit)
{
    connect_both();
    uint64_t before = appended;
    gate_says = GATE_BROKEN; /* it would show */
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    turn();
    cr_expect_eq(count_sent(10, TAG_pong), 1);
    cr_expect_eq(appended, before);
}

Test(turn, everything_that_arrived_is_one_commit)
{
    connect_both();
    uint64_t before = appended;
    for (int i = 0; i < 20; i++) arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    turn();
    cr_expect_eq(count_sent(20, TAG_done), 20);
    cr_expect_eq(appended, before + 1);
}

/* ---- B2: who sent it ---- */

Test(turn, a_frame_without_a_session_needs_hello)
{
    arrive(DOOR_HOSTS, 11, 2, TAG_ping, &ping);
    arrive(DOOR_CLIENTS, 21, 0, TAG_kill, &kill_it);
    turn();
    cr_expect_eq(refused(11), ERR_NEED_HELLO);
    cr_expect_eq(refused(21), ERR_NEED_HELLO);
    cr_expect_eq(fake_inputs[INPUT_CLIENT], 0);
}

Test(turn, the_newest_session_of_a_key_wins)
{
    connect_both();
    arrive(DOOR_HOSTS, 12, 1, TAG_hello, &hello);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    arrive(DOOR_HOSTS, 12, 1, TAG_ping, &ping);
    turn();
    cr_expect_eq(count_sent(12, TAG_welcome), 1);
    cr_expect_eq(refused(10), ERR_STALE_SESSION);
    cr_expect_eq(count_sent(12, TAG_pong), 1);
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1, "the older one ended first");
}

/* Whoever gets hold of a route does not get the session that was there. */
Test(turn, a_hello_of_another_key_on_a_route_ends_the_session_there)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 2, TAG_hello, &hello);
    turn();
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1, "the kernel hears that host 1 is gone");
    cr_expect_eq(count_sent(10, TAG_welcome), 1);
}

Test(turn, a_route_with_another_key_is_another_peer)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 2, TAG_ping, &ping);
    turn();
    cr_expect_eq(refused(10), ERR_NEED_HELLO);
}

Test(turn, a_revoked_key_is_refused_and_its_session_ends)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping)->admitted = false;
    turn();
    cr_expect_eq(refused(10), ERR_KEY_REFUSED);
    cr_expect_eq(count_sent(10, TAG_pong), 0);
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1);
}

/* Vats are placed by a host's name: it is the operator's, and the host's own only when there is none. */
Test(turn, a_host_has_the_name_of_the_allow_list)
{
    msg_hello_t named = hello;
    named.name = text_of("db");
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &named);
    turn();
    cr_expect_str_eq(fake_name, "db");
    operators_name = "west";
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &named);
    turn();
    cr_expect_str_eq(fake_name, "west");
}

Test(turn, a_hello_that_is_not_welcome_hears_why)
{
    msg_hello_t future = hello;
    future.proto_min = future.proto_max = 99;
    arrive(DOOR_HOSTS, 13, 3, TAG_hello, &future);
    arrive(DOOR_HOSTS, 13, 3, TAG_ping, &ping);
    arrive(DOOR_CLIENTS, 22, 0, TAG_client_hello, &(msg_client_hello_t){99, 99});
    turn();
    cr_expect_eq(refused(13), ERR_PROTOCOL_RANGE);
    cr_expect_eq(count_sent(13, TAG_pong), 0);
    cr_expect_eq(refused(22), ERR_PROTOCOL_RANGE);
}

Test(turn, bad_frames_hurt_nobody_but_their_sender)
{
    connect_both();
    arrival_t *garbage = arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    blob_destroy(&garbage->frame);
    garbage->frame = blob_new("\xc1\xc1", 2);
    arrival_t *empty = arrive(DOOR_CLIENTS, 20, 0, TAG_ping, &ping);
    blob_destroy(&empty->frame);
    empty->frame = blob_new("", 0);
    arrival_t *large = arrive(DOOR_HOSTS, 14, 4, TAG_ping, &ping);
    blob_destroy(&large->frame);
    large->too_large = true;
    arrive(DOOR_HOSTS, 10, 1, TAG_kill, &kill_it); /* a client's frame from a host */
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    turn();
    cr_expect_neq(refused(10), 0);
    cr_expect_neq(refused(20), 0);
    cr_expect_eq(refused(14), ERR_WIRE_LIMIT);
    cr_expect_eq(count_sent(10, TAG_refuse), 2);
    cr_expect_eq(count_sent(20, TAG_done), 1);
}

Test(turn, a_refusal_is_never_refused)
{
    arrive(DOOR_HOSTS, 15, 5, TAG_refuse, &(msg_refuse_t){ERR_NEED_HELLO, TAG_ping, {"", 0}});
    arrive(DOOR_CLIENTS, 25, 0, TAG_refuse, &(msg_refuse_t){ERR_NEED_HELLO, TAG_ping, {"", 0}});
    turn();
    cr_expect_eq(sent_count, 0);
}

/* ---- links ---- */

Test(turn, a_silent_host_is_gone_and_an_idle_link_beats)
{
    connect_both();
    now += LINK_BEAT_MS + 300;
    turn();
    cr_expect_eq(count_sent(10, TAG_ping), 1);
    arrive(DOOR_HOSTS, 10, 1, TAG_pong, &(msg_pong_t){5});
    turn();
    now += LINK_LOST_MS - 300;
    turn();
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 0);
    now += 700;
    turn();
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1);
    forget_sent();
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    turn();
    cr_expect_eq(refused(10), ERR_NEED_HELLO);
}

Test(turn, a_revoked_host_is_gone_without_a_word_from_it)
{
    connect_both();
    revoked_key = 1;
    now += 300;
    turn();
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1);
    forget_sent();
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    turn();
    cr_expect_eq(count_sent(10, TAG_vat_end), 0, "nor is it sent anything");
}

Test(turn, a_client_that_cannot_be_sent_to_is_gone)
{
    connect_both();
    gone_route = 20;
    now += LINK_LOST_MS + 300;
    arrive(DOOR_HOSTS, 10, 1, TAG_pong, &(msg_pong_t){5});
    turn();
    turn();
    cr_expect_eq(fake_inputs[INPUT_CLIENT_GONE], 1);
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 0);
}

/* ---- B5: what the shell answers ---- */

Test(turn, events_go_to_those_who_watch)
{
    connect_both();
    arrive(DOOR_CLIENTS, 21, 0, TAG_client_hello, &client_hello);
    arrive(DOOR_CLIENTS, 21, 0, TAG_watch, &(msg_watch_t){{{1}}, 1, 0});
    arrive(DOOR_CLIENTS, 22, 0, TAG_client_hello, &client_hello);
    arrive(DOOR_CLIENTS, 22, 0, TAG_watch, &(msg_watch_t){{{1}}, 0, 1});
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    turn();
    cr_expect_eq(count_sent(21, TAG_event), 1);
    cr_expect_eq(count_sent(22, TAG_event), 0, "it watches something else");
    cr_expect_eq(count_sent(20, TAG_event), 0);
    cr_expect_eq(fake_watched, TOPIC_CONSOLE | TOPIC_TRAFFIC);
    gone_route = 21;
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    turn();
    turn();
    cr_expect_eq(fake_watched, TOPIC_TRAFFIC, "nobody watches the console any more");
}

/* The one TRACE_ROW that went to ROUTE; its durable_us. */
static uint64_t durable_told(uint8_t route)
{
    uint64_t ret = 0;
    msg_t msg, row;
    for (size_t i = 0; i < sent_count; i++) {
        if (sent[i].route != route || msg_decode(blob_bin(sent[i].frame), &msg)) continue;
        if (msg.tag == TAG_rows) {
            bin_t rest = msg.body.rows.rows;
            cr_assert_eq(msg_next(&rest, &row), ERR_OK);
            cr_assert_eq(row.tag, TAG_trace_row);
            ret = row.body.trace_row.durable_us;
            msg_clear(&row);
        }
        msg_clear(&msg);
    }
    return ret;
}

Test(turn, what_happened_is_told_when_it_is_durable)
{
    connect_both();
    cr_assert_eq(fake_traced_below, TRACES_ALL);
    msg_event_t event = {.type = text_of("send"), .trace = {{7}}, .time_us = 1};
    msg_trace_t trace = {.request = {{4}}, .trace = {{7}}};
    gate_says = GATE_NOT_YET;
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    fake_trace_take(fake_trace_context, TOPIC_TRAFFIC, &event);
    arrive(DOOR_CLIENTS, 20, 0, TAG_trace, &trace);
    turn();
    cr_expect_eq(sent_count, 0, "what is not durable is told to nobody");
    gate_says = GATE_DONE;
    turn();
    cr_expect_eq(count_sent(20, TAG_rows), 1);
    forget_sent();
    arrive(DOOR_CLIENTS, 20, 0, TAG_trace, &trace);
    turn();
    cr_expect_gt(durable_told(20), 1000000, "and later it says since when it is");
    forget_sent();
    arrive(DOOR_CLIENTS, 20, 0, TAG_trace, &(msg_trace_t){.request = {{4}}, .trace = {{8}}});
    turn();
    cr_expect_eq(count_sent(20, TAG_failed), 1);
}

Test(turn, a_launch_whose_bundle_is_not_here_fails_before_the_kernel_sees_it)
{
    connect_both();
    buf_t vats = buf_of(10000);
    msg_launch_vat_t vat = {.name = text_of("alice"), .bundle = text_of("b1-none")};
    cr_assert_eq(msg_encode(TAG_launch_vat, &vat, &vats), ERR_OK);
    msg_launch_t launch = {.request = {{4}}, .name = text_of("c"), .vats = {vats.at, vats.len}};
    arrive(DOOR_CLIENTS, 20, 0, TAG_launch, &launch);
    buf_clear(&vats);
    turn();
    cr_assert_eq(sent_count, 1);
    msg_t msg;
    cr_assert_eq(msg_decode(blob_bin(sent[0].frame), &msg), ERR_OK);
    cr_expect_eq(msg.tag, TAG_failed);
    cr_expect_eq(msg.body.failed.error, ERR_BUNDLE_UNKNOWN);
    cr_assert_geq(msg.body.failed.what.len, 9);
    cr_expect_eq(memcmp(msg.body.failed.what.at, "vat alice", 9), 0, "it names the vat");
    msg_clear(&msg);
    cr_expect_eq(fake_inputs[INPUT_CLIENT], 0);
}

Test(turn, bundles_that_are_not_here_have_a_total_of_zero)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 1, TAG_bundle_get, &(msg_bundle_get_t){text_of("b1-none"), 0});
    arrive(DOOR_CLIENTS, 20, 0, TAG_bundle_have, &(msg_bundle_have_t){{{1}}, text_of("b1-none")});
    uint8_t byte = 1;
    arrive(DOOR_CLIENTS, 20, 0, TAG_bundle_put,
           &(msg_bundle_put_t){{{2}}, text_of("b1-none"), 0, 1, {&byte, 1}});
    turn();
    cr_expect_eq(count_sent(10, TAG_bundle_part), 1);
    cr_expect_eq(count_sent(20, TAG_bundle_part), 1);
    cr_expect_eq(count_sent(20, TAG_failed), 1);
}

/* ---- rows of the log ---- */

static void add_log(record_t *record, uint64_t d, uint64_t outcome)
{
    static uint8_t bytes[32] = {1, 2, 3};
    row_t row = {.table = ROW_log};
    row.body.log.vat = 3;
    row.body.log.d = d;
    row.body.log.outcome = outcome;
    row.body.log.delivery = (bin_t){bytes, 10 + d};
    row.body.log.result_hash = (bin_t){bytes, outcome ? 32 : 0};
    row.body.log.trace = (bin_t){bytes, 16};
    record_add(record, &row);
}

Test(turn, history_is_read_back_from_the_store_with_its_verdict)
{
    gate_t real = store_gate(store);
    record_t record = {0};
    uint64_t seq;
    record_begin(&record, 1);
    add_log(&record, 1, 1);
    add_log(&record, 2, 2);
    add_log(&record, 3, 0);
    record_end(&record);
    cr_assert_eq(real.append(real.self, &record), ERR_OK);
    cr_assert_eq(real.durable(real.self, &seq), ERR_OK);
    record_clear(&record);

    connect_both();
    arrive(DOOR_HOSTS, 10, 1, TAG_attach, &(msg_attach_t){.vat = {3}});
    turn();
    cr_assert_eq(count_sent(10, TAG_deliver), 3);
    for (uint64_t d = 1; d <= 3; d++) {
        msg_t msg;
        cr_assert_eq(msg_decode(blob_bin(sent[d - 1].frame), &msg), ERR_OK);
        const msg_deliver_t *deliver = &msg.body.deliver;
        cr_expect_eq(deliver->d, d);
        cr_expect_eq(deliver->verdict, d % 3, "1 replay, 2 skip, 0 live");
        cr_expect_eq(deliver->run, 7);
        cr_expect_eq(deliver->applied, 2);
        cr_expect_eq(deliver->durable, 3);
        cr_expect_eq(deliver->expect.b[1], d < 3 ? 2 : 0);
        cr_expect_eq(deliver->trace.b[2], 3);
        cr_expect_eq(deliver->delivery.len, 10 + d);
        msg_clear(&msg);
    }
}

/* Asks for rows FIRST to LAST of v4: how many come, of which the first is FIRST; NEXT is where to go on. */
static size_t ask_history(uint64_t first, uint64_t last, uint64_t *ret_next)
{
    size_t count = 0, before = sent_count;
    arrive(DOOR_CLIENTS, 20, 0, TAG_log_get, &(msg_log_get_t){{{9}}, {4}, first, last});
    turn();
    cr_assert_eq(sent_count, before + 1);
    msg_t msg, row;
    cr_assert_eq(msg_decode(blob_bin(sent[before].frame), &msg), ERR_OK);
    cr_assert_eq(msg.tag, TAG_rows);
    bin_t rest = msg.body.rows.rows;
    cr_assert(rest.len && rest.at[0] == 0xc0, "what the kernel said comes first");
    rest.at++;
    rest.len--;
    while (rest.len > 0) {
        cr_assert_eq(msg_next(&rest, &row), ERR_OK);
        cr_assert_eq(row.tag, TAG_log_row);
        cr_expect_eq(row.body.log_row.d, first + count);
        cr_expect_eq(row.body.log_row.verdict, 1);
        cr_expect_eq(row.body.log_row.attempts, 2);
        count++;
        msg_clear(&row);
    }
    *ret_next = msg.body.rows.next;
    msg_clear(&msg);
    return count;
}

static void add_large(record_t *record, uint64_t d, uint8_t *bytes, size_t delivery, size_t calls)
{
    row_t row = {.table = ROW_log};
    row.body.log = (row_log_t){.vat = 4, .d = d, .outcome = 1, .attempts = 2};
    row.body.log.delivery = (bin_t){bytes, delivery};
    row.body.log.calls = (bin_t){bytes, calls};
    record_add(record, &row);
}

Test(turn, a_log_is_told_in_pages)
{
    uint64_t seq, next;
    gate_t real = store_gate(store);
    record_t record = {0};
    uint8_t *bytes = calloc(1, 30u << 20);
    cr_assert(bytes);
    record_begin(&record, 1);
    for (uint64_t d = 1; d <= 1500; d++) add_large(&record, d, bytes, 10, 10);
    for (uint64_t d = 1501; d <= 1503; d++) add_large(&record, d, bytes, 3u << 20, 10);
    add_large(&record, 1504, bytes, 30u << 20, 30u << 20);
    add_large(&record, 1505, bytes, 10, 10);
    record_end(&record);
    cr_assert_eq(real.append(real.self, &record), ERR_OK);
    cr_assert_eq(real.durable(real.self, &seq), ERR_OK);
    record_clear(&record);
    free(bytes);

    connect_both();
    cr_expect_eq(ask_history(1, 1505, &next), 1000);
    cr_expect_eq(next, 1001);
    cr_expect_eq(ask_history(1001, 1505, &next), 502, "more than 4 MiB is a page");
    cr_expect_eq(next, 1503);
    cr_expect_eq(ask_history(1503, 1505, &next), 1, "the next one does not fit behind it");
    cr_expect_eq(next, 1504);
    cr_expect_eq(ask_history(1504, 1505, &next), 1,
                 "not even into a frame of its own, with its calls");
    cr_expect_eq(next, 1505);
    cr_expect_eq(ask_history(1505, 1505, &next), 1);
    cr_expect_eq(next, 0);
    cr_expect_eq(ask_history(1506, 1505, &next), 0);
}

Test(turn, a_client_that_asks_for_the_end_hears_that_it_comes)
{
    connect_both();
    arrive(DOOR_CLIENTS, 20, 0, TAG_shutdown, &(msg_shutdown_t){{{8}}});
    turn();
    cr_expect_eq(count_sent(20, TAG_done), 1);
    cr_expect(broker_stopped(broker));
}

/* ---- STATS ---- */

/* The value of a STAT_ROW in the last ROWS that went to ROUTE; UINT64_MAX: there is none. HISTS: how many
 * HIST_ROWs there are. */
static uint64_t stat(uint8_t route, const char *name, const char *of, size_t *ret_hists)
{
    uint64_t value = UINT64_MAX;
    *ret_hists = 0;
    for (size_t i = 0; i < sent_count; i++) {
        msg_t msg, row;
        if (sent[i].route != route || msg_decode(blob_bin(sent[i].frame), &msg)) continue;
        bin_t rest = msg.tag == TAG_rows ? msg.body.rows.rows : (bin_t){0};
        while (rest.len && !msg_next(&rest, &row)) {
            const msg_stat_row_t *stat = &row.body.stat_row;
            *ret_hists += row.tag == TAG_hist_row;
            if (row.tag == TAG_stat_row && stat->name.len == strlen(name) &&
                memcmp(stat->name.at, name, stat->name.len) == 0 && stat->of.len == strlen(of) &&
                memcmp(stat->of.at, of, stat->of.len) == 0)
                value = stat->value;
            msg_clear(&row);
        }
        msg_clear(&msg);
    }
    return value;
}

Test(turn, stats_say_what_came_and_what_left)
{
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &hello);
    arrive(DOOR_CLIENTS, 20, 0, TAG_client_hello, &client_hello);
    turn();
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &ping);
    arrive(DOOR_HOSTS, 11, 2, TAG_ping, &ping); /* no session: NEED_HELLO */
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &kill_it);
    turn();
    size_t hists, to_hosts = 0;
    for (size_t i = 0; i < sent_count; i++) to_hosts += sent[i].door == DOOR_HOSTS;
    cr_expect_geq(to_hosts, 3);
    arrive(DOOR_CLIENTS, 20, 0, TAG_stats, &(msg_stats_t){.request = {{4}}});
    turn();
    cr_expect_eq(stat(20, "frames_in", "hosts", &hists), 3);
    cr_expect_eq(stat(20, "frames_out", "hosts", &hists), to_hosts);
    cr_expect_eq(stat(20, "frames_in", "clients", &hists), 3, "and this request");
    cr_expect_eq(stat(20, "host_frames_in", "h1", &hists), 1, "the HELLO was nobody's yet");
    cr_expect_eq(stat(20, "frames_refused", "", &hists), 1);
    cr_expect_eq(stat(20, "deliveries", "message", &hists), 7, "the kernel's own");
    cr_expect_eq(stat(20, "disk_free", "", &hists), disk_free << 20);
    cr_expect_eq(stat(20, "disk_size", "", &hists), disk_total << 20);
    cr_expect_eq(stat(20, "disk_level", "", &hists), 0);
    cr_expect_geq(stat(20, "commits", "", &hists), 1);
    cr_expect_eq(hists, 0);
    forget_sent();

    arrive(DOOR_CLIENTS, 20, 0, TAG_stats, &(msg_stats_t){.request = {{5}}, .hists = 1});
    turn();
    stat(20, "", "", &hists);
    cr_expect_eq(hists, 6);
}

/* ---- newcomers ---- */

static const msg_join_t join = {{{4}}, {{77}}, {"new", 3}};

static void arrive_joining(msg_tag_t tag, const void *body)
{
    arrival_t *arrival = arrive(DOOR_HOSTS, 10, 9, tag, body);
    arrival->admitted = false;
    arrival->joins = true;
}

Test(turn, a_newcomer_joins_and_is_told_behind_the_commit)
{
    gate_says = GATE_NOT_YET;
    arrive(DOOR_HOSTS, 11, 1, TAG_hello, &hello);
    arrive_joining(TAG_join, &join);
    turn();
    cr_expect_eq(count_sent(10, TAG_joined), 0);
    gate_says = GATE_DONE;
    turn();
    cr_expect_eq(count_sent(10, TAG_joined), 1);
    cr_expect_eq(admitted_key.b[0], 77);
}

Test(turn, with_a_join_key_nothing_else_is_taken)
{
    arrive_joining(TAG_hello, &hello);
    turn();
    cr_expect_eq(refused(10), ERR_KEY_REFUSED);
    cr_expect_eq(count_sent(10, TAG_welcome), 0);
    forget_sent();
    arrive_joining(TAG_ping, &ping);
    turn();
    cr_expect_eq(refused(10), ERR_KEY_REFUSED);
}

Test(turn, a_newcomer_is_told_when_the_list_cannot_be_written)
{
    admit_says = ERR_STORE_FULL;
    arrive_joining(TAG_join, &join);
    turn();
    cr_expect_eq(refused(10), ERR_STORE_FULL);
    cr_expect_eq(count_sent(10, TAG_joined), 0);
}

Test(turn, a_host_does_not_join)
{
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &hello);
    arrive(DOOR_HOSTS, 10, 1, TAG_join, &join);
    turn();
    cr_expect_eq(refused(10), ERR_WIRE_TURN);
    cr_expect_eq(admitted_key.b[0], 0);
}
