#include "vathost/io/bundles.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/failpoint.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

enum { HASH_BYTES = crypto_hash_sha512_BYTES, NAME_BYTES = 3 + 2 * HASH_BYTES };

/* A bundle that is coming, or one whose file was checked since we started. */
typedef struct bundle bundle_t;
struct bundle {
    bundle_t *next;
    char name[NAME_BYTES + 1];
    bool checked;
    buf_t come;
};

struct bundles {
    char dir[PATH_BYTES_MAX];
    bundle_t *all;
};

err_t bundles_new(const char *dir, bundles_t **ret)
{
    if (sodium_init() < 0) return ERR_INTERNAL;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) return ERR_STORE;

    bundles_t *self = calloc(1, sizeof *self);
    must(self);
    snprintf(self->dir, sizeof self->dir, "%s", dir);
    *ret = self;
    return ERR_OK;
}

void bundles_destroy(bundles_t **self_p)
{
    must(self_p);
    bundles_t *self = *self_p;
    if (!self) return;

    for (bundle_t *bundle = self->all, *next; bundle; bundle = next) {
        next = bundle->next;
        buf_clear(&bundle->come);
        free(bundle);
    }
    free(self);
    *self_p = NULL;
}

bool bundles_name(text_t text)
{
    if (text.len != NAME_BYTES || memcmp(text.at, "b1-", 3) != 0) return false;
    for (size_t i = 3; i < text.len; i++) {
        char c = text.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    return true;
}

static bundle_t *find(const bundles_t *self, const char *name)
{
    bundle_t *bundle = self->all;
    while (bundle && strcmp(bundle->name, name) != 0) bundle = bundle->next;
    return bundle;
}

static bundle_t *find_or_make(bundles_t *self, const char *name)
{
    bundle_t *bundle = find(self, name);
    if (bundle) return bundle;

    bundle = calloc(1, sizeof *bundle);
    must(bundle && strlen(name) == NAME_BYTES);
    memcpy(bundle->name, name, NAME_BYTES);
    bundle->come = buf_of(BUNDLE_BYTES_MAX);
    bundle->next = self->all;
    self->all = bundle;
    return bundle;
}

static bool hash_matches(const char *name, const uint8_t hash[HASH_BYTES])
{
    char hex[2 * HASH_BYTES + 1];
    sodium_bin2hex(hex, sizeof hex, hash, HASH_BYTES);
    return strcmp(name + 3, hex) == 0;
}

static bool file_matches(const char *path, const char *name)
{
    crypto_hash_sha512_state state;
    uint8_t hash[HASH_BYTES], piece[16 * 1024];
    ssize_t got;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    crypto_hash_sha512_init(&state);
    while ((got = read(fd, piece, sizeof piece)) > 0) {
        crypto_hash_sha512_update(&state, piece, (unsigned long long)got);
    }
    close(fd);
    crypto_hash_sha512_final(&state, hash);
    return got == 0 && hash_matches(name, hash);
}

bool bundles_find(bundles_t *self, const char *name, char *ret_path, size_t room)
{
    snprintf(ret_path, room, "%s/%s", self->dir, name);
    bundle_t *bundle = find(self, name);
    if (bundle && bundle->checked) return access(ret_path, R_OK) == 0;

    if (!file_matches(ret_path, name)) return false;
    find_or_make(self, name)->checked = true;
    return true;
}

uint64_t bundles_offset(const bundles_t *self, const char *name)
{
    const bundle_t *bundle = find(self, name);
    return bundle ? bundle->come.len : 0;
}

static bool save(bundles_t *self, const bundle_t *bundle)
{
    char path[PATH_BYTES_MAX + NAME_BYTES + 2], fresh[sizeof path + 8];
    const uint8_t *at = bundle->come.at;
    size_t left = bundle->come.len;

    snprintf(path, sizeof path, "%s/%s", self->dir, bundle->name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    while (left > 0) {
        ssize_t wrote = write(fd, at, left);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) break;
        at += wrote;
        left -= (size_t)wrote;
    }
    bool ok = close(fd) == 0 && left == 0;
    FAILPOINT(vathost_bundle_written);
    ok = ok && rename(fresh, path) == 0;
    FAILPOINT(vathost_bundle_named);
    if (!ok) unlink(fresh);
    return ok;
}

bundles_state_t bundles_add(bundles_t *self, const char *name, uint64_t offset, uint64_t total,
                            bin_t piece)
{
    bundle_t *bundle = find_or_make(self, name);
    uint8_t hash[HASH_BYTES];

    if (offset != bundle->come.len || total > BUNDLE_BYTES_MAX || piece.len == 0 ||
        piece.len > total - offset || buf_add(&bundle->come, piece.at, piece.len)) {
        buf_clear(&bundle->come);
        return BUNDLES_WRONG;
    }
    if (bundle->come.len < total) return BUNDLES_MORE;
    FAILPOINT(vathost_bundle_whole);

    crypto_hash_sha512(hash, bundle->come.at, bundle->come.len);
    bundle->checked = hash_matches(name, hash) && save(self, bundle);
    buf_clear(&bundle->come);
    return bundle->checked ? BUNDLES_DONE : BUNDLES_WRONG;
}
