/* Hosts and workers that say what they should not: each frame is well-formed, and wrong. What is refused
 * or dropped changes nothing; what shows another history puts its vat into quarantine. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/kernel_rig.h"
#include "tests/unit/broker/listed.h"

#define PING "#[\"ping\",[]]"

static const kref_t nothing;

static rig_t *rig;
static buf_t calls;

/* alice (v1) and bob (v2) on h1; bob has PINGs in flight, as many as his window allows. */
static void set_up(void)
{
    rig_launch_t options = {.window = 4, .reap_deliveries = REAP_NEVER};
    rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", &options)->tag, TAG_launched);
    for (int i = 0; i < 5; i++) call_send(&calls, root(2), PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_pending(rig, 2), 4);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(host, .init = set_up, .fini = tear_down);

static void expect_unharmed(void)
{
    char *list = rig_list(rig, 0, nothing);
    cr_expect(!strstr(list, "quarantined") && !strstr(list, "terminated"), "%s", list);
    free(list);
}

/* What bob's worker would say if its link had come back. */
static msg_attach_t attach(void)
{
    msg_result_t frame = rig_result_frame(rig, 2, NULL);
    return (msg_attach_t){.vat = {2},
                          .inc = frame.inc,
                          .pgen = frame.pgen,
                          .run = frame.run,
                          .last = frame.d - 1,
                          .chain = frame.chain};
}

/* ---- sessions ---- */

static void hello(uint64_t proto_min, uint64_t proto_max, uint64_t epoch, err_t error)
{
    size_t welcomes = rig_host_frames(rig, TAG_welcome);
    msg_hello_t msg = {proto_min,        proto_max,         {{7}}, epoch,
                       text_of("other"), text_of("engine"), {{0}}};
    rig_from_host(rig, 0, TAG_hello, &msg);
    if (error) {
        cr_expect_eq(rig_host_frames(rig, TAG_welcome), welcomes);
        cr_expect_eq(rig_told(rig, TAG_refuse)->body.refuse.error, error);
    } else {
        cr_expect_eq(rig_host_frames(rig, TAG_welcome), welcomes + 1);
    }
}

Test(host, sessions_that_are_refused)
{
    hello(PROTO_MAX + 1, PROTO_MAX + 2, 0, ERR_PROTOCOL_RANGE);
    hello(0, 0, 0, ERR_PROTOCOL_RANGE);
    hello(PROTO_MIN, PROTO_MAX, kernel_epoch(rig_kernel(rig)) + 1, ERR_STORE_DAMAGED);
    msg_ping_t ping = {0};
    rig_from_host(rig, 2, TAG_ping, &ping);
    cr_expect_eq(rig_told(rig, TAG_refuse)->body.refuse.error, ERR_NEED_HELLO, "it has no session");
    hello(PROTO_MIN, PROTO_MAX + 9, kernel_epoch(rig_kernel(rig)), ERR_OK);
    cr_expect_eq(rig_told(rig, TAG_welcome)->body.welcome.proto, PROTO_MAX);
    rig_from_host(rig, 2, TAG_ping, &ping);
    cr_expect_eq(rig_host_frames(rig, TAG_pong), 1);
    rig_host_gone(rig, 7);
    rig_host_gone(rig, 2);
    rig_host_gone(rig, 2);
    cr_expect_eq(rig_events(rig, "host-down"), 1, "it goes once, and one that never came does not");
}

Test(host, frames_of_the_wrong_way_are_dropped)
{
    msg_welcome_t welcome = {0};
    size_t pending = rig_pending(rig, 2);
    rig_from_host(rig, 1, TAG_welcome, &welcome);
    cr_expect_eq(rig_host_frames(rig, TAG_refuse), 0);
    cr_expect_eq(rig_pending(rig, 2), pending);
    expect_unharmed();
}

/* ---- workers ---- */

/* Each is somebody that may go: the vat is another one by now, or stands elsewhere. */
Test(host, strangers_are_ended)
{
    rig_host(rig, 2);
    msg_attach_t good = attach(), bad[3] = {good, good, good};
    bad[0].vat.n = 9;
    bad[1].pgen++;
    for (size_t i = 0; i < 3; i++) {
        rig_from_host(rig, i == 2 ? 2 : 1, TAG_attach, &bad[i]);
        cr_expect_eq(rig_host_frames(rig, TAG_vat_end), i + 1);
        cr_expect_eq(rig_told(rig, TAG_vat_end)->body.vat_end.vat.n, bad[i].vat.n);
    }
    rig_empty(rig, 2);
    expect_unharmed();
}

Test(host, a_worker_that_ran_what_was_never_assigned)
{
    msg_attach_t bad = attach();
    bad.last = 99;
    rig_from_host(rig, 1, TAG_attach, &bad);
    expect_listed(rig, "the worker ran delivery 99 that this broker never assigned: its last is 5");
    size_t answers = rig_host_frames(rig, TAG_attached);
    bad = (msg_attach_t){.vat = {2}, .inc = bad.inc, .pgen = bad.pgen};
    rig_from_host(rig, 1, TAG_attach, &bad);
    cr_expect_eq(rig_host_frames(rig, TAG_attached), answers, "nobody runs a vat in quarantine");
}

Test(host, a_worker_that_ran_another_history)
{
    msg_attach_t bad = attach();
    bad.chain.b[5] ^= 1;
    rig_from_host(rig, 1, TAG_attach, &bad);
    expect_listed(rig, "the worker ran another history than the log's");
}

/* A worker that attaches with nothing fetches what it lacks; each row comes once in a run. */
Test(host, rows_are_sent_as_they_are_asked_for_and_once)
{
    msg_result_t frame = rig_result_frame(rig, 2, NULL);
    size_t sent = rig_host_frames(rig, TAG_deliver);
    msg_attach_t fresh = {.vat = {2}, .inc = frame.inc, .pgen = frame.pgen};
    rig_from_host(rig, 1, TAG_attach, &fresh);
    uint64_t run = rig_told(rig, TAG_attached)->body.attached.run;
    cr_expect_gt(run, frame.run);
    msg_fetch_t fetch = {{2}, frame.inc, frame.pgen, run, 1, 0};
    rig_from_host(rig, 1, TAG_fetch, &fetch);
    fetch.first = 0;
    fetch.count = 3;
    rig_from_host(rig, 1, TAG_fetch, &fetch);
    fetch.first = frame.d;
    fetch.run--;
    rig_from_host(rig, 1, TAG_fetch, &fetch);
    cr_expect_eq(rig_host_frames(rig, TAG_deliver), sent, "nothing was asked for, or by nobody");
    fetch.first = frame.d + 2;
    fetch.run = run;
    rig_from_host(rig, 1, TAG_fetch, &fetch);
    cr_expect_eq(rig_host_frames(rig, TAG_deliver), sent + 2, "the last two of four");
    cr_expect_eq(rig_told(rig, TAG_deliver)->body.deliver.d, frame.d + 3);
    rig_from_host(rig, 1, TAG_fetch, &fetch);
    cr_expect_eq(rig_host_frames(rig, TAG_deliver), sent + 2);
    rig_run_dry(rig);
    expect_unharmed();
}

/* ---- results ---- */

Test(host, a_result_of_what_was_never_assigned)
{
    msg_result_t ahead = rig_result_frame(rig, 2, NULL);
    rig_run_dry(rig);
    uint64_t cranks = rig_counter(rig, "cranks");
    ahead.d += 5; /* one behind the last */
    rig_from_host(rig, 1, TAG_result, &ahead);
    cr_expect_eq(rig_counter(rig, "cranks"), cranks);
    expect_unharmed();
}

/* Only the newest one could be compared with anything. */
Test(host, an_old_result_is_dropped_whatever_it_says)
{
    msg_result_t old = rig_result_frame(rig, 2, NULL);
    rig_run_dry(rig);
    uint64_t cranks = rig_counter(rig, "cranks");
    old.chain.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_result, &old);
    cr_expect_eq(rig_counter(rig, "cranks"), cranks);
    expect_unharmed();
}

Test(host, a_failure_says_why_also_when_the_worker_does_not)
{
    rig_fail(rig, 2, ERR_VAT_LIMIT_COMPUTE, "");
    expect_listed(rig, err_text(ERR_VAT_LIMIT_COMPUTE));
}

static void lose(uint64_t d, uint64_t error, const char *reason)
{
    msg_result_t frame = rig_result_frame(rig, 2, NULL);
    msg_lost_t lost = {{2}, frame.inc, frame.pgen, frame.run, frame.d + d, error, text_of(reason)};
    rig_from_host(rig, 1, TAG_lost, &lost);
}

Test(host, a_worker_that_is_lost_while_it_runs_nothing)
{
    lose((uint64_t)-1, ERR_VAT_CRASHED, "applied already");
    lose(4, ERR_VAT_CRASHED, "never assigned");
    expect_unharmed();
    lose(0, 0, "");
    expect_listed(rig, err_text(ERR_VAT_CRASHED));
}

/* Who was lost was not the vat as it is now: it may be forgotten where it was. */
Test(host, strangers_that_are_lost_are_ended)
{
    rig_host(rig, 2);
    msg_result_t frame = rig_result_frame(rig, 2, NULL);
    msg_lost_t good = {{2},     frame.inc,       frame.pgen,  frame.run,
                       frame.d, ERR_VAT_CRASHED, text_of("x")};
    msg_lost_t bad[3] = {good, good, good};
    bad[0].vat.n = 9;
    bad[1].pgen++;
    for (size_t i = 0; i < 3; i++) {
        rig_from_host(rig, i == 2 ? 2 : 1, TAG_lost, &bad[i]);
        cr_expect_eq(rig_host_frames(rig, TAG_vat_end), i + 1);
    }
    expect_unharmed();
    frame.chain.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_result, &frame);
    rig_from_host(rig, 1, TAG_lost, &good);
    expect_listed(rig, "quarantined");
    cr_expect_eq(rig_host_frames(rig, TAG_vat_end), 3, "it is kept as it is");
}

Test(host, a_worker_that_is_lost_for_an_unknown_reason)
{
    lose(0, 54321, "");
    expect_listed(rig, err_text(ERR_VAT_CRASHED));
}

Test(host, a_worker_that_is_lost_and_says_why)
{
    lose(0, ERR_VAT_LIMIT_WALL, "five seconds");
    expect_listed(rig, "five seconds");
    lose(0, ERR_VAT_LIMIT_WALL, "again");
    expect_listed(rig, "five seconds");
}

/* A vat ends for a reason of its own, which may be longer than what is kept of it: cut, but never in the
 * middle of a character. */
static void expect_reason_cut(size_t xs, const char *tail, size_t kept)
{
    static char info[2 * TEXT_BYTES_MAX];
    memset(info, 'x', xs + 2);
    memcpy(info, "#\"", 2);
    strcpy(info + 2 + xs, tail);
    call_exit(&calls, false, info);
    rig_result(rig, 2, &calls);
    text_t reason = rig_event(rig, "vat-exit")->text;
    cr_expect_eq(reason.len, kept, "%zu", reason.len);
    cr_expect(memcmp(reason.at, info, kept) == 0);
}

Test(host, a_reason_of_a_vat_is_cut)
{
    expect_reason_cut(TEXT_BYTES_MAX, "\"", TEXT_BYTES_MAX - 8);
}

Test(host, a_reason_of_a_vat_is_cut_between_characters)
{
    expect_reason_cut(TEXT_BYTES_MAX - 12, "\xe2\x82\xac and more\"", TEXT_BYTES_MAX - 10);
}
