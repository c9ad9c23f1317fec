/* What the files of guests share: the vats that stand here and their workers. Not for others. */
#pragma once
#include "vathost/guests.h"
#include "wire/base/map.h"
#include "wire/frames/pipe.h"

typedef struct guest guest_t;

typedef struct worker worker_t;
struct worker {
    uint64_t token;
    vat_t vat;
    uint64_t pgen;
    guest_t *guest;   /* NULL: nobody's any more, it only has to end */
    worker_t *behind; /* then: another of its vat that has to */
    bool doomed;      /* its database ends with it */
    pipe_t pipe;
    char bundle[PATH_BYTES_MAX];
    uint64_t run;
    unsigned starts;   /* how often it was told START, and has not answered with ATTACH yet */
    uint64_t known;    /* last delivery it is known to have run */
    uint64_t live;     /* last live delivery it has and will run; known < live: it is running */
    uint64_t since_ms; /* since when it runs known + 1 */
    unsigned patience; /* how many times the usual wall clock it has: a reap or an upgrade, alone in
                          flight, has more */
    uint64_t upgrade;  /* the last upgrade it was told to run */
    bool undone;       /* its upgrade failed: it ends by itself, and the vat goes on without it */
    char want[NAME_BYTES_MAX + 1]; /* the bundle whose file it waits for; "" */
    uint64_t ask_at_ms;            /* when to ask the broker for it again; 0: it was asked */
    uint64_t saves_ms;             /* since when it writes a checkpoint; 0: it does not */
    bool late;                     /* killed by the clock */
    uint64_t sleep_ms;             /* since when it is told to sleep; 0: it is not */
    bool diverged;
};

struct guest {
    vat_t vat;
    uint64_t inc, pgen, dialect, computrons, wall_ms, heap_bytes;
    uint64_t every_rows, every_bytes, idle_ms, sleep_ms, mirror;
    char *name, *bundle, *globals;
    guest_t *next, **at;  /* in guests.awake; AT is NULL while it sleeps */
    worker_t *worker;     /* NULL: none runs */
    bool fetching;        /* its bundle is on the way */
    bool due;             /* a worker starts when the one before has ended */
    uint64_t start_at_ms; /* when to start a worker; 0: when the broker asks */
    unsigned failures;    /* workers that ended since a result came */
};

struct guests {
    guests_options_t options;
    map_t guests; /* by vat number */
    guest_t
        *awake; /* those that have a worker, or wait for one: all that time and sessions concern */
    map_t workers; /* by token */
    map_t leaving; /* by vat number: its workers that have to end */
    id128_t kernel;
    uint64_t token_next;
    buf_t frame;
};

/* guests.c */
void guests_tell_broker(guests_t *self, msg_tag_t tag, const void *body);
void guests_tell_worker(guests_t *self, worker_t *worker, msg_tag_t tag, const void *body);
/* Starts the vat's worker, which has none, or whatever must come before that. */
void guests_start(guests_t *self, guest_t *guest, uint64_t now_ms);
void guests_start_later(guest_t *guest, uint64_t at_ms);
void guests_start_again(guest_t *guest, uint64_t now_ms);
/* GUEST has no worker, and needs none until the broker asks. */
void guests_sleep(guest_t *guest);
/* A worker that was let go has ended. */
void guests_left(guests_t *self, const worker_t *worker, uint64_t now_ms);

/* guests_bundle.c: bundles that are not here */

/* GUEST's worker can start when its bundle is here: PATH is its file. False: it will be started then. */
bool bundle_of_start(guests_t *self, guest_t *guest, char path[PATH_BYTES_MAX]);
void bundle_part(guests_t *self, const msg_bundle_part_t *msg, uint64_t now_ms);
/* Returns false when the worker may not say this. */
bool bundle_want(guests_t *self, worker_t *worker, const msg_bundle_want_t *msg, uint64_t now_ms);
/* A session began: what was asked for in the last one is asked for again. */
void bundle_session(guests_t *self);
/* WORKER waits for its file; asks for it when it is time to. */
void bundle_tick(guests_t *self, worker_t *worker, uint64_t now_ms);
