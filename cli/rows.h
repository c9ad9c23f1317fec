/* Lists that the broker gives: ROWS, walked row by row. */
#pragma once
#include "cli/link.h"

typedef enum {
    ROWS_VATS,
    ROWS_CLUSTERS,
    ROWS_HOSTS,
    ROWS_REF,
    ROWS_AUDIT,
    ROWS_COUNTERS,
    ROWS_CYCLES,
    ROWS_OBJECTS,
    ROWS_PROMISES,
    ROWS_QUEUES,
    ROWS_LAUNCH,
    ROWS_DIVERGENCE
} rows_what_t;

typedef struct {
    buf_t bytes;
    bin_t rest;
    msg_t row;
    bool has_row;
    uint64_t next; /* where the next page begins; 0: this was the last one */
} rows_t;

/* Asks for the rows WHAT; those that ended as well when ENDED; KREF for ROWS_REF. The caller
 * clears RET. */
CHECKED err_t rows_get(link_t *link, rows_what_t what, bool ended, kref_t kref, rows_t *ret,
                       fail_t *f);

/* The same for another request that ROWS answers: TAG and BODY as link_ask() takes them. */
CHECKED err_t rows_ask(link_t *link, msg_tag_t tag, const void *body, unsigned ms, rows_t *ret,
                       fail_t *f);

/* The next row; it lives until the next call. NULL behind the last one. */
const msg_t *rows_next(rows_t *self);
/* rows_next() gives the first one again. */
void rows_again(rows_t *self);
void rows_clear(rows_t *self);

/* Finds what a person names: "alice", "shop/alice", "v3" -> the vat's row, copied. Fails with
 * VAT_UNKNOWN, also when several vats of that name run, and with VAT_TERMINATED, RET->vat then
 * being set, when the only one has ended. */
typedef struct {
    vat_t vat;
    cluster_t cluster;
    char name[NAME_BYTES_MAX + 1];
} found_t;
CHECKED err_t vat_named(link_t *link, const char *name, found_t *ret, fail_t *f);

/* The cluster called NAME, or "s3"; RET_VATS of its vats live. Fails with CLUSTER_UNKNOWN. */
CHECKED err_t cluster_named(link_t *link, const char *name, cluster_t *ret, uint64_t *ret_vats,
                            fail_t *f);

/* The broker's counters, by name: {"objects": 12, ...}. The caller owns RET. */
CHECKED err_t counters_get(link_t *link, json_t **ret, fail_t *f);

/* The root object of the vat that NAME names, as vat_named(). */
CHECKED err_t root_named(link_t *link, const char *name, kref_t *ret, fail_t *f);

/* REF of `call`: @name, cluster/name, v3 (all: the root), ko3.7, kp0.4. */
CHECKED err_t ref_named(link_t *link, const char *ref, kref_t *ret, fail_t *f);
