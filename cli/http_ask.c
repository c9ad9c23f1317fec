#include "cli/http_ask.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/link.h"

enum { HOST_BYTES = 256, PORT_BYTES = 8, PATH_BYTES = 1024 };

typedef struct {
    char host[HOST_BYTES], port[PORT_BYTES], path[PATH_BYTES];
} url_t;

/* PLACE: HOST, HOST:PORT, [IPv6] or [IPv6]:PORT. */
static bool read_place(char *place, url_t *ret)
{
    bool six = *place == '[';
    char *end = six ? strchr(place, ']') : place + strcspn(place, ":");
    if (!end) return false;
    const char *port = six ? end + 1 : end;
    size_t digits = *port ? strspn(port + 1, "0123456789") : 0;
    if (*port && (*port != ':' || digits == 0 || digits > 5 || port[1 + digits])) return false;
    if (*port) strcpy(ret->port, port + 1);
    *end = '\0';
    strcpy(ret->host, place + six);
    return *ret->host != '\0';
}

/* Nothing below ' ' may come into the request. */
static bool read_url(const char *text, url_t *ret)
{
    char place[HOST_BYTES];
    *ret = (url_t){.port = "80", .path = "/"};
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 127) return false;
    if (strncmp(text, "http://", 7) != 0) return false;
    size_t len = strcspn(text + 7, "/");
    const char *path = text + 7 + len;
    if (len >= sizeof place || strlen(path) >= PATH_BYTES) return false;
    memcpy(place, text + 7, len);
    place[len] = '\0';
    if (*path) strcpy(ret->path, path);
    return read_place(place, ret);
}

static bool ready(int fd, short events, uint64_t end_ms)
{
    uint64_t now = now_ms();
    struct pollfd item = {fd, events, 0};
    int rc = now < end_ms ? poll(&item, 1, (int)(end_ms - now)) : 0;
    if (rc == 0) errno = ETIMEDOUT;
    return rc > 0;
}

/* Connected, or -1. */
static int dial(const struct addrinfo *at, uint64_t end_ms)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int error = connect(fd, at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
    socklen_t len = sizeof error;
    if (error == EINPROGRESS && ready(fd, POLLOUT, end_ms))
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    else if (error == EINPROGRESS)
        error = errno;
    if (!error) return fd;
    close(fd);
    errno = error;
    return -1;
}

/* 0: what came is no answer, or too late. */
static int ask(int fd, const url_t *url, uint64_t end_ms)
{
    char text[HOST_BYTES + PATH_BYTES + 64];
    size_t got = 0;
    int status = 0;
    bool colon = strchr(url->host, ':') != NULL;
    int len = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: %s%s%s:%s\r\n\r\n", url->path,
                       colon ? "[" : "", url->host, colon ? "]" : "", url->port);
    if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len) return 0;
    while (got < sizeof "HTTP/1.1 200") {
        if (!ready(fd, POLLIN, end_ms)) return 0;
        ssize_t n = recv(fd, text + got, sizeof text - 1 - got, 0);
        errno = n == 0 ? ECONNRESET : errno;
        if (n <= 0) return 0;
        got += (size_t)n;
    }
    text[got] = '\0';
    errno = EPROTO;
    return sscanf(text, "HTTP/1.%*1[01] %3d ", &status) == 1 ? status : 0;
}

err_t http_status(const char *url, unsigned ms, int *ret, char why[128], fail_t *f)
{
    url_t at;
    if (!read_url(url, &at))
        return fail(f, ERR_BAD_VALUE, "%.200s is no http://HOST[:PORT]/PATH", url);
    uint64_t end_ms = now_ms() + ms;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int bad = getaddrinfo(at.host, at.port, &hints, &found);
    *ret = 0;
    snprintf(why, 128, "%s", bad ? gai_strerror(bad) : "no address");
    for (const struct addrinfo *each = found; each && !*ret; each = each->ai_next) {
        int fd = dial(each, end_ms);
        if (fd >= 0) *ret = ask(fd, &at, end_ms);
        if (!*ret) snprintf(why, 128, "%s", strerror(errno));
        if (fd >= 0) close(fd);
    }
    if (found) freeaddrinfo(found);
    return ERR_OK;
}
