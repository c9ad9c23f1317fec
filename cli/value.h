/* Values that pass between vats, as people write and read them (the table is in cli/README.md).
 *
 *   P1  a literal is never guessed at: a bare word is an error, not a string and not a name;
 *   P2  what cannot be shown exactly is shown so that it cannot be taken for something else. */
#pragma once
#include <jansson.h>

#include "cli/fail.h"
#include "wire/base/buf.h"
#include "wire/schema/message.h"

/* Message under construction: its body and the references that it mentions. */
typedef struct {
    buf_t body;
    kref_t *slots;
    size_t slot_count;
} value_t;

/* An empty value; value_clear() gives its memory back. */
value_t value_of(void);
void value_clear(value_t *self);
capdata_t value_capdata(const value_t *self);
/* A copy of DATA. */
value_t value_copy(const capdata_t *data);

/* Which of SELF's references KREF is; it becomes one of them when it was none. Fails with WIRE_LIMIT. */
CHECKED err_t value_slot(value_t *self, kref_t kref, size_t *ret);
/* Appends to OUT, which becomes a part of SELF's body, BODY (without '#'), in which references are by
 * position in SLOTS; in OUT they are by position in SELF's. BODY may be a piece of a body that begins and
 * ends outside of strings. Fails with WIRE_LIMIT, and with BODY_BROKEN when a reference is not in SLOTS. */
CHECKED err_t value_add(value_t *self, buf_t *out, bin_t body, krefs_t slots);

/* Finds the object that NAME (without '@': "alice" or "shop/alice") stands for. */
typedef struct {
    err_t (*find)(void *context, const char *name, kref_t *ret, fail_t *f);
    void *context;
} names_t;

/* Makes "#[method,[argument...]]" from COUNT literals. Fails with BARE_WORD, VALUE_LITERAL,
 * BYTES_UNSUPPORTED, or as NAMES does. METHOD may be Symbol.asyncIterator or Symbol.for("x"). */
CHECKED err_t value_methargs(value_t *self, const char *method, char *const *arguments,
                             size_t count, const names_t *names, fail_t *f);

/* Appends to OUT the smallcaps encoding of the JSON value VALUE, without '#'. */
CHECKED err_t value_add_json(buf_t *out, const json_t *value);

/* Appends to OUT what people read: 42n, <ko44 Alleged: Mint>, TypeError: m. Of a body that is not
 * smallcaps, the body itself. */
CHECKED err_t value_show(buf_t *out, const capdata_t *data);

/* Appends to OUT a literal that reads back as the value: objects as ko3.7, without their interface;
 * an error whose name has no literal as Error. Fails with BODY_BROKEN when the body is not smallcaps. */
CHECKED err_t value_literal(buf_t *out, const capdata_t *data);

/* Calls EACH for every mention of a reference in DATA, in no order; IFACE is "Alleged: Mint", or NULL. */
void value_slots(const capdata_t *data, void (*each)(void *context, kref_t kref, const char *iface),
                 void *context);

/* The same as a JSON value: "42n", "<ko44> (Alleged: Mint)", "[TypeError: m]". Never NULL. */
json_t *value_json(const capdata_t *data);

/* {"body":...,"slots":[...]}. Never NULL. */
json_t *value_raw(const capdata_t *data);

/* Appends to OUT why a vat ended: a text, or the body of the value it gave to exitVat. */
CHECKED err_t value_show_reason(buf_t *out, text_t reason);
