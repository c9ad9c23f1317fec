/* The program itself: what it prints, what it refuses, how it ends.
 *
 * Method: $VATYARD_BIN/vatbroker runs as a child; its stderr goes to a file, its ready line into a
 * pipe. A host is a bare DEALER that says HELLO. The disk fails by a limit on file size, set on the
 * running child from outside. */
#include <criterion/criterion.h>
#include <czmq.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/codec/codec.h"
#include "wire/pages/pages.h"

int prlimit(pid_t pid, int resource, const struct rlimit *fresh, struct rlimit *old);

static char dir[64], state[96], errors[96], secret[41], public_key[41];

typedef struct {
    pid_t pid;
    int out;
    char hosts[128], control[160], key[64];
} child_t;

static void set_up(void)
{
    zsys_handler_set(NULL);
    strcpy(dir, "/tmp/vatyard-process-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(state, sizeof state, "%s/state", dir);
    snprintf(errors, sizeof errors, "%s/errors", dir);
    cr_assert_eq(zmq_curve_keypair(public_key, secret), 0);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(process, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- the child ---- */

static child_t spawn(const char *const *more)
{
    const char *args[16] = {"vatbroker", "--state", state};
    char program[512];
    int pipes[2], count = 3;
    const char *bin = getenv("VATYARD_BIN");
    cr_assert(bin, "VATYARD_BIN names the folder of the programs");
    snprintf(program, sizeof program, "%s/vatbroker", bin);
    while (more && *more) args[count++] = *more++;
    cr_assert_eq(pipe(pipes), 0);
    child_t child = {.pid = fork(), .out = pipes[0]};
    if (child.pid == 0) {
        int fd = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(pipes[1], STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execv(program, (char *const *)(uintptr_t)args);
        _exit(99);
    }
    close(pipes[1]);
    return child;
}

static void cut(const char *line, const char *name, char *ret, size_t room)
{
    const char *at = strstr(line, name);
    cr_assert(at, "no %s in %s", name, line);
    snprintf(ret, room, "%.*s", (int)strcspn(at + strlen(name), "\""), at + strlen(name));
}

static child_t start(const char *const *more)
{
    child_t child = spawn(more);
    char line[1024] = "";
    FILE *file = fdopen(child.out, "r");
    cr_assert(fgets(line, sizeof line, file), "no ready line");
    fclose(file);
    cr_assert_eq(strncmp(line, "ready {", 7), 0, "%s", line);
    cut(line, "\"hosts\":\"", child.hosts, sizeof child.hosts);
    cut(line, "\"control\":\"", child.control, sizeof child.control);
    cut(line, "\"key\":\"", child.key, sizeof child.key);
    return child;
}

/* Its exit code; 1000 and the number when a signal ended it. */
static int end_of(const child_t *child)
{
    int status;
    cr_assert_eq(waitpid(child->pid, &status, 0), child->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int stop(const child_t *child)
{
    kill(child->pid, SIGTERM);
    return end_of(child);
}

static bool said(const char *text)
{
    char all[16384] = "";
    FILE *file = fopen(errors, "r");
    size_t len = fread(all, 1, sizeof all - 1, file);
    fclose(file);
    all[len] = 0;
    return strstr(all, text) != NULL;
}

/* ---- a host ---- */

static void admit(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/hosts.allow", state);
    FILE *file = fopen(path, "w");
    fprintf(file, "%s one\n", public_key);
    fclose(file);
}

static zsock_t *connect_host(const child_t *child)
{
    zsock_t *sock = zsock_new(ZMQ_DEALER);
    zsock_set_curve_serverkey(sock, child->key);
    zsock_set_curve_publickey(sock, public_key);
    zsock_set_curve_secretkey(sock, secret);
    zsock_set_linger(sock, 0);
    zsock_set_rcvtimeo(sock, 5000);
    cr_assert_eq(zsock_connect(sock, "%s", child->hosts), 0);
    return sock;
}

static void say(zsock_t *sock, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    cr_assert(zmq_send(zsock_resolve(sock), frame.at, frame.len, 0) >= 0);
    buf_clear(&frame);
}

/* The epoch of the WELCOME that comes; 0: none came in 5 s. */
static uint64_t welcome_epoch(zsock_t *sock)
{
    zframe_t *frame = zframe_recv(sock);
    msg_t msg;
    if (!frame) return 0;
    cr_assert_eq(msg_decode((bin_t){zframe_data(frame), zframe_size(frame)}, &msg), ERR_OK);
    cr_expect_eq(msg.tag, TAG_welcome);
    uint64_t epoch = msg.tag == TAG_welcome ? msg.body.welcome.epoch : 0;
    msg_clear(&msg);
    zframe_destroy(&frame);
    return epoch;
}

static const msg_hello_t hello = {.proto_min = 1, .proto_max = 1, .name = {"one", 3}};

/* ---- stories ---- */

Test(process, it_says_where_it_is_and_ends_cleanly)
{
    child_t child = start(NULL);
    cr_expect_eq(strncmp(child.hosts, "tcp://127.0.0.1:", 16), 0, "%s", child.hosts);
    cr_expect_eq(strlen(child.key), 40);
    struct stat st;
    cr_assert_eq(stat(child.control + 6, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(stat(state, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0700);
    cr_expect_eq(stop(&child), 0);
}

Test(process, epochs_rise_over_a_kill_and_keys_stay)
{
    child_t child = start(NULL);
    admit();
    zsock_t *sock = connect_host(&child);
    say(sock, TAG_hello, &hello);
    uint64_t first = welcome_epoch(sock);
    cr_expect_gt(first, 0);
    zsock_destroy(&sock);
    kill(child.pid, SIGKILL);
    cr_expect_eq(end_of(&child), 1000 + SIGKILL);

    child_t again = start(NULL);
    cr_expect_str_eq(again.key, child.key);
    sock = connect_host(&again);
    say(sock, TAG_hello, &hello);
    cr_expect_gt(welcome_epoch(sock), first);
    zsock_destroy(&sock);
    cr_expect_eq(stop(&again), 0);
}

Test(process, a_second_broker_on_the_same_state_is_refused)
{
    child_t child = start(NULL);
    child_t second = spawn(NULL);
    cr_expect_eq(end_of(&second), err_row(ERR_STORE_LOCKED)->exit);
    cr_expect(said("error E5003: "));
    cr_expect(said(state));
    cr_expect(said("\n  try     "));
    close(second.out);
    cr_expect_eq(stop(&child), 0);
}

Test(process, a_port_in_use_is_named)
{
    child_t child = start(NULL);
    char first[96];
    strcpy(first, state);
    snprintf(state, sizeof state, "%s/other", dir);
    const char *const more[] = {"--listen", child.hosts, NULL};
    child_t second = spawn(more);
    cr_expect_eq(end_of(&second), err_row(ERR_ADDRESS_IN_USE)->exit);
    cr_expect(said("error E3005: "));
    cr_expect(said(child.hosts));
    close(second.out);
    cr_expect_eq(stop(&child), 0);
}

Test(process, a_key_that_others_can_read_is_refused)
{
    child_t child = start(NULL);
    cr_expect_eq(stop(&child), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/broker.key", state);
    cr_assert_eq(chmod(path, 0644), 0);
    child = spawn(NULL);
    cr_expect_eq(end_of(&child), err_row(ERR_KEY_FILE)->exit);
    cr_expect(said("error E6001: "));
    close(child.out);
}

Test(process, a_damaged_database_is_refused)
{
    child_t child = start(NULL);
    cr_expect_eq(stop(&child), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/kernel.db", state);
    int fd = open(path, O_WRONLY);
    cr_assert_geq(fd, 0);
    char noise[4096];
    memset(noise, 0x5a, sizeof noise);
    cr_assert_eq(pwrite(fd, noise, sizeof noise, 0), (ssize_t)sizeof noise);
    close(fd);
    child = spawn(NULL);
    cr_expect_neq(end_of(&child), 0);
    cr_expect(said("error E5"));
    close(child.out);
}

/* Only the audit can find this: an object of a vat that never was. */
static void add_stray_object(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kernel.db", state);
    sqlite3 *db = NULL;
    cr_assert_eq(pages_open(path, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    const char *sql = "INSERT INTO object (kref, owner, reachable, recognizable, pins, revoked)"
                      " VALUES (4294967296, 1, 1, 1, 1, 0)";
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(process, rows_that_contradict_each_other_are_found_before_a_door_opens)
{
    child_t child = start(NULL);
    snprintf(state, sizeof state, "%s/other", dir);
    child_t other = start(NULL);
    cr_expect_eq(stop(&other), 0);
    add_stray_object();
    unlink(other.control + 6);

    const char *const more[] = {"--listen", child.hosts, NULL};
    other = spawn(more);
    cr_expect_eq(end_of(&other), err_row(ERR_STORE_DAMAGED)->exit);
    cr_expect(said("error E5005: "), "the database, not the port that is in use");
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/control.sock", state);
    cr_expect_neq(stat(path, &st), 0, "no socket was made");
    close(other.out);
    cr_expect_eq(stop(&child), 0);
}

Test(process, when_a_commit_fails_nothing_leaves_and_it_ends_with_an_error)
{
    child_t child = start(NULL);
    admit();
    struct rlimit limit = {512, 512};
    cr_assert_eq(prlimit(child.pid, RLIMIT_FSIZE, &limit, NULL), 0);
    zsock_t *sock = connect_host(&child);
    say(sock, TAG_hello, &hello);
    cr_expect_eq(end_of(&child), err_row(ERR_STORE)->exit);
    cr_expect(said("error E5001: "));
    zsock_set_rcvtimeo(sock, 200);
    cr_expect_eq(welcome_epoch(sock), 0, "no WELCOME for what is not on disk");
    zsock_destroy(&sock);
}

Test(process, globals_can_be_narrowed)
{
    const char *const more[] = {"--globals", " Date  Math ", NULL};
    child_t child = start(more);
    cr_expect_eq(stop(&child), 0);
}

Test(process, a_share_of_traces_can_be_remembered)
{
    const char *const more[] = {"--trace", "0.25", NULL};
    child_t child = start(more);
    cr_expect_eq(stop(&child), 0);
}

Test(process, wrong_use_is_exit_2)
{
    const char *const bad[][3] = {{"--nonsense", NULL},       {"word", NULL},
                                  {"--ready-fd", "77", NULL}, {"--globals", "Date Mat", NULL},
                                  {"--trace", "1.5", NULL},   {"--trace", "nan", NULL},
                                  {"--trace", "", NULL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        child_t child = spawn(bad[i]);
        cr_expect_eq(end_of(&child), 2);
        cr_expect(said("error E1"));
        close(child.out);
    }
}
