/* A histogram of durations, or of any numbers: exact counts in buckets whose width grows with the value.
 *
 * Every power of two is divided into 2^BITS buckets of equal width, so a value is known to one part
 * in 2^BITS whatever its size, in a fixed amount of memory, and two histograms of the same precision
 * can be added or subtracted without losing anything. Values below 2^BITS are exact.
 *
 *     bits   error of a value   memory
 *        5   3.2 %               10 KiB     many of them: one per kind of work in the broker
 *        7   0.8 %               38 KiB
 *       10   0.1 %              280 KiB     one of them: the load test's result
 *
 * The unit is the caller's, the same for all values; microseconds or nanoseconds are meant. Values
 * above HIST_VALUE_MAX (4.8 hours of nanoseconds) are counted there; hist_max() is exact all the same.
 *
 *   H1  count is the sum of the buckets, min and max are values that were recorded;
 *   H2  a percentile is never below the exact one, and above it by at most one part in 2^BITS;
 *   H3  add(a, b) is the histogram of both lots of values, whatever the order.
 *
 * No clock, no floats, no locks: one thread, or one histogram for each and hist_add() afterwards.
 * Source: Gil Tene's HdrHistogram (hdrhistogram.org), with powers of two instead of decimal digits. */
#pragma once
#include <stdbool.h>

#include "wire/base/buf.h"
#include "wire/base/bytes.h"

#define HIST_VALUE_MAX ((1ull << 44) - 1)

enum {
    HIST_BITS_MIN = 1,
    HIST_BITS_MAX = 10,

    /* Parts per million, what percentiles are given in: p50 is 500000, p99.99 is 999900. */
    HIST_WHOLE = 1000000,
};

typedef struct hist hist_t;

/* Makes an empty histogram with BITS (HIST_BITS_MIN to HIST_BITS_MAX) of precision. The caller owns it. */
hist_t *hist_new(unsigned bits);
void hist_destroy(hist_t **self_p);

/* As it was when it was new. */
void hist_clear(hist_t *self);

/* Counts VALUE once, or TIMES times (0 is nothing). A handful of instructions: no branch on the
 * value's size but one, no division. */
void hist_record(hist_t *self, uint64_t value);
void hist_record_times(hist_t *self, uint64_t value, uint64_t times);

/* How many values there are, and what they are together (the sum stays at 2^64 - 1 once it gets there). */
uint64_t hist_count(const hist_t *self);
uint64_t hist_sum(const hist_t *self);

/* The smallest and the largest value, and the mean rounded down. 0 of an empty histogram. */
uint64_t hist_min(const hist_t *self);
uint64_t hist_max(const hist_t *self);
uint64_t hist_mean(const hist_t *self);

/* The value that PARTS of HIST_WHOLE of the values do not exceed (H2): the upper end of its bucket, but
 * never more than hist_max(). 0 of HIST_WHOLE is hist_min(), all of it hist_max(). 0 of an empty histogram. */
uint64_t hist_percentile(const hist_t *self, uint32_t parts);

/* How many values are not above VALUE; the bucket VALUE is in counts as a whole. */
uint64_t hist_count_to(const hist_t *self, uint64_t value);

/* Adds the values of OTHER, which has the same precision. */
void hist_add(hist_t *self, const hist_t *other);

/* Takes the values of EARLIER out: what SELF has counted since EARLIER was a copy of it. False, and nothing
 * is changed, when EARLIER has counted something that SELF has not (it is no earlier state of it) or has another
 * precision. min and max are those of the buckets then, as far as they are not known. */
CHECKED bool hist_subtract(hist_t *self, const hist_t *earlier);

/* A copy; the caller owns it. */
hist_t *hist_copy(const hist_t *self);

typedef struct {
    uint64_t low, high; /* the values that fall in it, both included */
    uint64_t count;     /* never 0 when hist_next() gave it */
    uint32_t next;      /* where to go on; 0 to begin */
} hist_bucket_t;

/* The next bucket with something in it, in ascending order. Begin with all zeros; false behind the last one. */
bool hist_next(const hist_t *self, hist_bucket_t *bucket);

unsigned hist_bits(const hist_t *self);

/* Appends the histogram to OUT: some bytes for each bucket that has something in it, never more than
 * hist_bytes_max(). The same values give the same bytes. Fails with WIRE_LIMIT when OUT is full. */
CHECKED err_t hist_encode(const hist_t *self, buf_t *out);
size_t hist_bytes_max(unsigned bits);

/* Reads what hist_encode() wrote, all of BYTES, from whomever they come: what hist_encode() would not have
 * written is refused. Sets RET, which the caller owns, only on success. Fails with WIRE_TRUNCATED, WIRE_LIMIT,
 * WIRE_TYPE. */
CHECKED err_t hist_decode(bin_t bytes, hist_t **ret);
