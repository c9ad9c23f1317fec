/* Failpoints: places in the programs where a process can be made to die at once, as by SIGKILL. Each is one
 * FAILPOINT(label) between two steps that a crash may separate; failpoint.def has the labels. They are in
 * every build and do nothing, one predicted branch each, in a process that was not started with one of
 *
 *   VATYARD_FAILPOINT=label[:nth],...   a process of the label's kind dies when it passes there for the
 *                                       nth time (1). Each process counts for itself; children inherit it.
 *   VATYARD_FAILPOINT_BOARD=FILE        the same from a file that all processes share and that whoever
 *                                       tests them writes meanwhile: which label is armed, how often each was passed.
 *
 * A value that cannot be used ends the process before it does anything, with a line that says why. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    FAILPOINT_broker,
    FAILPOINT_agent,
    FAILPOINT_vathost,
    FAILPOINT_zygote,
    FAILPOINT_worker,
    FAILPOINT_PROCESSES,
} failpoint_process_t;

typedef enum {
#define LABEL(name, process, doc) FAILPOINT_AT_##name,
#include "wire/base/failpoint.def"
#undef LABEL
    FAILPOINT_LABELS,
} failpoint_t;

typedef struct {
    const char *name;
    failpoint_process_t process;
    const char *doc;
} failpoint_row_t;

extern const failpoint_row_t failpoint_rows[FAILPOINT_LABELS];

/* The board: a head, then a cell for each label in the order of the table. */
enum { FAILPOINT_BOARD_VERSION = 1 };

typedef struct {
    char magic[8]; /* "VYBOARD", version */
    uint32_t labels, cell_bytes;
} failpoint_head_t;

typedef struct {
    _Atomic int32_t left; /* n: the n-th pass from now on, of any process, is fatal; 0: not armed */
    _Atomic uint32_t passed;
    _Atomic uint32_t died; /* how often a process did */
    _Atomic int32_t pid;   /* the last one */
} failpoint_cell_t;

extern bool failpoint_armed;

/* What the process is; called once at its start, and again by a worker, which begins as a zygote. */
void failpoint_start(failpoint_process_t process);

/* FAILPOINT() in an armed process. */
void failpoint_pass(failpoint_t label);

#define FAILPOINT(name)                                                                    \
    do {                                                                                   \
        if (__builtin_expect(failpoint_armed, false)) failpoint_pass(FAILPOINT_AT_##name); \
    } while (0)

/* Reads a list as in VATYARD_FAILPOINT into LEFT, 0 for labels that are not in it. False: some part of it is no
 * label, or no count from 1 on; BAD gets that part. */
bool failpoint_parse(const char *text, uint32_t left[FAILPOINT_LABELS], char *bad, size_t room);
