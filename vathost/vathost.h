/* One vathost: a session with the broker on one side, worker processes on the other, and little in
 * between: it looks at envelopes only.
 *
 *   H1  one thread; nothing in it waits for a worker or for the broker;
 *   H2  a lost link costs nothing: the session is opened again, and every worker says where it stands;
 *   H3  a broker whose epoch is lower than one this host has accepted has forgotten what happened
 *       since: the host refuses it;
 *   H4  a link is opened again for ever; only a broker that went back, or that says that this host is a
 *       clone or declared gone, ends the host;
 *   H5  an end that was asked for waits a moment for the workers' checkpoints;
 *   H6  a zygote that somebody kills is replaced for ever; only one that ends by itself, at once when none ever
 *       worked or several in a row, ends the host;
 *   H7  a host whose key is refused and that has a join key asks once with that for its own to be let in,
 *       and comes again; as often as it is refused, since a list may be lost;
 *   H8  when the host ends, however it ends, no process of it is left. */
#pragma once
#include "vathost/io/bundles.h"
#include "vathost/io/crew.h"
#include "vathost/io/dealer.h"
#include "vathost/io/vault.h"

typedef struct vathost vathost_t;

typedef struct {
    const char *state, *name, *program; /* program: vatworker */
    const keys_t *keys, *join;          /* our own; a join key, or NULL */
    dealer_t *dealer;
    bundles_t *bundles;
    vault_t *vault;
    crew_t *crew; /* taken over */
    int signals;  /* signalfd, non-blocking: readable when the host has to end */
    int ready_fd; /* gets one line when the first session stands */
} vathost_options_t;

/* Borrows what OPTIONS name for its life, but for the crew. */
vathost_t *vathost_new(const vathost_options_t *options);
void vathost_destroy(vathost_t **self_p);

/* Works until a signal comes (OK) or it cannot go on; vathost_why() then says more. Fails with
 * BAD_VALUE (the endpoint), PROTOCOL_RANGE, HOST_CLONED, HOST_DISAVOWED, BROKER_WENT_BACK,
 * PROCESS_FAILED, STORE. */
CHECKED err_t vathost_run(vathost_t *self);
const char *vathost_why(const vathost_t *self);
