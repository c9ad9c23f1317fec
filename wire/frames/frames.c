#include "wire/frames/frames.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/must.h"

enum { ROOM_FIRST = 16 * 1024, ROOM_KEPT = 1024 * 1024 };

static size_t length(const frames_t *self)
{
    const uint8_t *head = self->at + self->from;
    return (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
}

frames_next_t frames_next(frames_t *self, bin_t *ret)
{
    size_t have = self->to - self->from;
    if (have < FRAME_HEAD_BYTES) return FRAMES_MORE;

    size_t len = length(self);
    if (len > FRAME_BYTES_MAX) return FRAMES_BROKEN;
    if (have - FRAME_HEAD_BYTES < len) return FRAMES_MORE;

    *ret = (bin_t){self->at + self->from + FRAME_HEAD_BYTES, len};
    self->from += FRAME_HEAD_BYTES + len;
    return FRAMES_ONE;
}

/* Room for what follows: the rest of a frame whose length is known, or the usual. */
static void make_room(frames_t *self)
{
    size_t have = self->to - self->from, want = ROOM_FIRST;

    if (have >= FRAME_HEAD_BYTES && length(self) + FRAME_HEAD_BYTES > want) {
        want = length(self) + FRAME_HEAD_BYTES;
    }
    if (want <= have) want = have * 2;
    if (have) memmove(self->at, self->at + self->from, have);
    self->from = 0;
    self->to = have;
    if (self->room < want || (self->room > ROOM_KEPT && want == ROOM_FIRST)) {
        self->at = realloc(self->at, want);
        must(self->at);
        self->room = want;
    }
}

ssize_t frames_read(frames_t *self, int fd)
{
    make_room(self);
    ssize_t got = read(fd, self->at + self->to, self->room - self->to);
    if (got > 0) self->to += (size_t)got;
    return got;
}

void frames_head(size_t len, uint8_t ret[FRAME_HEAD_BYTES])
{
    must(len <= FRAME_BYTES_MAX);
    for (int i = 0; i < FRAME_HEAD_BYTES; i++) ret[i] = (uint8_t)(len >> (24 - 8 * i));
}

void frames_clear(frames_t *self)
{
    free(self->at);
    *self = (frames_t){0};
}
