/* version and help */
#include <string.h>

#include "cli/explain.h"
#include "cli/guess.h"
#include "cli/schema.h"
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

/* ---- help as one JSON value: the rows of commands.def ---- */

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
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "command", command->name, "arguments",
                  command->arguments, "what", command->summary, "example", command->example,
                  "flags", flags_json(command->id), "group", group_word(command->group));
    json_t *examples = json_array();
    for (unsigned i = 0; example_at(command, i); i++)
        json_array_append_new(examples, json_string(example_at(command, i)));
    json_object_set_new(json, "examples", examples);
    if (command_about(command))
        json_object_set_new(json, "about", json_string(command_about(command)));
    return json;
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

/* The commands whose names begin with the word NAME; of a group when GROUP is one. */
static err_t list_show(cli_t *cli, const char *name, group_t group)
{
    json_t *json = json_array();
    size_t len = strlen(name), count = 0;

    for (unsigned i = 0; command_at(i); i++) {
        const command_t *command = command_at(i);
        bool of_family = strncmp(command->name, name, len) == 0 && command->name[len] == ' ';
        if (group < GROUPS ? command->group != group : !of_family) continue;
        if (cli->json)
            json_array_append_new(json, command_json(command));
        else if (group == GROUPS) {
            if (count) printf("\n");
            help_command(command, stdout);
        }
        count++;
    }
    if (count && cli->json)
        out_json(json_incref(json));
    else if (count && group < GROUPS)
        help_group(group, stdout);
    json_decref(json);
    return count ? ERR_OK : ERR_UNKNOWN_COMMAND;
}

static err_t not_found(cli_t *cli, const char *word, const char *second)
{
    const char *groups[GROUPS], *like;

    for (group_t group = 0; group < GROUPS; group++) groups[group] = group_word(group);
    err_t err = command_unknown(word, second, &cli->f);
    if (command_like(word, second) || !(like = nearest(word, groups, GROUPS))) return err;
    fail(&cli->f, err, "unknown command \"%.60s\"; did you mean \"%s\"?", word, like);
    fail_try(&cli->f, "vatctl help %s", like);
    return err;
}

err_t cmd_help(cli_t *cli)
{
    char name[128];
    char **words = cli->args.words;
    group_t group = 0;

    if (cli->args.word_count == 0) {
        help_show(cli, NULL);
        return ERR_OK;
    }
    if (explain_is_code(words[0])) return explain_show(cli, words[0]);
    snprintf(name, sizeof name, "%.60s%s%.60s", words[0], cli->args.word_count > 1 ? " " : "",
             cli->args.word_count > 1 ? words[1] : "");
    const command_t *command = command_find(name);
    if (command) {
        help_show(cli, command);
        return ERR_OK;
    }
    if (list_show(cli, name, GROUPS) == ERR_OK) return ERR_OK;
    while (group < GROUPS && strcmp(group_word(group), name) != 0) group++;
    if (group < GROUPS && list_show(cli, name, group) == ERR_OK) return ERR_OK;
    return not_found(cli, words[0], cli->args.word_count > 1 ? words[1] : NULL);
}
