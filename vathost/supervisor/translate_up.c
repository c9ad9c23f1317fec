#include <string.h>

#include "vathost/supervisor/translate.h"
#include "wire/base/must.h"
#include "wire/base/planted.h"

/* A reference in a message: a new export is named now, an import must be one the vat was given. */
static err_t ref_up(translate_t *self, vref_t vref, kref_t *ret)
{
    vref_kind_t kind;
    const pair_t *pair = NULL;
    err_t err = ERR_OK;

    self->blamed = vref;
    if (!vref_parse(vref, &kind)) return ERR_NOT_HELD;
    pair = clist_by_vref(self->clist, vref);
    if (!kind.exported) {
        if (!pair || !(pair->flags & PAIR_REACHABLE)) return ERR_NOT_HELD;
    } else if (!pair) {
        err = clist_export(self->clist, vref, kind, &pair);
    } else {
        if (!PLANTED(sup_export_stays_dropped)) err = clist_reach(self->clist, pair, true);
    }
    if (!err) *ret = pair->kref;
    return err;
}

/* T2: a promise that was told and is mentioned again. */
static err_t slot_up(translate_t *self, vref_t vref, kref_t *ret)
{
    vref_kind_t kind;
    bool told = vref_parse(vref, &kind) && kind.promise && !clist_by_vref(self->clist, vref) &&
                clist_imported(self->clist, vref);
    if (!told) return ref_up(self, vref, ret);

    const pair_t *pair;
    err_t err = clist_export(self->clist, vref, kind, &pair);
    if (!err) *ret = pair->kref;
    return err;
}

static err_t slots_up(translate_t *self, const vcapdata_t *from, capdata_t *ret)
{
    kref_t *slots = scratch_take(self->scratch, from->slots.count * sizeof *slots);
    for (size_t i = 0; i < from->slots.count; i++) {
        err_t err = slot_up(self, from->slots.at[i], &slots[i]);
        if (err) return err;
    }
    *ret = (capdata_t){from->body, {slots, from->slots.count}};
    return ERR_OK;
}

static err_t resolutions_up(translate_t *self, const vresolutions_t *from, resolutions_t *ret)
{
    resolution_t *list = scratch_take(self->scratch, from->count * sizeof *list);
    for (size_t i = 0; i < from->count; i++) {
        const vresolution_t *one = &from->at[i];
        err_t err = ref_up(self, one->promise, &list[i].promise);
        if (!err && !kref_is_promise(list[i].promise)) err = ERR_REF_KIND;
        if (!err) err = slots_up(self, &one->data, &list[i].data);
        if (err) return err;
        list[i].rejected = one->rejected;
    }
    *ret = (resolutions_t){list, from->count};
    return ERR_OK;
}

/* The lists of garbage collection name what is there and make nothing. */
static err_t refs_up(translate_t *self, const vrefs_t *from, krefs_t *ret)
{
    kref_t *list = scratch_take(self->scratch, from->count * sizeof *list);
    for (size_t i = 0; i < from->count; i++) {
        self->blamed = from->at[i];
        const pair_t *pair = clist_by_vref(self->clist, from->at[i]);
        if (!pair) return ERR_NOT_HELD;
        if (!kref_is_object(pair->kref)) return ERR_REF_KIND;
        list[i] = pair->kref;
    }
    *ret = (krefs_t){list, from->count};
    return ERR_OK;
}

static err_t field_up(translate_t *self, const vcall_field_t *field, const void *from, void *to)
{
    switch (field->kind) {
    case VKIND_ref: {
        const vref_t *vref = from;
        if (!vref_none(*vref)) return ref_up(self, *vref, to);
        *(kref_t *)to = (kref_t){0};
        return ERR_OK;
    }
    case VKIND_refs: return refs_up(self, from, to);
    case VKIND_capdata: return slots_up(self, from, to);
    case VKIND_resolutions: return resolutions_up(self, from, to);
    case VKIND_bool: *(bool *)to = *(const bool *)from; return ERR_OK;
    }
    return ERR_INTERNAL;
}

static const pair_t *known(translate_t *self, kref_t kref, err_t *ret_err)
{
    const pair_t *pair = clist_by_kref(self->clist, kref);
    *ret_err = pair ? ERR_OK : ERR_TWICE; /* it was there: the same list took it away */
    return pair;
}

static err_t drop_imports(translate_t *self, const krefs_t *krefs)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < krefs->count && !err; i++) {
        const pair_t *pair = clist_by_kref(self->clist, krefs->at[i]);
        must(pair); /* its name was found, and a drop takes none away */
        self->blamed = pair->vref;
        if (pair->flags & PAIR_EXPORTED) return ERR_REF_KIND;
        if (!(pair->flags & PAIR_REACHABLE)) return ERR_TWICE;
        err = clist_reach(self->clist, pair, false);
    }
    return err;
}

/* EXPORTED: what the list must hold, exports or imports. */
static err_t forget(translate_t *self, const krefs_t *krefs, bool exported)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < krefs->count && !err; i++) {
        const pair_t *pair = known(self, krefs->at[i], &err);
        if (err) return err;
        self->blamed = pair->vref;
        if (!(pair->flags & PAIR_EXPORTED) == exported) return ERR_REF_KIND;
        if (pair->flags & PAIR_REACHABLE) return ERR_STILL_REACHABLE;
        err = clist_remove(self->clist, pair);
    }
    return err;
}

static err_t abandon(translate_t *self, const krefs_t *krefs)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < krefs->count && !err; i++) {
        const pair_t *pair = known(self, krefs->at[i], &err);
        if (err) return err;
        self->blamed = pair->vref;
        if (!(pair->flags & PAIR_EXPORTED)) return ERR_REF_KIND;
        err = clist_abandon(self->clist, pair);
    }
    return err;
}

static err_t settle(translate_t *self, const resolutions_t *resolutions)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < resolutions->count && !err; i++) {
        const pair_t *pair = known(self, resolutions->at[i].promise, &err);
        if (!err) err = clist_remove(self->clist, pair);
    }
    return err;
}

/* What a syscall changes in the c-list beyond naming its references. */
static err_t effect_up(translate_t *self, msg_tag_t tag, const msg_body_t *body)
{
    switch (tag) {
    case TAG_send:
        if (kref_none(body->send.target)) return ERR_NOT_HELD;
        if (kref_is_object(body->send.result)) return ERR_REF_KIND;
        return ERR_OK;
    case TAG_subscribe: return kref_is_promise(body->subscribe.promise) ? ERR_OK : ERR_REF_KIND;
    case TAG_resolve: return settle(self, &body->resolve.resolutions);
    case TAG_drop_imports: return drop_imports(self, &body->drop_imports.refs);
    case TAG_retire_imports: return forget(self, &body->retire_imports.refs, false);
    case TAG_retire_exports: return forget(self, &body->retire_exports.refs, true);
    case TAG_abandon_exports: return abandon(self, &body->abandon_exports.refs);
    default: return ERR_OK;
    }
}

err_t translate_up(translate_t *self, const vcall_t *call, msg_body_t *ret)
{
    const vcall_row_t *row = vcall_find(call->tag);
    must(row);

    self->blamed = (vref_t){{NULL, 0}};
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < row->field_count; i++) {
        const vcall_field_t *field = &row->fields[i];
        const void *from = (const char *)&call->body + field->at_v;
        void *to = (char *)ret + field->at_k;
        err_t err = field_up(self, field, from, to);
        if (err) return err;
    }
    return effect_up(self, call->tag, ret);
}
