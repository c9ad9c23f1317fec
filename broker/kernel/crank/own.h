/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/crank/crank.h"

/* ---- route.c: from the worklist to queues ---- */
bool route_here(kernel_t *k, kvat_t *vat, entry_t *entry);

/* ---- gc.c: what a vat must be told of, and when ---- */
bool gc_due(kernel_t *k, kvat_t *vat);
void gc_assign(kernel_t *k, kvat_t *vat);

/* ---- assign.c: from queues to logs ---- */
void log_append(kernel_t *k, kvat_t *vat, log_t *log, const entry_t *entry);

/* ---- result.c: what a result does besides its syscalls ---- */
cause_t log_cause(const kvat_t *vat, const log_t *log);
void crank_said(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_result_t *msg);
void log_applied(kernel_t *k, kvat_t *vat, const msg_result_t *msg, uint64_t outcome);

/* ---- check.c: may all its syscalls be done? ---- */
err_t check_crank(kernel_t *k, const kvat_t *vat, const log_t *log, size_t *ret_at);
uint64_t stated_d(const log_t *log);
void check_clear(kernel_t *k);

/* ---- apply.c: they are done ---- */
const msg_exit_t *apply_calls(kernel_t *k, kvat_t *vat, const log_t *log);
void apply_failed_exit(kernel_t *k, kvat_t *vat, const msg_exit_t *exit, const log_t *log);

/* ---- poison.c: deliveries that their worker does not survive ---- */
bool poison_result(kernel_t *k, kvat_t *vat, const msg_result_t *msg);
bool poison_lost(kernel_t *k, kvat_t *vat, err_t error, text_t reason);
void give_back(kernel_t *k, kvat_t *vat, const log_t *log);
void mentions_clear(kernel_t *k);
