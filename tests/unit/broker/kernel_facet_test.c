/* kernelFacet: a system cluster asks about clusters and vats, launches and ends them.
 *
 * Method: clients call the facet as a vat would; the vats are raw. Stories about launching are told
 * twice, the second time with a kernel that is loaded from its rows before every move. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/kernel_rig.h"

static rig_t *rig;
static kref_t facet;
static buf_t calls;
static bool restarts;

static const kref_t nothing;

/* System cluster s1, "c0": boot (v1) has had its bootstrap message and answered. */
static void begin(bool with_restarts)
{
    rig_launch_t options = {
        .services = "kernelFacet", .bundle = "worker", .system = true, .ocap = true};
    calls = buf_of(CRANK_BYTES_MAX);
    restarts = with_restarts;
    rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "boot", &options)->tag, TAG_launched);
    const msg_deliver_message_t *message = &rig_delivery(rig, 1)->body.deliver_message;
    cr_assert(rig_body_is(&message->methargs, "#[\"bootstrap\",[{\"boot\":\"$0.Alleged: vatRoot\"},"
                                              "{\"kernelFacet\":\"$1.Alleged: kernelFacet\"}]]"));
    facet = message->methargs.slots.at[1];
    rig_empty(rig, 1);
}

static void end(void)
{
    buf_clear(&calls);
    rig_destroy(&rig);
}

static void set_up(void) { begin(false); }

TestSuite(facet, .init = set_up, .fini = end);

#define TWICE(story)   \
    Test(facet, story) \
    {                  \
        story();       \
        end();         \
        begin(true);   \
        story();       \
    }

/* ---- calls ---- */

static kref_t send(const char *body, const kref_t *slots, size_t count)
{
    if (restarts) rig_restart(rig, false);
    msg_call_t call = {rig_id(rig), facet, rig_data(body, slots, count), 0};
    const msg_t *reply = rig_ask(rig, TAG_call, &call);
    cr_assert_eq(reply->tag, TAG_sent, "%s", body);
    return reply->body.sent.result;
}

/* What PROMISE became; NULL: nothing yet. */
static const msg_settled_t *settled(kref_t promise)
{
    msg_await_t await = {rig_id(rig), promise};
    const msg_t *reply;
    while ((reply = rig_reply(rig, 1))) /* asked for before */
        if (reply->tag == TAG_settled && kref_same(reply->body.settled.promise, promise))
            return &reply->body.settled;
    reply = rig_ask(rig, TAG_await, &await);
    return reply ? &reply->body.settled : NULL;
}

static const msg_settled_t *expect(const msg_settled_t *answer, bool rejected, const char *body)
{
    cr_assert_not_null(answer, "%s", body);
    cr_expect(answer->rejected == rejected && rig_body_is(&answer->value, body),
              "%.*s\nshould be\n%s", (int)answer->value.body.len,
              (const char *)answer->value.body.at, body);
    return answer;
}

static const msg_settled_t *expect_answer(const char *call, const char *body)
{
    return expect(settled(send(call, NULL, 0)), false, body);
}

static void expect_failed(const msg_settled_t *answer, const char *text)
{
    char *body = NULL;
    cr_assert(asprintf(&body, "#{\"#error\":\"%s\",\"name\":\"Error\"}", text) > 0);
    expect(answer, true, body);
    free(body);
}

static void expect_error(const char *call, const char *text)
{
    expect_failed(settled(send(call, NULL, 0)), text);
}

static void next(uint32_t vat, buf_t *with)
{
    cr_assert_not_null(rig_delivery(rig, vat), "v%u", vat);
    if (restarts) rig_restart(rig, false);
    rig_result(rig, vat, with);
}

/* ---- what is there ---- */

#define S1_CONFIG                                                                      \
    "{\"bootstrap\":\"boot\",\"bundles\":{\"worker\":{\"bundleHash\":\"b1-worker\"}}," \
    "\"services\":[\"kernelFacet\"],\"vats\":{\"boot\":{\"bundleHash\":\"b1-00\"}}}"
#define S1 "{\"config\":" S1_CONFIG ",\"id\":\"s1\",\"vats\":{\"boot\":\"v1\"}}"
#define V1 "{\"config\":{\"bundleHash\":\"b1-00\"},\"id\":\"v1\",\"subclusterId\":\"s1\"}"

Test(facet, what_is_there)
{
    expect_answer("#[\"ping\",[]]", "#\"pong\"");
    expect_answer("#[\"getSubclusters\",[]]", "#[" S1 "]");
    expect_answer("#[\"getSubcluster\",[\"s1\"]]", "#" S1);
    expect_answer("#[\"getSubcluster\",[\"s2\"]]", "#\"#undefined\"");
    expect_answer("#[\"getSubcluster\",[1]]", "#\"#undefined\"");
    expect_answer("#[\"getStatus\",[]]", "#{\"remoteComms\":{\"state\":\"disconnected\"},"
                                         "\"subclusters\":[" S1 "],\"vats\":[" V1 "]}");
    expect_answer("#[\"getSystemSubclusterRoot\",[\"c0\"]]", "#\"ko1.0\"");
    expect_error("#[\"getSystemSubclusterRoot\",[\"c1\"]]",
                 "System subcluster \\\"c1\\\" not found");
    expect_answer("#[\"__getMethodNames__\",[]]",
                  "#[\"__getMethodNames__\",\"getPresence\",\"getStatus\",\"getSubcluster\","
                  "\"getSubclusters\",\"getSystemSubclusterRoot\",\"launchSubcluster\",\"ping\","
                  "\"pingVat\",\"queueMessage\",\"reset\",\"terminateSubcluster\"]");
    /* One that is no system cluster is listed, but has no root to be had by name. */
    msg_launch_channel_t channel = {.name = text_of("log"),
                                    .type = text_of("file"),
                                    .place = text_of("/tmp/x"),
                                    .direction = 2,
                                    .unit = 1};
    rig_launch_t options = {.globals = "Date", .hosts = "a.example", .channel = &channel};
    cr_assert_eq(rig_launch(rig, "alice", &options)->tag, TAG_launched);
    expect_answer("#[\"getSubcluster\",[\"s2\"]]",
                  "#{\"config\":{\"bootstrap\":\"alice\",\"io\":{\"log\":{\"direction\":\"out\","
                  "\"path\":\"/tmp/x\",\"type\":\"file\",\"unit\":\"string\"}},\"vats\":{\"alice\":"
                  "{\"bundleHash\":\"b1-00\",\"globals\":[\"Date\"],\"network\":{\"allowedHosts\":["
                  "\"a.example\"]}}}},\"id\":\"s2\",\"vats\":{\"alice\":\"v2\"}}");
    /* A vat that ended is not there. */
    rig_ask(rig, TAG_kill, &(msg_kill_t){rig_id(rig), {2}, text_of("away")});
    expect_answer("#[\"getStatus\",[]]",
                  "#{\"remoteComms\":{\"state\":\"disconnected\"},\"subclusters\":[" S1
                  ",{\"config\":{\"bootstrap\":\"alice\",\"io\":{\"log\":{\"direction\":\"out\","
                  "\"path\":\"/tmp/x\",\"type\":\"file\",\"unit\":\"string\"}},\"vats\":{\"alice\":"
                  "{\"bundleHash\":\"b1-00\",\"globals\":[\"Date\"],\"network\":{\"allowedHosts\":["
                  "\"a.example\"]}}}},\"id\":\"s2\",\"vats\":{}}],\"vats\":[" V1 "]}");
}

/* ---- krefs ---- */

Test(facet, presences)
{
    const msg_settled_t *answer =
        expect_answer("#[\"getPresence\",[\"ko1.0\",\"vatRoot\"]]", "#\"$0.Alleged: vatRoot\"");
    cr_expect_eq(answer->value.slots.at[0].n, root(1).n);
    expect_answer("#[\"getPresence\",[\"ko1.0\"]]", "#\"$0.Alleged: Kernel Object\"");
    expect_answer("#[\"getPresence\",[\"ko1.0\",\"Alleged: x \\\"y\\\"\"]]",
                  "#\"$0.Alleged: x \\\"y\\\"\"");
    expect_error("#[\"getPresence\",[\"ko7.0\"]]", "[KERNEL:OBJECT_DELETED] there is no ko7.0");
    expect_error("#[\"getPresence\",[\"vat\"]]", "not a valid KRef: \\\"vat\\\"");
    expect_error("#[\"getPresence\",[]]", "not a valid KRef: \\\"\\\"");
    kref_t promise = send("#[\"pingVat\",[\"v1\"]]", NULL, 0);
    char call[100], text[KREF_TEXT_MAX];
    snprintf(call, sizeof call, "#[\"getPresence\",[\"%s\"]]", kref_text(promise, text));
    expect_error(call, "a promise has no presence");
}

Test(facet, messages_from_here_are_answered_there)
{
    kref_t slots[] = {facet, root(1)};
    kref_t promise =
        send("#[\"queueMessage\",[\"ko1.0\",\"foo\",[\"$1\",{\"a\":\"$1\"},7]]]", slots, 2);
    const msg_deliver_message_t *foo = &rig_delivery(rig, 1)->body.deliver_message;
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_message);
    cr_expect_eq(foo->target.n, root(1).n);
    cr_expect_eq(foo->result.n, promise.n);
    cr_expect(rig_body_is(&foo->methargs, "#[\"foo\",[\"$0\",{\"a\":\"$0\"},7]]"));
    cr_expect_eq(foo->methargs.slots.count, 1);
    cr_assert_null(settled(promise));
    call_resolve(&calls, foo->result, false, "#\"bar\"", NULL, 0);
    rig_result(rig, 1, &calls);
    expect(settled(promise), false, "#\"bar\"");
    expect_error("#[\"queueMessage\",[\"ko7.0\",\"foo\",[]]]",
                 "[KERNEL:OBJECT_DELETED] there is no ko7.0");
    static const char *const bad[] = {"#[\"queueMessage\",[\"ko1.0\"]]",
                                      "#[\"queueMessage\",[\"ko1.0\",7,[]]]",
                                      "#[\"queueMessage\",[\"ko1.0\",\"foo\",{}]]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_error(bad[i],
                     "queueMessage(target, method, args): a kref, a method's name and an array");
}

static void pings(void)
{
    expect_error("#[\"pingVat\",[\"v7\"]]", "Vat does not exist.");
    expect_error("#[\"pingVat\",[]]", "Vat does not exist.");
    kref_t promise = send("#[\"pingVat\",[\"v1\"]]", NULL, 0);
    const msg_deliver_message_t *ping = &rig_delivery(rig, 1)->body.deliver_message;
    cr_expect(rig_body_is(&ping->methargs, "#[\"__getMethodNames__\",[]]"));
    call_resolve(&calls, ping->result, false, "#[\"x\"]", NULL, 0);
    next(1, &calls);
    expect(settled(promise), false, "#\"pong\"");
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);

    cr_assert_eq(rig_launch(rig, "alice", NULL)->tag, TAG_launched);
    rig_empty(rig, 2);
    promise = send("#[\"pingVat\",[\"v2\"]]", NULL, 0);
    rig_ask(rig, TAG_kill, &(msg_kill_t){rig_id(rig), {2}, text_of("away")});
    expect_failed(settled(promise), "[KERNEL:VAT_TERMINATED] vat terminated");
    expect_error("#[\"pingVat\",[\"v2\"]]", "Vat does not exist.");
}
TWICE(pings)

/* ---- launch ---- */

#define LAUNCH(vats) "#[\"launchSubcluster\",[{\"bootstrap\":\"alice\",\"vats\":{" vats "}}]]"
#define ALICE        "\"alice\":{\"bundleName\":\"worker\"}"

static void a_subcluster_is_launched(void)
{
    kref_t promise = send(
        "#[\"launchSubcluster\",[{\"bootstrap\":\"bob\",\"services\":[\"timer\",\"log\",\"timer\"],"
        "\"io\":{\"log\":{\"type\":\"file\",\"path\":\"/tmp/log\",\"direction\":\"out\"}},"
        "\"bundles\":{\"mine\":{\"bundleName\":\"worker\"}},\"vats\":{\"alice\":{\"bundleName\":"
        "\"mine\",\"parameters\":{\"a\":[1,\"x\"]}},\"bob\":{\"bundleHash\":\"b1-bob\","
        "\"globals\":[\"Date\"],\"creationOptions\":{}}}}]]",
        NULL, 0);
    cr_assert_null(settled(promise));
    const msg_t *start = rig_delivery(rig, 2);
    cr_assert_eq(start->tag, TAG_deliver_start);
    cr_expect(rig_body_is(&start->body.deliver_start.parameters, "#{\"a\":[1,\"x\"]}"));
    next(2, NULL);
    next(3, NULL);
    const msg_deliver_message_t *boot = &rig_delivery(rig, 3)->body.deliver_message;
    cr_expect(
        rig_body_is(&boot->methargs,
                    "#[\"bootstrap\",[{\"alice\":\"$0.Alleged: vatRoot\",\"bob\":\"$1.Alleged: "
                    "vatRoot\"},{\"log\":\"$3.Alleged: ioChannel\",\"timer\":\"$2.Alleged: "
                    "timerService\"}]]"),
        "%.*s", (int)boot->methargs.body.len, boot->methargs.body.at);
    kref_t alice = root(2);
    call_resolve(&calls, boot->result, false, "#{\"it\":\"$0.Alleged: it\"}", &alice, 1);
    next(3, &calls);
    expect(settled(promise), false,
           "#{\"bootstrapResult\":{\"body\":\"!#{\\\"it\\\":\\\"$0.Alleged: it\\\"}\",\"slots\":["
           "\"ko2.0\"]},\"rootKref\":\"ko3.0\",\"subclusterId\":\"s2\"}");
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
    expect_answer(
        "#[\"getSubcluster\",[\"s2\"]]",
        "#{\"config\":{\"bootstrap\":\"bob\",\"bundles\":{\"mine\":{\"bundleHash\":"
        "\"b1-worker\"}},\"io\":{\"log\":{\"direction\":\"out\",\"path\":\"/tmp/log\","
        "\"type\":\"file\",\"unit\":\"line\"}},\"services\":[\"timer\"],\"vats\":{\"alice\":"
        "{\"bundleHash\":\"b1-worker\",\"parameters\":{\"a\":[1,\"x\"]}},\"bob\":{"
        "\"bundleHash\":\"b1-bob\",\"globals\":[\"Date\"]}}},\"id\":\"s2\",\"vats\":{"
        "\"alice\":\"v2\",\"bob\":\"v3\"}}");

    expect_answer("#[\"terminateSubcluster\",[\"s2\"]]", "#\"#undefined\"");
    expect_answer("#[\"getSubclusters\",[]]", "#[" S1 "]");
    cr_expect(restarts || rig_host_frames(rig, TAG_vat_end) == 2);
    expect_error("#[\"terminateSubcluster\",[\"s2\"]]", "Subcluster does not exist.");
    expect_error("#[\"terminateSubcluster\",[]]", "Subcluster does not exist.");
}
TWICE(a_subcluster_is_launched)

static kref_t launch_alice(void)
{
    kref_t promise = send(LAUNCH(ALICE), NULL, 0);
    cr_assert_null(settled(promise));
    return promise;
}

static void a_vat_that_does_not_start(void)
{
    kref_t promise = launch_alice();
    if (restarts) rig_restart(rig, false);
    rig_fail(rig, 2, ERR_VAT_FAILED, "oops");
    expect_failed(settled(promise), "Failed to launch vat v2 (alice): oops");
    expect_answer("#[\"getSubclusters\",[]]", "#[" S1 "]");
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}
TWICE(a_vat_that_does_not_start)

/* HOW it answers bootstrap(), and what becomes of it. */
static void bootstrap_answers(uint32_t vat, bool rejected, const char *body, bool fails)
{
    kref_t promise = launch_alice();
    next(vat, NULL);
    call_resolve(&calls, rig_delivery(rig, vat)->body.deliver_message.result, rejected, body, NULL,
                 0);
    next(vat, &calls);
    const msg_settled_t *answer = settled(promise);
    cr_assert_not_null(answer);
    cr_expect_eq(answer->rejected, fails);
    if (fails) expect(answer, true, body);
    if (fails) expect_answer("#[\"getSubclusters\",[]]", "#[" S1 "]");
    cr_expect_eq(rig_rows(rig, ROW_cluster), fails ? 1 : 2);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}

static void a_bootstrap_that_fails(void)
{
    bootstrap_answers(2, true, "#\"no\"", true);
    bootstrap_answers(3, false, "#{\"#error\":\"no\",\"name\":\"TypeError\"}", true);
    bootstrap_answers(4, false, "#[{\"#error\":\"no\",\"name\":\"TypeError\"}]", false);
}
TWICE(a_bootstrap_that_fails)

/* The vat dies with the question, or the whole cluster is removed. */
Test(facet, ends_while_it_bootstraps)
{
    kref_t promise = send(LAUNCH(ALICE), NULL, 0);
    rig_empty(rig, 2);
    rig_ask(rig, TAG_kill, &(msg_kill_t){rig_id(rig), {2}, text_of("away")});
    expect_failed(settled(promise), "[KERNEL:VAT_TERMINATED] vat terminated");
    cr_expect_eq(rig_rows(rig, ROW_cluster), 1);

    promise = send(LAUNCH(ALICE), NULL, 0);
    rig_empty(rig, 3);
    expect_answer("#[\"terminateSubcluster\",[\"s3\"]]", "#\"#undefined\"");
    expect_failed(settled(promise), "[KERNEL:VAT_TERMINATED] vat terminated");

    promise = send(LAUNCH(ALICE), NULL, 0);
    expect_answer("#[\"terminateSubcluster\",[\"s4\"]]", "#\"#undefined\"");
    expect_failed(settled(promise), "the cluster was removed while it started");
    cr_expect_eq(rig_rows(rig, ROW_cluster), 1);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}

/* Nobody waits for the answer. */
Test(facet, a_launch_without_a_result)
{
    msg_call_t call = {rig_id(rig), facet, rig_data(LAUNCH(ALICE), NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    cr_expect_eq(rig_rows(rig, ROW_cluster), 2);
    rig_empty(rig, 2);
    call_resolve(&calls, rig_delivery(rig, 2)->body.deliver_message.result, false, "#1", NULL, 0);
    rig_result(rig, 2, &calls);
    cr_expect_eq(rig_rows(rig, ROW_cluster), 2);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}

static const struct {
    const char *config, *why;
} wrong[] = {
    {"1", "config: a record is wanted"},
    {"{\"bootstrap\":\"a\",\"vats\":{},\"more\":1}", "config: \\\"more\\\" is not known"},
    {"{\"vats\":{}}", "bootstrap: a text is wanted, of 1 to 255 bytes"},
    {"{\"bootstrap\":\"alice\"}", "vats: a record is wanted"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":7}}", "vats.alice: a record is wanted"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{}}}",
     "vats.alice: one of bundleName and bundleHash is wanted"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{\"bundleName\":\"nope\"}}}",
     "vats.alice: bundle name \\\"nope\\\" is not known"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{\"bundleHash\":\"nope\"}}}",
     "vats.alice: no hash of a bundle"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{\"bundleSpec\":\"file:///x\"}}}",
     "vats.alice: a vat names code by bundleName or bundleHash, not by where it lies"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{\"sourceSpec\":\"x.js\"}}}",
     "vats.alice: a vat names code by bundleName or bundleHash, not by where it lies"},
    {"{\"bootstrap\":\"alice\",\"vats\":{" ALICE ",\"b\":{\"bundleName\":\"worker\",\"parameters\":"
     "{\"a\":\"$0\"}}}}",
     "vats.b: parameters: plain data is wanted, without objects"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{\"bundleName\":\"worker\",\"parameters\":7}}}",
     "vats.alice: parameters: a record is wanted"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{\"bundleName\":\"worker\",\"globals\":7}}}",
     "vats.alice: an array is wanted"},
    {"{\"bootstrap\":\"alice\",\"vats\":{\"alice\":{\"bundleName\":\"worker\",\"globals\":[\"a "
     "b\"]}}}",
     "vats.alice: no word \\\"a b\\\""},
    {"{\"bootstrap\":\"alice\",\"bundles\":{\"x\":{\"bundleName\":\"nope\"}},\"vats\":{" ALICE "}}",
     "bundles.x: bundle name \\\"nope\\\" is not known"},
    {"{\"bootstrap\":\"alice\",\"io\":{\"x\":{\"type\":\"file\"}},\"vats\":{" ALICE "}}",
     "io.x: a text is wanted, of 1 to 4096 bytes"},
    {"{\"bootstrap\":\"alice\",\"io\":{\"x\":{\"type\":\"file\",\"path\":\"y\"}},\"vats\":{" ALICE
     "}}",
     "io.x: an absolute path is wanted"},
    {"{\"bootstrap\":\"alice\",\"io\":{\"x\":{\"type\":\"pipe\"}},\"vats\":{" ALICE "}}",
     "io.x: no type of channel"},
    {"{\"bootstrap\":\"alice\",\"io\":{\"x\":{\"type\":\"console\",\"unit\":\"mile\"}},\"vats\":"
     "{" ALICE "}}",
     "io.x: what is this direction or unit?"},
};

Test(facet, configs_that_cannot_be)
{
    char call[1000], why[400];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(call, sizeof call, "#[\"launchSubcluster\",[%s]]", wrong[i].config);
        snprintf(why, sizeof why, "invalid cluster config: %s", wrong[i].why);
        expect_failed(settled(send(call, &facet, 1)), why);
    }
    expect_error(LAUNCH("\"bob\":{\"bundleName\":\"worker\"}"),
                 "invalid bootstrap vat name \\\"alice\\\"");
    expect_error("#[\"launchSubcluster\",[{\"bootstrap\":\"alice\",\"services\":[\"kernelFacet\"],"
                 "\"vats\":{" ALICE "}}]]",
                 "no registered kernel service 'kernelFacet'");
    expect_error(LAUNCH("\"alice\":{\"bundleName\":\"worker\",\"globals\":[\"window\"]}"),
                 "Vat \\\"v2\\\" requested unknown global \\\"window\\\"");
    expect_error(
        LAUNCH("\"alice\":{\"bundleName\":\"worker\",\"globals\":[\"fetch\"]}"),
        "Vat \\\"v2\\\" requested \\\"fetch\\\" but no network.allowedHosts was specified");
    cr_expect_eq(rig_rows(rig, ROW_cluster), 1);
}

/* A cluster that only waits for another one is idle, but not for good. */
Test(facet, waiting_for_others_is_owed)
{
    msg_quiet_t quiet = {rig_id(rig), {1}};
    cr_expect_eq(rig_ask(rig, TAG_quiet, &quiet)->body.idle.owed, 0);
    send(LAUNCH(ALICE), NULL, 0);
    quiet.request = rig_id(rig);
    cr_expect_eq(rig_ask(rig, TAG_quiet, &quiet)->body.idle.owed, 1, "a start is under way");
    rig_run_dry(rig);
    quiet.request = rig_id(rig);
    cr_expect_eq(rig_ask(rig, TAG_quiet, &quiet)->body.idle.owed, 0);
}

/* ---- reset ---- */

Test(facet, a_reset_leaves_nothing)
{
    kref_t launch = send(LAUNCH(ALICE), NULL, 0);
    cr_assert_eq(rig_launch(rig, "bob", NULL)->tag, TAG_launched);
    kref_t promise = send("#[\"reset\",[]]", NULL, 0);
    cr_expect_eq(rig_rows(rig, ROW_cluster), 0);
    cr_expect_eq(rig_rows(rig, ROW_config), 0);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_end), 3);
    expect(settled(promise), false, "#\"#undefined\"");
    (void)launch;
}

/* The last thing that a cluster does is to end itself. */
Test(facet, a_cluster_ends_itself)
{
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 1};
    rig_ask(rig, TAG_call, &go);
    call_send(&calls, facet, "#[\"terminateSubcluster\",[\"s1\"]]", NULL, 0, nothing);
    call_send(&calls, facet, "#[\"ping\",[]]", NULL, 0, kref_promise((vat_t){1}, 1));
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_cluster), 0);
    cr_expect_eq(rig_rows(rig, ROW_service), 0);
}

/* "$0" becomes "$999" where it is cut out. */
Test(facet, a_message_that_grows_when_it_is_cut_out_is_refused)
{
    kref_t slots[1000];
    char *body = malloc(CAPDATA_BYTES_MAX + 1);
    cr_assert_not_null(body);
    char *at = body + sprintf(body, "#[\"queueMessage\",[\"ko1.0\",\"x\",[");
    for (size_t i = 1000; i-- > 0; slots[i] = root(1)) at += sprintf(at, "\"$%zu\",", i);
    while (at - body < CAPDATA_BYTES_MAX - 64) at += sprintf(at, "\"$0\",");
    sprintf(at - 1, "]]]");
    expect_failed(settled(send(body, slots, 1000)), "the message is larger than a message can be");
    free(body);
}
