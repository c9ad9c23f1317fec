/* The little that the kernel reads of a message body, in one pass and without allocating, and the
 * few bodies that it writes itself. Everything else of a body is opaque.
 *
 * A body is '#' and JSON text as @endo/marshal's smallcaps encoding makes it (the grammar is in
 * wire/smallcaps/README.md). Slots are references by position: "$0.Alleged: purse", "&1". */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/schema/message.h"

typedef enum {
    SHAPE_ANY,
    SHAPE_METHARGS, /* an array of two: a method (string, symbol or "#undefined") and an array */
} shape_t;

/* Checks what a receiver's decoder will insist on: well-formed JSON, at most BODY_DEPTH_MAX deep,
 * valid UTF-8, no reserved string prefix, every "$i" and "&i" in range and of its slot's kind, SHAPE.
 * Fails with BODY_BROKEN, always the sender's fault. */
CHECKED err_t smallcaps_check(const capdata_t *data, shape_t shape);

/* Is the whole body exactly one slot? Then sets RET to that slot. The body was checked before. */
bool smallcaps_single_slot(const capdata_t *data, kref_t *ret);

/* The method name of checked methargs, for the text of an error: "foo", "@@asyncIterator" for a
 * symbol, "" for a function call. Borrows from the body, escapes left as they are. */
text_t smallcaps_method(bin_t methargs_body);

/* Appends the body of Error(TEXT): #{"#error":"TEXT","name":"Error"}. */
CHECKED err_t smallcaps_error(buf_t *out, const char *text);

/* Appends TEXT as a JSON string with its quotes, smallcaps prefix and escapes included. */
CHECKED err_t smallcaps_string(buf_t *out, text_t text);
