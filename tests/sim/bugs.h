/* The planted bugs as numbers; included by the code that has them, in the planted build only. */
#pragma once

typedef enum {
    BUG_none,
#define BUG(name, rules, doc) BUG_##name,
#include "tests/sim/bugs.def"
#undef BUG
    BUG_COUNT
} bug_t;

extern int bug_planted; /* BUG_*; set before a run */
