/* One line on stderr that says how far it is: moving on a terminal, else a plain one every 10 s. */
#pragma once
#include "cli/bench/load.h"

typedef struct {
    const options_t *options;
    bool shown, moving;
    bool drawn; /* a moving line stands there */
    uint64_t last_ns;
} progress_t;

/* WHEN: auto, always, never, or NULL for auto. With QUIET auto is never. */
progress_t progress_of(const options_t *options, const char *when, bool quiet);

/* A load_moment_t; CONTEXT is a progress_t. */
void progress_show(void *context, const moment_t *moment);

/* Takes the moving line away. */
void progress_end(progress_t *self);
