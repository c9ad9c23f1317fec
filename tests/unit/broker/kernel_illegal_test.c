/* Illegal cranks: nothing of the crank happens, and its vat ends in the same step. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING         "#[\"ping\",[]]"
#define TAKE_ONE     "#[\"take\",[\"$0.Alleged: it\"]]"
#define TAKE_PROMISE "#[\"take\",[\"&0\"]]"

static const kref_t nothing;

static buf_t calls;

/* alice (v1, has bootstrap's message and all roots), bob (v2), carol (v3). */
static rig_t *start(void)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob carol", NULL)->tag, TAG_launched);
    return rig;
}

/* v1 answers with CALLS, of which one is illegal for the reason NAME: it ends, and what the legal
 * syscalls of the same crank wanted has not happened. */
static void expect_illegal(rig_t *rig, const char *name)
{
    uint64_t objects = rig_counter(rig, "objects");
    size_t bob = rig_pending(rig, 2), carol = rig_pending(rig, 3);
    rig_result(rig, 1, &calls);
    char *vats = rig_list(rig, 0, nothing);
    cr_assert(strstr(vats, "illegal syscall: "), "%s", vats);
    cr_assert(strstr(vats, name), "%s is not in %s", name, vats);
    free(vats);
    cr_assert_eq(rig_counter(rig, "vats"), 2);
    cr_assert(rig_counter(rig, "objects") <= objects, "exports of the crank exist");
    cr_assert_eq(rig_pending(rig, 2), bob);
    cr_assert_eq(rig_pending(rig, 3), carol);
    cr_assert_eq(rig_host_frames(rig, TAG_vat_end), 1);

    msg_await_t await = {rig_id(rig), kp(0, 1)};
    const msg_t *settled = rig_ask(rig, TAG_await, &await);
    cr_assert(settled->body.settled.rejected);
    cr_assert(rig_body_is(&settled->body.settled.value,
                          "#{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\","
                          "\"name\":\"Error\"}"));
    rig_destroy(&rig);
}

/* A legal send first: its effect must not be seen. */
static rig_t *begin(void)
{
    rig_t *rig = start();
    kref_t presence = ko(1, 1);
    call_send(&calls, root(2), TAKE_ONE, &presence, 1, kp(1, 1));
    return rig;
}

Test(illegal, a_kref_that_was_never_given)
{
    rig_t *rig = start();
    kref_t secret = ko(2, 1);
    rig_empty(rig, 1);
    msg_call_t call = {rig_id(rig), root(2), rig_data(PING, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    call_send(&calls, root(2), TAKE_ONE, &secret, 1, nothing);
    rig_result(rig, 2, &calls);
    rig_empty(rig, 2);
    call.request = rig_id(rig);
    call.target = root(1);
    rig_ask(rig, TAG_call, &call);
    call_send(&calls, secret, PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    char *vats = rig_list(rig, 0, nothing);
    cr_assert(strstr(vats, "NOT_HELD"), "%s", vats);
    free(vats);
    rig_destroy(&rig);
}

/* Unknown and not yours get the same bytes. */
Test(illegal, a_kref_that_does_not_exist)
{
    rig_t *rig = begin();
    call_send(&calls, ko(2, 77), PING, NULL, 0, nothing);
    expect_illegal(rig, "the vat names a kref that it does not hold (NOT_HELD, v1/2#2)");
}

Test(illegal, a_serial_that_is_not_the_next)
{
    rig_t *rig = begin();
    kref_t far_off = ko(1, 3);
    call_send(&calls, root(2), TAKE_ONE, &far_off, 1, nothing);
    expect_illegal(rig, "NOT_NEXT");
}

Test(illegal, serials_of_promises_count_apart)
{
    rig_t *rig = start();
    kref_t first = ko(1, 1);
    call_send(&calls, root(2), TAKE_ONE, &first, 1, kp(1, 2));
    expect_illegal(rig, "NOT_NEXT");
}

Test(illegal, the_bootstrap_promise_is_not_for_naming)
{
    rig_t *rig = begin();
    call_subscribe(&calls, kp(0, 99));
    expect_illegal(rig, "NOT_HELD");
}

Test(illegal, a_result_that_is_used_again)
{
    rig_t *rig = begin();
    call_send(&calls, root(3), PING, NULL, 0, kp(1, 1));
    expect_illegal(rig, "TWICE");
}

Test(illegal, a_result_that_is_a_slot_of_the_same_message)
{
    rig_t *rig = begin();
    kref_t promise = kp(1, 2);
    call_send(&calls, root(3), TAKE_PROMISE, &promise, 1, promise);
    expect_illegal(rig, "TWICE");
}

Test(illegal, a_promise_that_somebody_else_decides)
{
    rig_t *rig = begin();
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0); /* the queue holds it now */
    expect_illegal(rig, "NOT_DECIDER");
}

Test(illegal, resolving_twice_in_one_batch)
{
    rig_t *rig = begin();
    resolution_t batch[] = {{kp(1, 2), false, rig_data("#1", NULL, 0)},
                            {kp(1, 2), false, rig_data("#2", NULL, 0)}};
    msg_resolve_t resolve = {{batch, 2}};
    call_any(&calls, TAG_resolve, &resolve);
    expect_illegal(rig, "NOT_DECIDER");
}

/* The name dies with the resolution: the second syscall speaks of something unknown. */
Test(illegal, resolving_twice_in_one_crank)
{
    rig_t *rig = begin();
    call_resolve(&calls, kp(0, 1), false, "#1", NULL, 0);
    call_resolve(&calls, kp(0, 1), false, "#2", NULL, 0);
    expect_illegal(rig, "NOT_HELD");
}

Test(illegal, fulfilling_with_exactly_one_promise)
{
    rig_t *rig = begin();
    kref_t other = kp(1, 2);
    call_resolve(&calls, kp(0, 1), false, "#\"&0\"", &other, 1);
    expect_illegal(rig, "RESOLVE_TO_PROMISE");
}

Test(illegal, rejecting_with_a_promise_is_legal)
{
    rig_t *rig = start();
    kref_t other = kp(1, 1);
    call_resolve(&calls, kp(0, 1), true, "#\"&0\"", &other, 1);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_counter(rig, "vats"), 3);
    rig_destroy(&rig);
}

Test(illegal, a_body_that_is_not_well_formed)
{
    rig_t *rig = begin();
    call_send(&calls, root(2), "#[\"ping\",[", NULL, 0, nothing);
    expect_illegal(rig, "BODY_BROKEN");
}

Test(illegal, a_slot_of_the_other_kind)
{
    rig_t *rig = begin();
    kref_t promise = kp(1, 2);
    call_send(&calls, root(2), TAKE_ONE, &promise, 1, nothing);
    expect_illegal(rig, "BODY_BROKEN");
}

Test(illegal, methargs_that_are_no_pair)
{
    rig_t *rig = begin();
    call_send(&calls, root(2), "#[\"ping\"]", NULL, 0, nothing);
    expect_illegal(rig, "BODY_BROKEN");
}

Test(illegal, an_object_where_a_promise_must_stand)
{
    rig_t *rig = begin();
    call_subscribe(&calls, root(2));
    expect_illegal(rig, "REF_KIND");
}

Test(illegal, dropping_twice)
{
    rig_t *rig = begin();
    kref_t bob = root(3);
    call_refs(&calls, TAG_drop_imports, &bob, 1);
    call_refs(&calls, TAG_drop_imports, &bob, 1);
    expect_illegal(rig, "TWICE");
}

Test(illegal, using_what_was_dropped)
{
    rig_t *rig = begin();
    kref_t carol = root(3);
    call_refs(&calls, TAG_drop_imports, &carol, 1);
    call_send(&calls, carol, PING, NULL, 0, nothing);
    expect_illegal(rig, "NOT_HELD");
}

Test(illegal, retiring_what_is_reachable)
{
    rig_t *rig = begin();
    kref_t carol = root(3);
    call_refs(&calls, TAG_retire_imports, &carol, 1);
    expect_illegal(rig, "STILL_REACHABLE");
}

Test(illegal, dropping_an_export)
{
    rig_t *rig = begin();
    kref_t own = ko(1, 1);
    call_refs(&calls, TAG_drop_imports, &own, 1);
    expect_illegal(rig, "NOT_HELD");
}

Test(illegal, a_call_that_is_no_syscall)
{
    rig_t *rig = begin();
    msg_ping_t ping = {0};
    call_any(&calls, TAG_ping, &ping);
    expect_illegal(rig, "WIRE_TURN");
}

Test(illegal, bytes_that_are_no_frame)
{
    rig_t *rig = begin();
    cr_assert_eq(buf_add(&calls, "\xc1\xc1", 2), ERR_OK);
    expect_illegal(rig, "WIRE_");
}

/* Drop, then retire, and the counts follow; the object itself stays until its owner is told. */
Test(illegal, dropping_and_retiring_in_order_is_legal)
{
    rig_t *rig = start();
    kref_t presence = ko(1, 1), carol = root(3);
    call_send(&calls, root(2), TAKE_ONE, &presence, 1, nothing);
    call_refs(&calls, TAG_drop_imports, &carol, 1);
    call_refs(&calls, TAG_retire_imports, &carol, 1);
    rig_result(rig, 1, &calls);
    char *list = rig_list(rig, 3, carol);
    cr_assert(!strstr(list, "vat: v1"), "%s", list);
    free(list);

    rig_empty(rig, 2);
    msg_call_t call = {rig_id(rig), root(2), rig_data(PING, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    call_refs(&calls, TAG_drop_imports, &presence, 1);
    rig_result(rig, 2, &calls);
    list = rig_list(rig, 3, presence);
    cr_assert(strstr(list, "reachable: 0, recognizable: 1"), "%s", list);
    cr_assert(strstr(list, "recognizable\""), "%s", list);
    free(list);
    rig_destroy(&rig);
}

/* What is abandoned keeps its identity, and messages to it splat. */
Test(illegal, abandoned_exports_are_ownerless)
{
    rig_t *rig = start();
    kref_t presence = ko(1, 1);
    call_send(&calls, root(2), TAKE_ONE, &presence, 1, nothing);
    call_refs(&calls, TAG_abandon_exports, &presence, 1);
    rig_result(rig, 1, &calls);
    call_send(&calls, presence, PING, NULL, 0, kp(2, 1));
    call_subscribe(&calls, kp(2, 1));
    rig_result(rig, 2, &calls);
    const msg_t *told = rig_delivery(rig, 2);
    cr_assert(told && told->tag == TAG_deliver_notify);
    cr_assert(told->body.deliver_notify.resolutions.at[0].rejected);
    char *list = rig_list(rig, 3, presence);
    cr_assert(strstr(list, "\"orphan\""), "%s", list);
    free(list);
    rig_destroy(&rig);
}
