/* An engine that follows a script instead of running JavaScript: a C function that is told each
 * delivery and answers with syscalls. For tests of everything around an engine.
 *
 * Deliveries are also written down as text, so that a story can be compared line by line:
 *
 *   start #{} {}
 *   message o+0 #["ping",["$0"]] {o-50} p-60
 *   notify p+5 ok #"pong" {}; p-61 rejected #"no" {o-50}
 *   drop_exports o+1 o+2
 *   reap
 *   renew FILE */
#pragma once
#include "vathost/supervisor/engine.h"

/* RET is all zero: outcome OK. */
typedef void script_t(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                      engine_report_t *ret);

/* SCRIPT may be NULL: an engine that hears and says nothing. The caller owns the engine. */
engine_t *script_engine_new(script_t *script, void *context);

/* What an upgrade may find: script by file. ALL ends with a NULL file and is borrowed; without a list,
 * every file is there and has the script that runs. A file that is not in the list is missing, one
 * without a script is broken. */
typedef struct {
    const char *file;
    script_t *script;
} script_file_t;
void script_files(engine_t *engine, const script_file_t *all);

/* What the script remembers between deliveries: the LEN bytes AT, borrowed, are the heap that save()
 * gives and load() takes. Without it there is nothing to remember. */
void script_heap(engine_t *engine, void *at, size_t len);

/* How many deliveries it ran, and the N-th (from 0) as text; NULL when there was none. */
size_t script_count(const engine_t *engine);
const char *script_heard(const engine_t *engine, size_t n);

/* Is the delivery a message for METHOD? */
bool script_method(const vdelivery_t *delivery, const char *method);

/* The syscalls, as a script says them. SLOTS and VREFS are separated by spaces, "" for none. They
 * return what the supervisor answered; most scripts do not look. */
err_t script_send(const engine_host_t *host, const char *target, const char *body,
                  const char *slots, const char *result);
err_t script_subscribe(const engine_host_t *host, const char *promise);
err_t script_resolve(const engine_host_t *host, const char *promise, bool rejected,
                     const char *body, const char *slots);
err_t script_exit(const engine_host_t *host, bool failure, const char *body, const char *slots);
err_t script_refs(const engine_host_t *host, msg_tag_t tag, const char *vrefs);
err_t script_set(const engine_host_t *host, const char *key, const char *value);
err_t script_delete(const engine_host_t *host, const char *key);
void script_print(const engine_host_t *host, const char *text);

/* Several promises in one resolve. */
typedef struct {
    const char *promise;
    bool rejected;
    const char *body, *slots;
} script_resolution_t;
err_t script_resolve_batch(const engine_host_t *host, const script_resolution_t *batch,
                           size_t count);
