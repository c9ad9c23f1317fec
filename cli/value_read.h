/* Reads literals out of a text: an argument of `call`, or what stands in a line of the shell.
 *
 * A value is written as smallcaps to a buffer, without '#'; the references in it go to a value_t. */
#pragma once
#include "cli/value.h"

typedef struct reader reader_t;

struct reader {
    const char *whole, *at; /* the text, and how far it is read */
    value_t *value;         /* gets the references */
    const names_t *names;   /* NULL: @name means nothing here */
    size_t argument;        /* from 1, for errors; 0: WHOLE is not one of several arguments */
    unsigned depth;
    fail_t *f;
    /* Asked first wherever a word, @ or $ begins a value; NULL: nobody is. What it takes it reads,
     * writes to OUT and says so. */
    err_t (*term)(reader_t *self, buf_t *out, bool *ret_taken);
    void *context;
};

/* The value that begins at SELF->at, blanks before it skipped. Fails with VALUE_LITERAL (EXPRESSION when it
 * is no argument), BARE_WORD, BYTES_UNSUPPORTED, or as SELF->term and SELF->names do. */
CHECKED err_t reader_value(reader_t *self, buf_t *out);

/* A method's name as the body has it: of NAME, or of the Symbol.x that begins at SELF->at. */
CHECKED err_t reader_symbol(reader_t *self, buf_t *out);
/* A string in quotes, as the body has it. */
CHECKED err_t reader_string(reader_t *self, buf_t *out);

/* Skips blanks, ends of lines and comments (from // to the end of the line). */
void reader_blank(reader_t *self);
/* Skips blanks, then C, or fails with WHY. */
CHECKED err_t reader_expect(reader_t *self, char c, const char *why);

/* Puts a reference to OUT. */
CHECKED err_t reader_put(reader_t *self, buf_t *out, kref_t kref);

/* Begins a failure at the place that is read. */
err_t reader_wrong(reader_t *self, const char *why);

/* Letters, digits, _ and $. */
bool word_char(char c);
size_t word_len(const char *at);
/* The length of the kref that AT begins with ("ko3.7"); 0 when it is none. */
size_t word_kref(const char *at, kref_t *ret);
/* Is it a word that begins a literal, and so cannot be a name: undefined, Error, tagged ... */
bool word_is_literal(const char *word, size_t len);
/* Is it one of those that make an error: Error, TypeError ... */
bool word_is_error(const char *word);
/* Those words in a row, NULL behind the last. */
const char *const *literal_words(void);
