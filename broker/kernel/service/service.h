/* Objects of the kernel itself, answers that it owes, timers, what the agent does: what the folders above it call. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- service.c: objects of the kernel ---- */
service_t *service_new(kernel_t *k, service_kind_t kind, const kcluster_t *cluster,
                       const kvat_t *vat, text_t text);
void service_link(kernel_t *k, service_t *service);
void service_ended(kernel_t *k, service_t *service, bool rejected, value_t *value);
void service_free(service_t *service);
void service_run(kernel_t *k, service_t *service, entry_t *entry);

/* ---- pending.c: answers that the kernel owes ---- */
pending_t *pending_new(kernel_t *k, unsigned kind, kref_t promise, kvat_t *vat, kref_t watched);
void pending_link(kernel_t *k, pending_t *pending);
void pending_settle(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause);
void pending_free(pending_t *pending);
pending_t *pending_of_vat(const kvat_t *vat, unsigned kind);
void pendings_vat_started(kernel_t *k, kvat_t *vat, cause_t cause);
void pendings_vat_ended(kernel_t *k, kvat_t *vat, bool rejected, value_t *value, cause_t cause);

/* ---- timer.c ---- */
void timer_link(kernel_t *k, ktimer_t *timer);
ktimer_t *timeout_find(const kernel_t *k, const kvat_t *vat, uint64_t number);
void timers_fire(kernel_t *k);
uint64_t timers_wake_us(const kernel_t *k);
bool timers_due(const kernel_t *k, uint64_t now_us);
void timers_without_vat(kernel_t *k, const kvat_t *vat);
void timers_without_cluster(kernel_t *k, uint64_t cluster);
uint64_t time_after(uint64_t ms, uint64_t more);

/* ---- service_facet.c ---- */
void facet_started(kernel_t *k, const kcluster_t *cluster, kref_t bootstrap);
void facet_failed(kernel_t *k, const kcluster_t *cluster, const kvat_t *vat);

/* ---- facet_config.c: what a cluster was launched with ---- */
bool bundle_hash(text_t text);

/* ---- errand.c: what the agent does outside ---- */
void errand_free(errand_t *errand);
void agent_resume(kernel_t *k);
void on_agent(kernel_t *k, const msg_t *msg);
void on_agent_gone(kernel_t *k);
void errands_without_vat(kernel_t *k, const kvat_t *vat);
void errands_loaded(kernel_t *k);

/* ---- service_channel.c: IO channels ---- */
void channels_open(kernel_t *k, kcluster_t *cluster);
void channels_close(kernel_t *k, kcluster_t *cluster);
