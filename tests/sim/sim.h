/* The simulator: one seed, one thread, the real kernel and the real supervisors; hosts, network, vats and
 * a client are made of chance. A run ends with a verdict, never with an abort. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VATS_MAX = 24,
    LAUNCHED_MAX = 6,
    HOSTS_MAX = 3,
    CLUSTERS_MAX = 2,
    RULE_MAX = 24,
    WHAT_MAX = 512
};

/* Kinds of accident, each of which can be switched off: --off NAME,NAME. */
/* clang-format off */
#define FAULTS(X)                                                               \
    X(cut, "a host loses its connection, with frames under way")                \
    X(late, "frames of an old connection arrive later, some twice")             \
    X(kill, "a worker is killed and started again")                             \
    X(broker, "the broker dies and comes back from its rows")                   \
    X(group, "several inputs share a commit; a crash takes all of them")        \
    X(client, "the client loses its connection and asks again")                 \
    X(lost, "a worker ends through a limit")                                    \
    X(limit, "cranks exceed a limit, the same ones each time")                  \
    X(end, "a vat is terminated by the client")                                 \
    X(rude, "vats make illegal syscalls")                                       \
    X(forge, "a worker forges a result")                                        \
    X(eager, "vats drop and retire outside of bringOutYourDead")                \
    X(exit, "vats end themselves")                                              \
    X(abandon, "vats abandon exports")                                          \
    X(restart, "the client restarts a vat")                                     \
    X(reap, "vats are reaped by thresholds and on request")                     \
    X(window, "more than one delivery in flight")                               \
    X(serial, "clusters that run one crank at a time")                          \
    X(remove, "a cluster is removed while it works")                            \
    X(service, "vats use objects of the kernel: time, vat-admin")                 \
    X(upgrade, "vats are upgraded, some to code that is broken or not there")   \
    X(outside, "IO channels of clusters; fetch and timeouts of vats")           \
    X(agent, "the agent dies, and another one comes")                           \
    X(revoke, "the client revokes objects")                                     \
    X(reload, "the client reloads a cluster")                                   \
    X(critical, "vats whose end ends their cluster")                            \
    X(audit, "the client audits, with the names that workers know, and lists")  \
    X(pin, "the client pins objects, and takes pins away")                      \
    X(checkpoint, "workers make checkpoints, now and then, and start from them") \
    X(sleep, "workers that have nothing to do end, and come back")              \
    X(host, "a host's process ends with all its workers, and another one comes")  \
    X(loss, "a host's machine is gone for good, and the operator says so")      \
    X(regress, "a vat is brought back from a backup of its host's disk")       \
    X(move, "vats move to other hosts, hosts are drained")                     \
    X(mirror, "checkpoints are copied to the broker")                          \
    X(damage, "the newest heap on a disk cannot be read any more")
/* clang-format on */
typedef enum {
#define X(name, doc) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
} fault_t;
extern const char *const fault_names[FAULT_COUNT];

/* What model vats ask of the kernel, and how it went: places of asks.def, and one for everything else. */
enum {
#define ASK(kind, method, arguments) +1
    ASKS_MAX = 0
#include "tests/sim/asks.def"
#undef ASK
};
typedef struct {
    uint64_t asked, fulfilled, rejected;
} coverage_t;

/* What a run may be told from outside; everything else follows from the seed. */
typedef struct {
    uint64_t seed;
    unsigned vats_max, steps_max; /* 0: as the seed says */
    uint64_t off;                 /* 1 << FAULT_*: what does not happen */
    bool verbose;                 /* the event log goes to stdout */
    const uint64_t *keep;         /* only these actions happen (sorted keys); NULL: all */
    size_t keep_count;
    bool record; /* note the actions that happened */
    int bug;     /* BUG_*, 0: none; only in the planted build */
} sim_options_t;

typedef struct {
    bool failed;
    char rule[RULE_MAX], what[WHAT_MAX];
    uint64_t step; /* where it failed, or how long it was */
    uint64_t cranks, audits, messages, accidents;
    uint64_t hash; /* of the event log */
    coverage_t coverage[ASKS_MAX + 1];
    uint64_t
        *actions; /* with RECORD: keys, in the order in which they happened; the caller frees */
    size_t action_count;
} sim_result_t;

/* "kind.method" of place N; NULL: the one before says the same. */
const char *sim_ask(unsigned n);

void sim_run(const sim_options_t *options, sim_result_t *ret);

/* What the seed says, as one line, into TEXT. */
void sim_describe(const sim_options_t *options, char *text, size_t room);

/* Keys of actions: of step N, or of action N of crank D of a vat. As text: s12, v3.41.2 */
uint64_t sim_key_step(uint64_t step);
uint64_t sim_key_vat(unsigned vat, unsigned d, unsigned n);
void sim_key_text(uint64_t key, char *text, size_t room);
bool sim_key_parse(const char *text, uint64_t *ret);
