/* Figures for people: counted and measured here and there in one line, told here. Nothing is decided by them,
 * none is stored, and no time is read but that of the input. */
#include "broker/kernel/state/own.h"

/* What a delivery is called wherever people see it. */
const char *delivery_kind(unsigned kind)
{
    static const char *const names[ENTRY_KINDS] = {
        "start",       "message",       "notify",        "bringOutYourDead",
        "dropExports", "retireExports", "retireImports", "upgrade"};
    must(kind < ENTRY_KINDS);
    return names[kind];
}

/* How long ENTRY, which is being assigned, was in its vat's queue. */
uint64_t queue_wait(const kernel_t *k, const entry_t *entry)
{
    return k->now_us > entry->queued_us ? k->now_us - entry->queued_us : 0;
}

/* GC and reaps are never queued: they are made when they are assigned. */
static bool was_queued(unsigned kind) { return kind < ENTRY_REAP || kind == ENTRY_UPGRADE; }

void tally_assigned(kernel_t *k, const log_t *log, const entry_t *entry)
{
    k->tally.deliveries[log->kind]++;
    if (!was_queued(log->kind)) return;
    k->tally.waits =
        grown(k->tally.waits, &k->tally.wait_room, k->tally.wait_count + 1, sizeof *k->tally.waits);
    k->tally.waits[k->tally.wait_count++] = queue_wait(k, entry);
}

void tally_settled(kernel_t *k, bool rejected)
{
    must(k->tally.unresolved > 0);
    k->tally.unresolved--;
    if (rejected)
        k->tally.rejected++;
    else
        k->tally.fulfilled++;
}

const uint64_t *kernel_waits(const kernel_t *k, size_t *ret_count)
{
    *ret_count = k->tally.wait_count;
    return k->tally.waits;
}

/* ---- telling ---- */

typedef struct {
    figure_visit_t *visit;
    void *context;
} tell_t;

static void now(const tell_t *t, const char *name, uint64_t value)
{
    t->visit(t->context, name, "", "", false, value);
}

static void now_of(const tell_t *t, const char *name, const char *key, const char *of,
                   uint64_t value)
{
    t->visit(t->context, name, key, of, false, value);
}

static void so_far(const tell_t *t, const char *name, const char *key, const char *of,
                   uint64_t value)
{
    t->visit(t->context, name, key, of, true, value);
}

static void tell_happened(const tell_t *t, const kernel_t *k)
{
    static const char *const syscalls[TALLY_SYSCALLS] = {
        "send",        "subscribe",     "resolve",       "exit",
        "dropImports", "retireImports", "retireExports", "abandonExports"};
    static const unsigned gc[DUE_KINDS] = {ENTRY_DROP_EXPORTS, ENTRY_RETIRE_EXPORTS,
                                           ENTRY_RETIRE_IMPORTS};
    for (unsigned i = 0; i < ENTRY_KINDS; i++)
        so_far(t, "deliveries", "kind", delivery_kind(i), k->tally.deliveries[i]);
    for (unsigned i = 0; i < TALLY_SYSCALLS; i++)
        so_far(t, "syscalls", "syscall", syscalls[i], k->tally.syscalls[i]);
    for (unsigned i = 0; i < DUE_KINDS; i++)
        so_far(t, "gc_actions", "action", delivery_kind(gc[i]), k->tally.gc[i]);
    so_far(t, "resolutions", "", "", k->tally.fulfilled + k->tally.rejected);
    so_far(t, "rejections", "", "", k->tally.rejected);
}

static void tell_vats(const tell_t *t, const kernel_t *k)
{
    static const char *const states[] = {"starting", "running", "terminated", "quarantined"};
    uint64_t count[sizeof states / sizeof *states] = {0}, held = 0, queued = 0, in_flight = 0;
    for (size_t i = 0; i < k->vats.room; i++) {
        const kvat_t *vat = map_cell(&k->vats, i);
        if (!vat) continue;
        count[vat->row.state]++;
        held += vat->held.count;
        queued += vat->queue.count;
        in_flight += vat->row.assigned - vat->row.applied;
    }
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        now_of(t, "vats", "state", states[i], count[i]);
    now(t, "run_queue_length", queued);
    now(t, "in_flight", in_flight);
    now(t, "clist_entries", held);
}

static void tell_hosts(const tell_t *t, const kernel_t *k)
{
    uint64_t connected = 0;
    for (size_t i = 0; i < k->hosts.room; i++) {
        const khost_t *host = map_cell(&k->hosts, i);
        connected += host && host->connected;
    }
    now_of(t, "hosts", "state", "connected", connected);
    now_of(t, "hosts", "state", "away", k->hosts.count - connected);
}

void kernel_figures(const kernel_t *k, figure_visit_t *visit, void *context)
{
    tell_t t = {visit, context};
    tell_happened(&t, k);
    tell_vats(&t, k);
    tell_hosts(&t, k);
    now(&t, "clusters", k->clusters.count);
    now(&t, "kernel_objects", k->objects.count);
    now_of(&t, "kernel_promises", "state", "unresolved", k->tally.unresolved);
    now_of(&t, "kernel_promises", "state", "settled", k->promises.count - k->tally.unresolved);
    now(&t, "timers", k->timers.count);
    now(&t, "errands", k->errands.count);
    now(&t, "epoch", k->counters[COUNTER_epoch].value);
}
