/* One story, told again and again with an accident after its k-th frame, until it no longer happens: a
 * worker killed, all links cut, the broker gone. Whatever happens, each vat must end with the same
 * history, every console line is told once, and the client gets its answer. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/world.h"

enum { COINS = 4 };

static const char *text(char buf[48], vref_t vref)
{
    snprintf(buf, 48, "%.*s", (int)vref.s.len, vref.s.at);
    return buf;
}

/* alice: moves one coin after the other; state is in the script's own memory, as in a heap, so it
 * starts again with every start delivery. */
typedef struct {
    int moved;
} alice_t;

static void next_coin(alice_t *self, const engine_host_t *host)
{
    char result[16], line[32];
    if (self->moved == COINS) {
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"all moved\"", ""), ERR_OK);
        return;
    }
    snprintf(result, sizeof result, "p+%d", 5 + self->moved);
    snprintf(line, sizeof line, "coin %d leaves", self->moved);
    script_print(host, line);
    cr_expect_eq(script_set(host, "moved", line), ERR_OK);
    cr_expect_eq(script_send(host, "o-50", "#[\"take\",[\"$0.Alleged: coin\",\"$1\"]]", "o+1 o-51", result), ERR_OK);
    cr_expect_eq(script_subscribe(host, result), ERR_OK);
}

static void alice(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                  engine_report_t *ret)
{
    alice_t *self = context;
    (void)ret;
    if (delivery->tag == TAG_deliver_start) *self = (alice_t){0};
    if (script_method(delivery, "bootstrap")) next_coin(self, host);
    if (delivery->tag == TAG_deliver_notify) {
        self->moved++;
        next_coin(self, host);
    }
}

/* bob: passes each coin on to carol and answers with her promise's value when it is there. */
typedef struct {
    char waiting[48];
    int sent;
} bob_t;

static void bob(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                engine_report_t *ret)
{
    bob_t *self = context;
    char coin[48], carol[48], result[16];
    (void)ret;
    if (delivery->tag == TAG_deliver_start) *self = (bob_t){0};
    if (script_method(delivery, "take")) {
        text(coin, delivery->data.slots.at[0]);
        text(carol, delivery->data.slots.at[1]);
        text(self->waiting, delivery->result);
        snprintf(result, sizeof result, "p+%d", 7 + self->sent++);
        cr_expect_eq(script_send(host, carol, "#[\"keep\",[\"$0\"]]", coin, result), ERR_OK);
        cr_expect_eq(script_subscribe(host, result), ERR_OK);
        script_print(host, "bob passes on");
    } else if (delivery->tag == TAG_deliver_notify) {
        cr_expect_eq(script_resolve(host, self->waiting, false, "#\"kept\"", ""), ERR_OK);
    }
}

static void carol(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                  engine_report_t *ret)
{
    char result[48], line[32];
    int *count = context;
    (void)ret;
    if (delivery->tag == TAG_deliver_start) *count = 0;
    if (!script_method(delivery, "keep")) return;
    text(result, delivery->result);
    snprintf(line, sizeof line, "carol has %d", ++*count);
    script_print(host, line);
    cr_expect_eq(script_resolve(host, result, false, "#true", ""), ERR_OK);
}

typedef struct {
    alice_t alice;
    bob_t bob;
    int carol;
    world_t *world;
} story_t;

static void begin(story_t *self, unsigned seed)
{
    *self = (story_t){.world = world_new(seed)};
    world_vat(self->world, "alice", alice, &self->alice);
    world_vat(self->world, "bob", bob, &self->bob);
    world_vat(self->world, "carol", carol, &self->carol);
    world_launch(self->world);
}

static const char *const names[] = {"alice", "bob", "carol"};

/* What must be the same however the story went. */
static char *outcome(story_t *self)
{
    char *all = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&all, &len);
    cr_assert(out);
    fprintf(out, "%s\n", world_bootstrap(self->world));
    for (size_t i = 0; i < 3; i++) {
        fprintf(out, "%s\n%s%s\n", names[i], world_heard(self->world, names[i]), world_state(self->world, names[i]));
    }
    fprintf(out, "%s%zu objects\n", world_console(self->world), world_rows(self->world, ROW_object));
    fclose(out);
    return all;
}

typedef enum { KILL_ALICE, KILL_BOB, KILL_ALL, CUT, RESTART, RESTART_TWICE, ALL_AT_ONCE, ACCIDENTS } accident_t;

static void happen(story_t *self, accident_t accident)
{
    switch (accident) {
    case KILL_ALICE: world_kill_worker(self->world, "alice"); break;
    case KILL_BOB: world_kill_worker(self->world, "bob"); break;
    case KILL_ALL:
        for (size_t i = 0; i < 3; i++) world_kill_worker(self->world, names[i]);
        break;
    case CUT: world_cut(self->world); break;
    case RESTART: world_restart_broker(self->world); break;
    case RESTART_TWICE:
        world_restart_broker(self->world);
        world_move(self->world);
        world_restart_broker(self->world);
        break;
    case ALL_AT_ONCE:
        for (size_t i = 0; i < 3; i++) world_kill_worker(self->world, names[i]);
        world_restart_broker(self->world);
        break;
    case ACCIDENTS: break;
    }
}

static char *told(accident_t accident, unsigned after, unsigned seed, bool *ret_happened)
{
    story_t story;
    unsigned moves = 0;
    begin(&story, seed);
    *ret_happened = false;
    do {
        if (moves++ == after) {
            happen(&story, accident);
            *ret_happened = true;
        }
    } while (world_move(story.world));
    char *text_of_all = outcome(&story);
    world_destroy(&story.world);
    return text_of_all;
}

static void tell(accident_t accident)
{
    for (unsigned seed = 0; seed < 3; seed++) {
        bool happened;
        char *right = told(ACCIDENTS, 0, seed, &happened);
        cr_assert(strstr(right, "ok #\"all moved\""), "%s", right);
        for (unsigned after = 0, more = 1; more; after++) {
            char *this = told(accident, after, seed, &happened);
            cr_assert_str_eq(this, right, "accident %u after frame %u, seed %u", accident, after, seed);
            free(this);
            more = happened;
        }
        free(right);
    }
}

Test(story_accident, one_worker_dies)
{
    tell(KILL_ALICE);
    tell(KILL_BOB);
}
Test(story_accident, all_workers_die) { tell(KILL_ALL); }
Test(story_accident, the_links_are_cut) { tell(CUT); }
Test(story_accident, the_broker_dies)
{
    tell(RESTART);
    tell(RESTART_TWICE);
}
Test(story_accident, everything_dies) { tell(ALL_AT_ONCE); }

/* ---- an engine that is not deterministic ---- */

static void fickle(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    char result[48], body[32];
    int *runs = context;
    (void)ret;
    if (delivery->tag != TAG_deliver_message || script_method(delivery, "bootstrap")) return;
    text(result, delivery->result);
    snprintf(body, sizeof body, "#%d", ++*runs); /* what no vat can see: how often it ran */
    cr_expect_eq(script_resolve(host, result, false, body, ""), ERR_OK);
}

Test(story_accident, a_replay_that_ends_otherwise_is_quarantined)
{
    int runs = 0;
    world_t *world = world_new(0);
    world_vat(world, "fickle", fickle, &runs);
    world_may_diverge(world, "fickle");
    world_launch(world);
    world_settle(world);
    unsigned first = world_call(world, world_root(world, "fickle"), "#[\"count\",[]]");
    world_settle(world);
    cr_assert_str_eq(world_answer(world, first), "ok #1 {}");
    world_kill_worker(world, "fickle");
    world_settle(world);
    cr_assert(strncmp(world_state(world, "fickle"), "quarantined: VAT_DIVERGED", 25) == 0, "%s",
              world_state(world, "fickle"));

    /* It runs no more, whatever starts again. */
    unsigned late = world_call(world, world_root(world, "fickle"), "#[\"count\",[]]");
    world_restart_broker(world);
    world_settle(world);
    cr_assert_str_eq(world_answer(world, late), "");
    cr_assert_eq(runs, 2);
    world_destroy(&world);
}
