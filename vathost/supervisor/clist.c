#include "vathost/supervisor/clist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/own.h"
#include "wire/base/planted.h"

typedef struct entry entry_t;
struct entry {
    pair_t pair;
    uint64_t kref_hash, vref_hash;
    char text[];
};

/* Open addressing with linear steps; a removed entry's followers move up, so there are no graves. */
typedef struct {
    entry_t **slots;
    size_t room; /* a power of two, at least twice the count */
    bool by_vref;
} index_t;

typedef enum { CHANGE_ADD, CHANGE_REMOVE, CHANGE_FLAGS } change_kind_t;
typedef struct {
    change_kind_t kind;
    entry_t *entry;
    uint64_t flags_before;
} change_t;

typedef struct {
    uint64_t import_object, import_promise; /* next number */
    uint64_t export_object, export_promise; /* next serial */
    uint64_t abandoned;                     /* exports given up, ever */
} counters_t;

struct clist {
    vat_t vat;
    vatstore_t *store;
    index_t krefs, vrefs;
    size_t count;
    counters_t next, next_before; /* now, and when the crank began */
    change_t *changes;            /* of this crank, oldest first */
    size_t change_count, change_room;
    bool root_saved;
};

enum { ROOM_FIRST = 64, IMPORT_OBJECT_FIRST = 50, IMPORT_PROMISE_FIRST = 60 };

static uint64_t kref_hash(kref_t kref)
{
    uint64_t x = kref.n; /* splitmix64: krefs differ in their low bits only */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t vref_hash(vref_t vref)
{
    uint64_t x = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < vref.s.len; i++) {
        x = (x ^ (unsigned char)vref.s.at[i]) * UINT64_C(0x100000001b3);
    }
    return x;
}

static uint64_t index_hash(const index_t *self, const entry_t *entry)
{
    return self->by_vref ? entry->vref_hash : entry->kref_hash;
}

static void index_put(index_t *self, entry_t *entry)
{
    size_t i = index_hash(self, entry) & (self->room - 1);
    while (self->slots[i]) i = (i + 1) & (self->room - 1);
    self->slots[i] = entry;
}

static void index_grow(index_t *self)
{
    index_t grown = {.room = self->room ? self->room * 2 : ROOM_FIRST, .by_vref = self->by_vref};
    grown.slots = calloc(grown.room, sizeof *grown.slots);
    must(grown.slots);
    for (size_t i = 0; i < self->room; i++) {
        if (self->slots[i]) index_put(&grown, self->slots[i]);
    }
    free(self->slots);
    *self = grown;
}

static void index_remove(index_t *self, const entry_t *entry)
{
    size_t mask = self->room - 1;
    size_t hole = index_hash(self, entry) & mask;
    while (self->slots[hole] != entry) hole = (hole + 1) & mask;

    for (size_t i = (hole + 1) & mask; self->slots[i]; i = (i + 1) & mask) {
        size_t home = index_hash(self, self->slots[i]) & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        self->slots[hole] = self->slots[i];
        hole = i;
    }
    self->slots[hole] = NULL;
}

static void link_entry(clist_t *self, entry_t *entry)
{
    if ((self->count + 1) * 2 > self->krefs.room) {
        index_grow(&self->krefs);
        index_grow(&self->vrefs);
    }
    index_put(&self->krefs, entry);
    index_put(&self->vrefs, entry);
    self->count++;
}

static void unlink_entry(clist_t *self, const entry_t *entry)
{
    index_remove(&self->krefs, entry);
    index_remove(&self->vrefs, entry);
    self->count--;
}

static entry_t *entry_new(kref_t kref, vref_t vref, uint64_t flags)
{
    entry_t *entry = malloc(sizeof *entry + vref.s.len);
    must(entry);
    memcpy(entry->text, vref.s.at, vref.s.len);
    entry->pair = (pair_t){kref, {{entry->text, vref.s.len}}, flags};
    entry->kref_hash = kref_hash(kref);
    entry->vref_hash = vref_hash(vref);
    return entry;
}

clist_t *clist_new(vat_t vat, vatstore_t *store)
{
    clist_t *self = calloc(1, sizeof *self);
    must(self);
    self->vat = vat;
    self->store = store;
    self->vrefs.by_vref = true;
    self->next = (counters_t){IMPORT_OBJECT_FIRST, IMPORT_PROMISE_FIRST, 1, 1, 0};
    self->next_before = self->next;
    link_entry(self,
               entry_new(kref_root(vat), (vref_t){text_of("o+0")}, PAIR_REACHABLE | PAIR_EXPORTED));
    return self;
}

static void load_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    link_entry(context, entry_new(kref, vref, flags));
}

static err_t load_counter(clist_t *self, const char *name, uint64_t first, uint64_t *ret)
{
    uint64_t value = 0;
    err_t err = self->store->counter_get(self->store, text_of(name), &value);
    *ret = value > first ? value : first; /* one that never changed was never put */
    return err;
}

err_t clist_load(clist_t *self)
{
    must(self->change_count == 0);
    for (size_t i = 0; i < self->krefs.room; i++) free(self->krefs.slots[i]);
    memset(self->krefs.slots, 0, self->krefs.room * sizeof *self->krefs.slots);
    memset(self->vrefs.slots, 0, self->vrefs.room * sizeof *self->vrefs.slots);
    self->count = 0;
    self->root_saved = true;

    counters_t *next = &self->next;
    err_t err = self->store->pairs(self->store, load_pair, self);
    if (!err) err = load_counter(self, "import_object", IMPORT_OBJECT_FIRST, &next->import_object);
    if (!err)
        err = load_counter(self, "import_promise", IMPORT_PROMISE_FIRST, &next->import_promise);
    if (!err) err = load_counter(self, "export_object", 1, &next->export_object);
    if (!err && !PLANTED(sup_counter_forgotten))
        err = load_counter(self, "export_promise", 1, &next->export_promise);
    if (!err) err = load_counter(self, "abandoned", 0, &next->abandoned);
    return err;
}

static void forget_changes(clist_t *self)
{
    for (size_t i = 0; i < self->change_count; i++) {
        if (self->changes[i].kind == CHANGE_REMOVE) free(self->changes[i].entry);
    }
    self->change_count = 0;
}

void clist_destroy(clist_t **self_p)
{
    must(self_p);
    clist_t *self = *self_p;
    if (!self) return;

    forget_changes(self);
    for (size_t i = 0; i < self->krefs.room; i++) free(self->krefs.slots[i]);
    free(self->krefs.slots);
    free(self->vrefs.slots);
    free(self->changes);
    free(self);
    *self_p = NULL;
}

const pair_t *clist_by_kref(const clist_t *self, kref_t kref)
{
    size_t mask = self->krefs.room - 1;
    for (size_t i = kref_hash(kref) & mask; self->krefs.slots[i]; i = (i + 1) & mask) {
        if (kref_same(self->krefs.slots[i]->pair.kref, kref)) return &self->krefs.slots[i]->pair;
    }
    return NULL;
}

const pair_t *clist_by_vref(const clist_t *self, vref_t vref)
{
    size_t mask = self->vrefs.room - 1;
    for (size_t i = vref_hash(vref) & mask; self->vrefs.slots[i]; i = (i + 1) & mask) {
        text_t known = self->vrefs.slots[i]->pair.vref.s;
        if (known.len == vref.s.len && memcmp(known.at, vref.s.at, known.len) == 0) {
            return &self->vrefs.slots[i]->pair;
        }
    }
    return NULL;
}

static entry_t *entry_of(const clist_t *self, const pair_t *pair)
{
    size_t mask = self->krefs.room - 1;
    size_t i = kref_hash(pair->kref) & mask;
    while (&self->krefs.slots[i]->pair != pair) i = (i + 1) & mask;
    return self->krefs.slots[i];
}

static void remember(clist_t *self, change_kind_t kind, entry_t *entry)
{
    if (self->change_count == self->change_room) {
        self->change_room = self->change_room ? self->change_room * 2 : ROOM_FIRST;
        self->changes = realloc(self->changes, self->change_room * sizeof *self->changes);
        must(self->changes);
    }
    self->changes[self->change_count++] = (change_t){kind, entry, entry->pair.flags};
}

static err_t add(clist_t *self, kref_t kref, vref_t vref, uint64_t flags, const pair_t **ret)
{
    must(!clist_by_kref(self, kref) && !clist_by_vref(self, vref)); /* C1 */

    entry_t *entry = entry_new(kref, vref, flags);
    link_entry(self, entry);
    remember(self, CHANGE_ADD, entry);
    *ret = &entry->pair;
    return self->store->pair_put(self->store, kref, entry->pair.vref, flags);
}

err_t clist_import(clist_t *self, kref_t kref, const pair_t **ret)
{
    bool promise = kref_is_promise(kref);
    uint64_t *next = promise ? &self->next.import_promise : &self->next.import_object;
    char text[32];

    int len = snprintf(text, sizeof text, "%c-%" PRIu64, promise ? 'p' : 'o', (*next)++);
    return add(self, kref, (vref_t){{text, (size_t)len}}, PAIR_REACHABLE, ret);
}

bool clist_imported(const clist_t *self, vref_t vref)
{
    bool promise = vref.s.at[0] == 'p';
    uint64_t next = promise ? self->next.import_promise : self->next.import_object;
    uint64_t first = promise ? IMPORT_PROMISE_FIRST : IMPORT_OBJECT_FIRST, n = 0;

    if (vref.s.at[1] != '-' || vref.s.len > 2 + 19) return false; /* 19 digits fit */
    for (size_t i = 2; i < vref.s.len; i++) n = n * 10 + (uint64_t)(vref.s.at[i] - '0');
    return n >= first && n < next;
}

err_t clist_export(clist_t *self, vref_t vref, vref_kind_t kind, const pair_t **ret)
{
    kref_t kref = kind.promise ? kref_promise(self->vat, self->next.export_promise++)
                               : kref_object(self->vat, self->next.export_object++);
    must(kref_serial(kref) < KREF_SERIAL_MAX);
    return add(self, kref, vref, PAIR_REACHABLE | PAIR_EXPORTED, ret);
}

err_t clist_reach(clist_t *self, const pair_t *pair, bool reachable)
{
    uint64_t flags =
        reachable ? pair->flags | PAIR_REACHABLE : pair->flags & ~(uint64_t)PAIR_REACHABLE;
    if (flags == pair->flags) return ERR_OK;

    entry_t *entry = entry_of(self, pair);
    remember(self, CHANGE_FLAGS, entry);
    entry->pair.flags = flags;
    return self->store->pair_put(self->store, pair->kref, pair->vref, flags);
}

err_t clist_remove(clist_t *self, const pair_t *pair)
{
    entry_t *entry = entry_of(self, pair);
    unlink_entry(self, entry);
    remember(self, CHANGE_REMOVE, entry);
    return self->store->pair_remove(self->store, entry->pair.kref);
}

err_t clist_abandon(clist_t *self, const pair_t *pair)
{
    must(pair->flags & PAIR_EXPORTED);
    self->next.abandoned++;
    return clist_remove(self, pair);
}

bool clist_abandons(const clist_t *self) { return self->next.abandoned > 0; }

err_t clist_begin(clist_t *self)
{
    must(self->change_count == 0);
    self->next_before = self->next;
    err_t err = self->store->crank_begin(self->store);
    if (err || self->root_saved) return err;

    /* The root is there from birth, but the store has no transaction before the first crank. */
    const pair_t *root = clist_by_kref(self, kref_root(self->vat));
    must(root);
    return self->store->pair_put(self->store, root->kref, root->vref, root->flags);
}

static err_t save_counter(clist_t *self, const char *name, uint64_t now, uint64_t before)
{
    if (now == before) return ERR_OK;
    return self->store->counter_put(self->store, text_of(name), now);
}

err_t clist_keep(clist_t *self)
{
    const counters_t *now = &self->next, *was = &self->next_before;
    err_t err = save_counter(self, "import_object", now->import_object, was->import_object);
    if (!err) err = save_counter(self, "import_promise", now->import_promise, was->import_promise);
    if (!err) err = save_counter(self, "export_object", now->export_object, was->export_object);
    if (!err) err = save_counter(self, "export_promise", now->export_promise, was->export_promise);
    if (!err) err = save_counter(self, "abandoned", now->abandoned, was->abandoned);
    if (err) return err;

    forget_changes(self);
    self->root_saved = true;
    return self->store->crank_keep(self->store);
}

err_t clist_undo(clist_t *self)
{
    for (size_t i = self->change_count; i-- > 0;) {
        change_t *change = &self->changes[i];
        switch (change->kind) {
        case CHANGE_ADD:
            unlink_entry(self, change->entry);
            free(change->entry);
            break;
        case CHANGE_REMOVE: link_entry(self, change->entry); break;
        case CHANGE_FLAGS: change->entry->pair.flags = change->flags_before; break;
        }
    }
    self->change_count = 0;
    self->next = self->next_before;
    return self->store->crank_undo(self->store);
}

vat_t clist_vat(const clist_t *self) { return self->vat; }
size_t clist_count(const clist_t *self) { return self->count; }

static int by_kref(const void *a, const void *b)
{
    const entry_t *const *left = a, *const *right = b;
    uint64_t x = (*left)->pair.kref.n, y = (*right)->pair.kref.n;
    return (x > y) - (x < y);
}

void clist_each(const clist_t *self, pair_visit_t *visit, void *context)
{
    entry_t **sorted = calloc(self->count + 1, sizeof(entry_t *));
    size_t n = 0;
    must(sorted);
    for (size_t i = 0; i < self->krefs.room; i++) {
        if (self->krefs.slots[i]) sorted[n++] = self->krefs.slots[i];
    }
    qsort(sorted, n, sizeof *sorted, by_kref);
    for (size_t i = 0; i < n; i++) {
        visit(context, sorted[i]->pair.kref, sorted[i]->pair.vref, sorted[i]->pair.flags);
    }
    free(sorted);
}
