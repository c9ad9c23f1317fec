/* What vats say: cranks of syscalls, with krefs that the vat holds or may make next, mostly. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz_kernel.h"

/* ---- krefs ---- */

static kref_t next(mind_t *m, bool promise)
{
    return promise ? kref_promise((vat_t){m->vat}, ++m->promises)
                   : kref_object((vat_t){m->vat}, ++m->objects);
}

static void spend(mind_t *m, kref_t kref)
{
    if (m->spent_count < SPENT_MAX) m->spent[m->spent_count++] = kref;
}

/* One that the vat holds, can reach, and has not spent in this crank; none when chance finds none. */
static kref_t held(mind_t *m)
{
    unsigned n = byte(m->w);
    for (unsigned i = 0; i < 4; i++) {
        const row_t *row = world_row(m->w, ROW_held, m->vat, n + i);
        bool good = row && (row->body.held.flags & 1);
        for (size_t j = 0; good && j < m->spent_count; j++)
            good = m->spent[j].n != row->body.held.kref;
        if (good) return (kref_t){row->body.held.kref};
    }
    return (kref_t){0};
}

/* KIND: 0 object, 1 promise, 2 whatever it is. */
static kref_t pick_of(mind_t *m, unsigned kind)
{
    unsigned how = roll(m->w, 16);
    if (!m->polite && how == 15) return world_kref(m->w);
    for (int i = 0; how < 12 && i < 4; i++) {
        kref_t kref = held(m);
        if (!kref_none(kref) && (kind == 2 || kref_is_promise(kref) == (kind == 1))) return kref;
    }
    return next(m, kind == 2 ? how & 1 : kind == 1);
}

static kref_t pick(mind_t *m) { return pick_of(m, 2); }
static kref_t pick_kind(mind_t *m, bool promise) { return pick_of(m, promise); }

/* ---- bodies ---- */

capdata_t mind_args(mind_t *m, const char *before, const char *after)
{
    size_t count = roll(m->w, SLOTS + 1), len = (size_t)sprintf(m->text, "%s[", before);
    for (size_t i = 0; i < count; i++) {
        m->slots[i] = pick(m);
        len += (size_t)sprintf(m->text + len, "%s\"%c%zu\"", i ? "," : "",
                               kref_is_promise(m->slots[i]) ? '&' : '$', i);
    }
    len += (size_t)sprintf(m->text + len, "]%s", after);
    if (!m->polite && roll(m->w, 16) == 15) m->text[len - 1] = '?';
    return (capdata_t){{(const uint8_t *)m->text, len}, {m->slots, count}};
}

/* One slot alone, or some in an array. */
static capdata_t value(mind_t *m)
{
    if (roll(m->w, 3)) return mind_args(m, "#", "");
    m->slots[0] = pick_kind(m, !m->polite && roll(m->w, 8) == 7);
    int len = sprintf(m->text, "#\"%s\"", kref_is_promise(m->slots[0]) ? "&0" : "$0.Alleged: a");
    return (capdata_t){{(const uint8_t *)m->text, (size_t)len}, {m->slots, 1}};
}

/* ---- cranks ---- */

static void call(mind_t *m, msg_tag_t tag, const void *body)
{
    err_t err = msg_encode(tag, body, &m->calls); /* what cannot be encoded is not said */
    (void)err;
}

/* What the kernel's own objects understand, by kind (tests/fuzz/fuzz_service.c has stranger arguments). */
enum {
#define SERVICE(kind, iface) KIND_##kind,
#include "broker/kernel/service.def"
#undef SERVICE
};
static const struct {
    unsigned kind;
    const char *body;
} asks[] = {
    {KIND_vat_admin_root, "#[\"createVatAdminService\",[]]"},
    {KIND_vat_admin, "#[\"createVat\",[\"b1-0\",{\"vatParameters\":[\"$0\",\"$1\"]}]]"},
    {KIND_vat_admin, "#[\"createVat\",[\"b1-0\",{\"globals\":[\"setTimeout\"]}]]"},
    {KIND_vat_admin, "#[\"getBundleCap\",[\"b1-1\"]]"},
    {KIND_admin_node, "#[\"upgrade\",[\"$0\",{\"vatParameters\":[\"$1\"]}]]"},
    {KIND_admin_node, "#[\"done\",[]]"},
    {KIND_admin_node, "#[\"terminateWithFailure\",[\"$0\"]]"},
    {KIND_timer_root, "#[\"createTimerService\",[]]"},
    {KIND_timer, "#[\"delay\",[\"+3\",\"$0\"]]"},
    {KIND_timer, "#[\"setWakeup\",[\"+1700000000090\",\"$0\",\"$1\"]]"},
    {KIND_timer, "#[\"repeatAfter\",[2,3,\"$0\",\"$1\"]]"},
    {KIND_timer, "#[\"cancel\",[\"$0\"]]"},
    {KIND_timer, "#[\"makeRepeater\",[1,2]]"},
    {KIND_timer, "#[\"makeNotifier\",[1,2,\"$0\"]]"},
    {KIND_repeater, "#[\"schedule\",[\"$0\"]]"},
    {KIND_repeater, "#[\"disable\",[]]"},
    {KIND_notifier, "#[\"getUpdateSince\",[]]"},
    {KIND_outside, "#[\"after\",[1,2]]"},
    {KIND_outside, "#[\"clear\",[1]]"},
    {KIND_outside, "#[\"fetch\",[{\"method\":\"POST\"}]]"},
    {KIND_channel, "#[\"read\",[]]"},
    {KIND_channel, "#[\"write\",[\"x\"]]"},
};
enum { ASKS = sizeof asks / sizeof asks[0] };

kref_t world_service(world_t *w, uint32_t vat)
{
    unsigned n = byte(w);
    for (unsigned i = 0; i < 8; i++) {
        const row_t *row = world_row(w, ROW_service, 0, n + i);
        if (!row) return (kref_t){0};
        kref_t kref = {row->body.service.kref};
        if (!vat || rowset_find(&w->rows, ROW_held, vat, kref.n)) return kref;
    }
    return (kref_t){0};
}

capdata_t mind_ask(mind_t *m, kref_t service)
{
    const row_t *row = rowset_find(&m->w->rows, ROW_service, service.n, 0);
    unsigned at = roll(m->w, ASKS), n = 0;
    while (row && n < ASKS && asks[(at + n) % ASKS].kind != row->body.service.kind) n++;
    const char *body = asks[(at + n) % ASKS].body;
    for (unsigned i = 0; i < 2; i++) m->slots[i] = pick_kind(m, false);
    kref_t cap = strstr(body, "upgrade") ? world_service(m->w, m->vat) : (kref_t){0};
    if (!kref_none(cap)) m->slots[0] = cap;
    return (capdata_t){{(const uint8_t *)body, strlen(body)}, {m->slots, 2}};
}

static void call_send(mind_t *m)
{
    kref_t service = roll(m->w, 3) ? (kref_t){0} : world_service(m->w, m->vat);
    msg_send_t msg = {.target = kref_none(service) ? pick(m) : service};
    msg.methargs = kref_none(service) ? mind_args(m, "#[\"go\",", "]") : mind_ask(m, service);
    unsigned result = roll(m->w, 16);
    if (result < 10) msg.result = kref_promise((vat_t){m->vat}, ++m->promises);
    if (result == 15 && !m->polite) msg.result = pick(m);
    call(m, TAG_send, &msg);
    if (result < 6 && !kref_none(msg.result))
        call(m, TAG_subscribe, &(msg_subscribe_t){msg.result});
}

/* A promise that the vat decides, mostly. */
static kref_t own_promise(mind_t *m)
{
    unsigned n = byte(m->w);
    for (unsigned i = 0; i < 256; i++) {
        const row_t *row = world_row(m->w, ROW_promise, 0, n + i);
        if (!row) break;
        bool good = row->body.promise.decider == m->vat;
        for (size_t j = 0; good && j < m->spent_count; j++)
            good = m->spent[j].n != row->body.promise.kref;
        if (good) return (kref_t){row->body.promise.kref};
    }
    return m->polite ? next(m, true) : pick_kind(m, true);
}

static void call_resolve(mind_t *m)
{
    enum { MOST = 3 };
    static mind_t parts[MOST]; /* each resolution's slots and text */
    resolution_t batch[MOST];
    size_t count = 1 + roll(m->w, MOST);
    for (size_t i = 0; i < count; i++) {
        parts[i] = *m;
        kref_t promise = own_promise(&parts[i]);
        batch[i] = (resolution_t){promise, roll(m->w, 3) == 0, value(&parts[i])};
        m->objects = parts[i].objects;
        m->promises = parts[i].promises;
        spend(m, promise);
    }
    call(m, TAG_resolve, &(msg_resolve_t){{batch, count}});
}

static void call_refs(mind_t *m)
{
    static const msg_tag_t tags[] = {TAG_drop_imports, TAG_retire_imports, TAG_retire_exports,
                                     TAG_abandon_exports};
    size_t count = 1 + roll(m->w, SLOTS);
    for (size_t i = 0; i < count; i++) {
        m->slots[i] = pick_kind(m, false);
        if (m->polite && kref_issuer(m->slots[i]).n == m->vat) return;
        spend(m, m->slots[i]);
    }
    msg_drop_imports_t msg = {{m->slots, count}};
    unsigned which = m->polite ? 5 + roll(m->w, 3) : roll(m->w, 8);
    call(m, which > 4 ? TAG_drop_imports : tags[which % 4], &msg);
    if (which == 7) call(m, TAG_retire_imports, &msg);
}

void mind_calls(mind_t *m)
{
    for (unsigned n = roll(m->w, 6); n > 0; n--) {
        unsigned kind = roll(m->w, 32);
        if (kind < 12)
            call_send(m);
        else if (kind < 16)
            call(m, TAG_subscribe, &(msg_subscribe_t){pick_kind(m, true)});
        else if (kind < 26)
            call_resolve(m);
        else if (kind < 30)
            call_refs(m);
        else if (kind == 30 && !(m->polite && roll(m->w, 8)))
            call(m, TAG_exit, &(msg_exit_t){roll(m->w, 2), mind_args(m, "#", "")});
        else if (!m->polite)
            call(m, TAG_ping, &(msg_ping_t){0});
    }
}
