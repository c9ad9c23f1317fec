/* How long a vat's database lives, when its worker sleeps, and who starts the next one. */
#include "tests/unit/vathost/guests_rig.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "wire/base/hash.h"

TestSuite(guests_life, .init = setup, .fini = teardown);

Test(guests_life, a_worker_is_told_what_it_needs_for_checkpoints)
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

Test(guests_life, a_database_lives_as_long_as_its_placement)
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

Test(guests_life, databases_of_vats_without_a_worker_end_as_well)
{
    touch("vat-5.1.db");
    touch("vat-5.2.db");
    touch("vat-5.3.db");
    msg_vat_end_t end = {{5}, 1, 2};
    next_process();
    from_broker(TAG_vat_end, &end);
    cr_expect(!is_there("vat-5.1.db") && !is_there("vat-5.2.db") && is_there("vat-5.3.db"));
    msg_vat_new_t new = new_of(5, 4);
    from_broker(TAG_vat_new, &new);
    cr_expect(!is_there("vat-5.3.db"));
}

Test(guests_life, of_another_kernel_nothing_is_left)
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

Test(guests_life, two_workers_never_share_a_database)
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

Test(guests_life, a_checkpoint_has_a_clock_of_its_own)
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

Test(guests_life, one_that_has_to_end_is_told_until_it_has)
{
    msg_vat_end_t end = {vat, 1, 1};
    from_broker(TAG_vat_end, &end);
    cr_expect_eq(killed, 1);
    guests_tick(guests, 300);
    guests_tick(guests, 600);
    cr_expect_eq(killed, 3, "the zygote may not have heard it");
    guests_ended(guests, token, SIGKILL, 700);
    guests_tick(guests, 900);
    cr_expect_eq(killed, 3);
}

Test(guests_life, one_that_never_says_where_it_stands_is_replaced)
{
    guests_tick(guests, CHECKPOINT_MS_MAX);
    cr_expect_eq(killed, 0);
    guests_tick(guests, CHECKPOINT_MS_MAX + 2);
    cr_expect_eq(killed, 1);
    guests_ended(guests, token, SIGKILL, CHECKPOINT_MS_MAX + 3);
    cr_expect_eq(losts, 0);
    cr_expect_eq(started, 2);
    attached_to(5);
    guests_tick(guests, 3 * CHECKPOINT_MS_MAX);
    cr_expect_eq(killed, 1, "what has, may be idle for as long as it likes");
}

/* ---- sleep ---- */

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

Test(guests_life, a_vat_that_sleeps_is_woken_by_the_broker)
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

Test(guests_life, what_comes_while_it_falls_asleep_wakes_it)
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

Test(guests_life, sleep_is_for_one_run)
{
    attached_to(5);
    told_to_sleep(4);
    cr_expect(!hears_sleep());
    msg_vat_new_t new = new_of(3, 1);
    from_broker(TAG_vat_new, &new);
    guests_ended(guests, token, ASLEEP, 9);
    cr_expect_eq(started, 2, "nobody told it");
}

Test(guests_life, one_that_does_not_fall_asleep_is_ended)
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

Test(guests_life, a_vat_that_sleeps_ends_with_its_database)
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

/* ---- a full disk ---- */

enum { FULL = 43 << 8 };

Test(guests_life, a_vat_that_found_the_disk_full_waits_and_goes_on)
{
    attached_to(5);
    delivers(TAG_deliver_reap, 1);
    guests_ended(guests, token, FULL, 100);
    cr_expect_eq(losts, 0, "the vat did nothing wrong");
    cr_expect_eq(started, 1);
    guests_tick(guests, 900);
    cr_expect_eq(started, 1);
    guests_tick(guests, 1200);
    cr_expect_eq(started, 2, "there is room, as far as the host can see");
    for (uint64_t n = 1; n <= 8; n++) {
        guests_ended(guests, token, FULL, 20000 * n);
        guests_tick(guests, 20000 * n + 900);
        cr_expect_eq(started, n + 1, "never faster than once a second");
        guests_tick(guests, 20000 * n + 11000);
        cr_expect_eq(started, n + 2);
    }
    msg_vat_new_t new = new_of(3, 1);
    guests_ended(guests, token, FULL, 200000);
    from_broker(TAG_vat_new, &new);
    cr_expect_eq(started, 10, "the broker's asking makes no room");
}

/* ---- what the broker has to hear ---- */

static bool kept_holds(uint32_t n, uint64_t pgen)
{
    const uint8_t row[12] = {0, 0, 0, (uint8_t)n, 0, 0, 0, 0, 0, 0, 0, (uint8_t)pgen};
    bin_t rows = heard.body.guests.vats;
    cr_assert_eq(heard.tag, TAG_guests);
    cr_assert_eq(rows.len % sizeof row, 0);
    for (size_t at = 0; at < rows.len; at += sizeof row) {
        if (memcmp(rows.at + at, row, sizeof row) == 0) return true;
    }
    return false;
}

Test(guests_life, the_broker_hears_of_databases_without_a_worker)
{
    guests_session(guests, kernel);
    cr_expect_neq(heard.tag, TAG_guests, "there is none: vat 3 has a worker");
    attached_to(5);
    told_to_sleep(5);
    guests_session(guests, kernel);
    cr_expect(kept_holds(3, 1), "it may be too late for it to say ATTACH");
    guests_ended(guests, token, ASLEEP, 9);
    touch("vat-8.1.db");
    touch("vat-8.2.db");
    guests_session(guests, kernel);
    cr_expect(kept_holds(3, 1));
    cr_expect_eq(heard.body.guests.vats.len, 12);

    next_process();
    cr_expect(kept_holds(8, 1) && kept_holds(8, 2));
    cr_expect(!kept_holds(3, 1), "it had no file");
    msg_vat_end_t end = {{8}, 1, 2};
    from_broker(TAG_vat_end, &end);
    memset(&heard, 0, sizeof heard);
    guests_session(guests, kernel);
    cr_expect_eq(heard.tag, 0);
}

Test(guests_life, many_databases_take_several_frames)
{
    char name[32];
    enum { MANY = 5000 };
    for (int n = 10; n < 10 + MANY; n++) {
        snprintf(name, sizeof name, "vat-%d.1.db", n);
        touch(name);
    }
    size_t before = others;
    next_process();
    cr_expect_eq(others - before, 2);
    cr_expect_eq(heard.body.guests.vats.len, MANY * 12 - GUESTS_BYTES_MAX);
}

/* ---- many at once ---- */

static void says_for(uint32_t n, msg_tag_t tag)
{
    msg_attach_t attach = {.vat = {n}, .inc = 1, .pgen = 1};
    msg_result_t result = {.vat = {n}, .inc = 1, .pgen = 1, .d = 1};
    says(tag, tag == TAG_attach ? (void *)&attach : (void *)&result);
}

Test(guests_life, only_a_few_begin_at_a_time)
{
    begin_max = 2;
    next_process();
    started = 0;
    for (uint32_t n = 10; n < 16; n++) {
        msg_vat_new_t new = new_of(n, 1);
        from_broker(TAG_vat_new, &new);
        from_broker(TAG_vat_new, &new);
    }
    cr_assert_eq(started, 2);
    says_for(11, TAG_attach);
    cr_expect_eq(started, 2, "it has not run its first delivery");
    says_for(11, TAG_result);
    cr_expect_eq(started, 3);
    guests_ended(guests, token, 1 << 8, 5);
    cr_expect_eq(started, 4, "one that ends makes room as well");

    msg_fetch_t fetch = {.vat = {12}, .inc = 1, .pgen = 1, .first = 1, .count = 1};
    says(TAG_fetch, &fetch);
    cr_expect_eq(started, 4);
    fetch.first = 2;
    says(TAG_fetch, &fetch);
    cr_expect_eq(started, 5, "it has run its first delivery, again");

    msg_vat_end_t end = {{14}, 1, 1};
    from_broker(TAG_vat_end, &end);
    guests_tick(guests, 3000);
    cr_expect_eq(started, 6, "those that hang do not keep the others for ever");
    end.vat.n = 15;
    from_broker(TAG_vat_end, &end);
    guests_tick(guests, 6000);
    cr_expect_eq(started, 6);
    begin_max = 100;
}
