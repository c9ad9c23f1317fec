/* Is a crank legal? The syscalls are walked in order over a scratch table of the krefs they name,
 * so that each sees what the earlier ones would have done; the state itself is only read. After
 * this, apply.c cannot fail.
 *
 * "Unknown" and "not yours" are one error. Windows: a drop or retire in crank d of something that a
 * later delivery mentioned again (intro_d > d) is no statement about that mention: it is ignored,
 * and so are its flags. */
#include <stdlib.h>

#include "broker/kernel/crank/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

typedef struct {
    kernel_t *k;
    const kvat_t *vat;
    uint64_t d, stated_d; /* the crank; the last delivery that its drops and retires know of */
} check_t;

/* The scratch row of KREF, made from the state when it is named for the first time. Valid until
 * the next call. */
static seen_t *seen(const check_t *c, kref_t kref)
{
    kernel_t *k = c->k;
    uintptr_t at = (uintptr_t)map_get(&k->seen_at, kref.n);
    if (at) return &k->seen[at - 1];

    seen_t row = {.kref = kref};
    const held_t *held = held_find(c->vat, kref);
    if (held &&
        (held->row.since_d <= c->d ||
         PLANTED(since_not_checked))) { /* what a later delivery gives, this crank has not */
        row.held = true;
        row.exported = held->row.flags & HELD_EXPORTED;
        row.reachable = held->row.flags & HELD_REACHABLE;
        row.intro_d = held->row.intro_d;
    }
    const promise_t *promise = kref_is_promise(kref) ? promise_find(k, kref) : NULL;
    if (promise)
        row.mine = promise->row.state == PROMISE_UNRESOLVED &&
                   promise->row.decider == c->vat->row.vat &&
                   (promise->row.decider_d <= c->d || PLANTED(decider_since_not_checked));
    k->seen = grown(k->seen, &k->seen_room, k->seen_count + 1, sizeof *k->seen);
    k->seen[k->seen_count++] = row;
    map_put(&k->seen_at, kref.n, (void *)(uintptr_t)k->seen_count);
    return &k->seen[k->seen_count - 1];
}

/* The table stays for the next crank, unless this one named so much that it would be kept for nothing. */
void check_clear(kernel_t *k)
{
    enum { SEEN_KEPT = 64 * 1024 };
    if (k->seen_count > SEEN_KEPT) {
        map_clear(&k->seen_at);
        free(k->seen);
        k->seen = NULL;
        k->seen_room = 0;
    }
    for (size_t i = 0; k->seen && i < k->seen_count; i++)
        map_remove(&k->seen_at, k->seen[i].kref.n);
    k->seen_count = 0;
}

/* A new export of the vat: its own number, and the next one. Objects and promises count apart. */
static err_t check_next(const check_t *c, kref_t kref)
{
    if (kref_issuer(kref).n != c->vat->row.vat)
        return PLANTED(names_not_checked) && kref_known(c->k, kref) ? ERR_OK : ERR_NOT_HELD;

    uint64_t *last = kref_is_promise(kref) ? &c->k->next_promise : &c->k->next_object;
    if (kref_serial(kref) != *last + 1) {
        /* Its own, but forgotten: for the vat the same as never seen. */
        return kref_serial(kref) <= *last ? ERR_NOT_HELD : ERR_NOT_NEXT;
    }
    ++*last;
    seen_t *row = seen(c, kref);
    row->held = row->exported = row->reachable = true;
    row->mine = kref_is_promise(kref);
    return ERR_OK;
}

/* The vat names KREF in a message: it holds it and can reach it, or exports it with this. */
static err_t check_use(const check_t *c, kref_t kref)
{
    if (kref_none(kref)) return ERR_NOT_HELD;

    seen_t *row = seen(c, kref);
    if (!row->held) return check_next(c, kref);
    if (row->exported) row->reachable = true; /* exported again after a drop */
    return row->reachable ? ERR_OK : ERR_NOT_HELD;
}

static err_t check_data(const check_t *c, const capdata_t *data, shape_t shape)
{
    for (size_t i = 0; i < data->slots.count; i++) {
        err_t err = check_use(c, data->slots.at[i]);
        if (err) return err;
    }
    return PLANTED(bodies_not_checked) ? ERR_OK : smallcaps_check(data, shape);
}

static err_t check_send(const check_t *c, const msg_send_t *call)
{
    err_t err = check_use(c, call->target);
    if (err) return err;
    err = check_data(c, &call->methargs, SHAPE_METHARGS);
    if (err || kref_none(call->result)) return err;

    if (!kref_is_promise(call->result)) return ERR_REF_KIND;
    if (seen(c, call->result)->held) return ERR_TWICE; /* a result is always a new promise */
    err = check_next(c, call->result);
    if (err) return err;
    seen(c, call->result)->mine = false; /* the queue holds it until the message is delivered */
    return ERR_OK;
}

static err_t check_subscribe(const check_t *c, const msg_subscribe_t *call)
{
    return kref_is_promise(call->promise) ? check_use(c, call->promise) : ERR_REF_KIND;
}

static err_t check_resolution(const check_t *c, const resolution_t *resolution)
{
    if (!kref_is_promise(resolution->promise)) return ERR_REF_KIND;
    err_t err = check_use(c, resolution->promise);
    if (err) return err;
    seen_t *row = seen(c, resolution->promise);
    if (!row->mine && !PLANTED(decider_not_checked)) return ERR_NOT_DECIDER;
    row->mine = false;

    err = check_data(c, &resolution->data, SHAPE_ANY);
    if (err) return err;
    kref_t single;
    bool forwards = !resolution->rejected && smallcaps_single_slot(&resolution->data, &single) &&
                    kref_is_promise(single);
    return forwards && !PLANTED(forwarding_allowed) ? ERR_RESOLVE_TO_PROMISE : ERR_OK;
}

static err_t check_resolve(const check_t *c, const msg_resolve_t *call)
{
    for (size_t i = 0; i < call->resolutions.count; i++) {
        err_t err = check_resolution(c, &call->resolutions.at[i]);
        if (err) return err;
    }
    /* The batch is one: what it settles is forgotten only behind it. */
    for (size_t i = 0; i < call->resolutions.count; i++) {
        seen_t *row = seen(c, call->resolutions.at[i].promise);
        if (row->intro_d <= c->d) row->held = false;
    }
    return ERR_OK;
}

/* The scratch row of an object that the vat holds and that no later delivery mentioned again.
 * RET NULL and OK: the statement is ignored. */
static err_t check_statement(const check_t *c, kref_t kref, bool exported, seen_t **ret)
{
    *ret = NULL;
    if (!kref_is_object(kref)) return ERR_REF_KIND;
    seen_t *row = seen(c, kref);
    if (!row->held) return ERR_NOT_HELD;
    if (row->intro_d > c->stated_d && !PLANTED(flags_before_intro)) return ERR_OK;
    if (row->exported != exported) return ERR_NOT_HELD;
    *ret = row;
    return ERR_OK;
}

static err_t check_drop_imports(const check_t *c, const krefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        seen_t *row;
        err_t err = check_statement(c, refs->at[i], false, &row);
        if (err) return err;
        if (!row) continue;
        if (!row->reachable) return ERR_TWICE;
        if (!PLANTED(check_sees_old_state)) row->reachable = false;
    }
    return ERR_OK;
}

static err_t check_retire(const check_t *c, const krefs_t *refs, bool exported)
{
    for (size_t i = 0; i < refs->count; i++) {
        seen_t *row;
        err_t err = check_statement(c, refs->at[i], exported, &row);
        if (err) return err;
        if (!row) continue;
        if (row->reachable) return ERR_STILL_REACHABLE;
        row->held = false;
    }
    return ERR_OK;
}

static err_t check_abandon_exports(const check_t *c, const krefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        if (!kref_is_object(refs->at[i])) return ERR_REF_KIND;
        seen_t *row = seen(c, refs->at[i]);
        if (!row->held || !row->exported) return ERR_NOT_HELD;
        row->exported = false;
        row->held = row->intro_d > c->stated_d; /* it comes back as an import */
    }
    return ERR_OK;
}

static err_t check_call(const check_t *c, const msg_t *call)
{
    switch (call->tag) {
    case TAG_send: return check_send(c, &call->body.send);
    case TAG_subscribe: return check_subscribe(c, &call->body.subscribe);
    case TAG_resolve: return check_resolve(c, &call->body.resolve);
    case TAG_exit: return check_data(c, &call->body.exit.info, SHAPE_ANY);
    case TAG_drop_imports: return check_drop_imports(c, &call->body.drop_imports.refs);
    case TAG_retire_imports: return check_retire(c, &call->body.retire_imports.refs, false);
    case TAG_retire_exports: return check_retire(c, &call->body.retire_exports.refs, true);
    case TAG_abandon_exports: return check_abandon_exports(c, &call->body.abandon_exports.refs);
    default: return ERR_WIRE_TURN;
    }
}

/* The last delivery that crank LOG's drops and retires know of. The old half of an upgrade makes them
 * before the new half sees the parameters. */
uint64_t stated_d(const log_t *log)
{
    return log->kind == ENTRY_UPGRADE && !PLANTED(upgrade_speaks_of_parameters) ? log->row.d - 1 : log->row.d;
}

/* What the old incarnation decided is rejected before anything of this crank counts. */
static void check_forgotten(const check_t *c)
{
    for (const promise_t *at = c->vat->decides; at; at = at->decided_next) {
        seen_t *row = seen(c, kref_of(at->row.kref));
        const held_t *held = held_find(c->vat, row->kref);
        row->mine = row->exported = false;
        row->held = held->row.flags & HELD_SUBSCRIBED || row->intro_d > c->stated_d;
    }
}

/* Checks k->calls as the crank of LOG. RET_AT: position of the syscall that is illegal, from 1. The
 * scratch table stays until check_clear(). */
err_t check_crank(kernel_t *k, const kvat_t *vat, const log_t *log, size_t *ret_at)
{
    check_t c = {k, vat, log->row.d, stated_d(log)};
    k->next_object = vat->row.objects;
    k->next_promise = vat->row.promises;
    if (log->kind == ENTRY_UPGRADE) check_forgotten(&c);
    for (size_t i = 0; i < k->call_count; i++) {
        err_t err = check_call(&c, &k->calls[i]);
        if (!err) continue;
        *ret_at = i + 1;
        return err;
    }
    return ERR_OK;
}
