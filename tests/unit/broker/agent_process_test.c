/* The program vatagent: frames in, answers out, HTTP against servers on loopback.
 *
 * Method: $VATYARD_BIN/vatagent runs as a child with a socketpair, as vatbroker starts it. The server is a thread of
 * this test that does what the path of a request says; a vat's list has localhost, and 127.0.0.1 is the host that it
 * does not have, though the same server answers there. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire/codec/codec.h"
#include "wire/frames/pipe.h"
#include "wire/smallcaps/smallcaps.h"

/* ---- the server ---- */

static int door;
static unsigned port;
static atomic_int at_once, most_at_once, requests;
static char head[65536]; /* of the last request that was not slow */

static void say(int fd, const char *text) { (void)!send(fd, text, strlen(text), MSG_NOSIGNAL); }

static void flood(int fd, size_t len)
{
    static char block[64 * 1024];
    memset(block, 'x', sizeof block);
    for (ssize_t sent; len; len -= (size_t)sent) {
        sent = send(fd, block, len < sizeof block ? len : sizeof block, MSG_NOSIGNAL);
        if (sent <= 0) return;
    }
}

/* The head of a request, and of its body what its content-length says, into TEXT. */
static void hear(int fd, char *text, size_t room)
{
    size_t len = 0, want = 0;
    const char *body = NULL;
    while (!body || len < want) {
        ssize_t got = recv(fd, text + len, room - 1 - len, 0);
        if (got <= 0) break;
        len += (size_t)got;
        text[len] = '\0';
        body = strstr(text, "\r\n\r\n");
        const char *length = body ? strcasestr(text, "content-length: ") : NULL;
        if (body) want = (size_t)(body + 4 - text) + (length ? (size_t)atol(length + 16) : 0);
    }
    text[len] = '\0';
}

static void redirect(int fd, int status, const char *host, const char *path)
{
    char text[512];
    snprintf(text, sizeof text,
             "HTTP/1.1 %d Elsewhere\r\nLocation: http://%s:%u%s\r\nContent-Length: 3\r\n\r\nno\n",
             status, host, port, path);
    say(fd, text);
}

static bool path_is(const char *text, const char *path)
{
    const char *at = strchr(text, ' ');
    return at && strncmp(at + 1, path, strlen(path)) == 0 && at[1 + strlen(path)] == ' ';
}

static void answer(int fd, const char *text)
{
    char line[512];
    const char *at;
    if (path_is(text, "/hello")) {
        say(fd, "HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nX-A: 1\r\nx-a: "
                "2\r\nContent-Length: 5\r\n\r\nhello");
    } else if (path_is(text, "/missing")) {
        say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    } else if (path_is(text, "/gzip")) {
        static const char gz[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\x04\x00\x9e\xa2"
                                 "\x48\xd6\x02\x00\x00\x00";
        say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n");
        (void)!send(fd, gz, 22, MSG_NOSIGNAL);
    } else if (path_is(text, "/slow")) {
        int now = ++at_once, most = most_at_once;
        while (now > most && !atomic_compare_exchange_weak(&most_at_once, &most, now)) continue;
        usleep(300 * 1000);
        at_once--;
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    } else if (path_is(text, "/large")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 7000000\r\n\r\n");
        flood(fd, 7000000);
    } else if (path_is(text, "/larger")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 7000001\r\n\r\n");
        flood(fd, 7000001);
    } else if (path_is(text, "/endless")) {
        say(fd, "HTTP/1.1 200 OK\r\n\r\n");
        flood(fd, SIZE_MAX);
    } else if (path_is(text, "/headers")) {
        say(fd, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 20000; i++) say(fd, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
        say(fd, "\r\n");
    } else if (path_is(text, "/cut")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    } else if (path_is(text, "/silent")) {
        /* closed at once */
    } else if (path_is(text, "/noise")) {
        say(fd, "SSH-2.0-OpenSSH\r\n");
    } else if ((at = strstr(text, "/to/"))) { /* /to/STATUS/HOST/PATH */
        char host[64], path[256];
        int status;
        if (sscanf(at, "/to/%d/%63[^/]%255[^ ]", &status, host, path) == 3)
            redirect(fd, status, host, path);
    } else if (path_is(text, "/relative")) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: hello#part\r\nContent-Length: 0\r\n\r\n");
    } else if (path_is(text, "/loop")) {
        redirect(fd, 302, "localhost", "/loop");
    } else if (path_is(text, "/file")) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    } else if (path_is(text, "/gopher")) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: gopher://localhost/\r\nContent-Length: 0\r\n\r\n");
    } else {
        const char *body = strstr(text, "\r\n\r\n");
        size_t len = body ? strlen(body + 4) : 0;
        snprintf(line, sizeof line, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
        say(fd, line);
        if (len) say(fd, body + 4);
    }
}

static void *serve_one(void *context)
{
    int fd = (int)(intptr_t)context;
    char *text = malloc(sizeof head);
    hear(fd, text, sizeof head);
    requests++;
    if (!path_is(text, "/slow")) memcpy(head, text, sizeof head);
    answer(fd, text);
    shutdown(fd, SHUT_WR);
    close(fd);
    free(text);
    return NULL;
}

static void *serve(void *context)
{
    (void)context;
    for (int fd; (fd = accept(door, NULL, NULL)) >= 0;) {
        pthread_t thread;
        pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static void start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(door, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(door, (struct sockaddr *)&address, &len), 0);
    cr_assert_eq(listen(door, 128), 0);
    port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    pthread_detach(thread);
}

/* ---- the agent ---- */

static pid_t agent;
static pipe_t to_agent;
static buf_t frame;
static char dir[64];

static void start_agent(void)
{
    char program[512];
    int pair[2], null[2];
    const char *bin = getenv("VATYARD_BIN");
    cr_assert(bin, "VATYARD_BIN names the folder of the programs");
    snprintf(program, sizeof program, "%s/vatagent", bin);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(pipe(null), 0);
    agent = fork();
    if (agent == 0) {
        dup2(null[0], STDIN_FILENO);
        dup2(pair[1], 7);
        execl(program, program, "7", (char *)NULL);
        _exit(99);
    }
    close(pair[1]);
    close(null[0]);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    to_agent = pipe_of(pair[0]);
    buf_clear(&frame);
    frame = buf_of(FRAME_BYTES_MAX);
}

static void set_up(void)
{
    /* None of it may matter. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    setenv("VATYARD_LOG_LEVEL", "error", 1);
    strcpy(dir, "/tmp/vatyard-agent-XXXXXX");
    cr_assert(mkdtemp(dir));
    start_server();
    start_agent();
}

static int end_of_agent(void)
{
    int status;
    pipe_close(&to_agent);
    cr_assert_eq(waitpid(agent, &status, 0), agent);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void tear_down(void)
{
    char command[128];
    cr_expect_eq(end_of_agent(), 0);
    buf_clear(&frame);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(agent_process, .init = set_up, .fini = tear_down, .timeout = 100);

static void tell(msg_tag_t tag, const void *body)
{
    buf_reset(&frame);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    cr_assert(pipe_send(&to_agent, (bin_t){frame.at, frame.len}));
}

static bool wait_agent(int ms)
{
    struct pollfd fd = {to_agent.fd, (short)(POLLIN | (pipe_waiting(&to_agent) ? POLLOUT : 0)), 0};
    bool any = poll(&fd, 1, ms) > 0;
    cr_assert(pipe_flush(&to_agent));
    if (fd.revents & POLLIN) cr_assert(pipe_read(&to_agent), "the agent ended");
    return any;
}

/* The next answer: "errand body", "errand !body" when it was rejected. */
static const char *told(void)
{
    static char *text;
    bin_t bytes;
    msg_t msg;
    free(text);
    text = NULL;
    frames_next_t next;
    while ((next = pipe_take(&to_agent, &bytes)) == FRAMES_MORE) {
        cr_assert(wait_agent(20000), "no answer in 20 s");
    }
    cr_assert_eq(next, FRAMES_ONE);
    cr_assert_eq(msg_decode(bytes, &msg), ERR_OK);
    cr_assert_eq(msg.tag, TAG_agent_told);
    const msg_agent_told_t *answer_ = &msg.body.agent_told;
    capdata_t data = {.body = answer_->body};
    cr_expect_eq(smallcaps_check(&data, SHAPE_ANY), ERR_OK);
    cr_assert(asprintf(&text, "%d %s%.*s", (int)answer_->errand, answer_->rejected ? "!" : "",
                       (int)answer_->body.len, (const char *)answer_->body.at) > 0);
    msg_clear(&msg);
    return text;
}

static void ask(uint64_t errand, const char *hosts, const char *more, const char *url)
{
    char body[70000];
    snprintf(body, sizeof body, "#[{%s\"url\":\"%s\"}]", more, url);
    tell(TAG_agent_ask, &(msg_agent_ask_t){.errand = errand,
                                           .what = text_of("fetch"),
                                           .hosts = text_of(hosts),
                                           .body = {(const uint8_t *)body, strlen(body)}});
}

static char *url_of(const char *host, const char *path)
{
    static char url[512];
    snprintf(url, sizeof url, "http://%s:%u%s", host, port, path);
    return url;
}

static const char *fetch(const char *more, const char *path)
{
    ask(1, "other.test localhost", more, url_of("localhost", path));
    return told();
}

#define EXPECT_HAS(text, part) \
    cr_expect_not_null(strstr(text, part), "%s is not in %.300s", part, text)

/* ---- fetch ---- */

Test(agent_process, an_answer_is_a_record)
{
    char want[512];
    snprintf(want, sizeof want,
             "1 "
             "#{\"body\":\"aGVsbG8=\",\"headers\":[[\"content-type\",\"text/"
             "plain\"],[\"x-a\",\"1\"],[\"x-a\",\"2\"],"
             "[\"content-length\",\"5\"]],\"redirected\":false,\"status\":200,\"statusText\":"
             "\"Fine\",\"url\":\"http://"
             "localhost:%u/hello\"}",
             port);
    cr_expect_str_eq(fetch("", "/hello#part"), want);
    EXPECT_HAS(head, "GET /hello HTTP/1.1\r\n");
    EXPECT_HAS(head, "user-agent: vatyard\r\n");
    EXPECT_HAS(fetch("", "/missing"), "\"status\":404,\"statusText\":\"Not Found\"");
}

Test(agent_process, method_headers_and_body_arrive)
{
    const char *text = fetch("\"body\":\"YWJj\",\"headers\":[[\"X-One\",\"1\"],[\"Host\",\"evil."
                             "test\"],[\"content-type\","
                             "\"a/b\"]],\"method\":\"POST\",",
                             "/echo");
    EXPECT_HAS(text, "\"body\":\"YWJj\"");
    EXPECT_HAS(head, "POST /echo HTTP/1.1\r\n");
    EXPECT_HAS(head, "\r\nx-one: 1\r\n");
    EXPECT_HAS(head, "\r\ncontent-type: a/b\r\n");
    EXPECT_HAS(head, "Host: localhost:");
    cr_expect_null(strstr(head, "evil"));
    cr_expect_null(strcasestr(head, "expect:"));
    EXPECT_HAS(fetch("\"method\":\"HEAD\",", "/hello"), "#{\"body\":\"\",");
    EXPECT_HAS(fetch("\"body\":\"YWJj\",\"method\":\"PUT\",", "/echo"), "\"body\":\"YWJj\"");
    EXPECT_HAS(head, "PUT /echo");
    cr_expect_null(strcasestr(head, "content-type"), "nobody asked for one");
    EXPECT_HAS(fetch("\"method\":\"DELETE\",", "/echo"), "\"status\":200");
    EXPECT_HAS(head, "DELETE /echo");
    EXPECT_HAS(fetch("\"method\":\"POST\",", "/echo"), "\"status\":200");
    EXPECT_HAS(head, "Content-Length: 0\r\n");
    EXPECT_HAS(fetch("", "/gzip"), "#{\"body\":\"aGE=\",");
}

/* F1: the list has the name, exactly. */
Test(agent_process, only_hosts_of_the_list_are_reached)
{
    char url[512];
    static const char *const others[] = {"127.0.0.1", "localhost.", "127.1",    "2130706433",
                                         "0x7f.1",    "[::1]",      "other.tes"};
    static const char *const shown[] = {"127.0.0.1", "localhost.", "127.0.0.1", "127.0.0.1",
                                        "127.0.0.1", "[::1]",      "other.tes"};
    int before = requests;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char want[256];
        ask(2, "localhost other.test", "", url_of(others[i], "/hello"));
        snprintf(want, sizeof want, "2 !#{\"#error\":\"Invalid host: %s\",\"name\":\"Error\"}",
                 shown[i]);
        cr_expect_str_eq(told(), want);
    }
    cr_expect_eq(requests, before, "nothing was sent");
    ask(3, "localhost", "", url_of("LOCALHOST", "/hello"));
    EXPECT_HAS(told(), "\"status\":200");
    ask(4, "", "", url_of("localhost", "/hello"));
    EXPECT_HAS(told(), "Invalid host: localhost");

    snprintf(url, sizeof url, "http://localhost@127.0.0.1:%u/hello", port);
    ask(5, "localhost", "", url);
    EXPECT_HAS(told(), "Invalid host: 127.0.0.1");
    snprintf(url, sizeof url, "http://user:secret@localhost:%u/hello", port);
    ask(6, "localhost", "", url);
    EXPECT_HAS(told(), "fetch failed: a URL with credentials");
    ask(7, "localhost", "", "file:///etc/passwd");
    EXPECT_HAS(told(), "7 !#{\"#error\":\"fetch cannot target file:// URLs\"");
    ask(8, "localhost", "", "gopher://localhost/");
    EXPECT_HAS(told(), "\"fetch failed: only http and https\",\"name\":\"TypeError\"");
    ask(9, "localhost", "", "no url at all");
    EXPECT_HAS(told(),
               "9 !#{\"#error\":\"fetch failed: the URL is not one\",\"name\":\"TypeError\"}");
    ask(10, "localhost", "", "http://");
    EXPECT_HAS(told(), "10 !");
    ask(11, "localhost", "", "http://localhost\\t.evil/");
    EXPECT_HAS(told(), "11 !");
}

Test(agent_process, redirections_are_followed_to_hosts_of_the_list_only)
{
    char want[128];
    const char *text = fetch("", "/to/302/localhost/hello");
    EXPECT_HAS(text, "\"redirected\":true,\"status\":200");
    snprintf(want, sizeof want, "\"url\":\"http://localhost:%u/hello\"", port);
    EXPECT_HAS(text, want);
    EXPECT_HAS(fetch("", "/relative"), want);

    int before = requests;
    cr_expect_str_eq(fetch("", "/to/302/127.0.0.1/hello"),
                     "1 !#{\"#error\":\"Invalid host: 127.0.0.1\",\"name\":\"Error\"}");
    cr_expect_eq(requests, before + 1, "the forbidden host heard nothing");
    EXPECT_HAS(fetch("", "/to/302/localhost/to/307/127.0.0.1/hello"), "Invalid host: 127.0.0.1");
    EXPECT_HAS(fetch("", "/file"), "fetch cannot target file:// URLs");
    EXPECT_HAS(fetch("", "/gopher"), "only http and https");
    before = requests;
    EXPECT_HAS(fetch("", "/loop"), "1 !#{\"#error\":\"fetch failed: redirect count exceeded\"");
    cr_expect_eq(requests, before + 21, "the first and twenty more");
}

Test(agent_process, a_redirection_keeps_or_changes_the_request)
{
    static const char post[] = "\"body\":\"YWJj\",\"headers\":[[\"authorization\",\"secret\"],[\"x-"
                               "one\",\"1\"]],\"method\":\"POST\",";
    EXPECT_HAS(fetch(post, "/to/307/localhost/echo"), "\"body\":\"YWJj\"");
    EXPECT_HAS(head, "POST /echo");
    EXPECT_HAS(head, "authorization: secret");
    EXPECT_HAS(fetch(post, "/to/303/localhost/echo"), "#{\"body\":\"\"");
    EXPECT_HAS(head, "GET /echo");
    ask(2, "localhost 127.0.0.1", post, url_of("localhost", "/to/307/127.0.0.1/echo"));
    EXPECT_HAS(told(), "\"body\":\"YWJj\"");
    EXPECT_HAS(head, "x-one: 1");
    cr_expect_null(strstr(head, "secret"), "another origin does not get it");
    EXPECT_HAS(fetch("\"redirect\":\"error\",", "/to/302/localhost/hello"),
               "fetch failed: unexpected redirect");
    EXPECT_HAS(fetch("\"redirect\":\"manual\",", "/to/302/localhost/hello"),
               "\"redirected\":false,\"status\":302,\"statusText\":\"Elsewhere\"");
}

Test(agent_process, what_a_server_may_send_is_bounded)
{
    EXPECT_HAS(fetch("", "/large"), "1 #{\"body\":\"eHh4");
    EXPECT_HAS(fetch("", "/larger"), "1 !#{\"#error\":\"fetch failed: the answer is too large\"");
    EXPECT_HAS(fetch("", "/endless"), "1 !#{\"#error\":\"fetch failed: the answer is too large\"");
    EXPECT_HAS(fetch("", "/headers"), "1 !#{\"#error\":\"fetch failed: the answer is too large\"");
}

Test(agent_process, what_goes_wrong_is_said_in_curls_words)
{
    EXPECT_HAS(fetch("", "/cut"), "1 !#{\"#error\":\"fetch failed: transfer closed with");
    EXPECT_HAS(fetch("", "/silent"),
               "1 !#{\"#error\":\"fetch failed: Empty reply from server\",\"name\":\"TypeError\"}");
    EXPECT_HAS(fetch("", "/noise"),
               "1 !#{\"#error\":\"fetch failed: Received HTTP/0.9 when not allowed\"");
    ask(2, "localhost", "", "http://localhost:1/");
    EXPECT_HAS(told(), "2 !#{\"#error\":\"fetch failed: Failed to connect to localhost port 1");
    ask(3, "no-such-host.invalid", "", "http://no-such-host.invalid/");
    EXPECT_HAS(told(),
               "3 !#{\"#error\":\"fetch failed: Could not resolve host: no-such-host.invalid\"");
    ask(4, "localhost", "\"method\":5,", "http://localhost/");
    EXPECT_HAS(told(), "4 !#{\"#error\":\"fetch failed: the method is not one\"");
}

Test(agent_process, many_wait_for_each_other_and_a_quick_one_for_none)
{
    for (uint64_t i = 1; i <= 80; i++) ask(i, "localhost", "", url_of("localhost", "/slow"));
    bool seen[81] = {false};
    for (int i = 1; i <= 80; i++) {
        const char *text = told();
        EXPECT_HAS(text, "\"status\":200");
        cr_assert_not(seen[atoi(text)]);
        seen[atoi(text)] = true;
    }
    cr_expect_leq(most_at_once, 32, "%d at once", most_at_once);
    cr_expect_geq(most_at_once, 8, "%d at once", most_at_once);
    ask(1, "localhost", "", url_of("localhost", "/slow"));
    ask(2, "localhost", "", url_of("localhost", "/hello"));
    EXPECT_HAS(told(), "2 #");
    EXPECT_HAS(told(), "1 #");
}

/* ---- channels ---- */

static void open_channel(uint64_t number, const char *type, const char *place, uint64_t direction)
{
    tell(TAG_agent_open, &(msg_agent_open_t){.channel = number,
                                             .name = text_of("s1:line"),
                                             .type = text_of(type),
                                             .place = text_of(place),
                                             .direction = direction});
}

static void ask_channel(uint64_t errand, uint64_t number, const char *what, const char *body)
{
    tell(TAG_agent_ask, &(msg_agent_ask_t){.errand = errand,
                                           .channel = number,
                                           .what = text_of(what),
                                           .body = {(const uint8_t *)body, strlen(body)}});
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    for (int i = 0; connect(fd, (struct sockaddr *)&address, sizeof address) != 0; i++) {
        cr_assert_lt(i, 1000, "nobody listens at %s", path);
        usleep(5000);
    }
    return fd;
}

Test(agent_process, channels_are_opened_asked_and_closed)
{
    char path[128], text[64] = "";
    struct stat st;
    snprintf(path, sizeof path, "%s/socket", dir);
    open_channel(5, "socket", path, 3);
    ask_channel(1, 5, "read", "#[]");
    int fd = connect_to(path);
    cr_assert_eq(write(fd, "over\n", 5), 5);
    cr_expect_str_eq(told(), "1 #\"over\"");
    ask_channel(2, 5, "write", "#[\"and out\"]");
    cr_expect_str_eq(told(), "2 #\"#undefined\"");
    cr_expect_eq(read(fd, text, sizeof text), 8);
    cr_expect_str_eq(text, "and out\n");
    ask_channel(3, 5, "write", "#[5]");
    cr_expect_str_eq(
        told(),
        "3 !#{\"#error\":\"IO channel \\\"line\\\" writes strings\",\"name\":\"TypeError\"}");
    ask_channel(4, 5, "read", "#[]");
    tell(TAG_agent_close, &(msg_agent_close_t){5});
    cr_expect_str_eq(told(), "4 #null");
    ask_channel(5, 5, "read", "#[]");
    cr_expect_str_eq(told(), "5 !#{\"#error\":\"the IO channel is closed\",\"name\":\"Error\"}");
    cr_expect_neq(stat(path, &st), 0, "the socket is gone");
    close(fd);
}

Test(agent_process, files_are_written_and_read)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/file", dir);
    open_channel(1, "file", path, 2);
    ask_channel(1, 1, "write", "#[\"a line\"]");
    cr_expect_str_eq(told(), "1 #\"#undefined\"");
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    open_channel(2, "file", path, 1);
    ask_channel(2, 2, "read", "#[]");
    cr_expect_str_eq(told(), "2 #\"a line\"");
    ask_channel(3, 2, "read", "#[]");
    cr_expect_str_eq(told(), "3 #null");
}

Test(agent_process, its_sockets_go_when_it_ends)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/socket", dir);
    open_channel(1, "socket", path, 3);
    close(connect_to(path));
    cr_expect_eq(end_of_agent(), 0);
    cr_expect_neq(stat(path, &st), 0);
    start_agent();

    open_channel(1, "socket", path, 3);
    close(connect_to(path));
    kill(agent, SIGKILL);
    cr_expect_eq(end_of_agent(), 1000 + SIGKILL);
    cr_expect_eq(stat(path, &st), 0, "this time nobody could");
    start_agent();
    open_channel(1, "socket", path, 3);
    ask_channel(1, 1, "read", "#[]");
    int fd = connect_to(path);
    cr_assert_eq(write(fd, "x\n", 2), 2);
    cr_expect_str_eq(told(), "1 #\"x\"");
    close(fd);
}

/* ---- the frames ---- */

Test(agent_process, a_frame_that_is_none_ends_it)
{
    cr_assert(pipe_send(&to_agent, (bin_t){(const uint8_t *)"nonsense", 8}));
    char byte;
    struct pollfd fd = {to_agent.fd, POLLIN, 0};
    cr_assert_eq(poll(&fd, 1, 10000), 1);
    cr_expect_eq(read(to_agent.fd, &byte, 1), 0);
    end_of_agent();
    start_agent();
}

/* The broker is busy with its disk: answers wait in the agent, but not without end. */
Test(agent_process, a_broker_that_does_not_read_is_waited_for)
{
    for (uint64_t i = 1; i <= 20; i++) ask(i, "localhost", "", url_of("localhost", "/large"));
    for (int i = 0; i < 200 && pipe_waiting(&to_agent); i++) {
        usleep(1000);
        cr_assert(pipe_flush(&to_agent));
    }
    sleep(2);
    for (int i = 1; i <= 20; i++) EXPECT_HAS(told(), "#{\"body\":\"eHh4");
}
