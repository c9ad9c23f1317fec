/* Numbers of 8 bytes inside the bytes of a frame, and the row that describes one resolution. Only
 * for wire/codec. */
#pragma once
#include <stdint.h>

enum { KREF_BYTES = 8, ROW_BYTES = 48 };

/* One resolution: its promise, 0 or 1, and which part of all bodies and of all slots is its own.
 * Parts stand one behind the other without gaps, so the two `at` say nothing new; they make the row
 * as wide as the resolution_t it becomes, and let a reader jump. */
typedef struct {
    uint64_t promise, rejected, body_at, body_len, slots_at, slot_count;
} row_t;

_Static_assert(sizeof(row_t) == ROW_BYTES, "six numbers");

static inline void u64_put(uint8_t at[8], uint64_t n)
{
    n = __builtin_bswap64(n);
    __builtin_memcpy(at, &n, 8);
}

static inline uint64_t u64_get(const uint8_t at[8])
{
    uint64_t n;
    __builtin_memcpy(&n, at, 8);
    return __builtin_bswap64(n);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "u64_put() and u64_get() swap");

static inline void row_put(uint8_t at[ROW_BYTES], const row_t *row)
{
    u64_put(at, row->promise);
    u64_put(at + 8, row->rejected);
    u64_put(at + 16, row->body_at);
    u64_put(at + 24, row->body_len);
    u64_put(at + 32, row->slots_at);
    u64_put(at + 40, row->slot_count);
}

static inline row_t row_get(const uint8_t at[ROW_BYTES])
{
    return (row_t){u64_get(at),      u64_get(at + 8),  u64_get(at + 16),
                   u64_get(at + 24), u64_get(at + 32), u64_get(at + 40)};
}
