/* Vats and clusters, from launch to end: what the folders above it call. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- upgrade.c ---- */
entry_t *upgrade_entry(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters, text_t message,
                       cause_t cause);
pending_t *upgrade_owe(kernel_t *k, kvat_t *vat, kref_t result);
log_t *upgrade_assign(kernel_t *k, kvat_t *vat, const entry_t *entry);
void upgrade_apply(kernel_t *k, kvat_t *vat, const log_t *log, cause_t cause);
void upgrade_done(kernel_t *k, kvat_t *vat, cause_t cause);
void upgrade_failed(kernel_t *k, kvat_t *vat, text_t why, cause_t cause);
void on_upgrade(kernel_t *k, uint32_t client, const msg_upgrade_t *msg);

/* ---- vat.c ---- */
void vat_counted(kernel_t *k, const kvat_t *vat, bool more);
void vat_free(kvat_t *vat);
void vat_busy(kernel_t *k, kvat_t *vat, bool more);
void vat_end(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, cause_t cause);
void vat_quarantine(kernel_t *k, kvat_t *vat, err_t error, const char *why);
void vat_resume(kernel_t *k, kvat_t *vat);
void vat_forget(kernel_t *k, kvat_t *vat);
void vat_push(kernel_t *k, kvat_t *vat);

/* ---- clean.c: what vats that ended leave behind ---- */
void clean_begin(kernel_t *k, kvat_t *vat);
void clean_some(kernel_t *k);
void clean_all(kernel_t *k, kvat_t *vat);

/* ---- cluster.c ---- */
void on_launch(kernel_t *k, uint32_t client, const msg_launch_t *msg);
void on_cluster_reload(kernel_t *k, uint32_t client, const msg_cluster_reload_t *msg);
void cluster_started(kernel_t *k, kcluster_t *cluster);
void cluster_free(kcluster_t *cluster);

/* ---- cluster_end.c ---- */
void on_cluster_rm(kernel_t *k, uint32_t client, const msg_cluster_rm_t *msg);
bool clusters_end_doomed(kernel_t *k);
