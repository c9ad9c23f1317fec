/* Checkpoints as files: copies that workers made and that the broker fetches, and those that a vat which
 * was moved here begins with.
 *
 * A copy is announced (CHECKPOINT_READY) when its hash is known, again in each session, and goes when the
 * broker asks behind its end. A newer one takes the place of one that nobody has begun to fetch: so of
 * a vat there are two at most, and one that is made more often than it can be fetched arrives still. */
#include <stdlib.h>

#include "vathost/guests_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/hash.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum { RETRY_MS = 2000, GONE_MS = 10 * 1000, HASH_PIECES = 8 };

/* ---- on the way out ---- */

static bool names_ship(const ship_t *ship, vat_t vat, uint64_t pgen, uint64_t d)
{
    return ship->copy.vat.n == vat.n && ship->copy.pgen == pgen && ship->copy.d == d;
}

static ship_t *ship_find(const guests_t *self, vat_t vat, uint64_t pgen, uint64_t d)
{
    ship_t *ship = self->ships;
    while (ship && !names_ship(ship, vat, pgen, d)) ship = ship->next;
    return ship;
}

static void ship_drop(guests_t *self, ship_t *ship)
{
    ship_t **at = &self->ships;
    while (*at != ship) at = &(*at)->next;
    *at = ship->next;
    vault_copy_delete(self->options.vault, ship->copy);
    hasher_destroy(&ship->hasher);
    free(ship);
}

static void say_ready(guests_t *self, const ship_t *ship)
{
    msg_checkpoint_ready_t ready = {ship->copy.vat, ship->copy.pgen, ship->copy.d,
                                    ship->chain,    ship->hash,      ship->total};
    FAILPOINT(vathost_tells_ready);
    guests_tell_broker(self, TAG_checkpoint_ready, &ready);
}

bool ship_made(guests_t *self, const msg_checkpoint_file_t *msg)
{
    const copy_t copy = {msg->vat, msg->pgen, msg->d};
    uint64_t total;

    for (ship_t *ship = self->ships, *next; ship; ship = next) {
        next = ship->next;
        bool same = names_ship(ship, copy.vat, copy.pgen, copy.d);
        if (same || (ship->copy.vat.n == copy.vat.n && !ship->asked)) ship_drop(self, ship);
    }
    if (!vault_copy_take(self->options.vault, copy, &total)) return false;
    FAILPOINT(vathost_took_copy);
    ship_t *ship = calloc(1, sizeof *ship);
    must(ship);
    *ship = (ship_t){self->ships, copy, msg->chain, .total = total, .hasher = hasher_new()};
    self->ships = ship;
    return true;
}

/* Hashes a little more of SHIP. */
static void ship_hash(guests_t *self, ship_t *ship)
{
    for (int i = 0; i < HASH_PIECES && ship->hashed < ship->total; i++) {
        bin_t piece = vault_copy_read(self->options.vault, ship->copy, ship->hashed);
        if (!piece.len) {
            log_error("checkpoint_copy", kv_num("vat", ship->copy.vat.n),
                      kv_num("d", ship->copy.d));
            ship_drop(self, ship);
            return;
        }
        hasher_add(ship->hasher, piece);
        ship->hashed += piece.len;
    }
    if (ship->hashed < ship->total) return;
    ship->hash = hasher_end(&ship->hasher);
    say_ready(self, ship);
}

bool ship_work(guests_t *self)
{
    ship_t *ship = self->ships;
    while (ship && !ship->hasher) ship = ship->next;
    if (ship) ship_hash(self, ship);
    return ship != NULL;
}

void ship_session(guests_t *self)
{
    for (ship_t *ship = self->ships; ship; ship = ship->next) {
        ship->asked = false;
        if (!ship->hasher) say_ready(self, ship);
    }
}

void ship_end(guests_t *self, vat_t vat, uint64_t pgen)
{
    for (ship_t *ship = self->ships, *next; ship; ship = next) {
        next = ship->next;
        if (ship->copy.vat.n == vat.n && ship->copy.pgen <= pgen) ship_drop(self, ship);
    }
}

void ship_end_all(guests_t *self)
{
    while (self->ships) ship_drop(self, self->ships);
}

void ship_get(guests_t *self, const msg_checkpoint_get_t *get)
{
    msg_checkpoint_part_t part = {
        .vat = get->vat, .pgen = get->pgen, .d = get->d, .offset = get->offset};
    ship_t *ship = ship_find(self, get->vat, get->pgen, get->d);
    if (ship && ship->hasher) ship = NULL; /* it was not announced */
    if (ship && get->offset >= ship->total) {
        FAILPOINT(vathost_copy_fetched);
        ship_drop(self, ship);
        return;
    }
    if (ship) {
        ship->asked = true;
        part.data = vault_copy_read(self->options.vault, ship->copy, get->offset);
        part.total = part.data.len ? ship->total : 0;
        if (!part.data.len) ship_drop(self, ship);
    }
    guests_tell_broker(self, TAG_checkpoint_part, &part);
}

/* ---- on the way in ---- */

static void pull_free(pull_t *pull)
{
    arrival_destroy(&pull->arrival);
    free(pull);
}

void pull_end(guest_t *guest)
{
    if (guest->pull) pull_free(guest->pull);
    guest->pull = NULL;
}

void pull_note(guests_t *self, guest_t *guest, const msg_vat_new_t *msg)
{
    if (!msg->checkpoint || vault_has(self->options.vault, guest->vat, guest->pgen)) return;

    bool same = guest->pull && guest->pull->d == msg->checkpoint &&
                hash_same(guest->pull->hash, msg->checkpoint_hash) &&
                guest->pull->total == msg->checkpoint_bytes;
    if (same) return;
    pull_end(guest);
    guest->start_at_ms = 0; /* what was waited for is another one */
    guest->pull = calloc(1, sizeof *guest->pull);
    must(guest->pull);
    guest->pull->d = msg->checkpoint;
    guest->pull->total = msg->checkpoint_bytes;
    guest->pull->hash = msg->checkpoint_hash;
}

static err_t pull_open(guests_t *self, guest_t *guest)
{
    char path[PATH_BYTES_MAX], part[PATH_BYTES_MAX];
    pull_t *pull = guest->pull;
    if (pull->arrival) return ERR_OK;
    vault_path(self->options.vault, guest->vat, guest->pgen, path);
    vault_pull_path(self->options.vault, guest->vat, guest->pgen, part);
    return arrival_new(path, part, pull->total, pull->hash, &pull->arrival);
}

static void pull_ask(guests_t *self, const guest_t *guest)
{
    msg_checkpoint_get_t get = {guest->vat, guest->pgen, guest->pull->d,
                                arrival_come(guest->pull->arrival)};
    guests_tell_broker(self, TAG_checkpoint_get, &get);
}

static void pull_again(guest_t *guest, const char *why, uint64_t at_ms)
{
    log_warn("checkpoint_fetch", kv_num("vat", guest->vat.n), kv_num("d", guest->pull->d),
             kv_str("why", why));
    guest->pull->asked = false;
    guests_start_later(guest, at_ms);
}

bool pull_of_start(guests_t *self, guest_t *guest, uint64_t now_ms)
{
    if (guest->pull && vault_has(self->options.vault, guest->vat, guest->pgen)) pull_end(guest);
    if (!guest->pull) return true;
    err_t err = pull_open(self, guest);
    if (err) {
        pull_again(guest, err_name(err), now_ms + RETRY_MS);
    } else if (!guest->pull->asked) {
        guest->pull->asked = true;
        pull_ask(self, guest);
    }
    return false;
}

void pull_session(guests_t *self)
{
    for (const guest_t *guest = self->awake; guest; guest = guest->next) {
        if (guest->pull && guest->pull->asked) pull_ask(self, guest);
    }
}

void pull_part(guests_t *self, const msg_checkpoint_part_t *msg, uint64_t now_ms)
{
    guest_t *guest = map_get(&self->guests, msg->vat.n);
    if (!guest || guest->pgen != msg->pgen || !guest->pull || !guest->pull->asked) return;
    pull_t *pull = guest->pull;
    if (pull->d != msg->d) return;
    if (!msg->total) {
        /* VAT_NEW names another when it has one. */
        pull_again(guest, "the broker has no such checkpoint", now_ms + GONE_MS);
        return;
    }
    switch (arrival_add(pull->arrival, msg->offset, msg->data)) {
    case ARRIVAL_OTHER: break;
    case ARRIVAL_MORE: pull_ask(self, guest); break;
    case ARRIVAL_FULL: pull_again(guest, err_name(ERR_STORE_FULL), now_ms + RETRY_MS); break;
    case ARRIVAL_WRONG:
        arrival_destroy(&pull->arrival);
        pull_again(guest, "it did not come whole", now_ms + RETRY_MS);
        break;
    case ARRIVAL_DONE:
        pull_end(guest);
        guests_start(self, guest, now_ms);
        break;
    }
}
