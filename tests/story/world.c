#include "tests/story/world.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/audit.h"
#include "tests/story/world_own.h"
#include "wire/base/must.h"

/* ---- text ---- */

void say(text_buf_t *buf, const char *format, ...)
{
    va_list list;
    for (;;) {
        va_start(list, format);
        int len =
            vsnprintf(buf->at ? buf->at + buf->len : NULL, buf->room - buf->len, format, list);
        va_end(list);
        must(len >= 0);
        if (buf->len + (size_t)len < buf->room) {
            buf->len += (size_t)len;
            return;
        }
        buf->room = 2 * buf->room + (size_t)len + 64;
        buf->at = realloc(buf->at, buf->room);
        must(buf->at);
    }
}

static void say_capdata(text_buf_t *buf, const capdata_t *data)
{
    char text[KREF_TEXT_MAX];
    say(buf, "%.*s {", (int)data->body.len, (const char *)data->body.at);
    for (size_t i = 0; i < data->slots.count; i++) {
        say(buf, "%s%s", i ? " " : "", kref_text(data->slots.at[i], text));
    }
    say(buf, "}");
}

/* ---- one step of the kernel ---- */

static void finding(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    fprintf(stderr, "audit: %s %s should be %s\n", rule, row, should);
}

static void store_row(void *context, const row_t *row) { rowset_apply(context, row); }

static void post(world_t *self, frame_t frame)
{
    if (self->frame_count == self->frame_room) {
        self->frame_room = self->frame_room ? self->frame_room * 2 : 64;
        self->frames = realloc(self->frames, self->frame_room * sizeof *self->frames);
        must(self->frames);
    }
    self->frames[self->frame_count++] = frame;
}

blob_t *world_encode(msg_tag_t tag, const void *body)
{
    buf_t buf = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &buf), ERR_OK, "%s cannot be encoded",
                 message_find(tag)->name);
    blob_t *blob = blob_new(buf.at, buf.len);
    buf_clear(&buf);
    return blob;
}

static void watched(world_t *self, const effect_t *effect)
{
    msg_t msg;
    cr_assert_eq(msg_decode(blob_bin(effect->frame), &msg), ERR_OK);
    cr_assert_eq(msg.tag, TAG_event);
    const msg_event_t *event = &msg.body.event;
    if (text_is(event->type, "console")) {
        say(&self->console, "%.*s | %.*s\n", (int)event->name.len, event->name.at,
            (int)event->text.len, event->text.at);
    }
    msg_clear(&msg);
}

static verdict_t verdict_of(const row_log_t *row)
{
    return row->outcome == 0 ? VERDICT_LIVE : row->outcome == 1 ? VERDICT_REPLAY : VERDICT_SKIP;
}

/* What the shell does with EFFECT_ROWS: rows of the log as DELIVERs. */
static void send_rows(world_t *self, const effect_t *effect)
{
    for (uint64_t d = effect->first; d <= effect->last; d++) {
        const row_t *row = rowset_find(&self->rows, ROW_log, effect->vat.n, d);
        cr_assert(row, "row v%u/%" PRIu64 " is not in the log", effect->vat.n, d);
        const row_log_t *log = &row->body.log;
        msg_deliver_t deliver = {
            .vat = effect->vat,
            .inc = effect->inc,
            .pgen = effect->pgen,
            .run = effect->run,
            .d = d,
            .applied = effect->applied,
            .durable = effect->last,
            .verdict = verdict_of(log),
            .delivery = log->delivery,
            .cause = {{(uint32_t)log->msg_vat}, log->msg_d, (uint32_t)log->msg_n}};
        if (log->result_hash.len == sizeof deliver.expect) {
            memcpy(&deliver.expect, log->result_hash.at, sizeof deliver.expect);
        }
        if (log->trace.len == sizeof deliver.trace) {
            memcpy(&deliver.trace, log->trace.at, sizeof deliver.trace);
        }
        post(self,
             (frame_t){LINK_DOWN, effect->to, effect->vat.n, world_encode(TAG_deliver, &deliver)});
    }
}

static uint32_t vat_of_frame(bin_t frame)
{
    msg_t msg;
    uint32_t vat = 0;
    cr_assert_eq(msg_decode(frame, &msg), ERR_OK, "the kernel made a frame that nobody can read");
    const message_t *row = message_find(msg.tag);
    for (size_t i = 0; i < row->field_count; i++) {
        if (row->fields[i].kind != KIND_vat) continue;
        memcpy(&vat, (const char *)&msg.body + row->fields[i].offset, sizeof vat);
        break;
    }
    msg_clear(&msg);
    return vat;
}

static void take_effects(world_t *self, effects_t *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const effect_t *effect = &effects->items[i];
        switch (effect->kind) {
        case EFFECT_HOST:
            post(self, (frame_t){LINK_DOWN, effect->to, vat_of_frame(blob_bin(effect->frame)),
                                 blob_ref(effect->frame)});
            break;
        case EFFECT_CLIENT:
            cr_assert_eq(effect->to, CLIENT);
            post(self, (frame_t){LINK_CLIENT, effect->to, 0, blob_ref(effect->frame)});
            break;
        case EFFECT_WATCH: watched(self, effect); break;
        case EFFECT_ROWS: send_rows(self, effect); break;
        case EFFECT_PULL:
        case EFFECT_DISCARD:
        case EFFECT_BACKUP:
        case EFFECT_STOP:
        case EFFECT_AGENT: break;
        }
    }
    effects_clear(effects);
}

static void draw(world_t *self, uint8_t entropy[32])
{
    uint64_t n = ++self->draws;
    hash_t hash = hash_of((bin_t){(const uint8_t *)&n, sizeof n});
    memcpy(entropy, hash.b, 32);
}

void world_step(world_t *self, input_kind_t kind, uint32_t from, bin_t frame, hash_t key)
{
    msg_t msg;
    input_t input = {.kind = kind, .from = from, .key = key, .now_us = self->now_us += 1000};
    effects_t effects = {0};

    draw(self, input.entropy);
    if (frame.at) {
        cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
        input.msg = &msg;
    }
    kernel_step(self->kernel, &input, &effects);
    kernel_flush(self->kernel, store_row, &self->rows);
    cr_assert_eq(kernel_audit(self->kernel, finding, NULL), 0, "after %s",
                 frame.at ? message_find(msg.tag)->name : "a lost connection");
    take_effects(self, &effects);
    if (frame.at) msg_clear(&msg);
}

/* ---- names against authority ---- */

typedef struct {
    world_t *world;
    uint32_t vat;
    size_t names;
} compare_t;

static void compare_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    compare_t *compare = context;
    char text[KREF_TEXT_MAX];
    const row_t *row = rowset_find(&compare->world->rows, ROW_held, compare->vat, kref.n);
    compare->names++;
    cr_assert(row, "v%u names %s (%.*s) and does not hold it", compare->vat, kref_text(kref, text),
              (int)vref.s.len, vref.s.at);
    cr_assert_eq(row->body.held.flags & 3, flags & 3, "flags of %s in v%u", text, compare->vat);
}

static void compare_names(world_t *self, const vat_story_t *vat)
{
    const row_t *row = rowset_find(&self->rows, ROW_vat, vat->number, 0);
    if (!vat->supervisor || !row || row->body.vat.state > 1) return;
    if (row->body.vat.assigned != row->body.vat.applied) return;
    if (supervisor_last(vat->supervisor) != row->body.vat.applied) return;

    compare_t compare = {self, vat->number, 0};
    supervisor_pairs(vat->supervisor, compare_pair, &compare);
    size_t held = 0;
    for (size_t i = 0; i < self->rows.count; i++) {
        const row_t *one = &self->rows.rows[i];
        held += one->table == ROW_held && one->body.held.vat == vat->number;
    }
    cr_assert_eq(compare.names, held, "v%u: %zu names, %zu held", vat->number, compare.names, held);
}

/* ---- frames move ---- */

/* A call or its await is refused; or the launch, which is told apart. */
static void refused(world_t *self, const msg_failed_t *msg)
{
    for (unsigned i = 0; i <= self->call_count; i++) {
        client_call_t *call = &self->calls[i];
        bool its_call = i > 0 && id_same(call->request, msg->request);
        if (!its_call && (kref_none(call->promise) || !id_same(call->await, msg->request)))
            continue;
        if (!call->answer.len) say(&call->answer, "failed %s", err_name((err_t)msg->error));
        blob_destroy(&call->ask);
        return;
    }
    say(&self->failure, "%s: %.*s (%.*s)\n", err_name((err_t)msg->error), (int)msg->what.len,
        msg->what.at, (int)msg->why.len, msg->why.at);
    blob_destroy(&self->calls[0].ask);
}

static void to_client(world_t *self, bin_t frame)
{
    msg_t msg;
    cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    switch (msg.tag) {
    case TAG_launched:
        self->launched = true;
        blob_destroy(&self->calls[0].ask);
        self->cluster = msg.body.launched.cluster;
        self->calls[0].promise = msg.body.launched.result;
        world_await(self, 0);
        break;
    case TAG_failed: refused(self, &msg.body.failed); break;
    case TAG_sent:
        for (unsigned i = 1; i <= self->call_count; i++) {
            client_call_t *call = &self->calls[i];
            if (!id_same(call->request, msg.body.sent.request) || !kref_none(call->promise))
                continue;
            call->promise = msg.body.sent.result;
            blob_destroy(&call->ask);
            world_await(self, i);
        }
        break;
    case TAG_done:
        for (unsigned i = 1; i <= self->call_count; i++) {
            client_call_t *call = &self->calls[i];
            if (!id_same(call->request, msg.body.done.request) || call->answer.len) continue;
            say(&call->answer, "done");
            blob_destroy(&call->ask);
        }
        break;
    case TAG_rows: audit_rows(self, &msg.body.rows); break;
    case TAG_settled:
        for (unsigned i = 0; i <= self->call_count; i++) {
            client_call_t *call = &self->calls[i];
            if (!kref_same(call->promise, msg.body.settled.promise) || call->answer.len) continue;
            say(&call->answer, "%s ", msg.body.settled.rejected ? "rejected" : "ok");
            say_capdata(&call->answer, &msg.body.settled.value);
        }
        break;
    default: break;
    }
    msg_clear(&msg);
}

/* Which frame moves next: the first, or any that is the first of its link. */
static size_t choose(world_t *self)
{
    if (!self->seed) return 0;
    size_t heads[64], count = 0;
    for (size_t i = 0; i < self->frame_count && count < 64; i++) {
        bool first = true;
        for (size_t j = 0; j < i; j++) {
            first = first && (self->frames[j].link != self->frames[i].link ||
                              self->frames[j].vat != self->frames[i].vat);
        }
        if (first) heads[count++] = i;
    }
    self->seed = self->seed * 1103515245u + 12345u;
    return heads[(self->seed >> 16) % count];
}

bool world_move(world_t *self)
{
    if (!self->frame_count) {
        if (!kernel_chores(self->kernel)) return false;
        world_step(self, INPUT_CHORE, 0, (bin_t){NULL, 0}, (hash_t){{0}});
        return true;
    }
    size_t i = choose(self);
    frame_t frame = self->frames[i];
    memmove(&self->frames[i], &self->frames[i + 1], (--self->frame_count - i) * sizeof frame);

    switch (frame.link) {
    case LINK_DOWN: host_take(self, frame.to, blob_bin(frame.blob)); break;
    case LINK_UP:
        world_step(self, INPUT_HOST, frame.to, blob_bin(frame.blob), (hash_t){{0}});
        break;
    case LINK_CLIENT: to_client(self, blob_bin(frame.blob)); break;
    case LINK_ASK:
        world_step(self, INPUT_CLIENT, CLIENT, blob_bin(frame.blob), (hash_t){{0}});
        break;
    }
    blob_destroy(&frame.blob);
    for (size_t v = 0; v < self->vat_count; v++) compare_names(self, &self->vats[v]);
    cr_assert_lt(++self->moves, 100000, "the story does not end");
    return true;
}

void world_settle(world_t *self)
{
    while (world_move(self)) continue;
}

void world_post(world_t *self, link_t link, uint32_t to, uint32_t vat, msg_tag_t tag,
                const void *body)
{
    post(self, (frame_t){link, to, vat, world_encode(tag, body)});
}

void world_drop_frames(world_t *self)
{
    for (size_t i = 0; i < self->frame_count; i++) blob_destroy(&self->frames[i].blob);
    self->frame_count = 0;
}

/* ---- life ---- */

static void open_sessions(world_t *self)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        msg_hello_t hello = {.proto_min = PROTO_MIN,
                             .proto_max = PROTO_MAX,
                             .engine = text_of("script"),
                             .name = text_of(i ? "second" : "first")};
        blob_t *frame = world_encode(TAG_hello, &hello);
        hash_t key = {{(uint8_t)(i + 1)}};
        world_step(self, INPUT_HOST, 0, blob_bin(frame), key);
        blob_destroy(&frame);
        self->hosts[i] = kernel_host(self->kernel, key);
        cr_assert_neq(self->hosts[i].n, 0);
    }
    for (size_t v = 0; v < self->vat_count; v++) host_attach(self, &self->vats[v]);
}

static void start_kernel(world_t *self)
{
    uint8_t entropy[32];
    self->kernel = kernel_new();
    for (size_t i = 0; i < self->rows.count; i++) {
        cr_assert_eq(kernel_load(self->kernel, &self->rows.rows[i]), ERR_OK);
    }
    draw(self, entropy);
    cr_assert_eq(kernel_loaded(self->kernel, entropy), ERR_OK);
    kernel_watched(self->kernel, TOPIC_CONSOLE);
    kernel_flush(self->kernel, store_row, &self->rows);
    cr_assert_eq(kernel_audit(self->kernel, finding, NULL), 0, "after a start");
}

world_t *world_new(unsigned seed)
{
    world_t *self = calloc(1, sizeof *self);
    must(self);
    self->seed = seed;
    self->now_us = UINT64_C(1700000000000000);
    start_kernel(self);
    open_sessions(self);
    world_settle(self);
    return self;
}

void world_destroy(world_t **self_p)
{
    world_t *self = *self_p;
    if (!self) return;
    for (size_t v = 0; v < self->vat_count; v++) {
        worker_end(&self->vats[v]);
        free(self->vats[v].heard.at);
        free(self->vats[v].forged);
    }
    world_drop_frames(self);
    free(self->frames);
    for (unsigned i = 0; i <= self->call_count; i++) {
        free(self->calls[i].answer.at);
        blob_destroy(&self->calls[i].ask);
    }
    free(self->console.at);
    free(self->failure.at);
    free(self->state.at);
    kernel_destroy(&self->kernel);
    rowset_clear(&self->rows);
    free(self);
    *self_p = NULL;
}

void world_vat(world_t *self, const char *name, script_t *script, void *context)
{
    must(self->vat_count < VATS && !self->launch_asked);
    self->vats[self->vat_count++] =
        (vat_story_t){.name = name, .script = script, .context = context};
}

void world_bundle(world_t *self, const char *bundle, script_t *script)
{
    size_t i = 0;
    while (self->bundles[i].file) i++;
    must(i < BUNDLES);
    self->bundles[i] = (script_file_t){bundle, script};
}

void world_cut(world_t *self)
{
    world_drop_frames(self);
    for (unsigned i = 0; i < HOSTS; i++) {
        world_step(self, INPUT_HOST_GONE, self->hosts[i].n, (bin_t){0}, (hash_t){{0}});
    }
    world_step(self, INPUT_CLIENT_GONE, CLIENT, (bin_t){0}, (hash_t){{0}});
    world_drop_frames(self);
    open_sessions(self);
    world_ask_again(self);
}

void world_restart_broker(world_t *self)
{
    world_drop_frames(self);
    kernel_destroy(&self->kernel);
    start_kernel(self);
    open_sessions(self);
    world_ask_again(self);
}

/* ---- what to look at ---- */

const char *world_console(const world_t *self) { return self->console.at ? self->console.at : ""; }

kref_t world_root(const world_t *self, const char *name)
{
    return kref_root((vat_t){vat_named((world_t *)(uintptr_t)self, name)->number});
}

const char *world_state(world_t *self, const char *name)
{
    static const char *states[] = {"starting", "running", "terminated", "quarantined"};
    const row_t *row = rowset_find(&self->rows, ROW_vat, vat_named(self, name)->number, 0);
    self->state.len = 0;
    if (!row) return "unknown";
    say(&self->state, "%s", states[row->body.vat.state & 3]);
    if (row->body.vat.state > 1) {
        say(&self->state, ": %s, %.*s", err_name((err_t)row->body.vat.error),
            (int)row->body.vat.reason.len, row->body.vat.reason.at);
    }
    return self->state.at;
}

size_t world_rows(const world_t *self, row_table_t table)
{
    size_t count = 0;
    for (size_t i = 0; i < self->rows.count; i++) count += self->rows.rows[i].table == table;
    return count;
}
