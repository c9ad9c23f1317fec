/* ps, status, cluster ls: what the broker knows, shown. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/stats.h"
#include "cli/value.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

/* Why a vat ended, as a person reads it. */
static json_t *reason_json(text_t reason)
{
    buf_t text = buf_of(4 * TEXT_BYTES_MAX);
    err_t err = value_show_reason(&text, reason);
    json_t *json = json_text(err ? reason : (text_t){(const char *)text.at, text.len});

    buf_clear(&text);
    return json;
}

err_t away_get(link_t *link, away_t *ret, fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, f);

    *ret = (away_t){0};
    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        if (row->tag != TAG_host_row || row->body.host_row.connected) continue;
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
    bool lives = text_is(vat->state, "running") || text_is(vat->state, "starting");

    for (size_t i = 0; i < away->count && lives; i++) {
        if (away->at[i].n == vat->host.n) return text_of("waiting");
    }
    return lives && vat->asleep ? text_of("asleep") : vat->state;
}

json_t *vat_json(const msg_vat_row_t *vat, const away_t *away)
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
    json_object_set_new(row, "bundle", json_text(vat->bundle));
    json_object_set_new(row, "checkpoint", json_number(vat->checkpoint));
    json_object_set_new(row, "log_from", json_number(vat->safe + 1));
    json_object_set_new(row, "mirrored", json_number(vat->mirrored));
    json_object_set_new(row, "checkpoint_bytes", json_number(vat->checkpoint_bytes));
    json_object_set_new(row, "attempts", json_number(vat->attempts));
    json_object_set_new(row, "moving", vat->moving.n ? json_id('h', vat->moving.n) : json_null());
    return row;
}

json_t *names_json(text_t names)
{
    json_t *list = json_array();

    for (size_t i = 0; i < names.len;) {
        const char *blank = memchr(names.at + i, ' ', names.len - i);
        size_t len = blank ? (size_t)(blank - names.at) - i : names.len - i;
        if (len) json_array_append_new(list, json_text((text_t){names.at + i, len}));
        i += len + 1;
    }
    return list;
}

uint64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *age(uint64_t ms, char ret[32])
{
    uint64_t now = wall_ms(), s = now > ms ? (now - ms) / 1000 : 0;

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
    return !cluster->vats && text_is(cluster->state, "running") ? text_of("ended") : cluster->state;
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
    json_object_set_new(row, "system", json_boolean(cluster->system));
    return row;
}

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

static err_t hosts_get(link_t *link, table_t *table, json_t *json, fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, f);

    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_host_row_t *host = &row->body.host_row;
        if (row->tag != TAG_host_row) continue;
        json_array_append_new(
            json, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "host",
                            json_id('h', host->host.n), "name", json_text(host->name), "state",
                            json_text(host->state), "vats", json_number(host->vats), "key",
                            json_text(host->key), "reason", json_text(host->reason), "engine",
                            json_text(host->engine), "connected", (int)host->connected));
        table_add(table, "h%u", host->host.n);
        table_add(table, "%.*s", TEXT(host->name));
        bool drains = text_is(host->state, "draining") || text_is(host->state, "drained");
        table_add(table, "%.*s%s", TEXT(host->state), drains && !host->connected ? ", away" : "");
        table_add(table, "%" PRIu64, host->vats);
    }
    rows_clear(&rows);
    return ERR_OK;
}

const list_t all_clusters = {"CLUSTER NAME STATE VATS BOOTSTRAP RESULT", "cluster", clusters_get};
const list_t all_hosts = {"HOST NAME STATE VATS", "host", hosts_get};

err_t list_show(cli_t *cli, link_t *link, const list_t *list)
{
    table_t table = table_of(list->head);
    json_t *json = json_array();
    err_t err = list->get(link, &table, json, &cli->f);
    if (!err && cli->json)
        out_json(json_incref(json));
    else if (!err)
        table_print(&table, stdout);
    json_decref(json);
    table_clear(&table);
    return err;
}

err_t list_find(link_t *link, const list_t *list, const char *word, json_t **ret, fail_t *f)
{
    const char *const keys[] = {list->id, "name"};
    table_t table = table_of(list->head);
    json_t *json = json_array(), *row;
    size_t i;
    err_t err = list->get(link, &table, json, f);

    *ret = NULL;
    for (size_t k = 0; k < 2 && !err && !*ret; k++) {
        json_array_foreach(json, i, row)
        {
            if (strcmp(json_string_value(json_object_get(row, keys[k])), word) != 0) continue;
            *ret = json_incref(row);
            break;
        }
    }
    json_decref(json);
    table_clear(&table);
    return err;
}

err_t cmd_cluster_ls(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    return link ? list_show(cli, link, &all_clusters) : cli->f.err;
}

/* The broker's disk: what is taken in while it has little room, in words of the broker's own levels. */
static json_t *disk_json(const stats_t *stats)
{
    static const char *const levels[] = {"enough", "low", "none"};
    uint64_t level = stats_value(stats, "disk_level", "");

    return json_pack("{s:s, s:o, s:o}", "room", levels[level < 3 ? level : 2], "free_bytes",
                     json_number(stats_value(stats, "disk_free", "")), "bytes",
                     json_number(stats_value(stats, "disk_size", "")));
}

static void disk_print(const stats_t *stats)
{
    enum { ENOUGH, LOW };
    static const char what[][128] = {
        "what would make the state larger (launch, call, ...) is refused, vats go on",
        "all work waits until there is more room"};
    uint64_t level = stats_value(stats, "disk_level", "");

    if (level == ENOUGH) return;
    printf("  its disk is %s: %" PRIu64 " of %" PRIu64 " MiB are free; %s\n",
           level == LOW ? "LOW" : "NEARLY FULL", stats_value(stats, "disk_free", "") >> 20,
           stats_value(stats, "disk_size", "") >> 20, what[level != LOW]);
}

static void status_print(const link_t *link, const stats_t *stats, const table_t *host_table,
                         const table_t *cluster_table, json_t *counters)
{
    const char *name;
    json_t *value;

    printf("broker %s\n  hosts connect to %s\n  key %s\n", link_version(link),
           link_hosts_endpoint(link), link_key(link));
    disk_print(stats);
    printf("\n");
    table_print(host_table, stdout);
    printf("\n");
    table_print(cluster_table, stdout);
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

    table_t host_table = table_of(all_hosts.head), cluster_table = table_of(all_clusters.head);
    json_t *hosts_json = json_array(), *clusters_json = json_array(), *counters = NULL;
    err_t err = all_hosts.get(link, &host_table, hosts_json, &cli->f);
    if (!err) err = all_clusters.get(link, &cluster_table, clusters_json, &cli->f);
    if (!err) err = counters_get(link, &counters, &cli->f);
    stats_t stats = {0};
    if (!err) err = stats_get(link, false, ANSWER_MS, &stats, &cli->f);
    if (!err && cli->json) {
        out_json(json_pack("{s:s, s:s, s:s, s:o, s:O, s:O, s:O}", "version", link_version(link),
                           "hosts_endpoint", link_hosts_endpoint(link), "key", link_key(link),
                           "disk", disk_json(&stats), "hosts", hosts_json, "clusters",
                           clusters_json, "counters", counters));
    } else if (!err) {
        status_print(link, &stats, &host_table, &cluster_table, counters);
    }
    json_decref(hosts_json);
    json_decref(clusters_json);
    json_decref(counters);
    stats_clear(&stats);
    table_clear(&host_table);
    table_clear(&cluster_table);
    return err;
}
