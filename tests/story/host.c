/* The hosts and their workers: what vathost and vatworker do with a frame, without processes. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/audit.h"
#include "tests/story/world_own.h"
#include "tests/support/memstore.h"
#include "wire/base/must.h"

vat_story_t *vat_named(world_t *self, const char *name)
{
    for (size_t i = 0; i < self->vat_count; i++) {
        if (strcmp(self->vats[i].name, name) == 0) return &self->vats[i];
    }
    cr_assert_fail("no vat %s in this story", name);
    abort();
}

static vat_story_t *vat_numbered(world_t *self, vat_t vat)
{
    for (size_t i = 0; i < self->vat_count; i++) {
        if (self->vats[i].number == vat.n) return &self->vats[i];
    }
    return NULL;
}

static void forget_results(vat_story_t *vat, uint64_t upto)
{
    size_t kept = 0;
    for (size_t i = 0; i < vat->kept_count; i++) {
        if (vat->kept[i].d <= upto) {
            blob_destroy(&vat->kept[i].frame);
        } else {
            vat->kept[kept++] = vat->kept[i];
        }
    }
    vat->kept_count = kept;
}

void worker_end(vat_story_t *vat)
{
    if (!vat->supervisor) return;
    forget_results(vat, UINT64_MAX);
    supervisor_destroy(&vat->supervisor);
    engine_destroy(&vat->engine);
    vatstore_destroy(&vat->store);
    vat->run = vat->applied = 0;
    vat->ended = vat->busy = false;
}

static void worker_start(world_t *self, vat_story_t *vat)
{
    vat->store = memstore_new();
    vat->engine = script_engine_new(vat->script, vat->context);
    script_files(vat->engine, self->bundles);
    vat->supervisor = supervisor_new((vat_t){vat->number}, vat->store, vat->engine);
    host_attach(self, vat);
}

/* Says where the worker of VAT stands; nothing when it has none. */
void host_attach(world_t *self, vat_story_t *vat)
{
    if (!vat->supervisor || vat->busy) return;
    msg_attach_t attach = {.vat = {vat->number}, .inc = vat->inc, .pgen = vat->pgen, .run = vat->run,
        .nonce = {{1}}, .last = supervisor_last(vat->supervisor), .chain = supervisor_chain(vat->supervisor)};
    world_post(self, LINK_UP, vat->host, vat->number, TAG_attach, &attach);
}

/* Few rows at a time, so that short stories fetch more than once. */
static void fetch(world_t *self, vat_story_t *vat)
{
    msg_fetch_t ask = {.vat = {vat->number}, .inc = vat->inc, .pgen = vat->pgen, .run = vat->run,
        .first = supervisor_last(vat->supervisor) + 1, .count = 3};
    vat->fetched = ask.first + ask.count - 1;
    world_post(self, LINK_UP, vat->host, vat->number, TAG_fetch, &ask);
}

static void take_vat_new(world_t *self, uint32_t host, const msg_vat_new_t *msg)
{
    vat_story_t *vat = NULL;
    for (size_t i = 0; i < self->vat_count; i++) {
        if (text_is(msg->name, self->vats[i].name)) vat = &self->vats[i];
    }
    cr_assert(vat, "VAT_NEW for a vat that nobody launched");
    if (vat->supervisor && vat->pgen == msg->pgen) return;
    worker_end(vat);
    vat->number = msg->vat.n;
    vat->host = host;
    vat->inc = msg->inc;
    vat->pgen = msg->pgen;
    worker_start(self, vat);
}

static void keep(vat_story_t *vat, uint64_t d, blob_t *frame)
{
    cr_assert_lt(vat->kept_count, KEPT);
    vat->kept[vat->kept_count++] = (kept_result_t){d, frame};
}

/* The results not yet known to be applied, or only that of delivery D. */
static void send_results(world_t *self, vat_story_t *vat, uint64_t d)
{
    for (size_t i = 0; i < vat->kept_count; i++) {
        msg_t msg;
        if (d && vat->kept[i].d != d) continue;
        cr_assert_eq(msg_decode(blob_bin(vat->kept[i].frame), &msg), ERR_OK);
        msg.body.result.run = vat->run;
        world_post(self, LINK_UP, vat->host, vat->number, TAG_result, &msg.body.result);
        msg_clear(&msg);
    }
}

static void lose(world_t *self, vat_story_t *vat)
{
    msg_lost_t lost = {.vat = {vat->number}, .inc = vat->inc, .pgen = vat->pgen, .run = vat->run,
        .d = supervisor_last(vat->supervisor) + 1, .error = vat->lose, .reason = text_of(err_text(vat->lose))};
    world_post(self, LINK_UP, vat->host, vat->number, TAG_lost, &lost);
    vat->lose = ERR_OK;
    worker_end(vat);
}

static void answer(world_t *self, vat_story_t *vat, const crank_t *crank)
{
    msg_result_t result = {.vat = {vat->number}, .inc = vat->inc, .pgen = vat->pgen, .run = vat->run,
        .d = crank->d, .delivery_hash = crank->delivery_hash, .chain = crank->chain_before,
        .outcome = crank->outcome, .reason = text_of(crank->reason), .calls = crank->calls,
        .store_digest = crank->store_digest, .console = crank->console, .computrons = 1, .run_us = 1};
    if (vat->forge) {
        result.calls = (bin_t){vat->forged, vat->forged_len};
        vat->forge = false;
    }
    keep(vat, crank->d, world_encode(TAG_result, &result));
    world_post(self, LINK_UP, vat->host, vat->number, TAG_result, &result);
}

static void diverge(world_t *self, vat_story_t *vat, const crank_t *crank)
{
    msg_diverged_t diverged = {.vat = {vat->number}, .inc = vat->inc, .pgen = vat->pgen,
        .run = vat->run, .d = crank->d, .outcome = crank->outcome, .calls = crank->calls};
    world_post(self, LINK_UP, vat->host, vat->number, TAG_diverged, &diverged);
    worker_end(vat);
}

/* An upgrade finds its code by its hash, as a worker does by the file of its host. */
static void offer_bundle(vat_story_t *vat, const msg_deliver_t *deliver)
{
    msg_t msg;
    cr_assert_eq(msg_decode(deliver->delivery, &msg), ERR_OK);
    text_t bundle = msg.body.deliver_upgrade.bundle;
    memcpy(vat->bundle, bundle.at, bundle.len);
    vat->bundle[bundle.len] = '\0';
    msg_clear(&msg);
    supervisor_bundle(vat->supervisor, vat->bundle);
}

static void take_deliver(world_t *self, vat_story_t *vat, const msg_deliver_t *deliver)
{
    uint64_t last = supervisor_last(vat->supervisor);
    const crank_t *crank;

    if (deliver->run != vat->run || vat->busy) return;
    if (deliver->applied > vat->applied) vat->applied = deliver->applied;
    forget_results(vat, vat->applied);
    if (deliver->d <= last) {
        send_results(self, vat, deliver->d);
        return;
    }
    if (deliver->d > last + 1 || vat->ended) return;
    if (deliver->verdict == VERDICT_LIVE && vat->hang) {
        vat->hang = false;
        vat->busy = true;
        return;
    }
    if (deliver->verdict == VERDICT_LIVE && vat->lose) {
        lose(self, vat);
        return;
    }
    bool upgrade = msg_peek(deliver->delivery) == TAG_deliver_upgrade;
    if (upgrade && deliver->verdict != VERDICT_SKIP) offer_bundle(vat, deliver);
    if (deliver->inc > vat->inc) vat->inc = deliver->inc;
    cr_assert_eq(supervisor_run(vat->supervisor, deliver, &crank), ERR_OK, "v%u/%" PRIu64,
                 vat->number, deliver->d);
    vat->ended = crank->ended;
    if (deliver->verdict == VERDICT_LIVE) {
        answer(self, vat, crank);
        if (upgrade && crank->dead) { /* neither engine may go on: another worker does */
            worker_end(vat);
            worker_start(self, vat);
        }
        return;
    }
    if (deliver->verdict == VERDICT_REPLAY) {
        if (vat->may_diverge && !hash_same(crank->result_hash, deliver->expect)) {
            diverge(self, vat, crank);
            return;
        }
        cr_assert(hash_same(crank->result_hash, deliver->expect), "v%u/%" PRIu64 " replays otherwise",
                  vat->number, deliver->d);
    }
    /* The end of what was fetched, or of history: ask on. */
    if (deliver->d == vat->fetched || deliver->d == vat->applied) fetch(self, vat);
}

static void take_attached(world_t *self, vat_story_t *vat, const msg_attached_t *msg)
{
    vat->run = msg->run;
    vat->applied = msg->applied;
    forget_results(vat, vat->applied);
    if (supervisor_last(vat->supervisor) < vat->applied) {
        fetch(self, vat);
    } else {
        send_results(self, vat, 0);
    }
}

void host_take(world_t *self, uint32_t host, bin_t frame)
{
    msg_t msg;
    cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    switch (msg.tag) {
    case TAG_vat_new: take_vat_new(self, host, &msg.body.vat_new); break;
    case TAG_vat_end: {
        vat_story_t *vat = vat_numbered(self, msg.body.vat_end.vat);
        if (vat) worker_end(vat);
        break;
    }
    case TAG_vat_restart: {
        vat_story_t *vat = vat_numbered(self, msg.body.vat_restart.vat);
        worker_end(vat);
        worker_start(self, vat);
        break;
    }
    case TAG_attached: {
        vat_story_t *vat = vat_numbered(self, msg.body.attached.vat);
        if (vat && vat->supervisor) take_attached(self, vat, &msg.body.attached);
        break;
    }
    case TAG_deliver: {
        vat_story_t *vat = vat_numbered(self, msg.body.deliver.vat);
        if (vat && vat->supervisor) take_deliver(self, vat, &msg.body.deliver);
        break;
    }
    case TAG_names_get: audit_names(self, &msg.body.names_get); break;
    case TAG_refuse:
        cr_assert_fail("the broker refuses %s: %s", message_find(msg.body.refuse.tag)->name,
                       err_name((err_t)msg.body.refuse.error));
        break;
    default: break; /* WELCOME, PONG */
    }
    msg_clear(&msg);
}

/* ---- accidents ---- */

void world_kill_worker(world_t *self, const char *name)
{
    vat_story_t *vat = vat_named(self, name);
    if (!vat->supervisor) return;
    worker_end(vat);
    worker_start(self, vat);
}

void world_forge(world_t *self, const char *name, bin_t calls)
{
    vat_story_t *vat = vat_named(self, name);
    free(vat->forged);
    vat->forged = malloc(calls.len + 1);
    must(vat->forged);
    memcpy(vat->forged, calls.at, calls.len);
    vat->forged_len = calls.len;
    vat->forge = true;
}

void world_may_diverge(world_t *self, const char *name) { vat_named(self, name)->may_diverge = true; }

void world_lose(world_t *self, const char *name, err_t limit)
{
    vat_story_t *vat = vat_named(self, name);
    vat->lose = limit;
    if (vat->busy) lose(self, vat);
}

void world_hang(world_t *self, const char *name) { vat_named(self, name)->hang = true; }

const char *world_heard(world_t *self, const char *name)
{
    vat_story_t *vat = vat_named(self, name);
    vat->heard.len = 0;
    say(&vat->heard, "%s", "");
    for (size_t i = 0; vat->engine && i < script_count(vat->engine); i++) {
        say(&vat->heard, "%s\n", script_heard(vat->engine, i));
    }
    return vat->heard.at;
}
