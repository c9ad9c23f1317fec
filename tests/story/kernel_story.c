/* What single syscalls do to names and promises: those of SwingSet's kernel tests that speak of what vats see. alice and
 * bob know each other as o-50; windows of 1, 4 and 16. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/puppet.h"

#define VAT_TERMINATED \
    "rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"} {}\n"

#define KERNEL_STORY(vats, name)                                  \
    static void name(world_t *world, const void *context);        \
    Test(kernel, name) { puppets_in_all_ways(vats, name, NULL); } \
    static void name(world_t *world, __attribute__((unused)) const void *context)

static void ended(world_t *world, const char *name)
{
    const char *state = world_state(world, name);
    cr_expect(strstr(state, "terminated"), "%s", state);
}

/* ---- objects ---- */

/* An own object comes back under its own name, others' get the next one. */
KERNEL_STORY("alice bob", names_of_objects)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "send o-50 foo o+7 -");
    puppet_heard(world, "bob", "message o+0 #[\"foo\",[\"$0\"]] {o-51}\n");
    puppet_tell(world, "bob", "send o-50 foo o-51,o+9 -");
    puppet_heard(world, "alice", "message o+0 #[\"foo\",[\"$0\",\"$1\"]] {o+7 o-51}\n");
}

KERNEL_STORY("alice bob", an_outbound_call)
{
    puppets_meet(world);
    kref_t result = puppet_promise(world, "alice", 1), argument = puppet_promise(world, "alice", 2);
    puppet_tell(world, "alice", "send o-50 bar o-50,o+7,p+7 p+5");
    puppet_heard(world, "bob",
                 "message o+0 #[\"bar\",[\"$0\",\"$1\",\"&2\"]] {o+0 o-51 p-60} p-61\n");
    cr_expect_str_eq(puppet_holds(world, "alice", argument), "R");
    cr_expect_str_eq(puppet_holds(world, "alice", result), "R");
    cr_expect_str_eq(puppet_holds(world, "bob", argument), "R");
    cr_expect_str_eq(puppet_holds(world, "bob", result), "R");
    puppet_heard(world, "alice", "");
}

/* alice gives bob carol, whom he did not know. */
KERNEL_STORY("alice bob carol", three_parties)
{
    puppet_tell(world, "alice", "send o-50 intro o-51 p+5");
    puppet_heard(world, "bob", "message o+0 #[\"intro\",[\"$0\"]] {o-50} p-60\n");
    cr_expect_str_eq(puppet_holds(world, "bob", world_root(world, "carol")), "R");
    puppet_tell(world, "bob", "send o-50 hello - -");
    puppet_heard(world, "carol", "message o+0 #[\"hello\",[]] {}\n");
    puppet_heard(world, "alice", "");
}

/* A name that the vat was never given ends it; what it did in that crank was not done. */
KERNEL_STORY("alice bob", an_unknown_name)
{
    puppets_meet(world);
    puppet_tell(world, "bob", "send o-50 before - - ; send o-99 foo - - ; send o-50 after - -");
    ended(world, "bob");
    puppet_heard(world, "alice", "");
    puppet_tell(world, "alice", "ask o-50 ping - p+5");
    puppet_heard(world, "alice", "notify p+5 " VAT_TERMINATED);
}

/* ---- promises ---- */

/* Sent twice it is the same, and so it is when it comes back. */
KERNEL_STORY("alice bob", a_promise_goes_there_and_back)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "send o-50 foo1 p+6 -");
    puppet_heard(world, "bob", "message o+0 #[\"foo1\",[\"&0\"]] {p-60}\n");
    puppet_tell(world, "alice", "send o-50 foo2 p+6 -");
    puppet_heard(world, "bob", "message o+0 #[\"foo2\",[\"&0\"]] {p-60}\n");
    puppet_tell(world, "bob", "send o-50 foo3 p-60 - ; send o-50 foo4 p-60 -");
    puppet_heard(
        world, "alice",
        "message o+0 #[\"foo3\",[\"&0\"]] {p+6}\nmessage o+0 #[\"foo4\",[\"&0\"]] {p+6}\n");
}

/* bob is told of alice's promise when he asked to be, and of what it became. */
static void settled(world_t *world, bool subscribes, const char *how, const char *outcome)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "send o-50 take p+5,o+6 -");
    puppet_heard(world, "bob", "message o+0 #[\"take\",[\"&0\",\"$1\"]] {p-60 o-51}\n");
    if (subscribes) puppet_tell(world, "bob", "sub p-60");
    puppet_heard(world, "bob", "");
    puppet_tell(world, "alice", how);
    puppet_heard(world, "bob", outcome);
    puppet_heard(world, "alice", "");
}

KERNEL_STORY("alice bob", who_does_not_subscribe_is_not_told)
{
    settled(world, false, "ok p+5 4", "");
}
KERNEL_STORY("alice bob", resolved_to_data)
{
    settled(world, true, "ok p+5 4", "notify p-60 ok #\"4\" {}\n");
}
KERNEL_STORY("alice bob", resolved_to_a_presence)
{
    settled(world, true, "ok p+5 o+6", "notify p-60 ok #\"$0\" {o-51}\n");
}
KERNEL_STORY("alice bob", rejected_with_itself)
{
    /* The name that the notify uses up is given anew in its value. */
    settled(world, true, "no p+5 p+5", "notify p-60 rejected #\"&0\" {p-60}\n");
}

KERNEL_STORY("alice bob", resolved_to_a_promise)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "send o-50 take p+5 -");
    puppet_heard(world, "bob", "message o+0 #[\"take\",[\"&0\"]] {p-60}\n");
    puppet_tell(world, "bob", "sub p-60");
    puppet_tell(world, "alice", "ok p+5 p+6");
    ended(world, "alice");
    puppet_heard(world, "bob",
                 "notify p-60 rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat "
                 "terminated\",\"name\":\"Error\"} {}\n");
}

/* Calls to answers that are not there: each waits at its promise, and goes on when that is settled. */
KERNEL_STORY("alice bob", calls_wait_at_their_promises)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "send o-50 foo - p+5 ; send p+5 bar - p+6 ; send p+6 urgh - p+7");
    puppet_heard(world, "bob", "message o+0 #[\"foo\",[]] {} p-60\n");
    cr_expect_eq(world_rows(world, ROW_entry), 2);
    puppet_tell(world, "bob", "ok p-60 o+7");
    puppet_heard(world, "bob", "message o+7 #[\"bar\",[]] {} p-62\n");
    puppet_tell(world, "bob", "ok p-62 o+8");
    puppet_heard(world, "bob", "message o+8 #[\"urgh\",[]] {} p-64\n");
    cr_expect_eq(world_rows(world, ROW_entry), 0);
    puppet_heard(world, "alice", "");
}
