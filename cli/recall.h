/* What the broker remembers of the last events, taken over whole. */
#pragma once
#include "cli/link.h"

typedef struct {
    msg_t event; /* an EVENT */
    uint64_t seq, durable_us;
    uint64_t bytes; /* of the body; more than EVENT has when it was cut */
} recalled_t;

typedef struct {
    recalled_t *at;
    size_t count, room;
    buf_t *pages; /* what the events borrow from */
    size_t page_count, page_room;
} recall_t;

/* Asks for what ASK says (its request and first are set here). Fails with TRACE_GONE. The caller clears RET. */
CHECKED err_t recall_get(link_t *link, const msg_trace_t *ask, recall_t *ret, fail_t *f);

/* Adds EVENT as if the broker had told it; it is copied. */
void recall_add(recall_t *self, const msg_event_t *event, uint64_t durable_us, uint64_t bytes);
void recall_clear(recall_t *self);

/* What REF names goes to RET: v3/41#2, v3/41, kp3.7, or the 32 digits of a trace. Fails with BAD_VALUE. */
CHECKED err_t recall_ref(const char *ref, msg_trace_t *ret, fail_t *f);
