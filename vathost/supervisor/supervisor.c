#include "vathost/supervisor/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/supervisor/translate.h"
#include "wire/base/failpoint.h"
#include "wire/base/must.h"
#include "wire/base/planted.h"

enum {
    VERDICT_LIVE,
    VERDICT_REPLAY,
    VERDICT_SKIP,

    /* Kept free of console lines for the one that says how many were dropped. */
    CONSOLE_TAIL_BYTES = 128,
    LEVEL_WARN = 3,
};

struct supervisor {
    vatstore_t *store;
    engine_t *engine;
    clist_t *clist;
    scratch_t scratch;
    uint64_t last;
    hash_t chain;
    const char *bundle; /* for the next upgrade */
    bool heapless;      /* the engine has nothing of what names and store are about */
    bool alone;         /* no older checkpoint can be started from once there is another one */

    /* The crank that runs, or ran last. */
    crank_t crank;
    buf_t calls, console;
    size_t call_count;
    uint64_t lines_dropped;
    hash_t store_digest;
    err_t illegal, broken; /* first failure: the vat's own, the store's */
    bool exited, exit_failed;
    char reason[REASON_BYTES_MAX];
};

supervisor_t *supervisor_new(vat_t vat, vatstore_t *store, engine_t *engine)
{
    supervisor_t *self = calloc(1, sizeof *self);
    must(self);
    self->store = store;
    self->engine = engine;
    self->clist = clist_new(vat, store);
    self->calls = buf_of(CRANK_BYTES_MAX);
    self->console = buf_of(CONSOLE_BYTES_MAX);
    return self;
}

void supervisor_destroy(supervisor_t **self_p)
{
    must(self_p);
    supervisor_t *self = *self_p;
    if (!self) return;

    clist_destroy(&self->clist);
    scratch_free(&self->scratch);
    buf_clear(&self->calls);
    buf_clear(&self->console);
    free(self);
    *self_p = NULL;
}

uint64_t supervisor_last(const supervisor_t *self) { return self->last; }
hash_t supervisor_chain(const supervisor_t *self) { return self->chain; }

void supervisor_pairs(const supervisor_t *self, pair_visit_t *visit, void *context)
{
    clist_each(self->clist, visit, context);
}

void supervisor_bundle(supervisor_t *self, const char *path) { self->bundle = path; }

/* ---- checkpoints ---- */

/* Sets *RET when the engine is now what the checkpoint AT says. */
static err_t load(supervisor_t *self, const checkpoint_t *at, bool *ret)
{
    *ret = false;
    if (!at->d) return ERR_OK;
    FAILPOINT(worker_store_read);
    err_t err = self->engine->load(self->engine, at->heap);
    *ret = !err;
    return err == ERR_SNAPSHOT_UNREADABLE ? ERR_OK : err;
}

static err_t stand_at(supervisor_t *self, const checkpoint_t *at)
{
    self->last = at->d;
    self->chain = at->chain;
    return clist_load(self->clist);
}

err_t supervisor_open(supervisor_t *self, opened_t *ret, checkpoint_t *ret_at)
{
    vatstore_t *store = self->store;
    bool loaded = false;
    must(self->last == 0);

    *ret = OPENED_NOTHING;
    err_t err = store->read(store, CHECKPOINT_NEWEST, ret_at);
    if (err || !ret_at->d) return err;
    err = load(self, ret_at, &loaded);
    if (err) return err;
    *ret = OPENED_NEWEST;
    if (!loaded) {
        err = store->read(store, CHECKPOINT_OLDER, ret_at);
        if (!err) err = load(self, ret_at, &loaded);
        if (!err && loaded) {
            FAILPOINT(worker_heap_older);
            err = PLANTED(sup_older_heap_newer_store) ? ERR_OK : store->back(store);
            FAILPOINT(worker_went_back);
        }
        if (err) return err;
        *ret = loaded ? OPENED_OLDER : OPENED_HEAPLESS;
        self->heapless = self->alone = !loaded;
    }
    err = store->read(store, CHECKPOINT_NEWEST, ret_at); /* after back() the one that was older */
    if (!err) err = stand_at(self, ret_at);
    return err ? err : store->read(store, CHECKPOINT_NEWEST, ret_at);
}

err_t supervisor_checkpoint(supervisor_t *self, uint64_t acked, bin_t results)
{
    buf_t heap = buf_of(HEAP_SAVED_BYTES_MAX);
    must(self->last > 0 && !self->crank.ended && !self->heapless);

    err_t err = self->engine->save(self->engine, &heap);
    if (!err) {
        FAILPOINT(worker_checkpoint_saved);
        checkpoint_t made = {self->last, acked, self->chain, results, {heap.at, heap.len}};
        err = self->store->checkpoint(self->store, &made, self->alone);
    }
    buf_clear(&heap);
    if (!err) self->alone = false;
    return err;
}

err_t supervisor_empty(supervisor_t *self)
{
    must(self->heapless);
    vat_t vat = clist_vat(self->clist);
    self->heapless = self->alone = false;
    self->last = 0;
    self->chain = (hash_t){{0}};
    clist_destroy(&self->clist);
    self->clist = clist_new(vat, self->store);
    err_t err = self->store->empty(self->store);
    FAILPOINT(worker_emptied);
    return err;
}

/* ---- what the engine calls ---- */

static bool store_failed(err_t err)
{
    return err == ERR_STORE || err == ERR_STORE_FULL || err == ERR_STORE_DAMAGED ||
           err == ERR_STORE_LOCKED || err == ERR_STORE_VERSION || err == ERR_NO_MEMORY;
}

/* Once anything went wrong the rest of the crank is worthless: every later call gets the same. */
static err_t worthless(const supervisor_t *self)
{
    return self->broken ? self->broken : self->illegal;
}

static void blame(supervisor_t *self, err_t err, msg_tag_t tag, vref_t vref)
{
    if (store_failed(err)) {
        self->broken = err;
        return;
    }
    self->illegal = err;
    snprintf(self->reason, sizeof self->reason, "illegal syscall %s: %s%s%.*s%s",
             vcall_find(tag)->name, err_text(err), vref_none(vref) ? "" : " (",
             (int)(vref.s.len < VREF_BYTES_MAX ? vref.s.len : VREF_BYTES_MAX), vref.s.at,
             vref_none(vref) ? "" : ")");
}

static err_t on_call(void *context, const vcall_t *call)
{
    supervisor_t *self = context;
    translate_t up = {.clist = self->clist, .scratch = &self->scratch};
    msg_body_t body;

    if (worthless(self)) return worthless(self);

    err_t err = self->call_count < CRANK_CALLS_MAX ? ERR_OK : ERR_CALLS_LIMIT;
    if (!err) err = translate_up(&up, call, &body);
    if (!err && msg_encode(call->tag, &body, &self->calls)) {
        up.blamed = (vref_t){{NULL, 0}};
        err = ERR_CALLS_LIMIT;
    }
    if (err) {
        blame(self, err, call->tag, up.blamed);
        return err;
    }
    self->call_count++;
    if (call->tag == TAG_exit) { /* V5: the last one counts */
        self->exited = true;
        self->exit_failed = call->body.exit.failure;
    }
    return ERR_OK;
}

static err_t stored(supervisor_t *self, err_t err)
{
    if (err) self->broken = err;
    return err;
}

static err_t on_get(void *context, text_t key, text_t *ret, bool *ret_found)
{
    supervisor_t *self = context;
    if (worthless(self)) return worthless(self);
    return stored(self, self->store->get(self->store, key, ret, ret_found));
}

static err_t on_next(void *context, text_t prior, text_t *ret, bool *ret_found)
{
    supervisor_t *self = context;
    if (worthless(self)) return worthless(self);
    return stored(self, self->store->next(self->store, prior, ret, ret_found));
}

static err_t on_set(void *context, text_t key, text_t value)
{
    supervisor_t *self = context;
    if (worthless(self)) return worthless(self);
    if (!value.at) value.at = ""; /* no address is the mark of a delete */
    self->store_digest = hash_store_write(self->store_digest, key, value);
    return stored(self, self->store->set(self->store, key, value));
}

static err_t on_delete(void *context, text_t key)
{
    supervisor_t *self = context;
    if (worthless(self)) return worthless(self);
    self->store_digest = hash_store_write(self->store_digest, key, (text_t){NULL, 0});
    return stored(self, self->store->remove(self->store, key));
}

static void on_console(void *context, unsigned level, text_t source, text_t text)
{
    supervisor_t *self = context;
    msg_console_t line = {.level = level, .source = source, .text = text};

    self->console.max = CONSOLE_BYTES_MAX - CONSOLE_TAIL_BYTES;
    if (self->lines_dropped || msg_encode(TAG_console, &line, &self->console)) {
        self->lines_dropped++;
    }
}

static void end_console(supervisor_t *self)
{
    char text[CONSOLE_TAIL_BYTES / 2];
    if (!self->lines_dropped) return;

    snprintf(text, sizeof text, "%llu lines dropped", (unsigned long long)self->lines_dropped);
    msg_console_t line = {.level = LEVEL_WARN, .source = text_of("vat"), .text = text_of(text)};
    self->console.max = CONSOLE_BYTES_MAX;
    must(msg_encode(TAG_console, &line, &self->console) == ERR_OK);
}

/* ---- one crank ---- */

static void crank_reset(supervisor_t *self, uint64_t d)
{
    scratch_clear(&self->scratch);
    buf_reset(&self->calls);
    buf_reset(&self->console);
    self->call_count = 0;
    self->lines_dropped = 0;
    self->store_digest = (hash_t){{0}};
    self->illegal = self->broken = ERR_OK;
    self->exited = self->exit_failed = false;
    self->reason[0] = '\0';
    self->crank = (crank_t){.d = d, .chain_before = self->chain, .reason = self->reason};
}

static void crank_end(supervisor_t *self, const engine_report_t *report)
{
    crank_t *crank = &self->crank;

    end_console(self);
    if (self->illegal) {
        crank->outcome = ERR_VAT_ILLEGAL;
    } else if (report->outcome) {
        crank->outcome = report->outcome;
        memcpy(self->reason, report->reason, sizeof self->reason);
        self->reason[sizeof self->reason - 1] = '\0';
    }
    if (crank->outcome) { /* a discarded crank asks for nothing, and writes nothing */
        buf_reset(&self->calls);
        self->store_digest = (hash_t){{0}};
    }
    crank->calls = (bin_t){self->calls.at, self->calls.len};
    crank->console = (bin_t){self->console.at, self->console.len};
    crank->store_digest = self->store_digest;
    crank->computrons = report->computrons;
    crank->ended = crank->outcome || self->exited;
    crank->dead = report->dead;
    crank->result_hash = hash_result(crank->outcome, crank->calls, crank->store_digest);
}

/* The vat gave the message's target up while the message was on its way. What the broker does with
 * later ones is done here with this one. */
static void splat(supervisor_t *self, const vdelivery_t *delivery)
{
    static const char body[] =
        "#{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"}";
    if (vref_none(delivery->result)) return;
    vresolution_t why = {
        .promise = delivery->result,
        .rejected = true,
        .data = {.body = {(const uint8_t *)body, sizeof body - 1}},
    };
    vcall_t call = {.tag = TAG_resolve, .body.resolve.resolutions = {&why, 1}};
    err_t err = on_call(self, &call);
    must(!err || self->broken);
}

static err_t run_delivery(supervisor_t *self, const msg_t *msg, const engine_host_t *host,
                          bool replay, engine_report_t *ret)
{
    translate_t down = {.clist = self->clist, .scratch = &self->scratch};
    vdelivery_t delivery;

    err_t err = translate_down(&down, msg, &delivery);
    if (err) return err;
    if (down.lost)
        splat(self, &delivery);
    else
        self->engine->run(self->engine, &delivery, host, replay, ret);
    return ERR_OK;
}

/* ---- upgrade: one crank, two engines ---- */

static bool failed(const supervisor_t *self, const engine_report_t *report)
{
    return worthless(self) || report->outcome;
}

static void fail(engine_report_t *ret, err_t outcome, const char *reason)
{
    ret->outcome = outcome;
    snprintf(ret->reason, sizeof ret->reason, "%s", reason);
}

typedef struct {
    vref_t *at;
    size_t count;
} vref_list_t;

static void add_mortal(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    vref_list_t *list = context;
    vref_kind_t kind;

    if (!(flags & PAIR_EXPORTED) || !kref_is_object(kref) || kref_serial(kref) == 0) return;
    must(vref_parse(vref, &kind));
    if (!kind.durable) list->at[list->count++] = vref;
}

/* Gives up the exports that end with their incarnation: all but the root and what is durable. */
static void abandon_mortals(supervisor_t *self)
{
    vref_list_t list = {scratch_take(&self->scratch, clist_count(self->clist) * sizeof *list.at),
                        0};
    err_t err = ERR_OK;

    clist_each(self->clist, add_mortal, &list);
    if (PLANTED(sup_upgrade_keeps_mortals)) return;
    for (size_t i = 0; i < list.count && !err; i += SLOTS_MAX) {
        size_t rest = list.count - i;
        vcall_t call = {.tag = TAG_abandon_exports};
        call.body.abandon_exports.refs =
            (vrefs_t){list.at + i, rest < SLOTS_MAX ? rest : SLOTS_MAX};
        err = on_call(self, &call);
    }
    must(!err || worthless(self));
}

/* Starts the next incarnation. RET goes on from what the old one took. */
static err_t start_anew(supervisor_t *self, const msg_t *msg, const engine_host_t *host,
                        bool replay, engine_report_t *ret)
{
    uint64_t computrons = ret->computrons;

    err_t err = self->bundle ? self->engine->renew(self->engine, self->bundle) : ERR_BUNDLE_UNKNOWN;
    if (err == ERR_PROCESS_FAILED) return err;
    if (err == ERR_FILE_MISSING) err = ERR_BUNDLE_UNKNOWN;
    if (err) {
        fail(ret, err, err_text(err));
        return ERR_OK;
    }
    *ret = (engine_report_t){0};
    err = run_delivery(self, msg, host, replay, ret);
    ret->computrons += computrons;
    if (!err && !failed(self, ret) && self->exited)
        fail(ret, ERR_VAT_FAILED, "the vat asked to end while it was upgraded");
    return err;
}

/* The old incarnation's last reap, if it is there, what ends with it, the start of the next one; a step
 * that fails is the last. After a failure there is no engine for what was before, nor one that may go on. */
static err_t run_upgrade(supervisor_t *self, const msg_t *msg, const engine_host_t *host,
                         bool replay, engine_report_t *ret)
{
    const msg_deliver_upgrade_t *upgrade = &msg->body.deliver_upgrade;
    const vdelivery_t reap = {
        .tag = TAG_deliver_reap, .stamp_ms = upgrade->stamp_ms, .seed = upgrade->seed};
    translate_t down = {.clist = self->clist, .scratch = &self->scratch};
    err_t err = ERR_OK;

    if (!self->heapless) self->engine->run(self->engine, &reap, host, replay, ret);
    if (!failed(self, ret)) abandon_mortals(self);
    if (!failed(self, ret)) err = translate_forget(&down, &upgrade->forgotten);
    if (!err && !failed(self, ret)) err = start_anew(self, msg, host, replay, ret);
    if (failed(self, ret))
        ret->dead = true;
    else
        self->heapless = false;
    return err;
}

/* ---- any crank ---- */

static err_t crank_run(supervisor_t *self, const msg_t *msg, bool replay)
{
    if (self->heapless && msg->tag != TAG_deliver_upgrade) return ERR_HEAP_LOST;

    const engine_host_t host = {.self = self,
                                .call = on_call,
                                .store_get = on_get,
                                .store_next = on_next,
                                .store_set = on_set,
                                .store_delete = on_delete,
                                .console = on_console};
    engine_report_t report = {0};

    err_t err = clist_begin(self->clist);
    if (err) return err;
    err = msg->tag == TAG_deliver_upgrade ? run_upgrade(self, msg, &host, replay, &report)
                                          : run_delivery(self, msg, &host, replay, &report);
    if (err && !self->broken) {
        err_t undone = clist_undo(self->clist);
        return undone ? undone : err;
    }
    if (self->broken) return self->broken;

    crank_end(self, &report);
    bool discard = self->crank.outcome || self->exit_failed;
    return discard ? clist_undo(self->clist) : clist_keep(self->clist); /* V4 */
}

err_t supervisor_run(supervisor_t *self, const msg_deliver_t *deliver, const crank_t **ret)
{
    must(deliver->d == self->last + 1);
    msg_t msg;

    crank_reset(self, deliver->d);
    self->crank.delivery_hash = hash_of(deliver->delivery);
    if (deliver->verdict == VERDICT_SKIP) {
        self->crank.result_hash = deliver->expect;
    } else {
        err_t err = msg_decode(deliver->delivery, &msg);
        if (err) return err;
        err = crank_run(self, &msg, deliver->verdict == VERDICT_REPLAY);
        msg_clear(&msg);
        self->bundle = NULL;
        if (err) return err;
    }
    self->last = deliver->d;
    self->chain = hash_chain(self->chain, self->crank.delivery_hash, self->crank.result_hash);
    *ret = &self->crank;
    return ERR_OK;
}
