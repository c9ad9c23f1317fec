#include "cli/bench/bench.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/base/must.h"

uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void result_clear(result_t *self)
{
    hist_destroy(&self->response);
    hist_destroy(&self->service);
    free(self->intervals);
    free(self->verdicts);
    stats_clear(&self->stats);
    self->intervals = NULL;
    self->verdicts = NULL;
}

void result_check(result_t *self, const char *what, bool met, const char *format, ...)
{
    va_list list;

    must(self->check_count < CHECKS_MAX);
    check_t *check = &self->checks[self->check_count++];
    *check = (check_t){.what = what, .met = met};
    va_start(list, format);
    vsnprintf(check->detail, sizeof check->detail, format, list);
    va_end(list);
}

bool result_good(const result_t *self)
{
    for (size_t i = 0; i < self->check_count; i++) {
        if (!self->checks[i].met) return false;
    }
    return true;
}

bool result_met(const result_t *self)
{
    for (size_t i = 0; i < self->verdict_count; i++) {
        if (!self->verdicts[i].met) return false;
    }
    return true;
}

double result_rate(const result_t *self)
{
    return self->elapsed_ns ? (double)self->units * 1e9 / (double)self->elapsed_ns : 0;
}

char *grouped(uint64_t number, char ret[GROUPED_MAX])
{
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%llu", (unsigned long long)number), to = 0;

    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) ret[to++] = ',';
        ret[to++] = plain[i];
    }
    ret[to] = 0;
    return ret;
}
