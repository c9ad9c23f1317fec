/* Between vathost and zygote: fixed records on a SOCK_SEQPACKET socket, same machine, same build.
 * ZYGOTE_START carries the worker's end of its socketpair (SCM_RIGHTS). */
#pragma once
#include <stdint.h>

#include "wire/base/limits.h"

typedef enum {
    ZYGOTE_START = 1, /* vathost > zygote: fork a worker for the bundle TEXT; call it TOKEN */
    ZYGOTE_KILL,      /* vathost > zygote: SIGKILL the worker TOKEN; unknown ones are none */
    ZYGOTE_READY, /* zygote > vathost: the golden snapshot is read; TEXT is the engine's build */
    ZYGOTE_ENDED, /* zygote > vathost: worker TOKEN ended with STATUS as of waitpid(2) */
} zygote_kind_t;

typedef struct {
    uint64_t token;
    uint32_t kind;
    int32_t status;
    char text[PATH_BYTES_MAX];
} zygote_msg_t;
