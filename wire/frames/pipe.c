#include "wire/frames/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/base/must.h"

enum { ROOM_KEPT = 64 * 1024 };

pipe_t pipe_of(int fd) { return (pipe_t){.fd = fd}; }

void pipe_close(pipe_t *self)
{
    if (self->fd >= 0) close(self->fd);
    frames_clear(&self->in);
    free(self->out);
    *self = pipe_of(-1);
}

static void queue(pipe_t *self, const void *at, size_t len)
{
    size_t have = self->out_to - self->out_from;

    if (self->out_from) memmove(self->out, self->out + self->out_from, have);
    self->out_from = 0;
    self->out_to = have;
    if (self->out_room < have + len) {
        self->out_room = 2 * (have + len);
        self->out = realloc(self->out, self->out_room);
        must(self->out);
    }
    memcpy(self->out + self->out_to, at, len);
    self->out_to += len;
}

bool pipe_flush(pipe_t *self)
{
    while (pipe_waiting(self)) {
        size_t len = self->out_to - self->out_from;
        ssize_t sent = send(self->fd, self->out + self->out_from, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
        self->out_from += (size_t)sent;
    }
    if (self->out_room > ROOM_KEPT) {
        free(self->out);
        self->out = NULL;
        self->out_room = 0;
    }
    self->out_from = self->out_to = 0;
    return true;
}

bool pipe_waiting(const pipe_t *self) { return self->out_from < self->out_to; }

bool pipe_put(pipe_t *self, bin_t frame)
{
    uint8_t head[FRAME_HEAD_BYTES];
    if (self->fd < 0) return false;

    frames_head(frame.len, head);
    queue(self, head, sizeof head);
    queue(self, frame.at, frame.len);
    return true;
}

bool pipe_send(pipe_t *self, bin_t frame) { return pipe_put(self, frame) && pipe_flush(self); }

frames_next_t pipe_take(pipe_t *self, bin_t *ret) { return frames_next(&self->in, ret); }

bool pipe_read(pipe_t *self)
{
    ssize_t got = frames_read(&self->in, self->fd);
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return got > 0;
}
