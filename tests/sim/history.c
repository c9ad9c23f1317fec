#include "tests/sim/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/history_own.h"
#include "wire/base/must.h"

void broken(history_t *self, const char *rule, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    self->fail(self->context, rule, text);
}

void *made(size_t bytes)
{
    void *at = calloc(1, bytes ? bytes : 1);
    must(at);
    return at;
}

cargo_t cargo_copy(cargo_view_t from)
{
    cargo_t cargo = {made(from.count * sizeof(kref_t)), from.count, from.body};
    if (from.count) memcpy(cargo.at, from.at, from.count * sizeof(kref_t));
    return cargo;
}

bool cargo_same(const cargo_t *a, cargo_view_t b)
{
    if (a->count != b.count || a->body != b.body) return false;
    return !a->count || memcmp(a->at, b.at, a->count * sizeof(kref_t)) == 0;
}

/* ---- records ---- */

hvat_t *vat_of(history_t *self, uint32_t n)
{
    hvat_t *vat = map_get(&self->vats, n);
    if (vat) return vat;
    vat = made(sizeof *vat);
    vat->n = n;
    map_put(&self->vats, n, vat);
    return vat;
}

promise_t *promise_of(history_t *self, kref_t kref)
{
    promise_t *promise = map_get(&self->promises, kref.n);
    if (promise) return promise;
    promise = made(sizeof *promise);
    promise->kref = kref;
    map_put(&self->promises, kref.n, promise);
    return promise;
}

know_t *know(const hvat_t *vat, kref_t kref)
{
    know_t *row = map_get(&vat->known, kref.n);
    return row && !row->gone ? row : NULL;
}

know_t *know_new(hvat_t *vat, kref_t kref)
{
    know_t *row = map_get(&vat->known, kref.n);
    if (!row) {
        row = made(sizeof *row);
        map_put(&vat->known, kref.n, row);
    }
    uint64_t last_told = row->last_told, asked_d = row->asked_d;
    *row = (know_t){.kref = kref, .last_told = last_told, .asked_d = asked_d};
    return row;
}

static bool grant_of(const hvat_t *vat, uint64_t d, kref_t kref)
{
    for (size_t i = vat->grant_count; i > 0 && vat->grants[i - 1].d == d; i--)
        if (vat->grants[i - 1].kref.n == kref.n) return true;
    return false;
}

void give(hvat_t *vat, uint64_t d, kref_t kref)
{
    know_t *row = know(vat, kref);
    if (row && grant_of(vat, d, kref)) return; /* twice in one delivery */
    if (vat->grant_count == vat->grant_room) {
        vat->grant_room = vat->grant_room ? 2 * vat->grant_room : 16;
        vat->grants = realloc(vat->grants, vat->grant_room * sizeof *vat->grants);
        must(vat->grants);
    }
    vat->grants[vat->grant_count++] = (grant_t){d, kref, row, row && row->reached};
    if (!row) {
        row = know_new(vat, kref);
        row->since_d = d;
    }
    row->reached = true;
    row->intro_d = d;
}

void give_all(hvat_t *vat, uint64_t d, cargo_view_t cargo)
{
    for (size_t i = 0; i < cargo.count; i++) give(vat, d, cargo.at[i]);
}

static void remember_subscribers(history_t *self, promise_t *promise)
{
    for (size_t i = 0; i < self->vats.room; i++) {
        const hvat_t *vat = map_cell(&self->vats, i);
        const know_t *row = vat && !vat->ended ? know(vat, promise->kref) : NULL;
        if (!row || !row->subscribed || vat->n == promise->settled_by) continue;
        size_t bytes = (promise->subscribed_count + 1) * sizeof *promise->subscribed;
        promise->subscribed = realloc(promise->subscribed, bytes);
        must(promise->subscribed);
        promise->subscribed[promise->subscribed_count++] = vat->n;
    }
}

void settle(history_t *self, promise_t *promise, uint32_t by, bool rejected, kref_t single,
            cargo_view_t cargo)
{
    char text[KREF_TEXT_MAX];
    if (promise->settled_at) {
        broken(self, "K20", "%s is settled twice", kref_text(promise->kref, text));
        return;
    }
    promise->settled_at = ++self->now;
    promise->settled_by = by;
    promise->rejected = rejected;
    promise->single = single;
    promise->cargo = cargo_copy(cargo);
    remember_subscribers(self, promise);
}

/* ---- life ---- */

history_t *history_new(history_fail_t *fail, void *context)
{
    history_t *self = made(sizeof *self);
    self->fail = fail;
    self->context = context;
    return self;
}

void history_destroy(history_t **self_p)
{
    history_t *self = *self_p;
    if (!self) return;
    for (size_t i = 0; i < self->vats.room; i++) {
        hvat_t *vat = map_cell(&self->vats, i);
        if (!vat) continue;
        for (size_t j = 0; j < vat->known.room; j++) free(map_cell(&vat->known, j));
        map_clear(&vat->known);
        free(vat->parameters.at);
        free(vat->told);
        free(vat->told_d);
        free(vat->grants);
        free(vat);
    }
    for (size_t i = 0; i < self->messages.room; i++) {
        message_t *message = map_cell(&self->messages, i);
        if (message) free(message->cargo.at);
        free(message);
    }
    for (size_t i = 0; i < self->promises.room; i++) {
        promise_t *promise = map_cell(&self->promises, i);
        if (!promise) continue;
        free(promise->cargo.at);
        free(promise->subscribed);
        free(promise);
    }
    map_clear(&self->vats);
    map_clear(&self->messages);
    map_clear(&self->promises);
    map_clear(&self->revoked);
    free(self);
    *self_p = NULL;
}

void history_vat(history_t *self, uint32_t n)
{
    know_t *root = know_new(vat_of(self, n), kref_root((vat_t){n}));
    root->exported = root->reached = true;
}

void history_ended(history_t *self, uint32_t n)
{
    hvat_t *vat = vat_of(self, n);
    vat->ended = true;
    for (size_t i = 0; i < vat->known.room; i++) {
        know_t *row = map_cell(&vat->known, i);
        if (row) row->gone = true;
    }
}

bool history_may_name(const history_t *self, uint32_t n, kref_t kref)
{
    const hvat_t *vat = map_get(&self->vats, n);
    return vat && know(vat, kref);
}

uint64_t history_since(const history_t *self, uint32_t n, kref_t kref)
{
    const hvat_t *vat = map_get(&self->vats, n);
    const know_t *row = vat ? know(vat, kref) : NULL;
    return row ? row->since_d : 0;
}

/* ---- the end ---- */

static void check_asked(history_t *self, const hvat_t *vat)
{
    char text[KREF_TEXT_MAX];
    for (size_t i = 0; i < vat->known.room; i++) {
        const know_t *row = map_cell(&vat->known, i);
        if (!row || !row->asked_d || row->last_told > row->asked_d) continue;
        const promise_t *promise = promise_of(self, row->kref);
        if (promise->settled_at && promise->settled_by != vat->n)
            broken(self, "X9", "v%u subscribed to %s and was never told", vat->n,
                   kref_text(row->kref, text));
    }
}

void history_quiet(history_t *self, uint64_t splats)
{
    char text[KREF_TEXT_MAX];
    if (self->sent != self->delivered + splats)
        broken(self, "X8", "%" PRIu64 " messages sent, %" PRIu64 " delivered, %" PRIu64 " splatted",
               self->sent, self->delivered, splats);
    for (size_t i = 0; i < self->promises.room; i++) {
        const promise_t *promise = map_cell(&self->promises, i);
        if (promise && promise->wanted && !promise->settled_at)
            broken(self, "S1", "result %s is never settled", kref_text(promise->kref, text));
        if (promise && promise->settled_by && !promise->said)
            broken(self, "K20", "%s was resolved, and the kernel never said so",
                   kref_text(promise->kref, text));
    }
    for (size_t i = 0; i < self->vats.room; i++) {
        const hvat_t *vat = map_cell(&self->vats, i);
        if (vat && !vat->ended) check_asked(self, vat);
    }
}
