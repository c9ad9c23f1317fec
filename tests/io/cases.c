#include "tests/io/cases.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/must.h"

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

/* All cases of one script and one fault. */
static void run_cases(const script_t *script, const char *dir, fault_t fault)
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

/* ---- the tests of a program ---- */

char io_dir[64];

void io_set_up(void)
{
    bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(io_dir, sizeof io_dir, "%s/vatyard-io-XXXXXX", memory ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(io_dir));
    shim_start(io_dir);
}

void io_tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", io_dir);
    cr_expect_eq(system(command), 0);
}

void io_run(fault_t fault)
{
    const char *only = getenv("VATYARD_IO_SCRIPT");
    for (size_t i = 0; i < io_script_count; i++) {
        if (only && strcmp(only, io_scripts[i].name) != 0) continue;
        run_cases(&io_scripts[i], io_dir, fault);
    }
}

/* ---- for scripts ---- */

uint64_t io_seed;

uint64_t io_dice(void)
{
    io_seed = io_seed * 6364136223846793005u + 1442695040888963407u;
    return (io_seed ^ (io_seed >> 29)) * 0xbf58476d1ce4e5b9u;
}

void io_add(uint64_t *sum, const void *at, size_t len)
{
    *sum = (*sum ^ len) * 1099511628211u;
    for (size_t i = 0; i < len; i++) *sum = (*sum ^ ((const uint8_t *)at)[i]) * 1099511628211u;
}

void io_add_rows(uint64_t *sum, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    must(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
    io_add(sum, sql, strlen(sql));
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const void *at = sqlite3_column_blob(stmt, i);
            io_add(sum, at, (size_t)sqlite3_column_bytes(stmt, i));
        }
    }
    must(rc == SQLITE_DONE);
    sqlite3_finalize(stmt);
}

void io_make_db(const char *path, const char *script, bool in_log)
{
    static char sql[1 << 16];
    FILE *file = fopen(script, "r");
    cr_assert(file);
    size_t len = fread(sql, 1, sizeof sql - 1, file);
    fclose(file);
    sql[len] = 0;
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, in_log, NULL);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}
