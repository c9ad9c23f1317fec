/* What is said upwards. A folder calls those below it, through their headers; the functions here, and no others, are
 * called from below: something has happened that those above must hear of, or a vat asks for what is theirs to do.
 * broker/kernel/README.md has the order. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- audit/names.c: AUDIT ---- */
void on_audit(kernel_t *k, uint32_t client, const msg_audit_t *msg);
void on_names(kernel_t *k, uint32_t from, const msg_names_t *msg);
void audits_without(kernel_t *k, uint32_t client); /* 0: all of them go */

/* ---- client/client.c ---- */
void client_settled(kernel_t *k, promise_t *promise);

/* ---- host/host.c ---- */
void send_rows(kernel_t *k, const kvat_t *vat, uint64_t first, uint64_t last);
kvat_t *vat_speaker(const kernel_t *k, uint32_t from, vat_t id, uint64_t pgen, uint64_t run);

/* ---- host/hosts.c: sessions of hosts, their states, placement ---- */
khost_t *host_roomiest(const kernel_t *k, const khost_t *like);

/* ---- host/mirror.c: copies of checkpoints at the broker ---- */
void mirror_drop(kernel_t *k, kvat_t *vat);

/* ---- host/make.c: checkpoints that a client waits for ---- */
void makes_fail(kernel_t *k, kvat_t *vat, bool shipped, err_t err, const char *why);
void makes_free(kvat_t *vat);

/* ---- host/move.c: vats that move, or are brought back ---- */
void move_fail(kernel_t *k, kvat_t *vat, err_t err, const char *why);

/* ---- host/checkpoint.c: what a vat can start from, and how much log is kept for it ---- */
void checkpoint_is(kernel_t *k, kvat_t *vat, uint64_t d, hash_t chain);
void checkpoint_applied(kernel_t *k, kvat_t *vat);
void trim_end(kernel_t *k, kvat_t *vat);

/* ---- crank/gc.c: what a vat must be told of, and when ---- */
void gc_look(kernel_t *k, object_t *object);
void gc_end(kvat_t *vat);

/* ---- crank/assign.c: from queues to logs ---- */
void serial_next(kernel_t *k, kcluster_t *cluster);

/* ---- crank/history.c: LOG_GET, and replays that went another way ---- */
void divergence_end(kernel_t *k, kvat_t *vat);

/* ---- crank/poison.c: deliveries that their worker does not survive ---- */
void held_again(kernel_t *k, held_t *held, uint64_t d, bool forgot);

/* ---- vat/globals.c: what a vat may ask for ---- */
CHECKED err_t globals_check(const kernel_t *k, uint64_t vat, text_t names, text_t hosts, char *why,
                            size_t room);

/* ---- vat/upgrade.c ---- */
pending_t *upgrade_push(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters,
                        text_t message, kref_t result, cause_t cause);

/* ---- vat/vat.c ---- */
void vat_ready(kernel_t *k, kvat_t *vat);
void vat_end_with(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, bool rejected,
                  value_t *value, cause_t cause);

/* ---- vat/cluster.c ---- */
kcluster_t *cluster_launch(kernel_t *k, const msg_launch_t *msg, char *why, size_t room);
kvat_t *vat_make(kernel_t *k, kcluster_t *cluster, const msg_launch_vat_t *row, uint64_t host,
                 value_t *parameters, bool dynamic, cause_t cause);

/* ---- vat/cluster_end.c ---- */
void cluster_end(kernel_t *k, kcluster_t *cluster, cause_t cause);
void cluster_doom(kernel_t *k, kcluster_t *cluster);

/* ---- service/service.c: objects of the kernel ---- */
void service_bury(kernel_t *k, service_t *service);

/* ---- service/pending.c: answers that the kernel owes ---- */
void pendings_settled(kernel_t *k, promise_t *promise, cause_t cause);
