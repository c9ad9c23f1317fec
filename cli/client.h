/* What the commands that talk to a running broker share. */
#pragma once
#include <limits.h>

#include "cli/cli.h"
#include "cli/link.h"

enum { LAUNCH_MS = 120 * 1000 }; /* vats may take their time to start */

/* The endpoint of the broker that the flags name: -e, VATYARD_ENDPOINT, or that of the instance. */
enum { CLIENT_ENDPOINT_MAX = PATH_MAX };
void client_endpoint(const cli_t *cli, char ret[CLIENT_ENDPOINT_MAX]);

/* A connection to it, within --timeout, or without that USUAL_MS; nobody waits longer than ANSWER_MS for one. */
link_t *client_link_within(cli_t *cli, unsigned usual_ms);
/* The same, within ANSWER_MS. */
link_t *client_link(cli_t *cli);

/* Sends a message; the promise of its answer to RET, none with NO_RESULT. Fails with REF_UNKNOWN and as
 * link_ask(). */
CHECKED err_t client_send(link_t *link, kref_t target, const capdata_t *methargs, bool no_result,
                          kref_t *ret, fail_t *f);

/* Waits for what PROMISE is settled with: --timeout, or for ever. RET lives until the next request. Fails
 * with REF_UNKNOWN, and with TIMED_OUT, also when a signal came in. */
CHECKED err_t client_settle(cli_t *cli, link_t *link, kref_t promise, const msg_settled_t **ret);

/* What a promise (none: 0) was settled with, as one JSON object. */
json_t *client_settled_json(kref_t promise, bool rejected, const capdata_t *value);
/* The same for people: "rejected: " before a reason, no end of line. What a vat says cannot drive a
 * terminal. */
CHECKED err_t client_show(cli_t *cli, bool rejected, const capdata_t *value, FILE *out);

/* Waits for PROMISE and prints what it is settled with: the value alone, or one JSON object. Sets
 * cli->exit to 8 when it is rejected. MS: --timeout, or for ever. */
CHECKED err_t client_await(cli_t *cli, link_t *link, kref_t promise, json_t **ret_json);
