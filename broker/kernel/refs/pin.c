/* What clients do to objects: PIN holds them, REVOKE ends all calls of them. */
#include <stdio.h>

#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* Pins that the kernel itself has on OBJECT, and no client takes: the root of a vat that its cluster's
 * file made is pinned while the vat lives, an IO channel while its cluster does. */
uint64_t object_own_pins(const kernel_t *k, const object_t *object)
{
    kref_t kref = {object->row.kref};
    const service_t *service = kref_issuer(kref).n ? NULL : service_find(k, kref);
    if (service)
        return service->row.kind == SERVICE_channel && cluster_find(k, service->row.cluster);
    const kvat_t *vat = kref_serial(kref) ? NULL : vat_find(k, kref_issuer(kref).n);
    return vat && vat_alive(vat) && !vat->row.dynamic;
}

/* One pin more. */
void object_pin(kernel_t *k, object_t *object)
{
    object->row.pins++;
    ref_up(k, kref_of(object->row.kref));
}

void object_unpin(kernel_t *k, object_t *object)
{
    must(object->row.pins > 0);
    object->row.pins--;
    ref_down(k, kref_of(object->row.kref));
}

static void refuse(kernel_t *k, uint32_t client, id128_t request, kref_t kref, err_t err)
{
    char what[256], text[KREF_TEXT_MAX];
    snprintf(what, sizeof what, "%s: %s", kref_text(kref, text), err_text(err));
    reply_failed(k, client, request, true, err, what, "");
}

/* Only what a client might as well send: a pin must not hold what its owner was told to drop. */
static err_t check_pin(const kernel_t *k, const msg_pin_t *msg)
{
    const object_t *object = object_find(k, msg->kref);
    if (!object) return ERR_REF_UNKNOWN;
    uint64_t own = PLANTED(own_pin_taken) ? 0 : object_own_pins(k, object);
    if (msg->unpin) return object->row.pins > own ? ERR_OK : ERR_NOT_PINNED;
    return kref_sendable(k, msg->kref) ? ERR_OK : ERR_REF_UNKNOWN;
}

void on_pin(kernel_t *k, uint32_t client, const msg_pin_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    err_t err = check_pin(k, msg);
    if (err) {
        refuse(k, client, msg->request, msg->kref, err);
        return;
    }
    object_t *object = object_find(k, msg->kref);
    if (msg->unpin)
        object_unpin(k, object);
    else
        object_pin(k, object);
    reply_done(k, client, msg->request);
}

/* What is queued for it is looked at when it is its turn. */
void on_revoke(kernel_t *k, uint32_t client, const msg_revoke_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    object_t *object = object_find(k, msg->kref);
    if (!object) {
        bool promise = kref_is_promise(msg->kref);
        refuse(k, client, msg->request, msg->kref, promise ? ERR_REVOKE_PROMISE : ERR_REF_UNKNOWN);
        return;
    }
    object->row.revoked = 1;
    if (!PLANTED(revoke_not_stored)) touch(k, &object->named.head);
    reply_done(k, client, msg->request);
}
