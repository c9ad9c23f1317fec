#include <string.h>

#include "vathost/supervisor/translate.h"
#include "wire/base/planted.h"

/* A reference in a delivery. A promise of the vat's own that it has no name for was settled,
 * forgotten, and somebody still mentions it: it is an import like any other, with a number the vat
 * has never seen. The same goes for an object that the vat gave up. Any other object of its own
 * without a name cannot be: the vat forgets only what the broker was told of. */
static err_t ref_down(translate_t *self, kref_t kref, vref_t *ret)
{
    const pair_t *pair = clist_by_kref(self->clist, kref);
    err_t err = ERR_OK;

    if (kref_none(kref)) return ERR_NOT_HELD;
    if (!pair) {
        bool own = kref_issuer(kref).n == clist_vat(self->clist).n;
        if (own && PLANTED(sup_home_refused)) return ERR_NOT_HELD;
        if (own && kref_is_object(kref) && !clist_abandons(self->clist)) return ERR_NOT_HELD;
        err = clist_import(self->clist, kref, &pair);
    } else if (!(pair->flags & PAIR_REACHABLE)) {
        if (pair->flags & PAIR_EXPORTED) return ERR_NOT_HELD;
        err = clist_reach(self->clist, pair, true);
    }
    if (!err) *ret = pair->vref;
    return err;
}

static err_t capdata_down(translate_t *self, const capdata_t *from, vcapdata_t *ret)
{
    vref_t *slots = scratch_take(self->scratch, from->slots.count * sizeof *slots);
    for (size_t i = 0; i < from->slots.count; i++) {
        err_t err = ref_down(self, from->slots.at[i], &slots[i]);
        if (err) return err;
    }
    *ret = (vcapdata_t){from->body, {slots, from->slots.count}};
    return ERR_OK;
}

static err_t message_down(translate_t *self, const msg_deliver_message_t *from, vdelivery_t *ret)
{
    const pair_t *target = clist_by_kref(self->clist, from->target);
    if (!kref_is_object(from->target)) return ERR_NOT_HELD;
    if (!target || !(target->flags & PAIR_EXPORTED)) {
        /* On its way here when the vat gave its target up. */
        self->lost =
            kref_issuer(from->target).n == clist_vat(self->clist).n && clist_abandons(self->clist);
        if (!self->lost) return ERR_NOT_HELD;
    }
    err_t err = ref_down(self, from->target, &ret->target);
    if (!err) err = capdata_down(self, &from->methargs, &ret->data);
    if (err || kref_none(from->result)) return err;
    if (!kref_is_promise(from->result)) return ERR_NOT_HELD;
    return ref_down(self, from->result, &ret->result);
}

/* All pairs of a notify go before the engine runs: the vat learns now what there was to wait for,
 * and whoever mentions one of these promises again mentions a new one. */
static err_t notify_down(translate_t *self, const resolutions_t *from, vdelivery_t *ret)
{
    vresolution_t *list = scratch_take(self->scratch, from->count * sizeof *list);
    err_t err = ERR_OK;

    for (size_t i = 0; i < from->count && !err; i++) {
        const resolution_t *one = &from->at[i];
        if (!kref_is_promise(one->promise)) return ERR_NOT_HELD;
        err = ref_down(self, one->promise, &list[i].promise);
        if (!err) err = capdata_down(self, &one->data, &list[i].data);
        list[i].rejected = one->rejected;
    }
    for (size_t i = 0; i < from->count && !err; i++) {
        const pair_t *pair = clist_by_kref(self->clist, from->at[i].promise);
        if (PLANTED(sup_batch_keeps_names) && i > 0) break;
        err = pair ? clist_remove(self->clist, pair) : ERR_NOT_HELD;
    }
    ret->resolutions = (vresolutions_t){list, from->count};
    return err;
}

static err_t gc_down(translate_t *self, msg_tag_t tag, const krefs_t *from, vdelivery_t *ret)
{
    vref_t *list = scratch_take(self->scratch, from->count * sizeof *list);
    bool exports = tag != TAG_deliver_retire_imports;
    err_t err = ERR_OK;

    for (size_t i = 0; i < from->count && !err; i++) {
        const pair_t *pair = clist_by_kref(self->clist, from->at[i]);
        if (!pair || !kref_is_object(from->at[i])) return ERR_NOT_HELD;
        if (!(pair->flags & PAIR_EXPORTED) == exports) return ERR_NOT_HELD;
        list[i] = pair->vref;
        if (PLANTED(sup_drop_keeps_flag) && tag == TAG_deliver_drop_exports) continue;
        err = tag == TAG_deliver_drop_exports ? clist_reach(self->clist, pair, false)
                                              : clist_remove(self->clist, pair);
    }
    ret->refs = (vrefs_t){list, from->count};
    return err;
}

err_t translate_forget(translate_t *self, const krefs_t *krefs)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < krefs->count && !err; i++) {
        const pair_t *pair = clist_by_kref(self->clist, krefs->at[i]);
        if (!pair || !kref_is_promise(pair->kref)) return ERR_NOT_HELD;
        err = clist_remove(self->clist, pair);
    }
    return err;
}

err_t translate_down(translate_t *self, const msg_t *msg, vdelivery_t *ret)
{
    const msg_body_t *body = &msg->body;

    /* Every delivery begins with stamp and seed, so one name reads those of all. */
    *ret = (vdelivery_t){.tag = msg->tag};
    ret->stamp_ms = body->deliver_reap.stamp_ms;
    ret->seed = body->deliver_reap.seed;

    switch (msg->tag) {
    case TAG_deliver_start: return capdata_down(self, &body->deliver_start.parameters, &ret->data);
    case TAG_deliver_upgrade:
        ret->tag = TAG_deliver_start;
        return capdata_down(self, &body->deliver_upgrade.parameters, &ret->data);
    case TAG_deliver_message: return message_down(self, &body->deliver_message, ret);
    case TAG_deliver_notify: return notify_down(self, &body->deliver_notify.resolutions, ret);
    case TAG_deliver_drop_exports:
        return gc_down(self, msg->tag, &body->deliver_drop_exports.krefs, ret);
    case TAG_deliver_retire_exports:
        return gc_down(self, msg->tag, &body->deliver_retire_exports.krefs, ret);
    case TAG_deliver_retire_imports:
        return gc_down(self, msg->tag, &body->deliver_retire_imports.krefs, ret);
    case TAG_deliver_reap: return ERR_OK;
    default: return ERR_WIRE_UNKNOWN;
    }
}
