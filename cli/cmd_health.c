/* health: does it live, can it work, is all well? Of a broker, which is asked; of a vathost, whose sign of life
 * is looked at. A check that is not met is exit code 9, a broker that is not there is 4. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cli/client.h"
#include "cli/rows.h"
#include "cli/stats.h"
#include "cli/table.h"
#include "wire/base/alive.h"
#include "wire/base/own.h"

enum { HEALTH_MS = 5 * 1000, EXIT_NOT_MET = 9 };

typedef enum { LIVE, READY, DEEP } depth_t;

typedef struct {
    table_t table;
    json_t *checks;
    bool met;
} report_t;

static void check(report_t *self, const char *what, bool met, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void check(report_t *self, const char *what, bool met, const char *format, ...)
{
    char detail[FAIL_TEXT_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(detail, sizeof detail, format, list);
    va_end(list);
    table_add(&self->table, "%s", what);
    table_add(&self->table, "%s", met ? "ok" : "no");
    table_add(&self->table, "%s", detail);
    json_array_append_new(self->checks, json_pack("{s:s, s:b, s:o}", "check", what, "ok", met,
                                                  "detail", json_text(text_of(detail))));
    self->met = self->met && met;
}

/* ---- a vathost ---- */

static void check_vathost(report_t *self, const char *dir, depth_t depth)
{
    alive_t alive;
    if (!alive_read(dir, &alive)) {
        check(self, "vathost", false, "no sign of life in %.200s", dir);
        return;
    }
    uint64_t now = alive_now_ms();
    /* A time that is still to come is of another boot of the machine. */
    bool lives = alive.at_ms <= now && now - alive.at_ms <= ALIVE_LOST_MS;
    if (lives)
        check(self, "vathost", true, "pid %" PRIu64, alive.pid);
    else
        check(self, "vathost", false, "no sign of life since %" PRIu64 " s",
              alive.at_ms <= now ? (now - alive.at_ms) / 1000 : now / 1000);
    if (lives && depth != LIVE) check(self, "session", alive.ready, "%s", alive.what);
}

/* ---- a broker ---- */

static err_t check_hosts(report_t *self, link_t *link, uint64_t wanted, fail_t *f)
{
    rows_t rows;
    uint64_t known = 0, connected = 0;
    err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, f);
    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        if (row->tag != TAG_host_row) continue;
        text_t state = row->body.host_row.state;
        if (state.len == 9 && memcmp(state.at, "disavowed", 9) == 0) continue;
        known++;
        connected += state.len != 4 || memcmp(state.at, "away", 4) != 0;
    }
    rows_clear(&rows);
    check(self, "hosts", connected >= (wanted ? wanted : known),
          "%" PRIu64 " connected, %" PRIu64 " %s", connected, wanted ? wanted : known,
          wanted ? "wanted" : "known");
    return ERR_OK;
}

static err_t check_audit(report_t *self, link_t *link, unsigned ms, fail_t *f)
{
    msg_audit_t audit = {request_id(), 0};
    rows_t rows;
    uint64_t findings = 0;
    err_t err = rows_ask(link, TAG_audit, &audit, ms, &rows, f);
    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) findings += row->tag == TAG_finding_row;
    rows_clear(&rows);
    check(self, "audit", findings == 0, "%" PRIu64 " findings", findings);
    return ERR_OK;
}

static err_t check_broker(cli_t *cli, report_t *self, depth_t depth)
{
    unsigned ms = (unsigned)args_ms(&cli->args, "timeout", HEALTH_MS);
    uint64_t wanted = args_count(&cli->args, "hosts", 0);
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    stats_t stats;
    err_t err = stats_get(link, false, ms, &stats, &cli->f);
    if (err == ERR_TIMED_OUT) /* it is there and does nothing, which is as good as not there */
        err = fail(&cli->f, ERR_NO_BROKER, "the broker does not answer");
    if (!err) {
        uint64_t quarantined = stats_value(&stats, "vats", "quarantined");
        uint64_t free_mib = stats_value(&stats, "disk_free", "") >> 20;
        check(self, "broker", true, "version %s", link_version(link));
        if (depth != LIVE)
            check(self, "disk", stats_value(&stats, "store_writable", ""), "%" PRIu64 " MiB free",
                  free_mib);
        if (depth == DEEP)
            check(self, "vats", !quarantined, "%" PRIu64 " in quarantine", quarantined);
    }
    stats_clear(&stats);
    if (!err && (depth == DEEP || wanted)) err = check_hosts(self, link, wanted, &cli->f);
    if (!err && depth == DEEP) err = check_audit(self, link, ms, &cli->f);
    return err;
}

/* ---- */

static depth_t depth_of(const args_t *args)
{
    if (args_yes(args, "deep")) return DEEP;
    return args_yes(args, "live") && !args_yes(args, "ready") ? LIVE : READY;
}

err_t cmd_health(cli_t *cli)
{
    report_t report = {table_of("CHECK MET DETAIL"), json_array(), true};
    const char *dir = args_text(&cli->args, "vathost");
    depth_t depth = depth_of(&cli->args);
    err_t err = ERR_OK;

    if (dir)
        check_vathost(&report, dir, depth);
    else
        err = check_broker(cli, &report, depth);
    if (!err && cli->json)
        out_json(json_pack("{s:b, s:O}", "healthy", report.met, "checks", report.checks));
    else if (!err && !(cli->quiet && report.met))
        table_print(&report.table, stdout);
    if (!report.met) cli->exit = EXIT_NOT_MET;
    json_decref(report.checks);
    table_clear(&report.table);
    return err;
}
