#include "cli/fail.h"

#include <stdarg.h>
#include <string.h>

#include "cli/events.h"
#include "cli/explain.h"
#include "cli/json.h"

err_t fail(fail_t *self, err_t err, const char *format, ...)
{
    va_list list;

    memset(self, 0, sizeof *self);
    self->err = err;
    va_start(list, format);
    vsnprintf(self->what, sizeof self->what, format, list);
    va_end(list);
    if (!*self->what) snprintf(self->what, sizeof self->what, "%s", err_text(err));
    return err;
}

void fail_why(fail_t *self, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(self->why, sizeof self->why, format, list);
    va_end(list);
}

void fail_try(fail_t *self, const char *format, ...)
{
    va_list list;

    if (self->try_count == FAIL_TRIES_MAX) return;
    va_start(list, format);
    vsnprintf(self->tries[self->try_count++], FAIL_NAME_MAX, format, list);
    va_end(list);
}

enum { CARET_BEFORE = 60, CARET_BEHIND = 30 };

static bool starts_character(char c) { return ((unsigned char)c & 0xc0) != 0x80; }

void fail_caret(fail_t *self, const char *whole, size_t at)
{
    const char *here = whole + at, *from = here, *end = here;
    size_t before = 0, behind = 0;
    char under[CARET_BEFORE + 8];

    while (from > whole && from[-1] != '\n' && before < CARET_BEFORE)
        before += starts_character(*--from);
    while (from > whole && !starts_character(*from)) from--;
    while (*end && *end != '\n' && behind < CARET_BEHIND) behind += starts_character(*++end);
    while (*end && !starts_character(*end)) end++;
    bool cut = from > whole && from[-1] != '\n';

    /* A tab keeps its width: the same stands under it. */
    size_t i = 0;
    for (const char *c = from; c < here && i < CARET_BEFORE; c++)
        if (starts_character(*c)) under[i++] = *c == '\t' ? '\t' : ' ';
    under[i] = 0;
    fail_why(self, "%s%.*s%s\n%s%s^", cut ? "..." : "", (int)(end - from), from,
             *end && *end != '\n' ? "..." : "", cut ? "   " : "", under);
}

void fail_at(fail_t *self, const char *file, unsigned line, unsigned column, const char *pointer)
{
    snprintf(self->file, sizeof self->file, "%s", file);
    snprintf(self->pointer, sizeof self->pointer, "%s", pointer ? pointer : "");
    self->line = line;
    self->column = column;
}

/* A text of several lines keeps its shape: the lines after the first stand under it. */
static void lines_print(FILE *out, const char *head, const char *text)
{
    fprintf(out, "  %-7s ", head);
    for (;;) {
        size_t len = strcspn(text, "\n");
        put_safely(out, (text_t){text, len}); /* a vat's words may be in it */
        fputc('\n', out);
        text += len;
        if (!*text || !*++text) return;
        fputs("          ", out);
    }
}

static void where_print(const fail_t *self, FILE *out)
{
    if (!*self->file) return;
    fprintf(out, "  where   %s", self->file);
    if (self->line) fprintf(out, ":%u:%u", self->line, self->column);
    if (*self->pointer) fprintf(out, "   %s", self->pointer);
    if (*self->excerpt) fprintf(out, "   %s", self->excerpt);
    fputc('\n', out);
}

void fail_print(const fail_t *self, FILE *out, bool color)
{
    const err_row_t *row = err_row(self->err);

    fprintf(out, "%serror E%04u:%s ", color ? "\033[1;31m" : "", (unsigned)self->err,
            color ? "\033[0m" : "");
    put_safely(out, text_of(self->what));
    fputc('\n', out);
    where_print(self, out);
    if (*self->why)
        lines_print(out, "why", self->why);
    else if (strcmp(self->what, row->text) != 0)
        lines_print(out, "why", row->text);
    for (unsigned i = 0; i < self->try_count; i++) {
        lines_print(out, i ? "" : "try", self->tries[i]);
    }
    if (!self->try_count && *row->hint) lines_print(out, "try", row->hint);
    fprintf(out, "  more    vatctl explain E%04u\n", (unsigned)self->err);
}

json_t *fail_json(const fail_t *self)
{
    const err_row_t *row = err_row(self->err);
    char code[16];
    json_t *error = json_object(), *tries = json_array();

    snprintf(code, sizeof code, "E%04u", (unsigned)self->err);
    json_object_set_new(error, "code", json_string(code));
    json_object_set_new(error, "message", json_text(text_of(self->what)));
    if (*self->file) {
        json_t *where = json_object();
        json_object_set_new(where, "file", json_text(text_of(self->file)));
        if (self->line) {
            json_object_set_new(where, "line", json_integer(self->line));
            json_object_set_new(where, "column", json_integer(self->column));
        }
        if (*self->pointer)
            json_object_set_new(where, "pointer", json_text(text_of(self->pointer)));
        json_object_set_new(error, "where", where);
    }
    json_object_set_new(error, "why", json_text(text_of(*self->why ? self->why : row->text)));
    for (unsigned i = 0; i < self->try_count; i++) {
        json_array_append_new(tries, json_text(text_of(self->tries[i])));
    }
    if (!self->try_count && *row->hint) json_array_append_new(tries, json_string(row->hint));
    json_object_set_new(error, "try", tries);
    json_object_set_new(error, "retryable", json_boolean(explain_retry(self->err) == RETRY_LATER));
    json_object_set_new(error, "exit", json_integer(row->exit));
    return error;
}

void fail_print_json(const fail_t *self, FILE *out)
{
    json_t *all = json_pack("{s:o}", "error", fail_json(self));

    json_print(all, out);
    fputc('\n', out);
    json_decref(all);
}

int fail_exit(const fail_t *self) { return err_row(self->err)->exit; }
