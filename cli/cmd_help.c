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

static err_t help_error(cli_t *cli, const char *code)
{
    unsigned long number = strtoul(code + 1, NULL, 10);

    for (unsigned i = 0; err_at(i); i++) {
        const err_row_t *row = err_at(i);
        if ((unsigned long)row->err != number || !number) continue;
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
        help_all(stdout);
        return ERR_OK;
    }
    if ((*words[0] == 'E' || *words[0] == 'e') && strspn(words[0] + 1, "0123456789") == 4) {
        return help_error(cli, words[0]);
    }
    snprintf(name, sizeof name, "%.60s%s%.60s", words[0], cli->args.word_count > 1 ? " " : "",
             cli->args.word_count > 1 ? words[1] : "");
    const command_t *command = command_find(name);
    if (command) {
        help_command(command, stdout);
        return ERR_OK;
    }
    bool any = false;
    for (unsigned i = 0; command_at(i) && cli->args.word_count == 1; i++) {
        command = command_at(i);
        size_t len = strlen(words[0]);
        if (strncmp(command->name, words[0], len) != 0 || command->name[len] != ' ') continue;
        if (any) printf("\n");
        help_command(command, stdout);
        any = true;
    }
    if (any) return ERR_OK;
    return fail(&cli->f, ERR_UNKNOWN_COMMAND, "unknown command \"%.120s\"", name);
}
