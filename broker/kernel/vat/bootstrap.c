/* The message that begins a cluster: bootstrap(vats, services), or, for a SwingSet vat, bootstrap(vats,
 * devices). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/own.h"

/* Order of UTF-16 code units, from UTF-8: the same as of bytes, but that a surrogate pair (4 bytes)
 * sorts below U+E000..U+FFFF. */
static int unit_order(text_t x, text_t y)
{
    size_t len = x.len < y.len ? x.len : y.len;
    for (size_t i = 0; i < len; i++) {
        unsigned a = (unsigned char)x.at[i], b = (unsigned char)y.at[i];
        if (a == b) continue;
        if (a >= 0xf0 && (b == 0xee || b == 0xef)) return -1;
        if (b >= 0xf0 && (a == 0xee || a == 0xef)) return 1;
        return a < b ? -1 : 1;
    }
    return (x.len > y.len) - (x.len < y.len);
}

/* Is it a name that JavaScript puts first, by number? "0" .. "4294967294". */
static bool array_index(text_t name, uint64_t *ret)
{
    if (name.len > 10 || (name.at[0] == '0' && name.len > 1)) return false;
    uint64_t n = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] < '0' || name.at[i] > '9') return false;
        n = n * 10 + (uint64_t)(name.at[i] - '0');
    }
    *ret = n;
    return n <= 4294967294;
}

typedef struct {
    text_t name;
    size_t slot;
} member_t;

static int by_key(const void *a, const void *b)
{
    const member_t *x = a, *y = b;
    uint64_t m = 0, n = 0;
    bool xi = array_index(x->name, &m), yi = array_index(y->name, &n);
    if (xi != yi) return xi ? -1 : 1;
    if (xi) return m < n ? -1 : 1;
    return unit_order(x->name, y->name);
}

/* Services by name. In a SwingSet cluster those of the first two names stand among the vats, as what
 * makes the service. */
static const struct {
    const char *name;
    service_kind_t kind, root;
    bool system;
} services[] = {
    {"vatAdmin", SERVICE_vat_admin, SERVICE_vat_admin_root, false},
    {"timer", SERVICE_timer, SERVICE_timer_root, false},
    {"kernelFacet", SERVICE_kernel_facet, SERVICE_kernel_facet, true},
};

bool service_named(text_t name, bool system)
{
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
        if (text_is(name, services[i].name)) return system || !services[i].system;
    return false;
}

static void add(buf_t *out, const char *text) { must(buf_text(out, text) == ERR_OK); }

/* A character of a name takes two at most: check_row() lets no control characters in. */
_Static_assert((2 * NAME_BYTES_MAX + 96) * (SLOTS_MAX + 16) < CAPDATA_BYTES_MAX,
               "the message to bootstrap is a message");

/* What the message is made of: members of its two records, over one list of slots. */
typedef struct {
    member_t *vats, *others;
    size_t vat_count, other_count, other_room;
    kref_t *slots;
    const char **ifaces;
    size_t slot_count, slot_room, iface_room;
} parts_t;

static size_t add_slot(parts_t *p, kref_t kref, const char *iface)
{
    p->slots = grown(p->slots, &p->slot_room, p->slot_count + 1, sizeof *p->slots);
    p->ifaces = grown(p->ifaces, &p->iface_room, p->slot_count + 1, sizeof *p->ifaces);
    p->slots[p->slot_count] = kref;
    p->ifaces[p->slot_count] = iface;
    return p->slot_count++;
}

static void add_other(parts_t *p, text_t name, size_t slot)
{
    p->others = grown(p->others, &p->other_room, p->other_count + 1, sizeof *p->others);
    p->others[p->other_count++] = (member_t){name, slot};
}

static bool vat_has(const parts_t *p, text_t name)
{
    for (size_t i = 0; i < p->vat_count; i++)
        if (text_same(p->vats[i].name, name)) return true;
    return false;
}

static void add_service(kernel_t *k, const kcluster_t *cluster, parts_t *p, text_t name, bool swingset)
{
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (!text_is(name, services[i].name)) continue;
        service_kind_t kind = swingset ? services[i].root : services[i].kind;
        const service_t *service = service_new(k, kind, cluster, NULL, (text_t){0});
        size_t slot = add_slot(p, service_kref(service), service_iface(kind));
        add_other(p, name, slot);
        if (swingset && kind != services[i].kind && !vat_has(p, name))
            p->vats[p->vat_count++] = (member_t){name, slot};
    }
}

static void add_channels(const kcluster_t *cluster, parts_t *p)
{
    for (size_t i = 0; i < cluster->channel_count; i++) {
        const service_t *channel = cluster->channels[i];
        size_t slot = add_slot(p, service_kref(channel), service_iface(SERVICE_channel));
        add_other(p, channel->row.text, slot);
    }
}

/* {"alice":"$0.Alleged: vatRoot",...}. Each slot is described where it is mentioned first. */
static void add_record(buf_t *out, const parts_t *p, member_t *members, size_t count, bool *described)
{
    if (count) qsort(members, count, sizeof *members, by_key);
    add(out, "{");
    for (size_t i = 0; i < count; i++) {
        char slot[96];
        size_t at = members[i].slot;
        if (described[at])
            snprintf(slot, sizeof slot, ":\"$%zu\"", at);
        else
            snprintf(slot, sizeof slot, ":\"$%zu.Alleged: %s\"", at, p->ifaces[at]);
        described[at] = true;
        if (i) add(out, ",");
        must(smallcaps_string(out, members[i].name) == ERR_OK);
        add(out, slot);
    }
    add(out, "}");
}

/* #["bootstrap",[{vats},{services}]], the roots first among the slots, in the order of the file. */
value_t *bootstrap_value(kernel_t *k, const kcluster_t *cluster)
{
    enum { SERVICES = sizeof services / sizeof services[0] };
    parts_t p = {0};
    p.vats = take((cluster->vat_count + SERVICES) * sizeof *p.vats);
    for (size_t i = 0; i < cluster->vat_count; i++)
        p.vats[p.vat_count++] = (member_t){cluster->vats[i]->row.name,
                                           add_slot(&p, kref_root(cluster->vats[i]->id), "vatRoot")};
    bool swingset = vat_find(k, cluster->row.bootstrap)->row.dialect == 0;
    text_t name;
    for (size_t at = 0; word_next(cluster->row.services, &at, &name);)
        add_service(k, cluster, &p, name, swingset);
    add_channels(cluster, &p);

    bool *described = take(p.slot_count * sizeof *described);
    buf_reset(&k->frame);
    add(&k->frame, "#[\"bootstrap\",[");
    add_record(&k->frame, &p, p.vats, p.vat_count, described);
    add(&k->frame, ",");
    add_record(&k->frame, &p, p.others, p.other_count, described);
    add(&k->frame, "]]");
    value_t *value = value_new((bin_t){k->frame.at, k->frame.len}, p.slots, p.slot_count);
    free(described);
    free(p.vats);
    free(p.others);
    free(p.slots);
    free(p.ifaces);
    return value;
}
