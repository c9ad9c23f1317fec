/* Which hosts may connect: the file hosts.allow, one line per host, `<Z85 public key> <name>`;
 * empty lines and lines that begin with "# " are comments.
 *
 * It is looked at before every answer, so a line that is removed counts from the next message on.
 * What cannot be read lets nobody in: no file, no hosts. Thread-safe: the ZAP handler asks too. */
#pragma once
#include "broker/io/port.h"

typedef struct allow allow_t;

enum { ALLOW_AGAIN_MS = 100 };

allow_t *allow_new(const char *path);
void allow_destroy(allow_t **self_p);

/* The order of keys, for qsort() and bsearch(). */
int allow_order(const void *a, const void *b);

/* Reads the file again if it changed. Cheap when it did not (one stat). A change that shows in neither the file's size nor its
 * times, being of the same tick of the clock as the one before, counts within ALLOW_AGAIN_MS. */
void allow_refresh(allow_t *self);

/* Whether KEY is on the list, as last read. NAME, unless NULL, gets the name that stands behind it,
 * "" when there is none or it is no text of at most NAME_BYTES_MAX. */
bool allow_has(allow_t *self, hash_t key, char name[NAME_BYTES_MAX + 1]);

/* Adds a line for each of ALL whose `err` is OK and whose key is not there, with a comment that says when and as what it
 * came: one write, one sync. They are on the disk on return, or `err` says why not: STORE_FULL, STORE, HOSTS_FULL
 * (ALLOW_HOSTS_MAX hosts are all there may be with those that come by themselves). */
void allow_add(allow_t *self, newcomer_t *all, size_t count);

/* Takes out each line that allow_add() wrote for one of KEYS, which stand in order; the others stay as they are. A new file takes the
 * place of the old one (where a link points, when it is one): what somebody else writes at that moment may be lost. A list that cannot be
 * read to its end stays as it is. No list is one without lines. Fails with STORE, STORE_FULL. */
CHECKED err_t allow_expel(allow_t *self, const hash_t *keys, size_t count);

/* Lines, as last read, that are no comment and hold no key. */
size_t allow_bad_lines(allow_t *self);
