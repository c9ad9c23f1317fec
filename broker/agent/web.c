#include "broker/agent/web.h"

#include <errno.h>
#include <stdlib.h>

#include "wire/base/must.h"

enum { CONNECTIONS_KEPT = 32, CONNECT_MS = 30 * 1000 };

struct web {
    CURLM *multi;
    struct curl_waitfd *waits;
    size_t room;
};

web_t *web_new(void)
{
    web_t *self = calloc(1, sizeof *self);
    must(self);
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    self->multi = curl_multi_init();
    must(self->multi);
    curl_multi_setopt(self->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return self;
}

void web_destroy(web_t **self_p)
{
    web_t *self = *self_p;
    if (!self) return;
    curl_multi_cleanup(self->multi);
    curl_global_cleanup();
    free(self->waits);
    free(self);
    *self_p = NULL;
}

CURL *web_easy(void)
{
    CURL *easy = curl_easy_init();
    must(easy);
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* none, whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    const char *trusted = getenv("SSL_CERT_FILE");
    if (trusted && *trusted) curl_easy_setopt(easy, CURLOPT_CAINFO, trusted);
    return easy;
}

void web_add(web_t *self, job_t *job)
{
    must(job->easy);
    curl_easy_setopt(job->easy, CURLOPT_PRIVATE, job);
    must(curl_multi_add_handle(self->multi, job->easy) == CURLM_OK);
}

void web_drop(web_t *self, job_t *job)
{
    if (!job->easy) return;
    curl_multi_remove_handle(self->multi, job->easy);
    curl_easy_cleanup(job->easy);
    job->easy = NULL;
}

void web_wait(web_t *self, struct pollfd *fds, size_t count, int timeout_ms)
{
    if (count > self->room) {
        self->room = 2 * count;
        self->waits = reallocarray(self->waits, self->room, sizeof *self->waits);
        must(self->waits);
    }
    for (size_t i = 0; i < count; i++) {
        short in = fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0;
        short out = fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0;
        self->waits[i] = (struct curl_waitfd){fds[i].fd, (short)(in | out), 0};
    }
    must(curl_multi_poll(self->multi, self->waits, (unsigned)count, timeout_ms, NULL) == CURLM_OK);
    /* curl does not pass on that the other end hung up. */
    must(poll(fds, count, 0) >= 0 || errno == EINTR);
}

void web_run(web_t *self)
{
    const CURLMsg *msg;
    int running, left;

    must(curl_multi_perform(self->multi, &running) == CURLM_OK);
    while ((msg = curl_multi_info_read(self->multi, &left))) {
        job_t *job = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &job);
        job->done(job, code);
    }
}
