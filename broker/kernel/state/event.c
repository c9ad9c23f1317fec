/* Effects: frames for hosts and clients, and events for those who watch. */
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/state/own.h"

effect_t *effect_add(kernel_t *k, effect_kind_t kind, uint32_t to)
{
    effects_t *out = k->out;
    out->items = grown(out->items, &out->room, out->count + 1, sizeof *out->items);
    effect_t *effect = &out->items[out->count++];
    *effect = (effect_t){.kind = kind, .to = to};
    return effect;
}

void effects_clear(effects_t *effects)
{
    for (size_t i = 0; i < effects->count; i++) blob_destroy(&effects->items[i].frame);
    free(effects->items);
    *effects = (effects_t){0};
}

/* The limits of limits.h hold together, so a frame of ours always fits. */
blob_t *frame_of(kernel_t *k, msg_tag_t tag, const void *body)
{
    buf_reset(&k->frame);
    must(msg_encode(tag, body, &k->frame) == ERR_OK);
    return blob_new(k->frame.at, k->frame.len);
}

/* NULL: it is away. What it missed follows from its HELLO and ATTACHes. */
effect_t *send_host(kernel_t *k, uint64_t host, msg_tag_t tag, const void *body)
{
    const khost_t *to = host_find(k, host);
    if (!to || !to->connected) return NULL;
    blob_t *frame = frame_of(k, tag, body);
    effect_t *effect = effect_add(k, EFFECT_HOST, (uint32_t)host);
    effect->frame = frame;
    return effect;
}

/* Whether what happens in TRACE is remembered: a trace is, or is not, from its beginning to its end. */
static bool traced(const kernel_t *k, unsigned topic, id128_t trace)
{
    uint32_t first;
    if (k->traced_below == 0 || k->traced_below == TRACES_ALL) return k->traced_below != 0;
    if (memcmp(&trace, &(id128_t){{0}}, sizeof trace) == 0) return topic == TOPIC_CONSOLE;
    memcpy(&first, trace.b, sizeof first);
    return first < k->traced_below;
}

bool event_heard(const kernel_t *k, unsigned topic, id128_t trace)
{
    return (k->topics & topic) || traced(k, topic, trace);
}

static void emit(kernel_t *k, unsigned topic, msg_event_t *event)
{
    event->time_us = k->now_us;
    if (traced(k, topic, event->trace)) k->trace_take(k->trace_context, topic, event);
    if (!(k->topics & topic)) return;
    blob_t *frame = frame_of(k, TAG_event, event);
    effect_t *effect = effect_add(k, EFFECT_WATCH, 0);
    effect->topic = topic;
    effect->frame = frame;
}

static msg_event_t of_vat(const kvat_t *vat)
{
    return (msg_event_t){.vat = vat->id, .name = vat->row.name, .host = {(uint32_t)vat->row.host}};
}

void event_life(kernel_t *k, const char *type, const kvat_t *vat, const khost_t *host, text_t text)
{
    if (!event_heard(k, TOPIC_CONSOLE, (id128_t){{0}})) return;
    msg_event_t event = vat ? of_vat(vat) : (msg_event_t){0};
    event.type = text_of(type);
    event.text = text_cut(text, CONSOLE_BYTES_MAX);
    if (host) {
        event.host = (host_t){(uint32_t)host->row.host};
        event.name = host->row.name;
    }
    emit(k, TOPIC_CONSOLE, &event);
}

/* The delivery LOG was given up. */
void event_poison(kernel_t *k, const kvat_t *vat, const log_t *log, text_t why)
{
    if (!event_heard(k, TOPIC_CONSOLE, log->trace)) return;
    msg_event_t event = of_vat(vat);
    event.type = text_of("vat-poison");
    event.d = log->row.d;
    event.trace = log->trace;
    event.text = text_cut(why, CONSOLE_BYTES_MAX);
    emit(k, TOPIC_CONSOLE, &event);
}

/* A checkpoint of the vat is on its host's disk. */
void event_checkpoint(kernel_t *k, const kvat_t *vat)
{
    if (!event_heard(k, TOPIC_CONSOLE, (id128_t){{0}})) return;
    msg_event_t event = of_vat(vat);
    event.type = text_of("checkpoint");
    event.d = vat->row.checkpoint;
    emit(k, TOPIC_CONSOLE, &event);
}

void event_console(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_console_t *line)
{
    static const char *const levels[] = {"debug", "log", "info", "warn", "error"};
    char kind[NAME_BYTES_MAX + 1];
    size_t n = 0;
    for (const char *s = levels[line->level < 5 ? line->level : 1]; *s; s++) kind[n++] = *s;
    kind[n++] = ' ';
    text_t source = text_cut(line->source, NAME_BYTES_MAX - n);
    for (size_t i = 0; i < source.len; i++) kind[n++] = source.at[i];

    msg_event_t event = of_vat(vat);
    event.type = text_of("console");
    event.d = log->row.d;
    event.trace = log->trace;
    event.kind = (text_t){kind, n};
    event.text = line->text;
    emit(k, TOPIC_CONSOLE, &event);
}

static msgid_t log_msg(const log_t *log)
{
    return (msgid_t){{(uint32_t)log->row.msg_vat}, log->row.msg_d, (uint32_t)log->row.msg_n};
}

static text_t method_of(const value_t *value)
{
    return text_cut(smallcaps_method(value_data(value).body), NAME_BYTES_MAX);
}

static text_t kind_name(unsigned kind) { return text_of(delivery_kind(kind)); }

void event_send(kernel_t *k, const kvat_t *from, uint64_t d, const entry_t *entry)
{
    if (!event_heard(k, TOPIC_TRAFFIC, entry->trace)) return;
    msg_event_t event = from ? of_vat(from) : (msg_event_t){0};
    event.type = text_of("send");
    event.from = event.vat;
    event.parent_vat = from ? from->row.vat : 0;
    event.parent_d = d;
    event.msg = entry_cause(entry).msg;
    event.trace = entry->trace;
    event.target = kref_of(entry->row.target);
    event.promise = kref_of(entry->row.result);
    event.method = method_of(entry->value);
    event.data = value_data(entry->value);
    emit(k, TOPIC_TRAFFIC, &event);
}

/* The kernel itself executes ENTRY, a message to SERVICE. */
void event_service(kernel_t *k, const service_t *service, const entry_t *entry)
{
    if (!event_heard(k, TOPIC_TRAFFIC, entry->trace)) return;
    msg_event_t event = {.type = text_of("service"),
                         .kind = text_of(service_iface((service_kind_t)service->row.kind)),
                         .msg = entry_cause(entry).msg,
                         .trace = entry->trace,
                         .target = kref_of(entry->row.target),
                         .promise = kref_of(entry->row.result),
                         .method = method_of(entry->value),
                         .data = value_data(entry->value)};
    event.from = event.msg.vat;
    emit(k, TOPIC_TRAFFIC, &event);
}

void event_deliver(kernel_t *k, const kvat_t *vat, const log_t *log, const entry_t *entry)
{
    if (!event_heard(k, TOPIC_TRAFFIC, log->trace)) return;
    msg_event_t event = of_vat(vat);
    event.type = text_of("deliver");
    event.kind = kind_name(log->kind);
    event.msg = log_msg(log);
    event.from = event.msg.vat;
    event.trace = log->trace;
    event.d = log->row.d;
    if (log->kind == ENTRY_MESSAGE) {
        event.target = kref_of(entry->row.target);
        event.promise = kref_of(entry->row.result);
        event.method = method_of(entry->value);
        event.data = value_data(entry->value);
    } else if (log->kind == ENTRY_NOTIFY) {
        event.promise = kref_of(entry->row.target);
    }
    event.wait_us = queue_wait(k, entry);
    emit(k, TOPIC_TRAFFIC, &event);
}

void event_done(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_result_t *result,
                size_t calls)
{
    if (!event_heard(k, TOPIC_TRAFFIC, log->trace)) return;
    msg_event_t event = of_vat(vat);
    event.type = text_of("done");
    event.kind = kind_name(log->kind);
    event.msg = log_msg(log);
    event.trace = log->trace;
    event.d = log->row.d;
    event.ok = result->outcome == ERR_OK;
    event.run_us = result->run_us;
    event.computrons = result->computrons;
    event.syscalls = calls;
    emit(k, TOPIC_TRAFFIC, &event);
}

void event_resolve(kernel_t *k, const promise_t *promise, vat_t decider, cause_t cause)
{
    if (!event_heard(k, TOPIC_TRAFFIC, cause.trace)) return;
    const kvat_t *vat = vat_find(k, decider.n);
    msg_event_t event = vat ? of_vat(vat) : (msg_event_t){0};
    event.type = text_of("resolve");
    event.msg = cause.msg;
    event.parent_vat = cause.msg.vat.n;
    event.parent_d = cause.msg.d;
    event.d = cause.msg.d;
    event.trace = cause.trace;
    event.promise = kref_of(promise->row.kref);
    event.rejected = promise->row.state == PROMISE_REJECTED;
    event.data = value_data(promise->value);
    emit(k, TOPIC_TRAFFIC, &event);
}
