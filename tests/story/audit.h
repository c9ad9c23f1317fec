/* AUDIT with names in the small world: workers answer NAMES_GET from their supervisors, a few pairs at
 * a time, and one of them may lie. */
#pragma once
#include "tests/story/world.h"

/* Client asks; the answer comes while frames move. Forgets the answer to an earlier one. */
void world_audit(world_t *self);
/* All rows of the answer: "X4 name v2 ko1.1: ..." a line each, then "objects 4" and so on; NULL while
 * there is no answer. */
const char *world_audited(const world_t *self);

typedef enum {
    LIE_NONE,
    LIE_FLAGS,   /* other flags of KREF: those XORed with FLAGS */
    LIE_MISSING, /* KREF is left out */
    LIE_MORE,    /* KREF as well, with FLAGS */
    LIE_ORDER,   /* descending */
    LIE_SILENT,  /* no answer at all */
} lie_t;

/* What NAME says of KREF from now on. One vat of a story lies at a time. */
void world_lie(world_t *self, const char *name, lie_t lie, kref_t kref, unsigned flags);

/* For the world itself. */
void audit_names(world_t *self, const msg_names_get_t *get);
void audit_rows(world_t *self, const msg_rows_t *rows);
