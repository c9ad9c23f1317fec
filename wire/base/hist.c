/* Where a value belongs: the first two powers' worth of buckets are the values themselves; from then
 * on the top BITS bits below the leading one say which bucket of its power it is in.
 *
 *     value   0 1 ... 2^B-1 | 2^B ... 2^(B+1)-1 | next power, 2 wide | next, 4 wide | ...
 *     bucket  0 1 ... 2^B-1 | 2^B ...           | 2 * 2^B ...        | 3 * 2^B ...  | ...
 *
 * Encoded: version, bits, then as LEB128 numbers sum, min, max, and for each bucket that is not empty the
 * number of empty ones before it and its count. */
#include "wire/base/hist.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/own.h"

enum { VERSION = 1, VALUE_BITS = 44, NUMBER_BYTES_MAX = 10, GAP_BYTES_MAX = 3 };

struct hist {
    unsigned bits;
    uint32_t room;
    uint64_t count, sum, min, max;
    uint64_t buckets[];
};

static uint32_t room_of(unsigned bits) { return (uint32_t)(VALUE_BITS - bits + 1) << bits; }

static uint32_t bucket_of(unsigned bits, uint64_t value)
{
    if (value > HIST_VALUE_MAX) value = HIST_VALUE_MAX;
    if (value < 1ull << bits) return (uint32_t)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - bits;
    return (uint32_t)(((uint64_t)shift << bits) + (value >> shift));
}

static uint64_t low_of(unsigned bits, uint32_t bucket)
{
    if (bucket < 2u << bits) return bucket;
    unsigned shift = (bucket >> bits) - 1;
    return (uint64_t)(bucket - (shift << bits)) << shift;
}

static uint64_t high_of(unsigned bits, uint32_t bucket) { return low_of(bits, bucket + 1) - 1; }

static uint64_t sum_of(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

hist_t *hist_new(unsigned bits)
{
    must(bits >= HIST_BITS_MIN && bits <= HIST_BITS_MAX);
    uint32_t room = room_of(bits);
    hist_t *self = calloc(1, sizeof *self + room * sizeof *self->buckets);
    must(self);
    self->bits = bits;
    self->room = room;
    return self;
}

void hist_destroy(hist_t **self_p)
{
    must(self_p);
    free(*self_p);
    *self_p = NULL;
}

void hist_clear(hist_t *self)
{
    memset(self->buckets, 0, self->room * sizeof *self->buckets);
    self->count = self->sum = self->min = self->max = 0;
}

hist_t *hist_copy(const hist_t *self)
{
    hist_t *copy = hist_new(self->bits);
    memcpy(copy, self, sizeof *self + self->room * sizeof *self->buckets);
    return copy;
}

void hist_record(hist_t *self, uint64_t value) { hist_record_times(self, value, 1); }

void hist_record_times(hist_t *self, uint64_t value, uint64_t times)
{
    if (!times) return;
    uint64_t sum;
    if (__builtin_mul_overflow(value, times, &sum)) sum = UINT64_MAX;

    self->buckets[bucket_of(self->bits, value)] += times;
    if (!self->count || value < self->min) self->min = value;
    if (value > self->max) self->max = value;
    self->count += times;
    self->sum = sum_of(self->sum, sum);
}

uint64_t hist_count(const hist_t *self) { return self->count; }
uint64_t hist_sum(const hist_t *self) { return self->sum; }
uint64_t hist_min(const hist_t *self) { return self->min; }
uint64_t hist_max(const hist_t *self) { return self->max; }
uint64_t hist_mean(const hist_t *self) { return self->count ? self->sum / self->count : 0; }
unsigned hist_bits(const hist_t *self) { return self->bits; }

/* What is reported for a value of BUCKET: its upper end, as far as such a value was seen. */
static uint64_t report(const hist_t *self, uint32_t bucket)
{
    uint64_t high = high_of(self->bits, bucket);
    return high > self->max || bucket == self->room - 1 ? self->max : high;
}

uint64_t hist_percentile(const hist_t *self, uint32_t parts)
{
    must(parts <= HIST_WHOLE);
    if (!self->count) return 0;
    if (!parts) return self->min;

    /* The position of the value in sorted order, from 1, rounded up; 128 bits, or it would overflow. */
    __extension__ typedef unsigned __int128 wide_t;
    uint64_t rank = (uint64_t)(((wide_t)self->count * parts + HIST_WHOLE - 1) / HIST_WHOLE);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < self->room; i++) {
        seen += self->buckets[i];
        if (seen >= rank) return report(self, i);
    }
    return self->max;
}

uint64_t hist_count_to(const hist_t *self, uint64_t value)
{
    uint32_t last = bucket_of(self->bits, value);
    uint64_t seen = 0;
    for (uint32_t i = 0; i <= last; i++) seen += self->buckets[i];
    return seen;
}

void hist_add(hist_t *self, const hist_t *other)
{
    must(self->bits == other->bits);
    if (!other->count) return;
    for (uint32_t i = 0; i < self->room; i++) self->buckets[i] += other->buckets[i];
    if (!self->count || other->min < self->min) self->min = other->min;
    if (other->max > self->max) self->max = other->max;
    self->count += other->count;
    self->sum = sum_of(self->sum, other->sum);
}

/* After a subtraction the smallest and largest value may be among those taken out. */
static void ends_find(hist_t *self)
{
    uint64_t min = self->min, max = self->max;
    hist_bucket_t bucket = {0};
    self->min = self->max = 0;
    for (bool first = true; hist_next(self, &bucket); first = false) {
        if (first) self->min = bucket.low < min ? min : bucket.low;
        self->max = bucket.high > max ? max : bucket.high;
    }
    if (self->count && max > HIST_VALUE_MAX && self->buckets[self->room - 1]) self->max = max;
}

bool hist_subtract(hist_t *self, const hist_t *earlier)
{
    if (self->bits != earlier->bits || self->sum < earlier->sum) return false;
    for (uint32_t i = 0; i < self->room; i++) {
        if (self->buckets[i] < earlier->buckets[i]) return false;
    }
    for (uint32_t i = 0; i < self->room; i++) self->buckets[i] -= earlier->buckets[i];
    self->count -= earlier->count;
    self->sum -= earlier->sum;
    ends_find(self);
    return true;
}

bool hist_next(const hist_t *self, hist_bucket_t *bucket)
{
    for (uint32_t i = bucket->next; i < self->room; i++) {
        if (!self->buckets[i]) continue;
        *bucket = (hist_bucket_t){.low = low_of(self->bits, i),
                                  .high = high_of(self->bits, i),
                                  .count = self->buckets[i],
                                  .next = i + 1};
        return true;
    }
    return false;
}

size_t hist_bytes_max(unsigned bits)
{
    must(bits >= HIST_BITS_MIN && bits <= HIST_BITS_MAX);
    return 2 + 3 * NUMBER_BYTES_MAX + (size_t)room_of(bits) * (GAP_BYTES_MAX + NUMBER_BYTES_MAX);
}

static err_t number_add(buf_t *out, uint64_t number)
{
    uint8_t bytes[NUMBER_BYTES_MAX];
    size_t len = 0;
    do {
        bytes[len] = (uint8_t)(number & 0x7f) | (number > 0x7f ? 0x80 : 0);
        number >>= 7;
        len++;
    } while (number);
    return buf_add(out, bytes, len);
}

err_t hist_encode(const hist_t *self, buf_t *out)
{
    const uint8_t head[2] = {VERSION, (uint8_t)self->bits};
    err_t err = buf_add(out, head, sizeof head);
    if (!err) err = number_add(out, self->sum);
    if (!err) err = number_add(out, self->min);
    if (!err) err = number_add(out, self->max);

    uint32_t after = 0;
    for (hist_bucket_t bucket = {0}; !err && hist_next(self, &bucket); after = bucket.next) {
        err = number_add(out, bucket.next - 1 - after);
        if (!err) err = number_add(out, bucket.count);
    }
    return err;
}

/* Takes one number off the front of BYTES; the only form of it that number_add() writes. */
static err_t number_take(bin_t *bytes, uint64_t *ret)
{
    uint64_t number = 0;
    for (size_t i = 0; i < NUMBER_BYTES_MAX; i++) {
        if (i == bytes->len) return ERR_WIRE_TRUNCATED;
        uint8_t byte = bytes->at[i];
        if (i == NUMBER_BYTES_MAX - 1 && byte > 1) return ERR_WIRE_LIMIT;
        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        if (!byte && i) return ERR_WIRE_TYPE;
        bytes->at += i + 1;
        bytes->len -= i + 1;
        *ret = number;
        return ERR_OK;
    }
    return ERR_WIRE_LIMIT;
}

static err_t buckets_take(hist_t *self, bin_t bytes)
{
    uint64_t at = 0;
    while (bytes.len) {
        uint64_t gap, count;
        err_t err = number_take(&bytes, &gap);
        if (!err) err = number_take(&bytes, &count);
        if (err) return err;
        if (!count) return ERR_WIRE_TYPE;
        if (gap >= self->room - at || __builtin_add_overflow(self->count, count, &self->count))
            return ERR_WIRE_LIMIT;
        self->buckets[at + gap] = count;
        at += gap + 1;
    }
    return ERR_OK;
}

/* H1: the ends are in the first and in the last bucket, and an empty one has none. */
static bool ends_right(const hist_t *self)
{
    if (!self->count) return !self->sum && !self->min && !self->max;
    return self->min <= self->max &&
           hist_count_to(self, self->min) == self->buckets[bucket_of(self->bits, self->min)] &&
           self->buckets[bucket_of(self->bits, self->min)] &&
           self->buckets[bucket_of(self->bits, self->max)] &&
           hist_count_to(self, self->max) == self->count;
}

err_t hist_decode(bin_t bytes, hist_t **ret)
{
    if (bytes.len < 2) return ERR_WIRE_TRUNCATED;
    if (bytes.at[0] != VERSION) return ERR_WIRE_TYPE;
    unsigned bits = bytes.at[1];
    if (bits < HIST_BITS_MIN || bits > HIST_BITS_MAX) return ERR_WIRE_LIMIT;

    AUTO(hist) self = hist_new(bits);
    bin_t rest = {bytes.at + 2, bytes.len - 2};
    err_t err = number_take(&rest, &self->sum);
    if (!err) err = number_take(&rest, &self->min);
    if (!err) err = number_take(&rest, &self->max);
    if (!err) err = buckets_take(self, rest);
    if (err) return err;
    if (!ends_right(self)) return ERR_WIRE_TYPE;
    *ret = TAKE(self);
    return ERR_OK;
}
