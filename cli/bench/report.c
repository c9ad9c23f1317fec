#include "cli/bench/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench/plot.h"
#include "wire/base/must.h"

static const char style[] =
    ":root{--bg:#fff;--fg:#1b1f24;--soft:#5b6570;--grid:#e3e7ec;--box:#f6f8fa;--a:#1d5fd1;--b:#"
    "b4530a;"
    "--h0:#64748b;--h1:#1d5fd1;--h2:#b4530a;--h3:#0f766e;--h4:#7c3aed;--bad:#b91c1c;color-scheme:"
    "light dark}\n"
    "@media "
    "(prefers-color-scheme:dark){:root{--bg:#101418;--fg:#e6e9ed;--soft:#98a2ad;--grid:#2a3138;"
    "--box:#181d23;--a:#79a8ff;--b:#f0a35e;--h0:#94a3b8;--h1:#79a8ff;--h2:#f0a35e;--h3:#4fc3b5;--"
    "h4:#b794f6;"
    "--bad:#ff8a80}}\n"
    "body{background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;max-width:60rem;"
    "margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0}"
    ".soft,caption{color:var(--soft)}.bad{color:var(--bad)}\n"
    ".tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.2rem "
    "0}.tile{background:var(--box);border-radius:8px;"
    "padding:.6rem 1rem;min-width:6.5rem}.tile b{display:block;font-size:1.25rem}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}caption{text-align:left}"
    "th,td{text-align:right;padding:.2rem .9rem .2rem 0;border-bottom:1px solid var(--grid)}"
    "th:first-child,td:first-child,td.text{text-align:left}th{font-weight:600}\n"
    "svg{width:100%;height:auto}.grid{stroke:var(--grid);stroke-width:1}.tick{fill:var(--soft);"
    "font-size:12px}"
    ".name{font-size:12px;font-weight:600}.line{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".key{display:inline-block;width:.75rem;height:.75rem;border-radius:2px;margin-right:.4rem}\n";

static void say_time(FILE *out, const hist_t *hist, uint64_t ns)
{
    char text[TIME_TEXT_MAX];

    fprintf(out, "<td>%s</td>", show_time(hist, ns, text));
}

static void tile(FILE *out, const char *value, const char *what, bool bad)
{
    fprintf(out, "<div class=\"tile%s\"><b>", bad ? " bad" : "");
    xml_text(out, value);
    fputs("</b>", out);
    xml_text(out, what);
    fputs("</div>\n", out);
}

static void tiles(const options_t *o, const result_t *r, FILE *out)
{
    char text[TIME_TEXT_MAX], number[GROUPED_MAX], unit[64];

    fputs("<div class=\"tiles\">\n", out);
    snprintf(unit, sizeof unit, "%s/s", o->scenario->unit);
    tile(out, show_rate(result_rate(r), number), unit, false);
    tile(out, show_time(r->response, hist_percentile(r->response, 500000), text), "p50", false);
    tile(out, show_time(r->response, hist_percentile(r->response, 990000), text), "p99", false);
    tile(out, show_time(r->response, hist_percentile(r->response, 999000), text), "p99.9", false);
    tile(out, show_time(r->response, hist_max(r->response), text), "max", false);
    uint64_t bad = r->errors + r->unanswered + r->dropped;
    tile(out, grouped(bad, number), "errors, dropped, unanswered", bad != 0);
    fputs("</div>\n", out);
}

/* ---- plots ---- */

static void label_seconds(double value, char *ret, size_t room)
{
    snprintf(ret, room, "%.4g s", value);
}
static void label_count(double value, char *ret, size_t room)
{
    char text[GROUPED_MAX];

    snprintf(ret, room, "%s", show_rate(value, text));
}

static void label_time(double ns, char *ret, size_t room)
{
    char text[TIME_TEXT_MAX];

    snprintf(ret, room, "%s", time_text((uint64_t)llround(ns), text));
}

/* X is how many nines: 2 is p99. */
static void label_nines(double nines, char *ret, size_t room)
{
    snprintf(ret, room, "p%.6g", 100 * (1 - pow(10, -nines)));
}

enum { CURVE_STEPS = 300 };

static size_t curve(const hist_t *hist, double nines, point_t points[CURVE_STEPS + 1])
{
    for (size_t i = 0; i <= CURVE_STEPS; i++) {
        double x = nines * (double)i / CURVE_STEPS;
        double parts = HIST_WHOLE * (1 - pow(10, -x));
        uint64_t ns = hist_percentile(hist, (uint32_t)llround(parts));
        points[i] = (point_t){x, ns ? (double)ns : 1};
    }
    return CURVE_STEPS + 1;
}

static void plot_percentiles(const options_t *o, const result_t *r, FILE *out)
{
    static const double ticks[] = {0.30103, 1, 2, 3, 4, 5, 6};
    point_t response[CURVE_STEPS + 1], service[CURVE_STEPS + 1];
    uint64_t count = hist_count(r->response);

    if (!count) return;
    /* No further than the last call of all. */
    double nines = log10((double)count);
    nines = nines < 1 ? 1 : nines > 6 ? 6 : nines;
    size_t points = curve(r->response, nines, response);
    curve(r->service, nines, service);
    plot_t plot = {.out = out,
                   .title = "Latency by percentile",
                   .x_max = nines,
                   .y_min = service[0].y < response[0].y ? service[0].y : response[0].y,
                   .y_max = response[points - 1].y,
                   .y_scale = SCALE_LOG,
                   .x_label = label_nines,
                   .y_label = label_time,
                   .x_ticks = ticks,
                   .x_tick_count = sizeof ticks / sizeof *ticks};
    fputs("<h2>Latency by percentile</h2>\n", out);
    plot_begin(&plot);
    if (o->rate) plot_line(&plot, service, points, "--b", "service", 9, false);
    plot_line(&plot, response, points, "--a", o->rate ? "response" : "call", o->rate ? -5 : 0,
              false);
    plot_end(&plot);
    if (o->rate)
        fputs("<p class=\"soft\">response: from the planned time. service: from the time it was "
              "sent.</p>\n",
              out);
    else
        fputs("<p class=\"soft\">Closed loop: these are not response times of callers who come at "
              "times of their "
              "own.</p>\n",
              out);
}

static double interval_rate(const interval_t *at)
{
    double seconds = (double)(at->to_ns - at->from_ns) / 1e9;

    return seconds > 0 ? (double)at->units / seconds : 0;
}

static void plot_over_time(const options_t *o, const result_t *r, FILE *out)
{
    size_t count = r->interval_count, answered = 0;
    point_t *rates = calloc(count + 1, sizeof *rates), *times = calloc(count + 1, sizeof *times);
    plot_t rate = {.out = out,
                   .title = "Rate over time",
                   .y_scale = SCALE_LINEAR,
                   .x_label = label_seconds,
                   .y_label = label_count};
    plot_t time = {.out = out,
                   .title = "p99 over time",
                   .y_scale = SCALE_LOG,
                   .y_min = 1e15,
                   .x_label = label_seconds,
                   .y_label = label_time};

    must(rates && times);
    rate.y_max = o->rate;
    for (size_t i = 0; i < count; i++) {
        const interval_t *at = &r->intervals[i];
        rates[i] = (point_t){(double)at->to_ns / 1e9, interval_rate(at)};
        if (rates[i].y > rate.y_max) rate.y_max = rates[i].y;
        if (!at->answered) continue;
        point_t *p99 = &times[answered++];
        *p99 = (point_t){(double)at->to_ns / 1e9, at->p99_ns ? (double)at->p99_ns : 1};
        if (p99->y > time.y_max) time.y_max = p99->y;
        if (p99->y < time.y_min) time.y_min = p99->y;
    }
    if (count) {
        rate.x_max = time.x_max = (double)r->intervals[count - 1].to_ns / 1e9;
        fprintf(out, "<h2>Rate over time, %s/s</h2>\n", o->scenario->unit);
        plot_begin(&rate);
        point_t target[] = {{0, o->rate}, {rate.x_max, o->rate}};
        if (o->rate) plot_line(&rate, target, 2, "--soft", "target", 10, false);
        plot_line(&rate, rates, count, "--a", "rate", o->rate ? -6 : 0, true);
        plot_end(&rate);
    }
    if (answered) {
        fputs("<h2>p99 over time</h2>\n", out);
        plot_begin(&time);
        plot_line(&time, times, answered, "--b", "p99", 0, false);
        plot_end(&time);
    }
    free(rates);
    free(times);
}

/* ---- where the time went ---- */

enum { BAR_WIDTH = 720, BAR_HEIGHT = 34 };

static void hop_bar(const result_t *r, FILE *out)
{
    double at = 0;

    fprintf(out,
            "<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>Shares of a delivery's time</title>\n",
            BAR_WIDTH, BAR_HEIGHT);
    for (size_t i = 0; show_hops[i].name; i++) {
        double width = BAR_WIDTH * show_share(r, i);
        if (!show_hops[i].part || width <= 0) continue;
        fprintf(
            out,
            "<rect style=\"fill:var(--h%zu)\" x=\"%.1f\" y=\"4\" width=\"%.1f\" height=\"26\"/>", i,
            at, width > 2 ? width - 1 : width);
        at += width;
    }
    fputs("</svg>\n", out);
}

static void hops(const result_t *r, FILE *out)
{
    if (!r->has_stats) return;
    fputs("<h2>Where the time of a delivery went</h2>\n", out);
    hop_bar(r, out);
    fputs("<table><thead><tr><th>hop</th><th>share</th><th>mean</th><th>p50</th><th>p99</"
          "th><th>max</th>"
          "<th></th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; show_hops[i].name; i++) {
        const hist_t *hist = stats_hist(&r->stats, show_hops[i].name);
        if (!hist) continue;
        fputs("<tr><td>", out);
        if (show_hops[i].part)
            fprintf(out, "<span class=\"key\" style=\"background:var(--h%zu)\"></span>", i);
        fprintf(out, "%s</td>", show_hops[i].name);
        if (show_hops[i].part)
            fprintf(out, "<td>%.1f %%</td>", 100 * show_share(r, i));
        else
            fputs("<td></td>", out);
        say_time(out, hist, 1000 * hist_mean(hist));
        say_time(out, hist, 1000 * hist_percentile(hist, 500000));
        say_time(out, hist, 1000 * hist_percentile(hist, 990000));
        say_time(out, hist, 1000 * hist_max(hist));
        fputs("<td class=\"text soft\">", out);
        xml_text(out, show_hops[i].about);
        fputs("</td></tr>\n", out);
    }
    fprintf(out,
            "</tbody></table>\n<p class=\"soft\">%" PRIu64 " deliveries, %" PRIu64 " commits</p>\n",
            stats_sum(&r->stats, "results"), stats_sum(&r->stats, "commits"));
}

/* ---- tables ---- */

static void latency_row(const char *name, const hist_t *hist, FILE *out)
{
    fprintf(out, "<tr><td>%s</td>", name);
    say_time(out, hist, hist_mean(hist));
    for (size_t i = 0; show_percentiles[i].name; i++)
        say_time(out, hist, hist_percentile(hist, show_percentiles[i].parts));
    say_time(out, hist, hist_max(hist));
    fputs("</tr>\n", out);
}

static void numbers(const options_t *o, const result_t *r, FILE *out)
{
    fputs("<h2>Numbers</h2>\n<table><thead><tr><th>latency</th><th>mean</th>", out);
    for (size_t i = 0; show_percentiles[i].name; i++)
        fprintf(out, "<th>%s</th>", show_percentiles[i].name);
    fputs("<th>max</th></tr></thead><tbody>\n", out);
    latency_row(o->rate ? "response" : "call", r->response, out);
    if (o->rate) latency_row("service", r->service, out);
    fprintf(out,
            "</tbody></table>\n<p>calls: sent %" PRIu64 ", answered %" PRIu64 ", dropped %" PRIu64
            ", late %" PRIu64 ", errors %" PRIu64 ", unanswered %" PRIu64 "; a call is %" PRIu64
            " %s</p>\n",
            r->sent, r->answered, r->dropped, r->late, r->errors, r->unanswered, scenario_units(o),
            o->scenario->unit);
    if (*r->first_error) {
        fputs("<p class=\"bad\">first error: ", out);
        xml_text(out, r->first_error);
        fputs("</p>\n", out);
    }
    double watched = r->watched_ns ? (double)r->watched_ns : 1;
    fprintf(out, "<p>processor, of one core: bench %.0f %%", 100 * show_bench_cpu(r));
    if (r->has_stats) fprintf(out, ", broker %.0f %%", 100 * (double)r->broker_cpu_ns / watched);
    if (r->has_hosts)
        fprintf(out, ", hosts and workers %.0f %%", 100 * (double)r->hosts_cpu_ns / watched);
    fputs("</p>\n<p class=\"soft\">", out);
    xml_text(out, r->before.cpu);
    fprintf(out, ", %u cores, ", r->before.cores);
    xml_text(out, r->before.kernel);
    fprintf(out, ", load %.2f before, %.2f after; vatctl " VATYARD_VERSION "</p>\n", r->before.load,
            r->after.load);
}

static void judged(const result_t *r, FILE *out)
{
    if (!r->check_count && !r->verdict_count) return;
    fputs("<h2>Checks</h2>\n<table><tbody>\n", out);
    for (size_t i = 0; i < r->check_count; i++) {
        const check_t *check = &r->checks[i];
        fprintf(out, "<tr><td>%s</td><td class=\"text%s\">%s</td></tr>\n", check->what,
                check->met ? "" : " bad", check->detail);
    }
    for (size_t i = 0; i < r->verdict_count; i++) {
        fputs("<tr><td>", out);
        xml_text(out, r->verdicts[i].text);
        fprintf(out, "</td><td class=\"text%s\">%s</td></tr>\n", r->verdicts[i].met ? "" : " bad",
                r->verdicts[i].met ? "met" : "not met");
    }
    fputs("</tbody></table>\n", out);
}

void report_write(const options_t *o, const result_t *r, FILE *out)
{
    char when[64];
    time_t now = time(NULL);

    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %z", localtime(&now));
    fprintf(out,
            "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" "
            "lang=\"en\">\n<head><meta charset=\"utf-8\"/>"
            "<meta name=\"viewport\" content=\"width=device-width\"/><title>vatctl bench "
            "%s</title>\n<style>\n%s</style>"
            "</head>\n<body>\n<h1>vatctl bench %s</h1>\n<p class=\"soft\">",
            o->scenario->name, style, o->scenario->name);
    xml_text(out, o->scenario->about);
    fprintf(out, ". %s</p>\n<p>", when);
    show_head(o, out);
    fputs("</p>\n", out);
    tiles(o, r, out);
    plot_percentiles(o, r, out);
    plot_over_time(o, r, out);
    hops(r, out);
    numbers(o, r, out);
    judged(r, out);
    fputs("</body>\n</html>\n", out);
}
