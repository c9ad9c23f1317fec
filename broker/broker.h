/* One turn of the broker: take everything that has arrived, change the kernel, put what changed on
 * disk, then tell the world.
 *
 *   B1  nothing leaves before the rows of the batch it came from are durable (broker/store/gate.h);
 *       while the gate says "not yet", nothing is taken in either;
 *   B2  a frame is judged by who sent it (the key its connection proved, the session of its route),
 *       never by what it says about its sender; a bad frame is refused to that peer alone;
 *   B3  STORE_FULL is waited for, with back-off; after any other failure of the store the process
 *       ends: the next start reads the last good state;
 *   B4  a batch is what arrived during the last commit: no timer makes anybody wait for company;
 *   B5  the shell decides nothing about vats. It answers alone only what is no business of the
 *       kernel: PING, hello of clients, WATCH, STATS, and pieces of bundles;
 *   B6  before the disk is full, work stops growing: clients get STORE_LOW for what would make the state
 *       larger, then hosts and timers wait. When there is room again all goes on by itself (room.c).
 *
 * One thread. */
#pragma once
#include "broker/io/port.h"
#include "broker/kernel/kernel.h"
#include "broker/store/store.h"

typedef struct broker broker_t;

typedef struct {
    port_t port;
    gate_t gate;
    store_t *store;             /* bundles and log rows; borrowed */
    const char *hosts_endpoint; /* told to clients; borrowed, known when the doors open */
    const char *key;            /* the broker's public key, Z85; told to clients; borrowed */
    const char
        *dir; /* state directory, for copies of checkpoints; borrowed. NULL: there are none */
    uint64_t host_loss_us; /* as kernel_host_loss() */
    bool adopt;            /* the state is a backup: kernel_adopt() */
    uint64_t
        traced_below; /* events of so many of 2^32 traces are remembered, as kernel_traced(); 0: none */
    const char *globals;                                   /* as kernel_globals(); NULL: all */
    uint64_t (*clock_ms)(void);                            /* monotonic; NULL: the system's */
    void (*room)(uint64_t *ret_free, uint64_t *ret_total); /* as store_room(); NULL: that one */
} broker_options_t;

/* Makes a broker with an empty kernel. The caller owns it. */
broker_t *broker_new(const broker_options_t *options);
void broker_destroy(broker_t **self_p);

/* Loads the kernel from the store, audits it, and opens a new epoch; when this returns the epoch is
 * durable or waits for room on the disk. Fails as the store does, or with STORE_DAMAGED when the
 * rows contradict each other: every finding is logged, broker_why() has the first. */
CHECKED err_t broker_load(broker_t *self);

/* Whether all that the kernel has in memory is on disk. */
bool broker_durable(const broker_t *self);

/* One turn; waits at most TIMEOUT_MS for something to arrive. Fails only with errors after which
 * the process must end. */
CHECKED err_t broker_turn(broker_t *self, int timeout_ms);

/* Whether a client asked for the end and everything it may hear has left. */
bool broker_stopped(const broker_t *self);

/* What the last failure was about, for people. */
const char *broker_why(const broker_t *self);

/* The vats of an adopted backup whose copies in it are missing or damaged, "v1 v7", as many as fit: they go on
 * only where their log reaches back to their birth. */
const char *broker_lost(const broker_t *self);
