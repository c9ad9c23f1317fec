/* One GET over HTTP, for its status alone; no TLS, no redirects. */
#pragma once
#include "cli/fail.h"

/* The status that URL ("http://HOST[:PORT][/PATH]") answers with, in RET; 0: it did not within MS, and WHY says why. Fails with
 * BAD_VALUE when it is no such URL. */
CHECKED err_t http_status(const char *url, unsigned ms, int *ret, char why[128], fail_t *f);
