/* The timer service: time, wakes and delays; and what a vat's own timeouts are made of. Times and orders are
 * those of SwingSet's vat-timer. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/broker/timer_stage.h"

/* ---- time, clock, brand ---- */

static void the_time_is_told_and_never_goes_back(void)
{
    expect_time(now(), 100);
    at(200);
    expect_time(now(), 200);
    at(150);
    expect_time(now(), 200);
    at(201);
    expect_time(now(), 201);
}
TWICE(the_time_is_told_and_never_goes_back)

static void brand_and_clock_are_one_each(void)
{
    kref_t clock = object_of(ask(service, "#[\"getClock\",[]]"), "timerClock");
    cr_expect_eq(object_of(ask(service, "#[\"getClock\",[]]"), "timerClock").n, clock.n);
    cr_expect_eq(object_of(ask(clock, "#[\"getTimerBrand\",[]]"), "timerBrand").n, brand.n);
    expect_time(ask(clock, "#[\"getCurrentTimestamp\",[]]"), 100);
    expect_error(ask(clock, "#[\"wakeAt\",[1]]"),
                 "target has no method \\\"wakeAt\\\", has "
                 "[\\\"__getMethodNames__\\\",\\\"getCurrentTimestamp\\\",\\\"getTimerBrand\\\"]");
    expect_flag(ask_one(brand, "#[\"isMyTimerService\",[\"$0\"]]", service), true);
    expect_flag(ask_one(brand, "#[\"isMyTimerService\",[\"$0\"]]", clock), false);
    expect_flag(ask_one(brand, "#[\"isMyTimerService\",[\"$0\"]]", brand), false);
    expect_flag(ask(brand, "#[\"isMyTimerService\",[{}]]"), false);
    expect_flag(ask_one(brand, "#[\"isMyClock\",[\"$0\"]]", clock), true);
    expect_flag(ask_one(brand, "#[\"isMyClock\",[\"$0\"]]", service), false);
    expect_flag(ask(brand, "#[\"isMyClock\",[]]"), false);
    expect_body(ask(service, "#[\"__getMethodNames__\",[]]"), false,
                "#[\"__getMethodNames__\",\"addDelay\",\"cancel\",\"delay\",\"getClock\","
                "\"getCurrentTimestamp\",\"getTimerBrand\",\"makeNotifier\",\"makeRepeater\","
                "\"repeatAfter\",\"setWakeup\",\"wakeAt\"]");
}
TWICE(brand_and_clock_are_one_each)

/* What a client is answered by TARGET. */
static const msg_settled_t *client_ask(kref_t target, const char *body, const kref_t *slots,
                                       size_t count)
{
    msg_call_t call = {rig_id(rig), target, rig_data(body, slots, count), 0};
    msg_await_t await = {rig_id(rig), rig_ask(rig, TAG_call, &call)->body.sent.result};
    return &rig_ask(rig, TAG_await, &await)->body.settled;
}

/* Eve's cluster has a timer of its own. */
static void a_token_is_good_for_the_timers_of_one_cluster(void)
{
    kref_t mine = token(1);
    wakeup(130, 1);
    cr_assert_eq(rig_launch(rig, "eve", &(rig_launch_t){.services = "timer"})->tag, TAG_launched);
    kref_t eves = rig_delivery(rig, 3)->body.deliver_message.methargs.slots.at[1];
    eves = client_ask(eves, "#[\"createTimerService\",[]]", NULL, 0)->value.slots.at[0];
    cr_expect(!client_ask(eves, "#[\"cancel\",[\"$0.Alleged: token\"]]", &mine, 1)->rejected);
    expect_alarm(130);
    cancel(1);
    expect_alarm(0);
}
TWICE(a_token_is_good_for_the_timers_of_one_cluster)

/* ---- setWakeup ---- */

static void a_wakeup_comes_once_and_in_time(void)
{
    expect_alarm(0);
    expect_time(wakeup(130, 0), 130);
    expect_alarm(130);
    wakeup(120, 1);
    expect_alarm(120);
    expect_undefined(cancel(1));
    expect_alarm(130);
    wakeup(150, 0);
    wakeup(140, 0);
    wakeup(150, 0);
    wakeup(160, 2);
    wakeup(160, 0);
    wakeup(161, 2);
    cr_expect_eq(rig_rows(rig, ROW_timer), 7);
    at(129);
    expect_asleep();
    at(130);
    expect_wake(130);
    expect_asleep();
    expect_alarm(140);
    at(151); /* late: all hear what time it is */
    expect_wake(151);
    expect_wake(151);
    expect_wake(151);
    expect_asleep();
    cancel(2);
    expect_alarm(160);
    expect_time(wakeup(121, 0), 121); /* past */
    expect_wake(151);
    expect_time(wakeup(151, 2), 151); /* this very moment */
    expect_wake(151);
    at(165);
    expect_wake(165);
    expect_asleep();
    expect_alarm(0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
}
TWICE(a_wakeup_comes_once_and_in_time)

/* Due by the time that was told, although the clock says otherwise now. */
Test(timer, a_clock_that_goes_back_holds_up_nothing)
{
    stage_begin(false);
    wakeup(130, 0);
    wakeup(150, 0);
    rig_no_chores(rig);
    at(140);
    expect_time(now(), 140);
    at(110);
    cr_expect_eq(kernel_wake_us(rig_kernel(rig)), 0);
    cr_expect(kernel_overdue(rig_kernel(rig), 110000) && kernel_chores(rig_kernel(rig)));
    rig_chore(rig);
    expect_wake(140);
    expect_alarm(150);
    cr_expect(!kernel_overdue(rig_kernel(rig), 149999));
    stage_end();
}

/* ---- wakeAt, delay ---- */

static kref_t delay(uint64_t ms, unsigned cancel_token)
{
    char body[200];
    kref_t slots[] = {brand, token(cancel_token)};
    snprintf(body, sizeof body,
             "#[\"delay\",[{\"relValue\":\"+%" PRIu64 "\",\"timerBrand\":\"$0\"}%s]]", ms,
             cancel_token ? ",\"$1\"" : "");
    return ask_with(service, body, slots, cancel_token ? 2 : 1);
}

static void promises_of_a_time_are_kept(void)
{
    kref_t first = wake_at(110, 1), also = wake_at(110, 0), later = wake_at(120, 2);
    expect_alarm(110);
    at(110);
    expect_time(first, 110);
    expect_time(also, 110);
    cr_expect_null(told(later));
    cancel(1);
    expect_time(wake_at(105, 0), 110);
    expect_time(wake_at(110, 3), 110);
    cancel(2);
    expect_error(later, "TimerCancelled");
    expect_undefined(cancel(2));
    expect_alarm(0);
}
TWICE(promises_of_a_time_are_kept)

static void delays(void)
{
    kref_t first = delay(10, 1), also = delay(10, 0), later = delay(20, 2);
    kref_t number = ask(service, "#[\"addDelay\",[15]]");
    at(112);
    expect_time(first, 112);
    expect_time(also, 112);
    cr_expect_null(told(later));
    expect_time(delay(0, 0), 112);
    at(115);
    expect_time(number, 115);
    cancel(2);
    expect_error(later, "TimerCancelled");
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
}
TWICE(delays)

/* ---- arguments ---- */

/* $0 is the right brand, $1 another object, $2 bob, &3 a promise. */
static const struct {
    const char *body, *error;
} wrong[] = {
    {"#[\"setWakeup\",[]]", "timestamp: must be a bigint or a record of absValue and timerBrand"},
    {"#[\"setWakeup\",[\"soon\",\"$2\"]]",
     "timestamp: must be a bigint or a record of absValue and timerBrand"},
    {"#[\"setWakeup\",[\"-5\",\"$2\"]]",
     "timestamp: absValue: \\\"[-5n]\\\" - Must be non-negative"},
    {"#[\"setWakeup\",[-5,\"$2\"]]", "!-5 is negative"},
    {"#[\"setWakeup\",[1.5,\"$2\"]]", "1.5 is not a safe integer"},
    {"#[\"setWakeup\",[9007199254740992,\"$2\"]]", "9007199254740992 is not a safe integer"},
    {"#[\"setWakeup\",[\"#NaN\",\"$2\"]]", "NaN is not a safe integer"},
    {"#[\"setWakeup\",[\"+9223372036854775808\",\"$2\"]]",
     "timestamp: absValue: larger than 9223372036854775807"},
    {"#[\"setWakeup\",[{\"absValue\":\"+5\",\"timerBrand\":\"$1\"},\"$2\"]]",
     "TimerBrands must match"},
    {"#[\"setWakeup\",[{\"absValue\":5,\"timerBrand\":\"$0\"},\"$2\"]]",
     "timestamp: must be a record of absValue, a bigint, and timerBrand"},
    {"#[\"setWakeup\",[{\"relValue\":\"+5\",\"timerBrand\":\"$0\"},\"$2\"]]",
     "timestamp: must be a record of absValue, a bigint, and timerBrand"},
    {"#[\"setWakeup\",[{\"absValue\":\"+5\",\"more\":1,\"timerBrand\":\"$0\"},\"$2\"]]",
     "timestamp: must be a record of absValue, a bigint, and timerBrand"},
    {"#[\"setWakeup\",[{\"absValue\":\"-5\",\"timerBrand\":\"$0\"},\"$2\"]]",
     "timestamp: absValue: \\\"[-5n]\\\" - Must be non-negative"},
    {"#[\"setWakeup\",[\"+500\"]]", "bad setWakeup() handler"},
    {"#[\"setWakeup\",[\"+500\",\"norb\"]]", "bad setWakeup() handler"},
    {"#[\"setWakeup\",[\"+500\",\"&3\"]]", "bad setWakeup() handler"},
    {"#[\"setWakeup\",[\"+500\",\"$2\",\"x\"]]", "bad cancel token"},
    {"#[\"setWakeup\",[\"+500\",\"$2\",\"&3\"]]", "bad cancel token"},
    {"#[\"wakeAt\",[{\"absValue\":\"+5\",\"timerBrand\":\"$1\"}]]", "TimerBrands must match"},
    {"#[\"wakeAt\",[\"+500\",7]]", "bad cancel token"},
    {"#[\"delay\",[{\"relValue\":\"+5\",\"timerBrand\":\"$1\"}]]", "TimerBrands must match"},
    {"#[\"delay\",[\"-1\"]]", "relativeTime: relValue: \\\"[-1n]\\\" - Must be non-negative"},
    {"#[\"delay\",[null]]",
     "relativeTime: must be a bigint or a record of relValue and timerBrand"},
    {"#[\"repeatAfter\",[\"+5\",{\"relValue\":\"+5\",\"timerBrand\":\"$1\"},\"$2\"]]",
     "TimerBrands must match"},
    {"#[\"repeatAfter\",[\"+5\",\"+0\",\"$2\"]]", "interval must be positive"},
    {"#[\"repeatAfter\",[\"+5\",\"+5\",\"norb\"]]", "bad repeatAfter() handler"},
    {"#[\"repeatAfter\",[\"+5\",\"+5\",\"$2\",[]]]", "bad cancel token"},
    {"#[\"makeRepeater\",[\"+5\",\"+0\"]]", "interval must be nonzero"},
    {"#[\"makeRepeater\",[{\"relValue\":\"+5\",\"timerBrand\":\"$1\"},\"+1\"]]",
     "TimerBrands must match"},
    {"#[\"makeNotifier\",[\"+5\",\"+0\"]]", "interval must be nonzero"},
    {"#[\"makeNotifier\",[{\"relValue\":\"+5\",\"timerBrand\":\"$1\"},\"+1\"]]",
     "TimerBrands must match"},
    {"#[\"makeNotifier\",[\"+5\",\"+1\",\"x\"]]", "bad cancel token"},
};

Test(timer, wrong_arguments)
{
    stage_begin(false);
    kref_t slots[] = {brand, service, root(2), wake_at(1000, 0)};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_error(ask_with(service, wrong[i].body, slots, 4), wrong[i].error);
    cr_expect_eq(rig_rows(rig, ROW_timer), 1);
    /* What SwingSet takes for no token. */
    static const char *const none[] = {"null",     "false",         "0", "\"+0\"", "\"\"",
                                       "\"#NaN\"", "\"#undefined\""};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char body[100];
        snprintf(body, sizeof body, "#[\"setWakeup\",[\"+500\",\"$2\",%s]]", none[i]);
        expect_time(ask_with(service, body, slots, 4), 500);
    }
    /* What is no token cancels nothing. */
    expect_undefined(ask(service, "#[\"cancel\",[\"bogus\"]]"));
    expect_undefined(ask(service, "#[\"cancel\",[]]"));
    expect_undefined(cancel(4));
    cr_expect_eq(rig_rows(rig, ROW_timer), 8);
    /* Later than any clock. */
    expect_time(ask_with(service, "#[\"setWakeup\",[\"+9223372036854775807\",\"$2\"]]", slots, 4),
                INT64_MAX);
    cr_expect_null(told(ask(service, "#[\"delay\",[\"+9223372036854775807\"]]")));
    stage_end();
}

/* ---- many, and ends ---- */

Test(timer, a_few_with_each_step)
{
    enum { MANY = 150 };
    stage_begin(false);
    kref_t last = {0};
    for (unsigned i = 0; i < MANY; i++) last = wake_at(200 - i % 7, 0);
    expect_alarm(194);
    rig_no_chores(rig);
    at(199);
    cr_expect(!kernel_chores(rig_kernel(rig)) && kernel_overdue(rig_kernel(rig), 199000));
    cr_expect(!kernel_overdue(rig_kernel(rig), 193999) && kernel_overdue(rig_kernel(rig), 194000));
    rig_chore(rig);
    cr_expect_eq(rig_rows(rig, ROW_timer), MANY - 64);
    cr_expect(kernel_chores(rig_kernel(rig)));
    rig_chore(rig);
    cr_expect_eq(rig_rows(rig, ROW_timer), MANY / 7 + 1, "those of 200");
    cr_expect(!kernel_chores(rig_kernel(rig)));
    rig_chore(rig);
    cr_expect_eq(rig_rows(rig, ROW_timer), MANY / 7 + 1);
    at(200);
    rig_chore(rig);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    expect_time(last, 199);
    stage_end();
}

Test(timer, an_end_of_the_cluster_ends_its_timers)
{
    stage_begin(false);
    wakeup(200, 1);
    wake_at(200, 2);
    repeat_after(50, 10, 3);
    repeat_after(0, 10, 3);
    expect_woken(100);
    kref_t notifier = notifier_new(5, 10, 4);
    since(notifier, 0);
    kref_t repeater =
        object_of(ask(service, "#[\"makeRepeater\",[\"+5\",\"+10\"]]"), "timerRepeater");
    ask_one(repeater, "#[\"schedule\",[\"$0\"]]", root(2));
    cr_expect_eq(rig_rows(rig, ROW_timer), 7);
    const msg_t *done = rig_ask(rig, TAG_cluster_rm, &(msg_cluster_rm_t){rig_id(rig), {1}});
    cr_assert_eq(done->tag, TAG_done);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
    cr_expect_eq(rig_rows(rig, ROW_service), 0);
    expect_alarm(0);
    stage_end();
}

/* ---- a vat's own timeouts ---- */

static kref_t outside;

static void begin_outside(void)
{
    stage_new(false);
    rig_launch_t options = {.globals = "setTimeout clearTimeout", .no_start = true, .ocap = true};
    rig_launch(rig, "alice bob", &options);
    const msg_deliver_start_t *start = &rig_delivery(rig, 1)->body.deliver_start;
    cr_assert(rig_body_is(&start->parameters, "#[{},\"$0.Alleged: outside\"]"));
    outside = start->parameters.slots.at[0];
    rig_empty(rig, 1);
    rig_empty(rig, 2);
    rig_reply(rig, 1);
    rig_empty(rig, 1);
}

Test(timer, timeouts_come_and_are_cleared)
{
    begin_outside();
    kref_t soon = ask(outside, "#[\"after\",[1,0]]"), later = ask(outside, "#[\"after\",[2,50]]");
    expect_alarm(110);
    expect_error(ask(outside, "#[\"after\",[2,1]]"), "timer 2 is there already");
    expect_error(ask(outside, "#[\"after\",[2]]"), "after(id, ms): two whole numbers");
    expect_error(ask(outside, "#[\"after\",[\"x\",1]]"), "after(id, ms): two whole numbers");
    rig_restart(rig, false);
    rig_at(rig, 110);
    expect_flag(soon, true);
    cr_expect_null(told(later));
    expect_undefined(ask(outside, "#[\"clear\",[1]]"));
    expect_undefined(ask(outside, "#[\"clear\",[3]]"));
    expect_undefined(ask(outside, "#[\"clear\",[null]]"));
    expect_undefined(ask(outside, "#[\"clear\",[2]]"));
    expect_flag(later, false);
    expect_alarm(0);
    soon = ask(outside, "#[\"after\",[2,30]]");
    rig_at(rig, 140);
    expect_flag(soon, true);
    stage_end();
}

/* Timeouts of others are theirs, whatever they are called. */
Test(timer, timeouts_end_with_their_vat)
{
    begin_outside();
    ask(outside, "#[\"after\",[1,10]]");
    ask(outside, "#[\"after\",[2,20]]");
    msg_call_t hand = {rig_id(rig), root(2), rig_data("#[\"go\",[]]", NULL, 0), 0};
    rig_ask(rig, TAG_call, &hand);
    kref_t of_bob = kref_object((vat_t){0}, kref_serial(outside) + 1);
    call_send(&calls, of_bob, "#[\"after\",[1,30]]", NULL, 0, kp(2, 1));
    rig_result(rig, 2, &calls);
    cr_expect_eq(rig_rows(rig, ROW_timer), 3);
    msg_kill_t kill = {rig_id(rig), {1}, text_of("away with it")};
    rig_ask(rig, TAG_kill, &kill);
    cr_expect_eq(rig_rows(rig, ROW_timer), 1);
    expect_alarm(130);
    stage_end();
}

/* The next incarnation counts its timeouts from 1 again. */
Test(timer, timeouts_end_with_their_incarnation)
{
    begin_outside();
    kref_t old = ask(outside, "#[\"after\",[1,10]]");
    msg_upgrade_t upgrade = {.request = rig_id(rig), .vat = {1}, .bundle = text_of("b1-next")};
    rig_ask(rig, TAG_upgrade, &upgrade);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_upgrade);
    cr_expect_eq(rig_rows(rig, ROW_timer), 1, "not before it has happened");
    const msg_deliver_upgrade_t *row = &rig_delivery(rig, 1)->body.deliver_upgrade;
    cr_expect(rig_body_is(&row->parameters, "#[\"#undefined\",\"$0.Alleged: outside\"]"));
    cr_expect_eq(row->parameters.slots.at[0].n, outside.n);
    rig_empty(rig, 1);
    rig_reply(rig, 1);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    expect_flag(old, false);
    kref_t again = ask(outside, "#[\"after\",[1,20]]");
    rig_at(rig, 120);
    expect_flag(again, true);
    stage_end();
}
