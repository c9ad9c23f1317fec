/* The last events, for who asks after the fact (TRACE).
 *
 *   R1  what it takes is bounded: TRACE_EVENTS_MAX and TRACE_BYTES_MAX; the oldest go first;
 *   R2  taking an event costs one pass over its fields and no allocation: it is kept packed, and made a
 *       frame again when somebody asks;
 *   R3  it is memory only: a start of the broker begins with nothing.
 *
 * What is in it may be told to clients through the outbox, as everything: then it is durable (B1). */
#pragma once
#include "broker/kernel/kernel.h"

typedef struct trace trace_t;

/* An empty one. The caller owns it. */
trace_t *trace_new(void);
void trace_destroy(trace_t **self_p);

/* Remembers EVENT; a trace_take_t with a trace_t as context. */
void trace_take(void *context, unsigned topic, const msg_event_t *event);

/* All that was taken so far is durable since NOW_US. */
void trace_durable(trace_t *self, uint64_t now_us);

/* Adds TRACE_ROWs that ASK is about to ROWS, as many as a page takes; RET_NEXT is where the next page begins,
 * 0 behind the last one. Fails with TRACE_GONE when ASK names something that no event here is about. */
CHECKED err_t trace_page(const trace_t *self, const msg_trace_t *ask, buf_t *rows,
                         uint64_t *ret_next);

/* Events in it; the time of the oldest one, 0 when there is none. */
size_t trace_count(const trace_t *self);
uint64_t trace_since_us(const trace_t *self);
