/* Checkpoints of a vat's database: two rows at most, and the undo rows between them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vathost/store/vatdb_own.h"
#include "wire/base/durable.h"
#include "wire/base/failpoint.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

static text_t as_text(bin_t bin) { return (text_t){(const char *)bin.at, bin.len}; }

err_t vatdb_look(vatdb_t *self)
{
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_CHECKPOINTS);
    self->newest = self->older = self->oldest = 0;

    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) {
        self->newest = (uint64_t)sqlite3_column_int64(stmt, 0);
        self->oldest = (uint64_t)sqlite3_column_int64(stmt, 1);
        code = sqlite3_step(stmt);
    }
    if (code == SQLITE_ROW) self->older = (uint64_t)sqlite3_column_int64(stmt, 0);
    err_t err = vatdb_err(self, code);
    sqlite3_reset(stmt);
    if (self->adopted) { /* D4 */
        self->older = 0;
        self->oldest = self->newest;
    }
    return err;
}

static err_t drop_all_but(vatdb_t *self, uint64_t d)
{
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_CHECKPOINT_DROP);
    return vatdb_finish(self, stmt, sqlite3_bind_int64(stmt, 1, (sqlite3_int64)d));
}

static err_t write_row(vatdb_t *self, const checkpoint_t *made, uint64_t oldest)
{
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_CHECKPOINT);
    text_t chain = {(const char *)made->chain.b, sizeof made->chain.b};

    int code = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)made->d);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(stmt, 2, (sqlite3_int64)made->acked);
    if (code == SQLITE_OK) code = vatdb_bind(stmt, 3, chain);
    if (code == SQLITE_OK) code = sqlite3_bind_int64(stmt, 4, (sqlite3_int64)oldest);
    if (code == SQLITE_OK) code = vatdb_bind(stmt, 5, as_text(made->results));
    if (code == SQLITE_OK) code = vatdb_bind(stmt, 6, as_text(made->heap));
    return vatdb_finish(self, stmt, code);
}

static err_t place_here(vatdb_t *self)
{
    sqlite3_stmt *stmt = vatdb_statement(self, SQL_META_PUT);
    text_t pgen = {(const char *)&self->options.pgen, sizeof self->options.pgen};
    int code = vatdb_bind(stmt, 1, text_of("pgen"));
    if (code == SQLITE_OK) code = vatdb_bind(stmt, 2, pgen);
    return vatdb_finish(self, stmt, code);
}

err_t vatdb_checkpoint(vatstore_t *port, const checkpoint_t *made, bool alone)
{
    vatdb_t *self = (vatdb_t *)port;
    must(made->d > 0);
    alone = alone || made->d == self->newest;
    uint64_t oldest = alone ? made->d : self->newest;

    err_t err = vatdb_transaction(self);
    if (!err) err = drop_all_but(self, alone ? 0 : self->newest);
    if (!err) err = write_row(self, made, oldest);
    if (!err && self->adopted) err = place_here(self);
    if (err) return err;
    FAILPOINT(worker_checkpoint_written);
    err = vatdb_exec(self, "COMMIT");
    FAILPOINT(worker_checkpoint_committed);
    if (err) return err;
    self->open = self->adopted = false;
    self->older = alone ? 0 : self->newest;
    self->newest = made->d;
    self->oldest = oldest;
    return ERR_OK;
}

static bin_t column(sqlite3_stmt *stmt, int at)
{
    const void *bytes = sqlite3_column_blob(stmt, at);
    return (bin_t){bytes, (size_t)sqlite3_column_bytes(stmt, at)};
}

err_t vatdb_read(vatstore_t *port, generation_t which, checkpoint_t *ret)
{
    vatdb_t *self = (vatdb_t *)port;
    uint64_t d = which == CHECKPOINT_NEWEST ? self->newest : self->older;
    *ret = (checkpoint_t){0};
    if (!d) return ERR_OK;

    sqlite3_stmt *stmt = vatdb_statement(self, SQL_CHECKPOINT_READ);
    int code = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)d);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);
    if (code != SQLITE_ROW) {
        err_t err = vatdb_err(self, code);
        sqlite3_reset(stmt);
        return err;
    }
    bin_t chain = column(stmt, 2);
    *ret = (checkpoint_t){.d = d,
                          .acked = (uint64_t)sqlite3_column_int64(stmt, 1),
                          .results = column(stmt, 3),
                          .heap = column(stmt, 4)};
    self->lent = stmt;
    if (chain.len != sizeof ret->chain.b) {
        snprintf(self->why, sizeof self->why, "the chain of a checkpoint has another length");
        return ERR_STORE_DAMAGED;
    }
    memcpy(ret->chain.b, chain.at, chain.len);
    return ERR_OK;
}

bool vatdb_readable(vatdb_t *self)
{
    sqlite3_stmt *stmt = NULL;
    int code =
        sqlite3_prepare_v2(self->db, "SELECT results, heap FROM checkpoint", -1, &stmt, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) code = sqlite3_step(stmt);
    bool damaged = vatdb_err(self, code) == ERR_STORE_DAMAGED;
    sqlite3_finalize(stmt);
    return !damaged;
}

/* Everything that the undo rows know is taken away, and what was there put back. */
static const char go_back[] =
    "BEGIN IMMEDIATE;"
    "DELETE FROM vatstore WHERE k IN (SELECT k FROM vatstore_was);"
    "INSERT INTO vatstore SELECT k, v FROM vatstore_was WHERE v IS NOT NULL;"
    "DELETE FROM vatstore_was;"
    "DELETE FROM clist WHERE kref IN (SELECT kref FROM clist_was);"
    "INSERT INTO clist SELECT kref, vref, flags FROM clist_was WHERE vref IS NOT NULL;"
    "DELETE FROM clist_was;"
    "DELETE FROM counter WHERE name IN (SELECT name FROM counter_was);"
    "INSERT INTO counter SELECT name, value FROM counter_was WHERE value IS NOT NULL;"
    "DELETE FROM counter_was;";

/* Not committed: that is the next checkpoint's, and until then the newest one is still in the file. */
err_t vatdb_back(vatstore_t *port)
{
    vatdb_t *self = (vatdb_t *)port;
    must(self->older && !self->open);

    err_t err = vatdb_exec(self, go_back);
    if (!err) err = drop_all_but(self, self->older);
    if (err) return err;
    self->open = true;
    self->newest = self->oldest = self->older;
    self->older = 0;
    return ERR_OK;
}

err_t vatdb_empty(vatstore_t *port)
{
    vatdb_t *self = (vatdb_t *)port;
    err_t err = vatdb_transaction(self);
    if (!err)
        err = vatdb_exec(self, "DELETE FROM vatstore; DELETE FROM clist; DELETE FROM counter;"
                               "DELETE FROM vatstore_was; DELETE FROM clist_was;"
                               "DELETE FROM counter_was; DELETE FROM checkpoint");
    self->newest = self->older = self->oldest = 0;
    return err;
}

/* ---- copies ---- */

err_t vatdb_copy(vatstore_t *port, const char *path)
{
    vatdb_t *self = (vatdb_t *)port;
    must(self->newest && !self->open);
    char made[PATH_BYTES_MAX + 8];

    snprintf(made, sizeof made, "%s.new", path);
    unlink(made);
    (void)vatdb_statement(self, SQL_GET);
    err_t err = vatdb_err(self, pages_copy(self->db, made));
    if (err) return err;
    FAILPOINT(worker_copy_written);
    if (!durable_rename(made, path)) {
        snprintf(self->why, sizeof self->why, "%s: %s", path, strerror(errno));
        return ERR_STORE;
    }
    FAILPOINT(worker_copy_named);
    return ERR_OK;
}
