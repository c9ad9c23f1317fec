/* Hosts: their sessions, what they may do, and when one is gone for good. */
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/host/own.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/hash.h"

void host_free(khost_t *host)
{
    blob_destroy(&host->name);
    blob_destroy(&host->key);
    blob_destroy(&host->reason);
    blob_destroy(&host->engine);
    blob_destroy(&host->instances);
    blob_destroy(&host->request);
    free(host);
}

host_t kernel_host(const kernel_t *k, hash_t key)
{
    for (size_t i = 0; i < k->hosts.room; i++) {
        const khost_t *host = map_cell(&k->hosts, i);
        if (host && memcmp(blob_bin(host->key).at, key.b, sizeof key.b) == 0)
            return (host_t){(uint32_t)host->row.host};
    }
    return (host_t){0};
}

void kernel_disavowed(const kernel_t *k, key_visit_t *visit, void *context)
{
    for (size_t i = 0; i < k->hosts.room; i++) {
        const khost_t *host = map_cell(&k->hosts, i);
        hash_t key;
        if (!host || host->row.state != HOST_DISAVOWED) continue;
        memcpy(key.b, blob_bin(host->key).at, sizeof key.b);
        visit(context, key);
    }
}

static void refuse(kernel_t *k, uint32_t to, err_t err, msg_tag_t tag, const char *text)
{
    msg_refuse_t msg = {err, tag, text_of(text)};
    blob_t *frame = frame_of(k, TAG_refuse, &msg);
    effect_add(k, EFFECT_HOST, to)->frame = frame;
}

/* No worker there is known. BACK: the host said HELLO, and goes on. */
static void detach_all(kernel_t *k, uint64_t host, bool back)
{
    for (size_t i = 0; i < k->vats.room; i++) {
        kvat_t *vat = map_cell(&k->vats, i);
        if (!vat || vat->row.host != host) continue;
        vat->attached = vat->asked = false;
        if (!back) makes_fail(k, vat, false, ERR_NO_HOST, "its host went away");
    }
}

static khost_t *host_new(kernel_t *k, hash_t key)
{
    khost_t *self = take(sizeof *self);
    self->head.table = ROW_host;
    self->row.host = count_up(k, COUNTER_next_host);
    self->key = blob_new(key.b, sizeof key.b);
    self->row.key = blob_bin(self->key);
    map_put(&k->hosts, self->row.host, self);
    return self;
}

static void set_text(blob_t **at, text_t *row, text_t text)
{
    blob_t *fresh = text_blob(text);
    blob_destroy(at);
    *at = fresh;
    *row = blob_text(fresh);
}

/* ---- sessions ---- */

/* What a host may not even say HELLO to. */
static err_t host_banned(const khost_t *host)
{
    if (host->row.state == HOST_DISAVOWED) return ERR_HOST_DISAVOWED;
    return host->row.state == HOST_QUARANTINED ? ERR_HOST_CLONED : ERR_OK;
}

static void host_up(kernel_t *k, khost_t *host, const msg_hello_t *msg)
{
    uint64_t epoch = k->counters[COUNTER_epoch].value;
    set_text(&host->name, &host->row.name, msg->name);
    set_text(&host->engine, &host->row.engine, msg->engine);
    host->row.epoch = epoch;
    touch(k, &host->head);
    host->connected = true;
    host->instance = msg->instance;
    draw(k, &host->session, sizeof host->session);
    if (!host->session) host->session = 1;
    detach_all(k, host->row.host, true);

    uint64_t proto = msg->proto_max < PROTO_MAX ? msg->proto_max : PROTO_MAX;
    msg_welcome_t welcome = {
        proto, msg->nonce, epoch, kernel_id(k), {(uint32_t)host->row.host}, host->session};
    send_host(k, host->row.host, TAG_welcome, &welcome);
    event_life(k, "host-up", NULL, host, (text_t){0});

    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        kvat_t *vat = vat_find(k, vats[i]);
        if (vat->row.host == host->row.host) vat_push(k, vat);
    }
    free(vats);
    k->hosts_check = true;
}

void on_hello(kernel_t *k, hash_t key, const msg_hello_t *msg)
{
    khost_t *host = host_find(k, kernel_host(k, key).n);
    if (!host) {
        host = host_new(k, key);
        set_text(&host->name, &host->row.name, msg->name);
        touch(k, &host->head);
    }
    uint32_t to = (uint32_t)host->row.host;
    err_t banned = host_banned(host);
    if (msg->proto_min > PROTO_MAX || msg->proto_max < PROTO_MIN)
        refuse(k, to, ERR_PROTOCOL_RANGE, TAG_hello, err_text(ERR_PROTOCOL_RANGE));
    else if (msg->epoch > k->counters[COUNTER_epoch].value)
        refuse(k, to, ERR_STORE_DAMAGED, TAG_hello,
               "this broker's state is older than what the host has seen of it");
    else if (banned)
        refuse(k, to, banned, TAG_hello, err_text(banned));
    else
        host_up(k, host, msg);
}

static void host_down(kernel_t *k, khost_t *host, const char *event, text_t why)
{
    host->connected = false;
    host->session = 0;
    host->gone_us = k->now_us;
    detach_all(k, host->row.host, false);
    event_life(k, event, NULL, host, why);
    k->hosts_check = true;
}

void on_host_gone(kernel_t *k, uint32_t from)
{
    khost_t *host = host_find(k, from);
    if (host && host->connected) host_down(k, host, "host-down", (text_t){0});
}

/* Has this host a session? If not, it is told what it needs. */
bool host_speaks(kernel_t *k, uint32_t from, msg_tag_t tag)
{
    const khost_t *host = host_find(k, from);
    if (host && host->connected) return true;
    err_t err = host ? host_banned(host) : ERR_OK;
    if (!err) err = ERR_NEED_HELLO;
    refuse(k, from, err, tag, err_text(err));
    return false;
}

/* ---- clones ---- */

/* One key, two processes: whichever of them speaks, nobody knows what the other does. */
static void host_cloned(kernel_t *k, khost_t *host)
{
    refuse(k, (uint32_t)host->row.host, ERR_HOST_CLONED, TAG_present, err_text(ERR_HOST_CLONED));
    host->row.state = HOST_QUARANTINED;
    set_text(&host->reason, &host->row.reason, text_of(err_text(ERR_HOST_CLONED)));
    touch(k, &host->head);
    host_down(k, host, "host-quarantine", host->row.reason);
}

static void instances_set(kernel_t *k, khost_t *host, const uint8_t *at, size_t len)
{
    blob_t *fresh = blob_new(at, len);
    blob_destroy(&host->instances);
    host->instances = fresh;
    host->row.instances = blob_bin(fresh);
    touch(k, &host->head);
}

/* The process that said HELLO lives now. It may be the one that was here last, or a new one in its place:
 * then that one ended. One that was replaced so, and is here again, never ended: a clone. */
void on_present(kernel_t *k, uint32_t from, const msg_present_t *msg)
{
    khost_t *host = host_find(k, from);
    if (!host->session || msg->session != host->session) return;
    host->session = 0;
    static const id128_t none;
    if (id_same(host->instance, none)) return;

    enum { ID = sizeof(id128_t) };
    bin_t known = blob_bin(host->instances);
    size_t count = known.len / ID, at = 0;
    while (at < count && memcmp(known.at + at * ID, host->instance.b, ID) != 0) at++;
    if (count && at == 0) return;
    if (at < count) {
        host_cloned(k, host);
        return;
    }
    uint8_t list[HOST_INSTANCES_MAX * ID];
    size_t kept = count < HOST_INSTANCES_MAX ? count : HOST_INSTANCES_MAX - 1;
    memcpy(list, host->instance.b, ID);
    if (kept) memcpy(list + ID, known.at, kept * ID);
    instances_set(k, host, list, (kept + 1) * ID);
}

/* ---- placement ---- */

/* The open host with the fewest vats, the first of those. LIKE: not that one itself, and with the same
 * build of the engine; NULL: any. */
khost_t *host_roomiest(const kernel_t *k, const khost_t *like)
{
    khost_t *best = NULL;
    for (size_t i = 0; i < k->hosts.room; i++) {
        khost_t *host = map_cell(&k->hosts, i);
        if (!host || !host_takes(host) || host == like) continue;
        if (like && !text_same(host->row.engine, like->row.engine)) continue;
        bool first = best && host->vats == best->vats && host->row.host < best->row.host;
        if (!best || host->vats < best->vats || first) best = host;
    }
    return best;
}

/* ---- HOST_CHANGE ---- */

enum { CHANGE_DRAIN = 1, CHANGE_UNDRAIN, CHANGE_DISAVOW, CHANGE_READMIT };

static void set_state(kernel_t *k, khost_t *host, uint64_t state, text_t reason)
{
    host->row.state = state;
    set_text(&host->reason, &host->row.reason, reason);
    touch(k, &host->head);
    k->hosts_check = true;
}

/* The id of the HOST_CHANGE that waits until HOST is drained; false: none does. It is none any more. */
static bool drain_take(kernel_t *k, khost_t *host, id128_t *ret)
{
    if (!host->request) return false;
    memcpy(ret->b, blob_bin(host->request).at, sizeof ret->b);
    blob_destroy(&host->request);
    host->row.request = (bin_t){0};
    touch(k, &host->head);
    return true;
}

static void drain_fails(kernel_t *k, khost_t *host, const char *why)
{
    id128_t id;
    if (drain_take(k, host, &id))
        reply_failed(k, host->client, id, true, ERR_HOST_BUSY, err_text(ERR_HOST_BUSY), why);
}

static void drain(kernel_t *k, khost_t *host, uint32_t client, id128_t request)
{
    drain_fails(k, host, "asked for again");
    for (size_t i = 0; i < k->vats.room; i++) {
        kvat_t *vat = map_cell(&k->vats, i);
        if (vat && vat->row.host == host->row.host) vat->stuck = false;
    }
    set_state(k, host, HOST_DRAINING, (text_t){0});
    request_pending(k, request);
    host->client = client;
    host->request = blob_new(request.b, sizeof request.b);
    host->row.request = blob_bin(host->request);
}

static void host_disavow(kernel_t *k, khost_t *host, text_t reason)
{
    drain_fails(k, host, "it was disavowed");
    if (host->connected) {
        refuse(k, (uint32_t)host->row.host, ERR_HOST_DISAVOWED, TAG_hello,
               err_text(ERR_HOST_DISAVOWED));
        host_down(k, host, "host-down", reason);
    }
    set_state(k, host, HOST_DISAVOWED, reason);
    event_life(k, "host-disavowed", NULL, host, reason);
    vats_bring_back(k, host);
}

/* What is wrong with it; NULL: it is done, or under way. */
static const char *change(kernel_t *k, uint32_t client, khost_t *host, const msg_host_change_t *msg)
{
    uint64_t state = host->row.state;
    switch (msg->what) {
    case CHANGE_DRAIN:
        if (state > HOST_DRAINING) return "it is in quarantine, or disavowed";
        drain(k, host, client, msg->request);
        return NULL;
    case CHANGE_UNDRAIN:
        if (state > HOST_DRAINING) return "it is in quarantine, or disavowed";
        drain_fails(k, host, "it is not drained any more");
        set_state(k, host, HOST_USUAL, (text_t){0});
        return NULL;
    case CHANGE_DISAVOW: host_disavow(k, host, text_of("disavowed by the operator")); return NULL;
    case CHANGE_READMIT:
        if (state <= HOST_DRAINING) return "it is neither in quarantine nor disavowed";
        set_state(k, host, HOST_USUAL, (text_t){0});
        instances_set(k, host, NULL, 0);
        return NULL;
    default: return "no such change";
    }
}

void on_host_change(kernel_t *k, uint32_t client, const msg_host_change_t *msg)
{
    khost_t *host = host_find(k, msg->host.n);
    bool waits = host && request_same(host->request, msg->request);
    if (waits) host->client = client; /* the answer goes to whoever asked last */
    if (request_repeated(k, client, msg->request)) return;
    if (!host) {
        reply_failed(k, client, msg->request, true, ERR_HOST_UNKNOWN, err_text(ERR_HOST_UNKNOWN),
                     "");
        return;
    }
    const char *why = change(k, client, host, msg);
    if (why)
        reply_failed(k, client, msg->request, true, ERR_BAD_VALUE, err_text(ERR_BAD_VALUE), why);
    else if (msg->what != CHANGE_DRAIN)
        reply_done(k, client, msg->request);
}

/* ---- what goes on by itself ---- */

/* Runs at the end of a step in which hosts or moves changed. */
static void drain_goes_on(kernel_t *k, khost_t *host)
{
    if (host->row.state != HOST_DRAINING) return;
    const char *stuck = host->vats ? vats_drain(k, host) : NULL;
    id128_t id;
    if (stuck)
        drain_fails(k, host, stuck);
    else if (!host->vats && drain_take(k, host, &id))
        reply_done(k, host->client, id);
}

void hosts_go_on(kernel_t *k)
{
    if (!k->hosts_check) return;
    k->hosts_check = false;
    size_t count;
    uint64_t *hosts = map_sorted(&k->hosts, &count);
    for (size_t i = 0; i < count; i++) {
        khost_t *host = host_find(k, hosts[i]);
        drain_goes_on(k, host);
        if (host->row.state == HOST_DISAVOWED && host->vats) vats_bring_back(k, host);
    }
    free(hosts);
    vats_adopt(k);
    backup_goes_on(k);
}

void kernel_host_loss(kernel_t *k, uint64_t after_us) { k->host_loss_us = after_us; }

/* When this host has been away for too long; UINT64_MAX: never. One without vats may stay away. */
static uint64_t lost_us(const kernel_t *k, const khost_t *host)
{
    if (!k->host_loss_us || !k->began_us || host->connected || !host->vats) return UINT64_MAX;
    if (host->row.state > HOST_DRAINING) return UINT64_MAX;
    uint64_t since = host->gone_us ? host->gone_us : k->began_us;
    return time_after(since, k->host_loss_us);
}

uint64_t hosts_wake_us(const kernel_t *k)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; k->host_loss_us && i < k->hosts.room; i++) {
        const khost_t *host = map_cell(&k->hosts, i);
        uint64_t at = host ? lost_us(k, host) : UINT64_MAX;
        if (at < first) first = at;
    }
    uint64_t adopt = adopt_wake_us(k), backup = backup_wake_us(k);
    if (adopt < first) first = adopt;
    return backup < first ? backup : first;
}

/* Chores: those that were away for too long are gone for good. */
void hosts_lose(kernel_t *k)
{
    if (hosts_wake_us(k) > k->now_us) return;
    backup_late(k);
    vats_adopt(k);
    size_t count;
    uint64_t *hosts = map_sorted(&k->hosts, &count);
    for (size_t i = 0; i < count; i++) {
        khost_t *host = host_find(k, hosts[i]);
        if (lost_us(k, host) <= k->now_us)
            host_disavow(k, host, text_of("away for longer than its vats may wait"));
    }
    free(hosts);
}
