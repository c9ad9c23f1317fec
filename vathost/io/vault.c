#include "vathost/io/vault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "wire/base/failpoint.h"
#include "wire/base/map.h"
#include "wire/base/must.h"

/* A placement whose database may be here. */
typedef struct kept kept_t;
struct kept {
    kept_t *next; /* of the same vat */
    uint64_t pgen;
};

struct vault {
    char dir[PATH_BYTES_MAX];
    map_t vats; /* number -> its kept_t */
    uint8_t piece[BUNDLE_PART_BYTES_MAX];
};

/* What a worker puts before the name of a database that it cannot read (vatdb_set_aside()). */
#define DAMAGED "damaged-"
static const char *const damaged_tails[] = {".db", ".db-wal"};

/* What a file's name says. TAIL: what stands behind the placement. */
static bool read_name(const char *name, uint32_t *ret_vat, uint64_t *ret_pgen,
                      const char **ret_tail)
{
    int end = 0;
    if (sscanf(name, "vat-%10" SCNu32 ".%20" SCNu64 "%n", ret_vat, ret_pgen, &end) != 2 || !end) {
        return false;
    }
    *ret_tail = name + end;
    return true;
}

static const char *const tails[] = {".db", ".db-wal", ".db-shm", ".db-journal"};
enum { TAILS = sizeof tails / sizeof *tails };

static bool is_one_of_ours(const char *tail)
{
    for (size_t i = 0; i < TAILS; i++) {
        if (strcmp(tail, tails[i]) == 0) return true;
    }
    return false;
}

static void path_of(const vault_t *self, vat_t vat, uint64_t pgen, const char *tail,
                    char ret[PATH_BYTES_MAX])
{
    int len = snprintf(ret, PATH_BYTES_MAX, "%s/vat-%" PRIu32 ".%" PRIu64 "%s", self->dir, vat.n,
                       pgen, tail);
    must(len > 0 && len < PATH_BYTES_MAX);
}

static void note(vault_t *self, vat_t vat, uint64_t pgen)
{
    kept_t *first = map_get(&self->vats, vat.n);
    for (const kept_t *kept = first; kept; kept = kept->next) {
        if (kept->pgen == pgen) return;
    }
    kept_t *kept = calloc(1, sizeof *kept);
    must(kept);
    *kept = (kept_t){first, pgen};
    map_put(&self->vats, vat.n, kept);
}

/* One that is damaged stays, and its placement is noted: the broker may know nothing of it any more. */
static bool keeps_damaged(vault_t *self, const char *name)
{
    const char *tail;
    uint64_t pgen;
    vat_t vat;
    bool named = read_name(name, &vat.n, &pgen, &tail);
    if (named) note(self, vat, pgen);
    return named;
}

/* Goes through what is named vat-*, whole or damaged: notes databases, and deletes the rest, or all of it. */
static err_t walk(vault_t *self, bool delete_all)
{
    DIR *dir = opendir(self->dir);
    if (!dir) return ERR_STORE;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[PATH_BYTES_MAX];
        const char *tail;
        uint64_t pgen;
        vat_t vat;
        bool damaged = strncmp(entry->d_name, DAMAGED "vat-", strlen(DAMAGED "vat-")) == 0;
        if (damaged && !delete_all && keeps_damaged(self, entry->d_name + strlen(DAMAGED)))
            continue;
        if (!damaged && strncmp(entry->d_name, "vat-", 4) != 0) continue;
        bool keep =
            !delete_all && read_name(entry->d_name, &vat.n, &pgen, &tail) && is_one_of_ours(tail);
        if (keep && strcmp(tail, ".db") == 0) note(self, vat, pgen);
        if (keep) {
            /* Beside a database that is gone it would be taken for a part of the next one. */
            path_of(self, vat, pgen, ".db", path);
            keep = access(path, F_OK) == 0;
        }
        if (!keep) unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    return ERR_OK;
}

err_t vault_new(const char *dir, vault_t **ret)
{
    vault_t *self = calloc(1, sizeof *self);
    must(self && strlen(dir) < PATH_BYTES_MAX - 64);
    strcpy(self->dir, dir);
    err_t err = walk(self, false);
    if (err)
        vault_destroy(&self);
    else
        *ret = self;
    return err;
}

static void forget_all(vault_t *self)
{
    for (size_t i = 0; i < self->vats.room; i++) {
        for (kept_t *kept = map_cell(&self->vats, i), *next; kept; kept = next) {
            next = kept->next;
            free(kept);
        }
    }
    map_clear(&self->vats);
}

void vault_destroy(vault_t **self_p)
{
    must(self_p);
    vault_t *self = *self_p;
    if (!self) return;

    forget_all(self);
    free(self);
    *self_p = NULL;
}

void vault_path(vault_t *self, vat_t vat, uint64_t pgen, char ret[PATH_BYTES_MAX])
{
    note(self, vat, pgen);
    path_of(self, vat, pgen, ".db", ret);
}

void vault_ship_path(const vault_t *self, vat_t vat, uint64_t pgen, char ret[PATH_BYTES_MAX])
{
    path_of(self, vat, pgen, ".ship", ret);
}

void vault_pull_path(const vault_t *self, vat_t vat, uint64_t pgen, char ret[PATH_BYTES_MAX])
{
    path_of(self, vat, pgen, ".pull", ret);
}

bool vault_has(const vault_t *self, vat_t vat, uint64_t pgen)
{
    char path[PATH_BYTES_MAX];
    path_of(self, vat, pgen, ".db", path);
    return access(path, F_OK) == 0;
}

void vault_each(const vault_t *self, vault_visit_t *visit, void *context)
{
    for (size_t i = 0; i < self->vats.room; i++) {
        for (const kept_t *kept = map_cell(&self->vats, i); kept; kept = kept->next) {
            visit(context, (vat_t){(uint32_t)map_key(&self->vats, i)}, kept->pgen);
        }
    }
}

static void delete_one(const vault_t *self, vat_t vat, uint64_t pgen)
{
    char path[PATH_BYTES_MAX];
    for (size_t i = 0; i < TAILS; i++) {
        path_of(self, vat, pgen, tails[i], path);
        unlink(path);
        FAILPOINT(vathost_deletes);
    }
    /* A copy, whole or not, of a worker that was ended meanwhile. */
    path_of(self, vat, pgen, ".ship", path);
    unlink(path);
    path_of(self, vat, pgen, ".ship.new", path);
    unlink(path);
    for (size_t i = 0; i < sizeof damaged_tails / sizeof *damaged_tails; i++) {
        int len = snprintf(path, sizeof path, "%s/" DAMAGED "vat-%" PRIu32 ".%" PRIu64 "%s",
                           self->dir, vat.n, pgen, damaged_tails[i]);
        must(len > 0 && len < PATH_BYTES_MAX);
        unlink(path);
    }
}

void vault_delete(vault_t *self, vat_t vat, uint64_t pgen)
{
    kept_t *left = NULL;
    for (kept_t *kept = map_remove(&self->vats, vat.n), *next; kept; kept = next) {
        next = kept->next;
        if (kept->pgen > pgen) {
            kept->next = left;
            left = kept;
        } else {
            if (kept->pgen < pgen) delete_one(self, vat, kept->pgen);
            free(kept);
        }
    }
    if (left) map_put(&self->vats, vat.n, left);
    delete_one(self, vat, pgen); /* known or not */
}

void vault_delete_all(vault_t *self)
{
    forget_all(self);
    (void)walk(self, true);
}

/* A twentieth of a small disk, or enough for a large checkpoint. */
bool vault_has_room(const vault_t *self)
{
    enum { ROOM_BYTES = 64 * 1024 * 1024 };
    struct statvfs about;
    if (statvfs(self->dir, &about) != 0) return true; /* a worker will find out */
    uint64_t all = (uint64_t)about.f_blocks * about.f_frsize;
    uint64_t left = (uint64_t)about.f_bavail * about.f_frsize;
    return left >= (all / 20 < ROOM_BYTES ? all / 20 : ROOM_BYTES);
}

/* ---- copies ---- */

static void copy_path(const vault_t *self, copy_t copy, char ret[PATH_BYTES_MAX])
{
    char tail[32];
    snprintf(tail, sizeof tail, ".%" PRIu64 ".copy", copy.d);
    path_of(self, copy.vat, copy.pgen, tail, ret);
}

bool vault_copy_take(vault_t *self, copy_t copy, uint64_t *ret_bytes)
{
    char made[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    struct stat about;
    vault_ship_path(self, copy.vat, copy.pgen, made);
    copy_path(self, copy, path);
    if (stat(made, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size <= 0) return false;
    if (rename(made, path) != 0) return false;
    *ret_bytes = (uint64_t)about.st_size;
    return true;
}

bin_t vault_copy_read(vault_t *self, copy_t copy, uint64_t offset)
{
    char path[PATH_BYTES_MAX];
    size_t len = 0;
    ssize_t got = 1;
    copy_path(self, copy, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return (bin_t){NULL, 0};
    while (len < sizeof self->piece && got > 0) {
        got = pread(fd, self->piece + len, sizeof self->piece - len, (off_t)(offset + len));
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            len += (size_t)got;
    }
    close(fd);
    return (bin_t){self->piece, got < 0 ? 0 : len};
}

void vault_copy_delete(const vault_t *self, copy_t copy)
{
    char path[PATH_BYTES_MAX];
    copy_path(self, copy, path);
    unlink(path);
}
