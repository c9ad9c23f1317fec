/* The rules of broker.h about one turn: what is taken in, when it is committed, what leaves and when (B1, B3, B6).
 *
 * Method: turn_rig.h. What left is read from the port, so "zero frames" is counted, not assumed. */
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "tests/unit/broker/fake_kernel.h"
#include "tests/unit/broker/turn_rig.h"

TestSuite(turn, .init = turn_set_up, .fini = turn_tear_down, .timeout = 60);

/* The log names every finding, and the program says the first. */
Test(turn, rows_that_contradict_each_other_are_named)
{
    fake_damaged = true;
    broker_options_t options = turn_options();
    broker_t *other = broker_new(&options);
    cr_expect_eq(broker_load(other), ERR_STORE_DAMAGED);
    cr_expect_not_null(strstr(broker_why(other), "K5: ko1.1"), "%s", broker_why(other));
    broker_destroy(&other);
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
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
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
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
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
    arrive(DOOR_CLIENTS, 20, 0, TAG_ping, &a_ping);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
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
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
    turn();
    unsigned taken = takes;
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
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
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
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
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
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
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
    turn();
    cr_expect_eq(count_sent(10, TAG_pong), 1);
    cr_expect_eq(appended, before);
}

Test(turn, everything_that_arrived_is_one_commit)
{
    connect_both();
    uint64_t before = appended;
    for (int i = 0; i < 20; i++) arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    turn();
    cr_expect_eq(count_sent(20, TAG_done), 20);
    cr_expect_eq(appended, before + 1);
}
