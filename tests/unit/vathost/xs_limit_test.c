/* What a hostile vat tries, and what stops it. Each attack has its own machine; the one that hangs
 * XS itself has its own process. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/own.h"

static const xs_options_t usual = {
    .computrons = 50 * 1000 * 1000, .wall_ms = 20 * 1000, .heap_bytes = 64 * 1024 * 1024};

/* As a replay: how long a start takes is not what is tested. */
static xs_vat_t *started(xs_options_t limits)
{
    xs_vat_t *vat = xs_vat_new("hostile.json", limits);
    xs_vat_replay(vat, true);
    const engine_report_t *report = xs_vat_start(vat, "#\"#undefined\"");
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    xs_vat_replay(vat, false);
    return vat;
}

static void attack(const char *methargs, xs_options_t limits, err_t outcome, const char *reason)
{
    AUTO(xs_vat) vat = started(limits);
    const engine_report_t *report = xs_vat_message(vat, "o+0", methargs, "", "p-60");
    cr_assert_eq(report->outcome, outcome, "%s: %s %s", methargs, err_name(report->outcome),
                 report->reason);
    cr_assert_str_eq(report->reason, reason);
    cr_assert(report->dead);
    cr_assert_str_eq(xs_vat_calls(vat), "");

    report = xs_vat_call(vat, "#[\"ok\",[]]");
    cr_assert_eq(report->outcome, ERR_VAT_FAILED, "a dead machine runs nothing");
    cr_assert(report->dead);
}

#define COMPUTE "Compute meter exceeded (limit 50000000 computrons)"
#define HEAP    "Allocate meter exceeded (limit 67108864 bytes)"

Test(xs_limit, loop) { attack("#[\"loop\",[]]", usual, ERR_VAT_LIMIT_COMPUTE, COMPUTE); }
Test(xs_limit, loop_of_promises)
{
    attack("#[\"promises\",[]]", usual, ERR_VAT_LIMIT_COMPUTE, COMPUTE);
}
Test(xs_limit, regexp) { attack("#[\"regexp\",[]]", usual, ERR_VAT_LIMIT_COMPUTE, COMPUTE); }
Test(xs_limit, buffers) { attack("#[\"arrays\",[]]", usual, ERR_VAT_LIMIT_HEAP, HEAP); }
Test(xs_limit, objects) { attack("#[\"objects\",[]]", usual, ERR_VAT_LIMIT_HEAP, HEAP); }
Test(xs_limit, doubling_string) { attack("#[\"doubling\",[]]", usual, ERR_VAT_LIMIT_HEAP, HEAP); }
Test(xs_limit, growing_bigint) { attack("#[\"bigint\",[]]", usual, ERR_VAT_LIMIT_HEAP, HEAP); }
Test(xs_limit, recursion)
{
    attack("#[\"recurse\",[]]", usual, ERR_VAT_LIMIT_STACK, "Stack meter exceeded");
}
Test(xs_limit, deep_json)
{
    attack("#[\"json\",[]]", usual, ERR_VAT_LIMIT_STACK, "Stack meter exceeded");
}

Test(xs_limit, recursion_that_is_not_hostile_is_fine)
{
    AUTO(xs_vat) vat = started(usual);
    xs_vat_message(vat, "o+0", "#[\"deep\",[5000]]", "", "p-60");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-60 fulfilled #5000 {}\n");
}

Test(xs_limit, clock)
{
    xs_options_t limits = {.wall_ms = 300};
    attack("#[\"loop\",[]]", limits, ERR_VAT_LIMIT_WALL,
           "wall clock limit exceeded (limit 300 ms)");
}

/* Each new name makes XS search a longer list, which the meter hardly counts. */
Test(xs_limit, clock_of_many_names)
{
    xs_options_t limits = {.wall_ms = 300, .heap_bytes = 512 * 1024 * 1024};
    attack("#[\"names\",[]]", limits, ERR_VAT_LIMIT_WALL,
           "wall clock limit exceeded (limit 300 ms)");
}

Test(xs_limit, native_loop_ends_the_process)
{
    pid_t pid = fork();
    if (pid == 0) { /* where nothing may be asserted: the runner would wait for two */
        xs_vat_t *vat = xs_vat_new("hostile.json", (xs_options_t){.wall_ms = 200});
        xs_vat_replay(vat, true);
        xs_vat_start(vat, "#\"#undefined\"");
        xs_vat_replay(vat, false);
        xs_vat_call(vat, "#[\"native\",[]]");
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), XS_EXIT_WALL);
}

/* How much there is to collect is not the vat's doing. */
Test(xs_limit, a_reap_has_more_time)
{
    xs_options_t limits = {.wall_ms = 10};
    AUTO(xs_vat) vat = xs_vat_new("garbage.json", limits);
    xs_vat_replay(vat, true);
    cr_assert_eq(xs_vat_start(vat, "#\"#undefined\"")->outcome, ERR_OK);
    cr_assert_eq(xs_vat_call(vat, "#[\"make\",[500]]")->outcome, ERR_OK);
    cr_assert_neq(xs_vat_get(vat, "vom.o+v10/500"), NULL);
    xs_vat_replay(vat, false);
    const engine_report_t *report = xs_vat_reap(vat);
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    cr_assert_eq(xs_vat_get(vat, "vom.o+v10/500"), NULL);
}

/* A zygote reads the snapshot, its children open a vat each. */
Test(xs_limit, machine_goes_on_behind_a_fork)
{
    AUTO(xs_vat) vat = started(usual);
    pid_t pid = fork();
    xs_vat_message(vat, "o+0", "#[\"deep\",[1000]]", "", "p-60");
    bool right = strcmp(xs_vat_calls(vat), "resolve p-60 fulfilled #1000 {}\n") == 0;
    if (pid == 0) _exit(right ? 7 : 1);
    cr_assert(right);
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 7);
}

Test(xs_limit, replay_has_no_clock)
{
    xs_options_t limits = {.computrons = 50 * 1000 * 1000, .wall_ms = 1};
    AUTO(xs_vat) vat = xs_vat_new("hostile.json", limits);
    xs_vat_replay(vat, true);
    cr_assert_eq(xs_vat_start(vat, "#\"#undefined\"")->outcome, ERR_OK);
    cr_assert_eq(xs_vat_call(vat, "#[\"loop\",[]]")->outcome, ERR_VAT_LIMIT_COMPUTE);
}

Test(xs_limit, meter_starts_anew_with_each_crank)
{
    AUTO(xs_vat) vat = started((xs_options_t){.computrons = 3 * 1000 * 1000});
    for (int i = 0; i < 5; i++) {
        const engine_report_t *report = xs_vat_call(vat, "#[\"work\",[100000]]");
        cr_assert_eq(report->outcome, ERR_OK);
        cr_assert_gt(report->computrons, 1000 * 1000);
    }
    cr_assert_eq(xs_vat_call(vat, "#[\"work\",[1000000]]")->outcome, ERR_VAT_LIMIT_COMPUTE);
}

Test(xs_limit, vat_finds_no_powers)
{
    AUTO(xs_vat) vat = started(usual);
    xs_vat_message(vat, "o+0", "#[\"powers\",[]]", "", "p-60");
    cr_assert_str_eq(
        xs_vat_calls(vat),
        "resolve p-60 fulfilled #\"undefined,undefined,undefined,undefined,undefined,undefined,"
        "undefined,undefined,undefined,undefined,undefined,undefined,false,undefined\" {}\n");
    xs_vat_message(vat, "o+0", "#[\"inherited\",[]]", "", "p-61");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-61 fulfilled #[true,true,true] {}\n");
    xs_vat_message(vat, "o+0", "#[\"now\",[]]", "", "p-62");
    cr_assert_neq(strstr(xs_vat_calls(vat), "resolve p-62 rejected"), NULL);
    xs_vat_message(vat, "o+0", "#[\"random\",[]]", "", "p-63");
    cr_assert_neq(strstr(xs_vat_calls(vat), "resolve p-63 rejected"), NULL);
}
