/* What a vathost lets pass between its workers and the broker, and the files of upgrades. */
#include "tests/unit/vathost/guests_rig.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

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
