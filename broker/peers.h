/* Who is connected: hosts by the key they proved, clients by their connection.
 *
 * A peer is a route and what is known about it. A host's number is bound to one route at a time:
 * the newest HELLO wins, the older route is stale from then on. */
#pragma once
#include "broker/io/port.h"
#include "broker/store/store.h"

typedef struct peer {
    door_t door;
    route_t route;
    hash_t key;      /* hosts */
    uint32_t number; /* host or client number; 0: no session */
    bool stale;      /* a newer session of the same host is open */
    bool gone;       /* a send found the connection ended; told to the kernel in the next turn */
    uint64_t heard_ms, sent_ms;
    unsigned topics;                   /* clients: TOPIC_* they watch */
    stage_t stage;                     /* clients: the bundle they are pushing */
    struct peer *by_route, *by_number; /* chains of the two maps */
} peer_t;

typedef struct peers peers_t;

peers_t *peers_new(void);
void peers_destroy(peers_t **self_p);

peer_t *peers_find(const peers_t *self, door_t door, const route_t *route);
/* Who has this number: a host, or, of any other DOOR, a client or reader. */
peer_t *peers_at(const peers_t *self, door_t door, uint32_t number);

/* The peer of this route; made without a number when there was none. */
peer_t *peers_add(peers_t *self, door_t door, const route_t *route);

/* Gives PEER a number; 0 takes it away. Nobody else may have it. */
void peers_number(peers_t *self, peer_t *peer, uint32_t number);

/* Forgets PEER. */
void peers_remove(peers_t *self, peer_t *peer);

size_t peers_count(const peers_t *self);

/* Visits every peer; the visitor may remove the one it was given, and no other. */
typedef void peer_visit_t(void *context, peer_t *peer);
void peers_each(peers_t *self, peer_visit_t *visit, void *context);
