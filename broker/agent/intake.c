#include "broker/agent/intake.h"

#include <stdlib.h>
#include <string.h>

#include "broker/agent/base64.h"
#include "wire/base/must.h"
#include "wire/base/utf8.h"

enum { ROOM_FIRST = 4096, ROOM_KEPT = 64 * 1024 };

void intake_clear(intake_t *self)
{
    free(self->at);
    *self = (intake_t){0};
}

void intake_reset(intake_t *self)
{
    self->from = self->to = self->seen = 0;
    self->ended = false;
}

static size_t waiting(const intake_t *self) { return self->to - self->from; }

/* Is it worth moving what waits to the front? Not for every little line that was read. */
static bool movable(const intake_t *self)
{
    return self->from && (self->from >= self->room / 2 || self->seen == waiting(self));
}

bool intake_full(const intake_t *self) { return self->to == INTAKE_BYTES_MAX && !movable(self); }

uint8_t *intake_space(intake_t *self, size_t *ret_len)
{
    if (self->to == self->room && movable(self)) {
        memmove(self->at, self->at + self->from, waiting(self));
        self->to = waiting(self);
        self->from = 0;
    } else if (self->to == self->room && self->room < INTAKE_BYTES_MAX) {
        self->room = self->room ? 2 * self->room : ROOM_FIRST;
        self->at = realloc(self->at, self->room);
        must(self->at);
    }
    *ret_len = self->room - self->to;
    return self->at + self->to;
}

void intake_filled(intake_t *self, size_t len)
{
    must(len <= self->room - self->to);
    self->to += len;
}

/* How many of the LEFT bytes at AT are what is left of one character that is broken, or not all here:
 * then RET_SHORT is set. */
static size_t broken_len(const uint8_t *at, size_t left, bool *ret_short)
{
    uint8_t probe[4], head = at[0];
    size_t want = head >= 0xf0 ? 4 : head >= 0xe0 ? 3 : 2, len = 1;

    *ret_short = false;
    if (head < 0xc2 || head > 0xf4) return 1;
    probe[0] = head;
    for (; len < want; len++) {
        if (len == left) {
            *ret_short = true;
            return len;
        }
        /* Would it be one if the rest were right? */
        memset(probe + len, 0x80, sizeof probe - len);
        probe[len] = at[len];
        if (!utf8_len(probe, want)) return len;
    }
    return len;
}

/* Appends the LEN bytes at AT. WHOLE: a character that is not all here stays. Returns how many bytes
 * were used. */
static size_t add_text(const uint8_t *at, size_t len, bool whole, buf_t *out)
{
    size_t i = 0;
    while (i < len) {
        size_t good = i, step;
        while (good < len && (step = utf8_len(at + good, len - good))) good += step;
        must(buf_add(out, at + i, good - i) == ERR_OK);
        i = good;
        if (i == len) break;
        bool cut = false;
        step = broken_len(at + i, len - i, &cut);
        if (cut && whole) break;
        must(buf_add(out, "\xef\xbf\xbd", 3) == ERR_OK);
        i += step;
    }
    return i;
}

static void used(intake_t *self, size_t len)
{
    self->from += len;
    self->seen = 0;
    if (self->from < self->to) return;
    self->from = self->to = 0;
    if (self->room <= ROOM_KEPT) return;
    free(self->at);
    self->at = NULL;
    self->room = 0;
}

static bool take_line(intake_t *self, buf_t *out)
{
    const uint8_t *at = self->at + self->from;
    size_t len = waiting(self);
    const uint8_t *end = len > self->seen ? memchr(at + self->seen, '\n', len - self->seen) : NULL;

    if (end) {
        add_text(at, (size_t)(end - at), false, out);
        used(self, (size_t)(end - at) + 1);
        return true;
    }
    self->seen = len;
    if (!self->ended && len < INTAKE_BYTES_MAX) return false;
    used(self, add_text(at, len, !self->ended, out));
    return true;
}

static bool take_string(intake_t *self, buf_t *out)
{
    size_t len = add_text(self->at + self->from, waiting(self), !self->ended, out);
    used(self, len);
    return len > 0;
}

static bool take_bytes(intake_t *self, buf_t *out)
{
    must(base64_add(out, (bin_t){self->at + self->from, waiting(self)}) == ERR_OK);
    used(self, waiting(self));
    return true;
}

bool intake_take(intake_t *self, unit_t unit, buf_t *out)
{
    if (waiting(self) == 0) return false;
    switch (unit) {
    case UNIT_LINE: return take_line(self, out);
    case UNIT_STRING:
    case UNIT_CHARS: return take_string(self, out);
    case UNIT_BYTES: return take_bytes(self, out);
    case UNITS: break;
    }
    return false;
}
