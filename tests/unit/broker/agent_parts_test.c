/* The pure parts of the agent: what arrives cut into units, requests read, answers written.
 *
 * Method: bytes in, text out. What a vat would get is compared as the text of its body. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/agent/answer.h"
#include "broker/agent/base64.h"
#include "broker/agent/intake.h"
#include "broker/agent/request.h"
#include "broker/agent/told.h"
#include "wire/base/limits.h"

/* ---- intake ---- */

static intake_t in;
static buf_t unit;

static void arrive_bytes(const void *bytes, size_t len)
{
    while (len) {
        size_t room;
        cr_assert_not(intake_full(&in));
        uint8_t *at = intake_space(&in, &room);
        cr_assert_gt(room, 0);
        size_t part = room < len ? room : len;
        memcpy(at, bytes, part);
        intake_filled(&in, part);
        bytes = (const uint8_t *)bytes + part;
        len -= part;
    }
}

static void arrive(const char *text) { arrive_bytes(text, strlen(text)); }

/* The next unit, "(none)" when there is none. */
static const char *take(unit_t kind)
{
    unit.max = INTAKE_UNIT_BYTES_MAX + 1;
    buf_reset(&unit);
    if (!intake_take(&in, kind, &unit)) return "(none)";
    cr_assert_eq(buf_add(&unit, "", 1), ERR_OK);
    return (const char *)unit.at;
}

static void end_intake(void)
{
    intake_clear(&in);
    buf_clear(&unit);
}

TestSuite(agent_intake, .fini = end_intake, .timeout = 60);

Test(agent_intake, lines_come_without_their_newline)
{
    arrive("one\ntw");
    cr_expect_str_eq(take(UNIT_LINE), "one");
    cr_expect_str_eq(take(UNIT_LINE), "(none)");
    arrive("o\n\nlast");
    cr_expect_str_eq(take(UNIT_LINE), "two");
    cr_expect_str_eq(take(UNIT_LINE), "");
    cr_expect_str_eq(take(UNIT_LINE), "(none)");
    in.ended = true;
    cr_expect_str_eq(take(UNIT_LINE), "last");
    cr_expect_str_eq(take(UNIT_LINE), "(none)");
}

Test(agent_intake, a_string_is_all_that_is_here_in_whole_characters)
{
    arrive("a\nb\xe2\x82");
    cr_expect_str_eq(take(UNIT_STRING), "a\nb");
    cr_expect_str_eq(take(UNIT_STRING), "(none)");
    arrive("\xac!");
    cr_expect_str_eq(take(UNIT_CHARS), "\xe2\x82\xac!");
    arrive("\xf0\x9f");
    cr_expect_str_eq(take(UNIT_STRING), "(none)");
    in.ended = true;
    cr_expect_str_eq(take(UNIT_STRING), "\xef\xbf\xbd", "what is left at the end is broken");
}

Test(agent_intake, what_is_no_utf8_is_replaced)
{
    static const char *const cases[][2] = {
        {"\xff\n", "\xef\xbf\xbd"},
        {"\xe2\x82 x\n", "\xef\xbf\xbd x"},         /* one for what was begun */
        {"\xc0\xaf\n", "\xef\xbf\xbd\xef\xbf\xbd"}, /* longer than needed: each byte */
        {"\xed\xa0\x80\n", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xf0\x90\x80\n", "\xef\xbf\xbd"},
        {"\xf4\x90\n", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\x80z\n", "a\xef\xbf\xbdz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arrive(cases[i][0]);
        cr_expect_str_eq(take(UNIT_LINE), cases[i][1], "case %zu", i);
    }
}

Test(agent_intake, bytes_are_base64)
{
    arrive_bytes("\0\xff\n", 3);
    cr_expect_str_eq(take(UNIT_BYTES), "AP8K");
    cr_expect_str_eq(take(UNIT_BYTES), "(none)");
}

/* C3: it takes INTAKE_BYTES_MAX and no more; a line that is longer comes in pieces. */
Test(agent_intake, it_is_bounded)
{
    static char chunk[4096];
    memset(chunk, 'x', sizeof chunk);
    for (size_t total = 0; total < INTAKE_BYTES_MAX; total += sizeof chunk) {
        cr_assert_str_eq(take(UNIT_LINE), "(none)");
        arrive_bytes(chunk, sizeof chunk);
    }
    cr_expect(intake_full(&in));
    cr_expect_eq(strlen(take(UNIT_LINE)), INTAKE_BYTES_MAX);
    arrive("y\n");
    cr_expect_str_eq(take(UNIT_LINE), "y");
}

Test(agent_intake, a_flood_of_short_lines_is_held_back_and_none_is_lost)
{
    char line[16];
    unsigned in_count = 0, out_count = 0;
    while (out_count < 200000) {
        while (!intake_full(&in) && in_count < 200000) {
            snprintf(line, sizeof line, "%u\n", in_count++);
            size_t room;
            intake_space(&in, &room);
            if (room < strlen(line)) {
                in_count--;
                break;
            }
            arrive(line);
        }
        for (int i = 0; i < 50000; i++) {
            const char *got = take(UNIT_LINE);
            if (strcmp(got, "(none)") == 0) break;
            cr_assert_eq((unsigned)atoi(got), out_count, "line %u is %s", out_count, got);
            out_count++;
        }
    }
    cr_expect_eq(in_count, out_count);
}

/* ---- base64 ---- */

Test(agent_base64, there_and_back)
{
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37 + 200);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        buf_t text = buf_of(1000), back = buf_of(1000);
        cr_assert_eq(base64_add(&text, (bin_t){bytes, len}), ERR_OK);
        cr_expect_eq(text.len, (len + 2) / 3 * 4);
        cr_assert_eq(base64_read(&back, (text_t){(const char *)text.at, text.len}), ERR_OK);
        cr_expect_eq(back.len, len);
        cr_expect(len == 0 || memcmp(back.at, bytes, len) == 0);
        buf_clear(&text);
        buf_clear(&back);
    }
}

Test(agent_base64, anything_else_is_refused)
{
    static const char *const bad[] = {"A",    "AA",    "AAA",  "A===",     "AA=A",
                                      "====", "AAA\n", "A A=", "AA==AAAA", "AA-_"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_t out = buf_of(1000);
        cr_expect_eq(base64_read(&out, text_of(bad[i])), ERR_BAD_VALUE, "%s", bad[i]);
        buf_clear(&out);
    }
}

/* ---- requests ---- */

static request_t request;

/* Reads ["..."]: NULL, or what is wrong. */
static const char *read_request(const char *body)
{
    capdata_t data = {.body = {(const uint8_t *)body, strlen(body)}};
    cr_assert_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK, "%s", body);
    request_clear(&request);
    return request_read(node_root(&data), &request);
}

static void end_request(void) { request_clear(&request); }

TestSuite(agent_request, .fini = end_request, .timeout = 60);

Test(agent_request, only_a_url_is_needed)
{
    cr_assert_null(read_request("#[{\"url\":\"http://a/\"}]"));
    cr_expect_str_eq(request.url, "http://a/");
    cr_expect_str_eq(request.method, "GET");
    cr_expect_eq(request.header_count, 0);
    cr_expect_not(request.has_body);
    cr_expect_eq(request.redirect, REDIRECT_FOLLOW);
}

Test(agent_request, everything_is_read)
{
    cr_assert_null(
        read_request("#[{\"body\":\"aGk=\",\"headers\":[[\"X-One\",\" "
                     "a\"],[\"x-two\",\"\"],[\"X-Three\",\"\xc3\xbc\"]],"
                     "\"method\":\"post\",\"redirect\":\"manual\",\"url\":\"https://b/c?d\"}]"));
    cr_expect_str_eq(request.method, "POST");
    cr_assert_eq(request.header_count, 3);
    cr_expect_str_eq(request.headers[0].line, "x-one: a");
    cr_expect_str_eq(request.headers[1].line, "x-two;", "curl's way to send an empty one");
    cr_expect_str_eq(request.headers[2].line, "x-three: \xfc", "one byte a character");
    cr_expect_eq(request.body.len, 2);
    cr_expect_eq(memcmp(request.body.at, "hi", 2), 0);
    cr_expect_eq(request.redirect, REDIRECT_MANUAL);
    cr_expect_not_null(request_header(&request, "x-two"));
    cr_expect_null(request_header(&request, "host"));
}

Test(agent_request, headers_of_the_connection_are_left_out)
{
    cr_assert_null(read_request("#[{\"headers\":[[\"Host\",\"other\"],[\"Content-Length\",\"5\"],["
                                "\"Transfer-Encoding\",\"chunked\"],"
                                "[\"Proxy-Authorization\",\"x\"],[\"Connection\",\"close\"],[\"a\","
                                "\"b\"]],\"url\":\"http://a/\"}]"));
    cr_expect_eq(request.header_count, 1);
}

Test(agent_request, nonsense_is_refused)
{
    static const char *const bad[] = {
        "#[]",
        "#[\"http://a/\"]",
        "#[{\"method\":\"GET\"}]",
        "#[{\"url\":5}]",
        "#[{\"url\":\"http://a/\\u0000b\"}]",
        "#[{\"method\":\"GE T\",\"url\":\"http://a/\"}]",
        "#[{\"method\":\"CONNECT\",\"url\":\"http://a/\"}]",
        "#[{\"method\":\"trace\",\"url\":\"http://a/\"}]",
        "#[{\"method\":\"A123456789012345678901234567890123456789\",\"url\":\"http://a/\"}]",
        "#[{\"headers\":{\"a\":\"b\"},\"url\":\"http://a/\"}]",
        "#[{\"headers\":[[\"a\"]],\"url\":\"http://a/\"}]",
        "#[{\"headers\":[[\"a\",\"b\",\"c\"]],\"url\":\"http://a/\"}]",
        "#[{\"headers\":[[\"a\",\"b\\r\\nHost: evil\"]],\"url\":\"http://a/\"}]",
        "#[{\"headers\":[[\"a\",\"b\\u0000\"]],\"url\":\"http://a/\"}]",
        "#[{\"headers\":[[\"a: b\",\"c\"]],\"url\":\"http://a/\"}]",
        "#[{\"headers\":[[\"\",\"c\"]],\"url\":\"http://a/\"}]",
        "#[{\"headers\":[[\"a\",\"\xe2\x82\xac\"]],\"url\":\"http://a/\"}]",
        "#[{\"body\":\"a***\",\"method\":\"POST\",\"url\":\"http://a/\"}]",
        "#[{\"body\":\"aGk=\",\"method\":\"GET\",\"url\":\"http://a/\"}]",
        "#[{\"redirect\":\"sometimes\",\"url\":\"http://a/\"}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_not_null(read_request(bad[i]), "%s", bad[i]);
    }
}

Test(agent_request, a_redirection_changes_it_as_the_fetch_standard_says)
{
    static const char post[] = "#[{\"body\":\"aGk=\",\"headers\":[[\"authorization\",\"x\"],["
                               "\"content-type\",\"t\"],[\"a\",\"b\"]],"
                               "\"method\":\"POST\",\"url\":\"http://a/\"}]";
    static const char put[] = "#[{\"body\":\"aGk=\",\"method\":\"PUT\",\"url\":\"http://a/\"}]";

    cr_assert_null(read_request(post));
    request_redirect(&request, 307, true);
    cr_expect_str_eq(request.method, "POST");
    cr_expect(request.has_body);
    cr_expect_eq(request.header_count, 3);
    request_redirect(&request, 308, false);
    cr_expect(request.has_body);
    cr_expect_null(request_header(&request, "authorization"), "not for others");

    cr_assert_null(read_request(post));
    request_redirect(&request, 302, true);
    cr_expect_str_eq(request.method, "GET");
    cr_expect_not(request.has_body);
    cr_expect_null(request_header(&request, "content-type"));
    cr_expect_not_null(request_header(&request, "authorization"));

    cr_assert_null(read_request(put));
    request_redirect(&request, 302, true);
    cr_expect_str_eq(request.method, "PUT");
    request_redirect(&request, 303, true);
    cr_expect_str_eq(request.method, "GET");
}

Test(agent_request, a_host_is_in_the_list_or_not)
{
    text_t hosts = text_of("a.test b.test [::1]");
    cr_expect(hosts_have(hosts, "a.test"));
    cr_expect(hosts_have(hosts, "[::1]"));
    static const char *const others[] = {"",        "a",     "a.test.",       "A.test",
                                         "xa.test", ".test", "a.test b.test", "::1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_expect_not(hosts_have(hosts, others[i]), "%s", others[i]);
    }
    cr_expect_not(hosts_have(text_of(""), ""));
}

/* ---- answers ---- */

static answer_t answer;

static void end_answer(void) { answer_clear(&answer); }

TestSuite(agent_answer, .fini = end_answer, .timeout = 60);

static bool header(const char *line) { return answer_header(&answer, text_of(line)); }

static void expect_value(const char *url, bool redirected, const char *text)
{
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    cr_assert_eq(answer_value(&answer, url, redirected, &out), ERR_OK);
    capdata_t data = {.body = {out.at, out.len}};
    cr_expect_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK);
    cr_expect_eq(out.len, strlen(text), "%.*s", (int)out.len, (const char *)out.at);
    cr_expect(out.len == strlen(text) && memcmp(out.at, text, out.len) == 0, "%.*s", (int)out.len,
              (const char *)out.at);
    buf_clear(&out);
}

Test(agent_answer, is_a_record_with_sorted_keys)
{
    cr_expect(header("HTTP/1.1 103 Early Hints\r\n"));
    cr_expect(header("Link: x\r\n"));
    cr_expect(header("\r\n"));
    cr_expect(header("HTTP/1.1 200 All \xfc"
                     "ber\r\n"));
    cr_expect(header("Content-Type:  text/plain \r\n"));
    cr_expect(header("X-Dash: -1\r\n"));
    cr_expect(header("\r\n"));
    cr_expect(answer_body(&answer, (bin_t){(const uint8_t *)"\xfb\xff", 2}));
    cr_expect(header("Trailer-Field: late\r\n"), "which is no header");
    expect_value(
        "http://a/", true,
        "#{\"body\":\"!+/8=\",\"headers\":[[\"content-type\",\"text/plain\"],[\"x-dash\",\"!-1\"]],"
        "\"redirected\":true,\"status\":200,\"statusText\":\"All \xc3\xbc"
        "ber\",\"url\":\"http://a/\"}");
}

Test(agent_answer, a_redirection_says_where)
{
    char where[32];
    cr_expect(header("HTTP/1.1 302 Found\r\n"));
    cr_expect(header("Location: /b\r\n"));
    cr_expect_not(answer_moves(&answer), "not before its headers are here");
    cr_expect(header("\r\n"));
    cr_expect(answer_moves(&answer));
    cr_assert(answer_location(&answer, where, sizeof where));
    cr_expect_str_eq(where, "/b");
    cr_expect_not(answer_location(&answer, where, 2));

    cr_expect(header("HTTP/1.1 304 Not Modified\r\n"));
    cr_expect(header("Location: /b\r\n"));
    cr_expect(header("\r\n"));
    cr_expect_not(answer_moves(&answer));
    cr_expect(header("HTTP/1.1 301 Moved\r\n"));
    cr_expect(header("\r\n"));
    cr_expect_not(answer_moves(&answer), "nowhere");
}

Test(agent_answer, is_bounded)
{
    static uint8_t piece[100 * 1000];
    size_t total = 0;
    cr_expect(header("HTTP/1.1 200 OK\r\n"));
    while (answer_body(&answer, (bin_t){piece, sizeof piece})) total += sizeof piece;
    cr_expect_eq(total, ANSWER_BODY_BYTES_MAX);
    cr_expect(answer.too_large);
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    cr_expect_eq(answer_value(&answer, "http://a/", false, &out), ERR_OK, "the largest fits");
    buf_clear(&out);

    cr_expect(header("HTTP/1.1 200 OK\r\n"));
    size_t count = 0;
    while (header("a: b\r\n")) count++;
    cr_expect_eq(count, ANSWER_HEADERS_MAX);

    static char line[ANSWER_HEADER_BYTES_MAX / 4];
    memset(line, 'x', sizeof line - 1);
    line[1] = ':';
    cr_expect(header("HTTP/1.1 200 OK\r\n"));
    for (count = 0; header(line); count++) cr_assert_lt(count, 10);
    cr_expect_leq(count, 4);
}

/* ---- what is said ---- */

static char last_body[TEXT_BYTES_MAX + 200];
static bool last_rejected;

static void on_told(void *self, uint64_t errand, bool rejected, bin_t body)
{
    (void)self;
    cr_expect_eq(errand, 7);
    capdata_t data = {.body = body};
    cr_expect_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK);
    snprintf(last_body, sizeof last_body, "%.*s", (int)body.len, (const char *)body.at);
    last_rejected = rejected;
}

Test(agent_told, bodies_are_smallcaps)
{
    const told_t told = {NULL, on_told};
    told_null(&told, 7);
    cr_expect_str_eq(last_body, "#null");
    told_undefined(&told, 7);
    cr_expect_str_eq(last_body, "#\"#undefined\"");
    told_text(&told, 7, (text_t){"#x\0\xff", 4});
    cr_expect_str_eq(last_body, "#\"!#x\\u0000\xef\xbf\xbd\"");
    cr_expect_not(last_rejected);
    told_failed(&told, 7, "TypeError", "no %s", "\"way\"");
    cr_expect_str_eq(last_body, "#{\"#error\":\"no \\\"way\\\"\",\"name\":\"TypeError\"}");
    cr_expect(last_rejected);
}
