/* Runs lines of the shell: names, sends, awaits. The world is behind a port, so that all of it is tested
 * without a broker.
 *
 *   V1  a message leaves as soon as what it needs is sent: a promise is a target and an argument like an object;
 *   V2  who stops waiting stops waiting, not the message: its promise stays to be used and awaited;
 *   V3  a promise that no name stands for is let go: the broker shall not hold its value for nobody. */
#pragma once
#include "cli/shell_parse.h"

typedef enum { SETTLED_NOT, SETTLED_FULFILLED, SETTLED_REJECTED } settled_t;

typedef struct {
    void *context;
    /* The object that NAME, of a vat, stands for. Fails with VAT_UNKNOWN and others. */
    err_t (*find)(void *context, const char *name, kref_t *ret, fail_t *f);
    /* Sends; the promise of the answer to RET, none when NO_RESULT. */
    err_t (*send)(void *context, kref_t target, const capdata_t *methargs, bool no_result,
                  kref_t *ret, fail_t *f);
    /* Waits for PROMISE. SETTLED_NOT: the person stopped waiting. Its value to RET_VALUE, which is empty. */
    err_t (*await)(void *context, kref_t promise, settled_t *ret, value_t *ret_value, fail_t *f);
    /* Nobody will ask for what PROMISE is settled with. */
    void (*let_go)(void *context, kref_t promise);
} port_t;

/* What a name stands for: a value, or the reason of a rejection. */
typedef struct {
    char *name;
    value_t value;
    bool rejected;
} pet_t;

/* An object that was seen, for completion and to tell what it is. */
typedef struct {
    kref_t kref;
    char *iface; /* "Alleged: Mint"; NULL: never seen with one */
} seen_t;

enum { SEEN_MAX = 1000 };

typedef struct {
    port_t port;
    pet_t *pets;
    size_t pet_count;
    seen_t *seen;
    size_t seen_count;
    uint64_t results; /* $1 ... so far */
    /* of the line that runs: promises that only it names */
    kref_t *spare;
    size_t spare_count;
} shell_t;

shell_t shell_of(port_t port);
void shell_clear(shell_t *self);

/* What came of a line. */
typedef struct {
    settled_t settled; /* NOT: VALUE is the promise that was waited for */
    value_t value;     /* empty: there is none (SILENT, NOTHING) */
    kref_t promise;    /* of the last message; none: no answer was waited for */
    char name[32];     /* $1; empty: none, or what LET says */
} outcome_t;

/* Runs LINE (any but a COMMAND) of TEXT; the caller clears RET, also after a failure. Fails with VAT_UNKNOWN, BAD_VALUE,
 * REJECTED (a name stands for a rejection), or as the port does. */
CHECKED err_t shell_run(shell_t *self, const char *text, const line_t *line, outcome_t *ret,
                        fail_t *f);
void outcome_clear(outcome_t *self);

/* Waits for what TERM stands for, which must be a promise; what NAMEs stand for it stand for its value then. */
CHECKED err_t shell_await(shell_t *self, const char *text, const term_t *term, outcome_t *ret,
                          fail_t *f);

/* The value of TERM, which must not be a message; the caller clears RET. Fails as shell_run(). */
CHECKED err_t shell_value(shell_t *self, const char *text, const term_t *term, value_t *ret,
                          fail_t *f);
/* The reference that TERM is. Fails also with BAD_VALUE when it is none. */
CHECKED err_t shell_target(shell_t *self, const char *text, const term_t *term, kref_t *ret,
                           fail_t *f);

/* The broker says, unasked, that PROMISE is settled: names for it stand for its value from now on. The
 * name is returned; NULL: none stood for it. */
const char *shell_settled(shell_t *self, kref_t promise, bool rejected, const capdata_t *value);

/* The pet called NAME ("x", "$1"), NULL: there is none. */
pet_t *pet_find(const shell_t *self, const char *name);
/* NAME stands for VALUE, which is copied. */
void pet_set(shell_t *self, const char *name, const capdata_t *value, bool rejected);
bool pet_forget(shell_t *self, const char *name);

/* Remembers the objects that VALUE shows. */
void seen_add(shell_t *self, const capdata_t *value);
const seen_t *seen_find(const shell_t *self, kref_t kref);
