#define _GNU_SOURCE /* accept4, POLLRDHUP */
#include "broker/agent/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/agent/base64.h"
#include "broker/agent/dial.h"
#include "broker/agent/intake.h"
#include "broker/agent/place.h"
#include "wire/base/limits.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum { RETRY_FIRST_MS = 100, RETRY_LAST_MS = 5000, READ_CHUNK = 64 * 1024 };

typedef enum { TYPE_SOCKET, TYPE_LISTEN, TYPE_NETWORK, TYPE_FILE, TYPE_CONSOLE, TYPES } type_t;

static const char *const type_names[TYPES] = {"socket", "listen", "network", "file", "console"};

/* Something to be written, until the last byte of it is. */
typedef struct outgoing {
    struct outgoing *next;
    uint64_t errand;
    size_t len, sent;
    char bytes[];
} outgoing_t;

struct channel {
    const channel_world_t *world;
    char *name, *place; /* NAME: cluster:channel */
    type_t type;
    bool in, out;
    unit_t unit;

    int door;     /* the socket that listens, -1: none */
    int peer;     /* the connection, or the file; -1: none */
    off_t at;     /* where a file is read */
    dial_t *dial; /* a connection is being made */
    char why[PLACE_WHY_BYTES];
    uint64_t retry_ms, pause_ms; /* when to try to open it again; 0: no need */

    intake_t intake;
    buf_t text;
    uint64_t *reads; /* errands that wait, from READ_FROM to READ_TO */
    size_t read_from, read_to, read_room;
    outgoing_t *writes, *writes_last;
};

/* ---- what it says ---- */

/* Errors speak of a channel by the name that its cluster file gives it. */
static const char *short_name(const channel_t *self)
{
    const char *colon = strchr(self->name, ':');
    return colon ? colon + 1 : self->name;
}

static void failed(channel_t *self, uint64_t errand, const char *what)
{
    told_failed(self->world->told, errand, "Error", "IO channel \"%s\" %s", short_name(self), what);
}

static void cannot_open(channel_t *self, uint64_t errand)
{
    told_failed(self->world->told, errand, "Error", "IO channel \"%s\" cannot be opened: %s",
                short_name(self), self->why);
}

/* Gives READS what has arrived. */
static void serve(channel_t *self)
{
    while (self->read_from < self->read_to) {
        buf_reset(&self->text);
        if (!intake_take(&self->intake, self->unit, &self->text)) return;
        told_text(self->world->told, self->reads[self->read_from++],
                  (text_t){(const char *)self->text.at, self->text.len});
    }
}

/* The input ended: reads that are left get null. */
static void serve_end(channel_t *self)
{
    self->intake.ended = true;
    serve(self);
    while (self->read_from < self->read_to) {
        told_null(self->world->told, self->reads[self->read_from++]);
    }
}

static outgoing_t *next_write(channel_t *self)
{
    outgoing_t *first = self->writes;
    if (first) self->writes = first->next;
    if (!self->writes) self->writes_last = NULL;
    return first;
}

static void fail_writes(channel_t *self, const char *what)
{
    for (outgoing_t *write; (write = next_write(self)); free(write)) {
        failed(self, write->errand, what);
    }
}

/* ---- connections ---- */

static const char *alone(const channel_t *self)
{
    return self->type == TYPE_NETWORK ? "is not connected" : "has no connected client";
}

static void peer_begins(channel_t *self, int fd)
{
    intake_reset(&self->intake); /* what nobody read of the one before */
    self->peer = fd;
}

static void peer_ended(channel_t *self)
{
    close(self->peer);
    self->peer = -1;
    serve_end(self);
    fail_writes(self, alone(self));
}

/* Reads what there is, until the intake is full. */
static void peer_read(channel_t *self)
{
    while (self->peer >= 0 && !intake_full(&self->intake)) {
        size_t room;
        uint8_t *at = intake_space(&self->intake, &room);
        ssize_t got = recv(self->peer, at, room < READ_CHUNK ? room : READ_CHUNK, 0);
        if (got > 0) {
            intake_filled(&self->intake, (size_t)got);
            serve(self);
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else {
            peer_ended(self);
        }
    }
}

static void peer_write(channel_t *self)
{
    while (self->writes && self->peer >= 0) {
        outgoing_t *write = self->writes;
        ssize_t sent =
            send(self->peer, write->bytes + write->sent, write->len - write->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (sent < 0) {
            peer_ended(self);
            return;
        }
        write->sent += (size_t)sent;
        if (write->sent < write->len) continue;
        told_undefined(self->world->told, write->errand);
        free(next_write(self));
    }
}

/* Has it hung up, though we have not read all that it sent? */
static bool peer_left(const channel_t *self)
{
    struct pollfd look = {self->peer, POLLRDHUP, 0};
    return poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void admit(channel_t *self)
{
    for (int fd; (fd = accept4(self->door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (self->peer >= 0 && peer_left(self)) {
            intake_reset(&self->intake);
            peer_ended(self);
        }
        if (self->peer >= 0)
            close(fd); /* one at a time */
        else
            peer_begins(self, fd);
    }
}

static void dialled(void *context, int fd, const char *why)
{
    channel_t *self = context;
    snprintf(self->why, sizeof self->why, "%s", why); /* it is the dial's */
    dial_destroy(&self->dial);
    if (fd >= 0) {
        peer_begins(self, fd);
        peer_write(self);
        return;
    }
    while (self->read_from < self->read_to) cannot_open(self, self->reads[self->read_from++]);
    for (outgoing_t *write; (write = next_write(self)); free(write)) {
        cannot_open(self, write->errand);
    }
}

static void dial(channel_t *self)
{
    if (self->peer >= 0 || self->dial) return;
    self->dial = dial_new(self->world->web, self->place, dialled, self);
    if (!self->dial) dialled(self, -1, "it is no host:port");
}

/* ---- files ---- */

static bool file_fill(channel_t *self)
{
    size_t room;
    uint8_t *at = intake_space(&self->intake, &room);
    ssize_t got;
    do got = pread(self->peer, at, room < READ_CHUNK ? room : READ_CHUNK, self->at);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    intake_filled(&self->intake, (size_t)got);
    self->at += got;
    return true;
}

/* At its end the rest is a unit, then comes null; what is appended later can be read later. */
static void file_read(channel_t *self)
{
    while (serve(self), self->read_from < self->read_to) {
        if (file_fill(self)) continue;
        serve_end(self);
        self->intake.ended = false;
    }
}

static void file_write(channel_t *self)
{
    for (outgoing_t *out; (out = next_write(self)); free(out)) {
        ssize_t sent = 0;
        while (out->sent < out->len && (sent >= 0 || errno == EINTR)) {
            sent = write(self->peer, out->bytes + out->sent, out->len - out->sent);
            if (sent > 0) out->sent += (size_t)sent;
        }
        if (out->sent == out->len)
            told_undefined(self->world->told, out->errand);
        else
            failed(self, out->errand, strerror(errno));
    }
}

/* ---- open and close ---- */

/* Opens what can be opened at once. */
static void try_open(channel_t *self, uint64_t now_ms)
{
    char why[PLACE_WHY_BYTES];
    int *fd = self->type == TYPE_FILE ? &self->peer : &self->door;

    switch (self->type) {
    case TYPE_SOCKET: *fd = place_socket(self->place, why); break;
    case TYPE_LISTEN: *fd = place_listen(self->place, why); break;
    case TYPE_FILE: *fd = place_file(self->place, self->in, self->out, why); break;
    case TYPE_NETWORK:
    case TYPE_CONSOLE:
    case TYPES: return;
    }
    if (*fd >= 0) {
        if (self->why[0]) log_info("channel_open", kv_str("channel", self->name));
        self->why[0] = '\0';
        self->retry_ms = self->pause_ms = 0;
        return;
    }
    if (strcmp(why, self->why) != 0) {
        log_warn("channel_shut", kv_str("channel", self->name), kv_str("place", self->place),
                 kv_str("why", why));
    }
    strcpy(self->why, why);
    self->pause_ms = self->pause_ms ? 2 * self->pause_ms : RETRY_FIRST_MS;
    if (self->pause_ms > RETRY_LAST_MS) self->pause_ms = RETRY_LAST_MS;
    self->retry_ms = now_ms + self->pause_ms;
}

/* Is there what a read or write needs? Otherwise says why not. */
static bool open_for(channel_t *self, uint64_t errand, uint64_t now_ms)
{
    if (self->retry_ms) try_open(self, now_ms);
    if (self->retry_ms) cannot_open(self, errand);
    return !self->retry_ms;
}

static char *copy(text_t text)
{
    char *made = malloc(text.len + 1);
    must(made);
    if (text.len) memcpy(made, text.at, text.len);
    made[text.len] = '\0';
    return made;
}

static type_t type_of(text_t text)
{
    type_t type = 0;
    while (type < TYPES && (strlen(type_names[type]) != text.len ||
                            memcmp(type_names[type], text.at, text.len) != 0)) {
        type++;
    }
    return type;
}

channel_t *channel_new(const channel_world_t *world, const msg_agent_open_t *open, uint64_t now_ms)
{
    channel_t *self = calloc(1, sizeof *self);
    must(self);
    self->world = world;
    self->name = copy(open->name);
    self->place = copy(open->place);
    self->type = type_of(open->type);
    self->in = open->direction & 1;
    self->out = open->direction & 2;
    self->unit = open->unit < UNITS ? (unit_t)open->unit : UNIT_LINE;
    self->door = self->peer = -1;
    self->text = buf_of(INTAKE_UNIT_BYTES_MAX);
    try_open(self, now_ms);
    return self;
}

void channel_destroy(channel_t **self_p)
{
    channel_t *self = *self_p;
    if (!self) return;
    if (self->type == TYPE_CONSOLE) console_leave(self->world->console, self);
    while (self->read_from < self->read_to) {
        told_null(self->world->told, self->reads[self->read_from++]);
    }
    fail_writes(self, "is closed");
    dial_destroy(&self->dial);
    if (self->peer >= 0) close(self->peer);
    if (self->door >= 0) close(self->door);
    if (self->door >= 0 && self->type == TYPE_SOCKET) unlink(self->place);
    intake_clear(&self->intake);
    buf_clear(&self->text);
    free(self->reads);
    free(self->name);
    free(self->place);
    free(self);
    *self_p = NULL;
}

/* ---- reads and writes ---- */

static void push_read(channel_t *self, uint64_t errand)
{
    if (self->read_from == self->read_to) self->read_from = self->read_to = 0;
    if (self->read_to == self->read_room) {
        self->read_room = self->read_room ? 2 * self->read_room : 8;
        self->reads = reallocarray(self->reads, self->read_room, sizeof *self->reads);
        must(self->reads);
    }
    self->reads[self->read_to++] = errand;
}

/* Whether the direction allows it. */
static bool allowed(channel_t *self, uint64_t errand, bool yes, const char *instead)
{
    if (yes && self->type < TYPES) return true;
    told_failed(self->world->told, errand, "Error", "IO channel \"io:%s\" %s", self->name,
                yes ? "is of no known type" : instead);
    return false;
}

void channel_read(channel_t *self, uint64_t errand, uint64_t now_ms)
{
    if (!allowed(self, errand, self->in, "is write-only")) return;
    if (self->type == TYPE_CONSOLE) {
        console_read(self->world->console, self, self->unit, errand);
        return;
    }
    if (!open_for(self, errand, now_ms)) return;
    push_read(self, errand);
    if (self->type == TYPE_FILE) {
        file_read(self);
        return;
    }
    serve(self);
    if (self->type == TYPE_NETWORK && self->read_from < self->read_to) dial(self);
}

/* The bytes of TEXT in the channel's unit. NULL: it is no such unit, and the errand is answered. */
static outgoing_t *outgoing_of(channel_t *self, uint64_t errand, text_t text)
{
    buf_t bytes = buf_of(CAPDATA_BYTES_MAX + 1);
    err_t err = ERR_BAD_VALUE;

    if (text.at && self->unit == UNIT_BYTES) err = base64_read(&bytes, text);
    if (text.at && self->unit != UNIT_BYTES) err = buf_add(&bytes, text.at, text.len);
    if (!err && self->unit == UNIT_LINE) err = buf_add(&bytes, "\n", 1);
    if (err) {
        buf_clear(&bytes);
        told_failed(self->world->told, errand, "TypeError", "IO channel \"%s\" writes %s",
                    short_name(self), self->unit == UNIT_BYTES ? "base64" : "strings");
        return NULL;
    }
    outgoing_t *made = malloc(sizeof *made + bytes.len);
    must(made);
    *made = (outgoing_t){.errand = errand, .len = bytes.len};
    if (bytes.len) memcpy(made->bytes, bytes.at, bytes.len);
    buf_clear(&bytes);
    return made;
}

/* A line on the broker's log, as what vats print. */
static void console_write(channel_t *self, text_t text, uint64_t errand)
{
    log_info("console", kv_str("channel", self->name), kv_text("text", text));
    told_undefined(self->world->told, errand);
}

void channel_write(channel_t *self, uint64_t errand, text_t text, uint64_t now_ms)
{
    if (!allowed(self, errand, self->out, "is read-only")) return;
    if (!open_for(self, errand, now_ms)) return;
    if (self->peer < 0 && self->door >= 0) {
        failed(self, errand, alone(self));
        return;
    }
    outgoing_t *write = outgoing_of(self, errand, text);
    if (!write) return;
    if (self->type == TYPE_CONSOLE) {
        console_write(self, text, errand);
        free(write);
        return;
    }
    *(self->writes ? &self->writes_last->next : &self->writes) = write;
    self->writes_last = write;
    if (self->type == TYPE_NETWORK) dial(self);
    if (self->type == TYPE_FILE)
        file_write(self);
    else
        peer_write(self);
}

/* ---- the loop ---- */

size_t channel_wants(const channel_t *self, struct pollfd ret[CHANNEL_FDS])
{
    size_t count = 0;
    short events =
        (short)((intake_full(&self->intake) ? 0 : POLLIN) | (self->writes ? POLLOUT : 0));
    if (self->type == TYPE_FILE) return 0;
    if (self->peer >= 0 && events) ret[count++] = (struct pollfd){self->peer, events, 0};
    if (self->door >= 0) ret[count++] = (struct pollfd){self->door, POLLIN, 0};
    return count;
}

void channel_polled(channel_t *self, const struct pollfd *fds, size_t count)
{
    bool knocks = false;
    for (size_t i = 0; i < count; i++) {
        if (!fds[i].revents) continue;
        if (fds[i].fd == self->door) {
            knocks = true;
        } else if (fds[i].fd == self->peer) {
            peer_read(self);
            peer_write(self);
        }
    }
    if (knocks) admit(self); /* last: the one that is here may just have left */
}

uint64_t channel_wake_ms(const channel_t *self)
{
    return self->retry_ms ? self->retry_ms : UINT64_MAX;
}

void channel_wake(channel_t *self, uint64_t now_ms)
{
    if (self->retry_ms && now_ms >= self->retry_ms) try_open(self, now_ms);
}

const char *channel_why(const channel_t *self) { return self->retry_ms ? self->why : NULL; }
