/* engine_run GOLDEN BUNDLE: the engine of vathost/xs with one vat, without a supervisor: deliveries in
 * vrefs come in on stdin, one JSON array a line, in the shapes that SwingSet gives its workers. For
 * each, everything the vat asks goes out on stdout in SwingSet's shapes, in the order of asking:
 *
 *   ["vatstoreGet", KEY, VALUE or null]   ["vatstoreGetNextKey", PRIOR, KEY or null]
 *   ["vatstoreSet", KEY, VALUE]           ["vatstoreDelete", KEY]
 *   ["send", TARGET, {methargs, result}]  ["subscribe", VPID]   ["resolve", [[VPID, REJECTED, DATA]...]]
 *   ["exit", FAILURE, DATA]               ["dropImports" and its sisters, [VREF...]]
 *   ["testLog", TEXT]
 *
 * and then ["done", OUTCOME, REASON, COMPUTRONS, [[KEY, VALUE]...]] with the whole vat store, as it was
 * before the delivery if that failed. Four lines give no answer: with ["renew", BUNDLE] the engine begins
 * anew with the bundle in that file, and the store stays; ["save", FILE] writes the engine to a file,
 * ["load", FILE] makes it what the file says, ["store", {KEY: VALUE...}] fills an empty store. After ["console"] lines of the console go out as well:
 *
 *   ["console", LEVEL, SOURCE, TEXT] */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memstore.h"
#include "vathost/xs/arena.h"
#include "vathost/xs/xs_engine.h"
#include "wire/base/must.h"

typedef struct {
    engine_t *engine;
    vatstore_t *store;
    arena_t arena; /* of the delivery that runs */
    bool tells_console;
} run_t;

static void say(json_t *line)
{
    must(line);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

/* ---- out: what the vat asks ---- */

static json_t *json_of_text(text_t text) { return json_stringn(text.len ? text.at : "", text.len); }

static json_t *json_of_ref(vref_t ref) { return ref.s.len ? json_of_text(ref.s) : json_null(); }

static json_t *json_of_refs(vrefs_t refs)
{
    json_t *list = json_array();
    for (size_t i = 0; i < refs.count; i++) json_array_append_new(list, json_of_text(refs.at[i].s));
    return list;
}

static json_t *json_of_data(vcapdata_t data)
{
    text_t body = {(const char *)data.body.at, data.body.len};
    return json_pack("{s:o, s:o}", "body", json_of_text(body), "slots", json_of_refs(data.slots));
}

static json_t *json_of_resolutions(vresolutions_t all)
{
    json_t *list = json_array();
    for (size_t i = 0; i < all.count; i++) {
        const vresolution_t *it = &all.at[i];
        json_array_append_new(list, json_pack("[o, b, o]", json_of_ref(it->promise), it->rejected,
                                              json_of_data(it->data)));
    }
    return list;
}

static err_t on_call(void *self, const vcall_t *call)
{
    (void)self;
    const vcall_body_t *body = &call->body;
    switch (call->tag) {
    case TAG_send:
        say(json_pack("[s, o, {s:o, s:o}]", "send", json_of_ref(body->send.target), "methargs",
                      json_of_data(body->send.methargs), "result", json_of_ref(body->send.result)));
        break;
    case TAG_subscribe:
        say(json_pack("[s, o]", "subscribe", json_of_ref(body->subscribe.promise)));
        break;
    case TAG_resolve:
        say(json_pack("[s, o]", "resolve", json_of_resolutions(body->resolve.resolutions)));
        break;
    case TAG_exit:
        say(json_pack("[s, b, o]", "exit", body->exit.failure, json_of_data(body->exit.info)));
        break;
    case TAG_drop_imports:
        say(json_pack("[s, o]", "dropImports", json_of_refs(body->drop_imports.refs)));
        break;
    case TAG_retire_imports:
        say(json_pack("[s, o]", "retireImports", json_of_refs(body->retire_imports.refs)));
        break;
    case TAG_retire_exports:
        say(json_pack("[s, o]", "retireExports", json_of_refs(body->retire_exports.refs)));
        break;
    default:
        must(call->tag == TAG_abandon_exports);
        say(json_pack("[s, o]", "abandonExports", json_of_refs(body->abandon_exports.refs)));
    }
    return ERR_OK;
}

static err_t on_get(void *self, text_t key, text_t *ret, bool *ret_found)
{
    vatstore_t *store = ((run_t *)self)->store;
    err_t err = store->get(store, key, ret, ret_found);
    say(json_pack("[s, o, o]", "vatstoreGet", json_of_text(key),
                  *ret_found ? json_of_text(*ret) : json_null()));
    return err;
}

static err_t on_next(void *self, text_t prior, text_t *ret, bool *ret_found)
{
    vatstore_t *store = ((run_t *)self)->store;
    err_t err = store->next(store, prior, ret, ret_found);
    say(json_pack("[s, o, o]", "vatstoreGetNextKey", json_of_text(prior),
                  *ret_found ? json_of_text(*ret) : json_null()));
    return err;
}

static err_t on_set(void *self, text_t key, text_t value)
{
    vatstore_t *store = ((run_t *)self)->store;
    say(json_pack("[s, o, o]", "vatstoreSet", json_of_text(key), json_of_text(value)));
    return store->set(store, key, value);
}

static err_t on_delete(void *self, text_t key)
{
    vatstore_t *store = ((run_t *)self)->store;
    say(json_pack("[s, o]", "vatstoreDelete", json_of_text(key)));
    return store->remove(store, key);
}

static void on_console(void *self, unsigned level, text_t source, text_t text)
{
    if (((run_t *)self)->tells_console)
        say(json_pack("[s, i, o, o]", "console", (int)level, json_of_text(source),
                      json_of_text(text)));
    text_t test_log = text_of("vat:testLog");
    if (source.len != test_log.len || memcmp(source.at, test_log.at, source.len)) return;
    say(json_pack("[s, o]", "testLog", json_of_text(text)));
}

static json_t *json_of_store(vatstore_t *store)
{
    json_t *all = json_array();
    text_t key = {"", 0}, value;
    bool found = false;
    for (;;) {
        must(!store->next(store, key, &key, &found));
        if (!found) return all;
        json_t *pair = json_array();
        json_array_append_new(pair, json_of_text(key));
        key = (text_t){json_string_value(json_array_get(pair, 0)), key.len};
        must(!store->get(store, key, &value, &found) && found);
        json_array_append_new(pair, json_of_text(value));
        json_array_append_new(all, pair);
    }
}

/* ---- in: deliveries. A line that does not have the shape ends the program. ---- */

static text_t text_from(const json_t *it)
{
    must(json_is_string(it));
    return (text_t){json_string_value(it), json_string_length(it)};
}

static vref_t ref_from(const json_t *it)
{
    return json_is_string(it) ? (vref_t){text_from(it)} : (vref_t){{"", 0}};
}

static vrefs_t refs_from(run_t *self, const json_t *list)
{
    must(json_is_array(list));
    size_t count = json_array_size(list);
    vref_t *refs = arena_take(&self->arena, count * sizeof *refs);
    for (size_t i = 0; i < count; i++) refs[i] = ref_from(json_array_get(list, i));
    return (vrefs_t){refs, count};
}

static vcapdata_t data_from(run_t *self, const json_t *data)
{
    text_t body = text_from(json_object_get(data, "body"));
    return (vcapdata_t){.body = {(const uint8_t *)body.at, body.len},
                        .slots = refs_from(self, json_object_get(data, "slots"))};
}

static vresolutions_t resolutions_from(run_t *self, const json_t *list)
{
    size_t count = json_array_size(list);
    vresolution_t *all = arena_take(&self->arena, count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        const json_t *it = json_array_get(list, i);
        all[i] = (vresolution_t){.promise = ref_from(json_array_get(it, 0)),
                                 .rejected = json_is_true(json_array_get(it, 1)),
                                 .data = data_from(self, json_array_get(it, 2))};
    }
    return (vresolutions_t){all, count};
}

static vdelivery_t delivery_from(run_t *self, const json_t *line)
{
    static const struct {
        const char *name;
        msg_tag_t tag;
    } kinds[] = {{"startVat", TAG_deliver_start},
                 {"message", TAG_deliver_message},
                 {"notify", TAG_deliver_notify},
                 {"dropExports", TAG_deliver_drop_exports},
                 {"retireExports", TAG_deliver_retire_exports},
                 {"retireImports", TAG_deliver_retire_imports},
                 {"bringOutYourDead", TAG_deliver_reap}};
    const char *name = json_string_value(json_array_get(line, 0));
    must(name);
    size_t i = 0, count = sizeof kinds / sizeof kinds[0];
    while (i < count && strcmp(kinds[i].name, name)) i++;
    must(i < count);

    vdelivery_t ret = {.tag = kinds[i].tag};
    const json_t *first = json_array_get(line, 1), *second = json_array_get(line, 2);
    switch (ret.tag) {
    case TAG_deliver_start: ret.data = data_from(self, first); break;
    case TAG_deliver_message:
        ret.target = ref_from(first);
        ret.data = data_from(self, json_object_get(second, "methargs"));
        ret.result = ref_from(json_object_get(second, "result"));
        break;
    case TAG_deliver_notify: ret.resolutions = resolutions_from(self, first); break;
    case TAG_deliver_reap: break;
    default: ret.refs = refs_from(self, first);
    }
    return ret;
}

static void deliver(run_t *self, const json_t *line)
{
    const engine_host_t host = {.self = self,
                                .call = on_call,
                                .store_get = on_get,
                                .store_next = on_next,
                                .store_set = on_set,
                                .store_delete = on_delete,
                                .console = on_console};
    vdelivery_t delivery = delivery_from(self, line);
    engine_report_t report;
    must(!self->store->crank_begin(self->store));
    self->engine->run(self->engine, &delivery, &host, true, &report);
    must(!(report.outcome ? self->store->crank_undo : self->store->crank_keep)(self->store));
    arena_reset(&self->arena);
    say(json_pack("[s, s, s, I, o]", "done", err_name(report.outcome), report.reason,
                  (json_int_t)report.computrons, json_of_store(self->store)));
    fflush(stdout);
}

enum { SAVED_BYTES_MAX = 1 << 28 };

static void save(run_t *self, const char *path)
{
    buf_t saved = buf_of(SAVED_BYTES_MAX);
    must(!self->engine->save(self->engine, &saved));
    FILE *file = fopen(path, "wb");
    must(file && fwrite(saved.at, 1, saved.len, file) == saved.len);
    must(!fclose(file));
    buf_clear(&saved);
}

static void load(run_t *self, const char *path)
{
    FILE *file = fopen(path, "rb");
    must(file && !fseek(file, 0, SEEK_END));
    size_t len = (size_t)ftell(file);
    rewind(file);
    uint8_t *at = malloc(len);
    must(at && fread(at, 1, len, file) == len);
    fclose(file);
    must(!self->engine->load(self->engine, (bin_t){at, len}));
    free(at);
}

static void fill_store(run_t *self, json_t *pairs)
{
    const char *key;
    json_t *value;
    must(!self->store->crank_begin(self->store));
    json_object_foreach(pairs, key, value)
        must(!self->store->set(self->store, text_of(key), text_of(json_string_value(value))));
    must(!self->store->crank_keep(self->store));
}

static void take_line(run_t *self, const json_t *line)
{
    const char *name = json_string_value(json_array_get(line, 0));
    const char *path = json_string_value(json_array_get(line, 1));
    if (strcmp(name, "renew") == 0) {
        must(path && !self->engine->renew(self->engine, path));
    } else if (strcmp(name, "save") == 0) {
        must(path);
        save(self, path);
    } else if (strcmp(name, "load") == 0) {
        must(path);
        load(self, path);
    } else if (strcmp(name, "store") == 0) {
        fill_store(self, json_array_get(line, 1));
    } else if (strcmp(name, "console") == 0) {
        self->tells_console = true;
    } else {
        deliver(self, line);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: engine_run GOLDEN BUNDLE\n");
        return 2;
    }
    run_t self = {.store = memstore_new()};
    if (xs_engine_new(argv[1], &self.engine)) {
        fprintf(stderr, "engine_run: %s cannot be read\n", argv[1]);
        return 3;
    }
    xs_options_t options = {.vat = {1}, .name = "diff", .bundle = argv[2]};
    if (xs_engine_open(self.engine, &options)) {
        fprintf(stderr, "engine_run: %s cannot be read\n", argv[2]);
        return 3;
    }
    char *text = NULL;
    size_t room = 0;
    while (getline(&text, &room, stdin) > 0) {
        json_error_t error;
        json_t *line = json_loads(text, JSON_ALLOW_NUL, &error);
        if (!line) {
            fprintf(stderr, "engine_run: %s: %s\n", error.text, text);
            return 3;
        }
        take_line(&self, line);
        json_decref(line);
    }
    free(text);
    arena_clear(&self.arena);
    engine_destroy(&self.engine);
    vatstore_destroy(&self.store);
    return 0;
}
