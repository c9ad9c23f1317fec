#include "vathost/guests_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

/* A worker that begins keeps others from beginning, but not longer than that. */
enum { BEGIN_MS = 2000 };

static void guest_free(guest_t *guest)
{
    pull_end(guest);
    free(guest->name);
    free(guest->bundle);
    free(guest->globals);
    free(guest);
}

/* ---- awake or asleep: nothing but the map knows of those that sleep ---- */

void guests_wake(guests_t *self, guest_t *guest)
{
    if (guest->at) return;
    guest->next = self->awake;
    guest->at = &self->awake;
    if (guest->next) guest->next->at = &guest->next;
    self->awake = guest;
}

void guests_sleep(guest_t *guest)
{
    if (!guest->at) return;
    must(!guest->worker);
    *guest->at = guest->next;
    if (guest->next) guest->next->at = guest->at;
    guest->at = NULL;
}

guests_t *guests_new(const guests_options_t *options)
{
    guests_t *self = calloc(1, sizeof *self);
    must(self);
    self->options = *options;
    self->token_next = GUESTS_TOKEN_FIRST;
    self->queue_end = &self->queue;
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
        if (worker->doomed) vault_delete(self->options.vault, worker->vat, worker->pgen);
        free(worker);
    }
    for (size_t i = 0; i < self->guests.room; i++) {
        if ((guest = map_cell(&self->guests, i))) guest_free(guest);
    }
    ship_end_all(self);
    map_clear(&self->workers);
    map_clear(&self->leaving);
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
bool guests_write(guests_t *self, worker_t *worker)
{
    if (!pipe_flush(&worker->pipe)) return false;
    bool waits = pipe_waiting(&worker->pipe);
    if (waits == worker->blocked) return true;
    worker->blocked = waits;
    struct epoll_event event = {EPOLLIN | (waits ? EPOLLOUT : 0u), {.u64 = worker->token}};
    epoll_ctl(self->options.epoll, EPOLL_CTL_MOD, worker->pipe.fd, &event);
    return true;
}

/* A worker whose socket is gone is ending: CREW_ENDED follows. */
static void pass(guests_t *self, worker_t *worker, bin_t frame)
{
    if (pipe_put(&worker->pipe, frame)) (void)guests_write(self, worker);
}

void guests_flush(guests_t *self)
{
    for (size_t i = 0; i < self->held_workers; i++) {
        worker_t *worker = map_get(&self->workers, self->held[i]);
        if (!worker) continue;
        worker->held = false;
        if (worker->pipe.fd >= 0) (void)guests_write(self, worker);
    }
    self->held_workers = self->held_frames = 0;
}

/* Frames come from the broker by the batch: those for one worker are written together. */
static void pass_later(guests_t *self, worker_t *worker, bin_t frame)
{
    if (!pipe_put(&worker->pipe, frame)) return;
    if (!worker->held) self->held[self->held_workers++] = worker->token;
    worker->held = true;
    bool full = ++self->held_frames == HELD_FRAMES_MAX || self->held_workers == HELD_WORKERS_MAX ||
                frame.len > HELD_BYTES_MAX;
    if (full) guests_flush(self);
}

void guests_tell_worker(guests_t *self, worker_t *worker, msg_tag_t tag, const void *body)
{
    pass(self, worker, frame_of(self, tag, body));
}

void guests_tell_start(guests_t *self, worker_t *worker)
{
    const guest_t *guest = worker->guest;
    char bundle[PATH_BYTES_MAX], database[PATH_BYTES_MAX], ship[PATH_BYTES_MAX];

    snprintf(bundle, sizeof bundle, "%s", worker->bundle);
    vault_path(self->options.vault, guest->vat, guest->pgen, database);
    vault_ship_path(self->options.vault, guest->vat, guest->pgen, ship);
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
                         .globals = text_of(guest->globals),
                         .kernel = self->kernel,
                         .every_rows = guest->every_rows,
                         .every_bytes = guest->every_bytes,
                         .idle_ms = guest->idle_ms,
                         .sleep_ms = guest->sleep_ms,
                         .mirror = guest->mirror,
                         .ship = text_of(ship)};
    worker->starts++;
    guests_tell_worker(self, worker, TAG_start, &start);
    FAILPOINT(vathost_told_start);
}

/* ---- a worker's life ---- */

/* The worker is nobody's from here on; its process ends, and then it is forgotten. */
static worker_t *let_go(guests_t *self, guest_t *guest)
{
    worker_t *worker = guest->worker;
    if (!worker) return NULL;
    guest->worker = NULL;
    worker->guest = NULL;
    start_over(self, worker);
    worker->behind = map_get(&self->leaving, guest->vat.n);
    map_put(&self->leaving, guest->vat.n, worker);
    crew_kill(self->options.crew, worker->token);
    return worker;
}

void guests_left(guests_t *self, const worker_t *worker, uint64_t now_ms)
{
    worker_t *first = map_remove(&self->leaving, worker->vat.n), **at = &first;
    while (*at != worker) at = &(*at)->behind;
    *at = worker->behind;
    if (first) map_put(&self->leaving, worker->vat.n, first);
    if (worker->doomed) vault_delete(self->options.vault, worker->vat, worker->pgen);

    guest_t *guest = map_get(&self->guests, worker->vat.n);
    if (!first && guest && guest->due) guests_start(self, guest, now_ms);
}

static void remove_guest(guests_t *self, guest_t *guest)
{
    worker_t *worker = let_go(self, guest);
    ship_end(self, guest->vat, guest->pgen);
    start_forget(self, guest);
    guests_sleep(guest);
    map_remove(&self->guests, guest->vat.n);
    if (worker)
        worker->doomed = true;
    else
        vault_delete(self->options.vault, guest->vat, guest->pgen);
    guest_free(guest);
}

void guests_end_all(guests_t *self)
{
    size_t count;
    uint64_t *vats = map_sorted(&self->guests, &count);
    for (size_t i = 0; vats && i < count; i++) remove_guest(self, map_get(&self->guests, vats[i]));
    free(vats);
    ship_end_all(self);
    vault_delete_all(self->options.vault);
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

static char *copy(text_t from)
{
    char *to = malloc(from.len + 1);
    must(to);
    if (from.len) memcpy(to, from.at, from.len);
    to[from.len] = '\0';
    return to;
}

static guest_t *make_guest(guests_t *self, const msg_vat_new_t *msg)
{
    char path[PATH_BYTES_MAX];
    guest_t *guest = calloc(1, sizeof *guest);
    must(guest);
    *guest = (guest_t){.vat = msg->vat,
                       .inc = msg->inc,
                       .pgen = msg->pgen,
                       .dialect = msg->dialect,
                       .computrons = msg->computrons,
                       .wall_ms = msg->wall_ms,
                       .heap_bytes = msg->heap_bytes,
                       .name = copy(msg->name),
                       .bundle = copy(msg->bundle),
                       .globals = copy(msg->globals)};
    map_put(&self->guests, guest->vat.n, guest);
    /* What an earlier placement left is of no use to anybody. */
    if (msg->pgen) vault_delete(self->options.vault, msg->vat, msg->pgen - 1);
    vault_path(self->options.vault, guest->vat, guest->pgen, path);
    return guest;
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
    if (!guest) guest = make_guest(self, msg);
    guest->every_rows = msg->every_rows;
    guest->every_bytes = msg->every_bytes;
    guest->idle_ms = msg->idle_ms;
    guest->sleep_ms = msg->sleep_ms;
    guest->mirror = msg->mirror;
    if (guest->worker) {
        guest->due = guest->worker->sleep_ms != 0; /* what it is to run came while it fell asleep */
        return;
    }
    pull_note(self, guest, msg);
    bool comes = guest->fetching || guest->start_at_ms || guest->due || guest->queued;
    if (!comes) guests_start(self, guest, now_ms);
}

static void on_vat_end(guests_t *self, const msg_vat_end_t *msg)
{
    guest_t *guest = map_get(&self->guests, msg->vat.n);
    if (guest && guest->pgen <= msg->pgen) remove_guest(self, guest);
    ship_end(self, msg->vat, msg->pgen);
    vault_delete(self->options.vault, msg->vat, msg->pgen);
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
    if (msg->tag == TAG_sleep) {
        if (head->run != guest->worker->run) return; /* of an earlier one */
        guest->worker->sleep_ms = now_ms;
    }
    pass_later(self, guest->worker, frame);
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
    case TAG_checkpoint_ask:
    case TAG_sleep:
    case TAG_deliver: on_crank_frame(self, msg, frame, now_ms); break;
    case TAG_checkpoint_get: ship_get(self, &msg->body.checkpoint_get); break;
    case TAG_checkpoint_part: pull_part(self, &msg->body.checkpoint_part, now_ms); break;
    case TAG_bundle_part: bundle_part(self, &msg->body.bundle_part, now_ms); break;
    default: log_warn("frame_unexpected", kv_num("tag", msg->tag));
    }
}

/* ---- time ---- */

static void say_kept(guests_t *self, buf_t *rows)
{
    msg_guests_t msg = {{rows->at, rows->len}};
    if (rows->len) guests_tell_broker(self, TAG_guests, &msg);
    buf_reset(rows);
}

typedef struct {
    guests_t *guests;
    buf_t rows;
} kept_t;

static void add_kept(void *context, vat_t vat, uint64_t pgen)
{
    kept_t *kept = context;
    uint8_t row[12];
    const guest_t *guest = map_get(&kept->guests->guests, vat.n);
    const worker_t *worker = guest && guest->pgen == pgen ? guest->worker : NULL;
    if (worker && !worker->sleep_ms) return; /* that one says ATTACH */
    for (size_t i = 0; i < 4; i++) row[i] = (uint8_t)(vat.n >> (24 - 8 * i));
    for (size_t i = 0; i < 8; i++) row[4 + i] = (uint8_t)(pgen >> (56 - 8 * i));
    if (kept->rows.len + sizeof row > GUESTS_BYTES_MAX) say_kept(kept->guests, &kept->rows);
    must(buf_add(&kept->rows, row, sizeof row) == ERR_OK);
}

/* The end of a vat is said once: who was away then has to ask. */
static void say_all_kept(guests_t *self)
{
    kept_t kept = {self, buf_of(GUESTS_BYTES_MAX)};
    vault_each(self->options.vault, add_kept, &kept);
    say_kept(self, &kept.rows);
    buf_clear(&kept.rows);
}

void guests_session(guests_t *self, id128_t kernel)
{
    self->kernel = kernel;
    say_all_kept(self);
    for (const guest_t *guest = self->awake; guest; guest = guest->next) {
        if (guest->worker) guests_tell_start(self, guest->worker);
    }
    bundle_session(self);
    pull_session(self);
    ship_session(self);
}

void guests_finish(guests_t *self)
{
    self->ending = true;
    for (guest_t *guest = self->awake; guest; guest = guest->next) {
        worker_t *worker = guest->worker;
        if (!worker || !worker->run || worker->sleep_ms) continue;
        msg_checkpoint_ask_t ask = {guest->vat, guest->inc, guest->pgen, worker->run, 0};
        worker->finishing = true;
        guests_tell_worker(self, worker, TAG_checkpoint_ask, &ask);
    }
    FAILPOINT(vathost_asked_last);
}

bool guests_finished(const guests_t *self)
{
    const guest_t *guest = self->awake;
    while (guest && !(guest->worker && guest->worker->finishing)) guest = guest->next;
    return !guest;
}

bool guests_work(guests_t *self) { return ship_work(self); }

/* A request to end one may have been lost: the zygote's queue is short. */
static void tick_leaving(const guests_t *self)
{
    for (size_t i = 0; i < self->leaving.room; i++) {
        const worker_t *worker = map_cell(&self->leaving, i);
        for (; worker; worker = worker->behind) crew_kill(self->options.crew, worker->token);
    }
}

static void tick_one(guests_t *self, guest_t *guest, uint64_t now_ms)
{
    worker_t *worker = guest->worker;
    if (!worker) {
        if (guest->start_at_ms && guest->start_at_ms <= now_ms) guests_start(self, guest, now_ms);
        return;
    }
    /* What cannot be spoken with, or does not say where it stands, is of no use. */
    bool mute = !worker->attached && now_ms - worker->start_ms > CHECKPOINT_MS_MAX;
    if (mute || worker->pipe.fd < 0) crew_kill(self->options.crew, worker->token);
    if (worker->begins_ms && now_ms - worker->begins_ms > BEGIN_MS) start_over(self, worker);
    if (*worker->want) { /* it waits for us */
        bundle_tick(self, worker, now_ms);
        return;
    }
    if (worker->saves_ms || worker->sleep_ms) {
        uint64_t since_ms = worker->saves_ms ? worker->saves_ms : worker->sleep_ms;
        if (now_ms - since_ms > CHECKPOINT_MS_MAX) crew_kill(self->options.crew, worker->token);
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
    for (guest_t *guest = self->awake, *next; guest; guest = next) {
        next = guest->next;
        tick_one(self, guest, now_ms);
    }
    tick_leaving(self);
    start_next(self, now_ms);
}
