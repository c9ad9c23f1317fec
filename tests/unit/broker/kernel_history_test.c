/* What is told of a vat's past: its log, a replay that went another way; and hosts that missed a vat's end. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

#define PING "#[\"ping\",[]]"

static const kref_t nothing;

static rig_t *rig;
static buf_t calls;

static void set_up(void)
{
    rig_launch_t options = {.window = 4, .reap_deliveries = REAP_NEVER};
    rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", &options)->tag, TAG_launched);
    rig_run_dry(rig);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(history, .init = set_up, .fini = tear_down);

static void call(uint32_t vat)
{
    msg_call_t msg = {rig_id(rig), root(vat), rig_data(PING, NULL, 0), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &msg)->tag, TAG_sent);
}

/* Bob has run three deliveries. The last one sent two messages; a replay of it sends one. */
static void diverge(void)
{
    call(2);
    rig_empty(rig, 2);
    call(2);
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    rig_result(rig, 2, &calls);
    msg_checkpoint_t at = rig_checkpoint_frame(rig, 2);
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    msg_diverged_t msg = {.vat = {2}, .inc = at.inc, .pgen = at.pgen, .run = at.run, .d = 3};
    msg.calls = (bin_t){calls.at, calls.len};
    rig_from_host(rig, 1, TAG_diverged, &msg);
    buf_clear(&calls);
}

static char *divergences(void) { return rig_list(rig, 11, nothing); }

Test(history, both_results_of_a_divergence_are_kept)
{
    char *list = divergences();
    cr_expect_str_empty(list);
    free(list);
    diverge();
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(rig_rows(rig, ROW_divergence), 1);
        list = divergences();
        cr_expect(strstr(list, "divergence_row {vat: v2, d: 3, code: 0, "), "%s", list);
        free(list);
        rig_restart(rig, true);
    }
    msg_kill_t kill = {rig_id(rig), {2}, text_of("")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    cr_expect_eq(rig_rows(rig, ROW_divergence), 0);
    list = divergences();
    cr_expect_str_empty(list);
    free(list);
}

/* One result for a row, and then another one. */
Test(history, a_repeated_result_that_differs_is_one)
{
    call(2);
    msg_result_t first = rig_result_frame(rig, 2, NULL);
    rig_result_send(rig, 2, &first);
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    first.calls = (bin_t){calls.at, calls.len};
    rig_from_host(rig, 1, TAG_result, &first);
    buf_clear(&calls);
    cr_expect_eq(rig_events(rig, "vat-quarantine"), 1);
    cr_expect_eq(rig_rows(rig, ROW_divergence), 1);
}

static const msg_t *ask_log(uint32_t vat, uint64_t first, uint64_t last)
{
    msg_log_get_t msg = {rig_id(rig), {vat}, first, last};
    return rig_ask(rig, TAG_log_get, &msg);
}

Test(history, a_log_has_a_head)
{
    cr_expect_eq(ask_log(9, 0, 0)->body.failed.error, ERR_VAT_UNKNOWN);
    call(2);
    rig_empty(rig, 2);
    call(2);
    bin_t rest = ask_log(2, 0, 0)->body.rows.rows;
    msg_t head;
    cr_assert_eq(msg_next(&rest, &head), ERR_OK);
    cr_assert_eq(head.tag, TAG_log_head);
    cr_expect_eq(head.body.log_head.vat.n, 2);
    cr_expect_eq(head.body.log_head.applied, 2);
    cr_expect_eq(head.body.log_head.safe, 0);
    cr_expect(text_is(head.body.log_head.bundle, "b1-00"));
    cr_expect(text_is(head.body.log_head.name, "bob"));
    cr_expect_eq(head.body.log_head.mirror, 0);
    msg_clear(&head);
}

/* ---- hosts that missed the end of a vat ---- */

static void keep(uint8_t *at, uint8_t vat, uint8_t pgen)
{
    memset(at, 0, 12);
    at[3] = vat;
    at[11] = pgen;
}

Test(history, a_host_hears_again_of_vats_that_do_not_stand_there)
{
    uint8_t rows[5 * 12 + 3] = {0};
    rig_host(rig, 2);
    keep(rows, 1, 1);
    keep(rows + 12, 2, 0);
    keep(rows + 24, 2, 1);
    keep(rows + 36, 2, 9);
    keep(rows + 48, 77, 1);
    msg_guests_t msg = {{rows, sizeof rows}};
    rig_from_host(rig, 1, TAG_guests, &msg);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_end), 2,
                 "one of an older placement, and one of no vat");
    cr_expect_eq(rig_told(rig, TAG_vat_end)->body.vat_end.vat.n, 77);
    cr_expect_eq(rig_told(rig, TAG_vat_end)->body.vat_end.pgen, 1);
    rig_from_host(rig, 2, TAG_guests, &msg);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_end), 2 + 4,
                 "what is of a later placement is nobody's to delete");
    rig_run_dry(rig);
    call(2);
    cr_expect(rig_delivery(rig, 2));
}
