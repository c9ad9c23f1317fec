/* Which Host is ours. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/http.h"
#include "cli/http_ask.h"

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

/* ---- who asks ---- */

Test(http, what_is_no_url_is_not_asked)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1:7612/livez",
                                      "https://127.0.0.1/",
                                      "http://",
                                      "http:///livez",
                                      "http://127.0.0.1:/",
                                      "http://127.0.0.1:x/",
                                      "http://127.0.0.1:123456/",
                                      "http://127.0.0.1:80:80/",
                                      "http://[::1/",
                                      "http://[::1]x/",
                                      "http://[]/",
                                      "http://127.0.0.1/a b",
                                      "http://127.0.0.1/\r\nHost: x"};
    int status;
    char why[128];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fail_t f = {0};
        cr_expect_eq(http_status(bad[i], 1000, &status, why, &f), ERR_BAD_VALUE, "%s", bad[i]);
    }
}

static void *serve_once(void *answer)
{
    int *fd = answer;
    char said[1024];
    int one = accept(*fd, NULL, NULL);
    ssize_t len = recv(one, said, sizeof said - 1, 0);
    said[len > 0 ? len : 0] = 0;
    cr_expect(strncmp(said, "GET /x?y HTTP/1.0\r\nHost: 127.0.0.1:", 35) == 0, "%s", said);
    const char *text = fd[1] ? "HTTP/1.1 200 OK\r\n\r\n" : "SSH-2.0-OpenSSH_9.2p1\r\n";
    if (fd[1] != 2) send(one, text, strlen(text), MSG_NOSIGNAL);
    if (fd[1] == 2) recv(one, said, sizeof said, 0); /* it says nothing, until the other is tired */
    close(one);
    return NULL;
}

/* What MODE answers: 0 something else, 1 well, 2 nothing. */
static int status_of(int mode, char why[128])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd[2] = {socket(AF_INET, SOCK_STREAM, 0), mode}, status = -1;
    cr_assert_eq(bind(fd[0], (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd[0], 4), 0);
    cr_assert_eq(getsockname(fd[0], (struct sockaddr *)&address, &len), 0);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, serve_once, fd), 0);
    char url[64];
    fail_t f = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x?y", ntohs(address.sin_port));
    cr_expect_eq(http_status(url, mode == 2 ? 300 : 20000, &status, why, &f), ERR_OK);
    pthread_join(thread, NULL);
    close(fd[0]);
    return status;
}

Test(http, a_status_or_why_there_is_none)
{
    char why[128] = "";
    cr_expect_eq(status_of(1, why), 200);
    cr_expect_eq(status_of(0, why), 0);
    cr_expect_str_eq(why, "Protocol error");
    cr_expect_eq(status_of(2, why), 0);
    cr_expect_str_eq(why, "Connection timed out");
    int status = -1;
    fail_t f = {0};
    cr_expect_eq(http_status("http://127.0.0.1:1/", 1000, &status, why, &f), ERR_OK);
    cr_expect_eq(status, 0);
    cr_expect_str_eq(why, "Connection refused");
}
