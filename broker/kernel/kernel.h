/* The kernel is a function: (state, input) -> (state, effects, dirty rows). This is its only door.
 *
 *   K0  it never waits, sends, sleeps, logs, or asks the time or the dice: both are in the input;
 *   K00 the same state and input give the same effects, byte for byte;
 *   K000 nothing of an effect may leave the process before the rows of its step are durable.
 *
 * It holds the whole state in memory, except the bytes of log rows that are applied: those are read
 * back from the store when a worker asks for them (EFFECT_ROWS). It knows objects, promises, who may
 * name what, and whose turn it is; it runs no vat code. Semantics: SwingSet's, as listed in
 * broker/kernel/README.md. Memory that runs out ends the process (wire/base/must.h). */
#pragma once
#include "broker/kernel/row.h"
#include "wire/base/blob.h"
#include "wire/codec/codec.h"

typedef struct kernel kernel_t;

typedef enum {
    INPUT_HOST,        /* a message from a vathost; FROM is its host number, 0 for a HELLO */
    INPUT_HOST_GONE,   /* the session of host FROM ended */
    INPUT_CLIENT,      /* a request from client connection FROM */
    INPUT_CLIENT_GONE, /* client connection FROM ended: forget what it waits for */
    INPUT_CHORE,       /* nothing else is there: go on with what was put off, see kernel_chores() */
    INPUT_AGENT, /* AGENT_TOLD from the agent; MSG NULL: a fresh agent is there and knows nothing */
    INPUT_AGENT_GONE, /* that agent ended: what it was asked and did not answer is lost */
    INPUT_MIRRORED, /* COPY of VAT, that EFFECT_PULL asked for, is a file here, durable and whole */
    INPUT_UNMIRRORED, /* or it cannot be had, because of ERR; when its host went away nothing is said. Or it
                          was here, and is not any more */
    INPUT_BACKED_UP, /* what EFFECT_BACKUP asked for is done, or not because of ERR and WHY */
} input_kind_t;

/* A copy of a vat's checkpoint: a file that the shell keeps, and the kernel knows by this. */
typedef struct {
    uint64_t pgen, d,
        bytes;          /* placement generation it was made in; last delivery in it; its size */
    hash_t chain, hash; /* chain at d, as its worker said; hash of the file */
} copy_t;

typedef struct {
    input_kind_t kind;
    uint32_t from;
    uint64_t now_us; /* since 1970, by the shell's clock */
    uint8_t entropy
        [32]; /* fresh from the system for every input: seeds, traces and runs come from it */
    const msg_t *msg; /* borrowed for the call; NULL for *_GONE */
    hash_t key;       /* for a HELLO: the public key the host proved */
    hash_t
        chain; /* for an ATTACH: chain of the vat's log row ATTACH.last, as the store has it; zeros when
                            it has none, or the row is not applied. For MIRRORED: the same of row COPY.d */
    vat_t vat; /* for *MIRRORED */
    copy_t copy;
    err_t err;
    const char *why;
} input_t;

typedef enum {
    EFFECT_HOST, /* send FRAME to host TO; drop it when the host is away. With a VAT it is a live DELIVER, of
                    delivery FIRST */
    EFFECT_CLIENT, /* send FRAME to client connection TO. With a VAT, FRAME is a ROWS with a LOG_HEAD: rows FIRST..LAST
                      of its log belong behind that, as many as a page takes */
    EFFECT_WATCH, /* send FRAME (an EVENT) to every client that watches TOPIC */
    EFFECT_ROWS,  /* read log rows FIRST..LAST of VAT from the store and send each to host TO as a
                      DELIVER with the given RUN, INC, PGEN and APPLIED */
    EFFECT_STOP,  /* end the process, exit code 0 */
    EFFECT_AGENT, /* send FRAME to the agent that INPUT_AGENT announced, and to no later one: drop it
                      when that one ended. FRAME NULL: an agent is wanted, start one, with back-off
                      until there is one */
    EFFECT_PULL, /* fetch COPY of VAT from host TO with CHECKPOINT_GET; in place of what of VAT is being
                      fetched now. INPUT_MIRRORED or INPUT_UNMIRRORED answers */
    EFFECT_DISCARD, /* no row names COPY of VAT any more: delete its file */
    EFFECT_BACKUP /* copy the database, and each kernel_copies() there is when that is done, into the
                      directory whose path FRAME holds. INPUT_BACKED_UP answers */
} effect_kind_t;

enum { TOPIC_CONSOLE = 1, TOPIC_TRAFFIC = 2 };

typedef struct {
    effect_kind_t kind;
    uint32_t to;
    unsigned topic;
    blob_t *frame; /* one count is the effect's own */
    vat_t vat;
    uint64_t first, last, run, inc, pgen, applied;
    copy_t copy;
} effect_t;

typedef struct {
    effect_t *items;
    size_t count, room;
} effects_t;

/* Gives back all frames and the list. */
void effects_clear(effects_t *effects);

/* Makes an empty kernel. The caller owns it. */
kernel_t *kernel_new(void);
void kernel_destroy(kernel_t **self_p);

/* Start: all rows of the store in the order of row.def, then kernel_loaded() once. A new database
 * has no rows. Fails with STORE_DAMAGED when rows contradict each other. */
CHECKED err_t kernel_load(kernel_t *self, const row_t *row);
CHECKED err_t kernel_loaded(kernel_t *self, const uint8_t entropy[32]);

/* Takes one input and adds what follows from it to OUT. Cannot fail: a bad input is answered, an
 * illegal crank ends its vat. */
void kernel_step(kernel_t *self, const input_t *input, effects_t *out);

/* Was work put off, so that a step does not take long? Then the shell gives INPUT_CHORE whenever
 * nothing else arrives, until this is false. */
bool kernel_chores(const kernel_t *self);

/* Did somebody that the kernel waits for take too long, at this time? Then INPUT_CHORE as well: the
 * kernel has no clock that could wake it. */
bool kernel_overdue(const kernel_t *self, uint64_t now_us);

/* When the next timer is due, in microseconds as `now_us`; UINT64_MAX: none is. From then on
 * kernel_overdue() is true, until INPUT_CHOREs have fired what is due. */
uint64_t kernel_wake_us(const kernel_t *self);

/* Which globals vats may ask for: names separated by spaces, NULL for all (the default). Copied.
 * It decides about what is launched from now on. */
void kernel_globals(kernel_t *self, const char *names);

/* Visits every row that changed since the last call, each once, in a fixed order, and forgets that
 * it changed. What was born and died in between is not visited. */
typedef void row_visit_t(void *context, const row_t *row);
void kernel_flush(kernel_t *self, row_visit_t *visit, void *context);

/* Which topics anybody watches (TOPIC_*): events for others are not even built. */
void kernel_watched(kernel_t *self, unsigned topics);

/* From now on CALL gets every event whose trace is among BELOW / 2^32 of all traces, whoever watches; EVENT
 * is borrowed for the call. What belongs to no trace counts as in all of them; garbage collection that no crank
 * caused only when BELOW is TRACES_ALL. CALL NULL or BELOW 0: nobody, the default. Nothing that the kernel does
 * depends on it. */
#define TRACES_ALL (UINT64_C(1) << 32)
typedef void trace_take_t(void *context, unsigned topic, const msg_event_t *event);
void kernel_traced(kernel_t *self, uint64_t below, trace_take_t *call, void *context);

/* How long a host may be away before its vats are brought back elsewhere, as with HOST_CHANGE disavow; 0
 * (the default): as long as it likes. */
void kernel_host_loss(kernel_t *self, uint64_t after_us);

/* The state was read from a backup, and others have gone on meanwhile. After kernel_loaded(), before
 * anything else: the epoch rises beyond what any host has seen, and each vat is placed anew, to go on from
 * its copy, or from its log alone. */
void kernel_adopt(kernel_t *self);

/* The copy of VAT's checkpoint that HOST may read: HOST 0 all of them, another one those of vats that stand
 * there. False: there is none. */
bool kernel_copy(const kernel_t *self, vat_t vat, uint32_t host, copy_t *ret);

/* Does HOST ask for a copy that one of its vats was to begin with, and there is none? INPUT_UNMIRRORED of that one FROM
 * this host with HEAP_LOST says so. */
bool kernel_asked_in_vain(const kernel_t *self, uint32_t host, const msg_checkpoint_get_t *get);

/* Visits all copies that rows name, by vat. */
typedef void copy_visit_t(void *context, vat_t vat, const copy_t *copy);
void kernel_copies(const kernel_t *self, copy_visit_t *visit, void *context);

/* Figures for people: what happened since kernel_new() (COUNTER), in memory only, and what there is now. Nothing
 * is decided by them. KEY and OF tell several of one NAME apart, as in STAT_ROW; both are empty otherwise. */
typedef void figure_visit_t(void *context, const char *name, const char *key, const char *of,
                            bool counter, uint64_t value);
void kernel_figures(const kernel_t *self, figure_visit_t *visit, void *context);

/* How long what the last step took out of a vat's queue had waited there, in microseconds of `now_us`:
 * RET_COUNT of them, which live until the next step. */
const uint64_t *kernel_waits(const kernel_t *self, size_t *ret_count);

/* The host that has this public key, 0 when none has. */
host_t kernel_host(const kernel_t *self, hash_t key);

/* Visits the key of each host that was declared gone for good, and was not readmitted. */
typedef void key_visit_t(void *context, hash_t key);
void kernel_disavowed(const kernel_t *self, key_visit_t *visit, void *context);

/* Grows with every start of a kernel on the same store. */
uint64_t kernel_epoch(const kernel_t *self);
id128_t kernel_id(const kernel_t *self);

/* Recounts everything from nothing and reports each row that is wrong. Returns how many are. */
typedef void finding_visit_t(void *context, const char *rule, const char *row, const char *should);
size_t kernel_audit(const kernel_t *self, finding_visit_t *visit, void *context);
