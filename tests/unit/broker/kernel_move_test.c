/* Vats that move, checkpoints that a client asks for, copies of those that are fetched. */
#include "tests/unit/broker/move_stage.h"

TestSuite(move, .init = move_set_up, .fini = move_tear_down);

/* ---- moving ---- */

Test(move, a_vat_moves_and_goes_on)
{
    rig_runs(rig, 1, 5);
    cr_expect_null(move(1, 2));
    cr_expect_eq(rig_told(rig, TAG_checkpoint_ask)->body.checkpoint_ask.ship, 1);
    rig_runs(rig, 1, 2); /* until the copy is here it runs on */
    rig_ready(rig, 1);
    rig_runs(rig, 1, 3);
    cr_expect_eq(host_of(1), 1);
    rig_pulled(rig);
    cr_expect_eq(host_of(1), 2);
    expect_done(rig_reply(rig, 1));
    cr_expect_eq(rig_told(rig, TAG_vat_end)->body.vat_end.pgen, 1);
    cr_expect_eq(rig_told(rig, TAG_vat_new)->body.vat_new.pgen, 2);
    cr_expect_eq(rig_told(rig, TAG_vat_new)->body.vat_new.checkpoint, rig_vat(rig, 1).applied - 3);
    cr_expect_eq(rig_events(rig, "vat-moved"), 1);
    uint64_t applied = rig_vat(rig, 1).applied;
    rig_runs(rig, 1, 4);
    cr_expect_eq(rig_vat(rig, 1).applied, applied + 4);
    rig_restart(rig, true);
    rig_runs(rig, 1, 1);
    cr_expect_eq(rig_vat(rig, 1).applied, applied + 5);
    cr_expect(is(1, "running"));
}

/* The old worker's words are void after the flip. */
Test(move, what_was_under_way_is_run_at_the_new_place)
{
    rig_runs(rig, 1, 3);
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    rig_call(rig, 1, PING);
    rig_call(rig, 1, PING);
    msg_result_t late = rig_result_frame(rig, 1, NULL);
    uint64_t applied = rig_vat(rig, 1).applied;
    rig_pulled(rig);
    expect_done(rig_reply(rig, 1));
    rig_from_host(rig, 1, TAG_result, &late);
    cr_expect_eq(rig_vat(rig, 1).applied, applied, "dropped");
    cr_expect_eq(rig_pending(rig, 1), 2);
    rig_run_dry(rig);
    cr_expect_eq(rig_vat(rig, 1).applied, applied + 2);
    msg_attach_t old = {.vat = {1}, .inc = 1, .pgen = 1};
    size_t ends = rig_host_frames(rig, TAG_vat_end);
    rig_from_host(rig, 1, TAG_attach, &old);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_end), ends + 1);
}

/* The old place had a newer checkpoint than the copy: its rows are not trimmed away. */
Test(move, the_old_place_says_nothing_about_the_new_one)
{
    rig_runs(rig, 1, 4);
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    rig_runs(rig, 1, 6);
    rig_checkpoint(rig, 1, false);
    rig_runs(rig, 1, 6);
    rig_checkpoint(rig, 1, false);
    uint64_t c = rig_vat(rig, 1).applied - 12;
    cr_expect_leq(rig_vat(rig, 1).safe, c);
    rig_pulled(rig);
    expect_done(rig_reply(rig, 1));
    cr_expect_eq(rig_vat(rig, 1).checkpoint, c);
    rig_runs(rig, 1, 9);
    rig_restart(rig, true);
    rig_runs(rig, 1, 1);
    cr_expect(is(1, "running"));
    for (int i = 0; i < 3; i++) {
        rig_runs(rig, 1, 5);
        rig_checkpoint(rig, 1, false);
    }
    cr_expect_gt(rig_vat(rig, 1).safe, c, "and then it is trimmed as ever");
    cr_expect_eq(rig_rows(rig, ROW_mirror), 0, "and the copy is of no use any more");
}

Test(move, the_copy_may_be_ahead_of_what_is_applied)
{
    rig_runs(rig, 1, 4);
    cr_expect_null(move(1, 2));
    rig_call(rig, 1, PING);
    uint64_t d = rig_vat(rig, 1).applied + 1;
    msg_result_t result = rig_result_frame(rig, 1, NULL);
    hash_t chain = {{1, 2, 3}};
    msg_checkpoint_ready_t ready = {{1}, 1, d, chain, {{9}}, 500};
    rig_from_host(rig, 1, TAG_checkpoint_ready, &ready);
    rig_pulled(rig);
    cr_expect_eq(host_of(1), 1, "nobody knows whether it is a piece of the log's history");
    rig_from_host(rig, 1, TAG_result, &result);
    cr_expect_eq(host_of(1), 1);
    cr_expect(is(1, "quarantined"), "it is not");
    expect_failed(rig_reply(rig, 1), ERR_MOVE_FAILED,
                  "a copy of its state has another history than the log's");
}

Test(move, a_copy_of_another_history_is_a_fork)
{
    rig_runs(rig, 1, 4);
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    rig_pulled_as(rig, (hash_t){{6}});
    cr_expect(is(1, "quarantined"));
    cr_expect_eq(host_of(1), 1);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_failed);
}

Test(move, what_stands_against_it)
{
    rig_runs(rig, 1, 1);
    expect_failed(move(77, 2), ERR_VAT_UNKNOWN, "");
    expect_failed(move(1, 77), ERR_HOST_UNKNOWN, "");
    expect_failed(move(1, 1), ERR_MOVE_FAILED, "it stands there");
    rig_hello(rig, 3, 0, "other engine");
    expect_failed(move(1, 3), ERR_ENGINE_MISMATCH, "its heap cannot be read there");
    expect_done(change(3, DRAIN));
    expect_failed(move(1, 3), ERR_MOVE_FAILED,
                  "that host is drained, or in quarantine, or disavowed");
    rig_host_gone(rig, 2);
    expect_failed(move(1, 2), ERR_MOVE_FAILED, "that host is away");
    expect_failed(move(1, 0), ERR_MOVE_FAILED, "no other host is ready that has the same engine");
    rig_host(rig, 2);
    cr_expect_null(move(1, 0));
    expect_failed(move(1, 2), ERR_VAT_BUSY, "it is being moved");
    msg_kill_t kill = {rig_id(rig), {1}, text_of("enough")};
    rig_ask_from(rig, 2, TAG_kill, &kill);
    expect_failed(rig_reply(rig, 1), ERR_VAT_TERMINATED, "");
    expect_failed(move(1, 2), ERR_VAT_TERMINATED, "");
}

/* It waits for a new one. */
Test(move, a_copy_of_before_that_is_lost_does_not_end_it)
{
    rig_runs(rig, 1, 2);
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    msg_move_t stay = {rig_id(rig), {1}, {1}};
    rig_ask_from(rig, 2, TAG_move, &stay);
    expect_done(rig_reply(rig, 2));
    cr_assert_eq(rig_reply(rig, 1)->tag, TAG_failed);
    rig_pulled(rig);
    cr_assert_eq(rig_rows(rig, ROW_mirror), 1);
    rig_runs(rig, 1, 2);
    cr_expect_null(move(1, 2));
    rig_copy_lost(rig, 1, ERR_STORE_DAMAGED);
    cr_expect_null(rig_reply(rig, 1));
    cr_expect_eq(rig_rows(rig, ROW_mirror), 0);
    ships(1);
    expect_done(rig_reply(rig, 1));
    cr_expect_eq(host_of(1), 2);
    rig_runs(rig, 1, 2);
}

Test(move, a_copy_that_cannot_be_had_ends_it)
{
    rig_runs(rig, 1, 2);
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    rig_unpulled(rig, ERR_CHECKPOINT_BROKEN);
    expect_failed(rig_reply(rig, 1), ERR_MOVE_FAILED, err_text(ERR_CHECKPOINT_BROKEN));
    cr_expect_eq(host_of(1), 1);
    rig_runs(rig, 1, 1);
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    rig_host_gone(rig, 2);
    rig_pulled(rig);
    expect_failed(rig_reply(rig, 1), ERR_MOVE_FAILED, "that host is not ready any more");
    cr_expect_eq(host_of(1), 1);
    rig_runs(rig, 1, 1);
}

Test(move, a_copy_that_is_too_large_ends_it)
{
    rig_runs(rig, 1, 2);
    cr_expect_null(move(1, 2));
    rig_checkpoint(rig, 1, false);
    msg_checkpoint_t made = rig_checkpoint_frame(rig, 1);
    msg_checkpoint_ready_t msg = {.vat = {1},
                                  .pgen = made.pgen,
                                  .d = made.d,
                                  .total = (uint64_t)CHECKPOINT_FILE_BYTES_MAX + 1};
    rig_from_host(rig, 1, TAG_checkpoint_ready, &msg);
    cr_expect_eq(rig_pulls(rig), 0);
    expect_failed(rig_reply(rig, 1), ERR_MOVE_FAILED, err_text(ERR_CHECKPOINT_LARGE));
    cr_expect_eq(host_of(1), 1);
    rig_runs(rig, 1, 1);
}

Test(move, it_survives_restarts_of_the_broker)
{
    rig_runs(rig, 1, 2);
    msg_move_t msg = {rig_id(rig), {1}, {2}};
    cr_expect_null(rig_ask(rig, TAG_move, &msg));
    rig_restart(rig, true);
    size_t asks = rig_host_frames(rig, TAG_checkpoint_ask);
    cr_expect_gt(asks, 1, "asked again");
    cr_expect_null(rig_ask(rig, TAG_move, &msg));
    rig_ready(rig, 1);
    rig_restart(rig, false); /* what was being fetched is lost */
    rig_ready(rig, 1);
    rig_pulled(rig);
    cr_expect_eq(host_of(1), 2);
    cr_expect_null(rig_reply(rig, 1), "nobody asked since");
    expect_done(rig_ask(rig, TAG_move, &msg));
    rig_restart(rig, true);
    expect_done(rig_ask(rig, TAG_move, &msg));
}

/* Its host is away, and what the broker has of it is enough. */
Test(move, a_vat_whose_host_is_away_moves_when_it_can)
{
    rig_runs(rig, 1, 6);
    rig_host_gone(rig, 1);
    expect_done(move(1, 2));
    cr_expect_eq(host_of(1), 2, "its log reaches back to its beginning");
    uint64_t applied = rig_vat(rig, 1).applied;
    rig_runs(rig, 1, 1);
    cr_expect_eq(rig_vat(rig, 1).applied, applied + 1);

    rig_host(rig, 1);
    rig_runs(rig, 1, 3);
    rig_checkpoint(rig, 1, false);
    rig_runs(rig, 1, 3);
    rig_checkpoint(rig, 1, false);
    cr_expect_gt(rig_vat(rig, 1).safe, 0);
    rig_host_gone(rig, 2);
    expect_failed(move(1, 1), ERR_MOVE_FAILED, "its host is away, and there is no copy of it");
}

/* ---- mirrors ---- */

Test(move, what_nobody_wants_is_not_fetched)
{
    rig_runs(rig, 1, 2);
    rig_ready(rig, 1);
    cr_expect_eq(rig_pulls(rig), 0);
    const msg_t *get = rig_told(rig, TAG_checkpoint_get);
    cr_assert(get);
    cr_expect_eq(get->body.checkpoint_get.offset, 1000 + rig_vat(rig, 1).applied,
                 "the file may go");
    cr_expect_null(move(1, 2));
    msg_checkpoint_ready_t ready = {{1},   1,     2,
                                    {{1}}, {{9}}, (uint64_t)CHECKPOINT_FILE_BYTES_MAX + 1};
    rig_from_host(rig, 1, TAG_checkpoint_ready, &ready);
    ready.total = 0;
    rig_from_host(rig, 1, TAG_checkpoint_ready, &ready);
    ready.total = 5;
    ready.d = 99;
    rig_from_host(rig, 1, TAG_checkpoint_ready, &ready);
    ready.d = 2;
    rig_from_host(rig, 2, TAG_checkpoint_ready, &ready);
    ready.pgen = 7;
    rig_from_host(rig, 1, TAG_checkpoint_ready, &ready);
    cr_expect_eq(rig_pulls(rig), 0);
}

/* ---- checkpoints that a client waits for ---- */

static const msg_t *make(uint32_t client, uint32_t vat, uint64_t ship)
{
    msg_checkpoint_make_t msg = {rig_id(rig), {vat}, ship};
    rig_ask_from(rig, client, TAG_checkpoint_make, &msg);
    return rig_reply(rig, client);
}

Test(move, a_checkpoint_is_made_when_it_is_asked_for)
{
    rig_runs(rig, 1, 3);
    cr_expect_null(make(1, 1, 0));
    cr_expect_eq(rig_told(rig, TAG_checkpoint_ask)->body.checkpoint_ask.ship, 0);
    cr_expect_null(make(2, 1, 1));
    cr_expect_eq(rig_told(rig, TAG_checkpoint_ask)->body.checkpoint_ask.ship, 1);
    rig_ready(rig, 1);
    expect_done(rig_reply(rig, 1));
    cr_expect_null(rig_reply(rig, 2));
    rig_pulled(rig);
    expect_done(rig_reply(rig, 2));
    expect_done(make(1, 1, 1));
    rig_runs(rig, 1, 2);
    msg_checkpoint_make_t msg = {rig_id(rig), {1}, 1};
    cr_expect_null(rig_ask(rig, TAG_checkpoint_make, &msg));
    rig_ask_from(rig, 3, TAG_checkpoint_make, &msg);
    rig_ready(rig, 1);
    rig_unpulled(rig, ERR_STORE_FULL);
    cr_expect_null(rig_reply(rig, 1), "client 3 asked last");
    expect_failed(rig_reply(rig, 3), ERR_STORE_FULL, "");
    expect_failed(rig_ask(rig, TAG_checkpoint_make, &msg), ERR_STORE_FULL, "");
}

Test(move, a_checkpoint_that_cannot_be_made)
{
    expect_failed(make(1, 77, 0), ERR_VAT_UNKNOWN, "");
    rig_runs(rig, 1, 1);
    cr_expect_null(make(1, 1, 0));
    rig_host_gone(rig, 1);
    expect_failed(rig_reply(rig, 1), ERR_NO_HOST, "its host went away");
    expect_failed(make(1, 1, 0), ERR_NO_HOST, "its host is away");
    rig_restart(rig, true);
    msg_checkpoint_make_t msg = {rig_id(rig), {1}, 0};
    cr_expect_null(rig_ask(rig, TAG_checkpoint_make, &msg));
    rig_restart(rig, false);
    cr_expect_null(rig_ask(rig, TAG_checkpoint_make, &msg), "asked again, it is waited for again");
    msg_kill_t kill = {rig_id(rig), {1}, text_of("enough")};
    rig_ask_from(rig, 2, TAG_kill, &kill);
    expect_failed(rig_reply(rig, 1), ERR_VAT_TERMINATED, "");
}

/* The copy is here already, and nothing happened since. */
Test(move, a_vat_that_is_mirrored_moves_with_the_copy_that_is_here)
{
    rig_runs(rig, 1, 3);
    cr_expect_null(make(1, 1, 1));
    ships(1);
    expect_done(rig_reply(rig, 1));
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    cr_expect_eq(rig_pulls(rig), 0);
    expect_done(rig_reply(rig, 1));
    cr_expect_eq(host_of(1), 2);
    rig_runs(rig, 1, 1);
}

/* The new host went away before a worker of it attached: the vat moves on. */
Test(move, a_vat_that_never_arrives_moves_on)
{
    rig_runs(rig, 1, 3);
    cr_expect_null(move(1, 2));
    rig_ready(rig, 1);
    rig_hosts_deaf(rig, true);
    rig_pulled(rig);
    cr_expect_eq(host_of(1), 2);
    cr_expect_null(rig_reply(rig, 1));
    rig_hosts_deaf(rig, false);
    rig_host_gone(rig, 2);
    msg_move_t on = {rig_id(rig), {1}, {1}};
    rig_ask_from(rig, 2, TAG_move, &on);
    expect_failed(rig_reply(rig, 1), ERR_MOVE_FAILED, "it is moved on");
    expect_done(rig_reply(rig, 2));
    cr_expect_eq(host_of(1), 1);
    rig_runs(rig, 1, 2);
}

/* A move may be called back. */
Test(move, a_vat_is_told_to_stay)
{
    rig_runs(rig, 1, 1);
    cr_expect_null(move(1, 2));
    msg_move_t stay = {rig_id(rig), {1}, {1}};
    rig_ask_from(rig, 2, TAG_move, &stay);
    expect_done(rig_reply(rig, 2));
    expect_failed(rig_reply(rig, 1), ERR_MOVE_FAILED, "it is to stay where it is");
    rig_ready(rig, 1);
    cr_expect_eq(rig_pulls(rig), 0);
    cr_expect_eq(host_of(1), 1);
}
