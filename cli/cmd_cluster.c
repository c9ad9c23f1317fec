/* cluster launch, reload, rm: clusters come and go. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/launch.h"
#include "cli/rows.h"
#include "wire/base/own.h"

/* Asks on a terminal only: a script that says `cluster rm` means it. */
static bool confirmed(const cli_t *cli, const char *does, const char *name, uint64_t vats)
{
    char line[NAME_BYTES_MAX + 2];

    if (args_yes(&cli->args, "yes") || !isatty(STDIN_FILENO)) return true;
    fprintf(stderr,
            "%s cluster \"%s\" with %llu vats and all their state.\nType the cluster's name "
            "to go on: ",
            does, name, (unsigned long long)vats);
    if (!fgets(line, sizeof line, stdin)) return false;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, name) == 0;
}

/* The cluster that the first word names; a person has agreed to what DOES says. False: no. */
static bool cluster_agreed(cli_t *cli, link_t *link, const char *does, cluster_t *ret,
                           uint64_t *ret_vats, err_t *ret_err)
{
    const char *name = cli->args.words[0];

    *ret_err = cluster_named(link, name, ret, ret_vats, &cli->f);
    if (*ret_err) return false;
    if (confirmed(cli, does, name, *ret_vats)) return true;
    say(cli, "nothing was done");
    cli->exit = 1;
    return false;
}

err_t cmd_cluster_rm(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    const char *name = cli->args.words[0];
    msg_cluster_rm_t rm = {.request = request_id()};
    uint64_t vats = 0;
    const msg_t *msg;
    err_t err;

    if (!link) return cli->f.err;
    if (!cluster_agreed(cli, link, "Removes", &rm.cluster, &vats, &err)) return err;
    err = link_ask(link, TAG_cluster_rm, &rm, TAG_done, ANSWER_MS, &msg, &cli->f);
    if (err) return err;
    if (cli->json)
        out_json(json_pack("{s:s, s:I}", "removed", name, "vats", (json_int_t)vats));
    else
        say(cli, "removed %s", name);
    return ERR_OK;
}

static unsigned launch_ms(const cli_t *cli)
{
    uint64_t ms = args_ms(&cli->args, "timeout", LAUNCH_MS);

    return ms < FOREVER_MS ? (unsigned)ms : FOREVER_MS;
}

static err_t launch_show(cli_t *cli, link_t *link, const char *name, const launched_t *launched)
{
    char root[KREF_TEXT_MAX], result[KREF_TEXT_MAX], vat[16], cluster[16];
    json_t *settled = NULL;

    snprintf(vat, sizeof vat, "v%u", launched->bootstrap.n);
    snprintf(cluster, sizeof cluster, "s%u", launched->cluster.n);
    say(cli, "launched %s as %s; bootstrap's result is %s", name, cluster,
        kref_text(launched->result, result));
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "cluster", name, "id", cluster,
                             "bootstrap", vat, "rootKref", kref_text(launched->root, root),
                             "promise", kref_text(launched->result, result));
    err_t err = ERR_OK;
    if (args_yes(&cli->args, "wait")) err = client_await(cli, link, launched->result, &settled);
    if (settled) {
        json_object_update(json, settled);
        json_decref(settled);
    }
    if (!err && cli->json) out_json(json_incref(json));
    json_decref(json);
    return err;
}

err_t cmd_cluster_launch(cli_t *cli)
{
    AUTO(plan) plan = plan_new(cli->args.words[0], false, &cli->f);
    if (!plan) return cli->f.err;

    const char *name = args_text(&cli->args, "name");
    uint64_t window = args_count(&cli->args, "window", 0);
    loads_t loads = {0};
    launched_t launched;
    if (!name) name = plan->name;
    if (window && plan_window(plan, window, &cli->f)) return cli->f.err;
    for (size_t i = 0; i < plan->warning_count; i++) say(cli, "warning: %s", plan->warnings[i]);
    err_t err = loads_make(plan, &loads, &cli->f);
    link_t *link = err ? NULL : client_link(cli);
    if (!err && !link) err = cli->f.err;
    if (!err) {
        launch_how_t how = {name, args_yes(&cli->args, "serial"), args_yes(&cli->args, "system"),
                            launch_ms(cli)};
        err = launch(link, plan, &loads, how, &launched, &cli->f);
    }
    if (!err) err = launch_show(cli, link, name, &launched);
    link_destroy(&link);
    loads_clear(&loads);
    return err;
}

err_t cmd_cluster_reload(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    msg_cluster_reload_t reload = {.request = request_id()};
    uint64_t vats;
    const msg_t *msg;
    err_t err;

    if (!link) return cli->f.err;
    if (!cluster_agreed(cli, link, "Ends and launches again", &reload.cluster, &vats, &err))
        return err;
    err = link_ask(link, TAG_cluster_reload, &reload, TAG_launched, launch_ms(cli), &msg, &cli->f);
    if (err) return err;
    launched_t launched = {msg->body.launched.cluster, msg->body.launched.bootstrap,
                           msg->body.launched.root, msg->body.launched.result};
    return launch_show(cli, link, cli->args.words[0], &launched);
}
