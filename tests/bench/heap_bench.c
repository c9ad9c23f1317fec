/* What it costs to save the engine of a vat and to load it again: time, bytes, memory.
 *
 *   ninja heap_bench && build/.../bin/heap_bench */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/must.h"

enum { TIMES = 15, SAVED_BYTES_MAX = 1 << 28 };

static double now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static long resident_kib(void)
{
    long all, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    must(file && fscanf(file, "%ld %ld", &all, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void fine(const engine_report_t *report)
{
    if (report->outcome) fprintf(stderr, "%s\n", report->reason);
    must(!report->outcome);
}

static void grow(xs_vat_t *vat, const char *method, unsigned from, unsigned to)
{
    char body[80];
    snprintf(body, sizeof body, "#[\"%s\",[%u,%u]]", method, from, to);
    fine(xs_vat_call(vat, body));
    (void)xs_vat_calls(vat);
    (void)xs_vat_store(vat);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double times[TIMES])
{
    qsort(times, TIMES, sizeof *times, compare);
    return times[TIMES / 2];
}

/* In a process of its own, so that one vat's memory is not another's. */
static void measure(const char *name, const char *method, unsigned count)
{
    fflush(stdout);
    pid_t child = fork();
    must(child >= 0);
    if (child) {
        waitpid(child, NULL, 0);
        return;
    }
    xs_vat_t *vat = xs_vat_new(BENCH_BUNDLE, (xs_options_t){0});
    fine(xs_vat_start(vat, "#{}"));
    enum { STEP = 500 };
    for (unsigned i = 0; i < count; i += STEP) grow(vat, method, i, i + STEP);
    fine(xs_vat_call(vat, "#[\"ping\",[]]"));
    fine(xs_vat_reap(vat));

    double saves[TIMES], loads[TIMES];
    size_t bytes = 0;
    long resident = resident_kib(), peak = 0;
    engine_t *engine = xs_vat_engine(vat);
    for (int i = 0; i < TIMES; i++) {
        buf_t saved = buf_of(SAVED_BYTES_MAX);
        double start = now_ms();
        must(!engine->save(engine, &saved));
        saves[i] = now_ms() - start;
        if (!peak) peak = peak_kib();
        start = now_ms();
        must(!engine->load(engine, (bin_t){saved.at, saved.len}));
        loads[i] = now_ms() - start;
        bytes = saved.len;
        buf_clear(&saved);
        fine(xs_vat_call(vat, "#[\"ping\",[]]"));
    }
    printf("%-28s %8.1f %8.1f %10zu %9ld %9ld\n", name, median(saves), median(loads), bytes / 1024,
           resident, peak - resident);
    fflush(stdout);
    _exit(0);
}

int main(void)
{
    printf("%-28s %8s %8s %10s %9s %9s\n", "vat", "save ms", "load ms", "saved KiB", "RSS KiB",
           "peak + KiB");
    measure("trivial", "make", 0);
    measure("10,000 durable objects", "make", 10000);
    measure("20 MB of heap", "hold", 36000);
    return 0;
}
