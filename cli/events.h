/* What the broker tells of: shown to people as `alice | text`, and written as JSON Lines.
 *
 *   L1  a JSON line is flat, its fields always in the same order, units in their names;
 *   L2  span ids follow from message ids and delivery numbers: a re-run gives the same ones. */
#pragma once
#include <stdio.h>

#include "wire/schema/message.h"

typedef struct {
    FILE *people; /* NULL: not shown */
    bool color, traffic;
    FILE *lines; /* NULL: not written */
    uint64_t seq;
    /* Only these vats, by number or name; NULL: all. */
    char *const *vats;
    size_t vat_count;
    size_t width; /* of the longest vat name so far */
} events_t;

/* Shows and writes EVENT; a link_event_t with an events_t as context. */
void events_take(void *context, const msg_event_t *event);

/* One JSON line of EVENT, numbered SEQ. */
void event_line(FILE *out, const msg_event_t *event, uint64_t seq);

/* Bytes of TEXT that a terminal might obey become '?'. */
void put_safely(FILE *out, text_t text);
