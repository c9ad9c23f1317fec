/* The door: one step from input to effects. */
#include "broker/kernel/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "broker/kernel/audit/audit.h"
#include "broker/kernel/client/client.h"
#include "broker/kernel/crank/crank.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/host/host.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"

kernel_t *kernel_new(void)
{
    kernel_t *k = take(sizeof *k);
    k->frame = buf_of(FRAME_BYTES_MAX);
    k->flushes = 1;
    for (size_t i = 0; i < COUNTER_COUNT; i++) k->counters[i].head.table = ROW_counter;
    return k;
}

static void map_free(map_t *map, void (*give)(void *))
{
    for (size_t i = 0; i < map->room; i++) {
        void *value = map_cell(map, i);
        if (value) give(value);
    }
    map_clear(map);
}

static void give_vat(void *at) { vat_free(at); }
static void give_host(void *at) { host_free(at); }
static void give_cluster(void *at) { cluster_free(at); }
static void give_service(void *at) { service_free(at); }
static void give_pending(void *at) { pending_free(at); }
static void give_errand(void *at) { errand_free(at); }
static void give_promise(void *at) { promise_free(at); }

void kernel_destroy(kernel_t **self_p)
{
    kernel_t *k = *self_p;
    *self_p = NULL;
    if (!k) return;

    flush_clear(k);
    while (k->spent) {
        log_t *log = k->spent;
        k->spent = log->next;
        log_free(log);
    }
    map_free(&k->vats, give_vat);
    map_free(&k->hosts, give_host);
    map_free(&k->clusters, give_cluster);
    map_free(&k->objects, free);
    map_free(&k->promises, give_promise);
    map_free(&k->holds, free);
    map_free(&k->services, give_service);
    map_free(&k->pendings, give_pending);
    map_free(&k->timers, free);
    map_free(&k->errands, give_errand);
    free(k->heap);
    map_clear(&k->timer_chains);
    blob_destroy(&k->globals);
    blob_destroy(&k->backup.path);
    map_clear(&k->waited);
    map_clear(&k->requests);
    map_clear(&k->seen_at);
    while (k->request_head) {
        request_t *request = k->request_head;
        k->request_head = request->next;
        request_free(request);
    }
    while (k->quiets) {
        waiter_t *waiter = k->quiets;
        k->quiets = waiter->next;
        free(waiter);
    }
    audits_without(k, 0);
    buf_clear(&k->frame);
    free(k->answered);
    free(k->doubtful);
    free(k->calls);
    free(k->seen);
    free(k->dirty);
    free(k->gone);
    free(k->lent);
    free(k->tally.waits);
    free(k);
}

static void forget_vats(kernel_t *k)
{
    if (!k->forget) return;
    k->forget = false;
    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++)
        if (vat_find(k, vats[i])->forget) vat_forget(k, vat_find(k, vats[i]));
    free(vats);
}

/* What a cluster that never started leaves behind goes at once. */
static void clean_forgotten(kernel_t *k)
{
    if (!k->forget) return;
    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++)
        if (vat_find(k, vats[i])->forget) clean_all(k, vat_find(k, vats[i]));
    free(vats);
}

/* After an input was taken: routes what it set off, to the end; then counts; then the next
 * deliveries. Assigning can splat and let go of references, and then there is more to assign. */
static void follow(kernel_t *k)
{
    agent_resume(k);
    clean_some(k);
    trim_some(k);
    clean_forgotten(k);
    bool again;
    do {
        again = false;
        route_all(k);
        collect(k);
        while (k->ready) {
            assign_all(k);
            collect(k);
        }
        if (k->hosts_check) {
            hosts_go_on(k);
            again = true;
        }
    } while (clusters_end_doomed(k) || again);
    must(!k->work.head && !k->ready && !k->doubtful_count);
    if (k->idle_check) client_idle(k);
    k->idle_check = false;
    audits_go_on(k);
    forget_vats(k);
}

void kernel_step(kernel_t *k, const input_t *input, effects_t *out)
{
    k->now_us = input->now_us;
    if (!k->began_us) k->began_us = k->now_us;
    memcpy(k->entropy, input->entropy, sizeof k->entropy);
    k->draws = 0;
    k->tally.wait_count = 0;
    k->out = out;
    k->clean_rows = input->kind == INPUT_CHORE ? CLEAN_ROWS_CHORE : CLEAN_ROWS;
    k->trim_rows = input->kind == INPUT_CHORE ? TRIM_ROWS_CHORE : TRIM_ROWS;

    switch (input->kind) {
    case INPUT_HOST: on_host(k, input); break;
    case INPUT_HOST_GONE: on_host_gone(k, input->from); break;
    case INPUT_CLIENT: on_client(k, input->from, input->msg); break;
    case INPUT_CLIENT_GONE: on_client_gone(k, input->from); break;
    case INPUT_AGENT: on_agent(k, input->msg); break;
    case INPUT_AGENT_GONE: on_agent_gone(k); break;
    case INPUT_CHORE:
        timers_fire(k);
        hosts_lose(k);
        break;
    case INPUT_MIRRORED: on_mirrored(k, input); break;
    case INPUT_UNMIRRORED: on_unmirrored(k, input); break;
    case INPUT_BACKED_UP: on_backed_up(k, input); break;
    }
    holds_end(k);
    follow(k);
    k->out = NULL;
}

bool kernel_chores(const kernel_t *k)
{
    return k->clean || k->trims || k->ready || k->agent_lost || holds_due(k) ||
           timers_due(k, k->now_us);
}

bool kernel_overdue(const kernel_t *k, uint64_t now_us)
{
    return timers_due(k, now_us) || hosts_wake_us(k) <= now_us || audits_late(k, now_us);
}

uint64_t kernel_wake_us(const kernel_t *k)
{
    uint64_t timer = timers_wake_us(k), host = hosts_wake_us(k);
    return timer < host ? timer : host;
}

void kernel_watched(kernel_t *k, unsigned topics) { k->topics = topics; }

void kernel_traced(kernel_t *k, uint64_t below, trace_take_t *call, void *context)
{
    k->traced_below = call ? below : 0;
    k->trace_take = call;
    k->trace_context = context;
}

uint64_t kernel_epoch(const kernel_t *k) { return k->counters[COUNTER_epoch].value; }

id128_t kernel_id(const kernel_t *k)
{
    id128_t id;
    for (size_t i = 0; i < 8; i++) {
        id.b[i] = (uint8_t)(k->counters[COUNTER_kernel_hi].value >> (56 - 8 * i));
        id.b[8 + i] = (uint8_t)(k->counters[COUNTER_kernel_lo].value >> (56 - 8 * i));
    }
    return id;
}
