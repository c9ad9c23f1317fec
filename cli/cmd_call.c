/* call, send, await */
#include <string.h>

#include "cli/client.h"
#include "cli/rows.h"
#include "cli/trace.h"
#include "cli/value.h"
#include "wire/base/own.h"

static err_t find_name(void *context, const char *name, kref_t *ret, fail_t *f)
{
    return root_named(context, name, ret, f);
}

/* Sends what the words say; the promise of the answer goes to RET. */
static err_t message(cli_t *cli, link_t *link, bool no_result, kref_t *ret)
{
    char **words = cli->args.words;
    names_t names = {find_name, link};
    value_t value = value_of();
    kref_t target;

    err_t err = ref_named(link, words[0], &target, &cli->f);
    if (!err) {
        err = value_methargs(&value, words[1], words + 2, (size_t)cli->args.word_count - 2, &names,
                             &cli->f);
    }
    if (!err) {
        capdata_t methargs = value_capdata(&value);
        err = client_send(link, target, &methargs, no_result, ret, &cli->f);
    }
    value_clear(&value);
    return err;
}

/* The answer is there, whatever becomes of this: it goes to stderr, or into the answer's object. */
static void show_trace(cli_t *cli, link_t *link, kref_t promise, json_t *answer)
{
    json_t *json = NULL;
    fail_t saved = cli->f;

    fflush(stdout);
    if (trace_tell(cli, link, &(msg_trace_t){.promise = promise}, stderr, answer ? &json : NULL))
        say(cli, "no trace: %s", cli->f.why);
    if (json) json_object_set_new(answer, "trace", json);
    cli->f = saved;
}

err_t cmd_call(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    kref_t promise;
    json_t *json;

    if (!link) return cli->f.err;
    err_t err = message(cli, link, false, &promise);
    if (!err) err = client_await(cli, link, promise, &json);
    if (err) return err;
    if (args_yes(&cli->args, "trace")) show_trace(cli, link, promise, json);
    if (json) out_json(json);
    return ERR_OK;
}

err_t cmd_send(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    kref_t promise;
    char kref[KREF_TEXT_MAX];

    if (!link) return cli->f.err;
    err_t err = message(cli, link, args_yes(&cli->args, "no-result"), &promise);
    if (err) return err;
    if (kref_none(promise)) {
        if (cli->json)
            out_json(json_pack("{s:n}", "promise"));
        else
            say(cli, "sent");
    } else if (cli->json) {
        out_json(json_pack("{s:s}", "promise", kref_text(promise, kref)));
    } else {
        puts(kref_text(promise, kref));
    }
    return ERR_OK;
}

err_t cmd_await(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    json_t *all = json_array(), *json = NULL;
    err_t err = link ? ERR_OK : cli->f.err;

    for (int i = 0; i < cli->args.word_count && !err && !signal_caught(); i++) {
        const char *word = cli->args.words[i];
        kref_t promise;
        if (!kref_parse(word, strlen(word), &promise) || !kref_is_promise(promise)) {
            err = fail(&cli->f, ERR_BAD_VALUE, "\"%.200s\" is no promise", word);
            fail_try(&cli->f, "%s", cli->args.command->example);
            break;
        }
        err = client_await(cli, link, promise, &json);
        if (!err && json) json_array_append_new(all, json);
    }
    if (!err && cli->json && json_array_size(all)) {
        /* One promise, one object; several, an array in the order asked. */
        out_json(cli->args.word_count == 1 ? json_incref(json_array_get(all, 0))
                                           : json_incref(all));
    }
    json_decref(all);
    return err;
}
