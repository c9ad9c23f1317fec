/* What must be true between kernel, rows, workers and history. The kernel's own audit is in broker.c. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/own.h"

enum { STATE_STARTING, STATE_RUNNING, STATE_TERMINATED, STATE_QUARANTINED };

const row_vat_t *vat_row(const sim_t *self, unsigned vat)
{
    const row_t *row = rows_find(&self->rows, ROW_vat, vat, 0);
    return row ? &row->body.vat : NULL;
}

void check_vats(sim_t *self)
{
    for (unsigned v = 1; v <= self->top; v++) {
        const row_vat_t *row = self->touched[v] ? vat_row(self, v) : NULL;
        if (!row) continue;
        if (row->state == STATE_QUARANTINED && !self->diverged[v])
            sim_fail(self, "D3", "v%u is in quarantine: %.*s", v, (int)row->reason.len,
                     row->reason.at);
        if (row->state == STATE_TERMINATED && !self->over[v])
            sim_fail(self, "L2", "v%u ended, and nobody said so", v);
        if (row->state == STATE_TERMINATED && row->error == ERR_VAT_NOT_MIRRORED &&
            self->mirrored[v])
            sim_fail(self, "C5", "v%u was copied, and is not brought back", v);
        bool ends = self->roles[v]->rude || self->lied[v];
        if (row->state == STATE_TERMINATED && row->error == ERR_VAT_ILLEGAL && !ends)
            sim_fail(self, "L3", "v%u, which is honest, ended: %.*s", v, (int)row->reason.len,
                     row->reason.at);
        if (!(row->safe <= row->applied && row->applied <= row->assigned))
            sim_fail(self, "X1", "v%u: safe %" PRIu64 ", applied %" PRIu64 ", assigned %" PRIu64, v,
                     row->safe, row->applied, row->assigned);
    }
}

/* ---- names against authority: X4, X5, and authority against the history: X11 ---- */

typedef struct {
    sim_t *sim;
    unsigned vat;
    size_t at; /* in the rows of `held` */
} compare_t;

static void compare_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    compare_t *compare = context;
    sim_t *self = compare->sim;
    const rows_table_t *table = &self->rows.tables[ROW_held];
    char text[KREF_TEXT_MAX];
    kref_text(kref, text);
    const row_held_t *held = compare->at < table->count ? &table->at[compare->at]->body.held : NULL;
    if (!held || held->vat != compare->vat || held->kref > kref.n)
        sim_fail(self, "X4", "v%u names %s (%.*s) and does not hold it", compare->vat, text,
                 (int)vref.s.len, vref.s.at);
    if (held->kref < kref.n)
        sim_fail(self, "X4", "v%u holds %s and has no name for it", compare->vat,
                 kref_text((kref_t){held->kref}, text));
    if ((held->flags & 3) != (flags & 3))
        sim_fail(self, "X5", "%s in v%u: flags %" PRIu64 " held, %" PRIu64 " named", text,
                 compare->vat, held->flags & 3, flags & 3);
    compare->at++;
}

static void check_history(sim_t *self, unsigned vat)
{
    const rows_table_t *table = &self->rows.tables[ROW_held];
    char text[KREF_TEXT_MAX];
    for (size_t i = rows_from(&self->rows, ROW_held, vat, 0); i < table->count; i++) {
        const row_held_t *held = &table->at[i]->body.held;
        if (held->vat != vat) return;
        if (!history_may_name(self->history, vat, (kref_t){held->kref}))
            sim_fail(self, "X11", "v%u may name %s, which nobody gave it", vat,
                     kref_text((kref_t){held->kref}, text));
    }
}

static void compare_names(sim_t *self, unsigned vat)
{
    const row_vat_t *row = vat_row(self, vat);
    const worker_t *worker = worker_of(self, vat);
    if (!row || row->state > STATE_RUNNING) return;
    check_history(self, vat);
    if (row->assigned != row->applied || !worker ||
        supervisor_last(worker->supervisor) != row->applied)
        return;
    compare_t compare = {self, vat, rows_from(&self->rows, ROW_held, vat, 0)};
    supervisor_pairs(worker->supervisor, compare_pair, &compare);
    const rows_table_t *table = &self->rows.tables[ROW_held];
    char text[KREF_TEXT_MAX];
    if (compare.at < table->count && table->at[compare.at]->body.held.vat == vat)
        sim_fail(self, "X4", "v%u holds %s and has no name for it", vat,
                 kref_text((kref_t){table->at[compare.at]->body.held.kref}, text));
}

void check_names(sim_t *self)
{
    if (self->pending_count) return;
    for (unsigned v = 1; v <= self->top; v++) {
        if (!self->touched[v]) continue;
        self->touched[v] = false;
        compare_names(self, v);
    }
}

/* ---- the end ---- */

static bool alive(const sim_t *self, uint64_t vat)
{
    const row_vat_t *row = vat <= VATS_MAX ? vat_row(self, (unsigned)vat) : NULL;
    return row && row->state < STATE_TERMINATED;
}

/* Nothing moves any more: then nothing may be waiting. */
void check_idle(sim_t *self)
{
    for (unsigned v = 1; v <= VATS_MAX; v++) {
        const row_vat_t *row = vat_row(self, v);
        if (!row || !alive(self, v)) continue;
        if (row->applied != row->assigned)
            sim_fail(self, "live", "v%u stands at %" PRIu64 " of %" PRIu64 " deliveries", v,
                     row->applied, row->assigned);
        if (row->state != STATE_RUNNING) sim_fail(self, "live", "v%u never started", v);
    }
    for (size_t i = 0; i < rows_count(&self->rows, ROW_entry); i++) {
        const row_entry_t *entry = &self->rows.tables[ROW_entry].at[i]->body.entry;
        if (!(entry->holder >> 63))
            sim_fail(self, "live", "v%" PRIu64 " has entries queued and does not run",
                     entry->holder);
    }
}

/* What there is, for people who look for why it is there. */
static void log_rows(sim_t *self)
{
    char text[KREF_TEXT_MAX];
    for (size_t i = 0; self->options->verbose && i < rows_count(&self->rows, ROW_promise); i++) {
        const row_promise_t *promise = &self->rows.tables[ROW_promise].at[i]->body.promise;
        sim_log(self, "%s: state %" PRIu64 ", decider v%" PRIu64 ", count %" PRIu64 ", %.*s",
                kref_text((kref_t){promise->kref}, text), promise->state, promise->decider,
                promise->count, (int)promise->body.len, (const char *)promise->body.at);
    }
    for (size_t i = 0; self->options->verbose && i < rows_count(&self->rows, ROW_object); i++) {
        const row_object_t *object = &self->rows.tables[ROW_object].at[i]->body.object;
        sim_log(self,
                "%s: owner v%" PRIu64 ", reachable %" PRIu64 ", recognizable %" PRIu64
                ", pins %" PRIu64,
                kref_text((kref_t){object->kref}, text), object->owner, object->reachable,
                object->recognizable, object->pins);
    }
    for (size_t i = 0; self->options->verbose && i < rows_count(&self->rows, ROW_held); i++) {
        const row_held_t *held = &self->rows.tables[ROW_held].at[i]->body.held;
        sim_log(self, "v%" PRIu64 " holds %s: flags %" PRIu64 ", intro %" PRIu64 ", told %" PRIu64,
                held->vat, kref_text((kref_t){held->kref}, text), held->flags, held->intro_d,
                held->told_d);
    }
    for (size_t i = 0; self->options->verbose && i < rows_count(&self->rows, ROW_hold); i++) {
        const row_hold_t *hold = &self->rows.tables[ROW_hold].at[i]->body.hold;
        sim_log(self, "hold of %s for s%" PRIu64 ", seq %" PRIu64,
                kref_text((kref_t){hold->kref}, text), hold->cluster, hold->seq);
    }
}

static void left(sim_t *self, row_table_t table, uint64_t key, const char *what)
{
    char text[KREF_TEXT_MAX];
    log_rows(self);
    sim_fail(self, "X10", "everything was let go of, and %s %s is left", what,
             table == ROW_entry ? "" : kref_text((kref_t){key}, text));
}

/* Pins that nobody asked for: of a root that a file made, and of an IO channel. */
uint64_t check_own_pins(const sim_t *self, const row_object_t *object)
{
    enum { SERVICE_CHANNEL = 13 };
    kref_t kref = {object->kref};
    const row_t *service = rows_find(&self->rows, ROW_service, object->kref, 0);
    if (service)
        return service->body.service.kind == SERVICE_CHANNEL &&
               rows_find(&self->rows, ROW_cluster, service->body.service.cluster, 0);
    return !kref_serial(kref) && object->owner && alive(self, object->owner) &&
           !self->dynamic[object->owner];
}

/* X10: everything was let go of and reaped. What is left is what was there at first: roots. */
void check_baseline(sim_t *self)
{
    for (size_t i = 0; i < rows_count(&self->rows, ROW_held); i++) {
        const row_held_t *held = &self->rows.tables[ROW_held].at[i]->body.held;
        bool root =
            held->kref == kref_root((vat_t){(uint32_t)held->vat}).n && !self->dynamic[held->vat];
        if (!root || held->flags != 3 || !alive(self, held->vat))
            left(self, ROW_held, held->kref, "an authority row of");
    }
    for (size_t i = 0; i < rows_count(&self->rows, ROW_object); i++) {
        const row_object_t *object = &self->rows.tables[ROW_object].at[i]->body.object;
        if (object->pins != check_own_pins(self, object) || !object->pins ||
            object->reachable != object->pins || object->recognizable != object->pins)
            left(self, ROW_object, object->kref, "object");
    }
    for (size_t i = 0; i < rows_count(&self->rows, ROW_promise); i++) {
        const row_promise_t *promise = &self->rows.tables[ROW_promise].at[i]->body.promise;
        bool bootstrap = false;
        for (unsigned c = 0; c < CLUSTERS_MAX; c++)
            bootstrap = bootstrap || (self->launched[c] && self->bootstraps[c].n == promise->kref);
        if (!bootstrap || !promise->state || promise->count != 1)
            left(self, ROW_promise, promise->kref, "promise");
    }
    if (rows_count(&self->rows, ROW_entry)) left(self, ROW_entry, 0, "a queue entry");
    if (rows_count(&self->rows, ROW_pending))
        left(self, ROW_pending, self->rows.tables[ROW_pending].at[0]->body.pending.promise,
             "an answer that is owed:");
    if (rows_count(&self->rows, ROW_timer)) left(self, ROW_entry, 0, "a timer");
    if (rows_count(&self->rows, ROW_errand)) left(self, ROW_entry, 0, "an errand");
}

/* And when the clusters are gone as well, nothing is. */
void check_nothing_left(sim_t *self)
{
    static const row_table_t tables[] = {ROW_cluster, ROW_config,  ROW_held,  ROW_object,
                                         ROW_promise, ROW_entry,   ROW_hold,  ROW_log,
                                         ROW_service, ROW_pending, ROW_timer, ROW_errand};
    log_rows(self);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (rows_count(&self->rows, tables[i]))
            sim_fail(self, "X10", "all clusters are removed, and %zu rows of %s are left",
                     rows_count(&self->rows, tables[i]), row_tables[tables[i]].name);
    for (unsigned v = 1; v <= VATS_MAX; v++)
        for (unsigned h = 0; h < HOSTS_MAX; h++)
            if (self->workers[h][v].guest)
                sim_fail(self, "X10", "all clusters are removed, and v%u stands on h%u", v, h + 1);
}
