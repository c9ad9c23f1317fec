/* Figures without a broker: their difference, their text for Prometheus, and what top makes of two looks. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/metrics.h"
#include "cli/top.h"

static stat_t stats_at[16];
static stats_t stats;

static void set_up(void) { stats = (stats_t){.at = stats_at}; }

static void tear_down(void)
{
    for (size_t i = 0; i < stats.hist_count; i++) hist_destroy(&stats.hists[i].hist);
}

TestSuite(metrics, .init = set_up, .fini = tear_down, .timeout = 10);

static void add(const char *name, const char *key, const char *of, const char *unit, bool counter,
                uint64_t value)
{
    stat_t *stat = &stats_at[stats.count++];
    *stat = (stat_t){.counter = counter, .value = value};
    strcpy(stat->name, name);
    strcpy(stat->key, key);
    strcpy(stat->of, of);
    strcpy(stat->unit, unit);
}

static hist_t *add_hist(const char *name)
{
    stat_hist_t *row = &stats.hists[stats.hist_count++];
    strcpy(row->name, name);
    strcpy(row->unit, "us");
    row->hist = hist_new(5);
    return row->hist;
}

static char *text(void)
{
    buf_t out = buf_of(1 << 20);
    cr_assert_eq(metrics_add(&stats, &out), ERR_OK);
    char *copy = strndup((const char *)out.at, out.len);
    buf_clear(&out);
    return copy;
}

static void expect_line(const char *all, const char *line)
{
    const char *at = strstr(all, line);
    while (at && at != all && at[-1] != '\n') at = strstr(at + 1, line);
    cr_expect(at && at[strlen(line)] == '\n', "no line %s in\n%s", line, all);
}

Test(metrics, units_are_base_units_and_families_stand_together)
{
    add("deliveries", "kind", "message", "", true, 7);
    add("wal", "", "", "bytes", false, 4096);
    add("deliveries", "kind", "notify", "", true, 2);
    add("process_cpu", "mode", "user", "us", true, 1500000);
    add("process_cpu", "mode", "system", "us", true, 2);
    add("process_start_time", "", "", "ms", false, 1700000000123);
    char *all = text();
    cr_expect(strstr(all, "vatyard_deliveries_total{kind=\"message\"} 7\n"
                          "vatyard_deliveries_total{kind=\"notify\"} 2\n"));
    expect_line(all, "vatyard_wal_bytes 4096");
    expect_line(all, "process_start_time_seconds 1700000000.123");
    expect_line(all, "process_cpu_seconds_total 1.500002");
    expect_line(all, "# TYPE vatyard_wal_bytes gauge");
    free(all);
}

/* A newer broker may count what this program has never heard of. */
Test(metrics, what_is_not_known_has_a_name_all_the_same)
{
    add("new-thing", "kind", "a\"b\\c\nd", "bytes", true, 1);
    add("newer", "", "", "us", false, 1000000);
    char *all = text();
    expect_line(all, "vatyard_new_thing_bytes_total{kind=\"a\\\"b\\\\c\\nd\"} 1");
    expect_line(all, "vatyard_newer_seconds 1.000000");
    free(all);
}

Test(metrics, buckets_are_cumulative)
{
    hist_t *hist = add_hist("commit");
    hist_record(hist, 40);
    hist_record(hist, 700);
    hist_record_times(hist, 60 * 1000000, 2);
    char *all = text();
    expect_line(all, "vatyard_commit_seconds_bucket{le=\"5e-05\"} 1");
    expect_line(all, "vatyard_commit_seconds_bucket{le=\"0.0005\"} 1");
    expect_line(all, "vatyard_commit_seconds_bucket{le=\"0.001\"} 2");
    expect_line(all, "vatyard_commit_seconds_bucket{le=\"10\"} 2");
    expect_line(all, "vatyard_commit_seconds_bucket{le=\"+Inf\"} 4");
    expect_line(all, "vatyard_commit_seconds_count 4");
    expect_line(all, "vatyard_commit_seconds_sum 120.000740");
    free(all);
}

Test(metrics, a_text_that_is_too_long_is_an_error)
{
    add("wal", "", "", "bytes", false, 4096);
    buf_t out = buf_of(20);
    cr_expect_eq(metrics_add(&stats, &out), ERR_WIRE_LIMIT);
    buf_clear(&out);
}

Test(metrics, a_difference_is_of_counters_only_and_of_one_broker)
{
    add("process_start_time", "", "", "ms", false, 5);
    add("clock", "", "", "us", false, 1000);
    add("commits", "", "", "", true, 10);
    add("objects", "", "", "", false, 10);
    hist_record(add_hist("commit"), 5);
    stats_t later = stats_copy(&stats);
    later.at[1].value = 3000;
    later.at[2].value = 17;
    later.at[3].value = 8;
    hist_record(later.hists[0].hist, 9);
    cr_assert(stats_since(&later, &stats));
    cr_expect_eq(stats_value(&later, "commits", ""), 7);
    cr_expect_eq(stats_value(&later, "objects", ""), 8);
    cr_expect_eq(later.took_us, 2000);
    cr_expect_eq(hist_count(stats_hist(&later, "commit")), 1);
    cr_expect_eq(hist_max(stats_hist(&later, "commit")), 9);
    stats_clear(&later);

    stats_t other = stats_copy(&stats);
    other.at[0].value = 6;
    cr_expect(!stats_since(&other, &stats), "another process began anew");
    stats_clear(&other);
}

/* ---- top ---- */

static top_t look_at(top_vat_t *vats, size_t count, uint64_t clock_us)
{
    stats.count = 0;
    add("process_start_time", "", "", "ms", false, 5);
    add("clock", "", "", "us", false, clock_us);
    return (top_t){.stats = stats_copy(&stats), .vats = vats, .vat_count = count};
}

Test(metrics, top_counts_what_came_between_two_looks)
{
    top_vat_t before[] = {{.number = 1, .applied = 10, .run_us = 100},
                          {.number = 3, .applied = 5, .run_us = 50}};
    top_vat_t after[] = {{.number = 1, .applied = 14, .run_us = 500},
                         {.number = 2, .applied = 9, .run_us = 90},
                         {.number = 3, .applied = 5, .run_us = 50, .queue = 7}};
    top_t first = look_at(before, 2, 1000), second = look_at(after, 3, 2001000), between;
    cr_assert(top_between(&first, &second, &between));
    cr_expect_float_eq(top_seconds(&between), 2.0, 1e-9);
    cr_expect_eq(between.vats[0].turns, 4);
    cr_expect_eq(between.vats[0].turns_us, 400);
    cr_expect_eq(between.vats[1].turns, 9, "it has come from nothing");
    cr_expect_eq(between.vats[2].turns, 0);
    cr_expect_eq(second.vats[0].turns, 0, "a look stays what it was");

    static const uint32_t first_by[TOP_SORTS] = {2, 3, 1, 1, 1, 1};
    for (unsigned sort = 0; sort < TOP_SORTS; sort++) {
        cr_expect_eq(top_sort_named(top_sort_name(sort)), sort);
        top_sort(&between, sort);
        cr_expect_eq(between.vats[0].number, first_by[sort], "%s", top_sort_name(sort));
    }
    json_t *json = top_json(&between, 2);
    cr_expect_eq(json_array_size(json_object_get(json, "vats")), 2);
    json_decref(json);
    top_clear(&between);
    stats_clear(&first.stats);
    stats_clear(&second.stats);
}
