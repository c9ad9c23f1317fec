/* Fills messages from a seed, compares them, and writes their frames with a second, naive encoder
 * that knows no limits: what wire/codec is tested against. */
#pragma once
#include "wire/codec/codec.h"

typedef struct fill fill_t;

/* Everything made with it lives until fill_destroy(). */
fill_t *fill_new(uint64_t seed);
void fill_destroy(fill_t **self_p);

uint64_t fill_number(fill_t *self);

/* Random contents of moderate size for every field. */
void fill_message(fill_t *self, const message_t *message, msg_body_t *ret);

/* Makes one field COUNT long: bytes of a text, bin or body, elements of a list. */
void fill_long(fill_t *self, const field_t *field, size_t count, msg_body_t *ret);

/* Are the two values of this kind equal? */
bool fill_same(kind_t kind, const void *a, const void *b);

/* The frame as wire/README.md describes it, without any check; OUT must be large enough. */
void fill_frame(const message_t *message, const msg_body_t *body, buf_t *out);
