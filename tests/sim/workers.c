/* Workers: what vathost/worker*.c do with a frame, without processes. What a worker has put on disk outlives
 * it; all else of it is gone with it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/own.h"
#include "tests/support/memstore.h"
#include "wire/base/must.h"
#include "wire/base/planted.h"

/* ---- workers ---- */

static void forget_results(worker_t *worker, uint64_t upto)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < worker->kept_count; i++) {
        if (worker->kept[i].d <= upto)
            blob_destroy(&worker->kept[i].frame);
        else
            worker->kept[kept++] = worker->kept[i];
    }
    worker->kept_count = kept;
}

/* The process is gone; what it had put on disk is there. */
void worker_end(worker_t *worker)
{
    if (!worker->supervisor) return;
    forget_results(worker, UINT64_MAX);
    supervisor_destroy(&worker->supervisor);
    engine_destroy(&worker->engine);
    memstore_crash(worker->store);
    worker->run = worker->applied = worker->fetched = worker->rows = 0;
    worker->attached = worker->ended = worker->owes = false;
}

/* The vat stands here no longer. */
void worker_remove(worker_t *worker)
{
    worker_end(worker);
    vatstore_destroy(&worker->store);
    worker->guest = false;
    worker->wants = 0;
}

worker_t *worker_at(sim_t *self, unsigned host, unsigned vat) { return &self->workers[host][vat]; }

/* That of the placement which the broker knows; NULL: it has none. */
worker_t *worker_of(sim_t *self, unsigned vat)
{
    const row_vat_t *row = vat_row(self, vat);
    for (unsigned h = 0; row && h < self->config.hosts; h++) {
        worker_t *worker = &self->workers[h][vat];
        if (self->hosts[h].number == row->host && worker->supervisor && worker->pgen == row->pgen)
            return worker;
    }
    return NULL;
}

static bool model_wanted(void *context, unsigned vat, unsigned d, unsigned n)
{
    return sim_wanted(context, sim_key_vat(vat, d, n));
}

static void model_failed(void *context, const char *rule, const char *text)
{
    sim_fail(context, rule, "%s", text);
}

static void post(sim_t *self, const worker_t *worker, msg_tag_t tag, const void *body)
{
    if (self->hosts[worker->host].up)
        net_post(self, WAY_UP, worker->host, worker->number, tag, body);
}

/* A host without a session tells nobody; when it has one, every worker attaches. */
void worker_attach(sim_t *self, worker_t *worker)
{
    worker->attached = false;
    worker->fetched = 0;
    uint64_t n = ++worker->starts;
    memcpy(worker->nonce.b, &n, sizeof n);
    worker->nonce.b[15] = (uint8_t)worker->number;
    msg_attach_t msg = {.vat = {worker->number},
                        .inc = worker->inc,
                        .pgen = worker->pgen,
                        .run = worker->run,
                        .nonce = worker->nonce,
                        .checkpoint = worker->store->newest(worker->store),
                        .last = supervisor_last(worker->supervisor),
                        .chain = supervisor_chain(worker->supervisor),
                        .acked = worker->applied,
                        .heap = worker->opened == OPENED_HEAPLESS};
    post(self, worker, TAG_attach, &msg);
}

/* ---- results that a checkpoint keeps: each frame behind its length ---- */

static void write_kept(const worker_t *worker, buf_t *ret)
{
    *ret = buf_of(1 << 20);
    for (unsigned i = 0; i < worker->kept_count && !PLANTED(results_not_saved); i++) {
        bin_t frame = blob_bin(worker->kept[i].frame);
        must(!buf_add(ret, &worker->kept[i].d, sizeof worker->kept[i].d));
        must(!buf_add(ret, &frame.len, sizeof frame.len));
        must(!buf_add(ret, frame.at, frame.len));
    }
}

static void read_kept(worker_t *worker, bin_t bytes)
{
    while (bytes.len) {
        kept_t *kept = &worker->kept[worker->kept_count++];
        size_t len;
        memcpy(&kept->d, bytes.at, sizeof kept->d);
        memcpy(&len, bytes.at + sizeof kept->d, sizeof len);
        size_t head = sizeof kept->d + sizeof len;
        kept->frame = blob_new(bytes.at + head, len);
        bytes = (bin_t){bytes.at + head + len, bytes.len - head - len};
    }
}

static engine_t *engine_of(sim_t *self, const worker_t *worker)
{
    const vat_config_t *vat = self->roles[worker->number];
    model_config_t config = {.context = self,
                             .wanted = model_wanted,
                             .fail = model_failed,
                             .seed = self->options->seed,
                             .vat = worker->number,
                             .budget = self->config.budget,
                             .rude = vat->rude,
                             .eager = vat->eager,
                             .abandons = vat->abandons,
                             .exits = vat->exits,
                             .dynamic = self->dynamic[worker->number],
                             .broken = worker->broken,
                             .limits = sim_on(self, FAULT_limit),
                             .asks = sim_on(self, FAULT_service)};
    return model_new(&config);
}

void worker_start(sim_t *self, worker_t *worker)
{
    checkpoint_t at;
    if (!worker->store) worker->store = memstore_new();
    worker->engine = engine_of(self, worker);
    worker->supervisor = supervisor_new((vat_t){worker->number}, worker->store, worker->engine);
    err_t err = supervisor_open(worker->supervisor, &worker->opened, &at);
    if (err)
        sim_fail(self, "C1", "v%u cannot start from its checkpoint: %s", worker->number,
                 err_name(err));
    if (worker->opened != OPENED_NOTHING) {
        sim_log(self, "v%u starts from %" PRIu64 " (%d)", worker->number, at.d, worker->opened);
        worker->saved_chain = at.chain;
        worker->applied = at.acked;
        read_kept(worker, at.results);
        forget_results(worker, at.acked);
    }
    worker_attach(self, worker);
}

void worker_kill(sim_t *self, worker_t *worker)
{
    if (!worker->supervisor) return;
    sim_log(self, "the worker of v%u dies", worker->number);
    worker_end(worker);
    worker_start(self, worker);
}

/* ---- checkpoints ---- */

static bool may_save(const worker_t *worker)
{
    return worker->supervisor && !worker->ended && worker->opened != OPENED_HEAPLESS &&
           supervisor_last(worker->supervisor) > 0;
}

static bool is_ahead(const worker_t *worker)
{
    return supervisor_last(worker->supervisor) > worker->store->newest(worker->store) ||
           worker->opened == OPENED_OLDER;
}

static void report(sim_t *self, const worker_t *worker, bool asleep)
{
    vatstore_t *store = worker->store;
    if (!store->newest(store) || worker->opened == OPENED_HEAPLESS) return;
    msg_checkpoint_t msg = {.vat = {worker->number},
                            .inc = worker->inc,
                            .pgen = worker->pgen,
                            .run = worker->run,
                            .d = store->newest(store),
                            .chain = worker->saved_chain,
                            .oldest = store->oldest(store),
                            .asleep = asleep,
                            .bytes = store->bytes(store)};
    post(self, worker, TAG_checkpoint, &msg);
}

static void save(sim_t *self, worker_t *worker)
{
    buf_t results;
    write_kept(worker, &results);
    err_t err = supervisor_checkpoint(worker->supervisor, worker->applied,
                                      (bin_t){results.at, results.len});
    buf_clear(&results);
    if (err) sim_fail(self, "C1", "v%u makes no checkpoint: %s", worker->number, err_name(err));
    sim_log(self, "v%u: checkpoint at %" PRIu64, worker->number,
            supervisor_last(worker->supervisor));
    if (!PLANTED(reports_old_chain)) worker->saved_chain = supervisor_chain(worker->supervisor);
    worker->opened = OPENED_NEWEST;
    worker->rows = 0;
}

void worker_checkpoint(sim_t *self, worker_t *worker)
{
    if (!may_save(worker) || !is_ahead(worker)) return;
    save(self, worker);
    report(self, worker, false);
    if (worker->mirror || worker->owes) copies_ship(self, worker);
    worker->owes = false;
}

static void on_ask(sim_t *self, worker_t *worker, bool ship)
{
    worker->owes = ship && (worker->opened == OPENED_HEAPLESS || !may_save(worker));
    if (may_save(worker) && is_ahead(worker)) save(self, worker);
    report(self, worker, false);
    if ((ship || worker->mirror) && worker->opened != OPENED_HEAPLESS) copies_ship(self, worker);
}

/* It has been idle for long, and asks whether it may go. */
void worker_sleepy(sim_t *self, worker_t *worker)
{
    if (!may_save(worker) || !worker->attached) return;
    if (supervisor_last(worker->supervisor) < worker->applied) return;
    if (is_ahead(worker)) save(self, worker);
    report(self, worker, true);
}

/* Is there a copy at the broker, to stay, that a worker without a heap goes on from? */
static bool is_copied(const sim_t *self, const worker_t *worker, const row_vat_t *vat,
                      uint64_t newest)
{
    const row_t *row = rows_find(&self->rows, ROW_mirror, worker->number, 0);
    const row_mirror_t *copy = row ? &row->body.mirror : NULL;
    return worker->mirror && vat && copy && copy->pgen == worker->pgen && copy->d >= newest &&
           copy->d <= vat->applied;
}

/* The newest heap on its disk cannot be read any more; nor can the one before, when the log has all or the broker a
 * copy: a vat that has nothing but its baggage is no model vat. */
void worker_damage(sim_t *self, worker_t *worker, bool both)
{
    checkpoint_t newest, older;
    const row_vat_t *row = vat_row(self, worker->number);
    if (!worker->store || worker->opened == OPENED_OLDER) return;
    if (worker->store->read(worker->store, CHECKPOINT_NEWEST, &newest) || !newest.d) return;
    if (worker->store->read(worker->store, CHECKPOINT_OLDER, &older)) return;
    bool whole = row && row->safe == 0 && worker->store->oldest(worker->store) == 0;
    both = both && (whole || is_copied(self, worker, row, newest.d));
    if (!both && !older.d) return;
    if (both && older.d) memstore_damage(worker->store, CHECKPOINT_OLDER);
    sim_log(self, "the newest heap of v%u is damaged", worker->number);
    memstore_damage(worker->store, CHECKPOINT_NEWEST);
    worker_kill(self, worker);
}

/* Somebody keeps what is on its disk now, or brings back what was kept. */
void worker_regress(sim_t *self, worker_t *worker)
{
    vatstore_t **kept = &self->backups[worker->host][worker->number];
    if (!worker->store || !worker->store->newest(worker->store)) return;
    if (!*kept) {
        *kept = memstore_copy(worker->store);
        return;
    }
    sim_log(self, "v%u is brought back from a backup of h%u", worker->number, worker->host + 1);
    worker_end(worker);
    vatstore_destroy(&worker->store);
    worker->store = *kept;
    *kept = NULL;
    self->diverged[worker->number] = true;
    worker_start(self, worker);
}

/* ---- attaching and fetching ---- */

/* Behind the applied rows there is nothing to fetch, but asking tells where live deliveries begin. */
static void fetch(sim_t *self, worker_t *worker)
{
    uint64_t last = supervisor_last(worker->supervisor);
    uint64_t rest = worker->applied > last ? worker->applied - last : 0;
    uint64_t most = 1 + (worker->starts + worker->number) % 5,
             count = rest && rest < most ? rest : most;
    worker->fetched = rest ? last + count : 0;
    msg_fetch_t msg = {{worker->number}, worker->inc, worker->pgen, worker->run, last + 1, count};
    post(self, worker, TAG_fetch, &msg);
}

static void on_vat_new(sim_t *self, unsigned host, const msg_vat_new_t *msg)
{
    worker_t *worker = worker_at(self, host, msg->vat.n);
    bool same = worker->guest && worker->pgen == msg->pgen;
    if (worker->guest && worker->pgen > msg->pgen) return;
    if (same && worker->supervisor) return;
    if (!same) worker_remove(worker);
    worker->number = msg->vat.n;
    worker->guest = true;
    worker->host = host;
    worker->inc = msg->inc;
    worker->pgen = msg->pgen;
    worker->every = msg->every_rows;
    worker->mirror = msg->mirror;
    worker->wants = worker->store ? 0 : msg->checkpoint;
    worker->broken = text_is(msg->bundle, "b1-broken");
    if (!worker->wants) worker_start(self, worker);
}

static void on_attached(sim_t *self, worker_t *worker, const msg_attached_t *msg)
{
    if (worker->attached || !id_same(msg->nonce, worker->nonce)) return;
    if (worker->opened == OPENED_HEAPLESS) {
        enum { FROM_NOTHING = 1 };
        if (msg->again != FROM_NOTHING)
            sim_fail(self, "C4", "v%u has no heap, and is not told to begin again", worker->number);
        if (supervisor_empty(worker->supervisor)) sim_fail(self, "C4", "it cannot begin again");
        forget_results(worker, UINT64_MAX);
        worker->applied = 0;
        worker->opened = OPENED_NOTHING;
    } else if (msg->again) {
        sim_fail(self, "C4", "v%u has a heap, and is told to begin again", worker->number);
    }
    worker->attached = true;
    worker->run = msg->run;
    if (msg->applied > worker->applied) worker->applied = msg->applied;
    forget_results(worker, worker->applied);
    report(self, worker, false);
    if (supervisor_last(worker->supervisor) < worker->applied) fetch(self, worker);
}

static void on_sleep(sim_t *self, worker_t *worker, const msg_sleep_t *msg)
{
    if (!worker->attached || msg->run != worker->run) return;
    sim_log(self, "v%u sleeps", worker->number);
    if (worker->store->newest(worker->store) != supervisor_last(worker->supervisor))
        sim_fail(self, "C2", "v%u sleeps, and its checkpoint is not what it is", worker->number);
    worker_end(worker);
}

/* ---- cranks ---- */

static void tell_result(sim_t *self, const worker_t *worker, const kept_t *kept)
{
    msg_t msg;
    if (msg_decode(blob_bin(kept->frame), &msg))
        sim_fail(self, "codec", "a kept result cannot be read");
    msg.body.result.inc = worker->inc;
    msg.body.result.pgen = worker->pgen;
    msg.body.result.run = worker->run;
    post(self, worker, TAG_result, &msg.body.result);
    msg_clear(&msg);
}

static void keep_result(sim_t *self, worker_t *worker, const crank_t *crank)
{
    msg_result_t result = {.vat = {worker->number},
                           .inc = worker->inc,
                           .pgen = worker->pgen,
                           .run = worker->run,
                           .d = crank->d,
                           .delivery_hash = crank->delivery_hash,
                           .chain = crank->chain_before,
                           .outcome = crank->outcome,
                           .reason = text_of(crank->reason),
                           .calls = crank->calls,
                           .store_digest = crank->store_digest,
                           .console = crank->console,
                           .computrons = 1,
                           .run_us = 1};
    if (worker->kept_count == KEPT_MAX)
        sim_fail(self, "D2", "v%u keeps %u results that nobody applies", worker->number, KEPT_MAX);
    worker->kept[worker->kept_count++] = (kept_t){crank->d, sim_encode(self, TAG_result, &result)};
    tell_result(self, worker, &worker->kept[worker->kept_count - 1]);
    if (PLANTED(forgets_what_it_said)) forget_results(worker, UINT64_MAX);
}

static void lose(sim_t *self, worker_t *worker, uint64_t d)
{
    msg_lost_t lost = {.vat = {worker->number},
                       .inc = worker->inc,
                       .pgen = worker->pgen,
                       .run = worker->run,
                       .d = d,
                       .error = ERR_VAT_LIMIT_WALL,
                       .reason = text_of("too slow")};
    post(self, worker, TAG_lost, &lost);
    worker_end(worker);
}

/* An upgrade: hands the supervisor the file of its bundle, unless there is none. */
static bool find_bundle(sim_t *self, worker_t *worker, const msg_deliver_t *deliver)
{
    static const char *const there[] = {"b1-good", "b1-broken"};
    msg_t msg;
    if (msg_decode(deliver->delivery, &msg)) sim_fail(self, "codec", "a delivery cannot be read");
    bool upgrade = msg.tag == TAG_deliver_upgrade;
    for (size_t i = 0; upgrade && i < sizeof there / sizeof *there; i++) {
        if (text_is(msg.body.deliver_upgrade.bundle, there[i]))
            supervisor_bundle(worker->supervisor, there[i]);
    }
    msg_clear(&msg);
    return upgrade;
}

static void on_deliver(sim_t *self, worker_t *worker, const msg_deliver_t *deliver)
{
    const crank_t *crank;
    if (!worker->attached || deliver->run != worker->run) return;
    if (deliver->applied > worker->applied) worker->applied = deliver->applied;
    forget_results(worker, worker->applied);
    uint64_t last = supervisor_last(worker->supervisor);
    if (deliver->d <= last) {
        for (unsigned i = 0; i < worker->kept_count; i++)
            if (worker->kept[i].d == deliver->d) tell_result(self, worker, &worker->kept[i]);
        return;
    }
    if ((deliver->d != last + 1 && !PLANTED(gap_run)) || worker->ended) return;
    if (deliver->verdict == 0 && self->lose[worker->number]) {
        self->lose[worker->number]--;
        lose(self, worker, deliver->d);
        return;
    }
    bool upgrade = find_bundle(self, worker, deliver);
    err_t err = supervisor_run(worker->supervisor, deliver, &crank);
    if (deliver->verdict == 2) model_skipped(worker->engine);
    if (err)
        sim_fail(self, "V2", "delivery v%u/%" PRIu64 " makes no sense to the supervisor: %s",
                 worker->number, deliver->d, err_name(err));
    worker->ended = crank->ended;
    self->touched[worker->number] = true;
    if (deliver->verdict == 0)
        keep_result(self, worker, crank);
    else if (deliver->verdict == 1 && !hash_same(crank->result_hash, deliver->expect))
        sim_fail(self, "D3", "v%u/%" PRIu64 " replays otherwise", worker->number, deliver->d);
    bool upgraded = upgrade && !crank->outcome && deliver->verdict != 2;
    if (crank->dead) { /* half of it has happened in the engine: of no more use */
        worker_end(worker);
        worker_start(self, worker);
        return;
    }
    if (upgraded) worker->opened = OPENED_NEWEST; /* there is a heap again */
    if (++worker->rows >= worker->every || upgraded || worker->owes)
        worker_checkpoint(self, worker);
    if (worker->fetched && supervisor_last(worker->supervisor) >= worker->fetched)
        fetch(self, worker);
}

/* ---- names ---- */

enum { PAIR_BYTES = 9, PAGE_PAIRS = 5 }; /* short pages, so that there are several */

typedef struct {
    uint64_t first, next;
    uint8_t pairs[PAGE_PAIRS * PAIR_BYTES];
    size_t len;
} page_t;

static void add_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    page_t *page = context;
    (void)vref;
    if (kref.n < page->first || page->next) return;
    if (page->len == sizeof page->pairs) {
        page->next = kref.n;
        return;
    }
    for (size_t i = 0; i < 8; i++) page->pairs[page->len++] = (uint8_t)(kref.n >> (56 - 8 * i));
    page->pairs[page->len++] = (uint8_t)(flags & 3);
}

static void on_names_get(sim_t *self, const worker_t *worker, const msg_names_get_t *get)
{
    if (!worker->attached || get->run != worker->run) return;
    page_t page = {.first = get->first};
    supervisor_pairs(worker->supervisor, add_pair, &page);
    msg_names_t names = {.vat = {worker->number},
                         .inc = worker->inc,
                         .pgen = worker->pgen,
                         .run = worker->run,
                         .first = get->first,
                         .last = supervisor_last(worker->supervisor),
                         .next = page.next,
                         .pairs = {page.pairs, page.len}};
    post(self, worker, TAG_names, &names);
}

/* A frame for the worker of a vat. */
void worker_take(sim_t *self, unsigned host, const msg_t *msg)
{
    const msg_body_t *body = &msg->body;
    worker_t *worker =
        worker_at(self, host, body->attached.vat.n); /* all such messages begin with it */
    switch (msg->tag) {
    case TAG_vat_new: on_vat_new(self, host, &body->vat_new); return;
    case TAG_vat_end:
        if (worker->guest && worker->pgen <= body->vat_end.pgen) worker_remove(worker);
        return;
    case TAG_vat_restart:
        if (!worker->guest || worker->wants) return;
        worker_end(worker);
        worker_start(self, worker);
        return;
    default: break;
    }
    if (!worker->supervisor) return;
    switch (msg->tag) {
    case TAG_attached: on_attached(self, worker, &body->attached); return;
    case TAG_names_get: on_names_get(self, worker, &body->names_get); return;
    case TAG_deliver: on_deliver(self, worker, &body->deliver); return;
    case TAG_sleep: on_sleep(self, worker, &body->sleep); return;
    case TAG_checkpoint_ask:
        if (worker->attached && worker->run == body->checkpoint_ask.run)
            on_ask(self, worker, body->checkpoint_ask.ship);
        return;
    default: return;
    }
}
