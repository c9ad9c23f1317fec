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

/* ---- reading: for the kernel's own services. The body was checked before. ----
 *
 * A node is a value inside a body: a place, nothing is built. Every function that is given another
 * kind of node than it asks for says no. */
typedef enum {
    NODE_NONE, /* there is no such value */
    NODE_UNDEFINED,
    NODE_NULL,
    NODE_BOOL,
    NODE_NUMBER, /* NaN and the infinities as well */
    NODE_BIGINT,
    NODE_TEXT,
    NODE_SYMBOL,
    NODE_OBJECT,  /* a slot */
    NODE_PROMISE, /* a slot */
    NODE_ARRAY,
    NODE_RECORD,
    NODE_TAGGED,
    NODE_ERROR,
} node_kind_t;

typedef struct {
    const capdata_t *data;   /* the whole, borrowed; NULL: NODE_NONE */
    const uint8_t *at, *end; /* its text */
} node_t;

node_t node_root(const capdata_t *data);
node_kind_t node_kind(node_t self);

/* Element I of an array, a record's property NAME (decoded, plain ASCII; written twice, the last one
 * counts, as for JSON.parse). A TAGGED has "#tag" and "payload", an ERROR "#error" and "name" and perhaps
 * "errorId". NODE_NONE when there is none. */
node_t node_item(node_t array, size_t i);
node_t node_member(node_t record, const char *name);

/* The child behind CHILD in an array or record; the first one for NODE_NONE. False: that was the last.
 * RET_NAME, if wanted: its property name as a node of kind TEXT. */
bool node_next(node_t parent, node_t *child, node_t *ret_name);

/* How many elements or properties. */
size_t node_count(node_t parent);

/* Appends the decoded characters of a text as UTF-8 (a lone surrogate as U+FFFD); of a symbol its
 * name as smallcaps_method() has it. Fails, and changes nothing, with WIRE_LIMIT when OUT is full, with
 * BODY_BROKEN when it is neither. */
CHECKED err_t node_text(node_t self, buf_t *out);

/* Is it exactly this text (plain ASCII)? */
bool node_is(node_t self, const char *text);

/* A number or bigint that is whole and 0 .. 2^63 - 1. */
bool node_whole(node_t self, uint64_t *ret);
bool node_bool(node_t self, bool *ret);

/* The reference of an OBJECT or PROMISE; none for anything else. */
kref_t node_slot(node_t self);

/* The value as capdata of its own: appends the body ('#' first) to BODY and its slots, numbered anew
 * in the order of their first mention, to SLOTS, which has room for SLOTS_MAX; sets RET_COUNT. The first
 * mention of an object keeps (or gets) the interface name that the whole gives it. Fails with WIRE_LIMIT,
 * and leaves BODY as it was, when BODY is full; with BODY_BROKEN for NODE_NONE. */
CHECKED err_t node_cut(node_t self, buf_t *body, kref_t *slots, size_t *ret_count);
