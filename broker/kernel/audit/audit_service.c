/* The audit of what the kernel has of its own: its objects, the answers it owes, the errands of the agent. */
#include "broker/kernel/audit/recount.h"

/* ---- objects of the kernel ---- */

static void check_service(recount_t *a, const service_t *service)
{
    which_t row = {"service", 'k', 0, service->row.kref, 0};
    const object_t *object = object_find(a->k, service_kref(service));
    const kvat_t *vat = vat_find(a->k, service->row.vat);
    if (!object || object->row.owner || kref_issuer(service_kref(service)).n)
        found(a, "K50", row, "should be an object of the kernel, without an owner");
    if (service->row.vat && !vat)
        found(a, "K50", row, "about v%" PRIu64 ", which should be known and is not",
              service->row.vat);
    if (service->row.cluster > a->k->counters[COUNTER_next_cluster].value)
        found(a, "K50", row, "of s%" PRIu64 ", which was never there", service->row.cluster);
    if (service->row.kind == SERVICE_outside &&
        (!vat || (vat_alive(vat) && vat->outside != service)))
        found(a, "K50", row, "should be what the globals of its vat use");
}

/* ---- answers ---- */

static which_t row_of_pending(const pending_t *pending)
{
    return (which_t){"pending", 'k', 0, pending->row.promise, 0};
}

static bool unresolved(const recount_t *a, uint64_t kref)
{
    const promise_t *promise = promise_find(a->k, kref_of(kref));
    return promise && promise->row.state == PROMISE_UNRESOLVED;
}

static void check_pending(recount_t *a, const pending_t *pending)
{
    which_t row = row_of_pending(pending);
    const row_pending_t *is = &pending->row;
    const kvat_t *vat = vat_find(a->k, is->vat);
    const errand_t *errand = is->kind == PENDING_ERRAND ? errand_find(a->k, is->number) : NULL;
    bool of_vat =
        is->kind == PENDING_CREATE || is->kind == PENDING_DONE || is->kind == PENDING_UPGRADE;
    if (!unresolved(a, is->promise)) found(a, "K51", row, "its promise should be unresolved");
    if (is->watched && !unresolved(a, is->watched))
        found(a, "K51", row, "what it watches should be unresolved");
    if (of_vat ? !vat || !vat_alive(vat) : vat && !vat_alive(vat))
        found(a, "K51", row, "waits for v%" PRIu64 ", which should be alive", is->vat);
    if (is->kind == PENDING_ERRAND && (!errand || errand->pending != pending))
        found(a, "K51", row, "waits for errand %" PRIu64 ", which should be open and know it",
              is->number);
    bool listed = pending->at && *pending->at == pending;
    if (listed != (is->watched || is->vat))
        found(a, "K51", row,
              "should be in the list of what it waits for, if that is a vat or promise");
}

static void check_owed(recount_t *a, const pending_t *first, uint64_t watched, uint64_t vat)
{
    for (const pending_t *pending = first; pending; pending = pending->next) {
        bool here =
            pending->row.watched ? pending->row.watched == watched : pending->row.vat == vat;
        if (!here) found(a, "K51", row_of_pending(pending), "in the list of something else");
    }
}

/* ---- errands ---- */

static which_t row_of_errand(const errand_t *errand)
{
    return (which_t){"errand", 0, 0, errand->row.errand, 0};
}

/* A fetch is a vat's; the others are of a channel of the cluster. */
static bool errand_placed(const recount_t *a, const errand_t *errand)
{
    const row_errand_t *row = &errand->row;
    if (text_is(row->what, "fetch")) {
        const kvat_t *vat = vat_find(a->k, row->vat);
        return vat && vat_alive(vat) && vat->row.cluster == row->cluster && !row->channel;
    }
    const service_t *service = service_find(a->k, kref_of(row->channel));
    bool known = text_is(row->what, "read") || text_is(row->what, "write");
    return known && service && service->row.kind == SERVICE_channel &&
           service->row.cluster == row->cluster && !row->vat;
}

static void check_errand(recount_t *a, const errand_t *errand)
{
    which_t row = row_of_errand(errand);
    const pending_t *pending = errand->pending;
    uint64_t last = a->k->counters[COUNTER_next_errand].value;
    capdata_t body = {errand->row.body, {0}};
    if (errand->row.errand > last)
        found(a, "K45", row, "its number should be at most next_errand, %" PRIu64, last);
    if (!cluster_find(a->k, errand->row.cluster))
        found(a, "K52", row, "of s%" PRIu64 ", which should be there and is not",
              errand->row.cluster);
    if (!errand_placed(a, errand))
        found(a, "K52", row, "should be a fetch of a live vat, or for a channel, of its cluster");
    if (smallcaps_check(&body, SHAPE_ANY))
        found(a, "K52", row, "what is asked is broken, or has slots");
    if (pending &&
        (pending->row.kind != PENDING_ERRAND || pending->row.number != errand->row.errand))
        found(a, "K52", row, "who waits for it should know it");
}

static size_t check_errands_of(recount_t *a, const errand_t *first, uint64_t vat, uint64_t cluster)
{
    size_t count = 0;
    for (const errand_t *errand = first; errand; errand = errand->next, count++)
        if (errand->row.vat != vat || errand->row.cluster != cluster || *errand->at != errand)
            found(a, "K52", row_of_errand(errand), "in the list of something else");
    return count;
}

/* ---- all of them ---- */

/* The channels of a running cluster are those of its LAUNCH. */
static void check_channels(recount_t *a, const kcluster_t *cluster)
{
    which_t row = {"cluster", 's', 0, cluster->row.cluster, 0};
    size_t count = 0;
    bool same = true;
    msg_t launch, channel;
    if (!cluster->config || msg_decode(blob_bin(cluster->config->launch), &launch))
        return; /* K53 */
    bin_t rest = launch.tag == TAG_launch ? launch.body.launch.channels : (bin_t){0};
    if (cluster->row.state == CLUSTER_STARTING) rest = (bin_t){0};
    for (; rest.len > 0 && msg_next(&rest, &channel) == ERR_OK; count++) {
        const msg_launch_channel_t *is = &channel.body.launch_channel;
        const service_t *service = count < cluster->channel_count ? cluster->channels[count] : NULL;
        same = same && channel.tag == TAG_launch_channel && service &&
               text_same(service->row.text, is->name) && service->row.number == is->direction;
        msg_clear(&channel);
    }
    if (rest.len || !same || count != cluster->channel_count)
        found(a, "K53", row, "its IO channels should be those of its LAUNCH, in that order");
    msg_clear(&launch);
}

static void check_lists(recount_t *a)
{
    const kernel_t *k = a->k;
    size_t errands = 0, channels = 0;
    for (size_t i = 0; i < k->promises.room; i++) {
        const promise_t *promise = map_cell(&k->promises, i);
        if (promise) check_owed(a, promise->owed, promise->row.kref, UINT64_MAX);
    }
    for (size_t i = 0; i < k->vats.room; i++) {
        const kvat_t *vat = map_cell(&k->vats, i);
        if (vat) check_owed(a, vat->owed, 0, vat->row.vat);
    }
    for (size_t i = 0; i < k->clusters.room; i++) {
        const kcluster_t *cluster = map_cell(&k->clusters, i);
        if (!cluster) continue;
        uint64_t n = cluster->row.cluster;
        size_t count = check_errands_of(a, cluster->errands, 0, n);
        for (size_t j = 0; j < cluster->vat_count; j++)
            count += check_errands_of(a, cluster->vats[j]->errands, cluster->vats[j]->row.vat, n);
        found_count(a, "K52", (which_t){"cluster", 's', 0, n, 0}, "the number of its errands",
                    cluster->errand_count, count);
        check_channels(a, cluster);
        errands += count;
        channels += cluster->channel_count;
    }
    which_t row = {"kernel", 'e', 0, k->counters[COUNTER_epoch].value, 0};
    found_count(a, "K52", row, "the number of errands", k->errands.count, errands);
    found_count(a, "K52", row, "the number of IO channels", k->channel_count, channels);
    if ((errands || channels) && k->agent == AGENT_NONE && !k->agent_lost)
        found(a, "K57", row, "an agent has something to do, and should be wanted");
}

void check_services(recount_t *a)
{
    const kernel_t *k = a->k;
    for (size_t i = 0; i < k->services.room; i++)
        if (map_cell(&k->services, i)) check_service(a, map_cell(&k->services, i));
    for (size_t i = 0; i < k->pendings.room; i++)
        if (map_cell(&k->pendings, i)) check_pending(a, map_cell(&k->pendings, i));
    for (size_t i = 0; i < k->errands.room; i++)
        if (map_cell(&k->errands, i)) check_errand(a, map_cell(&k->errands, i));
    check_lists(a);
}
