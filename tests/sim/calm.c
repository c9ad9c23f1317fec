/* The last phase: no more accidents, everything is let go of, and what is left must be what was there
 * at first. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/own.h"

enum { CALM_MOVES_MAX = 40000, ROUNDS_MAX = 40 };

static void settle(sim_t *self, const char *what)
{
    for (unsigned n = 0; n < CALM_MOVES_MAX; n++) {
        chance_t chance = chance_of(self->options->seed, 'q', self->step++, 0, 0);
        if (net_move(self, &chance)) continue;
        if (client_open_requests(self)) break;
        return;
    }
    if (client_open_requests(self)) {
        for (unsigned i = 0; i < self->asked_count; i++)
            if (self->asked[i].ask)
                sim_fail(self, "live", "%s: the client's %s is never answered", what,
                         message_find(msg_peek(blob_bin(self->asked[i].ask)))->name);
    }
    sim_fail(self, "live", "%s: after %u moves it is not quiet", what, CALM_MOVES_MAX);
}

static uint64_t applied_all(const sim_t *self)
{
    uint64_t sum = 0;
    for (unsigned v = 1; v <= VATS_MAX; v++) {
        const row_vat_t *row = vat_row(self, v);
        if (row) sum += row->applied;
    }
    return sum;
}

/* The same, but what nobody decides yet is awaited still. */
static void settle_awaiting(sim_t *self)
{
    for (unsigned n = 0; n < CALM_MOVES_MAX; n++) {
        chance_t chance = chance_of(self->options->seed, 'q', self->step++, 0, 0);
        if (!net_move(self, &chance)) break;
    }
    for (unsigned i = 0; i < self->asked_count; i++)
        if (self->asked[i].ask && self->asked[i].kind != REQUEST_AWAIT)
            sim_fail(self, "live", "the client's %s is never answered",
                     message_find(msg_peek(blob_bin(self->asked[i].ask)))->name);
    check_idle(self);
}

/* Vats may go anywhere again. */
static void open_hosts(sim_t *self)
{
    enum { UNDRAIN = 2 };
    for (unsigned h = 0; h < self->config.hosts; h++) {
        if (self->hosts[h].lost || !self->hosts[h].number) continue;
        msg_host_change_t change = {client_request(self), {self->hosts[h].number}, UNDRAIN};
        client_ask(self, TAG_host_change, &change, REQUEST_OTHER);
    }
}

/* What is in quarantine waits for an operator. */
static void end_quarantines(sim_t *self)
{
    for (unsigned v = 1; v <= self->top; v++) {
        const row_vat_t *row = vat_row(self, v);
        if (!row || row->state != 3) continue;
        msg_kill_t msg = {client_request(self), {v}, text_of("it ran another history")};
        client_ask(self, TAG_kill, &msg, REQUEST_OTHER);
    }
}

static bool runs(const sim_t *self, unsigned v)
{
    const row_vat_t *row = vat_row(self, v);
    return row && row->state < 2;
}

static void end_vat(sim_t *self, unsigned v, const char *why)
{
    msg_kill_t msg = {client_request(self), {v}, text_of(why)};
    client_ask(self, TAG_kill, &msg, REQUEST_OTHER);
}

/* A vat that a vat made is told like others, as long as its root is in anybody's reach. */
static void release_one(sim_t *self, unsigned v)
{
    static const char body[] = "#[\"release\",[]]";
    kref_t root = kref_root((vat_t){v});
    const row_t *held = rows_find(&self->rows, ROW_held, v, root.n);
    self->told_release[v] = true;
    const row_t *object = rows_find(&self->rows, ROW_object, root.n, 0);
    if (!held || !(held->body.held.flags & 1) || !object || object->body.object.revoked) {
        end_vat(self, v, "nobody reaches it");
        return;
    }
    msg_call_t call = {.request = client_request(self),
                       .target = root,
                       .methargs = {{(const uint8_t *)body, sizeof body - 1}, {0}},
                       .no_result = 1};
    client_ask(self, TAG_call, &call, REQUEST_LAST_CALL)->cluster = v;
}

/* Vats that vats made first, as their makers may let go of them when they are told. */
static bool release_some(sim_t *self, bool dynamic)
{
    bool any = false;
    for (unsigned v = 1; v <= self->top; v++) {
        if (!runs(self, v) || self->told_release[v] || self->dynamic[v] != dynamic) continue;
        release_one(self, v);
        any = true;
    }
    settle_awaiting(self);
    return any;
}

static void release(sim_t *self)
{
    while (release_some(self, true)) continue;
    release_some(self, false);
    while (release_some(self, true)) continue; /* made meanwhile */
    for (unsigned v = 1; v <= self->top; v++)
        if (self->unheard[v] && runs(self, v)) end_vat(self, v, "it did not hear that");
    settle_awaiting(self);
}

/* Somebody waits for the end of a vat: what it sent to that promise is held as long. */
static void end_awaited(sim_t *self)
{
    enum { PENDING_DONE = 1 };
    for (size_t i = 0; i < rows_count(&self->rows, ROW_pending); i++) {
        const row_pending_t *row = &self->rows.tables[ROW_pending].at[i]->body.pending;
        if (row->kind == PENDING_DONE) end_vat(self, (unsigned)row->vat, "somebody waits for that");
    }
    settle(self, "release");
}

/* A result whose answer was lost with a connection is held still: it is awaited once more. */
static void let_go_of_results(sim_t *self)
{
    for (size_t i = 0; i < rows_count(&self->rows, ROW_hold); i++) {
        kref_t kref = {self->rows.tables[ROW_hold].at[i]->body.hold.kref};
        msg_await_t msg = {client_request(self), kref};
        client_ask(self, TAG_await, &msg, REQUEST_AWAIT);
    }
    settle(self, "results");
    msg_release_t msg = {.request = client_request(self)};
    client_ask(self, TAG_release, &msg, REQUEST_OTHER);
    settle(self, "let go");
}

/* The client takes its pins away; what is left is the kernel's own. */
static void unpin(sim_t *self)
{
    char text[KREF_TEXT_MAX];
    const rows_table_t *objects = &self->rows.tables[ROW_object];
    for (unsigned left = 1; left;) {
        left = 0;
        for (size_t i = 0; i < objects->count; i++) {
            const row_object_t *object = &objects->at[i]->body.object;
            kref_t kref = {object->kref};
            uint64_t own = check_own_pins(self, object);
            uint64_t mine = client_pins(self, kref);
            if (object->pins != own + mine)
                sim_fail(self, "X12",
                         "%s has %" PRIu64 " pins, %" PRIu64 " own and %" PRIu64 " of the client",
                         kref_text(kref, text), object->pins, own, mine);
            if (!mine) continue;
            msg_pin_t msg = {client_request(self), kref, 1};
            request_t *request = client_ask(self, TAG_pin, &msg, REQUEST_PIN);
            request->kref = kref;
            request->unpin = true;
            left++;
        }
        settle(self, "unpinning");
    }
}

/* Reaps until reaping changes nothing but the reaps themselves. */
static void reap(sim_t *self)
{
    uint64_t before = 0, vats = 0;
    for (unsigned v = 1; v <= VATS_MAX; v++) {
        const row_vat_t *row = vat_row(self, v);
        vats += row && row->state < 2;
    }
    for (unsigned n = 0; n < ROUNDS_MAX; n++) {
        uint64_t now = applied_all(self);
        if (n && now == before + vats) return;
        before = now;
        msg_reap_t msg = {.request = client_request(self)};
        client_ask(self, TAG_reap, &msg, REQUEST_OTHER);
        settle(self, "reap");
        check_idle(self);
    }
    sim_fail(self, "live", "after %u rounds of reaping there is still something to collect",
             ROUNDS_MAX);
}

static uint64_t splats(const sim_t *self)
{
    const rows_table_t *table = &self->rows.tables[ROW_counter];
    for (size_t i = 0; i < table->count; i++) {
        text_t name = table->at[i]->body.counter.name;
        if (text_is(name, "splats")) return table->at[i]->body.counter.value;
    }
    return 0;
}

static void remove_clusters(sim_t *self)
{
    for (unsigned c = 0; c < CLUSTERS_MAX; c++) {
        if (!self->launched[c] || !rows_find(&self->rows, ROW_cluster, self->clusters[c].n, 0))
            continue;
        msg_cluster_rm_t msg = {client_request(self), self->clusters[c]};
        client_ask(self, TAG_cluster_rm, &msg, REQUEST_OTHER);
    }
    settle(self, "removal");
}

void calm_down(sim_t *self)
{
    sim_log(self, "calm");
    self->calm = true;
    memset(self->lose, 0, sizeof self->lose);
    self->wish = WISH_NONE;
    broker_commit(self);
    open_hosts(self);
    end_quarantines(self);
    settle_awaiting(self);
    broker_shadow(self);
    release(self);
    end_awaited(self);
    let_go_of_results(self);
    unpin(self);
    reap(self);
    broker_shadow(self);
    check_baseline(self);
    history_quiet(self->history, splats(self));
    clocks_quiet(self->clocks);
    remove_clusters(self);
    broker_shadow(self);
    check_nothing_left(self);
}
