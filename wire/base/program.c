#include "wire/base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

int program_fail(err_t err, const char *where, const char *why, const char *hint)
{
    const err_row_t *row = err_row(err);

    fprintf(stderr, "error E%04u: %s%s%s\n", (unsigned)row->err, row->text, *where ? ": " : "",
            where);
    if (*why) fprintf(stderr, "  why     %s\n", why);
    fprintf(stderr, "  try     %s\n", hint ? hint : row->hint);
    return row->exit;
}

bool program_descriptor(const char *text, int *ret)
{
    char *end;

    errno = 0;
    long number = strtol(text, &end, 10);
    if (!*text || *end || errno || number < 0 || number > INT_MAX) return false;
    *ret = (int)number;
    return fcntl(*ret, F_GETFD) >= 0;
}

bool program_lock(int fd)
{
    enum { TRIES = 50, PAUSE_MS = 20 };
    for (int i = 0; i < TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    return false;
}
