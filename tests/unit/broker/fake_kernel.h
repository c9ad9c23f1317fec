/* A kernel of thirty lines, for tests of the shell: it knows hosts by key, answers HELLO with
 * WELCOME, a KILL with DONE and one changed row, an ATTACH with the rows 1..applied of its vat. A KILL of vat 50 makes it want an
 * agent; it tells an agent of channel 50 when it is there, and of channel 51 at a KILL of vat 51.
 * It has no copies; vat 52 was to begin with one. */
#pragma once
#include "broker/kernel/kernel.h"

/* Inputs of each kind since the last reset. */
extern unsigned fake_inputs[INPUT_BACKED_UP + 1];

/* When it wants to be woken; a chore sets it to never. */
extern uint64_t fake_wake_us;

/* The name in the last HELLO. */
extern char fake_name[NAME_BYTES_MAX + 1];

/* Set: the rows it loads contradict each other. */
extern bool fake_damaged;

/* What kernel_globals() was told last. */
extern const char *fake_globals;

/* What kernel_traced() was given. */
extern uint64_t fake_traced_below;
extern trace_take_t *fake_trace_take;
extern void *fake_trace_context;

/* What kernel_watched() was told last. */
extern unsigned fake_watched;

/* What kernel_copies() visits. */
enum { FAKE_COPIES_MAX = 8 };
typedef struct {
    vat_t vat;
    copy_t copy;
} fake_copy_t;
extern fake_copy_t fake_copies[FAKE_COPIES_MAX];
extern size_t fake_copy_count;

/* A host that was declared gone for good, unless its first byte is 0. */
extern hash_t fake_disavowed;
