#include "broker/io/allow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/buf.h"
#include "wire/base/durable.h"
#include "wire/base/hash.h"
#include "wire/base/keyfile.h"
#include "wire/base/must.h"
#include "wire/base/utf8.h"

enum { LINE_BYTES_MAX = NAME_BYTES_MAX + 2 * KEY_TEXT_BYTES + 64 }; /* of one that is added */

struct allow {
    char *path;
    pthread_mutex_t lock;
    struct stat seen;   /* of the file as last read; zeros: there was none */
    bool settled;       /* it was old enough then: a later change must show in its time */
    uint64_t read_ms;   /* when it was; 0: never */
    struct stat synced; /* the file that is durably in its folder, as far as we know */
    struct host {
        hash_t key;
        size_t line; /* the first of a key counts */
        char name[NAME_BYTES_MAX + 1];
    } * hosts; /* by key: hosts may be many, and are looked for with each of their frames */
    size_t count, room, bad;
};

allow_t *allow_new(const char *path)
{
    allow_t *self = calloc(1, sizeof *self);
    must(self);
    self->path = strdup(path);
    must(self->path);
    must(pthread_mutex_init(&self->lock, NULL) == 0);
    allow_refresh(self);
    return self;
}

void allow_destroy(allow_t **self_p)
{
    allow_t *self = *self_p;
    if (!self) return;
    pthread_mutex_destroy(&self->lock);
    free(self->hosts);
    free(self->path);
    free(self);
    *self_p = NULL;
}

static void take_line(allow_t *self, char *line)
{
    char *word = line + strspn(line, " \t\r\n");
    size_t len = strcspn(word, " \t\r\n");
    hash_t key;
    if (len == 0 || (len == 1 && *word == '#')) return;
    if (!key_parse((text_t){word, len}, &key)) {
        self->bad++;
        return;
    }
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 16;
        self->hosts = reallocarray(self->hosts, self->room, sizeof *self->hosts);
        must(self->hosts);
    }
    struct host *host = &self->hosts[self->count++];
    *host = (struct host){.key = key, .line = self->count};
    const char *name = word + len + strspn(word + len, " \t\r\n");
    size_t name_len = strcspn(name, " \t\r\n");
    if (name_len <= NAME_BYTES_MAX && utf8_check(name, name_len))
        memcpy(host->name, name, name_len);
}

static int by_key(const void *a, const void *b)
{
    const struct host *x = a, *y = b;
    int order = memcmp(x->key.b, y->key.b, sizeof x->key.b);
    if (order) return order;
    return x->line < y->line ? -1 : x->line > y->line;
}

static void read_file(allow_t *self)
{
    self->count = self->bad = 0;
    FILE *file = fopen(self->path, "re");
    if (!file) return;
    char line[1024];
    while (fgets(line, sizeof line, file)) {
        bool whole = strchr(line, '\n') || feof(file);
        take_line(self, line);
        for (int c = whole ? '\n' : 0; c != '\n' && c != EOF;) c = fgetc(file);
    }
    fclose(file);
    if (self->count) qsort(self->hosts, self->count, sizeof *self->hosts, by_key);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Two changes within one tick of the file system's clock have the same time: what was read while
 * it was that young is read again. */
static bool is_settled(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return st->st_ino == 0 || now.tv_sec - st->st_ctim.tv_sec > 1;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
}

static void refresh(allow_t *self)
{
    struct stat st;
    if (stat(self->path, &st) != 0) st = (struct stat){0};
    bool same = st.st_ino == self->seen.st_ino && st.st_dev == self->seen.st_dev &&
                st.st_size == self->seen.st_size && same_time(st.st_mtim, self->seen.st_mtim) &&
                same_time(st.st_ctim, self->seen.st_ctim);
    if (same && (self->settled || now_ms() - self->read_ms < ALLOW_AGAIN_MS)) return;
    self->read_ms = now_ms();
    self->settled = is_settled(&st);
    self->seen = st;
    read_file(self);
}

void allow_refresh(allow_t *self)
{
    pthread_mutex_lock(&self->lock);
    refresh(self);
    pthread_mutex_unlock(&self->lock);
}

static const struct host *find(const allow_t *self, hash_t key)
{
    size_t from = 0, to = self->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (memcmp(self->hosts[middle].key.b, key.b, sizeof key.b) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    bool found = from < self->count && hash_same(self->hosts[from].key, key);
    return found ? &self->hosts[from] : NULL;
}

bool allow_has(allow_t *self, hash_t key, char name[NAME_BYTES_MAX + 1])
{
    pthread_mutex_lock(&self->lock);
    const struct host *host = find(self, key);
    if (host && name) memcpy(name, host->name, sizeof host->name);
    pthread_mutex_unlock(&self->lock);
    return host != NULL;
}

/* What was written for nothing goes again, unless somebody else's line stands behind it. */
static void take_back(int fd, off_t end, size_t len)
{
    if (lseek(fd, 0, SEEK_END) <= end + (off_t)len) (void)!ftruncate(fd, end);
}

/* One write behind what is there: whoever else adds a line does the same. LINES begin with the end of a
 * line that has none. */
static err_t append(int fd, bin_t lines)
{
    char last = '\n';
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) != 1) last = '\n';
    if (last == '\n') lines.at++, lines.len--;
    errno = 0;
    ssize_t written = write(fd, lines.at, lines.len);
    if (written == (ssize_t)lines.len && fsync(fd) == 0) return ERR_OK;
    err_t err = errno == ENOSPC || errno == EDQUOT || (written >= 0 && (size_t)written < lines.len)
                    ? ERR_STORE_FULL
                    : ERR_STORE;
    if (end >= 0 && written > 0) take_back(fd, end, (size_t)written);
    return err;
}

/* The folder is synced when the file may be a new one in it, and then no more. */
static err_t append_durably(allow_t *self, bin_t lines)
{
    struct stat st;
    int fd = open(self->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return ERR_STORE;
    err_t err = fstat(fd, &st) == 0 ? ERR_OK : ERR_STORE;
    if (!err && (st.st_ino != self->synced.st_ino || st.st_dev != self->synced.st_dev)) {
        if (durable_name(self->path))
            self->synced = st;
        else
            err = ERR_STORE;
    }
    if (!err) err = append(fd, lines);
    close(fd);
    return err;
}

static void add_line(buf_t *out, const newcomer_t *one, const char *when)
{
    char line[LINE_BYTES_MAX], text[KEY_TEXT_BYTES + 1];
    char shown[NAME_BYTES_MAX + 1];
    size_t n = one->name.len < NAME_BYTES_MAX ? one->name.len : NAME_BYTES_MAX;
    for (size_t i = 0; i < n; i++)
        shown[i] = (unsigned char)one->name.at[i] < ' ' ? '?' : one->name.at[i];
    key_text(one->key, text);
    int len = snprintf(line, sizeof line, "%s# joined %s as %.*s\n%s\n", out->len ? "" : "\n", when,
                       (int)n, shown, text);
    must(buf_add(out, line, (size_t)len) == ERR_OK);
}

static bool came_before(const newcomer_t *all, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!all[k].err && hash_same(all[k].key, all[i].key)) return true;
    return false;
}

void allow_add(allow_t *self, newcomer_t *all, size_t count)
{
    char when[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    buf_t lines = buf_of(count * LINE_BYTES_MAX);
    bool *fresh = calloc(count + 1, sizeof *fresh);
    must(fresh);

    pthread_mutex_lock(&self->lock);
    refresh(self);
    size_t room = self->count < ALLOW_HOSTS_MAX ? ALLOW_HOSTS_MAX - self->count : 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].err || find(self, all[i].key)) continue;
        fresh[i] = true;
        if (came_before(all, i)) continue;
        if (room == 0) {
            all[i].err = ERR_HOSTS_FULL;
            continue;
        }
        room--;
        add_line(&lines, &all[i], when);
    }
    if (lines.len) {
        err_t err = append_durably(self, (bin_t){lines.at, lines.len});
        for (size_t i = 0; i < count; i++)
            if (fresh[i] && !all[i].err) all[i].err = err;
        self->read_ms = 0;
        self->settled = false;
    }
    pthread_mutex_unlock(&self->lock);
    free(fresh);
    buf_clear(&lines);
}

/* ---- those that are gone ---- */

int allow_order(const void *a, const void *b)
{
    return memcmp(((const hash_t *)a)->b, ((const hash_t *)b)->b, sizeof(hash_t));
}

static bool is_joined(const char *line) { return strncmp(line, "# joined ", 9) == 0; }

static bool is_one_of(const char *line, const hash_t *keys, size_t count)
{
    hash_t key;
    size_t len = strcspn(line, " \t\r\n");
    return key_parse((text_t){line, len}, &key) &&
           bsearch(&key, keys, count, sizeof key, allow_order) != NULL;
}

/* What stays of FROM goes to TO. RET_ANY: not all of it does. A key has a line of its own behind the one that says when it joined. */
static err_t leave_out(FILE *from, FILE *to, const hash_t *keys, size_t count, bool *ret_any)
{
    char *line = NULL, *said = NULL;
    size_t room = 0, said_room = 0;
    *ret_any = false;
    while (getline(&line, &room, from) > 0) {
        if (said && *said && is_one_of(line, keys, count)) {
            *ret_any = true;
            *said = '\0';
            continue;
        }
        if (said) fputs(said, to);
        if (said) *said = '\0';
        if (!is_joined(line)) {
            fputs(line, to);
            continue;
        }
        char *other = said;
        size_t other_room = said_room;
        said = line, said_room = room;
        line = other, room = other_room;
    }
    if (said) fputs(said, to);
    free(line);
    free(said);
    return feof(from) && !ferror(from) ? ERR_OK : ERR_STORE; /* else there is more of it */
}

static err_t write_error(void)
{
    return errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
}

static err_t replace(const char *path, const char *fresh, FILE *to, mode_t mode)
{
    errno = 0;
    if (fchmod(fileno(to), mode) || fflush(to) || ferror(to) || fsync(fileno(to)))
        return write_error();
    return durable_rename(fresh, path) ? ERR_OK : write_error();
}

/* FROM is the list at PATH. */
static err_t expel(FILE *from, const char *path, const hash_t *keys, size_t count, bool *ret_any)
{
    char fresh[PATH_MAX + 8];
    struct stat st;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    if (fstat(fileno(from), &st) != 0) return ERR_STORE;
    FILE *to = fopen(fresh, "we");
    if (!to) return write_error();
    err_t err = leave_out(from, to, keys, count, ret_any);
    if (!err && *ret_any) err = replace(path, fresh, to, st.st_mode & 0777);
    fclose(to);
    unlink(fresh); /* it is there only when it did not take the other's place */
    return err;
}

err_t allow_expel(allow_t *self, const hash_t *keys, size_t count)
{
    char path[PATH_MAX]; /* where a link points: the link stays */
    bool any = false;
    pthread_mutex_lock(&self->lock);
    errno = 0;
    FILE *from = realpath(self->path, path) ? fopen(path, "re") : NULL;
    err_t err = from || errno == ENOENT ? ERR_OK : ERR_STORE;
    if (from) {
        err = expel(from, path, keys, count, &any);
        fclose(from);
    }
    if (any) {
        self->settled = false;
        self->read_ms = 0;
    }
    pthread_mutex_unlock(&self->lock);
    return err;
}

size_t allow_bad_lines(allow_t *self)
{
    pthread_mutex_lock(&self->lock);
    size_t bad = self->bad;
    pthread_mutex_unlock(&self->lock);
    return bad;
}
