#include "broker/peers.h"

#include <stdlib.h>

#include "wire/base/must.h"

enum { BUCKETS = 4096 };

struct peers {
    peer_t *by_route[BUCKETS], *by_number[BUCKETS];
    size_t count;
};

/* Clients and readers have numbers of one series. */
static bool same_side(door_t a, door_t b) { return (a == DOOR_HOSTS) == (b == DOOR_HOSTS); }

static size_t route_bucket(door_t door, const route_t *route)
{
    uint32_t fnv = 2166136261u ^ (uint32_t)door;
    for (size_t i = 0; i < route->len; i++) fnv = (fnv ^ route->at[i]) * 16777619u;
    return fnv % BUCKETS;
}

static size_t number_bucket(door_t door, uint32_t number)
{
    return (2 * (size_t)number + (door != DOOR_HOSTS)) % BUCKETS;
}

peers_t *peers_new(void)
{
    peers_t *self = calloc(1, sizeof *self);
    must(self);
    return self;
}

void peers_destroy(peers_t **self_p)
{
    peers_t *self = *self_p;
    if (!self) return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (self->by_route[i]) peers_remove(self, self->by_route[i]);
    }
    free(self);
    *self_p = NULL;
}

peer_t *peers_find(const peers_t *self, door_t door, const route_t *route)
{
    peer_t *peer = self->by_route[route_bucket(door, route)];
    while (peer && !(peer->door == door && route_same(&peer->route, route))) peer = peer->by_route;
    return peer;
}

peer_t *peers_at(const peers_t *self, door_t door, uint32_t number)
{
    if (number == 0) return NULL;
    peer_t *peer = self->by_number[number_bucket(door, number)];
    while (peer && !(same_side(peer->door, door) && peer->number == number)) peer = peer->by_number;
    return peer;
}

peer_t *peers_add(peers_t *self, door_t door, const route_t *route)
{
    peer_t *peer = peers_find(self, door, route);
    if (peer) return peer;
    peer = calloc(1, sizeof *peer);
    must(peer);
    peer->door = door;
    peer->route = *route;
    peer_t **bucket = &self->by_route[route_bucket(door, route)];
    peer->by_route = *bucket;
    *bucket = peer;
    self->count++;
    return peer;
}

void peers_number(peers_t *self, peer_t *peer, uint32_t number)
{
    if (peer->number) {
        peer_t **at = &self->by_number[number_bucket(peer->door, peer->number)];
        while (*at != peer) at = &(*at)->by_number;
        *at = peer->by_number;
    }
    peer->number = number;
    if (number) {
        peer_t **bucket = &self->by_number[number_bucket(peer->door, number)];
        peer->by_number = *bucket;
        *bucket = peer;
    }
}

void peers_remove(peers_t *self, peer_t *peer)
{
    peers_number(self, peer, 0);
    peer_t **at = &self->by_route[route_bucket(peer->door, &peer->route)];
    while (*at != peer) at = &(*at)->by_route;
    *at = peer->by_route;
    stage_clear(&peer->stage);
    free(peer);
    self->count--;
}

size_t peers_count(const peers_t *self) { return self->count; }

void peers_each(peers_t *self, peer_visit_t *visit, void *context)
{
    for (size_t i = 0; i < BUCKETS && self->count; i++) {
        for (peer_t *peer = self->by_route[i], *next; peer; peer = next) {
            next = peer->by_route;
            visit(context, peer);
        }
    }
}
