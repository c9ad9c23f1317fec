/* Names against authority: what an operator's audit compares, whom it counts as busy or away, and that
 * a worker that lies is found. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/audit.h"

/* alice gives bob an object and keeps the promise of its answer; bob keeps the object. */
static void alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                  engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "bootstrap")) {
        script_send(host, "o-50", "#[\"take\",[\"$0.Alleged: thing\"]]", "o+1", "p+5");
        script_subscribe(host, "p+5");
    }
}

static void bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "drop")) script_refs(host, TAG_drop_imports, "o-50");
}

static world_t *begin(unsigned seed)
{
    world_t *world = world_new(seed);
    world_lie(world, NULL, LIE_NONE, (kref_t){0}, 0);
    world_vat(world, "alice", alice, NULL);
    world_vat(world, "bob", bob, NULL);
    world_launch(world);
    world_settle(world);
    cr_assert_str_eq(world_launch_failure(world), "");
    return world;
}

/* alice: her root, bob's, the object, bootstrap's promise and that of the answer; bob: his root, the
 * object, the promise he decides. */
#define COUNTED "objects 3\npromises 2\nrows 8\nentries 0\n"
#define COMPARED COUNTED "vats_compared 2\nvats_busy 0\nvats_away 0\nnames 8\n"

static void expect(world_t *world, const char *text)
{
    world_audit(world);
    world_settle(world);
    cr_assert(world_audited(world), "the audit is answered");
    cr_expect_str_eq(world_audited(world), text);
}

Test(story_audit, names_are_authority)
{
    world_t *world = begin(0);
    expect(world, COMPARED);
    world_destroy(&world);
}

static kref_t thing(void) { return kref_object((vat_t){1}, 1); }

Test(story_audit, a_worker_that_lies_is_found)
{
    world_t *world = begin(0);
    world_lie(world, "bob", LIE_FLAGS, thing(), 1);
    expect(world, "X5 name v2 ko1.1: recognizable for its worker only, should be reachable\n" COMPARED);
    world_lie(world, "bob", LIE_FLAGS, thing(), 2);
    expect(world, "X6 name v2 ko1.1: an export for its worker, should be an import\n" COMPARED);
    world_lie(world, "alice", LIE_FLAGS, thing(), 2);
    expect(world, "X6 name v1 ko1.1: an import for its worker, should be an export\n" COMPARED);
    world_lie(world, "bob", LIE_MISSING, thing(), 0);
    expect(world, "X4 name v2 ko1.1: its worker has none, should have it as an import\n" COUNTED
                  "vats_compared 2\nvats_busy 0\nvats_away 0\nnames 7\n");
    world_lie(world, "alice", LIE_MISSING, thing(), 0);
    expect(world, "X6 name v1 ko1.1: its worker has none, should have it as an export\n" COUNTED
                  "vats_compared 2\nvats_busy 0\nvats_away 0\nnames 7\n");
    world_lie(world, "bob", LIE_MORE, kref_root((vat_t){1}), 1);
    expect(world, "X4 name v2 ko1.0: its worker has it, should not: the vat has no authority row for it\n"
                  COUNTED "vats_compared 2\nvats_busy 0\nvats_away 0\nnames 9\n");
    world_lie(world, "bob", LIE_ORDER, thing(), 0);
    world_audit(world);
    world_settle(world);
    cr_expect_not_null(strstr(world_audited(world), "X4 names v2 of all: "), "%s", world_audited(world));
    world_lie(world, NULL, LIE_NONE, thing(), 0);
    expect(world, COMPARED);
    world_destroy(&world);
}

/* Flags that differ because the vat said so are the same on both sides. */
Test(story_audit, what_is_dropped_is_dropped_on_both_sides)
{
    world_t *world = begin(0);
    world_call(world, kref_root((vat_t){2}), "#[\"drop\",[]]");
    world_settle(world);
    world_audit(world);
    world_settle(world);
    cr_expect_null(strstr(world_audited(world), "X"), "%s", world_audited(world));
    cr_expect_not_null(strstr(world_audited(world), "vats_compared 2\n"));
    world_lie(world, "bob", LIE_FLAGS, thing(), 1);
    world_audit(world);
    world_settle(world);
    cr_expect_not_null(strstr(world_audited(world), "X5 name v2 ko1.1: reachable for its worker, should be "
                                                    "recognizable only"), "%s", world_audited(world));
    world_destroy(&world);
}

/* A delivery that comes between the question and the answer: no comparison, and no finding. Every
 * order of the frames. */
Test(story_audit, a_vat_that_runs_is_busy)
{
    unsigned busy = 0;
    for (unsigned seed = 1; seed < 60; seed++) {
        world_t *world = begin(0);
        world_audit(world);
        for (unsigned i = 0; i < seed % 8; i++) world_move(world);
        world_call(world, kref_root((vat_t){2}), "#[\"hello\",[]]");
        world_settle(world);
        cr_assert(world_audited(world));
        cr_expect_null(strstr(world_audited(world), "X"), "%s", world_audited(world));
        busy += strstr(world_audited(world), "vats_busy 1\n") != NULL;
        world_destroy(&world);
    }
    cr_expect_gt(busy, 0, "it was asked in the middle of a delivery");
}

/* Workers die, links are cut and come back: those asked count as away, and the audit is answered. A
 * client that goes takes its audit along. */
Test(story_audit, nobody_hangs)
{
    for (unsigned moves = 1; moves < 8; moves++) {
        world_t *world = begin(0);
        world_audit(world);
        for (unsigned i = 0; i < moves; i++) world_move(world);
        world_kill_worker(world, "bob");
        world_settle(world);
        cr_assert(world_audited(world), "after %u frames", moves);
        cr_expect_null(strstr(world_audited(world), "X"), "%s", world_audited(world));
        expect(world, COMPARED);

        world_audit(world);
        for (unsigned i = 0; i < moves; i++) world_move(world);
        bool before = world_audited(world) != NULL;
        world_cut(world);
        world_settle(world);
        cr_expect_eq(world_audited(world) != NULL, before, "its client went");
        expect(world, COMPARED);
        world_destroy(&world);
    }
}

Test(story_audit, a_silent_worker_is_away_in_the_end)
{
    world_t *world = begin(0);
    world_lie(world, "bob", LIE_SILENT, (kref_t){0}, 0);
    world_audit(world);
    world_settle(world);
    cr_expect_null(world_audited(world), "it is waited for");
    /* The world's clock moves a millisecond with every step. */
    for (unsigned i = 0; i < NAMES_WAIT_MS + 10 && !world_audited(world); i++) {
        world_reap(world, "alice");
        world_settle(world);
    }
    cr_assert(world_audited(world));
    cr_expect_not_null(strstr(world_audited(world), "vats_compared 1\nvats_busy 0\nvats_away 1\n"), "%s",
                       world_audited(world));
    world_destroy(&world);
}
