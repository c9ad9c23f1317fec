/* Who names a promise, and until when: SwingSet's vpid-kernel matrix. alice is looked at. Seven ways in which she gets to
 * know a promise, six ways in which it is settled, by her (1 to 3) or by bob (4 to 7):
 *
 *   1 she makes it and sends it          4 it comes to her as an argument
 *   2 it is what she owes an answer for  5 it is the answer that she waits for
 *   3 first an argument, then 2          6 5, and she sends it on as an argument
 *                                        7 she sends it as an argument, then asks with it for the answer
 *
 * 3 and 7 need a vat that settles a promise it has sent already by asking with it, which no vat may here
 * and only "pipelining" vats may there: it is told what an illegal syscall is. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/puppet.h"

#define VATS "alice bob"

/* What the decider says, and what the other one hears. */
typedef struct {
    const char *word, *value, *outcome;
} settle_t;

enum { MODES = 6 };
static const settle_t settles[MODES] = {
    {"ok", "o-50", "ok #\"$0\" {o+0}"},        /* an object of the other one */
    {"ok", "o+7", "ok #\"$0\" {o-51}"},        /* an object of the decider's */
    {"ok", "4", "ok #\"4\" {}"},               /* data */
    {"ok", "[p+9]", "ok #[\"&0\"] {NEW}"},     /* data with a promise */
    {"no", "error", "rejected #\"error\" {}"}, /* rejected */
    {"no", "p+9", "rejected #\"&0\" {NEW}"},   /* rejected, with a promise */
};

/* LISTENER names the promise VREF; DECIDER settles it as OWN. NEW is what the next promise is named by LISTENER. */
static void settle(world_t *world, const char *decider, const char *own, const char *listener,
                   const char *vref, const char *new, const settle_t *how)
{
    char commands[64], expect[96], *at;
    snprintf(commands, sizeof commands, "%s %s %s", how->word, own, how->value);
    puppet_tell(world, decider, commands);
    snprintf(expect, sizeof expect, "notify %s %s\n", vref, how->outcome);
    if ((at = strstr(expect, "NEW"))) snprintf(at, 16, "%s}\n", new);
    puppet_heard(world, listener, expect);
    puppet_heard(world, decider, "");
}

static void nobody_names(const world_t *world, kref_t promise)
{
    cr_expect_str_eq(puppet_holds(world, "alice", promise), "");
    cr_expect_str_eq(puppet_holds(world, "bob", promise), "");
}

static void both_name(const world_t *world, kref_t promise)
{
    cr_expect_str_eq(puppet_holds(world, "alice", promise), "R");
    cr_expect_str_eq(puppet_holds(world, "bob", promise), "R");
}

/* 1, and with the parts exchanged 4: an argument. Who gets it subscribes. */
static void argument(world_t *world, const char *maker, const char *taker, const settle_t *how)
{
    kref_t promise = puppet_promise(world, maker, 1);
    puppet_tell(world, maker, "send o-50 one p+5 -");
    bool alice = strcmp(taker, "alice") == 0; /* she was told more before */
    puppet_heard(world, taker,
                 alice ? "message o+0 #[\"one\",[\"&0\"]] {p-62}\n"
                       : "message o+0 #[\"one\",[\"&0\"]] {p-60}\n");
    puppet_tell(world, taker, alice ? "sub p-62" : "sub p-60");
    both_name(world, promise);
    settle(world, maker, "p+5", taker, alice ? "p-62" : "p-60", alice ? "p-64" : "p-62", how);
    nobody_names(world, promise);
}

/* 2 and 5: an answer. MORE: who asks sends it on as an argument, 6. */
static void answer(world_t *world, const char *asker, const char *owner, bool more,
                   const settle_t *how)
{
    kref_t promise = puppet_promise(world, asker, 1);
    bool alice = strcmp(owner, "alice") == 0;
    puppet_tell(world, asker,
                more ? "ask o-50 one - p+5 ; send o-50 two p+5 -" : "ask o-50 one - p+5");
    puppet_heard(world, owner,
                 more
                     ? "message o+0 #[\"one\",[]] {} p-60\nmessage o+0 #[\"two\",[\"&0\"]] {p-60}\n"
                 : alice ? "message o+0 #[\"one\",[]] {} p-62\n"
                         : "message o+0 #[\"one\",[]] {} p-60\n");
    both_name(world, promise);
    settle(world, owner, alice ? "p-62" : "p-60", asker, "p+5", alice ? "p-61" : "p-63", how);
    nobody_names(world, promise);
}

/* 3 and 7. */
static void argument_then_answer(world_t *world, const char *maker, const char *other)
{
    kref_t promise = puppet_promise(world, maker, 1);
    puppet_tell(world, maker, "send o-50 one p+5 -");
    cr_expect(strstr(puppet_news(world, other), "message o+0 #[\"one\",[\"&0\"]]"));
    puppet_tell(world, maker, "send o-50 two - p+5");
    cr_expect(strstr(world_state(world, maker), "terminated"), "%s", world_state(world, maker));
    puppet_heard(world, other, "");
    cr_expect_str_eq(puppet_holds(world, maker, promise), "");
}

typedef struct {
    unsigned number, mode;
} case_t;

static void play(world_t *world, const void *context)
{
    const case_t *c = context;
    const settle_t *how = &settles[c->mode];
    puppets_meet(world);
    switch (c->number) {
    case 1: argument(world, "alice", "bob", how); return;
    case 2: answer(world, "bob", "alice", false, how); return;
    case 3: argument_then_answer(world, "bob", "alice"); return;
    case 4: argument(world, "bob", "alice", how); return;
    case 5: answer(world, "alice", "bob", false, how); return;
    case 6: answer(world, "alice", "bob", true, how); return;
    default: argument_then_answer(world, "alice", "bob"); return;
    }
}

#define CASE(n, mode, name) \
    Test(vpid_kernel, case##n##_##name) { puppets_in_all_ways(VATS, play, &(case_t){n, mode}); }
#define CASES(n)             \
    CASE(n, 0, presence)     \
    CASE(n, 1, local_object) \
    CASE(n, 2, data) CASE(n, 3, promise_data) CASE(n, 4, reject) CASE(n, 5, promise_reject)
CASES(1)
CASES(2)
CASES(3)
CASES(4)
CASES(5)
CASES(6)
CASES(7)

/* ---- two answers, each settled with data that holds the other, by different vats, in two cranks ---- */

static void crossing(world_t *world, __attribute__((unused)) const void *context)
{
    kref_t of_bob = puppet_promise(world, "alice", 1), of_carol = puppet_promise(world, "alice", 2);
    puppets_meet(world);
    puppet_tell(
        world, "alice",
        "ask o-50 make - p+5 ; ask o-51 make - p+6 ; ask o-50 use p+6 p+7 ; ask o-51 use p+5 p+8");
    puppet_heard(
        world, "bob",
        "message o+0 #[\"make\",[]] {} p-60\nmessage o+0 #[\"use\",[\"&0\"]] {p-61} p-62\n");
    puppet_heard(
        world, "carol",
        "message o+0 #[\"make\",[]] {} p-60\nmessage o+0 #[\"use\",[\"&0\"]] {p-61} p-62\n");

    puppet_tell(world, "bob", "sub p-61 ; ok p-62 used ; ok p-60 [p-61]");
    puppet_heard(world, "alice", "notify p+7 ok #\"used\" {}\nnotify p+5 ok #[\"&0\"] {p+6}\n");
    puppet_heard(world, "bob", "");
    puppet_heard(world, "carol", "");
    cr_expect_str_eq(puppet_holds(world, "alice", of_bob), "");
    cr_expect_str_eq(puppet_holds(world, "bob", of_bob), "");
    cr_expect_str_eq(puppet_holds(world, "carol", of_bob), "R");

    puppet_tell(world, "carol", "sub p-61 ; ok p-62 used ; ok p-60 [p-61]");
    /* Each is told both: the one it waits for, and under a new name the other, which it had forgotten. */
    puppet_heard(
        world, "alice",
        "notify p+8 ok #\"used\" {}\nnotify p+6 ok #[\"&0\"] {p-64}; p-64 ok #[\"&0\"] {p+6}\n");
    puppet_heard(world, "carol", "notify p-61 ok #[\"&0\"] {p-64}; p-64 ok #[\"&0\"] {p-61}\n");
    puppet_heard(world, "bob", "notify p-61 ok #[\"&0\"] {p-64}; p-64 ok #[\"&0\"] {p-61}\n");
    static const char *names[] = {"alice", "bob", "carol"};
    for (unsigned i = 0; i < 3; i++) {
        cr_expect_str_eq(puppet_holds(world, names[i], of_bob), "");
        cr_expect_str_eq(puppet_holds(world, names[i], of_carol), "");
    }
}
Test(vpid_kernel, crossing_resolutions) { puppets_in_all_ways("alice bob carol", crossing, NULL); }

/* ---- a message to a promise goes on to what it becomes: back to who sent it ---- */

static void reflected(world_t *world, __attribute__((unused)) const void *context)
{
    puppets_meet(world);
    puppet_tell(world, "bob", "send o-50 one p+5 -");
    puppet_heard(world, "alice", "message o+0 #[\"one\",[\"&0\"]] {p-62}\n");
    puppet_tell(world, "alice", "ask p-62 two - p+6");
    puppet_heard(world, "alice", "");
    puppet_heard(world, "bob", ""); /* it waits at the promise: its decider is not asked */
    puppet_tell(world, "bob", "ok p+5 o-50");
    puppet_heard(world, "alice", "message o+0 #[\"two\",[]] {} p+6\n");
    puppet_heard(world, "bob", "");
}
Test(vpid_kernel, reflected_message) { puppets_in_all_ways(VATS, reflected, NULL); }

/* ---- a result promise must be a new one ---- */

static void imported_result(world_t *world, __attribute__((unused)) const void *context)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "ask o-50 one - p+5");
    puppet_heard(world, "bob", "message o+0 #[\"one\",[]] {} p-60\n");
    puppet_tell(world, "bob", "send o-50 two - p-60");
    cr_expect(strstr(world_state(world, "bob"), "terminated"), "%s", world_state(world, "bob"));
    puppet_heard(world, "alice",
                 "notify p+5 rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat "
                 "terminated\",\"name\":\"Error\"} {}\n");
}
Test(vpid_kernel, an_imported_result_promise) { puppets_in_all_ways(VATS, imported_result, NULL); }

static void exported_result(world_t *world, __attribute__((unused)) const void *context)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "send o-50 one p+5 p+5");
    cr_expect(strstr(world_state(world, "alice"), "terminated"), "%s", world_state(world, "alice"));
    puppet_heard(world, "bob", "");
}
Test(vpid_kernel, a_result_promise_that_was_sent)
{
    puppets_in_all_ways(VATS, exported_result, NULL);
}
