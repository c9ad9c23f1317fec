/* trace: what one thing caused, and where the time went. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/spans.h"
#include "cli/trace.h"
#include "wire/base/own.h"

enum { LINES_DEFAULT = 200 };

/* The broker's words, and what may be done. */
static err_t told_gone(err_t err, const char *ref, fail_t *f)
{
    char why[FAIL_TEXT_MAX];

    if (err != ERR_TRACE_GONE) return err;
    memcpy(why, f->what, sizeof why);
    fail(f, err, "nothing is remembered about %.200s", ref);
    fail_why(f, "%s", why);
    return err;
}

static err_t tree_get(link_t *link, const msg_trace_t *ask, const char *ref, recall_t *recall,
                      spans_t *ret, fail_t *f)
{
    err_t err = recall_get(link, ask, recall, f);

    *ret = (spans_t){0};
    if (err) return told_gone(err, ref, f);
    if (spans_make(recall, ask, ret)) return ERR_OK;
    fail(f, ERR_TRACE_GONE, "nothing is remembered about %.200s", ref);
    fail_why(f, "other events of its trace are, but none about it");
    return f->err;
}

err_t trace_tell(cli_t *cli, link_t *link, const msg_trace_t *ask, FILE *out, json_t **ret_json)
{
    recall_t recall;
    spans_t spans;
    err_t err = tree_get(link, ask, "it", &recall, &spans, &cli->f);

    if (!err && ret_json)
        *ret_json = spans_json(&spans);
    else if (!err)
        spans_show(&spans, out, cli->color, LINES_DEFAULT);
    spans_clear(&spans);
    recall_clear(&recall);
    return err;
}

static err_t chrome_write(cli_t *cli, const spans_t *spans, const char *path)
{
    FILE *file = fopen(path, "we");

    if (!file) {
        fail(&cli->f, ERR_FILE_MISSING, "--chrome: %.1000s cannot be written", path);
        fail_why(&cli->f, "%s", strerror(errno));
        return ERR_FILE_MISSING;
    }
    spans_chrome(spans, file);
    bool whole = !ferror(file);
    if (fclose(file) != 0 || !whole) {
        fail(&cli->f, ERR_STORE, "--chrome: %.1000s cannot be written", path);
        fail_why(&cli->f, "%s", strerror(errno));
        return ERR_STORE;
    }
    say(cli, "%s: https://ui.perfetto.dev and chrome://tracing open it", path);
    return ERR_OK;
}

err_t cmd_trace(cli_t *cli)
{
    const char *ref = cli->args.words[0], *chrome = args_text(&cli->args, "chrome");
    msg_trace_t ask;
    recall_t recall;
    spans_t spans;

    err_t err = recall_ref(ref, &ask, &cli->f);
    if (err) return err;
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    err = tree_get(link, &ask, ref, &recall, &spans, &cli->f);
    if (!err && chrome) {
        err = chrome_write(cli, &spans, chrome);
    } else if (!err && cli->json) {
        out_json(spans_json(&spans));
    } else if (!err && args_yes(&cli->args, "mermaid")) {
        spans_mermaid(&spans, stdout);
    } else if (!err) {
        bool color = cli->color && isatty(STDOUT_FILENO) == 1;
        spans_show(&spans, stdout, color, args_count(&cli->args, "lines", LINES_DEFAULT));
    }
    spans_clear(&spans);
    recall_clear(&recall);
    return err;
}
