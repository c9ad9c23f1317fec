/* Messages, promises and notifies between raw vats. Serials of vat v count from 1: v's n-th export
 * is ko<v>.<n>, its n-th promise kp<v>.<n>. The rig audits after every step. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING         "#[\"ping\",[]]"
#define TAKE_ONE     "#[\"take\",[\"$0.Alleged: it\"]]"
#define TAKE_PROMISE "#[\"take\",[\"&0\"]]"

static const kref_t nothing;

/* Two or more vats, started, with the bootstrap message taken by the first. */
static rig_t *cluster(const char *names)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    const msg_t *launched = rig_launch(rig, names, NULL);
    cr_assert(launched && launched->tag == TAG_launched);
    return rig;
}

static const msg_deliver_message_t *message(rig_t *rig, uint32_t vat)
{
    const msg_t *msg = rig_delivery(rig, vat);
    cr_assert(msg && msg->tag == TAG_deliver_message);
    return &msg->body.deliver_message;
}

static const resolutions_t *notify(rig_t *rig, uint32_t vat)
{
    const msg_t *msg = rig_delivery(rig, vat);
    cr_assert(msg && msg->tag == TAG_deliver_notify);
    return &msg->body.deliver_notify.resolutions;
}

static void expect_list(rig_t *rig, kref_t kref, const char *part)
{
    char *text = rig_list(rig, 3, kref);
    cr_assert(strstr(text, part), "%s is not in: %s", part, text);
    free(text);
}

Test(message, bootstrap_gets_all_roots_sorted_by_name)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    const msg_t *launched = rig_launch(rig, "main zoe 10 9", NULL);
    cr_assert(launched && launched->tag == TAG_launched);
    cr_assert_eq(launched->body.launched.root.n, root(1).n);
    cr_assert_eq(launched->body.launched.result.n, kp(0, 1).n);

    const msg_deliver_message_t *boot = message(rig, 1);
    cr_assert(rig_body_is(&boot->methargs,
                          "#[\"bootstrap\",[{\"9\":\"$3.Alleged: vatRoot\","
                          "\"10\":\"$2.Alleged: vatRoot\",\"main\":\"$0.Alleged: vatRoot\","
                          "\"zoe\":\"$1.Alleged: vatRoot\"},{}]]"));
    for (uint32_t i = 0; i < 4; i++) cr_assert_eq(boot->methargs.slots.at[i].n, root(i + 1).n);
    rig_destroy(&rig);
}

/* SwingSet appendix C, last trace: a ping with a presence, answered with "pong". */
Test(message, ping_and_its_answer_leave_only_the_presence)
{
    rig_t *rig = cluster("alice bob");
    uint64_t promises = rig_counter(rig, "promises");
    buf_t calls = {0};
    kref_t presence = ko(1, 1), answer = kp(1, 1);
    call_send(&calls, root(2), "#[\"ping\",[\"$0.Alleged: it\"]]", &presence, 1, answer);
    call_subscribe(&calls, answer);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_pending(rig, 1), 0);

    const msg_deliver_message_t *ping = message(rig, 2);
    cr_assert_eq(ping->target.n, root(2).n);
    cr_assert_eq(ping->result.n, answer.n);
    cr_assert_eq(ping->methargs.slots.at[0].n, presence.n);
    cr_assert(ping->stamp_ms > 0);
    call_resolve(&calls, answer, false, "#\"pong\"", NULL, 0);
    rig_result(rig, 2, &calls);

    const resolutions_t *told = notify(rig, 1);
    cr_assert_eq(told->count, 1);
    cr_assert_eq(told->at[0].promise.n, answer.n);
    cr_assert(!told->at[0].rejected && rig_body_is(&told->at[0].data, "#\"pong\""));
    rig_empty(rig, 1);

    cr_assert_eq(rig_counter(rig, "promises"), promises, "the answer's promise is deleted");
    expect_list(rig, presence, "\"live\"");
    expect_list(rig, presence, "reachable: 1, recognizable: 1");
    cr_assert_eq(rig_counter(rig, "messages"), 2);
    cr_assert_eq(rig_rows(rig, ROW_promise), rig_counter(rig, "promises"));
    cr_assert_eq(rig_rows(rig, ROW_entry), 0);
    rig_destroy(&rig);
}

Test(message, pipelined_messages_wait_in_the_promise_and_follow_the_answer)
{
    rig_t *rig = cluster("alice bob carol");
    buf_t calls = {0};
    call_send(&calls, root(2), "#[\"one\",[]]", NULL, 0, kp(1, 1));
    call_send(&calls, kp(1, 1), "#[\"two\",[]]", NULL, 0, kp(1, 2));
    call_send(&calls, kp(1, 2), "#[\"three\",[]]", NULL, 0, kp(1, 3));
    call_subscribe(&calls, kp(1, 1));
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_counter(rig, "waiting"), 2);

    kref_t object = ko(2, 1);
    call_resolve(&calls, kp(1, 1), false, "#\"$0.Alleged: next\"", &object, 1);
    rig_result(rig, 2, &calls);
    const msg_deliver_message_t *two = message(rig, 2);
    cr_assert_eq(two->target.n, object.n);
    cr_assert(rig_body_is(&two->methargs, "#[\"two\",[]]"));
    cr_assert_eq(notify(rig, 1)->at[0].promise.n, kp(1, 1).n);

    call_resolve(&calls, kp(1, 2), false, "#7", NULL, 0);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_counter(rig, "splats"), 1);
    rig_empty(rig, 1);
    cr_assert_null(rig_delivery(rig, 1), "nobody subscribed to the others");
    rig_destroy(&rig);
}

static void splat_text(const char *value, bool rejected, const char *expect)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 1));
    call_send(&calls, kp(1, 1), "#[\"foo\",[1]]", NULL, 0, kp(1, 2));
    call_subscribe(&calls, kp(1, 2));
    rig_result(rig, 1, &calls);
    call_resolve(&calls, kp(1, 1), rejected, value, NULL, 0);
    rig_result(rig, 2, &calls);
    const resolutions_t *told = notify(rig, 1);
    cr_assert_eq(told->at[0].promise.n, kp(1, 2).n);
    cr_assert(told->at[0].rejected);
    cr_assert(rig_body_is(&told->at[0].data, expect), "%.*s", (int)told->at[0].data.body.len,
              (const char *)told->at[0].data.body.at);
    rig_destroy(&rig);
}

Test(message, a_message_to_data_or_to_a_rejection_splats)
{
    splat_text("#7", false,
               "#{\"#error\":\"[KERNEL:BAD_PROMISE_RESOLUTION] data is not callable, has no method "
               "foo\",\"name\":\"Error\"}");
    splat_text("#\"no\"", true, "#\"no\"");
}

Test(message, three_parties_are_introduced)
{
    rig_t *rig = cluster("alice bob carol");
    buf_t calls = {0};
    kref_t carol = root(3);
    call_send(&calls, root(2), TAKE_ONE, &carol, 1, nothing);
    rig_result(rig, 1, &calls);
    cr_assert_eq(message(rig, 2)->methargs.slots.at[0].n, carol.n);
    call_send(&calls, carol, PING, NULL, 0, nothing);
    rig_result(rig, 2, &calls);
    cr_assert_eq(message(rig, 3)->target.n, carol.n);
    cr_assert_eq(message(rig, 3)->result.n, 0);
    rig_empty(rig, 3);
    expect_list(rig, carol, "vat: v2");
    rig_destroy(&rig);
}

/* E-order: the notify of a subscriber comes before the message that waited. */
Test(message, notifies_come_before_messages_that_waited)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 1));
    call_send(&calls, kp(1, 1), "#[\"later\",[]]", NULL, 0, nothing);
    call_subscribe(&calls, kp(1, 1));
    rig_result(rig, 1, &calls);
    kref_t alice = root(1);
    call_send(&calls, kp(2, 1), PING, NULL, 0, nothing);
    rig_result(rig, 2, &calls); /* bob keeps alice's promise open, and holds no root of hers */
    cr_assert_eq(rig_pending(rig, 2), 0);

    msg_call_t call = {rig_id(rig), root(2), rig_data(TAKE_ONE, &alice, 1), 1};
    rig_ask(rig, TAG_call, &call);
    call_resolve(&calls, kp(1, 1), false, "#\"$0.Alleged: a\"", &alice, 1);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_notify);
    rig_empty(rig, 1);
    cr_assert(rig_body_is(&message(rig, 1)->methargs, "#[\"later\",[]]"));
    rig_destroy(&rig);
}

/* A raw vat sends to a promise and resolves it in the same crank: routed at once, the message would
 * wait in the promise and come behind the notify; it comes first (SwingSet 10.1.2). */
Test(message, routing_waits_for_the_end_of_the_crank)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    kref_t promise = kp(1, 1), alice = root(1);
    call_send(&calls, root(2), TAKE_PROMISE, &promise, 1, nothing);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, promise);
    rig_result(rig, 2, &calls);
    msg_call_t call = {rig_id(rig), alice, rig_data(PING, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    kref_t bob = root(2);
    call_send(&calls, promise, "#[\"late\",[]]", NULL, 0, nothing);
    call_resolve(&calls, promise, false, "#\"$0.Alleged: b\"", &bob, 1);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_message,
                 "the send came first in the crank, so it was routed first");
    rig_destroy(&rig);
}

Test(message, a_late_subscriber_is_told_at_once)
{
    rig_t *rig = cluster("alice bob carol");
    buf_t calls = {0};
    kref_t promise = kp(1, 1);
    call_send(&calls, root(2), TAKE_PROMISE, &promise, 1, nothing);
    call_resolve(&calls, promise, true, "#\"no\"", NULL, 0);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, promise);
    rig_result(rig, 2, &calls);
    const resolutions_t *told = notify(rig, 2);
    cr_assert(told->at[0].rejected && rig_body_is(&told->at[0].data, "#\"no\""));
    uint64_t promises = rig_counter(rig, "promises");
    rig_empty(rig, 2);
    cr_assert_eq(rig_counter(rig, "promises"), promises - 1, "nobody holds it any more");
    rig_destroy(&rig);
}

/* Depth first, pre-order, over a cycle through data: p1 := [p2, p3], p2 := [p1], p3 := 3. */
Test(message, a_notify_carries_its_closure_once)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    kref_t p1 = kp(1, 1), p2 = kp(1, 2), p3 = kp(1, 3);
    kref_t both[] = {p2, p3};
    call_send(&calls, root(2), TAKE_PROMISE, &p1, 1, nothing);
    resolution_t batch[] = {{p1, false, rig_data("#[\"&0\",\"&1\"]", both, 2)},
                            {p2, false, rig_data("#[\"&0\"]", &p1, 1)},
                            {p3, false, rig_data("#3", NULL, 0)}};
    msg_resolve_t resolve = {{batch, 3}};
    call_any(&calls, TAG_resolve, &resolve);
    rig_result(rig, 1, &calls);

    call_subscribe(&calls, p1);
    rig_result(rig, 2, &calls);
    const resolutions_t *told = notify(rig, 2);
    cr_assert_eq(told->count, 3);
    cr_assert_eq(told->at[0].promise.n, p1.n);
    cr_assert_eq(told->at[1].promise.n, p2.n);
    cr_assert_eq(told->at[2].promise.n, p3.n);
    cr_assert_eq(rig_counter(rig, "promises"), 4);
    rig_empty(rig, 2);
    cr_assert_eq(rig_counter(rig, "promises"), 1, "the cycle holds only itself: it is deleted");
    rig_destroy(&rig);
}

/* A cycle that a value outside leads to stays, and goes with that value. */
Test(message, a_cycle_lives_as_long_as_something_leads_to_it)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    kref_t p3 = kp(1, 1), p1 = kp(1, 2), p2 = kp(1, 3);
    call_send(&calls, root(2), TAKE_PROMISE, &p3, 1, nothing);
    resolution_t batch[] = {{p1, false, rig_data("#[\"&0\"]", &p2, 1)},
                            {p2, false, rig_data("#[\"&0\"]", &p1, 1)},
                            {p3, false, rig_data("#[\"&0\"]", &p1, 1)}};
    msg_resolve_t resolve = {{batch, 3}};
    call_any(&calls, TAG_resolve, &resolve);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_counter(rig, "promises"), 4);
    rig_empty(rig, 2); /* it imported p3 and did not subscribe */
    cr_assert_eq(rig_counter(rig, "promises"), 4);
    msg_kill_t kill = {rig_id(rig), {2}, text_of("")};
    rig_ask(rig, TAG_kill, &kill);
    cr_assert_eq(rig_counter(rig, "promises"), 1);
    rig_destroy(&rig);
}

/* Already told: two notifies are queued, the first one's batch contains the second's promise. */
Test(message, what_a_batch_told_is_not_told_again)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    kref_t pair[] = {kp(1, 1), kp(1, 2)};
    call_send(&calls, root(2), "#[\"take\",[\"&0\",\"&1\"]]", pair, 2, nothing);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, pair[0]);
    call_subscribe(&calls, pair[1]);
    rig_result(rig, 2, &calls);
    msg_call_t call = {rig_id(rig), root(1), rig_data(PING, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    resolution_t batch[] = {{pair[0], false, rig_data("#[\"&0\"]", &pair[1], 1)},
                            {pair[1], false, rig_data("#[\"&0\"]", &pair[0], 1)}};
    msg_resolve_t resolve = {{batch, 2}};
    call_any(&calls, TAG_resolve, &resolve);
    rig_result(rig, 1, &calls);
    cr_assert_eq(notify(rig, 2)->count, 2);
    rig_empty(rig, 2);
    cr_assert_null(rig_delivery(rig, 2));
    rig_destroy(&rig);
}

/* S6: a promise that its maker has resolved and forgotten comes back as an ordinary import. */
Test(message, an_own_promise_comes_home_as_an_import)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    kref_t promise = kp(1, 1), alice = root(1);
    call_send(&calls, root(2), "#[\"take\",[\"&0\",\"$1.Alleged: a\"]]", (kref_t[]){promise, alice},
              2, nothing);
    call_resolve(&calls, promise, false, "#7", NULL, 0);
    rig_result(rig, 1, &calls);
    call_send(&calls, alice, TAKE_PROMISE, &promise, 1, nothing);
    rig_result(rig, 2, &calls);
    cr_assert_eq(message(rig, 1)->methargs.slots.at[0].n, promise.n);
    call_subscribe(&calls, promise);
    rig_result(rig, 1, &calls);
    cr_assert(rig_body_is(&notify(rig, 1)->at[0].data, "#7"));
    rig_empty(rig, 1);
    cr_assert_null(rig_delivery(rig, 1));
    rig_destroy(&rig);
}

Test(message, every_promise_of_a_long_talk_is_deleted)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    rig_empty(rig, 1);
    uint64_t promises = rig_counter(rig, "promises"), objects = rig_counter(rig, "objects");
    for (uint64_t i = 1; i <= 50; i++) {
        msg_call_t call = {rig_id(rig), root(1), rig_data(PING, NULL, 0), 1};
        rig_ask(rig, TAG_call, &call);
        call_send(&calls, root(2), PING, NULL, 0, kp(1, i));
        call_subscribe(&calls, kp(1, i));
        rig_result(rig, 1, &calls);
        call_resolve(&calls, kp(1, i), false, "#\"pong\"", NULL, 0);
        rig_result(rig, 2, &calls);
        rig_empty(rig, 1);
    }
    cr_assert_eq(rig_counter(rig, "promises"), promises);
    cr_assert_eq(rig_counter(rig, "objects"), objects);
    cr_assert_eq(rig_rows(rig, ROW_entry), 0);
    rig_destroy(&rig);
}

/* One crank at a time, in the order in which entries were queued. */
Test(message, serial_clusters_run_one_crank_at_a_time)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.serial = 1};
    cr_assert_eq(rig_launch(rig, "alice bob carol", &options)->tag, TAG_launched);
    buf_t calls = {0};
    call_send(&calls, root(3), PING, NULL, 0, nothing);
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    call_send(&calls, root(3), PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    const uint32_t order[] = {3, 2, 3};
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t vat = 1; vat <= 3; vat++)
            cr_assert_eq(rig_pending(rig, vat), vat == order[i], "turn %zu, v%u", i, vat);
        rig_empty(rig, order[i]);
    }
    rig_destroy(&rig);
}

Test(message, traffic_and_life_are_events)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 1));
    call_subscribe(&calls, kp(1, 1));
    rig_result(rig, 1, &calls);
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0);
    rig_result(rig, 2, &calls);
    rig_empty(rig, 1);
    cr_assert_eq(rig_events(rig, "launch"), 1);
    cr_assert_eq(rig_events(rig, "vat-start"), 2);
    cr_assert_eq(rig_events(rig, "send"), 2);
    cr_assert_eq(rig_events(rig, "deliver"), 5);
    cr_assert_eq(rig_events(rig, "done"), 5);
    cr_assert_eq(rig_events(rig, "resolve"), 1);
    rig_destroy(&rig);
}
