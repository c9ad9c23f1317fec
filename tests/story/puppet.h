/* Vats that do what the method of a message says, and nothing else: for stories that are about what the kernel
 * does with syscalls, told from outside one by one.
 *
 * Commands, several with " ; " between; SLOTS are vrefs with commas between, - is none:
 *
 *   send TARGET METHOD SLOTS RESULT     ask TARGET METHOD SLOTS RESULT     (and subscribe to it)
 *   sub PROMISE     ok PROMISE VALUE     no PROMISE VALUE                  VALUE: word, vref, or [vref]
 *   drop REF     retire REF     own REF (retires an export)     abandon REF
 *   exit WORD     exit-bad WORD
 *
 * A METHOD that begins with ! is commands too, for whoever gets the message; it has ^ for spaces.
 *
 * The first vat names the second o-50, the third o-51, and so on. */
#pragma once
#include "tests/story/world.h"

/* NAMES with spaces between. Launched, settled, nothing heard yet. */
world_t *puppets_new(const char *names, unsigned window, unsigned seed);

/* The vats know each other: the N-th names all the others, in their order, o-50, o-51, ... */
void puppets_meet(world_t *world);

/* Tells NAME to do COMMANDS, and moves all frames until nothing is left. */
void puppet_tell(world_t *world, const char *name, const char *commands);
/* The same without waiting for anything. */
void puppet_ask(world_t *world, const char *name, const char *commands);
/* From now on NAME retires an export in the crank in which it hears that it was dropped. */
void puppet_retires(const char *name);

/* What NAME heard since the last time, one delivery a line, without what it was told to do. Borrowed
 * until the next call. */
const char *puppet_news(world_t *world, const char *name);
/* The same, compared. */
void puppet_heard(world_t *world, const char *name, const char *expect);

/* An object as the broker counts it: "v1 1,1" (owner, reachable, recognizable), "orphan 1,1", "gone". */
const char *puppet_object(const world_t *world, kref_t kref);
/* Moves all frames and returns what became of it meanwhile: "v1 1,1 > v1 0,1 > gone". */
const char *puppet_fate(world_t *world, kref_t kref);
/* How NAME may name KREF: "R" reachable, "_" only recognizable, "" not at all. */
const char *puppet_holds(const world_t *world, const char *name, kref_t kref);
/* The N-th object or promise that NAME exported, its root not counted. */
kref_t puppet_export(const world_t *world, const char *name, unsigned n);
kref_t puppet_promise(const world_t *world, const char *name, unsigned n);

/* A story in windows of 1, 4 and 16, in several orders. */
typedef void puppet_plot_t(world_t *world, const void *context);
void puppets_in_all_ways(const char *names, puppet_plot_t *plot, const void *context);
