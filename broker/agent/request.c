#define _GNU_SOURCE /* asprintf */
#include "broker/agent/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/agent/base64.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

/* ---- texts ---- */

/* Appends the decoded text of NODE and a NUL. False: it is no text, too long, or has a NUL inside. */
static bool read_text(node_t node, buf_t *out)
{
    size_t before = out->len;
    return node_kind(node) == NODE_TEXT && node_text(node, out) == ERR_OK &&
           buf_add(out, "", 1) == ERR_OK && !memchr(out->at + before, 0, out->len - 1 - before);
}

/* The same in memory of its own, at most MAX bytes; NULL. */
static char *take_text(node_t node, size_t max)
{
    buf_t text = buf_of(max + 1);
    if (read_text(node, &text)) return (char *)text.at;
    buf_clear(&text);
    return NULL;
}

/* A token of HTTP: names of headers and methods. */
static bool token(const char *text)
{
    static const char letters[] = "!#$%&'*+-.^_`|~0123456789"
                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return *text && text[strspn(text, letters)] == '\0';
}

/* Characters up to U+00FF become one byte each. False: there are others, or a line end. */
static bool narrow(char *text)
{
    char *to = text;
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        unsigned c = *at;
        if (c == '\r' || c == '\n' || c > 0xc3) return false;
        if (c >= 0xc2) c = (c & 3) << 6 | (*++at & 0x3f);
        *to++ = (char)c;
    }
    *to = '\0';
    return true;
}

/* ---- headers ---- */

/* What HTTP itself says, or the Fetch standard forbids because it is about the connection. */
static bool left_out(const char *name)
{
    static const char *const names[] = {"accept-encoding",
                                        "connection",
                                        "content-length",
                                        "expect",
                                        "host",
                                        "keep-alive",
                                        "te",
                                        "trailer",
                                        "transfer-encoding",
                                        "upgrade",
                                        "via"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) return true;
    }
    return strncmp(name, "proxy-", 6) == 0;
}

/* A header without a value is written `name;`: what curl wants for it. */
static char *header_line(const char *name, const char *value)
{
    char *line = NULL;
    value += strspn(value, " \t");
    int len = *value ? asprintf(&line, "%s: %s", name, value) : asprintf(&line, "%s;", name);
    must(len > 0);
    return line;
}

static void header_clear(header_t *header)
{
    free(header->name);
    free(header->line);
}

/* False: PAIR is no header. */
static bool read_header(request_t *self, node_t pair, size_t *bytes)
{
    char *name = take_text(node_item(pair, 0), REQUEST_HEADER_BYTES_MAX);
    char *value = take_text(node_item(pair, 1), REQUEST_HEADER_BYTES_MAX);
    bool good = name && value && token(name) && narrow(value) && node_count(pair) == 2;

    if (good) {
        for (char *c = name; *c; c++) {
            if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 0x20);
        }
        *bytes += strlen(name) + strlen(value);
        if (!left_out(name)) {
            header_t *header = &self->headers[self->header_count++];
            *header = (header_t){name, header_line(name, value)};
            name = NULL;
        }
    }
    free(name);
    free(value);
    return good && *bytes <= REQUEST_HEADER_BYTES_MAX;
}

static const char *read_headers(request_t *self, node_t headers)
{
    size_t count = node_count(headers), bytes = 0;
    node_t pair = {0};

    if (node_kind(headers) == NODE_NONE || node_kind(headers) == NODE_UNDEFINED) return NULL;
    if (node_kind(headers) != NODE_ARRAY) return "headers are pairs of names and values";
    if (count > REQUEST_HEADERS_MAX) return "too many headers";
    self->headers = calloc(count + 1, sizeof *self->headers);
    must(self->headers);
    while (node_next(headers, &pair, NULL)) {
        if (!read_header(self, pair, &bytes)) return "a header is not one, or too long";
    }
    return NULL;
}

const header_t *request_header(const request_t *self, const char *name)
{
    for (size_t i = 0; i < self->header_count; i++) {
        if (strcmp(self->headers[i].name, name) == 0) return &self->headers[i];
    }
    return NULL;
}

static void remove_header(request_t *self, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->header_count; i++) {
        if (strcmp(self->headers[i].name, name) == 0)
            header_clear(&self->headers[i]);
        else
            self->headers[kept++] = self->headers[i];
    }
    self->header_count = kept;
}

/* ---- the rest ---- */

static const char *read_method(request_t *self, node_t method)
{
    static const char *const usual[] = {"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"};
    static const char *const refused[] = {"CONNECT", "TRACE", "TRACK"};

    strcpy(self->method, "GET");
    if (node_kind(method) == NODE_NONE || node_kind(method) == NODE_UNDEFINED) return NULL;
    char *text = take_text(method, REQUEST_METHOD_BYTES_MAX);
    bool good = text && token(text);
    if (good) strcpy(self->method, text);
    free(text);
    if (!good) return "the method is not one";
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (strcasecmp(self->method, usual[i]) == 0) strcpy(self->method, usual[i]);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (strcasecmp(self->method, refused[i]) == 0) return "this method is not allowed";
    }
    return NULL;
}

static const char *read_body(request_t *self, node_t body)
{
    buf_t text = buf_of(CAPDATA_BYTES_MAX);

    self->body = buf_of(CAPDATA_BYTES_MAX);
    if (node_kind(body) == NODE_NONE || node_kind(body) == NODE_UNDEFINED) return NULL;
    bool good = node_kind(body) == NODE_TEXT && node_text(body, &text) == ERR_OK &&
                base64_read(&self->body, (text_t){(const char *)text.at, text.len}) == ERR_OK;
    buf_clear(&text);
    self->has_body = good;
    if (!good) return "the body is not base64";
    bool bare = strcmp(self->method, "GET") == 0 || strcmp(self->method, "HEAD") == 0;
    return bare ? "GET and HEAD have no body" : NULL;
}

static const char *read_redirect(request_t *self, node_t redirect)
{
    static const char *const words[] = {"follow", "error", "manual"};

    self->redirect = REDIRECT_FOLLOW;
    if (node_kind(redirect) == NODE_NONE || node_kind(redirect) == NODE_UNDEFINED) return NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        self->redirect = (redirect_t)i;
        if (node_is(redirect, words[i])) return NULL;
    }
    return "redirect is follow, error or manual";
}

const char *request_read(node_t arguments, request_t *ret)
{
    node_t request = node_item(arguments, 0);
    const char *wrong = NULL;

    *ret = (request_t){.method = ""};
    if (node_kind(request) != NODE_RECORD) return "a request is a record";
    ret->url = take_text(node_member(request, "url"), REQUEST_URL_BYTES_MAX);
    if (!ret->url) wrong = "the URL is not a text, or too long";
    if (!wrong) wrong = read_method(ret, node_member(request, "method"));
    if (!wrong) wrong = read_headers(ret, node_member(request, "headers"));
    if (!wrong) wrong = read_body(ret, node_member(request, "body"));
    if (!wrong) wrong = read_redirect(ret, node_member(request, "redirect"));
    if (wrong) request_clear(ret);
    return wrong;
}

void request_clear(request_t *self)
{
    for (size_t i = 0; i < self->header_count; i++) header_clear(&self->headers[i]);
    free(self->headers);
    free(self->url);
    buf_clear(&self->body);
    *self = (request_t){.method = ""};
}

void request_redirect(request_t *self, long status, bool same_origin)
{
    static const char *const about_body[] = {"content-encoding", "content-language",
                                             "content-location", "content-type"};
    static const char *const secret[] = {"authorization", "cookie"};
    bool get = strcmp(self->method, "GET") == 0 || strcmp(self->method, "HEAD") == 0;
    bool post = strcmp(self->method, "POST") == 0;

    if ((status == 303 && !get) || ((status == 301 || status == 302) && post)) {
        strcpy(self->method, "GET");
        self->has_body = false;
        buf_clear(&self->body);
        for (size_t i = 0; i < sizeof about_body / sizeof *about_body; i++) {
            remove_header(self, about_body[i]);
        }
    }
    if (same_origin) return;
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) remove_header(self, secret[i]);
}

bool hosts_have(text_t hosts, const char *host)
{
    size_t want = strlen(host);
    for (size_t i = 0; want && i < hosts.len;) {
        size_t end = i;
        while (end < hosts.len && hosts.at[end] != ' ') end++;
        if (end - i == want && memcmp(hosts.at + i, host, want) == 0) return true;
        i = end + 1;
    }
    return false;
}
