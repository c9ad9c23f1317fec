/* Checkpoints: what a worker may start from, how the log is trimmed behind it, and who is found out. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/kernel_rig.h"
#include "tests/unit/broker/listed.h"
#include "wire/base/hash.h"

#define PING "#[\"ping\",[]]"

static const kref_t nothing;

static rig_t *rig;

/* alice (v1) and bob (v2) on h1, both idle; bob has run nothing but his start. */
static void set_up(void)
{
    rig_launch_t options = {.window = 4, .reap_deliveries = REAP_NEVER};
    rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", &options)->tag, TAG_launched);
    rig_run_dry(rig);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(checkpoint, .init = set_up, .fini = tear_down);

static void ping_bob(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        msg_call_t call = {rig_id(rig), root(2), rig_data(PING, NULL, 0), 1};
        cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    }
}

/* Bob has run D deliveries in all. */
static void bob_at(uint64_t d)
{
    while (rig_checkpoint_frame(rig, 2).d < d) {
        ping_bob(1);
        rig_run_dry(rig);
    }
}

static void expect_unharmed(void)
{
    char *list = rig_list(rig, 0, nothing);
    cr_expect(!strstr(list, "quarantined") && !strstr(list, "terminated"), "%s", list);
    free(list);
}

/* Bob's checkpoint and where his log begins, as LIST says. */
static void expect_bob(uint64_t checkpoint, uint64_t safe)
{
    const msg_list_t msg = {.request = rig_id(rig)};
    bin_t rest = rig_ask(rig, TAG_list, &msg)->body.rows.rows;
    while (rest.len > 0) {
        msg_t row;
        cr_assert_eq(msg_next(&rest, &row), ERR_OK);
        if (row.body.vat_row.vat.n == 2) {
            cr_expect_eq(row.body.vat_row.checkpoint, checkpoint, "%d",
                         (int)row.body.vat_row.checkpoint);
            cr_expect_eq(row.body.vat_row.safe, safe, "%d", (int)row.body.vat_row.safe);
        }
        msg_clear(&row);
    }
}

static void expect_quarantine(const char *why)
{
    cr_expect_eq(rig_events(rig, "vat-quarantine"), 1);
    expect_listed(rig, "quarantined");
    expect_listed(rig, why);
    size_t asked = rig_host_frames(rig, TAG_vat_new);
    ping_bob(1);
    rig_restart(rig, true);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_new), asked, "no worker is started for it");
    expect_listed(rig, why);
}

/* What bob's worker would say if its link had come back. */
static msg_attach_t attach(void)
{
    msg_checkpoint_t at = rig_checkpoint_frame(rig, 2);
    return (msg_attach_t){.vat = {2},
                          .inc = at.inc,
                          .pgen = at.pgen,
                          .run = at.run,
                          .checkpoint = at.oldest,
                          .last = at.d,
                          .chain = at.chain};
}

/* ---- trimming ---- */

Test(checkpoint, the_log_is_kept_from_the_older_of_two_on)
{
    size_t others = rig_rows(rig, ROW_log) - 1; /* alice's */
    bob_at(10);
    rig_checkpoint(rig, 2, false);
    expect_bob(10, 0);
    bob_at(20);
    cr_expect_eq(rig_rows(rig, ROW_log), others + 20);
    rig_checkpoint(rig, 2, false);
    expect_bob(20, 10);
    cr_expect_eq(rig_rows(rig, ROW_log), others + 10);
    cr_expect_eq(rig_events(rig, "checkpoint"), 2);
    cr_expect_eq(rig_event(rig, "checkpoint")->d, 20);
    bob_at(25);
    rig_restart(rig, true);
    bob_at(30);
    expect_unharmed();
    expect_bob(20, 10);
}

Test(checkpoint, one_alone_is_enough_when_the_worker_says_so)
{
    bob_at(7);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.oldest = msg.d;
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    expect_bob(7, 7);
    msg_attach_t again = attach();
    again.checkpoint = 7;
    rig_from_host(rig, 1, TAG_attach, &again);
    expect_unharmed();
    again.chain.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_attach, &again);
    expect_quarantine("another history");
}

/* Of many rows only some go with each step. */
Test(checkpoint, a_long_log_goes_in_pieces)
{
    bob_at(1500);
    rig_no_chores(rig);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.oldest = msg.d;
    size_t before = rig_rows(rig, ROW_log);
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    size_t left = rig_rows(rig, ROW_log);
    cr_expect_lt(left, before);
    cr_expect_gt(left, before - 100);
    rig_restart(rig, false);
    size_t chores = 0;
    for (; kernel_chores(rig_kernel(rig)); chores++) rig_chore(rig);
    cr_expect_gt(chores, 1);
    cr_expect_lt(chores, 10);
    expect_bob(1500, 1500);
    cr_expect_eq(rig_rows(rig, ROW_log), before - 1500);
}

/* The result of a row may be lost with a link that the report of its checkpoint survives. */
Test(checkpoint, one_ahead_of_what_is_applied_is_remembered)
{
    bob_at(5);
    ping_bob(2);
    msg_result_t first = rig_result_frame(rig, 2, NULL);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.d = first.d;
    msg.oldest = first.d;
    msg.chain = hash_chain(first.chain, first.delivery_hash,
                           hash_result(0, first.calls, first.store_digest));
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    expect_bob(6, 5);
    rig_run_dry(rig);
    expect_bob(6, 6);
    expect_unharmed();
}

Test(checkpoint, one_ahead_is_compared_when_its_row_is_applied)
{
    bob_at(5);
    ping_bob(1);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.d++;
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    expect_unharmed();
    rig_run_dry(rig);
    expect_quarantine("its checkpoint of delivery 6 is of another history");
}

Test(checkpoint, an_older_one_that_was_never_heard_of_keeps_the_log)
{
    bob_at(10);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.oldest = 4;
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    expect_bob(10, 0);
    bob_at(12);
    msg = rig_checkpoint_frame(rig, 2);
    msg.oldest = 10;
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    expect_bob(12, 10);
}

Test(checkpoint, what_says_nothing_new_is_dropped)
{
    bob_at(10);
    rig_checkpoint(rig, 2, false);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2), bad[5] = {msg, msg, msg, msg, msg};
    bad[0].run++;
    bad[1].pgen++;
    bad[2].d = bad[2].oldest = 9;
    bad[3].oldest = 11;
    bad[4].d = 0;
    for (size_t i = 0; i < 5; i++) {
        bad[i].bytes = 77;
        rig_from_host(rig, 1, TAG_checkpoint, &bad[i]);
    }
    expect_bob(10, 0);
    char *list = rig_list(rig, 0, nothing);
    cr_expect(!strstr(list, "77"), "%s", list);
    free(list);
    expect_unharmed();
}

Test(checkpoint, one_of_another_history)
{
    bob_at(10);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.chain.b[3] ^= 1;
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    expect_quarantine("its checkpoint of delivery 10 is of another history");
    expect_bob(0, 0);
}

Test(checkpoint, one_of_what_was_never_assigned)
{
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.d = 99;
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    expect_quarantine("never assigned");
}

Test(checkpoint, a_vat_that_ends_is_trimmed_no_more)
{
    bob_at(600);
    rig_no_chores(rig);
    rig_checkpoint(rig, 2, false);
    bob_at(601);
    rig_checkpoint(rig, 2, false);
    msg_kill_t kill = {rig_id(rig), {2}, text_of("")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    while (kernel_chores(rig_kernel(rig))) rig_chore(rig);
    rig_restart(rig, false);
    char *list = rig_list(rig, 0, nothing);
    cr_expect(strstr(list, "terminated"));
    free(list);
}

/* ---- attaching ---- */

Test(checkpoint, a_fresh_worker_goes_on_from_it)
{
    bob_at(10);
    rig_checkpoint(rig, 2, false);
    bob_at(15);
    ping_bob(2);
    size_t sent = rig_host_frames(rig, TAG_deliver);
    rig_worker(rig, 2);
    cr_expect_eq(rig_host_frames(rig, TAG_deliver), sent + 2,
                 "those in flight; it fetched 11 to 15");
    cr_expect_eq(rig_checkpoint_frame(rig, 2).d, 15);
    rig_run_dry(rig);
    expect_unharmed();
}

/* Its newest one was damaged, and it went on from the one before: that is what the log is kept for. */
Test(checkpoint, a_worker_that_had_to_take_the_older_one)
{
    bob_at(10);
    rig_checkpoint(rig, 2, false);
    msg_checkpoint_t older = rig_checkpoint_frame(rig, 2);
    bob_at(20);
    rig_checkpoint(rig, 2, false);
    bob_at(30);
    rig_checkpoint(rig, 2, false);
    expect_bob(30, 20);
    msg_attach_t msg = attach();
    msg.run = 0;
    msg.checkpoint = msg.last = 10;
    msg.chain = older.chain;
    rig_from_host(rig, 1, TAG_attach, &msg);
    expect_quarantine(
        "its host has the vat's state as of delivery 10, and the log begins behind 20");
}

Test(checkpoint, the_older_one_of_two_is_no_regression)
{
    bob_at(10);
    rig_checkpoint(rig, 2, false);
    msg_checkpoint_t older = rig_checkpoint_frame(rig, 2);
    bob_at(20);
    rig_checkpoint(rig, 2, false);
    expect_bob(20, 10);
    msg_attach_t msg = attach();
    msg.run = 0;
    msg.checkpoint = msg.last = 10;
    msg.chain = older.chain;
    rig_from_host(rig, 1, TAG_attach, &msg);
    expect_bob(10, 10);
    expect_unharmed();
}

Test(checkpoint, a_worker_that_heard_of_more_than_there_is)
{
    bob_at(10);
    msg_attach_t msg = attach();
    msg.acked = 11;
    rig_from_host(rig, 1, TAG_attach, &msg);
    expect_quarantine("the worker heard that delivery 11 is applied, and here 10 is the last");
}

/* Where it stands is looked up in the log, however long ago that was. */
Test(checkpoint, a_worker_that_stands_on_another_history)
{
    bob_at(5);
    msg_attach_t msg = attach();
    bob_at(10);
    rig_from_host(rig, 1, TAG_attach, &msg);
    expect_unharmed();
    msg.chain.b[7] ^= 1;
    rig_from_host(rig, 1, TAG_attach, &msg);
    expect_quarantine("another history");
}

/* ---- sleep ---- */

Test(checkpoint, an_idle_vat_sleeps_until_something_comes)
{
    bob_at(10);
    rig_checkpoint(rig, 2, true);
    cr_expect_eq(rig_host_frames(rig, TAG_sleep), 1);
    expect_listed(rig, "asleep: 1");
    size_t woken = rig_host_frames(rig, TAG_vat_new);
    ping_bob(1);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_new), woken + 1);
    cr_assert(rig_delivery(rig, 2));
    rig_run_dry(rig);
    cr_expect_eq(rig_checkpoint_frame(rig, 2).d, 11);
    rig_checkpoint(rig, 2, true);
    rig_restart(rig, true);
    expect_unharmed();
}

Test(checkpoint, a_vat_with_something_to_do_stays_awake)
{
    bob_at(10);
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.asleep = 1;
    ping_bob(1);
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    cr_expect_eq(rig_host_frames(rig, TAG_sleep), 0);
    rig_run_dry(rig);
    msg.d = 10;
    rig_from_host(rig, 1, TAG_checkpoint, &msg);
    cr_expect_eq(rig_host_frames(rig, TAG_sleep), 0, "its state is not that of its last delivery");
    rig_checkpoint(rig, 2, true);
    cr_expect_eq(rig_host_frames(rig, TAG_sleep), 1);
}
