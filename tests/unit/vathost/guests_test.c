/* What a vathost lets pass between its workers and the broker. There is no process: the test is the
 * crew, and the far end of each worker's socket. */
#include "vathost/guests.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/base/hash.h"
#include "wire/frames/frames.h"

static const vat_t vat = {3};
static int far_end = -1;
static uint64_t token;
static size_t started, killed, attaches, others, gets, losts;
static guests_t *guests;
static vault_t *vault;
static char dir[64];
static const id128_t kernel = {{7}};

/* ---- the crew, and bundles: all are there but the missing one ---- */

static const char *missing = "";
static bundles_state_t added = BUNDLES_DONE;
static uint64_t come;
static frames_t told;

err_t crew_start(crew_t *self, uint64_t its, const char *bundle, int *ret_fd)
{
    int fds[2];
    (void)self, (void)bundle;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *ret_fd = fds[0];
    far_end = fds[1];
    token = its;
    started++;
    return ERR_OK;
}

void crew_kill(crew_t *self, uint64_t its)
{
    (void)self;
    cr_assert_eq(its, token);
    killed++;
}

bool bundles_name(text_t text) { return text.len > 2 && memcmp(text.at, "b1-", 3) == 0; }
bool bundles_find(bundles_t *self, const char *name, char *ret_path, size_t room)
{
    (void)self;
    snprintf(ret_path, room, "/bundles/%s", name);
    return strcmp(name, missing) != 0;
}
uint64_t bundles_offset(const bundles_t *self, const char *name)
{
    (void)self, (void)name;
    return come;
}
bundles_state_t bundles_add(bundles_t *self, const char *name, uint64_t offset, uint64_t total,
                            bin_t piece)
{
    (void)self, (void)offset, (void)total;
    come += piece.len;
    if (added == BUNDLES_DONE && strcmp(name, missing) == 0) missing = "";
    return added;
}

/* ---- the broker ---- */

static bool to_broker(void *context, bin_t frame)
{
    (void)context;
    switch (msg_peek(frame)) {
    case TAG_attach: attaches++; break;
    case TAG_bundle_get: gets++; break;
    case TAG_lost: losts++; break;
    default: others++;
    }
    return true;
}

static void from_broker(msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    msg_t msg;
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    cr_assert_eq(msg_decode((bin_t){frame.at, frame.len}, &msg), ERR_OK);
    guests_take(guests, &msg, (bin_t){frame.at, frame.len}, 1);
    msg_clear(&msg);
    buf_clear(&frame);
}

/* ---- the worker ---- */

static void says(msg_tag_t tag, const void *body)
{
    uint8_t head[FRAME_HEAD_BYTES];
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    frames_head(frame.len, head);
    cr_assert_eq(write(far_end, head, sizeof head), (ssize_t)sizeof head);
    cr_assert_eq(write(far_end, frame.at, frame.len), (ssize_t)frame.len);
    buf_clear(&frame);
    guests_pipe(guests, token, 1);
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/guests-XXXXXX");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(vault_new(dir, &vault), ERR_OK);
    guests_options_t options = {.vault = vault, .epoll = epoll_create1(0), .send = to_broker};
    guests = guests_new(&options);
    guests_session(guests, kernel);
    msg_vat_new_t new = {
        .vat = vat, .inc = 1, .pgen = 1, .name = text_of("alice"), .bundle = text_of("b1-old")};
    from_broker(TAG_vat_new, &new);
    cr_assert_eq(started, 1);
}

static void teardown(void)
{
    char command[128];
    guests_destroy(&guests);
    vault_destroy(&vault);
    frames_clear(&told);
    close(far_end);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}
TestSuite(guests, .init = setup, .fini = teardown);

/* Every ATTACH has the broker send all that is in flight: a worker that says it for ever would have
 * megabytes sent for a few bytes. */
Test(guests, a_worker_attaches_once_for_each_start)
{
    msg_attach_t attach = {.vat = vat, .inc = 1, .pgen = 1};
    says(TAG_attach, &attach);
    guests_session(guests, kernel);
    guests_session(guests, kernel); /* it was busy during the first: it answers both */
    says(TAG_attach, &attach);
    says(TAG_attach, &attach);
    cr_assert_eq(attaches, 3);
    cr_assert_eq(killed, 0);

    says(TAG_attach, &attach);
    cr_assert_eq(attaches, 3, "the broker does not hear of it");
    cr_assert_eq(killed, 1);
}

Test(guests, a_worker_speaks_for_its_own_vat_only)
{
    msg_fetch_t fetch = {.vat = vat, .inc = 1, .pgen = 1, .first = 1, .count = 1};
    says(TAG_fetch, &fetch);
    cr_assert_eq(others, 1);
    fetch.vat.n++;
    says(TAG_fetch, &fetch);
    cr_assert_eq(others, 1);
    cr_assert_eq(killed, 1);
}

/* ---- bundles of upgrades ---- */

static void wants(const char *bundle)
{
    msg_bundle_want_t want = {vat, text_of(bundle)};
    says(TAG_bundle_want, &want);
}

/* What the worker is told next, but for STARTs; NULL when there is nothing. */
static const msg_t *hears(void)
{
    static msg_t msg;
    bin_t frame;
    int flags = fcntl(far_end, F_GETFL);
    fcntl(far_end, F_SETFL, flags | O_NONBLOCK);
    if (msg.tag) msg_clear(&msg);
    do {
        msg.tag = 0;
        while (frames_next(&told, &frame) != FRAMES_ONE) {
            if (frames_read(&told, far_end) <= 0) return NULL;
        }
        cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    } while (msg.tag == TAG_start);
    return &msg;
}

static void hears_file(const char *path)
{
    const msg_t *msg = hears();
    cr_assert(msg && msg->tag == TAG_bundle_file);
    text_t found = msg->body.bundle_file.path;
    cr_expect(found.len == strlen(path) && memcmp(found.at, path, found.len) == 0, "%.*s",
              (int)found.len, found.at);
}

static void part(const char *bundle, uint64_t total)
{
    msg_bundle_part_t msg = {text_of(bundle), come, total, {(const uint8_t *)"xyz", total ? 3 : 0}};
    from_broker(TAG_bundle_part, &msg);
}

Test(guests, a_worker_is_told_the_file_of_a_bundle)
{
    wants("b1-new");
    hears_file("/bundles/b1-new");
    cr_expect_eq(gets, 0);
    wants("../../etc/passwd");
    hears_file("");
    cr_expect_eq(others, 0, "the broker hears nothing of it");
}

Test(guests, what_is_not_here_is_fetched_once_for_all)
{
    missing = "b1-new";
    added = BUNDLES_MORE;
    wants("b1-new");
    cr_expect_eq(gets, 1);
    int first = far_end;

    msg_vat_new_t other = {
        .vat = {4}, .inc = 1, .pgen = 1, .name = text_of("bob"), .bundle = text_of("b1-new")};
    from_broker(TAG_vat_new, &other);
    cr_expect_eq(started, 1, "it waits for the same bundle");
    part("b1-new", 6);
    cr_expect_eq(gets, 2, "one of both asks on");
    guests_session(guests, kernel);
    cr_expect_eq(gets, 3, "and again when the link was lost");
    cr_expect_null(hears());
    added = BUNDLES_DONE;
    part("b1-new", 6);
    cr_expect_eq(started, 2);
    close(far_end);
    far_end = first;
    hears_file("/bundles/b1-new");
}

Test(guests, a_bundle_that_does_not_exist_is_an_answer)
{
    missing = "b1-new";
    wants("b1-new");
    part("b1-other", 0);
    cr_expect_null(hears(), "that is about another one");
    part("b1-new", 0);
    hears_file("");
    missing = "";
    wants("b1-new");
    hears_file("/bundles/b1-new");
}

Test(guests, a_vat_whose_bundle_does_not_exist_is_reported)
{
    msg_vat_new_t new = {
        .vat = {4}, .inc = 1, .pgen = 1, .name = text_of("bob"), .bundle = text_of("b1-new")};
    missing = "b1-new";
    from_broker(TAG_vat_new, &new);
    cr_expect_eq(gets, 1);
    part("b1-new", 0);
    cr_expect_eq(losts, 1);
    guests_tick(guests, 1000);
    cr_expect_eq(gets, 1);
    guests_tick(guests, 3000);
    cr_expect_eq(gets, 2, "until the broker has ended it");
}

Test(guests, a_bundle_that_comes_broken_is_fetched_again)
{
    missing = "b1-new";
    added = BUNDLES_WRONG;
    wants("b1-new");
    part("b1-new", 6);
    cr_expect_null(hears());
    guests_tick(guests, 1000);
    cr_expect_eq(gets, 1);
    guests_tick(guests, 3000);
    guests_tick(guests, 3000);
    cr_expect_eq(gets, 2);
    added = BUNDLES_DONE;
    part("b1-new", 3);
    hears_file("/bundles/b1-new");
}

Test(guests, a_worker_asks_for_itself_and_for_one_at_a_time)
{
    missing = "b1-new";
    wants("b1-new");
    wants("b1-new");
    cr_expect_eq(killed, 1);
}

/* ---- what an upgrade changes ---- */

static void delivers(msg_tag_t tag, uint64_t d)
{
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    msg_deliver_upgrade_t upgrade = {.bundle = text_of("b1-new")};
    msg_deliver_reap_t reap = {0};
    const void *body = tag == TAG_deliver_upgrade ? (void *)&upgrade : (void *)&reap;
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    msg_deliver_t msg = {
        .vat = vat, .inc = 1, .pgen = 1, .d = d, .delivery = {frame.at, frame.len}};
    from_broker(TAG_deliver, &msg);
    buf_clear(&frame);
}

Test(guests, the_clock_of_an_upgrade_stands_while_it_waits)
{
    enum { WALL = WALL_MS_DEFAULT + WALL_GRACE_MS, LONG = WALL_REAP_TIMES * WALL_MS_DEFAULT };
    missing = "b1-new";
    msg_attach_t attach = {.vat = vat, .inc = 1, .pgen = 1};
    says(TAG_attach, &attach);
    delivers(TAG_deliver_upgrade, 1);
    wants("b1-new");
    guests_tick(guests, 1000 * LONG);
    cr_expect_eq(killed, 0, "it waits for us");
    part("b1-new", 3);
    guests_tick(guests, LONG + WALL);
    cr_expect_eq(killed, 0, "a reap's time and a start's");
    guests_tick(guests, LONG + WALL + 2);
    cr_expect_eq(killed, 1);
}

Test(guests, a_worker_whose_upgrade_failed_is_followed_by_another_at_once)
{
    msg_attach_t attach = {.vat = vat, .inc = 1, .pgen = 1};
    says(TAG_attach, &attach);
    delivers(TAG_deliver_upgrade, 1);
    msg_result_t result = {
        .vat = vat, .inc = 1, .pgen = 1, .d = 1, .outcome = ERR_BUILD_ROOT_THREW};
    says(TAG_result, &result);
    guests_ended(guests, token, 0, 5);
    cr_expect_eq(started, 2);

    /* Any other last word is the vat's end, and the broker says what comes then. */
    says(TAG_attach, &attach);
    delivers(TAG_deliver_reap, 1);
    says(TAG_result, &result);
    guests_ended(guests, token, 0, 5);
    cr_expect_eq(started, 2);
}

Test(guests, a_new_incarnation_is_the_same_guest)
{
    msg_vat_new_t next = {
        .vat = vat, .inc = 2, .pgen = 1, .name = text_of("alice"), .bundle = text_of("b1-old")};
    from_broker(TAG_vat_new, &next);
    cr_expect_eq(started, 1);
    cr_expect_eq(killed, 0);
    msg_fetch_t fetch = {.vat = vat, .inc = 1, .pgen = 1, .first = 1, .count = 1};
    says(TAG_fetch, &fetch);
    cr_expect_eq(others, 1, "a worker that has not heard of it speaks on");
    next.inc = 1; /* an old frame */
    from_broker(TAG_vat_new, &next);
    fetch.pgen = 2;
    says(TAG_fetch, &fetch);
    cr_expect_eq(killed, 1, "the placement is the fence");

    next.pgen = 2;
    from_broker(TAG_vat_new, &next);
    cr_expect_eq(started, 1, "the one before has not ended");
    guests_ended(guests, token, SIGKILL, 1);
    cr_expect_eq(started, 2);
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

static msg_vat_new_t new_of(uint32_t n, uint64_t pgen)
{
    return (msg_vat_new_t){
        .vat = {n}, .inc = 1, .pgen = pgen, .name = text_of("alice"), .bundle = text_of("b1-old")};
}

Test(guests, a_worker_is_told_what_it_needs_for_checkpoints)
{
    msg_vat_new_t new = new_of(9, 4);
    new.every_rows = 11, new.every_bytes = 12, new.idle_ms = 13, new.sleep_ms = 14, new.mirror = 1;
    from_broker(TAG_vat_new, &new);
    cr_assert_eq(started, 2);

    static msg_t msg;
    bin_t frame;
    while (frames_next(&told, &frame) != FRAMES_ONE) cr_assert_gt(frames_read(&told, far_end), 0);
    cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    const msg_start_t *start = &msg.body.start;
    char database[128];
    snprintf(database, sizeof database, "%s/vat-9.4.db", dir);
    cr_expect(start->database.len == strlen(database) &&
              memcmp(start->database.at, database, start->database.len) == 0);
    cr_expect(id_same(start->kernel, kernel));
    cr_expect(start->every_rows == 11 && start->every_bytes == 12 && start->idle_ms == 13);
    cr_expect(start->sleep_ms == 14 && start->mirror == 1 && start->ship.len > strlen(dir));
    msg_clear(&msg);
}

Test(guests, a_database_lives_as_long_as_its_placement)
{
    touch("vat-3.1.db");
    guests_ended(guests, token, SIGKILL, 1);
    cr_expect(is_there("vat-3.1.db"), "its worker's end is not the vat's");
    cr_expect_eq(started, 2);

    touch("vat-3.2.db");
    msg_vat_new_t next = new_of(3, 2);
    from_broker(TAG_vat_new, &next);
    guests_ended(guests, token, SIGKILL, 1);
    cr_expect(!is_there("vat-3.1.db"), "an earlier placement");
    cr_expect(is_there("vat-3.2.db"));

    msg_vat_end_t end = {vat, 9, 1};
    from_broker(TAG_vat_end, &end);
    cr_expect(is_there("vat-3.2.db"), "the end of an earlier placement");
    end.pgen = 2;
    from_broker(TAG_vat_end, &end);
    touch("vat-3.2.db-wal"); /* the worker wrote on for a moment */
    guests_ended(guests, token, SIGKILL, 1);
    cr_expect(!is_there("vat-3.2.db") && !is_there("vat-3.2.db-wal"));
}

Test(guests, databases_of_vats_without_a_worker_end_as_well)
{
    touch("vat-5.1.db");
    touch("vat-5.2.db");
    touch("vat-5.3.db");
    msg_vat_end_t end = {{5}, 1, 2};
    vault_destroy(&vault);
    cr_assert_eq(vault_new(dir, &vault), ERR_OK);
    guests_destroy(&guests);
    guests = guests_new(
        &(guests_options_t){.vault = vault, .epoll = epoll_create1(0), .send = to_broker});
    from_broker(TAG_vat_end, &end);
    cr_expect(!is_there("vat-5.1.db") && !is_there("vat-5.2.db") && is_there("vat-5.3.db"));
    msg_vat_new_t new = new_of(5, 4);
    from_broker(TAG_vat_new, &new);
    cr_expect(!is_there("vat-5.3.db"));
}

Test(guests, of_another_kernel_nothing_is_left)
{
    touch("vat-3.1.db");
    touch("vat-8.1.db");
    guests_end_all(guests);
    cr_expect(!is_there("vat-3.1.db") && !is_there("vat-8.1.db"));
    msg_vat_new_t same = new_of(3, 1);
    from_broker(TAG_vat_new, &same);
    cr_expect_eq(started, 1, "the other kernel's worker has not ended");
    touch("vat-3.1.db"); /* it wrote on for a moment */
    guests_ended(guests, token, SIGKILL, 1);
    cr_expect_eq(started, 2);
    cr_expect(!is_there("vat-3.1.db"), "the new one begins with nothing");
}

Test(guests, two_workers_never_share_a_database)
{
    msg_vat_restart_t restart = {vat, 1, 1};
    from_broker(TAG_vat_restart, &restart);
    from_broker(TAG_vat_restart, &restart);
    cr_expect_eq(killed, 1);
    cr_expect_eq(started, 1);
    msg_vat_new_t same = new_of(3, 1);
    from_broker(TAG_vat_new, &same);
    cr_expect_eq(started, 1);
    guests_ended(guests, token, SIGKILL, 1);
    cr_expect_eq(started, 2);
}

/* ---- checkpoints ---- */

Test(guests, a_checkpoint_has_a_clock_of_its_own)
{
    msg_attach_t attach = {.vat = vat, .inc = 1, .pgen = 1};
    says(TAG_attach, &attach);
    delivers(TAG_deliver_reap, 1);
    msg_checkpoint_begun_t begun = {vat, 1};
    says(TAG_checkpoint_begun, &begun);
    guests_tick(guests, CHECKPOINT_MS_MAX);
    cr_expect_eq(killed, 0);
    guests_tick(guests, CHECKPOINT_MS_MAX + 2);
    cr_expect_eq(killed, 1);
    guests_ended(guests, token, SIGKILL, CHECKPOINT_MS_MAX + 2);
    cr_expect_eq(losts, 0, "no fault of the vat");
    cr_expect_eq(started, 2);
}

/* ---- sleep ---- */

static void attached_to(uint64_t run)
{
    msg_attach_t attach = {.vat = vat, .inc = 1, .pgen = 1};
    says(TAG_attach, &attach);
    msg_attached_t attached = {.vat = vat, .inc = 1, .pgen = 1, .run = run};
    from_broker(TAG_attached, &attached);
}

static void told_to_sleep(uint64_t run)
{
    msg_sleep_t sleep = {vat, 1, 1, run};
    from_broker(TAG_sleep, &sleep);
}

static bool hears_sleep(void)
{
    for (const msg_t *msg; (msg = hears());) {
        if (msg->tag == TAG_sleep) return true;
    }
    return false;
}

enum { ASLEEP = 42 << 8 };

Test(guests, a_vat_that_sleeps_is_woken_by_the_broker)
{
    touch("vat-3.1.db");
    attached_to(5);
    told_to_sleep(5);
    cr_expect(hears_sleep());
    guests_ended(guests, token, ASLEEP, 9);
    guests_tick(guests, 100000);
    guests_session(guests, kernel);
    cr_expect_eq(started, 1);
    cr_expect_eq(losts, 0);
    msg_vat_new_t new = new_of(3, 1);
    from_broker(TAG_vat_new, &new);
    cr_expect_eq(started, 2);
    cr_expect(is_there("vat-3.1.db"));
    guests_ended(guests, token, SIGKILL, 9);
    cr_expect_eq(started, 3, "it is as awake as before");
}

Test(guests, what_comes_while_it_falls_asleep_wakes_it)
{
    attached_to(5);
    told_to_sleep(5);
    msg_vat_new_t new = new_of(3, 1);
    from_broker(TAG_vat_new, &new);
    cr_expect_eq(started, 1, "the one that is to sleep has not ended");
    guests_ended(guests, token, ASLEEP, 9);
    cr_expect_eq(started, 2);
    guests_ended(guests, token, SIGKILL, 9);
    cr_expect_eq(started, 3);
}

Test(guests, sleep_is_for_one_run)
{
    attached_to(5);
    told_to_sleep(4);
    cr_expect(!hears_sleep());
    msg_vat_new_t new = new_of(3, 1);
    from_broker(TAG_vat_new, &new);
    guests_ended(guests, token, ASLEEP, 9);
    cr_expect_eq(started, 2, "nobody told it");
}

Test(guests, one_that_does_not_fall_asleep_is_ended)
{
    attached_to(5);
    told_to_sleep(5);
    guests_tick(guests, 1000);
    cr_expect_eq(killed, 0);
    guests_tick(guests, CHECKPOINT_MS_MAX + 2);
    cr_expect_eq(killed, 1);
    guests_ended(guests, token, SIGKILL, CHECKPOINT_MS_MAX + 3);
    cr_expect_eq(started, 1, "all of it was on the disk when it was told");
    cr_expect_eq(losts, 0);
}

Test(guests, a_vat_that_sleeps_ends_with_its_database)
{
    touch("vat-3.1.db");
    attached_to(5);
    told_to_sleep(5);
    guests_ended(guests, token, ASLEEP, 9);
    msg_vat_end_t end = {vat, 1, 1};
    from_broker(TAG_vat_end, &end);
    cr_expect(!is_there("vat-3.1.db"));
    msg_vat_new_t new = new_of(3, 2);
    from_broker(TAG_vat_new, &new);
    cr_expect_eq(started, 2);
}
