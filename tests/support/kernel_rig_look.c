/* What a test looks at, and the syscalls that it writes down. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig_own.h"
#include "wire/base/must.h"

/* ---- looking ---- */

static const msg_t *list(rig_t *self, unsigned what, kref_t kref)
{
    msg_list_t msg = {.request = rig_id(self), .what = what, .ended = 1, .kref = kref};
    rig_ask_from(self, 99, TAG_list, &msg);
    const msg_t *reply = rig_reply(self, 99);
    must(reply);
    return reply;
}

char *rig_list(rig_t *self, unsigned what, kref_t kref)
{
    const msg_t *reply = list(self, what, kref);
    buf_t out = buf_of(FRAME_BYTES_MAX);
    if (reply->tag == TAG_rows) {
        bin_t rest = reply->body.rows.rows;
        while (rest.len > 0) {
            msg_t row;
            must(!msg_next(&rest, &row));
            must(!msg_print(row.tag, &row.body, &out));
            msg_clear(&row);
        }
    }
    must(!buf_add(&out, "", 1));
    char *text = malloc(out.len);
    must(text);
    memcpy(text, out.at, out.len);
    buf_clear(&out);
    return text;
}

uint64_t rig_counter(rig_t *self, const char *name)
{
    bin_t rest = list(self, 5, (kref_t){0})->body.rows.rows;
    while (rest.len > 0) {
        msg_t row;
        must(!msg_next(&rest, &row));
        bool it = text_is(row.body.counter_row.name, name);
        uint64_t value = row.body.counter_row.value;
        msg_clear(&row);
        if (it) return value;
    }
    must(false && "a counter of that name");
    return 0;
}

size_t rig_host_frames(const rig_t *self, msg_tag_t tag) { return self->frames[tag & 255]; }

const msg_t *rig_told(const rig_t *self, msg_tag_t tag)
{
    for (const letter_t *letter = self->made; letter; letter = letter->made)
        if (letter->msg.tag == tag) return &letter->msg;
    return NULL;
}

const msg_event_t *rig_event(rig_t *self, const char *type)
{
    for (size_t i = self->event_count; i-- > 0;) {
        effect_t effect = {.frame = self->events[i]};
        const letter_t *letter = rig_letter(self, &effect);
        if (text_is(letter->msg.body.event.type, type)) return &letter->msg.body.event;
    }
    return NULL;
}

size_t rig_events(const rig_t *self, const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < self->event_count; i++) {
        msg_t msg;
        must(!msg_decode(blob_bin(self->events[i]), &msg));
        count += text_is(msg.body.event.type, type);
        msg_clear(&msg);
    }
    return count;
}

/* ---- syscalls ---- */

capdata_t rig_data(const char *body, const kref_t *slots, size_t count)
{
    return (capdata_t){{(const uint8_t *)body, strlen(body)}, {slots, count}};
}

bool rig_body_is(const capdata_t *data, const char *expect)
{
    return text_is((text_t){(const char *)data->body.at, data->body.len}, expect);
}

void call_any(buf_t *calls, msg_tag_t tag, const void *body)
{
    if (!calls->max) *calls = buf_of(CRANK_BYTES_MAX);
    must(!msg_encode(tag, body, calls));
}

void call_send(buf_t *calls, kref_t target, const char *body, const kref_t *slots, size_t count,
               kref_t result)
{
    msg_send_t msg = {target, rig_data(body, slots, count), result};
    call_any(calls, TAG_send, &msg);
}

void call_subscribe(buf_t *calls, kref_t promise)
{
    msg_subscribe_t msg = {promise};
    call_any(calls, TAG_subscribe, &msg);
}

void call_resolve(buf_t *calls, kref_t promise, bool rejected, const char *body,
                  const kref_t *slots, size_t count)
{
    resolution_t one = {promise, rejected, rig_data(body, slots, count)};
    msg_resolve_t msg = {{&one, 1}};
    call_any(calls, TAG_resolve, &msg);
}

void call_exit(buf_t *calls, bool failure, const char *body)
{
    msg_exit_t msg = {failure, rig_data(body, NULL, 0)};
    call_any(calls, TAG_exit, &msg);
}

void call_exit_with(buf_t *calls, bool failure, const char *body, const kref_t *slots, size_t count)
{
    msg_exit_t msg = {failure, rig_data(body, slots, count)};
    call_any(calls, TAG_exit, &msg);
}

void call_refs(buf_t *calls, msg_tag_t tag, const kref_t *refs, size_t count)
{
    msg_drop_imports_t msg = {{refs, count}};
    call_any(calls, tag, &msg);
}
