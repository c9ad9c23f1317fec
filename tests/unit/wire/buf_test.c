/* Growing bytes: what is added is there, and what would pass the maximum changes nothing. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/base/buf.h"

static bool holds(const buf_t *buf, const char *text)
{
    return buf->len == strlen(text) && memcmp(buf->at, text, buf->len) == 0;
}

Test(buf, bytes_text_and_print_stand_one_behind_the_other)
{
    buf_t buf = buf_of(64);
    cr_expect_eq(buf_add(&buf, "ab", 2), ERR_OK);
    cr_expect_eq(buf_text(&buf, "cd"), ERR_OK);
    cr_expect_eq(buf_text(&buf, ""), ERR_OK);
    cr_expect_eq(buf_print(&buf, " %s is %d%%", "it", 7), ERR_OK);
    cr_expect_eq(buf_add(&buf, "!", 1), ERR_OK);
    cr_expect(holds(&buf, "abcd it is 7%!"));
    buf_clear(&buf);
    cr_expect_eq(buf_print(&buf, "%u", 1), ERR_OK, "it is usable again");
    cr_expect(holds(&buf, "1"));
    buf_clear(&buf);
}

Test(buf, print_grows_as_far_as_it_must)
{
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    for (size_t before = 0; before < 600; before++) { /* the first room is smaller than that */
        buf_t buf = buf_of(sizeof text + before);
        cr_assert_eq(buf_add(&buf, text, before), ERR_OK);
        cr_assert_eq(buf_print(&buf, "%s<", text), ERR_OK);
        cr_assert_eq(buf.len, before + sizeof text);
        cr_assert_eq(buf.at[buf.len - 2], 'x');
        cr_assert_eq(buf.at[buf.len - 1], '<');
        buf_clear(&buf);
    }
}

Test(buf, what_passes_the_maximum_changes_nothing)
{
    for (size_t max = 8; max < 1100; max += 7) { /* below, at and above what there is room for */
        buf_t buf = buf_of(max);
        while (buf.len < max - 3) cr_assert_eq(buf_text(&buf, "."), ERR_OK);
        cr_expect_eq(buf_print(&buf, "%04d", 1), ERR_WIRE_LIMIT);
        cr_expect_eq(buf_text(&buf, "0001"), ERR_WIRE_LIMIT);
        cr_expect_eq(buf.len, max - 3);
        cr_expect_eq(buf_print(&buf, "%03d", 1), ERR_OK, "it is filled to the last byte");
        cr_expect_eq(buf.len, max);
        cr_expect_eq(memcmp(buf.at + max - 4, ".001", 4), 0);
        cr_expect_eq(buf_print(&buf, "%s", ""), ERR_OK);
        cr_expect_eq(buf_print(&buf, "%d", 1), ERR_WIRE_LIMIT);
        cr_expect_eq(buf.len, max);
        buf_clear(&buf);
    }
}
