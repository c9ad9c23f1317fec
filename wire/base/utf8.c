#include "wire/base/utf8.h"

#include <string.h>

static bool follows(uint8_t byte) { return (byte & 0xc0) == 0x80; }

size_t utf8_len(const uint8_t *at, size_t left)
{
    if (left == 0) return 0;
    uint8_t head = at[0];
    if (head < 0x80) return 1;
    if (head < 0xc2 || head > 0xf4 || left < 2 || !follows(at[1])) return 0;
    if (head < 0xe0) return 2;
    if (left < 3 || !follows(at[2])) return 0;
    if (head < 0xf0) {
        if (head == 0xe0 && at[1] < 0xa0) return 0; /* longer than needed */
        if (head == 0xed && at[1] > 0x9f) return 0; /* surrogates */
        return 3;
    }
    if (left < 4 || !follows(at[3])) return 0;
    if (head == 0xf0 && at[1] < 0x90) return 0; /* longer than needed */
    if (head == 0xf4 && at[1] > 0x8f) return 0; /* above U+10FFFF */
    return 4;
}

bool utf8_check(const void *bytes, size_t len)
{
    if (len == 0) return true; /* an empty text may point nowhere */

    const uint8_t *at = bytes, *end = at + len;

    while (at < end) {
        /* Nearly everything is ASCII: eight bytes at a time while it is. */
        uint64_t eight;
        while ((size_t)(end - at) >= sizeof eight) {
            memcpy(&eight, at, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080)) break;
            at += sizeof eight;
        }
        if (at == end) return true;
        size_t step = utf8_len(at, (size_t)(end - at));
        if (!step) return false;
        at += step;
    }
    return true;
}
