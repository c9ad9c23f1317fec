/* Bundles and a plan to a broker. */
#pragma once
#include "cli/link.h"
#include "cli/plan.h"

typedef struct {
    struct loaded *at;
    size_t count;
    size_t *of_vat; /* which bundle each vat of the plan has */
} loads_t;

/* Loads the code of every vat of PLAN, each file once. The caller clears RET. */
CHECKED err_t loads_make(const plan_t *plan, loads_t *ret, fail_t *f);
void loads_clear(loads_t *self);

typedef struct {
    cluster_t cluster;
    vat_t bootstrap;
    kref_t root, result;
} launched_t;

/* Waits for the plan's hosts, pushes bundles that the broker lacks, and launches; serially when the
 * plan says so or SERIAL. HOSTS at least must be connected. Fails with NO_HOST, TIMED_OUT, START_FAILED and its kin; nothing of the
 * cluster is left then. */
CHECKED err_t launch(link_t *link, const plan_t *plan, const loads_t *loads, const char *name,
                     bool serial, unsigned ms, launched_t *ret, fail_t *f);
