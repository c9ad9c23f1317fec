/* A vat on the real engine, with a host that writes down what it is asked: one line for each thing,
 * in the spelling of SwingSet's traces (get KEY -> VALUE, send o-50 #["foo",[]] {} p+5, ...). */
#pragma once
#include "vathost/xs/xs_engine.h"

typedef struct xs_vat xs_vat_t;

/* Opens the bundle NAME: a file in the directory of test bundles, or an absolute path. */
xs_vat_t *xs_vat_new(const char *name, xs_options_t limits);
void xs_vat_destroy(xs_vat_t **self_p);

/* Its engine begins anew with the bundle NAME; the store stays. */
CHECKED err_t xs_vat_renew(xs_vat_t *self, const char *name);

engine_t *xs_vat_engine(xs_vat_t *self);

/* Each runs one delivery. The report is valid until the next. */
const engine_report_t *xs_vat_start(xs_vat_t *self, const char *body);
/* The same with references, as a vat gets them that asks for globals which need the kernel. */
const engine_report_t *xs_vat_start_with(xs_vat_t *self, const char *body, const char *slots);
const engine_report_t *xs_vat_message(xs_vat_t *self, const char *target, const char *body,
                                      const char *slots, const char *result);
/* METHARGS to the root, without slots and without result. */
const engine_report_t *xs_vat_call(xs_vat_t *self, const char *methargs);
const engine_report_t *xs_vat_notify(xs_vat_t *self, const char *promise, bool rejected,
                                     const char *body, const char *slots);
const engine_report_t *xs_vat_refs(xs_vat_t *self, msg_tag_t tag, const char *refs);
const engine_report_t *xs_vat_reap(xs_vat_t *self);

/* What was written down since the last look: syscalls; the vat store; the console. */
const char *xs_vat_calls(xs_vat_t *self);
const char *xs_vat_store(xs_vat_t *self);
const char *xs_vat_console(xs_vat_t *self);

/* The value of KEY, or NULL. */
const char *xs_vat_get(xs_vat_t *self, const char *key);

/* From now on the host refuses the syscall or store call with this tag (0: every store call). */
void xs_vat_refuse(xs_vat_t *self, msg_tag_t tag);
/* How often the host was asked anything. */
unsigned xs_vat_asked(const xs_vat_t *self);

/* Runs deliveries as a replay: no wall clock. */
void xs_vat_replay(xs_vat_t *self, bool is_replay);

/* Stamp and seed of the deliveries from now on; SEED fills the seed's first byte. */
void xs_vat_time(xs_vat_t *self, uint64_t stamp_ms, uint8_t seed);
