/* An instance: a folder with a broker's and its hosts' state, and the processes over it.
 *
 *   HOME/broker/      kernel.db, keys, hosts.allow      HOME/host-1/ ...  vat databases, keys
 *   HOME/NAME.log      what the processes say            HOME/pids         who they are
 *   HOME/lock         held while `up` or `down` works   HOME/endpoint     where the control socket is
 *
 * `run` makes one in a temporary folder and removes it; its processes die with it. */
#pragma once
#include <limits.h>
#include <sys/types.h>

#include "cli/fail.h"

enum { READY_MS = 30 * 1000 };

typedef enum {
    INSTANCE_OWN,     /* its processes die with us */
    INSTANCE_CONSOLE, /* so, and our stdin is what console channels read */
    INSTANCE_DAEMON   /* they outlive us */
} instance_kind_t;

typedef struct {
    char folder[PATH_MAX];  /* state and logs */
    char control[PATH_MAX]; /* ipc://... */
    char hosts_endpoint[256], key[64];
    pid_t broker, *hosts;
    size_t host_count;
    instance_kind_t kind;
} instance_t;

/* VATYARD_HOME, or the user's own folder for state. */
void instance_home(char ret[PATH_MAX]);

/* The path of HOME's control socket: in HOME, or when that is too long for a socket, in a folder of
 * the user's own under /tmp that is named after HOME. */
void instance_socket(const char *home, char ret[PATH_MAX]);

/* Where the broker of HOME listens: from HOME/endpoint when it is there. */
void instance_endpoint(const char *home, char ret[PATH_MAX]);

/* How many vathosts to start over FOLDER when WANTED are asked for: never fewer than have state
 * there, since vats stand on them. */
size_t instance_hosts(const char *folder, size_t wanted);

typedef struct {
    const char *folder; /* exists */
    const char *socket; /* path of the control socket */
    size_t hosts;
    instance_kind_t kind;
    uint64_t host_loss_s; /* a host that is away for so long is gone for good; 0: none is */
} instance_options_t;

/* Starts a broker and vathosts. All are ready on return. On failure nothing of it runs: PROCESS_FAILED,
 * TIMED_OUT, or what a process said (STORE_LOCKED, ADDRESS_IN_USE, ...). */
CHECKED err_t instance_start(instance_t *self, const instance_options_t *options, unsigned ms,
                             fail_t *f);

/* Starts those of HOSTS vathosts that RUNNING (one per host) does not have, for the broker that
 * SELF->hosts_endpoint and SELF->key name; their ids go to SELF->hosts, 0 for those that ran. */
CHECKED err_t instance_add(instance_t *self, const bool *running, size_t hosts, unsigned ms,
                           fail_t *f);

/* Makes of FOLDER/broker, a copy that `db backup` made, the state of a broker that may start. RET_LOST: the vats
 * whose copies in it are missing or damaged, "v1 v7". Fails as that broker says, with PROCESS_FAILED or TIMED_OUT. */
enum { LOST_TEXT_MAX = 1024 };
CHECKED err_t instance_adopt(const char *folder, unsigned ms, char ret_lost[LOST_TEXT_MAX],
                             fail_t *f);

/* Ends all its processes, hosts first. */
void instance_stop(instance_t *self);

/* Tells in F of a process that ended although nobody asked it to. False: all run. */
bool instance_broken(instance_t *self, fail_t *f);
