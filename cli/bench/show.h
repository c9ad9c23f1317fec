/* The result of a bench, for people and for programs. */
#pragma once
#include "cli/bench/scenario.h"

/* "12.3 ms", "980 us" */
enum { TIME_TEXT_MAX = 32 };
char *time_text(uint64_t ns, char ret[TIME_TEXT_MAX]);
/* NS, a figure of HIST, as text: "-" when there is nothing in it, which no time says. */
char *show_time(const hist_t *hist, uint64_t ns, char ret[TIME_TEXT_MAX]);
/* So many a second: "29,363", but "0.4" and "20.5" where an integer would say something else. */
char *show_rate(double per_second, char ret[GROUPED_MAX]);

typedef struct {
    const char *name, *key; /* "p99.9", "p999_us" */
    uint32_t parts;
} show_percentile_t;
extern const show_percentile_t show_percentiles[]; /* the last one has no name */

/* Where the time of a delivery goes: the broker's histograms, in the order of a delivery's life. */
typedef struct {
    const char *name;
    bool part; /* of the whole; else it is within another one */
    const char *about;
} show_hop_t;
extern const show_hop_t show_hops[]; /* the last one has no name */

/* The share of the hop at place I in all time of all deliveries. */
double show_share(const result_t *result, size_t i);
/* The share of one core that the load maker's thread had. */
double show_bench_cpu(const result_t *result);

/* In how many of a hundred intervals p99 was more than twice the median of all; 0 of too few to say. */
enum { NOISE_INTERVALS_MIN = 10 };
unsigned show_noise(const result_t *result);

/* What was run, without an end of line. */
void show_head(const options_t *options, FILE *out);
void show_table(const options_t *options, const result_t *result, FILE *out);
/* One line. */
void show_line(const options_t *options, const result_t *result, FILE *out);
/* The caller owns it. */
json_t *show_json(const options_t *options, const result_t *result);
/* One row for each interval, and a head. */
void show_csv(const result_t *result, FILE *out);
