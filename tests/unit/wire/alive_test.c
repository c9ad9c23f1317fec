/* The sign of life: what is written is what is read, and what is not whole is none. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/alive.h"

static char dir[64], path[96];

static void set_up(void)
{
    strcpy(dir, "/tmp/vatyard-alive-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/alive", dir);
}

static void tear_down(void)
{
    unlink(path);
    rmdir(dir);
}

TestSuite(alive, .init = set_up, .fini = tear_down, .timeout = 10);

Test(alive, the_newest_line_is_what_is_read)
{
    alive_t alive;
    cr_expect(!alive_read(dir, &alive), "nobody ran here");
    int fd = alive_open(dir);
    cr_assert_geq(fd, 0);
    cr_expect(!alive_read(dir, &alive), "nothing was written yet");
    uint64_t began_ms = alive_now_ms();
    alive_write(fd, (alive_t){.what = "asking the broker"});
    alive_write(fd, (alive_t){.ready = true, .what = "up"});
    cr_assert(alive_read(dir, &alive));
    cr_expect_eq(alive.pid, (uint64_t)getpid());
    cr_expect_eq(alive.ready, true);
    cr_expect_str_eq(alive.what, "up");
    cr_expect(alive.at_ms >= began_ms && alive.at_ms <= alive_now_ms());
    close(fd);
    cr_expect(alive_read(dir, &alive), "it stays when its process is killed");
    alive_end(dir);
    cr_expect(!alive_read(dir, &alive));
}

Test(alive, a_line_that_is_not_whole_is_none)
{
    static const char *const lines[] = {"", "at_ms=1 pid=2 ready=1 x\n", "at_ms=x pid=2 ready=1"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[129];
        alive_t alive;
        memset(line, ' ', 128);
        memcpy(line, lines[i], strlen(lines[i]));
        line[127] = '\n';
        size_t len = i == 2 ? 128 : strlen(lines[i]); /* the others are too short */
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        cr_assert_eq(write(fd, line, len), (ssize_t)len);
        close(fd);
        cr_expect(!alive_read(dir, &alive), "%s", lines[i]);
    }
}

/* A state that does not exist is read by nobody and written by nobody, and that is no crash. */
Test(alive, no_folder)
{
    alive_t alive;
    int fd = alive_open("/tmp/vatyard-no-such-folder");
    cr_expect_eq(fd, -1);
    alive_write(fd, (alive_t){.what = "x"});
    cr_expect(!alive_read("/tmp/vatyard-no-such-folder", &alive));
}
