/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/client/client.h"

/* ---- list.c ---- */
void on_list(kernel_t *k, uint32_t client, const msg_list_t *msg);

/* ---- registry.c: LIST with filters and pages ---- */
enum { REGISTRY_OBJECTS = 7, REGISTRY_PROMISES, REGISTRY_ENTRIES, REGISTRY_LAUNCH }; /* LIST.what */
CHECKED err_t registry_list(const kernel_t *k, const msg_list_t *msg, buf_t *out,
                            uint64_t *ret_next);
text_t object_state(const kernel_t *k, const object_t *object);
text_t object_service(const kernel_t *k, const object_t *object);
text_t promise_state(const promise_t *promise);

/* ---- ring.c: vats that hold each other's objects ---- */
typedef void ring_visit_t(void *context, const msg_cycle_row_t *row);
void rings_each(const kernel_t *k, ring_visit_t *visit, void *context);
