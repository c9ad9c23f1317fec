/* Names that come and go: imports that are dropped, exports that are retired or abandoned. */
#include <criterion/criterion.h>

#include "tests/unit/vathost/supervisor_rig.h"

static void drop_50(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_drop_imports, "o-50 o-51");
    script_refs(h, TAG_retire_imports, "o-50");
}
static void use_dropped(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o-51", "#[\"x\",[]]", "", "");
}

Test(supervisor, dropped_imports_are_not_usable_until_they_come_again)
{
    steps_t steps = {{NULL, drop_50, NULL, NULL, use_dropped, use_dropped}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    msg_deliver_reap_t reap = {0};

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 1), ko(4, 2)), (kref_t){0}),
                 ERR_OK);
    cr_assert_eq(run(&rig, TAG_deliver_reap, &reap), ERR_OK);
    cr_expect_str_eq(rig.calls, "drop_imports ko4.1 ko4.2\nretire_imports ko4.1\n");
    cr_expect(kref_none(look(&rig, "o-50").kref));
    cr_expect_eq(look(&rig, "o-51").flags, 0, "still recognizable");

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 1)), (kref_t){0}), ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[]] {o-52}",
                     "a retired one gets a new number");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 2)), (kref_t){0}), ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[]] {o-51}", "a dropped one keeps its own");
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_OK);
    rig_clear(&rig);
}

static void export_9(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+9", "#[\"x\",[]]", "", "");
}
static void retire_9(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_retire_exports, "o+9");
}

Test(supervisor, a_retired_export_gets_a_new_serial)
{
    steps_t steps = {{export_9, NULL, export_9, NULL, retire_9, export_9, NULL, NULL}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    kref_t nine = ko(3, 1), ten = ko(3, 2);
    msg_deliver_drop_exports_t drop = {.krefs = {&nine, 1}};

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_assert_eq(run(&rig, TAG_deliver_drop_exports, &drop), ERR_OK);
    cr_expect_str_eq(heard(&rig), "drop_exports o+9");
    cr_expect_eq(look(&rig, "o+9").flags, 2);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(look(&rig, "o+9").flags, 3, "exported again, reachable again");
    cr_assert_eq(run(&rig, TAG_deliver_drop_exports, &drop), ERR_OK);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "retire_exports ko3.1\n");
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "send ko3.2 #[\"x\",[]] {}\n");

    msg_deliver_retire_exports_t retire = {.krefs = {&ten, 1}};
    cr_assert_eq(run(&rig, TAG_deliver_retire_exports, &retire), ERR_OK);
    cr_expect_str_eq(heard(&rig), "retire_exports o+9");
    cr_expect_eq(look(&rig, "").count, 1);
    cr_expect_eq(run(&rig, TAG_deliver_retire_exports, &retire), ERR_NOT_HELD);
    rig_clear(&rig);
}

static void abandon_9(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_abandon_exports, "o+9");
}

/* What the vat gave up comes back as an import; and a message that was on its way to it is rejected
 * without asking the engine. */
Test(supervisor, an_abandoned_export_comes_back_as_an_import)
{
    steps_t steps = {{export_9, abandon_9, NULL}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "abandon_exports ko3.1\n");
    size_t ran = script_count(rig.engine);
    cr_assert_eq(message(&rig, ko(3, 1), "#[\"x\",[]]", NULL, 0, kp(5, 1)), ERR_OK);
    cr_expect_eq(script_count(rig.engine), ran, "there is nobody to run it");
    cr_expect_str_eq(rig.calls, "resolve kp5.1 rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat "
                                "terminated\",\"name\":\"Error\"} {}\n");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"$0\"]]", SLOTS(ko(3, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"$0\"]] {o-50}");
    rig_clear(&rig);
}
