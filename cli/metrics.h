/* Prometheus' text format (version 0.0.4) of what the broker counted and measured.
 *
 * Base units: seconds and bytes. No label has a kref, a method or a vat's name in it: there would be no end of them.
 * Histograms have the same buckets everywhere, 50 us to 10 s; the broker knows a value to one part in 32, so
 * one that is so close to a bucket's bound may count on its other side. */
#pragma once
#include "cli/stats.h"

/* Appends the whole of it to OUT. Fails with WIRE_LIMIT when OUT is full. */
CHECKED err_t metrics_add(const stats_t *stats, buf_t *out);
