/* vatagent: what it may do is narrowed first, then it serves the broker. */
#define _GNU_SOURCE /* clearenv */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/agent/agent.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/must.h"
#include "wire/base/program.h"

/* All that the largest number of the largest answers can take, and then some. */
#define DATA_BYTES_MAX (2ul * 1024 * 1024 * 1024)

/* Of the environment only this stays: how to log, and whom to trust. */
static void narrow_environment(void)
{
    static const char *const kept[] = {"VATYARD_LOG_FORMAT", "VATYARD_LOG_LEVEL", "SSL_CERT_FILE"};
    enum { KEPT = sizeof kept / sizeof *kept };
    char *values[KEPT];
    for (size_t i = 0; i < KEPT; i++) {
        const char *value = getenv(kept[i]);
        values[i] = value ? strdup(value) : NULL;
        must(!value || values[i]);
    }
    clearenv();
    for (size_t i = 0; i < KEPT; i++) {
        if (values[i]) setenv(kept[i], values[i], 1);
        free(values[i]);
    }
}

static void narrow(void)
{
    umask(077);
    narrow_environment();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
#ifndef __SANITIZE_ADDRESS__ /* its shadow alone is larger */
    setrlimit(RLIMIT_DATA, &(struct rlimit){DATA_BYTES_MAX, DATA_BYTES_MAX});
#endif
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGTTIN, SIG_IGN); /* in the background a terminal has nothing to say */
}

int main(int argc, char **argv)
{
    int fd = -1;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("vatagent " VATYARD_VERSION);
        return 0;
    }
    if (argc != 2 || !program_descriptor(argv[1], &fd)) {
        return program_fail(ERR_USAGE, "vatagent is started by vatbroker", "", "vatbroker --help");
    }
    must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    failpoint_start(FAILPOINT_agent); /* while the environment is whole */
    narrow();
    log_open("agent", NULL);
    FAILPOINT(agent_began);
    agent_run(fd, STDIN_FILENO);
    return 0;
}
