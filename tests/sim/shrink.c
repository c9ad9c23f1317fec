/* The reducer: fewer vats, fewer steps, kinds of accident switched off, then actions left out, halves
 * first and single ones last (delta debugging). A smaller run counts when it breaks the same rule. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/campaign.h"
#include "wire/base/must.h"

typedef struct {
    sim_options_t options; /* the smallest that fails */
    char rule[RULE_MAX];
    uint64_t *keep; /* owned, what options.keep points at */
    size_t keep_count;
    unsigned runs;
    uint64_t step;
} shrink_t;

enum { SECONDS_MAX = 20, RUNS_MAX = 6000 };

/* Does it still fail, with these options? Then they are the smallest. */
static bool fails(shrink_t *self, const sim_options_t *options)
{
    sim_result_t result;
    if (self->runs++ > RUNS_MAX) return false;
    run_child(options, SECONDS_MAX, &result);
    free(result.actions);
    if (!result.failed || strcmp(result.rule, self->rule) != 0) return false;
    self->options = *options;
    self->step = result.step;
    return true;
}

static void shrink_world(shrink_t *self)
{
    for (unsigned vats = 1; vats < VATS_MAX; vats++) {
        sim_options_t one = self->options;
        one.vats_max = vats;
        if (fails(self, &one)) break;
    }
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        sim_options_t one = self->options;
        one.off |= UINT64_C(1) << i;
        fails(self, &one);
    }
    unsigned low = 1, high = 2200;
    while (low < high) {
        sim_options_t one = self->options;
        one.steps_max = (low + high) / 2;
        if (fails(self, &one))
            high = one.steps_max;
        else
            low = one.steps_max + 1;
    }
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* From now on only what happened in the smallest run so far. */
static bool note_actions(shrink_t *self)
{
    sim_options_t one = self->options;
    sim_result_t result;
    one.record = true;
    run_child(&one, SECONDS_MAX, &result);
    if (!result.failed || !result.action_count) return false;
    uint64_t *keys = result.actions;
    qsort(keys, result.action_count, sizeof *keys, by_key);
    size_t count = 0;
    for (size_t i = 0; i < result.action_count; i++)
        if (!count || keys[count - 1] != keys[i]) keys[count++] = keys[i];
    one.record = false;
    one.keep = keys;
    one.keep_count = count;
    if (!fails(self, &one)) return false;
    free(self->keep);
    self->keep = keys;
    self->keep_count = count;
    return true;
}

/* Leaves out actions FROM .. FROM + COUNT - 1, when it then still fails. */
static bool leave_out(shrink_t *self, size_t from, size_t count)
{
    uint64_t *rest = malloc((self->keep_count + 1) * sizeof *rest);
    must(rest);
    size_t n = 0;
    for (size_t i = 0; i < self->keep_count; i++)
        if (i < from || i >= from + count) rest[n++] = self->keep[i];
    sim_options_t one = self->options;
    one.keep = rest;
    one.keep_count = n;
    if (!fails(self, &one)) {
        free(rest);
        return false;
    }
    free(self->keep);
    self->keep = rest;
    self->keep_count = n;
    return true;
}

static void shrink_actions(shrink_t *self)
{
    for (size_t piece = (self->keep_count + 1) / 2; piece > 0 && self->runs < RUNS_MAX;) {
        bool less = false;
        for (size_t from = 0; from < self->keep_count;) {
            if (leave_out(self, from, piece))
                less = true;
            else
                from += piece;
        }
        if (piece == 1 && !less) break;
        piece = piece > 1 ? piece / 2 : 1;
    }
}

int shrink(const sim_options_t *options)
{
    static char command[1 << 16];
    shrink_t self = {.options = *options};
    sim_result_t result;
    run_child(options, SECONDS_MAX, &result);
    if (!result.failed) {
        printf("this seed does not fail\n");
        return 1;
    }
    snprintf(self.rule, sizeof self.rule, "%s", result.rule);
    self.options.verbose = false;
    printf("rule %s, step %" PRIu64 ": %s\n", result.rule, result.step, result.what);
    shrink_world(&self);
    if (note_actions(&self)) shrink_actions(&self);
    shrink_world(&self);
    command_of(&self.options, command, sizeof command);
    printf("after %u runs, %zu actions, step %" PRIu64 ":\n  %s %s\n", self.runs, self.keep_count,
           self.step, self.options.bug ? "sim_planted" : "sim", command);
    self.options.verbose = true;
    run_child(&self.options, SECONDS_MAX, &result);
    free(self.keep);
    return 0;
}
