/* Frames on a socketpair, between vathost and worker, and broker and agent: each stands behind its
 * length, 4 bytes big-endian. All ends read them with this. */
#pragma once
#include <sys/types.h>

#include "wire/base/bytes.h"
#include "wire/base/limits.h"

enum { FRAME_HEAD_BYTES = 4 };

/* What was read and not taken yet. All zero: nothing. */
typedef struct {
    uint8_t *at;
    size_t room, from, to;
} frames_t;

typedef enum {
    FRAMES_ONE,    /* RET is a frame, borrowed until the next call of frames_read() */
    FRAMES_MORE,   /* no whole frame is here yet */
    FRAMES_BROKEN, /* the length that follows is more than FRAME_BYTES_MAX */
} frames_next_t;

frames_next_t frames_next(frames_t *self, bin_t *ret);

/* Reads once from FD what fits. Returns what read(2) does. */
ssize_t frames_read(frames_t *self, int fd);

/* Writes the head of a frame of LEN bytes. */
void frames_head(size_t len, uint8_t ret[FRAME_HEAD_BYTES]);

void frames_clear(frames_t *self);
