#include "cli/launch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bundle.h"
#include "cli/rows.h"
#include "wire/base/must.h"

struct loaded {
    bundle_t bundle;
};

err_t loads_make(const plan_t *plan, loads_t *ret, fail_t *f)
{
    *ret = (loads_t){calloc(plan->vat_count, sizeof *ret->at), 0,
                     calloc(plan->vat_count, sizeof *ret->of_vat)};
    must(ret->at && ret->of_vat);
    const cluster_vat_t **first = calloc(plan->vat_count, sizeof *first);
    must(first);

    err_t err = ERR_OK;
    for (size_t i = 0; i < plan->vat_count && !err; i++) {
        const cluster_vat_t *vat = &plan->vats[i];
        size_t at = 0;
        while (at < ret->count &&
               (first[at]->code != vat->code || strcmp(first[at]->spec, vat->spec) != 0)) {
            at++;
        }
        ret->of_vat[i] = at;
        if (at < ret->count) continue;
        err = bundle_load(plan, vat, &ret->at[at].bundle, f);
        if (err) break;
        first[at] = vat;
        ret->count++;
    }
    free(first);
    return err;
}

void loads_clear(loads_t *self)
{
    for (size_t i = 0; i < self->count; i++) bundle_clear(&self->at[i].bundle);
    free(self->at);
    free(self->of_vat);
    *self = (loads_t){0};
}

/* BUNDLE_PART names no request: it is the next answer that is one. */
static err_t is_there(link_t *link, const bundle_t *bundle, unsigned ms, bool *ret, fail_t *f)
{
    msg_bundle_have_t have = {request_id(), text_of(bundle->name)};
    const msg_t *msg;
    err_t err;

    link_send(link, TAG_bundle_have, &have);
    do err = link_next(link, ms, &msg, f);
    while (!err && msg->tag != TAG_bundle_part && msg->tag != TAG_failed);
    if (err) return err;
    if (msg->tag == TAG_failed) return link_failed(&msg->body.failed, f);
    *ret = msg->body.bundle_part.total > 0;
    return ERR_OK;
}

static err_t push(link_t *link, const bundle_t *bundle, unsigned ms, fail_t *f)
{
    bool there = false;
    const msg_t *msg;
    err_t err = is_there(link, bundle, ms, &there, f);

    if (err || there) return err;
    if (!bundle->data)
        return fail(f, ERR_BUNDLE_UNKNOWN, "no bundle %.19s... is stored", bundle->name);
    for (size_t at = 0; at < bundle->len && !err;) {
        size_t part =
            bundle->len - at < BUNDLE_PART_BYTES_MAX ? bundle->len - at : BUNDLE_PART_BYTES_MAX;
        msg_bundle_put_t put = {request_id(),
                                text_of(bundle->name),
                                at,
                                bundle->len,
                                {(const uint8_t *)bundle->data + at, part}};
        err = link_ask(link, TAG_bundle_put, &put, TAG_done, ms, &msg, f);
        at += part;
    }
    return err;
}

static err_t hosts_wait(link_t *link, const plan_t *plan, fail_t *f)
{
    uint64_t end = now_ms() + plan->hosts_wait_ms;

    for (;;) {
        rows_t rows;
        size_t connected = 0;
        err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, f);
        if (err) return err;
        for (const msg_t *row; (row = rows_next(&rows));) {
            const msg_host_row_t *host = &row->body.host_row;
            if (row->tag == TAG_host_row && host->state.len == 9) connected++;
        }
        rows_clear(&rows);
        if (connected >= plan->hosts_min) return ERR_OK;
        if (now_ms() >= end || signal_caught()) {
            fail(f, ERR_NO_HOST, "%zu of %llu vathosts are connected", connected,
                 (unsigned long long)plan->hosts_min);
            plan_place(plan, "/deploy/hosts/min", false, f);
            return ERR_NO_HOST;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static err_t vats_encode(const plan_t *plan, const loads_t *loads, buf_t *out, fail_t *f)
{
    for (size_t i = 0; i < plan->vat_count; i++) {
        const cluster_vat_t *vat = &plan->vats[i];
        const bundle_t *bundle = &loads->at[loads->of_vat[i]].bundle;
        msg_launch_vat_t row = {.name = text_of(vat->name),
                                .bundle = text_of(bundle->name),
                                .parameters = {vat->parameters.at, vat->parameters.len},
                                .dialect = bundle->ocap_kernel,
                                .computrons = vat->computrons,
                                .wall_ms = vat->wall_ms,
                                .heap_bytes = vat->heap_bytes,
                                .critical = vat->critical,
                                .window = vat->window,
                                .reap_deliveries = vat->reap_deliveries,
                                .reap_krefs = vat->reap_krefs,
                                .host = text_of(vat->host)};
        if (msg_encode(TAG_launch_vat, &row, out)) {
            fail(f, ERR_VALUE_TYPE, "the cluster is too large");
            fail_why(f, "all vats' parameters together are more than %d bytes", LAUNCH_BYTES_MAX);
            return ERR_VALUE_TYPE;
        }
    }
    return ERR_OK;
}

/* The broker names the vat; the file knows where it stands. */
static void place_failure(const plan_t *plan, fail_t *f)
{
    for (size_t i = 0; i < plan->vat_count && err_row(f->err)->exit == 3; i++) {
        char quoted[NAME_BYTES_MAX + 3], plain[NAME_BYTES_MAX + 8];
        snprintf(quoted, sizeof quoted, "\"%s\"", plan->vats[i].name);
        snprintf(plain, sizeof plain, "vat %s:", plan->vats[i].name);
        if (!strstr(f->what, quoted) && !strstr(f->what, plain)) continue;
        plan_place(plan, plan->vats[i].pointer, false, f);
        return;
    }
    if (err_row(f->err)->exit == 3) fail_at(f, plan->path, 0, 0, NULL);
}

err_t launch(link_t *link, const plan_t *plan, const loads_t *loads, const char *name, bool serial,
             unsigned ms, launched_t *ret, fail_t *f)
{
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    const msg_t *msg;
    err_t err = hosts_wait(link, plan, f);

    for (size_t i = 0; i < loads->count && !err; i++) err = push(link, &loads->at[i].bundle, ms, f);
    if (!err) err = vats_encode(plan, loads, &vats, f);
    if (!err) {
        msg_launch_t request = {.request = request_id(),
                                .name = text_of(name),
                                .bootstrap = plan->bootstrap,
                                .serial = serial || plan->serial,
                                .vats = {vats.at, vats.len}};
        err = link_ask(link, TAG_launch, &request, TAG_launched, ms, &msg, f);
        if (err) {
            /* A limit or a crash while a vat starts: the launch failed, whatever ended the vat. */
            if (err_row(f->err)->who == WHO_VAT) f->err = err = ERR_START_FAILED;
            place_failure(plan, f);
        } else {
            *ret = (launched_t){msg->body.launched.cluster, msg->body.launched.bootstrap,
                                msg->body.launched.root, msg->body.launched.result};
        }
    }
    buf_clear(&vats);
    return err;
}
