/* What is told of a vat's past: its log (LOG_GET), and a replay that went another way (LIST 11). */
#include <stdlib.h>

#include "broker/kernel/crank/crank.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/state/state.h"

/* ---- the log ---- */

static msg_log_head_t head_of(const kvat_t *vat)
{
    msg_log_head_t head = {.vat = vat->id,
                           .inc = vat->row.inc,
                           .pgen = vat->row.pgen,
                           .name = vat->row.name,
                           .bundle = vat->row.first_bundle,
                           .dialect = vat->row.dialect,
                           .computrons = vat->row.computrons_max,
                           .heap_bytes = vat->row.heap_bytes,
                           .globals = vat->row.globals,
                           .safe = vat->row.safe,
                           .applied = vat->row.applied};
    if (!vat->mirror) return head;
    head.mirror = vat->mirror->row.d;
    head.mirror_pgen = vat->mirror->row.pgen;
    head.mirror_hash = vat->mirror->hash;
    head.mirror_bytes = vat->mirror->row.bytes;
    return head;
}

/* The kernel has no bytes of what is applied: the shell adds the rows behind the head. */
void on_log_get(kernel_t *k, uint32_t client, const msg_log_get_t *msg)
{
    const kvat_t *vat = vat_find(k, msg->vat.n);
    if (!vat) {
        reply_failed(k, client, msg->request, false, ERR_VAT_UNKNOWN, err_text(ERR_VAT_UNKNOWN),
                     "");
        return;
    }
    uint64_t safe = vat->row.safe, last = msg->last ? msg->last : vat->row.applied;
    msg_log_head_t head = head_of(vat);
    buf_t out = buf_of(FRAME_BYTES_MAX);
    must(msg_encode(TAG_log_head, &head, &out) == ERR_OK);
    msg_rows_t rows = {msg->request, {out.at, out.len}, 0};
    blob_t *frame = frame_of(k, TAG_rows, &rows);
    buf_clear(&out);
    effect_t *effect = effect_add(k, EFFECT_CLIENT, client);
    effect->frame = frame;
    effect->vat = vat->id;
    effect->first = msg->first > safe ? msg->first : safe + 1;
    effect->last = last < vat->row.assigned ? last : vat->row.assigned;
}

/* ---- a replay that went another way ---- */

/* Row D of VAT, which was run already, gave OUTCOME and CALLS. The first one is kept. */
void diverge(kernel_t *k, kvat_t *vat, uint64_t d, uint64_t outcome, bin_t calls)
{
    if (vat->divergence || d > vat->row.applied) return;
    divergence_t *self = take(sizeof *self);
    self->head.table = ROW_divergence;
    self->calls = blob_new(calls.at, calls.len);
    self->row = (row_divergence_t){vat->row.vat, d, outcome, blob_bin(self->calls)};
    vat->divergence = self;
    touch(k, &self->head);
}

/* The vat ended: nobody will ask why it did not go on. */
void divergence_end(kernel_t *k, kvat_t *vat)
{
    divergence_t *self = TAKE(vat->divergence);
    if (!self) return;
    bury(k, &self->head);
    blob_destroy(&self->calls);
    free(self);
}

/* Of VAT, or of all. */
void divergences_list(const kernel_t *k, vat_t only, buf_t *out)
{
    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        const kvat_t *vat = vat_find(k, vats[i]);
        if (!vat->divergence || (only.n && only.n != vat->id.n)) continue;
        const row_divergence_t *row = &vat->divergence->row;
        msg_divergence_row_t msg = {vat->id, row->d, row->code, row->calls};
        if (msg_encode(TAG_divergence_row, &msg, out)) break; /* as in every list: what fits */
    }
    free(vats);
}
