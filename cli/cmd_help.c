/* version and help */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "wire/schema/message.h"

err_t cmd_version(cli_t *cli)
{
    if (cli->json) {
        out_json(json_pack("{s:s, s:i, s:i}", "version", VATYARD_VERSION, "proto_min", PROTO_MIN,
                           "proto_max", PROTO_MAX));
    } else {
        printf("vatctl " VATYARD_VERSION "\n");
    }
    return ERR_OK;
}

/* ---- help as one JSON value: the rows of commands.def and err.def ---- */

static json_t *flags_json(command_id_t owner)
{
    json_t *all = json_array();

    for (unsigned i = 0; flag_at(i); i++) {
        const flag_t *flag = flag_at(i);
        if (flag->owner != owner) continue;
        json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "flag", flag->name, "argument",
                                             flag->argument, "what", flag->doc));
    }
    return all;
}

static json_t *command_json(const command_t *command)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "command", command->name, "arguments",
                     command->arguments, "what", command->summary, "example", command->example,
                     "flags", flags_json(command->id));
}

static json_t *all_json(void)
{
    json_t *all = json_array();

    for (unsigned i = 0; command_at(i); i++)
        json_array_append_new(all, command_json(command_at(i)));
    return json_pack("{s:s, s:o, s:o}", "version", VATYARD_VERSION, "commands", all, "flags",
                     flags_json(COMMAND_all));
}

void help_show(const cli_t *cli, const command_t *command)
{
    if (cli->json)
        out_json(command ? command_json(command) : all_json());
    else if (command)
        help_command(command, stdout);
    else
        help_all(stdout);
}

/* ---- the commands ---- */

static err_t help_error(cli_t *cli, const char *code)
{
    unsigned long number = strtoul(code + 1, NULL, 10);

    for (unsigned i = 0; err_at(i); i++) {
        const err_row_t *row = err_at(i);
        if ((unsigned long)row->err != number || !number) continue;
        if (cli->json) {
            out_json(json_pack("{s:s+, s:s, s:s, s:s, s:i}", "code", "E", code + 1, "name",
                               row->name, "what", row->text, "try", row->hint, "exit", row->exit));
            return ERR_OK;
        }
        printf("E%04u %s\n  what   %s\n", (unsigned)row->err, row->name, row->text);
        if (*row->hint) printf("  try    %s\n", row->hint);
        printf("  exit   %d\n", row->exit);
        return ERR_OK;
    }
    return fail(&cli->f, ERR_USAGE, "no error has the code %.20s", code);
}

err_t cmd_help(cli_t *cli)
{
    char name[128];
    char **words = cli->args.words;

    if (cli->args.word_count == 0) {
        help_show(cli, NULL);
        return ERR_OK;
    }
    if ((*words[0] == 'E' || *words[0] == 'e') && strspn(words[0] + 1, "0123456789") == 4) {
        return help_error(cli, words[0]);
    }
    snprintf(name, sizeof name, "%.60s%s%.60s", words[0], cli->args.word_count > 1 ? " " : "",
             cli->args.word_count > 1 ? words[1] : "");
    const command_t *command = command_find(name);
    if (command) {
        help_show(cli, command);
        return ERR_OK;
    }
    json_t *group = json_array();
    bool any = false;
    for (unsigned i = 0; command_at(i) && cli->args.word_count == 1; i++) {
        command = command_at(i);
        size_t len = strlen(words[0]);
        if (strncmp(command->name, words[0], len) != 0 || command->name[len] != ' ') continue;
        if (any && !cli->json) printf("\n");
        if (cli->json)
            json_array_append_new(group, command_json(command));
        else
            help_command(command, stdout);
        any = true;
    }
    if (any && cli->json) out_json(json_incref(group));
    json_decref(group);
    if (any) return ERR_OK;
    return fail(&cli->f, ERR_UNKNOWN_COMMAND, "unknown command \"%.120s\"", name);
}
