/* What a vat can start from, and how much of its log is kept for that.
 *
 * A worker says where it stands when it attaches, and each time it has put the vat's state on its host's
 * disk. What it says is compared with the log, never believed: a host or a broker that went back, or a
 * history that is another one, puts the vat into quarantine. The log is deleted up to the oldest delivery
 * that anybody may still start from, in pieces: a trim of a million rows stops nobody. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/host/own.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/hash.h"
#include "wire/base/planted.h"

/* ---- chains ---- */

/* chain of row D, at most `applied`, as far as this is in memory. */
bool checkpoint_chain_at(const kernel_t *k, const kvat_t *vat, uint64_t d, hash_t *ret)
{
    const row_vat_t *row = &vat->row;
    *ret = (hash_t){{0}};
    if (d == 0) return true;
    if (d == row->applied) *ret = vat->chain;
    if (d > row->applied || d == row->applied) return d == row->applied;
    if (d == row->checkpoint) *ret = vat->checkpoint_chain;
    if (hash_none(*ret) && d == row->oldest) *ret = vat->oldest_chain;
    if (hash_none(*ret) && d == row->safe) *ret = vat->safe_chain;
    for (const log_t *log = k->spent; hash_none(*ret) && log; log = log->next)
        if (log->row.vat == row->vat && log->row.d == d) *ret = log->chain;
    return !hash_none(*ret);
}

/* ---- the log's beginning ---- */

/* Rows up to here are needed by nobody. */
uint64_t superfluous(const kernel_t *k, const kvat_t *vat)
{
    const row_vat_t *row = &vat->row;
    uint64_t oldest = PLANTED(trims_to_newest) ? row->checkpoint : row->oldest;
    uint64_t d = oldest < row->applied || PLANTED(trims_unapplied) ? oldest : row->applied;
    return mirror_lets_trim(k, vat, &d) && d > row->safe ? d : row->safe;
}

/* Something changed that decides how much log is kept. */
void checkpoint_look(kernel_t *k, kvat_t *vat)
{
    if (vat->trimming || !vat_alive(vat) || superfluous(k, vat) == vat->row.safe) return;
    vat->trimming = true;
    vat->trim_next = NULL;
    if (k->trims_tail)
        k->trims_tail->trim_next = vat;
    else
        k->trims = vat;
    k->trims_tail = vat;
}

/* At most ROWS less. What this batch applied is written first: its rows go with a later step. */
static size_t trim(kernel_t *k, kvat_t *vat, size_t rows)
{
    uint64_t to = superfluous(k, vat), last = to;
    if (vat->fresh_at == k->flushes && last >= vat->fresh_d) last = vat->fresh_d - 1;
    if (last > vat->row.safe + rows) last = vat->row.safe + rows;
    if (last <= vat->row.safe) return 0;

    size_t count = last - vat->row.safe;
    vat->safe_chain = (hash_t){{0}};
    if (last == to) checkpoint_chain_at(k, vat, to, &vat->safe_chain);
    while (vat->row.safe < last) bury_log(k, vat, ++vat->row.safe);
    touch(k, &vat->head);
    mirror_trimmed(k, vat);
    return count;
}

/* As many rows as this step may. */
void trim_some(kernel_t *k)
{
    size_t rows = 0;
    kvat_t **at = &k->trims, *before = NULL;
    while (*at && rows < k->trim_rows) {
        kvat_t *vat = *at;
        rows += trim(k, vat, k->trim_rows - rows);
        if (superfluous(k, vat) > vat->row.safe) {
            before = vat;
            at = &vat->trim_next;
            continue;
        }
        *at = vat->trim_next;
        vat->trimming = false;
        if (k->trims_tail == vat) k->trims_tail = before;
    }
}

void trim_end(kernel_t *k, kvat_t *vat)
{
    kvat_t **at = &k->trims, *before = NULL;
    if (!vat->trimming) return;
    while (*at != vat) {
        before = *at;
        at = &before->trim_next;
    }
    *at = vat->trim_next;
    if (k->trims_tail == vat) k->trims_tail = before;
    vat->trimming = false;
}

/* ---- what a worker says ---- */

/* From here on the vat has this one checkpoint and no other: it attached with it, or it moved with it. */
void checkpoint_is(kernel_t *k, kvat_t *vat, uint64_t d, hash_t chain)
{
    vat->row.checkpoint = vat->row.oldest = d;
    vat->checkpoint_chain = vat->oldest_chain = chain;
    touch(k, &vat->head);
    checkpoint_look(k, vat);
}

/* It cannot start from anything newer than it says, whatever was reported before. */
static void went_back(kernel_t *k, kvat_t *vat, const msg_attach_t *msg)
{
    hash_t chain = {{0}};
    if (msg->last == msg->checkpoint)
        chain = msg->chain;
    else if (msg->checkpoint <= vat->row.applied)
        checkpoint_chain_at(k, vat, msg->checkpoint, &chain);
    if (msg->checkpoint < vat->row.oldest) {
        checkpoint_is(k, vat, msg->checkpoint, chain);
    } else if (msg->checkpoint < vat->row.checkpoint) {
        vat->row.checkpoint = msg->checkpoint;
        vat->checkpoint_chain = msg->checkpoint == vat->row.oldest ? vat->oldest_chain : chain;
        touch(k, &vat->head);
    }
}

/* Is this worker's history a piece of the log's, and does the log reach back to where it stands? If not,
 * the vat goes into quarantine. CHAIN is that of row `last`, from the store; zeros: it has none. */
bool checkpoint_agrees(kernel_t *k, kvat_t *vat, const msg_attach_t *msg, hash_t chain)
{
    char why[200];
    const row_vat_t *row = &vat->row;
    if (!PLANTED(regress_unnoticed) && (msg->last < row->safe || msg->checkpoint < row->safe)) {
        uint64_t d = msg->last < row->safe ? msg->last : msg->checkpoint;
        snprintf(why, sizeof why,
                 "its host has the vat's state as of delivery %" PRIu64
                 ", and the log begins behind %" PRIu64,
                 d, row->safe);
        vat_quarantine(k, vat, ERR_VAT_REGRESSED, why);
        return false;
    }
    if (msg->last > row->assigned || msg->acked > row->applied) {
        bool ran = msg->last > row->assigned;
        snprintf(why, sizeof why,
                 ran ? "the worker ran delivery %" PRIu64
                       " that this broker never assigned: its last is %" PRIu64
                     : "the worker heard that delivery %" PRIu64 " is applied, and here %" PRIu64
                       " is the last",
                 ran ? msg->last : msg->acked, ran ? row->assigned : row->applied);
        vat_quarantine(k, vat, ERR_BROKER_REGRESSED, why);
        return false;
    }
    hash_t known;
    bool here = msg->last <= row->applied && checkpoint_chain_at(k, vat, msg->last, &known);
    if (!here && msg->last <= row->applied) known = chain, here = !hash_none(chain);
    if (here && !hash_same(known, msg->chain)) {
        vat_quarantine(k, vat, ERR_VAT_FORKED, "the worker ran another history than the log's");
        return false;
    }
    if (msg->checkpoint <= msg->last) went_back(k, vat, msg);
    return true;
}

/* Does the worker say itself which of its checkpoints are there? The chain of the older one is known when
 * it was told of before: otherwise the log is kept until the next report. */
static void remember_oldest(kernel_t *k, kvat_t *vat, const msg_checkpoint_t *msg)
{
    hash_t chain = msg->chain;
    if (msg->oldest <= vat->row.oldest) return;
    if (msg->oldest != msg->d && !checkpoint_chain_at(k, vat, msg->oldest, &chain)) return;
    vat->row.oldest = msg->oldest;
    vat->oldest_chain = chain;
}

static void quarantine_fork(kernel_t *k, kvat_t *vat, uint64_t d)
{
    char why[120];
    snprintf(why, sizeof why,
             "its checkpoint of delivery %" PRIu64 " is of another history than the log's", d);
    vat_quarantine(k, vat, ERR_VAT_FORKED, why);
}

/* Nothing is under way, and nothing is to come: the worker may go. VAT_NEW brings one back. */
static void sleep_if_idle(kernel_t *k, kvat_t *vat, uint64_t d)
{
    const row_vat_t *row = &vat->row;
    bool idle = d == row->applied && row->applied == row->assigned && !vat->queue.head;
    if (PLANTED(sleeps_with_work)) idle = true;
    if (!idle || row->state != VAT_RUNNING || row->moving || vat->ship || vat->makes) return;
    msg_sleep_t msg = {vat->id, row->inc, row->pgen, row->run};
    if (!PLANTED(sleeper_not_woken)) vat->attached = vat->asked = false;
    send_host(k, row->host, TAG_sleep, &msg);
}

void on_checkpoint(kernel_t *k, uint32_t from, const msg_checkpoint_t *msg)
{
    kvat_t *vat = vat_speaker(k, from, msg->vat, msg->pgen, msg->run);
    if (!vat || !msg->d || msg->oldest > msg->d || msg->d < vat->row.checkpoint) return;
    if (msg->d > vat->row.assigned) {
        vat_quarantine(k, vat, ERR_BROKER_REGRESSED,
                       "the worker ran deliveries that this broker never assigned");
        return;
    }
    hash_t known;
    if (checkpoint_chain_at(k, vat, msg->d, &known) && !hash_same(known, msg->chain)) {
        quarantine_fork(k, vat, msg->d);
        return;
    }
    bool news = msg->d > vat->row.checkpoint;
    remember_oldest(k, vat, msg);
    vat->row.checkpoint = msg->d;
    vat->checkpoint_chain = msg->chain;
    vat->row.checkpoint_bytes = msg->bytes;
    touch(k, &vat->head);
    checkpoint_look(k, vat);
    if (news) event_checkpoint(k, vat);
    makes_look(k, vat);
    if (msg->asleep) sleep_if_idle(k, vat, msg->d);
}

/* A row was applied: was it that of a checkpoint that came before its result? */
void checkpoint_applied(kernel_t *k, kvat_t *vat)
{
    const row_vat_t *row = &vat->row;
    if (row->state != VAT_RUNNING) return;
    mirror_applied(k, vat, row->applied, vat->chain);
    if (row->state != VAT_RUNNING) return;
    if (row->checkpoint == row->applied && !hash_none(vat->checkpoint_chain) &&
        !hash_same(vat->checkpoint_chain, vat->chain)) {
        quarantine_fork(k, vat, row->applied);
        return;
    }
    checkpoint_look(k, vat);
}
