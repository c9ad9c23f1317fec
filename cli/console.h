/* What a cluster writes to its console channels while `run` goes on: lines of the broker's log. */
#pragma once
#include <stdio.h>

#include "cli/events.h"
#include "cli/plan.h"

typedef struct {
    bool wanted; /* the cluster has a console channel */
    char log[FAIL_NAME_MAX];
    long from; /* what stands before it is no news */
    FILE *file;
} console_t;

/* FOLDER is that of the instance, which is not started yet. */
void console_begin(console_t *self, const plan_t *plan, const char *folder);
/* Gives EVENTS a console line for each that was written since. */
void console_show(console_t *self, events_t *events);
void console_end(console_t *self);
