/* The grammar of vrefs, as far as a supervisor must know it (swingset-liveslots' parseVatSlots):
 *
 *   o+N o-N p+N p-N           + allocated by the vat, - by the kernel's side
 *   o+vK/I o+dK/I, with :F    virtual and durable objects, facets
 *
 * Numbers are canonical decimals: vrefs are compared as strings, so one thing has one spelling. */
#pragma once
#include "wire/schema/syscall.h"

enum { VREF_BYTES_MAX = 255 };

typedef struct {
    bool promise;  /* p, else o */
    bool exported; /* +, else - */
    bool durable;  /* o+d: outlives the incarnation that made it */
} vref_kind_t;

/* Sets RET and returns true when VREF is well-formed. Devices are not: no vat here has any. */
bool vref_parse(vref_t vref, vref_kind_t *ret);

static inline bool vref_none(vref_t vref) { return vref.s.len == 0; }
