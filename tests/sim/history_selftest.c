/* The history checker's own test: two good histories, and many that are wrong in one place each. A wrong
 * one must be found by its rule, and the same one without the wrong line must not. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/history.h"

typedef struct {
    jmp_buf out;
    char rule[16], text[256];
} verdict_t;

static void on_fail(void *context, const char *rule, const char *text)
{
    verdict_t *verdict = context;
    snprintf(verdict->rule, sizeof verdict->rule, "%s", rule);
    snprintf(verdict->text, sizeof verdict->text, "%s", text);
    longjmp(verdict->out, 1);
}

/* ---- short names ---- */

static kref_t o(uint32_t vat, uint64_t n) { return kref_object((vat_t){vat}, n); }
static kref_t p(uint32_t vat, uint64_t n) { return kref_promise((vat_t){vat}, n); }
static const kref_t none;

static void send(history_t *h, uint32_t v, uint64_t d, uint64_t n, kref_t target, kref_t slot,
                 kref_t result)
{
    history_send(h, (message_id_t){v, d, n}, target, result,
                 (cargo_view_t){&slot, slot.n ? 1 : 0, 7});
}

static void deliver(history_t *h, uint32_t v, uint64_t d, message_id_t id, kref_t target,
                    kref_t slot, kref_t result)
{
    history_deliver_message(h, v, d, id, target, result, (cargo_view_t){&slot, slot.n ? 1 : 0, 7});
}

static void resolve(history_t *h, uint32_t v, uint64_t d, kref_t promise, kref_t to)
{
    history_resolve(h, v, d, promise, false, to, (cargo_view_t){&to, to.n ? 1 : 0, 9});
    history_resolved(h, v, d, &promise, 1);
}

static void said(history_t *h, kref_t promise, kref_t to)
{
    history_settled(h, promise, false, (cargo_view_t){&to, to.n ? 1 : 0, 9});
}

static void tell(history_t *h, uint32_t v, uint64_t d, kref_t promise, kref_t to)
{
    history_told(h, v, d);
    history_tell(h, v, d, promise, false, (cargo_view_t){&to, to.n ? 1 : 0, 9});
}

static message_id_t id(uint32_t v, uint64_t d, uint64_t n) { return (message_id_t){v, d, n}; }

/* Two vats; a client shows v2 to v1, v1 calls v2 twice with a result, and subscribes. */
static void begin(history_t *h)
{
    for (uint32_t v = 1; v <= 2; v++) {
        history_vat(h, v);
        history_deliver_other(h, v, 1);
        history_applied(h, v, 1);
    }
    send(h, 0, 1, 0, o(1, 0), o(2, 0), p(0, 1));
    deliver(h, 1, 2, id(0, 1, 0), o(1, 0), o(2, 0), p(0, 1));
    send(h, 1, 2, 1, o(2, 0), o(1, 1), p(1, 1)); /* shows its first export */
    history_subscribe(h, 1, 2, p(1, 1));
    send(h, 1, 2, 3, o(2, 0), none, none);
    send(h, 1, 2, 4, p(1, 1), none, none); /* waits for the answer */
    history_applied(h, 1, 2);
}

static void v2_gets_first(history_t *h)
{
    deliver(h, 2, 2, id(1, 2, 1), o(2, 0), o(1, 1), p(1, 1));
}
static void v2_gets_second(history_t *h) { deliver(h, 2, 3, id(1, 2, 3), o(2, 0), none, none); }

static void v2_answers(history_t *h, kref_t to)
{
    v2_gets_first(h);
    v2_gets_second(h);
    resolve(h, 2, 2, p(1, 1), to);
    history_applied(h, 2, 2);
    said(h, p(1, 1), to);
    history_applied(h, 2, 3);
}

/* All of it, to the end: nothing is wrong. The promise becomes v1's own export. */
static void good(history_t *h)
{
    begin(h);
    v2_answers(h, o(1, 1));
    tell(h, 1, 3, p(1, 1), o(1, 1));
    deliver(h, 1, 4, id(1, 2, 4), o(1, 1), none, none);
    history_applied(h, 1, 3);
    resolve(h, 1, 4, p(0, 1), none);
    history_applied(h, 1, 4);
    said(h, p(0, 1), none);
    history_deliver_other(h, 2, 4);
    history_drop_imports(h, 2, 4, o(1, 1));
    history_retire_imports(h, 2, 4, o(1, 1));
    history_applied(h, 2, 4);
    history_deliver_other(h, 1, 5);
    history_drop_exports(h, 1, 5, o(1, 1));
    history_applied(h, 1, 5);
    history_deliver_other(h, 1, 6);
    history_gc_exports(h, 1, 6, o(1, 1));
    history_applied(h, 1, 6);
    history_quiet(h, 0);
}

/* ---- wrong ones ---- */

static void bad_sent_twice(history_t *h)
{
    begin(h);
    send(h, 1, 2, 1, o(2, 0), none, none);
}
static void bad_never_sent(history_t *h)
{
    begin(h);
    deliver(h, 2, 2, id(1, 2, 9), o(2, 0), none, none);
}
static void bad_delivered_twice(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    deliver(h, 2, 3, id(1, 2, 1), o(2, 0), o(1, 1), p(1, 1));
}
static void bad_lost(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    resolve(h, 2, 2, p(1, 1), none);
    history_applied(h, 2, 2);
    history_quiet(h, 0);
}
static void bad_splats(history_t *h)
{
    begin(h);
    v2_answers(h, o(1, 1));
    history_quiet(h, 3);
}
static void bad_overtakes(history_t *h)
{
    begin(h);
    deliver(h, 2, 2, id(1, 2, 3), o(2, 0), none, none);
}
static void bad_content(history_t *h)
{
    begin(h);
    deliver(h, 2, 2, id(1, 2, 1), o(2, 0), o(1, 2), p(1, 1));
}
static void bad_slots_added(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    deliver(h, 2, 3, id(1, 2, 3), o(2, 0), o(1, 1), none);
}
static void bad_result(history_t *h)
{
    begin(h);
    deliver(h, 2, 2, id(1, 2, 1), o(2, 0), o(1, 1), p(1, 2));
}
static void bad_target(history_t *h)
{
    begin(h);
    deliver(h, 1, 3, id(1, 2, 1), o(1, 0), o(1, 1), p(1, 1));
}
static void bad_unsettled_target(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    deliver(h, 1, 3, id(1, 2, 4), o(1, 1), none, none);
}
static void bad_name(history_t *h)
{
    begin(h);
    send(h, 2, 1, 1, o(1, 0), none, none);
}
static void bad_slot(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    send(h, 2, 2, 1, o(1, 1), o(1, 0), none);
}
static void bad_serial(history_t *h)
{
    begin(h);
    send(h, 1, 2, 5, o(2, 0), o(1, 3), none);
}
static void bad_issuer(history_t *h)
{
    begin(h);
    send(h, 1, 2, 5, o(2, 0), o(2, 1), none);
}
static void bad_too_early(history_t *h)
{
    begin(h);
    v2_gets_first(h); /* delivery 2 gives o(1,1); crank 1 cannot have it */
    send(h, 2, 1, 1, o(1, 1), none, none);
}
static void bad_dropped_name(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    history_drop_imports(h, 2, 2, o(1, 1));
    send(h, 2, 2, 2, o(1, 1), none, none);
}
static void bad_retired_name(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    history_drop_imports(h, 2, 2, o(1, 1));
    history_retire_imports(h, 2, 2, o(1, 1));
    send(h, 2, 2, 3, o(1, 1), none, none);
}
static void bad_resolved_name(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    resolve(h, 2, 2, p(1, 1), none);
    send(h, 2, 2, 2, o(2, 0), p(1, 1), none);
}
static void bad_told_name(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    tell(h, 1, 3, p(1, 1), none);
    history_applied(h, 1, 3);
    history_deliver_other(h, 1, 4);
    send(h, 1, 4, 1, p(1, 1), none, none);
}
static void bad_settled_twice(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    said(h, p(1, 1), none);
}
static void bad_resolved_and_rejected(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    history_settled(h, p(1, 1), true, (cargo_view_t){0});
}
static void bad_fulfilled_by_kernel(history_t *h)
{
    begin(h);
    said(h, p(1, 1), none);
}
static void bad_other_value(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    resolve(h, 2, 2, p(1, 1), none);
    said(h, p(1, 1), o(2, 0));
}
static void bad_not_decider(history_t *h)
{
    begin(h);
    resolve(h, 1, 2, p(1, 1), none);
}
static void bad_told_early(history_t *h)
{
    begin(h);
    tell(h, 1, 3, p(1, 1), none);
}
static void bad_told_twice(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    tell(h, 1, 3, p(1, 1), none);
    tell(h, 1, 4, p(1, 1), none);
}
static void bad_told_other(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    tell(h, 1, 3, p(1, 1), o(2, 0));
}
static void bad_message_before_notify(history_t *h)
{
    begin(h);
    v2_answers(h, o(1, 1));
    deliver(h, 1, 3, id(1, 2, 4), o(1, 1), none, none);
}
static void bad_promise_order(history_t *h)
{
    begin(h);
    v2_answers(h, o(1, 1));
    tell(h, 1, 3, p(1, 1), o(1, 1));
    history_applied(h, 1, 3);
    send(h, 2, 3, 1, o(1, 1), none, none); /* another sender may overtake */
    deliver(h, 1, 4, id(2, 3, 1), o(1, 1), none, none);
    send(h, 1, 3, 1, o(1, 1), none, none); /* the same one may not */
    deliver(h, 1, 5, id(1, 3, 1), o(1, 1), none, none);
}
static void bad_never_told(history_t *h)
{
    begin(h);
    v2_answers(h, o(1, 1));
    deliver(h, 1, 3, id(0, 9, 0), none, none, none);
}
static void bad_gap(history_t *h)
{
    begin(h);
    history_deliver_other(h, 2, 4);
}
static void bad_same_number(history_t *h)
{
    begin(h);
    history_deliver_other(h, 2, 1);
}
static void bad_after_end(history_t *h)
{
    begin(h);
    history_ended(h, 2);
    history_deliver_other(h, 2, 2);
}
static void bad_applied_twice(history_t *h)
{
    begin(h);
    history_applied(h, 1, 2);
}
static void bad_applied_early(history_t *h)
{
    begin(h);
    history_applied(h, 2, 2);
}
static void bad_applied_gap(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    v2_gets_second(h);
    history_applied(h, 2, 3);
}
static void bad_drop_reached(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    history_drop_exports(h, 1, 3, o(1, 1));
}
static void bad_drop_on_its_way(history_t *h)
{
    begin(h);
    history_drop_exports(h, 1, 3, o(1, 1));
}
static void bad_drop_import(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    history_drop_exports(h, 2, 3, o(1, 1));
}
static void bad_drop_twice(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    history_drop_imports(h, 2, 3, o(1, 1));
    history_drop_exports(h, 1, 3, o(1, 1));
    history_drop_exports(h, 1, 4, o(1, 1));
}
static void bad_retire_recognized(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    history_drop_imports(h, 2, 3, o(1, 1));
    history_drop_exports(h, 1, 3, o(1, 1));
    history_gc_exports(h, 1, 4, o(1, 1));
}
static void bad_retire_before_drop(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    history_drop_imports(h, 2, 3, o(1, 1));
    history_retire_imports(h, 2, 3, o(1, 1));
    history_gc_exports(h, 1, 3, o(1, 1));
}
static void bad_retire_import_reached(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    history_gc_imports(h, 2, 4, o(1, 1));
}
static void bad_unsettled_at_end(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    v2_gets_second(h);
    history_applied(h, 2, 2);
    history_applied(h, 2, 3);
    resolve(h, 1, 2, p(0, 1), none);
    said(h, p(0, 1), none);
    history_quiet(h, 1);
}
static void bad_kernel_silent(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    v2_gets_second(h);
    resolve(h, 2, 2, p(1, 1), none);
    resolve(h, 1, 2, p(0, 1), none);
    said(h, p(0, 1), none);
    history_quiet(h, 1);
}
static void bad_subscriber_forgotten(history_t *h)
{
    begin(h);
    v2_answers(h, none);
    resolve(h, 1, 2, p(0, 1), none);
    said(h, p(0, 1), none);
    history_quiet(h, 1);
}
static void bad_retire_unheld(history_t *h)
{
    begin(h);
    history_retire_imports(h, 2, 1, o(1, 1));
}

static void start_with(history_t *h, uint32_t v, uint64_t d, kref_t gift, bool upgrade)
{
    history_deliver_start(h, v, d, (cargo_view_t){&gift, 1, 3}, upgrade);
}

/* v3 is made with v1's export; its upgrade drops it and gets it once more; the next one fails. */
static void made_and_upgraded(history_t *h)
{
    begin(h);
    history_vat(h, 3);
    start_with(h, 3, 1, o(1, 1), false);
    history_applied(h, 3, 1);
    start_with(h, 3, 2, o(1, 1), true);
    history_crank(h, 3, 2);
    history_drop_imports(h, 3, 2, o(1, 1));
    history_retire_imports(h, 3, 2, o(1, 1));
    send(h, 3, 2, 1, o(1, 1), none, none);
    history_applied(h, 3, 2);
    start_with(h, 3, 3, o(2, 0), true);
    history_applied(h, 3, 3);
    history_deliver_other(h, 3, 4);
}
static void good_start_and_upgrade(history_t *h)
{
    made_and_upgraded(h);
    send(h, 3, 4, 1, o(1, 1), none, none);
}
static void bad_failed_upgrade_gives(history_t *h)
{
    made_and_upgraded(h);
    send(h, 3, 4, 1, o(2, 0), none, none);
}
static void bad_start_gives_nothing(history_t *h)
{
    begin(h);
    history_vat(h, 3);
    history_deliver_other(h, 3, 1);
    send(h, 3, 1, 1, o(1, 1), none, none);
}
static void bad_drop_of_given(history_t *h)
{
    made_and_upgraded(h);
    v2_answers(h, none);
    history_deliver_other(h, 2, 4);
    history_drop_imports(h, 2, 4, o(1, 1));
    history_applied(h, 2, 4);
    history_drop_exports(h, 1, 3, o(1, 1));
}
static void bad_revoked_answers(history_t *h)
{
    begin(h);
    v2_gets_first(h);
    history_revoked(h, o(2, 0));
    v2_gets_second(h);
}
static void bad_revoked_serves(history_t *h)
{
    begin(h);
    send(h, 0, 2, 0, o(0, 1), none, none);
    history_revoked(h, o(0, 1));
    history_served(h, id(0, 2, 0), o(0, 1));
}

typedef struct {
    const char *name, *rule;
    void (*tell)(history_t *history);
} case_t;

#define CASE(name, rule)  \
    {                     \
#name, rule, name \
    }
static const case_t cases[] = {
    CASE(good, ""),
    CASE(good_start_and_upgrade, ""),
    CASE(bad_failed_upgrade_gives, "X11"),
    CASE(bad_start_gives_nothing, "X11"),
    CASE(bad_drop_of_given, "G1"),
    CASE(bad_revoked_answers, "R1"),
    CASE(bad_revoked_serves, "R1"),
    CASE(bad_sent_twice, "X8"),
    CASE(bad_never_sent, "X8"),
    CASE(bad_delivered_twice, "X8"),
    CASE(bad_lost, "X8"),
    CASE(bad_splats, "X8"),
    CASE(bad_never_told, "X8"),
    CASE(bad_overtakes, "F1"),
    CASE(bad_promise_order, "F2"),
    CASE(bad_message_before_notify, "F3"),
    CASE(bad_content, "X11"),
    CASE(bad_slots_added, "X11"),
    CASE(bad_result, "X11"),
    CASE(bad_target, "X11"),
    CASE(bad_unsettled_target, "X11"),
    CASE(bad_name, "X11"),
    CASE(bad_slot, "X11"),
    CASE(bad_serial, "X11"),
    CASE(bad_issuer, "X11"),
    CASE(bad_too_early, "X11"),
    CASE(bad_dropped_name, "X11"),
    CASE(bad_retired_name, "X11"),
    CASE(bad_resolved_name, "X11"),
    CASE(bad_told_name, "X11"),
    CASE(bad_not_decider, "X11"),
    CASE(bad_told_other, "X11"),
    CASE(bad_retire_unheld, "X11"),
    CASE(bad_settled_twice, "K20"),
    CASE(bad_resolved_and_rejected, "K20"),
    CASE(bad_fulfilled_by_kernel, "K20"),
    CASE(bad_other_value, "K20"),
    CASE(bad_kernel_silent, "K20"),
    CASE(bad_told_early, "X9"),
    CASE(bad_told_twice, "X9"),
    CASE(bad_subscriber_forgotten, "X9"),
    CASE(bad_gap, "D1"),
    CASE(bad_same_number, "D1"),
    CASE(bad_after_end, "D1"),
    CASE(bad_applied_twice, "D1"),
    CASE(bad_applied_early, "D1"),
    CASE(bad_applied_gap, "D1"),
    CASE(bad_drop_reached, "G1"),
    CASE(bad_drop_on_its_way, "G1"),
    CASE(bad_drop_import, "G1"),
    CASE(bad_drop_twice, "G1"),
    CASE(bad_retire_recognized, "G2"),
    CASE(bad_retire_before_drop, "G2"),
    CASE(bad_retire_import_reached, "G2"),
    CASE(bad_unsettled_at_end, "S1"),
};

static bool judged_well(const case_t *one)
{
    verdict_t verdict = {.rule = ""};
    history_t *volatile history = history_new(on_fail, &verdict);
    if (!setjmp(verdict.out)) one->tell(history);
    history_t *done = history;
    history_destroy(&done);
    if (strcmp(verdict.rule, one->rule) == 0) return true;
    printf("%s: rule \"%s\" wanted, \"%s\" found: %s\n", one->name, one->rule, verdict.rule,
           verdict.text);
    return false;
}

int main(void)
{
    size_t count = sizeof cases / sizeof *cases, wrong = 0;
    for (size_t i = 0; i < count; i++) wrong += !judged_well(&cases[i]);
    printf("%zu histories, %zu judged wrongly\n", count, wrong);
    return wrong ? 1 : 0;
}
