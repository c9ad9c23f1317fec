#include "broker/checkpoints.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/failpoint.h"
#include "wire/base/hash.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum {
    NAME_ROOM = 160, /* of a file */
    COPY_BYTES = 1024 * 1024,
    STILL_MS = 60 * 1000, /* one that gives nothing for so long is in the way of the others */
};

typedef struct pull pull_t;
struct pull {
    pull_t *next;
    uint32_t host; /* 0: it went away */
    vat_t vat;
    copy_t copy;
    int fd;               /* -1: nothing came yet */
    uint64_t have, asked; /* bytes that came, and that were asked for */
    hasher_t *hasher;     /* of what came */
    uint64_t moved_ms;    /* when the last piece came, or the first was asked for */
    err_t err;            /* it cannot be had */
    bool over;            /* whole, or ERR: to be told */
    bool follows;         /* and then this one is to be fetched */
    copy_t next_copy;
};

/* Somebody began to read this copy. */
typedef struct begun begun_t;
struct begun {
    begun_t *next;
    vat_t vat;
    copy_t copy;
};

struct checkpoints {
    checkpoints_port_t port;
    pull_t *pulls;
    begun_t *begun; /* one for each vat at most */
    int fd;         /* of the directory */
    char dir[PATH_MAX];
};

/* ---- names ---- */

static void file_name(vat_t vat, const copy_t *copy, const char *tail, char ret[NAME_ROOM])
{
    int at = snprintf(ret, NAME_ROOM, "v%" PRIu32 ".%" PRIu64 ".%" PRIu64 ".", vat.n, copy->pgen,
                      copy->d);
    for (size_t i = 0; i < sizeof copy->hash.b; i++)
        at += snprintf(ret + at, NAME_ROOM - (size_t)at, "%02x", copy->hash.b[i]);
    snprintf(ret + at, NAME_ROOM - (size_t)at, "%s", tail);
}

static bool same_copy(const copy_t *a, const copy_t *b)
{
    return a->pgen == b->pgen && a->d == b->d && a->bytes == b->bytes &&
           hash_same(a->hash, b->hash);
}

/* ---- the directory ---- */

err_t checkpoints_new(const char *dir, const checkpoints_port_t *port, checkpoints_t **ret,
                      char why[256])
{
    checkpoints_t *self = calloc(1, sizeof *self);
    must(self);
    *ret = self;
    self->port = *port;
    snprintf(self->dir, sizeof self->dir, "%s/checkpoints", dir);
    if (mkdir(self->dir, 0700) == 0 || errno == EEXIST)
        self->fd = open(self->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else
        self->fd = -1;
    if (self->fd >= 0) return ERR_OK;
    snprintf(why, 256, "checkpoints: %s", strerror(errno));
    return ERR_STORE;
}

static void pull_free(checkpoints_t *self, pull_t *pull)
{
    char name[NAME_ROOM];
    if (pull->fd >= 0) {
        close(pull->fd);
        file_name(pull->vat, &pull->copy, ".part", name);
        unlinkat(self->fd, name, 0);
    }
    hasher_destroy(&pull->hasher);
    free(pull);
}

static begun_t **find_begun(checkpoints_t *self, vat_t vat)
{
    begun_t **at = &self->begun;
    while (*at && (*at)->vat.n != vat.n) at = &(*at)->next;
    return at;
}

static void begun_free(begun_t **at)
{
    begun_t *begun = *at;
    *at = begun->next;
    free(begun);
}

void checkpoints_destroy(checkpoints_t **self_p)
{
    checkpoints_t *self = *self_p;
    if (!self) return;
    while (self->begun) begun_free(&self->begun);
    while (self->pulls) {
        pull_t *pull = self->pulls;
        self->pulls = pull->next;
        pull_free(self, pull);
    }
    if (self->fd >= 0) close(self->fd);
    free(self);
    *self_p = NULL;
}

/* ---- start ---- */

static bool is_ours(const char *name) { return name[0] == 'v' && name[1] >= '0' && name[1] <= '9'; }

typedef struct {
    char name[NAME_ROOM];
    vat_t vat;
    copy_t copy;
} named_t;

typedef struct {
    named_t *at;
    size_t count, room;
} names_t;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named_t *)a)->name, ((const named_t *)b)->name);
}

static int with_name(const void *name, const void *named)
{
    return strcmp(name, ((const named_t *)named)->name);
}

static void add_name(void *context, vat_t vat, const copy_t *copy)
{
    names_t *names = context;
    if (names->count == names->room) {
        names->room = names->room ? 2 * names->room : 64;
        names->at = reallocarray(names->at, names->room, sizeof *names->at);
        must(names->at);
    }
    named_t *named = &names->at[names->count++];
    *named = (named_t){.vat = vat, .copy = *copy};
    file_name(vat, copy, "", named->name);
}

static void sweep_files(checkpoints_t *self, const names_t *names)
{
    int fd = dup(self->fd);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0) close(fd);
        return;
    }
    rewinddir(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        bool named =
            names->count && bsearch(name, names->at, names->count, sizeof *names->at, with_name);
        if (!named && is_ours(name)) unlinkat(self->fd, name, 0);
    }
    closedir(dir);
}

/* The copies that rows name, and no file has: they are of no use. */
static void tell_missing(checkpoints_t *self, const names_t *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const named_t *named = &names->at[i];
        struct stat st;
        bool there = fstatat(self->fd, named->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISREG(st.st_mode) && (uint64_t)st.st_size == named->copy.bytes;
        if (there) continue;
        log_error("checkpoint_missing", kv_str("file", named->name));
        self->port.told(self->port.self, named->vat, &named->copy, ERR_STORE_DAMAGED);
    }
}

void checkpoints_clean(checkpoints_t *self, const kernel_t *kernel)
{
    names_t names = {0};
    kernel_copies(kernel, add_name, &names);
    if (names.count) qsort(names.at, names.count, sizeof *names.at, by_name);
    sweep_files(self, &names);
    tell_missing(self, &names);
    free(names.at);
}

/* Does it say that the file is of no use, and not only that it cannot be read now? */
static bool is_damage(int error)
{
    return error == ENOENT || error == EIO || error == EISDIR || error == ELOOP ||
           error == EBADMSG || error == EUCLEAN;
}

/* Reads all of a file, which has its hash in its name; zeros: it is not there, or the disk does not give it.
 * False: it cannot be read now. */
static bool read_copy(const checkpoints_t *self, const char *name, hash_t *ret)
{
    ssize_t n = -1;
    int fd = openat(self->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *ret = (hash_t){{0}};
    if (fd >= 0) {
        uint8_t *buf = malloc(COPY_BYTES);
        must(buf);
        hasher_t *hasher = hasher_new();
        while ((n = read(fd, buf, COPY_BYTES)) > 0) hasher_add(hasher, (bin_t){buf, (size_t)n});
        int error = errno;
        hash_t hash = hasher_end(&hasher);
        if (n == 0) *ret = hash;
        free(buf);
        close(fd);
        errno = error;
    }
    if (n == 0) return true;
    log_warn("checkpoint_read", kv_str("file", name), kv_str("why", strerror(errno)));
    return is_damage(errno);
}

err_t checkpoints_verify(const checkpoints_t *self, vat_t vat, const copy_t *copy)
{
    char name[NAME_ROOM], aside[NAME_ROOM + 16];
    hash_t hash;
    file_name(vat, copy, "", name);
    if (!read_copy(self, name, &hash)) return ERR_STORE;
    if (hash_same(hash, copy->hash)) return ERR_OK;
    log_error("checkpoint_damaged", kv_str("file", name));
    snprintf(aside, sizeof aside, "damaged-%s", name);
    (void)renameat(self->fd, name, self->fd, aside);
    return ERR_CHECKPOINT_BROKEN;
}

err_t checkpoints_begin(checkpoints_t *self, vat_t vat, const copy_t *copy)
{
    begun_t **at = find_begun(self, vat), *begun = *at;
    if (begun && same_copy(&begun->copy, copy)) {
        err_t err = checkpoints_verify(self, vat, copy);
        if (!err) begun_free(at); /* the next one is a first one again: it may go bad later */
        return err;
    }
    if (!begun) begun = *at = calloc(1, sizeof *begun);
    must(begun);
    begun->vat = vat;
    begun->copy = *copy;
    return ERR_OK;
}

void checkpoints_verify_all(checkpoints_t *self, const kernel_t *kernel)
{
    names_t names = {0};
    kernel_copies(kernel, add_name, &names);
    for (size_t i = 0; i < names.count; i++)
        if (checkpoints_verify(self, names.at[i].vat, &names.at[i].copy))
            unlinkat(self->fd, names.at[i].name, 0);
    free(names.at);
}

/* ---- fetching ---- */

static pull_t **find(checkpoints_t *self, vat_t vat)
{
    pull_t **at = &self->pulls;
    while (*at && (*at)->vat.n != vat.n) at = &(*at)->next;
    return at;
}

static pull_t *pull_new(uint32_t host, vat_t vat, const copy_t *copy)
{
    pull_t *pull = calloc(1, sizeof *pull);
    must(pull);
    pull->host = host;
    pull->vat = vat;
    pull->copy = *copy;
    pull->fd = -1;
    return pull;
}

/* PULL is done with. What follows comes in its place. Returns where the list goes on. */
static pull_t **pull_done(checkpoints_t *self, pull_t **at)
{
    pull_t *pull = *at, *after = pull->next;
    *at = pull->follows ? pull_new(pull->host, pull->vat, &pull->next_copy) : after;
    if (pull->follows) {
        at = &(*at)->next;
        *at = after;
    }
    pull_free(self, pull);
    return at;
}

/* One that comes already is fetched to its end: else a vat whose checkpoints are more frequent than a
 * copy takes would never have any. Its host keeps it, and the newest. */
static bool waits_behind(pull_t *pull, uint32_t host, const copy_t *copy)
{
    bool comes = pull->over || (pull->host == host && pull->asked);
    if (!comes || pull->copy.pgen != copy->pgen) return false;
    if (copy->d < pull->copy.d || same_copy(&pull->copy, copy)) return true; /* said again */
    if (pull->follows && copy->d < pull->next_copy.d) return true;
    pull->follows = true;
    pull->next_copy = *copy;
    return true;
}

void checkpoints_pull(checkpoints_t *self, uint32_t host, vat_t vat, const copy_t *copy)
{
    pull_t **at = find(self, vat), *pull = *at;
    if (pull && !pull->over && same_copy(&pull->copy, copy)) {
        pull->host = host;
        pull->asked = pull->have;
        return;
    }
    if (pull && waits_behind(pull, host, copy)) return;
    if (pull) {
        pull->follows = false;
        pull_done(self, at);
        at = find(self, vat); /* the end of the list */
    }
    *at = pull_new(host, vat, copy);
}

void checkpoints_host_gone(checkpoints_t *self, uint32_t host)
{
    for (pull_t *pull = self->pulls; pull; pull = pull->next)
        if (pull->host == host) pull->host = 0;
}

void checkpoints_discard(checkpoints_t *self, vat_t vat, const copy_t *copy)
{
    char name[NAME_ROOM];
    begun_t **at = find_begun(self, vat);
    if (*at && same_copy(&(*at)->copy, copy)) begun_free(at);
    file_name(vat, copy, "", name);
    FAILPOINT(broker_copy_discards);
    if (unlinkat(self->fd, name, 0) != 0 && errno != ENOENT)
        log_warn("checkpoint_delete", kv_str("file", name), kv_str("why", strerror(errno)));
}

static void pull_over(pull_t *pull, err_t err)
{
    pull->over = true;
    pull->err = err;
}

static void pull_fails(pull_t *pull)
{
    log_warn("checkpoint_write", kv_num("vat", pull->vat.n), kv_str("why", strerror(errno)));
    pull_over(pull,
              errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERR_STORE_FULL : ERR_STORE);
}

static bool write_all(int fd, const uint8_t *at, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* All of it came: checks it, and gives it its name. */
static void complete(checkpoints_t *self, pull_t *pull)
{
    char part[NAME_ROOM], name[NAME_ROOM];
    if (!hash_same(hasher_end(&pull->hasher), pull->copy.hash)) {
        log_warn("checkpoint_broken", kv_num("vat", pull->vat.n), kv_num("delivery", pull->copy.d));
        pull_over(pull, ERR_CHECKPOINT_BROKEN);
        return;
    }
    file_name(pull->vat, &pull->copy, ".part", part);
    file_name(pull->vat, &pull->copy, "", name);
    FAILPOINT(broker_copy_whole);
    if (fsync(pull->fd) != 0 || renameat(self->fd, part, self->fd, name) != 0 ||
        fsync(self->fd) != 0) {
        pull_fails(pull);
        return;
    }
    FAILPOINT(broker_copy_named);
    close(pull->fd);
    pull->fd = -1;
    pull_over(pull, ERR_OK);
}

static bool pull_open(checkpoints_t *self, pull_t *pull)
{
    char part[NAME_ROOM];
    file_name(pull->vat, &pull->copy, ".part", part);
    pull->fd = openat(self->fd, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (pull->fd < 0) pull_fails(pull);
    pull->hasher = hasher_new();
    return pull->fd >= 0;
}

void checkpoints_part(checkpoints_t *self, uint32_t host, const msg_checkpoint_part_t *part)
{
    pull_t **at = find(self, part->vat), *pull = *at;
    if (!pull || pull->over || pull->host != host) return;
    if (part->pgen != pull->copy.pgen || part->d != pull->copy.d) return;
    if (part->total == 0) { /* it has a newer one, which it says itself */
        pull_done(self, at);
        return;
    }
    if (part->offset != pull->have || pull->have >= pull->asked) return; /* asked for twice */
    if (part->total != pull->copy.bytes || !part->data.len ||
        part->data.len > pull->copy.bytes - pull->have) {
        pull_over(pull, ERR_CHECKPOINT_BROKEN);
        return;
    }
    if (pull->fd < 0 && !pull_open(self, pull)) return;
    if (!write_all(pull->fd, part->data.at, part->data.len)) {
        pull_fails(pull);
        return;
    }
    FAILPOINT(broker_copy_piece);
    hasher_add(pull->hasher, part->data);
    pull->have += part->data.len;
    pull->moved_ms = self->port.now_ms(self->port.self);
    if (pull->have == pull->copy.bytes) complete(self, pull);
}

/* Its host is there, and has not given a piece for long that it was asked for. */
static bool stands_still(const pull_t *pull, uint64_t now_ms)
{
    return pull->asked > pull->have && now_ms - pull->moved_ms > STILL_MS;
}

/* As many pieces ahead as it may. */
static bool ask(checkpoints_t *self, pull_t *pull, uint64_t now_ms)
{
    const uint64_t ahead = (uint64_t)CHECKPOINT_PARTS_ASKED_MAX * BUNDLE_PART_BYTES_MAX;
    bool any = false;
    if (pull->asked == pull->have) pull->moved_ms = now_ms;
    while (pull->asked < pull->copy.bytes && pull->asked - pull->have < ahead) {
        msg_checkpoint_get_t get = {pull->vat, pull->copy.pgen, pull->copy.d, pull->asked};
        self->port.ask(self->port.self, pull->host, &get);
        pull->asked += BUNDLE_PART_BYTES_MAX;
        any = true;
    }
    return any;
}

bool checkpoints_turn(checkpoints_t *self)
{
    bool any = false;
    unsigned active = 0;
    uint64_t now_ms = self->port.now_ms(self->port.self);
    for (pull_t **at = &self->pulls; *at;) {
        pull_t *pull = *at;
        if (pull->host && !pull->over && stands_still(pull, now_ms)) {
            log_warn("checkpoint_still", kv_num("vat", pull->vat.n), kv_num("host", pull->host));
            pull_over(pull, ERR_TIMED_OUT);
        }
        if (pull->over) {
            self->port.told(self->port.self, pull->vat, &pull->copy, pull->err);
            at = pull_done(self, at);
            any = true;
            continue;
        }
        if (pull->host && active < CHECKPOINTS_PULLED_MAX) {
            active++;
            any = ask(self, pull, now_ms) || any;
        }
        at = &pull->next;
    }
    return any;
}

bool checkpoints_due(const checkpoints_t *self)
{
    unsigned active = 0;
    for (const pull_t *pull = self->pulls; pull; pull = pull->next) {
        if (pull->over) return true;
        if (!pull->host) continue;
        if (active++ < CHECKPOINTS_PULLED_MAX && pull->asked == pull->have) return true;
    }
    return false;
}

/* ---- what is here ---- */

static int open_copy(const checkpoints_t *self, vat_t vat, const copy_t *copy)
{
    char name[NAME_ROOM];
    file_name(vat, copy, "", name);
    return openat(self->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

size_t checkpoints_read(const checkpoints_t *self, vat_t vat, const copy_t *copy, uint64_t offset,
                        uint8_t *buf, size_t room)
{
    if (offset >= copy->bytes) return 0;
    if (room > copy->bytes - offset) room = (size_t)(copy->bytes - offset);
    int fd = open_copy(self, vat, copy);
    ssize_t n = fd >= 0 ? pread(fd, buf, room, (off_t)offset) : -1;
    if (n < 0) log_warn("checkpoint_read", kv_num("vat", vat.n), kv_str("why", strerror(errno)));
    if (fd >= 0) close(fd);
    return n > 0 ? (size_t)n : 0;
}

static err_t write_error(void)
{
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERR_STORE_FULL : ERR_STORE;
}

static err_t copy_bytes(int from, int to)
{
    uint8_t *buf = malloc(COPY_BYTES);
    must(buf);
    ssize_t n;
    bool ok = true;
    while (ok && (n = read(from, buf, COPY_BYTES)) != 0)
        ok = n > 0 && write_all(to, buf, (size_t)n);
    ok = ok && fsync(to) == 0;
    err_t err = ok ? ERR_OK : write_error();
    free(buf);
    return err;
}

err_t checkpoints_link(const checkpoints_t *self, vat_t vat, const copy_t *copy, const char *dir)
{
    char name[NAME_ROOM], path[PATH_MAX + NAME_ROOM];
    file_name(vat, copy, "", name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (linkat(self->fd, name, AT_FDCWD, path, 0) == 0) return ERR_OK;
    int from = open_copy(self, vat, copy);
    int to = from >= 0 ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    err_t err = to >= 0 ? copy_bytes(from, to) : write_error();
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    return err;
}
