/* The result for programs: one JSON object (cli/schema/bench.json), and one CSV row for each interval. */
#include <inttypes.h>
#include <math.h>

#include "cli/bench/show.h"

static json_t *us(uint64_t ns) { return json_real(round((double)ns / 100) / 10); }

static json_t *hist_json(const hist_t *hist)
{
    json_t *json = json_pack("{s:I, s:o, s:o}", "count", (json_int_t)hist_count(hist), "mean_us",
                             us(hist_mean(hist)), "min_us", us(hist_min(hist)));

    for (size_t i = 0; show_percentiles[i].name; i++)
        json_object_set_new(json, show_percentiles[i].key,
                            us(hist_percentile(hist, show_percentiles[i].parts)));
    json_object_set_new(json, "max_us", us(hist_max(hist)));
    /* [upper end, how many] of what is not empty: the percentiles of several runs together need it. */
    json_t *buckets = json_array();
    for (hist_bucket_t bucket = {0}; hist_next(hist, &bucket);) {
        json_array_append_new(buckets,
                              json_pack("[o, I]", us(bucket.high), (json_int_t)bucket.count));
    }
    json_object_set_new(json, "buckets_us", buckets);
    return json;
}

static json_t *options_json(const options_t *o)
{
    json_t *json = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "engine",
                             o->null_engine ? "null" : "js", "direct", o->direct, "hosts",
                             (json_int_t)o->hosts, "pairs", (json_int_t)o->pairs, "vats",
                             (json_int_t)o->vats, "depth", (json_int_t)o->depth, "payload_bytes",
                             (json_int_t)o->payload, "objects", (json_int_t)o->objects, "rounds",
                             (json_int_t)o->rounds, "pipelined", !o->steps, "serial", o->serial);

    json_object_set_new(json, "loop", json_string(o->rate ? "open" : "closed"));
    json_object_set_new(json, "target_per_s", o->rate ? json_real(o->rate) : json_null());
    json_object_set_new(json, "arrival",
                        json_string(o->arrival == ARRIVAL_POISSON ? "poisson" : "uniform"));
    json_object_set_new(json, "seed", json_integer((json_int_t)o->seed));
    json_object_set_new(json, "concurrency", json_integer((json_int_t)o->concurrency));
    json_object_set_new(json, "window", json_integer((json_int_t)o->window));
    json_object_set_new(json, "warmup_ms", json_integer((json_int_t)(o->warmup_ns / 1000000)));
    json_object_set_new(json, "duration_ms", json_integer((json_int_t)(o->duration_ns / 1000000)));
    json_object_set_new(json, "count", json_integer((json_int_t)o->count));
    return json;
}

static json_t *intervals_json(const result_t *r)
{
    json_t *all = json_array();

    for (size_t i = 0; i < r->interval_count; i++) {
        const interval_t *at = &r->intervals[i];
        json_t *json =
            json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "from_us", us(at->from_ns),
                      "to_us", us(at->to_ns), "sent", (json_int_t)at->sent, "answered",
                      (json_int_t)at->answered, "units", (json_int_t)at->units, "dropped",
                      (json_int_t)at->dropped, "late", (json_int_t)at->late, "errors",
                      (json_int_t)at->errors, "in_flight", (json_int_t)at->in_flight);
        json_object_set_new(json, "p50_us", us(at->p50_ns));
        json_object_set_new(json, "p99_us", us(at->p99_ns));
        json_object_set_new(json, "max_us", us(at->max_ns));
        json_array_append_new(all, json);
    }
    return all;
}

static json_t *verdicts_json(const result_t *r)
{
    json_t *all = json_array();

    for (size_t i = 0; i < r->verdict_count; i++) {
        const verdict_t *v = &r->verdicts[i];
        double scale = v->is_time ? 1e3 : 1;
        json_array_append_new(all, json_pack("{s:s, s:b, s:s, s:o, s:f}", "assert", v->text, "met",
                                             v->met, "unit", v->is_time ? "us" : "", "is",
                                             isnan(v->is) ? json_null() : json_real(v->is / scale),
                                             "bound", v->bound / scale));
    }
    return all;
}

static json_t *machine_json(const result_t *r)
{
    return json_pack("{s:o, s:o, s:i, s:f, s:f}", "cpu", json_text(text_of(r->before.cpu)),
                     "kernel", json_text(text_of(r->before.kernel)), "cores", (int)r->before.cores,
                     "load_before", r->before.load, "load_after", r->after.load);
}

/* Shares of one core, over the time that was measured. */
static json_t *usage_json(const result_t *r)
{
    json_t *json = json_pack("{s:f}", "bench_cpu", show_bench_cpu(r));
    double watched = r->watched_ns ? (double)r->watched_ns : 1;

    if (r->has_stats) {
        json_object_set_new(json, "broker_cpu", json_real((double)r->broker_cpu_ns / watched));
        json_object_set_new(json, "broker_rss_bytes",
                            json_integer((json_int_t)r->broker_rss_bytes));
    }
    if (r->has_hosts) {
        json_object_set_new(json, "hosts_cpu", json_real((double)r->hosts_cpu_ns / watched));
        json_object_set_new(json, "hosts_rss_bytes", json_integer((json_int_t)r->hosts_rss_bytes));
    }
    return json;
}

/* Where the time of a delivery went; the broker measures in microseconds. null: it did not say. */
static json_t *time_json(const result_t *r)
{
    if (!r->has_stats) return json_null();

    json_t *json = json_object();
    for (size_t i = 0; show_hops[i].name; i++) {
        const hist_t *hist = stats_hist(&r->stats, show_hops[i].name);
        if (!hist) continue;
        json_t *hop = json_pack("{s:I, s:I, s:I}", "count", (json_int_t)hist_count(hist), "sum_us",
                                (json_int_t)hist_sum(hist), "mean_us", (json_int_t)hist_mean(hist));
        for (size_t k = 0; show_percentiles[k].name; k++) {
            json_object_set_new(
                hop, show_percentiles[k].key,
                json_integer((json_int_t)hist_percentile(hist, show_percentiles[k].parts)));
        }
        json_object_set_new(hop, "max_us", json_integer((json_int_t)hist_max(hist)));
        json_object_set_new(json, show_hops[i].name, hop);
    }
    json_object_set_new(json, "commits", json_integer((json_int_t)stats_sum(&r->stats, "commits")));
    json_object_set_new(json, "commit_bytes",
                        json_integer((json_int_t)stats_sum(&r->stats, "commit_bytes")));
    json_object_set_new(json, "deliveries",
                        json_integer((json_int_t)stats_sum(&r->stats, "results")));
    return json;
}

json_t *show_json(const options_t *o, const result_t *r)
{
    json_t *checks = json_array();
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:o}", "scenario", o->scenario->name, "unit", o->scenario->unit,
                  "version", VATYARD_VERSION, "options", options_json(o));

    json_object_set_new(json, "calls",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)r->sent,
                                  "answered", (json_int_t)r->answered, "dropped",
                                  (json_int_t)r->dropped, "late", (json_int_t)r->late, "errors",
                                  (json_int_t)r->errors, "unanswered", (json_int_t)r->unanswered));
    if (*r->first_error)
        json_object_set_new(json, "first_error", json_text(text_of(r->first_error)));
    json_object_set_new(json, "units_per_call", json_integer((json_int_t)scenario_units(o)));
    json_object_set_new(json, "units", json_integer((json_int_t)r->units));
    json_object_set_new(json, "elapsed_us", us(r->elapsed_ns));
    json_object_set_new(json, "rate_per_s", json_real(result_rate(r)));
    json_object_set_new(json, "response", hist_json(r->response));
    json_object_set_new(json, "service", hist_json(r->service));
    json_object_set_new(json, "machine", machine_json(r));
    json_object_set_new(json, "usage", usage_json(r));
    json_object_set_new(json, "time", time_json(r));
    for (size_t i = 0; i < r->check_count; i++) {
        json_array_append_new(checks, json_pack("{s:s, s:b, s:s}", "what", r->checks[i].what, "met",
                                                r->checks[i].met, "detail", r->checks[i].detail));
    }
    json_object_set_new(json, "checks", checks);
    json_object_set_new(json, "good", json_boolean(result_good(r)));
    json_object_set_new(json, "asserts", verdicts_json(r));
    json_object_set_new(json, "noisy_percent", json_integer(show_noise(r)));
    json_object_set_new(json, "stopped", json_boolean(r->stopped));
    json_object_set_new(json, "intervals", intervals_json(r));
    return json;
}

void show_csv(const result_t *r, FILE *out)
{
    fputs("from_s,to_s,sent,answered,units,dropped,late,errors,in_flight,p50_us,p99_us,max_us\n",
          out);
    for (size_t i = 0; i < r->interval_count; i++) {
        const interval_t *at = &r->intervals[i];
        fprintf(out,
                "%.3f,%.3f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                ",%" PRIu64 ",%.1f,%.1f,%.1f\n",
                (double)at->from_ns / 1e9, (double)at->to_ns / 1e9, at->sent, at->answered,
                at->units, at->dropped, at->late, at->errors, at->in_flight,
                (double)at->p50_ns / 1e3, (double)at->p99_ns / 1e3, (double)at->max_ns / 1e3);
    }
}
