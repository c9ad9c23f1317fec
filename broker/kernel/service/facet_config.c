/* What a cluster was launched with: names of bundles; its config as the values of kernelFacet have it,
 * and how one becomes a LAUNCH. It is the cluster file's, with two differences: code is named by
 * `bundleName` or `bundleHash`, since a vat knows no paths, and what has no effect here
 * (`creationOptions`, `platformConfig`, `forceReset`) is passed over. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"

/* ---- bundles ---- */

/* Does it look like the hash of a bundle? */
bool bundle_hash(text_t text)
{
    if (text.len < 4 || text.len > NAME_BYTES_MAX || memcmp(text.at, "b1-", 3) != 0) return false;
    for (size_t i = 3; i < text.len; i++) {
        char c = text.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z')) return false;
    }
    return true;
}

/* The hash of the bundle that vats of CLUSTER call NAME. */
bool bundle_named(const kcluster_t *cluster, text_t name, char *out, size_t room)
{
    msg_t launch;
    if (!cluster || !cluster->config || msg_decode(blob_bin(cluster->config->launch), &launch))
        return false;
    bin_t bundles = launch.body.launch.bundles;
    bool found = false;
    while (bundles.len > 0 && !found) {
        msg_t row;
        must(msg_next(&bundles, &row) == ERR_OK); /* it was checked at the launch */
        text_t hash = row.body.launch_bundle.bundle;
        found = text_same(row.body.launch_bundle.name, name) && hash.len < room;
        if (found) snprintf(out, room, "%.*s", (int)hash.len, hash.at);
        msg_clear(&row);
    }
    msg_clear(&launch);
    return found;
}

/* ---- reading ---- */

typedef struct {
    kernel_t *k;
    const kcluster_t *cluster; /* whose names of bundles count */
    node_t config, bundles;
    launch_parts_t *parts;
    buf_t words;
    char *why;
    size_t room;
} reading_t;

enum { NAME_ROOM = NAME_BYTES_MAX + 2, TEXT_ROOM = PATH_BYTES_MAX + 2 };

__attribute__((format(printf, 2, 3))) static bool wrong(reading_t *r, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(r->why, r->room, "invalid cluster config: %s", text);
    return false;
}

/* A text of 1 to MAX bytes, copied to OUT, which has room for two more. */
static bool read_text(reading_t *r, node_t node, size_t max, const char *what, char *out)
{
    size_t len = node_copy(node, out, max + 2).len;
    if (len > 0 && len <= max && strlen(out) == len) return true;
    return wrong(r, "%.200s: a text is wanted, of 1 to %zu bytes", what, max);
}

/* All properties of RECORD, called WHAT, are among KNOWN. */
static bool read_keys(reading_t *r, node_t record, const char *what, const char *const *known)
{
    node_t at = {0}, name;
    if (node_kind(record) != NODE_RECORD) return wrong(r, "%.200s: a record is wanted", what);
    while (node_next(record, &at, &name)) {
        bool there = false;
        for (const char *const *it = known; *it && !there; it++) there = node_is(name, *it);
        char word[64];
        node_copy(name, word, sizeof word);
        if (!there) return wrong(r, "%.200s: \"%s\" is not known", what, word);
    }
    return true;
}

static bool add_row(reading_t *r, buf_t *to, msg_tag_t tag, const void *row)
{
    return !msg_encode(tag, row, to) || wrong(r, "too large");
}

/* The property of RECORD that is called NAME. */
static node_t member_named(node_t record, text_t name)
{
    node_t at = {0}, key;
    char word[NAME_ROOM];
    while (node_next(record, &at, &key))
        if (text_same(node_copy(key, word, sizeof word), name)) return at;
    return (node_t){0};
}

/* The hash of the bundle that SPEC, called WHAT, names. */
static bool read_bundle(reading_t *r, node_t spec, const char *what, bool inside, char *out)
{
    node_t hash = node_member(spec, "bundleHash"), name = node_member(spec, "bundleName");
    char text[NAME_ROOM];
    if (!node_absent(node_member(spec, "bundleSpec")) || !node_absent(node_member(spec, "sourceSpec")))
        return wrong(
            r, "%.200s: a vat names code by bundleName or bundleHash, not by where it lies", what);
    if (node_absent(hash) == node_absent(name))
        return wrong(r, "%.200s: one of bundleName and bundleHash is wanted", what);
    if (!node_absent(hash)) {
        if (!read_text(r, hash, NAME_BYTES_MAX, what, out)) return false;
        return bundle_hash(text_of(out)) || wrong(r, "%.200s: no hash of a bundle", what);
    }
    if (!read_text(r, name, NAME_BYTES_MAX, what, text)) return false;
    node_t own = inside ? member_named(r->bundles, text_of(text)) : (node_t){0};
    if (!node_absent(own)) return read_bundle(r, own, what, false, out);
    return bundle_named(r->cluster, text_of(text), out, NAME_ROOM) ||
           wrong(r, "%.200s: bundle name \"%.200s\" is not known", what, text);
}

/* An array of words, put into r->words with spaces between. */
static bool read_words(reading_t *r, node_t list, const char *what)
{
    node_t at = {0};
    buf_reset(&r->words);
    if (node_absent(list)) return true;
    if (node_kind(list) != NODE_ARRAY) return wrong(r, "%.200s: an array is wanted", what);
    while (node_next(list, &at, NULL)) {
        char word[NAME_ROOM];
        if (!read_text(r, at, NAME_BYTES_MAX, what, word)) return false;
        if (strchr(word, ' ')) return wrong(r, "%.200s: no word \"%.200s\"", what, word);
        if (buf_add(&r->words, " ", r->words.len > 0) || buf_text(&r->words, word))
            return wrong(r, "%.200s: too large", what);
    }
    return true;
}

static text_t words(const reading_t *r)
{
    const void *at = r->words.at;
    return (text_t){at, r->words.len};
}

static bool read_vat_row(reading_t *r, node_t vat, const char *what, msg_launch_vat_t *row)
{
    static const char *const network_keys[] = {"allowedHosts", NULL};
    node_t network = node_member(vat, "network");
    if (!node_absent(network) && !read_keys(r, network, what, network_keys)) return false;
    if (!read_words(r, node_member(vat, "globals"), what)) return false;
    AUTO(blob) globals = text_blob(words(r));
    if (!read_words(r, node_member(network, "allowedHosts"), what)) return false;
    AUTO(blob) hosts = text_blob(words(r));
    row->globals = blob_text(globals);
    row->hosts = blob_text(hosts);
    return add_row(r, &r->parts->vats, TAG_launch_vat, row);
}

static bool read_vat(reading_t *r, node_t name_node, node_t vat)
{
    static const char *const keys[] = {
        "bundleHash", "bundleName", "bundleSpec",      "sourceSpec",     "globals",
        "network",    "parameters", "creationOptions", "platformConfig", NULL};
    char name[NAME_ROOM], what[NAME_ROOM + 8], hash[NAME_ROOM];
    node_t parameters = node_member(vat, "parameters");
    if (!read_text(r, name_node, NAME_BYTES_MAX, "a vat's name", name)) return false;
    snprintf(what, sizeof what, "vats.%s", name);
    if (!read_keys(r, vat, what, keys) || !read_bundle(r, vat, what, true, hash)) return false;
    if (!node_absent(parameters) && node_kind(parameters) != NODE_RECORD)
        return wrong(r, "%.200s: parameters: a record is wanted", what);
    AUTO(value)
    value = node_absent(parameters) ? value_print(r->k, NULL, 0, "#{}") : value_cut(r->k, parameters);
    if (value->slot_count)
        return wrong(r, "%.200s: parameters: plain data is wanted, without objects", what);
    msg_launch_vat_t row = {.name = text_of(name),
                            .bundle = text_of(hash),
                            .parameters = value_data(value).body,
                            .dialect = 1};
    return read_vat_row(r, vat, what, &row);
}

/* All vats, and which of them is the one that config.bootstrap names. */
static bool read_vats(reading_t *r)
{
    node_t vats = node_member(r->config, "vats"), at = {0}, name;
    node_t bootstrap = node_member(r->config, "bootstrap");
    char boot[NAME_ROOM], word[NAME_ROOM];
    uint64_t place = 0;
    bool found = false;
    if (!read_text(r, bootstrap, NAME_BYTES_MAX, "bootstrap", boot)) return false;
    if (node_kind(vats) != NODE_RECORD) return wrong(r, "vats: a record is wanted");
    for (; node_next(vats, &at, &name); place++) {
        if (!read_vat(r, name, at)) return false;
        if (!text_is(node_copy(name, word, sizeof word), boot)) continue;
        r->parts->bootstrap = place;
        found = true;
    }
    if (!found) snprintf(r->why, r->room, "invalid bootstrap vat name \"%s\"", boot);
    return found;
}

static bool read_bundles(reading_t *r)
{
    static const char *const keys[] = {"bundleHash", "bundleName", "bundleSpec", "sourceSpec",
                                       NULL};
    node_t at = {0}, name;
    if (node_absent(r->bundles)) return true;
    if (node_kind(r->bundles) != NODE_RECORD) return wrong(r, "bundles: a record is wanted");
    while (node_next(r->bundles, &at, &name)) {
        char text[NAME_ROOM], what[NAME_ROOM + 8], hash[NAME_ROOM];
        if (!read_text(r, name, NAME_BYTES_MAX, "a bundle's name", text)) return false;
        snprintf(what, sizeof what, "bundles.%s", text);
        if (!read_keys(r, at, what, keys) || !read_bundle(r, at, what, false, hash)) return false;
        msg_launch_bundle_t row = {text_of(text), text_of(hash)};
        if (!add_row(r, &r->parts->bundles, TAG_launch_bundle, &row)) return false;
    }
    return true;
}

/* ---- IO channels ---- */

static const char *const directions[] = {"", "in", "out", "inout", NULL};
static const char *const units[] = {"line", "string", "chars", "bytes", NULL};

/* Which of LIST it is; OTHERWISE when it is left out. */
static bool read_choice(reading_t *r, node_t node, const char *what, const char *const *list,
                        uint64_t otherwise, uint64_t *ret)
{
    *ret = otherwise;
    if (node_absent(node)) return true;
    for (uint64_t i = 0; list[i]; i++) {
        if (!list[i][0] || !node_is(node, list[i])) continue;
        *ret = i;
        return true;
    }
    return wrong(r, "%.200s: what is this direction or unit?", what);
}

static bool read_channel(reading_t *r, node_t name_node, node_t channel)
{
    static const char *const keys[] = {"direction", "hostport", "path", "type", "unit", NULL};
    char name[NAME_ROOM], what[NAME_ROOM + 8], type[NAME_ROOM], place[TEXT_ROOM] = "";
    if (!read_text(r, name_node, NAME_BYTES_MAX, "a channel's name", name)) return false;
    snprintf(what, sizeof what, "io.%s", name);
    msg_launch_channel_t row = {.name = text_of(name)};
    if (!read_keys(r, channel, what, keys) ||
        !read_text(r, node_member(channel, "type"), NAME_BYTES_MAX, what, type) ||
        !read_choice(r, node_member(channel, "direction"), what, directions, 3, &row.direction) ||
        !read_choice(r, node_member(channel, "unit"), what, units, 0, &row.unit)) {
        return false;
    }
    bool file = !strcmp(type, "file") || !strcmp(type, "socket");
    bool net = !strcmp(type, "listen") || !strcmp(type, "network");
    if (!file && !net && strcmp(type, "console"))
        return wrong(r, "%.200s: no type of channel", what);
    node_t where = node_member(channel, file ? "path" : "hostport");
    if ((file || net) && !read_text(r, where, PATH_BYTES_MAX, what, place)) return false;
    if (file && place[0] != '/') return wrong(r, "%.200s: an absolute path is wanted", what);
    row.type = text_of(type);
    row.place = text_of(place);
    return add_row(r, &r->parts->channels, TAG_launch_channel, &row);
}

static bool read_channels(reading_t *r)
{
    node_t io = node_member(r->config, "io"), at = {0}, name;
    if (node_absent(io)) return true;
    if (node_kind(io) != NODE_RECORD) return wrong(r, "io: a record is wanted");
    while (node_next(io, &at, &name))
        if (!read_channel(r, name, at)) return false;
    return true;
}

/* Each once, and none that is the name of a channel: that is there anyway. */
static bool read_services(reading_t *r)
{
    node_t list = node_member(r->config, "services"), io = node_member(r->config, "io");
    text_t word;
    if (!read_words(r, list, "services")) return false;
    AUTO(blob) all = text_blob(words(r));
    buf_reset(&r->words);
    for (size_t at = 0; word_next(blob_text(all), &at, &word);) {
        if (word_in(words(r), word) || !node_absent(member_named(io, word))) continue;
        must(buf_add(&r->words, " ", r->words.len > 0) == ERR_OK);
        must(buf_add(&r->words, word.at, word.len) == ERR_OK);
    }
    return true;
}

/* What a LAUNCH of CONFIG says; or WHY it cannot be. Either way launch_parts_clear() afterwards. */
bool config_read(call_t *call, node_t config, launch_parts_t *ret, char *why, size_t room)
{
    static const char *const keys[] = {"bootstrap", "bundles", "forceReset", "io",
                                       "services",  "vats",    NULL};
    reading_t r = {.k = call->k,
                   .cluster = cluster_find(call->k, call->service->row.cluster),
                   .config = config,
                   .bundles = node_member(config, "bundles"),
                   .parts = ret,
                   .words = buf_of(TEXT_BYTES_MAX),
                   .why = why,
                   .room = room};
    *ret = (launch_parts_t){.vats = buf_of(LAUNCH_BYTES_MAX),
                            .bundles = buf_of(LAUNCH_NAMES_BYTES_MAX),
                            .channels = buf_of(LAUNCH_NAMES_BYTES_MAX)};
    bool good = read_keys(&r, config, "config", keys) && read_vats(&r) && read_bundles(&r) &&
                read_channels(&r) && read_services(&r);
    ret->services = r.words;
    return good;
}

void launch_parts_clear(launch_parts_t *parts)
{
    buf_clear(&parts->vats);
    buf_clear(&parts->services);
    buf_clear(&parts->bundles);
    buf_clear(&parts->channels);
}

/* ---- writing: properties in the order of their names ---- */

static err_t put_words(buf_t *out, text_t list)
{
    text_t word;
    err_t err = buf_text(out, "[");
    for (size_t at = 0, n = 0; !err && word_next(list, &at, &word); n++) {
        if (n) err = buf_text(out, ",");
        if (!err) err = smallcaps_string(out, word);
    }
    return err ? err : buf_text(out, "]");
}

static err_t put_vat(buf_t *out, text_t bundle, text_t globals, text_t hosts, bin_t parameters)
{
    err_t err = buf_text(out, "{\"bundleHash\":");
    if (!err) err = smallcaps_string(out, bundle);
    if (!err && globals.len) {
        err = buf_text(out, ",\"globals\":");
        if (!err) err = put_words(out, globals);
    }
    if (!err && hosts.len) {
        err = buf_text(out, ",\"network\":{\"allowedHosts\":");
        if (!err) err = put_words(out, hosts);
        if (!err) err = buf_text(out, "}");
    }
    if (!err && parameters.len > 3) { /* more than #{} */
        err = buf_text(out, ",\"parameters\":");
        if (!err) err = buf_add(out, parameters.at + 1, parameters.len - 1);
    }
    return err ? err : buf_text(out, "}");
}

/* What VAT was made of, but for its parameters. */
err_t config_vat(buf_t *out, const kvat_t *vat)
{
    return put_vat(out, vat->row.bundle, vat->row.globals, vat->row.hosts, (bin_t){0});
}

static err_t put_row(buf_t *out, const msg_t *row)
{
    const msg_body_t *body = &row->body;
    err_t err = ERR_OK;
    switch (row->tag) {
    case TAG_launch_vat:
        err = smallcaps_string(out, body->launch_vat.name);
        if (!err) err = buf_text(out, ":");
        return err ? err
                   : put_vat(out, body->launch_vat.bundle, body->launch_vat.globals,
                             body->launch_vat.hosts, body->launch_vat.parameters);
    case TAG_launch_bundle:
        err = smallcaps_string(out, body->launch_bundle.name);
        if (!err) err = buf_text(out, ":");
        return err ? err
                   : put_vat(out, body->launch_bundle.bundle, (text_t){0}, (text_t){0}, (bin_t){0});
    default: break;
    }
    const msg_launch_channel_t *channel = &body->launch_channel;
    bool net = text_is(channel->type, "listen") || text_is(channel->type, "network");
    err = smallcaps_string(out, channel->name);
    if (!err) err = buf_text(out, ":{\"direction\":\"");
    if (!err) err = buf_text(out, directions[channel->direction]);
    if (!err) err = buf_text(out, "\"");
    if (!err && channel->place.len) {
        err = buf_text(out, net ? ",\"hostport\":" : ",\"path\":");
        if (!err) err = smallcaps_string(out, channel->place);
    }
    if (!err) err = buf_text(out, ",\"type\":");
    if (!err) err = smallcaps_string(out, channel->type);
    if (!err) err = buf_text(out, ",\"unit\":\"");
    if (!err) err = buf_text(out, units[channel->unit]);
    return err ? err : buf_text(out, "\"}");
}

/* "NAME":{...}, of the rows in FRAMES; nothing when there are none. */
static err_t put_rows(buf_t *out, const char *name, bin_t frames)
{
    err_t err = ERR_OK;
    if (!frames.len) return ERR_OK;
    err = buf_text(out, name);
    for (size_t n = 0; !err && frames.len > 0; n++) {
        msg_t row;
        must(msg_next(&frames, &row) == ERR_OK); /* it was checked at the launch */
        if (n) err = buf_text(out, ",");
        if (!err) err = put_row(out, &row);
        msg_clear(&row);
    }
    return err ? err : buf_text(out, "}");
}

static err_t put_bootstrap(buf_t *out, const kernel_t *k, const kcluster_t *cluster)
{
    err_t err = buf_text(out, "\"bootstrap\":");
    if (!err) err = smallcaps_string(out, vat_find(k, cluster->row.bootstrap)->row.name);
    return err;
}

static err_t put_vat_numbers(buf_t *out, const kcluster_t *cluster)
{
    err_t err = ERR_OK;
    for (size_t i = 0, n = 0; !err && i < cluster->vat_count; i++) {
        const kvat_t *vat = cluster->vats[i];
        if (vat->row.dynamic || !vat_alive(vat)) continue;
        if (n++) err = buf_text(out, ",");
        if (!err) err = smallcaps_string(out, vat->row.name);
        if (!err) err = buf_print(out, ":\"v%u\"", vat->id.n);
    }
    return err;
}

/* {config, id, vats}: how it was launched, its number, and which of its vats live under what number. */
err_t config_cluster(buf_t *out, const kernel_t *k, const kcluster_t *cluster)
{
    msg_t launch;
    must(msg_decode(blob_bin(cluster->config->launch), &launch) == ERR_OK);
    const msg_launch_t *msg = &launch.body.launch;
    err_t err = buf_text(out, "{\"config\":{");
    if (!err) err = put_bootstrap(out, k, cluster);
    if (!err) err = put_rows(out, ",\"bundles\":{", msg->bundles);
    if (!err) err = put_rows(out, ",\"io\":{", msg->channels);
    if (!err && msg->services.len) {
        err = buf_text(out, ",\"services\":");
        if (!err) err = put_words(out, msg->services);
    }
    if (!err) err = put_rows(out, ",\"vats\":{", msg->vats);
    if (!err) err = buf_print(out, "},\"id\":\"s%u\",\"vats\":{", (unsigned)cluster->row.cluster);
    if (!err) err = put_vat_numbers(out, cluster);
    msg_clear(&launch);
    return err ? err : buf_text(out, "}}");
}
