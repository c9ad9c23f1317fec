#include "cli/bench/show.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

/* clang-format off */
const show_percentile_t show_percentiles[] = {
    {"p50", "p50_us", 500000}, {"p90", "p90_us", 900000}, {"p99", "p99_us", 990000},
    {"p99.9", "p999_us", 999000}, {"p99.99", "p9999_us", 999900}, {NULL, NULL, 0},
};
const show_hop_t show_hops[] = {
    {"queue", true, "waiting for the window of its vat"},
    {"hold", true, "in the broker, until it was on disk and could leave"},
    {"backlog", true, "at the worker, behind others of its vat"},
    {"wire", true, "to the worker and back: network, vathost, the broker's sockets"},
    {"run", true, "the vat's code"},
    {"commit", false, "of a batch to disk, a part of hold"},
    {NULL, false, NULL},
};
/* clang-format on */

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

char *show_time(const hist_t *hist, uint64_t ns, char ret[TIME_TEXT_MAX])
{
    return hist_count(hist) ? time_text(ns, ret) : strcpy(ret, "-");
}

char *show_rate(double per_second, char ret[GROUPED_MAX])
{
    if (per_second >= 100) return grouped((uint64_t)llround(per_second), ret);
    snprintf(ret, GROUPED_MAX, "%.3g", per_second);
    return ret;
}

void show_head(const options_t *o, FILE *out)
{
    char rate[GROUPED_MAX];

    fprintf(out, "%s  %s vats", o->scenario->name, o->null_engine ? "null" : "JavaScript");
    if (o->hosts)
        fprintf(out, ", %" PRIu64 " host%s", o->hosts, o->hosts == 1 ? "" : "s");
    else
        fputs(", the broker that runs", out);
    if (o->direct) fputs(", called directly", out);
    if (o->rate) {
        fprintf(out, ", open loop %s/s %s", show_rate(o->rate, rate),
                o->arrival == ARRIVAL_POISSON ? "poisson" : "uniform");
    } else {
        fprintf(out, ", closed loop with %" PRIu64 " in flight", o->concurrency);
    }
    if (o->warmup_ns) fprintf(out, ", warm-up %g s", (double)o->warmup_ns / 1e9);
    if (o->duration_ns) fprintf(out, ", %g s", (double)o->duration_ns / 1e9);
    if (o->count) fprintf(out, ", %" PRIu64 " calls", o->count);
}

static void row(const char *name, const hist_t *hist, const char *behind, FILE *out)
{
    char text[TIME_TEXT_MAX];

    fprintf(out, "  %-9s %9s", name, show_time(hist, hist_mean(hist), text));
    for (size_t i = 0; show_percentiles[i].name; i++) {
        uint64_t ns = hist_percentile(hist, show_percentiles[i].parts);
        fprintf(out, " %9s", show_time(hist, ns, text));
    }
    fprintf(out, " %9s    %s\n", show_time(hist, hist_max(hist), text), behind);
}

static void latencies(const options_t *o, const result_t *r, uint64_t units, FILE *out)
{
    char text[TIME_TEXT_MAX];

    fprintf(out, "\n  %-9s %9s", "LATENCY", "MEAN");
    for (size_t i = 0; show_percentiles[i].name; i++) {
        char upper[16];
        snprintf(upper, sizeof upper, "P%s", show_percentiles[i].name + 1);
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

double show_bench_cpu(const result_t *r)
{
    return r->own_ns ? (double)r->own_cpu_ns / (double)r->own_ns : 0;
}

double show_share(const result_t *r, size_t hop)
{
    double all = 0;

    for (size_t i = 0; show_hops[i].name; i++) {
        const hist_t *hist = stats_hist(&r->stats, show_hops[i].name);
        if (hist && show_hops[i].part) all += (double)hist_sum(hist);
    }
    const hist_t *hist = stats_hist(&r->stats, show_hops[hop].name);
    return hist && all > 0 ? (double)hist_sum(hist) / all : 0;
}

/* Of all deliveries meanwhile, of every vat: the messages to the drivers and the notifies, too. */
static void hops(const result_t *r, FILE *out)
{
    uint64_t deliveries = stats_sum(&r->stats, "results"),
             commits = stats_sum(&r->stats, "commits");
    char a[GROUPED_MAX], b[GROUPED_MAX], text[TIME_TEXT_MAX];

    if (!r->has_stats) return;
    fprintf(out, "\n  where the time of a delivery went: %s deliveries, %s commits\n",
            grouped(deliveries, a), grouped(commits, b));
    fprintf(out, "  %-9s %9s %9s %9s %9s %9s\n", "HOP", "SHARE", "MEAN", "P50", "P99", "MAX");
    for (size_t i = 0; show_hops[i].name; i++) {
        const hist_t *hist = stats_hist(&r->stats, show_hops[i].name);
        char share[16] = "";
        if (!hist) continue;
        if (show_hops[i].part) snprintf(share, sizeof share, "%.0f %%", 100 * show_share(r, i));
        fprintf(out, "  %-9s %9s", show_hops[i].name, share);
        fprintf(out, " %9s", show_time(hist, 1000 * hist_mean(hist), text));
        fprintf(out, " %9s", show_time(hist, 1000 * hist_percentile(hist, 500000), text));
        fprintf(out, " %9s", show_time(hist, 1000 * hist_percentile(hist, 990000), text));
        fprintf(out, " %9s    %s\n", show_time(hist, 1000 * hist_max(hist), text),
                show_hops[i].about);
    }
}

static void usage(const result_t *r, FILE *out)
{
    double watched = r->watched_ns ? (double)r->watched_ns : 1;

    fprintf(out, "\n  cpu       bench %.0f %%", 100 * show_bench_cpu(r));
    if (r->has_stats) fprintf(out, "   broker %.0f %%", 100 * (double)r->broker_cpu_ns / watched);
    if (r->has_hosts)
        fprintf(out, "   hosts and workers %.0f %%", 100 * (double)r->hosts_cpu_ns / watched);
    fprintf(out, "   of %u core%s\n", r->before.cores, r->before.cores == 1 ? "" : "s");
    if (!r->has_stats && !r->has_hosts) return;
    fputs("  rss      ", out);
    if (r->has_stats) fprintf(out, " broker %.0f MiB  ", (double)r->broker_rss_bytes / (1 << 20));
    if (r->has_hosts)
        fprintf(out, " hosts and workers %.0f MiB", (double)r->hosts_rss_bytes / (1 << 20));
    fputc('\n', out);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

unsigned show_noise(const result_t *r)
{
    size_t count = r->interval_count, above = 0;

    if (count < NOISE_INTERVALS_MIN) return 0;
    uint64_t *times = calloc(count, sizeof *times);
    must(times);
    for (size_t i = 0; i < count; i++) times[i] = r->intervals[i].p99_ns;
    qsort(times, count, sizeof *times, by_value);
    for (size_t i = 0; i < count; i++) above += times[i] > 2 * times[count / 2];
    free(times);
    return (unsigned)(100 * above / count);
}

/* Figures of a machine that does other things as well are of those, too. */
static void surroundings(const result_t *r, FILE *out)
{
    unsigned noise = show_noise(r);

    if (r->before.load > r->before.cores) {
        fprintf(out, "  note      the machine was busy before it began: load %.1f on %u cores\n",
                r->before.load, r->before.cores);
    }
    if (noise) {
        fprintf(out,
                "  note      noisy: in %u %% of the intervals p99 was more than twice its median\n",
                noise);
    }
}

static void remarks(const options_t *o, const result_t *r, FILE *out)
{
    if (!r->answered)
        fputs("  note      nothing was answered in the time that was measured: no figure says "
              "anything\n",
              out);
    if (show_bench_cpu(r) > 0.8) {
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
    if (*r->first_error) fprintf(out, "  note      first error: %s\n", r->first_error);
    if (o->rate && result_rate(r) < 0.95 * o->rate)
        fputs("  note      the rate asked for was not reached\n", out);
    surroundings(r, out);
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

    show_head(o, out);
    fputs("\n\n", out);
    fprintf(out, "  calls     sent %s   answered %s   dropped %s   late %s   errors %s\n",
            grouped(r->sent, a), grouped(r->answered, b), grouped(r->dropped, c),
            grouped(r->late, d), grouped(r->errors, e));
    fprintf(out, "  rate      %s %s/s", show_rate(result_rate(r), a), o->scenario->unit);
    if (o->rate) fprintf(out, " (target %s)", show_rate(o->rate, b));
    fputc('\n', out);
    latencies(o, r, units, out);
    hops(r, out);
    usage(r, out);
    remarks(o, r, out);
    fputc('\n', out);
    for (size_t i = 0; i < r->check_count; i++) {
        const check_t *check = &r->checks[i];
        fprintf(out, "  %-9s %s%s\n", check->what, check->met ? "" : "WRONG: ", check->detail);
    }
    for (size_t i = 0; i < r->verdict_count; i++) verdict(&r->verdicts[i], out);
}

static void ms_or_none(const hist_t *hist, uint64_t ns, FILE *out)
{
    if (hist_count(hist))
        fprintf(out, "%.3f", (double)ns / 1e6);
    else
        fputc('-', out);
}

void show_line(const options_t *o, const result_t *r, FILE *out)
{
    const hist_t *hist = r->response;
    double rate = result_rate(r);

    fprintf(out, rate < 100 ? "%s %.3g/s" : "%s %.0f/s", o->scenario->name, rate);
    for (size_t i = 0; show_percentiles[i].name; i++) {
        fprintf(out, " %s=", show_percentiles[i].name);
        ms_or_none(hist, hist_percentile(hist, show_percentiles[i].parts), out);
    }
    fputs(" max=", out);
    ms_or_none(hist, hist_max(hist), out);
    fprintf(out, " ms dropped=%" PRIu64 " late=%" PRIu64 " errors=%" PRIu64, r->dropped, r->late,
            r->errors);
    if (r->unanswered) fprintf(out, " unanswered=%" PRIu64, r->unanswered);
    fputs(!result_good(r) ? " WRONG\n" : result_met(r) ? "\n" : " NOT MET\n", out);
}
