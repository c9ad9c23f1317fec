#include "cli/bench/start.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

typedef struct {
    stage_t *stage;
    const options_t *options;
    result_t *result;
    uint64_t begin_ns; /* of the phase */
    uint64_t launches; /* so far, all phases */
} start_run_t;

/* Launches one cluster and removes it; how long the launch took. */
static err_t once(start_run_t *self, uint64_t *ret_ns, fail_t *f)
{
    char name[96];
    launched_t launched;

    snprintf(name, sizeof name, "%s-%llu", self->stage->name, (unsigned long long)++self->launches);
    uint64_t began = now_ns();
    err_t err = stage_launch_as(self->stage, name, &launched, f);
    *ret_ns = now_ns() - began;
    return err ? err : stage_remove(self->stage, launched.cluster, f);
}

static void note(start_run_t *self, uint64_t now, uint64_t took)
{
    result_t *result = self->result;

    result->intervals =
        realloc(result->intervals, (result->interval_count + 1) * sizeof *result->intervals);
    must(result->intervals);
    interval_t *interval = &result->intervals[result->interval_count++];
    *interval = (interval_t){.from_ns = result->elapsed_ns,
                             .to_ns = now - self->begin_ns,
                             .sent = 1,
                             .answered = 1,
                             .units = self->options->vats,
                             .p50_ns = took,
                             .p99_ns = took,
                             .max_ns = took};
    result->sent++;
    result->answered++;
    result->units += self->options->vats;
    result->elapsed_ns = interval->to_ns;
    hist_record(result->response, took);
    hist_record(result->service, took);
}

static bool over(const start_run_t *self, uint64_t ns, uint64_t count)
{
    if (signal_caught()) return true;
    return (ns && now_ns() - self->begin_ns >= ns) || (count && self->result->answered >= count);
}

err_t start_make(stage_t *stage, const load_hooks_t *hooks, result_t *result, fail_t *f)
{
    const options_t *options = stage->options;
    start_run_t self = {.stage = stage, .options = options, .result = result, .begin_ns = now_ns()};
    err_t err = ERR_OK;
    uint64_t took;

    result->response = hist_new(BENCH_BITS);
    result->service = hist_new(BENCH_BITS);
    while (!err && options->warmup_ns && !over(&self, options->warmup_ns, 0))
        err = once(&self, &took, f);

    hooks->begin(hooks->context);
    self.begin_ns = now_ns();
    while (!err && !over(&self, options->duration_ns, options->count)) {
        err = once(&self, &took, f);
        if (err) break;
        uint64_t now = now_ns();
        note(&self, now, took);
        moment_t moment = {.at_ns = now - self.begin_ns,
                           .end_ns = options->duration_ns,
                           .done = result->answered,
                           .wanted = options->count,
                           .rate = (double)options->vats * 1e9 / (double)took,
                           .p99_ns = hist_percentile(result->service, 990000)};
        hooks->each(hooks->context, &moment);
    }
    if (!err) hooks->end(hooks->context);
    result->stopped = signal_caught() != 0;
    return result->stopped && err == ERR_TIMED_OUT ? ERR_OK : err;
}
