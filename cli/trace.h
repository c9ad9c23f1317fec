/* The tree of one thing, from the broker to who asked. */
#pragma once
#include "cli/cli.h"
#include "cli/link.h"

/* Writes the tree of what ASK names to OUT, or as one JSON object to RET_JSON unless that is NULL. Fails with
 * TRACE_GONE. */
CHECKED err_t trace_tell(cli_t *cli, link_t *link, const msg_trace_t *ask, FILE *out,
                         json_t **ret_json);
