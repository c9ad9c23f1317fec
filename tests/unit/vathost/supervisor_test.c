/* The supervisor at its border: deliveries in krefs go in, an engine with a script answers in vrefs,
 * and the crank's syscalls in krefs come out; so again in a replay. The traces are those of SwingSet's raw vats. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vathost/supervisor_rig.h"

/* ---- traces ---- */

static void ping_a(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    (void)context, (void)ret;
    if (!script_method(delivery, "go")) return;
    script_send(host, "o-50", "#[\"ping\",[\"$0\"]]", "o+1", "p+101");
    script_subscribe(host, "p+101");
}

static void ping_b(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "ping")) script_resolve(host, "p-60", false, "#\"pong\"", "");
}

Test(supervisor, two_raw_vats_ping)
{
    rig_t a = rig_of((vat_t){1}, ping_a, NULL), b = rig_of((vat_t){2}, ping_b, NULL);

    cr_assert_eq(message(&a, ko(1, 0), "#[\"go\",[\"$0\"]]", SLOTS(ko(2, 0)), (kref_t){0}), ERR_OK);
    cr_expect_str_eq(heard(&a), "message o+0 #[\"go\",[\"$0\"]] {o-50}");
    cr_expect_str_eq(a.calls, "send ko2.0 #[\"ping\",[\"$0\"]] {ko1.1} kp1.1\nsubscribe kp1.1\n");

    cr_assert_eq(message(&b, ko(2, 0), "#[\"ping\",[\"$0\"]]", SLOTS(ko(1, 1)), kp(1, 1)), ERR_OK);
    cr_expect_str_eq(heard(&b), "message o+0 #[\"ping\",[\"$0\"]] {o-50} p-60");
    cr_expect_str_eq(b.calls, "resolve kp1.1 ok #\"pong\" {}\n");

    resolution_t pong = {kp(1, 1), false, capdata("#\"pong\"", NULL, 0)};
    cr_assert_eq(notify(&a, &pong, 1), ERR_OK);
    cr_expect_str_eq(heard(&a), "notify p+101 ok #\"pong\" {}");

    /* c-lists as in the trace: the promise is gone on both sides */
    cr_expect(kref_same(look(&a, "o+0").kref, ko(1, 0)));
    cr_expect(kref_same(look(&a, "o-50").kref, ko(2, 0)));
    cr_expect(kref_same(look(&a, "o+1").kref, ko(1, 1)));
    cr_expect_eq(look(&a, "").count, 3);
    cr_expect(kref_same(look(&b, "o-50").kref, ko(1, 1)));
    cr_expect_eq(look(&b, "").count, 2);
    rig_clear(&a);
    rig_clear(&b);
}

static void serials(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_send(host, "o+20", "#[\"a\",[\"$0\",\"&1\",\"$2\"]]", "o+21 p+5 o+d11/1:0", "p+6");
    script_resolve_batch(host,
                         (script_resolution_t[]){{"p+7", false, "#[\"$0\",\"&1\"]", "o+22 p+8"},
                                                 {"p+8", true, "#\"$0\"", "o+21"}},
                         2);
    script_send(host, "p+6", "#[\"b\",[]]", "", "p+9");
}

Test(supervisor, new_exports_are_numbered_by_syscall_field_and_slot)
{
    steps_t steps = {{serials}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(
        rig.calls,
        "send ko3.1 #[\"a\",[\"$0\",\"&1\",\"$2\"]] {ko3.2 kp3.1 ko3.3} kp3.2\n"
        "resolve kp3.3 ok #[\"$0\",\"&1\"] {ko3.4 kp3.4}; kp3.4 rejected #\"$0\" {ko3.2}\n"
        "send kp3.2 #[\"b\",[]] {} kp3.5\n");
    cr_expect_eq(look(&rig, "p+7").flags, 0, "settled promises have no pair");
    cr_expect_eq(look(&rig, "p+8").flags, 0);
    rig_clear(&rig);
}

static void settle_own(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_send(host, "o-50", "#[\"take\",[\"&0\"]]", "p+6", "");
    script_resolve(host, "p+6", false, "#7", "");
}
static void settle_again(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_resolve(host, "p-60", false, "#8", "");
}

Test(supervisor, own_promise_coming_home_is_an_import)
{
    steps_t steps = {{settle_own, NULL}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"$0\"]]", SLOTS(ko(4, 0)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(rig.calls,
                     "send ko4.0 #[\"take\",[\"&0\"]] {kp3.1}\nresolve kp3.1 ok #7 {}\n");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"&0\"]]", SLOTS(kp(3, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"&0\"]] {p-60}");
    rig_clear(&rig);
}

Test(supervisor, own_object_without_a_name_is_the_brokers_fault)
{
    rig_t rig = rig_of((vat_t){3}, NULL, NULL);
    char *before = memstore_dump(rig.store);

    cr_expect_eq(
        message(&rig, ko(3, 0), "#[\"x\",[\"$0\",\"$1\"]]", SLOTS(ko(4, 0), ko(3, 9)), (kref_t){0}),
        ERR_NOT_HELD);
    cr_expect_eq(message(&rig, ko(3, 9), "#[\"x\",[]]", NULL, 0, (kref_t){0}), ERR_NOT_HELD);
    cr_expect_eq(message(&rig, ko(4, 0), "#[\"x\",[]]", NULL, 0, (kref_t){0}), ERR_NOT_HELD,
                 "a target must be an export");
    cr_expect_eq(script_count(rig.engine), 0, "nothing of it was run");
    char *after = memstore_dump(rig.store);
    cr_expect_str_eq(after, before);
    cr_expect_eq(look(&rig, "").count, 1);
    free(before);
    free(after);
    rig_clear(&rig);
}

Test(supervisor, a_notify_deletes_its_pairs_before_the_engine_runs)
{
    steps_t steps = {{NULL, settle_again}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"&0\"]]", SLOTS(kp(4, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"&0\"]] {p-60}");

    resolution_t both[] = {
        {kp(4, 1), false, capdata("#[\"&0\",\"$1\"]", SLOTS(kp(4, 2), ko(4, 7)))},
        {kp(4, 2), true, capdata("#[\"&0\"]", SLOTS(kp(4, 1)))}};
    cr_assert_eq(notify(&rig, both, 2), ERR_OK);
    cr_expect_str_eq(heard(&rig), "notify p-60 ok #[\"&0\",\"$1\"] {p-61 o-50}; "
                                  "p-61 rejected #[\"&0\"] {p-60}");
    cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL, "p-60 was gone when the engine named it");

    rig_clear(&rig);
}

/* liveslots 0.11.0 with a settled promise in virtual data. */
static void mention_again(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                          engine_report_t *ret)
{
    const script_resolution_t both[] = {{"p-61", false, "#[\"&0\"]", "p-60"},
                                        {"p-60", false, "#\"told\"", ""}};
    (void)context, (void)ret;
    if (delivery->tag != TAG_deliver_message || !delivery->result.s.len) return;
    cr_expect_eq(script_send(host, "o-50", "#[\"x\",[\"&0\",\"&0\"]]", "p-60", ""), ERR_OK);
    cr_expect_eq(script_resolve_batch(host, both, 2), ERR_OK);
}

static void never_given(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    (void)ret;
    if (delivery->tag == TAG_deliver_message)
        (void)script_send(host, "o-50", "#[\"x\",[\"&0\"]]", context, "");
}

Test(supervisor, a_promise_told_of_before_and_mentioned_under_its_old_name_is_the_vats_own)
{
    rig_t rig = rig_of((vat_t){3}, mention_again, NULL);
    resolution_t one = {kp(4, 1), false, capdata("#\"told\"", NULL, 0)};

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 7), kp(4, 1)), (kref_t){0}),
                 ERR_OK);
    cr_assert_eq(notify(&rig, &one, 1), ERR_OK);
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", NULL, 0, kp(5, 1)), ERR_OK);
    cr_assert_eq(rig.crank->outcome, ERR_OK, "%s", rig.crank->reason);
    cr_expect_str_eq(rig.calls, "send ko4.7 #[\"x\",[\"&0\",\"&0\"]] {kp3.1}\n"
                                "resolve kp5.1 ok #[\"&0\"] {kp3.1}; kp3.1 ok #\"told\" {}\n");
    cr_expect_eq(look(&rig, "p-60").kref.n, 0, "and forgotten again");
    rig_clear(&rig);
}

Test(supervisor, a_promise_or_object_that_was_never_given_cannot_be_mentioned)
{
    static char names[][24] = {"p-59", "p-62", "p-99999999999999999999", "o-51", "o-49"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rig_t rig = rig_of((vat_t){3}, never_given, names[i]);
        cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 7), kp(4, 1), kp(4, 2)),
                             (kref_t){0}),
                     ERR_OK);
        cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL, "%s", names[i]);
        rig_clear(&rig);
    }
}

Test(supervisor, a_promise_told_of_before_gets_a_fresh_number)
{
    rig_t rig = rig_of((vat_t){3}, NULL, NULL);
    resolution_t one = {kp(4, 1), false, capdata("#1", NULL, 0)};

    cr_assert_eq(notify(&rig, &one, 1), ERR_OK);
    cr_expect_str_eq(heard(&rig), "notify p-60 ok #1 {}");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"&0\"]]", SLOTS(kp(4, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"&0\"]] {p-61}");
    rig_clear(&rig);
}

/* Echoes every slot of a message back in one send: up must undo what down did. */
static void echo(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                 engine_report_t *ret)
{
    (void)context, (void)ret;
    vcall_t call = {.tag = TAG_send};
    call.body.send = (vcall_send_t){.target = delivery->target, .methargs = delivery->data};
    cr_assert_eq(host->call(host->self, &call), ERR_OK);
}

Test(supervisor, up_after_down_is_identity)
{
    rig_t rig = rig_of((vat_t){3}, echo, NULL);
    cr_assert_eq(
        message(&rig, ko(3, 0), "#[\"x\",[]]",
                SLOTS(ko(4, 0), kp(4, 1), ko(3, 0), ko(0, 5), kp(0, 9), ko(4, 0), kp(3, 77)),
                (kref_t){0}),
        ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[]] {o-50 p-60 o+0 o-51 p-61 o-50 p-62}");
    cr_expect_str_eq(rig.calls,
                     "send ko3.0 #[\"x\",[]] {ko4.0 kp4.1 ko3.0 ko0.5 kp0.9 ko4.0 kp3.77}\n");
    rig_clear(&rig);
}

/* ---- replay ---- */

static void busy(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                 engine_report_t *ret)
{
    (void)context, (void)delivery, (void)ret;
    script_set(host, "count", "1");
    script_delete(host, "other");
    script_send(host, "o+0", "#[\"x\",[]]", "o+1", "p+1");
    script_resolve(host, "p+1", false, "#1", "");
}

Test(supervisor, a_replay_gives_the_same_hashes)
{
    rig_t live = rig_of((vat_t){3}, busy, NULL), again = rig_of((vat_t){3}, busy, NULL);
    msg_deliver_message_t msg = {.target = ko(3, 0), .methargs = capdata("#[\"x\",[]]", NULL, 0)};

    for (int i = 0; i < 10; i++) {
        cr_assert_eq(run(&live, TAG_deliver_message, &msg), ERR_OK);
        hash_t result = live.crank->result_hash;
        cr_assert_eq(run_as(&again, TAG_deliver_message, &msg, 1, result), ERR_OK);
        cr_expect(hash_same(again.crank->result_hash, result));
        cr_expect(hash_same(supervisor_chain(live.supervisor), supervisor_chain(again.supervisor)));
    }
    cr_expect_eq(supervisor_last(again.supervisor), 10);
    rig_clear(&live);
    rig_clear(&again);
}

Test(supervisor, a_skipped_delivery_moves_the_chain_and_nothing_else)
{
    rig_t rig = rig_of((vat_t){3}, busy, NULL);
    msg_deliver_message_t msg = {.target = ko(3, 0), .methargs = capdata("#[\"x\",[]]", NULL, 0)};
    hash_t expect = {{7}};

    cr_assert_eq(run_as(&rig, TAG_deliver_message, &msg, 2, expect), ERR_OK);
    cr_expect_eq(script_count(rig.engine), 0);
    cr_expect_eq(supervisor_last(rig.supervisor), 1);
    cr_expect(hash_same(supervisor_chain(rig.supervisor),
                        hash_chain((hash_t){{0}}, rig.crank->delivery_hash, expect)));
    rig_clear(&rig);
}

static void write_one(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_set(host, "a", "1");
}

Test(supervisor, a_store_write_changes_the_hash)
{
    steps_t one = {{write_one}, 0};
    rig_t a = rig_of((vat_t){3}, follow, &one), b = rig_of((vat_t){3}, NULL, NULL);
    cr_assert_eq(poke(&a), ERR_OK);
    cr_assert_eq(poke(&b), ERR_OK);
    cr_expect(!hash_same(a.crank->store_digest, b.crank->store_digest));
    cr_expect(!hash_same(a.crank->result_hash, b.crank->result_hash));
    rig_clear(&a);
    rig_clear(&b);
}

Test(supervisor, a_failing_store_ends_the_worker)
{
    for (unsigned n = 1; n <= 8; n++) {
        rig_t rig = rig_of((vat_t){3}, busy, NULL);
        memstore_fail(rig.store, n);
        cr_expect_eq(poke(&rig), ERR_STORE, "operation %u", n);
        rig_clear(&rig);
    }
}

Test(supervisor, a_frame_that_is_no_delivery_is_refused)
{
    rig_t rig = rig_of((vat_t){3}, NULL, NULL);
    msg_ping_t ping = {0};
    cr_expect_eq(run(&rig, TAG_ping, &ping), ERR_WIRE_UNKNOWN);
    rig_clear(&rig);
}
