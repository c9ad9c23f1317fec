/* Laws: what is checked can stand inside a larger body and is fine there; methargs are a body; a single
 * slot is one only alone; method names come out of the body; text that we write passes the check. */
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

    must(buf_add(&out, before, strlen(before)) == ERR_OK);
    must(buf_add(&out, body.at + 1, body.len - 1) == ERR_OK);
    must(buf_add(&out, after, strlen(after)) == ERR_OK);
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
    if (deep(body)) return 0;
    must(embed("#[", body, "]", SHAPE_ANY) == ERR_OK);
    must(embed("#{\"a\":", body, "}", SHAPE_ANY) == ERR_OK);
    must(embed("#[\"m\",[", body, ",1]]", SHAPE_METHARGS) == ERR_OK);
    must(embed("#{\"#tag\":\"t\",\"payload\":", body, "}", SHAPE_ANY) == ERR_OK);
    must(embed("#[", body, "", SHAPE_ANY) == ERR_BODY_BROKEN);
    must(embed("#", body, ",", SHAPE_ANY) == ERR_BODY_BROKEN);
    return 0;
}
