/* host ls, drain, undrain, disavow, readmit: what a host may do. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/each.h"
#include "cli/look.h"
#include "wire/base/own.h"

typedef enum { DRAIN = 1, UNDRAIN, DISAVOW, READMIT } host_what_t; /* as HOST_CHANGE has them */

err_t cmd_host_ls(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    return link ? list_show(cli, link, &all_hosts) : cli->f.err;
}

enum { TELL_MS = 2000 /* so long nobody asks why it takes so long */, WAITS_MAX = 256 };

static err_t change(cli_t *cli, link_t *link, const char *word, host_what_t what, named_t *ret)
{
    msg_host_change_t ask = {.request = request_id(), .what = what};
    const msg_t *msg;
    err_t err = host_word(cli, link, word, &ask.host, ret);

    return err ? err : link_ask(link, TAG_host_change, &ask, TAG_done, ANSWER_MS, &msg, &cli->f);
}

/* ---- drain ---- */

/* What the vats of HOST wait for, as far as the list of hosts shows it. False: it cannot be had. */
static bool waits_for(cli_t *cli, link_t *link, host_t host, const named_t *named,
                      char ret[WAITS_MAX])
{
    rows_t rows;
    unsigned places = 0;
    uint64_t vats = 0;
    bool connected = false;

    if (rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, &cli->f)) return false;
    for (const msg_t *msg; (msg = rows_next(&rows));) {
        const msg_host_row_t *row = &msg->body.host_row;
        if (msg->tag != TAG_host_row) continue;
        if (row->host.n == host.n)
            vats = row->vats, connected = row->connected;
        else
            places += text_is(row->state, "connected");
    }
    rows_clear(&rows);
    int len = snprintf(ret, WAITS_MAX, "%" PRIu64 " %s still on %s %.100s", vats,
                       vats == 1 ? "vat is" : "vats are", named->id, named->name);
    if (!places)
        snprintf(ret + len, WAITS_MAX - (size_t)len, ": no other host takes vats");
    else if (!connected)
        snprintf(ret + len, WAITS_MAX - (size_t)len,
                 ", which is away, and there is no copy of what stands there");
    return true;
}

/* Its vats have to move, each by a checkpoint of its own: this may take its time, and says so. */
static err_t drain_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    msg_host_change_t ask = {.request = request_id(), .what = DRAIN};
    char now[WAITS_MAX] = "", said[WAITS_MAX] = "";
    uint64_t left = each_ms(cli);
    const msg_t *msg;
    err_t err = host_word(cli, link, word, &ask.host, ret);

    if (err) return err;
    for (;; strcpy(said, now)) {
        unsigned ms = left < TELL_MS ? (unsigned)left : TELL_MS;
        err = link_ask(link, TAG_host_change, &ask, TAG_done, ms, &msg, &cli->f);
        if (err != ERR_TIMED_OUT || signal_caught()) return err;
        if (left < FOREVER_MS) left -= ms;
        if (!waits_for(cli, link, ask.host, ret, now)) {
            if (cli->f.err != ERR_TIMED_OUT || signal_caught()) return cli->f.err;
            snprintf(now, sizeof now, "the broker is busy, and does not say what it waits for");
        }
        if (!left) break;
        if (strcmp(now, said) != 0) say(cli, "%s", now);
    }
    fail(&cli->f, ERR_TIMED_OUT, "%s", err_text(ERR_TIMED_OUT));
    fail_why(&cli->f, "%s; it goes on draining", now);
    fail_try(&cli->f, "vatctl host ls");
    return ERR_TIMED_OUT;
}

static err_t undrain_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    return change(cli, link, word, UNDRAIN, ret);
}

static err_t readmit_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    return change(cli, link, word, READMIT, ret);
}

/* What stands there and has no copy elsewhere ends: a person is asked. */
static bool disavow_confirmed(const cli_t *cli, const named_t *named)
{
    char line[8];

    if (args_yes(&cli->args, "yes")) return true;
    fprintf(stderr,
            "Disavows %s %s: it is gone for good and may never connect again. Its vats are brought "
            "back\n"
            "elsewhere from their mirrors; those that have none, and whose log does not begin at "
            "their\n"
            "birth, end.\nType yes to go on: ",
            named->id, named->name);
    if (!fgets(line, sizeof line, stdin)) return false;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, "yes") == 0;
}

static err_t disavow_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    msg_host_change_t ask = {.request = request_id(), .what = DISAVOW};
    const msg_t *msg;
    err_t err = host_word(cli, link, word, &ask.host, ret);

    if (err) return err;
    ret->declined = !disavow_confirmed(cli, ret);
    if (ret->declined) return ERR_OK;
    return link_ask(link, TAG_host_change, &ask, TAG_done, each_ms(cli), &msg, &cli->f);
}

err_t cmd_host_drain(cli_t *cli) { return each_word(cli, drain_one, "drained"); }
err_t cmd_host_undrain(cli_t *cli) { return each_word(cli, undrain_one, "undrained"); }
err_t cmd_host_readmit(cli_t *cli) { return each_word(cli, readmit_one, "readmitted"); }

err_t cmd_host_disavow(cli_t *cli)
{
    if (!args_yes(&cli->args, "yes") && !isatty(STDIN_FILENO)) {
        fail(&cli->f, ERR_USAGE, "host disavow asks first, and nobody is there to answer");
        fail_try(&cli->f, "vatctl host disavow %.200s --yes", cli->args.words[0]);
        return ERR_USAGE;
    }
    return each_word(cli, disavow_one, "disavowed");
}
