/* clist: which vref of one vat stands for which kref, and the counters that names are made from.
 *
 *   C1  a pair is one-to-one for as long as it lives;
 *   C2  an import number is never used twice in the life of the vat, because liveslots keeps old
 *       ones in its durable state; imports start at o-50 and p-60, like SwingSet's;
 *   C3  exports take the next serial of their kind; a serial is never used again, unless the crank
 *       that took it was discarded;
 *   C4  clist_undo() brings back pairs, flags and counters as they were at clist_begin().
 *
 * Every change goes through to the store. Pairs removed in a crank stay readable until it ends, so
 * a name may be handed to the engine after its pair is gone. */
#pragma once
#include "vathost/supervisor/store.h"
#include "vathost/supervisor/vref.h"

enum { PAIR_REACHABLE = 1, PAIR_EXPORTED = 2 };

typedef struct {
    kref_t kref;
    vref_t vref;
    uint64_t flags;
} pair_t;

typedef struct clist clist_t;

/* A c-list with the pair of the vat's root, ko<VAT>.0 <-> o+0. Borrows STORE. */
clist_t *clist_new(vat_t vat, vatstore_t *store);

/* Becomes what STORE, which is at a checkpoint, says. Between cranks. Fails with STORE*. */
CHECKED err_t clist_load(clist_t *self);
void clist_destroy(clist_t **self_p);

/* A crank begins; it is kept, or undone. Fail with STORE*. */
CHECKED err_t clist_begin(clist_t *self);
CHECKED err_t clist_keep(clist_t *self);
CHECKED err_t clist_undo(clist_t *self);

/* The pair, or NULL. Borrowed until the crank ends. */
const pair_t *clist_by_kref(const clist_t *self, kref_t kref);
const pair_t *clist_by_vref(const clist_t *self, vref_t vref);

/* Names KREF with the next import number of its kind. No pair has KREF yet. Fails with STORE*. */
CHECKED err_t clist_import(clist_t *self, kref_t kref, const pair_t **ret);

/* Gives VREF, whose KIND is known, the next serial of its kind. No pair has VREF yet.
 * Fails with STORE*. */
CHECKED err_t clist_export(clist_t *self, vref_t vref, vref_kind_t kind, const pair_t **ret);

/* Was VREF, well-formed, once an import: one whose number was given out in this vat's life? */
bool clist_imported(const clist_t *self, vref_t vref);

/* Sets or clears PAIR_REACHABLE. Fails with STORE*. */
CHECKED err_t clist_reach(clist_t *self, const pair_t *pair, bool reachable);

/* Forgets the pair. Fails with STORE*. */
CHECKED err_t clist_remove(clist_t *self, const pair_t *pair);

/* The vat gives up PAIR, an export of its own that others may still hold: if it comes back, it comes
 * as an import. Fails with STORE*. */
CHECKED err_t clist_abandon(clist_t *self, const pair_t *pair);

/* Did the vat ever give up an export? Only then may an object of its own come back without a pair. */
bool clist_abandons(const clist_t *self);

vat_t clist_vat(const clist_t *self);
size_t clist_count(const clist_t *self);

/* All pairs by ascending kref. */
void clist_each(const clist_t *self, pair_visit_t *visit, void *context);
