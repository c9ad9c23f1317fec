/* JSON as the command line needs it, over jansson: numbers are doubles as in JavaScript, texts are
 * written without spaces as JSON.stringify writes them, and every value of a file has a place. */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "cli/fail.h"
#include "wire/base/buf.h"
#include "wire/base/bytes.h"

enum { NUMBER_TEXT_MAX = 40 };

/* VALUE as ECMAScript's Number::toString writes it: shortest digits that read back, "1e+21",
 * "1e-7". Finite only; -0 is "0". Returns BUF. */
char *number_text(double value, char buf[NUMBER_TEXT_MAX]);

/* A JSON string of TEXT; bytes that are not UTF-8 become '?'. Never NULL. */
json_t *json_text(text_t text);

/* "v3" of 'v' and 3; null of 0, which is nobody. */
json_t *json_id(char prefix, uint64_t number);
json_t *json_number(uint64_t number);

/* Sets NAME of OBJECT to a number. */
void json_set_counter(json_t *object, text_t name, uint64_t value);

/* Appends VALUE to OUT without spaces, objects in their own order. */
CHECKED err_t json_add(buf_t *out, const json_t *value);

/* Appends TEXT as a JSON string with quotes and escapes, as JSON.stringify does. */
CHECKED err_t json_add_string(buf_t *out, text_t text);

/* Writes VALUE to OUT without spaces and without a newline. */
void json_print(const json_t *value, FILE *out);

/* Parses LEN bytes. Duplicate keys, NaN, comments and text behind the value are refused; all
 * numbers are reals. NULL and JSON_SYNTAX or JSON_DUPLICATE in F, with the place, on failure;
 * NAME is what F calls the text. */
json_t *json_read(const char *at, size_t len, const char *name, fail_t *f);

/* Line and column, both from 1 and in characters, where the value at the JSON pointer POINTER (RFC 6901) of the
 * well-formed text AT begins, or its key when KEY and it has one. False when nothing is there. */
bool json_place(const char *at, size_t len, const char *pointer, bool key, unsigned *ret_line,
                unsigned *ret_column);

/* Appends "/" and KEY, escaped for a JSON pointer, to the text POINTER of ROOM bytes. */
void pointer_add(char *pointer, size_t room, const char *key);
