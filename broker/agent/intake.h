/* What has arrived on an IO channel and was not read yet, cut into units.
 *
 *   line    up to a newline, without it; the rest at the end; a longer one than INTAKE_BYTES_MAX comes in pieces
 *   string  all that is here, in whole characters
 *   chars   the same
 *   bytes   all that is here, as base64
 *
 * Texts are UTF-8; what is none becomes U+FFFD. Pure. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/bytes.h"

/* The numbers are those of AGENT_OPEN. */
typedef enum { UNIT_LINE, UNIT_STRING, UNIT_CHARS, UNIT_BYTES, UNITS } unit_t;

enum {
    /* What waits to be read. A sender that is faster than the reader is paused here. */
    INTAKE_BYTES_MAX = 1024 * 1024,

    /* A unit as text: U+FFFD is three bytes. */
    INTAKE_UNIT_BYTES_MAX = 3 * INTAKE_BYTES_MAX,
};

/* All zero: nothing has arrived. */
typedef struct {
    uint8_t *at;
    size_t from, to, room;
    size_t seen; /* bytes from FROM on that hold no newline */
    bool ended;  /* no more comes: what is left is a unit */
} intake_t;

void intake_clear(intake_t *self);

/* Forgets what is there: something else begins. Keeps the memory. */
void intake_reset(intake_t *self);

/* No more may be put in before something was taken. */
bool intake_full(const intake_t *self);

/* Where up to RET_LEN more bytes may be put. */
uint8_t *intake_space(intake_t *self, size_t *ret_len);
void intake_filled(intake_t *self, size_t len);

/* Appends the next unit to OUT, which has room for it. False: none is whole yet. */
bool intake_take(intake_t *self, unit_t unit, buf_t *out);
