/* The engine begins anew: as an upgrade has it, on the store that the code before it left, and again
 * and again in one process. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/own.h"

static void fine(const engine_report_t *report)
{
    cr_assert_eq(report->outcome, ERR_OK, "%s: %s", err_name(report->outcome), report->reason);
}

static xs_vat_t *first(void)
{
    xs_vat_t *vat = xs_vat_new("upgrade.json", (xs_options_t){0});
    fine(xs_vat_start(vat, "#{\"version\":1}"));
    (void)xs_vat_store(vat);
    return vat;
}

static const engine_report_t *next(xs_vat_t *vat, const char *parameters)
{
    fine(xs_vat_reap(vat));
    (void)xs_vat_calls(vat);
    cr_assert_eq(xs_vat_renew(vat, "upgrade.json"), ERR_OK);
    return xs_vat_start(vat, parameters);
}

static void expect(xs_vat_t *vat, const char *target, const char *methargs, const char *calls)
{
    fine(xs_vat_message(vat, target, methargs, NULL, "p-70"));
    cr_expect_str_eq(xs_vat_calls(vat), calls);
}

Test(xs_renew, what_is_durable_goes_on_with_new_code)
{
    AUTO(xs_vat) vat = first();
    expect(vat, "o+0", "#[\"makeCounter\",[]]",
           "resolve p-70 fulfilled #\"$0.Alleged: counter\" {o+d10/1}\n");
    expect(vat, "o+d10/1", "#[\"incr\",[]]", "resolve p-70 fulfilled #[1,1] {}\n");
    expect(vat, "o+0", "#[\"makeEphemeral\",[]]",
           "resolve p-70 fulfilled #\"$0.Alleged: ephemeral\" {o+13}\n");

    fine(next(vat, "#{\"version\":2}"));
    expect(vat, "o+d10/1", "#[\"incr\",[]]", "resolve p-70 fulfilled #[2,2] {}\n");
    expect(vat, "o+0", "#[\"version\",[]]", "resolve p-70 fulfilled #2 {}\n");
    /* Numbers go on: no new export has the name of an old one. */
    expect(vat, "o+0", "#[\"makeEphemeral\",[]]",
           "resolve p-70 fulfilled #\"$0.Alleged: ephemeral\" {o+15}\n");
    cr_expect_neq(xs_vat_message(vat, "o+13", "#[\"hello\",[]]", NULL, NULL)->outcome, ERR_OK,
                  "nobody knows the one of the first incarnation");
}

Test(xs_renew, a_watched_promise_is_told_to_the_next_incarnation)
{
    AUTO(xs_vat) vat = first();
    fine(xs_vat_message(vat, "o+0", "#[\"watch\",[\"theirs\",\"&0\"]]", "p-60", NULL));
    cr_assert_str_eq(xs_vat_calls(vat), "subscribe p-60\n");
    fine(xs_vat_call(vat, "#[\"watchOwn\",[\"own\"]]"));
    const char *calls = xs_vat_calls(vat);
    unsigned own;
    cr_assert_eq(sscanf(calls, "subscribe p+%u", &own), 1, "%s", calls);

    fine(next(vat, "#{\"version\":2}"));
    fine(xs_vat_notify(vat, "p-60", false, "#\"done\"", NULL));
    /* What the kernel says of promises that the old incarnation decided. */
    char name[32];
    snprintf(name, sizeof name, "p+%u", own);
    fine(xs_vat_notify(vat, name, true, "#{\"name\":\"vatUpgraded\"}", NULL));
    expect(vat, "o+0", "#[\"heard\",[\"theirs\"]]",
           "resolve p-70 fulfilled #{\"value\":\"done\",\"version\":2} {}\n");
    expect(vat, "o+0", "#[\"heard\",[\"own\"]]",
           "resolve p-70 fulfilled #{\"reason\":{\"name\":\"vatUpgraded\"},\"version\":2} {}\n");
}

Test(xs_renew, a_kind_that_is_not_defined_again_fails)
{
    AUTO(xs_vat) vat = first();
    const engine_report_t *report = next(vat, "#{\"version\":2,\"forget\":\"counter\"}");
    cr_expect_eq(report->outcome, ERR_BUILD_ROOT_THREW);
    cr_expect_str_eq(report->reason, "Error: defineDurableKind not called for tags: [counter]");
}

Test(xs_renew, imports_in_baggage_are_the_same_imports)
{
    AUTO(xs_vat) vat = first();
    fine(xs_vat_message(vat, "o+0", "#[\"store\",[\"friend\",\"$0\"]]", "o-50", NULL));
    fine(xs_vat_message(vat, "o+0", "#[\"keep\",[\"stranger\",\"$0\"]]", "o-51", NULL));
    fine(next(vat, "#{\"version\":2}"));
    fine(xs_vat_call(vat, "#[\"call\",[\"friend\"]]"));
    const char *calls = xs_vat_calls(vat);
    cr_expect_eq(strncmp(calls, "send o-50 #[\"hello\",[]] {} p+", 29), 0, "%s", calls);
}

/* ---- machines, one after the other ---- */

static void serves(xs_vat_t *vat, const char *name)
{
    fine(xs_vat_start(vat, "#\"#undefined\""));
    fine(xs_vat_message(vat, "o+0", "#[\"names\",[]]", NULL, "p-60"));
    cr_expect_str_eq(xs_vat_calls(vat), "resolve p-60 fulfilled #[] {}\n", "%s", name);
    fine(xs_vat_reap(vat));
    (void)xs_vat_calls(vat);
    (void)xs_vat_store(vat);
}

Test(xs_renew, every_format_follows_every_other)
{
    static const char *const names[] = {"durable.json", "durable.endoZipBase64.json",
                                        "durable.getExport.json", "durable.endoZipBase64.json",
                                        "durable.iife.json"};
    AUTO(xs_vat) vat = xs_vat_new("durable.nestedEvaluate.json", (xs_options_t){0});
    serves(vat, "the first");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_eq(xs_vat_renew(vat, names[i]), ERR_OK);
        serves(vat, names[i]);
    }
}

Test(xs_renew, a_dead_machine_is_followed_by_a_living_one_with_the_same_limits)
{
    static const char *const attacks[] = {"#[\"loop\",[]]", "#[\"objects\",[]]",
                                          "#[\"recurse\",[]]", "#[\"doubling\",[]]"};
    static const err_t outcomes[] = {ERR_VAT_LIMIT_COMPUTE, ERR_VAT_LIMIT_HEAP, ERR_VAT_LIMIT_STACK,
                                     ERR_VAT_LIMIT_HEAP};
    AUTO(xs_vat)
    vat = xs_vat_new("hostile.json",
                     (xs_options_t){.computrons = 5 * 1000 * 1000, .heap_bytes = 8 * 1024 * 1024});
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        fine(xs_vat_start(vat, "#\"#undefined\""));
        const engine_report_t *report = xs_vat_call(vat, attacks[i]);
        cr_expect_eq(report->outcome, outcomes[i], "%s: %s", attacks[i], err_name(report->outcome));
        cr_assert(report->dead);
        cr_assert_eq(xs_vat_renew(vat, "hostile.json"), ERR_OK);
    }
    fine(xs_vat_start(vat, "#\"#undefined\""));
}

Test(xs_renew, without_a_bundle_there_is_no_machine)
{
    AUTO(xs_vat) vat = xs_vat_new("trivial.json", (xs_options_t){0});
    fine(xs_vat_start(vat, "#{}"));
    cr_expect_eq(xs_vat_renew(vat, "/nowhere/bundle.json"), ERR_FILE_MISSING);
    const engine_report_t *report = xs_vat_call(vat, "#[\"ping\",[]]");
    cr_expect(report->outcome == ERR_VAT_FAILED && report->dead);
    cr_assert_eq(xs_vat_renew(vat, "trivial.json"), ERR_OK);
    fine(xs_vat_start(vat, "#{}"));
}

/* In pages. */
static long resident(void)
{
    long all, in_memory;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_eq(fscanf(file, "%ld %ld", &all, &in_memory), 2);
    fclose(file);
    return in_memory;
}

Test(xs_renew, many_machines_take_no_more_room_than_a_few)
{
#ifdef __SANITIZE_ADDRESS__
    enum { WARM = 2, ROUNDS = 20, ROOM_KIB = 300 * 1024 }; /* it keeps what was freed for a while */
#else
    enum { WARM = 10, ROUNDS = 100, ROOM_KIB = 2 * 1024 };
#endif
    AUTO(xs_vat) vat = xs_vat_new("trivial.json", (xs_options_t){0});
    long before = 0;
    for (int i = 0; i < WARM + ROUNDS; i++) {
        if (i == WARM) before = resident();
        fine(xs_vat_start(vat, "#{}"));
        fine(xs_vat_call(vat, "#[\"ping\",[]]"));
        cr_assert_eq(xs_vat_renew(vat, "trivial.json"), ERR_OK);
        (void)xs_vat_store(vat);
    }
    long grown = (resident() - before) * sysconf(_SC_PAGESIZE) / 1024;
    cr_expect_lt(grown, ROOM_KIB, "%ld KiB", grown);
}
