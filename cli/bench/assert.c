#include "cli/bench/assert.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/schema.h"

/* clang-format off */
static const struct { const char *name; metric_t metric; } metrics[] = {
    {"mean", METRIC_MEAN}, {"min", METRIC_MIN}, {"max", METRIC_MAX}, {"rate", METRIC_RATE},
    {"sent", METRIC_SENT}, {"answered", METRIC_ANSWERED}, {"dropped", METRIC_DROPPED},
    {"late", METRIC_LATE}, {"errors", METRIC_ERRORS}, {"unanswered", METRIC_UNANSWERED},
};
static const struct { const char *name; compare_t compare; } compares[] = {
    {"<=", LESS_EQUAL}, {">=", MORE_EQUAL}, {"==", EQUAL}, {"!=", NOT_EQUAL}, {"<", LESS}, {">", MORE},
};
static const struct { const char *name; double times; bool time; } units[] = {
    {"us", 1e3, true}, {"ms", 1e6, true}, {"s", 1e9, true}, {"m", 60e9, true},
    {"", 1, false}, {"k", 1e3, false}, {"M", 1e6, false},
};
/* clang-format on */
enum {
    METRICS = sizeof metrics / sizeof *metrics,
    COMPARES = sizeof compares / sizeof *compares,
    UNITS = sizeof units / sizeof *units
};

static const char *blanks(const char *at) { return at + strspn(at, " \t"); }

static err_t wrong(const char *text, const char *at, fail_t *f, const char *format, ...)
    LIKE_PRINTF(4);
static err_t wrong(const char *text, const char *at, fail_t *f, const char *format, ...)
{
    char what[256];
    va_list list;

    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    fail(f, ERR_BENCH_ASSERT, "--assert: %s", what);
    fail_caret(f, text, (size_t)(at - text));
    return ERR_BENCH_ASSERT;
}

bool assert_is_time(const assert_t *self) { return self->metric <= METRIC_MAX; }

/* A number as people write it: no hex, no inf. NULL: there is none at AT. */
static const char *number_read(const char *at, double *ret)
{
    size_t len = strspn(at, "0123456789.");
    char copy[32], *end;

    if (!len || len >= sizeof copy) return NULL;
    memcpy(copy, at, len);
    copy[len] = 0;
    *ret = strtod(copy, &end);
    return *end ? NULL : at + len;
}

static err_t percentile_read(const char *text, const char *at, const char *end, assert_t *ret,
                             fail_t *f)
{
    double percent;
    const char *behind = number_read(at + 1, &percent);

    if (behind != end || percent > 100)
        return wrong(text, at, f, "a percentile is from p0 to p100, as p99 or p99.9");
    ret->metric = METRIC_PERCENTILE;
    ret->parts = (uint32_t)lround(percent * (HIST_WHOLE / 100));
    return ERR_OK;
}

static err_t metric_read(const char *text, const char **at_p, assert_t *ret, fail_t *f)
{
    const char *at = *at_p, *names[METRICS + 2];
    char word[32];
    size_t len;

    if (strncmp(at, "service.", 8) == 0 || strncmp(at, "response.", 9) == 0) {
        ret->service = *at == 's';
        at = strchr(at, '.') + 1;
    }
    len = strcspn(at, "<>=! \t");
    *at_p = at + len;
    if (len > 1 && *at == 'p' && (isdigit((unsigned char)at[1]) || at[1] == '.'))
        return percentile_read(text, at, at + len, ret, f);
    snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), at);
    for (size_t i = 0; i < METRICS; i++) {
        names[i] = metrics[i].name;
        if (strcmp(word, metrics[i].name) != 0) continue;
        ret->metric = metrics[i].metric;
        if (at == text || assert_is_time(ret)) return ERR_OK;
        return wrong(text, text, f, "\"%s\" is no time", word);
    }
    if (!len) return wrong(text, at, f, "a metric is wanted here: p99, max, rate, errors, ...");
    names[METRICS] = "p50";
    names[METRICS + 1] = "p99";
    const char *like = nearest(word, names, METRICS + 2);
    return wrong(text, at, f, "there is no metric \"%s\"%s%s%s", word,
                 like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
}

static err_t compare_read(const char *text, const char **at, assert_t *ret, fail_t *f)
{
    for (size_t i = 0; i < COMPARES; i++) {
        size_t len = strlen(compares[i].name);
        if (strncmp(*at, compares[i].name, len) != 0) continue;
        ret->compare = compares[i].compare;
        *at += len;
        return ERR_OK;
    }
    return wrong(text, *at, f, "one of < <= > >= == != is wanted here");
}

static err_t unit_read(const char *text, const char *at, assert_t *ret, fail_t *f)
{
    size_t len = strcspn(at, " \t");
    bool time = assert_is_time(ret);

    if (*blanks(at + len))
        return wrong(text, blanks(at + len), f, "there is something behind the bound");
    for (size_t i = 0; i < UNITS; i++) {
        if (units[i].time != time || strlen(units[i].name) != len ||
            memcmp(units[i].name, at, len) != 0)
            continue;
        ret->bound *= units[i].times;
        return ERR_OK;
    }
    if (time) return wrong(text, at, f, "a time has a unit: us, ms, s or m");
    return wrong(text, at, f, "behind this number may be k or M, or nothing");
}

static err_t bound_read(const char *text, const char *at, assert_t *ret, fail_t *f)
{
    static const char target[] = "target";
    const char *behind = number_read(at, &ret->bound), *star = behind ? blanks(behind) : NULL;

    if (!behind) ret->bound = 1;
    if (star && *star == '*') {
        at = blanks(star + 1);
        if (strncmp(at, target, strlen(target)) != 0)
            return wrong(text, at, f, "\"target\" is wanted here");
    }
    if (strncmp(at, target, strlen(target)) == 0) {
        if (ret->metric != METRIC_RATE)
            return wrong(text, at, f, "only a rate is compared with the target");
        ret->of_target = true;
        at = blanks(at + strlen(target));
        return *at ? wrong(text, at, f, "there is something behind the bound") : ERR_OK;
    }
    if (!behind) return wrong(text, at, f, "a number is wanted here");
    return unit_read(text, star, ret, f);
}

err_t assert_read(const char *text, assert_t *ret, fail_t *f)
{
    const char *at = blanks(text);

    *ret = (assert_t){.text = text};
    text = at;
    err_t err = metric_read(text, &at, ret, f);
    at = blanks(at);
    if (!err) err = compare_read(text, &at, ret, f);
    return err ? err : bound_read(text, blanks(at), ret, f);
}

static double metric_of(const assert_t *self, const result_t *r)
{
    const hist_t *hist = self->service ? r->service : r->response;

    if (assert_is_time(self) && !hist_count(hist)) return (double)NAN;
    switch (self->metric) {
    case METRIC_PERCENTILE: return (double)hist_percentile(hist, self->parts);
    case METRIC_MEAN: return (double)hist_mean(hist);
    case METRIC_MIN: return (double)hist_min(hist);
    case METRIC_MAX: return (double)hist_max(hist);
    case METRIC_RATE: return result_rate(r);
    case METRIC_SENT: return (double)r->sent;
    case METRIC_ANSWERED: return (double)r->answered;
    case METRIC_DROPPED: return (double)r->dropped;
    case METRIC_LATE: return (double)r->late;
    case METRIC_ERRORS: return (double)r->errors;
    case METRIC_UNANSWERED: return (double)r->unanswered;
    }
    return (double)NAN;
}

bool assert_met(const assert_t *self, const options_t *options, const result_t *result,
                double *ret_is, double *ret_bound)
{
    double is = metric_of(self, result);
    double bound = self->of_target ? self->bound * options->rate : self->bound;

    *ret_is = is;
    *ret_bound = bound;
    if (isnan(is)) return false;
    switch (self->compare) {
    case LESS: return is < bound;
    case LESS_EQUAL: return is <= bound;
    case MORE: return is > bound;
    case MORE_EQUAL: return is >= bound;
    case EQUAL: return !(is < bound) && !(is > bound);
    case NOT_EQUAL: return is < bound || is > bound;
    }
    return false;
}
