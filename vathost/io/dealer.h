/* The host's end of its link to the broker: one DEALER socket, encrypted and authenticated by CURVE.
 * The only user of czmq on this side.
 *
 *   N1  a link is one connection: when it ends the socket is thrown away with all that was in it,
 *       and a new one is made; nothing of an old session can arrive in the next;
 *   N2  a frame is sent on an established link or not at all;
 *   N3  a frame larger than a part travels as several, and arrives as one.
 *
 * libzmq has threads of its own: fork before the first dealer_open(), not after. */
#pragma once
#include "wire/base/keyfile.h"

typedef struct dealer dealer_t;

typedef enum {
    DEALER_NOTHING, /* nothing has happened; poll the descriptors */
    DEALER_UP,      /* the connection stands: say HELLO */
    DEALER_DOWN,    /* it is gone; dealer_open() makes the next attempt */
    DEALER_REFUSED, /* the broker does not take our key; dealer_open() tries again */
    DEALER_FRAME,   /* RET is a frame, borrowed until the next call */
} dealer_event_t;

/* ENDPOINT, SERVER_KEY (Z85) and KEYS are borrowed for its life. The caller owns it. */
dealer_t *dealer_new(const char *endpoint, const char *server_key, const keys_t *keys);
void dealer_destroy(dealer_t **self_p);

/* Throws away the socket, if there is one, and begins to connect a new one; libzmq tries until the
 * broker is there. Fails with BAD_VALUE: ENDPOINT is none. */
CHECKED err_t dealer_open(dealer_t *self);

/* From the next dealer_open() on: another pair of our own. Borrowed. */
void dealer_keys(dealer_t *self, const keys_t *keys);

/* What to poll for reading, both. They signal changes only: poll after dealer_take() said NOTHING
 * and nothing was sent since. They change with dealer_open(). */
enum { DEALER_FDS = 2 };
void dealer_fds(const dealer_t *self, int ret[DEALER_FDS]);

/* What happened next. */
dealer_event_t dealer_take(dealer_t *self, bin_t *ret);

/* False: the link is not up, and the frame is gone. */
bool dealer_send(dealer_t *self, bin_t frame);
