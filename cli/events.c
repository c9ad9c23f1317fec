/* JSON Lines. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/events_own.h"
#include "cli/json.h"
#include "cli/value.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

enum { ARGUMENTS_SHOWN_MAX = 1000 /* in a line, unless it was said otherwise */ };

/* ---- JSON Lines ---- */

typedef struct {
    FILE *out;
    bool more;
    args_shown_t args;
    uint64_t bytes; /* of the whole body */
} line_t;

static void key(line_t *l, const char *name)
{
    fprintf(l->out, "%c\"%s\":", l->more ? ',' : '{', name);
    l->more = true;
}

static void put_text(line_t *l, const char *name, text_t text)
{
    json_t *value = json_text(text);

    key(l, name);
    json_print(value, l->out);
    json_decref(value);
}

static void put_number(line_t *l, const char *name, uint64_t number)
{
    key(l, name);
    fprintf(l->out, "%llu", (unsigned long long)number);
}

static void put_id(line_t *l, const char *name, char prefix, uint64_t number)
{
    key(l, name);
    fprintf(l->out, "\"%c%llu\"", prefix, (unsigned long long)number);
}

static void put_kref(line_t *l, const char *name, kref_t kref)
{
    char text[KREF_TEXT_MAX];

    if (kref_none(kref)) return;
    key(l, name);
    fprintf(l->out, "\"%s\"", kref_text(kref, text));
}

/* Sixteen hex digits that follow from what the span is of. */
static void put_span(line_t *l, const char *name, char kind, uint64_t vat, uint64_t d, uint64_t n)
{
    char text[80];
    int len = snprintf(text, sizeof text, "%c v%llu/%llu#%llu", kind, (unsigned long long)vat,
                       (unsigned long long)d, (unsigned long long)n);
    hash_t hash = hash_of((bin_t){(const uint8_t *)text, (size_t)len});

    if (name) key(l, name);
    fputc('"', l->out);
    for (int i = 0; i < 8; i++) fprintf(l->out, "%02x", hash.b[i]);
    fputc('"', l->out);
}

static void put_message_span(line_t *l, const char *name, msgid_t msg)
{
    put_span(l, name, 'm', msg.vat.n, msg.d, msg.n);
}

static void put_message(line_t *l, msgid_t msg)
{
    key(l, "msg");
    fprintf(l->out, "\"v%u/%llu#%u\"", msg.vat.n, (unsigned long long)msg.d, msg.n);
}

static void put_bool(line_t *l, const char *name, bool value)
{
    key(l, name);
    fputs(value ? "true" : "false", l->out);
}

static bool message_none(msgid_t msg) { return !msg.vat.n && !msg.d && !msg.n; }

/* Whole characters. */
static text_t cut(text_t text, args_shown_t args, size_t usual)
{
    size_t most = args == ARGS_FULL ? SIZE_MAX : args == ARGS_SHORT ? ARGS_SHORT_BYTES : usual;

    if (text.len <= most) return text;
    while (most && ((unsigned char)text.at[most] & 0xc0) == 0x80) most--;
    return (text_t){text.at, most};
}

/* The arguments of methargs, without the method, as a body of their own. */
static bool arguments_body(const capdata_t *data, buf_t *ret)
{
    const char *at = (const char *)data->body.at;
    size_t i = 2;

    /* "#[" and the method, which is a string or (for a call) "#undefined": no comma stands open. */
    if (data->body.len < 4) return false;
    if (at[i] == '"') {
        for (i++; i < data->body.len && at[i] != '"'; i++) i += at[i] == '\\';
    }
    while (i < data->body.len && at[i] != ',') i++;
    return i + 1 < data->body.len && !buf_add(ret, "#", 1) &&
           !buf_add(ret, at + i + 1, data->body.len - i - 2);
}

void event_data(buf_t *out, const msg_event_t *event, uint64_t bytes, bool arguments)
{
    buf_t body = buf_of(CAPDATA_BYTES_MAX);
    capdata_t data = event->data;

    if (bytes > data.body.len) {
        /* Only its beginning is there: as it stands. */
        size_t skip = arguments ? 2 + event->method.len + 3 : 1;
        if (skip < data.body.len) must(!buf_add(out, data.body.at + skip, data.body.len - skip));
        must(!buf_add(out, "...", 3));
        return;
    }
    if (arguments) {
        bool there = arguments_body(&event->data, &body);
        data.body = (bin_t){body.at, body.len};
        if (!there || value_show(out, &data)) buf_reset(out);
        if (out->len >= 2) {
            memmove(out->at, out->at + 1, out->len - 2);
            out->len -= 2;
        }
    } else if (value_show(out, &data)) {
        buf_reset(out);
    }
    buf_clear(&body);
}

static void put_arguments(line_t *l, const msg_event_t *event)
{
    buf_t shown = buf_of(CAPDATA_BYTES_MAX), list = buf_of(CAPDATA_BYTES_MAX + 2);

    if (l->args != ARGS_NONE) {
        event_data(&shown, event, l->bytes, true);
        must(!buf_add(&list, "[", 1) && !buf_add(&list, shown.at, shown.len) &&
             !buf_add(&list, "]", 1));
        put_text(l, "args",
                 cut((text_t){(const char *)list.at, list.len}, l->args, ARGUMENTS_SHOWN_MAX));
    }
    buf_clear(&shown);
    buf_clear(&list);
}

static const char *severity(const msg_event_t *event)
{
    if (text_is(event->type, "resolve")) return event->rejected ? "WARN" : "INFO";
    if (text_is(event->type, "done")) return event->ok ? "INFO" : "ERROR";
    if (text_is(event->type, "vat-exit") || text_is(event->type, "vat-quarantine")) return "WARN";
    if (text_is(event->type, "vat-upgrade")) return event_is_upgraded(event) ? "INFO" : "WARN";
    if (!text_is(event->type, "console")) return "INFO";
    if (event->kind.len >= 5 && memcmp(event->kind.at, "error", 5) == 0) return "ERROR";
    if (event->kind.len >= 4 && memcmp(event->kind.at, "warn", 4) == 0) return "WARN";
    if (event->kind.len >= 5 && memcmp(event->kind.at, "debug", 5) == 0) return "DEBUG";
    return "INFO";
}

static void put_head(line_t *l, const msg_event_t *event, uint64_t seq)
{
    key(l, "time");
    fprintf(l->out, "%llu.%06llu", (unsigned long long)(event->time_us / 1000000),
            (unsigned long long)(event->time_us % 1000000));
    put_text(l, "type", event->type);
    put_text(l, "sev", text_of(severity(event)));
    put_text(l, "svc", text_of("broker"));
    put_number(l, "seq", seq);
    if (memcmp(&event->trace, &(id128_t){0}, sizeof event->trace) == 0) return;
    key(l, "trace_id");
    fputc('"', l->out);
    for (size_t i = 0; i < sizeof event->trace.b; i++) fprintf(l->out, "%02x", event->trace.b[i]);
    fputc('"', l->out);
}

static void put_vat(line_t *l, const msg_event_t *event)
{
    put_id(l, "vat", 'v', event->vat.n);
    put_text(l, "name", event->name);
    if (event->host.n) put_id(l, "on", 'h', event->host.n);
}

static void line_send(line_t *l, const msg_event_t *event)
{
    put_message_span(l, "span_id", event->msg);
    if (event->parent_vat) put_span(l, "parent", 'd', event->parent_vat, event->parent_d, 0);
    put_message(l, event->msg);
    if (event->from.n)
        put_id(l, "from", 'v', event->from.n);
    else
        put_text(l, "from", text_of("cli"));
    if (kref_is_object(event->target)) put_id(l, "to", 'v', kref_issuer(event->target).n);
    put_kref(l, "target", event->target);
    put_text(l, "method", event->method);
    put_arguments(l, event);
    put_kref(l, "result", event->promise);
    put_number(l, "bytes", l->bytes);
}

static void line_delivery(line_t *l, const msg_event_t *event)
{
    bool notify = text_is(event->kind, "notify");

    put_span(l, "span_id", 'd', event->vat.n, event->d, 0);
    if (notify) {
        if (event->msg.vat.n) put_span(l, "parent", 'd', event->msg.vat.n, event->msg.d, 0);
    } else if (!message_none(event->msg)) {
        put_message_span(l, "parent", event->msg);
        put_message(l, event->msg);
    }
    put_vat(l, event);
    put_number(l, "crank", event->d);
    put_number(l, "delivery", event->d);
    put_text(l, "kind", event->kind);
}

static void line_deliver(line_t *l, const msg_event_t *event)
{
    line_delivery(l, event);
    put_kref(l, "target", event->target);
    if (event->method.len) put_text(l, "method", event->method);
    put_kref(l, text_is(event->kind, "notify") ? "promise" : "result", event->promise);
    put_number(l, "wait_us", event->wait_us);
}

static void line_done(line_t *l, const msg_event_t *event)
{
    line_delivery(l, event);
    put_bool(l, "ok", event->ok);
    put_number(l, "run_us", event->run_us);
    put_number(l, "syscalls", event->syscalls);
    put_number(l, "computrons", event->computrons);
}

static void line_resolve(line_t *l, const msg_event_t *event)
{
    if (event->parent_vat) put_span(l, "parent", 'd', event->parent_vat, event->parent_d, 0);
    put_kref(l, "promise", event->promise);
    put_id(l, "vat", 'v', event->vat.n);
    put_text(l, "name", event->name);
    put_bool(l, "rejected", event->rejected);
    if (l->args == ARGS_NONE) return;
    text_t value = {(const char *)event->data.body.at, event->data.body.len};
    put_text(l, "value", cut(value, l->args, SIZE_MAX));
}

/* The kernel itself does what the message asks for. */
static void line_service(line_t *l, const msg_event_t *event)
{
    put_message_span(l, "parent", event->msg);
    put_message(l, event->msg);
    put_text(l, "kind", event->kind);
    put_kref(l, "target", event->target);
    put_text(l, "method", event->method);
    put_arguments(l, event);
    put_kref(l, "result", event->promise);
}

static void line_other(line_t *l, const msg_event_t *event)
{
    text_t level = event->kind;

    if (event->vat.n)
        put_vat(l, event);
    else if (event->name.len)
        put_text(l, "name", event->name);
    if (!event->vat.n && event->host.n) put_id(l, "on", 'h', event->host.n);
    if (event->d) put_number(l, "delivery", event->d);
    if (text_is(event->type, "console")) {
        const char *blank = memchr(level.at, ' ', level.len);
        if (blank) level.len = (size_t)(blank - level.at);
        put_text(l, "level", level);
        if (blank && event->kind.len > level.len + 1) {
            put_text(l, "source", (text_t){blank + 1, event->kind.len - level.len - 1});
        }
    }
    put_text(l, "body", event->text);
}

void event_line(FILE *out, const msg_event_t *event, uint64_t seq, uint64_t bytes,
                args_shown_t args)
{
    line_t line = {out, false, args, bytes > event->data.body.len ? bytes : event->data.body.len};

    put_head(&line, event, seq);
    if (text_is(event->type, "send"))
        line_send(&line, event);
    else if (text_is(event->type, "deliver"))
        line_deliver(&line, event);
    else if (text_is(event->type, "done"))
        line_done(&line, event);
    else if (text_is(event->type, "resolve"))
        line_resolve(&line, event);
    else if (text_is(event->type, "service"))
        line_service(&line, event);
    else
        line_other(&line, event);
    fputs("}\n", out);
}

/* ---- who gets it ---- */

void events_put(events_t *self, const msg_event_t *event, uint64_t bytes)
{
    if (self->lines) event_line(self->lines, event, ++self->seq, bytes, self->args);
    if (self->people && (self->traffic || !event_is_traffic(event))) event_show(self, event, bytes);
}

void events_take(void *context, const msg_event_t *event)
{
    events_t *self = context;

    if (event_wanted(self, event)) events_put(self, event, event->data.body.len);
}
