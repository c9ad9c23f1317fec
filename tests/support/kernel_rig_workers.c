/* Workers that do what a test says: results, checkpoints, copies of those. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig_own.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

size_t rig_pending(const rig_t *self, uint32_t vat)
{
    const worker_t *worker = rig_worker_of(self, vat);
    return worker ? worker->pending : 0;
}

const msg_t *rig_delivery(rig_t *self, uint32_t vat)
{
    const worker_t *worker = rig_worker_of(self, vat);
    return worker && worker->head ? &worker->head->inner : NULL;
}

msg_result_t rig_result_frame(rig_t *self, uint32_t vat, const buf_t *calls)
{
    const worker_t *worker = rig_worker_of(self, vat);
    must(worker && worker->head);
    const msg_deliver_t *deliver = &worker->head->msg.body.deliver;
    return (msg_result_t){.vat = {vat},
                          .inc = worker->inc,
                          .pgen = worker->pgen,
                          .run = worker->run,
                          .d = deliver->d,
                          .delivery_hash = hash_of(deliver->delivery),
                          .chain = worker->chain,
                          .calls = {calls ? calls->at : NULL, calls ? calls->len : 0},
                          .computrons = 100,
                          .run_us = 10};
}

void rig_result_send(rig_t *self, uint32_t vat, const msg_result_t *msg)
{
    worker_t *worker = rig_worker_of(self, vat);
    msg_tag_t was = worker->head->inner.tag;
    hash_t result = hash_result(msg->outcome, msg->calls, msg->store_digest);
    worker->chain = hash_chain(worker->chain, msg->delivery_hash, result);
    worker->last = msg->d;
    worker->head = worker->head->next;
    if (!worker->head) worker->tail = NULL;
    worker->pending--;
    bool ends = msg->outcome && was == TAG_deliver_upgrade;
    rig_from_host(self, worker->host, TAG_result, msg);
    if (!ends) return;
    /* After an upgrade that failed the worker is of no more use: a fresh one comes. */
    rig_worker(self, vat);
}

void rig_worker(rig_t *self, uint32_t vat)
{
    worker_t *worker = rig_worker_of(self, vat);
    rig_renew(worker);
    rig_attach(self, worker, false);
}

void rig_heapless(rig_t *self, uint32_t vat)
{
    worker_t *worker = rig_worker_of(self, vat);
    rig_renew(worker);
    rig_attach(self, worker, true);
}

msg_checkpoint_t rig_checkpoint_frame(const rig_t *self, uint32_t vat)
{
    const worker_t *worker = rig_worker_of(self, vat);
    return (msg_checkpoint_t){.vat = {vat},
                              .inc = worker->inc,
                              .pgen = worker->pgen,
                              .run = worker->run,
                              .d = worker->last,
                              .chain = worker->chain,
                              .oldest = worker->checkpoint,
                              .bytes = 4096};
}

/* Of the same delivery the same file. */
static uint8_t file_number(const worker_t *worker)
{
    return (uint8_t)(worker->vat * 7 + worker->pgen);
}

void rig_ready(rig_t *self, uint32_t vat)
{
    const worker_t *worker = rig_worker_of(self, vat);
    rig_checkpoint(self, vat, false);
    msg_checkpoint_ready_t msg = {
        .vat = {vat},
        .pgen = worker->pgen,
        .d = worker->checkpoint,
        .chain = worker->checkpoint_chain,
        .hash = {{(uint8_t)vat, (uint8_t)worker->checkpoint, file_number(worker)}},
        .total = 1000 + worker->checkpoint};
    rig_from_host(self, worker->host, TAG_checkpoint_ready, &msg);
}

size_t rig_pulls(const rig_t *self) { return self->pull_count; }

static file_t pull_take(rig_t *self)
{
    must(self->pull_count);
    file_t pull = self->pulls[0];
    memmove(self->pulls, self->pulls + 1, --self->pull_count * sizeof *self->pulls);
    return pull;
}

void rig_pulled_as(rig_t *self, hash_t chain)
{
    file_t pull = pull_take(self);
    copy_t *copy = &pull.copy;
    if (!hash_none(chain)) copy->chain = chain;
    if (!rig_file_of(self, pull.vat, copy)) {
        self->files = rig_resized(self->files, (self->file_count + 1) * sizeof *self->files);
        self->files[self->file_count++] = pull;
    }
    msg_attach_t at = {.vat = pull.vat, .last = copy->d};
    input_t input = {.kind = INPUT_MIRRORED, .vat = pull.vat, .copy = *copy};
    input.chain = rig_row_chain(self, &at);
    rig_step(self, &input);
}

void rig_pulled(rig_t *self) { rig_pulled_as(self, (hash_t){{0}}); }

void rig_unpulled(rig_t *self, err_t err)
{
    file_t pull = pull_take(self);
    input_t input = {.kind = INPUT_UNMIRRORED, .vat = pull.vat, .copy = pull.copy, .err = err};
    rig_step(self, &input);
}

void rig_copy_lost(rig_t *self, uint32_t vat, err_t err)
{
    input_t input = {.kind = INPUT_UNMIRRORED, .vat = {vat}, .err = err};
    must(kernel_copy(self->kernel, input.vat, 0, &input.copy));
    rig_step(self, &input);
}

void rig_asks_in_vain(rig_t *self, uint32_t host, uint32_t vat, uint64_t pgen, uint64_t d)
{
    input_t input = {.kind = INPUT_UNMIRRORED,
                     .from = host,
                     .vat = {vat},
                     .copy = {.pgen = pgen, .d = d},
                     .err = ERR_HEAP_LOST};
    msg_checkpoint_get_t get = {{vat}, pgen, d, 0};
    if (kernel_asked_in_vain(self->kernel, host, &get)) rig_step(self, &input);
}

void rig_backed_up(rig_t *self, err_t err)
{
    input_t input = {.kind = INPUT_BACKED_UP, .err = err, .why = err ? err_text(err) : NULL};
    rig_step(self, &input);
}

void rig_checkpoint(rig_t *self, uint32_t vat, bool asleep)
{
    worker_t *worker = rig_worker_of(self, vat);
    msg_checkpoint_t msg = rig_checkpoint_frame(self, vat);
    msg.asleep = asleep;
    worker->checkpoint = worker->last;
    worker->checkpoint_chain = worker->chain;
    rig_from_host(self, worker->host, TAG_checkpoint, &msg);
}

void rig_result(rig_t *self, uint32_t vat, buf_t *calls)
{
    msg_result_t msg = rig_result_frame(self, vat, calls);
    rig_result_send(self, vat, &msg);
    if (calls) buf_clear(calls);
}

void rig_empty(rig_t *self, uint32_t vat) { rig_result(self, vat, NULL); }

void rig_fail(rig_t *self, uint32_t vat, err_t outcome, const char *reason)
{
    msg_result_t msg = rig_result_frame(self, vat, NULL);
    msg.outcome = outcome;
    msg.reason = text_of(reason);
    rig_result_send(self, vat, &msg);
}

void rig_run_dry(rig_t *self)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t vat = 1; vat < 200; vat++) {
            if (!rig_delivery(self, vat)) continue;
            rig_empty(self, vat);
            moved = true;
        }
    }
}
