/* A vathost's session, its link, and a list that it is not on. Method: vathost_rig.h. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/vathost/vathost_rig.h"

TestSuite(vathost_session, .init = vathost_make, .fini = vathost_unmake);

/* ---- sessions ---- */

static void takes_all(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    welcome(msg, EPOCH);
    end_host();
}

Test(vathost_session, ends_when_it_is_asked_to)
{
    broker = takes_all;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(hellos, 1);
}

static msg_tag_t said[4];
static size_t says_so_far;
static uint64_t present;

/* In the first session the kernel is a new one, and nothing is kept. */
static void listens(const msg_t *msg)
{
    char path[PATH_BYTES_MAX];
    if (hellos == 1) {
        if (msg->tag == TAG_hello) welcome(msg, EPOCH);
        if (msg->tag == TAG_present) vault_path(vault, vat, 1, path);
        if (msg->tag == TAG_present) happens(DEALER_DOWN);
        return;
    }
    if (says_so_far < 4) said[says_so_far++] = msg->tag;
    if (msg->tag == TAG_hello) welcome(msg, EPOCH);
    if (msg->tag == TAG_present) present = msg->body.present.session;
    if (msg->tag == TAG_guests || says_so_far == 4) end_host();
}

Test(vathost_session, proves_that_it_is_there_before_anything_else)
{
    broker = listens;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect(said[0] == TAG_hello && said[1] == TAG_present && said[2] == TAG_guests);
    cr_expect_eq(present, SESSION);
}

static void finds_it_stale(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    if (hellos < 3)
        refuses(ERR_STALE_SESSION);
    else
        takes_all(msg);
}

Test(vathost_session, a_stale_session_is_followed_by_the_next)
{
    broker = finds_it_stale;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(hellos, 3);
    cr_expect_eq(opens, 3, "nothing of the old link arrives in the next");
    cr_expect_geq(opened_ms[1] - opened_ms[0], 900, "two that share a key do not chase each other");
}

static void knows_a_clone(const msg_t *msg)
{
    if (msg->tag == TAG_hello) refuses(ERR_HOST_CLONED);
}

static void has_disavowed_it(const msg_t *msg)
{
    if (msg->tag == TAG_hello) refuses(ERR_HOST_DISAVOWED);
}

Test(vathost_session, a_clone_ends)
{
    broker = knows_a_clone;
    cr_expect_eq(vathost_run(host), ERR_HOST_CLONED);
    cr_expect_eq(opens, 1);
}

Test(vathost_session, one_that_was_declared_gone_ends)
{
    broker = has_disavowed_it;
    cr_expect_eq(vathost_run(host), ERR_HOST_DISAVOWED);
}

static void goes_back(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    welcome(msg, hellos == 1 ? EPOCH : EPOCH - 1);
    if (hellos == 1) happens(DEALER_DOWN);
}

Test(vathost_session, a_broker_that_forgot_is_refused)
{
    broker = goes_back;
    cr_expect_eq(vathost_run(host), ERR_BROKER_WENT_BACK);
}

static void has_forgotten_the_session(const msg_t *msg)
{
    static bool asked;
    if (msg->tag != TAG_hello) return;
    welcome(msg, EPOCH);
    if (asked)
        end_host();
    else
        refuses(ERR_NEED_HELLO);
    asked = true;
}

Test(vathost_session, says_hello_when_it_is_asked_to)
{
    broker = has_forgotten_the_session;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(hellos, 2);
    cr_expect_eq(opens, 1);
}

/* ---- the link ---- */

static void cuts(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    happens(DEALER_DOWN);
    if (hellos == 6) end_host();
}

/* ---- a list that a host is not on ---- */

static size_t joins;
static bool on_the_list, closed;

static void refuses_strangers(const msg_t *msg)
{
    if (msg->tag == TAG_join) {
        char key[KEY_TEXT_BYTES + 1];
        cr_expect_eq(with, &joining);
        key_text(msg->body.join.key, key);
        cr_expect_str_eq(key, own.public_key);
        joins++;
        on_the_list = !closed;
        if (closed)
            refuses(ERR_KEY_REFUSED);
        else
            broker_says(TAG_joined, &(msg_joined_t){msg->body.join.nonce});
    }
    if (msg->tag != TAG_hello) return;
    cr_expect_eq(with, &own, "nothing but JOIN is said with a join key");
    if (on_the_list) {
        welcome(msg, EPOCH);
        end_host();
    } else {
        refuses(ERR_KEY_REFUSED);
    }
    if (closed && hellos == 2) end_host();
}

static void joining_host(void)
{
    vathost_destroy(&host);
    broker = refuses_strangers;
    make_host(&joining);
    cr_expect_eq(vathost_run(host), ERR_OK);
}

Test(vathost_session, a_host_with_a_join_key_puts_its_own_on_the_list)
{
    joining_host();
    cr_expect_eq(joins, 1);
    cr_expect_eq(hellos, 2);
    cr_expect_eq(opens, 3);
}

Test(vathost_session, one_that_is_on_the_list_does_not_use_it)
{
    on_the_list = true;
    joining_host();
    cr_expect_eq(joins, 0);
    cr_expect_eq(opens, 1);
}

Test(vathost_session, a_join_key_that_is_refused_is_no_reason_to_hurry)
{
    closed = true;
    joining_host();
    cr_expect_eq(joins, 1);
    cr_expect_eq(hellos, 2);
    cr_expect_geq(opened_ms[2] - opened_ms[1], 1000);
}

/* What is wrong is the disk of the broker, or the rush: not this host's key. */
static void says_why(const msg_t *msg)
{
    static const err_t why[] = {ERR_JOINS_WAIT, ERR_STORE_FULL, ERR_STORE_FULL};
    if (msg->tag == TAG_hello) {
        refuses(ERR_KEY_REFUSED);
    } else if (msg->tag == TAG_join) {
        refuses(why[joins]);
        if (++joins == 3) end_host();
    }
}

Test(vathost_session, why_it_may_not_join_is_said_once_as_the_broker_says_it)
{
    char said[4096], line[32];
    vathost_destroy(&host);
    cr_redirect_stderr();
    broker = says_why;
    make_host(&joining);
    cr_expect_eq(vathost_run(host), ERR_OK);
    fflush(stderr);
    FILE *file = cr_get_redirected_stderr();
    size_t len = fread(said, 1, sizeof said - 1, file);
    said[len] = 0;
    cr_expect_eq(joins, 3);
    snprintf(line, sizeof line, "error E%d:", ERR_JOINS_WAIT);
    cr_expect(strstr(said, line), "%s", said);
    snprintf(line, sizeof line, "error E%d:", ERR_STORE_FULL);
    const char *first = strstr(said, line);
    cr_expect(first && !strstr(first + 1, line), "%s", said);
    cr_expect_null(strstr(said, "E6002"), "%s", said);
}

/* Somebody else's word for it is not taken. */
static void joined_by_another(const msg_t *msg)
{
    if (msg->tag == TAG_hello) {
        refuses(ERR_KEY_REFUSED);
    } else if (msg->tag == TAG_join) {
        joins++;
        broker_says(TAG_joined, &(msg_joined_t){{{1}}});
        end_host();
    }
}

Test(vathost_session, an_answer_to_another_join_is_none)
{
    vathost_destroy(&host);
    broker = joined_by_another;
    make_host(&joining);
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(joins, 1);
    cr_expect_eq(opens, 2, "it still waits");
}

Test(vathost_session, attempts_come_further_and_further_apart)
{
    broker = cuts;
    uint64_t began = now_ms();
    cr_expect_eq(vathost_run(host), ERR_OK);
    uint64_t took = now_ms() - began;
    cr_expect_eq(opens, 6);
    cr_expect_geq(took, 3000);
    cr_expect_leq(opened_ms[1] - opened_ms[0], 700, "the first comes soon");
}

static void falls_silent(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    if (hellos == 1)
        welcome(msg, EPOCH);
    else
        takes_all(msg);
}

Test(vathost_session, a_link_that_is_half_open_is_noticed_in_time)
{
    broker = falls_silent;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_assert_eq(opens, 2);
    uint64_t took = opened_ms[1] - opened_ms[0];
    cr_expect(took > LINK_LOST_MS / 2 && took <= LINK_LOST_MS + 500, "%llu ms",
              (unsigned long long)took);
    cr_expect_geq(pings, LINK_LOST_MS / LINK_BEAT_MS - 3);
}
