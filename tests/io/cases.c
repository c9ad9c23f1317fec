#include "tests/io/cases.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STEPS_MAX = 64,
    TRIES_MAX = 20,
    EXIT_DONE = 0,
    EXIT_ERROR = 1,
    EXIT_WRONG = 2,
    POWER_CHANCES = 2
};

/* What the process that died had said. */
typedef struct {
    int tried, done;
    err_t error;
    bool opened;
} said_t;

static said_t *said;
static uint64_t sums[STEPS_MAX + 1]; /* after so many steps */

static void empty(const char *dir)
{
    DIR *all = opendir(dir);
    cr_assert(all);
    for (struct dirent *entry; (entry = readdir(all));)
        if (entry->d_name[0] != '.') unlinkat(dirfd(all), entry->d_name, 0);
    closedir(all);
}

/* A disk that was full is not for long. */
static err_t open_again(const script_t *script)
{
    err_t err = script->open();
    for (int i = 0; i < TRIES_MAX && err == ERR_STORE_FULL; i++) {
        script->close();
        err = script->open();
    }
    return err;
}

static err_t step_again(const script_t *script, int step)
{
    err_t err = script->step(step);
    for (int i = 0; i < TRIES_MAX && err == ERR_STORE_FULL; i++) err = script->step(step);
    return err;
}

static err_t steps(const script_t *script, int from, int to)
{
    err_t err = ERR_OK;
    for (int i = from; i < to && !err; i++) {
        said->tried = i + 1;
        err = step_again(script, i);
        if (!err) said->done = i + 1;
    }
    return err;
}

/* What the state is after each step, when nothing fails. */
static void learn(const script_t *script, const char *dir)
{
    shim_disarm();
    for (int i = 0; i <= script->steps; i++) {
        empty(dir);
        if (script->make) script->make();
        shim_settled();
        cr_assert_eq(script->open(), ERR_OK);
        cr_assert_eq(steps(script, 0, i), ERR_OK);
        script->close();
        sums[i] = script->sum();
        for (int k = 0; k < i; k++)
            cr_assert_neq(sums[k], sums[i], "steps %d and %d are the same", k, i);
    }
}

/* ---- one case ---- */

static int in_child(void (*run)(const script_t *, fault_t, uint64_t), const script_t *script,
                    fault_t fault, uint64_t n)
{
    fflush(NULL);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(EXIT_WRONG);
        run(script, fault, n);
        _exit(EXIT_WRONG);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

/* As far as the script begins, and then the end of a process, without closing anything. */
static void run_before(const script_t *script, fault_t fault, uint64_t n)
{
    (void)fault, (void)n;
    err_t err = script->open();
    if (!err) err = steps(script, 0, script->from);
    _exit(err ? EXIT_WRONG : EXIT_DONE);
}

static void run_case(const script_t *script, fault_t fault, uint64_t n)
{
    shim_arm(fault, n);
    err_t err = open_again(script);
    said->opened = !err;
    if (!err) err = steps(script, script->from, script->steps);
    said->error = err;
    script->close();
    _exit(err ? EXIT_ERROR : EXIT_DONE);
}

static void begin(const script_t *script, const char *dir)
{
    shim_disarm();
    empty(dir);
    if (script->make) script->make();
    shim_settled();
    *said = (said_t){0};
    if (script->from) cr_assert_eq(in_child(run_before, script, FAULT_NONE, 0), 0);
    said->tried = said->done = script->from;
}

static void check_end(fault_t fault, uint64_t n, int status)
{
    bool killed = fault == FAULT_KILL || fault == FAULT_POWER;
    bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    const char *name = fault_names[fault];
    if (killed) {
        cr_assert_eq(status, 0, "%s %lu: %d", name, n, status);
    } else if (fault == FAULT_SYNC) {
        cr_assert(aborted || said->error == ERR_STORE, "%s %lu: G4: %d", name, n, status);
    } else if (fault == FAULT_MEMORY) {
        cr_assert(aborted || (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_WRONG),
                  "%s %lu: G6: %d", name, n, status);
    } else {
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) != EXIT_WRONG, "%s %lu: %d", name, n,
                  status);
    }
    if (fault == FAULT_FULL || fault == FAULT_SHORT)
        cr_assert_eq(said->error, ERR_OK, "%s %lu: G3: %s", name, n, err_name(said->error));
}

static void check_state(const script_t *script, fault_t fault, uint64_t n)
{
    const char *name = fault_names[fault];
    err_t err = script->open();
    cr_assert_eq(err, ERR_OK, "%s %lu: after it: %s", name, n, err_name(err));
    script->close();
    uint64_t sum = script->sum();
    int at = sum == sums[said->tried] ? said->tried : said->done;
    cr_assert_eq(sum, sums[at], "%s %lu: G1: it is neither as after step %d nor as after %d", name,
                 n, said->done, said->tried);
    cr_assert_eq(script->open(), ERR_OK);
    cr_assert_eq(steps(script, at, script->steps), ERR_OK, "%s %lu: G2", name, n);
    script->close();
    cr_assert_eq(script->sum(), sums[script->steps], "%s %lu: G2", name, n);
}

/* Odd, so that it meets both halves of what comes in pairs. */
static uint64_t stride(fault_t fault)
{
    const char *all = getenv("VATYARD_IO_STRIDE");
    uint64_t n = all ? strtoull(all, NULL, 10) : 0;
    if (n) return n;
    bool few = fault == FAULT_SYNC || fault == FAULT_OPEN, many = fault == FAULT_MEMORY;
#ifdef __SANITIZE_ADDRESS__ /* each case takes ten times as long */
    return few ? 2 : many ? 121 : 7;
#else
    return few ? 1 : many ? 37 : 3;
#endif
}

void cases_run(const script_t *script, const char *dir, fault_t fault)
{
    cr_assert_leq(script->steps, STEPS_MAX);
    said = shim_shared(sizeof *said);
    learn(script, dir);
    const char *only = getenv("VATYARD_IO_FROM"); /* to look at one case again */
    uint64_t n = only ? strtoull(only, NULL, 10) : 0, cases = 0;
    for (bool happened = true; happened;
         n += stride(fault) + (fault == FAULT_MEMORY ? n / 60 : 0)) {
        for (uint64_t chance = 0; chance < (fault == FAULT_POWER ? POWER_CHANCES : 1) && happened;
             chance++) {
            begin(script, dir);
            int status = in_child(run_case, script, fault, n);
            happened = shim_happened();
            shim_disarm();
            if (!happened) {
                cr_assert_eq(said->done, script->steps, "without a fault all is done");
                break;
            }
            check_end(fault, n, status);
            if (fault == FAULT_POWER || fault == FAULT_SYNC) shim_power(n * POWER_CHANCES + chance);
            check_state(script, fault, n);
            cases++;
        }
    }
    cr_assert_gt(cases, 0, "%s cannot happen in %s", fault_names[fault], script->name);
    fprintf(stderr, "%s: %s at %lu places\n", script->name, fault_names[fault], cases);
}
