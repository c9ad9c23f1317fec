/* What waits for the commit, and how it leaves (B1). */
#include <stdlib.h>
#include <string.h>

#include "broker/broker_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

static parcel_t *push(broker_t *self)
{
    if (self->outbox_count == self->outbox_room) {
        self->outbox_room = self->outbox_room ? 2 * self->outbox_room : 64;
        self->outbox = reallocarray(self->outbox, self->outbox_room, sizeof *self->outbox);
        must(self->outbox);
    }
    parcel_t *parcel = &self->outbox[self->outbox_count++];
    *parcel = (parcel_t){0};
    return parcel;
}

static route_t *route_copy(const route_t *route)
{
    route_t *copy = malloc(sizeof *copy);
    must(copy);
    *copy = *route;
    return copy;
}

/* What answers a HELLO that opened no session must reach its sender, whoever has the number. */
static bool answers_hello(const effect_t *effect)
{
    return effect->kind == EFFECT_HOST &&
           (effect->to == 0 || msg_peek(blob_bin(effect->frame)) == TAG_refuse);
}

bool outbox_take(broker_t *self, const arrival_t *hello)
{
    bool welcome = false;
    uint64_t now_us = self->effects.count ? meter_now_us() : 0;
    for (size_t i = 0; i < self->effects.count; i++) {
        parcel_t *parcel = push(self);
        parcel->effect = self->effects.items[i];
        parcel->stepped_us = now_us;
        if (!hello || parcel->effect.kind != EFFECT_HOST) continue;
        welcome = welcome || msg_peek(blob_bin(parcel->effect.frame)) == TAG_welcome;
        if (answers_hello(&parcel->effect)) {
            parcel->door = hello->door;
            parcel->route = route_copy(&hello->route);
        }
    }
    self->effects.count = 0; /* the frames are the outbox's now */
    return welcome;
}

void outbox_frame(broker_t *self, door_t door, const route_t *route, msg_tag_t tag,
                  const void *body)
{
    buf_reset(&self->frame);
    must(msg_encode(tag, body, &self->frame) == ERR_OK);
    parcel_t *parcel = push(self);
    parcel->effect.frame = blob_new(self->frame.at, self->frame.len);
    parcel->door = door;
    parcel->route = route_copy(route);
}

void outbox_clear(broker_t *self)
{
    for (size_t i = 0; i < self->outbox_count; i++) {
        blob_destroy(&self->outbox[i].effect.frame);
        free(self->outbox[i].route);
    }
    self->outbox_count = 0;
}

/* ---- leaving ---- */

static void send_to(broker_t *self, peer_t *peer, bin_t frame)
{
    if (!peer || peer->gone) return;
    peer->sent_ms = broker_now_ms(self);
    moment_leaving(frame);
    meter_out(self->meter, peer->door, peer->number, frame.len);
    if (self->is.port.send(self->is.port.self, peer->door, &peer->route, frame)) return;
    peer->gone = self->someone_gone = true;
}

typedef struct {
    broker_t *broker;
    const effect_t *effect;
    uint64_t durable;
} leaving_t;

static void send_if_watching(void *context, peer_t *peer)
{
    leaving_t *leaving = context;
    if (peer->door == DOOR_CLIENTS && (peer->topics & leaving->effect->topic)) {
        send_to(leaving->broker, peer, blob_bin(leaving->effect->frame));
    }
}

/* Copies what a row keeps as bytes; rows hold nothing, or exactly that many. */
static void read_fixed(uint8_t *to, size_t len, bin_t from)
{
    if (from.len == len) memcpy(to, from.at, len);
}

/* One row of the log as a DELIVER. A row without an outcome is live. */
static err_t send_row(void *context, const row_t *row)
{
    leaving_t *leaving = context;
    broker_t *self = leaving->broker;
    const effect_t *effect = leaving->effect;
    const row_log_t *log = &row->body.log;
    msg_deliver_t deliver = {
        .vat = effect->vat,
        .inc = effect->inc,
        .pgen = effect->pgen,
        .run = effect->run,
        .d = log->d,
        .applied = effect->applied,
        .durable = leaving->durable,
        .verdict = log->outcome,
        .cause = {{(uint32_t)log->msg_vat}, log->msg_d, (uint32_t)log->msg_n},
        .delivery = log->delivery,
    };
    read_fixed(deliver.expect.b, sizeof deliver.expect.b, log->result_hash);
    read_fixed(deliver.trace.b, sizeof deliver.trace.b, log->trace);
    buf_reset(&self->frame);
    err_t err = msg_encode(TAG_deliver, &deliver, &self->frame);
    if (err) return ERR_STORE_DAMAGED; /* it went in through the same limits */
    if (!log->outcome) meter_left(self->meter, effect->to, effect->vat, log->d, 0);
    send_to(self, peers_at(self->peers, DOOR_HOSTS, effect->to),
            (bin_t){self->frame.at, self->frame.len});
    return ERR_OK;
}

static err_t send_rows(broker_t *self, const effect_t *effect)
{
    leaving_t leaving = {self, effect, 0};
    if (!peers_at(self->peers, DOOR_HOSTS, effect->to)) return ERR_OK;
    err_t err = store_log_last(self->is.store, effect->vat, &leaving.durable);
    if (err) return err;
    return store_log(self->is.store, effect->vat, effect->first, effect->last, send_row, &leaving);
}

static err_t send_history(broker_t *self, const effect_t *effect)
{
    blob_t *frame = NULL;
    err_t err = history_page(self, effect, &frame);
    if (err) return err;
    send_to(self, peers_at(self->peers, DOOR_CLIENTS, effect->to), blob_bin(frame));
    blob_destroy(&frame);
    return ERR_OK;
}

static err_t send_effect(broker_t *self, const parcel_t *parcel)
{
    const effect_t *effect = &parcel->effect;
    switch (effect->kind) {
    case EFFECT_HOST:
        if (effect->vat.n)
            meter_left(self->meter, effect->to, effect->vat, effect->first, parcel->stepped_us);
        send_to(self, peers_at(self->peers, DOOR_HOSTS, effect->to), blob_bin(effect->frame));
        break;
    case EFFECT_CLIENT:
        if (effect->vat.n) return send_history(self, effect);
        send_to(self, peers_at(self->peers, DOOR_CLIENTS, effect->to), blob_bin(effect->frame));
        break;
    case EFFECT_WATCH:
        peers_each(self->peers, send_if_watching, &(leaving_t){self, effect, 0});
        break;
    case EFFECT_ROWS: return send_rows(self, effect);
    case EFFECT_PULL:
    case EFFECT_DISCARD:
    case EFFECT_BACKUP: shipping_effect(self, effect); break;
    case EFFECT_STOP: self->stopped = true; break;
    case EFFECT_AGENT: outside_effect(self, effect); break;
    }
    return ERR_OK;
}

static void send_direct(broker_t *self, const parcel_t *parcel)
{
    peer_t *peer = peers_find(self->peers, parcel->door, parcel->route);
    bin_t frame = blob_bin(parcel->effect.frame);
    if (peer)
        send_to(self, peer, frame);
    else if (self->is.port.send(self->is.port.self, parcel->door, parcel->route, frame))
        meter_out(self->meter, parcel->door, 0, frame.len);
}

err_t outbox_release(broker_t *self)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < self->outbox_count && !err; i++) {
        const parcel_t *parcel = &self->outbox[i];
        if (parcel->route)
            send_direct(self, parcel);
        else
            err = send_effect(self, parcel);
        FAILPOINT(broker_sent_one);
    }
    FAILPOINT(broker_sent_all);
    outbox_clear(self);
    return err;
}
