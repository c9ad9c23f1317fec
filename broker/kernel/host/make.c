/* CHECKPOINT_MAKE: checkpoints that a client waits for. They are in memory only: a client that hears nothing
 * asks again. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/host/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/hash.h"

typedef struct make make_t;
struct make {
    make_t *next;
    uint32_t client;
    id128_t request;
    uint64_t d; /* at least this delivery is to be in it */
    bool ship;
};

static bool made(const kvat_t *vat, const make_t *make)
{
    if (!make->ship) return vat->row.checkpoint >= make->d;
    return vat->mirror && vat->mirror->row.d >= make->d;
}

static make_t *first(kvat_t *vat)
{
    make_t *make = vat->makes;
    vat->makes = make->next;
    return make;
}

void makes_free(kvat_t *vat)
{
    while (vat->makes) free(first(vat));
}

/* Does anybody wait for a copy? */
bool makes_ship(const kvat_t *vat)
{
    const make_t *make = vat->makes;
    while (make && !make->ship) make = make->next;
    return make != NULL;
}

/* What was waited for may be here. */
void makes_look(kernel_t *k, kvat_t *vat)
{
    for (make_t **at = &vat->makes; *at;) {
        make_t *make = *at;
        if (!made(vat, make)) {
            at = &make->next;
            continue;
        }
        *at = make->next;
        reply_done(k, make->client, make->request);
        free(make);
    }
}

static void fail(kernel_t *k, uint32_t client, id128_t request, vat_t vat, err_t err,
                 const char *why)
{
    char what[128];
    snprintf(what, sizeof what, "v%u: %.90s", vat.n, err_text(err));
    reply_failed(k, client, request, true, err, what, why);
}

/* It will not come. SHIPPED: those alone that wait for a copy. */
void makes_fail(kernel_t *k, kvat_t *vat, bool shipped, err_t err, const char *why)
{
    for (make_t **at = &vat->makes; *at;) {
        make_t *make = *at;
        if (shipped && !make->ship) {
            at = &make->next;
            continue;
        }
        *at = make->next;
        fail(k, make->client, make->request, vat->id, err, why);
        free(make);
    }
    checkpoint_look(k, vat);
}

/* The CHECKPOINT_MAKE of that id waits: the answer goes to whoever asked last. */
static bool waits(kvat_t *vat, uint32_t client, id128_t request)
{
    make_t *make = vat->makes;
    while (make && !id_same(make->request, request)) make = make->next;
    if (make) make->client = client;
    return make != NULL;
}

void on_checkpoint_make(kernel_t *k, uint32_t client, const msg_checkpoint_make_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    kvat_t *vat = vat_asked(k, client, msg->request, msg->vat);
    if (!vat || waits(vat, client, msg->request)) return;
    const khost_t *host = host_find(k, vat->row.host);
    if (vat->row.state == VAT_QUARANTINED) {
        fail(k, client, msg->request, vat->id, (err_t)vat->row.error, "it is in quarantine");
        return;
    }
    if (vat->row.state == VAT_STARTING) {
        fail(k, client, msg->request, vat->id, ERR_VAT_BUSY, "it is starting");
        return;
    }
    make_t *make = take(sizeof *make);
    *make = (make_t){NULL, client, msg->request, vat->row.applied, msg->ship != 0};
    make_t **at = &vat->makes;
    while (*at) at = &(*at)->next;
    *at = make;
    makes_look(k, vat);
    if (!vat->makes) return;
    if (!host || !host->connected) {
        makes_fail(k, vat, false, ERR_NO_HOST, "its host is away");
        return;
    }
    ship_ask(k, vat);
}
