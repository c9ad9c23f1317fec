#include "vathost/io/dealer.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/base/failpoint.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

/* libzmq weighs a part as it is on the wire, with CURVE's 33 bytes: take a little more than a full
 * part, send a little less. */
enum {
    PART_SLACK_BYTES = 1024,
    PART_SEND_BYTES = PART_BYTES_MAX - PART_SLACK_BYTES,
    RECONNECT_MS = 50,
    RECONNECT_MAX_MS = 1000,
    HANDSHAKE_MS = 3000,
    FRAMES_PER_LOOK = 16, /* the monitor is asked after so many: it is a system call */
    CONNECT_MS = 3000,    /* the system's own attempts come minutes apart when a cut was long */
};

struct dealer {
    const char *endpoint, *server_key;
    const keys_t *keys;
    zsock_t *sock;
    void *monitor; /* PAIR: what happens to the connection */
    unsigned opened;
    bool up;
    unsigned unlooked; /* frames that may be taken before the monitor is asked */
    buf_t frame;
};

dealer_t *dealer_new(const char *endpoint, const char *server_key, const keys_t *keys)
{
    dealer_t *self = calloc(1, sizeof *self);
    must(self);
    zsys_handler_set(NULL); /* signals belong to main() */
    self->endpoint = endpoint;
    self->server_key = server_key;
    self->keys = keys;
    self->frame = buf_of(FRAME_BYTES_MAX);
    return self;
}

void dealer_keys(dealer_t *self, const keys_t *keys) { self->keys = keys; }

static void drop(dealer_t *self)
{
    if (self->sock) zmq_socket_monitor(zsock_resolve(self->sock), NULL, 0);
    if (self->monitor) zmq_close(self->monitor);
    self->monitor = NULL;
    zsock_destroy(&self->sock);
    self->up = false;
    self->unlooked = 0;
}

void dealer_destroy(dealer_t **self_p)
{
    must(self_p);
    dealer_t *self = *self_p;
    if (!self) return;

    drop(self);
    buf_clear(&self->frame);
    free(self);
    *self_p = NULL;
}

static void set(void *sock, int option, int value)
{
    must(zmq_setsockopt(sock, option, &value, sizeof value) == 0);
}

static void set_options(dealer_t *self, void *sock)
{
    int64_t part_max = PART_BYTES_MAX + PART_SLACK_BYTES;
    const keys_t *keys = self->keys;

    must(zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &part_max, sizeof part_max) == 0);
    must(zmq_setsockopt(sock, ZMQ_CURVE_SERVERKEY, self->server_key, KEY_TEXT_BYTES + 1) == 0);
    must(zmq_setsockopt(sock, ZMQ_CURVE_PUBLICKEY, keys->public_key, KEY_TEXT_BYTES + 1) == 0);
    must(zmq_setsockopt(sock, ZMQ_CURVE_SECRETKEY, keys->secret_key, KEY_TEXT_BYTES + 1) == 0);
    set(sock, ZMQ_IPV6, 1);
    set(sock, ZMQ_IMMEDIATE, 1);
    set(sock, ZMQ_SNDHWM, 0);
    set(sock, ZMQ_RCVHWM, 0);
    set(sock, ZMQ_LINGER, 0);
    set(sock, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set(sock, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    set(sock, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set(sock, ZMQ_CONNECT_TIMEOUT, CONNECT_MS);
}

static void watch(dealer_t *self, void *sock)
{
    char address[64];
    int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;

    snprintf(address, sizeof address, "inproc://dealer-%p-%u", (void *)self, self->opened++);
    must(zmq_socket_monitor(sock, address, events) == 0);
    self->monitor = zmq_socket(zsys_init(), ZMQ_PAIR);
    must(self->monitor);
    set(self->monitor, ZMQ_LINGER, 0);
    must(zmq_connect(self->monitor, address) == 0);
}

err_t dealer_open(dealer_t *self)
{
    drop(self);
    self->sock = zsock_new(ZMQ_DEALER);
    must(self->sock);
    void *sock = zsock_resolve(self->sock);
    set_options(self, sock);
    watch(self, sock);
    return zmq_connect(sock, self->endpoint) == 0 ? ERR_OK : ERR_BAD_VALUE;
}

static int fd_of(void *sock)
{
    int fd = -1;
    size_t len = sizeof fd;
    must(zmq_getsockopt(sock, ZMQ_FD, &fd, &len) == 0);
    return fd;
}

void dealer_fds(const dealer_t *self, int ret[DEALER_FDS])
{
    ret[0] = fd_of(zsock_resolve(self->sock));
    ret[1] = fd_of(self->monitor);
}

/* One event of the monitor: two parts, number and value in the first. */
static dealer_event_t take_event(dealer_t *self)
{
    uint8_t head[6];
    char address[256];
    uint16_t event;

    if (zmq_recv(self->monitor, head, sizeof head, ZMQ_DONTWAIT) != (int)sizeof head) {
        return DEALER_NOTHING;
    }
    (void)zmq_recv(self->monitor, address, sizeof address, 0);
    memcpy(&event, head, sizeof event);
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: self->up = true; return DEALER_UP;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: self->up = false; return DEALER_REFUSED;
    default: self->up = false; return DEALER_DOWN;
    }
}

/* Puts the parts of one message together. All of them have arrived when the first has. */
static bool take_frame(dealer_t *self)
{
    void *sock = zsock_resolve(self->sock);
    bool more = true, ok = true;

    buf_reset(&self->frame);
    if (self->frame.room > 2 * PART_BYTES_MAX) buf_clear(&self->frame);
    for (int flags = ZMQ_DONTWAIT; more; flags = 0) {
        zmq_msg_t part;
        must(zmq_msg_init(&part) == 0);
        if (zmq_msg_recv(&part, sock, flags) < 0) {
            zmq_msg_close(&part);
            if (flags) return false;
            continue; /* a signal came: the parts are here */
        }
        more = zmq_msg_more(&part);
        ok = ok && buf_add(&self->frame, zmq_msg_data(&part), zmq_msg_size(&part)) == ERR_OK;
        zmq_msg_close(&part);
    }
    if (!ok) buf_reset(&self->frame); /* larger than any frame: an empty one is refused as well */
    return true;
}

dealer_event_t dealer_take(dealer_t *self, bin_t *ret)
{
    bool look = self->unlooked == 0, empty = !look && !take_frame(self);
    if (look || empty) {
        dealer_event_t event = take_event(self);
        self->unlooked = event == DEALER_NOTHING ? FRAMES_PER_LOOK : 0;
        if (event != DEALER_NOTHING) return event;
        if (empty || !take_frame(self)) return DEALER_NOTHING;
    }
    self->unlooked--;
    *ret = (bin_t){self->frame.at, self->frame.len};
    return DEALER_FRAME;
}

bool dealer_send(dealer_t *self, bin_t frame)
{
    void *sock = zsock_resolve(self->sock);

    must(frame.len > 0 && frame.len <= FRAME_BYTES_MAX);
    if (!self->up) return false;
    for (size_t at = 0; at < frame.len; at += PART_SEND_BYTES) {
        size_t left = frame.len - at, len = left < PART_SEND_BYTES ? left : PART_SEND_BYTES;
        int flags = ZMQ_DONTWAIT | (len < left ? ZMQ_SNDMORE : 0), rc;
        do {
            rc = zmq_send(sock, frame.at + at, len, flags);
        } while (rc < 0 && errno == EINTR);
        if (rc < 0) return false;
        if (len < left) FAILPOINT(vathost_sent_part);
    }
    return true;
}
