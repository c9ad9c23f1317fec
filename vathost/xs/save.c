/* The engine as bytes: what save() gives and load() takes. A header, and behind it, compressed by zstd
 * against the golden snapshot that the vat began from, the bundle that a start is to evaluate and XS's
 * snapshot of the machine.
 *
 *   S1  XS believes every byte of a snapshot. So the hash covers all that stands behind it, and is checked
 *       before anybody reads on;
 *   S2  a hash does not tell whose bytes they are: the header names the build and the golden snapshot;
 *   S3  what limits are measured from is in the bytes; limits themselves are those of the engine that loads. */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "vathost/xs/machine.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"
#include "xs_build.h"

/* Level 3 makes the smallest, and with the golden snapshot it is nearly as fast as level 1 without. */
enum { ZSTD_LEVEL = 3, WINDOW_LOG_MIN = 20, WINDOW_LOG_MAX = 27 };

static const char magic[8] = "vyheap2";

/* In the order of the machine's bytes, which the build id names. */
typedef struct {
    char magic[sizeof magic];
    hash_t hash; /* of all that follows, header and contents */
    char build[sizeof XS_BUILD];
    uint64_t bytes; /* of the whole */
    uint64_t golden_kind;
    hash_t golden;
    uint64_t space_base, used_base; /* what the heap's limits are measured from */
    uint64_t bundle_len;            /* the text that a start is to evaluate; 0: there was a start */
    uint64_t heap_len;
} head_t;

static bin_t hashed(bin_t saved)
{
    size_t skipped = offsetof(head_t, hash) + sizeof(hash_t);
    return (bin_t){saved.at + skipped, saved.len - skipped};
}

/* ---- saving ---- */

/* A window that reaches from the last byte back to the golden snapshot's first. */
static int window_log(size_t bytes)
{
    int log = WINDOW_LOG_MIN;
    while (log < WINDOW_LOG_MAX && ((size_t)1 << log) < bytes) log++;
    return log;
}

static err_t compress(buf_t *ret, const golden_t *golden, bin_t plain)
{
    size_t room = ZSTD_compressBound(plain.len);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    uint8_t *at = malloc(room);
    err_t err = ERR_PROCESS_FAILED;
    if (!zstd || !at) goto done;
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, window_log(golden->len + plain.len));
    ZSTD_CCtx_refPrefix(zstd, golden->at, golden->len);
    size_t len = ZSTD_compress2(zstd, at, room, plain.at, plain.len);
    if (!ZSTD_isError(len)) err = buf_add(ret, at, len);
done:
    free(at);
    ZSTD_freeCCtx(zstd);
    return err;
}

static head_t head_of(const xs_engine_t *self, size_t heap_len, size_t bytes)
{
    head_t head;
    memset(&head, 0, sizeof head); /* the gaps between the members are hashed, too */
    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.build, XS_BUILD, sizeof XS_BUILD);
    head.bytes = bytes;
    head.golden_kind = self->golden.kind;
    head.golden = self->golden.hash;
    head.space_base = self->space_base;
    head.used_base = self->used_base;
    head.bundle_len = self->bundle_len;
    head.heap_len = heap_len;
    return head;
}

err_t xs_save(xs_engine_t *self, buf_t *ret)
{
    if (!self->machine || self->machine->abortStatus) return ERR_PROCESS_FAILED;
    size_t start = ret->len;
    head_t head = {0};
    bytes_t plain = {0};
    err_t err = bytes_add(&plain, self->bundle, self->bundle_len);
    if (!err) err = machine_write(self->machine, &plain);
    if (!err) err = buf_add(ret, &head, sizeof head);
    if (!err) err = compress(ret, &self->golden, (bin_t){plain.at, plain.len});
    if (!err) {
        bin_t saved = {ret->at + start, ret->len - start};
        head = head_of(self, plain.len - self->bundle_len, saved.len);
        memcpy(ret->at + start, &head, sizeof head);
        head.hash = hash_of(hashed(saved));
        memcpy(ret->at + start, &head, sizeof head);
    } else {
        ret->len = start;
        err = ERR_PROCESS_FAILED;
    }
    free(plain.at);
    return err;
}

/* ---- loading ---- */

/* Sets *RET when SAVED is whole, and of this build. */
static bool read_head(bin_t saved, head_t *ret)
{
    if (saved.len < sizeof *ret) return false;
    memcpy(ret, saved.at, sizeof *ret);
    if (memcmp(ret->magic, magic, sizeof magic) || ret->bytes != saved.len) return false;
    if (!hash_same(ret->hash, hash_of(hashed(saved)))) return false;
    if (memcmp(ret->build, XS_BUILD, sizeof XS_BUILD)) return false;
    return ret->bundle_len <= BUNDLE_BYTES_MAX && ret->heap_len <= SNAPSHOT_BYTES_MAX;
}

/* The bytes that HEAD speaks of, in LEN bytes that the caller frees; NULL when there are none. */
static uint8_t *decompress(const golden_t *golden, bin_t packed, size_t len)
{
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    uint8_t *at = malloc(len);
    must(zstd && at);
    ZSTD_DCtx_refPrefix(zstd, golden->at, golden->len);
    if (ZSTD_decompressDCtx(zstd, at, len, packed.at, packed.len) != len) {
        free(at);
        at = NULL;
    }
    ZSTD_freeDCtx(zstd);
    return at;
}

static void take_bundle(xs_engine_t *self, bin_t text)
{
    free(self->bundle);
    self->bundle = NULL;
    self->bundle_len = text.len;
    if (!text.len) return;
    self->bundle = malloc(text.len + 1);
    must(self->bundle);
    memcpy(self->bundle, text.at, text.len);
    self->bundle[text.len] = '\0';
}

err_t xs_load(xs_engine_t *self, bin_t saved)
{
    head_t head;
    if (!read_head(saved, &head) || head.golden_kind > XS_ZIP ||
        golden_take(&self->golden, self->share, (xs_golden_t)head.golden_kind) ||
        !hash_same(self->golden.hash, head.golden))
        return ERR_SNAPSHOT_UNREADABLE;
    size_t len = head.bundle_len + head.heap_len;
    bin_t packed = {saved.at + sizeof head, saved.len - sizeof head};
    uint8_t *plain = decompress(&self->golden, packed, len);
    if (!plain) return ERR_SNAPSHOT_UNREADABLE;

    if (self->machine) xsDeleteMachine(self->machine); /* the next one takes its room */
    self->machine = NULL;
    err_t err = machine_read((bin_t){plain + head.bundle_len, head.heap_len}, &self->machine);
    if (!err) {
        take_bundle(self, (bin_t){plain, head.bundle_len});
        self->space_base = head.space_base;
        self->used_base = head.used_base;
    }
    free(plain);
    return err;
}
