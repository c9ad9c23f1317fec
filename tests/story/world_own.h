/* What the files of the story world share. */
#pragma once
#include "tests/story/rowset.h"
#include "tests/story/world.h"
#include "vathost/supervisor/supervisor.h"

enum { HOSTS = 2, VATS = 8, CALLS = 32, BUNDLES = 8, CLIENT = 7 };

typedef enum { VERDICT_LIVE, VERDICT_REPLAY, VERDICT_SKIP } verdict_t;

/* DOWN: broker to a host; UP: a host's worker to the broker; ASK and CLIENT likewise for the client. */
typedef enum { LINK_DOWN, LINK_UP, LINK_ASK, LINK_CLIENT } link_t;

typedef struct {
    link_t link;
    uint32_t to;  /* host number, of DOWN where to, of UP where from */
    uint32_t vat; /* frames of different vats may overtake each other */
    blob_t *blob;
} frame_t;

typedef struct {
    char *at;
    size_t len, room;
} text_buf_t;

void say(text_buf_t *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef struct {
    uint64_t d;
    blob_t *frame;
} kept_result_t;

enum { KEPT = 64 };

typedef struct {
    const char *name;
    script_t *script;
    void *context;
    uint32_t number; /* given by the broker */
    text_buf_t heard;
    uint8_t *forged;
    size_t forged_len;
    bool forge, may_diverge, critical;
    bool ended; /* its last crank said so: it runs nothing more */
    bool hang, busy; /* it will not come to an end of its next crank; it does not */
    err_t lose;

    /* the worker, as far as one runs */
    supervisor_t *supervisor;
    engine_t *engine;
    vatstore_t *store;
    char bundle[NAME_BYTES_MAX + 1]; /* that the upgrade it runs names */
    uint32_t host;
    uint64_t inc, pgen, run, applied;
    uint64_t fetched; /* last row of the FETCH that is under way */
    kept_result_t kept[KEPT];
    size_t kept_count;
} vat_story_t;

typedef struct {
    id128_t request, await;
    blob_t *ask; /* sent again after an accident, until it is answered */
    kref_t promise;
    text_buf_t answer;
} client_call_t;

struct world {
    unsigned seed, window;
    kernel_t *kernel;
    rowset_t rows;
    uint64_t now_us, draws, moves;
    host_t hosts[HOSTS];
    vat_story_t vats[VATS];
    size_t vat_count;
    script_file_t bundles[BUNDLES + 1];
    frame_t *frames;
    size_t frame_count, frame_room;
    client_call_t calls[CALLS + 1]; /* 0 is bootstrap */
    unsigned call_count;
    bool launch_asked, launched;
    cluster_t cluster;
    uint64_t requests;
    text_buf_t console, failure, state;
};

/* world.c */
blob_t *world_encode(msg_tag_t tag, const void *body);
void world_post(world_t *self, link_t link, uint32_t to, uint32_t vat, msg_tag_t tag, const void *body);
void world_step(world_t *self, input_kind_t kind, uint32_t from, bin_t frame, hash_t key);
void world_drop_frames(world_t *self);

/* host.c */
vat_story_t *vat_named(world_t *self, const char *name);
void host_take(world_t *self, uint32_t host, bin_t frame);
void host_attach(world_t *self, vat_story_t *vat);
void worker_end(vat_story_t *vat);

/* client.c */
void world_await(world_t *self, unsigned number);
void world_ask_again(world_t *self);
