/* Where the load is made: a broker (one of our own in a temporary folder, or the one that runs), and on it
 * the bench's own cluster, which goes when the bench does.
 *
 *   T1  a broker of our own is as safe as any: synchronous=FULL, CURVE, processes as `run` starts them;
 *   T2  on a broker that runs, nothing but the bench's own cluster is touched. */
#pragma once
#include "cli/bench/scenario.h"
#include "cli/instance.h"
#include "cli/launch.h"

typedef struct {
    cli_t *cli;
    const options_t *options;
    char temporary[PATH_MAX]; /* "": none */
    char name[64];            /* of the cluster */
    bool own;                 /* the broker is ours */
    instance_t instance;
    link_t *link;
    plan_t *plan;
    loads_t loads;
    launched_t launched;
    bool asked; /* for a cluster: what was asked for may come although nobody waits for it */
    lane_t *lanes;
    size_t lane_count;
    kref_t *targets;
    size_t target_count;
} stage_t;

/* A broker to make the load on, and the cluster's plan and code. CLI and OPTIONS are borrowed, F is that of
 * CLI. stage_close() is called after a failure, too. Fails as instance_start(), client_link() or plan_new(). */
CHECKED err_t stage_open(stage_t *self, cli_t *cli, options_t *options, fail_t *f);

/* Launches the cluster, and waits until its vats know each other. Fails as launch(). */
CHECKED err_t stage_launch(stage_t *self, fail_t *f);

/* Launches it under NAME without looking further, and takes it away again. */
CHECKED err_t stage_launch_as(stage_t *self, const char *name, launched_t *ret, fail_t *f);
CHECKED err_t stage_remove(stage_t *self, cluster_t cluster, fail_t *f);

/* How many objects and promises there are when all garbage is collected: of the broker when it is ours, else of
 * the cluster. */
CHECKED err_t stage_counts(stage_t *self, uint64_t *ret_objects, uint64_t *ret_promises, fail_t *f);

/* Removes the cluster, and the broker when it is ours. */
void stage_close(stage_t *self);
