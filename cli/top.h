/* What `vatctl top` shows: two looks at the broker, and the rates between them. No terminal in here. */
#pragma once
#include "cli/stats.h"

typedef struct {
    uint32_t number, host;
    char name[NAME_BYTES_MAX + 1], cluster[NAME_BYTES_MAX + 1], state[NAME_BYTES_MAX + 1];
    uint64_t queue, in_flight, exports, applied, run_us; /* applied, run_us: since it was made */
    uint64_t turns, turns_us;                            /* of these what came between the looks */
} top_vat_t;

typedef struct {
    uint32_t number;
    char name[NAME_BYTES_MAX + 1], state[NAME_BYTES_MAX + 1];
    uint64_t vats;
} top_host_t;

/* One look; or, of top_between(), what came between two. */
typedef struct {
    stats_t stats;
    top_vat_t *vats;
    size_t vat_count;
    top_host_t *hosts;
    size_t host_count;
    uint64_t at_ms; /* since 1970 */
} top_t;

typedef enum { TOP_TURNS, TOP_QUEUE, TOP_RUN, TOP_BUSY, TOP_NAME, TOP_VAT, TOP_SORTS } top_sort_t;

/* "turns", ...; TOP_SORTS when it is none. */
top_sort_t top_sort_named(const char *name);
const char *top_sort_name(top_sort_t sort);

/* Looks. The caller clears RET, whatever is returned. */
CHECKED err_t top_look(link_t *link, top_t *ret, fail_t *f);
void top_clear(top_t *self);

/* What came between the looks EARLIER and LATER; a vat that was not there then has come from nothing. The caller clears
 * RET. False, and RET is empty: the broker was started anew. */
CHECKED bool top_between(const top_t *earlier, const top_t *later, top_t *ret);

/* Seconds between the looks. The functions below are for what top_between() made. */
double top_seconds(const top_t *self);

void top_sort(top_t *self, top_sort_t sort);

enum { TOP_TREND_MAX = 24 };

/* Deliveries a second of the last looks, the newest last. */
typedef struct {
    double at[TOP_TREND_MAX];
    int count;
} top_trend_t;
void top_trend_add(top_trend_t *trend, const top_t *top);

/* Writes it to OUT for people, with at most MOST vats. UTF8: the trend may have blocks. */
void top_show(const top_t *self, const top_trend_t *trend, size_t most, bool utf8, FILE *out);

/* The same as one object, which the caller owns. */
json_t *top_json(const top_t *self, size_t most);
