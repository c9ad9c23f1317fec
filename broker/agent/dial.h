/* Connects to host:port without waiting for names or for the other end. */
#pragma once
#include "broker/agent/web.h"
#include "wire/base/bytes.h"

typedef struct dial dial_t;

/* Told once. FD, not blocking, is the taker's; -1: it failed, and WHY says how. The dial may be
 * destroyed meanwhile. */
typedef void dialled_t(void *context, int fd, const char *why);

/* NULL: PLACE is no host:port. The caller owns it. */
dial_t *dial_new(web_t *web, const char *place, dialled_t *done, void *context);
void dial_destroy(dial_t **self_p);
