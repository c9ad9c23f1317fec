/* Operating errors: things that go wrong in a correct program. 0 is success, all others are the
 * numbers of err.def, which is the only list; names, texts, `try` lines, exit codes and the table
 * in wire/README.md are made from it.
 *
 * WHO must act decides what the top of the call chain does: PEER -> refuse the frame; VAT -> the
 * crank is discarded and the vat terminated; USER -> say it and exit; OPERATOR -> stop the process;
 * US -> a defect of ours, please report. Nobody in between logs, retries or changes an error. */
#pragma once
#include <stdint.h>

typedef enum { WHO_NOBODY, WHO_USER, WHO_VAT, WHO_PEER, WHO_OPERATOR, WHO_US } err_who_t;

typedef enum {
#define ERR(name, code, who, exit, text, try) ERR_##name = (code),
#include "wire/base/err.def"
#undef ERR
} err_t;

#define CHECKED        __attribute__((warn_unused_result))
#define LIKE_PRINTF(n) __attribute__((format(printf, n, n + 1)))

typedef struct {
    const char *name; /* "NOT_HELD" */
    err_t err;
    err_who_t who;
    int exit;         /* what vatctl exits with */
    const char *text; /* what went wrong, without names */
    const char *hint; /* what to try next; never empty except for OK */
} err_row_t;

/* The row of ERR; for a number that no row has, the row of INTERNAL. Static storage, never NULL. */
const err_row_t *err_row(err_t err);
const char *err_name(err_t err);
const char *err_text(err_t err);

/* The row at position I in the order of err.def; NULL behind the last one. */
const err_row_t *err_at(unsigned i);
