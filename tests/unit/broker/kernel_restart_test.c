/* A kernel that is loaded from its rows is the kernel that wrote them: the same lists, and it goes
 * on in the same way. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING         "#[\"ping\",[]]"
#define TAKE_PROMISE "#[\"take\",[\"&0\"]]"

static const kref_t nothing;

static buf_t calls;

/* Every list but the epoch's counter, and every reference of the first vats. */
static char *everything(rig_t *rig)
{
    char *parts[64];
    size_t count = 0, len = 1;
    for (unsigned what = 0; what < 3; what++) parts[count++] = rig_list(rig, what, nothing);
    char *counters = rig_list(rig, 5, nothing);
    parts[count++] = counters;
    for (uint32_t vat = 1; vat <= 3; vat++)
        for (uint64_t n = 0; n < 6; n++) {
            parts[count++] = rig_list(rig, 3, ko(vat, n));
            parts[count++] = rig_list(rig, 3, kp(vat, n + 1));
        }
    char *epoch = strstr(counters, "epoch");
    if (epoch) epoch[strcspn(epoch, "}") - 1] = '#';
    for (size_t i = 0; i < count; i++) len += strlen(parts[i]);
    char *all = calloc(1, len);
    for (size_t i = 0; i < count; i++) {
        strcat(all, parts[i]);
        free(parts[i]);
    }
    return all;
}

static void expect_same_after_restart(rig_t *rig, bool replay)
{
    char *before = everything(rig);
    rig_restart(rig, replay);
    char *after = everything(rig);
    cr_assert_str_eq(before, after);
    free(before);
    free(after);
}

/* A state with one of everything: queues, promise queues, subscriptions, rows in flight, settled
 * promises in a cycle, a dead vat, holds, dropped imports. */
static rig_t *rich(void)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_host(rig, 2);
    cr_assert_eq(rig_launch(rig, "alice bob carol", NULL)->tag, TAG_launched);
    kref_t carol = root(3), own = ko(1, 1), cycle[] = {kp(1, 4), kp(1, 5)};
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 1));
    call_send(&calls, root(2), "#[\"take\",[\"$0.Alleged: x\",\"$1.Alleged: y\"]]",
              (kref_t[]){own, carol}, 2, kp(1, 2));
    call_send(&calls, kp(1, 1), PING, NULL, 0, kp(1, 3));
    call_subscribe(&calls, kp(1, 1));
    call_subscribe(&calls, kp(1, 3));
    call_send(&calls, root(2), "#[\"take\",[\"&0\",\"&1\"]]", cycle, 2, nothing);
    resolution_t batch[] = {{cycle[0], false, rig_data("#[\"&0\"]", &cycle[1], 1)},
                            {cycle[1], true, rig_data("#[\"&0\"]", &cycle[0], 1)}};
    msg_resolve_t resolve = {{batch, 2}};
    call_any(&calls, TAG_resolve, &resolve);
    call_refs(&calls, TAG_drop_imports, &carol, 1);
    rig_result(rig, 1, &calls);
    msg_call_t call = {rig_id(rig), root(1), rig_data(PING, NULL, 0), 0};
    rig_ask(rig, TAG_call, &call);
    msg_kill_t kill = {rig_id(rig), {3}, text_of("away with it")};
    rig_ask(rig, TAG_kill, &kill);
    return rig;
}

Test(restart, the_state_is_the_same_after_it)
{
    for (int replay = 0; replay < 2; replay++) {
        rig_t *rig = rich();
        expect_same_after_restart(rig, replay);
        rig_destroy(&rig);
    }
}

/* The same story, once through and once with a restart before every crank, ends the same. */
static char *story(bool restarts, bool replay)
{
    rig_t *rig = rich();
    const struct {
        uint32_t vat;
        kref_t promise, slot;
    } script[] = {{2, kp(1, 1), root(2)},
                  {2, kp(1, 2), ko(1, 1)},
                  {2, kp(2, 1), nothing},
                  {2, kp(1, 3), root(2)}};
    for (size_t i = 0; i < sizeof script / sizeof *script; i++) {
        if (restarts) rig_restart(rig, replay);
        cr_assert(rig_delivery(rig, script[i].vat));
        if (script[i].slot.n)
            call_resolve(&calls, script[i].promise, false, "#\"$0.Alleged: z\"", &script[i].slot,
                         1);
        rig_result(rig, script[i].vat, &calls);
    }
    rig_run_dry(rig);
    char *all = everything(rig);
    rig_destroy(&rig);
    return all;
}

/* Runs and attempts are counted, so the rows compare without them: lists do not show them. */
Test(restart, a_restart_at_every_crank_changes_nothing)
{
    char *plain = story(false, false), *live = story(true, false), *replayed = story(true, true);
    cr_assert_str_eq(plain, live);
    cr_assert_str_eq(plain, replayed);
    free(plain);
    free(live);
    free(replayed);
}

Test(restart, a_row_that_contradicts_another_is_damage)
{
    kernel_t *kernel = kernel_new();
    row_t row = {.table = ROW_held};
    row.body.held = (row_held_t){.vat = 1, .kref = ko(1, 0).n};
    cr_assert_eq(kernel_load(kernel, &row), ERR_STORE_DAMAGED);
    kernel_destroy(&kernel);

    kernel = kernel_new();
    row = (row_t){.table = ROW_object};
    row.body.object = (row_object_t){.kref = ko(1, 0).n, .owner = 1};
    cr_assert_eq(kernel_load(kernel, &row), ERR_OK);
    uint8_t entropy[32] = {0};
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_STORE_DAMAGED, "its owner is not there");
    kernel_destroy(&kernel);
}

Test(restart, the_kernel_keeps_its_id_and_its_epoch_grows)
{
    rig_t *rig = rig_new();
    id128_t id = kernel_id(rig_kernel(rig));
    uint64_t epoch = kernel_epoch(rig_kernel(rig));
    rig_restart(rig, false);
    cr_assert_eq(memcmp(id.b, kernel_id(rig_kernel(rig)).b, 16), 0);
    cr_assert_eq(kernel_epoch(rig_kernel(rig)), epoch + 1);
    rig_destroy(&rig);
}

/* What is born and dies between two flushes is never visited. */
static void count(void *context, const row_t *row)
{
    size_t *counts = context;
    counts[row->table]++;
}

Test(restart, a_second_flush_has_nothing_to_say)
{
    rig_t *rig = rich();
    size_t counts[ROW_TABLES] = {0};
    kernel_flush(rig_kernel(rig), count, counts);
    for (size_t i = 0; i < ROW_TABLES; i++) cr_assert_eq(counts[i], 0);
    rig_destroy(&rig);
}
