/* The result of a bench, for people and for programs. */
#pragma once
#include "cli/bench/scenario.h"

/* "12.3 ms", "980 us" */
enum { TIME_TEXT_MAX = 32 };
char *time_text(uint64_t ns, char ret[TIME_TEXT_MAX]);

void show_table(const options_t *options, const result_t *result, FILE *out);
/* One line. */
void show_line(const options_t *options, const result_t *result, FILE *out);
/* The caller owns it. */
json_t *show_json(const options_t *options, const result_t *result);
