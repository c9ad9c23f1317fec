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

/* A URL is asked for itself alone: nothing else was looked at, and is not said to be true. */
static err_t refuse_besides_http(cli_t *cli)
{
    static const char *const others[] = {"vathost", "hosts", "deep", "ready", "live"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        bool given =
            i < 2 ? args_text(&cli->args, others[i]) != NULL : args_yes(&cli->args, others[i]);
        if (given)
            return fail(&cli->f, ERR_BAD_VALUE, "--http and --%s exclude each other", others[i]);
    }
    return ERR_OK;
}

static err_t ask_url(cli_t *cli, health_t *health, const char *url)
{
    err_t err = refuse_besides_http(cli);
    unsigned ms = (unsigned)args_ms(&cli->args, "timeout", HEALTH_MS);
    return err ? err : health_http(health, url, ms, &cli->f);
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
    const char *dir = args_text(&cli->args, "vathost"), *url = args_text(&cli->args, "http");
    err_t err = dir && !url ? refuse(cli) : ERR_OK;

    if (url)
        err = ask_url(cli, &health, url);
    else if (dir && !err)
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
