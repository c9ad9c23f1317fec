/* Four lanes of 8 bytes each, so that the processor has something to do while a product is made:
 * 4 KiB take 0.2 us. In a lane each step is one-to-one, so that a change inside 8 bytes cannot get
 * lost; a page of zeros has a sum that is not zero. */
#include <endian.h>
#include <string.h>

#include "wire/pages/pages_own.h"

#define ODD_A 0x9e3779b97f4a7c15u
#define ODD_B 0xc2b2ae3d27d4eb4fu

static uint64_t turned(uint64_t n, int bits) { return n << bits | n >> (64 - bits); }

static uint64_t word(const uint8_t *at)
{
    uint64_t n;
    memcpy(&n, at, sizeof n);
    return le64toh(n);
}

static uint64_t step(uint64_t lane, uint64_t n) { return turned((lane ^ n) * ODD_A, 29); }

/* A page is a power of two of at least 512 bytes: whole rows of four words, the last one without the
 * sum itself. */
uint64_t page_sum(const uint8_t *page, size_t size, uint32_t number)
{
    uint64_t a = ODD_B ^ number, b = ODD_A ^ size, c = ODD_B, d = ODD_A;
    size_t at = 0;
    for (; at + 32 < size; at += 32) {
        a = step(a, word(page + at));
        b = step(b, word(page + at + 8));
        c = step(c, word(page + at + 16));
        d = step(d, word(page + at + 24));
    }
    a = step(a, word(page + at));
    b = step(b, word(page + at + 8));
    c = step(c, word(page + at + 16));

    uint64_t sum = turned(a, 7) + turned(b, 19) + turned(c, 31) + turned(d, 47);
    sum = (sum ^ sum >> 31) * ODD_B;
    return sum ^ sum >> 29;
}

void page_seal(uint8_t *page, size_t size, uint32_t number)
{
    uint64_t sum = htole64(page_sum(page, size, number));
    memcpy(page + size - SUM_BYTES, &sum, SUM_BYTES);
}

bool page_whole(const uint8_t *page, size_t size, uint32_t number)
{
    return word(page + size - SUM_BYTES) == page_sum(page, size, number);
}
