#define _GNU_SOURCE /* asprintf */
#include "tests/support/script_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

enum { SLOTS_TOP = 16, BATCH_TOP = 16 };

typedef struct {
    engine_t port;
    script_t *script;
    void *context;
    const script_file_t *files;
    void *heap;
    size_t heap_len;
    char **heard;
    size_t count;
} script_engine_t;

typedef struct {
    vref_t at[SLOTS_TOP];
    size_t count;
} list_t;

/* Cuts at spaces; borrows from TEXT. */
static list_t cut(const char *text)
{
    list_t list = {.count = 0};
    while (*text) {
        size_t len = strcspn(text, " ");
        must(list.count < SLOTS_TOP);
        if (len) list.at[list.count++] = (vref_t){{text, len}};
        text += len;
        if (*text) text++;
    }
    return list;
}

static vcapdata_t capdata(const char *body, const list_t *slots)
{
    return (vcapdata_t){{(const uint8_t *)body, strlen(body)}, {slots->at, slots->count}};
}

static void say_capdata(FILE *out, const vcapdata_t *data)
{
    fprintf(out, "%.*s {", (int)data->body.len, (const char *)data->body.at);
    for (size_t i = 0; i < data->slots.count; i++) {
        text_t slot = data->slots.at[i].s;
        fprintf(out, "%s%.*s", i ? " " : "", (int)slot.len, slot.at);
    }
    fputc('}', out);
}

static void say_message(FILE *out, const vdelivery_t *delivery)
{
    text_t target = delivery->target.s, result = delivery->result.s;
    fprintf(out, "message %.*s ", (int)target.len, target.at);
    say_capdata(out, &delivery->data);
    if (result.len) fprintf(out, " %.*s", (int)result.len, result.at);
}

static void say_notify(FILE *out, const vresolutions_t *resolutions)
{
    fputs("notify", out);
    for (size_t i = 0; i < resolutions->count; i++) {
        const vresolution_t *one = &resolutions->at[i];
        fprintf(out, "%s %.*s %s ", i ? ";" : "", (int)one->promise.s.len, one->promise.s.at,
                one->rejected ? "rejected" : "ok");
        say_capdata(out, &one->data);
    }
}

static void say(FILE *out, const vdelivery_t *delivery)
{
    switch (delivery->tag) {
    case TAG_deliver_start:
        fputs("start ", out);
        say_capdata(out, &delivery->data);
        return;
    case TAG_deliver_message: say_message(out, delivery); return;
    case TAG_deliver_notify: say_notify(out, &delivery->resolutions); return;
    case TAG_deliver_drop_exports: fputs("drop_exports", out); break;
    case TAG_deliver_retire_exports: fputs("retire_exports", out); break;
    case TAG_deliver_retire_imports: fputs("retire_imports", out); break;
    default: fputs("reap", out); return;
    }
    for (size_t i = 0; i < delivery->refs.count; i++) {
        fprintf(out, " %.*s", (int)delivery->refs.at[i].s.len, delivery->refs.at[i].s.at);
    }
}

static void hear(script_engine_t *self, char *text)
{
    self->heard = realloc(self->heard, (self->count + 1) * sizeof(char *));
    must(self->heard);
    self->heard[self->count++] = text;
}

static void run(engine_t *port, const vdelivery_t *delivery, const engine_host_t *host,
                bool metered_only, engine_report_t *ret)
{
    script_engine_t *self = (script_engine_t *)port;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)metered_only;
    must(out);
    say(out, delivery);
    must(fclose(out) == 0);
    hear(self, text);

    *ret = (engine_report_t){.computrons = 1};
    if (self->script) self->script(self->context, delivery, host, ret);
}

static err_t renew(engine_t *port, const char *bundle)
{
    script_engine_t *self = (script_engine_t *)port;
    const script_file_t *file = self->files;
    char *text = NULL;

    must(asprintf(&text, "renew %s", bundle) > 0);
    hear(self, text);
    if (!file) return ERR_OK;
    while (file->file && strcmp(file->file, bundle) != 0) file++;
    if (!file->file) return ERR_FILE_MISSING;
    if (!file->script) return ERR_BUNDLE_BROKEN;
    self->script = file->script;
    return ERR_OK;
}

static const char saved_head[] = "script ";

static err_t save(engine_t *port, buf_t *ret)
{
    const script_engine_t *self = (script_engine_t *)port;
    must(buf_text(ret, saved_head) == ERR_OK);
    must(buf_add(ret, self->heap, self->heap_len) == ERR_OK);
    return ERR_OK;
}

static err_t load(engine_t *port, bin_t saved)
{
    script_engine_t *self = (script_engine_t *)port;
    size_t head = strlen(saved_head);
    if (saved.len != head + self->heap_len || memcmp(saved.at, saved_head, head) != 0)
        return ERR_SNAPSHOT_UNREADABLE;
    if (self->heap_len) memcpy(self->heap, saved.at + head, self->heap_len);
    return ERR_OK;
}

static void destroy(engine_t **self_p)
{
    script_engine_t *self = (script_engine_t *)*self_p;
    for (size_t i = 0; i < self->count; i++) free(self->heard[i]);
    free(self->heard);
    free(self);
    *self_p = NULL;
}

engine_t *script_engine_new(script_t *script, void *context)
{
    script_engine_t *self = calloc(1, sizeof *self);
    must(self);
    self->port = (engine_t){run, renew, save, load, destroy};
    self->script = script;
    self->context = context;
    return &self->port;
}

void script_files(engine_t *engine, const script_file_t *all)
{
    ((script_engine_t *)engine)->files = all;
}

void script_heap(engine_t *engine, void *at, size_t len)
{
    ((script_engine_t *)engine)->heap = at;
    ((script_engine_t *)engine)->heap_len = len;
}

size_t script_count(const engine_t *engine) { return ((const script_engine_t *)engine)->count; }

const char *script_heard(const engine_t *engine, size_t n)
{
    const script_engine_t *self = (const script_engine_t *)engine;
    return n < self->count ? self->heard[n] : NULL;
}

bool script_method(const vdelivery_t *delivery, const char *method)
{
    char start[64];
    int len = snprintf(start, sizeof start, "#[\"%s\",", method);
    return delivery->tag == TAG_deliver_message && delivery->data.body.len >= (size_t)len &&
           memcmp(delivery->data.body.at, start, (size_t)len) == 0;
}

static err_t make_call(const engine_host_t *host, const vcall_t *call)
{
    return host->call(host->self, call);
}

err_t script_send(const engine_host_t *host, const char *target, const char *body,
                  const char *slots, const char *result)
{
    list_t list = cut(slots);
    vcall_t call = {.tag = TAG_send};
    call.body.send = (vcall_send_t){{text_of(target)}, capdata(body, &list), {text_of(result)}};
    return make_call(host, &call);
}

err_t script_subscribe(const engine_host_t *host, const char *promise)
{
    vcall_t call = {.tag = TAG_subscribe};
    call.body.subscribe.promise = (vref_t){text_of(promise)};
    return make_call(host, &call);
}

err_t script_resolve_batch(const engine_host_t *host, const script_resolution_t *batch,
                           size_t count)
{
    list_t slots[BATCH_TOP];
    vresolution_t list[BATCH_TOP];
    vcall_t call = {.tag = TAG_resolve};

    must(count <= BATCH_TOP);
    for (size_t i = 0; i < count; i++) {
        slots[i] = cut(batch[i].slots);
        list[i] = (vresolution_t){
            {text_of(batch[i].promise)}, batch[i].rejected, capdata(batch[i].body, &slots[i])};
    }
    call.body.resolve.resolutions = (vresolutions_t){list, count};
    return make_call(host, &call);
}

err_t script_resolve(const engine_host_t *host, const char *promise, bool rejected,
                     const char *body, const char *slots)
{
    return script_resolve_batch(host, &(script_resolution_t){promise, rejected, body, slots}, 1);
}

err_t script_exit(const engine_host_t *host, bool failure, const char *body, const char *slots)
{
    list_t list = cut(slots);
    vcall_t call = {.tag = TAG_exit};
    call.body.exit = (vcall_exit_t){failure, capdata(body, &list)};
    return make_call(host, &call);
}

err_t script_refs(const engine_host_t *host, msg_tag_t tag, const char *vrefs)
{
    list_t list = cut(vrefs);
    vcall_t call = {.tag = tag};
    call.body.drop_imports.refs = (vrefs_t){list.at, list.count}; /* all lists lie alike */
    return make_call(host, &call);
}

err_t script_set(const engine_host_t *host, const char *key, const char *value)
{
    return host->store_set(host->self, text_of(key), text_of(value));
}

err_t script_delete(const engine_host_t *host, const char *key)
{
    return host->store_delete(host->self, text_of(key));
}

void script_print(const engine_host_t *host, const char *text)
{
    host->console(host->self, 1, text_of("vat"), text_of(text));
}
