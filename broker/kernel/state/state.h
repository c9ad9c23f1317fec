/* What everything else stands on, and what decides nothing: memory and values, who is who, changed rows, numbers
 * and chance, and what leaves: frames, events, replies. The records themselves are in records.h. */
#pragma once
#include "broker/kernel/state/records.h"

/* ---- value.c: memory, values, texts ---- */
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
bool word_next(text_t words, size_t *at, text_t *ret);
bool word_in(text_t words, text_t word);

/* ---- dirty.c: what changed since the last flush ---- */
void touch(kernel_t *k, head_t *head);
void untouch(kernel_t *k, head_t *head);
void bury(kernel_t *k, head_t *head);
void bury_log(kernel_t *k, const kvat_t *vat, uint64_t d);
void flush_clear(kernel_t *k);
void log_free(log_t *log);

/* ---- find.c: who is who ---- */
object_t *object_find(const kernel_t *k, kref_t kref);
promise_t *promise_find(const kernel_t *k, kref_t kref);
bool kref_known(const kernel_t *k, kref_t kref);
held_t *held_find(const kvat_t *vat, kref_t kref);
cause_t entry_cause(const entry_t *entry);
service_t *service_find(const kernel_t *k, kref_t kref);
kref_t service_kref(const service_t *service);
const char *service_iface(service_kind_t kind);
ktimer_t *timer_find(const kernel_t *k, uint64_t number);
errand_t *errand_find(const kernel_t *k, uint64_t n);
kvat_t *vat_find(const kernel_t *k, uint64_t n);
bool vat_alive(const kvat_t *vat);
kcluster_t *cluster_find(const kernel_t *k, uint64_t n);
khost_t *host_find(const kernel_t *k, uint64_t n);
bool host_takes(const khost_t *host);

/* ---- say.c: values that the kernel makes ---- */
__attribute__((format(printf, 4, 5))) value_t *value_print(kernel_t *k, const kref_t *slots,
                                                           size_t count, const char *format, ...);
value_t *value_failed(kernel_t *k, text_t text);
value_t *value_cut(kernel_t *k, node_t node);
bool node_absent(node_t node);
text_t node_copy(node_t node, char *out, size_t room);

/* ---- request.c: replies to clients, and the record of them ---- */
kvat_t *vat_asked(kernel_t *k, uint32_t client, id128_t request, vat_t id);
kcluster_t *cluster_asked(kernel_t *k, uint32_t client, id128_t request, cluster_t id);
void reply(kernel_t *k, uint32_t client, msg_tag_t tag, const void *body);
void reply_recorded(kernel_t *k, uint32_t client, id128_t id, msg_tag_t tag, const void *body);
void reply_failed(kernel_t *k, uint32_t client, id128_t id, bool record, err_t error,
                  const char *what, const char *why);
void reply_done(kernel_t *k, uint32_t client, id128_t request);
bool request_repeated(kernel_t *k, uint32_t client, id128_t id);
request_t *request_find(const kernel_t *k, id128_t id);
bool request_same(const blob_t *kept, id128_t id); /* KEPT: an id, or NULL */
void request_pending(kernel_t *k, id128_t id);
void request_load(kernel_t *k, request_t *request);

/* All of them are here: their order of age is made. */
void requests_loaded(kernel_t *k);
void request_free(request_t *request);

/* ---- tally.c: figures for people ---- */
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

/* ---- count.c: numbers that are given once, and chance ---- */
uint64_t count_up(kernel_t *k, counter_name_t name);
void draw(kernel_t *k, void *at, size_t n);
id128_t draw_id(kernel_t *k);
cause_t cause_input(kernel_t *k);
extern const char *const counter_names[COUNTER_COUNT];
