/* Deliveries that their worker does not survive.
 *
 * Each death of a worker over the row that is next is counted in the row, which is on disk before it is
 * sent again; until the row is past, it is alone on its way. The last attempt, or the first result that
 * says a limit was exceeded, gives the delivery up: its row is marked, so that every worker steps over
 * it, its caller hears of it, and what it alone gave the vat is taken back, since the vat never saw it.
 * What is no message cannot be given up, and a cluster may have said that nothing is: then the vat ends. */
#include <stdlib.h>

#include "broker/kernel/crank/own.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* ---- what deliveries in flight mention ---- */

typedef void mention_t(void *context, kref_t kref, uint64_t d);

static void mention_data(const capdata_t *data, uint64_t d, mention_t *visit, void *context)
{
    for (size_t i = 0; i < data->slots.count; i++) visit(context, data->slots.at[i], d);
}

/* What row LOG gives to the vat. Those that are not listed here are alone in flight, or give nothing. */
static void mentions_of(const log_t *log, mention_t *visit, void *context)
{
    msg_t msg;
    uint64_t d = log->row.d;
    if (log->kind != ENTRY_MESSAGE && log->kind != ENTRY_NOTIFY) return;
    must(msg_decode(blob_bin(log->delivery), &msg) == ERR_OK);
    if (log->kind == ENTRY_MESSAGE) {
        const msg_deliver_message_t *message = &msg.body.deliver_message;
        visit(context, message->target, d);
        mention_data(&message->methargs, d, visit, context);
        if (!kref_none(message->result)) visit(context, message->result, d);
    } else {
        const resolutions_t *batch = &msg.body.deliver_notify.resolutions;
        for (size_t i = 0; i < batch->count; i++) {
            visit(context, batch->at[i].promise, d);
            mention_data(&batch->at[i].data, d, visit, context);
        }
    }
    msg_clear(&msg);
}

static void first_mention(void *context, kref_t kref, uint64_t d)
{
    map_t *first = context;
    if (!map_get(first, kref.n)) map_put(first, kref.n, (void *)(uintptr_t)d); /* only a number */
}

/* The first row in flight behind D that mentions KREF; 0: none does. All of them are read once for a D. */
static uint64_t mentioned_behind(kernel_t *k, const kvat_t *vat, kref_t kref, uint64_t d)
{
    if (k->later_vat != vat->row.vat || k->later_d != d) {
        mentions_clear(k);
        k->later_vat = vat->row.vat;
        k->later_d = d;
        for (const log_t *log = vat->log; log; log = log->next)
            if (log->row.d > d) mentions_of(log, first_mention, &k->later);
    }
    return (uint64_t)(uintptr_t)map_get(&k->later, kref.n);
}

/* What was read is only good for one crank. */
void mentions_clear(kernel_t *k)
{
    map_clear(&k->later);
    k->later_vat = 0;
}

/* Crank D let go of an import that deliveries in flight mention. For the vat it is those that give it, and
 * if they are given up it has nothing: its reach, or, when it FORGOT the name, all of it. */
void held_again(kernel_t *k, held_t *held, uint64_t d, bool forgot)
{
    uint64_t next = mentioned_behind(k, held->vat, kref_of(held->row.kref), d);
    if (!next) return;
    if (forgot) held->row.since_d = next;
    held->row.raised_d = next;
    touch(k, &held->head);
}

/* ---- giving up ---- */

typedef struct {
    kernel_t *k;
    kvat_t *vat;
} given_t;

/* The vat never sees row D, which gave it KREF: the next row that mentions it does that then. */
static void take_back(void *context, kref_t kref, uint64_t d)
{
    given_t *given = context;
    held_t *held = held_find(given->vat, kref);
    if (!held) return;
    uint64_t next = mentioned_behind(given->k, given->vat, kref, d);
    if (held->row.since_d == d && !(held->row.flags & HELD_EXPORTED)) {
        if (next) {
            held->row.since_d = next;
            touch(given->k, &held->head);
        } else {
            held_drop(given->k, held);
        }
    } else if (kref_is_object(kref) && held->row.raised_d == d) {
        held->row.raised_d = next;
        touch(given->k, &held->head);
        if (!next) held_reach(given->k, held, false);
    }
}

/* The vat will never see row LOG, which is out of its list already. */
void give_back(kernel_t *k, kvat_t *vat, const log_t *log)
{
    given_t given = {k, vat};
    mentions_of(log, take_back, &given);
    mentions_clear(k);
}

/* The vat's engine is of no more use, and what its worker still says is dropped. HERE: the worker is still
 * there, or thinks that the vat ends; else its host waits until it is asked for another one. */
static void engine_ended(kernel_t *k, kvat_t *vat, bool here)
{
    msg_vat_restart_t restart = {vat->id, vat->row.inc, vat->row.pgen};
    vat->row.run++;
    vat->attached = false;
    vat->asked = here;
    touch(k, &vat->head);
    if (here) send_host(k, vat->row.host, TAG_vat_restart, &restart);
    vat_ready(k, vat);
}

static kref_t result_of(const log_t *log)
{
    msg_t msg;
    must(msg_decode(blob_bin(log->delivery), &msg) == ERR_OK);
    kref_t result = msg.body.deliver_message.result;
    msg_clear(&msg);
    return result;
}

/* The message in row LOG is given up because of ERROR. */
static void give_up(kernel_t *k, kvat_t *vat, log_t *log, const msg_result_t *msg, err_t error,
                    bool here)
{
    cause_t cause = log_cause(vat, log);
    kref_t result = result_of(log);
    crank_said(k, vat, log, msg);
    log_applied(k, vat, msg, PLANTED(given_up_runs_again) ? LOG_OK : LOG_FAILED);
    engine_ended(k, vat, here);
    if (!PLANTED(given_up_gives)) give_back(k, vat, log);
    if (!kref_none(result) && !PLANTED(given_up_unanswered)) {
        AUTO(value)
        why =
            value_error(k, "CRANK_FAILED", "the delivery was given up: ", text_of(err_text(error)));
        promise_settle(k, promise_find(k, result), true, why, cause);
    }
    event_poison(k, vat, log, msg->reason);
    serial_next(k, vat->cluster);
}

/* Does nothing of this vat's deliveries survive the worker? */
static bool ends_at_once(const kvat_t *vat)
{
    if (vat->row.poison == POISON_DEFAULT) return vat->row.dialect == 0; /* SwingSet's rule */
    return vat->row.poison == POISON_TERMINATE;
}

/* The row that is next cost its worker. False: the vat is to end. */
static bool attempted(kernel_t *k, kvat_t *vat, const msg_result_t *msg, err_t error, bool here)
{
    log_t *log = vat->log;
    bool sure = error == ERR_VAT_LIMIT_COMPUTE || error == ERR_VAT_LIMIT_HEAP ||
                error == ERR_VAT_LIMIT_STACK;
    if (ends_at_once(vat) || error == ERR_BUNDLE_UNKNOWN) return false;
    log->row.attempts++;
    touch(k, &log->head);
    if (!sure && log->row.attempts < POISON_ATTEMPTS) {
        event_life(k, "vat-restart", vat, NULL, msg->reason);
        engine_ended(k, vat, here);
        return true;
    }
    if (log->kind != ENTRY_MESSAGE) return false;
    give_up(k, vat, log, msg, error, here);
    return true;
}

/* A result says that the crank exceeded a limit. One that is counted in steps or bytes it would exceed
 * each time. */
bool poison_result(kernel_t *k, kvat_t *vat, const msg_result_t *msg)
{
    switch (msg->outcome) {
    case ERR_VAT_LIMIT_COMPUTE:
    case ERR_VAT_LIMIT_HEAP:
    case ERR_VAT_LIMIT_STACK:
    case ERR_VAT_LIMIT_WALL: return attempted(k, vat, msg, (err_t)msg->outcome, true);
    default: return false;
    }
}

/* Its worker died of the row that is next. */
bool poison_lost(kernel_t *k, kvat_t *vat, err_t error, text_t reason)
{
    msg_result_t msg = {.d = vat->log->row.d, .outcome = (uint64_t)error, .reason = reason};
    return attempted(k, vat, &msg, error, false);
}
