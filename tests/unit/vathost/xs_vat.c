#include "tests/unit/vathost/xs_vat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

enum { REFS_MAX_HERE = 64 };

typedef struct {
    char *key, *value;
} pair_t;

typedef struct {
    char *at;
    size_t len;
    FILE *file;
} page_t;

struct xs_vat {
    engine_t *engine;
    engine_host_t host;
    engine_report_t report;
    pair_t *pairs; /* by key */
    size_t pair_count;
    page_t calls, store, console;
    char *taken[3];
    bool refuses, is_replay;
    msg_tag_t refused;
    unsigned asked;
    uint64_t stamp_ms;
    uint8_t seed;
};

/* ---- pages ---- */

static void page_open(page_t *page)
{
    page->file = open_memstream(&page->at, &page->len);
    must(page->file);
}

static const char *page_take(page_t *page, char **taken)
{
    fclose(page->file);
    free(*taken);
    *taken = page->at;
    page_open(page);
    return *taken;
}

static void put_refs(FILE *file, vrefs_t refs)
{
    fputc('{', file);
    for (size_t i = 0; i < refs.count; i++)
        fprintf(file, "%s%.*s", i ? "," : "", (int)refs.at[i].s.len, refs.at[i].s.at);
    fputc('}', file);
}

static void put_data(FILE *file, vcapdata_t data)
{
    fprintf(file, "%.*s ", (int)data.body.len, (const char *)data.body.at);
    put_refs(file, data.slots);
}

/* ---- the host ---- */

static bool is_refused(xs_vat_t *self, msg_tag_t tag)
{
    self->asked++;
    return self->refuses && self->refused == tag;
}

static err_t on_call(void *context, const vcall_t *call)
{
    xs_vat_t *self = context;
    FILE *file = self->calls.file;
    const vcall_body_t *body = &call->body;
    if (is_refused(self, call->tag)) return ERR_NOT_HELD;
    fprintf(file, "%s ", vcall_find(call->tag)->name);
    switch (call->tag) {
    case TAG_send:
        fprintf(file, "%.*s ", (int)body->send.target.s.len, body->send.target.s.at);
        put_data(file, body->send.methargs);
        if (body->send.result.s.len)
            fprintf(file, " %.*s", (int)body->send.result.s.len, body->send.result.s.at);
        break;
    case TAG_subscribe:
        fprintf(file, "%.*s", (int)body->subscribe.promise.s.len, body->subscribe.promise.s.at);
        break;
    case TAG_resolve:
        for (size_t i = 0; i < body->resolve.resolutions.count; i++) {
            const vresolution_t *it = &body->resolve.resolutions.at[i];
            fprintf(file, "%s%.*s %s ", i ? "; " : "", (int)it->promise.s.len, it->promise.s.at,
                    it->rejected ? "rejected" : "fulfilled");
            put_data(file, it->data);
        }
        break;
    case TAG_exit:
        fprintf(file, "%s ", body->exit.failure ? "failure" : "success");
        put_data(file, body->exit.info);
        break;
    case TAG_drop_imports: put_refs(file, body->drop_imports.refs); break;
    case TAG_retire_imports: put_refs(file, body->retire_imports.refs); break;
    case TAG_retire_exports: put_refs(file, body->retire_exports.refs); break;
    default: put_refs(file, body->abandon_exports.refs);
    }
    fputc('\n', file);
    return ERR_OK;
}

/* Position of the first key that is not less than KEY. */
static size_t place_of(const xs_vat_t *self, const char *key)
{
    size_t i = 0;
    while (i < self->pair_count && strcmp(self->pairs[i].key, key) < 0) i++;
    return i;
}

static bool is_at(const xs_vat_t *self, size_t i, const char *key)
{
    return i < self->pair_count && strcmp(self->pairs[i].key, key) == 0;
}

static err_t on_get(void *context, text_t key, text_t *ret, bool *ret_found)
{
    xs_vat_t *self = context;
    if (is_refused(self, 0)) return ERR_STORE;
    char *name = strndup(key.at, key.len);
    size_t i = place_of(self, name);
    *ret_found = is_at(self, i, name);
    if (*ret_found) *ret = text_of(self->pairs[i].value);
    fprintf(self->store.file, "get %s -> %s\n", name, *ret_found ? self->pairs[i].value : "-");
    free(name);
    return ERR_OK;
}

static err_t on_next(void *context, text_t prior, text_t *ret, bool *ret_found)
{
    xs_vat_t *self = context;
    if (is_refused(self, 0)) return ERR_STORE;
    char *name = strndup(prior.at, prior.len);
    size_t i = place_of(self, name);
    if (is_at(self, i, name)) i++;
    *ret_found = i < self->pair_count;
    if (*ret_found) *ret = text_of(self->pairs[i].key);
    fprintf(self->store.file, "next %s -> %s\n", name, *ret_found ? self->pairs[i].key : "-");
    free(name);
    return ERR_OK;
}

static err_t on_set(void *context, text_t key, text_t value)
{
    xs_vat_t *self = context;
    if (is_refused(self, 0)) return ERR_STORE;
    char *name = strndup(key.at, key.len);
    size_t i = place_of(self, name);
    if (is_at(self, i, name)) {
        free(self->pairs[i].value);
    } else {
        self->pairs = realloc(self->pairs, (self->pair_count + 1) * sizeof *self->pairs);
        memmove(self->pairs + i + 1, self->pairs + i,
                (self->pair_count++ - i) * sizeof *self->pairs);
        self->pairs[i].key = strdup(name);
    }
    self->pairs[i].value = strndup(value.at, value.len);
    fprintf(self->store.file, "set %s=%s\n", name, self->pairs[i].value);
    free(name);
    return ERR_OK;
}

static err_t on_delete(void *context, text_t key)
{
    xs_vat_t *self = context;
    if (is_refused(self, 0)) return ERR_STORE;
    char *name = strndup(key.at, key.len);
    size_t i = place_of(self, name);
    if (is_at(self, i, name)) {
        free(self->pairs[i].key);
        free(self->pairs[i].value);
        memmove(self->pairs + i, self->pairs + i + 1,
                (--self->pair_count - i) * sizeof *self->pairs);
    }
    fprintf(self->store.file, "delete %s\n", name);
    free(name);
    return ERR_OK;
}

static void on_console(void *context, unsigned level, text_t source, text_t text)
{
    static const char *const levels[] = {"debug", "log", "info", "warn", "error"};
    xs_vat_t *self = context;
    must(level < 5);
    fprintf(self->console.file, "%s %.*s| %.*s\n", levels[level], (int)source.len, source.at,
            (int)text.len, text.at);
}

/* ---- life ---- */

enum { PATH_HERE = 512 };

static void find_bundle(const char *name, char path[PATH_HERE])
{
    snprintf(path, PATH_HERE, "%s%s%s", *name == '/' ? "" : XS_TEST_BUNDLES,
             *name == '/' ? "" : "/", name);
}

xs_vat_t *xs_vat_new(const char *name, xs_options_t limits)
{
    char path[PATH_HERE], golden[PATH_HERE];
    xs_golden_t kind;
    find_bundle(name, path);
    must(!xs_golden_for(path, &kind));
    snprintf(golden, sizeof golden, "%s/%s.xss", XS_TEST_SHARE, kind == XS_ZIP ? "zip" : "lean");

    xs_vat_t *self = calloc(1, sizeof *self);
    must(!xs_engine_new(golden, &self->engine));
    limits.vat = (vat_t){1};
    limits.name = "test";
    limits.bundle = path;
    must(!xs_engine_open(self->engine, &limits));
    self->host = (engine_host_t){.self = self,
                                 .call = on_call,
                                 .store_get = on_get,
                                 .store_next = on_next,
                                 .store_set = on_set,
                                 .store_delete = on_delete,
                                 .console = on_console};
    page_open(&self->calls);
    page_open(&self->store);
    page_open(&self->console);
    return self;
}

void xs_vat_destroy(xs_vat_t **self_p)
{
    xs_vat_t *self = *self_p;
    if (!self) return;
    *self_p = NULL;
    engine_destroy(&self->engine);
    page_t *pages[] = {&self->calls, &self->store, &self->console};
    for (int i = 0; i < 3; i++) {
        fclose(pages[i]->file);
        free(pages[i]->at);
        free(self->taken[i]);
    }
    for (size_t i = 0; i < self->pair_count; i++) {
        free(self->pairs[i].key);
        free(self->pairs[i].value);
    }
    free(self->pairs);
    free(self);
}

err_t xs_vat_renew(xs_vat_t *self, const char *name)
{
    char path[PATH_HERE];
    find_bundle(name, path);
    return self->engine->renew(self->engine, path);
}

engine_t *xs_vat_engine(xs_vat_t *self) { return self->engine; }

/* ---- deliveries ---- */

static const engine_report_t *run(xs_vat_t *self, const vdelivery_t *given)
{
    vdelivery_t delivery = *given;
    delivery.stamp_ms = self->stamp_ms;
    delivery.seed = (id128_t){{self->seed}};
    self->engine->run(self->engine, &delivery, &self->host, self->is_replay, &self->report);
    return &self->report;
}

/* "o-50,p-60" */
static vrefs_t refs_of(const char *text, vref_t refs[REFS_MAX_HERE])
{
    size_t count = 0;
    while (text && *text) {
        size_t len = strcspn(text, ",");
        must(count < REFS_MAX_HERE);
        refs[count++] = (vref_t){{text, len}};
        text += len + (text[len] == ',');
    }
    return (vrefs_t){refs, count};
}

static vcapdata_t data_of(const char *body, const char *slots, vref_t refs[REFS_MAX_HERE])
{
    return (vcapdata_t){{(const uint8_t *)body, strlen(body)}, refs_of(slots, refs)};
}

static vref_t ref_of(const char *text) { return (vref_t){text_of(text ? text : "")}; }

const engine_report_t *xs_vat_start(xs_vat_t *self, const char *body)
{
    return xs_vat_start_with(self, body, NULL);
}

const engine_report_t *xs_vat_start_with(xs_vat_t *self, const char *body, const char *slots)
{
    vref_t refs[REFS_MAX_HERE];
    return run(self, &(vdelivery_t){.tag = TAG_deliver_start, .data = data_of(body, slots, refs)});
}

const engine_report_t *xs_vat_message(xs_vat_t *self, const char *target, const char *body,
                                      const char *slots, const char *result)
{
    vref_t refs[REFS_MAX_HERE];
    return run(self, &(vdelivery_t){.tag = TAG_deliver_message,
                                    .target = ref_of(target),
                                    .data = data_of(body, slots, refs),
                                    .result = ref_of(result)});
}

const engine_report_t *xs_vat_call(xs_vat_t *self, const char *methargs)
{
    return xs_vat_message(self, "o+0", methargs, NULL, NULL);
}

const engine_report_t *xs_vat_notify(xs_vat_t *self, const char *promise, bool rejected,
                                     const char *body, const char *slots)
{
    vref_t refs[REFS_MAX_HERE];
    vresolution_t one = {ref_of(promise), rejected, data_of(body, slots, refs)};
    return run(self, &(vdelivery_t){.tag = TAG_deliver_notify, .resolutions = {&one, 1}});
}

const engine_report_t *xs_vat_refs(xs_vat_t *self, msg_tag_t tag, const char *text)
{
    vref_t refs[REFS_MAX_HERE];
    return run(self, &(vdelivery_t){.tag = tag, .refs = refs_of(text, refs)});
}

const engine_report_t *xs_vat_reap(xs_vat_t *self)
{
    return run(self, &(vdelivery_t){.tag = TAG_deliver_reap});
}

const char *xs_vat_calls(xs_vat_t *self) { return page_take(&self->calls, &self->taken[0]); }
const char *xs_vat_store(xs_vat_t *self) { return page_take(&self->store, &self->taken[1]); }
const char *xs_vat_console(xs_vat_t *self) { return page_take(&self->console, &self->taken[2]); }

const char *xs_vat_get(xs_vat_t *self, const char *key)
{
    size_t i = place_of(self, key);
    return is_at(self, i, key) ? self->pairs[i].value : NULL;
}

void xs_vat_refuse(xs_vat_t *self, msg_tag_t tag)
{
    self->refuses = true;
    self->refused = tag;
}

unsigned xs_vat_asked(const xs_vat_t *self) { return self->asked; }
void xs_vat_replay(xs_vat_t *self, bool is_replay) { self->is_replay = is_replay; }

void xs_vat_time(xs_vat_t *self, uint64_t stamp_ms, uint8_t seed)
{
    self->stamp_ms = stamp_ms;
    self->seed = seed;
}
