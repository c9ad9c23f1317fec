#include "wire/base/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool durable_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool synced = fsync(fd) == 0;
    int why = errno;
    close(fd); /* nothing was written through it: it has nothing to say */
    errno = why;
    return synced;
}

bool durable_name(const char *path)
{
    char folder[PATH_MAX];
    if (strlen(path) >= sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(folder, path);
    return durable_folder(dirname(folder));
}

bool durable_rename(const char *from, const char *path)
{
    return rename(from, path) == 0 && durable_name(path);
}
