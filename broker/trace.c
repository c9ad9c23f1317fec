/* A record is its numbers and then its texts, the body and the slots, packed. Records stand one behind the
 * other in a ring of bytes and never go over its end. */
#include "broker/trace.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

enum {
    PAGE_BYTES = 1024 * 1024, /* others wait while a page is made */
    EVENT_FIELDS = 23,        /* all of which a record keeps */
    MARK_EVERY = 64,          /* records, whose sizes differ: so many are stepped over at most */
    MARKS = TRACE_EVENTS_MAX / MARK_EVERY + 2,
};

typedef struct {
    uint32_t size;  /* with what follows, in whole words; 0: the ring goes on at its beginning */
    uint32_t bytes; /* of the whole body */
    uint64_t time_us, durable_us, d, msg_d, parent_d, computrons;
    kref_t target, promise;
    id128_t trace;
    uint32_t msg_vat, msg_n, parent_vat, wait_us, run_us, syscalls;
    vat_t from, vat;
    host_t host;
    uint16_t body, text; /* lengths of what follows, in this order */
    uint8_t type, name, kind, method;
    uint8_t slots, topic;
    bool rejected, ok;
} record_head_t;

_Static_assert(sizeof(record_head_t) % 8 == 0, "records are whole words");

struct trace {
    uint8_t *at;         /* TRACE_BYTES_MAX */
    size_t first, end;   /* the oldest record; behind the newest one */
    size_t count;        /* records */
    uint64_t seq;        /* number of the oldest record */
    size_t open;         /* the first record that is not durable yet, */
    size_t open_count;   /* and how many these are */
    size_t marks[MARKS]; /* where the records stand whose numbers are multiples of MARK_EVERY */
};

trace_t *trace_new(void)
{
    trace_t *self = calloc(1, sizeof *self);
    must(self);
    self->at = malloc(TRACE_BYTES_MAX); /* pages that nothing was written to are not there */
    must(self->at);
    self->seq = 1;
    must(message_find(TAG_event)->field_count == EVENT_FIELDS);
    return self;
}

void trace_destroy(trace_t **self_p)
{
    trace_t *self = *self_p;
    if (!self) return;
    free(self->at);
    free(self);
    *self_p = NULL;
}

/* ---- packing ---- */

/* Whole characters only: what comes out is a text again. */
static size_t cut(const char *at, size_t len, size_t most)
{
    if (len <= most) return len;
    while (most && ((uint8_t)at[most] & 0xc0) == 0x80) most--;
    return most;
}

static uint32_t number(uint64_t n) { return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX; }

/* All but the lengths. */
static record_head_t numbers_of(const msg_event_t *event, unsigned topic)
{
    return (record_head_t){
        .time_us = event->time_us,
        .d = event->d,
        .msg_d = event->msg.d,
        .parent_d = event->parent_d,
        .computrons = event->computrons,
        .target = event->target,
        .promise = event->promise,
        .trace = event->trace,
        .msg_vat = event->msg.vat.n,
        .msg_n = event->msg.n,
        .parent_vat = (uint32_t)event->parent_vat,
        .wait_us = number(event->wait_us),
        .run_us = number(event->run_us),
        .syscalls = number(event->syscalls),
        .from = event->from,
        .vat = event->vat,
        .host = event->host,
        .topic = (uint8_t)topic,
        .rejected = event->rejected,
        .ok = event->ok != 0,
    };
}

static uint8_t *put(uint8_t *to, const void *at, size_t len)
{
    if (len) memcpy(to, at, len);
    return to + len;
}

static size_t name_len(text_t name) { return cut(name.at, name.len, NAME_BYTES_MAX); }

static bool is_deliver(const msg_event_t *event) { return text_is(event->type, "deliver"); }

/* Returns the end. A body that is cut names nothing any more. */
static uint8_t *pack(uint8_t *to, record_head_t *head, const msg_event_t *event)
{
    /* A delivery's is that of its message, which stands before it. */
    const capdata_t none = {0}, *data = is_deliver(event) ? &none : &event->data;
    head->bytes = (uint32_t)data->body.len;
    head->type = (uint8_t)name_len(event->type);
    head->name = (uint8_t)name_len(event->name);
    head->kind = (uint8_t)name_len(event->kind);
    head->method = (uint8_t)name_len(event->method);
    head->body = (uint16_t)cut((const char *)data->body.at, data->body.len, TRACE_BODY_BYTES_MAX);
    head->text = (uint16_t)cut(event->text.at, event->text.len, TRACE_BODY_BYTES_MAX);
    if (head->body == data->body.len && data->slots.count <= TRACE_SLOTS_MAX)
        head->slots = (uint8_t)data->slots.count;
    to = put(to, data->slots.at, head->slots * sizeof(kref_t));
    to = put(to, data->body.at, head->body);
    to = put(to, event->text.at, head->text);
    to = put(to, event->type.at, head->type);
    to = put(to, event->name.at, head->name);
    to = put(to, event->kind.at, head->kind);
    return put(to, event->method.at, head->method);
}

static text_t get(const uint8_t **from, size_t len)
{
    text_t text = {(const char *)*from, len};
    *from += len;
    return text;
}

/* Borrows from the record, which begins at a multiple of eight bytes. */
static msg_event_t unpack(const uint8_t *record, const record_head_t *head)
{
    const uint8_t *from = record + sizeof *head;
    msg_event_t event = {
        .time_us = head->time_us,
        .trace = head->trace,
        .msg = {{head->msg_vat}, head->msg_d, head->msg_n},
        .parent_vat = head->parent_vat,
        .parent_d = head->parent_d,
        .from = head->from,
        .vat = head->vat,
        .host = head->host,
        .d = head->d,
        .target = head->target,
        .promise = head->promise,
        .rejected = head->rejected,
        .ok = head->ok,
        .wait_us = head->wait_us,
        .run_us = head->run_us,
        .syscalls = head->syscalls,
        .computrons = head->computrons,
    };
    event.data.slots = (krefs_t){(const kref_t *)(const void *)from, head->slots};
    from += head->slots * sizeof(kref_t);
    text_t body = get(&from, head->body);
    event.data.body = (bin_t){(const uint8_t *)body.at, body.len};
    event.text = get(&from, head->text);
    event.type = get(&from, head->type);
    event.name = get(&from, head->name);
    event.kind = get(&from, head->kind);
    event.method = get(&from, head->method);
    return event;
}

/* ---- the ring ---- */

/* Where the record stands that AT means: AT, or the beginning when the ring goes on there. */
static size_t settle(const trace_t *self, size_t at)
{
    if (at + sizeof(record_head_t) > TRACE_BYTES_MAX) return 0;
    uint32_t size;
    memcpy(&size, self->at + at, sizeof size);
    return size ? at : 0;
}

static record_head_t head_at(const trace_t *self, size_t at)
{
    record_head_t head;
    memcpy(&head, self->at + at, sizeof head);
    return head;
}

static size_t size_at(const trace_t *self, size_t at)
{
    uint32_t size;
    memcpy(&size, self->at + at, sizeof size);
    return size;
}

/* FIRST and OPEN always are where a record stands, when there is one. */
static void drop_oldest(trace_t *self)
{
    size_t next = self->first + size_at(self, self->first);
    bool was_open = self->open_count == self->count;
    self->count--;
    self->seq++;
    self->first = self->count ? settle(self, next) : self->end;
    if (!was_open) return;
    self->open_count--;
    self->open = self->first;
}

/* Makes room for a record of the largest size and gives its place. */
static uint8_t *make_room(trace_t *self)
{
    const size_t most = sizeof(record_head_t) + TRACE_EVENT_BYTES_MAX;
    if (self->count == TRACE_EVENTS_MAX) drop_oldest(self);
    if (self->end + most > TRACE_BYTES_MAX) {
        while (self->count && self->first >= self->end) drop_oldest(self);
        if (self->end + sizeof(record_head_t) <= TRACE_BYTES_MAX)
            memset(self->at + self->end, 0, sizeof(uint32_t));
        self->end = 0;
    }
    while (self->count && self->first >= self->end && self->first < self->end + most)
        drop_oldest(self);
    if (self->count == 0) self->first = self->end;
    if (self->open_count == 0) self->open = self->end;
    return self->at + self->end;
}

void trace_take(void *context, unsigned topic, const msg_event_t *event)
{
    trace_t *self = context;
    uint8_t *record = make_room(self);
    uint64_t seq = self->seq + self->count;
    if (seq % MARK_EVERY == 0) self->marks[seq / MARK_EVERY % MARKS] = self->end;
    record_head_t head = numbers_of(event, topic);
    const uint8_t *end = pack(record + sizeof head, &head, event);
    head.size = ((uint32_t)(end - record) + 7) & ~7u;
    memcpy(record, &head, sizeof head);
    self->end += head.size;
    self->count++;
    self->open_count++;
}

void trace_durable(trace_t *self, uint64_t now_us)
{
    for (size_t at = self->open; self->open_count; self->open_count--) {
        at = settle(self, at);
        memcpy(self->at + at + offsetof(record_head_t, durable_us), &now_us, sizeof now_us);
        at += size_at(self, at);
    }
    self->open = self->end;
}

/* ---- asking ---- */

typedef struct {
    const trace_t *trace;
    size_t at, left; /* next record; records from there on */
    uint64_t seq;
    record_head_t head;
    msg_event_t event;
} walk_t;

static walk_t walk(const trace_t *self)
{
    return (walk_t){.trace = self, .at = self->first, .left = self->count, .seq = self->seq - 1};
}

/* From record FIRST on; those before it are not looked at. */
static walk_t walk_from(const trace_t *self, uint64_t first)
{
    walk_t w = walk(self);
    uint64_t skip = first > self->seq ? first - self->seq : 0, at = 0;
    if (skip > self->count) skip = self->count;
    w.left -= skip;
    w.seq += skip;
    if (w.left == 0) return w;
    uint64_t mark = first / MARK_EVERY;
    if (mark * MARK_EVERY > self->seq) {
        at = mark * MARK_EVERY - self->seq;
        w.at = self->marks[mark % MARKS];
    }
    for (; at < skip; at++) {
        w.at = settle(self, w.at);
        w.at += size_at(self, w.at);
    }
    return w;
}

static bool walk_next(walk_t *self)
{
    const trace_t *trace = self->trace;
    if (self->left == 0) return false;
    self->at = settle(trace, self->at);
    self->head = head_at(trace, self->at);
    self->event = unpack(trace->at + self->at, &self->head);
    self->at += self->head.size;
    self->left--;
    self->seq++;
    return true;
}

static bool no_id(const id128_t *id) { return memcmp(id, &(id128_t){{0}}, sizeof *id) == 0; }

static bool same_msg(msgid_t a, msgid_t b)
{
    return a.vat.n == b.vat.n && a.d == b.d && a.n == b.n;
}

static bool names_any(const msg_trace_t *ask)
{
    return !no_id(&ask->trace) || ask->msg.d || ask->d || ask->promise.n;
}

/* Whether EVENT is about what ASK names. A notify and a settlement carry the crank that settled, not a message. */
static bool is_about(const msg_event_t *event, const msg_trace_t *ask)
{
    if (!no_id(&ask->trace)) return memcmp(&event->trace, &ask->trace, sizeof ask->trace) == 0;
    if (ask->msg.d) return same_msg(event->msg, ask->msg);
    if (ask->d) return event->vat.n == ask->vat.n && event->d == ask->d;
    return event->promise.n == ask->promise.n;
}

/* Zeros when nothing was found, and when nothing of it belongs to a trace. */
static id128_t find_trace(const trace_t *self, const msg_trace_t *ask)
{
    for (walk_t w = walk(self); walk_next(&w);) {
        if (is_about(&w.event, ask) && !no_id(&w.event.trace)) return w.event.trace;
    }
    return (id128_t){{0}};
}

static bool add_row(const walk_t *w, buf_t *frame, buf_t *rows)
{
    buf_reset(frame);
    must(!msg_encode(TAG_event, &w->event, frame));
    msg_trace_row_t row = {.seq = w->seq,
                           .durable_us = w->head.durable_us,
                           .bytes = w->head.bytes,
                           .event = {frame->at, frame->len}};
    return !msg_encode(TAG_trace_row, &row, rows);
}

err_t trace_page(const trace_t *self, const msg_trace_t *ask, buf_t *rows, uint64_t *ret_next)
{
    unsigned topics = ask->topics ? (unsigned)ask->topics : TOPIC_CONSOLE | TOPIC_TRAFFIC;
    bool all = !names_any(ask);
    id128_t trace = all ? (id128_t){{0}} : find_trace(self, ask);
    if (!all && no_id(&trace)) return ERR_TRACE_GONE;
    buf_t frame = buf_of(TRACE_EVENT_BYTES_MAX);
    uint64_t next = 0;
    for (walk_t w = walk_from(self, ask->first); walk_next(&w);) {
        if (!(w.head.topic & topics)) continue;
        if (w.event.time_us < ask->since_us) continue;
        if (!all && memcmp(&w.event.trace, &trace, sizeof trace) != 0) continue;
        if (rows->len < PAGE_BYTES && add_row(&w, &frame, rows)) continue;
        next = w.seq;
        break;
    }
    buf_clear(&frame);
    *ret_next = next;
    return ERR_OK;
}

size_t trace_count(const trace_t *self) { return self->count; }

uint64_t trace_since_us(const trace_t *self)
{
    walk_t w = walk(self);
    return walk_next(&w) ? w.event.time_us : 0;
}
