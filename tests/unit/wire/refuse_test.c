/* What the decoder refuses: frames by hand, frames cut at every length, frames with every byte
 * changed in turn. What it does take after a change must encode to the same bytes (E1). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/wire/fill.h"
#include "wire/base/own.h"

typedef struct {
    const char *why, *bytes;
    size_t len;
    err_t err;
} case_t;

#define BYTES(s) s, sizeof(s) - 1
#define ZEROS_8  "\0\0\0\0\0\0\0\0"
#define ROW(promise, rejected, body_at, body_len, slots_at, slot_count)         \
    "\0\0\0\0\0\0\0" promise "\0\0\0\0\0\0\0" rejected "\0\0\0\0\0\0\0" body_at \
    "\0\0\0\0\0\0\0" body_len "\0\0\0\0\0\0\0" slots_at "\0\0\0\0\0\0\0" slot_count

/* clang-format off */
static const case_t cases[] = {
    {"a ping", BYTES("\x92\x04\x07"), ERR_OK},
    {"nothing", BYTES(""), ERR_WIRE_TRUNCATED},
    {"not an array", BYTES("\x04"), ERR_WIRE_TYPE},
    {"no tag", BYTES("\x90"), ERR_WIRE_TYPE},
    {"tag is text", BYTES("\x91\xa1x"), ERR_WIRE_TYPE},
    {"no such message", BYTES("\x91\x7f"), ERR_WIRE_UNKNOWN},
    {"no such message, large", BYTES("\x91\xcd\x01\x04"), ERR_WIRE_UNKNOWN},
    {"a field too few", BYTES("\x91\x04"), ERR_WIRE_TYPE},
    {"a field too many", BYTES("\x93\x04\x07\x07"), ERR_WIRE_TYPE},
    {"bytes left", BYTES("\x92\x04\x07\x00"), ERR_WIRE_EXTRA},
    {"text for a number", BYTES("\x92\x04\xa1" "7"), ERR_WIRE_TYPE},
    {"bool for a number", BYTES("\x92\x04\xc3"), ERR_WIRE_TYPE},
    {"array for a number", BYTES("\x92\x04\x91\x07"), ERR_WIRE_TYPE},
    {"number longer than needed", BYTES("\x92\x04\xcc\x07"), ERR_WIRE_TYPE},
    {"negative number", BYTES("\x92\x04\xff"), ERR_WIRE_TYPE},
    {"array head longer than needed", BYTES("\xdc\x00\x02\x04\x07"), ERR_WIRE_TYPE},
    {"a million elements", BYTES("\xdd\x00\x10\x00\x00"), ERR_WIRE_TRUNCATED},

    {"refuse", BYTES("\x94\x03\x01\x02\xa1x"), ERR_OK},
    {"bin for text", BYTES("\x94\x03\x01\x02\xc4\x01x"), ERR_WIRE_TYPE},
    {"text head longer than needed", BYTES("\x94\x03\x01\x02\xd9\x01x"), ERR_WIRE_TYPE},

    {"exit", BYTES("\x93\x63\xc3\x92\xc4\x01x\xc4\x00"), ERR_OK},
    {"number for bool", BYTES("\x93\x63\x01\x92\xc4\x01x\xc4\x00"), ERR_WIRE_TYPE},
    {"text for a body", BYTES("\x93\x63\xc3\x92\xa1x\xc4\x00"), ERR_WIRE_TYPE},
    {"array for slots", BYTES("\x93\x63\xc3\x92\xc4\x01x\x90"), ERR_WIRE_TYPE},
    {"half a slot", BYTES("\x93\x63\xc3\x92\xc4\x01x\xc4\x04\0\0\0\0"), ERR_WIRE_TYPE},
    {"capdata without slots", BYTES("\x93\x63\xc3\x91\xc4\x01x"), ERR_WIRE_TYPE},
    {"capdata of three", BYTES("\x93\x63\xc3\x93\xc4\x01x\xc4\x00\x00"), ERR_WIRE_TYPE},
    {"bin for capdata", BYTES("\x93\x63\xc3\xc4\x01x"), ERR_WIRE_TYPE},

    {"done, short id", BYTES("\x92\xcc\x83\xc4\x01x"), ERR_WIRE_TYPE},
    {"done, long id", BYTES("\x92\xcc\x83\xc4\x11" "12345678901234567"), ERR_WIRE_LIMIT},

    {"resolve", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\1", "\0", "\2", "\0", "\1") "\xc4\x02#0" "\xc4\x08" ZEROS_8), ERR_OK},
    {"resolve nothing", BYTES("\x92\x62\x93\xc4\x00\xc4\x00\xc4\x00"), ERR_OK},
    {"half a row", BYTES("\x92\x62\x93\xc4\x08" ZEROS_8 "\xc4\x00\xc4\x00"), ERR_WIRE_TYPE},
    {"two parts", BYTES("\x92\x62\x92\xc4\x00\xc4\x00"), ERR_WIRE_TYPE},
    {"rejected is 2", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\2", "\0", "\2", "\0", "\0") "\xc4\x02#0\xc4\x00"), ERR_WIRE_TYPE},
    {"body begins later", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\1", "\1", "\1", "\0", "\0") "\xc4\x02#0\xc4\x00"), ERR_WIRE_TYPE},
    {"slots begin later", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\1", "\0", "\2", "\1", "\0") "\xc4\x02#0\xc4\x08" ZEROS_8), ERR_WIRE_TYPE},
    {"body is longer than there is", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\1", "\0", "\3", "\0", "\0") "\xc4\x02#0\xc4\x00"), ERR_WIRE_TRUNCATED},
    {"more slots than there are", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\1", "\0", "\2", "\0", "\1") "\xc4\x02#0\xc4\x00"), ERR_WIRE_TRUNCATED},
    {"body left over", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\1", "\0", "\1", "\0", "\0") "\xc4\x02#0\xc4\x00"), ERR_WIRE_EXTRA},
    {"slots left over", BYTES("\x92\x62\x93\xc4\x30" ROW("\1", "\1", "\0", "\2", "\0", "\0") "\xc4\x02#0" "\xc4\x08" ZEROS_8), ERR_WIRE_EXTRA},
    {"a body of 2^56", BYTES("\x92\x62\x93\xc4\x30" ZEROS_8 ZEROS_8 ZEROS_8 "\1\0\0\0\0\0\0\0" ZEROS_8 ZEROS_8 "\xc4\x00\xc4\x00"), ERR_WIRE_LIMIT},
};
/* clang-format on */

/* On a heap copy without a byte to spare, so that the sanitizer sees the first byte too far. */
static err_t decode(const void *at, size_t len, msg_t *ret)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, at, len);
    msg_t got;
    err_t err = msg_decode((bin_t){copy, len}, &got);
    if (!err) {
        buf_t again = buf_of(FRAME_BYTES_MAX);
        cr_assert_eq(msg_encode(got.tag, &got.body, &again), ERR_OK);
        cr_assert_eq(again.len, len);
        cr_assert_arr_eq(again.at, at, len);
        buf_clear(&again);
        if (ret) *ret = (msg_t){.tag = got.tag};
        msg_clear(&got);
    }
    free(copy);
    return err;
}

Test(refuse, by_hand)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err_t err = decode(cases[i].bytes, cases[i].len, NULL);
        cr_expect_eq(err, cases[i].err, "%s: %s", cases[i].why, err_name(err));
    }
}

Test(refuse, ret_is_untouched)
{
    const uint8_t bad[] = {0x92, 0x04, 0xff};
    msg_t got = {.tag = TAG_pong, .arena = &got};

    cr_expect_eq(msg_decode((bin_t){bad, sizeof bad}, &got), ERR_WIRE_TYPE);
    cr_expect_eq(got.tag, TAG_pong);
    cr_expect_eq(got.arena, &got);
}

Test(refuse, cut_anywhere)
{
    size_t count;
    const message_t *all = message_all(&count);

    for (size_t i = 0; i < count; i++) {
        AUTO(fill) fill = fill_new(1000 + i);
        buf_t frame = buf_of(FRAME_BYTES_MAX);
        msg_body_t body;

        fill_message(fill, &all[i], &body);
        cr_assert_eq(msg_encode(all[i].tag, &body, &frame), ERR_OK);
        for (size_t len = 0; len < frame.len; len++) {
            cr_expect_eq(decode(frame.at, len, NULL), ERR_WIRE_TRUNCATED, "%s at %zu of %zu",
                         all[i].name, len, frame.len);
        }
        buf_clear(&frame);
    }
}

Test(refuse, one_byte_changed)
{
    size_t count, taken = 0;
    const message_t *all = message_all(&count);

    for (size_t i = 0; i < count; i++) {
        AUTO(fill) fill = fill_new(2000 + i);
        buf_t frame = buf_of(FRAME_BYTES_MAX);
        msg_body_t body;

        fill_message(fill, &all[i], &body);
        cr_assert_eq(msg_encode(all[i].tag, &body, &frame), ERR_OK);
        for (size_t at = 0; at < frame.len; at++) {
            uint8_t was = frame.at[at];
            for (unsigned step = 1; step < 256; step += 1 + (unsigned)(fill_number(fill) % 40)) {
                frame.at[at] = (uint8_t)(was + step);
                taken += !decode(frame.at, frame.len, NULL);
            }
            frame.at[at] = was;
        }
        buf_clear(&frame);
    }
    cr_expect(taken > 1000, "changed numbers are numbers still");
}

Test(refuse, larger_than_any_frame)
{
    uint8_t *bytes = calloc(1, FRAME_BYTES_MAX + 1);
    msg_t got;

    cr_expect_eq(msg_decode((bin_t){bytes, FRAME_BYTES_MAX + 1}, &got), ERR_WIRE_LIMIT);
    free(bytes);
}
