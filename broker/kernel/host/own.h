/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/host/host.h"

/* ---- hosts.c: sessions of hosts, their states, placement ---- */
void on_hello(kernel_t *k, hash_t key, const msg_hello_t *msg);
bool host_speaks(kernel_t *k, uint32_t from, msg_tag_t tag);
void on_present(kernel_t *k, uint32_t from, const msg_present_t *msg);

/* ---- mirror.c: copies of checkpoints at the broker ---- */
void on_ready(kernel_t *k, uint32_t from, const msg_checkpoint_ready_t *msg);
bool mirror_lets_trim(const kernel_t *k, const kvat_t *vat, uint64_t *most);
void mirror_trimmed(kernel_t *k, kvat_t *vat);
void mirror_applied(kernel_t *k, kvat_t *vat, uint64_t d, hash_t chain);
void ship_ask(kernel_t *k, kvat_t *vat);
void ship_attached(kernel_t *k, const kvat_t *vat);
void backup_goes_on(kernel_t *k);

/* When it is not waited for any longer; UINT64_MAX: never. Ends one that is late. */
uint64_t backup_wake_us(const kernel_t *k);
void backup_late(kernel_t *k);

/* ---- make.c: checkpoints that a client waits for ---- */
bool makes_ship(const kvat_t *vat);
void makes_look(kernel_t *k, kvat_t *vat);

/* ---- move.c: vats that move, or are brought back ---- */
void move_mirrored(kernel_t *k, kvat_t *vat);
void move_attached(kernel_t *k, kvat_t *vat);
CHECKED bool move_anew(kernel_t *k, kvat_t *vat);
const char *vats_drain(kernel_t *k, khost_t *host);
void vats_bring_back(kernel_t *k, khost_t *host);
void vats_adopt(kernel_t *k);
uint64_t adopt_wake_us(const kernel_t *k);

/* ---- checkpoint.c: what a vat can start from, and how much log is kept for it ---- */
void on_checkpoint(kernel_t *k, uint32_t from, const msg_checkpoint_t *msg);
bool checkpoint_agrees(kernel_t *k, kvat_t *vat, const msg_attach_t *msg, hash_t chain);
bool checkpoint_chain_at(const kernel_t *k, const kvat_t *vat, uint64_t d, hash_t *ret);
