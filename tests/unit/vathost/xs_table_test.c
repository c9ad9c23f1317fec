/* Map and Set of our XS, which patch_xs.cmake changed: they do what the language says, and losing many
 * entries takes time that grows with their number, not with its square. */
#include <criterion/criterion.h>
#include <time.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/own.h"

static xs_vat_t *started(void)
{
    xs_vat_t *vat = xs_vat_new("tables.json", (xs_options_t){0});
    const engine_report_t *report = xs_vat_start(vat, "#\"#undefined\"");
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    return vat;
}

Test(xs_table, few_entries_and_many_iterators)
{
    AUTO(xs_vat) vat = started();
    xs_vat_message(vat, "o+0", "#[\"same\",[60,400,6]]", "", "p-60");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-60 fulfilled #\"same\" {}\n");
}

Test(xs_table, many_entries)
{
    AUTO(xs_vat) vat = started();
    xs_vat_message(vat, "o+0", "#[\"same\",[6,1500,120]]", "", "p-60");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-60 fulfilled #\"same\" {}\n");
}

/* XS as it comes forgets what is added when the entry under the walk was the last and is gone. */
Test(xs_table, changes_under_a_walk)
{
    AUTO(xs_vat) vat = started();
    xs_vat_message(vat, "o+0", "#[\"inside\",[]]", "", "p-60");
    cr_assert_str_eq(xs_vat_calls(vat),
                     "resolve p-60 fulfilled #[\"0,1,2,3,4,5\",\"0,1,2,3,4,5\"] {}\n");
}

Test(xs_table, a_hundred_thousand_deletions)
{
    AUTO(xs_vat) vat = started();
    clock_t begin = clock();
    xs_vat_message(vat, "o+0", "#[\"deleteMany\",[100000]]", "", "p-60");
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-60 fulfilled #[0,0,50000,100000,0,100000] {}\n");
    cr_assert_lt(seconds, 8, "450,000 deletions took %.1f s; by walks they take minutes", seconds);
    cr_log_info("450,000 deletions: %.2f s", seconds);
}
