/* LIST 6: vats that hold each other's objects, and nobody else does. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

static buf_t calls;

static void setup(void) { calls = buf_of(CRANK_BYTES_MAX); }
static void teardown(void) { buf_clear(&calls); }
TestSuite(ring, .init = setup, .fini = teardown);

static rig_t *start(const char *names)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    rig_launch(rig, names, NULL);
    rig_run_dry(rig);
    return rig;
}

/* FROM runs a crank in which it sends OBJECT, which it holds or makes, to the root of TO. */
static void give(rig_t *rig, uint32_t from, kref_t object, uint32_t to)
{
    msg_call_t call = {.request = rig_id(rig),
                       .target = kref_root((vat_t){from}),
                       .methargs = rig_data("#[\"go\",[]]", NULL, 0),
                       .no_result = 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    kref_t nothing = {0};
    call_send(&calls, kref_root((vat_t){to}), "#[\"take\",[\"$0\"]]", &object, 1, nothing);
    rig_result(rig, from, &calls);
    rig_run_dry(rig);
}

/* The rows of a cluster's bootstrap give vat 1 all roots; the others get to know who writes to them. */
static void knows(rig_t *rig, uint32_t vat, uint32_t other) { give(rig, 1, ko(other, 0), vat); }

static void expect(rig_t *rig, const char *const *rows)
{
    char *text = rig_list(rig, 6, (kref_t){0}), *at = text;
    for (size_t i = 0; rows[i]; i++) {
        cr_expect(strncmp(at, rows[i], strlen(rows[i])) == 0, "row %zu of: %s", i, text);
        if (*at) at += strcspn(at, "}") + 1;
    }
    cr_expect_str_empty(at, "and nothing more: %s", text);
    free(text);
}

#define EXPECT(rig, ...) expect(rig, (const char *const[]){__VA_ARGS__, NULL})

Test(ring, vats_that_know_only_roots_are_no_ring)
{
    rig_t *rig = start("alice bob carol");
    knows(rig, 2, 1);
    EXPECT(rig, NULL);
    give(rig, 1, ko(1, 1), 2);
    EXPECT(rig, NULL);
    rig_destroy(&rig);
}

/* alice and bob hold an object of each other: a ring. Roots are pinned: they are not in it. */
Test(ring, two_vats_that_hold_each_other)
{
    rig_t *rig = start("alice bob carol");
    knows(rig, 2, 1);
    give(rig, 1, ko(1, 1), 2);
    give(rig, 2, ko(2, 1), 1);
    EXPECT(rig, "cycle_row {ring: 1, kref: ko1.1, vat: v1, name: \"alice\", holders: \"v2\"}",
           "cycle_row {ring: 1, kref: ko2.1, vat: v2, name: \"bob\", holders: \"v1\"}");
    give(rig, 1, ko(1, 2), 3); /* carol holds one as well, and leads nowhere */
    give(rig, 1, ko(1, 1), 3);
    EXPECT(rig, "cycle_row {ring: 1, kref: ko2.1, vat: v2, name: \"bob\", holders: \"v1\"}");

    call_refs(&calls, TAG_drop_imports, &(kref_t){ko(2, 1).n}, 1);
    msg_reap_t msg = {.request = rig_id(rig), .vat = {1}};
    cr_assert_eq(rig_ask(rig, TAG_reap, &msg)->tag, TAG_done);
    rig_result(rig, 1, &calls);
    rig_run_dry(rig);
    EXPECT(rig, NULL);
    rig_destroy(&rig);
}

/* Three in a circle, and two by themselves; an object that a queue holds is not shown. */
Test(ring, two_rings)
{
    rig_t *rig = start("alice bob carol dan eve");
    knows(rig, 2, 5);
    knows(rig, 5, 4);
    knows(rig, 4, 2);
    knows(rig, 3, 1);
    give(rig, 2, ko(2, 1), 5); /* eve holds bob's, dan eve's, bob dan's */
    give(rig, 5, ko(5, 1), 4);
    EXPECT(rig, NULL);
    give(rig, 4, ko(4, 1), 2);
    give(rig, 4, ko(4, 2), 2);
    give(rig, 1, ko(1, 1), 3);
    give(rig, 3, ko(3, 1), 1);
    EXPECT(rig, "cycle_row {ring: 1, kref: ko1.1, vat: v1, name: \"alice\", holders: \"v3\"}",
           "cycle_row {ring: 1, kref: ko3.1, vat: v3, name: \"carol\", holders: \"v1\"}",
           "cycle_row {ring: 2, kref: ko2.1, vat: v2, name: \"bob\", holders: \"v5\"}",
           "cycle_row {ring: 2, kref: ko4.1, vat: v4, name: \"dan\", holders: \"v2\"}",
           "cycle_row {ring: 2, kref: ko4.2, vat: v4, name: \"dan\", holders: \"v2\"}",
           "cycle_row {ring: 2, kref: ko5.1, vat: v5, name: \"eve\", holders: \"v4\"}");

    /* A message to one of them is under way: somebody outside can reach it. */
    msg_call_t call = {.request = rig_id(rig),
                       .target = ko(1, 1),
                       .no_result = 1,
                       .methargs = rig_data("#[\"go\",[]]", NULL, 0)};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    char *text = rig_list(rig, 6, (kref_t){0});
    cr_expect_null(strstr(text, "ko1.1"));
    cr_expect_null(strstr(text, "ko3.1"), "without it they are no ring any more");
    cr_expect_not_null(strstr(text, "ring: 1, kref: ko2.1"));
    free(text);
    rig_run_dry(rig);

    /* The end of a vat takes its ring along. */
    msg_kill_t kill = {rig_id(rig), {5}, text_of("enough")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    rig_run_dry(rig);
    EXPECT(rig, "cycle_row {ring: 1, kref: ko1.1, vat: v1, name: \"alice\", holders: \"v3\"}",
           "cycle_row {ring: 1, kref: ko3.1, vat: v3, name: \"carol\", holders: \"v1\"}");
    rig_destroy(&rig);
}
