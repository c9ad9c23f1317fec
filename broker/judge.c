/* One arrival: who sent it, may they, and who deals with it (B2). */
#include <string.h>

#include "broker/broker_own.h"
#include "wire/base/log.h"

enum { READER_LOG_MS = 1000 };

/* Who can do nothing else than read does not fill the log either. */
static bool is_logged(broker_t *self, door_t door)
{
    uint64_t now = broker_now_ms(self);
    if (door != DOOR_READERS) return true;
    if (now < self->reader_log_ms) {
        self->reader_more++;
        return false;
    }
    self->reader_log_ms = now + READER_LOG_MS;
    return true;
}

static void log_refusal(broker_t *self, const arrival_t *arrival, const peer_t *peer, err_t err,
                        uint64_t tag)
{
    const message_t *row = message_find(tag);
    static const char *const from[DOORS] = {"host", "client", "reader"};
    if (!is_logged(self, arrival->door)) return;
    bool reads = arrival->door == DOOR_READERS;
    log_warn("frame_refused", kv_str("from", from[arrival->door]),
             kv_num("number", peer ? peer->number : 0), kv_str("why", err_name(err)),
             kv_str("frame", row ? row->name : "?"), kv_num("more", reads ? self->reader_more : 0));
    if (reads) self->reader_more = 0;
}

static void refuse(broker_t *self, const arrival_t *arrival, const peer_t *peer, err_t err,
                   uint64_t tag)
{
    /* A peer that starts over is no news, and two that refuse each other's refusals never end. */
    if (err != ERR_NEED_HELLO) log_refusal(self, arrival, peer, err, tag);
    if (tag != TAG_refuse) broker_refuse(self, arrival, err, tag);
}

/* PEER: who sent it, as far as that is known. */
static void count_in(broker_t *self, const arrival_t *arrival, const peer_t *peer)
{
    meter_in(self->meter, arrival->door, peer ? peer->number : 0, blob_bin(arrival->frame).len);
}

static bool starts(const message_t *row, const char *with)
{
    return row && strncmp(row->direction, with, strlen(with)) == 0;
}

static bool from_client(msg_tag_t tag)
{
    const message_t *row = message_find(tag);
    return starts(row, "vatctl > broker") || starts(row, "reader or vatctl > broker");
}

/* What the read-only door takes. Lists of what holds values are none of it, nor is an audit. A list of vats counts what each of them holds: it is the
 * dearest of it. */
static bool only_reads(const msg_t *msg)
{
    enum { VATS = 0, CLUSTERS = 1, HOSTS = 2, COUNTERS = 5 };
    if (msg->tag == TAG_ping) return true;
    if (!starts(message_find(msg->tag), "reader ")) return false;
    uint64_t what = msg->tag == TAG_list ? msg->body.list.what : VATS;
    return what == VATS || what == CLUSTERS || what == HOSTS || what == COUNTERS;
}

static bool from_host(msg_tag_t tag)
{
    const message_t *row = message_find(tag);
    return starts(row, "host > broker") || starts(row, "worker > broker");
}

/* The newest session of a host wins. The one before ended, whether we heard of that or not: the
 * kernel gets to know both in order. */
static void host_hello(broker_t *self, const arrival_t *arrival, msg_t *msg)
{
    /* The operator's name for it, when there is one: vats are placed by it. */
    char name[NAME_BYTES_MAX + 1] = "";
    self->is.port.admits(self->is.port.self, arrival->key, name);
    if (name[0]) msg->body.hello.name = text_of(name);
    peer_t *peer = peers_add(self->peers, DOOR_HOSTS, &arrival->route);
    uint32_t number = kernel_host(self->kernel, arrival->key).n;
    if (peer->number && peer->number != number) broker_end_session(self, peer);
    peer_t *before = peers_at(self->peers, DOOR_HOSTS, number);
    if (before) {
        broker_end_session(self, before);
        before->stale = before != peer;
    }
    peer->key = arrival->key;
    peer->stale = false;
    peer->gone = false;
    peer->heard_ms = broker_now_ms(self);
    if (!broker_step(self, INPUT_HOST, 0, msg, arrival)) {
        log_warn("host_refused", kv_text("name", msg->body.hello.name));
        return;
    }
    number = kernel_host(self->kernel, arrival->key).n;
    peers_number(self->peers, peer, number);
    log_info("host_up", kv_num("number", number), kv_text("name", msg->body.hello.name));
}

static err_t take_chain(void *context, const row_t *row)
{
    hash_t *chain = context;
    const row_log_t *log = &row->body.log;
    if (log->outcome && log->chain.len == sizeof chain->b)
        memcpy(chain->b, log->chain.at, sizeof chain->b);
    return ERR_OK;
}

err_t broker_chain(broker_t *self, vat_t vat, uint64_t d, hash_t *ret)
{
    *ret = (hash_t){{0}};
    return store_log(self->is.store, vat, d, d, take_chain, ret);
}

/* The kernel keeps no chains of rows that are applied: it gets that of the row which this is about. */
static err_t find_chain(broker_t *self, const msg_attach_t *msg)
{
    return broker_chain(self, msg->vat, msg->last, &self->attach_chain);
}

static err_t host_message(broker_t *self, const arrival_t *arrival, msg_t *msg)
{
    if (msg->tag == TAG_hello) {
        count_in(self, arrival, NULL);
        host_hello(self, arrival, msg);
        return ERR_OK;
    }
    peer_t *peer = peers_find(self->peers, DOOR_HOSTS, &arrival->route);
    count_in(self, arrival, peer);
    bool known = peer && peer->number && hash_same(peer->key, arrival->key);
    if (known || (peer && !peer->number)) peer->heard_ms = broker_now_ms(self);
    if (msg->tag == TAG_refuse) {
        log_warn("host_refuses", kv_num("number", known ? peer->number : 0),
                 kv_str("why", err_name((err_t)msg->body.refuse.error)),
                 kv_text("text", msg->body.refuse.text));
        return ERR_OK;
    }
    if (!known) {
        bool stale = peer && peer->stale;
        refuse(self, arrival, peer, stale ? ERR_STALE_SESSION : ERR_NEED_HELLO, msg->tag);
        return ERR_OK;
    }
    bool done = false;
    err_t err = answer_host(self, arrival, peer, msg, &done);
    if (!err && msg->tag == TAG_attach) err = find_chain(self, &msg->body.attach);
    if (!err && msg->tag == TAG_attach && msg->body.attach.heap)
        shipping_heapless(self, peer->number, &msg->body.attach);
    if (err || done) return err;
    if (msg->tag == TAG_result) meter_result(self->meter, peer->number, &msg->body.result);
    if (from_host(msg->tag))
        broker_step(self, INPUT_HOST, peer->number, msg, arrival);
    else
        refuse(self, arrival, peer, ERR_WIRE_TURN, msg->tag);
    return ERR_OK;
}

static err_t client_message(broker_t *self, const arrival_t *arrival, const msg_t *msg)
{
    count_in(self, arrival, NULL);
    if (msg->tag == TAG_client_hello) {
        if (!client_hello(self, arrival, &msg->body.client_hello)) {
            refuse(self, arrival, NULL, ERR_PROTOCOL_RANGE, msg->tag);
        }
        return ERR_OK;
    }
    peer_t *peer = peers_find(self->peers, arrival->door, &arrival->route);
    if (peer) peer->heard_ms = broker_now_ms(self);
    if (msg->tag == TAG_refuse || msg->tag == TAG_pong) return ERR_OK;
    if (!peer) {
        refuse(self, arrival, NULL, ERR_NEED_HELLO, msg->tag);
        return ERR_OK;
    }
    if (arrival->door == DOOR_READERS && !only_reads(msg)) {
        refuse(self, arrival, peer, ERR_READ_ONLY, msg->tag);
        return ERR_OK;
    }
    bool done = false;
    err_t err = answer_client(self, arrival, peer, msg, &done);
    if (err || done) return err;
    if (msg->tag == TAG_host_change) joins_gone(self); /* it may be for good */
    if (from_client(msg->tag))
        broker_step(self, INPUT_CLIENT, peer->number, msg, arrival);
    else
        refuse(self, arrival, peer, ERR_WIRE_TURN, msg->tag);
    return ERR_OK;
}

/* The key was taken off the list: its session ends with the first message that comes after. */
static void not_admitted(broker_t *self, const arrival_t *arrival, uint64_t tag)
{
    peer_t *peer = peers_find(self->peers, DOOR_HOSTS, &arrival->route);
    count_in(self, arrival, peer);
    refuse(self, arrival, peer, ERR_KEY_REFUSED, tag);
    if (peer && peer->number) broker_end_session(self, peer);
}

/* A connection with a join key: it may have one key put on the list, and that is all. */
static void newcomer(broker_t *self, const arrival_t *arrival)
{
    bin_t frame = blob_bin(arrival->frame);
    uint64_t tag = frame.len ? msg_peek(frame) : 0;
    msg_t msg;
    err_t err = arrival->too_large ? ERR_WIRE_LIMIT : msg_decode(frame, &msg);
    if (err || msg.tag != TAG_join) {
        refuse(self, arrival, NULL, err ? err : ERR_KEY_REFUSED, tag);
        if (!err) msg_clear(&msg);
        return;
    }
    joins_take(self, arrival, &msg.body.join);
    msg_clear(&msg);
}

err_t judge(broker_t *self, const arrival_t *arrival)
{
    bin_t frame = blob_bin(arrival->frame);
    uint64_t tag = frame.len ? msg_peek(frame) : 0;
    if (arrival->joins) {
        newcomer(self, arrival);
        return ERR_OK;
    }
    if (!arrival->admitted) {
        not_admitted(self, arrival, tag);
        return ERR_OK;
    }
    msg_t msg;
    err_t err = arrival->too_large ? ERR_WIRE_LIMIT : msg_decode(frame, &msg);
    if (err) {
        count_in(self, arrival, NULL);
        refuse(self, arrival, peers_find(self->peers, arrival->door, &arrival->route), err, tag);
        return ERR_OK;
    }
    err = arrival->door == DOOR_HOSTS ? host_message(self, arrival, &msg)
                                      : client_message(self, arrival, &msg);
    msg_clear(&msg);
    return err;
}
