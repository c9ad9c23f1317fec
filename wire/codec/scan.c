#include "wire/codec/scan.h"

#include "wire/base/limits.h"

typedef enum { HEAD_ITEM, HEAD_ARRAY } head_kind_t;

/* What stands at the beginning of a value. */
typedef struct {
    head_kind_t kind;
    size_t len;     /* bytes of the head itself */
    uint64_t count; /* ITEM: bytes behind the head; ARRAY: elements */
} head_t;

/* The forms that carry a number or a count of WIDTH bytes behind the first byte, and the largest
 * number that a shorter form could have carried. */
typedef struct {
    uint8_t width;
    enum { WIDE_NONE, WIDE_UINT, WIDE_BYTES, WIDE_ARRAY } is;
    uint64_t shorter_max;
    bool shortest; /* no shorter form exists */
} wide_t;

/* clang-format off */
static const wide_t wides[0x20] = { /* first byte 0xc0 + index; those not here do not exist for us */
    [0x04] = {1, WIDE_BYTES, 0, true},             /* bin 8 */
    [0x05] = {2, WIDE_BYTES, UINT8_MAX, false},    /* bin 16 */
    [0x06] = {4, WIDE_BYTES, UINT16_MAX, false},   /* bin 32 */
    [0x0c] = {1, WIDE_UINT, 0x7f, false},          /* uint 8 */
    [0x0d] = {2, WIDE_UINT, UINT8_MAX, false},     /* uint 16 */
    [0x0e] = {4, WIDE_UINT, UINT16_MAX, false},    /* uint 32 */
    [0x0f] = {8, WIDE_UINT, UINT32_MAX, false},    /* uint 64 */
    [0x19] = {1, WIDE_BYTES, 31, false},           /* str 8 */
    [0x1a] = {2, WIDE_BYTES, UINT8_MAX, false},    /* str 16 */
    [0x1b] = {4, WIDE_BYTES, UINT16_MAX, false},   /* str 32 */
    [0x1c] = {2, WIDE_ARRAY, 15, false},           /* array 16 */
    [0x1d] = {4, WIDE_ARRAY, UINT16_MAX, false},   /* array 32 */
};
/* clang-format on */

static size_t left(const scan_t *self) { return (size_t)(self->end - self->at); }

static err_t head_wide(const scan_t *self, head_t *ret)
{
    const wide_t *wide = &wides[self->at[0] - 0xc0];
    uint64_t n = 0;

    if (wide->is == WIDE_NONE) return ERR_WIRE_TYPE;
    if (left(self) - 1 < wide->width) return ERR_WIRE_TRUNCATED;
    for (size_t i = 1; i <= wide->width; i++) n = n << 8 | self->at[i];
    if (!wide->shortest && n <= wide->shorter_max) return ERR_WIRE_TYPE;

    *ret = (head_t){.kind = wide->is == WIDE_ARRAY ? HEAD_ARRAY : HEAD_ITEM,
                    .len = 1u + wide->width,
                    .count = wide->is == WIDE_UINT ? 0 : n};
    return ERR_OK;
}

/* Reads the head at this place and checks that what it counts can be there. */
static err_t head_read(const scan_t *self, head_t *ret)
{
    if (left(self) == 0) return ERR_WIRE_TRUNCATED;

    uint8_t b = self->at[0];
    head_t head = {.kind = HEAD_ITEM, .len = 1};
    err_t err = ERR_OK;

    if (b < 0x80) { /* a small number */
    } else if (b < 0x90) {
        err = ERR_WIRE_TYPE; /* a map */
    } else if (b < 0xa0) {
        head.kind = HEAD_ARRAY;
        head.count = b & 0x0f;
    } else if (b < 0xc0) {
        head.count = b & 0x1f;
    } else if (b == 0xc2 || b == 0xc3) { /* false, true */
    } else if (b < 0xe0) {
        err = head_wide(self, &head);
    } else {
        err = ERR_WIRE_TYPE; /* a negative number */
    }
    if (err) return err;
    if (head.count > left(self) - head.len) return ERR_WIRE_TRUNCATED;
    *ret = head;
    return ERR_OK;
}

err_t scan_value(bin_t bytes, size_t *ret_len)
{
    if (bytes.len == 0) return ERR_WIRE_TRUNCATED;

    scan_t scan = {bytes.at, bytes.at + bytes.len};
    uint64_t open[SCAN_DEPTH_MAX + 1] = {1}; /* values still to come at each depth */
    size_t depth = 0;

    for (;;) {
        while (open[depth] == 0) {
            if (depth == 0) {
                *ret_len = (size_t)(scan.at - bytes.at);
                return ERR_OK;
            }
            depth--;
        }
        open[depth]--;

        head_t head;
        err_t err = head_read(&scan, &head);
        if (err) return err;
        scan.at += head.len;
        if (head.kind == HEAD_ITEM) {
            scan.at += head.count;
        } else {
            if (depth == SCAN_DEPTH_MAX) return ERR_WIRE_LIMIT;
            open[++depth] = head.count;
        }
    }
}

err_t scan_array(scan_t *self, uint64_t *ret)
{
    head_t head;
    err_t err = head_read(self, &head);
    if (err) return err;
    if (head.kind != HEAD_ARRAY) return ERR_WIRE_TYPE;

    self->at += head.len;
    *ret = head.count;
    return ERR_OK;
}

err_t scan_item(scan_t *self, bin_t *ret)
{
    head_t head;
    err_t err = head_read(self, &head);
    if (err) return err;
    if (head.kind != HEAD_ITEM) return ERR_WIRE_TYPE;

    *ret = (bin_t){self->at, head.len + (size_t)head.count};
    self->at += ret->len;
    return ERR_OK;
}
