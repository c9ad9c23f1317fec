/* The timer service: what comes again and again. Times and orders are those of SwingSet's vat-timer. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/broker/timer_stage.h"

/* ---- what repeats ---- */

static void repeats_go_on_when_the_handler_has_answered(void)
{
    at(103);
    expect_undefined(repeat_after(22, 10, 1)); /* 125, 135, ... */
    expect_alarm(125);
    at(124);
    expect_asleep();
    at(125);
    expect_repeat(125);
    expect_alarm(135);
    at(150); /* two are missed */
    expect_repeat(150);
    expect_alarm(155);
    at(160);
    kref_t slow = expect_woken(160);
    expect_alarm(0);
    at(200);
    expect_alarm(0);
    answers(slow, false);
    expect_alarm(205);
    expect_undefined(cancel(1));
    expect_alarm(0);
    cancel(1);

    repeat_after(5, 10, 1); /* 205, ... */
    at(210);
    answers(expect_woken(210), true); /* it throws: no more */
    expect_alarm(0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    cancel(1);

    repeat_after(5, 10, 3); /* 215, ... */
    at(220);
    slow = expect_woken(220);
    cancel(3);
    answers(slow, false);
    expect_alarm(0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
}
TWICE(repeats_go_on_when_the_handler_has_answered)

static void repeats_from_now_on(void)
{
    repeat_after(0, 10, 1);
    expect_alarm(0);
    expect_repeat(100);
    expect_alarm(110);
    cancel(1);
    expect_alarm(0);
    repeat_after(0, 10, 2);
    kref_t slow = expect_woken(100);
    cancel(2);
    answers(slow, true);
    expect_alarm(0);
}
TWICE(repeats_from_now_on)

static void a_shared_token_cancels_all(void)
{
    repeat_after(5, 10, 1);
    repeat_after(10, 10, 1);
    kref_t promise = wake_at(500, 1), other = wake_at(500, 2);
    wakeup(400, 1);
    at(112);
    expect_repeat(112);
    answers(expect_woken(112), true);
    expect_alarm(115);
    cancel(1);
    expect_error(promise, "TimerCancelled");
    cr_expect_null(told(other));
    expect_alarm(500);
    at(500);
    expect_asleep();
    expect_time(other, 500);
}
TWICE(a_shared_token_cancels_all)

static void repeaters(void)
{
    at(103);
    kref_t made = ask(service, "#[\"makeRepeater\",[\"+22\",\"+10\"]]"); /* 125, 135, ... */
    kref_t repeater = object_of(made, "timerRepeater");
    expect_alarm(0);
    at(104);
    static const char schedule[] = "#[\"schedule\",[\"$0\"]]", disable[] = "#[\"disable\",[]]";
    expect_error(ask(repeater, "#[\"schedule\",[]]"), "bad repeater.schedule() handler");
    expect_error(ask(repeater, "#[\"schedule\",[\"norb\"]]"), "bad repeater.schedule() handler");
    expect_undefined(ask_one(repeater, schedule, root(2)));
    expect_alarm(125);
    expect_error(ask_one(repeater, schedule, root(2)), "repeater already scheduled");
    at(125);
    expect_repeat(125);
    expect_alarm(135);
    at(150);
    expect_repeat(150);
    expect_alarm(155);
    expect_undefined(ask(repeater, disable));
    expect_alarm(0);
    expect_undefined(ask(repeater, disable));

    ask_one(repeater, schedule, root(2)); /* again: 155 */
    at(160);
    kref_t slow = expect_woken(160);
    expect_error(ask_one(repeater, schedule, root(2)), "repeater already scheduled");
    ask(repeater, disable);
    answers(slow, false);
    expect_alarm(0);

    ask_one(repeater, schedule, root(2)); /* 165 */
    at(165);
    answers(expect_woken(165), true);
    expect_alarm(0);
    expect_error(ask_one(repeater, schedule, root(2)), "repeater already scheduled");
    ask(repeater, disable);
    ask_one(repeater, schedule, root(2));
    expect_alarm(175);

    made = ask(service, "#[\"makeRepeater\",[\"+0\",\"+10\"]]");
    ask_one(object_of(made, "timerRepeater"), schedule, root(2));
    expect_repeat(165);
}
TWICE(repeaters)

/* The repeater lives as long as it is scheduled, although nobody holds it. */
Test(timer, a_repeater_that_nobody_holds_goes_on)
{
    stage_begin(false);
    kref_t repeater =
        object_of(ask(service, "#[\"makeRepeater\",[\"+5\",\"+10\"]]"), "timerRepeater");
    kref_t idle = object_of(ask(service, "#[\"makeRepeater\",[\"+5\",\"+10\"]]"), "timerRepeater");
    ask_one(repeater, "#[\"schedule\",[\"$0\"]]", root(2));
    size_t services = rig_rows(rig, ROW_service);
    call_refs(&calls, TAG_drop_imports, (kref_t[]){repeater, idle}, 2);
    call_refs(&calls, TAG_retire_imports, (kref_t[]){repeater, idle}, 2);
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 0};
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_service), services - 1, "the idle one is gone");
    rig_at(rig, 105);
    expect_repeat(105);
    rig_at(rig, 115);
    answers(expect_woken(115), true);
    cr_expect_eq(rig_rows(rig, ROW_service), services - 2);
    stage_end();
}

Test(timer, a_handler_that_is_dead_ends_the_repeat)
{
    stage_begin(false);
    repeat_after(5, 10, 1);
    wakeup(105, 0);
    msg_kill_t kill = {rig_id(rig), {2}, text_of("away with it")};
    rig_ask(rig, TAG_kill, &kill);
    expect_alarm(105);
    at(105);
    expect_alarm(0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    cr_expect_eq(rig_rows(rig, ROW_pending), 0);
    stage_end();
}

/* ---- notifiers ---- */

static void a_notifier_in_the_future(void)
{
    kref_t notifier = notifier_new(25, 10, 1); /* 125, 135, ... */
    expect_alarm(0);
    kref_t first = since(notifier, 0);
    expect_alarm(125);
    at(130);
    expect_update(first, 125, 1);
    expect_alarm(0);
    kref_t second = since(notifier, 1);
    cr_expect_null(told(second));
    expect_alarm(135);
    at(140);
    expect_update(second, 135, 2);
    at(150);
    expect_update(since(notifier, 2), 145, 3);
    at(180);
    expect_update(since(notifier, 3), 175, 6);
    expect_update(ask(notifier, "#[\"getUpdateSince\",[6]]"), 175, 6); /* a number is no bigint */
    expect_alarm(0);
}
TWICE(a_notifier_in_the_future)

static void a_notifier_from_now(void)
{
    kref_t notifier = notifier_new(0, 10, 0);
    expect_update(since(notifier, 0), 100, 1);
    kref_t second = since(notifier, 1), third = since(notifier, 1);
    expect_alarm(110);
    at(101);
    cr_expect_null(told(second));
    at(116);
    expect_update(second, 110, 2);
    expect_update(third, 110, 2);
}
TWICE(a_notifier_from_now)

static void cancelled_notifiers_say_when(void)
{
    /* Before it ever fired, asked before and after. */
    kref_t notifier = notifier_new(5, 10, 1), first = since(notifier, 0);
    at(101);
    cancel(1);
    expect_alarm(0);
    expect_update(first, 101, 0);
    at(102);
    expect_update(since(notifier, 0), 101, 0);
    expect_update(since(notifier, 7), 101, 0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);

    /* While it is idle, and while it waits again; two waiting. */
    kref_t other = notifier_new(8, 10, 2); /* 110, 120, ... */
    kref_t same = notifier_new(8, 10, 2);
    at(110);
    expect_update(since(other, 0), 110, 1);
    kref_t waits = since(other, 1), also = since(other, 1);
    at(111);
    cancel(2);
    expect_update(waits, 111, 0);
    expect_update(also, 111, 0);
    expect_update(since(other, 1), 111, 0);
    expect_update(since(same, 0), 111, 0);
    cancel(2);
    expect_update(since(same, 0), 111, 0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
}
TWICE(cancelled_notifiers_say_when)

/* What next() says; AT_END: it was cancelled then. */
static void expect_step(kref_t promise, uint64_t ms, bool at_end)
{
    char body[200];
    snprintf(body, sizeof body, "#{\"done\":%s,\"value\":" TIME "}", at_end ? "true" : "false", ms);
    expect_body(promise, false, body);
}

static kref_t iterator_new(kref_t notifier)
{
    return object_of(ask(notifier, "#[\"%@@asyncIterator\",[]]"), "timerIterator");
}

static kref_t next(kref_t iterator) { return ask(iterator, "#[\"next\",[]]"); }

static void iterators(void)
{
    kref_t notifier = notifier_new(25, 10, 1); /* 125, 135, ... */
    kref_t iterator = iterator_new(notifier), other = iterator_new(notifier);
    kref_t first = next(iterator);
    expect_alarm(125);
    expect_error(next(iterator), "timer iterator dislikes overlapping next()");
    at(130);
    expect_step(first, 125, false);
    kref_t second = next(iterator);
    cr_expect_null(told(second));
    at(140);
    expect_step(second, 135, false);
    at(160);
    expect_step(next(iterator), 155, false); /* one was missed */
    at(180);
    expect_step(next(iterator), 175, false); /* and two */
    expect_step(next(other), 175, false);
    kref_t third = next(iterator);
    cr_expect_null(told(third));
    at(181);
    cancel(1);
    expect_step(third, 181, true);
    at(182);
    expect_step(next(iterator), 181, true);
    expect_step(next(iterator), 181, true);
    expect_step(next(other), 181, true);

    /* Cancelled before anybody asked. */
    iterator = iterator_new(notifier_new(25, 10, 2));
    cancel(2);
    expect_step(next(iterator), 182, true);
    expect_alarm(0);
}
TWICE(iterators)

Test(timer, an_iterator_keeps_its_notifier)
{
    stage_begin(false);
    size_t services = rig_rows(rig, ROW_service);
    kref_t notifier = notifier_new(5, 10, 1), iterator = iterator_new(notifier);
    cr_expect_eq(rig_rows(rig, ROW_timer), 2);
    call_refs(&calls, TAG_drop_imports, &notifier, 1);
    call_refs(&calls, TAG_retire_imports, &notifier, 1);
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 1};
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_service), services + 2);
    kref_t step = next(iterator);
    at(105);
    expect_step(step, 105, false);
    call_refs(&calls, TAG_drop_imports, &iterator, 1);
    call_refs(&calls, TAG_retire_imports, &iterator, 1);
    go.request = rig_id(rig);
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_service), services);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    stage_end();
}

Test(timer, a_notifier_that_nobody_holds_lets_go_of_its_token)
{
    stage_begin(false);
    kref_t notifier = notifier_new(5, 10, 1), waits = since(notifier, 0);
    cr_expect_eq(rig_rows(rig, ROW_timer), 2);
    call_refs(&calls, TAG_drop_imports, &notifier, 1);
    call_refs(&calls, TAG_retire_imports, &notifier, 1);
    msg_call_t go = {rig_id(rig), root(1), rig_data("#[\"go\",[]]", NULL, 0), 0};
    rig_ask(rig, TAG_call, &go);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_rows(rig, ROW_timer), 2, "somebody waits for it");
    at(105);
    expect_update(waits, 105, 1);
    cr_expect_eq(rig_rows(rig, ROW_timer), 0);
    stage_end();
}
