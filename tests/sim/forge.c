/* A worker that lies: the result of a vat with its syscalls replaced by one that is not legal, made with
 * full knowledge of every kref. The kernel must end the vat and apply nothing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

typedef struct {
    sim_t *sim;
    chance_t *chance;
    const row_vat_t *vat;
    uint64_t d;
    buf_t calls;
} forge_t;

static void add(forge_t *f, msg_tag_t tag, const void *body)
{
    must(msg_encode(tag, body, &f->calls) == ERR_OK);
}

static const row_held_t *held(const forge_t *f, kref_t kref)
{
    const row_t *row = rows_find(&f->sim->rows, ROW_held, f->vat->vat, kref.n);
    return row ? &row->body.held : NULL;
}

/* Rows of TABLE from a place that chance chooses, until GOOD says yes. */
typedef bool good_t(const forge_t *f, const row_t *row);
static const row_t *some(const forge_t *f, row_table_t table, good_t *good)
{
    const rows_table_t *rows = &f->sim->rows.tables[table];
    size_t at = rows->count ? roll(f->chance, rows->count) : 0;
    for (size_t i = 0; i < rows->count; i++) {
        const row_t *row = rows->at[(at + i) % rows->count];
        if (good(f, row)) return row;
    }
    return NULL;
}

static bool mine(const forge_t *f, const row_held_t *row) { return row->vat == f->vat->vat; }

static bool foreign_object(const forge_t *f, const row_t *row)
{
    return !held(f, (kref_t){row->body.object.kref});
}
static bool foreign_promise(const forge_t *f, const row_t *row)
{
    return !held(f, (kref_t){row->body.promise.kref});
}
static bool reached_import(const forge_t *f, const row_t *row)
{
    const row_held_t *h = &row->body.held;
    return mine(f, h) && kref_is_object((kref_t){h->kref}) && (h->flags & 3) == 1 &&
           h->intro_d <= f->d && h->since_d <= f->d;
}
static bool dropped_import(const forge_t *f, const row_t *row)
{
    const row_held_t *h = &row->body.held;
    return mine(f, h) && kref_is_object((kref_t){h->kref}) && (h->flags & 3) == 0;
}
static bool later(const forge_t *f, const row_t *row)
{
    const row_held_t *h = &row->body.held;
    return mine(f, h) && h->since_d > f->d;
}
static bool some_export(const forge_t *f, const row_t *row)
{
    const row_held_t *h = &row->body.held;
    return mine(f, h) && kref_is_object((kref_t){h->kref}) && (h->flags & 3) == 3 &&
           h->intro_d <= f->d;
}
static bool waited_promise(const forge_t *f, const row_t *row)
{
    const row_held_t *h = &row->body.held;
    const row_t *promise = kref_is_promise((kref_t){h->kref})
                               ? rows_find(&f->sim->rows, ROW_promise, h->kref, 0)
                               : NULL;
    return mine(f, h) && promise &&
           (promise->body.promise.decider != h->vat || promise->body.promise.state);
}
static bool decided_later(const forge_t *f, const row_t *row)
{
    const row_held_t *h = &row->body.held;
    const row_t *promise = kref_is_promise((kref_t){h->kref})
                               ? rows_find(&f->sim->rows, ROW_promise, h->kref, 0)
                               : NULL;
    return mine(f, h) && h->since_d <= f->d && promise && promise->body.promise.decider == h->vat &&
           promise->body.promise.decider_d > f->d;
}
static bool held_promise(const forge_t *f, const row_t *row)
{
    const row_held_t *h = &row->body.held;
    return mine(f, h) && kref_is_promise((kref_t){h->kref});
}

static void forge_send(forge_t *f, kref_t target, const char *body, const kref_t *slots,
                       size_t count, kref_t result)
{
    msg_send_t send = {target, {{(const uint8_t *)body, strlen(body)}, {slots, count}}, result};
    add(f, TAG_send, &send);
}

static void forge_resolve(forge_t *f, kref_t promise, const char *body, const kref_t *slots,
                          size_t count)
{
    resolution_t one = {promise, false, {{(const uint8_t *)body, strlen(body)}, {slots, count}}};
    msg_resolve_t resolve = {{&one, 1}};
    add(f, TAG_resolve, &resolve);
}

static void forge_refs(forge_t *f, msg_tag_t tag, const kref_t *refs, size_t count)
{
    msg_drop_imports_t msg = {{refs, count}};
    add(f, tag, &msg);
}

static kref_t root(const forge_t *f) { return kref_root((vat_t){(uint32_t)f->vat->vat}); }

/* Names it was not given. */
static bool forge_names(forge_t *f, unsigned kind)
{
    static const char *const none = "#[\"m\",[]]", *const one = "#[\"m\",[\"$0\"]]";
    vat_t vat = {(uint32_t)f->vat->vat};
    const row_t *row;
    switch (kind) {
    case 0:
        if (!(row = some(f, ROW_object, foreign_object))) return false;
        forge_send(f, (kref_t){row->body.object.kref}, none, NULL, 0, (kref_t){0});
        return true;
    case 1: {
        if (!(row = some(f, ROW_object, foreign_object))) return false;
        kref_t slot = {row->body.object.kref};
        forge_send(f, root(f), one, &slot, 1, (kref_t){0});
        return true;
    }
    case 2:
        if (!(row = some(f, ROW_promise, foreign_promise))) return false;
        add(f, TAG_subscribe, &(msg_subscribe_t){{row->body.promise.kref}});
        return true;
    case 3:
        forge_send(f, root(f), one, &(kref_t){kref_object(vat, f->vat->objects + 2).n}, 1,
                   (kref_t){0});
        return true;
    case 4: {
        vat_t other = {vat.n == 1 ? 2 : 1};
        const row_vat_t *its = vat_row(f->sim, other.n);
        kref_t slot = kref_object(other, (its ? its->objects : 0) + 1);
        forge_send(f, root(f), one, &slot, 1, (kref_t){0});
        return true;
    }
    case 5: {
        if (!(row = some(f, ROW_held, dropped_import))) return false;
        kref_t slot = {row->body.held.kref};
        forge_send(f, root(f), one, &slot, 1, (kref_t){0});
        return true;
    }
    default: {
        if (!(row = some(f, ROW_held, later))) return false;
        kref_t ref = {row->body.held.kref};
        if (kref_is_promise(ref))
            add(f, TAG_subscribe, &(msg_subscribe_t){ref});
        else
            forge_send(f, ref, none, NULL, 0, (kref_t){0});
        return true;
    }
    }
}

/* Says what is not so. */
static bool forge_claims(forge_t *f, unsigned kind)
{
    static const char *const none = "#[\"m\",[]]";
    const row_t *row;
    kref_t refs[2];
    switch (kind) {
    case 0:
        if (!(row = some(f, ROW_held, waited_promise))) return false;
        forge_resolve(f, (kref_t){row->body.held.kref}, "#1", NULL, 0);
        return true;
    case 1:
        if (!(row = some(f, ROW_held, reached_import))) return false;
        refs[0] = refs[1] = (kref_t){row->body.held.kref};
        forge_refs(f, TAG_drop_imports, refs, 2);
        return true;
    case 2:
        if (!(row = some(f, ROW_held, reached_import))) return false;
        forge_refs(f, TAG_retire_imports, &(kref_t){row->body.held.kref}, 1);
        return true;
    case 3:
        if (!(row = some(f, ROW_held, some_export))) return false;
        forge_refs(f, TAG_retire_exports, &(kref_t){row->body.held.kref}, 1);
        return true;
    case 4:
        if (!(row = some(f, ROW_held, held_promise))) return false;
        forge_send(f, root(f), none, NULL, 0,
                   (kref_t){row->body.held.kref}); /* a result is always new */
        return true;
    case 5: {
        kref_t fresh = kref_promise((vat_t){(uint32_t)f->vat->vat}, f->vat->promises + 1);
        forge_resolve(f, fresh, "#\"&0\"", &fresh, 1);
        return true;
    }
    case 6: forge_send(f, root(f), "#[\"m\",[\"$0\"]]", NULL, 0, (kref_t){0}); return true;
    case 7: forge_send(f, root(f), "#[\"m\",", NULL, 0, (kref_t){0}); return true;
    case 8: add(f, TAG_pong, &(msg_pong_t){1}); return true;
    case 9: {
        kref_t fresh = kref_promise((vat_t){(uint32_t)f->vat->vat}, f->vat->promises + 1);
        forge_resolve(f, fresh, "#1", NULL, 0);
        forge_resolve(f, fresh, "#2", NULL, 0); /* settled and forgotten */
        return true;
    }
    case 10: {
        if (!(row = some(f, ROW_held, reached_import))) return false;
        refs[0] = (kref_t){row->body.held.kref};
        forge_refs(f, TAG_drop_imports, refs, 1);
        forge_send(f, refs[0], none, NULL, 0, (kref_t){0}); /* used after it was dropped */
        return true;
    }
    case 11:
        if (!(row = some(f, ROW_held, decided_later))) return false;
        forge_resolve(f, (kref_t){row->body.held.kref}, "#1", NULL, 0);
        return true;
    default:
        if (!(row = some(f, ROW_object, foreign_object))) return false;
        forge_refs(f, TAG_abandon_exports, &(kref_t){row->body.object.kref}, 1);
        return true;
    }
}

/* In an upgrade with parameters what the rows say is no lie: it may name what they do not give yet, and what
 * it gives up is mentioned again. */
static bool unclear(const sim_t *self, unsigned vat, uint64_t d)
{
    const row_t *row = rows_find(&self->rows, ROW_log, vat, d);
    msg_t msg;
    if (!row || msg_decode(row->body.log.delivery, &msg)) return true;
    bool given = msg.tag == TAG_deliver_upgrade && msg.body.deliver_upgrade.parameters.slots.count;
    msg_clear(&msg);
    return given;
}

/* RESULT with other syscalls; NULL when there is nothing to lie about. The caller owns it. WISH: only
 * that lie. */
blob_t *forge(sim_t *self, unsigned vat, bin_t result, wish_t wish, chance_t *chance)
{
    msg_t msg;
    blob_t *made = NULL;
    if (msg_decode(result, &msg)) sim_fail(self, "codec", "a result cannot be read");
    forge_t f = {self, chance, vat_row(self, vat), msg.body.result.d, buf_of(CRANK_BYTES_MAX)};
    bool good = false;
    if (wish != WISH_DIVERGED && unclear(self, vat, f.d)) {
        msg_clear(&msg);
        return NULL;
    }
    switch (wish) {
    case WISH_NONE:
        good = once_in(chance, 2) ? forge_names(&f, roll(chance, 7))
                                  : forge_claims(&f, roll(chance, 13));
        break;
    case WISH_DROPPED: good = forge_names(&f, 5); break;
    case WISH_LATER: good = forge_names(&f, 6); break;
    case WISH_DECIDED_LATER: good = forge_claims(&f, 11); break;
    case WISH_DIVERGED:
        msg.body.result.chain.b[7] ^= 1;
        f.calls.len = 0;
        made = sim_encode(self, TAG_result, &msg.body.result);
        break;
    case WISH_COUNT: break;
    }
    if (good) {
        msg.body.result.outcome = 0;
        msg.body.result.calls = (bin_t){f.calls.at, f.calls.len};
        made = sim_encode(self, TAG_result, &msg.body.result);
    }
    buf_clear(&f.calls);
    msg_clear(&msg);
    return made;
}
