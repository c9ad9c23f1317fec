/* kill, restart, cluster launch, cluster rm: commands that change what a broker runs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/launch.h"
#include "cli/rows.h"
#include "wire/base/own.h"

typedef err_t one_t(cli_t *cli, link_t *link, const found_t *vat);

static err_t kill_one(cli_t *cli, link_t *link, const found_t *vat)
{
    const char *reason = args_text(&cli->args, "reason");
    msg_kill_t kill = {request_id(), vat->vat, text_of(reason ? reason : "killed by the operator")};
    const msg_t *msg;

    return link_ask(link, TAG_kill, &kill, TAG_done, ANSWER_MS, &msg, &cli->f);
}

static err_t restart_one(cli_t *cli, link_t *link, const found_t *vat)
{
    msg_restart_t restart = {request_id(), vat->vat};
    const msg_t *msg;

    return link_ask(link, TAG_restart, &restart, TAG_done, ANSWER_MS, &msg, &cli->f);
}

/* Does it to every vat named. Exit code 10 says that it was done to some. With --json stdout has
 * what became of each, as soon as it was done to one; stderr has an error only when to none. */
static err_t each_vat(cli_t *cli, one_t *one, const char *done)
{
    AUTO(link) link = client_link(cli);
    json_t *json = json_array();
    err_t err = link ? ERR_OK : cli->f.err;
    int count = 0;

    for (int i = 0; link && i < cli->args.word_count; i++) {
        const char *word = cli->args.words[i];
        char id[16];
        found_t vat;
        err_t now = vat_named(link, *word == '@' ? word + 1 : word, &vat, &cli->f);
        if (!now) now = one(cli, link, &vat);
        if (now) {
            err = now;
            json_array_append_new(json, json_pack("{s:o, s:o}", "word", json_text(text_of(word)),
                                                  "error", fail_json(&cli->f)));
            /* When nothing was done the last one is told as every command's error is. */
            if (!cli->json && (count || i + 1 < cli->args.word_count))
                fail_print(&cli->f, stderr, cli->color);
            continue;
        }
        count++;
        snprintf(id, sizeof id, "v%u", vat.vat.n);
        json_array_append_new(json, json_pack("{s:o, s:s, s:s}", "word", json_text(text_of(word)),
                                              "vat", id, "done", done));
        if (!cli->json) say(cli, "%s %s %s", done, id, vat.name);
    }
    if (count) {
        cli->exit = err ? 10 : 0;
        err = ERR_OK;
    }
    if (!err && cli->json) out_json(json_incref(json));
    json_decref(json);
    return err;
}

err_t cmd_kill(cli_t *cli) { return each_vat(cli, kill_one, "killed"); }
err_t cmd_restart(cli_t *cli) { return each_vat(cli, restart_one, "restarted"); }

/* ---- clusters ---- */

/* Asks on a terminal only: a script that says `cluster rm` means it. */
static bool confirmed(const cli_t *cli, const char *name, uint64_t vats)
{
    char line[NAME_BYTES_MAX + 2];

    if (args_yes(&cli->args, "yes") || !isatty(STDIN_FILENO)) return true;
    fprintf(stderr,
            "Removes cluster \"%s\" with %llu vats and all their state.\nType the cluster's name "
            "to go on: ",
            name, (unsigned long long)vats);
    if (!fgets(line, sizeof line, stdin)) return false;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, name) == 0;
}

err_t cmd_cluster_rm(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    const char *name = cli->args.words[0];
    cluster_t cluster = {0};
    uint64_t vats = 0;
    const msg_t *msg;

    if (!link) return cli->f.err;
    err_t err = cluster_named(link, name, &cluster, &vats, &cli->f);
    if (err) return err;
    if (!confirmed(cli, name, vats)) {
        say(cli, "nothing was removed");
        cli->exit = 1;
        return ERR_OK;
    }
    msg_cluster_rm_t rm = {request_id(), cluster};
    err = link_ask(link, TAG_cluster_rm, &rm, TAG_done, ANSWER_MS, &msg, &cli->f);
    if (err) return err;
    if (cli->json)
        out_json(json_pack("{s:s, s:I}", "removed", name, "vats", (json_int_t)vats));
    else
        say(cli, "removed %s", name);
    return ERR_OK;
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
        uint64_t ms = args_ms(&cli->args, "timeout", LAUNCH_MS);
        launch_how_t how = {name, args_yes(&cli->args, "serial"), args_yes(&cli->args, "system"),
                            ms < FOREVER_MS ? (unsigned)ms : FOREVER_MS};
        err = launch(link, plan, &loads, how, &launched, &cli->f);
    }
    if (!err) err = launch_show(cli, link, name, &launched);
    link_destroy(&link);
    loads_clear(&loads);
    return err;
}
