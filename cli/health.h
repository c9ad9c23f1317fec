/* Does it live, can it work, is all well? Of a broker, which is asked, of a vathost, whose sign of life is
 * looked at (wire/base/alive.h), and of what serves HTTP. */
#pragma once
#include "cli/link.h"

typedef enum { HEALTH_LIVE, HEALTH_READY, HEALTH_DEEP } health_depth_t;

enum { HEALTH_MS = 5 * 1000 };

typedef struct {
    json_t *checks; /* array of {check, ok, detail} */
    bool met;       /* all of them */
} health_t;

health_t health_new(void);
void health_clear(health_t *self);

void health_vathost(health_t *self, const char *dir, health_depth_t depth);

/* Whether URL answers 200 within MS. Fails with BAD_VALUE, when it is no http:// URL. */
CHECKED err_t health_http(health_t *self, const char *url, unsigned ms, fail_t *f);

/* HOSTS: at least so many are connected; 0: with HEALTH_DEEP all that are known, else it does not matter. Fails with
 * NO_BROKER when it does not answer within MS, which is as good as not there. */
CHECKED err_t health_broker(health_t *self, link_t *link, health_depth_t depth, uint64_t hosts,
                            unsigned ms, fail_t *f);
