/* Who refers to what. A count belongs to the place that holds the reference: a queue entry, a log
 * row until it is applied, the value of a settled promise, a pin, a client's hold, an authority
 * row. This file is the only one that changes a count. */
#include <stdlib.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* May somebody outside name it in a message? Not what its owner was told to drop: it may be gone
 * there. Nor what its maker has retired, if that lives on: it would not know it when it came home. */
bool kref_sendable(const kernel_t *k, kref_t kref)
{
    if (kref_is_promise(kref)) return promise_find(k, kref) != NULL;
    const object_t *object = object_find(k, kref);
    if (!object) return false;
    if (object_orphan(k, object)) {
        const kvat_t *maker = vat_find(k, kref_issuer(kref).n);
        return object->row.reachable > 0 || !maker || !vat_alive(maker) ||
               PLANTED(retired_is_sendable);
    }
    return held_find(vat_find(k, object->row.owner), kref)->row.flags & HELD_REACHABLE;
}

static void doubt(kernel_t *k, named_t *named, uint64_t kref)
{
    if (named->doubtful) return;
    named->doubtful = true;
    k->doubtful = grown(k->doubtful, &k->doubtful_room, k->doubtful_count + 1, sizeof *k->doubtful);
    k->doubtful[k->doubtful_count++] = kref;
}

object_t *object_new(kernel_t *k, kref_t kref, vat_t owner)
{
    must(kref_is_object(kref) && !object_find(k, kref));
    object_t *self = take(sizeof *self);
    self->named.head.table = ROW_object;
    self->row.kref = kref.n;
    self->row.owner = owner.n;
    map_put(&k->objects, kref.n, self);
    touch(k, &self->named.head);
    doubt(k, &self->named, kref.n);
    return self;
}

/* Nobody decides it yet. */
promise_t *promise_new(kernel_t *k, kref_t kref)
{
    must(kref_is_promise(kref) && !promise_find(k, kref));
    promise_t *self = take(sizeof *self);
    self->named.head.table = ROW_promise;
    self->row.kref = kref.n;
    self->row.made_ms = k->now_us / 1000;
    map_put(&k->promises, kref.n, self);
    k->tally.unresolved++;
    touch(k, &self->named.head);
    doubt(k, &self->named, kref.n);
    return self;
}

/* May VALUE lead back to what has it? Through a promise, or an adminNode that says how its vat ended. */
static bool value_leads_on(const kernel_t *k, const value_t *value)
{
    bool leads = value && value->leads_on;
    for (size_t i = 0; !leads && value && value->asks_kernel && i < value->slot_count; i++) {
        const service_t *service = service_find(k, value->slots[i]);
        leads = service && service->value;
    }
    return leads;
}

/* OBJECT as an adminNode whose vat ended, with a value that may lead back to it. */
static service_t *telling(const kernel_t *k, const object_t *object)
{
    service_t *service = object->row.owner ? NULL : service_find(k, kref_of(object->row.kref));
    bool tells = service && value_leads_on(k, service->value) && !PLANTED(reason_holds_node);
    return tells ? service : NULL;
}

/* Objects: REACH and RECOGNIZE more (or less) references of either kind. */
static void object_count(kernel_t *k, object_t *object, int reach, int recognize)
{
    must(reach >= 0 || object->row.reachable > 0);
    must(recognize >= 0 || object->row.recognizable > 0);
    object->row.reachable += (uint64_t)(int64_t)reach;
    object->row.recognizable += (uint64_t)(int64_t)recognize;
    must(object->row.reachable <= object->row.recognizable);
    touch(k, &object->named.head);
    if (object->row.reachable) object->listed = false;
    service_t *service = reach < 0 ? telling(k, object) : NULL;
    if (service) service->alive_at = 0;
    if (!object->row.reachable || service) doubt(k, &object->named, object->row.kref);
}

static void promise_count(kernel_t *k, promise_t *promise, int more)
{
    must(more > 0 || promise->row.count > 0);
    promise->row.count += (uint64_t)(int64_t)more;
    touch(k, &promise->named.head);
    if (more < 0) promise->alive_at = 0;
    if (promise->row.count == 0 || (more < 0 && value_leads_on(k, promise->value)))
        doubt(k, &promise->named, promise->row.kref);
}

static void ref_count(kernel_t *k, kref_t kref, int more)
{
    if (kref_is_promise(kref)) {
        promise_t *promise = promise_find(k, kref);
        must(promise);
        promise_count(k, promise, more);
    } else {
        object_t *object = object_find(k, kref);
        must(object);
        object_count(k, object, more, more);
    }
}

void ref_up(kernel_t *k, kref_t kref) { ref_count(k, kref, 1); }
void ref_down(kernel_t *k, kref_t kref) { ref_count(k, kref, -1); }

void value_up(kernel_t *k, const value_t *value)
{
    for (size_t i = 0; value && i < value->slot_count; i++) ref_up(k, value->slots[i]);
}

void value_down(kernel_t *k, const value_t *value)
{
    for (size_t i = 0; value && i < value->slot_count; i++) ref_down(k, value->slots[i]);
}

/* ---- authority rows ---- */

/* A notify that tells the vat this promise is in its log, and nothing later mentions it again. */
bool held_told(const held_t *held)
{
    return held->row.told_d > 0 && held->row.told_d >= held->row.intro_d;
}

/* Crank or delivery SINCE_D gives the vat the right to name KREF. */
held_t *held_new(kernel_t *k, kvat_t *vat, kref_t kref, uint64_t flags, uint64_t since_d)
{
    must(!held_find(vat, kref));
    held_t *self = take(sizeof *self);
    self->head.table = ROW_held;
    self->row =
        (row_held_t){.vat = vat->row.vat, .kref = kref.n, .flags = flags, .since_d = since_d};
    self->vat = vat;
    map_put(&vat->held, kref.n, self);
    touch(k, &self->head);

    if (kref_is_promise(kref)) {
        promise_t *promise = promise_find(k, kref);
        must(promise);
        self->named = &promise->named;
        promise_count(k, promise, 1);
    } else {
        object_t *object = object_find(k, kref);
        must(object);
        self->named = &object->named;
        if (!(flags & HELD_EXPORTED)) object_count(k, object, flags & HELD_REACHABLE ? 1 : 0, 1);
    }
    self->next = self->named->holders;
    if (self->next) self->next->prev = self;
    self->named->holders = self;
    return self;
}

/* The vat gave its own object up, and a delivery in flight mentions it: from then on it is an import
 * like any other. */
void held_import(kernel_t *k, held_t *self)
{
    must(self->row.flags & HELD_EXPORTED);
    self->row.flags = HELD_REACHABLE;
    touch(k, &self->head);
    object_count(k, object_find(k, kref_of(self->row.kref)), 1, 1);
}

/* The vat may not name it any more. */
void held_drop(kernel_t *k, held_t *self)
{
    kref_t kref = {self->row.kref};
    if (kref_is_promise(kref)) {
        promise_count(k, promise_find(k, kref), -1);
    } else if (!(self->row.flags & HELD_EXPORTED)) {
        bool reached = self->row.flags & HELD_REACHABLE;
        object_count(k, object_find(k, kref), reached ? -1 : 0, -1);
    } else if (!PLANTED(orphan_not_looked_at)) {
        doubt(k, self->named, kref.n);
    }
    if (self->next) self->next->prev = self->prev;
    if (self->prev)
        self->prev->next = self->next;
    else
        self->named->holders = self->next;
    map_remove(&self->vat->held, kref.n);
    bury(k, &self->head);
    free(self);
}

/* The vat forgot a promise in crank D. What a later delivery mentions stays (unless ANYWAY, which only
 * a planted bug says): the vat finds an import in it, even if the promise was its own. */
void held_forget(kernel_t *k, held_t *self, uint64_t d, bool anyway)
{
    if (self->row.intro_d <= d || anyway) {
        held_drop(k, self);
        return;
    }
    self->row.flags &= ~(uint64_t)HELD_EXPORTED;
    touch(k, &self->head);
    held_again(k, self, d, true);
}

/* Sets or clears the reachable flag of an object's row. */
void held_reach(kernel_t *k, held_t *self, bool reachable)
{
    bool now = self->row.flags & HELD_REACHABLE;
    if (now == reachable) return;

    self->row.flags ^= HELD_REACHABLE;
    touch(k, &self->head);
    if (self->row.flags & HELD_EXPORTED) return;
    object_count(k, object_find(k, kref_of(self->row.kref)), reachable ? 1 : -1, 0);
}

/* The delivery D mentions KREF to the vat: from now on it may name it. */
held_t *held_introduce(kernel_t *k, kvat_t *vat, kref_t kref, uint64_t d)
{
    held_t *held = held_find(vat, kref);
    if (!held) {
        held = held_new(k, vat, kref, HELD_REACHABLE, d);
    } else if (kref_is_object(kref) && !(held->row.flags & HELD_REACHABLE)) {
        held_reach(k, held, true);
        held->row.raised_d = d;
    }
    held->row.intro_d = d;
    touch(k, &held->head);
    return held;
}

/* ---- what follows from zero ---- */

static void promise_collect(kernel_t *k, promise_t *promise)
{
    promise->named.doubtful = false;
    if (promise->row.count > 0) {
        if (value_leads_on(k, promise->value) && !promise->named.holders &&
            promise->alive_at != k->rounds && !PLANTED(cycle_kept))
            cycle_collect(k, kref_of(promise->row.kref));
        return;
    }
    /* An unresolved one is counted by its decider, or by the message whose result it is, so nobody waits. */
    must(!promise->named.holders && !promise->queue.head && !promise->hold && !promise->waiters);
    map_remove(&k->promises, promise->row.kref);
    k->tally.unresolved -= promise->row.state == PROMISE_UNRESOLVED;
    value_t *value = TAKE(promise->value);
    bury(k, &promise->named.head);
    promise_free(promise);
    if (!PLANTED(value_keeps_slots)) value_down(k, value);
    value_destroy(&value);
}

/* Nobody answers for it. A vat that is being cleaned up owns nothing any more, whatever its rows
 * still say. */
bool object_orphan(const kernel_t *k, const object_t *object)
{
    const kvat_t *owner = vat_find(k, object->row.owner);
    return !owner || !vat_alive(owner);
}

/* An object that nobody answers for and nobody can recognize is gone. Otherwise, when nobody can
 * reach it, those who know it must be told. */
static void object_collect(kernel_t *k, object_t *object)
{
    object->named.doubtful = false;
    if (object->row.reachable > 0) {
        const service_t *told = telling(k, object);
        if (told && told->alive_at != k->rounds) cycle_collect(k, kref_of(object->row.kref));
        return;
    }
    if (object->row.owner || object->row.recognizable > 0) {
        gc_look(k, object);
        return;
    }
    must(!object->named.holders);
    service_t *service = object->row.owner ? NULL : service_find(k, kref_of(object->row.kref));
    if (service) service_bury(k, service);
    map_remove(&k->objects, object->row.kref);
    bury(k, &object->named.head);
    free(object);
}

/* To a fixed point: what one step frees is looked at by a later one. */
void collect(kernel_t *k)
{
    k->rounds++;
    for (size_t i = 0; i < k->doubtful_count; i++) {
        kref_t kref = {k->doubtful[i]};
        if (kref_is_promise(kref)) {
            promise_t *promise = promise_find(k, kref);
            must(promise); /* it is listed once, and only collecting frees it */
            promise_collect(k, promise);
        } else {
            object_t *object = object_find(k, kref);
            must(object);
            object_collect(k, object);
        }
    }
    k->doubtful_count = 0;
}
