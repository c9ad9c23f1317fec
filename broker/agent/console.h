/* Our standard input, shared by all channels of type console: a unit goes to the read that was asked first,
 * whichever channel it was for. It is read only when somebody waits. */
#pragma once
#include <poll.h>

#include "broker/agent/intake.h"
#include "broker/agent/told.h"

typedef struct console console_t;

/* FD is borrowed. The caller owns it. */
console_t *console_new(int fd, const told_t *told);
void console_destroy(console_t **self_p);

/* Asks for the next unit; null when there will be none. CHANNEL is only compared. */
void console_read(console_t *self, const void *channel, unit_t unit, uint64_t errand);

/* CHANNEL closes: what it waits for is answered null. */
void console_leave(console_t *self, const void *channel);

/* What to poll; false: nothing. */
bool console_wants(const console_t *self, struct pollfd *ret);
void console_polled(console_t *self);
