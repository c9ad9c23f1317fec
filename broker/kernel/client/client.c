/* Requests of clients: call, await, quiet, kill, restart. */
#include <stdlib.h>

#include "broker/kernel/client/own.h"
#include "broker/kernel/crank/crank.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/host/host.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"

/* ---- await ---- */

static void answer(kernel_t *k, const promise_t *promise, uint32_t client, id128_t request)
{
    msg_settled_t msg = {request, kref_of(promise->row.kref),
                         promise->row.state == PROMISE_REJECTED, value_data(promise->value)};
    reply(k, client, TAG_settled, &msg);
}

static void on_release(kernel_t *k, uint32_t client, const msg_release_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    if (msg->cluster.n && !cluster_asked(k, client, msg->request, msg->cluster)) return;
    for (hold_t *hold = k->settled_head, *next; hold; hold = next) {
        next = hold->next;
        if (hold->row.shown && (!msg->cluster.n || hold->row.cluster == msg->cluster.n))
            hold_drop(k, hold);
    }
    reply_done(k, client, msg->request);
}

void client_settled(kernel_t *k, promise_t *promise)
{
    hold_settled(k, promise);
    if (!promise->waiters) return;

    while (promise->waiters) {
        waiter_t *waiter = promise->waiters;
        promise->waiters = waiter->next;
        answer(k, promise, waiter->client, waiter->request);
        free(waiter);
    }
    map_remove(&k->waited, promise->row.kref);
    hold_answered(k, promise);
}

static waiter_t *waiter_new(uint32_t client, id128_t request)
{
    waiter_t *self = take(sizeof *self);
    self->client = client;
    self->request = request;
    return self;
}

static void waiter_append(waiter_t **at, waiter_t *waiter)
{
    while (*at) at = &(*at)->next;
    *at = waiter;
}

static void on_await(kernel_t *k, uint32_t client, const msg_await_t *msg)
{
    promise_t *promise = promise_find(k, msg->promise);
    if (!promise) {
        reply_failed(k, client, msg->request, false, ERR_REF_UNKNOWN, err_text(ERR_REF_UNKNOWN),
                     "");
        return;
    }
    if (promise->row.state != PROMISE_UNRESOLVED) {
        answer(k, promise, client, msg->request);
        hold_answered(k, promise);
        return;
    }
    waiter_append(&promise->waiters, waiter_new(client, msg->request));
    map_put(&k->waited, promise->row.kref, promise);
}

/* ---- quiet ---- */

/* What may make an idle cluster busy again: timers, what the agent has not answered, and what others
 * do: it may have launched them, and wait. */
static uint64_t owed(const kernel_t *k, const kcluster_t *cluster)
{
    return cluster->timer_count + cluster->errand_count + k->busy;
}

static void idle(kernel_t *k, const waiter_t *waiter, const kcluster_t *cluster)
{
    msg_idle_t msg = {.request = waiter->request,
                      .messages = k->counters[COUNTER_messages].value,
                      .cranks = k->counters[COUNTER_cranks].value};
    if (cluster) {
        msg.messages = cluster->row.messages;
        msg.cranks = cluster->row.cranks;
        msg.bootstrap = kref_of(cluster->row.result);
        msg.owed = owed(k, cluster);
    }
    const promise_t *promise = promise_find(k, msg.bootstrap);
    if (promise) {
        const kvat_t *decider = vat_find(k, promise->row.decider);
        msg.state = promise->row.state;
        msg.decider = (vat_t){(uint32_t)promise->row.decider};
        if (decider) msg.decider_name = decider->row.name;
    }
    reply(k, waiter->client, TAG_idle, &msg);
}

/* Has what this QUIET asked for come? Then answers it. */
static bool quiet_answer(kernel_t *k, const waiter_t *waiter)
{
    const kcluster_t *cluster = waiter->cluster ? cluster_find(k, waiter->cluster) : NULL;
    if (waiter->cluster && !cluster) {
        reply_failed(k, waiter->client, waiter->request, false, ERR_CLUSTER_UNKNOWN,
                     err_text(ERR_CLUSTER_UNKNOWN), "");
        return true;
    }
    if (cluster ? cluster->busy : k->busy) return false;
    idle(k, waiter, cluster);
    return true;
}

/* Runs at the end of a step in which something became idle. */
void client_idle(kernel_t *k)
{
    for (waiter_t **at = &k->quiets; *at;) {
        waiter_t *waiter = *at;
        if (!quiet_answer(k, waiter)) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        free(waiter);
    }
}

static void on_quiet(kernel_t *k, uint32_t client, const msg_quiet_t *msg)
{
    waiter_t *waiter = waiter_new(client, msg->request);
    waiter->cluster = msg->cluster.n;
    waiter_append(&k->quiets, waiter);
    k->idle_check = true;
}

static void waiters_without(waiter_t **at, uint32_t client)
{
    while (*at) {
        waiter_t *waiter = *at;
        if (waiter->client != client) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        free(waiter);
    }
}

void on_client_gone(kernel_t *k, uint32_t client)
{
    waiters_without(&k->quiets, client);
    audits_without(k, client);
    size_t count;
    uint64_t *krefs = map_sorted(&k->waited, &count);
    for (size_t i = 0; i < count; i++) {
        promise_t *promise = map_get(&k->waited, krefs[i]);
        waiters_without(&promise->waiters, client);
        if (!promise->waiters) map_remove(&k->waited, krefs[i]);
    }
    free(krefs);
    for (size_t i = 0; i < k->clusters.room; i++) {
        kcluster_t *cluster = map_cell(&k->clusters, i);
        if (cluster && cluster->client == client) cluster->client = 0;
    }
}

/* ---- call ---- */

/* The cluster that a client's result belongs to: that of the target, which exists, as far as it has one. */
static uint64_t cluster_of(const kernel_t *k, kref_t target)
{
    const object_t *object = object_find(k, target);
    const promise_t *promise = promise_find(k, target);
    if (promise && promise->hold) return promise->hold->row.cluster;
    uint64_t n = object ? object->row.owner : promise->row.decider;
    if (!n) n = kref_issuer(target).n;
    const kvat_t *vat = vat_find(k, n);
    return vat && vat->cluster ? vat->cluster->row.cluster : 0;
}

static err_t check_call(const kernel_t *k, const msg_call_t *msg)
{
    if (kref_none(msg->target) || !kref_sendable(k, msg->target)) return ERR_REF_UNKNOWN;
    for (size_t i = 0; i < msg->methargs.slots.count; i++)
        if (!kref_sendable(k, msg->methargs.slots.at[i])) return ERR_REF_UNKNOWN;
    return smallcaps_check(&msg->methargs, SHAPE_METHARGS);
}

static void on_call(kernel_t *k, uint32_t client, const msg_call_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    err_t err = check_call(k, msg);
    if (err) {
        reply_failed(k, client, msg->request, true, err, err_text(err), "");
        return;
    }
    kref_t result = {0};
    if (!msg->no_result) {
        result = kref_promise((vat_t){0}, count_up(k, COUNTER_next_promise));
        promise_t *promise = promise_new(k, result);
        promise->hold = hold_new(k, result, cluster_of(k, msg->target));
    }
    AUTO(value) value = value_of(&msg->methargs);
    entry_t *entry = entry_new(k, ENTRY_MESSAGE, msg->target, result, value, cause_input(k));
    event_send(k, NULL, 0, entry);
    queue_push(&k->work, entry);
    msg_sent_t sent = {msg->request, result};
    reply_recorded(k, client, msg->request, TAG_sent, &sent);
}

/* ---- kill, restart ---- */

static void on_kill(kernel_t *k, uint32_t client, const msg_kill_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    kvat_t *vat = vat_asked(k, client, msg->request, msg->vat);
    if (!vat) return;
    text_t why = msg->reason.len ? msg->reason : text_of(err_text(ERR_VAT_KILLED));
    vat_end(k, vat, ERR_VAT_KILLED, text_blob(why), cause_input(k));
    reply_done(k, client, msg->request);
}

static void on_restart(kernel_t *k, uint32_t client, const msg_restart_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    kvat_t *vat = vat_asked(k, client, msg->request, msg->vat);
    if (!vat) return;
    if (vat->row.state == VAT_QUARANTINED) {
        reply_failed(k, client, msg->request, true, ERR_VAT_DIVERGED, err_text(ERR_VAT_DIVERGED),
                     "");
        return;
    }
    vat->row.run++; /* what the old worker still says is dropped */
    touch(k, &vat->head);
    if (vat->attached || vat->asked) {
        msg_vat_restart_t restart = {vat->id, vat->row.inc, vat->row.pgen};
        send_host(k, vat->row.host, TAG_vat_restart, &restart);
    } else {
        vat->renew = true;
    }
    vat->attached = false;
    vat_push(k, vat);
    reply_done(k, client, msg->request);
}

static void on_shutdown(kernel_t *k, uint32_t client, const msg_shutdown_t *msg)
{
    msg_done_t answer_msg = {msg->request};
    reply(k, client, TAG_done, &answer_msg);
    effect_add(k, EFFECT_STOP, 0);
}

/* WATCH, bundles and the handshake are the shell's. */
void on_client(kernel_t *k, uint32_t client, const msg_t *msg)
{
    switch (msg->tag) {
    case TAG_launch: on_launch(k, client, &msg->body.launch); return;
    case TAG_call: on_call(k, client, &msg->body.call); return;
    case TAG_await: on_await(k, client, &msg->body.await); return;
    case TAG_quiet: on_quiet(k, client, &msg->body.quiet); return;
    case TAG_kill: on_kill(k, client, &msg->body.kill); return;
    case TAG_restart: on_restart(k, client, &msg->body.restart); return;
    case TAG_upgrade: on_upgrade(k, client, &msg->body.upgrade); return;
    case TAG_release: on_release(k, client, &msg->body.release); return;
    case TAG_reap: on_reap(k, client, &msg->body.reap); return;
    case TAG_cluster_rm: on_cluster_rm(k, client, &msg->body.cluster_rm); return;
    case TAG_cluster_reload: on_cluster_reload(k, client, &msg->body.cluster_reload); return;
    case TAG_pin: on_pin(k, client, &msg->body.pin); return;
    case TAG_revoke: on_revoke(k, client, &msg->body.revoke); return;
    case TAG_shutdown: on_shutdown(k, client, &msg->body.shutdown); return;
    case TAG_audit: on_audit(k, client, &msg->body.audit); return;
    case TAG_move: on_move(k, client, &msg->body.move); return;
    case TAG_host_change: on_host_change(k, client, &msg->body.host_change); return;
    case TAG_checkpoint_make: on_checkpoint_make(k, client, &msg->body.checkpoint_make); return;
    case TAG_backup: on_backup(k, client, &msg->body.backup); return;
    case TAG_log_get: on_log_get(k, client, &msg->body.log_get); return;
    case TAG_list: on_list(k, client, &msg->body.list); return;
    default: return;
    }
}
