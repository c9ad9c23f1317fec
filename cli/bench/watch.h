/* What is measured from outside while the load is made: the broker's own counts, the processor and the memory. */
#pragma once
#include "cli/bench/stage.h"

typedef struct {
    stage_t *stage;
    bool asked;
    stats_t before;
    usage_t hosts;
    uint64_t at_ns;
} watch_t;

void watch_begin(watch_t *self);
/* Fills in what RESULT has of it. A broker that does not answer, or was started anew meanwhile, leaves its part out. */
void watch_end(watch_t *self, result_t *result);
void watch_clear(watch_t *self);
