/* What a vat's own globals use: timeouts, fetch. Only the JavaScript around the vat calls it. */
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* The vat itself; NULL when it ended, and the call has failed. */
static kvat_t *own_vat(call_t *call)
{
    kvat_t *vat = vat_find(call->k, call->service->row.vat);
    if (vat && vat_alive(vat) && vat->cluster) return vat;
    call_fail(call, "[KERNEL:VAT_TERMINATED] vat terminated");
    return NULL;
}

/* after(id, ms): true when the time has come, false when it was cleared before. */
static void after(call_t *call)
{
    uint64_t id, ms;
    const kvat_t *vat = own_vat(call);
    if (!vat) return;
    if (!node_whole(node_item(call->args, 0), &id) || !node_whole(node_item(call->args, 1), &ms)) {
        call_fail(call, "after(id, ms): two whole numbers");
        return;
    }
    if (timeout_find(call->k, vat, id)) {
        call_fail(call, "timer %llu is there already", (unsigned long long)id);
        return;
    }
    if (timers_full(vat->cluster)) {
        call_fail(call, "the cluster has %d timers open, as many as it may", TIMERS_MAX);
        return;
    }
    kref_t result = call_defer(call);
    if (kref_none(result)) return; /* nobody waits */
    uint64_t wait = ms < TIMEOUT_MS_MIN ? TIMEOUT_MS_MIN : ms;
    timer_new(call->k, (row_timer_t){.kind = TIMER_TIMEOUT,
                                     .due_ms = time_after(time_ms(call->k), wait),
                                     .cluster = vat->cluster->row.cluster,
                                     .vat = vat->row.vat,
                                     .target = result.n,
                                     .number = id});
}

/* clear(id): what fired already, or never was, is no error. */
static void clear(call_t *call)
{
    uint64_t id;
    const kvat_t *vat = own_vat(call);
    if (!vat || !node_whole(node_item(call->args, 0), &id)) return;
    ktimer_t *timer = timeout_find(call->k, vat, id);
    if (!timer) return;
    AUTO(value) no = value_print(call->k, NULL, 0, "#false");
    if (!PLANTED(clear_ignored)) timer_settle(call->k, timer, false, no, call->cause);
}

const method_t outside_methods[] = {{"after", after}, {"clear", clear}, {"fetch", outside_fetch}, {NULL, NULL}};
