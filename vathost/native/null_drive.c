#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/native/null_own.h"
#include "wire/base/must.h"

/* What drives send in one crank leaves room for what else it has to say. One that waits for nobody
 * always sends a little, or it would never go on. */
enum { CALLS_BUDGET = 8400, BYTES_BUDGET = 16 * 1024 * 1024 };

void list_add(list_t *self, name_t name)
{
    if ((self->count & (self->count - 1)) == 0) {
        self->at = realloc(self->at, (self->count ? self->count * 2 : 1) * sizeof *self->at);
        must(self->at);
    }
    self->at[self->count++] = name;
}

drive_t *drive_new(null_engine_t *self, drive_kind_t kind, name_t result)
{
    drive_t *drive = calloc(1, sizeof *drive);
    must(drive);
    drive->id = ++self->drives_made;
    drive->kind = kind;
    drive->result = result;
    drive->window = 1;
    drive->body = buf_of(CAPDATA_BYTES_MAX);
    map_put(&self->drives, drive->id, drive);
    return drive;
}

void drive_free(drive_t *drive)
{
    free(drive->targets.at);
    free(drive->slots.at);
    buf_clear(&drive->body);
    free(drive);
}

void drive_target(drive_t *drive, name_t target) { list_add(&drive->targets, target); }

static bool has_room(const null_engine_t *self)
{
    return self->calls < CALLS_BUDGET && self->bytes < BYTES_BUDGET;
}

/* One message of DRIVE to TARGET; its promise when it is AWAITED. */
static name_t send_one(null_engine_t *self, drive_t *drive, name_t target, bool awaited)
{
    name_t result = {0}, fresh;
    list_t slots = drive->slots;

    if (slots.count == 1 && slots.at[0].n == NAME_FRESH.n) {
        fresh = null_object(self);
        slots = (list_t){&fresh, 1};
    }
    if (awaited) result = null_promise(self);
    null_send(self, target, (bin_t){drive->body.at, drive->body.len}, &slots, result);
    drive->sent++;
    if (awaited) {
        null_subscribe(self, result);
        map_put(&self->awaited, result.n, drive);
        drive->waiting++;
    }
    return result;
}

static void send_calls(null_engine_t *self, drive_t *drive)
{
    while (!self->failed && drive->sent < drive->n && drive->waiting < drive->window &&
           (drive->waiting == 0 || has_room(self))) {
        send_one(self, drive, drive->targets.at[drive->sent % drive->targets.count], true);
    }
}

/* What arrives behind them says that they have arrived. */
static void send_flood(null_engine_t *self, drive_t *drive)
{
    static const char ping[] = "#[\"ping\",[]]";
    uint64_t i = 0;

    if (drive->waiting || drive->sent == drive->n) return;
    while (!self->failed && drive->sent < drive->n && i < drive->window &&
           (i == 0 || has_room(self))) {
        send_one(self, drive, drive->targets.at[0], false);
        i++;
    }
    name_t result = null_promise(self);
    null_send(self, drive->targets.at[0], (bin_t){(const uint8_t *)ping, sizeof ping - 1}, NULL,
              result);
    null_subscribe(self, result);
    map_put(&self->awaited, result.n, drive);
    drive->waiting++;
}

static void send_chain(null_engine_t *self, drive_t *drive)
{
    name_t target = drive->targets.at[0];

    if (drive->waiting || drive->sent == drive->n) return;
    for (uint64_t i = 0; i < drive->window && !self->failed; i++)
        target = send_one(self, drive, target, true);
}

static void finish(null_engine_t *self, drive_t *drive)
{
    char body[160];
    name_t result = drive->result;

    snprintf(body, sizeof body,
             "#{\"answered\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"sent\":%" PRIu64 "}",
             drive->answered, drive->rejected, drive->sent);
    map_remove(&self->drives, drive->id);
    drive_free(drive);
    null_say(self, result, body);
}

void drive_pump(null_engine_t *self, drive_t *drive)
{
    switch (drive->kind) {
    case DRIVE_CALLS: send_calls(self, drive); break;
    case DRIVE_FLOOD: send_flood(self, drive); break;
    case DRIVE_CHAIN: send_chain(self, drive); break;
    }
    if (!self->failed && drive->waiting == 0 && drive->sent == drive->n) finish(self, drive);
}

void drive_answered(null_engine_t *self, drive_t *drive, bool rejected)
{
    /* The one that is answered in a flood speaks for all before it. */
    uint64_t count =
        drive->kind == DRIVE_FLOOD ? drive->sent - drive->answered - drive->rejected : 1;

    must(drive->waiting > 0);
    drive->waiting--;
    if (rejected)
        drive->rejected += count;
    else
        drive->answered += count;
    drive_pump(self, drive);
}
