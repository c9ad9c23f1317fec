/* Bundles: ready ones from a file or a data: URL, those made from a source by Node, and the names of
 * engines in C.
 *
 *   N1  a bundle's name is b1-<sha512 of its bytes>;
 *   N2  Node runs only when the source or one of its inputs changed: bundles made are cached;
 *   N3  an engine that is built into the worker has a bundle, too, which only says its name. So
 *       whatever is done with code is done with that. */
#pragma once
#include "cli/plan.h"
#include "wire/base/bytes.h"

typedef struct {
    char name[NAME_BYTES_MAX + 1]; /* b1-... */
    char *data;                    /* NULL: only the hash is known (bundleHash) */
    size_t len;
    bool ocap_kernel; /* moduleFormat "iife": ocap-kernel's dialect */
    bool cached;
} bundle_t;

/* Loads CODE, which is that of WHO ('vat "bank"') in errors. The caller clears RET. Fails with FILE_MISSING, URL_REFUSED,
 * BUNDLE_BROKEN, BUNDLE_FORMAT, BUNDLE_FAILED, NO_NODE, with the place in the cluster file. */
CHECKED err_t bundle_load(const plan_t *plan, const char *who, const code_t *code, bundle_t *ret,
                          fail_t *f);
void bundle_clear(bundle_t *self);

/* The engine in C that the bundle of this name names; NULL when it is none. */
const char *native_engine(text_t bundle);

/* Checks that DATA is a bundle of a known format; its name goes to RET. */
CHECKED err_t bundle_check(char *data, size_t len, const char *file, bundle_t *ret, fail_t *f);
