/* One client: it launches, calls, awaits what it called, and after an accident asks again with the same
 * request ids. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

id128_t client_request(sim_t *self)
{
    id128_t id = {{0}};
    uint64_t n = ++self->requests;
    memcpy(id.b, &n, sizeof n);
    return id;
}

/* The request stays until it is answered. All requests begin with their id. */
request_t *client_ask(sim_t *self, msg_tag_t tag, const void *body, request_kind_t kind)
{
    request_t *request = NULL;
    for (unsigned i = 0; i < self->asked_count && !request; i++)
        if (!self->asked[i].ask) request = &self->asked[i];
    if (!request) {
        if (self->asked_count == REQUESTS_MAX)
            sim_fail(self, "client", "%u requests are not answered", REQUESTS_MAX);
        request = &self->asked[self->asked_count++];
    }
    *request = (request_t){.kind = kind, .ask = sim_encode(self, tag, body)};
    memcpy(&request->id, body, sizeof request->id);
    if (self->client) net_push(self, WAY_ASK, 0, 0, blob_ref(request->ask));
    return request;
}

unsigned client_open_requests(const sim_t *self)
{
    unsigned count = 0;
    for (unsigned i = 0; i < self->asked_count; i++) count += self->asked[i].ask != NULL;
    return count;
}

void client_open(sim_t *self)
{
    if (self->client) return;
    if (self->client_number) broker_step(self, INPUT_CLIENT_GONE, self->client_number, 0, NULL);
    self->client = 1;
    self->client_number++;
    for (unsigned i = 0; i < self->asked_count; i++)
        if (self->asked[i].ask) net_push(self, WAY_ASK, 0, 0, blob_ref(self->asked[i].ask));
}

void client_know(sim_t *self, kref_t kref)
{
    for (unsigned i = 0; i < self->kref_count; i++)
        if (kref_same(self->krefs[i], kref)) return;
    if (self->kref_count == KREFS_MAX) /* it forgets, but not the first ones, which are roots */
        memmove(&self->krefs[KREFS_MAX / 2], &self->krefs[KREFS_MAX / 2 + 1],
                (--self->kref_count - KREFS_MAX / 2) * sizeof(kref_t));
    self->krefs[self->kref_count++] = kref;
}

/* ---- what it asks ---- */

void client_launch(sim_t *self, unsigned cluster)
{
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    char names[LAUNCHED_MAX][16], hosts[LAUNCHED_MAX][16], name[16];
    if (self->launch_asked[cluster]) return;
    self->launch_asked[cluster] = true;
    for (unsigned v = 0; v < self->config.vats; v++) {
        const vat_config_t *config = &self->config.vat[v];
        if (config->cluster != cluster) continue;
        snprintf(names[v], sizeof names[v], "v%u", v + 1);
        snprintf(hosts[v], sizeof hosts[v], "h%u", config->host + 1);
        msg_launch_vat_t vat = {.name = text_of(names[v]),
                                .bundle = text_of("b1-model"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .window = config->window,
                                .critical = config->critical,
                                .every_rows = config->every,
                                .mirror = config->mirror,
                                .poison = config->poison,
                                .reap_deliveries = config->reap_deliveries,
                                .reap_krefs = config->reap_krefs,
                                .dialect = self->config.dialect[cluster],
                                .globals = text_of(config->outside ? "fetch setTimeout" : ""),
                                .hosts = text_of(config->outside ? "localhost" : ""),
                                .host = text_of(hosts[v])};
        must(msg_encode(TAG_launch_vat, &vat, &vats) == ERR_OK);
    }
    buf_t bundles = buf_of(LAUNCH_NAMES_BYTES_MAX);
    msg_launch_bundle_t bundle = {text_of("w"), text_of("b1-good")};
    must(msg_encode(TAG_launch_bundle, &bundle, &bundles) == ERR_OK);
    buf_t channels = buf_of(LAUNCH_NAMES_BYTES_MAX);
    msg_launch_channel_t channel = {
        .name = text_of("io"), .type = text_of("console"), .direction = 3, .unit = 0};
    if (self->config.channel[cluster])
        must(msg_encode(TAG_launch_channel, &channel, &channels) == ERR_OK);
    snprintf(name, sizeof name, "s%u", cluster + 1);
    msg_launch_t launch = {.request = client_request(self),
                           .name = text_of(name),
                           .serial = self->config.serial[cluster],
                           .vats = {vats.at, vats.len},
                           .bundles = {bundles.at, bundles.len},
                           .channels = {channels.at, channels.len},
                           .services =
                               text_of(sim_on(self, FAULT_service) ? "timer vatAdmin" : "")};
    client_ask(self, TAG_launch, &launch, REQUEST_LAUNCH)->cluster = cluster;
    buf_clear(&vats);
    buf_clear(&bundles);
    buf_clear(&channels);
}

static kref_t some_root(sim_t *self, chance_t *chance)
{
    unsigned vat = 1 + roll(chance, self->top ? self->top : 1);
    const row_vat_t *row = vat_row(self, vat);
    bool running = row && rows_find(&self->rows, ROW_cluster, row->cluster, 0);
    return running || once_in(chance, 8) ? kref_root((vat_t){vat}) : (kref_t){0};
}

static void await(sim_t *self, kref_t promise)
{
    msg_await_t msg = {client_request(self), promise};
    client_ask(self, TAG_await, &msg, REQUEST_AWAIT);
}

/* Anything that exists: what a client names is not secret, the broker must know what it may name. Often
 * something that nobody owns, where there is one. */
kref_t client_any_object(const sim_t *self, chance_t *chance)
{
    const rows_table_t *table = &self->rows.tables[ROW_object];
    if (!table->count) return (kref_t){0};
    size_t at = roll(chance, table->count);
    bool orphan = once_in(chance, 2);
    for (size_t i = 0; orphan && i < table->count; i++) {
        const row_object_t *object = &table->at[(at + i) % table->count]->body.object;
        if (!object->owner) return (kref_t){object->kref};
    }
    return (kref_t){table->at[at]->body.object.kref};
}

/* Something it knows; half of the time something that it heard of lately. */
static kref_t some_kref(const sim_t *self, chance_t *chance)
{
    kref_t any = once_in(chance, 3) ? client_any_object(self, chance) : (kref_t){0};
    if (!kref_none(any)) return any;
    unsigned lately = self->kref_count < 12 || once_in(chance, 2) ? self->kref_count : 12;
    return self->krefs[self->kref_count - lately + roll(chance, lately)];
}

/* A kick for a vat, with anything the client knows. */
bool client_call(sim_t *self, chance_t *chance)
{
    char body[128];
    kref_t slots[3], target = some_root(self, chance);
    if (!self->launch_asked[1] && self->config.clusters == 2 && once_in(chance, 3)) {
        client_launch(self, 1);
        return true;
    }
    if (kref_none(target) || self->called == CALLS_MAX) return false;
    if (once_in(chance, 8)) {
        msg_release_t release = {client_request(self), {roll(chance, 4)}};
        client_ask(self, TAG_release, &release, REQUEST_OTHER);
        return true;
    }
    if (self->kref_count && once_in(chance, 10)) {
        kref_t any = self->krefs[roll(chance, self->kref_count)];
        if (kref_is_promise(any)) await(self, any);
        return true;
    }
    self->called++;
    if (self->kref_count && once_in(chance, 5))
        target = self->krefs[roll(chance, self->kref_count)];
    size_t count = 0, len = (size_t)snprintf(body, sizeof body, "#[\"kick\",[%u", self->called);
    for (unsigned n = roll(chance, 4); n > 0 && self->kref_count; n--) {
        slots[count] = some_kref(self, chance);
        len += (size_t)snprintf(body + len, sizeof body - len, ",\"%c%zu\"",
                                kref_is_promise(slots[count]) ? '&' : '$', count);
        count++;
    }
    len += (size_t)snprintf(body + len, sizeof body - len, "]]");
    msg_call_t call = {.request = client_request(self),
                       .target = target,
                       .methargs = {{(const uint8_t *)body, len}, {slots, count}},
                       .no_result = once_in(chance, 4)};
    client_ask(self, TAG_call, &call, REQUEST_CALL);
    return true;
}

/* ---- what it hears ---- */

static request_t *request_of(sim_t *self, id128_t id)
{
    for (unsigned i = 0; i < self->asked_count; i++)
        if (self->asked[i].ask && id_same(self->asked[i].id, id)) return &self->asked[i];
    return NULL;
}

static void on_launched(sim_t *self, const msg_launched_t *msg, unsigned cluster)
{
    self->launched[cluster] = true;
    self->clusters[cluster] = msg->cluster;
    self->bootstraps[cluster] = msg->result;
    for (unsigned v = 1; v <= self->top; v++) {
        const row_vat_t *row = vat_row(self, v);
        if (row && row->cluster == msg->cluster.n) client_know(self, kref_root((vat_t){v}));
    }
    client_know(self, msg->result);
    await(self, msg->result);
}

static void on_settled(sim_t *self, const msg_settled_t *msg)
{
    for (size_t i = 0; i < msg->value.slots.count; i++) client_know(self, msg->value.slots.at[i]);
}

/* Answers that were lost may come after those of later requests, so that a count is less than nothing for
 * a while. */
enum { PINS_NONE = 1 << 20 };

uint64_t client_pins(const sim_t *self, kref_t kref)
{
    uintptr_t count = (uintptr_t)map_get(&self->pins, kref.n);
    return count ? count - PINS_NONE : 0;
}

static void on_pinned(sim_t *self, const request_t *request)
{
    uintptr_t count = (uintptr_t)map_get(&self->pins, request->kref.n);
    if (!count) count = PINS_NONE;
    map_put(&self->pins, request->kref.n, (void *)(request->unpin ? count - 1 : count + 1));
}

/* What an audit finds is wrong, whenever it was asked for. */
static void on_rows(sim_t *self, bin_t rows)
{
    msg_t row;
    while (rows.len > 0) {
        if (msg_next(&rows, &row)) sim_fail(self, "codec", "rows for a client cannot be read");
        const msg_finding_row_t *finding = &row.body.finding_row;
        if (row.tag == TAG_finding_row)
            sim_fail(self, "names", "%.*s: %.*s: %.*s", (int)finding->rule.len, finding->rule.at,
                     (int)finding->row.len, finding->row.at, (int)finding->should.len,
                     finding->should.at);
        msg_clear(&row);
    }
}

/* Takes FRAME. */
void client_take(sim_t *self, blob_t *frame)
{
    msg_t msg;
    id128_t id;
    if (msg_decode(blob_bin(frame), &msg))
        sim_fail(self, "codec", "a frame to the client cannot be read");
    memcpy(&id, &msg.body, sizeof id); /* all answers begin with it */
    request_t *request = request_of(self, id);
    if (request) {
        request_t asked = *request;
        blob_destroy(&request->ask);
        if (msg.tag == TAG_launched) on_launched(self, &msg.body.launched, asked.cluster);
        if (msg.tag == TAG_failed && asked.kind == REQUEST_LAST_CALL)
            self->unheard[asked.cluster] = true;
        if (msg.tag == TAG_done && asked.kind == REQUEST_PIN) on_pinned(self, &asked);
        if (msg.tag == TAG_rows) on_rows(self, msg.body.rows.rows);
        if (msg.tag == TAG_settled) on_settled(self, &msg.body.settled);
        if (msg.tag == TAG_sent && !kref_none(msg.body.sent.result)) {
            client_know(self, msg.body.sent.result);
            await(self, msg.body.sent.result);
        }
        sim_log(self, "client hears %s", message_find(msg.tag)->name);
    }
    msg_clear(&msg);
    blob_destroy(&frame);
}
