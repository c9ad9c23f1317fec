#include "vathost/worker.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vathost/supervisor/clist.h"
#include "vathost/worker_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum { VERDICT_LIVE, VERDICT_REPLAY, VERDICT_SKIP };
enum { AGAIN_NOT, AGAIN_EMPTY, AGAIN_BAGGAGE };

void worker_end(worker_t *self, worker_exit_t code)
{
    self->over = true;
    self->exit = code;
}

void worker_fail(worker_t *self, const char *event, err_t err)
{
    log_error(event, kv_num("vat", self->start.vat.n), kv_str("why", err_name(err)),
              kv_str("more", self->store ? self->store->why(self->store) : ""));
    switch (err) {
    case ERR_STORE_FULL: worker_end(self, WORKER_FULL); break;
    case ERR_STORE_DAMAGED: worker_end(self, WORKER_DAMAGED); break;
    default: worker_end(self, WORKER_BROKEN);
    }
}

static void write_all(worker_t *self, const void *bytes, size_t len)
{
    enum { PIECE = 128 * 1024 }; /* so that there is a moment between two */
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(self->fd, at, len < PIECE ? len : PIECE, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) {
            worker_end(self, WORKER_DONE); /* nobody is there any more */
            return;
        }
        at += sent;
        len -= (size_t)sent;
        if (len > 0) FAILPOINT(worker_said_part);
    }
}

void worker_tell(worker_t *self, msg_tag_t tag, const void *body)
{
    uint8_t head[FRAME_HEAD_BYTES] = {0};

    buf_reset(&self->out);
    must(buf_add(&self->out, head, sizeof head) == ERR_OK);
    must(msg_encode(tag, body, &self->out) == ERR_OK);
    frames_head(self->out.len - sizeof head, self->out.at);
    write_all(self, self->out.at, self->out.len);
    if (self->out.room > PART_BYTES_MAX) buf_clear(&self->out);
}

/* The incarnation is the broker's to count: the worker says after it what it heard last. */
static void hear_incarnation(worker_t *self, uint64_t inc)
{
    if (inc > self->start.inc) self->start.inc = inc;
}

/* ---- attaching and fetching ---- */

static const char *note(const worker_t *self)
{
    switch (self->opened) {
    case OPENED_OLDER: return "the newest heap cannot be read: back at the checkpoint before";
    case OPENED_HEAPLESS: return "no heap of its checkpoints can be read";
    default: return "";
    }
}

static void attach(worker_t *self)
{
    must(getrandom(&self->nonce, sizeof self->nonce, 0) == sizeof self->nonce);
    self->attached = false;
    self->fetched = 0;
    msg_attach_t attach = {.vat = self->start.vat,
                           .inc = self->start.inc,
                           .pgen = self->start.pgen,
                           .run = self->run,
                           .nonce = self->nonce,
                           .checkpoint = self->store->newest(self->store),
                           .last = worker_last(self),
                           .chain = supervisor_chain(self->supervisor),
                           .acked = self->applied,
                           .heap = self->opened == OPENED_HEAPLESS,
                           .note = text_of(note(self))};
    worker_tell(self, TAG_attach, &attach);
    FAILPOINT(worker_said_attach);
}

static void remember_start(worker_t *self, const msg_start_t *start)
{
    self->start = (msg_start_t){.vat = start->vat,
                                .inc = start->inc,
                                .pgen = start->pgen,
                                .every_rows = start->every_rows,
                                .every_bytes = start->every_bytes,
                                .idle_ms = start->idle_ms,
                                .sleep_ms = start->sleep_ms,
                                .mirror = start->mirror};
    memcpy(self->ship, start->ship.at, start->ship.len);
    self->ship[start->ship.len] = '\0';
    /* Of a worker that ended before it told of it: nobody will take that one. */
    if (*self->ship) unlink(self->ship);
}

/* Goes on from the newest checkpoint that there is. */
static err_t open_vat(worker_t *self, const msg_start_t *start)
{
    checkpoint_t at;

    err_t err = self->ports->store(self->ports->context, start, &self->store);
    if (!err) err = self->ports->engine(self->ports->context, start, &self->engine);
    if (err) return err;
    FAILPOINT(worker_engine_open);
    self->supervisor = supervisor_new(start->vat, self->store, self->engine);
    err = supervisor_open(self->supervisor, &self->opened, &at);
    if (err || self->opened == OPENED_NOTHING) return err;
    self->saved_chain = at.chain;
    err = worker_kept_read(self, at.results);
    worker_forget(self, at.acked);
    return err;
}

static void on_start(worker_t *self, const msg_start_t *start)
{
    if (self->supervisor) { /* the link came back */
        if (start->vat.n != self->start.vat.n || start->pgen != self->start.pgen) {
            worker_fail(self, "worker_start", ERR_WIRE_TURN);
            return;
        }
        hear_incarnation(self, start->inc);
        attach(self);
        return;
    }
    FAILPOINT(worker_told_start);
    remember_start(self, start);
    self->active_ms = worker_now_us() / 1000;
    err_t err = open_vat(self, start);
    if (err) {
        worker_fail(self, "worker_open", err);
        return;
    }
    if (*note(self))
        log_warn("worker_fell_back", kv_num("vat", start->vat.n), kv_str("why", note(self)));
    attach(self);
}

/* Asks for what comes next in the log. Behind the applied rows there is nothing to fetch, but asking
 * tells the broker that the worker is where live deliveries begin. */
static void fetch(worker_t *self)
{
    uint64_t first = worker_last(self) + 1;
    uint64_t rest = self->applied > worker_last(self) ? self->applied - worker_last(self) : 0;
    uint64_t count = rest && rest < FETCH_ROWS_MAX ? rest : FETCH_ROWS_MAX;

    self->fetched = rest ? worker_last(self) + count : 0;
    msg_fetch_t fetch = {self->start.vat, self->start.inc, self->start.pgen,
                         self->run,       first,           count};
    worker_tell(self, TAG_fetch, &fetch);
    FAILPOINT(worker_said_fetch);
}

/* What becomes of a worker without a heap is the broker's to say. False: the worker ends. */
static bool begin_again(worker_t *self, uint64_t again)
{
    bool heapless = self->opened == OPENED_HEAPLESS;
    err_t err = ERR_OK;

    if (!heapless && again != AGAIN_NOT) err = ERR_WIRE_TURN;
    if (heapless && again != AGAIN_EMPTY && again != AGAIN_BAGGAGE) err = ERR_HEAP_LOST;
    if (!err && again == AGAIN_EMPTY) {
        err = supervisor_empty(self->supervisor);
        worker_forget(self, UINT64_MAX);
        self->applied = 0;
        self->opened = OPENED_NOTHING;
    }
    if (err) worker_fail(self, "worker_again", err);
    return !err;
}

static void on_attached(worker_t *self, const msg_attached_t *attached)
{
    if (self->attached || !id_same(attached->nonce, self->nonce)) return;

    FAILPOINT(worker_attached);
    if (!begin_again(self, attached->again)) return;
    self->attached = true;
    self->run = attached->run;
    hear_incarnation(self, attached->inc);
    worker_forget(self, attached->applied);
    worker_report(self);
    if (worker_last(self) < self->applied) fetch(self);
}

/* ---- cranks ---- */

static void answer(worker_t *self, const crank_t *crank, uint64_t run_us)
{
    const msg_result_t result = {.vat = self->start.vat,
                                 .d = crank->d,
                                 .delivery_hash = crank->delivery_hash,
                                 .chain = crank->chain_before,
                                 .outcome = crank->outcome,
                                 .reason = text_of(crank->reason),
                                 .calls = crank->calls,
                                 .store_digest = crank->store_digest,
                                 .console = crank->console,
                                 .computrons = crank->computrons,
                                 .run_us = run_us};
    kept_t *kept = worker_keep(self, &result);
    FAILPOINT(worker_tells_result);
    worker_tell_result(self, kept);
    FAILPOINT(worker_said_result);
}

static void compare(worker_t *self, const msg_deliver_t *deliver, const crank_t *crank)
{
    if (hash_same(crank->result_hash, deliver->expect)) return;

    log_error("worker_diverged", kv_num("vat", self->start.vat.n), kv_num("d", crank->d));
    msg_diverged_t diverged = {self->start.vat, self->start.inc, self->start.pgen, self->run,
                               crank->d,        crank->outcome,  crank->calls};
    worker_tell(self, TAG_diverged, &diverged);
    worker_end(self, WORKER_DIVERGED);
}

uint64_t worker_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- the file of an upgrade ---- */

static void put_off(worker_t *self, bin_t frame, bool first)
{
    later_t *later = malloc(sizeof *later + frame.len), **place = &self->later;
    must(later);
    later->len = frame.len;
    memcpy(later->bytes, frame.at, frame.len);
    while (!first && *place) place = &(*place)->next;
    later->next = *place;
    *place = later;
}

static bool is_upgrade(const msg_deliver_t *deliver)
{
    return deliver->verdict != VERDICT_SKIP && msg_peek(deliver->delivery) == TAG_deliver_upgrade;
}

/* Asks for the file of the bundle that the upgrade in FRAME names. The frame is taken again when it
 * is here, and then what came behind it. */
static void want_bundle(worker_t *self, const msg_deliver_t *deliver, bin_t frame)
{
    msg_t msg;
    err_t err = msg_decode(deliver->delivery, &msg);
    if (err) {
        worker_fail(self, "worker_crank", err);
        return;
    }
    text_t bundle = msg.body.deliver_upgrade.bundle;
    memcpy(self->wanted, bundle.at, bundle.len);
    self->wanted[bundle.len] = '\0';
    msg_bundle_want_t want = {self->start.vat, bundle};
    worker_tell(self, TAG_bundle_want, &want);
    FAILPOINT(worker_wants_bundle);
    msg_clear(&msg);
    put_off(self, frame, true);
}

static void on_bundle_file(worker_t *self, const msg_bundle_file_t *msg)
{
    size_t len = strlen(self->wanted);
    if (!len || msg->bundle.len != len || memcmp(msg->bundle.at, self->wanted, len) != 0) {
        worker_fail(self, "worker_frame", ERR_WIRE_TURN);
        return;
    }
    self->wanted[0] = '\0';
    FAILPOINT(worker_got_bundle);
    self->file = calloc(1, msg->path.len + 1);
    must(self->file);
    if (msg->path.len) memcpy(self->file, msg->path.at, msg->path.len);
}

/* ---- a crank ---- */

static void run_crank(worker_t *self, const msg_deliver_t *deliver)
{
    const crank_t *crank;
    uint64_t began = worker_now_us();

    if (self->file && *self->file) supervisor_bundle(self->supervisor, self->file);
    err_t err = supervisor_run(self->supervisor, deliver, &crank);
    if (err) {
        worker_fail(self, "worker_crank", err);
        return;
    }
    uint64_t run_us = worker_now_us() - began;
    self->ended = crank->ended;
    if (is_upgrade(deliver)) FAILPOINT(worker_upgraded);
    if (deliver->verdict == VERDICT_LIVE) {
        FAILPOINT(worker_ran);
        answer(self, crank, run_us);
    } else if (deliver->verdict == VERDICT_REPLAY) {
        compare(self, deliver, crank);
        FAILPOINT(worker_replayed);
    }
    /* Parsing the bundle leaves a large free arena behind that the vat never needs again. */
    if (crank->d == 1 || is_upgrade(deliver)) malloc_trim(0);
    if (crank->dead && !self->over) worker_end(self, WORKER_DONE);
    if (self->over) return;
    bool upgraded = is_upgrade(deliver) && !crank->outcome;
    if (upgraded) self->opened = OPENED_NEWEST; /* there is a heap again */
    worker_ran(self, deliver->delivery.len, upgraded);
}

static void on_deliver(worker_t *self, const msg_deliver_t *deliver, bin_t frame)
{
    if (!self->attached || deliver->run != self->run) return;

    FAILPOINT(worker_took_deliver);
    hear_incarnation(self, deliver->inc);
    worker_forget(self, deliver->applied);
    if (deliver->d <= worker_last(self)) {
        for (kept_t *kept = self->kept; kept; kept = kept->next) {
            if (kept->result.d != deliver->d) continue;
            worker_tell_result(self, kept);
            FAILPOINT(worker_said_again);
        }
        return;
    }
    if (deliver->d != worker_last(self) + 1 || self->ended) return;

    if (is_upgrade(deliver) && !self->file) {
        want_bundle(self, deliver, frame);
        return;
    }
    /* It ran, so the bundle was there. A new worker asks again, with growing pauses. */
    if (self->file && !*self->file && deliver->verdict == VERDICT_REPLAY) {
        worker_fail(self, "worker_bundle", ERR_BUNDLE_UNKNOWN);
        return;
    }
    run_crank(self, deliver);
    free(self->file);
    self->file = NULL;
    bool batch_done = self->fetched && worker_last(self) >= self->fetched;
    if (batch_done && !self->over) fetch(self);
}

/* ---- names, for the audit ---- */

enum { PAIR_BYTES = 9 };

_Static_assert(PAIR_REACHABLE == 1 && PAIR_EXPORTED == 2, "as NAMES has them");

typedef struct {
    uint64_t first, next; /* next: the first pair that did not fit, 0 while all do */
    buf_t pairs;
} names_page_t;

static void add_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    names_page_t *page = context;
    uint8_t pair[PAIR_BYTES];
    (void)vref;
    if (kref.n < page->first || page->next) return;
    for (size_t i = 0; i < 8; i++) pair[i] = (uint8_t)(kref.n >> (56 - 8 * i));
    pair[8] = (uint8_t)(flags & (PAIR_REACHABLE | PAIR_EXPORTED));
    if (buf_add(&page->pairs, pair, sizeof pair)) page->next = kref.n;
}

static void on_names_get(worker_t *self, const msg_names_get_t *get)
{
    if (!self->attached || get->run != self->run) return;

    hear_incarnation(self, get->inc);
    names_page_t page = {.first = get->first, .pairs = buf_of(NAMES_BYTES_MAX)};
    supervisor_pairs(self->supervisor, add_pair, &page);
    msg_names_t names = {.vat = self->start.vat,
                         .inc = self->start.inc,
                         .pgen = self->start.pgen,
                         .run = self->run,
                         .first = get->first,
                         .last = worker_last(self),
                         .next = page.next,
                         .pairs = {page.pairs.at, page.pairs.len}};
    worker_tell(self, TAG_names, &names);
    FAILPOINT(worker_said_names);
    buf_clear(&page.pairs);
}

/* ---- the loop ---- */

static void take_message(worker_t *self, const msg_t *msg, bin_t frame)
{
    switch (msg->tag) {
    case TAG_start: on_start(self, &msg->body.start); break;
    case TAG_attached: on_attached(self, &msg->body.attached); break;
    case TAG_deliver: on_deliver(self, &msg->body.deliver, frame); break;
    case TAG_names_get: on_names_get(self, &msg->body.names_get); break;
    case TAG_checkpoint_ask: worker_on_ask(self, &msg->body.checkpoint_ask); break;
    case TAG_sleep: worker_on_sleep(self, &msg->body.sleep); break;
    case TAG_bundle_file: on_bundle_file(self, &msg->body.bundle_file); break;
    default: worker_fail(self, "worker_frame", ERR_WIRE_TURN);
    }
}

static void take(worker_t *self, bin_t frame)
{
    msg_tag_t tag = msg_peek(frame);
    msg_t msg;

    if (!self->supervisor && tag != TAG_start) {
        worker_fail(self, "worker_frame", ERR_WIRE_TURN);
        return;
    }
    if (*self->wanted && tag != TAG_bundle_file) {
        put_off(self, frame, false);
        return;
    }
    err_t err = msg_decode(frame, &msg);
    if (err) {
        worker_fail(self, "worker_frame", err);
        return;
    }
    take_message(self, &msg, frame);
    msg_clear(&msg);
}

/* False: nothing was put off, or it has to wait on. */
static bool take_later(worker_t *self)
{
    later_t *later = self->later;
    if (!later || *self->wanted) return false;

    self->later = later->next;
    take(self, (bin_t){later->bytes, later->len});
    free(later);
    return true;
}

static void read_more(worker_t *self)
{
    struct pollfd in = {self->fd, POLLIN, 0};
    int ready = poll(&in, 1, worker_patience(self));
    if (ready < 0 && errno == EINTR) return;
    if (ready == 0) {
        worker_idle(self);
        return;
    }
    ssize_t got = frames_read(&self->in, self->fd);
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) worker_end(self, WORKER_DONE);
}

worker_exit_t worker_run(int fd, const worker_ports_t *ports)
{
    worker_t self = {.fd = fd, .ports = ports};
    self.out = buf_of(FRAME_BYTES_MAX + FRAME_HEAD_BYTES);
    bin_t frame;

    while (!self.over) {
        if (take_later(&self)) continue;
        switch (frames_next(&self.in, &frame)) {
        case FRAMES_ONE: take(&self, frame); break;
        case FRAMES_MORE: read_more(&self); break;
        case FRAMES_BROKEN: worker_fail(&self, "worker_frame", ERR_WIRE_LIMIT); break;
        }
    }
    if (self.exit == WORKER_DONE) worker_last_checkpoint(&self);
    worker_forget(&self, UINT64_MAX);
    for (later_t *gone; (gone = self.later); free(gone)) self.later = gone->next;
    free(self.file);
    supervisor_destroy(&self.supervisor);
    engine_destroy(&self.engine);
    vatstore_destroy(&self.store);
    frames_clear(&self.in);
    buf_clear(&self.out);
    return self.exit;
}
