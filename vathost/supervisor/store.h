/* What the supervisor asks of a store: the vat's own key-value store, its c-list, its counters.
 * vathost/store answers with one SQLite file per vat, tests/support with memory.
 *
 * Between checkpoints one write transaction stays open; nothing here is durable before
 * store_checkpoint(). Any error ends the worker, which is then back at its checkpoint. */
#pragma once
#include "wire/base/err.h"
#include "wire/schema/syscall.h"

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
    CHECKED err_t (*counter_put)(vatstore_t *self, text_t name, uint64_t value);

    /* A crank is all or nothing. */
    CHECKED err_t (*crank_begin)(vatstore_t *self);
    CHECKED err_t (*crank_keep)(vatstore_t *self);
    CHECKED err_t (*crank_undo)(vatstore_t *self);

    void (*destroy)(vatstore_t **self_p);
};

static inline void vatstore_destroy(vatstore_t **self_p)
{
    if (*self_p) (*self_p)->destroy(self_p);
}
