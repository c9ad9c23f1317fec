#include "broker/io/doors.h"

#include <czmq.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/io/zap.h"
#include "wire/base/buf.h"
#include "wire/base/failpoint.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

/* libzmq weighs a part as it is on the wire, with CURVE's 33 bytes; peers may send full parts, and
 * we send parts that pass where a peer allows PART_BYTES_MAX and not a byte more. */
enum {
    PART_SLACK_BYTES = 1024,
    PART_SEND_BYTES = PART_BYTES_MAX - PART_SLACK_BYTES,
    PARTS_MAX = 48,
    GOODBYE_MS = 500,
    EMPTY_TAKES = 16, /* an empty door is asked again after so many frames: it is a system call */
    KEYS_SEEN = 16,
    CLIENT_FRAMES_MAX = 100 * 1000, /* waiting for one client, which is cut off above it */
    READER_FRAMES_MAX = 16, /* the same for a reader, who gets one answer to each question */
    READS_MAX = 4,          /* of readers, until the next wait() */
    ENFORCE_DOMAIN = 93,    /* ZMQ_ZAP_ENFORCE_DOMAIN: in libzmq 4.3, not in its header */
};
_Static_assert(PARTS_MAX > FRAME_BYTES_MAX / PART_SEND_BYTES, "the largest frame fits");

struct doors {
    doors_options_t is;
    zap_t *zap;
    zsock_t *socks[DOORS];
    char endpoints[DOORS][512];
    char why[640];
    bool hold;        /* hosts are not heard now */
    door_t turn;      /* where take() looks first: no door starves another */
    int empty[DOORS]; /* 0, or so many takes until it is asked again */
    int reads;        /* frames of readers taken since the last wait() */
    struct {
        char text[KEY_TEXT_BYTES + 1];
        hash_t key;
    } seen[KEYS_SEEN]; /* keys of connections, read */
};

static void set(zsock_t *sock, int option, int value)
{
    must(zmq_setsockopt(zsock_resolve(sock), option, &value, sizeof value) == 0);
}

static zsock_t *router(void)
{
    zsock_t *sock = zsock_new(ZMQ_ROUTER);
    must(sock);
    int64_t part_max = PART_BYTES_MAX + PART_SLACK_BYTES;
    must(zmq_setsockopt(zsock_resolve(sock), ZMQ_MAXMSGSIZE, &part_max, sizeof part_max) == 0);
    set(sock, ZMQ_ROUTER_HANDOVER, 0);
    set(sock, ZMQ_ROUTER_MANDATORY, 1);
    set(sock, ZMQ_SNDHWM, 0);
    set(sock, ZMQ_RCVHWM, 0);
    set(sock, ZMQ_LINGER, 0);
    set(sock, ZMQ_BACKLOG, 64);
    set(sock, ZMQ_HANDSHAKE_IVL, 3000);
    set(sock, ZMQ_HEARTBEAT_IVL, 2000);
    set(sock, ZMQ_HEARTBEAT_TIMEOUT, LINK_LOST_MS);
    set(sock, ZMQ_HEARTBEAT_TTL, LINK_LOST_MS);
    return sock;
}

static err_t bind_failed(doors_t *self, const char *endpoint)
{
    snprintf(self->why, sizeof self->why, "%.500s: %s", endpoint, zmq_strerror(errno));
    return errno == EADDRINUSE ? ERR_ADDRESS_IN_USE : ERR_BAD_VALUE;
}

static err_t bind_door(doors_t *self, door_t door, const char *endpoint)
{
    void *sock = zsock_resolve(self->socks[door]);
    if (zmq_bind(sock, endpoint) != 0) return bind_failed(self, endpoint);
    size_t len = sizeof self->endpoints[door];
    must(zmq_getsockopt(sock, ZMQ_LAST_ENDPOINT, self->endpoints[door], &len) == 0);
    return ERR_OK;
}

static err_t open_hosts(doors_t *self)
{
    const char *endpoint = self->is.listen;
    if (strncmp(endpoint, "tcp://", 6) != 0) {
        snprintf(self->why, sizeof self->why, "%.500s: hosts connect over tcp://", endpoint);
        return ERR_BAD_VALUE;
    }
    zsock_t *sock = self->socks[DOOR_HOSTS] = router();
    void *raw = zsock_resolve(sock);
    const keys_t *keys = self->is.keys;
    set(sock, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
    set(sock, ZMQ_CURVE_SERVER, 1);
    must(zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, keys->secret_key, KEY_TEXT_BYTES + 1) == 0);
    must(zmq_setsockopt(raw, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) == 0);
    set(sock, ENFORCE_DOMAIN, 1);
    return bind_door(self, DOOR_HOSTS, endpoint);
}

/* Whoever can write the directory can put another socket in place of ours. */
static err_t check_directory(doors_t *self, const char *path)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", path);
    const char *dir = dirname(copy);
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) return bind_failed(self, dir);
    if (stat(dir, &st) != 0) return bind_failed(self, dir);
    bool ours = st.st_uid == geteuid() || st.st_uid == 0;
    bool closed = !(st.st_mode & 022) || (st.st_mode & S_ISVTX);
    if (ours && closed) return ERR_OK;
    snprintf(self->why, sizeof self->why, "others can write the directory of %.400s", path);
    return ERR_KEY_FILE;
}

/* libzmq removes whatever lies where it binds: right for the socket of a dead broker, wrong for
 * that of a living one. */
static err_t check_unused(doors_t *self, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return bind_failed(self, path);
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0);
    bool used = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    if (!used) return ERR_OK;
    errno = EADDRINUSE;
    return bind_failed(self, path);
}

/* What waits for a host is bounded by the protocol; what waits for these is not. */
static err_t open_clients(doors_t *self, door_t door, const char *endpoint, int frames_max)
{
    if (strncmp(endpoint, "ipc:///", 7) != 0) {
        snprintf(self->why, sizeof self->why, "%.500s: must be ipc:// and an absolute path",
                 endpoint);
        return ERR_BAD_VALUE;
    }
    const char *path = endpoint + 6;
    err_t err = check_unused(self, path);
    if (!err) err = check_directory(self, path);
    if (err) return err;
    self->socks[door] = router();
    set(self->socks[door], ZMQ_SNDHWM, frames_max);
    mode_t mask = umask(0177); /* the socket is born with 0600: no moment at which it is open */
    err = bind_door(self, door, endpoint);
    umask(mask);
    return err;
}

doors_t *doors_new(const doors_options_t *options)
{
    doors_t *self = calloc(1, sizeof *self);
    must(self);
    self->is = *options;
    return self;
}

err_t doors_open(doors_t *self)
{
    zsys_handler_set(NULL); /* signals belong to main() */
    zsys_set_logstream(stderr);
    self->zap = zap_new(self->is.allow, self->is.join);
    err_t err = open_hosts(self);
    if (!err && self->is.control)
        err = open_clients(self, DOOR_CLIENTS, self->is.control, CLIENT_FRAMES_MAX);
    if (!err && self->is.control_read)
        err = open_clients(self, DOOR_READERS, self->is.control_read, READER_FRAMES_MAX);
    return err;
}

const char *doors_why(const doors_t *self) { return self->why; }

const char *doors_endpoint(const doors_t *self, door_t door) { return self->endpoints[door]; }

void doors_destroy(doors_t **self_p)
{
    doors_t *self = *self_p;
    if (!self) return;
    if (self->socks[DOOR_CLIENTS]) set(self->socks[DOOR_CLIENTS], ZMQ_LINGER, GOODBYE_MS);
    for (door_t i = 0; i < DOORS; i++) zsock_destroy(&self->socks[i]);
    zap_destroy(&self->zap);
    free(self);
    *self_p = NULL;
}

/* ---- the port ---- */

static void port_wait(void *context, int timeout_ms)
{
    doors_t *self = context;
    zmq_pollitem_t items[DOORS + 1];
    int count = 0, agent = -1;
    bool write = false;
    for (door_t i = 0; i < DOORS; i++) {
        if (!self->socks[i] || (i == DOOR_HOSTS && self->hold)) continue;
        items[count++] = (zmq_pollitem_t){zsock_resolve(self->socks[i]), 0, ZMQ_POLLIN, 0};
    }
    if (self->is.keeper) keeper_wants(self->is.keeper, &agent, &write);
    if (agent >= 0) {
        short events = (short)(ZMQ_POLLIN | (write ? ZMQ_POLLOUT : 0));
        items[count++] = (zmq_pollitem_t){NULL, agent, events, 0};
    }
    int rc = zmq_poll(items, count, timeout_ms);
    must(rc >= 0 || errno == EINTR);
    self->reads = 0;
    /* Once for all that is taken now: nothing of it is answered before all of it is durable. */
    allow_refresh(self->is.allow);
    if (self->is.join) allow_refresh(self->is.join);
}

static void port_pause(void *context, int ms)
{
    (void)context;
    struct timespec time = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&time, NULL);
}

/* Few keys speak often, and reading one costs as much as the rest of taking a frame. */
static bool parse_key(doors_t *self, const char *text, hash_t *ret)
{
    size_t at = 0;
    for (const char *c = text; *c && c < text + 4; c++) at = 31 * at + (unsigned char)*c;
    at %= KEYS_SEEN;
    if (!*text || strcmp(self->seen[at].text, text) != 0) {
        if (!key_parse(text_of(text), ret)) return false;
        snprintf(self->seen[at].text, sizeof self->seen[at].text, "%s", text);
        self->seen[at].key = *ret;
    }
    *ret = self->seen[at].key;
    return true;
}

/* Who sent PART: what our ZAP handler said about its connection, in Z85. */
static void read_key(doors_t *self, zmq_msg_t *part, arrival_t *ret)
{
    const char *user = zmq_msg_gets(part, "User-Id");
    if (!user || !parse_key(self, user, &ret->key)) return;
    ret->admitted = allow_has(self->is.allow, ret->key, NULL);
    if (ret->admitted || !self->is.join) return;
    ret->joins = allow_has(self->is.join, ret->key, NULL);
}

/* Takes the next part of a message that has begun to arrive. True: there are more. */
static bool next_part(void *sock, zmq_msg_t *ret)
{
    must(zmq_msg_init(ret) == 0);
    while (zmq_msg_recv(ret, sock, 0) < 0) must(errno == EINTR);
    return zmq_msg_more(ret);
}

/* Adds the parts behind the first one of a message to WHOLE. All of them have arrived when that has. */
static bool read_more(void *sock, buf_t *whole)
{
    bool ok = true, more = true;
    for (int parts = 1; more; parts++) {
        zmq_msg_t part;
        more = next_part(sock, &part);
        ok = ok && parts < PARTS_MAX &&
             buf_add(whole, zmq_msg_data(&part), zmq_msg_size(&part)) == ERR_OK;
        zmq_msg_close(&part);
    }
    return ok;
}

/* Nearly every frame is one part, and is copied once. */
static void read_frame(doors_t *self, void *sock, arrival_t *ret)
{
    zmq_msg_t first;
    bool more = next_part(sock, &first);
    bin_t bytes = {zmq_msg_data(&first), zmq_msg_size(&first)};
    if (ret->door == DOOR_HOSTS) read_key(self, &first, ret);
    if (!more) {
        ret->frame = blob_new(bytes.at, bytes.len);
    } else {
        buf_t whole = buf_of(FRAME_BYTES_MAX);
        bool ok = buf_add(&whole, bytes.at, bytes.len) == ERR_OK;
        if (read_more(sock, &whole) && ok)
            ret->frame = blob_new(whole.at, whole.len);
        else
            ret->too_large = true;
        buf_clear(&whole);
    }
    zmq_msg_close(&first);
}

static void port_hold(void *context, bool hosts) { ((doors_t *)context)->hold = hosts; }

static bool take_from(doors_t *self, door_t door, arrival_t *ret)
{
    if (door == DOOR_HOSTS && self->hold) return false;
    if (door == DOOR_READERS && self->reads == READS_MAX) return false;
    void *sock = self->socks[door] ? zsock_resolve(self->socks[door]) : NULL;
    zmq_msg_t route;
    if (!sock) return false;
    must(zmq_msg_init(&route) == 0);
    if (zmq_msg_recv(&route, sock, ZMQ_DONTWAIT) < 0) {
        must(errno == EAGAIN || errno == EINTR);
        zmq_msg_close(&route);
        return false;
    }
    *ret = (arrival_t){.door = door, .admitted = door != DOOR_HOSTS};
    self->reads += door == DOOR_READERS;
    ret->route.len = (uint8_t)zmq_msg_size(&route);
    memcpy(ret->route.at, zmq_msg_data(&route), ret->route.len);
    int more = zmq_msg_more(&route);
    zmq_msg_close(&route);

    if (more)
        read_frame(self, sock, ret);
    else
        ret->too_large = true;
    return true;
}

static bool port_take(void *context, arrival_t *ret)
{
    doors_t *self = context;
    bool asked[DOORS] = {false};
    self->turn = (self->turn + 1) % DOORS;
    door_t order[DOORS];
    for (door_t i = 0; i < DOORS; i++) order[i] = (self->turn + i) % DOORS;
    for (int i = 0; i < DOORS; i++) {
        door_t door = order[i];
        if (self->empty[door] > 0) {
            self->empty[door]--;
            continue;
        }
        if (take_from(self, door, ret)) return true;
        self->empty[door] = EMPTY_TAKES;
        asked[door] = true;
    }
    /* That there is nothing is said when all were asked, not before. */
    for (int i = 0; i < DOORS; i++) {
        if (asked[order[i]]) continue;
        self->empty[order[i]] = 0;
        if (take_from(self, order[i], ret)) return true;
    }
    return false;
}

static int send_part(void *sock, const void *at, size_t len, int flags)
{
    int rc;
    do rc = zmq_send(sock, at, len, flags);
    while (rc < 0 && errno == EINTR);
    return rc;
}

static bool port_send(void *context, door_t door, const route_t *route, bin_t frame)
{
    doors_t *self = context;
    void *sock = zsock_resolve(self->socks[door]);
    must(frame.len > 0 && frame.len <= FRAME_BYTES_MAX);
    if (send_part(sock, route->at, route->len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        must(errno == EHOSTUNREACH || errno == EAGAIN);
        return false;
    }
    /* When the connection ends from here on, libzmq drops the rest and says nothing. */
    for (size_t at = 0; at < frame.len; at += PART_SEND_BYTES) {
        size_t left = frame.len - at;
        size_t len = left < PART_SEND_BYTES ? left : PART_SEND_BYTES;
        must(send_part(sock, frame.at + at, len, len < left ? ZMQ_SNDMORE : 0) >= 0);
        if (len < left) FAILPOINT(broker_sent_part);
    }
    return true;
}

static bool port_admits(void *context, hash_t key, char name[NAME_BYTES_MAX + 1])
{
    doors_t *self = context;
    allow_refresh(self->is.allow);
    return allow_has(self->is.allow, key, name);
}

/* A join key on the allow-list would be everybody's host; one that was taken off its own list while who came with it waited is
 * none any more. */
static void port_admit(void *context, newcomer_t *all, size_t count)
{
    doors_t *self = context;
    if (self->is.join) allow_refresh(self->is.join);
    for (size_t i = 0; i < count; i++) {
        bool bad = !self->is.join || allow_has(self->is.join, all[i].key, NULL);
        if (bad && !all[i].err) all[i].err = ERR_BAD_VALUE;
        if (!all[i].err && !allow_has(self->is.join, all[i].by, NULL)) all[i].err = ERR_KEY_REFUSED;
    }
    allow_add(self->is.allow, all, count);
}

static err_t port_expel(void *context, const hash_t *keys, size_t count)
{
    return allow_expel(((doors_t *)context)->is.allow, keys, count);
}

static bool port_agent_start(void *context)
{
    doors_t *self = context;
    return self->is.keeper && keeper_start(self->is.keeper);
}

static void port_agent_end(void *context) { keeper_end(((doors_t *)context)->is.keeper); }

static void port_agent_send(void *context, bin_t frame)
{
    keeper_send(((doors_t *)context)->is.keeper, frame);
}

static agent_event_t port_agent_take(void *context, bin_t *ret, int *ret_status)
{
    return keeper_take(((doors_t *)context)->is.keeper, ret, ret_status);
}

port_t doors_port(doors_t *self)
{
    return (port_t){
        .self = self,
        .wait = port_wait,
        .pause = port_pause,
        .take = port_take,
        .send = port_send,
        .admits = port_admits,
        .admit = port_admit,
        .expel = port_expel,
        .agent_start = port_agent_start,
        .agent_end = port_agent_end,
        .agent_send = port_agent_send,
        .agent_take = port_agent_take,
        .hold = port_hold,
    };
}
