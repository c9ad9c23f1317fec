#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "broker/broker_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum {
    /* What one batch takes in, so that nobody waits for ever behind a flood. */
    BATCH_FRAMES_MAX = 512,
    BATCH_BYTES_MAX = 8 * 1024 * 1024,

    /* A chore waits for so much silence: it and its commit are in the way of what arrives next, and while
     * messages go to and fro each of their steps does a piece of what was put off anyway. */
    CHORE_PAUSE_MS = 2,

    CHECK_MS = 250, /* how often links are looked at */
    STALE_MS = 10 * LINK_LOST_MS,
    PAUSE_FIRST_MS = 10, /* before a commit is tried again; doubled up to the other */
    PAUSE_LAST_MS = 2000,
};

static uint64_t system_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t broker_now_ms(const broker_t *self) { return self->is.clock_ms(); }

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The system is asked for several steps at once; what was given out is forgotten. */
static void draw_entropy(broker_t *self, uint8_t at[ENTROPY_BYTES])
{
    if (self->entropy_left == 0) {
        must(getrandom(self->entropy, sizeof self->entropy, 0) == sizeof self->entropy);
        self->entropy_left = sizeof self->entropy;
    }
    self->entropy_left -= ENTROPY_BYTES;
    memcpy(at, self->entropy + self->entropy_left, ENTROPY_BYTES);
    memset(self->entropy + self->entropy_left, 0, ENTROPY_BYTES);
}

broker_t *broker_new(const broker_options_t *options)
{
    broker_t *self = calloc(1, sizeof *self);
    must(self);
    self->is = *options;
    if (!self->is.clock_ms) self->is.clock_ms = system_ms;
    self->kernel = kernel_new();
    kernel_globals(self->kernel, options->globals);
    self->peers = peers_new();
    self->meter = meter_new();
    self->frame = buf_of(FRAME_BYTES_MAX);
    if (options->traced_below) {
        self->trace = trace_new();
        kernel_traced(self->kernel, options->traced_below, trace_take, self->trace);
    }
    if (options->host_loss_us) kernel_host_loss(self->kernel, options->host_loss_us);
    return self;
}

void broker_destroy(broker_t **self_p)
{
    broker_t *self = *self_p;
    if (!self) return;
    outbox_clear(self);
    free(self->outbox);
    effects_clear(&self->effects);
    record_clear(&self->record);
    buf_clear(&self->frame);
    peers_destroy(&self->peers);
    meter_destroy(&self->meter);
    shipping_close(self);
    joins_destroy(&self->joins);
    trace_destroy(&self->trace);
    kernel_destroy(&self->kernel);
    free(self);
    *self_p = NULL;
}

bool broker_stopped(const broker_t *self) { return self->stopped; }

bool broker_durable(const broker_t *self) { return !self->waiting; }

const char *broker_why(const broker_t *self) { return self->why; }

const char *broker_lost(const broker_t *self) { return self->lost; }

static err_t store_error(broker_t *self, err_t err)
{
    snprintf(self->why, sizeof self->why, "%s", store_why(self->is.store));
    return err;
}

/* ---- steps ---- */

bool broker_step(broker_t *self, input_kind_t kind, uint32_t from, const msg_t *msg,
                 const arrival_t *arrival)
{
    input_t input = {.kind = kind, .from = from, .msg = msg};
    if (arrival) input.key = arrival->key;
    if (msg && msg->tag == TAG_attach) input.chain = self->attach_chain;
    return broker_input(self, &input, msg && msg->tag == TAG_hello ? arrival : NULL);
}

bool broker_input(broker_t *self, input_t *input, const arrival_t *hello)
{
    input->now_us = now_us();
    draw_entropy(self, input->entropy);
    kernel_step(self->kernel, input, &self->effects);
    size_t count;
    const uint64_t *waits = kernel_waits(self->kernel, &count);
    meter_waits(self->meter, waits, count);
    moment_stepped(input->kind, input->msg);
    return outbox_take(self, hello);
}

void broker_reply(broker_t *self, const arrival_t *arrival, msg_tag_t tag, const void *body)
{
    outbox_frame(self, arrival->door, &arrival->route, tag, body);
}

void broker_refuse(broker_t *self, const arrival_t *arrival, err_t err, uint64_t tag)
{
    meter_refused(self->meter);
    broker_reply(self, arrival, TAG_refuse,
                 &(msg_refuse_t){(uint64_t)err, tag, text_of(err_text(err))});
}

static void add_topics(void *context, peer_t *peer) { *(unsigned *)context |= peer->topics; }

void broker_watched(broker_t *self)
{
    unsigned all = 0;
    peers_each(self->peers, add_topics, &all);
    kernel_watched(self->kernel, all);
}

void broker_end_session(broker_t *self, peer_t *peer)
{
    uint32_t number = peer->number;
    bool host = peer->door == DOOR_HOSTS, watched = peer->topics != 0;
    log_event(host ? LEVEL_INFO : LEVEL_DEBUG, host ? "host_down" : "client_gone",
              LOG_PAIRS_(kv_num("number", number)));
    if (host)
        peers_number(self->peers, peer, 0);
    else
        peers_remove(self->peers, peer);
    if (watched) broker_watched(self);
    if (host) shipping_gone(self, number);
    broker_step(self, host ? INPUT_HOST_GONE : INPUT_CLIENT_GONE, number, NULL, NULL);
}

/* ---- links ---- */

static void end_if_gone(void *context, peer_t *peer)
{
    broker_t *self = context;
    if (!peer->gone) return;
    if (peer->number)
        broker_end_session(self, peer);
    else
        peers_remove(self->peers, peer);
}

/* A host that is silent is gone, and so is one whose key was revoked, before it says anything more. A client may be silent for as long as it likes; it gets a PING it
 * need not answer, and that it cannot be sent is how we learn of its end. */
static void check_peer(void *context, peer_t *peer)
{
    broker_t *self = context;
    uint64_t now = broker_now_ms(self);
    if (self->room == ROOM_NONE) peer->heard_ms = now; /* it may be speaking: we do not listen */
    uint64_t silent = now - peer->heard_ms, idle = now - peer->sent_ms;
    msg_ping_t ping = {.epoch = kernel_epoch(self->kernel)};
    if (peer->door != DOOR_HOSTS) {
        if (silent > LINK_LOST_MS && idle > LINK_LOST_MS) {
            outbox_frame(self, peer->door, &peer->route, TAG_ping, &ping);
        }
    } else if (peer->number == 0) {
        if (silent > STALE_MS) peers_remove(self->peers, peer);
    } else if (silent > LINK_LOST_MS ||
               !self->is.port.admits(self->is.port.self, peer->key, NULL)) {
        broker_end_session(self, peer);
    } else if (idle > LINK_BEAT_MS) {
        outbox_frame(self, peer->door, &peer->route, TAG_ping, &ping);
    }
}

/* Only called when everything that arrived was taken: what waits in our own sockets while we were
 * busy is no silence. */
static void check_links(broker_t *self)
{
    uint64_t now = broker_now_ms(self);
    if (now - self->checked_ms < CHECK_MS) return;
    self->checked_ms = now;
    peers_each(self->peers, check_peer, self);
}

/* ---- the commit ---- */

static void add_row(void *context, const row_t *row) { record_add(context, row); }

/* What the batch came to is on disk: it leaves. */
static err_t release(broker_t *self)
{
    if (self->trace) trace_durable(self->trace, now_us());
    err_t err = outbox_release(self);
    return err ? store_error(self, err) : ERR_OK;
}

/* Asks the gate; when it says yes, everything leaves. */
static err_t settle(broker_t *self)
{
    uint64_t seq = 0;
    err_t err = self->is.gate.durable(self->is.gate.self, &seq);
    if (err && err != ERR_STORE_FULL) return store_error(self, err);
    if (err && !self->full) log_error("disk_full", kv_str("why", store_why(self->is.store)));
    self->full = err == ERR_STORE_FULL;
    if (err || seq < self->record.seq) {
        self->pause_ms = self->pause_ms ? 2 * self->pause_ms : PAUSE_FIRST_MS;
        if (self->pause_ms > PAUSE_LAST_MS) self->pause_ms = PAUSE_LAST_MS;
        return ERR_OK;
    }
    self->waiting = false;
    self->pause_ms = 0;
    meter_commit(self->meter, self->record.count, self->record.bytes, self->appended_us);
    return release(self);
}

static err_t commit(broker_t *self)
{
    record_t *record = &self->record;
    record_begin(record, kernel_epoch(self->kernel));
    kernel_flush(self->kernel, add_row, record);
    record_end(record);
    if (record->count == 0) {
        record->seq--; /* nothing changed: what there is to say may be said */
        return release(self);
    }
    self->waiting = true;
    self->appended_us = meter_now_us();
    err_t err = self->is.gate.append(self->is.gate.self, record);
    return err ? store_error(self, err) : settle(self);
}

/* ---- start ---- */

static void add_finding(void *context, const char *rule, const char *row, const char *should)
{
    broker_t *self = context;
    log_error("audit", kv_str("rule", rule), kv_str("row", row), kv_str("should", should));
    if (self->why[0]) return;
    snprintf(self->why, sizeof self->why, "%s: %.200s: %.200s", rule, row, should);
}

/* A row as an operator looks for it: its table, and its keys that are numbers. */
static void name_row(const row_t *row, char *out, size_t room)
{
    const table_t *table = &row_tables[row->table];
    int len = snprintf(out, room, "%s", table->name);
    for (size_t i = 0; i < table->key_count; i++) {
        const column_t *column = &table->columns[i];
        uint64_t key;
        if (column->kind != KIND_u64 || len < 0 || (size_t)len >= room) continue;
        memcpy(&key, (const char *)&row->body + column->offset, sizeof key);
        char text[KREF_TEXT_MAX];
        snprintf(text, sizeof text, "%llu", (unsigned long long)key);
        if (strcmp(column->name, "kref") == 0) kref_text((kref_t){key}, text);
        len += snprintf(out + len, room - (size_t)len, " %s=%s", column->name, text);
    }
}

static err_t load_row(void *context, const row_t *row)
{
    broker_t *self = context;
    err_t err = kernel_load(self->kernel, row);
    char name[128];
    if (!err) return ERR_OK;
    name_row(row, name, sizeof name);
    add_finding(self, "LOAD", name, "contradicts itself, or what was loaded before it");
    return err;
}

err_t broker_load(broker_t *self)
{
    uint8_t entropy[ENTROPY_BYTES];
    draw_entropy(self, entropy);
    self->is.gate.last(self->is.gate.self, &self->record.seq, &self->record.chain);
    err_t err = self->is.dir ? shipping_open(self) : ERR_OK;
    if (err) return err;
    err = store_load(self->is.store, load_row, self);
    if (err) return self->why[0] ? err : store_error(self, err);
    err = kernel_loaded(self->kernel, entropy);
    FAILPOINT(broker_loaded);
    if (!err && self->is.adopt) {
        err = shipping_adopt(self);
        if (err) return err;
    }
    if (!err && self->is.dir) shipping_clean(self);
    joins_gone(self);
    if (!err) return commit(self);
    if (!kernel_audit(self->kernel, add_finding, self))
        snprintf(self->why, sizeof self->why, "the log of a vat is not whole");
    return err;
}

/* ---- one turn ---- */

/* RET_EMPTY: nothing is left to take. RET_SILENT: there was nothing. */
static err_t drain(broker_t *self, bool *ret_empty, bool *ret_silent)
{
    size_t bytes = 0;
    err_t err = ERR_OK;
    *ret_empty = false;
    *ret_silent = true;
    for (int frames = 0; !err && frames < BATCH_FRAMES_MAX && bytes < BATCH_BYTES_MAX; frames++) {
        arrival_t arrival;
        if (!self->is.port.take(self->is.port.self, &arrival)) {
            *ret_empty = true;
            break;
        }
        FAILPOINT(broker_took);
        *ret_silent = false;
        bytes += blob_bin(arrival.frame).len;
        err = judge(self, &arrival);
        blob_destroy(&arrival.frame);
    }
    return err ? store_error(self, err) : ERR_OK;
}

/* No longer than to the kernel's next timer. */
static int timer_wait_ms(const broker_t *self, int most_ms)
{
    uint64_t wake = kernel_wake_us(self->kernel), now = now_us();
    if (wake <= now) return 0;
    uint64_t left_ms = (wake - now + 999) / 1000;
    return left_ms < (uint64_t)most_ms ? (int)left_ms : most_ms;
}

static int least(int a, int b) { return a < b ? a : b; }

/* How long may be waited for what arrives? BUSY: not at all. */
static int wait_ms(const broker_t *self, int timeout_ms, bool stop, bool busy)
{
    int most_ms = peers_count(self->peers) && timeout_ms > CHECK_MS ? CHECK_MS : timeout_ms;
    if (stop) return least(most_ms, CHECK_MS);
    if (busy || shipping_due(self)) return 0;
    most_ms = timer_wait_ms(self, joins_wait_ms(self, outside_wait_ms(self, most_ms)));
    return kernel_chores(self->kernel) ? least(most_ms, CHORE_PAUSE_MS) : most_ms;
}

err_t broker_turn(broker_t *self, int timeout_ms)
{
    const port_t *port = &self->is.port;
    if (self->waiting) {
        port->pause(port->self, self->pause_ms < timeout_ms ? self->pause_ms : timeout_ms);
        return settle(self);
    }
    joins_expel(self);
    room_look(self);
    bool stop = self->room == ROOM_NONE, backs_up = !stop && shipping_backup(self);
    if (self->someone_gone) {
        self->someone_gone = false;
        peers_each(self->peers, end_if_gone, self);
    } else {
        port->wait(port->self, wait_ms(self, timeout_ms, stop, backs_up));
    }
    bool empty = false, silent = false;
    err_t err = drain(self, &empty, &silent);
    if (err) return err;
    if (!stop) joins_turn(self);
    if (!stop && outside_turn(self)) silent = false;
    if (!stop && shipping_turn(self)) silent = false;
    if (empty) check_links(self);
    if (stop) return commit(self);
    bool chore = (silent && kernel_chores(self->kernel)) || kernel_overdue(self->kernel, now_us());
    /* Timers do not wait until nobody says anything. */
    bool due = kernel_wake_us(self->kernel) <= now_us();
    if (due || (empty && chore)) {
        broker_step(self, INPUT_CHORE, 0, NULL, NULL);
        joins_lost(self);
    }
    return commit(self);
}
