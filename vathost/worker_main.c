/* vatworker: the zygote, and the workers it becomes; or one worker alone, over the socket FD, which
 * vatctl starts to run a copy of a vat's log again.
 *
 * The zygote reads the golden snapshot once and forks a worker for each request, which then has
 * JavaScript machine, SES and liveslots without having started any of them.
 *
 *   Z1  it has one thread, and no database is open when it forks;
 *   Z2  nothing outlives its parent: workers die with the zygote, the zygote with the vathost;
 *   Z3  when the vathost closes the socket it kills what runs, waits for all of it, and ends. */
#define _GNU_SOURCE /* close_range */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vathost/native/native_engine.h"
#include "vathost/store/vatdb.h"
#include "vathost/worker.h"
#include "vathost/xs/xs_engine.h"
#include "vathost/zygote.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum { WORKER_FD = 3, GOLDEN_KINDS = 2 };

typedef struct {
    uint64_t token;
    pid_t pid;
} child_t;

typedef struct {
    int fd, signals;
    char share[PATH_BYTES_MAX];
    engine_t *golden[GOLDEN_KINDS];
    child_t *children;
    size_t count, room;
} zygote_t;

/* ---- in the worker ---- */

/* What the engine borrows from START for its whole life. */
typedef struct {
    engine_t *golden;
    char name[NAME_BYTES_MAX + 1], bundle[PATH_BYTES_MAX + 1], database[PATH_BYTES_MAX + 1];
    char globals[TEXT_BYTES_MAX + 1];
} forked_t;

static void copy_text(char *to, size_t room, text_t from)
{
    must(from.len < room);
    if (from.len) memcpy(to, from.at, from.len);
    to[from.len] = '\0';
}

static err_t open_engine(void *context, const msg_start_t *start, engine_t **ret)
{
    forked_t *self = context;
    copy_text(self->name, sizeof self->name, start->name);
    copy_text(self->bundle, sizeof self->bundle, start->bundle);
    if (native_bundle(self->bundle)) { /* the machine that was forked is left as it is */
        *ret = native_engine_new(self->bundle, start->heap_bytes);
        return ERR_OK;
    }
    copy_text(self->globals, sizeof self->globals, start->globals);
    const xs_options_t options = {start->vat,        self->name,        self->bundle,
                                  start->dialect,    start->computrons, start->wall_ms,
                                  start->heap_bytes, self->globals};
    err_t err = xs_engine_open(self->golden, &options);
    if (!err) *ret = self->golden;
    return err;
}

static err_t open_store(void *context, const msg_start_t *start, vatstore_t **ret)
{
    forked_t *self = context;
    copy_text(self->database, sizeof self->database, start->database);
    const vatdb_options_t options = {self->database, start->kernel, start->vat, start->pgen};
    err_t err = vatdb_open(&options, ret);
    FAILPOINT(worker_store_open);
    return err;
}

/* Returns the exit code. */
static int run_worker(forked_t *self)
{
    const worker_ports_t ports = {self, open_engine, open_store};
    worker_exit_t code = worker_run(WORKER_FD, &ports);

    if (code != WORKER_DAMAGED) return (int)code;
    if (vatdb_set_aside(self->database))
        log_error("database_set_aside", kv_str("file", self->database));
    return WORKER_BROKEN;
}

static int become_worker(engine_t *golden, int fd, pid_t zygote)
{
    static forked_t self;
    const struct rlimit no_core = {0, 0};
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != zygote) _exit(WORKER_DONE);
    failpoint_start(FAILPOINT_worker);
    FAILPOINT(worker_forked);
    prctl(PR_SET_NAME, "vatworker");
    if (fd != WORKER_FD) must(dup2(fd, WORKER_FD) == WORKER_FD);
    must(close_range(WORKER_FD + 1, ~0u, 0) == 0);
    setrlimit(RLIMIT_CORE, &no_core);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    self.golden = golden;
    return run_worker(&self);
}

/* ---- the zygote ---- */

static bool report(zygote_t *self, zygote_kind_t kind, uint64_t token, int status, const char *text)
{
    zygote_msg_t msg = {.token = token, .kind = kind, .status = status};
    snprintf(msg.text, sizeof msg.text, "%s", text);
    return send(self->fd, &msg, sizeof msg, MSG_NOSIGNAL) == sizeof msg;
}

/* The machine for a bundle. What cannot be read goes to the lean one: its first delivery says why. */
static engine_t *golden_for(zygote_t *self, const char *bundle)
{
    xs_golden_t kind = XS_LEAN;
    char path[PATH_BYTES_MAX + 16];

    if (xs_golden_for(bundle, &kind)) kind = XS_LEAN;
    if (!self->golden[kind]) {
        snprintf(path, sizeof path, "%s/%s", self->share, xs_golden_file(kind));
        err_t err = xs_engine_new(path, &self->golden[kind]);
        if (err) {
            log_error("golden_read", kv_str("file", path), kv_str("why", err_name(err)));
            return NULL;
        }
    }
    return self->golden[kind];
}

static void remember(zygote_t *self, uint64_t token, pid_t pid)
{
    if (self->count == self->room) {
        self->room = self->room ? self->room * 2 : 16;
        self->children = realloc(self->children, self->room * sizeof *self->children);
        must(self->children);
    }
    self->children[self->count++] = (child_t){token, pid};
}

/* Returns the worker's exit code in the worker, -1 in the zygote. */
static int start_worker(zygote_t *self, const zygote_msg_t *msg, int fd)
{
    engine_t *golden = golden_for(self, msg->text);
    pid_t zygote = getpid();
    FAILPOINT(zygote_took_start);
    pid_t pid = golden ? fork() : -1;

    if (pid == 0) return become_worker(golden, fd, zygote);
    FAILPOINT(zygote_forked);
    if (pid > 0) {
        remember(self, msg->token, pid);
    } else {
        log_error("worker_fork", kv_str("why", golden ? strerror(errno) : "no golden snapshot"));
        report(self, ZYGOTE_ENDED, msg->token, WORKER_BROKEN << 8, "");
    }
    close(fd);
    return -1;
}

static void reap(zygote_t *self)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(self->signals, &info, sizeof info) == sizeof info) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < self->count; i++) {
            if (self->children[i].pid != pid) continue;
            FAILPOINT(zygote_reaped);
            report(self, ZYGOTE_ENDED, self->children[i].token, status, "");
            self->children[i] = self->children[--self->count];
            break;
        }
    }
}

static void kill_worker(zygote_t *self, uint64_t token)
{
    FAILPOINT(zygote_took_kill);
    for (size_t i = 0; i < self->count; i++) {
        if (self->children[i].token == token) kill(self->children[i].pid, SIGKILL);
    }
}

/* Takes one request. False when the vathost is gone; RET_EXIT is set in a new worker only. */
static bool take(zygote_t *self, int *ret_exit)
{
    zygote_msg_t msg;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec body = {&msg, sizeof msg};
    struct msghdr packet = {.msg_iov = &body,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};

    ssize_t got = recvmsg(self->fd, &packet, MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got != sizeof msg) return false;

    const struct cmsghdr *head = CMSG_FIRSTHDR(&packet);
    if (msg.kind == ZYGOTE_START && head) {
        int fd;
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
        *ret_exit = start_worker(self, &msg, fd);
    } else if (msg.kind == ZYGOTE_KILL) {
        kill_worker(self, msg.token);
    }
    return true;
}

static void end_all(zygote_t *self)
{
    for (size_t i = 0; i < self->count; i++) kill(self->children[i].pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
    }
    for (int i = 0; i < GOLDEN_KINDS; i++) engine_destroy(&self->golden[i]);
    free(self->children);
}

static int zygote_run(zygote_t *self)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    self->signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    must(self->signals >= 0);

    if (!golden_for(self, "")) return err_row(ERR_PROCESS_FAILED)->exit;
    FAILPOINT(zygote_golden);
    if (!report(self, ZYGOTE_READY, 0, 0, xs_engine_build())) return 0;
    for (;;) {
        struct pollfd polls[] = {{self->fd, POLLIN, 0}, {self->signals, POLLIN, 0}};
        int worker = -1;
        if (poll(polls, 2, -1) < 0 && errno != EINTR) break;
        if (polls[1].revents) reap(self);
        if (polls[0].revents && !take(self, &worker)) break;
        if (worker >= 0) return worker;
    }
    end_all(self);
    return 0;
}

/* The data stands beside the programs: <dir of this program>/../share/vatyard. */
static void find_share(char share[PATH_BYTES_MAX])
{
    char self[PATH_BYTES_MAX - 64];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    must(len > 0);
    self[len] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(share, PATH_BYTES_MAX, "%s/../share/vatyard", self);
}

static int run_alone(const char *fd, const char *bundle)
{
    zygote_t self = {.fd = -1};

    log_open("worker", NULL);
    find_share(self.share);
    engine_t *golden = golden_for(&self, bundle);
    return golden ? become_worker(golden, atoi(fd), getppid()) : err_row(ERR_PROCESS_FAILED)->exit;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--alone") == 0) return run_alone(argv[2], argv[3]);
    if (argc != 3 || strcmp(argv[1], "--zygote") != 0) {
        fprintf(stderr, "error E%d: %s\n  try: vathost starts this program by itself\n", ERR_USAGE,
                err_text(ERR_USAGE));
        return err_row(ERR_USAGE)->exit;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "vatzygote");
    log_open("worker", NULL);
    failpoint_start(FAILPOINT_zygote);

    zygote_t self = {.fd = atoi(argv[2])};
    find_share(self.share);
    return zygote_run(&self);
}
