/* What went wrong, for the person at the terminal: a code of err.def, what with names, where in
 * which file, why, and what to try. One shape for people and one for programs.
 *
 *   F1  the function that knows the names fills it; nobody in between rewords it;
 *   F2  what a vat says (a rejection) is a value and never one of these. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "wire/base/err.h"

enum { FAIL_TEXT_MAX = 4096, FAIL_NAME_MAX = 1024, FAIL_TRIES_MAX = 4 };

typedef struct {
    err_t err;
    char what[FAIL_TEXT_MAX];
    char why[FAIL_TEXT_MAX];
    char file[FAIL_NAME_MAX];
    unsigned line, column; /* from 1; 0: not known */
    char pointer[FAIL_NAME_MAX];
    char excerpt[FAIL_NAME_MAX];
    char tries[FAIL_TRIES_MAX][FAIL_NAME_MAX];
    unsigned try_count;
} fail_t;

/* Begins a failure: everything in SELF is forgotten. An empty format takes the table's text.
 * Returns ERR, so that a caller can say `return fail(f, ERR_X, "...")`. */
err_t fail(fail_t *self, err_t err, const char *format, ...) LIKE_PRINTF(3);

/* Adds to the failure begun last. fail_try() may be called FAIL_TRIES_MAX times; without any, the
 * table's hint stands there. */
void fail_why(fail_t *self, const char *format, ...) LIKE_PRINTF(2);
void fail_try(fail_t *self, const char *format, ...) LIKE_PRINTF(2);
/* WHY becomes the line of WHOLE that has the byte AT, and under it a mark at that place. */
void fail_caret(fail_t *self, const char *whole, size_t at);
void fail_at(fail_t *self, const char *file, unsigned line, unsigned column, const char *pointer);

/* `error E2104: ...` and its where, why, try and more lines. */
void fail_print(const fail_t *self, FILE *out, bool color);

/* {"code":"E2304",...}; the caller owns it. */
json_t *fail_json(const fail_t *self);

/* {"error":{...}} of it, on one line. */
void fail_print_json(const fail_t *self, FILE *out);

/* The exit code that belongs to it. */
int fail_exit(const fail_t *self);
