/* bench: the load test. Its parts are in cli/bench; bench.h says how they go together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/assert.h"
#include "cli/bench/progress.h"
#include "cli/bench/report.h"
#include "cli/bench/show.h"
#include "cli/bench/stage.h"
#include "cli/bench/start.h"
#include "cli/bench/watch.h"
#include "cli/schema.h"
#include "cli/table.h"
#include "wire/base/must.h"

static const uint64_t MS = 1000000;
enum { INTERVAL_MIN_MS = 10 };

/* ---- flags ---- */

/* 250, 10k, 2M; 64Ki, 1Mi for sizes. */
static bool quantity_read(const char *text, double *ret)
{
    static const struct {
        const char *name;
        double times;
    } suffixes[] = {{"", 1},         {"k", 1e3},    {"M", 1e6},       {"G", 1e9},  {"Ki", 1024},
                    {"Mi", 1 << 20}, {"KiB", 1024}, {"MiB", 1 << 20}, {"KB", 1e3}, {"MB", 1e6}};
    char *end;

    if (!strchr("0123456789.", *text)) return false;
    *ret = strtod(text, &end);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (strcmp(end, suffixes[i].name) != 0) continue;
        *ret *= suffixes[i].times;
        return true;
    }
    return false;
}

/* A flag that is a quantity of at most MAX; 0 when it is not there. */
static err_t quantity(cli_t *cli, const char *name, double least, double most, double *ret)
{
    const char *text = args_text(&cli->args, name);

    *ret = 0;
    if (!text || (quantity_read(text, ret) && *ret >= least && *ret <= most)) return ERR_OK;
    fail(&cli->f, ERR_BAD_VALUE, "--%s cannot be \"%.200s\"", name, text);
    fail_why(&cli->f, "a number from %g to %g is wanted, such as 250, 10k or 64Ki", least, most);
    return ERR_BAD_VALUE;
}

static err_t scenario_read(cli_t *cli, options_t *o)
{
    const char *word = cli->args.words[0], *names[16];
    size_t count = 0;

    o->scenario = scenario_find(word);
    if (o->scenario) return ERR_OK;
    for (; scenario_at(count); count++) names[count] = scenario_at(count)->name;
    const char *like = nearest(word, names, count);
    err_t err = fail(&cli->f, ERR_BENCH_SCENARIO, "no scenario \"%.100s\"%s%s%s", word,
                     like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
    fail_try(&cli->f, "vatctl bench");
    return err;
}

static bool choice_is(const cli_t *cli, const char *flag, const char *value)
{
    const char *text = args_text(&cli->args, flag);

    return text && strcmp(text, value) == 0;
}

static err_t counts_read(cli_t *cli, options_t *o)
{
    const args_t *args = &cli->args;
    double count, payload;

    err_t err = quantity(cli, "count", 1, 1e12, &count);
    if (!err) err = quantity(cli, "payload", 0, 8e6, &payload);
    if (!err) err = quantity(cli, "rate", 0.001, 1e7, &o->rate);
    if (err) return err;
    o->count = (uint64_t)count;
    o->payload = (uint64_t)payload;
    o->hosts = args_count(args, "hosts", 0);
    o->pairs = args_count(args, "pairs", 0);
    o->vats = args_count(args, "vats", 0);
    o->depth = args_count(args, "depth", 0);
    o->objects = args_count(args, "objects", 0);
    o->rounds = args_count(args, "rounds", 0);
    o->window = args_count(args, "window", 0);
    o->seed = args_count(args, "seed", 1);
    o->concurrency = args_count(args, "concurrency", 1);
    static const struct {
        const char *name;
        uint64_t most;
    } limits[] = {{"hosts", 1000},        {"pairs", 4000},
                  {"vats", 8000},         {"depth", 5000},
                  {"objects", 5000},      {"rounds", 5000},
                  {"window", WINDOW_MAX}, {"concurrency", IN_FLIGHT_MAX}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (args_count(args, limits[i].name, 0) <= limits[i].most) continue;
        return fail(&cli->f, ERR_BAD_VALUE, "--%s: at most %llu", limits[i].name,
                    (unsigned long long)limits[i].most);
    }
    return ERR_OK;
}

static err_t options_read(cli_t *cli, options_t *o)
{
    const args_t *args = &cli->args;

    err_t err = scenario_read(cli, o);
    if (!err) err = counts_read(cli, o);
    if (err) return err;
    o->null_engine = choice_is(cli, "engine", "null");
    o->direct = choice_is(cli, "from", "client");
    o->steps = args_yes(args, "no-pipeline");
    o->serial = args_yes(args, "serial");
    o->arrival = choice_is(cli, "arrival", "uniform") ? ARRIVAL_UNIFORM : ARRIVAL_POISSON;
    o->duration_ns = args_ms(args, "duration", o->count ? 0 : 10 * 1000) * MS;
    o->warmup_ns = args_ms(args, "warmup", o->count ? 0 : 2 * 1000) * MS;
    o->interval_ns = args_ms(args, "interval", 1000) * MS;
    o->patience_ns = args_ms(args, "timeout", 30 * 1000) * MS;
    if (!o->duration_ns && !o->count)
        return fail(&cli->f, ERR_BAD_VALUE, "--duration: nothing can be measured in no time");
    if (o->interval_ns < INTERVAL_MIN_MS * MS)
        return fail(&cli->f, ERR_BAD_VALUE, "--interval: at least %d ms", INTERVAL_MIN_MS);
    if (o->rate && args_text(args, "concurrency")) {
        fail(&cli->f, ERR_BAD_VALUE, "--rate and --concurrency exclude each other");
        fail_why(&cli->f, "an open loop has in flight what the rate makes it have");
        return ERR_BAD_VALUE;
    }
    return scenario_settle(o, &cli->f);
}

/* ---- assertions ---- */

/* All of them are read before anything is started. */
static err_t asserts_read(cli_t *cli, const options_t *o, assert_t *asserts, size_t *ret_count)
{
    const char *text;

    for (*ret_count = 0; (text = args_texts(&cli->args, "assert", *ret_count)); ++*ret_count) {
        assert_t *at = &asserts[*ret_count];
        err_t err = assert_read(text, at, &cli->f);
        if (err) return err;
        if (!at->of_target || o->rate) continue;
        fail(&cli->f, ERR_BENCH_ASSERT, "--assert %.200s: there is no target", text);
        fail_why(&cli->f, "without --rate the load is as much as is answered");
        return ERR_BENCH_ASSERT;
    }
    return ERR_OK;
}

static void asserts_judge(const options_t *o, const assert_t *asserts, size_t count,
                          result_t *result)
{
    result->verdicts = calloc(count + 1, sizeof *result->verdicts);
    must(result->verdicts);
    for (size_t i = 0; i < count; i++) {
        verdict_t *verdict = &result->verdicts[result->verdict_count++];
        *verdict = (verdict_t){.text = asserts[i].text, .is_time = assert_is_time(&asserts[i])};
        verdict->met = assert_met(&asserts[i], o, result, &verdict->is, &verdict->bound);
    }
}

/* ---- the run ---- */

static err_t left_over(stage_t *stage, result_t *result, fail_t *f)
{
    err_t err = stage_counts(stage, &result->after_objects, &result->after_promises, f);

    if (err) return err;
    result_check(result, "objects", result->after_objects == result->before_objects,
                 "%lld left over", (long long)(result->after_objects - result->before_objects));
    result_check(result, "promises", result->after_promises == result->before_promises,
                 "%lld left over", (long long)(result->after_promises - result->before_promises));
    return ERR_OK;
}

/* What was sent must have come, and nothing of it may be left. While calls are open that cannot be said. */
static err_t check(stage_t *stage, result_t *result, fail_t *f)
{
    const options_t *o = stage->options;
    krefs_t targets = {stage->targets, stage->target_count};

    if (result->stopped) return ERR_OK;
    uint64_t errors = result->errors + result->other_errors;
    result_check(result, "answers", errors == 0 && result->unanswered == 0,
                 "%llu errors, %llu unanswered", (unsigned long long)errors,
                 (unsigned long long)result->unanswered);
    err_t err = ERR_OK;
    if (o->scenario->id != SCENARIO_START && !result->unanswered)
        err = scenario_check(o, stage->link, stage->lanes, stage->lane_count, targets, result, f);
    return err ? err : left_over(stage, result, f);
}

typedef struct {
    progress_t progress;
    watch_t watch;
    result_t *result;
} look_t;

static void look_begin(void *context) { watch_begin(&((look_t *)context)->watch); }

static void look_end(void *context)
{
    look_t *self = context;

    watch_end(&self->watch, self->result);
    self->result->after = machine_look();
}

static void look_each(void *context, const moment_t *moment)
{
    progress_show(&((look_t *)context)->progress, moment);
}

static err_t go(stage_t *stage, look_t *look, result_t *result, fail_t *f)
{
    const options_t *o = stage->options;
    const load_hooks_t hooks = {look_begin, look_end, look_each, look};
    bool start = o->scenario->id == SCENARIO_START;

    err_t err = start ? ERR_OK : stage_launch(stage, f);
    if (!err) err = stage_counts(stage, &result->before_objects, &result->before_promises, f);
    if (err) return err;
    result->before = machine_look();
    err = start ? start_make(stage, &hooks, result, f)
                : load_make(o, stage->link, stage->lanes, stage->lane_count, &hooks, result, f);
    progress_end(&look->progress);
    return err ? err : check(stage, result, f);
}

/* ---- the result ---- */

/* Opened before the run, so that nobody waits an hour for a path that cannot be written. */
static err_t file_open(cli_t *cli, const char *flag, FILE **ret)
{
    const char *path = args_text(&cli->args, flag);

    if (!path) return ERR_OK;
    *ret = fopen(path, "we");
    if (*ret) return ERR_OK;
    fail(&cli->f, ERR_FILE_MISSING, "--%s: %.1000s cannot be written", flag, path);
    fail_why(&cli->f, "%s", strerror(errno));
    return ERR_FILE_MISSING;
}

static err_t file_close(cli_t *cli, const char *flag, FILE *file)
{
    if (!file || fclose(file) == 0) return ERR_OK;
    fail(&cli->f, ERR_STORE, "--%s: %.1000s cannot be written", flag, args_text(&cli->args, flag));
    fail_why(&cli->f, "%s", strerror(errno));
    return ERR_STORE;
}

static void print(cli_t *cli, const options_t *o, const result_t *result)
{
    if (cli->json)
        out_json(show_json(o, result));
    else if (cli->quiet)
        show_line(o, result, stdout);
    else
        show_table(o, result, stdout);
}

static void list(cli_t *cli)
{
    table_t table = table_of("SCENARIO COUNTS WHAT");
    json_t *json = json_array();

    for (size_t i = 0; scenario_at(i); i++) {
        const scenario_t *scenario = scenario_at(i);
        table_add(&table, "%s", scenario->name);
        table_add(&table, "%s", scenario->unit);
        table_add(&table, "%s", scenario->about);
        json_array_append_new(json, json_pack("{s:s, s:s, s:s}", "scenario", scenario->name, "unit",
                                              scenario->unit, "what", scenario->about));
    }
    out_table(cli, &table, json);
    say(cli, "\nvatctl bench SCENARIO runs one; vatctl help bench has the flags");
}

/* Everything between the flags and the result. */
static err_t bench(cli_t *cli, options_t *options, result_t *result)
{
    stage_t stage;
    look_t look = {progress_of(options, args_text(&cli->args, "progress"), cli->quiet),
                   {.stage = &stage},
                   result};

    signals_catch();
    err_t err = stage_open(&stage, cli, options, &cli->f);
    if (!err) err = go(&stage, &look, result, &cli->f);
    progress_end(&look.progress);
    watch_clear(&look.watch);
    stage_close(&stage);
    return err;
}

err_t cmd_bench(cli_t *cli)
{
    options_t options = {0};
    result_t result = {0};
    assert_t asserts[FLAG_TEXTS_MAX];
    size_t assert_count = 0;
    FILE *report = NULL, *csv = NULL;

    if (!cli->args.word_count) {
        list(cli);
        return ERR_OK;
    }
    err_t err = options_read(cli, &options);
    if (!err) err = asserts_read(cli, &options, asserts, &assert_count);
    if (!err) err = file_open(cli, "report", &report);
    if (!err) err = file_open(cli, "csv", &csv);
    if (!err) err = bench(cli, &options, &result);
    if (err && signal_caught()) {
        cli->exit = 128 + signal_caught();
        say(cli, "stopped");
        err = ERR_OK;
    } else if (!err) {
        asserts_judge(&options, asserts, assert_count, &result);
        print(cli, &options, &result);
        if (report) report_write(&options, &result, report);
        if (csv) show_csv(&result, csv);
        if (!result_good(&result) || !result_met(&result)) cli->exit = 9;
        if (signal_caught()) cli->exit = 128 + signal_caught();
    }
    err_t closed = file_close(cli, "report", report);
    if (!err) err = closed;
    closed = file_close(cli, "csv", csv);
    if (!err) err = closed;
    result_clear(&result);
    return err;
}
