/* What the files of events.h share. */
#pragma once
#include <string.h>

#include "cli/events.h"

/* A vat-upgrade says the bundle's hash, or why there was none. */
static inline bool event_is_upgraded(const msg_event_t *event)
{
    return event->text.len > 3 && memcmp(event->text.at, "b1-", 3) == 0;
}

bool event_is_traffic(const msg_event_t *event);
bool event_is_life(const msg_event_t *event);

/* events_show.c: for people, who are not shown everything: not when a vat started or made a checkpoint, for example. Whether
 * EVENT makes a line at all; always, when it is for programs. */
bool event_shown(const events_t *self, const msg_event_t *event);
void event_show(events_t *self, const msg_event_t *event, uint64_t bytes);

/* events_filter.c: whether EVENT is asked for. */
bool event_wanted(events_t *self, const msg_event_t *event);
