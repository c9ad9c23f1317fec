/* What stands before the cursor in a line of the shell, so that something can be offered for it. Pure. */
#pragma once
#include <stddef.h>

typedef enum {
    PLACE_NOTHING, /* in a string, a comment, behind a ) */
    PLACE_COMMAND, /* .p */
    PLACE_WORD,    /* a name, or a word of a literal */
    PLACE_METHOD,  /* alice.gr; of TARGET */
    PLACE_REF      /* ko3. */
} place_kind_t;

typedef struct {
    place_kind_t kind;
    size_t from;                    /* the word begins there */
    size_t target_from, target_end; /* METHOD */
} place_t;

place_t place_find(const char *line, size_t cursor);

/* How many bytes all of WORDS (COUNT of them, at least one) begin with, ending at a character's end. */
size_t common_len(char *const *words, size_t count);
