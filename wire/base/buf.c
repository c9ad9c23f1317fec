#include "wire/base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

enum { ROOM_FIRST = 256 };

err_t buf_add(buf_t *self, const void *at, size_t len)
{
    must(self->max > 0);
    if (len > self->max - self->len) return ERR_WIRE_LIMIT;
    if (len == 0) return ERR_OK;

    if (self->room - self->len < len) {
        size_t room = self->room ? self->room : ROOM_FIRST;
        while (room - self->len < len) room *= 2;
        uint8_t *grown = realloc(self->at, room);
        must(grown);
        self->at = grown;
        self->room = room;
    }
    memcpy(self->at + self->len, at, len);
    self->len += len;
    return ERR_OK;
}

void buf_clear(buf_t *self)
{
    free(self->at);
    *self = buf_of(self->max);
}
