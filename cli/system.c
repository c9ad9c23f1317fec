#include "cli/system.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/rows.h"
#include "wire/base/must.h"

struct system_cluster {
    plan_t *plan;
    loads_t loads;
};

static const struct system_cluster *declared(const system_t *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->at[i].plan->name, name) == 0) return &self->at[i];
    }
    return NULL;
}

static err_t read_one(system_t *self, const char *path, fail_t *f)
{
    plan_t *plan = plan_new(path, false, f);

    if (!plan) return f->err;
    const struct system_cluster *other = declared(self, plan->name);
    if (other) {
        fail(f, ERR_REFERENCE, "two system clusters have the name \"%s\"", plan->name);
        fail_why(f, "%.500s and %.500s", other->plan->path, plan->path);
        fail_try(f, "\"name\": \"...\"      in one of the two");
        plan_destroy(&plan);
        return ERR_REFERENCE;
    }
    self->at[self->count++].plan = plan;
    return loads_make(plan, &self->at[self->count - 1].loads, f);
}

err_t system_read(const args_t *args, system_t *ret, fail_t *f)
{
    bool none = args_yes(args, "no-system");
    const char *path;
    err_t err = ERR_OK;
    size_t count = 0;

    while (args_texts(args, "system", count)) count++;
    *ret = (system_t){.asked = none || count, .at = calloc(count + 1, sizeof *ret->at)};
    must(ret->at);
    if (none && count) {
        fail(f, ERR_USAGE, "--system and --no-system contradict each other");
        fail_try(f, "vatctl help up");
        return ERR_USAGE;
    }
    for (size_t i = 0; (path = args_texts(args, "system", i)) && !err; i++)
        err = read_one(ret, path, f);
    return err;
}

void system_clear(system_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        loads_clear(&self->at[i].loads);
        plan_destroy(&self->at[i].plan);
    }
    free(self->at);
    *self = (system_t){0};
}

/* ---- HOME/system ---- */

static json_t *names_read(const char *path)
{
    json_t *names = json_load_file(path, 0, NULL);

    return json_is_array(names) ? names : (json_decref(names), json_array());
}

/* Whole or not at all: a list that is cut off would forget clusters. */
static err_t names_write(const char *path, const json_t *names, fail_t *f)
{
    char part[PATH_MAX + 8];

    snprintf(part, sizeof part, "%s.part", path);
    if (json_dump_file(names, part, JSON_COMPACT) == 0 && rename(part, path) == 0) return ERR_OK;
    fail(f, ERR_STORE, "%s cannot be written", path);
    fail_why(f, "%s", strerror(errno));
    return ERR_STORE;
}

static bool has(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *other = json_string_value(json_array_get(names, i));
        if (other && strcmp(other, name) == 0) return true;
    }
    return false;
}

/* ---- the broker ---- */

typedef struct {
    const system_t *system;
    link_t *link;
    json_t *before; /* names that were declared last time */
    json_t *ret;
    bool *runs; /* of those declared now */
} apply_t;

static void tell(const apply_t *self, const char *name, const char *done)
{
    json_array_append_new(self->ret, json_pack("{s:s, s:s}", "cluster", name, "done", done));
}

/* Before anything is changed: no name may be an ordinary cluster's. */
static err_t names_check(const apply_t *self, rows_t *rows, fail_t *f)
{
    for (const msg_t *msg; (msg = rows_next(rows));) {
        const msg_cluster_row_t *row = &msg->body.cluster_row;
        char name[NAME_BYTES_MAX + 1];
        if (msg->tag != TAG_cluster_row) continue;
        snprintf(name, sizeof name, "%.*s", (int)row->name.len, row->name.at);
        if (row->system || !declared(self->system, name)) continue;
        fail(f, ERR_CLUSTER_EXISTS, "cluster \"%s\" runs and is no system cluster", name);
        fail_try(f, "vatctl cluster rm %s", name);
        return ERR_CLUSTER_EXISTS;
    }
    rows_again(rows);
    return ERR_OK;
}

static err_t meet(apply_t *self, const msg_cluster_row_t *row, fail_t *f)
{
    char name[NAME_BYTES_MAX + 1];
    const msg_t *msg;

    if (!row->system) return ERR_OK;
    snprintf(name, sizeof name, "%.*s", (int)row->name.len, row->name.at);
    const struct system_cluster *cluster = declared(self->system, name);
    if (cluster) {
        self->runs[cluster - self->system->at] = true;
        tell(self, name, "kept");
    } else if (has(self->before, name)) {
        msg_cluster_rm_t rm = {request_id(), row->cluster};
        err_t err = link_ask(self->link, TAG_cluster_rm, &rm, TAG_done, ANSWER_MS, &msg, f);
        if (err) return err;
        tell(self, name, "removed");
    }
    return ERR_OK;
}

static err_t launch_missing(apply_t *self, fail_t *f)
{
    launched_t ignored;
    err_t err = ERR_OK;

    for (size_t i = 0; i < self->system->count && !err; i++) {
        const struct system_cluster *cluster = &self->system->at[i];
        launch_how_t how = {.name = cluster->plan->name, .system = true, .ms = LAUNCH_MS};
        if (self->runs[i]) continue;
        err = launch(self->link, cluster->plan, &cluster->loads, how, &ignored, f);
        if (!err) tell(self, cluster->plan->name, "launched");
    }
    return err;
}

err_t system_apply(const system_t *self, const char *home, link_t *link, json_t *ret, fail_t *f)
{
    char path[PATH_MAX];
    json_t *now = json_array(), *all;
    rows_t rows;

    snprintf(path, sizeof path, "%.4000s/system", home);
    apply_t apply = {.system = self, .link = link, .before = names_read(path), .ret = ret};
    apply.runs = calloc(self->count + 1, sizeof *apply.runs);
    must(apply.runs);
    for (size_t i = 0; i < self->count; i++)
        json_array_append_new(now, json_text(text_of(self->at[i].plan->name)));
    err_t err = rows_get(link, ROWS_CLUSTERS, false, (kref_t){0}, &rows, f);
    all = json_copy(apply.before);
    json_array_extend(all, now);
    if (!err) {
        err = names_check(&apply, &rows, f);
        /* Old names and new ones first: what is launched below is ours even if this ends half-way. */
        if (!err) err = names_write(path, all, f);
        for (const msg_t *row; !err && (row = rows_next(&rows));)
            if (row->tag == TAG_cluster_row) err = meet(&apply, &row->body.cluster_row, f);
        rows_clear(&rows);
    }
    if (!err) err = launch_missing(&apply, f);
    if (!err) err = names_write(path, now, f);
    json_decref(all);
    json_decref(now);
    json_decref(apply.before);
    free(apply.runs);
    return err;
}
