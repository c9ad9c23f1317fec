/* cluster export: a cluster file made of what a cluster was launched with. Launched again it gives the
 * same vats with the same code, in their first state. */
#include <math.h>
#include <string.h>

#include "cli/bundle.h"
#include "cli/client.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

/* OBJECT[KEY][INNER] = VALUE, when VALUE says something. */
static void set_in(json_t *object, const char *key, const char *inner, json_t *value)
{
    json_t *holder = json_object_get(object, key);

    if (!holder) json_object_set_new(object, key, holder = json_object());
    json_object_set_new(holder, inner, value);
}

static json_t *reap_json(uint64_t count)
{
    return count == REAP_NEVER ? json_string("never") : json_number(count);
}

static void limit_set(json_t *deploy, const char *key, uint64_t value, json_t *json)
{
    if (value)
        set_in(deploy, "limits", key, json);
    else
        json_decref(json);
}

/* 3, not 3.0: jansson's printer for people knows no JavaScript. */
static json_t *integers(json_t *value)
{
    json_t *item;
    const char *key;
    void *next;
    size_t i;

    if (json_is_real(value) && json_real_value(value) == nearbyint(json_real_value(value)) &&
        fabs(json_real_value(value)) < 9e15) {
        json_t *integer = json_integer((json_int_t)json_real_value(value));
        json_decref(value);
        return integer;
    }
    json_array_foreach(value, i, item) json_array_set_new(value, i, integers(json_incref(item)));
    json_object_foreach_safe(value, next, key, item)
        json_object_set_new(value, key, integers(json_incref(item)));
    return value;
}

/* Smallcaps of JSON, as launch() made it. */
static json_t *parameters_json(bin_t body)
{
    capdata_t data = {.body = body};

    return integers(value_json(&data));
}

static void duration_set(json_t *deploy, const char *key, uint64_t ms)
{
    char text[32];
    if (!ms) return;
    snprintf(text, sizeof text, "%llums", (unsigned long long)ms);
    set_in(deploy, "persistence", key, json_string(text));
}

static void persistence_json(const msg_launch_vat_t *vat, json_t *deploy)
{
    static const char *const poison[] = {NULL, "terminate", "reject"};

    if (vat->every_rows) set_in(deploy, "persistence", "snapshotEvery", reap_json(vat->every_rows));
    if (vat->every_bytes && vat->every_bytes != REAP_NEVER)
        set_in(deploy, "persistence", "snapshotBytes", json_number(vat->every_bytes));
    if (vat->idle_ms != REAP_NEVER) duration_set(deploy, "snapshotAfter", vat->idle_ms);
    duration_set(deploy, "sleepAfter", vat->sleep_ms);
    if (vat->mirror) set_in(deploy, "persistence", "mirror", json_true());
    if (vat->poison == 1 || vat->poison == 2)
        set_in(deploy, "persistence", "onPoison", json_string(poison[vat->poison]));
}

static json_t *deploy_json(const msg_launch_vat_t *vat)
{
    json_t *deploy = json_object();
    char wall[32];

    snprintf(wall, sizeof wall, "%llums", (unsigned long long)vat->wall_ms);
    limit_set(deploy, "computronsPerDelivery", vat->computrons, json_number(vat->computrons));
    limit_set(deploy, "wallPerDelivery", vat->wall_ms, json_string(wall));
    limit_set(deploy, "heap", vat->heap_bytes, json_number(vat->heap_bytes));
    if (vat->window) json_object_set_new(deploy, "window", json_number(vat->window));
    if (vat->host.len) set_in(deploy, "placement", "host", json_text(vat->host));
    persistence_json(vat, deploy);
    return deploy;
}

/* Where the code is: an engine in C is everywhere, everything else where it was pushed. */
static json_t *code_json(text_t bundle)
{
    const char *engine = native_engine(bundle);

    return engine ? json_pack("{s:s}", "nativeSpec", engine)
                  : json_pack("{s:o}", "bundleHash", json_text(bundle));
}

static json_t *export_vat(const msg_launch_vat_t *vat)
{
    json_t *json = code_json(vat->bundle);
    json_object_set_new(json, "parameters", parameters_json(vat->parameters));
    json_t *deploy = deploy_json(vat);

    if (vat->critical) set_in(json, "creationOptions", "critical", json_true());
    if (vat->reap_deliveries)
        set_in(json, "creationOptions", "reapInterval", reap_json(vat->reap_deliveries));
    if (vat->reap_krefs) set_in(json, "creationOptions", "reapGCKrefs", reap_json(vat->reap_krefs));
    if (vat->globals.len) json_object_set_new(json, "globals", names_json(vat->globals));
    if (vat->hosts.len) set_in(json, "network", "allowedHosts", names_json(vat->hosts));
    if (json_object_size(deploy)) json_object_set(json, "deploy", deploy);
    json_decref(deploy);
    return json;
}

static json_t *export_channel(const msg_launch_channel_t *channel)
{
    static const char *const directions[] = {"", "in", "out", "inout"};
    static const char *const units[] = {"line", "string", "chars", "bytes"};
    json_t *json = json_pack("{s:o}", "type", json_text(channel->type));

    if (channel->place.len) {
        bool path = text_is(channel->type, "file") || text_is(channel->type, "socket");
        json_object_set_new(json, path ? "path" : "hostport", json_text(channel->place));
    }
    if (channel->direction - 1 < 3)
        json_object_set_new(json, "direction", json_string(directions[channel->direction]));
    if (channel->unit < 4) json_object_set_new(json, "unit", json_string(units[channel->unit]));
    return json;
}

/* Frames one behind the other, as a JSON object by name; the names of vats also in order. */
static json_t *export_rows(bin_t rest, json_t *names)
{
    json_t *all = json_object();
    msg_t row;

    while (rest.len && !msg_next(&rest, &row)) {
        json_t *json = NULL, *name = NULL;
        if (row.tag == TAG_launch_vat) {
            json = export_vat(&row.body.launch_vat);
            name = json_text(row.body.launch_vat.name);
        } else if (row.tag == TAG_launch_bundle) {
            json = code_json(row.body.launch_bundle.bundle);
            name = json_text(row.body.launch_bundle.name);
        } else if (row.tag == TAG_launch_channel) {
            json = export_channel(&row.body.launch_channel);
            name = json_text(row.body.launch_channel.name);
        }
        if (json) {
            json_object_set_new(all, json_string_value(name), json);
            if (names) json_array_append(names, name);
        }
        json_decref(name);
        msg_clear(&row);
    }
    return all;
}

static json_t *export_launch(const msg_launch_t *launch)
{
    json_t *names = json_array(), *vats = export_rows(launch->vats, names);
    json_t *json = json_pack("{s:o, s:O, s:o, s:o}", "name", json_text(launch->name), "bootstrap",
                             json_array_get(names, launch->bootstrap), "services",
                             names_json(launch->services), "vats", vats);

    if (launch->bundles.len)
        json_object_set_new(json, "bundles", export_rows(launch->bundles, NULL));
    if (launch->channels.len) json_object_set_new(json, "io", export_rows(launch->channels, NULL));
    if (launch->serial) set_in(json, "deploy", "serial", json_true());
    json_decref(names);
    return json;
}

err_t cmd_cluster_export(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    const char *name = cli->args.words[0];
    msg_list_t list = {.request = request_id(), .what = ROWS_LAUNCH};
    uint64_t vats;
    rows_t rows;

    if (!link) return cli->f.err;
    err_t err = cluster_named(link, name, &list.cluster, &vats, &cli->f);
    if (!err) err = rows_ask(link, TAG_list, &list, ANSWER_MS, &rows, &cli->f);
    if (err) return err;
    const msg_t *msg = rows_next(&rows);
    if (msg && msg->tag == TAG_launch) {
        json_t *json = export_launch(&msg->body.launch);
        json_dumpf(json, stdout, cli->json ? JSON_COMPACT : JSON_INDENT(2));
        putchar('\n');
        if (msg->body.launch.system) say(cli, "a system cluster: launch it again with --system");
        json_decref(json);
    } else {
        err =
            fail(&cli->f, ERR_CLUSTER_UNKNOWN, "cluster \"%.200s\" was launched by no file", name);
    }
    rows_clear(&rows);
    return err;
}
