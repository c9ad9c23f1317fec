/* Inside the worker: worker.c is the loop, worker_keep.c the results that are kept, worker_checkpoint.c
 * when checkpoints are made, who is told, and sleep. */
#pragma once
#include "vathost/supervisor/supervisor.h"
#include "vathost/worker.h"
#include "wire/base/limits.h"
#include "wire/frames/frames.h"

/* A result that the broker may ask for again. */
typedef struct kept kept_t;
struct kept {
    kept_t *next;
    msg_result_t result; /* inc, pgen, run: set when it is sent */
    char bytes[];        /* what RESULT borrows: calls, console, reason */
};

/* A frame that is to be taken later. */
typedef struct later later_t;
struct later {
    later_t *next;
    size_t len;
    uint8_t bytes[];
};

typedef struct {
    int fd;
    const worker_ports_t *ports;
    msg_start_t start;             /* numbers only; its texts are gone */
    char ship[PATH_BYTES_MAX + 1]; /* where copies of checkpoints go, or "" */
    engine_t *engine;
    vatstore_t *store;
    supervisor_t *supervisor;
    id128_t nonce;
    bool attached, ended;
    opened_t opened; /* what it has started from, until that is history */
    uint64_t run, applied;
    uint64_t fetched;                /* last row of the batch that was asked for; 0: none */
    kept_t *kept;                    /* ascending d */
    char wanted[NAME_BYTES_MAX + 1]; /* the bundle whose file an upgrade waits for, or "" */
    char *file;                      /* the answer: its file, "" when there is none; or NULL */
    later_t *later;                  /* that upgrade, and what came behind it */

    hash_t saved_chain;   /* at the newest checkpoint */
    uint64_t rows, bytes; /* of deliveries since */
    uint64_t active_ms;   /* something ran, or began */
    bool ship_due;        /* a copy was asked for when there was nothing to copy */
    bool ship_late;       /* one waits until the host has taken the one before */
    uint64_t asked_ms;    /* it asked whether it may sleep */

    frames_t in;
    buf_t out;
    worker_exit_t exit;
    bool over;
} worker_t;

void worker_end(worker_t *self, worker_exit_t code);
void worker_fail(worker_t *self, const char *event, err_t err);
void worker_tell(worker_t *self, msg_tag_t tag, const void *body);
uint64_t worker_now_us(void);

static inline uint64_t worker_last(const worker_t *self)
{
    return supervisor_last(self->supervisor);
}

/* ---- worker_keep.c ---- */

kept_t *worker_keep(worker_t *self, const msg_result_t *result);
void worker_tell_result(worker_t *self, kept_t *kept);

/* Forgets the results that the broker has applied. */
void worker_forget(worker_t *self, uint64_t applied);

/* All that are kept, as bytes in a checkpoint, and back: frames of RESULT behind their lengths. Fails
 * with STORE_DAMAGED when BYTES are none. */
void worker_kept_write(const worker_t *self, buf_t *ret);
CHECKED err_t worker_kept_read(worker_t *self, bin_t bytes);

/* ---- worker_checkpoint.c ---- */

/* A delivery of LEN bytes ran. */
void worker_ran(worker_t *self, size_t len, bool upgrade);

/* How long it may wait for a frame, in milliseconds, -1 for ever; and it waited so long. */
int worker_patience(const worker_t *self);
void worker_idle(worker_t *self);

void worker_on_ask(worker_t *self, const msg_checkpoint_ask_t *ask);
void worker_on_sleep(worker_t *self, const msg_sleep_t *sleep);

/* Says again what the newest checkpoint is, if there is one that it can go on from. */
void worker_report(worker_t *self);

/* Nobody is there any more: what ran since the checkpoint is saved. */
void worker_last_checkpoint(worker_t *self);
