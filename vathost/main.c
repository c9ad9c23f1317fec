/* vathost: options, wiring, signals. The work is done in vathost.c. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vathost/vathost.h"
#include "wire/base/failpoint.h"
#include "wire/base/limits.h"
#include "wire/base/log.h"
#include "wire/base/own.h"
#include "wire/base/program.h"

typedef struct {
    const char *state, *name, *broker, *server_key, *server_key_file, *join;
    char host_name[NAME_BYTES_MAX + 1], server_key_text[KEY_TEXT_BYTES + 1];
    int ready_fd;
    bool print_key;
} options_t;

/* Everything the process holds, in the order in which it is made. */
typedef struct {
    char dir[PATH_MAX], program[PATH_MAX + 16], why[512];
    const char *where; /* what `why` is about */
    int lock_fd, signals;
    keys_t keys, join;
    crew_t *crew;
    bundles_t *bundles;
    vault_t *vault;
    dealer_t *dealer;
    vathost_t *host;
} process_t;

static const char usage[] =
    "vathost " VATYARD_VERSION " - runs vats for a Vatyard broker\n"
    "\n"
    "usage: vathost --state DIR --broker tcp://HOST:PORT --server-key KEY [--name NAME]\n"
    "               [--server-key-file FILE] [--join FILE] [--ready-fd N]\n"
    "       vathost --state DIR --print-key\n"
    "\n"
    "  --state DIR        key, bundles and databases of vats; made when it is missing\n"
    "  --name NAME        what people call this host (the machine's name)\n"
    "  --broker URL       where the broker waits for hosts\n"
    "  --server-key KEY   the broker's public key; --server-key-file FILE reads it from there\n"
    "  --join FILE        a secret key with which this host puts its own on the broker's\n"
    "                     allow-list, when it is not there (vatbroker --join)\n"
    "  --ready-fd N       descriptor that gets one line when the broker has let us in (1)\n"
    "  --print-key        print this host's public key, for the broker's allow-list\n"
    "  --version, --help\n"
    "\n"
    "VATYARD_LOG_FORMAT=text|json, VATYARD_LOG_LEVEL=error|warn|info|debug\n";

static int fail(err_t err, const char *where, const char *why)
{
    return program_fail(err, where, why, err_row(err)->exit == 2 ? "vathost --help" : NULL);
}

/* ---- options ---- */

/* In a container this is the container's id. */
static void default_name(options_t *options)
{
    if (options->name || gethostname(options->host_name, sizeof options->host_name) != 0) return;
    options->host_name[NAME_BYTES_MAX] = '\0';
    options->name = options->host_name;
}

static int read_server_key(options_t *options)
{
    char why[256];
    if (options->server_key || !options->server_key_file) return -1;
    err_t err = key_read(options->server_key_file, options->server_key_text, why);
    if (err) return fail(err, "--server-key-file", why);
    options->server_key = options->server_key_text;
    return -1;
}

static int check_options(const options_t *options)
{
    if (!options->state) return fail(ERR_USAGE, "--state is required", "");
    if (strlen(options->state) > PATH_BYTES_MAX / 2)
        return fail(ERR_BAD_VALUE, "--state", "too long");
    if (options->print_key) return -1;
    if (!options->name || !*options->name) return fail(ERR_USAGE, "--name is required", "");
    if (strlen(options->name) > NAME_BYTES_MAX) return fail(ERR_BAD_VALUE, "--name", "too long");
    if (!options->broker) return fail(ERR_USAGE, "--broker is required", "");
    if (!options->server_key) return fail(ERR_USAGE, "--server-key is required", "");
    hash_t key;
    if (!key_parse(text_of(options->server_key), &key)) {
        return fail(ERR_BAD_VALUE, "--server-key", "not a key: 40 characters of Z85");
    }
    return -1;
}

/* -1: go on; otherwise the exit code. */
static int read_options(int argc, char **argv, options_t *ret)
{
    static const struct option table[] = {
        {"state", required_argument, 0, 's'},
        {"name", required_argument, 0, 'n'},
        {"broker", required_argument, 0, 'b'},
        {"server-key", required_argument, 0, 'k'},
        {"server-key-file", required_argument, 0, 'f'},
        {"join", required_argument, 0, 'j'},
        {"ready-fd", required_argument, 0, 'r'},
        {"print-key", no_argument, 0, 'p'},
        {"version", no_argument, 0, 'V'},
        {"help", no_argument, 0, 'h'},
        {0, 0, 0, 0},
    };
    *ret = (options_t){.ready_fd = STDOUT_FILENO};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) {
        switch (c) {
        case 's': ret->state = optarg; break;
        case 'n': ret->name = optarg; break;
        case 'b': ret->broker = optarg; break;
        case 'k': ret->server_key = optarg; break;
        case 'f': ret->server_key_file = optarg; break;
        case 'j': ret->join = optarg; break;
        case 'p': ret->print_key = true; break;
        case 'r':
            if (!program_descriptor(optarg, &ret->ready_fd))
                return fail(ERR_BAD_VALUE, "--ready-fd", "not an open descriptor");
            break;
        case 'V': puts("vathost " VATYARD_VERSION); return 0;
        case 'h': fputs(usage, stdout); return 0;
        case ':': return fail(ERR_BAD_VALUE, argv[optind - 1], "it needs a value");
        default: return fail(ERR_UNKNOWN_FLAG, argv[optind - 1], "");
        }
    }
    if (optind < argc) return fail(ERR_USAGE, argv[optind], "");
    default_name(ret);
    int code = ret->print_key ? -1 : read_server_key(ret);
    return code >= 0 ? code : check_options(ret);
}

/* ---- start ---- */

static err_t state_failed(process_t *self, const char *where)
{
    self->where = where;
    snprintf(self->why, sizeof self->why, "%s", strerror(errno));
    return ERR_STORE;
}

static err_t open_state(process_t *self, const options_t *options)
{
    char path[PATH_MAX + 16];

    if (mkdir(options->state, 0700) != 0 && errno != EEXIST) {
        return state_failed(self, options->state);
    }
    if (!realpath(options->state, self->dir)) return state_failed(self, options->state);
    self->where = self->dir;
    snprintf(path, sizeof path, "%s/lock", self->dir);
    self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0) return state_failed(self, self->dir);
    return ERR_OK;
}

/* vatworker stands beside this program. */
static err_t find_program(process_t *self)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0) return ERR_PROCESS_FAILED;
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    snprintf(self->program, sizeof self->program, "%s/vatworker", path);
    return ERR_OK;
}

/* Signals are taken from a descriptor, so that no moment is the wrong one; blocked before libzmq has
 * threads that would get them. Each worker costs a descriptor: take all there are. */
static void prepare_process(process_t *self)
{
    struct rlimit files;
    sigset_t ends;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    self->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static err_t start(process_t *self, const options_t *options)
{
    char path[PATH_MAX + 16];

    if (!program_lock(self->lock_fd)) return ERR_STORE_LOCKED;
    FAILPOINT(vathost_locked);
    prepare_process(self);
    err_t err = find_program(self);
    self->where = self->program;
    if (!err) err = crew_new(self->program, &self->crew); /* before libzmq has threads */
    if (err) return err;
    FAILPOINT(vathost_crew);

    self->where = self->dir;
    snprintf(path, sizeof path, "%s/bundles", self->dir);
    err = bundles_new(path, &self->bundles);
    if (!err) err = vault_new(self->dir, &self->vault);
    if (err) return err;
    self->dealer = dealer_new(options->broker, options->server_key, &self->keys);
    self->host = vathost_new(&(vathost_options_t){.state = self->dir,
                                                  .name = options->name,
                                                  .program = self->program,
                                                  .keys = &self->keys,
                                                  .join = options->join ? &self->join : NULL,
                                                  .dealer = self->dealer,
                                                  .bundles = self->bundles,
                                                  .vault = self->vault,
                                                  .crew = TAKE(self->crew),
                                                  .signals = self->signals,
                                                  .ready_fd = options->ready_fd});
    return ERR_OK;
}

static err_t run(process_t *self, const options_t *options)
{
    err_t err = start(self, options);
    if (err) return err;

    err = vathost_run(self->host);
    self->where = err == ERR_PROCESS_FAILED ? self->program : options->broker;
    snprintf(self->why, sizeof self->why, "%s", vathost_why(self->host));
    return err;
}

static void finish(process_t *self)
{
    vathost_destroy(&self->host);
    crew_destroy(&self->crew);
    dealer_destroy(&self->dealer);
    vault_destroy(&self->vault);
    bundles_destroy(&self->bundles);
}

int main(int argc, char **argv)
{
    static process_t self;
    options_t options;

    int code = read_options(argc, argv, &options);
    if (code >= 0) return code;
    log_open("host", options.name);
    failpoint_start(FAILPOINT_vathost);
    self.where = "";
    err_t err = open_state(&self, &options);
    if (!err) err = keys_open(self.dir, "host", &self.keys, self.why);
    if (!err && options.print_key) {
        puts(self.keys.public_key);
        return 0;
    }
    if (!err && options.join) err = keys_read(options.join, &self.join, self.why);
    if (!err) err = run(&self, &options);
    code = err ? fail(err, self.where, self.why) : 0;
    finish(&self);
    return code;
}
