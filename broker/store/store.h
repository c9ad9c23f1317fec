/* kernel.db: the broker's rows, and the bundles of its vats. The only user of sqlite3 here.
 *
 *   T1  a record is one transaction: all of its rows are on disk or none, synchronous=FULL;
 *   T2  the tables are made from row.def; a database of an older schema is made into one of
 *       today's when it is opened (migrate.c), and kept as PATH.schema-N; any other is refused and left
 *       exactly as it is, never guessed;
 *   T3  a u64 is stored as the 64-bit integer with the same bits.
 *
 * Whoever opens a store holds the lock of its directory (broker/home.h). One thread. */
#pragma once
#include "broker/store/gate.h"
#include "wire/base/ref.h"

typedef struct store store_t;

typedef struct {
    const char *path;   /* of kernel.db; made when there is none, mode 0600 */
    uint32_t pages_max; /* pages of 4 KiB it may grow to: STORE_FULL above; 0: the disk decides */
    uint32_t log_pages; /* its write-ahead log is folded in at so many; 0: 4000 */
} store_options_t;

/* Opens or makes the database. Fails with STORE, STORE_FULL, STORE_LOCKED, STORE_VERSION or
 * STORE_DAMAGED; then *RET is a store that can only say store_why() and be destroyed. */
CHECKED err_t store_open(const store_options_t *options, store_t **ret);
void store_destroy(store_t **self_p);

/* Why the last failure of this store happened, in SQLite's words; "" when there was none. */
const char *store_why(const store_t *self);

/* Called with each row; what it borrows is valid during the call. An error ends the walk. */
typedef err_t store_visit_t(void *context, const row_t *row);

/* All rows in the order of row.def, of the log only those beyond their vat's `applied`. */
CHECKED err_t store_load(store_t *self, store_visit_t *visit, void *context);

/* Rows FIRST..LAST of VAT's log, in order, as far as they exist. */
CHECKED err_t store_log(store_t *self, vat_t vat, uint64_t first, uint64_t last,
                        store_visit_t *visit, void *context);

/* Reads every page of the database. Fails with STORE_DAMAGED when one is not what was written, also one that
 * no start reads. */
CHECKED err_t store_verify(store_t *self);

/* Highest delivery of VAT on disk; 0 when there is none. */
CHECKED err_t store_log_last(store_t *self, vat_t vat, uint64_t *ret);

/* The gate's back-end `local`. Lives as long as the store. */
gate_t store_gate(store_t *self);

/* How many bytes the disk of the database has left for us, and how many it has. Where that cannot be asked:
 * as if there were plenty. */
void store_room(const store_t *self, uint64_t *ret_free, uint64_t *ret_total);

/* ---- a copy ---- */

/* A copy of the whole database in a file of its own, made piece by piece while the store is in use. */
typedef struct store_copy store_copy_t;

/* PATH must not exist. After a failure *RET can only say store_copy_why() and be destroyed. */
CHECKED err_t store_copy_new(store_t *self, const char *path, store_copy_t **ret);

/* At most PAGES pages of 4 KiB more. RET_WHOLE: the copy is whole, on disk, and closed: it has everything that
 * the store had committed when this was called. */
CHECKED err_t store_copy_step(store_copy_t *self, int pages, bool *ret_whole);
const char *store_copy_why(const store_copy_t *self);
void store_copy_destroy(store_copy_t **self_p);

/* ---- bundles ---- */

/* Bytes of a bundle's name: "b1-" and 128 hex digits. */
enum { BUNDLE_NAME_BYTES = 131 };

/* Whether NAME has the form of a bundle's name. */
bool bundle_name_ok(text_t name);

/* Size of a stored bundle; 0 when there is none (no bundle is empty). */
CHECKED err_t store_bundle_size(store_t *self, text_t name, uint64_t *ret);

/* Reads bytes OFFSET.. of a stored bundle into BUF, at most ROOM; RET_LEN says how many, 0 behind
 * the end. Fails with BUNDLE_UNKNOWN. */
CHECKED err_t store_bundle_read(store_t *self, text_t name, uint64_t offset, uint8_t *buf,
                                size_t room, size_t *ret_len);

/* A bundle that arrives in pieces; in memory until it is whole. All zeros: none. */
typedef struct {
    char name[BUNDLE_NAME_BYTES + 1];
    uint8_t *at;
    size_t len, total;
} stage_t;

/* Adds the piece DATA at OFFSET, which must be what came before, or 0 to begin again. With the last
 * piece the bundle is checked against its name and stored durably. Fails with BAD_VALUE (name,
 * total or order), BUNDLE_BROKEN (not the bytes that NAME says); with STORE_FULL: nothing is kept,
 * it may be pushed again; any other error: the process must end. */
CHECKED err_t store_bundle_put(store_t *self, stage_t *stage, text_t name, uint64_t offset,
                               uint64_t total, bin_t data);
void stage_clear(stage_t *stage);
