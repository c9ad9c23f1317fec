#include "cli/client.h"

#include <stdlib.h>

#include "cli/events.h"
#include "cli/instance.h"
#include "cli/value.h"

void client_endpoint(const cli_t *cli, char ret[CLIENT_ENDPOINT_MAX])
{
    const char *endpoint = args_text(&cli->args, "endpoint");
    char home[PATH_MAX];

    if (!endpoint || !*endpoint) endpoint = getenv("VATYARD_ENDPOINT");
    if (endpoint && *endpoint) {
        snprintf(ret, CLIENT_ENDPOINT_MAX, "%s", endpoint);
        return;
    }
    instance_home(home);
    instance_endpoint(home, ret);
}

link_t *client_link_within(cli_t *cli, unsigned usual_ms)
{
    char endpoint[CLIENT_ENDPOINT_MAX];
    uint64_t ms = args_ms(&cli->args, "timeout", usual_ms);

    client_endpoint(cli, endpoint);
    signals_catch();
    return link_new(endpoint, ms < ANSWER_MS ? (unsigned)ms : ANSWER_MS, &cli->f);
}

link_t *client_link(cli_t *cli) { return client_link_within(cli, ANSWER_MS); }

err_t client_send(link_t *link, kref_t target, const capdata_t *methargs, bool no_result,
                  kref_t *ret, fail_t *f)
{
    msg_call_t call = {request_id(), target, *methargs, no_result};
    char kref[KREF_TEXT_MAX];
    const msg_t *msg;
    err_t err = link_ask(link, TAG_call, &call, TAG_sent, ANSWER_MS, &msg, f);

    if (err == ERR_REF_UNKNOWN && methargs->slots.count)
        fail(f, err, "no object or promise %s, or one of the arguments", kref_text(target, kref));
    else if (err == ERR_REF_UNKNOWN)
        fail(f, err, "no object or promise %s", kref_text(target, kref));
    if (!err) *ret = msg->body.sent.result;
    return err;
}

err_t client_settle(cli_t *cli, link_t *link, kref_t promise, const msg_settled_t **ret)
{
    msg_await_t await = {request_id(), promise};
    uint64_t ms = args_ms(&cli->args, "timeout", FOREVER_MS);
    const msg_t *msg;
    err_t err = link_ask(link, TAG_await, &await, TAG_settled,
                         ms < FOREVER_MS ? (unsigned)ms : FOREVER_MS, &msg, &cli->f);
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
    if (!err) *ret = &msg->body.settled;
    return err;
}

json_t *client_settled_json(kref_t promise, bool rejected, const capdata_t *value)
{
    char kref[KREF_TEXT_MAX];

    return json_pack("{s:s?, s:s, s:o, s:o}", "promise",
                     kref_none(promise) ? NULL : kref_text(promise, kref), "status",
                     rejected ? "rejected" : "fulfilled", "result", value_raw(value), "value",
                     value_json(value));
}

err_t client_show(cli_t *cli, bool rejected, const capdata_t *value, FILE *out)
{
    buf_t shown = buf_of(2 * CAPDATA_BYTES_MAX);
    err_t err = value_show(&shown, value);

    if (rejected) fputs("rejected: ", out);
    put_safely(out, (text_t){(const char *)shown.at, shown.len});
    buf_clear(&shown);
    return err ? fail(&cli->f, err, "the value is too large to show") : ERR_OK;
}

err_t client_await(cli_t *cli, link_t *link, kref_t promise, json_t **ret_json)
{
    const msg_settled_t *settled;
    char kref[KREF_TEXT_MAX];
    err_t err = client_settle(cli, link, promise, &settled);

    *ret_json = NULL;
    if (err && signal_caught()) {
        cli->exit = 128 + signal_caught();
        say(cli, "stopped waiting for %s; the message goes on", kref_text(promise, kref));
        return ERR_OK;
    }
    if (err) return err;
    if (settled->rejected) cli->exit = err_row(ERR_REJECTED)->exit;
    if (cli->json) {
        *ret_json = client_settled_json(promise, settled->rejected, &settled->value);
        return ERR_OK;
    }
    err = client_show(cli, settled->rejected, &settled->value, stdout);
    putchar('\n');
    return err;
}
