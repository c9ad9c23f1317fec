/* Distributed garbage collection, as the kernel sees it: who is told what, when, and in which order. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

static buf_t calls;
static const kref_t nothing;

static void setup(void) { calls = buf_of(CRANK_BYTES_MAX); }
static void teardown(void) { buf_clear(&calls); }
TestSuite(gc, .init = setup, .fini = teardown);

/* A cluster whose bootstrap has been run; window W. */
static rig_t *start(const char *names, unsigned window)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch(rig, names, &(rig_launch_t){.window = window});
    return rig;
}

/* The first vat's bootstrap crank sends BODY with SLOTS to the root of vat 2. */
static void hand_over(rig_t *rig, const kref_t *slots, size_t count)
{
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
    call_send(&calls, root(2), count == 1 ? "#[\"take\",[\"$0\"]]" : "#[\"take\",[\"$0\",\"$1\"]]",
              slots, count, nothing);
    rig_result(rig, 1, &calls);
}

static void reap(rig_t *rig, uint32_t vat)
{
    msg_reap_t msg = {.request = rig_id(rig), .vat = {vat}};
    cr_assert_eq(rig_ask(rig, TAG_reap, &msg)->tag, TAG_done);
}

/* In a reap VAT drops IT, and retires it when RETIRE. */
static void let_go(rig_t *rig, uint32_t vat, const kref_t *it, bool retire)
{
    reap(rig, vat);
    call_refs(&calls, TAG_drop_imports, it, 1);
    if (retire) call_refs(&calls, TAG_retire_imports, it, 1);
    rig_result(rig, vat, &calls);
}

static const krefs_t *gc_list(rig_t *rig, uint32_t vat, msg_tag_t tag)
{
    const msg_t *msg = rig_delivery(rig, vat);
    cr_assert(msg, "v%u has something to hear", vat);
    cr_assert_eq(msg->tag, tag, "%s, not %s", message_find(msg->tag)->name,
                 message_find(tag)->name);
    return &msg->body.deliver_drop_exports.krefs;
}

static void told(rig_t *rig, uint32_t vat, msg_tag_t tag, kref_t only)
{
    const krefs_t *list = gc_list(rig, vat, tag);
    cr_assert_eq(list->count, 1);
    cr_assert(kref_same(list->at[0], only));
}

/* alice gives bob an object, bob drops and retires it: alice is told to drop, then to retire, and then
 * it is gone. */
Test(gc, an_object_that_nobody_holds_is_dropped_then_retired_then_gone)
{
    rig_t *rig = start("alice bob", 1);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);
    uint64_t objects = rig_counter(rig, "objects");

    reap(rig, 2);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_reap);
    call_refs(&calls, TAG_drop_imports, &it, 1);
    call_refs(&calls, TAG_retire_imports, &it, 1);
    rig_result(rig, 2, &calls);

    told(rig, 1, TAG_deliver_drop_exports, it);
    rig_empty(rig, 1);
    told(rig, 1, TAG_deliver_retire_exports, it);
    rig_empty(rig, 1);
    cr_assert_eq(rig_counter(rig, "objects"), objects - 1);
    cr_assert_eq(rig_pending(rig, 1), 0);
    rig_destroy(&rig);
}

/* Bob keeps recognizing it: alice may let go, and say that it is deleted; then bob is told. */
Test(gc, the_exporter_retires_what_others_only_recognize)
{
    rig_t *rig = start("alice bob", 1);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);
    let_go(rig, 2, &it, false);
    told(rig, 1, TAG_deliver_drop_exports, it);
    rig_empty(rig, 1);
    cr_assert_eq(rig_pending(rig, 1), 0, "bob still recognizes it");

    reap(rig, 1);
    call_refs(&calls, TAG_retire_exports, &it, 1);
    rig_result(rig, 1, &calls);
    told(rig, 2, TAG_deliver_retire_imports, it);
    rig_empty(rig, 2);
    cr_assert_eq(rig_counter(rig, "objects"), 2, "the roots");
    rig_destroy(&rig);
}

/* Between the drop and the moment in which alice could hear of it she sends it again. */
Test(gc, what_is_sent_again_in_time_is_not_dropped)
{
    rig_t *rig = start("alice bob", 4);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);

    /* Two messages for alice are in flight when bob drops. */
    msg_call_t call = {
        .target = root(1), .methargs = rig_data("#[\"go\",[]]", NULL, 0), .no_result = 1};
    for (int i = 0; i < 2; i++) {
        call.request = rig_id(rig);
        cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    }
    let_go(rig, 2, &it, false);
    cr_assert_eq(rig_pending(rig, 1), 2, "dropExports waits for what is in flight");

    call_send(&calls, root(2), "#[\"take\",[\"$0\"]]", &it, 1, nothing);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 1);
    cr_assert_eq(rig_pending(rig, 1), 0, "and is not sent: bob has it again");
    rig_empty(rig, 2);
    rig_destroy(&rig);
}

/* With a window, a vat that is busy hears of drops after at most 64 deliveries. */
Test(gc, a_busy_vat_hears_of_drops_in_the_end)
{
    rig_t *rig = start("alice bob", 4);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);
    msg_call_t call = {
        .target = root(1), .methargs = rig_data("#[\"go\",[]]", NULL, 0), .no_result = 1};
    for (int i = 0; i < 200; i++) {
        call.request = rig_id(rig);
        rig_ask(rig, TAG_call, &call);
    }
    let_go(rig, 2, &it, true);

    unsigned before = 0;
    while (rig_delivery(rig, 1)->tag == TAG_deliver_message) {
        rig_empty(rig, 1);
        before++;
    }
    cr_assert_leq(before, BARRIER_DELIVERIES);
    cr_assert_gt(before, 4, "it kept its window for a while");
    told(rig, 1, TAG_deliver_drop_exports, it);
    cr_assert_eq(rig_pending(rig, 1), 1, "it is alone");
    rig_destroy(&rig);
}

/* A vat ends: its objects are orphans, who still recognizes one is told when nobody reaches it. */
Test(gc, importers_of_the_dead_are_told_when_nobody_reaches_it)
{
    rig_t *rig = start("alice bob carol", 1);
    kref_t it[] = {ko(1, 1), ko(1, 2)};
    hand_over(rig, it, 2);
    rig_empty(rig, 2);
    reap(rig, 2);
    call_refs(&calls, TAG_drop_imports, it, 1); /* recognized: in a weak collection */
    rig_result(rig, 2, &calls);
    told(rig, 1, TAG_deliver_drop_exports, it[0]);

    msg_kill_t kill = {.request = rig_id(rig), .vat = {1}};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    told(rig, 2, TAG_deliver_retire_imports, it[0]);
    rig_empty(rig, 2);

    /* The other one is reached: it stays, and messages to it splat. */
    reap(rig, 2);
    call_send(&calls, it[1], "#[\"hi\",[]]", NULL, 0, kp(2, 1));
    call_subscribe(&calls, kp(2, 1));
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_notify);
    rig_empty(rig, 2);
    let_go(rig, 2, &it[1], false);
    told(rig, 2, TAG_deliver_retire_imports, it[1]);
    rig_empty(rig, 2);
    cr_assert_eq(rig_counter(rig, "objects"), 2, "the roots of bob and carol");
    rig_destroy(&rig);
}

/* Reaps come by themselves: after so many deliveries, after so many krefs. */
Test(gc, a_reap_is_due_after_so_many_deliveries)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch(rig, "alice", &(rig_launch_t){.window = 1, .reap_deliveries = 5});
    rig_empty(rig, 1); /* bootstrap; the start counted, too */
    msg_call_t call = {
        .target = root(1), .methargs = rig_data("#[\"go\",[]]", NULL, 0), .no_result = 1};
    for (int i = 0; i < 10; i++) {
        call.request = rig_id(rig);
        rig_ask(rig, TAG_call, &call);
    }
    unsigned reaps = 0, others = 0;
    for (const msg_t *msg; (msg = rig_delivery(rig, 1)); rig_empty(rig, 1))
        ++*(msg->tag == TAG_deliver_reap ? &reaps : &others);
    cr_assert_eq(reaps, 2);
    cr_assert_eq(others, 10);
    rig_destroy(&rig);
}

/* What is due survives the broker, though there is no table of it. */
Test(gc, what_is_due_is_due_after_a_restart)
{
    rig_t *rig = start("alice bob", 1);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);
    msg_call_t call = {.request = rig_id(rig),
                       .target = root(1),
                       .methargs = rig_data("#[\"go\",[]]", NULL, 0),
                       .no_result = 1};
    rig_ask(rig, TAG_call, &call); /* in flight, so that dropExports has to wait */
    let_go(rig, 2, &it, true);
    rig_restart(rig, false);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
    rig_empty(rig, 1);
    told(rig, 1, TAG_deliver_drop_exports, it);
    rig_empty(rig, 1);
    told(rig, 1, TAG_deliver_retire_exports, it);
    rig_restart(rig, false);
    rig_empty(rig, 1);
    cr_assert_eq(rig_counter(rig, "objects"), 2);
    rig_destroy(&rig);
}

/* A client cannot bring back what its owner was told to drop. */
Test(gc, a_client_may_not_name_what_was_dropped)
{
    rig_t *rig = start("alice bob", 1);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);
    let_go(rig, 2, &it, false);
    msg_call_t call = {
        .request = rig_id(rig), .target = it, .methargs = rig_data("#[\"go\",[]]", NULL, 0)};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->body.failed.error, ERR_REF_UNKNOWN);
    rig_destroy(&rig);
}

/* Nor what its owner has deleted, while somebody who recognizes it is not told yet: it would come
 * home to an owner that does not know it. */
Test(gc, a_client_may_not_name_what_was_retired)
{
    rig_t *rig = start("alice bob", 1);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);
    let_go(rig, 2, &it, false);
    rig_empty(rig, 1); /* dropExports */

    msg_call_t busy = {.request = rig_id(rig),
                       .target = root(2),
                       .methargs = rig_data("#[\"go\",[]]", NULL, 0),
                       .no_result = 1};
    rig_ask(rig, TAG_call, &busy);
    reap(rig, 1);
    call_refs(&calls, TAG_retire_exports, &it, 1);
    rig_result(rig, 1, &calls);
    msg_call_t call = {.request = rig_id(rig),
                       .target = root(1),
                       .methargs = rig_data("#[\"go\",[\"$0\"]]", &it, 1)};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->body.failed.error, ERR_REF_UNKNOWN);
    rig_empty(rig, 2);
    told(rig, 2, TAG_deliver_retire_imports, it);
    rig_empty(rig, 2);
    rig_destroy(&rig);
}

/* A crank may not name what only a later delivery gives. */
Test(gc, what_a_later_delivery_gives_an_earlier_crank_has_not)
{
    rig_t *rig = start("alice bob", 4);
    kref_t it = ko(1, 1);
    msg_call_t call = {.request = rig_id(rig),
                       .target = root(2),
                       .methargs = rig_data("#[\"go\",[]]", NULL, 0),
                       .no_result = 1};
    rig_ask(rig, TAG_call, &call);
    hand_over(rig, &it, 1);
    cr_assert_eq(rig_pending(rig, 2), 2);
    call_send(&calls, it, "#[\"hi\",[]]", NULL, 0, nothing);
    rig_result(rig, 2, &calls); /* bob answers `go` with what `take` is about to give */
    cr_assert_eq(rig_counter(rig, "vats"), 1, "that was illegal");
    rig_destroy(&rig);
}

/* A person calls a method and gets an object: it is there for the next call, until it is let go. */
Test(gc, what_a_client_was_shown_is_held_until_it_is_released)
{
    rig_t *rig = start("alice", 1);
    rig_empty(rig, 1);
    kref_t it = ko(1, 1);
    msg_call_t call = {
        .request = rig_id(rig), .target = root(1), .methargs = rig_data("#[\"make\",[]]", NULL, 0)};
    kref_t result = rig_ask(rig, TAG_call, &call)->body.sent.result;
    call_resolve(&calls, result, false, "#\"$0.Alleged: it\"", &it, 1);
    rig_result(rig, 1, &calls);
    msg_await_t await = {rig_id(rig), result};
    cr_assert_eq(rig_ask(rig, TAG_await, &await)->tag, TAG_settled);
    cr_assert_eq(rig_pending(rig, 1), 0, "nothing to drop");

    call = (msg_call_t){.request = rig_id(rig),
                        .target = it,
                        .methargs = rig_data("#[\"use\",[]]", NULL, 0),
                        .no_result = 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    rig_empty(rig, 1);
    msg_release_t release = {rig_id(rig), {9}};
    cr_assert_eq(rig_ask(rig, TAG_release, &release)->body.failed.error, ERR_CLUSTER_UNKNOWN);
    release = (msg_release_t){rig_id(rig), {1}};
    rig_restart(rig, false);
    cr_assert_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);
    told(rig, 1, TAG_deliver_drop_exports, it);
    rig_destroy(&rig);
}

/* bob gives up an object while a message to it is on its way: what is on its way still names it, so it
 * is an import of his from then on. */
Test(gc, an_object_given_up_while_a_message_to_it_is_in_flight)
{
    rig_t *rig = start("alice bob", 4);
    kref_t it = ko(2, 1);
    call_send(&calls, root(2), "#[\"give\",[]]", NULL, 0, kp(1, 1));
    call_subscribe(&calls, kp(1, 1));
    rig_result(rig, 1, &calls);
    call_resolve(&calls, kp(1, 1), false, "#\"$0.Alleged: it\"", &it, 1);
    rig_result(rig, 2, &calls);

    msg_call_t call = {.request = rig_id(rig),
                       .target = root(2),
                       .methargs = rig_data("#[\"go\",[]]", NULL, 0),
                       .no_result = 1};
    rig_ask(rig, TAG_call, &call);
    call_send(&calls, it, "#[\"hi\",[]]", NULL, 0, kp(1, 2));
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_pending(rig, 2), 2);
    call_refs(&calls, TAG_abandon_exports, &it, 1);
    rig_result(rig, 2, &calls);
    call_resolve(&calls, kp(1, 2), true, "#\"nobody is left\"", NULL, 0);
    rig_result(rig, 2, &calls);

    let_go(rig, 1, &it, true);
    cr_assert_eq(rig_counter(rig, "objects"), 3, "bob holds what was his");
    let_go(rig, 2, &it, true);
    cr_assert_eq(rig_counter(rig, "objects"), 2);
    rig_destroy(&rig);
}

/* An export that was dropped comes back by being exported again. */
Test(gc, exported_again_after_the_drop)
{
    rig_t *rig = start("alice bob", 1);
    kref_t it = ko(1, 1);
    hand_over(rig, &it, 1);
    rig_empty(rig, 2);
    let_go(rig, 2, &it, false);
    told(rig, 1, TAG_deliver_drop_exports, it);
    call_send(&calls, root(2), "#[\"take\",[\"$0\"]]", &it, 1, nothing);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_message);
    rig_empty(rig, 2);
    cr_assert_eq(rig_pending(rig, 1), 0);

    /* Then retireExports of it is illegal: it is reachable. */
    reap(rig, 1);
    call_refs(&calls, TAG_retire_exports, &it, 1);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_counter(rig, "vats"), 1);
    rig_destroy(&rig);
}
