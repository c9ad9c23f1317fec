/* One vat's own database: its key-value store, c-list and counters in one SQLite file, behind the
 * port vathost/supervisor/store.h. The only user of sqlite3 on this side.
 *
 *   D1  one write transaction is open from birth on, and a crank is a savepoint in it;
 *   D2  in this version the checkpoint of every vat is 0, so the file begins empty and nothing of it
 *       is read after its worker ended: it is neither synced nor committed;
 *   D3  keys are compared byte by byte. */
#pragma once
#include "vathost/supervisor/store.h"

/* Opens the database file PATH, empty: what was there is deleted. Fails with STORE or STORE_FULL.
 * The caller owns it; vatstore_destroy() ends it. */
CHECKED err_t vatdb_open(const char *path, vatstore_t **ret);

/* Deletes the file PATH and the ones SQLite keeps beside it. Missing ones are no failure. */
void vatdb_delete(const char *path);
