#include "cli/client.h"

#include <stdlib.h>

#include "cli/events.h"
#include "cli/instance.h"
#include "cli/value.h"

link_t *client_link(cli_t *cli)
{
    const char *endpoint = args_text(&cli->args, "endpoint");
    char home[PATH_MAX], path[PATH_MAX];
    uint64_t ms = args_ms(&cli->args, "timeout", ANSWER_MS);

    if (!endpoint || !*endpoint) endpoint = getenv("VATYARD_ENDPOINT");
    if (!endpoint || !*endpoint) {
        instance_home(home);
        instance_endpoint(home, path);
        endpoint = path;
    }
    signals_catch();
    return link_new(endpoint, ms < ANSWER_MS ? (unsigned)ms : ANSWER_MS, &cli->f);
}

static err_t wait_settled(cli_t *cli, link_t *link, kref_t promise, const msg_t **ret)
{
    msg_await_t await = {request_id(), promise};
    uint64_t ms = args_ms(&cli->args, "timeout", FOREVER_MS);
    err_t err = link_ask(link, TAG_await, &await, TAG_settled,
                         ms < FOREVER_MS ? (unsigned)ms : FOREVER_MS, ret, &cli->f);
    char kref[KREF_TEXT_MAX];

    if (err == ERR_REF_UNKNOWN) {
        fail(&cli->f, err, "no promise %s", kref_text(promise, kref));
        fail_why(&cli->f, "there never was one, or its value has been taken by call or await");
    }
    if (err == ERR_TIMED_OUT && !signal_caught()) {
        fail(&cli->f, ERR_TIMED_OUT, "%s is not settled", kref_text(promise, kref));
        fail_why(&cli->f, "--timeout is over; the message goes on");
        fail_try(&cli->f, "vatctl await %s", kref);
    }
    return err;
}

err_t client_await(cli_t *cli, link_t *link, kref_t promise, json_t **ret_json)
{
    const msg_t *msg;
    char kref[KREF_TEXT_MAX];
    err_t err = wait_settled(cli, link, promise, &msg);

    *ret_json = NULL;
    if (err && signal_caught()) {
        cli->exit = 128 + signal_caught();
        say(cli, "stopped waiting for %s; the message goes on", kref_text(promise, kref));
        return ERR_OK;
    }
    if (err) return err;
    const msg_settled_t *settled = &msg->body.settled;
    if (settled->rejected) cli->exit = err_row(ERR_REJECTED)->exit;
    if (cli->json) {
        *ret_json = json_pack("{s:s, s:s, s:o, s:o}", "promise", kref_text(promise, kref), "status",
                              settled->rejected ? "rejected" : "fulfilled", "result",
                              value_raw(&settled->value), "value", value_json(&settled->value));
        return ERR_OK;
    }
    buf_t shown = buf_of(2 * CAPDATA_BYTES_MAX);
    err = value_show(&shown, &settled->value);
    if (settled->rejected) fputs("rejected: ", stdout);
    put_safely(stdout, (text_t){(const char *)shown.at, shown.len});
    putchar('\n');
    buf_clear(&shown);
    return err ? fail(&cli->f, err, "the value is too large to show") : ERR_OK;
}
