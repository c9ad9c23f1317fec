/* gc: vats say now what they no longer need, and what follows from it is done. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

/* Rounds without a fall of the counts, after which nothing more is expected. */
enum { STALE_ROUNDS = 2 };

/* What a person counts, and how the broker calls it. */
static const struct {
    const char *name, *counter;
} counted[] = {{"objects", "objects"}, {"promises", "promises"}, {"references", "held"}};

enum { COUNTED = sizeof counted / sizeof *counted };

typedef struct {
    uint64_t at[COUNTED], cranks;
} counts_t;

typedef struct {
    cli_t *cli;
    link_t *link;
    msg_reap_t *reaps; /* what one round asks for */
    size_t reap_count;
    cluster_t cluster; /* whose idleness is waited for; 0: all */
    json_t *vats;      /* ids of those reaped */
    uint64_t began_ms, deadline_ms, rounds;
    counts_t before, after;
} gc_t;

static unsigned left_ms(const gc_t *self)
{
    uint64_t now = now_ms(), left = self->deadline_ms > now ? self->deadline_ms - now : 0;

    return left < FOREVER_MS ? (unsigned)left : FOREVER_MS;
}

static err_t count(gc_t *self, counts_t *ret)
{
    json_t *counters;
    err_t err = counters_get(self->link, &counters, &self->cli->f);

    if (err) return err;
    for (size_t i = 0; i < COUNTED; i++) {
        ret->at[i] = (uint64_t)json_integer_value(json_object_get(counters, counted[i].counter));
    }
    ret->cranks = (uint64_t)json_integer_value(json_object_get(counters, "cranks"));
    json_decref(counters);
    return ERR_OK;
}

static uint64_t sum(const counts_t *counts)
{
    uint64_t all = 0;

    for (size_t i = 0; i < COUNTED; i++) all += counts->at[i];
    return all;
}

/* ---- whom ---- */

static void reap_add(gc_t *self, cluster_t cluster, vat_t vat)
{
    self->reaps = realloc(self->reaps, (self->reap_count + 1) * sizeof *self->reaps);
    must(self->reaps);
    self->reaps[self->reap_count++] = (msg_reap_t){.cluster = cluster, .vat = vat};
}

static err_t reaps_of_words(gc_t *self)
{
    const args_t *args = &self->cli->args;

    for (int i = 0; i < args->word_count; i++) {
        const char *word = args->words[i];
        found_t found;
        err_t err = vat_named(self->link, *word == '@' ? word + 1 : word, &found, &self->cli->f);
        if (err) return err;
        reap_add(self, (cluster_t){0}, found.vat);
        if (i && self->cluster.n != found.cluster.n)
            self->cluster = (cluster_t){0};
        else
            self->cluster = found.cluster;
    }
    return ERR_OK;
}

static err_t reaps_make(gc_t *self)
{
    const char *name = args_text(&self->cli->args, "cluster");
    uint64_t vats;
    err_t err = ERR_OK;

    if (self->cli->args.word_count) return reaps_of_words(self);
    if (name) err = cluster_named(self->link, name, &self->cluster, &vats, &self->cli->f);
    if (!err) reap_add(self, self->cluster, (vat_t){0});
    return err;
}

static bool is_wanted(const gc_t *self, const msg_vat_row_t *vat)
{
    for (size_t i = 0; i < self->reap_count; i++) {
        const msg_reap_t *reap = &self->reaps[i];
        if (reap->vat.n ? reap->vat.n == vat->vat.n
                        : !reap->cluster.n || reap->cluster.n == vat->cluster.n) {
            return true;
        }
    }
    return false;
}

static bool host_is_away(const msg_vat_row_t *vat, rows_t *hosts)
{
    bool away = false;

    for (const msg_t *row; (row = rows_next(hosts));) {
        const msg_host_row_t *host = &row->body.host_row;
        if (row->tag == TAG_host_row && host->host.n == vat->host.n)
            away = text_is(host->state, "away");
    }
    rows_again(hosts);
    return away;
}

/* Whether it is one of those whose idleness is waited for and has, or will have, work. */
static bool is_awaited(const gc_t *self, const msg_vat_row_t *vat)
{
    if (self->cluster.n && self->cluster.n != vat->cluster.n) return false;
    return vat->queue || vat->in_flight || is_wanted(self, vat);
}

/* Which vats these are; one whose host is away makes this wait, and a person should know why. */
static err_t vats_name(gc_t *self)
{
    rows_t vats, hosts;
    err_t err = rows_get(self->link, ROWS_HOSTS, false, (kref_t){0}, &hosts, &self->cli->f);

    if (err) return err;
    err = rows_get(self->link, ROWS_VATS, false, (kref_t){0}, &vats, &self->cli->f);
    for (const msg_t *row; !err && (row = rows_next(&vats));) {
        const msg_vat_row_t *vat = &row->body.vat_row;
        if (row->tag != TAG_vat_row) continue;
        if (is_wanted(self, vat)) json_array_append_new(self->vats, json_id('v', vat->vat.n));
        if (is_awaited(self, vat) && host_is_away(vat, &hosts)) {
            say(self->cli, "v%u %.*s waits for its host h%u %.*s, which is away", vat->vat.n,
                TEXT(vat->name), vat->host.n, TEXT(vat->host_name));
        }
    }
    if (!err) rows_clear(&vats);
    rows_clear(&hosts);
    return err;
}

/* ---- rounds ---- */

static err_t ask(gc_t *self)
{
    const msg_t *msg;

    for (size_t i = 0; i < self->reap_count; i++) {
        self->reaps[i].request = request_id();
        err_t err = link_ask(self->link, TAG_reap, &self->reaps[i], TAG_done, ANSWER_MS, &msg,
                             &self->cli->f);
        /* One that ended since the first round has nothing left to say. */
        if (err && !(self->rounds && (err == ERR_VAT_TERMINATED || err == ERR_VAT_UNKNOWN)))
            return err;
    }
    return ERR_OK;
}

static err_t wait_idle(gc_t *self)
{
    msg_quiet_t quiet = {request_id(), self->cluster};
    const msg_t *msg;
    err_t err =
        link_ask(self->link, TAG_quiet, &quiet, TAG_idle, left_ms(self), &msg, &self->cli->f);

    if (err == ERR_TIMED_OUT && !signal_caught()) {
        fail(&self->cli->f, ERR_TIMED_OUT, "the vats are not idle");
        fail_why(&self->cli->f, "--timeout is over; what was asked for will be done all the same");
        fail_try(&self->cli->f, "vatctl ps      QUEUE says who has work");
    }
    return err;
}

/* Objects in a value that a client was shown stay, so that it can use them; here it will not. */
static err_t release(gc_t *self)
{
    msg_release_t release = {request_id(), self->cluster};
    const msg_t *msg;

    if (!args_yes(&self->cli->args, "release")) return ERR_OK;
    return link_ask(self->link, TAG_release, &release, TAG_done, ANSWER_MS, &msg, &self->cli->f);
}

/* What a vat drops may be the last that kept something in another one, which that one sees only
 * when it is reaped itself: one round goes one step along such a chain. */
static err_t rounds_run(gc_t *self)
{
    err_t err = count(self, &self->before);
    unsigned stale = 0;

    self->after = self->before;
    if (!err) err = release(self);
    while (!err && stale < STALE_ROUNDS) {
        counts_t last = self->after;
        err = ask(self);
        if (!err) err = wait_idle(self);
        if (!err) err = count(self, &self->after);
        if (err) return err;
        self->rounds++;
        stale = sum(&self->after) < sum(&last) ? 0 : stale + 1;
        /* Nothing ran but the reaps themselves. */
        if (self->after.cranks - last.cranks <= json_array_size(self->vats)) break;
    }
    return err;
}

static void gc_print(const gc_t *self)
{
    uint64_t elapsed = now_ms() - self->began_ms;
    json_t *before = json_object(), *after = json_object();
    table_t table = table_of("WHAT BEFORE AFTER");

    for (size_t i = 0; i < COUNTED; i++) {
        json_object_set_new(before, counted[i].name, json_number(self->before.at[i]));
        json_object_set_new(after, counted[i].name, json_number(self->after.at[i]));
        table_add(&table, "%s", counted[i].name);
        table_add(&table, "%" PRIu64, self->before.at[i]);
        table_add(&table, "%" PRIu64, self->after.at[i]);
    }
    if (self->cli->json) {
        out_json(json_pack("{s:O, s:I, s:O, s:O, s:I}", "vats", self->vats, "rounds",
                           (json_int_t)self->rounds, "before", before, "after", after, "elapsed_ms",
                           (json_int_t)elapsed));
    } else {
        table_print(&table, stdout);
        fflush(stdout);
        say(self->cli, "%zu vat%s, %" PRIu64 " round%s, %" PRIu64 " ms; counts are the broker's",
            json_array_size(self->vats), json_array_size(self->vats) == 1 ? "" : "s", self->rounds,
            self->rounds == 1 ? "" : "s", elapsed);
    }
    json_decref(before);
    json_decref(after);
    table_clear(&table);
}

static err_t collect(cli_t *cli, link_t *link)
{
    gc_t self = {.cli = cli, .link = link, .vats = json_array(), .began_ms = now_ms()};

    self.deadline_ms = self.began_ms + args_ms(&cli->args, "timeout", UINT64_C(1) << 40);
    err_t err = reaps_make(&self);
    if (!err) err = vats_name(&self);
    if (!err) err = rounds_run(&self);
    if (!err) gc_print(&self);
    if (err && signal_caught()) {
        cli->exit = 128 + signal_caught();
        say(cli, "stopped waiting; what was asked for will be done");
        err = ERR_OK;
    }
    json_decref(self.vats);
    free(self.reaps);
    return err;
}

/* ---- rings ---- */

static void cycles_say(const cli_t *cli, uint64_t rings)
{
    say(cli,
        "%" PRIu64 " ring%s of vats that hold each other's objects. The broker sees who holds "
        "what, not why:\nthese objects may be in use. Those of a ring that is garbage no vat can "
        "give up, and they\nstay until one of its vats ends.",
        rings, rings == 1 ? "" : "s");
}

static err_t cycles(cli_t *cli, link_t *link)
{
    rows_t rows;
    uint64_t rings = 0;
    char kref[KREF_TEXT_MAX];
    err_t err = rows_get(link, ROWS_CYCLES, false, (kref_t){0}, &rows, &cli->f);

    if (err) return err;
    json_t *json = json_array();
    table_t table = table_of("RING OBJECT OWNER NAME HELD-BY");
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_cycle_row_t *cycle = &row->body.cycle_row;
        if (row->tag != TAG_cycle_row) continue;
        if (cycle->ring > rings) rings = cycle->ring;
        json_array_append_new(
            json, json_pack("{s:o, s:s, s:o, s:o, s:o}", "ring", json_number(cycle->ring), "object",
                            kref_text(cycle->kref, kref), "owner", json_id('v', cycle->vat.n),
                            "name", json_text(cycle->name), "holders", names_json(cycle->holders)));
        table_add(&table, "%" PRIu64, cycle->ring);
        table_add(&table, "%s", kref);
        table_add(&table, "v%u", cycle->vat.n);
        table_add(&table, "%.*s", TEXT(cycle->name));
        table_add(&table, "%.*s", TEXT(cycle->holders));
    }
    rows_clear(&rows);
    if (cli->json) {
        out_json(json_incref(json));
    } else if (rings) {
        table_print(&table, stdout);
        fflush(stdout);
        cycles_say(cli, rings);
    } else {
        printf("none\n");
    }
    json_decref(json);
    table_clear(&table);
    return ERR_OK;
}

err_t cmd_gc(cli_t *cli)
{
    const args_t *args = &cli->args;
    int ways = (args->word_count > 0) + args_yes(args, "cluster") + args_yes(args, "all") +
               args_yes(args, "cycles");

    if (ways > 1 || (args_yes(args, "cycles") && args_yes(args, "release"))) {
        fail(&cli->f, ERR_USAGE,
             "gc takes vats, --cluster, --all or --cycles, and only one of them");
        fail_try(&cli->f, "vatctl help gc");
        return ERR_USAGE;
    }
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    return args_yes(args, "cycles") ? cycles(cli, link) : collect(cli, link);
}
