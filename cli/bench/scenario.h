/* The scenarios: which vats there are, what a call says, and what must be true when all is done.
 *
 * Each call goes to a lane: a driver vat aN, which sends to its targets, or, when the load maker sends directly,
 * a target bN itself. In JavaScript a lane's calls carry their number, 1, 2, 3, and so do the messages
 * that a driver sends, so that one that was lost, doubled or overtaken shows. */
#pragma once
#include "cli/bench/bench.h"
#include "wire/base/buf.h"

/* A vat that the load maker calls, and those that it sends to. */
typedef struct {
    kref_t root;
    krefs_t targets; /* borrowed; of a target, none */
    uint64_t calls;  /* made so far; the next one is number calls + 1 */
} lane_t;

/* The scenario called NAME, NULL when there is none. The one at place I, NULL behind the last. */
const scenario_t *scenario_find(const char *name);
const scenario_t *scenario_at(size_t i);

/* Sets what was not asked for to what suits the scenario. Fails with BAD_VALUE when the scenario cannot be run so. */
CHECKED err_t scenario_settle(options_t *options, fail_t *f);

/* How many drivers and targets there are; without drivers the lanes are the targets. */
size_t scenario_drivers(const options_t *options);
size_t scenario_targets(const options_t *options);

/* What one call counts for. */
uint64_t scenario_units(const options_t *options);

/* The cluster file; DRIVER and TARGET are paths of bundles. The caller owns it. */
json_t *scenario_cluster(const options_t *options, const char *name, const char *driver,
                         const char *target);

/* methargs of call SEQ of a lane, appended to OUT; true when the lane's targets are its slots. */
bool scenario_call(const options_t *options, const lane_t *lane, uint64_t seq, buf_t *out);

/* Whether VALUE answers call SEQ; else the answer is an error. */
bool scenario_answer(const options_t *options, uint64_t seq, const capdata_t *value);

/* Asks the vats what they counted, and compares with what was sent. TARGETS has all of them. */
CHECKED err_t scenario_check(const options_t *options, link_t *link, const lane_t *lanes,
                             size_t count, krefs_t targets, result_t *result, fail_t *f);
