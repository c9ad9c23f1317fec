/* What the broker counted and measured (STATS), and the difference of two such answers. */
#pragma once
#include "cli/link.h"
#include "wire/base/hist.h"

enum { STATS_HISTS_MAX = 32 };

typedef struct {
    char name[NAME_BYTES_MAX + 1], key[NAME_BYTES_MAX + 1], of[NAME_BYTES_MAX + 1];
    char unit[NAME_BYTES_MAX + 1]; /* "us", "ms", "bytes"; "": things */
    bool counter;                  /* it only grows, from 0 at the broker's start */
    uint64_t value;
} stat_t;

typedef struct {
    char name[NAME_BYTES_MAX + 1], unit[NAME_BYTES_MAX + 1];
    hist_t *hist;
} stat_hist_t;

typedef struct {
    stat_t *at;
    size_t count;
    stat_hist_t hists[STATS_HISTS_MAX];
    size_t hist_count;
    uint64_t
        took_us; /* between the two answers that this is the difference of; 0: it is all since the start */
} stats_t;

/* Asks the broker; HISTS: for histograms as well. The caller clears RET, whatever is returned. */
CHECKED err_t stats_get(link_t *link, bool hists, unsigned ms, stats_t *ret, fail_t *f);
void stats_clear(stats_t *self);

/* A copy, which the caller clears. */
stats_t stats_copy(const stats_t *self);

/* What came since EARLIER: counters and histograms are what was added, the rest is as it is now. False, and
 * SELF is of no more use, when the broker was started anew in between. */
CHECKED bool stats_since(stats_t *self, const stats_t *earlier);

/* The number called NAME whose OF is that ("": it has none); 0 when there is none. And the sum over all of a
 * name. */
uint64_t stats_value(const stats_t *self, const char *name, const char *of);
uint64_t stats_sum(const stats_t *self, const char *name);

/* NULL: there is none of that name. Borrowed. */
const hist_t *stats_hist(const stats_t *self, const char *name);
