/* What each error code means: the rows of wire/base/err.def and explain.def together. */
#pragma once
#include "cli/cli.h"

typedef enum { RETRY_NO, RETRY_LATER, RETRY_AFTER } retry_t;

/* Why ERR comes; NULL when explain.def has no row for it. */
const char *explain_why(err_t err);
/* Whether the same again may work. */
retry_t explain_retry(err_t err);
/* What a script may take from exit code CODE; NULL: vatctl never ends with it. */
const char *explain_exit(int code);

/* True: WORD looks like a code (E2104, 2104, E21) rather than like the name of something else. */
bool explain_is_code(const char *word);
/* One code, all that begin with a prefix of one, a name, or "exit"; NULL: the groups. USAGE when nothing
 * is called so. */
CHECKED err_t explain_show(cli_t *cli, const char *word);
