/* A worker of our own: a process that runs a copy of a vat's log, with us as its host and its broker. What
 * it does reaches nobody.
 *
 *   S1  it runs as the vat did: same engine, limits and globals; only the clock on the wall is ours;
 *   S2  its folder is the caller's: bundles in files named b1-..., and the checkpoint it begins with. */
#pragma once
#include "cli/fail.h"
#include "wire/schema/message.h"

typedef struct scratch scratch_t;

/* HEAD and FOLDER are borrowed for the call. It begins with the file DATABASE of FOLDER, or with nothing
 * when that is not there. NULL and PROCESS_FAILED, TIMED_OUT or SNAPSHOT_UNREADABLE in F on failure. */
scratch_t *scratch_new(const msg_log_head_t *head, id128_t kernel, const char *folder,
                       const char *database, fail_t *f);
void scratch_destroy(scratch_t **self_p);

/* The last delivery it has run. */
uint64_t scratch_last(const scratch_t *self);

/* Runs the next delivery. RET lives until the next call; it is NULL for one that was given up, which is
 * never run. Fails with VAT_CRASHED when the worker does not survive it, and with TIMED_OUT after MS, or when
 * a signal came in. */
CHECKED err_t scratch_run(scratch_t *self, const msg_log_row_t *row, unsigned ms,
                          const msg_result_t **ret, fail_t *f);
