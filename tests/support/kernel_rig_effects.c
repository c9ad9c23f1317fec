/* What the kernel says, and what becomes of it: hosts with workers that attach, fetch and are sent deliveries, the
 * shell's files, clients and the agent, who only listen. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig_own.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

letter_t *rig_letter(rig_t *self, const effect_t *effect)
{
    letter_t *letter = calloc(1, sizeof *letter);
    must(letter);
    letter->to = effect->to;
    letter->frame = blob_ref(effect->frame);
    must(!msg_decode(blob_bin(letter->frame), &letter->msg));
    letter->made = self->made;
    self->made = letter;
    return letter;
}

worker_t *rig_worker_of(const rig_t *self, uint32_t vat) { return map_get(&self->workers, vat); }

void rig_attach(rig_t *self, worker_t *worker, bool heapless)
{
    worker->head = worker->tail = NULL;
    worker->pending = 0;
    msg_attach_t msg = {.vat = {worker->vat},
                        .inc = worker->inc,
                        .pgen = worker->pgen,
                        .run = worker->run,
                        .nonce = {{1}},
                        .checkpoint = worker->checkpoint,
                        .heap = heapless,
                        .last = worker->last,
                        .chain = worker->chain};
    rig_from_host(self, worker->host, TAG_attach, &msg);
}

void rig_renew(worker_t *worker)
{
    worker->run = 0;
    worker->last = worker->checkpoint;
    worker->chain = worker->checkpoint_chain;
}

static void fetch(rig_t *self, worker_t *worker)
{
    worker->fetching = true;
    msg_fetch_t msg = {{worker->vat}, worker->inc, worker->pgen, worker->run, worker->last + 1, 4};
    rig_from_host(self, worker->host, TAG_fetch, &msg);
}

static bool same_copy(const copy_t *a, const copy_t *b)
{
    return a->pgen == b->pgen && a->d == b->d && a->bytes == b->bytes &&
           hash_same(a->hash, b->hash);
}

file_t *rig_file_of(const rig_t *self, vat_t vat, const copy_t *copy)
{
    for (size_t i = 0; i < self->file_count; i++)
        if (self->files[i].vat.n == vat.n && same_copy(&self->files[i].copy, copy))
            return &self->files[i];
    return NULL;
}

/* A new placement knows nothing but what the broker has of it. */
static void begin(rig_t *self, worker_t *worker, const msg_vat_new_t *msg)
{
    worker->run = worker->last = worker->checkpoint = 0;
    worker->chain = worker->checkpoint_chain = (hash_t){{0}};
    if (!msg->checkpoint) return;
    copy_t copy;
    must(kernel_copy(self->kernel, msg->vat, worker->host, &copy));
    must(copy.d == msg->checkpoint && hash_same(copy.hash, msg->checkpoint_hash) &&
         copy.bytes == msg->checkpoint_bytes && rig_file_of(self, msg->vat, &copy));
    worker->last = worker->checkpoint = copy.d;
    worker->chain = worker->checkpoint_chain = copy.chain;
}

static void on_new(rig_t *self, const letter_t *letter)
{
    const msg_vat_new_t *msg = &letter->msg.body.vat_new;
    worker_t *worker = rig_worker_of(self, msg->vat.n);
    bool moved = worker && worker->pgen != msg->pgen;
    if (!worker) {
        worker = calloc(1, sizeof *worker);
        must(worker);
        map_put(&self->workers, msg->vat.n, worker);
    }
    worker->vat = msg->vat.n;
    worker->host = letter->to;
    worker->inc = msg->inc;
    worker->pgen = msg->pgen;
    if (moved) begin(self, worker, msg);
    rig_attach(self, worker, false);
}

static void on_sleep(rig_t *self, const msg_sleep_t *msg)
{
    worker_t *worker = rig_worker_of(self, msg->vat.n);
    must(msg->run == worker->run && !worker->head && worker->checkpoint == worker->last);
    rig_renew(worker);
}

static void on_deliver(rig_t *self, letter_t *letter)
{
    (void)self;
    worker_t *worker = rig_worker_of(self, letter->msg.body.deliver.vat.n);
    const msg_deliver_t *msg = &letter->msg.body.deliver;
    must(worker && msg->run == worker->run && msg->verdict == 0);
    uint64_t newest = worker->last + worker->pending;
    if (msg->d <= newest) return; /* sent again */
    must(msg->d == newest + 1);
    must(!msg_decode(msg->delivery, &letter->inner));
    letter->has_inner = true;
    if (worker->tail)
        worker->tail->next = letter;
    else
        worker->head = letter;
    worker->tail = letter;
    worker->pending++;
}

static void on_attached(rig_t *self, const msg_attached_t *msg)
{
    worker_t *worker = rig_worker_of(self, msg->vat.n);
    worker->run = msg->run;
    if (msg->again == 1) {
        worker->last = worker->checkpoint = 0;
        worker->chain = worker->checkpoint_chain = (hash_t){{0}};
    }
    if (worker->last < msg->applied) fetch(self, worker);
}

static void on_host_effect(rig_t *self, const effect_t *effect)
{
    letter_t *letter = rig_letter(self, effect);
    self->frames[letter->msg.tag & 255]++;
    if (self->deaf) return;
    switch (letter->msg.tag) {
    case TAG_vat_new: on_new(self, letter); return;
    case TAG_sleep: on_sleep(self, &letter->msg.body.sleep); return;
    case TAG_attached: on_attached(self, &letter->msg.body.attached); return;
    case TAG_deliver: on_deliver(self, letter); return;
    default: return;
    }
}

/* What the shell does: rows of the store, as replays. The worker takes them as its own history. */
static void on_rows(rig_t *self, const effect_t *effect)
{
    worker_t *worker = rig_worker_of(self, effect->vat.n);
    must(worker && worker->run == effect->run);
    for (uint64_t d = effect->first; d <= effect->last; d++) {
        bool found = false;
        for (size_t i = 0; i < self->row_count && !found; i++) {
            if (self->rows[i].table != ROW_log) continue;
            row_t row = rig_row_read(&self->rows[i]);
            if (row.body.log.vat != effect->vat.n || row.body.log.d != d) continue;
            found = true;
            must(row.body.log.outcome != 0 && d == worker->last + 1);
            must(row.body.log.chain.len == 32 && row.body.log.result_hash.len == 32);
            hash_t result;
            memcpy(result.b, row.body.log.result_hash.at, sizeof result.b);
            worker->chain = hash_chain(worker->chain, hash_of(row.body.log.delivery), result);
            must(memcmp(worker->chain.b, row.body.log.chain.at, 32) == 0);
            worker->last = d;
        }
        must(found);
    }
    fetch(self, worker);
}

static void on_watch(rig_t *self, const effect_t *effect)
{
    self->events = rig_resized(self->events, (self->event_count + 1) * sizeof(blob_t *));
    self->events[self->event_count++] = blob_ref(effect->frame);
}

static void letter_add(letter_t **head, letter_t **tail, letter_t *letter)
{
    *(*tail ? &(*tail)->next : head) = letter;
    *tail = letter;
}

static void on_client_effect(rig_t *self, const effect_t *effect)
{
    letter_add(&self->replies, &self->replies_tail, rig_letter(self, effect));
}

static void on_agent_effect(rig_t *self, const effect_t *effect)
{
    if (!effect->frame) {
        must(!self->agent_runs && !self->agent_wanted);
        self->agent_wanted = true;
        return;
    }
    must(self->agent_runs); /* what is said to no agent is not said at all */
    letter_add(&self->asked, &self->asked_tail, rig_letter(self, effect));
}

static void on_pull(rig_t *self, const effect_t *effect)
{
    self->pulls = rig_resized(self->pulls, (self->pull_count + 1) * sizeof *self->pulls);
    self->pulls[self->pull_count++] = (file_t){effect->vat, effect->copy};
}

static void on_discard(rig_t *self, const effect_t *effect)
{
    file_t *file = rig_file_of(self, effect->vat, &effect->copy);
    must(file);
    *file = self->files[--self->file_count];
}

void rig_effect(rig_t *self, const effect_t *effect)
{
    switch (effect->kind) {
    case EFFECT_HOST: on_host_effect(self, effect); break;
    case EFFECT_CLIENT: on_client_effect(self, effect); break;
    case EFFECT_WATCH: on_watch(self, effect); break;
    case EFFECT_ROWS: on_rows(self, effect); break;
    case EFFECT_AGENT: on_agent_effect(self, effect); break;
    case EFFECT_PULL: on_pull(self, effect); break;
    case EFFECT_DISCARD: on_discard(self, effect); break;
    case EFFECT_BACKUP: self->frames[0]++; break;
    case EFFECT_STOP: break;
    }
}
