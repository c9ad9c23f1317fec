/* How vats end: by their own will, by an illegal crank, a limit, an operator, a failed start. Whoever
 * waits for an answer gets one, once; nothing of a discarded crank is seen; the others go on. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/world.h"

#define TERMINATED "rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"} {}"

static const char *text(char buf[48], vref_t vref)
{
    snprintf(buf, 48, "%.*s", (int)vref.s.len, vref.s.at);
    return buf;
}

/* alice: hands everything that bob is asked by the client through her, so that vats wait as well. */
static void alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                  engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "bootstrap")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"hold\",[\"$0\"]]", "o+0", "p+5"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+5"), ERR_OK);
        cr_expect_eq(script_send(host, "p+5", "#[\"queued\",[]]", "", "p+6"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+6"), ERR_OK);
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"waiting\"", ""), ERR_OK);
    }
}

/* bob: never answers `hold`; the rest ends him in different ways, after a message to alice. */
static void bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                engine_report_t *ret)
{
    char result[48];
    (void)context;
    if (delivery->tag != TAG_deliver_message) return;
    text(result, delivery->result);
    if (script_method(delivery, "hold")) return;
    cr_expect_eq(script_send(host, "o-50", "#[\"last words\",[]]", "", ""), ERR_OK);
    if (script_method(delivery, "exit")) {
        cr_expect_eq(script_exit(host, false, "#\"bye\"", ""), ERR_OK);
    } else if (script_method(delivery, "fail")) {
        cr_expect_eq(script_exit(host, true, "#\"no\"", ""), ERR_OK);
    } else if (script_method(delivery, "unknown")) {
        cr_expect_neq(script_send(host, "o-99", "#[\"x\",[]]", "", ""), ERR_OK);
    } else if (script_method(delivery, "limit")) {
        ret->outcome = ERR_VAT_LIMIT_COMPUTE;
        snprintf(ret->reason, sizeof ret->reason, "Compute meter exceeded");
        ret->dead = true;
    }
}

static world_t *begin(unsigned seed)
{
    world_t *world = world_new(seed);
    world_vat(world, "alice", alice, NULL);
    world_vat(world, "bob", bob, NULL);
    world_launch(world);
    world_settle(world);
    cr_assert_str_eq(world_bootstrap(world), "ok #\"waiting\" {}");
    return world;
}

static unsigned count(const char *in, const char *what)
{
    unsigned n = 0;
    for (const char *at = in; (at = strstr(at, what)); at++) n++;
    return n;
}

/* Bob is gone: all that waited is answered, what comes later is answered, alice lives. */
static void check_end(world_t *world, unsigned asked, const char *state, bool words)
{
    char full[256];
    snprintf(full, sizeof full, "terminated: %s", state);
    cr_assert(strncmp(world_state(world, "bob"), full, strlen(full)) == 0, "%s", world_state(world, "bob"));
    cr_assert_str_eq(world_state(world, "alice"), "running");
    if (asked) cr_assert_str_eq(world_answer(world, asked), TERMINATED);

    const char *heard = world_heard(world, "alice");
    cr_assert_eq(count(heard, "notify p+5 " TERMINATED) + count(heard, "; p+5 " TERMINATED), 1, "%s", heard);
    cr_assert_eq(count(heard, "p+6 rejected "), 1, "%s", heard);
    cr_assert_eq(count(heard, "last words"), words ? 1 : 0, "%s", heard);

    unsigned late = world_call(world, world_root(world, "bob"), "#[\"too late\",[]]");
    unsigned alive = world_call(world, world_root(world, "alice"), "#[\"are you there\",[]]");
    world_settle(world);
    cr_assert_str_eq(world_answer(world, late), TERMINATED);
    cr_assert_str_eq(world_answer(world, alive), "");
    cr_assert(strstr(world_heard(world, "alice"), "are you there"));

    /* The same after the broker comes back from its rows. */
    world_restart_broker(world);
    world_settle(world);
    cr_assert(strncmp(world_state(world, "bob"), full, strlen(full)) == 0, "%s", world_state(world, "bob"));
}

static void by_message(const char *methargs, const char *state, bool words)
{
    for (unsigned seed = 0; seed < 5; seed++) {
        world_t *world = begin(seed);
        unsigned asked = world_call(world, world_root(world, "bob"), methargs);
        world_settle(world);
        check_end(world, asked, state, words);
        world_destroy(&world);
    }
}

Test(story_end, exit) { by_message("#[\"exit\",[]]", "VAT_EXIT", true); }
Test(story_end, exit_with_failure) { by_message("#[\"fail\",[]]", "VAT_EXIT", false); }
Test(story_end, a_name_it_does_not_have) { by_message("#[\"unknown\",[]]", "VAT_ILLEGAL", false); }
Test(story_end, a_limit) { by_message("#[\"limit\",[]]", "VAT_LIMIT_COMPUTE", false); }

Test(story_end, a_worker_lost_by_a_limit)
{
    world_t *world = begin(0);
    world_lose(world, "bob", ERR_VAT_LIMIT_WALL);
    unsigned asked = world_call(world, world_root(world, "bob"), "#[\"hold\",[]]");
    world_settle(world);
    check_end(world, asked, "VAT_LIMIT_WALL", false);
    world_destroy(&world);
}

Test(story_end, killed_by_an_operator)
{
    world_t *world = begin(0);
    unsigned asked = world_call(world, world_root(world, "bob"), "#[\"hold\",[]]");
    world_settle(world);
    world_kill_vat(world, "bob");
    world_settle(world);
    check_end(world, asked, "VAT_KILLED", false);
    world_destroy(&world);
}

Test(story_end, killed_with_messages_under_way)
{
    for (unsigned moves = 0; moves < 12; moves++) {
        world_t *world = begin(0);
        unsigned asked[3];
        for (unsigned i = 0; i < 3; i++) asked[i] = world_call(world, world_root(world, "bob"), "#[\"hold\",[]]");
        for (unsigned i = 0; i < moves; i++) world_move(world);
        world_kill_vat(world, "bob");
        world_settle(world);
        for (unsigned i = 0; i < 3; i++) cr_assert_str_eq(world_answer(world, asked[i]), TERMINATED, "%u", moves);
        check_end(world, 0, "VAT_KILLED", false);
        world_destroy(&world);
    }
}

/* ---- a lying worker: what the supervisor would never send ---- */

static void lie(msg_tag_t tag, const void *body)
{
    buf_t calls = buf_of(4096);
    world_t *world = begin(0);
    /* A legal syscall first: nothing of the crank may be seen. */
    msg_send_t words = {.target = world_root(world, "alice"),
        .methargs.body = {(const uint8_t *)"#[\"last words\",[]]", 17}};
    words.methargs.body.len = strlen((const char *)words.methargs.body.at);
    cr_assert_eq(msg_encode(TAG_send, &words, &calls), ERR_OK);
    cr_assert_eq(msg_encode(tag, body, &calls), ERR_OK);
    world_forge(world, "bob", (bin_t){calls.at, calls.len});
    buf_clear(&calls);

    unsigned asked = world_call(world, world_root(world, "bob"), "#[\"hold\",[]]");
    world_settle(world);
    check_end(world, asked, "VAT_ILLEGAL", false);
    world_destroy(&world);
}

static capdata_t body_of(const char *body) { return (capdata_t){.body = {(const uint8_t *)body, strlen(body)}}; }

Test(story_end, a_lie_about_what_it_holds)
{
    msg_send_t send = {.target = kref_object((vat_t){1}, 77), .methargs = body_of("#[\"x\",[]]")};
    lie(TAG_send, &send);
    msg_subscribe_t subscribe = {kref_promise((vat_t){1}, 77)};
    lie(TAG_subscribe, &subscribe);
}

Test(story_end, a_lie_about_who_decides)
{
    /* alice's promise p+5 is bob's to decide, p+6 is nobody's yet. */
    resolution_t theirs = {kref_promise((vat_t){1}, 2), false, body_of("#1")};
    msg_resolve_t resolve = {{&theirs, 1}};
    lie(TAG_resolve, &resolve);
}

Test(story_end, a_serial_that_is_not_next)
{
    msg_send_t send = {.target = kref_root((vat_t){1}), .methargs = body_of("#[\"x\",[]]"),
        .result = kref_promise((vat_t){2}, 1000)};
    lie(TAG_send, &send);
}

Test(story_end, a_serial_of_somebody_else)
{
    msg_send_t send = {.target = kref_root((vat_t){1}), .methargs = body_of("#[\"x\",[]]"),
        .result = kref_promise((vat_t){1}, 3)};
    lie(TAG_send, &send);
}

Test(story_end, a_body_that_cannot_be_read)
{
    msg_send_t send = {.target = kref_root((vat_t){1}), .methargs = body_of("#[\"x\",[\"$0\"]]")};
    lie(TAG_send, &send);
}

/* ---- launches that fail ---- */

static void no_root(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                    engine_report_t *ret)
{
    (void)context, (void)host;
    if (delivery->tag != TAG_deliver_start) return;
    ret->outcome = ERR_NO_BUILD_ROOT;
    snprintf(ret->reason, sizeof ret->reason, "the bundle exports: makeBank");
}

Test(story_end, a_start_fails_and_nothing_of_the_cluster_is_left)
{
    for (unsigned seed = 0; seed < 10; seed++) {
        world_t *world = world_new(seed);
        world_vat(world, "alice", alice, NULL);
        world_vat(world, "bob", no_root, NULL);
        world_vat(world, "carol", bob, NULL);
        world_launch(world);
        world_settle(world);
        const char *failure = world_launch_failure(world);
        cr_assert(strstr(failure, "NO_BUILD_ROOT") || strstr(failure, "START_FAILED"), "%s", failure);
        cr_assert(strstr(failure, "bob") && strstr(failure, "makeBank"), "%s", failure);
        cr_assert_eq(world_rows(world, ROW_cluster), 0);
        cr_assert_eq(world_rows(world, ROW_object), 0);
        cr_assert_eq(world_rows(world, ROW_promise), 0);
        cr_assert_eq(world_rows(world, ROW_held), 0);
        cr_assert_eq(world_rows(world, ROW_entry), 0);
        cr_assert_eq(world_rows(world, ROW_log), 0);
        cr_assert_str_eq(world_heard(world, "alice"), "");
        world_destroy(&world);
    }
}

Test(story_end, a_removed_cluster_leaves_nothing)
{
    for (unsigned moves = 0; moves < 60; moves++) {
        world_t *world = world_new(0);
        world_vat(world, "alice", alice, NULL);
        world_vat(world, "bob", bob, NULL);
        world_launch(world);
        for (unsigned i = 0; i < moves; i++) world_move(world);
        if (!*world_bootstrap(world)) { /* not launched yet */
            world_settle(world);
        }
        world_remove_cluster(world);
        world_settle(world);
        cr_assert_eq(world_rows(world, ROW_cluster), 0);
        cr_assert_eq(world_rows(world, ROW_object), 0);
        cr_assert_eq(world_rows(world, ROW_promise), 0);
        cr_assert_eq(world_rows(world, ROW_held), 0);
        cr_assert_eq(world_rows(world, ROW_entry), 0);
        cr_assert_eq(world_rows(world, ROW_log), 0);
        world_destroy(&world);
    }
}
