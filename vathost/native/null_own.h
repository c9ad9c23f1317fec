/* The null engine's own insides. All of it but the crank's part is what save() writes. */
#pragma once
#include "vathost/native/name.h"
#include "vathost/native/native_engine.h"
#include "wire/smallcaps/smallcaps.h"

typedef struct null_engine null_engine_t;

/* Names in an array of their own. */
typedef struct {
    name_t *at;
    size_t count;
} list_t;

typedef enum {
    DRIVE_CALLS, /* messages to the targets in turn, WINDOW of them unanswered */
    DRIVE_FLOOD, /* messages that nobody answers, and one that is answered behind WINDOW of them */
    DRIVE_CHAIN, /* WINDOW messages, each to the promise of the one before */
} drive_kind_t;

/* In a list of slots: a new object for each message. */
#define NAME_FRESH ((name_t){UINT64_MAX})

/* Many messages, whose sender answers when all of them are answered. */
typedef struct {
    uint64_t id;
    name_t result; /* none: nobody waits */
    drive_kind_t kind;
    uint64_t n, sent, answered, rejected, waiting, window;
    list_t targets, slots;
    buf_t body;
} drive_t;

struct null_engine {
    engine_t port;
    uint64_t heap_bytes;
    char refusal[REASON_BYTES_MAX]; /* of the start; "": none */

    bool started;
    uint64_t objects, promises, drives_made; /* counted from 1, never used again */
    uint64_t hits;
    map_t imports; /* objects that were delivered and not dropped */
    map_t told;    /* promises of others that it asked to be told of */
    map_t kept;    /* objects that hold() keeps */
    map_t dropped; /* exports that nobody else reaches */
    map_t awaited; /* its own promises, to the drive that waits for each */
    map_t drives;  /* by id */

    /* The crank that runs. */
    const engine_host_t *host;
    err_t failed;   /* the first syscall that was refused */
    uint64_t calls; /* made so far, and the bytes that messages of drives take */
    size_t bytes;
    buf_t out;
    name_t cut[SLOTS_MAX];
    kref_t cut_slots[SLOTS_MAX];
};

/* A message that is being answered. Bodies are read with slots that are places, counted from 1. */
typedef struct {
    const vdelivery_t *delivery;
    capdata_t data;
    node_t method, args;
    name_t target, result;
} message_in_t;

/* ---- null_calls.c: what it asks of the supervisor; nothing more after the first failure ---- */

void null_send(null_engine_t *self, name_t target, bin_t body, const list_t *slots, name_t result);
void null_subscribe(null_engine_t *self, name_t promise);
void null_refs(null_engine_t *self, msg_tag_t tag, const list_t *refs);

/* Settles PROMISE, if it is one. A drive of this same vat may wait for it, and goes on. */
void null_settle(null_engine_t *self, name_t promise, bool rejected, bin_t body,
                 const list_t *slots);
void null_say(null_engine_t *self, name_t promise, const char *body);
void null_say_number(null_engine_t *self, name_t promise, uint64_t n);
void null_say_object(null_engine_t *self, name_t promise, name_t object, const char *iface);
void null_refuse(null_engine_t *self, name_t promise, const char *name, text_t text);

/* A new export. */
name_t null_object(null_engine_t *self);
name_t null_promise(null_engine_t *self);

/* Takes note of SLOTS that were delivered. Promises in SETTLED, if any, are over already. */
void null_arrive(null_engine_t *self, vrefs_t slots, const map_t *settled);

/* What is in use at SLOT of the message, none when that is no slot. */
name_t message_slot(const message_in_t *message, node_t slot);

/* ---- null_methods.c ---- */
void null_message(null_engine_t *self, const vdelivery_t *delivery);

/* ---- null_drive.c ---- */

/* A drive that waits to be told its messages. SELF owns it. */
drive_t *drive_new(null_engine_t *self, drive_kind_t kind, name_t result);
void drive_free(drive_t *drive);
void drive_target(drive_t *drive, name_t target);

/* Sends as much as may be sent now; answers, and ends DRIVE, when all is done. */
void drive_pump(null_engine_t *self, drive_t *drive);
void drive_answered(null_engine_t *self, drive_t *drive, bool rejected);
void list_add(list_t *self, name_t name);

/* ---- null_save.c ---- */
err_t null_save(const null_engine_t *self, buf_t *ret);

/* SELF is as new. SNAPSHOT_UNREADABLE, and SELF is then anything, when SAVED is no good. */
err_t null_load(null_engine_t *self, bin_t saved);
