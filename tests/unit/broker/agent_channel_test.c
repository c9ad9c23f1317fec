/* IO channels against real sockets and files, in this process.
 *
 * Method: the test is the agent's loop (spin()), the client at the other end, and the one who is told: answers are
 * collected as lines "errand body", a rejection with "!" before its body. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/agent/channel.h"
#include "broker/agent/intake.h"
#include "wire/base/limits.h"

static char dir[64], place[128], *heard;
static size_t heard_len, heard_count;
static channel_t *channel;
static web_t *web;
static console_t *console;
static int console_in;
static uint64_t now = 1000;

static void on_told(void *self, uint64_t errand, bool rejected, bin_t body)
{
    (void)self;
    heard = realloc(heard, heard_len + body.len + 32);
    heard_len += (size_t)sprintf(heard + heard_len, "%d %s", (int)errand, rejected ? "!" : "");
    memcpy(heard + heard_len, body.at, body.len);
    heard_len += body.len;
    heard[heard_len++] = '\n';
    heard[heard_len] = '\0';
    heard_count++;
}

static const told_t told = {NULL, on_told};
static channel_world_t world;

static void spin(void)
{
    for (int i = 0; i < 20; i++) {
        struct pollfd fds[CHANNEL_FDS + 1];
        size_t count = channel ? channel_wants(channel, fds) : 0;
        bool cons = console_wants(console, &fds[count]);
        web_wait(web, fds, count + cons, 1);
        if (cons && fds[count].revents) console_polled(console);
        if (channel) channel_polled(channel, fds, count);
        web_run(web);
    }
}

/* Everything that was said since the last time. */
static const char *said(void)
{
    static char *last;
    spin();
    free(last);
    last = heard ? heard : strdup("");
    heard = NULL;
    heard_len = heard_count = 0;
    return last;
}

static void open_channel(const char *type, const char *where, unsigned direction, unit_t unit)
{
    msg_agent_open_t open = {.channel = 1,
                             .name = text_of("s1:repl"),
                             .type = text_of(type),
                             .place = text_of(where),
                             .direction = direction,
                             .unit = unit};
    channel = channel_new(&world, &open, now);
}

static void set_up(void)
{
    int pipes[2];
    setenv("VATYARD_LOG_LEVEL", "error", 1);
    strcpy(dir, "/tmp/vatyard-channel-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(place, sizeof place, "%s/repl", dir);
    cr_assert_eq(pipe(pipes), 0);
    console_in = pipes[1];
    web = web_new();
    console = console_new(pipes[0], &told);
    world = (channel_world_t){&told, web, console};
}

static void tear_down(void)
{
    char command[128];
    channel_destroy(&channel);
    console_destroy(&console);
    web_destroy(&web);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(agent_channel, .init = set_up, .fini = tear_down, .timeout = 60);

static void read_it(uint64_t errand) { channel_read(channel, errand, now); }
static void write_it(uint64_t errand, const char *text)
{
    channel_write(channel, errand, text_of(text), now);
}

static int client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, place);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    spin();
    return fd;
}

static void send_text(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    spin();
}

static const char *receive(int fd)
{
    static char text[256];
    spin();
    ssize_t len = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[len > 0 ? len : 0] = '\0';
    return len == 0 ? "(end)" : text;
}

/* ---- sockets ---- */

Test(agent_channel, lines_go_both_ways_in_order)
{
    struct stat st;
    open_channel("socket", place, 3, UNIT_LINE);
    cr_assert_eq(stat(place, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    int fd = client();
    read_it(1);
    read_it(2);
    cr_expect_str_eq(said(), "");
    send_text(fd, "one\ntwo\nthree\n");
    cr_expect_str_eq(said(), "1 #\"one\"\n2 #\"two\"\n");
    read_it(3);
    cr_expect_str_eq(said(), "3 #\"three\"\n", "a line that was there before the read");
    write_it(4, "hello");
    write_it(5, "");
    cr_expect_str_eq(receive(fd), "hello\n\n");
    cr_expect_str_eq(said(), "4 #\"#undefined\"\n5 #\"#undefined\"\n");
    close(fd);
}

Test(agent_channel, what_is_left_of_a_line_comes_at_the_end_and_then_null)
{
    open_channel("socket", place, 3, UNIT_LINE);
    int fd = client();
    read_it(1);
    read_it(2);
    read_it(3);
    send_text(fd, "partial");
    cr_expect_str_eq(said(), "");
    close(fd);
    cr_expect_str_eq(said(), "1 #\"partial\"\n2 #null\n3 #null\n");
}

Test(agent_channel, a_read_without_a_client_waits_for_the_next_one)
{
    open_channel("socket", place, 3, UNIT_LINE);
    read_it(1);
    cr_expect_str_eq(said(), "");
    close(client());
    cr_expect_str_eq(said(), "1 #null\n");
    read_it(2);
    cr_expect_str_eq(said(), "");
    int fd = client();
    send_text(fd, "again\n");
    cr_expect_str_eq(said(), "2 #\"again\"\n");
    close(fd);
}

Test(agent_channel, unread_lines_go_with_their_client_when_the_next_one_comes)
{
    open_channel("socket", place, 3, UNIT_LINE);
    int fd = client();
    send_text(fd, "old one\nold two\nold th");
    close(fd);
    spin();
    read_it(1);
    cr_expect_str_eq(said(), "1 #\"old one\"\n", "they can be read meanwhile");
    fd = client();
    read_it(2);
    cr_expect_str_eq(said(), "");
    send_text(fd, "new\n");
    cr_expect_str_eq(said(), "2 #\"new\"\n");
    close(fd);
}

Test(agent_channel, one_client_at_a_time)
{
    open_channel("socket", place, 3, UNIT_LINE);
    int first = client(), second = client();
    cr_expect_str_eq(receive(second), "(end)");
    close(second);
    send_text(first, "still here\n");
    read_it(1);
    cr_expect_str_eq(said(), "1 #\"still here\"\n");
    write_it(2, "you too");
    cr_expect_str_eq(receive(first), "you too\n");
    close(first);
}

Test(agent_channel, a_write_needs_a_client)
{
    open_channel("socket", place, 3, UNIT_LINE);
    write_it(1, "x");
    cr_expect_str_eq(said(), "1 !#{\"#error\":\"IO channel \\\"repl\\\" has no connected "
                             "client\",\"name\":\"Error\"}\n");
}

/* The buffers of the socket are full: the write waits, and is rejected when its client goes. */
Test(agent_channel, a_write_is_answered_when_its_last_byte_is_on_its_way)
{
    enum { LEN = 4 * 1024 * 1024 };
    char *text = malloc(LEN + 1);
    memset(text, 'x', LEN);
    text[LEN] = '\0';
    open_channel("socket", place, 3, UNIT_LINE);
    int fd = client();
    write_it(1, text);
    write_it(2, "behind it");
    cr_expect_str_eq(said(), "");
    size_t got = 0;
    while (got < LEN + 1 + 10) {
        ssize_t len = recv(fd, text, LEN, MSG_DONTWAIT);
        if (len > 0) got += (size_t)len;
        if (len <= 0) spin();
    }
    cr_expect_str_eq(said(), "1 #\"#undefined\"\n2 #\"#undefined\"\n");
    memset(text, 'x', LEN);
    write_it(3, text);
    close(fd);
    cr_expect_str_eq(said(), "3 !#{\"#error\":\"IO channel \\\"repl\\\" has no connected "
                             "client\",\"name\":\"Error\"}\n");
    free(text);
}

Test(agent_channel, closing_answers_everything_and_takes_the_socket_away)
{
    enum { LEN = 4 * 1024 * 1024 };
    struct stat st;
    char *text = calloc(1, LEN + 1);
    memset(text, 'x', LEN);
    open_channel("socket", place, 3, UNIT_LINE);
    int fd = client();
    read_it(1);
    write_it(2, text);
    channel_destroy(&channel);
    cr_expect_str_eq(
        said(),
        "1 #null\n2 !#{\"#error\":\"IO channel \\\"repl\\\" is closed\",\"name\":\"Error\"}\n");
    cr_expect_neq(stat(place, &st), 0);
    close(fd);
    free(text);
}

Test(agent_channel, what_a_dead_process_left_is_replaced_and_nothing_else)
{
    struct stat st;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, place);
    cr_assert_eq(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(dead, 1), 0);

    open_channel("socket", place, 3, UNIT_LINE);
    cr_assert(channel_why(channel), "somebody listens there");
    read_it(1);
    cr_expect_not_null(
        strstr(said(), "1 !#{\"#error\":\"IO channel \\\"repl\\\" cannot be opened: Address"));
    close(dead);
    cr_assert_lt(channel_wake_ms(channel), UINT64_MAX);
    now = channel_wake_ms(channel);
    channel_wake(channel, now);
    cr_expect_null(channel_why(channel), "it is tried again");
    close(client());
    channel_destroy(&channel);

    int file = open(place, O_WRONLY | O_CREAT, 0600);
    close(file);
    open_channel("socket", place, 3, UNIT_LINE);
    cr_expect_str_eq(channel_why(channel), "another kind of file is there");
    channel_destroy(&channel);
    cr_expect_eq(stat(place, &st), 0, "it is still there");
}

Test(agent_channel, trying_again_backs_off)
{
    snprintf(place, sizeof place, "%s/no/such/folder", dir);
    open_channel("socket", place, 3, UNIT_LINE);
    unsigned tries = 0;
    for (uint64_t end = now + 60000; now < end; tries++) {
        cr_assert_gt(channel_wake_ms(channel), now);
        now = channel_wake_ms(channel);
        channel_wake(channel, now);
    }
    cr_expect_geq(tries, 10);
    cr_expect_leq(tries, 20);
}

/* C3: what the channel takes without being read is bounded, and then nothing is lost. */
Test(agent_channel, a_flood_is_paused)
{
    open_channel("socket", place, 3, UNIT_LINE);
    int fd = client();
    char line[16];
    unsigned sent = 0, got = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (size_t total = 0, idle = 0; idle < 5; sent++) {
        int len = snprintf(line, sizeof line, "%07u\n", sent);
        if (send(fd, line, (size_t)len, 0) == len) {
            total += (size_t)len;
            idle = 0;
            cr_assert_lt(total, 4u * INTAKE_BYTES_MAX);
            continue;
        }
        sent--;
        idle++;
        spin();
    }
    struct pollfd fds[CHANNEL_FDS];
    cr_expect_eq(channel_wants(channel, fds), 1, "only the door");
    for (; got < sent; got++) {
        read_it(got);
        if (heard_count == 0) spin();
        char want[64];
        snprintf(want, sizeof want, "%u #\"%07u\"\n", got, got);
        cr_assert(heard && strcmp(heard, want) == 0, "%s is not %s", heard, want);
        heard_len = heard_count = 0;
    }
    close(fd);
}

/* A client that is paused and gone makes room for the next one. */
Test(agent_channel, a_client_that_left_in_a_flood_is_replaced)
{
    open_channel("socket", place, 3, UNIT_LINE);
    int fd = client();
    char line[1024];
    memset(line, '\n', sizeof line);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int idle = 0; idle < 5;) {
        if (send(fd, line, sizeof line, 0) > 0) continue;
        idle++;
        spin();
    }
    close(fd);
    fd = client();
    read_it(1);
    send_text(fd, "new\n");
    cr_expect_str_eq(said(), "1 #\"new\"\n");
    close(fd);
}

Test(agent_channel, directions_are_kept)
{
    open_channel("socket", place, 1, UNIT_LINE);
    write_it(1, "x");
    cr_expect_str_eq(
        said(),
        "1 !#{\"#error\":\"IO channel \\\"io:s1:repl\\\" is read-only\",\"name\":\"Error\"}\n");
    channel_destroy(&channel);
    open_channel("socket", place, 2, UNIT_LINE);
    read_it(2);
    cr_expect_str_eq(
        said(),
        "2 !#{\"#error\":\"IO channel \\\"io:s1:repl\\\" is write-only\",\"name\":\"Error\"}\n");
}

Test(agent_channel, units_other_than_lines)
{
    open_channel("socket", place, 3, UNIT_BYTES);
    int fd = client();
    send_text(fd, "\xff\n");
    read_it(1);
    cr_expect_str_eq(said(), "1 #\"/wo=\"\n");
    write_it(2, "/wo=");
    cr_expect_str_eq(receive(fd), "\xff\n");
    write_it(3, "no base64");
    cr_expect_not_null(strstr(
        said(),
        "3 !#{\"#error\":\"IO channel \\\"repl\\\" writes base64\",\"name\":\"TypeError\"}"));
    close(fd);
    channel_destroy(&channel);

    open_channel("socket", place, 3, UNIT_STRING);
    fd = client();
    send_text(fd, "a\nb");
    read_it(4);
    cr_expect_str_eq(said(), "4 #\"a\\nb\"\n");
    write_it(5, "c");
    cr_expect_str_eq(receive(fd), "c");
    channel_write(channel, 6, (text_t){NULL, 0}, now);
    cr_expect_not_null(strstr(said(), "writes strings"));
    close(fd);
}

/* ---- TCP ---- */

static int listener(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

Test(agent_channel, listen_waits_for_tcp_clients)
{
    uint16_t port;
    close(listener(&port));
    snprintf(place, sizeof place, ":%u", port);
    open_channel("listen", place, 3, UNIT_LINE);
    cr_assert_null(channel_why(channel));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    send_text(fd, "hi\n");
    read_it(1);
    cr_expect_str_eq(said(), "1 #\"hi\"\n");
    write_it(2, "ho");
    cr_expect_str_eq(receive(fd), "ho\n");
    close(fd);
    channel_destroy(&channel);
    open_channel("listen", "somewhere.test:80", 3, UNIT_LINE);
    cr_expect_not_null(channel_why(channel), "no name is looked up");
    channel_destroy(&channel);
    open_channel("listen", "nowhere", 3, UNIT_LINE);
    cr_expect_str_eq(channel_why(channel), "it is no host:port");
}

Test(agent_channel, network_connects_when_it_is_asked_and_again_after_an_end)
{
    uint16_t port;
    int door = listener(&port);
    cr_assert_eq(listen(door, 4), 0);
    snprintf(place, sizeof place, "127.0.0.1:%u", port);
    open_channel("network", place, 3, UNIT_LINE);
    write_it(1, "first");
    spin();
    int fd = accept(door, NULL, NULL);
    cr_expect_str_eq(receive(fd), "first\n");
    cr_expect_str_eq(said(), "1 #\"#undefined\"\n");
    read_it(2);
    send_text(fd, "back\n");
    read_it(3);
    close(fd);
    cr_expect_str_eq(said(), "2 #\"back\"\n3 #null\n");

    read_it(4);
    spin();
    fd = accept(door, NULL, NULL);
    send_text(fd, "again\n");
    cr_expect_str_eq(said(), "4 #\"again\"\n");
    close(fd);
    close(door);
    spin();
    read_it(5);
    write_it(6, "x");
    const char *text = said();
    cr_expect_not_null(strstr(text, "5 !#{\"#error\":\"IO channel \\\"repl\\\" cannot be opened: "),
                       "%s", text);
    cr_expect_not_null(strstr(text, "6 !#{\"#error\":\"IO channel \\\"repl\\\" cannot be opened: "),
                       "%s", text);
}

Test(agent_channel, network_wants_host_and_port_and_nothing_else)
{
    static const char *const bad[] = {
        "localhost", "localhost:1/x",   "u@localhost:1", "localhost:1?x", ":",
        "",          "localhost:99999", "a b:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_channel("network", bad[i], 3, UNIT_LINE);
        read_it(1);
        cr_expect_not_null(strstr(said(), "it is no host:port"), "%s", bad[i]);
        channel_destroy(&channel);
    }
}

/* ---- files ---- */

static void write_file(const char *text)
{
    FILE *file = fopen(place, "a");
    fputs(text, file);
    fclose(file);
}

Test(agent_channel, a_file_is_read_line_by_line_then_null)
{
    write_file("one\ntwo\nrest");
    open_channel("file", place, 1, UNIT_LINE);
    for (uint64_t i = 1; i <= 5; i++) read_it(i);
    cr_expect_str_eq(said(), "1 #\"one\"\n2 #\"two\"\n3 #\"rest\"\n4 #null\n5 #null\n");
    write_file("more\n");
    read_it(6);
    read_it(7);
    cr_expect_str_eq(said(), "6 #\"more\"\n7 #null\n", "what was appended since");
}

Test(agent_channel, a_large_file_is_read_in_pieces)
{
    FILE *file = fopen(place, "w");
    for (int i = 0; i < 400000; i++) fprintf(file, "%07d\n", i);
    fclose(file);
    open_channel("file", place, 1, UNIT_LINE);
    for (int i = 0; i < 400000; i++) {
        char want[64];
        heard_len = 0;
        read_it(5);
        snprintf(want, sizeof want, "5 #\"%07d\"\n", i);
        cr_assert_str_eq(heard, want);
    }
    said();
    read_it(6);
    cr_expect_str_eq(said(), "6 #null\n");
}

Test(agent_channel, a_file_is_appended_to)
{
    struct stat st;
    open_channel("file", place, 2, UNIT_LINE);
    cr_assert_eq(stat(place, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    write_it(1, "a");
    channel_destroy(&channel);
    open_channel("file", place, 3, UNIT_LINE);
    write_it(2, "b");
    read_it(3);
    read_it(4);
    write_it(5, "c");
    read_it(6);
    cr_expect_str_eq(
        said(),
        "1 #\"#undefined\"\n2 #\"#undefined\"\n3 #\"a\"\n4 #\"b\"\n5 #\"#undefined\"\n6 #\"c\"\n");
}

Test(agent_channel, a_file_that_is_not_there_is_tried_at_each_read)
{
    open_channel("file", place, 1, UNIT_LINE);
    read_it(1);
    cr_expect_str_eq(said(), "1 !#{\"#error\":\"IO channel \\\"repl\\\" cannot be opened: No such "
                             "file or directory\",\"name\":\"Error\"}\n");
    write_file("here\n");
    read_it(2);
    cr_expect_str_eq(said(), "2 #\"here\"\n");
    channel_destroy(&channel);
    open_channel("file", dir, 1, UNIT_LINE);
    cr_expect_str_eq(channel_why(channel), "it is no regular file");
    channel_destroy(&channel);
    snprintf(place, sizeof place, "%s/pipe", dir);
    cr_assert_eq(mkfifo(place, 0600), 0);
    open_channel("file", place, 1, UNIT_LINE);
    cr_expect_str_eq(channel_why(channel), "it is no regular file");
}

/* ---- the console ---- */

Test(agent_channel, the_console_gives_each_line_to_who_asked_first)
{
    open_channel("console", "", 3, UNIT_LINE);
    channel_t *one = channel;
    open_channel("console", "", 3, UNIT_LINE);
    channel_read(one, 1, now);
    read_it(2);
    channel_read(one, 3, now);
    channel_read(one, 4, now);
    cr_assert_eq(write(console_in, "a\nb\n", 4), 4);
    cr_expect_str_eq(said(), "1 #\"a\"\n2 #\"b\"\n");
    channel_destroy(&channel);
    channel_destroy(&one);
    cr_expect_str_eq(said(), "3 #null\n4 #null\n");
}

Test(agent_channel, the_console_ends_and_is_not_read_unasked)
{
    struct pollfd fd;
    open_channel("console", "", 3, UNIT_LINE);
    cr_expect_not(console_wants(console, &fd));
    cr_assert_eq(write(console_in, "rest", 4), 4);
    close(console_in);
    read_it(1);
    read_it(2);
    cr_expect_str_eq(said(), "1 #\"rest\"\n2 #null\n");
    read_it(3);
    cr_expect_str_eq(said(), "3 #null\n");
    write_it(4, "a line on the log");
    cr_expect_str_eq(said(), "4 #\"#undefined\"\n");
}

Test(agent_channel, a_type_that_is_not_known_is_said)
{
    open_channel("telepathy", "", 3, UNIT_LINE);
    read_it(1);
    cr_expect_not_null(strstr(said(), "is of no known type"));
}
