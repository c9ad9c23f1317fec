/* The vathost's end of the socketpair to one worker. Writing never waits: what the worker does not
 * take yet is queued; the protocol bounds how much that is (the window, the rows of a fetch). */
#pragma once
#include "vathost/frames.h"

typedef struct {
    int fd; /* -1: closed */
    frames_t in;
    uint8_t *out;
    size_t out_from, out_to, out_room;
} pipe_t;

/* Takes over FD, which is non-blocking. */
pipe_t pipe_of(int fd);
void pipe_close(pipe_t *self);

/* Queues FRAME behind what is queued, and writes what can be written. False: the worker is gone. */
bool pipe_send(pipe_t *self, bin_t frame);

/* Writes what can be written. False: the worker is gone. */
bool pipe_flush(pipe_t *self);
bool pipe_waiting(const pipe_t *self);

/* The next frame, FRAMES_MORE when none is whole yet. */
frames_next_t pipe_take(pipe_t *self, bin_t *ret);

/* Reads once. False: the worker is gone; what it sent before has been taken or is broken off. */
bool pipe_read(pipe_t *self);
