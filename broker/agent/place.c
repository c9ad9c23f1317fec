#define _GNU_SOURCE
#include "broker/agent/place.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8, HOST_BYTES_MAX = 256 };

static int failed(char why[PLACE_WHY_BYTES], int fd, const char *text)
{
    snprintf(why, PLACE_WHY_BYTES, "%s", text);
    if (fd >= 0) close(fd);
    return -1;
}

/* ---- Unix sockets ---- */

/* Does anybody listen there? */
static bool answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    bool yes = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
               errno == EAGAIN; /* its backlog is full */
    close(fd);
    return yes;
}

int place_socket(const char *path, char why[PLACE_WHY_BYTES])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;

    if (strlen(path) >= sizeof address.sun_path) return failed(why, -1, strerror(ENAMETOOLONG));
    strcpy(address.sun_path, path);
    if (lstat(path, &there) == 0) {
        if (!S_ISSOCK(there.st_mode)) return failed(why, -1, "another kind of file is there");
        if (answers(&address)) return failed(why, -1, strerror(EADDRINUSE));
        unlink(path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return failed(why, -1, strerror(errno));
    mode_t mask = umask(0177); /* it is born with 0600 */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address), error = errno;
    umask(mask);
    if (bound != 0) return failed(why, fd, strerror(error));
    if (listen(fd, BACKLOG) != 0) return failed(why, fd, strerror(errno));
    return fd;
}

/* ---- TCP ---- */

/* Cuts host:port at its last colon; brackets around a number with colons go. */
static bool cut(const char *place, char host[HOST_BYTES_MAX], const char **ret_port)
{
    const char *colon = strrchr(place, ':');
    size_t len = colon ? (size_t)(colon - place) : 0;
    if (!colon || len >= HOST_BYTES_MAX || !colon[1]) return false;
    if (place[0] == '[' && place[len - 1] == ']') {
        place++;
        len -= 2;
    }
    memcpy(host, place, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return true;
}

static int listen_at(const struct addrinfo *info, char why[PLACE_WHY_BYTES])
{
    const int yes = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return failed(why, -1, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        return failed(why, fd, strerror(errno));
    }
    return fd;
}

int place_listen(const char *place, char why[PLACE_WHY_BYTES])
{
    char host[HOST_BYTES_MAX];
    const char *port;
    struct addrinfo *info = NULL;
    /* Numbers only: nothing here may wait for a name server. */
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};

    if (!cut(place, host, &port)) return failed(why, -1, "it is no host:port");
    const char *name = !*host || strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    int error = getaddrinfo(strcmp(host, "*") == 0 ? NULL : name, port, &hints, &info);
    if (error) return failed(why, -1, gai_strerror(error));
    int fd = listen_at(info, why);
    freeaddrinfo(info);
    return fd;
}

/* ---- files ---- */

int place_file(const char *path, int read, int append, char why[PLACE_WHY_BYTES])
{
    int flags = !append ? O_RDONLY : (read ? O_RDWR : O_WRONLY) | O_APPEND | O_CREAT;
    struct stat st;

    /* Not blocking: opening a pipe that nobody reads must not stop us. */
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0) return failed(why, -1, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return failed(why, fd, "it is no regular file");
    return fd;
}
