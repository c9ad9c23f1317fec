/* What the root, and every object that make() gave, understands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/native/null_own.h"
#include "wire/base/must.h"

enum { MESSAGES_MAX = 1000 * 1000 * 1000, WINDOW_LARGEST = 4096, DEPTH_MAX = 512 };

static void wrong(null_engine_t *self, const message_in_t *in, const char *text)
{
    null_refuse(self, in->result, "TypeError", text_of(text));
}

static node_t argument(const message_in_t *in, size_t i) { return node_item(in->args, i); }

/* Those of CUT that were found by the last node_cut(), in the vat's names. */
static list_t cut_names(null_engine_t *self, const message_in_t *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        self->cut[i] = name_of(in->delivery->data.slots.at[self->cut_slots[i].n - 1]);
    return (list_t){self->cut, count};
}

static void on_bootstrap(null_engine_t *self, const message_in_t *in)
{
    null_say(self, in->result, "#\"#undefined\"");
}

static void on_ping(null_engine_t *self, const message_in_t *in)
{
    node_t value = argument(in, 0);
    size_t count = 0;

    if (node_kind(value) == NODE_NONE) {
        null_say(self, in->result, "#\"#undefined\"");
        return;
    }
    if (node_kind(value) == NODE_PROMISE) {
        wrong(self, in, "ping does not wait: it takes no promise by itself");
        return;
    }
    buf_reset(&self->out);
    if (node_cut(value, &self->out, self->cut_slots, &count)) {
        wrong(self, in, "ping cannot say that: its slots, in another order, make it too large");
        return;
    }
    list_t slots = cut_names(self, in, count);
    null_settle(self, in->result, false, (bin_t){self->out.at, self->out.len}, &slots);
}

static void on_hit(null_engine_t *self, const message_in_t *in)
{
    self->hits++;
    null_say(self, in->result, "#\"#undefined\"");
}

static void on_count(null_engine_t *self, const message_in_t *in)
{
    null_say_number(self, in->result, self->hits);
}

static void on_make(null_engine_t *self, const message_in_t *in)
{
    if (!name_none(in->result)) null_say_object(self, in->result, null_object(self), "thing");
}

static void on_take(null_engine_t *self, const message_in_t *in)
{
    null_say(self, in->result, "#\"#undefined\"");
}

static void on_hold(null_engine_t *self, const message_in_t *in)
{
    for (size_t i = 0; i < in->delivery->data.slots.count; i++) {
        name_t name = name_of(in->delivery->data.slots.at[i]);
        if (!name_none(name) && !name_is_promise(name)) names_add(&self->kept, name);
    }
    null_say_number(self, in->result, self->kept.count);
}

static void on_drop(null_engine_t *self, const message_in_t *in)
{
    size_t count = self->kept.count;
    map_clear(&self->kept);
    null_say_number(self, in->result, count);
}

static void on_next(null_engine_t *self, const message_in_t *in)
{
    null_say_object(self, in->result, in->target, "null");
}

static void on_fail(null_engine_t *self, const message_in_t *in)
{
    buf_reset(&self->out);
    if (node_kind(argument(in, 0)) == NODE_TEXT)
        must(node_text(argument(in, 0), &self->out) == ERR_OK);
    null_refuse(self, in->result, "Error", (text_t){(const char *)self->out.at, self->out.len});
}

/* ---- drives ---- */

/* Argument I is from 1 (or 0, for N) to MOST; LESS when it is not there. */
static bool whole(const message_in_t *in, size_t i, uint64_t least, uint64_t most, uint64_t less,
                  uint64_t *ret)
{
    node_kind_t kind = node_kind(argument(in, i));
    if (kind == NODE_NONE || kind == NODE_UNDEFINED)
        *ret = less;
    else if (!node_whole(argument(in, i), ret))
        return false;
    return *ret >= least && *ret <= most;
}

/* Argument 0: an object, or an array of some. */
static bool targets_read(const message_in_t *in, list_t *ret)
{
    node_t value = argument(in, 0), child = {0};

    if (node_kind(value) == NODE_OBJECT) {
        list_add(ret, message_slot(in, value));
        return true;
    }
    while (node_next(value, &child, NULL)) {
        if (node_kind(child) != NODE_OBJECT) return false;
        list_add(ret, message_slot(in, child));
    }
    return ret->count > 0;
}

/* #["METHOD",ARGS]; ARGS is a body, or NULL for none. */
static bool body_make(buf_t *out, text_t method, const buf_t *args)
{
    err_t err = buf_add(out, "#[", 2);
    if (!err) err = smallcaps_string(out, method);
    if (!err) err = buf_add(out, ",", 1);
    if (!err) err = args ? buf_add(out, args->at + 1, args->len - 1) : buf_add(out, "[]", 2);
    if (!err) err = buf_add(out, "]", 1);
    return !err;
}

/* What drive() sends, from arguments 1 and 2. */
static bool drive_read(null_engine_t *self, const message_in_t *in, drive_t *drive)
{
    node_t method = argument(in, 1), args = argument(in, 2);
    buf_t name = buf_of(CAPDATA_BYTES_MAX);
    size_t count = 0;

    buf_reset(&self->out);
    bool fine = node_kind(method) == NODE_TEXT && node_kind(args) == NODE_ARRAY &&
                node_text(method, &name) == ERR_OK &&
                node_cut(args, &self->out, self->cut_slots, &count) == ERR_OK &&
                body_make(&drive->body, (text_t){(const char *)name.at, name.len}, &self->out);
    buf_clear(&name);
    if (!fine) return false;
    list_t slots = cut_names(self, in, count);
    for (size_t i = 0; i < slots.count; i++) {
        if (name_is_promise(slots.at[i])) return false;
        list_add(&drive->slots, slots.at[i]);
    }
    return true;
}

static drive_t *drive_begin(null_engine_t *self, const message_in_t *in, drive_kind_t kind)
{
    list_t targets = {NULL, 0};
    if (!targets_read(in, &targets)) {
        free(targets.at);
        wrong(self, in, "the first argument must be an object, or an array of objects");
        return NULL;
    }
    drive_t *drive = drive_new(self, kind, in->result);
    drive->targets = targets;
    return drive;
}

static void drive_give_up(null_engine_t *self, const message_in_t *in, drive_t *drive,
                          const char *text)
{
    map_remove(&self->drives, drive->id);
    drive_free(drive);
    wrong(self, in, text);
}

static void on_drive(null_engine_t *self, const message_in_t *in)
{
    drive_t *drive = drive_begin(self, in, DRIVE_CALLS);
    if (!drive) return;
    if (!drive_read(self, in, drive) || !whole(in, 3, 0, MESSAGES_MAX, 1, &drive->n) ||
        !whole(in, 4, 1, WINDOW_LARGEST, 1, &drive->window)) {
        drive_give_up(self, in, drive,
                      "drive wants (targets, method, args, n, window): args an array without "
                      "promises, window from 1 to 4096");
        return;
    }
    drive_pump(self, drive);
}

static void on_round(null_engine_t *self, const message_in_t *in)
{
    drive_t *drive = drive_begin(self, in, DRIVE_CALLS);
    if (!drive) return;
    must(body_make(&drive->body, text_of("ping"), NULL));
    if (!whole(in, 1, 0, MESSAGES_MAX, 1, &drive->n)) {
        drive_give_up(self, in, drive, "round wants (peer, n)");
        return;
    }
    drive_pump(self, drive);
}

static void on_flood(null_engine_t *self, const message_in_t *in)
{
    drive_t *drive = drive_begin(self, in, DRIVE_FLOOD);
    if (!drive) return;
    must(body_make(&drive->body, text_of("hit"), NULL));
    drive->window = WINDOW_LARGEST;
    if (!whole(in, 1, 0, MESSAGES_MAX, 1, &drive->n)) {
        drive_give_up(self, in, drive, "flood wants (peer, n)");
        return;
    }
    drive_pump(self, drive);
}

static void on_churn(null_engine_t *self, const message_in_t *in)
{
    static const char body[] = "#[\"take\",[\"$0.Alleged: thing\"]]";
    drive_t *drive = drive_begin(self, in, DRIVE_CALLS);
    if (!drive) return;
    must(buf_add(&drive->body, body, sizeof body - 1) == ERR_OK);
    list_add(&drive->slots, NAME_FRESH);
    if (!whole(in, 1, 0, MESSAGES_MAX, 1, &drive->n) ||
        !whole(in, 2, 1, WINDOW_LARGEST, 1, &drive->window)) {
        drive_give_up(self, in, drive, "churn wants (peer, n, window)");
        return;
    }
    drive_pump(self, drive);
}

static void on_pipeline(null_engine_t *self, const message_in_t *in)
{
    drive_t *drive = drive_begin(self, in, DRIVE_CHAIN);
    if (!drive) return;
    must(body_make(&drive->body, text_of("next"), NULL));
    if (!whole(in, 1, 1, DEPTH_MAX, 1, &drive->window) ||
        !whole(in, 2, 0, MESSAGES_MAX / DEPTH_MAX, 1, &drive->n)) {
        drive_give_up(self, in, drive, "pipeline wants (peer, depth, n): depth from 1 to 512");
        return;
    }
    drive->n *= drive->window;
    drive_pump(self, drive);
}

/* ---- all of them, in the order that an error tells them ---- */

static const struct {
    const char *name;
    void (*run)(null_engine_t *self, const message_in_t *in);
} methods[] = {
    {"bootstrap", on_bootstrap}, {"churn", on_churn}, {"count", on_count}, {"drive", on_drive},
    {"drop", on_drop},           {"fail", on_fail},   {"flood", on_flood}, {"hit", on_hit},
    {"hold", on_hold},           {"make", on_make},   {"next", on_next},   {"ping", on_ping},
    {"pipeline", on_pipeline},   {"round", on_round}, {"take", on_take},
};

enum { METHODS = sizeof methods / sizeof *methods };

/* As liveslots says it. */
static void unknown(null_engine_t *self, const message_in_t *in)
{
    static const char before[] = "target has no method ", between[] = ", has [";
    buf_t *out = &self->out, name = buf_of(CAPDATA_BYTES_MAX);

    if (node_kind(in->method) == NODE_UNDEFINED) {
        wrong(self, in, "Cannot invoke target as a function; typeof target is \"object\"");
        return;
    }
    must(node_text(in->method, &name) == ERR_OK);
    buf_reset(out);
    err_t err = buf_add(out, before, sizeof before - 1);
    if (!err) err = smallcaps_string(out, (text_t){(const char *)name.at, name.len});
    if (!err) err = buf_add(out, between, sizeof between - 1);
    for (size_t i = 0; i < METHODS && !err; i++) {
        if (i) err = buf_add(out, ",", 1);
        if (!err) err = smallcaps_string(out, text_of(methods[i].name));
    }
    if (!err) err = buf_add(out, "]", 1);
    buf_clear(&name);
    if (err) buf_reset(out);
    null_refuse(self, in->result, "TypeError", (text_t){(const char *)out->at, out->len});
}

void null_message(null_engine_t *self, const vdelivery_t *delivery)
{
    message_in_t in = {.delivery = delivery,
                       .target = name_of(delivery->target),
                       .result = name_of(delivery->result)};
    size_t count = delivery->data.slots.count;
    kref_t *places = calloc(count + 1, sizeof *places);

    must(places);
    for (size_t i = 0; i < count; i++) places[i] = (kref_t){i + 1};
    in.data = (capdata_t){delivery->data.body, {places, count}};
    in.method = node_item(node_root(&in.data), 0);
    in.args = node_item(node_root(&in.data), 1);
    null_arrive(self, delivery->data.slots, NULL);

    size_t i = 0;
    while (i < METHODS && !node_is(in.method, methods[i].name)) i++;
    if (i < METHODS)
        methods[i].run(self, &in);
    else
        unknown(self, &in);
    free(places);
}
