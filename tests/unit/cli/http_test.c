/* Which Host is ours. */
#include <criterion/criterion.h>
#include <string.h>

#include "cli/http.h"

static const char *const names[HTTP_NAMES_MAX] = {"metrics.example", "vatyard"};

static bool ours(const char *host) { return http_host_is_ours(host, names, "machine"); }

Test(http, hosts_that_are_ours)
{
    static const char *const good[] = {"127.0.0.1",  "127.0.0.1:7612", "10.1.2.3:80",
                                       "[::1]",      "[::1]:7612",     "[fe80::1]:1",
                                       "localhost",  "LocalHost:7612", "machine:7612",
                                       "vatyard:80", "metrics.example"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) cr_expect(ours(good[i]), "%s", good[i]);
}

/* A name that somebody else can let point here, and whatever is no Host at all. */
Test(http, hosts_that_are_not)
{
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "evil.example:7612",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "127.0.0.1:",
                                      "127.0.0.1:x",
                                      "127.0.0.1:123456",
                                      "localhost:80:80",
                                      "[::1",
                                      "[::1]x",
                                      "[::1]:",
                                      "[localhost]",
                                      "::1",
                                      "vatyard.",
                                      "user@localhost",
                                      "localhost/",
                                      " localhost",
                                      "1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) cr_expect(!ours(bad[i]), "%s", bad[i]);
    char longest[1024];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_expect(!ours(longest));
    cr_expect(!http_host_is_ours("", names, ""), "a machine without a name");
}
