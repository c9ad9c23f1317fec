/* Help for people, made from the rows of commands.def. */
#include <string.h>

#include "cli/command.h"

enum { SCREEN_WIDTH = 80, NAMES_INDENT = 13 };

static const struct {
    const char *title, *word;
    bool names_only; /* on the help screen, which has no room for more */
} groups[GROUPS] = {
    [GROUP_START] = {"Start", "start", false},   [GROUP_TALK] = {"Talk to objects", "talk", false},
    [GROUP_VATS] = {"Vats", "vats", false},      [GROUP_LOOK] = {"Look", "look", true},
    [GROUP_MANAGE] = {"Manage", "manage", true}, [GROUP_LOAD] = {"Load test", "load", true},
    [GROUP_SETUP] = {"Set up", "setup", true},
};

const char *group_title(group_t group) { return groups[group].title; }
const char *group_word(group_t group) { return groups[group].word; }

void help_wrap(const char *text, int indent, int width, FILE *out)
{
    int column = indent;

    fprintf(out, "%*s", indent, "");
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column > indent && column + 1 + word > width) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void help_flags(command_id_t owner, FILE *out)
{
    for (unsigned i = 0; flag_at(i); i++) {
        const flag_t *flag = flag_at(i);
        char left[64];
        if (flag->owner != owner) continue;
        snprintf(left, sizeof left, "%s%c%s--%s %s", flag->letter ? "-" : " ",
                 flag->letter ? flag->letter : ' ', flag->letter ? ", " : "  ", flag->name,
                 flag->argument);
        fprintf(out, "  %-26s %s\n", left, flag->doc);
    }
}

void help_command(const command_t *command, FILE *out)
{
    fprintf(out, "%s\n\n  vatctl %s%s%s\n\n", command->summary, command->name,
            *command->arguments ? " " : "", command->arguments);
    if (command_about(command)) {
        help_wrap(command_about(command), 0, SCREEN_WIDTH, out);
        fputc('\n', out);
    }
    help_flags(command->id, out);
    help_flags(COMMAND_all, out);
    fprintf(out, "\nExample%s\n", example_at(command, 1) ? "s" : "");
    for (unsigned i = 0; example_at(command, i); i++)
        fprintf(out, "  %s\n", example_at(command, i));
}

static void help_line(const command_t *command, FILE *out)
{
    char left[64];

    snprintf(left, sizeof left, "%s%s%s", command->name, *command->arguments ? " " : "",
             command->arguments);
    fprintf(out, "  %-25s %s\n", left, command->summary);
}

void help_group(group_t group, FILE *out)
{
    fprintf(out, "%s\n", groups[group].title);
    for (unsigned i = 0; command_at(i); i++)
        if (command_at(i)->group == group) help_line(command_at(i), out);
}

/* One name, or of a family "cluster launch|ls|rm". */
static int name_of(const command_t *command, size_t family, char *ret, size_t room)
{
    size_t word = strcspn(command->name, " ");
    int len = snprintf(ret, room, "%s", command->name);

    for (size_t i = 1; i < family; i++)
        len += snprintf(ret + len, room - (size_t)len, "|%s", command[i].name + word + 1);
    return len;
}

static void help_names(group_t group, FILE *out)
{
    int column = fprintf(out, "%-*s", NAMES_INDENT, groups[group].title), begin = column;
    char name[256];

    for (unsigned i = 0; command_at(i);) {
        const command_t *command = command_at(i);
        size_t family = command_family(command);
        i += (unsigned)family;
        if (command->group != group) continue;
        int len = name_of(command, family, name, sizeof name);
        if (column > begin && column + 2 + len > SCREEN_WIDTH) {
            fprintf(out, "\n%*s", NAMES_INDENT, "");
            column = begin;
        }
        column += fprintf(out, "%s%s", column > begin ? "  " : "", name);
    }
    fputc('\n', out);
}

static bool any_of(group_t group)
{
    for (unsigned i = 0; command_at(i); i++)
        if (command_at(i)->group == group) return true;
    return false;
}

void help_all(FILE *out)
{
    fprintf(out, "vatctl " VATYARD_VERSION
                 " - run and look after a cluster of object-capability vats\n");
    for (group_t group = 0; group < GROUPS; group++) {
        if (!any_of(group)) continue;
        if (groups[group].names_only)
            help_names(group, out);
        else
            help_group(group, out);
    }
    fprintf(out,
            "Flags of all --home DIR  -e URL  --json  -q  --timeout DUR  --color WHEN\n"
            "\nvatctl help COMMAND, help look, explain E2104           First time: vatctl demo\n");
}
