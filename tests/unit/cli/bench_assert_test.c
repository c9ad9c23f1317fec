/* Assertions of `bench`: what they mean, what is refused and where, and what is true of a result. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "cli/bench/assert.h"

static fail_t f;

Test(assert, means_what_it_says)
{
    static const struct {
        const char *text;
        metric_t metric;
        compare_t compare;
        double bound;
        uint32_t parts;
        bool service, of_target;
    } rows[] = {
        {"p99<10ms", METRIC_PERCENTILE, LESS, 10e6, 990000, false, false},
        {"p99.9 <= 1.5s", METRIC_PERCENTILE, LESS_EQUAL, 1.5e9, 999000, false, false},
        {"p99.99>2us", METRIC_PERCENTILE, MORE, 2e3, 999900, false, false},
        {"p0>0us", METRIC_PERCENTILE, MORE, 0, 0, false, false},
        {"p100<1m", METRIC_PERCENTILE, LESS, 60e9, HIST_WHOLE, false, false},
        {"service.p50<1ms", METRIC_PERCENTILE, LESS, 1e6, 500000, true, false},
        {"response.max != 3 ms", METRIC_MAX, NOT_EQUAL, 3e6, 0, false, false},
        {" mean\t>= 1ms ", METRIC_MEAN, MORE_EQUAL, 1e6, 0, false, false},
        {"errors==0", METRIC_ERRORS, EQUAL, 0, 0, false, false},
        {"dropped < 10", METRIC_DROPPED, LESS, 10, 0, false, false},
        {"rate>=2k", METRIC_RATE, MORE_EQUAL, 2000, 0, false, false},
        {"sent>1M", METRIC_SENT, MORE, 1e6, 0, false, false},
        {"rate>=0.99*target", METRIC_RATE, MORE_EQUAL, 0.99, 0, false, true},
        {"rate >= 0.5 * target", METRIC_RATE, MORE_EQUAL, 0.5, 0, false, true},
        {"rate>=target", METRIC_RATE, MORE_EQUAL, 1, 0, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_t got;
        cr_assert_eq(assert_read(rows[i].text, &got, &f), ERR_OK, "%s: %s", rows[i].text, f.what);
        cr_expect_eq(got.metric, rows[i].metric, "%s", rows[i].text);
        cr_expect_eq(got.compare, rows[i].compare, "%s", rows[i].text);
        cr_expect_eq(got.service, rows[i].service, "%s", rows[i].text);
        cr_expect_eq(got.of_target, rows[i].of_target, "%s", rows[i].text);
        cr_expect_eq(got.parts, rows[i].parts, "%s", rows[i].text);
        cr_expect_float_eq(got.bound, rows[i].bound, 1e-9 * rows[i].bound, "%s", rows[i].text);
    }
}

Test(assert, errors_name_the_place)
{
    static const struct {
        const char *text, *says, *mark; /* MARK: blanks and the mark under the text */
    } rows[] = {
        {"", "a metric is wanted", "^"},
        {"p99", "one of <", "   ^"},
        {"p99<", "a number is wanted", "    ^"},
        {"p99<10", "a time has a unit", "      ^"},
        {"p99<10parsecs", "a time has a unit", "      ^"},
        {"p99<10ms or so", "behind the bound", "         ^"},
        {"p101<1ms", "from p0 to p100", "^"},
        {"p9x<1ms", "from p0 to p100", "^"},
        {"eror==0", "did you mean \"errors\"?", "^"},
        {"service.rate>1", "is no time", "^"},
        {"rate=5", "one of <", "    ^"},
        {"rate>=0x10", "may be k or M", "       ^"},
        {"rate>=-5", "a number is wanted", "      ^"},
        {"rate>=nan", "a number is wanted", "      ^"},
        {"rate>=1.2.3", "a number is wanted", "      ^"},
        {"errors==0ms", "may be k or M", "         ^"},
        {"p99<2*target", "only a rate", "      ^"},
        {"rate>=2*", "\"target\" is wanted", "        ^"},
        {"rate>=targets", "behind the bound", "            ^"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_t got;
        cr_assert_eq(assert_read(rows[i].text, &got, &f), ERR_BENCH_ASSERT, "%s", rows[i].text);
        cr_expect(strstr(f.what, rows[i].says), "%s: %s", rows[i].text, f.what);
        const char *mark = strchr(f.why, '\n');
        cr_assert(mark, "%s: %s", rows[i].text, f.why);
        cr_expect_str_eq(mark + 1, rows[i].mark, "%s: %s", rows[i].text, f.why);
    }
}

static bool met(const char *text, const options_t *options, const result_t *result)
{
    assert_t assert;
    double is, bound;

    cr_assert_eq(assert_read(text, &assert, &f), ERR_OK, "%s: %s", text, f.what);
    return assert_met(&assert, options, result, &is, &bound);
}

Test(assert, is_true_or_not)
{
    options_t open = {.rate = 100};
    result_t result = {.response = hist_new(10),
                       .service = hist_new(10),
                       .sent = 1000,
                       .answered = 995,
                       .errors = 5,
                       .units = 995,
                       .elapsed_ns = 10000000000};

    cr_expect(!met("p99<1s", &open, &result), "nothing was answered: no time is small");
    cr_expect(!met("p99!=1s", &open, &result));
    for (uint64_t ms = 1; ms <= 100; ms++) {
        hist_record(result.response, ms * 1000000);
        hist_record(result.service, ms * 500000);
    }
    static const struct {
        const char *text;
        bool met;
    } rows[] = {
        {"p50<51ms", true},          {"p50<50ms", false},         {"p50>=50ms", true},
        {"max==100ms", true},        {"max<100ms", false},        {"max<=100ms", true},
        {"min==1ms", true},          {"service.max==50ms", true}, {"mean>50ms", true},
        {"mean>51ms", false},        {"p99<99ms", false},         {"service.p99<51ms", true},
        {"errors==5", true},         {"errors!=5", false},        {"sent>=1k", true},
        {"answered>995", false},     {"rate>99", true},           {"rate>=target", false},
        {"rate>=0.99*target", true}, {"late==0", true},           {"dropped==0", true},
        {"unanswered==0", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(met(rows[i].text, &open, &result), rows[i].met, "%s", rows[i].text);
    result_clear(&result);
}
