/* A small world in one thread: the kernel, one supervisor per vat with a scripted engine, and two hosts
 * that are nothing but a list of frames under way. No sockets, no files, no clock, no JavaScript.
 *
 * Frames move one by one, in an order that a seed fixes. After every step of the kernel its rows are
 * stored, its audit must find nothing, and where a vat is at rest the names its supervisor knows must
 * be exactly the krefs that the broker lets it use. */
#pragma once
#include "broker/kernel/kernel.h"
#include "tests/support/script_engine.h"

typedef struct world world_t;

/* SEED 0: first come, first served. Any other seed mixes the links; each link keeps its order. */
world_t *world_new(unsigned seed);
void world_destroy(world_t **self_p);

/* A vat of the cluster that world_launch() launches; the first one is the bootstrap vat. */
void world_vat(world_t *self, const char *name, script_t *script, void *context);
void world_launch(world_t *self);
/* Deliveries in flight per vat, for the launch to come; 0 is the default. */
void world_window(world_t *self, unsigned window);
/* When NAME ends its cluster ends: for the launch to come. */
void world_critical(world_t *self, const char *name);

/* Code that an upgrade may find, by its hash: b1-... */
void world_bundle(world_t *self, const char *bundle, script_t *script);

/* Moves one frame; false when none is under way. */
bool world_move(world_t *self);
/* Moves frames until none is left. */
void world_settle(world_t *self);

/* ---- accidents ---- */

/* The worker of NAME dies as by SIGKILL; its host starts another. */
void world_kill_worker(world_t *self, const char *name);
/* All connections are lost with the frames under way; workers live on and attach again. */
void world_cut(world_t *self);
/* The broker dies with all frames under way and comes back from its rows. */
void world_restart_broker(world_t *self);
/* The next live crank of NAME answers with these syscalls instead of its own: a lying worker. */
void world_forge(world_t *self, const char *name, bin_t calls);
/* Replays of NAME that end otherwise are told to the broker, not a failure of the story. */
void world_may_diverge(world_t *self, const char *name);
/* The next live crank of NAME kills its worker through a limit: LOST is sent. At once when it hangs. */
void world_lose(world_t *self, const char *name, err_t limit);
/* The next live crank of NAME does not end, and its worker hears nothing any more. */
void world_hang(world_t *self, const char *name);

/* ---- a client ---- */

/* Sends a message; the answer's promise is awaited. Returns a number for world_answer(). */
unsigned world_call(world_t *self, kref_t target, const char *methargs);
/* "ok #\"x\" {ko1.1}", "rejected ... {}", "failed REF_UNKNOWN" when the broker refused, or "" while it is
 * open. Borrowed until the next call. */
const char *world_answer(world_t *self, unsigned number);
/* The same for bootstrap's promise. */
const char *world_bootstrap(world_t *self);
/* Why the launch failed, "" when it did not. */
const char *world_launch_failure(const world_t *self);
void world_kill_vat(world_t *self, const char *name);
/* Asks for NAME's next incarnation. Returns a number for world_answer(), which says "done" or "failed". */
unsigned world_upgrade(world_t *self, const char *name, const char *bundle);
/* Asks for a bringOutYourDead to NAME, NULL: to all vats. */
void world_reap(world_t *self, const char *name);
void world_remove_cluster(world_t *self);

/* ---- what to look at ---- */

/* All deliveries the present worker of NAME ran, one a line. Borrowed until the next call. */
const char *world_heard(world_t *self, const char *name);
/* All console lines of all vats as they were applied, one a line: "alice | text". */
const char *world_console(const world_t *self);
kref_t world_root(const world_t *self, const char *name);
/* "running", "terminated: vat terminated", ... */
const char *world_state(world_t *self, const char *name);
size_t world_rows(const world_t *self, row_table_t table);
