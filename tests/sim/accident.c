/* What goes wrong, and what people do to a running system. */
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

static unsigned some_vat(const sim_t *self, chance_t *chance)
{
    return 1 + roll(chance, self->top ? self->top : 1);
}

/* Nobody kills what is not there yet: then there would be no cluster to play with. */
static bool started(const sim_t *self, unsigned vat)
{
    const row_vat_t *row = vat_row(self, vat);
    const row_t *cluster = row ? rows_find(&self->rows, ROW_cluster, row->cluster, 0) : NULL;
    return cluster && cluster->body.cluster.state == 1;
}

static void do_kill_vat(sim_t *self, unsigned vat)
{
    msg_kill_t msg = {client_request(self), {vat}, text_of("no longer needed")};
    if (started(self, vat)) client_ask(self, TAG_kill, &msg, REQUEST_OTHER);
}

static void do_restart(sim_t *self, unsigned vat)
{
    msg_restart_t msg = {client_request(self), {vat}};
    if (started(self, vat)) client_ask(self, TAG_restart, &msg, REQUEST_OTHER);
}

static void do_reap(sim_t *self, unsigned vat)
{
    msg_reap_t msg = {client_request(self), {0}, {vat}};
    if (started(self, vat)) client_ask(self, TAG_reap, &msg, REQUEST_OTHER);
}

static void do_upgrade(sim_t *self, unsigned vat, chance_t *chance)
{
    static const char *const bundles[] = {"b1-good", "b1-good", "b1-good", "b1-broken", "b1-gone"};
    const char *bundle = bundles[roll(chance, 5)];
    msg_upgrade_t msg = {.request = client_request(self), .vat = {vat}, .bundle = text_of(bundle)};
    if (started(self, vat)) client_ask(self, TAG_upgrade, &msg, REQUEST_OTHER);
}

static void do_revoke(sim_t *self, chance_t *chance)
{
    msg_revoke_t msg = {client_request(self), client_any_object(self, chance)};
    if (!kref_none(msg.kref)) client_ask(self, TAG_revoke, &msg, REQUEST_OTHER);
}

/* Each cluster once, so that vats do not become too many. */
static void do_reload(sim_t *self, unsigned cluster)
{
    if (!self->launched[cluster] || self->removed[cluster] || self->reloaded[cluster]) return;
    self->reloaded[cluster] = true;
    msg_cluster_reload_t msg = {client_request(self), self->clusters[cluster]};
    client_ask(self, TAG_cluster_reload, &msg, REQUEST_LAUNCH)->cluster = cluster;
}

static void do_remove(sim_t *self, unsigned cluster)
{
    if (!self->launched[cluster] || self->removed[cluster]) return;
    self->removed[cluster] = true;
    msg_cluster_rm_t msg = {client_request(self), self->clusters[cluster]};
    client_ask(self, TAG_cluster_rm, &msg, REQUEST_OTHER);
}

/* An audit must find nothing, however busy everybody is (client.c looks at the answer). */
static void do_audit(sim_t *self, chance_t *chance)
{
    msg_audit_t audit = {client_request(self), roll(chance, 4) != 0};
    client_ask(self, TAG_audit, &audit, REQUEST_OTHER);
    kref_t kref = self->kref_count ? self->krefs[roll(chance, self->kref_count)] : (kref_t){0};
    msg_list_t list = {.request = client_request(self), .what = roll(chance, 11)};
    list.ended = once_in(chance, 2);
    list.kref = kref;
    if (once_in(chance, 3)) list.vat.n = roll(chance, self->top + 1);
    if (once_in(chance, 3)) list.holder.n = roll(chance, self->top + 1);
    if (once_in(chance, 3) || list.what == 10) list.cluster.n = roll(chance, 3);
    list.unsettled = once_in(chance, 2);
    list.limit = roll(chance, 4);
    client_ask(self, TAG_list, &list, REQUEST_OTHER);
    msg_quiet_t quiet = {client_request(self), {roll(chance, 3)}};
    if (once_in(chance, 3)) client_ask(self, TAG_quiet, &quiet, REQUEST_OTHER);
}

/* Any object that exists, also one that nobody owns, or that the client may not name. */
static void do_pin(sim_t *self, chance_t *chance)
{
    const rows_table_t *objects = &self->rows.tables[ROW_object];
    if (!objects->count) return;
    const row_object_t *object = &objects->at[roll(chance, objects->count)]->body.object;
    bool unpin = object->pins && once_in(chance, 2);
    msg_pin_t msg = {client_request(self), {object->kref}, unpin};
    request_t *request = client_ask(self, TAG_pin, &msg, REQUEST_PIN);
    request->kref = msg.kref;
    request->unpin = unpin;
}

static void do_move(sim_t *self, unsigned vat, unsigned host, chance_t *chance)
{
    enum { DRAIN = 1, UNDRAIN };
    host_t to = {self->hosts[host].number};
    if (once_in(chance, 4)) {
        msg_host_change_t change = {client_request(self), to, once_in(chance, 2) ? DRAIN : UNDRAIN};
        client_ask(self, TAG_host_change, &change, REQUEST_OTHER);
        return;
    }
    msg_move_t move = {client_request(self), {vat}, once_in(chance, 4) ? (host_t){0} : to};
    if (started(self, vat)) client_ask(self, TAG_move, &move, REQUEST_OTHER);
}

static void do_checkpoint(sim_t *self, unsigned vat, chance_t *chance)
{
    msg_checkpoint_make_t make = {client_request(self), {vat}, roll(chance, 2)};
    if (started(self, vat)) client_ask(self, TAG_checkpoint_make, &make, REQUEST_OTHER);
}

/* One at most, and not the last that vats may go to. */
static void do_lose(sim_t *self, unsigned host, chance_t *chance)
{
    enum { DISAVOW = 3 };
    if (self->config.hosts < 2 || !self->hosts[host].number) return;
    for (unsigned h = 0; h < self->config.hosts; h++)
        if (self->hosts[h].lost || !self->hosts[h].number) return;
    host_lose(self, host, chance);
    msg_host_change_t change = {client_request(self), {self->hosts[host].number}, DISAVOW};
    client_ask(self, TAG_host_change, &change, REQUEST_OTHER);
}

static void do_client(sim_t *self) { net_cut_client(self); }

/* The names are those of FAULTS. How often, against each other, when all are on. */
static const unsigned often[FAULT_COUNT] = {
    [FAULT_cut] = 6,        [FAULT_kill] = 6,    [FAULT_broker] = 3, [FAULT_client] = 3,
    [FAULT_lost] = 2,       [FAULT_end] = 1,     [FAULT_forge] = 2,  [FAULT_restart] = 1,
    [FAULT_reap] = 4,       [FAULT_remove] = 1,  [FAULT_audit] = 4,  [FAULT_upgrade] = 6,
    [FAULT_agent] = 4,      [FAULT_revoke] = 1,  [FAULT_reload] = 1, [FAULT_pin] = 4,
    [FAULT_checkpoint] = 8, [FAULT_sleep] = 4,   [FAULT_damage] = 2, [FAULT_host] = 2,
    [FAULT_loss] = 1,       [FAULT_regress] = 1, [FAULT_move] = 4,   [FAULT_mirror] = 3,
};

static fault_t choose(const sim_t *self, chance_t *chance)
{
    unsigned sum = 0, weights[FAULT_COUNT];
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        weights[i] = sim_on(self, i) ? often[i] * self->config.weights[i] : 0;
        sum += weights[i];
    }
    if (!sum) return FAULT_COUNT;
    unsigned at = roll(chance, sum);
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        if (at < weights[i]) return i;
        at -= weights[i];
    }
    return FAULT_COUNT;
}

/* What is seldom possible is wished for more often. */
static void lie(sim_t *self, chance_t *chance)
{
    static const wish_t wishes[] = {WISH_DROPPED,       WISH_LATER,         WISH_DIVERGED,
                                    WISH_DECIDED_LATER, WISH_DECIDED_LATER, WISH_DECIDED_LATER};
    if (once_in(chance, 2))
        net_forge(self, chance);
    else
        self->wish = wishes[roll(chance, sizeof wishes / sizeof *wishes)];
}

void accident(sim_t *self, chance_t *chance)
{
    fault_t fault = choose(self, chance);
    unsigned vat = some_vat(self, chance);
    worker_t *worker = worker_at(self, roll(chance, self->config.hosts), vat);
    if (fault == FAULT_COUNT) return;
    self->result->accidents++;
    sim_log(self, "accident: %s", fault_names[fault]);
    switch (fault) {
    case FAULT_cut: net_cut(self, roll(chance, self->config.hosts), chance); return;
    case FAULT_kill: worker_kill(self, worker); return;
    case FAULT_checkpoint: worker_checkpoint(self, worker); return;
    case FAULT_sleep: worker_sleepy(self, worker); return;
    case FAULT_damage: worker_damage(self, worker, once_in(chance, 2)); return;
    case FAULT_regress: worker_regress(self, worker); return;
    case FAULT_host: host_restart(self, worker->host, chance); return;
    case FAULT_loss: do_lose(self, roll(chance, self->config.hosts), chance); return;
    case FAULT_mirror: do_checkpoint(self, vat, chance); return;
    case FAULT_move: do_move(self, vat, roll(chance, self->config.hosts), chance); return;

    case FAULT_broker: broker_restart(self, chance); return;
    case FAULT_client: do_client(self); return;
    case FAULT_lost:
        if (self->roles[vat] &&
            (started(self, vat) ? once_in(chance, 2) : self->roles[vat]->cluster))
            self->lose[vat] = 1 + roll(chance, 4);
        return;
    case FAULT_end:
        if (once_in(chance, 2)) do_kill_vat(self, vat);
        return;
    case FAULT_forge: lie(self, chance); return;
    case FAULT_restart: do_restart(self, vat); return;
    case FAULT_reap: do_reap(self, vat); return;
    case FAULT_upgrade: do_upgrade(self, vat, chance); return;
    case FAULT_pin: do_pin(self, chance); return;
    case FAULT_agent: agent_dies(self, true); return;
    case FAULT_revoke: do_revoke(self, chance); return;
    case FAULT_reload: do_reload(self, roll(chance, self->config.clusters)); return;
    case FAULT_audit: do_audit(self, chance); return;
    case FAULT_remove:
        if (once_in(chance, 4)) do_remove(self, roll(chance, self->config.clusters));
        return;
    default: return;
    }
}
