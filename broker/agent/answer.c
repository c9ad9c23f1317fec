#include "broker/agent/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/agent/base64.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

enum { NAMES_BYTES_ROOM = 2 * ANSWER_HEADER_BYTES_MAX + 2 * ANSWER_HEADERS_MAX };

void answer_clear(answer_t *self)
{
    free(self->status_text);
    buf_clear(&self->names);
    buf_clear(&self->body);
    *self = (answer_t){0};
}

static text_t trimmed(text_t text)
{
    while (text.len && strchr(" \t\r\n", text.at[text.len - 1])) text.len--;
    while (text.len && strchr(" \t", text.at[0])) text = (text_t){text.at + 1, text.len - 1};
    return text;
}

/* Appends TEXT, whose bytes are characters, as UTF-8 and a NUL. */
static bool add_wide(buf_t *out, text_t text, bool lower)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < text.len && !err; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (lower && c >= 'A' && c <= 'Z') c = (unsigned char)(c | 0x20);
        const unsigned char two[2] = {(unsigned char)(0xc0 | c >> 6),
                                      (unsigned char)(0x80 | (c & 0x3f))};
        err = c < 0x80 ? buf_add(out, &c, 1) : buf_add(out, two, 2);
    }
    return !err && buf_add(out, "", 1) == ERR_OK;
}

/* HTTP/1.1 200 OK */
static void read_status(answer_t *self, text_t line)
{
    const char *space = memchr(line.at, ' ', line.len);
    buf_t words = buf_of(NAMES_BYTES_ROOM);

    answer_clear(self);
    if (!space) return;
    text_t rest = trimmed((text_t){space, line.len - (size_t)(space - line.at)});
    size_t digits = 0;
    for (; digits < 3 && digits < rest.len; digits++) {
        if (rest.at[digits] < '0' || rest.at[digits] > '9') break;
        self->status = self->status * 10 + rest.at[digits] - '0';
    }
    text_t why = trimmed((text_t){rest.at + digits, rest.len - digits});
    if (add_wide(&words, why, false))
        self->status_text = (char *)words.at;
    else
        buf_clear(&words);
}

static bool add_header(answer_t *self, text_t line)
{
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon || memchr(line.at, 0, line.len)) return true; /* no header: curl is as patient */
    text_t name = trimmed((text_t){line.at, (size_t)(colon - line.at)});
    text_t value = trimmed((text_t){colon + 1, line.len - (size_t)(colon + 1 - line.at)});
    self->names.max = NAMES_BYTES_ROOM;
    self->header_count++;
    return self->header_count <= ANSWER_HEADERS_MAX && add_wide(&self->names, name, true) &&
           add_wide(&self->names, value, false);
}

bool answer_header(answer_t *self, text_t line)
{
    if (line.len >= 5 && memcmp(line.at, "HTTP/", 5) == 0) {
        if (line.len > ANSWER_HEADER_BYTES_MAX)
            self->too_large = true;
        else
            read_status(self, line);
    } else if (trimmed(line).len == 0) {
        self->ended = true;
    } else if (!self->ended) {
        self->header_bytes += line.len;
        if (self->header_bytes > ANSWER_HEADER_BYTES_MAX || !add_header(self, line))
            self->too_large = true;
    }
    return !self->too_large;
}

bool answer_body(answer_t *self, bin_t piece)
{
    self->body.max = ANSWER_BODY_BYTES_MAX;
    if (buf_add(&self->body, piece.at, piece.len)) self->too_large = true;
    return !self->too_large;
}

/* ---- what it says ---- */

/* The next header from *AT on; false: there is none. */
static bool next_header(const answer_t *self, size_t *at, const char **ret_name,
                        const char **ret_value)
{
    if (*at >= self->names.len) return false;
    *ret_name = (const char *)self->names.at + *at;
    *ret_value = *ret_name + strlen(*ret_name) + 1;
    *at = (size_t)(*ret_value + strlen(*ret_value) + 1 - (const char *)self->names.at);
    return true;
}

static const char *location(const answer_t *self)
{
    const char *name, *value;
    for (size_t at = 0; next_header(self, &at, &name, &value);) {
        if (strcmp(name, "location") == 0) return value;
    }
    return NULL;
}

bool answer_moves(const answer_t *self)
{
    bool moves = self->status == 301 || self->status == 302 || self->status == 303 ||
                 self->status == 307 || self->status == 308;
    return moves && self->ended && location(self);
}

bool answer_location(const answer_t *self, char *out, size_t room)
{
    const char *value = location(self);
    int len = value ? snprintf(out, room, "%s", value) : -1;
    return len > 0 && (size_t)len < room;
}

static err_t add_pair(buf_t *out, const char *name, const char *value, bool first)
{
    err_t err = buf_text(out, first ? "[" : ",[");
    if (!err) err = smallcaps_string(out, text_of(name));
    if (!err) err = buf_text(out, ",");
    if (!err) err = smallcaps_string(out, text_of(value));
    return err ? err : buf_text(out, "]");
}

static err_t add_body(const answer_t *self, buf_t *out)
{
    buf_t text = buf_of(CAPDATA_BYTES_MAX);
    must(base64_add(&text, (bin_t){self->body.at, self->body.len}) == ERR_OK);
    err_t err = smallcaps_string(out, (text_t){(const char *)text.at, text.len});
    buf_clear(&text);
    return err;
}

err_t answer_value(const answer_t *self, const char *url, bool redirected, buf_t *out)
{
    const char *name, *value;

    err_t err = buf_text(out, "#{\"body\":");
    if (!err) err = add_body(self, out);
    if (!err) err = buf_text(out, ",\"headers\":[");
    for (size_t at = 0; !err && at < self->names.len;) {
        bool first = at == 0;
        next_header(self, &at, &name, &value);
        err = add_pair(out, name, value, first);
    }
    if (!err)
        err = buf_print(out, "],\"redirected\":%s,\"status\":%ld,\"statusText\":",
                        redirected ? "true" : "false", self->status);
    if (!err) err = smallcaps_string(out, text_of(self->status_text ? self->status_text : ""));
    if (!err) err = buf_text(out, ",\"url\":");
    if (!err) err = smallcaps_string(out, text_of(url));
    return err ? err : buf_text(out, "}");
}
