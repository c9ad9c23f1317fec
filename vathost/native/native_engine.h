/* Engines in C. A bundle of the format "native" names one: {"moduleFormat":"native","engine":"null"}.
 *
 * "null" is the only one: a vat without JavaScript that answers a few methods and can send many
 * messages, so that kernel, wire, supervisor and store are measured without an engine's cost. What
 * its root understands: vathost/native/README.md. */
#pragma once
#include "vathost/supervisor/engine.h"

/* Does the file PATH hold a native bundle? A few bytes are read; what cannot be read is none. */
bool native_bundle(const char *path);

/* The engine that the bundle in file PATH names, ready for a start. A name that is not known is said
 * by the start, with BUNDLE_FORMAT. HEAP_BYTES: what the engine may keep after a crank, 0 for no limit;
 * it has neither meter nor clock, since no delivery runs long. The caller owns it. */
engine_t *native_engine_new(const char *path, uint64_t heap_bytes);
