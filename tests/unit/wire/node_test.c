/* Reading a checked body. Each body here is checked first, and stands on a heap copy without a byte to
 * spare, so that the sanitizer sees the first byte too far. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/limits.h"
#include "wire/smallcaps/smallcaps.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* 0 object, 1 promise, 2 object, 3 object */
static const kref_t slots[] = {
    {(UINT64_C(3) << 40) + 7}, {(UINT64_C(1) << 63) + 9}, {5}, {(UINT64_C(4) << 40) + 1}};

/* All bodies of a test. */
static capdata_t *made[200];
static size_t made_count;

static void forget(void)
{
    while (made_count > 0) {
        capdata_t *data = made[--made_count];
        free((void *)data->body.at);
        free(data);
    }
}

TestSuite(node, .fini = forget);

static node_t root_of(const char *body)
{
    capdata_t *data = malloc(sizeof *data);
    size_t len = strlen(body);
    uint8_t *copy = malloc(len);
    memcpy(copy, body, len);
    *data = (capdata_t){{copy, len}, {slots, COUNT(slots)}};
    cr_assert(made_count < COUNT(made));
    made[made_count++] = data;
    cr_assert_eq(smallcaps_check(data, SHAPE_ANY), ERR_OK, "%s", body);
    return node_root(data);
}

/* The same, of a text without its '#'. */
static node_t value_of(const char *text)
{
    char body[1000];
    snprintf(body, sizeof body, "# %s ", text);
    return root_of(body);
}

static const struct {
    const char *text;
    node_kind_t kind;
} kinds[] = {
    {"null", NODE_NULL},
    {"true", NODE_BOOL},
    {"false", NODE_BOOL},
    {"0", NODE_NUMBER},
    {"-1.5e3", NODE_NUMBER},
    {"\"#NaN\"", NODE_NUMBER},
    {"\"#-Infinity\"", NODE_NUMBER},
    {"\"#undefined\"", NODE_UNDEFINED},
    {"\"\\u0023undefined\"", NODE_UNDEFINED},
    {"\"+12\"", NODE_BIGINT},
    {"\"-12\"", NODE_BIGINT},
    {"\"\"", NODE_TEXT},
    {"\"abc\"", NODE_TEXT},
    {"\"!$0\"", NODE_TEXT},
    {"\"\\u0021$0\"", NODE_TEXT},
    {"\"%foo\"", NODE_SYMBOL},
    {"\"%@@iterator\"", NODE_SYMBOL},
    {"\"$0\"", NODE_OBJECT},
    {"\"\\u00240\"", NODE_OBJECT},
    {"\"$0.Alleged: purse\"", NODE_OBJECT},
    {"\"&1\"", NODE_PROMISE},
    {"[]", NODE_ARRAY},
    {"[1]", NODE_ARRAY},
    {"{}", NODE_RECORD},
    {"{\"a\":1}", NODE_RECORD},
    {"{\"payload\":1}", NODE_RECORD},
    {"{\"name\":1,\"payload\":[],\"errorId\":{}}", NODE_RECORD},
    {"{\"!#tag\":1}", NODE_RECORD},
    {"{\"#tag\":\"t\",\"payload\":1}", NODE_TAGGED},
    {"{\"payload\":{\"#error\":\"m\",\"name\":\"E\"},\"\\u0023tag\":\"t\"}", NODE_TAGGED},
    {"{\"#error\":\"m\",\"name\":\"E\"}", NODE_ERROR},
    {"{\"name\":\"E\",\"errorId\":\"e\",\"#error\":\"m\"}", NODE_ERROR},
};

Test(node, kinds)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        cr_expect_eq(node_kind(value_of(kinds[i].text)), kinds[i].kind, "%s", kinds[i].text);
        /* The same inside, with something on either side. */
        char body[200];
        snprintf(body, sizeof body, "[ 0 , %s , {\"x\" :%s,\"y\":[]}]", kinds[i].text,
                 kinds[i].text);
        node_t whole = value_of(body);
        cr_expect_eq(node_kind(node_item(whole, 1)), kinds[i].kind, "%s", body);
        cr_expect_eq(node_kind(node_member(node_item(whole, 2), "x")), kinds[i].kind, "%s", body);
        cr_expect_eq(node_kind(node_member(node_item(whole, 2), "y")), NODE_ARRAY, "%s", body);
        cr_expect_eq(node_kind(node_item(whole, 3)), NODE_NONE);
    }
}

/* What every function says of a node that is not its own. */
Test(node, wrong_kinds)
{
    node_t wrong[COUNT(kinds) + 1] = {{0}};
    for (size_t i = 0; i < COUNT(kinds); i++) wrong[i + 1] = value_of(kinds[i].text);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        node_kind_t kind = node_kind(wrong[i]);
        const char *text = i ? kinds[i - 1].text : "none";
        node_t child = {0};
        uint64_t whole;
        bool flag;
        buf_t out = buf_of(100);
        if (kind != NODE_ARRAY)
            cr_expect_eq(node_kind(node_item(wrong[i], 0)), NODE_NONE, "%s", text);
        if (kind != NODE_RECORD && kind != NODE_TAGGED && kind != NODE_ERROR) {
            cr_expect_eq(node_kind(node_member(wrong[i], "payload")), NODE_NONE, "%s", text);
        }
        if (kind != NODE_ARRAY && kind != NODE_RECORD) {
            cr_expect(!node_next(wrong[i], &child, NULL), "%s", text);
            cr_expect_eq(node_count(wrong[i]), 0, "%s", text);
        }
        if (kind != NODE_TEXT) cr_expect(!node_is(wrong[i], ""), "%s", text);
        if (kind != NODE_TEXT && kind != NODE_SYMBOL) {
            cr_expect_eq(node_text(wrong[i], &out), ERR_BODY_BROKEN, "%s", text);
        }
        if (kind != NODE_NUMBER && kind != NODE_BIGINT) {
            cr_expect(!node_whole(wrong[i], &whole), "%s", text);
        }
        if (kind != NODE_BOOL) cr_expect(!node_bool(wrong[i], &flag), "%s", text);
        if (kind != NODE_OBJECT && kind != NODE_PROMISE) {
            cr_expect(kref_none(node_slot(wrong[i])), "%s", text);
        }
        cr_expect_eq(out.len, 0);
        buf_clear(&out);
    }
    buf_t out = buf_of(100);
    kref_t cut[1];
    size_t count;
    cr_expect_eq(node_cut((node_t){0}, &out, cut, &count), ERR_BODY_BROKEN);
    buf_clear(&out);
}

Test(node, what_is_no_body_has_no_root)
{
    static const char *const bodies[] = {"", "#", "null", "# "};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        capdata_t data = {{(const uint8_t *)bodies[i], strlen(bodies[i])}, {NULL, 0}};
        cr_expect_eq(node_kind(node_root(&data)), NODE_NONE, "%s", bodies[i]);
    }
}

static void expect_text(const char *text, const char *want)
{
    buf_t out = buf_of(100);
    cr_expect_eq(buf_add(&out, "before:", 7), ERR_OK);
    cr_expect_eq(node_text(value_of(text), &out), ERR_OK, "%s", text);
    cr_expect(out.len == strlen(want) + 7 && memcmp(out.at + 7, want, out.len - 7) == 0, "%s: %.*s",
              text, (int)out.len, out.at);
    buf_clear(&out);
}

Test(node, texts)
{
    expect_text("\"\"", "");
    expect_text("\"abc\"", "abc");
    expect_text("\"!\"", "");
    expect_text("\"!!x\"", "!x");
    expect_text("\"!$0\"", "$0");
    expect_text("\"\\u0021\\u0024\\u0030\"", "$0");
    expect_text("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\b\f\n\r\t");
    expect_text("\"é€\U0001F600\x7f\"", "é€\U0001F600\x7f");
    expect_text("\"\\u00e9\\u20AC\\ud83d\\ude00\"", "é€\U0001F600");
    expect_text("\"\\ud83dx\"", "\xef\xbf\xbdx");
    expect_text("\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd");
    expect_text("\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\U0001F600");
    expect_text("\"%foo\"", "foo");
    expect_text("\"%@@asyncIterator\"", "@@asyncIterator");
    expect_text("\"%@@@@x\"", "@@@@x");
}

Test(node, a_text_that_does_not_fit)
{
    buf_t out = buf_of(5);
    cr_expect_eq(buf_add(&out, "ab", 2), ERR_OK);
    cr_expect_eq(node_text(value_of("\"xy€\""), &out), ERR_WIRE_LIMIT);
    cr_expect_eq(out.len, 2);
    cr_expect_eq(node_text(value_of("\"xyz\""), &out), ERR_OK);
    cr_expect_eq(out.len, 5);
    buf_clear(&out);
}

Test(node, is_a_text)
{
    cr_expect(node_is(value_of("\"abc\""), "abc"));
    cr_expect(node_is(value_of("\"\\u0061bc\""), "abc"));
    cr_expect(node_is(value_of("\"!#x\""), "#x"));
    cr_expect(node_is(value_of("\"\""), ""));
    cr_expect(node_is(value_of("\"!\""), ""));
    cr_expect(node_is(value_of("\"a text that is longer than what is kept of it\""),
                      "a text that is longer than what is kept of it"));
    cr_expect(!node_is(value_of("\"abc\""), "ab"));
    cr_expect(!node_is(value_of("\"ab\""), "abc"));
    cr_expect(!node_is(value_of("\"!x\""), "!x"));
    cr_expect(!node_is(value_of("\"a\\u0000b\""), "a"));
    cr_expect(!node_is(value_of("\"é\""), "e"));
    cr_expect(!node_is(value_of("\"%abc\""), "abc"));
}

Test(node, whole_numbers)
{
    static const struct {
        const char *text;
        uint64_t want;
    } good[] = {
        {"0", 0},
        {"-0", 0},
        {"7", 7},
        {"1.0", 1},
        {"100", 100},
        {"1e3", 1000},
        {"1.25e2", 125},
        {"1200E-2", 12},
        {"0.001e+3", 1},
        {"0e999999999999", 0},
        {"10203040506070809", 10203040506070809},
        {"9223372036854775807", INT64_MAX},
        {"922337203685477580.7e1", INT64_MAX},
        {"9e18", 9000000000000000000},
        {"\"+0\"", 0},
        {"\"-0\"", 0},
        {"\"+1700000000123\"", 1700000000123},
        {"\"+00000000000000000000000000000007\"", 7},
        {"\"\\u002b\\u0034\\u0032\"", 42},
        {"\"+9223372036854775807\"", INT64_MAX},
        {"\"+1000000000000000000\"", 1000000000000000000},
    };
    static const char *const bad[] = {
        "-1",
        "0.5",
        "1.5",
        "1e-1",
        "0.10",
        "1e19",
        "9223372036854775808",
        "92233720368547758070",
        "1e99999999999",
        "1e-99999999999",
        "18446744073709551616",
        "100000000000000000000",
        "\"-1\"",
        "\"-10\"",
        "\"+9223372036854775808\"",
        "\"+18446744073709551617\"",
        "\"+10000000000000000000000\"",
        "\"#Infinity\"",
        "\"#NaN\"",
        "\"7\"",
        "true",
        "null",
    };
    uint64_t got;
    for (size_t i = 0; i < COUNT(good); i++) {
        cr_expect(node_whole(value_of(good[i].text), &got) && got == good[i].want, "%s: %lu",
                  good[i].text, got);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        cr_expect(!node_whole(value_of(bad[i]), &got), "%s: %lu", bad[i], got);
    }
}

Test(node, bools)
{
    bool got = false;
    cr_expect(node_bool(value_of("true"), &got) && got);
    cr_expect(node_bool(value_of("false"), &got) && !got);
    cr_expect(!node_bool(value_of("\"true\""), &got));
    cr_expect(!node_bool(value_of("1"), &got));
}

Test(node, members)
{
    node_t record = value_of("{\"a\":1,\"\\u0062\":2,\"!$0\":3,\"!!x\":4,\"name\":5,\"\":6,"
                             "\"payload\":7,\"a name longer than what is kept of a string\":8}");
    static const char *const names[] = {
        "a", "b", "$0", "!x", "name", "", "payload", "a name longer than what is kept of a string"};
    uint64_t got;
    cr_expect_eq(node_count(record), COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++) {
        cr_expect(node_whole(node_member(record, names[i]), &got) && got == i + 1, "%s", names[i]);
    }
    static const char *const others[] = {"c", "!$0", "x", "#tag", "a name longer than"};
    for (size_t i = 0; i < COUNT(others); i++) {
        cr_expect_eq(node_kind(node_member(record, others[i])), NODE_NONE, "%s", others[i]);
    }
    /* Written twice: the decoder takes the last one. */
    cr_expect(node_whole(node_member(value_of("{\"a\":1,\"b\":0,\"!a\":2}"), "a"), &got) &&
              got == 2);

    node_t tagged = value_of("{\"payload\":{\"a\":7},\"#tag\":\"!#t\"}");
    cr_expect(node_is(node_member(tagged, "#tag"), "#t"));
    cr_expect(node_whole(node_member(node_member(tagged, "payload"), "a"), &got) && got == 7);
    cr_expect_eq(node_kind(node_member(tagged, "a")), NODE_NONE);
    node_t error = value_of("{\"#error\":\"!-m\",\"errorId\":\"e#1\",\"name\":\"TypeError\"}");
    cr_expect(node_is(node_member(error, "#error"), "-m"));
    cr_expect(node_is(node_member(error, "name"), "TypeError"));
    cr_expect(node_is(node_member(error, "errorId"), "e#1"));
}

Test(node, children_one_after_the_other)
{
    node_t child = {0}, name;
    node_t array = value_of("[ [] ,{} , \"]\" ,-1e1,\"a\\\"]\" , [[[\"}\"]]] ]");
    static const node_kind_t want[] = {NODE_ARRAY,  NODE_RECORD, NODE_TEXT,
                                       NODE_NUMBER, NODE_TEXT,   NODE_ARRAY};
    size_t count = 0;
    for (; node_next(array, &child, &name); count++) {
        cr_expect_eq(node_kind(child), want[count], "%zu", count);
        cr_expect_eq(node_kind(name), NODE_NONE);
    }
    cr_expect_eq(count, COUNT(want));
    cr_expect_eq(node_count(array), COUNT(want));

    child = (node_t){0};
    node_t record = value_of("{ \"!$b\" : {\"c\":1} , \"a\":[ ] }");
    cr_assert(node_next(record, &child, &name));
    cr_expect(node_is(name, "$b") && node_kind(child) == NODE_RECORD);
    cr_assert(node_next(record, &child, &name));
    cr_expect(node_is(name, "a") && node_kind(child) == NODE_ARRAY);
    cr_expect(!node_next(record, &child, &name));
    cr_expect_eq(node_count(value_of("[ ]")), 0);
    cr_expect_eq(node_count(value_of("{ }")), 0);
}

Test(node, slots)
{
    cr_expect_eq(node_slot(value_of("\"$0\"")).n, slots[0].n);
    cr_expect_eq(node_slot(value_of("\"&1\"")).n, slots[1].n);
    cr_expect_eq(node_slot(value_of("\"$3.Alleged: x\"")).n, slots[3].n);
    cr_expect_eq(node_slot(value_of("\"\\u0024\\u0032\"")).n, slots[2].n);
}

/* BODY is what stands at PATH of the whole: items of arrays, "-" alone for the whole. */
static void expect_cut(const char *whole, size_t item, const char *body, const char *want_slots)
{
    buf_t out = buf_of(1000);
    kref_t cut_slots[SLOTS_MAX];
    size_t count = 99;
    node_t node = item == SIZE_MAX ? value_of(whole) : node_item(value_of(whole), item);

    cr_assert_eq(node_cut(node, &out, cut_slots, &count), ERR_OK, "%s", whole);
    cr_expect(out.len == strlen(body) && memcmp(out.at, body, out.len) == 0, "%s: %.*s", whole,
              (int)out.len, out.at);
    cr_expect_eq(count, strlen(want_slots), "%s", whole);
    for (size_t i = 0; i < count && want_slots[i]; i++) {
        cr_expect_eq(cut_slots[i].n, slots[want_slots[i] - '0'].n, "%s: slot %zu", whole, i);
    }
    capdata_t data = {{out.at, out.len}, {cut_slots, count}};
    cr_expect_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK, "%s", whole);
    buf_clear(&out);
}

Test(node, cut)
{
    expect_cut("1", SIZE_MAX, "#1", "");
    expect_cut("[ 1 , [ 2 , 3 ] ]", 1, "#[ 2 , 3 ]", "");
    expect_cut("\"$3\"", SIZE_MAX, "#\"$0\"", "3");
    expect_cut("[\"$0\",\"&1\",\"$2\"]", 1, "#\"&0\"", "1");
    /* Numbered anew in the order of their first mention. */
    expect_cut("[[\"$3\",{\"a\":\"&1\"},\"$0\"]]", 0, "#[\"$0\",{\"a\":\"&1\"},\"$2\"]", "310");
    /* Mentioned again. */
    expect_cut("[\"$0\",[\"$2\",\"$0\",\"$2\",\"&1\",\"&1\"]]", 1,
               "#[\"$0\",\"$1\",\"$0\",\"&2\",\"&2\"]", "201");
    /* The interface name of the first mention, wherever that is. */
    expect_cut("[\"$2.Alleged: purse\",[\"$2\",\"$2\"]]", 1, "#[\"$0.Alleged: purse\",\"$0\"]",
               "2");
    expect_cut("[[\"$2\",\"$2.Alleged: b\"],\"$2.Alleged: c\"]", 0, "#[\"$0.Alleged: b\",\"$0\"]",
               "2");
    expect_cut("[[\"$2\"],\"$2.Alleged: late\"]", 0, "#[\"$0.Alleged: late\"]", "2");
    expect_cut("[\"\\u0024\\u0032\\u002eAlleged: \\\"q\\\" \\u20ac\",\"$2\"]", 1,
               "#\"$0.Alleged: \\\"q\\\" \\u20ac\"", "2");
    /* What only looks like a slot. */
    expect_cut("[\"$0\",{\"!$0\":\"!&1\",\"b\":\"x$0\",\"c\":\"a\\\"$0\"}]", 1,
               "#{\"!$0\":\"!&1\",\"b\":\"x$0\",\"c\":\"a\\\"$0\"}", "");
    /* Tagged values and errors. */
    expect_cut("[{\"#tag\":\"copySet\",\"payload\":[\"$3\"]}]", 0,
               "#{\"#tag\":\"copySet\",\"payload\":[\"$0\"]}", "3");
    expect_cut("[{\"#error\":\"m\",\"name\":\"E\"}]", 0, "#{\"#error\":\"m\",\"name\":\"E\"}", "");
}

Test(node, a_cut_that_does_not_fit)
{
    node_t node = value_of("[\"$0.Alleged: a\",[\"$0\"]]");
    kref_t cut_slots[SLOTS_MAX];
    size_t len = strlen("#[\"$0.Alleged: a\"]");
    for (size_t room = 0; room <= len; room++) {
        buf_t out = buf_of(room + 1);
        size_t count = 99;
        cr_expect_eq(buf_add(&out, "x", 1), ERR_OK);
        err_t err = node_cut(node_item(node, 1), &out, cut_slots, &count);
        cr_expect_eq(err, room < len ? ERR_WIRE_LIMIT : ERR_OK);
        cr_expect_eq(out.len, room < len ? 1 : len + 1);
        cr_expect_eq(count, room < len ? 99 : 1);
        buf_clear(&out);
    }
}

/* As many slots as there may be, and each mentioned twice. */
Test(node, huge)
{
    kref_t *many = malloc(SLOTS_MAX * sizeof *many), *cut_slots = malloc(SLOTS_MAX * sizeof *many);
    char *body = malloc(SLOTS_MAX * 64), *at = body;
    at += sprintf(at, "#[[");
    for (unsigned i = SLOTS_MAX; i-- > 0;) {
        many[i] = (kref_t){i + 1};
        at += sprintf(at, "\"$%u.Alleged: o%u\",", i, i);
    }
    at += sprintf(at, "1],[");
    for (unsigned i = SLOTS_MAX; i-- > 0;) at += sprintf(at, "\"$%u\"%s", i, i ? "," : "]]");
    capdata_t data = {{(const uint8_t *)body, (size_t)(at - body)}, {many, SLOTS_MAX}};
    cr_assert_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK);
    node_t array = node_item(node_root(&data), 1);
    cr_expect_eq(node_count(array), SLOTS_MAX);
    cr_expect_eq(node_slot(node_item(array, SLOTS_MAX - 1)).n, 1);

    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    size_t count;
    cr_assert_eq(node_cut(array, &out, cut_slots, &count), ERR_OK);
    cr_expect_eq(count, SLOTS_MAX);
    capdata_t cut = {{out.at, out.len}, {cut_slots, count}};
    cr_expect_eq(smallcaps_check(&cut, SHAPE_ANY), ERR_OK);
    static const char head[] = "#[\"$0.Alleged: o9999\",\"$1.Alleged: o9998\"";
    cr_expect(memcmp(out.at, head, strlen(head)) == 0);
    for (size_t i = 0; i < count; i++) cr_expect_eq(cut_slots[i].n, SLOTS_MAX - i);
    buf_clear(&out);
    free(many);
    free(cut_slots);
    free(body);
}

Test(node, deep)
{
    static char body[16 * BODY_DEPTH_MAX], *at = body;
    at += sprintf(at, "#");
    for (size_t i = 0; i < BODY_DEPTH_MAX / 2; i++) at += sprintf(at, "[0,{\"a\":");
    at += sprintf(at, "\"$3\"");
    for (size_t i = 0; i < BODY_DEPTH_MAX / 2; i++) at += sprintf(at, "},1]");
    node_t node = root_of(body);
    for (size_t i = 0; i < BODY_DEPTH_MAX / 2; i++) {
        cr_assert_eq(node_count(node), 3);
        node = node_member(node_item(node, 1), "a");
    }
    cr_expect_eq(node_slot(node).n, slots[3].n);
}
