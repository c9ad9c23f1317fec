/* Deliveries that their worker does not survive: counted, tried again alone, given up, and what they alone
 * gave the vat taken back. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/kernel_rig.h"
#include "tests/unit/broker/listed.h"

#define PING "#[\"ping\",[]]"
#define TAKE "#[\"take\",[\"$0\"]]"

static const kref_t nothing;

static rig_t *rig;
static buf_t calls;

/* alice (v1) and bob (v2), idle. */
static void begin(const rig_launch_t *options)
{
    rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", options)->tag, TAG_launched);
    rig_run_dry(rig);
}

static void begin_ocap(void)
{
    begin(&(rig_launch_t){.window = 4, .reap_deliveries = REAP_NEVER, .ocap = true});
}

static void begin_swingset(unsigned poison)
{
    begin(&(rig_launch_t){.window = 4, .reap_deliveries = REAP_NEVER, .poison = poison});
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(poison, .fini = tear_down);

/* Bob's worker dies of the delivery it has. */
static void die(err_t error)
{
    msg_result_t frame = rig_result_frame(rig, 2, NULL);
    msg_lost_t lost = {{2},     frame.inc,       frame.pgen,        frame.run,
                       frame.d, (uint64_t)error, text_of("it died")};
    rig_from_host(rig, 1, TAG_lost, &lost);
}

/* Who holds KREF, besides its owner: bob or not? */
static void expect_held(kref_t kref, const char *how)
{
    char *list = rig_list(rig, 3, kref), *at = strstr(list, "name: \"bob\""),
         *end = at ? strchr(at, '\n') : NULL;
    if (end) *end = '\0';
    if (how)
        cr_expect(at && strstr(at, how), "%s is not in %s", how, list);
    else
        cr_expect_null(at, "%s", list);
    free(list);
}

static const resolution_t *told(uint32_t vat)
{
    const msg_t *delivery = rig_delivery(rig, vat);
    cr_assert(delivery && delivery->tag == TAG_deliver_notify);
    return &delivery->body.deliver_notify.resolutions.at[0];
}

/* ---- attempts ---- */

Test(poison, three_attempts_and_then_it_is_given_up)
{
    begin_ocap();
    rig_send(rig, 1, 2, PING, nothing, kp(1, 1));
    rig_call(rig, 2, "#[\"next\",[]]");
    for (int i = 1; i <= 2; i++) {
        size_t asked = rig_host_frames(rig, TAG_vat_new);
        die(ERR_VAT_CRASHED);
        cr_expect_eq(rig_host_frames(rig, TAG_vat_new), asked + 1, "a host waits to be asked");
        cr_expect_eq(rig_events(rig, "vat-restart"), i);
        expect_listed(rig, i == 1 ? "attempts: 1" : "attempts: 2");
        rig_restart(rig, true);
        expect_listed(rig, i == 1 ? "attempts: 1" : "attempts: 2");
        cr_assert_eq(rig_pending(rig, 2), 1, "nothing is sent behind it");
        cr_expect_null(rig_delivery(rig, 1));
    }
    die(ERR_VAT_CRASHED);
    const resolution_t *why = told(1);
    cr_expect(why->rejected && strstr((const char *)why->data.body.at, "[KERNEL:CRANK_FAILED] "));
    cr_expect_eq(rig_events(rig, "vat-poison"), 1);
    cr_expect(text_is(rig_event(rig, "vat-poison")->text, "it died"));
    rig_worker(rig, 2); /* steps over it */
    cr_assert_eq(rig_pending(rig, 2), 1, "the one behind it");
    rig_run_dry(rig);
    expect_not_listed(rig, "terminated");
    expect_listed(rig, "attempts: 0");
}

Test(poison, what_survives_the_second_attempt_is_no_poison)
{
    begin_ocap();
    rig_call(rig, 2, PING);
    rig_call(rig, 2, "#[\"next\",[]]");
    die(ERR_VAT_LIMIT_WALL);
    cr_assert_eq(rig_pending(rig, 2), 1);
    rig_empty(rig, 2);
    cr_assert_eq(rig_pending(rig, 2), 1, "now comes the one behind it");
    rig_empty(rig, 2);
    expect_listed(rig, "applied: 3");
    expect_listed(rig, "attempts: 0");
}

/* The same death is reported again, or one of another run, or of a row that is not the next. */
Test(poison, one_death_counts_once)
{
    begin_ocap();
    rig_call(rig, 2, PING);
    rig_call(rig, 2, PING);
    msg_result_t frame = rig_result_frame(rig, 2, NULL);
    msg_lost_t lost = {{2},         frame.inc,       frame.pgen,  frame.run,
                       frame.d + 1, ERR_VAT_CRASHED, text_of("x")};
    rig_from_host(rig, 1, TAG_lost, &lost);
    expect_not_listed(rig, "attempts: 1");
    lost.d = frame.d;
    rig_from_host(rig, 1, TAG_lost, &lost);
    rig_from_host(rig, 1, TAG_lost, &lost);
    rig_from_host(rig, 1, TAG_lost, &lost);
    expect_listed(rig, "attempts: 1");
    rig_run_dry(rig);
    expect_listed(rig, "applied: 3");
}

Test(poison, a_limit_that_is_counted_is_exceeded_once)
{
    static const err_t limits[] = {ERR_VAT_LIMIT_COMPUTE, ERR_VAT_LIMIT_HEAP, ERR_VAT_LIMIT_STACK};
    begin_ocap();
    for (size_t i = 0; i < 3; i++) {
        rig_send(rig, 1, 2, PING, nothing, kp(1, i + 1));
        size_t restarts = rig_host_frames(rig, TAG_vat_restart);
        rig_fail(rig, 2, limits[i], "too much");
        cr_expect_eq(rig_host_frames(rig, TAG_vat_restart), restarts + 1);
        cr_expect(told(1)->rejected);
        rig_empty(rig, 1);
        rig_worker(rig, 2);
    }
    cr_expect_eq(rig_events(rig, "vat-poison"), 3);
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    expect_not_listed(rig, "terminated");
}

Test(poison, a_clock_may_tell_something_else_the_next_time)
{
    begin_ocap();
    rig_call(rig, 2, PING);
    rig_fail(rig, 2, ERR_VAT_LIMIT_WALL, "too long");
    expect_listed(rig, "attempts: 1");
    rig_worker(rig, 2);
    rig_run_dry(rig);
    expect_listed(rig, "applied: 2");
}

/* ---- who ends instead ---- */

Test(poison, a_swingset_vat_ends_at_once)
{
    begin_swingset(0);
    rig_call(rig, 2, PING);
    die(ERR_VAT_CRASHED);
    expect_listed(rig, "terminated");
}

Test(poison, unless_its_cluster_says_otherwise)
{
    begin_swingset(2);
    rig_call(rig, 2, PING);
    die(ERR_VAT_CRASHED);
    expect_not_listed(rig, "terminated");
}

Test(poison, and_any_vat_when_its_cluster_says_so)
{
    begin(&(rig_launch_t){.ocap = true, .poison = 1, .reap_deliveries = REAP_NEVER});
    rig_call(rig, 2, PING);
    rig_fail(rig, 2, ERR_VAT_LIMIT_COMPUTE, "too much");
    expect_listed(rig, "terminated");
}

/* What is no message has nobody who could be told. */
Test(poison, a_notify_cannot_be_given_up)
{
    begin_ocap();
    rig_send(rig, 1, 2, "#[\"take\",[\"&0\"]]", kp(1, 1), nothing);
    call_subscribe(&calls, kp(1, 1));
    rig_result(rig, 2, &calls);
    rig_call(rig, 1, "#[\"go\",[]]");
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_notify);
    for (int i = 0; i < 2; i++) {
        die(ERR_VAT_CRASHED);
        expect_not_listed(rig, "terminated");
    }
    die(ERR_VAT_CRASHED);
    expect_listed(rig, "terminated");
}

Test(poison, a_start_cannot_be_given_up)
{
    rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.ocap = true, .no_start = true};
    cr_assert_null(rig_launch(rig, "alice bob", &options));
    for (int i = 0; i < 2; i++) {
        die(ERR_VAT_CRASHED);
        cr_assert_null(rig_reply(rig, 1));
    }
    die(ERR_VAT_CRASHED);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_failed);
}

/* ---- what it gave ---- */

static void give_up(void)
{
    rig_fail(rig, 2, ERR_VAT_LIMIT_COMPUTE, "too much"), rig_worker(rig, 2);
}

Test(poison, what_it_alone_gave_is_taken_back)
{
    begin_ocap();
    rig_send(rig, 1, 2, TAKE, ko(1, 1), kp(1, 1));
    expect_held(ko(1, 1), "reachable");
    give_up();
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_notify);
    rig_empty(rig, 1);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_drop_exports, "nobody reaches it");
}

/* A later delivery mentions it as well: there it is new to bob. */
Test(poison, what_comes_again_stays)
{
    begin_ocap();
    rig_send(rig, 1, 2, TAKE, ko(1, 1), nothing);
    rig_send(rig, 1, 2, TAKE, ko(1, 1), nothing);
    give_up();
    expect_held(ko(1, 1), "reachable");
    cr_assert_eq(rig_pending(rig, 2), 1);
    give_up();
    rig_run_dry(rig);
    char *list = rig_list(rig, 3, ko(1, 1));
    cr_expect(!strstr(list, "ko1.1"), "%s", list);
    free(list);
}

Test(poison, what_was_there_before_stays)
{
    begin_ocap();
    rig_send(rig, 1, 2, TAKE, ko(1, 1), nothing);
    rig_empty(rig, 2);
    rig_send(rig, 1, 2, TAKE, ko(1, 1), nothing);
    give_up();
    expect_held(ko(1, 1), "reachable");
    rig_call(rig, 2, "#[\"go\",[]]");
    call_send(&calls, ko(1, 1), PING, NULL, 0, nothing);
    rig_result(rig, 2, &calls);
    expect_not_listed(rig, "terminated");
}

/* Bob could only recognize it, and this delivery raised it. */
Test(poison, what_it_raised_falls)
{
    begin_ocap();
    kref_t it = ko(1, 1);
    rig_send(rig, 1, 2, TAKE, it, nothing);
    call_refs(&calls, TAG_drop_imports, &it, 1);
    rig_result(rig, 2, &calls);
    rig_send(rig, 1, 2, TAKE, it, nothing);
    expect_held(it, "reachable");
    give_up();
    expect_held(it, "recognizable");
}

/* Bob drops it while a delivery that mentions it is on its way: that one raises it, or nothing does. */
Test(poison, a_drop_that_was_passed_over_counts_then)
{
    begin_ocap();
    kref_t it = ko(1, 1);
    rig_send(rig, 1, 2, TAKE, it, nothing);
    rig_empty(rig, 2);
    rig_call(rig, 2, PING);
    rig_send(rig, 1, 2, TAKE, it, nothing);
    call_refs(&calls, TAG_drop_imports, &it, 1);
    rig_result(rig, 2, &calls);
    expect_held(it, "reachable");
    give_up();
    expect_held(it, "recognizable");
}

Test(poison, so_does_a_retirement)
{
    begin_ocap();
    kref_t it = ko(1, 1);
    rig_send(rig, 1, 2, TAKE, it, nothing);
    rig_empty(rig, 2);
    rig_call(rig, 2, PING);
    rig_send(rig, 1, 2, TAKE, it, nothing);
    call_refs(&calls, TAG_drop_imports, &it, 1);
    call_refs(&calls, TAG_retire_imports, &it, 1);
    rig_result(rig, 2, &calls);
    expect_held(it, "reachable");
    give_up();
    expect_held(it, NULL);
}

/* Its result promise is new to the vat, and so unknown to it afterwards. */
Test(poison, its_result_is_not_the_vats_any_more)
{
    begin_ocap();
    rig_send(rig, 1, 2, PING, nothing, kp(1, 1));
    expect_held(kp(1, 1), "reachable");
    give_up();
    expect_held(kp(1, 1), NULL);
    rig_call(rig, 2, "#[\"go\",[]]");
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0);
    rig_result(rig, 2, &calls);
    expect_listed(rig, "illegal syscall");
}

Test(poison, replays_step_over_it)
{
    begin_ocap();
    rig_call(rig, 2, PING);
    give_up();
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    rig_checkpoint(rig, 2, false);
    rig_restart(rig, true);
    rig_run_dry(rig);
    expect_not_listed(rig, "quarantined");
    expect_listed(rig, "applied: 3");
}
