#include "tests/unit/wire/fill.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/own.h"

enum { PIECES_MAX = 1 << 16, ITEMS_MAX = 5, BYTES_MAX = 300 };

struct fill {
    uint64_t seed;
    void *pieces[PIECES_MAX];
    size_t count;
};

fill_t *fill_new(uint64_t seed)
{
    fill_t *self = calloc(1, sizeof *self);
    must(self);
    self->seed = seed;
    return self;
}

void fill_destroy(fill_t **self_p)
{
    if (!*self_p) return;
    for (size_t i = 0; i < (*self_p)->count; i++) free((*self_p)->pieces[i]);
    free(*self_p);
    *self_p = NULL;
}

/* splitmix64 */
uint64_t fill_number(fill_t *self)
{
    uint64_t z = self->seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Numbers of every width, not only large ones. */
static uint64_t any_u64(fill_t *self) { return fill_number(self) >> (fill_number(self) % 64); }
static size_t below(fill_t *self, size_t n) { return (size_t)(fill_number(self) % n); }

static void *piece(fill_t *self, size_t bytes)
{
    must(self->count < PIECES_MAX);
    void *at = calloc(1, bytes ? bytes : 1);
    must(at);
    return self->pieces[self->count++] = at;
}

static bin_t any_bin(fill_t *self, size_t len)
{
    uint8_t *at = piece(self, len);
    for (size_t i = 0; i < len && i < 4096; i++) at[i] = (uint8_t)fill_number(self);
    return (bin_t){at, len};
}

static text_t any_text(fill_t *self, size_t len)
{
    static const char *const chars[] = {"a", "Z", "\n", "é", "€", "\U0001F600", " ", "\""};
    char *at = piece(self, len);
    size_t used = 0;
    while (used < len && used < 4096) {
        const char *c = chars[below(self, sizeof chars / sizeof *chars)];
        size_t step = strlen(c);
        if (used + step > len) c = "x", step = 1;
        memcpy(at + used, c, step);
        used += step;
    }
    return (text_t){at, len};
}

static krefs_t any_krefs(fill_t *self, size_t count)
{
    kref_t *at = piece(self, count * sizeof *at);
    for (size_t i = 0; i < count; i++) at[i].n = any_u64(self);
    return (krefs_t){at, count};
}

static resolutions_t any_resolutions(fill_t *self, size_t count)
{
    resolution_t *at = piece(self, count * sizeof *at);
    for (size_t i = 0; i < count; i++) {
        at[i].promise.n = any_u64(self);
        at[i].rejected = fill_number(self) & 1;
        at[i].data.body = any_bin(self, below(self, 40));
        at[i].data.slots = any_krefs(self, below(self, ITEMS_MAX));
    }
    return (resolutions_t){at, count};
}

void fill_message(fill_t *self, const message_t *message, msg_body_t *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < message->field_count; i++) {
        const field_t *field = &message->fields[i];
        void *at = (char *)ret + field->offset;
        size_t len = below(self, field->limit < BYTES_MAX ? field->limit + 1 : BYTES_MAX);

        switch (field->kind) {
        case KIND_u64: *(uint64_t *)at = any_u64(self); break;
        case KIND_kref: *(kref_t *)at = (kref_t){any_u64(self)}; break;
        case KIND_bool: *(bool *)at = fill_number(self) & 1; break;
        case KIND_vat: ((vat_t *)at)->n = (uint32_t)any_u64(self) & KREF_ISSUER_MAX; break;
        case KIND_host: ((host_t *)at)->n = (uint32_t)any_u64(self); break;
        case KIND_cluster: ((cluster_t *)at)->n = (uint32_t)any_u64(self); break;
        case KIND_text: *(text_t *)at = any_text(self, len); break;
        case KIND_bin: *(bin_t *)at = any_bin(self, len); break;
        case KIND_hash: memcpy(at, any_bin(self, 32).at, 32); break;
        case KIND_id: memcpy(at, any_bin(self, 16).at, 16); break;
        case KIND_krefs: *(krefs_t *)at = any_krefs(self, below(self, ITEMS_MAX)); break;
        case KIND_msgid:
            *(msgid_t *)at = (msgid_t){{(uint32_t)any_u64(self) & KREF_ISSUER_MAX},
                                       any_u64(self),
                                       (uint32_t)any_u64(self)};
            break;
        case KIND_capdata:
            *(capdata_t *)at =
                (capdata_t){any_bin(self, len), any_krefs(self, below(self, ITEMS_MAX))};
            break;
        case KIND_resolutions:
            *(resolutions_t *)at = any_resolutions(self, below(self, ITEMS_MAX));
            break;
        }
    }
}

void fill_long(fill_t *self, const field_t *field, size_t count, msg_body_t *ret)
{
    void *at = (char *)ret + field->offset;

    switch ((int)field->kind) {
    case KIND_text: *(text_t *)at = any_text(self, count); break;
    case KIND_bin: *(bin_t *)at = any_bin(self, count); break;
    case KIND_krefs: *(krefs_t *)at = any_krefs(self, count); break;
    case KIND_capdata: ((capdata_t *)at)->body = any_bin(self, count); break;
    case KIND_resolutions: *(resolutions_t *)at = any_resolutions(self, count); break;
    default: must(false && "has no length");
    }
}

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_capdata(const capdata_t *a, const capdata_t *b)
{
    return same_bytes(a->body.at, a->body.len, b->body.at, b->body.len) &&
           same_bytes(a->slots.at, a->slots.count * 8, b->slots.at, b->slots.count * 8);
}

bool fill_same(kind_t kind, const void *a, const void *b)
{
    const bin_t *bin_a = a, *bin_b = b;
    const krefs_t *krefs_a = a, *krefs_b = b;
    const msgid_t *id_a = a, *id_b = b;
    const resolutions_t *list_a = a, *list_b = b;

    switch (kind) {
    case KIND_u64:
    case KIND_kref: return *(const uint64_t *)a == *(const uint64_t *)b;
    case KIND_vat:
    case KIND_host:
    case KIND_cluster: return *(const uint32_t *)a == *(const uint32_t *)b;
    case KIND_bool: return *(const bool *)a == *(const bool *)b;
    case KIND_hash: return memcmp(a, b, 32) == 0;
    case KIND_id: return memcmp(a, b, 16) == 0;
    case KIND_text:
    case KIND_bin: return same_bytes(bin_a->at, bin_a->len, bin_b->at, bin_b->len);
    case KIND_krefs:
        return same_bytes(krefs_a->at, krefs_a->count * 8, krefs_b->at, krefs_b->count * 8);
    case KIND_msgid: return id_a->vat.n == id_b->vat.n && id_a->d == id_b->d && id_a->n == id_b->n;
    case KIND_capdata: return same_capdata(a, b);
    case KIND_resolutions:
        if (list_a->count != list_b->count) return false;
        for (size_t i = 0; i < list_a->count; i++) {
            const resolution_t *x = &list_a->at[i], *y = &list_b->at[i];
            if (x->promise.n != y->promise.n || x->rejected != y->rejected) return false;
            if (!same_capdata(&x->data, &y->data)) return false;
        }
        return true;
    }
    return false;
}

/* ---- the naive encoder --------------------------------------------------------------------- */

static void raw(buf_t *out, const void *at, size_t len) { must(buf_add(out, at, len) == ERR_OK); }

static void raw_number(buf_t *out, uint64_t n, size_t width)
{
    while (width-- > 0) {
        uint8_t byte = (uint8_t)(n >> (8 * width));
        raw(out, &byte, 1);
    }
}

static void raw_uint(buf_t *out, uint64_t n)
{
    if (n < 0x80) {
        raw_number(out, n, 1);
    } else {
        size_t log = n <= UINT8_MAX ? 0 : n <= UINT16_MAX ? 1 : n <= UINT32_MAX ? 2 : 3;
        raw_number(out, 0xcc + log, 1);
        raw_number(out, n, (size_t)1 << log);
    }
}

/* FIRST is the 8-bit form; the 16- and 32-bit forms follow it. */
static void raw_head(buf_t *out, uint64_t first, size_t len)
{
    size_t log = len <= UINT8_MAX ? 0 : len <= UINT16_MAX ? 1 : 2;
    raw_number(out, first + log, 1);
    raw_number(out, len, (size_t)1 << log);
}

static void raw_bin(buf_t *out, const void *at, size_t len)
{
    raw_head(out, 0xc4, len);
    raw(out, at, len);
}

static void raw_text(buf_t *out, text_t text)
{
    if (text.len < 32)
        raw_number(out, 0xa0 + text.len, 1);
    else
        raw_head(out, 0xd9, text.len);
    raw(out, text.at, text.len);
}

static void raw_array(buf_t *out, size_t count)
{
    if (count < 16) {
        raw_number(out, 0x90 + count, 1);
    } else {
        raw_number(out, 0xdc, 1);
        raw_number(out, count, 2);
    }
}

static void raw_krefs(buf_t *out, krefs_t krefs)
{
    raw_head(out, 0xc4, krefs.count * 8);
    for (size_t i = 0; i < krefs.count; i++) raw_number(out, krefs.at[i].n, 8);
}

static void raw_resolutions(buf_t *out, resolutions_t list)
{
    size_t bodies = 0, slots = 0;

    raw_array(out, 3);
    raw_head(out, 0xc4, list.count * 48);
    for (size_t i = 0; i < list.count; i++) {
        raw_number(out, list.at[i].promise.n, 8);
        raw_number(out, list.at[i].rejected, 8);
        raw_number(out, bodies, 8);
        raw_number(out, list.at[i].data.body.len, 8);
        raw_number(out, slots, 8);
        raw_number(out, list.at[i].data.slots.count, 8);
        bodies += list.at[i].data.body.len;
        slots += list.at[i].data.slots.count;
    }
    raw_head(out, 0xc4, bodies);
    for (size_t i = 0; i < list.count; i++)
        raw(out, list.at[i].data.body.at, list.at[i].data.body.len);
    raw_head(out, 0xc4, slots * 8);
    for (size_t i = 0; i < list.count; i++) {
        for (size_t j = 0; j < list.at[i].data.slots.count; j++) {
            raw_number(out, list.at[i].data.slots.at[j].n, 8);
        }
    }
}

void fill_frame(const message_t *message, const msg_body_t *body, buf_t *out)
{
    raw_array(out, message->field_count + 1);
    raw_uint(out, message->tag);
    for (size_t i = 0; i < message->field_count; i++) {
        const void *at = (const char *)body + message->fields[i].offset;
        const bin_t *bin = at;
        const msgid_t *id = at;
        const capdata_t *data = at;

        switch (message->fields[i].kind) {
        case KIND_u64:
        case KIND_kref: raw_uint(out, *(const uint64_t *)at); break;
        case KIND_vat:
        case KIND_host:
        case KIND_cluster: raw_uint(out, *(const uint32_t *)at); break;
        case KIND_bool: raw_number(out, *(const bool *)at ? 0xc3 : 0xc2, 1); break;
        case KIND_text: raw_text(out, *(const text_t *)at); break;
        case KIND_bin: raw_bin(out, bin->at, bin->len); break;
        case KIND_hash: raw_bin(out, at, 32); break;
        case KIND_id: raw_bin(out, at, 16); break;
        case KIND_krefs: raw_krefs(out, *(const krefs_t *)at); break;
        case KIND_msgid:
            raw_array(out, 3);
            raw_uint(out, id->vat.n);
            raw_uint(out, id->d);
            raw_uint(out, id->n);
            break;
        case KIND_capdata:
            raw_array(out, 2);
            raw_bin(out, data->body.at, data->body.len);
            raw_krefs(out, data->slots);
            break;
        case KIND_resolutions: raw_resolutions(out, *(const resolutions_t *)at); break;
        }
    }
}
