/* The XS engine: a JavaScript machine with SES and liveslots, restored from a golden snapshot, that
 * runs one vat. See vathost/xs/README.md for how the snapshot is made and what a vat finds inside.
 *
 * One machine at a time per process and thread; the process must have read the golden snapshot on the
 * thread that runs cranks (XS remembers the stack's address). */
#pragma once
#include "vathost/supervisor/engine.h"

/* Exit codes of a process in which XS ran: what the vathost reads from a worker that ended without a
 * result. Anything else is a crash. */
enum {
    XS_EXIT_WALL = 18, /* VAT_LIMIT_WALL: a native loop that never looks at the meter */
};

/* What a worker gives the engine when its vat is known. Borrowed for the engine's life. */
typedef struct {
    vat_t vat;
    const char *name;
    const char *bundle; /* file with the bundle: JSON text */
    uint64_t dialect;   /* 0 SwingSet, 1 ocap-kernel */
    /* 0: no limit. HEAP_BYTES: what may live, beyond the golden snapshot, when a crank is over; while it
     * runs the machine may take twice that. */
    uint64_t computrons, wall_ms, heap_bytes;
    const char *globals; /* names from global.def, separated by spaces; NULL or "": none */
} xs_options_t;

/* Which golden snapshot a bundle needs: the lean one, or the one with import-bundle, which alone
 * can read endoZipBase64. Looks at the start of the file only. */
typedef enum { XS_LEAN, XS_ZIP } xs_golden_t;
CHECKED err_t xs_golden_for(const char *bundle_path, xs_golden_t *ret);

/* Its file, in the folder of all golden snapshots. */
const char *xs_golden_file(xs_golden_t kind);

/* Reads a golden snapshot into a machine. For the zygote: call once per kind, then fork. The engine
 * is not ready before xs_engine_open(). When it is renewed it reads a snapshot again, this one or the
 * other, from the same folder, with a name of xs_golden_file(). Fails with FILE_MISSING, or BUNDLE_BROKEN when the
 * snapshot is of another build. The caller owns it. */
CHECKED err_t xs_engine_new(const char *golden_path, engine_t **ret);

/* Binds the engine to its vat; once. The bundle's text is read now and evaluated in the first
 * delivery. Fails with FILE_MISSING, or BUNDLE_BROKEN when the file is larger than a bundle may be. */
CHECKED err_t xs_engine_open(engine_t *engine, const xs_options_t *options);

/* Build id of engine, supervisor and liveslots together: the hash of the golden snapshots' makers. */
const char *xs_engine_build(void);
