/* Where frames arrive and leave, as broker.c sees it. doors.h makes one over ZeroMQ, tests make one
 * over memory.
 *
 * A route is how one connection is addressed, and says nothing about who is behind it: hosts are
 * known by the key they proved, on every single message. */
#pragma once
#include "wire/base/blob.h"
#include "wire/base/err.h"
#include "wire/base/limits.h"

/* Readers are clients who may ask for figures and lists only. */
typedef enum { DOOR_HOSTS, DOOR_CLIENTS, DOOR_READERS, DOORS } door_t;

typedef struct {
    uint8_t len, at[255];
} route_t;

typedef struct {
    door_t door;
    route_t route;
    hash_t key;     /* hosts: the public key this message's connection proved */
    bool admitted;  /* hosts: whether the allow-list has that key now; clients, readers: true */
    bool joins;     /* hosts: it has not, and the list of join keys has */
    bool too_large; /* it was larger than FRAME_BYTES_MAX: FRAME is NULL */
    blob_t *frame;  /* one count is the taker's */
} arrival_t;

/* A key that is to come onto the allow-list, and what became of that. */
typedef struct {
    hash_t key;
    text_t name; /* what the host calls itself; borrowed */
    err_t err;   /* the answer */
    hash_t by;   /* the join key with which it came */
} newcomer_t;

typedef enum {
    AGENT_NOTHING,
    AGENT_FRAME, /* RET is a frame, borrowed until the next call */
    AGENT_ENDED, /* told once for each that was started */
} agent_event_t;

typedef struct {
    void *self;

    /* Waits until something can be taken, TIMEOUT_MS have passed, or a signal came. What is taken until the
     * next time is judged by the allow-list as it is then. */
    void (*wait)(void *self, int timeout_ms);

    /* Waits that long, whatever arrives, unless a signal comes. */
    void (*pause)(void *self, int ms);

    /* Takes the next whole message; false when none has arrived. */
    bool (*take)(void *self, arrival_t *ret);

    /* Hands a frame on to be sent; copies it. False: the connection is gone, or does not read what
     * it is sent. True says nothing about arrival. */
    bool (*send)(void *self, door_t door, const route_t *route, bin_t frame);

    /* Whether the allow-list has this host's key now. NAME, unless NULL: as allow_has(). */
    bool (*admits)(void *self, hash_t key, char name[NAME_BYTES_MAX + 1]);

    /* Starts an agent; none runs. False: it cannot be started now. */
    bool (*agent_start)(void *self);

    /* Ends the one that runs, at once; ENDED follows. */
    void (*agent_end)(void *self);

    /* Hands a frame on to the one that runs; says nothing about arrival. */
    void (*agent_send)(void *self, bin_t frame);

    /* RET_STATUS: after ENDED, how, as of waitpid(2). */
    agent_event_t (*agent_take)(void *self, bin_t *ret, int *ret_status);

    /* Takes the lines of newcomers who have one of KEYS, which stand in order, off the allow-list; lines written by hand stay. NULL: nobody
     * joins. */
    err_t (*expel)(void *self, const hash_t *keys, size_t count);

    /* Puts the keys of those whose `err` is OK, and whose join key counts now, on the allow-list, and the list on the disk: once for all of them. NULL: nobody
     * joins. */
    void (*admit)(void *self, newcomer_t *all, size_t count);

    /* What hosts say stays where it is, or no longer. NULL: it is taken anyway. */
    void (*hold)(void *self, bool hosts);
} port_t;

static inline bool route_same(const route_t *a, const route_t *b)
{
    if (a->len != b->len) return false;
    for (unsigned i = 0; i < a->len; i++) {
        if (a->at[i] != b->at[i]) return false;
    }
    return true;
}
