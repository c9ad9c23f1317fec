/* replay: a copy of a vat's log, run again by a worker of our own. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/crank.h"
#include "cli/each.h"
#include "cli/events.h"
#include "cli/look.h"
#include "cli/process.h"
#include "cli/scratch.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { CRANK_MS = 600 * 1000, GIVEN_UP = 2 };

static const char copy_name[] = "checkpoint.db";

typedef struct {
    cli_t *cli;
    link_t *link;
    char folder[3072];
    vat_t vat;
    uint64_t from, to; /* what is shown; to 0: all that was applied */
    uint64_t start;    /* delivery of the checkpoint that it begins with */
    scratch_t *scratch;
    json_t *json;
    uint64_t ran, differs; /* differs: the delivery that did */
} replay_t;

/* ---- what the worker needs ---- */

static err_t file_new(const replay_t *self, const char *name, FILE **ret)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", self->folder, name);
    *ret = fopen(path, "wbe");
    return *ret ? ERR_OK : fail(&self->cli->f, ERR_STORE, "%s cannot be written", path);
}

static err_t file_add(const replay_t *self, FILE *file, bin_t data)
{
    return !data.len || fwrite(data.at, 1, data.len, file) == data.len
               ? ERR_OK
               : fail(&self->cli->f, ERR_STORE_FULL, "%s cannot be written", self->folder);
}

static err_t file_end(const replay_t *self, FILE *file, err_t err)
{
    if (fclose(file) == 0 || err) return err;
    return fail(&self->cli->f, ERR_STORE_FULL, "%s cannot be written", self->folder);
}

static err_t bundle_fetch(replay_t *self, text_t bundle)
{
    char name[NAME_BYTES_MAX + 1], path[PATH_MAX];
    msg_bundle_get_t get = {0};
    const msg_t *msg;
    FILE *file;

    snprintf(name, sizeof name, "%.*s", TEXT(bundle));
    get.bundle = text_of(name);
    snprintf(path, sizeof path, "%s/%s", self->folder, name);
    if (access(path, F_OK) == 0) return ERR_OK;
    err_t err = file_new(self, name, &file);
    if (err) return err;
    for (uint64_t total = 1; !err && get.offset < total;) {
        err = link_part(self->link, TAG_bundle_get, &get, &msg, &self->cli->f);
        if (err) break;
        const msg_bundle_part_t *part = &msg->body.bundle_part;
        total = part->total;
        if (!total || !part->data.len)
            err = fail(&self->cli->f, ERR_BUNDLE_UNKNOWN, "no bundle %.19s... is stored", name);
        else
            err = file_add(self, file, part->data);
        get.offset += part->data.len;
    }
    return file_end(self, file, err);
}

static err_t checkpoint_fetch(replay_t *self, const msg_log_head_t *head)
{
    msg_checkpoint_get_t get = {.vat = self->vat, .pgen = head->mirror_pgen, .d = head->mirror};
    uint64_t total = head->mirror_bytes;
    const msg_t *msg;
    FILE *file;
    err_t err = file_new(self, copy_name, &file);

    if (err) return err;
    while (!err && get.offset < total) {
        err = link_part(self->link, TAG_checkpoint_get, &get, &msg, &self->cli->f);
        if (err) break;
        const msg_checkpoint_part_t *part = &msg->body.checkpoint_part;
        if (!part->total || !part->data.len)
            err = fail(&self->cli->f, ERR_VAT_BUSY, "v%u has made another checkpoint meanwhile",
                       self->vat.n);
        else
            err = file_add(self, file, part->data);
        get.offset += part->data.len;
    }
    return file_end(self, file, err);
}

/* Where it can begin: at the birth of the vat, or at the broker's copy of a checkpoint. */
static err_t begin_where(replay_t *self, const msg_log_head_t *head)
{
    uint64_t to = self->to ? self->to : head->applied;
    bool copy = head->mirror && head->mirror >= head->safe && head->mirror < to;
    fail_t *f = &self->cli->f;

    if (to > head->applied)
        return fail(f, ERR_BAD_VALUE, "--to: v%u has run up to %" PRIu64 " deliveries only",
                    self->vat.n, head->applied);
    self->to = to;
    /* From its birth it is slower, but shows everything. */
    if (head->safe == 0 && (!copy || self->from <= head->mirror)) return ERR_OK;
    if (copy) {
        self->start = head->mirror;
        return checkpoint_fetch(self, head);
    }
    fail(f, ERR_BAD_VALUE, "v%u cannot be run again up to %" PRIu64, self->vat.n, to);
    if (head->mirror)
        fail_why(f, "its log begins behind delivery %" PRIu64 ", the broker's copy is of %" PRIu64,
                 head->safe, head->mirror);
    else
        fail_why(f, "its log begins behind delivery %" PRIu64 ", and the broker has no copy of it",
                 head->safe);
    fail_try(
        f,
        "vatctl checkpoint v%u --ship   keeps a copy: what it runs from then on can be run again",
        self->vat.n);
    fail_try(f, "persistence.mirror: true   in its cluster's file keeps one of every checkpoint");
    return ERR_BAD_VALUE;
}

static err_t begin(replay_t *self, const msg_log_head_t *head)
{
    err_t err = begin_where(self, head);

    if (!err) err = bundle_fetch(self, head->bundle);
    if (err) return err;
    self->scratch =
        scratch_new(head, link_kernel(self->link), self->folder, copy_name, &self->cli->f);
    if (!self->scratch) return self->cli->f.err;
    if (scratch_last(self->scratch) == self->start) return ERR_OK;
    return fail(&self->cli->f, ERR_SNAPSHOT_UNREADABLE,
                "the checkpoint begins at delivery %" PRIu64 ", not at %" PRIu64,
                scratch_last(self->scratch), self->start);
}

/* ---- what it did ---- */

static json_t *console_json(bin_t console)
{
    json_t *all = json_array();
    msg_t msg;

    while (console.len && !msg_next(&console, &msg)) {
        if (msg.tag == TAG_console) json_array_append_new(all, json_text(msg.body.console.text));
        msg_clear(&msg);
    }
    return all;
}

static void print_list(const char *head, const json_t *calls)
{
    if (!json_array_size(calls)) return;
    if (*head) printf("  %s\n", head);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        fputs(*head ? "    " : "  ", stdout);
        call_print(json_array_get(calls, i), stdout);
        putchar('\n');
    }
}

static void print_crank(const replay_t *self, const json_t *crank)
{
    const json_t *console = json_object_get(crank, "console");
    const char *outcome = json_string_value(json_object_get(crank, "outcome"));

    printf("v%u/%" JSON_INTEGER_FORMAT "  ", self->vat.n,
           json_integer_value(json_object_get(crank, "d")));
    delivery_print(json_object_get(crank, "delivery"), stdout);
    if (outcome && strcmp(outcome, "ok") != 0) printf("   [%s]", outcome);
    putchar('\n');
    for (size_t i = 0; i < json_array_size(console); i++) {
        fputs("  | ", stdout);
        put_safely(stdout, text_of(json_string_value(json_array_get(console, i))));
        putchar('\n');
    }
    const json_t *then = json_object_get(crank, "then");
    print_list(then ? "now:" : "", json_object_get(crank, "syscalls"));
    if (then) print_list("then:", then);
    if (then && json_equal(then, json_object_get(crank, "syscalls")))
        printf("  the syscalls are the same: what it wrote to its store is not\n");
}

static json_t *crank_json(const replay_t *self, const msg_log_row_t *row,
                          const msg_result_t *result, bool same)
{
    json_t *json = json_pack("{s:o, s:o, s:o}", "vat", json_id('v', self->vat.n), "d",
                             json_number(row->d), "delivery", delivery_json(row->delivery));

    if (!result) {
        json_object_set_new(json, "outcome", json_string("given up"));
        return json;
    }
    json_object_set_new(json, "outcome",
                        json_string(result->outcome ? err_name((err_t)result->outcome) : "ok"));
    if (result->reason.len) json_object_set_new(json, "reason", json_text(result->reason));
    json_object_set_new(json, "syscalls", calls_json(result->calls));
    json_object_set_new(json, "console", console_json(result->console));
    json_object_set_new(json, "computrons", json_number(result->computrons));
    json_object_set_new(json, "run_us", json_number(result->run_us));
    json_object_set_new(json, "same", json_boolean(same));
    if (!same) json_object_set_new(json, "then", calls_json(row->calls));
    return json;
}

static err_t run_row(replay_t *self, const msg_log_row_t *row)
{
    const msg_result_t *result;
    msg_t delivery;
    uint64_t ms = args_ms(&self->cli->args, "timeout", CRANK_MS);
    err_t err = ERR_OK;

    if (!msg_decode(row->delivery, &delivery)) {
        if (delivery.tag == TAG_deliver_upgrade)
            err = bundle_fetch(self, delivery.body.deliver_upgrade.bundle);
        msg_clear(&delivery);
    }
    if (!err)
        err = scratch_run(self->scratch, row, ms < CRANK_MS ? (unsigned)ms : CRANK_MS, &result,
                          &self->cli->f);
    if (err) return err;
    bool same = !result || hash_same(row->result_hash, hash_result(result->outcome, result->calls,
                                                                   result->store_digest));
    self->ran++;
    if (!same) self->differs = row->d;
    if (row->d < self->from && same) return ERR_OK;
    json_t *crank = crank_json(self, row, result, same);
    if (!self->cli->json) print_crank(self, crank);
    json_array_append_new(self->json, crank);
    if (!self->cli->json) json_array_clear(self->json);
    return ERR_OK;
}

/* The log comes page by page; nothing behind a difference means anything. */
static err_t run_all(replay_t *self)
{
    msg_log_get_t get = {.vat = self->vat, .last = self->to};
    rows_t rows;
    err_t err = ERR_OK;

    do {
        get.request = request_id();
        err = rows_ask(self->link, TAG_log_get, &get, ANSWER_MS, &rows, &self->cli->f);
        if (err) return err;
        for (const msg_t *msg; !err && !self->differs && (msg = rows_next(&rows));) {
            if (msg->tag == TAG_log_head && !self->scratch) err = begin(self, &msg->body.log_head);
            if (msg->tag != TAG_log_row || err) continue;
            const msg_log_row_t *row = &msg->body.log_row;
            if (row->d > self->start && row->d <= self->to) err = run_row(self, row);
        }
        get.first = rows.next;
        rows_clear(&rows);
    } while (!err && get.first && get.first <= self->to && !self->differs);
    return err;
}

static void summary(const replay_t *self)
{
    cli_t *cli = self->cli;

    if (self->differs) {
        cli->exit = 10;
        say(cli,
            "v%u/%" PRIu64 " gave another result than it did then; what came behind it was not run",
            self->vat.n, self->differs);
    } else {
        say(cli, "%" PRIu64 " %s run from %s, as %s then", self->ran,
            self->ran == 1 ? "delivery" : "deliveries",
            self->start ? "the broker's copy of a checkpoint" : "the vat's birth",
            self->ran == 1 ? "it was" : "they were");
    }
}

/* What a vat has may be large: TMPDIR says where there is room. */
static err_t folder_begin(replay_t *self)
{
    const char *temp = getenv("TMPDIR");

    if (!temp || !*temp) temp = "/tmp";
    snprintf(self->folder, sizeof self->folder, "%.3000s/vatyard-XXXXXX", temp);
    if (mkdtemp(self->folder)) return ERR_OK;
    fail(&self->cli->f, ERR_STORE, "no folder can be made in %.3000s", temp);
    fail_why(&self->cli->f, "%s", strerror(errno));
    return ERR_STORE;
}

err_t cmd_replay(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    replay_t self = {.cli = cli, .link = link};
    named_t named = {0};

    if (!link) return cli->f.err;
    self.from = args_count(&cli->args, "from", 0);
    self.to = args_count(&cli->args, "to", 0);
    if (self.to && self.from > self.to)
        return fail(&cli->f, ERR_BAD_VALUE, "--from is behind --to");
    err_t err = vat_word(cli, link, cli->args.words[0], &self.vat, &named);
    if (err == ERR_VAT_TERMINATED) {
        fail_why(&cli->f, "its log is gone with it");
        return err;
    }
    if (err) return err;
    if ((err = folder_begin(&self))) return err;
    signals_catch();
    self.json = json_array();
    err = run_all(&self);
    if (!err && !self.scratch) err = fail(&cli->f, ERR_INTERNAL, "the broker's answer has no head");
    if (!err && cli->json) out_json(json_incref(self.json));
    if (!err) summary(&self);
    scratch_destroy(&self.scratch);
    json_decref(self.json);
    folder_remove(self.folder);
    return err;
}
