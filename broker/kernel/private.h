/* What the files of the kernel share, and nobody else includes: functions, a section for each file. What
 * they work on is in state/records.h. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- value.c: memory ---- */
void *take(size_t bytes);
void *grown(void *at, size_t *room, size_t need, size_t size);
value_t *value_new(bin_t body, const kref_t *slots, size_t slot_count);
value_t *value_of(const capdata_t *data);
value_t *value_ref(value_t *value);
void value_destroy(value_t **self_p);
capdata_t value_data(const value_t *value);
value_t *value_error(kernel_t *k, const char *code, const char *text, text_t rest);
void queue_push(queue_t *queue, entry_t *entry);
entry_t *queue_pop(queue_t *queue);
text_t blob_text(const blob_t *blob);
blob_t *text_blob(text_t text);
kref_t kref_of(uint64_t n);
void sort_numbers(uint64_t *at, size_t count);
kref_t slot_read(const uint8_t *at);
text_t text_cut(text_t text, size_t max);
__attribute__((format(printf, 1, 2))) blob_t *blob_print(const char *format, ...);

/* ---- dirty.c: what changed since the last flush ---- */
void touch(kernel_t *k, head_t *head);
void untouch(kernel_t *k, head_t *head);
void bury(kernel_t *k, head_t *head);
void bury_log(kernel_t *k, const kvat_t *vat, uint64_t d);
void flush_clear(kernel_t *k);

/* ---- refs.c: counts, authority rows, and what follows when a count reaches zero ---- */
object_t *object_find(const kernel_t *k, kref_t kref);
promise_t *promise_find(const kernel_t *k, kref_t kref);
bool kref_known(const kernel_t *k, kref_t kref);
bool kref_sendable(const kernel_t *k, kref_t kref);
object_t *object_new(kernel_t *k, kref_t kref, vat_t owner);
promise_t *promise_new(kernel_t *k, kref_t kref);
bool object_orphan(const kernel_t *k, const object_t *object);
void ref_up(kernel_t *k, kref_t kref);
void ref_down(kernel_t *k, kref_t kref);
bool value_leads_on(const kernel_t *k, const value_t *value);
void value_up(kernel_t *k, const value_t *value);
void value_down(kernel_t *k, const value_t *value);
held_t *held_find(const kvat_t *vat, kref_t kref);
held_t *held_new(kernel_t *k, kvat_t *vat, kref_t kref, uint64_t flags, uint64_t since_d);
void held_import(kernel_t *k, held_t *held);
void held_drop(kernel_t *k, held_t *held);
void held_forget(kernel_t *k, held_t *held, uint64_t d, bool anyway);
void held_reach(kernel_t *k, held_t *held, bool reachable);
bool held_told(const held_t *held);
void collect(kernel_t *k);

/* ---- cycle.c ---- */
void cycle_collect(kernel_t *k, kref_t suspect);

/* ---- promise.c ---- */
void promise_list(kvat_t *vat, promise_t *promise);
void promise_decide(kernel_t *k, promise_t *promise, kvat_t *vat, uint64_t d);
void promise_settle(kernel_t *k, promise_t *promise, bool rejected, value_t *value, cause_t cause);
void promise_free(promise_t *promise);

/* ---- route.c: from the worklist to queues ---- */
entry_t *entry_new(kernel_t *k, unsigned kind, kref_t target, kref_t result, value_t *value,
                   cause_t cause);
void entry_destroy(entry_t **self_p);
void entry_release(kernel_t *k, entry_t *entry);
cause_t entry_cause(const entry_t *entry);
void notify_push(kernel_t *k, vat_t vat, promise_t *promise, cause_t cause);
void route_all(kernel_t *k);
bool route_here(kernel_t *k, kvat_t *vat, entry_t *entry);
void vat_enqueue(kernel_t *k, kvat_t *vat, entry_t *entry);

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

service_t *service_find(const kernel_t *k, kref_t kref);
service_t *service_new(kernel_t *k, service_kind_t kind, const kcluster_t *cluster,
                       const kvat_t *vat, text_t text);
service_t *service_known(kernel_t *k, service_kind_t kind, const kcluster_t *cluster);
void service_link(kernel_t *k, service_t *service);
kref_t service_kref(const service_t *service);
const char *service_iface(service_kind_t kind);
void service_text(kernel_t *k, service_t *service, text_t text);
void service_ended(kernel_t *k, service_t *service, bool rejected, value_t *value);
void service_bury(kernel_t *k, service_t *service);
void service_free(service_t *service);
void service_run(kernel_t *k, service_t *service, entry_t *entry);
service_t *service_argument(const call_t *call, node_t node, service_kind_t kind);
void call_settle(call_t *call, bool rejected, value_t *value);
void call_answer(call_t *call, value_t *value);
void call_fulfil(call_t *call, const char *body);
void call_answer_service(call_t *call, const service_t *service);
__attribute__((format(printf, 2, 3))) void call_fail(call_t *call, const char *format, ...);
kref_t call_defer(call_t *call);
cause_t call_cause(const call_t *call);
bool text_same(text_t a, text_t b);

/* ---- pending.c: answers that the kernel owes ---- */
pending_t *pending_new(kernel_t *k, unsigned kind, kref_t promise, kvat_t *vat, kref_t watched);
void pending_link(kernel_t *k, pending_t *pending);
void pending_watch(kernel_t *k, pending_t *pending, kref_t watched);
void pending_settle(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause);
void pending_free(pending_t *pending);
void pendings_settled(kernel_t *k, promise_t *promise, cause_t cause);
pending_t *pending_of_vat(const kvat_t *vat, unsigned kind);
void pendings_vat_started(kernel_t *k, kvat_t *vat, cause_t cause);
void pendings_vat_ended(kernel_t *k, kvat_t *vat, bool rejected, value_t *value, cause_t cause);

/* ---- globals.c: what a vat may ask for ---- */
bool word_next(text_t words, size_t *at, text_t *ret);
bool word_in(text_t words, text_t word);
CHECKED err_t globals_check(const kernel_t *k, uint64_t vat, text_t names, text_t hosts, char *why,
                            size_t room);
bool globals_outside(text_t names);
CHECKED err_t parameters_check(const capdata_t *data);
value_t *globals_wrap(kernel_t *k, kvat_t *vat, value_t *parameters);

/* ---- say.c: values that the kernel makes ---- */
__attribute__((format(printf, 4, 5))) value_t *value_print(kernel_t *k, const kref_t *slots,
                                                           size_t count, const char *format, ...);
value_t *value_failed(kernel_t *k, text_t text);
value_t *value_cut(kernel_t *k, node_t node);
bool node_absent(node_t node);
text_t node_copy(node_t node, char *out, size_t room);

/* ---- timer.c ---- */
void timer_link(kernel_t *k, ktimer_t *timer);
ktimer_t *timer_new(kernel_t *k, row_timer_t row);
ktimer_t *timer_find(const kernel_t *k, uint64_t number);
void timer_schedule(kernel_t *k, ktimer_t *timer, uint64_t due_ms);
void timer_release(kernel_t *k, ktimer_t *timer);
void timer_settle(kernel_t *k, ktimer_t *timer, bool rejected, value_t *value, cause_t cause);
void timer_repeat(kernel_t *k, ktimer_t *timer, cause_t cause);
uint64_t *timers_of_token(kernel_t *k, kref_t token, uint64_t cluster, size_t *ret_count);
ktimer_t *timeout_find(const kernel_t *k, const kvat_t *vat, uint64_t number);
bool timers_full(const kcluster_t *cluster);
void timers_fire(kernel_t *k);
bool timers_due(const kernel_t *k, uint64_t now_us);
void timers_without_vat(kernel_t *k, const kvat_t *vat);
void timers_without_cluster(kernel_t *k, uint64_t cluster);
void timer_without_keeper(kernel_t *k, const service_t *service);
void timer_woken(kernel_t *k, uint64_t timer, bool rejected);
uint64_t time_ms(kernel_t *k);
uint64_t time_after(uint64_t ms, uint64_t more);
uint64_t interval_latest(const row_service_t *row, uint64_t now, uint64_t *ret_count);
uint64_t interval_next(uint64_t start, uint64_t interval, uint64_t now);
value_t *time_value(kernel_t *k, uint64_t cluster, uint64_t ms);
service_t *notifier_of(const kernel_t *k, uint64_t service);
value_t *update_value(kernel_t *k, service_t *service, uint64_t now);
void update_settle(kernel_t *k, ktimer_t *timer, cause_t cause);
void time_wake(kernel_t *k, uint64_t cluster, kref_t handler, kref_t result, cause_t cause);
kref_t timer_brand(kernel_t *k, const kcluster_t *cluster);

/* ---- service_facet.c ---- */
void facet_started(kernel_t *k, const kcluster_t *cluster, kref_t bootstrap);
void facet_failed(kernel_t *k, const kcluster_t *cluster, const kvat_t *vat);
void facet_launched(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause);

/* ---- facet_config.c: what a cluster was launched with ---- */
bool bundle_hash(text_t text);
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
errand_t *errand_find(const kernel_t *k, uint64_t n);
void errand_free(errand_t *errand);
void errand_new(call_t *call, errand_what_t what, bool again);
void outside_fetch(call_t *call);
void agent_want(kernel_t *k);
void agent_send(kernel_t *k, msg_tag_t tag, const void *body);
void agent_resume(kernel_t *k);
void on_agent(kernel_t *k, const msg_t *msg);
void on_agent_gone(kernel_t *k);
void errands_without_vat(kernel_t *k, const kvat_t *vat);
void errands_without_channels(kernel_t *k, const kcluster_t *cluster);
void errands_loaded(kernel_t *k);

/* ---- service_channel.c: IO channels ---- */
enum { CHANNEL_TEXT_MAX = NAME_BYTES_MAX + 32 };
char *channel_text(const service_t *service, char out[CHANNEL_TEXT_MAX]);
void channels_open(kernel_t *k, kcluster_t *cluster);
void channels_close(kernel_t *k, kcluster_t *cluster);
void channels_tell(kernel_t *k);
void channels_loaded(kernel_t *k);

/* ---- upgrade.c ---- */
pending_t *upgrade_push(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters,
                        text_t message, kref_t result, cause_t cause);
entry_t *upgrade_entry(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters, text_t message,
                       cause_t cause);
pending_t *upgrade_owe(kernel_t *k, kvat_t *vat, kref_t result);
log_t *upgrade_assign(kernel_t *k, kvat_t *vat, const entry_t *entry);
void upgrade_apply(kernel_t *k, kvat_t *vat, const log_t *log, cause_t cause);
void upgrade_done(kernel_t *k, kvat_t *vat, cause_t cause);
void upgrade_failed(kernel_t *k, kvat_t *vat, text_t why, cause_t cause);
void on_upgrade(kernel_t *k, uint32_t client, const msg_upgrade_t *msg);

/* ---- vat.c ---- */
kvat_t *vat_find(const kernel_t *k, uint64_t n);
kvat_t *vat_asked(kernel_t *k, uint32_t client, id128_t request, vat_t id);
bool vat_alive(const kvat_t *vat);
void vat_counted(kernel_t *k, const kvat_t *vat, bool more);
void vat_free(kvat_t *vat);
void vat_ready(kernel_t *k, kvat_t *vat);
void vat_busy(kernel_t *k, kvat_t *vat, bool more);
void vat_end(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, cause_t cause);
void vat_end_with(kernel_t *k, kvat_t *vat, err_t error, blob_t *reason, bool rejected,
                  value_t *value, cause_t cause);
bool vat_forgettable(const kvat_t *vat);
void vat_quarantine(kernel_t *k, kvat_t *vat, err_t error, const char *why);
void vat_resume(kernel_t *k, kvat_t *vat);
void vat_forget(kernel_t *k, kvat_t *vat);
void vat_push(kernel_t *k, kvat_t *vat);
void log_release(kernel_t *k, log_t *log);
void log_free(log_t *log);

/* ---- clean.c: what vats that ended leave behind ---- */
void clean_begin(kernel_t *k, kvat_t *vat);
void clean_some(kernel_t *k);
void clean_all(kernel_t *k, kvat_t *vat);

/* ---- gc.c: what a vat must be told of, and when ---- */
void gc_look(kernel_t *k, object_t *object);
void gc_look_all(kernel_t *k);
void gc_end(kvat_t *vat);
bool gc_due(kernel_t *k, kvat_t *vat);
size_t gc_listed(const kvat_t *vat);
bool gc_waits(const kvat_t *vat);
bool reap_due(const kvat_t *vat);
void gc_assign(kernel_t *k, kvat_t *vat);
void on_reap(kernel_t *k, uint32_t client, const msg_reap_t *msg);

/* ---- assign.c: from queues to logs ---- */
log_t *log_new(kernel_t *k, const kvat_t *vat, const entry_t *entry, size_t kref_count);
log_t *log_parameters(kernel_t *k, const kvat_t *vat, const entry_t *entry);
void parameters_introduce(kernel_t *k, kvat_t *vat, const log_t *log);
void log_bytes(kernel_t *k, log_t *log, msg_tag_t tag, const void *body);
void log_append(kernel_t *k, kvat_t *vat, log_t *log, const entry_t *entry);
uint64_t stamp(const kernel_t *k, const kvat_t *vat);
void assign_all(kernel_t *k);
bool serial_elsewhere(const kvat_t *vat);
void serial_next(kernel_t *k, kcluster_t *cluster);
void deliver(kernel_t *k, const kvat_t *vat, const log_t *log);

/* ---- result.c, check.c, apply.c: a crank comes back ---- */
void on_result(kernel_t *k, host_t from, const msg_result_t *msg);
void on_lost(kernel_t *k, host_t from, const msg_lost_t *msg);
cause_t log_cause(const kvat_t *vat, const log_t *log);
void crank_said(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_result_t *msg);
void log_applied(kernel_t *k, kvat_t *vat, const msg_result_t *msg, uint64_t outcome);
err_t check_crank(kernel_t *k, const kvat_t *vat, const log_t *log, size_t *ret_at);
uint64_t stated_d(const log_t *log);
void check_clear(kernel_t *k);
const msg_exit_t *apply_calls(kernel_t *k, kvat_t *vat, const log_t *log);
void apply_failed_exit(kernel_t *k, kvat_t *vat, const msg_exit_t *exit, const log_t *log);

/* ---- cluster.c, cluster_end.c ---- */
void on_launch(kernel_t *k, uint32_t client, const msg_launch_t *msg);
void on_cluster_rm(kernel_t *k, uint32_t client, const msg_cluster_rm_t *msg);
void on_cluster_reload(kernel_t *k, uint32_t client, const msg_cluster_reload_t *msg);
kcluster_t *cluster_launch(kernel_t *k, const msg_launch_t *msg, char *why, size_t room);
void cluster_started(kernel_t *k, kcluster_t *cluster);
id128_t cluster_request(const kcluster_t *cluster);
void cluster_end(kernel_t *k, kcluster_t *cluster, cause_t cause);
void cluster_remove(kernel_t *k, kcluster_t *cluster, bool forget, bool asked, const char *why,
                    cause_t cause);
void cluster_launch_ends(kernel_t *k, const kcluster_t *cluster);
void cluster_doom(kernel_t *k, kcluster_t *cluster);
bool clusters_end_doomed(kernel_t *k);
void cluster_vat_ended(kernel_t *k, kcluster_t *cluster, const kvat_t *vat);
void cluster_free(kcluster_t *cluster);
kcluster_t *cluster_asked(kernel_t *k, uint32_t client, id128_t request, cluster_t id);
kcluster_t *cluster_find(const kernel_t *k, uint64_t n);
kvat_t *vat_make(kernel_t *k, kcluster_t *cluster, const msg_launch_vat_t *row, uint64_t host,
                 value_t *parameters, bool dynamic, cause_t cause);
void cluster_without(kcluster_t *cluster, const kvat_t *vat);

/* ---- bootstrap.c ---- */
bool service_named(text_t name, bool system);
value_t *bootstrap_value(kernel_t *k, const kcluster_t *cluster);

/* ---- client.c ---- */
void on_client(kernel_t *k, uint32_t client, const msg_t *msg);
void on_client_gone(kernel_t *k, uint32_t client);
void client_settled(kernel_t *k, promise_t *promise);
void client_idle(kernel_t *k);
hold_t *hold_new(kernel_t *k, kref_t kref, uint64_t cluster);
void hold_drop(kernel_t *k, hold_t *hold);
void hold_settled(kernel_t *k, promise_t *promise);

/* Holds whose answer left with an earlier flush end. DUE: there are such. */
void holds_end(kernel_t *k);
bool holds_due(const kernel_t *k);
void reply(kernel_t *k, uint32_t client, msg_tag_t tag, const void *body);
void reply_recorded(kernel_t *k, uint32_t client, id128_t id, msg_tag_t tag, const void *body);
void reply_failed(kernel_t *k, uint32_t client, id128_t id, bool record, err_t error,
                  const char *what, const char *why);
void reply_done(kernel_t *k, uint32_t client, id128_t request);
bool request_repeated(kernel_t *k, uint32_t client, id128_t id);
request_t *request_find(const kernel_t *k, id128_t id);
void request_pending(kernel_t *k, id128_t id);
void request_load(kernel_t *k, request_t *request);
/* All of them are here: their order of age is made. */
void requests_loaded(kernel_t *k);
void request_free(request_t *request);

/* ---- list.c ---- */
void on_list(kernel_t *k, uint32_t client, const msg_list_t *msg);

/* ---- history.c: LOG_GET, and replays that went another way ---- */
enum { LIST_DIVERGENCES = 11 }; /* LIST.what */
void on_log_get(kernel_t *k, uint32_t client, const msg_log_get_t *msg);
void diverge(kernel_t *k, kvat_t *vat, uint64_t d, uint64_t outcome, bin_t calls);
void divergence_end(kernel_t *k, kvat_t *vat);
void divergences_list(const kernel_t *k, vat_t only, buf_t *out);

/* ---- registry.c: LIST with filters and pages ---- */
enum { REGISTRY_OBJECTS = 7, REGISTRY_PROMISES, REGISTRY_ENTRIES, REGISTRY_LAUNCH }; /* LIST.what */
CHECKED err_t registry_list(const kernel_t *k, const msg_list_t *msg, buf_t *out,
                            uint64_t *ret_next);
text_t object_state(const kernel_t *k, const object_t *object);
text_t object_service(const kernel_t *k, const object_t *object);
text_t promise_state(const promise_t *promise);

/* ---- pin.c: PIN, REVOKE ---- */
uint64_t object_own_pins(const kernel_t *k, const object_t *object);
void object_pin(kernel_t *k, object_t *object);
void object_unpin(kernel_t *k, object_t *object);
void on_pin(kernel_t *k, uint32_t client, const msg_pin_t *msg);
void on_revoke(kernel_t *k, uint32_t client, const msg_revoke_t *msg);

/* ---- ring.c: vats that hold each other's objects ---- */
typedef void ring_visit_t(void *context, const msg_cycle_row_t *row);
void rings_each(const kernel_t *k, ring_visit_t *visit, void *context);

/* ---- names.c: AUDIT ---- */
void on_audit(kernel_t *k, uint32_t client, const msg_audit_t *msg);
void on_names(kernel_t *k, uint32_t from, const msg_names_t *msg);
void audits_go_on(kernel_t *k);
void audits_without(kernel_t *k, uint32_t client); /* 0: all of them go */

/* ---- host.c ---- */
void on_host(kernel_t *k, const input_t *input);
void send_rows(kernel_t *k, const kvat_t *vat, uint64_t first, uint64_t last);
kvat_t *vat_speaker(const kernel_t *k, uint32_t from, vat_t id, uint64_t pgen, uint64_t run);

/* ---- hosts.c: sessions of hosts, their states, placement ---- */
khost_t *host_find(const kernel_t *k, uint64_t n);
void host_free(khost_t *host);
bool host_takes(const khost_t *host);
khost_t *host_roomiest(const kernel_t *k, const khost_t *like);
void on_hello(kernel_t *k, hash_t key, const msg_hello_t *msg);
void on_host_gone(kernel_t *k, uint32_t from);
bool host_speaks(kernel_t *k, uint32_t from, msg_tag_t tag);
void on_present(kernel_t *k, uint32_t from, const msg_present_t *msg);
void on_host_change(kernel_t *k, uint32_t client, const msg_host_change_t *msg);
void hosts_go_on(kernel_t *k);
void hosts_lose(kernel_t *k);
uint64_t hosts_wake_us(const kernel_t *k);

/* ---- mirror.c: copies of checkpoints at the broker ---- */
void on_ready(kernel_t *k, uint32_t from, const msg_checkpoint_ready_t *msg);
void on_mirrored(kernel_t *k, const input_t *input);
void on_unmirrored(kernel_t *k, const input_t *input);
copy_t mirror_copy(const mirror_t *mirror);
void mirror_drop(kernel_t *k, kvat_t *vat);
bool mirror_lets_trim(const kernel_t *k, const kvat_t *vat, uint64_t *most);
void mirror_trimmed(kernel_t *k, kvat_t *vat);
void mirror_applied(kernel_t *k, kvat_t *vat, uint64_t d, hash_t chain);
void ship_ask(kernel_t *k, kvat_t *vat);
void ship_attached(kernel_t *k, const kvat_t *vat);
void on_backup(kernel_t *k, uint32_t client, const msg_backup_t *msg);
void on_backed_up(kernel_t *k, const input_t *input);
void backup_goes_on(kernel_t *k);
/* When it is not waited for any longer; UINT64_MAX: never. Ends one that is late. */
uint64_t backup_wake_us(const kernel_t *k);
void backup_late(kernel_t *k);

/* ---- make.c: checkpoints that a client waits for ---- */
void on_checkpoint_make(kernel_t *k, uint32_t client, const msg_checkpoint_make_t *msg);
bool makes_ship(const kvat_t *vat);
void makes_look(kernel_t *k, kvat_t *vat);
void makes_fail(kernel_t *k, kvat_t *vat, bool shipped, err_t err, const char *why);
void makes_free(kvat_t *vat);

/* ---- move.c: vats that move, or are brought back ---- */
void on_move(kernel_t *k, uint32_t client, const msg_move_t *msg);
bool move_begin(kernel_t *k, kvat_t *vat, khost_t *to);
void move_mirrored(kernel_t *k, kvat_t *vat);
void move_attached(kernel_t *k, kvat_t *vat);
void move_fail(kernel_t *k, kvat_t *vat, err_t err, const char *why);
const char *vats_drain(kernel_t *k, khost_t *host);
void vats_bring_back(kernel_t *k, khost_t *host);
void vats_adopt(kernel_t *k);
uint64_t adopt_wake_us(const kernel_t *k);

/* ---- poison.c: deliveries that their worker does not survive ---- */
bool poison_result(kernel_t *k, kvat_t *vat, const msg_result_t *msg);
bool poison_lost(kernel_t *k, kvat_t *vat, err_t error, text_t reason);
void give_back(kernel_t *k, kvat_t *vat, const log_t *log);
void held_again(kernel_t *k, held_t *held, uint64_t d, bool forgot);
void mentions_clear(kernel_t *k);

/* ---- baggage.c: vats whose heap is lost ---- */
enum {
    ATTACHED_GO_ON,
    ATTACHED_FROM_NOTHING,
    ATTACHED_FROM_BAGGAGE,
    ATTACHED_NEVER
}; /* ATTACHED.again */
uint64_t heap_lost(kernel_t *k, kvat_t *vat, const msg_attach_t *msg);
void baggage_go(kernel_t *k, kvat_t *vat, bool push);

/* ---- checkpoint.c: what a vat can start from, and how much log is kept for it ---- */
void on_checkpoint(kernel_t *k, uint32_t from, const msg_checkpoint_t *msg);
bool checkpoint_agrees(kernel_t *k, kvat_t *vat, const msg_attach_t *msg, hash_t chain);
bool checkpoint_chain_at(const kernel_t *k, const kvat_t *vat, uint64_t d, hash_t *ret);
void checkpoint_is(kernel_t *k, kvat_t *vat, uint64_t d, hash_t chain);
uint64_t superfluous(const kernel_t *k, const kvat_t *vat);
void checkpoint_look(kernel_t *k, kvat_t *vat);
void checkpoint_applied(kernel_t *k, kvat_t *vat);
void trim_some(kernel_t *k);
void trim_end(kernel_t *k, kvat_t *vat);

/* ---- tally.c: figures for people ---- */
const char *delivery_kind(unsigned kind);
uint64_t queue_wait(const kernel_t *k, const entry_t *entry);
void tally_assigned(kernel_t *k, const log_t *log, const entry_t *entry);
void tally_settled(kernel_t *k, bool rejected);

/* ---- event.c: effects ---- */
effect_t *effect_add(kernel_t *k, effect_kind_t kind, uint32_t to);
blob_t *frame_of(kernel_t *k, msg_tag_t tag, const void *body);
effect_t *send_host(kernel_t *k, uint64_t host, msg_tag_t tag, const void *body);
/* Whether anybody is to hear of what happens in TRACE; events for nobody are not even built. */
bool event_heard(const kernel_t *k, unsigned topic, id128_t trace);
void event_life(kernel_t *k, const char *type, const kvat_t *vat, const khost_t *host, text_t text);
void event_poison(kernel_t *k, const kvat_t *vat, const log_t *log, text_t why);
void event_checkpoint(kernel_t *k, const kvat_t *vat);
void event_console(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_console_t *line);
void event_send(kernel_t *k, const kvat_t *from, uint64_t d, const entry_t *entry);
void event_service(kernel_t *k, const service_t *service, const entry_t *entry);
void event_deliver(kernel_t *k, const kvat_t *vat, const log_t *log, const entry_t *entry);
void event_done(kernel_t *k, const kvat_t *vat, const log_t *log, const msg_result_t *result,
                size_t calls);
void event_resolve(kernel_t *k, const promise_t *promise, vat_t decider, cause_t cause);

/* ---- kernel.c ---- */
uint64_t count_up(kernel_t *k, counter_name_t name);
void draw(kernel_t *k, void *at, size_t n);
id128_t draw_id(kernel_t *k);
cause_t cause_input(kernel_t *k);
extern const char *const counter_names[COUNTER_COUNT];
