#include "cli/events.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/json.h"
#include "cli/value.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

enum { ARGUMENTS_SHOWN_MAX = 1000, SHORT_HASH = 19 /* "b1-" and 16 digits */ };

static bool is(text_t text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

/* ---- JSON Lines ---- */

typedef struct {
    FILE *out;
    bool more;
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

/* The arguments of methargs, without the method. */
static void arguments_show(buf_t *out, const capdata_t *data)
{
    buf_t all = buf_of(CAPDATA_BYTES_MAX);
    capdata_t arguments = *data;
    const char *at = (const char *)data->body.at;
    size_t i = 2;

    /* "#[" and the method, which is a string or (for a call) "#undefined": no comma stands open. */
    if (data->body.len < 4) return;
    if (at[i] == '"') {
        for (i++; i < data->body.len && at[i] != '"'; i++) i += at[i] == '\\';
    }
    while (i < data->body.len && at[i] != ',') i++;
    if (i + 1 < data->body.len && !buf_add(&all, "#", 1) &&
        !buf_add(&all, at + i + 1, data->body.len - i - 2)) {
        arguments.body = (bin_t){all.at, all.len};
        if (value_show(out, &arguments)) buf_reset(out);
    }
    buf_clear(&all);
}

static void put_arguments(line_t *l, const capdata_t *data)
{
    buf_t shown = buf_of(CAPDATA_BYTES_MAX);

    arguments_show(&shown, data);
    put_text(l, "args",
             (text_t){(const char *)shown.at,
                      shown.len < ARGUMENTS_SHOWN_MAX ? shown.len : ARGUMENTS_SHOWN_MAX});
    buf_clear(&shown);
}

/* A vat-upgrade says the bundle's hash, or why there was none. */
static bool is_upgraded(const msg_event_t *event)
{
    return event->text.len > 3 && memcmp(event->text.at, "b1-", 3) == 0;
}

static const char *severity(const msg_event_t *event)
{
    if (is(event->type, "resolve")) return event->rejected ? "WARN" : "INFO";
    if (is(event->type, "done")) return event->ok ? "INFO" : "ERROR";
    if (is(event->type, "vat-exit") || is(event->type, "vat-quarantine")) return "WARN";
    if (is(event->type, "vat-upgrade")) return is_upgraded(event) ? "INFO" : "WARN";
    if (!is(event->type, "console")) return "INFO";
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
    put_arguments(l, &event->data);
    put_kref(l, "result", event->promise);
    put_number(l, "bytes", event->data.body.len);
}

static void line_delivery(line_t *l, const msg_event_t *event)
{
    bool notify = is(event->kind, "notify");

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
    put_kref(l, is(event->kind, "notify") ? "promise" : "result", event->promise);
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
    put_text(l, "value", (text_t){(const char *)event->data.body.at, event->data.body.len});
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
    if (is(event->type, "console")) {
        const char *blank = memchr(level.at, ' ', level.len);
        if (blank) level.len = (size_t)(blank - level.at);
        put_text(l, "level", level);
        if (blank && event->kind.len > level.len + 1) {
            put_text(l, "source", (text_t){blank + 1, event->kind.len - level.len - 1});
        }
    }
    put_text(l, "body", event->text);
}

void event_line(FILE *out, const msg_event_t *event, uint64_t seq)
{
    line_t line = {out, false};

    put_head(&line, event, seq);
    if (is(event->type, "send"))
        line_send(&line, event);
    else if (is(event->type, "deliver"))
        line_deliver(&line, event);
    else if (is(event->type, "done"))
        line_done(&line, event);
    else if (is(event->type, "resolve"))
        line_resolve(&line, event);
    else
        line_other(&line, event);
    fputs("}\n", out);
}

/* ---- for people ---- */

void put_safely(FILE *out, text_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xa0;
        if (c1) i++;
        fputc(c1 || (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f ? '?' : c, out);
    }
}

static void show_name(events_t *self, const msg_event_t *event)
{
    static const char *const colors[] = {"36", "33", "32", "35", "34", "96"};
    char number[16];
    text_t name = event->name;

    if (!name.len) {
        snprintf(number, sizeof number, event->vat.n ? "v%u" : "cli", event->vat.n);
        name = text_of(number);
    }
    if (name.len > self->width) self->width = name.len;
    if (self->color) fprintf(self->people, "\033[%sm", colors[event->vat.n % 6]);
    put_safely(self->people, name);
    fprintf(self->people, "%*s |%s ", (int)(self->width - name.len), "",
            self->color ? "\033[0m" : "");
}

static void show_console(events_t *self, const msg_event_t *event)
{
    text_t rest = event->text;

    do {
        const char *end = rest.len ? memchr(rest.at, '\n', rest.len) : NULL;
        size_t len = end ? (size_t)(end - rest.at) : rest.len;
        show_name(self, event);
        put_safely(self->people, (text_t){rest.at, len});
        fputc('\n', self->people);
        rest = end ? (text_t){end + 1, rest.len - len - 1} : (text_t){rest.at, 0};
    } while (rest.len);
}

static void show_data(events_t *self, const capdata_t *data, bool arguments)
{
    buf_t shown = buf_of(CAPDATA_BYTES_MAX);

    if (arguments)
        arguments_show(&shown, data);
    else if (value_show(&shown, data))
        buf_reset(&shown);
    text_t text = {(const char *)shown.at, shown.len};
    if (arguments && text.len >= 2) text = (text_t){text.at + 1, text.len - 2};
    put_safely(self->people, text.len > 200 ? (text_t){text.at, 200} : text);
    buf_clear(&shown);
}

static void show_time(FILE *out, uint64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm parts;
    char text[32];

    strftime(text, sizeof text, "%H:%M:%S", localtime_r(&seconds, &parts));
    fprintf(out, "%s.%06u  ", text, (unsigned)(time_us % 1000000));
}

static void show_traffic(events_t *self, const msg_event_t *event)
{
    char kref[KREF_TEXT_MAX];
    FILE *out = self->people;

    show_time(out, event->time_us);
    show_name(self, event);
    if (is(event->type, "send")) {
        fprintf(out, "-> %s.", kref_text(event->target, kref));
        put_safely(out, event->method);
        fputc('(', out);
        show_data(self, &event->data, true);
        fprintf(out, ")  v%u/%llu#%u", event->msg.vat.n, (unsigned long long)event->msg.d,
                event->msg.n);
        if (!kref_none(event->promise)) fprintf(out, "  %s", kref_text(event->promise, kref));
    } else if (is(event->type, "deliver")) {
        fprintf(out, "<- %.*s", (int)event->kind.len, event->kind.at);
        if (is(event->kind, "message")) {
            fprintf(out, " v%u/%llu#%u", event->msg.vat.n, (unsigned long long)event->msg.d,
                    event->msg.n);
        } else if (!kref_none(event->promise)) {
            fprintf(out, " %s", kref_text(event->promise, kref));
        }
        fprintf(out, "  waited %.2f ms", (double)event->wait_us / 1000);
    } else if (is(event->type, "done")) {
        fprintf(out, "%s  ran %.2f ms, %llu syscalls", event->ok ? "done" : "failed",
                (double)event->run_us / 1000, (unsigned long long)event->syscalls);
    } else {
        fprintf(out, "%s %s  ", event->rejected ? "rejects" : "resolves",
                kref_text(event->promise, kref));
        show_data(self, &event->data, false);
    }
    fputc('\n', out);
}

/* What it runs from now on, or why the new code did not. */
static void show_upgrade(const events_t *self, const msg_event_t *event)
{
    FILE *out = self->people;
    bool done = is_upgraded(event);
    text_t text = event->text;

    fprintf(out, "vat v%u ", event->vat.n);
    put_safely(out, event->name);
    if (done && text.len > SHORT_HASH) text.len = SHORT_HASH;
    fputs(done ? " upgraded to " : ": ", out);
    put_safely(out, text);
    fputs(done ? "...\n" : "\n", out);
}

static void show_life(events_t *self, const msg_event_t *event)
{
    FILE *out = self->people;

    if (is(event->type, "vat-upgrade")) show_upgrade(self, event);
    bool quarantined = is(event->type, "vat-quarantine");
    if (!quarantined && !is(event->type, "vat-exit")) return;
    fprintf(out, "vat v%u ", event->vat.n);
    put_safely(out, event->name);
    fputs(quarantined ? " is in quarantine: " : " ended: ", out);
    buf_t reason = buf_of(4 * TEXT_BYTES_MAX);
    err_t err = value_show_reason(&reason, event->text);
    put_safely(out, err ? event->text : (text_t){(const char *)reason.at, reason.len});
    fputc('\n', out);
    buf_clear(&reason);
}

static bool wanted(const events_t *self, const msg_event_t *event)
{
    char number[16];

    if (!self->vat_count) return true;
    snprintf(number, sizeof number, "v%u", event->vat.n);
    for (size_t i = 0; i < self->vat_count; i++) {
        const char *name = *self->vats[i] == '@' ? self->vats[i] + 1 : self->vats[i];
        if (is(event->name, name) || strcmp(number, name) == 0) return true;
    }
    return false;
}

void events_take(void *context, const msg_event_t *event)
{
    events_t *self = context;
    bool traffic = is(event->type, "send") || is(event->type, "deliver") ||
                   is(event->type, "done") || is(event->type, "resolve");

    if (!wanted(self, event)) return;
    if (self->lines) event_line(self->lines, event, ++self->seq);
    if (!self->people) return;
    if (is(event->type, "console"))
        show_console(self, event);
    else if (!traffic)
        show_life(self, event);
    else if (self->traffic)
        show_traffic(self, event);
}
