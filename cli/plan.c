#include "cli/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/schema.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

extern const char cluster_schema_text[];

enum { CLUSTER_FILE_BYTES_MAX = 16 * 1024 * 1024, HOSTS_WAIT_MS = 30 * 1000 };

char *file_read(const char *path, size_t max, size_t *ret_len, fail_t *f)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    char *text = NULL;
    size_t len = 0;
    ssize_t n = -1;

    if (fd >= 0 && fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode))
        errno = EISDIR;
    else if (fd >= 0) {
        text = malloc(max + 1);
        must(text);
        while (len <= max && (n = read(fd, text + len, max + 1 - len)) > 0) len += (size_t)n;
    }
    if (n < 0 || len > max) {
        fail(f, ERR_FILE_MISSING, "%s cannot be read", path);
        fail_why(f, "%s", n < 0 ? strerror(errno) : "it is too large");
        free(text);
        text = NULL;
    }
    if (fd >= 0) close(fd);
    if (!text) return NULL;
    text[len] = 0;
    *ret_len = len;
    return realloc(text, len + 1);
}

void plan_place(const plan_t *self, const char *pointer, bool key, fail_t *f)
{
    unsigned line = 0, column = 0;
    char copy[FAIL_NAME_MAX];

    snprintf(copy, sizeof copy, "%s", pointer);
    bool found = json_place(self->text, self->len, copy, key, &line, &column);
    fail_at(f, self->path, line, column, copy);
    if (!found) return;

    const char *at = self->text;
    for (unsigned i = 1; i < line && strchr(at, '\n'); i++) at = strchr(at, '\n') + 1;
    at += strspn(at, " \t");
    size_t len = strcspn(at, "\r\n");
    /* One-line files have no excerpt worth showing. */
    if (len <= 80) snprintf(f->excerpt, sizeof f->excerpt, "%.*s", (int)len, at);
}

void plan_warn(plan_t *self, const char *format, ...)
{
    char text[FAIL_NAME_MAX];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    self->warnings = realloc(self->warnings, (self->warning_count + 1) * sizeof *self->warnings);
    must(self->warnings);
    self->warnings[self->warning_count++] = strdup(text);
}

static err_t form_check(plan_t *self, fail_t *f)
{
    json_t *schema = json_read(cluster_schema_text, strlen(cluster_schema_text), "schema", f);
    bool at_key = false;

    must(schema);
    err_t err = schema_check(schema, self->root, f, &at_key);
    if (err) plan_place(self, f->pointer, at_key, f);
    json_decref(schema);
    return err;
}

/* "hello" for hello.json and for hello/cluster.json. */
static void name_from_path(const char *path, char *ret, size_t room)
{
    char real[PATH_MAX], copy[PATH_MAX];

    if (!realpath(path, real)) snprintf(real, sizeof real, "%s", path);
    snprintf(copy, sizeof copy, "%s", real);
    snprintf(ret, room, "%.200s", basename(copy));
    char *dot = strrchr(ret, '.');
    if (dot && dot > ret) *dot = 0;
    if (strcmp(ret, "cluster") != 0) return;
    snprintf(copy, sizeof copy, "%s", real);
    snprintf(real, sizeof real, "%s", dirname(copy));
    const char *folder = basename(real);
    if (strcmp(folder, "/") != 0 && strcmp(folder, ".") != 0) snprintf(ret, room, "%.200s", folder);
}

/* "64Mi", "1.5k", or a number of bytes. The form was checked. */
static uint64_t size_read(const json_t *value)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},    {"B", 1},          {"k", 1e3}, {"Ki", 1024},
                 {"M", 1e6}, {"Mi", 1048576.0}, {"G", 1e9}, {"Gi", 1073741824.0}};
    char *end = NULL;

    if (!json_is_string(value)) return (uint64_t)fmin(json_number_value(value), 1e15);
    double number = strtod(json_string_value(value), &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].name, end) == 0) return (uint64_t)fmin(number * units[i].bytes, 1e15);
    }
    return 0;
}

/* A count from 1, or "never". The broker has no larger count than that. */
static uint64_t reap_read(const json_t *value)
{
    return json_is_string(value) ? REAP_NEVER
                                 : (uint64_t)fmin(json_number_value(value), REAP_NEVER);
}

static uint64_t ms_read(const json_t *value)
{
    uint64_t ms = 0;

    if (!json_is_string(value)) return (uint64_t)ceil(fmin(json_number_value(value), 1e12) * 1000);
    must(duration_read(json_string_value(value), &ms));
    return ms;
}

/* Whatever is 0 is the default, so the least that can be asked for is 1. */
static uint64_t one_at_least(uint64_t n) { return n ? n : 1; }

static void persistence_apply(cluster_vat_t *vat, const json_t *from)
{
    const json_t *value;

    if ((value = json_object_get(from, "snapshotEvery"))) {
        vat->every_rows = reap_read(value);
        if (json_is_string(value)) vat->every_bytes = vat->idle_ms = REAP_NEVER;
    }
    if ((value = json_object_get(from, "snapshotBytes")))
        vat->every_bytes = one_at_least(size_read(value));
    if ((value = json_object_get(from, "snapshotAfter")))
        vat->idle_ms = one_at_least(ms_read(value));
    if ((value = json_object_get(from, "sleepAfter"))) {
        bool never = json_is_string(value) && strcmp(json_string_value(value), "never") == 0;
        vat->sleep_ms = never ? 0 : one_at_least(ms_read(value));
    }
    if ((value = json_object_get(from, "mirror"))) vat->mirror = json_is_true(value);
    if ((value = json_object_get(from, "onPoison"))) {
        enum { TERMINATE = 1, REJECT = 2 };
        vat->poison = strcmp(json_string_value(value), "reject") == 0 ? REJECT : TERMINATE;
    }
}

/* Takes from DEPLOY what it says, over what was said before. */
static void deploy_apply(cluster_vat_t *vat, const json_t *deploy)
{
    const json_t *limits = json_object_get(deploy, "limits");
    const json_t *host = json_object_get(json_object_get(deploy, "placement"), "host"), *value;

    if ((value = json_object_get(limits, "heap"))) vat->heap_bytes = size_read(value);
    if ((value = json_object_get(limits, "computronsPerDelivery"))) {
        vat->computrons = (uint64_t)fmin(json_number_value(value), 1e18);
    }
    if ((value = json_object_get(limits, "wallPerDelivery"))) vat->wall_ms = ms_read(value);
    if ((value = json_object_get(deploy, "window")))
        vat->window = (uint64_t)json_number_value(value);
    persistence_apply(vat, json_object_get(deploy, "persistence"));
    if (host) snprintf(vat->host, sizeof vat->host, "%s", json_string_value(host));
}

/* SwingSet's keys: those of the vat, else the file's defaults for all. */
static void options_apply(cluster_vat_t *vat, const json_t *root, const json_t *options)
{
    const json_t *deliveries = json_object_get(options, "reapInterval");
    const json_t *krefs = json_object_get(options, "reapGCKrefs");

    vat->critical = json_is_true(json_object_get(options, "critical"));
    if (!deliveries) deliveries = json_object_get(root, "defaultReapInterval");
    if (!krefs) krefs = json_object_get(root, "defaultReapGCKrefs");
    const json_t *snapshots = json_object_get(root, "snapshotInterval");
    if (snapshots) vat->every_rows = reap_read(snapshots);
    if (deliveries) vat->reap_deliveries = reap_read(deliveries);
    if (krefs) vat->reap_krefs = reap_read(krefs);
    if (json_is_true(json_object_get(options, "neverReap")))
        vat->reap_deliveries = vat->reap_krefs = REAP_NEVER;
}

err_t plan_code(const plan_t *self, const json_t *from, code_t *code, fail_t *f)
{
    const json_t *value;
    const char *key = NULL;

    if ((value = json_object_get(from, "bundleName"))) {
        const json_t *bundles = json_object_get(self->root, "bundles");
        const json_t *bundle = json_object_get(bundles, json_string_value(value));
        if (!bundle) {
            fail(f, ERR_REFERENCE, "no bundle \"%.200s\" in this file", json_string_value(value));
            pointer_add(code->pointer, sizeof code->pointer, "bundleName");
            plan_place(self, code->pointer, false, f);
            return ERR_REFERENCE;
        }
        strcpy(code->pointer, "/bundles");
        pointer_add(code->pointer, sizeof code->pointer, json_string_value(value));
        from = bundle;
    }
    if ((value = json_object_get(from, "sourceSpec"))) {
        key = "sourceSpec";
        code->kind = CODE_SOURCE;
    } else if ((value = json_object_get(from, "bundleSpec"))) {
        key = "bundleSpec";
        code->kind = CODE_BUNDLE;
    } else if ((value = json_object_get(from, "nativeSpec"))) {
        key = "nativeSpec";
        code->kind = CODE_NATIVE;
    } else {
        value = json_object_get(from, key = "bundleHash");
        code->kind = CODE_HASH;
    }
    must(value); /* the schema */
    code->spec = json_string_value(value);
    pointer_add(code->pointer, sizeof code->pointer, key);
    return ERR_OK;
}

static err_t parameters_make(cluster_vat_t *vat, fail_t *f)
{
    buf_clear(&vat->parameters);
    vat->parameters = buf_of(CAPDATA_BYTES_MAX);
    err_t err = buf_add(&vat->parameters, "#", 1);
    if (!err) err = value_add_json(&vat->parameters, vat->values);
    if (!err) return ERR_OK;
    return fail(f, ERR_VALUE_TYPE, "the parameters of vat \"%s\" are too large", vat->name);
}

err_t plan_argv(plan_t *self, char *const *words, size_t count, fail_t *f)
{
    cluster_vat_t *vat = &self->vats[self->bootstrap];
    json_t *argv = json_array();

    for (size_t i = 0; i < count; i++) json_array_append_new(argv, json_text(text_of(words[i])));
    json_object_set_new(vat->values, "argv", argv);
    return parameters_make(vat, f);
}

err_t plan_window(plan_t *self, uint64_t window, fail_t *f)
{
    if (window < 1 || window > WINDOW_MAX) {
        fail(f, ERR_BAD_VALUE, "a window of %llu is not possible", (unsigned long long)window);
        fail_why(f, "a vat has from 1 to %d deliveries in flight", WINDOW_MAX);
        return ERR_BAD_VALUE;
    }
    for (size_t i = 0; i < self->vat_count; i++) self->vats[i].window = window;
    return ERR_OK;
}

static err_t vat_add(plan_t *self, const char *key, const json_t *from, const char *name,
                     long index, fail_t *f)
{
    cluster_vat_t *vat = &self->vats[self->vat_count];
    const json_t *deploy = json_object_get(self->root, "deploy");
    json_t *parameters = json_copy(json_object_get(from, "parameters"));

    *vat = (cluster_vat_t){.values = parameters ? parameters : json_object()};
    self->vat_count++;
    snprintf(vat->name, sizeof vat->name, "%s", name);
    strcpy(vat->code.pointer, "/vats");
    pointer_add(vat->code.pointer, sizeof vat->code.pointer, key);
    options_apply(vat, self->root, json_object_get(from, "creationOptions"));
    deploy_apply(vat, deploy);
    deploy_apply(vat, json_object_get(from, "deploy"));
    deploy_apply(vat, json_object_get(json_object_get(deploy, "vats"), key));

    if (index >= 0) json_object_set_new(vat->values, "index", json_real((double)index));
    err_t err = parameters_make(vat, f);
    if (err) {
        plan_place(self, vat->code.pointer, true, f);
        return err;
    }
    err = plan_reach_vat(self, name, from, vat->code.pointer, vat, f);
    return err ? err : plan_code(self, from, &vat->code, f);
}

static err_t count_check(plan_t *self, fail_t *f)
{
    json_t *vats = json_object_get(self->root, "vats"), *from;
    double count = 0;
    const char *key;

    json_object_foreach(vats, key, from)
    {
        const json_t *copies = json_object_get(from, "count");
        count += copies ? json_number_value(copies) : 1;
    }
    if (count > CLUSTER_VATS_MAX) {
        fail(f, ERR_NOT_SUPPORTED, "%.0f vats are too many for one cluster", count);
        fail_why(f, "at most %d", CLUSTER_VATS_MAX);
        plan_place(self, "/vats", true, f);
        return ERR_NOT_SUPPORTED;
    }
    self->vats = calloc((size_t)count, sizeof *self->vats);
    must(self->vats);
    return ERR_OK;
}

static int name_order(const void *left, const void *right)
{
    const cluster_vat_t *const *a = left, *const *b = right;

    return strcmp((*a)->name, (*b)->name);
}

/* "worker0" may be written out and made by a count. */
static err_t names_check(const plan_t *self, fail_t *f)
{
    const cluster_vat_t **sorted = calloc(self->vat_count, sizeof *sorted);
    const cluster_vat_t *twice = NULL;

    must(sorted);
    for (size_t i = 0; i < self->vat_count; i++) sorted[i] = &self->vats[i];
    qsort(sorted, self->vat_count, sizeof *sorted, name_order);
    for (size_t i = 1; i < self->vat_count && !twice; i++) {
        if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0) twice = sorted[i];
    }
    free(sorted);
    if (!twice) return ERR_OK;

    fail(f, ERR_REFERENCE, "two vats have the name \"%s\"", twice->name);
    fail_why(f, "one of them is made by \"count\"");
    char pointer[FAIL_NAME_MAX] = "/vats";
    pointer_add(pointer, sizeof pointer, twice->name);
    plan_place(self, pointer, true, f);
    return ERR_REFERENCE;
}

static err_t vats_make(plan_t *self, fail_t *f)
{
    json_t *vats = json_object_get(self->root, "vats"), *from;
    const char *key;
    char name[NAME_BYTES_MAX + 1];
    err_t err = count_check(self, f);

    if (err) return err;
    json_object_foreach(vats, key, from)
    {
        const json_t *copies = json_object_get(from, "count");
        long count = copies ? (long)json_number_value(copies) : 1;
        for (long i = 0; i < count && !err; i++) {
            snprintf(name, sizeof name, "%s", key);
            if (copies) snprintf(name, sizeof name, "%.200s%ld", key, i);
            err = vat_add(self, key, from, name, copies ? i : -1, f);
        }
        if (err) return err;
    }
    return names_check(self, f);
}

static err_t bootstrap_find(plan_t *self, fail_t *f)
{
    const char *wanted = json_string_value(json_object_get(self->root, "bootstrap"));
    const char *names[64], *like;
    size_t count = 0;

    for (size_t i = 0; i < self->vat_count; i++) {
        self->bootstrap = i;
        if (strcmp(self->vats[i].name, wanted) == 0) return ERR_OK;
        if (count < 64) names[count++] = self->vats[i].name;
    }
    like = nearest(wanted, names, count);
    fail(f, ERR_REFERENCE, "bootstrap names a vat \"%.200s\" that the file does not have", wanted);
    if (like) fail_try(f, "\"bootstrap\": \"%s\"", like);
    plan_place(self, "/bootstrap", false, f);
    return ERR_REFERENCE;
}

static err_t plan_make(plan_t *self, fail_t *f)
{
    const json_t *deploy = json_object_get(self->root, "deploy");
    const json_t *hosts = json_object_get(deploy, "hosts"), *value;
    err_t err = plan_honour(self, f);

    if (!err) err = vats_make(self, f);
    if (!err) err = bootstrap_find(self, f);
    if (!err) err = plan_reach(self, f);
    self->serial = json_is_true(json_object_get(deploy, "serial"));
    self->hosts_min = 1;
    self->hosts_wait_ms = HOSTS_WAIT_MS;
    if ((value = json_object_get(hosts, "min"))) {
        self->hosts_min = (uint64_t)fmin(json_number_value(value), 1e6);
    }
    if ((value = json_object_get(hosts, "wait"))) self->hosts_wait_ms = ms_read(value);
    return err;
}

plan_t *plan_new(const char *path, bool schema_only, fail_t *f)
{
    AUTO(plan) self = calloc(1, sizeof *self);
    must(self);

    snprintf(self->path, sizeof self->path, "%s", path);
    self->text = file_read(path, CLUSTER_FILE_BYTES_MAX, &self->len, f);
    if (!self->text) {
        if (strstr(f->why, "No such file"))
            fail_try(f, "vatctl demo      lists clusters that come with vatctl");
        return NULL;
    }
    self->root = json_read(self->text, self->len, path, f);
    if (!self->root) return NULL;
    if (form_check(self, f)) return NULL;

    const char *name = json_string_value(json_object_get(self->root, "name"));
    if (name)
        snprintf(self->name, sizeof self->name, "%s", name);
    else
        name_from_path(path, self->name, sizeof self->name);
    if (!schema_only && plan_make(self, f)) return NULL;
    return TAKE(self);
}

void plan_destroy(plan_t **self_p)
{
    plan_t *self = *self_p;
    if (!self) return;

    for (size_t i = 0; i < self->vat_count; i++) {
        json_decref(self->vats[i].values);
        buf_clear(&self->vats[i].parameters);
    }
    for (size_t i = 0; i < self->warning_count; i++) free(self->warnings[i]);
    free(self->warnings);
    free(self->channels);
    free(self->bundles);
    free(self->vats);
    json_decref(self->root);
    free(self->text);
    free(self);
    *self_p = NULL;
}
