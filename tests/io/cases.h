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

/* For use in a test; asserts. DIR is where the script's files are. */
void cases_run(const script_t *script, const char *dir, fault_t fault);
