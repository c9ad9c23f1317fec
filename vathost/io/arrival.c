#include "vathost/io/arrival.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/durable.h"
#include "wire/base/failpoint.h"
#include "wire/base/hash.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

/* Synced in steps, so that the last sync, for which everything waits, has little left to do. */
enum { SYNC_BYTES = 16 * 1024 * 1024 };

struct arrival {
    char path[PATH_BYTES_MAX], part[PATH_BYTES_MAX];
    int fd; /* -1: done */
    uint64_t come, total;
    hash_t hash;
    hasher_t *hasher;
};

err_t arrival_new(const char *path, const char *part, uint64_t total, hash_t hash, arrival_t **ret)
{
    int fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return errno == ENOSPC ? ERR_STORE_FULL : ERR_STORE;

    arrival_t *self = calloc(1, sizeof *self);
    must(self && strlen(path) < sizeof self->path && strlen(part) < sizeof self->part);
    strcpy(self->path, path);
    strcpy(self->part, part);
    self->fd = fd;
    self->total = total;
    self->hash = hash;
    self->hasher = hasher_new();
    *ret = self;
    return ERR_OK;
}

void arrival_destroy(arrival_t **self_p)
{
    must(self_p);
    arrival_t *self = *self_p;
    if (!self) return;

    if (self->fd >= 0) {
        close(self->fd);
        unlink(self->part);
    }
    hasher_destroy(&self->hasher);
    free(self);
    *self_p = NULL;
}

uint64_t arrival_come(const arrival_t *self) { return self->come; }

static bool write_at(int fd, const uint8_t *at, size_t left, uint64_t offset)
{
    while (left > 0) {
        ssize_t wrote = pwrite(fd, at, left, (off_t)offset);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        at += wrote;
        left -= (size_t)wrote;
        offset += (uint64_t)wrote;
    }
    return true;
}

/* A sync that fails leaves nothing that could be trusted: all of it is fetched again. */
static arrival_state_t finish(arrival_t *self)
{
    if (!hash_same(hasher_end(&self->hasher), self->hash)) return ARRIVAL_WRONG;
    FAILPOINT(vathost_pulled_whole);
    if (fsync(self->fd) != 0) return ARRIVAL_WRONG;
    FAILPOINT(vathost_pulled_synced);
    /* link() where rename() would take the place of what is there. */
    if (link(self->part, self->path) != 0) return ARRIVAL_WRONG;
    unlink(self->part);
    close(self->fd);
    self->fd = -1;
    FAILPOINT(vathost_pulled_named);
    return durable_name(self->path) ? ARRIVAL_DONE : ARRIVAL_WRONG;
}

arrival_state_t arrival_add(arrival_t *self, uint64_t offset, bin_t piece)
{
    if (self->fd < 0 || !self->hasher) return ARRIVAL_WRONG;
    if (offset != self->come) return ARRIVAL_OTHER;
    if (piece.len == 0 || piece.len > self->total - self->come) return ARRIVAL_WRONG;
    errno = 0;
    if (!write_at(self->fd, piece.at, piece.len, offset)) {
        return errno == ENOSPC || errno == EDQUOT ? ARRIVAL_FULL : ARRIVAL_WRONG;
    }
    hasher_add(self->hasher, piece);
    self->come += piece.len;
    FAILPOINT(vathost_pulled_part);
    if (self->come == self->total) return finish(self);
    if (offset / SYNC_BYTES != self->come / SYNC_BYTES && fdatasync(self->fd) != 0) {
        return ARRIVAL_WRONG;
    }
    return ARRIVAL_MORE;
}
