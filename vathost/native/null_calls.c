#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/native/null_own.h"
#include "wire/base/must.h"

static void call(null_engine_t *self, const vcall_t *call)
{
    if (self->failed) return;
    self->calls++;
    self->failed = self->host->call(self->host->self, call);
}

name_t null_object(null_engine_t *self) { return name_object(++self->objects); }
name_t null_promise(null_engine_t *self) { return name_promise(++self->promises); }

/* SLOTS as a syscall has them, in memory that the caller frees with slots_free(). What leaves the vat
 * is reachable again for others. */
static vrefs_t slots_make(null_engine_t *self, const list_t *slots)
{
    if (!slots || !slots->count) return (vrefs_t){NULL, 0};
    vref_t *at = malloc(slots->count * (sizeof *at + NAME_TEXT_MAX));
    must(at);
    char *text = (char *)(at + slots->count);
    for (size_t i = 0; i < slots->count; i++) {
        at[i] = name_vref(slots->at[i], text + i * NAME_TEXT_MAX);
        names_drop(&self->dropped, slots->at[i]);
    }
    return (vrefs_t){at, slots->count};
}

static void slots_free(vrefs_t slots) { free((void *)(uintptr_t)slots.at); }

void null_send(null_engine_t *self, name_t target, bin_t body, const list_t *slots, name_t result)
{
    char target_text[NAME_TEXT_MAX], result_text[NAME_TEXT_MAX];
    vrefs_t list = slots_make(self, slots);
    vcall_t send = {.tag = TAG_send};

    send.body.send = (vcall_send_t){
        name_vref(target, target_text), {body, list}, name_vref(result, result_text)};
    self->bytes += body.len + list.count * NAME_TEXT_MAX;
    call(self, &send);
    slots_free(list);
}

void null_subscribe(null_engine_t *self, name_t promise)
{
    char text[NAME_TEXT_MAX];
    vcall_t subscribe = {.tag = TAG_subscribe};

    subscribe.body.subscribe.promise = name_vref(promise, text);
    call(self, &subscribe);
}

void null_refs(null_engine_t *self, msg_tag_t tag, const list_t *refs)
{
    for (size_t at = 0; at < refs->count; at += SLOTS_MAX) {
        size_t rest = refs->count - at;
        list_t piece = {refs->at + at, rest < SLOTS_MAX ? rest : SLOTS_MAX};
        vrefs_t list = slots_make(self, &piece);
        vcall_t drop = {.tag = tag};
        switch (tag) {
        case TAG_drop_imports: drop.body.drop_imports.refs = list; break;
        case TAG_retire_imports: drop.body.retire_imports.refs = list; break;
        default: drop.body.retire_exports.refs = list;
        }
        call(self, &drop);
        slots_free(list);
    }
}

void null_settle(null_engine_t *self, name_t promise, bool rejected, bin_t body,
                 const list_t *slots)
{
    char text[NAME_TEXT_MAX];
    if (name_none(promise)) return;

    vrefs_t list = slots_make(self, slots);
    vresolution_t one = {name_vref(promise, text), rejected, {body, list}};
    vcall_t resolve = {.tag = TAG_resolve, .body.resolve.resolutions = {&one, 1}};
    call(self, &resolve);
    slots_free(list);
    /* The kernel tells nobody what he said himself. */
    names_drop(&self->told, promise);
    drive_t *drive = map_remove(&self->awaited, promise.n);
    if (drive) drive_answered(self, drive, rejected);
}

void null_say(null_engine_t *self, name_t promise, const char *body)
{
    null_settle(self, promise, false, (bin_t){(const uint8_t *)body, strlen(body)}, NULL);
}

void null_say_number(null_engine_t *self, name_t promise, uint64_t n)
{
    char body[32];
    snprintf(body, sizeof body, "#%" PRIu64, n);
    null_say(self, promise, body);
}

void null_say_object(null_engine_t *self, name_t promise, name_t object, const char *iface)
{
    char body[80];
    int len = snprintf(body, sizeof body, "#\"$0.Alleged: %s\"", iface);
    must(len > 0 && (size_t)len < sizeof body);
    null_settle(self, promise, false, (bin_t){(const uint8_t *)body, (size_t)len},
                &(list_t){&object, 1});
}

void null_refuse(null_engine_t *self, name_t promise, const char *name, text_t text)
{
    static const char head[] = "#{\"#error\":", tail[] = ",\"name\":";
    buf_t body = buf_of(CAPDATA_BYTES_MAX);
    if (name_none(promise)) return;

    /* A text that is too large, escaped, is left out. */
    must(buf_add(&body, head, sizeof head - 1) == ERR_OK);
    if (smallcaps_string(&body, text)) must(smallcaps_string(&body, text_of("")) == ERR_OK);
    if (buf_add(&body, tail, sizeof tail - 1) || smallcaps_string(&body, text_of(name)) ||
        buf_add(&body, "}", 1)) {
        buf_clear(&body);
        null_refuse(self, promise, name, text_of(""));
        return;
    }
    null_settle(self, promise, true, (bin_t){body.at, body.len}, NULL);
    buf_clear(&body);
}

/* Is PROMISE one that a drive of this vat will settle? */
static bool is_decided_here(const null_engine_t *self, name_t promise)
{
    const drive_t *drive;
    for (size_t i = 0; i < self->drives.room; i++) {
        if ((drive = map_cell(&self->drives, i)) && drive->result.n == promise.n) return true;
    }
    return false;
}

void null_arrive(null_engine_t *self, vrefs_t slots, const map_t *settled)
{
    for (size_t i = 0; i < slots.count; i++) {
        name_t name = name_of(slots.at[i]);
        if (name_none(name) || name_is_export(name)) continue;
        if (!name_is_promise(name)) {
            names_add(&self->imports, name);
        } else if (!names_has(&self->told, name) && !(settled && names_has(settled, name)) &&
                   !is_decided_here(self, name)) {
            names_add(&self->told, name);
            null_subscribe(self, name);
        }
    }
}

name_t message_slot(const message_in_t *message, node_t slot)
{
    kref_t place = node_slot(slot);
    if (kref_none(place)) return (name_t){0};
    return name_of(message->delivery->data.slots.at[place.n - 1]);
}
