/* Copies of checkpoints as files, and backups: what is asked for and when, what is kept, what is left behind. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/backup.h"
#include "broker/checkpoints.h"
#include "tests/unit/broker/fake_kernel.h"
#include "wire/base/hash.h"

enum { PART = BUNDLE_PART_BYTES_MAX, BYTES = 6 * PART + 100, ASKED_MAX = 64 };

static char dir[64];
static checkpoints_t *checkpoints;
static uint8_t *content;

static struct {
    uint32_t host;
    msg_checkpoint_get_t get;
} asked[ASKED_MAX];
static size_t asked_count, told_count;
static vat_t told_vat;
static copy_t told_copy;
static err_t told_err;
static uint64_t now_ms;

static uint64_t on_clock(void *self)
{
    (void)self;
    return now_ms;
}

static void on_ask(void *self, uint32_t host, const msg_checkpoint_get_t *get)
{
    (void)self;
    cr_assert_lt(asked_count, (size_t)ASKED_MAX);
    asked[asked_count].host = host;
    asked[asked_count++].get = *get;
}

static void on_told(void *self, vat_t vat, const copy_t *copy, err_t err)
{
    (void)self;
    told_count++;
    told_vat = vat;
    told_copy = *copy;
    told_err = err;
}

static void open_checkpoints(void)
{
    char why[256];
    cr_assert_eq(checkpoints_new(dir, &(checkpoints_port_t){NULL, on_ask, on_told, on_clock},
                                 &checkpoints, why),
                 ERR_OK);
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/vatyard-shipping-XXXXXX");
    cr_assert(mkdtemp(dir));
    content = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++) content[i] = (uint8_t)(i * 7 + i / 251);
    open_checkpoints();
}

static void tear_down(void)
{
    char command[128];
    checkpoints_destroy(&checkpoints);
    free(content);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(shipping, .init = set_up, .fini = tear_down);

static copy_t copy_of(uint64_t d)
{
    return (copy_t){.pgen = 1, .d = d, .bytes = BYTES, .hash = hash_of((bin_t){content, BYTES})};
}

/* Files of the directory, `.part`s among them. */
static size_t files(const char *below)
{
    char path[128];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", dir, below);
    DIR *at = opendir(path);
    cr_assert(at);
    for (struct dirent *entry; (entry = readdir(at));) count += entry->d_name[0] != '.';
    closedir(at);
    return count;
}

static void part_from(uint32_t host, uint32_t vat, const copy_t *copy, uint64_t offset)
{
    size_t len = BYTES - offset < PART ? BYTES - offset : PART;
    msg_checkpoint_part_t part = {{vat},  copy->pgen, copy->d,
                                  offset, BYTES,      {content + offset, len}};
    checkpoints_part(checkpoints, host, &part);
}

/* HOST answers all that it was asked for, as long as there is anything. */
static void answer_all(uint32_t host, const copy_t *copy)
{
    for (size_t i = 0; i < asked_count || checkpoints_turn(checkpoints); i++) {
        if (i >= asked_count) {
            i--;
            continue;
        }
        if (asked[i].host == host) part_from(host, asked[i].get.vat.n, copy, asked[i].get.offset);
    }
    asked_count = 0;
}

static void fetch(uint32_t vat, const copy_t *copy)
{
    told_count = 0;
    checkpoints_pull(checkpoints, 3, (vat_t){vat}, copy);
    answer_all(3, copy);
    cr_assert_eq(told_count, 1);
    cr_assert_eq(told_err, ERR_OK, "%s", err_name(told_err));
}

/* ---- fetching ---- */

Test(shipping, a_copy_comes_in_pieces)
{
    copy_t copy = copy_of(41);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &copy);
    cr_expect(checkpoints_due(checkpoints));
    cr_expect_eq(asked_count, 0, "nothing is asked in the middle of a step");
    cr_expect(checkpoints_turn(checkpoints));
    cr_expect_eq(asked_count, (size_t)CHECKPOINT_PARTS_ASKED_MAX);
    cr_expect(!checkpoints_turn(checkpoints));
    cr_expect(!checkpoints_due(checkpoints));
    part_from(3, 7, &copy, 0);
    cr_expect(checkpoints_turn(checkpoints));
    cr_expect_eq(asked_count, (size_t)CHECKPOINT_PARTS_ASKED_MAX + 1, "one came, one is asked for");
    part_from(3, 7, &copy, 0);
    part_from(3, 7, &copy, 2 * PART);
    part_from(4, 7, &copy, PART);
    for (uint64_t offset = PART; offset < BYTES; offset += PART) {
        cr_expect_eq(told_count, 0);
        checkpoints_turn(checkpoints);
        part_from(3, 7, &copy, offset);
    }
    cr_expect_eq(told_count, 0);
    checkpoints_turn(checkpoints);
    cr_expect_eq(told_count, 1);
    cr_expect_eq(told_err, ERR_OK);
    cr_expect(told_vat.n == 7 && told_copy.d == 41);
    cr_expect_eq(files("checkpoints"), 1);

    uint8_t *piece = malloc(PART);
    cr_expect_eq(checkpoints_read(checkpoints, (vat_t){7}, &copy, PART, piece, PART), (size_t)PART);
    cr_expect_eq(memcmp(piece, content + PART, PART), 0);
    cr_expect_eq(checkpoints_read(checkpoints, (vat_t){7}, &copy, 6 * PART, piece, PART), 100u);
    cr_expect_eq(checkpoints_read(checkpoints, (vat_t){7}, &copy, BYTES, piece, PART), 0u);
    cr_expect_eq(checkpoints_read(checkpoints, (vat_t){8}, &copy, 0, piece, PART), 0u);
    free(piece);
    checkpoints_discard(checkpoints, (vat_t){7}, &copy);
    cr_expect_eq(files("checkpoints"), 0);
}

Test(shipping, what_came_is_kept_while_its_host_is_away)
{
    copy_t copy = copy_of(41);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &copy);
    checkpoints_turn(checkpoints);
    for (uint64_t offset = 0; offset < 3 * PART; offset += PART) part_from(3, 7, &copy, offset);
    checkpoints_host_gone(checkpoints, 3);
    asked_count = 0;
    cr_expect(!checkpoints_turn(checkpoints));
    part_from(3, 7, &copy, 3 * PART);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &copy);
    checkpoints_turn(checkpoints);
    cr_assert_gt(asked_count, 0);
    cr_expect_eq(asked[0].get.offset, 3u * PART);
    answer_all(3, &copy);
    cr_expect_eq(told_count, 1);
    cr_expect_eq(told_err, ERR_OK);
}

/* A vat whose checkpoints are more frequent than a copy takes has one all the same. */
Test(shipping, a_newer_copy_waits_for_the_one_that_comes)
{
    copy_t old = copy_of(41), newer = copy_of(42), newest = copy_of(43);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &old);
    checkpoints_turn(checkpoints);
    part_from(3, 7, &old, 0);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &newer);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &newest);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &newer);
    checkpoints_pull(checkpoints, 3, (vat_t){8}, &old);
    for (uint64_t offset = PART; offset < BYTES; offset += PART) {
        cr_expect_eq(told_count, 0);
        checkpoints_turn(checkpoints);
        part_from(3, 7, &old, offset);
    }
    asked_count = 0;
    checkpoints_turn(checkpoints);
    cr_expect_eq(told_count, 1);
    cr_expect(told_copy.d == 41 && told_err == ERR_OK);
    cr_expect_eq(files("checkpoints"), 1);
    checkpoints_turn(checkpoints);
    cr_assert_gt(asked_count, 0);
    cr_expect(asked[0].get.vat.n == 7 && asked[0].get.d == 43);
    for (uint64_t offset = 0; offset < BYTES; offset += PART) {
        checkpoints_turn(checkpoints);
        part_from(3, 7, &newest, offset);
    }
    checkpoints_turn(checkpoints);
    cr_expect_eq(told_count, 2);
    cr_expect(told_vat.n == 7 && told_copy.d == 43);
    cr_expect_eq(files("checkpoints"), 2);
    asked_count = 0;
    checkpoints_host_gone(checkpoints, 3);
    checkpoints_pull(checkpoints, 3, (vat_t){8}, &old);
    answer_all(3, &old);
    cr_expect_eq(told_count, 3, "the other vat's was not forgotten");
}

Test(shipping, a_newer_copy_takes_the_place_of_one_that_does_not_come)
{
    copy_t old = copy_of(41), newer = copy_of(42), moved = copy_of(42);
    moved.pgen = 2;
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &old);
    checkpoints_turn(checkpoints);
    part_from(3, 7, &old, 0);
    checkpoints_host_gone(checkpoints, 3);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &newer);
    cr_expect_eq(files("checkpoints"), 0);
    checkpoints_turn(checkpoints);
    part_from(3, 7, &newer, 0);
    checkpoints_pull(checkpoints, 4, (vat_t){7}, &moved);
    cr_expect_eq(files("checkpoints"), 0);
    asked_count = 0;
    answer_all(4, &moved);
    cr_expect_eq(told_count, 1);
    cr_expect_eq(told_copy.pgen, 2);
}

/* One host that says READY and then nothing keeps nobody from fetching. */
Test(shipping, a_host_that_stands_still_is_not_waited_for)
{
    copy_t copy = copy_of(41);
    for (uint32_t vat = 1; vat <= CHECKPOINTS_PULLED_MAX; vat++)
        checkpoints_pull(checkpoints, 3, (vat_t){vat}, &copy);
    checkpoints_pull(checkpoints, 4, (vat_t){77}, &copy);
    checkpoints_turn(checkpoints);
    now_ms += 50 * 1000;
    part_from(3, 1, &copy, 0);
    checkpoints_turn(checkpoints);
    cr_expect_eq(told_count, 0);
    now_ms += 50 * 1000;
    asked_count = 0;
    cr_expect(checkpoints_turn(checkpoints));
    cr_expect_eq(told_count, CHECKPOINTS_PULLED_MAX - 1u, "all but the one of which a piece came");
    cr_expect_eq(told_err, ERR_TIMED_OUT);
    checkpoints_turn(checkpoints);
    cr_assert_gt(asked_count, 0);
    cr_expect_eq(asked[asked_count - 1].host, 4u);
    cr_expect_eq(files("checkpoints"), 1);
}

Test(shipping, what_is_wrong_is_not_kept)
{
    copy_t copy = copy_of(41);
    copy.hash.b[0] ^= 1;
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &copy);
    answer_all(3, &copy);
    cr_expect_eq(told_count, 1);
    cr_expect_eq(told_err, ERR_CHECKPOINT_BROKEN);
    cr_expect_eq(files("checkpoints"), 0);

    copy = copy_of(41);
    for (int kind = 0; kind < 3; kind++) {
        checkpoints_pull(checkpoints, 3, (vat_t){7}, &copy);
        checkpoints_turn(checkpoints);
        msg_checkpoint_part_t part = {{7}, 1, 41, 0, BYTES, {content, PART}};
        if (kind == 0) part.total++;
        if (kind == 1) part.data.len = 0;
        if (kind == 2) part.total = 0; /* it has none any more: nobody is told, a newer one comes */
        checkpoints_part(checkpoints, 3, &part);
        checkpoints_turn(checkpoints);
        cr_expect_eq(told_count, kind < 2 ? 2u + (unsigned)kind : 3u);
        cr_expect_eq(told_err, ERR_CHECKPOINT_BROKEN);
    }
    cr_expect_eq(files("checkpoints"), 0);
}

Test(shipping, a_disk_that_takes_nothing)
{
    copy_t copy = copy_of(41);
    char path[128];
    snprintf(path, sizeof path, "rmdir %s/checkpoints", dir);
    cr_assert_eq(system(path), 0);
    checkpoints_pull(checkpoints, 3, (vat_t){7}, &copy);
    answer_all(3, &copy);
    cr_expect_eq(told_count, 1);
    cr_expect_eq(told_err, ERR_STORE);
}

Test(shipping, only_some_are_fetched_at_a_time)
{
    copy_t copy = copy_of(41);
    for (uint32_t vat = 1; vat <= CHECKPOINTS_PULLED_MAX + 3; vat++)
        checkpoints_pull(checkpoints, 3, (vat_t){vat}, &copy);
    checkpoints_turn(checkpoints);
    cr_expect_eq(asked_count, (size_t)CHECKPOINTS_PULLED_MAX * CHECKPOINT_PARTS_ASKED_MAX);
    for (uint64_t offset = 0; offset < BYTES; offset += PART) {
        part_from(3, 1, &copy, offset);
        asked_count = 0;
        checkpoints_turn(checkpoints);
    }
    cr_expect_eq(told_count, 1);
    checkpoints_turn(checkpoints);
    cr_expect_eq(asked[asked_count - 1].get.vat.n, CHECKPOINTS_PULLED_MAX + 1u);
}

/* ---- start ---- */

Test(shipping, a_start_keeps_what_rows_name)
{
    copy_t one = copy_of(41), other = copy_of(50);
    fetch(7, &one);
    fetch(8, &one);
    checkpoints_pull(checkpoints, 3, (vat_t){9}, &one);
    checkpoints_turn(checkpoints);
    part_from(3, 9, &one, 0);
    cr_expect_eq(files("checkpoints"), 3);
    fake_copies[0] = (fake_copy_t){{7}, one};
    fake_copies[1] = (fake_copy_t){{6}, other};
    fake_copy_count = 2;
    told_count = 0;
    checkpoints_clean(checkpoints, NULL);
    cr_expect_eq(files("checkpoints"), 1);
    cr_expect_eq(told_count, 1);
    cr_expect(told_vat.n == 6 && told_copy.d == 50 && told_err == ERR_STORE_DAMAGED);
}

/* Another byte AT in the first file of BELOW whose name begins with HEAD. */
static void flip(const char *below, const char *head, off_t at)
{
    char path[512];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/%s", dir, below);
    DIR *folder = opendir(path);
    cr_assert(folder);
    struct dirent *entry;
    while ((entry = readdir(folder)) && strncmp(entry->d_name, head, strlen(head)) != 0) continue;
    cr_assert(entry);
    int fd = openat(dirfd(folder), entry->d_name, O_RDWR);
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    closedir(folder);
}

Test(shipping, one_that_is_not_what_came_is_found_when_all_are_read)
{
    copy_t copy = copy_of(41);
    fetch(7, &copy);
    fetch(8, &copy);
    for (uint32_t vat = 7; vat <= 9; vat++) fake_copies[vat - 7] = (fake_copy_t){{vat}, copy};
    fake_copy_count = 2;
    checkpoints_verify_all(checkpoints, NULL);
    cr_expect_eq(files("checkpoints"), 2, "both are");
    cr_expect_eq(checkpoints_verify(checkpoints, (vat_t){8}, &copy), ERR_OK);
    cr_expect_eq(checkpoints_verify(checkpoints, (vat_t){9}, &copy), ERR_CHECKPOINT_BROKEN);
    flip("checkpoints", "v8.", BYTES - 1);
    fake_copy_count = 3;
    checkpoints_verify_all(checkpoints, NULL);
    fake_copy_count = 2;
    told_count = 0;
    checkpoints_clean(checkpoints, NULL);
    cr_expect_eq(files("checkpoints"), 2, "one of them as damaged-v8...");
    cr_expect_eq(told_count, 1);
    uint8_t byte;
    cr_expect_eq(checkpoints_read(checkpoints, (vat_t){8}, &copy, 0, &byte, 1), 0u);
    cr_expect_eq(checkpoints_read(checkpoints, (vat_t){7}, &copy, 0, &byte, 1), 1u);
    cr_expect(told_vat.n == 8 && told_err == ERR_STORE_DAMAGED);
}

/* What the disk says to a read; 0: it gives what is there. Here all reads of this program come by. */
static int disk_says;
static size_t reads;

ssize_t read(int fd, void *buf, size_t len)
{
    reads++;
    if (!disk_says) return syscall(SYS_read, fd, buf, len);
    errno = disk_says;
    return -1;
}

static err_t begin_with(const copy_t *copy, int says)
{
    reads = 0;
    disk_says = says;
    err_t err = checkpoints_begin(checkpoints, (vat_t){7}, copy);
    disk_says = 0;
    return err;
}

/* Up to 1 GiB, while nothing else is done: only when who asked asks again. */
Test(shipping, a_copy_is_read_as_a_whole_every_second_time_that_it_is_begun_with)
{
    copy_t copy = copy_of(41), newer = copy_of(42);
    fetch(7, &copy);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(begin_with(&copy, 0), ERR_OK);
        cr_expect_eq(reads > 0, i % 2 == 1);
    }
    fetch(7, &newer);
    cr_expect_eq(begin_with(&newer, 0), ERR_OK);
    cr_expect_eq(reads, 0, "another copy is another matter");
    flip("checkpoints", "v7.1.42", BYTES - 1);
    cr_expect_eq(begin_with(&newer, 0), ERR_CHECKPOINT_BROKEN);
    cr_expect_eq(begin_with(&newer, 0), ERR_CHECKPOINT_BROKEN, "and stays so");
    checkpoints_discard(checkpoints, (vat_t){7}, &newer);
    cr_expect_eq(begin_with(&newer, 0), ERR_OK);
    cr_expect_eq(reads, 0, "what was known of it went with it");
}

Test(shipping, what_the_disk_does_not_give_is_damaged)
{
    copy_t copy = copy_of(41);
    fetch(7, &copy);
    cr_expect_eq(begin_with(&copy, 0), ERR_OK);
    cr_expect_eq(begin_with(&copy, ENOMEM), ERR_STORE, "it may be read later");
    cr_expect_eq(begin_with(&copy, EIO), ERR_CHECKPOINT_BROKEN);
    cr_expect_eq(files("checkpoints"), 1);
    uint8_t byte;
    cr_expect_eq(checkpoints_read(checkpoints, (vat_t){7}, &copy, 0, &byte, 1), 0u);
}

/* ---- backups ---- */

static store_t *store;
static uint64_t seq;

static void open_store(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kernel.db", dir);
    cr_assert_eq(store_open(&(store_options_t){.path = path}, &store), ERR_OK);
}

/* So many rows in a transaction of their own. */
static void commit(uint64_t from, uint64_t count)
{
    gate_t gate = store_gate(store);
    record_t record = {0};
    gate.last(gate.self, &record.seq, &record.chain);
    record_begin(&record, 1);
    char name[32][600];
    for (uint64_t i = 0; i < count; i++) {
        snprintf(name[i], sizeof name[i], "n%-500llu", (unsigned long long)(from + i));
        row_t row = {.table = ROW_counter, .body.counter = {text_of(name[i]), from + i}};
        record_add(&record, &row);
    }
    record_end(&record);
    cr_assert_eq(gate.append(gate.self, &record), ERR_OK);
    cr_assert_eq(gate.durable(gate.self, &seq), ERR_OK);
    record_clear(&record);
}

static err_t count_row(void *context, const row_t *row)
{
    *(uint64_t *)context += row->table == ROW_counter;
    return ERR_OK;
}

static uint64_t rows_in(const char *below)
{
    char path[128];
    store_t *copy;
    uint64_t count = 0;
    snprintf(path, sizeof path, "%s/%s/kernel.db", dir, below);
    cr_assert_eq(store_open(&(store_options_t){.path = path}, &copy), ERR_OK, "%s",
                 store_why(copy));
    cr_assert_eq(store_load(copy, count_row, &count), ERR_OK);
    store_destroy(&copy);
    return count;
}

static void write_file(const char *name, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, mode);
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
}

static err_t back_up(backup_t *backup, const char *below, bool write_on)
{
    char path[128];
    err_t err = ERR_OK;
    int turns = 0;
    snprintf(path, sizeof path, "%s/%s", dir, below);
    backup_begin(backup, text_of(path));
    cr_expect(backup_waiting(backup));
    while (!backup_turn(backup, &err)) {
        if (write_on) commit(100000 + 32 * (uint64_t)turns, 32);
        turns++;
    }
    if (write_on) cr_expect_gt(turns, 2);
    cr_expect(!backup_waiting(backup));
    return err;
}

Test(shipping, a_backup_is_a_state_of_one_moment)
{
    copy_t copy = copy_of(41);
    fetch(7, &copy);
    fake_copies[0] = (fake_copy_t){{7}, copy};
    fake_copy_count = 1;
    write_file("broker.key", 0600);
    write_file("hosts.allow", 0644);
    open_store();
    for (uint64_t i = 0; i < 200; i++) commit(32 * i, 32);
    kernel_t *kernel = kernel_new();
    backup_t *backup = backup_new(&(backup_options_t){dir, store, checkpoints, kernel});
    cr_assert_eq(back_up(backup, "there", true), ERR_OK, "%s", backup_why(backup));
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/there/broker.key", dir);
    cr_expect_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600u);
    cr_expect_eq(files("there"), 5, "kernel.db, checkpoints, two files, the mark");
    cr_expect_eq(files("there/checkpoints"), 1);
    snprintf(path, sizeof path, "%s/there", dir);
    cr_expect(backup_marked(path));

    /* What was written meanwhile is in it, as far as it was before the last piece. */
    uint64_t written = rows_in("there");
    cr_expect_gt(written, 200u * 32);
    commit(0, 1);
    cr_expect_eq(rows_in("there"), written);

    /* What goes here stays there. */
    checkpoints_discard(checkpoints, (vat_t){7}, &copy);
    cr_expect_eq(files("there/checkpoints"), 1);
    cr_expect_neq(back_up(backup, "there", false), ERR_OK, "it exists");
    char why[256];
    cr_expect_eq(backup_unmark(path, why), ERR_OK);
    cr_expect(!backup_marked(path));
    backup_destroy(&backup);
    kernel_destroy(&kernel);
    store_destroy(&store);
}

Test(shipping, what_stands_where_a_backup_is_made_is_left_alone)
{
    char path[128];
    open_store();
    commit(1, 3);
    kernel_t *kernel = kernel_new();
    backup_t *backup = backup_new(&(backup_options_t){dir, store, checkpoints, kernel});
    snprintf(path, sizeof path, "%s/there.part", dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    write_file("there.part/letter", 0600);
    write_file("there.part/kernel.db", 0600);
    cr_expect_neq(back_up(backup, "there", false), ERR_OK);
    cr_expect_eq(files("there.part"), 1, "what a backup left that was broken off is not kept");
    backup_destroy(&backup);
    kernel_destroy(&kernel);
    store_destroy(&store);
}

Test(shipping, of_a_backup_that_fails_nothing_is_left)
{
    copy_t copy = copy_of(41);
    fake_copies[0] = (fake_copy_t){{7}, copy}; /* a file that is not there */
    fake_copy_count = 1;
    open_store();
    commit(1, 3);
    kernel_t *kernel = kernel_new();
    backup_t *backup = backup_new(&(backup_options_t){dir, store, checkpoints, kernel});
    size_t before = files(".");
    cr_expect_neq(back_up(backup, "there", false), ERR_OK);
    cr_expect_eq(files("."), before);
    cr_expect(strlen(backup_why(backup)) > 0);
    cr_expect_neq(back_up(backup, "no/such/place", false), ERR_OK);
    fake_copy_count = 0;
    cr_expect_eq(back_up(backup, "there", false), ERR_OK);
    backup_destroy(&backup);
    kernel_destroy(&kernel);
    store_destroy(&store);
}

/* Bundles and rows that no start reads, too. */
Test(shipping, each_page_of_a_backup_is_looked_at)
{
    open_store();
    for (uint64_t i = 0; i < 8; i++) commit(32 * i, 32);
    kernel_t *kernel = kernel_new();
    backup_t *backup = backup_new(&(backup_options_t){dir, store, checkpoints, kernel});
    cr_assert_eq(back_up(backup, "there", false), ERR_OK);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/there/kernel.db", dir);
    cr_assert_eq(stat(path, &st), 0);
    off_t pages = st.st_size / 4096;
    cr_expect_gt(pages, 30);
    for (off_t page = 0; page <= pages; page++) {
        store_t *there;
        if (page < pages) flip("there", "kernel.db", page * 4096 + 2000);
        err_t err = store_open(&(store_options_t){.path = path}, &there);
        if (!err) err = store_verify(there);
        cr_expect_eq(err, page < pages ? ERR_STORE_DAMAGED : ERR_OK, "page %d: %s", (int)page,
                     err_name(err));
        if (err) cr_expect(strstr(store_why(there), "is not what was written"));
        store_destroy(&there);
        if (page < pages) flip("there", "kernel.db", page * 4096 + 2000);
    }
    backup_destroy(&backup);
    kernel_destroy(&kernel);
    store_destroy(&store);
}

Test(shipping, a_database_that_another_broker_made_is_not_that_of_a_backup)
{
    char path[128], why[256] = "";
    open_store();
    commit(1, 3);
    kernel_t *kernel = kernel_new();
    backup_t *backup = backup_new(&(backup_options_t){dir, store, checkpoints, kernel});
    cr_assert_eq(back_up(backup, "there", false), ERR_OK);
    snprintf(path, sizeof path, "%s/there", dir);
    id128_t id = kernel_id(kernel);
    cr_expect_eq(backup_of(path, id, why), ERR_OK);
    id.b[15] ^= 1;
    cr_expect_eq(backup_of(path, id, why), ERR_STORE_DAMAGED);
    cr_expect(strstr(why, "kernel.db"));
    cr_expect_eq(backup_of(dir, kernel_id(kernel), why), ERR_STORE_DAMAGED, "there is no mark");
    backup_destroy(&backup);
    kernel_destroy(&kernel);
    store_destroy(&store);
}
