/* Figures for people: each is read before and after something of which it is known what it must count. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

#define PING "#[\"ping\",[]]"

static const kref_t nothing;

typedef struct {
    const char *name, *of;
    uint64_t value;
    bool counter, found;
} asked_t;

static void compare(void *context, const char *name, const char *key, const char *of, bool counter,
                    uint64_t value)
{
    asked_t *asked = context;
    cr_assert_eq(*key == 0, *of == 0, "%s: a key and of which", name);
    if (strcmp(name, asked->name) != 0 || strcmp(of, asked->of) != 0) return;
    cr_assert(!asked->found, "%s %s is told twice", name, of);
    asked->found = true;
    asked->value = value;
    asked->counter = counter;
}

static uint64_t figure(rig_t *rig, const char *name, const char *of)
{
    asked_t asked = {.name = name, .of = of};
    kernel_figures(rig_kernel(rig), compare, &asked);
    cr_assert(asked.found, "no figure %s %s", name, of);
    return asked.value;
}

static rig_t *cluster(const char *names)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, names, NULL)->tag, TAG_launched);
    return rig;
}

/* What the state itself says: the figure is kept beside it, step by step. */
static void expect_unresolved(rig_t *rig)
{
    msg_list_t list = {.request = rig_id(rig), .what = 8, .unsettled = 1};
    const msg_t *msg = rig_ask(rig, TAG_list, &list);
    bin_t rest = msg->body.rows.rows;
    uint64_t count = 0;
    while (rest.len) {
        msg_t row;
        cr_assert_eq(msg_next(&rest, &row), ERR_OK);
        count++;
        msg_clear(&row);
    }
    cr_expect_eq(figure(rig, "kernel_promises", "unresolved"), count);
    cr_expect_eq(figure(rig, "kernel_promises", "settled") + count, rig_counter(rig, "promises"));
}

Test(tally, a_ping_is_counted_as_what_it_is)
{
    rig_t *rig = cluster("alice bob");
    cr_expect_eq(figure(rig, "deliveries", "start"), 2);
    uint64_t messages = figure(rig, "deliveries", "message");
    expect_unresolved(rig);

    buf_t calls = {0};
    kref_t presence = ko(1, 1), answer = kp(1, 1);
    call_send(&calls, root(2), PING, &presence, 1, answer);
    call_subscribe(&calls, answer);
    rig_result(rig, 1, &calls);
    expect_unresolved(rig);
    call_resolve(&calls, answer, true, "#\"no\"", NULL, 0);
    rig_result(rig, 2, &calls);
    rig_run_dry(rig);
    expect_unresolved(rig);

    cr_expect_eq(figure(rig, "deliveries", "message"), messages + 1);
    cr_expect_eq(figure(rig, "deliveries", "notify"), 1);
    cr_expect_eq(figure(rig, "syscalls", "send"), 1);
    cr_expect_eq(figure(rig, "syscalls", "subscribe"), 1);
    cr_expect_eq(figure(rig, "syscalls", "resolve"), 1);
    cr_expect_eq(figure(rig, "rejections", ""), 1);
    cr_expect_eq(figure(rig, "vats", "running"), 2);
    cr_expect_eq(figure(rig, "hosts", "connected"), 1);
    cr_expect_eq(figure(rig, "run_queue_length", ""), rig_counter(rig, "queued"));
    cr_expect_eq(figure(rig, "clist_entries", ""), rig_counter(rig, "held"));
    rig_destroy(&rig);
}

Test(tally, begins_anew_with_a_start_but_for_what_there_is)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    call_send(&calls, root(2), PING, NULL, 0, kp(1, 1));
    rig_result(rig, 1, &calls);
    uint64_t unresolved = figure(rig, "kernel_promises", "unresolved");
    cr_assert_gt(unresolved, 0);
    rig_restart(rig, false);
    cr_expect_eq(figure(rig, "kernel_promises", "unresolved"), unresolved);
    cr_expect_eq(figure(rig, "syscalls", "send"), 0);
    expect_unresolved(rig);
    rig_destroy(&rig);
}

Test(tally, what_the_collector_told_is_counted_by_reference)
{
    rig_t *rig = cluster("alice bob");
    buf_t calls = {0};
    kref_t both[] = {ko(1, 1), ko(1, 2)};
    call_send(&calls, root(2), PING, both, 2, nothing);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    cr_expect_eq(figure(rig, "gc_actions", "dropExports"), 0);

    msg_reap_t reap = {.request = rig_id(rig), .vat = {2}};
    cr_assert_eq(rig_ask(rig, TAG_reap, &reap)->tag, TAG_done);
    krefs_t refs = {both, 2};
    call_any(&calls, TAG_drop_imports, &(msg_drop_imports_t){refs});
    call_any(&calls, TAG_retire_imports, &(msg_retire_imports_t){refs});
    rig_result(rig, 2, &calls);
    rig_run_dry(rig);
    cr_expect_eq(figure(rig, "gc_actions", "dropExports"), 2);
    cr_expect_eq(figure(rig, "syscalls", "dropImports"), 1);
    cr_expect_eq(figure(rig, "deliveries", "bringOutYourDead"), 1);
    rig_destroy(&rig);
}

/* A window of one: what stands behind has waited from the step that queued it to the one that took it. */
Test(tally, a_wait_is_the_time_between_two_steps)
{
    rig_t *rig = rig_new();
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice bob", &(rig_launch_t){.window = 1})->tag, TAG_launched);
    rig_run_dry(rig);
    rig_at(rig, 5000000);
    for (int i = 0; i < 2; i++) {
        msg_call_t call = {rig_id(rig), root(2), rig_data(PING, NULL, 0), 1};
        rig_ask(rig, TAG_call, &call);
    }
    size_t count;
    kernel_waits(rig_kernel(rig), &count);
    cr_expect_eq(count, 0, "bob is busy");
    rig_at(rig, 5000250);
    rig_empty(rig, 2);
    const uint64_t *waits = kernel_waits(rig_kernel(rig), &count);
    cr_assert_eq(count, 1);
    cr_expect_eq(waits[0], 250000);
    rig_destroy(&rig);
}
