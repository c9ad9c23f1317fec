/* How much room the disk has left, and what is taken in meanwhile (B6).
 *
 * A full disk is waited for too (B3), but then nobody is answered any more; so work stops growing before
 * that. Two levels: when room is LOW, clients may not ask for what makes the state larger, while vats go
 * on, whose checkpoints make it smaller; when there is NONE for a whole batch, hosts and timers wait. */
#include <string.h>

#include "broker/broker_own.h"
#include "wire/base/log.h"

/* Of a large disk so much, of a small one that part. NONE must be more than a batch may make of rows, log
 * and database together: a frame and some, three times over. */
enum { MIB = 1 << 20, NONE_MIB = 256, LOW_MIB = 512, NONE_PART = 20, LOW_PART = 10 };

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* A level that was reached is left with a quarter more than it takes to reach it. */
static room_t level(room_t now, uint64_t free, uint64_t total)
{
    uint64_t none = least((uint64_t)NONE_MIB * MIB, total / NONE_PART);
    uint64_t low = least((uint64_t)LOW_MIB * MIB, total / LOW_PART);
    if (free < (now == ROOM_NONE ? none + none / 4 : none)) return ROOM_NONE;
    if (free < (now != ROOM_ENOUGH ? low + low / 4 : low)) return ROOM_LOW;
    return ROOM_ENOUGH;
}

void room_look(broker_t *self)
{
    uint64_t free = 0, total = 0;
    if (self->is.room)
        self->is.room(&free, &total);
    else
        store_room(self->is.store, &free, &total);
    room_t now = level(self->room, free, total);
    if (now == self->room) return;
    if (now == ROOM_ENOUGH)
        log_info("disk_room", kv_num("free_bytes", free));
    else
        log_warn(now == ROOM_LOW ? "disk_low" : "disk_stop", kv_num("free_bytes", free),
                 kv_num("disk_bytes", total));
    self->room = now;
    if (self->is.port.hold) self->is.port.hold(self->is.port.self, now == ROOM_NONE);
}

/* What makes the state larger, and is not needed to make it smaller. */
static bool grows(msg_tag_t tag)
{
    switch (tag) {
    case TAG_bundle_put:
    case TAG_launch:
    case TAG_call:
    case TAG_upgrade:
    case TAG_cluster_reload:
    case TAG_move:
    case TAG_backup:
    case TAG_checkpoint_make: return true;
    default: return false;
    }
}

bool room_refuses(broker_t *self, const arrival_t *arrival, const msg_t *msg)
{
    if (self->room == ROOM_ENOUGH || !grows(msg->tag)) return false;
    msg_failed_t failed = {.error = ERR_STORE_LOW, .what = text_of("")};
    memcpy(&failed.request, &msg->body, sizeof failed.request); /* the first field of all of them */
    broker_reply(self, arrival, TAG_failed, &failed);
    return true;
}

#define IS_FIRST(name) _Static_assert(offsetof(msg_##name##_t, request) == 0, #name)
IS_FIRST(bundle_put);
IS_FIRST(launch);
IS_FIRST(call);
IS_FIRST(upgrade);
IS_FIRST(cluster_reload);
IS_FIRST(move);
IS_FIRST(backup);
IS_FIRST(checkpoint_make);
