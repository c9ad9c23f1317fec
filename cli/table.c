#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/events.h"
#include "wire/base/must.h"

static void append(table_t *self, char *text)
{
    must(text);
    self->cells = realloc(self->cells, (self->rows + 1) * sizeof *self->cells);
    must(self->cells);
    self->cells[self->rows++] = text;
}

table_t table_of(const char *head)
{
    table_t self = {0};

    while (*head) {
        size_t len = strcspn(head, " ");
        append(&self, strndup(head, len));
        self.columns++;
        head += len + (head[len] == ' ');
    }
    must(self.columns <= TABLE_COLUMNS_MAX);
    return self;
}

void table_add(table_t *self, const char *format, ...)
{
    char *text = NULL;
    va_list list;

    va_start(list, format);
    must(vasprintf(&text, format, list) >= 0);
    va_end(list);
    append(self, text);
}

/* Columns on a terminal: bytes that begin a character. */
static size_t width(const char *text)
{
    size_t n = 0;

    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void line_add(const table_t *self, size_t row, const size_t *widths, FILE *out)
{
    for (size_t column = 0; column < self->columns && row + column < self->rows; column++) {
        const char *cell = self->cells[row + column];
        put_safely(out, text_of(cell));
        if (column + 1 < self->columns)
            fprintf(out, "%*s", (int)(widths[column] - width(cell) + 2), "");
    }
}

/* The bytes of the first COLUMNS characters of LINE. */
static size_t bytes_of(const char *line, size_t columns)
{
    size_t at = 0;

    for (size_t n = 0; line[at]; at++)
        if (((unsigned char)line[at] & 0xc0) != 0x80 && n++ == columns) break;
    return at;
}

void table_print_within(const table_t *self, size_t columns, FILE *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < self->rows; i++) {
        size_t w = width(self->cells[i]);
        if (w > widths[i % self->columns]) widths[i % self->columns] = w;
    }
    for (size_t row = 0; row < self->rows; row += self->columns) {
        char *line = NULL;
        size_t len = 0;
        FILE *text = open_memstream(&line, &len);
        must(text);
        line_add(self, row, widths, text);
        must(fclose(text) == 0);
        for (char *c = line; *c; c++)
            if (*c == '\n') *c = '?'; /* a row is a line, whatever a vat calls its methods */
        if (columns && width(line) > columns)
            fprintf(out, "%.*s>\n", (int)bytes_of(line, columns - 1), line);
        else
            fprintf(out, "%s\n", line);
        free(line);
    }
}

void table_print(const table_t *self, FILE *out)
{
    struct winsize size;
    bool known =
        !self->whole && isatty(fileno(out)) == 1 && ioctl(fileno(out), TIOCGWINSZ, &size) == 0;

    table_print_within(self, known ? size.ws_col : 0, out);
}

void table_clear(table_t *self)
{
    for (size_t i = 0; i < self->rows; i++) free(self->cells[i]);
    free(self->cells);
    *self = (table_t){0};
}
