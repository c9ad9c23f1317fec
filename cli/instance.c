#include "cli/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/link.h"
#include "cli/plan.h"
#include "cli/process.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

enum { STOP_MS = 5000, LINE_MAX_ = 4096 };

void instance_home(char ret[PATH_MAX])
{
    const char *home = getenv("VATYARD_HOME"), *state = getenv("XDG_STATE_HOME"),
               *user = getenv("HOME");
    char path[PATH_MAX];

    if (home && *home)
        snprintf(path, sizeof path, "%s", home);
    else if (state && *state)
        snprintf(path, sizeof path, "%.4000s/vatyard", state);
    else
        snprintf(path, sizeof path, "%.4000s/.local/state/vatyard", user ? user : "/tmp");
    /* Daemons live in no folder of the shell's: the path must be absolute. */
    if (*path != '/') {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) strcpy(here, "/");
        snprintf(ret, PATH_MAX, "%.2000s/%.2000s", here, path);
    } else {
        strcpy(ret, path);
    }
}

void instance_socket(const char *home, char ret[PATH_MAX])
{
    struct sockaddr_un address;

    if (strlen(home) + sizeof "/control.sock" <= sizeof address.sun_path) {
        snprintf(ret, PATH_MAX, "%.200s/control.sock", home);
        return;
    }
    hash_t hash = hash_of((bin_t){(const uint8_t *)home, strlen(home)});
    int len = snprintf(ret, PATH_MAX, "/tmp/vatyard-%u-", (unsigned)getuid());
    for (int i = 0; i < 6; i++) len += sprintf(ret + len, "%02x", hash.b[i]);
    strcpy(ret + len, "/control.sock");
}

void instance_endpoint(const char *home, char ret[PATH_MAX])
{
    char path[PATH_MAX + 16];
    FILE *file;

    snprintf(path, sizeof path, "%s/endpoint", home);
    char socket[PATH_MAX];
    instance_socket(home, socket);
    snprintf(ret, PATH_MAX, "ipc://%.4000s", socket);
    if ((file = fopen(path, "re"))) {
        char line[PATH_MAX];
        if (fgets(line, sizeof line, file) && strncmp(line, "ipc://", 6) == 0) {
            line[strcspn(line, "\n")] = 0;
            strcpy(ret, line);
        }
        fclose(file);
    }
}

/* Reads a line from FD within MS. False: the other end closed it, the time is over, or the process
 * behind the pidfd NEEDED (-1: none) ended. */
static bool line_read(int fd, char line[LINE_MAX_], unsigned ms, int needed)
{
    uint64_t end = now_ms() + ms;
    size_t len = 0;

    while (len + 1 < LINE_MAX_) {
        struct pollfd items[] = {{fd, POLLIN, 0}, {needed, POLLIN, 0}};
        uint64_t now = now_ms();
        if (now >= end || signal_caught()) return false;
        int ready = poll(items, 2, (int)(end - now));
        if (ready <= 0) continue;
        if (!items[0].revents) return false;
        if (read(fd, line + len, 1) != 1) return false;
        if (line[len] == '\n') {
            line[len] = 0;
            return true;
        }
        len++;
    }
    return false;
}

/* What a process said before it ended, in the shape of fail_print(), becomes F again. */
static bool said_error(const char *log, off_t from, fail_t *f)
{
    char line[LINE_MAX_], what[LINE_MAX_] = "", why[LINE_MAX_] = "";
    unsigned number, found = 0;
    FILE *file = fopen(log, "re");

    if (!file) return false;
    fseeko(file, from, SEEK_SET);
    while (fgets(line, sizeof line, file)) {
        int used = 0;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "error E%u: %n", &number, &used) == 1 && used) {
            found = number;
            strcpy(what, line + used);
            *why = 0;
        } else if (found && strncmp(line, "  why ", 6) == 0) {
            strcpy(why, line + 6 + strspn(line + 6, " "));
        }
    }
    fclose(file);
    if (!found || err_row((err_t)found)->err != (err_t)found) return false;
    fail(f, (err_t)found, "%s", what);
    if (*why) fail_why(f, "%s", why);
    return true;
}

static err_t not_ready(const char *name, const char *log, off_t from, pid_t pid, unsigned ms,
                       fail_t *f)
{
    int status = 0;

    if (!process_wait(pid, 200, &status)) {
        process_stop(pid, 1000);
        fail(f, ERR_TIMED_OUT, "%s is not ready", name);
        fail_why(f, "nothing came within %u ms; its log is %s", ms, log);
        return ERR_TIMED_OUT;
    }
    if (said_error(log, from, f)) return f->err;
    fail(f, ERR_PROCESS_FAILED, "%s ended before it was ready", name);
    if (WIFSIGNALED(status))
        fail_why(f, "signal %d; its log is %s", WTERMSIG(status), log);
    else
        fail_why(f, "exit code %d; its log is %s", WEXITSTATUS(status), log);
    return ERR_PROCESS_FAILED;
}

/* A process on its way: started, its ready line not yet read. */
typedef struct {
    pid_t pid;
    int ready;
    char name[32], log[PATH_MAX];
    off_t log_from;
} coming_t;

/* ARGV has room for the two words of --ready-fd at its end, before the NULL. */
static err_t begin(const instance_t *self, const char *name, char **argv, size_t words,
                   coming_t *ret, fail_t *f)
{
    int ready[2], log;
    char number[16];

    *ret = (coming_t){.ready = -1};
    snprintf(ret->name, sizeof ret->name, "%s", name);
    snprintf(ret->log, sizeof ret->log, "%.4000s/%s.log", self->folder, name);
    must(pipe2(ready, O_CLOEXEC) == 0);
    snprintf(number, sizeof number, "%d", ready[1]);
    argv[words] = (char *)(uintptr_t) "--ready-fd";
    argv[words + 1] = number;
    argv[words + 2] = NULL;

    log = open(ret->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ret->log_from = log >= 0 ? lseek(log, 0, SEEK_END) : 0;
    start_t how = {log, log, ready[1], self->kind == INSTANCE_DAEMON,
                   self->kind == INSTANCE_CONSOLE && strcmp(name, "broker") == 0};
    ret->pid = process_start(argv, &how, f);
    if (log >= 0) close(log);
    close(ready[1]);
    ret->ready = ready[0];
    if (ret->pid) return ERR_OK;
    close(ready[0]);
    return f->err;
}

/* Waits for `ready {...}`, which cannot come without the process NEEDED (a pidfd, or -1). The caller
 * gets the object. */
static err_t finish(coming_t *coming, unsigned ms, int needed, json_t **ret, fail_t *f)
{
    char line[LINE_MAX_];
    bool said = line_read(coming->ready, line, ms, needed);
    json_t *object = said && strncmp(line, "ready ", 6) == 0 ? json_loads(line + 6, 0, NULL) : NULL;

    close(coming->ready);
    if (!object) return not_ready(coming->name, coming->log, coming->log_from, coming->pid, ms, f);
    *ret = object;
    return ERR_OK;
}

static err_t broker_start(instance_t *self, const instance_options_t *options, unsigned ms,
                          fail_t *f)
{
    char program[PATH_MAX], state[PATH_MAX], control[PATH_MAX], loss[24];
    size_t words = 7;
    char *argv[16] = {program,
                      (char *)(uintptr_t) "--state",
                      state,
                      (char *)(uintptr_t) "--listen",
                      (char *)(uintptr_t) "tcp://127.0.0.1:*",
                      (char *)(uintptr_t) "--control",
                      control};
    coming_t coming;
    json_t *ready;

    path_program("vatbroker", program);
    snprintf(state, sizeof state, "%.4000s/broker", self->folder);
    snprintf(control, sizeof control, "ipc://%.4000s", options->socket);
    snprintf(self->control, sizeof self->control, "%s", control);
    if (options->host_loss_s) {
        snprintf(loss, sizeof loss, "%" PRIu64, options->host_loss_s);
        argv[words++] = (char *)(uintptr_t) "--host-loss-after";
        argv[words++] = loss;
    }
    err_t err = begin(self, "broker", argv, words, &coming, f);
    if (!err) err = finish(&coming, ms, -1, &ready, f);
    if (err) return err;

    self->broker = coming.pid;
    const char *hosts = json_string_value(json_object_get(ready, "hosts"));
    const char *key = json_string_value(json_object_get(ready, "key"));
    snprintf(self->hosts_endpoint, sizeof self->hosts_endpoint, "%s", hosts ? hosts : "");
    snprintf(self->key, sizeof self->key, "%s", key ? key : "");
    json_decref(ready);
    return *self->hosts_endpoint && *self->key
               ? ERR_OK
               : fail(f, ERR_INTERNAL, "the broker's ready line has no endpoint");
}

/* What a broker that adopts says beside its log. */
static void said_lost(const char *log, char ret[LOST_TEXT_MAX])
{
    static const char head[] = "without their copies: ";
    char line[LINE_MAX_];
    FILE *file = fopen(log, "re");

    *ret = 0;
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, head, sizeof head - 1) == 0)
            snprintf(ret, LOST_TEXT_MAX, "%.1023s", line + sizeof head - 1);
    }
    fclose(file);
}

err_t instance_adopt(const char *folder, unsigned ms, char ret_lost[LOST_TEXT_MAX], fail_t *f)
{
    char program[PATH_MAX], state[PATH_MAX], log[PATH_MAX];
    char *argv[] = {program, (char *)(uintptr_t) "--state", state,
                    (char *)(uintptr_t) "--adopt-backup", NULL};
    int status = 0;

    path_program("vatbroker", program);
    snprintf(state, sizeof state, "%.4000s/broker", folder);
    snprintf(log, sizeof log, "%.4000s/broker.log", folder);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t pid = process_start(argv, &(start_t){fd, fd, -1, false, false}, f);
    if (fd >= 0) close(fd);
    if (!pid) return f->err;
    if (!process_wait(pid, ms, &status)) {
        process_stop(pid, 1000);
        return fail(f, ERR_TIMED_OUT, "the broker does not come to an end with the backup");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        said_lost(log, ret_lost);
        return ERR_OK;
    }
    if (said_error(log, 0, f)) return f->err;
    return fail(f, ERR_PROCESS_FAILED, "the broker ended over the backup with status %d", status);
}

/* Asks a host's program for its public key; it makes one at its first start. */
static err_t host_key(const char *state, char ret[64], unsigned ms, fail_t *f)
{
    char program[PATH_MAX], line[LINE_MAX_], folder[PATH_MAX];
    char *argv[] = {program, (char *)(uintptr_t) "--state", folder,
                    (char *)(uintptr_t) "--print-key", NULL};
    int out[2], status;

    snprintf(folder, sizeof folder, "%s", state);
    path_program("vathost", program);
    must(pipe2(out, O_CLOEXEC) == 0);
    pid_t pid = process_start(argv, &(start_t){out[1], -1, -1, false, false}, f);
    close(out[1]);
    bool got = pid && line_read(out[0], line, ms, -1);
    close(out[0]);
    if (!pid) return f->err;
    if (!got && !process_wait(pid, 0, &status)) {
        process_stop(pid, 0);
        return fail(f, ERR_TIMED_OUT, "vathost does not tell its key");
    }
    if (!process_wait(pid, 1000, &status)) process_stop(pid, 0);
    if (!got || strlen(line) != 40) return fail(f, ERR_KEY_FILE, "vathost has no key in %s", state);
    strcpy(ret, line);
    return ERR_OK;
}

/* Adds KEY to the broker's allow-list when it is not on it. */
static err_t host_allow(const instance_t *self, const char *key, const char *name, fail_t *f)
{
    char path[PATH_MAX], line[256];
    bool known = false;

    snprintf(path, sizeof path, "%.4000s/broker/hosts.allow", self->folder);
    FILE *file = fopen(path, "a+e");
    if (!file) {
        fail(f, ERR_STORE, "%s cannot be written", path);
        fail_why(f, "%s", strerror(errno));
        return ERR_STORE;
    }
    rewind(file);
    while (fgets(line, sizeof line, file)) known = known || strncmp(line, key, 40) == 0;
    if (!known) fprintf(file, "%s %s\n", key, name);
    if (fclose(file) == 0) return ERR_OK;
    fail(f, ERR_STORE_FULL, "%s cannot be written", path);
    fail_why(f, "%s", strerror(errno));
    return ERR_STORE_FULL;
}

static void host_paths(const instance_t *self, size_t i, char name[32], char state[PATH_MAX])
{
    snprintf(name, 32, "host-%zu", i + 1);
    snprintf(state, PATH_MAX, "%.4000s/%s", self->folder, name);
}

size_t instance_hosts(const char *folder, size_t wanted)
{
    char path[PATH_MAX];
    size_t there = 0;

    do snprintf(path, sizeof path, "%.4000s/host-%zu", folder, ++there);
    while (access(path, F_OK) == 0);
    return there - 1 > wanted ? there - 1 : wanted;
}

static err_t keys_make(instance_t *self, size_t hosts, unsigned ms, fail_t *f)
{
    char name[32], state[PATH_MAX], key[64], broker[PATH_MAX];

    snprintf(broker, sizeof broker, "%.4000s/broker", self->folder);
    err_t err = folder_make(broker, f);
    for (size_t i = 0; i < hosts && !err; i++) {
        host_paths(self, i, name, state);
        err = folder_make(state, f);
        if (!err) err = host_key(state, key, ms, f);
        if (!err) err = host_allow(self, key, name, f);
    }
    return err;
}

static err_t host_begin(instance_t *self, size_t i, coming_t *coming, fail_t *f)
{
    char program[PATH_MAX], name[32], state[PATH_MAX];
    char *argv[16] = {program,
                      (char *)(uintptr_t) "--state",
                      state,
                      (char *)(uintptr_t) "--name",
                      name,
                      (char *)(uintptr_t) "--broker",
                      self->hosts_endpoint,
                      (char *)(uintptr_t) "--server-key",
                      self->key};

    path_program("vathost", program);
    host_paths(self, i, name, state);
    return begin(self, name, argv, 9, coming, f);
}

/* How the process ended, and the last thing it said: its log may be gone in a moment. */
static bool tell_broken(const instance_t *self, const char *name, int status, fail_t *f)
{
    char path[PATH_MAX], line[1024], last[1024] = "nothing";
    FILE *file;

    snprintf(path, sizeof path, "%.4000s/%s.log", self->folder, name);
    if ((file = fopen(path, "re"))) {
        while (fgets(line, sizeof line, file)) strcpy(last, line);
        fclose(file);
    }
    last[strcspn(last, "\n")] = 0;
    fail(f, ERR_PROCESS_FAILED, "the process %s ended while it was needed", name);
    fail_why(f, "%s %d; the last it said: %s", WIFSIGNALED(status) ? "signal" : "exit code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), last);
    return true;
}

static bool broker_broken(instance_t *self, fail_t *f)
{
    int status = 0;

    if (!self->broker || !process_wait(self->broker, 0, &status)) return false;
    self->broker = 0;
    return tell_broken(self, "broker", status, f);
}

/* All hosts start at once; then each is waited for: in vain when a broker of our own ends meanwhile. */
static err_t hosts_start(instance_t *self, const bool *running, size_t hosts, unsigned ms,
                         fail_t *f)
{
    coming_t *coming = calloc(hosts + 1, sizeof *coming);
    int broker = self->broker ? pidfd_open(self->broker, 0) : -1;
    err_t err = ERR_OK;

    must(coming);
    for (size_t i = 0; i < hosts && !err; i++) {
        if (!running || !running[i]) err = host_begin(self, i, &coming[i], f);
    }
    self->host_count = hosts;
    for (size_t i = 0; i < hosts; i++) {
        json_t *ready = NULL;
        if (!coming[i].pid) continue;
        if (err) {
            close(coming[i].ready);
            process_stop(coming[i].pid, STOP_MS);
            continue;
        }
        err = finish(&coming[i], ms, broker, &ready, f);
        if (err && broker_broken(self, f)) err = f->err;
        json_decref(ready);
        if (!err) self->hosts[i] = coming[i].pid;
    }
    if (broker >= 0) close(broker);
    free(coming);
    return err;
}

err_t instance_add(instance_t *self, const bool *running, size_t hosts, unsigned ms, fail_t *f)
{
    self->hosts = calloc(hosts + 1, sizeof *self->hosts);
    must(self->hosts);
    err_t err = keys_make(self, hosts, ms, f);
    return err ? err : hosts_start(self, running, hosts, ms, f);
}

err_t instance_start(instance_t *self, const instance_options_t *options, unsigned ms, fail_t *f)
{
    *self = (instance_t){.kind = options->kind};
    snprintf(self->folder, sizeof self->folder, "%s", options->folder);
    self->hosts = calloc(options->hosts + 1, sizeof *self->hosts);
    must(self->hosts);

    err_t err = keys_make(self, options->hosts, ms, f);
    if (!err) err = broker_start(self, options, ms, f);
    if (!err) err = hosts_start(self, NULL, options->hosts, ms, f);
    if (err) {
        fail_t kept = *f;
        instance_stop(self);
        *f = kept;
    }
    return err;
}

void instance_stop(instance_t *self)
{
    /* All are asked first, so that they end side by side. */
    for (size_t i = 0; i < self->host_count; i++) {
        if (self->hosts[i]) kill(self->hosts[i], SIGTERM);
    }
    for (size_t i = 0; i < self->host_count; i++) {
        if (self->hosts[i]) process_stop(self->hosts[i], STOP_MS);
    }
    if (self->broker) process_stop(self->broker, STOP_MS);
    self->broker = 0;
    self->host_count = 0;
    free(self->hosts);
    self->hosts = NULL;
}

bool instance_broken(instance_t *self, fail_t *f)
{
    char name[32];
    int status = 0;

    if (broker_broken(self, f)) return true;
    for (size_t i = 0; i < self->host_count; i++) {
        if (!self->hosts[i] || !process_wait(self->hosts[i], 0, &status)) continue;
        self->hosts[i] = 0;
        snprintf(name, sizeof name, "host-%zu", i + 1);
        return tell_broken(self, name, status, f);
    }
    return false;
}
