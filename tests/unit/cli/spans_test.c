/* The tree of what one message caused (cli/spans.h), made of events written by hand. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/spans.h"

static const id128_t trace = {{0x4b, 0xf9}};
static const kref_t answer = {UINT64_C(1) << 63 | 23};

static recall_t recall;
static spans_t spans;
static fail_t failure;

static void tear_down(void)
{
    spans_clear(&spans);
    recall_clear(&recall);
}

TestSuite(spans, .fini = tear_down, .timeout = 60);

static kref_t promise(uint32_t vat, uint64_t n) { return kref_promise((vat_t){vat}, n); }

static void send(uint64_t at, msgid_t msg, uint32_t to, const char *method, kref_t result)
{
    char body[64];
    snprintf(body, sizeof body, "#[\"%s\",[\"+40\"]]", method);
    msg_event_t event = {.type = text_of("send"),
                         .time_us = at,
                         .trace = trace,
                         .msg = msg,
                         .parent_vat = msg.vat.n,
                         .parent_d = msg.vat.n ? msg.d : 0,
                         .from = msg.vat,
                         .vat = msg.vat,
                         .target = kref_root((vat_t){to}),
                         .method = text_of(method),
                         .promise = result,
                         .data = {{(const uint8_t *)body, strlen(body)}, {0}}};
    recall_add(&recall, &event, 0, strlen(body));
}

/* Delivery D of VAT: assigned, durable, done. */
static void deliver(uint64_t at, uint64_t durable, uint32_t vat, uint64_t d, msgid_t msg,
                    kref_t about)
{
    msg_event_t event = {.type = text_of("deliver"),
                         .time_us = at,
                         .trace = trace,
                         .msg = msg,
                         .vat = {vat},
                         .name = text_of(vat == 1 ? "alice" : "bank"),
                         .host = {vat},
                         .d = d,
                         .kind = text_of("message"),
                         .promise = about};
    recall_add(&recall, &event, durable, 0);
}

static void notify(uint64_t at, uint64_t durable, uint32_t vat, uint64_t d, msgid_t msg,
                   kref_t about)
{
    msg_event_t event = {.type = text_of("deliver"),
                         .time_us = at,
                         .trace = trace,
                         .msg = msg,
                         .vat = {vat},
                         .name = text_of("alice"),
                         .host = {vat},
                         .d = d,
                         .kind = text_of("notify"),
                         .promise = about};
    recall_add(&recall, &event, durable, 0);
}

static void done(uint64_t at, uint32_t vat, uint64_t d, uint64_t run_us)
{
    msg_event_t event = {.type = text_of("done"),
                         .time_us = at,
                         .trace = trace,
                         .vat = {vat},
                         .d = d,
                         .ok = 1,
                         .run_us = run_us};
    recall_add(&recall, &event, 0, 0);
}

static void settle(uint64_t at, uint64_t durable, msgid_t msg, kref_t what, bool rejected)
{
    const char *body = "#{\"#error\":\"insufficient funds\",\"name\":\"Error\"}";
    msg_event_t event = {.type = text_of("resolve"),
                         .time_us = at,
                         .trace = trace,
                         .msg = msg,
                         .parent_vat = msg.vat.n,
                         .parent_d = msg.d,
                         .vat = msg.vat,
                         .d = msg.d,
                         .promise = what,
                         .rejected = rejected,
                         .data = {{(const uint8_t *)body, strlen(body)}, {0}}};
    recall_add(&recall, &event, durable, strlen(body));
}

/* A client asks alice to pay; she asks the bank, which thinks for 8 ms and refuses; she passes that on. */
static void pay(void)
{
    kref_t asked = promise(1, 5);
    send(1000, (msgid_t){{0}, 9, 0}, 1, "pay", answer);
    deliver(1000, 1300, 1, 31, (msgid_t){{0}, 9, 0}, answer);
    send(2200, (msgid_t){{1}, 31, 1}, 3, "withdraw", asked);
    done(2200, 1, 31, 700);
    deliver(2600, 2900, 3, 7, (msgid_t){{1}, 31, 1}, asked);
    settle(11100, 0, (msgid_t){{3}, 7, 1}, asked, true);
    done(11100, 3, 7, 8000);
    notify(11100, 11300, 1, 32, (msgid_t){{3}, 7, 1}, asked);
    settle(11800, 12000, (msgid_t){{1}, 32, 1}, answer, true);
    done(11800, 1, 32, 300);
}

static void make(msg_trace_t ask) { cr_assert(spans_make(&recall, &ask, &spans)); }

/* The line of the text that has WORD. */
static char *line_with(const char *text, const char *word)
{
    const char *at = strstr(text, word);
    cr_assert(at, "no \"%s\" in:\n%s", word, text);
    while (at > text && at[-1] != '\n') at--;
    return strndup(at, strcspn(at, "\n"));
}

static char *shown(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    spans_show(&spans, out, false, 0);
    fclose(out);
    return text;
}

Test(spans, all_of_the_time_went_somewhere)
{
    pay();
    make((msg_trace_t){.promise = answer});
    cr_expect_eq(spans.messages, 2);
    cr_expect_eq(spans.deliveries, 3);
    cr_expect_eq(spans.rejected, 2);
    cr_expect_eq(spans.open, 0);
    cr_expect_eq(spans.end_us - spans.start_us, 11000);
    cr_expect_eq(spans.part_us[PART_WAITED], 400);
    cr_expect_eq(spans.part_us[PART_COMMIT], 300 + 300 + 200 + 200);
    cr_expect_eq(spans.part_us[PART_RAN], 700 + 8000 + 300);
    uint64_t sum = 0;
    for (part_t part = 0; part < PARTS; part++) sum += spans.part_us[part];
    cr_expect_eq(sum, 11000, "no part is counted twice, none is missing");
    cr_assert_neq(spans.largest, SPAN_NONE);
    cr_expect_eq(span_event(&spans.at[spans.largest])->vat.n, 3);
    cr_expect_eq(spans.largest_part, PART_RAN);
}

Test(spans, people_see_who_caused_what_and_what_took_longest)
{
    pay();
    make((msg_trace_t){.msg = {{0}, 9, 0}});
    char *text = shown();
    char *bank = line_with(text, "v3 bank"), *sent = line_with(text, "withdraw"),
         *first = line_with(text, ".pay(");
    cr_expect(strstr(bank, "waited 0.40, commit 0.30, wire 0.20, ran 8.00 ms"), "%s", bank);
    cr_expect(strstr(bank, "<== ran: 73% of the time"), "%s", bank);
    cr_expect(strstr(sent, "-> ko3.0.withdraw(40n)  v1/31#1  kp1.5"), "%s", sent);
    cr_expect(strstr(first, "0.000  cli -> ko1.0.pay(40n)"), "%s", first);
    cr_expect(strstr(text, "rejects kp1.5  Error: insufficient funds"), "%s", text);
    cr_expect(strstr(text, "v1 alice  v1/32  notify kp1.5"), "%s", text);
    cr_expect_lt(strspn(first + 11, " "), strspn(sent + 11, " "), "what is caused is further in");
    cr_expect_lt(strspn(sent + 11, " "), strspn(bank + 11, " "));
    free(bank);
    free(sent);
    free(first);
    free(text);
}

Test(spans, a_part_of_it_begins_where_it_was_asked_for)
{
    pay();
    make((msg_trace_t){.vat = {3}, .d = 7});
    cr_expect_eq(spans.deliveries, 2);
    cr_expect_eq(spans.messages, 0);
    cr_expect_eq(spans.start_us, 2200, "since it was sent");
    char *text = shown();
    cr_expect(strstr(text, "caused by v1/31#1"), "%s", text);
    free(text);
    spans_clear(&spans);
    make((msg_trace_t){.trace = trace});
    cr_expect_eq(spans.shown, spans.count, "a trace is all of it");
    spans_clear(&spans);
    cr_expect_not(spans_make(&recall, &(msg_trace_t){.vat = {3}, .d = 8}, &spans));
}

Test(spans, what_is_not_done_yet_says_so)
{
    send(1000, (msgid_t){{0}, 9, 0}, 1, "pay", answer);
    deliver(1500, 0, 1, 31, (msgid_t){{0}, 9, 0}, answer);
    make((msg_trace_t){.promise = answer});
    cr_expect_eq(spans.open, 1);
    char *text = shown(), *line = line_with(text, "v1 alice");
    cr_expect(strstr(line, "waited 0.50 ms  not done yet"), "%s", line);
    free(line);
    free(text);
}

/* Twenty thousand hops deep: nothing here may recurse. */
Test(spans, a_chain_may_be_long)
{
    enum { HOPS = 20000 };
    for (uint64_t i = 1; i <= HOPS; i++) {
        send(10 * i, i == 1 ? (msgid_t){{0}, 1, 0} : (msgid_t){{1}, i - 1, 1}, 1, "hop",
             promise(1, i));
        deliver(10 * i, 10 * i + 2, 1, i, i == 1 ? (msgid_t){{0}, 1, 0} : (msgid_t){{1}, i - 1, 1},
                promise(1, i));
        done(10 * i + 10, 1, i, 5);
    }
    make((msg_trace_t){.trace = trace});
    cr_expect_eq(spans.shown, 2 * HOPS);
    cr_expect_eq(spans.at[spans.order[spans.shown - 1]].depth, 2 * HOPS - 1);
    cr_expect_eq(spans.part_us[PART_RAN], 5 * HOPS);
    json_t *json = spans_json(&spans);
    cr_expect_eq(json_array_size(json_object_get(json, "spans")), 2 * HOPS);
    json_decref(json);
}

/* ---- Trace Event Format ---- */

static json_t *chrome(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    spans_chrome(&spans, out);
    fclose(out);
    json_t *json = json_loads(text, 0, NULL);
    cr_assert(json, "%s", text);
    free(text);
    return json;
}

static int64_t number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static bool is_phase(const json_t *event, const char *phase)
{
    return strcmp(json_string_value(json_object_get(event, "ph")), phase) == 0;
}

static bool same_thread(const json_t *a, const json_t *b)
{
    return number(a, "pid") == number(b, "pid") && number(a, "tid") == number(b, "tid");
}

/* How many slices have EVENT inside of them. */
static size_t slices_around(const json_t *all, const json_t *event)
{
    size_t i, ret = 0;
    json_t *slice;
    json_array_foreach(all, i, slice)
    {
        int64_t from = number(slice, "ts"), at = number(event, "ts");
        if (!is_phase(slice, "X") || !same_thread(slice, event)) continue;
        ret += at >= from && at < from + number(slice, "dur");
    }
    return ret;
}

static void check_chrome(size_t slices, size_t arrows)
{
    json_t *json = chrome(), *all = json_object_get(json, "traceEvents"), *event, *other;
    size_t i, k, found = 0, starts = 0, ends = 0;
    json_array_foreach(all, i, event)
    {
        if (is_phase(event, "X")) {
            found++;
            cr_expect_geq(number(event, "dur"), 1);
            cr_expect_eq(slices_around(all, event), 1, "slices of a thread do not overlap");
        }
        if (is_phase(event, "s") || is_phase(event, "f"))
            cr_expect_eq(slices_around(all, event), 1, "an arrow's end is in a slice");
        ends += is_phase(event, "f");
        if (!is_phase(event, "s")) continue;
        starts++;
        json_array_foreach(all, k, other)
        {
            if (is_phase(other, "f") && number(other, "id") == number(event, "id"))
                cr_expect_leq(number(event, "ts"), number(other, "ts"), "time does not go back");
        }
    }
    cr_expect_eq(found, slices);
    cr_expect_eq(starts, arrows);
    cr_expect_eq(ends, arrows);
    json_decref(json);
}

Test(spans, arrows_begin_and_end_in_slices)
{
    pay();
    make((msg_trace_t){.promise = answer});
    check_chrome(4, 3); /* the call and three deliveries; two messages and a notify */
}

/* Three results come at once: they ran one after the other before. */
Test(spans, deliveries_in_flight_together_do_not_overlap)
{
    send(1000, (msgid_t){{0}, 1, 0}, 1, "go", answer);
    deliver(1000, 1100, 1, 1, (msgid_t){{0}, 1, 0}, answer);
    for (uint32_t i = 1; i <= 3; i++) send(1500, (msgid_t){{1}, 1, i}, 3, "work", promise(1, i));
    done(1500, 1, 1, 300);
    for (uint32_t i = 1; i <= 3; i++)
        deliver(1500, 1600, 3, i, (msgid_t){{1}, 1, i}, promise(1, i));
    for (uint32_t i = 1; i <= 3; i++) done(2600 + i, 3, i, 300);
    make((msg_trace_t){.promise = answer});
    check_chrome(5, 4);
}

/* ---- references ---- */

Test(spans, only_what_can_be_traced_is_taken)
{
    msg_trace_t ask;
    cr_expect_eq(recall_ref("v3/41#2", &ask, &failure), ERR_OK);
    cr_expect(ask.msg.vat.n == 3 && ask.msg.d == 41 && ask.msg.n == 2 && !ask.d);
    cr_expect_eq(recall_ref("v0/7#0", &ask, &failure), ERR_OK);
    cr_expect(ask.msg.vat.n == 0 && ask.msg.d == 7);
    cr_expect_eq(recall_ref("v3/41", &ask, &failure), ERR_OK);
    cr_expect(ask.vat.n == 3 && ask.d == 41 && !ask.msg.d);
    cr_expect_eq(recall_ref("kp3.7", &ask, &failure), ERR_OK);
    cr_expect_eq(ask.promise.n, promise(3, 7).n);
    cr_expect_eq(recall_ref("4bf92f3577b34da6a3ce929d0e0e0004", &ask, &failure), ERR_OK);
    cr_expect(ask.trace.b[0] == 0x4b && ask.trace.b[15] == 4);
    static const char *const bad[] = {"",
                                      "v3",
                                      "v3/",
                                      "v3/0",
                                      "v0/3",
                                      "v3/41#",
                                      "v3/41#2x",
                                      "v/1",
                                      "ko3.7",
                                      "kp3",
                                      "4bf92f",
                                      "4BF92F3577B34DA6A3CE929D0E0E0004",
                                      "00000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(recall_ref(bad[i], &ask, &failure), ERR_BAD_VALUE, "%s", bad[i]);
}
