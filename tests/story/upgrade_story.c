/* One vat is upgraded, well or badly, and another one holds what it gave out: something durable, something
 * that is not, and two promises that it never settles. Told again and again with an accident after its
 * k-th frame. Whatever happens, the upgrade happens once or not at all, and everybody hears the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/world.h"

static const char *text(char buf[48], vref_t vref)
{
    snprintf(buf, 48, "%.*s", (int)vref.s.len, vref.s.at);
    return buf;
}

/* ---- who takes part ---- */

static void print_news(const vresolutions_t *news, const engine_host_t *host)
{
    for (size_t i = 0; i < news->count; i++) {
        const vresolution_t *one = &news->at[i];
        char line[256];
        snprintf(line, sizeof line, "%.*s %s %.*s", (int)one->promise.s.len, one->promise.s.at,
                 one->rejected ? "rejected" : "is", (int)one->data.body.len, (const char *)one->data.body.at);
        script_print(host, line);
    }
}

/* Holds what bob makes, and calls it when she is asked to. */
static void alice(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    char result[48];
    (void)context, (void)ret;
    text(result, delivery->result);
    if (script_method(delivery, "bootstrap")) {
        cr_expect_eq(script_send(host, "o-50", "#[\"make\",[]]", "", "p+5"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+5"), ERR_OK);
        cr_expect_eq(script_resolve(host, result, false, "#\"asked\"", ""), ERR_OK);
    } else if (script_method(delivery, "use")) {
        cr_expect_eq(script_send(host, "o-51", "#[\"hello\",[]]", "", "p+6"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+6"), ERR_OK);
        cr_expect_eq(script_send(host, "o-52", "#[\"hello\",[]]", "", "p+7"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+7"), ERR_OK);
        cr_expect_eq(script_resolve(host, result, false, "#\"used\"", ""), ERR_OK);
    } else if (delivery->tag == TAG_deliver_notify) {
        print_news(&delivery->resolutions, host);
        if (delivery->resolutions.at[0].data.slots.count != 4) return;
        cr_expect_eq(script_subscribe(host, "p-61"), ERR_OK);
        cr_expect_eq(script_subscribe(host, "p-62"), ERR_OK);
    }
}

static void bob_one(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    char result[48];
    (void)context, (void)ret;
    text(result, delivery->result);
    if (delivery->tag == TAG_deliver_start) {
        cr_expect_eq(script_set(host, "version", "1"), ERR_OK);
    } else if (script_method(delivery, "make")) {
        cr_expect_eq(script_resolve(host, result, false, "#[\"$0\",\"$1\",\"&2\",\"&3\"]", "o+d10/1 o+11 p+5 p+6"),
                     ERR_OK);
        cr_expect_eq(script_subscribe(host, "p+6"), ERR_OK);
    } else if (script_method(delivery, "hello")) {
        cr_expect_eq(script_resolve(host, result, false, "#1", ""), ERR_OK);
    }
}

static void bob_two(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    char result[48];
    (void)context, (void)ret;
    text(result, delivery->result);
    if (delivery->tag == TAG_deliver_start) {
        cr_expect_eq(script_set(host, "version", "2"), ERR_OK);
        script_print(host, "two starts");
    } else if (script_method(delivery, "hello")) {
        cr_expect_eq(script_resolve(host, result, false, "#[2,\"$0\"]", "o+12"), ERR_OK);
    } else if (delivery->tag == TAG_deliver_notify) {
        print_news(&delivery->resolutions, host);
    }
}

static void bob_throws(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    (void)context;
    if (delivery->tag != TAG_deliver_start) return;
    script_print(host, "it throws");
    cr_expect_eq(script_set(host, "version", "none"), ERR_OK);
    ret->outcome = ERR_BUILD_ROOT_THREW;
    snprintf(ret->reason, sizeof ret->reason, "Error: no");
}

/* ---- the story ---- */

enum { STEPS_MAX = 5 };

typedef struct {
    world_t *world;
    const char *const *bundles; /* what bob is upgraded to, one after the other; ends with NULL */
    unsigned upgrades[STEPS_MAX], wait, use;
    size_t asked;
} story_t;

static void begin(story_t *self, const char *const *bundles, unsigned seed)
{
    *self = (story_t){.world = world_new(seed), .bundles = bundles};
    world_vat(self->world, "alice", alice, NULL);
    world_vat(self->world, "bob", bob_one, NULL);
    world_bundle(self->world, "b1-two", bob_two);
    world_bundle(self->world, "b1-throws", bob_throws);
    world_bundle(self->world, "b1-broken", NULL);
    world_launch(self->world);
}

/* The client asks for the next thing when the last one is done. */
static void client(story_t *self)
{
    world_t *world = self->world;
    if (!strstr(world_console(world), "p+5 is")) return;
    if (!self->wait) self->wait = world_call(world, world_root(world, "bob"), "#[\"wait\",[]]");
    if (self->asked && !*world_answer(world, self->upgrades[self->asked - 1])) return;
    if (self->bundles[self->asked]) {
        self->upgrades[self->asked] = world_upgrade(world, "bob", self->bundles[self->asked]);
        self->asked++;
    } else if (!self->use) {
        self->use = world_call(world, world_root(world, "alice"), "#[\"use\",[]]");
    }
}

static const char *const names[] = {"alice", "bob"};

/* The console lines of NAME: those of different vats come in any order. */
static void print_console(FILE *out, const char *console, const char *name)
{
    for (const char *end; *console; console = end + 1) {
        end = strchr(console, '\n');
        if (strncmp(console, name, strlen(name)) == 0) fprintf(out, "%.*s", (int)(end + 1 - console), console);
    }
}

/* What must be the same however the story went. */
static char *outcome(story_t *self)
{
    char *all = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&all, &len);
    cr_assert(out);
    fprintf(out, "%s\n", world_bootstrap(self->world));
    for (size_t i = 0; i < self->asked; i++) fprintf(out, "%s\n", world_answer(self->world, self->upgrades[i]));
    for (size_t i = 0; i < 2; i++) {
        fprintf(out, "%s\n%s", world_state(self->world, names[i]), world_heard(self->world, names[i]));
        print_console(out, world_console(self->world), names[i]);
    }
    /* A broker that ends just behind an answer holds it still, for a client that may not have heard it. */
    size_t promises = world_rows(self->world, ROW_promise) - world_rows(self->world, ROW_hold);
    fprintf(out, "%zu objects, %zu promises that no client holds, %zu held\n", world_rows(self->world, ROW_object), promises,
            world_rows(self->world, ROW_held));
    fclose(out);
    return all;
}

typedef enum { KILL_ALICE, KILL_BOB, KILL_BOTH, CUT, RESTART, RESTART_TWICE, ALL_AT_ONCE, ACCIDENTS } accident_t;

static void happen(story_t *self, accident_t accident)
{
    if (accident == KILL_ALICE || accident == KILL_BOTH || accident == ALL_AT_ONCE)
        world_kill_worker(self->world, "alice");
    if (accident == KILL_BOB || accident == KILL_BOTH || accident == ALL_AT_ONCE)
        world_kill_worker(self->world, "bob");
    if (accident == CUT) world_cut(self->world);
    if (accident >= RESTART && accident < ACCIDENTS) world_restart_broker(self->world);
    if (accident == RESTART_TWICE) {
        world_move(self->world);
        world_restart_broker(self->world);
    }
}

static char *told(const char *const *bundles, accident_t accident, unsigned after, unsigned seed, bool *ret_happened)
{
    story_t story;
    unsigned moves = 0;
    begin(&story, bundles, seed);
    *ret_happened = false;
    do {
        client(&story);
        if (moves++ == after) {
            happen(&story, accident);
            *ret_happened = true;
        }
    } while (world_move(story.world) || !story.use);
    char *text_of_all = outcome(&story);
    world_destroy(&story.world);
    return text_of_all;
}

static void tell(const char *const *bundles)
{
    for (unsigned seed = 0; seed < 2; seed++) {
        bool happened;
        char *right = told(bundles, ACCIDENTS, UINT32_MAX, seed, &happened);
        for (accident_t accident = 0; accident < ACCIDENTS; accident++) {
            for (unsigned after = 0, more = 1; more; after++) {
                char *this = told(bundles, accident, after, seed, &happened);
                cr_assert_str_eq(this, right, "accident %u after frame %u, seed %u", accident, after, seed);
                free(this);
                more = happened;
            }
        }
        free(right);
    }
}

/* Without any accident: what everybody hears, and what the client hears who waits for bob. (An answer that
 * is lost with the link is told once only.) */
static void is_told(const char *const *bundles, const char *waited, const char *right)
{
    story_t story;
    begin(&story, bundles, 0);
    do {
        client(&story);
    } while (world_move(story.world) || !story.use);
    cr_expect_str_eq(world_answer(story.world, story.wait), waited);
    char *this = outcome(&story);
    cr_expect_str_eq(this, right);
    free(this);
    world_destroy(&story.world);
}

#define WHY "{\"incarnationNumber\":0,\"name\":\"vatUpgraded\",\"upgradeMessage\":\"vat upgraded\"}"
#define ALICE \
    "running\nstart #{} {}\n" \
    "message o+0 #[\"bootstrap\",[{\"alice\":\"$0.Alleged: vatRoot\",\"bob\":\"$1.Alleged: vatRoot\"},{}]] " \
    "{o+0 o-50} p-60\n" \
    "notify p+5 ok #[\"$0\",\"$1\",\"&2\",\"&3\"] {o-51 o-52 p-61 p-62}\n"
#define BOB \
    "running\nstart #{} {}\nmessage o+0 #[\"make\",[]] {} p-60\nmessage o+0 #[\"wait\",[]] {} p-61\n"
#define GONE "#{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"}"

Test(story_upgrade, one_that_happens)
{
    static const char *const bundles[] = {"b1-two", NULL};
    is_told(bundles, "rejected #" WHY " {}",
                     "ok #\"asked\" {}\ndone\n" ALICE
                     "notify p-61 rejected #" WHY " {}\nnotify p-62 rejected #" WHY " {}\n"
                     "message o+0 #[\"use\",[]] {} p-63\nnotify p+7 rejected " GONE " {}\n"
                     "notify p+6 ok #[2,\"$0\"] {o-53}\n"
                     "alice | p+5 is #[\"$0\",\"$1\",\"&2\",\"&3\"]\nalice | p-61 rejected #" WHY "\n"
                     "alice | p-62 rejected #" WHY "\nalice | p+7 rejected " GONE "\n"
                     "alice | p+6 is #[2,\"$0\"]\n" BOB
                     "reap\nrenew b1-two\nstart #\"#undefined\" {}\n"
                     "notify p+6 rejected #" WHY " {}\nmessage o+d10/1 #[\"hello\",[]] {} p-62\n"
                     "bob | two starts\nbob | p+6 rejected #" WHY "\n"
                     "5 objects, 0 promises that no client holds, 8 held\n");
    tell(bundles);
}

Test(story_upgrade, one_that_does_not)
{
    static const char *const bundles[] = {"b1-throws", NULL};
    is_told(bundles, "", "ok #\"asked\" {}\nfailed UPGRADE_FAILED\n" ALICE
                     "message o+0 #[\"use\",[]] {} p-63\nnotify p+6 ok #1 {}\nnotify p+7 ok #1 {}\n"
                     "alice | p+5 is #[\"$0\",\"$1\",\"&2\",\"&3\"]\n"
                     "alice | p+6 is #1\nalice | p+7 is #1\n" BOB
                     "message o+d10/1 #[\"hello\",[]] {} p-62\nmessage o+11 #[\"hello\",[]] {} p-63\n"
                     "bob | it throws\n4 objects, 2 promises that no client holds, 12 held\n");
    tell(bundles);
}

Test(story_upgrade, bundles_that_are_not_there_and_then_two_that_are)
{
    static const char *const bundles[] = {"b1-gone", "b1-two", "b1-broken", "b1-two", NULL};
    tell(bundles);
}

/* The new code never ends: its worker is killed by the clock, and the vat goes on as it was. */
Test(story_upgrade, one_whose_worker_is_lost)
{
    static const char *const none[] = {NULL};
    story_t story;
    for (unsigned hangs = 0; hangs < 2; hangs++) {
        begin(&story, none, 0);
        world_settle(story.world);
        if (hangs)
            world_hang(story.world, "bob");
        else
            world_lose(story.world, "bob", ERR_VAT_LIMIT_WALL);
        unsigned upgrade = world_upgrade(story.world, "bob", "b1-two");
        unsigned hello = world_call(story.world, world_root(story.world, "bob"), "#[\"hello\",[]]");
        world_settle(story.world);
        cr_expect_str_eq(world_answer(story.world, upgrade), hangs ? "" : "failed UPGRADE_FAILED");
        if (hangs) world_lose(story.world, "bob", ERR_VAT_LIMIT_WALL);
        world_settle(story.world);
        cr_expect_str_eq(world_answer(story.world, upgrade), "failed UPGRADE_FAILED");
        cr_expect_str_eq(world_answer(story.world, hello), "ok #1 {}");
        upgrade = world_upgrade(story.world, "bob", "b1-two");
        world_settle(story.world);
        cr_expect_str_eq(world_answer(story.world, upgrade), "done");
        world_destroy(&story.world);
    }
}
