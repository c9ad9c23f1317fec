/* What workers say, and how they end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "vathost/guests_own.h"
#include "vathost/worker.h"
#include "vathost/xs/xs_engine.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"

/* ---- what workers say ---- */

static void begun(guests_t *self, worker_t *worker, uint64_t now_ms)
{
    if (!worker->begins_ms) return;
    start_over(self, worker);
    start_next(self, now_ms);
}

static void watch_worker(guests_t *self, worker_t *worker, const msg_t *msg, uint64_t now_ms)
{
    switch (msg->tag) {
    case TAG_attach:
        worker->starts--;
        worker->attached = true;
        worker->known = worker->live = msg->body.attach.last;
        if (worker->known) begun(self, worker, now_ms);
        break;
    case TAG_fetch:
        worker->known = worker->live = msg->body.fetch.first - 1;
        if (worker->known) begun(self, worker, now_ms);
        break;
    case TAG_result:
        if (msg->body.result.d != worker->known + 1) break; /* sent again */
        worker->known++;
        begun(self, worker, now_ms); /* it parsed its bundle */
        if (worker->live < worker->known) worker->live = worker->known;
        worker->since_ms = now_ms;
        worker->guest->failures = 0;
        worker->undone = msg->body.result.outcome && msg->body.result.d == worker->upgrade;
        break;
    case TAG_checkpoint:
        if (worker->saves_ms) worker->since_ms = now_ms;
        worker->saves_ms = 0;
        worker->finishing = false;
        worker->guest->full = false;
        break;
    case TAG_diverged: worker->diverged = true; break;
    default: break;
    }
}

/* Failpoints by what a worker says that the broker has not heard. */
static void moment_heard(msg_tag_t tag)
{
    if (!failpoint_armed) return;
    switch (tag) {
    case TAG_attach: FAILPOINT(vathost_heard_attach); break;
    case TAG_fetch: FAILPOINT(vathost_heard_fetch); break;
    case TAG_result: FAILPOINT(vathost_heard_result); break;
    default: break;
    }
}

static bool is_passed_on(msg_tag_t tag)
{
    switch (tag) {
    case TAG_attach:
    case TAG_fetch:
    case TAG_result:
    case TAG_diverged:
    case TAG_names:
    case TAG_checkpoint: return true;
    default: return false;
    }
}

/* What a worker says to its host only. Returns false when it may not say this. */
static bool take_own(guests_t *self, worker_t *worker, const msg_t *msg, uint64_t now_ms)
{
    const guest_t *guest = worker->guest;
    const msg_checkpoint_begun_t *head =
        &msg->body.checkpoint_begun; /* both begin alike: vat, pgen */
    if (msg->tag == TAG_bundle_want)
        return bundle_want(self, worker, &msg->body.bundle_want, now_ms);
    if (head->vat.n != guest->vat.n || head->pgen != guest->pgen) return false;
    /* Said again it gains no time. */
    if (msg->tag == TAG_checkpoint_begun && !worker->saves_ms) worker->saves_ms = now_ms;
    return msg->tag == TAG_checkpoint_begun || ship_made(self, &msg->body.checkpoint_file);
}

static bool is_own(msg_tag_t tag)
{
    return tag == TAG_bundle_want || tag == TAG_checkpoint_begun || tag == TAG_checkpoint_file;
}

/* Returns false when the worker may not say this. */
static bool on_worker_frame(guests_t *self, worker_t *worker, bin_t frame, uint64_t now_ms)
{
    const guest_t *guest = worker->guest;
    msg_t msg;

    if (!guest) return true; /* nobody's any more */
    if (msg_decode(frame, &msg)) return false;
    if (is_own(msg.tag)) {
        bool takes = take_own(self, worker, &msg, now_ms);
        msg_clear(&msg);
        return takes;
    }
    const msg_result_t *head = &msg.body.result; /* all of these begin alike */
    bool ok = is_passed_on(msg.tag) && head->vat.n == guest->vat.n && head->pgen == guest->pgen;
    ok = ok && (msg.tag != TAG_attach || worker->starts); /* each has the broker send its rows */
    if (ok) {
        watch_worker(self, worker, &msg, now_ms);
        moment_heard(msg.tag);
        (void)self->options.send(self->options.context, frame);
        FAILPOINT(vathost_passed_up);
    }
    msg_clear(&msg);
    return ok;
}

static void say_wrong(const worker_t *worker, uint64_t tag)
{
    log_error("worker_frame", kv_num("vat", worker->vat.n), kv_num("tag", tag),
              kv_str("why", "not its own, or out of turn"));
}

/* Takes all frames that are here. False: end it. */
static bool take_frames(guests_t *self, worker_t *worker, uint64_t now_ms)
{
    bin_t frame;
    for (;;) {
        switch (pipe_take(&worker->pipe, &frame)) {
        case FRAMES_MORE: return true;
        case FRAMES_BROKEN: say_wrong(worker, 0); return false;
        case FRAMES_ONE:
            if (on_worker_frame(self, worker, frame, now_ms)) break;
            say_wrong(worker, msg_peek(frame));
            return false;
        }
    }
}

void guests_pipe(guests_t *self, uint64_t token, uint64_t now_ms)
{
    worker_t *worker = map_get(&self->workers, token);
    if (!worker || worker->pipe.fd < 0) return;

    bool ok = guests_write(self, worker);
    bool open = pipe_read(&worker->pipe);
    if (!take_frames(self, worker, now_ms)) ok = false;
    if (ok && open) return;
    /* Nothing more can be read or written. Its end is reported by the zygote. */
    pipe_close(&worker->pipe);
    crew_kill(self->options.crew, token);
}

/* ---- how workers end ---- */

/* Why a worker that was running a live delivery ended; OK: by nothing the vat did. */
static err_t blame(const worker_t *worker, int status)
{
    if (worker->live <= worker->known || worker->saves_ms) return ERR_OK;
    if (worker->late) return ERR_VAT_LIMIT_WALL;
    if (WIFEXITED(status)) {
        switch (WEXITSTATUS(status)) {
        case XS_EXIT_WALL: return ERR_VAT_LIMIT_WALL;
        case WORKER_DONE:
        case WORKER_BROKEN:
        case WORKER_DIVERGED:
        case WORKER_ASLEEP:
        case WORKER_FULL: return ERR_OK;
        default: return ERR_VAT_CRASHED;
        }
    }
    return crew_crashed(status) ? ERR_VAT_CRASHED : ERR_OK;
}

static void report_lost(guests_t *self, const worker_t *worker, err_t err, int status)
{
    char reason[128];
    if (err == ERR_VAT_LIMIT_WALL) {
        snprintf(reason, sizeof reason, "%s", err_text(err));
    } else if (WIFSIGNALED(status)) {
        snprintf(reason, sizeof reason, "%s: signal %d", err_text(err), WTERMSIG(status));
    } else {
        snprintf(reason, sizeof reason, "%s: exit code %d", err_text(err), WEXITSTATUS(status));
    }
    const guest_t *guest = worker->guest;
    msg_lost_t lost = {guest->vat,        guest->inc,    guest->pgen,    worker->run,
                       worker->known + 1, (uint64_t)err, text_of(reason)};
    FAILPOINT(vathost_tells_lost);
    guests_tell_broker(self, TAG_lost, &lost);
}

static void after_end(guests_t *self, worker_t *worker, int status, uint64_t now_ms)
{
    enum { SAID_ITS_END_MS = 1000 };
    guest_t *guest = worker->guest;
    err_t err = blame(worker, status);
    bool done = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DONE;
    bool full = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_FULL;

    guest->worker = NULL;
    if (worker->sleep_ms) {
        /* However it ended: all of it is on the disk, and the broker knows. */
        if (guest->due)
            guests_start(self, guest, now_ms);
        else
            guests_sleep(guest);
    } else if (err) {
        report_lost(self, worker, err, status); /* the broker ends the vat, or asks for it again */
    } else if (worker->diverged) {
        /* The broker quarantines the vat. */
    } else if (done && worker->undone) {
        /* The broker knows how the upgrade ended, and skips it. */
        guests_start(self, guest, now_ms);
    } else if (done) {
        /* Its last result said so; VAT_END follows. */
        guests_start_later(guest, now_ms + SAID_ITS_END_MS);
    } else if (full) {
        guests_disk_full(self, guest, now_ms);
    } else if (!self->options.crew) {
        guests_start(self, guest, now_ms); /* the zygote ended: nothing that this vat did */
    } else {
        log_warn("worker_restart", kv_num("vat", guest->vat.n), kv_num("status", (unsigned)status));
        guests_start_again(guest, now_ms);
        if (guest->start_at_ms <= now_ms) guests_start(self, guest, now_ms);
    }
}

void guests_ended(guests_t *self, uint64_t token, int status, uint64_t now_ms)
{
    worker_t *worker = map_remove(&self->workers, token);
    if (!worker) return;

    FAILPOINT(vathost_worker_ended);
    start_over(self, worker);
    /* What it said last may still be in the socket. */
    while (worker->pipe.fd >= 0 && take_frames(self, worker, now_ms)) {
        errno = 0;
        if (!pipe_read(&worker->pipe) || errno == EAGAIN || errno == EWOULDBLOCK) break;
    }
    pipe_close(&worker->pipe);
    if (worker->guest)
        after_end(self, worker, status, now_ms);
    else
        guests_left(self, worker, now_ms);
    free(worker);
    start_next(self, now_ms);
}

void guests_crew(guests_t *self, crew_t *crew, uint64_t now_ms)
{
    size_t count;
    uint64_t *tokens = map_sorted(&self->workers, &count);

    self->options.crew = crew;
    for (size_t i = 0; tokens && i < count; i++) guests_ended(self, tokens[i], SIGKILL, now_ms);
    free(tokens);
    start_next(self, now_ms);
}
