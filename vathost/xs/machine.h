/* One XS machine and the vat in it: what engine.c, crank.c and host.c share. Not for others. */
#pragma once
#include "vathost/xs/arena.h"
#include "vathost/xs/xs_engine.h"
#include "xsnap.h"

/* A golden snapshot in memory: machines are read from it, and a saved engine is compressed against it. Workers
 * share the pages of the process that they were forked from. */
typedef struct {
    xs_golden_t kind;
    char *at;
    size_t len;
    hash_t hash;
} golden_t;

typedef struct {
    engine_t port;      /* first: an engine_t * is an xs_engine_t * */
    xsMachine *machine; /* NULL: it was to be renewed, and that failed */
    char *share;        /* folder of the golden snapshots */
    golden_t golden;    /* what the machine began from */
    bool has_run;       /* so it is not as new any more */

    /* The vat, once it is known. */
    char vat_id[16];
    const char *globals;
    char *bundle_path;
    char *bundle; /* JSON text, until the vat is started */
    size_t bundle_len;
    uint64_t computrons, wall_ms, heap_bytes;
    uint64_t space_base, used_base; /* of the machine when it was new: limits are that and more */

    /* The crank that runs. */
    const engine_host_t *host;
    const vdelivery_t *delivery;
    uint64_t chance; /* blocks of the delivery's seed that were given out */
    arena_t arena;   /* what one syscall says, in C */
    err_t failed;    /* what the host answered first; nothing is asked of it after that */
    bool is_replay;
    uint64_t meter_max; /* of this crank; 0: none */
    unsigned meter_off; /* depth of sections that are not metered */
} xs_engine_t;

static inline xs_engine_t *engine_of(xsMachine *machine) { return xsGetContext(machine); }

/* A new machine with our host functions in it and nothing else. The caller owns it. NULL when there
 * is no memory. */
xsMachine *machine_new(void);

/* Evaluates SCRIPT and runs until nothing is left. Returns false and says why in ERROR (as much of it
 * as fits) when it threw or was stopped. */
bool machine_eval(xsMachine *machine, text_t script, char *error, size_t error_room);

/* Writes a snapshot of MACHINE, readable by this build only. Fails with FILE_MISSING. */
CHECKED err_t machine_save(xsMachine *machine, const char *path);

/* Bytes on the heap; the caller frees AT. */
typedef struct {
    uint8_t *at;
    size_t len, room;
} bytes_t;

enum { SNAPSHOT_BYTES_MAX = 1 << 30 };

/* Fails with PROCESS_FAILED when there is no memory, or more than SNAPSHOT_BYTES_MAX. */
CHECKED err_t bytes_add(bytes_t *self, const void *at, size_t len);

/* A snapshot of MACHINE behind what is in RET; fails with PROCESS_FAILED, and then some of it may be there. */
CHECKED err_t machine_write(xsMachine *machine, bytes_t *ret);

/* Reads a snapshot that nobody has touched. Fails with SNAPSHOT_UNREADABLE when another build wrote it. The
 * caller owns RET. */
CHECKED err_t machine_read(bin_t bytes, xsMachine **ret);

/* The file PATH with a 0 behind it; the caller frees RET. Fails with FILE_MISSING, or BUNDLE_BROKEN when it has
 * more than MAX bytes. */
CHECKED err_t file_read(const char *path, size_t max, char **ret, size_t *ret_len);

/* The golden snapshot in file PATH, by a name of xs_golden_file(); fails as file_read(). */
CHECKED err_t golden_read(const char *path, golden_t *ret);
/* SELF becomes the one of KIND in the folder SHARE, or stays as it is when it fails. */
CHECKED err_t golden_take(golden_t *self, const char *share, xs_golden_t kind);
void golden_clear(golden_t *self);
static inline bin_t golden_bytes(const golden_t *self)
{
    return (bin_t){(const uint8_t *)self->at, self->len};
}

/* save() of the port; and load(), but for making the engine as new when it fails. XS_LOAD() fails with
 * SNAPSHOT_UNREADABLE; the machine is then NULL, or the one there was. */
CHECKED err_t xs_save(xs_engine_t *self, buf_t *ret);
CHECKED err_t xs_load(xs_engine_t *self, bin_t saved);

/* Every C function that JavaScript can reach. The order is part of the snapshot's format. */
extern xsCallback host_callbacks[];
extern const int host_callback_count;

/* Gives MACHINE the host functions, under the names that supervisor.js knows. */
void host_install(xsMachine *machine);

/* Hashing and drawing count as so many bytes to a computron: about as long as JavaScript's. */
enum { BYTES_PER_COMPUTRON = 8 };

/* hostDigest(bits, buffer) and hostLibrary(), of library.c. */
void host_digest(xsMachine *machine);
void host_library(xsMachine *machine);

/* TEXT as a JavaScript string, in xsResult: the caller moves it from there. */
void host_string(xsMachine *machine, text_t text);

/* Runs DELIVERY of a machine that is not dead and fills RET in; but for the wall clock. */
void crank_run(xs_engine_t *self, const vdelivery_t *delivery, engine_report_t *ret);

/* The wall clock of the crank that runs: after MS the meter stops it, a little later the process
 * ends by itself with XS_EXIT_WALL. */
void clock_start(uint64_t ms);
void clock_stop(void);
bool clock_is_over(void);
