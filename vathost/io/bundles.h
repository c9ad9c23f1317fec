/* Bundles on this host's disk, each under its own hash. A file that is there is whole: it was
 * written under another name, checked against its hash, and renamed. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/bytes.h"
#include "wire/base/err.h"

typedef struct bundles bundles_t;

/* The cache in the folder DIR, which is made. Fails with STORE. The caller owns it. */
CHECKED err_t bundles_new(const char *dir, bundles_t **ret);
void bundles_destroy(bundles_t **self_p);

/* Whether TEXT is the name of a bundle: b1- and 128 hexadecimal digits. Nothing else is ever made
 * into a path. */
bool bundles_name(text_t text);

/* Writes the path of the file of bundle NAME. True: it is there and is what its name says. */
bool bundles_find(bundles_t *self, const char *name, char *ret_path, size_t room);

/* How many bytes of bundle NAME have come: where to ask for more. */
uint64_t bundles_offset(const bundles_t *self, const char *name);

typedef enum { BUNDLES_MORE, BUNDLES_DONE, BUNDLES_WRONG } bundles_state_t;

/* Takes a piece of NAME. DONE: the file is there. WRONG: the piece does not continue what came, or
 * the whole has another hash, or cannot be written; what came is forgotten. */
bundles_state_t bundles_add(bundles_t *self, const char *name, uint64_t offset, uint64_t total,
                            bin_t piece);
