/* The file hosts.allow: what stands in it, what comes in, what goes out. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/io/allow.h"
#include "wire/base/keyfile.h"

static char dir[64], path[96];
static allow_t *allow;

static void set_up(void)
{
    strcpy(dir, "/tmp/vatyard-allow-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/hosts.allow", dir);
    allow = allow_new(path);
}

static void tear_down(void)
{
    allow_destroy(&allow);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(allow, .init = set_up, .fini = tear_down, .timeout = 60);

static hash_t key_of(uint32_t n) { return (hash_t){{(uint8_t)n, (uint8_t)(n >> 8), 1}}; }

static char *text_of_key(uint32_t n)
{
    static char text[KEY_TEXT_BYTES + 1];
    key_text(key_of(n), text);
    return text;
}

static err_t add(uint32_t n, const char *name)
{
    newcomer_t one = {key_of(n), text_of(name), ERR_OK, {{0}}};
    allow_add(allow, &one, 1);
    return one.err;
}

static bool has(uint32_t n)
{
    allow_refresh(allow);
    return allow_has(allow, key_of(n), NULL);
}

static char *file_text(void)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    cr_assert(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void write_by_hand(uint32_t n)
{
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fprintf(file, "# hosts that may connect\n\n%s by-hand # this one\n", text_of_key(n));
    fclose(file);
}

/* Who wrote a line by hand takes it out by hand. */
Test(allow, those_that_are_gone_for_good_lose_the_line_they_came_with)
{
    enum { BY_HAND = 9 };
    write_by_hand(BY_HAND);
    cr_expect_eq(add(1, "one"), ERR_OK);
    cr_expect_eq(add(2, "two"), ERR_OK);
    hash_t gone[] = {key_of(77), key_of(BY_HAND), key_of(1)};
    qsort(gone, 3, sizeof *gone, allow_order);
    cr_expect_eq(chmod(path, 0640), 0);
    cr_expect_eq(allow_expel(allow, gone, 3), ERR_OK);
    cr_expect(!has(1) && has(2) && has(BY_HAND));
    const char *text = file_text();
    cr_expect(strstr(text, " as two\n") && !strstr(text, " as one\n"), "%s", text);
    cr_expect(strstr(text, "# hosts that may connect\n"), "%s", text);
    struct stat before, after;
    cr_assert_eq(stat(path, &before), 0);
    cr_expect_eq(before.st_mode & 0777, 0640);
    cr_expect_eq(allow_expel(allow, gone, 3), ERR_OK);
    cr_assert_eq(stat(path, &after), 0);
    cr_expect_eq(before.st_ino, after.st_ino, "nothing to take out: the file is the same");
    cr_expect_eq(add(1, "one"), ERR_OK);
    cr_expect(has(1), "as often as it is admitted");
}

Test(allow, nobody_is_put_out_of_a_list_that_is_not_there)
{
    hash_t gone = key_of(1);
    cr_expect_eq(allow_expel(allow, &gone, 1), ERR_OK);
    cr_expect_neq(access(path, F_OK), 0);
}

/* A folder can be opened, and not be read. */
Test(allow, a_list_that_cannot_be_read_to_its_end_stays)
{
    hash_t gone = key_of(1);
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_expect_eq(allow_expel(allow, &gone, 1), ERR_STORE);
    cr_expect_neq(access(fresh, F_OK), 0);
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(symlink(path, path), 0);
    cr_expect_eq(allow_expel(allow, &gone, 1), ERR_STORE, "a link to itself");
}

Test(allow, a_list_that_cannot_be_opened_is_not_one_that_is_not_there)
{
    cr_expect_eq(add(1, "one"), ERR_OK);
    hash_t gone = key_of(1);
    struct rlimit all, none;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = (struct rlimit){0, all.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    err_t err = allow_expel(allow, &gone, 1);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
    cr_expect_eq(err, ERR_STORE);
    cr_expect(has(1));
    cr_expect_eq(allow_expel(allow, &gone, 1), ERR_OK);
    cr_expect_not(has(1));
}

Test(allow, a_list_behind_a_link_is_changed_where_it_is)
{
    char real[128];
    struct stat st;
    snprintf(real, sizeof real, "%s/elsewhere", dir);
    cr_assert_eq(symlink("elsewhere", path), 0);
    cr_expect_eq(add(1, "one"), ERR_OK);
    cr_expect_eq(add(2, "two"), ERR_OK);
    hash_t gone = key_of(1);
    cr_expect_eq(allow_expel(allow, &gone, 1), ERR_OK);
    cr_expect(!has(1) && has(2));
    cr_assert_eq(lstat(path, &st), 0);
    cr_expect(S_ISLNK(st.st_mode));
    cr_assert_eq(lstat(real, &st), 0);
    cr_expect(S_ISREG(st.st_mode));
}

Test(allow, a_list_that_is_full_says_so_and_takes_one_for_each_that_goes)
{
    FILE *file = fopen(path, "w");
    cr_assert(file);
    for (uint32_t i = 1; i < ALLOW_HOSTS_MAX; i++)
        fprintf(file, "# joined then as h%u\n%s\n", i, text_of_key(i));
    fclose(file);
    cr_expect_eq(add(20000, "last"), ERR_OK);
    cr_expect_eq(add(20001, "one too many"), ERR_HOSTS_FULL);
    cr_expect_eq(add(20000, "last"), ERR_OK, "it is there");
    hash_t gone = key_of(7);
    cr_expect_eq(allow_expel(allow, &gone, 1), ERR_OK);
    cr_expect_eq(add(20001, "in its place"), ERR_OK);
}

/* Half a line would be run into by the next one. */
Test(allow, what_was_written_in_part_is_taken_back)
{
    write_by_hand(9);
    char before[4096];
    snprintf(before, sizeof before, "%s", file_text());
    struct rlimit all, small;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
    small = (struct rlimit){strlen(before) + 20, all.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    cr_expect_eq(add(1, "x"), ERR_STORE_FULL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
    cr_expect_str_eq(file_text(), before);
    cr_expect_eq(add(1, "x"), ERR_OK);
    cr_expect(has(1) && has(9));
}

Test(allow, bad_lines_are_counted_and_let_nobody_in)
{
    FILE *file = fopen(path, "w");
    fputs("# comment\n\n   \nshort name\n", file);
    for (int i = 0; i < 3000; i++) fputc('x', file);
    fputs("\n", file);
    fprintf(file, "%s broker\n", text_of_key(5));
    fclose(file);
    char name[NAME_BYTES_MAX + 1];
    cr_expect(has(5));
    cr_expect_eq(allow_bad_lines(allow), 2);
    cr_expect(allow_has(allow, key_of(5), name));
    cr_expect_str_eq(name, "broker");
    cr_expect_not(has(6));
    unlink(path);
    cr_expect_not(has(5));
}
