/* Growing bytes with a maximum that is mandatory at birth: no peer can make one grow without end.
 *
 * A buf_t lives in its owner (on the stack, in a struct); buf_clear() gives its memory back. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/err.h"

typedef struct {
    uint8_t *at;
    size_t len, room, max;
} buf_t;

/* An empty buffer that will hold at most MAX bytes. Takes no memory yet. */
static inline buf_t buf_of(size_t max) { return (buf_t){NULL, 0, 0, max}; }

/* Appends LEN bytes. Fails with WIRE_LIMIT, and changes nothing, when MAX would be passed. */
CHECKED err_t buf_add(buf_t *self, const void *at, size_t len);

/* The same for TEXT up to its end, and for what printf() would print; neither adds a zero byte. A FORMAT that
 * cannot be printed is our own mistake. */
CHECKED err_t buf_text(buf_t *self, const char *text);
CHECKED err_t buf_print(buf_t *self, const char *format, ...) LIKE_PRINTF(2);
CHECKED err_t buf_print_list(buf_t *self, const char *format, va_list list);

/* Forgets the contents, keeps the memory. */
static inline void buf_reset(buf_t *self) { self->len = 0; }

/* Frees the memory; the buffer is empty and usable again. */
void buf_clear(buf_t *self);
