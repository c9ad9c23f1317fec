/* Databases of vats on this host's disk, each under the number of its vat and of its placement:
 * vat-<vat>.<pgen>.db, and what SQLite keeps beside it.
 *
 *   V1  a database belongs to one placement: one that the vat left is never taken for the present one;
 *   V2  databases outlive the process, everything else that is named vat-* does not;
 *   V3  a database that could not be read was put aside by a worker as damaged-vat-<vat>.<pgen>.db: for
 *       people, for as long as its placement lasts. */
#pragma once
#include "wire/base/bytes.h"
#include "wire/base/err.h"
#include "wire/base/limits.h"
#include "wire/base/ref.h"

typedef struct vault vault_t;

/* The databases in the folder DIR, which exists; deletes what is named vat-* there and is none. Fails
 * with STORE. The caller owns it. */
CHECKED err_t vault_new(const char *dir, vault_t **ret);
void vault_destroy(vault_t **self_p);

/* Writes the path of the database of VAT in placement PGEN, which from here on is known. */
void vault_path(vault_t *self, vat_t vat, uint64_t pgen, char ret[PATH_BYTES_MAX]);

/* Writes the path of the file in which a worker makes a copy of it, to be shipped; and of the one in
 * which it grows when it comes from elsewhere. */
void vault_ship_path(const vault_t *self, vat_t vat, uint64_t pgen, char ret[PATH_BYTES_MAX]);
void vault_pull_path(const vault_t *self, vat_t vat, uint64_t pgen, char ret[PATH_BYTES_MAX]);

/* Whether there is one. */
bool vault_has(const vault_t *self, vat_t vat, uint64_t pgen);

/* Visits every placement whose database is here, or may be. */
typedef void vault_visit_t(void *context, vat_t vat, uint64_t pgen);
void vault_each(const vault_t *self, vault_visit_t *visit, void *context);

/* Deletes the databases of VAT up to placement PGEN, damaged ones too. No process may have one open that is wanted. */
void vault_delete(vault_t *self, vat_t vat, uint64_t pgen);

/* Whether there is room on the disk for a vat to go on. */
bool vault_has_room(const vault_t *self);

/* Deletes all of them. */
void vault_delete_all(vault_t *self);

/* A copy of a database as of delivery D, for others to fetch. */
typedef struct {
    vat_t vat;
    uint64_t pgen, d;
} copy_t;

/* Takes over what a worker made at vault_ship_path() as COPY. RET_BYTES is its size. False: there is
 * nothing. */
bool vault_copy_take(vault_t *self, copy_t copy, uint64_t *ret_bytes);

/* The piece of COPY from OFFSET on, BUNDLE_PART_BYTES_MAX at most, borrowed until the next call; empty
 * behind its end, and when it cannot be read. */
bin_t vault_copy_read(vault_t *self, copy_t copy, uint64_t offset);

void vault_copy_delete(const vault_t *self, copy_t copy);
