/* Syscalls: who may name what, who decides what, what was let go of. */
#include <inttypes.h>

#include "tests/sim/history_own.h"

/* ---- authority ---- */

/* VAT names KREF in crank D: it was given it, in time, and reaches it; or it is its next own. */
static void use(history_t *self, uint32_t n, uint64_t d, kref_t kref)
{
    if (n == 0) return; /* clients are told about by what the broker lets them name */
    hvat_t *vat = vat_of(self, n);
    know_t *row = know(vat, kref);
    char text[KREF_TEXT_MAX];
    if (row) {
        if (row->exported) row->reached = true;
        if (!vat->blind && (!row->reached || row->since_d > d))
            broken(self, "X11", "v%u names %s in crank %" PRIu64 ", which it %s", n,
                   kref_text(kref, text), d, row->reached ? "was given later" : "dropped");
        return;
    }
    uint64_t *last = kref_is_promise(kref) ? &vat->promises : &vat->objects;
    if (kref_issuer(kref).n != n || kref_serial(kref) != *last + 1) {
        if (vat->blind) return;
        broken(self, "X11", "v%u names %s in crank %" PRIu64 ", and nobody gave it", n,
               kref_text(kref, text), d);
        return;
    }
    ++*last;
    row = know_new(vat, kref);
    row->exported = row->reached = true;
    if (kref_is_promise(kref)) promise_of(self, kref)->decider = n;
}

static void use_all(history_t *self, uint32_t n, uint64_t d, cargo_view_t cargo)
{
    for (size_t i = 0; i < cargo.count; i++) use(self, n, d, cargo.at[i]);
}

/* The first delivery behind D that mentions KREF; NULL: none in flight does. */
static grant_t *grant_behind(hvat_t *vat, uint64_t d, kref_t kref)
{
    for (size_t i = 0; i < vat->grant_count; i++)
        if (vat->grants[i].d > d && kref_same(vat->grants[i].kref, kref)) return &vat->grants[i];
    return NULL;
}

/* Crank D let go of KREF, or FORGOT it, and deliveries behind it mention it: nothing else gives it now. */
static void only_granted(hvat_t *vat, uint64_t d, kref_t kref, bool forgot)
{
    grant_t *grant = grant_behind(vat, d, kref);
    if (!grant) return;
    grant->reached = false;
    if (forgot) grant->known = false;
}

/* Does crank D speak of what it knew, or was the reference mentioned again meanwhile? */
static bool before(const hvat_t *vat, const know_t *row, uint64_t d)
{
    return row->intro_d <= (vat->upgrade_d == d ? d - 1 : d);
}

static know_t *stated(history_t *self, uint32_t n, uint64_t d, kref_t kref)
{
    know_t *row = know(vat_of(self, n), kref);
    char text[KREF_TEXT_MAX];
    if (!row && !vat_of(self, n)->blind)
        broken(self, "X11", "v%u speaks of %s, which it does not hold", n, kref_text(kref, text));
    return row && before(vat_of(self, n), row, d) ? row : NULL;
}

/* ---- syscalls ---- */

void history_send(history_t *self, message_id_t id, kref_t target, kref_t result,
                  cargo_view_t cargo)
{
    use(self, id.vat, id.d, target);
    use_all(self, id.vat, id.d, cargo);
    if (!kref_none(result)) {
        use(self, id.vat, id.d, result);
        promise_of(self, result)->wanted = true;
        promise_of(self, result)->decider = 0;
    }
    if (map_get(&self->messages, id_key(id))) {
        broken(self, "X8", "v%u/%" PRIu64 "#%" PRIu64 " is sent twice", id.vat, id.d, id.n);
        return;
    }
    message_t *message = made(sizeof *message);
    *message = (message_t){.id = id, .target = target, .result = result, .at = ++self->now};
    message->cargo = cargo_copy(cargo);
    map_put(&self->messages, id_key(id), message);
    message_t **at = &self->open[id.vat % 64];
    while (*at) at = &(*at)->next;
    *at = message;
    self->sent++;
}

void history_crank(history_t *self, uint32_t n, uint64_t d)
{
    hvat_t *vat = vat_of(self, n);
    if (vat->upgrade_d != d) return;
    give_all(vat, d, (cargo_view_t){vat->parameters.at, vat->parameters.count, 0});
}

void history_subscribe(history_t *self, uint32_t n, uint64_t d, kref_t promise)
{
    use(self, n, d, promise);
    know_t *row = know(vat_of(self, n), promise);
    if (!row) return;
    row->subscribed = true;
    row->asked_d = d;
}

void history_resolve(history_t *self, uint32_t n, uint64_t d, kref_t kref, bool rejected,
                     kref_t single, cargo_view_t cargo)
{
    use(self, n, d, kref);
    use_all(self, n, d, cargo);
    promise_t *promise = promise_of(self, kref);
    char text[KREF_TEXT_MAX];
    if ((promise->decider != n || promise->decider_d > d) && !vat_of(self, n)->blind)
        broken(self, "X11", "v%u resolves %s in crank %" PRIu64 ", which it does not decide", n,
               kref_text(kref, text), d);
    settle(self, promise, n, rejected, single, cargo);
}

void history_resolved(history_t *self, uint32_t n, uint64_t d, const kref_t *promises, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        know_t *row = know(vat_of(self, n), promises[i]);
        if (row && row->intro_d <= d) row->gone = true;
    }
}

void history_mention(history_t *self, uint32_t n, uint64_t d, cargo_view_t cargo)
{
    use_all(self, n, d, cargo);
}

void history_drop_imports(history_t *self, uint32_t n, uint64_t d, kref_t kref)
{
    know_t *row = stated(self, n, d, kref);
    if (row)
        row->reached = false;
    else
        only_granted(vat_of(self, n), d, kref, false);
}

void history_retire_imports(history_t *self, uint32_t n, uint64_t d, kref_t kref)
{
    know_t *row = stated(self, n, d, kref);
    if (row)
        row->gone = true;
    else
        only_granted(vat_of(self, n), d, kref, true);
}

/* What a vat gave up, and a later delivery mentions, comes back to it as an import. */
void history_retire_exports(history_t *self, uint32_t n, uint64_t d, kref_t kref, bool abandon)
{
    know_t *row = abandon ? know(vat_of(self, n), kref) : stated(self, n, d, kref);
    if (!row) return;
    row->exported = false;
    if (before(vat_of(self, n), row, d))
        row->gone = true;
    else
        only_granted(vat_of(self, n), d, kref, true);
}

/* The vat never sees delivery D. What it alone gave is not given; what it and a later one give, that does. */
void history_given_up(history_t *self, uint32_t n, uint64_t d)
{
    hvat_t *vat = vat_of(self, n);
    for (size_t i = 0; i < vat->grant_count; i++) {
        const grant_t *grant = &vat->grants[i];
        if (grant->d != d) continue;
        know_t *row = know(vat, grant->kref);
        grant_t *next = grant_behind(vat, d, grant->kref);
        if (next) {
            next->known = grant->known;
            next->reached = grant->reached;
            if (row && row->since_d == d) row->since_d = next->d;
        } else if (row && !grant->known && !row->exported) {
            row->gone = true;
        } else if (row && !kref_is_promise(grant->kref)) {
            row->reached = grant->reached;
        }
    }
}

void history_applied(history_t *self, uint32_t n, uint64_t d)
{
    hvat_t *vat = vat_of(self, n);
    if (d != vat->applied + 1 || d > vat->assigned)
        broken(self, "D1", "crank v%u/%" PRIu64 " is applied after %" PRIu64, n, d, vat->applied);
    vat->applied = d;
    for (size_t i = 0; i < vat->told_count;) {
        if (vat->told_d[i] > d) {
            i++;
            continue;
        }
        know_t *row = know(vat, vat->told[i]);
        if (row && row->told_d == d && row->intro_d <= d)
            row->gone = true;
        else if (row && row->told_d == d)
            only_granted(vat, d, vat->told[i], true);
        vat->told_count--;
        vat->told[i] = vat->told[vat->told_count];
        vat->told_d[i] = vat->told_d[vat->told_count];
    }
    size_t kept = 0;
    for (size_t i = 0; i < vat->grant_count; i++)
        if (vat->grants[i].d > d) vat->grants[kept++] = vat->grants[i];
    vat->grant_count = kept;
}
