/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/service/service.h"

/* ---- service.c: objects of the kernel ---- */

/* A message to one of them, while it is executed. */
typedef struct {
    kernel_t *k;
    service_t *service;
    capdata_t data; /* methargs */
    text_t method;
    node_t args;
    kref_t result; /* none: nobody waits; none as well once it is answered or deferred */
    cause_t cause;
} call_t;

typedef struct {
    const char *name;
    void (*run)(call_t *call); /* one that neither answers nor defers answers undefined */
} method_t;

/* Methods of a kind of service, ended by a NULL; in the order of their names. */
extern const method_t admin_root_methods[], admin_methods[], key_methods[], bundle_methods[],
    node_methods[], timer_root_methods[], timer_methods[], brand_methods[], clock_methods[],
    repeater_methods[], notifier_methods[], iterator_methods[], facet_methods[], outside_methods[],
    channel_methods[];

service_t *service_known(kernel_t *k, service_kind_t kind, const kcluster_t *cluster);
service_t *service_argument(const call_t *call, node_t node, service_kind_t kind);
void call_settle(call_t *call, bool rejected, value_t *value);
void call_answer(call_t *call, value_t *value);
void call_fulfil(call_t *call, const char *body);
void call_answer_service(call_t *call, const service_t *service);
__attribute__((format(printf, 2, 3))) void call_fail(call_t *call, const char *format, ...);
kref_t call_defer(call_t *call);
cause_t call_cause(const call_t *call);

/* ---- pending.c: answers that the kernel owes ---- */
void pending_watch(kernel_t *k, pending_t *pending, kref_t watched);

/* ---- timer.c ---- */
ktimer_t *timer_new(kernel_t *k, row_timer_t row);
void timer_schedule(kernel_t *k, ktimer_t *timer, uint64_t due_ms);
void timer_release(kernel_t *k, ktimer_t *timer);
void timer_settle(kernel_t *k, ktimer_t *timer, bool rejected, value_t *value, cause_t cause);
void timer_repeat(kernel_t *k, ktimer_t *timer, cause_t cause);
uint64_t *timers_of_token(kernel_t *k, kref_t token, uint64_t cluster, size_t *ret_count);
bool timers_full(const kcluster_t *cluster);
void timer_without_keeper(kernel_t *k, const service_t *service);
void timer_woken(kernel_t *k, uint64_t timer, bool rejected);
uint64_t time_ms(kernel_t *k);
uint64_t interval_latest(const row_service_t *row, uint64_t now, uint64_t *ret_count);
uint64_t interval_next(uint64_t start, uint64_t interval, uint64_t now);
value_t *time_value(kernel_t *k, uint64_t cluster, uint64_t ms);
service_t *notifier_of(const kernel_t *k, uint64_t service);
value_t *update_value(kernel_t *k, service_t *service, uint64_t now);
void update_settle(kernel_t *k, ktimer_t *timer, cause_t cause);
void time_wake(kernel_t *k, uint64_t cluster, kref_t handler, kref_t result, cause_t cause);

/* ---- service_facet.c ---- */
void facet_launched(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause);

/* ---- facet_config.c: what a cluster was launched with ---- */
bool bundle_named(const kcluster_t *cluster, text_t name, char *out, size_t room);

typedef struct {
    buf_t vats, services, bundles, channels; /* as in LAUNCH */
    uint64_t bootstrap;
} launch_parts_t;

bool config_read(call_t *call, node_t config, launch_parts_t *ret, char *why, size_t room);
void launch_parts_clear(launch_parts_t *parts);
CHECKED err_t config_cluster(buf_t *out, const kernel_t *k, const kcluster_t *cluster);
CHECKED err_t config_vat(buf_t *out, const kvat_t *vat);

/* ---- errand.c: what the agent does outside ---- */
typedef enum { ERRAND_READ, ERRAND_WRITE, ERRAND_FETCH } errand_what_t;
void errand_new(call_t *call, errand_what_t what, bool again);
void outside_fetch(call_t *call);
void agent_want(kernel_t *k);
void agent_send(kernel_t *k, msg_tag_t tag, const void *body);
void errands_without_channels(kernel_t *k, const kcluster_t *cluster);

/* ---- service_channel.c: IO channels ---- */
enum { CHANNEL_TEXT_MAX = NAME_BYTES_MAX + 32 };
char *channel_text(const service_t *service, char out[CHANNEL_TEXT_MAX]);
void channels_tell(kernel_t *k);
void channels_loaded(kernel_t *k);
