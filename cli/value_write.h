/* Pieces of a smallcaps body: for value_read.c, which makes them of literals, and for parameters. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/bytes.h"

/* A string value or a key: what begins like an encoding gets a '!' before it. */
CHECKED err_t body_put_string(buf_t *out, text_t text);
/* Any number; the encoding drops the sign of -0. */
CHECKED err_t body_put_number(buf_t *out, double number);

/* A record whose entries come in any order and leave in JavaScript's. */
typedef struct {
    char *key;
    size_t key_len;
    buf_t value;
} entry_t;

typedef struct {
    entry_t *at;
    size_t count;
} record_t;

/* A new entry with an empty value, valid until the next one. */
entry_t *record_add(record_t *record, text_t key);
CHECKED err_t record_put(record_t *record, buf_t *out);
void record_clear(record_t *record);
