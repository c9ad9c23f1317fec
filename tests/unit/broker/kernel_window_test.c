/* Several deliveries in flight: what a vat says in crank c is about what it had seen by then. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING         "#[\"ping\",[]]"
#define TAKE_ONE     "#[\"take\",[\"$0.Alleged: it\"]]"
#define TAKE_PROMISE "#[\"take\",[\"&0\"]]"

static const kref_t nothing;

static buf_t calls;

static rig_t *start(unsigned window)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.window = window};
    cr_assert_eq(rig_launch(rig, "alice bob carol", &options)->tag, TAG_launched);
    return rig;
}

static void send(rig_t *rig, uint32_t vat, const char *body, const kref_t *slot)
{
    msg_call_t call = {rig_id(rig), root(vat), rig_data(body, slot, slot ? 1 : 0), 1};
    rig_ask(rig, TAG_call, &call);
}

static bool holds(rig_t *rig, kref_t kref, const char *how)
{
    char *list = rig_list(rig, 3, kref);
    bool it = strstr(list, how) != NULL;
    free(list);
    return it;
}

Test(window, as_many_are_in_flight_as_it_allows)
{
    rig_t *rig = start(4);
    for (int i = 0; i < 6; i++) send(rig, 2, PING, NULL);
    cr_assert_eq(rig_pending(rig, 2), 4);
    rig_empty(rig, 2);
    cr_assert_eq(rig_pending(rig, 2), 4);
    rig_destroy(&rig);
    rig = start(1);
    for (int i = 0; i < 6; i++) send(rig, 2, PING, NULL);
    cr_assert_eq(rig_pending(rig, 2), 1);
    rig_destroy(&rig);
}

/* S4, B1: dropped in the crank before the one that brings it again: ignored, and so is its flag;
 * dropped in the crank that brought it: honoured. */
Test(window, a_drop_that_a_later_delivery_overtook_is_ignored)
{
    rig_t *rig = start(4);
    kref_t carol = root(3);
    send(rig, 2, TAKE_ONE, &carol);
    send(rig, 2, PING, NULL);
    rig_empty(rig, 2);
    send(rig, 2, TAKE_ONE, &carol);
    call_refs(&calls, TAG_drop_imports, &carol, 1);
    call_refs(&calls, TAG_retire_imports, &carol, 1);
    rig_result(rig, 2, &calls);
    cr_assert(holds(rig, carol, "vat: v2"));
    call_refs(&calls, TAG_drop_imports, &carol, 1);
    call_refs(&calls, TAG_retire_imports, &carol, 1);
    rig_result(rig, 2, &calls);
    cr_assert(!holds(rig, carol, "vat: v2"));
    cr_assert_eq(rig_counter(rig, "vats"), 3);
    rig_destroy(&rig);
}

/* B2: the resolution holds, the row stays for the delivery that brings the promise home. */
Test(window, a_promise_resolved_while_it_comes_home_stays_held)
{
    rig_t *rig = start(4);
    kref_t mine = kp(2, 1);
    send(rig, 2, PING, NULL);
    call_send(&calls, root(2), TAKE_PROMISE, &mine, 1, nothing);
    rig_result(rig, 2, &calls); /* it sends the promise to itself: in flight */
    send(rig, 2, PING, NULL);
    call_resolve(&calls, mine, false, "#1", NULL, 0);
    rig_empty(rig, 2);
    rig_result(rig, 2, &calls);
    cr_assert(!holds(rig, mine, "vat: v2"), "nothing later mentions it: forgotten");

    kref_t second = kp(2, 2);
    send(rig, 2, PING, NULL);
    send(rig, 2, PING, NULL);
    call_send(&calls, root(2), TAKE_PROMISE, &second, 1, nothing);
    rig_result(rig, 2, &calls);
    call_resolve(&calls, second, false, "#2", NULL, 0);
    rig_result(rig, 2, &calls); /* the crank before the one that takes it */
    cr_assert(holds(rig, second, "vat: v2"));
    call_subscribe(&calls, second);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_notify);
    rig_empty(rig, 2);
    cr_assert(!holds(rig, second, "vat: v2"));
    cr_assert_eq(rig_counter(rig, "vats"), 3);
    rig_destroy(&rig);
}

/* S5: a notify is in flight when the vat, in an earlier crank, subscribes: answered by it. */
Test(window, a_subscription_that_a_notify_in_flight_answers_is_ignored)
{
    rig_t *rig = start(4);
    kref_t p = kp(1, 1);
    call_send(&calls, root(2), TAKE_PROMISE, &p, 1, nothing);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, p);
    send(rig, 2, PING, NULL);
    rig_result(rig, 2, &calls);
    send(rig, 1, PING, NULL);
    call_resolve(&calls, p, false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_pending(rig, 2), 2, "a ping, and the notify");
    call_subscribe(&calls, p);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_pending(rig, 2), 1, "no second notify");
    rig_empty(rig, 2);
    cr_assert_null(rig_delivery(rig, 2));
    cr_assert(!holds(rig, p, "promise"), "it is gone");
    rig_destroy(&rig);
}

/* S5: mentioned again behind the notify: the row stays, a new subscription gets a new notify. */
Test(window, a_mention_behind_a_notify_keeps_the_row)
{
    rig_t *rig = start(4);
    kref_t p = kp(1, 1);
    call_send(&calls, root(2), TAKE_PROMISE, &p, 1, nothing);
    call_send(&calls, root(3), TAKE_PROMISE, &p, 1, nothing);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, p);
    rig_result(rig, 2, &calls);
    send(rig, 1, PING, NULL);
    call_resolve(&calls, p, false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    kref_t bob = root(2);
    rig_empty(rig, 3);
    send(rig, 3, TAKE_ONE, &bob);
    call_send(&calls, bob, TAKE_PROMISE, &p, 1, nothing);
    rig_result(rig, 3, &calls);
    cr_assert_eq(rig_pending(rig, 2), 2, "the notify, and the mention behind it");
    rig_empty(rig, 2);
    cr_assert(holds(rig, p, "vat: v2"));
    call_subscribe(&calls, p);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_notify);
    rig_empty(rig, 2);
    cr_assert(!holds(rig, p, "vat: v2"));
    rig_destroy(&rig);
}

/* A notify is in flight, and the next one mentions what it tells: it tells it once more. Otherwise the
 * vat would import it again and ask for it; in a ring of promises, for ever. */
Test(window, what_a_notify_mentions_it_tells)
{
    rig_t *rig = start(4);
    kref_t r = kp(1, 1), s = kp(3, 1), bob = root(2);
    call_send(&calls, bob, TAKE_PROMISE, &r, 1, nothing);
    call_send(&calls, root(3), TAKE_PROMISE, &r, 1, nothing);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, r);
    rig_result(rig, 2, &calls);
    rig_empty(rig, 3);
    send(rig, 3, TAKE_ONE, &bob);
    call_send(&calls, bob, TAKE_PROMISE, &s, 1, nothing);
    rig_result(rig, 3, &calls);
    call_subscribe(&calls, s);
    rig_result(rig, 2, &calls);

    send(rig, 1, PING, NULL);
    call_resolve(&calls, r, false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    send(rig, 3, PING, NULL);
    call_resolve(&calls, s, false, "#[\"&0\"]", &r, 1);
    rig_result(rig, 3, &calls);
    cr_assert_eq(rig_pending(rig, 2), 2);
    cr_assert_eq(rig_delivery(rig, 2)->body.deliver_notify.resolutions.count, 1, "r");
    rig_empty(rig, 2);
    cr_assert_eq(rig_delivery(rig, 2)->body.deliver_notify.resolutions.count, 2, "s, and r again");
    rig_empty(rig, 2);
    cr_assert(!holds(rig, r, "vat: v2") && !holds(rig, s, "vat: v2"));
    rig_destroy(&rig);
}

/* S11: what ran behind an illegal crank or an exit never ran; in-flight results are rejected once. */
Test(window, results_behind_the_end_are_dropped)
{
    rig_t *rig = start(4);
    for (uint64_t i = 1; i <= 4; i++) {
        call_send(&calls, root(2), PING, NULL, 0, kp(1, i));
        call_subscribe(&calls, kp(1, i));
    }
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_pending(rig, 2), 4);
    call_exit(&calls, false, "#\"bye\"");
    rig_result(rig, 2, &calls);
    uint64_t cranks = rig_counter(rig, "cranks");
    call_resolve(&calls, kp(1, 2), false, "#2", NULL, 0);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_counter(rig, "cranks"), cranks);
    cr_assert_eq(rig_pending(rig, 1), 4);
    for (int i = 0; i < 4; i++) {
        cr_assert(rig_delivery(rig, 1)->body.deliver_notify.resolutions.at[0].rejected);
        rig_empty(rig, 1);
    }
    rig_destroy(&rig);
}

/* A worker that attaches again while results are in the air: live rows come again, none is lost. */
Test(window, rows_in_flight_survive_a_restart)
{
    rig_t *rig = start(4);
    for (int i = 0; i < 6; i++) send(rig, 2, PING, NULL);
    rig_empty(rig, 2);
    rig_restart(rig, false);
    cr_assert_eq(rig_pending(rig, 2), 4);
    rig_restart(rig, true);
    cr_assert_eq(rig_pending(rig, 2), 4);
    for (int i = 0; i < 5; i++) rig_empty(rig, 2);
    cr_assert_null(rig_delivery(rig, 2));
    rig_destroy(&rig);
}
