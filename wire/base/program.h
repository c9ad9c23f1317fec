/* What the main() of every daemon does alike: errors in the shape of vatctl's, descriptors, and locks. */
#pragma once
#include <stdbool.h>

#include "wire/base/err.h"

/* Tells of ERR on stderr: `error E5003: TEXT: WHERE`, then why and try. WHERE and WHY may be "";
 * HINT NULL takes the table's. Returns the exit code. */
int program_fail(err_t err, const char *where, const char *why, const char *hint);

/* The open descriptor that TEXT names; false when it names none. */
bool program_descriptor(const char *text, int *ret);

/* Takes the lock on the file FD. Waits for it a moment: a child that this program was just forking when it was
 * killed has the lock until its exec, or its end. False: another process has it. */
bool program_lock(int fd);
