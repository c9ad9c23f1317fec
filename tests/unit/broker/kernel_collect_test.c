/* Whose turn it is to hear of garbage: busy vats, serial clusters, and lists that are not true any more. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

#define PING "#[\"ping\",[]]"
#define TAKE "#[\"take\",[]]"

static const kref_t nothing;

static rig_t *rig;
static buf_t calls;
static kref_t many[BARRIER_KREFS + 1];

static void set_up(void)
{
    rig = rig_new();
    rig_host(rig, 1);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(collect, .init = set_up, .fini = tear_down, .timeout = 60);

static void launch(const char *names, unsigned window, unsigned serial)
{
    rig_launch_t options = {.reap_deliveries = REAP_NEVER, .window = window, .serial = serial};
    cr_assert_eq(rig_launch(rig, names, &options)->tag, TAG_launched);
}

static void tell(uint32_t vat)
{
    msg_call_t call = {rig_id(rig), root(vat), rig_data(PING, NULL, 0), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
}

static void kill_vat(uint32_t vat)
{
    msg_kill_t msg = {rig_id(rig), {vat}, text_of("")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &msg)->tag, TAG_done);
}

/* alice has given bob COUNT objects, which he drops while she has more to do than her window takes.
 * Returns what she hears when she has done what was in flight. */
static msg_tag_t after_drop_of(size_t count)
{
    launch("alice bob", 4, 0);
    for (size_t i = 0; i < count; i++) many[i] = ko(1, i + 1);
    call_send(&calls, root(2), TAKE, many, count, nothing);
    rig_result(rig, 1, &calls);
    for (int i = 0; i < 8; i++) tell(1);
    call_refs(&calls, TAG_drop_imports, many, count);
    rig_result(rig, 2, &calls);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
        rig_empty(rig, 1);
    }
    return rig_delivery(rig, 1)->tag;
}

Test(collect, few_drops_wait_for_a_busy_vat)
{
    cr_expect_eq(after_drop_of(BARRIER_KREFS - 1), TAG_deliver_message);
}

Test(collect, many_drops_do_not_wait)
{
    cr_expect_eq(after_drop_of(BARRIER_KREFS), TAG_deliver_drop_exports);
    cr_expect_eq(rig_pending(rig, 1), 1, "alone in flight");
    cr_expect_eq(rig_delivery(rig, 1)->body.deliver_drop_exports.krefs.count, BARRIER_KREFS);
    rig_empty(rig, 1);
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_reap, "that was enough for a reap");
    rig_empty(rig, 1);
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
}

/* bob is due to hear that an object is gone, and while he is too busy he says so himself. */
Test(collect, what_a_vat_retires_itself_it_is_not_told)
{
    launch("carol bob alice", 4, 0);
    kref_t object = ko(3, 1), bob = root(2);
    call_send(&calls, root(3), "#[\"take\",[\"$0\"]]", &bob, 1, nothing);
    rig_result(rig, 1, &calls);
    call_send(&calls, bob, "#[\"take\",[\"$0\"]]", &object, 1, nothing);
    rig_result(rig, 3, &calls);
    call_refs(&calls, TAG_drop_imports, &object, 1);
    rig_result(rig, 2, &calls);
    for (int i = 0; i < 8; i++) tell(2);
    kill_vat(3);
    call_refs(&calls, TAG_retire_imports, &object, 1);
    rig_result(rig, 2, &calls);
    size_t heard = 0;
    for (; rig_delivery(rig, 2); heard++) {
        cr_expect_eq(rig_delivery(rig, 2)->tag, TAG_deliver_message);
        rig_empty(rig, 2);
    }
    cr_expect_eq(heard, 7);
}

/* One crank at a time: what is due to the lowest vat first, then the queues. */
Test(collect, a_serial_cluster_takes_turns)
{
    launch("alice bob carol", 1, 1);
    kref_t own[2] = {ko(1, 1), ko(2, 1)}, carol = root(3);
    call_send(&calls, root(2), "#[\"take\",[\"$0\"]]", &carol, 1, nothing);
    call_send(&calls, carol, "#[\"take\",[\"$0\"]]", &own[0], 1, nothing);
    rig_result(rig, 1, &calls);
    call_send(&calls, carol, "#[\"take\",[\"$0\"]]", &own[1], 1, nothing);
    rig_result(rig, 2, &calls);
    rig_empty(rig, 3);
    for (uint32_t vat = 1; vat <= 3; vat++) tell(vat);
    call_refs(&calls, TAG_drop_imports, own, 2);
    rig_result(rig, 3, &calls);

    const struct {
        uint32_t vat;
        msg_tag_t tag;
    } turns[] = {{1, TAG_deliver_drop_exports},
                 {2, TAG_deliver_drop_exports},
                 {1, TAG_deliver_message},
                 {2, TAG_deliver_message},
                 {3, TAG_deliver_message}};
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        for (uint32_t vat = 1; vat <= 3; vat++)
            cr_expect_eq(rig_pending(rig, vat), vat == turns[i].vat, "turn %zu, v%u", i, vat);
        cr_assert(rig_delivery(rig, turns[i].vat));
        cr_expect_eq(rig_delivery(rig, turns[i].vat)->tag, turns[i].tag, "turn %zu", i);
        rig_empty(rig, turns[i].vat);
    }
}

/* A reap is behind the garbage of all, and before the queues. */
Test(collect, a_serial_cluster_reaps_in_turn)
{
    launch("alice bob carol", 1, 1);
    rig_run_dry(rig);
    tell(3);
    msg_reap_t reap = {rig_id(rig), {1}, {0}};
    tell(3);
    cr_assert_eq(rig_ask(rig, TAG_reap, &reap)->tag, TAG_done);
    rig_empty(rig, 3);
    for (uint32_t vat = 1; vat <= 3; vat++) {
        for (uint32_t other = 1; other <= 3; other++)
            cr_expect_eq(rig_pending(rig, other), other == vat, "v%u at the turn of v%u", other,
                         vat);
        cr_assert(rig_delivery(rig, vat));
        cr_expect_eq(rig_delivery(rig, vat)->tag, TAG_deliver_reap);
        rig_empty(rig, vat);
    }
    cr_expect_eq(rig_delivery(rig, 3)->tag, TAG_deliver_message);
}

/* A cluster fails to start while a vat that ended before is still being cleaned up: nothing of the
 * cluster waits for that. */
Test(collect, a_failed_start_is_cleaned_up_before_a_long_end)
{
    launch("alice bob", 1, 0);
    for (size_t i = 0; i < 100; i++) many[i] = ko(1, i + 1);
    call_send(&calls, root(2), TAKE, many, 100, nothing);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    rig_launch_t options = {.no_start = true};
    cr_assert_null(rig_launch(rig, "carol dave", &options));
    rig_no_chores(rig);
    kill_vat(2);
    size_t rows = rig_rows(rig, ROW_held);
    rig_fail(rig, 4, ERR_NO_BUILD_ROOT, "no");
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_failed);
    cr_expect_eq(rig_rows(rig, ROW_vat), 2, "nobody remembers carol and dave");
    cr_expect_eq(rig_rows(rig, ROW_held), rows - 2 - 16, "their roots, and some of bob's rows");
    cr_expect(kernel_chores(rig_kernel(rig)));
    rig_chore(rig);
    cr_expect(!kernel_chores(rig_kernel(rig)));
    cr_expect_lt(rig_rows(rig, ROW_held), 110);
}
