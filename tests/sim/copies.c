/* Copies of checkpoints on their way: made by a worker, kept by its host until the broker has fetched it, kept
 * by the broker, fetched by the host where the vat goes on. A file travels whole or not at all. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/own.h"
#include "tests/support/memstore.h"
#include "wire/base/must.h"

enum { BYTES = 1 };

static bool same(const copy_t *a, const copy_t *b)
{
    return a->pgen == b->pgen && a->d == b->d && hash_same(a->hash, b->hash);
}

static void clear(kept_copy_t *self)
{
    vatstore_destroy(&self->store);
    *self = (kept_copy_t){.vat = 0};
}

void copies_clear(sim_t *self)
{
    for (unsigned h = 0; h < HOSTS_MAX; h++) copies_lost(self, h);
    while (self->copy_count) clear(&self->copies[--self->copy_count]);
}

/* The host's disk is gone. */
void copies_lost(sim_t *self, unsigned host)
{
    for (unsigned v = 0; v <= VATS_MAX; v++) clear(&self->ships[host][v]);
}

/* ---- at the host ---- */

static void say_ready(sim_t *self, unsigned host, const kept_copy_t *kept)
{
    const copy_t *copy = &kept->copy;
    msg_checkpoint_ready_t msg = {{kept->vat}, copy->pgen, copy->d, copy->chain, copy->hash, BYTES};
    if (self->hosts[host].up) net_post(self, WAY_UP, host, kept->vat, TAG_checkpoint_ready, &msg);
}

/* WORKER has made a copy of its newest checkpoint. */
void copies_ship(sim_t *self, const worker_t *worker)
{
    kept_copy_t *kept = &self->ships[worker->host][worker->number];
    uint64_t d = worker->store->newest(worker->store), n = ++self->copied;
    if (!d) return;
    clear(kept);
    kept->vat = worker->number;
    kept->store = memstore_copy(worker->store);
    kept->copy =
        (copy_t){.pgen = worker->pgen, .d = d, .bytes = BYTES, .chain = worker->saved_chain};
    memcpy(kept->copy.hash.b, &n, sizeof n); /* no two files are alike */
    say_ready(self, worker->host, kept);
}

void copies_session(sim_t *self, unsigned host)
{
    for (unsigned v = 1; v <= self->top; v++)
        if (self->ships[host][v].vat) say_ready(self, host, &self->ships[host][v]);
}

/* The broker has all of it, or does not want it. */
void copies_get(sim_t *self, unsigned host, const msg_checkpoint_get_t *msg)
{
    kept_copy_t *kept = &self->ships[host][msg->vat.n];
    if (kept->vat && kept->copy.pgen == msg->pgen && kept->copy.d == msg->d && msg->offset >= BYTES)
        clear(kept);
}

/* The vat begins here with a copy that the broker has; when that is gone, with the next one it hears of. */
void copies_adopt(sim_t *self, worker_t *worker)
{
    for (unsigned i = 0; i < self->copy_count; i++) {
        const kept_copy_t *kept = &self->copies[i];
        if (kept->vat != worker->number || kept->copy.d != worker->wants) continue;
        sim_log(self, "v%u: h%u has the copy of %" PRIu64, worker->number, worker->host + 1,
                worker->wants);
        worker->store = memstore_copy(kept->store);
        worker->wants = 0;
        worker_start(self, worker);
        return;
    }
    worker->wants = 0;
}

/* ---- at the broker ---- */

void copies_pull(sim_t *self, const effect_t *effect, unsigned host)
{
    self->pulls[effect->vat.n] = (pull_t){true, host, effect->copy};
}

void copies_cut(sim_t *self, unsigned host)
{
    for (unsigned v = 0; v <= VATS_MAX; v++)
        if (self->pulls[v].wanted && self->pulls[v].host == host) self->pulls[v].wanted = false;
}

/* What was asked for comes, or is not there any more. */
void copies_come(sim_t *self, unsigned vat)
{
    pull_t *pull = &self->pulls[vat];
    const kept_copy_t *ship = &self->ships[pull->host][vat];
    pull->wanted = false;
    if (!ship->vat || !same(&ship->copy, &pull->copy)) {
        broker_copied(self, INPUT_UNMIRRORED, vat, &pull->copy, ERR_FILE_MISSING);
        return;
    }
    must(self->copy_count < COPIES_MAX);
    self->copies[self->copy_count++] = (kept_copy_t){vat, pull->copy, memstore_copy(ship->store)};
    broker_copied(self, INPUT_MIRRORED, vat, &pull->copy, ERR_OK);
}

void copies_discard(sim_t *self, unsigned vat, const copy_t *copy)
{
    for (unsigned i = 0; i < self->copy_count; i++) {
        if (self->copies[i].vat != vat || !same(&self->copies[i].copy, copy)) continue;
        sim_log(self, "the copy of v%u/%" PRIu64 " is deleted", vat, copy->d);
        clear(&self->copies[i]);
        self->copies[i] = self->copies[--self->copy_count];
        return;
    }
}

/* The broker starts: files that no row names are in the way. */
void copies_start(sim_t *self)
{
    memset(self->pulls, 0, sizeof self->pulls);
    for (unsigned i = 0; i < self->copy_count;) {
        const row_t *row = rows_find(&self->rows, ROW_mirror, self->copies[i].vat, 0);
        const copy_t *copy = &self->copies[i].copy;
        if (row && row->body.mirror.d == copy->d && row->body.mirror.pgen == copy->pgen) {
            i++;
            continue;
        }
        clear(&self->copies[i]);
        self->copies[i] = self->copies[--self->copy_count];
    }
}

/* Each row names a file that is there. */
void copies_check(sim_t *self)
{
    const rows_table_t *table = &self->rows.tables[ROW_mirror];
    for (size_t i = 0; i < table->count; i++) {
        const row_mirror_t *row = &table->at[i]->body.mirror;
        bool found = false;
        for (unsigned c = 0; c < self->copy_count && !found; c++) {
            const kept_copy_t *kept = &self->copies[c];
            found = kept->vat == row->vat && kept->copy.d == row->d && kept->copy.pgen == row->pgen;
        }
        if (!found)
            sim_fail(self, "C3", "the copy of v%" PRIu64 " at %" PRIu64 " is a row and no file",
                     row->vat, row->d);
    }
}
