/* When a worker starts: its vat's bundle and database are here, no other worker has them open, there is room on
 * the disk, and it is its turn. A worker costs a tenth of a second of computing before it can do anything; many at
 * a time would keep each other from it for so long that their vats' clocks run out. So a few begin, the
 * others wait in the order in which they came. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "vathost/guests_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum { LOOK_MS = 1000 };

void guests_start_later(guest_t *guest, uint64_t at_ms) { guest->start_at_ms = at_ms ? at_ms : 1; }

/* Pauses grow while nothing comes of it: at once, 100 ms, 200 ms, ... 10 s. */
void guests_start_again(guest_t *guest, uint64_t now_ms)
{
    enum { PAUSE_MS = 100, PAUSE_MAX_MS = 10 * 1000, DOUBLINGS = 7 };
    unsigned n = guest->failures++;
    uint64_t pause = n == 0 ? 0 : (uint64_t)PAUSE_MS << (n - 1 < DOUBLINGS ? n - 1 : DOUBLINGS);
    guests_start_later(guest, now_ms + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS));
}

/* A vat whose worker found the disk full waits until there is room; nobody has to tell us. */
static bool has_room(guests_t *self, guest_t *guest, uint64_t now_ms)
{
    if (!guest->full) return true;
    if (now_ms - self->room_ms >= LOOK_MS || !self->room_ms) {
        bool full = !vault_has_room(self->options.vault);
        if (self->full && !full) log_info("disk_has_room");
        self->full = full;
        self->room_ms = now_ms;
    }
    if (!self->full) return true;
    guests_start_later(guest, now_ms + LOOK_MS);
    return false;
}

void guests_disk_full(guests_t *self, guest_t *guest, uint64_t now_ms)
{
    if (!self->full) log_error("disk_full", kv_num("vat", guest->vat.n));
    self->full = guest->full = true;
    self->room_ms = now_ms;
    guests_start_again(guest, now_ms);
    if (guest->start_at_ms < now_ms + LOOK_MS) guests_start_later(guest, now_ms + LOOK_MS);
}

/* ---- the queue ---- */

/* Whether one more may begin: there is a zygote to fork it. */
static bool may_begin(const guests_t *self)
{
    return self->options.crew && self->begins < self->options.begin_max;
}

/* Whether GUEST's worker may begin now; if not, it is in the queue. */
static bool is_its_turn(guests_t *self, guest_t *guest)
{
    if (may_begin(self)) return true;
    guest->queued = true;
    guest->queue_next = NULL;
    guest->queue_at = self->queue_end;
    *self->queue_end = guest;
    self->queue_end = &guest->queue_next;
    return false;
}

void start_forget(guests_t *self, guest_t *guest)
{
    if (!guest->queued) return;
    guest->queued = false;
    *guest->queue_at = guest->queue_next;
    if (guest->queue_next)
        guest->queue_next->queue_at = guest->queue_at;
    else
        self->queue_end = guest->queue_at;
}

void start_over(guests_t *self, worker_t *worker)
{
    if (worker->begins_ms) self->begins--;
    worker->begins_ms = 0;
}

void start_next(guests_t *self, uint64_t now_ms)
{
    while (self->queue && may_begin(self)) {
        guests_start(self, self->queue, now_ms);
    }
}

/* ---- a start ---- */

void guests_start(guests_t *self, guest_t *guest, uint64_t now_ms)
{
    char bundle[PATH_BYTES_MAX];
    int fd;

    guests_wake(self, guest);
    guest->start_at_ms = 0;
    start_forget(self, guest);
    if (self->ending || !has_room(self, guest, now_ms)) return;
    guest->due = map_get(&self->leaving, guest->vat.n) != NULL;
    if (guest->due) return; /* the one before has the database open */
    if (!bundle_of_start(self, guest, bundle) || !pull_of_start(self, guest, now_ms)) return;
    if (!is_its_turn(self, guest)) return;
    FAILPOINT(vathost_starts_worker);
    uint64_t token = self->token_next++;
    if (crew_start(self->options.crew, token, bundle, &fd)) {
        guests_start_again(guest, now_ms);
        return;
    }
    worker_t *worker = calloc(1, sizeof *worker);
    must(worker);
    worker->token = token;
    worker->vat = guest->vat;
    worker->pgen = guest->pgen;
    worker->pipe = pipe_of(fd);
    worker->guest = guest;
    worker->start_ms = now_ms;
    worker->begins_ms = now_ms ? now_ms : 1;
    self->begins++;
    snprintf(worker->bundle, sizeof worker->bundle, "%s", bundle);
    guest->worker = worker;
    map_put(&self->workers, token, worker);
    struct epoll_event event = {EPOLLIN, {.u64 = token}};
    must(epoll_ctl(self->options.epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    guests_tell_start(self, worker);
}
