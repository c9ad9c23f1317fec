/* LIST of objects, promises, queues, and of how a cluster was launched.
 *
 * A page is made by one walk over what the filters leave. It keeps no more than the page has room for, in
 * a heap with the greatest number on top: so a page costs little more than to look at each number. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/client/own.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"

typedef struct {
    uint64_t number; /* kref, or place in the queues: what rows are sorted by */
    const void *at;
} found_t;

typedef struct {
    const kernel_t *k;
    const msg_list_t *msg;
    const kvat_t *vat, *holder; /* filters; NULL: none */
    const kcluster_t *cluster;
    found_t *found; /* the least so far, at most MOST: then a heap, the greatest first */
    size_t count, most, room;
} registry_t;

/* ---- the least ---- */

/* Does NUMBER belong to the page, as far as is known? */
static bool wants(const registry_t *r, uint64_t number)
{
    return number >= r->msg->first && (r->count < r->most || number < r->found[0].number);
}

static void sift(registry_t *r, size_t i)
{
    found_t it = r->found[i];
    for (size_t child; (child = 2 * i + 1) < r->count; i = child) {
        if (child + 1 < r->count && r->found[child + 1].number > r->found[child].number) child++;
        if (it.number >= r->found[child].number) break;
        r->found[i] = r->found[child];
    }
    r->found[i] = it;
}

static void keep(registry_t *r, uint64_t number, const void *at)
{
    if (!wants(r, number)) return;
    if (r->count == r->most) {
        r->found[0] = (found_t){number, at};
        sift(r, 0);
        return;
    }
    r->found = grown(r->found, &r->room, r->count + 1, sizeof *r->found);
    r->found[r->count++] = (found_t){number, at};
    if (r->count == r->most)
        for (size_t i = r->count / 2; i-- > 0;) sift(r, i);
}

static int by_number(const void *a, const void *b)
{
    const found_t *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* ---- texts ---- */

static text_t vat_name(const kvat_t *vat) { return vat ? vat->row.name : (text_t){0}; }

/* The vat of this number, if it is alive: what an ended one still has means nothing. */
static const kvat_t *alive(const kernel_t *k, uint64_t n)
{
    const kvat_t *vat = vat_find(k, n);
    return vat && vat_alive(vat) ? vat : NULL;
}

text_t object_state(const kernel_t *k, const object_t *object)
{
    if (object->row.revoked) return text_of("revoked");
    if (service_find(k, kref_of(object->row.kref))) return text_of("service");
    return text_of(object_orphan(k, object) ? "orphan" : "live");
}

/* What OBJECT is, if it is one of the kernel's own. */
text_t object_service(const kernel_t *k, const object_t *object)
{
    const service_t *service = service_find(k, kref_of(object->row.kref));
    return service ? text_of(service_iface((service_kind_t)service->row.kind)) : (text_t){0};
}

text_t promise_state(const promise_t *promise)
{
    static const char *const states[] = {"unresolved", "fulfilled", "rejected"};
    return text_of(states[promise->row.state]);
}

typedef struct {
    const char *bracket; /* before a vat that only recognizes it */
    uint64_t vat;
} mention_t;

static int by_vat(const void *a, const void *b)
{
    const mention_t *x = a, *y = b;
    return (x->vat > y->vat) - (x->vat < y->vat);
}

/* The vats in SOME, ascending, as text; those that do not fit are left out. */
static text_t mentions(mention_t *some, size_t count, char *out, size_t room)
{
    size_t len = 0;
    if (count) qsort(some, count, sizeof *some, by_vat);
    for (size_t i = 0; i < count; i++) {
        char one[32];
        int n = snprintf(one, sizeof one, "%s%sv%u%s", i ? " " : "", some[i].bracket,
                         (unsigned)some[i].vat, *some[i].bracket ? ")" : "");
        if (n < 0 || len + (size_t)n > room) break;
        for (int j = 0; j < n; j++) out[len++] = one[j];
    }
    return (text_t){out, len};
}

/* ---- rows ---- */

static err_t add_object(const registry_t *r, const object_t *object, buf_t *out)
{
    size_t count = 0, all = 0;
    for (const held_t *held = object->named.holders; held; held = held->next) all++;
    mention_t *holders = take((all + 1) * sizeof *holders);
    for (const held_t *held = object->named.holders; held; held = held->next) {
        if (held->row.flags & HELD_EXPORTED || !vat_alive(held->vat)) continue;
        holders[count++] = (mention_t){held->row.flags & HELD_REACHABLE ? "" : "(", held->row.vat};
    }
    char text[TEXT_BYTES_MAX];
    const kvat_t *owner = alive(r->k, object->row.owner);
    msg_object_row_t row = {.kref = kref_of(object->row.kref),
                            .owner = owner ? owner->id : (vat_t){0},
                            .name = vat_name(owner),
                            .state = object_state(r->k, object),
                            .service = object_service(r->k, object),
                            .reachable = object->row.reachable,
                            .recognizable = object->row.recognizable,
                            .pins = object->row.pins,
                            .holder_count = count,
                            .holders = mentions(holders, count, text, sizeof text)};
    free(holders);
    return msg_encode(TAG_object_row, &row, out);
}

static text_t subscribers(const promise_t *promise, char *out, size_t room)
{
    size_t count = 0, all = 0;
    for (const held_t *held = promise->named.holders; held; held = held->next) all++;
    mention_t *some = take((all + 1) * sizeof *some);
    for (const held_t *held = promise->named.holders; held; held = held->next)
        if (held->row.flags & HELD_SUBSCRIBED && vat_alive(held->vat))
            some[count++] = (mention_t){"", held->row.vat};
    text_t text = mentions(some, count, out, room);
    free(some);
    return text;
}

static err_t add_promise(const registry_t *r, const promise_t *promise, buf_t *out)
{
    char text[TEXT_BYTES_MAX];
    const kvat_t *decider = alive(r->k, promise->row.decider);
    capdata_t value = value_data(promise->value);
    msg_promise_row_t row = {.kref = kref_of(promise->row.kref),
                             .state = promise_state(promise),
                             .decider = decider ? decider->id : (vat_t){0},
                             .name = vat_name(decider),
                             .count = promise->row.count,
                             .waiting = promise->queue.count,
                             .made_ms = promise->row.made_ms,
                             .held = promise->hold != NULL,
                             .subscribers = subscribers(promise, text, sizeof text),
                             .bytes = value.body.len};
    if (value.body.len <= VALUE_SHOWN_MAX) row.value = value;
    return msg_encode(TAG_promise_row, &row, out);
}

static err_t add_entry(const registry_t *r, const entry_t *entry, buf_t *out)
{
    static const char *const kinds[] = {[ENTRY_START] = "start",
                                        [ENTRY_MESSAGE] = "message",
                                        [ENTRY_NOTIFY] = "notify",
                                        [ENTRY_UPGRADE] = "upgrade"};
    kref_t holder = {entry->row.holder};
    bool waits = kref_is_promise(holder);
    const kvat_t *vat = waits ? NULL : vat_find(r->k, holder.n);
    msg_entry_row_t row = {.vat = vat ? vat->id : (vat_t){0},
                           .name = vat_name(vat),
                           .promise = waits ? holder : (kref_t){0},
                           .seq = entry->row.seq,
                           .kind = text_of(kinds[entry->row.kind]),
                           .target = kref_of(entry->row.target),
                           .result = kref_of(entry->row.result),
                           .msg = entry_cause(entry).msg,
                           .queued_ms = entry->row.queued_ms};
    if (entry->row.kind == ENTRY_MESSAGE)
        row.method = text_cut(smallcaps_method(value_data(entry->value).body), NAME_BYTES_MAX);
    return msg_encode(TAG_entry_row, &row, out);
}

/* ---- what the filters leave: the narrowest list is walked, the other filters are asked ---- */

static void keep_object(registry_t *r, const object_t *object)
{
    if (!r->vat && !r->cluster) {
        keep(r, object->row.kref, object);
        return;
    }
    const kvat_t *owner = alive(r->k, object->row.owner);
    if (r->vat && owner != r->vat) return;
    if (r->cluster && (!owner || owner->cluster != r->cluster)) return;
    keep(r, object->row.kref, object);
}

static void keep_promise(registry_t *r, const promise_t *promise)
{
    const kvat_t *decider = alive(r->k, promise->row.decider);
    if (r->msg->unsettled && promise->row.state != PROMISE_UNRESOLVED) return;
    if (r->vat && decider != r->vat) return;
    if (r->cluster && (!decider || decider->cluster != r->cluster)) return;
    keep(r, promise->row.kref, promise);
}

/* Of what VAT has rows for: objects that it exported, or those that it did not. */
static void keep_objects_of(registry_t *r, const kvat_t *vat, bool exported)
{
    for (size_t i = 0; i < vat->held.room; i++) {
        const held_t *held = map_cell(&vat->held, i);
        if (!held || !kref_is_object(kref_of(held->row.kref)) || !wants(r, held->row.kref))
            continue;
        if (exported == !(held->row.flags & HELD_EXPORTED)) continue;
        keep_object(r, object_find(r->k, kref_of(held->row.kref)));
    }
}

static void find_objects(registry_t *r)
{
    if (r->holder) {
        keep_objects_of(r, r->holder, false);
    } else if (r->vat) {
        keep_objects_of(r, r->vat, true);
    } else if (r->cluster) {
        for (size_t i = 0; i < r->cluster->vat_count; i++)
            if (vat_alive(r->cluster->vats[i])) keep_objects_of(r, r->cluster->vats[i], true);
    } else {
        const map_t *all = &r->k->objects;
        for (size_t i = 0; i < all->room; i++)
            if (map_cell(all, i) && wants(r, map_key(all, i))) keep_object(r, map_cell(all, i));
    }
}

static void keep_decided(registry_t *r, const kvat_t *vat)
{
    for (const promise_t *promise = vat->decides; promise; promise = promise->decided_next)
        keep_promise(r, promise);
}

static void find_promises(registry_t *r)
{
    if (r->holder) {
        for (size_t i = 0; i < r->holder->held.room; i++) {
            const held_t *held = map_cell(&r->holder->held, i);
            if (held && kref_is_promise(kref_of(held->row.kref)))
                keep_promise(r, promise_find(r->k, kref_of(held->row.kref)));
        }
    } else if (r->vat) {
        keep_decided(r, r->vat);
    } else if (r->cluster) {
        for (size_t i = 0; i < r->cluster->vat_count; i++) keep_decided(r, r->cluster->vats[i]);
    } else {
        const map_t *all = &r->k->promises;
        for (size_t i = 0; i < all->room; i++)
            if (map_cell(all, i) && wants(r, map_key(all, i))) keep_promise(r, map_cell(all, i));
    }
}

static void keep_queue(registry_t *r, const queue_t *queue)
{
    for (const entry_t *entry = queue->head; entry; entry = entry->next)
        keep(r, entry->row.seq, entry);
}

static void find_entries(registry_t *r)
{
    for (size_t i = 0; i < r->k->vats.room; i++) {
        const kvat_t *vat = map_cell(&r->k->vats, i);
        if (!vat || (r->vat && vat != r->vat) || (r->cluster && vat->cluster != r->cluster))
            continue;
        keep_queue(r, &vat->queue);
    }
    if (r->vat || r->cluster) return;
    for (size_t i = 0; i < r->k->promises.room; i++) {
        const promise_t *promise = map_cell(&r->k->promises, i);
        if (promise) keep_queue(r, &promise->queue);
    }
}

/* ---- LIST ---- */

/* What a filter names must exist; of a vat that ended there is nothing. */
static err_t read_filters(registry_t *r, bool *ret_nothing)
{
    const kernel_t *k = r->k;
    const msg_list_t *msg = r->msg;
    r->vat = vat_find(k, msg->vat.n);
    r->holder = vat_find(k, msg->holder.n);
    r->cluster = msg->cluster.n ? cluster_find(k, msg->cluster.n) : NULL;
    if ((msg->vat.n && !r->vat) || (msg->holder.n && !r->holder)) return ERR_VAT_UNKNOWN;
    if (msg->cluster.n && !r->cluster) return ERR_CLUSTER_UNKNOWN;
    *ret_nothing = (r->vat && !vat_alive(r->vat)) || (r->holder && !vat_alive(r->holder));
    return ERR_OK;
}

/* Appends how the cluster was launched. */
static err_t list_launch(const kernel_t *k, const msg_list_t *msg, buf_t *out)
{
    const kcluster_t *cluster = cluster_find(k, msg->cluster.n);
    if (!cluster) return ERR_CLUSTER_UNKNOWN;
    bin_t launch = blob_bin(cluster->config->launch);
    return buf_add(out, launch.at, launch.len);
}

/* Rows for a LIST of REGISTRY_OBJECTS and on, into OUT; sets RET_NEXT to where the next page begins, 0 when
 * there is none. */
err_t registry_list(const kernel_t *k, const msg_list_t *msg, buf_t *out, uint64_t *ret_next)
{
    /* One more than the page: where the next one begins. */
    size_t most = msg->limit && msg->limit < SIZE_MAX ? msg->limit + 1 : SIZE_MAX;
    registry_t r = {.k = k, .msg = msg, .most = most};
    bool nothing = false;
    if (msg->what == REGISTRY_LAUNCH) return list_launch(k, msg, out);
    err_t err = read_filters(&r, &nothing);
    if (err || nothing) return err;

    if (msg->what == REGISTRY_OBJECTS)
        find_objects(&r);
    else if (msg->what == REGISTRY_PROMISES)
        find_promises(&r);
    else
        find_entries(&r);
    if (r.count) qsort(r.found, r.count, sizeof *r.found, by_number);
    size_t rows = 0;
    for (; rows < r.count && rows < r.most - 1 && !err; rows += !err) {
        const void *at = r.found[rows].at;
        err = msg->what == REGISTRY_OBJECTS    ? add_object(&r, at, out)
              : msg->what == REGISTRY_PROMISES ? add_promise(&r, at, out)
                                               : add_entry(&r, at, out);
    }
    *ret_next = rows < r.count ? r.found[rows].number : 0; /* an error: the page is full */
    free(r.found);
    return ERR_OK;
}
