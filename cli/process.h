/* Child processes and the places of the programs and their data. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/fail.h"

/* `<folder of this program>/NAME` and `<folder of this program>/../share/vatyard/NAME`. */
void path_program(const char *name, char ret[PATH_MAX]);
void path_share(const char *name, char ret[PATH_MAX]);

typedef struct {
    int output, errors; /* descriptors that become stdout and stderr; -1: /dev/null */
    int ready;          /* descriptor kept open under its own number; -1: none */
    bool daemon;        /* own session, outlives us; else it is killed when we die */
    bool input;         /* our stdin is its, too; else /dev/null */
} start_t;

/* Starts ARGV[0] (looked up in PATH when it has no '/'). Gives the process id, or 0 and
 * PROCESS_FAILED in F; errno then says why. */
pid_t process_start(char *const argv[], const start_t *how, fail_t *f);

/* Waits at most MS for the process to end; gives its wait status. False: it still runs. */
bool process_wait(pid_t pid, unsigned ms, int *ret_status);

/* Ends the process: SIGTERM, and SIGKILL when it has not ended after MS. It is reaped. */
void process_stop(pid_t pid, unsigned ms);

/* Makes the folder and those above it, mode 0700. */
CHECKED err_t folder_make(const char *path, fail_t *f);
/* Removes PATH and all below it. */
void folder_remove(const char *path);
