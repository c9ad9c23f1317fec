/* Hosts, and what they keep of vats: checkpoints, copies, moves. What the folders above it call. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- host.c ---- */
void on_host(kernel_t *k, const input_t *input);

/* ---- hosts.c: sessions of hosts, their states, placement ---- */
void host_free(khost_t *host);
void on_host_gone(kernel_t *k, uint32_t from);
void on_host_change(kernel_t *k, uint32_t client, const msg_host_change_t *msg);
void hosts_go_on(kernel_t *k);
void hosts_lose(kernel_t *k);
uint64_t hosts_wake_us(const kernel_t *k);

/* ---- mirror.c: copies of checkpoints at the broker ---- */
void on_mirrored(kernel_t *k, const input_t *input);
void on_unmirrored(kernel_t *k, const input_t *input);
void on_backup(kernel_t *k, uint32_t client, const msg_backup_t *msg);
void on_backed_up(kernel_t *k, const input_t *input);

/* ---- make.c: checkpoints that a client waits for ---- */
void on_checkpoint_make(kernel_t *k, uint32_t client, const msg_checkpoint_make_t *msg);

/* ---- move.c: vats that move, or are brought back ---- */
void on_move(kernel_t *k, uint32_t client, const msg_move_t *msg);

/* ---- checkpoint.c: what a vat can start from, and how much log is kept for it ---- */
uint64_t superfluous(const kernel_t *k, const kvat_t *vat);
void checkpoint_look(kernel_t *k, kvat_t *vat);
void trim_some(kernel_t *k);
