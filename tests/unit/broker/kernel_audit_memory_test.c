/* What only memory can have wrong: lists, marks, links and counters that a start makes again. This is
 * the one test that looks behind the kernel's door, because there is no honest way to break them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/own.h"
#include "broker/kernel/state/state.h"
#include "tests/support/kernel_rig.h"

static buf_t calls;
static rig_t *rig;
static kernel_t *k;
static char lines[32][400];
static size_t line_count;

static void call(uint32_t vat)
{
    msg_call_t msg = {.request = rig_id(rig),
                      .target = kref_root((vat_t){vat}),
                      .no_result = 1,
                      .methargs = rig_data("#[\"go\",[]]", NULL, 0)};
    cr_assert_eq(rig_ask(rig, TAG_call, &msg)->tag, TAG_sent);
}

/* alice gave bob ko1.1 and ko1.2, and both have one message in flight and two queued; window 1. */
static void set_up(void)
{
    calls = buf_of(CRANK_BYTES_MAX);
    rig = rig_new();
    rig_host(rig, 1);
    rig_launch(rig, "alice bob carol", &(rig_launch_t){.window = 1});
    kref_t things[] = {ko(1, 1), ko(1, 2)}, nothing = {0};
    call_send(&calls, ko(2, 0), "#[\"take\",[\"$0\",\"$1\"]]", things, 2, nothing);
    rig_result(rig, 1, &calls);
    rig_run_dry(rig);
    for (int i = 0; i < 3; i++) {
        call(1);
        call(2);
    }
    k = rig_kernel(rig);
}

static void tear_down(void)
{
    rig_destroy(&rig);
    buf_clear(&calls);
}

TestSuite(memory, .init = set_up, .fini = tear_down);

static void note(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    cr_assert_lt(line_count, 32);
    snprintf(lines[line_count++], sizeof *lines, "%s  %s: %s", rule, row, should);
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

/* Exactly these, in the order of their text. */
static void expect(const char *const *wanted)
{
    line_count = 0;
    cr_expect_eq(kernel_audit(k, note, NULL), line_count);
    qsort(lines, line_count, sizeof *lines, by_text);
    size_t count = 0;
    for (; wanted[count]; count++)
        cr_expect_str_eq(count < line_count ? lines[count] : "nothing more", wanted[count]);
    for (; count < line_count; count++) cr_expect_fail("and also: %s", lines[count]);
}

#define EXPECT(...) expect((const char *const[]){__VA_ARGS__, NULL})

static held_t *row(uint32_t vat, kref_t kref) { return held_find(vat_find(k, vat), kref); }

Test(memory, as_it_is_it_is_whole) { EXPECT(NULL); }

/* bob drops the things, and retires one of them: both are due for alice, who is busy. */
static void drop_things(void)
{
    kref_t things[] = {ko(1, 1), ko(1, 2)};
    call_refs(&calls, TAG_drop_imports, things, 2);
    call_refs(&calls, TAG_retire_imports, &things[0], 1);
    rig_result(rig, 2, &calls);
    EXPECT(NULL);
}

Test(memory, k8_k9_k38_what_is_due)
{
    drop_things();
    row(1, ko(1, 1))->due[DUE_DROP] = false;
    EXPECT(
        "K8  object ko1.1: out of reach, and its owner v1 was not told: dropExports should be due");
    row(1, ko(1, 1))->due[DUE_DROP] = true;
    row(1, ko(1, 1))->due[DUE_RETIRE_EXPORT] = false;
    EXPECT("K9  object ko1.1: recognized by nobody: retireExports to v1 should be due");
    row(1, ko(1, 1))->due[DUE_RETIRE_EXPORT] = true;
    row(1, ko(1, 0))->due[DUE_DROP] = true;
    EXPECT("K38  vat v1: 3 krefs are marked as due for GC, should be in its list, where 2 are");
}

/* alice ends: bob, who only recognizes ko1.2, is due to hear of it. */
Test(memory, k9_orphans)
{
    drop_things();
    msg_kill_t kill = {rig_id(rig), {1}, text_of("enough")};
    rig_ask(rig, TAG_kill, &kill);
    EXPECT(NULL);
    row(2, ko(1, 2))->due[DUE_RETIRE_IMPORT] = false;
    EXPECT("K9  held v2 ko1.2: of an orphan out of reach: retireImports should be due");
}

Test(memory, k11_k12_k14_promises)
{
    promise_t *promise = NULL;
    for (size_t i = 0; i < k->promises.room; i++) {
        promise_t *one = map_cell(&k->promises, i);
        if (one) promise = one;
    }
    cr_assert(promise && promise->row.decider == 1, "bootstrap's, which alice did not settle");
    promise->row.state = 7;
    EXPECT("K11  promise kp0.1: state is 7, should be 0, 1 or 2",
           "K12  promise kp0.1: in the list of what v1 decides, should not be",
           "K14  promise kp0.1: settled, its decider is v1, should be 0",
           "K14  promise kp0.1: settled, should have a value and has none");
    promise->row.state = PROMISE_UNRESOLVED;
    value_t *value = value_new((bin_t){(const uint8_t *)"#1", 2}, NULL, 0);
    promise->value = value;
    EXPECT("K14  promise kp0.1: unresolved, should have no value and has one");
    promise->value = NULL;
    value_destroy(&value);
    kvat_t *alice = vat_find(k, 1);
    alice->decides = NULL;
    EXPECT("K12  promise kp0.1: should be in the list of what its decider v1 decides");
    alice->decides = promise;
}

Test(memory, k22_links)
{
    held_t *held = row(2, ko(1, 1));
    held->vat = vat_find(k, 1);
    EXPECT("K22  held v2 ko1.1: should be in the list of the holders of what it names");
    held->vat = vat_find(k, 2);
}

/* Its rows are still there, and nobody is to clean them up. */
Test(memory, k2_k26_an_ended_vat_that_is_not_cleaned)
{
    rig_no_chores(rig);
    kref_t promise = kref_promise((vat_t){3}, 1), nothing = {0};
    call(3);
    for (uint64_t n = 1; n < 30; n++) {
        kref_t thing = ko(3, n);
        call_send(&calls, ko(3, 0), "#[\"keep\",[\"$0\"]]", &thing, 1, nothing);
    }
    call_subscribe(&calls, promise);
    rig_result(rig, 3, &calls);
    kvat_t *carol = vat_find(k, 3);
    msg_kill_t kill = {rig_id(rig), {3}, text_of("enough")};
    rig_ask(rig, TAG_kill, &kill);
    cr_assert(carol->cleaning && carol->held.count > 2);
    EXPECT(NULL);
    line_count = 0;
    carol->cleaning = false;
    kernel_audit(k, note, NULL);
    carol->cleaning = true;
    size_t k2 = 0, k26 = 0;
    for (size_t i = 0; i < line_count; i++) {
        k2 += strstr(lines[i], "its owner v3 is not alive, should be 0: an orphan") != NULL;
        k26 += strncmp(lines[i], "K26  vat v3: ended: ", 20) == 0;
    }
    cr_expect_gt(k2, 0);
    cr_expect_eq(k26, 1);
}

Test(memory, k30_k45_queues)
{
    kvat_t *alice = vat_find(k, 1);
    entry_t *first = alice->queue.head;
    uint64_t seq = first->row.seq, next = first->next->row.seq;
    char a[200], b[200];
    alice->queue.count = 5;
    alice->busy = 6;
    alice->cluster->busy += 3;
    k->busy += 3;
    EXPECT("K30  vat v1: the length of its queue is 5, should be 2");
    alice->queue.count = 2;
    alice->busy = 3;
    alice->cluster->busy -= 3;
    k->busy -= 3;
    first->row.seq = next + 1;
    k->next_entry += 1;
    snprintf(a, sizeof a, "K30  entry v1 %llu: stands behind %llu, should stand before it",
             (unsigned long long)next, (unsigned long long)next + 1);
    EXPECT(a);
    k->next_entry -= 1;
    first->row.seq = seq;
    first->row.holder = 2;
    snprintf(b, sizeof b, "K30  entry v2 %llu: stands in another queue than its own",
             (unsigned long long)seq);
    EXPECT(b);
    first->row.holder = 1;
    k->next_entry = next;
    size_t above = 0;
    line_count = 0;
    kernel_audit(k, note, NULL);
    for (size_t i = 0; i < line_count; i++) above += strncmp(lines[i], "K45  entry v2 ", 14) == 0;
    cr_expect_eq(above, 1);
}

Test(memory, k36_k37_k40_work)
{
    kvat_t *alice = vat_find(k, 1);
    alice->busy++;
    EXPECT("K36  cluster s1: busy is 6, should be 7", "K36  kernel e1: busy is 6, should be 7",
           "K36  vat v1: busy is 4, should be 3");
    alice->busy--;
    alice->row.window = 2;
    EXPECT(
        "K37  vat v1: its queue is not empty and its window open: the first should be in flight");
    alice->row.window = 1;
    vat_find(k, 3)->row.reap_asked = 1;
    EXPECT("K37  vat v3: GC or a reap is due: it should be in flight");
    vat_find(k, 3)->row.reap_asked = 0;
    alice->cluster->row.serial = 1;
    EXPECT(
        "K37  cluster s1: in a serial cluster, the number of cranks in flight is 2, should be 1");
    alice->cluster->row.serial = 0;
    k->doubtful_count = 1;
    EXPECT("K40  kernel e1: the number of krefs that may have no reference left is 1, should be 0");
    k->doubtful_count = 0;
}

Test(memory, k31_x1_numbers)
{
    kvat_t *alice = vat_find(k, 1);
    alice->log->row.d++;
    EXPECT("K31  vat v1: delivery 4 in flight, should be 3");
    alice->log->row.d--;
    alice->row.safe = 9;
    EXPECT(
        "X1  vat v1: safe is 9, should be at most applied, 2",
        "X13  vat v1: safe, oldest, checkpoint, assigned are 9, 0, 0, 3, should be in that order");
    alice->row.safe = 0;
}

Test(memory, x13_x14_x15_k58_what_a_vat_starts_from)
{
    kvat_t *alice = vat_find(k, 1);
    alice->row.checkpoint = 4;
    EXPECT(
        "X13  vat v1: safe, oldest, checkpoint, assigned are 0, 0, 4, 3, should be in that order");
    alice->row.checkpoint = 2;
    EXPECT(NULL);
    alice->checkpoint_chain.b[0] = 1;
    EXPECT("X2  vat v1: the chain of its checkpoint at applied, 2, should be that of the log");
    alice->checkpoint_chain = alice->chain;
    alice->row.oldest = 1;
    EXPECT("X14  vat v1: its log begins behind 0, should be trimmed up to 1");
    alice->row.oldest = alice->row.checkpoint = 0;
    alice->row.skips = 3;
    EXPECT("X1  vat v1: given up from 3 on, should be at most applied, 2");
    alice->row.skips = 0;
    divergence_t divergence = {.row = {.vat = 1, .d = 2}};
    alice->divergence = &divergence;
    EXPECT("X15  vat v1: delivery 2 diverged, should be applied, and the vat in quarantine");
    alice->divergence = NULL;
    alice->log->row.attempts = POISON_ATTEMPTS;
    EXPECT("K58  vat v1: delivery 3 cost 3 workers, should be given up by then");
    alice->log->row.attempts = 0;
}

Test(memory, k48_requests)
{
    cr_assert(k->request_head && k->request_head->next);
    uint64_t seq = k->request_head->row.seq;
    k->request_head->row.seq = k->request_head->next->row.seq;
    char text[200];
    snprintf(text, sizeof text, "K48  request %llu: stands behind %llu, should be greater",
             (unsigned long long)k->request_head->row.seq,
             (unsigned long long)k->request_head->row.seq);
    EXPECT(text);
    k->request_head->row.seq = seq;
    k->request_count++;
    EXPECT("K48  requests #8: how many there are is 8, should be 7");
    k->request_count--;
}

/* ---- timers ---- */

static ktimer_t *timer(unsigned kind, uint64_t due, kref_t target)
{
    return timer_new(k,
                     (row_timer_t){.kind = kind, .due_ms = due, .cluster = 1, .target = target.n});
}

static kref_t promise(void)
{
    kref_t kref = kref_promise((vat_t){0}, count_up(k, COUNTER_next_promise));
    promise_new(k, kref);
    return kref;
}

Test(memory, k45_k55_k56_timers_in_order)
{
    ktimer_t *first = timer(TIMER_WAKE, 100, ko(2, 0)), *second = timer(TIMER_WAKE, 90, ko(2, 0));
    timer(TIMER_WAKE, 95, ko(2, 0));
    collect(k);
    EXPECT(NULL);
    second->row.due_ms = 96;
    EXPECT("K55  timer 3: stands behind timer 2, should stand before it");
    second->row.due_ms = 90;
    second->place = 0;
    EXPECT("K55  timer 2: should be in the heap when it is due");
    second->place = 1;
    k->counters[COUNTER_next_timer].value = 2;
    EXPECT("K45  timer 3: its number should be at most next_timer, 2");
    k->counters[COUNTER_next_timer].value = 3;
    cluster_find(k, 1)->timer_count = 4;
    EXPECT("K56  cluster s1: the number of its timers is 4, should be 3");
    cluster_find(k, 1)->timer_count = 3;
    first->row.cluster = 7;
    EXPECT("K54  timer 1: of cluster s7, which should be there and is not",
           "K56  cluster s1: the number of its timers is 3, should be 2");
    first->row.cluster = 1;
    timer_schedule(k, first, 0);
    EXPECT("K54  timer 1: should be due some time");
}

Test(memory, k54_what_timers_are_for)
{
    kref_t kref = promise();
    ktimer_t *wake = timer(TIMER_WAKE, 100, ko(2, 0)), *settle = timer(TIMER_PROMISE, 100, kref);
    collect(k);
    EXPECT(NULL);
    wake->row.kind = TIMER_PROMISE;
    EXPECT("K54  timer 1: should have a promise");
    wake->row.kind = TIMER_REPEAT;
    EXPECT("K54  timer 1: repeats, should have an interval");
    wake->row.interval_ms = 10;
    EXPECT(NULL);
    timer_schedule(k, wake, 0);
    EXPECT("K54  timer 1: the number of answers it waits for is 0, should be 1");
    timer_schedule(k, wake, 100);
    wake->row.kind = TIMER_WAKE;
    settle->row.kind = TIMER_WAKE;
    EXPECT("K54  timer 2: should have a handler");
    settle->row.kind = TIMER_UPDATE;
    EXPECT("K54  timer 2: should belong to a notifier that runs");
    settle->row.kind = TIMER_TIMEOUT;
    EXPECT("K54  timer 2: a timeout, should be of a live vat and nothing else");
    settle->row.vat = 1;
    EXPECT("K54  timer 2: should be the only one of its vat with that number");
    settle->row.vat = 0;
    settle->row.kind = TIMER_PROMISE;
    EXPECT(NULL);
}

/* ---- answers, errands, the agent ---- */

Test(memory, k51_lists_of_answers)
{
    kref_t kref = promise();
    pending_t *pending = pending_new(k, PENDING_DONE, kref, vat_find(k, 1), (kref_t){0});
    collect(k);
    EXPECT(NULL);
    pending->row.vat = 2;
    char text[100], name[KREF_TEXT_MAX];
    snprintf(text, sizeof text, "K51  pending %s: in the list of something else",
             kref_text(kref, name));
    EXPECT(text);
    pending->row.vat = 1;
    pending_t **at = pending->at;
    *at = NULL;
    snprintf(
        text, sizeof text,
        "K51  pending %s: should be in the list of what it waits for, if that is a vat or promise",
        kref_text(kref, name));
    EXPECT(text);
    *at = pending;
}

Test(memory, k52_k57_errands_and_their_agent)
{
    const msg_launch_channel_t io = {text_of("io"), text_of("console"), text_of(""), 1, 0};
    cr_assert_eq(rig_launch(rig, "dave", &(rig_launch_t){.channel = &io})->tag, TAG_launched);
    call_send(&calls, ko(0, 1), "#[\"read\",[]]", NULL, 0, kref_promise((vat_t){4}, 1));
    rig_result(rig, 4, &calls);
    EXPECT(NULL);
    kcluster_t *cluster = cluster_find(k, 2);
    cluster->errand_count++;
    EXPECT("K52  cluster s2: the number of its errands is 2, should be 1");
    cluster->errand_count--;
    k->channel_count++;
    EXPECT("K52  kernel e1: the number of IO channels is 2, should be 1");
    k->channel_count--;
    k->agent = AGENT_NONE;
    EXPECT("K57  kernel e1: an agent has something to do, and should be wanted");
    k->agent = AGENT_HERE;
    errand_t *errand = cluster->errands;
    cr_assert(errand && errand->pending);
    errand->pending->row.kind = PENDING_PING;
    EXPECT("K52  errand 1: who waits for it should know it");
    errand->pending->row.kind = PENDING_ERRAND;
    cluster->errands = NULL;
    EXPECT("K52  cluster s2: the number of its errands is 1, should be 0",
           "K52  kernel e1: the number of errands is 1, should be 0");
    cluster->errands = errand;
    vat_find(k, 4)->errands = errand;
    EXPECT("K52  cluster s2: the number of its errands is 1, should be 2",
           "K52  errand 1: in the list of something else",
           "K52  kernel e1: the number of errands is 1, should be 2");
    vat_find(k, 4)->errands = NULL;
}

/* A hundred thousand timers are too many to make here: the cluster only believes that it has them, for
 * one step that the rig does not see. */
Test(memory, a_cluster_has_no_more_timers_than_it_may)
{
    static const char *const bodies[] = {
        "#[\"delay\",[5]]", "#[\"setWakeup\",[\"+9000000000000\",\"$0\"]]",
        "#[\"repeatAfter\",[5,5,\"$0\"]]", "#[\"makeNotifier\",[5,5,\"$0\"]]"};
    kcluster_t *cluster = cluster_find(k, 1);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        kref_t service = service_kref(service_known(k, SERVICE_timer, cluster)), bob = ko(2, 0);
        uint64_t result = k->counters[COUNTER_next_promise].value + 1;
        msg_call_t call = {rig_id(rig), service, rig_data(bodies[i], &bob, 1), 0};
        msg_t msg = {.tag = TAG_call, .body.call = call};
        input_t input = {.kind = INPUT_CLIENT, .from = 1, .msg = &msg};
        effects_t effects = {0};
        cluster->timer_count = TIMERS_MAX;
        kernel_step(k, &input, &effects);
        cr_expect_eq(cluster->timer_count, TIMERS_MAX);
        cluster->timer_count = 0;
        effects_clear(&effects);
        const promise_t *promise = promise_find(k, kref_promise((vat_t){0}, result));
        cr_assert_not_null(promise);
        capdata_t data = value_data(promise->value);
        cr_expect(rig_body_is(&data,
                              "#{\"#error\":\"the cluster has 100000 timers open, as many as it "
                              "may\",\"name\":\"Error\"}"),
                  "%.*s", (int)data.body.len, (const char *)data.body.at);
    }
    EXPECT(NULL);
}
