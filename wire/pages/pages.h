/* SQLite's files as both databases keep them, kernel.db and each vat's: a SQLite VFS over the
 * system's own.
 *
 *   P1  every page of a database file carries a sum of itself and its number in its last 8 bytes. It
 *       is made when the page is written and compared when the page is read; in a write-ahead log
 *       SQLite's own sums are compared, at every read and not only in recovery. So a page that is not
 *       what was written is never taken for data: SQLITE_IOERR_DATA, ERR_STORE_DAMAGED;
 *   P2  a write-ahead log whose middle is damaged is told from one whose end was never synced: only
 *       the second is an honest end, and may be cut off;
 *   P3  a sync that fails ends the process at once, and is never tried again: the system may have
 *       dropped what it could not write, and a second sync would say that all is well;
 *   P4  one connection per file: exclusive lock, no shared memory, no memory map. SQLite up to 3.51.2
 *       can damage a file whose log two connections reset.
 *
 * Pages that SQLite has in its cache are not looked at again, and a file that lost its end while there is a
 * log is found only as SQLite finds it. The sums are ordinary reserved bytes:
 * any sqlite3 reads such a file, but what it writes there has no sums and is refused here. The
 * databases must be in WAL mode; rollback journals pass through. Processes with one thread. */
#pragma once
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "wire/base/err.h"

/* The name of the VFS. It is registered by the first pages_open(), over what is the default then. */
#define PAGES_VFS "vatyard"

/* Opens PATH as sqlite3_open_v2() with FLAGS does, and sets what is the same for all our databases;
 * nothing is written. The caller goes on with "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
 * and closes *RET with sqlite3_close(), after a failure too. Gives SQLite's result code. */
int pages_open(const char *path, int flags, sqlite3 **ret);

/* Makes PATH, which must not exist, a copy of DB as it is now committed: compact, with sums, on disk
 * when this returns, mode 0600. DB must have no open transaction; it reads all of DB and writes as much.
 * After a failure there is no file. Gives SQLite's result code. */
int pages_copy(sqlite3 *db, const char *path);

/* Whether the pages of this database carry sums; false for a file made without this VFS. To be asked
 * after something was read. */
bool pages_summed(sqlite3 *db);

/* What SQLite's result code RC, the last of DB, is to us: STORE_FULL, STORE_LOCKED, STORE_DAMAGED,
 * STORE_VERSION (no database at all), NO_MEMORY, STORE; OK for SQLITE_OK, SQLITE_ROW and
 * SQLITE_DONE. */
err_t pages_err(sqlite3 *db, int rc);

/* Why, for people: SQLite's words, the system's, and the file when that is what is wrong. */
void pages_why(sqlite3 *db, int rc, char *out, size_t room);
