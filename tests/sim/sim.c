#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

const char *const fault_names[FAULT_COUNT] = {
#define X(name, doc) #name,
    FAULTS(X)
#undef X
};

sim_t *sim_now;

/* ---- failing ---- */

void sim_fail(sim_t *self, const char *rule, const char *format, ...)
{
    va_list args;
    sim_result_t *result = self->result;
    result->failed = true;
    snprintf(result->rule, sizeof result->rule, "%s", rule);
    va_start(args, format);
    vsnprintf(result->what, sizeof result->what, format, args);
    va_end(args);
    sim_log(self, "FAILED %s: %s", result->rule, result->what);
    longjmp(self->out, 1);
}

/* Instead of wire/base/must.c: a broken promise of the code under test is a finding like any other. */
_Noreturn void must_fail(const char *condition, const char *file, int line, const char *function)
{
    const char *slash = strrchr(file, '/');
    if (sim_now)
        sim_fail(sim_now, "must", "must(%s) at %s:%d in %s", condition, slash ? slash + 1 : file,
                 line, function);
    fprintf(stderr, "must(%s) at %s:%d in %s\n", condition, file, line, function);
    abort();
}

/* ---- log ---- */

void sim_log(sim_t *self, const char *format, ...)
{
    va_list args;
    if (!self->options->verbose) return;
    printf("%5" PRIu64 "  ", self->step);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void sim_hash(sim_t *self, const void *at, size_t len)
{
    const uint8_t *byte = at;
    uint64_t x = self->result->hash ^ len; /* FNV-1a, eight bytes at a time */
    for (; len >= 8; len -= 8, byte += 8) {
        uint64_t word;
        memcpy(&word, byte, 8);
        x = (x ^ word) * UINT64_C(0x100000001b3);
        x ^= x >> 29;
    }
    for (; len > 0; len--, byte++) x = (x ^ *byte) * UINT64_C(0x100000001b3);
    self->result->hash = x;
}

/* ---- actions ---- */

uint64_t sim_key_step(uint64_t step) { return step; }

uint64_t sim_key_vat(unsigned vat, unsigned d, unsigned n)
{
    return (uint64_t)vat << 40 | (uint64_t)d << 8 | n;
}

void sim_key_text(uint64_t key, char *text, size_t room)
{
    if (key >> 40)
        snprintf(text, room, "v%u.%u.%u", (unsigned)(key >> 40), (unsigned)(uint32_t)(key >> 8),
                 (unsigned)(key & 255));
    else
        snprintf(text, room, "s%" PRIu64, key);
}

bool sim_key_parse(const char *text, uint64_t *ret)
{
    unsigned vat, d, n;
    if (sscanf(text, "v%u.%u.%u", &vat, &d, &n) == 3) {
        *ret = sim_key_vat(vat, d, n);
        return true;
    }
    return sscanf(text, "s%" SCNu64, ret) == 1;
}

static bool kept(const sim_options_t *options, uint64_t key)
{
    size_t low = 0, high = options->keep_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (options->keep[middle] == key) return true;
        if (options->keep[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Is this action to happen? Those that are, are noted. */
bool sim_wanted(sim_t *self, uint64_t key)
{
    if (self->options->keep && !kept(self->options, key)) return false;
    if (!self->options->record) return true;
    sim_result_t *result = self->result;
    if (result->action_count == self->record_room) {
        self->record_room = self->record_room ? 2 * self->record_room : 256;
        result->actions = realloc(result->actions, self->record_room * sizeof *result->actions);
        must(result->actions);
    }
    result->actions[result->action_count++] = key;
    return true;
}

bool sim_on(const sim_t *self, fault_t fault) { return !(self->off >> fault & 1); }

void sim_draw(sim_t *self, uint8_t entropy[32])
{
    chance_t chance = chance_of(self->options->seed, 'e', ++self->draws, 0, 0);
    for (size_t i = 0; i < 32; i += 8) {
        uint64_t bits = chance_bits(&chance);
        memcpy(entropy + i, &bits, 8);
    }
}

blob_t *sim_encode(sim_t *self, msg_tag_t tag, const void *body)
{
    buf_t buf = buf_of(FRAME_BYTES_MAX);
    err_t err = msg_encode(tag, body, &buf);
    if (err)
        sim_fail(self, "codec", "%s cannot be encoded: %s", message_find(tag)->name, err_name(err));
    blob_t *blob = blob_new(buf.at, buf.len);
    buf_clear(&buf);
    return blob;
}

/* ---- a run ---- */

static void on_history(void *context, const char *rule, const char *text)
{
    sim_fail(context, rule, "%s", text);
}

static void main_phase(sim_t *self)
{
    for (unsigned i = 0; i < self->config.steps; i++) {
        chance_t chance = chance_of(self->options->seed, 's', i, 0, 0);
        self->step++;
        if (once_in(&chance, self->config.accident)) {
            chance_t own = chance_of(self->options->seed, 'f', i, 0, 0);
            if (sim_wanted(self, sim_key_step(2 * i))) accident(self, &own);
        }
        bool moved = net_move(self, &chance);
        unsigned every = self->config.steps / self->config.calls;
        if (moved && roll(&chance, every ? every : 1)) continue;
        chance_t own = chance_of(self->options->seed, 'c', i, 0, 0);
        if (sim_wanted(self, sim_key_step(2 * i + 1))) client_call(self, &own);
    }
}

static void world_clear(sim_t *self)
{
    pending_clear(self);
    for (unsigned h = 0; h < HOSTS_MAX; h++)
        for (unsigned v = 0; v <= VATS_MAX; v++) {
            worker_remove(&self->workers[h][v]);
            vatstore_destroy(&self->backups[h][v]);
        }
    copies_clear(self);
    net_clear(self);
    for (unsigned i = 0; i < self->asked_count; i++) blob_destroy(&self->asked[i].ask);
    kernel_destroy(&self->kernel);
    rows_clear(&self->rows);
    history_destroy(&self->history);
    clocks_destroy(&self->clocks);
    map_clear(&self->owed);
    map_clear(&self->errands);
    map_clear(&self->pins);
}

static void run(sim_t *self)
{
    broker_start(self);
    for (unsigned h = 0; h < self->config.hosts; h++) host_open(self, h);
    client_open(self);
    chance_t chance = chance_of(self->options->seed, 'b', 0, 0, 0);
    for (unsigned i = 0; i < 64; i++) net_move(self, &chance); /* sessions */
    client_launch(self, 0);
    main_phase(self);
    calm_down(self);
}

/* After a failure nothing is freed: the code under test was left in the middle of something. */
void sim_run(const sim_options_t *options, sim_result_t *ret)
{
    *ret = (sim_result_t){.hash = UINT64_C(0xcbf29ce484222325)};
    sim_t *self = calloc(1, sizeof *self);
    must(self);
    self->options = options;
    self->result = ret;
    self->off = options->off;
    self->config = config_of(options);
    self->now_us = UINT64_C(1700000000000000);
    self->history = history_new(on_history, self);
    self->clocks = clocks_new(self);
    sim_now = self;
    if (!setjmp(self->out)) {
        run(self);
        sim_now = NULL;
        ret->step = self->step;
        world_clear(self);
        free(self);
        return;
    }
    sim_now = NULL;
    ret->step = self->step;
}
