/* The worker processes of a host: the zygote is our child, and the workers are its children.
 *
 *   C1  a worker is known by a token that is never used twice, not by its pid;
 *   C2  only the zygote kills workers: a pid of its own child cannot mean another process;
 *   C3  nobody outlives us, however we end. */
#pragma once
#include <signal.h>
#include <sys/wait.h>

#include "wire/base/bytes.h"
#include "wire/base/err.h"

typedef struct crew crew_t;

typedef enum {
    CREW_NOTHING,
    CREW_READY, /* the golden snapshot is read; ENGINE is its build */
    CREW_ENDED, /* worker TOKEN ended with STATUS, as of waitpid(2) */
    CREW_GONE,  /* the zygote itself ended with STATUS, and all workers with it: destroy the crew */
} crew_event_kind_t;

typedef struct {
    crew_event_kind_t kind;
    uint64_t token;
    int status;
    const char *engine; /* borrowed until the next call */
} crew_event_t;

/* Starts the zygote from the file PROGRAM. Fails with PROCESS_FAILED. The caller owns the crew. */
CHECKED err_t crew_new(const char *program, crew_t **ret);

/* Ends all workers and waits until none is left. */
void crew_destroy(crew_t **self_p);

/* Starts a worker for the bundle in file BUNDLE. RET_FD, non-blocking, is our end of its socket and
 * the caller's to close. Fails with PROCESS_FAILED. */
CHECKED err_t crew_start(crew_t *self, uint64_t token, const char *bundle, int *ret_fd);

/* Ends worker TOKEN at once. CREW_ENDED follows, unless it had ended already. */
void crew_kill(crew_t *self, uint64_t token);

/* What to poll for reading. */
int crew_fd(const crew_t *self);

crew_event_t crew_take(crew_t *self);

/* Whether STATUS, of waitpid(2), is a signal that a process brings upon itself: nobody sends it. */
static inline bool crew_crashed(int status)
{
    if (!WIFSIGNALED(status)) return false;
    switch (WTERMSIG(status)) {
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGILL:
    case SIGFPE:
    case SIGSYS:
    case SIGTRAP:
    case SIGALRM: return true;
    default: return false;
    }
}
