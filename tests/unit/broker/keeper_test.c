/* The keeper and the real vatagent: what the process inherits, how its end is told, that it never outlives us.
 *
 * Method: the child is looked at in /proc. Frames are those of a file channel: one errand shows that both directions
 * work. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/io/keeper.h"
#include "wire/codec/codec.h"

static char program[512], path[64];
static keeper_t *keeper;

static void set_up(void)
{
    const char *bin = getenv("VATYARD_BIN");
    cr_assert(bin, "VATYARD_BIN names the folder of the programs");
    snprintf(program, sizeof program, "%s/vatagent", bin);
    strcpy(path, "/tmp/vatyard-keeper-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, "line\n", 5), 5);
    close(fd);
    keeper = keeper_new(program);
}

static void tear_down(void)
{
    keeper_destroy(&keeper);
    unlink(path);
}

TestSuite(keeper, .init = set_up, .fini = tear_down, .timeout = 60);

static pid_t child(void)
{
    char name[64];
    int pid = 0;
    snprintf(name, sizeof name, "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(name, "r");
    cr_assert(file);
    if (fscanf(file, "%d", &pid) != 1) pid = 0;
    fclose(file);
    return pid;
}

static void say(msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    keeper_send(keeper, (bin_t){frame.at, frame.len});
    buf_clear(&frame);
}

static agent_event_t next(bin_t *ret, int *ret_status)
{
    agent_event_t event;
    for (int i = 0; (event = keeper_take(keeper, ret, ret_status)) == AGENT_NOTHING; i++) {
        struct pollfd fd = {-1, POLLIN, 0};
        bool write;
        keeper_wants(keeper, &fd.fd, &write);
        cr_assert_lt(i, 100, "nothing came");
        poll(&fd, 1, 200);
    }
    return event;
}

/* Asks for the first line of a file, and gets it. */
static void serves(uint64_t errand)
{
    msg_t msg;
    bin_t frame;
    int status;
    say(TAG_agent_open, &(msg_agent_open_t){.channel = errand,
                                            .name = text_of("s1:a"),
                                            .type = text_of("file"),
                                            .place = text_of(path),
                                            .direction = 1});
    say(TAG_agent_ask, &(msg_agent_ask_t){.errand = errand,
                                          .channel = errand,
                                          .what = text_of("read"),
                                          .body = {(const uint8_t *)"#[]", 3}});
    cr_assert_eq(next(&frame, &status), AGENT_FRAME);
    cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    cr_assert_eq(msg.tag, TAG_agent_told);
    cr_expect_eq(msg.body.agent_told.errand, errand);
    cr_expect_not(msg.body.agent_told.rejected);
    msg_clear(&msg);
}

Test(keeper, it_starts_one_that_serves)
{
    cr_assert(keeper_start(keeper));
    serves(1);
    pid_t pid = child();
    cr_assert_gt(pid, 0);
    keeper_destroy(&keeper);
    cr_expect_eq(kill(pid, 0), -1, "and it is gone with its keeper");
}

/* P2: whatever else is open here, closed at exec or not. */
Test(keeper, it_inherits_no_descriptor_of_ours)
{
    int secret = open(path, O_RDONLY);
    cr_assert_eq(dup2(secret, 200), 200);
    cr_assert(keeper_start(keeper));
    serves(1);
    char name[300], link[512];
    snprintf(name, sizeof name, "/proc/%d/fd", child());
    DIR *fds = opendir(name);
    cr_assert(fds);
    for (const struct dirent *entry; (entry = readdir(fds));) {
        if (entry->d_name[0] == '.') continue;
        int fd = atoi(entry->d_name);
        cr_expect_lt(fd, 100, "descriptor %d", fd);
        ssize_t len = readlinkat(dirfd(fds), entry->d_name, link, sizeof link - 1);
        link[len > 0 ? len : 0] = '\0';
        if (strcmp(link, path) == 0) cr_expect_gt(fd, 3, "it has opened its own");
    }
    closedir(fds);
    close(secret);
    close(200);
}

Test(keeper, its_end_is_told_once_with_how)
{
    bin_t frame;
    int status = 0, write_fd;
    bool write;
    cr_assert(keeper_start(keeper));
    serves(1);
    kill(child(), SIGKILL);
    cr_assert_eq(next(&frame, &status), AGENT_ENDED);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_expect_eq(keeper_take(keeper, &frame, &status), AGENT_NOTHING);
    keeper_wants(keeper, &write_fd, &write);
    cr_expect_eq(write_fd, -1);
    cr_expect_eq(child(), 0, "it was waited for");
    say(TAG_agent_close, &(msg_agent_close_t){1}); /* to nobody */
    cr_assert(keeper_start(keeper));
    serves(2);
}

Test(keeper, it_can_be_ended)
{
    bin_t frame;
    int status = 0;
    cr_assert(keeper_start(keeper));
    serves(1);
    keeper_end(keeper);
    cr_assert_eq(next(&frame, &status), AGENT_ENDED);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

Test(keeper, what_it_said_before_its_end_is_heard)
{
    bin_t frame;
    int status = 0;
    cr_assert(keeper_start(keeper));
    say(TAG_agent_ask, &(msg_agent_ask_t){.errand = 5,
                                          .channel = 9,
                                          .what = text_of("read"),
                                          .body = {(const uint8_t *)"#[]", 3}});
    say(TAG_welcome, &(msg_welcome_t){.proto = 1}); /* it ends over this */
    cr_assert_eq(next(&frame, &status), AGENT_FRAME);
    cr_assert_eq(next(&frame, &status), AGENT_ENDED);
    cr_expect(WIFEXITED(status));
}

Test(keeper, a_program_that_is_not_there_is_no_agent)
{
    keeper_destroy(&keeper);
    keeper = keeper_new("/nowhere/vatagent");
    cr_expect_not(keeper_start(keeper));
    keeper_destroy(&keeper);
    keeper = keeper_new("/bin/false");
    bin_t frame;
    int status = 0;
    cr_assert(keeper_start(keeper));
    cr_assert_eq(next(&frame, &status), AGENT_ENDED);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* P3: we are killed, and cannot clean up. */
Test(keeper, it_does_not_outlive_a_parent_that_is_killed)
{
    int report[2];
    pid_t agent = 0;
    cr_assert_eq(pipe(report), 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (!keeper_start(keeper)) _exit(1);
        agent = child();
        if (write(report[1], &agent, sizeof agent) != sizeof agent) _exit(1);
        pause();
    }
    cr_assert_eq(read(report[0], &agent, sizeof agent), (ssize_t)sizeof agent);
    cr_assert_gt(agent, 0);
    kill(parent, SIGKILL);
    cr_assert_eq(waitpid(parent, NULL, 0), parent);
    for (int i = 0; kill(agent, 0) == 0; i++) {
        char name[64], state = 0;
        snprintf(name, sizeof name, "/proc/%d/stat", agent);
        FILE *file = fopen(name, "r");
        if (!file) break;
        if (fscanf(file, "%*d %*s %c", &state) != 1) state = 0;
        fclose(file);
        if (state == 'Z') break; /* nobody here waits for it */
        cr_assert_lt(i, 1000, "it still runs");
        usleep(10000);
    }
}
