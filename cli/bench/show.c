#include "cli/bench/show.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "wire/base/must.h"

/* clang-format off */
static const struct { const char *name, *key; uint32_t parts; } columns[] = {
    {"p50", "p50_us", 500000}, {"p90", "p90_us", 900000}, {"p99", "p99_us", 990000},
    {"p99.9", "p999_us", 999000}, {"p99.99", "p9999_us", 999900},
};
/* clang-format on */
enum { COLUMNS = sizeof columns / sizeof *columns };

char *time_text(uint64_t ns, char ret[TIME_TEXT_MAX])
{
    double us = (double)ns / 1e3;

    if (us < 1000)
        snprintf(ret, TIME_TEXT_MAX, "%.*f us", us < 10 ? 1 : 0, us);
    else if (us < 1e6)
        snprintf(ret, TIME_TEXT_MAX, "%.*f ms", us < 1e4 ? 2 : us < 1e5 ? 1 : 0, us / 1e3);
    else
        snprintf(ret, TIME_TEXT_MAX, "%.*f s", us < 1e7 ? 2 : 1, us / 1e6);
    return ret;
}

static void head(const options_t *o, FILE *out)
{
    char rate[GROUPED_MAX];

    fprintf(out, "%s  %s vats", o->scenario->name, o->null_engine ? "null" : "JavaScript");
    if (o->hosts)
        fprintf(out, ", %" PRIu64 " host%s", o->hosts, o->hosts == 1 ? "" : "s");
    else
        fputs(", the broker that runs", out);
    if (o->direct) fputs(", called directly", out);
    if (o->rate) {
        fprintf(out, ", open loop %s/s %s", grouped((uint64_t)llround(o->rate), rate),
                o->arrival == ARRIVAL_POISSON ? "poisson" : "uniform");
    } else {
        fprintf(out, ", closed loop with %" PRIu64 " in flight", o->concurrency);
    }
    if (o->warmup_ns) fprintf(out, ", warm-up %g s", (double)o->warmup_ns / 1e9);
    if (o->duration_ns) fprintf(out, ", %g s", (double)o->duration_ns / 1e9);
    if (o->count) fprintf(out, ", %" PRIu64 " calls", o->count);
    fputs("\n\n", out);
}

static void row(const char *name, const hist_t *hist, const char *behind, FILE *out)
{
    char text[TIME_TEXT_MAX];

    fprintf(out, "  %-9s %9s", name, time_text(hist_mean(hist), text));
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(out, " %9s", time_text(hist_percentile(hist, columns[i].parts), text));
    fprintf(out, " %9s    %s\n", time_text(hist_max(hist), text), behind);
}

static void latencies(const options_t *o, const result_t *r, uint64_t units, FILE *out)
{
    char text[TIME_TEXT_MAX];

    fprintf(out, "\n  %-9s %9s", "LATENCY", "MEAN");
    for (size_t i = 0; i < COLUMNS; i++) {
        char upper[16];
        snprintf(upper, sizeof upper, "P%s", columns[i].name + 1);
        fprintf(out, " %9s", upper);
    }
    fprintf(out, " %9s\n", "MAX");
    if (o->rate) {
        row("response", r->response, "from the planned time", out);
        row("service", r->service, "from the time it was sent", out);
    } else {
        row(o->scenario->id == SCENARIO_START ? "launch" : "call", r->service, "", out);
    }
    if (units > 1 && hist_count(r->service)) {
        fprintf(out, "  a call is %" PRIu64 " %s: %s each\n", units, o->scenario->unit,
                time_text(hist_mean(r->service) / units, text));
    }
    if (!o->rate) {
        fputs("  Closed loop: the highest throughput with so many in flight; the percentiles are "
              "not what "
              "a caller\n  would wait who comes at a time of his own (--rate R says that).\n",
              out);
    }
}

/* The share of one processor that the load maker's thread had. */
static double own_cpu(const result_t *r)
{
    return r->elapsed_ns ? (double)r->own_cpu_ns / (double)r->elapsed_ns : 0;
}

static void remarks(const options_t *o, const result_t *r, FILE *out)
{
    fprintf(out, "\n  cpu       bench %.0f %% of a core\n", 100 * own_cpu(r));
    if (own_cpu(r) > 0.8) {
        fputs("  note      the load maker itself is the limit: it used most of a core. Run "
              "several, or expect more "
              "of the kernel\n",
              out);
    }
    if (r->dropped) {
        fprintf(out,
                "  note      dropped: %d calls were unanswered; the rate is above what is served\n",
                IN_FLIGHT_MAX);
    }
    if (r->late) {
        fputs("  note      late: sent more than 1 ms behind the planned time; the load maker did "
              "not get the "
              "processor in time\n",
              out);
    }
    if (r->unanswered)
        fprintf(out, "  note      %" PRIu64 " calls were not answered in the time given\n",
                r->unanswered);
    if (r->errors) fprintf(out, "  note      first error: %s\n", r->first_error);
    if (o->rate && result_rate(r) < 0.95 * o->rate)
        fputs("  note      the rate asked for was not reached\n", out);
    if (r->stopped) fputs("  note      stopped before its time\n", out);
}

static void verdict(const verdict_t *v, FILE *out)
{
    char is[TIME_TEXT_MAX], bound[GROUPED_MAX];

    if (isnan(v->is))
        snprintf(is, sizeof is, "nothing was answered");
    else if (v->is_time)
        time_text((uint64_t)v->is, is);
    else
        snprintf(is, sizeof is, "%.10g", v->is);
    *bound = 0;
    if (!v->is_time && strstr(v->text, "target"))
        snprintf(bound, sizeof bound, " of %.10g", v->bound);
    fprintf(out, "  %-9s %s  %s: %s%s\n", "assert", v->text, v->met ? "met" : "NOT MET", is, bound);
}

void show_table(const options_t *o, const result_t *r, FILE *out)
{
    char a[GROUPED_MAX], b[GROUPED_MAX], c[GROUPED_MAX], d[GROUPED_MAX], e[GROUPED_MAX];
    uint64_t units = scenario_units(o);

    head(o, out);
    fprintf(out, "  calls     sent %s   answered %s   dropped %s   late %s   errors %s\n",
            grouped(r->sent, a), grouped(r->answered, b), grouped(r->dropped, c),
            grouped(r->late, d), grouped(r->errors, e));
    fprintf(out, "  rate      %s %s/s", grouped((uint64_t)llround(result_rate(r)), a),
            o->scenario->unit);
    if (o->rate) fprintf(out, " (target %s)", grouped((uint64_t)llround(o->rate), b));
    fputc('\n', out);
    latencies(o, r, units, out);
    remarks(o, r, out);
    fputc('\n', out);
    for (size_t i = 0; i < r->check_count; i++) {
        const check_t *check = &r->checks[i];
        fprintf(out, "  %-9s %s%s\n", check->what, check->met ? "" : "WRONG: ", check->detail);
    }
    for (size_t i = 0; i < r->verdict_count; i++) verdict(&r->verdicts[i], out);
}

void show_line(const options_t *o, const result_t *r, FILE *out)
{
    const hist_t *hist = r->response;

    fprintf(out, "%s %.0f/s", o->scenario->name, result_rate(r));
    for (size_t i = 0; i < COLUMNS; i++) {
        fprintf(out, " %s=%.3f", columns[i].name,
                (double)hist_percentile(hist, columns[i].parts) / 1e6);
    }
    fprintf(out, " max=%.3f ms dropped=%" PRIu64 " late=%" PRIu64 " errors=%" PRIu64 "%s\n",
            (double)hist_max(hist) / 1e6, r->dropped, r->late, r->errors + r->unanswered,
            !result_good(r) ? " WRONG"
            : result_met(r) ? ""
                            : " NOT MET");
}

/* ---- JSON ---- */

static json_t *us(uint64_t ns) { return json_real(round((double)ns / 100) / 10); }

static json_t *hist_json(const hist_t *hist)
{
    json_t *json = json_pack("{s:I, s:o, s:o}", "count", (json_int_t)hist_count(hist), "mean_us",
                             us(hist_mean(hist)), "min_us", us(hist_min(hist)));

    for (size_t i = 0; i < COLUMNS; i++)
        json_object_set_new(json, columns[i].key, us(hist_percentile(hist, columns[i].parts)));
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
    if (r->errors) json_object_set_new(json, "first_error", json_text(text_of(r->first_error)));
    json_object_set_new(json, "units_per_call", json_integer((json_int_t)scenario_units(o)));
    json_object_set_new(json, "units", json_integer((json_int_t)r->units));
    json_object_set_new(json, "elapsed_us", us(r->elapsed_ns));
    json_object_set_new(json, "rate_per_s", json_real(result_rate(r)));
    json_object_set_new(json, "response", hist_json(r->response));
    json_object_set_new(json, "service", hist_json(r->service));
    json_object_set_new(json, "own_cpu", json_real(own_cpu(r)));
    for (size_t i = 0; i < r->check_count; i++) {
        json_array_append_new(checks, json_pack("{s:s, s:b, s:s}", "what", r->checks[i].what, "met",
                                                r->checks[i].met, "detail", r->checks[i].detail));
    }
    json_object_set_new(json, "checks", checks);
    json_object_set_new(json, "good", json_boolean(result_good(r)));
    json_object_set_new(json, "asserts", verdicts_json(r));
    json_object_set_new(json, "stopped", json_boolean(r->stopped));
    json_object_set_new(json, "intervals", intervals_json(r));
    return json;
}
