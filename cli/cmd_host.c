/* host ls, drain, undrain, disavow, readmit: what a host may do. */
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

static err_t change(cli_t *cli, link_t *link, const char *word, host_what_t what, unsigned ms,
                    named_t *ret)
{
    msg_host_change_t ask = {.request = request_id(), .what = what};
    const msg_t *msg;
    err_t err = host_word(cli, link, word, &ask.host, ret);

    return err ? err : link_ask(link, TAG_host_change, &ask, TAG_done, ms, &msg, &cli->f);
}

/* Its vats have to move, each by a checkpoint of its own: this may take its time. */
static err_t drain_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    err_t err = change(cli, link, word, DRAIN, each_ms(cli), ret);

    if (err == ERR_TIMED_OUT) {
        fail_why(&cli->f, "vats of %s are still moving; it goes on draining", ret->id);
        fail_try(&cli->f, "vatctl host ls");
    }
    return err;
}

static err_t undrain_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    return change(cli, link, word, UNDRAIN, ANSWER_MS, ret);
}

static err_t readmit_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    return change(cli, link, word, READMIT, ANSWER_MS, ret);
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
