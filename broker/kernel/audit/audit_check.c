/* The audit's second pass: each record against what the first one counted. */
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/audit/recount.h"
#include "broker/kernel/crank/crank.h"
#include "broker/kernel/host/host.h"
#include "broker/kernel/refs/refs.h"
#include "wire/base/hash.h"

/* ---- objects ---- */

static void check_name(recount_t *a, kref_t kref)
{
    which_t row = row_of_kref(kref.n);
    uint64_t issuer = kref_issuer(kref).n, last = 0;
    const kvat_t *vat = vat_find(a->k, issuer);
    if (vat) last = kref_is_promise(kref) ? vat->row.promises : vat->row.objects;
    if (!issuer)
        last = a->k->counters[kref_is_promise(kref) ? COUNTER_next_promise : COUNTER_next_object]
                   .value;
    if (issuer && !vat)
        found(a, "K1", row, "its issuer v%" PRIu64 " should be known and is not", issuer);
    else if (kref_serial(kref) > last || (!issuer && !last))
        found(a, "K1", row, "its issuer made %" PRIu64 ", its number should be at most that", last);
}

/* What nobody reaches, somebody is to be told of. */
static void check_due(recount_t *a, const object_t *object)
{
    which_t row = row_of_kref(object->row.kref);
    if (object->row.reachable) return;
    if (object_orphan(a->k, object)) {
        if (object->row.owner)
            return; /* its owner is being cleaned up, and did not come to it yet */
        for (const held_t *held = object->named.holders; held; held = held->next)
            if (!(held->row.flags & HELD_EXPORTED) && vat_alive(held->vat) &&
                !held->due[DUE_RETIRE_IMPORT])
                found(a, "K9", row_of_held(held),
                      "of an orphan out of reach: retireImports should be due");
        return;
    }
    const held_t *held = held_find(vat_find(a->k, object->row.owner), kref_of(object->row.kref));
    if (!held) return; /* K3 */
    if (held->row.flags & HELD_REACHABLE && !held->due[DUE_DROP])
        found(a, "K8", row,
              "out of reach, and its owner v%" PRIu64 " was not told: dropExports should be due",
              object->row.owner);
    if (!object->row.recognizable && !held->due[DUE_RETIRE_EXPORT])
        found(a, "K9", row, "recognized by nobody: retireExports to v%" PRIu64 " should be due",
              object->row.owner);
}

static void check_owner(recount_t *a, const object_t *object, const tally_t *at)
{
    which_t row = row_of_kref(object->row.kref);
    uint64_t owner = object->row.owner, issuer = kref_issuer(kref_of(object->row.kref)).n;
    const kvat_t *vat = vat_find(a->k, owner);
    if (owner && (!vat || (!vat_alive(vat) && !vat->cleaning)))
        found(a, "K2", row, "its owner v%" PRIu64 " is not alive, should be 0: an orphan", owner);
    if (owner && owner != issuer)
        found(a, "K2", row, "its owner is v%" PRIu64 ", should be its issuer v%" PRIu64 " or 0",
              owner, issuer);
    if (owner && !at->exports)
        found(a, "K3", row, "its owner v%" PRIu64 " should have an export row for it, has none",
              owner);
    else if (at->exports > 1)
        found(a, "K3", row, "exported by %u vats, should be by its owner v%" PRIu64 " alone",
              at->exports, owner);
    else if (at->exporter != owner)
        found(a, "K3", row, "exported by v%u, should be by its owner v%" PRIu64 " (0: nobody)",
              at->exporter, owner);
}

static void check_object(recount_t *a, const object_t *object)
{
    which_t row = row_of_kref(object->row.kref);
    const tally_t *at = tally(a, object->row.kref);
    kref_t kref = {object->row.kref};
    uint64_t pins = object->row.pins, own = object_own_pins(a->k, object);
    check_owner(a, object, at);
    if (object->row.reachable > object->row.recognizable)
        found(a, "K4", row, "reachable is %" PRIu64 ", should be at most recognizable, %" PRIu64,
              object->row.reachable, object->row.recognizable);
    if (pins < own)
        found(a, "K5", row, "pins is %" PRIu64 ", should be at least %" PRIu64, pins, own);
    found_count(a, "K5", row, "reachable", object->row.reachable, at->reach + pins);
    found_count(a, "K6", row, "recognizable", object->row.recognizable, at->recognize + pins);
    if (!object->row.owner && !object->row.recognizable)
        found(a, "K7", row, "nobody owns it and nobody recognizes it, should be gone");
    if (!kref_issuer(kref).n && !service_find(a->k, kref))
        found(a, "K50", row, "of the kernel, should be one of its services");
    check_name(a, kref);
    check_due(a, object);
}

/* ---- promises ---- */

static size_t subscribers(recount_t *a, const promise_t *promise)
{
    size_t count = 0;
    for (const held_t *held = promise->named.holders; held; held = held->next) {
        if (!(held->row.flags & HELD_SUBSCRIBED)) continue;
        if (vat_alive(held->vat))
            count++;
        else if (!held->vat->cleaning)
            found(a, "K16", row_of_held(held), "subscribed, and the vat ended: should be gone");
    }
    return count;
}

static void check_decider(recount_t *a, const promise_t *promise, const tally_t *at)
{
    which_t row = row_of_kref(promise->row.kref);
    uint64_t n = promise->row.decider;
    const kvat_t *decider = vat_find(a->k, n);
    if (at->results + (n ? 1 : 0) != 1)
        found(a, "K12", row, "decided by %u queued messages and %s vat, should be by one of either",
              at->results, n ? "a" : "no");
    if (!n) return;
    if (!decider || !vat_alive(decider)) {
        found(a, "K12", row, "its decider v%" PRIu64 " is not alive, should be a live vat", n);
        return;
    }
    const promise_t *linked =
        promise->decided_prev ? promise->decided_prev->decided_next : decider->decides;
    if (linked != promise)
        found(a, "K12", row, "should be in the list of what its decider v%" PRIu64 " decides", n);
    if (!held_find(decider, kref_of(promise->row.kref)))
        found(a, "K13", row, "its decider v%" PRIu64 " should have a row for it and has none", n);
    if (promise->row.decider_d > decider->row.assigned)
        found(a, "K25", row, "decided since v%" PRIu64 "/%" PRIu64 ", should be at most /%" PRIu64,
              n, promise->row.decider_d, decider->row.assigned);
}

static void check_settled(recount_t *a, const promise_t *promise, size_t subscribed,
                          const tally_t *at)
{
    which_t row = row_of_kref(promise->row.kref);
    kref_t single;
    if (promise->row.decider)
        found(a, "K14", row, "settled, its decider is v%" PRIu64 ", should be 0",
              promise->row.decider);
    found_count(a, "K14", row, "settled, and the number of its subscribers", subscribed, 0);
    found_count(a, "K14", row, "settled, and the number of messages that decide it", at->results,
                0);
    if (!promise->value) {
        found(a, "K14", row, "settled, should have a value and has none");
        return;
    }
    capdata_t data = value_data(promise->value);
    if (promise->row.state == PROMISE_FULFILLED && smallcaps_single_slot(&data, &single) &&
        kref_is_promise(single))
        found(a, "K18", row, "fulfilled with nothing but a promise, should have followed it");
    found_count(a, "K17", row, "settled, and the length of its queue", promise->queue.count, 0);
}

static void check_promise(recount_t *a, const promise_t *promise)
{
    which_t row = row_of_kref(promise->row.kref);
    const tally_t *at = tally(a, promise->row.kref);
    size_t subscribed = subscribers(a, promise);
    check_name(a, kref_of(promise->row.kref));
    if (promise->row.state > PROMISE_REJECTED)
        found(a, "K11", row, "state is %" PRIu64 ", should be 0, 1 or 2", promise->row.state);
    found_count(a, "K15", row, "its count", promise->row.count, at->count);
    if (!promise->row.count) found(a, "K19", row, "nobody names it, should be gone");
    if (promise->row.state != PROMISE_UNRESOLVED) {
        check_settled(a, promise, subscribed, at);
        return;
    }
    check_decider(a, promise, at);
    if (promise->value) found(a, "K14", row, "unresolved, should have no value and has one");
    if (promise->hold && promise->hold->row.seq)
        found(a, "K14", (which_t){"hold", 'k', 0, promise->row.kref, 0},
              "its promise is unresolved: seq is %" PRIu64 ", should be 0", promise->hold->row.seq);
}

/* ---- vats ---- */

/* GC and reap wait for what is in flight, and then they run. */
static bool may_gc(const kvat_t *vat)
{
    if (vat->cluster && vat->cluster->row.serial) return false;
    if (vat->row.state != VAT_RUNNING || vat->log || vat->ready) return false;
    return gc_listed(vat) || reap_due(vat);
}

/* In a serial cluster only the one whose turn it is, and that is looked at elsewhere. */
static bool may_run(const kvat_t *vat)
{
    if (vat->ready || (vat->cluster && vat->cluster->row.serial)) return false;
    if (vat->row.state == VAT_STARTING) return vat->row.assigned == 0;
    bool stands = reap_due(vat) || (gc_listed(vat) && !gc_waits(vat));
    if (vat->log &&
        (vat->log->kind >= ENTRY_REAP || vat->log->row.attempts || vat->baggage || stands))
        return false;
    if (vat->log && vat->queue.head && vat->queue.head->row.kind == ENTRY_UPGRADE) return false;
    return vat->row.state == VAT_RUNNING && vat->row.assigned - vat->row.applied < vat->row.window;
}

static uint64_t flight(const kvat_t *vat)
{
    uint64_t count = 0;
    for (const log_t *log = vat->log; log; log = log->next) count++;
    return count;
}

static void check_flight(recount_t *a, const kvat_t *vat)
{
    which_t row = row_of_vat(vat);
    uint64_t d = vat->row.applied;
    for (const log_t *log = vat->log; log; log = log->next) {
        if (log->row.attempts >= (log == vat->log ? POISON_ATTEMPTS : 1))
            found(a, "K58", row, "delivery %" PRIu64 " cost %" PRIu64 " workers, should be %s",
                  log->row.d, log->row.attempts,
                  log == vat->log ? "given up by then" : "none: it was not run yet");
        if (log->row.d != ++d)
            found(a, "K31", row, "delivery %" PRIu64 " in flight, should be %" PRIu64, log->row.d,
                  d);
        if ((log->kind >= ENTRY_REAP || log->kind == ENTRY_START) && (log != vat->log || log->next))
            found(a, "K32", row,
                  "delivery %" PRIu64 " is a start, reap or GC: should be alone in flight",
                  log->row.d);
    }
    found_count(a, "K31", row, "assigned", vat->row.assigned, d);
    if (d - vat->row.applied > vat->row.window)
        found(a, "K31", row,
              "%" PRIu64 " deliveries in flight, should be at most its window, %" PRIu64,
              d - vat->row.applied, vat->row.window);
    if (vat->row.safe > vat->row.applied)
        found(a, "X1", row, "safe is %" PRIu64 ", should be at most applied, %" PRIu64,
              vat->row.safe, vat->row.applied);
}

static void check_life(recount_t *a, const kvat_t *vat)
{
    which_t row = row_of_vat(vat);
    bool started = vat->row.applied > 0;
    if (vat->row.state == VAT_STARTING && started)
        found(a, "K42", row, "applied is %" PRIu64 ", should be 0 while it starts",
              vat->row.applied);
    if ((vat->row.state == VAT_RUNNING || vat->row.state == VAT_QUARANTINED) && !started)
        found(a, "K42", row, "applied is 0, should be at least 1 once it has started");
    if (!vat->row.inc || !vat->row.pgen)
        found(a, "K42", row, "inc, pgen are %" PRIu64 ", %" PRIu64 ", should be at least 1",
              vat->row.inc, vat->row.pgen);
    if (!vat->row.window || vat->row.window > WINDOW_MAX)
        found(a, "K42", row, "window is %" PRIu64 ", should be 1 to %d", vat->row.window,
              WINDOW_MAX);
    if (vat_alive(vat) && !host_find(a->k, vat->row.host))
        found(a, "K43", row, "stands on h%" PRIu64 ", should be a known host", vat->row.host);
    if (vat->row.vat > a->k->counters[COUNTER_next_vat].value)
        found(a, "K45", row, "the last number given is %" PRIu64 ", should be at least its own",
              a->k->counters[COUNTER_next_vat].value);
    if (vat_alive(vat)) return;
    if ((vat->held.count && !vat->cleaning) || vat->queue.head || vat->log)
        found(a, "K26", row, "ended: %zu authority rows, %zu queued, %s in flight, should be none",
              vat->held.count, vat->queue.count, vat->log ? "some" : "none");
    if (vat->decides)
        found(a, "K44", row, "ended, should decide nothing any more, and decides promises");
}

/* What the vat may start from, and how far its log reaches back. */
static void check_checkpoint(recount_t *a, const kvat_t *vat)
{
    const row_vat_t *row = &vat->row;
    which_t which = row_of_vat(vat);
    if (row->skips > row->applied)
        found(a, "X1", which, "given up from %" PRIu64 " on, should be at most applied, %" PRIu64,
              row->skips, row->applied);
    if (!vat_alive(vat)) return;
    if (row->safe > row->oldest || row->oldest > row->checkpoint || row->checkpoint > row->assigned)
        found(a, "X13", which,
              "safe, oldest, checkpoint, assigned are %" PRIu64 ", %" PRIu64 ", %" PRIu64
              ", %" PRIu64 ", should be in that order",
              row->safe, row->oldest, row->checkpoint, row->assigned);
    if (superfluous(a->k, vat) != row->safe && !vat->trimming)
        found(a, "X14", which,
              "its log begins behind %" PRIu64 ", should be trimmed up to %" PRIu64, row->safe,
              superfluous(a->k, vat));
    hash_t known[] = {row->checkpoint == row->applied ? vat->checkpoint_chain : vat->chain,
                      row->oldest == row->applied ? vat->oldest_chain : vat->chain,
                      row->safe == row->applied ? vat->safe_chain : vat->chain};
    for (size_t i = 0; row->state == VAT_RUNNING && i < 3; i++)
        if (!hash_none(known[i]) && !hash_same(known[i], vat->chain))
            found(a, "X2", which,
                  "the chain of its checkpoint at applied, %" PRIu64 ", should be that of the log",
                  row->applied);
}

static void check_divergence(recount_t *a, const kvat_t *vat)
{
    const divergence_t *it = vat->divergence;
    if (!it) return;
    if (vat->row.state != VAT_QUARANTINED || it->row.d > vat->row.applied)
        found(a, "X15", row_of_vat(vat),
              "delivery %" PRIu64 " diverged, should be applied, and the vat in quarantine",
              it->row.d);
}

/* What others could start from. */
static void check_mirror(recount_t *a, const kvat_t *vat)
{
    which_t row = row_of_vat(vat);
    const mirror_t *mirror = vat->mirror;
    if (vat->row.moving && !host_find(a->k, vat->row.moving))
        found(a, "X16", row, "moves to h%" PRIu64 ", should be a known host", vat->row.moving);
    if (vat->move_request && !vat->row.moving)
        found(a, "X16", row, "a MOVE waits for it, and it does not move");
    if (!vat_alive(vat) && (mirror || vat->row.moving))
        found(a, "X16", row, "ended, should neither move nor have a copy");
    if (!mirror) return;
    if (mirror->row.d < vat->row.safe || mirror->row.d > vat->row.assigned)
        found(a, "X17", row,
              "its copy ends with %" PRIu64 ", should be between safe, %" PRIu64
              ", and assigned, %" PRIu64,
              mirror->row.d, vat->row.safe, vat->row.assigned);
    if (mirror->row.pgen > vat->row.pgen)
        found(a, "X17", row, "its copy is of placement %" PRIu64 ", should be at most %" PRIu64,
              mirror->row.pgen, vat->row.pgen);
    if (hash_none(mirror->hash) || !mirror->row.bytes)
        found(a, "X17", row, "its copy is of no file");
}

static void check_vat(recount_t *a, const kvat_t *vat)
{
    which_t row = row_of_vat(vat);
    check_mirror(a, vat);
    check_checkpoint(a, vat);
    check_divergence(a, vat);
    check_flight(a, vat);
    check_life(a, vat);
    for (const promise_t *promise = vat->decides; promise; promise = promise->decided_next)
        if (promise->row.decider != vat->row.vat || promise->row.state)
            found(a, "K12", row_of_kref(promise->row.kref),
                  "in the list of what v%" PRIu64 " decides, should not be", vat->row.vat);
    if (vat->queue.head && may_run(vat))
        found(a, "K37", row,
              "its queue is not empty and its window open: the first should be in flight");
    if (may_gc(vat)) found(a, "K37", row, "GC or a reap is due: it should be in flight");
    found_count(a, "K36", row, "busy", vat->busy, vat->queue.count + flight(vat));
}

/* ---- clusters, hosts, requests, the kernel as a whole ---- */

/* Every cluster can be launched again. */
static void check_config(recount_t *a, const kcluster_t *cluster)
{
    which_t row = {"config", 's', 0, cluster->row.cluster, 0};
    msg_t msg;
    if (!cluster->config || msg_decode(blob_bin(cluster->config->launch), &msg)) {
        found(a, "K53", row, "should be the LAUNCH of its cluster, and is none");
        return;
    }
    bool fits = msg.tag == TAG_launch && text_same(msg.body.launch.name, cluster->row.name);
    if (!fits) found(a, "K53", row, "should be the LAUNCH of its cluster, and is another message");
    msg_clear(&msg);
}

/* A starting cluster that no client waits for: the answer to launchSubcluster is owed. */
static bool launched_by_vat(const recount_t *a, const kcluster_t *cluster)
{
    bool owed = false;
    for (size_t i = 0; i < a->k->pendings.room && !owed; i++) {
        const pending_t *pending = map_cell(&a->k->pendings, i);
        owed = pending && pending->row.kind == PENDING_LAUNCH && !pending->row.watched &&
               pending->row.cluster == cluster->row.cluster;
    }
    return owed;
}

static void check_cluster(recount_t *a, const kcluster_t *cluster)
{
    which_t row = {"cluster", 's', 0, cluster->row.cluster, 0};
    uint64_t busy = 0, in_flight = 0;
    bool bootstrap = false;
    for (size_t i = 0; i < cluster->vat_count; i++) {
        const kvat_t *vat = cluster->vats[i];
        bootstrap = bootstrap || vat->row.vat == cluster->row.bootstrap;
        if (vat->row.state == VAT_QUARANTINED) continue;
        busy += vat->busy;
        in_flight += flight(vat);
    }
    if (cluster->row.serial)
        found_count(a, "K37", row, "in a serial cluster, the number of cranks in flight", in_flight,
                    busy ? 1 : 0);
    found_count(a, "K36", row, "busy", cluster->busy, busy);
    check_config(a, cluster);
    if (!bootstrap)
        found(a, "K42", row, "its bootstrap vat is v%" PRIu64 ", should be one of its vats",
              cluster->row.bootstrap);
    bool running = cluster->row.state == CLUSTER_RUNNING;
    if (running && !map_get(&a->k->holds, cluster->row.result))
        found(a, "K42", row, "it runs: bootstrap's promise should be held, and is not");
    if (running == (cluster->request != NULL || launched_by_vat(a, cluster)))
        found(a, "K42", row, "%s",
              running ? "it runs: its LAUNCH should be answered"
                      : "it starts: its LAUNCH should be waiting");
    if (cluster->row.cluster > a->k->counters[COUNTER_next_cluster].value)
        found(a, "K45", row, "the last number given is %" PRIu64 ", should be at least its own",
              a->k->counters[COUNTER_next_cluster].value);
}

static void check_host(recount_t *a, const khost_t *host)
{
    which_t row = {"host", 'h', 0, host->row.host, 0};
    if (host->row.state > HOST_DRAINING && host->connected)
        found(a, "K43", row, "in quarantine or disavowed, and has a session: should have none");
    if (host->request && host->row.state != HOST_DRAINING)
        found(a, "K43", row,
              "a HOST_CHANGE waits until it is drained, and it is not being drained");
    if (host->row.instances.len > HOST_INSTANCES_MAX * sizeof(id128_t))
        found(a, "K43", row, "remembers more instances than it should");
    uint64_t epoch = a->k->counters[COUNTER_epoch].value;
    if (host->row.epoch > epoch)
        found(a, "K43", row, "epoch is %" PRIu64 ", should be at most the kernel's, %" PRIu64,
              host->row.epoch, epoch);
    size_t vats = 0;
    for (size_t i = 0; i < a->k->vats.room; i++) {
        const kvat_t *vat = map_cell(&a->k->vats, i);
        vats += vat && vat_alive(vat) && vat->row.host == host->row.host;
    }
    if (vats != host->vats)
        found(a, "K43", row, "counts %zu vats, should be %zu", host->vats, vats);
    if (host->row.host > a->k->counters[COUNTER_next_host].value)
        found(a, "K45", row, "the last number given is %" PRIu64 ", should be at least its own",
              a->k->counters[COUNTER_next_host].value);
}

/* The request ID of ROW, which waits, as WHAT says. */
static void check_waits(recount_t *a, which_t row, const blob_t *id, const char *what,
                        size_t *count)
{
    if (!id) return;
    id128_t request;
    memcpy(request.b, blob_bin(id).at, sizeof request.b);
    const request_t *found_it = request_find(a->k, request);
    if (found_it && !found_it->reply)
        ++*count;
    else
        found(a, "K48", row, "its %s should be among the requests that wait", what);
}

/* Moves that wait for their vats to arrive, hosts that are to be drained. */
static void check_waiting(recount_t *a, size_t *count)
{
    for (size_t i = 0; i < a->k->vats.room; i++) {
        const kvat_t *vat = map_cell(&a->k->vats, i);
        if (vat) check_waits(a, row_of_vat(vat), vat->move_request, "MOVE", count);
    }
    for (size_t i = 0; i < a->k->hosts.room; i++) {
        const khost_t *host = map_cell(&a->k->hosts, i);
        which_t row = {"host", 'h', 0, host ? host->row.host : 0, 0};
        if (host) check_waits(a, row, host->request, "HOST_CHANGE", count);
    }
}

/* A request without an answer is the LAUNCH of a cluster that starts, or an UPGRADE, a MOVE or a HOST_CHANGE
 * that is under way. */
static void check_requests(recount_t *a)
{
    size_t waiting = 0, starting = 0, count = 0;
    uint64_t seq = 0;
    for (const request_t *request = a->k->request_head; request; request = request->next) {
        which_t row = {"request", 0, 0, request->row.seq, 0};
        if (request->row.seq <= seq)
            found(a, "K48", row, "stands behind %" PRIu64 ", should be greater", seq);
        seq = request->row.seq;
        waiting += !request->reply;
        count++;
    }
    for (size_t i = 0; i < a->k->clusters.room; i++) {
        const kcluster_t *cluster = map_cell(&a->k->clusters, i);
        if (!cluster || !cluster->request) continue;
        id128_t id;
        memcpy(id.b, blob_bin(cluster->request).at, sizeof id.b);
        const request_t *request = request_find(a->k, id);
        if (request && !request->reply)
            starting++;
        else
            found(a, "K48", (which_t){"cluster", 's', 0, cluster->row.cluster, 0},
                  "its LAUNCH should be among the requests that wait");
    }
    for (size_t i = 0; i < a->k->pendings.room; i++) {
        const pending_t *pending = map_cell(&a->k->pendings, i);
        if (!pending || !pending->has_request) continue;
        const request_t *request = request_find(a->k, pending->request);
        if (request && !request->reply)
            starting++;
        else
            found(a, "K48", (which_t){"pending", 'k', 0, pending->row.promise, 0},
                  "its UPGRADE should be among the requests that wait");
    }
    check_waiting(a, &starting);
    which_t all = {"requests", '#', 0, a->k->request_count, 0};
    found_count(a, "K48", all, "how many wait for an answer", waiting, starting);
    found_count(a, "K48", all, "how many there are", a->k->request_count, count);
}

/* What is done within a step is done when it ends. */
static void check_kernel(recount_t *a)
{
    which_t row = {"kernel", 'e', 0, a->k->counters[COUNTER_epoch].value, 0};
    uint64_t busy = 0;
    for (size_t i = 0; i < a->k->vats.room; i++) {
        const kvat_t *vat = map_cell(&a->k->vats, i);
        if (vat && vat->row.state != VAT_QUARANTINED) busy += vat->busy;
    }
    found_count(a, "K36", row, "busy", a->k->busy, busy);
    found_count(a, "K40", row, "the number of krefs that may have no reference left",
                a->k->doubtful_count, 0);
    found_count(a, "K40", row, "the number of entries that are nowhere", a->k->work.count, 0);
}

/* ---- messages ---- */

static int by_place(const void *left, const void *right)
{
    const place_t *x = left, *y = right;
    if (x->vat != y->vat) return x->vat < y->vat ? -1 : 1;
    if (x->d != y->d) return x->d < y->d ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

static void check_places(recount_t *a)
{
    if (a->place_count) qsort(a->places, a->place_count, sizeof *a->places, by_place);
    for (size_t i = 1; i < a->place_count; i++) {
        const place_t *at = &a->places[i];
        if (by_place(at - 1, at) != 0) continue;
        found(a, "K29", (which_t){"message", 'v', '/', at->vat, at->d},
              "#%" PRIu64 " is queued or in flight twice, should be in one place", at->n);
    }
}

/* A tally of something that is not there was reported as K22 or K33 where it is named. */
void check_all(recount_t *a)
{
    const kernel_t *k = a->k;
    for (size_t i = 0; i < k->objects.room; i++)
        if (map_cell(&k->objects, i)) check_object(a, map_cell(&k->objects, i));
    for (size_t i = 0; i < k->promises.room; i++)
        if (map_cell(&k->promises, i)) check_promise(a, map_cell(&k->promises, i));
    for (size_t i = 0; i < k->vats.room; i++)
        if (map_cell(&k->vats, i)) check_vat(a, map_cell(&k->vats, i));
    for (size_t i = 0; i < k->clusters.room; i++)
        if (map_cell(&k->clusters, i)) check_cluster(a, map_cell(&k->clusters, i));
    for (size_t i = 0; i < k->hosts.room; i++)
        if (map_cell(&k->hosts, i)) check_host(a, map_cell(&k->hosts, i));
    check_timers(a);
    check_services(a);
    check_requests(a);
    check_places(a);
    check_kernel(a);
}
