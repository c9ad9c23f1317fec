#include "broker/io/allow.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/durable.h"
#include "wire/base/hash.h"
#include "wire/base/keyfile.h"
#include "wire/base/must.h"
#include "wire/base/utf8.h"

struct allow {
    char *path;
    pthread_mutex_t lock;
    struct stat seen; /* of the file as last read; zeros: there was none */
    bool settled;     /* it was old enough then: a later change must show in its time */
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

static void refresh(allow_t *self)
{
    struct stat st;
    if (stat(self->path, &st) != 0) st = (struct stat){0};
    if (self->settled && st.st_ino == self->seen.st_ino && st.st_dev == self->seen.st_dev &&
        st.st_size == self->seen.st_size && same_time(st.st_mtim, self->seen.st_mtim) &&
        same_time(st.st_ctim, self->seen.st_ctim)) {
        return;
    }
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

/* One write behind what is there: whoever else adds a line does the same. */
static err_t append(const char *path, const char *line, size_t len)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char last = '\n';
    if (fd < 0) return ERR_STORE;
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) != 1) last = '\n';
    if (last == '\n') line++, len--; /* LINE begins with the end of a line that has none */
    errno = 0;
    bool ok = write(fd, line, len) == (ssize_t)len && fsync(fd) == 0;
    err_t err = ok ? ERR_OK : errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
    close(fd);
    return err;
}

err_t allow_add(allow_t *self, hash_t key, text_t name)
{
    char line[NAME_BYTES_MAX + 2 * KEY_TEXT_BYTES + 64], when[32], text[KEY_TEXT_BYTES + 1];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    key_text(key, text);
    char shown[NAME_BYTES_MAX + 1];
    for (size_t i = 0; i <= name.len; i++)
        shown[i] = i == name.len ? '\0' : (unsigned char)name.at[i] < ' ' ? '?' : name.at[i];
    int len = snprintf(line, sizeof line, "\n# joined %s as %s\n%s\n", when, shown, text);

    pthread_mutex_lock(&self->lock);
    refresh(self);
    err_t err = ERR_OK;
    if (!find(self, key)) {
        err = self->count < ALLOW_HOSTS_MAX ? append(self->path, line, (size_t)len) : ERR_STORE;
        if (!err && !durable_name(self->path)) err = ERR_STORE;
        self->settled = false;
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
