#include "wire/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

enum { ROOM_FIRST = 256 };

/* Room for LEN bytes more, which may be more than MAX allows to be kept. */
static void grow(buf_t *self, size_t len)
{
    if (self->room - self->len >= len) return;
    size_t room = self->room ? self->room : ROOM_FIRST;
    while (room - self->len < len) room *= 2;
    uint8_t *grown = realloc(self->at, room);
    must(grown);
    self->at = grown;
    self->room = room;
}

err_t buf_add(buf_t *self, const void *at, size_t len)
{
    must(self->max > 0);
    if (len > self->max - self->len) return ERR_WIRE_LIMIT;
    if (len == 0) return ERR_OK;

    grow(self, len);
    memcpy(self->at + self->len, at, len);
    self->len += len;
    return ERR_OK;
}

err_t buf_text(buf_t *self, const char *text) { return buf_add(self, text, strlen(text)); }

err_t buf_print_list(buf_t *self, const char *format, va_list list)
{
    size_t left = self->room - self->len;
    va_list again;

    must(self->max > 0);
    va_copy(again, list);
    int len = vsnprintf(left ? (char *)self->at + self->len : NULL, left, format, again);
    va_end(again);
    must(len >= 0);
    if ((size_t)len > self->max - self->len) return ERR_WIRE_LIMIT;

    if ((size_t)len >= left) {
        grow(self, (size_t)len + 1); /* and a zero byte, which is not kept */
        must(vsnprintf((char *)self->at + self->len, (size_t)len + 1, format, list) == len);
    }
    self->len += (size_t)len;
    return ERR_OK;
}

err_t buf_print(buf_t *self, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    err_t err = buf_print_list(self, format, list);
    va_end(list);
    return err;
}

void buf_clear(buf_t *self)
{
    free(self->at);
    *self = buf_of(self->max);
}
