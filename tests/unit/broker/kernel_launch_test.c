/* Launches: what is refused and why, where vats go, and what bootstrap is told. Of a launch that is
 * refused nothing may stay but the record of its answer. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

static const kref_t nothing;

static rig_t *rig;
static buf_t vats, calls;

static void set_up(void)
{
    rig = rig_new();
    rig_host(rig, 1);
    vats = buf_of(LAUNCH_BYTES_MAX);
}

static void tear_down(void)
{
    buf_clear(&vats);
    rig_destroy(&rig);
}

TestSuite(launch, .init = set_up, .fini = tear_down);

static msg_launch_vat_t vat_row(const char *name)
{
    return (msg_launch_vat_t){.name = text_of(name),
                              .bundle = text_of("b1-00"),
                              .parameters = {(const uint8_t *)"#{}", 3}};
}

static void add(msg_launch_vat_t row)
{
    cr_assert_eq(msg_encode(TAG_launch_vat, &row, &vats), ERR_OK);
}

/* Launches the rows in VATS, and empties it. NULL: its vats are starting. */
static const msg_t *launch(const char *name, const char *services)
{
    msg_launch_t msg = {.request = rig_id(rig),
                        .name = text_of(name),
                        .vats = {vats.at, vats.len},
                        .services = text_of(services)};
    const msg_t *reply = rig_ask(rig, TAG_launch, &msg);
    buf_reset(&vats);
    return reply;
}

static void expect_refused(err_t error, const char *why)
{
    const msg_t *reply = launch("c", "");
    cr_assert(reply && reply->tag == TAG_failed, "%s", why);
    cr_expect_eq(reply->body.failed.error, error, "%s: %d", why, (int)reply->body.failed.error);
    cr_expect(text_is(reply->body.failed.why, why), "%.*s", (int)reply->body.failed.why.len,
              reply->body.failed.why.at);
    cr_expect_eq(rig_rows(rig, ROW_vat) + rig_rows(rig, ROW_cluster) + rig_rows(rig, ROW_object),
                 0);
}

Test(launch, vats_that_cannot_be)
{
    msg_launch_vat_t row = vat_row("");
    add(row);
    add(vat_row("bob"));
    expect_refused(ERR_BAD_VALUE, "a vat needs a name");

    row = vat_row("alice");
    row.heap_bytes = (uint64_t)UINT32_MAX + 1;
    add(row);
    expect_refused(ERR_BAD_VALUE, "heap: larger than a vat can have");

    row = vat_row("alice");
    row.parameters = (bin_t){(const uint8_t *)"#\"$0\"", 5};
    add(row);
    expect_refused(ERR_BODY_BROKEN, "its parameters are not well-formed");

    add(vat_row("alice"));
    add(vat_row("alice"));
    add(vat_row("bob"));
    expect_refused(ERR_BAD_VALUE, "two vats have the same name");
}

Test(launch, rows_that_are_no_vats)
{
    add(vat_row("alice"));
    cr_assert_eq(buf_add(&vats, "\xc1", 1), ERR_OK);
    expect_refused(ERR_WIRE_TYPE, err_text(ERR_WIRE_TYPE));

    add(vat_row("alice"));
    msg_done_t done = {rig_id(rig)};
    cr_assert_eq(msg_encode(TAG_done, &done, &vats), ERR_OK);
    expect_refused(ERR_WIRE_TURN, "a row of the launch is no vat");

    for (int i = 0; i <= CLUSTER_VATS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        add(vat_row(name));
    }
    expect_refused(ERR_WIRE_LIMIT, "too many vats");
}

Test(launch, services_are_named_in_the_refusal)
{
    char long_name[300], cut[300];
    add(vat_row("alice"));
    const msg_t *reply = launch("c", "  timer console");
    cr_expect_eq(reply->body.failed.error, ERR_SERVICE_UNKNOWN);
    cr_expect(text_is(reply->body.failed.why, "no registered kernel service 'console'"));
    add(vat_row("alice"));
    reply = launch("c", "vatAdmin kernelFacet");
    cr_expect(text_is(reply->body.failed.why, "no registered kernel service 'kernelFacet'"),
              "only a system cluster may have it");

    /* Longer than what is shown of it; never half a character. */
    memset(long_name, 'x', 250);
    long_name[250] = 0;
    snprintf(cut, sizeof cut, "no registered kernel service '%.200s'", long_name);
    add(vat_row("alice"));
    cr_expect(text_is(launch("c", long_name)->body.failed.why, cut));
    memcpy(long_name + 199, "\xc3\xa9", 2);
    snprintf(cut, sizeof cut, "no registered kernel service '%.199s'", long_name);
    add(vat_row("alice"));
    cr_expect(text_is(launch("c", long_name)->body.failed.why, cut));

    add(vat_row("alice"));
    cr_expect_null(launch("c", "   "), "spaces name no service");
}

Test(launch, names_of_clusters_are_unique_while_they_live)
{
    cr_expect_null((add(vat_row("a")), launch("", "")), "no name is a name like others");
    add(vat_row("a"));
    cr_expect_eq(launch("", "")->body.failed.error, ERR_CLUSTER_EXISTS);
    add(vat_row("a"));
    cr_expect_null(launch("d", ""));
    rig_empty(rig, 1);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_launched);
    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    cr_expect_eq(rig_ask(rig, TAG_cluster_rm, &rm)->tag, TAG_done);
    add(vat_row("a"));
    cr_expect_null(launch("", ""));
}

Test(launch, a_host_is_named_by_its_number_or_its_name)
{
    static const char *const names[] = {"h1", "host1", "h2", "host2"};
    rig_host(rig, 2);
    for (size_t i = 0; i < 4; i++) {
        msg_launch_vat_t row = vat_row("a");
        row.host = text_of(names[i]);
        add(row);
        cr_assert_null(launch(names[i], ""));
        cr_expect_eq(rig_told(rig, TAG_vat_new)->body.vat_new.vat.n, i + 1);
    }
    char *list = rig_list(rig, 2, nothing);
    char *second = strstr(list, "host2");
    cr_assert(second);
    cr_expect(strstr(second, "vats: 2"), "%s", list);
    free(list);
    msg_launch_vat_t row = vat_row("a");
    row.host = text_of("h9");
    add(row);
    cr_expect_eq(launch("nowhere", "")->body.failed.error, ERR_HOST_UNKNOWN);
}

/* The properties of bootstrap's first argument are in JavaScript's order: those that are array indices
 * by number, then the others by their UTF-16 code units. The slots stay in the order of the file. */
Test(launch, bootstrap_is_told_names_in_the_order_of_javascript)
{
    static const char *const file[] = {
        "\xf0\x9f\x98\x80",
        "b",
        "\xee\x80\x80",
        "10",
        "4294967295",
        "ab",
        "1a",
        "01",
        "9",
        "12345678901",
        "\xef\xbf\xbd",
        "0",
        "4294967294",
        "a",
        "1-",
        "\xed\x9f\xbf",
        "\xf0\x9f\x98\x81",
        "\xc3\xa9",
        "\xee\x80\x81",
    };
    static const char *const order[] = {
        "0",
        "9",
        "10",
        "4294967294",
        "01",
        "1-",
        "12345678901",
        "1a",
        "4294967295",
        "a",
        "ab",
        "b",
        "\xc3\xa9",
        "\xed\x9f\xbf",
        "\xf0\x9f\x98\x80",
        "\xf0\x9f\x98\x81",
        "\xee\x80\x80",
        "\xee\x80\x81",
        "\xef\xbf\xbd",
    };
    enum { N = sizeof file / sizeof *file };
    cr_assert_eq(sizeof order / sizeof *order, N);
    char expect[2000] = "#[\"bootstrap\",[{";
    for (size_t i = 0; i < N; i++) {
        size_t slot = 0;
        while (strcmp(file[slot], order[i]) != 0) slot++;
        char member[100];
        snprintf(member, sizeof member, "%s\"%s\":\"$%zu.Alleged: vatRoot\"", i ? "," : "",
                 order[i], slot);
        strcat(expect, member);
    }
    strcat(expect, "},{}]]");
    for (size_t i = 0; i < N; i++) add(vat_row(file[i]));
    cr_assert_null(launch("c", ""));
    for (uint32_t vat = 1; vat <= N; vat++) rig_empty(rig, vat);
    cr_assert_eq(rig_reply(rig, 1)->tag, TAG_launched);
    const msg_t *told = rig_delivery(rig, 1);
    cr_assert_eq(told->tag, TAG_deliver_message);
    const capdata_t *data = &told->body.deliver_message.methargs;
    cr_expect(rig_body_is(data, expect), "%.*s\n%s", (int)data->body.len, data->body.at, expect);
    for (uint32_t i = 0; i < N; i++) cr_expect(kref_same(data->slots.at[i], root(i + 1)));
}

/* Two launches are under way and one cluster runs; a repeated request takes over its own answer only. */
Test(launch, a_repeated_launch_among_others)
{
    cr_assert_eq(rig_launch(rig, "first", NULL)->tag, TAG_launched);
    id128_t ids[2] = {rig_id(rig), rig_id(rig)};
    for (size_t i = 0; i < 2; i++) {
        add(vat_row("a"));
        msg_launch_t msg = {.request = ids[i], .name = text_of(i ? "d" : "c")};
        msg.vats = (bin_t){vats.at, vats.len};
        rig_ask_from(rig, 2, TAG_launch, &msg);
        buf_reset(&vats);
    }
    msg_launch_t again = {.request = ids[1], .name = text_of("d")};
    rig_ask_from(rig, 3, TAG_launch, &again);
    rig_empty(rig, 2);
    rig_empty(rig, 3);
    const msg_t *second = rig_reply(rig, 2), *third = rig_reply(rig, 3);
    cr_assert(second && third);
    cr_expect_eq(second->body.launched.bootstrap.n, 2);
    cr_expect_eq(third->body.launched.bootstrap.n, 3);
    cr_expect_null(rig_reply(rig, 2));
}

/* The id of a launch that is not answered yet is no other request's. */
Test(launch, its_id_is_taken_while_it_starts)
{
    msg_launch_t msg = {.request = rig_id(rig), .name = text_of("c")};
    add(vat_row("a"));
    msg.vats = (bin_t){vats.at, vats.len};
    cr_assert_null(rig_ask(rig, TAG_launch, &msg));
    msg_kill_t kill = {msg.request, {1}, text_of("")};
    cr_expect_null(rig_ask(rig, TAG_kill, &kill), "not done, and nothing to repeat yet");
    cr_expect_eq(rig_counter(rig, "vats"), 1);
    rig_empty(rig, 1);
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_launched);
    cr_expect_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_launched);
    cr_expect_eq(rig_counter(rig, "vats"), 1);
}

Test(launch, a_cluster_that_starts_is_listed_as_such)
{
    add(vat_row("a"));
    cr_assert_null(launch("slow", ""));
    char *list = rig_list(rig, 1, nothing);
    cr_expect(strstr(list, "\"starting\""), "%s", list);
    free(list);
    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    rig_ask_from(rig, 2, TAG_cluster_rm, &rm);
    cr_expect_eq(rig_reply(rig, 1)->body.failed.error, ERR_START_FAILED);
    cr_expect_eq(rig_reply(rig, 2)->tag, TAG_done);
    rig_ask_from(rig, 2, TAG_cluster_rm, &rm);
    cr_expect_eq(rig_reply(rig, 2)->tag, TAG_done, "a repeated request gets the same answer");
    list = rig_list(rig, 0, nothing);
    cr_expect(strstr(list, "cluster_name: \"\""), "its vat is listed, without its cluster: %s",
              list);
    free(list);
}

/* A vat of a cluster that does not start has run already and made a promise, and a client has shown it
 * to a vat of another cluster: the vat is remembered as long as the promise is there. */
Test(launch, a_promise_of_a_vat_that_goes_with_its_cluster)
{
    cr_assert_eq(rig_launch(rig, "first", NULL)->tag, TAG_launched);
    rig_launch_t options = {.no_start = true};
    cr_assert_null(rig_launch(rig, "alice bob", &options));
    kref_t promise = kp(2, 1), other = kp(2, 2);
    call_send(&calls, root(2), "#[\"take\",[\"&0\",\"&1\"]]", (kref_t[]){promise, other}, 2,
              nothing);
    rig_result(rig, 2, &calls);
    msg_call_t call = {rig_id(rig), root(1), rig_data("#[\"take\",[\"&0\"]]", &other, 1), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    rig_fail(rig, 3, ERR_NO_BUILD_ROOT, "no");
    cr_expect_eq(rig_reply(rig, 1)->tag, TAG_failed);
    cr_expect_eq(rig_counter(rig, "vats"), 1);
    char *list = rig_list(rig, 3, other);
    cr_expect(strstr(list, "rejected"), "%s", list);
    free(list);
    list = rig_list(rig, 3, promise);
    cr_expect_str_eq(list, "");
    free(list);
    cr_expect_eq(rig_rows(rig, ROW_vat), 2, "the first one, and the one whose promise is left");
    rig_restart(rig, false);
}

/* ---- the same once more ---- */

static void start_all(uint32_t first, uint32_t last)
{
    for (uint32_t vat = first; vat <= last; vat++) {
        cr_assert_eq(rig_delivery(rig, vat)->tag, TAG_deliver_start);
        rig_empty(rig, vat);
    }
}

Test(launch, a_reload_is_a_new_cluster_of_the_same_name)
{
    const msg_launch_channel_t log = {text_of("log"), text_of("file"), text_of("/tmp/log"), 2, 0};
    cr_assert_eq(rig_launch(rig, "alice bob", &(rig_launch_t){.channel = &log})->tag, TAG_launched);
    msg_cluster_reload_t msg = {rig_id(rig), {1}};
    cr_assert_null(rig_ask(rig, TAG_cluster_reload, &msg));
    cr_assert_eq(rig_counter(rig, "vats"), 2);
    rig_restart(rig, true);
    rig_ask_from(rig, 7, TAG_cluster_reload, &msg);
    start_all(3, 4);
    const msg_t *reply = rig_reply(rig, 7);
    cr_assert(reply && reply->tag == TAG_launched, "whoever asked last");
    cr_assert_null(rig_reply(rig, 1));
    cr_expect_eq(memcmp(&reply->body.launched.request, &msg.request, sizeof msg.request), 0);
    cr_expect_eq(reply->body.launched.cluster.n, 2);
    cr_expect_eq(reply->body.launched.bootstrap.n, 3);
    cr_expect(kref_same(reply->body.launched.root, root(3)));
    cr_expect_eq(rig_ask(rig, TAG_cluster_reload, &msg)->body.launched.cluster.n, 2);
    const msg_t *bootstrap = rig_delivery(rig, 3);
    cr_assert_eq(bootstrap->tag, TAG_deliver_message);
    cr_expect(
        rig_body_is(&bootstrap->body.deliver_message.methargs,
                    "#[\"bootstrap\",[{\"alice\":\"$0.Alleged: vatRoot\",\"bob\":\"$1.Alleged: "
                    "vatRoot\"},{\"log\":\"$2.Alleged: ioChannel\"}]]"));

    msg.request = rig_id(rig);
    cr_expect_eq(rig_ask(rig, TAG_cluster_reload, &msg)->body.failed.error, ERR_CLUSTER_UNKNOWN);
    msg.cluster.n = 2;
    msg.request = rig_id(rig);
    cr_assert_null(rig_ask(rig, TAG_cluster_reload, &msg));
    cr_expect_eq(rig_counter(rig, "clusters"), 1);
}

Test(launch, what_cannot_be_launched_again_stays)
{
    cr_assert_eq(rig_launch(rig, "alice", NULL)->tag, TAG_launched);
    rig_host_gone(rig, 1);
    msg_cluster_reload_t msg = {rig_id(rig), {1}};
    const msg_t *reply = rig_ask(rig, TAG_cluster_reload, &msg);
    cr_expect_eq(reply->body.failed.error, ERR_NO_HOST);
    rig_host(rig, 1);
    cr_expect_eq(rig_ask(rig, TAG_cluster_reload, &msg)->body.failed.error, ERR_NO_HOST);
    cr_expect_eq(rig_counter(rig, "vats"), 1);
    msg_call_t call = {rig_id(rig), root(1), rig_data("#[\"x\",[]]", NULL, 0), 1};
    cr_expect_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
}

Test(launch, a_reload_that_does_not_start_leaves_nothing)
{
    cr_assert_eq(rig_launch(rig, "alice bob", NULL)->tag, TAG_launched);
    msg_cluster_reload_t msg = {rig_id(rig), {1}};
    cr_assert_null(rig_ask(rig, TAG_cluster_reload, &msg));
    rig_fail(rig, 4, ERR_BUILD_ROOT_THREW, "no");
    cr_expect_eq(rig_reply(rig, 1)->body.failed.error, ERR_BUILD_ROOT_THREW);
    cr_expect_eq(rig_ask(rig, TAG_cluster_reload, &msg)->body.failed.error, ERR_BUILD_ROOT_THREW);
    cr_expect_eq(rig_counter(rig, "clusters"), 0);
    cr_expect_eq(rig_rows(rig, ROW_config), 0);
}

Test(launch, a_reload_ends_a_launch_that_is_under_way)
{
    cr_assert_null(rig_launch(rig, "alice", &(rig_launch_t){.no_start = true}));
    msg_cluster_reload_t msg = {rig_id(rig), {1}};
    rig_ask_from(rig, 2, TAG_cluster_reload, &msg);
    cr_expect_eq(rig_reply(rig, 1)->body.failed.error, ERR_START_FAILED);
    start_all(2, 2);
    cr_expect_eq(rig_reply(rig, 2)->tag, TAG_launched);
}

/* What the list of vats says about VAT. */
static void expect_vat(const char *vat, const char *state, bool asleep)
{
    char *list = rig_list(rig, 0, nothing), *line = strstr(list, vat);
    cr_assert(line, "%s: %s", vat, list);
    line[strcspn(line, "}")] = 0;
    cr_expect(strstr(line, state), "%s: %s", vat, line);
    cr_expect_eq(strstr(line, "asleep: 1") != NULL, asleep, "%s: %s", vat, line);
    free(list);
}

/* Whose start was applied before broker and host ended has nothing to run: it has no worker and is none the
 * less one of those that run. */
Test(launch, in_the_middle_of_which_everything_ends)
{
    cr_assert_null(rig_launch(rig, "alice bob carol", &(rig_launch_t){.no_start = true}));
    rig_empty(rig, 2);
    rig_restart(rig, true);
    rig_host_gone(rig, 1);
    size_t started = rig_host_frames(rig, TAG_vat_new);
    rig_host(rig, 1);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_new), started + 2);
    expect_vat("alice", "starting", false);
    expect_vat("bob", "running", true);
    rig_run_dry(rig);
    expect_vat("alice", "running", false);
    expect_vat("bob", "running", true);
    expect_vat("carol", "running", false);
    char *clusters = rig_list(rig, 1, nothing);
    cr_expect(strstr(clusters, "running"), "%s", clusters);
    free(clusters);

    msg_call_t call = {rig_id(rig), root(2), rig_data("#[\"ping\",[]]", NULL, 0), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_new), started + 3);
    expect_vat("bob", "running", false);
    cr_expect(rig_delivery(rig, 2));
}

Test(launch, services_and_channels_have_names_of_their_own)
{
    msg_launch_channel_t two[] = {{text_of("a"), text_of("console"), text_of(""), 1, 0},
                                  {text_of("a"), text_of("console"), text_of(""), 2, 0}};
    rig_launch_t options = {.channels = two, .channel_count = 2};
    const char *why = "two services or IO channels have the same name";
    const msg_t *reply = rig_launch(rig, "alice", &options);
    cr_assert_eq(reply->tag, TAG_failed);
    cr_expect_eq(reply->body.failed.error, ERR_BAD_VALUE);
    cr_expect(text_is(reply->body.failed.why, why));
    two[1].name = text_of("timer");
    options.services = "timer";
    cr_expect(text_is(rig_launch(rig, "alice", &options)->body.failed.why, why));
    two[1].name = text_of("b");
    cr_expect_eq(rig_launch(rig, "alice", &options)->tag, TAG_launched);
}

/* Around what is as deep as a body may be there is no room for what a vat's own timers use. */
Test(launch, parameters_that_are_too_deep)
{
    char deep[2 * BODY_DEPTH_MAX + 2] = "#";
    msg_launch_vat_t row = vat_row("alice");
    memset(deep + 1, '[', BODY_DEPTH_MAX);
    memset(deep + 1 + BODY_DEPTH_MAX, ']', BODY_DEPTH_MAX);
    row.globals = text_of("setTimeout");
    row.parameters = (bin_t){(const uint8_t *)deep, 1 + 2 * BODY_DEPTH_MAX};
    add(row);
    expect_refused(ERR_BODY_BROKEN, "its parameters are not well-formed");
}

/* U+009B begins a command of a terminal, as ESC [ does. */
Test(launch, names_that_a_terminal_would_obey)
{
    static const char *const names[] = {"a\x1b[J", "a\x7f", "\xc2\x9b[J"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        add(vat_row("alice"));
        const msg_t *reply = launch(names[i], "");
        cr_assert(reply && reply->tag == TAG_failed, "cluster %zu", i);
        cr_expect_eq(reply->body.failed.error, ERR_BAD_VALUE);
        add(vat_row(names[i]));
        reply = launch("c", "");
        cr_assert(reply && reply->tag == TAG_failed, "vat %zu", i);
        cr_expect_eq(reply->body.failed.error, ERR_BAD_VALUE);
    }
    add(vat_row("\xc2\xa0\xc3\x9b"));
    cr_expect_null(launch("\xc3\x9b", ""), "letters are letters");
}
