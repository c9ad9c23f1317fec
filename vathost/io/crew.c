#define _GNU_SOURCE /* close_range */
#include "vathost/io/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vathost/zygote.h"
#include "wire/base/must.h"

enum { ZYGOTE_FD = 3, GOODBYE_MS = 5000, GOODBYE_STEP_MS = 2 };

struct crew {
    int fd;
    pid_t zygote;     /* 0: it has been waited for */
    zygote_msg_t msg; /* the last one taken */
};

/* Between fork and exec, with libzmq's threads perhaps in the parent: system calls only. */
static _Noreturn void become_zygote(const char *program, int fd, pid_t parent)
{
    static const char number[] = {'0' + ZYGOTE_FD, 0};
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_IGN); /* a signal for the whole group is the vathost's to answer */
    signal(SIGINT, SIG_IGN);
    if (fd == ZYGOTE_FD) {
        fcntl(fd, F_SETFD, 0);
    } else if (dup2(fd, ZYGOTE_FD) < 0) {
        _exit(127);
    }
    close_range(ZYGOTE_FD + 1, ~0u, 0);
    execl(program, program, "--zygote", number, (char *)NULL);
    _exit(127);
}

err_t crew_new(const char *program, crew_t **ret)
{
    int pair[2];
    pid_t parent = getpid();

    if (access(program, X_OK) != 0) return ERR_PROCESS_FAILED;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ERR_PROCESS_FAILED;
    pid_t pid = fork();
    if (pid == 0) become_zygote(program, pair[1], parent);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return ERR_PROCESS_FAILED;
    }
    must(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);

    crew_t *self = calloc(1, sizeof *self);
    must(self);
    self->fd = pair[0];
    self->zygote = pid;
    *ret = self;
    return ERR_OK;
}

void crew_destroy(crew_t **self_p)
{
    must(self_p);
    crew_t *self = *self_p;
    const struct timespec step = {0, GOODBYE_STEP_MS * 1000000L};
    if (!self) return;

    close(self->fd); /* it kills its workers, waits for them, and ends */
    for (int ms = 0; self->zygote && waitpid(self->zygote, NULL, WNOHANG) == 0;
         ms += GOODBYE_STEP_MS) {
        if (ms == GOODBYE_MS) kill(self->zygote, SIGKILL);
        nanosleep(&step, NULL);
    }
    free(self);
    *self_p = NULL;
}

static bool tell(crew_t *self, zygote_kind_t kind, uint64_t token, const char *text, const int *fd)
{
    zygote_msg_t msg = {.token = token, .kind = kind};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec body = {&msg, sizeof msg};
    struct msghdr packet = {.msg_iov = &body, .msg_iovlen = 1};

    snprintf(msg.text, sizeof msg.text, "%s", text);
    if (fd) {
        packet.msg_control = &control;
        packet.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), fd, sizeof *fd);
    }
    return sendmsg(self->fd, &packet, MSG_NOSIGNAL) == (ssize_t)sizeof msg;
}

err_t crew_start(crew_t *self, uint64_t token, const char *bundle, int *ret_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return ERR_PROCESS_FAILED;

    bool told = tell(self, ZYGOTE_START, token, bundle, &pair[1]);
    close(pair[1]);
    if (!told) {
        close(pair[0]);
        return ERR_PROCESS_FAILED;
    }
    must(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    *ret_fd = pair[0];
    return ERR_OK;
}

void crew_kill(crew_t *self, uint64_t token)
{
    /* A queue to the zygote that is full is not worth waiting for: the caller asks again. */
    (void)tell(self, ZYGOTE_KILL, token, "", NULL);
}

int crew_fd(const crew_t *self) { return self->fd; }

/* The socket closed, so the process is ending if it has not ended. */
static crew_event_t gone(crew_t *self)
{
    crew_event_t event = {.kind = CREW_GONE};
    if (self->zygote) (void)waitpid(self->zygote, &event.status, 0);
    self->zygote = 0;
    return event;
}

crew_event_t crew_take(crew_t *self)
{
    ssize_t got = recv(self->fd, &self->msg, sizeof self->msg, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return (crew_event_t){.kind = CREW_NOTHING};
    if (got != (ssize_t)sizeof self->msg) return gone(self);
    self->msg.text[sizeof self->msg.text - 1] = '\0';
    if (self->msg.kind == ZYGOTE_READY) return (crew_event_t){CREW_READY, 0, 0, self->msg.text};
    return (crew_event_t){CREW_ENDED, self->msg.token, self->msg.status, ""};
}
