/* How vats end: exit, failure, limits, kill, a start that fails; and what their callers see. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING       "#[\"ping\",[]]"
#define TAKE_ONE   "#[\"take\",[\"$0.Alleged: it\"]]"
#define TERMINATED "#{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"}"

static const kref_t nothing;

static buf_t calls;

static rig_t *start(const char *names, const rig_launch_t *options)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, names, options)->tag, TAG_launched);
    return rig;
}

/* alice sends two messages to bob, one is in flight, one is queued; she waits for both, and for a
 * promise that bob decides. Then bob ends. */
static rig_t *busy(void)
{
    rig_t *rig = start("alice bob", NULL);
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 1));
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 2));
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 3));
    for (uint64_t i = 1; i <= 3; i++) call_subscribe(&calls, kp(1, i));
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2); /* bob keeps kp1.1 open */
    return rig;
}

static void expect_rejected(rig_t *rig, uint64_t count)
{
    uint64_t seen = 0;
    while (rig_delivery(rig, 1)) {
        const msg_t *msg = rig_delivery(rig, 1);
        cr_assert_eq(msg->tag, TAG_deliver_notify);
        const resolutions_t *told = &msg->body.deliver_notify.resolutions;
        for (size_t i = 0; i < told->count; i++, seen++) {
            cr_assert_eq(told->at[i].promise.n, kp(1, seen + 1).n, "in the order of krefs");
            cr_assert(told->at[i].rejected && rig_body_is(&told->at[i].data, TERMINATED));
        }
        rig_empty(rig, 1);
    }
    cr_assert_eq(seen, count, "each promise is rejected once");
    cr_assert_eq(rig_counter(rig, "vats"), 1);
    cr_assert_eq(rig_host_frames(rig, TAG_vat_end), 1);
    cr_assert_eq(rig_events(rig, "vat-exit"), 1);
    cr_assert_eq(rig_rows(rig, ROW_entry), 0);
}

static void expect_reason(rig_t *rig, const char *reason)
{
    char *vats = rig_list(rig, 0, nothing);
    cr_assert(strstr(vats, reason), "%s is not in %s", reason, vats);
    free(vats);
}

Test(end, kill_rejects_what_the_vat_decides_and_what_waits_for_it)
{
    rig_t *rig = busy();
    msg_kill_t kill = {rig_id(rig), {2}, text_of("enough")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    expect_reason(rig, "enough");
    expect_rejected(rig, 3);
    rig_destroy(&rig);
}

Test(end, a_limit_ends_the_vat_and_its_reason_can_be_read)
{
    rig_t *rig = busy();
    rig_fail(rig, 2, ERR_VAT_LIMIT_COMPUTE, "Compute meter exceeded");
    expect_reason(rig, "Compute meter exceeded");
    expect_rejected(rig, 3);
    rig_destroy(&rig);
}

Test(end, exit_keeps_the_crank_and_ends_the_vat)
{
    rig_t *rig = busy();
    call_resolve(&calls, kp(1, 1), false, "#\"kept\"", NULL, 0);
    call_exit(&calls, false, "#\"bye\"");
    rig_result(rig, 2, &calls);
    const resolutions_t *told = &rig_delivery(rig, 1)->body.deliver_notify.resolutions;
    cr_assert(!told->at[0].rejected && rig_body_is(&told->at[0].data, "#\"kept\""));
    rig_empty(rig, 1);
    cr_assert(rig_delivery(rig, 1)->body.deliver_notify.resolutions.at[0].rejected);
    expect_reason(rig, "bye");
    rig_destroy(&rig);
}

Test(end, of_two_exits_the_last_one_counts_and_so_does_what_follows)
{
    rig_t *rig = busy();
    call_exit(&calls, true, "#\"oops\"");
    call_exit(&calls, false, "#\"bye\"");
    call_resolve(&calls, kp(1, 1), false, "#\"kept\"", NULL, 0);
    rig_result(rig, 2, &calls);
    const resolutions_t *told = &rig_delivery(rig, 1)->body.deliver_notify.resolutions;
    cr_assert(!told->at[0].rejected && rig_body_is(&told->at[0].data, "#\"kept\""));
    expect_reason(rig, "bye");
    rig_destroy(&rig);
}

Test(end, exit_with_failure_discards_the_crank)
{
    rig_t *rig = busy();
    call_resolve(&calls, kp(1, 1), false, "#\"lost\"", NULL, 0);
    call_exit(&calls, true, "#\"oops\"");
    rig_result(rig, 2, &calls);
    expect_reason(rig, "oops");
    expect_rejected(rig, 3);
    rig_destroy(&rig);
}

Test(end, lost_ends_the_vat_and_a_late_result_is_dropped)
{
    rig_t *rig = busy();
    msg_result_t late = rig_result_frame(rig, 2, NULL);
    msg_lost_t lost = {{2},
                       late.inc,
                       late.pgen,
                       late.run,
                       late.d,
                       ERR_VAT_LIMIT_WALL,
                       text_of("wall clock limit exceeded")};
    rig_from_host(rig, 1, TAG_lost, &lost);
    uint64_t cranks = rig_counter(rig, "cranks");
    rig_from_host(rig, 1, TAG_result, &late);
    cr_assert_eq(rig_counter(rig, "cranks"), cranks);
    expect_reason(rig, "wall clock limit exceeded");
    expect_rejected(rig, 3);
    rig_destroy(&rig);
}

Test(end, frames_of_another_run_or_host_are_dropped)
{
    rig_t *rig = busy();
    uint32_t other = rig_host(rig, 2);
    msg_result_t good = rig_result_frame(rig, 2, NULL);
    uint64_t cranks = rig_counter(rig, "cranks");
    msg_result_t bad[] = {good, good, good};
    bad[0].run++;
    bad[1].pgen++;
    bad[2].d += 1;
    good.inc++; /* says nothing: a run spans an upgrade */
    for (size_t i = 0; i < 3; i++) rig_from_host(rig, 1, TAG_result, &bad[i]);
    rig_from_host(rig, other, TAG_result, &good);
    cr_assert_eq(rig_counter(rig, "cranks"), cranks);
    rig_empty(rig, 2);
    cr_assert_eq(rig_counter(rig, "cranks"), cranks + 1);
    rig_from_host(rig, 1, TAG_result, &good);
    cr_assert_eq(rig_counter(rig, "cranks"), cranks + 1, "a result is applied once");
    cr_assert_eq(rig_counter(rig, "vats"), 2);
    rig_destroy(&rig);
}

Test(end, another_history_is_quarantined)
{
    rig_t *rig = busy();
    msg_result_t bad = rig_result_frame(rig, 2, NULL);
    bad.chain.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_result, &bad);
    expect_reason(rig, "quarantined");
    cr_assert_eq(rig_counter(rig, "vats"), 2, "its promises stay as they are");
    msg_quiet_t quiet = {rig_id(rig), {1}};
    cr_assert_eq(rig_ask(rig, TAG_quiet, &quiet)->tag, TAG_idle, "what does not move is not busy");
    msg_kill_t kill = {rig_id(rig), {2}, text_of("")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    expect_rejected(rig, 3);
    rig_destroy(&rig);
}

Test(end, a_repeated_result_that_differs_is_quarantined)
{
    rig_t *rig = busy();
    msg_result_t again = rig_result_frame(rig, 2, NULL);
    rig_empty(rig, 2);
    rig_from_host(rig, 1, TAG_result, &again);
    expect_reason(rig, "running");
    again.store_digest.b[3] = 9;
    rig_from_host(rig, 1, TAG_result, &again);
    expect_reason(rig, "quarantined");
    rig_destroy(&rig);
}

Test(end, diverged_is_quarantined)
{
    rig_t *rig = busy();
    msg_result_t frame = rig_result_frame(rig, 2, NULL);
    msg_diverged_t diverged = {{2}, frame.inc, frame.pgen, frame.run, 1, 0, {0}};
    rig_from_host(rig, 1, TAG_diverged, &diverged);
    expect_reason(rig, "quarantined");
    rig_destroy(&rig);
}

/* Exports of a dead vat keep their identity for those who hold them; messages splat. */
Test(end, exports_of_the_dead_are_ownerless)
{
    rig_t *rig = start("alice bob", NULL);
    kref_t bob = root(2);
    call_send(&calls, bob, PING, NULL, 0, kp(1, 1));
    rig_result(rig, 1, &calls);
    kref_t presence = ko(2, 1);
    call_resolve(&calls, kp(1, 1), false, "#\"$0.Alleged: p\"", &presence, 1);
    call_exit(&calls, false, "#\"bye\"");
    rig_result(rig, 2, &calls);
    char *list = rig_list(rig, 3, bob);
    cr_assert(strstr(list, "\"orphan\""), "%s", list);
    free(list);
    msg_call_t call = {rig_id(rig), bob, rig_data(PING, NULL, 0), 0};
    const msg_t *sent = rig_ask(rig, TAG_call, &call);
    msg_await_t await = {rig_id(rig), sent->body.sent.result};
    const msg_t *settled = rig_ask(rig, TAG_await, &await);
    cr_assert(settled->body.settled.rejected);
    rig_destroy(&rig);
}

static const msg_t *launch_fails(rig_t *rig, err_t outcome, const char *reason)
{
    rig_launch_t options = {.no_start = true};
    cr_assert_null(rig_launch(rig, "alice bank", &options));
    rig_fail(rig, 2, outcome, reason);
    return rig_reply(rig, 1);
}

Test(end, a_start_that_fails_leaves_nothing_of_the_cluster)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    const msg_t *failed = launch_fails(rig, ERR_NO_BUILD_ROOT, "no buildRootObject");
    cr_assert(failed && failed->tag == TAG_failed);
    cr_assert_eq(failed->body.failed.error, ERR_NO_BUILD_ROOT);
    cr_assert(strstr(failed->body.failed.what.at, "did not start: vat \"bank\""));
    cr_assert(text_is(failed->body.failed.why, "no buildRootObject"));
    cr_assert_eq(rig_host_frames(rig, TAG_vat_end), 2);
    for (unsigned what = 0; what < 2; what++) {
        char *list = rig_list(rig, what, nothing);
        cr_assert_str_eq(list, "");
        free(list);
    }
    const row_table_t empty[] = {ROW_vat,   ROW_cluster, ROW_object, ROW_promise,
                                 ROW_entry, ROW_held,    ROW_log,    ROW_hold};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        cr_assert_eq(rig_rows(rig, empty[i]), 0, "table %d", (int)empty[i]);
    cr_assert_eq(rig_launch(rig, "again", NULL)->tag, TAG_launched);
    rig_destroy(&rig);
}

/* A client can name the root of a vat that is still starting, and give it to another cluster. */
Test(end, a_vat_that_never_started_is_remembered_while_something_of_it_is_held)
{
    rig_t *rig = start("alice", NULL);
    rig_launch_t options = {.no_start = true};
    cr_assert_null(rig_launch(rig, "bob", &options));
    kref_t bob = root(2);
    msg_call_t call = {rig_id(rig), root(1), rig_data(TAKE_ONE, &bob, 1), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    rig_empty(rig, 1);
    rig_fail(rig, 2, ERR_NO_BUILD_ROOT, "no");
    cr_assert_eq(rig_reply(rig, 1)->tag, TAG_failed);
    rig_restart(rig, false);
    char *list = rig_list(rig, 3, bob);
    cr_assert(strstr(list, "\"orphan\""), "%s", list);
    free(list);
    rig_destroy(&rig);
}

/* A client pins what such a vat's globals use: that works for a vat that is known. */
Test(end, a_vat_that_never_started_is_remembered_while_something_about_it_is_held)
{
    rig_t *rig = start("alice", NULL);
    rig_launch_t options = {.no_start = true, .globals = "setTimeout"};
    cr_assert_null(rig_launch(rig, "bob", &options));
    const capdata_t *parameters = &rig_delivery(rig, 2)->body.deliver_start.parameters;
    cr_assert_eq(parameters->slots.count, 1);
    kref_t outside = parameters->slots.at[0];
    msg_pin_t pin = {rig_id(rig), outside, 0};
    cr_assert_eq(rig_ask(rig, TAG_pin, &pin)->tag, TAG_done);
    rig_fail(rig, 2, ERR_NO_BUILD_ROOT, "no");
    cr_assert_eq(rig_reply(rig, 1)->tag, TAG_failed);
    rig_restart(rig, false);
    pin = (msg_pin_t){rig_id(rig), outside, 1};
    cr_assert_eq(rig_ask(rig, TAG_pin, &pin)->tag, TAG_done);
    cr_assert_eq(rig_rows(rig, ROW_service), 0);
    rig_destroy(&rig);
}

Test(end, a_critical_vat_takes_its_cluster_with_it)
{
    rig_launch_t options = {.critical = 2};
    rig_t *rig = start("alice bob", &options);
    msg_kill_t kill = {rig_id(rig), {2}, text_of("gone")};
    kref_t result = kref_promise((vat_t){0}, 1); /* bootstrap's */
    rig_ask(rig, TAG_kill, &kill);
    cr_assert_eq(rig_counter(rig, "vats"), 0);
    cr_assert_eq(rig_counter(rig, "clusters"), 0);
    cr_assert_eq(rig_counter(rig, "objects"), 0);
    cr_assert_eq(rig_counter(rig, "promises"), 1, "a client may be about to ask for it");
    msg_await_t await = {rig_id(rig), result};
    cr_assert(rig_ask(rig, TAG_await, &await)->body.settled.rejected);
    cr_assert_eq(rig_counter(rig, "promises"), 0);
    rig_destroy(&rig);
}

Test(end, removing_a_cluster_forgets_all_of_it_and_its_log)
{
    rig_t *rig = busy();
    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    cr_assert_eq(rig_ask(rig, TAG_cluster_rm, &rm)->tag, TAG_done);
    const char *zero[] = {"vats", "clusters", "objects",   "promises",
                          "held", "queued",   "in_flight", "holds"};
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
        cr_assert_eq(rig_counter(rig, zero[i]), 0, "%s", zero[i]);
    cr_assert_eq(rig_rows(rig, ROW_log), 0);
    cr_assert_eq(rig_rows(rig, ROW_held), 0);
    cr_assert_eq(rig_rows(rig, ROW_vat), 2, "that they were is remembered");
    rm.request = rig_id(rig);
    cr_assert_eq(rig_ask(rig, TAG_cluster_rm, &rm)->body.failed.error, ERR_CLUSTER_UNKNOWN);
    rig_destroy(&rig);
}

/* Messages that the dead vat itself sent are delivered; answers to it go nowhere. */
Test(end, the_dead_have_sent_what_they_have_sent)
{
    rig_t *rig = start("alice bob", NULL);
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 1));
    call_subscribe(&calls, kp(1, 1));
    call_exit(&calls, false, "#\"bye\"");
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_message);
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_counter(rig, "vats"), 1);
    cr_assert_eq(rig_counter(rig, "promises"), 1, "bootstrap's, held by the cluster");
    rig_destroy(&rig);
}

/* alice runs 300 deliveries, of which the last one is exit: more rows than one step deletes. */
static rig_t *long_log(void)
{
    rig_t *rig = start("alice", NULL);
    for (int i = 0; i < 300; i++) call_send(&calls, root(1), PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    for (int i = 1; i < 300; i++) rig_empty(rig, 1);
    rig_no_chores(rig);
    call_exit(&calls, false, "#\"bye\"");
    rig_result(rig, 1, &calls);
    return rig;
}

/* That no row is deleted twice, or without being there, the rig's store looks after. */
Test(end, a_long_log_goes_in_pieces_each_row_once)
{
    rig_t *rig = long_log();
    size_t left = rig_rows(rig, ROW_log);
    cr_assert_gt(left, 200, "the step that ended it deleted few");
    rig_counter(rig, "vats");
    cr_assert_lt(rig_rows(rig, ROW_log), left, "every step deletes some");
    size_t few = left - rig_rows(rig, ROW_log);
    cr_assert_gt(rig_rows(rig, ROW_log), 200, "but not many");
    left = rig_rows(rig, ROW_log);
    cr_assert(kernel_chores(rig_kernel(rig)));
    rig_chore(rig);
    cr_assert_gt(left - rig_rows(rig, ROW_log), 2 * few,
                 "a step with nothing else to do deletes more");
    unsigned chores = 0;
    for (; kernel_chores(rig_kernel(rig)); chores++) rig_chore(rig);
    cr_assert_eq(rig_rows(rig, ROW_log), 0);
    cr_assert_leq(chores, 4);
    rig_destroy(&rig);
}

Test(end, a_restart_goes_on_deleting_where_the_log_stood)
{
    rig_t *rig = long_log();
    cr_assert_gt(rig_rows(rig, ROW_log), 200, "some are left for the next start");
    rig_restart(rig, false);
    while (kernel_chores(rig_kernel(rig))) rig_chore(rig);
    cr_assert_eq(rig_rows(rig, ROW_log), 0);
    cr_assert_eq(rig_rows(rig, ROW_held), 0);
    rig_destroy(&rig);
}
