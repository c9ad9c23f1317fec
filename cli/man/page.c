#include "cli/man/page.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { LINE_WIDTH = 76 };

/* A hyphen in a page is typographic unless it says otherwise, and what people copy must be ASCII. */
static void escaped(FILE *page, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '\\': fputs("\\e", page); break;
        case '-': fputs("\\-", page); break;
        case '\'': fputs("\\(aq", page); break;
        case '`': fputs("\\(ga", page); break;
        case '^': fputs("\\(ha", page); break;
        case '~': fputs("\\(ti", page); break;
        default: fputc(text[i], page); break;
        }
    }
}

/* What begins a line with a dot would be a request. */
static void begins(FILE *page, const char *text)
{
    if (*text == '.') fputs("\\&", page);
}

FILE *page_open(const press_t *press, const char *name, int section, const char *what)
{
    char path[4096], title[128];
    size_t i = 0;

    snprintf(path, sizeof path, "%s/man%d", press->folder, section);
    mkdir(press->folder, 0755);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/man%d/%s.%d", press->folder, section, name, section);
    FILE *page = fopen(path, "w");
    if (!page) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return NULL;
    }
    for (; name[i] && i + 1 < sizeof title; i++) title[i] = (char)toupper((unsigned char)name[i]);
    title[i] = 0;
    fprintf(page, ".\\\" Made from vatctl's tables when it was built.\n.TH %s %d %s", title,
            section, press->date);
    fprintf(page, " \"Vatyard " VATYARD_VERSION "\" \"Vatyard\"\n");
    page_section(page, "NAME");
    escaped(page, name, strlen(name));
    fputs(" \\- ", page);
    escaped(page, what, strlen(what));
    fputc('\n', page);
    return page;
}

bool page_close(FILE *page)
{
    bool bad = ferror(page) != 0;

    if (fclose(page) != 0) bad = true;
    if (bad) fprintf(stderr, "a page could not be written: %s\n", strerror(errno));
    return !bad;
}

void page_section(FILE *page, const char *title) { fprintf(page, ".SH %s\n", title); }
void page_paragraph(FILE *page) { fputs(".PP\n", page); }

void page_text(FILE *page, const char *text)
{
    int column = 0;

    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column && column + 1 + (int)word > LINE_WIDTH) {
            fputc('\n', page);
            column = 0;
        }
        if (column)
            fputc(' ', page);
        else
            begins(page, text);
        escaped(page, text, word);
        column += (int)word + 1;
        text += word;
        /* A sentence ends a line: roff then sets the space behind it. */
        if (word && strchr(".!?", text[-1]) && *text) {
            fputc('\n', page);
            column = 0;
        }
        text += strspn(text, " \n");
    }
    if (column) fputc('\n', page);
}

void page_verbatim(FILE *page, const char *text)
{
    fputs(".nf\n.RS 4\n", page);
    while (*text) {
        size_t len = strcspn(text, "\n");
        begins(page, text);
        if (!len) fputs("\\&", page);
        escaped(page, text, len);
        fputc('\n', page);
        text += len + (text[len] == '\n');
    }
    fputs(".RE\n.fi\n", page);
}

void page_item(FILE *page, const char *head, const char *argument, const char *text)
{
    fputs(".TP\n\\fB", page);
    escaped(page, head, strlen(head));
    fputs("\\fR", page);
    if (argument && *argument) {
        fputs(" \\fI", page);
        escaped(page, argument, strlen(argument));
        fputs("\\fR", page);
    }
    fputc('\n', page);
    page_text(page, text);
}

void page_see(FILE *page, const char *const *others)
{
    page_section(page, "SEE ALSO");
    for (; *others; others++) {
        const char *open = strchr(*others, '(');
        fputs(".BR ", page);
        escaped(page, *others, (size_t)(open - *others));
        fprintf(page, " %s%s\n", open, others[1] ? "," : "");
    }
}
