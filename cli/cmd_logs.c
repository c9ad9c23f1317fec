/* logs, events: the record that `up` keeps, what the broker remembers, and what happens now.
 *
 * The record (HOME/log.jsonl) is written by a vatctl of its own that `up` starts: console lines and
 * life events. Message traffic is not recorded; the broker remembers the last of it. So does who asks a
 * broker that is not the instance's own: there is no record of that one here. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/events_own.h"
#include "cli/instance.h"
#include "cli/plan.h"
#include "cli/recall.h"
#include "cli/rows.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum {
    RECORD_BYTES_MAX = 64 * 1024 * 1024,
    TURN_MS = 2000,     /* how often the length of the record is looked at */
    RECORDER_LOOKS = 3, /* one more than others: nobody starts the recorder again with its broker */
    LINES_DEFAULT = 10000,
    LINES_MAX = 1000 * 1000
};

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
    uint32_t vat = 0, host = 0;
    text_t id = text_member(json, "vat"), on = text_member(json, "on");
    double time = json_number_value(json_object_get(json, "time"));

    if (!json_is_object(json)) {
        json_decref(json);
        return false;
    }
    id_parse('v', id.at, id.len, &vat);
    id_parse('h', on.at, on.len, &host);
    *ret = (recorded_t){.json = json};
    ret->event = (msg_event_t){.type = text_member(json, "type"),
                               .time_us = time > 0 ? (uint64_t)(time * 1e6 + 0.5) : 0,
                               .name = text_member(json, "name"),
                               .vat = {vat},
                               .host = {host},
                               .d = (uint64_t)json_integer_value(json_object_get(json, "delivery")),
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
        if (!text_is(name, word) && strcmp(number, word) != 0) continue;
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

/* Everything asked for must be a vat, else silence would look like a vat with nothing to say. With a LINK the
 * broker's names say what was meant. */
static err_t known_check(const events_t *events, const bool known[], link_t *link, fail_t *f)
{
    const char *word = unknown(events, known);
    fail_t guess;
    found_t found;

    if (!word) return ERR_OK;
    fail(f, ERR_VAT_UNKNOWN, "no vat \"%.200s\"", word);
    if (strchr(word, '/'))
        fail_why(f, "a vat's own name or its number is wanted here");
    else if (link && vat_named(link, word, &found, &guess) == ERR_VAT_UNKNOWN)
        *f = guess;
    return ERR_VAT_UNKNOWN;
}

/* The last LINES lines of FILE that are asked for, kept as a ring. RET_COUNT of them there were. */
static char **record_last(events_t *events, FILE *file, size_t lines, bool known[],
                          size_t *ret_count)
{
    char **ring = calloc(lines, sizeof *ring), *line = NULL;
    size_t room = 0;
    recorded_t recorded;

    must(ring);
    *ret_count = 0;
    while (getline(&line, &room, file) > 0) {
        if (!recorded_read(line, &recorded)) continue;
        bool wanted = asked_for(events, recorded.event.name, recorded.event.vat, known) &&
                      event_wanted(events, &recorded.event) && event_shown(events, &recorded.event);
        json_decref(recorded.json);
        if (!wanted) continue;
        free(ring[*ret_count % lines]);
        ring[(*ret_count)++ % lines] = strdup(line);
    }
    free(line);
    return ring;
}

static err_t record_show(cli_t *cli, events_t *events, FILE *file, size_t lines)
{
    bool *known = calloc(events->vat_count + 1, sizeof *known);
    recorded_t recorded;
    size_t count;
    err_t err = ERR_OK;

    must(known);
    char **ring = record_last(events, file, lines, known, &count);
    if (unknown(events, known)) {
        /* Without a broker the record alone decides. */
        AUTO(link) link = client_link(cli);
        if (link) err = known_mark(link, events, known, &cli->f);
        if (!err) err = known_check(events, known, link, &cli->f);
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

static FILE *record_open(char path[PATH_MAX + 16], char home[PATH_MAX])
{
    instance_home(home);
    snprintf(path, PATH_MAX + 16, "%s/log.jsonl", home);
    return fopen(path, "re");
}

static err_t vat_of(link_t *link, const char *word, vat_t *ret, fail_t *f)
{
    found_t found = {0};

    if (!word || strcmp(word, "cli") == 0) return ERR_OK;
    err_t err = vat_named(link, *word == '@' ? word + 1 : word, &found, f);
    *ret = found.vat;
    return err == ERR_VAT_TERMINATED && found.vat.n ? ERR_OK : err;
}

/* Everything that is named must be there. */
static err_t names_find(cli_t *cli, link_t *link, events_t *events)
{
    bool *known = calloc(events->vat_count + 1, sizeof *known);
    err_t err = ERR_OK;

    must(known);
    if (events->vat_count) err = known_mark(link, events, known, &cli->f);
    if (!err) err = known_check(events, known, link, &cli->f);
    free(known);
    if (!err) err = vat_of(link, events->from, &events->from_vat, &cli->f);
    return err ? err : vat_of(link, events->to, &events->to_vat, &cli->f);
}

/* ---- what the broker remembers ---- */

/* The last LINES of it that are asked for. */
static err_t remembered(cli_t *cli, events_t *events, link_t *link, size_t lines)
{
    unsigned topics = events->traffic ? 3 : 1;
    msg_trace_t ask = {.topics = topics, .since_us = events->since_us};
    recall_t recall;
    err_t err = recall_get(link, &ask, &recall, &cli->f);
    const recalled_t **wanted = calloc(recall.count + 1, sizeof *wanted);
    size_t count = 0;

    must(wanted);
    for (size_t i = 0; i < recall.count; i++) {
        const recalled_t *one = &recall.at[i];
        const msg_event_t *event = &one->event.body.event;
        if (event_wanted(events, event) && event_shown(events, event)) wanted[count++] = one;
    }
    for (size_t i = count > lines ? count - lines : 0; i < count && !err; i++)
        events_put(events, &wanted[i]->event.body.event, wanted[i]->bytes);
    free(wanted);
    recall_clear(&recall);
    return err;
}

/* A record is there, and of the broker that is asked. */
static bool is_recorded(cli_t *cli)
{
    char path[PATH_MAX + 16], home[PATH_MAX];
    const char *endpoint = getenv("VATYARD_ENDPOINT");

    if (args_text(&cli->args, "endpoint") || (endpoint && *endpoint)) return false;
    FILE *file = record_open(path, home);
    if (file) fclose(file);
    return file != NULL;
}

static err_t nothing_recorded(cli_t *cli)
{
    char path[PATH_MAX + 16], home[PATH_MAX];

    instance_home(home);
    snprintf(path, sizeof path, "%s/log.jsonl", home);
    fail(&cli->f, ERR_FILE_MISSING, "nothing was recorded in %s", home);
    fail_why(&cli->f, "%s: %s", path, strerror(ENOENT));
    fail_try(&cli->f, "vatctl up         records what vats print");
    return ERR_FILE_MISSING;
}

/* What was: from the record, else from the broker. */
static err_t past(cli_t *cli, events_t *events)
{
    char path[PATH_MAX + 16], home[PATH_MAX];
    size_t lines = args_count(&cli->args, "lines", LINES_DEFAULT);

    if (lines > LINES_MAX) lines = LINES_MAX; /* a record has no more */
    if (!events->traffic && is_recorded(cli)) {
        FILE *file = record_open(path, home);
        err_t err = file ? record_show(cli, events, file, lines) : nothing_recorded(cli);
        if (file) fclose(file);
        return err;
    }
    AUTO(link) link = client_link(cli);
    if (!link && cli->f.err == ERR_NO_BROKER && !events->traffic &&
        !args_text(&cli->args, "endpoint")) {
        return nothing_recorded(cli);
    }
    if (!link) return cli->f.err;
    err_t err = names_find(cli, link, events);
    return err ? err : remembered(cli, events, link, lines);
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

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Who is told what happens. */
typedef struct {
    events_t *events;
    link_t *link;
    uint64_t last_us; /* when the last event was that was told, or the following began */
    unsigned same;    /* so many of them were at that time */
    bool behind;      /* something happened since that was not told */
} follower_t;

static void note(follower_t *self, const msg_event_t *event)
{
    self->same = event->time_us == self->last_us ? self->same + 1 : 1;
    self->last_us = event->time_us;
}

/* What comes while something before it is missing comes again with that. */
static void follower_take(void *context, const msg_event_t *event)
{
    follower_t *self = context;

    if (self->behind) return;
    note(self, event);
    events_take(self->events, event);
}

/* The broker, or the way to it, was gone and is back: it remembers what was not told meanwhile, unless it was told
 * to remember nothing. What happens until the last page has come is in the pages. Fails with TIMED_OUT when it went
 * away again: then nothing was told, and it is asked again. */
static err_t catch_up(cli_t *cli, follower_t *self)
{
    msg_trace_t ask = {.topics = self->events->traffic ? 3 : 1, .since_us = self->last_us};
    unsigned told = self->same;
    recall_t recall;
    err_t err = recall_get(self->link, &ask, &recall, &cli->f);

    for (size_t i = 0; i < recall.count && !err; i++) {
        const msg_event_t *event = &recall.at[i].event.body.event;
        if (event->time_us == ask.since_us && told > 0) {
            told--;
            continue;
        }
        note(self, event);
        if (event_wanted(self->events, event)) events_put(self->events, event, recall.at[i].bytes);
    }
    recall_clear(&recall);
    if (err == ERR_TRACE_GONE) err = ERR_OK;
    self->behind = err != ERR_OK;
    return err;
}

static err_t follow(cli_t *cli, events_t *events, const char *path)
{
    bool before = args_text(&cli->args, "lines") || events->since_us;
    msg_watch_t watch = {request_id(), true, events->traffic};
    const msg_t *msg;
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    follower_t follower = {.events = events, .link = link};
    err_t err = names_find(cli, link, events);
    if (err) return err;

    setvbuf(stdout, NULL, _IOLBF, 0); /* who reads this from a pipe wants it now */
    err = link_ask(link, TAG_watch, &watch, TAG_done, ANSWER_MS, &msg, &cli->f);
    if (!err && path) puts("recording"); /* `up` waits for it, and for nothing else */
    /* Until the last page of what was has come, what happens is in the pages: nobody gets it yet. */
    if (!err && before)
        err = remembered(cli, events, link, args_count(&cli->args, "lines", LINES_DEFAULT));
    if (err) return err;
    if (path) link_looks(link, RECORDER_LOOKS);
    follower.last_us = now_us();
    link_on_event(link, follower_take, &follower);
    /* A broker that is silent may be busy, stopped, or on its way back: who is asked for what happens goes on
     * as long as there is a door. */
    while (!signal_caught()) {
        err = link_next(link, TURN_MS, &msg, &cli->f);
        if (!err && msg->tag == TAG_done) follower.behind = true; /* WATCH, again */
        if (err && err != ERR_TIMED_OUT) return err;
        if (follower.behind) err = catch_up(cli, &follower);
        if (err && err != ERR_TIMED_OUT) return err;
        if (path) record_turn(events, path);
        fflush(stdout);
    }
    return ERR_OK;
}

/* What both commands have: where it goes, and since when. */
static events_t asked(cli_t *cli)
{
    uint64_t since_ms = args_ms(&cli->args, "since", 0);

    return (events_t){.people = cli->json ? NULL : stdout,
                      .lines = cli->json ? stdout : NULL,
                      .color = cli->color && isatty(STDOUT_FILENO) == 1,
                      .since_us = since_ms ? now_us() - since_ms * 1000 : 0};
}

static err_t filters_read(cli_t *cli, events_t *events)
{
    const char *args = args_text(&cli->args, "args"), *promise = args_text(&cli->args, "promise");

    events->traffic = args_yes(&cli->args, "traffic");
    events->from = args_text(&cli->args, "from");
    events->to = args_text(&cli->args, "to");
    events->method = args_text(&cli->args, "method");
    if (args) {
        events->args = *args == 'f' ? ARGS_FULL : *args == 's' ? ARGS_SHORT : ARGS_NONE;
    }
    if (promise && (!kref_parse(promise, strlen(promise), &events->promise) ||
                    !kref_is_promise(events->promise))) {
        return fail(&cli->f, ERR_BAD_VALUE, "\"%.200s\" is no promise", promise);
    }
    if (events_by_message(events)) events->traffic = true;
    return ERR_OK;
}

err_t cmd_logs(cli_t *cli)
{
    const char *path = args_text(&cli->args, "record");
    bool going_on = args_yes(&cli->args, "follow");
    events_t events = asked(cli);
    err_t err = filters_read(cli, &events);

    if (err) return err;
    events.vats = cli->args.words;
    events.vat_count = (size_t)cli->args.word_count;
    if (!going_on) return past(cli, &events);
    if (path) {
        events.people = NULL;
        events.lines = fopen(path, "ae");
    }
    if (path && !events.lines) {
        fail(&cli->f, ERR_FILE_MISSING, "--record: %.1000s cannot be written", path);
        fail_why(&cli->f, "%s", strerror(errno));
        return ERR_FILE_MISSING;
    }
    /* The file is the result: that nobody waits any more to be told that it is written is no end. */
    if (path) signal(SIGPIPE, SIG_IGN);
    /* A line is there as soon as it happened, also for who reads the file. */
    if (events.lines) setvbuf(events.lines, NULL, _IOLBF, 0);
    err = follow(cli, &events, path);
    if (path) fclose(events.lines);
    return err;
}

/* ---- events ---- */

static const char *const life_types[] = {
    "launch",     "vat-start",       "vat-upgrade",    "vat-restart", "vat-moved",
    "vat-poison", "vat-exit",        "vat-quarantine", "checkpoint",  "host-up",
    "host-down",  "host-quarantine", "host-disavowed",
};

static bool is_type(const char *word)
{
    for (size_t i = 0; i < sizeof life_types / sizeof *life_types; i++) {
        if (strcmp(life_types[i], word) == 0) return true;
    }
    return false;
}

static err_t wrong_type(cli_t *cli, const char *word)
{
    char all[512] = "";

    for (size_t i = 0; i < sizeof life_types / sizeof *life_types; i++) {
        if (i) strcat(all, " ");
        strcat(all, life_types[i]);
    }
    fail(&cli->f, ERR_BAD_VALUE, "--type: there is no \"%.200s\"", word);
    fail_why(&cli->f, "%s", all);
    return ERR_BAD_VALUE;
}

err_t cmd_events(cli_t *cli)
{
    const char *types[FLAG_TEXTS_MAX];
    events_t events = asked(cli);

    events.life = true;
    events.types = types;
    for (const char *type; (type = args_texts(&cli->args, "type", events.type_count));) {
        if (!is_type(type)) return wrong_type(cli, type);
        types[events.type_count++] = type;
    }
    if (!args_yes(&cli->args, "follow")) return past(cli, &events);
    if (events.lines) setvbuf(events.lines, NULL, _IOLBF, 0);
    return follow(cli, &events, NULL);
}
