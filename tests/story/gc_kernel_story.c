/* Who drops and retires an object first, and what holds it meanwhile: the cases that SwingSet's kernel tests
 * distinguish (gc-kernel, gc-kernel-orphan, abandon-export), told with vats that do as they are told. alice exports
 * amy, o+7; bob names her o-52, carol o-52 as well. Windows of 1, 4 and 16. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/puppet.h"

#define VATS "alice bob carol"
#define TAKE "message o+0 #[\"take\",[\"$0\"]] {o-52}\n"
#define VAT_TERMINATED \
    "rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"} {}\n"

static kref_t amy_of(const world_t *world) { return puppet_export(world, "alice", 1); }

static void is(const world_t *world, const char *amy, const char *bob, const char *carol)
{
    cr_expect_str_eq(puppet_object(world, amy_of(world)), amy);
    cr_expect_str_eq(puppet_holds(world, "alice", amy_of(world)), strncmp(amy, "v1", 2) ? ""
                                                                  : amy[3] == '0'       ? "_"
                                                                                        : "R");
    cr_expect_str_eq(puppet_holds(world, "bob", amy_of(world)), bob);
    cr_expect_str_eq(puppet_holds(world, "carol", amy_of(world)), carol);
}

/* bob holds amy, and nobody else does. */
static void give_bob(world_t *world)
{
    puppets_meet(world);
    puppet_tell(world, "alice", "send o-50 take o+7 -");
    puppet_heard(world, "bob", TAKE);
    is(world, "v1 1,1", "R", "");
}

static void give_both(world_t *world)
{
    give_bob(world);
    puppet_tell(world, "alice", "send o-51 take o+7 -");
    puppet_heard(world, "carol", TAKE);
    is(world, "v1 2,2", "R", "R");
}

/* NAME does COMMANDS; amy's FATE until all is quiet. */
static void fate(world_t *world, const char *name, const char *commands, const char *expect)
{
    puppet_ask(world, name, commands);
    const char *seen = puppet_fate(world, amy_of(world));
    cr_expect_str_eq(seen, expect, "%s: %s: %s, not %s", name, commands, seen, expect);
}

/* Nobody but those named in the lines heard anything. */
static void heard(world_t *world, const char *alice, const char *bob, const char *carol)
{
    puppet_heard(world, "alice", alice);
    puppet_heard(world, "bob", bob);
    puppet_heard(world, "carol", carol);
}

#define GC_STORY(name)                                               \
    static void name(world_t *world, const void *context);           \
    Test(gc_kernel, name) { puppets_in_all_ways(VATS, name, NULL); } \
    static void name(world_t *world, __attribute__((unused)) const void *context)

/* ---- one importer: he drops, or drops and retires; she retires at once, later, or never ---- */

GC_STORY(mode_13)
{
    give_bob(world);
    puppet_retires("alice");
    fate(world, "bob", "drop o-52 ; retire o-52", "v1 1,1 > v1 0,0 > gone");
    heard(world, "drop_exports o+7\n", "", "");
    is(world, "gone", "", "");
}

GC_STORY(mode_14)
{
    give_bob(world);
    fate(world, "bob", "drop o-52 ; retire o-52", "v1 1,1 > v1 0,0 > gone");
    heard(world, "drop_exports o+7\nretire_exports o+7\n", "", "");
    is(world, "gone", "", "");
}

GC_STORY(mode_23)
{
    give_bob(world);
    puppet_retires("alice");
    fate(world, "bob", "drop o-52", "v1 1,1 > v1 0,1 > gone");
    heard(world, "drop_exports o+7\n", "retire_imports o-52\n", "");
    is(world, "gone", "", "");
}

GC_STORY(mode_24A)
{
    give_bob(world);
    fate(world, "bob", "drop o-52", "v1 1,1 > v1 0,1");
    heard(world, "drop_exports o+7\n", "", "");
    is(world, "v1 0,1", "_", "");
    fate(world, "alice", "own o+7", "v1 0,1 > gone");
    heard(world, "", "retire_imports o-52\n", "");
    is(world, "gone", "", "");
}

GC_STORY(mode_24B)
{
    give_bob(world);
    fate(world, "bob", "drop o-52", "v1 1,1 > v1 0,1");
    heard(world, "drop_exports o+7\n", "", "");
    fate(world, "bob", "retire o-52", "v1 0,1 > gone");
    heard(world, "retire_exports o+7\n", "", "");
    is(world, "gone", "", "");
}

GC_STORY(retire_before_drop_is_illegal)
{
    give_bob(world);
    puppet_tell(world, "bob", "retire o-52");
    const char *state = world_state(world, "bob");
    cr_expect(
        strstr(state,
               "illegal syscall retire_imports: a reference is retired that is still reachable"),
        "%s", state);
    heard(world, "drop_exports o+7\nretire_exports o+7\n", "", "");
    is(world, "gone", "", "");
}

/* ---- two importers ---- */

GC_STORY(two_importers_drop_and_retire)
{
    give_both(world);
    fate(world, "bob", "drop o-52 ; retire o-52", "v1 2,2 > v1 1,1");
    is(world, "v1 1,1", "", "R");
    fate(world, "carol", "drop o-52 ; retire o-52", "v1 1,1 > v1 0,0 > gone");
    heard(world, "drop_exports o+7\nretire_exports o+7\n", "", "");
    is(world, "gone", "", "");
}

GC_STORY(two_importers_drop)
{
    give_both(world);
    puppet_retires("alice");
    fate(world, "bob", "drop o-52", "v1 2,2 > v1 1,2");
    is(world, "v1 1,2", "_", "R");
    heard(world, "", "", "");
    fate(world, "carol", "drop o-52", "v1 1,2 > v1 0,2 > gone");
    heard(world, "drop_exports o+7\n", "retire_imports o-52\n", "retire_imports o-52\n");
    is(world, "gone", "", "");
}

GC_STORY(two_importers_and_back_again)
{
    give_both(world);
    fate(world, "carol", "drop o-52 ; retire o-52", "v1 2,2 > v1 1,1");
    is(world, "v1 1,1", "R", "");
    puppet_tell(world, "bob", "send o-51 take o-52 -");
    heard(world, "", "",
          "message o+0 #[\"take\",[\"$0\"]] {o-53}\n"); /* a new name: the old one was retired */
    is(world, "v1 2,2", "R", "R");
    fate(world, "bob", "drop o-52 ; retire o-52", "v1 2,2 > v1 1,1");
    is(world, "v1 1,1", "", "R");
    fate(world, "carol", "drop o-53 ; retire o-53", "v1 1,1 > v1 0,0 > gone");
    heard(world, "drop_exports o+7\nretire_exports o+7\n", "", "");
}

/* ---- what no vat holds, but something on its way does ---- */

/* bob sent carol a promise of his, and has the promise of her answer. */
static void give_promises(world_t *world)
{
    give_bob(world);
    puppet_tell(world, "bob", "send o-51 promises p+5 p+6");
    puppet_heard(world, "carol", "message o+0 #[\"promises\",[\"&0\"]] {p-60} p-61\n");
}

GC_STORY(the_value_of_a_promise_holds_it)
{
    give_promises(world);
    puppet_tell(world, "carol", "sub p-60");
    fate(world, "bob", "ok p+5 o-52 ; drop o-52 ; retire o-52", "v1 1,1 > v1 2,2 > v1 1,1");
    heard(world, "", "", "notify p-60 ok #\"$0\" {o-52}\n");
    is(world, "v1 1,1", "", "R");
    fate(world, "carol", "drop o-52 ; retire o-52", "v1 1,1 > v1 0,0 > gone");
    heard(world, "drop_exports o+7\nretire_exports o+7\n", "", "");
}

GC_STORY(a_message_to_a_promise_holds_it_until_delivered)
{
    give_promises(world);
    fate(world, "bob", "send p+6 queued o-52 - ; drop o-52 ; retire o-52", "v1 1,1");
    heard(world, "", "", "");
    is(world, "v1 1,1", "", "");
    fate(world, "carol", "ok p-61 o+0",
         "v1 1,1 > v1 2,2 > v1 1,1"); /* a delivery counts until its result is there */
    heard(world, "", "", "message o+0 #[\"queued\",[\"$0\"]] {o-52}\n");
    is(world, "v1 1,1", "", "R");
    fate(world, "carol", "drop o-52 ; retire o-52", "v1 1,1 > v1 0,0 > gone");
    heard(world, "drop_exports o+7\nretire_exports o+7\n", "", "");
}

GC_STORY(a_message_to_a_promise_holds_it_until_rejected)
{
    give_promises(world);
    fate(world, "bob", "send p+6 queued o-52 - ; drop o-52 ; retire o-52", "v1 1,1");
    is(world, "v1 1,1", "", "");
    fate(world, "carol", "no p-61 nope", "v1 1,1 > v1 0,0 > gone");
    heard(world, "drop_exports o+7\nretire_exports o+7\n", "", "");
}

GC_STORY(a_message_to_oneself)
{
    puppets_meet(world);
    puppet_ask(world, "alice", "send o+0 take o+7 -");
    while (strcmp(puppet_object(world, amy_of(world)), "gone") == 0) cr_assert(world_move(world));
    cr_expect_str_eq(puppet_fate(world, amy_of(world)), "v1 1,1 > v1 0,0 > gone");
    heard(world, "message o+0 #[\"take\",[\"$0\"]] {o+7}\ndrop_exports o+7\nretire_exports o+7\n",
          "", "");
}

/* ---- a vat that ends: what it imported is dropped; its exports are orphans ---- */

/* bob holds o+8, can recognize o+9, and decides a promise on which a message with o+10 waits; alice holds an
 * object of his. */
GC_STORY(a_vat_that_ends)
{
    kref_t pin, one, three, two;
    puppets_meet(world);
    puppet_tell(world, "bob", "send o-50 take o+7,p+5 -");
    puppet_heard(world, "alice", "message o+0 #[\"take\",[\"$0\",\"&1\"]] {o-52 p-63}\n");
    puppet_tell(world, "alice", "send o-50 take o+8,o+9 - ; send p-63 queued o+10 -");
    puppet_heard(world, "bob", "message o+0 #[\"take\",[\"$0\",\"$1\"]] {o-52 o-53}\n");
    puppet_tell(world, "bob", "drop o-53");
    puppet_heard(world, "alice", "drop_exports o+9\n");
    pin = puppet_export(world, "bob", 1);
    one = puppet_export(world, "alice", 1), three = puppet_export(world, "alice", 2),
    two = puppet_export(world, "alice", 3);
    cr_expect_str_eq(puppet_object(world, pin), "v2 1,1");
    cr_expect_str_eq(puppet_object(world, one), "v1 1,1");
    cr_expect_str_eq(puppet_object(world, two), "v1 1,1");
    cr_expect_str_eq(puppet_object(world, three), "v1 0,1");

    puppet_tell(world, "alice", "exit enough");
    cr_expect_str_eq(puppet_object(world, pin), "gone");
    cr_expect_str_eq(puppet_object(world, one), "orphan 1,1");
    cr_expect_str_eq(puppet_object(world, two), "orphan 1,1");
    cr_expect_str_eq(puppet_object(world, three), "gone");
    const char *news = puppet_news(world, "bob");
    cr_expect(strstr(news, "drop_exports o+7\n"), "%s", news);
    cr_expect(strstr(news, "retire_exports o+7\n"), "%s", news);
    cr_expect(strstr(news, "retire_imports o-53\n"), "%s", news);

    puppet_tell(world, "bob", "ask o-52 ping - p+6");
    puppet_heard(world, "bob", "notify p+6 " VAT_TERMINATED);
    cr_expect_str_eq(puppet_object(world, one), "orphan 1,1");
    puppet_tell(world, "bob", "drop o-52 ; no p+5 nope");
    puppet_heard(world, "bob", "retire_imports o-52\n");
    cr_expect_str_eq(puppet_object(world, one), "gone");
    cr_expect_str_eq(puppet_object(world, two), "gone");
}

/* ---- orphans: alice gives amy up, or ends, before or after bob let go of her ---- */

typedef struct {
    const char *cause; /* abandon, terminate */
    bool before;       /* alice goes first */
    const char *letgo; /* what bob does; NULL: nothing */
} orphan_t;

static void goes(world_t *world, const orphan_t *o)
{
    puppet_tell(world, "alice",
                strcmp(o->cause, "abandon") == 0 ? "abandon o+7" : "exit terminated");
}

static void orphan(world_t *world, const void *context)
{
    const orphan_t *o = context;
    bool drops = o->letgo && !strstr(o->letgo, "retire");
    give_bob(world);
    if (o->before) {
        goes(world, o);
        is(world, "orphan 1,1", "R", "");
    }
    if (o->letgo) puppet_tell(world, "bob", o->letgo);
    if (!o->before) {
        if (drops) is(world, "v1 0,1", "_", "");
        goes(world, o);
    }
    if (!o->letgo)
        is(world, "orphan 1,1", "R", "");
    else
        is(world, "gone", "", "");
    puppet_heard(world, "bob", drops ? "retire_imports o-52\n" : "");
}

#define ORPHAN(name, ...) \
    Test(gc_kernel_orphan, name) { puppets_in_all_ways(VATS, orphan, &(orphan_t){__VA_ARGS__}); }
ORPHAN(abandon_before_reachable, "abandon", true, NULL)
ORPHAN(abandon_before_recognizable, "abandon", true, "drop o-52")
ORPHAN(abandon_before_none, "abandon", true, "drop o-52 ; retire o-52")
ORPHAN(abandon_after_reachable, "abandon", false, NULL)
ORPHAN(abandon_after_recognizable, "abandon", false, "drop o-52")
ORPHAN(abandon_after_none, "abandon", false, "drop o-52 ; retire o-52")
ORPHAN(terminate_before_reachable, "terminate", true, NULL)
ORPHAN(terminate_before_recognizable, "terminate", true, "drop o-52")
ORPHAN(terminate_before_none, "terminate", true, "drop o-52 ; retire o-52")
ORPHAN(terminate_after_reachable, "terminate", false, NULL)
ORPHAN(terminate_after_recognizable, "terminate", false, "drop o-52")
ORPHAN(terminate_after_none, "terminate", false, "drop o-52 ; retire o-52")

/* bob sends amy a message, drops her in the same crank, and her vat ends in the crank that hears it. */
static void ends_when_it_hears(world_t *world, const void *context)
{
    bool retires = context != NULL;
    give_bob(world);
    fate(world, "bob",
         retires ? "send o-52 !exit^reason - - ; drop o-52 ; retire o-52"
                 : "send o-52 !exit^reason - - ; drop o-52",
         retires ? "v1 1,1 > gone" : "v1 1,1 > v1 1,2 > gone");
    is(world, "gone", "", "");
    puppet_heard(world, "bob", retires ? "" : "retire_imports o-52\n");
}
Test(gc_kernel_orphan, it_ends_when_the_last_message_comes_dropped)
{
    puppets_in_all_ways(VATS, ends_when_it_hears, NULL);
}
Test(gc_kernel_orphan, it_ends_when_the_last_message_comes_retired)
{
    puppets_in_all_ways(VATS, ends_when_it_hears, "");
}

/* ---- a vat gives an export up ---- */

static void gives_up(world_t *world, const void *context)
{
    bool reachable = context != NULL;
    give_bob(world);
    puppet_tell(world, "bob", "send o-52 ping - p+5");
    puppet_heard(world, "alice", "message o+7 #[\"ping\",[]] {} p-64\n");
    if (!reachable) {
        puppet_tell(world, "bob", "drop o-52");
        heard(world, "drop_exports o+7\n", "", "");
        is(world, "v1 0,1", "_", "");
    }
    puppet_tell(world, "alice", "abandon o+7");
    if (!reachable) {
        heard(world, "", "retire_imports o-52\n", "");
        is(world, "gone", "", "");
        return;
    }
    heard(world, "", "", "");
    is(world, "orphan 1,1", "R", "");
    puppet_tell(world, "bob", "ask o-52 ping - p+6");
    heard(world, "", "notify p+6 " VAT_TERMINATED, "");
    puppet_tell(world, "bob", "drop o-52");
    heard(world, "", "retire_imports o-52\n", "");
    is(world, "gone", "", "");
}
Test(gc_kernel_abandon, reachable) { puppets_in_all_ways(VATS, gives_up, ""); }
Test(gc_kernel_abandon, recognizable) { puppets_in_all_ways(VATS, gives_up, NULL); }
