/* vatAdmin: vats that make vats, with SwingSet's methods, words and order of checks. Code is named by a
 * bundlecap, by a name that the cluster gave it, or by its hash, never by a path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

enum { VAT_NAME_MAX = 199, REASON_MAX = 1024 };

static kcluster_t *own_cluster(const call_t *call)
{
    return cluster_find(call->k, call->service->row.cluster);
}

/* The object of KIND that the cluster has already, or a new one. */
static service_t *one_of(const call_t *call, service_kind_t kind)
{
    const kcluster_t *cluster = own_cluster(call);
    return cluster ? service_known(call->k, kind, cluster)
                   : service_new(call->k, kind, NULL, NULL, (text_t){0});
}

/* ---- the root ---- */

static void create_vat_admin_service(call_t *call)
{
    call_answer_service(call, one_of(call, SERVICE_vat_admin));
}

static void get_critical_vat_key(call_t *call)
{
    call_answer_service(call, one_of(call, SERVICE_critical_key));
}

const method_t admin_root_methods[] = {
    {"createVatAdminService", create_vat_admin_service},
    {"getCriticalVatKey", get_critical_vat_key},
    {NULL, NULL},
};
const method_t key_methods[] = {{NULL, NULL}};

/* ---- bundles ---- */

static void get_bundle_id(call_t *call)
{
    char body[NAME_BYTES_MAX + 8];
    text_t hash = call->service->row.text;
    snprintf(body, sizeof body, "#\"%.*s\"", (int)hash.len, hash.at);
    call_fulfil(call, body);
}

const method_t bundle_methods[] = {{"getBundleID", get_bundle_id}, {NULL, NULL}};

static void answer_bundle(call_t *call, text_t hash)
{
    call_answer_service(call, service_new(call->k, SERVICE_bundle, own_cluster(call), NULL, hash));
}

static void get_bundle_cap(call_t *call)
{
    char id[NAME_BYTES_MAX + 1];
    text_t text = node_copy(node_item(call->args, 0), id, sizeof id);
    if (bundle_hash(text))
        answer_bundle(call, text);
    else
        call_fail(call, "bundleID not yet installed: %s", id);
}

/* The bundle that the first argument names. */
static bool named(call_t *call, char *hash, size_t room)
{
    char name[NAME_BYTES_MAX + 1];
    text_t text = node_copy(node_item(call->args, 0), name, sizeof name);
    if (text.len && bundle_named(own_cluster(call), text, hash, room)) return true;
    call_fail(call, "bundle name \"%s\" is not known", name);
    return false;
}

static void get_named_bundle_cap(call_t *call)
{
    char hash[NAME_BYTES_MAX + 1];
    if (named(call, hash, sizeof hash)) answer_bundle(call, text_of(hash));
}

static void get_bundle_id_by_name(call_t *call)
{
    char hash[NAME_BYTES_MAX + 1], body[NAME_BYTES_MAX + 8];
    if (!named(call, hash, sizeof hash)) return;
    snprintf(body, sizeof body, "#\"%s\"", hash);
    call_fulfil(call, body);
}

/* ---- options ---- */

typedef struct {
    char name[VAT_NAME_MAX + 1];
    bool critical;
    uint64_t reap;
    node_t parameters;
    buf_t globals, hosts;
} options_t;

static const char *const option_names[] = {
    "critical", "enablePipelining", "enableSetup",  "globals",       "managerType",   "name",
    "network",  "nodeOptions",      "reapInterval", "useTranscript", "vatParameters", NULL,
};

/* The names of those that are not known, with commas. */
static bool unknown_options(node_t options, const char *const *known, char *out, size_t room)
{
    node_t at = {0}, name;
    size_t len = 0;
    out[0] = '\0';
    while (node_next(options, &at, &name)) {
        bool there = false;
        for (const char *const *it = known; *it && !there; it++) there = node_is(name, *it);
        if (there) continue;
        char word[64];
        node_copy(name, word, sizeof word);
        int more = snprintf(out + len, room - len, "%s%s", len ? "," : "", word);
        if (more < 0 || (size_t)more >= room - len) break;
        len += (size_t)more;
    }
    return len > 0;
}

/* An option that is there must be of this kind. */
static bool option_is(call_t *call, node_t options, const char *name, node_kind_t kind)
{
    node_t node = node_member(options, name);
    if (node_absent(node) || node_kind(node) == kind) return true;
    bool off = false;
    if (node_bool(node, &off) && !off)
        return true; /* SwingSet looks at the type of what is truthy */
    call_fail(call, "CreateVatOptions(%s)", name);
    return false;
}

static bool read_name(call_t *call, node_t options, options_t *ret)
{
    char name[512];
    node_t node = node_member(options, "name");
    if (node_absent(node)) return true;
    text_t text = node_copy(node, name, sizeof name);
    if (text.len > VAT_NAME_MAX) {
        call_fail(call, "CreateVatOptions: oversized vat name \"%s\"", name);
        return false;
    }
    bool good = text.len > 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-');
    }
    if (!good) {
        call_fail(call, "CreateVatOptions: bad vat name \"%s\"", name);
        return false;
    }
    memcpy(ret->name, name, text.len + 1);
    return true;
}

static bool read_manager(call_t *call, node_t options)
{
    static const char *const types[] = {"local", "node-subprocess", "xsnap", "xs-worker"};
    node_t node = node_member(options, "managerType");
    char type[64];
    if (node_absent(node)) return true;
    node_copy(node, type, sizeof type);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0) return true;
    call_fail(call, "CreateVatOptions: bad managerType %s", type);
    return false;
}

static bool read_reap(call_t *call, node_t node, uint64_t *ret)
{
    if (node_absent(node)) return true;
    if (node_is(node, "never")) {
        *ret = REAP_NEVER;
        return true;
    }
    if (node_whole(node, ret) && *ret > 0 && *ret <= REAP_NEVER) return true;
    call_fail(call, "invalid reapInterval value");
    return false;
}

static bool read_critical(call_t *call, node_t options, options_t *ret)
{
    node_t node = node_member(options, "critical");
    bool off;
    if (node_absent(node) || node_kind(node) == NODE_NULL || (node_bool(node, &off) && !off))
        return true;
    const service_t *key = service_argument(call, node, SERVICE_critical_key);
    ret->critical = key && key->row.cluster == call->service->row.cluster;
    if (!ret->critical) call_fail(call, "invalid criticalVatKey");
    return ret->critical;
}

/* An array of words, with spaces between them. */
static bool read_words(call_t *call, node_t list, const char *what, buf_t *ret)
{
    node_t at = {0};
    *ret = buf_of(TEXT_BYTES_MAX);
    bool good = node_absent(list) || node_kind(list) == NODE_ARRAY;
    while (good && node_next(list, &at, NULL)) {
        char word[NAME_BYTES_MAX + 1];
        text_t text = node_copy(at, word, sizeof word);
        good = text.len > 0 && !memchr(word, ' ', text.len) && buf_add(ret, " ", 1) == ERR_OK &&
               buf_add(ret, word, text.len) == ERR_OK;
    }
    if (!good) call_fail(call, "CreateVatOptions(%s)", what);
    return good;
}

static bool read_options(call_t *call, node_t options, options_t *ret)
{
    char unknown[512];
    *ret = (options_t){0};
    if (node_absent(options)) return true;
    if (node_kind(options) != NODE_RECORD) {
        call_fail(call, "CreateVatOptions: not a record");
        return false;
    }
    static const char *const flags[] = {"enableSetup", "enablePipelining", "useTranscript"};
    bool good = option_is(call, options, "name", NODE_TEXT) && read_name(call, options, ret) &&
                option_is(call, options, "managerType", NODE_TEXT) && read_manager(call, options);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        good = good && option_is(call, options, flags[i], NODE_BOOL);
    good = good && read_reap(call, node_member(options, "reapInterval"), &ret->reap);
    if (good && unknown_options(options, option_names, unknown, sizeof unknown)) {
        call_fail(call, "CreateVatOptions: unknown options \"%s\"", unknown);
        good = false;
    }
    good = good && read_critical(call, options, ret);
    node_t network = node_member(options, "network");
    good = good && read_words(call, node_member(options, "globals"), "globals", &ret->globals) &&
           read_words(call, node_member(network, "allowedHosts"), "network", &ret->hosts);
    ret->parameters = node_member(options, "vatParameters");
    return good;
}

static void options_clear(options_t *options)
{
    buf_clear(&options->globals);
    buf_clear(&options->hosts);
}

/* ---- createVat ---- */

/* The open host with the fewest vats; with none, where the cluster began. */
static uint64_t roomiest(const kernel_t *k, const kcluster_t *cluster)
{
    const khost_t *best = host_roomiest(k, NULL);
    return best ? best->row.host : vat_find(k, cluster->row.bootstrap)->row.host;
}

static const char *no_room(const kernel_t *k, const kcluster_t *cluster)
{
    if (cluster->alive >= CLUSTER_VATS_MAX) return "the cluster has as many vats as it may";
    return k->counters[COUNTER_next_vat].value >= KREF_ISSUER_MAX ? "all vat numbers are given"
                                                                  : NULL;
}

static text_t words(const buf_t *buf)
{
    const void *at = buf->at;
    return (text_t){at, buf->len};
}

static void cluster_add(kcluster_t *cluster, kvat_t *vat)
{
    void *wide = realloc(cluster->vats, (cluster->vat_count + 1) * sizeof *cluster->vats);
    must(wide);
    cluster->vats = wide;
    cluster->vats[cluster->vat_count++] = vat;
}

/* Does the file of CLUSTER give all of HOSTS to vats of its own? WHY says what v<VAT> may not reach. */
static bool hosts_given(const kcluster_t *cluster, uint64_t vat, text_t hosts, char *why,
                        size_t room)
{
    text_t host;
    for (size_t at = 0; word_next(hosts, &at, &host);) {
        bool given = false;
        /* Those of the file stand first. */
        for (size_t i = 0; i < cluster->vat_count && !cluster->vats[i]->row.dynamic && !given; i++)
            given = word_in(cluster->vats[i]->row.hosts, host);
        if (given) continue;
        snprintf(why, room,
                 "Vat \"v%llu\" requested host \"%.*s\", which its cluster was not given",
                 (unsigned long long)vat, (int)host.len, host.at);
        return false;
    }
    return true;
}

static void create(call_t *call, const char *hash, const options_t *options)
{
    kernel_t *k = call->k;
    kcluster_t *cluster = own_cluster(call);
    char name[VAT_NAME_MAX + 1], why[512];
    const char *full = cluster ? no_room(k, cluster) : "its cluster is gone";
    if (full) {
        call_fail(call, "Vat Creation Error: %s", full);
        return;
    }
    uint64_t number = k->counters[COUNTER_next_vat].value + 1;
    text_t hosts = words(&options->hosts);
    if (globals_check(k, number, words(&options->globals), hosts, why, sizeof why) ||
        !hosts_given(cluster, number, hosts, why, sizeof why)) {
        call_fail(call, "Vat Creation Error: %s", why);
        return;
    }
    AUTO(value)
    parameters =
        node_kind(options->parameters) == NODE_NONE ? value_print(k, NULL, 0, "#\"#undefined\"")
                                                    : value_cut(k, options->parameters);
    if (parameters->body_len > PARAMETERS_BYTES_MAX ||
        parameters->slot_count > PARAMETERS_SLOTS_MAX) {
        call_fail(call, "Vat Creation Error: vatParameters too large");
        return;
    }
    snprintf(name, sizeof name, "%s", options->name);
    if (!name[0]) snprintf(name, sizeof name, "v%llu", (unsigned long long)number);
    const kvat_t *boot = vat_find(k, cluster->row.bootstrap);
    msg_launch_vat_t row = {.name = text_of(name),
                            .bundle = text_of(hash),
                            .dialect = boot->row.dialect,
                            .every_rows = boot->row.every_rows,
                            .every_bytes = boot->row.every_bytes,
                            .idle_ms = boot->row.idle_ms,
                            .sleep_ms = boot->row.sleep_ms,
                            .mirror = boot->row.mirror,
                            .poison = boot->row.poison,
                            .computrons = boot->row.computrons_max,
                            .wall_ms = boot->row.wall_ms,
                            .heap_bytes = boot->row.heap_bytes,
                            .critical = options->critical,
                            .window = boot->row.window,
                            .reap_deliveries = options->reap,
                            .globals = words(&options->globals),
                            .hosts = hosts};
    kvat_t *vat = vat_make(k, cluster, &row, roomiest(k, cluster), parameters, true, call->cause);
    if (!PLANTED(made_vat_joins_nobody)) cluster_add(cluster, vat);
    kref_t result = call_defer(call);
    if (!kref_none(result)) pending_new(k, PENDING_CREATE, result, vat, (kref_t){0});
}

static void create_with(call_t *call, const char *hash)
{
    options_t options;
    if (read_options(call, node_item(call->args, 1), &options)) create(call, hash, &options);
    options_clear(&options);
}

/* The first argument: a bundlecap, or the text of a hash or name. */
static void create_vat(call_t *call)
{
    char hash[NAME_BYTES_MAX + 1] = "";
    node_t first = node_item(call->args, 0);
    const service_t *cap = service_argument(call, first, SERVICE_bundle);
    if (cap) {
        snprintf(hash, sizeof hash, "%.*s", (int)cap->row.text.len, cap->row.text.at);
    } else if (node_kind(first) != NODE_TEXT) {
        call_fail(call, "Vat Creation Error: createVat() requires a bundlecap");
        return;
    } else if (!bundle_hash(node_copy(first, hash, sizeof hash)) &&
               !named(call, hash, sizeof hash)) {
        return;
    }
    create_with(call, hash);
}

static void create_vat_by_name(call_t *call)
{
    char hash[NAME_BYTES_MAX + 1];
    if (node_kind(node_item(call->args, 0)) != NODE_TEXT)
        call_fail(call, "createVatByName() requires bundleName to be a string");
    else if (named(call, hash, sizeof hash))
        create_with(call, hash);
}

static void create_meter(call_t *call)
{
    call_fail(call, "meters of several vats together are not there; each crank has its own limit");
}

const method_t admin_methods[] = {
    {"createMeter", create_meter},
    {"createUnlimitedMeter", create_meter},
    {"createVat", create_vat},
    {"createVatByName", create_vat_by_name},
    {"getBundleCap", get_bundle_cap},
    {"getBundleIDByName", get_bundle_id_by_name},
    {"getNamedBundleCap", get_named_bundle_cap},
    {"waitForBundleCap", get_bundle_cap},
    {NULL, NULL},
};

/* ---- adminNode ---- */

/* The vat, if it runs; else the call fails. */
static kvat_t *running(call_t *call, const char *operation)
{
    kvat_t *vat = vat_find(call->k, call->service->row.vat);
    if (vat && vat_alive(vat)) return vat;
    call_fail(call,
              "vatAdminService rejecting attempt to perform \"%s\"() on non-running vat \"v%llu\"",
              operation, (unsigned long long)call->service->row.vat);
    return NULL;
}

static void change_options(call_t *call)
{
    static const char *const known[] = {"reapInterval", NULL};
    kvat_t *vat = running(call, "changeOptions");
    node_t options = node_item(call->args, 0);
    char unknown[512];
    if (!vat) return;
    if (unknown_options(options, known, unknown, sizeof unknown)) {
        call_fail(call, "invalid option \"%s\"", unknown);
        return;
    }
    uint64_t reap = vat->row.reap_deliveries;
    if (!read_reap(call, node_member(options, "reapInterval"), &reap)) return;
    vat->row.reap_deliveries = reap;
    touch(call->k, &vat->head);
    vat_ready(call->k, vat);
}

/* How the vat ended, now or when it does. SwingSet's loses that with the vat; here whoever holds the node
 * may ask at any time, so that it does not matter how fast a termination is. */
static void done(call_t *call)
{
    kvat_t *vat = vat_find(call->k, call->service->row.vat);
    if (call->service->row.ended) {
        AUTO(value) value = value_ref(call->service->value);
        call_settle(call, call->service->row.ended == 2, value);
        return;
    }
    must(vat && vat_alive(vat));
    kref_t result = call_defer(call);
    if (!kref_none(result)) pending_new(call->k, PENDING_DONE, result, vat, (kref_t){0});
}

static void terminate_with_failure(call_t *call)
{
    kvat_t *vat = running(call, "terminateWithFailure");
    if (!vat || PLANTED(termination_ignored)) return;
    node_t reason = node_item(call->args, 0);
    AUTO(value)
    value = node_kind(reason) == NODE_NONE ? value_print(call->k, NULL, 0, "#\"#undefined\"")
                                           : value_cut(call->k, reason);
    if (value->body_len > CAPDATA_BYTES_MAX) {
        call_fail(call, "the reason is larger than a message can be");
        return;
    }
    capdata_t data = value_data(value);
    const void *body = data.body.at;
    blob_t *text = text_blob(text_cut((text_t){body, data.body.len}, REASON_MAX));
    vat_end_with(call->k, vat, ERR_VAT_KILLED, text, true, value, call->cause);
}

static void upgrade(call_t *call)
{
    static const char *const known[] = {"upgradeMessage", "vatParameters", NULL};
    kvat_t *vat = running(call, "upgrade");
    if (!vat) return;
    kernel_t *k = call->k;
    const service_t *cap = service_argument(call, node_item(call->args, 0), SERVICE_bundle);
    node_t options = node_item(call->args, 1);
    node_t message = node_member(options, "upgradeMessage");
    node_t parameters = node_member(options, "vatParameters");
    char unknown[512], said[TEXT_BYTES_MAX / 2] = "vat upgraded";
    if (!cap) {
        call_fail(call, "vatAdmin.upgrade() requires a bundlecap");
        return;
    }
    if (unknown_options(options, known, unknown, sizeof unknown)) {
        call_fail(call, "upgrade() received unknown options: \"%s\"", unknown);
        return;
    }
    if (!node_absent(message)) {
        if (node_kind(message) != NODE_TEXT) {
            call_fail(call, "upgradeMessage not a string");
            return;
        }
        node_copy(message, said, sizeof said);
    }
    AUTO(value)
    value = node_kind(parameters) == NODE_NONE ? value_print(k, NULL, 0, "#\"#undefined\"")
                                               : value_cut(k, parameters);
    if (value->body_len > PARAMETERS_BYTES_MAX || value->slot_count > PARAMETERS_SLOTS_MAX) {
        call_fail(call, "vatParameters too large");
        return;
    }
    upgrade_push(k, vat, cap->row.text, value, text_of(said), call_defer(call), call->cause);
}

const method_t node_methods[] = {
    {"changeOptions", change_options},
    {"done", done},
    {"terminateWithFailure", terminate_with_failure},
    {"upgrade", upgrade},
    {NULL, NULL},
};
