/* A key pair is made once, is refused when others could have read it, and its text is ZeroMQ's. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/keyfile.h"

static char dir[64], path[96], why[256];

static void make_dir(void)
{
    strcpy(dir, "/tmp/keyfile-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/host.key", dir);
}

static void remove_dir(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(keyfile, .init = make_dir, .fini = remove_dir);

static void put(const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0);
    fclose(file);
    cr_assert_eq(chmod(path, 0600), 0);
}

Test(keyfile, is_made_once)
{
    keys_t first, second;
    hash_t secret;
    struct stat st;

    cr_assert_eq(keys_open(dir, "host", &first, why), ERR_OK, "%s", why);
    cr_assert_eq(keys_open(dir, "host", &second, why), ERR_OK, "%s", why);
    cr_expect_str_eq(first.public_key, second.public_key);
    cr_expect_str_eq(first.secret_key, second.secret_key);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_expect(key_parse((text_t){first.secret_key, KEY_TEXT_BYTES}, &secret));
    cr_assert_eq(keys_open(dir, "other", &second, why), ERR_OK, "%s", why);
    cr_expect_str_neq(first.public_key, second.public_key);
}

/* The pair that ZeroMQ's own manual page shows. */
Test(keyfile, public_key_follows_from_the_secret_one)
{
    keys_t keys;
    put("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\n");
    cr_assert_eq(keys_open(dir, "host", &keys, why), ERR_OK, "%s", why);
    cr_expect_str_eq(keys.public_key, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
}

Test(keyfile, that_others_can_read_is_refused)
{
    keys_t keys;
    cr_assert_eq(keys_open(dir, "host", &keys, why), ERR_OK);
    cr_assert_eq(chmod(path, 0640), 0);
    cr_expect_eq(keys_open(dir, "host", &keys, why), ERR_KEY_FILE);
    cr_expect(strstr(why, "0640: others can read it"), "%s", why);
}

Test(keyfile, that_holds_no_key_is_refused)
{
    keys_t keys;
    put("short");
    cr_expect_eq(keys_open(dir, "host", &keys, why), ERR_KEY_FILE);
    cr_expect(strstr(why, "holds no key"), "%s", why);
    put("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]y ~");
    cr_expect_eq(keys_open(dir, "host", &keys, why), ERR_KEY_FILE);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink("/dev/null", path), 0);
    cr_expect_eq(keys_open(dir, "host", &keys, why), ERR_KEY_FILE);
}

Test(keyfile, text_and_bytes_are_the_same)
{
    char text[KEY_TEXT_BYTES + 1];
    hash_t key, again;
    for (size_t i = 0; i < sizeof key.b; i++) key.b[i] = (uint8_t)(255 - 7 * i);
    key_text(key, text);
    cr_assert(key_parse((text_t){text, KEY_TEXT_BYTES}, &again));
    cr_expect_arr_eq(key.b, again.b, sizeof key.b);
    text[0] = '#';
    cr_expect(!key_parse((text_t){text, KEY_TEXT_BYTES}, &again), "five digits beyond 2^32");
    cr_expect(!key_parse((text_t){text, KEY_TEXT_BYTES - 1}, &again));
}

/* ---- keys that somebody else keeps ---- */

static void put_lent(const keys_t *keys, mode_t mode, char ret[96])
{
    snprintf(ret, 96, "%s/lent", dir);
    FILE *file = fopen(ret, "w");
    cr_assert(file && fprintf(file, "%s\n", keys->secret_key) > 0);
    fclose(file);
    cr_assert_eq(chmod(ret, mode), 0);
}

Test(keyfile, a_lent_pair_is_read_unless_others_can)
{
    char lent[96];
    keys_t keys, read;
    cr_assert_eq(keys_open(dir, "host", &keys, why), ERR_OK, "%s", why);
    static const mode_t good[] = {0400, 0600, 0440, 0640}, bad[] = {0444, 0604, 0460, 0666};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        put_lent(&keys, good[i], lent);
        cr_expect_eq(keys_read(lent, &read, why), ERR_OK, "%04o: %s", good[i], why);
        cr_expect_str_eq(read.public_key, keys.public_key);
        unlink(lent);
        put_lent(&keys, bad[i], lent);
        cr_expect_eq(keys_read(lent, &read, why), ERR_KEY_FILE, "%04o", bad[i]);
        unlink(lent);
    }
    cr_expect_eq(keys_read(lent, &read, why), ERR_KEY_FILE, "there is none");
}

Test(keyfile, a_pair_that_is_given_is_kept_and_another_one_is_refused)
{
    char lent[96], other[96];
    keys_t given, kept, wrong;
    struct stat st;
    snprintf(other, sizeof other, "%s/other", dir);
    cr_assert_eq(mkdir(other, 0700), 0);
    cr_assert_eq(keys_open(other, "broker", &given, why), ERR_OK, "%s", why);
    put_lent(&given, 0400, lent);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(keys_adopt(dir, "host", lent, &kept, why), ERR_OK, "%s", why);
        cr_expect_str_eq(kept.public_key, given.public_key);
        cr_expect_str_eq(kept.secret_key, given.secret_key);
    }
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(keys_open(dir, "host", &kept, why), ERR_OK, "%s", why);
    cr_expect_str_eq(kept.public_key, given.public_key);

    cr_assert_eq(keys_open(other, "wrong", &wrong, why), ERR_OK, "%s", why);
    unlink(lent);
    put_lent(&wrong, 0400, lent);
    cr_expect_eq(keys_adopt(dir, "host", lent, &kept, why), ERR_KEY_FILE);
    cr_assert_eq(keys_open(dir, "host", &kept, why), ERR_OK, "%s", why);
    cr_expect_str_eq(kept.public_key, given.public_key);
}

Test(keyfile, a_public_key_is_the_first_word_of_its_file)
{
    char file[96], text[KEY_TEXT_BYTES + 1] = "", line[96];
    keys_t keys;
    snprintf(file, sizeof file, "%s/host.pub", dir);
    cr_assert_eq(keys_open(dir, "host", &keys, why), ERR_OK, "%s", why);
    cr_expect_eq(key_read(file, text, why), ERR_OK, "%s", why);
    cr_expect_str_eq(text, keys.public_key);

    static const char *const behind[] = {"", " broker\n", "\r\n"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "%s%s", keys.public_key, behind[i]);
        put(line);
        cr_expect_eq(key_read(path, text, why), ERR_OK, "%s", why);
    }
    snprintf(line, sizeof line, "%sx\n", keys.public_key);
    put(line);
    cr_expect_eq(key_read(path, text, why), ERR_KEY_FILE);
    put("");
    cr_expect_eq(key_read(path, text, why), ERR_KEY_FILE);
}
