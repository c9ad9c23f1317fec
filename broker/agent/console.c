#include "broker/agent/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/must.h"

typedef struct {
    const void *channel;
    unit_t unit;
    uint64_t errand;
} asked_t;

struct console {
    int fd;
    const told_t *told;
    intake_t in;
    buf_t text;
    asked_t *asked;
    size_t count, room;
};

console_t *console_new(int fd, const told_t *told)
{
    console_t *self = calloc(1, sizeof *self);
    must(self);
    self->fd = fd;
    self->told = told;
    self->text = buf_of(INTAKE_UNIT_BYTES_MAX);
    return self;
}

void console_destroy(console_t **self_p)
{
    console_t *self = *self_p;
    if (!self) return;
    intake_clear(&self->in);
    buf_clear(&self->text);
    free(self->asked);
    free(self);
    *self_p = NULL;
}

static void remove_at(console_t *self, size_t i)
{
    self->count--;
    memmove(self->asked + i, self->asked + i + 1, (self->count - i) * sizeof *self->asked);
}

static void serve(console_t *self)
{
    while (self->count) {
        buf_reset(&self->text);
        if (intake_take(&self->in, self->asked[0].unit, &self->text)) {
            told_text(self->told, self->asked[0].errand,
                      (text_t){(const char *)self->text.at, self->text.len});
        } else if (self->in.ended) {
            told_null(self->told, self->asked[0].errand);
        } else {
            return;
        }
        remove_at(self, 0);
    }
}

void console_read(console_t *self, const void *channel, unit_t unit, uint64_t errand)
{
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 8;
        self->asked = reallocarray(self->asked, self->room, sizeof *self->asked);
        must(self->asked);
    }
    self->asked[self->count++] = (asked_t){channel, unit, errand};
    serve(self);
}

void console_leave(console_t *self, const void *channel)
{
    for (size_t i = 0; i < self->count;) {
        if (self->asked[i].channel != channel) {
            i++;
            continue;
        }
        told_null(self->told, self->asked[i].errand);
        remove_at(self, i);
    }
}

bool console_wants(const console_t *self, struct pollfd *ret)
{
    if (!self->count || self->in.ended || intake_full(&self->in)) return false;
    *ret = (struct pollfd){self->fd, POLLIN, 0};
    return true;
}

/* Something can be read, so this does not wait. In the background a terminal says EIO: nothing comes. */
void console_polled(console_t *self)
{
    size_t room;
    uint8_t *at = intake_space(&self->in, &room);
    ssize_t got = read(self->fd, at, room);
    if (got > 0)
        intake_filled(&self->in, (size_t)got);
    else if (got == 0 || (errno != EINTR && errno != EAGAIN))
        self->in.ended = true;
    serve(self);
}
