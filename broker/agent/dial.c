#include "broker/agent/dial.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire/base/limits.h"
#include "wire/base/must.h"

struct dial {
    job_t job; /* first: a job is cast to what it is for */
    web_t *web;
    CURLU *url;
    dialled_t *done;
    void *context;
    char why[CURL_ERROR_SIZE];
};

static void on_done(job_t *job, CURLcode code)
{
    dial_t *self = (dial_t *)job;
    curl_socket_t socket = CURL_SOCKET_BAD;

    if (code == CURLE_OK) curl_easy_getinfo(job->easy, CURLINFO_ACTIVESOCKET, &socket);
    /* curl closes its own when the transfer is dropped. */
    int fd = socket == CURL_SOCKET_BAD ? -1 : fcntl(socket, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0) must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    self->done(self->context, fd, self->why[0] ? self->why : curl_easy_strerror(code));
}

/* The place as curl understands it, and nothing but a place. */
static CURLU *parse(const char *place)
{
    char text[PATH_BYTES_MAX + 16], *port = NULL, *path = NULL, *user = NULL, *query = NULL;
    CURLU *url = curl_url();
    must(url);
    snprintf(text, sizeof text, "http://%s%s/", *place == ':' ? "localhost" : "", place);
    bool good = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK && path[1] == '\0' &&
                curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_NO_USER &&
                curl_url_get(url, CURLUPART_QUERY, &query, 0) == CURLUE_NO_QUERY;
    curl_free(port);
    curl_free(path);
    curl_free(user);
    curl_free(query);
    if (good) return url;
    curl_url_cleanup(url);
    return NULL;
}

dial_t *dial_new(web_t *web, const char *place, dialled_t *done, void *context)
{
    CURLU *url = parse(place);
    if (!url) return NULL;
    dial_t *self = calloc(1, sizeof *self);
    must(self);
    self->web = web;
    self->url = url;
    self->done = done;
    self->context = context;
    self->job = (job_t){web_easy(), on_done};
    curl_easy_setopt(self->job.easy, CURLOPT_CURLU, url);
    curl_easy_setopt(self->job.easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(self->job.easy, CURLOPT_ERRORBUFFER, self->why);
    web_add(web, &self->job);
    return self;
}

void dial_destroy(dial_t **self_p)
{
    dial_t *self = *self_p;
    if (!self) return;
    web_drop(self->web, &self->job);
    curl_url_cleanup(self->url);
    free(self);
    *self_p = NULL;
}
