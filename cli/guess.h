/* What somebody may have meant who wrote a word that is none of ours. */
#pragma once
#include "cli/command.h"
#include "wire/base/bytes.h"
#include "wire/base/limits.h"

/* The command, or first word of commands, whose name looks like WORD, or like WORD SECOND; of a command of two
 * words the second one is enough ("lanch" is "cluster launch"). NULL: none does. */
const char *command_like(const char *word, const char *second);
/* The one of the CHOICES ("a|b|c") that looks like WORD; it lives until the next call. */
const char *choice_like(const char *choices, const char *word);

/* Fills F with UNKNOWN_COMMAND, what may have been meant, and what there is of that first word. */
err_t command_unknown(const char *word, const char *second, fail_t *f);

/* Of names that are seen one after the other, the one that looks most like NAME. */
typedef struct {
    const char *name;
    char best[NAME_BYTES_MAX + 1];
} like_t;
void like_add(like_t *self, text_t name);
/* Fills F: `no WHAT "NAME"; did you mean "..."?` Returns ERR. */
err_t like_fail(const like_t *self, err_t err, const char *what, fail_t *f);
