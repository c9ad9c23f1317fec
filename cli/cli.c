#include "cli/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/complete.h"
#include "cli/link.h"

void say(const cli_t *cli, const char *format, ...)
{
    va_list list;

    if (cli->quiet) return;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

void out_json(json_t *value)
{
    json_print(value, stdout);
    putchar('\n');
    json_decref(value);
}

void out_table(const cli_t *cli, table_t *table, json_t *json)
{
    if (cli->json) {
        out_json(json);
    } else {
        table_print(table, stdout);
        json_decref(json);
    }
    table_clear(table);
}

static bool color_wanted(const args_t *args)
{
    const char *when = args_text(args, "color"), *never = getenv("NO_COLOR"),
               *force = getenv("CLICOLOR_FORCE");

    if (when && strcmp(when, "auto") != 0) return strcmp(when, "always") == 0;
    if (never && *never) return false;
    if (force && *force && strcmp(force, "0") != 0) return true;
    return isatty(STDERR_FILENO) == 1;
}

err_t cli_dispatch(cli_t *cli)
{
    switch (cli->args.command->id) {
/* clang-format off */
#define COMMAND(id, name, group, arguments, least, most, summary, example) \
    case COMMAND_##id: return cmd_##id(cli);
#include "cli/commands.def"
        /* clang-format on */
    default: return fail(&cli->f, ERR_INTERNAL, "no such row");
    }
}

int cli_main(int argc, char **argv)
{
    static cli_t cli;
    if (argc >= 2 && strcmp(argv[1], "__complete") == 0) return complete_main(argc - 2, argv + 2);
    err_t err = args_parse(argc, argv, &cli.args, &cli.f);

    pipe_catch();
    cli.json = args_yes(&cli.args, "json");
    cli.quiet = args_yes(&cli.args, "quiet");
    cli.color = color_wanted(&cli.args);
    /* One instance for this process and all that it starts. */
    if (args_text(&cli.args, "home")) setenv("VATYARD_HOME", args_text(&cli.args, "home"), 1);

    if (!err) {
        if (args_yes(&cli.args, "version"))
            err = cmd_version(&cli);
        else if (!cli.args.command)
            help_show(&cli, NULL);
        else if (args_yes(&cli.args, "help"))
            help_show(&cli, cli.args.command);
        else
            err = cli_dispatch(&cli);
    }
    bool unwritten = fflush(stdout) != 0 || ferror(stdout);
    if (unwritten && signal_caught() == SIGPIPE) return 128 + SIGPIPE;
    if (unwritten && !err) err = fail(&cli.f, ERR_STORE, "stdout cannot be written");
    if (!err) return cli.exit;
    /* Nobody is to be told that no answer came when it was they who ended the waiting. */
    if (signal_caught() && (err == ERR_NO_BROKER || err == ERR_TIMED_OUT))
        return 128 + signal_caught();
    if (cli.json)
        fail_print_json(&cli.f, stderr);
    else
        fail_print(&cli.f, stderr, cli.color);
    return fail_exit(&cli.f);
}
