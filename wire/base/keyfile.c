#include "wire/base/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char digits[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/* Five digits are four bytes, the most significant first. */
bool key_parse(text_t text, hash_t *ret)
{
    if (text.len != KEY_TEXT_BYTES) return false;
    for (size_t i = 0; i < KEY_TEXT_BYTES / 5; i++) {
        uint64_t number = 0;
        for (size_t j = 0; j < 5; j++) {
            char c = text.at[5 * i + j];
            const char *digit = c ? strchr(digits, c) : NULL;
            if (!digit) return false;
            number = number * 85 + (uint64_t)(digit - digits);
        }
        if (number > UINT32_MAX) return false;
        for (size_t j = 0; j < 4; j++) ret->b[4 * i + j] = (uint8_t)(number >> (24 - 8 * j));
    }
    return true;
}

void key_text(hash_t key, char ret[KEY_TEXT_BYTES + 1])
{
    for (size_t i = 0; i < KEY_TEXT_BYTES / 5; i++) {
        uint32_t number = 0;
        for (size_t j = 0; j < 4; j++) number = number << 8 | key.b[4 * i + j];
        for (size_t j = 5; j-- > 0; number /= 85) ret[5 * i + j] = digits[number % 85];
    }
    ret[KEY_TEXT_BYTES] = '\0';
}

/* Writes a whole file under another name first: a crash leaves no half key behind. */
static bool write_file(const char *path, const char *text, mode_t mode)
{
    char fresh[PATH_MAX];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh) return false;
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

static err_t keep(const char *secret_path, const char *public_path, const keys_t *keys,
                  char why[256])
{
    if (write_file(public_path, keys->public_key, 0644) &&
        write_file(secret_path, keys->secret_key, 0600)) {
        return ERR_OK;
    }
    snprintf(why, 256, "%.180s cannot be written: %s", secret_path, strerror(errno));
    return ERR_KEY_FILE;
}

static err_t make(const char *secret_path, const char *public_path, keys_t *ret, char why[256])
{
    hash_t public, secret;

    if (sodium_init() < 0 || crypto_box_keypair(public.b, secret.b) != 0)
        return refuse(why, secret_path, "cannot be made: no randomness");
    key_text(public, ret->public_key);
    key_text(secret, ret->secret_key);
    sodium_memzero(&secret, sizeof secret);
    return keep(secret_path, public_path, ret, why);
}

/* What nobody but us, or (LENT) but the group and who runs the machine, can read. */
static err_t check_file(int fd, const char *path, bool lent, char why[256])
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return refuse(why, path, "is not a regular file");
    if (st.st_uid != geteuid() && !(lent && st.st_uid == 0))
        return refuse(why, path, "belongs to another user");
    if (!(st.st_mode & (lent ? 037 : 077))) return ERR_OK;
    snprintf(why, 256, "%.180s has mode %04o: others can read it", path,
             (unsigned)(st.st_mode & 07777));
    return ERR_KEY_FILE;
}

static err_t load(int fd, const char *path, bool lent, keys_t *ret, char why[256])
{
    hash_t public, secret;

    err_t err = check_file(fd, path, lent, why);
    if (err) return err;
    bool ok = read(fd, ret->secret_key, KEY_TEXT_BYTES) == KEY_TEXT_BYTES &&
              key_parse((text_t){ret->secret_key, KEY_TEXT_BYTES}, &secret) &&
              crypto_scalarmult_base(public.b, secret.b) == 0;
    sodium_memzero(&secret, sizeof secret);
    if (!ok) return refuse(why, path, "holds no key");
    key_text(public, ret->public_key);
    return ERR_OK;
}

static err_t cannot_open(const char *path, char why[256])
{
    snprintf(why, 256, "%.180s cannot be opened: %s", path, strerror(errno));
    return ERR_KEY_FILE;
}

static bool paths(const char *dir, const char *name, char secret[PATH_MAX], char public[PATH_MAX])
{
    return snprintf(secret, PATH_MAX, "%s/%s.key", dir, name) < PATH_MAX &&
           snprintf(public, PATH_MAX, "%s/%s.pub", dir, name) < PATH_MAX;
}

/* WANTED, unless NULL: the pair it has to be. */
static err_t open_or_make(const char *dir, const char *name, const keys_t *wanted, keys_t *ret,
                          char why[256])
{
    char secret[PATH_MAX], public[PATH_MAX];

    *ret = (keys_t){0};
    if (!paths(dir, name, secret, public))
        return refuse(why, name, "cannot be named: the path is too long");
    int fd = open(secret, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) return cannot_open(secret, why);
    if (fd < 0) {
        if (!wanted) return make(secret, public, ret, why);
        *ret = *wanted;
        return keep(secret, public, ret, why);
    }
    err_t err = load(fd, secret, false, ret, why);
    close(fd);
    if (err || !wanted || strcmp(wanted->public_key, ret->public_key) == 0) return err;
    return refuse(why, secret, "is another key than the one given");
}

err_t keys_open(const char *dir, const char *name, keys_t *ret, char why[256])
{
    return open_or_make(dir, name, NULL, ret, why);
}

err_t keys_read(const char *file, keys_t *ret, char why[256])
{
    *ret = (keys_t){0};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return cannot_open(file, why);
    err_t err = load(fd, file, true, ret, why);
    close(fd);
    return err;
}

err_t keys_adopt(const char *dir, const char *name, const char *file, keys_t *ret, char why[256])
{
    keys_t wanted;

    if (!file) return keys_open(dir, name, ret, why);
    err_t err = keys_read(file, &wanted, why);
    if (!err) err = open_or_make(dir, name, &wanted, ret, why);
    sodium_memzero(&wanted, sizeof wanted);
    return err;
}

err_t key_read(const char *file, char ret[KEY_TEXT_BYTES + 1], char why[256])
{
    char line[KEY_TEXT_BYTES + 2] = "";
    hash_t key;

    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return cannot_open(file, why);
    ssize_t len = read(fd, line, KEY_TEXT_BYTES + 1);
    close(fd);
    bool ends =
        len == KEY_TEXT_BYTES || (len > KEY_TEXT_BYTES && strchr(" \t\r\n", line[KEY_TEXT_BYTES]));
    if (!ends || !key_parse((text_t){line, KEY_TEXT_BYTES}, &key))
        return refuse(why, file, "holds no key");
    memcpy(ret, line, KEY_TEXT_BYTES);
    ret[KEY_TEXT_BYTES] = '\0';
    return ERR_OK;
}
