/* The engine as bytes: what save() gives and load() takes.
 *
 *   S1  the hash covers everything behind it and is checked before anybody reads on: XS believes its
 *       snapshots blindly;
 *   S2  the header names the build, because a hash does not tell whose the bytes are;
 *   S3  limits are of the engine that loads; where they are measured from is in the bytes. */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "vathost/xs/machine.h"
#include "vathost/xs/platform.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"
#include "xs_build.h"

enum { ZSTD_LEVEL = 1, SNAPSHOT_BYTES_MAX = 1 << 30 };

static const char magic[8] = "vyheap1";

/* At the start of the bytes, in the order of the machine, which the build id names. */
typedef struct {
    char magic[sizeof magic];
    hash_t hash; /* of all that follows */
    char build[sizeof XS_BUILD];
    uint64_t space_base; /* the space that the vat's limit is measured from */
    uint64_t bundle_len; /* the text that a start is to evaluate; 0: there was one */
    uint64_t heap_len;
} head_t;

static bin_t hashed(bin_t saved)
{
    size_t skipped = offsetof(head_t, hash) + sizeof(hash_t);
    return (bin_t){saved.at + skipped, saved.len - skipped};
}

static err_t compress(buf_t *ret, bin_t plain)
{
    size_t room = ZSTD_compressBound(plain.len);
    uint8_t *at = malloc(room);
    if (!at) return ERR_PROCESS_FAILED;
    size_t len = ZSTD_compress(at, room, plain.at, plain.len, ZSTD_LEVEL);
    err_t err = ZSTD_isError(len) ? ERR_PROCESS_FAILED : buf_add(ret, at, len);
    free(at);
    return err;
}

err_t xs_save(xs_engine_t *self, buf_t *ret)
{
    size_t start = ret->len;
    buf_t heap = buf_of(SNAPSHOT_BYTES_MAX), plain = buf_of(SNAPSHOT_BYTES_MAX);
    if (!self->machine || self->machine->abortStatus) return ERR_PROCESS_FAILED;

    err_t err = machine_write(self->machine, &heap);
    head_t head = {
        .space_base = self->space_base, .bundle_len = self->bundle_len, .heap_len = heap.len};
    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.build, XS_BUILD, sizeof XS_BUILD);
    if (!err) err = buf_add(&plain, self->bundle, self->bundle_len);
    if (!err) err = buf_add(&plain, heap.at, heap.len);
    if (!err) err = buf_add(ret, &head, sizeof head);
    if (!err) err = compress(ret, (bin_t){plain.at, plain.len});
    if (!err) {
        hash_t hash = hash_of(hashed((bin_t){ret->at + start, ret->len - start}));
        memcpy(ret->at + start + offsetof(head_t, hash), &hash, sizeof hash);
    } else {
        ret->len = start;
        err = ERR_PROCESS_FAILED;
    }
    buf_clear(&heap);
    buf_clear(&plain);
    return err;
}

/* Sets *RET when SAVED is whole, and ours. */
static bool read_head(bin_t saved, head_t *ret)
{
    if (saved.len < sizeof *ret) return false;
    memcpy(ret, saved.at, sizeof *ret);
    if (memcmp(ret->magic, magic, sizeof magic)) return false;
    if (!hash_same(ret->hash, hash_of(hashed(saved)))) return false;
    return memcmp(ret->build, XS_BUILD, sizeof XS_BUILD) == 0;
}

err_t xs_load(xs_engine_t *self, bin_t saved)
{
    head_t head;
    if (!read_head(saved, &head)) return ERR_SNAPSHOT_UNREADABLE;
    size_t len = head.bundle_len + head.heap_len;
    uint8_t *plain = malloc(len);
    must(plain);
    size_t got = ZSTD_decompress(plain, len, saved.at + sizeof head, saved.len - sizeof head);
    err_t err = got == len ? ERR_OK : ERR_SNAPSHOT_UNREADABLE;
    if (err) goto done;

    if (self->machine) xsDeleteMachine(self->machine);
    self->machine = NULL;
    err = machine_read((bin_t){plain + head.bundle_len, head.heap_len}, &self->machine);
    if (err) goto done;
    free(self->bundle);
    self->bundle = NULL;
    self->bundle_len = head.bundle_len;
    if (head.bundle_len) {
        self->bundle = malloc(head.bundle_len + 1);
        must(self->bundle);
        memcpy(self->bundle, plain, head.bundle_len);
        self->bundle[head.bundle_len] = '\0';
    }
    self->space_base = head.space_base;
done:
    free(plain);
    return err;
}
