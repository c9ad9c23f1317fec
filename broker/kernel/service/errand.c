/* What the agent does outside: one row per errand, from the moment a vat asks until the agent answers.
 *
 * The agent knows nothing that is not here. A fresh one is told of all IO channels and asked all errands
 * that are open, in the order of their numbers. What one that ended was doing nobody knows: errands that
 * may be done twice are asked again, the others are rejected. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

static const char *const what_text[] = {"read", "write", "fetch"};

void errand_free(errand_t *errand)
{
    blob_destroy(&errand->what);
    blob_destroy(&errand->body);
    free(errand);
}

/* ---- lists: a vat has its fetches, a cluster what was asked of its channels ---- */

static void errand_link(kernel_t *k, errand_t *errand)
{
    kcluster_t *cluster = cluster_find(k, errand->row.cluster);
    kvat_t *vat = vat_find(k, errand->row.vat);
    if (!cluster) return; /* the audit finds it */
    errand_t **head = vat ? &vat->errands : &cluster->errands;
    errand->next = *head;
    errand->at = head;
    if (errand->next) errand->next->at = &errand->next;
    *head = errand;
    cluster->errand_count++;
}

/* The errand is over: settles its result, if anybody waits for it. */
static void errand_end(kernel_t *k, errand_t *errand, bool rejected, value_t *value, cause_t cause)
{
    kcluster_t *cluster = cluster_find(k, errand->row.cluster);
    if (cluster) cluster->errand_count--;
    *errand->at = errand->next;
    if (errand->next) errand->next->at = errand->at;
    pending_t *pending = errand->pending;
    map_remove(&k->errands, errand->row.errand);
    bury(k, &errand->head);
    errand_free(errand);
    if (pending) pending_settle(k, pending, rejected, value, cause);
}

/* The numbers of a list of errands, ascending. The caller frees them. */
static uint64_t *numbers(const errand_t *first, size_t *ret_count)
{
    size_t count = 0;
    for (const errand_t *errand = first; errand; errand = errand->next) count++;
    uint64_t *all = take((count + 1) * sizeof *all);
    *ret_count = count;
    for (const errand_t *errand = first; errand; errand = errand->next)
        all[--count] = errand->row.errand;
    sort_numbers(all, *ret_count);
    return all;
}

/* ---- the agent ---- */

static bool wanted(const kernel_t *k) { return k->errands.count || k->channel_count; }

/* There is something for an agent to do. */
void agent_want(kernel_t *k)
{
    if (k->agent != AGENT_NONE || !wanted(k)) return;
    k->agent = AGENT_WANTED;
    effect_add(k, EFFECT_AGENT, 0);
}

/* To the agent that is there; one that is still to come hears of it when it comes. */
void agent_send(kernel_t *k, msg_tag_t tag, const void *body)
{
    if (k->agent != AGENT_HERE) return;
    blob_t *frame = frame_of(k, tag, body);
    effect_add(k, EFFECT_AGENT, 0)->frame = frame;
}

static void ask(kernel_t *k, errand_t *errand)
{
    const kvat_t *vat = vat_find(k, errand->row.vat);
    msg_agent_ask_t msg = {.errand = errand->row.errand,
                           .channel = errand->row.channel,
                           .what = errand->row.what,
                           .hosts = vat ? vat->row.hosts : (text_t){0},
                           .body = errand->row.body};
    if (k->agent == AGENT_HERE) errand->asked = true;
    agent_send(k, TAG_agent_ask, &msg);
}

static void fresh_agent(kernel_t *k)
{
    k->agent = AGENT_HERE;
    if (!PLANTED(channels_untold)) channels_tell(k);
    size_t count;
    uint64_t *all = map_sorted(&k->errands, &count);
    for (size_t i = 0; i < count && !PLANTED(errands_unasked); i++) ask(k, errand_find(k, all[i]));
    free(all);
}

/* Those that it was asked, and that may not be done twice, are over. */
static void lose_asked(kernel_t *k)
{
    size_t count;
    uint64_t *all = map_sorted(&k->errands, &count);
    for (size_t i = 0; i < count; i++) {
        errand_t *errand = errand_find(k, all[i]);
        bool lost = errand->asked && !errand->row.again && !PLANTED(errand_asked_again);
        errand->asked = false;
        if (!lost) continue;
        char text[160];
        snprintf(text, sizeof text,
                 "the agent was lost, which was asked to %.*s: that may or may not have been done",
                 (int)errand->row.what.len, errand->row.what.at);
        AUTO(value) why = value_error(k, "CONNECTION_LOST", text, (text_t){0});
        errand_end(k, errand, true, why, cause_input(k));
    }
    free(all);
}

void on_agent_gone(kernel_t *k)
{
    k->agent = AGENT_NONE;
    lose_asked(k);
    agent_want(k);
}

/* In the first step after a start: the agent went with the broker that had asked it. */
void agent_resume(kernel_t *k)
{
    if (!k->agent_lost) return;
    k->agent_lost = false;
    on_agent_gone(k);
}

static void told(kernel_t *k, errand_t *errand, const msg_agent_told_t *msg)
{
    capdata_t data = {msg->body, {0}};
    bool good = smallcaps_check(&data, SHAPE_ANY) == ERR_OK;
    AUTO(value)
    value = good ? value_of(&data)
                 : value_error(k, "DELIVERY_FAILED", "the agent's answer is not well-formed",
                               (text_t){0});
    errand_end(k, errand, msg->rejected || !good, value, cause_input(k));
}

/* MSG NULL: a fresh one. What is no errand any more is nobody's concern. */
void on_agent(kernel_t *k, const msg_t *msg)
{
    if (!msg) {
        fresh_agent(k);
        return;
    }
    errand_t *errand = errand_find(k, msg->body.agent_told.errand);
    if (msg->tag == TAG_agent_told && errand) told(k, errand, &msg->body.agent_told);
}

/* ---- what is asked ---- */

/* Is SERVICE of a vat or a cluster that is gone? Then says so. */
static bool too_late(call_t *call)
{
    const service_t *service = call->service;
    const kvat_t *vat = vat_find(call->k, service->row.vat);
    if (cluster_find(call->k, service->row.cluster) && (!vat || vat_alive(vat))) return false;
    call_fail(call, "[KERNEL:VAT_TERMINATED] vat terminated");
    return true;
}

/* The call becomes an errand of its service's vat or, if that has none, of its cluster; its result is
 * what the agent answers. AGAIN: asking twice does no harm. */
void errand_new(call_t *call, errand_what_t what, bool again)
{
    kernel_t *k = call->k;
    const service_t *service = call->service;
    if (too_late(call)) return;
    if (cluster_find(k, service->row.cluster)->errand_count >= ERRANDS_MAX) {
        call_fail(call, "%s: more than %d are open in this cluster", what_text[what], ERRANDS_MAX);
        return;
    }
    AUTO(value) arguments = value_cut(k, call->args);
    if (arguments->slot_count) {
        call_fail(call, "%s: objects and promises cannot go outside", what_text[what]);
        return;
    }
    errand_t *self = take(sizeof *self);
    self->head.table = ROW_errand;
    self->what = text_blob(text_of(what_text[what]));
    self->body = blob_new(value_data(arguments).body.at, value_data(arguments).body.len);
    self->row =
        (row_errand_t){.errand = count_up(k, COUNTER_next_errand),
                       .cluster = service->row.cluster,
                       .vat = service->row.vat,
                       .channel = service->row.kind == SERVICE_channel ? service->row.kref : 0,
                       .what = blob_text(self->what),
                       .again = again,
                       .body = blob_bin(self->body)};
    map_put(&k->errands, self->row.errand, self);
    touch(k, &self->head);
    errand_link(k, self);

    kref_t result = call_defer(call);
    if (!kref_none(result)) {
        self->pending = pending_new(k, PENDING_ERRAND, result, NULL, (kref_t){0});
        self->pending->row.number = self->row.errand;
    }
    agent_want(k);
    ask(k, self);
}

/* fetch(request): what only asks may be asked twice. */
void outside_fetch(call_t *call)
{
    node_t method = node_member(node_item(call->args, 0), "method");
    bool asks = node_absent(method) || node_is(method, "GET") || node_is(method, "HEAD");
    errand_new(call, ERRAND_FETCH, asks);
}

/* ---- ends ---- */

/* VAT ended: nobody is interested in what the agent still does for it. */
void errands_without_vat(kernel_t *k, const kvat_t *vat)
{
    size_t count;
    if (!vat->errands || PLANTED(errands_outlive_vat)) return;
    uint64_t *all = numbers(vat->errands, &count);
    AUTO(value) why = value_error(k, "VAT_TERMINATED", "vat terminated", (text_t){0});
    for (size_t i = 0; i < count; i++)
        errand_end(k, errand_find(k, all[i]), true, why, cause_input(k));
    free(all);
}

/* Its channels are closed: readers are at the end, writers are refused. */
void errands_without_channels(kernel_t *k, const kcluster_t *cluster)
{
    size_t count;
    if (!cluster->errands) return;
    uint64_t *all = numbers(cluster->errands, &count);
    for (size_t i = 0; i < count; i++) {
        errand_t *errand = errand_find(k, all[i]);
        char name[CHANNEL_TEXT_MAX], text[CHANNEL_TEXT_MAX + 64];
        bool read = text_is(errand->row.what, what_text[ERRAND_READ]);
        channel_text(service_find(k, kref_of(errand->row.channel)), name);
        snprintf(text, sizeof text, "IO channel \"%s\" is closed", name);
        AUTO(value)
        value = read ? value_print(k, NULL, 0, "#null") : value_failed(k, text_of(text));
        errand_end(k, errand, !read, value, cause_input(k));
    }
    free(all);
}

/* ---- start ---- */

/* Links what was loaded. */
void errands_loaded(kernel_t *k)
{
    for (size_t i = 0; i < k->errands.room; i++) {
        errand_t *errand = map_cell(&k->errands, i);
        if (!errand) continue;
        errand->asked = true; /* as far as anybody knows */
        errand_link(k, errand);
    }
    for (size_t i = 0; i < k->pendings.room; i++) {
        pending_t *pending = map_cell(&k->pendings, i);
        if (!pending || pending->row.kind != PENDING_ERRAND) continue;
        errand_t *errand = errand_find(k, pending->row.number);
        if (errand) errand->pending = pending;
    }
    channels_loaded(k);
    k->agent_lost = wanted(k) && !PLANTED(agent_loss_unnoticed);
}
