/* What could stand next on a command line, from the rows of commands.def. The shells' scripts ask
 * `vatctl __complete WORD...` and know nothing themselves, so they fit every version of vatctl. */
#pragma once
#include <stdbool.h>

#include "cli/command.h"

typedef struct completion completion_t;

/* What only the world knows. */
typedef enum {
    OFFER_VATS,  /* alice, or shop/alice when there are several */
    OFFER_ROOTS, /* the same as `call` takes them: @alice */
    OFFER_CLUSTERS,
    OFFER_HOSTS,
    OFFER_DEMOS
} offer_t;

/* What a shell adds by itself. */
typedef enum { COMPLETE_WORDS, COMPLETE_FILES, COMPLETE_FOLDERS } complete_t;

typedef struct {
    void *context;
    /* Takes one proposal, and what it means. */
    void (*propose)(void *context, const char *word, const char *what);
    /* Calls complete_name() with COMPLETION for every name of that kind. */
    void (*names)(void *context, offer_t kind, completion_t *completion);
} complete_port_t;

void complete_name(completion_t *completion, const char *name, const char *what);
/* Something of the word stands there already. */
bool complete_begun(const completion_t *completion);

/* WORDS are those behind "vatctl" up to the cursor, the last one being written; it may be empty. */
complete_t complete(char *const *words, int count, const complete_port_t *port);

/* `vatctl __complete WORD...`: a line for each proposal, word and meaning with a tab between, and
 * ":files" or ":folders" when such may stand there. Never fails, and takes a second at most. */
int complete_main(int argc, char **argv);
