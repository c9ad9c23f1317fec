/* health: a check that is not met is exit code 9, a broker that is not there is 4. */
#include "cli/client.h"
#include "cli/health.h"
#include "cli/table.h"
#include "wire/base/own.h"

enum { EXIT_NOT_MET = 9 };

static health_depth_t depth_of(const args_t *args)
{
    if (args_yes(args, "deep")) return HEALTH_DEEP;
    return args_yes(args, "live") && !args_yes(args, "ready") ? HEALTH_LIVE : HEALTH_READY;
}

static err_t ask_broker(cli_t *cli, health_t *health)
{
    AUTO(link) link = client_link_within(cli, HEALTH_MS);
    if (!link) return cli->f.err;
    return health_broker(health, link, depth_of(&cli->args), args_count(&cli->args, "hosts", 0),
                         (unsigned)args_ms(&cli->args, "timeout", HEALTH_MS), &cli->f);
}

/* What only a broker can say is not asked of a vathost, and so never said to be true of it. */
static err_t refuse(cli_t *cli)
{
    bool deep = args_yes(&cli->args, "deep");

    if (!deep && !args_text(&cli->args, "hosts")) return ERR_OK;
    fail(&cli->f, ERR_BAD_VALUE, "--vathost and --%s exclude each other", deep ? "deep" : "hosts");
    fail_why(&cli->f, "a vathost knows of itself alone; the broker is asked without --vathost");
    return ERR_BAD_VALUE;
}

static void print(const health_t *health)
{
    table_t table = table_of("CHECK MET DETAIL");
    json_t *row;
    size_t i;
    json_array_foreach(health->checks, i, row)
    {
        table_add(&table, "%s", json_string_value(json_object_get(row, "check")));
        table_add(&table, "%s", json_is_true(json_object_get(row, "ok")) ? "ok" : "no");
        table_add(&table, "%s", json_string_value(json_object_get(row, "detail")));
    }
    table_print(&table, stdout);
    table_clear(&table);
}

err_t cmd_health(cli_t *cli)
{
    health_t health = health_new();
    const char *dir = args_text(&cli->args, "vathost");
    err_t err = dir ? refuse(cli) : ERR_OK;

    if (dir && !err)
        health_vathost(&health, dir, depth_of(&cli->args));
    else if (!dir)
        err = ask_broker(cli, &health);
    if (!err && cli->json)
        out_json(json_pack("{s:b, s:O}", "healthy", health.met, "checks", health.checks));
    else if (!err && !(cli->quiet && health.met))
        print(&health);
    if (!err && !health.met) cli->exit = EXIT_NOT_MET;
    health_clear(&health);
    return err;
}
