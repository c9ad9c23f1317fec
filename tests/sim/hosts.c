/* Hosts and workers: what vathost and vatworker do with a frame (vathost/worker.c), without processes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

/* ---- a store in memory: a few keys; c-lists are not read back, so they are not kept ---- */

enum { STORE_KEYS = 8, STORE_TEXT = 24 };
typedef struct {
    char key[STORE_TEXT], value[STORE_TEXT];
} cell_t;
typedef struct {
    vatstore_t port;
    cell_t now[STORE_KEYS], before[STORE_KEYS];
} store_t;

static cell_t *cell_of(store_t *self, text_t key, bool make)
{
    char text[STORE_TEXT];
    snprintf(text, sizeof text, "%.*s", (int)key.len, key.at);
    for (unsigned i = 0; i < STORE_KEYS; i++)
        if (strcmp(self->now[i].key, text) == 0) return &self->now[i];
    for (unsigned i = 0; make && i < STORE_KEYS; i++) {
        if (self->now[i].key[0]) continue;
        memcpy(self->now[i].key, text, sizeof text);
        return &self->now[i];
    }
    must(!make);
    return NULL;
}

static err_t store_get(vatstore_t *port, text_t key, text_t *ret, bool *ret_found)
{
    const cell_t *cell = cell_of((store_t *)port, key, false);
    *ret_found = cell != NULL;
    if (cell) *ret = text_of(cell->value);
    return ERR_OK;
}

static err_t store_next(vatstore_t *port, text_t prior, text_t *ret, bool *ret_found)
{
    (void)port, (void)prior, (void)ret;
    *ret_found = false;
    return ERR_OK;
}

static err_t store_set(vatstore_t *port, text_t key, text_t value)
{
    snprintf(cell_of((store_t *)port, key, true)->value, STORE_TEXT, "%.*s", (int)value.len,
             value.at);
    return ERR_OK;
}

static err_t store_remove(vatstore_t *port, text_t key)
{
    cell_t *cell = cell_of((store_t *)port, key, false);
    if (cell) *cell = (cell_t){0};
    return ERR_OK;
}

static err_t store_pair_put(vatstore_t *port, kref_t kref, vref_t vref, uint64_t flags)
{
    (void)port, (void)kref, (void)vref, (void)flags;
    return ERR_OK;
}
static err_t store_pair_remove(vatstore_t *port, kref_t kref)
{
    (void)port, (void)kref;
    return ERR_OK;
}
static err_t store_counter(vatstore_t *port, text_t name, uint64_t value)
{
    (void)port, (void)name, (void)value;
    return ERR_OK;
}

static err_t store_begin(vatstore_t *port)
{
    store_t *self = (store_t *)port;
    memcpy(self->before, self->now, sizeof self->now);
    return ERR_OK;
}
static err_t store_keep(vatstore_t *port)
{
    (void)port;
    return ERR_OK;
}
static err_t store_undo(vatstore_t *port)
{
    store_t *self = (store_t *)port;
    memcpy(self->now, self->before, sizeof self->now);
    return ERR_OK;
}
static void store_destroy(vatstore_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static vatstore_t *store_new(void)
{
    store_t *self = calloc(1, sizeof *self);
    must(self);
    self->port = (vatstore_t){store_get,      store_next,        store_set,     store_remove,
                              store_pair_put, store_pair_remove, store_counter, store_begin,
                              store_keep,     store_undo,        store_destroy};
    return &self->port;
}

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

void worker_end(sim_t *self, worker_t *worker)
{
    (void)self;
    if (!worker->supervisor) return;
    forget_results(worker, UINT64_MAX);
    supervisor_destroy(&worker->supervisor);
    engine_destroy(&worker->engine);
    vatstore_destroy(&worker->store);
    worker->run = worker->applied = worker->fetched = 0;
    worker->attached = worker->ended = false;
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
static void attach(sim_t *self, worker_t *worker)
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
                        .last = supervisor_last(worker->supervisor),
                        .chain = supervisor_chain(worker->supervisor)};
    post(self, worker, TAG_attach, &msg);
}

static void worker_start(sim_t *self, worker_t *worker)
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
                             .asks = sim_on(self, FAULT_service)};
    worker->store = store_new();
    worker->engine = model_new(&config);
    worker->supervisor = supervisor_new((vat_t){worker->number}, worker->store, worker->engine);
    attach(self, worker);
}

void worker_kill(sim_t *self, unsigned vat)
{
    worker_t *worker = &self->workers[vat];
    if (!worker->supervisor) return;
    sim_log(self, "the worker of v%u dies", vat);
    worker_end(self, worker);
    worker_start(self, worker);
}

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
    worker_t *worker = &self->workers[msg->vat.n];
    if (worker->supervisor && worker->pgen == msg->pgen) return;
    worker_end(self, worker);
    worker->number = msg->vat.n;
    worker->guest = true;
    worker->host = host;
    worker->inc = msg->inc;
    worker->pgen = msg->pgen;
    worker->broken = msg->bundle.len == 9 && memcmp(msg->bundle.at, "b1-broken", 9) == 0;
    worker_start(self, worker);
}

static void on_attached(sim_t *self, worker_t *worker, const msg_attached_t *msg)
{
    if (worker->attached || !id_same(msg->nonce, worker->nonce)) return;
    worker->attached = true;
    worker->run = msg->run;
    if (msg->applied > worker->applied) worker->applied = msg->applied;
    forget_results(worker, worker->applied);
    if (supervisor_last(worker->supervisor) < worker->applied) fetch(self, worker);
}

/* ---- cranks ---- */

static void tell_result(sim_t *self, const worker_t *worker, const kept_t *kept)
{
    msg_t msg;
    if (msg_decode(blob_bin(kept->frame), &msg))
        sim_fail(self, "codec", "a kept result cannot be read");
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
    worker_end(self, worker);
}

/* An upgrade: hands the supervisor the file of its bundle, unless there is none. */
static bool find_bundle(sim_t *self, worker_t *worker, const msg_deliver_t *deliver)
{
    static const char *const there[] = {"b1-good", "b1-broken"};
    msg_t msg;
    if (msg_decode(deliver->delivery, &msg)) sim_fail(self, "codec", "a delivery cannot be read");
    bool upgrade = msg.tag == TAG_deliver_upgrade;
    for (size_t i = 0; upgrade && i < sizeof there / sizeof *there; i++) {
        text_t bundle = msg.body.deliver_upgrade.bundle;
        if (bundle.len == strlen(there[i]) && memcmp(bundle.at, there[i], bundle.len) == 0)
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
    if (deliver->d != last + 1 || worker->ended) return;
    if (deliver->verdict == 0 && self->lose[worker->number]) {
        self->lose[worker->number] = 0;
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
    if (upgrade && crank->dead) { /* half of it has happened in the old engine: of no more use */
        worker_end(self, worker);
        worker_start(self, worker);
        return;
    }
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

/* ---- hosts ---- */

void host_open(sim_t *self, unsigned host)
{
    shost_t *h = &self->hosts[host];
    if (h->open) return;
    h->open = true;
    h->session++;
    char name[16];
    snprintf(name, sizeof name, "h%u", host + 1);
    msg_hello_t hello = {.proto_min = PROTO_MIN,
                         .proto_max = PROTO_MAX,
                         .epoch = h->epoch,
                         .name = text_of(name),
                         .engine = text_of("model")};
    memcpy(hello.nonce.b, &h->session, sizeof h->session);
    net_post(self, WAY_UP, host, 0, TAG_hello, &hello);
}

static void on_welcome(sim_t *self, unsigned host, const msg_welcome_t *msg)
{
    shost_t *h = &self->hosts[host];
    if (memcmp(msg->nonce.b, &h->session, sizeof h->session) != 0) return;
    h->up = true;
    h->epoch = msg->epoch;
    for (unsigned v = 1; v <= self->top; v++)
        if (self->workers[v].supervisor && self->workers[v].host == host)
            attach(self, &self->workers[v]);
}

/* The broker does not know us: open a new session. */
static void on_refuse(sim_t *self, unsigned host, const msg_refuse_t *msg)
{
    if (msg->error != ERR_NEED_HELLO || !self->hosts[host].up) return;
    chance_t none = {1};
    net_cut(self, host, &none);
}

static bool is_here(const worker_t *worker, unsigned host)
{
    return worker->supervisor && worker->host == host;
}

/* Takes FRAME. */
void host_take(sim_t *self, unsigned host, unsigned vat, blob_t *frame)
{
    msg_t msg;
    worker_t *worker = &self->workers[vat];
    if (msg_decode(blob_bin(frame), &msg))
        sim_fail(self, "codec", "a frame to a host cannot be read");
    const msg_body_t *body = &msg.body;
    sim_log(self, "< h%u %s v%u", host + 1, message_find(msg.tag)->name, vat);
    switch (msg.tag) {
    case TAG_welcome: on_welcome(self, host, &body->welcome); break;
    case TAG_refuse: on_refuse(self, host, &body->refuse); break;
    case TAG_vat_new: on_vat_new(self, host, &body->vat_new); break;
    case TAG_vat_end:
        if (worker->host != host || worker->pgen > body->vat_end.pgen) break;
        worker_end(self, worker);
        worker->guest = false;
        break;
    case TAG_vat_restart:
        if (worker->guest && worker->host == host) {
            worker_end(self, worker);
            worker_start(self, worker);
        }
        break;
    case TAG_attached:
        if (is_here(worker, host)) on_attached(self, worker, &body->attached);
        break;
    case TAG_names_get:
        if (is_here(worker, host)) on_names_get(self, worker, &body->names_get);
        break;
    case TAG_deliver:
        if (is_here(worker, host)) on_deliver(self, worker, &body->deliver);
        break;
    default: break;
    }
    msg_clear(&msg);
    blob_destroy(&frame);
}
