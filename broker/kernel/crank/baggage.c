/* A vat whose heap is lost: its names and its store are on its host's disk, as of its checkpoint, but no
 * engine can read the heap that belongs to them, damaged or made by another build.
 *
 * When the log reaches back to the first delivery the worker runs it again from there. Otherwise the vat
 * goes on from its baggage, as after an upgrade to the code that it has: what is in flight is given up and
 * queued again, and the upgrade comes before all that. That only holds if nothing the vat did is missing
 * from its store: what was applied behind its checkpoint would be. Then it goes into quarantine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/crank/own.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/planted.h"

/* ---- what is in flight goes back ---- */

typedef struct {
    kernel_t *k;
    kvat_t *vat;
    entry_t **at; /* to be queued again, in order */
    size_t count, room;
} again_t;

static void again_add(again_t *again, entry_t *entry)
{
    again->at = grown(again->at, &again->room, again->count + 1, sizeof *again->at);
    again->at[again->count++] = entry;
}

static void again_message(again_t *again, const log_t *log)
{
    kernel_t *k = again->k;
    msg_t msg;
    must(msg_decode(blob_bin(log->delivery), &msg) == ERR_OK);
    const msg_deliver_message_t *message = &msg.body.deliver_message;
    AUTO(value) value = value_of(&message->methargs);
    cause_t cause = {{{(uint32_t)log->row.msg_vat}, log->row.msg_d, (uint32_t)log->row.msg_n},
                     log->trace};
    entry_t *entry = entry_new(k, ENTRY_MESSAGE, message->target, message->result, value, cause);
    entry->row.queued_ms = log->row.queued_ms;
    if (!kref_none(message->result)) promise_decide(k, promise_find(k, message->result), NULL, 0);
    again_add(again, entry);
    msg_clear(&msg);
}

/* What it would have told of is to be told: of promises that the vat knew before, not of those that
 * only this notify led to. */
static void again_notify(again_t *again, const log_t *log)
{
    kernel_t *k = again->k;
    cause_t cause = {{{(uint32_t)log->row.msg_vat}, log->row.msg_d, (uint32_t)log->row.msg_n},
                     log->trace};
    for (size_t i = 0; i < log->kref_count; i++) {
        held_t *held = held_find(again->vat, log->krefs[i]);
        if (!held || held->row.told_d != log->row.d) continue;
        held->row.told_d = 0;
        touch(k, &held->head);
        if (held->row.since_d < log->row.d)
            again_add(again, entry_new(k, ENTRY_NOTIFY, log->krefs[i], (kref_t){0}, NULL, cause));
    }
}

/* dropExports took effect when it was assigned: the vat reaches them again, and will be told again. */
static void again_drop(kernel_t *k, kvat_t *vat, const log_t *log)
{
    msg_t msg;
    must(msg_decode(blob_bin(log->delivery), &msg) == ERR_OK);
    const krefs_t *refs = &msg.body.deliver_drop_exports.krefs;
    for (size_t i = 0; i < refs->count; i++) {
        held_t *held = held_find(vat, refs->at[i]);
        object_t *object = object_find(k, refs->at[i]);
        if (!held || !object || !(held->row.flags & HELD_EXPORTED)) continue;
        held_reach(k, held, true);
        if (!object->row.reachable) gc_look(k, object);
    }
    msg_clear(&msg);
}

/* The row that is next never ran, as far as anybody will know. */
static void put_back(again_t *again, log_t *log)
{
    kernel_t *k = again->k;
    kvat_t *vat = again->vat;
    msg_result_t msg = {.d = log->row.d, .outcome = ERR_HEAP_LOST};
    if (log->kind == ENTRY_MESSAGE) again_message(again, log);
    if (log->kind == ENTRY_NOTIFY) again_notify(again, log);
    if (log->kind == ENTRY_DROP_EXPORTS) again_drop(k, vat, log);
    if (log->kind == ENTRY_REAP) vat->row.reap_asked = 1;
    crank_said(k, vat, log, &msg);
    log_applied(k, vat, &msg, LOG_FAILED);
    give_back(k, vat, log);
}

/* Those to be queued again come before the queue, whose places they get numbers before; when there are not
 * enough of these, all get new ones. */
static void queue_first(again_t *again)
{
    kernel_t *k = again->k;
    queue_t *queue = &again->vat->queue, rest = *queue;
    bool renumber = rest.head && rest.head->row.seq <= again->count;
    uint64_t seq = rest.head && !renumber ? rest.head->row.seq - again->count : 0;
    *queue = (queue_t){0};
    for (size_t i = 0; i < again->count; i++) {
        entry_t *entry = again->at[i];
        entry->row.holder = again->vat->row.vat;
        entry->row.seq = seq ? seq++ : ++k->next_entry;
        queue_push(queue, entry);
        touch(k, &entry->head);
        vat_busy(k, again->vat, true);
    }
    for (entry_t *entry; (entry = queue_pop(&rest));) {
        if (renumber) {
            bury(k, &entry->head);
            entry->row.seq = ++k->next_entry;
            touch(k, &entry->head);
        }
        queue_push(queue, entry);
    }
}

/* ---- the upgrade to the same ---- */

/* One that waits already does as well: only its place is another. */
static entry_t *take_upgrade(kernel_t *k, kvat_t *vat)
{
    queue_t rest = vat->queue;
    entry_t *found = NULL;
    vat->queue = (queue_t){0};
    for (entry_t *entry; (entry = queue_pop(&rest));) {
        if (found || entry->row.kind != ENTRY_UPGRADE)
            queue_push(&vat->queue, entry);
        else
            found = entry;
    }
    if (!found) return NULL;
    bury(k, &found->head);
    vat_busy(k, vat, false);
    return found;
}

/* What the vat was launched with; a vat that another one made gets none. */
static value_t *parameters_of(const kvat_t *vat)
{
    static const char undefined[] = "#\"#undefined\"";
    bin_t body = {(const uint8_t *)undefined, sizeof undefined - 1};
    const config_t *config = vat->cluster && !vat->row.dynamic ? vat->cluster->config : NULL;
    msg_t launch, row;
    if (!config || msg_decode(blob_bin(config->launch), &launch)) return value_new(body, NULL, 0);
    for (bin_t rest = launch.body.launch.vats; rest.len && msg_next(&rest, &row) == ERR_OK;
         msg_clear(&row))
        if (text_same(row.body.launch_vat.name, vat->row.name) &&
            row.body.launch_vat.parameters.len)
            body = row.body.launch_vat.parameters;
    value_t *value = value_new(body, NULL, 0);
    msg_clear(&launch);
    return value;
}

static entry_t *upgrade_to_same(kernel_t *k, kvat_t *vat)
{
    entry_t *entry = take_upgrade(k, vat);
    if (entry) return entry;
    AUTO(value) parameters = parameters_of(vat);
    upgrade_owe(k, vat, (kref_t){0});
    return upgrade_entry(k, vat, vat->row.bundle, parameters, text_of("its heap was lost"),
                         cause_input(k));
}

/* ---- */

/* All that the vat ran is applied: now it can begin again. PUSH: its worker stands there, and waits. */
void baggage_go(kernel_t *k, kvat_t *vat, bool push)
{
    if (!vat->baggage || vat->row.applied < vat->baggage) return;
    if (vat->log && vat->log->kind == ENTRY_UPGRADE) return;
    again_t again = {.k = k, .vat = vat};
    uint64_t first = vat->row.applied + 1;
    again_add(&again, upgrade_to_same(k, vat));
    while (vat->log) put_back(&again, vat->log);
    queue_first(&again);
    free(again.at);
    if (push && vat->row.applied >= first) send_rows(k, vat, first, vat->row.applied);
    vat_ready(k, vat);
}

void heap_lost_tell(kernel_t *k, const kvat_t *vat, uint64_t d, const char *what)
{
    char text[160];
    snprintf(text, sizeof text, "no heap of its checkpoint of delivery %" PRIu64 " can be read: %s",
             d, what);
    event_life(k, "vat-restart", vat, NULL, text_of(text));
}

/* Can a vat without a heap begin with its store as of D? What it asks to forget has taken effect here. */
static bool stands_on(const kvat_t *vat, uint64_t d)
{
    bool skipped = vat->row.skips && vat->row.skips <= d + 1;
    if (d < vat->row.applied && !skipped) return false;
    for (const log_t *log = vat->log; log; log = log->next)
        if (log->row.d > d &&
            (log->kind == ENTRY_RETIRE_EXPORTS || log->kind == ENTRY_RETIRE_IMPORTS))
            return false;
    return true;
}

/* Can VAT, whose worker attaches without a heap, go on from its baggage? */
bool baggage_will_do(const kvat_t *vat, const msg_attach_t *msg)
{
    return msg->last == msg->checkpoint && stands_on(vat, msg->checkpoint);
}

/* The worker attaches without a heap. Returns what ATTACHED.again tells it; ATTACHED_NEVER: its vat is in
 * quarantine. */
uint64_t heap_lost(kernel_t *k, kvat_t *vat, const msg_attach_t *msg)
{
    uint64_t d = msg->checkpoint;
    if (vat->row.safe == 0) {
        checkpoint_is(k, vat, 0, (hash_t){{0}});
        heap_lost_tell(k, vat, d, "it runs its log again from the beginning");
        return PLANTED(heap_taken_for_whole) ? ATTACHED_GO_ON : ATTACHED_FROM_NOTHING;
    }
    if (!baggage_will_do(vat, msg)) {
        char why[160];
        snprintf(why, sizeof why,
                 "no heap of its checkpoint of delivery %" PRIu64
                 " can be read, and more was applied since: %" PRIu64,
                 d, vat->row.applied);
        vat_quarantine(k, vat, ERR_HEAP_LOST, why);
        return ATTACHED_NEVER;
    }
    vat->baggage = d;
    heap_lost_tell(k, vat, d, "it begins again with its baggage");
    return ATTACHED_FROM_BAGGAGE;
}
