/* Tells the history what a committed step was: the syscalls of the crank it applied, as the worker sent
 * them, and what the kernel says it did, as events and as rows of the log. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

static uint64_t body_hash(bin_t body)
{
    uint64_t x = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < body.len; i++) x = (x ^ body.at[i]) * UINT64_C(0x100000001b3);
    return x;
}

static cargo_view_t view(const capdata_t *data)
{
    return (cargo_view_t){data->slots.at, data->slots.count, body_hash(data->body)};
}

static message_id_t id_of(msgid_t msg) { return (message_id_t){msg.vat.n, msg.d, msg.n}; }

/* ---- the crank ---- */

static void tell_resolve(sim_t *self, uint32_t vat, uint64_t d, const resolutions_t *batch)
{
    kref_t *promises = calloc(batch->count + 1, sizeof *promises);
    must(promises);
    for (size_t i = 0; i < batch->count; i++) {
        const resolution_t *one = &batch->at[i];
        kref_t single = {0};
        promises[i] = one->promise;
        if (one->rejected || !smallcaps_single_slot(&one->data, &single)) single = (kref_t){0};
        history_resolve(self->history, vat, d, one->promise, one->rejected, single,
                        view(&one->data));
    }
    history_resolved(self->history, vat, d, promises, batch->count);
    free(promises);
}

static void tell_refs(sim_t *self, uint32_t vat, uint64_t d, msg_tag_t tag, const krefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        switch (tag) {
        case TAG_drop_imports: history_drop_imports(self->history, vat, d, refs->at[i]); break;
        case TAG_retire_imports: history_retire_imports(self->history, vat, d, refs->at[i]); break;
        case TAG_retire_exports:
            history_retire_exports(self->history, vat, d, refs->at[i], false);
            break;
        default: history_retire_exports(self->history, vat, d, refs->at[i], true); break;
        }
    }
}

static void tell_call(sim_t *self, uint32_t vat, uint64_t d, uint64_t n, const msg_t *call)
{
    const msg_body_t *body = &call->body;
    switch (call->tag) {
    case TAG_send:
        history_send(self->history, (message_id_t){vat, d, n}, body->send.target, body->send.result,
                     view(&body->send.methargs));
        return;
    case TAG_subscribe: history_subscribe(self->history, vat, d, body->subscribe.promise); return;
    case TAG_resolve: tell_resolve(self, vat, d, &body->resolve.resolutions); return;
    case TAG_exit: history_mention(self->history, vat, d, view(&body->exit.info)); return;
    default: tell_refs(self, vat, d, call->tag, &body->drop_imports.refs); return;
    }
}

static uint64_t count_calls(bin_t rest)
{
    uint64_t n = 0;
    msg_t call;
    while (rest.len > 0 && msg_next(&rest, &call) == ERR_OK) {
        msg_clear(&call);
        n++;
    }
    return n;
}

static void tell_crank(sim_t *self, const msg_result_t *result)
{
    bin_t rest = result->calls;
    msg_t call;
    history_crank(self->history, result->vat.n, result->d);
    for (uint64_t n = 1; rest.len > 0; n++) {
        if (msg_next(&rest, &call))
            sim_fail(self, "L1", "a crank with unreadable syscalls is applied");
        tell_call(self, result->vat.n, result->d, n, &call);
        msg_clear(&call);
    }
    history_applied(self->history, result->vat.n, result->d);
    self->result->cranks++;
}

/* Did this step apply the crank of its RESULT? An exit that fails, and an illegal crank, are said to be
 * done with no syscalls. */
static bool applied(const pending_t *step, const msg_result_t *result)
{
    uint64_t calls = count_calls(result->calls);
    for (size_t i = 0; i < step->effects.count; i++) {
        msg_t msg;
        if (step->effects.items[i].kind != EFFECT_WATCH) continue;
        if (msg_decode(blob_bin(step->effects.items[i].frame), &msg)) continue;
        const msg_event_t *event = &msg.body.event;
        bool it = text_is(event->type, "done") && event->vat.n == result->vat.n &&
                  event->d == result->d && event->ok && event->syscalls == calls &&
                  !result->outcome;
        msg_clear(&msg);
        if (it) return true;
    }
    return false;
}

/* ---- what the kernel did ---- */

static void tell_notify(sim_t *self, uint32_t vat, uint64_t d, const resolutions_t *batch)
{
    history_told(self->history, vat, d);
    for (size_t i = 0; i < batch->count; i++)
        history_tell(self->history, vat, d, batch->at[i].promise, batch->at[i].rejected,
                     view(&batch->at[i].data));
}

static void tell_gc(sim_t *self, uint32_t vat, uint64_t d, msg_tag_t tag, const krefs_t *krefs)
{
    history_deliver_other(self->history, vat, d);
    if (!krefs->count) sim_fail(self, "K38", "v%u/%" PRIu64 " tells of nothing", vat, d);
    for (size_t i = 0; i < krefs->count; i++) {
        if (i && krefs->at[i].n <= krefs->at[i - 1].n)
            sim_fail(self, "K38", "v%u/%" PRIu64 " is not ascending", vat, d);
        switch (tag) {
        case TAG_deliver_drop_exports:
            history_drop_exports(self->history, vat, d, krefs->at[i]);
            break;
        case TAG_deliver_retire_exports:
            history_gc_exports(self->history, vat, d, krefs->at[i]);
            break;
        default: history_gc_imports(self->history, vat, d, krefs->at[i]); break;
        }
    }
}

static void on_deliver(sim_t *self, const msg_event_t *event)
{
    const row_t *row = rows_find(&self->rows, ROW_log, event->vat.n, event->d);
    msg_t msg;
    if (!row) { /* its vat ended in the same commit */
        history_never_seen(self->history, event->vat.n, event->d,
                           text_is(event->kind, "message") ? id_of(event->msg) : (message_id_t){0});
        return;
    }
    if (msg_decode(row->body.log.delivery, &msg))
        sim_fail(self, "codec", "a delivery cannot be read");
    const msg_body_t *body = &msg.body;
    uint32_t vat = event->vat.n;
    uint64_t d = event->d;
    switch (msg.tag) {
    case TAG_deliver_message: {
        const row_log_t *log = &row->body.log;
        message_id_t id = {(uint32_t)log->msg_vat, log->msg_d, log->msg_n};
        history_deliver_message(self->history, vat, d, id, body->deliver_message.target,
                                body->deliver_message.result,
                                view(&body->deliver_message.methargs));
        self->result->messages++;
        break;
    }
    case TAG_deliver_notify: tell_notify(self, vat, d, &body->deliver_notify.resolutions); break;
    case TAG_deliver_drop_exports:
    case TAG_deliver_retire_exports:
    case TAG_deliver_retire_imports:
        tell_gc(self, vat, d, msg.tag, &body->deliver_drop_exports.krefs);
        break;
    case TAG_deliver_start:
        history_deliver_start(self->history, vat, d, view(&body->deliver_start.parameters), false);
        break;
    case TAG_deliver_upgrade:
        history_deliver_start(self->history, vat, d, view(&body->deliver_upgrade.parameters), true);
        break;
    default: history_deliver_other(self->history, vat, d); break;
    }
    msg_clear(&msg);
}

/* Whom an adminNode terminates has ended with the same commit. */
static void check_terminated(sim_t *self, const msg_event_t *event)
{
    const row_t *node = rows_find(&self->rows, ROW_service, event->target.n, 0);
    if (!node || !text_is(event->method, "terminateWithFailure") ||
        !text_is(event->kind, "adminNode"))
        return;
    const row_vat_t *vat = vat_row(self, (unsigned)node->body.service.vat);
    if (vat && vat->state < 2)
        sim_fail(self, "L4", "v%" PRIu64 " is terminated and lives", vat->vat);
}

static void on_event(sim_t *self, const msg_event_t *event)
{
    if (text_is(event->type, "resolve")) {
        covered_settled(self, event);
        clocks_settled(self->clocks, event);
    }
    if (text_is(event->type, "deliver")) {
        on_deliver(self, event);
    } else if (text_is(event->type, "resolve") && !event->rejected && event->vat.n == 0) {
        kref_t single = {0};
        if (!smallcaps_single_slot(&event->data, &single)) single = (kref_t){0};
        history_fulfilled(self->history, event->promise, single, view(&event->data));
    } else if (text_is(event->type, "resolve")) {
        history_settled(self->history, event->promise, event->rejected, view(&event->data));
    } else if (text_is(event->type, "service")) {
        history_served(self->history, id_of(event->msg), event->target);
        covered_asked(self, event);
        check_terminated(self, event);
        clocks_asked(self->clocks, event);
    } else if (text_is(event->type, "send") && event->from.n == 0) {
        history_send(self->history, id_of(event->msg), event->target, event->promise,
                     view(&event->data));
        clocks_sent(self->clocks, event);
    } else if (text_is(event->type, "done") && !event->ok) {
        /* An upgrade that failed, or a delivery that was given up: its row is stepped over. */
        const row_t *row = rows_find(&self->rows, ROW_log, event->vat.n, event->d);
        if (row && row->body.log.outcome == 2) {
            history_given_up(self->history, event->vat.n, event->d);
            history_applied(self->history, event->vat.n, event->d);
        }
    } else if (text_is(event->type, "vat-exit")) {
        self->over[event->vat.n] = true;
        history_ended(self->history, event->vat.n);
    }
}

static void log_delivery(sim_t *self, const msg_event_t *event)
{
    const row_t *row = rows_find(&self->rows, ROW_log, event->vat.n, event->d);
    buf_t line = buf_of(1 << 20);
    msg_t msg;
    if (!row || msg_decode(row->body.log.delivery, &msg)) return;
    if (msg_print(msg.tag, &msg.body, &line) == ERR_OK)
        sim_log(self, "    v%u/%" PRIu64 " for v%u/%" PRIu64 "#%u: %.*s", event->vat.n, event->d,
                event->msg.vat.n, event->msg.d, event->msg.n, (int)line.len, (const char *)line.at);
    buf_clear(&line);
    msg_clear(&msg);
}

static void log_event(sim_t *self, const msg_t *msg)
{
    const msg_event_t *event = &msg->body.event;
    char promise[KREF_TEXT_MAX];
    if (!self->options->verbose || text_is(event->type, "done") || text_is(event->type, "console"))
        return;
    if (text_is(event->type, "send") && event->from.n) return;
    if (text_is(event->type, "deliver"))
        log_delivery(self, event);
    else if (text_is(event->type, "resolve"))
        sim_log(self, "    %s is %s: %.*s", kref_text(event->promise, promise),
                event->rejected ? "rejected" : "fulfilled", (int)event->data.body.len,
                (const char *)event->data.body.at);
    else
        sim_log(self, "    %.*s %.*s v%u", (int)event->type.len, event->type.at,
                (int)event->text.len, event->text.at, event->vat.n);
}

/* Vats that this commit made. */
void told_vats(sim_t *self)
{
    for (unsigned v = 1; v <= self->top; v++) {
        if (!self->touched[v] || self->made[v] || !vat_row(self, v)) continue;
        self->made[v] = true;
        history_vat(self->history, v);
    }
}

void told_step(sim_t *self, const pending_t *step)
{
    msg_t msg;
    clocks_step(self->clocks);
    if (step->frame && msg_peek(blob_bin(step->frame)) == TAG_revoke &&
        msg_decode(blob_bin(step->frame), &msg) == ERR_OK) {
        const row_t *object = rows_find(&self->rows, ROW_object, msg.body.revoke.kref.n, 0);
        if (object && object->body.object.revoked)
            history_revoked(self->history, msg.body.revoke.kref);
        msg_clear(&msg);
    }
    if (step->frame && msg_peek(blob_bin(step->frame)) == TAG_result) {
        if (msg_decode(blob_bin(step->frame), &msg)) return;
        if (applied(step, &msg.body.result)) {
            if (step->illegal)
                sim_fail(self, "L1", "an illegal crank of v%u is applied", step->illegal);
            tell_crank(self, &msg.body.result);
        }
        msg_clear(&msg);
    }
    for (size_t i = 0; i < step->effects.count; i++) {
        if (step->effects.items[i].kind != EFFECT_WATCH) continue;
        if (msg_decode(blob_bin(step->effects.items[i].frame), &msg))
            sim_fail(self, "codec", "an event cannot be read");
        log_event(self, &msg);
        if (msg.tag == TAG_event) on_event(self, &msg.body.event);
        msg_clear(&msg);
    }
}
