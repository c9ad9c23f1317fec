#include "cli/link.h"

#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/map.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { SLICE_MS = 250, DOOR_MS = 2000, LOOKS = 2 };

/* A request that has no answer yet. */
typedef struct asked {
    struct asked *prev, *next;
    id128_t id;
    msg_tag_t tag;
    buf_t frame;
} asked_t;

struct link {
    zsock_t *socket, *monitor; /* the monitor tells when the connection was made anew */
    char *endpoint;
    buf_t frame;
    asked_t *asked, *asked_last; /* in the order sent */
    map_t by_id;
    unsigned slices;        /* of silence since something came */
    unsigned looks, missed; /* at its door: how many are given to it, and found it closed */
    bool greeted, greeting;
    msg_t msg;
    bool has_msg;
    link_event_t *call;
    void *context;
    link_silence_t *silence;
    void *silence_context;
    link_answer_t *answer;
    void *answer_context;
    id128_t kernel;
    char version[NAME_BYTES_MAX + 1], key[NAME_BYTES_MAX + 1], hosts[PATH_BYTES_MAX + 1];
};

static volatile sig_atomic_t caught;

static void on_signal(int number) { caught = number; }

void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* A pipe may also be a child's or a socket: only the end of our own reader is an end for us. */
static void on_pipe(int number)
{
    struct pollfd out = {STDOUT_FILENO, 0, 0};
    int error = errno;

    if (poll(&out, 1, 0) > 0 && (out.revents & POLLERR)) caught = number;
    errno = error;
}

void pipe_catch(void)
{
    struct sigaction action = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};

    sigaction(SIGPIPE, &action, NULL);
}

int signal_caught(void) { return caught; }
void signal_forget(void) { caught = 0; }

uint64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

id128_t request_id(void)
{
    id128_t id;

    randombytes_buf(id.b, sizeof id.b);
    return id;
}

/* ZeroMQ would wait for ever for a socket that nobody made: ask the system first. */
static err_t door_check(const char *endpoint, fail_t *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strncmp(endpoint, "ipc://", 6) != 0) {
        fail(f, ERR_BAD_VALUE, "the endpoint %.200s is not one of a control socket", endpoint);
        fail_why(f, "ipc://PATH is wanted");
        return ERR_BAD_VALUE;
    }
    if (strlen(endpoint + 6) >= sizeof address.sun_path) {
        fail(f, ERR_BAD_VALUE, "the path of the control socket %.200s is too long", endpoint);
        fail_why(f, "%zu bytes are the system's limit", sizeof address.sun_path - 1);
        return ERR_BAD_VALUE;
    }
    strcpy(address.sun_path, endpoint + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bad = connect(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(fd);
    if (!bad) return ERR_OK;

    if (error == EACCES || error == EPERM) {
        fail(f, ERR_KEY_FILE, "the control socket %.200s belongs to somebody else", endpoint + 6);
    } else {
        fail(f, ERR_NO_BROKER, "no broker at %.200s", endpoint);
    }
    fail_why(f, "%s",
             error == ENOENT ? "the socket does not exist: nothing was started here"
                             : strerror(error));
    if (f->err == ERR_NO_BROKER) {
        fail_try(f, "vatctl up         start one in the background");
        fail_try(f, "vatctl run FILE   or run a cluster in one go");
    }
    return f->err;
}

static void frame_send(link_t *self, bin_t frame)
{
    void *socket = zsock_resolve(self->socket);

    for (size_t at = 0; at < frame.len;) {
        size_t part = frame.len - at < PART_BYTES_MAX ? frame.len - at : PART_BYTES_MAX;
        bool more = at + part < frame.len;
        while (zmq_send(socket, frame.at + at, part, more ? ZMQ_SNDMORE : 0) < 0)
            must(errno == EINTR);
        at += part;
    }
}

/* ---- what was asked: thousands at once, when a load is made ---- */

static uint64_t fold(const id128_t *id)
{
    uint64_t parts[2];

    memcpy(parts, id, sizeof parts);
    return parts[0] ^ parts[1];
}

static bool is_id(const asked_t *asked, const void *id)
{
    return memcmp(&asked->id, id, sizeof asked->id) == 0;
}

static void asked_add(link_t *self, asked_t *asked)
{
    asked->prev = self->asked_last;
    *(self->asked_last ? &self->asked_last->next : &self->asked) = asked;
    self->asked_last = asked;
    map_put(&self->by_id, fold(&asked->id), asked);
}

static void asked_drop(link_t *self, asked_t *asked)
{
    *(asked->prev ? &asked->prev->next : &self->asked) = asked->next;
    *(asked->next ? &asked->next->prev : &self->asked_last) = asked->prev;
    if (map_get(&self->by_id, fold(&asked->id)) == asked)
        map_remove(&self->by_id, fold(&asked->id));
    buf_clear(&asked->frame);
    free(asked);
}

/* What ID asked for; NULL when it has its answer. ID is 16 bytes. The index has the last one of those
 * whose ids fold to the same, which no two random ones do. */
static asked_t *asked_find(const link_t *self, const void *id)
{
    id128_t copy;

    memcpy(&copy, id, sizeof copy);
    asked_t *asked = map_get(&self->by_id, fold(&copy));
    if (asked && is_id(asked, id)) return asked;
    for (asked = self->asked; asked && !is_id(asked, id); asked = asked->next) {
    }
    return asked;
}

void link_send(link_t *self, msg_tag_t tag, const void *body)
{
    asked_t *asked = calloc(1, sizeof *asked);

    must(asked);
    asked->tag = tag;
    memcpy(&asked->id, body, sizeof asked->id);
    asked->frame = buf_of(FRAME_BYTES_MAX);
    must(!msg_encode(tag, body, &asked->frame));
    frame_send(self, (bin_t){asked->frame.at, asked->frame.len});
    asked_add(self, asked);
}

/* ---- a broker that comes back ---- */

static bool is_part(msg_tag_t tag) { return tag == TAG_bundle_part || tag == TAG_checkpoint_part; }

/* Pieces of files name no request: they answer the one question for them that was asked. */
static bool asks_part(msg_tag_t asked, msg_tag_t part)
{
    return part == TAG_bundle_part ? asked == TAG_bundle_have || asked == TAG_bundle_get
                                   : asked == TAG_checkpoint_get;
}

/* Whether MSG answers what was asked; then it is asked no more. WATCH is, for as long as the link
 * lives: a broker that comes back does not know who watched. */
static bool answers(link_t *self, const msg_t *msg)
{
    asked_t *asked = self->asked;

    if (!is_part(msg->tag))
        asked = asked_find(self, &msg->body);
    else
        while (asked && !asks_part(asked->tag, msg->tag)) asked = asked->next;
    if (!asked) return false;
    if (asked->tag != TAG_watch) asked_drop(self, asked);
    return true;
}

static void greet(link_t *self)
{
    msg_client_hello_t greeting = {.proto_min = PROTO_MIN, .proto_max = PROTO_MAX};
    buf_t frame = buf_of(FRAME_BYTES_MAX);

    must(!msg_encode(TAG_client_hello, &greeting, &frame));
    frame_send(self, (bin_t){frame.at, frame.len});
    buf_clear(&frame);
    self->greeting = true;
}

/* Says hello again and repeats every request that has no answer: by its id the broker knows which
 * of them it has done already. */
static void rejoin(link_t *self)
{
    greet(self);
    for (const asked_t *asked = self->asked; asked; asked = asked->next)
        frame_send(self, (bin_t){asked->frame.at, asked->frame.len});
}

/* From now on the monitor says when the connection is made again. */
static void monitor_start(link_t *self)
{
    /* Not a name that was used before: ZeroMQ closes the last link's behind our back. */
    static unsigned links;
    char name[64];

    snprintf(name, sizeof name, "inproc://link-%u", ++links);
    must(zmq_socket_monitor(zsock_resolve(self->socket), name, ZMQ_EVENT_CONNECTED) == 0);
    self->monitor = zsock_new(ZMQ_PAIR);
    must(self->monitor && zsock_connect(self->monitor, "%s", name) == 0);
}

static void monitor_drain(link_t *self)
{
    void *socket = zsock_resolve(self->monitor);
    zmq_msg_t part;

    zmq_msg_init(&part);
    while (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0) {
    }
    zmq_msg_close(&part);
    rejoin(self);
}

static void text_copy(char *to, text_t text, size_t room)
{
    snprintf(to, room, "%.*s", (int)text.len, text.at);
}

static err_t hello(link_t *self, unsigned ms, fail_t *f)
{
    const msg_t *msg;

    greet(self);
    err_t err = link_next(self, ms, &msg, f);
    if (err == ERR_TIMED_OUT) {
        fail(f, ERR_NO_BROKER, "the broker at %.200s does not answer", self->endpoint);
        fail_why(f, "nothing came within %u ms", ms);
        return ERR_NO_BROKER;
    }
    if (err) return err;
    if (msg->tag == TAG_failed) return link_failed(&msg->body.failed, f);
    if (msg->tag != TAG_client_welcome) return fail(f, ERR_WIRE_TURN, "the broker does not greet");
    self->kernel = msg->body.client_welcome.kernel;
    text_copy(self->version, msg->body.client_welcome.version, sizeof self->version);
    text_copy(self->hosts, msg->body.client_welcome.hosts_endpoint, sizeof self->hosts);
    text_copy(self->key, msg->body.client_welcome.key, sizeof self->key);
    return ERR_OK;
}

link_t *link_new(const char *endpoint, unsigned timeout_ms, fail_t *f)
{
    if (door_check(endpoint, f)) return NULL;

    AUTO(link) self = calloc(1, sizeof *self);
    must(self);
    self->endpoint = strdup(endpoint);
    self->frame = buf_of(FRAME_BYTES_MAX);
    self->looks = LOOKS;
    zsys_handler_set(NULL);
    self->socket = zsock_new(ZMQ_DEALER);
    must(self->socket && self->endpoint);
    zsock_set_sndhwm(self->socket, 0);
    zsock_set_rcvhwm(self->socket, 0);
    zsock_set_linger(self->socket, 0);
    zsock_set_maxmsgsize(self->socket, PART_BYTES_MAX);
    if (zsock_connect(self->socket, "%s", endpoint) != 0) {
        fail(f, ERR_NO_BROKER, "%.200s cannot be reached", endpoint);
        return NULL;
    }
    if (hello(self, timeout_ms, f)) return NULL;
    self->greeted = true;
    monitor_start(self);
    return TAKE(self);
}

void link_destroy(link_t **self_p)
{
    link_t *self = *self_p;
    if (!self) return;

    if (self->has_msg) msg_clear(&self->msg);
    while (self->asked) asked_drop(self, self->asked);
    map_clear(&self->by_id);
    zsock_destroy(&self->monitor);
    zsock_destroy(&self->socket);
    buf_clear(&self->frame);
    free(self->endpoint);
    free(self);
    *self_p = NULL;
}

void link_on_event(link_t *self, link_event_t *call, void *context)
{
    self->call = call;
    self->context = context;
}

void link_on_silence(link_t *self, link_silence_t *call, void *context)
{
    self->silence = call;
    self->silence_context = context;
}

void link_looks(link_t *self, unsigned looks) { self->looks = looks; }

void link_on_answer(link_t *self, link_answer_t *call, void *context)
{
    self->answer = call;
    self->answer_context = context;
}

const char *link_version(const link_t *self) { return self->version; }
const char *link_hosts_endpoint(const link_t *self) { return self->hosts; }
const char *link_key(const link_t *self) { return self->key; }
id128_t link_kernel(const link_t *self) { return self->kernel; }

/* One frame, all its parts. False: a signal, or a frame beyond every limit. */
static bool frame_receive(link_t *self)
{
    void *socket = zsock_resolve(self->socket);
    bool more = true, fits = true;

    buf_reset(&self->frame);
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0) {
            zmq_msg_close(&part);
            if (self->frame.len == 0) return false;
            continue;
        }
        fits = fits && !buf_add(&self->frame, zmq_msg_data(&part), zmq_msg_size(&part));
        more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
    return fits;
}

static err_t timed_out(fail_t *f, unsigned ms)
{
    fail(f, ERR_TIMED_OUT, "no answer in time");
    fail_why(f, "nothing came within %u ms", ms);
    return ERR_TIMED_OUT;
}

/* Nothing came for a while: is anybody still there? ZeroMQ itself would wait for ever. One who is
 * back when asked for the second time was only started anew. */
static err_t silent(link_t *self, fail_t *f)
{
    if (self->silence) {
        err_t err = self->silence(self->silence_context, f);
        if (err) return err;
    }
    if (++self->slices % (DOOR_MS / SLICE_MS) != 0) return ERR_OK;
    fail_t found;
    err_t err = door_check(self->endpoint, &found);
    self->missed = err == ERR_NO_BROKER ? self->missed + 1 : 0;
    if (self->missed && self->missed < self->looks) return ERR_OK;
    if (err) *f = found;
    if (err == ERR_NO_BROKER) fail_why(f, "it went away, and has not come back");
    return err;
}

/* A frame of ours that the broker did not take. One who does not know us came back: what was sent
 * before our hello reached it is repeated behind that. */
static err_t refused(link_t *self, const msg_refuse_t *refuse, fail_t *f)
{
    if (refuse->error == ERR_NEED_HELLO) {
        if (!self->greeting) rejoin(self);
        return ERR_OK;
    }
    err_t err = (err_t)refuse->error;
    if (err_row(err)->err != err || !err) err = ERR_INTERNAL;
    return fail(f, err, "%.*s", (int)refuse->text.len, refuse->text.at);
}

/* Decodes what came. RET_MINE: it is the first answer to something asked. */
static err_t take(link_t *self, bool *ret_mine, fail_t *f)
{
    if (self->has_msg) msg_clear(&self->msg);
    self->has_msg = false;
    self->slices = 0;
    self->missed = 0;
    err_t err = msg_decode((bin_t){self->frame.at, self->frame.len}, &self->msg);
    if (err) return fail(f, err, "the broker's answer cannot be read");
    self->has_msg = true;
    switch (self->msg.tag) {
    case TAG_event:
        if (self->call) self->call(self->context, &self->msg.body.event);
        return ERR_OK;
    case TAG_client_welcome:
        self->greeting = false;
        *ret_mine = !self->greeted;
        return ERR_OK;
    case TAG_refuse: return refused(self, &self->msg.body.refuse, f);
    default: *ret_mine = answers(self, &self->msg); return ERR_OK;
    }
}

err_t link_next(link_t *self, unsigned ms, const msg_t **ret, fail_t *f)
{
    uint64_t end = now_ms() + ms;

    for (;;) {
        uint64_t now = now_ms(), left = now < end ? end - now : 0;
        zmq_pollitem_t items[] = {
            {zsock_resolve(self->socket), 0, ZMQ_POLLIN, 0},
            {self->monitor ? zsock_resolve(self->monitor) : NULL, -1, ZMQ_POLLIN, 0},
        };
        bool mine = false;
        if (signal_caught()) return timed_out(f, ms);
        int ready = zmq_poll(items, self->monitor ? 2 : 1, left < SLICE_MS ? (long)left : SLICE_MS);
        if (ready < 0) continue;
        if (ready == 0 && left == 0) return timed_out(f, ms);
        err_t err = ERR_OK;
        if (items[1].revents) monitor_drain(self);
        if (ready == 0)
            err = silent(self, f);
        else if (items[0].revents && frame_receive(self))
            err = take(self, &mine, f);
        if (err) return err;
        if (!mine) continue;
        *ret = &self->msg;
        return ERR_OK;
    }
}

/* Whether something came for SOCKET; only then, or after this said no, does its descriptor mean anything. */
static bool has_come(zsock_t *socket) { return zsock_events(socket) & ZMQ_POLLIN; }

/* Waits for NS at most. False: nothing came. */
static bool wait_ns(link_t *self, uint64_t ns)
{
    struct pollfd fds[] = {{zsock_fd(self->socket), POLLIN, 0},
                           {zsock_fd(self->monitor), POLLIN, 0}};
    struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    return ppoll(fds, 2, &time, NULL) > 0;
}

err_t link_poll(link_t *self, uint64_t ns, const msg_t **ret, fail_t *f)
{
    bool waited = ns == 0;

    *ret = NULL;
    while (!signal_caught()) {
        if (has_come(self->socket)) {
            bool mine = false;
            err_t err = frame_receive(self) ? take(self, &mine, f) : ERR_OK;
            if (err) return err;
            if (!mine) continue;
            *ret = &self->msg;
            return ERR_OK;
        }
        if (waited) return ERR_OK;
        waited = true;
        if (has_come(self->monitor)) monitor_drain(self);
        if (!wait_ns(self, ns) && ns >= SLICE_MS * UINT64_C(1000000)) return silent(self, f);
    }
    return ERR_OK;
}

err_t link_failed(const msg_failed_t *failed, fail_t *f)
{
    err_t err = (err_t)failed->error;

    /* A newer broker may know errors that we do not. */
    if (err_row(err)->err != err || !err) err = ERR_INTERNAL;
    fail(f, err, "%.*s", (int)failed->what.len, failed->what.at);
    if (failed->why.len) fail_why(f, "%.*s", (int)failed->why.len, failed->why.at);
    return err;
}

static void nobodys(const link_t *self, const msg_t *msg)
{
    if (self->answer) self->answer(self->answer_context, msg);
}

void link_drain(link_t *self)
{
    const msg_t *msg;
    fail_t ignored;

    while (!link_next(self, 0, &msg, &ignored)) nobodys(self, msg);
}

/* Nobody waits for its answer any more. What a promise is settled with is wanted all the same. */
static void give_up(link_t *self, msg_tag_t tag, id128_t id)
{
    if (tag == TAG_await) return;
    asked_t *asked = asked_find(self, &id);
    if (asked) asked_drop(self, asked);
}

err_t link_ask(link_t *self, msg_tag_t tag, const void *body, msg_tag_t want, unsigned ms,
               const msg_t **ret, fail_t *f)
{
    uint64_t end = now_ms() + ms;
    id128_t id;

    memcpy(&id, body, sizeof id);
    link_send(self, tag, body);
    for (;;) {
        uint64_t now = now_ms();
        const msg_t *msg;
        err_t err = link_next(self, now < end ? (unsigned)(end - now) : 0, &msg, f);
        if (err) {
            give_up(self, tag, id);
            return err;
        }
        if (memcmp(&msg->body, &id, sizeof id) != 0) {
            nobodys(self, msg);
            continue;
        }
        if (msg->tag == TAG_failed) return link_failed(&msg->body.failed, f);
        if (msg->tag != want)
            return fail(f, ERR_WIRE_TURN, "the broker gave another answer than asked");
        *ret = msg;
        return ERR_OK;
    }
}

err_t link_part(link_t *self, msg_tag_t tag, const void *body, const msg_t **ret, fail_t *f)
{
    msg_tag_t want = tag == TAG_bundle_get ? TAG_bundle_part : TAG_checkpoint_part;
    const msg_t *msg;

    link_send(self, tag, body);
    for (;;) {
        err_t err = link_next(self, ANSWER_MS, &msg, f);
        if (err) return err;
        if (msg->tag == want) break;
        nobodys(self, msg);
    }
    *ret = msg;
    return ERR_OK;
}
