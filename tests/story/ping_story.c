/* Messages and answers: the traces of two and three vats, line by line. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/world.h"

#define BOOT2 "message o+0 #[\"bootstrap\",[{\"alice\":\"$0.Alleged: vatRoot\",\"bob\":\"$1.Alleged: vatRoot\"},{}]] {o+0 o-50} p-60\n"

/* ---- ping: a call with an object, an answer ---- */

static void ping_alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                       engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "bootstrap")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"ping\",[\"$0.Alleged: thing\"]]", "o+1", "p+5"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+5"), ERR_OK);
    }
    if (delivery->tag == TAG_deliver_notify) {
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"done\"", ""), ERR_OK);
    }
}

static void ping_bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                     engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "ping")) {
        script_print(host, "ping came");
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"pong\"", ""), ERR_OK);
    }
}

Test(story_ping, a_call_and_its_answer)
{
    world_t *world = world_new(0);
    world_vat(world, "alice", ping_alice, NULL);
    world_vat(world, "bob", ping_bob, NULL);
    world_launch(world);
    world_settle(world);

    cr_assert_str_eq(world_launch_failure(world), "");
    cr_assert_str_eq(world_bootstrap(world), "ok #\"done\" {}");
    cr_assert_str_eq(world_heard(world, "alice"), "start #{} {}\n" BOOT2 "notify p+5 ok #\"pong\" {}\n");
    cr_assert_str_eq(world_heard(world, "bob"),
                     "start #{} {}\nmessage o+0 #[\"ping\",[\"$0.Alleged: thing\"]] {o-50} p-60\n");
    cr_assert_str_eq(world_console(world), "bob | ping came\n");

    /* The promise of the call is gone from everywhere; bootstrap's is what is left. */
    cr_assert_leq(world_rows(world, ROW_promise), 1);
    world_destroy(&world);
}

/* ---- pipelining: N messages to an answer that is not there yet ---- */

static void pipe_alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                       engine_report_t *ret)
{
    int n = *(const int *)context;
    char body[64], result[16];

    (void)ret;
    if (!script_method(delivery, "bootstrap")) return;
    cr_expect_eq(script_send(host, "o-50", "#[\"first\",[]]", "", "p+5"), ERR_OK);
    cr_expect_eq(script_subscribe(host, "p+5"), ERR_OK);
    for (int i = 1; i <= n; i++) {
        snprintf(body, sizeof body, "#[\"nth\",[%d]]", i);
        snprintf(result, sizeof result, "p+%d", 5 + i);
        cr_expect_eq(script_send(host, "p+5", body, "", result), ERR_OK);
        cr_expect_eq(script_subscribe(host, result), ERR_OK);
    }
    cr_expect_eq(script_resolve(host, "p-60", false, "#\"sent\"", ""), ERR_OK);
}

static void pipe_bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                     engine_report_t *ret)
{
    char result[32];

    (void)context, (void)ret;
    if (delivery->tag != TAG_deliver_message) return;
    snprintf(result, sizeof result, "%.*s", (int)delivery->result.s.len, delivery->result.s.at);
    if (script_method(delivery, "first")) {
        cr_expect_eq(script_resolve(host, result, false, "#\"$0.Alleged: thing\"", "o+7"), ERR_OK);
    } else {
        cr_expect_eq(script_resolve(host, result, false, "#true", ""), ERR_OK);
    }
}

static void pipeline(int n, unsigned seed)
{
    char alice[2048], bob[2048];
    int a = snprintf(alice, sizeof alice, "start #{} {}\n" BOOT2 "notify p+5 ok #\"$0.Alleged: thing\" {o-51}\n");
    int b = snprintf(bob, sizeof bob, "start #{} {}\nmessage o+0 #[\"first\",[]] {} p-60\n");
    for (int i = 1; i <= n; i++) {
        a += snprintf(alice + a, sizeof alice - (size_t)a, "notify p+%d ok #true {}\n", 5 + i);
        b += snprintf(bob + b, sizeof bob - (size_t)b, "message o+7 #[\"nth\",[%d]] {} p-%d\n", i, 60 + i);
    }

    world_t *world = world_new(seed);
    world_vat(world, "alice", pipe_alice, &n);
    world_vat(world, "bob", pipe_bob, NULL);
    world_launch(world);
    world_settle(world);
    cr_assert_str_eq(world_bootstrap(world), "ok #\"sent\" {}", "%d calls, seed %u", n, seed);
    cr_assert_str_eq(world_heard(world, "bob"), bob, "%d calls, seed %u", n, seed);
    cr_assert_str_eq(world_heard(world, "alice"), alice, "%d calls, seed %u", n, seed);
    cr_assert_leq(world_rows(world, ROW_promise), 1);
    world_destroy(&world);
}

Test(story_ping, messages_to_an_answer_keep_their_order)
{
    for (int n = 0; n <= 10; n++) {
        for (unsigned seed = 0; seed < 4; seed++) pipeline(n, seed);
    }
}

/* ---- introduction: alice tells bob about carol ---- */

static void intro_alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    (void)context, (void)ret;
    if (!script_method(delivery, "bootstrap")) return;
    cr_expect_eq(script_send(host, "o-50", "#[\"meet\",[\"$0\"]]", "o-51", ""), ERR_OK);
    cr_expect_eq(script_resolve(host, "p-60", false, "#\"introduced\"", ""), ERR_OK);
}

static void intro_bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                      engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "meet")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"hi\",[\"$0\"]]", "o+0", ""), ERR_OK);
    }
}

static void intro_carol(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "hi")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"hi back\",[]]", "", ""), ERR_OK);
    }
}

Test(story_ping, an_introduction)
{
    world_t *world = world_new(0);
    world_vat(world, "alice", intro_alice, NULL);
    world_vat(world, "bob", intro_bob, NULL);
    world_vat(world, "carol", intro_carol, NULL);
    world_launch(world);
    world_settle(world);

    cr_assert_str_eq(world_bootstrap(world), "ok #\"introduced\" {}");
    cr_assert_str_eq(world_heard(world, "bob"), "start #{} {}\nmessage o+0 #[\"meet\",[\"$0\"]] {o-50}\n"
                                                "message o+0 #[\"hi back\",[]] {}\n");
    cr_assert_str_eq(world_heard(world, "carol"), "start #{} {}\nmessage o+0 #[\"hi\",[\"$0\"]] {o-50}\n");
    world_destroy(&world);
}

/* ---- from outside ---- */

static void echo(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                 engine_report_t *ret)
{
    char result[32];

    (void)context, (void)ret;
    if (delivery->tag != TAG_deliver_message) return;
    snprintf(result, sizeof result, "%.*s", (int)delivery->result.s.len, delivery->result.s.at);
    bool no = script_method(delivery, "no");
    cr_expect_eq(script_resolve(host, result, no, no ? "#\"no\"" : "#\"yes\"", ""), ERR_OK);
}

Test(story_ping, a_client_calls)
{
    world_t *world = world_new(0);
    world_vat(world, "alice", echo, NULL);
    world_launch(world);
    world_settle(world);
    unsigned yes = world_call(world, world_root(world, "alice"), "#[\"yes\",[]]");
    unsigned no = world_call(world, world_root(world, "alice"), "#[\"no\",[]]");
    world_settle(world);

    cr_assert_str_eq(world_answer(world, yes), "ok #\"yes\" {}");
    cr_assert_str_eq(world_answer(world, no), "rejected #\"no\" {}");
    world_destroy(&world);
}
