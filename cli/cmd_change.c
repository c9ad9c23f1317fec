/* kill, restart, pin, unpin, revoke: what is done to one thing after the other. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/each.h"
#include "cli/look.h"
#include "cli/rows.h"

static err_t kill_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    const char *reason = args_text(&cli->args, "reason");
    msg_kill_t kill = {.request = request_id(),
                       .reason = text_of(reason ? reason : "killed by the operator")};
    const msg_t *msg;
    err_t err = vat_word(cli, link, word, &kill.vat, ret);

    return err ? err : link_ask(link, TAG_kill, &kill, TAG_done, ANSWER_MS, &msg, &cli->f);
}

static err_t restart_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    msg_restart_t restart = {.request = request_id()};
    const msg_t *msg;
    err_t err = vat_word(cli, link, word, &restart.vat, ret);

    return err ? err : link_ask(link, TAG_restart, &restart, TAG_done, ANSWER_MS, &msg, &cli->f);
}

static err_t object_word(cli_t *cli, link_t *link, const char *word, kref_t *ret_kref, named_t *ret)
{
    err_t err = ref_named(link, word, ret_kref, &cli->f);

    if (err) return err;
    ret->key = "object";
    kref_text(*ret_kref, ret->id);
    *ret->name = 0;
    return ERR_OK;
}

/* The broker says which rule forbids it; of what is not there it knows only the number. */
static err_t object_failed(cli_t *cli, err_t err, const named_t *named)
{
    if (err == ERR_REF_UNKNOWN) fail(&cli->f, err, "no object %s", named->id);
    return err;
}

static err_t pin_change(cli_t *cli, link_t *link, const char *word, bool unpin, named_t *ret)
{
    msg_pin_t pin = {.request = request_id(), .unpin = unpin};
    const msg_t *msg;
    err_t err = object_word(cli, link, word, &pin.kref, ret);

    if (!err) err = link_ask(link, TAG_pin, &pin, TAG_done, ANSWER_MS, &msg, &cli->f);
    return object_failed(cli, err, ret);
}

static err_t pin_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    return pin_change(cli, link, word, false, ret);
}

static err_t unpin_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    return pin_change(cli, link, word, true, ret);
}

/* Nothing makes it good again: on a terminal each is asked about. */
static bool revoke_confirmed(const cli_t *cli, link_t *link, kref_t kref, const named_t *named)
{
    msg_list_t list = {.request = request_id(), .what = ROWS_OBJECTS, .first = kref.n, .limit = 1};
    char line[8];
    rows_t rows;
    fail_t ignored;

    if (args_yes(&cli->args, "yes")) return true;
    if (rows_ask(link, TAG_list, &list, ANSWER_MS, &rows, &ignored))
        return true; /* REVOKE says why */
    const msg_t *msg = rows_next(&rows);
    const msg_object_row_t *row = msg && msg->tag == TAG_object_row ? &msg->body.object_row : NULL;
    bool there = row && kref_same(row->kref, kref);
    if (there) {
        fprintf(stderr, "Revokes %s", named->id);
        if (row->owner.n) fprintf(stderr, " of v%u %.*s", row->owner.n, TEXT(row->name));
        if (row->holder_count) fprintf(stderr, ", held by %.*s", TEXT(row->holders));
        fprintf(stderr, ". Messages to it are rejected from now on, for ever.\n"
                        "Type yes to go on: ");
    }
    rows_clear(&rows);
    if (!there) return true;
    if (!fgets(line, sizeof line, stdin)) return false;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, "yes") == 0;
}

static err_t revoke_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    msg_revoke_t revoke = {.request = request_id()};
    const msg_t *msg;
    err_t err = object_word(cli, link, word, &revoke.kref, ret);

    if (err) return err;
    ret->declined = !revoke_confirmed(cli, link, revoke.kref, ret);
    if (ret->declined) return ERR_OK;
    err = link_ask(link, TAG_revoke, &revoke, TAG_done, ANSWER_MS, &msg, &cli->f);
    return object_failed(cli, err, ret);
}

err_t cmd_kill(cli_t *cli) { return each_word(cli, kill_one, "killed"); }
err_t cmd_restart(cli_t *cli) { return each_word(cli, restart_one, "restarted"); }
err_t cmd_pin(cli_t *cli) { return each_word(cli, pin_one, "pinned"); }
err_t cmd_unpin(cli_t *cli) { return each_word(cli, unpin_one, "unpinned"); }

err_t cmd_revoke(cli_t *cli)
{
    if (!args_yes(&cli->args, "yes") && !isatty(STDIN_FILENO)) {
        fail(&cli->f, ERR_USAGE, "revoke asks first, and nobody is there to answer");
        fail_try(&cli->f, "vatctl revoke %.200s --yes", cli->args.words[0]);
        return ERR_USAGE;
    }
    return each_word(cli, revoke_one, "revoked");
}
