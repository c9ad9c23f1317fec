/* The engine port: deliveries other than messages, garbage, bundles. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/native/null_own.h"
#include "wire/base/must.h"

/* ---- bundles ---- */

enum { NATIVE_BYTES_MAX = 1024 };

/* The engine that the native bundle in file PATH names, in ENGINE; false when it is none. */
static bool bundle_read(const char *path, buf_t *engine)
{
    char text[1 + NATIVE_BYTES_MAX + 1] = "#";
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    size_t len = 1 + fread(text + 1, 1, NATIVE_BYTES_MAX + 1, file);
    fclose(file);
    if (len > 1 + NATIVE_BYTES_MAX) return false;
    /* JSON without any of smallcaps' prefixes is a body. */
    const capdata_t data = {{(const uint8_t *)text, len}, {NULL, 0}};
    if (smallcaps_check(&data, SHAPE_ANY)) return false;
    node_t root = node_root(&data);
    if (!node_is(node_member(root, "moduleFormat"), "native")) return false;
    if (node_text(node_member(root, "engine"), engine)) buf_reset(engine);
    return true;
}

bool native_bundle(const char *path)
{
    buf_t engine = buf_of(NATIVE_BYTES_MAX);
    bool is = bundle_read(path, &engine);
    buf_clear(&engine);
    return is;
}

/* Takes the bundle in file PATH for the next start, which says what is wrong with it. */
static void take_bundle(null_engine_t *self, const char *path)
{
    buf_t engine = buf_of(NATIVE_BYTES_MAX);

    *self->refusal = '\0';
    if (!bundle_read(path, &engine)) {
        snprintf(self->refusal, sizeof self->refusal,
                 "a native vat goes on with a native bundle only");
    } else if (engine.len != 4 || memcmp(engine.at, "null", 4) != 0) {
        snprintf(self->refusal, sizeof self->refusal,
                 "no native engine \"%.*s\"; there is \"null\"",
                 engine.len < NAME_BYTES_MAX ? (int)engine.len : NAME_BYTES_MAX, (char *)engine.at);
    }
    buf_clear(&engine);
}

/* ---- life ---- */

static void forget(null_engine_t *self)
{
    drive_t *drive;

    for (size_t i = 0; i < self->drives.room; i++) {
        if ((drive = map_cell(&self->drives, i))) drive_free(drive);
    }
    map_clear(&self->drives);
    map_clear(&self->awaited);
    map_clear(&self->imports);
    map_clear(&self->told);
    map_clear(&self->kept);
    map_clear(&self->dropped);
    self->started = false;
    self->objects = self->promises = self->drives_made = self->hits = 0;
}

static err_t engine_renew(engine_t *port, const char *path)
{
    null_engine_t *self = (null_engine_t *)port;
    FILE *file = fopen(path, "rb");
    if (!file) return ERR_FILE_MISSING;
    fclose(file);
    forget(self);
    take_bundle(self, path);
    return ERR_OK;
}

static err_t engine_save(engine_t *port, buf_t *ret)
{
    return null_save((null_engine_t *)port, ret);
}

static err_t engine_load(engine_t *port, bin_t saved)
{
    null_engine_t *self = (null_engine_t *)port;
    forget(self);
    err_t err = null_load(self, saved);
    if (err) forget(self);
    return err;
}

static void engine_free(engine_t **self_p)
{
    null_engine_t *self = (null_engine_t *)*self_p;
    *self_p = NULL;
    forget(self);
    buf_clear(&self->out);
    free(self);
}

/* ---- deliveries ---- */

static void start(null_engine_t *self, const vdelivery_t *delivery, engine_report_t *ret)
{
    if (*self->refusal) {
        ret->outcome = ERR_BUNDLE_FORMAT;
        memcpy(ret->reason, self->refusal, sizeof self->refusal);
        return;
    }
    self->started = true;
    null_arrive(self, delivery->data.slots, NULL);
}

static void notify(null_engine_t *self, const vresolutions_t *resolutions)
{
    map_t settled = {0};

    for (size_t i = 0; i < resolutions->count; i++)
        names_add(&settled, name_of(resolutions->at[i].promise));
    for (size_t i = 0; i < resolutions->count; i++)
        null_arrive(self, resolutions->at[i].data.slots, &settled);
    map_clear(&settled);
    for (size_t i = 0; i < resolutions->count; i++) {
        name_t promise = name_of(resolutions->at[i].promise);
        names_drop(&self->told, promise);
        drive_t *drive = map_remove(&self->awaited, promise.n);
        if (drive) drive_answered(self, drive, resolutions->at[i].rejected);
    }
}

/* Everything that drives and hold() need. */
static map_t in_use(const null_engine_t *self)
{
    map_t used = {0};
    const drive_t *drive;

    for (size_t i = 0; i < self->kept.room; i++) {
        if (map_cell(&self->kept, i)) names_add(&used, (name_t){map_key(&self->kept, i)});
    }
    for (size_t i = 0; i < self->drives.room; i++) {
        if (!(drive = map_cell(&self->drives, i))) continue;
        for (size_t j = 0; j < drive->targets.count; j++) names_add(&used, drive->targets.at[j]);
        for (size_t j = 0; j < drive->slots.count; j++) names_add(&used, drive->slots.at[j]);
    }
    return used;
}

/* Takes out of SET what is not in USE; the caller frees the list. */
static list_t take_unused(map_t *set, const map_t *use)
{
    list_t list = {NULL, 0};
    size_t count;
    uint64_t *keys = map_sorted(set, &count);

    for (size_t i = 0; i < count; i++) {
        if (names_has(use, (name_t){keys[i]})) continue;
        list_add(&list, (name_t){keys[i]});
        names_drop(set, (name_t){keys[i]});
    }
    free(keys);
    return list;
}

static void reap(null_engine_t *self)
{
    map_t use = in_use(self);
    list_t imports = take_unused(&self->imports, &use);
    list_t exports = take_unused(&self->dropped, &use);

    null_refs(self, TAG_drop_imports, &imports);
    null_refs(self, TAG_retire_exports, &exports);
    null_refs(self, TAG_retire_imports, &imports);
    free(imports.at);
    free(exports.at);
    map_clear(&use);
}

/* Others let go of exports, or those who made them of imports. */
static void refs(null_engine_t *self, const vdelivery_t *delivery)
{
    for (size_t i = 0; i < delivery->refs.count; i++) {
        name_t name = name_of(delivery->refs.at[i]);
        if (delivery->tag == TAG_deliver_drop_exports) {
            if (name.n != name_object(0).n) names_add(&self->dropped, name);
        } else {
            names_drop(&self->dropped, name);
            names_drop(&self->imports, name);
            names_drop(&self->kept, name);
        }
    }
}

static uint64_t heap_size(const null_engine_t *self)
{
    enum { ENTRY_BYTES = 32 };
    uint64_t size = (self->imports.count + self->told.count + self->kept.count +
                     self->dropped.count + self->awaited.count) *
                    ENTRY_BYTES;
    const drive_t *drive;

    for (size_t i = 0; i < self->drives.room; i++) {
        if (!(drive = map_cell(&self->drives, i))) continue;
        size += sizeof *drive + drive->body.len + (drive->targets.count + drive->slots.count) * 8;
    }
    return size;
}

/* A replay has been through it, and garbage collection may make room. */
static void check_end(const null_engine_t *self, const vdelivery_t *delivery, bool is_replay,
                      engine_report_t *ret)
{
    bool is_work = delivery->tag == TAG_deliver_message || delivery->tag == TAG_deliver_notify ||
                   delivery->tag == TAG_deliver_start;

    ret->computrons = 1 + self->calls;
    if (self->failed) {
        ret->outcome = ERR_VAT_FAILED;
        snprintf(ret->reason, sizeof ret->reason, "a syscall was refused");
    } else if (self->heap_bytes && is_work && !is_replay && heap_size(self) > self->heap_bytes) {
        ret->outcome = ERR_VAT_LIMIT_HEAP;
        ret->dead = true;
        snprintf(ret->reason, sizeof ret->reason, "%s (limit %" PRIu64 " bytes)",
                 err_text(ERR_VAT_LIMIT_HEAP), self->heap_bytes);
    }
}

static void engine_run(engine_t *port, const vdelivery_t *delivery, const engine_host_t *host,
                       bool metered_only, engine_report_t *ret)
{
    null_engine_t *self = (null_engine_t *)port;

    *ret = (engine_report_t){0};
    self->host = host;
    self->failed = ERR_OK;
    self->calls = 0;
    self->bytes = 0;
    if (!self->started && delivery->tag != TAG_deliver_start) {
        ret->outcome = ERR_VAT_FAILED;
        snprintf(ret->reason, sizeof ret->reason, "the vat was not started");
        return;
    }
    switch (delivery->tag) {
    case TAG_deliver_start: start(self, delivery, ret); break;
    case TAG_deliver_message: null_message(self, delivery); break;
    case TAG_deliver_notify: notify(self, &delivery->resolutions); break;
    case TAG_deliver_reap: reap(self); break;
    default: refs(self, delivery);
    }
    if (!ret->outcome) check_end(self, delivery, metered_only, ret);
    self->host = NULL;
}

engine_t *native_engine_new(const char *path, uint64_t heap_bytes)
{
    null_engine_t *self = calloc(1, sizeof *self);
    must(self);
    self->port = (engine_t){engine_run, engine_renew, engine_save, engine_load, engine_free};
    self->heap_bytes = heap_bytes;
    self->out = buf_of(CAPDATA_BYTES_MAX);
    take_bundle(self, path);
    return &self->port;
}
