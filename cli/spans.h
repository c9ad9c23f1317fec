/* What one thing caused, as a tree, and where the time went. Pure: made of events alone.
 *
 *   S1  each event is a span of its own, or adds to one: a message (sent), a delivery (deliver and done), a
 *       settlement, a line of console;
 *   S2  the parts of a delivery are its whole time: waited in a queue, until durable, on the way to the vat
 *       and back, ran. The path goes from the span asked for to its end, and its parts are all of that time. */
#pragma once
#include <stdio.h>

#include "cli/recall.h"

typedef enum { SPAN_MESSAGE, SPAN_DELIVERY, SPAN_SETTLED, SPAN_LINE } span_kind_t;

typedef enum { PART_WAITED, PART_COMMIT, PART_WIRE, PART_RAN, PARTS } part_t;

enum { SPAN_NONE = -1 };

typedef struct {
    span_kind_t kind;
    const recalled_t *event;        /* the one that began it */
    const recalled_t *done;         /* of a delivery; NULL: it is not done */
    long parent, child, last, next; /* indices, SPAN_NONE */
    unsigned depth;
    uint64_t start_us; /* of a delivery: when what it delivers was sent; else when it happened */
    uint64_t
        part_us[PARTS]; /* of a delivery; of the settlement that the path ends with, its commit */
    bool on_path;
} span_t;

typedef struct {
    span_t *at;
    size_t count;
    long *order; /* those shown, parents before children */
    size_t shown;
    long root; /* what was asked for; SPAN_NONE: the whole trace */
    id128_t trace;
    uint64_t start_us, end_us; /* of the path */
    uint64_t part_us[PARTS];   /* of the path */
    long largest;              /* the span on the path with the largest part; SPAN_NONE */
    part_t largest_part;
    size_t messages, deliveries, rejected, open;
} spans_t;

/* Makes the tree of what ASK names among RECALL, which must live as long. False: it is not there. The caller
 * clears RET. */
bool spans_make(const recall_t *recall, const msg_trace_t *ask, spans_t *ret);
void spans_clear(spans_t *self);

static inline const msg_event_t *span_event(const span_t *span)
{
    return &span->event->event.body.event;
}

/* When a delivery was done; 0: it is not. */
static inline uint64_t span_done_us(const span_t *span)
{
    return span->done ? span->done->event.body.event.time_us : 0;
}

/* "waited", "commit", "wire", "ran" */
const char *part_name(part_t part);

/* For people, at most LINES lines of the tree; 0: all. */
void spans_show(const spans_t *self, FILE *out, bool color, size_t lines);

/* One object: the sums, and all spans in order. The caller owns it. */
json_t *spans_json(const spans_t *self);

/* Trace event format, as Perfetto and chrome://tracing read it: hosts are processes, vats threads,
 * deliveries slices, messages and notifies arrows. */
void spans_chrome(const spans_t *self, FILE *out);

/* A mermaid sequence diagram. */
void spans_mermaid(const spans_t *self, FILE *out);
