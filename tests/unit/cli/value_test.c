/* Values as people write and read them: each row of the table in cli/README.md, both ways. */
#include <criterion/criterion.h>
#include <string.h>

#include "cli/json.h"
#include "cli/value.h"

static fail_t f;

static err_t find(void *context, const char *name, kref_t *ret, fail_t *fail_)
{
    (void)context;
    if (strcmp(name, "alice") != 0 && strcmp(name, "shop/bob-1") != 0) {
        return fail(fail_, ERR_REF_UNKNOWN, "no %s", name);
    }
    *ret = kref_object((vat_t){*name == 'a' ? 1u : 2u}, 0);
    return ERR_OK;
}

static const names_t names = {find, NULL};

static void rows_check(const char *literal, const char *body, const char *shown, const char *json)
{
    value_t value = value_of();
    buf_t out = buf_of(100000);
    char *argument = (char *)(uintptr_t)literal, want[512];

    cr_assert_eq(value_methargs(&value, "m", &argument, 1, &names, &f), ERR_OK, "%s: %s %s",
                 literal, f.what, f.why);
    snprintf(want, sizeof want, "#[\"m\",[%s]]", body);
    cr_assert(value.body.len == strlen(want) && memcmp(value.body.at, want, strlen(want)) == 0,
              "%s: %.*s", literal, (int)value.body.len, (const char *)value.body.at);

    snprintf(want, sizeof want, "#%s", body);
    capdata_t data = {{(const uint8_t *)want, strlen(want)}, {value.slots, value.slot_count}};
    cr_assert_eq(value_show(&out, &data), ERR_OK);
    cr_assert(out.len == strlen(shown) && memcmp(out.at, shown, out.len) == 0, "%s: %.*s", literal,
              (int)out.len, (const char *)out.at);
    json_t *pretty = value_json(&data);
    buf_reset(&out);
    cr_assert_eq(json_add(&out, pretty), ERR_OK);
    cr_assert(out.len == strlen(json) && memcmp(out.at, json, out.len) == 0, "%s: %.*s", literal,
              (int)out.len, (const char *)out.at);
    json_decref(pretty);
    buf_clear(&out);
    value_clear(&value);
}

Test(value, the_table)
{
    rows_check("undefined", "\"#undefined\"", "undefined", "\"[undefined]\"");
    rows_check("null", "null", "null", "null");
    rows_check("true", "true", "true", "true");
    rows_check("1.5", "1.5", "1.5", "1.5");
    rows_check("-2e9", "-2000000000", "-2000000000", "-2000000000");
    rows_check("NaN", "\"#NaN\"", "NaN", "\"[NaN]\"");
    rows_check("-Infinity", "\"#-Infinity\"", "-Infinity", "\"[-Infinity]\"");
    rows_check("Infinity", "\"#Infinity\"", "Infinity", "\"[Infinity]\"");
    rows_check("-0", "0", "0", "0");
    rows_check("42n", "\"+42\"", "42n", "\"42n\"");
    rows_check("-7n", "\"-7\"", "-7n", "\"-7n\"");
    rows_check("-0n", "\"+0\"", "0n", "\"0n\"");
    rows_check("s:hi there", "\"hi there\"", "\"hi there\"", "\"hi there\"");
    rows_check("s:", "\"\"", "\"\"", "\"\"");
    rows_check("'#x'", "\"!#x\"", "\"#x\"", "\"#x\"");
    rows_check("\"a\\n\\u00e9\\ud83d\\ude00'\"", "\"a\\n\xc3\xa9\xf0\x9f\x98\x80'\"",
               "\"a\\n\xc3\xa9\xf0\x9f\x98\x80'\"", "\"a\\n\xc3\xa9\xf0\x9f\x98\x80'\"");
    rows_check("Symbol.asyncIterator", "\"%@@asyncIterator\"", "Symbol.asyncIterator",
               "\"[Symbol: @@asyncIterator]\"");
    rows_check("Symbol.for(\"x\")", "\"%x\"", "Symbol.for(\"x\")", "\"[Symbol: x]\"");
    rows_check("Symbol.for('@@y')", "\"%@@@@y\"", "Symbol.for(\"@@y\")", "\"[Symbol: @@@@y]\"");
    rows_check("[1, 'a', [ ]]", "[1,\"a\",[]]", "[1, \"a\", []]", "[1,\"a\",[]]");
    rows_check("{b: 1, 'a b': 2n, 10: 3, 9: 4, '#': {}}",
               "{\"9\":4,\"10\":3,\"!#\":{},\"a b\":\"+2\",\"b\":1}",
               "{\"9\": 4, \"10\": 3, \"#\": {}, \"a b\": 2n, b: 1}",
               "{\"9\":4,\"10\":3,\"#\":{},\"a b\":\"2n\",\"b\":1}");
    rows_check("tagged(\"copySet\", [1])", "{\"#tag\":\"copySet\",\"payload\":[1]}",
               "tagged(\"copySet\", [1])", "{\"[Tagged: copySet]\":[1]}");
    rows_check("Error(\"m\")", "{\"#error\":\"m\",\"name\":\"Error\"}", "Error: m",
               "\"[Error: m]\"");
    rows_check("TypeError('-m')", "{\"#error\":\"!-m\",\"name\":\"TypeError\"}", "TypeError: -m",
               "\"[TypeError: -m]\"");
    rows_check("ko3.7", "\"$0\"", "<ko3.7>", "\"<ko3.7>\"");
    rows_check("kp0.4", "\"&0\"", "<kp0.4 promise>", "\"<kp0.4>\"");
    rows_check("@alice", "\"$0\"", "<ko1.0>", "\"<ko1.0>\"");
    rows_check("[@shop/bob-1, kp1.1, @shop/bob-1]", "[\"$0\",\"&1\",\"$0\"]",
               "[<ko2.0>, <kp1.1 promise>, <ko2.0>]", "[\"<ko2.0>\",\"<kp1.1>\",\"<ko2.0>\"]");
}

static void refused(const char *literal, err_t err)
{
    value_t value = value_of();
    char *argument = (char *)(uintptr_t)literal;

    cr_assert_eq(value_methargs(&value, "m", &argument, 1, &names, &f), err, "%s: E%d %s", literal,
                 f.err, f.what);
    cr_assert_eq(f.err, err);
    value_clear(&value);
}

Test(value, nothing_is_guessed)
{
    refused("Bob", ERR_BARE_WORD);
    cr_assert_str_eq(f.what, "argument 1: \"Bob\" is a bare word");
    cr_assert_eq(f.try_count, 2);
    refused("two words", ERR_BARE_WORD);
    refused("ko03.7", ERR_BARE_WORD);
    refused("[Bob]", ERR_BARE_WORD);
    refused("bytes(\"00ff\")", ERR_BYTES_UNSUPPORTED);
    refused("@nobody", ERR_REF_UNKNOWN);
    refused("", ERR_VALUE_LITERAL);
    refused("01", ERR_VALUE_LITERAL);
    refused("1.", ERR_VALUE_LITERAL);
    refused("1x", ERR_VALUE_LITERAL);
    refused("0x10", ERR_VALUE_LITERAL);
    refused("-n", ERR_VALUE_LITERAL);
    refused("\"open", ERR_VALUE_LITERAL);
    refused("'\\ud800'", ERR_VALUE_LITERAL);
    refused("[1", ERR_VALUE_LITERAL);
    refused("[,]", ERR_VALUE_LITERAL);
    refused("{a: 1", ERR_VALUE_LITERAL);
    refused("{a: 1, a: 2}", ERR_VALUE_LITERAL);
    refused("{a 1}", ERR_VALUE_LITERAL);
    refused("1 2", ERR_VALUE_LITERAL);
    refused("f(1)", ERR_VALUE_LITERAL);
    refused("Symbol.nothing", ERR_VALUE_LITERAL);
    refused("tagged(1, 2)", ERR_VALUE_LITERAL);
}

Test(value, depth_is_bounded)
{
    char deep[600];

    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 1] = 0;
    refused(deep, ERR_VALUE_LITERAL);
}

Test(value, methods)
{
    value_t value = value_of();

    cr_assert_eq(value_methargs(&value, "$x", NULL, 0, &names, &f), ERR_OK);
    cr_assert(memcmp(value.body.at, "#[\"!$x\",[]]", value.body.len) == 0);
    buf_reset(&value.body);
    cr_assert_eq(value_methargs(&value, "Symbol.asyncIterator", NULL, 0, &names, &f), ERR_OK);
    cr_assert(memcmp(value.body.at, "#[\"%@@asyncIterator\",[]]", value.body.len) == 0);
    value_clear(&value);
}

Test(value, a_body_from_a_vat_is_shown_with_its_interfaces)
{
    const char *body = "#{\"a\":\"$0.Alleged: Mint\",\"b\":\"$0\",\"c\":\"$7\"}";
    kref_t slot = kref_object((vat_t){4}, 4);
    capdata_t data = {{(const uint8_t *)body, strlen(body)}, {&slot, 1}};
    buf_t out = buf_of(1000);

    cr_assert_eq(value_show(&out, &data), ERR_OK);
    const char *want = "{a: <ko4.4 Alleged: Mint>, b: <ko4.4 Alleged: Mint>, c: <?>}";
    cr_assert(out.len == strlen(want) && memcmp(out.at, want, out.len) == 0, "%.*s", (int)out.len,
              (char *)out.at);
    json_t *json = value_json(&data);
    cr_assert_str_eq(json_string_value(json_object_get(json, "a")), "<ko4.4> (Alleged: Mint)");
    cr_assert_str_eq(json_string_value(json_object_get(json, "c")), "<?7>");
    json_decref(json);
    json = value_raw(&data);
    cr_assert_str_eq(json_string_value(json_object_get(json, "body")), body);
    json_decref(json);
    buf_clear(&out);
}
