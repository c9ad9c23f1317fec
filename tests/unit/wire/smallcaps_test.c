/* Bodies that a receiver's decoder takes, bodies that it throws on, and the bodies we write. The
 * verdicts of the tables are those of @endo/marshal 1.10's fromCapData, except where a comment says
 * that we are stricter; there its encoder never writes such a thing. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/smallcaps/smallcaps.h"

/* 0 object, 1 promise, 2 object, 3 none */
static const kref_t slots[] = {{(UINT64_C(3) << 40) + 7}, {(UINT64_C(1) << 63) + 9}, {5}, {0}};

/* On a heap copy without a byte to spare, so that the sanitizer sees the first byte too far. */
static err_t check(const char *bytes, size_t len, shape_t shape)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    capdata_t data = {{copy, len}, {slots, sizeof slots / sizeof *slots}};
    err_t err = smallcaps_check(&data, shape);
    /* The readers want checked bodies, but may not read too far in any. */
    kref_t kref;
    smallcaps_single_slot(&data, &kref);
    text_t method = smallcaps_method(data.body);
    cr_assert(method.len == 0 ||
              (method.at > (char *)copy && method.at + method.len < (char *)copy + len));
    free(copy);
    return err;
}

static void expect_all(const char *const *bodies, size_t count, shape_t shape, err_t err)
{
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(check(bodies[i], strlen(bodies[i]), shape), err, "%s", bodies[i]);
    }
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const fine[] = {
    /* JSON */
    "#null",
    "#true",
    "#false",
    "#0",
    "#-0",
    "#1",
    "#-1.5",
    "#1e21",
    "#1E-7",
    "#1.25e+3",
    "#\"\"",
    "#[]",
    "#{}",
    "#[[],{}]",
    "#[1,2,[3,[4]]]",
    "#{\"a\":1,\"b\":{\"c\":[]}}",
    "# \t\r\n[ 1 , { \"a\" : null } ] ",
    "#\"x\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
    "#\"\\ud800\"",
    "#\"é€\U0001F600\x7f\"",
    "#{\"a\":1,\"a\":2}",
    /* strings, escaped by '!' where the first character is special */
    "#\"a\"",
    "#\" a\"",
    "#\".a\"",
    "#\"/\"",
    "#\"~\"",
    "#\"!\"",
    "#\"!!x\"",
    "#\"!#x\"",
    "#\"!$9\"",
    "#\"0\"",
    "#\"a#$&+-\"",
    /* constants, symbols, bigints */
    "#\"#undefined\"",
    "#\"#NaN\"",
    "#\"#Infinity\"",
    "#\"#-Infinity\"",
    "#\"\\u0023NaN\"",
    "#\"%foo\"",
    "#\"%\"",
    "#\"%@@asyncIterator\"",
    "#\"%@@@@x\"",
    "#\"%@x\"",
    "#\"+0\"",
    "#\"-5\"",
    "#\"+007\"",
    "#\"+123456789012345678901234567890123456789012345678901234567890\"",
    /* slots */
    "#\"$0\"",
    "#\"$2\"",
    "#\"&1\"",
    "#\"$0.Alleged: foo\"",
    "#\"$0.Alleged: \"",
    "#\"$0.Alleged: a.b\"",
    "#\"$0.Remotable\"",
    "#\"$0.DebugName: x\"",
    "#\"\\u00240\"",
    "#\"\\u0026\\u0031\"",
    "#[\"$0\",\"$0\",\"&1\"]",
    /* records */
    "#{\"\":1}",
    "#{\"!#h\":1,\"!!z\":2}",
    "#{\"payload\":1}",
    "#{\"name\":1,\"errorId\":[]}",
    "#{\"message\":1,\"cause\":2}",
    "#{\"__proto__\":1,\"then\":2}",
    /* tagged values */
    "#{\"#tag\":\"copySet\",\"payload\":[]}",
    "#{\"payload\":{\"a\":\"$0\"},\"#tag\":\"!#x\"}",
    "#{\"\\u0023tag\":\"x\",\"pay\\u006coad\":null}",
    /* errors */
    "#{\"#error\":\"msg\",\"name\":\"TypeError\"}",
    "#{\"#error\":\"\",\"errorId\":\"error:liveSlots:v1#70001\",\"name\":\"Error\"}",
    "#{\"name\":\"!#x\",\"#error\":\"!$0\"}",
};

static const char *const broken[] = {
    "",
    "#",
    "null",
    "{\"@qclass\":\"undefined\"}",
    "# ",
    /* JSON */
    "#nul",
    "#nullx",
    "#True",
    "#undefined",
    "#NaN",
    "#01",
    "#+1",
    "#.5",
    "#1.",
    "#1e",
    "#1e+",
    "#-",
    "#0x1",
    "#1_0",
    "#'a'",
    "#\"a",
    "#\"\\x\"",
    "#\"\\u12\"",
    "#\"\\u12g4\"",
    "#\"\\\"",
    "#\"\\",
    "#\"a\nb\"",
    "#\"\t\"",
    "#[",
    "#]",
    "#[1",
    "#[1,",
    "#[1,]",
    "#[,1]",
    "#[1 2]",
    "#[1}",
    "#{]",
    "#{",
    "#{\"a\"",
    "#{\"a\":",
    "#{\"a\":1",
    "#{\"a\":1,",
    "#{\"a\":1,}",
    "#{a:1}",
    "#{1:1}",
    "#{\"a\" 1}",
    "#{,}",
    "#1 2",
    "#[] []",
    "#null,",
    "#\xef\xbb\xbfnull",
    "#\v1",
    "#/**/1",
    /* not UTF-8 */
    "#\"\xff\"",
    "#\"\xc0\x80\"",
    "#\"\xed\xa0\x80\"",
    "#\"\xc3",
    "#\"\xc3\"",
    "#\"\xf4\x90\x80\x80\"",
    /* constants, symbols, bigints, reserved prefixes */
    "#\"#\"",
    "#\"#x\"",
    "#\"#undefinedx\"",
    "#\"#-0\"",
    "#\"#nan\"",
    "#\"%@@\"",
    "#\"%@@nope\"",
    "#\"+\"",
    "#\"-\"",
    "#\"+x\"",
    "#\"-1.5\"",
    "#\"+1n\"",
    "#\"--1\"",
    "#\"+0x1\"",
    "#\"\\\"\"",
    "#\"\\u0022x\"",
    "#\"'\"",
    "#\"(\"",
    "#\")x\"",
    "#\"*\"",
    "#\",\"",
    "#\"\\u002a\"",
    /* slots: range, kind, spelling (stricter: the decoder reads "" and "00" as 0) */
    "#\"$4\"",
    "#\"$3\"",
    "#\"&3\"",
    "#\"$1\"",
    "#\"&0\"",
    "#\"$99999999999999999999\"",
    "#\"$\"",
    "#\"&\"",
    "#\"$00\"",
    "#\"$-0\"",
    "#\"$x\"",
    "#\"$0x\"",
    "#\"$ 0\"",
    "#\"$1e0\"",
    "#\"$0.\"",
    "#\"$0.foo\"",
    "#\"$0.Alleged:\"",
    "#\"$0.Remotablex\"",
    "#\"\\u00244\"",
    "#[\"$0\",\"$1\"]",
    "#\"&1.Alleged: p\"", /* stricter: a promise never has an interface */
    /* property names */
    "#{\"#x\":1}",
    "#{\"#\":1}",
    "#{\"+1\":1}",
    "#{\"%s\":1}",
    "#{\"$0\":1}",
    "#{\"&1\":1}",
    "#{\"(\":1}",
    "#{\"\\u0023x\":1}",
    "#{\"a\":{\"#b\":1}}",
    /* tagged values */
    "#{\"#tag\":\"x\"}",
    "#{\"#tag\":1,\"payload\":1}",
    "#{\"#tag\":\"#NaN\",\"payload\":1}",
    "#{\"#tag\":\"x\",\"payload\":1,\"more\":1}",
    "#{\"#tag\":[],\"payload\":1}",
    "#{\"more\":1,\"payload\":1,\"#tag\":\"x\"}",
    "#{\"#tag\":\"x\",\"payload\":1,\"#error\":\"m\"}",
    "#{\"#tag\":\"x\",\"#tag\":\"y\",\"payload\":1}", /* stricter: the last one would count */
    /* errors */
    "#{\"#error\":\"m\"}",
    "#{\"#error\":1,\"name\":\"E\"}",
    "#{\"#error\":\"m\",\"name\":1}",
    "#{\"#error\":\"m\",\"name\":\"+1\"}",
    "#{\"#error\":\"#NaN\",\"name\":\"E\"}",
    "#{\"#error\":\"m\",\"name\":\"E\",\"message\":\"x\"}",
    "#{\"#error\":[],\"name\":\"E\"}",
    "#{\"#error\":\"m\",\"name\":\"E\",\"toString\":1}",
    /* stricter: identifiers are strings, and no encoder writes more than these */
    "#{\"#error\":\"m\",\"name\":\"E\",\"extra\":1}",
    "#{\"payload\":1,\"#error\":\"m\",\"name\":\"E\"}",
    "#{\"+1\":1,\"#error\":\"m\",\"name\":\"E\"}",
    "#{\"#error\":\"m\",\"name\":\"E\",\"errorId\":{}}",
    "#{\"#error\":\"m\",\"name\":\"E\",\"cause\":null}",
    "#{\"#error\":\"m\",\"name\":\"E\",\"errors\":[]}",
};

Test(smallcaps, takes) { expect_all(fine, COUNT(fine), SHAPE_ANY, ERR_OK); }
Test(smallcaps, refuses) { expect_all(broken, COUNT(broken), SHAPE_ANY, ERR_BODY_BROKEN); }

Test(smallcaps, what_it_takes_nests)
{
    for (size_t i = 0; i < COUNT(fine); i++) {
        char body[1000];
        int len = snprintf(body, sizeof body, "#[{\"a\":%s,\"b\":{\"#tag\":\"t\",\"payload\":%s}}]",
                           fine[i] + 1, fine[i] + 1);
        cr_expect_eq(check(body, (size_t)len, SHAPE_ANY), ERR_OK, "%s", body);
    }
}

Test(smallcaps, cut_anywhere)
{
    /* A number may be cut and be one still; whatever ends in a bracket or a quote may not. */
    for (size_t i = 0; i < COUNT(fine); i++) {
        size_t len = strlen(fine[i]);
        if (!strchr("]}\"", fine[i][len - 1])) continue;
        for (size_t cut = 0; cut < len; cut++) {
            cr_expect_eq(check(fine[i], cut, SHAPE_ANY), ERR_BODY_BROKEN, "%s at %zu", fine[i],
                         cut);
        }
    }
}

/* Long strings are read eight bytes at a time: whatever is wrong with one byte must still be seen. */
Test(smallcaps, long_strings)
{
    static const char bad[] = {'"', '\\', '\n', '\0', '\x1f', (char)0x80, (char)0xff};
    char body[100] = "#\"";

    for (size_t len = 1; len < 90; len++) {
        memset(body + 2, '~', len);
        body[2 + len] = '"';
        cr_expect_eq(check(body, len + 3, SHAPE_ANY), ERR_OK);
        for (size_t at = 0; at < len; at++) {
            for (size_t i = 0; i < sizeof bad; i++) {
                body[2 + at] = bad[i];
                cr_expect_eq(check(body, len + 3, SHAPE_ANY), ERR_BODY_BROKEN, "%zu of %zu", at,
                             len);
            }
            body[2 + at] = '~';
        }
    }
}

Test(smallcaps, nul_is_no_end)
{
    cr_expect_eq(check("#null\0", 6, SHAPE_ANY), ERR_BODY_BROKEN);
    cr_expect_eq(check("#\"\0\"", 4, SHAPE_ANY), ERR_BODY_BROKEN);
    cr_expect_eq(check("#\"\\\0\"", 5, SHAPE_ANY), ERR_BODY_BROKEN);
}

static void expect_depth(size_t depth, char open, char close, const char *name, err_t err)
{
    char body[8 * BODY_DEPTH_MAX + 64] = "#", *at = body + 1;
    for (size_t i = 0; i < depth; i++) at += sprintf(at, "%c%s", open, i + 1 < depth ? name : "");
    for (size_t i = 0; i < depth; i++) *at++ = close;
    cr_expect_eq(check(body, (size_t)(at - body), SHAPE_ANY), err, "%c at %zu", open, depth);
}

Test(smallcaps, depth)
{
    expect_depth(BODY_DEPTH_MAX, '[', ']', "", ERR_OK);
    expect_depth(BODY_DEPTH_MAX + 1, '[', ']', "", ERR_BODY_BROKEN);
    expect_depth(BODY_DEPTH_MAX, '{', '}', "\"a\":", ERR_OK);
    expect_depth(BODY_DEPTH_MAX + 1, '{', '}', "\"a\":", ERR_BODY_BROKEN);
}

Test(smallcaps, methargs)
{
    static const char *const good[] = {
        "#[\"foo\",[]]",           "#[\"foo\",[1,[2],{\"a\":\"$0\"}]]",
        "#[\"!$x\",[]]",           "#[\"\",[]]",
        "#[\"#undefined\",[1,2]]", "#[\"%@@asyncIterator\",[]]",
        "#[\"%foo\",[]]",          "# [ \"f\" , [ ] ] ",
    };
    static const char *const bad[] = {
        "#[]",
        "#[\"foo\"]",
        "#[\"foo\",[],[]]",
        "#[\"foo\",{}]",
        "#[\"foo\",1]",
        "#[\"foo\",null]",
        "#[1,[]]",
        "#[null,[]]",
        "#[[],[]]",
        "#[{},[]]",
        "#[\"#NaN\",[]]",
        "#[\"+1\",[]]",
        "#[\"$0\",[]]",
        "#[\"&1\",[]]",
        "#\"foo\"",
        "#{}",
        "#{\"a\":1,\"b\":[]}",
        "#null",
        "#[[\"foo\",[]]]",
        "#[\"foo\",\"a\"]",
        "#[\"foo\",[],]",
        "#[\"foo\",[\"$9\"]]",
    };
    expect_all(good, COUNT(good), SHAPE_METHARGS, ERR_OK);
    expect_all(bad, COUNT(bad), SHAPE_METHARGS, ERR_BODY_BROKEN);
}

static kref_t single(const char *body)
{
    kref_t kref = {0};
    capdata_t data = {{(const uint8_t *)body, strlen(body)}, {slots, COUNT(slots)}};
    bool is = smallcaps_single_slot(&data, &kref);
    cr_expect_eq(is, kref.n != 0, "%s", body);
    return kref;
}

Test(smallcaps, single_slot)
{
    cr_expect_eq(single("#\"$0\"").n, slots[0].n);
    cr_expect_eq(single("#\"$2.Alleged: foo\"").n, slots[2].n);
    cr_expect_eq(single("#\"&1\"").n, slots[1].n);
    cr_expect_eq(single(" #\"&1\"").n, 0);
    cr_expect_eq(single("# \"&1\" ").n, slots[1].n);
    cr_expect_eq(single("#\"\\u00261\"").n, slots[1].n);
    cr_expect_eq(single("#[\"&1\"]").n, 0);
    cr_expect_eq(single("#\"!$0\"").n, 0);
    cr_expect_eq(single("#\"$7\"").n, 0);
    cr_expect_eq(single("#\"&1").n, 0);
    cr_expect_eq(single("#\"&1\" x").n, 0);
    cr_expect_eq(single("#null").n, 0);
    cr_expect_eq(single("#").n, 0);
    cr_expect_eq(single("").n, 0);
}

static void expect_method(const char *body, const char *method)
{
    text_t got = smallcaps_method((bin_t){(const uint8_t *)body, strlen(body)});
    cr_expect(got.len == strlen(method) && memcmp(got.at, method, got.len) == 0, "%s: %.*s", body,
              (int)got.len, got.at);
}

Test(smallcaps, method)
{
    expect_method("#[\"foo\",[]]", "foo");
    expect_method("# [ \"foo\" , []]", "foo");
    expect_method("#[\"\",[]]", "");
    expect_method("#[\"!$x\",[]]", "$x");
    expect_method("#[\"\\u0021$x\",[]]", "$x");
    expect_method("#[\"a\\n\\u00e9\",[]]", "a\\n\\u00e9");
    expect_method("#[\"%@@asyncIterator\",[]]", "@@asyncIterator");
    expect_method("#[\"#undefined\",[1]]", "");
    expect_method("#[1,[]]", "");
    expect_method("#[\"foo", "");
    expect_method("#[", "");
    expect_method("#", "");
    expect_method("", "");
}

static void expect_error_body(const char *text, const char *body)
{
    buf_t out = buf_of(1000);
    cr_assert_eq(smallcaps_error(&out, text), ERR_OK);
    cr_expect(out.len == strlen(body) && memcmp(out.at, body, out.len) == 0, "%.*s", (int)out.len,
              (const char *)out.at);
    capdata_t data = {.body = {out.at, out.len}};
    cr_expect_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK);
    buf_clear(&out);
}

Test(smallcaps, error)
{
    expect_error_body("vat terminated", "#{\"#error\":\"vat terminated\",\"name\":\"Error\"}");
    expect_error_body("", "#{\"#error\":\"\",\"name\":\"Error\"}");
    expect_error_body("#x \"q\"", "#{\"#error\":\"!#x \\\"q\\\"\",\"name\":\"Error\"}");
}

Test(smallcaps, string)
{
    const struct {
        text_t text;
        const char *json;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"abc", 3}, "\"abc\""},
        {{"!x", 2}, "\"!!x\""},
        {{"-1", 2}, "\"!-1\""},
        {{".", 1}, "\".\""},
        {{" ", 1}, "\" \""},
        {{"\"", 1}, "\"!\\\"\""},
        {{"a\\b\"c/", 6}, "\"a\\\\b\\\"c/\""},
        {{"\b\t\n\f\r", 5}, "\"\\b\\t\\n\\f\\r\""},
        {{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\x7f\""},
        {{"é€\U0001F600", 9}, "\"é€\U0001F600\""},
        {{"a\xff"
          "b\xc3",
          4},
         "\"a\xef\xbf\xbd"
         "b\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_t out = buf_of(1000);
        cr_assert_eq(buf_add(&out, "#", 1), ERR_OK);
        cr_assert_eq(smallcaps_string(&out, cases[i].text), ERR_OK);
        cr_expect(out.len == 1 + strlen(cases[i].json) &&
                      memcmp(out.at + 1, cases[i].json, out.len - 1) == 0,
                  "case %zu: %.*s", i, (int)out.len, (const char *)out.at);
        capdata_t data = {.body = {out.at, out.len}};
        cr_expect_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK, "case %zu", i);
        buf_clear(&out);
    }
}

Test(smallcaps, a_full_buffer_is_as_before)
{
    buf_t out = buf_of(10);
    cr_assert_eq(buf_add(&out, "abc", 3), ERR_OK);
    cr_expect_eq(smallcaps_error(&out, "too long"), ERR_WIRE_LIMIT);
    cr_expect_eq(smallcaps_string(&out, text_of("too long")), ERR_WIRE_LIMIT);
    cr_expect_eq(out.len, 3);
    buf_clear(&out);
}
