/* A crank comes back: guards, then check, then apply, or the end of the vat. */
#include <stdlib.h>

#include "broker/kernel/crank/own.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/hash.h"
#include "wire/base/planted.h"

cause_t log_cause(const kvat_t *vat, const log_t *log)
{
    return (cause_t){{vat->id, log->row.d, 0}, log->trace};
}

/* ---- decoding ---- */

static void calls_clear(kernel_t *k)
{
    for (size_t i = 0; i < k->call_count; i++) msg_clear(&k->calls[i]);
    k->call_count = 0;
}

static err_t calls_decode(kernel_t *k, bin_t rest)
{
    while (rest.len > 0) {
        if (k->call_count == CRANK_CALLS_MAX) return ERR_CALLS_LIMIT;
        k->calls = grown(k->calls, &k->call_room, k->call_count + 1, sizeof *k->calls);
        err_t err = msg_next(&rest, &k->calls[k->call_count]);
        if (err) return err;
        k->call_count++;
    }
    return ERR_OK;
}

static void console(kernel_t *k, const kvat_t *vat, const log_t *log, bin_t rest)
{
    if (!event_heard(k, TOPIC_CONSOLE, log->trace)) return;
    while (rest.len > 0) {
        msg_t line;
        if (msg_next(&rest, &line)) return;
        if (line.tag == TAG_console) event_console(k, vat, log, &line.body.console);
        msg_clear(&line);
    }
}

/* What is told of a crank of which nothing happened. */
void crank_said(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_result_t *msg)
{
    console(k, vat, log, msg->console);
    event_done(k, vat, log, msg, 0);
}

/* ---- the end of a row ---- */

/* What a notify told, the vat forgot when it ran it. */
static void retire_told(kernel_t *k, kvat_t *vat, const log_t *log)
{
    if (log->kind != ENTRY_NOTIFY) return;
    for (size_t i = 0; i < log->kref_count; i++) {
        held_t *held = held_find(vat, log->krefs[i]);
        if (held && held->row.told_d >= log->row.d)
            held_forget(k, held, log->row.d, PLANTED(told_of_mentioned));
    }
}

/* The row that is next has an outcome, which is never looked at again. */
void log_applied(kernel_t *k, kvat_t *vat, const msg_result_t *msg, uint64_t outcome)
{
    log_t *log = vat->log;
    vat->log = log->next;
    if (!vat->log) vat->log_tail = NULL;
    vat_busy(k, vat, false);

    if (outcome == LOG_OK || !vat->row.skips) vat->row.skips = outcome == LOG_OK ? 0 : log->row.d;
    log->row.outcome = outcome;
    log->row.code = msg->outcome;
    if (msg->calls.len) log->calls = blob_new(msg->calls.at, msg->calls.len);
    log->result_hash = hash_result(msg->outcome, msg->calls, msg->store_digest);
    log->chain = hash_chain(vat->chain, log->hash,
                            PLANTED(chain_of_wrong_bytes) ? log->hash : log->result_hash);
    touch(k, &log->head);
    vat->chain = log->chain;
    vat->row.applied = log->row.d;
    if (vat->fresh_at != k->flushes) {
        vat->fresh_at = k->flushes;
        vat->fresh_d = log->row.d;
    }
    vat->row.computrons += msg->computrons;
    vat->row.run_us += msg->run_us;
    touch(k, &vat->head);
    count_up(k, COUNTER_cranks);
    if (log->kind == ENTRY_MESSAGE) count_up(k, COUNTER_messages);
    if (vat->cluster) {
        vat->cluster->row.cranks++;
        if (log->kind == ENTRY_MESSAGE) vat->cluster->row.messages++;
        touch(k, &vat->cluster->head);
    }
    if (outcome == LOG_OK) retire_told(k, vat, log);
    for (log_t *next = log->row.attempts ? vat->log : NULL; next; next = next->next)
        deliver(k, vat, next);
    log_release(k, log);
    log->next = k->spent;
    k->spent = log;
}

/* ---- outcomes ---- */

static void end_illegal(kernel_t *k, kvat_t *vat, const log_t *log, err_t err, size_t at)
{
    blob_t *reason = blob_print("illegal syscall: %s (%s, v%u/%llu#%zu)", err_text(err),
                                err_name(err), vat->id.n, (unsigned long long)log->row.d, at);
    vat_end(k, vat, ERR_VAT_ILLEGAL, reason, log_cause(vat, log));
}

static const msg_exit_t *exit_of(const kernel_t *k)
{
    for (size_t i = k->call_count; i > 0; i--) /* as in SwingSet, the last one counts */
        if (k->calls[i - 1].tag == TAG_exit) return &k->calls[i - 1].body.exit;
    return NULL;
}

static blob_t *exit_reason(const msg_exit_t *call)
{
    bin_t body = call->info.body;
    const void *at = body.at;
    return text_blob(text_cut((text_t){at, body.len}, TEXT_BYTES_MAX - 8));
}

static void end_exit(kernel_t *k, kvat_t *vat, const msg_exit_t *call, cause_t cause)
{
    AUTO(value) value = value_of(&call->info);
    vat_end_with(k, vat, ERR_VAT_EXIT, exit_reason(call), call->failure, value, cause);
}

static void apply_crank(kernel_t *k, kvat_t *vat, const msg_result_t *msg)
{
    log_t *log = vat->log;
    cause_t cause = log_cause(vat, log);
    bool upgraded = log->kind == ENTRY_UPGRADE;
    if (upgraded) upgrade_apply(k, vat, log, cause);
    const msg_exit_t *exit = apply_calls(k, vat, log);
    console(k, vat, log, msg->console);
    event_done(k, vat, log, msg, k->call_count);
    bool started = vat->row.state == VAT_STARTING;
    log_applied(k, vat, msg, LOG_OK);

    if (upgraded) upgrade_done(k, vat, cause);
    if (exit) {
        end_exit(k, vat, exit, cause);
        return;
    }
    if (started) {
        vat->row.state = VAT_RUNNING;
        k->hosts_check = true; /* now it may move */
        event_life(k, "vat-start", vat, NULL, (text_t){0});
        if (vat->cluster && vat->cluster->row.state == CLUSTER_STARTING)
            cluster_started(k, vat->cluster);
        pendings_vat_started(k, vat, cause);
    }
    if (!PLANTED(lost_wakeup)) vat_ready(k, vat);
    serial_next(k, vat->cluster);
}

static void crank(kernel_t *k, kvat_t *vat, const msg_result_t *msg)
{
    log_t *log = vat->log;
    size_t at = 0;
    err_t err = calls_decode(k, msg->calls);
    if (log->kind == ENTRY_UPGRADE) parameters_introduce(k, vat, log);
    if (!err) err = check_crank(k, vat, log, &at);
    check_clear(k);
    const msg_exit_t *exit = err ? NULL : exit_of(k);
    if (!err && !(exit && exit->failure)) {
        apply_crank(k, vat, msg);
        return;
    }
    crank_said(k, vat, log, msg);
    if (err) {
        end_illegal(k, vat, log, err, at);
    } else {
        if (!PLANTED(failed_exit_names_nothing)) apply_failed_exit(k, vat, exit, log);
        end_exit(k, vat, exit, log_cause(vat, log));
    }
}

static void failed(kernel_t *k, kvat_t *vat, const msg_result_t *msg)
{
    log_t *log = vat->log;
    const err_row_t *row = err_row((err_t)msg->outcome);
    bool known = (uint64_t)row->err == msg->outcome;
    crank_said(k, vat, log, msg);
    text_t why = msg->reason.len ? msg->reason : text_of(row->text);
    vat_end(k, vat, known ? row->err : ERR_OUTCOME_UNKNOWN, text_blob(why), log_cause(vat, log));
}

/* The upgrade in flight did not happen, and the vat goes on as it is: MSG says why. Its worker is of no
 * more use, a fresh one runs the log again and steps over this row. */
static void upgrade_undone(kernel_t *k, kvat_t *vat, const msg_result_t *msg)
{
    cause_t cause = log_cause(vat, vat->log);
    crank_said(k, vat, vat->log, msg);
    log_applied(k, vat, msg, PLANTED(failed_upgrade_runs_again) ? LOG_OK : LOG_FAILED);
    vat->row.run++; /* what the old worker still says is dropped */
    vat->attached = false;
    touch(k, &vat->head);
    upgrade_failed(k, vat, msg->reason, cause);
    if (vat->baggage && vat->row.state == VAT_RUNNING) {
        vat_quarantine(k, vat, ERR_HEAP_LOST,
                       "no heap of its checkpoint can be read, and it could not begin again");
        return;
    }
    vat_ready(k, vat);
    serial_next(k, vat->cluster);
}

/* A result of a row that is applied: only the newest can be compared without reading the store. */
static void repeated(kernel_t *k, kvat_t *vat, const msg_result_t *msg)
{
    if (msg->d != vat->row.applied) return;
    hash_t result = hash_result(msg->outcome, msg->calls, msg->store_digest);
    hash_t chain = hash_chain(msg->chain, msg->delivery_hash, result);
    if (hash_same(chain, vat->chain)) return;
    diverge(k, vat, msg->d, msg->outcome, msg->calls);
    vat_quarantine(k, vat, ERR_VAT_DIVERGED, "a repeated result differs from the one applied");
}

void on_result(kernel_t *k, host_t from, const msg_result_t *msg)
{
    kvat_t *vat = vat_speaker(k, from.n, msg->vat, msg->pgen, msg->run);
    if (!vat || msg->d == 0) return;
    if (msg->d > vat->row.applied + 1 && !PLANTED(gap_accepted)) return;
    if (msg->d <= vat->row.applied && !(PLANTED(result_applied_again) && vat->log)) {
        repeated(k, vat, msg);
        return;
    }
    if (!vat->log) return; /* a row that was never assigned */
    if (!hash_same(msg->delivery_hash, vat->log->hash) || !hash_same(msg->chain, vat->chain)) {
        vat_quarantine(k, vat, ERR_VAT_FORKED, "the worker ran another history than the log's");
        return;
    }
    if (msg->outcome && vat->log->kind == ENTRY_UPGRADE)
        upgrade_undone(k, vat, msg);
    else if (msg->outcome && !poison_result(k, vat, msg))
        failed(k, vat, msg);
    else if (!msg->outcome)
        crank(k, vat, msg);
    calls_clear(k);
    mentions_clear(k);
    checkpoint_applied(k, vat);
    if (vat->row.state == VAT_RUNNING) baggage_go(k, vat, true);
}

/* A worker died of a delivery. It may have been away since its host's last session: it was busy, and
 * could not attach again. It is the last one that spoke for its vat all the same, as `run` rises with
 * every ATTACH. What is not about the vat as it stands now gets it started anew, or forgotten. */
void on_lost(kernel_t *k, host_t from, const msg_lost_t *msg)
{
    kvat_t *vat = vat_find(k, msg->vat.n);
    if (!vat || !vat_alive(vat) || vat->row.host != from.n || vat->row.pgen != msg->pgen) {
        msg_vat_end_t end = {msg->vat, msg->inc, msg->pgen};
        send_host(k, from.n, TAG_vat_end, &end);
        return;
    }
    if (vat->row.state == VAT_QUARANTINED) return;
    if (msg->run != vat->row.run || msg->d != vat->row.applied + 1 || !vat->log) {
        if (!vat->attached) vat->asked = false;
        vat_push(k, vat);
        return;
    }

    const err_row_t *row = err_row((err_t)msg->error);
    bool known = (uint64_t)row->err == msg->error && msg->error != ERR_OK;
    err_t error = known ? row->err : ERR_VAT_CRASHED;
    text_t why = msg->reason.len ? msg->reason : text_of(err_text(error));
    if (vat->log->kind == ENTRY_UPGRADE) {
        msg_result_t result = {.d = msg->d, .outcome = (uint64_t)error, .reason = why};
        upgrade_undone(k, vat, &result);
        vat->asked = false;
        return;
    }
    if (!poison_lost(k, vat, error, why))
        vat_end(k, vat, error, text_blob(why), log_cause(vat, vat->log));
}
