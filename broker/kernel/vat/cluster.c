/* Clusters: launch, bootstrap, and the same once more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/own.h"
#include "wire/base/planted.h"

void cluster_free(kcluster_t *cluster)
{
    blob_destroy(&cluster->name);
    blob_destroy(&cluster->request);
    blob_destroy(&cluster->services);
    if (cluster->config) blob_destroy(&cluster->config->launch);
    free(cluster->config);
    free(cluster->channels);
    free(cluster->vats);
    free(cluster);
}

/* VAT is about to be forgotten. */
void cluster_without(kcluster_t *cluster, const kvat_t *vat)
{
    size_t n = 0;
    for (size_t i = 0; i < cluster->vat_count; i++)
        if (cluster->vats[i] != vat) cluster->vats[n++] = cluster->vats[i];
    cluster->vat_count = n;
}

/* ---- launch: everything is checked first ---- */

typedef struct {
    kernel_t *k;
    uint32_t client;
    bool by_vat; /* no client waits for it */
    const msg_launch_t *msg;
    const kcluster_t *instead; /* a running cluster that it takes the place of; NULL: of none */
    msg_t *rows;               /* LAUNCH_VAT */
    size_t count, room;
    uint64_t *hosts; /* of each vat */
    uint64_t *connected;
    size_t connected_count;
    char what[TEXT_BYTES_MAX / 2], why[TEXT_BYTES_MAX / 2];
} launch_t;

static err_t refuse_vat(launch_t *l, const msg_launch_vat_t *row, err_t err, const char *why)
{
    snprintf(l->what, sizeof l->what, "cluster \"%.*s\" did not start: vat \"%.*s\"",
             (int)l->msg->name.len, l->msg->name.at, (int)row->name.len, row->name.at);
    snprintf(l->why, sizeof l->why, "%s", why);
    return err;
}

static err_t refuse(launch_t *l, err_t err, const char *why)
{
    snprintf(l->what, sizeof l->what, "cluster \"%.*s\" did not start", (int)l->msg->name.len,
             l->msg->name.at);
    snprintf(l->why, sizeof l->why, "%s", why);
    return err;
}

static err_t read_rows(launch_t *l)
{
    bin_t rest = l->msg->vats;
    while (rest.len > 0) {
        if (l->count == CLUSTER_VATS_MAX) return refuse(l, ERR_WIRE_LIMIT, "too many vats");
        l->rows = grown(l->rows, &l->room, l->count + 1, sizeof *l->rows);
        err_t err = msg_next(&rest, &l->rows[l->count]);
        if (err) return refuse(l, err, err_text(err));
        if (l->rows[l->count++].tag != TAG_launch_vat)
            return refuse(l, ERR_WIRE_TURN, "a row of the launch is no vat");
    }
    if (l->k->counters[COUNTER_next_vat].value + l->count > KREF_ISSUER_MAX)
        return refuse(l, ERR_WIRE_LIMIT, "all vat numbers are given");
    if (l->msg->bootstrap >= l->count)
        return refuse(l, ERR_REFERENCE, "the bootstrap vat is not in the cluster");
    return ERR_OK;
}

/* Is it there, and without what a terminal would take for a command (U+0000-1F, U+007F-9F)? */
static bool name_good(text_t name)
{
    unsigned char before = 0;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (c < ' ' || c == 0x7f || (before == 0xc2 && c < 0xa0)) return false;
        before = c;
    }
    return name.len > 0;
}

static err_t check_names(launch_t *l)
{
    if (l->msg->name.len && !name_good(l->msg->name))
        return refuse(l, ERR_BAD_VALUE, "a name has no control characters");
    for (size_t i = 0; i < l->k->clusters.room; i++) {
        const kcluster_t *other = map_cell(&l->k->clusters, i);
        if (other && other != l->instead && text_same(other->row.name, l->msg->name))
            return refuse(l, ERR_CLUSTER_EXISTS, err_text(ERR_CLUSTER_EXISTS));
    }
    text_t name;
    for (size_t at = 0; word_next(l->msg->services, &at, &name);) {
        if (service_named(name, l->msg->system != 0)) continue;
        char why[256];
        name = text_cut(name, 200);
        snprintf(why, sizeof why, "no registered kernel service '%.*s'", (int)name.len, name.at);
        return refuse(l, ERR_SERVICE_UNKNOWN, why);
    }
    return ERR_OK;
}

/* Frames of one kind in FRAMES; each must be GOOD, and there are at most MAX. */
static err_t check_frames(launch_t *l, bin_t frames, msg_tag_t tag, bool (*good)(const msg_t *),
                          size_t max, const char *why)
{
    for (size_t count = 0; frames.len > 0; count++) {
        if (count == max) return refuse(l, ERR_WIRE_LIMIT, "too many bundles or IO channels");
        msg_t row;
        if (msg_next(&frames, &row)) return refuse(l, ERR_WIRE_TYPE, why);
        bool fits = row.tag == tag && good(&row);
        msg_clear(&row);
        if (!fits) return refuse(l, ERR_BAD_VALUE, why);
    }
    return ERR_OK;
}

static bool bundle_good(const msg_t *row)
{
    return name_good(row->body.launch_bundle.name) && bundle_hash(row->body.launch_bundle.bundle);
}

static bool channel_good(const msg_t *row)
{
    const msg_launch_channel_t *channel = &row->body.launch_channel;
    return name_good(channel->name) && channel->direction >= 1 && channel->direction <= 3 &&
           channel->unit <= 3 &&
           word_in(text_of("console listen network file socket"), channel->type);
}

/* Of names that were looked at: none is empty. */
static int by_name(const void *a, const void *b)
{
    const text_t *x = a, *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->at, y->at, len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static bool names_differ(text_t *names, size_t count)
{
    if (count) qsort(names, count, sizeof *names, by_name);
    for (size_t i = 1; i < count; i++)
        if (text_same(names[i - 1], names[i])) return false;
    return true;
}

/* Services and IO channels stand in one record. */
static err_t check_members(launch_t *l)
{
    text_t *names = NULL, name;
    bin_t channels = l->msg->channels;
    size_t count = 0, room = 0;
    for (size_t at = 0; word_next(l->msg->services, &at, &name); count++) {
        names = grown(names, &room, count + 1, sizeof *names);
        names[count] = name;
    }
    for (; channels.len > 0; count++) {
        msg_t row;
        must(msg_next(&channels, &row) == ERR_OK);
        names = grown(names, &room, count + 1, sizeof *names);
        names[count] = row.body.launch_channel.name;
        msg_clear(&row);
    }
    bool differ = names_differ(names, count);
    free(names);
    return differ ? ERR_OK
                  : refuse(l, ERR_BAD_VALUE, "two services or IO channels have the same name");
}

static err_t check_extras(launch_t *l)
{
    size_t slots = l->count; /* of the message to bootstrap */
    text_t name;
    for (size_t at = 0; word_next(l->msg->services, &at, &name);) slots++;
    if (slots > SLOTS_MAX) return refuse(l, ERR_WIRE_LIMIT, "too many vats and services");
    err_t err = check_frames(l, l->msg->bundles, TAG_launch_bundle, bundle_good, SLOTS_MAX,
                             "a bundle's row is not well-formed");
    if (!err)
        err = check_frames(l, l->msg->channels, TAG_launch_channel, channel_good, SLOTS_MAX - slots,
                           "an IO channel's row is not well-formed");
    return err ? err : check_members(l);
}

static err_t check_row(launch_t *l, const msg_launch_vat_t *row, size_t place)
{
    char why[512];
    if (!row->name.len) return refuse_vat(l, row, ERR_BAD_VALUE, "a vat needs a name");
    if (!name_good(row->name))
        return refuse_vat(l, row, ERR_BAD_VALUE, "a name has no control characters");
    uint64_t vat = l->k->counters[COUNTER_next_vat].value + place + 1; /* what it is going to be */
    err_t err = globals_check(l->k, vat, row->globals, row->hosts, why, sizeof why);
    if (err) return refuse_vat(l, row, err, why);
    if (row->parameters.len > PARAMETERS_BYTES_MAX)
        return refuse_vat(l, row, ERR_BAD_VALUE, "its parameters are too large");
    if (row->window > WINDOW_MAX)
        return refuse_vat(l, row, ERR_BAD_VALUE, "window: more deliveries than may be in flight");
    if (row->heap_bytes > UINT32_MAX)
        return refuse_vat(l, row, ERR_BAD_VALUE, "heap: larger than a vat can have");
    capdata_t parameters = {row->parameters, {0}};
    err = parameters_check(&parameters);
    return err ? refuse_vat(l, row, err, "its parameters are not well-formed") : ERR_OK;
}

static err_t check_rows(launch_t *l)
{
    text_t *names = take((l->count + 1) * sizeof *names);
    err_t err = ERR_OK;
    for (size_t i = 0; i < l->count && !err; i++) {
        names[i] = l->rows[i].body.launch_vat.name;
        err = check_row(l, &l->rows[i].body.launch_vat, i);
    }
    if (!err && !names_differ(names, l->count))
        err = refuse(l, ERR_BAD_VALUE, "two vats have the same name");
    free(names);
    return err;
}

static uint64_t host_named(const kernel_t *k, text_t name)
{
    uint32_t n;
    if (id_parse('h', name.at, name.len, &n) && host_find(k, n)) return n;
    size_t count;
    uint64_t *hosts = map_sorted(&k->hosts, &count), found = 0;
    for (size_t i = 0; i < count && !found; i++)
        if (text_same(host_find(k, hosts[i])->row.name, name)) found = hosts[i];
    free(hosts);
    return found;
}

/* Round robin over the hosts that are open, from the first one: the same file on the same
 * hosts gives the same places. */
static err_t place(launch_t *l)
{
    l->hosts = take(l->count * sizeof *l->hosts);
    size_t all;
    l->connected = map_sorted(&l->k->hosts, &all);
    for (size_t i = 0; i < all; i++)
        if (host_takes(host_find(l->k, l->connected[i])))
            l->connected[l->connected_count++] = l->connected[i];

    size_t next = 0;
    for (size_t i = 0; i < l->count; i++) {
        const msg_launch_vat_t *row = &l->rows[i].body.launch_vat;
        if (row->host.len) {
            l->hosts[i] = host_named(l->k, row->host);
            if (!l->hosts[i])
                return refuse_vat(l, row, ERR_HOST_UNKNOWN, "no host of that id or name");
            if (host_find(l->k, l->hosts[i])->row.state != HOST_USUAL)
                return refuse_vat(l, row, ERR_NO_HOST,
                                  "that host is drained, or in quarantine, or disavowed");
        } else {
            if (!l->connected_count) return refuse(l, ERR_NO_HOST, err_text(ERR_NO_HOST));
            l->hosts[i] = l->connected[next++ % l->connected_count];
        }
    }
    return ERR_OK;
}

/* ---- launch: then it is done ---- */

static uint64_t or_default(uint64_t value, uint64_t otherwise) { return value ? value : otherwise; }

/* Beyond that of any vat which had the same number before the kernel went back to a backup. */
static uint64_t pgen_first(const kernel_t *k)
{
    return k->counters[COUNTER_epoch].value / ADOPTED_EPOCHS * ADOPTED_EPOCHS + 1;
}

/* Makes a vat of CLUSTER as ROW says, but with PARAMETERS, and queues its start. DYNAMIC: a vat made it. */
kvat_t *vat_make(kernel_t *k, kcluster_t *cluster, const msg_launch_vat_t *row, uint64_t host,
                 value_t *parameters, bool dynamic, cause_t cause)
{
    kvat_t *vat = take(sizeof *vat);
    vat->head.table = ROW_vat;
    vat->id = (vat_t){(uint32_t)count_up(k, COUNTER_next_vat)};
    vat->cluster = cluster;
    vat->name = text_blob(row->name);
    vat->bundle = text_blob(row->bundle);
    vat->first_bundle = text_blob(row->bundle);
    vat->globals = text_blob(row->globals);
    vat->hosts = text_blob(row->hosts);
    vat->row =
        (row_vat_t){.vat = vat->id.n,
                    .cluster = cluster->row.cluster,
                    .name = blob_text(vat->name),
                    .host = host,
                    .state = VAT_STARTING,
                    .inc = 1,
                    .pgen = pgen_first(k),
                    .chain = {vat->chain.b, sizeof vat->chain.b},
                    .checkpoint_chain = {vat->checkpoint_chain.b, sizeof vat->checkpoint_chain.b},
                    .oldest_chain = {vat->oldest_chain.b, sizeof vat->oldest_chain.b},
                    .safe_chain = {vat->safe_chain.b, sizeof vat->safe_chain.b},
                    .every_rows = row->every_rows,
                    .every_bytes = row->every_bytes,
                    .idle_ms = row->idle_ms,
                    .sleep_ms = row->sleep_ms,
                    .mirror = row->mirror,
                    .poison = row->poison,
                    .bundle = blob_text(vat->bundle),
                    .first_bundle = blob_text(vat->first_bundle),
                    .globals = blob_text(vat->globals),
                    .hosts = blob_text(vat->hosts),
                    .dialect = row->dialect,
                    .computrons_max = or_default(row->computrons, COMPUTRONS_DEFAULT),
                    .wall_ms = or_default(row->wall_ms, WALL_MS_DEFAULT),
                    .heap_bytes = or_default(row->heap_bytes, HEAP_BYTES_DEFAULT),
                    .critical = row->critical,
                    .window = or_default(row->window, WINDOW_DEFAULT),
                    .reap_deliveries = or_default(row->reap_deliveries, REAP_DELIVERIES_DEFAULT),
                    .reap_krefs = or_default(row->reap_krefs, REAP_KREFS_DEFAULT),
                    .dynamic = dynamic,
                    .started_ms = k->now_us / 1000};
    map_put(&k->vats, vat->id.n, vat);
    vat_counted(k, vat, true);
    touch(k, &vat->head);

    /* The root is made with the vat and, in the cluster's file, pinned while the cluster lives. */
    object_t *root = object_new(k, kref_root(vat->id), vat->id);
    held_new(k, vat, kref_root(vat->id), HELD_REACHABLE | HELD_EXPORTED, 0);
    if (!dynamic || PLANTED(made_vat_is_pinned)) {
        root->row.pins = 1;
        ref_up(k, kref_root(vat->id));
    }
    AUTO(value) wrapped = globals_wrap(k, vat, parameters);
    entry_t *entry = entry_new(k, ENTRY_START, (kref_t){0}, (kref_t){0}, wrapped, cause);
    entry->row.holder = vat->row.vat;
    queue_push(&k->work, entry);
    return vat;
}

/* The LAUNCH itself, so that it can be done again; without its request, which is answered once. */
static void config_keep(kernel_t *k, kcluster_t *cluster, const msg_launch_t *msg)
{
    config_t *config = take(sizeof *config);
    msg_launch_t kept = *msg;
    kept.request = (id128_t){0};
    config->head.table = ROW_config;
    config->launch = frame_of(k, TAG_launch, &kept);
    config->row = (row_config_t){cluster->row.cluster, blob_bin(config->launch)};
    cluster->config = config;
    touch(k, &config->head);
}

static kcluster_t *launch(launch_t *l)
{
    kernel_t *k = l->k;
    kcluster_t *cluster = take(sizeof *cluster);
    cluster->head.table = ROW_cluster;
    cluster->client = l->client;
    cluster->name = text_blob(l->msg->name);
    cluster->services = text_blob(l->msg->services);
    if (!l->by_vat) cluster->request = blob_new(l->msg->request.b, sizeof l->msg->request.b);
    cluster->row = (row_cluster_t){.cluster = count_up(k, COUNTER_next_cluster),
                                   .name = blob_text(cluster->name),
                                   .serial = l->msg->serial != 0,
                                   .system = l->msg->system != 0,
                                   .request = blob_bin(cluster->request),
                                   .services = blob_text(cluster->services)};
    map_put(&k->clusters, cluster->row.cluster, cluster);
    touch(k, &cluster->head);
    config_keep(k, cluster, l->msg);
    if (!l->by_vat) request_pending(k, l->msg->request);

    cause_t cause = cause_input(k);
    cluster->vat_count = l->count;
    cluster->vats = take(l->count * sizeof *cluster->vats);
    for (size_t i = 0; i < l->count; i++) {
        const msg_launch_vat_t *row = &l->rows[i].body.launch_vat;
        AUTO(value) parameters = value_new(row->parameters, NULL, 0);
        cluster->vats[i] = vat_make(k, cluster, row, l->hosts[i], parameters, false, cause);
    }
    cluster->row.bootstrap = cluster->vats[l->msg->bootstrap]->row.vat;
    event_life(k, "launch", NULL, NULL, cluster->row.name);
    return cluster;
}

static err_t launch_check(launch_t *l)
{
    err_t err = read_rows(l);
    if (!err) err = check_names(l);
    if (!err) err = check_extras(l);
    if (!err) err = check_rows(l);
    return err ? err : place(l);
}

static void launch_clear(launch_t *l)
{
    for (size_t i = 0; i < l->count; i++) msg_clear(&l->rows[i]);
    free(l->rows);
    free(l->hosts);
    free(l->connected);
}

/* The same without a client, for a vat; facet_started() or facet_failed() hears how it went. NULL: WHY
 * says what is wrong. */
kcluster_t *cluster_launch(kernel_t *k, const msg_launch_t *msg, char *why, size_t room)
{
    launch_t l = {.k = k, .by_vat = true, .msg = msg};
    err_t err = launch_check(&l);
    if (err) snprintf(why, room, "%s", l.why[0] ? l.why : l.what);
    kcluster_t *cluster = err ? NULL : launch(&l);
    launch_clear(&l);
    return cluster;
}

/* True: this request was seen before, and was answered again, or will be: what still starts answers
 * whoever asked last. */
static bool launch_repeated(kernel_t *k, uint32_t client, id128_t request)
{
    const request_t *known = request_find(k, request);
    if (!known || known->reply) return request_repeated(k, client, request);
    for (size_t i = 0; i < k->clusters.room; i++) {
        kcluster_t *cluster = map_cell(&k->clusters, i);
        if (cluster && request_same(cluster->request, request)) cluster->client = client;
    }
    return true;
}

void on_launch(kernel_t *k, uint32_t client, const msg_launch_t *msg)
{
    if (launch_repeated(k, client, msg->request)) return;
    launch_t l = {.k = k, .client = client, .msg = msg};
    err_t err = launch_check(&l);
    if (err)
        reply_failed(k, client, msg->request, true, err, l.what, l.why);
    else
        launch(&l);
    launch_clear(&l);
}

/* ---- bootstrap ---- */

/* The id of the LAUNCH that is not answered yet. */
id128_t cluster_request(const kcluster_t *cluster)
{
    id128_t id;
    memcpy(id.b, blob_bin(cluster->request).at, sizeof id.b);
    return id;
}

static void request_done(kernel_t *k, kcluster_t *cluster)
{
    blob_destroy(&cluster->request);
    cluster->row.request = (bin_t){0};
    cluster->client = 0;
    touch(k, &cluster->head);
}

/* One more vat of a starting cluster runs. When it was the last, bootstrap is queued. */
void cluster_started(kernel_t *k, kcluster_t *cluster)
{
    for (size_t i = 0; i < cluster->vat_count; i++)
        if (cluster->vats[i]->row.state != VAT_RUNNING) return;

    kref_t result = kref_promise((vat_t){0}, count_up(k, COUNTER_next_promise));
    promise_t *promise = promise_new(k, result);
    promise->hold = hold_new(k, result, cluster->row.cluster);
    cluster->row.state = CLUSTER_RUNNING;
    cluster->row.result = result.n;

    kref_t root = kref_root((vat_t){(uint32_t)cluster->row.bootstrap});
    channels_open(k, cluster);
    AUTO(value) value = bootstrap_value(k, cluster);
    entry_t *entry = entry_new(k, ENTRY_MESSAGE, root, result, value, cause_input(k));
    event_send(k, NULL, 0, entry);
    queue_push(&k->work, entry);

    facet_started(k, cluster, result);
    if (!cluster->request) return;
    id128_t id = cluster_request(cluster);
    msg_launched_t msg = {
        id, {(uint32_t)cluster->row.cluster}, {(uint32_t)cluster->row.bootstrap}, root, result};
    reply_recorded(k, cluster->client, id, TAG_launched, &msg);
    request_done(k, cluster);
}

/* ---- once more ---- */

/* The same launch once more: a new cluster of the same name. When it may not begin, the old one stays. */
void on_cluster_reload(kernel_t *k, uint32_t client, const msg_cluster_reload_t *msg)
{
    if (launch_repeated(k, client, msg->request)) return;
    kcluster_t *cluster = cluster_asked(k, client, msg->request, msg->cluster);
    if (!cluster) return;
    blob_t *frame = blob_ref(cluster->config->launch); /* it goes with the cluster */
    msg_t was;
    must(msg_decode(blob_bin(frame), &was) == ERR_OK);
    was.body.launch.request = msg->request;
    launch_t l = {.k = k, .client = client, .msg = &was.body.launch, .instead = cluster};
    err_t err = launch_check(&l);
    if (err) {
        reply_failed(k, client, msg->request, true, err, l.what, l.why);
    } else {
        cluster_launch_ends(k, cluster);
        cluster_remove(k, cluster, false, true, "its cluster was reloaded", cause_input(k));
        launch(&l);
    }
    launch_clear(&l);
    msg_clear(&was);
    blob_destroy(&frame);
}
