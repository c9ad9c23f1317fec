/* Text that crosses the border of XS, both ways: through messages, through the vat store, and on the
 * console. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/vathost/xs_vat.h"
#include "vathost/xs/utf.h"
#include "wire/base/own.h"

static xs_vat_t *started(const char *bundle)
{
    xs_vat_t *vat = xs_vat_new(bundle, (xs_options_t){0});
    cr_assert_eq(xs_vat_start(vat, "#\"#undefined\"")->outcome, ERR_OK);
    return vat;
}

static void check(xs_vat_t *vat, const char *body, const char *calls)
{
    xs_vat_message(vat, "o+0", body, "", "p-60");
    cr_assert_str_eq(xs_vat_calls(vat), calls);
}

static void check_cesu(text_t utf8, text_t cesu)
{
    char there[64], back[64];
    cr_assert_eq(utf_cesu_bytes(utf8), cesu.len);
    utf_to_cesu(utf8, there);
    cr_assert_arr_eq(there, cesu.at, cesu.len);
    size_t len = utf_from_cesu(there, cesu.len, back);
    cr_assert_eq(len, utf8.len);
    cr_assert_arr_eq(back, utf8.at, len);
}

#define TEXT(literal) ((text_t){literal, sizeof(literal) - 1})

Test(xs_text, what_utf8_can_say_comes_back)
{
    check_cesu(TEXT("plain, longer than a word"), TEXT("plain, longer than a word"));
    check_cesu(TEXT("\xC3\xBC"), TEXT("\xC3\xBC"));
    check_cesu(TEXT("\xE2\x82\xAC"), TEXT("\xE2\x82\xAC"));
    check_cesu(TEXT("\xF0\x9F\x98\x80"), TEXT("\xED\xA0\xBD\xED\xB8\x80"));
    check_cesu(TEXT("\xF4\x8F\xBF\xBF"), TEXT("\xED\xAF\xBF\xED\xBF\xBF"));
    check_cesu(TEXT("a\0b"), TEXT("a\xC0\x80"
                                  "b"));
    check_cesu(TEXT("12345678\0"), TEXT("12345678\xC0\x80"));
    check_cesu(TEXT("\xEF\xBF\xBD\xEE\x80\x80"), TEXT("\xEF\xBF\xBD\xEE\x80\x80"));
}

Test(xs_text, lone_surrogates_leave_as_the_replacement_character)
{
    char back[16];
    cr_assert_eq(utf_from_cesu("\xED\xA0\xBD", 3, back), 3);
    cr_assert_arr_eq(back, "\xEF\xBF\xBD", 3);
    cr_assert_eq(utf_from_cesu("\xED\xB8\x80\xED\xA0\xBD!", 7, back), 7);
    cr_assert_arr_eq(back, "\xEF\xBF\xBD\xEF\xBF\xBD!", 7);
}

Test(xs_text, bytes_that_are_no_utf8_enter_as_the_replacement_character)
{
    static const text_t bad[] = {TEXT("\xFF"),         TEXT("\xC3"),     TEXT("\xED\xA0\x80"),
                                 TEXT("\xF0\x9F\x98"), TEXT("\xC0\x80"), TEXT("\xF5\x80\x80\x80"),
                                 TEXT("\xE0\x80\x80")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char there[64];
        cr_assert_eq(utf_cesu_bytes(bad[i]), 3 * bad[i].len);
        utf_to_cesu(bad[i], there);
        cr_assert_arr_eq(there, "\xEF\xBF\xBD", 3);
    }
}

Test(xs_text, in_messages)
{
    AUTO(xs_vat) vat = started("texts.json");
    check(vat, "#[\"echo\",[\"\xC3\xBC \xF0\x9F\x98\x80\"]]",
          "resolve p-60 fulfilled #\"\xC3\xBC \xF0\x9F\x98\x80\" {}\n");
    check(vat, "#[\"units\",[\"\xF0\x9F\x98\x80\"]]", "resolve p-60 fulfilled #[55357,56832] {}\n");
    check(vat, "#[\"make\",[55357,56832,233]]",
          "resolve p-60 fulfilled #\"\xF0\x9F\x98\x80\xC3\xA9\" {}\n");
    check(vat, "#[\"units\",[\"a\\u0000b\"]]", "resolve p-60 fulfilled #[97,0,98] {}\n");
    check(vat, "#[\"make\",[97,0,98]]", "resolve p-60 fulfilled #\"a\\u0000b\" {}\n");
    check(vat, "#[\"encode\",[\"\xF0\x9F\x98\x80\"]]",
          "resolve p-60 fulfilled #[240,159,152,128] {}\n");
}

/* What is written is what there is room for, wherever "=" stands. */
Test(xs_text, in_base64)
{
    AUTO(xs_vat) vat = started("texts.json");
    check(vat, "#[\"decode\",[\"\"]]", "resolve p-60 fulfilled #[] {}\n");
    check(vat, "#[\"decode\",[\"=\"]]", "resolve p-60 fulfilled #[] {}\n");
    check(vat, "#[\"decode\",[\"AQIDBA==\"]]", "resolve p-60 fulfilled #[1,2,3,4] {}\n");
    check(vat, "#[\"decode\",[\"AQID==\"]]", "resolve p-60 fulfilled #[1,2,3] {}\n");
    check(vat, "#[\"decode\",[\"AQIDBAUGBwgJCgsMDQ4PEBES==\"]]",
          "resolve p-60 fulfilled #[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18] {}\n");
}

Test(xs_text, in_the_vat_store)
{
    AUTO(xs_vat) vat = started("texts.json");
    xs_vat_call(vat, "#[\"keep\",[\"\xF0\x9F\x98\x80\",\"\xC3\xBC\xF0\x9F\x98\x80\"]]");
    xs_vat_call(vat, "#[\"keep\",[\"\xEF\xBF\xBD\",1]]");
    cr_assert_str_eq(xs_vat_get(vat, "vc.1.s\xF0\x9F\x98\x80"),
                     "{\"body\":\"#\\\"\xC3\xBC\xF0\x9F\x98\x80\\\"\",\"slots\":[]}");
    check(vat, "#[\"read\",[\"\xF0\x9F\x98\x80\"]]",
          "resolve p-60 fulfilled #\"\xC3\xBC\xF0\x9F\x98\x80\" {}\n");
    /* By code point, not by UTF-16 unit: the emoji comes last. */
    check(vat, "#[\"keys\",[]]",
          "resolve p-60 fulfilled #[\"\xEF\xBF\xBD\",\"\xF0\x9F\x98\x80\"] {}\n");
}

Test(xs_text, console_lines)
{
    AUTO(xs_vat) vat = started("talk.json");
    cr_assert_str_eq(xs_vat_console(vat), "info vat| evaluated\n");
    xs_vat_message(vat, "o+0", "#[\"say\",[\"$0.Alleged: Bob\",\"&1\"]]", "o-50,p-60", NULL);
    cr_assert_str_eq(
        xs_vat_console(vat),
        "log vat| plain two 3 42n -0 NaN true null undefined Symbol.for(\"s\") "
        "Symbol(Symbol.asyncIterator)\n"
        "log vat| { name: \"x\", \"odd key\": [\"in\", \"side\"], [Symbol.for(\"k\")]: 1 } "
        "[1, [2, []]] {}\n"
        "log vat| Error: plain error TypeError: of a type\n"
        "log vat| [Alleged: Bob] [Promise] [Alleged: Local] [Function anonymous] "
        "[Function named]\n"
        "log vat| tagged(\"copySet\", [\"a\"])\n"
        "debug vat| debug\n"
        "warn vat| warn\n"
        "error vat| error\n");
}

Test(xs_text, console_lines_of_odd_values)
{
    AUTO(xs_vat) vat = started("talk.json");
    xs_vat_console(vat);
    cr_assert_eq(xs_vat_call(vat, "#[\"odd\",[]]")->outcome, ERR_OK);
    const char *lines = xs_vat_console(vat);
    static const char start[] = "log vat| { again: [Circular] }\n"
                                "log vat| { a: { b: { c: { d: { e: [Object] } } } } }\n"
                                "log vat| { x: [Getter] }\n"
                                "log vat| [Object]\n"
                                "log vat| 20000 yyy";
    cr_assert_eq(strncmp(lines, start, sizeof start - 1), 0, "%s", lines);
    cr_assert_lt(strlen(lines), 10000);
    cr_assert_neq(strstr(lines, "7, 7, ... 900 more]\n"), NULL);
    cr_assert_neq(strstr(lines, "log vat| \xF0\x9F\x98\x80 "), NULL);
}

Test(xs_text, loggers_tag_their_lines)
{
    AUTO(xs_vat) vat = started("talk.json");
    xs_vat_console(vat);
    xs_vat_call(vat, "#[\"log\",[]]");
    cr_assert_str_eq(xs_vat_console(vat), "info vat| main { n: 1 }\n"
                                          "warn vat:net| one tag\n"
                                          "error vat:net:tcp| two tags\n"
                                          "log vat:testLog| tested 1\n");
}
