#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void path_beside(const char *between, const char *name, char ret[PATH_MAX])
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

    exe[n > 0 ? n : 0] = 0;
    const char *folder = dirname(exe);
    if (snprintf(ret, PATH_MAX, "%s%s%s", folder, between, name) >= PATH_MAX) *ret = 0;
}

void path_program(const char *name, char ret[PATH_MAX]) { path_beside("/", name, ret); }
void path_share(const char *name, char ret[PATH_MAX])
{
    path_beside("/../share/vatyard/", name, ret);
}

/* Runs in the child. Gives errno to REPORT when the program cannot be run. */
static _Noreturn void child(char *const argv[], const start_t *how, int report, pid_t parent)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    /* Ctrl-C at the terminal is for vatctl, which then ends its children in order. */
    setsid();
    if (!how->daemon) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
    }
    if (!how->input) dup2(null, STDIN_FILENO);
    dup2(how->output >= 0 ? how->output : null, STDOUT_FILENO);
    dup2(how->errors >= 0 ? how->errors : null, STDERR_FILENO);
    if (how->ready >= 0) fcntl(how->ready, F_SETFD, 0);
    execvp(argv[0], argv);
    int error = errno;
    _exit(write(report, &error, sizeof error) > 0 ? 127 : 126);
}

pid_t process_start(char *const argv[], const start_t *how, fail_t *f)
{
    int report[2], error = 0;
    pid_t parent = getpid(), pid = -1;

    if (pipe2(report, O_CLOEXEC) == 0) {
        pid = fork();
        if (pid == 0) child(argv, how, report[1], parent);
        error = errno;
        close(report[1]);
        if (pid > 0 && read(report[0], &error, sizeof error) == sizeof error) {
            waitpid(pid, NULL, 0);
            pid = -1;
        }
        close(report[0]);
    } else {
        error = errno;
    }
    if (pid > 0) return pid;
    fail(f, ERR_PROCESS_FAILED, "%s could not be started", argv[0]);
    fail_why(f, "%s", strerror(error));
    errno = error;
    return 0;
}

bool process_wait(pid_t pid, unsigned ms, int *ret_status)
{
    for (unsigned waited = 0;; waited += 2) {
        pid_t ended = waitpid(pid, ret_status, WNOHANG);
        if (ended == pid || (ended < 0 && errno == ECHILD)) return true;
        if (waited >= ms) return false;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

void process_stop(pid_t pid, unsigned ms)
{
    int status;

    kill(pid, SIGTERM);
    if (process_wait(pid, ms, &status)) return;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

err_t folder_make(const char *path, fail_t *f)
{
    char part[PATH_MAX];

    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        return fail(f, ERR_BAD_VALUE, "the path %.100s... is too long", path);
    }
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(part, 0700);
        *slash = '/';
    }
    if (mkdir(part, 0700) == 0) return ERR_OK;

    int error = errno;
    struct stat stat_;
    if (error == EEXIST && stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode)) return ERR_OK;
    fail(f, error == ENOSPC ? ERR_STORE_FULL : ERR_STORE, "the folder %s cannot be made", path);
    fail_why(f, "%s", strerror(error));
    return f->err;
}

static int remove_one(const char *path, const struct stat *stat_, int type, struct FTW *ftw)
{
    (void)stat_, (void)type, (void)ftw;
    return remove(path);
}

void folder_remove(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }
