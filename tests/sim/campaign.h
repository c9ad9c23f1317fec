/* Many runs: over seeds, over planted bugs, and over smaller and smaller versions of one that fails.
 * A run that may leave the process in pieces has a process of its own. */
#pragma once
#include "tests/sim/sim.h"

typedef struct {
    uint64_t from, count;
    double minutes; /* 0: until all seeds are done */
    unsigned jobs;
    bool keep_going, coverage;
} campaign_t;

/* The command line that repeats a run, without the program's name. */
void command_of(const sim_options_t *options, char *text, size_t room);

/* A run in a child process; one that dies is a failure of the rule "crash", one that takes longer than
 * SECONDS of "live". */
void run_child(const sim_options_t *options, unsigned seconds, sim_result_t *ret);

/* Seeds FROM .. FROM + COUNT - 1. Prints what failed and a summary. Exit code. */
int run_seeds(const sim_options_t *options, const campaign_t *campaign);

/* The first seed that finds the bug of OPTIONS, 0 when none does; RET is that run. */
uint64_t find_bug(const sim_options_t *options, const campaign_t *campaign, sim_result_t *ret);

/* All rows of bugs.def, as a table. Exit code: 0 when each was found by a rule that may tell of it. */
int run_bugs(const sim_options_t *options, const campaign_t *campaign);

/* Makes a failing run smaller, prints the smallest command found and its event log. Exit code. */
int shrink(const sim_options_t *options);
