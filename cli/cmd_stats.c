/* stats: what the broker counted and measured, since it started or for a while. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli/bench/show.h"
#include "cli/client.h"
#include "cli/stats.h"
#include "cli/table.h"
#include "wire/base/own.h"

/* clang-format off */
static const struct { const char *head, *key; uint32_t parts; } columns[] = {
    {"P50", "p50", 500000}, {"P90", "p90", 900000}, {"P99", "p99", 990000},
    {"P99.9", "p999", 999000},
};
/* clang-format on */
enum { COLUMNS = sizeof columns / sizeof *columns };

/* Seconds that the counters are of. */
static double seconds_of(const stats_t *stats)
{
    uint64_t since_ms = stats_value(stats, "process_start_time", "");
    struct timespec now;
    if (stats->took_us) return (double)stats->took_us / 1e6;
    clock_gettime(CLOCK_REALTIME, &now);
    double ms = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6 - (double)since_ms;
    return ms > 1 ? ms / 1e3 : 0.001;
}

/* ---- for people ---- */

static void print_numbers(const stats_t *stats, bool counters)
{
    table_t table = table_of(counters ? "COUNTED OF SUM PER-SECOND UNIT" : "NOW OF NUMBER UNIT");
    double seconds = seconds_of(stats);
    for (size_t i = 0; i < stats->count; i++) {
        const stat_t *stat = &stats->at[i];
        if (stat->counter != counters || (!stat->value && *stat->of)) continue;
        if (strcmp(stat->name, "clock") == 0) continue; /* for differences only */
        table_add(&table, "%s", stat->name);
        table_add(&table, "%s", *stat->of ? stat->of : "-");
        table_add(&table, "%" PRIu64, stat->value);
        if (counters) table_add(&table, "%.*f", 1, (double)stat->value / seconds);
        table_add(&table, "%s", *stat->unit ? stat->unit : "-");
    }
    table_print(&table, stdout);
    table_clear(&table);
}

static void print_hists(const stats_t *stats)
{
    char text[TIME_TEXT_MAX];
    table_t table = table_of("TIME COUNT MEAN P50 P90 P99 P99.9 MAX");
    for (size_t i = 0; i < stats->hist_count; i++) {
        const hist_t *hist = stats->hists[i].hist;
        table_add(&table, "%s", stats->hists[i].name);
        table_add(&table, "%" PRIu64, hist_count(hist));
        table_add(&table, "%s", time_text(hist_mean(hist) * 1000, text));
        for (int k = 0; k < COLUMNS; k++)
            table_add(&table, "%s",
                      time_text(hist_percentile(hist, columns[k].parts) * 1000, text));
        table_add(&table, "%s", time_text(hist_max(hist) * 1000, text));
    }
    table_print(&table, stdout);
    table_clear(&table);
}

/* ---- for programs ---- */

static json_t *hist_json(const stat_hist_t *row)
{
    json_t *json = json_pack("{s:s, s:s}", "name", row->name, "unit", row->unit);
    char key[NAME_BYTES_MAX + 16];
    json_object_set_new(json, "count", json_number(hist_count(row->hist)));
    snprintf(key, sizeof key, "sum_%s", row->unit);
    json_object_set_new(json, key, json_number(hist_sum(row->hist)));
    for (int k = 0; k < COLUMNS; k++) {
        snprintf(key, sizeof key, "%s_%s", columns[k].key, row->unit);
        json_object_set_new(json, key, json_number(hist_percentile(row->hist, columns[k].parts)));
    }
    snprintf(key, sizeof key, "max_%s", row->unit);
    json_object_set_new(json, key, json_number(hist_max(row->hist)));
    return json;
}

static json_t *stats_json(const stats_t *stats)
{
    json_t *numbers = json_array(), *hists = json_array();
    for (size_t i = 0; i < stats->count; i++) {
        const stat_t *stat = &stats->at[i];
        json_t *row =
            json_pack("{s:s, s:b, s:s, s:o}", "name", stat->name, "counter", stat->counter, "unit",
                      stat->unit, "value", json_number(stat->value));
        if (*stat->key) json_object_set_new(row, stat->key, json_string(stat->of));
        json_array_append_new(numbers, row);
    }
    for (size_t i = 0; i < stats->hist_count; i++)
        json_array_append_new(hists, hist_json(&stats->hists[i]));
    return json_pack("{s:o, s:o, s:o}", "seconds", json_real(seconds_of(stats)), "stats", numbers,
                     "times", hists);
}

/* ---- */

/* What came while MS passed. A signal ends the waiting: then it is what came until then. */
static err_t wait_and_compare(cli_t *cli, link_t *link, uint64_t ms, stats_t *stats)
{
    stats_t earlier = *stats;
    struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
    err_t err = stats_get(link, true, ANSWER_MS, stats, &cli->f);
    if (!err && !stats_since(stats, &earlier))
        err = fail(&cli->f, ERR_NO_BROKER, "the broker was started anew meanwhile");
    stats_clear(&earlier);
    return err;
}

err_t cmd_stats(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;

    stats_t stats;
    uint64_t ms = args_ms(&cli->args, "interval", 0);
    err_t err = stats_get(link, true, ANSWER_MS, &stats, &cli->f);
    if (!err && ms) err = wait_and_compare(cli, link, ms, &stats);
    if (!err && cli->json) {
        out_json(stats_json(&stats));
    } else if (!err) {
        print_numbers(&stats, true);
        putchar('\n');
        print_numbers(&stats, false);
        putchar('\n');
        print_hists(&stats);
    }
    stats_clear(&stats);
    return err;
}
