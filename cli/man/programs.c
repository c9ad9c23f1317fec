/* vatbroker(8) and vathost(8), from what the programs say of themselves. The form that is read:
 *
 *   NAME VERSION - what it is
 *
 *   usage: lines up to a blank one
 *
 *     --flag ARGUMENT   text, that goes on in lines
 *                       which begin as far to the right
 *
 *   Paragraphs; a line of variables begins with VATYARD_. */
#include <stdlib.h>
#include <string.h>

#include "cli/man/page.h"

enum { HELP_BYTES_MAX = 65536, TEXT_BYTES = 4096 };

static char *help_of(const char *program)
{
    char command[4200];
    char *text = calloc(1, HELP_BYTES_MAX);

    snprintf(command, sizeof command, "'%s' --help", program);
    FILE *said = popen(command, "r");
    size_t len = said && text ? fread(text, 1, HELP_BYTES_MAX - 1, said) : 0;
    if (said && pclose(said) == 0 && len) return text;
    fprintf(stderr, "%s --help says nothing\n", program);
    free(text);
    return NULL;
}

/* An option on its way: what was read of it. */
typedef struct {
    char head[TEXT_BYTES], argument[TEXT_BYTES], text[TEXT_BYTES];
} option_t;

static void add(char *text, const char *more)
{
    size_t len = strlen(text);

    snprintf(text + len, TEXT_BYTES - len, "%s%s", len ? " " : "", more + strspn(more, " "));
}

static void option_put(FILE *page, option_t *option)
{
    if (*option->head) page_item(page, option->head, option->argument, option->text);
    *option = (option_t){0};
}

/* "  --state DIR      text" */
static void option_begin(option_t *option, char *line)
{
    char *head = line + strspn(line, " "), *text = strstr(head, "  "), *argument;

    if (text) {
        *text = 0;
        add(option->text, text + 1);
    }
    argument = strchr(head, ' ');
    if (argument && argument[-1] != ',') {
        *argument = 0;
        add(option->argument, argument + 1);
    }
    add(option->head, head);
}

static char *line_next(char **rest)
{
    char *line = *rest;

    if (!*line) return NULL;
    size_t len = strcspn(line, "\n");
    *rest += len + (line[len] == '\n');
    line[len] = 0;
    return line;
}

static void synopsis(FILE *page, char **rest)
{
    char text[TEXT_BYTES] = "";

    page_section(page, "SYNOPSIS");
    for (char *line; (line = line_next(rest)) && *line;) {
        const char *usage = strncmp(line, "usage: ", 7) == 0 ? line + 7 : line + strspn(line, " ");
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s\n",
                 usage == line + 7 || strncmp(usage, "vat", 3) == 0 ? "" : "    ", usage);
    }
    page_verbatim(page, text);
}

static void body(FILE *page, char *rest)
{
    option_t option = {0};
    bool options = false, about = false, variables = false;

    for (char *line; (line = line_next(&rest));) {
        size_t blanks = strspn(line, " ");
        if (strncmp(line, "  -", 3) == 0) {
            if (!options) page_section(page, "OPTIONS");
            options = true;
            option_put(page, &option);
            option_begin(&option, line);
        } else if (blanks > 2) {
            add(option.text, line);
        } else if (*line) {
            option_put(page, &option);
            if (strncmp(line, "VATYARD_", 8) == 0) {
                if (!variables) page_section(page, "ENVIRONMENT");
                variables = true;
            } else if (!about) {
                page_section(page, "NOTES");
                about = true;
            }
            page_text(page, line);
        }
    }
    option_put(page, &option);
}

bool write_program_page(const press_t *press, const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
    char *help = help_of(program), *rest = help;

    if (!help) return false;
    char *title = line_next(&rest), *what = title ? strstr(title, " - ") : NULL;
    FILE *page = what ? page_open(press, name, 8, what + 3) : NULL;
    if (page) {
        line_next(&rest);
        synopsis(page, &rest);
        body(page, rest);
        page_see(page, (const char *const[]){
                           "vatctl(1)", "vatctl-up(1)", "vatyard-cluster(5)",
                           strcmp(name, "vathost") == 0 ? "vatbroker(8)" : "vathost(8)", NULL});
    }
    free(help);
    return page && page_close(page);
}
