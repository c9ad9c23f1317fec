/* What the files of guests share: the vats that stand here and their workers. Not for others. */
#pragma once
#include "vathost/guests.h"
#include "vathost/io/arrival.h"
#include "wire/base/hash.h"
#include "wire/base/map.h"
#include "wire/frames/pipe.h"

/* What may wait for guests_flush() before it is written all the same. */
enum { HELD_WORKERS_MAX = 8, HELD_FRAMES_MAX = 16, HELD_BYTES_MAX = 64 * 1024 };

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
    bool blocked; /* its socket takes no more: we are told when it does */
    bool held;    /* frames for it wait for guests_flush() */
    char bundle[PATH_BYTES_MAX];
    uint64_t run;
    uint64_t start_ms;  /* when it was started */
    bool attached;      /* it has said ATTACH */
    uint64_t begins_ms; /* since when it begins; 0: it has begun */
    unsigned starts;    /* how often it was told START, and has not answered with ATTACH yet */
    uint64_t known;     /* last delivery it is known to have run */
    uint64_t live;      /* last live delivery it has and will run; known < live: it is running */
    uint64_t since_ms;  /* since when it runs known + 1 */
    unsigned patience; /* how many times the usual wall clock it has: a reap or an upgrade, alone in
                          flight, has more */
    uint64_t upgrade;  /* the last upgrade it was told to run */
    bool undone;       /* its upgrade failed: it ends by itself, and the vat goes on without it */
    char want[NAME_BYTES_MAX + 1]; /* the bundle whose file it waits for; "" */
    uint64_t ask_at_ms;            /* when to ask the broker for it again; 0: it was asked */
    uint64_t saves_ms;             /* since when it writes a checkpoint; 0: it does not */
    bool late;                     /* killed by the clock */
    bool finishing;                /* asked for its last checkpoint */
    uint64_t sleep_ms;             /* since when it is told to sleep; 0: it is not */
    bool diverged;
};

/* The database that a vat begins with here, on its way from the broker. */
typedef struct {
    uint64_t d, total;
    hash_t hash;
    arrival_t *arrival; /* NULL: nothing has come */
    bool asked;         /* a piece is on its way */
} pull_t;

/* A copy of a vat's database that the broker may fetch. */
typedef struct ship ship_t;
struct ship {
    ship_t *next;
    copy_t copy;
    hash_t chain, hash;
    uint64_t total, hashed;
    hasher_t *hasher; /* NULL: the hash is known, and the copy announced */
    bool asked;       /* the broker has begun to fetch it in this session */
};

struct guest {
    vat_t vat;
    uint64_t inc, pgen, dialect, computrons, wall_ms, heap_bytes;
    uint64_t every_rows, every_bytes, idle_ms, sleep_ms, mirror;
    char *name, *bundle, *globals;
    guest_t *next, **at;             /* in guests.awake; AT is NULL while it sleeps */
    worker_t *worker;                /* NULL: none runs */
    bool fetching;                   /* its bundle is on the way */
    pull_t *pull;                    /* its database is; NULL: it is here, or begins empty */
    bool due;                        /* a worker starts when the one before has ended */
    uint64_t start_at_ms;            /* when to start a worker; 0: when the broker asks */
    bool queued;                     /* a worker starts when it is its turn */
    guest_t *queue_next, **queue_at; /* then */
    bool full;                       /* the disk was, for its last worker */
    unsigned failures;               /* workers that ended since a result came */
};

struct guests {
    guests_options_t options;
    map_t guests; /* by vat number */
    guest_t
        *awake; /* those that have a worker, or wait for one: all that time and sessions concern */
    ship_t *ships;
    guest_t *queue,
        **queue_end; /* whose workers are to start; nobody while fewer than begin_max begin */
    size_t begins;   /* workers that do */
    map_t workers;   /* by token */
    map_t leaving;   /* by vat number: its workers that have to end */
    id128_t kernel;
    bool ending;      /* no worker is started any more */
    bool full;        /* some vat waits for room on the disk */
    uint64_t room_ms; /* when that was looked at last */
    uint64_t token_next;
    uint64_t held[HELD_WORKERS_MAX]; /* tokens of workers */
    size_t held_workers, held_frames;
    buf_t frame;
};

/* guests.c */
void guests_tell_broker(guests_t *self, msg_tag_t tag, const void *body);
void guests_tell_worker(guests_t *self, worker_t *worker, msg_tag_t tag, const void *body);
/* Writes what waits for the worker, as far as its socket takes it. False: that is gone. */
bool guests_write(guests_t *self, worker_t *worker);
void guests_tell_start(guests_t *self, worker_t *worker);
/* GUEST has, or waits for, a worker. */
void guests_wake(guests_t *self, guest_t *guest);
/* GUEST has no worker, and needs none until the broker asks. */
void guests_sleep(guest_t *guest);
/* A worker that was let go has ended. */
void guests_left(guests_t *self, const worker_t *worker, uint64_t now_ms);

/* guests_start.c: when a worker starts */

/* Starts the vat's worker, which has none, or whatever must come before that. */
void guests_start(guests_t *self, guest_t *guest, uint64_t now_ms);
void guests_start_later(guest_t *guest, uint64_t at_ms);
/* After another has ended; pauses grow while nothing comes of it. */
void guests_start_again(guest_t *guest, uint64_t now_ms);
/* GUEST's worker ended because the disk is full: the next one waits for room. */
void guests_disk_full(guests_t *self, guest_t *guest, uint64_t now_ms);
/* WORKER has begun, or has ended; start_next() lets others begin. */
void start_over(guests_t *self, worker_t *worker);
void start_next(guests_t *self, uint64_t now_ms);
/* GUEST is in the queue no more. */
void start_forget(guests_t *self, guest_t *guest);

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

/* guests_move.c: checkpoints as files */

/* A worker made a copy. Returns false when there is none. */
bool ship_made(guests_t *self, const msg_checkpoint_file_t *msg);
/* Does a little of what is to be done; false when nothing was. */
bool ship_work(guests_t *self);
/* The broker asks for a piece, or says that it has all. */
void ship_get(guests_t *self, const msg_checkpoint_get_t *get);
void ship_session(guests_t *self);
/* The copies of VAT up to placement PGEN go; all of them. */
void ship_end(guests_t *self, vat_t vat, uint64_t pgen);
void ship_end_all(guests_t *self);

/* GUEST may begin with a checkpoint that VAT_NEW names; not when it has a database. */
void pull_note(guests_t *self, guest_t *guest, const msg_vat_new_t *msg);
/* GUEST's worker can start, its database is here. False: it will be started then. */
bool pull_of_start(guests_t *self, guest_t *guest, uint64_t now_ms);
void pull_part(guests_t *self, const msg_checkpoint_part_t *msg, uint64_t now_ms);
void pull_session(guests_t *self);
void pull_end(guest_t *guest);
