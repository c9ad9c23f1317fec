/* A small HTTP server for what others may read: GET and HEAD, one handler, no files, no state. The only user of
 * civetweb.
 *
 *   W1  a request whose Host is not ours is refused: a page in a browser that has its own name point to this address
 *       (DNS rebinding) reads nothing. Ours are addresses, localhost, this machine's name, and names that were given;
 *   W2  one request is answered at a time; others wait, a few of them. What can be answered without asking anybody does not wait;
 *   W3  a request has to come within two seconds, and 32 may be on their way. Whoever opens connections faster than
 *       they end keeps others out: it is for networks where nobody does. */
#pragma once
#include <stdbool.h>

#include "cli/fail.h"
#include "wire/base/buf.h"

enum { HTTP_NAMES_MAX = 16, HTTP_BODY_BYTES_MAX = 4 * 1024 * 1024 };

typedef struct {
    int status; /* 200, ... */
    const char *type;
    buf_t body;
} http_answer_t;

/* Answers a request for PATH. */
typedef void http_handler_t(void *context, const char *path, http_answer_t *answer);

/* Answers it at once, if that needs nobody else: called by several threads at a time. False: it is none of those. */
typedef bool http_at_once_t(const char *path, http_answer_t *answer);

typedef struct {
    const char *
        listen; /* "ADDRESS:PORT", "PORT" (of 127.0.0.1) or "ADDRESS" (port HTTP_PORT); port 0: a free one */
    const char *names[HTTP_NAMES_MAX]; /* Host names besides; NULL behind the last one */
    http_at_once_t *at_once;           /* NULL: there is nothing of that kind */
    http_handler_t *handle;
    void *context;
} http_options_t;

enum { HTTP_PORT = 7612 };

typedef struct http http_t;

/* Listens, and answers from threads of its own until http_destroy(). Fails with BAD_VALUE (what `listen` says, or it is IPv6 and civetweb has none, as Debian's) and
 * ADDRESS_IN_USE. */
http_t *http_new(const http_options_t *options, fail_t *f);
void http_destroy(http_t **self_p);

/* "http://127.0.0.1:7612" */
const char *http_url(const http_t *self);

/* Whether HOST, as the header has it, is ours. NAMES as above; MACHINE: this machine's name. */
bool http_host_is_ours(const char *host, const char *const *names, const char *machine);
