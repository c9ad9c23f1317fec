/* Histograms against the truth: the same values in a sorted array. Distributions of many shapes, at every
 * precision; then the algebra (add, subtract, copy) and the bytes, also hostile ones. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/hist.h"
#include "wire/base/own.h"

enum { COUNT = 4000, SHAPES = 9 };

static const uint32_t parts[] = {0,      1,      100000, 250000, 500000, 750000,
                                 900000, 990000, 999000, 999900, 999999, HIST_WHOLE};

static uint64_t state;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t value_of(unsigned shape, unsigned i)
{
    switch (shape) {
    case 0: return i;                                   /* a ramp */
    case 1: return 42;                                  /* one value only */
    case 2: return draw() % 1000;                       /* flat, small */
    case 3: return draw() & HIST_VALUE_MAX;             /* flat, over everything */
    case 4: return draw() >> (20 + draw() % 44);        /* every size of number alike */
    case 5: return draw() % 100 ? 100 : 1000000;        /* two humps: a server with freezes */
    case 6: return 1ull << (i % 44);                    /* the first value of every power */
    case 7: return (1ull << (1 + i % 44)) - 1;          /* the last one */
    default: return draw() % 1000000 * (draw() % 1000); /* skewed */
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The exact percentile: the value at that position, counted from 1 and rounded up. */
static uint64_t exact(const uint64_t *sorted, size_t count, uint32_t part)
{
    size_t rank = (size_t)(((uint64_t)count * part + HIST_WHOLE - 1) / HIST_WHOLE);
    return sorted[rank ? rank - 1 : 0];
}

static void expect_like_sorted(const hist_t *hist, uint64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint64_t want = exact(values, count, parts[i]), got = hist_percentile(hist, parts[i]);
        cr_assert_geq(got, want, "part %u", parts[i]);
        cr_assert_leq(got - want, want >> hist_bits(hist), "part %u", parts[i]);
    }
    uint64_t sum = 0, seen = 0, last = 0;
    for (size_t i = 0; i < count; i++) sum += values[i];
    cr_assert_eq(hist_sum(hist), sum);
    cr_assert_eq(hist_mean(hist), sum / count);
    cr_assert_eq(hist_count(hist), count);
    cr_assert_eq(hist_min(hist), values[0]);
    cr_assert_eq(hist_max(hist), values[count - 1]);

    size_t at = 0;
    for (hist_bucket_t bucket = {0}; hist_next(hist, &bucket);) {
        cr_assert(bucket.low <= bucket.high && (!seen || bucket.low > last));
        cr_assert_leq(bucket.high - bucket.low, bucket.low >> hist_bits(hist));
        uint64_t inside = 0;
        for (; at < count && values[at] <= bucket.high; at++) {
            cr_assert_geq(values[at], bucket.low);
            inside++;
        }
        cr_assert_eq(bucket.count, inside);
        seen += bucket.count;
        last = bucket.high;
        cr_assert_eq(hist_count_to(hist, bucket.low), seen);
        cr_assert_eq(hist_count_to(hist, bucket.high), seen);
    }
    cr_assert_eq(seen, count);
}

static hist_t *hist_of_shape(unsigned bits, unsigned shape, uint64_t *values)
{
    hist_t *hist = hist_new(bits);
    state = 88172645463325252ull + shape;
    for (unsigned i = 0; i < COUNT; i++) {
        values[i] = value_of(shape, i);
        hist_record(hist, values[i]);
    }
    return hist;
}

Test(hist, percentiles_are_those_of_the_sorted_values)
{
    static uint64_t values[COUNT];
    for (unsigned bits = HIST_BITS_MIN; bits <= HIST_BITS_MAX; bits++) {
        for (unsigned shape = 0; shape < SHAPES; shape++) {
            AUTO(hist) hist = hist_of_shape(bits, shape, values);
            expect_like_sorted(hist, values, COUNT);
        }
    }
}

Test(hist, small_values_are_exact)
{
    AUTO(hist) hist = hist_new(7);
    for (uint64_t i = 0; i < 256; i++) hist_record(hist, i);
    for (uint32_t i = 1; i <= 256; i++) {
        cr_assert_eq(hist_percentile(hist, (uint32_t)(i * 1000000ull / 256)), i - 1);
    }
}

Test(hist, an_empty_one_has_only_zeros)
{
    AUTO(hist) hist = hist_new(5);
    hist_bucket_t bucket = {0};
    cr_expect(!hist_next(hist, &bucket));
    cr_expect_eq(hist_count(hist) + hist_sum(hist) + hist_min(hist) + hist_max(hist), 0);
    cr_expect_eq(hist_mean(hist) + hist_percentile(hist, 500000) + hist_count_to(hist, 7), 0);
    hist_record_times(hist, 7, 0);
    cr_expect_eq(hist_count(hist), 0);
}

Test(hist, what_is_too_large_is_counted_at_the_end)
{
    AUTO(hist) hist = hist_new(5);
    hist_record(hist, 1);
    hist_record(hist, UINT64_MAX);
    hist_record(hist, UINT64_MAX);
    cr_expect_eq(hist_count(hist), 3);
    cr_expect_eq(hist_max(hist), UINT64_MAX);
    cr_expect_eq(hist_sum(hist), UINT64_MAX, "it stays where it cannot grow");
    cr_expect_eq(hist_percentile(hist, 900000), UINT64_MAX);
    cr_expect_eq(hist_count_to(hist, HIST_VALUE_MAX), 3);
}

Test(hist, added_they_are_one_of_all_values)
{
    static uint64_t values[SHAPES * COUNT];
    AUTO(hist) all = hist_new(7);
    AUTO(hist) backwards = hist_new(7);
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        AUTO(hist) one = hist_of_shape(7, shape, values + (size_t)shape * COUNT);
        hist_add(all, one);
    }
    for (size_t i = SHAPES * COUNT; i-- > 0;) hist_record(backwards, values[i]);
    expect_like_sorted(all, values, SHAPES * COUNT);
    expect_like_sorted(backwards, values, SHAPES * COUNT);
}

Test(hist, subtracting_what_was_before_leaves_what_came_since)
{
    static uint64_t before[COUNT], since[COUNT];
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        AUTO(hist) first = hist_of_shape(6, (shape + 1) % SHAPES, before);
        AUTO(hist) second = hist_of_shape(6, shape, since);
        AUTO(hist) both = hist_copy(first);
        hist_add(both, second);
        cr_assert(hist_subtract(both, first));

        cr_assert_eq(hist_count(both), COUNT);
        cr_assert_eq(hist_sum(both), hist_sum(second));
        hist_bucket_t a = {0}, b = {0};
        while (hist_next(second, &a)) {
            cr_assert(hist_next(both, &b));
            cr_assert(a.low == b.low && a.count == b.count);
        }
        cr_assert(!hist_next(both, &b));
        cr_assert(hist_min(both) <= hist_min(second) && hist_max(both) >= hist_max(second));
        cr_assert(hist_min(second) - hist_min(both) <= hist_min(second) >> 6);
        cr_assert(hist_max(both) - hist_max(second) <= hist_max(second) >> 6);
    }
}

Test(hist, no_later_state_is_subtracted)
{
    AUTO(hist) early = hist_new(5);
    AUTO(hist) late = hist_new(5);
    AUTO(hist) fine = hist_new(6);
    hist_record(early, 10);
    hist_record(late, 10);
    hist_record(late, 20);
    cr_expect(!hist_subtract(early, late));
    cr_expect(!hist_subtract(late, fine), "another precision");
    cr_expect_eq(hist_count(early), 1);
    cr_expect_eq(hist_count(late), 2);
    cr_expect(hist_subtract(late, late), "itself");
    cr_expect_eq(hist_count(late) + hist_sum(late) + hist_min(late) + hist_max(late), 0);
}

static bin_t bin_of(const buf_t *buf) { return (bin_t){buf->at, buf->len}; }

Test(hist, decodes_to_what_was_encoded)
{
    static uint64_t values[COUNT];
    for (unsigned bits = HIST_BITS_MIN; bits <= HIST_BITS_MAX; bits++) {
        for (unsigned shape = 0; shape < SHAPES; shape++) {
            AUTO(hist) hist = hist_of_shape(bits, shape, values);
            AUTO(hist) again = NULL;
            buf_t once = buf_of(hist_bytes_max(bits)), twice = buf_of(hist_bytes_max(bits));
            cr_assert_eq(hist_encode(hist, &once), ERR_OK);
            cr_assert_eq(hist_decode(bin_of(&once), &again), ERR_OK);
            expect_like_sorted(again, values, COUNT);
            cr_assert_eq(hist_encode(again, &twice), ERR_OK);
            cr_assert(once.len == twice.len && !memcmp(once.at, twice.at, once.len));
            buf_clear(&once);
            buf_clear(&twice);
        }
    }
}

Test(hist, the_fullest_one_fits)
{
    AUTO(hist) hist = hist_new(5);
    AUTO(hist) again = NULL;
    for (unsigned power = 0; power < 44; power++) {
        for (uint64_t i = 0; i < 32; i++) {
            uint64_t value = (1ull << power) + (power > 5 ? i << (power - 5) : i % (1ull << power));
            hist_record_times(hist, value, 1ull << 50);
        }
    }
    buf_t bytes = buf_of(hist_bytes_max(5)), few = buf_of(20);
    cr_assert_eq(hist_encode(hist, &bytes), ERR_OK);
    cr_expect_eq(hist_decode(bin_of(&bytes), &again), ERR_OK);
    cr_expect_eq(hist_encode(hist, &few), ERR_WIRE_LIMIT);
    buf_clear(&bytes);
    buf_clear(&few);
}

/* Every prefix, and every single changed bit, is refused or is a histogram that encodes to just these bytes. */
Test(hist, foreign_bytes_are_refused_or_right)
{
    AUTO(hist) hist = hist_new(5);
    for (uint64_t i = 1; i < 1000000; i *= 3) hist_record_times(hist, i, i);
    buf_t bytes = buf_of(hist_bytes_max(5));
    cr_assert_eq(hist_encode(hist, &bytes), ERR_OK);

    for (size_t len = 0; len < bytes.len; len++) {
        hist_t *got = NULL;
        cr_expect_neq(hist_decode((bin_t){bytes.at, len}, &got), ERR_OK, "%zu bytes", len);
        cr_expect_null(got);
    }
    size_t accepted = 0;
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        AUTO(hist) got = NULL;
        if (hist_decode(bin_of(&bytes), &got) == ERR_OK) {
            buf_t again = buf_of(hist_bytes_max(HIST_BITS_MAX));
            cr_assert_eq(hist_encode(got, &again), ERR_OK);
            cr_assert(again.len == bytes.len && !memcmp(again.at, bytes.at, bytes.len), "%zu", bit);
            buf_clear(&again);
            accepted++;
        }
        bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_expect_gt(accepted, 0, "a count may be any number");
    buf_clear(&bytes);
}

Test(hist, hostile_bytes_are_refused)
{
    /* clang-format off */
    static const struct { const char *what; uint8_t bytes[16]; size_t len; err_t err; } rows[] = {
        {"nothing", {0}, 0, ERR_WIRE_TRUNCATED},
        {"version", {2, 5, 0, 0, 0}, 5, ERR_WIRE_TYPE},
        {"no bits", {1, 0, 0, 0, 0}, 5, ERR_WIRE_LIMIT},
        {"bits", {1, 63, 0, 0, 0}, 5, ERR_WIRE_LIMIT},
        {"long zero", {1, 5, 0x80, 0, 0, 0}, 6, ERR_WIRE_TYPE},
        {"endless number", {1, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 12, ERR_WIRE_LIMIT},
        {"sum of nothing", {1, 5, 1, 0, 0}, 5, ERR_WIRE_TYPE},
        {"count 0", {1, 5, 0, 0, 0, 0, 0}, 7, ERR_WIRE_TYPE},
        {"behind the end", {1, 1, 0, 0, 0, 0x7f, 1}, 7, ERR_WIRE_LIMIT},
        {"min in no bucket", {1, 5, 9, 3, 4, 4, 1}, 7, ERR_WIRE_TYPE},
        {"max in no bucket", {1, 5, 9, 4, 5, 4, 1}, 7, ERR_WIRE_TYPE},
        {"min above max", {1, 5, 9, 5, 4, 4, 1, 0, 1}, 9, ERR_WIRE_TYPE},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hist_t *got = NULL;
        cr_expect_eq(hist_decode((bin_t){rows[i].bytes, rows[i].len}, &got), rows[i].err, "%s",
                     rows[i].what);
        cr_expect_null(got);
    }
}

Test(hist, cleared_it_is_as_new)
{
    AUTO(hist) hist = hist_new(5);
    hist_record(hist, 5);
    hist_clear(hist);
    hist_record(hist, 9);
    cr_expect_eq(hist_min(hist), 9);
    cr_expect_eq(hist_max(hist), 9);
    cr_expect_eq(hist_count(hist), 1);
}
