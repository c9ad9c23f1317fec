/* What the supervisor asks of a store: the vat's own key-value store, its c-list, its counters, and
 * the checkpoints of all that. vathost/store answers with one SQLite file per vat, tests/support with
 * memory.
 *
 * Between checkpoints one write transaction stays open; nothing here is durable before checkpoint().
 * Any error ends the worker, which is then back at its checkpoint.
 *
 *   G1  a checkpoint is all or nothing, and what it replaces is there until it is durable;
 *   G2  the checkpoint before the newest one is kept with all it needs: back() is there again;
 *   G3  the store of another placement's file is its newest checkpoint and nothing older. */
#pragma once
#include "wire/base/err.h"
#include "wire/schema/syscall.h"

/* A vat after delivery d, but for what the store has anyway. */
typedef struct {
    uint64_t d;     /* 0: there is none */
    uint64_t acked; /* highest delivery that the broker was known to have applied */
    hash_t chain;   /* at d */
    bin_t results;  /* those that the broker may not have */
    bin_t heap;     /* what engine_t.save() gave */
} checkpoint_t;

typedef enum { CHECKPOINT_NEWEST, CHECKPOINT_OLDER } generation_t;

/* One pair of the c-list. */
typedef void pair_visit_t(void *context, kref_t kref, vref_t vref, uint64_t flags);

typedef struct vatstore vatstore_t;
struct vatstore {
    /* Key-value pairs of the vat, keys in byte order. RET is borrowed until the next call. */
    CHECKED err_t (*get)(vatstore_t *self, text_t key, text_t *ret, bool *ret_found);
    CHECKED err_t (*next)(vatstore_t *self, text_t prior, text_t *ret, bool *ret_found);
    CHECKED err_t (*set)(vatstore_t *self, text_t key, text_t value);
    CHECKED err_t (*remove)(vatstore_t *self, text_t key);

    /* C-list pairs, written when they change; FLAGS as in broker/kernel/row.def `held`. */
    CHECKED err_t (*pair_put)(vatstore_t *self, kref_t kref, vref_t vref, uint64_t flags);
    CHECKED err_t (*pair_remove)(vatstore_t *self, kref_t kref);
    CHECKED err_t (*pairs)(vatstore_t *self, pair_visit_t *visit, void *context);

    /* Counters; one that was never put is 0. */
    CHECKED err_t (*counter_put)(vatstore_t *self, text_t name, uint64_t value);
    CHECKED err_t (*counter_get)(vatstore_t *self, text_t name, uint64_t *ret);

    /* A crank is all or nothing. */
    CHECKED err_t (*crank_begin)(vatstore_t *self);
    CHECKED err_t (*crank_keep)(vatstore_t *self);
    CHECKED err_t (*crank_undo)(vatstore_t *self);

    /* Makes what stands here now the newest checkpoint, durable on return, and the newest one so far
     * the older one; with ALONE, no older one is kept. Between cranks. */
    CHECKED err_t (*checkpoint)(vatstore_t *self, const checkpoint_t *made, bool alone);

    /* The checkpoint, RET->d 0 when there is none. Borrowed until the next call. Before the first
     * crank. */
    CHECKED err_t (*read)(vatstore_t *self, generation_t which, checkpoint_t *ret);

    /* Becomes what the older checkpoint was, which there is, and which is the newest from here on.
     * Before the first crank. */
    CHECKED err_t (*back)(vatstore_t *self);

    /* Becomes as new. Between cranks. */
    CHECKED err_t (*empty)(vatstore_t *self);

    /* Last delivery in the newest checkpoint, and the delivery from which on the log is needed if only
     * that one should turn out unreadable: 0 when nothing older was ever there, the same again when
     * what was older is not. */
    uint64_t (*newest)(const vatstore_t *self);
    uint64_t (*oldest)(const vatstore_t *self);

    /* Copies the newest checkpoint, and what is needed for the older one, into the file PATH, which
     * becomes it at once or not at all. Nothing was written since that checkpoint. */
    CHECKED err_t (*copy)(vatstore_t *self, const char *path);

    /* Size on disk, for people. */
    uint64_t (*bytes)(vatstore_t *self);

    /* What the last error was about, for people; "" when there is nothing to add. */
    const char *(*why)(const vatstore_t *self);

    void (*destroy)(vatstore_t **self_p);
};

static inline void vatstore_destroy(vatstore_t **self_p)
{
    if (*self_p) (*self_p)->destroy(self_p);
}
