/* A worker over a real socket, with a script for an engine: the test is vathost and broker in one. */
#pragma once
#include "tests/support/script_engine.h"
#include "vathost/worker.h"
#include "wire/frames/frames.h"

static const vat_t vat = {3};

typedef struct rig rig_t;
struct rig {
    int fd, worker_fd;
    script_t *script;
    const char *database; /* NULL: a store in memory, and the worker is a thread */
    char failpoint[64];   /* where a worker with a database dies, or "" */
    msg_start_t options;  /* what START says of checkpoints */
    void *thread;
    int pid;
    worker_exit_t exit;
    frames_t in;
    msg_t msg;
    id128_t nonce;
    uint64_t count; /* the heap of a worker with a database: how many cranks it ran */
};

/* A worker that follows SCRIPT, told nothing yet. With a database it is a process, and its engine's heap
 * is the `count` of its rig, which SCRIPT gets for its context. */
rig_t *rig_new(script_t *script);
rig_t *rig_on(const char *database, const msg_start_t *options, script_t *script,
              const char *failpoint);

/* Closes our end and gives what the worker exits with. Nothing may be left unheard but what is about
 * checkpoints. */
worker_exit_t rig_end(rig_t *rig);

/* SIGKILL; or waits for the end by a failpoint, and insists on that. */
void rig_kill(rig_t *rig);
void rig_dies(rig_t *rig);

void say(rig_t *rig, msg_tag_t tag, const void *body);

/* Waits for the next frame and insists on its tag. Those about checkpoints are passed over where none
 * is asked for. */
const msg_body_t *hear(rig_t *rig, msg_tag_t tag);

/* Says START and hears ATTACH. */
const msg_body_t *start(rig_t *rig);
void attached(rig_t *rig, uint64_t run, uint64_t applied);
void attached_again(rig_t *rig, uint64_t run, uint64_t applied, uint64_t again);

void deliver(rig_t *rig, uint64_t run, uint64_t d, uint64_t applied, uint64_t verdict,
             hash_t expect);
void live(rig_t *rig, uint64_t run, uint64_t d, uint64_t applied);
void upgrade_row(rig_t *rig, uint64_t run, uint64_t d, uint64_t verdict, hash_t expect);
void file(rig_t *rig, const char *path);
