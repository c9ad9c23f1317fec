/* upgrade: a vat goes on with new code. */
#include <stdlib.h>
#include <string.h>

#include "cli/bundle.h"
#include "cli/bundler.h"
#include "cli/client.h"
#include "cli/launch.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { PARAMETERS_TEXT_MAX = CAPDATA_BYTES_MAX };

typedef struct {
    cli_t *cli;
    link_t *link;
    found_t vat;
    uint64_t incarnation; /* the one that runs now */
    char before[NAME_BYTES_MAX + 1];
    bundle_t bundle;
    bool stored; /* the broker has it already */
    buf_t parameters;
} upgrade_t;

static bool is_source(const char *path)
{
    static const char *const ends[] = {".js", ".mjs", ".cjs", ".ts"};
    size_t len = strlen(path);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (len > end && strcmp(path + len - end, ends[i]) == 0) return true;
    }
    return false;
}

static bool is_hash(const char *word)
{
    return strncmp(word, "b1-", 3) == 0 && strlen(word) == 3 + 128 &&
           strspn(word + 3, "0123456789abcdef") == 128;
}

/* WORD: a source, a bundle's file, or the hash of a bundle that the broker has. */
static err_t code_load(const char *word, bundle_t *ret, fail_t *f)
{
    char made[PATH_MAX];
    bool cached = false;
    size_t len;

    if (is_hash(word)) {
        strcpy(ret->name, word);
        return ERR_OK;
    }
    if (is_source(word)) {
        err_t err = bundler_cached(word, made, &cached, f);
        if (err) return err;
    } else {
        snprintf(made, sizeof made, "%s", word);
    }
    char *data = file_read(made, BUNDLE_BYTES_MAX, &len, f);
    if (!data) {
        fail_try(f, "vatctl help upgrade      a source, a bundle's file, or the hash of a bundle");
        return f->err;
    }
    err_t err = bundle_check(data, len, word, ret, f);
    if (err) free(data);
    return err;
}

/* Left out they are {}, as in a cluster file. */
static err_t parameters_make(upgrade_t *self)
{
    const char *text = args_text(&self->cli->args, "params");
    fail_t *f = &self->cli->f;
    json_t *json = json_read(text ? text : "{}", text ? strlen(text) : 2, "--params", f);

    if (!json) {
        fail_t why = *f;
        fail(f, ERR_BAD_VALUE, "--params is not JSON");
        fail_why(f, "column %u: %.300s", why.column, *why.why ? why.why : why.what);
        fail_try(f, "--params '{\"name\": \"Alice\"}'");
        return ERR_BAD_VALUE;
    }
    self->parameters = buf_of(PARAMETERS_TEXT_MAX);
    err_t err = buf_add(&self->parameters, "#", 1);
    if (!err) err = value_add_json(&self->parameters, json);
    json_decref(json);
    return err ? fail(f, ERR_BAD_VALUE, "--params is too large") : ERR_OK;
}

/* Which incarnation runs, and of what code. */
static err_t present_get(upgrade_t *self)
{
    rows_t rows;
    err_t err = rows_get(self->link, ROWS_VATS, false, (kref_t){0}, &rows, &self->cli->f);

    if (err) return err;
    for (const msg_t *msg; (msg = rows_next(&rows));) {
        const msg_vat_row_t *row = &msg->body.vat_row;
        if (msg->tag != TAG_vat_row || row->vat.n != self->vat.vat.n) continue;
        self->incarnation = row->incarnation;
        snprintf(self->before, sizeof self->before, "%.*s", TEXT(row->bundle));
    }
    rows_clear(&rows);
    return ERR_OK;
}

static void upgrade_show(const upgrade_t *self, bool dry)
{
    const found_t *vat = &self->vat;
    uint64_t next = self->incarnation + 1;

    if (self->cli->json) {
        json_t *bytes = self->bundle.data ? json_number(self->bundle.len) : json_null();
        out_json(json_pack("{s:o, s:s, s:s, s:o, s:s, s:s, s:o, s:b}", "vat",
                           json_id('v', vat->vat.n), "name", vat->name, "done",
                           dry ? "nothing" : "upgraded", "incarnation", json_number(next), "bundle",
                           self->bundle.name, "bundle_before", self->before, "bundle_bytes", bytes,
                           "stored_before", self->stored));
        return;
    }
    say(self->cli, "%s v%u %s to incarnation %llu", dry ? "would upgrade" : "upgraded", vat->vat.n,
        vat->name, (unsigned long long)next);
    say(self->cli, "  from   %.19s...", self->before);
    say(self->cli, "  to     %.19s...  %s, %s", self->bundle.name, self->cli->args.words[1],
        self->stored ? "which the broker had already"
        : dry        ? "which would be pushed"
                     : "pushed");
    if (strcmp(self->before, self->bundle.name) == 0) say(self->cli, "  it is the same code");
}

static err_t ask(upgrade_t *self)
{
    const char *message = args_text(&self->cli->args, "message");
    uint64_t ms = args_ms(&self->cli->args, "timeout", LAUNCH_MS);
    unsigned wait = ms < FOREVER_MS ? (unsigned)ms : FOREVER_MS;
    msg_upgrade_t upgrade = {.request = request_id(),
                             .vat = self->vat.vat,
                             .bundle = text_of(self->bundle.name),
                             .parameters = {self->parameters.at, self->parameters.len},
                             .message = text_of(message ? message : "")};
    fail_t *f = &self->cli->f;
    const msg_t *msg;
    err_t err = bundle_push(self->link, &self->bundle, wait, f);

    if (!err) err = link_ask(self->link, TAG_upgrade, &upgrade, TAG_done, wait, &msg, f);
    if (err == ERR_UPGRADE_FAILED) {
        fail_t said = *f;
        fail(f, err, "v%u %s was not upgraded; it is as before", self->vat.vat.n, self->vat.name);
        fail_why(f, "%s", said.why);
        fail_try(f, "vatctl logs v%u      what the new code printed", self->vat.vat.n);
    }
    if (err == ERR_TIMED_OUT && !signal_caught()) {
        fail(f, ERR_TIMED_OUT, "v%u %s is not upgraded yet", self->vat.vat.n, self->vat.name);
        fail_why(f, "--timeout is over; the upgrade stays in the vat's queue");
        fail_try(f, "vatctl queue v%u", self->vat.vat.n);
        fail_try(f, "vatctl inspect v%u      INCARNATION says when it is done", self->vat.vat.n);
    }
    return err;
}

err_t cmd_upgrade(cli_t *cli)
{
    upgrade_t self = {.cli = cli};
    const char *word = cli->args.words[0];
    bool dry = args_yes(&cli->args, "dry-run");
    err_t err = parameters_make(&self);

    if (!err) err = code_load(cli->args.words[1], &self.bundle, &cli->f);
    if (!err && !(self.link = client_link(cli))) err = cli->f.err;
    if (!err) err = vat_named(self.link, *word == '@' ? word + 1 : word, &self.vat, &cli->f);
    if (!err) err = present_get(&self);
    if (!err) err = bundle_is_there(self.link, &self.bundle, ANSWER_MS, &self.stored, &cli->f);
    if (!err && dry && !self.stored && !self.bundle.data)
        err = fail(&cli->f, ERR_BUNDLE_UNKNOWN, "no bundle %.19s... is stored", self.bundle.name);
    if (!err && !dry) err = ask(&self);
    if (!err) upgrade_show(&self, dry);
    link_destroy(&self.link);
    bundle_clear(&self.bundle);
    buf_clear(&self.parameters);
    return err;
}
