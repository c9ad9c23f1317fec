/* Which hosts may connect: the file hosts.allow, one line per host, `<Z85 public key> <name>`;
 * empty lines and lines that begin with "# " are comments.
 *
 * It is looked at before every answer, so a line that is removed counts from the next message on.
 * What cannot be read lets nobody in: no file, no hosts. Thread-safe: the ZAP handler asks too. */
#pragma once
#include "wire/base/bytes.h"
#include "wire/base/err.h"
#include "wire/base/limits.h"

typedef struct allow allow_t;

allow_t *allow_new(const char *path);
void allow_destroy(allow_t **self_p);

/* Reads the file again if it changed. Cheap when it did not (one stat). */
void allow_refresh(allow_t *self);

/* Whether KEY is on the list, as last read. NAME, unless NULL, gets the name that stands behind it,
 * "" when there is none or it is no text of at most NAME_BYTES_MAX. */
bool allow_has(allow_t *self, hash_t key, char name[NAME_BYTES_MAX + 1]);

/* Adds a line for KEY, with a comment that says when and as what NAME it came, unless KEY is there;
 * it is on the disk on return. Fails with STORE_FULL, STORE (ALLOW_HOSTS_MAX lines are all there may be
 * of those that come by themselves). */
CHECKED err_t allow_add(allow_t *self, hash_t key, text_t name);

/* Lines, as last read, that are no comment and hold no key. */
size_t allow_bad_lines(allow_t *self);
