/* Laws: what is checked can stand inside a larger body and is fine there; methargs are a body; a single
 * slot is one only alone; method names come out of the body; text that we write passes the check; each value
 * inside, cut out, is a body. */
#include <stdint.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/utf8.h"
#include "wire/smallcaps/smallcaps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const kref_t slots[] = {{(UINT64_C(3) << 40) + 7}, {(UINT64_C(1) << 63) + 9}, {5}};
static const krefs_t krefs = {slots, sizeof slots / sizeof *slots};

/* Array or record brackets that are not in a string; deep ones cannot be put inside another. */
static bool deep(bin_t body)
{
    size_t brackets = 0;
    for (size_t i = 0; i < body.len; i++) brackets += body.at[i] == '[' || body.at[i] == '{';
    return brackets >= BODY_DEPTH_MAX - 2;
}

/* BODY without its '#' between BEFORE and AFTER: is that fine? */
static err_t embed(const char *before, bin_t body, const char *after, shape_t shape)
{
    buf_t out = buf_of(FRAME_BYTES_MAX);

    must(buf_text(&out, before) == ERR_OK);
    must(buf_add(&out, body.at + 1, body.len - 1) == ERR_OK);
    must(buf_text(&out, after) == ERR_OK);
    capdata_t data = {{out.at, out.len}, krefs};
    err_t err = smallcaps_check(&data, shape);
    kref_t kref;
    must(!smallcaps_single_slot(&data, &kref));
    buf_clear(&out);
    return err;
}

static void check_written(text_t text)
{
    buf_t out = buf_of(FRAME_BYTES_MAX);

    must(buf_add(&out, "#", 1) == ERR_OK);
    must(smallcaps_string(&out, text) == ERR_OK);
    capdata_t data = {{out.at, out.len}, krefs};
    must(smallcaps_check(&data, SHAPE_ANY) == ERR_OK);
    kref_t kref;
    must(!smallcaps_single_slot(&data, &kref));
    buf_clear(&out);
}

/* NODE as a body of its own: fine, and of the same kind. */
static void check_cut(node_t node)
{
    static kref_t cut_slots[SLOTS_MAX];
    buf_t out = buf_of(FRAME_BYTES_MAX);
    size_t count = 0;

    must(node_cut(node, &out, cut_slots, &count) == ERR_OK);
    must(count <= krefs.count);
    capdata_t cut = {{out.at, out.len}, {cut_slots, count}};
    must(smallcaps_check(&cut, SHAPE_ANY) == ERR_OK);
    must(node_kind(node_root(&cut)) == node_kind(node));
    must(kref_same(node_slot(node_root(&cut)), node_slot(node)));
    buf_clear(&out);
}

/* What a value without brackets says of itself. */
static void check_plain(node_t node)
{
    buf_t out = buf_of(FRAME_BYTES_MAX);
    node_kind_t kind = node_kind(node);
    uint64_t whole = 0;
    bool flag;

    must(kind != NODE_NONE);
    must((node_text(node, &out) == ERR_OK) == (kind == NODE_TEXT || kind == NODE_SYMBOL));
    must(utf8_check(out.at, out.len));
    must(!node_whole(node, &whole) || kind == NODE_NUMBER || kind == NODE_BIGINT);
    must(whole <= INT64_MAX);
    must(node_bool(node, &flag) == (kind == NODE_BOOL));
    must(kref_none(node_slot(node)) != (kind == NODE_OBJECT || kind == NODE_PROMISE));
    buf_clear(&out);
}

/* All that is inside, as deep as a body may be; LEFT values of it are cut out. */
static void walk(node_t node, size_t *left)
{
    node_t child = {0}, name;
    node_kind_t kind = node_kind(node);
    size_t count = 0;

    check_plain(node);
    if (*left) {
        (*left)--;
        check_cut(node);
    }
    while (node_next(node, &child, &name)) {
        must(child.at > node.at && child.end < node.end);
        if (kind == NODE_RECORD) must(node_kind(name) == NODE_TEXT);
        if (kind == NODE_ARRAY && count < 8) must(node_item(node, count).at == child.at);
        walk(child, left);
        count++;
    }
    must(node_count(node) == count);
    if (kind == NODE_TAGGED) {
        must(node_kind(node_member(node, "#tag")) == NODE_TEXT);
        walk(node_member(node, "payload"), left);
    }
    if (kind == NODE_ERROR) {
        must(node_kind(node_member(node, "#error")) == NODE_TEXT);
        must(node_kind(node_member(node, "name")) == NODE_TEXT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bin_t body = {bytes, size};
    capdata_t data = {body, krefs};
    kref_t kref = {0};

    /* Readers stay inside whatever they are given. */
    bool single = smallcaps_single_slot(&data, &kref);
    text_t method = smallcaps_method(body);
    if (method.len) {
        must((const uint8_t *)method.at > bytes);
        must((const uint8_t *)method.at + method.len < bytes + size);
        must(utf8_check(method.at, method.len));
    }
    check_written((text_t){(const char *)bytes, size});

    bool methargs = smallcaps_check(&data, SHAPE_METHARGS) == ERR_OK;
    bool fine = smallcaps_check(&data, SHAPE_ANY) == ERR_OK;
    must(fine || !methargs);
    must(!single || kref_same(kref, slots[0]) || kref_same(kref, slots[1]) ||
         kref_same(kref, slots[2]));
    if (!fine) return 0;

    must(utf8_check(bytes, size));
    size_t cuts = 20;
    walk(node_root(&data), &cuts);
    if (deep(body)) return 0;
    must(embed("#[", body, "]", SHAPE_ANY) == ERR_OK);
    must(embed("#{\"a\":", body, "}", SHAPE_ANY) == ERR_OK);
    must(embed("#[\"m\",[", body, ",1]]", SHAPE_METHARGS) == ERR_OK);
    must(embed("#{\"#tag\":\"t\",\"payload\":", body, "}", SHAPE_ANY) == ERR_OK);
    must(embed("#[", body, "", SHAPE_ANY) == ERR_BODY_BROKEN);
    must(embed("#", body, ",", SHAPE_ANY) == ERR_BODY_BROKEN);
    return 0;
}
