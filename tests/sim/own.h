/* What the files of the simulator share. */
#pragma once
#include <setjmp.h>

#include "broker/kernel/kernel.h"
#include "tests/sim/chance.h"
#include "tests/sim/history.h"
#include "tests/sim/model.h"
#include "tests/sim/rows.h"
#include "tests/sim/sim.h"
#include "vathost/supervisor/supervisor.h"
#include "wire/base/map.h"

enum { CELL_COUNT = HOSTS_MAX * (VATS_MAX + 1), LATE_MAX = 64, GROUP_MAX = 6, KEPT_MAX = 64 };
enum { COPIES_MAX = 128 };
enum { AGENT_ASKS_MAX = 1024, AGENT_CHANNELS_MAX = 8 };
enum { REQUESTS_MAX = 1024, CALLS_MAX = 200, KREFS_MAX = 128 };

typedef struct {
    unsigned cluster, window, host;
    uint64_t reap_deliveries, reap_krefs;
    bool mirror;
    uint64_t poison; /* as LAUNCH_VAT has it */
    uint64_t every;  /* deliveries between two checkpoints */
    bool rude, eager, abandons, exits, critical, outside;
} vat_config_t;

/* Drawn from the seed. */
typedef struct {
    unsigned hosts, clusters, vats, steps, calls;
    unsigned accident; /* once in so many steps */
    unsigned budget, group;
    unsigned weights[FAULT_COUNT];
    bool serial[CLUSTERS_MAX], channel[CLUSTERS_MAX];
    unsigned dialect[CLUSTERS_MAX];
    vat_config_t vat[LAUNCHED_MAX];  /* those of the files, as v1, v2, ... by name */
    vat_config_t made[VATS_MAX + 1]; /* those that vats make, by number */
} config_t;

typedef struct frame {
    struct frame *next;
    blob_t *blob;
} frame_t;

typedef struct {
    frame_t *head, *tail;
    unsigned count;
} channel_t;

typedef enum { WAY_DOWN, WAY_UP, WAY_ASK, WAY_TELL } way_t;

/* A frame of a connection that is gone, or a second copy. */
typedef struct {
    way_t way;
    unsigned host, vat;
    blob_t *blob;
} late_t;

typedef struct {
    uint64_t d;
    blob_t *frame;
} kept_t;

typedef struct {
    unsigned number; /* of the vat; 0: the slot is free */
    unsigned host;
    vatstore_t *store; /* what is on its disk; it outlives the worker */
    engine_t *engine;
    supervisor_t *supervisor; /* NULL: no worker runs */
    opened_t opened;          /* what it started from, until that is history */
    hash_t saved_chain;       /* at its newest checkpoint */
    uint64_t inc, pgen, run, applied, fetched, starts;
    uint64_t wants;       /* delivery of the copy that it begins with, and that is not here yet */
    uint64_t rows, every; /* run since the checkpoint; and how many until the next */
    id128_t nonce;
    bool mirror, owes; /* owes: a copy that was asked for when there was nothing to copy */
    bool guest;        /* its host was told of it, and not of its end */
    bool broken;       /* its bundle does not start */
    bool attached, ended;
    kept_t kept[KEPT_MAX];
    unsigned kept_count;
} worker_t;

/* A copy of a vat's newest checkpoint, as a file. */
typedef struct {
    unsigned vat; /* 0: there is none */
    copy_t copy;
    vatstore_t *store;
} kept_copy_t;

/* One that the broker fetches. */
typedef struct {
    bool wanted;
    unsigned host;
    copy_t copy;
} pull_t;

typedef struct {
    bool open, up;            /* a connection exists; the broker WELCOMEd it */
    bool lost;                /* its machine does not exist any more */
    uint64_t instance;        /* of its process */
    bool gone;                /* the broker has not noticed yet that an old one ended */
    uint64_t session, routed; /* its newest connection, and the one the broker sends to */
    uint32_t number;          /* given by the broker */
    uint64_t epoch;
} shost_t;

typedef enum {
    REQUEST_LAUNCH,
    REQUEST_CALL,
    REQUEST_AWAIT,
    REQUEST_LAST_CALL,
    REQUEST_PIN,
    REQUEST_OTHER
} request_kind_t;

typedef struct {
    request_kind_t kind;
    id128_t id;
    blob_t *ask;      /* NULL: answered */
    unsigned cluster; /* of a launch; for a last call its vat */
    kref_t kref;      /* that is pinned, */
    bool unpin;       /* or not any more */
} request_t;

/* A lie for which there is seldom an opportunity: it waits for one. */
typedef enum {
    WISH_NONE,
    WISH_DROPPED,
    WISH_LATER,
    WISH_DECIDED_LATER,
    WISH_DIVERGED,
    WISH_COUNT
} wish_t;

typedef struct {
    enum { AGENT_OUT, AGENT_STARTS, AGENT_IN } state;
    bool gone; /* the broker has not noticed yet */
    uint64_t asks[AGENT_ASKS_MAX], channels[AGENT_CHANNELS_MAX];
    unsigned ask_count, channel_count;
} agent_t;

/* An input whose effects have not left yet. */
typedef struct {
    effects_t effects;
    blob_t *frame;    /* of the input; NULL for none */
    unsigned illegal; /* vat that must end with this step; 0: none */
} pending_t;

typedef struct sim sim_t;
struct sim {
    const sim_options_t *options;
    sim_result_t *result;
    jmp_buf out;
    config_t config;
    uint64_t off;

    kernel_t *kernel;
    rows_t rows;
    history_t *history;
    struct clocks *clocks;
    uint64_t now_us, step, draws, requests;
    pending_t pending[GROUP_MAX];
    unsigned pending_count;
    uint64_t chores;

    shost_t hosts[HOSTS_MAX];
    channel_t down[CELL_COUNT], up[CELL_COUNT], ask, tell;
    late_t late[LATE_MAX];
    unsigned late_count;
    kept_copy_t ships[HOSTS_MAX][VATS_MAX + 1]; /* at hosts, until they are fetched */
    kept_copy_t copies[COPIES_MAX];             /* at the broker */
    unsigned copy_count;
    pull_t pulls[VATS_MAX + 1];
    bool mirrored[VATS_MAX +
                  1]; /* the broker had a copy of this vat, whose checkpoints are all copied */
    uint64_t copied;
    vatstore_t *backups[HOSTS_MAX][VATS_MAX + 1]; /* what somebody kept of a host's disk */
    worker_t workers[HOSTS_MAX][VATS_MAX + 1];    /* by vat number */
    unsigned top;                                 /* the highest number of a vat so far */
    const vat_config_t *roles[VATS_MAX + 1];      /* by number, once it is there */
    bool dynamic[VATS_MAX + 1];                   /* a vat made it */
    bool touched[VATS_MAX + 1];                   /* names and authority are to be compared */
    bool made[VATS_MAX + 1], over[VATS_MAX + 1];  /* as the history knows */
    bool diverged[VATS_MAX + 1];                  /* a result said that it ran another history */
    bool lied[VATS_MAX + 1];                      /* a result of it was forged */
    wish_t wish;
    unsigned liar;               /* vat whose next result is a lie */
    unsigned lose[VATS_MAX + 1]; /* the next live delivery meets a limit */

    agent_t agent;
    map_t pins;      /* kref -> how often the client pinned it: client_pins() */
    map_t errands;   /* those that any agent was asked */
    unsigned client; /* connection; 0: none */
    uint32_t client_number;
    request_t asked[REQUESTS_MAX];
    unsigned asked_count, called;
    cluster_t clusters[CLUSTERS_MAX];
    kref_t bootstraps[CLUSTERS_MAX];
    bool told_release[VATS_MAX + 1], unheard[VATS_MAX + 1]; /* the last call was sent, and failed */
    bool launched[CLUSTERS_MAX], launch_asked[CLUSTERS_MAX], removed[CLUSTERS_MAX],
        reloaded[CLUSTERS_MAX];
    kref_t krefs[KREFS_MAX]; /* what the client knows */
    unsigned kref_count;

    map_t owed; /* result of a message to the kernel -> its coverage_t */
    bool calm;  /* the last phase: no accidents any more */
    size_t record_room;
};

extern sim_t *sim_now; /* the run that a failed must() belongs to */

/* sim.c */
_Noreturn void sim_fail(sim_t *self, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sim_log(sim_t *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_hash(sim_t *self, const void *at, size_t len);
bool sim_wanted(sim_t *self, uint64_t key);
bool sim_on(const sim_t *self, fault_t fault);
void sim_draw(sim_t *self, uint8_t entropy[32]);
blob_t *sim_encode(sim_t *self, msg_tag_t tag, const void *body);

/* config.c */
config_t config_of(const sim_options_t *options);
const vat_config_t *config_role(const config_t *config, const row_vat_t *row);

/* net.c */
void net_push(sim_t *self, way_t way, unsigned host, unsigned vat, blob_t *blob);
void net_post(sim_t *self, way_t way, unsigned host, unsigned vat, msg_tag_t tag, const void *body);
bool net_move(sim_t *self, chance_t *chance);
void net_cut(sim_t *self, unsigned host, chance_t *chance);
void net_cut_client(sim_t *self);
void net_clear(sim_t *self);
void net_forge(sim_t *self, chance_t *chance);

/* broker.c */
void broker_start(sim_t *self);
void broker_copied(sim_t *self, input_kind_t kind, unsigned vat, const copy_t *copy, err_t err);
void broker_step(sim_t *self, input_kind_t kind, uint32_t from, unsigned host, blob_t *frame);
void broker_commit(sim_t *self);
void broker_restart(sim_t *self, chance_t *chance);
void broker_shadow(sim_t *self);
void pending_clear(sim_t *self);

/* told.c */
void told_vats(sim_t *self);
void told_step(sim_t *self, const pending_t *step);

/* clocks.c: what the timer service promises; told like the history */
typedef struct clocks clocks_t;
clocks_t *clocks_new(sim_t *sim);
void clocks_destroy(clocks_t **self_p);
void clocks_step(clocks_t *self);
void clocks_asked(clocks_t *self, const msg_event_t *event);
void clocks_settled(clocks_t *self, const msg_event_t *event);
void clocks_sent(clocks_t *self, const msg_event_t *event);
void clocks_quiet(clocks_t *self);

/* agent.c */
void agent_take(sim_t *self, const blob_t *frame);
void agent_dies(sim_t *self, bool told);
bool agent_moves(const sim_t *self);
void agent_move(sim_t *self, chance_t *chance);

/* covered.c */
void covered_asked(sim_t *self, const msg_event_t *event);
void covered_settled(sim_t *self, const msg_event_t *event);

/* hosts.c */
void host_open(sim_t *self, unsigned host);
void host_restart(sim_t *self, unsigned host, chance_t *chance);
void host_lose(sim_t *self, unsigned host, chance_t *chance);
void host_take(sim_t *self, unsigned host, unsigned vat, blob_t *frame);

/* workers.c */
worker_t *worker_at(sim_t *self, unsigned host, unsigned vat);
worker_t *worker_of(sim_t *self, unsigned vat);
void worker_take(sim_t *self, unsigned host, const msg_t *msg);
void worker_attach(sim_t *self, worker_t *worker);
void worker_start(sim_t *self, worker_t *worker);
void worker_end(worker_t *worker);
void worker_remove(worker_t *worker);
void worker_kill(sim_t *self, worker_t *worker);
void worker_checkpoint(sim_t *self, worker_t *worker);
void worker_sleepy(sim_t *self, worker_t *worker);
void worker_damage(sim_t *self, worker_t *worker, bool both);
void worker_regress(sim_t *self, worker_t *worker);

/* copies.c */
void copies_clear(sim_t *self);
void copies_lost(sim_t *self, unsigned host);
void copies_ship(sim_t *self, const worker_t *worker);
void copies_session(sim_t *self, unsigned host);
void copies_get(sim_t *self, unsigned host, const msg_checkpoint_get_t *msg);
void copies_adopt(sim_t *self, worker_t *worker);
void copies_pull(sim_t *self, const effect_t *effect, unsigned host);
void copies_cut(sim_t *self, unsigned host);
void copies_come(sim_t *self, unsigned vat);
void copies_discard(sim_t *self, unsigned vat, const copy_t *copy);
void copies_start(sim_t *self);
void copies_check(sim_t *self);

/* client.c */
void client_open(sim_t *self);
void client_take(sim_t *self, blob_t *frame);
void client_launch(sim_t *self, unsigned cluster);
bool client_call(sim_t *self, chance_t *chance);
request_t *client_ask(sim_t *self, msg_tag_t tag, const void *body, request_kind_t kind);
id128_t client_request(sim_t *self);
uint64_t client_pins(const sim_t *self, kref_t kref);
void client_know(sim_t *self, kref_t kref);
kref_t client_any_object(const sim_t *self, chance_t *chance);
unsigned client_open_requests(const sim_t *self);

/* accident.c */
void accident(sim_t *self, chance_t *chance);
blob_t *forge(sim_t *self, unsigned vat, bin_t result, wish_t wish, chance_t *chance);

/* check.c */
void check_names(sim_t *self);
void check_vats(sim_t *self);
void check_idle(sim_t *self);
uint64_t check_own_pins(const sim_t *self, const row_object_t *object);
void check_baseline(sim_t *self);
void check_nothing_left(sim_t *self);
const row_vat_t *vat_row(const sim_t *self, unsigned vat);

/* calm.c */
void calm_down(sim_t *self);
