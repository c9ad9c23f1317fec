/* The sign of life of a process that nobody can ask: a line in a file of its state directory, written anew by
 * its one loop. A process that hangs, or is stopped, stops writing; so it is found by the line's age, and nothing
 * else needs to work for that: no socket, no thread.
 *
 * The time is the machine's monotonic clock, which all processes share and nobody sets. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    ALIVE_BEAT_MS = 1000, /* written so often */
    ALIVE_LOST_MS = 5000, /* older: it does not work */
};

typedef struct {
    uint64_t at_ms; /* when it was written */
    uint64_t pid;   /* as the process knows itself */
    bool ready;     /* it can do what it is for */
    char what[64];  /* its state in a word or two, for people: letters and blanks */
} alive_t;

/* Milliseconds of that clock. */
uint64_t alive_now_ms(void);

/* Opens DIR/alive for writing. -1: it cannot be. */
int alive_open(const char *dir);

/* Writes SELF, whose `at_ms` and `pid` need not be set. A disk that refuses is not our business: the line gets old. */
void alive_write(int fd, alive_t self);

/* The process ends in order: there is no sign of life any more. */
void alive_end(const char *dir);

/* Reads DIR/alive. False: there is none, or it is not whole. */
bool alive_read(const char *dir, alive_t *ret);
