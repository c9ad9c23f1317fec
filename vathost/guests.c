#include "vathost/guests_own.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vathost/worker.h"
#include "vathost/xs/xs_engine.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

static void guest_free(guest_t *guest)
{
    free(guest->globals);
    free(guest);
}

static void database_path(const guests_t *self, vat_t vat, char ret[PATH_BYTES_MAX])
{
    snprintf(ret, PATH_BYTES_MAX, "%s/vat-%u.db", self->options.state, vat.n);
}

static void delete_database(const guests_t *self, vat_t vat)
{
    static const char *const tails[] = {"", "-journal", "-wal", "-shm"};
    char path[PATH_BYTES_MAX], file[PATH_BYTES_MAX + 16];

    database_path(self, vat, path);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(file, sizeof file, "%s%s", path, tails[i]);
        unlink(file);
        FAILPOINT(vathost_deletes);
    }
}

guests_t *guests_new(const guests_options_t *options)
{
    guests_t *self = calloc(1, sizeof *self);
    must(self);
    self->options = *options;
    self->token_next = GUESTS_TOKEN_FIRST;
    self->frame = buf_of(FRAME_BYTES_MAX);
    return self;
}

void guests_destroy(guests_t **self_p)
{
    must(self_p);
    guests_t *self = *self_p;
    if (!self) return;

    worker_t *worker;
    guest_t *guest;
    for (size_t i = 0; i < self->workers.room; i++) {
        if (!(worker = map_cell(&self->workers, i))) continue;
        pipe_close(&worker->pipe);
        delete_database(self, worker->vat); /* its vat may have ended just before us */
        free(worker);
    }
    for (size_t i = 0; i < self->guests.room; i++) {
        if (!(guest = map_cell(&self->guests, i))) continue;
        delete_database(self, guest->vat); /* the crew ended before us */
        guest_free(guest);
    }
    map_clear(&self->workers);
    map_clear(&self->guests);
    buf_clear(&self->frame);
    free(self);
    *self_p = NULL;
}

/* ---- frames out ---- */

static bin_t frame_of(guests_t *self, msg_tag_t tag, const void *body)
{
    buf_reset(&self->frame);
    must(msg_encode(tag, body, &self->frame) == ERR_OK);
    return (bin_t){self->frame.at, self->frame.len};
}

void guests_tell_broker(guests_t *self, msg_tag_t tag, const void *body)
{
    (void)self->options.send(self->options.context, frame_of(self, tag, body));
}

/* What the worker does not take now is written when its socket says so. */
static void pass(guests_t *self, worker_t *worker, bin_t frame)
{
    bool waited = pipe_waiting(&worker->pipe);
    if (!pipe_send(&worker->pipe, frame)) return; /* it is ending: CREW_ENDED follows */

    bool waits = pipe_waiting(&worker->pipe);
    if (waits == waited) return;
    struct epoll_event event = {EPOLLIN | (waits ? EPOLLOUT : 0u), {.u64 = worker->token}};
    epoll_ctl(self->options.epoll, EPOLL_CTL_MOD, worker->pipe.fd, &event);
}

void guests_tell_worker(guests_t *self, worker_t *worker, msg_tag_t tag, const void *body)
{
    pass(self, worker, frame_of(self, tag, body));
}

static void tell_start(guests_t *self, worker_t *worker)
{
    const guest_t *guest = worker->guest;
    char bundle[PATH_BYTES_MAX], database[PATH_BYTES_MAX];

    snprintf(bundle, sizeof bundle, "%s", worker->bundle);
    database_path(self, guest->vat, database);
    msg_start_t start = {.vat = guest->vat,
                         .inc = guest->inc,
                         .pgen = guest->pgen,
                         .name = text_of(guest->name),
                         .bundle = text_of(bundle),
                         .database = text_of(database),
                         .dialect = guest->dialect,
                         .computrons = guest->computrons,
                         .wall_ms = guest->wall_ms,
                         .heap_bytes = guest->heap_bytes,
                         .globals = text_of(guest->globals)};
    worker->starts++;
    guests_tell_worker(self, worker, TAG_start, &start);
    FAILPOINT(vathost_told_start);
}

/* ---- a worker's life ---- */

void guests_start_later(guest_t *guest, uint64_t at_ms) { guest->start_at_ms = at_ms ? at_ms : 1; }

/* Pauses grow while nothing comes of it: at once, 100 ms, 200 ms, ... 10 s. */
static void start_again(guest_t *guest, uint64_t now_ms)
{
    enum { PAUSE_MS = 100, PAUSE_MAX_MS = 10 * 1000, DOUBLINGS = 7 };
    unsigned n = guest->failures++;
    uint64_t pause = n == 0 ? 0 : (uint64_t)PAUSE_MS << (n - 1 < DOUBLINGS ? n - 1 : DOUBLINGS);
    guests_start_later(guest, now_ms + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS));
}

void guests_start(guests_t *self, guest_t *guest, uint64_t now_ms)
{
    char bundle[PATH_BYTES_MAX];
    int fd;

    guest->start_at_ms = 0;
    if (!bundle_of_start(self, guest, bundle)) return;
    FAILPOINT(vathost_starts_worker);
    uint64_t token = self->token_next++;
    if (crew_start(self->options.crew, token, bundle, &fd)) {
        start_again(guest, now_ms);
        return;
    }
    worker_t *worker = calloc(1, sizeof *worker);
    must(worker);
    worker->token = token;
    worker->vat = guest->vat;
    worker->pipe = pipe_of(fd);
    worker->guest = guest;
    snprintf(worker->bundle, sizeof worker->bundle, "%s", bundle);
    guest->worker = worker;
    map_put(&self->workers, token, worker);
    struct epoll_event event = {EPOLLIN, {.u64 = token}};
    must(epoll_ctl(self->options.epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    tell_start(self, worker);
}

/* The worker is nobody's from here on; its process ends, and then it is forgotten. */
static void let_go(guests_t *self, guest_t *guest)
{
    if (!guest->worker) return;
    guest->worker->guest = NULL;
    crew_kill(self->options.crew, guest->worker->token);
    guest->worker = NULL;
}

static void remove_guest(guests_t *self, guest_t *guest)
{
    bool running = guest->worker != NULL;
    let_go(self, guest);
    map_remove(&self->guests, guest->vat.n);
    if (!running) delete_database(self, guest->vat);
    guest_free(guest);
}

void guests_end_all(guests_t *self)
{
    size_t count;
    uint64_t *vats = map_sorted(&self->guests, &count);
    for (size_t i = 0; vats && i < count; i++) remove_guest(self, map_get(&self->guests, vats[i]));
    free(vats);
}

/* ---- what the broker says ---- */

/* The vat, if it stands here in this placement. Its incarnation is the broker's to count. */
static guest_t *guest_at(const guests_t *self, vat_t vat, uint64_t inc, uint64_t pgen)
{
    guest_t *guest = map_get(&self->guests, vat.n);
    if (!guest || guest->pgen != pgen) return NULL;
    if (guest->inc < inc) guest->inc = inc;
    return guest;
}

static void copy(char *to, size_t room, text_t from)
{
    must(from.len < room);
    if (from.len) memcpy(to, from.at, from.len);
    to[from.len] = '\0';
}

static void on_vat_new(guests_t *self, const msg_vat_new_t *msg, uint64_t now_ms)
{
    guest_t *guest = map_get(&self->guests, msg->vat.n);
    if (!bundles_name(msg->bundle)) {
        log_error("bundle_name", kv_num("vat", msg->vat.n), kv_text("bundle", msg->bundle));
        return;
    }
    if (guest && guest->pgen > msg->pgen) return; /* old news */
    if (guest && guest->pgen < msg->pgen) remove_guest(self, guest);
    guest = guest_at(self, msg->vat, msg->inc, msg->pgen);
    if (!guest) {
        guest = calloc(1, sizeof *guest);
        must(guest);
        *guest = (guest_t){.vat = msg->vat,
                           .inc = msg->inc,
                           .pgen = msg->pgen,
                           .dialect = msg->dialect,
                           .computrons = msg->computrons,
                           .wall_ms = msg->wall_ms,
                           .heap_bytes = msg->heap_bytes};
        copy(guest->name, sizeof guest->name, msg->name);
        copy(guest->bundle, sizeof guest->bundle, msg->bundle);
        guest->globals = calloc(1, msg->globals.len + 1);
        must(guest->globals);
        copy(guest->globals, msg->globals.len + 1, msg->globals);
        map_put(&self->guests, guest->vat.n, guest);
    }
    if (!guest->worker && !guest->fetching && !guest->start_at_ms)
        guests_start(self, guest, now_ms);
}

static void on_vat_end(guests_t *self, const msg_vat_end_t *msg)
{
    guest_t *guest = map_get(&self->guests, msg->vat.n);
    if (!guest) {
        delete_database(self, msg->vat);
    } else if (guest->pgen <= msg->pgen) {
        remove_guest(self, guest);
    }
}

static void on_vat_restart(guests_t *self, const msg_vat_restart_t *msg, uint64_t now_ms)
{
    guest_t *guest = guest_at(self, msg->vat, msg->inc, msg->pgen);
    if (!guest) return;

    let_go(self, guest);
    guest->failures = 0;
    if (!guest->fetching) guests_start(self, guest, now_ms);
}

/* A delivery is on its way to the worker. It begins with it at once when it is idle and this is the
 * next one; any other it ignores, or answers from memory. */
static void watch_deliver(worker_t *worker, const msg_deliver_t *msg, uint64_t now_ms)
{
    if (msg->verdict != 0 || msg->d != worker->live + 1) return;
    if (worker->live == worker->known) worker->since_ms = now_ms;
    worker->live = msg->d;
    uint64_t tag = msg_peek(msg->delivery);
    worker->patience = 1;
    if (tag == TAG_deliver_reap) worker->patience = WALL_REAP_TIMES;
    if (tag == TAG_deliver_upgrade) worker->patience = WALL_REAP_TIMES + 1; /* a reap and a start */
    if (tag == TAG_deliver_upgrade) worker->upgrade = msg->d;
}

static void on_crank_frame(guests_t *self, const msg_t *msg, bin_t frame, uint64_t now_ms)
{
    /* All of these begin alike: vat, inc, pgen, run. */
    const msg_deliver_t *head = &msg->body.deliver;
    guest_t *guest = guest_at(self, head->vat, head->inc, head->pgen);
    if (!guest || !guest->worker) return;

    if (msg->tag == TAG_deliver) watch_deliver(guest->worker, head, now_ms);
    if (msg->tag == TAG_attached) guest->worker->run = head->run;
    pass(self, guest->worker, frame);
    FAILPOINT(vathost_passed_down);
}

/* Failpoints by the frame that was taken. */
static void moment_took(msg_tag_t tag)
{
    if (!failpoint_armed) return;
    switch (tag) {
    case TAG_vat_new: FAILPOINT(vathost_took_vat_new); break;
    case TAG_vat_end: FAILPOINT(vathost_took_vat_end); break;
    case TAG_vat_restart: FAILPOINT(vathost_took_restart); break;
    case TAG_attached: FAILPOINT(vathost_took_attached); break;
    case TAG_deliver: FAILPOINT(vathost_took_deliver); break;
    default: FAILPOINT(vathost_took); break;
    }
}

void guests_take(guests_t *self, const msg_t *msg, bin_t frame, uint64_t now_ms)
{
    moment_took(msg->tag);
    switch (msg->tag) {
    case TAG_vat_new: on_vat_new(self, &msg->body.vat_new, now_ms); break;
    case TAG_vat_end: on_vat_end(self, &msg->body.vat_end); break;
    case TAG_vat_restart: on_vat_restart(self, &msg->body.vat_restart, now_ms); break;
    case TAG_attached:
    case TAG_names_get:
    case TAG_deliver: on_crank_frame(self, msg, frame, now_ms); break;
    case TAG_bundle_part: bundle_part(self, &msg->body.bundle_part, now_ms); break;
    default: log_warn("frame_unexpected", kv_num("tag", msg->tag));
    }
}

/* ---- what workers say ---- */

static void watch_worker(worker_t *worker, const msg_t *msg, uint64_t now_ms)
{
    switch (msg->tag) {
    case TAG_attach:
        worker->starts--;
        worker->known = worker->live = msg->body.attach.last;
        break;
    case TAG_fetch: worker->known = worker->live = msg->body.fetch.first - 1; break;
    case TAG_result:
        if (msg->body.result.d != worker->known + 1) break; /* sent again */
        worker->known++;
        if (worker->live < worker->known) worker->live = worker->known;
        worker->since_ms = now_ms;
        worker->guest->failures = 0;
        worker->undone = msg->body.result.outcome && msg->body.result.d == worker->upgrade;
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

/* Returns false when the worker may not say this. */
static bool on_worker_frame(guests_t *self, worker_t *worker, bin_t frame, uint64_t now_ms)
{
    const guest_t *guest = worker->guest;
    msg_t msg;

    if (!guest) return true; /* nobody's any more */
    if (msg_decode(frame, &msg)) return false;
    if (msg.tag == TAG_bundle_want) {
        bool takes = bundle_want(self, worker, &msg.body.bundle_want, now_ms);
        msg_clear(&msg);
        return takes;
    }
    const msg_result_t *head = &msg.body.result; /* all of these begin alike */
    bool ok = msg.tag == TAG_attach || msg.tag == TAG_fetch || msg.tag == TAG_result ||
              msg.tag == TAG_diverged || msg.tag == TAG_names;
    ok = ok && head->vat.n == guest->vat.n && head->pgen == guest->pgen;
    ok = ok && (msg.tag != TAG_attach || worker->starts); /* each has the broker send its rows */
    if (ok) {
        watch_worker(worker, &msg, now_ms);
        moment_heard(msg.tag);
        (void)self->options.send(self->options.context, frame);
        FAILPOINT(vathost_passed_up);
    }
    msg_clear(&msg);
    return ok;
}

/* Takes all frames that are here. False: end it. */
static bool take_frames(guests_t *self, worker_t *worker, uint64_t now_ms)
{
    bin_t frame;
    for (;;) {
        switch (pipe_take(&worker->pipe, &frame)) {
        case FRAMES_MORE: return true;
        case FRAMES_BROKEN: return false;
        case FRAMES_ONE:
            if (!on_worker_frame(self, worker, frame, now_ms)) return false;
        }
    }
}

void guests_pipe(guests_t *self, uint64_t token, uint64_t now_ms)
{
    worker_t *worker = map_get(&self->workers, token);
    if (!worker || worker->pipe.fd < 0) return;

    bool waited = pipe_waiting(&worker->pipe);
    bool ok = pipe_flush(&worker->pipe);
    if (ok && waited && !pipe_waiting(&worker->pipe)) {
        struct epoll_event event = {EPOLLIN, {.u64 = token}};
        epoll_ctl(self->options.epoll, EPOLL_CTL_MOD, worker->pipe.fd, &event);
    }
    bool open = pipe_read(&worker->pipe);
    if (!take_frames(self, worker, now_ms)) {
        log_error("worker_frame", kv_num("vat", worker->vat.n),
                  kv_str("why", "not its own, or out of turn"));
        ok = false;
    }
    if (ok && open) return;
    /* Nothing more can be read or written. Its end is reported by the zygote. */
    pipe_close(&worker->pipe);
    crew_kill(self->options.crew, token);
}

/* ---- how workers end ---- */

/* Why a worker that was running a live delivery ended; OK: by nothing the vat did. */
static err_t blame(const worker_t *worker, int status)
{
    if (worker->live <= worker->known) return ERR_OK;
    if (worker->late) return ERR_VAT_LIMIT_WALL;
    if (WIFEXITED(status)) {
        switch (WEXITSTATUS(status)) {
        case XS_EXIT_WALL: return ERR_VAT_LIMIT_WALL;
        case WORKER_DONE:
        case WORKER_BROKEN:
        case WORKER_DIVERGED: return ERR_OK;
        default: return ERR_VAT_CRASHED;
        }
    }
    switch (WTERMSIG(status)) {
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGILL:
    case SIGFPE:
    case SIGSYS:
    case SIGTRAP:
    case SIGALRM: return ERR_VAT_CRASHED;
    default: return ERR_OK;
    }
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

    guest->worker = NULL;
    if (err) {
        report_lost(self, worker, err, status); /* the broker ends the vat, or asks for it again */
    } else if (worker->diverged) {
        /* The broker quarantines the vat. */
    } else if (done && worker->undone) {
        /* The broker knows how the upgrade ended, and skips it. */
        guests_start(self, guest, now_ms);
    } else if (done) {
        /* Its last result said so; VAT_END follows. */
        guests_start_later(guest, now_ms + SAID_ITS_END_MS);
    } else {
        log_warn("worker_restart", kv_num("vat", guest->vat.n), kv_num("status", (unsigned)status));
        start_again(guest, now_ms);
        if (guest->start_at_ms <= now_ms) guests_start(self, guest, now_ms);
    }
}

void guests_ended(guests_t *self, uint64_t token, int status, uint64_t now_ms)
{
    worker_t *worker = map_remove(&self->workers, token);
    if (!worker) return;

    FAILPOINT(vathost_worker_ended);
    /* What it said last may still be in the socket. */
    while (worker->pipe.fd >= 0 && take_frames(self, worker, now_ms)) {
        errno = 0;
        if (!pipe_read(&worker->pipe) || errno == EAGAIN || errno == EWOULDBLOCK) break;
    }
    pipe_close(&worker->pipe);
    if (worker->guest) {
        after_end(self, worker, status, now_ms);
    } else if (!map_get(&self->guests, worker->vat.n)) {
        delete_database(self, worker->vat);
    }
    free(worker);
}

void guests_crew(guests_t *self, crew_t *crew, uint64_t now_ms)
{
    size_t count;
    uint64_t *tokens = map_sorted(&self->workers, &count);

    self->options.crew = crew;
    for (size_t i = 0; tokens && i < count; i++) guests_ended(self, tokens[i], SIGKILL, now_ms);
    free(tokens);
}

/* ---- time ---- */

void guests_session(guests_t *self)
{
    for (size_t i = 0; i < self->guests.room; i++) {
        guest_t *guest = map_cell(&self->guests, i);
        if (!guest) continue;
        if (guest->worker) tell_start(self, guest->worker);
    }
    bundle_session(self);
}

static void tick_one(guests_t *self, guest_t *guest, uint64_t now_ms)
{
    worker_t *worker = guest->worker;
    if (!worker) {
        if (guest->start_at_ms && guest->start_at_ms <= now_ms) guests_start(self, guest, now_ms);
        return;
    }
    if (*worker->want) { /* it waits for us */
        bundle_tick(self, worker, now_ms);
        return;
    }
    uint64_t wall_ms = (guest->wall_ms ? guest->wall_ms : WALL_MS_DEFAULT) *
                       (worker->patience ? worker->patience : 1);
    bool running = worker->live > worker->known;
    if (running && now_ms - worker->since_ms > wall_ms + WALL_GRACE_MS) {
        worker->late = true;
        crew_kill(self->options.crew, worker->token);
    }
}

void guests_tick(guests_t *self, uint64_t now_ms)
{
    for (size_t i = 0; i < self->guests.room; i++) {
        guest_t *guest = map_cell(&self->guests, i);
        if (guest) tick_one(self, guest, now_ms);
    }
}
