/* ps, status, inspect, cluster ls: what the broker knows, shown. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/events.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

#define TEXT(text) (int)(text).len, (text).at

/* Why a vat ended, as a person reads it. */
static json_t *reason_json(text_t reason)
{
    buf_t text = buf_of(4 * TEXT_BYTES_MAX);
    err_t err = value_show_reason(&text, reason);
    json_t *json = json_text(err ? reason : (text_t){(const char *)text.at, text.len});

    buf_clear(&text);
    return json;
}

static bool is(text_t text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

/* The hosts that are not connected. */
typedef struct {
    host_t *at;
    size_t count;
} away_t;

static err_t away_get(link_t *link, away_t *ret, fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, f);

    *ret = (away_t){0};
    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        if (row->tag != TAG_host_row || !is(row->body.host_row.state, "away")) continue;
        ret->at = realloc(ret->at, (ret->count + 1) * sizeof *ret->at);
        must(ret->at);
        ret->at[ret->count++] = row->body.host_row.host;
    }
    rows_clear(&rows);
    return ERR_OK;
}

/* A vat lives on while its host is away, and does nothing. */
static text_t vat_state(const msg_vat_row_t *vat, const away_t *away)
{
    bool lives = is(vat->state, "running") || is(vat->state, "starting");

    for (size_t i = 0; i < away->count && lives; i++) {
        if (away->at[i].n == vat->host.n) return text_of("waiting");
    }
    return vat->state;
}

static json_t *vat_json(const msg_vat_row_t *vat, const away_t *away)
{
    json_t *row = json_object();

    json_object_set_new(row, "vat", json_id('v', vat->vat.n));
    json_object_set_new(row, "name", json_text(vat->name));
    json_object_set_new(row, "cluster", json_text(vat->cluster_name));
    json_object_set_new(row, "host", json_id('h', vat->host.n));
    json_object_set_new(row, "host_name", json_text(vat->host_name));
    json_object_set_new(row, "state", json_text(vat_state(vat, away)));
    json_object_set_new(row, "reason", reason_json(vat->reason));
    json_object_set_new(row, "incarnation", json_number(vat->incarnation));
    json_object_set_new(row, "queue", json_number(vat->queue));
    json_object_set_new(row, "in_flight", json_number(vat->in_flight));
    json_object_set_new(row, "deliveries", json_number(vat->applied));
    json_object_set_new(row, "exports", json_number(vat->exports));
    json_object_set_new(row, "imports", json_number(vat->imports));
    json_object_set_new(row, "computrons", json_number(vat->computrons));
    json_object_set_new(row, "run_us", json_number(vat->run_us));
    json_object_set_new(row, "started_ms", json_number(vat->started_ms));
    return row;
}

/* "2d4h", "3m12s" since MS after 1970. */
static const char *age(uint64_t ms, char ret[32])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t s = (uint64_t)now.tv_sec > ms / 1000 ? (uint64_t)now.tv_sec - ms / 1000 : 0;

    if (!ms)
        strcpy(ret, "-");
    else if (s >= 86400)
        snprintf(ret, 32, "%" PRIu64 "d%" PRIu64 "h", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(ret, 32, "%" PRIu64 "h%" PRIu64 "m", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(ret, 32, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
    else
        snprintf(ret, 32, "%" PRIu64 "s", s);
    return ret;
}

static void vat_cells(table_t *table, const msg_vat_row_t *vat, const away_t *away, bool all)
{
    text_t state = vat_state(vat, away);
    char up[32];

    table_add(table, "v%u", vat->vat.n);
    table_add(table, "%.*s", TEXT(vat->name));
    table_add(table, "%.*s", TEXT(vat->cluster_name));
    if (vat->host.n)
        table_add(table, "h%u", vat->host.n);
    else
        table_add(table, "-");
    table_add(table, "%.*s", TEXT(state));
    table_add(table, "%s", age(vat->started_ms, up));
    table_add(table, "%" PRIu64, vat->exports);
    table_add(table, "%" PRIu64, vat->imports);
    table_add(table, "%" PRIu64, vat->queue + vat->in_flight);
    table_add(table, "%" PRIu64, vat->applied);
    table_add(table, "%.1f ms", (double)vat->run_us / 1000);
    if (!all) return;
    json_t *reason = reason_json(vat->reason);
    table_add(table, "%s", json_string_value(reason));
    json_decref(reason);
}

err_t cmd_ps(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    bool all = args_yes(&cli->args, "all");
    away_t away;
    rows_t rows;

    if (!link) return cli->f.err;
    err_t err = away_get(link, &away, &cli->f);
    if (err) return err;
    err = rows_get(link, ROWS_VATS, all, (kref_t){0}, &rows, &cli->f);
    if (err) {
        free(away.at);
        return err;
    }
    json_t *json = json_array();
    table_t table = table_of(all ? "VAT NAME CLUSTER HOST STATE UP OBJ REFS QUEUE TURNS RUN REASON"
                                 : "VAT NAME CLUSTER HOST STATE UP OBJ REFS QUEUE TURNS RUN");
    for (const msg_t *row; (row = rows_next(&rows));) {
        if (row->tag != TAG_vat_row) continue;
        json_array_append_new(json, vat_json(&row->body.vat_row, &away));
        vat_cells(&table, &row->body.vat_row, &away, all);
    }
    rows_clear(&rows);
    free(away.at);
    if (cli->json)
        json_print(json, stdout), putchar('\n');
    else
        table_print(&table, stdout);
    json_decref(json);
    table_clear(&table);
    return ERR_OK;
}

/* Its vats are all dead: nothing will happen in it any more, though the broker still has it. */
static text_t cluster_state(const msg_cluster_row_t *cluster)
{
    return !cluster->vats && is(cluster->state, "running") ? text_of("ended") : cluster->state;
}

static json_t *cluster_json(const msg_cluster_row_t *cluster)
{
    char kref[KREF_TEXT_MAX];
    json_t *row = json_object();

    json_object_set_new(row, "cluster", json_id('s', cluster->cluster.n));
    json_object_set_new(row, "name", json_text(cluster->name));
    json_object_set_new(row, "state", json_text(cluster_state(cluster)));
    json_object_set_new(row, "vats", json_number(cluster->vats));
    json_object_set_new(row, "bootstrap", json_id('v', cluster->bootstrap.n));
    json_object_set_new(row, "result", json_string(kref_text(cluster->result, kref)));
    return row;
}

/* Rows of clusters, as a table and as JSON. */
static err_t clusters_get(link_t *link, table_t *table, json_t *json, fail_t *f)
{
    rows_t rows;
    char kref[KREF_TEXT_MAX];
    err_t err = rows_get(link, ROWS_CLUSTERS, false, (kref_t){0}, &rows, f);

    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_cluster_row_t *cluster = &row->body.cluster_row;
        if (row->tag != TAG_cluster_row) continue;
        text_t state = cluster_state(cluster);
        json_array_append_new(json, cluster_json(cluster));
        table_add(table, "s%u", cluster->cluster.n);
        table_add(table, "%.*s", TEXT(cluster->name));
        table_add(table, "%.*s", TEXT(state));
        table_add(table, "%" PRIu64, cluster->vats);
        table_add(table, "v%u", cluster->bootstrap.n);
        table_add(table, "%s", kref_text(cluster->result, kref));
    }
    rows_clear(&rows);
    return ERR_OK;
}

static const char cluster_head[] = "CLUSTER NAME STATE VATS BOOTSTRAP RESULT";

err_t cmd_cluster_ls(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;

    table_t table = table_of(cluster_head);
    json_t *json = json_array();
    err_t err = clusters_get(link, &table, json, &cli->f);
    if (!err && cli->json)
        json_print(json, stdout), putchar('\n');
    else if (!err)
        table_print(&table, stdout);
    json_decref(json);
    table_clear(&table);
    return err;
}

static err_t hosts_get(link_t *link, table_t *table, json_t *json, fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, f);

    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_host_row_t *host = &row->body.host_row;
        if (row->tag != TAG_host_row) continue;
        json_array_append_new(
            json, json_pack("{s:o, s:o, s:o, s:o, s:o}", "host", json_id('h', host->host.n), "name",
                            json_text(host->name), "state", json_text(host->state), "vats",
                            json_number(host->vats), "key", json_text(host->key)));
        table_add(table, "h%u", host->host.n);
        table_add(table, "%.*s", TEXT(host->name));
        table_add(table, "%.*s", TEXT(host->state));
        table_add(table, "%" PRIu64, host->vats);
    }
    rows_clear(&rows);
    return ERR_OK;
}

static void status_print(const link_t *link, const table_t *hosts, const table_t *clusters,
                         json_t *counters)
{
    const char *name;
    json_t *value;

    printf("broker %s\n  hosts connect to %s\n  key %s\n", link_version(link),
           link_hosts_endpoint(link), link_key(link));
    printf("\n");
    table_print(hosts, stdout);
    printf("\n");
    table_print(clusters, stdout);
    printf("\n");
    const char *gap = "";
    json_object_foreach(counters, name, value)
    {
        printf("%s%s %" JSON_INTEGER_FORMAT, gap, name, json_integer_value(value));
        gap = "  ";
    }
    printf("\n");
}

err_t cmd_status(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;

    table_t hosts = table_of("HOST NAME STATE VATS"), clusters = table_of(cluster_head);
    json_t *hosts_json = json_array(), *clusters_json = json_array(), *counters = NULL;
    err_t err = hosts_get(link, &hosts, hosts_json, &cli->f);
    if (!err) err = clusters_get(link, &clusters, clusters_json, &cli->f);
    if (!err) err = counters_get(link, &counters, &cli->f);
    if (!err && cli->json) {
        out_json(json_pack("{s:s, s:s, s:s, s:O, s:O, s:O}", "version", link_version(link),
                           "hosts_endpoint", link_hosts_endpoint(link), "key", link_key(link),
                           "hosts", hosts_json, "clusters", clusters_json, "counters", counters));
    } else if (!err) {
        status_print(link, &hosts, &clusters, counters);
    }
    json_decref(hosts_json);
    json_decref(clusters_json);
    json_decref(counters);
    table_clear(&hosts);
    table_clear(&clusters);
    return err;
}

/* ---- inspect ---- */

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
    return ref->object && ref->owner.n == row->vat.n && is(row->role, "holder");
}

static ref_t ref_of(rows_t *rows)
{
    ref_t ref = {0};
    uint64_t reachable = 0, by_vats = 0;

    for (const msg_t *row; (row = rows_next(rows));) {
        const msg_ref_row_t *body = &row->body.ref_row;
        if (row->tag != TAG_ref_row) continue;
        if (is(body->role, "object")) {
            ref = (ref_t){.object = true, .owner = body->vat};
            reachable = body->reachable;
        } else if (!is_export(&ref, body)) {
            by_vats += is(body->state, "reachable");
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

    if (is(row->role, "object"))
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
        bool head = is(row->role, "object") || is(row->role, "promise");
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
