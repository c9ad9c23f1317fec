/* The end of a cluster: somebody removes it, a critical vat of it ended, or it did not start. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/own.h"

/* What clients hold of a cluster that is gone. When it was removed on request, nobody asks for it any
 * more; when it ended by itself, a client may be about to, and gets it as long as there is room. */
static void drop_holds(kernel_t *k, uint64_t cluster, bool asked)
{
    size_t count;
    uint64_t *krefs = map_sorted(&k->holds, &count);
    for (size_t i = 0; i < count; i++) {
        hold_t *hold = map_get(&k->holds, krefs[i]);
        if (hold->row.cluster != cluster) continue;
        if (asked) {
            hold_drop(k, hold);
            continue;
        }
        hold->row.cluster = 0;
        touch(k, &hold->head);
        promise_t *promise = promise_find(k, kref_of(krefs[i]));
        if (promise->row.state != PROMISE_UNRESOLVED) hold_settled(k, promise);
    }
    free(krefs);
}

/* A vat of a cluster that never started leaves nothing behind, not even its row, when it made so
 * little that this is done at once. One that used the time to make a million objects ends like any
 * other. */
bool vat_forgettable(const kvat_t *vat)
{
    enum { MADE_MAX = 256 };
    return vat->held.count <= MADE_MAX && vat->row.applied <= MADE_MAX &&
           vat->row.objects <= MADE_MAX && vat->row.promises <= MADE_MAX;
}

/* Ends all vats and forgets the cluster. It is out of the table first, so that the end of its vats
 * does not end it again. */
void cluster_remove(kernel_t *k, kcluster_t *cluster, bool forget, bool asked,
                           const char *why, cause_t cause)
{
    channels_close(k, cluster);
    map_remove(&k->clusters, cluster->row.cluster);
    for (size_t i = 0; i < cluster->vat_count; i++) cluster->vats[i]->cluster = NULL;
    for (size_t i = 0; i < cluster->vat_count; i++) {
        kvat_t *vat = cluster->vats[i];
        vat_end(k, vat, ERR_VAT_KILLED, text_blob(text_of(why)), cause);
        vat->forget = forget && vat_forgettable(vat);
    }
    timers_without_cluster(k, cluster->row.cluster);
    if (forget) k->forget = true;
    k->idle_check = true;
    drop_holds(k, cluster->row.cluster, asked || forget);
    if (cluster->config) bury(k, &cluster->config->head);
    bury(k, &cluster->head);
    cluster_free(cluster);
}

/* A vat ended by itself. A cluster that is still starting goes with it, and so does one whose vat
 * was critical. */
void cluster_vat_ended(kernel_t *k, kcluster_t *cluster, const kvat_t *vat)
{
    bool starting = cluster->row.state == CLUSTER_STARTING;
    if (!starting && !vat->row.critical) return;

    if (starting) {
        char what[TEXT_BYTES_MAX / 2], why[TEXT_BYTES_MAX + 1];
        snprintf(what, sizeof what, "cluster \"%.*s\" did not start: vat \"%.*s\"",
                 (int)cluster->row.name.len, cluster->row.name.at, (int)vat->row.name.len,
                 vat->row.name.at);
        snprintf(why, sizeof why, "%.*s", (int)vat->row.reason.len, vat->row.reason.at);
        if (cluster->request)
            reply_failed(k, cluster->client, cluster_request(cluster), true, (err_t)vat->row.error, what,
                         why);
        else
            facet_failed(k, cluster, vat);
    }
    cluster_remove(k, cluster, starting, false,
                   starting ? "its cluster did not start" : "a critical vat of its cluster ended",
                   cause_input(k));
}

/* CLUSTER goes while it starts: its LAUNCH has failed. */
void cluster_launch_ends(kernel_t *k, const kcluster_t *cluster)
{
    if (cluster->request)
        reply_failed(k, cluster->client, cluster_request(cluster), true, ERR_START_FAILED,
                     "the cluster was removed while it started", "");
    else if (cluster->row.state == CLUSTER_STARTING)
        facet_failed(k, cluster, NULL);
}

/* Somebody removes CLUSTER. */
void cluster_end(kernel_t *k, kcluster_t *cluster, cause_t cause)
{
    cluster_launch_ends(k, cluster);
    cluster_remove(k, cluster, false, true, "its cluster was removed", cause);
}

/* CLUSTER is removed as soon as what is being routed has arrived. */
void cluster_doom(kernel_t *k, kcluster_t *cluster) { k->doomed = cluster->doomed = true; }

/* False: there was none. */
bool clusters_end_doomed(kernel_t *k)
{
    if (!k->doomed) return false;
    k->doomed = false;
    size_t count;
    uint64_t *clusters = map_sorted(&k->clusters, &count);
    for (size_t i = 0; i < count; i++) {
        kcluster_t *cluster = cluster_find(k, clusters[i]);
        if (cluster && cluster->doomed) cluster_end(k, cluster, cause_input(k));
    }
    free(clusters);
    return true;
}

void on_cluster_rm(kernel_t *k, uint32_t client, const msg_cluster_rm_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    kcluster_t *cluster = cluster_asked(k, client, msg->request, msg->cluster);
    if (!cluster) return;
    cluster_end(k, cluster, cause_input(k));
    msg_done_t done = {msg->request};
    reply_recorded(k, client, msg->request, TAG_done, &done);
}
