#include "tests/unit/broker/fake_kernel.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

unsigned fake_inputs[INPUT_BACKED_UP + 1], fake_watched;
uint64_t fake_wake_us = UINT64_MAX;
bool fake_damaged;
size_t fake_copy_count;
fake_copy_t fake_copies[FAKE_COPIES_MAX];
const char *fake_globals = "";
uint64_t fake_traced_below;
trace_take_t *fake_trace_take;
void *fake_trace_context;
char fake_name[NAME_BYTES_MAX + 1];

struct kernel {
    hash_t keys[16];
    uint32_t hosts;
    uint64_t epoch, changes, rows_loaded;
    bool dirty, agent_wanted;
};

void effects_clear(effects_t *effects)
{
    for (size_t i = 0; i < effects->count; i++) blob_destroy(&effects->items[i].frame);
    free(effects->items);
    *effects = (effects_t){0};
}

static effect_t *effect(effects_t *out, effect_kind_t kind, uint32_t to)
{
    if (out->count == out->room) {
        out->room = out->room ? 2 * out->room : 8;
        out->items = reallocarray(out->items, out->room, sizeof *out->items);
        must(out->items);
    }
    out->items[out->count] = (effect_t){.kind = kind, .to = to};
    return &out->items[out->count++];
}

static void say(effects_t *out, effect_kind_t kind, uint32_t to, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    must(msg_encode(tag, body, &frame) == ERR_OK);
    effect_t *said = effect(out, kind, to);
    said->frame = blob_new(frame.at, frame.len);
    said->topic = TOPIC_CONSOLE;
    buf_clear(&frame);
}

kernel_t *kernel_new(void)
{
    kernel_t *self = calloc(1, sizeof *self);
    must(self);
    return self;
}

void kernel_destroy(kernel_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

err_t kernel_load(kernel_t *self, const row_t *row)
{
    self->rows_loaded++;
    if (row->table == ROW_host) {
        memcpy(self->keys[row->body.host.host].b, row->body.host.key.at, sizeof(hash_t));
        self->hosts = (uint32_t)row->body.host.host;
    }
    if (row->table == ROW_counter) self->epoch = row->body.counter.value;
    return ERR_OK;
}

err_t kernel_loaded(kernel_t *self, const uint8_t entropy[32])
{
    (void)entropy;
    self->epoch++;
    self->dirty = true;
    return fake_damaged ? ERR_STORE_DAMAGED : ERR_OK;
}

host_t kernel_host(const kernel_t *self, hash_t key)
{
    for (uint32_t i = 1; i <= self->hosts; i++) {
        if (memcmp(self->keys[i].b, key.b, sizeof key.b) == 0) return (host_t){i};
    }
    return (host_t){0};
}

static void hello(kernel_t *self, const input_t *input, effects_t *out)
{
    const msg_hello_t *hello = &input->msg->body.hello;
    memcpy(fake_name, hello->name.at, hello->name.len);
    fake_name[hello->name.len] = 0;
    if (hello->proto_min > PROTO_MAX) {
        say(out, EFFECT_HOST, 0, TAG_refuse,
            &(msg_refuse_t){ERR_PROTOCOL_RANGE, TAG_hello, text_of("")});
        return;
    }
    if (!kernel_host(self, input->key).n) self->keys[++self->hosts] = input->key;
    host_t host = kernel_host(self, input->key);
    self->dirty = true;
    say(out, EFFECT_HOST, host.n, TAG_welcome,
        &(msg_welcome_t){.proto = 1, .nonce = hello->nonce, .epoch = self->epoch, .host = host});
}

static void tell_agent(effects_t *out, uint64_t channel)
{
    say(out, EFFECT_AGENT, 0, TAG_agent_close, &(msg_agent_close_t){channel});
}

void kernel_step(kernel_t *self, const input_t *input, effects_t *out)
{
    fake_inputs[input->kind]++;
    if (input->kind == INPUT_CHORE) fake_wake_us = UINT64_MAX;
    if (input->kind == INPUT_AGENT && !input->msg) tell_agent(out, 50);
    if (input->kind == INPUT_AGENT_GONE && self->agent_wanted) effect(out, EFFECT_AGENT, 0);
    if (!input->msg) return;
    const msg_body_t *body = &input->msg->body;
    if (input->msg->tag == TAG_hello) hello(self, input, out);
    if (input->msg->tag == TAG_kill) {
        self->dirty = true;
        self->changes++;
        if (body->kill.vat.n == 50) self->agent_wanted = effect(out, EFFECT_AGENT, 0) != NULL;
        if (body->kill.vat.n == 51) tell_agent(out, 51);
        say(out, EFFECT_CLIENT, input->from, TAG_done, &(msg_done_t){body->kill.request});
        say(out, EFFECT_WATCH, 0, TAG_event, &(msg_event_t){.type = text_of("vat-exit")});
        say(out, EFFECT_HOST, 1, TAG_vat_end, &(msg_vat_end_t){.vat = body->kill.vat});
    }
    if (input->msg->tag == TAG_attach) {
        effect_t *rows = effect(out, EFFECT_ROWS, input->from);
        rows->vat = body->attach.vat;
        rows->first = 1;
        rows->last = 64;
        rows->run = 7;
        rows->applied = 2;
    }
    if (input->msg->tag == TAG_log_get) {
        uint8_t head[] = {0xc0};
        say(out, EFFECT_CLIENT, input->from, TAG_rows,
            &(msg_rows_t){body->log_get.request, {head, sizeof head}, 0});
        effect_t *rows = &out->items[out->count - 1];
        rows->vat = body->log_get.vat;
        rows->first = body->log_get.first;
        rows->last = body->log_get.last;
    }
    if (input->msg->tag == TAG_shutdown) {
        say(out, EFFECT_CLIENT, input->from, TAG_done, &(msg_done_t){body->shutdown.request});
        effect(out, EFFECT_STOP, 0);
    }
}

bool kernel_chores(const kernel_t *self)
{
    (void)self;
    return false;
}

void kernel_flush(kernel_t *self, row_visit_t *visit, void *context)
{
    if (!self->dirty) return;
    self->dirty = false;
    row_t row = {.table = ROW_counter};
    row.body.counter.name = text_of("epoch");
    row.body.counter.value = self->epoch;
    visit(context, &row);
    for (uint32_t i = 1; i <= self->hosts; i++) {
        row = (row_t){.table = ROW_host};
        row.body.host.host = i;
        row.body.host.key = (bin_t){self->keys[i].b, sizeof self->keys[i].b};
        visit(context, &row);
    }
}

void kernel_globals(kernel_t *self, const char *names)
{
    (void)self;
    fake_globals = names;
}

void kernel_traced(kernel_t *self, uint64_t below, trace_take_t *take, void *context)
{
    (void)self;
    fake_traced_below = below;
    fake_trace_take = take;
    fake_trace_context = context;
}

void kernel_watched(kernel_t *self, unsigned topics)
{
    (void)self;
    fake_watched = topics;
}

bool kernel_overdue(const kernel_t *self, uint64_t now_us)
{
    (void)self;
    (void)now_us;
    return false;
}

uint64_t kernel_wake_us(const kernel_t *self)
{
    (void)self;
    return fake_wake_us;
}

uint64_t kernel_epoch(const kernel_t *self) { return self->epoch; }
id128_t kernel_id(const kernel_t *self)
{
    (void)self;
    return (id128_t){{1}};
}
size_t kernel_audit(const kernel_t *self, finding_visit_t *visit, void *context)
{
    (void)self;
    if (!fake_damaged) return 0;
    visit(context, "K5", "ko1.1", "reachable is 2, should be 1");
    visit(context, "K6", "ko1.1", "recognizable is 2, should be 1");
    return 2;
}

void kernel_host_loss(kernel_t *self, uint64_t after_us) { (void)self, (void)after_us; }

hash_t fake_disavowed;

void kernel_disavowed(const kernel_t *self, key_visit_t *visit, void *context)
{
    (void)self;
    if (fake_disavowed.b[0]) visit(context, fake_disavowed);
}

void kernel_adopt(kernel_t *self) { (void)self; }

bool kernel_copy(const kernel_t *self, vat_t vat, uint32_t host, copy_t *ret)
{
    (void)self, (void)vat, (void)host, (void)ret;
    return false;
}

bool kernel_asked_in_vain(const kernel_t *self, uint32_t host, const msg_checkpoint_get_t *get)
{
    (void)self;
    return host && get->vat.n == 52;
}

void kernel_figures(const kernel_t *self, figure_visit_t *visit, void *context)
{
    (void)self;
    visit(context, "deliveries", "kind", "message", true, 7);
}

const uint64_t *kernel_waits(const kernel_t *self, size_t *ret_count)
{
    (void)self;
    *ret_count = 0;
    return NULL;
}

void kernel_copies(const kernel_t *self, copy_visit_t *visit, void *context)
{
    (void)self;
    for (size_t i = 0; i < fake_copy_count; i++)
        visit(context, fake_copies[i].vat, &fake_copies[i].copy);
}
