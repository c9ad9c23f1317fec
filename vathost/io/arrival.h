/* A file that comes in pieces from elsewhere and is here only when it is whole: what came stands under
 * another name, and is checked, synced and renamed. It never takes the place of a file that is there. */
#pragma once
#include "wire/base/bytes.h"
#include "wire/base/err.h"

typedef struct arrival arrival_t;

/* Begins the file PATH of TOTAL bytes with HASH; PART, beside it, is where it grows. Fails with STORE
 * or STORE_FULL. The caller owns it. */
CHECKED err_t arrival_new(const char *path, const char *part, uint64_t total, hash_t hash,
                          arrival_t **ret);

/* Deletes what came, unless it is whole. */
void arrival_destroy(arrival_t **self_p);

/* How much has come: where the next piece belongs. */
uint64_t arrival_come(const arrival_t *self);

typedef enum {
    ARRIVAL_MORE,
    ARRIVAL_DONE,  /* the file is there, durable under its name */
    ARRIVAL_OTHER, /* not the piece that comes next: nothing is changed */
    ARRIVAL_WRONG, /* it cannot become that file: destroy it */
    ARRIVAL_FULL,  /* the disk is full; nothing is changed */
} arrival_state_t;

/* Takes the piece that belongs at OFFSET. */
arrival_state_t arrival_add(arrival_t *self, uint64_t offset, bin_t piece);
