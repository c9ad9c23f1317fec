#include "tests/sim/model.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_own.h"
#include "wire/base/must.h"

void model_fail(const model_t *self, const char *rule, const char *format, ...)
{
    char text[256], where[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(where, sizeof where, "v%u/%u: %s", self->config.vat, self->crank, text);
    self->config.fail(self->config.context, rule, where);
}

/* A syscall. Refused ones end what the vat may do; an honest vat's are never refused. */
void model_call(model_t *self, const vcall_t *call)
{
    if (self->over) return;
    err_t err = self->host->call(self->host->self, call);
    if (!err) return;
    self->over = true;
    if (self->naughty != self->crank)
        model_fail(self, "V1", "%s of an honest vat is refused: %s", vcall_find(call->tag)->name,
                   err_name(err));
}

void model_own_name(name_t name, const own_t *own)
{
    snprintf(name, NAME_MAX, own->durable ? "o+d1/%u" : "o+%u", own->n);
}

own_t *model_own(model_t *self, uint32_t n)
{
    for (unsigned i = 0; i < self->own_count; i++)
        if (self->own[i].n == n) return &self->own[i];
    return NULL;
}

import_t *model_import(model_t *self, uint32_t n)
{
    for (unsigned i = 0; i < self->import_count; i++)
        if (self->imports[i].n == n) return &self->imports[i];
    return NULL;
}

vpromise_t *model_promise(model_t *self, char sign, uint32_t n)
{
    for (unsigned i = 0; i < self->promise_count; i++)
        if (self->promises[i].n == n && self->promises[i].sign == sign) return &self->promises[i];
    return NULL;
}

vpromise_t *model_wait(model_t *self, char sign, uint32_t n, bool decided)
{
    must(self->promise_count < PROMISES_MAX);
    self->promises[self->promise_count] = (vpromise_t){.sign = sign, .n = n, .decided = decided};
    return &self->promises[self->promise_count++];
}

void model_forget(model_t *self, const vpromise_t *promise)
{
    self->promises[promise - self->promises] = self->promises[--self->promise_count];
}

/* ---- references that come in ---- */

typedef struct {
    char kind, sign;
    uint32_t n;
} ref_t;

static ref_t ref_of(const model_t *self, vref_t vref)
{
    char text[NAME_MAX];
    snprintf(text, sizeof text, "%.*s", (int)vref.s.len, vref.s.at);
    const char *digits = strncmp(text, "o+d1/", 5) == 0 ? text + 5 : text + 2;
    ref_t ref = {text[0], text[1], (uint32_t)strtoul(digits, NULL, 10)};
    bool good = (ref.kind == 'o' || ref.kind == 'p') && (ref.sign == '+' || ref.sign == '-');
    if (!good) model_fail(self, "E0", "%s is no vref", text);
    return ref;
}

/* "I don't remember allocating": what comes home was exported, and is still held for the kernel. */
static own_t *come_home(model_t *self, uint32_t n)
{
    own_t *own = model_own(self, n);
    if (!own || !own->exported) model_fail(self, "E1", "I don't remember allocating o+%u", n);
    return own;
}

static void see_object(model_t *self, ref_t ref, ask_kind_t kind, chance_t *chance, bool keep)
{
    if (ref.sign == '+') {
        own_t *own = come_home(self, ref.n);
        if (!self->quiet && (keep || once_in(chance, 3))) own->rooted = true;
        return;
    }
    import_t *import = model_import(self, ref.n);
    if (!import) {
        must(self->import_count < IMPORTS_MAX);
        if (ref.n <= self->last_import)
            model_fail(self, "E10", "o-%u is used a second time", ref.n);
        self->last_import = ref.n;
        import = &self->imports[self->import_count++];
        *import = (import_t){.n = ref.n};
    }
    import->reached = true;
    if (kind) import->kind = kind;
    if (self->quiet) return;
    if (keep || roll(chance, 4)) import->held = true;
    if (once_in(chance, 3)) import->weak = true;
}

static void see_promise(model_t *self, ref_t ref)
{
    if (model_promise(self, ref.sign, ref.n)) return;
    if (ref.sign == '+')
        model_fail(self, "E2", "p+%u comes home under a name that was forgotten", ref.n);
    model_wait(self, ref.sign, ref.n, false);
    name_t name;
    snprintf(name, sizeof name, "p%c%u", ref.sign, ref.n);
    vcall_t call = {.tag = TAG_subscribe};
    call.body.subscribe.promise = (vref_t){text_of(name)};
    model_call(self, &call);
}

static void see_one(model_t *self, const vcapdata_t *data, size_t slot, chance_t *chance, bool keep)
{
    ref_t ref = ref_of(self, data->slots.at[slot]);
    if (ref.kind == 'o')
        see_object(self, ref, model_kind(data, slot), chance, keep);
    else
        see_promise(self, ref);
}

static void see(model_t *self, const vcapdata_t *data, chance_t *chance, bool keep)
{
    for (size_t i = 0; i < data->slots.count; i++) see_one(self, data, i, chance, keep);
}

static bool method_is(const vdelivery_t *delivery, const char *method)
{
    char start[32];
    size_t len = (size_t)snprintf(start, sizeof start, "#[\"%s\",", method);
    return delivery->data.body.len >= len && memcmp(delivery->data.body.at, start, len) == 0;
}

static void let_go(model_t *self)
{
    self->quiet = true;
    for (unsigned i = 0; i < self->own_count; i++) self->own[i].rooted = self->own[i].n == 0;
    for (unsigned i = 0; i < self->import_count; i++)
        self->imports[i].held = self->imports[i].weak = false;
}

/* What repeats goes on when its handler answers, and ends when that fails: none repeats for ever. */
static void on_wake(model_t *self, const vpromise_t *result, chance_t *chance)
{
    unsigned n = roll(chance, 4);
    if (self->quiet || n < 3) model_settle(self, result, self->quiet || n == 0);
}

static void on_message(model_t *self, const vdelivery_t *delivery, chance_t *chance)
{
    ref_t target = ref_of(self, delivery->target);
    if (target.kind != 'o' || target.sign != '+')
        model_fail(self, "E3", "a message to something that it does not export");
    come_home(self, target.n);
    if (method_is(delivery, "release")) let_go(self);
    if (method_is(delivery, "kick")) self->budget += self->config.budget;
    see(self, &delivery->data, chance, method_is(delivery, "bootstrap"));
    if (!delivery->result.s.len) return;

    ref_t result = ref_of(self, delivery->result);
    vpromise_t *known = model_promise(self, result.sign, result.n);
    if (!known && result.sign == '+') model_fail(self, "E2", "result p+%u was forgotten", result.n);
    if (known && known->decided)
        model_fail(self, "E4", "result p%c%u is decided already", result.sign, result.n);
    bool waited = known != NULL;
    if (!known) known = model_wait(self, result.sign, result.n, true);
    known->waited = waited;
    known->decided = true;
    known->plain = method_is(delivery, "bootstrap");
    if (method_is(delivery, "wake")) on_wake(self, known, chance);
}

static bool in_batch(const model_t *self, const vresolutions_t *batch, ref_t ref)
{
    for (size_t i = 0; i < batch->count; i++) {
        ref_t one = ref_of(self, batch->at[i].promise);
        if (one.n == ref.n && one.sign == ref.sign) return true;
    }
    return false;
}

static void on_notify(model_t *self, const vresolutions_t *batch, chance_t *chance)
{
    if (!batch->count) model_fail(self, "E5", "a notify of nothing");
    for (size_t i = 0; i < batch->count; i++) {
        ref_t ref = ref_of(self, batch->at[i].promise);
        vpromise_t *known = model_promise(self, ref.sign, ref.n);
        if (known && known->decided)
            model_fail(self, "E4", "p%c%u is told to its own decider", ref.sign, ref.n);
        if (known) model_forget(self, known);
    }
    for (size_t i = 0; i < batch->count; i++) {
        const vrefs_t *slots = &batch->at[i].data.slots;
        for (size_t j = 0; j < slots->count; j++) {
            ref_t ref = ref_of(self, slots->at[j]);
            if (ref.kind == 'p' && in_batch(self, batch, ref)) continue;
            see_one(self, &batch->at[i].data, j, chance, false);
        }
    }
}

/* ---- garbage collection ---- */

static void on_drop_exports(model_t *self, const vrefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        ref_t ref = ref_of(self, refs->at[i]);
        own_t *own = ref.sign == '+' ? model_own(self, ref.n) : NULL;
        if (!own || !own->exported)
            model_fail(self, "E6", "dropExports of o%c%u, not exported", ref.sign, ref.n);
        if (own->n == 0 && !self->config.dynamic) model_fail(self, "E6", "the root is dropped");
        own->exported = false;
    }
}

static void on_retire_exports(model_t *self, const vrefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        ref_t ref = ref_of(self, refs->at[i]);
        own_t *own = ref.sign == '+' ? model_own(self, ref.n) : NULL;
        if (!own || own->exported || !own->known)
            model_fail(self, "E7", "retireExports of o%c%u, which was not dropped", ref.sign,
                       ref.n);
        own->known = false;
    }
}

static void on_retire_imports(model_t *self, const vrefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        ref_t ref = ref_of(self, refs->at[i]);
        import_t *import = ref.sign == '-' ? model_import(self, ref.n) : NULL;
        if (!import || import->reached)
            model_fail(self, "E8", "retireImports of o%c%u, which it %s", ref.sign, ref.n,
                       import ? "reaches" : "does not know");
        *import = self->imports[--self->import_count];
    }
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

void model_gc_call(model_t *self, msg_tag_t tag, const name_t *names, unsigned count)
{
    if (!count) return;
    vref_t refs[IMPORTS_MAX];
    for (unsigned i = 0; i < count; i++) refs[i] = (vref_t){text_of(names[i])};
    vcall_t call = {.tag = tag};
    call.body.drop_imports.refs = (vrefs_t){refs, count}; /* all lists lie alike */
    model_call(self, &call);
}

static void reap_imports(model_t *self)
{
    name_t drops[IMPORTS_MAX], retires[IMPORTS_MAX];
    unsigned drop = 0, retire = 0;
    for (unsigned i = 0; i < self->import_count;) {
        import_t *import = &self->imports[i];
        if (!import->held && import->reached) {
            import->reached = false;
            snprintf(drops[drop++], NAME_MAX, "o-%u", import->n);
        }
        if (import->reached || import->weak) {
            i++;
            continue;
        }
        snprintf(retires[retire++], NAME_MAX, "o-%u", import->n);
        *import = self->imports[--self->import_count];
    }
    if (drop) qsort(drops, drop, sizeof(name_t), by_text);
    if (retire) qsort(retires, retire, sizeof(name_t), by_text);
    model_gc_call(self, TAG_drop_imports, drops, drop);
    model_gc_call(self, TAG_retire_imports, retires, retire);
}

static void reap_exports(model_t *self)
{
    name_t retires[IMPORTS_MAX];
    unsigned retire = 0;
    for (unsigned i = 0; i < self->own_count;) {
        own_t *own = &self->own[i];
        if (own->rooted || own->exported) {
            i++;
            continue;
        }
        if (own->known) model_own_name(retires[retire++], own);
        *own = self->own[--self->own_count];
    }
    if (retire) qsort(retires, retire, sizeof(name_t), by_text);
    model_gc_call(self, TAG_retire_exports, retires, retire);
}

/* ---- one crank ---- */

static void check_store(model_t *self)
{
    for (unsigned i = 0; i < CELLS; i++) {
        char key[16], want[24];
        text_t value;
        bool found;
        snprintf(key, sizeof key, "k%u", i);
        if (self->over || self->host->store_get(self->host->self, text_of(key), &value, &found))
            return;
        int len = snprintf(want, sizeof want, "%llx", (unsigned long long)self->cells[i]);
        bool same =
            found == self->cell_set[i] &&
            (!found || (value.len == (size_t)len && memcmp(value.at, want, value.len) == 0));
        if (!same) model_fail(self, "V4", "the vat store does not say what was written to %s", key);
    }
}

static void fail_to_start(model_t *self)
{
    self->report->outcome = ERR_BUNDLE_BROKEN;
    self->report->dead = true;
    snprintf(self->report->reason, sizeof self->report->reason, "the code is no code");
    self->over = true;
}

/* Half of it has happened, and counts for nothing: the engine is of no more use. */
static void meets_limit(model_t *self, chance_t *chance)
{
    static const err_t limits[] = {ERR_VAT_LIMIT_COMPUTE, ERR_VAT_LIMIT_HEAP, ERR_VAT_LIMIT_STACK};
    self->report->outcome = limits[roll(chance, 3)];
    self->report->dead = true;
    snprintf(self->report->reason, sizeof self->report->reason, "too much");
    self->over = true;
}

static void run(engine_t *port, const vdelivery_t *delivery, const engine_host_t *host,
                bool metered_only, engine_report_t *ret)
{
    model_t *self = (model_t *)port;
    (void)metered_only;
    *ret = (engine_report_t){.computrons = 1};
    self->host = host;
    self->report = ret;
    self->over = false;
    self->crank++;
    if (delivery->stamp_ms < self->stamp_ms) model_fail(self, "T1", "time goes back");
    self->stamp_ms = delivery->stamp_ms;
    chance_t chance = chance_of(self->config.seed, 'v', self->config.vat, self->crank, UINT64_MAX);

    switch (delivery->tag) {
    case TAG_deliver_start:
        if (self->started) model_fail(self, "E9", "started twice");
        self->started = true;
        if (!model_own(self, 0))
            self->own[self->own_count++] = (own_t){.rooted = true, .exported = true, .known = true};
        check_store(self);
        if (self->config.broken)
            fail_to_start(self);
        else
            see(self, &delivery->data, &chance, true);
        return;
    case TAG_deliver_message: on_message(self, delivery, &chance); break;
    case TAG_deliver_notify: on_notify(self, &delivery->resolutions, &chance); break;
    case TAG_deliver_drop_exports: on_drop_exports(self, &delivery->refs); return;
    case TAG_deliver_retire_exports: on_retire_exports(self, &delivery->refs); return;
    case TAG_deliver_retire_imports: on_retire_imports(self, &delivery->refs); return;
    case TAG_deliver_reap:
        reap_imports(self);
        reap_exports(self);
        return;
    default: model_fail(self, "E0", "an unknown delivery");
    }
    check_store(self);
    if (self->quiet)
        model_resolve_all(self);
    else
        model_act(self, &chance);
    chance_t own = chance_of(self->config.seed, 'l', self->config.vat, self->crank, UINT64_MAX);
    if (self->config.limits && !self->quiet && !self->over && once_in(&own, 200))
        meets_limit(self, &own);
}

/* The next incarnation: what its durable state holds is there again, its ephemeral objects and the
 * promises that it decided are not. It remembers whom it waits for, as a vat with watchPromise does. Reap
 * and start are one crank. */
static err_t renew(engine_t *port, const char *bundle)
{
    model_t *self = (model_t *)port;
    if (strcmp(bundle, "b1-broken") == 0) return ERR_BUNDLE_BROKEN;
    for (unsigned i = 0; i < self->own_count;) {
        if (self->own[i].durable || self->own[i].n == 0)
            i++;
        else
            self->own[i] = self->own[--self->own_count];
    }
    for (unsigned i = 0; i < self->promise_count;) {
        vpromise_t *promise = &self->promises[i];
        if (promise->decided && !promise->waited) {
            *promise = self->promises[--self->promise_count];
            continue;
        }
        promise->decided = false; /* it is told like others who wait for it */
        i++;
    }
    self->started = false;
    self->crank--;
    return ERR_OK;
}

void model_skipped(engine_t *port) { ((model_t *)port)->crank++; }

/* ---- the heap as bytes ---- */

static const char saved_head[] = "model heap 1";

/* The vat's memory stands in one piece. */
enum { MEMORY_FROM = offsetof(model_t, crank), MEMORY_TO = offsetof(model_t, host) };

static err_t save(engine_t *port, buf_t *ret)
{
    const model_t *self = (const model_t *)port;
    size_t before = ret->len;

    if (!buf_add(ret, saved_head, sizeof saved_head) &&
        !buf_add(ret, (const char *)self + MEMORY_FROM, MEMORY_TO - MEMORY_FROM))
        return ERR_OK;
    ret->len = before;
    return ERR_PROCESS_FAILED;
}

static err_t load(engine_t *port, bin_t saved)
{
    model_t *self = (model_t *)port;
    size_t size = MEMORY_TO - MEMORY_FROM;

    if (saved.len != sizeof saved_head + size ||
        memcmp(saved.at, saved_head, sizeof saved_head) != 0) {
        memset((char *)self + MEMORY_FROM, 0, size);
        self->budget = self->config.budget;
        return ERR_SNAPSHOT_UNREADABLE;
    }
    memcpy((char *)self + MEMORY_FROM, saved.at + sizeof saved_head, size);
    return ERR_OK;
}

static void destroy(engine_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

engine_t *model_new(const model_config_t *config)
{
    model_t *self = calloc(1, sizeof *self);
    must(self);
    self->port = (engine_t){run, renew, save, load, destroy};
    self->config = *config;
    self->budget = config->budget;
    return &self->port;
}

unsigned model_naughty(const engine_t *engine) { return ((const model_t *)engine)->naughty; }
