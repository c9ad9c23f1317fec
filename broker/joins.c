/* Newcomers, with a join key: a key of their own is to come onto the allow-list.
 *
 * Who has a join key can say JOIN as fast as it likes, and each new key is a line that has to be on the disk before it is
 * answered. So those that came wait for each other: one write and one sync serve all of them, and there is
 * a pause before the next. A sync costs about what a commit costs, 1 to 30 ms: ten of them a second leave the loop most of its
 * time, and nobody notices a tenth of a second at a host's first start. JOINS_WAIT_MAX is more than anybody starts in that time;
 * one connection has one place, so it takes as many connections, each with a handshake, to keep others out for so long. */
#include <stdlib.h>
#include <string.h>

#include "broker/broker_own.h"
#include "broker/io/allow.h"
#include "wire/base/hash.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum {
    JOINS_WAIT_MAX = 256,
    JOINS_PAUSE_MS = 100,
    EXPEL_PAUSE_MS =
        1000, /* the whole list is read for it; doubled up to the other while it fails */
    EXPEL_PAUSE_LAST_MS = 64 * 1000,
};

struct joins {
    size_t count;
    uint64_t next_ms; /* not before */
    bool full_said;
    struct place {
        arrival_t from; /* without its frame */
        id128_t nonce;
        hash_t key;
        size_t name_len;
        char name[NAME_BYTES_MAX];
    } places[JOINS_WAIT_MAX];
};

void joins_destroy(joins_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static void say_joined(broker_t *self, const arrival_t *to, id128_t nonce)
{
    broker_reply(self, to, TAG_joined, &(msg_joined_t){nonce});
}

static void say_refused(broker_t *self, const arrival_t *to, text_t name, err_t err)
{
    log_warn("join_refused", kv_text("name", name), kv_str("why", err_name(err)));
    broker_refuse(self, to, err, TAG_join);
}

/* The place of this connection: the one it has, or a free one; NULL: there is none. */
static struct place *place_of(joins_t *joins, const route_t *route)
{
    for (size_t i = 0; i < joins->count; i++)
        if (route_same(&joins->places[i].from.route, route)) return &joins->places[i];
    return joins->count < JOINS_WAIT_MAX ? &joins->places[joins->count++] : NULL;
}

void joins_take(broker_t *self, const arrival_t *arrival, const msg_join_t *join)
{
    if (self->is.port.admits(self->is.port.self, join->key, NULL)) {
        say_joined(self, arrival, join->nonce);
        return;
    }
    if (!self->joins) {
        self->joins = calloc(1, sizeof *self->joins);
        must(self->joins);
    }
    struct place *place = place_of(self->joins, &arrival->route);
    if (!place) {
        if (!self->joins->full_said) log_warn("joins_wait", kv_num("waiting", JOINS_WAIT_MAX));
        self->joins->full_said = true;
        broker_refuse(self, arrival, ERR_JOINS_WAIT, TAG_join);
        return;
    }
    place->from = *arrival;
    place->from.frame = NULL;
    place->nonce = join->nonce;
    place->key = join->key;
    place->name_len = join->name.len;
    memcpy(place->name, join->name.at, join->name.len);
}

/* ---- those that were declared gone for good ---- */

typedef struct {
    hash_t *at;
    size_t count, room;
} keys_set_t;

static void add_key(void *context, hash_t key)
{
    keys_set_t *set = context;
    if (set->count == set->room) {
        set->room = set->room ? 2 * set->room : 16;
        set->at = reallocarray(set->at, set->room, sizeof *set->at);
        must(set->at);
    }
    set->at[set->count++] = key;
}

static keys_set_t gone_for_good(const broker_t *self)
{
    keys_set_t set = {0};
    kernel_disavowed(self->kernel, add_key, &set);
    if (set.count) qsort(set.at, set.count, sizeof *set.at, allow_order);
    return set;
}

static void count_key(void *context, hash_t key)
{
    (void)key;
    ++*(size_t *)context;
}

void joins_lost(broker_t *self)
{
    size_t count = 0;
    if (!self->is.host_loss_us) return;
    kernel_disavowed(self->kernel, count_key, &count);
    if (count != self->expel_count) joins_gone(self);
}

void joins_gone(broker_t *self)
{
    self->expel = true;
    self->expel_ms = self->expel_pause_ms = 0;
}

void joins_expel(broker_t *self)
{
    if (!self->expel || !self->is.port.expel || broker_now_ms(self) < self->expel_ms) return;
    keys_set_t gone = gone_for_good(self);
    err_t err = ERR_OK;
    if (gone.count) err = self->is.port.expel(self->is.port.self, gone.at, gone.count);
    if (err) log_warn("allow_list", kv_str("why", err_name(err)));
    free(gone.at);
    self->expel = err != ERR_OK;
    self->expel_count = gone.count;
    uint64_t pause = err && self->expel_pause_ms ? 2 * self->expel_pause_ms : EXPEL_PAUSE_MS;
    if (pause > EXPEL_PAUSE_LAST_MS) pause = EXPEL_PAUSE_LAST_MS;
    self->expel_pause_ms = err ? pause : 0;
    self->expel_ms = broker_now_ms(self) + pause;
}

/* ---- those that wait ---- */

void joins_turn(broker_t *self)
{
    joins_t *joins = self->joins;
    uint64_t now = broker_now_ms(self);
    if (!joins || joins->count == 0 || now < joins->next_ms) return;
    newcomer_t all[JOINS_WAIT_MAX];
    keys_set_t gone = gone_for_good(self);
    for (size_t i = 0; i < joins->count; i++) {
        const struct place *place = &joins->places[i];
        bool known =
            gone.count && bsearch(&place->key, gone.at, gone.count, sizeof *gone.at, allow_order);
        err_t err = known ? ERR_HOST_DISAVOWED : ERR_OK;
        all[i] = (newcomer_t){place->key, {place->name, place->name_len}, err, place->from.key};
    }
    free(gone.at);
    self->is.port.admit(self->is.port.self, all, joins->count);
    for (size_t i = 0; i < joins->count; i++) {
        const struct place *place = &joins->places[i];
        self->expel = self->expel || all[i].err == ERR_HOSTS_FULL; /* it comes again */
        if (all[i].err) {
            say_refused(self, &place->from, all[i].name, all[i].err);
        } else {
            log_info("host_joined", kv_text("name", all[i].name));
            say_joined(self, &place->from, place->nonce);
        }
    }
    joins->count = 0;
    joins->full_said = false;
    /* Behind the sync: a disk that takes long for it has its pause all the same. */
    joins->next_ms = broker_now_ms(self) + JOINS_PAUSE_MS;
}

int joins_wait_ms(const broker_t *self, int most_ms)
{
    bool waits = self->joins && self->joins->count > 0, expel = self->expel && self->is.port.expel;
    if (!waits && !expel) return most_ms;
    uint64_t now = broker_now_ms(self), next = waits ? self->joins->next_ms : UINT64_MAX;
    if (expel && self->expel_ms < next) next = self->expel_ms;
    if (next <= now) return 0;
    return next - now < (uint64_t)most_ms ? (int)(next - now) : most_ms;
}
