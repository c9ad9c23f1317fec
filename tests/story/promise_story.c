/* Promises: as arguments, in chains, in cycles. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/world.h"

/* The text of a vref, for a script that answers what it was sent. */
static const char *text(vref_t vref)
{
    static char buf[4][48];
    static unsigned turn;
    char *at = buf[turn++ % 4];
    snprintf(at, sizeof *buf, "%.*s", (int)vref.s.len, vref.s.at);
    return at;
}

/* ---- a promise travels as an argument and is settled after the answer came ---- */

static void arg_alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                      engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "bootstrap")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"take\",[\"&0\"]]", "p+5", "p+6"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+6"), ERR_OK);
    } else if (delivery->tag == TAG_deliver_notify) {
        cr_expect_eq(script_resolve(host, "p+5", false, "#\"later\"", ""), ERR_OK);
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"told\"", ""), ERR_OK);
    }
}

static void arg_bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                    engine_report_t *ret)
{
    (void)context, (void)ret;
    if (!script_method(delivery, "take")) return;
    cr_expect_eq(script_subscribe(host, "p-60"), ERR_OK);
    cr_expect_eq(script_resolve(host, "p-61", false, "#\"taken\"", ""), ERR_OK);
}

Test(story_promise, an_argument_is_settled_later)
{
    world_t *world = world_new(0);
    world_vat(world, "alice", arg_alice, NULL);
    world_vat(world, "bob", arg_bob, NULL);
    world_launch(world);
    world_settle(world);
    cr_assert_str_eq(world_bootstrap(world), "ok #\"told\" {}");
    cr_assert_str_eq(world_heard(world, "bob"), "start #{} {}\nmessage o+0 #[\"take\",[\"&0\"]] {p-60} p-61\n"
                                                "notify p-60 ok #\"later\" {}\n");
    cr_assert_leq(world_rows(world, ROW_promise), 1);
    world_destroy(&world);
}

/* ---- E-order: who waited on a promise is told before the messages that waited are delivered ---- */

static void order_alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    (void)context, (void)ret;
    if (!script_method(delivery, "bootstrap")) return;
    /* bob hears of p+5, and two messages wait on it; then it becomes bob's own root. */
    cr_expect_eq(script_send(host, "o-50", "#[\"watch\",[\"&0\"]]", "p+5", ""), ERR_OK);
    cr_expect_eq(script_send(host, "o-50", "#[\"settle\",[\"$0\"]]", "o+0", ""), ERR_OK);
    cr_expect_eq(script_send(host, "p-60", "#[\"never\",[]]", "", ""), ERR_OK);
}

static void order_bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                      engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "watch")) {
        cr_expect_eq(script_subscribe(host, "p-60"), ERR_OK);
        cr_expect_eq(script_send(host, "p-60", "#[\"one\",[]]", "", ""), ERR_OK);
        cr_expect_eq(script_send(host, "p-60", "#[\"two\",[]]", "", "p+5"), ERR_OK);
    } else if (script_method(delivery, "settle")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"now\",[\"$0\"]]", "o+0", ""), ERR_OK);
    }
}

static void order_alice_both(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                             engine_report_t *ret)
{
    order_alice(context, delivery, host, ret);
    if (script_method(delivery, "now")) {
        char slot[32];
        snprintf(slot, sizeof slot, "%s", text(delivery->data.slots.at[0]));
        cr_expect_eq(script_resolve(host, "p+5", false, "#\"$0\"", slot), ERR_OK);
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"done\"", ""), ERR_OK);
    }
}

Test(story_promise, notifies_come_before_what_waited)
{
    world_t *world = world_new(0);
    world_vat(world, "alice", order_alice_both, NULL);
    world_vat(world, "bob", order_bob, NULL);
    world_launch(world);
    world_settle(world);
    cr_assert_str_eq(world_bootstrap(world), "ok #\"done\" {}");
    cr_assert_str_eq(world_heard(world, "bob"),
                     "start #{} {}\n"
                     "message o+0 #[\"watch\",[\"&0\"]] {p-60}\n"
                     "message o+0 #[\"settle\",[\"$0\"]] {o-50}\n"
                     "notify p-60 ok #\"$0\" {o+0}\n"
                     "message o+0 #[\"one\",[]] {}\n"
                     "message o+0 #[\"two\",[]] {} p+5\n"); /* his own promise comes home */
    world_destroy(&world);
}

/* ---- two promises of two deciders, each settled with data that holds the other ---- */

static void cross_alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    int *told = context;
    (void)ret;
    if (script_method(delivery, "bootstrap")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"gen\",[]]", "", "p+5"), ERR_OK);
        cr_expect_eq(script_send(host, "o-51", "#[\"gen\",[]]", "", "p+6"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+5"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+6"), ERR_OK);
        cr_expect_eq(script_send(host, "o-50", "#[\"settle\",[[\"&0\"]]]", "p+6", ""), ERR_OK);
        cr_expect_eq(script_send(host, "o-51", "#[\"settle\",[[\"&0\"]]]", "p+5", ""), ERR_OK);
        *told = 0;
    } else if (delivery->tag == TAG_deliver_notify) {
        for (size_t i = 0; i < delivery->resolutions.count; i++) {
            const char *name = text(delivery->resolutions.at[i].promise);
            if (strcmp(name, "p+5") == 0) *told |= 1;
            if (strcmp(name, "p+6") == 0) *told |= 2;
        }
        if (*told == 3) {
            *told = 0;
            cr_expect_eq(script_resolve(host, "p-60", false, "#\"done\"", ""), ERR_OK);
        }
    }
}

static void cross_decider(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                          engine_report_t *ret)
{
    (void)context, (void)ret;
    if (!script_method(delivery, "settle")) return;
    char slot[32];
    snprintf(slot, sizeof slot, "%s", text(delivery->data.slots.at[0]));
    cr_expect_eq(script_resolve(host, "p-60", false, "#[\"&0\"]", slot), ERR_OK);
}

Test(story_promise, a_cycle_across_two_deciders)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        int told = 0;
        world_t *world = world_new(seed);
        world_window(world, seed % 2 ? 16 : 1);
        world_vat(world, "alice", cross_alice, &told);
        world_vat(world, "bob", cross_decider, NULL);
        world_vat(world, "carol", cross_decider, NULL);
        world_launch(world);
        world_settle(world);
        cr_assert_str_eq(world_bootstrap(world), "ok #\"done\" {}", "seed %u", seed);
        world_destroy(&world);
    }
}

/* ---- both ends of a cycle in one resolve ---- */

static void both_bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                     engine_report_t *ret)
{
    static const script_resolution_t both[] = {
        {"p-60", false, "#[\"&0\"]", "p-61"},
        {"p-61", false, "#[\"&0\"]", "p-60"},
    };
    (void)context, (void)ret;
    if (script_method(delivery, "settle")) cr_expect_eq(script_resolve_batch(host, both, 2), ERR_OK);
}

static void both_alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                       engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "bootstrap")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"gen\",[]]", "", "p+5"), ERR_OK);
        cr_expect_eq(script_send(host, "o-50", "#[\"gen\",[]]", "", "p+6"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+5"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+6"), ERR_OK);
        cr_expect_eq(script_send(host, "o-50", "#[\"settle\",[]]", "", ""), ERR_OK);
    } else if (delivery->tag == TAG_deliver_notify) {
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"done\"", ""), ERR_OK);
    }
}

Test(story_promise, a_cycle_in_one_resolve_is_told_once)
{
    world_t *world = world_new(0);
    world_vat(world, "alice", both_alice, NULL);
    world_vat(world, "bob", both_bob, NULL);
    world_launch(world);
    world_settle(world);
    cr_assert_str_eq(world_bootstrap(world), "ok #\"done\" {}");
    const char *heard = world_heard(world, "alice");
    const char *told = strstr(heard, "notify ");
    cr_assert(told, "%s", heard);
    cr_assert_str_eq(told, "notify p+5 ok #[\"&0\"] {p+6}; p+6 ok #[\"&0\"] {p+5}\n");
    world_destroy(&world);
}
