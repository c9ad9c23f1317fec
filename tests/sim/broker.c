/* The broker's shell: one kernel, its rows, and effects that leave when the rows are stored. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

static void on_finding(void *context, const char *rule, const char *row, const char *should)
{
    sim_fail(context, rule, "%s: %s", row, should);
}

static void audit(sim_t *self, const kernel_t *kernel)
{
    self->result->audits++;
    kernel_audit(kernel, on_finding, self);
}

static void store_row(void *context, const row_t *row)
{
    sim_t *self = context;
    rows_apply(&self->rows, row);
    uint64_t vat = row->table == ROW_held  ? row->body.held.vat
                   : row->table == ROW_vat ? row->body.vat.vat
                                           : 0;
    if (vat <= VATS_MAX) self->touched[vat] = true;
    if (row->table == ROW_mirror && !row->gone) {
        const vat_config_t *role = self->roles[row->body.mirror.vat];
        if (role && role->mirror) self->mirrored[row->body.mirror.vat] = true;
    }
    if (row->table != ROW_vat || row->gone) return;
    must(vat <= VATS_MAX);
    if (vat > self->top) self->top = (unsigned)vat;
    self->dynamic[vat] = row->body.vat.dynamic;
    if (!self->roles[vat]) self->roles[vat] = config_role(&self->config, &row->body.vat);
}

static kernel_t *load(sim_t *self)
{
    kernel_t *kernel = kernel_new();
    uint8_t entropy[32];
    for (unsigned t = 0; t < ROW_TABLES; t++) {
        const rows_table_t *table = &self->rows.tables[t];
        for (size_t i = 0; i < table->count; i++) {
            err_t err = kernel_load(kernel, table->at[i]);
            if (err)
                sim_fail(self, "load", "row %zu of %s is not taken: %s", i, row_tables[t].name,
                         err_name(err));
        }
    }
    sim_draw(self, entropy);
    err_t err = kernel_loaded(kernel, entropy);
    if (err) {
        audit(self, kernel);
        sim_fail(self, "load", "the rows contradict each other: %s", err_name(err));
    }
    return kernel;
}

void broker_start(sim_t *self)
{
    self->kernel = load(self);
    kernel_watched(self->kernel, TOPIC_TRAFFIC | TOPIC_CONSOLE);
    kernel_flush(self->kernel, store_row, self);
    audit(self, self->kernel);
}

/* Another kernel made from the stored rows must find nothing wrong with itself. */
void broker_shadow(sim_t *self)
{
    if (self->pending_count) return;
    kernel_t *shadow = load(self);
    audit(self, shadow);
    kernel_destroy(&shadow);
}

void pending_clear(sim_t *self)
{
    for (unsigned i = 0; i < self->pending_count; i++) {
        effects_clear(&self->pending[i].effects);
        blob_destroy(&self->pending[i].frame);
    }
    self->pending_count = 0;
}

/* ---- effects ---- */

static unsigned host_numbered(sim_t *self, uint32_t number)
{
    for (unsigned h = 0; h < self->config.hosts; h++)
        if (self->hosts[h].number == number) return h;
    sim_fail(self, "effect", "an effect for host %u, which does not exist", number);
}

/* Number of the vat that a frame is about; 0: none. All such messages begin with it. */
static unsigned vat_of(sim_t *self, bin_t frame)
{
    msg_t msg;
    uint32_t vat = 0;
    if (msg_decode(frame, &msg))
        sim_fail(self, "codec", "the kernel made a frame that nobody can read");
    const message_t *row = message_find(msg.tag);
    if (row->field_count && row->fields[0].kind == KIND_vat) memcpy(&vat, &msg.body, sizeof vat);
    msg_clear(&msg);
    if (vat > VATS_MAX) sim_fail(self, "effect", "a frame about vat v%u", vat);
    return vat;
}

/* A connection that is gone takes with it what is sent on it. */
static void to_host(sim_t *self, unsigned host, unsigned vat, blob_t *blob)
{
    const shost_t *h = &self->hosts[host];
    if (h->open && h->routed == h->session)
        net_push(self, WAY_DOWN, host, vat, blob);
    else
        blob_destroy(&blob);
}

enum { VERDICT_LIVE, VERDICT_REPLAY, VERDICT_SKIP };

static void send_rows(sim_t *self, const effect_t *effect)
{
    unsigned host = host_numbered(self, effect->to);
    for (uint64_t d = effect->first; d <= effect->last; d++) {
        const row_t *row = rows_find(&self->rows, ROW_log, effect->vat.n, d);
        const row_vat_t *vat = vat_row(self, effect->vat.n);
        if (!row && (!vat || vat->state == 2)) return; /* it ended in the same commit */
        if (!row) sim_fail(self, "K31", "row v%u/%" PRIu64 " is not in the log", effect->vat.n, d);
        const row_log_t *log = &row->body.log;
        msg_deliver_t deliver = {
            .vat = effect->vat,
            .inc = effect->inc,
            .pgen = effect->pgen,
            .run = effect->run,
            .d = d,
            .applied = effect->applied,
            .durable = effect->last,
            .verdict = log->outcome == 0   ? VERDICT_LIVE
                       : log->outcome == 1 ? VERDICT_REPLAY
                                           : VERDICT_SKIP,
            .delivery = log->delivery,
            .cause = {{(uint32_t)log->msg_vat}, log->msg_d, (uint32_t)log->msg_n}};
        if (log->result_hash.len == sizeof deliver.expect)
            memcpy(&deliver.expect, log->result_hash.at, sizeof deliver.expect);
        if (log->trace.len == sizeof deliver.trace)
            memcpy(&deliver.trace, log->trace.at, sizeof deliver.trace);
        to_host(self, host, effect->vat.n, sim_encode(self, TAG_deliver, &deliver));
    }
}

static void emit(sim_t *self, effects_t *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const effect_t *effect = &effects->items[i];
        switch (effect->kind) {
        case EFFECT_HOST:
            to_host(self, host_numbered(self, effect->to), vat_of(self, blob_bin(effect->frame)),
                    blob_ref(effect->frame));
            break;
        case EFFECT_CLIENT:
            if (self->client && effect->to == self->client_number)
                net_push(self, WAY_TELL, 0, 0, blob_ref(effect->frame));
            break;
        case EFFECT_ROWS: send_rows(self, effect); break;
        case EFFECT_WATCH:
        case EFFECT_STOP: break;
        case EFFECT_AGENT: agent_take(self, effect->frame); break;
        case EFFECT_PULL: copies_pull(self, effect, host_numbered(self, effect->to)); break;
        case EFFECT_DISCARD: copies_discard(self, effect->vat.n, &effect->copy); break;
        case EFFECT_BACKUP: break;
        }
    }
}

void broker_commit(sim_t *self)
{
    pending_t steps[GROUP_MAX];
    unsigned count = self->pending_count;
    if (!count) return;
    memcpy(steps, self->pending, sizeof steps);
    self->pending_count = 0;

    kernel_flush(self->kernel, store_row, self);
    told_vats(self);
    for (unsigned i = 0; i < count; i++) told_step(self, &steps[i]);
    check_vats(self);
    copies_check(self);
    for (unsigned i = 0; i < count; i++) {
        emit(self, &steps[i].effects);
        effects_clear(&steps[i].effects);
        blob_destroy(&steps[i].frame);
    }
    check_names(self);
}

/* ---- one step ---- */

static hash_t key_of(unsigned host) { return (hash_t){{(uint8_t)(host + 1)}}; }

static void log_message(sim_t *self, const char *what, const msg_t *msg)
{
    buf_t line = buf_of(1 << 20);
    if (msg_print(msg->tag, &msg->body, &line) != ERR_OK) line.len = 0;
    sim_log(self, "%s%.*s", what, (int)line.len, line.len ? (const char *)line.at : "");
    buf_clear(&line);
}

static void log_result(sim_t *self, const msg_result_t *result)
{
    bin_t rest = result->calls;
    msg_t call;
    sim_log(self, "> result v%u/%" PRIu64 " run %" PRIu64 " %s %.*s", result->vat.n, result->d,
            result->run, err_name((err_t)result->outcome), (int)result->reason.len,
            result->reason.at);
    while (rest.len > 0 && msg_next(&rest, &call) == ERR_OK) {
        log_message(self, "      ", &call);
        msg_clear(&call);
    }
}

static void log_input(sim_t *self, input_kind_t kind, uint32_t from, const msg_t *msg)
{
    static const char *const kinds[] = {"> host",  "> host gone", "> client",    "> client gone",
                                        "> chore", "> agent",     "> agent gone"};
    if (!self->options->verbose) return;
    if (msg && msg->tag == TAG_result)
        log_result(self, &msg->body.result);
    else if (msg)
        log_message(self, "> ", msg);
    else
        sim_log(self, "%s %u", kinds[kind], from);
}

/* Chain of row D of the log, as far as that is applied. */
static hash_t chain_of(const sim_t *self, unsigned vat, uint64_t d)
{
    const row_t *row = rows_find(&self->rows, ROW_log, vat, d);
    hash_t chain = {{0}};
    if (row && row->body.log.outcome && row->body.log.chain.len == sizeof chain)
        memcpy(&chain, row->body.log.chain.at, sizeof chain);
    return chain;
}

/* A copy that was asked for is there, or is not. */
void broker_copied(sim_t *self, input_kind_t kind, unsigned vat, const copy_t *copy, err_t err)
{
    input_t input = {.kind = kind,
                     .now_us = self->now_us += 1000,
                     .vat = {vat},
                     .copy = *copy,
                     .chain = chain_of(self, vat, copy->d),
                     .err = err};
    pending_t *step = &self->pending[self->pending_count++];
    *step = (pending_t){.frame = NULL};
    sim_draw(self, input.entropy);
    sim_log(self, "%s v%u/%" PRIu64, kind == INPUT_MIRRORED ? "> copy of" : "> no copy of", vat,
            copy->d);
    kernel_step(self->kernel, &input, &step->effects);
    audit(self, self->kernel);
    if (self->pending_count >= self->config.group) broker_commit(self);
}

/* Takes FRAME, which may be NULL. HOST: where it comes from, for INPUT_HOST. */
void broker_step(sim_t *self, input_kind_t kind, uint32_t from, unsigned host, blob_t *frame)
{
    msg_t msg;
    input_t input = {.kind = kind, .from = from, .now_us = self->now_us += 1000};
    pending_t *step = &self->pending[self->pending_count];
    *step = (pending_t){.frame = frame};

    sim_draw(self, input.entropy);
    if (input.entropy[0] == 0)
        input.now_us = self->now_us -= 50000 * input.entropy[1]; /* somebody sets the clock */
    bool hello = false;
    if (frame) {
        err_t err = msg_decode(blob_bin(frame), &msg);
        if (err) sim_fail(self, "codec", "a frame cannot be read: %s", err_name(err));
        input.msg = &msg;
        if (msg.tag == TAG_attach)
            input.chain = chain_of(self, msg.body.attach.vat.n, msg.body.attach.last);
        hello = kind == INPUT_HOST && msg.tag == TAG_hello;
        if (hello) {
            input.from = 0;
            input.key = key_of(host);
        }
        if (msg.tag == TAG_result) {
            const worker_t *worker = msg.body.result.vat.n <= VATS_MAX
                                         ? worker_at(self, host, msg.body.result.vat.n)
                                         : NULL;
            if (worker && worker->engine && model_naughty(worker->engine) == msg.body.result.d)
                step->illegal = msg.body.result.vat.n;
            if (self->liar) step->illegal = self->liar;
        }
    }
    self->pending_count++;
    log_input(self, kind, from, input.msg);
    kernel_step(self->kernel, &input, &step->effects);
    if (frame) msg_clear(&msg);
    if (hello) {
        shost_t *h = &self->hosts[host];
        h->number = kernel_host(self->kernel, key_of(host)).n;
        h->routed = h->session;
        h->gone = false;
    }
    audit(self, self->kernel);
    if (self->pending_count >= self->config.group) broker_commit(self);
}

/* The broker dies. What was committed is there when it comes back; nothing else is. */
void broker_restart(sim_t *self, chance_t *chance)
{
    sim_log(self, "the broker dies, with %u steps not committed", self->pending_count);
    pending_clear(self);
    for (unsigned h = 0; h < self->config.hosts; h++) {
        net_cut(self, h, chance);
        self->hosts[h].gone = false;
        self->hosts[h].routed = 0;
    }
    net_cut_client(self);
    agent_dies(self, false);
    kernel_destroy(&self->kernel);
    copies_start(self);
    broker_start(self);
    check_names(self);
}
