#include "cli/bench/schedule.h"

#include <math.h>

#include "wire/base/must.h"

schedule_t schedule_of(arrival_t arrival, double per_second, uint64_t seed)
{
    must(per_second > 0);
    return (schedule_t){.arrival = arrival, .gap_ns = 1e9 / per_second, .random = seed};
}

/* splitmix64 (Steele, Lea, Flood); any seed will do, 0 too. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t schedule_next(schedule_t *self)
{
    self->count++;
    /* Counted, not added up: a gap that is no whole number does not become a drift. */
    if (self->arrival == ARRIVAL_UNIFORM) return (uint64_t)((double)self->count * self->gap_ns);

    /* In (0, 1]: the logarithm of 0 is no time. */
    double u = ((double)(draw(&self->random) >> 11) + 1) * 0x1p-53;
    self->at_ns -= log(u) * self->gap_ns;
    return (uint64_t)self->at_ns;
}
