/* inspect: all about one thing. */
#include <inttypes.h>
#include <string.h>

#include "cli/client.h"
#include "cli/events.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/value.h"
#include "wire/base/own.h"

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
    if (cli->json) {
        out_json(found);
        return ERR_OK;
    }
    const char *key;
    json_t *value;
    printf("v%u  vat  %s\n", wanted.n, json_string_value(json_object_get(found, "name")));
    json_object_foreach(found, key, value)
    {
        buf_t text = buf_of(2 * TEXT_BYTES_MAX);
        if (strcmp(key, "vat") == 0 || strcmp(key, "name") == 0) continue;
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
    if (strcmp(json_string_value(json_object_get(found, "state")), "terminated") != 0) {
        printf("  next         vatctl call v%u METHOD    vatctl logs v%u    vatctl restart v%u\n",
               wanted.n, wanted.n, wanted.n);
    }
    json_decref(found);
    return ERR_OK;
}

/* The object or promise itself, and what the rows of its holders come to. */
typedef struct {
    bool object;
    vat_t owner;
    uint64_t elsewhere; /* reachable references that no vat holds */
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
        }
    }
    if (reachable > by_vats) ref.elsewhere = reachable - by_vats;
    rows_again(rows);
    return ref;
}

static void ref_print_head(const ref_t *ref, const msg_ref_row_t *row)
{
    char kref[KREF_TEXT_MAX];

    printf("%s  %.*s  %.*s\n", kref_text(row->kref, kref), TEXT(row->role), TEXT(row->state));
    if (row->vat.n)
        printf("  %-10s v%u %.*s\n", ref->object ? "owner" : "decider", row->vat.n,
               TEXT(row->name));
    if (!ref->object) {
        printf("  %-10s %" PRIu64 "\n", "references", row->recognizable);
    } else {
        printf("  %-10s reachable %" PRIu64 ", recognizable %" PRIu64 "\n", "references",
               row->reachable, row->recognizable);
        printf("  %-10s %" PRIu64 "%s\n", "elsewhere", ref->elsewhere,
               ref->elsewhere ? " (messages, values of promises, the cluster for a root)" : "");
    }
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

    if (text_is(row->role, "object"))
        json_object_set_new(item, "elsewhere", json_number(ref->elsewhere));
    if (row->value.body.len) json_object_set_new(item, "value", value_json(&row->value));
    return item;
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
    if (!err && cli->json) out_json(json_incref(json));
    json_decref(json);
    return err;
}

static err_t inspect_host(cli_t *cli, link_t *link, const char *word)
{
    table_t table = table_of("HOST NAME STATE VATS");
    json_t *json = json_array(), *row;
    size_t i;
    bool found = false;
    err_t err = hosts_get(link, &table, json, &cli->f);

    json_array_foreach(json, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "host"));
        const char *name = json_string_value(json_object_get(row, "name"));
        if (strcmp(id, word) != 0 && strcmp(name, word) != 0) continue;
        found = true;
        if (cli->json)
            json_print(row, stdout), putchar('\n');
        else
            printf("%s  host  %s  %s\n  vats       %" JSON_INTEGER_FORMAT "\n  key        %s\n", id,
                   name, json_string_value(json_object_get(row, "state")),
                   json_integer_value(json_object_get(row, "vats")),
                   json_string_value(json_object_get(row, "key")));
    }
    json_decref(json);
    table_clear(&table);
    if (!err && !found) err = fail(&cli->f, ERR_HOST_UNKNOWN, "no host \"%.100s\"", word);
    return err;
}

/* By number or name. RET_FOUND: there is one, and it was shown. */
static err_t inspect_cluster(cli_t *cli, link_t *link, const char *word, bool *ret_found)
{
    table_t table = table_of(cluster_head);
    json_t *json = json_array(), *row, *value;
    const char *key;
    size_t i;
    err_t err = clusters_get(link, &table, json, &cli->f);

    json_array_foreach(json, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "cluster"));
        const char *name = json_string_value(json_object_get(row, "name"));
        if (strcmp(id, word) != 0 && strcmp(name, word) != 0) continue;
        *ret_found = true;
        if (cli->json) {
            out_json(json_incref(row));
            break;
        }
        printf("%s  cluster  %s\n", id, name);
        json_object_foreach(row, key, value)
        {
            if (strcmp(key, "cluster") == 0 || strcmp(key, "name") == 0) continue;
            if (json_is_string(value))
                printf("  %-10s %s\n", key, json_string_value(value));
            else if (json_is_integer(value))
                printf("  %-10s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
        }
        break;
    }
    json_decref(json);
    table_clear(&table);
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
