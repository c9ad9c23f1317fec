/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/state/state.h"

/* ---- tally.c: figures for people ---- */
const char *delivery_kind(unsigned kind);
uint64_t queue_wait(const kernel_t *k, const entry_t *entry);
