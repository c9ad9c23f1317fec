/* Who is who: records by their names, and what can be read off one. */
#include "broker/kernel/state/state.h"

object_t *object_find(const kernel_t *k, kref_t kref) { return map_get(&k->objects, kref.n); }

promise_t *promise_find(const kernel_t *k, kref_t kref) { return map_get(&k->promises, kref.n); }

bool kref_known(const kernel_t *k, kref_t kref)
{
    return kref_is_promise(kref) ? promise_find(k, kref) != NULL : object_find(k, kref) != NULL;
}

held_t *held_find(const kvat_t *vat, kref_t kref) { return map_get(&vat->held, kref.n); }

kvat_t *vat_find(const kernel_t *k, uint64_t n) { return n ? map_get(&k->vats, n) : NULL; }

/* A vat in quarantine is alive for its peers: what they send waits for an operator. */
bool vat_alive(const kvat_t *vat) { return vat->row.state != VAT_TERMINATED; }

kcluster_t *cluster_find(const kernel_t *k, uint64_t n) { return map_get(&k->clusters, n); }

khost_t *host_find(const kernel_t *k, uint64_t n) { return n ? map_get(&k->hosts, n) : NULL; }

/* May vats be placed there? */
bool host_takes(const khost_t *host) { return host->connected && host->row.state == HOST_USUAL; }

static const char *const ifaces[SERVICE_KINDS] = {
#define SERVICE(kind, iface) [SERVICE_##kind] = (iface),
#include "broker/kernel/service.def"
#undef SERVICE
};

service_t *service_find(const kernel_t *k, kref_t kref) { return map_get(&k->services, kref.n); }

const char *service_iface(service_kind_t kind) { return ifaces[kind]; }

kref_t service_kref(const service_t *service) { return kref_of(service->row.kref); }

errand_t *errand_find(const kernel_t *k, uint64_t n) { return map_get(&k->errands, n); }

ktimer_t *timer_find(const kernel_t *k, uint64_t number) { return map_get(&k->timers, number); }

cause_t entry_cause(const entry_t *entry)
{
    return (cause_t){{{(uint32_t)entry->row.msg_vat}, entry->row.msg_d, (uint32_t)entry->row.msg_n},
                     entry->trace};
}
