#include "cli/crank.h"

#include <string.h>

#include "cli/events.h"
#include "cli/json.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/codec/codec.h"

static json_t *kref_json(kref_t kref)
{
    char text[KREF_TEXT_MAX];

    return kref_none(kref) ? json_null() : json_string(kref_text(kref, text));
}

static json_t *krefs_json(krefs_t krefs)
{
    json_t *all = json_array();

    for (size_t i = 0; i < krefs.count; i++) json_array_append_new(all, kref_json(krefs.at[i]));
    return all;
}

/* Methargs are an array of a method and the array of its arguments; a call of a function has no method. */
static void put_methargs(json_t *to, const capdata_t *methargs)
{
    json_t *value = value_json(methargs);
    json_t *method = json_array_get(value, 0), *args = json_array_get(value, 1);

    json_object_set(to, "method", method ? method : json_null());
    json_object_set(to, "args", args ? args : value);
    json_decref(value);
}

static json_t *resolutions_json(resolutions_t resolutions)
{
    json_t *all = json_array();

    for (size_t i = 0; i < resolutions.count; i++) {
        const resolution_t *one = &resolutions.at[i];
        json_array_append_new(all, json_pack("{s:o, s:b, s:o}", "promise", kref_json(one->promise),
                                             "rejected", one->rejected, "value",
                                             value_json(&one->data)));
    }
    return all;
}

static json_t *kind_json(const char *kind) { return json_pack("{s:s}", "kind", kind); }

static json_t *gc_json(const char *kind, krefs_t krefs)
{
    return json_pack("{s:s, s:o}", "kind", kind, "refs", krefs_json(krefs));
}

static json_t *message_json(const msg_deliver_message_t *message)
{
    json_t *json = kind_json("message");

    json_object_set_new(json, "target", kref_json(message->target));
    put_methargs(json, &message->methargs);
    json_object_set_new(json, "result", kref_json(message->result));
    return json;
}

static json_t *of_delivery(const msg_t *msg)
{
    const msg_body_t *body = &msg->body;

    switch (msg->tag) {
    case TAG_deliver_start:
        return json_pack("{s:s, s:o}", "kind", "start", "parameters",
                         value_json(&body->deliver_start.parameters));
    case TAG_deliver_message: return message_json(&body->deliver_message);
    case TAG_deliver_notify:
        return json_pack("{s:s, s:o}", "kind", "notify", "resolutions",
                         resolutions_json(body->deliver_notify.resolutions));
    case TAG_deliver_drop_exports: return gc_json("dropExports", body->deliver_drop_exports.krefs);
    case TAG_deliver_retire_exports:
        return gc_json("retireExports", body->deliver_retire_exports.krefs);
    case TAG_deliver_retire_imports:
        return gc_json("retireImports", body->deliver_retire_imports.krefs);
    case TAG_deliver_reap: return kind_json("reap");
    case TAG_deliver_upgrade:
        return json_pack("{s:s, s:o, s:o}", "kind", "upgrade", "bundle",
                         json_text(body->deliver_upgrade.bundle), "parameters",
                         value_json(&body->deliver_upgrade.parameters));
    default: return kind_json("unreadable");
    }
}

json_t *delivery_json(bin_t delivery)
{
    msg_t msg;

    if (msg_decode(delivery, &msg)) return kind_json("unreadable");
    json_t *json = of_delivery(&msg);
    msg_clear(&msg);
    return json;
}

static json_t *refs_json(const char *syscall, krefs_t refs)
{
    return json_pack("{s:s, s:o}", "syscall", syscall, "refs", krefs_json(refs));
}

static json_t *send_json(const msg_send_t *send)
{
    json_t *json = json_pack("{s:s, s:o}", "syscall", "send", "target", kref_json(send->target));

    put_methargs(json, &send->methargs);
    json_object_set_new(json, "result", kref_json(send->result));
    return json;
}

static json_t *of_call(const msg_t *msg)
{
    const msg_body_t *body = &msg->body;

    switch (msg->tag) {
    case TAG_send: return send_json(&body->send);
    case TAG_subscribe:
        return json_pack("{s:s, s:o}", "syscall", "subscribe", "promise",
                         kref_json(body->subscribe.promise));
    case TAG_resolve:
        return json_pack("{s:s, s:o}", "syscall", "resolve", "resolutions",
                         resolutions_json(body->resolve.resolutions));
    case TAG_exit:
        return json_pack("{s:s, s:b, s:o}", "syscall", "exit", "failure", body->exit.failure,
                         "info", value_json(&body->exit.info));
    case TAG_drop_imports: return refs_json("dropImports", body->drop_imports.refs);
    case TAG_retire_imports: return refs_json("retireImports", body->retire_imports.refs);
    case TAG_retire_exports: return refs_json("retireExports", body->retire_exports.refs);
    case TAG_abandon_exports: return refs_json("abandonExports", body->abandon_exports.refs);
    default: return json_pack("{s:s}", "syscall", "unreadable");
    }
}

json_t *calls_json(bin_t calls)
{
    json_t *all = json_array();
    msg_t msg;

    while (calls.len) {
        if (msg_next(&calls, &msg)) {
            json_array_append_new(all, json_pack("{s:s}", "syscall", "unreadable"));
            break;
        }
        json_array_append_new(all, of_call(&msg));
        msg_clear(&msg);
    }
    return all;
}

/* ---- for people ---- */

static void put_json(const json_t *value, FILE *out)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);

    must(memory);
    json_print(value, memory);
    fclose(memory);
    put_safely(out, (text_t){text, len});
    free(text);
}

static const char *word(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* greet("Alice", 42n), and where its answer goes. */
static void put_message(const json_t *message, const char *before, FILE *out)
{
    const json_t *args = json_object_get(message, "args");

    fprintf(out, "%s%s", before, word(message, "target"));
    fputs(*word(message, "method") ? "." : "", out);
    put_safely(out, text_of(word(message, "method")));
    fputc('(', out);
    for (size_t i = 0; i < json_array_size(args); i++) {
        if (i) fputs(", ", out);
        put_json(json_array_get(args, i), out);
    }
    fputc(')', out);
    if (*word(message, "result")) fprintf(out, " -> %s", word(message, "result"));
}

static void put_resolutions(const json_t *all, const char *fulfil, const char *reject, FILE *out)
{
    size_t i;
    json_t *one;

    json_array_foreach(all, i, one)
    {
        bool rejected = json_is_true(json_object_get(one, "rejected"));
        fprintf(out, "%s%s%s ", i ? "; " : "", rejected ? reject : fulfil, word(one, "promise"));
        put_json(json_object_get(one, "value"), out);
    }
}

static void put_refs(const json_t *object, FILE *out)
{
    const json_t *refs = json_object_get(object, "refs");

    for (size_t i = 0; i < json_array_size(refs); i++)
        fprintf(out, " %s", json_string_value(json_array_get(refs, i)));
}

void delivery_print(const json_t *delivery, FILE *out)
{
    const char *kind = word(delivery, "kind");

    if (strcmp(kind, "message") == 0) {
        put_message(delivery, "", out);
    } else if (strcmp(kind, "notify") == 0) {
        fputs("notify ", out);
        put_resolutions(json_object_get(delivery, "resolutions"), "", "rejected ", out);
    } else {
        fputs(kind, out);
        if (*word(delivery, "bundle")) fprintf(out, " to %.19s...", word(delivery, "bundle"));
        if (json_object_get(delivery, "parameters")) {
            fputc(' ', out);
            put_json(json_object_get(delivery, "parameters"), out);
        }
        put_refs(delivery, out);
    }
}

void call_print(const json_t *call, FILE *out)
{
    const char *name = word(call, "syscall");

    if (strcmp(name, "send") == 0) {
        put_message(call, "send ", out);
    } else if (strcmp(name, "resolve") == 0) {
        put_resolutions(json_object_get(call, "resolutions"), "resolve ", "reject ", out);
    } else {
        fputs(name, out);
        if (*word(call, "promise")) fprintf(out, " %s", word(call, "promise"));
        if (json_object_get(call, "info")) {
            fputs(json_is_true(json_object_get(call, "failure")) ? " with failure " : " ", out);
            put_json(json_object_get(call, "info"), out);
        }
        put_refs(call, out);
    }
}
