/* The error table says something useful for every row, and says it consistently. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/base/err.h"

Test(err, every_row_is_complete)
{
    const err_row_t *row;

    for (unsigned i = 0; (row = err_at(i)); i++) {
        cr_expect(row->text[0], "%s has no text", row->name);
        /* What nobody must act on needs no advice. */
        cr_expect(row->hint[0] || row->who == WHO_NOBODY, "%s says nothing to try", row->name);
        size_t len = strlen(row->text);
        cr_expect(row->text[len - 1] != '.', "%s: texts end without a full stop", row->name);
    }
}

Test(err, numbers_and_names_are_unique)
{
    const err_row_t *a, *b;

    for (unsigned i = 0; (a = err_at(i)); i++) {
        for (unsigned j = 0; j < i; j++) {
            b = err_at(j);
            cr_expect_neq(a->err, b->err, "%s and %s", a->name, b->name);
            cr_expect_str_neq(a->name, b->name);
        }
    }
}

Test(err, groups_and_exit_codes)
{
    const err_row_t *row;

    cr_expect_eq(err_at(0)->err, ERR_OK);
    for (unsigned i = 1; (row = err_at(i)); i++) {
        unsigned group = (unsigned)row->err / 1000;
        cr_expect(group >= 1 && group <= 9 && group != 8, "%s is in no group", row->name);
        cr_expect(row->exit >= 1 && row->exit <= 70, "%s exits with %d", row->name, row->exit);
        if (group == 1) cr_expect(row->exit == 2 || row->exit == 3, "%s: use or input", row->name);
        if (group == 6) cr_expect_eq(row->exit, 5, "%s: keys and permission", row->name);
        if (row->who == WHO_US) cr_expect_eq(row->exit, 70, "%s: a defect of ours", row->name);
        if (strncmp(row->name, "WIRE_", 5) == 0) cr_expect_eq(row->who, WHO_PEER, "%s", row->name);
    }
}

Test(err, lookup)
{
    cr_expect_str_eq(err_name(ERR_NOT_HELD), "NOT_HELD");
    cr_expect_str_eq(err_text(ERR_OK), "success");
    cr_expect_eq(err_row((err_t)123456)->err, ERR_INTERNAL);
    cr_expect_null(err_at(100000));
}
