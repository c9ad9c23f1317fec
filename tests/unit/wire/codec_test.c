/* E1 for every message: what goes in comes out, and the bytes are those a naive second encoder
 * writes. Then every limit of every field, at it and one above it, in both directions. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/wire/fill.h"
#include "wire/base/own.h"

enum { ROUNDS = 20 };

static bin_t bin_of(const buf_t *buf) { return (bin_t){buf->at, buf->len}; }

static bool same_message(const message_t *message, const msg_body_t *a, const msg_body_t *b)
{
    for (size_t i = 0; i < message->field_count; i++) {
        size_t at = message->fields[i].offset;
        if (!fill_same(message->fields[i].kind, (const char *)a + at, (const char *)b + at)) {
            return false;
        }
    }
    return true;
}

Test(codec, round_trip_of_every_message)
{
    size_t count;
    const message_t *all = message_all(&count);

    for (size_t i = 0; i < count * ROUNDS; i++) {
        const message_t *message = &all[i / ROUNDS];
        AUTO(fill) fill = fill_new(i);
        buf_t frame = buf_of(FRAME_BYTES_MAX), naive = buf_of(FRAME_BYTES_MAX);
        msg_body_t body;
        msg_t got;

        fill_message(fill, message, &body);
        cr_assert_eq(msg_encode(message->tag, &body, &frame), ERR_OK, "%s", message->name);
        fill_frame(message, &body, &naive);
        cr_assert_eq(frame.len, naive.len, "%s", message->name);
        cr_assert_arr_eq(frame.at, naive.at, frame.len, "%s", message->name);

        cr_expect_eq(msg_peek(bin_of(&frame)), message->tag);
        cr_assert_eq(msg_decode(bin_of(&frame), &got), ERR_OK, "%s, seed %zu", message->name, i);
        cr_expect_eq(got.tag, message->tag);
        cr_expect(same_message(message, &body, &got.body), "%s, seed %zu", message->name, i);
        msg_clear(&got);
        cr_expect_null(got.arena);
        buf_clear(&frame);
        buf_clear(&naive);
    }
}

/* One field at a time is COUNT long; returns what the encoder says, and the naive frame. */
static err_t encode_long(const message_t *message, const field_t *field, size_t count, buf_t *naive)
{
    AUTO(fill) fill = fill_new(count);
    buf_t frame = buf_of(2 * (size_t)FRAME_BYTES_MAX);
    msg_body_t body = {0};

    fill_long(fill, field, count, &body);
    err_t err = msg_encode(message->tag, &body, &frame);
    if (err) cr_expect_eq(frame.len, 0, "a failure leaves the buffer as it was");
    fill_frame(message, &body, naive);
    buf_clear(&frame);
    return err;
}

Test(codec, limits, .timeout = 110)
{
    size_t count;
    const message_t *all = message_all(&count);

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < all[i].field_count; j++) {
            const field_t *field = &all[i].fields[j];
            if (!field->limit) continue;

            buf_t naive = buf_of(2 * (size_t)FRAME_BYTES_MAX);
            msg_t got;
            cr_expect_eq(encode_long(&all[i], field, field->limit, &naive), ERR_OK, "%s.%s",
                         all[i].name, field->name);
            cr_assert_eq(msg_decode(bin_of(&naive), &got), ERR_OK, "%s.%s", all[i].name,
                         field->name);
            msg_clear(&got);

            buf_reset(&naive);
            cr_expect_eq(encode_long(&all[i], field, field->limit + 1, &naive), ERR_WIRE_LIMIT,
                         "%s.%s", all[i].name, field->name);
            cr_expect_eq(msg_decode(bin_of(&naive), &got), ERR_WIRE_LIMIT, "%s.%s", all[i].name,
                         field->name);
            buf_clear(&naive);
        }
    }
}

static void expect_limit(msg_tag_t tag, const void *body, size_t body_bytes)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX), naive = buf_of(2 * (size_t)FRAME_BYTES_MAX);
    msg_body_t whole = {0};
    msg_t got;

    memcpy(&whole, body, body_bytes);
    cr_expect_eq(msg_encode(tag, &whole, &frame), ERR_WIRE_LIMIT);
    cr_expect_eq(frame.len, 0);
    fill_frame(message_find(tag), &whole, &naive);
    cr_expect_eq(msg_decode(bin_of(&naive), &got), ERR_WIRE_LIMIT);
    buf_clear(&frame);
    buf_clear(&naive);
}

Test(codec, limits_inside_fields)
{
    static kref_t slots[SLOTS_MAX + 1];
    static uint8_t bytes[CAPDATA_BYTES_MAX + 1];

    msg_send_t send = {.methargs = {.slots = {slots, SLOTS_MAX + 1}}};
    expect_limit(TAG_send, &send, sizeof send);
    resolution_t one = {.data = {.slots = {slots, SLOTS_MAX + 1}}};
    msg_resolve_t resolve = {{&one, 1}};
    expect_limit(TAG_resolve, &resolve, sizeof resolve);
    resolution_t large = {.data = {.body = {bytes, sizeof bytes}}};
    resolve.resolutions.at = &large;
    expect_limit(TAG_resolve, &resolve, sizeof resolve);
    msg_vat_end_t end = {.vat = {KREF_ISSUER_MAX + 1}};
    expect_limit(TAG_vat_end, &end, sizeof end);

    /* Each body within its limit, all of them together more than any frame. */
    static resolution_t five[5];
    for (size_t i = 0; i < 5; i++) five[i].data.body = (bin_t){bytes, CAPDATA_BYTES_MAX};
    buf_t out = buf_of(2 * (size_t)FRAME_BYTES_MAX);
    resolve.resolutions = (resolutions_t){five, 5};
    cr_expect_eq(msg_encode(TAG_resolve, &resolve, &out), ERR_WIRE_LIMIT);
    buf_clear(&out);
}

Test(codec, a_full_buffer_is_as_before)
{
    msg_deliver_t deliver = {.vat = {3}, .d = 41};
    buf_t out = buf_of(40);

    cr_assert_eq(buf_add(&out, "abc", 3), ERR_OK);
    cr_expect_eq(msg_encode(TAG_deliver, &deliver, &out), ERR_WIRE_LIMIT);
    cr_expect_eq(out.len, 3);
    buf_clear(&out);
}

Test(codec, texts_are_utf8)
{
    static const char *const bad[] = {
        "\xff",   "\xc0\x80",     "\xe0\x80\x80",        "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "ab\xc3", "12345678\x80", "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_t out = buf_of(1000);
        msg_body_t body = {.refuse = {.text = text_of(bad[i])}};
        msg_t got;

        cr_expect_eq(msg_encode(TAG_refuse, &body, &out), ERR_WIRE_TYPE, "case %zu", i);
        fill_frame(message_find(TAG_refuse), &body, &out);
        cr_expect_eq(msg_decode(bin_of(&out), &got), ERR_WIRE_TYPE, "case %zu", i);
        buf_clear(&out);
    }
}

Test(codec, empty_values_point_somewhere)
{
    buf_t out = buf_of(1000);
    resolution_t one = {.promise = {1}};
    msg_refuse_t refuse = {0};
    msg_resolve_t resolve = {{&one, 1}};
    msg_t got;

    cr_assert_eq(msg_encode(TAG_refuse, &refuse, &out), ERR_OK);
    cr_assert_eq(msg_decode(bin_of(&out), &got), ERR_OK);
    cr_expect_not_null(got.body.refuse.text.at);
    msg_clear(&got);
    buf_reset(&out);
    cr_assert_eq(msg_encode(TAG_resolve, &resolve, &out), ERR_OK);
    cr_assert_eq(msg_decode(bin_of(&out), &got), ERR_OK);
    cr_expect_not_null(got.body.resolve.resolutions.at[0].data.body.at);
    msg_clear(&got);
    buf_clear(&out);
}

Test(codec, several_frames_in_a_row)
{
    buf_t out = buf_of(1000);
    msg_ping_t ping = {7};
    msg_subscribe_t subscribe = {kref_promise((vat_t){2}, 1)};
    msg_t got;

    cr_assert_eq(msg_encode(TAG_ping, &ping, &out), ERR_OK);
    cr_assert_eq(msg_encode(TAG_subscribe, &subscribe, &out), ERR_OK);
    cr_expect_eq(msg_decode(bin_of(&out), &got), ERR_WIRE_EXTRA);

    bin_t rest = bin_of(&out);
    cr_assert_eq(msg_next(&rest, &got), ERR_OK);
    cr_expect_eq(got.tag, TAG_ping);
    cr_expect_eq(got.body.ping.epoch, 7);
    msg_clear(&got);
    cr_assert_eq(msg_next(&rest, &got), ERR_OK);
    cr_expect_eq(got.tag, TAG_subscribe);
    cr_expect_eq(rest.len, 0);
    msg_clear(&got);

    bin_t cut = {out.at, out.len - 1};
    cr_assert_eq(msg_next(&cut, &got), ERR_OK);
    msg_clear(&got);
    bin_t before = cut;
    cr_expect_eq(msg_next(&cut, &got), ERR_WIRE_TRUNCATED);
    cr_expect(cut.at == before.at && cut.len == before.len);
    buf_clear(&out);
}

Test(codec, peek)
{
    const uint8_t other[] = {0x91, 0xa1, 'x'}, nothing[] = {0x90}, number[] = {0x07};

    cr_expect_eq(msg_peek((bin_t){NULL, 0}), 0);
    cr_expect_eq(msg_peek((bin_t){other, sizeof other}), 0);
    cr_expect_eq(msg_peek((bin_t){nothing, sizeof nothing}), 0);
    cr_expect_eq(msg_peek((bin_t){number, sizeof number}), 0);
}
