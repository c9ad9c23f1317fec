/* Backups: what they wait for, and what goes on from one that is adopted. */
#include "tests/unit/broker/move_stage.h"

TestSuite(backup, .init = move_set_up, .fini = move_tear_down);

static const msg_t *backup(uint32_t client)
{
    msg_backup_t msg = {rig_id(rig), text_of("/tmp/there")};
    rig_ask_from(rig, client, TAG_backup, &msg);
    return rig_reply(rig, client);
}

static void trimmed(uint32_t vat)
{
    for (int i = 0; i < 2; i++) {
        rig_runs(rig, vat, 4);
        rig_checkpoint(rig, vat, false);
    }
}

Test(backup, a_backup_has_a_copy_of_what_it_needs_one_of)
{
    trimmed(1);
    trimmed(2);
    cr_expect_null(backup(1));
    cr_expect_eq(rig_host_frames(rig, TAG_checkpoint_ask), 2, "carol's log is whole");
    expect_failed(backup(2), ERR_BACKUP_FAILED, "another backup is being made");
    ships(1);
    cr_expect_eq(rig_host_frames(rig, 0), 0);
    ships(2);
    cr_expect_eq(rig_host_frames(rig, 0), 1);
    uint64_t safe = rig_vat(rig, 1).safe;
    trimmed(1);
    trimmed(3);
    cr_expect_eq(rig_rows(rig, ROW_mirror), 2, "what is copied stays whole");
    cr_expect_leq(rig_vat(rig, 1).safe, safe + 8);
    cr_expect_eq(rig_vat(rig, 3).safe, 0);
    rig_backed_up(rig, ERR_OK);
    expect_done(rig_reply(rig, 1));
    trimmed(1);
    cr_expect_eq(rig_rows(rig, ROW_mirror), 1, "and afterwards goes as it came");
    trimmed(3);
    cr_expect_gt(rig_vat(rig, 3).safe, 0);
}

Test(backup, a_backup_that_fails_says_why)
{
    trimmed(1);
    rig_host_gone(rig, 1);
    expect_failed(backup(1), ERR_BACKUP_FAILED, "v1: its host is away, and there is no copy of it");
    rig_host(rig, 1);
    cr_expect_null(backup(1));
    rig_host_gone(rig, 1);
    expect_failed(rig_reply(rig, 1), ERR_BACKUP_FAILED,
                  "v1: its host is away, and there is no copy of it");
    rig_host(rig, 1);
    cr_expect_null(backup(1));
    ships(1);
    rig_backed_up(rig, ERR_STORE_FULL);
    expect_failed(rig_reply(rig, 1), ERR_BACKUP_FAILED, err_text(ERR_STORE_FULL));
    cr_expect_null(backup(1));
    rig_backed_up(rig, ERR_OK);
    expect_done(rig_reply(rig, 1));
}

Test(backup, a_backup_does_not_wait_for_ever)
{
    uint64_t now_ms = UINT64_C(1800000000000);
    trimmed(1);
    trimmed(2);
    rig_at(rig, now_ms);
    cr_expect_null(backup(1));
    rig_at(rig, now_ms + 599999);
    cr_expect_null(rig_reply(rig, 1));
    ships(2);
    rig_at(rig, now_ms + 600001);
    cr_expect_null(rig_reply(rig, 1), "one came: it goes on");
    rig_at(rig, now_ms + 1200001);
    expect_failed(rig_reply(rig, 1), ERR_BACKUP_FAILED,
                  "v1: its host gave no copy of it for ten minutes");
    cr_expect_eq(rig_host_frames(rig, 0), 0);
    cr_expect_null(backup(1));
    ships(1);
    cr_expect_eq(rig_host_frames(rig, 0), 1);
    rig_at(rig, now_ms + 9000000);
    rig_backed_up(rig, ERR_OK);
    expect_done(rig_reply(rig, 1));
}

/* Nobody waits for a copy of a vat that ended, or is in quarantine. */
Test(backup, a_backup_goes_on_without_a_vat_that_ends)
{
    trimmed(1);
    cr_expect_null(backup(1));
    cr_expect_eq(rig_host_frames(rig, 0), 0);
    msg_kill_t kill = {rig_id(rig), {1}, text_of("enough")};
    rig_ask_from(rig, 2, TAG_kill, &kill);
    cr_expect_eq(rig_host_frames(rig, 0), 1);
    rig_backed_up(rig, ERR_OK);
    expect_done(rig_reply(rig, 1));
    trimmed(2);
    cr_expect_null(backup(1));
    msg_checkpoint_t msg = rig_checkpoint_frame(rig, 2);
    msg.d = msg.oldest = 1000;
    rig_from_host(rig, 2, TAG_checkpoint, &msg);
    cr_expect(is(2, "quarantined"));
    cr_expect_eq(rig_host_frames(rig, 0), 2);
}

Test(backup, an_adopted_backup_goes_on_from_its_copies)
{
    trimmed(1);
    cr_expect_null(backup(1));
    ships(1);
    rig_backed_up(rig, ERR_OK);
    expect_done(rig_reply(rig, 1));
    rig_runs(rig, 1, 3);
    uint64_t applied = rig_vat(rig, 1).applied, epoch = kernel_epoch(rig_kernel(rig));
    rig_adopt(rig);
    cr_expect_geq(kernel_epoch(rig_kernel(rig)), epoch + (1 << 20) - 8);
    rig_runs(rig, 1, 3);
    rig_runs(rig, 2, 1);
    cr_expect_eq(rig_vat(rig, 1).applied, applied + 3);
    cr_expect_gt(rig_told(rig, TAG_vat_new)->body.vat_new.pgen, 1 << 20);
    cr_expect(is(1, "running") && is(2, "running") && is(3, "running"));
    rig_launch_t options = {0};
    cr_assert_eq(rig_launch(rig, "dave", &options)->tag, TAG_launched);
    cr_expect_gt(rig_told(rig, TAG_vat_new)->body.vat_new.pgen, 1 << 20,
                 "nobody has a database of it");
    rig_restart(rig, true);
    rig_runs(rig, 1, 1);
}

Test(backup, vats_of_hosts_that_an_adopted_backup_does_not_see_again_go_on_elsewhere)
{
    cr_expect_null(backup(1));
    rig_backed_up(rig, ERR_OK);
    expect_done(rig_reply(rig, 1));
    rig_adopt_on(rig, 1);
    cr_expect_eq(host_of(2), 2, "it may come back yet");
    rig_at(rig, UINT64_C(1800000000000));
    cr_expect_eq(host_of(2), 1);
    rig_run_dry(rig);
    rig_runs(rig, 2, 1);
    cr_expect(is(1, "running") && is(2, "running") && is(3, "running"));
    cr_expect_eq(rig_host(rig, 2), 2);
    rig_run_dry(rig);
    cr_expect_eq(host_of(2), 1, "which comes too late");
}
