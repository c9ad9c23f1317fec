/* The machine under the load, as /proc has it: what figures are worth little without. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    char cpu[128], kernel[128];
    unsigned cores; /* that this process may use */
    double load;    /* runnable processes, over the last minute */
} machine_t;

machine_t machine_look(void);

typedef struct {
    uint64_t cpu_ns, rss_bytes;
} usage_t;

/* What the processes ROOTS and all below them have used so far, and have now. */
usage_t usage_of(const pid_t *roots, size_t count);
