#include "broker/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/durable.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum {
    PIECE_PAGES = 256, /* of one turn: 1 MiB */
    FILE_BYTES_MAX = 16 * 1024 * 1024,
    TAIL = 64, /* of a path of ours */
};

static const char mark[] = "backup";

struct backup {
    backup_options_t is;
    bool here;
    char path[PATH_BYTES_MAX + 1], part[PATH_BYTES_MAX + 8];
    store_copy_t *copy;
    err_t err; /* of the files, while they are linked */
    char why[256];
};

backup_t *backup_new(const backup_options_t *options)
{
    backup_t *self = calloc(1, sizeof *self);
    must(self);
    self->is = *options;
    return self;
}

const char *backup_why(const backup_t *self) { return self->why; }

bool backup_waiting(const backup_t *self) { return self->here; }

void backup_begin(backup_t *self, text_t path)
{
    must(!self->here);
    self->here = true;
    snprintf(self->path, sizeof self->path, "%.*s", (int)path.len, path.at);
    snprintf(self->part, sizeof self->part, "%s.part", self->path);
    self->why[0] = '\0';
}

/* ---- files ---- */

static err_t failed(backup_t *self, const char *what)
{
    err_t err = errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_BACKUP_FAILED;
    if (!self->why[0]) snprintf(self->why, sizeof self->why, "%.160s: %s", what, strerror(errno));
    return err;
}

static bool write_file(const char *path, mode_t mode, const void *at, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return false;
    bool ok = write(fd, at, len) == (ssize_t)len && fsync(fd) == 0;
    return close(fd) == 0 && ok;
}

/* Copies one of the small files of the state directory; one that is not there is left out. */
static err_t copy_file(backup_t *self, const char *name)
{
    char from[PATH_MAX + TAIL], to[sizeof self->part + TAIL];
    struct stat st;
    snprintf(from, sizeof from, "%s/%s", self->is.dir, name);
    snprintf(to, sizeof to, "%s/%s", self->part, name);
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? ERR_OK : failed(self, name);
    err_t err = fstat(fd, &st) == 0 && st.st_size <= FILE_BYTES_MAX ? ERR_OK : failed(self, name);
    size_t len = err ? 0 : (size_t)st.st_size;
    char *at = malloc(len + 1);
    must(at);
    if (!err && read(fd, at, len) != (ssize_t)len) err = failed(self, name);
    if (!err && !write_file(to, st.st_mode & 0777, at, len)) err = failed(self, name);
    free(at);
    close(fd);
    return err;
}

/* What a backup consists of, and nothing else: PATH.part may be a directory that somebody else made. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"kernel.db", "broker.key", "broker.pub", "hosts.allow",
                                        mark};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return strncmp(name, "kernel.db-", 10) == 0;
}

static bool is_copy(const char *name) { return name[0] == 'v' && name[1] >= '0' && name[1] <= '9'; }

static void remove_files(const char *path, bool (*named)(const char *name))
{
    DIR *dir = opendir(path);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (named(entry->d_name)) unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

static void remove_part(const backup_t *self)
{
    char inner[sizeof self->part + TAIL];
    snprintf(inner, sizeof inner, "%s/checkpoints", self->part);
    remove_files(inner, is_copy);
    rmdir(inner);
    remove_files(self->part, is_ours);
    rmdir(self->part);
}

void backup_destroy(backup_t **self_p)
{
    backup_t *self = *self_p;
    if (!self) return;
    store_copy_destroy(&self->copy);
    if (self->here) remove_part(self);
    free(self);
    *self_p = NULL;
}

/* ---- the pieces ---- */

static err_t open_part(backup_t *self)
{
    char path[sizeof self->part + TAIL];
    struct stat st;
    if (self->path[0] != '/' || lstat(self->path, &st) == 0) {
        errno = self->path[0] != '/' ? EINVAL : EEXIST;
        return failed(self, self->path);
    }
    remove_part(self); /* of one that was broken off */
    if (mkdir(self->part, 0700) != 0) return failed(self, self->part);
    FAILPOINT(broker_backup_begun);
    snprintf(path, sizeof path, "%s/checkpoints", self->part);
    if (mkdir(path, 0700) != 0) return failed(self, path);
    snprintf(path, sizeof path, "%s/kernel.db", self->part);
    return store_copy_new(self->is.store, path, &self->copy);
}

static void link_copy(void *context, vat_t vat, const copy_t *copy)
{
    backup_t *self = context;
    char dir[sizeof self->part + TAIL];
    snprintf(dir, sizeof dir, "%s/checkpoints", self->part);
    if (self->err) return;
    self->err = checkpoints_link(self->is.checkpoints, vat, copy, dir);
    if (self->err) failed(self, "checkpoints");
}

static err_t link_copies(backup_t *self)
{
    char dir[sizeof self->part + TAIL];
    snprintf(dir, sizeof dir, "%s/checkpoints", self->part);
    self->err = ERR_OK;
    kernel_copies(self->is.kernel, link_copy, self);
    if (self->err) return self->err;
    return durable_folder(dir) ? ERR_OK : failed(self, dir);
}

static int id_text(id128_t id, char *out, size_t room)
{
    int len = 0;
    for (size_t i = 0; i < sizeof id.b; i++)
        len += snprintf(out + len, room - (size_t)len, "%02x", id.b[i]);
    return len;
}

static err_t write_mark(backup_t *self)
{
    char path[sizeof self->part + TAIL], text[160];
    int len = id_text(kernel_id(self->is.kernel), text, sizeof text);
    len += snprintf(text + len, sizeof text - (size_t)len,
                    " epoch %llu\nvatbroker --adopt-backup goes on from here, once.\n",
                    (unsigned long long)kernel_epoch(self->is.kernel));
    snprintf(path, sizeof path, "%s/%s", self->part, mark);
    return write_file(path, 0600, text, (size_t)len) ? ERR_OK : failed(self, path);
}

/* The database is whole: the rest, of the same moment. */
static err_t finish(backup_t *self)
{
    static const char *const files[] = {"broker.key", "broker.pub", "hosts.allow"};
    FAILPOINT(broker_backup_copied);
    err_t err = link_copies(self);
    for (size_t i = 0; i < sizeof files / sizeof *files && !err; i++)
        err = copy_file(self, files[i]);
    if (!err) err = write_mark(self);
    if (!err && !durable_folder(self->part)) err = failed(self, self->part);
    FAILPOINT(broker_backup_whole);
    if (!err && !durable_rename(self->part, self->path)) err = failed(self, self->path);
    if (err) return err;
    FAILPOINT(broker_backup_named);
    return ERR_OK;
}

bool backup_turn(backup_t *self, err_t *ret_err)
{
    if (!self->here) return false;
    bool whole = false;
    err_t err = self->copy ? ERR_OK : open_part(self);
    if (!err) err = store_copy_step(self->copy, PIECE_PAGES, &whole);
    if (err && self->copy && !self->why[0])
        snprintf(self->why, sizeof self->why, "kernel.db: %.200s", store_copy_why(self->copy));
    if (!err && !whole) return false;
    store_copy_destroy(&self->copy);
    if (!err) err = finish(self);
    if (err) {
        log_error("backup_failed", kv_str("path", self->path), kv_str("why", self->why));
        remove_part(self);
    } else {
        log_info("backup", kv_str("path", self->path));
    }
    self->here = false;
    *ret_err = err;
    return true;
}

/* ---- adopting one ---- */

bool backup_marked(const char *dir)
{
    char path[PATH_MAX + TAIL];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, mark);
    return lstat(path, &st) == 0;
}

err_t backup_of(const char *dir, id128_t kernel, char why[256])
{
    char path[PATH_MAX + TAIL], is[2 * sizeof kernel.b + 1], said[sizeof is] = "";
    id_text(kernel, is, sizeof is);
    snprintf(path, sizeof path, "%s/%s", dir, mark);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, said, sizeof said - 1) : -1;
    if (fd >= 0) close(fd);
    if (n == (ssize_t)sizeof said - 1 && strcmp(is, said) == 0) return ERR_OK;
    snprintf(why, 256, "kernel.db is not the one that this backup was made with");
    return ERR_STORE_DAMAGED;
}

err_t backup_unmark(const char *dir, char why[256])
{
    char path[PATH_MAX + TAIL];
    snprintf(path, sizeof path, "%s/%s", dir, mark);
    FAILPOINT(broker_adopted);
    if (unlink(path) == 0 && durable_folder(dir)) return ERR_OK;
    snprintf(why, 256, "%s: %s", mark, strerror(errno));
    return ERR_STORE;
}
