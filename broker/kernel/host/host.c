/* Frames of vathosts: attaching workers, rows of the log. Sessions are in hosts.c, results in result.c. */
#include "broker/kernel/crank/crank.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/host/own.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/hash.h"
#include "wire/base/planted.h"

static void send_live(kernel_t *k, const kvat_t *vat, uint64_t first)
{
    for (const log_t *log = vat->log; log; log = log->next)
        if (log->row.d >= first) deliver(k, vat, log);
}

/* A vat that is not there (any more): its worker and its database may go. */
static void end_stranger(kernel_t *k, uint32_t from, const msg_attach_t *msg)
{
    msg_vat_end_t end = {msg->vat, msg->inc, msg->pgen};
    send_host(k, from, TAG_vat_end, &end);
}

/* The worker is the vat's from now on, and gets what it lacks. */
static void attached(kernel_t *k, kvat_t *vat, const msg_attach_t *msg, uint64_t again)
{
    uint64_t last = again == ATTACHED_FROM_NOTHING ? 0 : msg->last;
    vat->row.run++;
    touch(k, &vat->head);
    vat->attached = true;
    vat->asked = true;
    msg_attached_t answer = {vat->id,    vat->row.inc,     vat->row.pgen, vat->row.run,
                             msg->nonce, vat->row.applied, again};
    send_host(k, vat->row.host, TAG_attached, &answer);
    bool behind = last < vat->row.applied; /* it fetches what it lacks */
    vat->fetched = behind ? 0 : UINT64_MAX;
    if (!behind) send_live(k, vat, vat->row.applied + 1);
    move_attached(k, vat);
    if (vat->baggage)
        baggage_go(k, vat, !behind);
    else if (!behind)
        ship_attached(k, vat);
}

/* No heap on the host's disk can be read; the broker's copy may be. It is worth more than what is left there, unless
 * it is older and the vat can go on with that. A copy is tried once: the next worker's placement is another. */
static bool from_copy(kernel_t *k, kvat_t *vat, const msg_attach_t *msg)
{
    bool older = vat->mirror && vat->mirror->row.d < msg->checkpoint;
    if (vat->row.safe == 0 || (older && baggage_will_do(vat, msg))) return false;
    if (!move_anew(k, vat)) return false;
    heap_lost_tell(k, vat, msg->checkpoint, "it goes on from the broker's copy");
    return true;
}

/* CHAIN: of the row `last`, when the store has it. */
static void on_attach(kernel_t *k, uint32_t from, const msg_attach_t *msg, hash_t chain)
{
    kvat_t *vat = vat_find(k, msg->vat.n);
    if (!vat || !vat_alive(vat) || vat->row.host != from || vat->row.pgen != msg->pgen) {
        end_stranger(k, from, msg);
        return;
    }
    if (vat->row.state == VAT_QUARANTINED) return;
    bool renew = vat->renew && msg->run != 0;
    vat->renew = false;
    if (renew) {
        msg_vat_restart_t restart = {vat->id, vat->row.inc, vat->row.pgen};
        vat->asked = true;
        send_host(k, from, TAG_vat_restart, &restart);
        return;
    }
    if (!checkpoint_agrees(k, vat, msg, chain)) return;
    vat->baggage = 0;
    if (msg->heap && from_copy(k, vat, msg)) return;
    uint64_t again = msg->heap ? heap_lost(k, vat, msg) : ATTACHED_GO_ON;
    if (again == ATTACHED_NEVER) return;
    if (msg->note.len) event_life(k, "vat-restart", vat, NULL, msg->note);
    attached(k, vat, msg, again);
}

/* The vat, when the frame comes from the one worker that may speak for it; anything else is late. Its
 * incarnation says nothing: a run spans an upgrade. */
kvat_t *vat_speaker(const kernel_t *k, uint32_t from, vat_t id, uint64_t pgen, uint64_t run)
{
    kvat_t *vat = vat_find(k, id.n);
    if (!vat || (vat->row.state != VAT_STARTING && vat->row.state != VAT_RUNNING)) return NULL;
    if (vat->row.host != from || vat->row.pgen != pgen) return NULL;
    return vat->attached && vat->row.run == run ? vat : NULL;
}

/* Rows FIRST to LAST, which are applied. */
void send_rows(kernel_t *k, const kvat_t *vat, uint64_t first, uint64_t last)
{
    effect_t *effect = effect_add(k, EFFECT_ROWS, (uint32_t)vat->row.host);
    effect->vat = vat->id;
    effect->first = first;
    effect->last = last;
    effect->run = vat->row.run;
    effect->inc = vat->row.inc;
    effect->pgen = vat->row.pgen;
    effect->applied = vat->row.applied;
}

/* A worker asks for each row once in a run, in order, and for the live ones last. One that asks again
 * gets nothing: a small frame would have many large ones sent. */
static void on_fetch(kernel_t *k, uint32_t from, const msg_fetch_t *msg)
{
    kvat_t *vat = vat_speaker(k, from, msg->vat, msg->pgen, msg->run);
    if (!vat || msg->first <= vat->fetched) return;
    if (msg->first > vat->row.applied) {
        vat->fetched = UINT64_MAX;
        send_live(k, vat, msg->first);
        ship_attached(k, vat);
        return;
    }
    uint64_t count = msg->count < FETCH_ROWS_MAX ? msg->count : FETCH_ROWS_MAX;
    if (msg->first <= vat->row.safe || !count) return;

    uint64_t last = msg->first + count - 1;
    vat->fetched = last < vat->row.applied ? last : vat->row.applied;
    send_rows(k, vat, msg->first, vat->fetched);
}

static void on_diverged(kernel_t *k, uint32_t from, const msg_diverged_t *msg)
{
    kvat_t *vat = vat_speaker(k, from, msg->vat, msg->pgen, msg->run);
    if (!vat) return;
    diverge(k, vat, msg->d, msg->outcome, msg->calls);
    vat_quarantine(k, vat, ERR_VAT_DIVERGED,
                   "a replayed delivery gave another result than the one applied");
}

static uint64_t number(const uint8_t *at, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) n = n << 8 | at[i];
    return n;
}

/* What a host keeps without a worker that would say ATTACH: it may have missed the end of it. */
static void on_guests(kernel_t *k, uint32_t from, const msg_guests_t *msg)
{
    enum { ROW = 12 };
    for (size_t i = 0; i + ROW <= msg->vats.len; i += ROW) {
        msg_vat_end_t end = {.vat = {(uint32_t)number(msg->vats.at + i, 4)},
                             .pgen = number(msg->vats.at + i + 4, 8)};
        const kvat_t *vat = vat_find(k, end.vat.n);
        bool there = vat && vat_alive(vat) && vat->row.pgen <= end.pgen &&
                     (vat->row.pgen < end.pgen || vat->row.host == from);
        if (!there && !PLANTED(guests_ignored)) send_host(k, from, TAG_vat_end, &end);
    }
}

/* BUNDLE_GET is the shell's. */
void on_host(kernel_t *k, const input_t *input)
{
    const msg_t *msg = input->msg;
    uint32_t from = input->from;
    if (msg->tag == TAG_hello) {
        on_hello(k, input->key, &msg->body.hello);
        return;
    }
    if (!host_speaks(k, from, msg->tag)) return;
    switch (msg->tag) {
    case TAG_present: on_present(k, from, &msg->body.present); return;
    case TAG_ping: {
        msg_pong_t pong = {k->counters[COUNTER_epoch].value};
        send_host(k, from, TAG_pong, &pong);
        return;
    }
    case TAG_attach: on_attach(k, from, &msg->body.attach, input->chain); return;
    case TAG_fetch: on_fetch(k, from, &msg->body.fetch); return;
    case TAG_result: on_result(k, (host_t){from}, &msg->body.result); return;
    case TAG_lost: on_lost(k, (host_t){from}, &msg->body.lost); return;
    case TAG_guests: on_guests(k, from, &msg->body.guests); return;
    case TAG_checkpoint: on_checkpoint(k, from, &msg->body.checkpoint); return;
    case TAG_names: on_names(k, from, &msg->body.names); return;
    case TAG_diverged: on_diverged(k, from, &msg->body.diverged); return;
    case TAG_checkpoint_ready: on_ready(k, from, &msg->body.checkpoint_ready); return;
    default: return;
    }
}
