/* Does what a checked crank asks for. Nothing here can fail. Sends, notifies and messages that
 * waited are collected in k->work and routed when all syscalls are done: routing each at once would
 * let a message overtake a notify (SwingSet 10.1). */
#include <stdlib.h>

#include "broker/kernel/crank/own.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

typedef struct {
    kernel_t *k;
    kvat_t *vat;
    uint64_t d, stated_d; /* as in check.c */
    cause_t cause;        /* of what the present syscall sets off */
} apply_t;

/* The vat names KREF: makes it, when this is a new export. */
static held_t *use(const apply_t *a, kref_t kref)
{
    held_t *held = held_find(a->vat, kref);
    if (held) {
        if (held->row.flags & HELD_EXPORTED) held_reach(a->k, held, true);
        return held;
    }
    row_vat_t *row = &a->vat->row;
    if (PLANTED(names_not_checked) && kref_known(a->k, kref))
        return held_new(a->k, a->vat, kref, HELD_REACHABLE, a->d);
    if (kref_is_promise(kref)) {
        must(kref_serial(kref) == row->promises + 1);
        row->promises++;
        promise_decide(a->k, promise_new(a->k, kref), a->vat, a->d);
    } else {
        must(kref_serial(kref) == row->objects + 1);
        row->objects++;
        object_new(a->k, kref, a->vat->id);
    }
    touch(a->k, &a->vat->head);
    return held_new(a->k, a->vat, kref, HELD_REACHABLE | HELD_EXPORTED, a->d);
}

static void use_data(const apply_t *a, const capdata_t *data)
{
    for (size_t i = 0; i < data->slots.count; i++) use(a, data->slots.at[i]);
}

static void apply_send(const apply_t *a, const msg_send_t *call)
{
    use(a, call->target);
    use_data(a, &call->methargs);
    if (!kref_none(call->result)) {
        use(a, call->result);
        promise_decide(a->k, promise_find(a->k, call->result), NULL, 0);
    }
    AUTO(value) value = value_of(&call->methargs);
    entry_t *entry = entry_new(a->k, ENTRY_MESSAGE, call->target, call->result, value, a->cause);
    event_send(a->k, a->vat, a->d, entry);
    queue_push(&a->k->work, entry);
}

static void apply_subscribe(const apply_t *a, const msg_subscribe_t *call)
{
    held_t *held = use(a, call->promise);
    promise_t *promise = promise_find(a->k, call->promise);
    if (promise->row.state != PROMISE_UNRESOLVED) {
        /* A notify in flight, that the vat had not run yet, answers it. */
        if (held->row.told_d <= a->d && !PLANTED(late_subscribe_ignored))
            notify_push(a->k, a->vat->id, promise, a->cause);
        return;
    }
    held->row.flags |= HELD_SUBSCRIBED;
    if (!PLANTED(subscription_not_stored)) touch(a->k, &held->head);
}

static void apply_resolve(const apply_t *a, const msg_resolve_t *call)
{
    for (size_t i = 0; i < call->resolutions.count; i++) {
        const resolution_t *resolution = &call->resolutions.at[i];
        use(a, resolution->promise);
        use_data(a, &resolution->data);
    }
    for (size_t i = 0; i < call->resolutions.count; i++) {
        const resolution_t *resolution = &call->resolutions.at[i];
        AUTO(value) value = value_of(&resolution->data);
        promise_settle(a->k, promise_find(a->k, resolution->promise), resolution->rejected, value,
                       a->cause);
    }
    for (size_t i = 0; i < call->resolutions.count; i++) {
        held_t *held = held_find(a->vat, call->resolutions.at[i].promise);
        held_forget(a->k, held, a->d, PLANTED(resolve_of_mentioned));
    }
}

/* Does the statement of crank d say anything about this row? */
static held_t *stated(const apply_t *a, kref_t kref)
{
    held_t *held = held_find(a->vat, kref);
    must(held);
    return held->row.intro_d > a->stated_d && !PLANTED(drop_of_mentioned) ? NULL : held;
}

static void apply_drop_imports(const apply_t *a, const krefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        held_t *held = stated(a, refs->at[i]);
        if (held)
            held_reach(a->k, held, false);
        else
            held_again(a->k, held_find(a->vat, refs->at[i]), a->d, false);
    }
}

static void orphan(const apply_t *a, kref_t kref)
{
    object_t *object = object_find(a->k, kref);
    object->row.owner = 0;
    touch(a->k, &object->named.head);
}

static void apply_retire(const apply_t *a, const krefs_t *refs, bool exported)
{
    for (size_t i = 0; i < refs->count; i++) {
        held_t *held = stated(a, refs->at[i]);
        if (!held && !exported) held_again(a->k, held_find(a->vat, refs->at[i]), a->d, true);
        if (!held) continue;
        if (exported) orphan(a, refs->at[i]);
        held_drop(a->k, held);
    }
}

static void apply_abandon_exports(const apply_t *a, const krefs_t *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        held_t *held = held_find(a->vat, refs->at[i]);
        orphan(a, refs->at[i]);
        if (held->row.intro_d > a->stated_d)
            held_import(a->k, held);
        else
            held_drop(a->k, held);
    }
}

static void apply_call(const apply_t *a, const msg_t *call)
{
    switch (call->tag) {
    case TAG_send: apply_send(a, &call->body.send); return;
    case TAG_subscribe: apply_subscribe(a, &call->body.subscribe); return;
    case TAG_resolve: apply_resolve(a, &call->body.resolve); return;
    case TAG_exit: use_data(a, &call->body.exit.info); return;
    case TAG_drop_imports: apply_drop_imports(a, &call->body.drop_imports.refs); return;
    case TAG_retire_imports: apply_retire(a, &call->body.retire_imports.refs, false); return;
    case TAG_retire_exports: apply_retire(a, &call->body.retire_exports.refs, true); return;
    case TAG_abandon_exports: apply_abandon_exports(a, &call->body.abandon_exports.refs); return;
    default: must(false && "a syscall that was checked");
    }
}

/* Applies k->calls, which check_crank() found legal, as the crank of VAT's row LOG. Returns the last exit
 * among them, NULL when there is none. */
const msg_exit_t *apply_calls(kernel_t *k, kvat_t *vat, const log_t *log)
{
    uint64_t d = log->row.d;
    apply_t a = {k, vat, d, stated_d(log), {{vat->id, d, 0}, log->trace}};
    const msg_exit_t *exit = NULL;
    for (size_t i = 0; i < k->call_count; i++) {
        a.cause.msg.n = (uint32_t)(i + 1);
        k->tally.syscalls[k->calls[i].tag - TAG_send]++;
        apply_call(&a, &k->calls[i]);
        if (k->calls[i].tag == TAG_exit) exit = &k->calls[i].body.exit;
    }
    return exit;
}

/* EXIT is all that counts of a crank that failed. What its information names is new perhaps, and stands
 * behind names of other syscalls that were never made. */
void apply_failed_exit(kernel_t *k, kvat_t *vat, const msg_exit_t *exit, const log_t *log)
{
    apply_t a = {k, vat, log->row.d, stated_d(log), {{vat->id, log->row.d, 0}, log->trace}};
    for (size_t i = 0; i < exit->info.slots.count; i++) {
        kref_t kref = exit->info.slots.at[i];
        uint64_t *last = kref_is_promise(kref) ? &vat->row.promises : &vat->row.objects;
        uint64_t before = *last;
        bool fresh = !held_find(vat, kref) && kref_issuer(kref).n == vat->id.n;
        if (fresh) *last = kref_serial(kref) - 1;
        use(&a, kref);
        if (*last < before) *last = before;
    }
}
