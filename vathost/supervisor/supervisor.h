/* The supervisor of one vat: turns krefs into vrefs and back, owns the vat's c-list, collects what
 * the vat asks during a crank, and makes the crank's RESULT. Pure: no sockets, files, clocks or
 * threads; the store and the engine are ports. It shares a process with possibly hostile code, so
 * it protects its own vat only: whatever protects others is checked in the broker.
 *
 *   V1  a pair vref <-> kref is one-to-one for as long as it lives;
 *   V2  an import number is never used twice in the life of the vat; imports start at o-50, p-60;
 *   V3  new exports take their serials in the order of the syscalls, the fields, the slots;
 *   V4  a discarded crank leaves nothing behind: pairs, counters and store are as before it;
 *   V5  after a failed syscall the rest of the crank is not translated; after an exit it is, since
 *       the crank counts as a whole, and of several exits the last one counts;
 *   V6  an upgrade is one crank over two engines: all of it or, as for V4, nothing. What the old
 *       incarnation exported and is not durable is given up between the two;
 *   V7  a checkpoint is made between cranks and shows in nothing that they do; one that is opened is
 *       names, store and heap of the same delivery, whatever could be read of it. */
#pragma once
#include "vathost/supervisor/engine.h"
#include "vathost/supervisor/store.h"
#include "wire/base/hash.h"
#include "wire/codec/codec.h"

typedef struct supervisor supervisor_t;

/* One crank, done. Owned by the supervisor until its next crank. */
typedef struct {
    uint64_t d;
    hash_t delivery_hash, chain_before, store_digest, result_hash;
    err_t outcome;
    const char *reason; /* "" when the outcome is OK */
    bin_t calls;        /* frames of syscall.def, in krefs */
    bin_t console;      /* frames of CONSOLE */
    uint64_t computrons;
    bool ended; /* the vat asked to end, or its crank is discarded: run nothing after it */
    bool dead;  /* the engine is finished: send the result, then end the worker */
} crank_t;

/* Makes the supervisor of VAT at the start of its life: delivery 0, c-list {ko<v>.0 <-> o+0}.
 * Borrows STORE and ENGINE for its whole life. The caller owns it. */
supervisor_t *supervisor_new(vat_t vat, vatstore_t *store, engine_t *engine);
void supervisor_destroy(supervisor_t **self_p);

/* What there was to start from. */
typedef enum {
    OPENED_NOTHING, /* no checkpoint: as it was */
    OPENED_NEWEST,  /* the newest checkpoint */
    OPENED_OLDER,   /* the newest one's heap cannot be read: the one before */
    OPENED_HEAPLESS, /* names and store of the newest, but no heap can be read: nothing but an upgrade
                      * may be run, unless everything is forgotten */
} opened_t;

/* Goes on from a checkpoint of the store. SELF ran nothing yet, and its engine is as new. RET_AT is the
 * checkpoint, borrowed until anything else is asked of SELF or its store. Fails with STORE*, or
 * PROCESS_FAILED when the engine does. */
CHECKED err_t supervisor_open(supervisor_t *self, opened_t *ret, checkpoint_t *ret_at);

/* Makes a checkpoint of where it stands, not at 0 and not after a crank that ENDED. ACKED and RESULTS
 * are kept in it for the caller. Fails with STORE*, or, and then all is as before, with PROCESS_FAILED
 * when the engine cannot be saved. */
CHECKED err_t supervisor_checkpoint(supervisor_t *self, uint64_t acked, bin_t results);

/* Forgets everything, delivery 0, for a log that reaches back so far. After OPENED_HEAPLESS only.
 * Fails with STORE*. */
CHECKED err_t supervisor_empty(supervisor_t *self);

/* Last delivery executed, and chain there. */
uint64_t supervisor_last(const supervisor_t *self);
hash_t supervisor_chain(const supervisor_t *self);

/* The file with the bundle that the next upgrade names; NULL, which is so unless it is said before
 * that very crank: there is none, and the upgrade fails with BUNDLE_UNKNOWN. Borrowed until then. */
void supervisor_bundle(supervisor_t *self, const char *path);

/* Runs the delivery DELIVER, whose d must be supervisor_last() + 1. With verdict 1 it is a replay:
 * no wall clock limit. With verdict 2 the delivery is stepped over, not run; its result hash is EXPECT.
 * Sets RET, which is borrowed until the next call.
 * Fails with WIRE_* or NOT_HELD when the delivery makes no sense for this c-list (the broker's
 * fault), HEAP_LOST when there is no heap for it, STORE*, or PROCESS_FAILED when there is no new engine to be had; then the worker must end. */
CHECKED err_t supervisor_run(supervisor_t *self, const msg_deliver_t *deliver, const crank_t **ret);

/* Each pair of the c-list, by ascending kref: for the audit that compares names with authority. */
void supervisor_pairs(const supervisor_t *self, pair_visit_t *visit, void *context);
