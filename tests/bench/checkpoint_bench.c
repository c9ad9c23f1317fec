/* What checkpoints of a vat cost: time and size of one, and what they add to each delivery, by how many
 * deliveries come between two. Supervisor, engine and database as in a worker; no pipe, no broker.
 *
 * Microseconds of CPU and of a clock for a crank; what checkpoints add to each crank, CPU; milliseconds
 * of CPU and of a clock for one, and of the longest.
 *
 *   ninja checkpoint_bench && build/.../bin/checkpoint_bench [FOLDER] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vathost/store/vatdb.h"
#include "vathost/supervisor/supervisor.h"
#include "vathost/xs/xs_engine.h"
#include "wire/base/must.h"

enum { RUNS = 2000, COUNTERS = 1000, MAKE_AT_ONCE = 500 };

static const vat_t vat = {1};

typedef struct {
    const char *path;
    engine_t *engine;
    vatstore_t *store;
    supervisor_t *supervisor;
} life_t;

static double now_ms(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static void run(life_t *self, msg_tag_t tag, const void *body)
{
    const crank_t *crank;
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    must(!msg_encode(tag, body, &frame));
    const msg_deliver_t deliver = {
        .vat = vat, .d = supervisor_last(self->supervisor) + 1, .delivery = {frame.at, frame.len}};
    must(!supervisor_run(self->supervisor, &deliver, &crank));
    if (crank->outcome) fprintf(stderr, "%s\n", crank->reason);
    must(!crank->outcome);
    buf_clear(&frame);
}

static void call(life_t *self, const char *methargs)
{
    const msg_deliver_message_t message = {
        .stamp_ms = 1,
        .target = kref_root(vat),
        .methargs = {{(const uint8_t *)methargs, strlen(methargs)}, {NULL, 0}}};
    run(self, TAG_deliver_message, &message);
}

static life_t begin(const char *path)
{
    life_t self = {.path = path};
    xs_golden_t kind;
    char golden[512];
    must(!xs_golden_for(BENCH_BUNDLE, &kind));
    snprintf(golden, sizeof golden, "%s/%s", BENCH_SHARE, xs_golden_file(kind));
    const xs_options_t options = {.vat = vat, .name = "bench", .bundle = BENCH_BUNDLE};
    must(!xs_engine_new(golden, &self.engine));
    must(!xs_engine_open(self.engine, &options));

    vatdb_delete(path);
    const vatdb_options_t where = {path, {{1}}, vat, 1};
    must(!vatdb_open(&where, &self.store));
    self.supervisor = supervisor_new(vat, self.store, self.engine);
    const msg_deliver_start_t start = {.stamp_ms = 1,
                                       .parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};
    run(&self, TAG_deliver_start, &start);
    return self;
}

static void end(life_t *self)
{
    supervisor_destroy(&self->supervisor);
    vatstore_destroy(&self->store);
    engine_destroy(&self->engine);
    vatdb_delete(self->path);
}

static void save(life_t *self)
{
    must(!supervisor_checkpoint(self->supervisor, supervisor_last(self->supervisor),
                                (bin_t){NULL, 0}));
}

/* One life of RUNS deliveries with a checkpoint after each EVERY of them, 0: none. */
static void measure(const char *path, const char *name, bool durable, int every)
{
    double cpu = 0, all = 0, save_cpu = 0, save_all = 0, longest = 0;
    int saves = 0;
    life_t self = begin(path);
    char body[64];

    for (int i = 0; durable && i < COUNTERS; i += MAKE_AT_ONCE) {
        snprintf(body, sizeof body, "#[\"make\",[%d,%d]]", i, i + MAKE_AT_ONCE);
        call(&self, body);
    }
    save(&self);
    for (int i = 0; i < RUNS; i++) {
        snprintf(body, sizeof body, durable ? "#[\"incr\",[%d]]" : "#[\"ping\",[]]", i % COUNTERS);
        double from_cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID), from = now_ms(CLOCK_MONOTONIC);
        call(&self, body);
        double mid_cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID), mid = now_ms(CLOCK_MONOTONIC);
        cpu += mid_cpu - from_cpu;
        all += mid - from;
        if (!every || (i + 1) % every) continue;
        save(&self);
        double took = now_ms(CLOCK_MONOTONIC) - mid;
        save_cpu += now_ms(CLOCK_PROCESS_CPUTIME_ID) - mid_cpu;
        save_all += took;
        if (took > longest) longest = took;
        saves++;
    }
    printf("%-18s %6d %10.1f %10.1f %11.1f %8.2f %8.2f %8.2f %9lu\n", name, every, cpu / RUNS * 1e3,
           all / RUNS * 1e3, save_cpu / RUNS * 1e3, saves ? save_cpu / saves : 0,
           saves ? save_all / saves : 0, longest,
           (unsigned long)self.store->bytes(self.store) / 1024);
    fflush(stdout);
    end(&self);
}

int main(int argc, char **argv)
{
    static const int every[] = {0, 10, 50, 200, 1000};
    char path[512];
    snprintf(path, sizeof path, "%s/checkpoint-bench-%d.db", argc > 1 ? argv[1] : "/tmp",
             (int)getpid());
    printf("%-18s %6s %10s %10s %11s %8s %8s %8s %9s\n", "vat", "every", "crank cpu", "crank us",
           "+ cpu each", "cp cpu", "cp ms", "longest", "db KiB");
    for (int durable = 0; durable < 2; durable++) {
        for (size_t i = 0; i < sizeof every / sizeof *every; i++)
            measure(path, durable ? "1,000 durable" : "trivial", durable, every[i]);
    }
    return 0;
}
