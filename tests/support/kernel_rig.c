/* The rig: it lives, steps its kernel, restarts it, and says what hosts, clients and the agent say. */
#include "tests/support/kernel_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig_own.h"
#include "wire/base/must.h"

kernel_t *rig_kernel(rig_t *self) { return self->kernel; }

void *rig_resized(void *at, size_t bytes)
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

/* ---- steps ---- */

/* Each row's file is there, and no other. */
static void check_file(void *context, vat_t vat, const copy_t *copy)
{
    rig_t *self = context;
    must(rig_file_of(self, vat, copy));
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
    kernel_flush(self->kernel, rig_row_store, self);
    for (size_t i = 0; i < effects.count; i++) rig_effect(self, &effects.items[i]);
    effects_clear(&effects);
    kernel_copies(self->kernel, check_file, self);
    must(rig_rows(self, ROW_mirror) == self->file_count);
}

void rig_step(rig_t *self, input_t *input)
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
    rig_step(self, &input);
}

void rig_agent_gone(rig_t *self)
{
    must(self->agent_runs);
    self->agent_runs = false;
    self->asked = self->asked_tail = NULL;
    input_t input = {.kind = INPUT_AGENT_GONE};
    rig_step(self, &input);
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

void rig_step_frame(rig_t *self, input_t *input, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    must(!msg_encode(tag, body, &frame));
    msg_t msg;
    must(!msg_decode((bin_t){frame.at, frame.len}, &msg));
    input->msg = &msg;
    rig_step(self, input);
    msg_clear(&msg);
    buf_clear(&frame);
}

void rig_agent_told(rig_t *self, uint64_t errand, bool rejected, const char *body)
{
    msg_agent_told_t msg = {errand, rejected, {(const uint8_t *)body, strlen(body)}};
    input_t input = {.kind = INPUT_AGENT};
    rig_step_frame(self, &input, TAG_agent_told, &msg);
}

void rig_from_host(rig_t *self, uint32_t host, msg_tag_t tag, const void *body)
{
    input_t input = {.kind = INPUT_HOST, .from = host};
    if (tag == TAG_attach) input.chain = rig_row_chain(self, body);
    rig_step_frame(self, &input, tag, body);
}

uint32_t rig_host(rig_t *self, unsigned n) { return rig_hello(self, n, 0, "engine"); }

uint32_t rig_hello(rig_t *self, unsigned n, uint8_t instance, const char *engine)
{
    char name[16];
    snprintf(name, sizeof name, "host%u", n);
    msg_hello_t msg = {1, 1, {{7}}, 0, text_of(name), text_of(engine), {{instance}}};
    input_t input = {.kind = INPUT_HOST, .key = {{(uint8_t)n}}};
    rig_step_frame(self, &input, TAG_hello, &msg);
    return self->hosts[n] = kernel_host(self->kernel, input.key).n;
}

void rig_host_gone(rig_t *self, uint32_t host)
{
    input_t input = {.kind = INPUT_HOST_GONE, .from = host};
    rig_step(self, &input);
}

void rig_ask_from(rig_t *self, uint32_t client, msg_tag_t tag, const void *body)
{
    input_t input = {.kind = INPUT_CLIENT, .from = client};
    rig_step_frame(self, &input, tag, body);
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
    rig_step(self, &input);
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
                                .mirror = options->mirror,
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

/* ---- restart ---- */

void rig_restart(rig_t *self, bool replay)
{
    kernel_destroy(&self->kernel);
    self->kernel = kernel_new();
    rig_rows_load(self);
    uint8_t entropy[32];
    random_words(self, entropy);
    err_t err = kernel_loaded(self->kernel, entropy);
    if (err) kernel_audit(self->kernel, finding, NULL);
    must(!err);
    kernel_watched(self->kernel, TOPIC_CONSOLE | TOPIC_TRAFFIC);
    if (self->host_loss_us) kernel_host_loss(self->kernel, self->host_loss_us);
    if (self->adopts) kernel_adopt(self->kernel);
    self->adopts = false;
    kernel_flush(self->kernel, rig_row_store, self);
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
        rig_renew(worker);
    }
    for (unsigned n = 1; n < 8; n++)
        if (self->hosts[n]) rig_host(self, n);
    for (size_t i = 0; i < count; i++) {
        worker_t *worker = map_get(&self->workers, vats[i]);
        rig_attach(self, worker, false);
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
    kernel_flush(self->kernel, rig_row_store, self);
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
    rig_rows_clear(self);
    free(self->files);
    free(self->pulls);
    for (size_t i = 0; i < self->event_count; i++) blob_destroy(&self->events[i]);
    free(self->events);
    free(self);
}
