/* The scan over single values: what is one, what is none, and how far it reaches. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/limits.h"
#include "wire/codec/scan.h"

typedef struct {
    const char *bytes;
    size_t len;
    err_t err;
    size_t value_len;
} case_t;

#define BYTES(s) s, sizeof(s) - 1

/* clang-format off */
static const case_t cases[] = {
    {BYTES("\x00"), ERR_OK, 1},
    {BYTES("\x7f\x7f"), ERR_OK, 1},
    {BYTES("\xcc\x80"), ERR_OK, 2},
    {BYTES("\xcd\x01\x00"), ERR_OK, 3},
    {BYTES("\xce\x00\x01\x00\x00"), ERR_OK, 5},
    {BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), ERR_OK, 9},
    {BYTES("\xc2"), ERR_OK, 1},
    {BYTES("\xc3"), ERR_OK, 1},
    {BYTES("\xa0"), ERR_OK, 1},
    {BYTES("\xa3" "abcd"), ERR_OK, 4},
    {BYTES("\xc4\x00"), ERR_OK, 2},
    {BYTES("\xc4\x02" "ab"), ERR_OK, 4},
    {BYTES("\x90"), ERR_OK, 1},
    {BYTES("\x93\x01\x91\x02\xa1z\x00"), ERR_OK, 6},

    /* cut off */
    {BYTES(""), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xcc"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xa3" "ab"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xc4"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xc4\x03" "ab"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\x92\x01"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xdd\x04\x00\x00\x00"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xdd\xff\xff\xff\xff\x00\x00"), ERR_WIRE_TRUNCATED, 0},
    {BYTES("\xc6\xff\xff\xff\xff\x00\x00"), ERR_WIRE_TRUNCATED, 0},

    /* longer than needed */
    {BYTES("\xcc\x7f"), ERR_WIRE_TYPE, 0},
    {BYTES("\xcd\x00\xff"), ERR_WIRE_TYPE, 0},
    {BYTES("\xce\x00\x00\xff\xff"), ERR_WIRE_TYPE, 0},
    {BYTES("\xcf\x00\x00\x00\x00\xff\xff\xff\xff"), ERR_WIRE_TYPE, 0},
    {BYTES("\xd9\x01" "a"), ERR_WIRE_TYPE, 0},
    {BYTES("\xda\x00\x01" "a"), ERR_WIRE_TYPE, 0},
    {BYTES("\xdb\x00\x00\x00\x01" "a"), ERR_WIRE_TYPE, 0},
    {BYTES("\xc5\x00\x01" "a"), ERR_WIRE_TYPE, 0},
    {BYTES("\xc6\x00\x00\x00\x01" "a"), ERR_WIRE_TYPE, 0},
    {BYTES("\xdc\x00\x01\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xdd\x00\x00\x00\x01\x00"), ERR_WIRE_TYPE, 0},

    /* not ours: nil, never used, ext, float, int, fixext, map, negative */
    {BYTES("\xc0"), ERR_WIRE_TYPE, 0},
    {BYTES("\xc1"), ERR_WIRE_TYPE, 0},
    {BYTES("\xc7\x00\x01"), ERR_WIRE_TYPE, 0},
    {BYTES("\xc8\x00\x00\x01"), ERR_WIRE_TYPE, 0},
    {BYTES("\xc9\x00\x00\x00\x00\x01"), ERR_WIRE_TYPE, 0},
    {BYTES("\xca\x00\x00\x00\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xd0\x01"), ERR_WIRE_TYPE, 0},
    {BYTES("\xd1\x01\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xd2\x01\x00\x00\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xd3\x01\x00\x00\x00\x00\x00\x00\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xd4\x01\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xd8\x01"), ERR_WIRE_TYPE, 0},
    {BYTES("\x80"), ERR_WIRE_TYPE, 0},
    {BYTES("\x81\x00\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xde\x00\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xdf\x00\x00\x00\x00"), ERR_WIRE_TYPE, 0},
    {BYTES("\xff"), ERR_WIRE_TYPE, 0},
    {BYTES("\x91\xe0"), ERR_WIRE_TYPE, 0},
};
/* clang-format on */

Test(scan, values)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* A copy of its own on the heap: the sanitizer sees the first byte read behind the end. */
        uint8_t *bytes = malloc(cases[i].len ? cases[i].len : 1);
        memcpy(bytes, cases[i].bytes, cases[i].len);
        size_t len = 0;
        err_t err = scan_value((bin_t){bytes, cases[i].len}, &len);
        cr_expect_eq(err, cases[i].err, "case %zu: %s", i, err_name(err));
        cr_expect_eq(len, cases[i].value_len, "case %zu", i);
        free(bytes);
    }
}

Test(scan, depth)
{
    uint8_t bytes[SCAN_DEPTH_MAX + 2];
    size_t len;

    memset(bytes, 0x91, sizeof bytes);
    bytes[SCAN_DEPTH_MAX] = 0;
    cr_expect_eq(scan_value((bin_t){bytes, SCAN_DEPTH_MAX + 1}, &len), ERR_OK);
    cr_expect_eq(len, SCAN_DEPTH_MAX + 1);
    bytes[SCAN_DEPTH_MAX] = 0x91;
    bytes[SCAN_DEPTH_MAX + 1] = 0;
    cr_expect_eq(scan_value((bin_t){bytes, sizeof bytes}, &len), ERR_WIRE_LIMIT);
}

Test(scan, steps)
{
    const uint8_t bytes[] = {0x93, 0x05, 0xa2, 'h', 'i', 0x90};
    scan_t scan = {bytes, bytes + sizeof bytes};
    uint64_t count;
    bin_t item;

    cr_expect_eq(scan_item(&scan, &item), ERR_WIRE_TYPE);
    cr_expect_eq(scan_array(&scan, &count), ERR_OK);
    cr_expect_eq(count, 3);
    cr_expect_eq(scan_array(&scan, &count), ERR_WIRE_TYPE);
    cr_expect_eq(scan_item(&scan, &item), ERR_OK);
    cr_expect_eq(item.len, 1);
    cr_expect_eq(scan_item(&scan, &item), ERR_OK);
    cr_expect_eq(item.len, 3);
    cr_expect_eq(scan_array(&scan, &count), ERR_OK);
    cr_expect_eq(count, 0);
    cr_expect_eq(scan_item(&scan, &item), ERR_WIRE_TRUNCATED);
    cr_expect_eq(scan_array(&scan, &count), ERR_WIRE_TRUNCATED);
}
