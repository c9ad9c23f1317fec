/* Runs the JavaScript bundler that comes with the vathost, and keeps what it made.
 *
 * The cache holds, per source: K.json (the bundle) and K.stamp (size, time and path of every file
 * that went into it, the bundler itself included). K is a hash of the source's path and bytes. */
#pragma once
#include <limits.h>

#include "cli/fail.h"

/* Bundles SOURCE into the file OUT, in FORMAT (NULL: the bundler's own choice). Fails with
 * FILE_MISSING, NO_NODE, BUNDLE_FAILED, STORE. */
CHECKED err_t bundler_run(const char *source, const char *out, const char *format, fail_t *f);

/* Gives the path of a bundle of SOURCE, made now or before (RET_CACHED). */
CHECKED err_t bundler_cached(const char *source, char ret[PATH_MAX], bool *ret_cached, fail_t *f);
