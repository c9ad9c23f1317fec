/* Laws: whatever hosts and clients say that can be decoded, the kernel stays consistent (its audit
 * finds nothing after any step) and never aborts; all that it says can be decoded; a kernel made
 * from its rows has nothing to change but its epoch; and when all clusters are removed, no vat,
 * authority, queue or open promise is left.
 *
 * The bytes choose what is said, by whom, and which krefs are named: mostly such as a vat holds or
 * may make next, so that many cranks are legal. What a worker would know is read from the rows. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "broker/kernel/kernel.h"
#include "broker/trace.h"
#include "tests/story/rowset.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STEPS_MAX = 250,
    SLOTS = 3,
    HOSTS = 3,
    CLIENTS = 2,
    VATS = 12,
    VATS_MAX = 1024,
    SPENT_MAX = 32
};

typedef struct {
    const uint8_t *at, *end;
    kernel_t *kernel;
    rowset_t rows;
    uint64_t steps, ids;
    uint64_t session; /* of the last WELCOME */
    vat_t pulled;     /* whose COPY the kernel wants fetched; 0: none */
    copy_t copy;
    uint64_t runs[VATS_MAX]; /* that ATTACHED gave; 0: no worker */
    trace_t *trace;          /* remembers what happens */
} world_t;

static unsigned byte(world_t *w) { return w->at < w->end ? *w->at++ : 0; }
static unsigned roll(world_t *w, unsigned sides) { return byte(w) % sides; }

/* ---- one step, and the laws ---- */

static void finding(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    fprintf(stderr, "audit: %s: %s: %s\n", rule, row, should);
}

static void keep_row(void *context, const row_t *row) { rowset_apply(context, row); }

static void check_frame(world_t *w, bin_t frame)
{
    msg_t msg;
    must(msg_decode(frame, &msg) == ERR_OK);
    if (msg.tag == TAG_welcome) w->session = msg.body.welcome.session;
    if (msg.tag == TAG_attached)
        w->runs[msg.body.attached.vat.n % VATS_MAX] = msg.body.attached.run;
    if (msg.tag == TAG_deliver) {
        msg_t inner;
        must(msg_decode(msg.body.deliver.delivery, &inner) == ERR_OK);
        msg_clear(&inner);
    }
    msg_clear(&msg);
}

static void check_effects(world_t *w, const effects_t *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const effect_t *effect = &effects->items[i];
        if (effect->frame && effect->kind != EFFECT_BACKUP) check_frame(w, blob_bin(effect->frame));
        if (effect->kind == EFFECT_PULL) {
            w->pulled = effect->vat;
            w->copy = effect->copy;
        }
        if (effect->kind != EFFECT_ROWS) continue;
        const row_t *vat = rowset_find(&w->rows, ROW_vat, effect->vat.n, 0);
        must(vat && effect->first &&
             effect->first <= effect->last); /* those trimmed meanwhile do not come */
        must(effect->last <= effect->applied && effect->last - effect->first < FETCH_ROWS_MAX);
    }
}

static void step(world_t *w, input_t input)
{
    w->steps++;
    input.now_us = UINT64_C(1700000000000000) + w->steps * 1500;
    memcpy(input.entropy, &w->steps, sizeof w->steps);
    effects_t effects = {0};
    kernel_step(w->kernel, &input, &effects);
    must(kernel_audit(w->kernel, finding, NULL) == 0);
    kernel_flush(w->kernel, keep_row, &w->rows);
    check_effects(w, &effects);
    effects_clear(&effects);
    bool due = kernel_chores(w->kernel) || kernel_overdue(w->kernel, input.now_us);
    if (w->steps % 3 == 0 && due) step(w, (input_t){.kind = INPUT_CHORE});
}

/* Only what can be encoded and decoded is a message. */
static void say(world_t *w, input_t input, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    msg_t msg;
    if (msg_encode(tag, body, &frame) == ERR_OK) {
        must(msg_decode((bin_t){frame.at, frame.len}, &msg) == ERR_OK);
        input.msg = &msg;
        step(w, input);
        msg_clear(&msg);
    }
    buf_clear(&frame);
}

static void host_says(world_t *w, uint64_t host, msg_tag_t tag, const void *body)
{
    if (roll(w, 32) == 31) host = 1 + roll(w, HOSTS); /* speaks for another host's vat */
    say(w, (input_t){.kind = INPUT_HOST, .from = (uint32_t)host}, tag, body);
}

static void client_says(world_t *w, msg_tag_t tag, const void *body)
{
    say(w, (input_t){.kind = INPUT_CLIENT, .from = 1 + roll(w, CLIENTS)}, tag, body);
}

/* A new id, or one that was used before. */
static id128_t request(world_t *w)
{
    id128_t id = {{0}};
    uint64_t n = roll(w, 16) ? ++w->ids : 1 + roll(w, 8);
    memcpy(id.b, &n, sizeof n);
    return id;
}

/* ---- krefs ---- */

typedef struct {
    world_t *w;
    uint32_t vat;
    uint64_t objects, promises; /* serials as of the calls so far */
    bool polite;                /* names only what it may, as far as the rows tell */
    kref_t spent[SPENT_MAX];    /* what it dropped or resolved in this crank */
    size_t spent_count;
    buf_t calls;
    char text[160];
    kref_t slots[SLOTS];
} mind_t;

/* The N-th row of TABLE that belongs to OWNER (0: to anybody), counted round and round. */
static const row_t *row_at(const world_t *w, row_table_t table, uint64_t owner, unsigned n)
{
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t left = count ? n % count : 0;
        for (size_t i = 0; i < w->rows.count; i++) {
            const row_t *row = &w->rows.rows[i];
            bool it = row->table == table && (!owner || row->body.held.vat == owner);
            if (!it) continue;
            if (!pass)
                count++;
            else if (!left--)
                return row;
        }
    }
    return NULL;
}

static kref_t any(world_t *w)
{
    unsigned kind = roll(w, 4);
    const row_t *row = kind < 2 ? row_at(w, kind ? ROW_promise : ROW_object, 0, byte(w)) : NULL;
    if (row && kind == 0) return (kref_t){row->body.object.kref};
    if (row && kind == 1) return (kref_t){row->body.promise.kref};
    vat_t vat = {roll(w, VATS)};
    return kind & 1 ? kref_promise(vat, roll(w, 6)) : kref_object(vat, roll(w, 6));
}

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
        const row_t *row = row_at(m->w, ROW_held, m->vat, n + i);
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
    if (!m->polite && how == 15) return any(m->w);
    for (int i = 0; how < 12 && i < 4; i++) {
        kref_t kref = held(m);
        if (!kref_none(kref) && (kind == 2 || kref_is_promise(kref) == (kind == 1))) return kref;
    }
    return next(m, kind == 2 ? how & 1 : kind == 1);
}

static kref_t pick(mind_t *m) { return pick_of(m, 2); }
static kref_t pick_kind(mind_t *m, bool promise) { return pick_of(m, promise); }

/* ---- bodies ---- */

static capdata_t args(mind_t *m, const char *before, const char *after)
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
    if (roll(m->w, 3)) return args(m, "#", "");
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

/* Of what the vat holds, or of all there is, an object of the kernel; none when chance finds none. */
static kref_t some_service(world_t *w, uint32_t vat)
{
    unsigned n = byte(w);
    for (unsigned i = 0; i < 8; i++) {
        const row_t *row = row_at(w, ROW_service, 0, n + i);
        if (!row) return (kref_t){0};
        kref_t kref = {row->body.service.kref};
        if (!vat || rowset_find(&w->rows, ROW_held, vat, kref.n)) return kref;
    }
    return (kref_t){0};
}

/* A message that SERVICE understands; a bundlecap as the first reference when there is one. */
static capdata_t ask(mind_t *m, kref_t service)
{
    const row_t *row = rowset_find(&m->w->rows, ROW_service, service.n, 0);
    unsigned at = roll(m->w, ASKS), n = 0;
    while (row && n < ASKS && asks[(at + n) % ASKS].kind != row->body.service.kind) n++;
    const char *body = asks[(at + n) % ASKS].body;
    for (unsigned i = 0; i < 2; i++) m->slots[i] = pick_kind(m, false);
    kref_t cap = strstr(body, "upgrade") ? some_service(m->w, m->vat) : (kref_t){0};
    if (!kref_none(cap)) m->slots[0] = cap;
    return (capdata_t){{(const uint8_t *)body, strlen(body)}, {m->slots, 2}};
}

static void call_send(mind_t *m)
{
    kref_t service = roll(m->w, 3) ? (kref_t){0} : some_service(m->w, m->vat);
    msg_send_t msg = {.target = kref_none(service) ? pick(m) : service};
    msg.methargs = kref_none(service) ? args(m, "#[\"go\",", "]") : ask(m, service);
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
        const row_t *row = row_at(m->w, ROW_promise, 0, n + i);
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

static void calls(mind_t *m)
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
            call(m, TAG_exit, &(msg_exit_t){roll(m->w, 2), args(m, "#", "")});
        else if (!m->polite)
            call(m, TAG_ping, &(msg_ping_t){0});
    }
}

/* ---- hosts ---- */

static const row_vat_t *vat_row(world_t *w)
{
    const row_t *row = row_at(w, ROW_vat, 0, byte(w));
    return row ? &row->body.vat : NULL;
}

static hash_t hash_at(bin_t bin)
{
    hash_t hash = {{0}};
    if (bin.len == sizeof hash.b) memcpy(hash.b, bin.at, sizeof hash.b);
    return hash;
}

static void hello(world_t *w)
{
    static const char *const names[] = {"h", "west", "east"};
    unsigned host = roll(w, HOSTS);
    memset(w->runs, 0, sizeof w->runs);
    msg_hello_t msg = {1,
                       1,
                       {{7}},
                       roll(w, 32) == 31 ? 1000 : 0,
                       text_of(names[roll(w, 3)]),
                       {0},
                       {{(uint8_t)roll(w, 3)}}};
    if (roll(w, 32) == 31) msg.proto_min = 9;
    input_t input = {.kind = INPUT_HOST, .key = {{(uint8_t)(host + 1)}}};
    say(w, input, TAG_hello, &msg);
}

/* Where the vat stands in one of four ways: fresh, half way, up to date, ahead. */
static void attach(world_t *w)
{
    const row_vat_t *vat = vat_row(w);
    if (!vat) return;
    unsigned how = roll(w, 16);
    msg_attach_t msg = {
        .vat = {(uint32_t)vat->vat}, .inc = vat->inc, .pgen = vat->pgen, .nonce = {{1}}};
    if (how < 12) msg.last = vat->applied, msg.chain = hash_at(vat->chain);
    if (how == 13) msg.last = vat->applied / 2;
    if (how == 14) msg.last = vat->assigned + roll(w, 2);
    if (how == 15) msg.pgen += roll(w, 2), msg.last = vat->applied;
    unsigned more = roll(w, 16);
    msg.checkpoint = more < 10 ? vat->checkpoint : more < 13 ? vat->safe : roll(w, 40);
    if (more > 10) msg.last = msg.checkpoint, msg.chain = hash_at(vat->checkpoint_chain);
    if (more == 14) msg.acked = vat->applied + roll(w, 2);
    msg.heap = more == 11 || roll(w, 32) == 31;
    if (more == 15) msg.note = text_of("it took the older one");
    host_says(w, vat->host, TAG_attach, &msg);
}

/* A worker that stands where the broker does; HEAPLESS: with a checkpoint just made that it cannot read. */
static void attach_well(world_t *w, const row_vat_t *vat, bool heapless)
{
    msg_attach_t msg = {.vat = {(uint32_t)vat->vat},
                        .inc = vat->inc,
                        .pgen = vat->pgen,
                        .nonce = {{1}},
                        .checkpoint =
                            vat->checkpoint <= vat->applied ? vat->checkpoint : vat->oldest,
                        .heap = heapless,
                        .last = vat->applied,
                        .chain = hash_at(vat->chain)};
    if (heapless || msg.checkpoint > msg.last) msg.checkpoint = msg.last;
    input_t input = {.kind = INPUT_HOST, .from = (uint32_t)vat->host};
    say(w, input, TAG_attach, &msg);
}

/* The row of VAT as it is when a worker speaks for it. */
static const row_vat_t *attached(world_t *w, const row_vat_t *vat)
{
    uint64_t n = vat->vat;
    if (w->runs[n % VATS_MAX] != vat->run || !vat->run) attach_well(w, vat, false);
    const row_t *row = rowset_find(&w->rows, ROW_vat, n, 0);
    return row ? &row->body.vat : NULL;
}

/* A checkpoint where the vat stands, or somewhere else, and perhaps it would like to sleep. */
static void checkpoint(world_t *w)
{
    const row_vat_t *vat = vat_row(w);
    if (!vat || !(vat = attached(w, vat))) return;
    unsigned how = roll(w, 16);
    if (roll(w, 16) == 15) {
        attach_well(w, vat, true);
        return;
    }
    msg_checkpoint_t msg = {.vat = {(uint32_t)vat->vat},
                            .inc = vat->inc,
                            .pgen = vat->pgen,
                            .run = vat->run,
                            .d = vat->applied,
                            .chain = hash_at(vat->chain),
                            .oldest = roll(w, 2) ? vat->checkpoint : vat->applied,
                            .asleep = roll(w, 4) == 3,
                            .bytes = 4096};
    if (how == 15) msg.chain.b[0] ^= 1;
    if (how == 14) msg.d += roll(w, 3);
    if (how == 13) msg.oldest = roll(w, 20);
    if (how == 12) msg.run--;
    host_says(w, vat->host, TAG_checkpoint, &msg);
}

/* What a host keeps without a worker: some of it, and what was never there. */
static void guests(world_t *w)
{
    uint8_t rows[4 * 12] = {0};
    for (unsigned i = 0; i < 4; i++) {
        rows[12 * i + 3] = (uint8_t)roll(w, VATS);
        rows[12 * i + 11] = (uint8_t)roll(w, 3);
    }
    msg_guests_t msg = {{rows, sizeof rows - roll(w, 13)}};
    host_says(w, 1 + roll(w, HOSTS), TAG_guests, &msg);
}

static void bend(world_t *w, msg_result_t *msg)
{
    switch (roll(w, 10)) {
    case 0: msg->vat.n += 1; break;
    case 1: msg->inc += 1; break;
    case 2: msg->run -= 1; break;
    case 3: msg->d += 1; break;
    case 4: msg->d -= 1; break;
    case 5: msg->chain.b[0] ^= 1; break;
    case 6: msg->delivery_hash.b[0] ^= 1; break;
    case 7:
        msg->outcome = roll(w, 2) ? ERR_VAT_LIMIT_COMPUTE + roll(w, 5) : 5000 + byte(w);
        msg->reason = text_of(roll(w, 2) ? "" : "why");
        break;
    case 8: msg->calls.len /= 2; break;
    default: msg->d = 0; break;
    }
}

static void client_call(world_t *w)
{
    mind_t m = {.w = w, .vat = 1 + roll(w, VATS), .objects = 9, .promises = 9};
    msg_call_t msg = {.request = request(w),
                      .target = roll(w, 4) ? kref_root((vat_t){1 + roll(w, 3)}) : any(w),
                      .no_result = roll(w, 2)};
    kref_t service = roll(w, 3) ? (kref_t){0} : some_service(w, 0);
    if (!kref_none(service)) msg.target = service;
    msg.methargs = kref_none(service) ? args(&m, "#[\"hi\",", "]") : ask(&m, service);
    client_says(w, TAG_call, &msg);
}

/* A vat with a row in flight; NULL when none has. */
static const row_vat_t *busy_vat(world_t *w)
{
    unsigned n = byte(w);
    for (unsigned i = 0; i < VATS; i++) {
        const row_t *row = row_at(w, ROW_vat, 0, n + i);
        if (row && row->body.vat.assigned > row->body.vat.applied) return &row->body.vat;
    }
    return NULL;
}

static void result(world_t *w)
{
    const row_vat_t *vat = busy_vat(w);
    if (!vat) {
        client_call(w);
        return;
    }
    vat = attached(w, vat);
    const row_t *log = vat ? rowset_find(&w->rows, ROW_log, vat->vat, vat->applied + 1) : NULL;
    if (!log) return;
    mind_t m = {.w = w,
                .vat = (uint32_t)vat->vat,
                .objects = vat->objects,
                .promises = vat->promises,
                .polite = roll(w, 8) != 7,
                .calls = buf_of(CRANK_BYTES_MAX)};
    if (vat->state != 0 || !m.polite) calls(&m);
    msg_result_t msg = {.vat = {(uint32_t)vat->vat},
                        .inc = vat->inc,
                        .pgen = vat->pgen,
                        .run = vat->run,
                        .d = vat->applied + 1,
                        .delivery_hash = hash_at(log->body.log.hash),
                        .chain = hash_at(vat->chain),
                        .calls = {m.calls.at, m.calls.len}};
    uint64_t host = vat->host;
    unsigned odd = roll(w, 24);
    if (odd == 23) bend(w, &msg);
    if (odd == 22) msg.outcome = ERR_VAT_LIMIT_COMPUTE + roll(w, 4), msg.calls.len = 0;
    host_says(w, host, TAG_result, &msg);
    if (roll(w, 24) == 23) host_says(w, host, TAG_result, &msg); /* once more */
    buf_clear(&m.calls);
}

static void fetch(world_t *w)
{
    static const uint64_t counts[] = {0, 1, 2, 64, 65, UINT64_MAX};
    const row_vat_t *vat = vat_row(w);
    if (!vat) return;
    uint64_t first = roll(w, 8) == 7 ? UINT64_MAX : roll(w, (unsigned)(vat->assigned % 200) + 3);
    msg_fetch_t msg = {{(uint32_t)vat->vat}, vat->inc, vat->pgen, vat->run, first,
                       counts[roll(w, 6)]};
    host_says(w, vat->host, TAG_fetch, &msg);
}

static void lost(world_t *w)
{
    unsigned far = roll(w, 6); /* mostly of the row that is next */
    const row_vat_t *vat = far > 3 ? busy_vat(w) : vat_row(w);
    if (!vat || !(vat = attached(w, vat))) return;
    msg_lost_t msg = {.vat = {(uint32_t)vat->vat},
                      .inc = vat->inc,
                      .pgen = vat->pgen,
                      .run = vat->run - (roll(w, 8) == 7),
                      .d = vat->applied + (far > 3 ? 1 : far),
                      .error = roll(w, 2) ? ERR_VAT_CRASHED : byte(w)};
    msg_diverged_t diverged = {msg.vat, msg.inc, msg.pgen, msg.run, msg.d, 0, {0}};
    if (roll(w, 4))
        host_says(w, vat->host, TAG_lost, &msg);
    else
        host_says(w, vat->host, TAG_diverged, &diverged);
}

static void strange(world_t *w)
{
    msg_pong_t msg = {byte(w)};
    host_says(w, 1 + roll(w, HOSTS), roll(w, 2) ? TAG_pong : TAG_ping, &msg);
}

/* ---- clients ---- */

/* The one that lives: most of what is said is about its vats. */
static void first_cluster(world_t *w)
{
    msg_hello_t hello = {1, 1, {{7}}, 0, text_of("h"), {0}, {{0}}};
    say(w, (input_t){.kind = INPUT_HOST, .key = {{1}}}, TAG_hello, &hello);
    say(w, (input_t){.kind = INPUT_HOST, .key = {{2}}}, TAG_hello, &hello);
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    unsigned how = byte(w);
    for (unsigned i = 0; i < 3; i++) {
        msg_launch_vat_t vat = {.name = text_of(i == 0   ? "x"
                                                : i == 1 ? "y"
                                                         : "z"),
                                .bundle = text_of("b1-0"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .dialect = how & 1,
                                .poison = how / 40 % 3,
                                .globals = text_of(i ? "" : "fetch setTimeout"),
                                .hosts = text_of(i ? "" : "localhost"),
                                .window = how % 5};
        must(msg_encode(TAG_launch_vat, &vat, &vats) == ERR_OK);
    }
    buf_t channels = buf_of(LAUNCH_NAMES_BYTES_MAX);
    msg_launch_channel_t channel = {
        .name = text_of("io"), .type = text_of("console"), .direction = 3};
    must(msg_encode(TAG_launch_channel, &channel, &channels) == ERR_OK);
    msg_launch_t msg = {.request = {{0xff}},
                        .name = text_of("first"),
                        .services = text_of("vatAdmin timer"),
                        .channels = {channels.at, channels.len},
                        .serial = how / 5 % 8 == 7,
                        .vats = {vats.at, vats.len}};
    say(w, (input_t){.kind = INPUT_CLIENT, .from = 1}, TAG_launch, &msg);
    buf_clear(&vats);
    buf_clear(&channels);
}

static void launch(world_t *w)
{
    static const char *const names[] = {"a", "b", "a\"\\", "10", "9"};
    static const char *const hosts[] = {"", "", "", "h1", "west", "moon"};
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    unsigned count = roll(w, 4), from = roll(w, 3);
    if (w->rows.count > 2000) count = 0;
    for (unsigned i = 0; i < count; i++) {
        msg_launch_vat_t vat = {.name = text_of(names[(from + i) % 5]),
                                .bundle = text_of("b1-0"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .critical = roll(w, 4) == 3,
                                .window = roll(w, 5),
                                .host = text_of(hosts[roll(w, 6)])};
        must(msg_encode(TAG_launch_vat, &vat, &vats) == ERR_OK);
    }
    char name[8];
    snprintf(name, sizeof name, "c%u", roll(w, 6));
    msg_launch_t msg = {.request = request(w),
                        .name = text_of(name),
                        .bootstrap = roll(w, 8) == 7,
                        .serial = roll(w, 4) == 3,
                        .vats = {vats.at, vats.len}};
    client_says(w, TAG_launch, &msg);
    buf_clear(&vats);
}

static void client_asks(world_t *w)
{
    unsigned what = roll(w, 6);
    if (what == 5) {
        msg_log_get_t msg = {request(w), {roll(w, VATS)}, roll(w, 9), roll(w, 9)};
        client_says(w, TAG_log_get, &msg);
    } else if (what == 0) {
        client_says(w, TAG_await, &(msg_await_t){request(w), any(w)});
    } else if (what == 1) {
        client_says(w, TAG_quiet, &(msg_quiet_t){request(w), {roll(w, 3)}});
    } else if (what == 2) {
        msg_list_t msg = {.request = request(w), .what = roll(w, 12)};
        msg.ended = roll(w, 2);
        msg.kref = any(w);
        client_says(w, TAG_list, &msg);
    } else if (what == 3) {
        const row_vat_t *vat = vat_row(w);
        client_says(w, TAG_restart, &(msg_restart_t){request(w), {vat ? (uint32_t)vat->vat : 7}});
    } else {
        step(w, (input_t){.kind = INPUT_CLIENT_GONE, .from = 1 + roll(w, CLIENTS)});
    }
}

static void client_ends(world_t *w)
{
    unsigned what = roll(w, 16);
    if (what < 1) {
        const row_vat_t *vat = vat_row(w);
        msg_kill_t msg = {request(w), {vat ? (uint32_t)vat->vat : 7}, text_of("")};
        client_says(w, TAG_kill, &msg);
    } else if (what == 1) {
        client_says(w, TAG_cluster_rm, &(msg_cluster_rm_t){request(w), {1 + roll(w, 4)}});
    } else if (what < 5) {
        memset(w->runs, 0, sizeof w->runs);
        step(w, (input_t){.kind = INPUT_HOST_GONE, .from = 1 + roll(w, HOSTS)});
    } else {
        kernel_watched(w->kernel, roll(w, 4));
    }
}

/* ---- what changes a cluster while it runs, and the agent ---- */

static void client_changes(world_t *w)
{
    const row_vat_t *vat = vat_row(w);
    vat_t id = {vat ? (uint32_t)vat->vat : 7};
    unsigned what = roll(w, 8);
    if (what < 3) {
        msg_upgrade_t msg = {.request = request(w), .vat = id, .bundle = text_of("b1-1")};
        msg.message = text_of(roll(w, 2) ? "" : "next");
        if (roll(w, 8) == 7) msg.bundle = text_of("moon");
        client_says(w, TAG_upgrade, &msg);
    } else if (what < 6) {
        client_says(w, TAG_pin, &(msg_pin_t){request(w), any(w), roll(w, 3) == 2});
    } else if (what == 6) {
        client_says(w, TAG_revoke, &(msg_revoke_t){request(w), any(w)});
    } else {
        client_says(w, TAG_cluster_reload, &(msg_cluster_reload_t){request(w), {1 + roll(w, 4)}});
    }
}

/* It comes, goes, and answers what it was asked, or was not. */
static void agent(world_t *w)
{
    static const char *const bodies[] = {"#1", "#\"$0\"", "",
                                         "#{\"#error\":\"e\",\"name\":\"Error\"}", "#null"};
    unsigned what = roll(w, 8);
    if (what < 2) {
        step(w, (input_t){.kind = INPUT_AGENT});
    } else if (what == 2) {
        step(w, (input_t){.kind = INPUT_AGENT_GONE});
    } else {
        const row_t *row = row_at(w, ROW_errand, 0, byte(w));
        const char *body = bodies[roll(w, 5)];
        msg_agent_told_t msg = {.errand = row && what < 7 ? row->body.errand.errand : byte(w),
                                .rejected = roll(w, 2),
                                .body = {(const uint8_t *)body, strlen(body)}};
        say(w, (input_t){.kind = INPUT_AGENT}, TAG_agent_told, &msg);
    }
}

/* ---- copies of checkpoints, hosts, moves, backups ---- */

/* Its host has a copy of the vat as it stands, or of something else. */
static void ready(world_t *w, const row_vat_t *vat)
{
    unsigned how = roll(w, 16);
    msg_checkpoint_ready_t msg = {.vat = {(uint32_t)vat->vat},
                                  .pgen = vat->pgen,
                                  .d = vat->applied,
                                  .chain = hash_at(vat->chain),
                                  .hash = {{1 + (uint8_t)roll(w, 3)}},
                                  .total = 1000};
    if (how == 15) msg.chain.b[0] ^= 1;
    if (how == 14) msg.d += roll(w, 3);
    if (how == 13) msg.d = roll(w, 20);
    if (how == 12) msg.pgen += roll(w, 3) - 1;
    if (how == 11) msg.total = 0;
    host_says(w, vat->host, TAG_checkpoint_ready, &msg);
}

/* What the shell was told to fetch is here, or cannot be had; its host may be away by now. */
static void fetched(world_t *w)
{
    bool here = roll(w, 4) != 3;
    input_t input = {
        .kind = here ? INPUT_MIRRORED : INPUT_UNMIRRORED, .vat = w->pulled, .copy = w->copy};
    if (!w->pulled.n) return;
    if (!here) input.err = ERR_STORE_FULL;
    w->pulled = (vat_t){0};
    const row_t *row = rowset_find(&w->rows, ROW_log, input.vat.n, input.copy.d);
    if (row && row->body.log.outcome) input.chain = hash_at(row->body.log.chain);
    step(w, input);
}

static void moves(world_t *w)
{
    const row_vat_t *vat = vat_row(w);
    vat_t id = {vat ? (uint32_t)vat->vat : 7};
    host_t host = {roll(w, HOSTS + 2)};
    msg_present_t present = {w->session + roll(w, 2)};
    unsigned what = roll(w, 16);
    if (what < 3)
        client_says(w, TAG_move, &(msg_move_t){request(w), id, host});
    else if (what < 7 && vat)
        ready(w, vat);
    else if (what < 11)
        fetched(w);
    else if (what < 12)
        client_says(w, TAG_checkpoint_make, &(msg_checkpoint_make_t){request(w), id, roll(w, 2)});
    else if (what < 13)
        client_says(w, TAG_host_change, &(msg_host_change_t){request(w), host, roll(w, 6)});
    else if (what < 14)
        client_says(w, TAG_backup, &(msg_backup_t){request(w), text_of("/there")});
    else if (what < 15)
        step(w, (input_t){.kind = INPUT_BACKED_UP,
                          .err = roll(w, 2) ? ERR_STORE_FULL : ERR_OK,
                          .why = ""});
    else
        host_says(w, 1 + roll(w, HOSTS), TAG_present, &present);
}

/* ---- restart ---- */

static void keep_counters(void *context, const row_t *row)
{
    must(row->table == ROW_counter && !row->gone);
    rowset_apply(context, row);
}

static void restart(world_t *w)
{
    kernel_destroy(&w->kernel);
    memset(w->runs, 0, sizeof w->runs);
    w->pulled = (vat_t){0};
    w->kernel = kernel_new();
    trace_destroy(&w->trace);
    w->trace = trace_new();
    kernel_traced(w->kernel, TRACES_ALL, trace_take, w->trace);
    if (roll(w, 4) == 3) kernel_host_loss(w->kernel, 30000);
    for (size_t i = 0; i < w->rows.count; i++)
        must(kernel_load(w->kernel, &w->rows.rows[i]) == ERR_OK);
    uint8_t entropy[32] = {1};
    err_t err = kernel_loaded(w->kernel, entropy);
    if (err) kernel_audit(w->kernel, finding, NULL);
    must(err == ERR_OK);
    kernel_flush(w->kernel, keep_counters, &w->rows);
}

static void remove_all(world_t *w)
{
    const row_t *row;
    w->at = w->end; /* no bent frames any more */
    while ((row = row_at(w, ROW_cluster, 0, 0))) {
        msg_cluster_rm_t msg = {.cluster = {(uint32_t)row->body.cluster.cluster}};
        uint64_t id = UINT64_C(1) << 40 | ++w->ids;
        memcpy(msg.request.b, &id, sizeof id);
        client_says(w, TAG_cluster_rm, &msg);
    }
    while (kernel_chores(w->kernel)) step(w, (input_t){.kind = INPUT_CHORE});
    for (size_t i = 0; i < w->rows.count; i++) {
        row = &w->rows.rows[i];
        must(row->table != ROW_held && row->table != ROW_entry && row->table != ROW_pending);
        must(row->table != ROW_timer && row->table != ROW_errand);
        if (row->table == ROW_promise) must(row->body.promise.state != 0);
        if (row->table == ROW_vat) must(row->body.vat.state == 2);
    }
}

/* Whatever happened, a client that asks gets it in frames. */
static void remembered(const world_t *w)
{
    buf_t rows = buf_of(FRAME_BYTES_MAX);
    msg_trace_t ask = {.first = 0};
    size_t count = 0;
    do {
        buf_reset(&rows);
        must(!trace_page(w->trace, &ask, &rows, &ask.first));
        msg_t row, event;
        for (bin_t rest = {rows.at, rows.len}; rest.len > 0; count++) {
            must(!msg_next(&rest, &row));
            must(!msg_decode(row.body.trace_row.event, &event));
            msg_clear(&event);
            msg_clear(&row);
        }
    } while (ask.first);
    must(count == trace_count(w->trace));
    buf_clear(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_t w = {.at = data, .end = data + size};
    restart(&w);
    kernel_watched(w.kernel, TOPIC_CONSOLE | TOPIC_TRAFFIC);
    first_cluster(&w);
    while (w.at < w.end && w.steps < STEPS_MAX) {
        unsigned what = roll(&w, 64);
        if (what < 1)
            hello(&w);
        else if (what < 3)
            launch(&w);
        else if (what < 5)
            attach(&w);
        else if (what < 8)
            checkpoint(&w);
        else if (what < 44)
            result(&w);
        else if (what < 50)
            client_call(&w);
        else if (what < 55)
            client_asks(&w);
        else if (what < 57)
            client_ends(&w);
        else if (what < 59)
            fetch(&w);
        else if (what < 60) {
            unsigned which = roll(&w, 8);
            if (which < 1)
                strange(&w);
            else if (which < 2)
                guests(&w);
            else if (which < 4)
                lost(&w);
            else if (which < 6)
                agent(&w);
            else
                client_changes(&w);
        } else if (what < 61)
            restart(&w);
        else if (what < 63)
            moves(&w);
        else
            step(&w, (input_t){.kind = INPUT_CLIENT_GONE, .from = 1});
    }
    remove_all(&w);
    remembered(&w);
    restart(&w);
    kernel_destroy(&w.kernel);
    trace_destroy(&w.trace);
    rowset_clear(&w.rows);
    return 0;
}
