/* What the broker tells of: shown to people as `alice | text`, and written as JSON Lines.
 *
 *   L1  a JSON line is flat, its fields always in the same order, units in their names;
 *   L2  span ids follow from message ids and delivery numbers: a re-run gives the same ones. */
#pragma once
#include <stdio.h>

#include "wire/base/buf.h"
#include "wire/schema/message.h"

enum { ARGS_SHORT_BYTES = 200, EVENTS_FOLLOWED = 4096 };

/* How much of arguments and values is shown: for people 200 bytes and in a line 1000 (of a value all), all,
 * 200 bytes, nothing. */
typedef enum { ARGS_USUAL, ARGS_FULL, ARGS_SHORT, ARGS_NONE } args_shown_t;

/* Zeros: everything that happens, but for people no traffic. */
typedef struct {
    FILE *people; /* NULL: not shown */
    bool color, traffic;
    FILE *lines; /* NULL: not written */
    uint64_t seq;
    args_shown_t args;
    /* Only these vats, by number or name; NULL: all. */
    char *const *vats;
    size_t vat_count;
    bool life;                /* only what happens to vats, hosts and clusters, */
    const char *const *types; /* and of it only these */
    size_t type_count;
    uint64_t since_us;
    /* Only these messages, and what they are followed by. FROM and TO: as they were given; 0 is outside. */
    const char *from, *to, *method;
    vat_t from_vat, to_vat;
    kref_t promise;
    uint64_t followed[EVENTS_FOLLOWED];
    size_t width; /* of the longest vat name so far */
} events_t;

/* Whether only some messages are asked for. */
bool events_by_message(const events_t *self);

/* Shows and writes EVENT; a link_event_t with an events_t as context. */
void events_take(void *context, const msg_event_t *event);

/* The same of an event that is asked for and whose body had BYTES bytes; when it has fewer, that is its
 * beginning. */
void events_put(events_t *self, const msg_event_t *event, uint64_t bytes);

/* One JSON line of EVENT, numbered SEQ; BYTES as above. */
void event_line(FILE *out, const msg_event_t *event, uint64_t seq, uint64_t bytes,
                args_shown_t args);

/* Appends to OUT what EVENT carries: the arguments of a message, without brackets, or a value. */
void event_data(buf_t *out, const msg_event_t *event, uint64_t bytes, bool arguments);

/* Bytes of TEXT that a terminal might obey become '?'. */
void put_safely(FILE *out, text_t text);
