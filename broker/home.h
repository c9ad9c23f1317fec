/* The state directory: made with mode 0700, and used by one process at a time. */
#pragma once
#include "wire/base/err.h"

/* Makes DIR when it is missing (its parent must exist) and locks it until the process ends; the
 * descriptor of the lock goes to RET_FD. Fails with BAD_VALUE (no such place), KEY_FILE (it belongs
 * to somebody else or others can write it), STORE_LOCKED (another process has it). */
CHECKED err_t home_open(const char *dir, int *ret_fd, char why[256]);

/* Raises the limit of open files as far as allowed: at that limit libzmq goes deaf. */
void home_raise_files(void);
