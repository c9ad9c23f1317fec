/* System clusters of an instance: those that `up --system` declared last. HOME/system has their
 * names, so that one which is declared no longer can be told from one that a person launched. */
#pragma once
#include "cli/cli.h"
#include "cli/launch.h"

typedef struct {
    bool asked; /* --system or --no-system was given */
    size_t count;
    struct system_cluster *at;
} system_t;

/* Reads the files that the flags name, and makes their bundles. The caller clears RET. Fails as
 * plan_new() and loads_make() do, with REFERENCE when two have one name, and with USAGE. */
CHECKED err_t system_read(const args_t *args, system_t *ret, fail_t *f);
void system_clear(system_t *self);

/* Removes those that were declared in HOME before and are no longer, and launches what is missing;
 * RET gets {"cluster","done"} of each. Fails with CLUSTER_EXISTS when the name is that of a cluster
 * which is no system cluster, or as launch() does. */
CHECKED err_t system_apply(const system_t *self, const char *home, link_t *link, json_t *ret,
                           fail_t *f);
