/* One vat's own database: its key-value store, c-list, counters and checkpoints in one SQLite file,
 * behind the port vathost/supervisor/store.h. The only user of wire/pages on this side.
 *
 *   D1  a write transaction is open from the first crank after a checkpoint to the next checkpoint,
 *       which commits it, and a crank is a savepoint in it: a process that ends is at its checkpoint;
 *   D2  what a write replaces is put into an undo table first, once per key and checkpoint: those rows
 *       lead from the newest checkpoint back to the one before;
 *   D3  the file says whose it is: kernel, vat, format. Another kernel's or vat's is not touched;
 *   D4  the file says of which placement it is. That of another one was copied here: its older
 *       checkpoint may lie before what the log still has, and is not used;
 *   D5  keys are compared byte by byte. */
#pragma once
#include "vathost/supervisor/store.h"

typedef struct {
    const char *path;
    id128_t kernel; /* whose vat it is */
    vat_t vat;
    uint64_t pgen; /* of this placement */
} vatdb_options_t;

/* Opens the database file, and makes it when there is none. *RET is set after a failure as well: its
 * why() says more. Fails with STORE, STORE_FULL, STORE_LOCKED, STORE_VERSION when it is not this vat's
 * or of another format, STORE_DAMAGED. The caller owns *RET; vatstore_destroy() ends it. */
CHECKED err_t vatdb_open(const vatdb_options_t *options, vatstore_t **ret);

/* Renames the file PATH, which nobody has open, to damaged-NAME in its folder, and its log with it; unless
 * all of it can be read after all, then false. */
bool vatdb_set_aside(const char *path);

/* Deletes the file PATH and the ones SQLite keeps beside it. Missing ones are no failure. */
void vatdb_delete(const char *path);
