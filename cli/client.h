/* What the commands that talk to a running broker share. */
#pragma once
#include "cli/cli.h"
#include "cli/link.h"

enum { LAUNCH_MS = 120 * 1000 }; /* vats may take their time to start */

/* The broker that the flags name: -e, VATYARD_ENDPOINT, or the one of the instance. */
link_t *client_link(cli_t *cli);

/* Waits for PROMISE and prints what it is settled with: the value alone, or one JSON object. Sets
 * cli->exit to 8 when it is rejected. MS: --timeout, or for ever. */
CHECKED err_t client_await(cli_t *cli, link_t *link, kref_t promise, json_t **ret_json);
