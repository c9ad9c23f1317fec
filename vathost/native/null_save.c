/* The engine as bytes: a mark with the form's number, a hash of all that follows, and the members in
 * their order, numbers with eight bytes, sets in ascending order. Equal engines have equal bytes.
 *
 * Whatever changes what a delivery does here changes the number: a log that ran with another one must
 * not be gone on with. */
#include <stdlib.h>
#include <string.h>

#include "vathost/native/null_own.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

static const char magic[8] = "vynull1";

enum { HEAD_BYTES = sizeof magic + sizeof(hash_t) };

/* ---- writing: the first failure stays ---- */

typedef struct {
    buf_t *to;
    err_t err;
} writer_t;

static void put_bytes(writer_t *out, const void *at, size_t len)
{
    if (!out->err && len) out->err = buf_add(out->to, at, len);
}

static void put(writer_t *out, uint64_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < 8; i++) bytes[i] = (uint8_t)(n >> (56 - 8 * i));
    put_bytes(out, bytes, sizeof bytes);
}

static void put_list(writer_t *out, const list_t *list)
{
    put(out, list->count);
    for (size_t i = 0; i < list->count; i++) put(out, list->at[i].n);
}

static void put_set(writer_t *out, const map_t *set)
{
    size_t count;
    uint64_t *keys = map_sorted(set, &count);
    put(out, count);
    for (size_t i = 0; i < count; i++) put(out, keys[i]);
    free(keys);
}

static void put_drive(writer_t *out, const drive_t *drive)
{
    put(out, drive->id);
    put(out, drive->result.n);
    put(out, drive->kind);
    put(out, drive->n);
    put(out, drive->sent);
    put(out, drive->answered);
    put(out, drive->rejected);
    put(out, drive->waiting);
    put(out, drive->window);
    put_list(out, &drive->targets);
    put_list(out, &drive->slots);
    put(out, drive->body.len);
    put_bytes(out, drive->body.at, drive->body.len);
}

static void put_drives(writer_t *out, const null_engine_t *self)
{
    size_t count;
    uint64_t *keys = map_sorted(&self->drives, &count);
    put(out, count);
    for (size_t i = 0; i < count; i++) put_drive(out, map_get(&self->drives, keys[i]));
    free(keys);
    keys = map_sorted(&self->awaited, &count);
    put(out, count);
    for (size_t i = 0; i < count; i++) {
        const drive_t *drive = map_get(&self->awaited, keys[i]);
        put(out, keys[i]);
        put(out, drive->id);
    }
    free(keys);
}

err_t null_save(const null_engine_t *self, buf_t *ret)
{
    uint8_t head[HEAD_BYTES] = {0};
    size_t before = ret->len;
    writer_t out = {ret, ERR_OK};

    put_bytes(&out, head, sizeof head);
    put(&out, self->started);
    put(&out, self->objects);
    put(&out, self->promises);
    put(&out, self->drives_made);
    put(&out, self->hits);
    put_set(&out, &self->imports);
    put_set(&out, &self->told);
    put_set(&out, &self->kept);
    put_set(&out, &self->dropped);
    put_drives(&out, self);
    if (out.err) {
        ret->len = before;
        return ERR_PROCESS_FAILED;
    }
    uint8_t *at = ret->at + before;
    hash_t hash = hash_of((bin_t){at + HEAD_BYTES, ret->len - before - HEAD_BYTES});
    memcpy(at, magic, sizeof magic);
    memcpy(at + sizeof magic, &hash, sizeof hash);
    return ERR_OK;
}

/* ---- reading: the hash vouches for the bytes, these for themselves ---- */

typedef struct {
    const uint8_t *at, *end;
    bool broken;
} reader_t;

static uint64_t get(reader_t *in)
{
    uint64_t n = 0;
    in->broken = in->broken || in->end - in->at < 8;
    if (in->broken) return 0;
    for (size_t i = 0; i < 8; i++) n = n << 8 | *in->at++;
    return n;
}

/* How many things of at least EACH bytes follow. */
static size_t get_count(reader_t *in, size_t each)
{
    uint64_t n = get(in);
    in->broken = in->broken || n > (size_t)(in->end - in->at) / each;
    return in->broken ? 0 : (size_t)n;
}

static void get_list(reader_t *in, list_t *list)
{
    size_t count = get_count(in, 8);
    for (size_t i = 0; i < count; i++) list_add(list, (name_t){get(in)});
}

static void get_set(reader_t *in, map_t *set)
{
    size_t count = get_count(in, 8);
    for (size_t i = 0; i < count; i++) names_add(set, (name_t){get(in)});
}

static void get_drive(reader_t *in, null_engine_t *self)
{
    drive_t *drive = calloc(1, sizeof *drive);
    must(drive);
    drive->id = get(in);
    drive->result.n = get(in);
    uint64_t kind = get(in);
    in->broken = in->broken || kind > DRIVE_CHAIN || map_get(&self->drives, drive->id);
    drive->kind = (drive_kind_t)kind;
    drive->n = get(in);
    drive->sent = get(in);
    drive->answered = get(in);
    drive->rejected = get(in);
    drive->waiting = get(in);
    drive->window = get(in);
    get_list(in, &drive->targets);
    get_list(in, &drive->slots);
    drive->body = buf_of(CAPDATA_BYTES_MAX);
    size_t len = get_count(in, 1);
    in->broken = in->broken || !drive->targets.count || buf_add(&drive->body, in->at, len);
    if (in->broken) {
        drive_free(drive);
        return;
    }
    in->at += len;
    map_put(&self->drives, drive->id, drive);
}

static void get_drives(reader_t *in, null_engine_t *self)
{
    size_t count = get_count(in, 8);
    for (size_t i = 0; i < count && !in->broken; i++) get_drive(in, self);
    count = get_count(in, 16);
    for (size_t i = 0; i < count && !in->broken; i++) {
        uint64_t promise = get(in);
        drive_t *drive = map_get(&self->drives, get(in));
        in->broken = !drive;
        if (drive) map_put(&self->awaited, promise, drive);
    }
}

err_t null_load(null_engine_t *self, bin_t saved)
{
    hash_t hash;

    if (saved.len < HEAD_BYTES || memcmp(saved.at, magic, sizeof magic))
        return ERR_SNAPSHOT_UNREADABLE;
    memcpy(&hash, saved.at + sizeof magic, sizeof hash);
    reader_t in = {saved.at + HEAD_BYTES, saved.at + saved.len, false};
    if (!hash_same(hash, hash_of((bin_t){in.at, (size_t)(in.end - in.at)})))
        return ERR_SNAPSHOT_UNREADABLE;
    self->started = get(&in);
    self->objects = get(&in);
    self->promises = get(&in);
    self->drives_made = get(&in);
    self->hits = get(&in);
    get_set(&in, &self->imports);
    get_set(&in, &self->told);
    get_set(&in, &self->kept);
    get_set(&in, &self->dropped);
    get_drives(&in, self);
    return in.broken || in.at != in.end ? ERR_SNAPSHOT_UNREADABLE : ERR_OK;
}
