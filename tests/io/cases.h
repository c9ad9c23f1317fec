/* Runs a script against a disk that fails (shim.h), once for every operation at which it can fail.
 *
 *   G1  a step is one commit. After a fault the state is that of the last step that was said to be done, or of
 *       the one that was under way; never another;
 *   G2  from there the script goes on, without a fault, to the same end as without any;
 *   G3  a full disk stops nothing: the step is tried again, and all of them get done;
 *   G4  a sync that fails ends the process in the same moment;
 *   G5  a flipped bit that is read is an error, or is not data;
 *   G6  memory that runs out ends the process, by must() or by an error, or does no harm. */
#pragma once
#include <criterion/criterion.h>
#include <sqlite3.h>

#include "tests/io/shim.h"
#include "wire/base/err.h"

typedef struct {
    const char *name;
    int steps;
    int from; /* the script begins here, on what a process that died left behind */

    /* Opens what is there, or makes it. STORE_FULL: may be tried again. */
    err_t (*open)(void);

    /* Does step I, of which it says that it is done. STORE_FULL: the same step is to be tried again. */
    err_t (*step)(int i);

    /* Ends, as after an error. */
    void (*close)(void);

    /* A sum over everything that is stored; what is open is closed. */
    uint64_t (*sum)(void);

    /* Makes the files it begins with; NULL: none. */
    void (*make)(void);
} script_t;

/* ---- the tests of a program: one for each fault, with all its scripts ---- */

/* The scripts, which the program defines. VATYARD_IO_SCRIPT names one of them, to look at that alone. */
extern const script_t io_scripts[];
extern const size_t io_script_count;

extern char io_dir[64]; /* where their files are: in memory, if there is such a folder */
void io_set_up(void);   /* makes it, with the shim under it */
void io_tear_down(void);
void io_run(fault_t fault); /* for use in a test; asserts */

/* Of the suite `io`, whose init and fini are, or call, the two above. */
#define IO_NAME_KILL   killed_anywhere
#define IO_NAME_POWER  the_power_goes_anywhere
#define IO_NAME_READ   a_read_fails
#define IO_NAME_WRITE  a_write_fails
#define IO_NAME_FULL   the_disk_is_full_for_a_while
#define IO_NAME_SHORT  a_write_is_short
#define IO_NAME_SYNC   a_sync_fails
#define IO_NAME_OPEN   a_file_cannot_be_opened_or_deleted
#define IO_NAME_FLIP   a_bit_that_is_read_is_another
#define IO_NAME_MEMORY memory_runs_out

/* clang-format off */
#define IO_TEST(fault) IO_TEST_OF(IO_NAME_##fault, FAULT_##fault)
#define IO_TEST_OF(name, fault) Test(io, name) { io_run(fault); }
#define IO_TESTS_OF_ALL_FAULTS                                                          \
    IO_TEST(KILL) IO_TEST(POWER) IO_TEST(READ) IO_TEST(WRITE) IO_TEST(FULL)             \
    IO_TEST(SHORT) IO_TEST(SYNC) IO_TEST(OPEN) IO_TEST(FLIP) IO_TEST(MEMORY)
/* clang-format on */

/* ---- for scripts ---- */

/* Chance that is the same each time: of io_seed. */
extern uint64_t io_seed;
uint64_t io_dice(void);

/* Sums over what is stored; begin with IO_SUM. SQL: a query. */
#define IO_SUM UINT64_C(14695981039346656037)
void io_add(uint64_t *sum, const void *at, size_t len);
void io_add_rows(uint64_t *sum, sqlite3 *db, const char *sql);

/* Makes the database PATH as the file SCRIPT of SQL says. IN_LOG: it stays in the log, of a process that
 * died. */
void io_make_db(const char *path, const char *script, bool in_log);
