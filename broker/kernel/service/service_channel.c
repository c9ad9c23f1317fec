/* IO channels: a cluster's ways out, with read() and write(data). The agent has them open as long as the
 * cluster runs; so long each is pinned. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"

enum { WAY_IN = 1, WAY_OUT = 2 }; /* bits of a channel's direction, which is its service's number */

/* The name by which errors speak of it: io:s1:repl. */
char *channel_text(const service_t *service, char out[CHANNEL_TEXT_MAX])
{
    text_t name = service ? service->row.text : (text_t){0};
    snprintf(out, CHANNEL_TEXT_MAX, "io:s%llu:%.*s",
             (unsigned long long)(service ? service->row.cluster : 0), (int)name.len,
             name.len ? name.at : "");
    return out;
}

/* ---- messages ---- */

static bool closed(call_t *call)
{
    char name[CHANNEL_TEXT_MAX];
    if (cluster_find(call->k, call->service->row.cluster)) return false;
    call_fail(call, "IO channel \"%s\" is closed", channel_text(call->service, name));
    return true;
}

static void read_unit(call_t *call)
{
    char name[CHANNEL_TEXT_MAX];
    if (!(call->service->row.number & WAY_IN))
        call_fail(call, "IO channel \"%s\" is write-only", channel_text(call->service, name));
    else if (!closed(call))
        errand_new(call, ERRAND_READ, true);
}

static void write_unit(call_t *call)
{
    char name[CHANNEL_TEXT_MAX];
    if (!(call->service->row.number & WAY_OUT))
        call_fail(call, "IO channel \"%s\" is read-only", channel_text(call->service, name));
    else if (node_kind(node_item(call->args, 0)) != NODE_TEXT)
        call_fail(call, "IO channel \"%s\": what is written is a string",
                  channel_text(call->service, name));
    else if (!closed(call))
        errand_new(call, ERRAND_WRITE, false);
}

const method_t channel_methods[] = {{"read", read_unit}, {"write", write_unit}, {NULL, NULL}};

/* ---- open and closed ---- */

static void add_channel(kernel_t *k, kcluster_t *cluster, service_t *service)
{
    cluster->channels = grown(cluster->channels, &cluster->channel_room, cluster->channel_count + 1,
                              sizeof(service_t *));
    cluster->channels[cluster->channel_count++] = service;
    k->channel_count++;
}

/* Tells the agent of all channels of CLUSTER: they stand in the order of its LAUNCH. */
static void tell(kernel_t *k, const kcluster_t *cluster)
{
    msg_t launch;
    must(msg_decode(blob_bin(cluster->config->launch), &launch) == ERR_OK);
    bin_t rest = launch.body.launch.channels;
    for (size_t i = 0; i < cluster->channel_count; i++) {
        msg_t row;
        must(msg_next(&rest, &row) == ERR_OK);
        const msg_launch_channel_t *channel = &row.body.launch_channel;
        char name[2 * NAME_BYTES_MAX + 2];
        int len = snprintf(name, sizeof name, "%.*s:%.*s", (int)cluster->row.name.len,
                           cluster->row.name.at, (int)channel->name.len, channel->name.at);
        msg_agent_open_t msg = {.channel = cluster->channels[i]->row.kref,
                                .name = text_cut((text_t){name, (size_t)len}, NAME_BYTES_MAX),
                                .type = channel->type,
                                .place = channel->place,
                                .direction = channel->direction,
                                .unit = channel->unit};
        agent_send(k, TAG_agent_open, &msg);
        msg_clear(&row);
    }
    msg_clear(&launch);
}

/* Makes the channels of CLUSTER, which is about to run. */
void channels_open(kernel_t *k, kcluster_t *cluster)
{
    msg_t launch;
    must(msg_decode(blob_bin(cluster->config->launch), &launch) == ERR_OK);
    bin_t rest = launch.body.launch.channels;
    while (rest.len > 0) {
        msg_t row;
        must(msg_next(&rest, &row) == ERR_OK); /* it was checked at the launch */
        const msg_launch_channel_t *channel = &row.body.launch_channel;
        service_t *service = service_new(k, SERVICE_channel, cluster, NULL, channel->name);
        service->row.number = channel->direction;
        object_pin(k, object_find(k, service_kref(service)));
        add_channel(k, cluster, service);
        msg_clear(&row);
    }
    msg_clear(&launch);
    if (!cluster->channel_count) return;
    agent_want(k);
    if (k->agent == AGENT_HERE) tell(k, cluster);
}

/* CLUSTER ends. */
void channels_close(kernel_t *k, kcluster_t *cluster)
{
    errands_without_channels(k, cluster);
    for (size_t i = 0; i < cluster->channel_count; i++) {
        kref_t kref = service_kref(cluster->channels[i]);
        msg_agent_close_t msg = {kref.n};
        agent_send(k, TAG_agent_close, &msg);
        object_unpin(k, object_find(k, kref));
    }
    k->channel_count -= cluster->channel_count;
    cluster->channel_count = 0;
}

/* A fresh agent is there. */
void channels_tell(kernel_t *k)
{
    size_t count;
    uint64_t *clusters = map_sorted(&k->clusters, &count);
    for (size_t i = 0; i < count; i++) {
        const kcluster_t *cluster = cluster_find(k, clusters[i]);
        if (cluster->channel_count) tell(k, cluster);
    }
    free(clusters);
}

/* Links what was loaded: channels were made in the order of the LAUNCH, so by their numbers. */
void channels_loaded(kernel_t *k)
{
    size_t count;
    uint64_t *services = map_sorted(&k->services, &count);
    for (size_t i = 0; i < count; i++) {
        service_t *service = service_find(k, kref_of(services[i]));
        kcluster_t *cluster = cluster_find(k, service->row.cluster);
        if (service->row.kind == SERVICE_channel && cluster) add_channel(k, cluster, service);
    }
    free(services);
}
