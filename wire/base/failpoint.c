#include "wire/base/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const failpoint_row_t failpoint_rows[FAILPOINT_LABELS] = {
#define LABEL(name, process, doc) {#name, FAILPOINT_##process, doc},
#include "wire/base/failpoint.def"
#undef LABEL
};

bool failpoint_armed;

static failpoint_process_t self;
static uint32_t own[FAILPOINT_LABELS]; /* passes left until the fatal one; 0: not armed */
static failpoint_cell_t *board;        /* shared; NULL: there is none */

static bool find(const char *name, size_t len, failpoint_t *ret)
{
    for (failpoint_t i = 0; i < FAILPOINT_LABELS; i++) {
        if (strlen(failpoint_rows[i].name) != len) continue;
        if (memcmp(failpoint_rows[i].name, name, len) != 0) continue;
        *ret = i;
        return true;
    }
    return false;
}

/* "label" or "label:nth", LEN bytes of it. */
static bool parse_one(const char *text, size_t len, uint32_t left[FAILPOINT_LABELS])
{
    enum { DIGITS_MAX = 9 };
    const char *colon = memchr(text, ':', len);
    failpoint_t label;
    uint32_t nth = colon ? 0 : 1;

    if (!find(text, colon ? (size_t)(colon - text) : len, &label)) return false;
    if (colon && text + len - colon > DIGITS_MAX) return false;
    for (const char *at = colon ? colon + 1 : text + len; at < text + len; at++) {
        if (*at < '0' || *at > '9') return false;
        nth = 10 * nth + (uint32_t)(*at - '0');
    }
    if (nth == 0) return false;
    left[label] = nth;
    return true;
}

bool failpoint_parse(const char *text, uint32_t left[FAILPOINT_LABELS], char *bad, size_t room)
{
    memset(left, 0, FAILPOINT_LABELS * sizeof *left);
    for (;;) {
        size_t len = strcspn(text, ",");
        if (!parse_one(text, len, left)) {
            snprintf(bad, room, "%.*s", (int)(len < 200 ? len : 200), text);
            return false;
        }
        if (text[len] == '\0') return true;
        text += len + 1;
    }
}

static _Noreturn void cannot(const char *variable, const char *what)
{
    fprintf(stderr, "%s: %s\n", variable, what);
    _exit(2);
}

static failpoint_cell_t *open_board(const char *path)
{
    const char wanted[8] = {'V', 'Y', 'B', 'O', 'A', 'R', 'D', FAILPOINT_BOARD_VERSION};
    size_t len = sizeof(failpoint_head_t) + FAILPOINT_LABELS * sizeof(failpoint_cell_t);
    struct stat st;

    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size != (off_t)len) return NULL;
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return NULL;
    const failpoint_head_t *head = at;
    bool ours = memcmp(head->magic, wanted, sizeof wanted) == 0 &&
                head->labels == FAILPOINT_LABELS && head->cell_bytes == sizeof(failpoint_cell_t);
    return ours ? (failpoint_cell_t *)(void *)((char *)at + sizeof *head) : NULL;
}

void failpoint_start(failpoint_process_t process)
{
    const char *list = getenv("VATYARD_FAILPOINT"), *path = getenv("VATYARD_FAILPOINT_BOARD");
    char bad[256];

    self = process;
    if (list && *list && !failpoint_parse(list, own, bad, sizeof bad))
        cannot("VATYARD_FAILPOINT", bad);
    if (path && *path && !board && !(board = open_board(path)))
        cannot("VATYARD_FAILPOINT_BOARD", path);
    failpoint_armed = (list && *list) || board;
}

/* Nothing of ours runs after it: no handler, no exit function, no flush. */
static _Noreturn void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

void failpoint_pass(failpoint_t label)
{
    if (failpoint_rows[label].process != self) return;
    if (board) {
        failpoint_cell_t *cell = &board[label];
        cell->passed++;
        int32_t left = cell->left;
        while (left > 0 && !atomic_compare_exchange_weak(&cell->left, &left, left - 1)) {
        }
        if (left == 1) {
            cell->pid = (int32_t)getpid();
            cell->died++;
            die();
        }
    }
    if (own[label] && --own[label] == 0) die();
}
