/* Zygotes that are lost, and what comes after them. Method: vathost_rig.h. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/vathost/vathost_rig.h"

TestSuite(vathost_zygote, .init = vathost_make, .fini = vathost_unmake);

static void says_nothing(const msg_t *msg) { (void)msg; }

static void live(size_t first, size_t behind_last, bool ready, int status)
{
    for (size_t i = first; i < behind_last; i++) {
        lives[i].ready = ready;
        lives[i].status = status;
    }
}

Test(vathost_zygote, a_zygote_that_is_killed_is_replaced_for_ever)
{
    broker = says_nothing;
    live(0, 3, false, KILLED);
    live(3, 8, true, KILLED);
    crews_wanted = 9;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_assert_eq(crews, 9);
    cr_expect_lt(crew_ms[1] - crew_ms[0], 100, "at once");
    cr_expect_geq(crew_ms[6] - crew_ms[5], 1600);
    cr_expect_geq(crew_ms[7] - crew_ms[6], 3200 - 50, "then less and less often");
}

Test(vathost_zygote, one_that_ends_by_itself_before_any_worked_ends_the_host)
{
    broker = says_nothing;
    live(0, 1, false, FAILED);
    cr_expect_eq(vathost_run(host), ERR_PROCESS_FAILED);
    cr_expect_eq(crews, 1);
    cr_expect(strstr(vathost_why(host), "exit code 1"), "%s", vathost_why(host));
}

Test(vathost_zygote, several_that_end_by_themselves_end_the_host)
{
    broker = says_nothing;
    live(0, 1, true, KILLED);
    live(1, 3, false, FAILED);
    live(3, 4, false, KILLED); /* counts for nobody */
    live(4, 7, false, SIGSEGV);
    cr_expect_eq(vathost_run(host), ERR_PROCESS_FAILED);
    cr_expect_eq(crews, 7);
    cr_expect(strstr(vathost_why(host), "signal 11"), "%s", vathost_why(host));
}

Test(vathost_zygote, ends_when_there_is_no_program_for_the_next)
{
    broker = says_nothing;
    program_there = false;
    live(0, 1, true, KILLED);
    cr_expect_eq(vathost_run(host), ERR_PROCESS_FAILED);
    cr_expect_eq(crews, 6);
    cr_expect(strstr(vathost_why(host), "no program"), "%s", vathost_why(host));
}

/* A worker ends with its zygote and starts with the next: no sooner, and not later for the deaths before. */
static void places_one_that_loses_its_zygote(const msg_t *msg)
{
    msg_vat_new_t new = new_of(3, 1);
    if (msg->tag == TAG_hello) {
        welcome(msg, EPOCH);
        lives[0].status = KILLED;
        broker_says(TAG_vat_new, &new);
        crews_wanted = 5;
    }
}

Test(vathost_zygote, workers_wait_for_the_zygote)
{
    broker = places_one_that_loses_its_zygote;
    live(1, 4, true, KILLED);
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(crews, 5);
    cr_expect_eq(started, 5);
}
