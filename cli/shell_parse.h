/* A line of the shell made into a tree: messages look as in JavaScript, values are the literals of
 * `call`, and nothing else is evaluated.
 *
 *   LINE   = [ let NAME = VALUE | VALUE | ! MESSAGE | .COMMAND WORDS ] [ ; ] [ // comment ]
 *   VALUE  = a literal (in which a VALUE may stand) | TARGET
 *   TARGET = NAME | @NAME | ko3.7 | kp0.4 | MESSAGE
 *   MESSAGE= TARGET . METHOD ( VALUE, ... ) | TARGET [ "METHOD" | Symbol.x ] ( ... ) | TARGET ( ... )
 *   NAME   = alice | shop/alice | v3 | $1
 *
 *   E1  the parser is pure: what a name stands for is not its business;
 *   E2  no text makes it crash, nor costs more than memory in proportion to it. */
#pragma once
#include "cli/value.h"

enum {
    /* Messages in one line: what walks the tree goes as deep as that. */
    LINE_MESSAGES_MAX = 1000,
};

typedef enum {
    TERM_VALUE,  /* a literal */
    TERM_NAME,   /* NAME; with the '@' before one that can only be a vat's */
    TERM_REF,    /* ko3.7; only as a target, elsewhere it is a part of a literal */
    TERM_MESSAGE /* TARGET gets VALUE, which is "[method,[arguments]]" */
} term_kind_t;

/* The parts of a literal that are to be found out stand in its body as \1N\1: what HOLES[N] gives. */
enum { HOLE_MARK = 1 };

typedef struct term term_t;
struct term {
    term_kind_t kind;
    size_t at; /* where it begins in the text */
    char *name;
    kref_t kref;
    term_t *target;
    value_t value; /* body without '#' */
    term_t **holes;
    size_t hole_count;
};

typedef enum { LINE_NOTHING, LINE_VALUE, LINE_LET, LINE_SILENT, LINE_COMMAND } line_kind_t;

typedef struct {
    line_kind_t kind;
    char *name;   /* LET: what is named. COMMAND: the word behind the point */
    size_t words; /* COMMAND: where its words begin in the text; they end at END */
    term_t *term; /* VALUE, LET, SILENT (a message) */
    size_t end;   /* up to where the text is this line, what separates it from the next included */
} line_t;

/* Parses the first line of what begins at FROM in TEXT; the caller clears RET, also after a failure. Fails with
 * EXPRESSION, BYTES_UNSUPPORTED; the place is in F and, as an offset, in RET->end. */
CHECKED err_t line_parse(const char *text, size_t from, line_t *ret, fail_t *f);
void line_clear(line_t *self);

/* Did TEXT fail only because it ends too early: inside brackets, and not inside a string? */
bool line_is_open(const char *text);

/* Does a name that people make look like this? Not like a reference, a number or a literal's word. */
bool name_is_fit(const char *name, size_t len);
