/* Numbers and texts as JavaScript writes them, and the places of values in a file. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"

static fail_t f;

Test(json, numbers_are_javascripts)
{
    static const struct {
        double number;
        const char *text;
    } rows[] = {{0, "0"},
                {-0.0, "0"},
                {1, "1"},
                {-42, "-42"},
                {1.5, "1.5"},
                {0.1, "0.1"},
                {1e21, "1e+21"},
                {123456789012345680000.0, "123456789012345680000"},
                {1e-6, "0.000001"},
                {1e-7, "1e-7"},
                {1.5e-7, "1.5e-7"},
                {5e-324, "5e-324"},
                {1.7976931348623157e308, "1.7976931348623157e+308"},
                {9007199254740993.0, "9007199254740992"},
                {0.30000000000000004, "0.30000000000000004"},
                {100, "100"},
                {12.34, "12.34"}};
    char text[NUMBER_TEXT_MAX];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_str_eq(number_text(rows[i].number, text), rows[i].text);
    }
}

static void place(const char *text, const char *pointer, bool key, unsigned want_line,
                  unsigned want_column)
{
    unsigned line = 0, column = 0;

    cr_assert(json_place(text, strlen(text), pointer, key, &line, &column), "%s", pointer);
    cr_assert(line == want_line && column == want_column, "%s at %u:%u", pointer, line, column);
}

Test(json, every_value_and_key_has_a_place)
{
    const char *text =
        "{\n  \"a\": [1, {\"b~/c\": \"x,]}\"}],\n  \"\\u0064\": \"\xc3\xa9\", \"e\": null}\n";
    unsigned line, column;

    place(text, "", false, 1, 1);
    place(text, "/a", true, 2, 3);
    place(text, "/a", false, 2, 8);
    place(text, "/a/0", false, 2, 9);
    place(text, "/a/1", true, 2, 12);
    place(text, "/a/1/b~0~1c", true, 2, 13);
    place(text, "/a/1/b~0~1c", false, 2, 21);
    place(text, "/d", true, 3, 3);
    place(text, "/e", true, 3, 18); /* columns are characters, not bytes */
    cr_assert_not(json_place(text, strlen(text), "/f", false, &line, &column));
}

Test(json, syntax_errors_and_duplicates_have_a_place)
{
    const char *broken = "{\"a\": 1,\n \"b\" 2}",
               *twice = "{\"a\": {\"x\": 1},\n \"b\": {\"x\": 1, \"x\": 2}}";

    cr_assert_null(json_read(broken, strlen(broken), "f.json", &f));
    cr_assert_eq(f.err, ERR_JSON_SYNTAX);
    cr_assert_eq(f.line, 2);
    cr_assert_null(json_read(twice, strlen(twice), "f.json", &f));
    cr_assert_eq(f.err, ERR_JSON_DUPLICATE);
    cr_assert(f.line == 2 && f.column == 16, "%u:%u", f.line, f.column);
    cr_assert_str_eq(f.pointer, "/b/x");
}

Test(json, a_duplicate_before_bottomless_text_ends)
{
    size_t len = 200000;
    char *text = malloc(len);

    memset(text, '[', len);
    memcpy(text, "{\"a\":1,\"a\":", 11);
    cr_assert_null(json_read(text, len, "f.json", &f));
    free(text);
}
