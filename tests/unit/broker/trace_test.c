/* The ring of the last events (broker/trace.h): what comes out is what went in, within its bounds. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "broker/trace.h"

static msg_event_t event_of(const char *type, uint8_t trace, uint64_t time_us)
{
    return (msg_event_t){.type = text_of(type), .time_us = time_us, .trace = {{trace, 9}}};
}

typedef struct {
    buf_t rows;
    bin_t rest;
    msg_t row, event;
    uint64_t next;
} page_t;

static err_t ask(page_t *self, trace_t *trace, const msg_trace_t *msg)
{
    self->rows = buf_of(FRAME_BYTES_MAX);
    err_t err = trace_page(trace, msg, &self->rows, &self->next);
    self->rest = (bin_t){self->rows.at, self->rows.len};
    return err;
}

/* The next row; its event is decoded as well. */
static bool next(page_t *self)
{
    msg_clear(&self->row);
    msg_clear(&self->event);
    if (self->rest.len == 0) return false;
    cr_assert_eq(msg_next(&self->rest, &self->row), ERR_OK);
    cr_assert_eq(self->row.tag, TAG_trace_row);
    cr_assert_eq(msg_decode(self->row.body.trace_row.event, &self->event), ERR_OK);
    cr_assert_eq(self->event.tag, TAG_event);
    return true;
}

static size_t count(trace_t *trace, msg_trace_t msg)
{
    page_t page = {0};
    size_t ret = 0;
    if (ask(&page, trace, &msg)) return SIZE_MAX;
    while (next(&page)) ret++;
    buf_clear(&page.rows);
    return ret;
}

Test(trace, what_comes_out_is_what_went_in)
{
    trace_t *trace = trace_new();
    kref_t slots[2] = {kref_object((vat_t){3}, 7), kref_promise((vat_t){4}, 1)};
    msg_event_t event = {
        .type = text_of("send"),
        .time_us = 1234567,
        .trace = {{1, 2, 3}},
        .msg = {{3}, 41, 2},
        .parent_vat = 3,
        .parent_d = 41,
        .from = {3},
        .vat = {5},
        .name = text_of("bank"),
        .host = {2},
        .d = 17,
        .kind = text_of("message"),
        .target = slots[0],
        .method = text_of("pay"),
        .data = {{(const uint8_t *)"#[\"pay\",[\"$0\",\"&1\"]]", 21}, {slots, 2}},
        .promise = slots[1],
        .rejected = true,
        .ok = 1,
        .wait_us = 11,
        .run_us = 12,
        .syscalls = 13,
        .computrons = UINT64_MAX,
        .text = text_of("t\xc3\xa4xt"),
    };
    buf_t before = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(TAG_event, &event, &before), ERR_OK);
    trace_take(trace, TOPIC_TRAFFIC, &event);

    page_t page = {0};
    cr_assert_eq(ask(&page, trace, &(msg_trace_t){0}), ERR_OK);
    cr_assert(next(&page));
    const msg_trace_row_t *row = &page.row.body.trace_row;
    cr_expect_eq(row->seq, 1);
    cr_expect_eq(row->durable_us, 0, "nobody said so");
    cr_expect_eq(row->bytes, 21);
    cr_assert_eq(row->event.len, before.len);
    cr_expect_eq(memcmp(row->event.at, before.at, before.len), 0, "every field is kept");
    cr_expect(!next(&page));
    buf_clear(&page.rows);

    trace_durable(trace, 99);
    trace_take(trace, TOPIC_CONSOLE, &event);
    cr_assert_eq(ask(&page, trace, &(msg_trace_t){0}), ERR_OK);
    cr_expect(next(&page) && page.row.body.trace_row.durable_us == 99);
    cr_expect(next(&page) && page.row.body.trace_row.durable_us == 0);
    cr_expect(!next(&page));
    buf_clear(&page.rows);
    buf_clear(&before);
    trace_destroy(&trace);
}

Test(trace, a_long_body_is_cut_between_characters_and_says_so)
{
    trace_t *trace = trace_new();
    char body[3 * TRACE_BODY_BYTES_MAX + 1];
    for (size_t i = 0; i < TRACE_BODY_BYTES_MAX; i++) memcpy(&body[3 * i], "\xe2\x82\xac", 3);
    kref_t slot = kref_object((vat_t){1}, 1);
    msg_event_t event = event_of("send", 1, 1);
    event.data = (capdata_t){{(const uint8_t *)body, 3 * TRACE_BODY_BYTES_MAX}, {&slot, 1}};
    event.text = (text_t){body, 3 * TRACE_BODY_BYTES_MAX};
    trace_take(trace, TOPIC_TRAFFIC, &event);
    page_t page = {0};
    cr_assert_eq(ask(&page, trace, &(msg_trace_t){0}), ERR_OK);
    cr_assert(next(&page), "it is a text still, or it could not be encoded");
    size_t kept = TRACE_BODY_BYTES_MAX / 3 * 3;
    cr_expect_eq(page.row.body.trace_row.bytes, 3 * TRACE_BODY_BYTES_MAX);
    cr_expect_eq(page.event.body.event.data.body.len, kept);
    cr_expect_eq(page.event.body.event.data.slots.count, 0, "what is cut names nothing");
    cr_expect_eq(page.event.body.event.text.len, kept);
    cr_expect(!next(&page));
    buf_clear(&page.rows);
    trace_destroy(&trace);
}

/* Records of all sizes, several times round: what is left is the newest, whole and in order. */
Test(trace, the_oldest_go_first_and_the_rest_is_whole)
{
    trace_t *trace = trace_new();
    char body[TRACE_BODY_BYTES_MAX];
    memset(body, 'x', sizeof body);
    unsigned seed = 1;
    uint64_t events = 0;
    for (; events < 300000; events++) {
        msg_event_t event = event_of("send", 1, events + 1);
        size_t len = (size_t)rand_r(&seed) % sizeof body;
        event.data.body = (bin_t){(const uint8_t *)body, len};
        event.d = len;
        trace_take(trace, events % 3 ? TOPIC_TRAFFIC : TOPIC_CONSOLE, &event);
        if (events % 7 == 0) trace_durable(trace, events + 1);
    }
    cr_expect_leq(trace_count(trace), TRACE_EVENTS_MAX);
    cr_expect_geq(trace_count(trace), TRACE_BYTES_MAX / 1000, "no more are dropped than must be");
    msg_trace_t msg = {.first = 0};
    uint64_t seq = events - trace_count(trace);
    cr_expect_eq(trace_since_us(trace), seq + 1);
    page_t page = {0};
    do {
        cr_assert_eq(ask(&page, trace, &msg), ERR_OK);
        cr_expect_leq(page.rows.len, 2 * 1024 * 1024);
        while (next(&page)) {
            const msg_event_t *event = &page.event.body.event;
            cr_assert_eq(page.row.body.trace_row.seq, ++seq);
            cr_assert_eq(event->time_us, seq);
            cr_assert_eq(event->data.body.len, event->d);
            uint64_t durable = page.row.body.trace_row.durable_us;
            cr_assert(durable ? durable >= seq && durable < seq + 7 : seq + 7 > events);
        }
        buf_clear(&page.rows);
        msg.first = page.next;
    } while (page.next);
    cr_expect_eq(seq, events, "all pages together are all");
    trace_destroy(&trace);
}

Test(trace, so_many_events_and_no_more)
{
    trace_t *trace = trace_new();
    for (uint64_t i = 0; i < TRACE_EVENTS_MAX + 10; i++) {
        msg_event_t event = event_of("", 0, i + 1);
        trace_take(trace, TOPIC_CONSOLE, &event);
    }
    cr_expect_eq(trace_count(trace), TRACE_EVENTS_MAX);
    cr_expect_eq(trace_since_us(trace), 11);
    trace_destroy(&trace);
}

/* In a ring that has gone round, by count and by bytes. */
Test(trace, a_page_begins_where_it_is_asked_to)
{
    enum { EVENTS = TRACE_EVENTS_MAX + 5000 };
    static char body[400];
    for (size_t bytes = 0; bytes <= sizeof body; bytes += sizeof body) {
        trace_t *trace = trace_new();
        for (uint64_t i = 1; i <= EVENTS; i++) {
            msg_event_t event = event_of("", 0, i);
            event.data.body = (bin_t){(const uint8_t *)body, bytes ? i % bytes : 0};
            trace_take(trace, TOPIC_CONSOLE, &event);
        }
        uint64_t oldest = EVENTS - trace_count(trace) + 1;
        cr_expect_gt(oldest, 64);
        for (uint64_t first = EVENTS - 200; first <= EVENTS + 2; first++) {
            size_t wanted = first <= EVENTS ? EVENTS - first + 1 : 0;
            cr_assert_eq(count(trace, (msg_trace_t){.first = first}), wanted, "%d", (int)first);
        }
        for (uint64_t first = oldest - 66; first < oldest + 132; first += 11) {
            page_t page = {0};
            cr_assert_eq(ask(&page, trace, &(msg_trace_t){.first = first}), ERR_OK);
            msg_t row;
            bin_t rest = {page.rows.at, page.rows.len};
            cr_assert_eq(msg_next(&rest, &row), ERR_OK);
            cr_assert_eq(row.body.trace_row.seq, first > oldest ? first : oldest);
            msg_clear(&row);
            buf_clear(&page.rows);
        }
        trace_destroy(&trace);
    }
}

Test(trace, one_is_found_by_message_delivery_promise_and_its_own_id)
{
    trace_t *trace = trace_new();
    kref_t promise = kref_promise((vat_t){0}, 5);
    msg_event_t event = event_of("vat-start", 0, 1);
    event.trace = (id128_t){{0}};
    trace_take(trace, TOPIC_CONSOLE, &event);
    event = event_of("send", 1, 2);
    event.msg = (msgid_t){{0}, 8, 0};
    event.promise = promise;
    trace_take(trace, TOPIC_TRAFFIC, &event);
    event = event_of("deliver", 1, 3);
    event.vat = (vat_t){3};
    event.d = 41;
    trace_take(trace, TOPIC_TRAFFIC, &event);
    event = event_of("console", 1, 4);
    trace_take(trace, TOPIC_CONSOLE, &event);
    event = event_of("send", 2, 5);
    event.msg = (msgid_t){{3}, 41, 2};
    trace_take(trace, TOPIC_TRAFFIC, &event);

    cr_expect_eq(count(trace, (msg_trace_t){0}), 5);
    cr_expect_eq(count(trace, (msg_trace_t){.topics = TOPIC_CONSOLE}), 2);
    cr_expect_eq(count(trace, (msg_trace_t){.topics = TOPIC_TRAFFIC}), 3);
    cr_expect_eq(count(trace, (msg_trace_t){.since_us = 4}), 2);
    cr_expect_eq(count(trace, (msg_trace_t){.first = 5}), 1);
    cr_expect_eq(count(trace, (msg_trace_t){.trace = {{1, 9}}}), 3);
    cr_expect_eq(count(trace, (msg_trace_t){.trace = {{2, 9}}}), 1);
    cr_expect_eq(count(trace, (msg_trace_t){.msg = {{0}, 8, 0}}), 3);
    cr_expect_eq(count(trace, (msg_trace_t){.msg = {{3}, 41, 2}}), 1);
    cr_expect_eq(count(trace, (msg_trace_t){.vat = {3}, .d = 41}), 3);
    cr_expect_eq(count(trace, (msg_trace_t){.promise = promise}), 3);

    page_t page = {0};
    cr_expect_eq(ask(&page, trace, &(msg_trace_t){.msg = {{3}, 41, 3}}), ERR_TRACE_GONE);
    cr_expect_eq(ask(&page, trace, &(msg_trace_t){.trace = {{7}}}), ERR_TRACE_GONE);
    cr_expect_eq(ask(&page, trace, &(msg_trace_t){.vat = {3}, .d = 42}), ERR_TRACE_GONE);
    trace_destroy(&trace);
}
