/* Names for good. fsync() is ours here: what was synced is told by its inode, and it fails when it is asked to. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/durable.h"

static char dir[64], from[96], path[96];
static unsigned synced; /* how often the folder was */
static int fails_with;

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat here, there;
    cr_assert_eq(fstat(fd, &here), 0);
    cr_assert_eq(stat(dir, &there), 0);
    if (here.st_ino == there.st_ino && here.st_dev == there.st_dev) synced++;
    errno = fails_with;
    return fails_with ? -1 : 0;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "we");
    cr_assert(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void set_up(void)
{
    strcpy(dir, "/tmp/vatyard-durable-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(from, sizeof from, "%s/name.new", dir);
    snprintf(path, sizeof path, "%s/name", dir);
}

static void tear_down(void)
{
    unlink(from);
    unlink(path);
    rmdir(dir);
}

TestSuite(durable, .init = set_up, .fini = tear_down, .timeout = 10);

Test(durable, the_folder_is_synced_that_the_name_stands_in)
{
    char relative[] = "name";
    cr_expect(durable_folder(dir));
    cr_expect_eq(synced, 1);
    cr_expect(durable_name(path),
              "of a name that is gone, too: that it is gone is what is to last");
    cr_expect_eq(synced, 2);
    cr_assert_eq(chdir(dir), 0);
    cr_expect(durable_name(relative));
    cr_expect_eq(synced, 3);
    cr_assert_eq(chdir("/"), 0);
}

Test(durable, a_rename_takes_the_place_of_what_is_there)
{
    char text[8] = "";
    write_file(path, "old");
    write_file(from, "new");
    cr_expect(durable_rename(from, path));
    cr_expect_eq(synced, 1);
    cr_expect_neq(access(from, F_OK), 0);
    FILE *file = fopen(path, "re");
    cr_assert(file && fgets(text, sizeof text, file));
    fclose(file);
    cr_expect_str_eq(text, "new");
}

Test(durable, a_sync_that_fails_is_told_with_its_reason)
{
    write_file(from, "new");
    fails_with = EIO;
    errno = 0;
    cr_expect(!durable_folder(dir));
    cr_expect_eq(errno, EIO);
    cr_expect(!durable_rename(from, path));
    cr_expect_eq(errno, EIO);
    cr_expect_eq(synced, 2);
}

Test(durable, what_cannot_be_reached_is_not_synced)
{
    char missing[128], *endless = malloc(PATH_MAX + 1);
    snprintf(missing, sizeof missing, "%s/missing/name", dir);
    cr_expect(!durable_name(missing));
    cr_expect_eq(errno, ENOENT);
    write_file(path, "a file");
    cr_expect(!durable_folder(path), "no folder");
    cr_expect_eq(errno, ENOTDIR);
    cr_expect(!durable_rename(from, path), "there is none to rename");
    cr_expect_eq(errno, ENOENT);
    cr_assert(endless);
    memset(endless, 'x', PATH_MAX);
    endless[PATH_MAX] = '\0';
    cr_expect(!durable_name(endless));
    cr_expect_eq(errno, ENAMETOOLONG);
    free(endless);
    cr_expect_eq(synced, 0);
}
