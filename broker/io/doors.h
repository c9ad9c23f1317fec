/* The broker's sockets: hosts (tcp + CURVE), clients (ipc), and those who only read (ipc, if wanted). The only user of
 * czmq here.
 *
 *   D1  no socket is bound before the ZAP handler has refused a key that nobody knows; when it ends
 *       by itself the process aborts (without a handler libzmq would let everybody in);
 *   D2  the key of a message is what the ZAP handler said about its connection, never what the peer
 *       says; and it is looked up in the allow-list again for each message;
 *   D3  a routing id is an address, not a name: no handover, so nobody takes over another's mail;
 *   D4  the control socket has mode 0600 in a directory that others cannot write, and so has that of readers;
 *   D5  readers keep nobody waiting: of what they say a few frames are taken at a time, and one who does not read the
 *       answers is cut off.
 *
 * One thread; one instance per process. */
#pragma once
#include "broker/io/allow.h"
#include "broker/io/keeper.h"
#include "broker/io/port.h"
#include "wire/base/keyfile.h"

typedef struct doors doors_t;

/* All of it is borrowed for the life of the doors. */
typedef struct {
    const char *listen;  /* tcp://127.0.0.1:* */
    const char *control; /* ipc://PATH; NULL: none */
    const keys_t *keys;
    allow_t *allow;
    allow_t *join;            /* keys that may put others on the allow-list; NULL: there are none */
    keeper_t *keeper;         /* NULL: there are no agents */
    const char *control_read; /* ipc://PATH; NULL: there is no door for readers */
} doors_options_t;

/* Makes doors that are closed: nothing is bound, nothing arrives. The caller owns them. */
doors_t *doors_new(const doors_options_t *options);

/* Starts the handler, proves it, binds all; once. Fails with ADDRESS_IN_USE, BAD_VALUE or KEY_FILE
 * (the directory of the control socket); doors_why() then names the endpoint and says why. */
CHECKED err_t doors_open(doors_t *self);
const char *doors_why(const doors_t *self);

/* Closes all; answers to clients get half a second to leave. */
void doors_destroy(doors_t **self_p);

/* The endpoint of DOOR with its real port; empty until it is open, and in the same place always. */
const char *doors_endpoint(const doors_t *self, door_t door);

/* May be made before the doors are open; only send() has to wait for that. */
port_t doors_port(doors_t *self);
