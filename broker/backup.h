/* A backup of a broker that goes on living: a directory that is a state directory, of one moment.
 *
 *   the database is copied a piece with each turn, by SQLite's own means: what is written meanwhile is in the
 *   copy as well. With the last piece, between two batches, come the checkpoints' files that its rows name
 *   (second names of the same files where that is possible), the keys and the allow-list, and the mark
 *   `backup`, by which a broker knows that it must not simply go on from there;
 *   it has another name, PATH.part, until it is whole and on disk. */
#pragma once
#include "broker/checkpoints.h"
#include "broker/store/store.h"

typedef struct backup backup_t;

typedef struct {
    const char *dir; /* the state directory */
    store_t *store;
    checkpoints_t *checkpoints;
    const kernel_t *kernel;
} backup_options_t; /* all borrowed */

backup_t *backup_new(const backup_options_t *options);
void backup_destroy(backup_t **self_p);

/* Begins one in PATH, an absolute path that does not exist. None is under way. */
void backup_begin(backup_t *self, text_t path);

/* One piece. Only called when everything is durable that KERNEL has in memory. True: it is over, RET_ERR
 * says how, backup_why() why. WAITING: something is to be done. */
bool backup_turn(backup_t *self, err_t *ret_err);
const char *backup_why(const backup_t *self);
bool backup_waiting(const backup_t *self);

/* Is the backup DIR one of KERNEL's, which was loaded from the database in it? Fails with STORE_DAMAGED. */
CHECKED err_t backup_of(const char *dir, id128_t kernel, char why[256]);

/* Is DIR a backup that nobody has adopted? Takes the mark away when it is adopted, durably. */
bool backup_marked(const char *dir);
CHECKED err_t backup_unmark(const char *dir, char why[256]);
