/* inspect: all about one thing. */
#include <inttypes.h>
#include <string.h>

#include "cli/client.h"
#include "cli/crank.h"
#include "cli/events.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/value.h"
#include "wire/base/own.h"

/* ---- a replay that went another way: both results ---- */

/* What was applied then, and what came now. */
static err_t diverged_add(cli_t *cli, link_t *link, const msg_divergence_row_t *row, json_t *all)
{
    msg_log_get_t get = {.request = request_id(), .vat = row->vat, .first = row->d, .last = row->d};
    json_t *json =
        json_pack("{s:o, s:s, s:o}", "d", json_number(row->d), "outcome",
                  row->code ? err_name((err_t)row->code) : "ok", "now", calls_json(row->calls));
    rows_t rows;
    err_t err = rows_ask(link, TAG_log_get, &get, ANSWER_MS, &rows, &cli->f);

    json_array_append_new(all, json);
    if (err) return err;
    for (const msg_t *msg; (msg = rows_next(&rows));) {
        const msg_log_row_t *then = &msg->body.log_row;
        if (msg->tag != TAG_log_row || then->d != row->d) continue;
        json_object_set_new(json, "delivery", delivery_json(then->delivery));
        json_object_set_new(json, "then", calls_json(then->calls));
    }
    rows_clear(&rows);
    return ERR_OK;
}

static err_t divergence_get(cli_t *cli, link_t *link, vat_t vat, json_t *found)
{
    msg_list_t list = {.request = request_id(), .what = ROWS_DIVERGENCE, .vat = vat};
    json_t *all = json_array();
    rows_t rows;
    err_t err = rows_ask(link, TAG_list, &list, ANSWER_MS, &rows, &cli->f);

    if (!err) {
        for (const msg_t *msg; !err && (msg = rows_next(&rows));)
            if (msg->tag == TAG_divergence_row)
                err = diverged_add(cli, link, &msg->body.divergence_row, all);
        rows_clear(&rows);
    }
    json_object_set_new(found, "divergence", all);
    return err;
}

static void calls_print(const char *head, const json_t *calls)
{
    printf("    %s\n", head);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        fputs("      ", stdout);
        call_print(json_array_get(calls, i), stdout);
        putchar('\n');
    }
}

static void divergence_print(const json_t *all)
{
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        printf("  diverged     at delivery %" JSON_INTEGER_FORMAT ": ",
               json_integer_value(json_object_get(one, "d")));
        delivery_print(json_object_get(one, "delivery"), stdout);
        putchar('\n');
        calls_print("then", json_object_get(one, "then"));
        calls_print("now", json_object_get(one, "now"));
    }
}

static err_t inspect_vat(cli_t *cli, link_t *link, vat_t wanted)
{
    away_t away;
    rows_t rows;
    json_t *found = NULL;
    err_t err = away_get(link, &away, &cli->f);

    if (err) return err;
    err = rows_get(link, ROWS_VATS, true, (kref_t){0}, &rows, &cli->f);
    if (err) {
        free(away.at);
        return err;
    }
    for (const msg_t *row; (row = rows_next(&rows));) {
        if (row->tag == TAG_vat_row && row->body.vat_row.vat.n == wanted.n && !found) {
            found = vat_json(&row->body.vat_row, &away);
        }
    }
    rows_clear(&rows);
    free(away.at);
    if (!found) return fail(&cli->f, ERR_VAT_UNKNOWN, "no vat v%u", wanted.n);
    if (strcmp(json_string_value(json_object_get(found, "state")), "quarantined") == 0)
        err = divergence_get(cli, link, wanted, found);
    if (err || cli->json) {
        err ? json_decref(found) : out_json(found);
        return err;
    }
    const char *key;
    json_t *value;
    printf("v%u  vat  %s\n", wanted.n, json_string_value(json_object_get(found, "name")));
    json_object_foreach(found, key, value)
    {
        buf_t text = buf_of(2 * TEXT_BYTES_MAX);
        if (strcmp(key, "vat") == 0 || strcmp(key, "name") == 0) continue;
        if (json_is_null(value) || json_is_array(value)) continue;
        if (json_is_string(value) && !json_string_length(value)) continue;
        if (json_is_string(value))
            err = buf_add(&text, json_string_value(value), json_string_length(value));
        else
            err = json_add(&text, value);
        printf("  %-12s ", key);
        if (!err) put_safely(stdout, (text_t){(const char *)text.at, text.len});
        putchar('\n');
        buf_clear(&text);
    }
    divergence_print(json_object_get(found, "divergence"));
    if (strcmp(json_string_value(json_object_get(found, "state")), "terminated") != 0) {
        bool waits = json_integer_value(json_object_get(found, "queue")) > 0;
        printf("  next         vatctl call v%u METHOD    vatctl objects --owner v%u    vatctl %s "
               "v%u\n",
               wanted.n, wanted.n, waits ? "queue" : "logs", wanted.n);
    }
    json_decref(found);
    return ERR_OK;
}

/* The object or promise itself, and what the rows of its holders come to. */
typedef struct {
    bool object;
    vat_t owner;
    uint64_t elsewhere; /* reachable references that no vat holds */
    uint64_t holders, recognizers;
} ref_t;

/* Its owner's row says only whether the owner was told that nobody reaches it. */
static bool is_export(const ref_t *ref, const msg_ref_row_t *row)
{
    return ref->object && ref->owner.n == row->vat.n && text_is(row->role, "holder");
}

static ref_t ref_of(rows_t *rows)
{
    ref_t ref = {0};
    uint64_t reachable = 0, by_vats = 0;

    for (const msg_t *row; (row = rows_next(rows));) {
        const msg_ref_row_t *body = &row->body.ref_row;
        if (row->tag != TAG_ref_row) continue;
        if (text_is(body->role, "object")) {
            ref = (ref_t){.object = true, .owner = body->vat};
            reachable = body->reachable;
        } else if (!is_export(&ref, body)) {
            by_vats += text_is(body->state, "reachable");
            ref.holders++;
            ref.recognizers += text_is(body->state, "recognizable");
        }
    }
    if (reachable > by_vats) ref.elsewhere = reachable - by_vats;
    rows_again(rows);
    return ref;
}

static void object_print(const ref_t *ref, const msg_ref_row_t *row)
{
    if (row->service.len)
        printf("  %-10s %.*s, an object of the kernel\n", "service", TEXT(row->service));
    printf("  %-10s reachable %" PRIu64 ", recognizable %" PRIu64 "\n", "references",
           row->reachable, row->recognizable);
    printf("  %-10s %" PRIu64 " vat%s", "held by", ref->holders, ref->holders == 1 ? "" : "s");
    if (ref->recognizers)
        printf(", of which %" PRIu64 " only recognize%s it", ref->recognizers,
               ref->recognizers == 1 ? "s" : "");
    printf("\n  %-10s %" PRIu64 "%s\n", "elsewhere", ref->elsewhere,
           ref->elsewhere ? " (messages, values of promises, pins, the cluster for a root)" : "");
    printf("  %-10s %" PRIu64 "\n", "pins", row->pins);
}

static void ref_print_head(const ref_t *ref, const msg_ref_row_t *row)
{
    char kref[KREF_TEXT_MAX];

    printf("%s  %.*s  %.*s\n", kref_text(row->kref, kref), TEXT(row->role), TEXT(row->state));
    if (row->vat.n)
        printf("  %-10s v%u %.*s\n", ref->object ? "owner" : "decider", row->vat.n,
               TEXT(row->name));
    if (ref->object)
        object_print(ref, row);
    else
        printf("  %-10s %" PRIu64 "\n", "references", row->recognizable);
    if (!row->value.body.len) return;
    buf_t shown = buf_of(2 * CAPDATA_BYTES_MAX);
    if (!value_show(&shown, &row->value)) {
        printf("  %-10s ", "value");
        put_safely(stdout, (text_t){(const char *)shown.at, shown.len});
        putchar('\n');
    }
    buf_clear(&shown);
}

static json_t *ref_json(const ref_t *ref, const msg_ref_row_t *row)
{
    char text[KREF_TEXT_MAX];
    text_t role = is_export(ref, row) ? text_of("export") : row->role;
    json_t *item =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kref", kref_text(row->kref, text), "role",
                  json_text(role), "vat", json_id('v', row->vat.n), "name", json_text(row->name),
                  "state", json_text(row->state), "reachable", json_number(row->reachable),
                  "recognizable", json_number(row->recognizable));

    if (text_is(row->role, "object")) {
        json_object_set_new(item, "elsewhere", json_number(ref->elsewhere));
        json_object_set_new(item, "pins", json_number(row->pins));
        json_object_set_new(item, "service",
                            row->service.len ? json_text(row->service) : json_null());
        json_object_set_new(item, "holders", json_number(ref->holders));
        json_object_set_new(item, "recognizers", json_number(ref->recognizers));
    }
    if (row->value.body.len) json_object_set_new(item, "value", value_json(&row->value));
    return item;
}

/* ---- a promise: when it was made, and which messages wait for it ---- */

static void promise_add(cli_t *cli, const msg_promise_row_t *row, json_t *json)
{
    json_t *head = json_array_get(json, 0);
    char text[32];

    if (cli->json) {
        json_object_set_new(head, "made_ms", json_number(row->made_ms));
        json_object_set_new(head, "waiting", json_number(row->waiting));
        json_object_set_new(head, "held", json_boolean(row->held));
        return;
    }
    if (row->made_ms) printf("  %-10s %s ago\n", "made", age(row->made_ms, text));
    if (row->held) printf("  %-10s for a client, until it is awaited\n", "held");
    printf("  %-10s %" PRIu64 " message%s\n", "waiting", row->waiting,
           row->waiting == 1 ? "" : "s");
}

static void message_add(cli_t *cli, const msg_entry_row_t *row, json_t *json)
{
    char msg[64], result[KREF_TEXT_MAX];

    snprintf(msg, sizeof msg, "v%u/%" PRIu64 "#%u", row->msg.vat.n, (uint64_t)row->msg.d,
             row->msg.n);
    kref_text(row->result, result);
    if (cli->json) {
        json_array_append_new(json,
                              json_pack("{s:s, s:s, s:o, s:o, s:o}", "role", "message", "message",
                                        msg, "method", json_text(row->method), "result",
                                        kref_none(row->result) ? json_null() : json_string(result),
                                        "queued_ms", json_number(row->queued_ms)));
        return;
    }
    printf("  %-10s %s  ", "message", msg);
    put_safely(stdout, row->method);
    printf("%s%s\n", kref_none(row->result) ? "" : "  -> ", kref_none(row->result) ? "" : result);
}

/* All queues are looked through: those of promises are not asked for by name. */
static err_t messages_add(cli_t *cli, link_t *link, kref_t kref, uint64_t waiting, json_t *json)
{
    msg_list_t list = {.what = ROWS_QUEUES};
    rows_t rows;

    while (waiting) {
        list.request = request_id();
        err_t err = rows_ask(link, TAG_list, &list, ANSWER_MS, &rows, &cli->f);
        if (err) return err;
        for (const msg_t *msg; waiting && (msg = rows_next(&rows));) {
            const msg_entry_row_t *row = &msg->body.entry_row;
            if (msg->tag != TAG_entry_row || !kref_same(row->promise, kref)) continue;
            message_add(cli, row, json);
            waiting--;
        }
        list.first = rows.next;
        rows_clear(&rows);
        if (!list.first) break;
    }
    return ERR_OK;
}

static err_t inspect_promise(cli_t *cli, link_t *link, kref_t kref, json_t *json)
{
    msg_list_t list = {.request = request_id(), .what = ROWS_PROMISES, .first = kref.n, .limit = 1};
    uint64_t waiting = 0;
    rows_t rows;
    err_t err = rows_ask(link, TAG_list, &list, ANSWER_MS, &rows, &cli->f);

    if (err) return err;
    const msg_t *msg = rows_next(&rows);
    if (msg && msg->tag == TAG_promise_row && kref_same(msg->body.promise_row.kref, kref)) {
        waiting = msg->body.promise_row.waiting;
        promise_add(cli, &msg->body.promise_row, json);
    }
    rows_clear(&rows);
    return messages_add(cli, link, kref, waiting, json);
}

static err_t inspect_ref(cli_t *cli, link_t *link, kref_t kref)
{
    rows_t rows;
    json_t *json = json_array();
    char text[KREF_TEXT_MAX];
    ref_t ref = {0};
    err_t err = rows_get(link, ROWS_REF, false, kref, &rows, &cli->f);

    if (err == ERR_REF_UNKNOWN)
        fail(&cli->f, ERR_REF_UNKNOWN, "no object or promise %s", kref_text(kref, text));
    if (!err) ref = ref_of(&rows);
    for (const msg_t *msg; !err && (msg = rows_next(&rows));) {
        const msg_ref_row_t *row = &msg->body.ref_row;
        if (msg->tag != TAG_ref_row) continue;
        bool head = text_is(row->role, "object") || text_is(row->role, "promise");
        text_t role = is_export(&ref, row) ? text_of("export") : row->role;
        if (cli->json)
            json_array_append_new(json, ref_json(&ref, row));
        else if (head)
            ref_print_head(&ref, row);
        else
            printf("  %-10.*s v%u %.*s  %.*s\n", TEXT(role), row->vat.n, TEXT(row->name),
                   TEXT(row->state));
    }
    if (!err) rows_clear(&rows);
    if (!err && kref_is_promise(kref)) err = inspect_promise(cli, link, kref, json);
    if (!err && cli->json) out_json(json_incref(json));
    json_decref(json);
    return err;
}

static text_t member_text(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text_of(text ? text : "");
}

/* Its name and its engine are what it says itself. */
static void host_print(const json_t *host)
{
    static const char *const lines[] = {"vats", "key", "engine", "reason"};

    put_safely(stdout, member_text(host, "host"));
    fputs("  host  ", stdout);
    put_safely(stdout, member_text(host, "name"));
    fputs("  ", stdout);
    put_safely(stdout, member_text(host, "state"));
    putchar('\n');
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const json_t *value = json_object_get(host, lines[i]);
        if (json_is_integer(value)) {
            printf("  %-10s %" JSON_INTEGER_FORMAT "\n", lines[i], json_integer_value(value));
        } else if (json_string_length(value)) {
            printf("  %-10s ", lines[i]);
            put_safely(stdout, member_text(host, lines[i]));
            putchar('\n');
        }
    }
}

static err_t inspect_host(cli_t *cli, link_t *link, const char *word)
{
    json_t *host = NULL;
    err_t err = list_find(link, &all_hosts, word, &host, &cli->f);

    if (!err && !host) return fail(&cli->f, ERR_HOST_UNKNOWN, "no host \"%.100s\"", word);
    if (host && cli->json)
        out_json(json_incref(host));
    else if (host)
        host_print(host);
    json_decref(host);
    return err;
}

static void cluster_print(json_t *cluster)
{
    const char *key;
    json_t *value;

    printf("%s  cluster  %s\n", json_string_value(json_object_get(cluster, "cluster")),
           json_string_value(json_object_get(cluster, "name")));
    json_object_foreach(cluster, key, value)
    {
        if (strcmp(key, "cluster") == 0 || strcmp(key, "name") == 0) continue;
        if (json_is_string(value))
            printf("  %-10s %s\n", key, json_string_value(value));
        else if (json_is_integer(value))
            printf("  %-10s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
        else
            printf("  %-10s %s\n", key, json_is_true(value) ? "yes" : "no");
    }
}

/* By number or name. RET_FOUND: there is one, and it was shown. */
static err_t inspect_cluster(cli_t *cli, link_t *link, const char *word, bool *ret_found)
{
    json_t *cluster = NULL;
    err_t err = list_find(link, &all_clusters, word, &cluster, &cli->f);

    *ret_found = cluster != NULL;
    if (cluster && cli->json)
        out_json(json_incref(cluster));
    else if (cluster)
        cluster_print(cluster);
    json_decref(cluster);
    return err;
}

err_t cmd_inspect(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    const char *word = cli->args.words[0];
    uint32_t number;
    kref_t kref;
    found_t found;

    if (!link) return cli->f.err;
    if (kref_parse(word, strlen(word), &kref)) return inspect_ref(cli, link, kref);
    if (id_parse('h', word, strlen(word), &number)) return inspect_host(cli, link, word);
    if (id_parse('v', word, strlen(word), &number)) return inspect_vat(cli, link, (vat_t){number});
    err_t err = vat_named(link, *word == '@' ? word + 1 : word, &found, &cli->f);
    if (err == ERR_VAT_UNKNOWN && *word != '@') {
        fail_t kept = cli->f;
        bool shown = false;
        err = inspect_cluster(cli, link, word, &shown);
        if (err || shown) return err;
        cli->f = kept;
        err = ERR_VAT_UNKNOWN;
    }
    return err && err != ERR_VAT_TERMINATED ? err : inspect_vat(cli, link, found.vat);
}
