/* Requests of clients: what the step calls. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- client.c ---- */
void on_client(kernel_t *k, uint32_t client, const msg_t *msg);
void on_client_gone(kernel_t *k, uint32_t client);
void client_idle(kernel_t *k);
