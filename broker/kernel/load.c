/* Start: the rows of the store become the state again. Rows may come in any order inside a table;
 * links are made in kernel_loaded(). What contradicts itself is STORE_DAMAGED. */
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/crank/crank.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/host/host.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/planted.h"

static bool hash_read(bin_t bin, hash_t *ret)
{
    *ret = (hash_t){0};
    if (bin.len == 0) return true;
    if (bin.len != sizeof ret->b) return false;
    memcpy(ret->b, bin.at, sizeof ret->b);
    return true;
}

static bool id_read(bin_t bin, id128_t *ret)
{
    *ret = (id128_t){0};
    if (bin.len == 0) return true;
    if (bin.len != sizeof ret->b) return false;
    memcpy(ret->b, bin.at, sizeof ret->b);
    return true;
}

static value_t *value_read(bin_t body, bin_t slots)
{
    if (slots.len % 8 || slots.len / 8 > SLOTS_MAX) return NULL;
    size_t count = slots.len / 8;
    kref_t *krefs = take((count + 1) * sizeof *krefs);
    for (size_t i = 0; i < count; i++) krefs[i] = slot_read(slots.at + 8 * i);
    value_t *value = value_new(body, krefs, count);
    free(krefs);
    return value;
}

static bool load_counter(kernel_t *k, const row_counter_t *row)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        text_t name = text_of(counter_names[i]);
        if (name.len != row->name.len || memcmp(name.at, row->name.at, name.len) != 0) continue;
        k->counters[i].value = row->value;
        k->counters[i].head.stored = true;
        return true;
    }
    return false;
}

static bool load_host(kernel_t *k, const row_host_t *row)
{
    if (!row->host || host_find(k, row->host) || row->key.len != sizeof(hash_t)) return false;
    khost_t *host = take(sizeof *host);
    host->head = (head_t){.table = ROW_host, .stored = true};
    host->row = *row;
    host->name = text_blob(row->name);
    host->key = blob_new(row->key.at, row->key.len);
    host->row.name = blob_text(host->name);
    host->row.key = blob_bin(host->key);
    if (row->state > HOST_QUARANTINED || row->instances.len % sizeof(id128_t)) return false;
    host->reason = text_blob(row->reason);
    host->engine = text_blob(row->engine);
    host->instances = blob_new(row->instances.at, row->instances.len);
    host->row.reason = blob_text(host->reason);
    host->row.engine = blob_text(host->engine);
    host->row.instances = blob_bin(host->instances);
    if (row->request.len && row->request.len != sizeof(id128_t)) return false;
    if (row->request.len) host->request = blob_new(row->request.at, row->request.len);
    host->row.request = blob_bin(host->request);
    map_put(&k->hosts, row->host, host);
    return true;
}

static bool load_cluster(kernel_t *k, const row_cluster_t *row)
{
    if (!row->cluster || cluster_find(k, row->cluster) || row->state > CLUSTER_RUNNING)
        return false;
    if (row->request.len && row->request.len != sizeof(id128_t)) return false;
    kcluster_t *cluster = take(sizeof *cluster);
    cluster->head = (head_t){.table = ROW_cluster, .stored = true};
    cluster->row = *row;
    cluster->name = text_blob(row->name);
    cluster->services = text_blob(row->services);
    if (row->request.len) cluster->request = blob_new(row->request.at, row->request.len);
    cluster->row.name = blob_text(cluster->name);
    cluster->row.services = blob_text(cluster->services);
    cluster->row.request = blob_bin(cluster->request);
    map_put(&k->clusters, row->cluster, cluster);
    return true;
}

static bool load_config(kernel_t *k, const row_config_t *row)
{
    kcluster_t *cluster = cluster_find(k, row->cluster);
    if (!cluster || cluster->config || !row->launch.len) return false;
    config_t *config = take(sizeof *config);
    config->head = (head_t){.table = ROW_config, .stored = true};
    config->launch = blob_new(row->launch.at, row->launch.len);
    config->row = (row_config_t){row->cluster, blob_bin(config->launch)};
    cluster->config = config;
    return true;
}

static bool load_vat(kernel_t *k, const row_vat_t *row)
{
    if (!row->vat || row->vat > KREF_ISSUER_MAX || vat_find(k, row->vat)) return false;
    if (row->state > VAT_QUARANTINED || row->safe > row->applied || row->applied > row->assigned)
        return false;
    kvat_t *vat = take(sizeof *vat);
    vat->head = (head_t){.table = ROW_vat, .stored = true};
    vat->id = (vat_t){(uint32_t)row->vat};
    vat->row = *row;
    vat->name = text_blob(row->name);
    vat->reason = text_blob(row->reason);
    vat->bundle = text_blob(row->bundle);
    vat->first_bundle = text_blob(row->first_bundle);
    vat->globals = text_blob(row->globals);
    vat->hosts = text_blob(row->hosts);
    vat->row.name = blob_text(vat->name);
    vat->row.reason = blob_text(vat->reason);
    vat->row.bundle = blob_text(vat->bundle);
    vat->row.first_bundle = blob_text(vat->first_bundle);
    vat->row.globals = blob_text(vat->globals);
    vat->row.hosts = blob_text(vat->hosts);
    vat->row.chain = (bin_t){vat->chain.b, sizeof vat->chain.b};
    vat->row.checkpoint_chain = (bin_t){vat->checkpoint_chain.b, sizeof vat->checkpoint_chain.b};
    vat->row.oldest_chain = (bin_t){vat->oldest_chain.b, sizeof vat->oldest_chain.b};
    vat->row.safe_chain = (bin_t){vat->safe_chain.b, sizeof vat->safe_chain.b};
    vat->row.move_request = (bin_t){0};
    if (row->move_request.len) {
        vat->move_request = blob_new(row->move_request.at, row->move_request.len);
        vat->row.move_request = blob_bin(vat->move_request);
    }
    map_put(&k->vats, row->vat, vat);
    return hash_read(row->chain, &vat->chain) && row->poison <= POISON_REJECT &&
           hash_read(row->checkpoint_chain, &vat->checkpoint_chain) &&
           hash_read(row->oldest_chain, &vat->oldest_chain) &&
           hash_read(row->safe_chain, &vat->safe_chain) &&
           (!row->move_request.len || row->move_request.len == sizeof(id128_t));
}

static bool load_mirror(kernel_t *k, const row_mirror_t *row)
{
    kvat_t *vat = vat_find(k, row->vat);
    if (!vat || vat->mirror || row->d > vat->row.assigned) return false;
    mirror_t *mirror = take(sizeof *mirror);
    mirror->head = (head_t){.table = ROW_mirror, .stored = true};
    mirror->row = *row;
    mirror->row.chain = mirror->row.hash = (bin_t){0};
    mirror->unsure = row->d > vat->row.applied;
    vat->mirror = mirror;
    return hash_read(row->chain, &mirror->chain) && hash_read(row->hash, &mirror->hash);
}

static bool load_divergence(kernel_t *k, const row_divergence_t *row)
{
    kvat_t *vat = vat_find(k, row->vat);
    if (!vat || vat->divergence || row->d > vat->row.assigned) return false;
    divergence_t *divergence = take(sizeof *divergence);
    divergence->head = (head_t){.table = ROW_divergence, .stored = true};
    divergence->row = *row;
    divergence->calls = blob_new(row->calls.at, row->calls.len);
    divergence->row.calls = blob_bin(divergence->calls);
    vat->divergence = divergence;
    return true;
}

static bool load_object(kernel_t *k, const row_object_t *row)
{
    kref_t kref = {row->kref};
    if (!kref_is_object(kref) || object_find(k, kref)) return false;
    object_t *object = take(sizeof *object);
    object->named.head = (head_t){.table = ROW_object, .stored = true};
    object->row = *row;
    map_put(&k->objects, row->kref, object);
    return true;
}

static bool load_promise(kernel_t *k, const row_promise_t *row)
{
    kref_t kref = {row->kref};
    if (!kref_is_promise(kref) || promise_find(k, kref) || row->state > PROMISE_REJECTED)
        return false;
    promise_t *promise = take(sizeof *promise);
    promise->named.head = (head_t){.table = ROW_promise, .stored = true};
    promise->row = *row;
    promise->row.body = promise->row.slots = (bin_t){0};
    map_put(&k->promises, row->kref, promise);
    k->tally.unresolved += row->state == PROMISE_UNRESOLVED;
    if (row->state) promise->value = value_read(row->body, row->slots);
    return !row->state || promise->value;
}

/* By seq: rows come in key order from a store, so the tail is nearly always the place. */
static void queue_insert(queue_t *queue, entry_t *entry)
{
    if (!queue->tail || queue->tail->row.seq < entry->row.seq) {
        queue_push(queue, entry);
        return;
    }
    entry_t **at = &queue->head;
    while ((*at)->row.seq < entry->row.seq) at = &(*at)->next;
    entry->next = *at;
    *at = entry;
    queue->count++;
}

static bool load_entry(kernel_t *k, const row_entry_t *row)
{
    promise_t *promise = promise_find(k, kref_of(row->holder));
    kvat_t *vat = promise ? NULL : vat_find(k, row->holder);
    if ((!promise && !vat) || (row->kind > ENTRY_NOTIFY && row->kind != ENTRY_UPGRADE))
        return false;
    value_t *value = NULL;
    if (row->kind != ENTRY_NOTIFY && !(value = value_read(row->body, row->slots))) return false;

    entry_t *entry = take(sizeof *entry);
    entry->head = (head_t){.table = ROW_entry, .stored = true};
    entry->row = *row;
    entry->queued_us = row->queued_ms * 1000;
    entry->row.body = entry->row.slots = entry->row.trace = (bin_t){0};
    entry->value = value;
    if (row->note.len) entry->note = text_blob(row->note);
    entry->row.note = blob_text(entry->note);
    if (row->seq > k->next_entry) k->next_entry = row->seq;
    queue_insert(promise ? &promise->queue : &vat->queue, entry);
    return id_read(row->trace, &entry->trace);
}

static bool load_held(kernel_t *k, const row_held_t *row)
{
    kvat_t *vat = vat_find(k, row->vat);
    object_t *object = object_find(k, kref_of(row->kref));
    promise_t *promise = promise_find(k, kref_of(row->kref));
    if (!vat || (!object && !promise) || held_find(vat, kref_of(row->kref))) return false;
    held_t *held = take(sizeof *held);
    held->head = (head_t){.table = ROW_held, .stored = true};
    held->row = *row;
    held->vat = vat;
    held->named = object ? &object->named : &promise->named;
    held->next = held->named->holders;
    if (held->next) held->next->prev = held;
    held->named->holders = held;
    map_put(&vat->held, row->kref, held);
    return true;
}

/* ENTRY_* of a GC delivery or a reap, which count no reference; 0: neither. */
static unsigned gc_kind(msg_tag_t tag)
{
    switch (tag) {
    case TAG_deliver_reap: return ENTRY_REAP;
    case TAG_deliver_drop_exports: return ENTRY_DROP_EXPORTS;
    case TAG_deliver_retire_exports: return ENTRY_RETIRE_EXPORTS;
    case TAG_deliver_retire_imports: return ENTRY_RETIRE_IMPORTS;
    default: return 0;
    }
}

/* The references of a row in flight are read from its delivery: they are not stored twice. */
static log_t *log_read(const row_log_t *row)
{
    msg_t msg;
    if (msg_decode(row->delivery, &msg)) return NULL;

    log_t *log = NULL;
    if (msg.tag == TAG_deliver_start || msg.tag == TAG_deliver_upgrade) {
        bool start = msg.tag == TAG_deliver_start;
        const krefs_t *slots = start ? &msg.body.deliver_start.parameters.slots
                                     : &msg.body.deliver_upgrade.parameters.slots;
        log = take(sizeof *log + slots->count * sizeof *log->krefs);
        log->kind = start ? ENTRY_START : ENTRY_UPGRADE;
        for (size_t i = 0; i < slots->count; i++) log->krefs[log->kref_count++] = slots->at[i];
    } else if (msg.tag == TAG_deliver_message) {
        const msg_deliver_message_t *m = &msg.body.deliver_message;
        log = take(sizeof *log + (m->methargs.slots.count + 2) * sizeof *log->krefs);
        log->kind = ENTRY_MESSAGE;
        log->krefs[log->kref_count++] = m->target;
        for (size_t i = 0; i < m->methargs.slots.count; i++)
            log->krefs[log->kref_count++] = m->methargs.slots.at[i];
        if (!kref_none(m->result)) log->krefs[log->kref_count++] = m->result;
    } else if (msg.tag == TAG_deliver_notify) {
        const resolutions_t *r = &msg.body.deliver_notify.resolutions;
        log = take(sizeof *log + r->count * sizeof *log->krefs);
        log->kind = ENTRY_NOTIFY;
        for (size_t i = 0; i < r->count; i++) log->krefs[log->kref_count++] = r->at[i].promise;
    } else if (gc_kind(msg.tag)) {
        log = take(sizeof *log);
        log->kind = gc_kind(msg.tag);
    }
    msg_clear(&msg);
    return log;
}

static bool load_log(kernel_t *k, const row_log_t *row)
{
    kvat_t *vat = vat_find(k, row->vat);
    if (!vat || row->d > vat->row.assigned) return false;
    if (row->d <= vat->row.applied) return true; /* its bytes stay in the store */
    log_t *log = log_read(row);
    if (!log) return false;

    log->head = (head_t){.table = ROW_log, .stored = true};
    log->row = *row;
    log->row.delivery = log->row.hash = log->row.result_hash = log->row.chain = (bin_t){0};
    log->row.trace = log->row.calls = (bin_t){0};
    log->delivery = blob_new(row->delivery.at, row->delivery.len);
    log_t **at = &vat->log;
    while (*at && (*at)->row.d < row->d) at = &(*at)->next;
    log->next = *at;
    *at = log;
    if (!log->next) vat->log_tail = log;
    return hash_read(row->hash, &log->hash) && id_read(row->trace, &log->trace);
}

static bool load_hold(kernel_t *k, const row_hold_t *row)
{
    promise_t *promise = promise_find(k, kref_of(row->kref));
    if (!promise || promise->hold) return false;
    hold_t *hold = take(sizeof *hold);
    hold->head = (head_t){.table = ROW_hold, .stored = true};
    hold->row = *row;
    promise->hold = hold;
    map_put(&k->holds, row->kref, hold);
    return true;
}

static bool load_service(kernel_t *k, const row_service_t *row)
{
    const object_t *object = object_find(k, kref_of(row->kref));
    if (!object || object->row.owner || service_find(k, kref_of(row->kref))) return false;
    if (kref_issuer(kref_of(row->kref)).n || row->kind >= SERVICE_KINDS) return false;
    service_t *service = take(sizeof *service);
    service->head = (head_t){.table = ROW_service, .stored = true};
    service->row = *row;
    service->text = text_blob(row->text);
    service->row.text = blob_text(service->text);
    service->row.body = service->row.slots = (bin_t){0};
    if (row->ended) service->value = value_read(row->body, row->slots);
    map_put(&k->services, row->kref, service);
    service_link(k, service);
    return !row->ended || service->value;
}

static bool load_pending(kernel_t *k, const row_pending_t *row)
{
    if (!promise_find(k, kref_of(row->promise)) || map_get(&k->pendings, row->promise))
        return false;
    if (row->watched && !promise_find(k, kref_of(row->watched))) return false;
    if (row->kind >= PENDING_KINDS || (row->vat && !vat_find(k, row->vat))) return false;
    pending_t *pending = take(sizeof *pending);
    pending->head = (head_t){.table = ROW_pending, .stored = true};
    pending->row = *row;
    pending->row.request = (bin_t){0};
    pending->has_request = row->request.len != 0;
    map_put(&k->pendings, row->promise, pending);
    pending_link(k, pending);
    return id_read(row->request, &pending->request);
}

static bool load_timer(kernel_t *k, const row_timer_t *row)
{
    if (!row->timer || map_get(&k->timers, row->timer) || row->kind >= TIMER_KINDS) return false;
    ktimer_t *timer = take(sizeof *timer);
    timer->head = (head_t){.table = ROW_timer, .stored = true};
    timer->row = *row;
    timer_link(k, timer);
    return kref_known(k, kref_of(row->target ? row->target : row->number));
}

static bool load_errand(kernel_t *k, const row_errand_t *row)
{
    if (!row->errand || map_get(&k->errands, row->errand)) return false;
    errand_t *errand = take(sizeof *errand);
    errand->head = (head_t){.table = ROW_errand, .stored = true};
    errand->row = *row;
    errand->what = text_blob(row->what);
    errand->body = blob_new(row->body.at, row->body.len);
    errand->row.what = blob_text(errand->what);
    errand->row.body = blob_bin(errand->body);
    map_put(&k->errands, row->errand, errand);
    return true;
}

static bool load_request(kernel_t *k, const row_request_t *row)
{
    id128_t id;
    if (row->id.len != sizeof id.b || !id_read(row->id, &id) || request_find(k, id)) return false;
    request_t *request = take(sizeof *request);
    request->head = (head_t){.table = ROW_request, .stored = true};
    request->id = id;
    request->row.seq = row->seq;
    if (row->reply.len) request->reply = blob_new(row->reply.at, row->reply.len);
    request_load(k, request);
    return true;
}

err_t kernel_load(kernel_t *k, const row_t *row)
{
    bool good = false;
    switch (row->table) {
    case ROW_counter: good = load_counter(k, &row->body.counter); break;
    case ROW_host: good = load_host(k, &row->body.host); break;
    case ROW_cluster: good = load_cluster(k, &row->body.cluster); break;
    case ROW_config: good = load_config(k, &row->body.config); break;
    case ROW_vat: good = load_vat(k, &row->body.vat); break;
    case ROW_object: good = load_object(k, &row->body.object); break;
    case ROW_service: good = load_service(k, &row->body.service); break;
    case ROW_promise: good = load_promise(k, &row->body.promise); break;
    case ROW_entry: good = load_entry(k, &row->body.entry); break;
    case ROW_held: good = load_held(k, &row->body.held); break;
    case ROW_log: good = load_log(k, &row->body.log); break;
    case ROW_mirror: good = load_mirror(k, &row->body.mirror); break;
    case ROW_divergence: good = load_divergence(k, &row->body.divergence); break;
    case ROW_pending: good = load_pending(k, &row->body.pending); break;
    case ROW_timer: good = load_timer(k, &row->body.timer); break;
    case ROW_errand: good = load_errand(k, &row->body.errand); break;
    case ROW_hold: good = load_hold(k, &row->body.hold); break;
    case ROW_request: good = load_request(k, &row->body.request); break;
    case ROW_TABLES: break;
    }
    return good ? ERR_OK : ERR_STORE_DAMAGED;
}

/* ---- links ---- */

static int by_seq(const void *a, const void *b)
{
    const hold_t *x = *(hold_t *const *)a, *y = *(hold_t *const *)b;
    return (x->row.seq > y->row.seq) - (x->row.seq < y->row.seq);
}

static void link_holds(kernel_t *k)
{
    hold_t **all = take((k->holds.count + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < k->holds.room; i++) {
        hold_t *hold = map_cell(&k->holds, i);
        if (hold && hold->row.seq) all[n++] = hold;
    }
    qsort(all, n, sizeof *all, by_seq);
    for (size_t i = 0; i < n; i++) {
        all[i]->prev = k->settled_tail;
        *(k->settled_tail ? &k->settled_tail->next : &k->settled_head) = all[i];
        k->settled_tail = all[i];
        k->next_hold = all[i]->row.seq;
        k->settled_count++;
    }
    free(all);
}

/* What does not fit is left out: the audit names it. */
static void link_deciders(kernel_t *k)
{
    for (size_t i = 0; i < k->promises.room; i++) {
        promise_t *promise = map_cell(&k->promises, i);
        if (!promise || !promise->row.decider) continue;
        kvat_t *vat = vat_find(k, promise->row.decider);
        if (vat) promise_list(vat, promise);
    }
}

static bool log_whole(const kvat_t *vat)
{
    uint64_t d = vat->row.applied;
    for (const log_t *log = vat->log; log; log = log->next)
        if (log->row.d != ++d) return false;
    return d == vat->row.assigned;
}

/* Vats of a cluster stand in the order of their numbers, which is that of the file. */
static bool link_vat(kernel_t *k, kvat_t *vat)
{
    kcluster_t *cluster = cluster_find(k, vat->row.cluster);
    vat->cluster = cluster;
    if (cluster) {
        void *wide = realloc(cluster->vats, (cluster->vat_count + 1) * sizeof *cluster->vats);
        must(wide);
        cluster->vats = wide;
        cluster->vats[cluster->vat_count++] = vat;
    }
    bool unclean = vat->held.count || vat->row.safe < vat->row.applied;
    if (!vat_alive(vat) && unclean && !PLANTED(cleaning_not_resumed)) clean_begin(k, vat);
    if (vat_alive(vat)) {
        vat_counted(k, vat, true);
        checkpoint_look(k, vat);
        vat_ready(k, vat); /* how long GC has waited is not in the store */
    }
    size_t busy = vat->queue.count;
    for (const log_t *log = vat->log; log; log = log->next) busy++;
    for (size_t i = 0; i < busy; i++) vat_busy(k, vat, true);
    return log_whole(vat);
}

err_t kernel_loaded(kernel_t *k, const uint8_t entropy[32])
{
    memcpy(k->entropy, entropy, sizeof k->entropy);
    k->draws = 0;
    if (!k->counters[COUNTER_kernel_hi].value && !k->counters[COUNTER_kernel_lo].value) {
        uint64_t id[2];
        draw(k, id, sizeof id);
        k->counters[COUNTER_kernel_hi].value = id[0];
        k->counters[COUNTER_kernel_lo].value = id[1];
        touch(k, &k->counters[COUNTER_kernel_hi].head);
        touch(k, &k->counters[COUNTER_kernel_lo].head);
    }
    count_up(k, COUNTER_epoch);
    requests_loaded(k);
    link_holds(k);
    link_deciders(k);
    bool good = true;
    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) good = link_vat(k, vat_find(k, vats[i])) && good;
    free(vats);
    errands_loaded(k);
    if (!PLANTED(gc_not_resumed)) gc_look_all(k);
    return !good || kernel_audit(k, NULL, NULL) ? ERR_STORE_DAMAGED : ERR_OK;
}
