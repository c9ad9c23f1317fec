/* A worker comes whose vat's heap nobody can read: its log again from the beginning, or its baggage. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/kernel_rig.h"
#include "tests/unit/broker/listed.h"

#define PING "#[\"ping\",[]]"
#define TAKE "#[\"take\",[\"$0\"]]"

static const kref_t nothing;

static rig_t *rig;
static buf_t calls;

static void launched(bool mirror)
{
    rig_launch_t options = {.window = 4, .reap_deliveries = REAP_NEVER, .mirror = mirror};
    rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", &options)->tag, TAG_launched);
    rig_run_dry(rig);
}

static void set_up(void) { launched(false); }

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(baggage, .init = set_up, .fini = tear_down);

static void expect_told(const char *what)
{
    const msg_event_t *event = rig_event(rig, "vat-restart");
    cr_assert(event);
    cr_expect(strstr(event->text.at, what), "%.*s", (int)event->text.len, event->text.at);
}

/* Bob has two checkpoints, and stands on the newer one: his log begins behind the older. */
static void trimmed(void)
{
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    rig_checkpoint(rig, 2, false);
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    rig_checkpoint(rig, 2, false);
    expect_listed(rig, "safe: 2");
}

static void expect_message(const char *method)
{
    const msg_t *delivery = rig_delivery(rig, 2);
    cr_assert(delivery && delivery->tag == TAG_deliver_message);
    cr_expect(strstr((const char *)delivery->body.deliver_message.methargs.body.at, method));
}

static uint64_t told_again(void) { return rig_told(rig, TAG_attached)->body.attached.again; }

Test(baggage, a_whole_log_is_run_again)
{
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    rig_checkpoint(rig, 2, false);
    rig_call(rig, 2, PING);
    rig_heapless(rig, 2);
    cr_expect_eq(told_again(), 1);
    expect_told("it runs its log again from the beginning");
    cr_expect_eq(rig_checkpoint_frame(rig, 2).d, 2, "it fetched both rows");
    rig_run_dry(rig);
    expect_listed(rig, "applied: 3");
    expect_not_listed(rig, "quarantined");
}

Test(baggage, what_is_in_flight_comes_again_behind_an_upgrade)
{
    trimmed();
    rig_send(rig, 1, 2, "#[\"one\",[\"$0\"]]", ko(1, 1), kp(1, 1));
    rig_send(rig, 1, 2, "#[\"two\",[\"$0\"]]", ko(1, 1), nothing);
    for (int i = 0; i < 5; i++) rig_call(rig, 2, "#[\"more\",[]]"); /* some wait in the queue */
    rig_heapless(rig, 2);
    cr_expect_eq(told_again(), 2);
    expect_told("it begins again with its baggage");
    cr_assert_eq(rig_pending(rig, 2), 1);
    const msg_deliver_upgrade_t *row = &rig_delivery(rig, 2)->body.deliver_upgrade;
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_upgrade);
    cr_expect(text_is(row->bundle, "b1-00") && rig_body_is(&row->parameters, "#{}"));
    rig_empty(rig, 2);
    expect_listed(rig, "incarnation: 2");
    expect_message("one");
    cr_expect_eq(rig_delivery(rig, 2)->body.deliver_message.result.n, kp(1, 1).n);
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0);
    rig_result(rig, 2, &calls);
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_notify);
    expect_message("two");
    rig_empty(rig, 2);
    expect_message("more");
    rig_run_dry(rig);
    expect_not_listed(rig, "terminated");
    rig_restart(rig, true);
    expect_not_listed(rig, "quarantined");
}

/* The broker ends in the middle; what was given up is stepped over, and is nothing that is missing. */
Test(baggage, a_second_worker_without_a_heap_gets_the_same)
{
    trimmed();
    rig_call(rig, 2, "#[\"one\",[]]");
    rig_call(rig, 2, "#[\"two\",[]]");
    rig_heapless(rig, 2);
    rig_restart(rig, false);
    rig_heapless(rig, 2);
    cr_expect_eq(told_again(), 2);
    cr_assert_eq(rig_pending(rig, 2), 1);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_upgrade);
    rig_empty(rig, 2);
    expect_message("one");
    rig_run_dry(rig);
    expect_listed(rig, "incarnation: 2");
}

Test(baggage, a_notify_in_flight_is_told_again)
{
    trimmed();
    rig_send(rig, 1, 2, "#[\"take\",[\"&0\"]]", kp(1, 1), nothing);
    call_subscribe(&calls, kp(1, 1));
    rig_result(rig, 2, &calls);
    rig_checkpoint(rig, 2, false);
    rig_call(rig, 1, "#[\"go\",[]]");
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_notify);
    rig_heapless(rig, 2);
    rig_empty(rig, 2);
    cr_assert(rig_delivery(rig, 2) && rig_delivery(rig, 2)->tag == TAG_deliver_notify);
    rig_run_dry(rig);
}

Test(baggage, a_drop_in_flight_is_told_again)
{
    trimmed();
    kref_t own = ko(2, 1);
    rig_send(rig, 1, 2, TAKE, root(1), nothing);
    call_send(&calls, root(1), TAKE, &own, 1, nothing);
    rig_result(rig, 2, &calls);
    rig_checkpoint(rig, 2, false);
    call_refs(&calls, TAG_drop_imports, &own, 1);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_drop_exports);
    rig_heapless(rig, 2);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_upgrade, "before anything else");
    rig_empty(rig, 2);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_drop_exports);
    rig_empty(rig, 2);
}

Test(baggage, what_took_effect_cannot_be_taken_back)
{
    trimmed();
    kref_t own = ko(2, 1);
    rig_send(rig, 1, 2, TAKE, root(1), nothing);
    call_send(&calls, root(1), TAKE, &own, 1, nothing);
    rig_result(rig, 2, &calls);
    call_refs(&calls, TAG_drop_imports, &own, 1);
    call_refs(&calls, TAG_retire_imports, &own, 1);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    rig_checkpoint(rig, 2, false);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_retire_exports);
    rig_heapless(rig, 2);
    expect_listed(rig, "quarantined");
}

Test(baggage, a_reap_in_flight_is_asked_for_again)
{
    trimmed();
    msg_reap_t reap = {.request = rig_id(rig), .vat = {2}};
    cr_assert_eq(rig_ask(rig, TAG_reap, &reap)->tag, TAG_done);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_reap);
    rig_heapless(rig, 2);
    rig_empty(rig, 2);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_reap);
    rig_empty(rig, 2);
}

Test(baggage, an_upgrade_that_waits_comes_first)
{
    trimmed();
    for (int i = 0; i < 6; i++) rig_call(rig, 2, PING);
    msg_upgrade_t msg = {.request = rig_id(rig), .vat = {2}, .bundle = text_of("b1-next")};
    cr_assert_null(rig_ask(rig, TAG_upgrade, &msg));
    rig_heapless(rig, 2);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_upgrade);
    rig_empty(rig, 2);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_done);
    rig_run_dry(rig);
    expect_listed(rig, "incarnation: 2");
    expect_listed(rig, "bundle: \"b1-next\"");
    expect_not_listed(rig, "incarnation: 3");
}

Test(baggage, an_upgrade_in_flight_does_as_well)
{
    trimmed();
    msg_upgrade_t msg = {.request = rig_id(rig), .vat = {2}, .bundle = text_of("b1-next")};
    cr_assert_null(rig_ask(rig, TAG_upgrade, &msg));
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_upgrade);
    rig_heapless(rig, 2);
    cr_expect_eq(told_again(), 2);
    cr_assert_eq(rig_pending(rig, 2), 1);
    rig_empty(rig, 2);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_done);
    expect_listed(rig, "incarnation: 2");
}

Test(baggage, one_that_fails_is_the_end)
{
    trimmed();
    rig_call(rig, 2, PING);
    rig_heapless(rig, 2);
    rig_fail(rig, 2, ERR_VAT_FAILED, "no such export");
    expect_listed(rig, "quarantined");
    expect_listed(rig, "it could not begin again");
}

/* The checkpoint holds a result that was never heard: first that, and then the rest. */
Test(baggage, a_checkpoint_ahead_of_the_log_is_heard_first)
{
    trimmed();
    rig_call(rig, 2, "#[\"one\",[]]");
    rig_call(rig, 2, "#[\"two\",[]]");
    msg_result_t first = rig_result_frame(rig, 2, NULL);
    msg_checkpoint_t at = rig_checkpoint_frame(rig, 2);
    msg_attach_t ahead = {.vat = {2}, .inc = at.inc, .pgen = at.pgen, .heap = 1};
    ahead.checkpoint = ahead.last = first.d;
    rig_from_host(rig, 1, TAG_attach, &ahead);
    cr_expect_eq(told_again(), 2);
    expect_listed(rig, "applied: 3");
    first.run = rig_told(rig, TAG_attached)->body.attached.run;
    size_t sent = rig_host_frames(rig, TAG_deliver);
    rig_result_send(rig, 2, &first);
    cr_expect_eq(rig_host_frames(rig, TAG_deliver), sent + 1,
                 "the upgrade; what was given up came as rows");
    expect_listed(rig, "applied: 5");
    cr_expect_eq(rig_told(rig, TAG_deliver)->body.deliver.d, 6);
    expect_not_listed(rig, "quarantined");
}

Test(baggage, what_was_applied_since_is_missing)
{
    trimmed();
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    rig_heapless(rig, 2);
    expect_listed(rig, "quarantined");
    expect_listed(
        rig, "no heap of its checkpoint of delivery 3 can be read, and more was applied since: 4");
    cr_expect_eq(rig_events(rig, "vat-quarantine"), 1);
}

/* ---- the broker has a copy ---- */

/* Bob's newest checkpoint is at the broker, and his log begins there or behind the one before. */
static void set_up_copied(void)
{
    launched(true);
    for (int i = 0; i < 2; i++) {
        rig_runs(rig, 2, 1);
        rig_ready(rig, 2);
        rig_pulled(rig);
    }
    cr_assert_eq(rig_rows(rig, ROW_mirror), 1);
    cr_assert_gt(rig_vat(rig, 2).safe, 0);
}

TestSuite(copy, .init = set_up_copied, .fini = tear_down);

Test(copy, a_copy_is_worth_more)
{
    rig_call(rig, 2, "#[\"one\",[]]");
    uint64_t pgen = rig_told(rig, TAG_vat_new)->body.vat_new.pgen,
             applied = rig_vat(rig, 2).applied;
    rig_heapless(rig, 2);
    expect_told("it goes on from the broker's copy");
    const msg_t *fresh = rig_told(rig, TAG_vat_new);
    cr_assert_eq(fresh->body.vat_new.vat.n, 2);
    cr_expect_eq(fresh->body.vat_new.pgen, pgen + 1);
    rig_run_dry(rig);
    cr_expect_eq(rig_vat(rig, 2).applied, applied + 1, "one(), and no upgrade");
    expect_not_listed(rig, "quarantined");
}

Test(copy, a_copy_that_cannot_be_read_either_is_tried_once)
{
    rig_heapless(rig, 2);
    expect_told("it goes on from the broker's copy");
    rig_call(rig, 2, PING); /* it sleeps until there is something to do */
    rig_heapless(rig, 2);
    cr_expect_eq(told_again(), 2);
    expect_told("it begins again with its baggage");
}

Test(copy, an_older_copy_is_worth_less_than_what_stands)
{
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    rig_checkpoint(rig, 2, false);
    rig_heapless(rig, 2);
    cr_expect_eq(told_again(), 2);
    expect_told("it begins again with its baggage");
}

Test(copy, an_older_copy_is_worth_more_than_quarantine)
{
    rig_call(rig, 2, PING);
    rig_run_dry(rig);
    rig_heapless(rig, 2);
    expect_told("it goes on from the broker's copy");
    expect_not_listed(rig, "quarantined");
}
