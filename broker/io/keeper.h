/* The process vatagent, which does outside what vats ask for: started, spoken to over a socketpair,
 * and its end noticed.
 *
 *   P1  there is one at most: the one before has been waited for when the next starts;
 *   P2  it inherits descriptors 0 and 2 and its end of the socketpair, nothing else of ours;
 *   P3  it does not outlive us, however we end.
 *
 * One thread. */
#pragma once
#include "broker/io/port.h"

typedef struct keeper keeper_t;

/* PROGRAM: its file; borrowed. Nothing runs yet. The caller owns the keeper. */
keeper_t *keeper_new(const char *program);

/* Ends the process, when one runs: asked to by the end of its socket, killed when it takes too long. */
void keeper_destroy(keeper_t **self_p);

/* The members of port_t that begin with agent_. */
bool keeper_start(keeper_t *self);
void keeper_end(keeper_t *self);
void keeper_send(keeper_t *self, bin_t frame);
agent_event_t keeper_take(keeper_t *self, bin_t *ret, int *ret_status);

/* What to poll: RET_FD, -1 when nothing runs, for reading, and for writing when RET_WRITE. */
void keeper_wants(const keeper_t *self, int *ret_fd, bool *ret_write);
