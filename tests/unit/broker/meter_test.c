/* The meter alone. Time is real: what is measured is compared with what the test slept, from below, and
 * what must be nothing with what the test took altogether. */
#include <criterion/criterion.h>
#include <time.h>

#include "broker/meter.h"

static meter_t *meter;

static void set_up(void) { meter = meter_new(); }
static void tear_down(void) { meter_destroy(&meter); }
TestSuite(meter, .init = set_up, .fini = tear_down, .timeout = 10);

static void pass_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void result(uint32_t vat, uint64_t d, uint64_t run_us)
{
    meter_result(meter, 1, &(msg_result_t){.vat = {vat}, .d = d, .run_us = run_us});
}

static uint64_t max(meter_hist_t which) { return hist_max(meter_hist(meter, which)); }
static uint64_t count(meter_hist_t which) { return hist_count(meter_hist(meter, which)); }

Test(meter, the_parts_of_a_delivery_add_up)
{
    uint64_t began_us = meter_now_us();
    pass_ms(4);
    uint64_t left_us = meter_now_us();
    meter_left(meter, 1, (vat_t){7}, 3, began_us);
    pass_ms(8);
    result(7, 3, 5000);
    uint64_t took_us = meter_now_us() - left_us;

    cr_expect_eq(count(METER_HOLD), 1);
    cr_expect_geq(max(METER_HOLD), 4000);
    cr_expect_eq(max(METER_RUN), 5000);
    cr_expect_geq(max(METER_WIRE), 3000 - 1);
    cr_expect_leq(max(METER_WIRE) + 5000, took_us + 1);
    cr_expect_eq(max(METER_BACKLOG), 0, "nothing of its vat was before it");
}

/* What waits at the worker behind another delivery of its vat is not the wire's fault. */
Test(meter, a_full_window_is_backlog_and_not_wire)
{
    meter_left(meter, 1, (vat_t){7}, 1, meter_now_us());
    meter_left(meter, 1, (vat_t){7}, 2, meter_now_us());
    meter_left(meter, 1, (vat_t){8}, 2, meter_now_us());
    pass_ms(20);
    uint64_t began_us = meter_now_us();
    result(7, 1, 20000);
    result(7, 2, 0);
    uint64_t took_us = meter_now_us() - began_us;
    cr_expect_eq(count(METER_WIRE), 2);
    cr_expect_geq(max(METER_BACKLOG), 20000);
    cr_expect_leq(hist_min(meter_hist(meter, METER_WIRE)), took_us + 1);
    result(8, 2, 0);
    cr_expect_geq(max(METER_WIRE), 20000, "another vat's worker was not busy with it");
}

Test(meter, what_is_said_twice_or_was_never_sent_is_no_measurement)
{
    meter_left(meter, 1, (vat_t){7}, 1, 0);
    cr_expect_eq(count(METER_HOLD), 0, "it was sent again, nobody knows since when it was wanted");
    result(7, 1, 10);
    result(7, 1, 10);
    result(7, 2, 10);
    result(9, 1, 10);
    cr_expect_eq(count(METER_RUN), 1);
    cr_expect_eq(meter_sums(meter)->results_ok, 4, "they are counted all the same");
    meter_result(meter, 1, &(msg_result_t){.vat = {7}, .d = 5, .outcome = 1});
    cr_expect_eq(meter_sums(meter)->results_failed, 1);
}

/* More is under way than there are places: nothing is measured wrongly, some not at all. */
Test(meter, a_flood_of_vats_takes_no_more_memory_and_invents_nothing)
{
    enum { VATS = 5000 };
    uint64_t began_us = meter_now_us();
    for (uint32_t vat = 1; vat <= VATS; vat++) meter_left(meter, 1, (vat_t){vat}, 1, began_us);
    for (uint32_t vat = 1; vat <= VATS; vat++) result(vat, 1, 1);
    uint64_t took_us = meter_now_us() - began_us;
    cr_expect_eq(count(METER_WIRE), 1024, "the last ones that left");
    cr_expect_leq(max(METER_WIRE), took_us + 1);
    cr_expect_leq(max(METER_BACKLOG), took_us + 1);
}

Test(meter, frames_are_counted_by_door_and_host)
{
    meter_in(meter, DOOR_HOSTS, 2, 100);
    meter_in(meter, DOOR_HOSTS, 0, 10);
    meter_out(meter, DOOR_HOSTS, 2, 50);
    meter_out(meter, DOOR_CLIENTS, 3, 7);
    const meter_sums_t *sums = meter_sums(meter);
    cr_expect_eq(sums->doors[DOOR_HOSTS].frames_in, 2);
    cr_expect_eq(sums->doors[DOOR_HOSTS].bytes_in, 110);
    cr_expect_eq(sums->doors[DOOR_CLIENTS].bytes_out, 7);
    cr_expect_eq(meter_host(meter, 2)->bytes_in, 100);
    cr_expect_eq(meter_host(meter, 2)->frames_out, 1);
    cr_expect_null(meter_host(meter, 3), "a client is no host");
    cr_expect_null(meter_host(meter, UINT32_MAX));
    meter_in(meter, DOOR_HOSTS, UINT32_MAX, 1); /* a number that is too large has no place */
    cr_expect_null(meter_host(meter, UINT32_MAX));
    cr_expect_leq(meter_hosts(meter), 16);
}

Test(meter, commits_have_their_rows)
{
    uint64_t began_us = meter_now_us();
    pass_ms(2);
    meter_commit(meter, 30, 4000, began_us);
    cr_expect_eq(meter_sums(meter)->commits, 1);
    cr_expect_eq(meter_sums(meter)->rows, 30);
    cr_expect_eq(meter_sums(meter)->row_bytes, 4000);
    cr_expect_geq(max(METER_COMMIT), 2000);
    meter_waits(meter, (const uint64_t[]){5, 9}, 2);
    cr_expect_eq(hist_sum(meter_hist(meter, METER_QUEUE)), 14);
}
