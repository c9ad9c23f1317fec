/* Frames of vathosts: sessions, attaching workers, rows of the log. Results are in result.c. */
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/private.h"
#include "wire/base/hash.h"

khost_t *host_find(const kernel_t *k, uint64_t n) { return n ? map_get(&k->hosts, n) : NULL; }

void host_free(khost_t *host)
{
    blob_destroy(&host->name);
    blob_destroy(&host->key);
    blob_destroy(&host->reason);
    blob_destroy(&host->engine);
    blob_destroy(&host->instances);
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

static void refuse(kernel_t *k, uint32_t to, err_t err, msg_tag_t tag, const char *text)
{
    msg_refuse_t msg = {err, tag, text_of(text)};
    blob_t *frame = frame_of(k, TAG_refuse, &msg);
    effect_add(k, EFFECT_HOST, to)->frame = frame;
}

static void detach_all(kernel_t *k, uint64_t host)
{
    for (size_t i = 0; i < k->vats.room; i++) {
        kvat_t *vat = map_cell(&k->vats, i);
        if (vat && vat->row.host == host) vat->attached = vat->asked = false;
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

static void host_up(kernel_t *k, khost_t *host, const msg_hello_t *msg)
{
    uint64_t epoch = k->counters[COUNTER_epoch].value;
    blob_destroy(&host->name);
    host->name = text_blob(msg->name);
    host->row.name = blob_text(host->name);
    host->row.epoch = epoch;
    touch(k, &host->head);
    host->connected = true;
    detach_all(k, host->row.host);

    uint64_t proto = msg->proto_max < PROTO_MAX ? msg->proto_max : PROTO_MAX;
    msg_welcome_t welcome = {proto, msg->nonce, epoch, kernel_id(k), {(uint32_t)host->row.host}};
    send_host(k, host->row.host, TAG_welcome, &welcome);
    event_life(k, "host-up", NULL, host, (text_t){0});

    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        kvat_t *vat = vat_find(k, vats[i]);
        if (vat->row.host == host->row.host) vat_push(k, vat);
    }
    free(vats);
}

static void on_hello(kernel_t *k, hash_t key, const msg_hello_t *msg)
{
    khost_t *host = host_find(k, kernel_host(k, key).n);
    if (!host) {
        host = host_new(k, key);
        host->name = text_blob(msg->name);
        host->row.name = blob_text(host->name);
        touch(k, &host->head);
    }
    uint32_t to = (uint32_t)host->row.host;
    if (msg->proto_min > PROTO_MAX || msg->proto_max < PROTO_MIN)
        refuse(k, to, ERR_PROTOCOL_RANGE, TAG_hello, err_text(ERR_PROTOCOL_RANGE));
    else if (msg->epoch > k->counters[COUNTER_epoch].value)
        refuse(k, to, ERR_STORE_DAMAGED, TAG_hello,
               "this broker's state is older than what the host has seen of it");
    else
        host_up(k, host, msg);
}

void on_host_gone(kernel_t *k, uint32_t from)
{
    khost_t *host = host_find(k, from);
    if (!host || !host->connected) return;
    host->connected = false;
    detach_all(k, from);
    event_life(k, "host-down", NULL, host, (text_t){0});
}

/* ---- workers ---- */

static void send_live(kernel_t *k, const kvat_t *vat, uint64_t first)
{
    for (const log_t *log = vat->log; log; log = log->next)
        if (log->row.d >= first) deliver(k, vat, log);
}

/* A vat that is not there (any more): its worker and its database may go. */
static void end_stranger(kernel_t *k, uint32_t from, const msg_attach_t *msg)
{
    msg_vat_end_t end = {msg->vat, msg->inc, msg->pgen};
    send_host(k, from, TAG_vat_end, &end);
}

/* CHAIN: of the row `last`, when the store has it. */
static void on_attach(kernel_t *k, uint32_t from, const msg_attach_t *msg, hash_t chain)
{
    kvat_t *vat = vat_find(k, msg->vat.n);
    if (!vat || !vat_alive(vat) || vat->row.host != from || vat->row.pgen != msg->pgen) {
        end_stranger(k, from, msg);
        return;
    }
    if (vat->row.state == VAT_QUARANTINED) return;
    bool renew = vat->renew && msg->run != 0;
    vat->renew = false;
    if (renew) {
        msg_vat_restart_t restart = {vat->id, vat->row.inc, vat->row.pgen};
        vat->asked = true;
        send_host(k, from, TAG_vat_restart, &restart);
        return;
    }
    if (!checkpoint_agrees(k, vat, msg, chain)) return;
    vat->row.run++;
    touch(k, &vat->head);
    vat->attached = true;
    vat->asked = true;
    msg_attached_t answer = {vat->id,      vat->row.inc, vat->row.pgen,
                             vat->row.run, msg->nonce,   vat->row.applied, 0};
    send_host(k, from, TAG_attached, &answer);
    vat->fetched = 0;
    if (msg->last < vat->row.applied) return; /* it fetches what it lacks */
    vat->fetched = UINT64_MAX;
    send_live(k, vat, vat->row.applied + 1);
}

/* The vat, when the frame comes from the one worker that may speak for it; anything else is late. Its
 * incarnation says nothing: a run spans an upgrade. */
kvat_t *vat_speaker(const kernel_t *k, uint32_t from, vat_t id, uint64_t pgen, uint64_t run)
{
    kvat_t *vat = vat_find(k, id.n);
    if (!vat || (vat->row.state != VAT_STARTING && vat->row.state != VAT_RUNNING)) return NULL;
    if (vat->row.host != from || vat->row.pgen != pgen) return NULL;
    return vat->attached && vat->row.run == run ? vat : NULL;
}

/* A worker asks for each row once in a run, in order, and for the live ones last. One that asks again
 * gets nothing: a small frame would have many large ones sent. */
static void on_fetch(kernel_t *k, uint32_t from, const msg_fetch_t *msg)
{
    kvat_t *vat = vat_speaker(k, from, msg->vat, msg->pgen, msg->run);
    if (!vat || msg->first <= vat->fetched) return;
    if (msg->first > vat->row.applied) {
        vat->fetched = UINT64_MAX;
        send_live(k, vat, msg->first);
        return;
    }
    uint64_t count = msg->count < FETCH_ROWS_MAX ? msg->count : FETCH_ROWS_MAX;
    if (msg->first <= vat->row.safe || !count) return;

    uint64_t last = msg->first + count - 1;
    effect_t *effect = effect_add(k, EFFECT_ROWS, from);
    effect->vat = vat->id;
    effect->first = msg->first;
    effect->last = last < vat->row.applied ? last : vat->row.applied;
    vat->fetched = effect->last;
    effect->run = vat->row.run;
    effect->inc = vat->row.inc;
    effect->pgen = vat->row.pgen;
    effect->applied = vat->row.applied;
}

static void on_diverged(kernel_t *k, uint32_t from, const msg_diverged_t *msg)
{
    kvat_t *vat = vat_speaker(k, from, msg->vat, msg->pgen, msg->run);
    if (!vat) return;
    vat_quarantine(k, vat, ERR_VAT_DIVERGED, "a replayed delivery gave another result than the one applied");
}

/* BUNDLE_GET is the shell's. */
void on_host(kernel_t *k, const input_t *input)
{
    const msg_t *msg = input->msg;
    uint32_t from = input->from;
    if (msg->tag == TAG_hello) {
        on_hello(k, input->key, &msg->body.hello);
        return;
    }
    const khost_t *host = host_find(k, from);
    if (!host || !host->connected) {
        refuse(k, from, ERR_NEED_HELLO, msg->tag, err_text(ERR_NEED_HELLO));
        return;
    }
    switch (msg->tag) {
    case TAG_ping: {
        msg_pong_t pong = {k->counters[COUNTER_epoch].value};
        send_host(k, from, TAG_pong, &pong);
        return;
    }
    case TAG_attach: on_attach(k, from, &msg->body.attach, input->chain); return;
    case TAG_fetch: on_fetch(k, from, &msg->body.fetch); return;
    case TAG_result: on_result(k, (host_t){from}, &msg->body.result); return;
    case TAG_lost: on_lost(k, (host_t){from}, &msg->body.lost); return;
    case TAG_checkpoint: on_checkpoint(k, from, &msg->body.checkpoint); return;
    case TAG_names: on_names(k, from, &msg->body.names); return;
    case TAG_diverged: on_diverged(k, from, &msg->body.diverged); return;
    default: return;
    }
}
