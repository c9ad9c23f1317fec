/* vatbroker: options, wiring, signals. The work is done in broker.c. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/backup.h"
#include "broker/broker.h"
#include "broker/home.h"
#include "broker/io/doors.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"
#include "wire/base/program.h"

enum { TURN_MS = 250 /* how long a signal that came at the wrong moment waits */ };

typedef struct {
    const char *state, *listen, *control, *control_read, *globals, *key, *join;
    uint64_t host_loss_s, traced_below;
    bool adopt;
    int ready_fd;
} options_t;

/* Everything the process holds. Fields are filled in this order and given back in the other. */
typedef struct {
    char dir[PATH_MAX], control[PATH_MAX + 32], agent[PATH_MAX + 16], why[512];
    const char *where; /* what `why` is about */
    int lock_fd;
    keys_t keys;
    store_t *store;
    allow_t *allow, *join;
    keeper_t *keeper;
    doors_t *doors;
    broker_t *broker;
} process_t;

static const char usage[] =
    "vatbroker " VATYARD_VERSION " - the kernel of a Vatyard cluster\n"
    "\n"
    "usage: vatbroker --state DIR [--listen tcp://127.0.0.1:*] [--control ipc://PATH]\n"
    "                 [--globals NAMES] [--ready-fd N] [--host-loss-after SECONDS]\n"
    "                 [--key FILE] [--join FILE] [--adopt-backup] [--trace SHARE]\n"
    "                 [--control-read ipc://PATH]\n"
    "\n"
    "  --state DIR      keys, allow-list and database; made when it is missing\n"
    "  --listen URL     where vathosts connect; * takes a free port (tcp://127.0.0.1:*)\n"
    "  --control URL    where vatctl connects (ipc://DIR/control.sock)\n"
    "  --control-read URL\n"
    "                   where vatctl may ask for figures and lists, and for nothing else "
    "(nowhere)\n"
    "  --globals NAMES  globals that vats may ask for, separated by blanks (all)\n"
    "  --host-loss-after SECONDS\n"
    "                   a vathost that is away for so long is gone for good: its vats are\n"
    "                   brought back elsewhere, or end (0: it may be away for ever)\n"
    "  --key FILE       the broker's secret key, kept elsewhere: DIR/broker.key is made of it\n"
    "  --join FILE      public keys, one per line, with which a vathost may put a key of its\n"
    "                   own on the list of those that may connect (vathost --join)\n"
    "  --adopt-backup   DIR is a backup: make it a state to go on from, and end\n"
    "  --trace SHARE    of all traces, 0 to 1, whose last events are remembered, for vatctl trace\n"
    "                   [VATYARD_TRACE] (1)\n"
    "  --ready-fd N     descriptor that gets one line when the broker is ready (1)\n"
    "  --version, --help\n"
    "\n"
    "DIR/hosts.allow names the vathosts that may connect, one per line: PUBLIC-KEY NAME.\n"
    "VATYARD_LOG_FORMAT=text|json, VATYARD_LOG_LEVEL=error|warn|info|debug\n";

static volatile sig_atomic_t signalled;

static void on_signal(int number) { signalled = number; }

/* ---- options ---- */

static int wrong_use(err_t err, const char *what)
{
    return program_fail(err, what, "", "vatbroker --help");
}

/* A name that is misspelt would forbid what was meant to be allowed. */
static bool known_globals(const char *names)
{
    static const char *const known[] = {
#define GLOBAL(name, outside) #name,
#include "wire/schema/global.def"
#undef GLOBAL
    };
    for (names += strspn(names, " "); *names; names += strspn(names, " ")) {
        size_t len = strcspn(names, " "), i = 0, count = sizeof known / sizeof *known;
        while (i < count && (strlen(known[i]) != len || memcmp(known[i], names, len) != 0)) i++;
        if (i == count) return false;
        names += len;
    }
    return true;
}

static bool read_seconds(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *ret <= INT_MAX;
}

/* "0.25", as what kernel_traced() takes. */
static bool read_share(const char *text, uint64_t *ret)
{
    char *end;
    double share = strtod(text, &end);
    if (*text < '0' || *text > '9' || *end || !(share >= 0 && share <= 1)) return false;
    *ret = (uint64_t)(share * (double)TRACES_ALL);
    if (share > 0 && *ret == 0) *ret = 1;
    return true;
}

/* What the environment says goes where no flag does. */
static bool read_environment(options_t *ret)
{
    const char *share = getenv("VATYARD_TRACE");
    return !share || !*share || read_share(share, &ret->traced_below);
}

/* -1: go on; otherwise the exit code. */
static int read_options(int argc, char **argv, options_t *ret)
{
    static const struct option table[] = {
        {"state", required_argument, 0, 's'},
        {"listen", required_argument, 0, 'l'},
        {"control", required_argument, 0, 'c'},
        {"control-read", required_argument, 0, 'R'},
        {"globals", required_argument, 0, 'g'},
        {"ready-fd", required_argument, 0, 'r'},
        {"host-loss-after", required_argument, 0, 'o'},
        {"key", required_argument, 0, 'k'},
        {"join", required_argument, 0, 'j'},
        {"adopt-backup", no_argument, 0, 'a'},
        {"version", no_argument, 0, 'V'},
        {"help", no_argument, 0, 'h'},
        {"trace", required_argument, 0, 't'},
        {0, 0, 0, 0},
    };
    *ret = (options_t){
        .listen = "tcp://127.0.0.1:*", .ready_fd = STDOUT_FILENO, .traced_below = TRACES_ALL};
    if (!read_environment(ret)) return wrong_use(ERR_BAD_VALUE, "VATYARD_TRACE");
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) {
        switch (c) {
        case 's': ret->state = optarg; break;
        case 'l': ret->listen = optarg; break;
        case 'c': ret->control = optarg; break;
        case 'R': ret->control_read = optarg; break;
        case 'g':
            if (!known_globals(optarg)) return wrong_use(ERR_BAD_VALUE, "--globals");
            ret->globals = optarg;
            break;
        case 'r':
            if (!program_descriptor(optarg, &ret->ready_fd))
                return wrong_use(ERR_BAD_VALUE, "--ready-fd");
            break;
        case 'o':
            if (!read_seconds(optarg, &ret->host_loss_s))
                return wrong_use(ERR_BAD_VALUE, "--host-loss-after");
            break;
        case 'k': ret->key = optarg; break;
        case 'j': ret->join = optarg; break;
        case 'a': ret->adopt = true; break;
        case 't':
            if (!read_share(optarg, &ret->traced_below)) return wrong_use(ERR_BAD_VALUE, "--trace");
            break;
        case 'V': puts("vatbroker " VATYARD_VERSION); return 0;
        case 'h': fputs(usage, stdout); return 0;
        case ':': return wrong_use(ERR_BAD_VALUE, argv[optind - 1]);
        default: return wrong_use(ERR_UNKNOWN_FLAG, argv[optind - 1]);
        }
    }
    if (optind < argc) return wrong_use(ERR_USAGE, argv[optind]);
    return ret->state ? -1 : wrong_use(ERR_USAGE, "--state is required");
}

/* ---- start ---- */

static err_t open_home(process_t *self, const options_t *options)
{
    self->where = options->state;
    err_t err = home_open(options->state, &self->lock_fd, self->why);
    if (err) return err;
    if (!realpath(options->state, self->dir)) {
        snprintf(self->why, sizeof self->why, "%s", strerror(errno));
        return ERR_BAD_VALUE;
    }
    self->where = self->dir;
    return keys_adopt(self->dir, "broker", options->key, &self->keys, self->why);
}

static err_t open_store(process_t *self)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/kernel.db", self->dir);
    self->where = self->dir;
    err_t err = store_open(&(store_options_t){.path = path}, &self->store);
    if (err) snprintf(self->why, sizeof self->why, "kernel.db: %s", store_why(self->store));
    return err;
}

/* A backup may have lain somewhere for long. */
static err_t verify_store(process_t *self)
{
    err_t err = store_verify(self->store);
    if (err) snprintf(self->why, sizeof self->why, "%s", store_why(self->store));
    return err;
}

/* vatagent stands beside this program. */
static void make_keeper(process_t *self)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash) *slash = '\0';
    snprintf(self->agent, sizeof self->agent, "%s/vatagent", path);
    self->keeper = keeper_new(self->agent);
}

static void warn_bad_lines(allow_t *list, const char *path)
{
    size_t bad = allow_bad_lines(list);
    if (bad) log_warn("allow_list", kv_str("file", path), kv_num("bad_lines", bad));
}

/* Nothing is bound yet. */
static void make_doors(process_t *self, const options_t *options)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/hosts.allow", self->dir);
    self->allow = allow_new(path);
    warn_bad_lines(self->allow, path);
    if (options->join) {
        if (access(options->join, R_OK) != 0)
            log_warn("join_list", kv_str("file", options->join), kv_str("why", strerror(errno)));
        self->join = allow_new(options->join);
        warn_bad_lines(self->join, options->join);
    }
    if (options->control)
        snprintf(self->control, sizeof self->control, "%s", options->control);
    else
        snprintf(self->control, sizeof self->control, "ipc://%s/control.sock", self->dir);
    self->doors = doors_new(&(doors_options_t){.listen = options->listen,
                                               .control = self->control,
                                               .keys = &self->keys,
                                               .allow = self->allow,
                                               .join = self->join,
                                               .control_read = options->control_read,
                                               .keeper = self->keeper});
}

static err_t open_broker(process_t *self, const options_t *options)
{
    self->broker = broker_new(&(broker_options_t){
        .port = doors_port(self->doors),
        .gate = store_gate(self->store),
        .store = self->store,
        .hosts_endpoint = doors_endpoint(self->doors, DOOR_HOSTS),
        .key = self->keys.public_key,
        .globals = options->globals,
        .traced_below = options->traced_below,
        .dir = self->dir,
        .host_loss_us = options->host_loss_s * 1000000,
        .adopt = options->adopt,
    });
    self->where = self->dir;
    err_t err = broker_load(self->broker);
    if (err) snprintf(self->why, sizeof self->why, "%s", broker_why(self->broker));
    return err;
}

/* The hosts have gone on since a backup was made: a broker that simply started from it would find that out with
 * each vat. One that is adopted twice would forget what came after the first time. */
static err_t check_backup(process_t *self, const options_t *options)
{
    bool marked = backup_marked(self->dir);
    if (marked == options->adopt) return ERR_OK;
    snprintf(self->why, sizeof self->why, "%s",
             marked
                 ? "this is a backup: vatbroker --adopt-backup makes it a state to go on from"
                 : "this is no backup, or one that was adopted before: leave --adopt-backup away");
    return ERR_BAD_VALUE;
}

/* A new key would be one that no host knows. */
static err_t check_backup_key(process_t *self, const options_t *options)
{
    char path[PATH_MAX];
    if (!options->adopt || options->key) return ERR_OK;
    snprintf(path, sizeof path, "%.4000s/broker.key", options->state);
    if (access(path, F_OK) == 0) return ERR_OK;
    self->where = options->state;
    snprintf(self->why, sizeof self->why,
             "there is no broker.key, by which hosts know their broker");
    return ERR_FILE_MISSING;
}

/* What was adopted is on disk: from now on this is a state like others. */
static err_t adopted(process_t *self)
{
    if (!broker_durable(self->broker)) return ERR_STORE_FULL;
    const char *lost = broker_lost(self->broker);
    if (*lost) printf("without their copies: %s\n", lost);
    return backup_unmark(self->dir, self->why);
}

static err_t open_doors(process_t *self)
{
    err_t err = doors_open(self->doors);
    self->where = err ? doors_why(self->doors) : "";
    return err;
}

/* The database is read, and found whole, before the doors open: a broker that cannot read its state
 * is not to be found, and takes no port. */
static err_t start(process_t *self, const options_t *options)
{
    err_t err = check_backup_key(self, options);
    if (!err) err = open_home(self, options);
    if (err) return err;
    FAILPOINT(broker_locked);
    err = check_backup(self, options);
    if (!err) err = open_store(self);
    if (!err && options->adopt) err = verify_store(self);
    if (err) return err;
    make_keeper(self);
    make_doors(self, options);
    err = open_broker(self, options);
    if (!err && options->adopt) return adopted(self);
    if (err) return err;
    FAILPOINT(broker_recovered);
    err = open_doors(self);
    FAILPOINT(broker_open);
    return err;
}

static void give_back(process_t *self)
{
    broker_destroy(&self->broker);
    doors_destroy(&self->doors);
    keeper_destroy(&self->keeper);
    allow_destroy(&self->join);
    allow_destroy(&self->allow);
    store_destroy(&self->store);
    if (self->lock_fd >= 0) close(self->lock_fd);
}

/* ---- ready ---- */

static void print_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void say_ready(const process_t *self, int fd)
{
    char *line = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&line, &len);
    if (!out) return;
    fputs("ready {\"hosts\":", out);
    print_quoted(out, doors_endpoint(self->doors, DOOR_HOSTS));
    fputs(",\"control\":", out);
    print_quoted(out, doors_endpoint(self->doors, DOOR_CLIENTS));
    if (*doors_endpoint(self->doors, DOOR_READERS)) {
        fputs(",\"control_read\":", out);
        print_quoted(out, doors_endpoint(self->doors, DOOR_READERS));
    }
    fprintf(out, ",\"key\":\"%s\"}\n", self->keys.public_key);
    fclose(out);
    if (write(fd, line, len) < 0) log_warn("ready_line", kv_str("why", strerror(errno)));
    free(line);
}

static err_t serve(process_t *self)
{
    err_t err = ERR_OK;
    while (!err && !signalled && !broker_stopped(self->broker)) {
        err = broker_turn(self->broker, TURN_MS);
    }
    self->where = self->dir;
    if (err) snprintf(self->why, sizeof self->why, "%s", broker_why(self->broker));
    return err;
}

int main(int argc, char **argv)
{
    options_t options;
    int done = read_options(argc, argv, &options);
    if (done >= 0) return done;

    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a wait must end */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond a limit is an error of the store, said as one */
    log_open("broker", NULL);
    failpoint_start(FAILPOINT_broker);
    home_raise_files();

    process_t process = {.lock_fd = -1, .where = ""};
    err_t err = start(&process, &options);
    if (!err && !options.adopt) {
        say_ready(&process, options.ready_fd);
        log_info("start", kv_str("hosts", doors_endpoint(process.doors, DOOR_HOSTS)),
                 kv_str("control", doors_endpoint(process.doors, DOOR_CLIENTS)));
        err = serve(&process);
    }
    int code = err ? program_fail(err, process.where, process.why, NULL) : 0;
    give_back(&process);
    if (!err) log_info("stop");
    return code;
}
