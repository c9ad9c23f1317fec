/* What must be true of a bench's result: `--assert 'p99<10ms'`.
 *
 *     assertion = metric ("<" | "<=" | ">" | ">=" | "==" | "!=") bound
 *     metric    = ["service."] time | "rate" | "sent" | "answered" | "dropped" | "late" | "errors" | "unanswered"
 *     time      = "p" number | "mean" | "min" | "max"          p99, p99.9: any percentile
 *     bound     = number unit                                  us ms s m for a time, else none or k M
 *               | [number "*"] "target"                        of a rate: what --rate asked for
 *
 * Blanks are allowed between the parts. A time is the response time of an open loop, and that of a call of a closed one. */
#pragma once
#include "cli/bench/bench.h"

typedef enum { LESS, LESS_EQUAL, MORE, MORE_EQUAL, EQUAL, NOT_EQUAL } compare_t;

typedef enum {
    METRIC_PERCENTILE,
    METRIC_MEAN,
    METRIC_MIN,
    METRIC_MAX,
    METRIC_RATE,
    METRIC_SENT,
    METRIC_ANSWERED,
    METRIC_DROPPED,
    METRIC_LATE,
    METRIC_ERRORS,
    METRIC_UNANSWERED
} metric_t;

typedef struct {
    const char *text; /* as it was written; borrowed */
    metric_t metric;
    bool service;   /* of a time */
    uint32_t parts; /* of METRIC_PERCENTILE, of HIST_WHOLE */
    compare_t compare;
    bool of_target; /* the bound is a factor of the target */
    double bound;   /* nanoseconds of a time */
} assert_t;

/* Reads TEXT. Fails with BENCH_ASSERT and the place in TEXT. */
CHECKED err_t assert_read(const char *text, assert_t *ret, fail_t *f);

/* Whether it is true; RET_IS and RET_BOUND are what was compared. False of a time when nothing was answered. */
bool assert_met(const assert_t *self, const options_t *options, const result_t *result,
                double *ret_is, double *ret_bound);

/* Whether it is about a time, whose numbers are nanoseconds. */
bool assert_is_time(const assert_t *self);
