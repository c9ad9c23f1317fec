/* Files that the engine reads whole, outside cranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/xs/machine.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

err_t file_read(const char *path, size_t max, char **ret, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    if (!file) return ERR_FILE_MISSING;
    err_t err = ERR_FILE_MISSING;
    char *at = NULL;
    if (fseek(file, 0, SEEK_END)) goto done;
    long size = ftell(file);
    if (size < 0) goto done;
    if ((size_t)size > max) {
        err = ERR_BUNDLE_BROKEN;
        goto done;
    }
    rewind(file);
    at = malloc((size_t)size + 1);
    must(at);
    if (fread(at, 1, (size_t)size, file) != (size_t)size) goto done;
    at[size] = '\0';
    *ret = at;
    *ret_len = (size_t)size;
    at = NULL;
    err = ERR_OK;
done:
    free(at);
    fclose(file);
    return err;
}

/* ---- golden snapshots ---- */

enum { GOLDEN_BYTES_MAX = 64 << 20 };

const char *xs_golden_file(xs_golden_t kind) { return kind == XS_ZIP ? "zip.xss" : "lean.xss"; }

static xs_golden_t kind_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, xs_golden_file(XS_ZIP)) ? XS_LEAN : XS_ZIP;
}

err_t golden_read(const char *path, golden_t *ret)
{
    golden_t golden = {.kind = kind_of(path)};
    err_t err = file_read(path, GOLDEN_BYTES_MAX, &golden.at, &golden.len);
    if (err) return err;
    golden.hash = hash_of(golden_bytes(&golden));
    *ret = golden;
    return ERR_OK;
}

err_t golden_take(golden_t *self, const char *share, xs_golden_t kind)
{
    if (self->at && self->kind == kind) return ERR_OK;
    char path[PATH_BYTES_MAX + 16];
    golden_t other;
    snprintf(path, sizeof path, "%s/%s", share, xs_golden_file(kind));
    err_t err = golden_read(path, &other);
    if (err) return err;
    golden_clear(self);
    *self = other;
    return ERR_OK;
}

void golden_clear(golden_t *self)
{
    free(self->at);
    *self = (golden_t){0};
}
