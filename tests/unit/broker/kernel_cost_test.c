/* What a vat can make the broker do costs no more than what it says: each test ends within seconds, and
 * took minutes when the cost grew with the square. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/support/kernel_rig.h"

#define TAKE "#[\"take\",[]]"

static const kref_t nothing;

static buf_t calls;
static kref_t slots[SLOTS_MAX];

TestSuite(cost, .timeout = 30);

static rig_t *start(void)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", NULL)->tag, TAG_launched);
    return rig;
}

/* A settled promise with many slots, named many times: each name is counted down once. */
Test(cost, a_long_value_is_not_read_for_each_reference)
{
    rig_t *rig = start();
    kref_t promise = kp(1, 1);
    call_send(&calls, root(2), "#[\"take\",[\"&0\"]]", &promise, 1, nothing);
    rig_result(rig, 1, &calls);
    for (size_t i = 0; i < SLOTS_MAX; i++) slots[i] = root(2);
    rig_empty(rig, 2);
    msg_call_t call = {rig_id(rig), root(1), rig_data(TAKE, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    call_resolve(&calls, promise, false, "#[]", slots, SLOTS_MAX);
    rig_result(rig, 1, &calls);

    for (size_t i = 0; i < SLOTS_MAX; i++) slots[i] = promise;
    call = (msg_call_t){rig_id(rig), root(2), rig_data(TAKE, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    for (int i = 0; i < 60; i++) call_send(&calls, root(2), TAKE, slots, SLOTS_MAX, nothing);
    rig_result(rig, 2, &calls);
    rig_run_dry(rig);
    cr_assert_eq(rig_counter(rig, "vats"), 2);
    rig_destroy(&rig);
}

/* A ring of settled promises that something outside holds: looked at once when all of them lose a
 * reference together. */
Test(cost, a_tangle_is_walked_once_for_all_its_promises)
{
    enum { RING = 4000 };
    static resolution_t ring[RING];
    rig_t *rig = start();
    for (uint64_t i = 0; i < RING; i++) slots[i] = kp(1, i + 1);
    kref_t open = kp(1, RING + 1);
    call_send(&calls, root(2), TAKE, slots, RING, nothing);
    call_send(&calls, open, TAKE, slots, 1, nothing);
    for (size_t i = 0; i < RING; i++)
        ring[i] = (resolution_t){slots[i], false, rig_data("#[\"&0\"]", &slots[(i + 1) % RING], 1)};
    msg_resolve_t resolve = {{ring, RING}};
    call_any(&calls, TAG_resolve, &resolve);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, slots[0]);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->body.deliver_notify.resolutions.count, RING);
    rig_empty(rig, 2);
    cr_assert_geq(rig_counter(rig, "promises"), RING, "still held");

    msg_kill_t kill = {rig_id(rig), {1}, text_of("")};
    rig_ask(rig, TAG_kill, &kill);
    cr_assert_leq(rig_counter(rig, "promises"), 2, "what held the ring is gone");
    rig_destroy(&rig);
}

/* A FETCH is a few bytes, and what it asks for may be many megabytes. */
Test(cost, no_row_is_sent_twice_in_a_run)
{
    rig_t *rig = start();
    msg_result_t own = rig_result_frame(rig, 1, &calls);
    size_t sent = rig_host_frames(rig, TAG_deliver);
    msg_fetch_t live = {own.vat, own.inc, own.pgen, own.run, 2, FETCH_ROWS_MAX};
    for (int i = 0; i < 10; i++) rig_from_host(rig, 1, TAG_fetch, &live);
    cr_assert_eq(rig_host_frames(rig, TAG_deliver), sent, "it has them since it attached");
    rig_run_dry(rig);

    rig_restart(rig,
                true); /* fresh workers fetch everything; the rig ends when a row comes twice */
    msg_call_t call = {rig_id(rig), root(1), rig_data(TAKE, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    own = rig_result_frame(rig, 1, &calls);
    sent = rig_host_frames(rig, TAG_deliver);
    msg_fetch_t again = {own.vat, own.inc, own.pgen, own.run, 1, FETCH_ROWS_MAX};
    live = (msg_fetch_t){own.vat, own.inc, own.pgen, own.run, own.d, FETCH_ROWS_MAX};
    for (int i = 0; i < 10; i++) {
        rig_from_host(rig, 1, TAG_fetch, &again);
        rig_from_host(rig, 1, TAG_fetch, &live);
    }
    cr_assert_eq(rig_host_frames(rig, TAG_deliver), sent);
    rig_run_dry(rig);
    rig_destroy(&rig);
}

/* A vat runs before its cluster has started. What it makes meanwhile is not cleaned in one step either. */
Test(cost, what_a_vat_made_before_its_cluster_failed_goes_in_pieces)
{
    enum { MADE = 1000 };
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch(rig, "alice bob", &(rig_launch_t){.no_start = true});
    for (uint64_t i = 0; i < MADE; i++) slots[i] = kref_object((vat_t){1}, i + 1);
    call_send(&calls, root(1), TAKE, slots, MADE, nothing);
    rig_result(rig, 1, &calls);

    rig_no_chores(rig);
    rig_fail(rig, 2, ERR_VAT_CRASHED, "bang");
    cr_assert_eq(rig_reply(rig, 1)->tag, TAG_failed);
    uint64_t left = rig_counter(rig, "held");
    cr_assert_geq(left, MADE - 64, "others run in between");
    while (kernel_chores(rig_kernel(rig))) rig_chore(rig);
    cr_assert_eq(rig_counter(rig, "held"), 0);
    cr_assert_eq(rig_counter(rig, "objects"), 0);
    cr_assert_eq(rig_rows(rig, ROW_log), 0);
    rig_destroy(&rig);
}

/* A crank that names very much and is refused for its last word: the next one is checked as ever. */
Test(cost, what_a_large_crank_names_is_forgotten)
{
    rig_t *rig = start();
    for (uint64_t n = 0; n < 7; n++) {
        for (uint64_t i = 0; i < SLOTS_MAX; i++)
            slots[i] = kref_object((vat_t){1}, n * SLOTS_MAX + i + 1);
        call_send(&calls, root(1), TAKE, slots, SLOTS_MAX, nothing);
    }
    call_send(&calls, kref_object((vat_t){2}, 1), TAKE, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_counter(rig, "vats"), 1, "its crank was illegal");

    msg_call_t call = {rig_id(rig), root(2), rig_data(TAKE, NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    slots[0] = kref_object((vat_t){2}, 1);
    call_send(&calls, root(2), TAKE, slots, 1, nothing);
    rig_result(rig, 2, &calls);
    call_send(&calls, slots[0], TAKE, slots, 1, nothing);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_pending(rig, 2), 1);
    cr_assert_eq(rig_counter(rig, "vats"), 1);
    rig_destroy(&rig);
}
