#include "broker/io/keys.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool key_parse(text_t text, hash_t *ret)
{
    char z85[KEY_TEXT_BYTES + 1] = {0};
    if (text.len != KEY_TEXT_BYTES) return false;
    memcpy(z85, text.at, KEY_TEXT_BYTES);
    return strlen(z85) == KEY_TEXT_BYTES && zmq_z85_decode(ret->b, z85);
}

void key_text(hash_t key, char ret[KEY_TEXT_BYTES + 1])
{
    zmq_z85_encode(ret, key.b, sizeof key.b);
}

/* Writes a whole file under another name first: a crash leaves no half key behind. */
static bool write_file(const char *path, const char *text, mode_t mode)
{
    char fresh[4096];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh) return false;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return false;
    size_t len = strlen(text);
    bool ok = fchmod(fd, mode) == 0 && write(fd, text, len) == (ssize_t)len &&
              write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    return ok && rename(fresh, path) == 0;
}

static err_t make(const char *secret_path, const char *public_path, keys_t *ret, char why[256])
{
    if (zmq_curve_keypair(ret->public_key, ret->secret_key) == 0 &&
        write_file(public_path, ret->public_key, 0644) &&
        write_file(secret_path, ret->secret_key, 0600)) {
        return ERR_OK;
    }
    snprintf(why, 256, "%.180s cannot be written: %s", secret_path, strerror(errno));
    return ERR_KEY_FILE;
}

static err_t load(int fd, const char *path, keys_t *ret, char why[256])
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        snprintf(why, 256, "%.180s is not a regular file", path);
        return ERR_KEY_FILE;
    }
    if (st.st_uid != geteuid()) {
        snprintf(why, 256, "%.180s belongs to another user", path);
        return ERR_KEY_FILE;
    }
    if (st.st_mode & 077) {
        snprintf(why, 256, "%.180s has mode %04o", path, (unsigned)(st.st_mode & 07777));
        return ERR_KEY_FILE;
    }
    hash_t secret;
    ssize_t len = read(fd, ret->secret_key, KEY_TEXT_BYTES);
    bool ok = len == KEY_TEXT_BYTES &&
              key_parse((text_t){ret->secret_key, KEY_TEXT_BYTES}, &secret) &&
              zmq_curve_public(ret->public_key, ret->secret_key) == 0;
    sodium_memzero(&secret, sizeof secret);
    if (ok) return ERR_OK;
    snprintf(why, 256, "%.180s holds no key", path);
    return ERR_KEY_FILE;
}

err_t keys_open(const char *dir, keys_t *ret, char why[256])
{
    char secret_path[4096], public_path[4096];
    *ret = (keys_t){0};
    if (snprintf(secret_path, sizeof secret_path, "%s/broker.key", dir) >=
            (int)sizeof secret_path ||
        snprintf(public_path, sizeof public_path, "%s/broker.pub", dir) >=
            (int)sizeof public_path) {
        snprintf(why, 256, "the path is too long");
        return ERR_KEY_FILE;
    }
    int fd = open(secret_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        err_t err = load(fd, secret_path, ret, why);
        close(fd);
        return err;
    }
    if (errno == ENOENT) return make(secret_path, public_path, ret, why);
    snprintf(why, 256, "%.180s cannot be opened: %s", secret_path, strerror(errno));
    return ERR_KEY_FILE;
}
