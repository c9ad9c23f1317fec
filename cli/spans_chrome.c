/* The tree for other programs: Trace Event Format, and mermaid. */
#include <stdlib.h>
#include <string.h>

#include "cli/events.h"
#include "cli/json.h"
#include "cli/spans.h"
#include "wire/base/map.h"
#include "wire/base/must.h"

/* Where a span is drawn: times are whole microseconds, a slice takes at least one. */
typedef struct {
    uint64_t from, to; /* 0, 0: it is not drawn */
} slice_t;

typedef struct {
    const spans_t *spans;
    slice_t *slices; /* by span */
    json_t *events;
    uint64_t arrows;
} chrome_t;

static const span_t *span_at(const chrome_t *self, long at) { return &self->spans->at[at]; }

static bool is_done(const span_t *span) { return span->kind == SPAN_DELIVERY && span->done; }

/* ---- slices ---- */

typedef struct {
    long at;
    uint32_t vat;
    uint64_t d;
} turn_t;

static int by_turn(const void *a, const void *b)
{
    const turn_t *x = a, *y = b;

    if (x->vat != y->vat) return x->vat < y->vat ? -1 : 1;
    return x->d < y->d ? -1 : x->d > y->d;
}

/* A result waits for the broker, so when a vat ran is known from one side only: before it was done. With
 * several in flight they are laid back to back from the last one on: a vat does one at a time, and slices
 * of one thread must not overlap. */
static void place_vats(chrome_t *self)
{
    const spans_t *spans = self->spans;
    turn_t *turns = calloc(spans->shown + 1, sizeof *turns);
    size_t count = 0;

    must(turns);
    for (size_t i = 0; i < spans->shown; i++) {
        const span_t *span = &spans->at[spans->order[i]];
        const msg_event_t *event = span_event(span);
        if (is_done(span)) turns[count++] = (turn_t){spans->order[i], event->vat.n, event->d};
    }
    qsort(turns, count, sizeof *turns, by_turn);
    for (size_t i = count; i-- > 0;) {
        const span_t *span = &spans->at[turns[i].at];
        uint64_t end = span_done_us(span), ran = span->part_us[PART_RAN];
        if (i + 1 < count && turns[i + 1].vat == turns[i].vat) {
            const slice_t *after = &self->slices[turns[i + 1].at];
            if (after->from < end) end = after->from;
        }
        uint64_t left = span->event->durable_us;
        if (end > left && end - left < ran)
            ran = end - left; /* it did not run before it was sent */
        if (ran == 0) ran = 1;
        self->slices[turns[i].at] = (slice_t){end - ran, end};
    }
    free(turns);
}

/* What came from outside is a slice as long as its answer took: the arrows begin somewhere. */
static void place_roots(chrome_t *self)
{
    const spans_t *spans = self->spans;
    uint64_t after = 0; /* one thread: they stand behind each other when they must */

    for (size_t i = 0; i < spans->shown; i++) {
        const span_t *span = &spans->at[spans->order[i]];
        const msg_event_t *event = span_event(span);
        if (span->kind != SPAN_MESSAGE || span->parent != SPAN_NONE || event->from.n) continue;
        uint64_t from = event->time_us > after ? event->time_us : after, to = from + 1;
        if (spans->end_us > to && spans->order[0] == spans->order[i]) to = spans->end_us;
        self->slices[spans->order[i]] = (slice_t){from, to};
        after = to;
    }
}

static void add_slice(chrome_t *self, long at)
{
    const span_t *span = span_at(self, at);
    const msg_event_t *event = span_event(span);
    const slice_t *slice = &self->slices[at];
    json_t *json = json_object(), *args = json_object();

    if (slice->to == 0) {
        json_decref(json);
        json_decref(args);
        return;
    }
    json_object_set_new(json, "name",
                        event->method.len ? json_text(event->method) : json_text(event->kind));
    json_object_set_new(json, "cat",
                        json_string(span->kind == SPAN_DELIVERY ? "delivery" : "call"));
    json_object_set_new(json, "ph", json_string("X"));
    json_object_set_new(json, "pid", json_integer(event->host.n));
    json_object_set_new(json, "tid", json_integer(event->vat.n));
    json_object_set_new(json, "ts", json_integer((json_int_t)slice->from));
    json_object_set_new(json, "dur", json_integer((json_int_t)(slice->to - slice->from)));
    if (span->kind == SPAN_DELIVERY) {
        json_object_set_new(args, "delivery",
                            json_sprintf("v%u/%llu", event->vat.n, (unsigned long long)event->d));
        for (part_t part = 0; part < PARTS; part++) {
            char key[16];
            snprintf(key, sizeof key, "%s_us", part_name(part));
            json_object_set_new(args, key, json_integer((json_int_t)span->part_us[part]));
        }
        json_object_set_new(args, "ok", json_boolean(span->done->event.body.event.ok));
    }
    json_object_set_new(json, "args", args);
    json_array_append_new(self->events, json);
}

/* ---- arrows ---- */

/* The nearest span above AT that is drawn. */
static long drawn_above(const chrome_t *self, long at)
{
    do at = span_at(self, at)->parent;
    while (at != SPAN_NONE && self->slices[at].to == 0);
    return at;
}

static void add_end(chrome_t *self, const char *phase, long at, uint64_t ts,
                    const msg_event_t *what)
{
    const msg_event_t *where = span_event(span_at(self, at));
    json_t *json = json_object();

    json_object_set_new(json, "name",
                        what->method.len ? json_text(what->method) : json_text(what->kind));
    json_object_set_new(json, "cat", json_string("message"));
    json_object_set_new(json, "ph", json_string(phase));
    if (*phase == 'f') json_object_set_new(json, "bp", json_string("e"));
    json_object_set_new(json, "id", json_integer((json_int_t)self->arrows));
    json_object_set_new(json, "pid", json_integer(where->host.n));
    json_object_set_new(json, "tid", json_integer(where->vat.n));
    json_object_set_new(json, "ts", json_integer((json_int_t)ts));
    json_array_append_new(self->events, json);
}

/* From the last moment of the crank that sent, which is when its messages leave, or (a call) from the first, to the
 * first moment of the one that it set off. */
static void add_arrow(chrome_t *self, long at)
{
    const span_t *span = span_at(self, at);
    const slice_t *to = &self->slices[at];
    long above = span->kind == SPAN_DELIVERY && to->to ? drawn_above(self, at) : SPAN_NONE;

    if (above == SPAN_NONE) return;
    const slice_t *from = &self->slices[above];
    bool call = span_at(self, above)->kind == SPAN_MESSAGE;
    self->arrows++;
    add_end(self, "s", above, call ? from->from : from->to - 1, span_event(span));
    add_end(self, "f", at, to->from, span_event(span));
}

/* ---- names ---- */

static void add_name(chrome_t *self, const char *what, uint32_t host, uint32_t vat, json_t *name)
{
    json_array_append_new(self->events,
                          json_pack("{s:s,s:s,s:i,s:i,s:{s:o}}", "name", what, "ph", "M", "pid",
                                    (int)host, "tid", (int)vat, "args", "name", name));
}

static int by_place(const void *a, const void *b)
{
    const msg_event_t *x = *(const msg_event_t *const *)a, *y = *(const msg_event_t *const *)b;

    if (x->host.n != y->host.n) return x->host.n < y->host.n ? -1 : 1;
    return x->vat.n < y->vat.n ? -1 : x->vat.n > y->vat.n;
}

static void add_names(chrome_t *self)
{
    const spans_t *spans = self->spans;
    const msg_event_t **places = calloc(spans->shown + 1, sizeof *places);
    size_t count = 0;

    must(places);
    for (size_t i = 0; i < spans->shown; i++) {
        if (self->slices[spans->order[i]].to)
            places[count++] = span_event(&spans->at[spans->order[i]]);
    }
    qsort(places, count, sizeof *places, by_place);
    for (size_t i = 0; i < count; i++) {
        const msg_event_t *here = places[i], *before = i ? places[i - 1] : NULL;
        if (!before || before->host.n != here->host.n) {
            add_name(self, "process_name", here->host.n, 0,
                     here->host.n ? json_sprintf("h%u", here->host.n) : json_string("clients"));
        }
        if (!before || by_place(&before, &here) != 0) {
            add_name(self, "thread_name", here->host.n, here->vat.n,
                     here->vat.n
                         ? json_sprintf("v%u %.*s", here->vat.n, (int)here->name.len, here->name.at)
                         : json_string("cli"));
        }
    }
    free(places);
}

void spans_chrome(const spans_t *self, FILE *out)
{
    chrome_t chrome = {.spans = self, .events = json_array()};

    chrome.slices = calloc(self->count + 1, sizeof *chrome.slices);
    must(chrome.slices);
    place_vats(&chrome);
    place_roots(&chrome);
    add_names(&chrome);
    for (size_t i = 0; i < self->shown; i++) add_slice(&chrome, self->order[i]);
    for (size_t i = 0; i < self->shown; i++) add_arrow(&chrome, self->order[i]);
    json_t *json = json_pack("{s:o,s:s}", "traceEvents", chrome.events, "displayTimeUnit", "ms");
    json_print(json, out);
    fputc('\n', out);
    json_decref(json);
    free(chrome.slices);
}

/* ---- mermaid ---- */

/* Names of participants are vats' numbers; the diagram's own signs may not be in a text. */
static void put_plain(FILE *out, text_t text)
{
    for (size_t i = 0; i < text.len && i < 80; i++) {
        char c = text.at[i];
        fputc((unsigned char)c < 0x20 || strchr(";#:<>{}%", c) ? ' ' : c, out);
    }
}

static void put_shown(FILE *out, const span_t *span, bool arguments)
{
    buf_t shown = buf_of(CAPDATA_BYTES_MAX);

    event_data(&shown, span_event(span), span->event->bytes, arguments);
    put_plain(out, (text_t){(const char *)shown.at, shown.len});
    buf_clear(&shown);
}

static void put_who(FILE *out, uint32_t vat)
{
    if (vat)
        fprintf(out, "v%u", vat);
    else
        fputs("cli", out);
}

/* Each vat once, in the order in which they appear. */
static void put_participants(const spans_t *self, FILE *out)
{
    map_t known = {0};

    for (size_t i = 0; i < self->shown; i++) {
        const msg_event_t *event = span_event(&self->at[self->order[i]]);
        if (event->vat.n == 0 || map_get(&known, event->vat.n)) continue;
        map_put(&known, event->vat.n, out);
        fprintf(out, "  participant v%u as v%u ", event->vat.n, event->vat.n);
        put_plain(out, event->name);
        fputc('\n', out);
    }
    map_clear(&known);
}

void spans_mermaid(const spans_t *self, FILE *out)
{
    char kref[KREF_TEXT_MAX];

    fputs("sequenceDiagram\n", out);
    put_participants(self, out);
    for (size_t i = 0; i < self->shown; i++) {
        const span_t *span = &self->at[self->order[i]];
        const msg_event_t *event = span_event(span);
        if (span->kind == SPAN_MESSAGE && kref_is_object(event->target)) {
            fputs("  ", out);
            put_who(out, event->from.n);
            fputs("->>", out);
            put_who(out, kref_issuer(event->target).n);
            fputs(": ", out);
            put_plain(out, event->method);
            fputc('(', out);
            put_shown(out, span, true);
            fputs(")\n", out);
        } else if (span->kind == SPAN_SETTLED) {
            fputs("  Note over ", out);
            put_who(out, event->vat.n);
            fprintf(out, ": %s %s ", event->rejected ? "rejects" : "resolves",
                    kref_text(event->promise, kref));
            put_shown(out, span, false);
            fputc('\n', out);
        }
    }
}
