/* A session of `vatctl shell`: takes lines, runs them against a broker, says what came of them. */
#pragma once
#include "cli/client.h"
#include "cli/shell_eval.h"

/* Methods of an object, as it said itself. */
typedef struct {
    kref_t kref;
    char **names; /* in order; NULL behind the last */
} methods_t;

typedef struct {
    cli_t *cli;
    link_t *link;
    shell_t shell;
    bool people;      /* someone sits there: errors do not end it, results have names and times */
    bool timed;       /* .time */
    bool ended;       /* .exit, or a script's first failure */
    unsigned loading; /* files inside each other */
    const char *from; /* what the lines come from, for errors; NULL: from a person */
    unsigned line;    /* of PENDING's first one, from 1 */
    buf_t pending;    /* lines that are not complete yet */
    methods_t *methods;
    size_t method_count;
    size_t news; /* told so far by session_news() */
} session_t;

void session_init(session_t *self, cli_t *cli, link_t *link);
void session_clear(session_t *self);

/* Takes one line, without its end, and runs what is complete. RET_OPEN: it goes on in the next one. A
 * failure is in CLI->f; a rejection is none, it is in CLI->exit of a session without people. */
CHECKED err_t session_line(session_t *self, const char *line, bool *ret_open);
/* There are no more lines: what is not complete now is wrong. */
CHECKED err_t session_end(session_t *self);
/* What is not complete is forgotten. */
void session_drop(session_t *self);

/* All the lines of FILE, which is called NAME. */
CHECKED err_t session_file(session_t *self, FILE *file, const char *name);

/* Says what became of promises while nobody waited for them. False: nothing new. */
bool session_news(session_t *self);

/* The methods of KREF: known, or asked for now, for at most MS. NULL when it does not say; F tells why. They
 * live until the next call. */
char *const *session_methods(session_t *self, kref_t kref, bool again, unsigned ms, fail_t *f);

/* What fits behind LINE's first CURSOR bytes: names, commands, methods. From the byte *RET_FROM on they
 * replace what stands there. The caller frees the texts and the row, which ends with NULL. */
char **session_complete(session_t *self, const char *line, size_t cursor, size_t *ret_from);

/* Runs the dot command LINE of TEXT. */
CHECKED err_t dot_run(session_t *self, const char *text, const line_t *line);
/* The dot commands, then those of vatctl that may stand behind a point; NULL behind the last. */
const char *dot_name(size_t i);

/* Says what came of a line or of a wait; NAME may be NULL. */
CHECKED err_t session_show(session_t *self, const char *name, const outcome_t *outcome,
                           uint64_t us);
