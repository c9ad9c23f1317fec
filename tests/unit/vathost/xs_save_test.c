/* The engine as bytes, and an engine made of them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/own.h"

static void fine(const engine_report_t *report)
{
    cr_assert_eq(report->outcome, ERR_OK, "%s: %s", err_name(report->outcome), report->reason);
}

enum { SAVED_BYTES_MAX = 64 << 20 };

static void save(xs_vat_t *vat, buf_t *ret)
{
    engine_t *engine = xs_vat_engine(vat);
    *ret = buf_of(SAVED_BYTES_MAX);
    cr_assert_eq(engine->save(engine, ret), ERR_OK);
}

static err_t load(xs_vat_t *vat, buf_t *saved)
{
    engine_t *engine = xs_vat_engine(vat);
    return engine->load(engine, (bin_t){saved->at, saved->len});
}

Test(xs_save, a_vat_goes_on_where_it_was)
{
    AUTO(xs_vat) vat = xs_vat_new("upgrade.json", (xs_options_t){0});
    buf_t saved;
    fine(xs_vat_start(vat, "#{\"version\":1}"));
    fine(xs_vat_message(vat, "o+0", "#[\"makeCounter\",[]]", NULL, "p-70"));
    save(vat, &saved);
    fine(xs_vat_message(vat, "o+d10/1", "#[\"incr\",[]]", NULL, "p-71"));
    (void)xs_vat_calls(vat);
    cr_assert_eq(load(vat, &saved), ERR_OK);
    fine(xs_vat_message(vat, "o+d10/1", "#[\"incr\",[]]", NULL, "p-72"));
    /* The store is the test's and did not go back; the heap is the engine's, and did. */
    cr_expect_str_eq(xs_vat_calls(vat), "resolve p-72 fulfilled #[1,2] {}\n");
    buf_clear(&saved);
}
