/* The time-table of the open loop: rate, order, repeatability, and the shape of the gaps. */
#include <criterion/criterion.h>
#include <math.h>

#include "cli/bench/schedule.h"

enum { COUNT = 200000 };

Test(schedule, uniform_times_do_not_drift)
{
    schedule_t even = schedule_of(ARRIVAL_UNIFORM, 3, 1); /* a gap that is no whole number */
    for (uint64_t i = 1; i <= 3000000; i++) {
        uint64_t at = schedule_next(&even);
        if (i % 3 == 0) cr_assert_leq(llabs((long long)(at - i / 3 * 1000000000)), 1, "%lu", i);
    }
}

Test(schedule, poisson_gaps_have_mean_and_spread_of_an_exponential)
{
    schedule_t poisson = schedule_of(ARRIVAL_POISSON, 1000, 42);
    double sum = 0, squares = 0;
    uint64_t last = 0, longer = 0;

    for (int i = 0; i < COUNT; i++) {
        uint64_t at = schedule_next(&poisson);
        cr_assert_geq(at, last);
        double gap = (double)(at - last) / 1e6; /* in means */
        sum += gap;
        squares += gap * gap;
        longer += gap > 3;
        last = at;
    }
    double mean = sum / COUNT, deviation = sqrt(squares / COUNT - mean * mean);
    cr_expect_float_eq(mean, 1, 0.01);
    cr_expect_float_eq(deviation, 1, 0.02);
    cr_expect_float_eq((double)longer / COUNT, exp(-3), 0.003);
}

Test(schedule, a_seed_gives_the_same_times_another_seed_others)
{
    schedule_t a = schedule_of(ARRIVAL_POISSON, 100, 7), b = schedule_of(ARRIVAL_POISSON, 100, 7);
    schedule_t c = schedule_of(ARRIVAL_POISSON, 100, 8);
    int same = 0;

    for (int i = 0; i < 1000; i++) {
        uint64_t at = schedule_next(&a);
        cr_assert_eq(at, schedule_next(&b));
        same += at == schedule_next(&c);
    }
    cr_expect_lt(same, 5);
}

Test(schedule, a_rate_below_one_a_second_is_a_rate)
{
    schedule_t slow = schedule_of(ARRIVAL_UNIFORM, 0.5, 0);
    cr_expect_eq(schedule_next(&slow), 2000000000u);
    cr_expect_eq(schedule_next(&slow), 4000000000u);
}
