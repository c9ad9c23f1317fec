/* What the files of fuzz_kernel share: a kernel, its rows, and the bytes that choose what is said to it. fuzz_kernel.c
 * has the laws; the others speak: fuzz_kernel_vats.c in cranks, fuzz_kernel_hosts.c, fuzz_kernel_clients.c. */
#pragma once
#include <string.h>

#include "broker/kernel/kernel.h"
#include "broker/trace.h"
#include "tests/story/rowset.h"

enum {
    SLOTS = 3,
    HOSTS = 3,
    CLIENTS = 2,
    VATS = 12,
    VATS_MAX = 1024,
    SPENT_MAX = 32,
};

typedef struct {
    const uint8_t *at, *end;
    kernel_t *kernel;
    rowset_t rows;
    uint64_t steps, ids;
    uint64_t session; /* of the last WELCOME */
    vat_t pulled;     /* whose COPY the kernel wants fetched; 0: none */
    copy_t copy;
    uint64_t runs[VATS_MAX]; /* that ATTACHED gave; 0: no worker */
    trace_t *trace;          /* remembers what happens */
} world_t;

static inline unsigned byte(world_t *w) { return w->at < w->end ? *w->at++ : 0; }
static inline unsigned roll(world_t *w, unsigned sides) { return byte(w) % sides; }

/* A vat in a crank. */
typedef struct {
    world_t *w;
    uint32_t vat;
    uint64_t objects, promises; /* serials as of the calls so far */
    bool polite;                /* names only what it may, as far as the rows tell */
    kref_t spent[SPENT_MAX];    /* what it dropped or resolved in this crank */
    size_t spent_count;
    buf_t calls;
    char text[160];
    kref_t slots[SLOTS];
} mind_t;

static inline hash_t hash_at(bin_t bin)
{
    hash_t hash = {{0}};
    if (bin.len == sizeof hash.b) memcpy(hash.b, bin.at, sizeof hash.b);
    return hash;
}

/* ---- fuzz_kernel.c ---- */

/* One input, and the laws; now and then what it put off. */
void world_step(world_t *w, input_t input);
/* Only what can be encoded and decoded is a message. */
void world_say(world_t *w, input_t input, msg_tag_t tag, const void *body);
void world_host_says(world_t *w, uint64_t host, msg_tag_t tag, const void *body);
void world_client_says(world_t *w, msg_tag_t tag, const void *body);
/* A new id, or one that was used before. */
id128_t world_request(world_t *w);
/* The N-th row of TABLE that belongs to OWNER (0: to anybody), counted round and round. */
const row_t *world_row(const world_t *w, row_table_t table, uint64_t owner, unsigned n);
/* Any vat; any kref, of all there are or might be. */
const row_vat_t *world_vat(world_t *w);
kref_t world_kref(world_t *w);

/* ---- fuzz_kernel_vats.c ---- */

/* The syscalls of a crank. */
void mind_calls(mind_t *m);
capdata_t mind_args(mind_t *m, const char *before, const char *after);
/* A message that SERVICE understands; a bundlecap as the first reference when there is one. */
capdata_t mind_ask(mind_t *m, kref_t service);
/* Of what the vat holds, or of all there is, an object of the kernel; none when chance finds none. */
kref_t world_service(world_t *w, uint32_t vat);

/* ---- fuzz_kernel_hosts.c ---- */

void host_hello(world_t *w);
/* Where the vat stands in one of four ways: fresh, half way, up to date, ahead. */
void host_attach(world_t *w);
/* A vat with a row in flight answers; when there is none, a client calls. */
void host_result(world_t *w);
/* A checkpoint where the vat stands, or somewhere else, and perhaps it would like to sleep. */
void host_checkpoint(world_t *w);
/* What a host keeps without a worker: some of it, and what was never there. */
void host_guests(world_t *w);
void host_fetch(world_t *w);
void host_lost(world_t *w);
void host_strange(world_t *w);
/* Its host has a copy of the vat as it stands, or of something else. */
void host_ready(world_t *w, const row_vat_t *vat);
/* What the shell was told to fetch is here, or cannot be had; its host may be away by now. */
void host_fetched(world_t *w);

/* ---- fuzz_kernel_clients.c ---- */

/* The one that lives: most of what is said is about its vats. */
void client_first(world_t *w);
void client_launch(world_t *w);
void client_call(world_t *w);
void client_asks(world_t *w);
void client_ends(world_t *w);
void client_changes(world_t *w);
/* Moves, drains, copies, backups, and what hosts and the shell have to say about them. */
void client_moves(world_t *w);
/* It comes, goes, and answers what it was asked, or was not. */
void agent_says(world_t *w);
