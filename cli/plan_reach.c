/* What the vats of a plan may reach beside each other: services, IO channels, code by name; and one
 * vat's globals and hosts. The kernel has the last word on all of it; what is wrong whatever kernel
 * it meets is told here, with its place. */
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cli/json.h"
#include "cli/plan.h"
#include "cli/schema.h"
#include "wire/base/must.h"

static const char *const known_services[] = {"vatAdmin", "timer", "kernelFacet"};

static const char *const known_globals[] = {
#define GLOBAL(name, outside) #name,
#include "wire/schema/global.def"
#undef GLOBAL
};

enum {
    KNOWN_SERVICES = sizeof known_services / sizeof *known_services,
    KNOWN_GLOBALS = sizeof known_globals / sizeof *known_globals
};

static bool among(const char *const names[], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) return true;
    }
    return false;
}

/* Item INDEX of the list KEY of what stands at POINTER, whose text is as before on return. */
static err_t item_fail(const plan_t *self, char *pointer, const char *key, size_t index, fail_t *f)
{
    size_t len = strlen(pointer);
    char text[24];

    snprintf(text, sizeof text, "%zu", index);
    pointer_add(pointer, FAIL_NAME_MAX, key);
    pointer_add(pointer, FAIL_NAME_MAX, text);
    plan_place(self, pointer, false, f);
    pointer[len] = 0;
    return f->err;
}

/* Names go to the broker in one text. */
static bool names_add(char ret[TEXT_BYTES_MAX + 1], const char *name)
{
    size_t len = strlen(ret), more = strlen(name);

    if (!more || strpbrk(name, " \t\r\n") || len + 1 + more > TEXT_BYTES_MAX) return false;
    if (len) ret[len++] = ' ';
    memcpy(ret + len, name, more + 1);
    return true;
}

/* ---- one vat ---- */

static err_t globals_read(const plan_t *self, const char *name, const json_t *globals,
                          char *pointer, cluster_vat_t *vat, fail_t *f)
{
    for (size_t i = 0; i < json_array_size(globals); i++) {
        const char *global = json_string_value(json_array_get(globals, i));
        if (among(known_globals, KNOWN_GLOBALS, global)) {
            must(names_add(vat->globals, global));
            continue;
        }
        const char *like = nearest(global, known_globals, KNOWN_GLOBALS);
        fail(f, ERR_GLOBAL_UNKNOWN, "Vat \"%.100s\" requested unknown global \"%.200s\"", name,
             global);
        if (like) fail_try(f, "\"%s\"", like);
        return item_fail(self, pointer, "globals", i, f);
    }
    return ERR_OK;
}

static err_t hosts_read(const plan_t *self, const json_t *hosts, char *pointer, cluster_vat_t *vat,
                        fail_t *f)
{
    size_t len = strlen(pointer);

    for (size_t i = 0; i < json_array_size(hosts); i++) {
        const char *host = json_string_value(json_array_get(hosts, i));
        if (names_add(vat->hosts, host)) continue;
        fail(f, ERR_VALUE_TYPE, "\"%.200s\" is no name of a host", host);
        fail_why(f, "it is empty or has blanks, or all of them are more than %d bytes",
                 TEXT_BYTES_MAX);
        pointer_add(pointer, FAIL_NAME_MAX, "network");
        err_t err = item_fail(self, pointer, "allowedHosts", i, f);
        pointer[len] = 0;
        return err;
    }
    /* No host at all is another thing than no list: fetch is there, and refuses everything. */
    if (hosts && !json_array_size(hosts)) strcpy(vat->hosts, " ");
    return ERR_OK;
}

err_t plan_reach_vat(const plan_t *self, const char *name, const json_t *from, char *pointer,
                     cluster_vat_t *vat, fail_t *f)
{
    const json_t *globals = json_object_get(from, "globals");
    const json_t *hosts = json_object_get(json_object_get(from, "network"), "allowedHosts");
    err_t err = globals_read(self, name, globals, pointer, vat, f);

    if (!err) err = hosts_read(self, hosts, pointer, vat, f);
    for (size_t i = 0; i < json_array_size(globals) && !err && !hosts; i++) {
        if (strcmp(json_string_value(json_array_get(globals, i)), "fetch") != 0) continue;
        fail(f, ERR_FETCH_HOSTS,
             "Vat \"%.100s\" requested \"fetch\" but no network.allowedHosts was specified", name);
        fail_try(f, "\"network\": {\"allowedHosts\": [\"api.example.com\"]}");
        err = item_fail(self, pointer, "globals", i, f);
    }
    return err;
}

/* ---- channels ---- */

/* SPEC seen from the folder of the cluster file; the broker stands somewhere else. */
static bool path_absolute(const plan_t *self, const char *spec, char ret[PATH_BYTES_MAX + 1])
{
    char copy[FAIL_NAME_MAX], folder[PATH_MAX];

    snprintf(copy, sizeof copy, "%s", self->path);
    if (*spec == '/') return snprintf(ret, PATH_BYTES_MAX + 1, "%s", spec) <= PATH_BYTES_MAX;
    if (!realpath(dirname(copy), folder)) return false;
    return snprintf(ret, PATH_BYTES_MAX + 1, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder,
                    spec) <= PATH_BYTES_MAX;
}

/* host:port; the host may be left out, and is in brackets when it has colons itself. */
static bool is_hostport(const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;

    if (!colon || colon[1] < '0' || colon[1] > '9' || strpbrk(text, " \t\r\n")) return false;
    if (memchr(text, ':', (size_t)(colon - text)) && (*text != '[' || colon[-1] != ']'))
        return false;
    return strtoul(colon + 1, &end, 10) <= 65535 && !*end;
}

static uint64_t place_of(const char *const words[], const json_t *value, uint64_t otherwise)
{
    for (uint64_t i = 0; value && words[i]; i++) {
        if (strcmp(words[i], json_string_value(value)) == 0) return i;
    }
    return otherwise;
}

static err_t channel_fail(const plan_t *self, const cluster_channel_t *channel, const char *key,
                          const char *why, fail_t *f)
{
    char pointer[FAIL_NAME_MAX] = "/io";

    fail(f, ERR_VALUE_TYPE, "the IO channel \"%.100s\" cannot be", channel->name);
    fail_why(f, "%s", why);
    pointer_add(pointer, sizeof pointer, channel->name);
    if (key) pointer_add(pointer, sizeof pointer, key);
    plan_place(self, pointer, !key, f);
    return ERR_VALUE_TYPE;
}

static err_t channel_read(plan_t *self, const char *name, const json_t *from, fail_t *f)
{
    static const char *const directions[] = {"", "in", "out", "inout", NULL};
    static const char *const units[] = {"line", "string", "chars", "bytes", NULL};
    cluster_channel_t *channel = &self->channels[self->channel_count];
    const char *hostport = json_string_value(json_object_get(from, "hostport"));
    const char *path = json_string_value(json_object_get(from, "path"));

    snprintf(channel->name, sizeof channel->name, "%s", name);
    if (strlen(name) > NAME_BYTES_MAX || !*name)
        return channel_fail(self, channel, NULL, "its name is empty or too long", f);
    channel->type = json_string_value(json_object_get(from, "type"));
    channel->direction = place_of(directions, json_object_get(from, "direction"), 3);
    channel->unit = place_of(units, json_object_get(from, "unit"), 0);
    bool is_net = strcmp(channel->type, "listen") == 0 || strcmp(channel->type, "network") == 0;
    bool is_socket = strcmp(channel->type, "socket") == 0;
    if (is_net) {
        if (strlen(hostport) > PATH_BYTES_MAX || !is_hostport(hostport))
            return channel_fail(self, channel, "hostport", "HOST:PORT is wanted", f);
        strcpy(channel->place, hostport);
    } else if (is_socket || strcmp(channel->type, "file") == 0) {
        if (!*path || !path_absolute(self, path, channel->place))
            return channel_fail(self, channel, "path", "it is empty or too long", f);
        if (is_socket && strlen(channel->place) >= sizeof((struct sockaddr_un *)0)->sun_path)
            return channel_fail(self, channel, "path",
                                "a socket's absolute path has at most 107 bytes", f);
    }
    self->channel_count++;
    return ERR_OK;
}

static err_t channels_read(plan_t *self, fail_t *f)
{
    json_t *io = json_object_get(self->root, "io"), *from;
    const char *name;
    err_t err = ERR_OK;

    self->channels = calloc(json_object_size(io) + 1, sizeof *self->channels);
    must(self->channels);
    json_object_foreach(io, name, from) if (!err) err = channel_read(self, name, from, f);
    return err;
}

/* ---- services, bundles ---- */

static err_t services_read(plan_t *self, fail_t *f)
{
    const json_t *services = json_object_get(self->root, "services");
    const json_t *io = json_object_get(self->root, "io");
    char pointer[FAIL_NAME_MAX] = "";

    self->services_given = services != NULL;
    for (size_t i = 0; i < json_array_size(services); i++) {
        const char *name = json_string_value(json_array_get(services, i));
        /* bootstrap gets every channel anyway */
        if (json_object_get(io, name)) continue;
        if (!names_add(self->services, name)) {
            fail(f, ERR_SERVICE_UNKNOWN, "no registered kernel service '%.200s'", name);
            return item_fail(self, pointer, "services", i, f);
        }
        if (!among(known_services, KNOWN_SERVICES, name))
            plan_warn(self, "no registered kernel service '%.200s'", name);
    }
    return ERR_OK;
}

static err_t bundles_read(plan_t *self, fail_t *f)
{
    json_t *bundles = json_object_get(self->root, "bundles"), *from;
    const char *name;

    self->bundles = calloc(json_object_size(bundles) + 1, sizeof *self->bundles);
    must(self->bundles);
    json_object_foreach(bundles, name, from)
    {
        cluster_bundle_t *bundle = &self->bundles[self->bundle_count];
        strcpy(bundle->code.pointer, "/bundles");
        pointer_add(bundle->code.pointer, sizeof bundle->code.pointer, name);
        if (!*name || strlen(name) > NAME_BYTES_MAX) {
            fail(f, ERR_VALUE_TYPE, "a bundle cannot have the name \"%.100s\"", name);
            fail_why(f, "it is empty or longer than %d bytes", NAME_BYTES_MAX);
            plan_place(self, bundle->code.pointer, true, f);
            return ERR_VALUE_TYPE;
        }
        strcpy(bundle->name, name);
        err_t err = plan_code(self, from, &bundle->code, f);
        if (err) return err;
        self->bundle_count++;
    }
    return ERR_OK;
}

err_t plan_reach(plan_t *self, fail_t *f)
{
    err_t err = services_read(self, f);

    if (!err) err = bundles_read(self, f);
    return err ? err : channels_read(self, f);
}
