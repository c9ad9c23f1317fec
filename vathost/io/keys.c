#include "vathost/io/keys.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/limits.h"

bool key_check(const char *text)
{
    uint8_t key[32];
    return strlen(text) == KEY_TEXT_BYTES && zmq_z85_decode(key, text);
}

/* Writes a whole file under another name first: a crash leaves no half key behind. */
static bool write_file(const char *path, const char *text, mode_t mode)
{
    char fresh[PATH_BYTES_MAX + 64];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return false;

    bool ok = fchmod(fd, mode) == 0 && dprintf(fd, "%s\n", text) > 0 && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    return ok && rename(fresh, path) == 0;
}

static err_t refuse(char why[256], const char *path, const char *what)
{
    snprintf(why, 256, "%.180s %.60s", path, what);
    return ERR_KEY_FILE;
}

static err_t load(int fd, const char *path, keys_t *ret, char why[256])
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return refuse(why, path, "is not a regular file");
    if (st.st_uid != geteuid()) return refuse(why, path, "belongs to another user");
    if (st.st_mode & 077) return refuse(why, path, "can be read by others");
    if (read(fd, ret->secret_key, KEY_TEXT_BYTES) != KEY_TEXT_BYTES ||
        !key_check(ret->secret_key) || zmq_curve_public(ret->public_key, ret->secret_key) != 0) {
        return refuse(why, path, "holds no key");
    }
    return ERR_OK;
}

err_t keys_open(const char *dir, keys_t *ret, char why[256])
{
    char secret[PATH_BYTES_MAX + 16], public[PATH_BYTES_MAX + 16];

    *ret = (keys_t){0};
    snprintf(secret, sizeof secret, "%s/host.key", dir);
    snprintf(public, sizeof public, "%s/host.pub", dir);
    int fd = open(secret, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        err_t err = load(fd, secret, ret, why);
        close(fd);
        return err;
    }
    if (errno != ENOENT) return refuse(why, secret, strerror(errno));
    if (zmq_curve_keypair(ret->public_key, ret->secret_key) != 0 ||
        !write_file(public, ret->public_key, 0644) || !write_file(secret, ret->secret_key, 0600)) {
        return refuse(why, secret, "cannot be written");
    }
    return ERR_OK;
}
