/* The host's files and pipes: a bundle is kept only when it is what its name says, frames
 * survive any cutting of the stream. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vathost/io/bundles.h"
#include "vathost/io/vault.h"
#include "wire/frames/pipe.h"

static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/host-io-XXXXXX");
    cr_assert(mkdtemp(dir));
}

static void remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(bundles, .init = make_dir, .fini = remove_dir);

static void name_of(const char *content, char ret[140])
{
    uint8_t hash[crypto_hash_sha512_BYTES];
    crypto_hash_sha512(hash, (const uint8_t *)content, strlen(content));
    memcpy(ret, "b1-", 3);
    sodium_bin2hex(ret + 3, 129, hash, sizeof hash);
}

static bin_t bin(const char *text, size_t len) { return (bin_t){(const uint8_t *)text, len}; }

Test(bundles, are_put_together_checked_and_kept)
{
    bundles_t *bundles = NULL;
    const char *content = "{\"moduleFormat\":\"x\"}";
    size_t len = strlen(content);
    char name[140], path[256];

    cr_assert_eq(bundles_new(dir, &bundles), ERR_OK);
    name_of(content, name);
    cr_expect(!bundles_find(bundles, name, path, sizeof path));
    cr_expect_eq(bundles_add(bundles, name, 0, len, bin(content, 5)), BUNDLES_MORE);
    cr_expect_eq(bundles_offset(bundles, name), 5);
    cr_expect_eq(bundles_add(bundles, name, 5, len, bin(content + 5, len - 5)), BUNDLES_DONE);
    cr_expect(bundles_find(bundles, name, path, sizeof path));
    bundles_destroy(&bundles);

    /* the next process looks at the file itself */
    cr_assert_eq(bundles_new(dir, &bundles), ERR_OK);
    cr_expect(bundles_find(bundles, name, path, sizeof path));
    bundles_destroy(&bundles);
    int fd = open(path, O_WRONLY | O_TRUNC);
    cr_assert_eq(write(fd, "other", 5), 5);
    close(fd);
    cr_assert_eq(bundles_new(dir, &bundles), ERR_OK);
    cr_expect(!bundles_find(bundles, name, path, sizeof path), "it is not what its name says");
    bundles_destroy(&bundles);
}

Test(bundles, that_are_not_what_they_say_are_forgotten)
{
    bundles_t *bundles = NULL;
    const char *content = "abcdef";
    char name[140], path[256];

    cr_assert_eq(bundles_new(dir, &bundles), ERR_OK);
    name_of(content, name);
    cr_expect_eq(bundles_add(bundles, name, 0, 6, bin("abcdeX", 6)), BUNDLES_WRONG);
    cr_expect_eq(bundles_add(bundles, name, 0, 6, bin(content, 3)), BUNDLES_MORE);
    cr_expect_eq(bundles_add(bundles, name, 4, 6, bin("ef", 2)), BUNDLES_WRONG, "a gap");
    cr_expect_eq(bundles_offset(bundles, name), 0);
    cr_expect_eq(bundles_add(bundles, name, 0, 2, bin(content, 6)), BUNDLES_WRONG, "too long");
    cr_expect_eq(bundles_add(bundles, name, 0, 6, bin("", 0)), BUNDLES_WRONG, "no progress");
    cr_expect_eq(bundles_add(bundles, name, 0, BUNDLE_BYTES_MAX + 1, bin("a", 1)), BUNDLES_WRONG);
    cr_expect(!bundles_find(bundles, name, path, sizeof path));
    bundles_destroy(&bundles);
}

Test(bundles, have_one_form_of_name)
{
    char good[140];
    name_of("x", good);
    cr_expect(bundles_name((text_t){good, 131}));
    cr_expect(!bundles_name((text_t){good, 130}));
    good[5] = '/';
    cr_expect(!bundles_name((text_t){good, 131}));
    good[5] = 'A';
    cr_expect(!bundles_name((text_t){good, 131}));
    cr_expect(!bundles_name(text_of("../../etc/passwd")));
}

/* ---- databases ---- */

static void touch(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
}

static bool is_there(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

TestSuite(vault, .init = make_dir, .fini = remove_dir);

Test(vault, keeps_databases_and_nothing_else)
{
    static const char *const kept[] = {"vat-3.1.db",     "vat-3.1.db-wal", "vat-3.2.db",
                                       "vat-70000.3.db", "session",        "host.key"};
    static const char *const gone[] = {"vat-3.db",     "vat-4.1.db-wal", "vat-3.1.ship",
                                       "vat-3.1.pull", "vat-x.1.db",     "vat-3.1.db.new"};
    enum { KEPT = sizeof kept / sizeof *kept, GONE = sizeof gone / sizeof *gone };
    vault_t *vault = NULL;

    for (size_t i = 0; i < KEPT; i++) touch(kept[i]);
    for (size_t i = 0; i < GONE; i++) touch(gone[i]);
    cr_assert_eq(vault_new(dir, &vault), ERR_OK);
    for (size_t i = 0; i < KEPT; i++) cr_expect(is_there(kept[i]), "%s", kept[i]);
    for (size_t i = 0; i < GONE; i++) cr_expect(!is_there(gone[i]), "%s", gone[i]);

    cr_expect(vault_has(vault, (vat_t){70000}, 3) && !vault_has(vault, (vat_t){70000}, 2));
    touch("vat-3.1.ship"); /* copies, one of them half, whose worker was ended */
    touch("vat-3.1.ship.new");
    vault_delete(vault, (vat_t){3}, 1);
    cr_expect(!is_there("vat-3.1.ship") && !is_there("vat-3.1.ship.new"));
    cr_expect(!is_there("vat-3.1.db") && !is_there("vat-3.1.db-wal") && is_there("vat-3.2.db"));
    vault_delete_all(vault);
    cr_expect(!is_there("vat-3.2.db") && !is_there("vat-70000.3.db") && is_there("session"));
    vault_destroy(&vault);
}

static void look_for(void *context, vat_t vat, uint64_t pgen)
{
    bool *found = context;
    *found = *found || (vat.n == 5 && pgen == 2);
}

Test(vault, keeps_what_is_damaged_as_long_as_its_placement)
{
    vault_t *vault = NULL;
    bool found = false;

    touch("damaged-vat-5.2.db"); /* and nothing is there in its place yet */
    touch("damaged-vat-5.2.db-wal");
    touch("damaged-vat-6.1.db");
    touch("damaged-vat-x");
    cr_assert_eq(vault_new(dir, &vault), ERR_OK);
    cr_expect(is_there("damaged-vat-5.2.db") && is_there("damaged-vat-5.2.db-wal"));
    vault_each(vault, look_for, &found);
    cr_expect(found, "the broker is asked whether it stands here");
    vault_delete(vault, (vat_t){5}, 1);
    cr_expect(is_there("damaged-vat-5.2.db"), "of a later placement");
    vault_delete(vault, (vat_t){5}, 3);
    cr_expect(!is_there("damaged-vat-5.2.db") && !is_there("damaged-vat-5.2.db-wal"));
    cr_expect(is_there("damaged-vat-6.1.db"), "another vat's");
    vault_delete_all(vault);
    cr_expect(!is_there("damaged-vat-6.1.db"));
    vault_destroy(&vault);
}

Test(vault, needs_its_folder)
{
    vault_t *vault = NULL;
    remove_dir();
    cr_expect_eq(vault_new(dir, &vault), ERR_STORE);
    cr_expect_null(vault);
}

Test(pipe, frames_survive_any_cutting)
{
    int pair[2];
    bin_t frame;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    pipe_t in = pipe_of(pair[0]);
    const uint8_t bytes[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 1, 'd'};

    for (size_t i = 0; i < sizeof bytes; i++) {
        cr_assert_eq(write(pair[1], &bytes[i], 1), 1);
        cr_assert(pipe_read(&in));
        frames_next_t next = pipe_take(&in, &frame);
        cr_assert_eq(next == FRAMES_ONE, i == 6 || i == 10 || i == 15, "byte %zu", i);
        if (i == 6) cr_expect(frame.len == 3 && memcmp(frame.at, "abc", 3) == 0);
        if (i == 10) cr_expect_eq(frame.len, 0);
    }
    cr_expect(pipe_read(&in), "nothing to read is no end");
    close(pair[1]);
    cr_expect(!pipe_read(&in));
    pipe_close(&in);
}

Test(pipe, what_the_other_end_does_not_take_waits)
{
    int pair[2];
    enum { LEN = 1 << 20, COUNT = 8 };
    bin_t frame;
    uint8_t *bytes = malloc(LEN);

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    pipe_t out = pipe_of(pair[0]), in = pipe_of(pair[1]);
    for (int i = 0; i < COUNT; i++) {
        memset(bytes, 'a' + i, LEN);
        cr_assert(pipe_send(&out, (bin_t){bytes, LEN}));
    }
    cr_expect(pipe_waiting(&out));
    for (int i = 0; i < COUNT;) {
        cr_assert(pipe_flush(&out));
        cr_assert(pipe_read(&in));
        for (; pipe_take(&in, &frame) == FRAMES_ONE; i++) {
            cr_assert_eq(frame.len, LEN);
            cr_assert(frame.at[0] == 'a' + i && frame.at[LEN - 1] == 'a' + i);
        }
    }
    cr_expect(!pipe_waiting(&out));
    pipe_close(&in);
    cr_expect(!pipe_send(&out, (bin_t){bytes, LEN}), "nobody is there any more");
    pipe_close(&out);
    free(bytes);
}
