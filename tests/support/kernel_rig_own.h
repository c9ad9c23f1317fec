/* What the files of the rig share: kernel_rig.c steps the kernel, kernel_rig_rows.c is its store,
 * kernel_rig_effects.c is what hosts, workers and the shell do about what it says, kernel_rig_workers.c what
 * workers do because a test says so, kernel_rig_look.c what a test may look at. Not for tests. */
#pragma once
#include "tests/support/kernel_rig.h"
#include "wire/base/map.h"

typedef struct letter { /* a frame somebody got, decoded */
    struct letter *next, *made;
    uint32_t to;
    blob_t *frame;
    msg_t msg, inner;
    bool has_inner;
} letter_t;

typedef struct {
    uint32_t vat, host;
    uint64_t inc, pgen, run, last, checkpoint;
    hash_t chain, checkpoint_chain;
    letter_t *head, *tail; /* DELIVERs not answered */
    size_t pending;
    bool fetching;
} worker_t;

typedef struct {
    row_table_t table;
    blob_t *key, *row;
} stored_t;

typedef struct { /* a copy of a checkpoint, which is to be fetched or is here */
    vat_t vat;
    copy_t copy;
} file_t;

struct rig {
    kernel_t *kernel;
    bool no_chores;
    letter_t *made; /* all letters, to free them */
    letter_t *replies, *replies_tail;
    letter_t *asked, *asked_tail; /* frames to the agent */
    bool agent_late, agent_wanted, agent_runs;
    map_t workers;
    stored_t *rows;
    size_t row_count;
    uint64_t now_us, step_us, ids;
    size_t frames[256];
    blob_t **events;
    size_t event_count;
    uint32_t hosts[8];
    effects_t effects;
    uint64_t steps;
    uint64_t host_loss_us;
    bool adopts, deaf;
    file_t *files, *pulls;
    size_t file_count, pull_count;
};

/* ---- kernel_rig.c ---- */

/* The step, its audit and its rows; then what it put off, unless a test wants to look in between. */
void rig_step(rig_t *self, input_t *input);
/* BODY through the codec and into INPUT. */
void rig_step_frame(rig_t *self, input_t *input, msg_tag_t tag, const void *body);
void *rig_resized(void *at, size_t bytes);

/* ---- kernel_rig_rows.c ---- */

/* For kernel_flush(). */
void rig_row_store(void *context, const row_t *row);
/* Borrows the bytes of STORED. */
row_t rig_row_read(const stored_t *stored);
/* The chain behind the row that ATTACH speaks of, as the shell says it; zero when that has no outcome. */
hash_t rig_row_chain(const rig_t *self, const msg_attach_t *msg);
/* Tells the kernel all rows, in the order of a database. */
void rig_rows_load(rig_t *self);
void rig_rows_clear(rig_t *self);

/* ---- kernel_rig_effects.c ---- */

void rig_effect(rig_t *self, const effect_t *effect);
/* A frame as somebody reads it; it lives as long as the rig. */
letter_t *rig_letter(rig_t *self, const effect_t *effect);
worker_t *rig_worker_of(const rig_t *self, uint32_t vat);
void rig_attach(rig_t *self, worker_t *worker, bool heapless);
/* A worker in the place of the one before starts where that one's checkpoint is. */
void rig_renew(worker_t *worker);
file_t *rig_file_of(const rig_t *self, vat_t vat, const copy_t *copy);
