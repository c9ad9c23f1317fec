/* How a crank can end its vat, row by row of SwingSet's table: whatever the cause, each promise the
 * vat decided is rejected once, each message that waits or comes later is answered once, its
 * exports keep their identity, and of a discarded crank nothing is seen. In windows of 1, 4 and 16,
 * and with an accident after every frame. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/world.h"

#define TERMINATED "rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat terminated\",\"name\":\"Error\"} {}"
#define NOT_CALLABLE "rejected #{\"#error\":\"[KERNEL:BAD_PROMISE_RESOLUTION] data is not callable"

enum { AFTER = 3 }; /* messages that wait behind the one that ends bob */

/* ---- the rows ---- */

typedef enum { BY_SCRIPT, BY_FORGERY, BY_LOSS, BY_OPERATOR } way_t;

typedef struct {
    const char *name;   /* bob's method, where he does it himself */
    const char *state;  /* and reason, as the broker keeps them */
    way_t way;
    bool kept;          /* the crank counts */
    err_t error;        /* what the engine or the host says */
} outcome_t;

static const outcome_t outcomes[] = {
    {"illegal", "VAT_ILLEGAL, illegal syscall", BY_SCRIPT, false, ERR_OK},
    {"illegal, then goes on", "VAT_ILLEGAL, illegal syscall", BY_SCRIPT, false, ERR_OK},
    {"illegal, then exits", "VAT_ILLEGAL, illegal syscall", BY_SCRIPT, false, ERR_OK},
    {"exits, then illegal", "VAT_ILLEGAL, illegal syscall", BY_SCRIPT, false, ERR_OK},
    {"lies", "VAT_ILLEGAL, illegal syscall", BY_FORGERY, false, ERR_OK},
    {"fails", "VAT_FAILED, because", BY_SCRIPT, false, ERR_VAT_FAILED},
    {"exits", "VAT_EXIT, #\"bye\"", BY_SCRIPT, true, ERR_OK},
    {"exits with failure", "VAT_EXIT, #\"no\"", BY_SCRIPT, false, ERR_OK},
    {"exits, then exits with failure", "VAT_EXIT, #\"no\"", BY_SCRIPT, false, ERR_OK},
    {"computes", "VAT_LIMIT_COMPUTE, because", BY_SCRIPT, false, ERR_VAT_LIMIT_COMPUTE},
    {"allocates", "VAT_LIMIT_HEAP, because", BY_SCRIPT, false, ERR_VAT_LIMIT_HEAP},
    {"recurses", "VAT_LIMIT_STACK, because", BY_SCRIPT, false, ERR_VAT_LIMIT_STACK},
    {"sleeps", "VAT_LIMIT_WALL, wall clock", BY_LOSS, false, ERR_VAT_LIMIT_WALL},
    {"crashes", "VAT_CRASHED, the vat's worker crashed", BY_LOSS, false, ERR_VAT_CRASHED},
    {"is killed", "VAT_KILLED, no longer needed", BY_OPERATOR, false, ERR_OK},
};

enum { OUTCOMES = sizeof outcomes / sizeof *outcomes };

/* ---- the vats ---- */

static const char *text(char buf[48], vref_t vref)
{
    snprintf(buf, 48, "%.*s", (int)vref.s.len, vref.s.at);
    return buf;
}

typedef struct {
    const outcome_t *outcome; /* what bob ends by */
    char thing[48], held[48]; /* alice: bob's export; bob: a promise he decides */
    char kept[48];            /* carol: bob's export */
    unsigned uses;
} actors_t;

static void ask(const engine_host_t *host, const char *target, const char *body, const char *slots, unsigned promise)
{
    char result[16];
    snprintf(result, sizeof result, "p+%u", promise);
    cr_expect_eq(script_send(host, target, body, slots, result), ERR_OK);
    cr_expect_eq(script_subscribe(host, result), ERR_OK);
}

/* alice asks bob for a thing, and for an answer that never comes; a message waits on that answer, and
 * carol hears of it and of the thing. */
static void alice(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    actors_t *self = context;
    (void)ret;
    if (delivery->tag == TAG_deliver_start) {
        self->uses = 0;
    } else if (script_method(delivery, "bootstrap")) {
        ask(host, "o-50", "#[\"make\",[\"$0\"]]", "o+0", 5);
        ask(host, "o-50", "#[\"hold\",[]]", "", 6);
        cr_expect_eq(script_send(host, "o-51", "#[\"watch\",[\"&0\"]]", "p+6", ""), ERR_OK);
        ask(host, "p+6", "#[\"queued\",[]]", "", 7);
        cr_expect_eq(script_send(host, "o-50", "#[\"mine\",[\"$0\"]]", "o+1", ""), ERR_OK);
        cr_expect_eq(script_resolve(host, "p-60", false, "#\"ready\"", ""), ERR_OK);
    } else if (delivery->tag == TAG_deliver_notify && delivery->resolutions.at[0].data.slots.count) {
        text(self->thing, delivery->resolutions.at[0].data.slots.at[0]);
        cr_expect_eq(script_send(host, "o-51", "#[\"keep\",[\"$0\"]]", self->thing, ""), ERR_OK);
    } else if (script_method(delivery, "use")) {
        ask(host, self->thing, "#[\"late\",[]]", "", 10 + 2 * self->uses);
        ask(host, "o-50", "#[\"late\",[]]", "", 11 + 2 * self->uses++);
        cr_expect_eq(script_send(host, "o-51", "#[\"same\",[\"$0\"]]", self->thing, ""), ERR_OK);
    } else if (script_method(delivery, "drop")) {
        cr_expect_eq(script_refs(host, TAG_drop_imports, self->thing), ERR_OK);
    }
}

/* What a crank of bob's does before it ends: all of it is seen, or nothing. */
static void last_words(const engine_host_t *host, const actors_t *self, const vdelivery_t *delivery)
{
    char result[48];
    ask(host, "o-50", "#[\"last words\",[\"$0\"]]", "o+2", 5);
    cr_expect_eq(script_resolve(host, self->held, false, "#\"kept\"", ""), ERR_OK);
    cr_expect_eq(script_resolve(host, text(result, delivery->result), false, "#\"answered\"", ""), ERR_OK);
    cr_expect_eq(script_set(host, "words", "said"), ERR_OK);
}

static void exit_by(const engine_host_t *host, bool failure)
{
    cr_expect_eq(script_exit(host, failure, failure ? "#\"no\"" : "#\"bye\"", ""), ERR_OK);
}

/* The verdict stays, whatever the vat says after it: it is told so each time. */
static void illegal(const engine_host_t *host, const char *name)
{
    bool first = strncmp(name, "exits", 5) == 0;
    if (first) exit_by(host, false);
    cr_expect_neq(script_send(host, "o-99", "#[\"x\",[]]", "", ""), ERR_OK);
    if (strstr(name, "goes on")) cr_expect_neq(script_send(host, "o-50", "#[\"last words\",[]]", "", ""), ERR_OK);
    if (strstr(name, "then exits")) cr_expect_neq(script_exit(host, false, "#\"bye\"", ""), ERR_OK);
}

static void end(const engine_host_t *host, const outcome_t *outcome, engine_report_t *ret)
{
    if (strstr(outcome->name, "illegal")) {
        illegal(host, outcome->name);
    } else if (strncmp(outcome->name, "exits", 5) == 0) {
        if (strcmp(outcome->name, "exits with failure") != 0) exit_by(host, false);
        if (strstr(outcome->name, "failure")) exit_by(host, true);
    } else if (outcome->error) {
        ret->outcome = outcome->error;
        snprintf(ret->reason, sizeof ret->reason, "because");
        ret->dead = outcome->error != ERR_VAT_FAILED;
    }
}

static void bob(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    actors_t *self = context;
    char result[48];
    if (script_method(delivery, "make")) {
        cr_expect_eq(script_resolve(host, text(result, delivery->result), false, "#\"$0\"", "o+1"), ERR_OK);
    } else if (script_method(delivery, "hold")) {
        text(self->held, delivery->result);
    } else if (script_method(delivery, "end")) {
        last_words(host, self, delivery);
        end(host, self->outcome, ret);
    } else if (delivery->tag == TAG_deliver_message && !script_method(delivery, "mine") &&
               (self->outcome->way == BY_SCRIPT || self->outcome->way == BY_LOSS)) {
        cr_expect_fail("bob runs what came after his end");
    }
}

static void carol(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    actors_t *self = context;
    char slot[48];
    (void)ret;
    if (script_method(delivery, "watch")) {
        cr_expect_eq(script_subscribe(host, text(slot, delivery->data.slots.at[0])), ERR_OK);
    } else if (script_method(delivery, "keep")) {
        text(self->kept, delivery->data.slots.at[0]);
    } else if (script_method(delivery, "same")) {
        script_print(host, strcmp(text(slot, delivery->data.slots.at[0]), self->kept) ? "another" : "the same");
    } else if (script_method(delivery, "drop")) {
        cr_expect_eq(script_refs(host, TAG_drop_imports, self->kept), ERR_OK);
    }
}

/* ---- a story ---- */

typedef struct {
    world_t *world;
    actors_t actors;
    unsigned asked, after[AFTER];
} story_t;

static void begin(story_t *story, const outcome_t *outcome, unsigned window, unsigned seed, bool critical)
{
    *story = (story_t){.world = world_new(seed), .actors.outcome = outcome};
    world_vat(story->world, "alice", alice, &story->actors);
    world_vat(story->world, "bob", bob, &story->actors);
    world_vat(story->world, "carol", carol, &story->actors);
    world_window(story->world, window);
    if (critical) world_critical(story->world, "bob");
    world_launch(story->world);
    world_settle(story->world);
    cr_assert_str_eq(world_bootstrap(story->world), "ok #\"ready\" {}");
}

static bool begins(const char *it, const char *with) { return strncmp(it, with, strlen(with)) == 0; }

static bool ended(story_t *story) { return begins(world_state(story->world, "bob"), "terminated"); }

static void forge(story_t *story)
{
    buf_t calls = buf_of(4096);
    kref_t fresh = kref_object((vat_t){2}, 2);
    const char *body = "#[\"last words\",[\"$0\"]]";
    msg_send_t words = {.target = world_root(story->world, "alice"),
        .methargs = {{(const uint8_t *)body, strlen(body)}, {&fresh, 1}}, .result = kref_promise((vat_t){2}, 1)};
    msg_subscribe_t unknown = {kref_promise((vat_t){1}, 77)};
    msg_exit_t exit = {false, {{(const uint8_t *)"#\"bye\"", 6}, {0}}};
    cr_assert_eq(msg_encode(TAG_send, &words, &calls), ERR_OK);
    cr_assert_eq(msg_encode(TAG_subscribe, &unknown, &calls), ERR_OK);
    cr_assert_eq(msg_encode(TAG_exit, &exit, &calls), ERR_OK);
    world_forge(story->world, "bob", (bin_t){calls.at, calls.len});
    buf_clear(&calls);
}

/* What makes his next crank the last one; said again after an accident, while bob lives. */
static void arm(story_t *story)
{
    switch (story->actors.outcome->way) {
    case BY_SCRIPT: break;
    case BY_FORGERY: forge(story); break;
    case BY_LOSS: world_lose(story->world, "bob", story->actors.outcome->error); break;
    case BY_OPERATOR: world_kill_vat(story->world, "bob"); break;
    }
}

static void ask_all(story_t *story)
{
    bool operator = story->actors.outcome->way == BY_OPERATOR;
    if (!operator) arm(story);
    kref_t root = world_root(story->world, "bob");
    story->asked = world_call(story->world, root, operator ? "#[\"wait\",[]]" : "#[\"end\",[]]");
    for (unsigned i = 0; i < AFTER; i++) story->after[i] = world_call(story->world, root, "#[\"after\",[]]");
    if (operator) arm(story);
}

/* ---- what must be so ---- */

static unsigned count(const char *in, const char *what)
{
    unsigned n = 0;
    for (const char *at = in; (at = strstr(at, what)); at++) n++;
    return n;
}

static void told_once(story_t *story, const char *vat, const char *promise, const char *value)
{
    char ok[64], rejected[64], full[256];
    const char *heard = world_heard(story->world, vat);
    snprintf(ok, sizeof ok, " %s ok ", promise);
    snprintf(rejected, sizeof rejected, " %s rejected ", promise);
    snprintf(full, sizeof full, " %s %s", promise, value);
    cr_assert_eq(count(heard, ok) + count(heard, rejected), 1, "%s in\n%s", promise, heard);
    cr_assert_eq(count(heard, full), 1, "%s in\n%s", full, heard);
}

/* An answer on its way to a client is LOST with the link: it was let go when it was given. */
static void answered(story_t *story, unsigned call, const char *answer, bool lost)
{
    const char *seen = world_answer(story->world, call);
    if (!lost || strcmp(seen, "failed REF_UNKNOWN") != 0) cr_assert_str_eq(seen, answer);
}

static void check_story(story_t *story, bool lost)
{
    const outcome_t *outcome = story->actors.outcome;
    bool kept = outcome->kept;
    char state[128];
    snprintf(state, sizeof state, "terminated: %s", outcome->state);
    cr_assert(begins(world_state(story->world, "bob"), state), "%s", world_state(story->world, "bob"));
    cr_assert_str_eq(world_state(story->world, "alice"), "running");
    cr_assert_str_eq(world_state(story->world, "carol"), "running");

    answered(story, story->asked, kept ? "ok #\"answered\" {}" : TERMINATED, lost);
    for (unsigned i = 0; i < AFTER; i++) answered(story, story->after[i], TERMINATED, lost);

    told_once(story, "alice", "p+6", kept ? "ok #\"kept\" {}" : TERMINATED);
    told_once(story, "alice", "p+7", kept ? NOT_CALLABLE : TERMINATED);
    told_once(story, "carol", "p-60", kept ? "ok #\"kept\" {}" : TERMINATED);
    cr_assert_eq(count(world_heard(story->world, "alice"), "last words"), kept ? 1 : 0);
    cr_assert_eq(world_rows(story->world, ROW_entry), 0);
}

/* Whoever holds something of bob's still can: it is the same thing as before, and answers no more. */
static void check_later(story_t *story, unsigned round)
{
    char promise[16];
    unsigned same = count(world_console(story->world), "carol | the same\n");
    world_call(story->world, world_root(story->world, "alice"), "#[\"use\",[]]");
    unsigned late = world_call(story->world, world_root(story->world, "bob"), "#[\"late\",[]]");
    world_settle(story->world);
    cr_assert_str_eq(world_answer(story->world, late), TERMINATED);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(promise, sizeof promise, "p+%u", 10 + 2 * round + i);
        told_once(story, "alice", promise, TERMINATED);
    }
    cr_assert_eq(count(world_console(story->world), "carol | the same\n"), same + 1, "%s",
                 world_console(story->world));
}

static unsigned told_of(story_t *story, const char *vat, const char *what, const char *name)
{
    char line[80];
    snprintf(line, sizeof line, "\n%s %s\n", what, name);
    return count(world_heard(story->world, vat), line);
}

static void drop(story_t *story, const char *vat)
{
    world_call(story->world, world_root(story->world, vat), "#[\"drop\",[]]");
    world_settle(story->world);
}

/* What bob held he holds no more: its vat is told. What he exported is forgotten when the last one who
 * could reach it lets go: those who still recognize it are told, each once. */
static void check_forgotten(story_t *story)
{
    const char *thing = story->actors.thing, *kept = story->actors.kept;
    cr_assert_eq(told_of(story, "alice", "drop_exports", "o+1"), 1, "%s", world_heard(story->world, "alice"));
    cr_assert_eq(told_of(story, "alice", "retire_exports", "o+1"), 1);
    size_t objects = world_rows(story->world, ROW_object);
    drop(story, "alice");
    cr_assert_eq(told_of(story, "alice", "retire_imports", thing), 0);
    cr_assert_eq(told_of(story, "carol", "retire_imports", kept), 0);
    drop(story, "carol");
    cr_assert_eq(told_of(story, "alice", "retire_imports", thing), 1);
    cr_assert_eq(told_of(story, "carol", "retire_imports", kept), 1);
    cr_assert_eq(world_rows(story->world, ROW_object), objects - 1);
}

static void each_row(unsigned window)
{
    for (unsigned i = 0; i < OUTCOMES; i++) {
        for (unsigned seed = 0; seed < 4; seed++) {
            story_t story;
            begin(&story, &outcomes[i], window, seed, false);
            ask_all(&story);
            world_settle(story.world);
            check_story(&story, false);
            check_later(&story, 0);
            world_restart_broker(story.world);
            world_settle(story.world);
            check_story(&story, false);
            check_later(&story, 1);
            check_forgotten(&story);
            world_destroy(&story.world);
        }
    }
}

Test(story_outcome, each_row) { each_row(1); }
Test(story_outcome, each_row_in_a_window_of_4) { each_row(4); }
Test(story_outcome, each_row_in_a_window_of_16) { each_row(16); }

/* ---- with an accident after every frame ---- */

typedef enum { CUT, BROKER, BOBS_WORKER, ALL_WORKERS, EVERYTHING, ACCIDENTS } accident_t;

static void happen(world_t *world, accident_t accident)
{
    static const char *names[] = {"alice", "bob", "carol"};
    if (accident == CUT) world_cut(world);
    if (accident == BOBS_WORKER) world_kill_worker(world, "bob");
    for (unsigned i = 0; i < 3 && accident >= ALL_WORKERS; i++) world_kill_worker(world, names[i]);
    if (accident == BROKER || accident == EVERYTHING) world_restart_broker(world);
}

static bool told_with(const outcome_t *outcome, unsigned window, accident_t accident, unsigned after)
{
    story_t story;
    bool happened = false;
    unsigned moves = 0;
    begin(&story, outcome, window, after, false); /* each place of the accident in another order */
    ask_all(&story);
    do {
        if (moves++ != after) continue;
        happen(story.world, accident);
        happened = true;
        if (!ended(&story)) arm(&story);
    } while (world_move(story.world));
    check_story(&story, accident == CUT || accident == BROKER || accident == EVERYTHING);
    check_later(&story, 0);
    check_forgotten(&story);
    world_destroy(&story.world);
    return happened;
}

static void with_accidents(unsigned window)
{
    for (unsigned i = 0; i < OUTCOMES; i++)
        for (unsigned accident = 0; accident < ACCIDENTS; accident++)
            for (unsigned after = 0; told_with(&outcomes[i], window, (accident_t)accident, after);) after++;
}

Test(story_outcome, each_row_with_accidents) { with_accidents(1); }
Test(story_outcome, each_row_with_accidents_in_a_window_of_4) { with_accidents(4); }
Test(story_outcome, each_row_with_accidents_in_a_window_of_16) { with_accidents(16); }

/* The link is lost while bob's worker hangs, so it cannot attach again; then its host ends it. */
Test(story_outcome, a_worker_lost_after_its_link)
{
    static const unsigned windows[] = {1, 4, 16};
    for (unsigned i = 0; i < OUTCOMES; i++) {
        if (outcomes[i].way != BY_LOSS) continue;
        for (unsigned n = 0; n < 3 * 4; n++) {
            story_t story;
            begin(&story, &outcomes[i], windows[n % 3], n, false);
            ask_all(&story);
            world_lose(story.world, "bob", ERR_OK);
            world_hang(story.world, "bob");
            world_settle(story.world);
            happen(story.world, n / 3 % 2 ? BROKER : CUT);
            if (n > 6) world_settle(story.world);
            arm(&story);
            world_settle(story.world);
            check_story(&story, true);
            check_later(&story, 0);
            check_forgotten(&story);
            world_destroy(&story.world);
        }
    }
}

/* ---- a critical vat takes its cluster along ---- */

/* Whoever waits gets an answer: also who waits for one of the others, and who asks for his result when the
 * cluster is gone. What is sent only then is refused. */
Test(story_outcome, each_row_of_a_critical_vat)
{
    for (unsigned i = 0; i < OUTCOMES; i++) {
        for (unsigned seed = 0; seed < 6; seed++) {
            story_t story;
            begin(&story, &outcomes[i], seed % 2 ? 4 : 1, seed, true);
            kref_t root = world_root(story.world, "carol");
            unsigned wait = world_call(story.world, root, "#[\"wait\",[]]");
            world_settle(story.world);
            ask_all(&story);
            unsigned late = world_call(story.world, root, "#[\"wait\",[]]");
            world_settle(story.world);

            cr_assert_str_eq(world_answer(story.world, wait), TERMINATED, "%s", outcomes[i].name);
            answered(&story, late, TERMINATED, true);
            answered(&story, story.asked, outcomes[i].kept ? "ok #\"answered\" {}" : TERMINATED, false);
            for (unsigned a = 0; a < AFTER; a++) answered(&story, story.after[a], TERMINATED, true);
            for (unsigned v = 0; v < 2; v++) {
                const char *state = world_state(story.world, v ? "carol" : "alice");
                cr_assert_str_eq(state, "terminated: VAT_KILLED, a critical vat of its cluster ended");
            }
            char own[128];
            snprintf(own, sizeof own, "terminated: %s", outcomes[i].state);
            cr_assert(begins(world_state(story.world, "bob"), own), "%s", world_state(story.world, "bob"));
            cr_assert_eq(world_rows(story.world, ROW_cluster), 0);
            cr_assert_leq(world_rows(story.world, ROW_promise), 1, "bootstrap's, for a client that may ask");
            cr_assert_eq(world_rows(story.world, ROW_entry), 0);
            world_destroy(&story.world);
        }
    }
}

/* ---- a start that ends its vat ---- */

static void bad_start(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    const outcome_t *outcome = context;
    if (delivery->tag == TAG_deliver_start) end(host, outcome, ret);
}

/* Each row while the vat starts: the launch is answered with the reason, and nothing of it is left. */
Test(story_outcome, each_row_at_the_start)
{
    for (unsigned i = 0; i < OUTCOMES; i++) {
        const outcome_t *outcome = &outcomes[i];
        if (outcome->way == BY_FORGERY || outcome->way == BY_OPERATOR) continue;
        for (unsigned seed = 0; seed < 6; seed++) {
            actors_t actors = {.outcome = outcome};
            world_t *world = world_new(seed);
            world_vat(world, "alice", alice, &actors);
            world_vat(world, "bob", bad_start, (void *)(uintptr_t)outcome);
            world_vat(world, "carol", carol, &actors);
            if (outcome->way == BY_LOSS) world_lose(world, "bob", outcome->error);
            world_launch(world);
            world_settle(world);

            const char *failure = world_launch_failure(world), *reason = strchr(outcome->state, ' ') + 1;
            cr_assert(begins(failure, "VAT_") && strstr(failure, "\"bob\"") && strstr(failure, reason),
                      "%s: %s", outcome->name, failure);
            cr_assert_str_eq(world_heard(world, "alice"), "", "no bootstrap");
            for (unsigned table = ROW_cluster; table <= ROW_hold; table++)
                cr_assert_eq(world_rows(world, (row_table_t)table), 0, "%s: table %u", outcome->name, table);
            world_destroy(&world);
        }
    }
}

/* ---- no end: quarantine ---- */

/* Answers with what no vat can see: how often it ran. */
static void fickle(void *context, const vdelivery_t *delivery, const engine_host_t *host, engine_report_t *ret)
{
    char result[48], body[32];
    int *runs = context;
    (void)ret;
    if (!script_method(delivery, "count")) return;
    snprintf(body, sizeof body, "#%d", ++*runs);
    cr_expect_eq(script_resolve(host, text(result, delivery->result), false, body, ""), ERR_OK);
}

/* A vat whose replay differs neither runs nor ends: who asked waits for an operator, and is told by his kill. */
Test(story_outcome, a_vat_in_quarantine_that_is_killed)
{
    static const unsigned windows[] = {1, 4, 16};
    for (unsigned n = 0; n < 9; n++) {
        int runs = 0;
        world_t *world = world_new(n);
        world_vat(world, "fickle", fickle, &runs);
        world_may_diverge(world, "fickle");
        world_window(world, windows[n % 3]);
        world_launch(world);
        world_settle(world);
        kref_t root = world_root(world, "fickle");
        unsigned first = world_call(world, root, "#[\"count\",[]]"), waits = world_call(world, root, "#[\"wait\",[]]");
        world_settle(world);
        cr_assert_str_eq(world_answer(world, first), "ok #1 {}");
        world_kill_worker(world, "fickle");
        world_settle(world);
        unsigned late = world_call(world, root, "#[\"count\",[]]");
        world_settle(world);
        cr_assert(begins(world_state(world, "fickle"), "quarantined: VAT_DIVERGED"));
        cr_assert_str_eq(world_answer(world, waits), "");
        cr_assert_str_eq(world_answer(world, late), "");
        if (n % 2) world_restart_broker(world);
        world_kill_vat(world, "fickle");
        world_settle(world);
        cr_assert(begins(world_state(world, "fickle"), "terminated: VAT_KILLED"));
        cr_assert_str_eq(world_answer(world, waits), TERMINATED);
        cr_assert_str_eq(world_answer(world, late), TERMINATED);
        world_destroy(&world);
    }
}
