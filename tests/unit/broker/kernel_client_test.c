/* Clients and hosts: requests and their repetition, await, quiet, hosts that come and go. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING "#[\"ping\",[]]"

static const kref_t nothing;

static buf_t calls;

static rig_t *start(const char *names)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, names, NULL)->tag, TAG_launched);
    return rig;
}

static msg_call_t ping(rig_t *rig, uint32_t vat)
{
    return (msg_call_t){rig_id(rig), root(vat), rig_data(PING, NULL, 0), 0};
}

Test(client, a_call_is_answered_and_its_promise_kept_until_awaited)
{
    rig_t *rig = start("alice");
    rig_empty(rig, 1);
    msg_call_t call = ping(rig, 1);
    const msg_t *sent = rig_ask(rig, TAG_call, &call);
    cr_assert_eq(sent->tag, TAG_sent);
    kref_t result = sent->body.sent.result;
    call_resolve(&calls, result, false, "#\"yes\"", NULL, 0);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_counter(rig, "holds"), 2);

    msg_await_t await = {rig_id(rig), result};
    const msg_t *settled = rig_ask(rig, TAG_await, &await);
    cr_assert_eq(settled->tag, TAG_settled);
    cr_assert(rig_body_is(&settled->body.settled.value, "#\"yes\""));
    cr_assert_eq(rig_counter(rig, "holds"), 1);
    await.request = rig_id(rig);
    cr_assert_eq(rig_ask(rig, TAG_await, &await)->body.failed.error, ERR_REF_UNKNOWN);
    rig_destroy(&rig);
}

/* The answer is in the same batch as what settled the promise, and a broker that ends before it has left has
 * to give it again. */
Test(client, an_answer_that_never_left_is_given_again)
{
    rig_t *rig = start("alice");
    rig_empty(rig, 1);
    rig_no_chores(rig);
    msg_call_t call = ping(rig, 1);
    kref_t result = rig_ask(rig, TAG_call, &call)->body.sent.result;
    msg_await_t await = {rig_id(rig), result};
    rig_ask_from(rig, 1, TAG_await, &await);
    call_resolve(&calls, result, false, "#\"yes\"", NULL, 0);
    rig_result(rig, 1, &calls);
    cr_assert_eq(rig_reply(rig, 1)->tag, TAG_settled);

    rig_restart(rig, false);
    const msg_t *again = rig_ask(rig, TAG_await, &await);
    cr_assert_eq(again->tag, TAG_settled);
    cr_expect(rig_body_is(&again->body.settled.value, "#\"yes\""));
    rig_chore(rig);
    cr_expect_eq(rig_counter(rig, "holds"), 1, "bootstrap's; the other has been answered");
    rig_destroy(&rig);
}

Test(client, a_promise_in_an_answer_can_be_awaited_later)
{
    rig_t *rig = start("alice");
    rig_empty(rig, 1);
    msg_call_t call = ping(rig, 1);
    kref_t result = rig_ask(rig, TAG_call, &call)->body.sent.result, inner = kp(1, 1);
    call_resolve(&calls, result, false, "#[\"&0\"]", &inner, 1);
    rig_result(rig, 1, &calls);
    msg_await_t await = {rig_id(rig), result};
    cr_assert_eq(rig_ask(rig, TAG_await, &await)->tag, TAG_settled);

    /* Nobody else asks for it; it is settled in the meantime. */
    call = ping(rig, 1);
    rig_ask(rig, TAG_call, &call);
    call_resolve(&calls, inner, false, "#7", NULL, 0);
    rig_result(rig, 1, &calls);
    await = (msg_await_t){rig_id(rig), inner};
    const msg_t *settled = rig_ask(rig, TAG_await, &await);
    cr_assert_eq(settled->tag, TAG_settled);
    cr_expect(rig_body_is(&settled->body.settled.value, "#7"));

    msg_release_t release = {rig_id(rig), {0}};
    cr_assert_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);
    await.request = rig_id(rig);
    cr_expect_eq(rig_ask(rig, TAG_await, &await)->body.failed.error, ERR_REF_UNKNOWN);
    rig_destroy(&rig);
}

Test(client, several_clients_wait_and_one_goes_away)
{
    rig_t *rig = start("alice");
    msg_await_t await = {rig_id(rig), kp(0, 1)};
    for (uint32_t client = 1; client <= 3; client++) rig_ask_from(rig, client, TAG_await, &await);
    rig_client_gone(rig, 2);
    call_resolve(&calls, kp(0, 1), true, "#\"no\"", NULL, 0);
    rig_result(rig, 1, &calls);
    cr_assert(rig_reply(rig, 1)->body.settled.rejected);
    cr_assert_null(rig_reply(rig, 2));
    cr_assert(rig_reply(rig, 3)->body.settled.rejected);
    cr_assert_eq(rig_counter(rig, "holds"), 1, "bootstrap's promise is kept");
    rig_destroy(&rig);
}

Test(client, a_repeated_request_gets_the_same_answer_and_does_nothing)
{
    rig_t *rig = start("alice");
    rig_empty(rig, 1);
    msg_call_t call = ping(rig, 1);
    const msg_t *sent = rig_ask(rig, TAG_call, &call);
    const msg_t *again = rig_ask(rig, TAG_call, &call);
    cr_assert_eq(sent->body.sent.result.n, again->body.sent.result.n);
    rig_restart(rig, false);
    again = rig_ask(rig, TAG_call, &call);
    cr_assert_eq(sent->body.sent.result.n, again->body.sent.result.n);
    rig_empty(rig, 1);
    cr_assert_eq(rig_counter(rig, "messages"), 2, "bootstrap and one ping");

    msg_kill_t kill = {rig_id(rig), {1}, text_of("")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    kill.request = rig_id(rig);
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->body.failed.error, ERR_VAT_TERMINATED);
    rig_destroy(&rig);
}

Test(client, a_repeated_launch_takes_over_the_answer)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.no_start = true};
    cr_assert_null(rig_launch(rig, "alice", &options));
    id128_t id = {.b = {1, [15] = 1}};
    msg_launch_t again = {.request = id, .name = text_of("other"), .services = text_of("")};
    rig_restart(rig, true);
    rig_ask_from(rig, 5, TAG_launch, &again);
    rig_empty(rig, 1);
    const msg_t *launched = rig_reply(rig, 5);
    cr_assert(launched && launched->tag == TAG_launched);
    cr_assert_null(rig_reply(rig, 1));
    rig_ask_from(rig, 6, TAG_launch, &again);
    cr_assert_eq(rig_reply(rig, 6)->body.launched.result.n, launched->body.launched.result.n);
    rig_destroy(&rig);
}

Test(client, bad_calls_change_nothing)
{
    rig_t *rig = start("alice");
    rig_empty(rig, 1);
    kref_t far_off = kp(1, 9), alice = root(1);
    msg_call_t bad[] = {
        {rig_id(rig), far_off, rig_data(PING, NULL, 0), 0},
        {rig_id(rig), nothing, rig_data(PING, NULL, 0), 0},
        {rig_id(rig), alice, rig_data("#[\"x\",[\"&0\"]]", &far_off, 1), 0},
        {rig_id(rig), alice, rig_data("#[\"x\"]", NULL, 0), 0},
        {rig_id(rig), alice, rig_data("#[\"x\",[\"&0\"]]", &alice, 1), 0},
    };
    const err_t errs[] = {ERR_REF_UNKNOWN, ERR_REF_UNKNOWN, ERR_REF_UNKNOWN, ERR_BODY_BROKEN,
                          ERR_BODY_BROKEN};
    for (size_t i = 0; i < 5; i++) {
        const msg_t *reply = rig_ask(rig, TAG_call, &bad[i]);
        cr_assert(reply->tag == TAG_failed && reply->body.failed.error == errs[i], "call %zu", i);
    }
    cr_assert_eq(rig_counter(rig, "promises"), 1);
    cr_assert_eq(rig_pending(rig, 1), 0);
    rig_destroy(&rig);
}

Test(client, quiet_answers_when_nothing_moves_and_names_the_decider)
{
    rig_t *rig = start("alice bob");
    msg_quiet_t quiet = {rig_id(rig), {1}};
    cr_assert_null(rig_ask(rig, TAG_quiet, &quiet));
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    cr_assert_null(rig_reply(rig, 1));
    rig_empty(rig, 2);
    const msg_t *idle = rig_reply(rig, 1);
    cr_assert(idle && idle->tag == TAG_idle);
    cr_assert_eq(idle->body.idle.state, 0);
    cr_assert_eq(idle->body.idle.decider.n, 1);
    cr_assert(text_is(idle->body.idle.decider_name, "alice"));
    cr_assert_eq(idle->body.idle.messages, 2);
    cr_assert_eq(idle->body.idle.cranks, 4);

    quiet.cluster.n = 7;
    cr_assert_eq(rig_ask(rig, TAG_quiet, &quiet)->body.failed.error, ERR_CLUSTER_UNKNOWN);
    quiet.cluster.n = 0;
    cr_assert_eq(rig_ask(rig, TAG_quiet, &quiet)->tag, TAG_idle);
    rig_destroy(&rig);
}

Test(client, launches_that_cannot_be)
{
    rig_t *rig = rig_new();
    rig_launch_t options = {.services = "clock"};
    cr_assert_eq(rig_launch(rig, "alice", NULL)->body.failed.error, ERR_NO_HOST);
    rig_host(rig, 1);
    const msg_t *reply = rig_launch(rig, "alice", &options);
    cr_assert(text_is(reply->body.failed.why, "no registered kernel service 'clock'"));
    options = (rig_launch_t){.host = "moon"};
    cr_assert_eq(rig_launch(rig, "alice", &options)->body.failed.error, ERR_HOST_UNKNOWN);
    cr_assert_eq(rig_launch(rig, "alice alice", NULL)->tag, TAG_failed);
    cr_assert_eq(rig_launch(rig, "", NULL)->tag, TAG_failed);
    options = (rig_launch_t){.window = WINDOW_MAX + 1};
    cr_assert_eq(rig_launch(rig, "alice", &options)->tag, TAG_failed);
    cr_assert_eq(rig_rows(rig, ROW_vat) + rig_rows(rig, ROW_cluster) + rig_rows(rig, ROW_object),
                 0);
    /* Written as JSON, names of such characters would make the bootstrap message too long. */
    cr_assert_eq(rig_launch(rig, "ali\001ce", NULL)->body.failed.error, ERR_BAD_VALUE);
    options = (rig_launch_t){.host = "host1"};
    cr_assert_eq(rig_launch(rig, "alice", &options)->tag, TAG_launched);
    rig_destroy(&rig);
}

/* They are never given twice, and a kref has room for so many. */
Test(client, vat_numbers_come_to_an_end)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    row_t row = {.table = ROW_counter};
    row.body.counter = (row_counter_t){text_of("next_vat"), KREF_ISSUER_MAX - 1};
    cr_assert_eq(kernel_load(rig_kernel(rig), &row), ERR_OK);
    cr_assert_eq(rig_launch(rig, "alice bob", NULL)->body.failed.error, ERR_WIRE_LIMIT);
    cr_assert_eq(rig_rows(rig, ROW_vat), 0);
    rig_destroy(&rig);
}

Test(client, vats_are_spread_over_the_hosts_in_the_order_of_the_file)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_host(rig, 2);
    cr_assert_eq(rig_launch(rig, "a b c", NULL)->tag, TAG_launched);
    char *list = rig_list(rig, 0, nothing);
    const char *at = list;
    for (const char *const *host = (const char *const[]){"h1", "h2", "h1", NULL}; *host; host++) {
        at = strstr(at, "host: ");
        cr_assert(at && strncmp(at + 6, *host, 2) == 0, "%s: %s", *host, list);
        at += 6;
    }
    free(list);
    rig_destroy(&rig);
}

/* Hosts: a new key is a new host, an old key the same one; versions and epochs must fit. */
Test(client, hosts_are_known_by_their_key)
{
    rig_t *rig = rig_new();
    cr_assert_eq(rig_host(rig, 1), 1);
    cr_assert_eq(rig_host(rig, 2), 2);
    cr_assert_eq(rig_host(rig, 1), 1);
    cr_assert_eq(rig_counter(rig, "hosts"), 2);
    cr_assert_eq(rig_host_frames(rig, TAG_welcome), 3);
    rig_host_gone(rig, 1);
    char *list = rig_list(rig, 2, nothing);
    cr_assert(strstr(list, "\"away\"") && strstr(list, "\"connected\""), "%s", list);
    free(list);
    msg_ping_t beat = {1};
    rig_from_host(rig, 1, TAG_ping, &beat);
    cr_assert_eq(rig_host_frames(rig, TAG_refuse), 1, "say HELLO first");
    rig_from_host(rig, 2, TAG_ping, &beat);
    cr_assert_eq(rig_host_frames(rig, TAG_pong), 1);
    rig_destroy(&rig);
}

Test(client, a_host_that_comes_back_gets_its_vats_again)
{
    rig_t *rig = start("alice");
    rig_host_gone(rig, 1);
    msg_call_t call = ping(rig, 1);
    rig_ask(rig, TAG_call, &call);
    size_t before = rig_host_frames(rig, TAG_vat_new);
    rig_host(rig, 1);
    cr_assert_eq(rig_host_frames(rig, TAG_vat_new), before + 1);
    rig_empty(rig, 1);
    rig_empty(rig, 1);
    cr_assert_eq(rig_counter(rig, "messages"), 2);
    rig_destroy(&rig);
}

Test(client, restart_drops_the_old_worker)
{
    rig_t *rig = start("alice");
    msg_result_t old = rig_result_frame(rig, 1, NULL);
    msg_restart_t restart = {rig_id(rig), {1}};
    cr_assert_eq(rig_ask(rig, TAG_restart, &restart)->tag, TAG_done);
    cr_assert_eq(rig_host_frames(rig, TAG_vat_restart), 1);
    uint64_t cranks = rig_counter(rig, "cranks");
    rig_from_host(rig, 1, TAG_result, &old);
    cr_assert_eq(rig_counter(rig, "cranks"), cranks);
    restart.vat.n = 9;
    restart.request = rig_id(rig);
    cr_assert_eq(rig_ask(rig, TAG_restart, &restart)->body.failed.error, ERR_VAT_UNKNOWN);
    rig_destroy(&rig);
}

/* The host keeps its workers while its link is down: the restart waits for it. */
Test(client, restart_of_a_vat_whose_host_is_away_comes_when_it_is_back)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice", NULL)->tag, TAG_launched);
    msg_result_t old = rig_result_frame(rig, 1, NULL);
    rig_host_gone(rig, 1);
    msg_restart_t restart = {rig_id(rig), {1}};
    cr_assert_eq(rig_ask(rig, TAG_restart, &restart)->tag, TAG_done);
    cr_assert_eq(rig_host_frames(rig, TAG_vat_restart), 0);
    size_t attached = rig_host_frames(rig, TAG_attached);
    rig_host(rig, 1);
    cr_assert_eq(rig_host_frames(rig, TAG_vat_restart), 1, "its worker lived on");
    cr_assert_eq(rig_host_frames(rig, TAG_attached), attached);
    msg_attach_t fresh = {.vat = {1}, .inc = old.inc, .pgen = old.pgen, .nonce = {{1}}};
    rig_from_host(rig, 1, TAG_attach, &fresh);
    cr_assert_eq(rig_host_frames(rig, TAG_attached), attached + 1);
    rig_destroy(&rig);
}
