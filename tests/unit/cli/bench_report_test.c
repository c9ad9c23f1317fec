/* The report of `bench` is well-formed whatever is in the result: no calls at all, one interval, errors whose
 * text comes from a vat. A small checker walks the tags; a whole parser has its turn in the e2e test. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/plot.h"
#include "cli/bench/report.h"

enum { DEPTH_MAX = 64, REPORT_BYTES_MAX = 1 << 20 };

typedef struct {
    const char *at;
    char open[DEPTH_MAX][16];
    int depth;
} walk_t;

static void entity(walk_t *self)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    for (size_t i = 0; i < 4; i++) {
        if (strncmp(self->at, known[i], strlen(known[i])) != 0) continue;
        self->at += strlen(known[i]);
        return;
    }
    cr_assert(false, "a bare &: %.40s", self->at);
}

static void attributes(walk_t *self)
{
    while (isspace((unsigned char)*self->at)) {
        self->at += strspn(self->at, " \n");
        size_t len = strcspn(self->at, "= />");
        cr_assert(len && self->at[len] == '=' && self->at[len + 1] == '"', "%.40s", self->at);
        self->at += len + 2;
        while (*self->at != '"') {
            cr_assert(*self->at && *self->at != '<', "%.40s", self->at);
            if (*self->at == '&')
                entity(self);
            else
                self->at++;
        }
        self->at++;
    }
}

static void tag(walk_t *self)
{
    char name[16];
    bool closes = self->at[1] == '/';

    self->at += 1 + closes;
    size_t len = strcspn(self->at, " />");
    cr_assert(len && len < sizeof name, "%.40s", self->at);
    memcpy(name, self->at, len);
    name[len] = 0;
    self->at += len;
    if (closes) {
        cr_assert(self->depth > 0 && strcmp(self->open[self->depth - 1], name) == 0, "</%s>", name);
        self->depth--;
    } else {
        attributes(self);
        if (*self->at == '/') {
            self->at++;
        } else {
            cr_assert_lt(self->depth, DEPTH_MAX);
            strcpy(self->open[self->depth++], name);
        }
    }
    cr_assert_eq(*self->at, '>', "%.40s", self->at);
    self->at++;
}

static void well_formed(const char *text)
{
    walk_t walk = {.at = text};

    cr_assert(strncmp(text, "<!DOCTYPE html>\n", 16) == 0);
    walk.at += 16;
    while (*walk.at) {
        if (*walk.at == '<')
            tag(&walk);
        else if (*walk.at == '&')
            entity(&walk);
        else
            cr_assert(*walk.at == '\n' || (unsigned char)*walk.at++ >= ' ');
        if (*walk.at == '\n') walk.at++;
    }
    cr_assert_eq(walk.depth, 0, "<%s> is open", walk.depth ? walk.open[walk.depth - 1] : "");
    cr_assert(!strstr(text, "<script"));
    static const char *const no_numbers[] = {"\"nan", ",nan", " nan", "-nan",
                                             "\"inf", ",inf", " inf", "-inf"};
    for (size_t i = 0; i < sizeof no_numbers / sizeof *no_numbers; i++)
        cr_assert(!strstr(text, no_numbers[i]), "%s", no_numbers[i]);
}

static char *report_of(const options_t *options, const result_t *result)
{
    static char text[REPORT_BYTES_MAX];
    FILE *file = fmemopen(text, sizeof text, "w");
    report_write(options, result, file);
    fclose(file);
    well_formed(text);
    return text;
}

static options_t options_of(double rate)
{
    return (options_t){.scenario = scenario_find("ping"),
                       .hosts = 1,
                       .rate = rate,
                       .rounds = 1,
                       .concurrency = 1,
                       .duration_ns = 1000000000};
}

static result_t result_new(void)
{
    return (result_t){.response = hist_new(BENCH_BITS), .service = hist_new(BENCH_BITS)};
}

Test(report, of_nothing_at_all)
{
    options_t options = options_of(0);
    result_t result = result_new();
    cr_expect(!strstr(report_of(&options, &result), "<svg"), "nothing to draw");
    result_clear(&result);
}

Test(report, of_hostile_words)
{
    options_t options = options_of(100);
    result_t result = result_new();
    verdict_t *verdict = calloc(1, sizeof *verdict);

    *verdict = (verdict_t){.text = "p99<1us & \"x\"", .is_time = true, .is = (double)NAN};
    result.verdicts = verdict;
    result.verdict_count = 1;
    result.errors = 1;
    strcpy(result.first_error, "rejected: </p><script>alert(\"1\" & '2')</script>\x01\x7f");
    strcpy(result.before.cpu, "CPU <&>");
    const char *text = report_of(&options, &result);
    cr_expect(
        strstr(text, "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot; &amp; '2')&lt;/script&gt;??"));
    cr_expect(strstr(text, "p99&lt;1us"));
    result_clear(&result);
}

Test(report, of_every_number_of_intervals)
{
    for (size_t count = 1; count < 40; count += 13) {
        options_t options = options_of(count % 2 ? 1000 : 0);
        result_t result = result_new();
        result.intervals = calloc(count, sizeof *result.intervals);
        result.interval_count = count;
        for (size_t i = 0; i < count; i++) {
            /* One in which nothing was answered, and one of no length. */
            result.intervals[i] = (interval_t){.from_ns = i * 1000,
                                               .to_ns = i == 3 ? i * 1000 : (i + 1) * 1000,
                                               .answered = i == 2 ? 0 : 1 + i,
                                               .units = i == 2 ? 0 : 1 + i,
                                               .p99_ns = i == 2 ? 0 : UINT64_C(1000) << i % 30};
            hist_record(result.response, 1 + i * i * 1000);
            hist_record(result.service, 1 + i * 1000);
        }
        result.answered = result.units = count;
        result.elapsed_ns = count * 1000;
        const char *text = report_of(&options, &result);
        cr_expect(strstr(text, "Latency by percentile") && strstr(text, "Rate over time"));
        cr_expect_eq(strstr(text, ">service</text>") != NULL, options.rate > 0);
        result_clear(&result);
    }
}

Test(report, ticks_are_round)
{
    cr_expect_float_eq(tick_step(0, 10, 5), 2, 1e-9);
    cr_expect_float_eq(tick_step(0, 97, 4), 50, 1e-9);
    cr_expect_float_eq(tick_step(0, 0.003, 4), 0.001, 1e-9);
    cr_expect_float_eq(tick_step(5, 5, 4), 1, 1e-9);
    cr_expect_float_eq(tick_step(0, 1e7, 8), 2e6, 1e-3);
}
