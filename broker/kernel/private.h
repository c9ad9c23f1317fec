/* What the files of the kernel share, and nobody else includes.
 *
 * A record of the state is its row of row.def plus links. One rule for all of them: the field
 * `head` comes first, touch() after every change, bury() before it is freed. */
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
};
enum { HELD_REACHABLE = 1, HELD_EXPORTED = 2, HELD_SUBSCRIBED = 4 };
enum { LOG_OPEN, LOG_OK, LOG_FAILED };

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
    kref_t slots[]; /* the body's bytes follow */
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
    blob_t *name, *key;
    size_t vats; /* that are alive and stand there */
    bool connected;
} khost_t;

typedef struct entry {
    head_t head;
    row_entry_t row; /* body, slots and trace are filled in only when it is stored */
    value_t *value;
    id128_t trace;
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
    blob_t *delivery;
    hash_t hash, result_hash, chain;
    id128_t trace;
    struct log *next;
    unsigned kind; /* ENTRY_* */
    size_t kref_count;
    kref_t krefs[]; /* the references that it counts: target, result and slots, or promises told */
} log_t;

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
    size_t busy; /* entries and rows in flight of its vats, without those in quarantine */
    size_t timer_count;
    struct service *known[SERVICE_KINDS]; /* of the kinds that a cluster has one of */
    bool doomed;                          /* it is to be removed in this step */
    struct service **channels; /* IO channels, in the order of its LAUNCH */
    size_t channel_count, channel_room;
    struct errand *errands; /* what was asked of its channels */
    size_t errand_count;    /* and of the agent for its vats, all together */
} kcluster_t;

struct kvat {
    head_t head;
    row_vat_t row;
    vat_t id;
    hash_t chain;
    blob_t *name, *reason, *bundle, *first_bundle, *globals, *hosts;
    kcluster_t *cluster; /* NULL when it is gone */
    map_t held;          /* kref -> held_t */
    queue_t queue;
    log_t *log, *log_tail; /* rows applied + 1 .. assigned */
    due_t due[DUE_KINDS];
    uint64_t since_barrier; /* deliveries assigned since one stood alone */
    uint64_t fetched;       /* rows up to here were asked for in this run: none is sent twice */
    struct promise *decides; /* unresolved promises that it decides */
    struct pending *owed;    /* answers that wait for something of it */
    struct service *outside; /* what its own globals use; NULL: it has none */
    struct service *admin;   /* its adminNode; NULL: it has none */
    struct ktimer *timeouts;
    struct errand *errands;  /* what the agent does for it */
    size_t busy;
    bool attached; /* a worker has this run */
    bool asked;    /* VAT_NEW was sent in this session of its host */
    bool renew;    /* RESTART came while its host was away: a worker that lived on is ended */
    bool ready;    /* it is in the ready list */
    bool forget;   /* not even its row stays after this step */
    kvat_t *ready_next;
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
    struct pending *owed; /* answers that wait for it to be settled */
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
    uint32_t client;            /* connection that waits for it; 0: none */
    struct pending *next, **at; /* among those that wait for the same vat or promise; NULL: for neither */
} pending_t;

typedef struct ktimer {
    head_t head;
    row_timer_t row;
    size_t place;                    /* in the heap, from 1; 0: not there */
    struct ktimer *next, *prev;      /* of the same token, or with the same number for its vat */
    struct ktimer *vat_next, *vat_prev; /* a vat's own timeouts */
} ktimer_t;

typedef struct errand {
    head_t head;
    row_errand_t row;
    blob_t *what, *body;
    pending_t *pending; /* who waits for it; NULL: nobody */
    bool asked;         /* an agent heard of it */
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
    ktimer_t **heap;                           /* timers that are due some time: the first one first */
    size_t heap_count, heap_room;
    map_t timer_chains; /* token and cluster, or vat and number -> the first of them */
    blob_t *globals; /* names that vats may ask for; NULL: all */
    enum { AGENT_NONE, AGENT_WANTED, AGENT_HERE } agent;
    bool agent_lost;      /* the one before the start went with its broker, and that is to be looked at */
    size_t channel_count; /* of all clusters */
    map_t waited; /* promises that a client awaits */
    uint64_t next_entry, next_hold, next_request;
    unsigned topics;

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

    size_t busy;
    waiter_t *quiets;
    comparison_t *audits; /* that compare names, not answered yet */
    request_t *request_head, *request_tail;
    size_t request_count;
    hold_t *settled_head, *settled_tail;
    size_t settled_count;
    kvat_t *clean, *clean_tail; /* vats that ended and have rows left */
    size_t clean_rows;          /* that this step may clean */

    /* dirty rows */
    head_t **dirty;
    size_t dirty_count, dirty_room;
    change_t *gone;
    size_t gone_count, gone_room;
    log_t *spent; /* applied rows: freed when they are flushed */
    void **lent;  /* memory that the last flush lent out */
    size_t lent_count, lent_room;

    buf_t frame; /* frames and bodies are made here */
};

/* ---- value.c: memory ---- */
void *take(size_t bytes);
void *grown(void *at, size_t *room, size_t need, size_t size);
value_t *value_new(bin_t body, const kref_t *slots, size_t slot_count);
value_t *value_of(const capdata_t *data);
value_t *value_ref(value_t *value);
void value_destroy(value_t **self_p);
capdata_t value_data(const value_t *value);
value_t *value_error(kernel_t *k, const char *code, const char *text, text_t rest);
void queue_push(queue_t *queue, entry_t *entry);
entry_t *queue_pop(queue_t *queue);
text_t blob_text(const blob_t *blob);
blob_t *text_blob(text_t text);
kref_t kref_of(uint64_t n);
void sort_numbers(uint64_t *at, size_t count);
kref_t slot_read(const uint8_t *at);
text_t text_cut(text_t text, size_t max);
__attribute__((format(printf, 1, 2))) blob_t *blob_print(const char *format, ...);

/* ---- dirty.c: what changed since the last flush ---- */
void touch(kernel_t *k, head_t *head);
void untouch(kernel_t *k, head_t *head);
void bury(kernel_t *k, head_t *head);
void bury_log(kernel_t *k, const kvat_t *vat, uint64_t d);
void flush_clear(kernel_t *k);

/* ---- refs.c: counts, authority rows, and what follows when a count reaches zero ---- */
object_t *object_find(const kernel_t *k, kref_t kref);
promise_t *promise_find(const kernel_t *k, kref_t kref);
bool kref_known(const kernel_t *k, kref_t kref);
bool kref_sendable(const kernel_t *k, kref_t kref);
object_t *object_new(kernel_t *k, kref_t kref, vat_t owner);
promise_t *promise_new(kernel_t *k, kref_t kref);
bool object_orphan(const kernel_t *k, const object_t *object);
void ref_up(kernel_t *k, kref_t kref);
void ref_down(kernel_t *k, kref_t kref);
bool value_leads_on(const kernel_t *k, const value_t *value);
void value_up(kernel_t *k, const value_t *value);
void value_down(kernel_t *k, const value_t *value);
held_t *held_find(const kvat_t *vat, kref_t kref);
held_t *held_new(kernel_t *k, kvat_t *vat, kref_t kref, uint64_t flags, uint64_t since_d);
void held_import(kernel_t *k, held_t *held);
void held_drop(kernel_t *k, held_t *held);
void held_forget(kernel_t *k, held_t *held, uint64_t d, bool anyway);
void held_reach(kernel_t *k, held_t *held, bool reachable);
bool held_told(const held_t *held);
void collect(kernel_t *k);

/* ---- cycle.c ---- */
void cycle_collect(kernel_t *k, kref_t suspect);

/* ---- promise.c ---- */
void promise_list(kvat_t *vat, promise_t *promise);
void promise_decide(kernel_t *k, promise_t *promise, kvat_t *vat, uint64_t d);
void promise_settle(kernel_t *k, promise_t *promise, bool rejected, value_t *value, cause_t cause);
void promise_free(promise_t *promise);

/* ---- route.c: from the worklist to queues ---- */
entry_t *entry_new(kernel_t *k, unsigned kind, kref_t target, kref_t result, value_t *value,
                   cause_t cause);
void entry_destroy(entry_t **self_p);
void entry_release(kernel_t *k, entry_t *entry);
cause_t entry_cause(const entry_t *entry);
void notify_push(kernel_t *k, vat_t vat, promise_t *promise, cause_t cause);
void route_all(kernel_t *k);
bool route_here(kernel_t *k, kvat_t *vat, entry_t *entry);
void vat_enqueue(kernel_t *k, kvat_t *vat, entry_t *entry);

/* ---- service.c: objects of the kernel ---- */

/* A message to one of them, while it is executed. */
typedef struct {
    kernel_t *k;
    service_t *service;
    capdata_t data; /* methargs */
    text_t method;
    node_t args;
    kref_t result; /* none: nobody waits; none as well once it is answered or deferred */
    cause_t cause;
} call_t;

typedef struct {
    const char *name;
    void (*run)(call_t *call); /* one that neither answers nor defers answers undefined */
} method_t;

/* Methods of a kind of service, ended by a NULL; in the order of their names. */
extern const method_t admin_root_methods[], admin_methods[], key_methods[], bundle_methods[],
    node_methods[], timer_root_methods[], timer_methods[], brand_methods[], clock_methods[],
    repeater_methods[], notifier_methods[], iterator_methods[], facet_methods[], outside_methods[], channel_methods[];

service_t *service_find(const kernel_t *k, kref_t kref);
service_t *service_new(kernel_t *k, service_kind_t kind, const kcluster_t *cluster,
                       const kvat_t *vat, text_t text);
service_t *service_known(kernel_t *k, service_kind_t kind, const kcluster_t *cluster);
void service_link(kernel_t *k, service_t *service);
kref_t service_kref(const service_t *service);
const char *service_iface(service_kind_t kind);
void service_text(kernel_t *k, service_t *service, text_t text);
void service_ended(kernel_t *k, service_t *service, bool rejected, value_t *value);
void service_bury(kernel_t *k, service_t *service);
void service_free(service_t *service);
void service_run(kernel_t *k, service_t *service, entry_t *entry);
service_t *service_argument(const call_t *call, node_t node, service_kind_t kind);
void call_settle(call_t *call, bool rejected, value_t *value);
void call_answer(call_t *call, value_t *value);
void call_fulfil(call_t *call, const char *body);
void call_answer_service(call_t *call, const service_t *service);
__attribute__((format(printf, 2, 3))) void call_fail(call_t *call, const char *format, ...);
kref_t call_defer(call_t *call);
cause_t call_cause(const call_t *call);
bool text_same(text_t a, text_t b);

/* ---- pending.c: answers that the kernel owes ---- */
pending_t *pending_new(kernel_t *k, unsigned kind, kref_t promise, kvat_t *vat, kref_t watched);
void pending_link(kernel_t *k, pending_t *pending);
void pending_watch(kernel_t *k, pending_t *pending, kref_t watched);
void pending_settle(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause);
void pending_free(pending_t *pending);
void pendings_settled(kernel_t *k, promise_t *promise, cause_t cause);
pending_t *pending_of_vat(const kvat_t *vat, unsigned kind);
void pendings_vat_started(kernel_t *k, kvat_t *vat, cause_t cause);
void pendings_vat_ended(kernel_t *k, kvat_t *vat, bool rejected, value_t *value, cause_t cause);

/* ---- globals.c: what a vat may ask for ---- */
bool word_next(text_t words, size_t *at, text_t *ret);
bool word_in(text_t words, text_t word);
CHECKED err_t globals_check(const kernel_t *k, uint64_t vat, text_t names, text_t hosts, char *why,
                            size_t room);
bool globals_outside(text_t names);
CHECKED err_t parameters_check(const capdata_t *data);
value_t *globals_wrap(kernel_t *k, kvat_t *vat, value_t *parameters);

/* ---- say.c: values that the kernel makes ---- */
__attribute__((format(printf, 4, 5))) value_t *value_print(kernel_t *k, const kref_t *slots,
                                                           size_t count, const char *format, ...);
value_t *value_failed(kernel_t *k, text_t text);
value_t *value_cut(kernel_t *k, node_t node);
bool node_absent(node_t node);
text_t node_copy(node_t node, char *out, size_t room);

/* ---- timer.c ---- */
void timer_link(kernel_t *k, ktimer_t *timer);
ktimer_t *timer_new(kernel_t *k, row_timer_t row);
ktimer_t *timer_find(const kernel_t *k, uint64_t number);
void timer_schedule(kernel_t *k, ktimer_t *timer, uint64_t due_ms);
void timer_release(kernel_t *k, ktimer_t *timer);
void timer_settle(kernel_t *k, ktimer_t *timer, bool rejected, value_t *value, cause_t cause);
void timer_repeat(kernel_t *k, ktimer_t *timer, cause_t cause);
uint64_t *timers_of_token(kernel_t *k, kref_t token, uint64_t cluster, size_t *ret_count);
ktimer_t *timeout_find(const kernel_t *k, const kvat_t *vat, uint64_t number);
bool timers_full(const kcluster_t *cluster);
void timers_fire(kernel_t *k);
bool timers_due(const kernel_t *k, uint64_t now_us);
void timers_without_vat(kernel_t *k, const kvat_t *vat);
void timers_without_cluster(kernel_t *k, uint64_t cluster);
void timer_without_keeper(kernel_t *k, const service_t *service);
void timer_woken(kernel_t *k, uint64_t timer, bool rejected);
uint64_t time_ms(kernel_t *k);
uint64_t time_after(uint64_t ms, uint64_t more);
uint64_t interval_latest(const row_service_t *row, uint64_t now, uint64_t *ret_count);
uint64_t interval_next(uint64_t start, uint64_t interval, uint64_t now);
value_t *time_value(kernel_t *k, uint64_t cluster, uint64_t ms);
service_t *notifier_of(const kernel_t *k, uint64_t service);
value_t *update_value(kernel_t *k, service_t *service, uint64_t now);
void update_settle(kernel_t *k, ktimer_t *timer, cause_t cause);
void time_wake(kernel_t *k, uint64_t cluster, kref_t handler, kref_t result, cause_t cause);
kref_t timer_brand(kernel_t *k, const kcluster_t *cluster);

/* ---- service_facet.c ---- */
void facet_started(kernel_t *k, const kcluster_t *cluster, kref_t bootstrap);
void facet_failed(kernel_t *k, const kcluster_t *cluster, const kvat_t *vat);
void facet_launched(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause);

/* ---- facet_config.c: what a cluster was launched with ---- */
bool bundle_hash(text_t text);
bool bundle_named(const kcluster_t *cluster, text_t name, char *out, size_t room);
typedef struct {
    buf_t vats, services, bundles, channels; /* as in LAUNCH */
    uint64_t bootstrap;
} launch_parts_t;
bool config_read(call_t *call, node_t config, launch_parts_t *ret, char *why, size_t room);
void launch_parts_clear(launch_parts_t *parts);
CHECKED err_t config_cluster(buf_t *out, const kernel_t *k, const kcluster_t *cluster);
CHECKED err_t config_vat(buf_t *out, const kvat_t *vat);

/* ---- errand.c: what the agent does outside ---- */
typedef enum { ERRAND_READ, ERRAND_WRITE, ERRAND_FETCH } errand_what_t;
errand_t *errand_find(const kernel_t *k, uint64_t n);
void errand_free(errand_t *errand);
void errand_new(call_t *call, errand_what_t what, bool again);
void outside_fetch(call_t *call);
void agent_want(kernel_t *k);
void agent_send(kernel_t *k, msg_tag_t tag, const void *body);
void agent_resume(kernel_t *k);
void on_agent(kernel_t *k, const msg_t *msg);
void on_agent_gone(kernel_t *k);
void errands_without_vat(kernel_t *k, const kvat_t *vat);
void errands_without_channels(kernel_t *k, const kcluster_t *cluster);
void errands_loaded(kernel_t *k);

/* ---- service_channel.c: IO channels ---- */
enum { CHANNEL_TEXT_MAX = NAME_BYTES_MAX + 32 };
char *channel_text(const service_t *service, char out[CHANNEL_TEXT_MAX]);
void channels_open(kernel_t *k, kcluster_t *cluster);
void channels_close(kernel_t *k, kcluster_t *cluster);
void channels_tell(kernel_t *k);
void channels_loaded(kernel_t *k);

/* ---- upgrade.c ---- */
pending_t *upgrade_push(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters, text_t message,
                        kref_t result, cause_t cause);
log_t *upgrade_assign(kernel_t *k, kvat_t *vat, const entry_t *entry);
void upgrade_apply(kernel_t *k, kvat_t *vat, const log_t *log, cause_t cause);
void upgrade_done(kernel_t *k, kvat_t *vat, cause_t cause);
void upgrade_failed(kernel_t *k, kvat_t *vat, text_t why, cause_t cause);
void on_upgrade(kernel_t *k, uint32_t client, const msg_upgrade_t *msg);

/* ---- vat.c ---- */
kvat_t *vat_find(const kernel_t *k, uint64_t n);
kvat_t *vat_asked(kernel_t *k, uint32_t client, id128_t request, vat_t id);
bool vat_alive(const kvat_t *vat);
void vat_counted(kernel_t *k, const kvat_t *vat, bool more);
void vat_free(kvat_t *vat);
void vat_ready(kernel_t *k, kvat_t *vat);
void vat_busy(kernel_t *k, kvat_t *vat, bool more);
void vat_end(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, cause_t cause);
void vat_end_with(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, bool rejected,
                  value_t *value, cause_t cause);
bool vat_forgettable(const kvat_t *vat);
void vat_quarantine(kernel_t *k, kvat_t *vat, const char *why);
void vat_forget(kernel_t *k, kvat_t *vat);
void vat_push(kernel_t *k, kvat_t *vat);
void log_release(kernel_t *k, log_t *log);
void log_free(log_t *log);

/* ---- clean.c: what vats that ended leave behind ---- */
void clean_begin(kernel_t *k, kvat_t *vat);
void clean_some(kernel_t *k);
void clean_all(kernel_t *k, kvat_t *vat);

/* ---- gc.c: what a vat must be told of, and when ---- */
void gc_look(kernel_t *k, object_t *object);
void gc_look_all(kernel_t *k);
void gc_end(kvat_t *vat);
bool gc_due(kernel_t *k, kvat_t *vat);
size_t gc_listed(const kvat_t *vat);
bool gc_waits(const kvat_t *vat);
bool reap_due(const kvat_t *vat);
void gc_assign(kernel_t *k, kvat_t *vat);
void on_reap(kernel_t *k, uint32_t client, const msg_reap_t *msg);

/* ---- assign.c: from queues to logs ---- */
log_t *log_new(kernel_t *k, const kvat_t *vat, const entry_t *entry, size_t kref_count);
log_t *log_parameters(kernel_t *k, const kvat_t *vat, const entry_t *entry);
void parameters_introduce(kernel_t *k, kvat_t *vat, const log_t *log);
void log_bytes(kernel_t *k, log_t *log, msg_tag_t tag, const void *body);
void log_append(kernel_t *k, kvat_t *vat, log_t *log, const entry_t *entry);
uint64_t stamp(const kernel_t *k, const kvat_t *vat);
void assign_all(kernel_t *k);
void serial_next(kernel_t *k, kcluster_t *cluster);
void deliver(kernel_t *k, const kvat_t *vat, const log_t *log);

/* ---- result.c, check.c, apply.c: a crank comes back ---- */
void on_result(kernel_t *k, host_t from, const msg_result_t *msg);
void on_lost(kernel_t *k, host_t from, const msg_lost_t *msg);
err_t check_crank(kernel_t *k, const kvat_t *vat, const log_t *log, size_t *ret_at);
uint64_t stated_d(const log_t *log);
void check_clear(kernel_t *k);
const msg_exit_t *apply_calls(kernel_t *k, kvat_t *vat, const log_t *log);
void apply_failed_exit(kernel_t *k, kvat_t *vat, const msg_exit_t *exit, const log_t *log);

/* ---- cluster.c, cluster_end.c ---- */
void on_launch(kernel_t *k, uint32_t client, const msg_launch_t *msg);
void on_cluster_rm(kernel_t *k, uint32_t client, const msg_cluster_rm_t *msg);
void on_cluster_reload(kernel_t *k, uint32_t client, const msg_cluster_reload_t *msg);
kcluster_t *cluster_launch(kernel_t *k, const msg_launch_t *msg, char *why, size_t room);
void cluster_started(kernel_t *k, kcluster_t *cluster);
id128_t cluster_request(const kcluster_t *cluster);
void cluster_end(kernel_t *k, kcluster_t *cluster, cause_t cause);
void cluster_remove(kernel_t *k, kcluster_t *cluster, bool forget, bool asked, const char *why,
                    cause_t cause);
void cluster_launch_ends(kernel_t *k, const kcluster_t *cluster);
void cluster_doom(kernel_t *k, kcluster_t *cluster);
bool clusters_end_doomed(kernel_t *k);
void cluster_vat_ended(kernel_t *k, kcluster_t *cluster, const kvat_t *vat);
void cluster_free(kcluster_t *cluster);
kcluster_t *cluster_asked(kernel_t *k, uint32_t client, id128_t request, cluster_t id);
kcluster_t *cluster_find(const kernel_t *k, uint64_t n);
kvat_t *vat_make(kernel_t *k, kcluster_t *cluster, const msg_launch_vat_t *row, uint64_t host,
                 value_t *parameters, bool dynamic, cause_t cause);
void cluster_without(kcluster_t *cluster, const kvat_t *vat);

/* ---- bootstrap.c ---- */
bool service_named(text_t name, bool system);
value_t *bootstrap_value(kernel_t *k, const kcluster_t *cluster);

/* ---- client.c ---- */
void on_client(kernel_t *k, uint32_t client, const msg_t *msg);
void on_client_gone(kernel_t *k, uint32_t client);
void client_settled(kernel_t *k, promise_t *promise);
void client_idle(kernel_t *k);
hold_t *hold_new(kernel_t *k, kref_t kref, uint64_t cluster);
void hold_drop(kernel_t *k, hold_t *hold);
void hold_settled(kernel_t *k, promise_t *promise);
void reply(kernel_t *k, uint32_t client, msg_tag_t tag, const void *body);
void reply_recorded(kernel_t *k, uint32_t client, id128_t id, msg_tag_t tag, const void *body);
void reply_failed(kernel_t *k, uint32_t client, id128_t id, bool record, err_t error,
                  const char *what, const char *why);
void reply_done(kernel_t *k, uint32_t client, id128_t request);
bool request_repeated(kernel_t *k, uint32_t client, id128_t id);
request_t *request_find(const kernel_t *k, id128_t id);
void request_pending(kernel_t *k, id128_t id);
void request_add(kernel_t *k, request_t *request);
void request_free(request_t *request);

/* ---- list.c ---- */
void on_list(kernel_t *k, uint32_t client, const msg_list_t *msg);

/* ---- registry.c: LIST with filters and pages ---- */
enum { REGISTRY_OBJECTS = 7, REGISTRY_PROMISES, REGISTRY_ENTRIES, REGISTRY_LAUNCH }; /* LIST.what */
CHECKED err_t registry_list(const kernel_t *k, const msg_list_t *msg, buf_t *out, uint64_t *ret_next);
text_t object_state(const kernel_t *k, const object_t *object);
text_t object_service(const kernel_t *k, const object_t *object);
text_t promise_state(const promise_t *promise);

/* ---- pin.c: PIN, REVOKE ---- */
uint64_t object_own_pins(const kernel_t *k, const object_t *object);
void object_pin(kernel_t *k, object_t *object);
void object_unpin(kernel_t *k, object_t *object);
void on_pin(kernel_t *k, uint32_t client, const msg_pin_t *msg);
void on_revoke(kernel_t *k, uint32_t client, const msg_revoke_t *msg);

/* ---- ring.c: vats that hold each other's objects ---- */
typedef void ring_visit_t(void *context, const msg_cycle_row_t *row);
void rings_each(const kernel_t *k, ring_visit_t *visit, void *context);

/* ---- names.c: AUDIT ---- */
void on_audit(kernel_t *k, uint32_t client, const msg_audit_t *msg);
void on_names(kernel_t *k, uint32_t from, const msg_names_t *msg);
void audits_go_on(kernel_t *k);
void audits_without(kernel_t *k, uint32_t client); /* 0: all of them go */

/* ---- host.c ---- */
void on_host(kernel_t *k, const input_t *input);
void on_host_gone(kernel_t *k, uint32_t from);
kvat_t *vat_speaker(const kernel_t *k, uint32_t from, vat_t id, uint64_t pgen, uint64_t run);
khost_t *host_find(const kernel_t *k, uint64_t n);
void host_free(khost_t *host);

/* ---- event.c: effects ---- */
effect_t *effect_add(kernel_t *k, effect_kind_t kind, uint32_t to);
blob_t *frame_of(kernel_t *k, msg_tag_t tag, const void *body);
void send_host(kernel_t *k, uint64_t host, msg_tag_t tag, const void *body);
void event_life(kernel_t *k, const char *type, const kvat_t *vat, const khost_t *host, text_t text);
void event_console(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_console_t *line);
void event_send(kernel_t *k, const kvat_t *from, uint64_t d, const entry_t *entry);
void event_service(kernel_t *k, const service_t *service, const entry_t *entry);
void event_deliver(kernel_t *k, const kvat_t *vat, const log_t *log, const entry_t *entry);
void event_done(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_result_t *result,
                size_t calls);
void event_resolve(kernel_t *k, const promise_t *promise, vat_t decider, cause_t cause);

/* ---- kernel.c ---- */
uint64_t count_up(kernel_t *k, counter_name_t name);
void draw(kernel_t *k, void *at, size_t n);
id128_t draw_id(kernel_t *k);
cause_t cause_input(kernel_t *k);
extern const char *const counter_names[COUNTER_COUNT];
