/* A copy of the database while it is in use: SQLite's backup, through our own connection, so that what is
 * written meanwhile reaches the copy too. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store/store_own.h"
#include "wire/base/must.h"

struct store_copy {
    sqlite3 *db, *source;
    sqlite3_backup *backup;
    char why[256], path[PATH_BYTES_MAX + 16];
};

static err_t failed(store_copy_t *self, int rc)
{
    err_t err = pages_err(self->db, rc);
    pages_why(err == ERR_STORE_DAMAGED ? self->source : self->db, rc, self->why, sizeof self->why);
    return err;
}

err_t store_copy_new(store_t *store, const char *path, store_copy_t **ret)
{
    store_copy_t *self = calloc(1, sizeof *self);
    must(self);
    *ret = self;
    self->source = store->db;
    snprintf(self->path, sizeof self->path, "%s", path);
    int rc = pages_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &self->db);
    if (rc != SQLITE_OK) return failed(self, rc);
    chmod(path, 0600);
    self->backup = sqlite3_backup_init(self->db, "main", store->db, "main");
    return self->backup ? ERR_OK : failed(self, sqlite3_errcode(self->db));
}

err_t store_copy_step(store_copy_t *self, int pages, bool *ret_whole)
{
    *ret_whole = false;
    int rc = sqlite3_backup_step(self->backup, pages);
    if (rc == SQLITE_OK) return ERR_OK;
    if (rc != SQLITE_DONE) return failed(self, rc);
    rc = sqlite3_backup_finish(self->backup);
    self->backup = NULL;
    if (rc != SQLITE_OK) return failed(self, rc);

    /* What it says about its journal came with its first page: no other file is to lie beside it. */
    rc = sqlite3_exec(self->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_close(self->db);
    if (rc != SQLITE_OK) return failed(self, rc);
    self->db = NULL;
    int fd = open(self->path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    *ret_whole = ok;
    return ok ? ERR_OK : ERR_STORE;
}

const char *store_copy_why(const store_copy_t *self) { return self->why; }

void store_copy_destroy(store_copy_t **self_p)
{
    store_copy_t *self = *self_p;
    if (!self) return;
    if (self->backup) sqlite3_backup_finish(self->backup);
    sqlite3_close(self->db);
    free(self);
    *self_p = NULL;
}
