/* The rules of broker.h about who is at the other end (B2): sessions, keys, links that are silent, newcomers.
 *
 * Method: turn_rig.h. What left is read from the port, so "zero frames" is counted, not assumed. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/broker/fake_kernel.h"
#include "tests/unit/broker/turn_rig.h"
#include "wire/base/hash.h"

TestSuite(session, .init = turn_set_up, .fini = turn_tear_down, .timeout = 60);

/* ---- B2: who sent it ---- */

Test(session, a_frame_without_a_session_needs_hello)
{
    arrive(DOOR_HOSTS, 11, 2, TAG_ping, &a_ping);
    arrive(DOOR_CLIENTS, 21, 0, TAG_kill, &a_kill);
    turn();
    cr_expect_eq(refused(11), ERR_NEED_HELLO);
    cr_expect_eq(refused(21), ERR_NEED_HELLO);
    cr_expect_eq(fake_inputs[INPUT_CLIENT], 0);
}

Test(session, the_newest_session_of_a_key_wins)
{
    connect_both();
    arrive(DOOR_HOSTS, 12, 1, TAG_hello, &a_hello);
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
    arrive(DOOR_HOSTS, 12, 1, TAG_ping, &a_ping);
    turn();
    cr_expect_eq(count_sent(12, TAG_welcome), 1);
    cr_expect_eq(refused(10), ERR_STALE_SESSION);
    cr_expect_eq(count_sent(12, TAG_pong), 1);
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1, "the older one ended first");
}

/* Whoever gets hold of a route does not get the session that was there. */
Test(session, a_hello_of_another_key_on_a_route_ends_the_session_there)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 2, TAG_hello, &a_hello);
    turn();
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1, "the kernel hears that host 1 is gone");
    cr_expect_eq(count_sent(10, TAG_welcome), 1);
}

Test(session, a_route_with_another_key_is_another_peer)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 2, TAG_ping, &a_ping);
    turn();
    cr_expect_eq(refused(10), ERR_NEED_HELLO);
}

Test(session, a_revoked_key_is_refused_and_its_session_ends)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping)->admitted = false;
    turn();
    cr_expect_eq(refused(10), ERR_KEY_REFUSED);
    cr_expect_eq(count_sent(10, TAG_pong), 0);
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1);
}

/* Vats are placed by a host's name: it is the operator's, and the host's own only when there is none. */
Test(session, a_host_has_the_name_of_the_allow_list)
{
    msg_hello_t named = a_hello;
    named.name = text_of("db");
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &named);
    turn();
    cr_expect_str_eq(fake_name, "db");
    operators_name = "west";
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &named);
    turn();
    cr_expect_str_eq(fake_name, "west");
}

Test(session, a_hello_that_is_not_welcome_hears_why)
{
    msg_hello_t future = a_hello;
    future.proto_min = future.proto_max = 99;
    arrive(DOOR_HOSTS, 13, 3, TAG_hello, &future);
    arrive(DOOR_HOSTS, 13, 3, TAG_ping, &a_ping);
    arrive(DOOR_CLIENTS, 22, 0, TAG_client_hello, &(msg_client_hello_t){99, 99});
    turn();
    cr_expect_eq(refused(13), ERR_PROTOCOL_RANGE);
    cr_expect_eq(count_sent(13, TAG_pong), 0);
    cr_expect_eq(refused(22), ERR_PROTOCOL_RANGE);
}

Test(session, bad_frames_hurt_nobody_but_their_sender)
{
    connect_both();
    arrival_t *garbage = arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
    blob_destroy(&garbage->frame);
    garbage->frame = blob_new("\xc1\xc1", 2);
    arrival_t *empty = arrive(DOOR_CLIENTS, 20, 0, TAG_ping, &a_ping);
    blob_destroy(&empty->frame);
    empty->frame = blob_new("", 0);
    arrival_t *large = arrive(DOOR_HOSTS, 14, 4, TAG_ping, &a_ping);
    blob_destroy(&large->frame);
    large->too_large = true;
    arrive(DOOR_HOSTS, 10, 1, TAG_kill, &a_kill); /* a client's frame from a host */
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    turn();
    cr_expect_neq(refused(10), 0);
    cr_expect_neq(refused(20), 0);
    cr_expect_eq(refused(14), ERR_WIRE_LIMIT);
    cr_expect_eq(count_sent(10, TAG_refuse), 2);
    cr_expect_eq(count_sent(20, TAG_done), 1);
}

Test(session, a_refusal_is_never_refused)
{
    arrive(DOOR_HOSTS, 15, 5, TAG_refuse, &(msg_refuse_t){ERR_NEED_HELLO, TAG_ping, {"", 0}});
    arrive(DOOR_CLIENTS, 25, 0, TAG_refuse, &(msg_refuse_t){ERR_NEED_HELLO, TAG_ping, {"", 0}});
    turn();
    cr_expect_eq(sent_count, 0);
}

/* ---- links ---- */

Test(session, a_silent_host_is_gone_and_an_idle_link_beats)
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
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
    turn();
    cr_expect_eq(refused(10), ERR_NEED_HELLO);
}

Test(session, a_revoked_host_is_gone_without_a_word_from_it)
{
    connect_both();
    revoked_key = 1;
    now += 300;
    turn();
    cr_expect_eq(fake_inputs[INPUT_HOST_GONE], 1);
    forget_sent();
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    turn();
    cr_expect_eq(count_sent(10, TAG_vat_end), 0, "nor is it sent anything");
}

Test(session, a_client_that_cannot_be_sent_to_is_gone)
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

/* ---- newcomers ---- */

static const msg_join_t join = {{{4}}, {{77}}, {"new", 3}};

static arrival_t *arrive_joining(msg_tag_t tag, const void *body)
{
    arrival_t *arrival = arrive(DOOR_HOSTS, 10, 9, tag, body);
    arrival->admitted = false;
    arrival->joins = true;
    return arrival;
}

/* Another newcomer, on a route of its own. */
static void arrive_one_more(uint16_t n)
{
    msg_join_t one = join;
    one.key.b[1] = (uint8_t)n;
    one.key.b[2] = (uint8_t)(n >> 8);
    arrival_t *arrival = arrive_joining(TAG_join, &one);
    arrival->route = (route_t){3, {(uint8_t)(n >> 8 ? 12 : 11), (uint8_t)n, 0}};
}

Test(session, a_newcomer_joins_and_is_told_behind_the_commit)
{
    gate_says = GATE_NOT_YET;
    arrive(DOOR_HOSTS, 11, 1, TAG_hello, &a_hello);
    arrive_joining(TAG_join, &join);
    turn();
    cr_expect_eq(count_sent(10, TAG_joined), 0);
    gate_says = GATE_DONE;
    turn();
    cr_expect_eq(count_sent(10, TAG_joined), 1);
    cr_expect_eq(admitted_key.b[0], 77);
}

Test(session, newcomers_of_one_turn_share_one_write)
{
    for (uint16_t n = 1; n <= 40; n++) arrive_one_more(n);
    turn();
    cr_expect_eq(count_sent(11, TAG_joined), 40);
    cr_expect_eq(admits, 1);
}

/* Who says JOIN as often as it can costs the disk ten syncs a second, and no more. */
Test(session, between_two_writes_of_the_list_is_a_pause)
{
    arrive_one_more(1);
    turn();
    cr_expect_eq(count_sent(11, TAG_joined), 1);
    uint64_t began = now;
    for (uint16_t n = 2; n < 202; n++) {
        arrive_one_more(n);
        turn();
        now += 5;
    }
    cr_expect_eq(now - began, 1000);
    cr_expect_eq(admits, 10, "%u", admits);
    arrive_one_more(202);
    turn();
    cr_expect_geq(count_sent(11, TAG_joined), 200);
}

Test(session, who_waits_for_its_place_does_not_wait_for_a_message)
{
    connect_both();
    arrive_one_more(1);
    turn();
    arrive_one_more(2);
    turn();
    cr_expect_eq(count_sent(11, TAG_joined), 1);
    turn();
    cr_expect(waited_ms > 0 && waited_ms <= 100, "%d", waited_ms);
    now += 100;
    turn();
    cr_expect_eq(waited_ms, 0);
    cr_expect_eq(count_sent(11, TAG_joined), 2);
}

/* It keeps nobody else out, and one line is written for it each time. */
Test(session, of_one_connection_the_last_join_counts)
{
    arrive_one_more(1);
    turn();
    msg_join_t one = join;
    for (uint8_t n = 10; n < 60; n++) {
        one.key.b[1] = n;
        arrive_joining(TAG_join, &one);
    }
    turn();
    now += 100;
    turn();
    cr_expect_eq(count_sent(10, TAG_joined), 1);
    cr_expect(on_list[59] && !on_list[10] && !on_list[58]);
}

Test(session, more_newcomers_than_may_wait_are_told_to_come_again)
{
    arrive_one_more(500);
    turn();
    for (uint16_t n = 0; n <= 256; n++) arrive_one_more(n);
    turn();
    cr_expect_eq(refused(12), ERR_JOINS_WAIT);
    cr_expect_eq(refused(11), 0);
    now += 100;
    turn();
    cr_expect_eq(count_sent(11, TAG_joined), 256);
    forget_sent();
    arrive_one_more(256);
    now += 100;
    turn();
    cr_expect_eq(count_sent(12, TAG_joined), 1);
}

/* The disk is not asked again for what is there: a host that missed its JOINED says JOIN again. */
Test(session, a_key_that_is_on_the_list_is_answered_at_once)
{
    for (int i = 0; i < 20; i++) {
        arrive_joining(TAG_join, &join);
        turn();
    }
    cr_expect_eq(count_sent(10, TAG_joined), 20);
    cr_expect_eq(admits, 1);
}

/* Its line is gone, so its own key is refused, and it comes with the join key. */
Test(session, who_is_gone_for_good_does_not_join_again)
{
    fake_disavowed = join.key;
    arrive_joining(TAG_join, &join);
    arrive_one_more(1);
    turn();
    cr_expect_eq(refused(10), ERR_HOST_DISAVOWED);
    cr_expect_eq(count_sent(11, TAG_joined), 1);
    cr_expect_not(*on_list);
}

/* Not before it is on the disk that they are: a host that lost its line and was not disavowed could not come back. */
Test(session, the_lines_of_those_that_are_gone_for_good_go_when_that_is_durable)
{
    connect_both();
    unsigned before = expels;
    fake_disavowed = join.key;
    gate_says = GATE_NOT_YET;
    arrive(DOOR_HOSTS, 11, 2, TAG_hello, &a_hello);
    arrive(DOOR_CLIENTS, 20, 0, TAG_host_change, &(msg_host_change_t){{{5}}, {1}, 3});
    turn();
    turn();
    cr_expect_eq(expels, before);
    gate_says = GATE_DONE;
    turn();
    turn();
    cr_expect_eq(expels, before + 1);
    cr_expect(hash_same(expelled, join.key));
    turn();
    cr_expect_eq(expels, before + 1);
}

/* No message says so: the kernel waited for long enough. */
Test(session, who_is_lost_loses_its_line_too)
{
    broker_destroy(&broker);
    broker_options_t options = turn_options();
    options.host_loss_us = 1000;
    broker = broker_new(&options);
    cr_assert_eq(broker_load(broker), ERR_OK);
    turn();
    unsigned before = expels;
    fake_disavowed = join.key;
    turn();
    cr_expect_eq(expels, before);
    fake_wake_us = 1;
    turn();
    turn();
    cr_expect_eq(expels, before + 1);
    cr_expect(hash_same(expelled, join.key));
    fake_wake_us = 1;
    turn();
    turn();
    cr_expect_eq(expels, before + 1, "it is known");
}

/* A disk that is full for a while, or for ever. */
Test(session, a_list_that_could_not_be_changed_is_tried_again_and_ever_less_often)
{
    connect_both();
    fake_disavowed = join.key;
    expel_says = ERR_STORE_FULL;
    unsigned before = expels;
    arrive(DOOR_CLIENTS, 20, 0, TAG_host_change, &(msg_host_change_t){{{5}}, {1}, 3});
    turn();
    turn();
    cr_expect_eq(expels, before + 1);
    cr_expect_leq(waited_ms, 1000);
    now += 999;
    turn();
    cr_expect_eq(expels, before + 1);
    cr_expect_leq(waited_ms, 1, "not longer than to the next try");
    for (uint64_t end = now + 3600 * 1000; now < end; now += 50) turn();
    cr_expect_geq(expels, before + 50);
    cr_expect_leq(expels, before + 70, "%u", expels - before);
    expel_says = ERR_OK;
    now += 64 * 1000;
    turn();
    before = expels;
    now += 3600 * 1000;
    turn();
    cr_expect_eq(expels, before);
}

/* Those that are gone make room, and who came in vain comes again. */
Test(session, a_list_that_is_full_is_looked_through)
{
    turn();
    fake_disavowed = (hash_t){{1}};
    unsigned before = expels;
    now += 1000;
    admit_says = ERR_HOSTS_FULL;
    arrive_joining(TAG_join, &join);
    turn();
    cr_expect_eq(refused(10), ERR_HOSTS_FULL);
    turn();
    cr_expect_eq(expels, before + 1);
    for (int i = 0; i < 9; i++) {
        now += 100;
        arrive_joining(TAG_join, &join);
        turn();
    }
    turn();
    cr_expect_eq(expels, before + 1, "once a second is enough");
}

Test(session, with_a_join_key_nothing_else_is_taken)
{
    arrive_joining(TAG_hello, &a_hello);
    turn();
    cr_expect_eq(refused(10), ERR_KEY_REFUSED);
    cr_expect_eq(count_sent(10, TAG_welcome), 0);
    forget_sent();
    arrive_joining(TAG_ping, &a_ping);
    turn();
    cr_expect_eq(refused(10), ERR_KEY_REFUSED);
}

Test(session, a_newcomer_is_told_when_the_list_cannot_be_written)
{
    admit_says = ERR_STORE_FULL;
    arrive_joining(TAG_join, &join);
    turn();
    cr_expect_eq(refused(10), ERR_STORE_FULL);
    cr_expect_eq(count_sent(10, TAG_joined), 0);
}

Test(session, a_host_does_not_join)
{
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &a_hello);
    arrive(DOOR_HOSTS, 10, 1, TAG_join, &join);
    turn();
    cr_expect_eq(refused(10), ERR_WIRE_TURN);
    cr_expect_eq(admitted_key.b[0], 0);
}
