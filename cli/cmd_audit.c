/* db audit: every count of the kernel's state, made again and compared. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/events.h"
#include "cli/instance.h"
#include "cli/process.h"
#include "cli/rows.h"
#include "wire/base/own.h"

/* Reading a large state, and the audit of it at the start, may take longer than READY_MS. */
enum { LOG_LINE_MAX = 64 * 1024, LOAD_MS = 600 * 1000 };

typedef struct {
    json_t *findings; /* array of {rule, row, should} */
    json_t *checked;  /* what was looked at, by name */
    uint64_t began_ms;
} audit_t;

static audit_t audit_begin(void) { return (audit_t){json_array(), json_object(), now_ms()}; }

static void audit_end(audit_t *self)
{
    json_decref(self->findings);
    json_decref(self->checked);
}

static void add_finding(audit_t *self, text_t rule, text_t row, text_t should)
{
    json_array_append_new(self->findings,
                          json_pack("{s:o, s:o, s:o}", "rule", json_text(rule), "row",
                                    json_text(row), "should", json_text(should)));
}

static void put_field(const json_t *finding, const char *name)
{
    put_safely(stdout, text_of(json_string_value(json_object_get(finding, name))));
}

/* "4 vats compared" of vats_compared. */
static void checked_say(const cli_t *cli, const audit_t *self)
{
    const char *name;
    json_t *value;
    buf_t line = buf_of(TEXT_BYTES_MAX);
    char item[2 * NAME_BYTES_MAX];
    err_t err = ERR_OK;

    json_object_foreach(self->checked, name, value)
    {
        int len = snprintf(item, sizeof item, "%s%" JSON_INTEGER_FORMAT " %.200s",
                           line.len ? ", " : "", json_integer_value(value), name);
        for (char *at = item; *at; at++) *at = *at == '_' ? ' ' : *at;
        if (!err) err = buf_add(&line, item, (size_t)len);
    }
    say(cli, "looked at %.*s in %" PRIu64 " ms", (int)line.len, (const char *)line.at,
        now_ms() - self->began_ms);
    buf_clear(&line);
}

/* Findings are the result, and so is "clean"; what was looked at is for whoever wonders. */
static void audit_print(cli_t *cli, const audit_t *self)
{
    json_t *finding;
    size_t i;

    if (json_array_size(self->findings)) cli->exit = err_row(ERR_STORE_DAMAGED)->exit;
    if (cli->json) {
        out_json(json_pack("{s:O, s:O, s:I}", "findings", self->findings, "checked", self->checked,
                           "elapsed_ms", (json_int_t)(now_ms() - self->began_ms)));
        return;
    }
    json_array_foreach(self->findings, i, finding)
    {
        put_field(finding, "rule");
        fputs("  ", stdout);
        put_field(finding, "row");
        fputs(": ", stdout);
        put_field(finding, "should");
        putchar('\n');
    }
    if (!i) printf("clean\n");
    fflush(stdout);
    if (json_object_size(self->checked)) checked_say(cli, self);
}

/* NAMES: the workers are asked as well. A million objects take seconds, so nothing hurries. */
static err_t audit_ask(cli_t *cli, link_t *link, bool names, audit_t *self)
{
    msg_audit_t audit = {request_id(), names};
    uint64_t ms = args_ms(&cli->args, "timeout", FOREVER_MS);
    rows_t rows;
    err_t err = rows_ask(link, TAG_audit, &audit, ms < FOREVER_MS ? (unsigned)ms : FOREVER_MS,
                         &rows, &cli->f);

    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_finding_row_t *finding = &row->body.finding_row;
        const msg_counter_row_t *counter = &row->body.counter_row;
        if (row->tag == TAG_finding_row)
            add_finding(self, finding->rule, finding->row, finding->should);
        else if (row->tag == TAG_counter_row)
            json_set_counter(self->checked, counter->name, counter->value);
    }
    rows_clear(&rows);
    return ERR_OK;
}

/* A broker that finds damage when it starts does not open, and its log has every row. */
static void findings_of_log(const char *path, off_t from, audit_t *self)
{
    FILE *log = fopen(path, "re");
    char *line = malloc(LOG_LINE_MAX);

    if (log) fseeko(log, from, SEEK_SET);
    while (log && line && fgets(line, LOG_LINE_MAX, log)) {
        const char *type, *rule, *row, *should;
        json_t *event = json_loads(line, 0, NULL);
        if (event &&
            json_unpack(event, "{s:s, s:s, s:s, s:s}", "type", &type, "rule", &rule, "row", &row,
                        "should", &should) == 0 &&
            strcmp(type, "audit") == 0) {
            add_finding(self, text_of(rule), text_of(row), text_of(should));
        }
        json_decref(event);
    }
    free(line);
    if (log) fclose(log);
}

static err_t offline(cli_t *cli, const char *home, const char *socket, audit_t *self)
{
    instance_t instance = {0};
    char log[PATH_MAX];
    struct stat before = {0};

    snprintf(log, sizeof log, "%.4000s/broker.log", home);
    if (stat(log, &before) != 0) before.st_size = 0;
    uint64_t ms = args_ms(&cli->args, "timeout", LOAD_MS);
    setenv("VATYARD_LOG_FORMAT", "json", 1);
    setenv("VATYARD_LOG_LEVEL", "info", 1);
    const instance_options_t options = {.folder = home, .socket = socket, .kind = INSTANCE_OWN};
    err_t err = instance_start(&instance, &options, ms < LOAD_MS ? (unsigned)ms : LOAD_MS, &cli->f);
    if (err == ERR_STORE_DAMAGED) findings_of_log(log, before.st_size, self);
    link_t *link = err ? NULL : link_new(instance.control, ANSWER_MS, &cli->f);
    if (!err) err = link ? audit_ask(cli, link, false, self) : cli->f.err;
    link_destroy(&link);
    instance_stop(&instance);
    return json_array_size(self->findings) ? ERR_OK : err;
}

/* A broker alone over the state that DIR keeps: it loads everything, and no vat runs. */
static err_t audit_offline(cli_t *cli, const char *dir, audit_t *self)
{
    char folder[] = "/tmp/vatyard-XXXXXX", socket[64], state[PATH_MAX], home[PATH_MAX];

    if (!realpath(dir, home)) return fail(&cli->f, ERR_FILE_MISSING, "no state in %.200s", dir);
    snprintf(state, sizeof state, "%.4000s/broker/kernel.db", home);
    if (access(state, R_OK) != 0) return fail(&cli->f, ERR_FILE_MISSING, "no state in %.200s", dir);
    if (!mkdtemp(folder)) return fail(&cli->f, ERR_STORE, "a temporary folder cannot be made");
    snprintf(socket, sizeof socket, "%s/c", folder);
    signals_catch();
    err_t err = offline(cli, home, socket, self);
    folder_remove(folder);
    return err;
}

err_t cmd_db_audit(cli_t *cli)
{
    const char *state = args_text(&cli->args, "state");
    audit_t audit = audit_begin();
    AUTO(link) link = state ? NULL : client_link(cli);
    err_t err = ERR_OK;

    if (state)
        err = audit_offline(cli, state, &audit);
    else
        err = link ? audit_ask(cli, link, true, &audit) : cli->f.err;
    if (!err) audit_print(cli, &audit);
    audit_end(&audit);
    return err;
}
