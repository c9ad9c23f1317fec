/* The host's loop: what it waits for, how it ends, and its sign of life. */
#include "vathost/vathost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "vathost/vathost_own.h"
#include "wire/base/alive.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum {
    END_MS = 2000, /* an orderly end waits so long for checkpoints */
    EVENTS_PER_TURN = 64,
};

uint64_t vathost_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void vathost_stop(vathost_t *self, err_t err, const char *why)
{
    self->stop = true;
    self->err = err;
    snprintf(self->why, sizeof self->why, "%s", why);
}

void vathost_watch(vathost_t *self, int fd, uint64_t about)
{
    struct epoll_event event = {EPOLLIN, {.u64 = about}};
    must(epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* ---- the end ---- */

/* Checkpoints spare the workers that come after us their replays. More than that is not lost without
 * them, so the wait is short. */
static void begin_end(vathost_t *self)
{
    struct signalfd_siginfo info;
    while (read(self->options.signals, &info, sizeof info) > 0) continue;
    if (self->end_ms) return;
    self->end_ms = vathost_now_ms();
    guests_finish(self->guests);
}

static void look_for_end(vathost_t *self)
{
    if (!self->end_ms || self->stop) return;
    if (guests_finished(self->guests) || vathost_now_ms() - self->end_ms > END_MS)
        vathost_stop(self, ERR_OK, "");
}

/* ---- the sign of life ---- */

/* It can do what it is for: the session stands, and workers can be started. */
static void say_alive(vathost_t *self, uint64_t now)
{
    static const char *const links[] = {[LINK_CLOSED] = "no broker",
                                        [LINK_OPENING] = "no broker",
                                        [LINK_JOINING] = "joining",
                                        [LINK_HELLO] = "asking the broker",
                                        [LINK_OPEN] = "connected"};
    alive_t alive = {.ready = self->link == LINK_OPEN && self->crew_ready && !self->end_ms};
    bool refused = self->refused && self->link != LINK_OPEN;
    const char *what = self->end_ms        ? "ending"
                       : !self->crew_ready ? "no zygote"
                       : refused           ? "refused by the broker"
                                           : links[self->link];
    bool news = alive.ready != self->alive_ready || !self->alive_ms;
    if (!news && now - self->alive_ms < ALIVE_BEAT_MS) return;
    self->alive_ms = now;
    self->alive_ready = alive.ready;
    if (alive.ready)
        snprintf(alive.what, sizeof alive.what, "connected as h%u", self->number.n);
    else
        snprintf(alive.what, sizeof alive.what, "%s", what);
    alive_write(self->alive, alive);
}

/* ---- the loop ---- */

static void turn(vathost_t *self)
{
    struct epoll_event events[EVENTS_PER_TURN];
    /* Last thing before waiting: sending may have used up the signal of what arrived meanwhile. */
    bool busy = guests_work(self->guests);
    int timeout = session_drain(self) && !busy ? TICK_MS : 0;
    guests_flush(self->guests);
    if (self->stop) return;

    say_alive(self, vathost_now_ms());
    int count = epoll_wait(self->epoll, events, EVENTS_PER_TURN, timeout);
    for (int i = 0; i < count && !self->stop; i++) {
        switch (events[i].data.u64) {
        case AT_DEALER: break;
        case AT_CREW: zygote_drain(self); break;
        case AT_SIGNALS: begin_end(self); break;
        default: guests_pipe(self->guests, events[i].data.u64, vathost_now_ms());
        }
    }
}

err_t vathost_run(vathost_t *self)
{
    uint64_t ticked_ms = 0;

    while (!self->stop) {
        turn(self);
        zygote_start(self);
        look_for_end(self);
        uint64_t now = vathost_now_ms();
        if (self->stop || now - ticked_ms < TICK_MS) continue;
        ticked_ms = now;
        /* Nothing is asked of the broker before the engine can say which build it is. */
        if (self->crew_ready || self->ready_said) session_tick(self, now);
        if (!self->stop && !self->end_ms) guests_tick(self->guests, now);
    }
    return self->err;
}

const char *vathost_why(const vathost_t *self) { return self->why; }

/* Enough to keep all cores busy while some wait for the disk. */
static size_t begin_max(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 1 ? 2 * (size_t)cores : 2;
}

vathost_t *vathost_new(const vathost_options_t *options)
{
    vathost_t *self = calloc(1, sizeof *self);
    must(self);
    self->options = *options;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    must(self->epoll >= 0);
    must(getrandom(&self->instance, sizeof self->instance, 0) == sizeof self->instance);
    session_load(self);
    self->alive = alive_open(options->state);
    if (self->alive < 0) log_warn("alive_file", kv_str("why", strerror(errno)));
    self->guests = guests_new(&(guests_options_t){options->crew, options->bundles, options->vault,
                                                  begin_max(), self->epoll, self, session_say});
    vathost_watch(self, crew_fd(options->crew), AT_CREW);
    vathost_watch(self, options->signals, AT_SIGNALS);
    return self;
}

void vathost_destroy(vathost_t **self_p)
{
    must(self_p);
    vathost_t *self = *self_p;
    if (!self) return;

    crew_destroy(&self->options.crew);
    guests_destroy(&self->guests);
    close(self->epoll);
    if (self->alive >= 0) close(self->alive);
    alive_end(self->options.state);
    free(self);
    *self_p = NULL;
}
