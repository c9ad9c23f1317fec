#include "tests/unit/broker/timer_stage.h"

#include <criterion/criterion.h>
#include <stdio.h>

rig_t *rig;
buf_t calls;
kref_t service, brand;
static uint64_t promises;      /* that alice made */
static resolution_t said[512]; /* that alice was told */
static size_t said_count;
static bool restarts;

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
const resolution_t *told(kref_t promise)
{
    listen();
    for (size_t i = 0; i < said_count; i++)
        if (said[i].promise.n == promise.n) return &said[i];
    return NULL;
}

/* Alice sends TARGET a message. Returns the promise of its result. */
kref_t ask_with(kref_t target, const char *body, const kref_t *slots, size_t count)
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

kref_t ask(kref_t target, const char *body) { return ask_with(target, body, NULL, 0); }
kref_t ask_one(kref_t target, const char *body, kref_t slot)
{
    return ask_with(target, body, &slot, 1);
}

void at(uint64_t ms)
{
    if (restarts) rig_restart(rig, false);
    rig_at(rig, ms);
}

void expect_body(kref_t promise, bool rejected, const char *body)
{
    const resolution_t *told_of = told(promise);
    cr_assert(told_of, "it should be settled: %s", body);
    cr_expect(told_of->rejected == rejected && rig_body_is(&told_of->data, body),
              "%.*s, should be %s", (int)told_of->data.body.len, told_of->data.body.at, body);
}

void expect_time(kref_t promise, uint64_t ms)
{
    char body[200];
    snprintf(body, sizeof body, "#" TIME, ms);
    expect_body(promise, false, body);
    cr_expect_eq(told(promise)->data.slots.at[0].n, brand.n);
}

/* The answer of a notifier; a COUNT of 0: it was cancelled. */
void expect_update(kref_t promise, uint64_t ms, uint64_t count)
{
    char body[200], which[32] = "#undefined";
    if (count) snprintf(which, sizeof which, "+%" PRIu64, count);
    snprintf(body, sizeof body, "#{\"updateCount\":\"%s\",\"value\":" TIME "}", which, ms);
    expect_body(promise, false, body);
}

void expect_error(kref_t promise, const char *text)
{
    char body[300];
    snprintf(body, sizeof body, "#{\"#error\":\"%s\",\"name\":\"Error\"}", text);
    expect_body(promise, true, body);
}

void expect_flag(kref_t promise, bool flag)
{
    expect_body(promise, false, flag ? "#true" : "#false");
}

void expect_undefined(kref_t promise) { expect_body(promise, false, "#\"#undefined\""); }

/* The object that an answer is. */
kref_t object_of(kref_t promise, const char *iface)
{
    char body[100];
    snprintf(body, sizeof body, "#\"$0.Alleged: %s\"", iface);
    expect_body(promise, false, body);
    return told(promise)->data.slots.at[0];
}

/* ---- bob, the handler ---- */

/* He was woken at MS and has not answered. Returns the result that is asked of him. */
kref_t expect_woken(uint64_t ms)
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
void expect_wake(uint64_t ms)
{
    cr_expect(kref_none(expect_woken(ms)));
    rig_empty(rig, 2);
}

/* Bob's answer to what is now his oldest delivery. */
void answers(kref_t result, bool rejected)
{
    call_resolve(&calls, result, rejected, "#null", NULL, 0);
    rig_result(rig, 2, &calls);
}

void expect_repeat(uint64_t ms) { answers(expect_woken(ms), false); }
void expect_asleep(void) { cr_expect_null(rig_delivery(rig, 2), "nobody should be woken"); }

/* The kernel wants to be woken then; 0: never. */
void expect_alarm(uint64_t ms)
{
    cr_expect_eq(kernel_wake_us(rig_kernel(rig)), ms ? ms * 1000 : UINT64_MAX);
}

/* ---- the stage ---- */

enum { TOKENS = 4 };

kref_t token(unsigned n) { return ko(1, n); }

/* An empty kernel with a host; it is 100 ms past 1970. */
void stage_new(bool with_restarts)
{
    rig = rig_new();
    promises = said_count = 0;
    restarts = with_restarts;
    rig_host(rig, 1);
    rig_at(rig, 100);
}

/* With the cluster of alice and bob, who holds all tokens. */
void stage_begin(bool with_restarts)
{
    stage_new(with_restarts);
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

void stage_end(void)
{
    rig_destroy(&rig);
    buf_clear(&calls);
}

kref_t now(void) { return ask(service, "#[\"getCurrentTimestamp\",[]]"); }

kref_t cancel(unsigned n) { return ask_one(service, "#[\"cancel\",[\"$0\"]]", token(n)); }

/* ---- what alice asks for ---- */

kref_t wakeup(uint64_t when, unsigned cancel_token)
{
    char body[200];
    kref_t slots[] = {brand, root(2), token(cancel_token)};
    snprintf(body, sizeof body,
             "#[\"setWakeup\",[{\"absValue\":\"+%" PRIu64 "\",\"timerBrand\":\"$0\"},\"$1\"%s]]",
             when, cancel_token ? ",\"$2\"" : "");
    return ask_with(service, body, slots, cancel_token ? 3 : 2);
}

kref_t wake_at(uint64_t when, unsigned cancel_token)
{
    char body[100];
    kref_t slots[] = {token(cancel_token)};
    snprintf(body, sizeof body, "#[\"wakeAt\",[\"+%" PRIu64 "\"%s]]", when,
             cancel_token ? ",\"$0\"" : "");
    return ask_with(service, body, slots, cancel_token ? 1 : 0);
}

kref_t repeat_after(uint64_t delay_ms, uint64_t interval, unsigned cancel_token)
{
    char body[200];
    kref_t slots[] = {root(2), token(cancel_token)};
    snprintf(body, sizeof body, "#[\"repeatAfter\",[\"+%" PRIu64 "\",\"+%" PRIu64 "\",\"$0\"%s]]",
             delay_ms, interval, cancel_token ? ",\"$1\"" : "");
    return ask_with(service, body, slots, cancel_token ? 2 : 1);
}

kref_t notifier_new(uint64_t delay_ms, uint64_t interval, unsigned cancel_token)
{
    char body[200];
    kref_t slots[] = {token(cancel_token)};
    snprintf(body, sizeof body, "#[\"makeNotifier\",[\"+%" PRIu64 "\",\"+%" PRIu64 "\"%s]]",
             delay_ms, interval, cancel_token ? ",\"$0\"" : "");
    return object_of(ask_with(service, body, slots, cancel_token ? 1 : 0), "timerNotifier");
}

/* A COUNT of 0: undefined. */
kref_t since(kref_t notifier, uint64_t count)
{
    char body[100];
    snprintf(body, sizeof body, "#[\"getUpdateSince\",[\"+%" PRIu64 "\"]]", count);
    return ask(notifier, count ? body : "#[\"getUpdateSince\",[]]");
}
