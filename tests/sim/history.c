#include "tests/sim/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/chance.h"
#include "wire/base/map.h"
#include "wire/base/must.h"

typedef struct {
    kref_t *at;
    size_t count;
    uint64_t body;
} cargo_t;

typedef struct message {
    message_id_t id;
    kref_t target, result;
    cargo_t cargo;
    uint64_t at; /* when it was sent */
    bool delivered;
    struct message *next; /* of the same sender, not delivered yet */
} message_t;

typedef struct {
    kref_t kref;
    uint64_t settled_at; /* 0: not settled */
    uint32_t settled_by; /* vat; 0 the kernel */
    bool rejected, said; /* said: the kernel told us as well */
    bool wanted;         /* the result of a message */
    bool served;         /* of one that the kernel executed: the kernel settles it as it likes */
    uint32_t decider;    /* 0: a message on its way has it as its result, or the kernel */
    uint64_t decider_d;  /* the delivery that made it so */
    kref_t single;
    cargo_t cargo;
    uint32_t *subscribed; /* when it was settled */
    size_t subscribed_count;
} promise_t;

/* What a vat may name. */
typedef struct {
    kref_t kref;
    bool exported, reached, gone, subscribed;
    uint64_t since_d, intro_d, told_d;
    uint64_t last_told; /* ever */
    uint64_t asked_d;   /* last subscribe of it */
} know_t;

/* A delivery in flight mentions KREF. What the vat has of it should that be given up. */
typedef struct {
    uint64_t d;
    kref_t kref;
    bool known, reached;
} grant_t;

typedef struct {
    uint32_t n;
    bool ended, blind;
    uint64_t assigned, applied, objects, promises;
    uint64_t upgrade_d; /* its last upgrade */
    cargo_t parameters; /* of that */
    map_t known;        /* kref -> know_t */
    kref_t *told;       /* of notifies in flight: (d, promise) by pairs */
    uint64_t *told_d;
    size_t told_count, told_room;
    grant_t *grants; /* by d */
    size_t grant_count, grant_room;
} hvat_t;

struct history {
    history_fail_t *fail;
    void *context;
    map_t vats, messages, promises, revoked;
    message_t *open[64]; /* by sender, modulo */
    uint64_t now, sent, delivered;
};

static void broken(history_t *self, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void broken(history_t *self, const char *rule, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    self->fail(self->context, rule, text);
}

static void *made(size_t bytes)
{
    void *at = calloc(1, bytes ? bytes : 1);
    must(at);
    return at;
}

static cargo_t cargo_copy(cargo_view_t from)
{
    cargo_t cargo = {made(from.count * sizeof(kref_t)), from.count, from.body};
    if (from.count) memcpy(cargo.at, from.at, from.count * sizeof(kref_t));
    return cargo;
}

static bool cargo_same(const cargo_t *a, cargo_view_t b)
{
    if (a->count != b.count || a->body != b.body) return false;
    return !a->count || memcmp(a->at, b.at, a->count * sizeof(kref_t)) == 0;
}

static bool cargo_has(const cargo_t *cargo, kref_t kref)
{
    for (size_t i = 0; i < cargo->count; i++)
        if (kref_same(cargo->at[i], kref)) return true;
    return false;
}

/* ---- records ---- */

static uint64_t id_key(message_id_t id) { return (uint64_t)id.vat << 44 | id.d << 16 | id.n; }

static hvat_t *vat_of(history_t *self, uint32_t n)
{
    hvat_t *vat = map_get(&self->vats, n);
    if (vat) return vat;
    vat = made(sizeof *vat);
    vat->n = n;
    map_put(&self->vats, n, vat);
    return vat;
}

static promise_t *promise_of(history_t *self, kref_t kref)
{
    promise_t *promise = map_get(&self->promises, kref.n);
    if (promise) return promise;
    promise = made(sizeof *promise);
    promise->kref = kref;
    map_put(&self->promises, kref.n, promise);
    return promise;
}

static know_t *know(const hvat_t *vat, kref_t kref)
{
    know_t *row = map_get(&vat->known, kref.n);
    return row && !row->gone ? row : NULL;
}

static know_t *know_new(hvat_t *vat, kref_t kref)
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

static bool grant_of(const hvat_t *vat, uint64_t d, kref_t kref)
{
    for (size_t i = vat->grant_count; i > 0 && vat->grants[i - 1].d == d; i--)
        if (vat->grants[i - 1].kref.n == kref.n) return true;
    return false;
}

static void give(hvat_t *vat, uint64_t d, kref_t kref)
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

static void give_all(hvat_t *vat, uint64_t d, cargo_view_t cargo)
{
    for (size_t i = 0; i < cargo.count; i++) give(vat, d, cargo.at[i]);
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

static void settle(history_t *self, promise_t *promise, uint32_t by, bool rejected, kref_t single,
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

/* ---- the kernel ---- */

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
