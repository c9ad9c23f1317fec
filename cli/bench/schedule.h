/* When the calls of an open loop are due: a time-table that no answer can delay.
 *
 *   S1  the n-th time is at the rate asked for, however late the ones before were served;
 *   S2  the same seed gives the same times.
 *
 * Pure: no clock. Times are nanoseconds since the beginning of the run. */
#pragma once
#include <stdint.h>

typedef enum {
    ARRIVAL_POISSON, /* gaps of every length, as strangers make them: they come in bunches, too */
    ARRIVAL_UNIFORM  /* one every so often */
} arrival_t;

typedef struct {
    arrival_t arrival;
    double gap_ns; /* the mean */
    uint64_t random, count;
    double at_ns;
} schedule_t;

/* PER_SECOND is above 0. */
schedule_t schedule_of(arrival_t arrival, double per_second, uint64_t seed);

/* The next time; never before the last one. */
uint64_t schedule_next(schedule_t *self);
