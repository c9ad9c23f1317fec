/* Every error code can be explained whole. */
#include <criterion/criterion.h>
#include <string.h>

#include "cli/explain.h"

Test(explain, every_code_has_all_that_is_shown)
{
    for (unsigned i = 0; err_at(i); i++) {
        const err_row_t *row = err_at(i);
        if (!row->err) continue;
        cr_expect(*row->text, "%s", row->name);
        cr_expect(*row->hint, "%s: nothing to try in wire/base/err.def", row->name);
        cr_expect(explain_why(row->err), "%s: no row in cli/explain.def", row->name);
        cr_expect(explain_exit(row->exit), "%s: exit code %d means nothing", row->name, row->exit);
        cr_expect_neq((unsigned)row->err / 1000, 0);
        cr_expect_lt((unsigned)row->err, 10000);
    }
}

Test(explain, numbers_and_names_are_used_once)
{
    for (unsigned i = 0; err_at(i); i++) {
        for (unsigned j = 0; j < i; j++) {
            cr_expect_neq(err_at(i)->err, err_at(j)->err, "%s", err_at(i)->name);
            cr_expect_str_neq(err_at(i)->name, err_at(j)->name);
        }
    }
}

Test(explain, who_cannot_reach_the_broker_may_try_again_and_who_is_wrong_may_not)
{
    cr_expect_eq(explain_retry(ERR_NO_BROKER), RETRY_LATER);
    cr_expect_eq(explain_retry(ERR_TIMED_OUT), RETRY_LATER);
    cr_expect_eq(explain_retry(ERR_UNKNOWN_FLAG), RETRY_AFTER);
    cr_expect_eq(explain_retry(ERR_REJECTED), RETRY_NO);
    for (unsigned i = 0; err_at(i); i++)
        cr_expect(err_at(i)->who != WHO_US || explain_retry(err_at(i)->err) == RETRY_NO);
}

Test(explain, what_looks_like_a_code)
{
    cr_expect(explain_is_code("E2104") && explain_is_code("2104") && explain_is_code("e21"));
    cr_expect(explain_is_code("E2") && explain_is_code("0"));
    cr_expect_not(explain_is_code("E"));
    cr_expect_not(explain_is_code(""));
    cr_expect_not(explain_is_code("E21045"));
    cr_expect_not(explain_is_code("events"));
    cr_expect_not(explain_is_code("21x"));
}
