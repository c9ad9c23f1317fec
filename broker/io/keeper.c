#define _GNU_SOURCE /* close_range */
#include "broker/io/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/must.h"
#include "wire/frames/pipe.h"

enum { AGENT_FD = 3, GOODBYE_MS = 2000, DYING_MS = 100, STEP_MS = 2 };

struct keeper {
    const char *program;
    pid_t pid;   /* 0: none runs */
    pipe_t pipe; /* closed: it was killed */
};

keeper_t *keeper_new(const char *program)
{
    keeper_t *self = calloc(1, sizeof *self);
    must(self);
    self->program = program;
    self->pipe = pipe_of(-1);
    return self;
}

/* Between fork and exec, with libzmq's threads in the parent: system calls only. Its stdout is our
 * stderr: ours may be a pipe whose reader waits for its end. */
static _Noreturn void become_agent(const char *program, int fd, pid_t parent)
{
    static const char number[] = {'0' + AGENT_FD, 0};
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_IGN); /* a signal for the whole group is the broker's to answer */
    signal(SIGINT, SIG_IGN);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (fd == AGENT_FD) {
        fcntl(fd, F_SETFD, 0);
    } else if (dup2(fd, AGENT_FD) < 0) {
        _exit(127);
    }
    close_range(AGENT_FD + 1, ~0u, 0);
    execl(program, program, number, (char *)NULL);
    _exit(127);
}

bool keeper_start(keeper_t *self)
{
    int pair[2];
    pid_t parent = getpid();

    must(!self->pid);
    if (access(self->program, X_OK) != 0) return false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return false;
    pid_t pid = fork();
    if (pid == 0) become_agent(self->program, pair[1], parent);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return false;
    }
    must(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    self->pipe = pipe_of(pair[0]);
    self->pid = pid;
    return true;
}

void keeper_end(keeper_t *self)
{
    if (self->pid) kill(self->pid, SIGKILL);
    pipe_close(&self->pipe);
}

void keeper_send(keeper_t *self, bin_t frame)
{
    if (self->pid && self->pipe.fd >= 0)
        (void)pipe_send(&self->pipe, frame); /* reading shows its end */
}

/* Waits until the process has ended, and kills it after PATIENCE_MS. Returns how it ended. */
static int wait_for(keeper_t *self, int patience_ms)
{
    const struct timespec step = {0, STEP_MS * 1000000L};
    int status = 0;

    for (int ms = 0; self->pid; ms += STEP_MS) {
        if (ms >= patience_ms) kill(self->pid, SIGKILL);
        pid_t pid = waitpid(self->pid, &status, WNOHANG);
        if (pid == self->pid) break;
        must(pid == 0 || errno == EINTR);
        nanosleep(&step, NULL);
    }
    self->pid = 0;
    return status;
}

/* A process that died has closed its socket a moment before it can be waited for. */
static agent_event_t ended(keeper_t *self, int *ret_status)
{
    pipe_close(&self->pipe);
    *ret_status = wait_for(self, DYING_MS);
    return AGENT_ENDED;
}

agent_event_t keeper_take(keeper_t *self, bin_t *ret, int *ret_status)
{
    if (!self->pid) return AGENT_NOTHING;
    if (self->pipe.fd < 0) return ended(self, ret_status);
    frames_next_t next = pipe_take(&self->pipe, ret);
    if (next == FRAMES_MORE) {
        (void)pipe_flush(&self->pipe);
        if (!pipe_read(&self->pipe)) return ended(self, ret_status);
        next = pipe_take(&self->pipe, ret);
    }
    if (next == FRAMES_BROKEN) return ended(self, ret_status);
    return next == FRAMES_ONE ? AGENT_FRAME : AGENT_NOTHING;
}

void keeper_wants(const keeper_t *self, int *ret_fd, bool *ret_write)
{
    *ret_fd = self->pid ? self->pipe.fd : -1;
    *ret_write = self->pid && pipe_waiting(&self->pipe);
}

void keeper_destroy(keeper_t **self_p)
{
    keeper_t *self = *self_p;
    if (!self) return;

    pipe_close(&self->pipe);
    (void)wait_for(self, GOODBYE_MS);
    free(self);
    *self_p = NULL;
}
