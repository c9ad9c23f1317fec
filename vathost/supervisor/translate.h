/* Names across the border of a vat. Up is vat to kernel, down is kernel to vat; import and export
 * are always seen from the vat. Both directions change the c-list and rely on the crank to undo it.
 *
 *   T1  up walks the fields of syscall.def in their order, slots left to right, resolutions in the
 *       order of the batch: so the order of new serials follows from the syscalls alone;
 *   T2  a syscall never makes an import: what the vat names with a minus it was given. A promise that it
 *       was given, that was settled, and that it mentions under its old name (liveslots 0.11.0 does so
 *       when virtual data holds it, and settles it in the same crank) is a new promise of its own;
 *   T3  the pairs of settled promises go when the whole batch has been translated. */
#pragma once
#include "vathost/supervisor/clist.h"
#include "vathost/supervisor/engine.h"
#include "vathost/supervisor/scratch.h"
#include "wire/codec/codec.h"

typedef struct {
    clist_t *clist;
    scratch_t *scratch; /* where the arrays of the result live */
    bool lost;          /* after translate_down of a message: nobody is left who could take it */
    vref_t blamed;      /* after a failure of translate_up: the reference it is about; or none */
} translate_t;

/* Translates CALL and makes its effect on the c-list. RET is a msg_NAME_t as msg_encode() wants it.
 * Fails with NOT_HELD, REF_KIND, TWICE or STILL_REACHABLE (the vat's fault), or STORE*. */
CHECKED err_t translate_up(translate_t *self, const vcall_t *call, msg_body_t *ret);

/* Forgets the pairs of the promises KREFS. Fails with NOT_HELD (the broker's fault), or STORE*. */
CHECKED err_t translate_forget(translate_t *self, const krefs_t *krefs);

/* Translates the decoded delivery MSG and makes its effect on the c-list. What RET holds lives as
 * long as the crank. Of an upgrade RET is its second half, the start: what the first half does to the
 * c-list has been done. Fails with WIRE_UNKNOWN or NOT_HELD (the broker's fault), or STORE*. */
CHECKED err_t translate_down(translate_t *self, const msg_t *msg, vdelivery_t *ret);
