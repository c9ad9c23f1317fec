/* logs: the record that `up` keeps, and what happens now.
 *
 * The record (HOME/log.jsonl) is written by a vatctl of its own that `up` starts: console lines and
 * life events. Message traffic is not recorded; it is for those who look at it (-f --traffic). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/events.h"
#include "cli/instance.h"
#include "cli/plan.h"
#include "cli/rows.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { RECORD_BYTES_MAX = 64 * 1024 * 1024, BROKER_GONE_MS = 2000 };

/* A line of the record, as the event that it was. */
typedef struct {
    msg_event_t event;
    json_t *json;
} recorded_t;

static text_t text_member(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text_of(text ? text : "");
}

static bool recorded_read(const char *line, recorded_t *ret)
{
    json_t *json = json_loads(line, 0, NULL);
    uint32_t vat = 0;
    text_t id = text_member(json, "vat");

    if (!json_is_object(json)) {
        json_decref(json);
        return false;
    }
    id_parse('v', id.at, id.len, &vat);
    *ret = (recorded_t){.json = json};
    ret->event = (msg_event_t){.type = text_member(json, "type"),
                               .name = text_member(json, "name"),
                               .vat = {vat},
                               .kind = text_member(json, "level"),
                               .text = text_member(json, "body")};
    return true;
}

/* Whether the vat of that name and number is one of those asked for; marks all it answers to. */
static bool asked_for(const events_t *events, text_t name, vat_t vat, bool known[])
{
    char number[16];
    bool ret = events->vat_count == 0;

    snprintf(number, sizeof number, "v%u", vat.n);
    for (size_t i = 0; i < events->vat_count; i++) {
        const char *word = *events->vats[i] == '@' ? events->vats[i] + 1 : events->vats[i];
        bool same = name.len == strlen(word) && memcmp(name.at, word, name.len) == 0;
        if (!same && strcmp(number, word) != 0) continue;
        known[i] = ret = true;
    }
    return ret;
}

/* Marks what the broker knows of, ended vats as well: a vat may have said nothing so far. */
static err_t known_mark(link_t *link, const events_t *events, bool known[], fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, ROWS_VATS, true, (kref_t){0}, &rows, f);

    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_vat_row_t *vat = &row->body.vat_row;
        if (row->tag == TAG_vat_row) asked_for(events, vat->name, vat->vat, known);
    }
    rows_clear(&rows);
    return ERR_OK;
}

static const char *unknown(const events_t *events, const bool known[])
{
    for (size_t i = 0; i < events->vat_count; i++) {
        if (!known[i]) return events->vats[i];
    }
    return NULL;
}

/* Everything asked for must be a vat, else silence would look like a vat with nothing to say. */
static err_t known_check(const events_t *events, const bool known[], fail_t *f)
{
    const char *word = unknown(events, known);

    if (!word) return ERR_OK;
    fail(f, ERR_VAT_UNKNOWN, "no vat \"%.200s\"", word);
    if (strchr(word, '/')) fail_why(f, "a vat's own name or its number is wanted here");
    return ERR_VAT_UNKNOWN;
}

/* The last LINES lines of FILE that are asked for, kept as a ring. */
static err_t record_show(cli_t *cli, events_t *events, FILE *file, size_t lines)
{
    bool *known = calloc(events->vat_count + 1, sizeof *known);
    char **ring = calloc(lines, sizeof *ring), *line = NULL;
    size_t room = 0, count = 0;
    recorded_t recorded;

    must(ring && known);
    while (getline(&line, &room, file) > 0) {
        if (!recorded_read(line, &recorded)) continue;
        bool wanted = asked_for(events, recorded.event.name, recorded.event.vat, known);
        json_decref(recorded.json);
        if (!wanted) continue;
        free(ring[count % lines]);
        ring[count++ % lines] = strdup(line);
    }
    free(line);
    err_t err = ERR_OK;
    if (unknown(events, known)) {
        /* Without a broker the record alone decides. */
        AUTO(link) link = client_link(cli);
        if (link) err = known_mark(link, events, known, &cli->f);
        if (!err) err = known_check(events, known, &cli->f);
    }
    for (size_t i = count > lines ? count - lines : 0; i < count && !err; i++) {
        const char *text = ring[i % lines];
        if (cli->json) {
            fputs(text, stdout);
        } else if (recorded_read(text, &recorded)) {
            events_take(events, &recorded.event);
            json_decref(recorded.json);
        }
    }
    for (size_t i = 0; i < lines; i++) free(ring[i]);
    free(ring);
    free(known);
    return err;
}

static err_t record(cli_t *cli, events_t *events)
{
    char home[PATH_MAX], path[PATH_MAX + 16];

    instance_home(home);
    snprintf(path, sizeof path, "%s/log.jsonl", home);
    FILE *file = fopen(path, "re");
    if (!file) {
        fail(&cli->f, ERR_FILE_MISSING, "nothing was recorded in %s", home);
        fail_why(&cli->f, "%s: %s", path, strerror(errno));
        fail_try(&cli->f, "vatctl up         records what vats print");
        return ERR_FILE_MISSING;
    }
    err_t err = record_show(cli, events, file, args_count(&cli->args, "lines", 10000));
    fclose(file);
    return err;
}

/* A record has an end: the older half is kept beside it, what was before is gone. */
static void record_turn(events_t *events, const char *path)
{
    char old[PATH_MAX + 8];
    struct stat stat_;

    fflush(events->lines);
    if (stat(path, &stat_) != 0 || stat_.st_size < RECORD_BYTES_MAX) return;
    snprintf(old, sizeof old, "%s.1", path);
    if (rename(path, old) != 0) return;
    FILE *fresh = freopen(path, "ae", events->lines);
    if (fresh) events->lines = fresh;
}

static err_t follow(cli_t *cli, events_t *events, const char *path)
{
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    if (events->vat_count) {
        bool *known = calloc(events->vat_count, sizeof *known);
        must(known);
        err_t err = known_mark(link, events, known, &cli->f);
        if (!err) err = known_check(events, known, &cli->f);
        free(known);
        if (err) return err;
    }

    msg_watch_t watch = {request_id(), true, args_yes(&cli->args, "traffic")};
    const msg_t *msg;
    link_on_event(link, events_take, events);
    link_send(link, TAG_watch, &watch);
    while (!signal_caught()) {
        err_t err = link_next(link, BROKER_GONE_MS, &msg, &cli->f);
        if (err && err != ERR_TIMED_OUT) return err;
        if (path && !err && msg->tag == TAG_done) puts("recording"); /* `up` waits for it */
        if (path) record_turn(events, path);
        fflush(stdout);
        if (err && !signal_caught()) {
            /* Silence: is the broker still there? */
            AUTO(link) again = client_link(cli);
            if (!again) return cli->f.err;
        }
    }
    return ERR_OK;
}

err_t cmd_logs(cli_t *cli)
{
    const char *path = args_text(&cli->args, "record");
    bool going_on = args_yes(&cli->args, "follow");
    events_t events = {.people = cli->json || path ? NULL : stdout,
                       .color = cli->color && isatty(STDOUT_FILENO) == 1,
                       .traffic = args_yes(&cli->args, "traffic"),
                       .vats = cli->args.words,
                       .vat_count = (size_t)cli->args.word_count};

    if (!going_on && events.traffic) {
        fail(&cli->f, ERR_USAGE, "message traffic is not recorded");
        fail_try(&cli->f, "vatctl logs -f --traffic");
        return ERR_USAGE;
    }
    if (!going_on) return record(cli, &events);
    if (cli->json) events.lines = stdout;
    if (path && !(events.lines = fopen(path, "ae"))) {
        return fail(&cli->f, ERR_FILE_MISSING, "%.200s cannot be written: %s", path,
                    strerror(errno));
    }
    /* A line is there as soon as it happened, also for who reads the file. */
    if (events.lines) setvbuf(events.lines, NULL, _IOLBF, 0);
    err_t err = follow(cli, &events, path);
    if (path) fclose(events.lines);
    return err;
}
