/* An upgrade as the kernel sees it: one row, alone in flight, that happens or does not. */
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"
#include "tests/unit/broker/listed.h"

static rig_t *rig;
static buf_t calls;

static const kref_t nothing;

static void set_up(void)
{
    calls = buf_of(CRANK_BYTES_MAX);
    rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", NULL)->tag, TAG_launched);
    call_resolve(&calls, rig_delivery(rig, 1)->body.deliver_message.result, false, "#0", NULL, 0);
    rig_result(rig, 1, &calls);
}

static void tear_down(void)
{
    buf_clear(&calls);
    rig_destroy(&rig);
}

TestSuite(upgrade, .init = set_up, .fini = tear_down);

static kref_t send(kref_t target, const char *body)
{
    msg_call_t call = {rig_id(rig), target, rig_data(body, NULL, 0), 0};
    const msg_t *reply = rig_ask(rig, TAG_call, &call);
    cr_assert_eq(reply->tag, TAG_sent);
    return reply->body.sent.result;
}

static msg_upgrade_t request(uint32_t vat)
{
    return (msg_upgrade_t){.request = rig_id(rig), .vat = {vat}, .bundle = text_of("b1-next")};
}

/* Asks for an upgrade of VAT; it is in flight. */
static const msg_deliver_upgrade_t *begin(uint32_t vat)
{
    msg_upgrade_t msg = request(vat);
    cr_assert_null(rig_ask(rig, TAG_upgrade, &msg), "not before it is done");
    cr_assert_eq(rig_delivery(rig, vat)->tag, TAG_deliver_upgrade);
    return &rig_delivery(rig, vat)->body.deliver_upgrade;
}

Test(upgrade, begins_the_next_incarnation)
{
    const msg_deliver_upgrade_t *row = begin(1);
    cr_expect(text_is(row->bundle, "b1-next") && text_is(row->message, "vat upgraded"));
    cr_expect(rig_body_is(&row->parameters, "#\"#undefined\"") && row->forgotten.count == 0);
    rig_empty(rig, 1);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_done);
    expect_listed(rig, "incarnation: 2");
    expect_listed(rig, "bundle: \"b1-next\"");
    send(root(1), "#[\"hi\",[]]");
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message, "the same root answers");
    cr_expect_eq(rig_told(rig, TAG_vat_new)->body.vat_new.bundle.len, strlen("b1-00"),
                 "a log begins with the code it began with");
}

Test(upgrade, is_alone_in_flight_and_in_its_place)
{
    send(root(1), "#[\"before\",[]]");
    msg_upgrade_t msg = request(1);
    cr_assert_null(rig_ask(rig, TAG_upgrade, &msg));
    send(root(1), "#[\"after\",[]]");
    cr_expect_eq(rig_pending(rig, 1), 1);
    rig_empty(rig, 1);
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_upgrade);
    cr_expect_eq(rig_pending(rig, 1), 1);
    rig_empty(rig, 1);
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
}

/* Each of the three promises of the old incarnation: one that bob waits for, one that alice waits for
 * herself, one that a message in her queue has as its result. */
Test(upgrade, rejects_what_the_old_incarnation_owed)
{
    kref_t given = kp(1, 1), own = kp(1, 2);
    send(root(1), "#[\"go\",[]]");
    call_send(&calls, root(2), "#[\"take\",[\"&0\"]]", &given, 1, nothing);
    call_send(&calls, root(2), "#[\"take\",[\"&0\"]]", &own, 1, nothing);
    call_subscribe(&calls, own);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, given);
    rig_result(rig, 2, &calls);
    rig_empty(rig, 2);

    const msg_deliver_upgrade_t *row = begin(1);
    cr_assert_eq(row->forgotten.count, 2, "`given`, and the result of `go`");
    cr_expect(kref_same(row->forgotten.at[1], given));
    cr_expect_null(rig_delivery(rig, 2), "nothing has happened yet");
    rig_empty(rig, 1);

    const char *why = "#{\"incarnationNumber\":0,\"name\":\"vatUpgraded\","
                      "\"upgradeMessage\":\"vat upgraded\"}";
    const msg_t *told = rig_delivery(rig, 2);
    cr_assert_eq(told->tag, TAG_deliver_notify);
    const resolution_t *resolution = &told->body.deliver_notify.resolutions.at[0];
    cr_expect(resolution->rejected && rig_body_is(&resolution->data, why));
    told = rig_delivery(rig, 1);
    cr_assert_eq(told->tag, TAG_deliver_notify,
                 "the new incarnation hears what the old one waited for");
    cr_expect(kref_same(told->body.deliver_notify.resolutions.at[0].promise, own));
    rig_run_dry(rig);
}

Test(upgrade, abandons_what_was_not_durable)
{
    kref_t gone = ko(1, 1), kept = ko(1, 2), both[] = {gone, kept};
    send(root(1), "#[\"go\",[]]");
    call_send(&calls, root(2), "#[\"take\",[\"$0.Alleged: a\",\"$1.Alleged: b\"]]", both, 2,
              nothing);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    begin(1);
    send(root(2), "#[\"use\",[]]");
    call_refs(&calls, TAG_abandon_exports, &gone, 1);
    rig_result(rig, 1, &calls);
    call_send(&calls, gone, "#[\"x\",[]]", NULL, 0, kp(2, 1));
    call_send(&calls, kept, "#[\"x\",[]]", NULL, 0, kp(2, 2));
    call_subscribe(&calls, kp(2, 1));
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
    cr_expect(kref_same(rig_delivery(rig, 1)->body.deliver_message.target, kept));
    const msg_t *told = rig_delivery(rig, 2);
    cr_assert_eq(told->tag, TAG_deliver_notify);
    cr_expect(told->body.deliver_notify.resolutions.at[0].rejected, "the other one splats");
    rig_run_dry(rig);
}

Test(upgrade, that_fails_leaves_the_vat_as_it_was)
{
    kref_t given = kp(1, 1);
    send(root(1), "#[\"go\",[]]");
    call_send(&calls, root(2), "#[\"take\",[\"&0\"]]", &given, 1, nothing);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    begin(1);
    uint64_t run = rig_told(rig, TAG_attached)->body.attached.run;
    rig_fail(rig, 1, ERR_BUILD_ROOT_THREW, "durable kinds not redefined");
    const msg_failed_t *failed = &rig_reply(rig, 1)->body.failed;
    cr_expect_eq(failed->error, ERR_UPGRADE_FAILED);
    cr_expect(text_is(failed->why, "durable kinds not redefined"), "%.*s", (int)failed->why.len,
              failed->why.at);
    expect_listed(rig, "incarnation: 1");
    cr_expect_geq(rig_told(rig, TAG_attached)->body.attached.run, run);
    char *list = rig_list(rig, 3, given);
    cr_expect(strstr(list, "unresolved"), "%s", list);
    free(list);
    rig_restart(rig, true); /* its worker runs the log again, and steps over the row */
    send(root(1), "#[\"hi\",[]]");
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
}

Test(upgrade, survives_a_restart_of_the_broker_in_flight_and_in_the_queue)
{
    begin(1);
    msg_upgrade_t msg = request(1);
    cr_assert_null(rig_ask(rig, TAG_upgrade, &msg));
    rig_restart(rig, true);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_upgrade);
    cr_assert_null(rig_ask(rig, TAG_upgrade, &msg), "the same request again waits for the same");
    rig_empty(rig, 1);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_upgrade);
    rig_empty(rig, 1);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_done);
    cr_expect_eq(rig_ask(rig, TAG_upgrade, &msg)->tag, TAG_done, "and is remembered");
    expect_listed(rig, "incarnation: 3");
}

Test(upgrade, of_a_vat_that_ends_fails)
{
    begin(1);
    msg_kill_t kill = {rig_id(rig), {1}, text_of("x")};
    const msg_t *first = rig_ask(rig, TAG_kill, &kill), *second = rig_reply(rig, 1);
    cr_expect_eq(first->tag, TAG_failed);
    cr_expect_eq(second->tag, TAG_done);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}

Test(upgrade, bad_requests_are_refused)
{
    msg_upgrade_t msg = request(7);
    cr_expect_eq(rig_ask(rig, TAG_upgrade, &msg)->body.failed.error, ERR_VAT_UNKNOWN);
    msg = request(1), msg.bundle = text_of("../x");
    cr_expect_eq(rig_ask(rig, TAG_upgrade, &msg)->body.failed.error, ERR_BUNDLE_UNKNOWN);
    msg = request(1), msg.parameters = (bin_t){(const uint8_t *)"#\"$0\"", 5};
    cr_expect_eq(rig_ask(rig, TAG_upgrade, &msg)->body.failed.error, ERR_BODY_BROKEN);
    cr_expect_null(rig_delivery(rig, 1));
}

/* What the old incarnation decided is settled by the upgrade: its crank may not settle it again. */
Test(upgrade, a_crank_that_settles_what_is_rejected_ends_the_vat)
{
    kref_t given = kp(1, 1);
    send(root(1), "#[\"go\",[]]");
    call_send(&calls, root(2), "#[\"take\",[\"&0\"]]", &given, 1, nothing);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    begin(1);
    call_resolve(&calls, given, false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    expect_listed(rig, "illegal syscall");
}

/* The old half drops an import that the parameters bring back. */
Test(upgrade, parameters_come_after_what_the_old_half_drops)
{
    rig_launch_t options = {.services = "vatAdmin", .bundle = "w"};
    cr_assert_eq(rig_launch(rig, "boot", &options)->tag, TAG_launched);
    kref_t admin = rig_delivery(rig, 3)->body.deliver_message.methargs.slots.at[1], gift = root(1);
    msg_call_t call = {rig_id(rig), admin, rig_data("#[\"createVatAdminService\",[]]", NULL, 0), 0};
    msg_await_t await = {rig_id(rig), rig_ask(rig, TAG_call, &call)->body.sent.result};
    kref_t service = rig_ask(rig, TAG_await, &await)->body.settled.value.slots.at[0];
    call = (msg_call_t){
        rig_id(rig), service,
        rig_data("#[\"createVat\",[\"w\",{\"vatParameters\":\"$0.Alleged: r\"}]]", &gift, 1), 0};
    await = (msg_await_t){rig_id(rig), rig_ask(rig, TAG_call, &call)->body.sent.result};
    rig_empty(rig, 4);
    kref_t node = rig_ask(rig, TAG_await, &await)->body.settled.value.slots.at[0];
    call = (msg_call_t){rig_id(rig), service, rig_data("#[\"getNamedBundleCap\",[\"w\"]]", NULL, 0),
                        0};
    await = (msg_await_t){rig_id(rig), rig_ask(rig, TAG_call, &call)->body.sent.result};
    kref_t slots[] = {rig_ask(rig, TAG_await, &await)->body.settled.value.slots.at[0], gift};
    call = (msg_call_t){
        rig_id(rig), node,
        rig_data("#[\"upgrade\",[\"$0.Alleged: b\",{\"vatParameters\":\"$1.Alleged: r\"}]]", slots,
                 2),
        0};
    await = (msg_await_t){rig_id(rig), rig_ask(rig, TAG_call, &call)->body.sent.result};
    cr_assert_eq(rig_delivery(rig, 4)->tag, TAG_deliver_upgrade);
    call_refs(&calls, TAG_drop_imports, &gift, 1);
    call_refs(&calls, TAG_retire_imports, &gift, 1);
    call_send(&calls, gift, "#[\"hello\",[]]", NULL, 0, nothing);
    rig_result(rig, 4, &calls);
    cr_expect(rig_body_is(&rig_ask(rig, TAG_await, &await)->body.settled.value,
                          "#{\"incarnationNumber\":1}"));
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
    rig_run_dry(rig);
}

/* Each of its characters takes six bytes where it is told. */
Test(upgrade, with_a_message_that_is_all_control_characters)
{
    char message[TEXT_BYTES_MAX];
    memset(message, 1, sizeof message);
    kref_t waits = send(root(1), "#[\"go\",[]]");
    msg_upgrade_t msg = request(1);
    rig_empty(rig, 1);
    msg.message = (text_t){message, sizeof message};
    cr_assert_null(rig_ask(rig, TAG_upgrade, &msg));
    rig_empty(rig, 1);
    msg_await_t await = {rig_id(rig), waits};
    const msg_t *done = rig_reply(rig, 1), *reply = rig_ask(rig, TAG_await, &await);
    cr_assert(done && done->tag == TAG_done);
    cr_assert(reply && reply->tag == TAG_settled && reply->body.settled.rejected);
    cr_expect_gt(reply->body.settled.value.body.len, 6 * (TEXT_BYTES_MAX - NAME_BYTES_MAX - 8));
}
