/* Checkpoints as files: copies that the broker fetches, and databases that come from it. */
#include "tests/unit/vathost/guests_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/hash.h"

TestSuite(guests_move, .init = setup, .fini = teardown);

enum { BYTES = 2 * BUNDLE_PART_BYTES_MAX + 1000 };
static uint8_t file[BYTES], got[BYTES];

static void fill(uint8_t seed)
{
    for (size_t i = 0; i < BYTES; i++) file[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

static void write_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    cr_assert_eq(write(fd, file, BYTES), BYTES);
    close(fd);
}

static hash_t file_hash(void) { return hash_of((bin_t){file, BYTES}); }

/* ---- on the way out ---- */

static const hash_t chain = {{5}};

static void makes_copy(uint64_t d)
{
    fill((uint8_t)d);
    write_file("vat-3.1.ship");
    msg_checkpoint_file_t made = {vat, 1, d, chain};
    says(TAG_checkpoint_file, &made);
    while (guests_work(guests)) continue;
}

static void announced(uint64_t d)
{
    const msg_checkpoint_ready_t *ready = &heard.body.checkpoint_ready;
    cr_assert_eq(heard.tag, TAG_checkpoint_ready);
    cr_expect(ready->vat.n == vat.n && ready->pgen == 1 && ready->d == d && ready->total == BYTES);
    cr_expect(hash_same(ready->hash, file_hash()) && hash_same(ready->chain, chain));
}

static const msg_checkpoint_part_t *asked(uint64_t d, uint64_t offset)
{
    msg_checkpoint_get_t get = {vat, 1, d, offset};
    memset(&heard, 0, sizeof heard);
    from_broker(TAG_checkpoint_get, &get);
    return heard.tag == TAG_checkpoint_part ? &heard.body.checkpoint_part : NULL;
}

static void fetched(uint64_t d)
{
    for (uint64_t at = 0; at < BYTES;) {
        const msg_checkpoint_part_t *part = asked(d, at);
        cr_assert(part && part->total == BYTES && part->offset == at && part->data.len > 0);
        memcpy(got + at, part->data.at, part->data.len);
        at += part->data.len;
    }
    cr_expect_eq(memcmp(got, file, BYTES), 0);
}

Test(guests_move, a_copy_is_announced_served_and_deleted)
{
    makes_copy(7);
    announced(7);
    cr_expect(is_there("vat-3.1.7.copy") && !is_there("vat-3.1.ship"));
    fetched(7);
    cr_expect(is_there("vat-3.1.7.copy"), "the broker has not said that it has all");
    cr_expect_null(asked(7, BYTES));
    cr_expect(!is_there("vat-3.1.7.copy"));
    cr_expect_eq(asked(7, 0)->total, 0, "there is none any more");
}

Test(guests_move, a_copy_is_announced_in_each_session_until_it_is_fetched)
{
    makes_copy(7);
    others = 0;
    guests_session(guests, kernel);
    cr_expect_eq(others, 1);
    announced(7);
    asked(7, BYTES);
    others = 0;
    guests_session(guests, kernel);
    cr_expect_eq(others, 0);
}

Test(guests_move, one_that_is_being_fetched_is_not_replaced)
{
    makes_copy(7);
    asked(7, 0);
    makes_copy(8);
    announced(8);
    cr_expect_eq(asked(7, 10)->total, BYTES);
    makes_copy(9);
    cr_expect(!is_there("vat-3.1.8.copy"), "nobody had begun with it");
    cr_expect(is_there("vat-3.1.7.copy") && is_there("vat-3.1.9.copy"));
    fetched(9);
}

Test(guests_move, copies_end_with_their_placement)
{
    makes_copy(7);
    msg_vat_end_t end = {vat, 1, 1};
    from_broker(TAG_vat_end, &end);
    cr_expect(!is_there("vat-3.1.7.copy"));
    cr_expect_eq(asked(7, 0)->total, 0);
}

Test(guests_move, a_copy_that_is_not_there_costs_the_worker)
{
    msg_checkpoint_file_t made = {vat, 1, 7, chain};
    says(TAG_checkpoint_file, &made);
    cr_expect_eq(killed, 1);
}

Test(guests_move, a_worker_announces_for_itself_only)
{
    fill(1);
    write_file("vat-4.1.ship");
    msg_checkpoint_file_t made = {{4}, 1, 7, chain};
    says(TAG_checkpoint_file, &made);
    cr_expect_eq(killed, 1);
    cr_expect(is_there("vat-4.1.ship"));
}

/* ---- on the way in ---- */

enum { MOVED = 20, PGEN = 2, POINT = 40 };

static msg_vat_new_t moved(void)
{
    msg_vat_new_t new = new_of(MOVED, PGEN);
    fill(1);
    new.checkpoint = POINT;
    new.checkpoint_hash = file_hash();
    new.checkpoint_bytes = BYTES;
    return new;
}

static void asks_from(uint64_t offset)
{
    const msg_checkpoint_get_t *get = &heard.body.checkpoint_get;
    cr_assert_eq(heard.tag, TAG_checkpoint_get);
    cr_expect(get->vat.n == MOVED && get->pgen == PGEN && get->d == POINT);
    cr_expect_eq(get->offset, offset);
}

static void comes(uint64_t offset, size_t len, uint64_t total)
{
    msg_checkpoint_part_t part = {{MOVED}, PGEN, POINT, offset, total, {file + offset, len}};
    from_broker(TAG_checkpoint_part, &part);
}

Test(guests_move, a_vat_that_moved_here_begins_with_its_database)
{
    msg_vat_new_t new = moved();
    from_broker(TAG_vat_new, &new);
    asks_from(0);
    comes(0, 1000, BYTES);
    asks_from(1000);
    comes(0, 1000, BYTES); /* again */
    comes(1000, BUNDLE_PART_BYTES_MAX, BYTES);
    asks_from(1000 + BUNDLE_PART_BYTES_MAX);
    cr_expect_eq(started, 1);
    cr_expect(!is_there("vat-20.2.db"));
    comes(1000 + BUNDLE_PART_BYTES_MAX, BUNDLE_PART_BYTES_MAX, BYTES);
    cr_expect_eq(started, 2);
    cr_expect(is_there("vat-20.2.db") && !is_there("vat-20.2.pull"));

    memset(&heard, 0, sizeof heard);
    from_broker(TAG_vat_new, &new);
    guests_ended(guests, token, SIGKILL, 1);
    from_broker(TAG_vat_new, &new);
    cr_expect_eq(heard.tag, 0, "what is here is never fetched again");
    cr_expect_eq(started, 3);
}

Test(guests_move, a_fetch_goes_on_in_the_next_session)
{
    msg_vat_new_t new = moved();
    from_broker(TAG_vat_new, &new);
    comes(0, 1000, BYTES);
    memset(&heard, 0, sizeof heard);
    guests_session(guests, kernel);
    asks_from(1000);
    from_broker(TAG_vat_new, &new);
    comes(1000, BUNDLE_PART_BYTES_MAX, BYTES);
    comes(1000 + BUNDLE_PART_BYTES_MAX, BUNDLE_PART_BYTES_MAX, BYTES);
    cr_expect_eq(started, 2);
}

Test(guests_move, what_comes_wrong_is_fetched_again)
{
    msg_vat_new_t new = moved();
    from_broker(TAG_vat_new, &new);
    file[5]++;
    comes(0, BUNDLE_PART_BYTES_MAX, BYTES);
    comes(BUNDLE_PART_BYTES_MAX, BUNDLE_PART_BYTES_MAX, BYTES);
    comes(2 * BUNDLE_PART_BYTES_MAX, 1000, BYTES);
    cr_expect_eq(started, 1);
    cr_expect(!is_there("vat-20.2.db") && !is_there("vat-20.2.pull"));
    memset(&heard, 0, sizeof heard);
    guests_tick(guests, 1000);
    cr_expect_eq(heard.tag, 0);
    guests_tick(guests, 3000);
    asks_from(0);
    file[5]--;
    comes(0, 1000, 0); /* the broker has none now */
    memset(&heard, 0, sizeof heard);
    guests_tick(guests, 9000);
    cr_expect_eq(heard.tag, 0);
    guests_tick(guests, 11000);
    asks_from(0);
}

Test(guests_move, another_checkpoint_takes_the_place_of_one_that_does_not_come)
{
    msg_vat_new_t new = moved();
    from_broker(TAG_vat_new, &new);
    comes(0, 1000, BYTES);
    new.checkpoint = POINT + 1;
    from_broker(TAG_vat_new, &new);
    cr_assert_eq(heard.tag, TAG_checkpoint_get);
    cr_expect_eq(heard.body.checkpoint_get.d, POINT + 1);
    cr_expect_eq(heard.body.checkpoint_get.offset, 0);

    msg_checkpoint_part_t none = {.vat = {MOVED}, .pgen = PGEN, .d = POINT + 1};
    from_broker(TAG_checkpoint_part, &none);
    memset(&heard, 0, sizeof heard);
    new.checkpoint = POINT + 2;
    from_broker(TAG_vat_new, &new);
    cr_assert_eq(heard.tag, TAG_checkpoint_get, "at once");
    cr_expect_eq(heard.body.checkpoint_get.d, POINT + 2);
}

Test(guests_move, a_vat_that_ends_is_not_fetched_on)
{
    msg_vat_new_t new = moved();
    from_broker(TAG_vat_new, &new);
    comes(0, 1000, BYTES);
    msg_vat_end_t end = {{MOVED}, 1, PGEN};
    from_broker(TAG_vat_end, &end);
    cr_expect(!is_there("vat-20.2.pull"));
    memset(&heard, 0, sizeof heard);
    comes(1000, 1000, BYTES);
    cr_expect_eq(heard.tag, 0);
}
