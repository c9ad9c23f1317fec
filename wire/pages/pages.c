#include "wire/pages/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/must.h"
#include "wire/pages/pages_own.h"

enum {
    /* Of a database's first page. */
    HEADER_BYTES = 100,
    PAGE_SIZE_AT = 16,
    VERSION_AT = 18,
    WITHOUT_LOG = 1, /* of a copy that was not written since */
    WITH_LOG = 2,
    RESERVED_AT = 20,

    BUSY_MS = 5000, /* a broker that is just ending holds its lock for so long */
};

static const char magic[16] = "SQLite format 3";

/* ---- what all files have ---- */

static sqlite3_file *below(sqlite3_file *file) { return ((file_t *)file)->below; }

int below_read(file_t *self, void *at, int len, int64_t offset)
{
    return self->below->pMethods->xRead(self->below, at, len, offset);
}

int file_damaged(file_t *database, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *why = sqlite3_vmprintf(format, args);
    va_end(args);
    sqlite3_free(database->why);
    database->why = sqlite3_mprintf("%z is not what was written", why);
    return SQLITE_IOERR_DATA;
}

/* After a sync that failed nobody knows what is on disk, and no later sync will say. */
_Noreturn static void sync_failed(const char *name)
{
    fprintf(stderr, "sync of %s failed: %s; what is on disk is not known, the process ends\n", name,
            strerror(errno));
    abort();
}

static int file_sync(sqlite3_file *file, int flags)
{
    int rc = below(file)->pMethods->xSync(below(file), flags);
    if (rc != SQLITE_OK) sync_failed(((file_t *)file)->name);
    return SQLITE_OK;
}

static int file_close(sqlite3_file *file)
{
    file_t *self = (file_t *)file;
    int rc = self->below->pMethods->xClose(self->below);
    sqlite3_free(self->why);
    *self = (file_t){.below = NULL};
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return below(file)->pMethods->xFileSize(below(file), ret);
}

static int file_lock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xLock(below(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xUnlock(below(file), level);
}

static int file_check_lock(sqlite3_file *file, int *ret)
{
    return below(file)->pMethods->xCheckReservedLock(below(file), ret);
}

/* A file does not grow ahead of its pages, and is not mapped. */
static int file_control(sqlite3_file *file, int what, void *argument)
{
    if (what == SQLITE_FCNTL_CHUNK_SIZE || what == SQLITE_FCNTL_SIZE_HINT) return SQLITE_OK;
    if (what == SQLITE_FCNTL_MMAP_SIZE) return SQLITE_NOTFOUND;
    return below(file)->pMethods->xFileControl(below(file), what, argument);
}

static int file_sector(sqlite3_file *file)
{
    return below(file)->pMethods->xSectorSize(below(file));
}

static int file_device(sqlite3_file *file)
{
    return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

static int plain_read(sqlite3_file *file, void *at, int len, sqlite3_int64 offset)
{
    return below(file)->pMethods->xRead(below(file), at, len, offset);
}

static int plain_write(sqlite3_file *file, const void *at, int len, sqlite3_int64 offset)
{
    return below(file)->pMethods->xWrite(below(file), at, len, offset);
}

static int plain_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return below(file)->pMethods->xTruncate(below(file), size);
}

/* ---- a database ---- */

static bool is_page(int len, int64_t offset) { return len == PAGE_BYTES && offset % len == 0; }

static uint32_t page_number(int len, int64_t offset) { return (uint32_t)(offset / len) + 1; }

static bool has_sums(const uint8_t *header)
{
    return header[PAGE_SIZE_AT] == PAGE_BYTES >> 8 && header[PAGE_SIZE_AT + 1] == 0 &&
           header[RESERVED_AT] == SUM_BYTES;
}

static bool is_header(const void *at, int len, int64_t offset)
{
    return offset == 0 && len >= HEADER_BYTES && memcmp(at, magic, sizeof magic) == 0;
}

/* What follows the magic in the first page of all our databases: page size, two versions, reserved
 * bytes, three numbers that are always these. */
#define HEAD_OF_OURS "\x10\x00\x02\x02\x08\x40\x20\x20"
_Static_assert(PAGE_BYTES == 0x1000 && SUM_BYTES == 8, "as it says there");

/* A first page with a sum that is right but for a byte of its head: SQLite would say that it is no
 * database, or read it as one without sums. */
static bool denies_sum(file_t *self)
{
    uint8_t *page = malloc(PAGE_BYTES);
    must(page);
    bool denies = false;
    if (below_read(self, page, PAGE_BYTES, 0) == SQLITE_OK) {
        memcpy(page, magic, sizeof magic);
        memcpy(page + PAGE_SIZE_AT, HEAD_OF_OURS, 8);
        denies = page_whole(page, PAGE_BYTES, 1);
        page[VERSION_AT] = page[VERSION_AT + 1] = WITHOUT_LOG;
        denies = denies || page_whole(page, PAGE_BYTES, 1);
    }
    free(page);
    return denies;
}

static bool all_zero(const uint8_t *at, size_t len)
{
    return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

/* Pages that fill_gap() made may be lost with the power, all or some of them: then the file is longer
 * than what is in it. All that was written in it ends before its last such pages. */
static int64_t written_size(file_t *self, int64_t size)
{
    uint8_t *page = malloc(PAGE_BYTES);
    must(page);
    size -= size % PAGE_BYTES;
    while (size > PAGE_BYTES &&
           below_read(self, page, PAGE_BYTES, size - PAGE_BYTES) == SQLITE_OK &&
           all_zero(page, PAGE_BYTES - SUM_BYTES)) {
        size -= PAGE_BYTES;
    }
    free(page);
    return size;
}

static int database_read(sqlite3_file *file, void *at, int len, sqlite3_int64 offset)
{
    file_t *self = (file_t *)file;
    int rc = below_read(self, at, len, offset);
    if (rc != SQLITE_OK) return rc;
    if (offset == 0 && len >= HEADER_BYTES) {
        self->summed = is_header(at, len, offset) && has_sums(at);
        /* The header alone is read when the file is opened, where nobody would be told why not. */
        if (!self->summed && len > HEADER_BYTES && denies_sum(self))
            return file_damaged(self, "page 1 of %s", self->name);
    }
    if (!self->summed || !is_page(len, offset)) return SQLITE_OK;
    uint32_t number = page_number(len, offset);
    if (page_whole(at, (size_t)len, number)) return SQLITE_OK;
    if (self->logged && offset >= self->size && all_zero(at, (size_t)len))
        return SQLITE_IOERR_SHORT_READ; /* as if the file ended there; the log has what is to come */
    return file_damaged(self, "page %u of %s", (unsigned)number, self->name);
}

static int write_page(file_t *self, const void *at, int64_t offset)
{
    uint8_t page[PAGE_BYTES];
    if (at)
        memcpy(page, at, PAGE_BYTES);
    else
        memset(page, 0, PAGE_BYTES);
    page_seal(page, PAGE_BYTES, page_number(PAGE_BYTES, offset));
    return plain_write(&self->base, page, PAGE_BYTES, offset);
}

/* SQLite leaves out the page that its locks are on, at 1 GiB, and may leave out pages that are free when
 * they would be written first; a later one makes the file longer. What would be a hole gets sums. Synced, so
 * that it stays so whatever else is lost. */
static int fill_gap(file_t *self, int64_t offset)
{
    if (self->size >= offset) return SQLITE_OK;
    int rc = SQLITE_OK;
    for (int64_t at = self->size; at < offset && rc == SQLITE_OK; at += PAGE_BYTES)
        rc = write_page(self, NULL, at);
    return rc == SQLITE_OK ? file_sync(&self->base, SQLITE_SYNC_NORMAL) : rc;
}

static int database_write(sqlite3_file *file, const void *at, int len, sqlite3_int64 offset)
{
    file_t *self = (file_t *)file;
    if (is_header(at, len, offset)) {
        bool summed = has_sums(at);
        /* Pages that were written before this one have sums. */
        if (self->fresh && !summed) return SQLITE_IOERR_WRITE;
        self->summed = summed;
    }
    int rc;
    if (self->summed && is_page(len, offset)) {
        rc = fill_gap(self, offset);
        if (rc == SQLITE_OK) rc = write_page(self, at, offset);
    } else {
        rc = plain_write(file, at, len, offset);
    }
    if (rc == SQLITE_OK && offset + len > self->size) self->size = offset + len;
    return rc;
}

static int database_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    file_t *self = (file_t *)file;
    int rc = self->summed ? fill_gap(self, size) : SQLITE_OK;
    if (rc == SQLITE_OK) rc = plain_truncate(file, size);
    if (rc == SQLITE_OK) self->size = size;
    return rc;
}

/* ---- its log ---- */

static int wal_read(sqlite3_file *file, void *at, int len, sqlite3_int64 offset)
{
    file_t *self = (file_t *)file;
    int rc = self->looked ? SQLITE_OK : log_look(self);
    if (rc == SQLITE_OK) rc = below_read(self, at, len, offset);
    return rc == SQLITE_OK ? log_read(self, at, len, offset) : rc;
}

static int wal_write(sqlite3_file *file, const void *at, int len, sqlite3_int64 offset)
{
    int rc = plain_write(file, at, len, offset);
    if (rc == SQLITE_OK) log_write((file_t *)file, at, len, offset);
    return rc;
}

/* ---- the VFS ---- */

/* Version 1: without shared memory and without maps. SQLite then has a log only in exclusive mode. */
#define METHODS(read, write, truncate)                                                             \
    {                                                                                              \
        1, file_close, read, write, truncate, file_sync, file_size, file_lock, file_unlock,        \
            file_check_lock, file_control, file_sector, file_device, NULL, NULL, NULL, NULL, NULL, \
            NULL                                                                                   \
    }

static const sqlite3_io_methods database_methods =
    METHODS(database_read, database_write, database_truncate);
static const sqlite3_io_methods wal_methods = METHODS(wal_read, wal_write, plain_truncate);
static const sqlite3_io_methods journal_methods = METHODS(plain_read, plain_write, plain_truncate);

static sqlite3_vfs *vfs_below(sqlite3_vfs *vfs) { return vfs->pAppData; }

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret)
{
    enum { JOURNALS = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL };
    const int ours = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | JOURNALS;
    if (!(flags & ours)) return vfs_below(vfs)->xOpen(vfs_below(vfs), name, file, flags, ret);

    file_t *self = (file_t *)file;
    *self = (file_t){.name = name, .below = (sqlite3_file *)(self + 1), .unsure = -1, .head = -1};
    int rc = vfs_below(vfs)->xOpen(vfs_below(vfs), name, self->below, flags, ret);
    if (rc != SQLITE_OK) return rc;
    if (flags & SQLITE_OPEN_MAIN_DB) {
        sqlite3_int64 size = 0;
        rc = self->below->pMethods->xFileSize(self->below, &size);
        self->size = written_size(self, size);
        self->fresh = self->summed = size == 0;
        self->base.pMethods = &database_methods;
    } else if (flags & SQLITE_OPEN_WAL) {
        self->database = (file_t *)sqlite3_database_file_object(name);
        self->base.pMethods = &wal_methods;
    } else {
        self->base.pMethods = &journal_methods;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    int rc = vfs_below(vfs)->xDelete(vfs_below(vfs), name, sync);
    if (rc == SQLITE_IOERR_DIR_FSYNC) sync_failed(name);
    return rc;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    return vfs_below(vfs)->xAccess(vfs_below(vfs), name, flags, ret);
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
    return vfs_below(vfs)->xFullPathname(vfs_below(vfs), name, room, out);
}

static int vfs_random(sqlite3_vfs *vfs, int len, char *out)
{
    return vfs_below(vfs)->xRandomness(vfs_below(vfs), len, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    return vfs_below(vfs)->xSleep(vfs_below(vfs), us);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    return vfs_below(vfs)->xCurrentTime(vfs_below(vfs), ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    return vfs_below(vfs)->xGetLastError(vfs_below(vfs), len, out);
}

static void register_vfs(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .zName = PAGES_VFS,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
    if (vfs.pAppData) return;
    /* Nobody asks how much memory SQLite has: it need not count it, under a lock, at each allocation.
     * Refused when SQLite is in use already, and then no harm. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    must(system);
    vfs.szOsFile = (int)sizeof(file_t) + system->szOsFile;
    vfs.mxPathname = system->mxPathname;
    vfs.pAppData = system;
    must(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

/* ---- connections ---- */

int pages_open(const char *path, int flags, sqlite3 **ret)
{
    register_vfs();
    int rc = sqlite3_open_v2(path, ret, flags, PAGES_VFS);
    if (rc != SQLITE_OK) return rc;

    sqlite3 *db = *ret;
    int reserve = SUM_BYTES;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    return sqlite3_exec(db,
                        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;"
                        "PRAGMA temp_store = MEMORY",
                        NULL, NULL, NULL);
}

/* The file's bytes and its name. Not durable_name(): what cannot be opened is an error like others, and only a
 * sync that fails ends the process. */
static int sync_file(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    int parent = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool opened = file >= 0 && parent >= 0;
    if (opened && (fsync(file) != 0 || fsync(parent) != 0)) sync_failed(path);
    if (file >= 0) close(file);
    if (parent >= 0) close(parent);
    return opened ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

int pages_copy(sqlite3 *db, const char *path)
{
    if (access(path, F_OK) == 0) return SQLITE_CANTOPEN;
    sqlite3_stmt *stmt = NULL;
    mode_t mask = umask(0077);
    int rc = sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &stmt, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK) sqlite3_step(stmt);
    rc = sqlite3_finalize(stmt);
    umask(mask);
    if (rc == SQLITE_OK) rc = sync_file(path);
    if (rc != SQLITE_OK) unlink(path);
    return rc;
}

/* The file behind DB; NULL when it could not be opened. */
static const file_t *file_of(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    if (!db) return NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    return file && file->pMethods == &database_methods ? (const file_t *)file : NULL;
}

bool pages_summed(sqlite3 *db)
{
    const file_t *file = file_of(db);
    return file && file->summed;
}

err_t pages_err(sqlite3 *db, int rc)
{
    int cause = db ? sqlite3_system_errno(db) : 0;
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return ERR_OK;
    case SQLITE_FULL: return ERR_STORE_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_STORE_LOCKED;
    case SQLITE_CORRUPT: return ERR_STORE_DAMAGED;
    case SQLITE_NOTADB: return ERR_STORE_VERSION;
    case SQLITE_NOMEM: return ERR_NO_MEMORY;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_DATA) return ERR_STORE_DAMAGED;
        /* Some of SQLite's own files report a full disk as an I/O error. */
        if (rc == SQLITE_IOERR_WRITE && (cause == ENOSPC || cause == EDQUOT)) return ERR_STORE_FULL;
        return ERR_STORE;
    default: return ERR_STORE;
    }
}

void pages_why(sqlite3 *db, int rc, char *out, size_t room)
{
    const file_t *file = file_of(db);
    int cause = db ? sqlite3_system_errno(db) : 0;
    const char *name = db ? sqlite3_db_filename(db, "main") : NULL;
    bool damaged = pages_err(db, rc) == ERR_STORE_DAMAGED;
    if (rc == SQLITE_IOERR_DATA && file && file->why) {
        snprintf(out, room, "%s", file->why);
        return;
    }
    snprintf(out, room, "%s%s%s (%d)%s%s", damaged && name ? name : "", damaged && name ? ": " : "",
             db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc, cause && !damaged ? ": " : "",
             cause && !damaged ? strerror(cause) : "");
}
