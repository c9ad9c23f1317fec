/* What a server says, as the vat gets it: a record {body, headers, redirected, status, statusText, url}. Pure. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/bytes.h"

enum {
    ANSWER_BODY_BYTES_MAX = 7 * 1000 * 1000, /* as base64, with headers, it fits into a message */
    ANSWER_HEADERS_MAX = 1000,
    ANSWER_HEADER_BYTES_MAX = 64 * 1024, /* all together */
};

/* All zero: nothing was said yet. */
typedef struct {
    long status;
    char *status_text;
    buf_t names, body; /* NAMES: name, NUL, value, NUL of each header, in UTF-8 */
    size_t header_count, header_bytes;
    bool too_large; /* more than the limits allow */
    bool ended;     /* the headers are complete: what follows the body is none of them */
} answer_t;

void answer_clear(answer_t *self);

/* One line as it came. A status line begins anew: what was before was only a promise. False: too large. */
bool answer_header(answer_t *self, text_t line);

/* A piece of the body. False: too large. */
bool answer_body(answer_t *self, bin_t piece);

/* Is it a redirection that says where to? */
bool answer_moves(const answer_t *self);

/* Copies that place, as the server wrote it. False: there is none, or no room. */
bool answer_location(const answer_t *self, char *out, size_t room);

/* Appends the record as a smallcaps body. Fails with WIRE_LIMIT. */
CHECKED err_t answer_value(const answer_t *self, const char *url, bool redirected, buf_t *out);
