/* kernelFacet: what a system cluster may ask of the kernel, with ocap-kernel's methods and words. Krefs
 * go in and out as text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"

/* Answers with the body in OUT, unless it did not fit, and frees it. What stands in a cluster's file may
 * be as deep as a body may, and is deeper here. */
static void answer_buffer(call_t *call, buf_t *out, err_t err)
{
    capdata_t data = {{out->at, out->len}, {NULL, 0}};
    if (!err) err = smallcaps_check(&data, SHAPE_ANY);
    AUTO(value) value = err ? NULL : value_of(&data);
    buf_clear(out);
    if (value)
        call_answer(call, value);
    else
        call_fail(call, "the answer is larger than a message can be");
}

/* Argument I, a text of at most ROOM - 1 bytes; else "". */
static text_t argument(const call_t *call, size_t i, char *out, size_t room)
{
    return node_copy(node_item(call->args, i), out, room);
}

/* ---- what is there ---- */

/* {"config":...,"id":"v1","subclusterId":"s1"}, of all vats that run. */
static err_t put_vats(buf_t *out, const kernel_t *k)
{
    size_t count, n = 0;
    uint64_t *vats = map_sorted(&k->vats, &count);
    err_t err = buf_text(out, "[");
    for (size_t i = 0; !err && i < count; i++) {
        const kvat_t *vat = vat_find(k, vats[i]);
        if (!vat_alive(vat) || !vat->cluster) continue;
        err = buf_text(out, n++ ? ",{\"config\":" : "{\"config\":");
        if (!err) err = config_vat(out, vat);
        if (!err)
            err = buf_print(out, ",\"id\":\"v%u\",\"subclusterId\":\"s%llu\"}", vat->id.n,
                            (unsigned long long)vat->cluster->row.cluster);
    }
    free(vats);
    return err ? err : buf_text(out, "]");
}

static err_t put_clusters(buf_t *out, const kernel_t *k)
{
    size_t count;
    uint64_t *clusters = map_sorted(&k->clusters, &count);
    err_t err = buf_text(out, "[");
    for (size_t i = 0; !err && i < count; i++) {
        if (i) err = buf_text(out, ",");
        if (!err) err = config_cluster(out, k, cluster_find(k, clusters[i]));
    }
    free(clusters);
    return err ? err : buf_text(out, "]");
}

static void get_status(call_t *call)
{
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    err_t err = buf_text(&out, "#{\"remoteComms\":{\"state\":\"disconnected\"},\"subclusters\":");
    if (!err) err = put_clusters(&out, call->k);
    if (!err) err = buf_text(&out, ",\"vats\":");
    if (!err) err = put_vats(&out, call->k);
    if (!err) err = buf_text(&out, "}");
    answer_buffer(call, &out, err);
}

static void get_subclusters(call_t *call)
{
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    err_t err = buf_text(&out, "#");
    if (!err) err = put_clusters(&out, call->k);
    answer_buffer(call, &out, err);
}

/* The cluster that the first argument names, as "s2". */
static kcluster_t *named_cluster(const call_t *call)
{
    char text[32];
    uint32_t n;
    text_t id = argument(call, 0, text, sizeof text);
    return id_parse('s', id.at, id.len, &n) ? cluster_find(call->k, n) : NULL;
}

/* undefined, when there is none */
static void get_subcluster(call_t *call)
{
    const kcluster_t *cluster = named_cluster(call);
    if (!cluster) return;
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    err_t err = buf_text(&out, "#");
    if (!err) err = config_cluster(&out, call->k, cluster);
    answer_buffer(call, &out, err);
}

static void get_system_subcluster_root(call_t *call)
{
    char name[NAME_BYTES_MAX + 2], root[KREF_TEXT_MAX];
    text_t text = argument(call, 0, name, sizeof name);
    for (size_t i = 0; i < call->k->clusters.room; i++) {
        const kcluster_t *cluster = map_cell(&call->k->clusters, i);
        if (!cluster || !cluster->row.system || !text_same(cluster->row.name, text)) continue;
        kref_text(kref_root((vat_t){(uint32_t)cluster->row.bootstrap}), root);
        AUTO(value) value = value_print(call->k, NULL, 0, "#\"%s\"", root);
        call_answer(call, value);
        return;
    }
    call_fail(call, "System subcluster \"%s\" not found", name);
}

/* ---- krefs ---- */

/* What the first argument names, if somebody may send to it; else the call fails. */
static kref_t named_kref(call_t *call)
{
    char text[64];
    kref_t kref;
    text_t id = argument(call, 0, text, sizeof text);
    if (!kref_parse(id.at, id.len, &kref)) {
        call_fail(call, "not a valid KRef: \"%s\"", text);
        return (kref_t){0};
    }
    if (kref_sendable(call->k, kref)) return kref;
    call_fail(call, "[KERNEL:OBJECT_DELETED] there is no %s", text);
    return (kref_t){0};
}

/* TEXT as it stands inside a JSON string. */
static blob_t *inside_string(text_t text)
{
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    char word[300];
    /* The letter in front keeps it from being escaped as a whole. */
    int len = snprintf(word, sizeof word, "x%.*s", (int)text.len, text.at);
    must(len > 0 && (size_t)len < sizeof word);
    must(smallcaps_string(&out, (text_t){word, (size_t)len}) == ERR_OK);
    blob_t *blob = blob_new(out.at + 2, out.len - 3);
    buf_clear(&out);
    return blob;
}

static void get_presence(call_t *call)
{
    char text[256];
    kref_t kref = named_kref(call);
    if (kref_none(kref)) return;
    text_t iface = argument(call, 1, text, sizeof text);
    if (iface.len > 9 && memcmp(iface.at, "Alleged: ", 9) == 0)
        iface = (text_t){iface.at + 9, iface.len - 9};
    if (!iface.len) iface = text_of("Kernel Object");
    if (kref_is_promise(kref)) {
        /* A promise cannot be all there is of an answer. */
        call_fail(call, "a promise has no presence");
        return;
    }
    AUTO(blob) name = inside_string(iface);
    AUTO(value)
    value = value_print(call->k, &kref, 1, "#\"$0.Alleged: %.*s\"", (int)blob_text(name).len,
                        blob_text(name).at);
    call_answer(call, value);
}

static void send(call_t *call, kref_t target, kref_t result, value_t *methargs)
{
    entry_t *entry = entry_new(call->k, ENTRY_MESSAGE, target, result, methargs, call_cause(call));
    event_send(call->k, NULL, 0, entry);
    queue_push(&call->k->work, entry);
}

static void send_body(call_t *call, kref_t target, const buf_t *body, const krefs_t *slots)
{
    AUTO(value) methargs = value_new((bin_t){body->at, body->len}, slots->at, slots->count);
    send(call, target, call_defer(call), methargs);
}

/* queueMessage(kref, method, args): the answer is that of the message. */
static void queue_message(call_t *call)
{
    node_t method = node_item(call->args, 1), args = node_item(call->args, 2);
    kref_t target = named_kref(call);
    if (kref_none(target)) return;
    node_kind_t kind = node_kind(method);
    if ((kind != NODE_TEXT && kind != NODE_SYMBOL) || node_kind(args) != NODE_ARRAY) {
        call_fail(call, "queueMessage(target, method, args): a kref, a method's name and an array");
        return;
    }
    AUTO(value) cut = value_cut(call->k, args);
    capdata_t data = value_data(cut);
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    err_t err = buf_text(&out, "#[");
    if (!err) err = buf_add(&out, method.at, (size_t)(method.end - method.at));
    if (!err) err = buf_text(&out, ",");
    if (!err) err = buf_add(&out, data.body.at + 1, data.body.len - 1);
    if (!err) err = buf_text(&out, "]");
    if (err)
        call_fail(call, "the message is larger than a message can be");
    else
        send_body(call, target, &out, &data.slots);
    buf_clear(&out);
}

static void ping(call_t *call) { call_fulfil(call, "#\"pong\""); }

/* pingVat("v3"): 'pong' when the vat has answered a message to its root. */
static void ping_vat(call_t *call)
{
    kernel_t *k = call->k;
    char text[32];
    uint32_t n;
    text_t id = argument(call, 0, text, sizeof text);
    const kvat_t *vat = id_parse('v', id.at, id.len, &n) ? vat_find(k, n) : NULL;
    if (!vat || !vat_alive(vat)) {
        call_fail(call, "Vat does not exist.");
        return;
    }
    kref_t root = kref_root(vat->id);
    if (!kref_sendable(k, root)) {
        /* Nobody holds its root any more: there is nothing that could be asked. */
        ping(call);
        return;
    }
    kref_t result = call_defer(call);
    if (kref_none(result)) return;
    kref_t answer = kref_promise((vat_t){0}, count_up(k, COUNTER_next_promise));
    promise_new(k, answer);
    AUTO(value) methargs = value_print(k, NULL, 0, "#[\"__getMethodNames__\",[]]");
    send(call, root, answer, methargs);
    pending_new(k, PENDING_PING, result, NULL, answer);
}

/* ---- subclusters ---- */

static void terminate_subcluster(call_t *call)
{
    kcluster_t *cluster = named_cluster(call);
    if (cluster)
        cluster_end(call->k, cluster, call_cause(call));
    else
        call_fail(call, "Subcluster does not exist.");
}

/* All clusters go, that of the caller among them. */
static void reset(call_t *call)
{
    size_t count;
    uint64_t *clusters = map_sorted(&call->k->clusters, &count);
    for (size_t i = 0; i < count; i++) {
        kcluster_t *cluster = cluster_find(call->k, clusters[i]);
        if (cluster) cluster_end(call->k, cluster, call_cause(call));
    }
    free(clusters);
}

/* The answer that is owed for the launch of CLUSTER. */
static pending_t *launch_of(const kernel_t *k, const kcluster_t *cluster)
{
    for (size_t i = 0; i < k->pendings.room; i++) {
        pending_t *pending = map_cell(&k->pendings, i);
        if (pending && pending->row.kind == PENDING_LAUNCH &&
            pending->row.cluster == cluster->row.cluster)
            return pending;
    }
    return NULL;
}

static void launch_subcluster(call_t *call)
{
    kernel_t *k = call->k;
    char why[1024], name[NAME_BYTES_MAX + 1];
    launch_parts_t parts;
    const kcluster_t *own = cluster_find(k, call->service->row.cluster), *made = NULL;
    if (config_read(call, node_item(call->args, 0), &parts, why, sizeof why)) {
        text_t of = own ? text_cut(own->row.name, NAME_BYTES_MAX - 24) : text_of("cluster");
        snprintf(name, sizeof name, "%.*s.%llu", (int)of.len, of.at,
                 (unsigned long long)k->counters[COUNTER_next_cluster].value + 1);
        const void *services = parts.services.at;
        msg_launch_t msg = {.name = text_of(name),
                            .bootstrap = parts.bootstrap,
                            .vats = {parts.vats.at, parts.vats.len},
                            .services = {services, parts.services.len},
                            .bundles = {parts.bundles.at, parts.bundles.len},
                            .channels = {parts.channels.at, parts.channels.len}};
        made = cluster_launch(k, &msg, why, sizeof why);
    }
    launch_parts_clear(&parts);
    if (!made) {
        call_fail(call, "%s", why);
        return;
    }
    kref_t result = call_defer(call);
    if (kref_none(result)) { /* nobody waits, but the row says that it was a vat that launched it */
        result = kref_promise((vat_t){0}, count_up(k, COUNTER_next_promise));
        promise_new(k, result);
    }
    pending_t *pending = pending_new(k, PENDING_LAUNCH, result, NULL, (kref_t){0});
    pending->row.cluster = made->row.cluster;
}

/* All vats of CLUSTER run, and BOOTSTRAP is the promise of what its bootstrap() returns. */
void facet_started(kernel_t *k, const kcluster_t *cluster, kref_t bootstrap)
{
    pending_t *pending = cluster->request ? NULL : launch_of(k, cluster);
    if (pending) pending_watch(k, pending, bootstrap);
}

/* CLUSTER will not start: VAT ended, or (NULL) it was removed. */
void facet_failed(kernel_t *k, const kcluster_t *cluster, const kvat_t *vat)
{
    char text[TEXT_BYTES_MAX / 2] = "the cluster was removed while it started";
    pending_t *pending = launch_of(k, cluster);
    if (!pending) return;
    if (vat) {
        text_t name = text_cut(vat->row.name, 200), reason = text_cut(vat->row.reason, 1024);
        snprintf(text, sizeof text, "Failed to launch vat v%u (%.*s): %.*s", vat->id.n,
                 (int)name.len, name.at, (int)reason.len, reason.at);
    }
    AUTO(value) why = value_failed(k, text_of(text));
    pending_settle(k, pending, true, why, cause_input(k));
}

/* {bootstrapResult: {body, slots}, rootKref, subclusterId} */
static value_t *launch_result(const kcluster_t *cluster, const value_t *result)
{
    buf_t out = buf_of(CAPDATA_BYTES_MAX);
    capdata_t data = value_data(result);
    const void *body = data.body.at;
    char kref[KREF_TEXT_MAX];
    err_t err = buf_text(&out, "#{\"bootstrapResult\":{\"body\":");
    if (!err) err = smallcaps_string(&out, (text_t){body, data.body.len});
    if (!err) err = buf_text(&out, ",\"slots\":[");
    for (size_t i = 0; !err && i < data.slots.count; i++)
        err = buf_print(&out, "%s\"%s\"", i ? "," : "", kref_text(data.slots.at[i], kref));
    if (!err)
        err = buf_print(&out, "]},\"rootKref\":\"%s\",\"subclusterId\":\"s%llu\"}",
                        kref_text(kref_root((vat_t){(uint32_t)cluster->row.bootstrap}), kref),
                        (unsigned long long)cluster->row.cluster);
    value_t *value = err ? NULL : value_new((bin_t){out.at, out.len}, NULL, 0);
    buf_clear(&out);
    return value;
}

/* bootstrap() of the cluster that PENDING is about has returned, or failed: then the cluster goes. */
void facet_launched(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause)
{
    kcluster_t *cluster = cluster_find(k, pending->row.cluster);
    capdata_t data = value_data(value);
    bool failed = rejected || !cluster || node_kind(node_root(&data)) == NODE_ERROR;
    AUTO(value) answer = failed ? value_ref(value) : launch_result(cluster, value);
    if (!answer) {
        failed = true;
        answer = value_failed(k, text_of("bootstrap's result is larger than a message can be"));
    }
    pending_settle(k, pending, failed, answer, cause);
    if (failed && cluster) cluster_doom(k, cluster);
}

const method_t facet_methods[] = {
    {"getPresence", get_presence},
    {"getStatus", get_status},
    {"getSubcluster", get_subcluster},
    {"getSubclusters", get_subclusters},
    {"getSystemSubclusterRoot", get_system_subcluster_root},
    {"launchSubcluster", launch_subcluster},
    {"ping", ping},
    {"pingVat", ping_vat},
    {"queueMessage", queue_message},
    {"reset", reset},
    {"terminateSubcluster", terminate_subcluster},
    {NULL, NULL},
};
