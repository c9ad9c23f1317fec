/* LIST: the state as rows for people and tests. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/client/own.h"
#include "broker/kernel/crank/crank.h"
#include "broker/kernel/state/state.h"

typedef struct {
    kernel_t *k;
    buf_t rows;
    uint64_t next; /* where to go on, 0 when all fitted */
} list_t;

/* What does not fit any more is left out: a list that long is not for reading. */
static void add(list_t *l, msg_tag_t tag, const void *body)
{
    err_t err = msg_encode(tag, body, &l->rows);
    (void)err;
}

static text_t vat_name(const kvat_t *vat) { return vat ? vat->row.name : (text_t){0}; }

static void counts(const kvat_t *vat, uint64_t *exports, uint64_t *imports)
{
    if (!vat_alive(vat)) return; /* what is left of it means nothing */
    for (size_t i = 0; i < vat->held.room; i++) {
        const held_t *held = map_cell(&vat->held, i);
        if (!held) continue;
        bool exported = held->row.flags & HELD_EXPORTED && kref_is_object(kref_of(held->row.kref));
        ++*(exported ? exports : imports);
    }
}

/* No worker runs, and none was asked for. */
static bool asleep(const kernel_t *k, const kvat_t *vat)
{
    const khost_t *host = host_find(k, vat->row.host);
    return vat->row.state == VAT_RUNNING && host && host->connected && !vat->attached &&
           !vat->asked;
}

static void list_vat(list_t *l, const kvat_t *vat)
{
    static const char *const states[] = {"starting", "running", "terminated", "quarantined"};
    const khost_t *host = host_find(l->k, vat->row.host);
    msg_vat_row_t row = {.vat = vat->id,
                         .name = vat->row.name,
                         .cluster = {(uint32_t)vat->row.cluster},
                         .host = {(uint32_t)vat->row.host},
                         .state = text_of(states[vat->row.state]),
                         .reason = vat->row.reason,
                         .incarnation = vat->row.inc,
                         .queue = vat->queue.count,
                         .in_flight = vat->row.assigned - vat->row.applied,
                         .applied = vat->row.applied,
                         .computrons = vat->row.computrons,
                         .run_us = vat->row.run_us,
                         .started_ms = vat->row.started_ms,
                         .bundle = vat->row.bundle,
                         .checkpoint = vat->row.checkpoint,
                         .safe = vat->row.safe,
                         .mirrored = vat->mirror ? vat->mirror->row.d : 0,
                         .checkpoint_bytes = vat->row.checkpoint_bytes,
                         .asleep = asleep(l->k, vat),
                         .attempts = vat->log ? vat->log->row.attempts : 0,
                         .moving = {(uint32_t)vat->row.moving}};
    if (vat->cluster) row.cluster_name = vat->cluster->row.name;
    if (host) row.host_name = host->row.name;
    counts(vat, &row.exports, &row.imports);
    add(l, TAG_vat_row, &row);
}

static void list_vats(list_t *l, bool ended)
{
    size_t count;
    uint64_t *vats = map_sorted(&l->k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        const kvat_t *vat = vat_find(l->k, vats[i]);
        if (ended || vat_alive(vat)) list_vat(l, vat);
    }
    free(vats);
}

static void list_clusters(list_t *l)
{
    size_t count;
    uint64_t *clusters = map_sorted(&l->k->clusters, &count);
    for (size_t i = 0; i < count; i++) {
        const kcluster_t *cluster = cluster_find(l->k, clusters[i]);
        msg_cluster_row_t row = {
            .cluster = {(uint32_t)cluster->row.cluster},
            .name = cluster->row.name,
            .state = text_of(cluster->row.state == CLUSTER_RUNNING ? "running" : "starting"),
            .bootstrap = {(uint32_t)cluster->row.bootstrap},
            .result = kref_of(cluster->row.result),
            .system = cluster->row.system};
        for (size_t j = 0; j < cluster->vat_count; j++) row.vats += vat_alive(cluster->vats[j]);
        add(l, TAG_cluster_row, &row);
    }
    free(clusters);
}

static const char *host_state(const khost_t *host)
{
    switch (host->row.state) {
    case HOST_DRAINING: return host->vats ? "draining" : "drained";
    case HOST_DISAVOWED: return "disavowed";
    case HOST_QUARANTINED: return "quarantined";
    default: return host->connected ? "connected" : "away";
    }
}

static void list_hosts(list_t *l)
{
    size_t count;
    uint64_t *hosts = map_sorted(&l->k->hosts, &count);
    for (size_t i = 0; i < count; i++) {
        const khost_t *host = host_find(l->k, hosts[i]);
        char key[65];
        for (size_t j = 0; j < 32; j++)
            snprintf(key + 2 * j, sizeof key - 2 * j, "%02x", blob_bin(host->key).at[j]);
        msg_host_row_t row = {.host = {(uint32_t)host->row.host},
                              .name = host->row.name,
                              .state = text_of(host_state(host)),
                              .key = text_of(key),
                              .vats = host->vats,
                              .reason = host->row.reason,
                              .engine = host->row.engine,
                              .connected = host->connected};
        add(l, TAG_host_row, &row);
    }
    free(hosts);
}

static int by_vat(const void *a, const void *b)
{
    const held_t *x = *(held_t *const *)a, *y = *(held_t *const *)b;
    return (x->row.vat > y->row.vat) - (x->row.vat < y->row.vat);
}

static void list_holders(list_t *l, const named_t *named)
{
    size_t count = 0, n = 0;
    for (held_t *held = named->holders; held; held = held->next) count++;
    held_t **all = take((count + 1) * sizeof *all);
    for (held_t *held = named->holders; held; held = held->next)
        if (vat_alive(held->vat)) all[n++] = held;
    qsort(all, n, sizeof *all, by_vat);
    for (size_t i = 0; i < n; i++) {
        uint64_t flags = all[i]->row.flags;
        msg_ref_row_t row = {.kref = kref_of(all[i]->row.kref),
                             .role = text_of(flags & HELD_SUBSCRIBED ? "waiting" : "holder"),
                             .vat = all[i]->vat->id,
                             .name = all[i]->vat->row.name,
                             .state =
                                 text_of(flags & HELD_REACHABLE ? "reachable" : "recognizable")};
        add(l, TAG_ref_row, &row);
    }
    free(all);
}

static bool list_ref(list_t *l, kref_t kref)
{
    const object_t *object = object_find(l->k, kref);
    const promise_t *promise = promise_find(l->k, kref);
    if (!object && !promise) return false;

    msg_ref_row_t row = {.kref = kref};
    const kvat_t *vat = vat_find(l->k, object ? object->row.owner : promise->row.decider);
    if (vat && !vat_alive(vat)) vat = NULL;
    if (vat) row.vat = vat->id;
    row.name = vat_name(vat);
    if (object) {
        row.role = text_of("object");
        row.state = object_state(l->k, object);
        row.service = object_service(l->k, object);
        row.reachable = object->row.reachable;
        row.recognizable = object->row.recognizable;
        row.pins = object->row.pins;
    } else {
        row.role = text_of("promise");
        row.state = promise_state(promise);
        row.recognizable = promise->row.count;
        row.value = value_data(promise->value);
    }
    add(l, TAG_ref_row, &row);
    list_holders(l, object ? &object->named : &promise->named);
    return true;
}

static void list_finding(void *context, const char *rule, const char *row, const char *should)
{
    msg_finding_row_t finding = {text_of(rule), text_of(row), text_of(should)};
    add(context, TAG_finding_row, &finding);
}

static void list_cycle(void *context, const msg_cycle_row_t *row)
{
    add(context, TAG_cycle_row, row);
}

static void list_counter(list_t *l, const char *name, uint64_t value)
{
    msg_counter_row_t row = {text_of(name), value};
    add(l, TAG_counter_row, &row);
}

static void list_counters(list_t *l)
{
    const kernel_t *k = l->k;
    uint64_t held = 0, queued = 0, in_flight = 0, waiting = 0, alive = 0;
    for (size_t i = 0; i < k->vats.room; i++) {
        const kvat_t *vat = map_cell(&k->vats, i);
        if (!vat) continue;
        held += vat->held.count;
        queued += vat->queue.count;
        in_flight += vat->row.assigned - vat->row.applied;
        alive += vat_alive(vat);
    }
    for (size_t i = 0; i < k->promises.room; i++) {
        const promise_t *promise = map_cell(&k->promises, i);
        if (promise) waiting += promise->queue.count;
    }
    list_counter(l, "epoch", k->counters[COUNTER_epoch].value);
    list_counter(l, "messages", k->counters[COUNTER_messages].value);
    list_counter(l, "cranks", k->counters[COUNTER_cranks].value);
    list_counter(l, "splats", k->counters[COUNTER_splats].value);
    list_counter(l, "inputs", k->counters[COUNTER_next_input].value);
    list_counter(l, "vats", alive);
    list_counter(l, "clusters", k->clusters.count);
    list_counter(l, "hosts", k->hosts.count);
    list_counter(l, "objects", k->objects.count);
    list_counter(l, "promises", k->promises.count);
    list_counter(l, "held", held);
    list_counter(l, "queued", queued);
    list_counter(l, "waiting", waiting);
    list_counter(l, "in_flight", in_flight);
    list_counter(l, "holds", k->holds.count);
    list_counter(l, "requests", k->request_count);
}

void on_list(kernel_t *k, uint32_t client, const msg_list_t *msg)
{
    list_t l = {k, buf_of(FRAME_BYTES_MAX - 4096), 0};
    err_t err = ERR_OK;
    switch (msg->what) {
    case 0: list_vats(&l, msg->ended != 0); break;
    case 1: list_clusters(&l); break;
    case 2: list_hosts(&l); break;
    case 3: err = list_ref(&l, msg->kref) ? ERR_OK : ERR_REF_UNKNOWN; break;
    case 4: kernel_audit(k, list_finding, &l); break;
    case 5: list_counters(&l); break;
    case 6: rings_each(k, list_cycle, &l); break;
    case LIST_DIVERGENCES: divergences_list(k, msg->vat, &l.rows); break;
    case REGISTRY_OBJECTS:
    case REGISTRY_PROMISES:
    case REGISTRY_ENTRIES:
    case REGISTRY_LAUNCH: err = registry_list(k, msg, &l.rows, &l.next); break;
    default: err = ERR_BAD_VALUE; break;
    }
    if (err) {
        reply_failed(k, client, msg->request, false, err, err_text(err), "");
    } else {
        msg_rows_t rows = {msg->request, {l.rows.at, l.rows.len}, l.next};
        reply(k, client, TAG_rows, &rows);
    }
    buf_clear(&l.rows);
}
