/* Replies to clients, and the record that gives a repeated request the same one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/state/state.h"
#include "wire/base/hash.h"

static uint64_t fold(id128_t id)
{
    uint64_t parts[2];
    memcpy(parts, id.b, sizeof parts);
    return parts[0] ^ parts[1];
}

request_t *request_find(const kernel_t *k, id128_t id)
{
    request_t *at = map_get(&k->requests, fold(id));
    while (at && !id_same(at->id, id)) at = at->same;
    return at;
}

static void request_index(kernel_t *k, request_t *request)
{
    request->same = map_get(&k->requests, fold(request->id));
    map_put(&k->requests, fold(request->id), request);
    if (request->row.seq > k->next_request) k->next_request = request->row.seq;
    k->request_count++;
}

/* Puts REQUEST, whose id and seq are set, into the index and behind the youngest. */
static void request_add(kernel_t *k, request_t *request)
{
    request_index(k, request);
    if (k->request_tail)
        k->request_tail->next = request;
    else
        k->request_head = request;
    k->request_tail = request;
}

/* Rows come in the order of their ids, which are random. */
void request_load(kernel_t *k, request_t *request)
{
    request_index(k, request);
    request->next = k->request_head;
    k->request_head = request;
}

static int by_age(const void *a, const void *b)
{
    const request_t *const *left = a, *const *right = b;
    return (*left)->row.seq < (*right)->row.seq ? -1 : (*left)->row.seq > (*right)->row.seq;
}

void requests_loaded(kernel_t *k)
{
    size_t count = 0;
    request_t **all = take((k->request_count + 1) * sizeof *all);
    for (request_t *request = k->request_head; request; request = request->next)
        all[count++] = request;
    qsort(all, count, sizeof(request_t *), by_age);
    for (size_t i = 0; i < count; i++) all[i]->next = i + 1 < count ? all[i + 1] : NULL;
    k->request_head = count ? all[0] : NULL;
    k->request_tail = count ? all[count - 1] : NULL;
    free(all);
}

void request_free(request_t *request)
{
    blob_destroy(&request->reply);
    free(request);
}

static void forget_oldest(kernel_t *k)
{
    request_t *old = k->request_head;
    k->request_head = old->next;
    must(k->request_head); /* the youngest stays */
    k->request_count--;

    request_t *first = map_remove(&k->requests, fold(old->id));
    request_t **at = &first;
    while (*at != old) at = &(*at)->same;
    *at = old->same;
    if (first) map_put(&k->requests, fold(old->id), first);
    bury(k, &old->head);
    request_free(old);
}

static request_t *request_new(kernel_t *k, id128_t id)
{
    request_t *self = take(sizeof *self);
    self->head.table = ROW_request;
    self->id = id;
    self->row.seq = k->next_request + 1;
    request_add(k, self);
    touch(k, &self->head);
    if (k->request_count > REQUESTS_KEPT_MAX) forget_oldest(k);
    return self;
}

/* Does somebody ask for what he asked for before? */
bool request_same(const blob_t *kept, id128_t id)
{
    return kept && memcmp(blob_bin(kept).at, id.b, sizeof id.b) == 0;
}

void request_pending(kernel_t *k, id128_t id)
{
    must(!request_find(k, id));
    request_new(k, id);
}

static void send_client(kernel_t *k, uint32_t client, blob_t *frame)
{
    if (client)
        effect_add(k, EFFECT_CLIENT, client)->frame = frame;
    else
        blob_destroy(&frame);
}

/* True: this request was answered before, and was answered again. */
bool request_repeated(kernel_t *k, uint32_t client, id128_t id)
{
    const request_t *request = request_find(k, id);
    if (!request) return false;
    if (request->reply) send_client(k, client, blob_ref(request->reply));
    return true;
}

void reply(kernel_t *k, uint32_t client, msg_tag_t tag, const void *body)
{
    send_client(k, client, frame_of(k, tag, body));
}

/* CLIENT may be 0: the record is made all the same. */
void reply_recorded(kernel_t *k, uint32_t client, id128_t id, msg_tag_t tag, const void *body)
{
    request_t *request = request_find(k, id);
    if (!request) request = request_new(k, id);
    blob_destroy(&request->reply);
    request->reply = frame_of(k, tag, body);
    touch(k, &request->head);
    send_client(k, client, blob_ref(request->reply));
}

void reply_failed(kernel_t *k, uint32_t client, id128_t id, bool record, err_t error,
                  const char *what, const char *why)
{
    msg_failed_t msg = {id, error, text_of(what), text_of(why)};
    if (record)
        reply_recorded(k, client, id, TAG_failed, &msg);
    else
        reply(k, client, TAG_failed, &msg);
}

void reply_done(kernel_t *k, uint32_t client, id128_t request)
{
    msg_done_t msg = {request};
    reply_recorded(k, client, request, TAG_done, &msg);
}

/* The vat that a request names; or answers that there is none. */
kvat_t *vat_asked(kernel_t *k, uint32_t client, id128_t request, vat_t id)
{
    kvat_t *vat = vat_find(k, id.n);
    err_t err = !vat ? ERR_VAT_UNKNOWN : vat_alive(vat) ? ERR_OK : ERR_VAT_TERMINATED;
    if (!err) return vat;
    char what[64];
    snprintf(what, sizeof what, "v%u: %s", id.n, err_text(err));
    reply_failed(k, client, request, true, err, what, "");
    return NULL;
}

/* The cluster that a request names; or answers that there is none. */
kcluster_t *cluster_asked(kernel_t *k, uint32_t client, id128_t request, cluster_t id)
{
    kcluster_t *cluster = cluster_find(k, id.n);
    if (!cluster)
        reply_failed(k, client, request, true, ERR_CLUSTER_UNKNOWN, err_text(ERR_CLUSTER_UNKNOWN),
                     "");
    return cluster;
}
