/* Objects of the kernel itself. A message to one is executed when it is routed: it has no log and is
 * never replayed, since the kernel's state is the truth. What takes time is a row of `pending`, `timer`
 * or `errand`, which settles the result some day.
 *
 * Such an object has no owner; when nobody reaches it any more, it goes the way of an orphan. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"

static const method_t *const tables[SERVICE_KINDS] = {
    [SERVICE_vat_admin_root] = admin_root_methods,
    [SERVICE_vat_admin] = admin_methods,
    [SERVICE_critical_key] = key_methods,
    [SERVICE_bundle] = bundle_methods,
    [SERVICE_admin_node] = node_methods,
    [SERVICE_timer_root] = timer_root_methods,
    [SERVICE_timer] = timer_methods,
    [SERVICE_timer_brand] = brand_methods,
    [SERVICE_clock] = clock_methods,
    [SERVICE_repeater] = repeater_methods,
    [SERVICE_notifier] = notifier_methods,
    [SERVICE_timer_iterator] = iterator_methods,
    [SERVICE_kernel_facet] = facet_methods,
    [SERVICE_outside] = outside_methods,
    [SERVICE_channel] = channel_methods,
};

static void service_text(kernel_t *k, service_t *service, text_t text)
{
    blob_destroy(&service->text);
    service->text = text_blob(text);
    service->row.text = blob_text(service->text);
    touch(k, &service->head);
}

/* Those that a cluster has one of are found again while somebody holds them. */
static bool one_per_cluster(uint64_t kind)
{
    switch (kind) {
    case SERVICE_vat_admin_root:
    case SERVICE_vat_admin:
    case SERVICE_critical_key:
    case SERVICE_timer_root:
    case SERVICE_timer:
    case SERVICE_timer_brand:
    case SERVICE_clock:
    case SERVICE_kernel_facet: return true;
    default: return false;
    }
}

void service_link(kernel_t *k, service_t *service)
{
    kcluster_t *cluster = cluster_find(k, service->row.cluster);
    kvat_t *vat = vat_find(k, service->row.vat);
    if (service->row.kind == SERVICE_outside && vat) vat->outside = service;
    if (service->row.kind == SERVICE_admin_node && vat) vat->admin = service;
    if (cluster && one_per_cluster(service->row.kind)) cluster->known[service->row.kind] = service;
}

/* The object of KIND that CLUSTER has, or a new one. */
service_t *service_known(kernel_t *k, service_kind_t kind, const kcluster_t *cluster)
{
    must(one_per_cluster(kind));
    return cluster->known[kind] ? cluster->known[kind]
                                : service_new(k, kind, cluster, NULL, (text_t){0});
}

/* Makes an object of KIND for CLUSTER, about VAT; either may be NULL. Nobody refers to it yet: it is
 * gone at the end of the step, unless it is put into a value. */
service_t *service_new(kernel_t *k, service_kind_t kind, const kcluster_t *cluster,
                       const kvat_t *vat, text_t text)
{
    kref_t kref = kref_object((vat_t){0}, count_up(k, COUNTER_next_object));
    object_new(k, kref, (vat_t){0});
    service_t *self = take(sizeof *self);
    self->head.table = ROW_service;
    self->row = (row_service_t){.kref = kref.n,
                                .kind = kind,
                                .cluster = cluster ? cluster->row.cluster : 0,
                                .vat = vat ? vat->row.vat : 0};
    service_text(k, self, text);
    map_put(&k->services, kref.n, self);
    service_link(k, self);
    return self;
}

/* The vat of an adminNode ended, with VALUE. */
void service_ended(kernel_t *k, service_t *service, bool rejected, value_t *value)
{
    must(!service->value);
    service->row.ended = rejected ? 2 : 1;
    service->value = value_ref(value);
    value_up(k, value);
    touch(k, &service->head);
}

void service_free(service_t *service)
{
    blob_destroy(&service->text);
    value_destroy(&service->value);
    free(service);
}

/* Its object is gone. */
void service_bury(kernel_t *k, service_t *service)
{
    kvat_t *vat = vat_find(k, service->row.vat);
    kcluster_t *cluster = cluster_find(k, service->row.cluster);
    if (vat && vat->outside == service) vat->outside = NULL;
    if (vat && vat->admin == service) vat->admin = NULL;
    value_down(k, service->value);
    if (cluster && cluster->known[service->row.kind] == service)
        cluster->known[service->row.kind] = NULL;
    if (service->row.kind == SERVICE_notifier || service->row.kind == SERVICE_timer_iterator)
        timer_without_keeper(k, service);
    map_remove(&k->services, service->row.kref);
    bury(k, &service->head);
    service_free(service);
}

/* The service of KIND that an argument names; NULL: it is something else. */
service_t *service_argument(const call_t *call, node_t node, service_kind_t kind)
{
    if (node_kind(node) != NODE_OBJECT) return NULL;
    service_t *service = service_find(call->k, node_slot(node));
    return service && service->row.kind == kind ? service : NULL;
}

/* ---- answers ---- */

void call_settle(call_t *call, bool rejected, value_t *value)
{
    promise_t *promise = promise_find(call->k, call->result);
    call->result = (kref_t){0};
    if (promise) promise_settle(call->k, promise, rejected, value, call->cause);
}

/* Fulfils the result with VALUE, whose count stays the caller's. */
void call_answer(call_t *call, value_t *value) { call_settle(call, false, value); }

/* The same with a body without slots. */
void call_fulfil(call_t *call, const char *body)
{
    AUTO(value) value = value_new((bin_t){(const uint8_t *)body, strlen(body)}, NULL, 0);
    call_answer(call, value);
}

void call_answer_service(call_t *call, const service_t *service)
{
    kref_t slot = service_kref(service);
    AUTO(value) value =
        value_print(call->k, &slot, 1, "#\"$0.Alleged: %s\"", service_iface((service_kind_t)service->row.kind));
    call_answer(call, value);
}

/* Rejects the result with an Error. */
void call_fail(call_t *call, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    must(len >= 0);
    size_t shown = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    AUTO(value) why = value_failed(call->k, text_cut((text_t){text, shown}, sizeof text - 8));
    call_settle(call, true, why);
}

/* The result promise, which the caller settles later: a row must own it from now on. None: nobody waits. */
kref_t call_defer(call_t *call)
{
    kref_t result = call->result;
    call->result = (kref_t){0};
    return result;
}

/* A cause of its own for a message that follows from the call. */
cause_t call_cause(const call_t *call)
{
    cause_t cause = cause_input(call->k);
    cause.trace = call->cause.trace;
    return cause;
}

/* ---- a message ---- */

static void append(buf_t *out, const char *text) { must(buf_text(out, text) == ERR_OK); }

/* ["a","b"], the names of a table's methods and the one that all have. */
static void names(buf_t *out, const method_t *methods)
{
    append(out, "[\"__getMethodNames__\"");
    for (; methods->name; methods++) {
        /* A well-known symbol is written with a '%'. */
        append(out, methods->name[0] == '@' ? ",\"%" : ",\"");
        append(out, methods->name);
        append(out, "\"");
    }
    append(out, "]");
}

static void missing(call_t *call, const method_t *methods)
{
    buf_t list = buf_of(TEXT_BYTES_MAX / 2);
    text_t method = text_cut(call->method, 200);
    names(&list, methods);
    must(buf_add(&list, "", 1) == ERR_OK);
    call_fail(call, "target has no method \"%.*s\", has %s", (int)method.len, method.at,
              (const char *)list.at);
    buf_clear(&list);
}

static void list_methods(call_t *call, const method_t *methods)
{
    buf_t list = buf_of(TEXT_BYTES_MAX / 2);
    append(&list, "#");
    names(&list, methods);
    AUTO(value) value = value_new((bin_t){list.at, list.len}, NULL, 0);
    call_answer(call, value);
    buf_clear(&list);
}

/* Executes ENTRY, a message to SERVICE, and ends it. Its references last until then. */
void service_run(kernel_t *k, service_t *service, entry_t *entry)
{
    call_t call = {.k = k,
                   .service = service,
                   .data = value_data(entry->value),
                   .result = kref_of(entry->row.result),
                   .cause = entry_cause(entry)};
    call.method = smallcaps_method(call.data.body);
    call.args = node_item(node_root(&call.data), 1);

    event_service(k, service, entry);
    const method_t *methods = tables[service->row.kind], *method = methods;
    while (method->name && !text_is(call.method, method->name)) method++;
    if (method->name)
        method->run(&call);
    else if (text_is(call.method, "__getMethodNames__"))
        list_methods(&call, methods);
    else
        missing(&call, methods);
    if (!kref_none(call.result)) call_fulfil(&call, "#\"#undefined\"");
    entry_release(k, entry);
}
