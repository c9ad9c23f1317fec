#include "broker/agent/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "broker/agent/answer.h"
#include "broker/agent/request.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

typedef struct fetch {
    job_t job; /* first: a job is cast to what it is for */
    fetches_t *all;
    struct fetch *next, **at; /* among those that wait, or those that go on */
    uint64_t errand, until_ms;
    request_t request;
    text_t hosts; /* owned */
    CURLU *url;
    struct curl_slist *lines; /* headers of the request */
    answer_t answer;
    unsigned hops;
    bool moves; /* the answer that comes is a redirection that will be followed */
    char why[CURL_ERROR_SIZE];
} fetch_t;

struct fetches {
    web_t *web;
    const told_t *told;
    fetch_t *going, *waiting, **waiting_end;
    size_t count;   /* how many go on */
    bool beginning; /* one that fails at once begins the next one: not from inside */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static char *url_part(const fetch_t *self, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(self->url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

/* ---- its end ---- */

static void fetch_free(fetch_t *self)
{
    web_drop(self->all->web, &self->job);
    curl_slist_free_all(self->lines);
    curl_url_cleanup(self->url);
    request_clear(&self->request);
    answer_clear(&self->answer);
    free((char *)(uintptr_t)self->hosts.at);
    free(self);
}

static void unlink_fetch(fetch_t *self)
{
    *self->at = self->next;
    if (self->next) self->next->at = self->at;
    if (self->all->waiting_end == &self->next) self->all->waiting_end = self->at;
}

static void begin_waiting(fetches_t *all);

/* It was answered. */
static void finished(fetch_t *self)
{
    fetches_t *all = self->all;
    unlink_fetch(self);
    fetch_free(self);
    all->count--;
    begin_waiting(all);
}

static void fail(fetch_t *self, const char *text)
{
    told_failed(self->all->told, self->errand, "TypeError", "fetch failed: %s", text);
    finished(self);
}

/* ---- where it may go ---- */

/* Names of hosts are compared, and asked for, in lower case, as URL.hostname has them. */
static void lower_host(fetch_t *self)
{
    char *host = url_part(self, CURLUPART_HOST, 0);
    for (char *c = host; c && *c; c++) {
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 0x20);
    }
    if (host) curl_url_set(self->url, CURLUPART_HOST, host, 0);
    curl_free(host);
}

/* F1. False: it may not go there, and was answered. */
static bool may_go(fetch_t *self)
{
    char *scheme = url_part(self, CURLUPART_SCHEME, 0), *host = NULL, *user = NULL;
    bool file = scheme && strcasecmp(scheme, "file") == 0;
    bool web = scheme && (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);

    lower_host(self);
    host = url_part(self, CURLUPART_HOST, 0);
    user = url_part(self, CURLUPART_USER, 0);
    bool known = host && hosts_have(self->hosts, host), may = web && known && !user;
    if (file) {
        told_failed(self->all->told, self->errand, "Error", "fetch cannot target file:// URLs");
    } else if (web && !known) {
        told_failed(self->all->told, self->errand, "Error", "Invalid host: %s", host ? host : "");
    } else if (!may) {
        told_failed(self->all->told, self->errand, "TypeError", "fetch failed: %s",
                    web ? "a URL with credentials" : "only http and https");
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    if (!may) finished(self);
    return may;
}

/* ---- one hop ---- */

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
    fetch_t *self = context;
    if (self->moves) return size * count; /* nobody sees it */
    return answer_body(&self->answer, (bin_t){(uint8_t *)at, size * count}) ? size * count : 0;
}

static size_t on_header(char *at, size_t size, size_t count, void *context)
{
    fetch_t *self = context;
    if (!answer_header(&self->answer, (text_t){at, size * count})) return 0;
    self->moves = self->request.redirect != REDIRECT_MANUAL && answer_moves(&self->answer);
    return size * count;
}

static void set_method(fetch_t *self, CURL *easy)
{
    request_t *request = &self->request;
    bool body = request->has_body || strcmp(request->method, "POST") == 0 ||
                strcmp(request->method, "PUT") == 0;

    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                         request->body.len ? request->body.at : (void *)"");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void add_line(fetch_t *self, const char *line)
{
    struct curl_slist *more = curl_slist_append(self->lines, line);
    must(more);
    self->lines = more;
}

/* What curl would say by itself and fetch does not is left out: `Name:` does that. */
static void set_headers(fetch_t *self, CURL *easy)
{
    const request_t *request = &self->request;
    curl_slist_free_all(self->lines);
    self->lines = NULL;
    for (size_t i = 0; i < request->header_count; i++) add_line(self, request->headers[i].line);
    if (!request_header(request, "content-type")) add_line(self, "content-type:");
    if (!request_header(request, "user-agent")) add_line(self, "user-agent: vatyard");
    add_line(self, "expect:");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, self->lines);
}

static void on_done(job_t *job, CURLcode code);

/* Sends the request to where its URL points now. */
static void go(fetch_t *self)
{
    uint64_t now = now_ms();
    if (!may_go(self)) return;
    if (now >= self->until_ms) {
        fail(self, "it took too long");
        return;
    }
    CURL *easy = web_easy();
    answer_clear(&self->answer);
    self->moves = false;
    self->why[0] = '\0';
    self->job = (job_t){easy, on_done};
    curl_easy_setopt(easy, CURLOPT_CURLU, self->url);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, self->why);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(self->until_ms - now));
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, self);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, self);
    set_method(self, easy);
    set_headers(self, easy);
    web_add(self->all->web, &self->job);
}

/* ---- redirections ---- */

static bool same_origin(const char *const before[3], const char *const after[3])
{
    for (int i = 0; i < 3; i++) {
        if (!before[i] || !after[i] || strcmp(before[i], after[i]) != 0) return false;
    }
    return true;
}

static void read_origin(const fetch_t *self, char *ret[3])
{
    ret[0] = url_part(self, CURLUPART_SCHEME, 0);
    ret[1] = url_part(self, CURLUPART_HOST, 0);
    ret[2] = url_part(self, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

static void free_origin(char *origin[3])
{
    for (int i = 0; i < 3; i++) curl_free(origin[i]);
}

static void follow(fetch_t *self)
{
    char *before[3], *after[3], location[REQUEST_URL_BYTES_MAX];
    bool named = answer_location(&self->answer, location, sizeof location);

    if (self->request.redirect == REDIRECT_ERROR) {
        fail(self, "unexpected redirect");
        return;
    }
    if (++self->hops > FETCH_HOPS_MAX) {
        fail(self, "redirect count exceeded");
        return;
    }
    read_origin(self, before);
    if (!named || curl_url_set(self->url, CURLUPART_URL, location,
                               CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        free_origin(before);
        fail(self, "the redirection leads to no URL");
        return;
    }
    lower_host(self);
    read_origin(self, after);
    request_redirect(&self->request, self->answer.status,
                     same_origin((const char *const *)before, (const char *const *)after));
    free_origin(before);
    free_origin(after);
    go(self);
}

static void succeed(fetch_t *self)
{
    buf_t body = buf_of(CAPDATA_BYTES_MAX);
    curl_url_set(self->url, CURLUPART_FRAGMENT, NULL, 0);
    char *url = url_part(self, CURLUPART_URL, CURLU_NO_DEFAULT_PORT);
    err_t err = answer_value(&self->answer, url ? url : "", self->hops > 0, &body);
    curl_free(url);
    if (!err) {
        self->all->told->told(self->all->told->self, self->errand, false,
                              (bin_t){body.at, body.len});
    }
    buf_clear(&body);
    if (err)
        fail(self, "the answer is too large");
    else
        finished(self);
}

static void on_done(job_t *job, CURLcode code)
{
    fetch_t *self = (fetch_t *)job;
    web_drop(self->all->web, job);
    if (self->answer.too_large)
        fail(self, "the answer is too large");
    else if (code != CURLE_OK)
        fail(self, self->why[0] ? self->why : curl_easy_strerror(code));
    else if (self->moves)
        follow(self);
    else
        succeed(self);
}

/* ---- all of them ---- */

fetches_t *fetches_new(web_t *web, const told_t *told)
{
    fetches_t *self = calloc(1, sizeof *self);
    must(self);
    self->web = web;
    self->told = told;
    self->waiting_end = &self->waiting;
    return self;
}

void fetches_destroy(fetches_t **self_p)
{
    fetches_t *self = *self_p;
    if (!self) return;
    for (fetch_t *fetch; (fetch = self->going ? self->going : self->waiting);) {
        unlink_fetch(fetch);
        fetch_free(fetch);
    }
    free(self);
    *self_p = NULL;
}

static void begin(fetch_t *self)
{
    fetches_t *all = self->all;
    self->next = all->going;
    self->at = &all->going;
    if (self->next) self->next->at = &self->next;
    all->going = self;
    all->count++;
    self->until_ms = now_ms() + FETCH_MS;

    self->url = curl_url();
    must(self->url);
    CURLUcode code = curl_url_set(self->url, CURLUPART_URL, self->request.url,
                                  CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OK)
        go(self);
    else
        fail(self, "the URL is not one");
}

static void begin_waiting(fetches_t *all)
{
    if (all->beginning) return;
    all->beginning = true;
    while (all->waiting && all->count < FETCHES_MAX) {
        fetch_t *next = all->waiting;
        unlink_fetch(next);
        begin(next);
    }
    all->beginning = false;
}

void fetches_add(fetches_t *self, uint64_t errand, text_t hosts, node_t arguments)
{
    request_t request;
    const char *wrong = request_read(arguments, &request);
    if (wrong) {
        told_failed(self->told, errand, "TypeError", "fetch failed: %s", wrong);
        return;
    }
    fetch_t *fetch = calloc(1, sizeof *fetch);
    char *copy = malloc(hosts.len + 1);
    must(fetch && copy);
    if (hosts.len) memcpy(copy, hosts.at, hosts.len);
    fetch->all = self;
    fetch->errand = errand;
    fetch->request = request;
    fetch->hosts = (text_t){copy, hosts.len};
    fetch->at = self->waiting_end;
    *self->waiting_end = fetch;
    self->waiting_end = &fetch->next;
    begin_waiting(self);
}
