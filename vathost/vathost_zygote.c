/* The zygote's life, as the host sees it: what it says, what comes after one that was lost, and when that is no
 * use. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vathost/vathost_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"

enum {
    /* A zygote that is lost is followed by another at once, then after 100 ms, 200 ms, ... 10 s: it costs a tenth
     * of a second of computing, and whoever kills them does not stop for us. The row begins anew with one
     * that worked for CREW_STEADY_MS: it did what it is for, and what ended it is news. */
    CREW_PAUSE_MS = 100,
    CREW_PAUSE_MAX_MS = 10 * 1000,
    CREW_DOUBLINGS = 7,
    CREW_STEADY_MS = 1000,
    CREWS_LOST_SAID = 5, /* so many in a row are no accident: people are told, once */
    /* So many in a row that ended by themselves, killed ones between them not counted: it cannot work here. More
     * than one, for a moment without memory, or a program that is just being installed; what never worked
     * is not tried twice, because whoever started us is still looking. */
    CREWS_FAILED_MAX = 5,
};

/* There is none now, HOW the last one ended. Whoever kills one from outside only costs time; one that ends BY
 * ITSELF again and again has said why it cannot work. */
static void lose_crew(vathost_t *self, bool by_itself, const char *how)
{
    uint64_t now = vathost_now_ms();
    char why[sizeof self->why];

    if (self->crew_ready && now - self->crew_ready_ms >= CREW_STEADY_MS)
        self->crews_lost = self->crews_failed = 0;
    self->crew_ready = false;
    unsigned n = self->crews_lost++;
    if (by_itself) self->crews_failed++;
    if (self->crews_failed >= (self->crew_ready_ms ? CREWS_FAILED_MAX : 1)) {
        snprintf(why, sizeof why, "the zygote %s", how);
        vathost_stop(self, ERR_PROCESS_FAILED, why);
        return;
    }
    uint64_t pause =
        n == 0 ? 0 : (uint64_t)CREW_PAUSE_MS << (n - 1 < CREW_DOUBLINGS ? n - 1 : CREW_DOUBLINGS);
    self->crew_at_ms = now + (pause < CREW_PAUSE_MAX_MS ? pause : CREW_PAUSE_MAX_MS);
    log_warn("zygote_lost", kv_num("times", self->crews_lost), kv_str("how", how));
    if (self->crews_lost != CREWS_LOST_SAID) return;
    log_error("zygote_lost_again_and_again", kv_num("times", self->crews_lost), kv_str("how", how),
              kv_str("what", "no vat runs here without it; it is started again for ever, after "
                             "pauses of up to ten seconds"));
}

void zygote_start(vathost_t *self)
{
    if (self->options.crew || self->stop || self->end_ms || vathost_now_ms() < self->crew_at_ms)
        return;
    if (crew_new(self->options.program, &self->options.crew)) {
        bool there = access(self->options.program, X_OK) == 0;
        lose_crew(self, !there, there ? "could not be started" : "has no program to start");
        return;
    }
    log_warn("zygote_restart", kv_num("times", self->crews_lost));
    vathost_watch(self, crew_fd(self->options.crew), AT_CREW);
    guests_crew(self->guests, self->options.crew, vathost_now_ms());
}

static void on_crew_gone(vathost_t *self, int status)
{
    char how[80];

    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "ended with exit code %d, its own lines say why",
                 WEXITSTATUS(status));
    crew_destroy(&self->options.crew);
    guests_crew(self->guests, NULL, vathost_now_ms());
    FAILPOINT(vathost_crew_gone);
    lose_crew(self, WIFEXITED(status) || crew_crashed(status), how);
    zygote_start(self);
}

static void on_crew_ready(vathost_t *self, const char *engine)
{
    self->crew_ready = true;
    self->crew_ready_ms = vathost_now_ms();
    snprintf(self->engine, sizeof self->engine, "%s", engine);
    if (self->link == LINK_CLOSED) session_open(self);
}

void zygote_drain(vathost_t *self)
{
    while (self->options.crew) {
        crew_event_t event = crew_take(self->options.crew);
        switch (event.kind) {
        case CREW_NOTHING: return;
        case CREW_READY: on_crew_ready(self, event.engine); break;
        case CREW_ENDED:
            guests_ended(self->guests, event.token, event.status, vathost_now_ms());
            break;
        case CREW_GONE: on_crew_gone(self, event.status); return;
        }
    }
}
