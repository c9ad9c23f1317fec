#include "cli/bundler.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/plan.h"
#include "cli/process.h"
#include "wire/base/hash.h"
#include "wire/base/must.h"

static const char bundler[] = "bundler/bundle.mjs";

/* What the bundler says on stderr, its first KiB. */
static void read_all(int fd, char *text, size_t room)
{
    size_t len = 0;
    char rest[256];
    ssize_t n;

    while (len + 1 < room && (n = read(fd, text + len, room - 1 - len)) > 0) len += (size_t)n;
    text[len] = 0;
    while (read(fd, rest, sizeof rest) > 0) {
    }
    while (len && text[len - 1] == '\n') text[--len] = 0;
}

err_t bundler_run(const char *source, const char *out, const char *format, fail_t *f)
{
    char script[PATH_MAX], said[1024];
    char *argv[] = {"node",
                    script,
                    (char *)(uintptr_t)source,
                    "-o",
                    (char *)(uintptr_t)out,
                    format ? "--format" : NULL,
                    (char *)(uintptr_t)format,
                    NULL};
    int errors[2], status;

    if (access(source, R_OK) != 0) {
        fail(f, ERR_FILE_MISSING, "the source %s cannot be read", source);
        fail_why(f, "%s", strerror(errno));
        return ERR_FILE_MISSING;
    }
    path_share(bundler, script);
    if (access(script, R_OK) != 0) {
        fail(f, ERR_BUNDLE_FAILED, "the bundler is not installed");
        fail_why(f, "%s: %s", script, strerror(errno));
        return ERR_BUNDLE_FAILED;
    }
    must(pipe2(errors, O_CLOEXEC) == 0);
    pid_t pid =
        process_start(argv, &(start_t){.output = errors[1], .errors = errors[1], .ready = -1}, f);
    int error = errno;
    close(errors[1]);
    if (!pid) {
        close(errors[0]);
        if (error == ENOENT)
            fail(f, ERR_NO_NODE, "the source %s cannot be bundled without Node", source);
        return f->err;
    }
    read_all(errors[0], said, sizeof said);
    close(errors[0]);
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ERR_OK;
    bool unwritten = WIFEXITED(status) && WEXITSTATUS(status) == 4;
    if (unwritten)
        fail(f, ERR_STORE, "the bundle %s cannot be written", out);
    else
        fail(f, ERR_BUNDLE_FAILED, "the source %s cannot be bundled", source);
    fail_why(f, "%s", *said ? said : "the bundler ended without a word");
    return f->err;
}

static void cache_folder(char ret[PATH_MAX])
{
    const char *home = getenv("VATYARD_HOME"), *cache = getenv("XDG_CACHE_HOME");

    if (home && *home)
        snprintf(ret, PATH_MAX, "%s/cache", home);
    else if (cache && *cache)
        snprintf(ret, PATH_MAX, "%s/vatyard", cache);
    else
        snprintf(ret, PATH_MAX, "%s/.cache/vatyard", getenv("HOME") ? getenv("HOME") : "/tmp");
}

static err_t cache_key(const char *source, char ret[33], fail_t *f)
{
    char real[PATH_MAX];
    size_t len;
    char *text = file_read(source, BUNDLE_BYTES_MAX, &len, f);
    if (!text) return f->err;
    if (!realpath(source, real)) snprintf(real, sizeof real, "%s", source);

    uint8_t hashes[64];
    hash_t content = hash_of((bin_t){(const uint8_t *)text, len});
    hash_t place = hash_of((bin_t){(const uint8_t *)real, strlen(real)});
    memcpy(hashes, content.b, 32);
    memcpy(hashes + 32, place.b, 32);
    hash_t both = hash_of((bin_t){hashes, sizeof hashes});
    for (int i = 0; i < 16; i++) sprintf(ret + 2 * i, "%02x", both.b[i]);
    free(text);
    return ERR_OK;
}

/* One line of a stamp. False: the file is not there. */
static bool stamp_line(const char *path, char *ret, size_t room)
{
    struct stat stat_;

    if (stat(path, &stat_) != 0) return false;
    snprintf(ret, room, "%lld %lld.%09ld %s\n", (long long)stat_.st_size,
             (long long)stat_.st_mtim.tv_sec, stat_.st_mtim.tv_nsec, path);
    return true;
}

static bool stamp_holds(const char *path)
{
    char line[PATH_MAX + 64], now[PATH_MAX + 64];
    FILE *file = fopen(path, "re");
    bool holds = file != NULL;
    unsigned lines = 0;

    while (holds && fgets(line, sizeof line, file)) {
        const char *name = strchr(line, ' ');
        name = name ? strchr(name + 1, ' ') : NULL;
        holds = name != NULL;
        if (!holds) break;
        char only[PATH_MAX];
        snprintf(only, sizeof only, "%.*s", (int)strcspn(name + 1, "\n"), name + 1);
        holds = stamp_line(only, now, sizeof now) && strcmp(now, line) == 0;
        lines++;
    }
    if (file) fclose(file);
    return holds && lines;
}

/* The stamp of everything that INPUTS lists, of the source and of the bundler. */
static void stamp_write(const char *path, const char *source, const char *inputs)
{
    char line[PATH_MAX + 64], name[PATH_MAX];
    FILE *from = fopen(inputs, "re"), *to = fopen(path, "we");

    if (to && stamp_line(source, line, sizeof line)) fputs(line, to);
    path_share(bundler, name);
    if (to && stamp_line(name, line, sizeof line)) fputs(line, to);
    while (to && from && fgets(name, sizeof name, from)) {
        name[strcspn(name, "\n")] = 0;
        if (*name && stamp_line(name, line, sizeof line)) fputs(line, to);
    }
    if (from) fclose(from);
    if (to) fclose(to);
}

err_t bundler_cached(const char *source, char ret[PATH_MAX], bool *ret_cached, fail_t *f)
{
    char folder[PATH_MAX - 128], stamp[PATH_MAX], fresh[PATH_MAX], other[PATH_MAX], key[33],
        real[PATH_MAX];
    char full[PATH_MAX];

    cache_folder(full);
    if (strlen(full) >= sizeof folder)
        return fail(f, ERR_BAD_VALUE, "the cache's path is too long");
    strcpy(folder, full);
    if (access(source, R_OK) != 0) return bundler_run(source, "/dev/null", NULL, f);
    err_t err = cache_key(source, key, f);
    if (!err) err = folder_make(folder, f);
    if (err) return err;

    /* The stamp is compared from any folder, so it holds absolute paths. */
    if (!realpath(source, real)) snprintf(real, sizeof real, "%s", source);
    snprintf(ret, PATH_MAX, "%s/%s.json", folder, key);
    snprintf(stamp, sizeof stamp, "%s/%s.stamp", folder, key);
    *ret_cached = access(ret, R_OK) == 0 && stamp_holds(stamp);
    if (*ret_cached) return ERR_OK;

    /* Made aside and moved: another vatctl may be at the same source. */
    snprintf(fresh, sizeof fresh, "%s/%s.%d.json", folder, key, (int)getpid());
    snprintf(other, sizeof other, "%s/%s.%d.json.inputs", folder, key, (int)getpid());
    err = bundler_run(real, fresh, NULL, f);
    if (!err) {
        char aside[PATH_MAX];
        snprintf(aside, sizeof aside, "%s/%s.%d.stamp", folder, key, (int)getpid());
        stamp_write(aside, real, other);
        if (rename(fresh, ret) != 0 || rename(aside, stamp) != 0) {
            err = fail(f, ERR_STORE, "the cache %s cannot be written", folder);
            fail_why(f, "%s", strerror(errno));
        }
    }
    unlink(fresh);
    unlink(other);
    return err;
}
