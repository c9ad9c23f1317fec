/* Deliveries and syscalls of a running vat. The expected lines are SwingSet's traces, as its own
 * worker makes them with the same liveslots; E.sendOnly() alone differs, because it works here. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/own.h"

static xs_vat_t *started(const char *bundle)
{
    xs_vat_t *vat = xs_vat_new(bundle, (xs_options_t){0});
    const engine_report_t *report = xs_vat_start(vat, "#\"#undefined\"");
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    xs_vat_store(vat);
    return vat;
}

static void check(xs_vat_t *vat, const char *body, const char *slots, const char *result,
                  const char *calls)
{
    const engine_report_t *report = xs_vat_message(vat, "o+0", body, slots, result);
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    cr_assert_str_eq(xs_vat_calls(vat), calls);
}

Test(xs_message, answers)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"nothing\",[]]", "", "p-60", "resolve p-60 fulfilled #\"#undefined\" {}\n");
    check(vat, "#[\"echo\",[\"$0.Alleged: x\"]]", "o-50", "p-61",
          "resolve p-61 fulfilled #\"$0.Alleged: x\" {o-50}\n");
    check(vat, "#[\"fail\",[]]", "", "p-62",
          "resolve p-62 rejected #{\"#error\":\"boom\",\"errorId\":\"error:liveSlots:v1#70001\","
          "\"name\":\"Error\"} {}\n");
    cr_assert_neq(strstr(xs_vat_console(vat), "Error: boom"), NULL);
    check(vat, "#[\"fail\",[]]", "", NULL, "");
    check(vat, "#[\"nothing\",[]]", "", NULL, "");
}

Test(xs_message, sends_subscribes_and_is_told)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"ask\",[\"$0.Alleged: x\"]]", "o-50", "p-64",
          "send o-50 #[\"foo\",[]] {} p+5\nsubscribe p+5\n");
    cr_assert_str_eq(xs_vat_store(vat),
                     "set idCounters={\"exportID\":10,\"collectionID\":4,\"promiseID\":6}\n");
    xs_vat_notify(vat, "p+5", false, "#\"ok\"", "");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-64 fulfilled #\"ok\" {}\n");
    check(vat, "#[\"takeKnown\",[\"$0.Alleged: x\"]]", "o-50", NULL,
          "send o-50 #[\"take\",[\"&0\"]] {p+6} p+7\nsubscribe p+7\nresolve p+6 fulfilled #7 {}\n");
    check(vat, "#[\"chain\",[\"$0.Alleged: x\"]]", "o-50", NULL,
          "send o-50 #[\"one\",[]] {} p+8\nsubscribe p+8\nsend p+8 #[\"two\",[]] {} p+9\nsubscribe "
          "p+9\n");
    check(vat, "#[\"share\",[\"$0.Alleged: x\"]]", "o-50", NULL,
          "send o-50 #[\"a\",[\"&0\"]] {p+10} p+11\nsubscribe p+11\n"
          "send o-50 #[\"b\",[\"&0\"]] {p+10} p+12\nsubscribe p+12\n");
    check(vat, "#[\"settle\",[3]]", "", NULL, "resolve p+10 fulfilled #3 {}\n");
    check(vat, "#[\"apply\",[\"$0.Alleged: x\"]]", "o-50", NULL,
          "send o-50 #[\"#undefined\",[1,2]] {} p+13\nsubscribe p+13\n"
          "send o-50 #[\"%@@asyncIterator\",[]] {} p+14\nsubscribe p+14\n");
}

/* XS as it comes needs more than the usual limits for it: its costs grow with the square. */
Test(xs_message, four_thousand_sends_in_one_crank)
{
    AUTO(xs_vat) vat = started("messages.json");
    const engine_report_t *report =
        xs_vat_message(vat, "o+0", "#[\"many\",[\"$0.Alleged: x\",4000]]", "o-50", NULL);
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    cr_assert_neq(strstr(xs_vat_calls(vat), "send o-50 #[\"hello\",[3999]] {} p+4004\n"), NULL);
}

Test(xs_message, promises_in_arguments)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"echo\",[[\"&0\"]]]", "p-70", "p-71",
          "subscribe p-70\nresolve p-71 fulfilled #[\"&0\"] {p-70}\n");
    check(vat, "#[\"echo\",[\"&0\"]]", "p-67", "p-68", "subscribe p-67\n");
    xs_vat_notify(vat, "p-67", true, "#\"no\"", "");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-68 rejected #\"no\" {}\n");
    xs_vat_notify(vat, "p-70", false, "#[\"&0\"]", "p-82");
    cr_assert_str_eq(xs_vat_calls(vat), "subscribe p-82\n");
}

Test(xs_message, exports_live_and_die)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"make\",[]]", "", "p-72",
          "resolve p-72 fulfilled #\"$0.Alleged: iface\" {o+10}\n");
    xs_vat_refs(vat, TAG_deliver_drop_exports, "o+10");
    cr_assert_str_eq(xs_vat_calls(vat), "");
    cr_assert_eq(xs_vat_reap(vat)->outcome, ERR_OK);
    cr_assert_str_eq(xs_vat_calls(vat), "retire_exports {o+10}\n");
    check(vat, "#[\"make\",[]]", "", "p-73",
          "resolve p-73 fulfilled #\"$0.Alleged: iface\" {o+11}\n");
    xs_vat_refs(vat, TAG_deliver_drop_exports, "o+11");
    xs_vat_refs(vat, TAG_deliver_retire_exports, "o+11");
    xs_vat_reap(vat);
    cr_assert_str_eq(xs_vat_calls(vat), "");
}

Test(xs_message, imports_are_dropped_by_a_reap)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"lookup\",[\"$0.Alleged: x\"]]", "o-50", "p-60",
          "resolve p-60 fulfilled #[] {}\n");
    cr_assert_eq(xs_vat_reap(vat)->outcome, ERR_OK);
    cr_assert_str_eq(xs_vat_calls(vat), "drop_imports {o-50}\nretire_imports {o-50}\n");
    cr_assert_eq(xs_vat_refs(vat, TAG_deliver_retire_imports, "o-50")->outcome, ERR_OK);
    cr_assert_str_eq(xs_vat_calls(vat), "");
}

Test(xs_message, durable_objects_die_with_their_state)
{
    AUTO(xs_vat) vat = started("durable.json");
    xs_vat_call(vat, "#[\"makeCounter\",[\"c\"]]");
    cr_assert_not_null(xs_vat_get(vat, "vom.o+d10/1"));
    xs_vat_call(vat, "#[\"forget\",[\"c\"]]");
    cr_assert_eq(xs_vat_reap(vat)->outcome, ERR_OK);
    cr_assert_null(xs_vat_get(vat, "vom.o+d10/1"));
}

Test(xs_message, sendOnly_sends)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"oneWay\",[\"$0.Alleged: x\",\"&1\"]]", "o-50,p-60", NULL,
          "subscribe p-60\n"
          "send o-50 #[\"shout\",[\"a\"]] {}\n"
          "send o-50 #[\"#undefined\",[1]] {}\n"
          "send p-60 #[\"later\",[\"&0\"]] {p+5}\n"
          "send o-50 #[\"after\",[]] {} p+6\n"
          "subscribe p+6\n");
    check(vat, "#[\"settle\",[1]]", "", NULL, "resolve p+5 fulfilled #1 {}\n");

    /* A promise that is known to be settled goes out with its resolution. */
    xs_vat_message(vat, "o+0", "#[\"oneWay\",[\"$0.Alleged: x\",\"&1\"]]", "o-50,p-60", NULL);
    cr_assert_neq(strstr(xs_vat_calls(vat), "send p-60 #[\"later\",[\"&0\"]] {p+7}\n"
                                            "resolve p+7 fulfilled #1 {}\n"),
                  NULL);
}

Test(xs_message, exit_is_a_syscall)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"exit\",[]]", "", NULL, "exit success #\"bye\" {}\n");
    check(vat, "#[\"exitWithFailure\",[]]", "", NULL,
          "exit failure #{\"#error\":\"no more\",\"errorId\":\"error:liveSlots:v1#70001\","
          "\"name\":\"Error\"} {}\n");
}

Test(xs_message, unhandled_rejection_is_a_line_on_the_console)
{
    AUTO(xs_vat) vat = started("messages.json");
    check(vat, "#[\"lose\",[]]", "", "p-60", "resolve p-60 fulfilled #\"#undefined\" {}\n");
    cr_assert_str_eq(xs_vat_console(vat),
                     "warn vat| Unhandled promise rejection: Error: nobody looks\n");
    check(vat, "#[\"echo\",[1]]", "", "p-61", "resolve p-61 fulfilled #1 {}\n");
}

Test(xs_message, refused_syscall_ends_the_crank)
{
    AUTO(xs_vat) vat = started("messages.json");
    xs_vat_refuse(vat, TAG_send);
    unsigned asked = xs_vat_asked(vat);
    const engine_report_t *report =
        xs_vat_message(vat, "o+0", "#[\"share\",[\"$0.Alleged: x\"]]", "o-50", "p-60");
    cr_assert_eq(report->outcome, ERR_VAT_FAILED);
    cr_assert_not(report->dead);
    cr_assert_str_eq(xs_vat_calls(vat), "");
    cr_assert_eq(xs_vat_asked(vat), asked + 1, "nothing is asked after the first refusal");
}

Test(xs_message, refused_store_ends_the_crank)
{
    AUTO(xs_vat) vat = started("durable.json");
    xs_vat_refuse(vat, 0);
    unsigned asked = xs_vat_asked(vat);
    cr_assert_eq(xs_vat_call(vat, "#[\"names\",[]]")->outcome, ERR_VAT_FAILED);
    cr_assert_eq(xs_vat_asked(vat), asked + 1);
}

Test(xs_message, same_deliveries_cost_the_same)
{
    uint64_t computrons[2][3];
    for (int i = 0; i < 2; i++) {
        AUTO(xs_vat) vat = started("durable.json");
        computrons[i][0] = xs_vat_call(vat, "#[\"makeCounter\",[\"c\"]]")->computrons;
        if (i) xs_vat_replay(vat, true);
        computrons[i][1] = xs_vat_call(vat, "#[\"incr\",[\"c\"]]")->computrons;
        computrons[i][2] = xs_vat_reap(vat)->computrons;
    }
    cr_assert_eq(memcmp(computrons[0], computrons[1], sizeof computrons[0]), 0);
}
