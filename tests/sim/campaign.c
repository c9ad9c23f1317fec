#include "tests/sim/campaign.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/bugs.h"
#include "wire/base/must.h"

static const char *const bug_names[BUG_COUNT] = {
    "none",
#define BUG(name, rules, doc) #name,
#include "tests/sim/bugs.def"
#undef BUG
};
static const char *const bug_rules[BUG_COUNT] = {
    "",
#define BUG(name, rules, doc) rules,
#include "tests/sim/bugs.def"
#undef BUG
};

int bug_planted;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- one run ---- */

void command_of(const sim_options_t *options, char *text, size_t room)
{
    size_t len = (size_t)snprintf(text, room, "--seed %" PRIu64, options->seed);
    if (options->bug)
        len += (size_t)snprintf(text + len, room - len, " --bug %s", bug_names[options->bug]);
    if (options->vats_max)
        len += (size_t)snprintf(text + len, room - len, " --vats %u", options->vats_max);
    if (options->steps_max)
        len += (size_t)snprintf(text + len, room - len, " --steps %u", options->steps_max);
    bool any = false;
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        if (!(options->off >> i & 1)) continue;
        len +=
            (size_t)snprintf(text + len, room - len, "%s%s", any ? "," : " --off ", fault_names[i]);
        any = true;
    }
    if (options->keep) len += (size_t)snprintf(text + len, room - len, " --keep ");
    if (options->keep && !options->keep_count) snprintf(text + len, room - len, "none");
    for (size_t i = 0; options->keep && i < options->keep_count && len + 40 < room; i++) {
        char key[32];
        sim_key_text(options->keep[i], key, sizeof key);
        len += (size_t)snprintf(text + len, room - len, "%s%s", i ? "," : "", key);
    }
}

static void write_all(int fd, const void *at, size_t len)
{
    while (len > 0) {
        ssize_t sent = write(fd, at, len);
        if (sent <= 0) _exit(1);
        at = (const char *)at + sent;
        len -= (size_t)sent;
    }
}

static bool read_all(int fd, void *at, size_t len)
{
    while (len > 0) {
        ssize_t got = read(fd, at, len);
        if (got <= 0) return false;
        at = (char *)at + got;
        len -= (size_t)got;
    }
    return true;
}

static void child(const sim_options_t *options, unsigned limit, int fd)
{
    sim_result_t result;
    alarm(limit);
    sim_run(options, &result);
    fflush(stdout);
    write_all(fd, &result, sizeof result);
    if (result.action_count)
        write_all(fd, result.actions, result.action_count * sizeof *result.actions);
    _exit(0);
}

void run_child(const sim_options_t *options, unsigned limit, sim_result_t *ret)
{
    int fds[2], status = 0;
    must(pipe(fds) == 0);
    fflush(stdout);
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        if (!options->verbose)
            must(freopen("/dev/null", "w", stderr)); /* what a sanitizer says of a planted bug */
        child(options, limit, fds[1]);
    }
    close(fds[1]);
    bool whole = read_all(fds[0], ret, sizeof *ret);
    if (whole && ret->action_count) {
        ret->actions = malloc(ret->action_count * sizeof *ret->actions);
        must(ret->actions);
        whole = read_all(fds[0], ret->actions, ret->action_count * sizeof *ret->actions);
    }
    close(fds[0]);
    must(waitpid(pid, &status, 0) == pid);
    if (whole) return;
    bool late = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    *ret = (sim_result_t){.failed = true};
    snprintf(ret->rule, sizeof ret->rule, "%s", late ? "live" : "crash");
    if (WIFSIGNALED(status))
        snprintf(ret->what, sizeof ret->what, "the process ended by signal %d", WTERMSIG(status));
    else
        snprintf(ret->what, sizeof ret->what, "the process ended with %d", WEXITSTATUS(status));
}

static void print_failure(const sim_options_t *options, const sim_result_t *result,
                          const char *program)
{
    static char command[1 << 16];
    char config[512];
    command_of(options, command, sizeof command);
    sim_describe(options, config, sizeof config);
    printf("VIOLATION of %s in step %" PRIu64
           ": %s\n  world:  %s\n  repeat: %s %s\n  reduce: %s %s --shrink\n",
           result->rule, result->step, result->what, config, program, command, program, command);
    fflush(stdout);
}

/* ---- many seeds ---- */

typedef struct {
    uint64_t seeds, failures, steps, cranks, audits, messages, accidents;
    coverage_t coverage[ASKS_MAX + 1];
} totals_t;

static void add(totals_t *totals, const sim_result_t *result)
{
    totals->seeds++;
    totals->failures += result->failed;
    totals->steps += result->step;
    totals->cranks += result->cranks;
    totals->audits += result->audits;
    totals->messages += result->messages;
    totals->accidents += result->accidents;
    for (unsigned i = 0; i <= ASKS_MAX; i++) {
        totals->coverage[i].asked += result->coverage[i].asked;
        totals->coverage[i].fulfilled += result->coverage[i].fulfilled;
        totals->coverage[i].rejected += result->coverage[i].rejected;
    }
}

static void print_coverage(const coverage_t coverage[ASKS_MAX + 1])
{
    printf("%-36s %9s %9s %9s\n", "executed by the kernel", "asked", "fulfilled", "rejected");
    for (unsigned i = 0; i <= ASKS_MAX; i++)
        if (sim_ask(i))
            printf("%-36s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "\n", sim_ask(i), coverage[i].asked,
                   coverage[i].fulfilled, coverage[i].rejected);
}

static const char *program(void) { return bug_planted ? "sim_planted" : "sim"; }

/* Every JOBS-th seed. After a failure with --keep-going, each run has its own process, since what failed
 * is not cleared away. */
static totals_t job(sim_options_t options, const campaign_t *campaign, unsigned n, double until)
{
    totals_t totals = {0};
    for (uint64_t i = n; i < campaign->count; i += campaign->jobs) {
        sim_result_t result;
        options.seed = campaign->from + i;
        sim_run(&options, &result);
        add(&totals, &result);
        free(result.actions);
        if (result.failed) print_failure(&options, &result, program());
        if (result.failed && !campaign->keep_going) break;
        if (until > 0 && seconds() > until) break;
    }
    return totals;
}

static void job_process(const sim_options_t *options, const campaign_t *campaign, unsigned n,
                        double until, int fd)
{
    totals_t totals = job(*options, campaign, n, until);
    write_all(fd, &totals, sizeof totals);
    exit(totals.failures ? 1 : 0); /* not _exit(): what was covered is written at exit */
}

int run_seeds(const sim_options_t *options, const campaign_t *campaign)
{
    double began = seconds(), until = campaign->minutes > 0 ? began + 60 * campaign->minutes : 0;
    totals_t all = {0};
    bool good = true;
    int fds[64][2];
    pid_t pids[64];
    for (unsigned n = 0; n < campaign->jobs; n++) {
        must(pipe(fds[n]) == 0);
        fflush(stdout);
        pids[n] = fork();
        must(pids[n] >= 0);
        if (pids[n] == 0) job_process(options, campaign, n, until, fds[n][1]);
        close(fds[n][1]);
    }
    for (unsigned n = 0; n < campaign->jobs; n++) {
        totals_t one;
        int status = 0;
        if (read_all(fds[n][0], &one, sizeof one)) {
            uint64_t *to = (uint64_t *)&all;
            for (size_t i = 0; i < sizeof one / sizeof *to; i++) to[i] += ((uint64_t *)&one)[i];
        }
        must(waitpid(pids[n], &status, 0) == pids[n]);
        if (!WIFEXITED(status))
            printf(
                "VIOLATION of crash: a process ended by signal %d; find the seed with --jobs 1\n",
                WTERMSIG(status));
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    double took = seconds() - began;
    printf("%" PRIu64 " seeds in %.1f s (%.0f a minute), %" PRIu64 " with violations; %" PRIu64
           " steps, %" PRIu64 " cranks, %" PRIu64 " messages, %" PRIu64 " accidents, %" PRIu64
           " audits\n",
           all.seeds, took, took > 0 ? 60 * (double)all.seeds / took : 0, all.failures, all.steps,
           all.cranks, all.messages, all.accidents, all.audits);
    if (campaign->coverage) print_coverage(all.coverage);
    return good ? 0 : 1;
}

/* ---- planted bugs ---- */

uint64_t find_bug(const sim_options_t *options, const campaign_t *campaign, sim_result_t *ret)
{
    sim_options_t one = *options;
    bug_planted = options->bug;
    for (uint64_t i = 0; i < campaign->count; i++) {
        one.seed = campaign->from + i;
        run_child(&one, 20, ret);
        free(ret->actions);
        if (ret->failed) return one.seed;
    }
    return 0;
}

static bool expected(const char *rules, const char *rule)
{
    size_t len = strlen(rule);
    for (const char *at = rules; *at;) {
        size_t word = strcspn(at, " ");
        if (word == len && memcmp(at, rule, len) == 0) return true;
        at += word;
        if (*at) at++;
    }
    return false;
}

int run_bugs(const sim_options_t *options, const campaign_t *campaign)
{
    unsigned missed = 0;
    double began = seconds();
    printf("%-28s %-22s %8s  %-6s %s\n", "bug", "may break", "seeds", "broke", "what");
    for (int bug = 1; bug < BUG_COUNT; bug++) {
        sim_options_t one = *options;
        sim_result_t result = {0};
        one.bug = bug;
        uint64_t seed = find_bug(&one, campaign, &result);
        bool good = seed && expected(bug_rules[bug], result.rule);
        if (seed)
            printf("%-28s %-22s %8" PRIu64 "  %-6s %s%.100s\n", bug_names[bug], bug_rules[bug],
                   seed - campaign->from + 1, result.rule,
                   good ? "" : "NOT THE RULE: ", result.what);
        else
            printf("%-28s %-22s %8s  NOT FOUND in %" PRIu64 " seeds\n", bug_names[bug],
                   bug_rules[bug], "-", campaign->count);
        fflush(stdout);
        missed += !good;
    }
    printf("%d planted bugs, %u not found as they should be, %.1f s\n", BUG_COUNT - 1, missed,
           seconds() - began);
    return missed ? 1 : 0;
}
