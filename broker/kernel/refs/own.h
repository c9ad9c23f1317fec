/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/refs/refs.h"

/* ---- refs.c: counts, authority rows, and what follows when a count reaches zero ---- */
bool value_leads_on(const kernel_t *k, const value_t *value);

/* ---- cycle.c: settled promises that only hold each other ---- */
void cycle_collect(kernel_t *k, kref_t suspect);
