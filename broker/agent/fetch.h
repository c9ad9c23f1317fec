/* HTTP requests of vats.
 *
 *   F1  no byte goes to a host that the vat's list does not have, redirected or not: the name that is compared
 *       is the one that curl connects to, as curl itself has read it;
 *   F2  each request is answered once;
 *   F3  what one may take is bounded: FETCH_MS, and the limits of request.h and answer.h; FETCHES_MAX go on at
 *       once, the others wait in the order in which they came.
 *
 * What a vat sends and gets: README.md. */
#pragma once
#include "broker/agent/told.h"
#include "broker/agent/web.h"
#include "wire/smallcaps/smallcaps.h"

enum {
    FETCHES_MAX = 32,
    FETCH_HOPS_MAX = 20,
    FETCH_MS = 5 * 60 * 1000,
};

typedef struct fetches fetches_t;

/* Both are borrowed. The caller owns it. */
fetches_t *fetches_new(web_t *web, const told_t *told);
void fetches_destroy(fetches_t **self_p);

/* Begins a request, or lets it wait. ARGUMENTS is the array that AGENT_ASK carries, HOSTS the names that it
 * may go to. Copies what it needs. */
void fetches_add(fetches_t *self, uint64_t errand, text_t hosts, node_t arguments);
