/* Objects, promises, and all that counts them: what the folders above it call. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- refs.c: counts, authority rows, and what follows when a count reaches zero ---- */
bool kref_sendable(const kernel_t *k, kref_t kref);
object_t *object_new(kernel_t *k, kref_t kref, vat_t owner);
promise_t *promise_new(kernel_t *k, kref_t kref);
bool object_orphan(const kernel_t *k, const object_t *object);
void ref_up(kernel_t *k, kref_t kref);
void ref_down(kernel_t *k, kref_t kref);
void value_up(kernel_t *k, const value_t *value);
void value_down(kernel_t *k, const value_t *value);
held_t *held_new(kernel_t *k, kvat_t *vat, kref_t kref, uint64_t flags, uint64_t since_d);
void held_import(kernel_t *k, held_t *held);
void held_drop(kernel_t *k, held_t *held);
void held_forget(kernel_t *k, held_t *held, uint64_t d, bool anyway);
held_t *held_introduce(kernel_t *k, kvat_t *vat, kref_t kref, uint64_t d);
void held_reach(kernel_t *k, held_t *held, bool reachable);
bool held_told(const held_t *held);
void collect(kernel_t *k);

/* ---- promise.c: deciders, and what settling sets off ---- */
void promise_list(kvat_t *vat, promise_t *promise);
void promise_decide(kernel_t *k, promise_t *promise, kvat_t *vat, uint64_t d);
void promise_settle(kernel_t *k, promise_t *promise, bool rejected, value_t *value, cause_t cause);
void promise_free(promise_t *promise);

/* ---- entry.c: queue entries, and the log rows that they become ---- */
entry_t *entry_new(kernel_t *k, unsigned kind, kref_t target, kref_t result, value_t *value,
                   cause_t cause);
void entry_destroy(entry_t **self_p);
void entry_release(kernel_t *k, entry_t *entry);
void notify_push(kernel_t *k, vat_t vat, promise_t *promise, cause_t cause);
void parameters_introduce(kernel_t *k, kvat_t *vat, const log_t *log);
void log_release(kernel_t *k, log_t *log);
log_t *log_new(kernel_t *k, const kvat_t *vat, const entry_t *entry, size_t kref_count);
log_t *log_parameters(kernel_t *k, const kvat_t *vat, const entry_t *entry);
void log_bytes(kernel_t *k, log_t *log, msg_tag_t tag, const void *body);
uint64_t stamp(const kernel_t *k, const kvat_t *vat);

/* ---- hold.c: results that a client may still await ---- */
hold_t *hold_new(kernel_t *k, kref_t kref, uint64_t cluster);
void hold_drop(kernel_t *k, hold_t *hold);
void hold_answered(kernel_t *k, promise_t *promise);
void hold_settled(kernel_t *k, promise_t *promise);

/* Holds whose answer left with an earlier flush end. DUE: there are such. */
void holds_end(kernel_t *k);
bool holds_due(const kernel_t *k);

/* ---- pin.c: PIN, REVOKE ---- */
uint64_t object_own_pins(const kernel_t *k, const object_t *object);
void object_pin(kernel_t *k, object_t *object);
void object_unpin(kernel_t *k, object_t *object);
void on_pin(kernel_t *k, uint32_t client, const msg_pin_t *msg);
void on_revoke(kernel_t *k, uint32_t client, const msg_revoke_t *msg);
