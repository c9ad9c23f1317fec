/* Hosts that are drained or gone for good, and their vats. */
#include "tests/unit/broker/move_stage.h"

TestSuite(drain, .init = move_set_up, .fini = move_tear_down);

/* ---- hosts ---- */

Test(drain, a_host_is_drained)
{
    rig_runs(rig, 1, 3);
    cr_expect_null(change(1, DRAIN));
    cr_expect_eq(rig_host_frames(rig, TAG_checkpoint_ask), 2);
    ships(1);
    cr_expect_null(rig_reply(rig, 1));
    ships(3);
    expect_done(rig_reply(rig, 1));
    cr_expect_eq(host_of(1), 2);
    cr_expect_eq(host_of(3), 2);
    rig_runs(rig, 1, 2);
    rig_runs(rig, 3, 2);
    cr_expect_null(change(2, DRAIN), "there is no other: it waits");
    msg_host_change_t msg = {rig_id(rig), {1}, UNDRAIN};
    rig_ask_from(rig, 2, TAG_host_change, &msg);
    expect_done(rig_reply(rig, 2));
    cr_expect_null(rig_reply(rig, 1));
    for (uint32_t vat = 1; vat <= 3; vat++) ships(vat);
    cr_expect_eq(host_of(2), 1);
    expect_done(rig_reply(rig, 1));
}

/* What cannot be had is not asked for over and over. */
Test(drain, a_drain_ends_at_a_vat_of_which_no_copy_can_be_had)
{
    rig_runs(rig, 1, 2);
    cr_expect_null(change(1, DRAIN));
    rig_ready(rig, 1);
    cr_assert_eq(rig_pulls(rig), 1);
    size_t asks = rig_host_frames(rig, TAG_checkpoint_ask);
    rig_unpulled(rig, ERR_CHECKPOINT_BROKEN);
    cr_expect_null(rig_reply(rig, 1), "the other one can move");
    ships(3);
    expect_failed(rig_reply(rig, 1), ERR_HOST_BUSY,
                  "no copy could be had of a vat that stands there");
    cr_expect_eq(rig_host_frames(rig, TAG_checkpoint_ask), asks);
    cr_expect_eq(host_of(1), 1);
    cr_expect_null(change(1, DRAIN));
    cr_expect_gt(rig_host_frames(rig, TAG_checkpoint_ask), asks,
                 "asked for again it is tried again");
    ships(1);
    expect_done(rig_reply(rig, 1));
}

Test(drain, a_drain_survives_a_restart)
{
    msg_host_change_t msg = {rig_id(rig), {1}, DRAIN};
    cr_expect_null(rig_ask(rig, TAG_host_change, &msg));
    rig_restart(rig, true);
    cr_expect_null(rig_ask(rig, TAG_host_change, &msg));
    ships(1);
    ships(3);
    expect_done(rig_reply(rig, 1));
    cr_expect_null(change(2, DRAIN));
    expect_failed(change(2, UNDRAIN), ERR_HOST_BUSY, "it is not drained any more");
    expect_done(rig_reply(rig, 1));
}

Test(drain, no_applied_crank_of_a_mirrored_vat_is_lost_with_its_host)
{
    rig_runs(rig, 1, 7);
    cr_expect_null(move(1, 2)); /* any copy will do */
    ships(1);
    expect_done(rig_reply(rig, 1));
    rig_runs(rig, 1, 6);
    uint64_t applied = rig_vat(rig, 1).applied;
    expect_done(change(2, DISAVOW));
    cr_expect_eq(host_of(1), 1);
    cr_expect_eq(rig_vat(rig, 1).applied, applied);
    rig_runs(rig, 1, 1);
    cr_expect_eq(rig_vat(rig, 1).applied, applied + 1);
    cr_expect_eq(host_of(2), 1, "from its beginning");
    rig_runs(rig, 2, 1);
}

Test(drain, a_vat_without_a_copy_ends_with_its_host)
{
    rig_runs(rig, 1, 4);
    rig_checkpoint(rig, 1, false);
    rig_runs(rig, 1, 4);
    rig_checkpoint(rig, 1, false);
    cr_assert_gt(rig_vat(rig, 1).safe, 0);
    expect_done(change(1, DISAVOW));
    cr_expect_eq(rig_event(rig, "vat-exit")->vat.n, 1);
    cr_expect(is(3, "running"));
    cr_expect_eq(host_of(3), 2);
}

/* Until there is a place, it waits. */
Test(drain, vats_of_a_lost_host_wait_for_another)
{
    rig_runs(rig, 1, 4);
    rig_host_gone(rig, 2);
    expect_done(change(1, DISAVOW));
    cr_expect(is(1, "running"));
    rig_call(rig, 1, PING);
    rig_restart(rig, true);
    cr_expect_eq(host_of(1), 2, "h2 is back");
    rig_run_dry(rig);
    cr_expect_eq(rig_vat(rig, 1).in_flight, 0);
}

/* A host that went back to an older state: what the broker has brings the vat back. */
Test(drain, a_vat_in_quarantine_is_brought_back_from_its_copy)
{
    rig_runs(rig, 1, 4);
    cr_expect_null(move(1, 2));
    ships(1);
    expect_done(rig_reply(rig, 1));
    rig_runs(rig, 1, 4);
    msg_attach_t old = {
        .vat = {1}, .inc = 1, .pgen = 2, .last = 2, .checkpoint = 2, .chain = {{1}}};
    rig_from_host(rig, 2, TAG_attach, &old);
    cr_expect(is(1, "quarantined"));
    rig_host_gone(rig, 1);
    expect_done(move(1, 0));
    cr_expect(is(1, "running"));
    cr_expect_eq(host_of(1), 2);
    rig_runs(rig, 1, 2);
    cr_expect(is(1, "running"));
}
