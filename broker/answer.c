/* What the shell answers without the kernel (B5): PING, hello of clients, WATCH, STATS, bundles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/broker_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

/* Errors of a request that leave the store sound. */
static bool is_answer(err_t err)
{
    return err == ERR_BAD_VALUE || err == ERR_BUNDLE_BROKEN || err == ERR_BUNDLE_UNKNOWN ||
           err == ERR_STORE_FULL;
}

static void failed(broker_t *self, const arrival_t *arrival, id128_t request, err_t err,
                   text_t what)
{
    broker_reply(self, arrival, TAG_failed,
                 &(msg_failed_t){.request = request, .error = (uint64_t)err, .what = what});
}

static void done_reply(broker_t *self, const arrival_t *arrival, id128_t request)
{
    broker_reply(self, arrival, TAG_done, &(msg_done_t){.request = request});
}

bool client_hello(broker_t *self, const arrival_t *arrival, const msg_client_hello_t *hello)
{
    if (hello->proto_min > PROTO_MAX || hello->proto_max < PROTO_MIN) return false;
    peer_t *peer = peers_add(self->peers, arrival->door, &arrival->route);
    if (!peer->number) peers_number(self->peers, peer, ++self->next_client);
    peer->heard_ms = broker_now_ms(self);
    broker_reply(self, arrival, TAG_client_welcome,
                 &(msg_client_welcome_t){
                     .proto = hello->proto_max < PROTO_MAX ? hello->proto_max : PROTO_MAX,
                     .kernel = kernel_id(self->kernel),
                     .version = text_of(VATYARD_VERSION),
                     .hosts_endpoint = text_of(self->is.hosts_endpoint),
                     .key = text_of(self->is.key),
                 });
    return true;
}

/* ---- bundles ---- */

static err_t bundle_get(broker_t *self, const arrival_t *arrival, const msg_bundle_get_t *get)
{
    msg_bundle_part_t part = {.bundle = get->bundle, .offset = get->offset};
    uint8_t *piece = malloc(BUNDLE_PART_BYTES_MAX);
    must(piece);
    size_t len = 0;
    err_t err = store_bundle_size(self->is.store, get->bundle, &part.total);
    if (!err && part.total) {
        err = store_bundle_read(self->is.store, get->bundle, get->offset, piece,
                                BUNDLE_PART_BYTES_MAX, &len);
    }
    part.data = (bin_t){piece, len};
    if (!err) broker_reply(self, arrival, TAG_bundle_part, &part);
    free(piece);
    return err;
}

static err_t bundle_have(broker_t *self, const arrival_t *arrival, const msg_bundle_have_t *have)
{
    msg_bundle_part_t part = {.bundle = have->bundle};
    err_t err = store_bundle_size(self->is.store, have->bundle, &part.total);
    if (!err) broker_reply(self, arrival, TAG_bundle_part, &part);
    return err;
}

static err_t bundle_put(broker_t *self, const arrival_t *arrival, peer_t *peer,
                        const msg_bundle_put_t *put)
{
    err_t err = store_bundle_put(self->is.store, &peer->stage, put->bundle, put->offset, put->total,
                                 put->data);
    if (put->offset + put->data.len < put->total)
        FAILPOINT(broker_bundle_piece);
    else
        FAILPOINT(broker_bundle_stored);
    if (!err) {
        done_reply(self, arrival, put->request);
        return ERR_OK;
    }
    if (!is_answer(err)) return err;
    failed(self, arrival, put->request, err, put->bundle);
    return ERR_OK;
}

/* The kernel knows bundles by name only; whether their bytes are here is for us to say, before a
 * vat is made that no host could start. MISSING says whether LAUNCH was answered. */
static err_t launch_missing(broker_t *self, const arrival_t *arrival, const msg_launch_t *launch,
                            bool *missing)
{
    bin_t rest = launch->vats;
    err_t err = ERR_OK;
    while (!err && !*missing && rest.len > 0) {
        msg_t row;
        if (msg_next(&rest, &row)) break; /* the kernel refuses it */
        uint64_t size = 1;
        const msg_launch_vat_t *vat = &row.body.launch_vat;
        if (row.tag == TAG_launch_vat) err = store_bundle_size(self->is.store, vat->bundle, &size);
        if (!err && size == 0) {
            char what[TEXT_BYTES_MAX];
            int len =
                snprintf(what, sizeof what, "vat %.*s: no bundle %.*s is stored",
                         (int)vat->name.len, vat->name.at, (int)vat->bundle.len, vat->bundle.at);
            failed(self, arrival, launch->request, ERR_BUNDLE_UNKNOWN,
                   (text_t){what, len < (int)sizeof what ? (size_t)len : sizeof what - 1});
            *missing = true;
        }
        msg_clear(&row);
    }
    return err;
}

/* ---- the rest ---- */

static void watch(broker_t *self, const arrival_t *arrival, peer_t *peer, const msg_watch_t *msg)
{
    peer->topics = (msg->console ? (unsigned)TOPIC_CONSOLE : 0u) |
                   (msg->traffic ? (unsigned)TOPIC_TRAFFIC : 0u);
    broker_watched(self);
    done_reply(self, arrival, msg->request);
}

static void stats(broker_t *self, const arrival_t *arrival, const msg_stats_t *msg)
{
    buf_t rows = buf_of(FRAME_BYTES_MAX - 4096);
    figures_tell(self, msg->hists != 0, &rows);
    broker_reply(self, arrival, TAG_rows,
                 &(msg_rows_t){.request = msg->request, .rows = {rows.at, rows.len}});
    buf_clear(&rows);
}

/* What there is, so that who asked in vain knows whether it is gone or was never kept. */
static void trace_gone(broker_t *self, const arrival_t *arrival, const msg_trace_t *ask)
{
    char what[256] = "the broker remembers nothing: it runs with --trace 0";
    if (self->trace) {
        uint64_t now = (uint64_t)time(NULL), since = trace_since_us(self->trace) / 1000000;
        int len = snprintf(
            what, sizeof what,
            "none of the %zu events that the broker remembers, of the last %llu s, is about it",
            trace_count(self->trace), (unsigned long long)(since && now > since ? now - since : 0));
        if (self->is.traced_below < TRACES_ALL)
            snprintf(what + len, sizeof what - (size_t)len, "; it remembers %.3g of all traces",
                     (double)self->is.traced_below / (double)TRACES_ALL);
    }
    failed(self, arrival, ask->request, ERR_TRACE_GONE, text_of(what));
}

/* What is told here leaves with this batch: it is durable then. */
static void trace(broker_t *self, const arrival_t *arrival, const msg_trace_t *ask)
{
    buf_t rows = buf_of(FRAME_BYTES_MAX - 4096);
    uint64_t next = 0;
    if (!self->trace || trace_page(self->trace, ask, &rows, &next))
        trace_gone(self, arrival, ask);
    else
        broker_reply(self, arrival, TAG_rows,
                     &(msg_rows_t){ask->request, {rows.at, rows.len}, next});
    buf_clear(&rows);
}

static void pong(broker_t *self, const arrival_t *arrival, const msg_ping_t *ping)
{
    broker_reply(self, arrival, TAG_pong, &(msg_pong_t){.epoch = ping->epoch});
}

err_t answer_host(broker_t *self, const arrival_t *arrival, const peer_t *peer, const msg_t *msg,
                  bool *done)
{
    *done = true;
    if (msg->tag == TAG_ping)
        pong(self, arrival, &msg->body.ping);
    else if (msg->tag == TAG_bundle_get)
        return bundle_get(self, arrival, &msg->body.bundle_get);
    else if (msg->tag == TAG_checkpoint_get)
        shipping_get(self, arrival, peer->number, &msg->body.checkpoint_get);
    else if (msg->tag == TAG_checkpoint_part)
        shipping_part(self, peer->number, &msg->body.checkpoint_part);
    else
        *done = msg->tag == TAG_pong;
    return ERR_OK;
}

err_t answer_client(broker_t *self, const arrival_t *arrival, peer_t *peer, const msg_t *msg,
                    bool *done)
{
    const msg_body_t *body = &msg->body;
    *done = true;
    if (room_refuses(self, arrival, msg)) return ERR_OK;
    if (msg->tag == TAG_ping)
        pong(self, arrival, &body->ping);
    else if (msg->tag == TAG_bundle_get)
        return bundle_get(self, arrival, &body->bundle_get);
    else if (msg->tag == TAG_bundle_have)
        return bundle_have(self, arrival, &body->bundle_have);
    else if (msg->tag == TAG_bundle_put)
        return bundle_put(self, arrival, peer, &body->bundle_put);
    else if (msg->tag == TAG_checkpoint_get)
        shipping_get(self, arrival, 0, &body->checkpoint_get);
    else if (msg->tag == TAG_watch)
        watch(self, arrival, peer, &body->watch);
    else if (msg->tag == TAG_stats)
        stats(self, arrival, &body->stats);
    else if (msg->tag == TAG_trace)
        trace(self, arrival, &body->trace);
    else
        *done = false;
    if (msg->tag == TAG_launch) return launch_missing(self, arrival, &body->launch, done);
    return ERR_OK;
}
