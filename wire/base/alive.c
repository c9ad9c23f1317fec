#include "wire/base/alive.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/must.h"

/* Always as long, so that it is written over the one before in one piece. */
enum { LINE_BYTES = 128 };

uint64_t alive_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool path_of(const char *dir, char path[PATH_MAX])
{
    return snprintf(path, PATH_MAX, "%s/alive", dir) < PATH_MAX;
}

int alive_open(const char *dir)
{
    char path[PATH_MAX];
    return path_of(dir, path) ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
}

void alive_write(int fd, alive_t self)
{
    char line[LINE_BYTES + 1];
    int len = snprintf(line, sizeof line, "at_ms=%020" PRIu64 " pid=%010" PRIu64 " ready=%d %s",
                       alive_now_ms(), (uint64_t)getpid(), self.ready, self.what);
    must(len > 0 && len < LINE_BYTES);
    memset(line + len, ' ', (size_t)(LINE_BYTES - 1 - len));
    line[LINE_BYTES - 1] = '\n';
    if (fd >= 0) (void)!pwrite(fd, line, LINE_BYTES, 0);
}

void alive_end(const char *dir)
{
    char path[PATH_MAX];
    if (path_of(dir, path)) unlink(path);
}

bool alive_read(const char *dir, alive_t *ret)
{
    char path[PATH_MAX], line[LINE_BYTES + 1];
    int fd = path_of(dir, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return false;
    ssize_t len = pread(fd, line, LINE_BYTES, 0);
    close(fd);
    if (len != LINE_BYTES || line[LINE_BYTES - 1] != '\n') return false;
    line[LINE_BYTES - 1] = '\0';
    *ret = (alive_t){0};
    int ready, what = 0;
    if (sscanf(line, "at_ms=%" SCNu64 " pid=%" SCNu64 " ready=%d %n", &ret->at_ms, &ret->pid,
               &ready, &what) < 3 ||
        !what)
        return false;
    ret->ready = ready != 0;
    size_t end = strlen(line);
    while (end > (size_t)what && line[end - 1] == ' ') end--;
    snprintf(ret->what, sizeof ret->what, "%.*s", (int)(end - (size_t)what), line + what);
    return true;
}
