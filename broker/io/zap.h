/* The ZAP handler (RFC 27): libzmq asks it about every connection to a CURVE socket. It answers 200
 * with the key in Z85 as User-Id when the allow-list has the key, or the list of join keys, 400 to
 * everything else.
 *
 * A thread of its own, since libzmq asks while the broker is busy. It ends the process when it
 * fails: a socket without a handler is open to everybody. */
#pragma once
#include "broker/io/allow.h"

#define ZAP_DOMAIN "vatyard"

typedef struct zap zap_t;

/* JOIN may be NULL. Starts the handler and proves that it answers, and that it refuses a key that is not on the list. */
zap_t *zap_new(allow_t *allow, allow_t *join);
void zap_destroy(zap_t **self_p);
