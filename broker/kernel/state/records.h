/* The state: its records, and the kernel_t that holds them. For the files of the kernel only.
 *
 * A record is its row of row.def plus links. One rule for all of them: the field `head` comes first,
 * touch() after every change, bury() before it is freed. */
#pragma once
#include "broker/kernel/kernel.h"
#include "wire/base/map.h"
#include "wire/base/must.h"
#include "wire/base/own.h"
#include "wire/smallcaps/smallcaps.h"

enum { VAT_STARTING, VAT_RUNNING, VAT_TERMINATED, VAT_QUARANTINED };
enum { CLUSTER_STARTING, CLUSTER_RUNNING };
enum { PROMISE_UNRESOLVED, PROMISE_FULFILLED, PROMISE_REJECTED };
/* What an entry, and the log row it becomes, is. From ENTRY_REAP to ENTRY_RETIRE_IMPORTS none is ever
 * queued: what is due follows from counts and flags (gc.c). From ENTRY_REAP on, and a start, a row is
 * alone in flight. */
enum {
    ENTRY_START,
    ENTRY_MESSAGE,
    ENTRY_NOTIFY,
    ENTRY_REAP,
    ENTRY_DROP_EXPORTS,
    ENTRY_RETIRE_EXPORTS,
    ENTRY_RETIRE_IMPORTS,
    ENTRY_UPGRADE,
    ENTRY_KINDS
};
enum { HELD_REACHABLE = 1, HELD_EXPORTED = 2, HELD_SUBSCRIBED = 4 };
enum { LOG_OPEN, LOG_OK, LOG_FAILED };
enum { HOST_USUAL, HOST_DRAINING, HOST_DISAVOWED, HOST_QUARANTINED };
enum { POISON_DEFAULT, POISON_TERMINATE, POISON_REJECT };

/* clang-format off */
typedef enum {
#define SERVICE(kind, iface) SERVICE_##kind,
#include "broker/kernel/service.def"
#undef SERVICE
    SERVICE_KINDS
} service_kind_t;
/* clang-format on */
enum {
    PENDING_CREATE,
    PENDING_DONE,
    PENDING_LAUNCH,
    PENDING_PING,
    PENDING_UPGRADE,
    PENDING_ERRAND,
    PENDING_WAKE,
    PENDING_KINDS
};
enum { TIMER_PROMISE, TIMER_WAKE, TIMER_REPEAT, TIMER_UPDATE, TIMER_TIMEOUT, TIMER_KINDS };

/* Parameters of a vat, which must fit into a message with one more slot around them. */
enum { PARAMETERS_BYTES_MAX = CAPDATA_BYTES_MAX - 1024, PARAMETERS_SLOTS_MAX = SLOTS_MAX - 1 };

/* What a vat that ended leaves behind goes in pieces: so many rows with every step, so that others
 * hardly notice, and so many with a step that has nothing else to do. */
enum { CLEAN_ROWS = 16, CLEAN_ROWS_CHORE = 128 };

/* The same for rows of logs that a checkpoint made superfluous. */
enum { TRIM_ROWS = 16, TRIM_ROWS_CHORE = 512 };

/* Starts of a broker, and moves of a vat, that there were since a backup: fewer. Their numbers begin anew
 * beyond them when it is adopted. */
enum { ADOPTED_EPOCHS = 1 << 20 };

/* Syscalls have their tags one behind the other. */
enum { TALLY_SYSCALLS = TAG_abandon_exports - TAG_send + 1 };

/* Timers that fire with one step: those that are due with them wait for the next. */
enum { TIMERS_FIRED_MAX = 64 };

/* clang-format off */
#define COUNTERS(X) X(epoch) X(kernel_hi) X(kernel_lo) X(next_vat) X(next_cluster) X(next_host) \
    X(next_input) X(next_promise) X(next_object) X(next_timer) X(next_errand) X(time_ms) X(messages) X(cranks) X(splats)
typedef enum {
#define X(name) COUNTER_##name,
    COUNTERS(X)
#undef X
    COUNTER_COUNT
} counter_name_t;
/* clang-format on */

/* Body and slots together, shared by counting. */
typedef struct {
    size_t count;
    size_t slot_count, body_len;
    bool leads_on;    /* a slot is a promise */
    bool asks_kernel; /* a slot is an object of the kernel */
    kref_t slots[];   /* the body's bytes follow */
} value_t;

typedef struct {
    row_table_t table;
    bool stored;     /* the store has a row of it */
    size_t dirty_at; /* place in the dirty list, counted from 1; 0: as stored */
} head_t;

/* What caused something: the message, and the root of it all. */
typedef struct {
    msgid_t msg;
    id128_t trace;
} cause_t;

typedef struct {
    head_t head;
    uint64_t value;
} counter_t;

typedef struct {
    head_t head;
    row_host_t row;
    blob_t *name, *key, *reason, *engine, *instances, *request;
    size_t vats; /* that are alive and stand there */
    bool connected;
    id128_t instance; /* of its session; one of `instances` when it was PRESENT */
    uint64_t session; /* that PRESENT must name; 0: it was, or there is no session */
    uint32_t client;  /* whose HOST_CHANGE waits */
    uint64_t gone_us; /* since when it is away; 0: since this kernel started */
} khost_t;

typedef struct entry {
    head_t head;
    row_entry_t row; /* body, slots and trace are filled in only when it is stored */
    value_t *value;
    id128_t trace;
    uint64_t
        queued_us; /* when it came into its vat's queue; of one that was loaded the row's queued_ms */
    blob_t *note;
    struct entry *next;
} entry_t;

typedef struct {
    entry_t *head, *tail;
    size_t count;
} queue_t;

typedef struct log {
    head_t head;
    row_log_t row; /* bins are filled in only when it is stored */
    blob_t *delivery, *calls;
    hash_t hash, result_hash, chain;
    id128_t trace;
    struct log *next;
    unsigned kind; /* ENTRY_* */
    size_t kref_count;
    kref_t krefs[]; /* the references that it counts: target, result and slots, or promises told */
} log_t;

/* A copy of a vat's checkpoint, of which the shell has the file. */
typedef struct mirror {
    head_t head;
    row_mirror_t row; /* bins are filled in only when it is stored */
    hash_t chain, hash;
    bool unsure; /* d is not applied yet, so nobody knows whether its chain is the log's */
} mirror_t;

/* What a replay did that went another way than the first time. */
typedef struct divergence {
    head_t head;
    row_divergence_t row;
    blob_t *calls;
} divergence_t;

typedef struct kvat kvat_t;
typedef struct comparison comparison_t;

/* Krefs that one kind of GC delivery to a vat may be about, looked at again when it is assigned.
 * Ascending from `next` on unless `unsorted`. */
typedef struct {
    uint64_t *at;
    size_t next, count, room;
    bool unsorted;
} due_t;

typedef enum { DUE_DROP, DUE_RETIRE_EXPORT, DUE_RETIRE_IMPORT, DUE_KINDS } due_kind_t;

/* How a cluster was launched. */
typedef struct config {
    head_t head;
    row_config_t row;
    blob_t *launch;
} config_t;

typedef struct {
    head_t head;
    row_cluster_t row;
    blob_t *name, *request, *services;
    uint32_t client; /* connection that waits for LAUNCHED; 0: none */
    struct config *config;
    kvat_t **vats; /* in the order of the file, then those that vats made */
    size_t vat_count;
    size_t alive; /* of its vats */
    size_t busy;  /* entries and rows in flight of its vats, without those in quarantine */
    size_t timer_count;
    struct service *known[SERVICE_KINDS]; /* of the kinds that a cluster has one of */
    bool doomed;                          /* it is to be removed in this step */
    struct service **channels;            /* IO channels, in the order of its LAUNCH */
    size_t channel_count, channel_room;
    struct errand *errands; /* what was asked of its channels */
    size_t errand_count;    /* and of the agent for its vats, all together */
} kcluster_t;

struct kvat {
    head_t head;
    row_vat_t row;
    vat_t id;
    hash_t chain, checkpoint_chain, oldest_chain, safe_chain;
    mirror_t *mirror;         /* NULL: the broker has no copy of it */
    divergence_t *divergence; /* NULL: it never diverged */
    blob_t *move_request;     /* id of the MOVE that waits; NULL: nobody's */
    struct make *makes;       /* CHECKPOINT_MAKEs that wait */
    uint32_t move_client;     /* who it came from */
    blob_t *name, *reason, *bundle, *first_bundle, *globals, *hosts;
    kcluster_t *cluster; /* NULL when it is gone */
    map_t held;          /* kref -> held_t */
    queue_t queue;
    log_t *log, *log_tail; /* rows applied + 1 .. assigned */
    due_t due[DUE_KINDS];
    uint64_t since_barrier;  /* deliveries assigned since one stood alone */
    uint64_t fetched;        /* rows up to here were asked for in this run: none is sent twice */
    struct promise *decides; /* unresolved promises that it decides */
    struct pending *owed;    /* answers that wait for something of it */
    struct service *outside; /* what its own globals use; NULL: it has none */
    struct service *admin;   /* its adminNode; NULL: it has none */
    struct ktimer *timeouts;
    struct errand *errands; /* what the agent does for it */
    size_t busy;
    bool attached; /* a worker has this run */
    bool asked;    /* VAT_NEW was sent in this session of its host */
    bool renew;    /* RESTART came while its host was away: a worker that lived on is ended */
    bool ship;     /* a copy of its checkpoint is wanted, once */
    bool stuck;    /* no copy could be had of it, which is not tried again by itself */
    bool ready;    /* it is in the ready list */
    bool forget;   /* not even its row stays after this step */
    kvat_t *ready_next;
    uint64_t
        baggage;   /* its worker has no heap, but its store as of this delivery; 0: all is well */
    bool trimming; /* it is in the list of those whose log begins with rows that are not needed */
    kvat_t *trim_next;
    uint64_t fresh_d,
        fresh_at;  /* lowest row applied since flush FRESH_AT: it is not in the store yet */
    bool cleaning; /* it ended, and is in the list of those that have rows left */
    kvat_t *clean_next;
    uint64_t *clean; /* krefs of the rows left, a heap: the least first */
    size_t clean_count;
};

typedef struct held held_t;

/* What object and promise have in common. */
typedef struct {
    head_t head;
    bool doubtful;   /* it is in the list of those that may have no reference left */
    held_t *holders; /* all authority rows that name it */
} named_t;

typedef struct {
    named_t named;
    row_object_t row;
    bool listed; /* an orphan out of reach, and all who know it are to be told */
} object_t;

typedef struct waiter {
    uint32_t client;
    id128_t request;
    uint64_t cluster; /* for QUIET */
    struct waiter *next;
} waiter_t;

typedef struct hold hold_t;

typedef struct promise {
    named_t named;
    row_promise_t row; /* body and slots are filled in only when it is stored */
    value_t *value;
    queue_t queue;
    waiter_t *waiters; /* AWAIT */
    hold_t *hold;
    struct promise *decided_next, *decided_prev; /* among those of the same decider */
    struct pending *owed;                        /* answers that wait for it to be settled */
    /* Round of collect() that found it held from outside its tangle; 0: it lost a reference since. */
    uint64_t alive_at;
} promise_t;

struct held {
    head_t head;
    row_held_t row;
    kvat_t *vat;
    named_t *named;
    held_t *next, *prev; /* among the holders of the same kref */
    bool due[DUE_KINDS]; /* it is in that list of its vat */
};

struct hold {
    head_t head;
    row_hold_t row;
    hold_t *next, *prev; /* settled ones, in the order in which they are let go */
    bool answered;       /* it is in kernel_t's `answered` */
};

/* An object of the kernel itself: beside its object_t, which has no owner. */
typedef struct service {
    head_t head;
    row_service_t row; /* body and slots are filled in only when it is stored */
    blob_t *text;
    value_t *value;
    uint64_t alive_at; /* as for a promise */
} service_t;

/* The kernel owes an answer: PROMISE is settled when what it waits for has come. */
typedef struct pending {
    head_t head;
    row_pending_t row;
    id128_t request; /* of a client, when has_request */
    bool has_request;
    uint32_t client; /* connection that waits for it; 0: none */
    struct pending *next,
        **at; /* among those that wait for the same vat or promise; NULL: for neither */
} pending_t;

typedef struct ktimer {
    head_t head;
    row_timer_t row;
    size_t place;                       /* in the heap, from 1; 0: not there */
    struct ktimer *next, *prev;         /* of the same token, or with the same number for its vat */
    struct ktimer *vat_next, *vat_prev; /* a vat's own timeouts */
} ktimer_t;

typedef struct errand {
    head_t head;
    row_errand_t row;
    blob_t *what, *body;
    pending_t *pending;        /* who waits for it; NULL: nobody */
    bool asked;                /* an agent heard of it */
    struct errand *next, **at; /* among those of its vat, or of its cluster's channels */
} errand_t;

typedef struct request {
    head_t head;
    row_request_t row;
    id128_t id;
    blob_t *reply;
    struct request *same, *next; /* same map cell; order of age */
} request_t;

/* What a crank's check knows of one kref: the state as it would be after the syscalls so far. */
typedef struct {
    kref_t kref;
    bool held, exported, reachable, mine; /* mine: an unresolved promise that the vat decides */
    uint64_t intro_d;
} seen_t;

typedef struct {
    row_table_t table;
    bool gone;
    uint64_t a, b;
    const head_t *record;
} change_t;

struct kernel {
    counter_t counters[COUNTER_COUNT];
    map_t vats, hosts, clusters, objects, promises, holds, requests;
    map_t services, pendings, timers, errands; /* by kref, promise, number, number */
    ktimer_t **heap; /* timers that are due some time: the first one first */
    size_t heap_count, heap_room;
    map_t timer_chains; /* token and cluster, or vat and number -> the first of them */
    blob_t *globals;    /* names that vats may ask for; NULL: all */
    enum { AGENT_NONE, AGENT_WANTED, AGENT_HERE } agent;
    bool
        agent_lost; /* the one before the start went with its broker, and that is to be looked at */
    size_t channel_count; /* of all clusters */
    map_t waited;         /* promises that a client awaits */
    uint64_t next_entry, next_hold, next_request;
    unsigned topics;
    uint64_t traced_below; /* as kernel_traced() */
    trace_take_t *trace_take;
    void *trace_context;

    /* step */
    uint64_t now_us;
    uint8_t entropy[32];
    uint64_t draws;
    effects_t *out;
    queue_t work;       /* messages to route, notifies to queue: first in, first out */
    uint64_t *doubtful; /* krefs whose counts fell to zero */
    size_t doubtful_count, doubtful_room;
    uint64_t rounds; /* of collect() */
    kvat_t *ready, *ready_tail;
    bool idle_check, forget, doomed;

    /* crank */
    msg_t *calls;
    size_t call_count, call_room;
    seen_t *seen;
    size_t seen_count, seen_room;
    map_t seen_at;
    uint64_t next_object, next_promise;
    map_t later; /* kref -> first row in flight of LATER_VAT behind LATER_D that mentions it */
    uint64_t later_vat, later_d;

    size_t busy;
    waiter_t *quiets;
    comparison_t *audits;  /* that compare names, not answered yet */
    uint64_t host_loss_us; /* a host may be away for so long; 0: for ever */
    uint64_t began_us;     /* time of the first step */
    bool hosts_check;      /* hosts and moves are to be looked at when this step ends */
    struct {
        bool here, copying; /* a backup is under way; the shell is copying */
        uint64_t late_us;   /* before that: when nothing more is waited for */
        uint32_t client;
        id128_t request;
        blob_t *path;
    } backup;
    request_t *request_head, *request_tail;
    size_t request_count;
    hold_t *settled_head, *settled_tail;
    size_t settled_count;
    struct {
        uint64_t kref, flushes; /* of `flushes` when its answer was made */
    } * answered;               /* holds that end when their answer has left, the oldest first */
    size_t answered_count, answered_room;
    kvat_t *clean, *clean_tail; /* vats that ended and have rows left */
    size_t clean_rows;          /* that this step may clean */
    kvat_t *trims, *trims_tail; /* vats whose log begins with rows that are not needed */
    size_t trim_rows;           /* that this step may delete of them */

    /* dirty rows */
    uint64_t flushes; /* so far */
    head_t **dirty;
    size_t dirty_count, dirty_room;
    change_t *gone;
    size_t gone_count, gone_room;
    log_t *spent; /* applied rows: freed when they are flushed */
    void **lent;  /* memory that the last flush lent out */
    size_t lent_count, lent_room;

    /* Counted and measured for people since kernel_new(): tally.c. */
    struct {
        uint64_t deliveries[ENTRY_KINDS], syscalls[TALLY_SYSCALLS], gc[DUE_KINDS];
        uint64_t fulfilled, rejected;
        size_t unresolved; /* promises, now */
        uint64_t *waits;   /* of this step */
        size_t wait_count, wait_room;
    } tally;

    buf_t frame; /* frames and bodies are made here */
};
