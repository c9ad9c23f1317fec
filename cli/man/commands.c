/* vatctl(1), and a page for each command. */
#include <string.h>

#include "cli/command.h"
#include "cli/explain.h"
#include "cli/man/page.h"

static void page_name(const command_t *command, char ret[64])
{
    snprintf(ret, 64, "vatctl-%s", command->name);
    for (char *c = ret; *c; c++)
        if (*c == ' ') *c = '-';
}

static void flags(FILE *page, command_id_t owner)
{
    for (unsigned i = 0; flag_at(i); i++) {
        const flag_t *flag = flag_at(i);
        char head[80];
        if (flag->owner != owner) continue;
        if (flag->letter)
            snprintf(head, sizeof head, "-%c, --%s", flag->letter, flag->name);
        else
            snprintf(head, sizeof head, "--%s", flag->name);
        page_item(page, head, flag->argument, flag->doc);
    }
}

static bool has_flags(command_id_t owner)
{
    for (unsigned i = 0; flag_at(i); i++)
        if (flag_at(i)->owner == owner) return true;
    return false;
}

static void exits(FILE *page)
{
    char number[16];

    page_section(page, "\"EXIT STATUS\"");
    for (int code = 0; code < 256; code++) {
        if (!explain_exit(code)) continue;
        snprintf(number, sizeof number, "%d", code);
        page_item(page, number, NULL, explain_exit(code));
    }
}

static void examples(FILE *page, const command_t *command)
{
    page_section(page, "EXAMPLES");
    for (unsigned i = 0; example_at(command, i); i++) {
        if (i) page_paragraph(page);
        page_verbatim(page, example_at(command, i));
    }
}

/* Those that begin with the same word, or else of the same group. */
static void see_also(FILE *page, const command_t *command)
{
    static char names[32][72];
    const char *others[33] = {"vatctl(1)"};
    size_t count = 1, word = strcspn(command->name, " ");

    for (unsigned i = 0; command_at(i) && count < 24; i++) {
        const command_t *other = command_at(i);
        bool family = strncmp(other->name, command->name, word + 1) == 0;
        if (other == command || (command->name[word] ? !family : other->group != command->group))
            continue;
        char name[64];
        page_name(other, name);
        snprintf(names[count], sizeof names[count], "%s(1)", name);
        others[count] = names[count];
        count++;
    }
    page_see(page, others);
}

static bool command_page(const press_t *press, const command_t *command)
{
    char name[64], usage[256];

    page_name(command, name);
    FILE *page = page_open(press, name, 1, command->summary);
    if (!page) return false;
    page_section(page, "SYNOPSIS");
    snprintf(usage, sizeof usage, "vatctl %s", command->name);
    fputs(".B ", page);
    page_text(page, usage);
    if (*command->arguments) {
        fputs(".I ", page);
        page_text(page, command->arguments);
    }
    page_text(page, "[flags]");
    if (command_about(command)) {
        page_section(page, "DESCRIPTION");
        page_text(page, command_about(command));
    }
    if (has_flags(command->id)) {
        page_section(page, "OPTIONS");
        flags(page, command->id);
    }
    page_section(page, "\"OPTIONS OF ALL COMMANDS\"");
    flags(page, COMMAND_all);
    exits(page);
    examples(page, command);
    see_also(page, command);
    return page_close(page);
}

static void groups(FILE *page)
{
    for (group_t group = 0; group < GROUPS; group++) {
        bool any = false;
        for (unsigned i = 0; command_at(i); i++) {
            const command_t *command = command_at(i);
            if (command->group != group) continue;
            if (!any) {
                fputs(".SS ", page);
                page_text(page, group_title(group));
            }
            any = true;
            page_item(page, command->name, command->arguments, command->summary);
        }
    }
}

static bool vatctl_page(const press_t *press)
{
    FILE *page =
        page_open(press, "vatctl", 1, "run and look after a cluster of object-capability vats");
    if (!page) return false;
    page_section(page, "SYNOPSIS");
    fputs(".B vatctl\n.I command\n[\n.I argument\n\\&... ]\n[\n.I flag\n\\&... ]\n", page);
    page_section(page, "DESCRIPTION");
    page_text(page,
              "vatctl reads cluster files, bundles sources, starts and ends a broker with its "
              "vathosts, and talks to a broker that runs. Each command has a page of its own: "
              "vatctl-run(1) for run, vatctl-cluster-launch(1) for cluster launch. "
              "stdout has the result only; what vats print, progress and errors go to stderr.");
    page_section(page, "COMMANDS");
    groups(page);
    page_section(page, "OPTIONS");
    page_text(page, "Every command takes these, before its name or behind it:");
    flags(page, COMMAND_all);
    exits(page);
    page_section(page, "ENVIRONMENT");
    page_item(page, "VATYARD_HOME", NULL,
              "The instance: state, logs, control socket. Without: $XDG_STATE_HOME/vatyard, else "
              "~/.local/state/vatyard. --home goes before it.");
    page_item(page, "VATYARD_ENDPOINT", NULL,
              "Control socket of a broker, ipc://PATH. -e goes before it.");
    page_item(page, "NO_COLOR", NULL, "No colours, when it is not empty. --color goes before it.");
    page_item(page, "TMPDIR", NULL, "Where a run without --state keeps its state.");
    page_section(page, "FILES");
    page_text(page, "vatctl where lists the paths of the instance.");
    page_section(page, "DIAGNOSTICS");
    page_text(page, "An error has a code; vatctl explain CODE says what it means, why it comes and "
                    "what to try. With --json it is one JSON object on stderr.");
    page_see(page, (const char *const[]){"vatctl-run(1)", "vatctl-up(1)", "vatctl-explain(1)",
                                         "vatyard-cluster(5)", "vatbroker(8)", "vathost(8)", NULL});
    return page_close(page);
}

bool write_command_pages(const press_t *press)
{
    bool good = vatctl_page(press);

    for (unsigned i = 0; command_at(i); i++) good = command_page(press, command_at(i)) && good;
    return good;
}
