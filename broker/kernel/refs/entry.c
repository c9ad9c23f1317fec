/* Queue entries, and the log rows that they become: how one is made, what it counts, how it ends. */
#include <stdlib.h>

#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "wire/base/hash.h"
#include "wire/base/planted.h"

entry_t *entry_new(kernel_t *k, unsigned kind, kref_t target, kref_t result, value_t *value,
                   cause_t cause)
{
    entry_t *self = take(sizeof *self);
    self->head.table = ROW_entry;
    self->row = (row_entry_t){.kind = kind,
                              .target = target.n,
                              .result = result.n,
                              .msg_vat = cause.msg.vat.n,
                              .msg_d = cause.msg.d,
                              .msg_n = cause.msg.n,
                              .queued_ms = k->now_us / 1000};
    self->trace = cause.trace;
    self->value = value_ref(value);
    if (!kref_none(target) && !(PLANTED(notify_not_counted) && kind == ENTRY_NOTIFY))
        ref_up(k, target);
    if (!kref_none(result)) ref_up(k, result);
    value_up(k, value);
    return self;
}

void entry_destroy(entry_t **self_p)
{
    entry_t *self = *self_p;
    *self_p = NULL;
    if (!self) return;
    value_destroy(&self->value);
    blob_destroy(&self->note);
    free(self);
}

/* The entry ends, and its references with it. */
void entry_release(kernel_t *k, entry_t *entry)
{
    if (entry->row.target) ref_down(k, kref_of(entry->row.target));
    if (entry->row.result) ref_down(k, kref_of(entry->row.result));
    if (!PLANTED(entry_keeps_slots)) value_down(k, entry->value);
    bury(k, &entry->head);
    entry_destroy(&entry);
}

void notify_push(kernel_t *k, vat_t vat, promise_t *promise, cause_t cause)
{
    entry_t *entry =
        entry_new(k, ENTRY_NOTIFY, kref_of(promise->row.kref), (kref_t){0}, NULL, cause);
    entry->row.holder = vat.n;
    queue_push(&k->work, entry);
}

/* A row of the log for ENTRY, with room for KREF_COUNT references that it will count. */
log_t *log_new(kernel_t *k, const kvat_t *vat, const entry_t *entry, size_t kref_count)
{
    log_t *self = take(sizeof *self + kref_count * sizeof *self->krefs);
    self->head.table = ROW_log;
    self->kind = (unsigned)entry->row.kind;
    self->row = (row_log_t){.vat = vat->row.vat,
                            .d = vat->row.assigned + 1,
                            .msg_vat = entry->row.msg_vat,
                            .msg_d = entry->row.msg_d,
                            .msg_n = entry->row.msg_n,
                            .queued_ms = entry->row.queued_ms};
    self->trace = entry->trace;
    touch(k, &self->head);
    return self;
}

uint64_t stamp(const kernel_t *k, const kvat_t *vat)
{
    uint64_t now = k->now_us / 1000;
    return now > vat->row.stamp_ms || PLANTED(stamp_of_the_clock) ? now : vat->row.stamp_ms;
}

/* Fixes the row's bytes for ever. */
void log_bytes(kernel_t *k, log_t *log, msg_tag_t tag, const void *body)
{
    buf_reset(&k->frame);
    must(msg_encode(tag, body, &k->frame) == ERR_OK);
    log->delivery = blob_new(k->frame.at, k->frame.len);
    log->hash = hash_of(blob_bin(log->delivery));
}

/* A row for ENTRY, a start or an upgrade, which counts its parameters. */
log_t *log_parameters(kernel_t *k, const kvat_t *vat, const entry_t *entry)
{
    capdata_t parameters = value_data(entry->value);
    log_t *log = log_new(k, vat, entry, parameters.slots.count);
    for (size_t i = 0; i < parameters.slots.count; i++) {
        log->krefs[log->kref_count++] = parameters.slots.at[i];
        ref_up(k, parameters.slots.at[i]);
    }
    return log;
}

/* The parameters of LOG are mentioned to the vat: of a start when it is assigned; of an upgrade when it
 * has succeeded, since a vat that it fails for never hears of them. */
void parameters_introduce(kernel_t *k, kvat_t *vat, const log_t *log)
{
    for (size_t i = 0; i < log->kref_count; i++) held_introduce(k, vat, log->krefs[i], log->row.d);
}

/* Gives back the references of a row that is applied, or never will be. */
void log_release(kernel_t *k, log_t *log)
{
    for (size_t i = 0; i < log->kref_count; i++) ref_down(k, log->krefs[i]);
    log->kref_count = 0;
}
