/* What another kernel of this kind got wrong inside: counts, lists and queues, told as stories. Suites
 * have the number that the defect has in the survey which the project started from; what vats in
 * JavaScript see of them is in tests/conformance/peer_test.py. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/world.h"
#include "tests/support/kernel_rig.h"

#define TERMINATED "rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"} {}"

/* ---- an actor does what the method of a message says ----
 *
 *   send TARGET METHOD SLOTS RESULT   slots with commas between, - for none, likewise the result
 *   sub P, ok P EXPORT-OR-WORD, drop REF, retire REF, own REF (retires an export), fail
 *   ask TARGET METHOD P               send and sub
 *
 * several with " ; " between. `make` answers with a new export, o+20 and on, `ping` with "pong". */

typedef struct {
    unsigned made;
} actor_t;

typedef struct {
    char word[5][48];
} command_t;

static void send_call(const engine_host_t *host, const command_t *c, const char *result)
{
    char body[96], slots[48] = "";
    int len = snprintf(body, sizeof body, "#[\"%s\",[", c->word[2]);
    unsigned n = 0;
    if (strcmp(c->word[3], "-") != 0) {
        snprintf(slots, sizeof slots, "%s", c->word[3]);
        for (char *at = slots, *next; at; at = next, n++) {
            if ((next = strchr(at, ','))) *next++ = ' ';
            char kind = *at == 'o' ? '$' : '&';
            len += snprintf(body + len, sizeof body - (size_t)len, "%s\"%c%u\"", n ? "," : "", kind, n);
        }
    }
    snprintf(body + len, sizeof body - (size_t)len, "]]");
    cr_expect_eq(script_send(host, c->word[1], body, slots, *result == '-' ? "" : result), ERR_OK);
}

static void resolve_call(const engine_host_t *host, const command_t *c)
{
    char body[64];
    bool slot = strncmp(c->word[2], "o+", 2) == 0;
    snprintf(body, sizeof body, "#\"%s\"", slot ? "$0" : c->word[2]);
    cr_expect_eq(script_resolve(host, c->word[1], false, body, slot ? c->word[2] : ""), ERR_OK);
}

static void run(const engine_host_t *host, const command_t *c)
{
    const char *verb = c->word[0];
    if (strcmp(verb, "send") == 0) {
        send_call(host, c, c->word[4]);
    } else if (strcmp(verb, "ask") == 0) {
        command_t ask = *c;
        snprintf(ask.word[3], sizeof *ask.word, "-");
        send_call(host, &ask, c->word[3]);
        cr_expect_eq(script_subscribe(host, c->word[3]), ERR_OK);
    } else if (strcmp(verb, "sub") == 0) {
        cr_expect_eq(script_subscribe(host, c->word[1]), ERR_OK);
    } else if (strcmp(verb, "ok") == 0) {
        resolve_call(host, c);
    } else if (strcmp(verb, "drop") == 0) {
        cr_expect_eq(script_refs(host, TAG_drop_imports, c->word[1]), ERR_OK);
    } else if (strcmp(verb, "retire") == 0) {
        cr_expect_eq(script_refs(host, TAG_retire_imports, c->word[1]), ERR_OK);
    } else if (strcmp(verb, "own") == 0) {
        cr_expect_eq(script_refs(host, TAG_retire_exports, c->word[1]), ERR_OK);
    } else if (strcmp(verb, "fail") == 0) {
        cr_expect_eq(script_exit(host, true, "#\"no\"", ""), ERR_OK);
    } else {
        cr_expect_fail("no command %s", verb);
    }
}

static void run_all(const engine_host_t *host, char *text)
{
    for (char *at = text, *next; at; at = next) {
        command_t c = {{{0}}};
        if ((next = strstr(at, " ; "))) {
            *next = '\0';
            next += 3;
        }
        sscanf(at, "%47s %47s %47s %47s %47s", c.word[0], c.word[1], c.word[2], c.word[3], c.word[4]);
        run(host, &c);
    }
}

static void actor(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    actor_t *self = context;
    char method[1024], result[48], made[16];
    (void)ret;
    if (delivery->tag == TAG_deliver_start) *self = (actor_t){0};
    if (delivery->tag != TAG_deliver_message) return;
    cr_assert_lt(delivery->data.body.len, sizeof method);
    snprintf(method, sizeof method, "%.*s", (int)delivery->data.body.len - 3, (const char *)delivery->data.body.at + 3);
    *strchr(method, '"') = '\0';
    snprintf(result, sizeof result, "%.*s", (int)delivery->result.s.len, delivery->result.s.at);

    if (strchr(method, ' ')) run_all(host, method);
    if (strcmp(method, "fail") == 0) run_all(host, method);
    if (strcmp(method, "hold") == 0 || !*result) return;
    snprintf(made, sizeof made, "o+%u", 20 + self->made);
    bool make = strcmp(method, "make") == 0;
    self->made += make;
    cr_expect_eq(script_resolve(host, result, false, make ? "#\"$0\"" : "#\"pong\"", make ? made : ""), ERR_OK);
}

/* ---- a world of three actors ---- */

static actor_t memory[3];

/* alice names bob o-50 and carol o-51; bob names alice o-50 and carol o-51. */
static world_t *begin(unsigned window, unsigned seed)
{
    static const char *names[] = {"alice", "bob", "carol"};
    world_t *world = world_new(seed);
    for (unsigned i = 0; i < 3; i++) world_vat(world, names[i], actor, &memory[i]);
    world_window(world, window);
    world_launch(world);
    world_settle(world);
    return world;
}

/* What the actor NAME is told to do; the answer lets go of everything that is about the telling. */
static void tell(world_t *world, const char *name, const char *commands)
{
    char body[1024];
    snprintf(body, sizeof body, "#[\"%s\",[]]", commands);
    unsigned call = world_call(world, world_root(world, name), body);
    world_settle(world);
    cr_assert_str_eq(world_answer(world, call), "ok #\"pong\" {}", "%s: %s", name, commands);
}

static void meet(world_t *world) { tell(world, "alice", "send o-50 meet o+0,o-51 -"); }

static unsigned heard(world_t *world, const char *name, const char *what)
{
    unsigned n = 0;
    for (const char *at = world_heard(world, name); (at = strstr(at, what)); at++) n++;
    return n;
}

typedef struct {
    size_t objects, promises, held;
} rows_t;

static rows_t rows_of(const world_t *world)
{
    return (rows_t){world_rows(world, ROW_object), world_rows(world, ROW_promise), world_rows(world, ROW_held)};
}

static void same_rows(const world_t *world, rows_t before)
{
    rows_t now = rows_of(world);
    cr_assert_eq(now.objects, before.objects, "%zu objects, %zu before", now.objects, before.objects);
    cr_assert_eq(now.promises, before.promises, "%zu promises, %zu before", now.promises, before.promises);
    cr_assert_eq(now.held, before.held, "%zu held, %zu before", now.held, before.held);
}

/* A story in windows of 1, 4 and 16, in several orders. */
typedef void plot_t(world_t *world);
static void in_all_ways(plot_t *plot)
{
    static const unsigned windows[] = {1, 4, 16};
    for (unsigned w = 0; w < 3; w++) {
        for (unsigned seed = 0; seed < 6; seed++) {
            world_t *world = begin(windows[w], seed);
            plot(world);
            world_destroy(&world);
        }
    }
}

/* ---- 2 ---- */

static void pipelines(world_t *world)
{
    for (unsigned n = 1; n <= 10; n++) {
        rows_t before = rows_of(world);
        char commands[1024], thing[24], line[64];
        int len = snprintf(commands, sizeof commands, "ask o-50 make p+%u", 100 * n);
        for (unsigned i = 1; i <= n; i++)
            len += snprintf(commands + len, sizeof commands - (size_t)len, " ; ask p+%u ping p+%u", 100 * n,
                            100 * n + i);
        tell(world, "alice", commands);
        snprintf(thing, sizeof thing, "o+%u", 19 + n);
        snprintf(line, sizeof line, "message %s #[\"ping\"", thing);
        cr_assert_eq(heard(world, "bob", line), n);
        snprintf(line, sizeof line, "drop_exports %s\n", thing);
        cr_assert_eq(heard(world, "bob", line), 0, "alice holds it");

        snprintf(commands, sizeof commands, "ask o-%u ping p+%u", 51 + n, 100 * n + 50);
        tell(world, "alice", commands);
        snprintf(commands, sizeof commands, "drop o-%u ; retire o-%u", 51 + n, 51 + n);
        tell(world, "alice", commands);
        cr_assert_eq(heard(world, "bob", line), 1);
        same_rows(world, before);
    }
}
Test(peer_09_02, pipelining_keeps_its_target) { in_all_ways(pipelines); }

/* ---- 3 ---- */

static void two_importers(world_t *world)
{
    meet(world);
    rows_t before = rows_of(world);
    tell(world, "bob", "send o-50 take o+7 - ; send o-51 take o+7 -");
    tell(world, "alice", "drop o-52 ; retire o-52");
    cr_assert_eq(heard(world, "bob", "drop_exports"), 0);
    tell(world, "carol", "ask o-50 ping p+5");
    cr_assert_eq(heard(world, "bob", "message o+7 #[\"ping\""), 1);
    tell(world, "carol", "drop o-50 ; retire o-50");
    cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 1);
    cr_assert_eq(heard(world, "bob", "retire_exports o+7\n"), 1);
    same_rows(world, before);
}
Test(peer_09_03, each_importer_counts) { in_all_ways(two_importers); }

/* ---- 4 ---- */

static void many_messages(world_t *world)
{
    tell(world, "alice", "ask o-50 ping p+5");
    rows_t before = rows_of(world);
    for (unsigned round = 1; round <= 8; round++) {
        char commands[1024];
        int len = 0;
        for (unsigned i = 0; i < 10; i++)
            len += snprintf(commands + len, sizeof commands - (size_t)len, "%sask o-50 ping p+%u", i ? " ; " : "",
                            100 * round + i);
        tell(world, "alice", commands);
        same_rows(world, before);
    }
}
Test(peer_09_04, settled_promises_are_forgotten) { in_all_ways(many_messages); }

/* ---- 5 ---- */

static void unknown_targets(world_t *world)
{
    kref_t unknown[] = {kref_promise((vat_t){0}, 999), kref_promise((vat_t){2}, 77), kref_object((vat_t){2}, 99),
                        kref_promise((vat_t){99}, 1)};
    for (unsigned i = 0; i < 4; i++) {
        unsigned call = world_call(world, unknown[i], "#[\"ping\",[]]");
        world_settle(world);
        cr_assert_str_eq(world_answer(world, call), "failed REF_UNKNOWN");
    }
    tell(world, "bob", "send o+0 ping - -");
}
Test(peer_09_05, targets_that_are_not_there) { in_all_ways(unknown_targets); }

/* alice and carol wait for bob, hold things of his and he of theirs. They end before he answers, or while
 * he does; what was queued for them, and due for collection, goes with them. */
static void dead_listeners(unsigned window, unsigned seed, unsigned moves)
{
    world_t *world = begin(window, seed);
    meet(world);
    tell(world, "alice", "ask o-50 hold p+5");
    tell(world, "alice", "send o-51 listen p+5 -");
    tell(world, "carol", "sub p-60");
    tell(world, "bob", "send o-50 take o+7 - ; send o-51 take o+7 -");
    tell(world, "alice", "send o-50 take o+8 -");
    tell(world, "alice", "drop o-52");
    world_call(world, world_root(world, "bob"), "#[\"ok p-60 late\",[]]");
    for (unsigned i = 0; i < moves; i++) world_move(world);
    world_kill_vat(world, "alice");
    world_kill_vat(world, "carol");
    world_reap(world, "alice");
    world_settle(world);
    world_reap(world, "carol");
    world_reap(world, NULL);
    world_settle(world);
    cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 1);
    cr_assert_eq(heard(world, "bob", "retire_exports o+7\n"), 1);
    cr_assert_eq(heard(world, "bob", "reap\n"), 1, "%s", world_heard(world, "bob"));
    unsigned call = world_call(world, world_root(world, "bob"), "#[\"ask o-52 ping p+9\",[]]");
    world_settle(world);
    cr_assert_str_eq(world_answer(world, call), "ok #\"pong\" {}");
    cr_assert_eq(heard(world, "bob", "p+9 " TERMINATED), 1);
    world_destroy(&world);
}

Test(peer_09_05, what_is_due_for_the_dead)
{
    static const unsigned windows[] = {1, 4, 16};
    for (unsigned w = 0; w < 3; w++)
        for (unsigned moves = 0; moves < 14; moves++) dead_listeners(windows[w], moves % 5, moves);
}

/* ---- 6 ---- */

/* All that bob decides is found when he ends, and nothing else. */
static void many_callers(world_t *world)
{
    char line[96];
    tell(world, "alice", "ask o-50 hold p+5 ; ask o-51 hold p+6 ; ask o-50 hold p+7 ; ask o-50 hold p+8");
    tell(world, "alice", "send o-51 listen p+7 -");
    tell(world, "carol", "sub p-61");
    world_kill_vat(world, "bob");
    world_settle(world);
    for (unsigned p = 5; p <= 8; p++) {
        snprintf(line, sizeof line, "p+%u rejected", p);
        cr_assert_eq(heard(world, "alice", line), p == 6 ? 0 : 1, "%s", world_heard(world, "alice"));
    }
    cr_assert_eq(heard(world, "carol", "p-61 " TERMINATED), 1, "%s", world_heard(world, "carol"));
}
Test(peer_09_06, whoever_waits_for_the_dead_is_told) { in_all_ways(many_callers); }

/* ---- 8 ---- */

/* A message for a promise that is settled already, or is settled while it waits, or with something that is no
 * target: nobody's message is lost. */
static void late_messages(world_t *world)
{
    kref_t promise = kref_promise((vat_t){1}, 1), other = kref_promise((vat_t){1}, 2);
    tell(world, "alice", "ask o-50 hold p+5 ; ask o-50 hold p+6 ; send p+5 one - - ; send p+6 one - p+7 ; sub p+7");
    unsigned waits = world_call(world, promise, "#[\"two\",[]]");
    world_settle(world);
    cr_assert_str_eq(world_answer(world, waits), "");
    tell(world, "bob", "send o+0 take p-60,p-61 -"); /* his own: settled, and then told about them */
    tell(world, "bob", "ok p-60 o+7 ; ok p-61 data");
    unsigned late = world_call(world, promise, "#[\"three\",[]]"), bad = world_call(world, other, "#[\"four\",[]]");
    world_settle(world);
    cr_assert_str_eq(world_answer(world, waits), "ok #\"pong\" {}");
    const char *answer = world_answer(world, late);
    cr_assert(strcmp(answer, "ok #\"pong\" {}") == 0 || strcmp(answer, "failed REF_UNKNOWN") == 0, "%s", answer);
    cr_assert_neq(*world_answer(world, bad), 0);
    cr_assert_eq(heard(world, "bob", "message o+7 #[\"one\""), 1);
    cr_assert_eq(heard(world, "bob", "message o+7 #[\"two\""), 1);
    cr_assert_eq(heard(world, "alice", "p+7 rejected #{\"#error\":\"[KERNEL:BAD_PROMISE_RESOLUTION]"), 1);
}
Test(peer_09_08, messages_to_settled_promises_arrive) { in_all_ways(late_messages); }

/* ---- 9 ---- */

static void both_export(world_t *world)
{
    meet(world);
    tell(world, "alice", "send o-50 take o+1,o+2,o+3 -");
    tell(world, "bob", "send o-50 take o+1,o+2,o+3 -"); /* alice: o-52 to o-54; bob has hers as o-52 to o-54 */
    rows_t before = rows_of(world);
    tell(world, "alice", "drop o-53 ; retire o-53");
    cr_assert_eq(heard(world, "bob", "drop_exports o+2\n"), 1);
    cr_assert_eq(heard(world, "bob", "retire_exports o+2\n"), 1);
    cr_assert_eq(heard(world, "bob", "_exports"), 2);
    cr_assert_eq(heard(world, "alice", "_exports"), 0);
    tell(world, "bob", "drop o-54 ; retire o-54");
    cr_assert_eq(heard(world, "alice", "drop_exports o+3\n"), 1);
    cr_assert_eq(heard(world, "alice", "_exports"), 2);
    cr_assert_eq(heard(world, "bob", "_exports"), 2);
    cr_assert_eq(heard(world, "alice", "_imports") + heard(world, "bob", "_imports"), 0);
    cr_assert_eq(rows_of(world).objects, before.objects - 2);
    tell(world, "alice", "ask o-52 ping p+5 ; ask o-54 ping p+6");
    tell(world, "bob", "ask o-52 ping p+5 ; ask o-53 ping p+6");
}
Test(peer_09_09, what_is_dropped_is_dropped_at_its_owner) { in_all_ways(both_export); }

/* ---- 10 ---- */

/* A result with a gap before it is not taken; the one that is due is, and then the other. */
Test(peer_09_10, a_gap_is_not_accepted)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.window = 4};
    cr_assert_eq(rig_launch(rig, "alice", &options)->tag, TAG_launched);
    rig_run_dry(rig);
    kref_t root = kref_root((vat_t){1});
    buf_t calls = {0};
    for (unsigned i = 0; i < 3; i++) {
        msg_call_t call = {rig_id(rig), root, rig_data("#[\"ping\",[]]", NULL, 0), 1};
        rig_ask(rig, TAG_call, &call);
    }
    cr_assert_eq(rig_pending(rig, 1), 3);
    uint64_t cranks = rig_counter(rig, "cranks");
    msg_result_t early = rig_result_frame(rig, 1, NULL);
    for (unsigned gap = 1; gap <= 4; gap++) { /* those in flight, and some that never were */
        msg_result_t result = early;
        result.d = early.d + gap;
        rig_from_host(rig, 1, TAG_result, &result);
        cr_assert_eq(rig_counter(rig, "cranks"), cranks, "a gap of %u", gap);
        cr_assert_eq(rig_counter(rig, "vats"), 1);
    }
    rig_result(rig, 1, &calls);
    rig_from_host(rig, 1, TAG_result, &early); /* the same once more */
    cr_assert_eq(rig_counter(rig, "cranks"), cranks + 1);
    rig_run_dry(rig);
    cr_assert_eq(rig_counter(rig, "cranks"), cranks + 3);
    cr_assert_eq(rig_counter(rig, "vats"), 1);
    rig_destroy(&rig);
}

/* ---- 12 ---- */

static void idle_reap(world_t *world)
{
    world_reap(world, "bob");
    world_settle(world);
    cr_assert_eq(heard(world, "bob", "reap\n"), 1);
    cr_assert_eq(heard(world, "alice", "reap\n") + heard(world, "carol", "reap\n"), 0);
    world_reap(world, NULL);
    world_settle(world);
    cr_assert_eq(heard(world, "bob", "reap\n"), 2);
    cr_assert_eq(heard(world, "alice", "reap\n") + heard(world, "carol", "reap\n"), 2);

    world_reap(world, "bob"); /* asked for, and not yet run when the broker ends */
    world_move(world);
    world_restart_broker(world);
    world_settle(world);
    cr_assert_eq(heard(world, "bob", "reap\n"), 3, "%s", world_heard(world, "bob"));
}
Test(peer_09_12, a_reap_needs_no_message_to_start) { in_all_ways(idle_reap); }

/* ---- 15 ---- */

/* A notify that is queued for a vat which ends gives back what it held. */
Test(peer_09_15, a_notify_that_nobody_hears_keeps_nothing)
{
    for (unsigned moves = 0; moves < 20; moves++) {
        world_t *world = begin(1, moves % 4);
        rows_t before = rows_of(world);
        tell(world, "alice", "ask o-50 hold p+5");
        tell(world, "alice", "send o-51 listen p+5 -");
        tell(world, "carol", "sub p-60");
        for (unsigned i = 0; i < 3; i++) world_call(world, world_root(world, "carol"), "#[\"busy\",[]]");
        world_call(world, world_root(world, "bob"), "#[\"ok p-60 o+7\",[]]");
        for (unsigned i = 0; i < moves; i++) world_move(world);
        world_kill_vat(world, "carol");
        world_settle(world);
        cr_assert_eq(heard(world, "alice", "notify p+5 ok #\"$0\" {o-52}\n"), 1);
        tell(world, "alice", "drop o-52 ; retire o-52");
        tell(world, "alice", "drop o-51 ; retire o-51");
        cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 1);
        before.objects -= 1; /* carol's root, which alice held */
        before.held -= 2;
        same_rows(world, before);
        world_destroy(&world);
    }
}

/* A crank that is discarded has made, dropped and sent nothing. */
static void discarded(world_t *world)
{
    meet(world);
    tell(world, "alice", "send o-50 take o+1 -");
    size_t objects = world_rows(world, ROW_object);
    unsigned call = world_call(world, world_root(world, "bob"),
                               "#[\"send o-50 take o+9,o+8 p+9 ; drop o-52 ; retire o-52 ; sub p+9 ; fail\",[]]");
    world_settle(world);
    cr_assert_str_eq(world_answer(world, call), TERMINATED);
    cr_assert_eq(heard(world, "alice", "\"take\""), 0, "%s", world_heard(world, "alice"));
    /* What bob held, he held until he ended. */
    cr_assert_eq(heard(world, "alice", "drop_exports o+1\n"), 1);
    cr_assert_eq(heard(world, "alice", "retire_exports o+1\n"), 1);
    cr_assert_eq(world_rows(world, ROW_object), objects - 1);
    world_restart_broker(world);
    world_settle(world);
    cr_assert_eq(world_rows(world, ROW_object), objects - 1);
    tell(world, "alice", "send o-51 ping - -");
}
Test(peer_09_15, a_discarded_crank_leaves_nothing) { in_all_ways(discarded); }

/* ---- 16 ---- */

/* Dropped, still recognized, retired by its own vat: nobody is at fault. */
static void gc3(world_t *world)
{
    meet(world);
    rows_t before = rows_of(world);
    tell(world, "bob", "send o-50 take o+7 -");
    tell(world, "alice", "drop o-52");
    cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 1);
    cr_assert_eq(heard(world, "bob", "retire_exports"), 0, "alice still recognizes it");
    tell(world, "bob", "own o+7");
    cr_assert_eq(heard(world, "alice", "retire_imports o-52\n"), 1);
    cr_assert_str_eq(world_state(world, "bob"), "running");
    same_rows(world, before);
}
Test(peer_09_16, gc3_the_owner_may_retire_what_is_only_recognized) { in_all_ways(gc3); }

static void gc4(world_t *world)
{
    meet(world);
    rows_t before = rows_of(world);
    tell(world, "bob", "send o-50 take o+7 -");
    tell(world, "alice", "drop o-52 ; retire o-52");
    cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 1);
    cr_assert_eq(heard(world, "bob", "retire_exports o+7\n"), 1);
    same_rows(world, before);
    tell(world, "bob", "send o-50 take o+7 -"); /* a new thing by an old name: a vat may */
    tell(world, "alice", "ask o-53 ping p+5");
    cr_assert_eq(heard(world, "bob", "message o+7 #[\"ping\""), 1);
}
Test(peer_09_16, gc4_what_is_retired_leaves_no_row) { in_all_ways(gc4); }

/* Dropped, told, and mentioned again, by its owner or a third one: reachable again, and told again. */
static void mentioned_again(world_t *world)
{
    meet(world);
    tell(world, "bob", "send o-50 take o+7 -");
    for (unsigned n = 1; n <= 3; n++) {
        tell(world, "alice", "drop o-52");
        cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), n);
        tell(world, "bob", "send o-50 take o+7 -");
        cr_assert_eq(heard(world, "alice", "{o-52}"), n + 1, "by the same name");
        tell(world, "alice", "ask o-52 ping p+5");
        cr_assert_eq(heard(world, "bob", "message o+7 #[\"ping\""), n);
    }
    tell(world, "alice", "send o-51 take o-52 -"); /* carol: o-50, and alice lets go */
    tell(world, "alice", "drop o-52");
    cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 3, "carol reaches it");
    tell(world, "alice", "send o-51 meet o+0 -"); /* carol: o-51 */
    tell(world, "carol", "send o-51 take o-50 -");
    tell(world, "carol", "drop o-50 ; retire o-50");
    cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 3, "alice reaches it again");
    tell(world, "alice", "drop o-52 ; retire o-52");
    cr_assert_eq(heard(world, "bob", "drop_exports o+7\n"), 4);
    cr_assert_eq(heard(world, "bob", "retire_exports o+7\n"), 1);
}
Test(peer_09_16, what_is_mentioned_again_counts_again) { in_all_ways(mentioned_again); }
