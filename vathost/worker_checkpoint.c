/* When a worker makes checkpoints and copies of them, who is told, and sleep. */
#include <unistd.h>

#include "vathost/worker_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"

static uint64_t now_ms(void) { return worker_now_us() / 1000; }

static uint64_t or_default(uint64_t chosen, uint64_t preset) { return chosen ? chosen : preset; }

/* Something ran that the newest checkpoint does not have. */
static bool is_ahead(const worker_t *self)
{
    return worker_last(self) > self->store->newest(self->store);
}

/* What a crank that ended the vat left behind is not a state to go on from. */
static bool may_save(const worker_t *self)
{
    return self->supervisor && !self->ended && self->opened != OPENED_HEAPLESS;
}

/* ---- telling ---- */

static void report(worker_t *self, bool asleep)
{
    msg_checkpoint_t msg = {.vat = self->start.vat,
                            .inc = self->start.inc,
                            .pgen = self->start.pgen,
                            .run = self->run,
                            .d = self->store->newest(self->store),
                            .chain = self->saved_chain,
                            .oldest = self->store->oldest(self->store),
                            .asleep = asleep,
                            .bytes = self->store->bytes(self->store)};
    worker_tell(self, TAG_checkpoint, &msg);
    FAILPOINT(worker_said_checkpoint);
}

void worker_report(worker_t *self)
{
    if (self->store->newest(self->store) && self->opened != OPENED_HEAPLESS) report(self, false);
}

/* A copy of the newest checkpoint for the host to hand on. One that it has not taken is left alone: written over,
 * it would be told of twice and be there once, and the first of the two would have the wrong number. */
static void ship(worker_t *self)
{
    msg_checkpoint_file_t msg = {.vat = self->start.vat,
                                 .pgen = self->start.pgen,
                                 .d = self->store->newest(self->store),
                                 .chain = self->saved_chain};
    self->ship_late = false;
    if (!*self->ship || !msg.d || is_ahead(self)) return;
    self->ship_late = access(self->ship, F_OK) == 0;
    if (self->ship_late) return;
    err_t err = self->store->copy(self->store, self->ship);
    if (err) {
        worker_fail(self, "worker_ship", err);
        return;
    }
    worker_tell(self, TAG_checkpoint_file, &msg);
    FAILPOINT(worker_said_file);
}

/* ---- making ---- */

static bool save(worker_t *self)
{
    buf_t results;

    const msg_checkpoint_begun_t begun = {self->start.vat, self->start.pgen};
    if (!self->over) worker_tell(self, TAG_checkpoint_begun, &begun);
    FAILPOINT(worker_checkpoint_due);
    worker_kept_write(self, &results);
    err_t err =
        supervisor_checkpoint(self->supervisor, self->applied, (bin_t){results.at, results.len});
    buf_clear(&results);
    self->rows = self->bytes = 0; /* after a failure it is tried again when as much ran again */
    if (err == ERR_PROCESS_FAILED) {
        log_warn("checkpoint_failed", kv_num("vat", self->start.vat.n),
                 kv_num("d", worker_last(self)));
        self->active_ms = now_ms();
        if (!self->over) report(self, false); /* the one before: that ends what had begun */
        return false;
    }
    if (err) {
        worker_fail(self, "worker_checkpoint", err);
        return false;
    }
    self->saved_chain = supervisor_chain(self->supervisor);
    self->opened = OPENED_NEWEST;
    return true;
}

static void checkpoint(worker_t *self)
{
    if (!save(self)) return;
    report(self, false);
    if ((self->start.mirror || self->ship_due || self->ship_late) && !self->over) ship(self);
    self->ship_due = false;
}

/* The copy that could not be made may be possible now: of what is the newest checkpoint by then. */
static bool may_ship_late(const worker_t *self)
{
    return self->ship_late && access(self->ship, F_OK) != 0;
}

static void ship_again(worker_t *self)
{
    if (!may_ship_late(self)) return;
    if (may_save(self) && is_ahead(self)) {
        if (!save(self)) return;
        report(self, false);
    }
    ship(self);
}

void worker_ran(worker_t *self, size_t len, bool upgrade)
{
    self->rows++;
    self->bytes += len;
    self->active_ms = now_ms();
    if (!may_save(self)) return;
    /* A replay across an upgrade needs its bundle again, and there is none for a restart on baggage. */
    if (upgrade || self->ship_due || may_ship_late(self) ||
        self->rows >= or_default(self->start.every_rows, CHECKPOINT_ROWS_DEFAULT) ||
        self->bytes >= or_default(self->start.every_bytes, CHECKPOINT_BYTES_DEFAULT))
        checkpoint(self);
}

void worker_on_ask(worker_t *self, const msg_checkpoint_ask_t *ask)
{
    if (!self->attached || ask->run != self->run) return;
    /* Nothing ran yet, or there is no heap: then as soon as something did. */
    self->ship_due = ask->ship && (self->opened == OPENED_HEAPLESS || !worker_last(self));
    if (self->opened == OPENED_HEAPLESS) return;
    /* What it went back to is not in the file yet as the newest. */
    bool stands_back = self->opened == OPENED_OLDER;
    if (may_save(self) && (is_ahead(self) || stands_back)) {
        if (!save(self)) return;
    }
    report(self, false);
    if ((ask->ship || self->start.mirror) && !self->over) ship(self);
}

void worker_last_checkpoint(worker_t *self)
{
    if (!may_save(self) || !is_ahead(self)) return;
    FAILPOINT(worker_ends);
    save(self);
}

/* ---- idle ---- */

static bool may_sleep(const worker_t *self)
{
    return self->start.sleep_ms && self->attached && may_save(self) && !*self->wanted &&
           !self->ship_late && worker_last(self) > 0 && worker_last(self) >= self->applied;
}

static uint64_t idle_at(const worker_t *self)
{
    uint64_t idle_ms = or_default(self->start.idle_ms, CHECKPOINT_IDLE_MS_DEFAULT);
    return may_save(self) && is_ahead(self) ? self->active_ms + idle_ms : UINT64_MAX;
}

static uint64_t sleep_at(const worker_t *self)
{
    uint64_t from = self->asked_ms > self->active_ms ? self->asked_ms : self->active_ms;
    return may_sleep(self) ? from + self->start.sleep_ms : UINT64_MAX;
}

int worker_patience(const worker_t *self)
{
    enum { PATIENCE_MS_MAX = 3600 * 1000, LATE_MS = 20 };
    if (!self->supervisor) return -1;
    uint64_t idle = idle_at(self), sleep = sleep_at(self), now = now_ms();
    uint64_t next = idle < sleep ? idle : sleep;
    if (self->ship_late && next > now + LATE_MS) next = now + LATE_MS;
    if (next == UINT64_MAX) return -1;
    if (next <= now) return 0;
    return (int)(next - now < PATIENCE_MS_MAX ? next - now : PATIENCE_MS_MAX);
}

void worker_idle(worker_t *self)
{
    uint64_t now = now_ms();
    ship_again(self);
    if (self->over) return;
    if (sleep_at(self) <= now) {
        self->asked_ms = now;
        if (is_ahead(self) || self->opened == OPENED_OLDER) {
            if (!save(self)) return;
            if (self->start.mirror) ship(self);
            if (self->over || self->ship_late) return;
        }
        FAILPOINT(worker_asks_sleep);
        report(self, true);
    } else if (idle_at(self) <= now) {
        checkpoint(self);
    }
}

/* The broker keeps the vat detached from here on; what it has applied is what is in the checkpoint. */
void worker_on_sleep(worker_t *self, const msg_sleep_t *sleep)
{
    if (!self->attached || sleep->run != self->run) return;
    FAILPOINT(worker_sleeps);
    worker_end(self, WORKER_ASLEEP);
}
