/* shell */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/instance.h"
#include "cli/process.h"
#include "cli/rows.h"
#include "cli/shell.h"
#include "cli/shell_edit.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

/* ---- somebody sits there ---- */

static void greet(session_t *self)
{
    fail_t ignored;
    rows_t rows;
    size_t count = 0;

    if (self->cli->quiet) return;
    printf("vatyard %s ", link_version(self->link));
    if (!rows_get(self->link, ROWS_VATS, false, (kref_t){0}, &rows, &ignored)) {
        for (const msg_t *row; (row = rows_next(&rows));) {
            const msg_vat_row_t *vat = &row->body.vat_row;
            if (row->tag == TAG_vat_row && count++ < 8)
                printf(" %.*s", (int)vat->name.len, vat->name.at);
        }
        rows_clear(&rows);
    }
    printf("%s   .help for help\n", count > 8 ? " ..." : count ? "" : " no vats");
}

static char **complete(void *context, const char *line, size_t cursor, size_t *ret_from)
{
    return session_complete(context, line, cursor, ret_from);
}

static bool news(void *context) { return session_news(context); }

static void failure_tell(session_t *self)
{
    cli_t *cli = self->cli;

    fflush(stdout);
    if (signal_caught())
        say(cli, "\nstopped");
    else if (cli->json)
        fail_print_json(&cli->f, stderr);
    else
        fail_print(&cli->f, stderr, cli->color);
}

/* Lines that belong together are one entry, unless a comment would swallow what follows it. */
static void remember(edit_t *edit, buf_t *entry)
{
    must(!buf_add(entry, "", 1));
    char *text = (char *)entry->at;
    if (!strstr(text, "//")) {
        for (char *at = text; *at; at++)
            if (*at == '\n' && at[1]) *at = ' ';
    }
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        edit_remember(edit, line);
    }
    buf_reset(entry);
}

static void converse(session_t *self, edit_t *edit)
{
    buf_t entry = buf_of(4 * CAPDATA_BYTES_MAX);
    bool open = false;
    const char *line;

    while (!self->ended && (!signal_caught() || signal_caught() == SIGINT)) {
        signal_forget();
        if (!open) session_news(self);
        edit_event_t event = edit_line(edit, open ? ". " : "> ", &line);
        if (event == EDIT_END) break;
        if (event == EDIT_STOPPED) {
            session_drop(self);
            buf_reset(&entry);
            open = false;
            continue;
        }
        must(!buf_text(&entry, line) && !buf_add(&entry, "\n", 1));
        if (session_line(self, line, &open)) failure_tell(self);
        if (!open) remember(edit, &entry);
    }
    if (!self->ended && !self->cli->quiet) putchar('\n');
    buf_clear(&entry);
}

static err_t with_people(session_t *self)
{
    char home[PATH_MAX], history[PATH_MAX + 16];
    bool keep = !args_yes(&self->cli->args, "no-history");

    instance_home(home);
    if (keep && folder_make(home, &self->cli->f)) {
        say(self->cli, "history is not kept: %s", self->cli->f.what);
        keep = false;
    }
    snprintf(history, sizeof history, "%s/history", home);
    AUTO(edit) edit = edit_new(keep ? history : NULL, complete, news, self);
    if (!edit) return fail(&self->cli->f, ERR_INTERNAL, "the terminal cannot be used");
    self->people = self->timed = true;
    greet(self);
    converse(self, edit);
    return ERR_OK;
}

/* ---- a script ---- */

static err_t run_words(session_t *self)
{
    const char *text;
    err_t err = ERR_OK;

    self->from = "-c";
    for (size_t i = 0; !err && !self->ended && (text = args_texts(&self->cli->args, "command", i));
         i++) {
        bool open;
        err = session_line(self, text, &open);
        if (!err) err = session_end(self);
    }
    return err;
}

static err_t run_file(session_t *self, const char *path)
{
    FILE *file = fopen(path, "re");

    if (!file) {
        fail(&self->cli->f, ERR_FILE_MISSING, "%.500s cannot be read", path);
        fail_why(&self->cli->f, "%s", strerror(errno));
        return ERR_FILE_MISSING;
    }
    err_t err = session_file(self, file, path);
    fclose(file);
    return err;
}

err_t cmd_shell(cli_t *cli)
{
    const char *file = args_text(&cli->args, "file");
    bool words = args_yes(&cli->args, "command");
    session_t session;

    if (file && words) return fail(&cli->f, ERR_USAGE, "-c and -f cannot both be given");
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    session_init(&session, cli, link);
    err_t err;
    if (words)
        err = run_words(&session);
    else if (file)
        err = run_file(&session, file);
    else if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        err = with_people(&session);
    else
        err = session_file(&session, stdin, "stdin");
    session_clear(&session);
    if (!signal_caught()) return err;
    cli->exit = 128 + signal_caught();
    return ERR_OK;
}
