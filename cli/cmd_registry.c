/* objects, promises, queue: what the broker keeps, as lists. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

/* Rows without --limit; a list is for reading, and a broker may have millions. VALUE is cut for a
 * table only. */
enum { ROWS_SHOWN = 1000, VALUE_COLUMNS = 60 };

typedef struct registry registry_t;

/* Adds a row to table and JSON. False: it is not one that was asked for. */
typedef bool registry_row_t(registry_t *self, const msg_t *row);

struct registry {
    cli_t *cli;
    link_t *link;
    msg_list_t list;
    uint64_t limit, shown;
    uint64_t made_before_ms; /* only what was there then; 0: all */
    bool more;
    table_t table;
    json_t *json;
};

/* The vat that the flag FLAG names; none when it was not given. */
static err_t vat_flag(const registry_t *self, const char *flag, vat_t *ret)
{
    const char *word = args_text(&self->cli->args, flag);
    found_t found;

    if (!word) return ERR_OK;
    err_t err = vat_named(self->link, *word == '@' ? word + 1 : word, &found, &self->cli->f);
    if (!err) *ret = found.vat;
    return err;
}

static err_t cluster_flag(const registry_t *self, cluster_t *ret)
{
    const char *word = args_text(&self->cli->args, "cluster");
    uint64_t vats;

    return word ? cluster_named(self->link, word, ret, &vats, &self->cli->f) : ERR_OK;
}

/* Page after page, until enough rows are shown. */
static err_t walk(registry_t *self, registry_row_t *row)
{
    err_t err = ERR_OK;

    self->limit = args_count(&self->cli->args, "limit", ROWS_SHOWN);
    /* One more, to know whether there are more; of pages that are sifted here, all. */
    if (!self->made_before_ms) self->list.limit = self->limit + 1;
    do {
        rows_t rows;
        self->list.request = request_id();
        err = rows_ask(self->link, TAG_list, &self->list, ANSWER_MS, &rows, &self->cli->f);
        if (err) return err;
        for (const msg_t *msg; (msg = rows_next(&rows));) {
            if (self->shown == self->limit)
                self->more = true;
            else if (row(self, msg))
                self->shown++;
        }
        self->list.first = rows.next;
        rows_clear(&rows);
    } while (self->list.first && !self->more);
    return ERR_OK;
}

static void registry_print(registry_t *self)
{
    if (self->cli->json)
        out_json(json_incref(self->json));
    else
        table_print(&self->table, stdout);
    if (!self->more) return;
    fflush(stdout);
    say(self->cli, "only the first %" PRIu64 "; there are more: --limit N, or one of the filters",
        self->limit);
}

static err_t registry_show(registry_t *self, registry_row_t *row, const char *head)
{
    self->table = table_of(head);
    self->json = json_array();
    err_t err = walk(self, row);
    if (!err) registry_print(self);
    table_clear(&self->table);
    json_decref(self->json);
    return err;
}

/* ---- cells ---- */

static void cell_vat(table_t *table, vat_t vat, const char *none)
{
    if (vat.n)
        table_add(table, "v%u", vat.n);
    else
        table_add(table, "%s", none);
}

static void cell_text(table_t *table, text_t text)
{
    if (text.len)
        table_add(table, "%.*s", TEXT(text));
    else
        table_add(table, "-");
}

static void cell_kref(table_t *table, kref_t kref)
{
    char text[KREF_TEXT_MAX];

    table_add(table, "%s", kref_none(kref) ? "-" : kref_text(kref, text));
}

static json_t *kref_json(kref_t kref)
{
    char text[KREF_TEXT_MAX];

    return kref_none(kref) ? json_null() : json_string(kref_text(kref, text));
}

static json_t *text_or_null(text_t text) { return text.len ? json_text(text) : json_null(); }

/* How long since MS after 1970: "12ms", "1.5s", "3m12s". */
static void cell_since(table_t *table, uint64_t ms)
{
    uint64_t now = wall_ms(), since = now > ms ? now - ms : 0;
    char text[32];

    if (!ms || since >= 60000)
        table_add(table, "%s", age(ms, text));
    else if (since >= 1000)
        table_add(table, "%.1fs", (double)since / 1000);
    else
        table_add(table, "%" PRIu64 "ms", since);
}

/* ---- objects ---- */

/* "v3 (v7)": those in brackets only recognize it. */
static json_t *holders_json(text_t holders, bool recognizers)
{
    json_t *all = names_json(holders), *some = json_array();

    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *name = json_string_value(json_array_get(all, i));
        if ((*name == '(') != recognizers) continue;
        size_t len = strcspn(name + recognizers, ")");
        json_array_append_new(some, json_text((text_t){name + recognizers, len}));
    }
    json_decref(all);
    return some;
}

static bool object_row(registry_t *self, const msg_t *msg)
{
    const msg_object_row_t *row = &msg->body.object_row;

    if (msg->tag != TAG_object_row) return false;
    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:o}", "object", kref_json(row->kref), "owner",
                             json_id('v', row->owner.n), "name", text_or_null(row->name), "state",
                             json_text(row->state), "service", text_or_null(row->service));
    json_object_set_new(json, "reachable", json_number(row->reachable));
    json_object_set_new(json, "recognizable", json_number(row->recognizable));
    json_object_set_new(json, "pins", json_number(row->pins));
    json_object_set_new(json, "holder_count", json_number(row->holder_count));
    json_object_set_new(json, "holders", holders_json(row->holders, false));
    json_object_set_new(json, "recognizers", holders_json(row->holders, true));
    json_array_append_new(self->json, json);

    cell_kref(&self->table, row->kref);
    cell_vat(&self->table, row->owner, row->service.len ? "kernel" : "-");
    cell_text(&self->table, row->service.len ? row->service : row->name);
    cell_text(&self->table, row->state);
    table_add(&self->table, "%" PRIu64, row->reachable);
    table_add(&self->table, "%" PRIu64, row->recognizable);
    table_add(&self->table, "%" PRIu64, row->pins);
    cell_text(&self->table, row->holders);
    return true;
}

err_t cmd_objects(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    registry_t self = {.cli = cli, .link = link, .list = {.what = ROWS_OBJECTS}};

    if (!link) return cli->f.err;
    err_t err = vat_flag(&self, "owner", &self.list.vat);
    if (!err) err = vat_flag(&self, "holder", &self.list.holder);
    if (!err) err = cluster_flag(&self, &self.list.cluster);
    if (err) return err;
    return registry_show(&self, object_row,
                         "OBJECT OWNER NAME STATE REACHABLE RECOGNIZABLE PINS HELD-BY");
}

/* ---- promises ---- */

static void cell_value(table_t *table, const msg_promise_row_t *row)
{
    buf_t shown = buf_of(2 * VALUE_SHOWN_MAX + 64);

    if (!row->value.body.len) {
        if (row->bytes)
            table_add(table, "%" PRIu64 " bytes", row->bytes);
        else
            table_add(table, "-");
    } else if (value_show(&shown, &row->value)) {
        table_add(table, "?");
    } else {
        size_t len = shown.len < VALUE_COLUMNS ? shown.len : VALUE_COLUMNS;
        const char *text = (const char *)shown.at;
        while (len < shown.len && len && ((unsigned char)text[len] & 0xc0) == 0x80) len--;
        table_add(table, "%.*s%s", (int)len, text, len < shown.len ? "..." : "");
    }
    buf_clear(&shown);
}

static bool promise_row(registry_t *self, const msg_t *msg)
{
    const msg_promise_row_t *row = &msg->body.promise_row;

    if (msg->tag != TAG_promise_row) return false;
    if (self->made_before_ms && row->made_ms > self->made_before_ms) return false;
    json_t *json = json_pack("{s:o, s:o, s:o, s:o}", "promise", kref_json(row->kref), "state",
                             json_text(row->state), "decider", json_id('v', row->decider.n), "name",
                             text_or_null(row->name));
    json_object_set_new(json, "made_ms", json_number(row->made_ms));
    json_object_set_new(json, "references", json_number(row->count));
    json_object_set_new(json, "waiting", json_number(row->waiting));
    json_object_set_new(json, "held", json_boolean(row->held));
    json_object_set_new(json, "subscribers", names_json(row->subscribers));
    json_object_set_new(json, "value_bytes", json_number(row->bytes));
    json_object_set_new(json, "value", row->value.body.len ? value_json(&row->value) : json_null());
    json_array_append_new(self->json, json);

    cell_kref(&self->table, row->kref);
    cell_text(&self->table, row->state);
    cell_vat(&self->table, row->decider, "-");
    cell_text(&self->table, row->name);
    cell_since(&self->table, row->made_ms);
    table_add(&self->table, "%" PRIu64, row->count);
    table_add(&self->table, "%" PRIu64, row->waiting);
    cell_text(&self->table, row->subscribers);
    cell_value(&self->table, row);
    return true;
}

err_t cmd_promises(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    registry_t self = {.cli = cli, .link = link, .list = {.what = ROWS_PROMISES}};
    uint64_t older = args_ms(&cli->args, "older", 0), now = wall_ms();

    if (!link) return cli->f.err;
    if (older) self.made_before_ms = now > older ? now - older : 1;
    self.list.unsettled = args_yes(&cli->args, "unresolved");
    err_t err = vat_flag(&self, "decider", &self.list.vat);
    if (!err) err = vat_flag(&self, "holder", &self.list.holder);
    if (!err) err = cluster_flag(&self, &self.list.cluster);
    if (err) return err;
    return registry_show(&self, promise_row,
                         "PROMISE STATE DECIDER NAME AGE REFS WAITING SUBSCRIBERS VALUE");
}

/* ---- queues ---- */

static json_t *message_json(msgid_t msg)
{
    char text[64];

    snprintf(text, sizeof text, "v%u/%" PRIu64 "#%u", msg.vat.n, (uint64_t)msg.d, msg.n);
    return json_string(text);
}

static bool entry_row(registry_t *self, const msg_t *msg)
{
    const msg_entry_row_t *row = &msg->body.entry_row;
    uint64_t now = wall_ms();

    if (msg->tag != TAG_entry_row) return false;
    json_t *message = message_json(row->msg);
    if (row->vat.n)
        cell_vat(&self->table, row->vat, "-");
    else
        cell_kref(&self->table, row->promise);
    cell_text(&self->table, row->name);
    cell_text(&self->table, row->kind);
    cell_kref(&self->table, row->target);
    cell_text(&self->table, row->method);
    cell_kref(&self->table, row->result);
    table_add(&self->table, "%s", json_string_value(message));
    cell_since(&self->table, row->queued_ms);

    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:o}", "vat", json_id('v', row->vat.n), "name",
                             text_or_null(row->name), "promise", kref_json(row->promise), "seq",
                             json_number(row->seq), "kind", json_text(row->kind));
    json_object_set_new(json, "target", kref_json(row->target));
    json_object_set_new(json, "method", text_or_null(row->method));
    json_object_set_new(json, "result", kref_json(row->result));
    json_object_set_new(json, "message", message);
    json_object_set_new(json, "queued_ms", json_number(row->queued_ms));
    json_object_set_new(json, "waited_ms",
                        json_number(now > row->queued_ms ? now - row->queued_ms : 0));
    json_array_append_new(self->json, json);
    return true;
}

err_t cmd_queue(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    registry_t self = {.cli = cli, .link = link, .list = {.what = ROWS_QUEUES}};
    found_t found;

    if (!link) return cli->f.err;
    err_t err = cluster_flag(&self, &self.list.cluster);
    if (!err && cli->args.word_count) {
        const char *word = cli->args.words[0];
        err = vat_named(link, *word == '@' ? word + 1 : word, &found, &cli->f);
        if (!err) self.list.vat = found.vat;
    }
    if (err) return err;
    return registry_show(&self, entry_row, "IN NAME KIND TARGET METHOD RESULT MESSAGE WAITED");
}
