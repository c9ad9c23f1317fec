#include "cli/http.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "wire/base/must.h"
#include "wire/base/own.h"

enum {
    HOST_BYTES_MAX = 255,
    LISTEN_BYTES_MAX = 300,
    ERROR_BYTES = 256,
};

struct http {
    http_options_t options;
    struct mg_context *server;
    pthread_mutex_t one; /* W2 */
    char machine[HOST_BYTES_MAX + 1], url[LISTEN_BYTES_MAX + 16];
};

/* ---- Host ---- */

static bool is_port(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && len <= 5 && !text[len];
}

static bool is_address(int family, const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(family, text, address) == 1;
}

bool http_host_is_ours(const char *host, const char *const *names, const char *machine)
{
    char name[HOST_BYTES_MAX + 1];
    size_t len = strlen(host);
    if (len == 0 || len > HOST_BYTES_MAX) return false;
    strcpy(name, host);
    if (*name == '[') {
        char *end = strchr(name, ']');
        if (!end || (end[1] && (end[1] != ':' || !is_port(end + 2)))) return false;
        *end = '\0';
        return is_address(AF_INET6, name + 1);
    }
    char *colon = strchr(name, ':');
    if (colon && !is_port(colon + 1)) return false;
    if (colon) *colon = '\0';
    if (is_address(AF_INET, name) || strcasecmp(name, "localhost") == 0) return true;
    if (*machine && strcasecmp(name, machine) == 0) return true;
    for (size_t i = 0; i < HTTP_NAMES_MAX && names[i]; i++)
        if (strcasecmp(name, names[i]) == 0) return true;
    return false;
}

/* ---- requests ---- */

static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 421: return "Misdirected Request";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
    }
}

static void send_answer(struct mg_connection *c, const http_answer_t *answer, bool body)
{
    mg_printf(c,
              "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: "
              "no-store\r\nX-Content-Type-Options: nosniff\r\n%sConnection: close\r\n\r\n",
              answer->status, reason_of(answer->status), answer->type, answer->body.len,
              answer->status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (body && answer->body.len) mg_write(c, answer->body.at, answer->body.len);
}

static int refuse(struct mg_connection *c, int status, const char *why, bool body)
{
    http_answer_t answer = {status, "text/plain; charset=utf-8", buf_of(ERROR_BYTES)};
    must(buf_text(&answer.body, why) == ERR_OK);
    send_answer(c, &answer, body);
    buf_clear(&answer.body);
    return status;
}

/* Called before civetweb itself looks at a request: it would answer a preflight, of whatever Host. */
static int answer_request(struct mg_connection *c)
{
    http_t *self = mg_get_user_data(mg_get_context(c));
    const struct mg_request_info *request = mg_get_request_info(c);
    const char *host = mg_get_header(c, "Host");
    bool body = strcmp(request->request_method, "HEAD") != 0;

    mg_disable_connection_keep_alive(c); /* nor is a body read that nobody wants */
    if (!host) return refuse(c, 400, "a Host is needed\n", body);
    if (!http_host_is_ours(host, self->options.names, self->machine))
        return refuse(c, 421, "nothing of that Host is here\n", body);
    if (body && strcmp(request->request_method, "GET") != 0)
        return refuse(c, 405, "GET or HEAD\n", true);

    http_answer_t answer = {200, "text/plain; charset=utf-8", buf_of(HTTP_BODY_BYTES_MAX)};
    if (!self->options.at_once || !self->options.at_once(request->local_uri, &answer)) {
        pthread_mutex_lock(&self->one);
        self->options.handle(self->options.context, request->local_uri, &answer);
        pthread_mutex_unlock(&self->one);
    }
    send_answer(c, &answer, body);
    buf_clear(&answer.body);
    return answer.status;
}

/* Its own file would be in the folder where we were started. */
static int be_silent(const struct mg_connection *c, const char *text)
{
    (void)c, (void)text;
    return 1;
}

/* ---- start ---- */

/* "7612" -> "127.0.0.1:7612", "::1" -> "[::1]:7612". False: it is neither address nor port. */
static bool listen_text(const char *from, char ret[LISTEN_BYTES_MAX])
{
    char address[LISTEN_BYTES_MAX];
    char port[8];
    if (strlen(from) >= LISTEN_BYTES_MAX - 16) return false;
    snprintf(port, sizeof port, "%d", HTTP_PORT);
    strcpy(address, from);
    char *colon = strrchr(address, ':'), *bracket = strchr(address, ']');
    if (is_port(address)) {
        snprintf(port, sizeof port, "%.5s", from);
        strcpy(address, "127.0.0.1");
    } else if (!is_address(AF_INET6, address) && colon && (!bracket || colon > bracket)) {
        if (!is_port(colon + 1)) return false;
        snprintf(port, sizeof port, "%.5s", colon + 1);
        *colon = '\0';
    }
    size_t len = strlen(address);
    if (len > 2 && address[0] == '[' && address[len - 1] == ']') {
        memmove(address, address + 1, len);
        address[len - 2] = '\0';
    }
    bool six = is_address(AF_INET6, address);
    if (!six && !is_address(AF_INET, address)) return false;
    if (strtol(port, NULL, 10) > 65535) return false;
    snprintf(ret, LISTEN_BYTES_MAX, six ? "[%.200s]:%s" : "%.200s:%s", address, port);
    return true;
}

static struct mg_context *start(http_t *self, const char *listen, char why[ERROR_BYTES])
{
    static const struct mg_callbacks callbacks = {.begin_request = answer_request,
                                                  .log_message = be_silent};
    const char *settings[] = {
        "listening_ports",    listen, "num_threads",       "32", "tcp_nodelay", "1",
        "request_timeout_ms", "2000", "enable_keep_alive", "no", NULL}; /* W3 */
    struct mg_init_data init = {&callbacks, self, settings};
    unsigned code = 0;
    struct mg_error_data error = {&code, why, ERROR_BYTES};
    return mg_start2(&init, &error);
}

/* The port is asked for, as it may be any free one. */
static void say_url(http_t *self, const char *listen)
{
    struct mg_server_port port = {0};
    mg_get_server_ports(self->server, 1, &port);
    int len = (int)(strrchr(listen, ':') - listen);
    snprintf(self->url, sizeof self->url, "http://%.*s:%d", len, listen, port.port);
}

http_t *http_new(const http_options_t *options, fail_t *f)
{
    char listen[LISTEN_BYTES_MAX], why[ERROR_BYTES] = "";
    if (!listen_text(options->listen, listen)) {
        fail(f, ERR_BAD_VALUE, "--listen %.200s", options->listen);
        fail_why(f, "an address, a port, or ADDRESS:PORT is needed");
        return NULL;
    }
    if (*listen == '[' && !mg_check_feature(MG_FEATURES_IPV6)) {
        fail(f, ERR_BAD_VALUE, "--listen %.200s", options->listen);
        fail_why(f, "the civetweb that is installed was built without IPv6");
        return NULL;
    }
    AUTO(http) self = calloc(1, sizeof *self);
    must(self);
    self->options = *options;
    must(pthread_mutex_init(&self->one, NULL) == 0);
    if (gethostname(self->machine, sizeof self->machine - 1) != 0) *self->machine = '\0';
    mg_init_library(0);
    self->server = start(self, listen, why);
    if (!self->server) {
        fail(f, ERR_ADDRESS_IN_USE, "cannot listen on %.200s", listen);
        if (*why) fail_why(f, "%.200s", why);
        return NULL;
    }
    say_url(self, listen);
    return TAKE(self);
}

void http_destroy(http_t **self_p)
{
    must(self_p);
    http_t *self = *self_p;
    if (!self) return;
    if (self->server) mg_stop(self->server);
    mg_exit_library();
    pthread_mutex_destroy(&self->one);
    free(self);
    *self_p = NULL;
}

const char *http_url(const http_t *self) { return self->url; }
