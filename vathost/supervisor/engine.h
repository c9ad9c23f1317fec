/* What the supervisor asks of an engine, and what an engine may ask during a crank. XS with
 * liveslots is one engine (vathost/xs), a table of scripted answers is another (tests/support).
 *
 * An engine knows vrefs only. It runs one delivery at a time, to quiescence, on the caller's thread. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/bytes.h"
#include "wire/base/err.h"
#include "wire/schema/syscall.h"

/* One delivery in the vat's names. Everything is borrowed for the call. */
typedef struct {
    msg_tag_t tag; /* TAG_deliver_* */
    uint64_t stamp_ms;
    id128_t seed;
    vref_t target;              /* message */
    vcapdata_t data;            /* methargs of a message, parameters of a start */
    vref_t result;              /* message; len 0 when nobody waits */
    vresolutions_t resolutions; /* notify */
    vrefs_t refs;               /* drop, retire */
} vdelivery_t;

/* What the engine calls while it runs a delivery. An error makes the rest of the crank worthless:
 * the engine lets the vat see a thrown "prepare to die" and ends the crank as soon as it can. */
typedef struct {
    void *self;
    CHECKED err_t (*call)(void *self, const vcall_t *call);

    /* RET is borrowed until the next call of any of these. Sets *RET_FOUND false when there is none. */
    CHECKED err_t (*store_get)(void *self, text_t key, text_t *ret, bool *ret_found);
    /* The smallest key greater than PRIOR, in byte order. */
    CHECKED err_t (*store_next)(void *self, text_t prior, text_t *ret, bool *ret_found);
    CHECKED err_t (*store_set)(void *self, text_t key, text_t value);
    CHECKED err_t (*store_delete)(void *self, text_t key);

    /* LEVEL as in CONSOLE; SOURCE "vat" or "ls", with ":tag" for each tag of a logger. Never fails:
     * what does not fit is counted and dropped. */
    void (*console)(void *self, unsigned level, text_t source, text_t text);
} engine_host_t;

enum { REASON_BYTES_MAX = 1024 };

typedef struct {
    err_t outcome; /* OK, VAT_LIMIT_*, NO_BUILD_ROOT, BUILD_ROOT_THREW, BUNDLE_*, VAT_FAILED */
    char reason[REASON_BYTES_MAX]; /* for people, when the outcome is not OK */
    uint64_t computrons;
    bool dead; /* the engine cannot run anything any more */
} engine_report_t;

typedef struct engine engine_t;
struct engine {
    /* Runs DELIVERY to quiescence and sets RET. METERED_ONLY: a replay, so no wall clock limit. */
    void (*run)(engine_t *self, const vdelivery_t *delivery, const engine_host_t *host,
                bool metered_only, engine_report_t *ret);

    /* Forgets everything: the engine is as new, dead or not, with the bundle in file BUNDLE, which is
     * read now, and with vat, limits and globals as before. Fails with FILE_MISSING or BUNDLE_BROKEN,
     * which are the bundle's fault, or PROCESS_FAILED; then it is dead. */
    CHECKED err_t (*renew)(engine_t *self, const char *bundle);

    /* Adds all that the engine is, between two deliveries, to RET, as bytes for load(); the engine goes
     * on as it was. Whether and when this is called shows in nothing that deliveries do later. Fails
     * with PROCESS_FAILED when it is dead or cannot be saved; then RET is as before. */
    CHECKED err_t (*save)(engine_t *self, buf_t *ret);

    /* Becomes what SAVED says, dead or not, with vat, limits and globals as before. Fails with
     * SNAPSHOT_UNREADABLE when SAVED was made by another build of the engine or is damaged: then the
     * engine is as new, ready for a start or for other bytes; with PROCESS_FAILED otherwise: then it
     * is dead. */
    CHECKED err_t (*load)(engine_t *self, bin_t saved);
    void (*destroy)(engine_t **self_p);
};

static inline void engine_destroy(engine_t **self_p)
{
    if (*self_p) (*self_p)->destroy(self_p);
}
