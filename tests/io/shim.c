#include "tests/io/shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/must.h"

enum { FILES_MAX = 12, FILE_BYTES_MAX = 2 << 20, SECTOR = 512, FULL_FOR = 7, NAME_MAX_BYTES = 200 };

const char *const fault_names[FAULTS] = {"none",  "kill", "power", "read", "write", "full",
                                         "short", "sync", "open",  "flip", "memory"};

/* What is on disk of one file. */
typedef struct {
    ino_t inode; /* 0: nobody's */
    char name[NAME_MAX_BYTES];
    bool deleted; /* but not for certain */
    bool
        fresh; /* made, and not synced since; SQLite's first sync of a log goes to its folder too */
    int64_t size; /* on disk */
    bool dirty[FILE_BYTES_MAX / SECTOR];
    uint8_t bytes[FILE_BYTES_MAX];
} kept_t;

typedef struct {
    fault_t fault;
    uint64_t n, seen;
    bool happened;
    uint64_t chance; /* what SQLite takes for chance: the same in each run of a program */
    kept_t files[FILES_MAX];
} disk_t;

static disk_t *disk;
static char dir[128];

/* ---- what is asked ---- */

typedef enum { OP_READ, OP_WRITE, OP_CUT, OP_SYNC, OP_OPEN, OP_SIZE, OP_DELETE, OP_ALLOC } op_t;

static bool can_happen(fault_t fault, op_t op)
{
    switch (fault) {
    case FAULT_KILL:
    case FAULT_POWER:
        return op != OP_READ && op != OP_SIZE && op != OP_ALLOC; /* between those nothing changes */
    case FAULT_READ:
    case FAULT_FLIP: return op == OP_READ;
    case FAULT_WRITE: return op == OP_WRITE || op == OP_CUT;
    case FAULT_FULL:
    case FAULT_SHORT: return op == OP_WRITE;
    case FAULT_SYNC: return op == OP_SYNC;
    case FAULT_OPEN: return op == OP_OPEN || op == OP_DELETE || op == OP_SIZE;
    case FAULT_MEMORY: return op == OP_ALLOC;
    default: return false;
    }
}

static uint64_t lasts(void)
{
    if (disk->fault == FAULT_MEMORY) return disk->n % 2 ? UINT64_MAX - disk->n : 1;
    return disk->fault == FAULT_FULL || disk->fault == FAULT_SHORT ? FULL_FOR : 1;
}

/* Whether it is to fail now. */
static bool fails(op_t op)
{
    if (!can_happen(disk->fault, op)) return false;
    uint64_t at = disk->seen++;
    if (at < disk->n || at >= disk->n + lasts()) return false;
    disk->happened = true;
    if (disk->fault == FAULT_KILL || disk->fault == FAULT_POWER) _exit(0);
    return true;
}

/* ---- what is on disk ---- */

static kept_t *kept_find(ino_t inode)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (disk->files[i].inode == inode) return &disk->files[i];
    return NULL;
}

static kept_t *kept_of(ino_t inode)
{
    kept_t *kept = kept_find(inode);
    if (kept && inode) return kept;
    kept = kept_find(0);
    for (int i = 0; i < FILES_MAX && !kept;
         i++) /* of those that are gone, the first may be forgotten */
        if (disk->files[i].deleted) kept = &disk->files[i];
    must(kept);
    memset(kept, 0, offsetof(kept_t, bytes));
    kept->inode = inode;
    return kept;
}

static void kept_dirty(kept_t *kept, int64_t offset, int64_t len)
{
    must(offset + len <= FILE_BYTES_MAX);
    for (int64_t at = offset / SECTOR; at * SECTOR < offset + len; at++) kept->dirty[at] = true;
}

static void kept_sync(kept_t *kept, int fd)
{
    struct stat st;
    must(fstat(fd, &st) == 0 && st.st_size <= FILE_BYTES_MAX);
    for (int64_t at = 0; at < st.st_size; at += SECTOR) {
        if (!kept->dirty[at / SECTOR] && at + SECTOR <= kept->size) continue;
        must(pread(fd, kept->bytes + at, SECTOR, at) >= 0);
    }
    memset(kept->dirty, 0, sizeof kept->dirty);
    kept->size = st.st_size;
}

static void folder_synced(void)
{
    for (int i = 0; i < FILES_MAX; i++) {
        kept_t *kept = &disk->files[i];
        if (kept->deleted) kept->inode = 0;
        kept->deleted = false;
    }
}

void shim_settled(void)
{
    for (int i = 0; i < FILES_MAX; i++) disk->files[i].inode = disk->files[i].deleted = 0;
    DIR *all = opendir(dir);
    must(all);
    for (struct dirent *entry; (entry = readdir(all));) {
        int fd = openat(dirfd(all), entry->d_name, O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fd < 0) continue;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
            kept_t *kept = kept_of(st.st_ino);
            snprintf(kept->name, sizeof kept->name, "%s/%.60s", dir, entry->d_name);
            kept_sync(kept, fd);
        }
        close(fd);
    }
    closedir(all);
}

/* ---- the power goes ---- */

static uint64_t dice_state;

static bool coin(void)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return dice_state >> 63;
}

/* Writes what is left of the file that is, or was, at FD. */
static void lose(kept_t *kept, int fd)
{
    static uint8_t now[FILE_BYTES_MAX + SECTOR];
    struct stat st;
    must(fstat(fd, &st) == 0);
    int64_t size = coin() ? st.st_size : kept->size;
    memset(now, 0, (size_t)size + SECTOR);
    must(pread(fd, now, (size_t)st.st_size, 0) == st.st_size);
    for (int64_t at = 0; at < size; at += SECTOR) {
        bool new = at + SECTOR > kept->size, dirty = kept->dirty[at / SECTOR];
        bool cut = at >= st.st_size; /* or is not: its bytes do not change by that */
        if (!(dirty || new) || (!cut && coin())) continue;
        if (at < kept->size) {
            memset(now + at, 0, SECTOR);
            int64_t len = kept->size - at < SECTOR ? kept->size - at : SECTOR;
            memcpy(now + at, kept->bytes + at, (size_t)len);
        } else {
            memset(now + at, 0, SECTOR);
        }
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, now, (size_t)size, 0) == size);
}

void shim_power(uint64_t chance)
{
    dice_state = chance * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < 4; i++) coin();
    DIR *all = opendir(dir);
    must(all);
    for (struct dirent *entry; (entry = readdir(all));) {
        struct stat st;
        if (fstatat(dirfd(all), entry->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode)) continue;
        int fd = openat(dirfd(all), entry->d_name, O_RDWR | O_CLOEXEC);
        must(fd >= 0);
        lose(kept_of(st.st_ino), fd);
        close(fd);
    }
    closedir(all);
    for (int i = 0; i < FILES_MAX; i++) {
        kept_t *kept = &disk->files[i];
        if (!kept->inode || !kept->deleted || coin()) continue;
        int fd = open(kept->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0) continue; /* another has its name */
        must(pwrite(fd, kept->bytes, (size_t)kept->size, 0) == kept->size);
        close(fd);
    }
    shim_settled();
}

/* ---- the VFS ---- */

typedef struct {
    sqlite3_file base;
    sqlite3_file *below;
    int fd; /* the same file, to read what is written */
    kept_t *kept;
} shim_file_t;

static sqlite3_file *below(sqlite3_file *file) { return ((shim_file_t *)file)->below; }

static int shim_close(sqlite3_file *file)
{
    shim_file_t *self = (shim_file_t *)file;
    if (self->fd >= 0) close(self->fd);
    return self->below->pMethods->xClose(self->below);
}

static int shim_read(sqlite3_file *file, void *at, int len, sqlite3_int64 offset)
{
    bool bad = fails(OP_READ);
    if (bad && disk->fault == FAULT_READ) return SQLITE_IOERR_READ;
    int rc = below(file)->pMethods->xRead(below(file), at, len, offset);
    if (bad) ((uint8_t *)at)[(disk->n * 7919) % (uint64_t)len] ^= (uint8_t)(1 << disk->n % 8);
    return rc;
}

static int shim_write(sqlite3_file *file, const void *at, int len, sqlite3_int64 offset)
{
    shim_file_t *self = (shim_file_t *)file;
    bool bad = fails(OP_WRITE);
    if (bad && disk->fault == FAULT_WRITE) return SQLITE_IOERR_WRITE;
    if (bad && disk->fault == FAULT_FULL) return SQLITE_FULL;
    int most = bad ? len / 2 : len;
    if (self->kept) kept_dirty(self->kept, offset, most);
    int rc = most ? below(file)->pMethods->xWrite(below(file), at, most, offset) : SQLITE_OK;
    return bad ? SQLITE_FULL : rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    shim_file_t *self = (shim_file_t *)file;
    if (fails(OP_CUT)) return SQLITE_IOERR_TRUNCATE;
    if (self->kept) {
        struct stat st;
        must(fstat(self->fd, &st) == 0);
        if (size < st.st_size) kept_dirty(self->kept, size, st.st_size - size);
    }
    return below(file)->pMethods->xTruncate(below(file), size);
}

/* The real file is not synced: nobody here draws a real plug. */
static int shim_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    shim_file_t *self = (shim_file_t *)file;
    if (fails(OP_SYNC)) return SQLITE_IOERR_FSYNC;
    if (!self->kept) return SQLITE_OK;
    kept_sync(self->kept, self->fd);
    if (self->kept->fresh) folder_synced();
    self->kept->fresh = false;
    return SQLITE_OK;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    if (fails(OP_SIZE)) return SQLITE_IOERR_FSTAT;
    return below(file)->pMethods->xFileSize(below(file), ret);
}

static int shim_lock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xLock(below(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    return below(file)->pMethods->xUnlock(below(file), level);
}

static int shim_check_lock(sqlite3_file *file, int *ret)
{
    return below(file)->pMethods->xCheckReservedLock(below(file), ret);
}

static int shim_control(sqlite3_file *file, int what, void *argument)
{
    return below(file)->pMethods->xFileControl(below(file), what, argument);
}

static int shim_sector(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

/* A disk that promises nothing, but that a write does not spoil what is beside it. */
static int shim_device(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods shim_methods = {
    1,
    shim_close,
    shim_read,
    shim_write,
    shim_truncate,
    shim_sync,
    shim_size,
    shim_lock,
    shim_unlock,
    shim_check_lock,
    shim_control,
    shim_sector,
    shim_device,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
};

static sqlite3_vfs *system_vfs(sqlite3_vfs *vfs) { return vfs->pAppData; }

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret)
{
    shim_file_t *self = (shim_file_t *)file;
    *self = (shim_file_t){.below = (sqlite3_file *)(self + 1), .fd = -1};
    if (fails(OP_OPEN)) return SQLITE_CANTOPEN;
    int rc = system_vfs(vfs)->xOpen(system_vfs(vfs), name, self->below, flags, ret);
    if (rc != SQLITE_OK) return rc;
    self->base.pMethods = &shim_methods;
    struct stat st;
    if (!name || strncmp(name, dir, strlen(dir)) != 0) return SQLITE_OK;
    self->fd = open(name, O_RDONLY | O_CLOEXEC);
    must(self->fd >= 0 && fstat(self->fd, &st) == 0);
    bool known = kept_find(st.st_ino) != NULL;
    self->kept = kept_of(st.st_ino);
    self->kept->fresh = !known && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
    snprintf(self->kept->name, sizeof self->kept->name, "%s", name);
    return SQLITE_OK;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    struct stat st;
    if (fails(OP_DELETE)) return SQLITE_IOERR_DELETE;
    kept_t *kept = stat(name, &st) == 0 ? kept_find(st.st_ino) : NULL;
    int rc = system_vfs(vfs)->xDelete(system_vfs(vfs), name, 0);
    if (kept && rc == SQLITE_OK) {
        kept->deleted = !sync;
        kept->inode =
            sync ? 0 : (ino_t)-1 - (ino_t)(kept - disk->files); /* the number may be given again */
    }
    return rc;
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    return system_vfs(vfs)->xAccess(system_vfs(vfs), name, flags, ret);
}

static int shim_full_name(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
    return system_vfs(vfs)->xFullPathname(system_vfs(vfs), name, room, out);
}

static int shim_random(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    for (int i = 0; i < len; i++) {
        disk->chance = disk->chance * 6364136223846793005u + 1442695040888963407u;
        out[i] = (char)(disk->chance >> 56);
    }
    return len;
}

static int shim_sleep(sqlite3_vfs *vfs, int us)
{
    return system_vfs(vfs)->xSleep(system_vfs(vfs), us);
}

static int shim_time(sqlite3_vfs *vfs, double *ret)
{
    return system_vfs(vfs)->xCurrentTime(system_vfs(vfs), ret);
}

static int shim_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    return system_vfs(vfs)->xGetLastError(system_vfs(vfs), len, out);
}

/* What our own code syncs beside SQLite: folders, and files that were made. */
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    struct stat st;
    if (!disk || fstat(fd, &st) != 0) return __real_fsync(fd);
    if (fails(OP_SYNC)) {
        errno = EIO;
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        folder_synced();
    } else {
        kept_sync(kept_of(st.st_ino), fd);
    }
    return 0;
}

/* ---- memory ---- */

#define WRAP(type, name, parameters, arguments)                                  \
    type __real_##name parameters;                                               \
    type __wrap_##name parameters;                                               \
    type __wrap_##name parameters                                                \
    {                                                                            \
        if (disk && disk->fault == FAULT_MEMORY && fails(OP_ALLOC)) return NULL; \
        return __real_##name arguments;                                          \
    }

WRAP(void *, malloc, (size_t len), (len))
WRAP(void *, calloc, (size_t count, size_t len), (count, len))
WRAP(void *, realloc, (void *at, size_t len), (at, len))
WRAP(void *, reallocarray, (void *at, size_t count, size_t len), (at, count, len))
WRAP(void *, aligned_alloc, (size_t align, size_t len), (align, len))

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int len)
{
    if (disk->fault == FAULT_MEMORY && fails(OP_ALLOC)) return NULL;
    return sqlite_memory.xMalloc(len);
}

static void *sqlite_realloc(void *at, int len)
{
    if (disk->fault == FAULT_MEMORY && fails(OP_ALLOC)) return NULL;
    return sqlite_memory.xRealloc(at, len);
}

static void wrap_sqlite(void)
{
    must(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory) == SQLITE_OK);
    sqlite3_mem_methods ours = sqlite_memory;
    ours.xMalloc = sqlite_malloc;
    ours.xRealloc = sqlite_realloc;
    must(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) == SQLITE_OK);
}

void *shim_shared(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED);
    return at;
}

void shim_start(const char *folder)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .zName = "shim",
        .xOpen = shim_open,
        .xDelete = shim_delete,
        .xAccess = shim_access,
        .xFullPathname = shim_full_name,
        .xRandomness = shim_random,
        .xSleep = shim_sleep,
        .xCurrentTime = shim_time,
        .xGetLastError = shim_last_error,
    };
    snprintf(dir, sizeof dir, "%s", folder);
    disk = shim_shared(sizeof *disk);
    wrap_sqlite();
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    must(system);
    vfs.szOsFile = (int)sizeof(shim_file_t) + system->szOsFile;
    vfs.mxPathname = system->mxPathname;
    vfs.pAppData = system;
    must(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

void shim_arm(fault_t fault, uint64_t n)
{
    disk->fault = fault;
    disk->n = n;
    disk->seen = 0;
    disk->happened = false;
}

void shim_disarm(void) { disk->fault = FAULT_NONE; }

bool shim_happened(void) { return disk->happened; }
