/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/refs/refs.h"

/* ---- cycle.c: settled promises that only hold each other ---- */
void cycle_collect(kernel_t *k, kref_t suspect);
