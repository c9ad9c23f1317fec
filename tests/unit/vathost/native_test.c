/* The null engine behind a supervisor: what its root answers, what drives send and when, garbage, bundles,
 * checkpoints that show in nothing. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/vat_rig.h"
#include "vathost/native/native_engine.h"
#include "wire/base/hash.h"

static const vat_t vat = {3};
static char bundle[] = "/tmp/native-test-XXXXXX", other[] = "/tmp/native-other-XXXXXX";

static void file_write(char *path, const char *text)
{
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void files_make(void)
{
    file_write(bundle, "{\"moduleFormat\":\"native\",\"engine\":\"null\"}");
    file_write(other, "{\"moduleFormat\":\"native\",\"engine\":\"warp\"}");
}

static void files_remove(void)
{
    unlink(bundle);
    unlink(other);
}

TestSuite(native, .init = files_make, .fini = files_remove);

static rig_t rig_of(const char *path)
{
    rig_t rig = rig_with(vat, native_engine_new(path, 0));
    msg_deliver_start_t start = {.parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};
    cr_assert_eq(run(&rig, TAG_deliver_start, &start), ERR_OK);
    return rig;
}

#define SLOTS(...) \
    (const kref_t[]){__VA_ARGS__}, sizeof((const kref_t[]){__VA_ARGS__}) / sizeof(kref_t)
#define NO_SLOTS NULL, 0

static kref_t ko(uint32_t owner, uint64_t n) { return kref_object((vat_t){owner}, n); }
static kref_t kp(uint32_t owner, uint64_t n) { return kref_promise((vat_t){owner}, n); }

static const char *message(rig_t *rig, const char *body, const kref_t *slots, size_t count,
                           kref_t result)
{
    msg_deliver_message_t msg = {
        .target = ko(3, 0),
        .methargs = {{(const uint8_t *)body, strlen(body)}, {slots, count}},
        .result = result};
    cr_assert_eq(run(rig, TAG_deliver_message, &msg), ERR_OK);
    cr_assert_eq(rig->crank->outcome, ERR_OK, "%s", rig->crank->reason);
    return rig->calls;
}

static const char *told(rig_t *rig, kref_t promise, bool rejected)
{
    resolution_t one = {promise, rejected, {{(const uint8_t *)"#1", 2}, {NULL, 0}}};
    msg_deliver_notify_t msg = {.resolutions = {&one, 1}};
    cr_assert_eq(run(rig, TAG_deliver_notify, &msg), ERR_OK);
    cr_assert_eq(rig->crank->outcome, ERR_OK, "%s", rig->crank->reason);
    return rig->calls;
}

static const char *reap(rig_t *rig)
{
    msg_deliver_reap_t msg = {0};
    cr_assert_eq(run(rig, TAG_deliver_reap, &msg), ERR_OK);
    cr_assert_eq(rig->crank->outcome, ERR_OK, "%s", rig->crank->reason);
    return rig->calls;
}

#define UNDEFINED "ok #\"#undefined\" {}\n"

/* ---- single answers ---- */

Test(native, ping_answers_with_its_first_argument)
{
    rig_t rig = rig_of(bundle);
    cr_expect_str_eq(message(&rig, "#[\"ping\",[]]", NO_SLOTS, kp(0, 1)),
                     "resolve kp0.1 " UNDEFINED);
    cr_expect_str_eq(message(&rig, "#[\"ping\",[\"+5\",2]]", NO_SLOTS, kp(0, 2)),
                     "resolve kp0.2 ok #\"+5\" {}\n");
    cr_expect_str_eq(message(&rig, "#[\"ping\",[{\"a\":\"$1.Alleged: x\",\"b\":\"$1\"},\"$0\"]]",
                             SLOTS(ko(4, 1), ko(5, 1)), kp(0, 3)),
                     "resolve kp0.3 ok #{\"a\":\"$0.Alleged: x\",\"b\":\"$0\"} {ko5.1}\n");
    cr_expect_str_eq(message(&rig, "#[\"ping\",[3]]", NO_SLOTS, (kref_t){0}), "");
    cr_expect(strstr(message(&rig, "#[\"ping\",[\"&0\"]]", SLOTS(kp(4, 1)), kp(0, 4)),
                     "subscribe kp4.1\nresolve kp0.4 rejected #{\"#error\":\"ping does not wait"));
    rig_clear(&rig);
}

Test(native, what_it_does_not_know_it_refuses_as_liveslots_does)
{
    rig_t rig = rig_of(bundle);
    cr_expect_str_eq(message(&rig, "#[\"foo\\\"\",[]]", NO_SLOTS, kp(0, 1)),
                     "resolve kp0.1 rejected #{\"#error\":\"target has no method "
                     "\\\"foo\\\\\\\"\\\", has [\\\"bootstrap\\\","
                     "\\\"churn\\\",\\\"count\\\",\\\"drive\\\",\\\"drop\\\",\\\"fail\\\","
                     "\\\"flood\\\",\\\"hit\\\","
                     "\\\"hold\\\",\\\"make\\\",\\\"next\\\",\\\"ping\\\",\\\"pipeline\\\","
                     "\\\"round\\\",\\\"take\\\"]\","
                     "\"name\":\"TypeError\"} {}\n");
    cr_expect(strstr(message(&rig, "#[\"#undefined\",[]]", NO_SLOTS, kp(0, 2)),
                     "Cannot invoke target as a function; typeof target is \\\"object\\\""));
    cr_expect(strstr(message(&rig, "#[\"%@@asyncIterator\",[]]", NO_SLOTS, kp(0, 3)),
                     "target has no method \\\"@@asyncIterator\\\""));
    cr_expect_str_eq(message(&rig, "#[\"fail\",[\"!#no\"]]", NO_SLOTS, kp(0, 4)),
                     "resolve kp0.4 rejected #{\"#error\":\"!#no\",\"name\":\"Error\"} {}\n");
    static const char *const wrong[] = {
        "#[\"drive\",[]]",
        "#[\"drive\",[[]]]",
        "#[\"drive\",[\"$0\",\"ping\"]]",
        "#[\"drive\",[\"$0\",\"ping\",[],-1]]",
        "#[\"drive\",[\"$0\",\"ping\",[],1,0]]",
        "#[\"drive\",[\"$0\",\"ping\",[],1,4097]]",
        "#[\"round\",[\"$0\",1.5]]",
        "#[\"flood\",[\"$0\",\"x\"]]",
        "#[\"churn\",[\"$0\",1,5000]]",
        "#[\"pipeline\",[\"$0\",0,1]]",
        "#[\"pipeline\",[[\"$0\",3],1,1]]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *calls = message(&rig, wrong[i], SLOTS(ko(4, 1)), kp(0, 10 + i));
        cr_expect(strncmp(calls, "resolve kp0.", 12) == 0 &&
                      strstr(calls, "\"name\":\"TypeError\""),
                  "%s: %s", wrong[i], calls);
    }
    cr_expect(strstr(message(&rig, "#[\"drive\",[\"$0\",\"ping\",[\"&1\"],1]]",
                             SLOTS(ko(4, 1), kp(4, 2)), kp(0, 30)),
                     "without promises"));
    rig_clear(&rig);
}

Test(native, hits_are_counted_and_objects_are_made)
{
    rig_t rig = rig_of(bundle);
    message(&rig, "#[\"hit\",[]]", NO_SLOTS, (kref_t){0});
    message(&rig, "#[\"hit\",[1]]", NO_SLOTS, kp(0, 1));
    cr_expect_str_eq(rig.calls, "resolve kp0.1 " UNDEFINED);
    cr_expect_str_eq(message(&rig, "#[\"count\",[]]", NO_SLOTS, kp(0, 2)),
                     "resolve kp0.2 ok #2 {}\n");
    cr_expect_str_eq(message(&rig, "#[\"make\",[]]", NO_SLOTS, kp(0, 3)),
                     "resolve kp0.3 ok #\"$0.Alleged: thing\" {ko3.1}\n");
    cr_expect_str_eq(message(&rig, "#[\"make\",[]]", NO_SLOTS, kp(0, 4)),
                     "resolve kp0.4 ok #\"$0.Alleged: thing\" {ko3.2}\n");
    cr_expect_str_eq(message(&rig, "#[\"next\",[]]", NO_SLOTS, kp(0, 5)),
                     "resolve kp0.5 ok #\"$0.Alleged: null\" {ko3.0}\n");
    rig_clear(&rig);
}

/* ---- drives ---- */

Test(native, a_round_sends_one_after_another)
{
    rig_t rig = rig_of(bundle);
    cr_expect_str_eq(message(&rig, "#[\"round\",[\"$0\",2]]", SLOTS(ko(4, 1)), kp(0, 1)),
                     "send ko4.1 #[\"ping\",[]] {} kp3.1\nsubscribe kp3.1\n");
    cr_expect_str_eq(told(&rig, kp(3, 1), false),
                     "send ko4.1 #[\"ping\",[]] {} kp3.2\nsubscribe kp3.2\n");
    cr_expect_str_eq(told(&rig, kp(3, 2), true),
                     "resolve kp0.1 ok #{\"answered\":1,\"rejected\":1,\"sent\":2} {}\n");
    cr_expect_str_eq(message(&rig, "#[\"round\",[\"$0\",0]]", SLOTS(ko(4, 1)), kp(0, 2)),
                     "resolve kp0.2 ok #{\"answered\":0,\"rejected\":0,\"sent\":0} {}\n");
    rig_clear(&rig);
}

Test(native, a_drive_goes_round_its_targets_within_its_window)
{
    rig_t rig = rig_of(bundle);
    cr_expect_str_eq(message(&rig, "#[\"drive\",[[\"$0\",\"$1\"],\"a\",[\"$2.Alleged: z\",7],3,2]]",
                             SLOTS(ko(4, 1), ko(5, 1), ko(6, 1)), kp(0, 1)),
                     "send ko4.1 #[\"a\",[\"$0.Alleged: z\",7]] {ko6.1} kp3.1\nsubscribe kp3.1\n"
                     "send ko5.1 #[\"a\",[\"$0.Alleged: z\",7]] {ko6.1} kp3.2\nsubscribe kp3.2\n");
    cr_expect_str_eq(told(&rig, kp(3, 2), false),
                     "send ko4.1 #[\"a\",[\"$0.Alleged: z\",7]] {ko6.1} kp3.3\nsubscribe kp3.3\n");
    cr_expect_str_eq(reap(&rig), "", "all of them are in use");
    cr_expect_str_eq(told(&rig, kp(3, 1), false), "");
    cr_expect_str_eq(told(&rig, kp(3, 3), false),
                     "resolve kp0.1 ok #{\"answered\":3,\"rejected\":0,\"sent\":3} {}\n");
    cr_expect_str_eq(reap(&rig),
                     "drop_imports ko4.1 ko5.1 ko6.1\nretire_imports ko4.1 ko5.1 ko6.1\n");
    rig_clear(&rig);
}

Test(native, chains_floods_and_churn)
{
    rig_t rig = rig_of(bundle);
    cr_expect_str_eq(message(&rig, "#[\"pipeline\",[\"$0\",2,1]]", SLOTS(ko(4, 1)), kp(0, 1)),
                     "send ko4.1 #[\"next\",[]] {} kp3.1\nsubscribe kp3.1\n"
                     "send kp3.1 #[\"next\",[]] {} kp3.2\nsubscribe kp3.2\n");
    told(&rig, kp(3, 1), false);
    cr_expect_str_eq(told(&rig, kp(3, 2), false),
                     "resolve kp0.1 ok #{\"answered\":2,\"rejected\":0,\"sent\":2} {}\n");
    cr_expect_str_eq(message(&rig, "#[\"flood\",[\"$0\",2]]", SLOTS(ko(4, 1)), kp(0, 2)),
                     "send ko4.1 #[\"hit\",[]] {}\nsend ko4.1 #[\"hit\",[]] {}\n"
                     "send ko4.1 #[\"ping\",[]] {} kp3.3\nsubscribe kp3.3\n");
    cr_expect_str_eq(told(&rig, kp(3, 3), false),
                     "resolve kp0.2 ok #{\"answered\":2,\"rejected\":0,\"sent\":2} {}\n");
    cr_expect_str_eq(
        message(&rig, "#[\"churn\",[\"$0\",2,2]]", SLOTS(ko(4, 1)), (kref_t){0}),
        "send ko4.1 #[\"take\",[\"$0.Alleged: thing\"]] {ko3.1} kp3.4\nsubscribe kp3.4\n"
        "send ko4.1 #[\"take\",[\"$0.Alleged: thing\"]] {ko3.2} kp3.5\nsubscribe kp3.5\n");
    told(&rig, kp(3, 4), false);
    cr_expect_str_eq(told(&rig, kp(3, 5), false), "", "nobody waits");
    rig_clear(&rig);
}

Test(native, no_crank_is_larger_than_a_crank_may_be)
{
    rig_t rig = rig_of(bundle);
    uint64_t hits = 0, more;
    message(&rig, "#[\"drive\",[\"$0\",\"a\",[],20000,4096]]", SLOTS(ko(4, 1)), kp(0, 1));
    cr_expect(strstr(rig.calls, "kp3.4096\n") && !strstr(rig.calls, "kp3.4097"));
    message(&rig, "#[\"flood\",[\"$0\",10000]]", SLOTS(ko(4, 1)), kp(0, 2));
    for (more = 1; hits < 10000; hits += more - 1) {
        uint64_t ping = 0;
        more = 0;
        for (const char *at = rig.calls; (at = strstr(at, "send ")); at++) more++;
        cr_assert(more > 1 &&
                  sscanf(strstr(rig.calls, "subscribe "), "subscribe kp3.%lu", &ping) == 1);
        told(&rig, kp(3, ping), false);
    }
    cr_expect_eq(hits, 10000);
    cr_expect_str_eq(rig.calls,
                     "resolve kp0.2 ok #{\"answered\":10000,\"rejected\":0,\"sent\":10000} {}\n");

    char *large = malloc(5000100);
    strcpy(large, "#[\"drive\",[\"$0\",\"a\",[\"");
    memset(large + strlen(large), 'x', 5000000);
    strcpy(large + 22 + 5000000, "\"],100,100]]");
    message(&rig, large, SLOTS(ko(4, 1)), kp(0, 3));
    cr_expect(rig.crank->calls.len < 25000000 && rig.crank->calls.len > 15000000);
    free(large);
    rig_clear(&rig);
}

Test(native, its_own_answers_count_as_well)
{
    rig_t rig = rig_of(bundle);
    cr_expect_str_eq(message(&rig, "#[\"round\",[\"$0\",2]]", SLOTS(ko(3, 0)), kp(0, 1)),
                     "send ko3.0 #[\"ping\",[]] {} kp3.1\nsubscribe kp3.1\n");
    cr_expect_str_eq(message(&rig, "#[\"ping\",[]]", NO_SLOTS, kp(3, 1)),
                     "resolve kp3.1 " UNDEFINED
                     "send ko3.0 #[\"ping\",[]] {} kp3.2\nsubscribe kp3.2\n");
    cr_expect_str_eq(message(&rig, "#[\"ping\",[]]", NO_SLOTS, kp(3, 2)),
                     "resolve kp3.2 " UNDEFINED
                     "resolve kp0.1 ok #{\"answered\":2,\"rejected\":0,\"sent\":2} {}\n");
    rig_clear(&rig);
}

/* ---- garbage ---- */

static const char *refs(rig_t *rig, msg_tag_t tag, kref_t kref)
{
    msg_deliver_drop_exports_t msg = {.krefs = {&kref, 1}};
    cr_assert_eq(run(rig, tag, &msg), ERR_OK);
    cr_assert_eq(rig->crank->outcome, ERR_OK, "%s", rig->crank->reason);
    return rig->calls;
}

Test(native, a_reap_lets_go_of_what_nothing_needs)
{
    rig_t rig = rig_of(bundle);
    message(&rig, "#[\"hold\",[\"$0\"]]", SLOTS(ko(4, 1)), kp(0, 1));
    cr_expect_str_eq(rig.calls, "resolve kp0.1 ok #1 {}\n");
    message(&rig, "#[\"take\",[\"$0\"]]", SLOTS(ko(4, 2)), kp(0, 2));
    cr_expect_str_eq(reap(&rig), "drop_imports ko4.2\nretire_imports ko4.2\n");
    cr_expect_str_eq(reap(&rig), "");
    message(&rig, "#[\"drop\",[]]", NO_SLOTS, kp(0, 3));
    cr_expect_str_eq(rig.calls, "resolve kp0.3 ok #1 {}\n");
    message(&rig, "#[\"make\",[]]", NO_SLOTS, kp(0, 4));
    message(&rig, "#[\"make\",[]]", NO_SLOTS, kp(0, 5));
    cr_expect_str_eq(refs(&rig, TAG_deliver_drop_exports, ko(3, 1)), "");
    cr_expect_str_eq(refs(&rig, TAG_deliver_drop_exports, ko(3, 2)), "");
    cr_expect_str_eq(refs(&rig, TAG_deliver_retire_exports, ko(3, 2)), "");
    cr_expect_str_eq(refs(&rig, TAG_deliver_drop_exports, ko(3, 0)), "");
    cr_expect_str_eq(reap(&rig),
                     "drop_imports ko4.1\nretire_exports ko3.1\nretire_imports ko4.1\n");
    rig_clear(&rig);
}

/* An export that everybody dropped, and that a drive still sends. */
Test(native, what_is_named_again_is_not_retired)
{
    rig_t rig = rig_of(bundle);
    message(&rig, "#[\"make\",[]]", NO_SLOTS, kp(0, 1));
    message(&rig, "#[\"drive\",[\"$0\",\"a\",[\"$1\"],2]]", SLOTS(ko(4, 1), ko(3, 1)), kp(0, 2));
    refs(&rig, TAG_deliver_drop_exports, ko(3, 1));
    cr_expect_str_eq(reap(&rig), "");
    cr_expect_str_eq(told(&rig, kp(3, 1), false),
                     "send ko4.1 #[\"a\",[\"$0\"]] {ko3.1} kp3.2\nsubscribe kp3.2\n");
    told(&rig, kp(3, 2), false);
    cr_expect_str_eq(reap(&rig), "drop_imports ko4.1\nretire_imports ko4.1\n");
    refs(&rig, TAG_deliver_drop_exports, ko(3, 1));
    cr_expect_str_eq(reap(&rig), "retire_exports ko3.1\n");
    rig_clear(&rig);
}

Test(native, promises_that_arrive_are_waited_for_once)
{
    rig_t rig = rig_of(bundle);
    cr_expect_str_eq(message(&rig, "#[\"take\",[\"&0\"]]", SLOTS(kp(4, 1)), (kref_t){0}),
                     "subscribe kp4.1\n");
    cr_expect_str_eq(message(&rig, "#[\"ping\",[[\"&0\"]]]", SLOTS(kp(4, 1)), kp(0, 1)),
                     "resolve kp0.1 ok #[\"&0\"] {kp4.1}\n");
    /* two that are in each other, settled at once */
    cr_expect_str_eq(message(&rig, "#[\"take\",[\"&0\"]]", SLOTS(kp(4, 2)), (kref_t){0}),
                     "subscribe kp4.2\n");
    const kref_t in_first = kp(4, 2), in_second[] = {kp(4, 1), ko(4, 9), kp(4, 3)};
    resolution_t both[] = {
        {kp(4, 1), false, {{(const uint8_t *)"#[\"&0\"]", 7}, {&in_first, 1}}},
        {kp(4, 2), false, {{(const uint8_t *)"#[\"&0\",\"$1\",\"&2\"]", 17}, {in_second, 3}}}};
    msg_deliver_notify_t msg = {.resolutions = {both, 2}};
    cr_assert_eq(run(&rig, TAG_deliver_notify, &msg), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_OK, "%s", rig.crank->reason);
    cr_expect_str_eq(rig.calls, "subscribe kp4.3\n");
    cr_expect_str_eq(reap(&rig), "drop_imports ko4.9\nretire_imports ko4.9\n");
    rig_clear(&rig);
}

/* ---- bundles ---- */

Test(native, a_bundle_of_another_engine_is_refused_by_the_start)
{
    char script[] = "/tmp/native-script-XXXXXX";
    file_write(script, "{\"moduleFormat\":\"endoScript\",\"source\":\"({})\"}");
    cr_expect(native_bundle(bundle) && native_bundle(other));
    cr_expect_not(native_bundle(script) || native_bundle("/nowhere"));
    rig_t rig = rig_of(other);
    cr_expect_eq(rig.crank->outcome, ERR_BUNDLE_FORMAT);
    cr_expect_str_eq(rig.crank->reason, "no native engine \"warp\"; there is \"null\"");
    rig_clear(&rig);

    rig = rig_of(bundle);
    msg_deliver_upgrade_t upgrade = {.bundle = text_of("b1-x"),
                                     .parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};
    supervisor_bundle(rig.supervisor, script);
    cr_assert_eq(run(&rig, TAG_deliver_upgrade, &upgrade), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_BUNDLE_FORMAT);
    cr_expect_str_eq(rig.crank->reason, "a native vat goes on with a native bundle only");
    rig_clear(&rig);
    unlink(script);
}

Test(native, an_upgrade_begins_again)
{
    rig_t rig = rig_of(bundle);
    message(&rig, "#[\"hit\",[]]", NO_SLOTS, (kref_t){0});
    message(&rig, "#[\"make\",[]]", NO_SLOTS, kp(0, 1));
    msg_deliver_upgrade_t upgrade = {.bundle = text_of("b1-x"),
                                     .parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};
    supervisor_bundle(rig.supervisor, bundle);
    cr_assert_eq(run(&rig, TAG_deliver_upgrade, &upgrade), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_OK, "%s", rig.crank->reason);
    cr_expect_str_eq(rig.calls, "abandon_exports ko3.1\n");
    cr_expect_str_eq(message(&rig, "#[\"count\",[]]", NO_SLOTS, kp(0, 2)),
                     "resolve kp0.2 ok #0 {}\n");
    cr_expect_str_eq(message(&rig, "#[\"make\",[]]", NO_SLOTS, kp(0, 3)),
                     "resolve kp0.3 ok #\"$0.Alleged: thing\" {ko3.2}\n");
    rig_clear(&rig);
}

Test(native, it_keeps_no_more_than_it_may)
{
    rig_t rig = rig_of(bundle);
    engine_destroy(&rig.engine);
    supervisor_destroy(&rig.supervisor);
    vatstore_destroy(&rig.store);
    rig.store = memstore_new();
    rig.engine = native_engine_new(bundle, 20000);
    rig.supervisor = supervisor_new(vat, rig.store, rig.engine);
    rig.d = 0;
    msg_deliver_start_t start = {.parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};
    cr_assert_eq(run(&rig, TAG_deliver_start, &start), ERR_OK);
    const char body[] = "#[\"drive\",[\"$0\",\"a\",[],1000,1000]]";
    kref_t peer = ko(4, 1);
    msg_deliver_message_t msg = {.target = ko(3, 0),
                                 .methargs = {{(const uint8_t *)body, strlen(body)}, {&peer, 1}}};
    cr_assert_eq(run(&rig, TAG_deliver_message, &msg), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_VAT_LIMIT_HEAP);
    cr_expect(rig.crank->dead);
    rig_clear(&rig);
}

/* ---- checkpoints ---- */

/* Another process, at the newest checkpoint. */
static void restart(rig_t *rig)
{
    checkpoint_t at;
    opened_t opened;

    cr_assert_eq(supervisor_checkpoint(rig->supervisor, 0, (bin_t){NULL, 0}), ERR_OK);
    memstore_crash(rig->store);
    supervisor_destroy(&rig->supervisor);
    engine_destroy(&rig->engine);
    rig->engine = native_engine_new(bundle, 0);
    rig->supervisor = supervisor_new(vat, rig->store, rig->engine);
    cr_assert_eq(supervisor_open(rig->supervisor, &opened, &at), ERR_OK);
    cr_assert_eq(opened, OPENED_NEWEST);
    cr_assert_eq(supervisor_last(rig->supervisor), rig->d);
}

typedef struct {
    uint64_t unsettled[64];
    size_t count;
} open_t;

static void find_open(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    open_t *open = context;
    (void)vref, (void)flags;
    if (kref_is_promise(kref) && kref_issuer(kref).n == vat.n && open->count < 64)
        open->unsettled[open->count++] = kref_serial(kref);
}

/* One delivery of a busy life; the same for the same state and DRAW. */
static void live(rig_t *rig, unsigned draw, uint64_t step)
{
    static const char *const asks[] = {
        "#[\"drive\",[[\"$0\",\"$1\"],\"a\",[\"$1\"],9,3]]",
        "#[\"flood\",[\"$0\",3]]",
        "#[\"churn\",[[\"$0\",\"$1\"],5,2]]",
        "#[\"pipeline\",[\"$1\",3,2]]",
        "#[\"hold\",[\"$0\"]]",
        "#[\"drop\",[]]",
        "#[\"make\",[]]",
        "#[\"hit\",[]]",
    };
    open_t open = {.count = 0};

    supervisor_pairs(rig->supervisor, find_open, &open);
    if (open.count && draw % 3 != 0) {
        told(rig, kp(3, open.unsettled[draw % open.count]), draw % 7 == 0);
    } else if (draw % 11 == 0) {
        reap(rig);
    } else {
        message(rig, asks[draw % 8], SLOTS(ko(4, 1 + draw % 5), ko(5, 1 + draw % 3)), kp(0, step));
    }
}

Test(native, where_checkpoints_were_made_shows_in_nothing)
{
    unsigned state = 7;
    rig_t plain = rig_of(bundle), often = rig_of(bundle);

    for (uint64_t step = 1; step < 3000; step++) {
        state = state * 1103515245 + 12345;
        live(&plain, state >> 8 & 0xffff, step);
        live(&often, state >> 8 & 0xffff, step);
        cr_assert(hash_same(plain.crank->result_hash, often.crank->result_hash), "%s\n%s",
                  plain.calls, often.calls);
        if (state >> 28 & 1) restart(&often);
    }
    buf_t one = buf_of(1 << 24), two = buf_of(1 << 24);
    cr_assert(!plain.engine->save(plain.engine, &one) && !often.engine->save(often.engine, &two));
    cr_expect(one.len == two.len && memcmp(one.at, two.at, one.len) == 0);
    buf_clear(&one);
    buf_clear(&two);
    rig_clear(&plain);
    rig_clear(&often);
}

Test(native, damaged_bytes_are_refused_and_the_engine_is_as_new)
{
    rig_t rig = rig_of(bundle);
    message(&rig, "#[\"drive\",[\"$0\",\"a\",[],9,3]]", SLOTS(ko(4, 1)), kp(0, 1));
    buf_t saved = buf_of(1 << 20), again = buf_of(1 << 20);
    cr_assert_eq(rig.engine->save(rig.engine, &saved), ERR_OK);
    engine_t *fresh = native_engine_new(bundle, 0);
    for (size_t i = 0; i < saved.len; i++) {
        saved.at[i] ^= 1;
        cr_assert_eq(fresh->load(fresh, (bin_t){saved.at, saved.len}), ERR_SNAPSHOT_UNREADABLE);
        saved.at[i] ^= 1;
        cr_assert_eq(fresh->load(fresh, (bin_t){saved.at, i}), ERR_SNAPSHOT_UNREADABLE);
    }
    cr_assert_eq(fresh->load(fresh, (bin_t){saved.at, saved.len}), ERR_OK);
    cr_assert_eq(fresh->save(fresh, &again), ERR_OK);
    cr_expect(again.len == saved.len && memcmp(again.at, saved.at, saved.len) == 0);
    engine_destroy(&fresh);
    buf_clear(&saved);
    buf_clear(&again);
    rig_clear(&rig);
}
