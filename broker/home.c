#include "broker/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/program.h"

enum { FILES_WANTED = 65536 };

static err_t failed(err_t err, const char *what, const char *reason, char why[256])
{
    snprintf(why, 256, "%.180s: %s", what, reason);
    return err;
}

err_t home_open(const char *dir, int *ret_fd, char why[256])
{
    char path[4096];
    struct stat st;
    *ret_fd = -1;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return failed(ERR_BAD_VALUE, dir, strerror(errno), why);
    }
    if (stat(dir, &st) != 0) return failed(ERR_BAD_VALUE, dir, strerror(errno), why);
    if (!S_ISDIR(st.st_mode)) return failed(ERR_BAD_VALUE, dir, "is no directory", why);
    if (st.st_uid != geteuid() || (st.st_mode & 022)) {
        return failed(ERR_KEY_FILE, dir, "must belong to you, and nobody else may write it", why);
    }
    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path) {
        return failed(ERR_BAD_VALUE, dir, "is too long", why);
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return failed(ERR_BAD_VALUE, path, strerror(errno), why);
    if (!program_lock(fd)) {
        close(fd);
        return failed(ERR_STORE_LOCKED, dir, "a broker runs on it", why);
    }
    *ret_fd = fd;
    return ERR_OK;
}

void home_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlim_t wanted = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = wanted;
    setrlimit(RLIMIT_NOFILE, &limit); /* as far as it goes: the system's limit is the operator's */
}
