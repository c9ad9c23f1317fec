#include "wire/codec/codec.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/utf8.h"
#include "wire/codec/row.h"
#include "wire/codec/scan.h"

/* How the kinds that are not single values stand in a frame. The lists are bytes, 8 per number,
 * not MessagePack arrays: a number of one byte would need eight in memory, and E2 says that no
 * allocation exceeds the frame. As it is, a list takes exactly the bytes that arrived.
 *
 *   msgid         [vat, d, n]
 *   krefs         bin, 8 bytes big-endian each
 *   capdata       [body, krefs]
 *   resolutions   [rows, bodies, krefs]: rows is a bin of ROW_BYTES each (row.h), bodies is all
 *                 bodies, krefs all slots, one behind the other in the order of the rows */

/* Lists that one message can have at most. A unit test holds the tables to it. */
enum { LISTS_MAX = 4 };

_Static_assert(sizeof(kref_t) == KREF_BYTES, "a list in memory is as long as in the frame");
_Static_assert(sizeof(resolution_t) <= ROW_BYTES,
               "a list in memory is no longer than in the frame");

/* ---- encode ------------------------------------------------------------------------------- */

/* Where msgpack-c writes; it knows only -1 for any failure. */
typedef struct {
    buf_t *out;
    err_t err;
} sink_t;

static int sink_write(void *self, const char *at, size_t len)
{
    sink_t *sink = self;

    if (!sink->err) sink->err = buf_add(sink->out, at, len);
    return sink->err ? -1 : 0;
}

static err_t put_uint(msgpack_packer *pk, uint64_t n, uint64_t max)
{
    if (n > max) return ERR_WIRE_LIMIT;
    msgpack_pack_uint64(pk, n);
    return ERR_OK;
}

static err_t put_text(msgpack_packer *pk, text_t text, size_t limit)
{
    if (text.len > limit) return ERR_WIRE_LIMIT;
    if (!utf8_check(text.at, text.len)) return ERR_WIRE_TYPE;
    msgpack_pack_str_with_body(pk, text.at, text.len);
    return ERR_OK;
}

static err_t put_bin(msgpack_packer *pk, bin_t bin, size_t limit)
{
    if (bin.len > limit) return ERR_WIRE_LIMIT;
    msgpack_pack_bin_with_body(pk, bin.at, bin.len);
    return ERR_OK;
}

static void put_kref_bytes(msgpack_packer *pk, krefs_t krefs)
{
    uint8_t bytes[KREF_BYTES];

    for (size_t i = 0; i < krefs.count; i++) {
        u64_put(bytes, krefs.at[i].n);
        msgpack_pack_bin_body(pk, bytes, sizeof bytes);
    }
}

static err_t put_krefs(msgpack_packer *pk, krefs_t krefs, size_t limit)
{
    if (krefs.count > limit) return ERR_WIRE_LIMIT;
    msgpack_pack_bin(pk, krefs.count * KREF_BYTES);
    put_kref_bytes(pk, krefs);
    return ERR_OK;
}

static err_t put_capdata(msgpack_packer *pk, const capdata_t *data, size_t limit)
{
    msgpack_pack_array(pk, 2);
    err_t err = put_bin(pk, data->body, limit);
    return err ? err : put_krefs(pk, data->slots, SLOTS_MAX);
}

static err_t put_resolutions(msgpack_packer *pk, resolutions_t list, size_t limit)
{
    size_t bodies = 0, slots = 0;

    if (list.count > limit) return ERR_WIRE_LIMIT;
    msgpack_pack_array(pk, 3);
    msgpack_pack_bin(pk, list.count * ROW_BYTES);
    for (size_t i = 0; i < list.count; i++) {
        const resolution_t *one = &list.at[i];
        if (one->data.body.len > CAPDATA_BYTES_MAX) return ERR_WIRE_LIMIT;
        if (one->data.slots.count > SLOTS_MAX) return ERR_WIRE_LIMIT;

        uint8_t bytes[ROW_BYTES];
        row_put(bytes, &(row_t){one->promise.n, one->rejected, bodies, one->data.body.len, slots,
                                one->data.slots.count});
        msgpack_pack_bin_body(pk, bytes, sizeof bytes);
        bodies += one->data.body.len;
        slots += one->data.slots.count;
    }
    /* Far below what a bin can count, and more than any frame could take. */
    if (bodies > FRAME_BYTES_MAX || slots > FRAME_BYTES_MAX / KREF_BYTES) return ERR_WIRE_LIMIT;

    msgpack_pack_bin(pk, bodies);
    for (size_t i = 0; i < list.count; i++) {
        bin_t body = list.at[i].data.body;
        if (body.len) msgpack_pack_bin_body(pk, body.at, body.len);
    }
    msgpack_pack_bin(pk, slots * KREF_BYTES);
    for (size_t i = 0; i < list.count; i++) put_kref_bytes(pk, list.at[i].data.slots);
    return ERR_OK;
}

static err_t put_msgid(msgpack_packer *pk, const msgid_t *id)
{
    msgpack_pack_array(pk, 3);
    err_t err = put_uint(pk, id->vat.n, KREF_ISSUER_MAX);
    msgpack_pack_uint64(pk, id->d);
    msgpack_pack_uint32(pk, id->n);
    return err;
}

static err_t put_field(msgpack_packer *pk, const field_t *field, const void *body)
{
    const void *value = (const char *)body + field->offset;

    switch (field->kind) {
    case KIND_u64: return put_uint(pk, *(const uint64_t *)value, UINT64_MAX);
    case KIND_vat: return put_uint(pk, ((const vat_t *)value)->n, KREF_ISSUER_MAX);
    case KIND_host: return put_uint(pk, ((const host_t *)value)->n, UINT32_MAX);
    case KIND_cluster: return put_uint(pk, ((const cluster_t *)value)->n, UINT32_MAX);
    case KIND_kref: return put_uint(pk, ((const kref_t *)value)->n, UINT64_MAX);
    case KIND_text: return put_text(pk, *(const text_t *)value, field->limit);
    case KIND_bin: return put_bin(pk, *(const bin_t *)value, field->limit);
    case KIND_hash: return put_bin(pk, (bin_t){((const hash_t *)value)->b, 32}, 32);
    case KIND_id: return put_bin(pk, (bin_t){((const id128_t *)value)->b, 16}, 16);
    case KIND_krefs: return put_krefs(pk, *(const krefs_t *)value, field->limit);
    case KIND_capdata: return put_capdata(pk, value, field->limit);
    case KIND_resolutions: return put_resolutions(pk, *(const resolutions_t *)value, field->limit);
    case KIND_msgid: return put_msgid(pk, value);
    case KIND_bool:
        if (*(const bool *)value)
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        return ERR_OK;
    }
    must(false && "every kind is handled above");
    return ERR_INTERNAL;
}

err_t msg_encode(msg_tag_t tag, const void *body, buf_t *out)
{
    const message_t *message = message_find(tag);
    must(message);
    must(body);

    size_t before = out->len;
    sink_t sink = {.out = out};
    msgpack_packer pk;
    err_t err = ERR_OK;
    msgpack_packer_init(&pk, &sink, sink_write);
    msgpack_pack_array(&pk, message->field_count + 1);
    msgpack_pack_uint32(&pk, tag);
    for (size_t i = 0; i < message->field_count && !err; i++) {
        err = put_field(&pk, &message->fields[i], body);
    }
    if (!err) err = sink.err;
    if (err) out->len = before;
    return err;
}

/* ---- decode ------------------------------------------------------------------------------- */

/* A list found in the frame. All of them are made at once, in one allocation, when every field has
 * been read and their sizes are known. */
typedef struct {
    const field_t *field;
    bin_t rows, bodies, krefs;
} list_t;

typedef struct {
    list_t at[LISTS_MAX];
    size_t count;
} lists_t;

/* One value that is not an array, by msgpack-c; such a value needs no memory of its own. */
static err_t take(scan_t *scan, msgpack_object_type type, msgpack_object *ret)
{
    bin_t item;
    size_t used = 0;
    msgpack_zone zone = {0}; /* where arrays would go: none comes here, so it stays empty */
    msgpack_object object;

    err_t err = scan_item(scan, &item);
    if (err) return err;
    if (msgpack_unpack((const char *)item.at, item.len, &used, &zone, &object) !=
            MSGPACK_UNPACK_SUCCESS ||
        object.type != type) {
        return ERR_WIRE_TYPE;
    }
    must(!zone.chunk_list.head && used == item.len);
    *ret = object;
    return ERR_OK;
}

static err_t take_uint(scan_t *scan, uint64_t max, uint64_t *ret)
{
    msgpack_object object;

    err_t err = take(scan, MSGPACK_OBJECT_POSITIVE_INTEGER, &object);
    if (err) return err;
    if (object.via.u64 > max) return ERR_WIRE_LIMIT;
    *ret = object.via.u64;
    return ERR_OK;
}

static err_t take_u32(scan_t *scan, uint32_t max, uint32_t *ret)
{
    uint64_t n;

    err_t err = take_uint(scan, max, &n);
    if (!err) *ret = (uint32_t)n;
    return err;
}

static err_t take_bool(scan_t *scan, bool *ret)
{
    msgpack_object object;

    err_t err = take(scan, MSGPACK_OBJECT_BOOLEAN, &object);
    if (!err) *ret = object.via.boolean;
    return err;
}

static err_t take_text(scan_t *scan, size_t limit, text_t *ret)
{
    msgpack_object object;

    err_t err = take(scan, MSGPACK_OBJECT_STR, &object);
    if (err) return err;
    if (object.via.str.size > limit) return ERR_WIRE_LIMIT;
    if (!utf8_check(object.via.str.ptr, object.via.str.size)) return ERR_WIRE_TYPE;
    /* msgpack-c lets an empty one point nowhere; ours may always be handed to memcpy(). */
    *ret = (text_t){object.via.str.size ? object.via.str.ptr : "", object.via.str.size};
    return ERR_OK;
}

static err_t take_bin(scan_t *scan, size_t limit, bin_t *ret)
{
    msgpack_object object;

    err_t err = take(scan, MSGPACK_OBJECT_BIN, &object);
    if (err) return err;
    if (object.via.bin.size > limit) return ERR_WIRE_LIMIT;
    const char *at = object.via.bin.size ? object.via.bin.ptr : "";
    *ret = (bin_t){(const uint8_t *)at, object.via.bin.size};
    return ERR_OK;
}

/* Bytes of a fixed length. */
static err_t take_fixed(scan_t *scan, size_t len, uint8_t *ret)
{
    bin_t bin;

    err_t err = take_bin(scan, len, &bin);
    if (err) return err;
    if (bin.len != len) return ERR_WIRE_TYPE;
    memcpy(ret, bin.at, len);
    return ERR_OK;
}

/* Bytes that are elements of UNIT bytes each. */
static err_t take_units(scan_t *scan, size_t unit, size_t limit, bin_t *ret)
{
    err_t err = take_bin(scan, unit * limit, ret);
    return err ? err : ret->len % unit ? ERR_WIRE_TYPE : ERR_OK;
}

static err_t take_array(scan_t *scan, uint64_t count)
{
    uint64_t n;

    err_t err = scan_array(scan, &n);
    return err ? err : n == count ? ERR_OK : ERR_WIRE_TYPE;
}

static err_t take_msgid(scan_t *scan, msgid_t *ret)
{
    err_t err = take_array(scan, 3);
    if (!err) err = take_u32(scan, KREF_ISSUER_MAX, &ret->vat.n);
    if (!err) err = take_uint(scan, UINT64_MAX, &ret->d);
    if (!err) err = take_u32(scan, UINT32_MAX, &ret->n);
    return err;
}

static err_t take_list(scan_t *scan, const field_t *field, lists_t *lists)
{
    must(lists->count < LISTS_MAX);
    list_t *list = &lists->at[lists->count++];
    err_t err;

    *list = (list_t){.field = field};
    switch ((int)field->kind) {
    case KIND_krefs: return take_units(scan, KREF_BYTES, field->limit, &list->krefs);
    case KIND_capdata:
        err = take_array(scan, 2);
        if (!err) err = take_bin(scan, field->limit, &list->bodies);
        if (!err) err = take_units(scan, KREF_BYTES, SLOTS_MAX, &list->krefs);
        return err;
    case KIND_resolutions:
        err = take_array(scan, 3);
        if (!err) err = take_units(scan, ROW_BYTES, field->limit, &list->rows);
        if (!err) err = take_bin(scan, FRAME_BYTES_MAX, &list->bodies);
        if (!err) err = take_units(scan, KREF_BYTES, FRAME_BYTES_MAX / KREF_BYTES, &list->krefs);
        return err;
    }
    must(false && "not a list");
    return ERR_INTERNAL;
}

static err_t take_field(scan_t *scan, const field_t *field, lists_t *lists, void *body)
{
    void *value = (char *)body + field->offset;

    switch (field->kind) {
    case KIND_u64: return take_uint(scan, UINT64_MAX, value);
    case KIND_vat: return take_u32(scan, KREF_ISSUER_MAX, &((vat_t *)value)->n);
    case KIND_host: return take_u32(scan, UINT32_MAX, &((host_t *)value)->n);
    case KIND_cluster: return take_u32(scan, UINT32_MAX, &((cluster_t *)value)->n);
    case KIND_kref: return take_uint(scan, UINT64_MAX, &((kref_t *)value)->n);
    case KIND_bool: return take_bool(scan, value);
    case KIND_text: return take_text(scan, field->limit, value);
    case KIND_bin: return take_bin(scan, field->limit, value);
    case KIND_hash: return take_fixed(scan, 32, ((hash_t *)value)->b);
    case KIND_id: return take_fixed(scan, 16, ((id128_t *)value)->b);
    case KIND_msgid: return take_msgid(scan, value);
    case KIND_krefs:
    case KIND_capdata:
    case KIND_resolutions: return take_list(scan, field, lists);
    }
    must(false && "every kind is handled above");
    return ERR_INTERNAL;
}

static krefs_t make_krefs(kref_t *to, bin_t from)
{
    size_t count = from.len / KREF_BYTES;

    for (size_t i = 0; i < count; i++) to[i].n = u64_get(from.at + i * KREF_BYTES);
    return (krefs_t){count ? to : NULL, count};
}

/* Turns rows into resolutions at TO that point into BODIES and SLOTS. Fails when a row is not
 * exactly what the encoder would have written. */
static err_t make_resolutions(resolution_t *to, const list_t *list, krefs_t slots,
                              resolutions_t *ret)
{
    size_t count = list->rows.len / ROW_BYTES;
    uint64_t body_at = 0, slots_at = 0;

    for (size_t i = 0; i < count; i++) {
        row_t row = row_get(list->rows.at + i * ROW_BYTES);
        if (row.rejected > 1 || row.body_at != body_at || row.slots_at != slots_at) {
            return ERR_WIRE_TYPE;
        }
        if (row.body_len > CAPDATA_BYTES_MAX || row.slot_count > SLOTS_MAX) return ERR_WIRE_LIMIT;
        if (row.body_len > list->bodies.len - body_at) return ERR_WIRE_TRUNCATED;
        if (row.slot_count > slots.count - slots_at) return ERR_WIRE_TRUNCATED;

        to[i] = (resolution_t){
            .promise = {row.promise},
            .rejected = row.rejected,
            .data = {.body = {list->bodies.at + body_at, row.body_len},
                     .slots = {row.slot_count ? slots.at + slots_at : NULL, row.slot_count}},
        };
        body_at += row.body_len;
        slots_at += row.slot_count;
    }
    if (body_at != list->bodies.len || slots_at != slots.count) return ERR_WIRE_EXTRA;
    *ret = (resolutions_t){count ? to : NULL, count};
    return ERR_OK;
}

/* Makes all lists of a message in one piece of memory, which is no longer than their bytes in the
 * frame (E2). */
static err_t make_lists(const lists_t *lists, msg_t *msg)
{
    size_t bytes = 0;
    for (size_t i = 0; i < lists->count; i++) {
        bytes += lists->at[i].rows.len + lists->at[i].krefs.len;
    }
    uint8_t *free_at = NULL;
    if (bytes) must(free_at = msg->arena = malloc(bytes));

    for (size_t i = 0; i < lists->count; i++) {
        const list_t *list = &lists->at[i];
        void *value = (char *)&msg->body + list->field->offset;
        krefs_t krefs = make_krefs((void *)free_at, list->krefs);
        if (krefs.count) free_at += list->krefs.len;

        switch ((int)list->field->kind) {
        case KIND_krefs: *(krefs_t *)value = krefs; break;
        case KIND_capdata: *(capdata_t *)value = (capdata_t){list->bodies, krefs}; break;
        case KIND_resolutions: {
            err_t err = make_resolutions((void *)free_at, list, krefs, value);
            if (err) return err;
            if (list->rows.len) free_at += list->rows.len;
            break;
        }
        }
    }
    return ERR_OK;
}

/* BYTES is one value that scan_value() has walked. */
static err_t take_message(bin_t bytes, msg_t *ret)
{
    scan_t scan = {bytes.at, bytes.at + bytes.len};
    uint64_t count, tag;

    err_t err = scan_array(&scan, &count);
    if (err) return err;
    if (count == 0) return ERR_WIRE_TYPE;
    err = take_uint(&scan, UINT64_MAX, &tag);
    if (err) return err;
    const message_t *message = message_find(tag);
    if (!message) return ERR_WIRE_UNKNOWN;
    if (count != message->field_count + 1) return ERR_WIRE_TYPE;

    lists_t lists;
    msg_t msg = {.tag = message->tag};
    lists.count = 0;
    for (size_t i = 0; i < message->field_count; i++) {
        err = take_field(&scan, &message->fields[i], &lists, &msg.body);
        if (err) return err;
    }
    err = make_lists(&lists, &msg);
    if (err) {
        free(msg.arena);
        return err;
    }
    *ret = msg;
    return ERR_OK;
}

err_t msg_next(bin_t *rest, msg_t *ret)
{
    size_t len;

    err_t err = scan_value(*rest, &len);
    if (!err && len > FRAME_BYTES_MAX) err = ERR_WIRE_LIMIT;
    if (!err) err = take_message((bin_t){rest->at, len}, ret);
    if (err) return err;
    *rest = (bin_t){rest->at + len, rest->len - len};
    return ERR_OK;
}

err_t msg_decode(bin_t frame, msg_t *ret)
{
    size_t len;

    if (frame.len > FRAME_BYTES_MAX) return ERR_WIRE_LIMIT;
    err_t err = scan_value(frame, &len);
    if (err) return err;
    return len == frame.len ? take_message(frame, ret) : ERR_WIRE_EXTRA;
}

uint64_t msg_peek(bin_t frame)
{
    if (frame.len == 0) return 0;

    scan_t scan = {frame.at, frame.at + frame.len};
    uint64_t count, tag;
    if (scan_array(&scan, &count) || take_uint(&scan, UINT64_MAX, &tag)) return 0;
    return tag;
}

void msg_clear(msg_t *msg)
{
    free(msg->arena);
    *msg = (msg_t){0};
}
