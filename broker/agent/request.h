/* What a vat wants fetched, as it says it: {method, url, headers: [[name, value], ...], body: base64 or
 * undefined, redirect: 'follow' | 'error' | 'manual'}; all but `url` may be missing. Pure. */
#pragma once
#include "wire/smallcaps/smallcaps.h"

enum {
    REQUEST_HEADERS_MAX = 1000,
    REQUEST_HEADER_BYTES_MAX = 64 * 1024, /* all together */
    REQUEST_URL_BYTES_MAX = 64 * 1024,
    REQUEST_METHOD_BYTES_MAX = 32,
};

typedef enum { REDIRECT_FOLLOW, REDIRECT_ERROR, REDIRECT_MANUAL } redirect_t;

typedef struct {
    char *name; /* lower case */
    char *line; /* as it stands in a request */
} header_t;

typedef struct {
    char method[REQUEST_METHOD_BYTES_MAX + 1];
    char *url;
    header_t *headers;
    size_t header_count;
    buf_t body;
    bool has_body;
    redirect_t redirect;
} request_t;

/* Reads ARGUMENTS, the array that AGENT_ASK carries. NULL: RET is the caller's to clear. Otherwise what is
 * wrong with it, and RET is empty.
 *
 * Headers that are about the connection are left out, as the Fetch standard does: HTTP says them itself. */
const char *request_read(node_t arguments, request_t *ret);
void request_clear(request_t *self);

/* The header NAME (lower case), NULL when there is none. */
const header_t *request_header(const request_t *self, const char *name);

/* Makes it what the Fetch standard sends after a redirection with STATUS: to the same ORIGIN, or to another
 * one, which does not get what was meant for the first. */
void request_redirect(request_t *self, long status, bool same_origin);

/* Whether HOSTS, names separated by spaces, has exactly HOST. */
bool hosts_have(text_t hosts, const char *host);
