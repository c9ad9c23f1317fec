/* The timer service, and what a vat's own timeouts are made of.
 *
 * Method: alice (v1) asks and hears the answers, bob's root is the handler that is woken. The clock
 * stands still until a test moves it. Most stories are told twice, the second time with a kernel that
 * is loaded from its rows before every move. Times and orders are those of SwingSet's vat-timer. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/support/kernel_rig.h"

static kref_t root(uint32_t vat) { return kref_root((vat_t){vat}); }
static kref_t ko(uint32_t vat, uint64_t n) { return kref_object((vat_t){vat}, n); }
static kref_t kp(uint32_t vat, uint64_t n) { return kref_promise((vat_t){vat}, n); }

static rig_t *rig;
static buf_t calls;
static kref_t service, brand;
static uint64_t promises;      /* that alice made */
static resolution_t said[512]; /* that alice was told */
static size_t said_count;
static bool restarts;

#define TIME "{\"absValue\":\"+%" PRIu64 "\",\"timerBrand\":\"$0.Alleged: timerBrand\"}"

/* ---- alice ---- */

static void listen(void)
{
    const msg_t *msg;
    while ((msg = rig_delivery(rig, 1)) && msg->tag != TAG_deliver_message) {
        if (msg->tag == TAG_deliver_notify) {
            const resolutions_t *told = &msg->body.deliver_notify.resolutions;
            for (size_t i = 0; i < told->count; i++) said[said_count++] = told->at[i];
        }
        rig_empty(rig, 1);
    }
}

/* What alice was told of PROMISE; NULL: nothing yet. */
static const resolution_t *told(kref_t promise)
{
    listen();
    for (size_t i = 0; i < said_count; i++)
        if (said[i].promise.n == promise.n) return &said[i];
    return NULL;
}

/* Alice sends TARGET a message. Returns the promise of its result. */
static kref_t ask_with(kref_t target, const char *body, const kref_t *slots, size_t count)
{
    if (restarts) rig_restart(rig, false);
    listen();
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 0};
    rig_ask(rig, TAG_call, &go);
    const msg_t *msg = rig_delivery(rig, 1);
    cr_assert(msg && msg->tag == TAG_deliver_message);
    kref_t result = kp(1, ++promises);
    call_send(&calls, target, body, slots, count, result);
    call_subscribe(&calls, result);
    call_resolve(&calls, msg->body.deliver_message.result, false, "#null", NULL, 0);
    rig_result(rig, 1, &calls);
    return result;
}

static kref_t ask(kref_t target, const char *body) { return ask_with(target, body, NULL, 0); }
static kref_t ask_one(kref_t target, const char *body, kref_t slot)
{
    return ask_with(target, body, &slot, 1);
}

static void at(uint64_t ms)
{
    if (restarts) rig_restart(rig, false);
    rig_at(rig, ms);
}

static void expect_body(kref_t promise, bool rejected, const char *body)
{
    const resolution_t *told_of = told(promise);
    cr_assert(told_of, "it should be settled: %s", body);
    cr_expect(told_of->rejected == rejected && rig_body_is(&told_of->data, body),
              "%.*s, should be %s", (int)told_of->data.body.len, told_of->data.body.at, body);
}

static void expect_time(kref_t promise, uint64_t ms)
{
    char body[200];
    snprintf(body, sizeof body, "#" TIME, ms);
    expect_body(promise, false, body);
    cr_expect_eq(told(promise)->data.slots.at[0].n, brand.n);
}

/* The answer of a notifier; a COUNT of 0: it was cancelled. */
static void expect_update(kref_t promise, uint64_t ms, uint64_t count)
{
    char body[200], which[32] = "#undefined";
    if (count) snprintf(which, sizeof which, "+%" PRIu64, count);
    snprintf(body, sizeof body, "#{\"updateCount\":\"%s\",\"value\":" TIME "}", which, ms);
    expect_body(promise, false, body);
}

static void expect_error(kref_t promise, const char *text)
{
    char body[300];
    snprintf(body, sizeof body, "#{\"#error\":\"%s\",\"name\":\"Error\"}", text);
    expect_body(promise, true, body);
}

static void expect_undefined(kref_t promise) { expect_body(promise, false, "#\"#undefined\""); }

/* The object that an answer is. */
static kref_t object_of(kref_t promise, const char *iface)
{
    char body[100];
    snprintf(body, sizeof body, "#\"$0.Alleged: %s\"", iface);
    expect_body(promise, false, body);
    return told(promise)->data.slots.at[0];
}

/* ---- bob, the handler ---- */

/* He was woken at MS and has not answered. Returns the result that is asked of him. */
static kref_t expect_woken(uint64_t ms)
{
    char body[200];
    snprintf(body, sizeof body, "#[\"wake\",[" TIME "]]", ms);
    const msg_t *msg = rig_delivery(rig, 2);
    cr_assert(msg && msg->tag == TAG_deliver_message, "should be woken at %" PRIu64, ms);
    const msg_deliver_message_t *wake = &msg->body.deliver_message;
    cr_expect(rig_body_is(&wake->methargs, body), "%.*s, should be %s",
              (int)wake->methargs.body.len, wake->methargs.body.at, body);
    cr_expect_eq(wake->methargs.slots.at[0].n, brand.n);
    return wake->result;
}

/* A wake of setWakeup: nobody waits for an answer. */
static void expect_wake(uint64_t ms)
{
    cr_expect(kref_none(expect_woken(ms)));
    rig_empty(rig, 2);
}

/* Bob's answer to what is now his oldest delivery. */
static void answers(kref_t result, bool rejected)
{
    call_resolve(&calls, result, rejected, "#null", NULL, 0);
    rig_result(rig, 2, &calls);
}

static void expect_repeat(uint64_t ms) { answers(expect_woken(ms), false); }
static void expect_asleep(void) { cr_expect_null(rig_delivery(rig, 2), "nobody should be woken"); }

/* The kernel wants to be woken then; 0: never. */
static void expect_alarm(uint64_t ms)
{
    cr_expect_eq(kernel_wake_us(rig_kernel(rig)), ms ? ms * 1000 : UINT64_MAX);
}

/* ---- the stage ---- */

enum { TOKENS = 4 };

static kref_t token(unsigned n) { return ko(1, n); }

static void begin(bool with_restarts)
{
    rig = rig_new();
    promises = said_count = 0;
    restarts = with_restarts;
    rig_host(rig, 1);
    rig_at(rig, 100);
    cr_assert_eq(rig_launch(rig, "alice bob", &(rig_launch_t){.services = "timer"})->tag,
                 TAG_launched);
    const msg_deliver_message_t *boot = &rig_delivery(rig, 1)->body.deliver_message;
    cr_assert(
        rig_body_is(&boot->methargs,
                    "#[\"bootstrap\",[{\"alice\":\"$0.Alleged: vatRoot\",\"bob\":\"$1.Alleged: "
                    "vatRoot\",\"timer\":\"$2.Alleged: timerRoot\"},{\"timer\":\"$2\"}]]"));
    kref_t timer_root = boot->methargs.slots.at[2], tokens[TOKENS];
    for (unsigned i = 0; i < TOKENS; i++) tokens[i] = token(i + 1);
    call_send(&calls, root(2), "#[\"keep\",[\"$0\",\"$1\",\"$2\",\"$3\"]]", tokens, TOKENS,
              (kref_t){0});
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    kref_t made = ask_one(timer_root, "#[\"createTimerService\",[\"$0\"]]", timer_root);
    service = object_of(made, "timerService");
    brand = object_of(ask(service, "#[\"getTimerBrand\",[]]"), "timerBrand");
}

static void end(void)
{
    rig_destroy(&rig);
    buf_clear(&calls);
}

#define TWICE(story)                  \
    Test(timer, story)                \
    {                                 \
        for (int i = 0; i < 2; i++) { \
            begin(i);                 \
            story();                  \
            end();                    \
        }                             \
    }

static kref_t now(void) { return ask(service, "#[\"getCurrentTimestamp\",[]]"); }

static kref_t cancel(unsigned n) { return ask_one(service, "#[\"cancel\",[\"$0\"]]", token(n)); }

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

static void expect_flag(kref_t promise, bool flag)
{
    expect_body(promise, false, flag ? "#true" : "#false");
}

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

/* ---- setWakeup ---- */

static kref_t wakeup(uint64_t when, unsigned cancel_token)
{
    char body[200];
    kref_t slots[] = {brand, root(2), token(cancel_token)};
    snprintf(body, sizeof body,
             "#[\"setWakeup\",[{\"absValue\":\"+%" PRIu64 "\",\"timerBrand\":\"$0\"},\"$1\"%s]]",
             when, cancel_token ? ",\"$2\"" : "");
    return ask_with(service, body, slots, cancel_token ? 3 : 2);
}

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
    begin(false);
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
    end();
}

/* ---- wakeAt, delay ---- */

static kref_t wake_at(uint64_t when, unsigned cancel_token)
{
    char body[100];
    kref_t slots[] = {token(cancel_token)};
    snprintf(body, sizeof body, "#[\"wakeAt\",[\"+%" PRIu64 "\"%s]]", when,
             cancel_token ? ",\"$0\"" : "");
    return ask_with(service, body, slots, cancel_token ? 1 : 0);
}

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
    begin(false);
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
    end();
}

/* ---- what repeats ---- */

static kref_t repeat_after(uint64_t delay_ms, uint64_t interval, unsigned cancel_token)
{
    char body[200];
    kref_t slots[] = {root(2), token(cancel_token)};
    snprintf(body, sizeof body, "#[\"repeatAfter\",[\"+%" PRIu64 "\",\"+%" PRIu64 "\",\"$0\"%s]]",
             delay_ms, interval, cancel_token ? ",\"$1\"" : "");
    return ask_with(service, body, slots, cancel_token ? 2 : 1);
}

static void repeats_go_on_when_the_handler_has_answered(void)
{
    at(103);
    expect_undefined(repeat_after(22, 10, 1)); /* 125, 135, ... */
    expect_alarm(125);
    at(124);
    expect_asleep();
    at(125);
    expect_repeat(125);
    expect_alarm(135);
    at(150); /* two are missed */
    expect_repeat(150);
    expect_alarm(155);
    at(160);
    kref_t slow = expect_woken(160);
    expect_alarm(0);
    at(200);
    expect_alarm(0);
    answers(slow, false);
    expect_alarm(205);
    expect_undefined(cancel(1));
    expect_alarm(0);
    cancel(1);

    repeat_after(5, 10, 1); /* 205, ... */
    at(210);
    answers(expect_woken(210), true); /* it throws: no more */
    expect_alarm(0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    cancel(1);

    repeat_after(5, 10, 3); /* 215, ... */
    at(220);
    slow = expect_woken(220);
    cancel(3);
    answers(slow, false);
    expect_alarm(0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}
TWICE(repeats_go_on_when_the_handler_has_answered)

static void repeats_from_now_on(void)
{
    repeat_after(0, 10, 1);
    expect_alarm(0);
    expect_repeat(100);
    expect_alarm(110);
    cancel(1);
    expect_alarm(0);
    repeat_after(0, 10, 2);
    kref_t slow = expect_woken(100);
    cancel(2);
    answers(slow, true);
    expect_alarm(0);
}
TWICE(repeats_from_now_on)

static void a_shared_token_cancels_all(void)
{
    repeat_after(5, 10, 1);
    repeat_after(10, 10, 1);
    kref_t promise = wake_at(500, 1), other = wake_at(500, 2);
    wakeup(400, 1);
    at(112);
    expect_repeat(112);
    answers(expect_woken(112), true);
    expect_alarm(115);
    cancel(1);
    expect_error(promise, "TimerCancelled");
    cr_expect_null(told(other));
    expect_alarm(500);
    at(500);
    expect_asleep();
    expect_time(other, 500);
}
TWICE(a_shared_token_cancels_all)

static void repeaters(void)
{
    at(103);
    kref_t made = ask(service, "#[\"makeRepeater\",[\"+22\",\"+10\"]]"); /* 125, 135, ... */
    kref_t repeater = object_of(made, "timerRepeater");
    expect_alarm(0);
    at(104);
    static const char schedule[] = "#[\"schedule\",[\"$0\"]]", disable[] = "#[\"disable\",[]]";
    expect_error(ask(repeater, "#[\"schedule\",[]]"), "bad repeater.schedule() handler");
    expect_error(ask(repeater, "#[\"schedule\",[\"norb\"]]"), "bad repeater.schedule() handler");
    expect_undefined(ask_one(repeater, schedule, root(2)));
    expect_alarm(125);
    expect_error(ask_one(repeater, schedule, root(2)), "repeater already scheduled");
    at(125);
    expect_repeat(125);
    expect_alarm(135);
    at(150);
    expect_repeat(150);
    expect_alarm(155);
    expect_undefined(ask(repeater, disable));
    expect_alarm(0);
    expect_undefined(ask(repeater, disable));

    ask_one(repeater, schedule, root(2)); /* again: 155 */
    at(160);
    kref_t slow = expect_woken(160);
    expect_error(ask_one(repeater, schedule, root(2)), "repeater already scheduled");
    ask(repeater, disable);
    answers(slow, false);
    expect_alarm(0);

    ask_one(repeater, schedule, root(2)); /* 165 */
    at(165);
    answers(expect_woken(165), true);
    expect_alarm(0);
    expect_error(ask_one(repeater, schedule, root(2)), "repeater already scheduled");
    ask(repeater, disable);
    ask_one(repeater, schedule, root(2));
    expect_alarm(175);

    made = ask(service, "#[\"makeRepeater\",[\"+0\",\"+10\"]]");
    ask_one(object_of(made, "timerRepeater"), schedule, root(2));
    expect_repeat(165);
}
TWICE(repeaters)

/* The repeater lives as long as it is scheduled, although nobody holds it. */
Test(timer, a_repeater_that_nobody_holds_goes_on)
{
    begin(false);
    kref_t repeater =
        object_of(ask(service, "#[\"makeRepeater\",[\"+5\",\"+10\"]]"), "timerRepeater");
    kref_t idle = object_of(ask(service, "#[\"makeRepeater\",[\"+5\",\"+10\"]]"), "timerRepeater");
    ask_one(repeater, "#[\"schedule\",[\"$0\"]]", root(2));
    size_t services = rig_rows(rig, ROW_service);
    call_refs(&calls, TAG_drop_imports, (kref_t[]){repeater, idle}, 2);
    call_refs(&calls, TAG_retire_imports, (kref_t[]){repeater, idle}, 2);
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 0};
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_service), services - 1, "the idle one is gone");
    rig_at(rig, 105);
    expect_repeat(105);
    rig_at(rig, 115);
    answers(expect_woken(115), true);
    cr_expect_eq(rig_rows(rig, ROW_service), services - 2);
    end();
}

Test(timer, a_handler_that_is_dead_ends_the_repeat)
{
    begin(false);
    repeat_after(5, 10, 1);
    wakeup(105, 0);
    msg_kill_t kill = {rig_id(rig), {2}, text_of("away with it")};
    rig_ask(rig, TAG_kill, &kill);
    expect_alarm(105);
    at(105);
    expect_alarm(0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
    end();
}

/* ---- notifiers ---- */

static kref_t notifier_new(uint64_t delay_ms, uint64_t interval, unsigned cancel_token)
{
    char body[200];
    kref_t slots[] = {token(cancel_token)};
    snprintf(body, sizeof body, "#[\"makeNotifier\",[\"+%" PRIu64 "\",\"+%" PRIu64 "\"%s]]",
             delay_ms, interval, cancel_token ? ",\"$0\"" : "");
    return object_of(ask_with(service, body, slots, cancel_token ? 1 : 0), "timerNotifier");
}

/* A COUNT of 0: undefined. */
static kref_t since(kref_t notifier, uint64_t count)
{
    char body[100];
    snprintf(body, sizeof body, "#[\"getUpdateSince\",[\"+%" PRIu64 "\"]]", count);
    return ask(notifier, count ? body : "#[\"getUpdateSince\",[]]");
}

static void a_notifier_in_the_future(void)
{
    kref_t notifier = notifier_new(25, 10, 1); /* 125, 135, ... */
    expect_alarm(0);
    kref_t first = since(notifier, 0);
    expect_alarm(125);
    at(130);
    expect_update(first, 125, 1);
    expect_alarm(0);
    kref_t second = since(notifier, 1);
    cr_expect_null(told(second));
    expect_alarm(135);
    at(140);
    expect_update(second, 135, 2);
    at(150);
    expect_update(since(notifier, 2), 145, 3);
    at(180);
    expect_update(since(notifier, 3), 175, 6);
    expect_update(ask(notifier, "#[\"getUpdateSince\",[6]]"), 175, 6); /* a number is no bigint */
    expect_alarm(0);
}
TWICE(a_notifier_in_the_future)

static void a_notifier_from_now(void)
{
    kref_t notifier = notifier_new(0, 10, 0);
    expect_update(since(notifier, 0), 100, 1);
    kref_t second = since(notifier, 1), third = since(notifier, 1);
    expect_alarm(110);
    at(101);
    cr_expect_null(told(second));
    at(116);
    expect_update(second, 110, 2);
    expect_update(third, 110, 2);
}
TWICE(a_notifier_from_now)

static void cancelled_notifiers_say_when(void)
{
    /* Before it ever fired, asked before and after. */
    kref_t notifier = notifier_new(5, 10, 1), first = since(notifier, 0);
    at(101);
    cancel(1);
    expect_alarm(0);
    expect_update(first, 101, 0);
    at(102);
    expect_update(since(notifier, 0), 101, 0);
    expect_update(since(notifier, 7), 101, 0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);

    /* While it is idle, and while it waits again; two waiting. */
    kref_t other = notifier_new(8, 10, 2); /* 110, 120, ... */
    kref_t same = notifier_new(8, 10, 2);
    at(110);
    expect_update(since(other, 0), 110, 1);
    kref_t waits = since(other, 1), also = since(other, 1);
    at(111);
    cancel(2);
    expect_update(waits, 111, 0);
    expect_update(also, 111, 0);
    expect_update(since(other, 1), 111, 0);
    expect_update(since(same, 0), 111, 0);
    cancel(2);
    expect_update(since(same, 0), 111, 0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
}
TWICE(cancelled_notifiers_say_when)

/* What next() says; AT_END: it was cancelled then. */
static void expect_step(kref_t promise, uint64_t ms, bool at_end)
{
    char body[200];
    snprintf(body, sizeof body, "#{\"done\":%s,\"value\":" TIME "}", at_end ? "true" : "false", ms);
    expect_body(promise, false, body);
}

static kref_t iterator_new(kref_t notifier)
{
    return object_of(ask(notifier, "#[\"%@@asyncIterator\",[]]"), "timerIterator");
}

static kref_t next(kref_t iterator) { return ask(iterator, "#[\"next\",[]]"); }

static void iterators(void)
{
    kref_t notifier = notifier_new(25, 10, 1); /* 125, 135, ... */
    kref_t iterator = iterator_new(notifier), other = iterator_new(notifier);
    kref_t first = next(iterator);
    expect_alarm(125);
    expect_error(next(iterator), "timer iterator dislikes overlapping next()");
    at(130);
    expect_step(first, 125, false);
    kref_t second = next(iterator);
    cr_expect_null(told(second));
    at(140);
    expect_step(second, 135, false);
    at(160);
    expect_step(next(iterator), 155, false); /* one was missed */
    at(180);
    expect_step(next(iterator), 175, false); /* and two */
    expect_step(next(other), 175, false);
    kref_t third = next(iterator);
    cr_expect_null(told(third));
    at(181);
    cancel(1);
    expect_step(third, 181, true);
    at(182);
    expect_step(next(iterator), 181, true);
    expect_step(next(iterator), 181, true);
    expect_step(next(other), 181, true);
    expect_alarm(0);
}
TWICE(iterators)

Test(timer, an_iterator_keeps_its_notifier)
{
    begin(false);
    size_t services = rig_rows(rig, ROW_service);
    kref_t notifier = notifier_new(5, 10, 1), iterator = iterator_new(notifier);
    cr_expect_eq(rig_rows(rig, ROW_timer), 2);
    call_refs(&calls, TAG_drop_imports, &notifier, 1);
    call_refs(&calls, TAG_retire_imports, &notifier, 1);
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 1};
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_service), services + 2);
    kref_t step = next(iterator);
    at(105);
    expect_step(step, 105, false);
    call_refs(&calls, TAG_drop_imports, &iterator, 1);
    call_refs(&calls, TAG_retire_imports, &iterator, 1);
    go.request = rig_id(rig);
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_service), services);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    end();
}

Test(timer, a_notifier_that_nobody_holds_lets_go_of_its_token)
{
    begin(false);
    kref_t notifier = notifier_new(5, 10, 1), waits = since(notifier, 0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 2);
    call_refs(&calls, TAG_drop_imports, &notifier, 1);
    call_refs(&calls, TAG_retire_imports, &notifier, 1);
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 0};
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_timer), 2, "somebody waits for it");
    at(105);
    expect_update(waits, 105, 1);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    end();
}

/* ---- many, and ends ---- */

Test(timer, a_few_with_each_step)
{
    enum { MANY = 150 };
    begin(false);
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
    end();
}

Test(timer, an_end_of_the_cluster_ends_its_timers)
{
    begin(false);
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
    end();
}

/* ---- a vat's own timeouts ---- */

static kref_t outside;

static void begin_outside(void)
{
    rig = rig_new();
    promises = said_count = 0;
    restarts = false;
    rig_host(rig, 1);
    rig_at(rig, 100);
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
    end();
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
    end();
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
    end();
}
