/* The audit of timers: what each row says fits together, and those that are due stand in order. */
#include <stdlib.h>

#include "broker/kernel/audit/recount.h"
#include "broker/kernel/service/service.h"

static which_t row_of_timer(const ktimer_t *timer)
{
    return (which_t){"timer", 0, 0, timer->row.timer, 0};
}

/* Numbers, sorted: how often is one there? */
typedef struct {
    uint64_t *at;
    size_t count, room;
} numbers_t;

static void number_add(numbers_t *self, uint64_t n)
{
    self->at = grown(self->at, &self->room, self->count + 1, sizeof *self->at);
    self->at[self->count++] = n;
}

/* The first that is not below N. */
static size_t number_find(const numbers_t *self, uint64_t n)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->at[middle] < n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t number_count(const numbers_t *self, uint64_t n)
{
    return number_find(self, n + 1) - number_find(self, n);
}

/* Numbers of timers whose handlers were woken and have not answered. */
static numbers_t awaited(const recount_t *a)
{
    numbers_t ret = {0};
    for (size_t i = 0; i < a->k->pendings.room; i++) {
        const pending_t *pending = map_cell(&a->k->pendings, i);
        if (pending && pending->row.kind == PENDING_WAKE) number_add(&ret, pending->row.number);
    }
    sort_numbers(ret.at, ret.count);
    return ret;
}

static void check_repeat(recount_t *a, const ktimer_t *timer, const numbers_t *woken)
{
    const row_timer_t *row = &timer->row;
    if (!row->interval_ms) found(a, "K54", row_of_timer(timer), "repeats, should have an interval");
    found_count(a, "K54", row_of_timer(timer), "the number of answers it waits for",
                number_count(woken, row->timer), !row->due_ms);
    if (row->service && !service_find(a->k, kref_of(row->service)))
        found(a, "K54", row_of_timer(timer), "should belong to a repeater");
}

static const service_t *service_of(const recount_t *a, uint64_t kref, service_kind_t kind)
{
    const service_t *service = service_find(a->k, kref_of(kref));
    return service && service->row.kind == kind ? service : NULL;
}

/* It keeps a notifier's token, or an iterator's notifier. */
static void check_keeper(recount_t *a, const ktimer_t *timer)
{
    const row_timer_t *row = &timer->row;
    bool token = row->token != 0;
    const service_t *of =
        service_of(a, row->number, token ? SERVICE_notifier : SERVICE_timer_iterator);
    if (!of || of->row.number != row->timer)
        found(a, "K54", row_of_timer(timer), "should be what its notifier or iterator knows");
    if (row->due_ms || token == (row->service != 0))
        found(a, "K54", row_of_timer(timer), "keeps a token or a notifier, should never be due");
    if (!token && !service_of(a, row->service, SERVICE_notifier))
        found(a, "K54", row_of_timer(timer), "should keep a notifier");
}

/* It settles a promise: of a notifier, or of an iterator that waits. */
static void check_update(recount_t *a, const ktimer_t *timer)
{
    const service_t *notifier = service_of(a, timer->row.service, SERVICE_notifier);
    const service_t *iterator = service_of(a, timer->row.service, SERVICE_timer_iterator);
    const ktimer_t *keeper = iterator ? timer_find(a->k, iterator->row.number) : NULL;
    if (keeper) notifier = service_of(a, keeper->row.service, SERVICE_notifier);
    if (!notifier || !notifier->row.interval_ms)
        found(a, "K54", row_of_timer(timer), "should belong to a notifier that runs");
    if (keeper && !keeper->row.interval_ms)
        found(a, "K54", row_of_timer(timer), "should belong to an iterator that waits");
}

static void check_timeout(recount_t *a, const ktimer_t *timer)
{
    const kvat_t *vat = vat_find(a->k, timer->row.vat);
    if (!vat || !vat_alive(vat) || timer->row.token || timer->row.service)
        found(a, "K54", row_of_timer(timer), "a timeout, should be of a live vat and nothing else");
    else if (timeout_find(a->k, vat, timer->row.number) != timer)
        found(a, "K54", row_of_timer(timer), "should be the only one of its vat with that number");
}

static void check_target(recount_t *a, const ktimer_t *timer)
{
    const row_timer_t *row = &timer->row;
    bool object = row->kind == TIMER_WAKE || row->kind == TIMER_REPEAT;
    kref_t target = {row->target};
    const promise_t *promise = promise_find(a->k, target);
    if (object && !kref_is_object(target))
        found(a, "K54", row_of_timer(timer), "should have a handler");
    else if (!object && row->target && !promise)
        found(a, "K54", row_of_timer(timer), "should have a promise");
    else if (promise && promise->row.state != PROMISE_UNRESOLVED)
        found(a, "K54", row_of_timer(timer), "its promise is settled, it should be gone");
}

static void check_timer(recount_t *a, const ktimer_t *timer, const numbers_t *woken)
{
    const row_timer_t *row = &timer->row;
    which_t at = row_of_timer(timer);
    bool waits = row->kind == TIMER_REPEAT || (row->kind == TIMER_UPDATE && !row->target);
    if (row->timer > a->k->counters[COUNTER_next_timer].value)
        found(a, "K45", at, "its number should be at most next_timer, %" PRIu64,
              a->k->counters[COUNTER_next_timer].value);
    if (!cluster_find(a->k, row->cluster))
        found(a, "K54", at, "of cluster s%" PRIu64 ", which should be there and is not",
              row->cluster);
    if (!row->due_ms && !waits) found(a, "K54", at, "should be due some time");
    bool listed =
        timer->place && timer->place <= a->k->heap_count && a->k->heap[timer->place - 1] == timer;
    if (listed != (row->due_ms != 0)) found(a, "K55", at, "should be in the heap when it is due");
    check_target(a, timer);
    if (row->kind == TIMER_REPEAT) check_repeat(a, timer, woken);
    if (row->kind == TIMER_UPDATE && row->target) check_update(a, timer);
    if (row->kind == TIMER_UPDATE && !row->target) check_keeper(a, timer);
    if (row->kind == TIMER_TIMEOUT) check_timeout(a, timer);
}

static void check_heap(recount_t *a)
{
    for (size_t i = 1; i < a->k->heap_count; i++) {
        const row_timer_t *row = &a->k->heap[i]->row, *above = &a->k->heap[(i + 1) / 2 - 1]->row;
        if (row->due_ms < above->due_ms ||
            (row->due_ms == above->due_ms && row->timer < above->timer))
            found(a, "K55", row_of_timer(a->k->heap[i]),
                  "stands behind timer %" PRIu64 ", should stand before it", above->timer);
    }
}

static void check_counts(recount_t *a)
{
    numbers_t clusters = {0};
    for (size_t i = 0; i < a->k->timers.room; i++) {
        const ktimer_t *timer = map_cell(&a->k->timers, i);
        if (timer) number_add(&clusters, timer->row.cluster);
    }
    sort_numbers(clusters.at, clusters.count);
    for (size_t i = 0; i < a->k->clusters.room; i++) {
        const kcluster_t *cluster = map_cell(&a->k->clusters, i);
        if (cluster)
            found_count(a, "K56", (which_t){"cluster", 's', 0, cluster->row.cluster, 0},
                        "the number of its timers", cluster->timer_count,
                        number_count(&clusters, cluster->row.cluster));
    }
    free(clusters.at);
}

void check_timers(recount_t *a)
{
    numbers_t woken = awaited(a);
    for (size_t i = 0; i < a->k->timers.room; i++) {
        const ktimer_t *timer = map_cell(&a->k->timers, i);
        if (timer) check_timer(a, timer, &woken);
    }
    free(woken.at);
    check_heap(a);
    check_counts(a);
}
