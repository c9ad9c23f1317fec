/* Answers that the kernel owes: a promise, and what it waits for. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* Puts PENDING into the list of what it waits for. */
void pending_link(kernel_t *k, pending_t *pending)
{
    promise_t *watched = promise_find(k, kref_of(pending->row.watched));
    kvat_t *vat = vat_find(k, pending->row.vat);
    pending_t **head = watched ? &watched->owed : vat ? &vat->owed : NULL;
    if (!head) return;
    pending->next = *head;
    pending->at = head;
    if (pending->next) pending->next->at = &pending->next;
    *head = pending;
}

static void unlink_it(pending_t *pending)
{
    if (!pending->at) return;
    *pending->at = pending->next;
    if (pending->next) pending->next->at = pending->at;
    pending->at = NULL;
    pending->next = NULL;
}

/* The kernel will settle PROMISE (of a PENDING_WAKE: is told when somebody did), when something
 * happens to VAT, or when WATCHED is settled; what is not meant is NULL or none. Both promises are counted. */
pending_t *pending_new(kernel_t *k, unsigned kind, kref_t promise, kvat_t *vat, kref_t watched)
{
    pending_t *self = take(sizeof *self);
    self->head.table = ROW_pending;
    self->row = (row_pending_t){.promise = promise.n,
                                .kind = kind,
                                .vat = vat ? vat->row.vat : 0,
                                .watched = watched.n};
    must(!map_get(&k->pendings, promise.n));
    map_put(&k->pendings, promise.n, self);
    ref_up(k, promise);
    if (!kref_none(watched)) ref_up(k, watched);
    pending_link(k, self);
    touch(k, &self->head);
    return self;
}

/* It is known now whose settlement answers it. */
void pending_watch(kernel_t *k, pending_t *pending, kref_t watched)
{
    must(!pending->at && !pending->row.watched);
    pending->row.watched = watched.n;
    ref_up(k, watched);
    pending_link(k, pending);
    touch(k, &pending->head);
}

void pending_free(pending_t *pending) { free(pending); }

/* Answers the client, if one asked. */
static void reply_client(kernel_t *k, const pending_t *pending, bool rejected, const value_t *value)
{
    if (!pending->has_request) return;
    if (!rejected) {
        msg_done_t done = {pending->request};
        reply_recorded(k, pending->client, pending->request, TAG_done, &done);
        return;
    }
    capdata_t data = value_data(value);
    char why[1024];
    node_copy(node_member(node_root(&data), "#error"), why, sizeof why);
    reply_failed(k, pending->client, pending->request, true, ERR_UPGRADE_FAILED,
                 err_text(ERR_UPGRADE_FAILED), why);
}

/* The answer has come: settles the promise with VALUE, whose count stays the caller's, and ends the
 * row. That of a PENDING_WAKE was settled by somebody else. */
void pending_settle(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause)
{
    kref_t promise = {pending->row.promise}, watched = {pending->row.watched};
    unlink_it(pending);
    map_remove(&k->pendings, promise.n);
    if (pending->row.kind != PENDING_WAKE)
        promise_settle(k, promise_find(k, promise), rejected, value, cause);
    reply_client(k, pending, rejected, value);
    ref_down(k, promise);
    if (!kref_none(watched)) ref_down(k, watched);
    bury(k, &pending->head);
    pending_free(pending);
}

/* ---- what is waited for ---- */

static void watched_settled(kernel_t *k, pending_t *pending, promise_t *promise, cause_t cause)
{
    bool rejected = promise->row.state == PROMISE_REJECTED;
    uint64_t number = pending->row.number;
    AUTO(value) value = value_ref(promise->value);
    switch (pending->row.kind) {
    case PENDING_WAKE:
        pending_settle(k, pending, rejected, value, cause);
        timer_woken(k, number, rejected);
        return;
    case PENDING_PING: {
        AUTO(value) pong = value_print(k, NULL, 0, "#\"pong\"");
        pending_settle(k, pending, rejected, rejected ? value : pong, cause);
        return;
    }
    case PENDING_LAUNCH: facet_launched(k, pending, rejected, value, cause); return;
    default: must(false && "nothing else watches a promise");
    }
}

/* PROMISE was settled: whoever watches it goes on. */
void pendings_settled(kernel_t *k, promise_t *promise, cause_t cause)
{
    while (promise->owed) watched_settled(k, promise->owed, promise, cause);
}

/* The first of KIND that waits for VAT, by its number: they answer in the order in which they were made. */
pending_t *pending_of_vat(const kvat_t *vat, unsigned kind)
{
    pending_t *first = NULL;
    for (pending_t *at = vat->owed; at; at = at->next)
        if (at->row.kind == kind && (!first || at->row.number < first->row.number)) first = at;
    return first;
}

/* VAT, made by a vat, runs. */
void pendings_vat_started(kernel_t *k, kvat_t *vat, cause_t cause)
{
    pending_t *pending = pending_of_vat(vat, PENDING_CREATE);
    if (!pending) return;
    const service_t *node = service_new(k, SERVICE_admin_node, vat->cluster, vat, (text_t){0});
    kref_t slots[] = {service_kref(node), kref_root(vat->id)};
    AUTO(value) value = value_print(
        k, slots, 2, "#{\"adminNode\":\"$0.Alleged: adminNode\",\"root\":\"$1.Alleged: vatRoot\"}");
    pending_settle(k, pending, false, value, cause);
}

/* VAT ended, with VALUE as its completion or, when REJECTED, its reason. */
void pendings_vat_ended(kernel_t *k, kvat_t *vat, bool rejected, value_t *value, cause_t cause)
{
    char text[TEXT_BYTES_MAX];
    bool again = false;
    while (vat->owed && !(again && PLANTED(one_end_is_told))) {
        pending_t *pending = vat->owed;
        again = true;
        if (pending->row.kind == PENDING_DONE) {
            pending_settle(k, pending, rejected, value, cause);
            continue;
        }
        bool creating = pending->row.kind == PENDING_CREATE;
        text_t reason = text_cut(vat->row.reason, 2048);
        if (creating)
            snprintf(text, sizeof text, "Vat Creation Error: %.*s", (int)reason.len, reason.at);
        else
            snprintf(text, sizeof text, "vat terminated");
        AUTO(value) why = value_failed(k, text_of(text));
        pending_settle(k, pending, true, why, cause);
    }
}
