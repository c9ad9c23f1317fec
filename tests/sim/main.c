/* sim: the simulator's command line. See README.md. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/bugs.h"
#include "tests/sim/campaign.h"
#include "wire/base/must.h"

static const char usage[] =
    "sim --seed N [-v]                 one run; -v prints its event log\n"
    "sim --seeds N [--from M] [--minutes T] [--jobs J] [--keep-going] [--coverage]\n"
    "sim --twice N [--from M]          each seed twice: the event logs must be the same\n"
    "sim --seed N --shrink             reduces a failing run\n"
    "sim --file PATH                   one run, its command line read from a file\n"
    "sim_planted --bug NAME --seeds N  looks for a planted bug\n"
    "sim_planted --bugs [--seeds N]    looks for all of them\n"
    "and for each run: --vats N --steps N --off KIND,KIND --keep ACTION,ACTION\n"
    "kinds of accident:\n"
#define X(name, doc) "  " #name ": " doc "\n"
    FAULTS(X)
#undef X
    ;

typedef struct {
    sim_options_t options;
    campaign_t campaign;
    uint64_t *keep;
    size_t keep_room;
    bool one, many, twice, bugs, shrink, bad;
} args_t;

static bool parse_off(args_t *self, char *text)
{
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        unsigned i = 0;
        while (i < FAULT_COUNT && strcmp(fault_names[i], word) != 0) i++;
        if (i == FAULT_COUNT) return false;
        self->options.off |= UINT64_C(1) << i;
    }
    return true;
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool parse_keep(args_t *self, char *text)
{
    size_t count = 0;
    self->keep = calloc(strlen(text) / 2 + 2, sizeof *self->keep);
    must(self->keep);
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        if (strcmp(word, "none") == 0) continue;
        if (!sim_key_parse(word, &self->keep[count++])) return false;
    }
    qsort(self->keep, count, sizeof *self->keep, by_key);
    self->options.keep = self->keep;
    self->options.keep_count = count;
    return true;
}

static bool parse_bug(args_t *self, const char *name)
{
    static const char *const names[BUG_COUNT] = {
        "none",
#define BUG(name, rules, doc) #name,
#include "tests/sim/bugs.def"
#undef BUG
    };
    for (int i = 1; i < BUG_COUNT; i++)
        if (strcmp(names[i], name) == 0) self->options.bug = i;
    return self->options.bug != 0;
}

static bool parse_file(args_t *self, const char *path);

static bool parse_value(args_t *self, const char *name, char *value)
{
    uint64_t n = strtoull(value, NULL, 10);
    if (strcmp(name, "--seed") == 0) {
        self->one = true;
        self->options.seed = n;
    } else if (strcmp(name, "--seeds") == 0) {
        self->many = true;
        self->campaign.count = n;
    } else if (strcmp(name, "--twice") == 0) {
        self->twice = true;
        self->campaign.count = n;
    } else if (strcmp(name, "--from") == 0) {
        self->campaign.from = n;
    } else if (strcmp(name, "--minutes") == 0) {
        self->campaign.minutes = strtod(value, NULL);
        self->many = true;
    } else if (strcmp(name, "--jobs") == 0) {
        self->campaign.jobs = n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
    } else if (strcmp(name, "--vats") == 0) {
        self->options.vats_max = (unsigned)n;
    } else if (strcmp(name, "--steps") == 0) {
        self->options.steps_max = (unsigned)n;
    } else if (strcmp(name, "--off") == 0) {
        return parse_off(self, value);
    } else if (strcmp(name, "--keep") == 0) {
        return parse_keep(self, value);
    } else if (strcmp(name, "--bug") == 0) {
        return parse_bug(self, value);
    } else if (strcmp(name, "--file") == 0) {
        return parse_file(self, value);
    } else {
        return false;
    }
    return true;
}

static bool parse(args_t *self, char **words, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "-v") == 0)
            self->options.verbose = true;
        else if (strcmp(words[i], "--keep-going") == 0)
            self->campaign.keep_going = true;
        else if (strcmp(words[i], "--coverage") == 0)
            self->campaign.coverage = true;
        else if (strcmp(words[i], "--shrink") == 0)
            self->shrink = true;
        else if (strcmp(words[i], "--bugs") == 0)
            self->bugs = true;
        else if (i + 1 == count || !parse_value(self, words[i], words[i + 1]))
            return false;
        else
            i++;
    }
    return true;
}

/* The first line that is no comment ('#') is a command line. */
static bool parse_file(args_t *self, const char *path)
{
    static char line[1 << 16];
    char *words[64], *rest = NULL;
    int count = 0;
    FILE *file = fopen(path, "r");
    if (!file) return false;
    do {
        if (!fgets(line, sizeof line, file)) line[0] = '\0';
    } while (line[0] == '#');
    fclose(file);
    for (char *word = strtok_r(line, " \n", &rest); word && count < 64;
         word = strtok_r(NULL, " \n", &rest))
        words[count++] = word;
    return count > 0 && parse(self, words, count);
}

static int run_one(const sim_options_t *options)
{
    static char command[1 << 16];
    char config[512];
    sim_result_t result;
    sim_describe(options, config, sizeof config);
    printf("seed %" PRIu64 ": %s\n", options->seed, config);
    sim_run(options, &result);
    command_of(options, command, sizeof command);
    if (!result.failed) {
        printf("no violation in %" PRIu64 " steps, %" PRIu64 " cranks, %" PRIu64
               " messages, %" PRIu64 " accidents, %" PRIu64 " audits; log %016" PRIx64 "\n",
               result.step, result.cranks, result.messages, result.accidents, result.audits,
               result.hash);
        return 0;
    }
    printf("VIOLATION of %s in step %" PRIu64 ": %s\n  repeat: %s %s\n", result.rule, result.step,
           result.what, options->bug ? "sim_planted" : "sim", command);
    return 1;
}

static int run_twice(const args_t *args)
{
    for (uint64_t i = 0; i < args->campaign.count; i++) {
        sim_options_t options = args->options;
        sim_result_t first, second;
        options.seed = args->campaign.from + i;
        sim_run(&options, &first);
        sim_run(&options, &second);
        if (first.failed || first.hash != second.hash || first.step != second.step) {
            printf("seed %" PRIu64 " is not the same twice: log %016" PRIx64 " and %016" PRIx64
                   "\n",
                   options.seed, first.hash, second.hash);
            return 1;
        }
    }
    printf("%" PRIu64 " seeds give the same event log twice\n", args->campaign.count);
    return 0;
}

static int run_bug(const args_t *args)
{
    sim_result_t result;
    uint64_t seed = find_bug(&args->options, &args->campaign, &result);
    if (!seed) {
        printf("not found in %" PRIu64 " seeds\n", args->campaign.count);
        return 1;
    }
    sim_options_t options = args->options;
    options.seed = seed;
    return run_one(&options) == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
    args_t args = {.campaign = {.from = 1, .count = 1000000000, .jobs = 1}};
    int code = 2;
    if (argc < 2 || !parse(&args, argv + 1, argc - 1)) {
        fputs(usage, stderr);
        return 2;
    }
#ifndef VATYARD_PLANTED
    if (args.options.bug || args.bugs) {
        fputs("bugs are planted in sim_planted only\n", stderr);
        return 2;
    }
#endif
    bug_planted = args.options.bug;
    if (args.bugs) {
        if (!args.many) args.campaign.count = 8000;
        code = run_bugs(&args.options, &args.campaign);
    } else if (args.twice) {
        code = run_twice(&args);
    } else if (args.shrink && args.one) {
        code = shrink(&args.options);
    } else if (args.one) {
        code = run_one(&args.options);
    } else if (args.options.bug) {
        code = run_bug(&args);
    } else if (args.many) {
        code = run_seeds(&args.options, &args.campaign);
    } else {
        fputs(usage, stderr);
    }
    free(args.keep);
    return code;
}
