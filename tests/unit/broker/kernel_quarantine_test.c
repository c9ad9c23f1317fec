/* A vat in quarantine stands still, and nobody else does. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING "#[\"ping\",[]]"

static const kref_t nothing;

static buf_t calls;

/* A serial cluster whose alice has sent a message to bob, two to carol and one to herself; bob's is in
 * flight, and its worker is found to have run another history. */
static rig_t *serial(void)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.serial = 1};
    cr_assert_eq(rig_launch(rig, "alice bob carol", &options)->tag, TAG_launched);
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    call_send(&calls, root(3), PING, NULL, 0, nothing);
    call_send(&calls, root(3), PING, NULL, 0, nothing);
    call_send(&calls, root(1), PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    cr_assert(rig_delivery(rig, 2));
    cr_assert_not(rig_delivery(rig, 3));
    msg_result_t bad = rig_result_frame(rig, 2, NULL);
    bad.chain.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_result, &bad);
    cr_assert(rig_delivery(rig, 3), "carol's turn");
    return rig;
}

Test(quarantine, a_serial_cluster_goes_on_after_a_restart)
{
    rig_t *rig = serial();
    rig_run_dry(rig);
    rig_restart(rig, false);
    msg_call_t call = {rig_id(rig), root(1), rig_data(PING, NULL, 0), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    cr_assert(rig_delivery(rig, 1), "alice's turn");
    rig_empty(rig, 1);
    rig_destroy(&rig);
}

/* What stood still was no crank that runs: its end is not the end of one. */
Test(quarantine, killing_it_starts_no_second_crank)
{
    rig_t *rig = serial();
    rig_empty(rig, 3);
    cr_assert(rig_delivery(rig, 3));
    cr_assert_not(rig_delivery(rig, 1));
    msg_kill_t kill = {rig_id(rig), {2}, text_of("")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    cr_assert_not(rig_delivery(rig, 1), "one crank at a time");
    rig_empty(rig, 3);
    cr_assert(rig_delivery(rig, 1));
    rig_destroy(&rig);
}

/* There is no history yet that would be worth keeping, and somebody waits for the answer. */
Test(quarantine, a_vat_that_is_starting_fails_the_launch)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.no_start = true};
    cr_assert_not(rig_launch(rig, "alice bob", &options));
    msg_result_t bad = rig_result_frame(rig, 2, NULL);
    bad.delivery_hash.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_result, &bad);
    const msg_t *reply = rig_reply(rig, 1);
    cr_assert(reply && reply->tag == TAG_failed);
    cr_assert_eq(reply->body.failed.error, ERR_VAT_FORKED);
    cr_assert_eq(rig_counter(rig, "clusters"), 0);
    rig_destroy(&rig);
}

/* It has started, but another one has not: whoever launched them waits. */
Test(quarantine, so_does_one_whose_cluster_is_starting)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.no_start = true};
    cr_assert_not(rig_launch(rig, "alice bob", &options));
    msg_result_t again = rig_result_frame(rig, 2, NULL);
    rig_empty(rig, 2);
    cr_assert_null(rig_reply(rig, 1));
    again.chain.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_result, &again);
    const msg_t *reply = rig_reply(rig, 1);
    cr_assert(reply && reply->tag == TAG_failed);
    cr_assert_eq(reply->body.failed.error, ERR_VAT_DIVERGED);
    cr_assert_eq(rig_counter(rig, "clusters"), 0);
    rig_destroy(&rig);
}
