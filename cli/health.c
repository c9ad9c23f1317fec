#include "cli/health.h"

#include <inttypes.h>
#include <stdarg.h>

#include "cli/http_ask.h"
#include "cli/json.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/stats.h"
#include "wire/base/alive.h"

health_t health_new(void) { return (health_t){json_array(), true}; }

void health_clear(health_t *self)
{
    json_decref(self->checks);
    *self = (health_t){0};
}

static void check(health_t *self, const char *what, bool met, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void check(health_t *self, const char *what, bool met, const char *format, ...)
{
    char detail[FAIL_TEXT_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(detail, sizeof detail, format, list);
    va_end(list);
    json_array_append_new(self->checks, json_pack("{s:s, s:b, s:o}", "check", what, "ok", met,
                                                  "detail", json_text(text_of(detail))));
    self->met = self->met && met;
}

/* ---- a vathost ---- */

void health_vathost(health_t *self, const char *dir, health_depth_t depth)
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
    if (lives && depth != HEALTH_LIVE) check(self, "session", alive.ready, "%s", alive.what);
}

/* ---- what serves HTTP ---- */

err_t health_http(health_t *self, const char *url, unsigned ms, fail_t *f)
{
    int status;
    char why[128];
    err_t err = http_status(url, ms, &status, why, f);
    if (err) return err;
    if (status)
        check(self, "http", status == 200, "%.200s answers %d", url, status);
    else
        check(self, "http", false, "%.200s: %s", url, why);
    return ERR_OK;
}

/* ---- a broker ---- */

/* Those that are meant to run vats: one that is drained or disavowed is not missed. */
static err_t check_hosts(health_t *self, link_t *link, uint64_t wanted, fail_t *f)
{
    rows_t rows;
    uint64_t known = 0, connected = 0;
    err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, f);
    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        if (row->tag != TAG_host_row) continue;
        text_t state = row->body.host_row.state;
        bool here = text_is(state, "connected");
        connected += here;
        known += here || text_is(state, "away") || text_is(state, "quarantined");
    }
    rows_clear(&rows);
    check(self, "hosts", connected >= (wanted ? wanted : known),
          "%" PRIu64 " connected, %" PRIu64 " %s", connected, wanted ? wanted : known,
          wanted ? "wanted" : "known");
    return ERR_OK;
}

static err_t check_audit(health_t *self, link_t *link, unsigned ms, fail_t *f)
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

static void check_stats(health_t *self, const stats_t *stats, const link_t *link,
                        health_depth_t depth)
{
    uint64_t quarantined = stats_value(stats, "vats", "quarantined");
    check(self, "broker", true, "version %s", link_version(link));
    if (depth != HEALTH_LIVE)
        check(self, "disk", stats_value(stats, "store_writable", ""), "%" PRIu64 " MiB free",
              stats_value(stats, "disk_free", "") >> 20);
    if (depth == HEALTH_DEEP)
        check(self, "vats", !quarantined, "%" PRIu64 " in quarantine", quarantined);
}

err_t health_broker(health_t *self, link_t *link, health_depth_t depth, uint64_t hosts, unsigned ms,
                    fail_t *f)
{
    stats_t stats;
    err_t err = stats_get(link, false, ms, &stats, f);
    if (err == ERR_TIMED_OUT) err = fail(f, ERR_NO_BROKER, "the broker does not answer");
    if (!err) check_stats(self, &stats, link, depth);
    stats_clear(&stats);
    if (!err && (depth == HEALTH_DEEP || hosts)) err = check_hosts(self, link, hosts, f);
    if (!err && depth == HEALTH_DEEP) err = check_audit(self, link, ms, f);
    return err;
}
