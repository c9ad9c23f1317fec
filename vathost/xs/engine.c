/* The engine port on XS. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/xs/machine.h"
#include "vathost/xs/platform.h"
#include "wire/base/must.h"
#include "xs_build.h"

const char *xs_engine_build(void) { return XS_BUILD; }

/* ---- bundles ---- */

/* bundle-source writes moduleFormat first, esbuild's bundles are ours, and base64 has no quotes: the
 * word is near the start or, with the keys sorted by somebody, behind the contents. */
err_t xs_golden_for(const char *bundle_path, xs_golden_t *ret)
{
    FILE *file = fopen(bundle_path, "rb");
    if (!file) return ERR_FILE_MISSING;
    char head[256];
    size_t len = fread(head, 1, sizeof head - 1, file);
    fclose(file);
    head[len] = '\0';
    *ret = strstr(head, "\"endoZipBase64\"") ? XS_ZIP : XS_LEAN;
    return ERR_OK;
}

/* ---- the port ---- */

/* What a heap takes while a crank runs depends on when garbage is collected: that limit is wide, and wider in a
 * replay, which must not fail what did not fail before. What it may have when the crank is over, and garbage is
 * gone, is crank.c's to check. */
enum { CRANK_HEAP_TIMES = 2, REPLAY_HEAP_TIMES = 3 };

static void limit_heap(const xs_engine_t *self)
{
    uint64_t times = self->is_replay ? REPLAY_HEAP_TIMES : CRANK_HEAP_TIMES;
    if (!self->heap_bytes) return;
    platform_limit_space(self->machine, self->space_base + self->heap_bytes * times);
}

static void engine_run(engine_t *port, const vdelivery_t *delivery, const engine_host_t *host,
                       bool metered_only, engine_report_t *ret)
{
    xs_engine_t *self = (xs_engine_t *)port;
    *ret = (engine_report_t){.outcome = ERR_VAT_FAILED, .dead = true};
    if (!self->machine || self->machine->abortStatus) {
        snprintf(ret->reason, sizeof ret->reason, "the machine was stopped in an earlier crank");
        return;
    }
    ret->dead = false;
    self->has_run = true;
    self->host = host;
    self->delivery = delivery;
    self->chance = 0;
    self->failed = ERR_OK;
    self->meter_off = 0;
    self->meter_max = self->computrons;
    self->is_replay = metered_only;
    limit_heap(self);
    bool timed = !metered_only && self->wall_ms > 0;
    bool reap = delivery->tag == TAG_deliver_reap;
    if (timed) clock_start(reap ? self->wall_ms * WALL_REAP_TIMES : self->wall_ms);
    crank_run(self, delivery, ret);
    if (timed) clock_stop();
    self->host = NULL;
    self->delivery = NULL;
    if (delivery->tag == TAG_deliver_start) {
        free(self->bundle);
        self->bundle = NULL;
        self->bundle_len = 0;
    }
}

/* The bundle in file PATH, which the vat's next start evaluates. PATH may be the one there is. */
static err_t take_bundle(xs_engine_t *self, const char *path)
{
    char *copy = strdup(path);
    must(copy);
    free(self->bundle_path);
    self->bundle_path = copy;
    free(self->bundle);
    self->bundle = NULL;
    self->bundle_len = 0;
    return file_read(copy, BUNDLE_BYTES_MAX, &self->bundle, &self->bundle_len);
}

/* What its limits are measured from, when the machine is new. */
static void measure(xs_engine_t *self)
{
    self->space_base = platform_space(self->machine);
    self->used_base = platform_used(self->machine);
}

static err_t engine_renew(engine_t *port, const char *path)
{
    xs_engine_t *self = (xs_engine_t *)port;
    xs_golden_t kind;

    if (self->machine) xsDeleteMachine(self->machine); /* the next one takes its room */
    self->machine = NULL;
    err_t err = take_bundle(self, path);
    if (!err) err = xs_golden_for(self->bundle_path, &kind);
    if (err) return err;
    if (golden_take(&self->golden, self->share, kind) ||
        machine_read(golden_bytes(&self->golden), &self->machine))
        return ERR_PROCESS_FAILED;
    measure(self);
    self->has_run = false;
    xsSetContext(self->machine, self);
    return ERR_OK;
}

static err_t engine_save(engine_t *port, buf_t *ret) { return xs_save((xs_engine_t *)port, ret); }

static err_t engine_load(engine_t *port, bin_t saved)
{
    xs_engine_t *self = (xs_engine_t *)port;
    err_t err = xs_load(self, saved);
    if (!err) {
        self->has_run = true;
        xsSetContext(self->machine, self);
    } else if (self->has_run || !self->machine) {
        if (engine_renew(port, self->bundle_path)) err = ERR_PROCESS_FAILED;
    }
    return err;
}

static void engine_free(engine_t **self_p)
{
    xs_engine_t *self = (xs_engine_t *)*self_p;
    *self_p = NULL;
    if (self->machine) xsDeleteMachine(self->machine);
    arena_clear(&self->arena);
    golden_clear(&self->golden);
    free(self->bundle);
    free(self->bundle_path);
    free(self->share);
    free(self);
}

/* Large buffers, as a bundle's start and each save need them, go back to the system when they are freed. Left to
 * itself malloc learns to keep them: 3 MB in each worker after a save, 5 after a load. */
enum { MALLOC_KEEPS_BYTES = 256 << 10 };

err_t xs_engine_new(const char *golden_path, engine_t **ret)
{
    xsMachine *machine;
    golden_t golden;
    mallopt(M_MMAP_THRESHOLD, MALLOC_KEEPS_BYTES);
    err_t err = golden_read(golden_path, &golden);
    if (err) return err;
    if (machine_read(golden_bytes(&golden), &machine)) {
        golden_clear(&golden);
        return ERR_BUNDLE_BROKEN;
    }
    xs_engine_t *self = calloc(1, sizeof *self);
    must(self);
    self->port = (engine_t){engine_run, engine_renew, engine_save, engine_load, engine_free};
    self->machine = machine;
    self->golden = golden;
    const char *slash = strrchr(golden_path, '/');
    self->share = slash ? strndup(golden_path, (size_t)(slash - golden_path)) : strdup(".");
    must(self->share);
    measure(self);
    xsSetContext(machine, self);
    *ret = &self->port;
    return ERR_OK;
}

err_t xs_engine_open(engine_t *engine, const xs_options_t *options)
{
    xs_engine_t *self = (xs_engine_t *)engine;
    must(!self->bundle);
    err_t err = take_bundle(self, options->bundle);
    if (err) return err;
    snprintf(self->vat_id, sizeof self->vat_id, "v%u", options->vat.n);
    self->globals = options->globals ? options->globals : "";
    self->computrons = options->computrons;
    self->wall_ms = options->wall_ms;
    self->heap_bytes = options->heap_bytes;
    return ERR_OK;
}
