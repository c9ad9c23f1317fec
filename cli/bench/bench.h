/* What the parts of `vatctl bench` share: what was asked for, and what came out.
 *
 * vatctl is the load maker: a client that keeps CALLs in flight and reads its own clock, since vats do
 * not know the time. cmd_bench.c reads the flags and goes through the phases; stage.c has the broker and the
 * bench's own cluster on it; scenario.c knows what a call says and what must be true at the end; load.c
 * makes the calls; print.c and the others show the result.
 *
 *   B1  a latency begins when the call was due, not when it was sent;
 *   B2  what went wrong is counted and shown, never left out: dropped, late, errors;
 *   B3  a run whose messages were lost, doubled or out of order has failed, however fast it was. */
#pragma once
#include "cli/bench/machine.h"
#include "cli/bench/schedule.h"
#include "cli/cli.h"
#include "cli/link.h"
#include "cli/stats.h"
#include "wire/base/hist.h"

enum {
    BENCH_BITS = 10, /* of the result's histograms, in nanoseconds */
    IN_FLIGHT_MAX = 100 * 1000,
    LATE_NS = 1000 * 1000, /* sent so much behind its time, the load maker was late */
};

typedef enum {
    SCENARIO_PING,
    SCENARIO_SEND,
    SCENARIO_PIPELINE,
    SCENARIO_FANOUT,
    SCENARIO_CHURN,
    SCENARIO_PAYLOAD,
    SCENARIO_START
} scenario_id_t;

typedef struct {
    scenario_id_t id;
    const char *name, *unit; /* what is counted: "round trips" */
    const char *about;       /* one line */
} scenario_t;

typedef struct {
    const scenario_t *scenario;
    bool null_engine;
    bool direct; /* the load maker calls the targets itself; else drivers do */
    bool steps;  /* pipeline: wait for each result */
    bool serial;
    uint64_t hosts; /* 0: on the instance that runs */
    uint64_t pairs, vats, depth, payload, objects, rounds, window;
    double rate; /* units per second; 0: closed loop */
    arrival_t arrival;
    uint64_t seed, concurrency;
    uint64_t warmup_ns, duration_ns, interval_ns; /* duration 0: until `count` */
    uint64_t count;                               /* calls; 0: until the time is over */
    uint64_t patience_ns;                         /* for the next answer at the end */
} options_t;

/* One line of the time series. */
typedef struct {
    uint64_t from_ns, to_ns; /* since the beginning of what is measured */
    uint64_t sent, answered, units, errors, dropped, late, in_flight;
    uint64_t p50_ns, p99_ns, max_ns;
} interval_t;

typedef struct {
    const char *what;
    bool met;
    char detail[160];
} check_t;

enum { CHECKS_MAX = 8 };

/* What became of an assertion. */
typedef struct {
    const char *text;
    bool met, is_time;
    double is, bound; /* nanoseconds of a time */
} verdict_t;

typedef struct {
    hist_t *response, *service; /* ns; from the time it was due, from the time it was sent */
    /* Calls, those of the warm-up left out but for the last two. */
    uint64_t sent, answered, errors, dropped, late, other_errors, unanswered;
    uint64_t units;              /* that the answered ones made */
    uint64_t elapsed_ns;         /* from the first to the last of it */
    uint64_t own_cpu_ns, own_ns; /* what the load maker's thread used, and how long that was */
    char first_error[200];
    bool stopped; /* by a signal */
    interval_t *intervals;
    size_t interval_count;
    check_t checks[CHECKS_MAX];
    size_t check_count;
    verdict_t *verdicts;
    size_t verdict_count;
    uint64_t before_objects, before_promises, after_objects, after_promises;

    /* From outside, while it was measured: what the broker counted, and what the processes used. */
    bool has_stats;
    stats_t stats;
    uint64_t watched_ns, broker_cpu_ns, broker_rss_bytes;
    bool has_hosts; /* vathosts and their workers; known when they are ours */
    uint64_t hosts_cpu_ns, hosts_rss_bytes;
    machine_t before, after;
} result_t;

/* A clock that never goes back. */
uint64_t now_ns(void);

void result_clear(result_t *self);
/* Adds a line to what was checked at the end. */
void result_check(result_t *self, const char *what, bool met, const char *format, ...)
    LIKE_PRINTF(4);
/* Whether all that was checked is as it must be; and whether all that was asserted is true. */
bool result_good(const result_t *self);
bool result_met(const result_t *self);

/* Units per second. */
double result_rate(const result_t *self);

/* 12345678 -> "12,345,678" */
enum { GROUPED_MAX = 32 };
char *grouped(uint64_t number, char ret[GROUPED_MAX]);
