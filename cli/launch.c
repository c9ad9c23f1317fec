#include "cli/launch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/look.h"
#include "cli/rows.h"
#include "wire/base/must.h"

struct loaded {
    bundle_t bundle;
};

/* Loads CODE unless one that was loaded before has the same; FIRST has the code of each. */
static err_t load_add(const plan_t *plan, const char *who, const code_t *code, loads_t *self,
                      const code_t **first, size_t *ret, fail_t *f)
{
    size_t at = 0;

    while (at < self->count &&
           (first[at]->kind != code->kind || strcmp(first[at]->spec, code->spec) != 0)) {
        at++;
    }
    *ret = at;
    if (at < self->count) return ERR_OK;
    err_t err = bundle_load(plan, who, code, &self->at[at].bundle, f);
    if (err) return err;
    first[at] = code;
    self->count++;
    return ERR_OK;
}

err_t loads_make(const plan_t *plan, loads_t *ret, fail_t *f)
{
    size_t most = plan->vat_count + plan->bundle_count;
    const code_t **first = calloc(most + 1, sizeof *first);
    char who[NAME_BYTES_MAX + 16];
    err_t err = ERR_OK;

    *ret = (loads_t){calloc(most + 1, sizeof *ret->at), 0,
                     calloc(plan->vat_count + 1, sizeof *ret->of_vat),
                     calloc(plan->bundle_count + 1, sizeof *ret->of_bundle)};
    must(first && ret->at && ret->of_vat && ret->of_bundle);
    for (size_t i = 0; i < plan->vat_count && !err; i++) {
        snprintf(who, sizeof who, "vat \"%s\"", plan->vats[i].name);
        err = load_add(plan, who, &plan->vats[i].code, ret, first, &ret->of_vat[i], f);
    }
    for (size_t i = 0; i < plan->bundle_count && !err; i++) {
        snprintf(who, sizeof who, "bundle \"%s\"", plan->bundles[i].name);
        err = load_add(plan, who, &plan->bundles[i].code, ret, first, &ret->of_bundle[i], f);
    }
    free(first);
    return err;
}

void loads_clear(loads_t *self)
{
    for (size_t i = 0; i < self->count; i++) bundle_clear(&self->at[i].bundle);
    free(self->at);
    free(self->of_vat);
    free(self->of_bundle);
    *self = (loads_t){0};
}

/* BUNDLE_PART names no request: it is the next answer that is one. */
err_t bundle_is_there(link_t *link, const bundle_t *bundle, unsigned ms, bool *ret, fail_t *f)
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

err_t bundle_push(link_t *link, const bundle_t *bundle, unsigned ms, fail_t *f)
{
    bool there = false;
    const msg_t *msg;
    err_t err = bundle_is_there(link, bundle, ms, &there, f);

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
            if (row->tag == TAG_host_row && text_is(host->state, "connected")) connected++;
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
                                .host = text_of(vat->host),
                                .globals = text_of(vat->globals),
                                .hosts = text_of(vat->hosts),
                                .every_rows = vat->every_rows,
                                .every_bytes = vat->every_bytes,
                                .idle_ms = vat->idle_ms,
                                .sleep_ms = vat->sleep_ms,
                                .mirror = vat->mirror,
                                .poison = vat->poison};
        if (msg_encode(TAG_launch_vat, &row, out)) {
            fail(f, ERR_VALUE_TYPE, "the cluster is too large");
            fail_why(f, "all vats' parameters together are more than %d bytes", LAUNCH_BYTES_MAX);
            return ERR_VALUE_TYPE;
        }
    }
    return ERR_OK;
}

static err_t too_many(const plan_t *plan, const char *pointer, fail_t *f)
{
    fail(f, ERR_VALUE_TYPE, "the cluster is too large");
    fail_why(f, "all of these together are more than %d bytes", LAUNCH_NAMES_BYTES_MAX);
    plan_place(plan, pointer, true, f);
    return ERR_VALUE_TYPE;
}

static err_t bundles_encode(const plan_t *plan, const loads_t *loads, buf_t *out, fail_t *f)
{
    for (size_t i = 0; i < plan->bundle_count; i++) {
        msg_launch_bundle_t row = {.name = text_of(plan->bundles[i].name),
                                   .bundle = text_of(loads->at[loads->of_bundle[i]].bundle.name)};
        if (msg_encode(TAG_launch_bundle, &row, out)) return too_many(plan, "/bundles", f);
    }
    return ERR_OK;
}

static err_t channels_encode(const plan_t *plan, buf_t *out, fail_t *f)
{
    for (size_t i = 0; i < plan->channel_count; i++) {
        const cluster_channel_t *channel = &plan->channels[i];
        msg_launch_channel_t row = {.name = text_of(channel->name),
                                    .type = text_of(channel->type),
                                    .place = text_of(channel->place),
                                    .direction = channel->direction,
                                    .unit = channel->unit};
        if (msg_encode(TAG_launch_channel, &row, out)) return too_many(plan, "/io", f);
    }
    return ERR_OK;
}

/* The service that the broker does not have stands in the file. */
static bool place_service(const plan_t *plan, fail_t *f)
{
    const json_t *services = json_object_get(plan->root, "services");
    char quoted[NAME_BYTES_MAX + 3], pointer[40];

    for (size_t i = 0; f->err == ERR_SERVICE_UNKNOWN && i < json_array_size(services); i++) {
        snprintf(quoted, sizeof quoted, "'%.200s'", json_string_value(json_array_get(services, i)));
        if (!strstr(f->why, quoted) && !strstr(f->what, quoted)) continue;
        snprintf(pointer, sizeof pointer, "/services/%zu", i);
        plan_place(plan, pointer, false, f);
        return true;
    }
    return false;
}

/* The broker names the vat; the file knows where it stands. */
static void place_failure(const plan_t *plan, fail_t *f)
{
    if (err_row(f->err)->exit != 3 || place_service(plan, f)) return;
    for (size_t i = 0; i < plan->vat_count; i++) {
        char quoted[NAME_BYTES_MAX + 3], plain[NAME_BYTES_MAX + 8];
        snprintf(quoted, sizeof quoted, "\"%s\"", plan->vats[i].name);
        snprintf(plain, sizeof plain, "vat %s:", plan->vats[i].name);
        if (!strstr(f->what, quoted) && !strstr(f->what, plain)) continue;
        plan_place(plan, plan->vats[i].code.pointer, false, f);
        return;
    }
    fail_at(f, plan->path, 0, 0, NULL);
}

/* A program written for SwingSet counts on these two without asking. */
static const char *services_of(const plan_t *plan, const loads_t *loads)
{
    bool ocap_kernel = loads->at[loads->of_vat[plan->bootstrap]].bundle.ocap_kernel;

    return plan->services_given || ocap_kernel ? plan->services : "vatAdmin timer";
}

err_t launch(link_t *link, const plan_t *plan, const loads_t *loads, launch_how_t how,
             launched_t *ret, fail_t *f)
{
    buf_t vats = buf_of(LAUNCH_BYTES_MAX), bundles = buf_of(LAUNCH_NAMES_BYTES_MAX);
    buf_t channels = buf_of(LAUNCH_NAMES_BYTES_MAX);
    const msg_t *msg;
    err_t err = hosts_wait(link, plan, f);

    for (size_t i = 0; i < loads->count && !err; i++)
        err = bundle_push(link, &loads->at[i].bundle, how.ms, f);
    if (!err) err = vats_encode(plan, loads, &vats, f);
    if (!err) err = bundles_encode(plan, loads, &bundles, f);
    if (!err) err = channels_encode(plan, &channels, f);
    if (!err) {
        msg_launch_t request = {.request = request_id(),
                                .name = text_of(how.name),
                                .bootstrap = plan->bootstrap,
                                .serial = how.serial || plan->serial,
                                .vats = {vats.at, vats.len},
                                .services = text_of(services_of(plan, loads)),
                                .system = how.system,
                                .bundles = {bundles.at, bundles.len},
                                .channels = {channels.at, channels.len}};
        err = link_ask(link, TAG_launch, &request, TAG_launched, how.ms, &msg, f);
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
    buf_clear(&bundles);
    buf_clear(&channels);
    return err;
}
