/* What happened, checked as it is told: a model of the promises the kernel makes, written from them and
 * not from its code. It knows nothing of counts, queues or rows; it knows who was told what, and when.
 *
 *   X8   each send of an applied crank is delivered once or splatted once
 *   X9   a subscriber is told once, and told at all
 *   X11  a vat names only what it was given and has not let go of; what is delivered is what was sent
 *   F1   messages of one sender to one target arrive in the order in which they were sent
 *   F2   what was sent to a promise arrives before what was sent later to the object it became
 *   F3   subscribers are told of a promise before messages that waited for it
 *   K20  a promise is settled once, by its decider or by the kernel, which only rejects what others decide
 *   D1   deliveries of a vat are dense, each applied once
 *   G1   dropExports: no other vat reaches the object, and no message on its way leads to it
 *   G2   retireExports, retireImports: nobody recognizes it, or nobody owns it and nobody reaches it
 *   R1   nothing is delivered to a revoked object that was not in flight before
 *   S1   when all is quiet, every result is settled
 *
 * References are krefs, as numbers. Lists are borrowed for the call. */
#pragma once
#include "wire/base/ref.h"

typedef struct history history_t;

/* A rule is broken. May return; the history is then of no further use. */
typedef void history_fail_t(void *context, const char *rule, const char *text);

history_t *history_new(history_fail_t *fail, void *context);
void history_destroy(history_t **self_p);

typedef struct {
    uint32_t vat;
    uint64_t d, n;
} message_id_t; /* v0/<d>#<n> for what comes from outside */

typedef struct {
    const kref_t *at;
    size_t count;
    uint64_t body; /* a hash of it */
} cargo_view_t;

/* A vat is made: it exports its root. */
void history_vat(history_t *self, uint32_t vat);
void history_ended(history_t *self, uint32_t vat);

/* ---- syscalls of an applied crank D of VAT, in their order; VAT 0 sends for clients ---- */
void history_crank(history_t *self, uint32_t vat, uint64_t d); /* it begins */
void history_send(history_t *self, message_id_t id, kref_t target, kref_t result,
                  cargo_view_t cargo);
void history_subscribe(history_t *self, uint32_t vat, uint64_t d, kref_t promise);
/* All promises of one batch, then history_resolved() for it. SINGLE: the one object that the value is. */
void history_resolve(history_t *self, uint32_t vat, uint64_t d, kref_t promise, bool rejected,
                     kref_t single, cargo_view_t cargo);
void history_resolved(history_t *self, uint32_t vat, uint64_t d, const kref_t *promises,
                      size_t count);
void history_mention(history_t *self, uint32_t vat, uint64_t d, cargo_view_t cargo); /* exit */
void history_drop_imports(history_t *self, uint32_t vat, uint64_t d, kref_t kref);
void history_retire_imports(history_t *self, uint32_t vat, uint64_t d, kref_t kref);
void history_retire_exports(history_t *self, uint32_t vat, uint64_t d, kref_t kref, bool abandon);
void history_applied(history_t *self, uint32_t vat, uint64_t d);
/* Delivery D, which is next, is given up: the vat never sees it. Then it is said to be applied. */
void history_given_up(history_t *self, uint32_t vat, uint64_t d);

/* ---- what the kernel did ---- */

/* The kernel says that it settled a promise: with a splat, with the end of a vat, or for a crank. */
void history_settled(history_t *self, kref_t promise, bool rejected, cargo_view_t cargo);

/* The same, when nobody decided it: the kernel fulfils what it owes. SINGLE as above. */
void history_fulfilled(history_t *self, kref_t promise, kref_t single, cargo_view_t cargo);

/* Delivery D of VAT is fixed. */
void history_deliver_other(history_t *self, uint32_t vat, uint64_t d);
/* It starts a vat, or its next incarnation, with parameters. An upgrade's crank ends the old one first:
 * what that gives up is said of the time before the parameters come, and when it fails they never do. */
void history_deliver_start(history_t *self, uint32_t vat, uint64_t d, cargo_view_t parameters,
                           bool upgrade);
void history_deliver_message(history_t *self, uint32_t vat, uint64_t d, message_id_t id,
                             kref_t target, kref_t result, cargo_view_t cargo);
/* The kernel executed a message to an object of its own, and settles its result as it likes. */
void history_served(history_t *self, message_id_t id, kref_t target);
/* From now on no message gets to KREF. */
void history_revoked(history_t *self, kref_t kref);
/* A notify: each promise with its value, then history_told() for the delivery. */
void history_tell(history_t *self, uint32_t vat, uint64_t d, kref_t promise, bool rejected,
                  cargo_view_t cargo);
void history_told(history_t *self, uint32_t vat, uint64_t d);
void history_drop_exports(history_t *self, uint32_t vat, uint64_t d, kref_t kref);
void history_gc_exports(history_t *self, uint32_t vat, uint64_t d, kref_t kref);
void history_gc_imports(history_t *self, uint32_t vat, uint64_t d, kref_t kref);

/* Delivery D of VAT was fixed in the commit in which the vat ended: nobody saw what was in it, so that
 * from here on it is not asked what the vat may name. ID: the message it was, none for others. */
void history_never_seen(history_t *self, uint32_t vat, uint64_t d, message_id_t id);

/* May VAT name KREF, as far as the history says? */
bool history_may_name(const history_t *self, uint32_t vat, kref_t kref);
/* First delivery that gave it; 0: from the start, or its own. */
uint64_t history_since(const history_t *self, uint32_t vat, kref_t kref);

/* Nothing is queued or in flight any more, everything was let go of; SPLATS as the kernel counts them. */
void history_quiet(history_t *self, uint64_t splats);
