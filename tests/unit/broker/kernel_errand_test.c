/* What the kernel lets the agent do: IO channels and fetch. The agent is the rig's: a list of the frames
 * that it got, and what the test lets it answer. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

#define ERROR(text) "#{\"#error\":\"" text "\",\"name\":\"Error\"}"

enum { IN = 1, OUT, BOTH };

static rig_t *rig;
static buf_t calls;
static const kref_t nothing;

static void set_up(void)
{
    calls = buf_of(CRANK_BYTES_MAX);
    rig = rig_new();
    rig_host(rig, 1);
}

static void tear_down(void)
{
    rig_destroy(&rig);
    buf_clear(&calls);
}

TestSuite(errand, .init = set_up, .fini = tear_down);

static msg_launch_channel_t channel(const char *name, const char *type, const char *place,
                                    uint64_t direction)
{
    return (msg_launch_channel_t){text_of(name), text_of(type), text_of(place), direction, 0};
}

/* alice in s1 with the channels repl (ko0.1: both ways), log (ko0.2: out) and keys (ko0.3: in). */
static void launch(void)
{
    const msg_launch_channel_t channels[] = {channel("repl", "socket", "/run/repl", BOTH),
                                             channel("log", "file", "/tmp/log", OUT),
                                             channel("keys", "console", "", IN)};
    rig_launch_t options = {.window = 1, .channels = channels, .channel_count = 3};
    cr_assert_eq(rig_launch(rig, "alice", &options)->tag, TAG_launched);
}

#define REPL ko(0, 1)
#define LOG  ko(0, 2)
#define KEYS ko(0, 3)

/* ---- what the agent hears ---- */

static void expect_open(kref_t channel, const char *name, const char *type, const char *place,
                        uint64_t direction)
{
    const msg_t *msg = rig_agent_frame(rig);
    cr_assert(msg && msg->tag == TAG_agent_open);
    const msg_agent_open_t *open = &msg->body.agent_open;
    cr_expect_eq(open->channel, channel.n);
    cr_expect(text_is(open->name, name));
    cr_expect(text_is(open->type, type));
    cr_expect(text_is(open->place, place));
    cr_expect_eq(open->direction, direction);
}

static void expect_opens(void)
{
    expect_open(REPL, "c0:repl", "socket", "/run/repl", BOTH);
    expect_open(LOG, "c0:log", "file", "/tmp/log", OUT);
    expect_open(KEYS, "c0:keys", "console", "", IN);
}

static void expect_ask(uint64_t errand, kref_t channel, const char *what, const char *body)
{
    const msg_t *msg = rig_agent_frame(rig);
    cr_assert(msg && msg->tag == TAG_agent_ask);
    const msg_agent_ask_t *ask = &msg->body.agent_ask;
    capdata_t data = {ask->body, {0}};
    cr_expect_eq(ask->errand, errand);
    cr_expect_eq(ask->channel, channel.n);
    cr_expect(text_is(ask->what, what));
    cr_expect(rig_body_is(&data, body));
}

static void expect_silence(void) { cr_expect_null(rig_agent_frame(rig)); }

/* ---- what vats do and hear ---- */

/* V1 calls METHODARGS of TARGET, its N-th promise being the result, and subscribes to it. */
static void ask(kref_t target, const char *methargs, uint64_t n)
{
    call_send(&calls, target, methargs, NULL, 0, kp(1, n));
    call_subscribe(&calls, kp(1, n));
}

/* Vat V1 is told that its N-th promise is settled; it answers with CALLS. */
static void expect_told(uint64_t n, bool rejected, const char *body)
{
    const msg_t *msg = rig_delivery(rig, 1);
    cr_assert(msg && msg->tag == TAG_deliver_notify);
    const resolution_t *one = msg->body.deliver_notify.resolutions.at;
    cr_expect(kref_same(one->promise, kp(1, n)));
    cr_expect_eq(one->rejected, rejected);
    cr_expect(rig_body_is(&one->data, body), "not %s but %.*s", body, (int)one->data.body.len,
              (const char *)one->data.body.at);
    rig_result(rig, 1, &calls);
}

/* ---- channels ---- */

Test(errand, bootstrap_gets_the_channels_and_the_agent_opens_them)
{
    launch();
    const msg_t *msg = rig_delivery(rig, 1);
    cr_assert_eq(msg->tag, TAG_deliver_message);
    cr_expect(
        rig_body_is(&msg->body.deliver_message.methargs,
                    "#[\"bootstrap\",[{\"alice\":\"$0.Alleged: vatRoot\"},{\"keys\":\"$3.Alleged: "
                    "ioChannel\",\"log\":\"$2.Alleged: ioChannel\",\"repl\":\"$1.Alleged: "
                    "ioChannel\"}]]"));
    cr_expect(kref_same(msg->body.deliver_message.methargs.slots.at[1], REPL));
    expect_opens();
    expect_silence();
}

Test(errand, nobody_wants_an_agent_without_anything_to_do)
{
    cr_assert_eq(rig_launch(rig, "alice", NULL)->tag, TAG_launched);
    rig_agent_late(rig);
    rig_run_dry(rig);
    rig_restart(rig, true);
    rig_run_dry(rig);
    cr_expect(!rig_agent_wanted(rig));
}

Test(errand, a_read_is_what_the_agent_answers)
{
    launch();
    expect_opens();
    ask(REPL, "#[\"read\",[]]", 1);
    rig_result(rig, 1, &calls);
    expect_ask(1, REPL, "read", "#[]");
    cr_expect_null(rig_delivery(rig, 1));
    rig_agent_told(rig, 1, false, "#\"!#a line\"");
    ask(REPL, "#[\"read\",[]]", 2);
    expect_told(1, false, "#\"!#a line\"");
    expect_ask(2, REPL, "read", "#[]");
    rig_agent_told(rig, 2, false, "#null");
    expect_told(2, false, "#null");
    cr_expect_eq(rig_rows(rig, ROW_errand), 0);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}

Test(errand, writes_are_asked_in_order_also_those_that_nobody_waits_for)
{
    launch();
    expect_opens();
    call_send(&calls, LOG, "#[\"write\",[\"one\"]]", NULL, 0, nothing);
    ask(LOG, "#[\"write\",[\"two\"]]", 1);
    call_send(&calls, REPL, "#[\"write\",[\"three\"]]", NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    expect_ask(1, LOG, "write", "#[\"one\"]");
    expect_ask(2, LOG, "write", "#[\"two\"]");
    expect_ask(3, REPL, "write", "#[\"three\"]");
    rig_agent_told(rig, 1, false, "#\"#undefined\"");
    rig_agent_told(rig, 1, false, "#\"#undefined\"");
    rig_agent_told(rig, 9, true, "#\"of nothing\"");
    cr_expect_null(rig_delivery(rig, 1));
    rig_agent_told(rig, 2, true, ERROR("disk full"));
    expect_told(1, true, ERROR("disk full"));
    rig_agent_told(rig, 3, false, "#\"#undefined\"");
    cr_expect_eq(rig_rows(rig, ROW_errand), 0);
}

Test(errand, a_channel_goes_the_ways_that_it_has)
{
    launch();
    expect_opens();
    kref_t mine = root(1);
    ask(LOG, "#[\"read\",[]]", 1);
    rig_result(rig, 1, &calls);
    ask(KEYS, "#[\"write\",[\"x\"]]", 2);
    expect_told(1, true, ERROR("IO channel \\\"io:s1:log\\\" is write-only"));
    ask(LOG, "#[\"write\",[7]]", 3);
    expect_told(2, true, ERROR("IO channel \\\"io:s1:keys\\\" is read-only"));
    ask(LOG, "#[\"write\",[]]", 4);
    expect_told(3, true, ERROR("IO channel \\\"io:s1:log\\\": what is written is a string"));
    call_send(&calls, KEYS, "#[\"read\",[\"$0\"]]", &mine, 1, kp(1, 5));
    call_subscribe(&calls, kp(1, 5));
    expect_told(4, true, ERROR("IO channel \\\"io:s1:log\\\": what is written is a string"));
    ask(REPL, "#[\"__getMethodNames__\",[]]", 6);
    expect_told(5, true, ERROR("read: objects and promises cannot go outside"));
    expect_told(6, false, "#[\"__getMethodNames__\",\"read\",\"write\"]");
    expect_silence();
    cr_expect_eq(rig_rows(rig, ROW_errand), 0);
}

Test(errand, answers_that_cannot_be_are_rejections)
{
    static const char *const bad[] = {"", "7", "#", "#\"$0.Alleged: x\"", "#[", "#\"&0\""};
    launch();
    for (uint64_t n = 1; n <= 6; n++) ask(REPL, "#[\"read\",[]]", n);
    rig_result(rig, 1, &calls);
    for (uint64_t n = 1; n <= 6; n++) {
        rig_agent_told(rig, n, false, bad[n - 1]);
        expect_told(n, true,
                    ERROR("[KERNEL:DELIVERY_FAILED] the agent's answer is not well-formed"));
    }
}

Test(errand, a_channel_is_pinned_while_its_cluster_lives)
{
    launch();
    expect_opens();
    msg_pin_t pin = {rig_id(rig), REPL, 1};
    cr_expect_eq(rig_ask(rig, TAG_pin, &pin)->body.failed.error, ERR_NOT_PINNED);
    call_refs(&calls, TAG_drop_imports, (kref_t[]){REPL, LOG, KEYS}, 3);
    rig_result(rig, 1, &calls);
    char *text = rig_list(rig, 3, REPL);
    cr_expect(strstr(text, "service") && strstr(text, "ioChannel"), "%s", text);
    free(text);
    expect_silence();
    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    rig_ask(rig, TAG_cluster_rm, &rm);
    for (uint64_t n = 1; n <= 3; n++) {
        const msg_t *msg = rig_agent_frame(rig);
        cr_assert(msg && msg->tag == TAG_agent_close);
        cr_expect_eq(msg->body.agent_close.channel, ko(0, n).n);
    }
    cr_expect_eq(rig_rows(rig, ROW_service), 0);
    cr_expect_eq(rig_rows(rig, ROW_object), 0);
    rig_agent_late(rig);
    rig_agent_gone(rig);
    cr_expect(!rig_agent_wanted(rig), "nothing is left to do");
}

/* bob, of another cluster, got the channels from the client, and outlives them. */
Test(errand, what_waits_for_a_channel_that_closes_ends)
{
    launch();
    expect_opens();
    cr_assert_eq(rig_launch(rig, "bob", &(rig_launch_t){.window = 1})->tag, TAG_launched);
    kref_t slots[] = {REPL, LOG};
    msg_call_t call = {rig_id(rig), root(2), rig_data("#[\"take\",[\"$0\",\"$1\"]]", slots, 2), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    rig_empty(rig, 2);
    call_send(&calls, REPL, "#[\"read\",[]]", NULL, 0, kp(2, 1));
    call_subscribe(&calls, kp(2, 1));
    call_send(&calls, LOG, "#[\"write\",[\"x\"]]", NULL, 0, kp(2, 2));
    call_subscribe(&calls, kp(2, 2));
    rig_result(rig, 2, &calls);
    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    rig_ask(rig, TAG_cluster_rm, &rm);

    const char *closed = ERROR("IO channel \\\"io:s1:log\\\" is closed");
    const resolution_t *one = rig_delivery(rig, 2)->body.deliver_notify.resolutions.at;
    cr_expect(!one->rejected && rig_body_is(&one->data, "#null"), "the end of what is read");
    rig_empty(rig, 2);
    one = rig_delivery(rig, 2)->body.deliver_notify.resolutions.at;
    cr_expect(one->rejected && rig_body_is(&one->data, closed));
    call_send(&calls, LOG, "#[\"write\",[\"x\"]]", NULL, 0, kp(2, 3));
    call_subscribe(&calls, kp(2, 3));
    rig_result(rig, 2, &calls);
    one = rig_delivery(rig, 2)->body.deliver_notify.resolutions.at;
    cr_expect(one->rejected && rig_body_is(&one->data, closed));
    rig_agent_told(rig, 1, false, "#\"too late\"");
}

/* ---- the agent ends ---- */

#define LOST(what)                                                                \
    ERROR("[KERNEL:CONNECTION_LOST] the agent was lost, which was asked to " what \
          ": that may or may not have been done")

static void ask_both(void)
{
    launch();
    expect_opens();
    ask(REPL, "#[\"read\",[]]", 1);
    ask(REPL, "#[\"write\",[\"x\"]]", 2);
    ask(KEYS, "#[\"read\",[]]", 3);
    call_send(&calls, LOG, "#[\"write\",[\"y\"]]", NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    expect_ask(1, REPL, "read", "#[]");
    expect_ask(2, REPL, "write", "#[\"x\"]");
    expect_ask(3, KEYS, "read", "#[]");
    expect_ask(4, LOG, "write", "#[\"y\"]");
    expect_silence();
}

static void expect_asked_again(void)
{
    expect_opens();
    expect_ask(1, REPL, "read", "#[]");
    expect_ask(3, KEYS, "read", "#[]");
    expect_silence();
    expect_told(2, true, LOST("write"));
    rig_agent_told(rig, 1, false, "#\"a\"");
    expect_told(1, false, "#\"a\"");
    rig_agent_told(rig, 3, false, "#\"b\"");
    expect_told(3, false, "#\"b\"");
}

Test(errand, reads_are_asked_again_of_the_next_agent_writes_are_not)
{
    ask_both();
    rig_agent_gone(rig);
    expect_asked_again();
}

Test(errand, a_restarted_broker_does_the_same_without_being_asked)
{
    ask_both();
    rig_restart(rig, false);
    expect_asked_again();
}

/* What was not said to any agent is not lost with one. */
Test(errand, what_waits_for_an_agent_is_not_lost)
{
    ask_both();
    rig_agent_late(rig);
    rig_agent_gone(rig);
    cr_assert(rig_agent_wanted(rig));
    ask(LOG, "#[\"write\",[\"z\"]]", 4);
    expect_told(2, true, LOST("write"));
    expect_silence();
    rig_agent_start(rig);
    expect_opens();
    expect_ask(1, REPL, "read", "#[]");
    expect_ask(3, KEYS, "read", "#[]");
    expect_ask(5, LOG, "write", "#[\"z\"]");
    rig_agent_gone(rig);
    expect_told(4, true, LOST("write"));
}

/* Nobody knows whether it was said, so it is taken for said. */
Test(errand, what_waits_for_an_agent_when_the_broker_ends_counts_as_asked)
{
    rig_agent_late(rig);
    launch();
    ask(LOG, "#[\"write\",[\"x\"]]", 1);
    rig_result(rig, 1, &calls);
    rig_restart(rig, false);
    cr_expect(rig_agent_wanted(rig));
    expect_told(1, true, LOST("write"));
}

/* ---- fetch ---- */

#define OUTSIDE ko(0, 1)

static void launch_fetcher(void)
{
    rig_launch_t options = {.window = 1, .globals = "fetch", .hosts = "a.example b.example"};
    cr_assert_eq(rig_launch(rig, "alice", &options)->tag, TAG_launched);
}

Test(errand, fetch_is_asked_with_the_hosts_of_its_vat)
{
    launch_fetcher();
    ask(OUTSIDE, "#[\"fetch\",[{\"url\":\"http://a.example/\"}]]", 1);
    rig_result(rig, 1, &calls);
    const msg_t *msg = rig_agent_frame(rig);
    cr_assert(msg && msg->tag == TAG_agent_ask);
    cr_expect_eq(msg->body.agent_ask.channel, 0);
    cr_expect(text_is(msg->body.agent_ask.what, "fetch"));
    cr_expect(text_is(msg->body.agent_ask.hosts, "a.example b.example"));
    rig_agent_told(rig, 1, false, "#{\"status\":200}");
    expect_told(1, false, "#{\"status\":200}");
}

Test(errand, only_what_asks_is_fetched_again)
{
    static const char *const methods[] = {
        "#[\"fetch\",[{}]]", "#[\"fetch\",[{\"method\":\"POST\"}]]",
        "#[\"fetch\",[{\"method\":\"GET\"}]]", "#[\"fetch\",[{\"method\":\"DELETE\"}]]",
        "#[\"fetch\",[{\"method\":\"HEAD\"}]]"};
    launch_fetcher();
    for (uint64_t n = 1; n <= 5; n++) ask(OUTSIDE, methods[n - 1], n);
    rig_result(rig, 1, &calls);
    rig_agent_gone(rig);
    for (uint64_t n = 1; n <= 5; n += 2)
        expect_ask(n, nothing, "fetch",
                   n == 1   ? "#[{}]"
                   : n == 3 ? "#[{\"method\":\"GET\"}]"
                            : "#[{\"method\":\"HEAD\"}]");
    expect_silence();
    expect_told(2, true, LOST("fetch"));
    expect_told(4, true, LOST("fetch"));
}

/* The answer comes when the vat has ended; whoever else waits hears of its end. */
Test(errand, what_a_vat_asked_ends_with_it)
{
    rig_launch_t options = {.window = 1, .globals = "fetch", .hosts = "a.example"};
    cr_assert_eq(rig_launch(rig, "alice bob", &options)->tag, TAG_launched);
    kref_t promise = kp(1, 1);
    ask(OUTSIDE, "#[\"fetch\",[{}]]", 1);
    call_send(&calls, root(2), "#[\"wait\",[\"&0\"]]", &promise, 1, nothing);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, promise);
    rig_result(rig, 2, &calls);
    msg_kill_t kill = {rig_id(rig), {1}, text_of("")};
    rig_ask(rig, TAG_kill, &kill);
    const resolution_t *one = rig_delivery(rig, 2)->body.deliver_notify.resolutions.at;
    cr_expect(one->rejected);
    cr_expect(rig_body_is(&one->data, ERROR("[KERNEL:VAT_TERMINATED] vat terminated")));
    cr_expect_eq(rig_rows(rig, ROW_errand), 0);
    rig_agent_told(rig, 1, false, "#{\"status\":200}");
}

/* ---- limits ---- */

Test(errand, a_cluster_may_have_so_many_open)
{
    rig_agent_late(rig); /* what it would hear is of no interest */
    launch();
    for (int i = 0; i < ERRANDS_MAX; i += CRANK_CALLS_MAX / 2) {
        for (int j = 0; j < CRANK_CALLS_MAX / 2; j++)
            call_send(&calls, KEYS, "#[\"read\",[]]", NULL, 0, nothing);
        rig_result(rig, 1, &calls);
        msg_call_t call = {rig_id(rig), root(1), rig_data("#[\"more\",[]]", NULL, 0), 1};
        rig_ask(rig, TAG_call, &call);
    }
    ask(KEYS, "#[\"read\",[]]", 1);
    rig_result(rig, 1, &calls);
    expect_told(1, true, ERROR("read: more than 10000 are open in this cluster"));
    rig_agent_start(rig);
    expect_opens();
    rig_agent_told(rig, 7, false, "#null");
    msg_call_t call = {rig_id(rig), root(1), rig_data("#[\"more\",[]]", NULL, 0), 1};
    rig_ask(rig, TAG_call, &call);
    ask(KEYS, "#[\"read\",[]]", 2);
    rig_result(rig, 1, &calls);
    cr_expect_null(rig_delivery(rig, 1), "there is room for one again");
}
