/* From queues to logs, to workers and back: what the folders above it call. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- route.c: from the worklist to queues ---- */
void route_all(kernel_t *k);

/* ---- gc.c: what a vat must be told of, and when ---- */
void gc_look_all(kernel_t *k);
size_t gc_listed(const kvat_t *vat);
bool gc_waits(const kvat_t *vat);
bool reap_due(const kvat_t *vat);
void on_reap(kernel_t *k, uint32_t client, const msg_reap_t *msg);

/* ---- assign.c: from queues to logs ---- */
void assign_all(kernel_t *k);
bool serial_elsewhere(const kvat_t *vat);
void deliver(kernel_t *k, const kvat_t *vat, const log_t *log);

/* ---- result.c: a crank comes back ---- */
void on_result(kernel_t *k, host_t from, const msg_result_t *msg);
void on_lost(kernel_t *k, host_t from, const msg_lost_t *msg);

/* ---- history.c: LOG_GET, and replays that went another way ---- */
enum { LIST_DIVERGENCES = 11 }; /* LIST.what */
void on_log_get(kernel_t *k, uint32_t client, const msg_log_get_t *msg);
void diverge(kernel_t *k, kvat_t *vat, uint64_t d, uint64_t outcome, bin_t calls);
void divergences_list(const kernel_t *k, vat_t only, buf_t *out);

/* ---- baggage.c: vats whose heap is lost ---- */
enum {
    ATTACHED_GO_ON,
    ATTACHED_FROM_NOTHING,
    ATTACHED_FROM_BAGGAGE,
    ATTACHED_NEVER
}; /* ATTACHED.again */

uint64_t heap_lost(kernel_t *k, kvat_t *vat, const msg_attach_t *msg);
void heap_lost_tell(kernel_t *k, const kvat_t *vat, uint64_t d, const char *what);
bool baggage_will_do(const kvat_t *vat, const msg_attach_t *msg);
void baggage_go(kernel_t *k, kvat_t *vat, bool push);
