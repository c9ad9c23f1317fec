/* The timer service, in the manner of SwingSet's vat-timer: its methods, words and order of checks. A
 * timestamp is a record of milliseconds and the brand of the cluster's timer; a bare bigint or number
 * will do as an argument. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"
#include "wire/base/planted.h"

static const uint64_t safe_integer_max = (UINT64_C(1) << 53) - 1;

/* The cluster whose timer it is; NULL when that is gone, and the call has failed. */
static kcluster_t *own_cluster(call_t *call)
{
    kcluster_t *cluster = cluster_find(call->k, call->service->row.cluster);
    if (!cluster) call_fail(call, "[KERNEL:VAT_TERMINATED] vat terminated");
    return cluster;
}

static bool has_room(call_t *call, const kcluster_t *cluster)
{
    if (!timers_full(cluster)) return true;
    call_fail(call, "the cluster has %d timers open, as many as it may", TIMERS_MAX);
    return false;
}

static void answer_time(call_t *call, uint64_t ms)
{
    AUTO(value) value = time_value(call->k, call->service->row.cluster, ms);
    call_answer(call, value);
}

static void answer_bool(call_t *call, bool value) { call_fulfil(call, value ? "#true" : "#false"); }

/* ---- arguments ---- */

/* What an argument must be: what it is called, and where its number stands in a record. */
typedef struct {
    const char *what, *member;
} shape_of_time_t;

static const shape_of_time_t timestamp = {"timestamp", "absValue"};
static const shape_of_time_t relative = {"relativeTime", "relValue"};

/* How the node is written, as far as it is worth showing. */
static text_t spelled(node_t node)
{
    text_t text = {(const char *)node.at, (size_t)(node.end - node.at)};
    if (text.len > 2 && text.at[0] == '"') {
        text.at += text.at[1] == '#' ? 2 : 1;
        text.len -= text.at[-1] == '#' ? 3 : 2;
    }
    return text_cut(text, 64);
}

static bool read_number(call_t *call, node_t node, uint64_t *ret)
{
    if (node_whole(node, ret) && *ret <= safe_integer_max) return true;
    text_t text = spelled(node);
    bool minus =
        text.at[0] == '-' && !memchr(text.at, '.', text.len) && !memchr(text.at, 'e', text.len);
    call_fail(call, "%.*s is %s", (int)text.len, text.at,
              minus ? "negative" : "not a safe integer");
    return false;
}

static bool read_bigint(call_t *call, node_t node, const shape_of_time_t *shape, uint64_t *ret)
{
    if (node_whole(node, ret)) return true;
    text_t text = spelled(node);
    if (text.at[0] == '-')
        call_fail(call, "%s: %s: \"[%.*sn]\" - Must be non-negative", shape->what, shape->member,
                  (int)text.len, text.at);
    else
        call_fail(call, "%s: %s: larger than %" PRId64, shape->what, shape->member, INT64_MAX);
    return false;
}

static bool read_record(call_t *call, node_t node, const shape_of_time_t *shape, uint64_t *ret)
{
    node_t value = node_member(node, shape->member), brand = node_member(node, "timerBrand");
    if (node_count(node) != 2 || node_kind(value) != NODE_BIGINT ||
        node_kind(brand) != NODE_OBJECT) {
        call_fail(call, "%s: must be a record of %s, a bigint, and timerBrand", shape->what,
                  shape->member);
        return false;
    }
    if (!read_bigint(call, value, shape, ret)) return false;
    const service_t *own = service_argument(call, brand, SERVICE_timer_brand);
    if (own && own->row.cluster == call->service->row.cluster) return true;
    call_fail(call, "TimerBrands must match");
    return false;
}

/* Argument I, a time. False: it is none, and the call has failed. */
static bool read_time(call_t *call, size_t i, const shape_of_time_t *shape, uint64_t *ret)
{
    node_t node = node_item(call->args, i);
    switch (node_kind(node)) {
    case NODE_NUMBER: return read_number(call, node, ret);
    case NODE_BIGINT: return read_bigint(call, node, shape, ret);
    case NODE_RECORD: return read_record(call, node, shape, ret);
    default:
        call_fail(call, "%s: must be a bigint or a record of %s and timerBrand", shape->what,
                  shape->member);
        return false;
    }
}

static bool read_handler(call_t *call, size_t i, const char *method, kref_t *ret)
{
    node_t node = node_item(call->args, i);
    *ret = node_slot(node);
    if (node_kind(node) == NODE_OBJECT) return true;
    call_fail(call, "bad %s() handler", method);
    return false;
}

static bool falsy(node_t node)
{
    uint64_t n;
    bool flag;
    switch (node_kind(node)) {
    case NODE_NONE:
    case NODE_UNDEFINED:
    case NODE_NULL: return true;
    case NODE_BOOL: return node_bool(node, &flag) && !flag;
    case NODE_NUMBER:
    case NODE_BIGINT: return (node_whole(node, &n) && n == 0) || text_is(spelled(node), "NaN");
    case NODE_TEXT: return node_is(node, "");
    default: return false;
    }
}

/* Argument I, a cancel token; none when it is left out. */
static bool read_token(call_t *call, size_t i, kref_t *ret)
{
    node_t node = node_item(call->args, i);
    bool object = node_kind(node) == NODE_OBJECT;
    *ret = object ? node_slot(node) : (kref_t){0};
    if (object || falsy(node)) return true;
    call_fail(call, "bad cancel token");
    return false;
}

/* delay, interval */
static bool read_series(call_t *call, uint64_t *ret_delay, uint64_t *ret_interval, const char *zero)
{
    if (!read_time(call, 0, &relative, ret_delay) || !read_time(call, 1, &relative, ret_interval))
        return false;
    if (*ret_interval == 0) call_fail(call, "%s", zero);
    return *ret_interval != 0;
}

/* ---- the service ---- */

static void get_current_timestamp(call_t *call)
{
    if (own_cluster(call)) answer_time(call, time_ms(call->k));
}

static void set_wakeup(call_t *call)
{
    kernel_t *k = call->k;
    uint64_t when;
    kref_t handler, token;
    const kcluster_t *cluster = own_cluster(call);
    if (!cluster || !read_time(call, 0, &timestamp, &when) ||
        !read_handler(call, 1, "setWakeup", &handler) || !read_token(call, 2, &token)) {
        return;
    }
    if (when <= time_ms(k)) {
        time_wake(k, cluster->row.cluster, handler, (kref_t){0}, call_cause(call));
    } else {
        if (!has_room(call, cluster)) return;
        timer_new(k, (row_timer_t){.kind = TIMER_WAKE,
                                   .due_ms = when,
                                   .cluster = cluster->row.cluster,
                                   .target = handler.n,
                                   .token = token.n});
    }
    answer_time(call, when);
}

/* The result is fulfilled with the time when it is DUE. */
static void wake_at(call_t *call, uint64_t due, kref_t token)
{
    const kcluster_t *cluster = own_cluster(call);
    uint64_t now = time_ms(call->k);
    if (due <= now) {
        answer_time(call, now);
        return;
    }
    if (!has_room(call, cluster)) return;
    kref_t result = call_defer(call);
    if (kref_none(result)) return; /* nobody waits */
    timer_new(call->k, (row_timer_t){.kind = TIMER_PROMISE,
                                     .due_ms = due,
                                     .cluster = cluster->row.cluster,
                                     .target = result.n,
                                     .token = token.n});
}

static void wake_at_time(call_t *call)
{
    uint64_t when;
    kref_t token;
    if (own_cluster(call) && read_time(call, 0, &timestamp, &when) && read_token(call, 1, &token))
        wake_at(call, when, token);
}

static void delay(call_t *call)
{
    uint64_t more;
    kref_t token;
    if (own_cluster(call) && read_time(call, 0, &relative, &more) && read_token(call, 1, &token))
        wake_at(call, time_after(time_ms(call->k), more), token);
}

/* Wakes HANDLER at the first of start, start + interval, ... that is not past, and goes on. */
static ktimer_t *repeat(call_t *call, uint64_t start, uint64_t interval, kref_t handler,
                        kref_t token, const service_t *repeater)
{
    kernel_t *k = call->k;
    uint64_t now = time_ms(k), due = start == now ? 0 : interval_next(start, interval, now);
    ktimer_t *timer = timer_new(k, (row_timer_t){.kind = TIMER_REPEAT,
                                                 .due_ms = due,
                                                 .cluster = call->service->row.cluster,
                                                 .target = handler.n,
                                                 .token = token.n,
                                                 .service = repeater ? repeater->row.kref : 0,
                                                 .start_ms = start,
                                                 .interval_ms = interval});
    if (start == now) timer_repeat(k, timer, call_cause(call));
    return timer;
}

static void repeat_after(call_t *call)
{
    uint64_t more, interval;
    kref_t handler, token;
    const kcluster_t *cluster = own_cluster(call);
    if (!cluster || !read_series(call, &more, &interval, "interval must be positive") ||
        !read_handler(call, 2, "repeatAfter", &handler) || !read_token(call, 3, &token) ||
        !has_room(call, cluster)) {
        return;
    }
    repeat(call, time_after(time_ms(call->k), more), interval, handler, token, NULL);
}

/* A repeater or notifier that begins after the first argument and goes on in steps of the second. */
static service_t *make_series(call_t *call, service_kind_t kind)
{
    uint64_t more, interval;
    const kcluster_t *cluster = own_cluster(call);
    if (!cluster || !read_series(call, &more, &interval, "interval must be nonzero")) return NULL;
    service_t *service = service_new(call->k, kind, cluster, NULL, (text_t){0});
    service->row.start_ms = time_after(time_ms(call->k), more);
    service->row.interval_ms = interval;
    return service;
}

static void make_repeater(call_t *call)
{
    const service_t *repeater = make_series(call, SERVICE_repeater);
    if (repeater) call_answer_service(call, repeater);
}

static void make_notifier(call_t *call)
{
    kref_t token;
    service_t *notifier = make_series(call, SERVICE_notifier);
    if (!notifier || !read_token(call, 2, &token)) return;
    if (!kref_none(token)) {
        if (!has_room(call, own_cluster(call))) return;
        const ktimer_t *keeper = timer_new(call->k, (row_timer_t){.kind = TIMER_UPDATE,
                                                                  .cluster = notifier->row.cluster,
                                                                  .token = token.n,
                                                                  .number = notifier->row.kref});
        notifier->row.number = keeper->row.timer;
    }
    call_answer_service(call, notifier);
}

/* ---- cancel ---- */

/* From now on the notifier says when that was. */
static void notifier_end(kernel_t *k, service_t *notifier)
{
    if (!notifier->row.interval_ms) return;
    notifier->row.start_ms = time_ms(k);
    notifier->row.interval_ms = 0;
    touch(k, &notifier->head);
}

static void cancel_update(kernel_t *k, ktimer_t *timer, cause_t cause)
{
    bool keeper = !timer->row.target;
    service_t *notifier = notifier_of(k, keeper ? timer->row.number : timer->row.service);
    notifier_end(k, notifier);
    if (keeper) {
        notifier->row.number = 0;
        timer_release(k, timer);
    } else {
        update_settle(k, timer, cause);
    }
}

static void cancel_timer(kernel_t *k, ktimer_t *timer, cause_t cause)
{
    switch (timer->row.kind) {
    case TIMER_PROMISE: {
        AUTO(value) why = value_failed(k, text_of("TimerCancelled"));
        timer_settle(k, timer, true, why, cause);
        return;
    }
    case TIMER_UPDATE: cancel_update(k, timer, cause); return;
    default: timer_release(k, timer); /* wakes and repeats: nobody is told */
    }
}

/* What has no token, or one that was used before, is no error. */
static void cancel(call_t *call)
{
    kernel_t *k = call->k;
    size_t count;
    node_t token = node_item(call->args, 0);
    if (!own_cluster(call) || node_kind(token) != NODE_OBJECT) return;
    uint64_t *numbers = timers_of_token(k, node_slot(token), call->service->row.cluster, &count);
    for (size_t i = 0; i < count; i++) {
        ktimer_t *timer = timer_find(k, numbers[i]);
        if (PLANTED(cancel_first_only) && i) break;
        if (timer) cancel_timer(k, timer, call->cause);
    }
    free(numbers);
}

/* ---- the cluster's timer, clock and brand ---- */

static void answer_known(call_t *call, service_kind_t kind)
{
    const kcluster_t *cluster = own_cluster(call);
    if (cluster) call_answer_service(call, service_known(call->k, kind, cluster));
}

static void create_timer_service(call_t *call) { answer_known(call, SERVICE_timer); }
static void get_clock(call_t *call) { answer_known(call, SERVICE_clock); }
static void get_timer_brand(call_t *call) { answer_known(call, SERVICE_timer_brand); }

static void is_mine(call_t *call, service_kind_t kind)
{
    const service_t *other = service_argument(call, node_item(call->args, 0), kind);
    answer_bool(call, other && other->row.cluster == call->service->row.cluster);
}

static void is_my_timer_service(call_t *call) { is_mine(call, SERVICE_timer); }
static void is_my_clock(call_t *call) { is_mine(call, SERVICE_clock); }

/* ---- repeaters ---- */

static void schedule(call_t *call)
{
    service_t *repeater = call->service;
    kref_t handler;
    const kcluster_t *cluster = own_cluster(call);
    if (!cluster || !read_handler(call, 0, "repeater.schedule", &handler)) return;
    if (repeater->row.number) {
        /* Also when its handler failed and the timer is gone: it was not disabled. */
        call_fail(call, "repeater already scheduled");
        return;
    }
    if (!has_room(call, cluster)) return;
    const ktimer_t *timer = repeat(call, repeater->row.start_ms, repeater->row.interval_ms, handler,
                                   (kref_t){0}, repeater);
    repeater->row.number = timer->row.timer;
    touch(call->k, &repeater->head);
}

static void disable(call_t *call)
{
    service_t *repeater = call->service;
    ktimer_t *timer = timer_find(call->k, repeater->row.number);
    if (!repeater->row.number) return;
    if (timer && !PLANTED(disable_ignored)) timer_release(call->k, timer);
    repeater->row.number = 0;
    touch(call->k, &repeater->head);
}

/* ---- notifiers ---- */

/* Is there anything to say at once to who knows of update KNOWN (0: of none)? */
static bool has_news(kernel_t *k, const row_service_t *notifier, uint64_t known)
{
    uint64_t count;
    if (!notifier->interval_ms) return true;
    interval_latest(notifier, time_ms(k), &count);
    return count && count != known;
}

/* Answers for SELF, a notifier or an iterator, at once when there is news for who knows of update
 * KNOWN, otherwise at the next time. True: it will. */
static bool answer_update(call_t *call, service_t *self, uint64_t known)
{
    kernel_t *k = call->k;
    const row_service_t *row = &notifier_of(k, self->row.kref)->row;
    uint64_t now = time_ms(k);
    if (has_news(k, row, known)) {
        AUTO(value) value = update_value(k, self, now);
        call_answer(call, value);
        return false;
    }
    if (!has_room(call, own_cluster(call))) return false;
    kref_t result = call_defer(call);
    const ktimer_t *keeper = timer_find(k, row->number);
    if (kref_none(result)) return false;
    timer_new(k, (row_timer_t){.kind = TIMER_UPDATE,
                               .due_ms = interval_next(row->start_ms, row->interval_ms, now),
                               .cluster = row->cluster,
                               .target = result.n,
                               .token = keeper ? keeper->row.token : 0,
                               .service = self->row.kref});
    return true;
}

static void get_update_since(call_t *call)
{
    node_t node = node_item(call->args, 0);
    uint64_t known;
    /* Anything but a bigint is nothing that it ever told. */
    if (node_kind(node) != NODE_BIGINT || !node_whole(node, &known)) known = 0;
    if (own_cluster(call)) answer_update(call, call->service, known);
}

/* ---- iterators ---- */

static void async_iterator(call_t *call)
{
    const service_t *notifier = call->service;
    const kcluster_t *cluster = own_cluster(call);
    if (!cluster || !has_room(call, cluster)) return;
    service_t *iterator = service_new(call->k, SERVICE_timer_iterator, cluster, NULL, (text_t){0});
    const ktimer_t *keeper = timer_new(call->k, (row_timer_t){.kind = TIMER_UPDATE,
                                                              .cluster = cluster->row.cluster,
                                                              .service = notifier->row.kref,
                                                              .number = iterator->row.kref});
    iterator->row.number = keeper->row.timer;
    call_answer_service(call, iterator);
}

static void next(call_t *call)
{
    if (!own_cluster(call)) return;
    ktimer_t *keeper = timer_find(call->k, call->service->row.number);
    if (keeper->row.interval_ms) {
        call_fail(call, "timer iterator dislikes overlapping next()");
        return;
    }
    if (!answer_update(call, call->service, keeper->row.start_ms)) return;
    keeper->row.interval_ms = 1;
    touch(call->k, &keeper->head);
}

const method_t timer_root_methods[] = {{"createTimerService", create_timer_service}, {NULL, NULL}};
const method_t timer_methods[] = {
    {"addDelay", delay},
    {"cancel", cancel},
    {"delay", delay},
    {"getClock", get_clock},
    {"getCurrentTimestamp", get_current_timestamp},
    {"getTimerBrand", get_timer_brand},
    {"makeNotifier", make_notifier},
    {"makeRepeater", make_repeater},
    {"repeatAfter", repeat_after},
    {"setWakeup", set_wakeup},
    {"wakeAt", wake_at_time},
    {NULL, NULL},
};
const method_t brand_methods[] = {
    {"isMyClock", is_my_clock},
    {"isMyTimerService", is_my_timer_service},
    {NULL, NULL},
};
const method_t clock_methods[] = {
    {"getCurrentTimestamp", get_current_timestamp},
    {"getTimerBrand", get_timer_brand},
    {NULL, NULL},
};
const method_t repeater_methods[] = {{"disable", disable}, {"schedule", schedule}, {NULL, NULL}};
const method_t notifier_methods[] = {
    {"@@asyncIterator", async_iterator},
    {"getUpdateSince", get_update_since},
    {NULL, NULL},
};
const method_t iterator_methods[] = {{"next", next}, {NULL, NULL}};
