/* The audit, and the names that workers are asked for: what the step calls. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- names.c: AUDIT ---- */
bool audits_late(const kernel_t *k, uint64_t now_us);
void audits_go_on(kernel_t *k);
