/* The tree for people, and as JSON. */
#include <stdlib.h>
#include <string.h>

#include "cli/events_own.h"
#include "cli/json.h"
#include "cli/spans.h"
#include "cli/value.h"

enum { INDENT_MAX = 24, SHOWN_MAX = 100 /* of arguments and values */ };

typedef struct {
    const spans_t *spans;
    FILE *out;
    bool color;
} show_t;

static double ms(uint64_t us) { return (double)us / 1000; }

static void put_short(FILE *out, text_t text)
{
    size_t len = text.len;

    if (len > SHOWN_MAX) {
        for (len = SHOWN_MAX; len && ((unsigned char)text.at[len] & 0xc0) == 0x80;) len--;
    }
    put_safely(out, (text_t){text.at, len});
    if (len < text.len) fputs("...", out);
}

static void put_vat(FILE *out, const msg_event_t *event)
{
    if (event->vat.n)
        fprintf(out, "v%u ", event->vat.n);
    else
        fputs("kernel ", out);
    put_safely(out, event->name);
}

static void put_msgid(FILE *out, msgid_t msg)
{
    fprintf(out, "v%u/%llu#%u", msg.vat.n, (unsigned long long)msg.d, msg.n);
}

/* What a message or a settlement carries, without the brackets of a list of arguments. */
static void put_data(FILE *out, const recalled_t *recalled, bool arguments)
{
    buf_t shown = buf_of(CAPDATA_BYTES_MAX);

    event_data(&shown, &recalled->event.body.event, recalled->bytes, arguments);
    put_short(out, (text_t){(const char *)shown.at, shown.len});
    buf_clear(&shown);
}

static void show_message(const show_t *self, const span_t *span)
{
    const msg_event_t *event = span_event(span);
    char kref[KREF_TEXT_MAX];

    if (span->parent == SPAN_NONE) {
        if (event->from.n)
            put_vat(self->out, event);
        else
            fputs("cli", self->out);
        fputc(' ', self->out);
    }
    fprintf(self->out, "-> %s.", kref_text(event->target, kref));
    put_safely(self->out, event->method);
    fputc('(', self->out);
    put_data(self->out, span->event, true);
    fputs(")  ", self->out);
    put_msgid(self->out, event->msg);
    if (event->promise.n) fprintf(self->out, "  %s", kref_text(event->promise, kref));
}

static void show_parts(const show_t *self, const span_t *span)
{
    const char *between = "";

    for (part_t part = 0; part < PARTS; part++) {
        if (span->part_us[part] < 10 && part != PART_RAN) continue;
        if (part == PART_RAN && !span->done) continue;
        fprintf(self->out, "%s%s %.2f", between, part_name(part), ms(span->part_us[part]));
        between = ", ";
    }
    if (*between) fputs(" ms", self->out);
}

static void show_delivery(const show_t *self, const span_t *span)
{
    const msg_event_t *event = span_event(span);
    char kref[KREF_TEXT_MAX];

    put_vat(self->out, event);
    fprintf(self->out, "  v%u/%llu  ", event->vat.n, (unsigned long long)event->d);
    if (!text_is(event->kind, "message")) {
        put_safely(self->out, event->kind);
        if (event->promise.n) fprintf(self->out, " %s", kref_text(event->promise, kref));
        fputs("  ", self->out);
    }
    show_parts(self, span);
    if (!span->done)
        fputs("  not done yet", self->out);
    else if (!span->done->event.body.event.ok)
        fputs("  failed", self->out);
}

static void show_settled(const show_t *self, const span_t *span)
{
    const msg_event_t *event = span_event(span);
    char kref[KREF_TEXT_MAX];

    if (event->rejected && self->color) fputs("\033[31m", self->out);
    fprintf(self->out, "%s %s  ", event->rejected ? "rejects" : "resolves",
            kref_text(event->promise, kref));
    put_data(self->out, span->event, false);
    if (event->rejected && self->color) fputs("\033[0m", self->out);
    if (span->part_us[PART_COMMIT] >= 10)
        fprintf(self->out, "  commit %.2f ms", ms(span->part_us[PART_COMMIT]));
}

static void show_line(const show_t *self, const span_t *span)
{
    const msg_event_t *event = span_event(span);

    if (text_is(event->type, "service")) {
        put_safely(self->out, event->kind);
        fputs(" does it at once", self->out);
        return;
    }
    put_safely(self->out, text_is(event->type, "console") ? event->name : event->type);
    fputs(" | ", self->out);
    put_short(self->out, event->text);
}

static uint64_t length_us(const spans_t *self)
{
    return self->end_us > self->start_us ? self->end_us - self->start_us : 0;
}

static double share(const spans_t *self, uint64_t us)
{
    uint64_t all = length_us(self);

    return all ? (double)us / (double)all : 0;
}

static void show_span(const show_t *self, long at)
{
    const spans_t *spans = self->spans;
    const span_t *span = &spans->at[at];
    uint64_t time_us = span_event(span)->time_us;
    unsigned indent = 2 * span->depth < INDENT_MAX ? 2 * span->depth : INDENT_MAX;

    fprintf(self->out, "%9.3f  %*s", ms(time_us > spans->start_us ? time_us - spans->start_us : 0),
            (int)indent, "");
    if (2 * span->depth > INDENT_MAX) fprintf(self->out, "(%u) ", span->depth);
    switch (span->kind) {
    case SPAN_MESSAGE: show_message(self, span); break;
    case SPAN_DELIVERY: show_delivery(self, span); break;
    case SPAN_SETTLED: show_settled(self, span); break;
    case SPAN_LINE: show_line(self, span); break;
    }
    if (at == spans->largest) {
        fprintf(self->out, "%s   <== %s: %.0f%% of the time%s", self->color ? "\033[33m" : "",
                part_name(spans->largest_part),
                100 * share(spans, span->part_us[spans->largest_part]),
                self->color ? "\033[0m" : "");
    }
    fputc('\n', self->out);
}

static void put_id(FILE *out, id128_t id)
{
    for (size_t i = 0; i < sizeof id.b; i++) fprintf(out, "%02x", id.b[i]);
}

/* What is asked for may be a part of something larger. */
static void show_cause(const show_t *self)
{
    const spans_t *spans = self->spans;
    if (spans->root == SPAN_NONE) return;
    const span_t *root = &spans->at[spans->root];
    const msg_event_t *event = span_event(root);

    if (root->kind == SPAN_DELIVERY && root->parent != SPAN_NONE) {
        fputs("caused by ", self->out);
        put_msgid(self->out, event->msg);
        fputc('\n', self->out);
    } else if (root->kind != SPAN_DELIVERY && event->msg.vat.n) {
        fprintf(self->out, "caused by v%u/%llu\n", event->msg.vat.n,
                (unsigned long long)event->msg.d);
    }
}

static void put_count(FILE *out, const char *between, size_t count, const char *one,
                      const char *many)
{
    fprintf(out, "%s%zu %s", between, count, count == 1 ? one : many);
}

void spans_show(const spans_t *self, FILE *out, bool color, size_t lines)
{
    show_t show = {self, out, color};
    size_t most = lines && lines < self->shown ? lines : self->shown;
    const char *between = ": ";

    fputs("trace ", out);
    put_id(out, self->trace);
    put_count(out, "  ", self->messages, "message", "messages");
    put_count(out, ", ", self->deliveries, "delivery", "deliveries");
    put_count(out, ", ", self->rejected, "rejected", "rejected");
    if (self->open) fprintf(out, ", %zu not done yet", self->open);
    fputc('\n', out);
    show_cause(&show);
    for (size_t i = 0; i < most; i++) show_span(&show, self->order[i]);
    if (most < self->shown) fprintf(out, "           ... %zu more\n", self->shown - most);
    fprintf(out, "%9.3f ms", ms(length_us(self)));
    for (part_t part = 0; part < PARTS; part++) {
        fprintf(out, "%s%s %.2f (%.0f%%)", between, part_name(part), ms(self->part_us[part]),
                100 * share(self, self->part_us[part]));
        between = ", ";
    }
    fputc('\n', out);
}

/* ---- JSON ---- */

static json_t *json_hex(const uint8_t *at, size_t len)
{
    char text[33];

    for (size_t i = 0; i < len; i++) snprintf(text + 2 * i, 3, "%02x", at[i]);
    return json_string(text);
}

static json_t *json_kref(kref_t kref)
{
    char text[KREF_TEXT_MAX];

    return kref_none(kref) ? json_null() : json_string(kref_text(kref, text));
}

static json_t *json_vat(uint32_t vat)
{
    return vat ? json_sprintf("v%u", vat) : json_string("cli");
}

static void set_parts(json_t *json, const uint64_t part_us[PARTS])
{
    char key[16];

    for (part_t part = 0; part < PARTS; part++) {
        snprintf(key, sizeof key, "%s_us", part_name(part));
        json_object_set_new(json, key, json_integer((json_int_t)part_us[part]));
    }
}

static void set_data(json_t *json, const char *key, const span_t *span, bool arguments)
{
    buf_t shown = buf_of(CAPDATA_BYTES_MAX);

    event_data(&shown, span_event(span), span->event->bytes, arguments);
    json_object_set_new(json, key, json_text((text_t){(const char *)shown.at, shown.len}));
    buf_clear(&shown);
}

static void set_msg(json_t *json, const msg_event_t *event)
{
    if (event->msg.d == 0) return;
    json_object_set_new(json, "msg",
                        json_sprintf("v%u/%llu#%u", event->msg.vat.n,
                                     (unsigned long long)event->msg.d, event->msg.n));
}

static void json_delivery(json_t *json, const span_t *span)
{
    const msg_event_t *event = span_event(span);

    json_object_set_new(json, "vat", json_vat(event->vat.n));
    json_object_set_new(json, "name", json_text(event->name));
    json_object_set_new(json, "on", json_sprintf("h%u", event->host.n));
    json_object_set_new(json, "delivery", json_integer((json_int_t)event->d));
    json_object_set_new(json, "what", json_text(event->kind));
    json_object_set_new(json, "done", json_boolean(span->done));
    if (span->done) json_object_set_new(json, "ok", json_boolean(span->done->event.body.event.ok));
    set_parts(json, span->part_us);
}

static void json_message(json_t *json, const span_t *span)
{
    const msg_event_t *event = span_event(span);

    json_object_set_new(json, "from", json_vat(event->from.n));
    json_object_set_new(json, "target", json_kref(event->target));
    json_object_set_new(json, "method", json_text(event->method));
    set_data(json, "args", span, true);
    json_object_set_new(json, "result", json_kref(event->promise));
}

static json_t *json_span(const spans_t *self, const span_t *span, const size_t *place)
{
    static const char *const kinds[] = {"message", "delivery", "resolve", "line"};
    const msg_event_t *event = span_event(span);
    json_t *json = json_object();

    json_object_set_new(json, "kind", json_string(kinds[span->kind]));
    json_object_set_new(json, "parent",
                        span->depth ? json_integer((json_int_t)place[span->parent]) : json_null());
    json_object_set_new(json, "at_us", json_integer((json_int_t)(event->time_us - self->start_us)));
    json_object_set_new(json, "on_path", json_boolean(span->on_path));
    set_msg(json, event);
    switch (span->kind) {
    case SPAN_MESSAGE: json_message(json, span); break;
    case SPAN_DELIVERY: json_delivery(json, span); break;
    case SPAN_SETTLED:
        json_object_set_new(json, "vat", json_vat(event->vat.n));
        json_object_set_new(json, "promise", json_kref(event->promise));
        json_object_set_new(json, "rejected", json_boolean(event->rejected));
        set_data(json, "value", span, false);
        json_object_set_new(json, "commit_us",
                            json_integer((json_int_t)span->part_us[PART_COMMIT]));
        break;
    case SPAN_LINE:
        json_object_set_new(json, "type", json_text(event->type));
        json_object_set_new(json, "body", json_text(event->text));
        break;
    }
    return json;
}

json_t *spans_json(const spans_t *self)
{
    json_t *json = json_object(), *path = json_object(), *list = json_array();
    size_t *place = calloc(self->count + 1, sizeof *place);

    json_object_set_new(json, "trace_id", json_hex(self->trace.b, sizeof self->trace.b));
    json_object_set_new(json, "messages", json_integer((json_int_t)self->messages));
    json_object_set_new(json, "deliveries", json_integer((json_int_t)self->deliveries));
    json_object_set_new(json, "rejected", json_integer((json_int_t)self->rejected));
    json_object_set_new(json, "open", json_integer((json_int_t)self->open));
    json_object_set_new(json, "elapsed_us", json_integer((json_int_t)length_us(self)));
    set_parts(path, self->part_us);
    json_object_set_new(json, "path", path);
    for (size_t i = 0; i < self->shown && place; i++) {
        place[self->order[i]] = i;
        json_array_append_new(list, json_span(self, &self->at[self->order[i]], place));
    }
    if (self->largest != SPAN_NONE && place) {
        uint64_t us = self->at[self->largest].part_us[self->largest_part];
        json_object_set_new(json, "largest",
                            json_pack("{s:I,s:s,s:I,s:f}", "span", (json_int_t)place[self->largest],
                                      "part", part_name(self->largest_part), "us", (json_int_t)us,
                                      "share", share(self, us)));
    }
    json_object_set_new(json, "spans", list);
    free(place);
    return json;
}
