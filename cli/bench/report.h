/* The result as one HTML file that needs nothing else: no scripts, no network; plots are inline SVG, and dark
 * where the reader's system is. It is well-formed XML too, so that a test can say so. */
#pragma once
#include "cli/bench/show.h"

void report_write(const options_t *options, const result_t *result, FILE *out);
