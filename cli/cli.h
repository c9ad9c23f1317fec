/* What every command has: the parsed line, how to speak, and a place for what went wrong. */
#pragma once
#include "cli/command.h"
#include "cli/fail.h"
#include "cli/json.h"
#include "cli/table.h"

typedef struct {
    args_t args;
    fail_t f;
    bool json, quiet;
    bool color; /* of stderr */
    int exit;   /* of a command that did its work: 0, or 8 for a rejection, 9, 10 */
} cli_t;

int cli_main(int argc, char **argv);

/* Runs the command of CLI->args. */
err_t cli_dispatch(cli_t *cli);

/* A line on stderr unless -q. */
void say(const cli_t *cli, const char *format, ...) LIKE_PRINTF(2);

/* The help screen, or that of COMMAND; with --json the rows it is made of. */
void help_show(const cli_t *cli, const command_t *command);

/* Prints the one JSON value of a command and forgets it. */
void out_json(json_t *value);

/* Prints TABLE, or with --json its rows as JSON, and forgets both. */
void out_table(const cli_t *cli, table_t *table, json_t *json);

/* Each command: ERR_OK and cli->exit, or an error with cli->f filled in. */
#define COMMAND(id, name, group, arguments, least, most, summary, example) \
    err_t cmd_##id(cli_t *cli);
#include "cli/commands.def"
