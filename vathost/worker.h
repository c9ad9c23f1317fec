/* The loop of one vat's worker: frames from the vathost go in, cranks run, results go out.
 *
 *   W1  delivery d runs when d == last+1. One that ran is answered again; behind a gap, nothing runs;
 *   W2  a result is kept until the broker says it is applied, and carries the run it is sent in;
 *   W3  rows the broker has applied already are replayed: no result leaves, its hash is compared,
 *       and a difference ends the worker with DIVERGED;
 *   W4  after a discarded crank or an exit nothing more is run;
 *   W5  any error of the store, and any frame that makes no sense, ends the worker: the log is with
 *       the broker, and a new worker re-runs it;
 *   W6  an upgrade waits for the file of its bundle, and every other frame behind it;
 *   W7  between cranks, a checkpoint is made after so many deliveries or bytes of them, after an upgrade,
 *       when nothing came for so long, when it is asked for, before sleep and at an orderly end; after
 *       each ATTACHED the newest one is said again, because that may have been lost;
 *   W8  it starts from the newest checkpoint whose heap can be read; with none it says so, and does what
 *       ATTACHED answers. Results that a checkpoint holds are answered like those since.
 *
 * One thread; blocks on its socket. */
#pragma once
#include "vathost/supervisor/engine.h"
#include "vathost/supervisor/store.h"
#include "wire/codec/codec.h"

/* What a worker needs from the process it runs in. START is borrowed for the call. A store is given
 * after a failure as well, when there is one to ask why. */
typedef struct {
    void *context;
    CHECKED err_t (*engine)(void *context, const msg_start_t *start, engine_t **ret);
    CHECKED err_t (*store)(void *context, const msg_start_t *start, vatstore_t **ret);
} worker_ports_t;

/* What the process exits with, for the vathost to read. */
typedef enum {
    WORKER_DONE = 0,    /* the vathost closed the socket, or the engine ended after a RESULT */
    WORKER_BROKEN = 40, /* an error that a new worker may not have; a log line says which */
    WORKER_DIVERGED = 41,
    WORKER_ASLEEP = 42, /* SLEEP said so: its state is on the disk, and nothing is under way */
    WORKER_FULL = 43,   /* the disk is full: a new worker needs room, the vat did nothing wrong */

    /* Not for the vathost: the process puts the database aside, and exits with WORKER_BROKEN. The next
     * worker begins with nothing, and the broker says whether its log reaches back. */
    WORKER_DAMAGED = 44,
} worker_exit_t;

/* Runs the vat that the START on the socket FD names, until it ends. Owns neither FD nor PORTS. */
worker_exit_t worker_run(int fd, const worker_ports_t *ports);
