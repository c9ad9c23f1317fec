/* One end of a socketpair. Writing never waits: what the other end does not take yet is queued; the
 * protocols bound how much that is (of a worker: the window, the rows of a fetch). */
#pragma once
#include "wire/frames/frames.h"

typedef struct {
    int fd; /* -1: closed */
    frames_t in;
    uint8_t *out;
    size_t out_from, out_to, out_room;
} pipe_t;

/* Takes over FD, which is non-blocking. */
pipe_t pipe_of(int fd);
void pipe_close(pipe_t *self);

/* Queues FRAME behind what is queued, for the next pipe_flush(). False: the other end is gone. */
bool pipe_put(pipe_t *self, bin_t frame);

/* The same, and writes what can be written. */
bool pipe_send(pipe_t *self, bin_t frame);

/* Writes what can be written. False: the other end is gone. */
bool pipe_flush(pipe_t *self);
bool pipe_waiting(const pipe_t *self);

/* The next frame, FRAMES_MORE when none is whole yet. */
frames_next_t pipe_take(pipe_t *self, bin_t *ret);

/* Reads once. False: the other end is gone; what it sent before has been taken or is broken off. */
bool pipe_read(pipe_t *self);
