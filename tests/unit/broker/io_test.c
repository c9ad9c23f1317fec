/* The doors with real sockets: who comes in, what a big frame looks like, who may open the control
 * socket.
 *
 * Method: a host here is a bare DEALER with a CURVE key. "Never delivered" is checked by a second,
 * allowed host that sends later: when its message is there, the other one's would be as well. */
#include <criterion/criterion.h>
#include <czmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/io/doors.h"
#include "broker/io/zap.h"
#include "wire/base/limits.h"

static char dir[64], allow_path[96], control[96];
static const char *control_read; /* NULL unless the test has one */
static keys_t keys;
static allow_t *allow, *join; /* join: NULL unless the test makes one */
static doors_t *doors;
static port_t port;

static void set_up(void)
{
    char why[256] = "";
    zsys_handler_set(NULL);
    strcpy(dir, "/tmp/vatyard-io-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(allow_path, sizeof allow_path, "%s/hosts.allow", dir);
    snprintf(control, sizeof control, "ipc://%s/control.sock", dir);
    cr_assert_eq(keys_open(dir, "broker", &keys, why), ERR_OK, "%s", why);
    allow = allow_new(allow_path);
}

static void open_doors(void)
{
    doors_options_t options = {"tcp://127.0.0.1:*", control, &keys, allow, join, NULL,
                               control_read};
    doors = doors_new(&options);
    err_t err = doors_open(doors);
    cr_assert_eq(err, ERR_OK, "%s: %s", err_name(err), doors_why(doors));
    port = doors_port(doors);
}

static void tear_down(void)
{
    doors_destroy(&doors);
    allow_destroy(&join);
    allow_destroy(&allow);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(io, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- hosts ---- */

typedef struct {
    zsock_t *sock;
    char public_key[41], secret_key[41];
} guest_t;

static guest_t guest_new(void)
{
    guest_t guest = {.sock = zsock_new(ZMQ_DEALER)};
    cr_assert_eq(zmq_curve_keypair(guest.public_key, guest.secret_key), 0);
    return guest;
}

static void guest_connect(guest_t *guest)
{
    zsock_set_curve_serverkey(guest->sock, keys.public_key);
    zsock_set_curve_publickey(guest->sock, guest->public_key);
    zsock_set_curve_secretkey(guest->sock, guest->secret_key);
    zsock_set_linger(guest->sock, 0);
    zsock_set_rcvtimeo(guest->sock, 5000);
    cr_assert_eq(zsock_connect(guest->sock, "%s", doors_endpoint(doors, DOOR_HOSTS)), 0);
}

static void guest_say(guest_t *guest, const char *text)
{
    cr_assert_eq(zmq_send(zsock_resolve(guest->sock), text, strlen(text), 0), (int)strlen(text));
}

static void allow_only(const guest_t *one, const guest_t *two)
{
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", allow_path);
    FILE *file = fopen(fresh, "w");
    fprintf(file, "# hosts that may connect\n\n");
    if (one) fprintf(file, "%s one\n", one->public_key);
    if (two) fprintf(file, "%s two # the other\n", two->public_key);
    fclose(file);
    cr_assert_eq(rename(fresh, allow_path), 0);
}

static bool arrives_within(arrival_t *ret, int ms)
{
    int64_t end = zclock_mono() + ms;
    do {
        port.wait(port.self, 100);
        if (port.take(port.self, ret)) return true;
    } while (zclock_mono() < end);
    return false;
}

static void expect_arrival(arrival_t *ret, const char *text)
{
    cr_assert(arrives_within(ret, 10000), "'%s' does not arrive", text);
    bin_t frame = blob_bin(ret->frame);
    cr_expect_eq(frame.len, strlen(text));
    cr_expect_eq(memcmp(frame.at, text, frame.len), 0, "'%s' is not '%.*s'", text, (int)frame.len,
                 frame.at);
    blob_destroy(&ret->frame);
}

Test(io, an_unknown_key_is_never_delivered_and_an_allowed_one_is)
{
    guest_t friendly = guest_new(), stranger = guest_new();
    allow_only(&friendly, NULL);
    open_doors();
    guest_connect(&stranger);
    guest_say(&stranger, "let me in");
    zclock_sleep(300);
    guest_connect(&friendly);
    guest_say(&friendly, "hello");

    arrival_t arrival;
    expect_arrival(&arrival, "hello");
    char text[41];
    key_text(arrival.key, text);
    cr_expect_str_eq(text, friendly.public_key);
    cr_expect(arrival.admitted);
    cr_expect_not(arrives_within(&arrival, 500), "the stranger's message is there");
    zsock_destroy(&friendly.sock);
    zsock_destroy(&stranger.sock);
}

/* ---- join keys ---- */

static hash_t join_key;

static err_t admit(hash_t key, const char *name)
{
    newcomer_t one = {key, text_of(name), ERR_OK, join_key};
    port.admit(port.self, &one, 1);
    return one.err;
}

static void write_join(const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/join.pub", dir);
    FILE *file = fopen(path, "w");
    fprintf(file, "%s\n", text);
    fclose(file);
    if (!join) join = allow_new(path);
}

static void join_with(const guest_t *one)
{
    write_join(one->public_key);
    cr_assert(key_parse(text_of(one->public_key), &join_key));
}

static hash_t key_of(const guest_t *guest)
{
    hash_t key;
    cr_assert(key_parse(text_of(guest->public_key), &key));
    return key;
}

static char *allow_text(void)
{
    static char text[4096];
    FILE *file = fopen(allow_path, "r");
    cr_assert(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

Test(io, a_join_key_arrives_as_one_that_may_join_and_nothing_else)
{
    guest_t newcomer = guest_new();
    join_with(&newcomer);
    open_doors();
    guest_connect(&newcomer);
    guest_say(&newcomer, "join");
    arrival_t arrival;
    expect_arrival(&arrival, "join");
    cr_expect_not(arrival.admitted);
    cr_expect(arrival.joins);
    cr_expect_not(port.admits(port.self, key_of(&newcomer), NULL));
    zsock_destroy(&newcomer.sock);
}

Test(io, what_a_join_key_puts_on_the_list_may_connect)
{
    guest_t newcomer = guest_new(), host = guest_new();
    arrival_t arrival;
    join_with(&newcomer);
    allow_only(NULL, NULL);
    open_doors();
    for (int i = 0; i < 2; i++) cr_expect_eq(admit(key_of(&host), "new\none"), ERR_OK);
    guest_connect(&host);
    guest_say(&host, "hello");
    expect_arrival(&arrival, "hello");
    cr_expect(arrival.admitted);
    cr_expect_not(arrival.joins);
    char *first = strstr(allow_text(), host.public_key);
    cr_assert(first, "%s", allow_text());
    cr_expect_null(strstr(first + 1, host.public_key), "twice: %s", allow_text());
    cr_expect(strstr(allow_text(), " as new?one\n"), "%s", allow_text());
    cr_expect(strstr(allow_text(), "# hosts that may connect\n"), "what stood there stays");
    cr_expect_eq(allow_bad_lines(allow), 0);
    zsock_destroy(&newcomer.sock);
    zsock_destroy(&host.sock);
}

Test(io, a_line_without_an_end_is_not_run_into_the_next)
{
    guest_t newcomer = guest_new(), one = guest_new(), two = guest_new();
    join_with(&newcomer);
    FILE *file = fopen(allow_path, "w");
    fprintf(file, "%s one", one.public_key);
    fclose(file);
    open_doors();
    cr_expect_eq(admit(key_of(&two), "two"), ERR_OK);
    cr_expect(port.admits(port.self, key_of(&one), NULL));
    cr_expect(port.admits(port.self, key_of(&two), NULL));
    cr_expect_eq(allow_bad_lines(allow), 0);
    zsock_destroy(&newcomer.sock);
    zsock_destroy(&one.sock);
    zsock_destroy(&two.sock);
}

/* A host that says JOIN again before it is answered, perhaps over another connection. */
Test(io, those_that_join_together_have_a_line_each)
{
    guest_t newcomer = guest_new(), one = guest_new(), two = guest_new();
    join_with(&newcomer);
    allow_only(NULL, NULL);
    open_doors();
    newcomer_t all[] = {{key_of(&one), text_of("one"), ERR_OK, join_key},
                        {key_of(&newcomer), text_of("thief"), ERR_OK, join_key},
                        {key_of(&two), text_of("two"), ERR_OK, join_key},
                        {key_of(&one), text_of("one again"), ERR_OK, join_key}};
    port.admit(port.self, all, 4);
    for (int i = 0; i < 4; i++) cr_expect_eq(all[i].err, i == 1 ? ERR_BAD_VALUE : ERR_OK, "%d", i);
    cr_expect(port.admits(port.self, key_of(&one), NULL));
    cr_expect(port.admits(port.self, key_of(&two), NULL));
    cr_expect_not(port.admits(port.self, key_of(&newcomer), NULL));
    cr_expect_null(strstr(allow_text(), "again"), "%s", allow_text());
    cr_expect_eq(allow_bad_lines(allow), 0);
    zsock_destroy(&newcomer.sock);
    zsock_destroy(&one.sock);
    zsock_destroy(&two.sock);
}

Test(io, a_join_key_does_not_make_itself_a_host)
{
    guest_t newcomer = guest_new();
    join_with(&newcomer);
    open_doors();
    cr_expect_eq(admit(key_of(&newcomer), "x"), ERR_BAD_VALUE);
    cr_expect_not(port.admits(port.self, key_of(&newcomer), NULL));
    zsock_destroy(&newcomer.sock);
}

/* The door is closed while somebody waits behind it. */
Test(io, who_waits_with_a_join_key_that_goes_is_not_admitted)
{
    guest_t newcomer = guest_new(), other = guest_new(), one = guest_new(), two = guest_new();
    join_with(&newcomer);
    open_doors();
    cr_expect_eq(admit(key_of(&one), "one"), ERR_OK);
    write_join("");
    cr_expect_eq(admit(key_of(&two), "two"), ERR_KEY_REFUSED);
    write_join(other.public_key);
    cr_expect_eq(admit(key_of(&two), "two"), ERR_KEY_REFUSED, "it came with another one");
    cr_expect_not(port.admits(port.self, key_of(&two), NULL));
    cr_expect(port.admits(port.self, key_of(&one), NULL));
    zsock_destroy(&newcomer.sock);
    zsock_destroy(&other.sock);
    zsock_destroy(&one.sock);
    zsock_destroy(&two.sock);
}

Test(io, a_list_that_cannot_be_written_is_an_error)
{
    guest_t newcomer = guest_new(), host = guest_new();
    join_with(&newcomer);
    cr_assert_eq(mkdir(allow_path, 0700), 0);
    open_doors();
    cr_expect_eq(admit(key_of(&host), "x"), ERR_STORE);
    cr_expect_not(port.admits(port.self, key_of(&host), NULL));
    zsock_destroy(&newcomer.sock);
    zsock_destroy(&host.sock);
}

Test(io, without_an_allow_list_nobody_comes_in)
{
    guest_t guest = guest_new();
    open_doors();
    guest_connect(&guest);
    guest_say(&guest, "hello");
    arrival_t arrival;
    cr_expect_not(arrives_within(&arrival, 700));
    zsock_destroy(&guest.sock);
}

Test(io, a_peer_without_curve_is_never_delivered)
{
    guest_t plain = guest_new();
    allow_only(&plain, NULL);
    open_doors();
    zsock_set_linger(plain.sock, 0);
    cr_assert_eq(zsock_connect(plain.sock, "%s", doors_endpoint(doors, DOOR_HOSTS)), 0);
    guest_say(&plain, "no need for keys");
    arrival_t arrival;
    cr_expect_not(arrives_within(&arrival, 700));
    zsock_destroy(&plain.sock);
}

Test(io, a_revoked_key_is_refused_from_its_next_message_on)
{
    guest_t one = guest_new(), two = guest_new();
    allow_only(&one, &two);
    open_doors();
    guest_connect(&one);
    guest_say(&one, "first");
    arrival_t arrival;
    expect_arrival(&arrival, "first");
    cr_expect(arrival.admitted);

    allow_only(&two, NULL);
    guest_say(&one, "second");
    expect_arrival(&arrival, "second");
    cr_expect_not(arrival.admitted, "its connection still stands, its key is no good any more");

    allow_only(&one, &two);
    guest_say(&one, "third");
    expect_arrival(&arrival, "third");
    cr_expect(arrival.admitted);
    zsock_destroy(&one.sock);
    zsock_destroy(&two.sock);
}

Test(io, a_host_that_claims_anothers_routing_id_does_not_get_its_mail)
{
    guest_t honest = guest_new(), thief = guest_new();
    allow_only(&honest, &thief);
    open_doors();
    zsock_set_identity(honest.sock, "h1");
    zsock_set_identity(thief.sock, "h1");
    guest_connect(&honest);
    guest_say(&honest, "I am one");
    arrival_t arrival;
    expect_arrival(&arrival, "I am one");
    route_t route = arrival.route;

    guest_connect(&thief);
    guest_say(&thief, "so am I");
    cr_expect_not(arrives_within(&arrival, 700), "no handover");
    cr_expect(port.send(port.self, DOOR_HOSTS, &route, (bin_t){(const uint8_t *)"mail", 4}));
    char *text = zstr_recv(honest.sock);
    cr_expect_str_eq(text, "mail");
    zstr_free(&text);
    zsock_destroy(&honest.sock);
    zsock_destroy(&thief.sock);
}

/* ---- frames ---- */

Test(io, three_mebibytes_travel_in_parts_both_ways)
{
    enum { BIG = 3 * 1024 * 1024 + 17 };
    uint8_t *big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++) big[i] = (uint8_t)(i * 31 >> 3);
    guest_t guest = guest_new();
    allow_only(&guest, NULL);
    open_doors();
    guest_connect(&guest);
    void *raw = zsock_resolve(guest.sock);
    for (size_t at = 0; at < BIG; at += PART_BYTES_MAX) {
        size_t len = BIG - at < PART_BYTES_MAX ? BIG - at : PART_BYTES_MAX;
        cr_assert(zmq_send(raw, big + at, len, at + len < BIG ? ZMQ_SNDMORE : 0) >= 0);
    }
    arrival_t arrival;
    cr_assert(arrives_within(&arrival, 10000));
    cr_expect_not(arrival.too_large);
    bin_t frame = blob_bin(arrival.frame);
    cr_expect_eq(frame.len, BIG);
    cr_expect_eq(memcmp(frame.at, big, BIG), 0);

    cr_assert(port.send(port.self, DOOR_HOSTS, &arrival.route, frame));
    zmsg_t *back = zmsg_recv(guest.sock);
    cr_assert(back);
    size_t at = 0;
    for (zframe_t *part = zmsg_first(back); part; part = zmsg_next(back)) {
        cr_expect_leq(zframe_size(part), PART_BYTES_MAX);
        cr_expect_eq(memcmp(big + at, zframe_data(part), zframe_size(part)), 0);
        at += zframe_size(part);
    }
    cr_expect_eq(at, BIG);
    zmsg_destroy(&back);
    blob_destroy(&arrival.frame);
    zsock_destroy(&guest.sock);
    free(big);
}

Test(io, a_message_beyond_the_limit_is_taken_as_too_large_and_the_next_one_is_whole)
{
    uint8_t *part = calloc(1, PART_BYTES_MAX);
    guest_t guest = guest_new();
    allow_only(&guest, NULL);
    open_doors();
    guest_connect(&guest);
    for (int i = 0; i <= FRAME_BYTES_MAX / PART_BYTES_MAX; i++) {
        cr_assert(zmq_send(zsock_resolve(guest.sock), part, PART_BYTES_MAX, ZMQ_SNDMORE) >= 0);
    }
    guest_say(&guest, "and one more");
    guest_say(&guest, "small");
    arrival_t arrival;
    cr_assert(arrives_within(&arrival, 20000));
    cr_expect(arrival.too_large);
    cr_expect_null(arrival.frame);
    expect_arrival(&arrival, "small");
    zsock_destroy(&guest.sock);
    free(part);
}

Test(io, a_send_to_a_connection_that_is_gone_says_so)
{
    open_doors();
    zsock_t *client = zsock_new(ZMQ_DEALER);
    cr_assert_eq(zsock_connect(client, "%s", control), 0);
    zstr_send(client, "hello");
    arrival_t arrival;
    expect_arrival(&arrival, "hello");
    cr_expect_eq(arrival.door, DOOR_CLIENTS);
    bin_t frame = {(const uint8_t *)"x", 1};
    cr_expect(port.send(port.self, DOOR_CLIENTS, &arrival.route, frame));
    zsock_destroy(&client);
    bool sent = true;
    for (int i = 0; i < 50 && sent; i++) {
        zclock_sleep(20);
        port.wait(port.self, 0);
        sent = port.send(port.self, DOOR_CLIENTS, &arrival.route, frame);
    }
    cr_expect_not(sent);
}

/* ---- the handler ---- */

Test(io, the_zap_handler_refuses_what_is_not_a_whole_request)
{
    zap_t *zap = zap_new(allow, NULL); /* it has proved itself, or the test is over here */
    zsock_t *asker = zsock_new(ZMQ_REQ);
    cr_assert_eq(zsock_connect(asker, "inproc://zeromq.zap.01"), 0);
    zsock_set_rcvtimeo(asker, 5000);
    for (int words = 1; words < 10; words++) {
        zmsg_t *request = zmsg_new();
        for (int i = 0; i < words; i++) zmsg_addstr(request, i == 0 ? "1.0" : "x");
        zmsg_send(&request, asker);
        zmsg_t *reply = zmsg_recv(asker);
        cr_assert(reply, "no answer to %d frames", words);
        zmsg_first(reply);
        zmsg_next(reply);
        cr_expect(zframe_streq(zmsg_next(reply), "400"));
        zmsg_destroy(&reply);
    }
    zsock_destroy(&asker);
    zap_destroy(&zap);
}

/* ---- control, addresses, keys ---- */

Test(io, the_control_socket_is_private)
{
    open_doors();
    struct stat st;
    cr_assert_eq(stat(control + 6, &st), 0);
    cr_expect(S_ISSOCK(st.st_mode));
    cr_expect_eq(st.st_mode & 0777, 0600);
}

/* A reader that asks as fast as it can, or never reads, is nobody else's trouble. */
Test(io, readers_have_a_door_of_their_own)
{
    enum { ASKED = 40, ANSWERS = 2000 };
    char path[96];
    arrival_t arrival;
    struct stat st;
    snprintf(path, sizeof path, "ipc://%s/read.sock", dir);
    control_read = path;
    open_doors();
    cr_expect_str_eq(doors_endpoint(doors, DOOR_READERS), path);
    cr_assert_eq(stat(path + 6, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);

    zsock_t *reader = zsock_new(ZMQ_DEALER), *client = zsock_new(ZMQ_DEALER);
    cr_assert_eq(zsock_connect(reader, "%s", path), 0);
    cr_assert_eq(zsock_connect(client, "%s", control), 0);
    zstr_send(reader, "first");
    expect_arrival(&arrival, "first");
    cr_expect_eq(arrival.door, DOOR_READERS);
    cr_expect(arrival.admitted);
    route_t route = arrival.route;

    for (int i = 0; i < ASKED; i++) zstr_send(reader, "figures");
    zstr_send(client, "launch");
    zclock_sleep(300);
    port.wait(port.self, 0);
    int figures = 0, launches = 0;
    while (port.take(port.self, &arrival)) {
        figures += arrival.door == DOOR_READERS;
        launches += arrival.door == DOOR_CLIENTS;
        blob_destroy(&arrival.frame);
    }
    cr_expect_eq(launches, 1);
    cr_expect_eq(figures, 4, "the others wait for the next turn");

    static uint8_t large[256 * 1024];
    int sent = 0;
    while (sent < ANSWERS &&
           port.send(port.self, DOOR_READERS, &route, (bin_t){large, sizeof large}))
        sent++;
    cr_expect_lt(sent, 100, "who does not read what it asked for is cut off");
    zsock_destroy(&reader);
    zsock_destroy(&client);
}

static err_t try_open(const char *listen_at, const char *control_at, bool *named)
{
    doors_t *other = doors_new(&(doors_options_t){
        .listen = listen_at, .control = control_at, .keys = &keys, .allow = allow});
    err_t err = doors_open(other);
    *named = err && strstr(doors_why(other), strncmp(listen_at, "tcp", 3) ? listen_at : "");
    doors_destroy(&other);
    return err;
}

Test(io, a_dead_brokers_socket_is_taken_over)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, control + 6);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    open_doors();
    struct stat st;
    cr_assert_eq(stat(control + 6, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
}

Test(io, a_living_ones_socket_is_not)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, control + 6);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 4), 0);
    bool named;
    cr_expect_eq(try_open("tcp://127.0.0.1:*", control, &named), ERR_ADDRESS_IN_USE);
    close(fd);
}

Test(io, addresses_that_cannot_be_had_are_named)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 4), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char taken[64];
    snprintf(taken, sizeof taken, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    bool named;
    cr_expect_eq(try_open(taken, control, &named), ERR_ADDRESS_IN_USE);
    cr_expect(named);
    cr_expect_eq(try_open("ipc:///tmp/x", control, &named), ERR_BAD_VALUE);
    cr_expect_eq(try_open("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", &named), ERR_BAD_VALUE);
    char longer[300] = "ipc:///tmp/";
    memset(longer + 11, 'x', 200);
    cr_expect_eq(try_open("tcp://127.0.0.1:*", longer, &named), ERR_BAD_VALUE);
    close(fd);
}

Test(io, a_control_socket_where_others_can_write_is_refused)
{
    char open_dir[96], path[160];
    snprintf(open_dir, sizeof open_dir, "%s/open", dir);
    cr_assert_eq(mkdir(open_dir, 0700), 0);
    cr_assert_eq(chmod(open_dir, 0777), 0);
    snprintf(path, sizeof path, "ipc://%s/c", open_dir);
    bool named;
    cr_expect_eq(try_open("tcp://127.0.0.1:*", path, &named), ERR_KEY_FILE);
}
