#include "tests/support/kernel_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/hash.h"
#include "wire/base/map.h"
#include "wire/base/must.h"

typedef struct letter { /* a frame somebody got, decoded */
    struct letter *next, *made;
    uint32_t to;
    blob_t *frame;
    msg_t msg, inner;
    bool has_inner;
} letter_t;

typedef struct {
    uint32_t vat, host;
    uint64_t inc, pgen, run, last, checkpoint;
    hash_t chain, checkpoint_chain;
    letter_t *head, *tail; /* DELIVERs not answered */
    size_t pending;
    bool fetching;
} worker_t;

typedef struct {
    row_table_t table;
    blob_t *key, *row;
} stored_t;

typedef struct { /* a copy of a checkpoint, which is to be fetched or is here */
    vat_t vat;
    copy_t copy;
} file_t;

struct rig {
    kernel_t *kernel;
    bool no_chores;
    letter_t *made; /* all letters, to free them */
    letter_t *replies, *replies_tail;
    letter_t *asked, *asked_tail; /* frames to the agent */
    bool agent_late, agent_wanted, agent_runs;
    map_t workers;
    stored_t *rows;
    size_t row_count;
    uint64_t now_us, step_us, ids;
    size_t frames[256];
    blob_t **events;
    size_t event_count;
    uint32_t hosts[8];
    effects_t effects;
    uint64_t steps;
    uint64_t host_loss_us;
    bool adopts, deaf;
    file_t *files, *pulls;
    size_t file_count, pull_count;
};

kernel_t *rig_kernel(rig_t *self) { return self->kernel; }

static void *resized(void *at, size_t bytes)
{
    at = realloc(at, bytes);
    must(at);
    return at;
}

static uint64_t *random_words(rig_t *self, uint8_t entropy[32])
{
    uint64_t *steps = &self->steps;
    memset(entropy, 0, 32);
    ++*steps;
    memcpy(entropy, steps, sizeof *steps);
    return steps;
}

/* ---- the store in memory ---- */

static blob_t *row_bytes(const row_t *row, bool keys)
{
    const table_t *table = &row_tables[row->table];
    size_t count = keys ? table->key_count : table->column_count;
    buf_t out = buf_of(FRAME_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        const column_t *column = &table->columns[i];
        const uint8_t *at = (const uint8_t *)&row->body + column->offset;
        if (column->kind == KIND_u64) {
            must(!buf_add(&out, at, 8));
            continue;
        }
        bin_t bin;
        memcpy(&bin, at, sizeof bin); /* text_t and bin_t have the same shape */
        must(!buf_add(&out, &bin.len, sizeof bin.len));
        must(!buf_add(&out, bin.at, bin.len));
    }
    blob_t *blob = blob_new(out.at, out.len);
    buf_clear(&out);
    return blob;
}

static bool blob_same(const blob_t *a, const blob_t *b)
{
    bin_t x = blob_bin(a), y = blob_bin(b);
    return x.len == y.len && (!x.len || memcmp(x.at, y.at, x.len) == 0);
}

static void store_row(void *context, const row_t *row)
{
    rig_t *self = context;
    blob_t *key = row_bytes(row, true);
    size_t i = 0;
    while (i < self->row_count &&
           (self->rows[i].table != row->table || !blob_same(self->rows[i].key, key)))
        i++;
    bool known = i < self->row_count;
    if (known) {
        blob_destroy(&self->rows[i].key);
        blob_destroy(&self->rows[i].row);
        self->rows[i] = self->rows[--self->row_count];
    }
    if (row->gone) {
        must(known); /* what is deleted was there: no row goes twice */
        blob_destroy(&key);
        return;
    }
    self->rows = resized(self->rows, (self->row_count + 1) * sizeof *self->rows);
    self->rows[self->row_count++] = (stored_t){row->table, key, row_bytes(row, false)};
}

static row_t row_read(const stored_t *stored)
{
    row_t row = {.table = stored->table};
    const table_t *table = &row_tables[stored->table];
    const uint8_t *at = blob_bin(stored->row).at;
    for (size_t i = 0; i < table->column_count; i++) {
        uint8_t *to = (uint8_t *)&row.body + table->columns[i].offset;
        if (table->columns[i].kind == KIND_u64) {
            memcpy(to, at, 8);
            at += 8;
            continue;
        }
        bin_t bin;
        memcpy(&bin.len, at, sizeof bin.len);
        bin.at = at + sizeof bin.len;
        memcpy(to, &bin, sizeof bin);
        at = bin.at + bin.len;
    }
    return row;
}

size_t rig_rows(const rig_t *self, row_table_t table)
{
    size_t count = 0;
    for (size_t i = 0; i < self->row_count; i++) count += self->rows[i].table == table;
    return count;
}

/* ---- effects ---- */

static letter_t *letter_new(rig_t *self, const effect_t *effect)
{
    letter_t *letter = calloc(1, sizeof *letter);
    must(letter);
    letter->to = effect->to;
    letter->frame = blob_ref(effect->frame);
    must(!msg_decode(blob_bin(letter->frame), &letter->msg));
    letter->made = self->made;
    self->made = letter;
    return letter;
}

static worker_t *worker_of(const rig_t *self, uint32_t vat) { return map_get(&self->workers, vat); }

static void attach_with(rig_t *self, worker_t *worker, bool heapless)
{
    worker->head = worker->tail = NULL;
    worker->pending = 0;
    msg_attach_t msg = {.vat = {worker->vat},
                        .inc = worker->inc,
                        .pgen = worker->pgen,
                        .run = worker->run,
                        .nonce = {{1}},
                        .checkpoint = worker->checkpoint,
                        .heap = heapless,
                        .last = worker->last,
                        .chain = worker->chain};
    rig_from_host(self, worker->host, TAG_attach, &msg);
}

static void attach(rig_t *self, worker_t *worker) { attach_with(self, worker, false); }

/* A worker in the place of the one before starts where that one's checkpoint is. */
static void renew(worker_t *worker)
{
    worker->run = 0;
    worker->last = worker->checkpoint;
    worker->chain = worker->checkpoint_chain;
}

static void fetch(rig_t *self, worker_t *worker)
{
    worker->fetching = true;
    msg_fetch_t msg = {{worker->vat}, worker->inc, worker->pgen, worker->run, worker->last + 1, 4};
    rig_from_host(self, worker->host, TAG_fetch, &msg);
}

static bool same_copy(const copy_t *a, const copy_t *b)
{
    return a->pgen == b->pgen && a->d == b->d && a->bytes == b->bytes &&
           hash_same(a->hash, b->hash);
}

static file_t *file_of(const rig_t *self, vat_t vat, const copy_t *copy)
{
    for (size_t i = 0; i < self->file_count; i++)
        if (self->files[i].vat.n == vat.n && same_copy(&self->files[i].copy, copy))
            return &self->files[i];
    return NULL;
}

/* A new placement knows nothing but what the broker has of it. */
static void begin(rig_t *self, worker_t *worker, const msg_vat_new_t *msg)
{
    worker->run = worker->last = worker->checkpoint = 0;
    worker->chain = worker->checkpoint_chain = (hash_t){{0}};
    if (!msg->checkpoint) return;
    copy_t copy;
    must(kernel_copy(self->kernel, msg->vat, worker->host, &copy));
    must(copy.d == msg->checkpoint && hash_same(copy.hash, msg->checkpoint_hash) &&
         copy.bytes == msg->checkpoint_bytes && file_of(self, msg->vat, &copy));
    worker->last = worker->checkpoint = copy.d;
    worker->chain = worker->checkpoint_chain = copy.chain;
}

static void on_new(rig_t *self, const letter_t *letter)
{
    const msg_vat_new_t *msg = &letter->msg.body.vat_new;
    worker_t *worker = worker_of(self, msg->vat.n);
    bool moved = worker && worker->pgen != msg->pgen;
    if (!worker) {
        worker = calloc(1, sizeof *worker);
        must(worker);
        map_put(&self->workers, msg->vat.n, worker);
    }
    worker->vat = msg->vat.n;
    worker->host = letter->to;
    worker->inc = msg->inc;
    worker->pgen = msg->pgen;
    if (moved) begin(self, worker, msg);
    attach(self, worker);
}

static void on_sleep(rig_t *self, const msg_sleep_t *msg)
{
    worker_t *worker = worker_of(self, msg->vat.n);
    must(msg->run == worker->run && !worker->head && worker->checkpoint == worker->last);
    renew(worker);
}

static void on_deliver(rig_t *self, letter_t *letter)
{
    (void)self;
    worker_t *worker = worker_of(self, letter->msg.body.deliver.vat.n);
    const msg_deliver_t *msg = &letter->msg.body.deliver;
    must(worker && msg->run == worker->run && msg->verdict == 0);
    uint64_t newest = worker->last + worker->pending;
    if (msg->d <= newest) return; /* sent again */
    must(msg->d == newest + 1);
    must(!msg_decode(msg->delivery, &letter->inner));
    letter->has_inner = true;
    if (worker->tail)
        worker->tail->next = letter;
    else
        worker->head = letter;
    worker->tail = letter;
    worker->pending++;
}

static void on_attached(rig_t *self, const msg_attached_t *msg)
{
    worker_t *worker = worker_of(self, msg->vat.n);
    worker->run = msg->run;
    if (msg->again == 1) {
        worker->last = worker->checkpoint = 0;
        worker->chain = worker->checkpoint_chain = (hash_t){{0}};
    }
    if (worker->last < msg->applied) fetch(self, worker);
}

static void on_host_effect(rig_t *self, const effect_t *effect)
{
    letter_t *letter = letter_new(self, effect);
    self->frames[letter->msg.tag & 255]++;
    if (self->deaf) return;
    switch (letter->msg.tag) {
    case TAG_vat_new: on_new(self, letter); return;
    case TAG_sleep: on_sleep(self, &letter->msg.body.sleep); return;
    case TAG_attached: on_attached(self, &letter->msg.body.attached); return;
    case TAG_deliver: on_deliver(self, letter); return;
    default: return;
    }
}

/* What the shell does: rows of the store, as replays. The worker takes them as its own history. */
static void on_rows(rig_t *self, const effect_t *effect)
{
    worker_t *worker = worker_of(self, effect->vat.n);
    must(worker && worker->run == effect->run);
    for (uint64_t d = effect->first; d <= effect->last; d++) {
        bool found = false;
        for (size_t i = 0; i < self->row_count && !found; i++) {
            if (self->rows[i].table != ROW_log) continue;
            row_t row = row_read(&self->rows[i]);
            if (row.body.log.vat != effect->vat.n || row.body.log.d != d) continue;
            found = true;
            must(row.body.log.outcome != 0 && d == worker->last + 1);
            must(row.body.log.chain.len == 32 && row.body.log.result_hash.len == 32);
            hash_t result;
            memcpy(result.b, row.body.log.result_hash.at, sizeof result.b);
            worker->chain = hash_chain(worker->chain, hash_of(row.body.log.delivery), result);
            must(memcmp(worker->chain.b, row.body.log.chain.at, 32) == 0);
            worker->last = d;
        }
        must(found);
    }
    fetch(self, worker);
}

static void on_watch(rig_t *self, const effect_t *effect)
{
    self->events = resized(self->events, (self->event_count + 1) * sizeof(blob_t *));
    self->events[self->event_count++] = blob_ref(effect->frame);
}

static void letter_add(letter_t **head, letter_t **tail, letter_t *letter)
{
    *(*tail ? &(*tail)->next : head) = letter;
    *tail = letter;
}

static void on_client_effect(rig_t *self, const effect_t *effect)
{
    letter_add(&self->replies, &self->replies_tail, letter_new(self, effect));
}

static void on_agent_effect(rig_t *self, const effect_t *effect)
{
    if (!effect->frame) {
        must(!self->agent_runs && !self->agent_wanted);
        self->agent_wanted = true;
        return;
    }
    must(self->agent_runs); /* what is said to no agent is not said at all */
    letter_add(&self->asked, &self->asked_tail, letter_new(self, effect));
}

static void on_pull(rig_t *self, const effect_t *effect)
{
    self->pulls = resized(self->pulls, (self->pull_count + 1) * sizeof *self->pulls);
    self->pulls[self->pull_count++] = (file_t){effect->vat, effect->copy};
}

static void on_discard(rig_t *self, const effect_t *effect)
{
    file_t *file = file_of(self, effect->vat, &effect->copy);
    must(file);
    *file = self->files[--self->file_count];
}

/* Each row's file is there, and no other. */
static void check_file(void *context, vat_t vat, const copy_t *copy)
{
    rig_t *self = context;
    must(file_of(self, vat, copy));
}

static void finding(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    fprintf(stderr, "audit: %s: %s: %s\n", rule, row, should);
}

static void step_one(rig_t *self, input_t *input)
{
    self->now_us += self->step_us;
    input->now_us = self->now_us;
    random_words(self, input->entropy);
    effects_t effects = {0};
    kernel_step(self->kernel, input, &effects);
    must(kernel_audit(self->kernel, finding, NULL) == 0);
    kernel_flush(self->kernel, store_row, self);
    for (size_t i = 0; i < effects.count; i++) {
        switch (effects.items[i].kind) {
        case EFFECT_HOST: on_host_effect(self, &effects.items[i]); break;
        case EFFECT_CLIENT: on_client_effect(self, &effects.items[i]); break;
        case EFFECT_WATCH: on_watch(self, &effects.items[i]); break;
        case EFFECT_ROWS: on_rows(self, &effects.items[i]); break;
        case EFFECT_AGENT: on_agent_effect(self, &effects.items[i]); break;
        case EFFECT_PULL: on_pull(self, &effects.items[i]); break;
        case EFFECT_DISCARD: on_discard(self, &effects.items[i]); break;
        case EFFECT_BACKUP: self->frames[0]++; break;
        case EFFECT_STOP: break;
        }
    }
    effects_clear(&effects);
    kernel_copies(self->kernel, check_file, self);
    must(rig_rows(self, ROW_mirror) == self->file_count);
}

/* What a step puts off is done before the next one, unless a test wants to look in between. */
static void step(rig_t *self, input_t *input)
{
    step_one(self, input);
    while (!self->no_chores && kernel_chores(self->kernel)) rig_chore(self);
    if (self->agent_wanted && !self->agent_late) rig_agent_start(self);
}

void rig_chore(rig_t *self)
{
    input_t chore = {.kind = INPUT_CHORE};
    step_one(self, &chore);
}

void rig_agent_late(rig_t *self) { self->agent_late = true; }
bool rig_agent_wanted(const rig_t *self) { return self->agent_wanted; }

void rig_agent_start(rig_t *self)
{
    must(self->agent_wanted);
    self->agent_wanted = false;
    self->agent_runs = true;
    self->asked = self->asked_tail = NULL;
    input_t input = {.kind = INPUT_AGENT};
    step(self, &input);
}

void rig_agent_gone(rig_t *self)
{
    must(self->agent_runs);
    self->agent_runs = false;
    self->asked = self->asked_tail = NULL;
    input_t input = {.kind = INPUT_AGENT_GONE};
    step(self, &input);
}

const msg_t *rig_agent_frame(rig_t *self)
{
    letter_t *letter = self->asked;
    if (!letter) return NULL;
    self->asked = letter->next;
    if (!self->asked) self->asked_tail = NULL;
    return &letter->msg;
}

void rig_no_chores(rig_t *self) { self->no_chores = true; }

void rig_at(rig_t *self, uint64_t now_ms)
{
    self->now_us = now_ms * 1000;
    self->step_us = 0;
    while (!self->no_chores && kernel_overdue(self->kernel, self->now_us)) rig_chore(self);
}

/* ---- inputs ---- */

static void step_frame(rig_t *self, input_t *input, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    must(!msg_encode(tag, body, &frame));
    msg_t msg;
    must(!msg_decode((bin_t){frame.at, frame.len}, &msg));
    input->msg = &msg;
    step(self, input);
    msg_clear(&msg);
    buf_clear(&frame);
}

void rig_agent_told(rig_t *self, uint64_t errand, bool rejected, const char *body)
{
    msg_agent_told_t msg = {errand, rejected, {(const uint8_t *)body, strlen(body)}};
    input_t input = {.kind = INPUT_AGENT};
    step_frame(self, &input, TAG_agent_told, &msg);
}

/* As the shell does. */
static hash_t stored_chain(const rig_t *self, const msg_attach_t *msg)
{
    hash_t chain = {{0}};
    for (size_t i = 0; i < self->row_count; i++) {
        if (self->rows[i].table != ROW_log) continue;
        row_t row = row_read(&self->rows[i]);
        const row_log_t *log = &row.body.log;
        if (log->vat == msg->vat.n && log->d == msg->last && log->outcome)
            memcpy(chain.b, log->chain.at, sizeof chain.b);
    }
    return chain;
}

void rig_from_host(rig_t *self, uint32_t host, msg_tag_t tag, const void *body)
{
    input_t input = {.kind = INPUT_HOST, .from = host};
    if (tag == TAG_attach) input.chain = stored_chain(self, body);
    step_frame(self, &input, tag, body);
}

uint32_t rig_host(rig_t *self, unsigned n) { return rig_hello(self, n, 0, "engine"); }

uint32_t rig_hello(rig_t *self, unsigned n, uint8_t instance, const char *engine)
{
    char name[16];
    snprintf(name, sizeof name, "host%u", n);
    msg_hello_t msg = {1, 1, {{7}}, 0, text_of(name), text_of(engine), {{instance}}};
    input_t input = {.kind = INPUT_HOST, .key = {{(uint8_t)n}}};
    step_frame(self, &input, TAG_hello, &msg);
    return self->hosts[n] = kernel_host(self->kernel, input.key).n;
}

void rig_host_gone(rig_t *self, uint32_t host)
{
    input_t input = {.kind = INPUT_HOST_GONE, .from = host};
    step(self, &input);
}

void rig_ask_from(rig_t *self, uint32_t client, msg_tag_t tag, const void *body)
{
    input_t input = {.kind = INPUT_CLIENT, .from = client};
    step_frame(self, &input, tag, body);
}

const msg_t *rig_reply(rig_t *self, uint32_t client)
{
    letter_t *before = NULL;
    for (letter_t *letter = self->replies; letter; before = letter, letter = letter->next) {
        if (letter->to != client) continue;
        if (before)
            before->next = letter->next;
        else
            self->replies = letter->next;
        if (self->replies_tail == letter) self->replies_tail = before;
        letter->next = NULL;
        return &letter->msg;
    }
    return NULL;
}

const msg_t *rig_ask(rig_t *self, msg_tag_t tag, const void *body)
{
    must(!rig_reply(self, 1));
    rig_ask_from(self, 1, tag, body);
    return rig_reply(self, 1);
}

void rig_client_gone(rig_t *self, uint32_t client)
{
    input_t input = {.kind = INPUT_CLIENT_GONE, .from = client};
    step(self, &input);
}

id128_t rig_id(rig_t *self)
{
    id128_t id = {0};
    self->ids++;
    memcpy(id.b, &self->ids, sizeof self->ids);
    id.b[15] = 1;
    return id;
}

const msg_t *rig_launch(rig_t *self, const char *names, const rig_launch_t *options)
{
    static const rig_launch_t none = {0};
    if (!options) options = &none;
    buf_t vats = buf_of(LAUNCH_BYTES_MAX), channels = buf_of(LAUNCH_NAMES_BYTES_MAX);
    unsigned count = 0;
    for (const char *at = names; *at;) {
        size_t len = strcspn(at, " ");
        msg_launch_vat_t row = {.name = {at, len},
                                .bundle = text_of("b1-00"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .window = options->window,
                                .reap_deliveries = options->reap_deliveries,
                                .critical = options->critical >> count & 1,
                                .dialect = options->ocap,
                                .poison = options->poison,
                                .globals = text_of(options->globals ? options->globals : ""),
                                .hosts = text_of(options->hosts ? options->hosts : ""),
                                .host = text_of(options->host ? options->host : "")};
        must(!msg_encode(TAG_launch_vat, &row, &vats));
        at += len + (at[len] == ' ');
        count++;
    }
    for (unsigned i = 0; i < options->channel_count; i++)
        must(!msg_encode(TAG_launch_channel, &options->channels[i], &channels));
    char name[32], hash[64];
    snprintf(name, sizeof name, "c%llu", (unsigned long long)self->ids);
    buf_t bundles = buf_of(LAUNCH_NAMES_BYTES_MAX);
    if (options->bundle) {
        snprintf(hash, sizeof hash, "b1-%.50s", options->bundle);
        msg_launch_bundle_t row = {text_of(options->bundle), text_of(hash)};
        must(!msg_encode(TAG_launch_bundle, &row, &bundles));
    }
    if (options->channel) must(!msg_encode(TAG_launch_channel, options->channel, &channels));
    msg_launch_t msg = {.request = rig_id(self),
                        .name = text_of(name),
                        .serial = options->serial,
                        .vats = {vats.at, vats.len},
                        .services = text_of(options->services ? options->services : ""),
                        .system = options->system,
                        .bundles = {bundles.at, bundles.len},
                        .channels = {channels.at, channels.len}};
    const msg_t *reply = rig_ask(self, TAG_launch, &msg);
    buf_clear(&vats);
    buf_clear(&bundles);
    buf_clear(&channels);
    if (reply || options->no_start) return reply;

    for (uint32_t vat = 1; !reply && vat < 1000; vat++) {
        const msg_t *delivery = rig_delivery(self, vat);
        if (!delivery || delivery->tag != TAG_deliver_start) continue;
        rig_empty(self, vat);
        reply = rig_reply(self, 1);
        if (!reply && options->serial) vat = 0;
    }
    return reply;
}

/* ---- vats ---- */

size_t rig_pending(const rig_t *self, uint32_t vat)
{
    const worker_t *worker = worker_of(self, vat);
    return worker ? worker->pending : 0;
}

const msg_t *rig_delivery(rig_t *self, uint32_t vat)
{
    const worker_t *worker = worker_of(self, vat);
    return worker && worker->head ? &worker->head->inner : NULL;
}

msg_result_t rig_result_frame(rig_t *self, uint32_t vat, const buf_t *calls)
{
    const worker_t *worker = worker_of(self, vat);
    must(worker && worker->head);
    const msg_deliver_t *deliver = &worker->head->msg.body.deliver;
    return (msg_result_t){.vat = {vat},
                          .inc = worker->inc,
                          .pgen = worker->pgen,
                          .run = worker->run,
                          .d = deliver->d,
                          .delivery_hash = hash_of(deliver->delivery),
                          .chain = worker->chain,
                          .calls = {calls ? calls->at : NULL, calls ? calls->len : 0},
                          .computrons = 100,
                          .run_us = 10};
}

void rig_result_send(rig_t *self, uint32_t vat, const msg_result_t *msg)
{
    worker_t *worker = worker_of(self, vat);
    msg_tag_t was = worker->head->inner.tag;
    hash_t result = hash_result(msg->outcome, msg->calls, msg->store_digest);
    worker->chain = hash_chain(worker->chain, msg->delivery_hash, result);
    worker->last = msg->d;
    worker->head = worker->head->next;
    if (!worker->head) worker->tail = NULL;
    worker->pending--;
    bool ends = msg->outcome && was == TAG_deliver_upgrade;
    rig_from_host(self, worker->host, TAG_result, msg);
    if (!ends) return;
    /* After an upgrade that failed the worker is of no more use: a fresh one comes. */
    rig_worker(self, vat);
}

void rig_worker(rig_t *self, uint32_t vat)
{
    worker_t *worker = worker_of(self, vat);
    renew(worker);
    attach(self, worker);
}

void rig_heapless(rig_t *self, uint32_t vat)
{
    worker_t *worker = worker_of(self, vat);
    renew(worker);
    attach_with(self, worker, true);
}

msg_checkpoint_t rig_checkpoint_frame(const rig_t *self, uint32_t vat)
{
    const worker_t *worker = worker_of(self, vat);
    return (msg_checkpoint_t){.vat = {vat},
                              .inc = worker->inc,
                              .pgen = worker->pgen,
                              .run = worker->run,
                              .d = worker->last,
                              .chain = worker->chain,
                              .oldest = worker->checkpoint,
                              .bytes = 4096};
}

/* Of the same delivery the same file. */
static uint8_t file_number(const worker_t *worker)
{
    return (uint8_t)(worker->vat * 7 + worker->pgen);
}

void rig_ready(rig_t *self, uint32_t vat)
{
    const worker_t *worker = worker_of(self, vat);
    rig_checkpoint(self, vat, false);
    msg_checkpoint_ready_t msg = {
        .vat = {vat},
        .pgen = worker->pgen,
        .d = worker->checkpoint,
        .chain = worker->checkpoint_chain,
        .hash = {{(uint8_t)vat, (uint8_t)worker->checkpoint, file_number(worker)}},
        .total = 1000 + worker->checkpoint};
    rig_from_host(self, worker->host, TAG_checkpoint_ready, &msg);
}

size_t rig_pulls(const rig_t *self) { return self->pull_count; }

static file_t pull_take(rig_t *self)
{
    must(self->pull_count);
    file_t pull = self->pulls[0];
    memmove(self->pulls, self->pulls + 1, --self->pull_count * sizeof *self->pulls);
    return pull;
}

void rig_pulled_as(rig_t *self, hash_t chain)
{
    file_t pull = pull_take(self);
    copy_t *copy = &pull.copy;
    if (!hash_none(chain)) copy->chain = chain;
    if (!file_of(self, pull.vat, copy)) {
        self->files = resized(self->files, (self->file_count + 1) * sizeof *self->files);
        self->files[self->file_count++] = pull;
    }
    msg_attach_t at = {.vat = pull.vat, .last = copy->d};
    input_t input = {.kind = INPUT_MIRRORED, .vat = pull.vat, .copy = *copy};
    input.chain = stored_chain(self, &at);
    step(self, &input);
}

void rig_pulled(rig_t *self) { rig_pulled_as(self, (hash_t){{0}}); }

void rig_unpulled(rig_t *self, err_t err)
{
    file_t pull = pull_take(self);
    input_t input = {.kind = INPUT_UNMIRRORED, .vat = pull.vat, .copy = pull.copy, .err = err};
    step(self, &input);
}

void rig_backed_up(rig_t *self, err_t err)
{
    input_t input = {.kind = INPUT_BACKED_UP, .err = err, .why = err ? err_text(err) : NULL};
    step(self, &input);
}

void rig_checkpoint(rig_t *self, uint32_t vat, bool asleep)
{
    worker_t *worker = worker_of(self, vat);
    msg_checkpoint_t msg = rig_checkpoint_frame(self, vat);
    msg.asleep = asleep;
    worker->checkpoint = worker->last;
    worker->checkpoint_chain = worker->chain;
    rig_from_host(self, worker->host, TAG_checkpoint, &msg);
}

void rig_result(rig_t *self, uint32_t vat, buf_t *calls)
{
    msg_result_t msg = rig_result_frame(self, vat, calls);
    rig_result_send(self, vat, &msg);
    if (calls) buf_clear(calls);
}

void rig_empty(rig_t *self, uint32_t vat) { rig_result(self, vat, NULL); }

void rig_fail(rig_t *self, uint32_t vat, err_t outcome, const char *reason)
{
    msg_result_t msg = rig_result_frame(self, vat, NULL);
    msg.outcome = outcome;
    msg.reason = text_of(reason);
    rig_result_send(self, vat, &msg);
}

void rig_run_dry(rig_t *self)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t vat = 1; vat < 200; vat++) {
            if (!rig_delivery(self, vat)) continue;
            rig_empty(self, vat);
            moved = true;
        }
    }
}

/* ---- restart ---- */

static int by_row(const void *a, const void *b)
{
    const stored_t *x = a, *y = b;
    if (x->table != y->table) return x->table < y->table ? -1 : 1;
    bin_t p = blob_bin(x->key), q = blob_bin(y->key);
    size_t len = p.len < q.len ? p.len : q.len;
    return memcmp(p.at, q.at, len);
}

void rig_restart(rig_t *self, bool replay)
{
    kernel_destroy(&self->kernel);
    self->kernel = kernel_new();
    qsort(self->rows, self->row_count, sizeof *self->rows, by_row);
    for (size_t i = 0; i < self->row_count; i++) {
        row_t row = row_read(&self->rows[i]);
        must(!kernel_load(self->kernel, &row));
    }
    uint8_t entropy[32];
    random_words(self, entropy);
    err_t err = kernel_loaded(self->kernel, entropy);
    if (err) kernel_audit(self->kernel, finding, NULL);
    must(!err);
    kernel_watched(self->kernel, TOPIC_CONSOLE | TOPIC_TRAFFIC);
    if (self->host_loss_us) kernel_host_loss(self->kernel, self->host_loss_us);
    if (self->adopts) kernel_adopt(self->kernel);
    self->adopts = false;
    kernel_flush(self->kernel, store_row, self);
    self->pull_count = 0;
    self->agent_wanted = self->agent_runs = false;
    self->asked = self->asked_tail = NULL;

    size_t count;
    uint64_t *vats = map_sorted(&self->workers, &count);
    for (size_t i = 0; i < count; i++) {
        worker_t *worker = map_get(&self->workers, vats[i]);
        worker->head = worker->tail = NULL;
        worker->pending = 0;
        if (!replay) continue;
        renew(worker);
    }
    for (unsigned n = 1; n < 8; n++)
        if (self->hosts[n]) rig_host(self, n);
    for (size_t i = 0; i < count; i++) {
        worker_t *worker = map_get(&self->workers, vats[i]);
        attach(self, worker);
    }
    free(vats);
}

void rig_hosts_deaf(rig_t *self, bool deaf) { self->deaf = deaf; }

void rig_adopt(rig_t *self)
{
    self->adopts = true;
    rig_restart(self, true);
}

void rig_adopt_on(rig_t *self, unsigned n)
{
    for (unsigned m = 1; m < 8; m++)
        if (m != n) self->hosts[m] = 0;
    rig_adopt(self);
}

void rig_host_loss(rig_t *self, uint64_t after_us)
{
    self->host_loss_us = after_us;
    kernel_host_loss(self->kernel, after_us);
}

rig_t *rig_new(void)
{
    rig_t *self = calloc(1, sizeof *self);
    must(self);
    self->now_us = UINT64_C(1700000000000000);
    self->step_us = 1500;
    self->kernel = kernel_new();
    uint8_t entropy[32] = {42};
    must(!kernel_loaded(self->kernel, entropy));
    kernel_watched(self->kernel, TOPIC_CONSOLE | TOPIC_TRAFFIC);
    kernel_flush(self->kernel, store_row, self);
    return self;
}

void rig_destroy(rig_t **self_p)
{
    rig_t *self = *self_p;
    *self_p = NULL;
    if (!self) return;

    kernel_destroy(&self->kernel);
    while (self->made) {
        letter_t *letter = self->made;
        self->made = letter->made;
        msg_clear(&letter->msg);
        if (letter->has_inner) msg_clear(&letter->inner);
        blob_destroy(&letter->frame);
        free(letter);
    }
    for (size_t i = 0; i < self->workers.room; i++) free(map_cell(&self->workers, i));
    map_clear(&self->workers);
    for (size_t i = 0; i < self->row_count; i++) {
        blob_destroy(&self->rows[i].key);
        blob_destroy(&self->rows[i].row);
    }
    free(self->rows);
    free(self->files);
    free(self->pulls);
    for (size_t i = 0; i < self->event_count; i++) blob_destroy(&self->events[i]);
    free(self->events);
    free(self);
}

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
        bool it = rig_text_is(row.body.counter_row.name, name);
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
        const letter_t *letter = letter_new(self, &effect);
        if (rig_text_is(letter->msg.body.event.type, type)) return &letter->msg.body.event;
    }
    return NULL;
}

size_t rig_events(const rig_t *self, const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < self->event_count; i++) {
        msg_t msg;
        must(!msg_decode(blob_bin(self->events[i]), &msg));
        count += rig_text_is(msg.body.event.type, type);
        msg_clear(&msg);
    }
    return count;
}

/* ---- syscalls ---- */

capdata_t rig_data(const char *body, const kref_t *slots, size_t count)
{
    return (capdata_t){{(const uint8_t *)body, strlen(body)}, {slots, count}};
}

bool rig_text_is(text_t text, const char *expect)
{
    return text.len == strlen(expect) && memcmp(text.at, expect, text.len) == 0;
}

bool rig_body_is(const capdata_t *data, const char *expect)
{
    return rig_text_is((text_t){(const char *)data->body.at, data->body.len}, expect);
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
