/* An IO channel: reads and writes of vats on one side, a socket, a file or a terminal on the other.
 *
 *   C1  reads are answered in the order in which they were asked, and so are writes;
 *   C2  every read and write is answered once; what waits when the channel closes is answered then;
 *   C3  a sender that is faster than the reader is paused, not buffered without end.
 *
 * The kinds of channel and what they do: README.md. */
#pragma once
#include <poll.h>
#include <stdbool.h>

#include "broker/agent/console.h"
#include "broker/agent/told.h"
#include "broker/agent/web.h"
#include "wire/schema/message.h"

typedef struct channel channel_t;

/* What channels work with; borrowed. */
typedef struct {
    const told_t *told;
    web_t *web;
    console_t *console;
} channel_world_t;

/* Opens it; NOW_MS is monotonic. When that fails it is tried again, and what is asked meanwhile is rejected
 * with the reason. The caller owns it. */
channel_t *channel_new(const channel_world_t *world, const msg_agent_open_t *open, uint64_t now_ms);

/* Closes it: what waits is answered. */
void channel_destroy(channel_t **self_p);

void channel_read(channel_t *self, uint64_t errand, uint64_t now_ms);

/* TEXT is what is to be written; at NULL: it was no text. */
void channel_write(channel_t *self, uint64_t errand, text_t text, uint64_t now_ms);

/* The descriptors to poll, at most CHANNEL_FDS; returns how many. channel_polled() takes the same number of
 * entries with their revents. */
enum { CHANNEL_FDS = 2 };
size_t channel_wants(const channel_t *self, struct pollfd ret[CHANNEL_FDS]);
void channel_polled(channel_t *self, const struct pollfd *fds, size_t count);

/* When channel_wake() wants to be called; UINT64_MAX: never. */
uint64_t channel_wake_ms(const channel_t *self);
void channel_wake(channel_t *self, uint64_t now_ms);

/* Why it could not be opened at the last try; NULL: it is open. */
const char *channel_why(const channel_t *self);
