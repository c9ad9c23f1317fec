#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

void table_print(const table_t *self, FILE *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < self->rows; i++) {
        size_t w = width(self->cells[i]);
        if (w > widths[i % self->columns]) widths[i % self->columns] = w;
    }
    for (size_t i = 0; i < self->rows; i++) {
        size_t column = i % self->columns;
        bool last = column + 1 == self->columns;
        put_safely(out, text_of(self->cells[i]));
        if (last)
            fputc('\n', out);
        else
            fprintf(out, "%*s", (int)(widths[column] - width(self->cells[i]) + 2), "");
    }
}

void table_clear(table_t *self)
{
    for (size_t i = 0; i < self->rows; i++) free(self->cells[i]);
    free(self->cells);
    *self = (table_t){0};
}
