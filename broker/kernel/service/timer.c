/* What is to happen at a time. A timer is a row; those that are due some time stand in a heap, by time
 * and number. They fire in steps that have nothing else to do (INPUT_CHORE), a few with each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

/* ---- the time ---- */

/* Milliseconds since 1970; never less than somebody was told before. Only who asks moves it. */
uint64_t time_ms(kernel_t *k)
{
    counter_t *last = &k->counters[COUNTER_time_ms];
    uint64_t now = k->now_us / 1000;
    if (now > last->value) {
        last->value = now;
        touch(k, &last->head);
    }
    return last->value;
}

/* A sum that stays a time. */
uint64_t time_after(uint64_t ms, uint64_t more)
{
    return more > (uint64_t)INT64_MAX - ms ? INT64_MAX : ms + more;
}

/* The last of start, start + interval, ... that is not after NOW, and how many there were; a count of
 * 0: none yet. */
uint64_t interval_latest(const row_service_t *row, uint64_t now, uint64_t *ret_count)
{
    *ret_count = now < row->start_ms ? 0 : (now - row->start_ms) / row->interval_ms + 1;
    return *ret_count ? row->start_ms + (*ret_count - 1) * row->interval_ms : 0;
}

/* The first of them that is after NOW. */
uint64_t interval_next(uint64_t start, uint64_t interval, uint64_t now)
{
    if (now < start) return start;
    return time_after(now - (now - start) % interval, interval);
}

/* ---- what others are told ---- */

static kref_t timer_brand(kernel_t *k, const kcluster_t *cluster)
{
    return service_kref(service_known(k, SERVICE_timer_brand, cluster));
}

/* A timestamp of CLUSTER's timer. */
value_t *time_value(kernel_t *k, uint64_t cluster, uint64_t ms)
{
    kref_t brand = timer_brand(k, cluster_find(k, cluster));
    return value_print(k, &brand, 1,
                       "#{\"absValue\":\"+%" PRIu64 "\",\"timerBrand\":\"$0.Alleged: %s\"}", ms,
                       service_iface(SERVICE_timer_brand));
}

/* The notifier that SERVICE is, or goes over. */
service_t *notifier_of(const kernel_t *k, uint64_t service)
{
    service_t *found = service_find(k, kref_of(service));
    must(found);
    if (found->row.kind == SERVICE_notifier) return found;
    const ktimer_t *keeper = timer_find(k, found->row.number);
    must(keeper);
    return service_find(k, kref_of(keeper->row.service));
}

/* What an iterator says for that: it goes on from update COUNT; 0: it is at the end. */
static value_t *step_value(kernel_t *k, const service_t *iterator, uint64_t at, uint64_t count,
                           kref_t brand)
{
    ktimer_t *keeper = timer_find(k, iterator->row.number);
    keeper->row.start_ms = count;
    keeper->row.interval_ms = 0;
    touch(k, &keeper->head);
    return value_print(k, &brand, 1,
                       "#{\"done\":%s,\"value\":{\"absValue\":\"+%" PRIu64
                       "\",\"timerBrand\":\"$0.Alleged: %s\"}}",
                       count ? "false" : "true", at, service_iface(SERVICE_timer_brand));
}

/* What SERVICE, a notifier or an iterator, says at NOW: the latest time and which one that is, or when
 * it was cancelled. */
value_t *update_value(kernel_t *k, service_t *service, uint64_t now)
{
    const row_service_t *row = &notifier_of(k, service->row.kref)->row;
    kref_t brand = timer_brand(k, cluster_find(k, row->cluster));
    char which[32] = "#undefined";
    uint64_t count = 0, at = row->start_ms;
    if (row->interval_ms) {
        at = interval_latest(row, now, &count);
        snprintf(which, sizeof which, "+%" PRIu64, count);
    }
    if (service->row.kind == SERVICE_timer_iterator)
        return step_value(k, service, at, count, brand);
    return value_print(k, &brand, 1,
                       "#{\"updateCount\":\"%s\",\"value\":{\"absValue\":\"+%" PRIu64
                       "\",\"timerBrand\":\"$0.Alleged: %s\"}}",
                       which, at, service_iface(SERVICE_timer_brand));
}

/* Sends HANDLER its wake(now). */
void time_wake(kernel_t *k, uint64_t cluster, kref_t handler, kref_t result, cause_t cause)
{
    kref_t brand = timer_brand(k, cluster_find(k, cluster));
    AUTO(value)
    value = value_print(k, &brand, 1,
                        "#[\"wake\",[{\"absValue\":\"+%" PRIu64
                        "\",\"timerBrand\":\"$0.Alleged: %s\"}]]",
                        time_ms(k), service_iface(SERVICE_timer_brand));
    entry_t *entry = entry_new(k, ENTRY_MESSAGE, handler, result, value, cause);
    event_send(k, NULL, 0, entry);
    queue_push(&k->work, entry);
}

/* ---- the heap ---- */

static bool earlier(const ktimer_t *x, const ktimer_t *y)
{
    if (x->row.due_ms != y->row.due_ms && !PLANTED(timers_by_number))
        return x->row.due_ms < y->row.due_ms;
    return x->row.timer < y->row.timer;
}

static void heap_set(kernel_t *k, size_t place, ktimer_t *timer)
{
    k->heap[place - 1] = timer;
    timer->place = place;
}

static void heap_up(kernel_t *k, ktimer_t *timer, size_t place)
{
    for (; place > 1 && earlier(timer, k->heap[place / 2 - 1]); place /= 2)
        heap_set(k, place, k->heap[place / 2 - 1]);
    heap_set(k, place, timer);
}

static void heap_down(kernel_t *k, ktimer_t *timer, size_t place)
{
    for (size_t child; (child = place * 2) <= k->heap_count; place = child) {
        if (child < k->heap_count && earlier(k->heap[child], k->heap[child - 1])) child++;
        if (!earlier(k->heap[child - 1], timer)) break;
        heap_set(k, place, k->heap[child - 1]);
    }
    heap_set(k, place, timer);
}

static void heap_add(kernel_t *k, ktimer_t *timer)
{
    k->heap = grown(k->heap, &k->heap_room, k->heap_count + 1, sizeof(ktimer_t *));
    heap_up(k, timer, ++k->heap_count);
}

static void heap_remove(kernel_t *k, ktimer_t *timer)
{
    size_t place = timer->place;
    if (!place) return;
    timer->place = 0;
    ktimer_t *last = k->heap[--k->heap_count];
    if (last == timer) return;
    if (place > 1 && earlier(last, k->heap[place / 2 - 1]))
        heap_up(k, last, place);
    else
        heap_down(k, last, place);
}

/* ---- found by their token, or by the number that a vat gave them ---- */

/* Different ones may have the same key: whoever looks for one compares. The last bit says which kind. */
static uint64_t timeout_key(uint64_t vat, uint64_t number) { return (vat << 40 ^ number) << 1 | 1; }

static uint64_t token_key(uint64_t token, uint64_t cluster)
{
    return ((token ^ cluster * UINT64_C(0x9e3779b97f4a7c15)) | UINT64_C(1) << 62) << 1;
}

/* 0: nobody looks for it. */
static uint64_t chain_key(const row_timer_t *row)
{
    if (row->kind == TIMER_TIMEOUT) return timeout_key(row->vat, row->number);
    return row->token ? token_key(row->token, row->cluster) : 0;
}

static void chain_add(kernel_t *k, ktimer_t *timer)
{
    uint64_t key = chain_key(&timer->row);
    if (!key) return;
    timer->next = map_get(&k->timer_chains, key);
    if (timer->next) timer->next->prev = timer;
    map_put(&k->timer_chains, key, timer);
}

static void chain_remove(kernel_t *k, ktimer_t *timer)
{
    uint64_t key = chain_key(&timer->row);
    if (!key) return;
    if (timer->next) timer->next->prev = timer->prev;
    if (timer->prev)
        timer->prev->next = timer->next;
    else if (timer->next)
        map_put(&k->timer_chains, key, timer->next);
    else
        map_remove(&k->timer_chains, key);
}

static void vat_add(kernel_t *k, ktimer_t *timer)
{
    kvat_t *vat = timer->row.kind == TIMER_TIMEOUT ? vat_find(k, timer->row.vat) : NULL;
    if (!vat) return;
    timer->vat_next = vat->timeouts;
    if (timer->vat_next) timer->vat_next->vat_prev = timer;
    vat->timeouts = timer;
}

static void vat_remove(kernel_t *k, ktimer_t *timer)
{
    kvat_t *vat = timer->row.kind == TIMER_TIMEOUT ? vat_find(k, timer->row.vat) : NULL;
    if (!vat) return;
    if (timer->vat_next) timer->vat_next->vat_prev = timer->vat_prev;
    *(timer->vat_prev ? &timer->vat_prev->vat_next : &vat->timeouts) = timer->vat_next;
}

/* Puts TIMER into all lists where it is looked for. */
void timer_link(kernel_t *k, ktimer_t *timer)
{
    kcluster_t *cluster = cluster_find(k, timer->row.cluster);
    map_put(&k->timers, timer->row.timer, timer);
    if (cluster) cluster->timer_count++;
    if (timer->row.due_ms) heap_add(k, timer);
    chain_add(k, timer);
    vat_add(k, timer);
}

/* The timeout of VAT that it calls NUMBER. */
ktimer_t *timeout_find(const kernel_t *k, const kvat_t *vat, uint64_t number)
{
    ktimer_t *at = map_get(&k->timer_chains, timeout_key(vat->row.vat, number));
    while (at && (at->row.vat != vat->row.vat || at->row.number != number)) at = at->next;
    return at;
}

/* The numbers of all timers of CLUSTER with this token, ascending. The caller frees them. What others have
 * under that token costs it nothing. */
uint64_t *timers_of_token(kernel_t *k, kref_t token, uint64_t cluster, size_t *ret_count)
{
    size_t room = 0;
    uint64_t *numbers = NULL;
    *ret_count = 0;
    for (const ktimer_t *at = map_get(&k->timer_chains, token_key(token.n, cluster)); at;
         at = at->next) {
        if (at->row.token != token.n || at->row.cluster != cluster) continue;
        numbers = grown(numbers, &room, *ret_count + 1, sizeof *numbers);
        numbers[(*ret_count)++] = at->row.timer;
    }
    sort_numbers(numbers, *ret_count);
    return numbers;
}

/* ---- lives ---- */

bool timers_full(const kcluster_t *cluster) { return cluster->timer_count >= TIMERS_MAX; }

/* A timer as ROW says, with the next number. It counts its target, token and service. */
ktimer_t *timer_new(kernel_t *k, row_timer_t row)
{
    ktimer_t *self = take(sizeof *self);
    self->head.table = ROW_timer;
    self->row = row;
    self->row.timer = count_up(k, COUNTER_next_timer);
    if (row.target) ref_up(k, kref_of(row.target));
    if (row.token) ref_up(k, kref_of(row.token));
    if (row.service) ref_up(k, kref_of(row.service));
    timer_link(k, self);
    if (!PLANTED(timer_not_stored)) touch(k, &self->head);
    return self;
}

/* TIMER is due then; 0: nobody knows yet. */
void timer_schedule(kernel_t *k, ktimer_t *timer, uint64_t due_ms)
{
    heap_remove(k, timer);
    timer->row.due_ms = due_ms;
    if (due_ms) heap_add(k, timer);
    touch(k, &timer->head);
}

/* The timer ends, and its references with it. */
void timer_release(kernel_t *k, ktimer_t *timer)
{
    row_timer_t row = timer->row;
    kcluster_t *cluster = cluster_find(k, row.cluster);
    heap_remove(k, timer);
    chain_remove(k, timer);
    vat_remove(k, timer);
    map_remove(&k->timers, row.timer);
    if (cluster) cluster->timer_count--;
    bury(k, &timer->head);
    free(timer);
    if (row.target) ref_down(k, kref_of(row.target));
    if (row.token && !PLANTED(token_kept)) ref_down(k, kref_of(row.token));
    if (row.service) ref_down(k, kref_of(row.service));
}

/* The same for one that somebody awaits. */
void timer_settle(kernel_t *k, ktimer_t *timer, bool rejected, value_t *value, cause_t cause)
{
    promise_settle(k, promise_find(k, kref_of(timer->row.target)), rejected, value, cause);
    timer_release(k, timer);
}

/* The same for one of a notifier or iterator: it says what there is. */
void update_settle(kernel_t *k, ktimer_t *timer, cause_t cause)
{
    service_t *service = service_find(k, kref_of(timer->row.service));
    AUTO(value) value = update_value(k, service, time_ms(k));
    timer_settle(k, timer, false, value, cause);
}

static void settle_flag(kernel_t *k, ktimer_t *timer, bool flag, cause_t cause)
{
    AUTO(value) value = value_print(k, NULL, 0, flag ? "#true" : "#false");
    timer_settle(k, timer, false, value, cause);
}

/* Wakes the handler of something that repeats. It goes on when the answer comes (timer_woken). */
void timer_repeat(kernel_t *k, ktimer_t *timer, cause_t cause)
{
    kref_t answer = kref_promise((vat_t){0}, count_up(k, COUNTER_next_promise));
    promise_new(k, answer);
    time_wake(k, timer->row.cluster, kref_of(timer->row.target), answer, cause);
    pending_t *pending = pending_new(k, PENDING_WAKE, answer, NULL, answer);
    pending->row.number = timer->row.timer;
    pending->row.cluster = timer->row.cluster;
    timer_schedule(k, timer, 0);
}

/* The handler has answered. It may have taken long, and then times are left out. */
void timer_woken(kernel_t *k, uint64_t number, bool rejected)
{
    ktimer_t *timer = timer_find(k, number);
    if (!timer) return; /* cancelled meanwhile */
    if (rejected)
        timer_release(k, timer);
    else if (!PLANTED(repeat_stands_still))
        timer_schedule(k, timer,
                       interval_next(timer->row.start_ms, timer->row.interval_ms, time_ms(k)));
}

static void fire(kernel_t *k, ktimer_t *timer)
{
    cause_t cause = cause_input(k);
    switch (timer->row.kind) {
    case TIMER_PROMISE: {
        AUTO(value) value = time_value(k, timer->row.cluster, time_ms(k));
        timer_settle(k, timer, false, value, cause);
        return;
    }
    case TIMER_WAKE:
        time_wake(k, timer->row.cluster, kref_of(timer->row.target), (kref_t){0}, cause);
        if (PLANTED(woken_twice))
            time_wake(k, timer->row.cluster, kref_of(timer->row.target), (kref_t){0},
                      cause_input(k));
        timer_release(k, timer);
        return;
    case TIMER_REPEAT: timer_repeat(k, timer, cause); return;
    case TIMER_UPDATE: update_settle(k, timer, cause); return;
    case TIMER_TIMEOUT: settle_flag(k, timer, true, cause); return;
    default: must(false && "load refuses others");
    }
}

/* The time of the first that is due; UINT64_MAX: there is none. */
static uint64_t first_ms(const kernel_t *k)
{
    return k->heap_count ? k->heap[0]->row.due_ms : UINT64_MAX;
}

bool timers_due(const kernel_t *k, uint64_t now_us)
{
    uint64_t first = first_ms(k), told = k->counters[COUNTER_time_ms].value;
    if (PLANTED(time_comes_early) && first != UINT64_MAX) now_us += 5000;
    return first != UINT64_MAX && (first <= now_us / 1000 || first <= told);
}

/* When the first one wants to fire, in microseconds; UINT64_MAX: there is none. */
uint64_t timers_wake_us(const kernel_t *k)
{
    uint64_t first = first_ms(k);
    if (timers_due(k, 0)) return 0;
    return first > UINT64_MAX / 1000 ? UINT64_MAX : first * 1000;
}

/* Those that are due, in order. What they set off is routed behind all of them. */
void timers_fire(kernel_t *k)
{
    for (size_t i = 0; i < TIMERS_FIRED_MAX && timers_due(k, k->now_us); i++) {
        bool turned = PLANTED(later_comes_first) && k->heap_count > 1 &&
                      k->heap[1]->row.due_ms <= k->now_us / 1000;
        fire(k, k->heap[turned]);
    }
}

/* ---- ends ---- */

/* Nobody is there to hear of VAT's own timeouts. */
void timers_without_vat(kernel_t *k, const kvat_t *vat)
{
    if (!vat->timeouts || PLANTED(timeouts_outlive_vat)) return;
    cause_t cause = cause_input(k);
    while (vat->timeouts) settle_flag(k, vat->timeouts, false, cause);
}

/* The timer of CLUSTER is no more. */
void timers_without_cluster(kernel_t *k, uint64_t cluster)
{
    size_t count;
    uint64_t *numbers = map_sorted(&k->timers, &count);
    cause_t cause = {0};
    AUTO(value) why = value_error(k, "VAT_TERMINATED", "vat terminated", (text_t){0});
    for (size_t i = 0; i < count; i++) {
        ktimer_t *timer = timer_find(k, numbers[i]);
        if (!timer || timer->row.cluster != cluster) continue;
        if (!cause.msg.d) cause = cause_input(k);
        if (kref_is_promise(kref_of(timer->row.target)))
            timer_settle(k, timer, true, why, cause);
        else
            timer_release(k, timer);
    }
    free(numbers);
}

/* SERVICE is gone, a notifier or an iterator, so nothing has to be kept for it. */
void timer_without_keeper(kernel_t *k, const service_t *service)
{
    ktimer_t *timer = timer_find(k, service->row.number);
    if (timer) timer_release(k, timer);
}
