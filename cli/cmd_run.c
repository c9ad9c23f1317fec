/* run: a broker, its hosts and one cluster, for as long as the cluster has something to do. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/console.h"
#include "cli/events.h"
#include "cli/instance.h"
#include "cli/launch.h"
#include "cli/process.h"
#include "cli/rows.h"
#include "cli/run.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { DISK_ROOM_MIN = 64 * 1024, LOOK_AGAIN_MS = 100 };

typedef struct {
    cli_t *cli;
    plan_t *plan;
    loads_t loads;
    const char *name;
    char folder[PATH_MAX];    /* state */
    char temporary[PATH_MAX]; /* removed at the end; holds the control socket */
    instance_t instance;
    link_t *link;
    events_t events;
    console_t console;
    launched_t launched;
    uint64_t began_ms, deadline_ms;

    bool settled, idle;
    bool waiting; /* for a timer, or for something outside */
    bool rejected;
    buf_t body;
    kref_t *slots;
    size_t slot_count;
    uint64_t messages, cranks;
} run_t;

static unsigned left_ms(const run_t *self)
{
    uint64_t now = now_ms();

    if (self->deadline_ms <= now) return 0;
    return self->deadline_ms - now > FOREVER_MS ? FOREVER_MS : (unsigned)(self->deadline_ms - now);
}

static err_t folders_make(run_t *self, fail_t *f)
{
    const char *state = args_text(&self->cli->args, "state"), *tmp = getenv("TMPDIR");

    /* Paths of sockets are short: a long TMPDIR is of no use to them. */
    snprintf(self->temporary, sizeof self->temporary, "%s/vatyard-XXXXXX",
             tmp && *tmp == '/' && strlen(tmp) < 60 ? tmp : "/tmp");
    if (!mkdtemp(self->temporary)) {
        fail(f, ERR_STORE, "a temporary folder cannot be made");
        fail_why(f, "%s: %s", self->temporary, strerror(errno));
        *self->temporary = 0;
        return ERR_STORE;
    }
    if (!state) {
        strcpy(self->folder, self->temporary);
        return ERR_OK;
    }
    err_t err = folder_make(state, f);
    if (err) return err;
    if (!realpath(state, self->folder)) return fail(f, ERR_STORE, "%s cannot be used", state);
    return ERR_OK;
}

static void watch(run_t *self)
{
    msg_watch_t watch = {request_id(), true, self->events.lines != NULL};

    link_on_event(self->link, events_take, &self->events);
    link_send(self->link, TAG_watch, &watch);
}

/* A cluster of that name in the state that was kept: it goes on instead of being launched. */
static err_t resume(run_t *self, bool *ret_found, fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(self->link, ROWS_CLUSTERS, false, (kref_t){0}, &rows, f);

    for (const msg_t *row; !err && (row = rows_next(&rows));) {
        const msg_cluster_row_t *cluster = &row->body.cluster_row;
        if (row->tag != TAG_cluster_row || cluster->name.len != strlen(self->name) ||
            memcmp(cluster->name.at, self->name, cluster->name.len) != 0) {
            continue;
        }
        self->launched = (launched_t){cluster->cluster, cluster->bootstrap,
                                      kref_root(cluster->bootstrap), cluster->result};
        *ret_found = true;
    }
    if (!err) rows_clear(&rows);
    return err;
}

static void settle(run_t *self, const msg_settled_t *settled)
{
    self->settled = true;
    self->rejected = settled->rejected;
    must(!buf_add(&self->body, settled->value.body.at, settled->value.body.len));
    self->slot_count = settled->value.slots.count;
    self->slots = calloc(self->slot_count + 1, sizeof *self->slots);
    must(self->slots);
    if (self->slot_count) {
        memcpy(self->slots, settled->value.slots.at, self->slot_count * sizeof *self->slots);
    }
}

static err_t unsettled(const run_t *self, const msg_idle_t *idle, fail_t *f)
{
    char kref[KREF_TEXT_MAX];

    kref_text(idle->bootstrap, kref);
    fail(f, ERR_UNSETTLED,
         "everything is idle and bootstrap's promise %s of cluster \"%s\" is not settled", kref,
         self->name);
    if (idle->decider.n) {
        fail_why(f, "%s is decided by v%u %.*s, which has nothing left to do", kref,
                 idle->decider.n, (int)idle->decider_name.len, idle->decider_name.at);
    } else {
        fail_why(f,
                 "%s is decided by nobody: it waits in the queue of a promise that nobody settles",
                 kref);
    }
    return ERR_UNSETTLED;
}

/* A broker on a full disk keeps all and says nothing until there is room. */
static bool disk_full(const run_t *self, fail_t *f)
{
    struct statvfs disk;

    if (statvfs(self->folder, &disk) != 0 || disk.f_bavail * disk.f_frsize >= DISK_ROOM_MIN)
        return false;
    fail(f, ERR_STORE_FULL, "the disk is full");
    fail_why(f, "less than %d bytes are free for %s", DISK_ROOM_MIN, self->folder);
    return true;
}

/* A process that is gone will not answer: a link_silence_t. */
static err_t broken(void *context, fail_t *f)
{
    run_t *self = context;

    console_show(&self->console, &self->events);
    if (!instance_broken(&self->instance, f)) return ERR_OK;
    disk_full(self, f);
    return f->err;
}

static void ask_quiet(const run_t *self)
{
    msg_quiet_t quiet = {request_id(), self->launched.cluster};

    link_send(self->link, TAG_quiet, &quiet);
}

/* What waits for a time, or for something outside, goes on by itself. */
static err_t take_idle(run_t *self, const msg_idle_t *idle, bool never, fail_t *f)
{
    self->messages = idle->messages;
    self->cranks = idle->cranks;
    self->waiting = idle->state == 0 && idle->owed && !never;
    self->idle = !self->waiting;
    return idle->state == 0 && self->idle && !never ? unsettled(self, idle, f) : ERR_OK;
}

/* The next answer. A cluster that only waits is asked again whether it does, without haste. */
static err_t next(run_t *self, const msg_t **ret, fail_t *f)
{
    unsigned left = left_ms(self), pause = left < LOOK_AGAIN_MS ? left : LOOK_AGAIN_MS;

    *ret = NULL;
    if (!self->waiting) return link_next(self->link, left, ret, f);
    err_t err = link_next(self->link, pause, ret, f);
    if (!err && (*ret)->tag != TAG_settled) return ERR_OK;
    if (err && (err != ERR_TIMED_OUT || signal_caught() || left == pause)) return err;
    if (err && broken(self, f)) return f->err;
    self->waiting = false;
    ask_quiet(self);
    return ERR_OK;
}

/* Asks for the end, and waits for it. */
static err_t wait_end(run_t *self, fail_t *f)
{
    const char *until = args_text(&self->cli->args, "until");
    bool result_is_end = until && strcmp(until, "result") == 0;
    bool never = until && strcmp(until, "forever") == 0;
    msg_await_t await = {request_id(), self->launched.result};

    link_send(self->link, TAG_await, &await);
    ask_quiet(self);
    while (never || !self->settled || (!self->idle && !result_is_end)) {
        const msg_t *msg;
        err_t err = next(self, &msg, f);
        if (err) return err;
        console_show(&self->console, &self->events);
        if (!msg) continue;
        if (msg->tag == TAG_settled)
            settle(self, &msg->body.settled);
        else if (msg->tag == TAG_idle)
            err = take_idle(self, &msg->body.idle, never, f);
        else if (msg->tag == TAG_failed)
            err = link_failed(&msg->body.failed, f);
        if (err) return err;
    }
    return ERR_OK;
}

/* With --until result nobody counted yet. */
static err_t count(run_t *self, fail_t *f)
{
    rows_t rows;
    err_t err;

    if (self->idle) return ERR_OK;
    err = rows_get(self->link, ROWS_COUNTERS, false, (kref_t){0}, &rows, f);
    for (const msg_t *row; !err && (row = rows_next(&rows));) {
        const msg_counter_row_t *counter = &row->body.counter_row;
        if (row->tag != TAG_counter_row) continue;
        if (text_is(counter->name, "messages")) self->messages = counter->value;
        if (text_is(counter->name, "cranks")) self->cranks = counter->value;
    }
    if (!err) rows_clear(&rows);
    return err;
}

static void print_json(const run_t *self, const capdata_t *data, uint64_t elapsed_ms)
{
    char root[KREF_TEXT_MAX], vat[16];

    snprintf(vat, sizeof vat, "v%u", self->launched.bootstrap.n);
    out_json(json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I}", "cluster",
                       json_text(text_of(self->name)), "bootstrap", vat, "rootKref",
                       kref_text(self->launched.root, root), "status",
                       self->rejected ? "rejected" : "fulfilled", "result", value_raw(data),
                       "value", value_json(data), "messages", (json_int_t)self->messages, "cranks",
                       (json_int_t)self->cranks, "elapsed_ms", (json_int_t)elapsed_ms));
}

static void print_text(const run_t *self, const capdata_t *data, uint64_t elapsed_ms)
{
    buf_t shown = buf_of(2 * CAPDATA_BYTES_MAX);

    if (!value_show(&shown, data)) {
        if (self->rejected) fputs("rejected: ", stdout);
        put_safely(stdout, (text_t){(const char *)shown.at, shown.len});
        putchar('\n');
    }
    buf_clear(&shown);
    fflush(stdout);
    say(self->cli, "%s, %llu messages, %llu cranks, %llu ms", self->rejected ? "rejected" : "done",
        (unsigned long long)self->messages, (unsigned long long)self->cranks,
        (unsigned long long)elapsed_ms);
}

static err_t finish(run_t *self, fail_t *f)
{
    capdata_t data = {{self->body.at, self->body.len}, {self->slots, self->slot_count}};
    const msg_t *msg;
    err_t err = count(self, f);

    if (!err && self->rejected) {
        msg_cluster_rm_t rm = {request_id(), self->launched.cluster};
        self->events.people = NULL; /* that its vats end now is no news */
        err = link_ask(self->link, TAG_cluster_rm, &rm, TAG_done, ANSWER_MS, &msg, f);
    }
    if (err) return err;
    uint64_t elapsed_ms = now_ms() - self->began_ms;
    if (self->cli->json)
        print_json(self, &data, elapsed_ms);
    else
        print_text(self, &data, elapsed_ms);
    self->cli->exit = self->rejected ? err_row(ERR_REJECTED)->exit : 0;
    return ERR_OK;
}

static err_t start(run_t *self, fail_t *f)
{
    uint64_t hosts = args_count(&self->cli->args, "hosts", self->plan->hosts_min);
    char socket[PATH_MAX + 8];
    unsigned left = left_ms(self);

    if (hosts > 1000) return fail(f, ERR_BAD_VALUE, "--hosts: at most 1000");
    if (hosts < self->plan->hosts_min) {
        fail(f, ERR_NO_HOST, "the cluster wants %llu vathosts, --hosts gives it %llu",
             (unsigned long long)self->plan->hosts_min, (unsigned long long)hosts);
        plan_place(self->plan, "/deploy/hosts/min", false, f);
        return ERR_NO_HOST;
    }
    err_t err = folders_make(self, f);
    if (err) return err;
    hosts = instance_hosts(self->folder, hosts);
    snprintf(socket, sizeof socket, "%s/c", self->temporary);
    console_begin(&self->console, self->plan, self->folder);
    const instance_options_t options = {.folder = self->folder,
                                        .socket = socket,
                                        .hosts = hosts,
                                        .kind =
                                            self->console.wanted ? INSTANCE_CONSOLE : INSTANCE_OWN};
    err = instance_start(&self->instance, &options, left < READY_MS ? left : READY_MS, f);
    if (err) return err;
    self->link =
        link_new(self->instance.control, left_ms(self) < ANSWER_MS ? left_ms(self) : ANSWER_MS, f);
    if (!self->link) return f->err;
    link_on_silence(self->link, broken, self);
    return ERR_OK;
}

static err_t go(run_t *self, fail_t *f)
{
    bool found = false;
    err_t err = loads_make(self->plan, &self->loads, f);

    if (!err) err = start(self, f);
    if (err) return err;
    watch(self);
    err = resume(self, &found, f);
    if (!err && found) {
        say(self->cli, "cluster \"%s\" goes on from its state%s", self->name,
            self->cli->args.rest ? "; what is behind -- changes nothing" : "");
    }
    if (!err && !found) {
        launch_how_t how = {self->name, args_yes(&self->cli->args, "serial"),
                            args_yes(&self->cli->args, "system"), left_ms(self)};
        err = launch(self->link, self->plan, &self->loads, how, &self->launched, f);
    }
    if (!err) err = wait_end(self, f);
    if (!err) err = finish(self, f);
    return err;
}

/* Silence has one of three causes: a process that ended, a full disk, or --timeout. */
static err_t refine(run_t *self, err_t err, fail_t *f)
{
    if ((err != ERR_NO_BROKER && err != ERR_TIMED_OUT) || signal_caught()) return err;
    if (broken(self, f) || disk_full(self, f) || left_ms(self)) return f->err;
    fail(f, ERR_TIMED_OUT, "cluster \"%s\" is not done", self->name);
    fail_why(f, "--timeout is over");
    return ERR_TIMED_OUT;
}

static err_t log_open(run_t *self, fail_t *f)
{
    const char *path = args_text(&self->cli->args, "log");

    if (!path) return ERR_OK;
    self->events.lines = fopen(path, "we");
    if (self->events.lines) return ERR_OK;
    fail(f, ERR_FILE_MISSING, "the log %s cannot be written", path);
    fail_why(f, "%s", strerror(errno));
    return ERR_FILE_MISSING;
}

static void run_clear(run_t *self)
{
    link_destroy(&self->link);
    instance_stop(&self->instance);
    if (*self->temporary) folder_remove(self->temporary);
    if (self->events.lines) fclose(self->events.lines);
    console_end(&self->console);
    loads_clear(&self->loads);
    buf_clear(&self->body);
    free(self->slots);
    plan_destroy(&self->plan);
}

err_t run_file(cli_t *cli, const char *path)
{
    run_t self = {.cli = cli, .body = buf_of(CAPDATA_BYTES_MAX), .began_ms = now_ms()};
    fail_t *f = &cli->f;

    signals_catch();
    self.deadline_ms = self.began_ms + args_ms(&cli->args, "timeout", UINT64_C(1) << 40);
    self.events = (events_t){.people = cli->quiet ? NULL : stderr, .color = cli->color};
    self.plan = plan_new(path, false, f);
    if (!self.plan) return f->err;
    uint64_t window = args_count(&cli->args, "window", 0);
    err_t err = window ? plan_window(self.plan, window, f) : ERR_OK;
    if (!err && cli->args.rest)
        err = plan_argv(self.plan, cli->args.rest, (size_t)cli->args.rest_count, f);
    if (err) {
        plan_destroy(&self.plan);
        return err;
    }
    for (size_t i = 0; i < self.plan->warning_count; i++)
        say(cli, "warning: %s", self.plan->warnings[i]);
    const char *name = cli->args.command->id == COMMAND_run ? args_text(&cli->args, "name") : NULL;
    self.name = name ? name : self.plan->name;

    err = log_open(&self, f);
    if (!err) err = refine(&self, go(&self, f), f);
    fail_t kept = *f;
    run_clear(&self);
    *f = kept;
    if (err && signal_caught()) {
        cli->exit = 128 + signal_caught();
        say(cli, "stopped");
        return ERR_OK;
    }
    return err;
}

err_t cmd_run(cli_t *cli) { return run_file(cli, cli->args.words[0]); }
