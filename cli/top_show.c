/* top, for people and as JSON. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "cli/bench/bench.h"
#include "cli/bench/show.h"
#include "cli/look.h"
#include "cli/table.h"
#include "cli/top.h"

static double rate(const top_t *top, uint64_t count) { return (double)count / top_seconds(top); }

static uint64_t value(const top_t *top, const char *name)
{
    return stats_value(&top->stats, name, "");
}

static uint64_t p99_us(const top_t *top, const char *name)
{
    const hist_t *hist = stats_hist(&top->stats, name);
    return hist ? hist_percentile(hist, 990000) : 0;
}

static double share(const top_t *top, uint64_t us)
{
    return top->stats.took_us ? (double)us / (double)top->stats.took_us : 0;
}

static size_t least(size_t x, size_t y) { return x < y ? x : y; }

/* ---- the trend ---- */

void top_trend_add(top_trend_t *trend, const top_t *top)
{
    if (trend->count == TOP_TREND_MAX) {
        memmove(trend->at, trend->at + 1, (TOP_TREND_MAX - 1) * sizeof *trend->at);
        trend->count--;
    }
    trend->at[trend->count++] = rate(top, stats_sum(&top->stats, "deliveries"));
}

static void show_trend(const top_trend_t *trend, bool utf8, FILE *out)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    enum { STEPS = sizeof plain / sizeof *plain };
    double most = 0;
    for (int i = 0; i < trend->count; i++)
        if (trend->at[i] > most) most = trend->at[i];
    for (int i = 0; i < trend->count; i++) {
        int step = most > 0 ? (int)(trend->at[i] / most * (STEPS - 1) + 0.5) : 0;
        fputs((utf8 ? blocks : plain)[step], out);
    }
}

/* ---- for people ---- */

static char *per_second(const top_t *top, uint64_t count, char ret[GROUPED_MAX])
{
    return grouped((uint64_t)llround(rate(top, count)), ret);
}

static char *p99_text(const top_t *top, const char *name, char ret[TIME_TEXT_MAX])
{
    const hist_t *hist = stats_hist(&top->stats, name);
    if (hist && hist_count(hist)) return time_text(p99_us(top, name) * 1000, ret);
    return strcpy(ret, "-");
}

static void show_broker(const top_t *top, const top_trend_t *trend, bool utf8, FILE *out)
{
    char a[GROUPED_MAX], b[GROUPED_MAX], clock[32], up[32], t[4][TIME_TEXT_MAX];
    time_t now = (time_t)(top->at_ms / 1000);
    struct tm local;
    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &local));
    fprintf(out, "vatyard  up %s  %" PRIu64 " hosts  %" PRIu64 " vats  %" PRIu64 " clusters  %s\n",
            age(value(top, "process_start_time"), up),
            stats_value(&top->stats, "hosts", "connected"),
            stats_value(&top->stats, "vats", "running"), value(top, "clusters"), clock);
    fprintf(out, "turns %s/s  ", per_second(top, stats_sum(&top->stats, "deliveries"), a));
    show_trend(trend, utf8, out);
    fprintf(out, "  queue %" PRIu64 "  in flight %" PRIu64 "  rejects %s/s\n",
            value(top, "run_queue_length"), value(top, "in_flight"),
            per_second(top, value(top, "rejections"), b));
    fprintf(out, "p99  queue %s  hold %s  wire %s  run %s  ", p99_text(top, "queue", t[0]),
            p99_text(top, "hold", t[1]), p99_text(top, "wire", t[2]), p99_text(top, "run", t[3]));
    fprintf(out, "commit %s  %s commits/s\n", p99_text(top, "commit", t[0]),
            per_second(top, value(top, "commits"), a));
    fprintf(out,
            "broker  cpu %.0f%%  rss %" PRIu64 " MiB  wal %.1f MiB  gc %s/s  promises %" PRIu64
            " (%" PRIu64 " unresolved)  objects %" PRIu64 "\n",
            100 * share(top, stats_sum(&top->stats, "process_cpu")),
            value(top, "process_resident_memory") >> 20, (double)value(top, "wal") / (1 << 20),
            per_second(top, stats_sum(&top->stats, "gc_actions"), a),
            stats_sum(&top->stats, "kernel_promises"),
            stats_value(&top->stats, "kernel_promises", "unresolved"),
            value(top, "kernel_objects"));
}

static uint64_t of_host(const top_t *top, const char *name, uint32_t number)
{
    char of[16];
    snprintf(of, sizeof of, "h%u", number);
    return stats_value(&top->stats, name, of);
}

static void show_hosts(const top_t *top, FILE *out)
{
    char text[GROUPED_MAX];
    table_t table = table_of("HOST NAME VATS TURNS/S KIB-IN/S KIB-OUT/S STATE");
    for (size_t i = 0; i < top->host_count; i++) {
        const top_host_t *host = &top->hosts[i];
        uint64_t in = of_host(top, "host_bytes_in", host->number),
                 sent = of_host(top, "host_bytes_out", host->number);
        table_add(&table, "h%u", host->number);
        table_add(&table, "%s", host->name);
        table_add(&table, "%" PRIu64, host->vats);
        table_add(&table, "%s", per_second(top, of_host(top, "host_results", host->number), text));
        table_add(&table, "%.1f", rate(top, in) / 1024);
        table_add(&table, "%.1f", rate(top, sent) / 1024);
        table_add(&table, "%s", host->state);
    }
    table_print(&table, out);
    table_clear(&table);
}

static uint64_t run_ns(const top_vat_t *vat)
{
    return vat->turns ? vat->turns_us * 1000 / vat->turns : 0;
}

static void show_vats(const top_t *top, size_t most, FILE *out)
{
    char text[GROUPED_MAX], time[TIME_TEXT_MAX];
    table_t table = table_of("VAT NAME CLUSTER HOST TURNS/S QUEUE RUN/TURN BUSY OBJ STATE");
    for (size_t i = 0; i < least(top->vat_count, most); i++) {
        const top_vat_t *vat = &top->vats[i];
        table_add(&table, "v%u", vat->number);
        table_add(&table, "%s", vat->name);
        table_add(&table, "%s", vat->cluster);
        table_add(&table, "h%u", vat->host);
        table_add(&table, "%s", per_second(top, vat->turns, text));
        table_add(&table, "%" PRIu64, vat->queue + vat->in_flight);
        table_add(&table, "%s", vat->turns ? time_text(run_ns(vat), time) : "-");
        table_add(&table, "%.0f%%", 100 * share(top, vat->turns_us));
        table_add(&table, "%" PRIu64, vat->exports);
        table_add(&table, "%s", vat->state);
    }
    table_print(&table, out);
    table_clear(&table);
}

void top_show(const top_t *self, const top_trend_t *trend, size_t most, bool utf8, FILE *out)
{
    show_broker(self, trend, utf8, out);
    fputc('\n', out);
    show_hosts(self, out);
    fputc('\n', out);
    show_vats(self, most, out);
}

/* ---- for programs ---- */

static json_t *per_second_json(const top_t *top, uint64_t count)
{
    return json_real(round(rate(top, count) * 1000) / 1000);
}

static json_t *hosts_json(const top_t *top)
{
    json_t *list = json_array();
    for (size_t i = 0; i < top->host_count; i++) {
        const top_host_t *host = &top->hosts[i];
        uint32_t n = host->number;
        json_t *row = json_pack("{s:o, s:s, s:s, s:o}", "host", json_id('h', n), "name", host->name,
                                "state", host->state, "vats", json_number(host->vats));
        json_object_set_new(row, "turns_per_s",
                            per_second_json(top, of_host(top, "host_results", n)));
        json_object_set_new(row, "bytes_in_per_s",
                            per_second_json(top, of_host(top, "host_bytes_in", n)));
        json_object_set_new(row, "bytes_out_per_s",
                            per_second_json(top, of_host(top, "host_bytes_out", n)));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *vats_json(const top_t *top, size_t most)
{
    json_t *list = json_array();
    for (size_t i = 0; i < least(top->vat_count, most); i++) {
        const top_vat_t *vat = &top->vats[i];
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:f, s:o}", "vat",
                            json_id('v', vat->number), "name", vat->name, "cluster", vat->cluster,
                            "host", json_id('h', vat->host), "state", vat->state, "turns_per_s",
                            per_second_json(top, vat->turns), "queue", json_number(vat->queue),
                            "in_flight", json_number(vat->in_flight), "run_us_per_turn",
                            json_number(run_ns(vat) / 1000), "busy", share(top, vat->turns_us),
                            "exports", json_number(vat->exports)));
    }
    return list;
}

json_t *top_json(const top_t *self, size_t most)
{
    static const char *const times[] = {"queue", "hold", "backlog", "wire", "run", "commit"};
    json_t *json = json_object();
    json_object_set_new(json, "time_ms", json_number(self->at_ms));
    json_object_set_new(json, "took_us", json_number(self->stats.took_us));
    json_object_set_new(json, "turns_per_s",
                        per_second_json(self, stats_sum(&self->stats, "deliveries")));
    json_object_set_new(json, "rejections_per_s", per_second_json(self, value(self, "rejections")));
    json_object_set_new(json, "commits_per_s", per_second_json(self, value(self, "commits")));
    json_object_set_new(json, "gc_per_s",
                        per_second_json(self, stats_sum(&self->stats, "gc_actions")));
    json_object_set_new(json, "queue", json_number(value(self, "run_queue_length")));
    json_object_set_new(json, "in_flight", json_number(value(self, "in_flight")));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s_p99_us", times[i]);
        json_object_set_new(json, key, json_number(p99_us(self, times[i])));
    }
    json_object_set_new(json, "broker_cpu",
                        json_real(share(self, stats_sum(&self->stats, "process_cpu"))));
    json_object_set_new(json, "broker_rss_bytes",
                        json_number(value(self, "process_resident_memory")));
    json_object_set_new(json, "wal_bytes", json_number(value(self, "wal")));
    json_object_set_new(json, "promises", json_number(stats_sum(&self->stats, "kernel_promises")));
    json_object_set_new(json, "unresolved",
                        json_number(stats_value(&self->stats, "kernel_promises", "unresolved")));
    json_object_set_new(json, "hosts", hosts_json(self));
    json_object_set_new(json, "vats", vats_json(self, most));
    return json;
}
