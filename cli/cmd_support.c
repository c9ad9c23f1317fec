/* support: one file with what helps to find out what is wrong. No key, no state of a vat, no database
 * and no history goes into it; and what the secret keys' texts are is taken out of everything that does. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/instance.h"
#include "cli/link.h"
#include "cli/process.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

enum { SECRETS_MAX = 256, SECRET_BYTES = 40, LOG_BYTES_MAX = 8 << 20 };
/* How long one answer of the broker is waited for, how long once it gave none, and how long its command may need
 * besides. */
enum { ASK_MS = 10 * 1000, AGAIN_MS = 1000, START_MS = 5 * 1000 };
enum { PACK_MS = 120 * 1000, SLICE_MS = 50 };

typedef struct {
    cli_t *cli;
    char home[PATH_MAX];
    char temp[PATH_MAX], name[64], stage[PATH_MAX]; /* stage: temp/name */
    char secrets[SECRETS_MAX][SECRET_BYTES + 1];
    size_t secret_count;
    json_t *files;
    uint64_t ask_ms;
} support_t;

static void below(const char *folder, const char *name, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%.3800s/%.200s", folder, name);
}

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), tail = strlen(end);
    return len >= tail && strcmp(name + len - tail, end) == 0;
}

/* ---- secrets ---- */

static void secret_read(support_t *self, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[SECRET_BYTES + 1] = "";

    if (!file) return;
    size_t n = fread(line, 1, SECRET_BYTES, file);
    fclose(file);
    if (n == SECRET_BYTES && self->secret_count < SECRETS_MAX)
        memcpy(self->secrets[self->secret_count++], line, SECRET_BYTES);
}

/* The *.key files of FOLDER and of the folders in it. */
static void secrets_find(support_t *self, const char *folder, int depth)
{
    DIR *dir = opendir(folder);
    char path[PATH_MAX];
    struct stat stat_;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (*entry->d_name == '.') continue;
        below(folder, entry->d_name, path);
        if (lstat(path, &stat_) != 0) continue;
        if (S_ISDIR(stat_.st_mode) && depth) secrets_find(self, path, depth - 1);
        if (S_ISREG(stat_.st_mode) && ends_with(entry->d_name, ".key")) secret_read(self, path);
    }
    if (dir) closedir(dir);
}

/* Keys that variables name: files outside of the instance, as in a container. */
static void secrets_named(support_t *self)
{
    for (char **at = environ; *at; at++) {
        const char *value = strchr(*at, '=');
        if (strncmp(*at, "VATYARD_", 8) == 0 && value && value[1] == '/' &&
            (strstr(*at, "KEY") || strstr(*at, "SECRET")))
            secret_read(self, value + 1);
    }
}

static void secrets_remove(const support_t *self, char *bytes, size_t len)
{
    for (size_t i = 0; i < self->secret_count; i++) {
        char *at = bytes, *found;
        while ((found = memmem(at, len - (size_t)(at - bytes), self->secrets[i], SECRET_BYTES))) {
            memset(found, '#', SECRET_BYTES);
            at = found + SECRET_BYTES;
        }
    }
}

/* ---- files ---- */

static err_t put(support_t *self, const char *name, char *bytes, size_t len)
{
    char path[PATH_MAX];

    secrets_remove(self, bytes, len);
    below(self->stage, name, path);
    FILE *file = fopen(path, "we");
    bool wrote = file && fwrite(bytes, 1, len, file) == len;
    if (file && fclose(file) != 0) wrote = false;
    if (!wrote) {
        fail(&self->cli->f, ERR_STORE, "%s cannot be written", path);
        fail_why(&self->cli->f, "%s", strerror(errno));
        return ERR_STORE;
    }
    json_array_append_new(self->files, json_string(name));
    return ERR_OK;
}

/* The last LOG_BYTES_MAX bytes of the file, from the begin of a line. */
static err_t put_file(support_t *self, const char *path, const char *name)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat stat_;

    if (fd < 0) return ERR_OK; /* it is not there, or not ours to show */
    if (fstat(fd, &stat_) != 0 || !S_ISREG(stat_.st_mode)) {
        close(fd);
        return ERR_OK;
    }
    char *bytes = malloc(LOG_BYTES_MAX);
    size_t len = 0;
    must(bytes);
    if (stat_.st_size > LOG_BYTES_MAX) lseek(fd, -(off_t)LOG_BYTES_MAX, SEEK_END);
    for (ssize_t n; len < LOG_BYTES_MAX && (n = read(fd, bytes + len, LOG_BYTES_MAX - len)) > 0;)
        len += (size_t)n;
    close(fd);
    /* Half a secret would not be found, and half a line says nothing. */
    const char *line = stat_.st_size > LOG_BYTES_MAX ? memchr(bytes, '\n', len) : NULL;
    size_t skip = line ? (size_t)(line + 1 - bytes) : 0;
    err_t err = put(self, name, bytes + skip, len - skip);
    free(bytes);
    return err;
}

static err_t put_logs(support_t *self)
{
    DIR *dir = opendir(self->home);
    char path[PATH_MAX];
    err_t err = ERR_OK;

    for (struct dirent *entry; dir && !err && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (*name == '.' || (!ends_with(name, ".log") && strncmp(name, "log.jsonl", 9) != 0))
            continue;
        below(self->home, name, path);
        err = put_file(self, path, name);
    }
    if (dir) closedir(dir);
    return err;
}

static err_t put_settings(support_t *self)
{
    static const char *const kept[] = {"endpoint", "pids", "system"};
    char path[PATH_MAX];
    err_t err = ERR_OK;

    for (size_t i = 0; i < sizeof kept / sizeof *kept && !err; i++) {
        below(self->home, kept[i], path);
        err = put_file(self, path, kept[i]);
    }
    below(self->home, "broker/hosts.allow", path);
    return err ? err : put_file(self, path, "hosts.allow");
}

/* ---- the machine ---- */

/* Names and sizes of what the instance has; of what is in it, nothing. */
static void tree(FILE *out, const char *folder, int depth, size_t from)
{
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    struct stat stat_;
    int count = scandir(folder, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        below(folder, name, path);
        bool self = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        if (!self && lstat(path, &stat_) == 0) {
            fprintf(out, "%04o %12lld %s%s\n", (unsigned)stat_.st_mode & 07777,
                    (long long)stat_.st_size, path + from, S_ISDIR(stat_.st_mode) ? "/" : "");
            if (S_ISDIR(stat_.st_mode) && depth) tree(out, path, depth - 1, from);
        }
        free(entries[i]);
    }
    free(entries);
}

static void environment(FILE *out)
{
    for (char **at = environ; *at; at++) {
        size_t name = strcspn(*at, "=");
        bool ours = strncmp(*at, "VATYARD_", 8) == 0 || strncmp(*at, "NO_COLOR=", 9) == 0;
        bool secret = memmem(*at, name, "KEY", 3) || memmem(*at, name, "SECRET", 6) ||
                      memmem(*at, name, "TOKEN", 5) || memmem(*at, name, "PASS", 4);
        if (ours) fprintf(out, "%.*s=%s\n", (int)name, *at, secret ? "(left out)" : *at + name + 1);
    }
}

static err_t put_machine(support_t *self)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct utsname system;

    must(out);
    fprintf(out, "vatctl %s\n", VATYARD_VERSION);
    if (uname(&system) == 0)
        fprintf(out, "%s %s %s %s\n", system.sysname, system.release, system.version,
                system.machine);
    fprintf(out, "%ld processors, %ld pages of %ld bytes, %ld free\n",
            sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_PHYS_PAGES), sysconf(_SC_PAGESIZE),
            sysconf(_SC_AVPHYS_PAGES));
    environment(out);
    fprintf(out, "\n%s\n", self->home);
    tree(out, self->home, 3, strlen(self->home) + 1);
    fclose(out);
    err_t err = put(self, "machine.txt", text, len);
    free(text);
    return err;
}

/* Waits for a child, at most MS and until somebody wants no more. False: it still runs. */
static bool ends(pid_t pid, uint64_t ms, int *ret_status)
{
    for (uint64_t waited = 0; waited < ms && !signal_caught(); waited += SLICE_MS) {
        if (process_wait(pid, SLICE_MS, ret_status)) return true;
    }
    return false;
}

static err_t stopped(support_t *self)
{
    return signal_caught() ? fail(&self->cli->f, ERR_TIMED_OUT, "stopped") : ERR_OK;
}

/* ---- what the broker says ---- */

/* Runs `vatctl COMMAND --json` and keeps what it says; what it says of an error is kept as well. */
static err_t put_answer(support_t *self, const char *command, const char *flag)
{
    static char self_path[] = "/proc/self/exe", json[] = "--json", quiet[] = "-q",
                timeout[] = "--timeout";
    char words[64], part[64], name[80], path[PATH_MAX], time[32];
    char *argv[10] = {self_path};
    int argc = 1, status;

    if (!command_find(command)) return ERR_OK;
    snprintf(words, sizeof words, "%s%s%s", command, *flag ? " " : "", flag);
    for (char *at = strtok(words, " "); at; at = strtok(NULL, " ")) argv[argc++] = at;
    argv[argc++] = json;
    argv[argc++] = quiet;
    argv[argc++] = timeout;
    argv[argc] = time;
    snprintf(time, sizeof time, "%" PRIu64 "ms", self->ask_ms);

    snprintf(part, sizeof part, "%s", command);
    for (char *c = part; *c; c++)
        if (*c == ' ') *c = '-';
    snprintf(name, sizeof name, "%s.json", part);
    below(self->temp, "answer", path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fail_t ignored;
    pid_t pid = fd < 0 ? 0 : process_start(argv, &(start_t){fd, fd, -1, false, false}, &ignored);
    uint64_t began = now_ms();
    if (pid && !ends(pid, self->ask_ms + START_MS, &status)) process_stop(pid, 1000);
    if (fd >= 0) close(fd);
    /* A broker that hangs is not waited for as often as there are questions. */
    if (now_ms() - began >= self->ask_ms && self->ask_ms > AGAIN_MS) self->ask_ms = AGAIN_MS;
    err_t err = stopped(self);
    return err ? err : put_file(self, path, name);
}

static err_t put_answers(support_t *self)
{
    static const struct {
        const char *command, *flag;
    } asked[] = {{"version", ""}, {"where", ""},      {"status", ""}, {"ps", "--all"},
                 {"host ls", ""}, {"cluster ls", ""}, {"stats", ""},  {"health", ""}};
    const char *endpoint = args_text(&self->cli->args, "endpoint");
    err_t err = ERR_OK;

    if (endpoint) setenv("VATYARD_ENDPOINT", endpoint, 1);
    for (size_t i = 0; i < sizeof asked / sizeof *asked && !err; i++)
        err = put_answer(self, asked[i].command, asked[i].flag);
    return err;
}

/* ---- the file ---- */

static err_t stage_make(support_t *self)
{
    const char *temp = getenv("TMPDIR");
    time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(self->name, sizeof self->name, "vatyard-support-%Y%m%d-%H%M%S", &utc);
    snprintf(self->temp, sizeof self->temp, "%.3000s/vatyard-XXXXXX",
             temp && *temp ? temp : "/tmp");
    if (!mkdtemp(self->temp)) {
        fail(&self->cli->f, ERR_STORE, "no folder can be made in %s",
             temp && *temp ? temp : "/tmp");
        fail_why(&self->cli->f, "%s", strerror(errno));
        *self->temp = 0;
        return ERR_STORE;
    }
    below(self->temp, self->name, self->stage);
    return folder_make(self->stage, &self->cli->f);
}

static err_t pack(support_t *self, const char *path)
{
    static char tar[] = "tar", create[] = "-czf", in[] = "-C";
    char target[PATH_MAX], log[PATH_MAX], said[512] = "";
    char *argv[] = {tar, create, target, in, self->temp, self->name, NULL};
    int status = 0;

    snprintf(target, sizeof target, "%s", path);
    below(self->temp, "tar", log);
    int fd = open(log, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    pid_t pid = process_start(argv, &(start_t){-1, fd, -1, false, false}, &self->cli->f);
    if (!pid) {
        if (fd >= 0) close(fd);
        fail_try(&self->cli->f, "install tar and gzip");
        return self->cli->f.err;
    }
    bool ended = ends(pid, PACK_MS, &status);
    if (!ended) process_stop(pid, 1000);
    if (!ended) unlink(path);
    if (fd >= 0 && pread(fd, said, sizeof said - 1, 0) < 0) *said = 0;
    if (fd >= 0) close(fd);
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0) return ERR_OK;
    if (signal_caught()) return stopped(self);
    said[strcspn(said, "\n")] = 0;
    fail(&self->cli->f, ERR_STORE, "%s cannot be written", path);
    fail_why(&self->cli->f, "%s", *said ? said : "tar did not come to an end");
    return ERR_STORE;
}

static void told(const support_t *self, const char *path)
{
    char whole[PATH_MAX];
    struct stat stat_ = {0};

    if (!realpath(path, whole)) snprintf(whole, sizeof whole, "%s", path);
    (void)!stat(whole, &stat_);
    if (self->cli->json) {
        out_json(json_pack("{s:s, s:I, s:O}", "file", whole, "bytes", (json_int_t)stat_.st_size,
                           "files", self->files));
        return;
    }
    printf("%s\n", whole);
    say(self->cli,
        "%zu files, %lld bytes. It has logs, which have what vats print; keys, databases and "
        "the shell's history are not in it.",
        json_array_size(self->files), (long long)stat_.st_size);
}

err_t cmd_support(cli_t *cli)
{
    support_t *self = calloc(1, sizeof *self);
    const char *path = args_text(&cli->args, "output");
    char name[PATH_MAX];

    must(self);
    umask(077);
    signals_catch();
    self->cli = cli;
    self->ask_ms = args_ms(&cli->args, "timeout", ASK_MS);
    self->files = json_array();
    instance_home(self->home);
    secrets_find(self, self->home, 2);
    secrets_named(self);
    err_t err = stage_make(self);
    if (!err) err = put_machine(self);
    if (!err) err = put_settings(self);
    if (!err && !args_yes(&cli->args, "no-logs")) err = put_logs(self);
    if (!err) err = put_answers(self);
    snprintf(name, sizeof name, "%s.tar.gz", self->name);
    if (!path) path = name;
    if (!err) err = pack(self, path);
    if (!err) told(self, path);
    if (err && signal_caught()) {
        cli->exit = 128 + signal_caught();
        say(cli, "stopped");
        err = ERR_OK;
    }
    if (*self->temp) folder_remove(self->temp);
    json_decref(self->files);
    free(self);
    return err;
}
