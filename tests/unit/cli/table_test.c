/* Tables as people and as pipes get them. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "cli/table.h"

/* SIZE_MAX: as table_print() has it. Lives until the next but one. */
static char *printed(const table_t *table, size_t columns)
{
    static char texts[2][512];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    FILE *out = fmemopen(text, sizeof texts[0], "w");

    if (columns == SIZE_MAX)
        table_print(table, out);
    else
        table_print_within(table, columns, out);
    fclose(out);
    return text;
}

static table_t some(void)
{
    table_t table = table_of("VAT NAME STATE");

    table_add(&table, "v%d", 1);
    table_add(&table, "alice");
    table_add(&table, "running");
    table_add(&table, "v%d", 12);
    table_add(&table, "b\u00f6b");
    table_add(&table, "-");
    return table;
}

Test(table, columns_begin_below_each_other)
{
    table_t table = some();

    cr_expect_str_eq(printed(&table, 0), "VAT  NAME   STATE\nv1   alice  running\n"
                                         "v12  b\u00f6b    -\n");
    cr_expect_str_eq(printed(&table, SIZE_MAX), printed(&table, 0), "no terminal: nothing is cut");
    table_clear(&table);
}

Test(table, a_terminal_gets_what_fits)
{
    table_t table = some();

    cr_expect_str_eq(printed(&table, 19), printed(&table, 0));
    cr_expect_str_eq(printed(&table, 18),
                     "VAT  NAME   STATE\nv1   alice  runni>\nv12  b\u00f6b    -\n");
    cr_expect_str_eq(printed(&table, 7), "VAT  N>\nv1   a>\nv12  b>\n");
    cr_expect_str_eq(printed(&table, 8), "VAT  NA>\nv1   al>\nv12  b\u00f6>\n",
                     "characters, not bytes");
    cr_expect_str_eq(printed(&table, 1), ">\n>\n>\n");
    table_clear(&table);
}

Test(table, what_a_vat_said_cannot_drive_a_terminal)
{
    table_t table = table_of("NAME");

    table_add(&table, "a\033[2Jb\nc");
    cr_expect_str_eq(printed(&table, 0), "NAME\na?[2Jb?c\n");
    table_clear(&table);
}
