#include "broker/agent/agent.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/agent/channel.h"
#include "broker/agent/fetch.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/map.h"
#include "wire/base/must.h"
#include "wire/codec/codec.h"
#include "wire/frames/pipe.h"

enum {
    /* Answers that the broker has not taken yet. Above it nothing new is begun and nothing is read: it is
     * busy with its disk. */
    OUT_BYTES_MAX = 32 * 1024 * 1024,

    IDLE_MS = 60 * 1000,
};

typedef struct {
    pipe_t pipe;
    bool over; /* the broker is gone */
    told_t told;
    web_t *web;
    fetches_t *fetches;
    console_t *console;
    channel_world_t world;
    map_t channels; /* number -> channel_t */
    buf_t frame;
    struct pollfd *fds;
    channel_t **owners; /* of each descriptor; NULL: the pipe's or the console's */
    size_t room;
} agent_t;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- answers ---- */

static void on_told(void *context, uint64_t errand, bool rejected, bin_t body)
{
    agent_t *self = context;
    msg_agent_told_t told = {.errand = errand, .rejected = rejected, .body = body};
    buf_reset(&self->frame);
    must(msg_encode(TAG_agent_told, &told, &self->frame) == ERR_OK);
    FAILPOINT(agent_tells);
    if (!pipe_send(&self->pipe, (bin_t){self->frame.at, self->frame.len})) self->over = true;
}

static bool behind(const agent_t *self)
{
    return self->pipe.out_to - self->pipe.out_from > OUT_BYTES_MAX;
}

/* ---- what the broker asks ---- */

static void on_open(agent_t *self, const msg_agent_open_t *open)
{
    channel_t *before = map_remove(&self->channels, open->channel);
    channel_destroy(&before);
    map_put(&self->channels, open->channel, channel_new(&self->world, open, now_ms()));
}

static void on_close(agent_t *self, const msg_agent_close_t *close)
{
    channel_t *channel = map_remove(&self->channels, close->channel);
    channel_destroy(&channel);
}

static void write_to(channel_t *channel, uint64_t errand, node_t what)
{
    buf_t text = buf_of(CAPDATA_BYTES_MAX);
    bool good = node_kind(what) == NODE_TEXT && node_text(what, &text) == ERR_OK;
    text_t none = {good ? "" : NULL, 0};
    channel_write(channel, errand, text.len ? (text_t){(const char *)text.at, text.len} : none,
                  now_ms());
    buf_clear(&text);
}

static void on_ask(agent_t *self, const msg_agent_ask_t *ask)
{
    const capdata_t data = {.body = ask->body};
    node_t arguments = node_root(&data);
    channel_t *channel = map_get(&self->channels, ask->channel);

    if (text_is(ask->what, "fetch"))
        fetches_add(self->fetches, ask->errand, ask->hosts, arguments);
    else if (!channel)
        told_failed(&self->told, ask->errand, "Error", "the IO channel is closed");
    else if (text_is(ask->what, "read"))
        channel_read(channel, ask->errand, now_ms());
    else if (text_is(ask->what, "write"))
        write_to(channel, ask->errand, node_item(arguments, 0));
    else
        told_failed(&self->told, ask->errand, "TypeError", "an IO channel has read and write");
}

static void take_frame(agent_t *self, bin_t frame)
{
    msg_t msg;
    err_t err = msg_decode(frame, &msg);
    if (err) {
        log_error("frame_refused", kv_str("why", err_name(err)));
        self->over = true;
        return;
    }
    FAILPOINT(agent_took);
    switch (msg.tag) {
    case TAG_agent_open: on_open(self, &msg.body.agent_open); break;
    case TAG_agent_close: on_close(self, &msg.body.agent_close); break;
    case TAG_agent_ask: on_ask(self, &msg.body.agent_ask); break;
    default:
        log_error("frame_refused", kv_str("why", err_name(ERR_WIRE_TURN)));
        self->over = true;
        break;
    }
    msg_clear(&msg);
}

static void take_frames(agent_t *self)
{
    bin_t frame;
    frames_next_t next = FRAMES_ONE;
    while (!self->over && !behind(self) && (next = pipe_take(&self->pipe, &frame)) == FRAMES_ONE) {
        take_frame(self, frame);
    }
    if (next == FRAMES_BROKEN) self->over = true;
}

/* ---- the loop ---- */

static void add_fd(agent_t *self, size_t *count, struct pollfd fd, channel_t *owner)
{
    if (*count == self->room) {
        self->room = self->room ? 2 * self->room : 16;
        self->fds = reallocarray(self->fds, self->room, sizeof *self->fds);
        self->owners = reallocarray(self->owners, self->room, sizeof *self->owners);
        must(self->fds && self->owners);
    }
    self->fds[*count] = fd;
    self->owners[(*count)++] = owner;
}

/* The pipe comes first, then the console, if it does, then channels. Returns how many, and how long to wait. */
static size_t collect(agent_t *self, int *ret_ms)
{
    size_t count = 0;
    uint64_t now = now_ms(), wake = now + IDLE_MS;
    bool full = behind(self);
    short pipe_events = (short)((full ? 0 : POLLIN) | (pipe_waiting(&self->pipe) ? POLLOUT : 0));
    struct pollfd fds[CHANNEL_FDS];

    add_fd(self, &count, (struct pollfd){self->pipe.fd, pipe_events, 0}, NULL);
    if (!full && console_wants(self->console, fds)) add_fd(self, &count, fds[0], NULL);
    for (size_t i = 0; i < self->channels.room; i++) {
        channel_t *channel = map_cell(&self->channels, i);
        if (!channel) continue;
        size_t wants = full ? 0 : channel_wants(channel, fds);
        for (size_t j = 0; j < wants; j++) add_fd(self, &count, fds[j], channel);
        if (channel_wake_ms(channel) < wake) wake = channel_wake_ms(channel);
    }
    *ret_ms = wake > now ? (int)(wake - now) : 0;
    return count;
}

/* Channels are opened and closed by frames only, and those are taken last. */
static void serve_channels(agent_t *self, size_t count)
{
    for (size_t i = 1; i < count;) {
        channel_t *owner = self->owners[i];
        size_t end = i + 1;
        while (owner && end < count && self->owners[end] == owner) end++;
        if (owner)
            channel_polled(owner, self->fds + i, end - i);
        else if (self->fds[i].revents)
            console_polled(self->console);
        i = end;
    }
    uint64_t now = now_ms();
    for (size_t i = 0; i < self->channels.room; i++) {
        channel_t *channel = map_cell(&self->channels, i);
        if (channel) channel_wake(channel, now);
    }
}

static void turn(agent_t *self)
{
    int wait_ms;
    size_t count = collect(self, &wait_ms);
    web_wait(self->web, self->fds, count, wait_ms);
    short pipe_events = self->fds[0].revents;
    serve_channels(self, count);
    web_run(self->web);
    if (pipe_events && !behind(self) && !pipe_read(&self->pipe)) self->over = true;
    if (!pipe_flush(&self->pipe)) self->over = true;
    take_frames(self);
}

void agent_run(int fd, int console_fd)
{
    agent_t self = {.pipe = pipe_of(fd), .frame = buf_of(FRAME_BYTES_MAX)};
    self.told = (told_t){&self, on_told};
    self.web = web_new();
    self.fetches = fetches_new(self.web, &self.told);
    self.console = console_new(console_fd, &self.told);
    self.world = (channel_world_t){&self.told, self.web, self.console};
    while (!self.over) turn(&self);

    for (size_t i = 0; i < self.channels.room; i++) {
        channel_t *channel = map_cell(&self.channels, i);
        channel_destroy(&channel);
    }
    map_clear(&self.channels);
    console_destroy(&self.console);
    fetches_destroy(&self.fetches);
    web_destroy(&self.web);
    pipe_close(&self.pipe);
    buf_clear(&self.frame);
    free(self.fds);
    free(self.owners);
}
