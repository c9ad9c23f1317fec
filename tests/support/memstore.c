#include "tests/support/memstore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

typedef struct {
    char kind; /* s store, p pair, c counter */
    char *key, *value;
    size_t key_len, value_len;
} row_t;

typedef struct {
    row_t *rows;
    size_t count, room;
} rows_t;

/* A checkpoint with all that belongs to it. */
typedef struct {
    checkpoint_t at; /* borrows */
    char *results, *heap;
    rows_t rows;
    uint64_t oldest;
} kept_t;

typedef struct {
    vatstore_t port;
    rows_t now, before; /* before: when the crank began */
    kept_t kept[2];     /* by generation_t */
    bool older_used;    /* back() was called since the last checkpoint: the newest is not used */
    bool emptied;       /* likewise, no checkpoint is */
    bool in_crank;
    unsigned fail_in;
} memstore_t;

static char *copy(const char *at, size_t len)
{
    char *text = malloc(len + 1);
    must(text);
    if (len) memcpy(text, at, len);
    text[len] = '\0';
    return text;
}

static void rows_clear(rows_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->rows[i].key);
        free(self->rows[i].value);
    }
    free(self->rows);
    *self = (rows_t){0};
}

static rows_t rows_copy(const rows_t *from)
{
    rows_t made = {calloc(from->room + 1, sizeof(row_t)), from->count, from->room};
    must(made.rows);
    for (size_t i = 0; i < from->count; i++) {
        made.rows[i] = from->rows[i];
        made.rows[i].key = copy(from->rows[i].key, from->rows[i].key_len);
        made.rows[i].value = copy(from->rows[i].value, from->rows[i].value_len);
    }
    return made;
}

static bin_t bytes_copy(bin_t from, char **owner)
{
    *owner = copy((const char *)from.at, from.len);
    return (bin_t){(const uint8_t *)*owner, from.len};
}

static void kept_clear(kept_t *self)
{
    rows_clear(&self->rows);
    free(self->results);
    free(self->heap);
    *self = (kept_t){.oldest = 0};
}

static int order(char kind, text_t key, const row_t *row)
{
    if (kind != row->kind) return kind < row->kind ? -1 : 1;
    size_t shorter = key.len < row->key_len ? key.len : row->key_len;
    int diff = shorter ? memcmp(key.at, row->key, shorter) : 0;
    if (diff) return diff;
    return (key.len > row->key_len) - (key.len < row->key_len);
}

/* Position of the first row that is not before (KIND, KEY). */
static size_t place(const rows_t *rows, char kind, text_t key)
{
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (order(kind, key, &rows->rows[middle]) > 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool at_place(const rows_t *rows, size_t i, char kind, text_t key)
{
    return i < rows->count && order(kind, key, &rows->rows[i]) == 0;
}

static err_t fails(memstore_t *self)
{
    if (self->fail_in && --self->fail_in == 0) return ERR_STORE;
    return ERR_OK;
}

static err_t put(memstore_t *self, char kind, text_t key, text_t value)
{
    rows_t *rows = &self->now;
    size_t i = place(rows, kind, key);

    must(self->in_crank);
    if (fails(self)) return ERR_STORE;
    if (at_place(rows, i, kind, key)) {
        free(rows->rows[i].value);
    } else {
        if (rows->count == rows->room) {
            rows->room = rows->room ? rows->room * 2 : 16;
            rows->rows = realloc(rows->rows, (rows->room + 1) * sizeof(row_t));
            must(rows->rows);
        }
        memmove(&rows->rows[i + 1], &rows->rows[i], (rows->count - i) * sizeof(row_t));
        rows->count++;
        rows->rows[i] = (row_t){kind, copy(key.at, key.len), NULL, key.len, 0};
    }
    rows->rows[i].value = copy(value.at, value.len);
    rows->rows[i].value_len = value.len;
    return ERR_OK;
}

static err_t take_away(memstore_t *self, char kind, text_t key)
{
    rows_t *rows = &self->now;
    size_t i = place(rows, kind, key);

    must(self->in_crank);
    if (fails(self)) return ERR_STORE;
    if (!at_place(rows, i, kind, key)) return ERR_OK;
    free(rows->rows[i].key);
    free(rows->rows[i].value);
    memmove(&rows->rows[i], &rows->rows[i + 1], (--rows->count - i) * sizeof(row_t));
    return ERR_OK;
}

static err_t mem_get(vatstore_t *port, text_t key, text_t *ret, bool *ret_found)
{
    memstore_t *self = (memstore_t *)port;
    size_t i = place(&self->now, 's', key);

    if (fails(self)) return ERR_STORE;
    *ret_found = at_place(&self->now, i, 's', key);
    if (*ret_found) *ret = (text_t){self->now.rows[i].value, self->now.rows[i].value_len};
    return ERR_OK;
}

static err_t mem_next(vatstore_t *port, text_t prior, text_t *ret, bool *ret_found)
{
    memstore_t *self = (memstore_t *)port;
    size_t i = place(&self->now, 's', prior);

    if (fails(self)) return ERR_STORE;
    if (at_place(&self->now, i, 's', prior)) i++;
    *ret_found = i < self->now.count && self->now.rows[i].kind == 's';
    if (*ret_found) *ret = (text_t){self->now.rows[i].key, self->now.rows[i].key_len};
    return ERR_OK;
}

static err_t mem_set(vatstore_t *port, text_t key, text_t value)
{
    return put((memstore_t *)port, 's', key, value);
}

static err_t mem_remove(vatstore_t *port, text_t key)
{
    return take_away((memstore_t *)port, 's', key);
}

static err_t mem_pair_put(vatstore_t *port, kref_t kref, vref_t vref, uint64_t flags)
{
    char key[KREF_TEXT_MAX], value[300];
    int len = snprintf(value, sizeof value, "%.*s %" PRIu64, (int)vref.s.len, vref.s.at, flags);
    return put((memstore_t *)port, 'p', text_of(kref_text(kref, key)),
               (text_t){value, (size_t)len});
}

static err_t mem_pair_remove(vatstore_t *port, kref_t kref)
{
    char key[KREF_TEXT_MAX];
    return take_away((memstore_t *)port, 'p', text_of(kref_text(kref, key)));
}

static err_t mem_counter_put(vatstore_t *port, text_t name, uint64_t number)
{
    char value[32];
    int len = snprintf(value, sizeof value, "%" PRIu64, number);
    return put((memstore_t *)port, 'c', name, (text_t){value, (size_t)len});
}

static err_t mem_begin(vatstore_t *port)
{
    memstore_t *self = (memstore_t *)port;
    must(!self->in_crank);
    self->in_crank = true;
    self->before = rows_copy(&self->now);
    return fails(self);
}

static err_t mem_keep(vatstore_t *port)
{
    memstore_t *self = (memstore_t *)port;
    must(self->in_crank);
    self->in_crank = false;
    rows_clear(&self->before);
    return fails(self);
}

static err_t mem_undo(vatstore_t *port)
{
    memstore_t *self = (memstore_t *)port;
    must(self->in_crank);
    self->in_crank = false;
    rows_clear(&self->now);
    self->now = self->before;
    self->before = (rows_t){0};
    return fails(self);
}

/* Rows were written as text by mem_pair_put(). */
static err_t mem_pairs(vatstore_t *port, pair_visit_t *visit, void *context)
{
    memstore_t *self = (memstore_t *)port;
    if (fails(self)) return ERR_STORE;
    for (size_t i = 0; i < self->now.count; i++) {
        const row_t *row = &self->now.rows[i];
        kref_t kref;
        if (row->kind != 'p') continue;
        must(kref_parse(row->key, row->key_len, &kref));
        const char *space = strchr(row->value, ' ');
        vref_t vref = {{row->value, (size_t)(space - row->value)}};
        visit(context, kref, vref, strtoull(space, NULL, 10));
    }
    return ERR_OK;
}

static err_t mem_counter_get(vatstore_t *port, text_t name, uint64_t *ret)
{
    memstore_t *self = (memstore_t *)port;
    size_t i = place(&self->now, 'c', name);

    if (fails(self)) return ERR_STORE;
    bool found = at_place(&self->now, i, 'c', name);
    *ret = found ? strtoull(self->now.rows[i].value, NULL, 10) : 0;
    return ERR_OK;
}

/* The checkpoint that is the newest now, or the one before that one. */
static const kept_t *kept(const memstore_t *self, generation_t which)
{
    if (self->emptied) return NULL;
    if (self->older_used && which == CHECKPOINT_OLDER) return NULL;
    const kept_t *kept = &self->kept[self->older_used ? CHECKPOINT_OLDER : which];
    return kept->at.d ? kept : NULL;
}

static uint64_t mem_newest(const vatstore_t *port)
{
    const kept_t *newest = kept((const memstore_t *)port, CHECKPOINT_NEWEST);
    return newest ? newest->at.d : 0;
}

static uint64_t mem_oldest(const vatstore_t *port)
{
    const memstore_t *self = (const memstore_t *)port;
    const kept_t *newest = kept(self, CHECKPOINT_NEWEST);
    if (!newest) return 0;
    return self->older_used ? newest->at.d : newest->oldest;
}

static err_t mem_checkpoint(vatstore_t *port, const checkpoint_t *made, bool alone)
{
    memstore_t *self = (memstore_t *)port;
    uint64_t newest = mem_newest(port);

    must(!self->in_crank && made->d >= newest);
    if (fails(self)) return ERR_STORE;
    alone = alone || made->d == newest;
    if (!self->older_used) {
        kept_clear(&self->kept[CHECKPOINT_OLDER]);
        self->kept[CHECKPOINT_OLDER] = self->kept[CHECKPOINT_NEWEST];
    } else {
        kept_clear(&self->kept[CHECKPOINT_NEWEST]);
    }
    if (alone || self->emptied) kept_clear(&self->kept[CHECKPOINT_OLDER]);
    self->older_used = self->emptied = false;
    kept_t *own = &self->kept[CHECKPOINT_NEWEST];
    *own = (kept_t){.at = *made, .rows = rows_copy(&self->now), .oldest = alone ? made->d : newest};
    own->at.results = bytes_copy(made->results, &own->results);
    own->at.heap = bytes_copy(made->heap, &own->heap);
    return ERR_OK;
}

static err_t mem_read(vatstore_t *port, generation_t which, checkpoint_t *ret)
{
    memstore_t *self = (memstore_t *)port;
    const kept_t *found = kept(self, which);
    *ret = found ? found->at : (checkpoint_t){.d = 0};
    return fails(self);
}

static err_t mem_back(vatstore_t *port)
{
    memstore_t *self = (memstore_t *)port;
    must(kept(self, CHECKPOINT_OLDER));
    rows_clear(&self->now);
    self->now = rows_copy(&self->kept[CHECKPOINT_OLDER].rows);
    self->older_used = true;
    return fails(self);
}

static err_t mem_empty(vatstore_t *port)
{
    memstore_t *self = (memstore_t *)port;
    must(!self->in_crank);
    rows_clear(&self->now);
    self->emptied = true;
    return fails(self);
}

/* There are no files here: the copy is what was asked for. */
static err_t mem_copy(vatstore_t *port, const char *path)
{
    memstore_t *self = (memstore_t *)port;
    must(mem_newest(port));
    FILE *out = fopen(path, "w");
    if (!out) return ERR_STORE;
    fprintf(out, "checkpoint %" PRIu64 "\n", mem_newest(port));
    return fclose(out) ? ERR_STORE : fails(self);
}

static uint64_t mem_bytes(vatstore_t *port) { return ((memstore_t *)port)->now.count; }

static const char *mem_why(const vatstore_t *port)
{
    (void)port;
    return "";
}

static void mem_destroy(vatstore_t **self_p)
{
    memstore_t *self = (memstore_t *)*self_p;
    rows_clear(&self->now);
    rows_clear(&self->before);
    for (int i = 0; i < 2; i++) kept_clear(&self->kept[i]);
    free(self);
    *self_p = NULL;
}

vatstore_t *memstore_new(void)
{
    memstore_t *self = calloc(1, sizeof *self);
    must(self);
    self->port = (vatstore_t){
        .get = mem_get,
        .next = mem_next,
        .set = mem_set,
        .remove = mem_remove,
        .pair_put = mem_pair_put,
        .pair_remove = mem_pair_remove,
        .pairs = mem_pairs,
        .counter_put = mem_counter_put,
        .counter_get = mem_counter_get,
        .crank_begin = mem_begin,
        .crank_keep = mem_keep,
        .crank_undo = mem_undo,
        .checkpoint = mem_checkpoint,
        .read = mem_read,
        .back = mem_back,
        .empty = mem_empty,
        .newest = mem_newest,
        .oldest = mem_oldest,
        .copy = mem_copy,
        .bytes = mem_bytes,
        .why = mem_why,
        .destroy = mem_destroy,
    };
    return &self->port;
}

char *memstore_dump(const vatstore_t *store)
{
    const memstore_t *self = (const memstore_t *)store;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    must(out);
    for (size_t i = 0; i < self->now.count; i++) {
        const row_t *row = &self->now.rows[i];
        fprintf(out, "%c %s=%s\n", row->kind, row->key, row->value);
    }
    must(fclose(out) == 0);
    return text;
}

void memstore_fail(vatstore_t *store, unsigned n) { ((memstore_t *)store)->fail_in = n; }

vatstore_t *memstore_copy(const vatstore_t *store)
{
    const kept_t *newest = kept((const memstore_t *)store, CHECKPOINT_NEWEST);
    must(newest);
    memstore_t *made = (memstore_t *)memstore_new();
    kept_t *own = &made->kept[CHECKPOINT_NEWEST];
    *own = (kept_t){.at = newest->at, .rows = rows_copy(&newest->rows), .oldest = newest->at.d};
    own->at.results = bytes_copy(newest->at.results, &own->results);
    own->at.heap = bytes_copy(newest->at.heap, &own->heap);
    made->now = rows_copy(&own->rows);
    return &made->port;
}

void memstore_crash(vatstore_t *store)
{
    memstore_t *self = (memstore_t *)store;
    rows_clear(&self->now);
    rows_clear(&self->before);
    self->older_used = self->emptied = self->in_crank = false;
    if (self->kept[CHECKPOINT_NEWEST].at.d)
        self->now = rows_copy(&self->kept[CHECKPOINT_NEWEST].rows);
}

void memstore_damage(vatstore_t *store, generation_t which)
{
    kept_t *kept = &((memstore_t *)store)->kept[which];
    must(kept->at.d);
    free(kept->heap);
    kept->at.heap = bytes_copy((bin_t){(const uint8_t *)"damaged", 7}, &kept->heap);
}
