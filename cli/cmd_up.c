/* up and down: an instance in the background. One lock, so that ten `up` at once start one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/instance.h"
#include "cli/link.h"
#include "cli/process.h"
#include "cli/system.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { DOWN_MS = 10 * 1000, RECORDER_MS = 5 * 1000 };

typedef struct {
    char home[PATH_MAX], socket[PATH_MAX];
    int lock;
} home_t;

static void home_file(const home_t *home, const char *name, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%.4000s/%s", home->home, name);
}

/* A socket outside of HOME stands in a folder that must be this user's alone. */
static err_t socket_place(home_t *home, fail_t *f)
{
    char folder[PATH_MAX];
    struct stat stat_;

    instance_socket(home->home, home->socket);
    strcpy(folder, home->socket);
    *strrchr(folder, '/') = 0;
    err_t err = folder_make(folder, f);
    if (err) return err;
    if (lstat(folder, &stat_) == 0 && S_ISDIR(stat_.st_mode) && stat_.st_uid == getuid())
        return ERR_OK;
    return fail(f, ERR_KEY_FILE, "%s belongs to somebody else", folder);
}

static err_t home_open(home_t *home, fail_t *f)
{
    char path[PATH_MAX];

    instance_home(home->home);
    err_t err = folder_make(home->home, f);
    if (err) return err;
    home_file(home, "lock", path);
    home->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (home->lock < 0 || flock(home->lock, LOCK_EX) != 0) {
        fail(f, ERR_STORE, "%s cannot be locked", path);
        fail_why(f, "%s", strerror(errno));
        return ERR_STORE;
    }
    return socket_place(home, f);
}

/* ---- who runs ---- */

/* When a process started, in the kernel's ticks: with it a number means one process only. 0: none. */
static unsigned long long process_born(pid_t pid)
{
    char path[64], text[1024];
    unsigned long long born = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    const char *at = strrchr(text, ')');
    if (at && at[1] && at[2] == 'Z') return 0; /* ended, nobody has asked yet */
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : born;
}

static json_t *process_json(const char *name, pid_t pid)
{
    return json_pack("{s:s, s:i, s:I}", "name", name, "pid", (int)pid, "born",
                     (json_int_t)process_born(pid));
}

/* One that had ended when it was written down was never born. */
static bool runs(const json_t *process)
{
    pid_t pid = (pid_t)json_integer_value(json_object_get(process, "pid"));
    unsigned long long born =
        (unsigned long long)json_integer_value(json_object_get(process, "born"));

    return pid > 1 && born && process_born(pid) == born;
}

static err_t file_write(const char *path, const char *text, fail_t *f)
{
    FILE *file = fopen(path, "we");

    if (file && fputs(text, file) >= 0 && fclose(file) == 0) return ERR_OK;
    fail(f, ERR_STORE, "%s cannot be written", path);
    fail_why(f, "%s", strerror(errno));
    return ERR_STORE;
}

/* What is done next is to be in the record. One that does not say so in time is no reason to fail. */
static void recorder_wait(int fd)
{
    char byte;
    struct pollfd item = {fd, POLLIN, 0};

    if (poll(&item, 1, RECORDER_MS) > 0) (void)!read(fd, &byte, 1);
}

/* The recorder: this program, following the events. It follows them on return. */
static pid_t recorder_start(const home_t *home, fail_t *f)
{
    char self[PATH_MAX], log[PATH_MAX], endpoint[PATH_MAX + 8];
    char *argv[] = {self,
                    (char *)(uintptr_t) "logs",
                    (char *)(uintptr_t) "--follow",
                    (char *)(uintptr_t) "--record",
                    log,
                    (char *)(uintptr_t) "--endpoint",
                    endpoint,
                    NULL};

    path_program("vatctl", self);
    home_file(home, "log.jsonl", log);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", home->socket);
    int says[2];
    must(pipe2(says, O_CLOEXEC) == 0);
    pid_t pid = process_start(argv, &(start_t){says[1], -1, -1, true, false}, f);
    close(says[1]);
    if (pid) recorder_wait(says[0]);
    close(says[0]);
    return pid;
}

static err_t processes_write(const home_t *home, const instance_t *instance, pid_t recorder,
                             fail_t *f)
{
    char path[PATH_MAX], name[32], text[PATH_MAX + 16];
    json_t *all = json_array();

    json_array_append_new(all, process_json("broker", instance->broker));
    for (size_t i = 0; i < instance->host_count; i++) {
        snprintf(name, sizeof name, "host-%zu", i + 1);
        json_array_append_new(all, process_json(name, instance->hosts[i]));
    }
    if (recorder) json_array_append_new(all, process_json("recorder", recorder));
    char *dump = json_dumps(all, JSON_COMPACT);
    home_file(home, "pids", path);
    err_t err = file_write(path, dump, f);
    free(dump);
    json_decref(all);
    if (err) return err;
    home_file(home, "endpoint", path);
    snprintf(text, sizeof text, "ipc://%s\n", home->socket);
    return file_write(path, text, f);
}

static json_t *processes_read(const home_t *home)
{
    char path[PATH_MAX];

    home_file(home, "pids", path);
    json_t *all = json_load_file(path, 0, NULL);
    return json_is_array(all) ? all : (json_decref(all), json_array());
}

static void up_show(cli_t *cli, const home_t *home, bool already, uint64_t hosts,
                    const json_t *clusters)
{
    char endpoint[PATH_MAX + 8];

    snprintf(endpoint, sizeof endpoint, "ipc://%s", home->socket);
    if (cli->json) {
        out_json(json_pack("{s:s, s:s, s:b, s:I, s:O}", "home", home->home, "endpoint", endpoint,
                           "already", already, "hosts", (json_int_t)hosts, "system", clusters));
        return;
    }
    say(cli, already ? "already up at %s" : "up at %s", endpoint);
    for (size_t i = 0; i < json_array_size(clusters); i++) {
        const json_t *one = json_array_get(clusters, i);
        say(cli, "  system cluster %s: %s", json_string_value(json_object_get(one, "cluster")),
            json_string_value(json_object_get(one, "done")));
    }
}

static bool all_ended(json_t *all, unsigned ms)
{
    uint64_t end = now_ms() + ms;

    for (;;) {
        size_t i;
        json_t *process;
        bool any = false;
        json_array_foreach(all, i, process) any = any || runs(process);
        if (!any) return true;
        if (now_ms() >= end) return false;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

static void signal_all(json_t *all, int number, const char *prefix)
{
    json_t *process;
    size_t i;

    json_array_foreach(all, i, process)
    {
        const char *name = json_string_value(json_object_get(process, "name"));
        if (!name || strncmp(name, prefix, strlen(prefix)) != 0 || !runs(process)) continue;
        kill((pid_t)json_integer_value(json_object_get(process, "pid")), number);
    }
}

/* Whether host-1, host-2, ... of those written down still run. */
static size_t running_hosts(json_t *all, bool *ret, size_t hosts)
{
    json_t *process;
    size_t i, count = 0;
    unsigned number;

    json_array_foreach(all, i, process)
    {
        const char *name = json_string_value(json_object_get(process, "name"));
        if (!name || sscanf(name, "host-%u", &number) != 1 || !runs(process)) continue;
        count++;
        if (number >= 1 && number <= hosts) ret[number - 1] = true;
    }
    return count;
}

/* The broker runs: hosts that are wanted and do not run are started beside it. */
static err_t hosts_fill(cli_t *cli, home_t *home, link_t *link, size_t hosts, unsigned ms,
                        uint64_t *ret_hosts)
{
    instance_t instance = {.kind = INSTANCE_DAEMON};
    bool *running = calloc(hosts + 1, sizeof *running);
    json_t *all = processes_read(home), *kept = json_array(), *process;
    char name[32], path[PATH_MAX];
    size_t i;

    must(running);
    size_t count = running_hosts(all, running, hosts);
    snprintf(instance.folder, sizeof instance.folder, "%s", home->home);
    snprintf(instance.hosts_endpoint, sizeof instance.hosts_endpoint, "%s",
             link_hosts_endpoint(link));
    snprintf(instance.key, sizeof instance.key, "%s", link_key(link));
    err_t err = instance_add(&instance, running, hosts, ms, &cli->f);
    json_array_foreach(all, i, process)
    {
        if (runs(process)) json_array_append(kept, process);
    }
    for (i = 0; i < hosts; i++) {
        if (!instance.hosts[i]) continue;
        snprintf(name, sizeof name, "host-%zu", i + 1);
        json_array_append_new(kept, process_json(name, instance.hosts[i]));
        count++;
    }
    char *dump = json_dumps(kept, JSON_COMPACT);
    home_file(home, "pids", path);
    if (file_write(path, dump, &cli->f) && !err) err = cli->f.err;
    *ret_hosts = count;
    free(dump);
    free(running);
    free(instance.hosts);
    json_decref(all);
    json_decref(kept);
    return err;
}

/* What a broker that died left running: its hosts would never find the next one. */
static void leftovers_end(const home_t *home)
{
    json_t *all = processes_read(home);

    signal_all(all, SIGTERM, "");
    if (!all_ended(all, DOWN_MS)) {
        signal_all(all, SIGKILL, "");
        all_ended(all, 2000);
    }
    json_decref(all);
}

/* --host-loss-after; 0: it was not given. */
static uint64_t host_loss_s(const cli_t *cli)
{
    return (args_ms(&cli->args, "host-loss-after", 0) + 999) / 1000;
}

static err_t up_fresh(cli_t *cli, home_t *home, size_t hosts, unsigned ms)
{
    instance_t instance;
    fail_t *f = &cli->f;

    leftovers_end(home);
    signals_catch();
    const instance_options_t options = {home->home, home->socket, hosts, INSTANCE_DAEMON,
                                        host_loss_s(cli)};
    err_t err = instance_start(&instance, &options, ms, f);
    if (err) return err;
    pid_t recorder = recorder_start(home, f);
    err = processes_write(home, &instance, recorder, f);
    if (!err && instance_broken(&instance, f)) err = f->err;
    if (err || signal_caught()) {
        if (recorder) process_stop(recorder, DOWN_MS);
        instance_stop(&instance);
        cli->exit = signal_caught() ? 128 + signal_caught() : 0;
        return err;
    }
    free(instance.hosts);
    return ERR_OK;
}

static err_t system_declare(cli_t *cli, const home_t *home, const system_t *clusters, link_t *link,
                            json_t *ret)
{
    char endpoint[PATH_MAX + 8];
    link_t *own = NULL;
    err_t err = ERR_OK;

    snprintf(endpoint, sizeof endpoint, "ipc://%s", home->socket);
    if (!link && !(link = own = link_new(endpoint, ANSWER_MS, &cli->f))) return cli->f.err;
    err = system_apply(clusters, home->home, link, ret, &cli->f);
    if (err) say(cli, "broker and vathosts are up at %s", endpoint);
    link_destroy(&own);
    return err;
}

static err_t up(cli_t *cli, home_t *home, const system_t *clusters)
{
    char endpoint[PATH_MAX];
    uint64_t hosts = args_count(&cli->args, "hosts", 1),
             ms = args_ms(&cli->args, "timeout", READY_MS);

    if (hosts > 1000) return fail(&cli->f, ERR_BAD_VALUE, "--hosts: at most 1000");
    if (ms > FOREVER_MS) ms = FOREVER_MS;
    hosts = instance_hosts(home->home, hosts);
    instance_endpoint(home->home, endpoint);
    AUTO(link) link = link_new(endpoint, 2000, &cli->f);
    if (link && args_text(&cli->args, "trace"))
        say(cli, "the broker runs: --trace means the next one");
    if (link && host_loss_s(cli)) {
        fail(&cli->f, ERR_BAD_VALUE, "--host-loss-after: the broker runs already");
        fail_why(&cli->f,
                 "it is told when it starts, and how long it was told to wait holds until it ends");
        fail_try(&cli->f, "vatctl down, then vatctl up --host-loss-after ...");
        return ERR_BAD_VALUE;
    }
    err_t err = link ? hosts_fill(cli, home, link, hosts, (unsigned)ms, &hosts)
                     : up_fresh(cli, home, hosts, (unsigned)ms);
    if (err || cli->exit) return err;
    json_t *done = json_array();
    if (clusters->asked) err = system_declare(cli, home, clusters, link, done);
    if (!err) up_show(cli, home, link != NULL, hosts, done);
    json_decref(done);
    return err;
}

/* The broker takes it from the environment; what is wrong with it is said here, where it has the flag's name. */
static err_t share_set(const char *text, fail_t *f)
{
    char *end;
    double share = text ? strtod(text, &end) : 0;

    if (!text) return ERR_OK;
    if (*text < '0' || *text > '9' || *end || !(share >= 0 && share <= 1)) {
        fail(f, ERR_BAD_VALUE, "--trace cannot be \"%.200s\"", text);
        fail_why(f, "a share from 0 to 1 is wanted, such as 0.1");
        return ERR_BAD_VALUE;
    }
    setenv("VATYARD_TRACE", text, 1);
    return ERR_OK;
}

err_t cmd_up(cli_t *cli)
{
    home_t home = {.lock = -1};
    system_t clusters;
    err_t err = system_read(&cli->args, &clusters, &cli->f);

    if (!err) err = share_set(args_text(&cli->args, "trace"), &cli->f);
    if (!err) err = home_open(&home, &cli->f);
    if (!err) err = up(cli, &home, &clusters);
    if (home.lock >= 0) close(home.lock);
    system_clear(&clusters);
    return err;
}

/* ---- down ---- */

/* Asks the broker itself; one that does not answer gets a signal. */
static void broker_shutdown(const char *endpoint)
{
    fail_t ignored;
    AUTO(link) link = link_new(endpoint, 2000, &ignored);
    msg_shutdown_t request = {request_id()};
    const msg_t *msg;

    if (link && link_ask(link, TAG_shutdown, &request, TAG_done, 5000, &msg, &ignored)) return;
}

err_t cmd_down(cli_t *cli)
{
    home_t home = {.lock = -1};
    char endpoint[PATH_MAX], path[PATH_MAX];
    err_t err = home_open(&home, &cli->f);
    if (err) return err;

    instance_endpoint(home.home, endpoint);
    json_t *all = processes_read(&home);
    size_t count = json_array_size(all);
    if (all_ended(all, 0)) {
        /* A broker may still be there that `up` did not start, or nothing at all. */
        AUTO(link) link = link_new(endpoint, 2000, &cli->f);
        if (!link) {
            json_decref(all);
            close(home.lock);
            return cli->f.err;
        }
    }
    signal_all(all, SIGTERM, "host-");
    signal_all(all, SIGTERM, "recorder");
    broker_shutdown(endpoint);
    if (!all_ended(all, 1000)) signal_all(all, SIGTERM, "");
    if (!all_ended(all, DOWN_MS)) signal_all(all, SIGKILL, "");
    bool ended = all_ended(all, 2000);
    json_decref(all);
    if (!ended) return fail(&cli->f, ERR_TIMED_OUT, "a process of %s does not end", home.home);

    home_file(&home, "pids", path);
    unlink(path);
    home_file(&home, "endpoint", path);
    unlink(path);
    unlink(home.socket);
    close(home.lock);
    if (cli->json)
        out_json(json_pack("{s:s, s:I}", "home", home.home, "ended", (json_int_t)count));
    else
        say(cli, "down; the state stays in %s", home.home);
    return ERR_OK;
}
