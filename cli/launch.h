/* Bundles and a plan to a broker. */
#pragma once
#include "cli/bundle.h"
#include "cli/link.h"
#include "cli/plan.h"

typedef struct {
    struct loaded *at;
    size_t count;
    size_t *of_vat;    /* which bundle each vat of the plan has */
    size_t *of_bundle; /* likewise, each named bundle */
} loads_t;

/* Loads the code of every vat and named bundle of PLAN, each file once. The caller clears RET. */
CHECKED err_t loads_make(const plan_t *plan, loads_t *ret, fail_t *f);
void loads_clear(loads_t *self);

typedef struct {
    cluster_t cluster;
    vat_t bootstrap;
    kref_t root, result;
} launched_t;

/* What the file does not say. */
typedef struct {
    const char *name; /* the cluster's */
    bool serial;      /* even when the plan does not say so */
    bool system;      /* a system cluster */
    unsigned ms;
} launch_how_t;

/* Waits for the plan's hosts, pushes bundles that the broker lacks, and launches. Fails with NO_HOST,
 * TIMED_OUT, START_FAILED and its kin; nothing of the cluster is left then. */
CHECKED err_t launch(link_t *link, const plan_t *plan, const loads_t *loads, launch_how_t how,
                     launched_t *ret, fail_t *f);

/* Gives BUNDLE to the broker, unless it has it. BUNDLE_UNKNOWN when it has not and only the hash is
 * known here. */
CHECKED err_t bundle_push(link_t *link, const bundle_t *bundle, unsigned ms, fail_t *f);
/* Whether the broker has it. */
CHECKED err_t bundle_is_there(link_t *link, const bundle_t *bundle, unsigned ms, bool *ret,
                              fail_t *f);
