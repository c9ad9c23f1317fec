#include "cli/value.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/value_read.h"
#include "wire/base/must.h"

typedef struct {
    const capdata_t *data;
    char **ifaces; /* one per slot; NULL until its first mention */
    buf_t *out;
    bool literal; /* what reads back, not what people read best */
} show_t;

static err_t put(show_t *s, const char *text) { return buf_text(s->out, text); }

static text_t text_from(const json_t *string, size_t skip)
{
    return (text_t){json_string_value(string) + skip, json_string_length(string) - skip};
}

/* "$12.Alleged: x" -> 12 and ".Alleged: x". False: not a slot of DATA. */
static bool slot_read(const capdata_t *data, const char *text, kref_t *ret, size_t *ret_index,
                      const char **ret_iface)
{
    char *end;
    unsigned long index = strtoul(text + 1, &end, 10);

    if (end == text + 1 || index >= data->slots.count) return false;
    *ret = data->slots.at[index];
    *ret_index = index;
    *ret_iface = *end == '.' ? end + 1 : NULL;
    return true;
}

static json_t *parse(const capdata_t *data)
{
    const char *at = (const char *)data->body.at;

    if (data->body.len == 0 || *at != '#') return NULL;
    return json_loadb(at + 1, data->body.len - 1,
                      JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
}

/* Who asks for the references of a value. */
typedef struct {
    const capdata_t *data;
    void (*each)(void *context, kref_t kref, const char *iface);
    void *context;
} mentions_t;

static void mentions_in(const mentions_t *m, json_t *encoded)
{
    const char *key, *iface, *text = json_string_value(encoded);
    json_t *item;
    kref_t kref;
    size_t i;

    json_array_foreach(encoded, i, item) mentions_in(m, item);
    json_object_foreach(encoded, key, item) mentions_in(m, item);
    if (text && (*text == '$' || *text == '&') && slot_read(m->data, text, &kref, &i, &iface))
        m->each(m->context, kref, iface);
}

void value_slots(const capdata_t *data, void (*each)(void *context, kref_t kref, const char *iface),
                 void *context)
{
    json_t *encoded = data->slots.count ? parse(data) : NULL;

    if (encoded) mentions_in(&(mentions_t){data, each, context}, encoded);
    json_decref(encoded);
}

static json_t *format(const char *head, text_t text, const char *tail)
{
    buf_t out = buf_of(SIZE_MAX);

    must(!buf_text(&out, head) && !buf_add(&out, text.at, text.len) && !buf_text(&out, tail));
    json_t *ret = json_text((text_t){(const char *)out.at, out.len});
    buf_clear(&out);
    return ret;
}

/* ---- for programs ---- */

static json_t *json_of(const capdata_t *data, const json_t *encoded);

static json_t *json_of_slot(const capdata_t *data, const char *text)
{
    char kref[KREF_TEXT_MAX], shown[KREF_TEXT_MAX + 8];
    kref_t slot;
    size_t index;
    const char *iface;

    if (!slot_read(data, text, &slot, &index, &iface)) {
        return format("<?", text_of(text + 1), ">");
    }
    kref_text(slot, kref);
    if (!iface) return format("<", text_of(kref), ">");
    snprintf(shown, sizeof shown, "<%s> (", kref);
    return format(shown, text_of(iface), ")");
}

static json_t *json_of_string(const capdata_t *data, const json_t *encoded)
{
    const char *text = json_string_value(encoded);

    switch (*text) {
    case '!': return json_text(text_from(encoded, 1));
    case '#': return format("[", text_from(encoded, 1), "]");
    case '+': return format("", text_from(encoded, 1), "n");
    case '-': return format("", text_from(encoded, 0), "n");
    case '%': return format("[Symbol: ", text_from(encoded, 1), "]");
    case '$':
    case '&': return json_of_slot(data, text);
    default: return json_text(text_from(encoded, 0));
    }
}

static const char *unescaped(const char *key) { return *key == '!' ? key + 1 : key; }

static json_t *json_of_object(const capdata_t *data, const json_t *encoded)
{
    json_t *item, *object = (json_t *)(uintptr_t)encoded, *ret;
    const json_t *error = json_object_get(encoded, "#error"),
                 *tag = json_object_get(encoded, "#tag");
    const char *key;
    char head[128];

    if (json_is_string(error)) {
        const json_t *name = json_object_get(encoded, "name");
        snprintf(head, sizeof head,
                 "[%s: ", json_is_string(name) ? unescaped(json_string_value(name)) : "Error");
        json_t *text = json_of_string(data, error);
        ret = format(head, text_from(text, 0), "]");
        json_decref(text);
        return ret;
    }
    ret = json_object();
    if (json_is_string(tag)) {
        json_t *text = json_of_string(data, tag);
        json_t *name = format("[Tagged: ", text_from(text, 0), "]");
        json_object_set_new(ret, json_string_value(name),
                            json_of(data, json_object_get(encoded, "payload")));
        json_decref(text);
        json_decref(name);
        return ret;
    }
    json_object_foreach(object, key, item)
    {
        json_object_set_new(ret, unescaped(key), json_of(data, item));
    }
    return ret;
}

static json_t *json_of(const capdata_t *data, const json_t *encoded)
{
    if (!encoded) return json_null();
    if (json_is_string(encoded)) return json_of_string(data, encoded);
    if (json_is_object(encoded)) return json_of_object(data, encoded);
    if (!json_is_array(encoded)) return json_deep_copy(encoded);

    json_t *ret = json_array();
    for (size_t i = 0; i < json_array_size(encoded); i++) {
        json_array_append_new(ret, json_of(data, json_array_get(encoded, i)));
    }
    return ret;
}

json_t *value_json(const capdata_t *data)
{
    json_t *encoded = parse(data);
    json_t *ret = encoded ? json_of(data, encoded)
                          : json_text((text_t){(const char *)data->body.at, data->body.len});
    json_decref(encoded);
    return ret;
}

json_t *value_raw(const capdata_t *data)
{
    json_t *slots = json_array();
    char kref[KREF_TEXT_MAX];

    for (size_t i = 0; i < data->slots.count; i++) {
        json_array_append_new(slots, json_string(kref_text(data->slots.at[i], kref)));
    }
    return json_pack("{s:o, s:o}", "body",
                     json_text((text_t){(const char *)data->body.at, data->body.len}), "slots",
                     slots);
}

/* ---- for people ---- */

static err_t show(show_t *s, const json_t *encoded);

static err_t show_slot(show_t *s, const char *text)
{
    char kref[KREF_TEXT_MAX];
    kref_t slot;
    size_t index;
    const char *iface;

    if (!slot_read(s->data, text, &slot, &index, &iface))
        return s->literal ? ERR_BODY_BROKEN : put(s, "<?>");
    if (s->literal) return put(s, kref_text(slot, kref));
    if (iface && !s->ifaces[index]) s->ifaces[index] = strdup(iface);
    err_t err = put(s, "<");
    if (!err) err = put(s, kref_text(slot, kref));
    if (!err && kref_is_promise(slot)) err = put(s, " promise");
    if (!err && s->ifaces[index]) err = put(s, " ");
    if (!err && s->ifaces[index]) err = put(s, s->ifaces[index]);
    return err ? err : put(s, ">");
}

static err_t show_symbol(show_t *s, const json_t *encoded)
{
    const char *name = json_string_value(encoded) + 1;

    if (strncmp(name, "@@", 2) == 0 && strncmp(name, "@@@@", 4) != 0) {
        err_t err = put(s, "Symbol.");
        return err ? err : put(s, name + 2);
    }
    err_t err = put(s, "Symbol.for(");
    if (!err) err = json_add_string(s->out, text_from(encoded, *name == '@' ? 3 : 1));
    return err ? err : put(s, ")");
}

static err_t show_string(show_t *s, const json_t *encoded)
{
    const char *text = json_string_value(encoded);
    err_t err;

    switch (*text) {
    case '!': return json_add_string(s->out, text_from(encoded, 1));
    case '#': return put(s, text + 1);
    case '+': err = put(s, text + 1); return err ? err : put(s, "n");
    case '-': err = put(s, text); return err ? err : put(s, "n");
    case '%': return show_symbol(s, encoded);
    case '$':
    case '&': return show_slot(s, text);
    default: return json_add_string(s->out, text_from(encoded, 0));
    }
}

/* Keys that JavaScript takes without quotes stand without. */
static err_t show_key(show_t *s, const char *key)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$";
    size_t plain = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$0123456789");

    if (*key && strchr(first, *key) && !key[plain]) return put(s, key);
    return json_add_string(s->out, text_of(key));
}

/* An error as JavaScript prints one: name and message, without quotes. */
static err_t show_error(show_t *s, const json_t *encoded)
{
    json_t *text = json_of_string(s->data, json_object_get(encoded, "#error"));
    const char *name = json_string_value(json_object_get(encoded, "name"));
    bool known = name && (!s->literal || word_is_error(name));
    err_t err = put(s, known ? unescaped(name) : "Error");

    if (s->literal) {
        if (!err) err = put(s, "(");
        if (!err) err = json_add_string(s->out, text_from(text, 0));
        if (!err) err = put(s, ")");
    } else {
        if (!err && json_string_length(text)) err = put(s, ": ");
        if (!err) err = buf_add(s->out, json_string_value(text), json_string_length(text));
    }
    json_decref(text);
    return err;
}

static err_t show_object(show_t *s, const json_t *encoded)
{
    json_t *item, *object = (json_t *)(uintptr_t)encoded;
    const json_t *tag = json_object_get(encoded, "#tag");
    const char *key;
    bool first = true;
    err_t err;

    if (json_is_string(json_object_get(encoded, "#error"))) return show_error(s, encoded);
    if (json_is_string(tag)) {
        err = put(s, "tagged(");
        if (!err) err = show_string(s, tag);
        if (!err) err = put(s, ", ");
        if (!err) err = show(s, json_object_get(encoded, "payload"));
        return err ? err : put(s, ")");
    }
    err = put(s, "{");
    json_object_foreach(object, key, item)
    {
        if (!err && !first) err = put(s, ", ");
        if (!err) err = show_key(s, unescaped(key));
        if (!err) err = put(s, ": ");
        if (!err) err = show(s, item);
        first = false;
    }
    return err ? err : put(s, "}");
}

static err_t show(show_t *s, const json_t *encoded)
{
    if (!encoded) return put(s, "undefined");
    if (json_is_string(encoded)) return show_string(s, encoded);
    if (json_is_object(encoded)) return show_object(s, encoded);
    if (!json_is_array(encoded)) return json_add(s->out, encoded);

    err_t err = put(s, "[");
    for (size_t i = 0; i < json_array_size(encoded) && !err; i++) {
        if (i) err = put(s, ", ");
        if (!err) err = show(s, json_array_get(encoded, i));
    }
    return err ? err : put(s, "]");
}

static err_t show_all(buf_t *out, const capdata_t *data, const json_t *encoded, bool literal)
{
    show_t s = {data, calloc(data->slots.count + 1, sizeof(char *)), out, literal};

    must(s.ifaces);
    err_t err = show(&s, encoded);
    for (size_t i = 0; i < data->slots.count; i++) free(s.ifaces[i]);
    free(s.ifaces);
    return err;
}

err_t value_show(buf_t *out, const capdata_t *data)
{
    json_t *encoded = parse(data);
    if (!encoded) return buf_add(out, data->body.at, data->body.len);

    err_t err = show_all(out, data, encoded, false);
    json_decref(encoded);
    return err;
}

err_t value_literal(buf_t *out, const capdata_t *data)
{
    json_t *encoded = parse(data);
    if (!encoded) return ERR_BODY_BROKEN;

    err_t err = show_all(out, data, encoded, true);
    json_decref(encoded);
    return err;
}

err_t value_show_reason(buf_t *out, text_t reason)
{
    capdata_t data = {.body = {(const uint8_t *)reason.at, reason.len}};

    return value_show(out, &data);
}
