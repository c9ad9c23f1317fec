/* curl's transfers, and the one wait of the process: curl's sockets and everybody else's together. */
#pragma once
#include <curl/curl.h>
#include <poll.h>
#include <stdbool.h>

typedef struct web web_t;

/* One transfer. Lives in what it is for. */
typedef struct job {
    CURL *easy; /* NULL: none goes on */

    /* It ended. May drop this job, or any other, and free it. */
    void (*done)(struct job *self, CURLcode code);
} job_t;

/* What jobs have in common: only http and https, no proxy, no signal, nothing from the environment. */
CURL *web_easy(void);

/* The caller owns it. */
web_t *web_new(void);
void web_destroy(web_t **self_p);

/* Begins JOB, whose easy handle is set. */
void web_add(web_t *self, job_t *job);

/* Ends JOB, if it goes on, and gives its handle back. */
void web_drop(web_t *self, job_t *job);

/* Waits at most TIMEOUT_MS for one of the COUNT descriptors, or for a transfer. Sets their revents. */
void web_wait(web_t *self, struct pollfd *fds, size_t count, int timeout_ms);

/* Goes on with all transfers. */
void web_run(web_t *self);
