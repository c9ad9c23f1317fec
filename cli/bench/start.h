/* The scenario `start`: clusters launched and removed, one after the other. */
#pragma once
#include "cli/bench/load.h"
#include "cli/bench/stage.h"

/* As load_make(), but a call is the launch of a cluster; its latency ends when all its vats have started. */
CHECKED err_t start_make(stage_t *stage, const load_hooks_t *hooks, result_t *result, fail_t *f);
