/* Editing a line at a terminal: history, completion, Ctrl-C. The only user of libedit. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "wire/base/own.h"

typedef struct edit edit_t;

/* As session_complete(). */
typedef char **edit_complete_t(void *context, const char *line, size_t cursor, size_t *ret_from);

/* Asked every NEWS_MS while the line is empty; what it writes begins where the prompt stands. False: nothing. */
typedef bool edit_news_t(void *context);
enum { NEWS_MS = 250 };

/* For the terminal of stdin and stdout. HISTORY is the file of earlier lines, made with mode 0600; NULL: none.
 * The caller owns it. NULL when the terminal cannot be used. */
edit_t *edit_new(const char *history, edit_complete_t *complete, edit_news_t *news, void *context);
/* The terminal is as it was before. */
void edit_destroy(edit_t **self_p);

typedef enum { EDIT_LINE, EDIT_STOPPED, EDIT_END } edit_event_t;

/* Reads a line behind PROMPT; RET, without its end, lives until the next call. STOPPED: Ctrl-C;
 * END: Ctrl-D, or a signal was caught. */
edit_event_t edit_line(edit_t *self, const char *prompt, const char **ret);

/* TEXT can be called back from now on, and in later sessions; one that begins with a blank cannot. */
void edit_remember(edit_t *self, const char *text);
