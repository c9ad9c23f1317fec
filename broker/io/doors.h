/* The broker's two sockets: hosts (tcp + CURVE) and clients (ipc). The only user of czmq here.
 *
 *   D1  no socket is bound before the ZAP handler has refused a key that nobody knows; when it ends
 *       by itself the process aborts (without a handler libzmq would let everybody in);
 *   D2  the key of a message is what the ZAP handler said about its connection, never what the peer
 *       says; and it is looked up in the allow-list again for each message;
 *   D3  a routing id is an address, not a name: no handover, so nobody takes over another's mail;
 *   D4  the control socket has mode 0600 in a directory that others cannot write.
 *
 * One thread; one instance per process. */
#pragma once
#include "broker/io/allow.h"
#include "broker/io/port.h"
#include "wire/base/keyfile.h"

typedef struct doors doors_t;

typedef struct {
    const char *listen;  /* tcp://127.0.0.1:* */
    const char *control; /* ipc://PATH; NULL: none */
    const keys_t *keys;
    allow_t *allow; /* borrowed for the life of the doors */
} doors_options_t;

/* Starts the handler, proves it, binds both. Fails with ADDRESS_IN_USE, BAD_VALUE or KEY_FILE (the
 * directory of the control socket); doors_why() then names the endpoint and says why. */
CHECKED err_t doors_open(const doors_options_t *options, doors_t **ret);
const char *doors_why(const doors_t *self);

/* Closes both; answers to clients get half a second to leave. */
void doors_destroy(doors_t **self_p);

/* The endpoint of DOOR with its real port. */
const char *doors_endpoint(const doors_t *self, door_t door);

port_t doors_port(doors_t *self);
