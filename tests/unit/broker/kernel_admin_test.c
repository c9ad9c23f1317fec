/* vatAdmin: a vat makes vats, hears of their end, ends them. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/kernel_rig.h"

static rig_t *rig;
static kref_t admin_root;
static buf_t calls;

static const kref_t nothing;

/* boot (v1) has had its bootstrap message and not answered it. */
static void set_up(void)
{
    rig_launch_t options = {.services = "vatAdmin", .bundle = "worker"};
    calls = buf_of(CRANK_BYTES_MAX);
    rig = rig_new();
    rig_host(rig, 1);
    rig_host(rig, 2);
    cr_assert_eq(rig_launch(rig, "boot", &options)->tag, TAG_launched);
    const msg_deliver_message_t *message = &rig_delivery(rig, 1)->body.deliver_message;
    cr_assert(rig_body_is(&message->methargs,
                          "#[\"bootstrap\",[{\"boot\":\"$0.Alleged: vatRoot\","
                          "\"vatAdmin\":\"$1.Alleged: vatAdminRoot\"},{\"vatAdmin\":\"$1\"}]]"));
    admin_root = message->methargs.slots.at[1];
}

static void tear_down(void)
{
    buf_clear(&calls);
    rig_destroy(&rig);
}

TestSuite(admin, .init = set_up, .fini = tear_down);

/* Calls TARGET from outside; the promise of its answer. */
static kref_t send(kref_t target, const char *body, const kref_t *slots, size_t count)
{
    msg_call_t call = {rig_id(rig), target, rig_data(body, slots, count), 0};
    const msg_t *reply = rig_ask(rig, TAG_call, &call);
    cr_assert_eq(reply->tag, TAG_sent, "%s", body);
    return reply->body.sent.result;
}

/* What PROMISE became; NULL: nothing yet. */
static const msg_settled_t *settled(kref_t promise)
{
    msg_await_t await = {rig_id(rig), promise};
    const msg_t *reply = rig_ask(rig, TAG_await, &await);
    return reply ? &reply->body.settled : NULL;
}

static const msg_settled_t *ask(kref_t target, const char *body, const kref_t *slots, size_t count)
{
    const msg_settled_t *answer = settled(send(target, body, slots, count));
    cr_assert_not_null(answer, "%s", body);
    return answer;
}

static void expect_error(kref_t target, const char *body, const char *text)
{
    const msg_settled_t *answer = ask(target, body, NULL, 0);
    char *expect = NULL;
    cr_assert(asprintf(&expect, "#{\"#error\":\"%s\",\"name\":\"Error\"}", text) > 0);
    cr_expect(answer->rejected && rig_body_is(&answer->value, expect), "%s: %.*s", body,
              (int)answer->value.body.len, (const char *)answer->value.body.at);
    free(expect);
}

static kref_t slot(const msg_settled_t *answer, size_t i)
{
    cr_assert(!answer->rejected && answer->value.slots.count > i);
    return answer->value.slots.at[i];
}

static kref_t service(void)
{
    return slot(ask(admin_root, "#[\"createVatAdminService\",[null]]", NULL, 0), 0);
}

/* A vat is made, its start answered: its number. */
static kref_t made(uint32_t vat, const char *options)
{
    char body[512];
    snprintf(body, sizeof body, "#[\"createVat\",[\"worker\"%s]]", options);
    kref_t promise = send(service(), body, NULL, 0);
    cr_assert_null(settled(promise), "not before it runs");
    cr_assert_eq(rig_delivery(rig, vat)->tag, TAG_deliver_start);
    rig_empty(rig, vat);
    const msg_t *late = rig_reply(rig, 1);
    cr_assert_not_null(late);
    cr_assert(rig_body_is(&late->body.settled.value, "#{\"adminNode\":\"$0.Alleged: adminNode\","
                                                     "\"root\":\"$1.Alleged: vatRoot\"}"));
    cr_assert(kref_same(slot(&late->body.settled, 1), root(vat)));
    return slot(&late->body.settled, 0);
}

Test(admin, the_service_is_one_and_the_same)
{
    cr_expect(kref_same(service(), service()));
    const msg_settled_t *names = ask(service(), "#[\"__getMethodNames__\",[]]", NULL, 0);
    cr_expect(rig_body_is(
        &names->value,
        "#[\"__getMethodNames__\",\"createMeter\",\"createUnlimitedMeter\",\"createVat\","
        "\"createVatByName\",\"getBundleCap\",\"getBundleIDByName\",\"getNamedBundleCap\","
        "\"waitForBundleCap\"]"));
    expect_error(service(), "#[\"nope\",[]]",
                 "target has no method \\\"nope\\\", has "
                 "[\\\"__getMethodNames__\\\",\\\"createMeter\\\",\\\"createUnlimitedMeter\\\","
                 "\\\"createVat\\\","
                 "\\\"createVatByName\\\",\\\"getBundleCap\\\",\\\"getBundleIDByName\\\","
                 "\\\"getNamedBundleCap\\\",\\\"waitForBundleCap\\\"]");
}

Test(admin, bundles_are_named_by_name_or_hash)
{
    kref_t cap = slot(ask(service(), "#[\"getNamedBundleCap\",[\"worker\"]]", NULL, 0), 0);
    cr_expect(rig_body_is(&ask(cap, "#[\"getBundleID\",[]]", NULL, 0)->value, "#\"b1-worker\""));
    cap = slot(ask(service(), "#[\"getBundleCap\",[\"b1-abc123\"]]", NULL, 0), 0);
    cr_expect(rig_body_is(&ask(cap, "#[\"getBundleID\",[]]", NULL, 0)->value, "#\"b1-abc123\""));
    cr_expect(rig_body_is(&ask(service(), "#[\"getBundleIDByName\",[\"worker\"]]", NULL, 0)->value,
                          "#\"b1-worker\""));
    expect_error(service(), "#[\"getBundleCap\",[\"/etc/passwd\"]]",
                 "bundleID not yet installed: /etc/passwd");
    expect_error(service(), "#[\"getNamedBundleCap\",[\"moon\"]]",
                 "bundle name \\\"moon\\\" is not known");
}

Test(admin, a_vat_is_made_with_what_it_is_given)
{
    kref_t gift = root(1);
    kref_t cap = slot(ask(service(), "#[\"getNamedBundleCap\",[\"worker\"]]", NULL, 0), 0);
    kref_t slots[] = {cap, gift};
    kref_t promise = send(service(),
                          "#[\"createVat\",[\"$0.Alleged: bundlecap\",{\"name\":\"w\","
                          "\"vatParameters\":{\"n\":\"+5\",\"who\":\"$1.Alleged: vatRoot\"}}]]",
                          slots, 2);
    const msg_t *start = rig_delivery(rig, 2);
    cr_assert_eq(start->tag, TAG_deliver_start);
    cr_assert(rig_body_is(&start->body.deliver_start.parameters,
                          "#{\"n\":\"+5\",\"who\":\"$0.Alleged: vatRoot\"}"));
    cr_assert(kref_same(start->body.deliver_start.parameters.slots.at[0], gift));
    rig_restart(rig, true); /* whoever waits, waits on */
    rig_empty(rig, 2);
    cr_assert_not_null(settled(promise));
    char *list = rig_list(rig, 0, nothing);
    cr_expect(strstr(list, "name: \"w\"") && strstr(list, "bundle: \"b1-worker\""), "%s", list);
    free(list);
}

Test(admin, vats_stand_where_there_is_room)
{
    made(2, "");
    made(3, "");
    char *hosts = rig_list(rig, 2, nothing);
    cr_expect(strstr(hosts, "vats: 2") && strstr(hosts, "vats: 1"), "%s", hosts);
    free(hosts);
}

Test(admin, options_are_checked)
{
    struct {
        const char *options, *text;
    } bad[] = {
        {"{\"nope\":1,\"odd\":2}", "CreateVatOptions: unknown options \\\"nope,odd\\\""},
        {"{\"name\":5}", "CreateVatOptions(name)"},
        {"{\"name\":\"a b\"}", "CreateVatOptions: bad vat name \\\"a b\\\""},
        {"{\"managerType\":\"moon\"}", "CreateVatOptions: bad managerType moon"},
        {"{\"enablePipelining\":\"yes\"}", "CreateVatOptions(enablePipelining)"},
        {"{\"critical\":true}", "invalid criticalVatKey"},
        {"{\"reapInterval\":0}", "invalid reapInterval value"},
        {"{\"globals\":[\"Date\",\"Moon\"]}",
         "Vat Creation Error: Vat \\\"v2\\\" requested unknown global \\\"Moon\\\""},
        {"{\"globals\":[\"fetch\"]}",
         "Vat Creation Error: Vat \\\"v2\\\" requested \\\"fetch\\\" but no "
         "network.allowedHosts was specified"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "#[\"createVat\",[\"worker\",%s]]", bad[i].options);
        expect_error(service(), body, bad[i].text);
    }
    expect_error(service(), "#[\"createVat\",[[]]]",
                 "Vat Creation Error: createVat() requires a bundlecap");
    expect_error(service(), "#[\"createVatByName\",[5]]",
                 "createVatByName() requires bundleName to be a string");
    cr_expect_null(rig_delivery(rig, 2), "nothing was made");
}

Test(admin, a_vat_whose_start_fails_is_no_vat)
{
    kref_t promise = send(service(), "#[\"createVat\",[\"worker\"]]", NULL, 0);
    rig_fail(rig, 2, ERR_BUILD_ROOT_THREW, "Error: not today");
    const msg_settled_t *answer = settled(promise);
    cr_assert(answer->rejected);
    cr_expect(rig_body_is(&answer->value, "#{\"#error\":\"Vat Creation Error: Error: not today\","
                                          "\"name\":\"Error\"}"));
    char *list = rig_list(rig, 0, nothing);
    cr_expect_null(strstr(list, "v2"), "%s", list);
    free(list);
}

Test(admin, done_tells_how_a_vat_ended)
{
    kref_t node = made(2, ""), other = made(3, "");
    kref_t done = send(node, "#[\"done\",[]]", NULL, 0),
           twice = send(node, "#[\"done\",[]]", NULL, 0);
    kref_t failing = send(other, "#[\"done\",[]]", NULL, 0);
    send(root(2), "#[\"bye\",[]]", NULL, 0);
    call_exit(&calls, false, "#\"so long\"");
    rig_result(rig, 2, &calls);
    cr_expect(rig_body_is(&settled(done)->value, "#\"so long\""));
    cr_expect(!settled(twice)->rejected);
    send(root(3), "#[\"bye\",[]]", NULL, 0);
    rig_fail(rig, 3, ERR_VAT_LIMIT_COMPUTE, "Compute meter exceeded (limit 5 computrons)");
    const msg_settled_t *answer = settled(failing);
    cr_expect(answer->rejected);
    cr_expect(rig_body_is(
        &answer->value, "#{\"#error\":\"[KERNEL:VAT_FATAL:INTERNAL_ERROR] Compute meter exceeded\","
                        "\"name\":\"Error\"}"));
    cr_expect(rig_body_is(&ask(node, "#[\"done\",[]]", NULL, 0)->value, "#\"so long\""),
              "at any time");
    rig_restart(rig, true);
    cr_expect(ask(other, "#[\"done\",[]]", NULL, 0)->rejected);
    expect_error(node, "#[\"terminateWithFailure\",[1]]",
                 "vatAdminService rejecting attempt to perform \\\"terminateWithFailure\\\"() on "
                 "non-running "
                 "vat \\\"v2\\\"");
}

Test(admin, terminate_with_failure_gives_its_reason)
{
    kref_t node = made(2, ""), gift = root(1);
    kref_t done = send(node, "#[\"done\",[]]", NULL, 0);
    send(root(2), "#[\"never\",[]]", NULL, 0);
    cr_expect(
        !ask(node, "#[\"terminateWithFailure\",[{\"why\":\"$0.Alleged: vatRoot\"}]]", &gift, 1)
             ->rejected);
    const msg_settled_t *answer = settled(done);
    cr_assert(answer->rejected && answer->value.slots.count == 1);
    cr_expect(kref_same(answer->value.slots.at[0], gift));
    cr_expect_eq(rig_host_frames(rig, TAG_vat_end), 1);
}

/* The worker steps over the row, so that the vat has no name for what stands in it. */
Test(admin, parameters_of_a_failed_upgrade_are_not_given)
{
    kref_t node = made(2, ""), gift = root(1);
    kref_t cap = slot(ask(service(), "#[\"getBundleCap\",[\"b1-next\"]]", NULL, 0), 0);
    kref_t slots[] = {cap, gift};
    size_t held = rig_rows(rig, ROW_held);
    static const char body[] = "#[\"upgrade\",[\"$0.Alleged: bundlecap\","
                               "{\"vatParameters\":\"$1.Alleged: vatRoot\"}]]";
    kref_t promise = send(node, body, slots, 2);
    rig_fail(rig, 2, ERR_BUNDLE_BROKEN, "no code");
    cr_expect(settled(promise)->rejected);
    cr_expect_eq(rig_rows(rig, ROW_held), held);
    rig_restart(rig, true);
    promise = send(node, body, slots, 2);
    rig_empty(rig, 2);
    cr_expect(!settled(promise)->rejected);
    cr_expect_eq(rig_rows(rig, ROW_held), held + 1, "now it is");
}

/* The crank counts for nothing, but for what done() tells. */
Test(admin, a_failed_exit_may_name_what_is_new)
{
    kref_t node = made(2, ""), sent = kref_object((vat_t){2}, 1);
    kref_t info[] = {kref_object((vat_t){2}, 2), kref_promise((vat_t){2}, 1), sent};
    kref_t done = send(node, "#[\"done\",[]]", NULL, 0);
    send(root(2), "#[\"bye\",[]]", NULL, 0);
    call_send(&calls, root(2), "#[\"x\",[\"$0.Alleged: a\"]]", &sent, 1, nothing);
    call_exit_with(&calls, true, "#[\"$0.Alleged: b\",\"&1\",\"$2.Alleged: a\"]", info, 3);
    rig_result(rig, 2, &calls);
    const msg_settled_t *answer = settled(done);
    cr_assert(answer->rejected && answer->value.slots.count == 3);
    cr_expect(kref_same(answer->value.slots.at[0], info[0]));
    cr_expect(settled(info[1])->rejected, "its decider is gone");
    cr_expect(ask(sent, "#[\"y\",[]]", NULL, 0)->rejected, "and so is its owner");
    rig_restart(rig, true);
}

/* The node holds the reason, which holds the node. */
Test(admin, a_reason_that_names_its_own_node_goes_with_it)
{
    size_t before = rig_rows(rig, ROW_service);
    kref_t node = made(2, ""), other = made(3, ""), both[] = {node, other};
    ask(node, "#[\"terminateWithFailure\",[[\"$0.Alleged: adminNode\",\"$1.Alleged: adminNode\"]]]",
        both, 2);
    ask(other, "#[\"terminateWithFailure\",[\"$0.Alleged: adminNode\"]]", &node, 1);
    cr_expect(rig_rows(rig, ROW_service) > before + 1);
    cr_expect(ask(node, "#[\"done\",[]]", NULL, 0)->rejected, "held by the client, it answers");
    msg_release_t release = {rig_id(rig), {0}};
    cr_assert_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);
    cr_expect_eq(rig_rows(rig, ROW_service), before);
}

Test(admin, only_the_key_makes_a_critical_vat)
{
    kref_t key = slot(ask(admin_root, "#[\"getCriticalVatKey\",[]]", NULL, 0), 0);
    kref_t promise = send(
        service(), "#[\"createVat\",[\"worker\",{\"critical\":\"$0.Alleged: key\"}]]", &key, 1);
    rig_empty(rig, 2);
    kref_t node = slot(settled(promise), 0);
    ask(node, "#[\"terminateWithFailure\",[\"x\"]]", NULL, 0);
    char *list = rig_list(rig, 1, nothing);
    cr_expect_str_eq(list, "", "the cluster went with it: %s", list);
    free(list);
}

Test(admin, who_waits_when_the_cluster_goes_is_told)
{
    kref_t node = made(2, "");
    kref_t done = send(node, "#[\"done\",[]]", NULL, 0);
    kref_t making = send(service(), "#[\"createVat\",[\"worker\"]]", NULL, 0);
    msg_await_t awaits[] = {{rig_id(rig), done}, {rig_id(rig), making}};
    for (size_t i = 0; i < 2; i++) cr_assert_null(rig_ask(rig, TAG_await, &awaits[i]));
    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    const msg_t *first = rig_ask(rig, TAG_cluster_rm, &rm), *second = rig_reply(rig, 1);
    cr_assert(first->tag == TAG_settled && first->body.settled.rejected);
    cr_assert(second->tag == TAG_settled && second->body.settled.rejected);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
    cr_expect_eq(rig_rows(rig, ROW_config), 0);
}

Test(admin, what_nobody_holds_goes)
{
    size_t before = rig_rows(rig, ROW_service);
    ask(service(), "#[\"getNamedBundleCap\",[\"worker\"]]", NULL, 0);
    msg_release_t release = {rig_id(rig), {0}};
    cr_assert_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);
    cr_expect_eq(rig_rows(rig, ROW_service), before);
}

/* A body of nearly all that is allowed, in which the slot that is mentioned most is the last one of the
 * first argument: cut out, its number takes three digits instead of one. */
static char *growing(const char *begin, const char *end, kref_t *slots, size_t count)
{
    char *body = malloc(CAPDATA_BYTES_MAX + 1), *at = body + sprintf(body, "%s[", begin);
    cr_assert_not_null(body);
    for (size_t i = count; i-- > 0; slots[i] = root(1)) at += sprintf(at, "\"$%zu\",", i);
    while (at - body < CAPDATA_BYTES_MAX - 64) at += sprintf(at, "\"$0\",");
    sprintf(at - 1, "]%s", end);
    return body;
}

Test(admin, a_reason_that_grows_when_it_is_cut_out_is_refused)
{
    kref_t node = made(2, ""), slots[1000];
    char *body = growing("#[\"terminateWithFailure\",[", "]]", slots, 1000);
    kref_t done = send(node, "#[\"done\",[]]", NULL, 0);
    const msg_settled_t *answer = ask(node, body, slots, 1000);
    cr_expect(answer->rejected);
    cr_expect(rig_body_is(&answer->value,
                          "#{\"#error\":\"the reason is larger than a message can be\","
                          "\"name\":\"Error\"}"));
    cr_expect_null(settled(done), "it runs");
    free(body);
}

/* What the cluster's file gives to none of its vats, none of them can give to another. */
Test(admin, a_vat_reaches_no_host_that_its_cluster_was_not_given)
{
    rig_launch_t options = {
        .services = "vatAdmin", .globals = "fetch", .hosts = "a.example b.example"};
    cr_assert_eq(rig_launch(rig, "other", &options)->tag, TAG_launched);
    kref_t other = rig_delivery(rig, 2)->body.deliver_message.methargs.slots.at[1];
    kref_t theirs = slot(ask(other, "#[\"createVatAdminService\",[null]]", NULL, 0), 0);
    const char *wish = "#[\"createVat\",[\"b1-x\",{\"globals\":[\"fetch\"],"
                       "\"network\":{\"allowedHosts\":[\"b.example\"]}}]]";
    expect_error(service(), wish,
                 "Vat Creation Error: Vat \\\"v3\\\" requested host \\\"b.example\\\", "
                 "which its cluster was not given");
    cr_expect_null(settled(send(theirs, wish, NULL, 0)), "it starts");
    cr_expect_eq(rig_delivery(rig, 3)->tag, TAG_deliver_start);
    expect_error(theirs,
                 "#[\"createVat\",[\"b1-x\",{\"globals\":[\"fetch\"],"
                 "\"network\":{\"allowedHosts\":[\"a.example\",\"c.example\"]}}]]",
                 "Vat Creation Error: Vat \\\"v4\\\" requested host \\\"c.example\\\", "
                 "which its cluster was not given");
}

Test(admin, a_vat_without_code_is_not_made)
{
    kref_t promise = send(service(), "#[\"createVat\",[\"b1-nowhere\"]]", NULL, 0);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_start);
    msg_lost_t lost = {.vat = {2},
                       .inc = 1,
                       .pgen = 1,
                       .run = 1,
                       .d = 1,
                       .error = ERR_BUNDLE_UNKNOWN,
                       .reason = text_of("it is nowhere")};
    rig_from_host(rig, 2, TAG_lost, &lost);
    const msg_settled_t *answer = settled(promise);
    cr_assert(answer && answer->rejected);
    cr_expect(rig_body_is(&answer->value, "#{\"#error\":\"Vat Creation Error: it is nowhere\","
                                          "\"name\":\"Error\"}"));
}

/* Whether somebody waits for it or not. */
Test(admin, a_creation_that_failed_leaves_no_row)
{
    size_t before = rig_rows(rig, ROW_vat);
    for (uint8_t silent = 0; silent < 2; silent++) {
        capdata_t create = rig_data("#[\"createVat\",[\"worker\"]]", NULL, 0);
        msg_call_t call = {rig_id(rig), service(), create, silent};
        cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
        rig_fail(rig, 2u + silent, ERR_VAT_FAILED, "no");
        cr_expect_eq(rig_rows(rig, ROW_vat), before, "%d", silent);
    }
}
