/* msg_print(): what a person sees, and that no peer can break the line. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/base/utf8.h"
#include "wire/codec/codec.h"

static char *line(msg_tag_t tag, const void *body)
{
    buf_t out = buf_of(64 * 1024);
    cr_assert_eq(msg_print(tag, body, &out), ERR_OK);
    cr_assert(utf8_check(out.at, out.len));
    char *text = strndup((const char *)out.at, out.len);
    cr_assert_eq(strlen(text), out.len);
    buf_clear(&out);
    return text;
}

Test(print, one_of_each_kind)
{
    kref_t slots[] = {kref_object((vat_t){3}, 7), kref_promise((vat_t){3}, 9)};
    resolution_t one = {slots[1], true, {{(const uint8_t *)"#\"$0\"", 5}, {slots, 1}}};
    msg_resolve_t resolve = {{&one, 1}};
    char *text = line(TAG_resolve, &resolve);
    cr_expect_str_eq(text, "resolve {resolutions: [{promise: kp3.9, rejected: true, data: "
                           "{body: \"#\\\"$0\\\"\", slots: [ko3.7]}}]}");
    free(text);

    msg_deliver_t deliver = {.vat = {3}, .d = 41, .cause = {{2}, 40, 1}, .delivery = {NULL, 12}};
    text = line(TAG_deliver, &deliver);
    cr_expect(strstr(text, "deliver {vat: v3, "), "%s", text);
    cr_expect(strstr(text, "d: 41, "), "%s", text);
    cr_expect(strstr(text, "cause: v2/40#1, delivery: <12 bytes>}"), "%s", text);
    cr_expect(strstr(text, "trace: 00000000000000000000000000000000, "), "%s", text);
    free(text);

    msg_launched_t launched = {.cluster = {2}, .bootstrap = {1}, .root = slots[0]};
    text = line(TAG_launched, &launched);
    cr_expect(strstr(text, "cluster: s2, bootstrap: v1, root: ko3.7, result: none}"), "%s", text);
    free(text);
}

Test(print, hostile_text_stays_one_line)
{
    const char bad[] = "a\nb\x1b[2J\xc2\x9b\xff\x80\"\\\0z";
    msg_refuse_t refuse = {.error = 3101, .text = {bad, sizeof bad - 1}};
    char *text = line(TAG_refuse, &refuse);
    cr_expect_str_eq(text, "refuse {error: 3101, tag: 0, text: \"a\\x0ab\\x1b[2J\\xc2\\x9b\\xff"
                           "\\x80\\\"\\\\\\x00z\"}");
    free(text);
}

Test(print, long_values_are_cut)
{
    static char long_text[4000];
    static kref_t many[1000];
    memset(long_text, 'x', sizeof long_text);
    for (size_t i = 0; i < 1000; i++) many[i] = kref_object((vat_t){1}, i);

    msg_refuse_t refuse = {.text = {long_text, sizeof long_text}};
    char *text = line(TAG_refuse, &refuse);
    cr_expect(strlen(text) < 300);
    cr_expect(strstr(text, "...(4000 bytes)}"));
    free(text);

    msg_drop_imports_t drop = {{many, 1000}};
    text = line(TAG_drop_imports, &drop);
    cr_expect(strstr(text, "ko1.7, ...(1000)]}"), "%s", text);
    free(text);
}

Test(print, a_full_buffer_is_as_before)
{
    buf_t out = buf_of(20);
    msg_ping_t ping = {UINT64_MAX};
    cr_assert_eq(buf_add(&out, "abc", 3), ERR_OK);
    cr_expect_eq(msg_print(TAG_ping, &ping, &out), ERR_WIRE_LIMIT);
    cr_expect_eq(out.len, 3);
    buf_clear(&out);
}
