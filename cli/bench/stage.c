#include "cli/bench/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/process.h"
#include "cli/rows.h"
#include "wire/base/must.h"

enum { ROUNDS_MAX = 20, STALE_ROUNDS = 2, QUIET_MS = 60 * 1000 };

static err_t folder_temporary(stage_t *self, fail_t *f)
{
    const char *tmp = getenv("TMPDIR");

    /* Paths of sockets are short: a long TMPDIR is of no use to them. */
    snprintf(self->temporary, sizeof self->temporary, "%s/vatyard-bench-XXXXXX",
             tmp && *tmp == '/' && strlen(tmp) < 60 ? tmp : "/tmp");
    if (mkdtemp(self->temporary)) return ERR_OK;
    fail(f, ERR_STORE, "a temporary folder cannot be made");
    fail_why(f, "%s: %s", self->temporary, strerror(errno));
    *self->temporary = 0;
    return ERR_STORE;
}

static err_t broken(void *context, fail_t *f)
{
    stage_t *self = context;

    return instance_broken(&self->instance, f) ? f->err : ERR_OK;
}

static err_t broker_own(stage_t *self, fail_t *f)
{
    char socket[PATH_MAX + 8];

    snprintf(socket, sizeof socket, "%s/c", self->temporary);
    self->own = true;
    const instance_options_t instance = {.folder = self->temporary,
                                         .socket = socket,
                                         .hosts = (size_t)self->options->hosts,
                                         .kind = INSTANCE_OWN};
    err_t err = instance_start(&self->instance, &instance, READY_MS, f);
    if (err) return err;
    self->link = link_new(self->instance.control, ANSWER_MS, f);
    if (!self->link) return f->err;
    link_on_silence(self->link, broken, self);
    return ERR_OK;
}

/* Without --hosts: the broker that runs, or else one of our own with one host. */
static err_t broker_find(stage_t *self, options_t *options, fail_t *f)
{
    const char *endpoint = args_text(&self->cli->args, "endpoint"),
               *set = getenv("VATYARD_ENDPOINT");
    bool named = (endpoint && *endpoint) || (set && *set);

    if (options->hosts) return broker_own(self, f);
    self->link = client_link(self->cli);
    if (self->link) return ERR_OK;
    if (named || f->err != ERR_NO_BROKER) return f->err;
    options->hosts = 1;
    return broker_own(self, f);
}

/* The plan is read from a file, as every cluster is. */
static err_t plan_write(stage_t *self, fail_t *f)
{
    char path[PATH_MAX + 16], driver[PATH_MAX], target[PATH_MAX];

    path_share("bench/driver.bundle.json", driver);
    path_share("bench/target.bundle.json", target);
    snprintf(path, sizeof path, "%s/cluster.json", self->temporary);
    FILE *file = fopen(path, "we");
    if (!file) return fail(f, ERR_STORE, "%.1000s cannot be written", path);
    json_t *json = scenario_cluster(self->options, self->name, driver, target);
    must(json);
    json_print(json, file);
    json_decref(json);
    if (fclose(file) != 0) return fail(f, ERR_STORE, "%.1000s cannot be written", path);

    self->plan = plan_new(path, false, f);
    if (!self->plan) return f->err;
    return loads_make(self->plan, &self->loads, f);
}

err_t stage_open(stage_t *self, cli_t *cli, options_t *options, fail_t *f)
{
    uint8_t chance[4]; /* in containers every bench has the same pid */

    *self = (stage_t){.cli = cli, .options = options};
    memcpy(chance, request_id().b, sizeof chance);
    snprintf(self->name, sizeof self->name, "bench-%s-%02x%02x%02x%02x", options->scenario->name,
             chance[0], chance[1], chance[2], chance[3]);
    err_t err = folder_temporary(self, f);
    if (!err) err = plan_write(self, f);
    if (!err) err = broker_find(self, options, f);
    return err;
}

/* ---- the cluster ---- */

err_t stage_launch_as(stage_t *self, const char *name, launched_t *ret, fail_t *f)
{
    launch_how_t how = {.name = name, .serial = self->options->serial, .ms = LAUNCH_MS};

    self->asked = true;
    return launch(self->link, self->plan, &self->loads, how, ret, f);
}

err_t stage_remove(stage_t *self, cluster_t cluster, fail_t *f)
{
    msg_cluster_rm_t rm = {request_id(), cluster};
    const msg_t *msg;

    return link_ask(self->link, TAG_cluster_rm, &rm, TAG_done, QUIET_MS, &msg, f);
}

/* The number in the name of a vat, a3 or b12. */
static bool numbered(text_t name, char prefix, size_t *ret)
{
    char copy[NAME_BYTES_MAX + 1];

    if (name.len < 2 || name.len > NAME_BYTES_MAX || *name.at != prefix) return false;
    memcpy(copy, name.at, name.len);
    copy[name.len] = 0;
    *ret = (size_t)strtoul(copy + 1, NULL, 10);
    return true;
}

static err_t vats_find(stage_t *self, fail_t *f)
{
    size_t drivers = scenario_drivers(self->options), i;
    rows_t rows;

    self->target_count = scenario_targets(self->options);
    self->lane_count = drivers ? drivers : self->target_count;
    self->targets = calloc(self->target_count, sizeof *self->targets);
    self->lanes = calloc(self->lane_count, sizeof *self->lanes);
    must(self->targets && self->lanes);
    err_t err = rows_get(self->link, ROWS_VATS, false, (kref_t){0}, &rows, f);
    for (const msg_t *row; !err && (row = rows_next(&rows));) {
        const msg_vat_row_t *vat = &row->body.vat_row;
        if (row->tag != TAG_vat_row || vat->cluster.n != self->launched.cluster.n) continue;
        if (numbered(vat->name, 'b', &i) && i < self->target_count)
            self->targets[i] = kref_root(vat->vat);
        if (numbered(vat->name, 'a', &i) && i < drivers) self->lanes[i].root = kref_root(vat->vat);
    }
    if (err) return err;
    rows_clear(&rows);
    for (i = 0; i < self->lane_count; i++) {
        size_t share = drivers ? self->target_count / drivers : 0;
        if (drivers)
            self->lanes[i].targets = (krefs_t){self->targets + i * share, share};
        else
            self->lanes[i].root = self->targets[i];
    }
    return ERR_OK;
}

err_t stage_launch(stage_t *self, fail_t *f)
{
    const msg_t *msg;

    err_t err = stage_launch_as(self, self->name, &self->launched, f);
    if (err) return err;

    msg_await_t await = {request_id(), self->launched.result};
    err = link_ask(self->link, TAG_await, &await, TAG_settled, LAUNCH_MS, &msg, f);
    if (!err && msg->body.settled.rejected)
        err = fail(f, ERR_INTERNAL, "the bench's vats do not find each other");
    return err ? err : vats_find(self, f);
}

/* ---- what is left ---- */

/* Rows of objects or promises of the cluster, page by page. */
static err_t rows_count(stage_t *self, rows_what_t what, uint64_t *ret, fail_t *f)
{
    msg_list_t list = {.what = (uint64_t)what, .cluster = self->launched.cluster};
    msg_tag_t tag = what == ROWS_OBJECTS ? TAG_object_row : TAG_promise_row;

    *ret = 0;
    do {
        rows_t rows;
        list.request = request_id();
        err_t err = rows_ask(self->link, TAG_list, &list, ANSWER_MS, &rows, f);
        if (err) return err;
        for (const msg_t *row; (row = rows_next(&rows));) *ret += row->tag == tag;
        list.first = rows.next;
        rows_clear(&rows);
    } while (list.first);
    return ERR_OK;
}

static err_t count(stage_t *self, uint64_t *ret_objects, uint64_t *ret_promises, fail_t *f)
{
    json_t *counters;
    err_t err;

    if (!self->own) {
        err = rows_count(self, ROWS_OBJECTS, ret_objects, f);
        return err ? err : rows_count(self, ROWS_PROMISES, ret_promises, f);
    }
    err = counters_get(self->link, &counters, f);
    if (err) return err;
    *ret_objects = (uint64_t)json_integer_value(json_object_get(counters, "objects"));
    *ret_promises = (uint64_t)json_integer_value(json_object_get(counters, "promises"));
    json_decref(counters);
    return ERR_OK;
}

/* One round: the vats say what they no longer need, and what follows from it is done. */
static err_t reap(stage_t *self, fail_t *f)
{
    msg_release_t release = {request_id(), self->launched.cluster};
    msg_reap_t reap_ = {.request = request_id(), .cluster = self->launched.cluster};
    msg_quiet_t quiet = {request_id(), self->launched.cluster};
    const msg_t *msg;

    err_t err = link_ask(self->link, TAG_release, &release, TAG_done, ANSWER_MS, &msg, f);
    if (!err) err = link_ask(self->link, TAG_reap, &reap_, TAG_done, ANSWER_MS, &msg, f);
    if (!err) err = link_ask(self->link, TAG_quiet, &quiet, TAG_idle, QUIET_MS, &msg, f);
    return err;
}

err_t stage_counts(stage_t *self, uint64_t *ret_objects, uint64_t *ret_promises, fail_t *f)
{
    uint64_t last = UINT64_MAX;

    for (int round = 0, stale = 0; round < ROUNDS_MAX && stale < STALE_ROUNDS; round++) {
        err_t err = reap(self, f);
        if (!err) err = count(self, ret_objects, ret_promises, f);
        if (err) return err;
        uint64_t sum = *ret_objects + *ret_promises;
        stale = sum < last ? 0 : stale + 1;
        last = sum;
    }
    return ERR_OK;
}

/* A cluster that has our name, or one of those that begin so; 0 when there is none. */
static err_t left_find(stage_t *self, cluster_t *ret, fail_t *f)
{
    size_t len = strlen(self->name);
    rows_t rows;
    err_t err = rows_get(self->link, ROWS_CLUSTERS, false, (kref_t){0}, &rows, f);

    *ret = (cluster_t){0};
    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        text_t name = row->body.cluster_row.name;
        if (row->tag != TAG_cluster_row || name.len < len) continue;
        if (memcmp(name.at, self->name, len) == 0) *ret = row->body.cluster_row.cluster;
    }
    rows_clear(&rows);
    return ERR_OK;
}

/* Also one whose launch nobody waited for to the end. */
static err_t leave(stage_t *self)
{
    fail_t ignored;
    cluster_t cluster;

    for (int round = 0; round < ROUNDS_MAX; round++) {
        err_t err = left_find(self, &cluster, &ignored);
        if (err || !cluster.n) return err;
        err = stage_remove(self, cluster, &ignored);
        if (err) return err;
    }
    return ERR_TIMED_OUT;
}

void stage_close(stage_t *self)
{
    if (self->link && self->asked && !self->own) {
        int signal = signal_caught();
        signal_forget();
        if (leave(self))
            say(self->cli, "cluster \"%s\" is left: vatctl cluster rm %s", self->name, self->name);
        if (signal) raise(signal);
    }
    link_destroy(&self->link);
    if (self->own) instance_stop(&self->instance);
    if (*self->temporary) folder_remove(self->temporary);
    loads_clear(&self->loads);
    plan_destroy(&self->plan);
    free(self->lanes);
    free(self->targets);
}
