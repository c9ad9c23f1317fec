/* The load maker: calls in flight over one link, each with its times.
 *
 *   L1  closed loop: as many as `concurrency` are in flight, the next one is due when one is answered;
 *   L2  open loop: calls are due by the schedule, whatever became of the earlier ones. One that is due while
 *       IN_FLIGHT_MAX are unanswered is dropped and counted; one sent more than LATE_NS behind its time is
 *       late, and counted: then the load maker is the limit, or did not get the processor;
 *   L3  what is due during the warm-up is sent like the rest, and not counted; but a closed loop that ends by
 *       time counts what is answered in that time, whenever it was sent, or a slow one would count nothing;
 *   L4  the end of the time is the end of sending: what is in flight then is waited for, as long as answers come. */
#pragma once
#include "cli/bench/scenario.h"

/* What there is to see while it runs. */
typedef struct {
    bool warming;
    uint64_t at_ns, end_ns; /* since the beginning of the phase; end 0: it ends by count */
    uint64_t done, wanted;  /* calls; 0: it ends by time */
    double rate;            /* units per second of the last interval */
    uint64_t p99_ns, errors;
    uint64_t waiting; /* the time is over; for so many answers */
} moment_t;

typedef void load_moment_t(void *context, const moment_t *moment);

/* Who is told. BEGIN: the warm-up is as good as over (or there is none): what is measured from outside begins; it
 * may ask the broker, answers to the load's own requests are not lost. END: what is measured is over; likewise.
 * EACH: how it goes, once in an interval. */
typedef struct {
    void (*begin)(void *context);
    void (*end)(void *context);
    load_moment_t *each;
    void *context;
} load_hooks_t;

/* Makes the load of OPTIONS on the vats of LANES, whose counts of calls go on, and fills in RESULT but for the
 * checks. A signal ends it early. Fails as link_poll(). */
CHECKED err_t load_make(const options_t *options, link_t *link, lane_t *lanes, size_t lane_count,
                        const load_hooks_t *hooks, result_t *result, fail_t *f);
