/* What the kernel did: promises it settled, deliveries it fixed, what it collected. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/history_own.h"
#include "wire/base/must.h"

void history_settled(history_t *self, kref_t kref, bool rejected, cargo_view_t cargo)
{
    promise_t *promise = promise_of(self, kref);
    char text[KREF_TEXT_MAX];
    if (promise->settled_by && !promise->said) { /* a crank did, and we were there */
        promise->said = true;
        if (promise->rejected != rejected || !cargo_same(&promise->cargo, cargo))
            broken(self, "K20", "%s is settled with another value than its decider's",
                   kref_text(kref, text));
        return;
    }
    bool own = !kref_issuer(kref).n && !promise->wanted; /* what the kernel promised itself */
    if (!rejected && !own && !promise->served)
        broken(self, "K20", "%s is fulfilled by nobody", kref_text(kref, text));
    settle(self, promise, 0, rejected, (kref_t){0}, cargo);
    promise->said = true;
}

/* ---- deliveries ---- */

static hvat_t *next_delivery(history_t *self, uint32_t n, uint64_t d)
{
    hvat_t *vat = vat_of(self, n);
    if (d != vat->assigned + 1 || vat->ended)
        broken(self, "D1", "delivery v%u/%" PRIu64 " after %" PRIu64 "%s", n, d, vat->assigned,
               vat->ended ? ", and the vat has ended" : "");
    vat->assigned = d;
    return vat;
}

void history_deliver_other(history_t *self, uint32_t n, uint64_t d) { next_delivery(self, n, d); }

void history_deliver_start(history_t *self, uint32_t n, uint64_t d, cargo_view_t parameters,
                           bool upgrade)
{
    hvat_t *vat = next_delivery(self, n, d);
    if (!upgrade) {
        give_all(vat, d, parameters);
        return;
    }
    vat->upgrade_d = d;
    free(vat->parameters.at);
    vat->parameters = cargo_copy(parameters);
}

static void take_out(history_t *self, message_t *message)
{
    message_t **at = &self->open[message->id.vat % 64];
    while (*at && *at != message) at = &(*at)->next;
    if (*at) *at = message->next;
    message->delivered = true;
    self->delivered++;
}

static message_t *deliverable(history_t *self, message_id_t id)
{
    message_t *message = map_get(&self->messages, id_key(id));
    if (!message)
        broken(self, "X8", "v%u/%" PRIu64 "#%" PRIu64 " is delivered, and nobody sent it", id.vat,
               id.d, id.n);
    else if (message->delivered)
        broken(self, "X8", "v%u/%" PRIu64 "#%" PRIu64 " is delivered twice", id.vat, id.d, id.n);
    return message;
}

/* Did the same sender send something earlier, to the same place, that is still on its way? */
static void check_order(history_t *self, const message_t *message, kref_t target)
{
    for (const message_t *m = self->open[message->id.vat % 64]; m; m = m->next) {
        if (m->id.vat != message->id.vat || m->at >= message->at) continue;
        if (kref_same(m->target, message->target)) {
            broken(self, "F1",
                   "v%u/%" PRIu64 "#%" PRIu64 " overtakes #%" PRIu64 " of crank %" PRIu64,
                   message->id.vat, message->id.d, message->id.n, m->id.n, m->id.d);
            return;
        }
        if (!kref_is_promise(m->target)) continue;
        const promise_t *promise = promise_of(self, m->target);
        bool led_here =
            promise->settled_at && !promise->rejected && kref_same(promise->single, target);
        if (led_here && promise->settled_at < message->at) {
            broken(self, "F2",
                   "v%u/%" PRIu64 "#%" PRIu64 " overtakes #%" PRIu64 " of crank %" PRIu64
                   ", which was sent to the promise",
                   message->id.vat, message->id.d, message->id.n, m->id.n, m->id.d);
            return;
        }
    }
}

static void check_told(history_t *self, const message_t *message, uint32_t n)
{
    if (!kref_is_promise(message->target)) return;
    const promise_t *promise = promise_of(self, message->target);
    if (!promise->settled_at || message->at > promise->settled_at) return;
    char text[KREF_TEXT_MAX];
    for (size_t i = 0; i < promise->subscribed_count; i++) {
        if (promise->subscribed[i] != n) continue;
        const know_t *row = map_get(&vat_of(self, n)->known, message->target.n);
        if (row && row->last_told == 0)
            broken(self, "F3", "a message that waited for %s reaches v%u before its notify",
                   kref_text(message->target, text), n);
    }
}

void history_revoked(history_t *self, kref_t kref) { map_put(&self->revoked, kref.n, self); }

static void check_revoked(history_t *self, kref_t target)
{
    char text[KREF_TEXT_MAX];
    if (map_get(&self->revoked, target.n))
        broken(self, "R1", "a message reaches %s, which is revoked", kref_text(target, text));
}

void history_deliver_message(history_t *self, uint32_t n, uint64_t d, message_id_t id,
                             kref_t target, kref_t result, cargo_view_t cargo)
{
    hvat_t *vat = next_delivery(self, n, d);
    message_t *message = deliverable(self, id);
    if (!message || message->delivered) return;

    bool direct = kref_same(target, message->target);
    const promise_t *promise =
        kref_is_promise(message->target) ? promise_of(self, message->target) : NULL;
    bool through =
        promise && promise->settled_at && !promise->rejected && kref_same(promise->single, target);
    if (!direct && !through)
        broken(self, "X11", "v%u/%" PRIu64 " goes to another target than was meant", n, d);
    if (!cargo_same(&message->cargo, cargo) || !kref_same(message->result, result))
        broken(self, "X11", "v%u/%" PRIu64 " is not the message that was sent", n, d);
    check_revoked(self, target);
    take_out(self, message);
    check_order(self, message, target);
    check_told(self, message, n);
    give(vat, d, target);
    give_all(vat, d, cargo);
    if (kref_none(result)) return;
    give(vat, d, result);
    promise_of(self, result)->decider = n;
    promise_of(self, result)->decider_d = d;
}

void history_served(history_t *self, message_id_t id, kref_t target)
{
    message_t *message = deliverable(self, id);
    if (!message || message->delivered) return;
    const promise_t *promise =
        kref_is_promise(message->target) ? promise_of(self, message->target) : NULL;
    bool through =
        promise && promise->settled_at && !promise->rejected && kref_same(promise->single, target);
    if (!kref_same(target, message->target) && !through)
        broken(self, "X11", "the kernel executes a message that was meant for something else");
    check_revoked(self, target);
    if (kref_issuer(target).n)
        broken(self, "X11", "the kernel executes a message to a vat's object");
    take_out(self, message);
    if (!kref_none(message->result)) promise_of(self, message->result)->served = true;
}

void history_fulfilled(history_t *self, kref_t kref, kref_t single, cargo_view_t cargo)
{
    promise_t *promise = promise_of(self, kref);
    history_settled(self, kref, false, cargo);
    promise->single = single;
}

void history_never_seen(history_t *self, uint32_t n, uint64_t d, message_id_t id)
{
    next_delivery(self, n, d)->blind = true;
    message_t *message = id.d ? deliverable(self, id) : NULL;
    if (message && !message->delivered) take_out(self, message);
}

static void tell_later(hvat_t *vat, kref_t kref, uint64_t d)
{
    if (vat->told_count == vat->told_room) {
        vat->told_room = vat->told_room ? 2 * vat->told_room : 16;
        vat->told = realloc(vat->told, vat->told_room * sizeof *vat->told);
        vat->told_d = realloc(vat->told_d, vat->told_room * sizeof *vat->told_d);
        must(vat->told && vat->told_d);
    }
    vat->told[vat->told_count] = kref;
    vat->told_d[vat->told_count++] = d;
}

void history_tell(history_t *self, uint32_t n, uint64_t d, kref_t kref, bool rejected,
                  cargo_view_t cargo)
{
    hvat_t *vat = vat_of(self, n);
    const promise_t *promise = promise_of(self, kref);
    char text[KREF_TEXT_MAX];
    kref_text(kref, text);
    if (!promise->settled_at)
        broken(self, "X9", "v%u is told of %s, which is not settled", n, text);
    else if (promise->rejected != rejected || !cargo_same(&promise->cargo, cargo))
        broken(self, "X11", "v%u is told something else of %s than its decider said", n, text);
    const know_t *before = know(vat, kref);
    if (before && before->told_d && before->told_d >= before->intro_d)
        broken(self, "X9", "v%u is told of %s twice", n, text);
    give(vat, d, kref);
    know_t *row = know(vat, kref);
    row->told_d = row->last_told = d;
    row->subscribed = false;
    give_all(vat, d, cargo);
    tell_later(vat, kref, d);
}

void history_told(history_t *self, uint32_t n, uint64_t d) { next_delivery(self, n, d); }

/* ---- garbage collection ---- */

static bool cargo_has(const cargo_t *cargo, kref_t kref)
{
    for (size_t i = 0; i < cargo->count; i++)
        if (kref_same(cargo->at[i], kref)) return true;
    return false;
}

/* Another vat than N that holds KREF, reachable or at all; 0: none. */
static uint32_t holder(history_t *self, uint32_t n, kref_t kref, bool reach)
{
    for (size_t i = 0; i < self->vats.room; i++) {
        const hvat_t *vat = map_cell(&self->vats, i);
        const know_t *row = vat && vat->n != n && !vat->ended ? know(vat, kref) : NULL;
        if (row && (!reach || row->reached)) return vat->n;
    }
    return 0;
}

/* A message on its way from a living sender that leads to it. Splats are not told one by one, so only
 * messages with a result that is not settled count. */
static bool on_its_way(history_t *self, kref_t kref)
{
    for (size_t i = 0; i < 64; i++)
        for (const message_t *m = self->open[i]; m; m = m->next) {
            if (kref_none(m->result) || promise_of(self, m->result)->settled_at) continue;
            if (kref_same(m->target, kref) || cargo_has(&m->cargo, kref)) return true;
        }
    return false;
}

void history_drop_exports(history_t *self, uint32_t n, uint64_t d, kref_t kref)
{
    char text[KREF_TEXT_MAX];
    know_t *row = know(vat_of(self, n), kref);
    uint32_t other = holder(self, n, kref, true);
    (void)d;
    if (!row || !row->exported || !row->reached)
        broken(self, "G1", "dropExports to v%u of %s, which it does not export", n,
               kref_text(kref, text));
    else if (other)
        broken(self, "G1", "dropExports to v%u of %s, which v%u reaches", n, kref_text(kref, text),
               other);
    else if (on_its_way(self, kref))
        broken(self, "G1", "dropExports to v%u of %s, and a message leads to it", n,
               kref_text(kref, text));
    if (row) row->reached = false;
}

void history_gc_exports(history_t *self, uint32_t n, uint64_t d, kref_t kref)
{
    char text[KREF_TEXT_MAX];
    know_t *row = know(vat_of(self, n), kref);
    uint32_t other = holder(self, n, kref, false);
    (void)d;
    if (!row || !row->exported || row->reached)
        broken(self, "G2", "retireExports to v%u of %s, which was not dropped", n,
               kref_text(kref, text));
    else if (other)
        broken(self, "G2", "retireExports to v%u of %s, which v%u recognizes", n,
               kref_text(kref, text), other);
    if (row) row->gone = true;
}

void history_gc_imports(history_t *self, uint32_t n, uint64_t d, kref_t kref)
{
    char text[KREF_TEXT_MAX];
    know_t *row = know(vat_of(self, n), kref);
    uint32_t other = holder(self, n, kref, true);
    (void)d;
    if (!row || row->exported || row->reached)
        broken(self, "G2", "retireImports to v%u of %s, which it does not merely recognize", n,
               kref_text(kref, text));
    else if (other)
        broken(self, "G2", "retireImports to v%u of %s, which v%u reaches", n,
               kref_text(kref, text), other);
    if (row) row->gone = true;
}
