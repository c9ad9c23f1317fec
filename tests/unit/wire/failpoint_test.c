/* Failpoints: a process dies at the pass it was told, no other does, and a board that is shared counts for all.
 *
 * Method: a child sets its environment, starts as some kind of process, passes labels, and says by its exit
 * code how many passes it survived. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/failpoint.h"

enum { KILLED = -SIGKILL };

static uint32_t left[FAILPOINT_LABELS];
static char bad[64];

static bool parse(const char *text) { return failpoint_parse(text, left, bad, sizeof bad); }

Test(failpoint, lists_of_labels)
{
    cr_expect(parse("broker_took"));
    cr_expect_eq(left[FAILPOINT_AT_broker_took], 1);
    cr_expect(parse("worker_ran:17,zygote_forked,broker_took:2"));
    cr_expect_eq(left[FAILPOINT_AT_worker_ran], 17);
    cr_expect_eq(left[FAILPOINT_AT_zygote_forked], 1);
    cr_expect_eq(left[FAILPOINT_AT_broker_took], 2);
    cr_expect_eq(left[FAILPOINT_AT_worker_forked], 0);
}

Test(failpoint, what_is_no_list)
{
    static const char *const wrong[] = {"",
                                        "nobody",
                                        "broker_took,",
                                        "broker",
                                        ",worker_ran",
                                        "broker_took:0",
                                        "worker_ran:",
                                        "worker_ran:-1",
                                        "worker_ran:1x",
                                        " worker_ran",
                                        "worker_ran:1:2",
                                        "worker_ran:9999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect(!parse(wrong[i]), "%s", wrong[i]);
    cr_expect(!parse("worker_ran,nobody:3,worker_forked"));
    cr_expect_str_eq(bad, "nobody:3");
}

/* A process of this kind passes worker_ran TIMES times. Its exit code, or minus its signal. */
static int passes(failpoint_process_t kind, const char *list, const char *board, int times)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (list) setenv("VATYARD_FAILPOINT", list, 1);
        if (board) setenv("VATYARD_FAILPOINT_BOARD", board, 1);
        close(STDERR_FILENO);
        failpoint_start(kind);
        for (int i = 0; i < times; i++) FAILPOINT(worker_ran);
        _exit(40 + failpoint_armed);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

Test(failpoint, dies_at_the_nth_pass)
{
    cr_expect_eq(passes(FAILPOINT_worker, NULL, NULL, 9), 40);
    cr_expect_eq(passes(FAILPOINT_worker, "worker_ran", NULL, 1), KILLED);
    cr_expect_eq(passes(FAILPOINT_worker, "worker_ran:3", NULL, 2), 41);
    cr_expect_eq(passes(FAILPOINT_worker, "worker_ran:3", NULL, 3), KILLED);
    cr_expect_eq(passes(FAILPOINT_worker, "worker_forked", NULL, 9), 41);
    cr_expect_eq(passes(FAILPOINT_worker, "worker_run", NULL, 0), 2,
                 "a label misspelt is no silence");
}

Test(failpoint, only_in_processes_of_its_kind)
{
    cr_expect_eq(passes(FAILPOINT_zygote, "worker_ran", NULL, 9), 41);
    cr_expect_eq(passes(FAILPOINT_broker, "worker_ran", NULL, 9), 41);
}

/* A worker begins as a zygote, whose passes are not its own. */
Test(failpoint, a_fork_becomes_another_kind)
{
    setenv("VATYARD_FAILPOINT", "worker_ran:2,zygote_forked:5", 1);
    failpoint_start(FAILPOINT_zygote);
    FAILPOINT(worker_ran);
    FAILPOINT(zygote_forked);
    failpoint_start(FAILPOINT_worker);
    for (int i = 0; i < 9; i++) FAILPOINT(zygote_forked);
    FAILPOINT(worker_ran);
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        FAILPOINT(worker_ran);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

typedef struct {
    failpoint_head_t head;
    failpoint_cell_t cells[FAILPOINT_LABELS];
} board_t;

static char path[] = "/tmp/failpoint-board-XXXXXX";

static board_t *board_new(void)
{
    int fd = mkstemp(path);
    cr_assert_eq(ftruncate(fd, sizeof(board_t)), 0);
    board_t *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq((void *)board, MAP_FAILED);
    close(fd);
    memcpy(board->head.magic, "VYBOARD\1", 8);
    board->head.labels = FAILPOINT_LABELS;
    board->head.cell_bytes = sizeof(failpoint_cell_t);
    return board;
}

Test(failpoint, a_board_counts_for_all_processes)
{
    board_t *board = board_new();
    failpoint_cell_t *cell = &board->cells[FAILPOINT_AT_worker_ran];

    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 4), 41);
    cr_expect_eq(passes(FAILPOINT_broker, NULL, path, 4), 41);
    cr_expect_eq(cell->passed, 4, "of its own kind only");
    cell->left = 6;
    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 4), 41);
    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 4), KILLED);
    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 4), 41, "once");
    cr_expect_eq(cell->passed, 14);
    cr_expect_eq(cell->died, 1);
    cr_expect_gt(cell->pid, 0);
    unlink(path);
}

Test(failpoint, a_board_of_another_build)
{
    board_t *board = board_new();
    board->head.labels++;
    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 1), 2);
    board->head.labels--;
    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 1), 41);
    cr_expect_eq(truncate(path, sizeof(board_t) - 1), 0);
    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 1), 2);
    unlink(path);
    cr_expect_eq(passes(FAILPOINT_worker, NULL, path, 1), 2);
}
