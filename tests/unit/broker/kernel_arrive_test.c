/* Vats that were placed on a host and do not get there: it has no room, or the copy is damaged. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

enum { DRAIN = 1, UNDRAIN, DISAVOW };

static rig_t *rig;

/* alice (v1) on h1 with a copy of delivery 4 and a log from there on; then she was moved to h2, which does nothing
 * about it. The move waits. */
static void set_up(void)
{
    rig_launch_t options = {.window = 4, .reap_deliveries = REAP_NEVER};
    rig = rig_new();
    rig_host(rig, 1);
    rig_host(rig, 2);
    cr_assert_eq(rig_launch(rig, "alice", &options)->tag, TAG_launched);
    rig_run_dry(rig);
    for (int i = 0; i < 2; i++) {
        rig_runs(rig, 1, 3);
        rig_checkpoint(rig, 1, false);
    }
    msg_move_t move = {rig_id(rig), {1}, {2}};
    cr_assert_null(rig_ask(rig, TAG_move, &move));
    rig_ready(rig, 1);
    rig_hosts_deaf(rig, true);
    rig_pulled(rig);
    cr_assert_null(rig_reply(rig, 1));
    cr_assert_eq(rig_vat(rig, 1).host.n, 2);
    cr_assert_gt(rig_vat(rig, 1).safe, 0);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(arrive, .init = set_up, .fini = tear_down);

static bool is(const char *state) { return text_is(rig_vat(rig, 1).state, state); }

static void move_back(void)
{
    msg_move_t back = {rig_id(rig), {1}, {1}};
    rig_ask_from(rig, 2, TAG_move, &back);
}

/* Nobody there could make another copy: the one that is here does. */
Test(arrive, it_goes_back_at_once)
{
    rig_hosts_deaf(rig, false);
    move_back();
    const msg_t *first = rig_reply(rig, 1), *second = rig_reply(rig, 2);
    cr_assert(first && first->tag == TAG_failed);
    cr_expect_eq(first->body.failed.error, (uint64_t)ERR_MOVE_FAILED);
    cr_assert(second && second->tag == TAG_done);
    cr_expect_eq(rig_vat(rig, 1).host.n, 1);
    cr_expect_eq(rig_pulls(rig), 0);
    uint64_t applied = rig_vat(rig, 1).applied;
    rig_runs(rig, 1, 2);
    cr_expect_eq(rig_vat(rig, 1).applied, applied + 2);
    cr_expect(is("running"));
}

/* As a host on the other side of a slow line does. */
Test(arrive, an_attach_that_comes_too_late_is_of_an_old_placement)
{
    uint64_t pgen = rig_told(rig, TAG_vat_new)->body.vat_new.pgen;
    move_back();
    cr_expect_eq(rig_vat(rig, 1).host.n, 1);
    size_t ends = rig_host_frames(rig, TAG_vat_end);
    msg_attach_t late = {.vat = {1}, .inc = 1, .pgen = pgen};
    rig_from_host(rig, 2, TAG_attach, &late);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_end), ends + 1);
    cr_expect(is("running"));
}

/* It has nothing else, and people are to see that. */
Test(arrive, a_copy_that_is_damaged_is_told)
{
    rig_copy_lost(rig, 1, ERR_CHECKPOINT_BROKEN);
    cr_expect(is("quarantined"));
    cr_expect_eq(rig_events(rig, "vat-quarantine"), 1);
    const msg_t *reply = rig_reply(rig, 1);
    cr_assert(reply && reply->tag == TAG_failed);
    rig_restart(rig, true);
    cr_expect(is("quarantined"));
}

/* Whoever found that, a client that replayed or a start without the file: its host may have it already. When it has
 * not, it says so. */
Test(arrive, a_copy_that_is_missing_is_told_too)
{
    uint64_t pgen = rig_told(rig, TAG_vat_new)->body.vat_new.pgen;
    rig_restart(rig, true);
    rig_copy_lost(rig, 1, ERR_STORE_DAMAGED);
    cr_expect(is("running"));
    rig_asks_in_vain(rig, 2, 1, pgen, 6);
    cr_expect(is("quarantined"));
    move_back();
    const msg_t *second = rig_reply(rig, 2);
    cr_assert(second && second->tag == TAG_failed);
}

/* It runs from its own disk. */
Test(arrive, a_vat_that_is_there_does_not_need_it)
{
    rig_hosts_deaf(rig, false);
    rig_restart(rig, true);
    cr_assert_eq(rig_reply(rig, 1), NULL);
    rig_runs(rig, 1, 2);
    rig_copy_lost(rig, 1, ERR_CHECKPOINT_BROKEN);
    cr_expect(is("running"));
    rig_runs(rig, 1, 2);
    cr_expect(is("running"));
    cr_expect_eq(rig_rows(rig, ROW_mirror), 0);
}

/* The same when its host is away. */
Test(arrive, a_vat_that_arrived_before_does_not_need_it)
{
    rig_hosts_deaf(rig, false);
    rig_restart(rig, true);
    rig_runs(rig, 1, 2);
    rig_host_gone(rig, 2);
    rig_copy_lost(rig, 1, ERR_STORE_DAMAGED);
    cr_expect(is("running"));
    rig_host(rig, 2);
    rig_runs(rig, 1, 2);
}

/* Its copy was lost when nobody knew that it needs it: it says so itself. */
Test(arrive, a_host_that_asks_for_what_is_gone_is_heard)
{
    uint64_t pgen = rig_told(rig, TAG_vat_new)->body.vat_new.pgen;
    uint64_t d = rig_told(rig, TAG_vat_new)->body.vat_new.checkpoint;
    rig_asks_in_vain(rig, 2, 1, pgen, d);
    cr_expect(is("running"), "it is here");
    msg_host_change_t gone = {rig_id(rig), {2}, DISAVOW};
    rig_ask_from(rig, 2, TAG_host_change, &gone);
    cr_assert_eq(rig_vat(rig, 1).host.n, 1, "brought back");
    rig_copy_lost(rig, 1, ERR_STORE_DAMAGED);
    cr_expect(is("running"), "perhaps it has begun");
    rig_asks_in_vain(rig, 2, 1, pgen + 1, d);
    rig_asks_in_vain(rig, 1, 1, pgen, d);
    cr_expect(is("running"), "others say nothing about it");
    rig_asks_in_vain(rig, 1, 1, pgen + 1, d);
    cr_expect(is("quarantined"));
}

/* It was brought back, began, and went on: the copy that it began with is not the newest any more. */
Test(arrive, what_it_made_there_is_worth_more_than_the_copy)
{
    rig_hosts_deaf(rig, false);
    msg_host_change_t gone = {rig_id(rig), {2}, DISAVOW};
    rig_ask_from(rig, 2, TAG_host_change, &gone);
    cr_assert_eq(rig_vat(rig, 1).host.n, 1, "brought back");
    cr_assert(rig_reply(rig, 1), "that move failed");
    cr_assert(rig_reply(rig, 2));
    rig_runs(rig, 1, 2);
    rig_checkpoint(rig, 1, false);
    cr_assert_eq(rig_rows(rig, ROW_mirror), 1);
    rig_hosts_deaf(rig, true);
    rig_restart(rig, false); /* its worker is not there now */
    rig_host(rig, 1);
    rig_host(rig, 3);
    msg_move_t move = {rig_id(rig), {1}, {3}};
    rig_ask_from(rig, 2, TAG_move, &move);
    cr_expect_eq(rig_vat(rig, 1).host.n, 1, "it is asked for a copy of that");
    cr_expect_null(rig_reply(rig, 2));
}

/* A host that is to be empty does not wait for a vat that never got there. */
Test(arrive, a_drain_takes_it_along)
{
    rig_hosts_deaf(rig, false);
    msg_host_change_t drain = {rig_id(rig), {2}, DRAIN};
    rig_ask_from(rig, 2, TAG_host_change, &drain);
    const msg_t *first = rig_reply(rig, 1), *second = rig_reply(rig, 2);
    cr_assert(first && first->tag == TAG_failed);
    cr_assert(second && second->tag == TAG_done);
    cr_expect_eq(rig_vat(rig, 1).host.n, 1);
    rig_runs(rig, 1, 2);
    cr_expect(is("running"));
}

/* No MOVE placed it there. */
Test(arrive, one_that_was_brought_back_goes_on_to_another_host)
{
    rig_host(rig, 3);
    msg_host_change_t gone = {rig_id(rig), {2}, DISAVOW};
    rig_ask_from(rig, 2, TAG_host_change, &gone);
    uint32_t there = rig_vat(rig, 1).host.n;
    cr_assert_neq(there, 2);
    while (rig_reply(rig, 1) || rig_reply(rig, 2)) continue;
    rig_hosts_deaf(rig, false);
    msg_move_t on = {rig_id(rig), {1}, {there == 1 ? 3 : 1}};
    rig_ask_from(rig, 2, TAG_move, &on);
    cr_expect_neq(rig_vat(rig, 1).host.n, there);
    const msg_t *reply = rig_reply(rig, 2);
    cr_assert(reply && reply->tag == TAG_done);
    rig_runs(rig, 1, 2);
    cr_expect(is("running"));
}
